//! Who runs and who is remembered.

use super::event::{Event, SessionId};
use crate::packet::Spelling;
use crate::session::stop_and_wait::{Receiver, Start, Verdict};
use crate::session::{Via, network};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// All transfers by address and by number, and how many run.
#[derive(Default)]
pub(super) struct Table {
    /// Every transfer of an address, oldest first: running ones and remembered ones.
    peers: BTreeMap<SocketAddr, Vec<Entry>>,
    addresses: BTreeMap<SessionId, SocketAddr>,
    running: usize,
    running_by_network: BTreeMap<IpAddr, usize>,
    last_id: u64,
}

pub(super) struct Entry {
    pub(super) id: SessionId,
    pub(super) via: Via,
    pub(super) receiver: Receiver,
    /// Counted among the running ones.
    pub(super) running: bool,
    /// The application has heard of it.
    pub(super) announced: bool,
    /// The client may go on in the windowed mode: the application hears of it only when it does not.
    pub(super) may_depart: bool,
}

impl Entry {
    /// A transfer of a peer of ours, with chunks, not ended: its numbers are known exactly.
    pub(super) fn is_ours_underway(&self) -> bool {
        self.running && self.receiver.is_proven() && self.receiver.start().checked
    }

    /// What the application is told when it hears of it, once.
    pub(super) fn announce(&mut self, peer: SocketAddr) -> Option<Event> {
        let Start { name, size, spelling, checked, .. } = self.receiver.start();
        let (name, size, spelling, checked) = (name.clone(), *size, *spelling, *checked);
        let is_new = !std::mem::replace(&mut self.announced, true);
        is_new.then_some(Event::Started { id: self.id, peer, name, size, spelling, checked })
    }
}

impl Table {
    /// `may_depart` is as in [`Entry`].
    pub(super) fn insert(&mut self, via: Via, peer: SocketAddr, (receiver, may_depart): (Receiver, bool)) -> SessionId {
        self.last_id += 1;
        let id = SessionId(self.last_id);
        let entries = self.peers.entry(peer).or_default();
        // With another file begun, nobody waits for an earlier one to begin anew.
        entries.iter_mut().for_each(|entry| entry.receiver.disarm());
        entries.push(Entry { id, via, receiver, running: true, announced: false, may_depart });
        self.addresses.insert(id, peer);
        self.running += 1;
        *self.running_by_network.entry(network(peer.ip())).or_default() += 1;
        id
    }

    pub(super) fn entry(&mut self, id: SessionId) -> Option<(SocketAddr, &mut Entry)> {
        let peer = *self.addresses.get(&id)?;
        let entry = self.peers.get_mut(&peer)?.iter_mut().find(|entry| entry.id == id)?;
        Some((peer, entry))
    }

    /// All transfers of this address, oldest first.
    pub(super) fn of(&mut self, peer: SocketAddr) -> &mut [Entry] {
        self.peers.get_mut(&peer).map(Vec::as_mut_slice).unwrap_or_default()
    }

    /// The transfer of this very start, which came again. Then nobody waits for another one to begin anew.
    pub(super) fn begun_by(&mut self, peer: SocketAddr, start: [u8; 16]) -> Option<&mut Entry> {
        let (mut same, others): (Vec<_>, Vec<_>) =
            self.of(peer).iter_mut().partition(|entry| entry.receiver.start().id == start);
        if !same.is_empty() {
            others.into_iter().for_each(|entry| entry.receiver.disarm());
        }
        same.pop()
    }

    /// Whether this start is remembered as an ended one while the address is sending another file.
    pub(super) fn is_busy_with_another(&self, peer: SocketAddr, start: [u8; 16], now: Instant) -> bool {
        let entries = self.peers.get(&peer).map(Vec::as_slice).unwrap_or_default();
        let is_old = |entry: &Entry| !entry.running && entry.receiver.start().id == start;
        let is_busy = |entry: &Entry| entry.running && entry.receiver.is_proven() && !entry.receiver.is_quiet(now);
        entries.iter().any(is_old) && entries.iter().any(is_busy)
    }

    /// Ends the unfinished transfers of this address but one; gives which they were.
    pub(super) fn supersede(&mut self, peer: SocketAddr, id: SessionId, now: Instant) -> Vec<SessionId> {
        let is_other = |entry: &&mut Entry| entry.id != id && entry.running && !entry.receiver.is_publishing();
        let mut over = Vec::new();
        for entry in self.of(peer).iter_mut().filter(is_other) {
            entry.receiver.fail("the sender began another transfer".into(), now);
            over.push(entry.id);
        }
        over
    }

    /// Ends what was opened by this address's starts and could still become windowed; gives which they were.
    pub(super) fn depart(&mut self, peer: SocketAddr, now: Instant) -> Vec<SessionId> {
        let mut over = Vec::new();
        for entry in self.of(peer).iter_mut().filter(|entry| entry.running && entry.may_depart) {
            entry.receiver.depart(now);
            over.push(entry.id);
        }
        over
    }

