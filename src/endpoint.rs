//! Which transfer a datagram belongs to, who may open one, and who is remembered: the server without sockets and disks.

use crate::name::SafeName;
use crate::packet::lab::{Message, Spelling};
use crate::packet::{MAX_DATAGRAM, Packet};
use crate::session::stop_and_wait::{
    Counts, Numbering, Order, Placement, Receiver, Start, State, StoreFailure, Verdict, refusal, start_id,
};
use crate::session::{CHECKED, Machine, OURS, Transmit, Via, is_offer};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// The number of a transfer, counted from 1 by the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// The server's limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// The largest datagram announced to spaced peers, in bytes.
    pub bufsize: usize,
    /// Transfers at once.
    pub max_sessions: usize,
    /// Transfers at once from one IP address (an IPv6 /64 counts as one): a class may sit behind one router.
    pub max_sessions_per_address: usize,
    /// A transfer that hears nothing for this long is forgotten.
    pub idle_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { bufsize: 1400, max_sessions: 1024, max_sessions_per_address: 256, idle_timeout: Duration::from_secs(30) }
    }
}

/// What the application must do or may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Do this with the transfer's file, in order, and answer with the matching `handle_*` of the endpoint.
    Order(SessionId, Order),
    /// A transfer was admitted.
    Started {
        /// Its number.
        id: SessionId,
        /// Who sends.
        peer: SocketAddr,
        /// Under which name.
        name: SafeName,
        /// How much, in bytes.
        size: u64,
        /// In which spelling.
        spelling: Spelling,
        /// With a checksum at the end.
        checked: bool,
    },
    /// Bytes came.
    Progress {
        /// Of which transfer.
        id: SessionId,
        /// How many in all.
        received: u64,
    },
    /// The file has its name, is complete and durable.
    Finished {
        /// Which transfer.
        id: SessionId,
        /// Its size in bytes.
        bytes: u64,
        /// Its SHA-256.
        sha256: [u8; 32],
        /// The size of the file that it replaced.
        replaced: Option<u64>,
        /// From the start to the end.
        took: Duration,
        /// What came twice.
        counts: Counts,
    },
    /// A started transfer came to nothing.
    Failed {
        /// Which.
        id: SessionId,
        /// Why.
        reason: String,
        /// What came twice.
        counts: Counts,
    },
    /// A start was turned away.
    Refused {
        /// Whose.
        peer: SocketAddr,
        /// The name it asked for, as it came.
        name: String,
        /// Why.
        reason: String,
    },
}

/// The server's machine: feed it datagrams, the time and the store's answers, in the order of [`crate::session`].
pub struct Endpoint {
    config: Config,
    /// Every transfer of an address, oldest first: running ones and remembered ones.
    peers: BTreeMap<SocketAddr, Vec<Entry>>,
    addresses: BTreeMap<SessionId, SocketAddr>,
    running: usize,
    running_by_network: BTreeMap<IpAddr, usize>,
    last_id: u64,
    next_sweep: Option<Instant>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

struct Entry {
    id: SessionId,
    via: Via,
    receiver: Receiver,
    /// Counted among the running ones.
    running: bool,
    /// The application has heard of it.
    announced: bool,
}

impl Endpoint {
    /// A server without transfers.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            peers: BTreeMap::new(),
            addresses: BTreeMap::new(),
            running: 0,
            running_by_network: BTreeMap::new(),
            last_id: 0,
            next_sweep: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The next event; orders must be carried out in this order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How many transfers run.
    pub fn running(&self) -> usize {
        self.running
    }

    /// The answer to [`Order::Admit`].
    pub fn handle_admitted(&mut self, id: SessionId, verdict: Result<(), StoreFailure>, now: Instant) {
        let refused = verdict.as_ref().err().map(|failure| failure.reason.clone());
        let Some((peer, entry)) = self.entry(id).filter(|(_, entry)| entry.receiver.ended().is_none()) else { return };
        let reply = entry.receiver.handle_admitted(verdict, now);
        let start = entry.receiver.start();
        let (name, size, spelling, checked) = (start.name.clone(), start.size, start.spelling, start.checked);
        let event = match refused {
            Some(reason) => Event::Refused { peer, name: name.to_string(), reason },
            None => {
                entry.announced = true;
                Event::Started { id, peer, name, size, spelling, checked }
            }
        };
        self.events.push_back(event);
        self.settle(id, reply, now);
    }

