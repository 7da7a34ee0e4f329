//! Which transfer a datagram belongs to, who may open one, and who is remembered: the server without sockets and disks.

mod event;
mod start;
mod table;

pub use event::{Config, Event, SessionId};

use crate::name::SafeName;
use crate::packet::Packet;
use crate::packet::lab::{Message, Spelling};
use crate::session::stop_and_wait::{Placement, Receiver, State, StoreFailure, refusal, start_id};
use crate::session::{Machine, Transmit, Via};
use start::{Answer, StartMessage, best_answer, start_digits};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use table::{Entry, Table, owner};

/// The server's machine: feed it datagrams, the time and the store's answers, in the order of [`crate::session`].
pub struct Endpoint {
    config: Config,
    table: Table,
    next_sweep: Option<Instant>,
    last_repeat: Option<Instant>,
    /// The words for the next start, if it offers.
    words: Option<String>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl Endpoint {
    /// A server without transfers.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            table: Table::default(),
            next_sweep: None,
            last_repeat: None,
            words: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The next event; orders are carried out in this order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How many transfers run.
    pub fn running(&self) -> usize {
        self.table.running()
    }

    /// Whether a complete file is just getting its name.
    pub fn is_publishing(&self) -> bool {
        self.table.any(|entry| entry.receiver.is_publishing())
    }

    /// The answer to [`Admit`](crate::session::stop_and_wait::Order::Admit).
    pub fn handle_admitted(&mut self, id: SessionId, verdict: Result<(), StoreFailure>, now: Instant) {
        let refused = verdict.as_ref().err().map(|failure| failure.reason.clone());
        let Some((peer, entry)) = self.table.entry(id).filter(|(_, entry)| entry.receiver.ended().is_none()) else {
            return;
        };
        let reply = entry.receiver.handle_admitted(verdict, now);
        let (name, checked) = (entry.receiver.start().name.to_string(), entry.receiver.start().checked);
        let forget = !checked && refused.is_some();
        let event = match refused {
            Some(reason) => Some(Event::Refused { peer, name, reason }),
            None if entry.may_depart => None,
            None => entry.announce(peer),
        };
        self.events.extend(event);
        self.settle(id, reply, now);
        if forget {
            // A plain peer hears nothing; when it repeats its start, the store is asked again.
            self.table.remove(id);
        }
    }

    /// One [`Write`](crate::session::stop_and_wait::Order::Write) of this many bytes is done.
    pub fn handle_written(&mut self, id: SessionId, bytes: usize, now: Instant) {
        let Some((_, entry)) = self.table.entry(id) else { return };
        let reply = entry.receiver.handle_written(bytes);
        self.settle(id, reply, now);
    }

    /// The answer to [`Publish`](crate::session::stop_and_wait::Order::Publish) or [`MakeEmpty`](crate::session::stop_and_wait::Order::MakeEmpty).
    pub fn handle_published(&mut self, id: SessionId, result: Result<Placement, StoreFailure>, now: Instant) {
        let Some((_, entry)) = self.table.entry(id) else { return };
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
        let Some((_, entry)) = self.table.entry(id) else { return };
        entry.receiver.handle_store_failed(failure.reason, now);
        self.settle(id, None, now);
    }

    /// No transfer is opened any more; those that run go on.
    pub fn close(&mut self) {
        self.config.max_sessions = 0;
    }

    /// The capability words for the next datagram, if it is a start that offers: they offer the windowed mode, too.
    pub fn offer(&mut self, words: String) {
        self.words = Some(words);
    }

    /// This peer has proved its address and goes on in the windowed mode: what its start has opened is over, without a word.
    pub fn handle_departed(&mut self, peer: SocketAddr, now: Instant) {
        for id in self.table.depart(peer, now) {
            self.settle(id, None, now);
        }
    }

    /// When an ended transfer's last message was last answered again.
    pub fn last_repeat(&self) -> Option<Instant> {
        self.last_repeat
    }

    /// The server stops: peers of ours are told, nothing half-written stays.
    pub fn handle_shutdown(&mut self, now: Instant) {
        for id in self.table.ids() {
            let Some((_, entry)) = self.table.entry(id) else { continue };
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

    /// Drops a transfer without a word, as a server does that was started anew.
    pub fn forget(&mut self, id: SessionId, reason: &str, now: Instant) {
        if let Some((_, entry)) = self.table.entry(id) {
            entry.receiver.fail(reason.into(), now);
            self.settle(id, None, now);
            self.table.remove(id);
        }
    }

    /// Sends a receiver's reply, passes on its orders, and keeps the books of who runs.
    fn settle(&mut self, id: SessionId, reply: Option<Vec<u8>>, now: Instant) {
        let mut orders = Vec::new();
        let Some((peer, entry)) = self.table.entry(id) else { return };
        while let Some(order) = entry.receiver.poll_order() {
            orders.push(Event::Order(id, order));
        }
        let (via, entry_runs) = (entry.via, entry.running);
        let has_ended = entry.running && entry.receiver.ended().is_some();
        if let (true, true, State::Failed(reason)) = (has_ended, entry.announced, entry.receiver.state()) {
            let (reason, counts) = (reason.clone(), entry.receiver.counts());
            orders.push(Event::Failed { id, reason, counts });
        }
        self.events.extend(orders);
        if has_ended {
            self.table.stop(id);
        }
        if reply.is_some() && !entry_runs {
            self.last_repeat = Some(now);
        }
        if let Some(bytes) = reply {
            self.transmits.push_back(Transmit::one(via, peer, bytes));
        }
        self.next_sweep.get_or_insert(now + SWEEP);
    }

    fn handle_start(&mut self, via: Via, peer: SocketAddr, datagram: &[u8], start: &StartMessage<'_>, now: Instant) {
        let id = start_id(datagram);
        if self.table.is_busy_with_another(peer, id, now) {
            return; // a late copy
        }
        let answer = best_answer(start, self.words.take().as_deref(), &self.config, datagram.len());
        if let Some(entry) = self.table.begun_by(peer, id) {
            let fresh = answer.filter(|answer| answer.windowed).map(|answer| answer.bytes);
            let (id, reply) = (entry.id, entry.receiver.handle_start(fresh, now));
            return self.settle(id, reply, now);
        }
        // Bytes that differ from the start of a transfer of ours under way, though its number is random: damage.
        let entries = self.table.of(peer);
        if entries.iter().any(|entry| entry.is_ours_underway() && entry.receiver.start().seq == start.seq) {
            return;
        }
        let checked = answer.as_ref().is_some_and(|answer| answer.checked);
        let reason = match self.may_open(peer, now) {
            Err(reason) => Err(reason),
            Ok(()) => SafeName::from_bytes(start.name).map_err(|error| error.to_string()),
        };
        let name = match reason {
            Ok(name) => name,
            Err(reason) => return self.turn_away(via, peer, start, checked, &reason, datagram.len()),
        };
        let Some(Answer { bytes, windowed, .. }) = answer else { return };
        let start = start.admissible(name, checked, id, datagram.len(), bytes);
        self.open(via, peer, (Receiver::new(start, now), windowed), now);
    }

    /// A few starts of one address are remembered, so that late copies of them open nothing; not any number.
    fn open(&mut self, via: Via, peer: SocketAddr, receiver: (Receiver, bool), now: Instant) {
        if let Some(id) = self.table.expendable(peer) {
            self.forget(id, "other starts came from the same address", now);
        }
        if self.table.overflows(self.config.max_sessions) {
            self.table.forget_old(self.config.max_sessions, now);
        }
        let id = self.table.insert(via, peer, receiver);
        self.settle(id, None, now);
    }

    /// Is there room for another transfer? Those that never proved their address make room first.
    fn may_open(&mut self, peer: SocketAddr, now: Instant) -> Result<(), String> {
        if self.table.running() >= self.config.max_sessions
            && let Some(id) = self.table.oldest_unproven(now)
        {
            self.forget(id, "nothing came after the start, and others wanted the place", now);
        }
        if self.table.running() >= self.config.max_sessions {
            return Err("the server is full; try again later".to_string());
        }
        if self.table.running_from(peer.ip()) >= self.config.max_sessions_per_address {
            return Err("too many transfers from this address; try again later".to_string());
        }
        Ok(())
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
        let full = self.table.running() >= self.config.max_sessions;
        let bytes = match start.spelling {
            Spelling::Spaced if checked => refusal(start.seq, reason, length),
            Spelling::Compact if full => {
                let next = start.seq.wrapping_add(1) % 2;
                Message::Refusal { next }.to_datagram(Spelling::Compact).ok()
            }
            _ => None,
        };
        if let Some(bytes) = bytes {
            self.transmits.push_back(Transmit::one(via, peer, bytes));
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
        let entries = self.table.of(peer);
        let Some(entry) = owner(entries, spelling, seq, now) else { return };
        if entry.receiver.restarts_with(seq, now) {
            let id = entry.id;
            if self.restart(id, now) {
                self.handle_data(peer, spelling, seq, bytes, length, now);
            }
            return;
        }
        let begins = !entry.receiver.is_proven();
        let (id, reply) = (entry.id, entry.receiver.handle_data(seq, bytes, length, now));
        let (received, duplicates) = (entry.receiver.received(), entry.receiver.counts().duplicates);
        let begins = begins && entry.receiver.is_proven();
        let announced = begins.then(|| entry.announce(peer)).flatten();
        if begins {
            self.supersede(peer, id, now);
        }
        self.events.extend(announced);
        self.events.push_back(Event::Progress { id, received, duplicates });
        self.settle(id, reply, now);
    }

    /// One address sends one file at a time: with the first chunk of a transfer its unfinished ones are over.
    fn supersede(&mut self, peer: SocketAddr, id: SessionId, now: Instant) {
        for id in self.table.supersede(peer, id, now) {
            self.settle(id, None, now);
        }
    }

    /// Says whether there was room for it.
    fn restart(&mut self, id: SessionId, now: Instant) -> bool {
        let Some((peer, entry)) = self.table.entry(id) else { return false };
        let (via, fresh, has_place) = (entry.via, entry.receiver.restarted(now), entry.running);
        if !has_place && self.may_open(peer, now).is_err() {
            return false;
        }
        self.forget(id, "the sender began it anew", now);
        self.open(via, peer, (fresh, false), now);
        true
    }

    fn handle_checksum(&mut self, peer: SocketAddr, message: (u64, [u8; 32], [u8; 16]), length: usize, now: Instant) {
        let (seq, sha256, start) = message;
        let entries = self.table.of(peer);
        let names_it = |entry: &&mut Entry| entry.receiver.start().id == start && entry.receiver.checksum_seq() == seq;
        if let Some(entry) = entries.iter_mut().find(names_it) {
            let (id, reply) = (entry.id, entry.receiver.handle_checksum(seq, sha256, length, now));
            // An empty file has no chunk to begin with.
            let announced = entry.receiver.is_publishing().then(|| entry.announce(peer)).flatten();
            self.events.extend(announced);
            return self.settle(id, reply, now);
        }
        let counts_so = |entry: &&mut Entry| entry.is_ours_underway() && entry.receiver.checksum_seq() == seq;
        if let Some(entry) = entries.iter_mut().rev().find(counts_so) {
            let (id, reply) = (entry.id, entry.receiver.handle_foreign_checksum(seq, length, now));
            self.settle(id, reply, now);
        }
    }

    fn handle_error(&mut self, peer: SocketAddr, seq: u64, reason: &[u8], now: Instant) {
        let ids: Vec<SessionId> = self.table.of(peer).iter().map(|entry| entry.id).collect();
        for id in ids {
            if let Some((_, entry)) = self.table.entry(id) {
                entry.receiver.handle_error(seq, reason, now);
            }
            self.settle(id, None, now);
        }
    }

    /// Ends what has been silent too long and forgets what ended long ago.
    fn sweep(&mut self, now: Instant) {
        for id in self.table.silent(self.config.idle_timeout, now) {
            let Some((_, entry)) = self.table.entry(id) else { continue };
            let (received, size) = (entry.receiver.received(), entry.receiver.start().size);
            let seconds = self.config.idle_timeout.as_secs_f64();
            let reason = format!("nothing came for {seconds} s; {received} of {size} bytes had come");
            entry.receiver.fail(reason, now);
            self.settle(id, None, now);
        }
        self.table.forget_old(self.config.max_sessions, now);
        self.next_sweep = (!self.table.is_empty()).then(|| now + SWEEP);
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

const SHUTDOWN: &str = "the server is shutting down";

/// How often silence is looked for; it is noticed this much late at most.
const SWEEP: Duration = Duration::from_millis(500);