    pub(super) fn ids(&self) -> Vec<SessionId> {
        self.addresses.keys().copied().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    pub(super) fn any(&self, wanted: impl Fn(&Entry) -> bool) -> bool {
        self.peers.values().flatten().any(wanted)
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// How many run from this network.
    pub(super) fn running_from(&self, ip: IpAddr) -> usize {
        self.running_by_network.get(&network(ip)).copied().unwrap_or_default()
    }

    /// The transfer has ended; it is only remembered from here on.
    pub(super) fn stop(&mut self, id: SessionId) {
        let Some((peer, entry)) = self.entry(id) else { return };
        if !std::mem::take(&mut entry.running) {
            return;
        }
        self.running = self.running.saturating_sub(1);
        let network = network(peer.ip());
        if let Some(count) = self.running_by_network.get_mut(&network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.running_by_network.remove(&network);
            }
        }
    }

    /// Forgets a transfer altogether.
    pub(super) fn remove(&mut self, id: SessionId) {
        self.stop(id);
        let Some(peer) = self.addresses.remove(&id) else { return };
        if let Some(entries) = self.peers.get_mut(&peer) {
            entries.retain(|entry| entry.id != id);
            if entries.is_empty() {
                self.peers.remove(&peer);
            }
        }
    }

    /// Who should go before this address gets another transfer; `None` while there is room.
    pub(super) fn expendable(&self, peer: SocketAddr) -> Option<SessionId> {
        let entries = self.peers.get(&peer).filter(|entries| entries.len() >= REMEMBERED_PER_PEER)?;
        let ended = entries.iter().find(|entry| !entry.running);
        let unproven = entries.iter().find(|entry| !entry.receiver.is_proven() && !entry.receiver.is_publishing());
        ended.or(unproven).map(|entry| entry.id)
    }

    /// The oldest start that was never followed by data, though it had the time.
    pub(super) fn oldest_unproven(&self, now: Instant) -> Option<SessionId> {
        let is_idle = |entry: &&Entry| {
            let age = now.saturating_duration_since(entry.receiver.began());
            let waits = !entry.receiver.is_proven() && !entry.receiver.is_publishing();
            entry.running && waits && age >= UNPROVEN_MIN
        };
        let oldest = self.peers.values().flatten().filter(is_idle).min_by_key(|entry| entry.receiver.began());
        oldest.map(|entry| entry.id)
    }

    /// Who has said nothing for `idle`.
    pub(super) fn silent(&self, idle: Duration, now: Instant) -> Vec<SessionId> {
        let is_silent = |entry: &&Entry| {
            let receiver = &entry.receiver;
            let waits = receiver.ended().is_none() && !receiver.is_publishing();
            waits && now.saturating_duration_since(receiver.last_heard()) >= idle
        };
        self.peers.values().flatten().filter(is_silent).map(|entry| entry.id).collect()
    }

    /// Forgets what ended long ago; of what is left, the oldest where it is too much.
    pub(super) fn forget_old(&mut self, max_running: usize, now: Instant) {
        let is_old = |entry: &&Entry| {
            // While its last message is still repeated, an ended transfer is not old.
            let last = entry.receiver.ended().map(|ended| ended.max(entry.receiver.last_heard()));
            last.is_some_and(|last| now.saturating_duration_since(last) >= REMEMBERED_FOR)
        };
        let old: Vec<SessionId> = self.peers.values().flatten().filter(is_old).map(|entry| entry.id).collect();
        for id in old {
            self.remove(id);
        }
        let excess = self.addresses.len().saturating_sub(max_running + REMEMBERED_MAX);
        if excess > 0 {
            let ended = self.peers.values().flatten().filter(|entry| !entry.running);
            let mut oldest: Vec<SessionId> = ended.map(|entry| entry.id).collect();
            oldest.sort_unstable();
            for id in oldest.into_iter().take(excess) {
                self.remove(id);
            }
        }
    }

    /// Whether more is remembered than the sweeps should have left: somebody is in a hurry.
    pub(super) fn overflows(&self, max_running: usize) -> bool {
        self.addresses.len() > max_running + REMEMBERED_MAX + REMEMBERED_SLACK
    }
}

/// Which transfer of this address a chunk is for. One of ours under way knows its numbers exactly and comes first; then a new
/// one whose first number this is, as nearly all peers count; then whoever takes it as new; then one that may begin anew
/// (after those, so that a late copy of an old start cannot take the next file's chunks); then whoever has seen it before.
pub(super) fn owner(entries: &mut [Entry], spelling: Spelling, seq: u64, now: Instant) -> Option<&mut Entry> {
    let speaks = |entry: &Entry| entry.receiver.start().spelling == spelling;
    let takes = |entry: &Entry| entry.running && matches!(entry.receiver.judge(seq), Verdict::New(_));
    let position = |wanted: &dyn Fn(&Entry) -> bool| entries.iter().rposition(|entry| speaks(entry) && wanted(entry));
    let at = position(&|entry| entry.is_ours_underway() && entry.receiver.judge(seq) != Verdict::Stale)
        .or_else(|| {
            position(&|entry| {
                takes(entry) && !entry.receiver.is_proven() && entry.receiver.start().seq.checked_add(1) == Some(seq)
            })
        })
        .or_else(|| position(&|entry| takes(entry) && entry.receiver.is_proven()))
        .or_else(|| position(&takes))
        .or_else(|| position(&|entry| entry.receiver.restarts_with(seq, now)))
        .or_else(|| position(&|entry| entry.receiver.judge(seq) != Verdict::Stale))?;
    entries.get_mut(at)
}

/// How long a transfer is remembered after its end, to answer its last message again.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// How many transfers of one address and port are kept in mind, running or ended.
const REMEMBERED_PER_PEER: usize = 8;

/// How many ended transfers are kept in mind in all: a minute's worth of a few hundred a second, about 10 MB.
const REMEMBERED_MAX: usize = 16_384;

/// How far beyond that memory may grow between two sweeps.
const REMEMBERED_SLACK: usize = 1024;

/// A start without data may lose its place to another after this long.
const UNPROVEN_MIN: Duration = Duration::from_secs(5);