    /// One [`Order::Write`] of this many bytes is done.
    pub fn handle_written(&mut self, id: SessionId, bytes: usize, now: Instant) {
        let Some((_, entry)) = self.entry(id) else { return };
        let reply = entry.receiver.handle_written(bytes);
        self.settle(id, reply, now);
    }

    /// The answer to [`Order::Publish`] or [`Order::MakeEmpty`].
    pub fn handle_published(&mut self, id: SessionId, result: Result<Placement, StoreFailure>, now: Instant) {
        let Some((_, entry)) = self.entry(id) else { return };
        let was_running = entry.receiver.ended().is_none();
        let reply = entry.receiver.handle_published(result.clone(), now);
        if let (true, State::Done, Ok(Placement::Placed { sha256, replaced })) =
            (was_running, entry.receiver.state(), result)
        {
            let receiver = &entry.receiver;
            let (bytes, counts) = (receiver.start().size, receiver.counts());
            let took = now.saturating_duration_since(receiver.began());
            self.events.push_back(Event::Finished { id, bytes, sha256, replaced, took, counts });
        }
        self.settle(id, reply, now);
    }

    /// The store could not write: the transfer is over, and a peer of ours hears why with its next message.
    pub fn handle_store_failed(&mut self, id: SessionId, failure: StoreFailure, now: Instant) {
        let Some((_, entry)) = self.entry(id) else { return };
        entry.receiver.fail(failure.reason, now);
        self.settle(id, None, now);
    }

    /// The server stops: peers of ours are told, nothing half-written stays.
    pub fn handle_shutdown(&mut self, now: Instant) {
        let ids: Vec<SessionId> = self.addresses.keys().copied().collect();
        for id in ids {
            let Some((_, entry)) = self.entry(id) else { continue };
            if entry.receiver.ended().is_some() || entry.receiver.is_publishing() {
                continue;
            }
            let told = entry
                .receiver
                .is_proven()
                .then(|| entry.receiver.refuse(entry.receiver.current_seq(), SHUTDOWN, usize::MAX));
            entry.receiver.fail(SHUTDOWN.into(), now);
            self.settle(id, told.flatten(), now);
        }
    }

    /// Drops a running transfer without a word: what a server does that was started anew (a misbehaviour for tests).
    pub fn forget(&mut self, id: SessionId, reason: &str, now: Instant) {
        if let Some((peer, entry)) = self.entry(id) {
            entry.receiver.fail(reason.into(), now);
            self.settle(id, None, now);
            if let Some(entries) = self.peers.get_mut(&peer) {
                entries.retain(|entry| entry.id != id);
            }
            self.addresses.remove(&id);
        }
    }

    fn entry(&mut self, id: SessionId) -> Option<(SocketAddr, &mut Entry)> {
        let peer = *self.addresses.get(&id)?;
        let entry = self.peers.get_mut(&peer)?.iter_mut().find(|entry| entry.id == id)?;
        Some((peer, entry))
    }

    /// Sends a receiver's reply, passes on its orders, and keeps the books of who runs.
    fn settle(&mut self, id: SessionId, reply: Option<Vec<u8>>, now: Instant) {
        let mut orders = Vec::new();
        let Some((peer, entry)) = self.entry(id) else { return };
        while let Some(order) = entry.receiver.poll_order() {
            orders.push(Event::Order(id, order));
        }
        let wrote = orders.iter().any(|event| matches!(event, Event::Order(_, Order::Write(_))));
        let received = entry.receiver.received();
        let via = entry.via;
        let has_ended = entry.running && entry.receiver.ended().is_some();
        if has_ended {
            entry.running = false;
            if let (true, State::Failed(reason)) = (entry.announced, entry.receiver.state()) {
                let (reason, counts) = (reason.clone(), entry.receiver.counts());
                orders.push(Event::Failed { id, reason, counts });
            }
        }
        self.events.extend(orders);
        if wrote {
            self.events.push_back(Event::Progress { id, received });
        }
        if has_ended {
            self.count_down(peer.ip());
        }
        if let Some(bytes) = reply {
            self.transmits.push_back(Transmit { via, to: peer, bytes });
        }
        self.next_sweep.get_or_insert(now + SWEEP);
    }

    fn handle_start(&mut self, via: Via, peer: SocketAddr, datagram: &[u8], start: &StartMessage<'_>, now: Instant) {
        let id = start_id(datagram);
        let entries = self.peers.get_mut(&peer).map(Vec::as_mut_slice).unwrap_or_default();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.receiver.start().id == id) {
            let (id, reply) = (entry.id, entry.receiver.handle_start(now));
            return self.settle(id, reply, now);
        }
        // Bytes that differ from the start of a transfer of ours under way, though its number is random: damage.
        if entries.iter().any(|entry| {
            entry.running
                && entry.receiver.is_proven()
                && entry.receiver.start().checked
                && entry.receiver.start().seq == start.seq
        }) {
            return;
        }
        let offer = is_offer(start.seq) && start.spelling == Spelling::Spaced;
        let words = offer.then(|| start_answer(start, self.config.bufsize, true, datagram.len())).flatten();
        let checked = words.is_some();
        let reason = match self.may_open(peer, now) {
            Err(reason) => Err(reason),
            Ok(()) => SafeName::from_bytes(start.name).map_err(|error| error.to_string()),
        };
        let name = match reason {
            Ok(name) => name,
            Err(reason) => return self.turn_away(via, peer, start, checked, &reason, datagram.len()),
        };
        let Some(answer) = words.or_else(|| start_answer(start, self.config.bufsize, false, datagram.len())) else {
            return;
        };
        let start = Start {
            spelling: start.spelling,
            seq: start.seq,
            name,
            size: start.size,
            checked,
            id,
            length: datagram.len(),
            answer,
            numbering: numbering(start, checked),
        };
        self.open(via, peer, Receiver::new(start, now), now);
    }

    fn open(&mut self, via: Via, peer: SocketAddr, receiver: Receiver, now: Instant) {
        self.last_id += 1;
        let id = SessionId(self.last_id);
        self.make_room(peer, now);
        self.peers.entry(peer).or_default().push(Entry { id, via, receiver, running: true, announced: false });
        self.addresses.insert(id, peer);
        self.running += 1;
        *self.running_by_network.entry(network(peer.ip())).or_default() += 1;
        self.settle(id, None, now);
    }

    /// A few starts of one address are remembered, so that late copies of them open nothing; not any number.
    fn make_room(&mut self, peer: SocketAddr, now: Instant) {
        let entries = self.peers.get(&peer).map(Vec::as_slice).unwrap_or_default();
        if entries.len() < REMEMBERED_PER_PEER {
            return;
        }
        let ended = entries.iter().find(|entry| !entry.running);
        let unproven = entries.iter().find(|entry| !entry.receiver.is_proven());
        if let Some(id) = ended.or(unproven).map(|entry| entry.id) {
            self.forget(id, "other starts came from the same address", now);
        }
    }

    /// Is there room for another transfer? Those that never proved their address make room first.
    fn may_open(&mut self, peer: SocketAddr, now: Instant) -> Result<(), String> {
        if self.running >= self.config.max_sessions {
            self.evict_unproven(now);
        }
        let from_there = self.running_by_network.get(&network(peer.ip())).copied().unwrap_or_default();
        if self.running >= self.config.max_sessions {
            return Err(format!("the server is full ({} transfers); try again later", self.config.max_sessions));
        }
        if from_there >= self.config.max_sessions_per_address {
            return Err("too many transfers from this address; try again later".to_string());
        }
        Ok(())
    }

    fn evict_unproven(&mut self, now: Instant) {
        let idle = |entry: &&Entry| {
            entry.running
                && !entry.receiver.is_proven()
                && now.saturating_duration_since(entry.receiver.began()) >= UNPROVEN_MIN
        };
        let oldest = self.peers.values().flatten().filter(idle).min_by_key(|entry| entry.receiver.began());
        if let Some(id) = oldest.map(|entry| entry.id) {
            self.forget(id, "nothing came after the start, and others wanted the place", now);
        }
    }

    /// Says no in the only way the peer's spelling has for it.
    fn turn_away(
        &mut self,
        via: Via,
        peer: SocketAddr,
        start: &StartMessage<'_>,
        checked: bool,
        reason: &str,
        length: usize,
    ) {
        let full = self.running >= self.config.max_sessions;
        let bytes = match start.spelling {
            Spelling::Spaced if checked => refusal(start.seq, reason, length),
            Spelling::Compact if full => {
                let next = start.seq.wrapping_add(1) % 2;
                Message::Refusal { next }.to_datagram(Spelling::Compact).ok()
            }
            _ => None,
        };
        if let Some(bytes) = bytes {
            self.transmits.push_back(Transmit { via, to: peer, bytes });
        }
        let name = String::from_utf8_lossy(start.name).into_owned();
        self.events.push_back(Event::Refused { peer, name, reason: reason.to_string() });
    }

    fn handle_data(
        &mut self,
        peer: SocketAddr,
        spelling: Spelling,
        seq: u64,
        bytes: &[u8],
        length: usize,
        now: Instant,
    ) {
        let Some(entries) = self.peers.get_mut(&peer) else { return };
        let Some(at) = owner(entries, spelling, seq, now) else { return };
        let Some(entry) = entries.get_mut(at) else { return };
        if entry.receiver.restarts_with(seq, now) {
            self.restart(peer, at, now);
            return self.handle_data(peer, spelling, seq, bytes, length, now);
        }
        let begins = !entry.receiver.is_proven();
        let (id, reply) = (entry.id, entry.receiver.handle_data(seq, bytes, length, now));
        if begins && entry.receiver.is_proven() {
            self.supersede(peer, id, now);
        }
        self.settle(id, reply, now);
    }

    /// One address sends one file at a time: with the first chunk of a transfer its unfinished ones are over.
    fn supersede(&mut self, peer: SocketAddr, id: SessionId, now: Instant) {
        let entries = self.peers.get_mut(&peer).map(Vec::as_mut_slice).unwrap_or_default();
        let others =
            entries.iter_mut().filter(|entry| entry.id != id && entry.running && !entry.receiver.is_publishing());
        let mut over = Vec::new();
        for entry in others {
            entry.receiver.fail("the sender began another transfer".into(), now);
            over.push(entry.id);
        }
        for id in over {
            self.settle(id, None, now);
        }
    }

    fn restart(&mut self, peer: SocketAddr, at: usize, now: Instant) {
        let Some(entry) = self.peers.get_mut(&peer).and_then(|entries| entries.get_mut(at)) else { return };
        let (old, via) = (entry.id, entry.via);
        let fresh = entry.receiver.restarted(now);
        self.forget(old, "the sender began it anew", now);
        self.open(via, peer, fresh, now);
    }

    fn handle_checksum(&mut self, peer: SocketAddr, message: (u64, [u8; 32], [u8; 16]), length: usize, now: Instant) {
        let (seq, sha256, start) = message;
        let Some(entries) = self.peers.get_mut(&peer) else { return };
        if let Some(entry) = entries.iter_mut().find(|entry| entry.receiver.start().id == start) {
            let (id, reply) = (entry.id, entry.receiver.handle_checksum(seq, sha256, length, now));
            return self.settle(id, reply, now);
        }
        let counts_so = |entry: &&mut Entry| {
            let receiver = &entry.receiver;
            receiver.start().checked && receiver.is_proven() && receiver.current_seq().wrapping_add(1) == seq
        };
        if let Some(entry) = entries.iter_mut().rev().find(counts_so) {
            let (id, reply) = (entry.id, entry.receiver.handle_foreign_checksum(seq, length, now));
            self.settle(id, reply, now);
        }
    }

    fn handle_error(&mut self, peer: SocketAddr, seq: u64, reason: &[u8], now: Instant) {
        let entries = self.peers.get_mut(&peer).map(Vec::as_mut_slice).unwrap_or_default();
        let mut touched = Vec::new();
        for entry in entries.iter_mut().filter(|entry| entry.running) {
            entry.receiver.handle_error(seq, reason, now);
            touched.push(entry.id);
        }
        for id in touched {
            self.settle(id, None, now);
        }
    }

    /// Ends what has been silent too long and forgets what ended long ago.
    fn sweep(&mut self, now: Instant) {
        let mut silent = Vec::new();
        let mut old = Vec::new();
        for entry in self.peers.values().flatten() {
            match entry.receiver.ended() {
                // While its last message is still repeated, an ended transfer is not old.
                Some(ended)
                    if now.saturating_duration_since(ended.max(entry.receiver.last_heard())) >= REMEMBERED_FOR =>
                {
                    old.push(entry.id);
                }
                None if !entry.receiver.is_publishing()
                    && now.saturating_duration_since(entry.receiver.last_heard()) >= self.config.idle_timeout =>
                {
                    silent.push(entry.id);
                }
                _ => {}
            }
        }
        for id in silent {
            if let Some((_, entry)) = self.entry(id) {
                let (received, size) = (entry.receiver.received(), entry.receiver.start().size);
                let seconds = self.config.idle_timeout.as_secs_f64();
                let reason = format!("nothing came for {seconds} s; {received} of {size} bytes had come");
                if let Some((_, entry)) = self.entry(id) {
                    entry.receiver.fail(reason, now);
                }
                self.settle(id, None, now);
            }
        }
        for id in old {
            self.remove(id);
        }
        self.trim();
        self.next_sweep = (!self.addresses.is_empty()).then(|| now + SWEEP);
    }

    /// Memory of the past is bounded: the oldest go first.
    fn trim(&mut self) {
        let mut excess = self.addresses.len().saturating_sub(self.config.max_sessions + REMEMBERED_MAX);
        let ids: Vec<SessionId> = self.addresses.keys().copied().collect();
        for id in ids {
            if excess == 0 {
                break;
            }
            if self.entry(id).is_some_and(|(_, entry)| !entry.running) {
                self.remove(id);
                excess -= 1;
            }
        }
    }

    fn remove(&mut self, id: SessionId) {
        let Some(peer) = self.addresses.remove(&id) else { return };
        if let Some(entries) = self.peers.get_mut(&peer) {
            entries.retain(|entry| entry.id != id);
            if entries.is_empty() {
                self.peers.remove(&peer);
            }
        }
    }

    fn count_down(&mut self, ip: IpAddr) {
        self.running = self.running.saturating_sub(1);
        let network = network(ip);
        if let Some(count) = self.running_by_network.get_mut(&network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.running_by_network.remove(&network);
            }
        }
    }
}

impl Machine for Endpoint {
    fn handle_datagram(&mut self, via: Via, from: SocketAddr, datagram: &[u8], now: Instant) {
        let Ok(Packet::Lab(spelling, message)) = Packet::decode(datagram) else { return };
        match message {
            Message::Start { seq, name, size, .. } => {
                let digits = start_digits(datagram, spelling);
                let start = StartMessage { spelling, seq, digits, name, size };
                self.handle_start(via, from, datagram, &start, now);
            }
            Message::Data { seq, bytes } => self.handle_data(from, spelling, seq, bytes, datagram.len(), now),
            Message::Checksum { seq, sha256, start } => {
                self.handle_checksum(from, (seq, sha256, start), datagram.len(), now);
            }
            Message::Error { seq, reason } => self.handle_error(from, seq, reason, now),
            // Answers are never answered: two servers would talk for ever (CVE-2024-2169).
            Message::Ack { .. } | Message::Refusal { .. } => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.next_sweep.is_some_and(|due| now >= due) {
            self.sweep(now);
        }
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next_sweep
    }
}

/// A start as it came, before its name is known to be safe.
struct StartMessage<'a> {
    spelling: Spelling,
    seq: u64,
    /// How many digits the number had.
    digits: usize,
    name: &'a [u8],
    size: u64,
}

fn start_digits(datagram: &[u8], spelling: Spelling) -> usize {
    let mut cursor = crate::codec::Cursor::new(datagram);
    let mut field = || cursor.field(spelling.separator());
    field().and_then(|_| field()).map_or(0, <[u8]>::len)
}

/// Which transfer of this address a chunk is for. One of ours under way knows its numbers exactly and comes first; then a new
/// one whose first number this is, as nearly all peers count; then whoever takes it as new; then whoever has seen it before.
fn owner(entries: &[Entry], spelling: Spelling, seq: u64, now: Instant) -> Option<usize> {
    let speaks = |entry: &Entry| entry.receiver.start().spelling == spelling;
    let takes = |entry: &Entry| entry.running && matches!(entry.receiver.judge(seq), Verdict::New(_));
    let position = |wanted: &dyn Fn(&Entry) -> bool| entries.iter().rposition(|entry| speaks(entry) && wanted(entry));
    position(&|entry| {
        let receiver = &entry.receiver;
        entry.running && receiver.start().checked && receiver.is_proven() && receiver.judge(seq) != Verdict::Stale
    })
    .or_else(|| position(&|entry| entry.receiver.restarts_with(seq, now)))
    .or_else(|| {
        position(&|entry| {
            takes(entry) && !entry.receiver.is_proven() && entry.receiver.start().seq.checked_add(1) == Some(seq)
        })
    })
    .or_else(|| position(&|entry| takes(entry) && entry.receiver.is_proven()))
    .or_else(|| position(&takes))
    .or_else(|| position(&|entry| entry.receiver.judge(seq) != Verdict::Stale))
}

fn numbering(start: &StartMessage<'_>, checked: bool) -> Numbering {
    match start.spelling {
        _ if checked => Numbering::Exact,
        Spelling::Spaced => Numbering::Counting { step: 1 },
        // Only the 2021 hand-out pads numbers or begins elsewhere than at 0.
        Spelling::Compact if start.digits > 1 || start.seq != 0 => Numbering::Counting { step: 1 },
        Spelling::Compact => Numbering::Undecided,
    }
}

/// The start's acknowledgement, never longer than the start: the size announced shrinks, or is left out, before that.
fn start_answer(start: &StartMessage<'_>, bufsize: usize, offer: bool, length: usize) -> Option<Vec<u8>> {
    let next = start.seq.checked_add(1)?;
    let words = format!("{OURS} {CHECKED}");
    let words = offer.then_some(words.as_bytes());
    let sizes = match start.spelling {
        Spelling::Spaced => [Some(bufsize), Some(bufsize.min(9999)), Some(bufsize.min(999)), None],
        // Both compact hand-outs read it: the 2023 clients only byte 2, the 2021 ones the size as well.
        Spelling::Compact => [Some(COMPACT_BUFSIZE), None, None, None],
    };
    sizes.into_iter().find_map(|size| {
        let bufsize = size.map(|size| size.min(MAX_DATAGRAM) as u64);
        let answer = Message::Ack { next, bufsize, words }.to_datagram(start.spelling).ok()?;
        (answer.len() <= length).then_some(answer)
    })
}

/// Who shares a limit: one IPv4 address, or one IPv6 /64, of which a single host commands all.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

/// How long a transfer is remembered after its end, to answer its last message again.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// How many transfers of one address and port are kept in mind, running or ended.
const REMEMBERED_PER_PEER: usize = 8;

/// How many ended transfers are kept in mind in all: a minute's worth of a few hundred a second, about 10 MB.
const REMEMBERED_MAX: usize = 16_384;

/// How often silence is looked for; it is noticed this much late at most.
const SWEEP: Duration = Duration::from_millis(500);

/// A start without data may lose its place to another after this long.
const UNPROVEN_MIN: Duration = Duration::from_secs(5);

/// The datagram size of the compact hand-outs.
const COMPACT_BUFSIZE: usize = 20_480;

const SHUTDOWN: &str = "the server is shutting down";
