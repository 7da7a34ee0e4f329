//! Windowed transfers at a server, without sockets and disks: who may open one, which of them a datagram belongs to, and who must be
//! woken.

use crate::packet::windowed::{ConnectionId, Datagram, Header, RESET_MAX, reset};
use crate::session::handshake::seeds::Seeds;
use crate::session::handshake::{Accepted, PublicKey, Server, Verdict, server};
use crate::session::windowed::acks::Ecn;
use crate::session::windowed::connection::Batch;
use crate::session::windowed::log::{Entry, Log};
use crate::session::windowed::reception::{self, Reception};
use crate::session::{Via, network};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// Transfers at once.
    pub max_transfers: usize,
    /// Transfers at once from one IP address (an IPv6 /64 counts as one).
    pub max_transfers_per_network: usize,
    /// A transfer that hears nothing for so long is given up.
    pub timeout: Duration,
    /// The largest UDP payload that is tried, in bytes.
    pub mtu_max: usize,
    /// Bytes that cannot be guessed and are used for nothing else.
    pub seed: [u8; 32],
}

/// What the application must do or may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody has proven address and key, and begins a transfer.
    Opened {
        /// The transfer's number, counted from 1.
        id: u64,
        /// Where the client is.
        peer: SocketAddr,
        /// Who it is.
        client: PublicKey,
    },
    /// Something of a transfer's own.
    Happened {
        /// The transfer's number.
        id: u64,
        /// What happened.
        event: reception::Event,
    },
}

/// Datagrams on their way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shipment {
    /// The way they leave by: from the address that the client spoke to.
    pub via: Via,
    /// Where they go.
    pub to: SocketAddr,
    /// How they are cut.
    pub batch: Batch,
}

/// The machine.
pub struct Harbour {
    config: Config,
    greeter: Server,
    berths: BTreeMap<ConnectionId, Berth>,
    names: BTreeMap<u64, ConnectionId>,
    /// Who wants to be woken when.
    alarms: BTreeSet<(Instant, ConnectionId)>,
    /// Who may have something to send.
    restless: BTreeSet<ConnectionId>,
    last_id: u64,
    seeds: Seeds,
    /// What was observed of all transfers, if somebody wants to know.
    log: Option<Log>,
    answers: VecDeque<(Via, SocketAddr, Vec<u8>)>,
    /// Clients that came by a start, and were not asked for.
    invited: VecDeque<SocketAddr>,
    events: VecDeque<Event>,
}

/// A transfer at its place.
struct Berth {
    id: u64,
    via: Via,
    reception: Reception,
    alarm: Option<Instant>,
    /// The client has said good-bye, or fallen silent.
    is_over: bool,
    /// It goes then, whether the client has said good-bye or not.
    leaves_at: Option<Instant>,
}

impl Harbour {
    /// Nobody is there.
    pub fn new(config: Config, greeting: server::Config, now: Instant) -> Self {
        Self {
            seeds: Seeds::new(&config.seed),
            config,
            greeter: Server::new(greeting, now),
            berths: BTreeMap::new(),
            names: BTreeMap::new(),
            alarms: BTreeSet::new(),
            restless: BTreeSet::new(),
            last_id: 0,
            log: None,
            answers: VecDeque::new(),
            invited: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// From now on what happens to transfers is told to a log, which is taken with [`Harbour::drain_log`].
    pub fn record(&mut self, now: Instant) {
        self.log = Some(Log::new(0, now));
    }

    /// Moves what was observed into `into`.
    pub fn drain_log(&mut self, into: &mut Vec<Entry>) {
        if let Some(log) = &mut self.log {
            log.drain(into);
        }
    }

    /// The capability words of a start's acknowledgement; see [`Server::words`].
    pub fn words(&mut self, words: &str, peer: SocketAddr, start: &[u8], now: Instant) -> String {
        self.greeter.words(words, peer, start, now)
    }

    /// How many transfers there are, those included that are over and not forgotten yet.
    pub fn transfers(&self) -> usize {
        self.berths.len()
    }

    /// Whether a client has yet to hear that all is done.
    pub fn is_unheard(&self) -> bool {
        self.berths.values().any(|berth| berth.leaves_at.is_some() && !berth.is_over)
    }

    /// A datagram of the windowed mode came. It is used up.
    pub fn handle_datagram(&mut self, via: Via, from: SocketAddr, datagram: &mut [u8], ecn: Option<Ecn>, now: Instant) {
        if let Ok(Datagram::Packet(header)) = Datagram::decode(datagram) {
            return self.handle_packet((via, from), &header, datagram, ecn, now);
        }
        match self.greeter.handle_datagram(from, datagram, now) {
            Verdict::Ignored => {}
            Verdict::Answer(answer) => self.answers.push_back((via, from, answer)),
            Verdict::Accepted(accepted) => self.open(via, *accepted, now),
        }
    }

    /// The kernel would not send a datagram of this length to a client.
    pub fn handle_refused(&mut self, to: SocketAddr, size: usize, now: Instant) {
        let is_there = |(_, berth): &(&ConnectionId, &Berth)| berth.reception.peer() == to;
        let names: Vec<ConnectionId> = self.berths.iter().filter(is_there).map(|(name, _)| *name).collect();
        for name in names {
            if let Some(berth) = self.berths.get_mut(&name) {
                berth.reception.handle_refused(size, now);
            }
            self.stir(name, now);
        }
    }

    /// All transfers end, for this reason; nobody else is let in.
    pub fn handle_shutdown(&mut self, reason: &str, now: Instant) {
        self.config.max_transfers = 0;
        let ids: Vec<u64> = self.names.keys().copied().collect();
        for id in ids {
            self.with(id, now, |reception| reception.handle_abort(GOING, reason));
        }
    }

    /// Lets a transfer of the application's do something, as [`Reception::handle_taken`].
    pub fn with(&mut self, id: u64, now: Instant, act: impl FnOnce(&mut Reception)) {
        if let Some(name) = self.names.get(&id).copied()
            && let Some(berth) = self.berths.get_mut(&name)
        {
            act(&mut berth.reception);
            self.stir(name, now);
        }
    }

    /// All is done: the client is told, and has a while to hear it.
    pub fn handle_done(&mut self, id: u64, now: Instant) {
        if let Some(berth) = self.names.get(&id).and_then(|name| self.berths.get_mut(name)) {
            berth.leaves_at.get_or_insert(now + LAST_WORD_KEPT);
        }
        self.with(id, now, Reception::handle_done);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.greeter.handle_timeout(now);
        while let Some((_, name)) = self.alarms.first().copied().filter(|(due, _)| *due <= now) {
            self.alarms.pop_first();
            let Some(berth) = self.berths.get_mut(&name) else { continue };
            berth.alarm = None;
            if berth.leaves_at.is_some_and(|due| now >= due) {
                self.forget(name);
                continue;
            }
            berth.reception.handle_timeout(now);
            self.stir(name, now);
        }
    }

    /// The next client that was offered the windowed mode in the acknowledgement of its start, and has come: what that start has
    /// opened elsewhere is not needed any more.
    pub fn poll_invited(&mut self) -> Option<SocketAddr> {
        self.invited.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Appends the next datagrams to `out`.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>, now: Instant) -> Option<Shipment> {
        if let Some((via, to, bytes)) = self.answers.pop_front() {
            out.extend_from_slice(&bytes);
            return Some(Shipment { via, to, batch: Batch { segment: bytes.len(), is_markable: false } });
        }
        while let Some(name) = self.restless.first().copied() {
            if let Some(berth) = self.berths.get_mut(&name) {
                let batch = berth.reception.poll_transmit(out, now);
                let (via, to) = (berth.via, berth.reception.peer());
                self.collect(name, now);
                if let Some(batch) = batch {
                    return Some(Shipment { via, to, batch });
                }
            }
            self.restless.remove(&name);
            self.set_alarm(name, now);
        }
        None
    }

    /// When [`Harbour::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let alarm = self.alarms.first().map(|(due, _)| *due);
        [alarm, self.greeter.poll_timeout()].into_iter().flatten().min()
    }

    fn handle_packet(
        &mut self,
        (via, from): (Via, SocketAddr),
        header: &Header,
        packet: &mut [u8],
        ecn: Option<Ecn>,
        now: Instant,
    ) {
        let Some(berth) = self.berths.get_mut(&header.to) else {
            return self.answer_unknown(via, from, header.to, packet.len());
        };
        if berth.reception.handle_packet(header, packet, ecn, now).is_err() {
            return;
        }
        if from == berth.reception.peer() {
            berth.via = via;
        } else {
            let bytes = self.seeds.bytes();
            let mut out = Vec::new();
            if let Some(berth) = self.berths.get_mut(&header.to)
                && berth.reception.handle_stranger((from, packet.len()), bytes, &mut out, now).is_some()
            {
                self.answers.push_back((via, from, out));
            }
        }
        self.stir(header.to, now);
    }

    /// Tells whoever thinks that there is a connection that there is none.
    fn answer_unknown(&mut self, via: Via, from: SocketAddr, id: ConnectionId, length: usize) {
        let mut random = [0; RESET_MAX];
        for chunk in random.chunks_mut(32) {
            for (byte, given) in chunk.iter_mut().zip(self.seeds.seed().iter()) {
                *byte = *given;
            }
        }
        if self.answers.len() < ANSWERS_MAX && !self.greeter.is_pending(id) {
            let answer = reset(length, &self.greeter.reset_token(id), &random);
            self.answers.extend(answer.map(|bytes| (via, from, bytes)));
        }
    }

    fn open(&mut self, via: Via, accepted: Accepted, now: Instant) {
        let home = |peer: SocketAddr| network(peer.ip());
        // Those that are over, or were refused, take nobody's place.
        let running = || self.berths.values().filter(|berth| !berth.is_over).map(|berth| home(berth.reception.peer()));
        let is_full = running().count() >= self.config.max_transfers
            || running().filter(|other| *other == home(accepted.peer)).count() >= self.config.max_transfers_per_network;
        if !self.make_room() {
            return;
        }
        let (name, peer, client) = (accepted.id, accepted.peer, accepted.client);
        self.invited.extend(accepted.start.map(|_| peer));
        let seed = self.seeds.bytes();
        let mut reception = Reception::new(accepted, self.config.mtu_max, self.config.timeout, seed, now);
        self.last_id += 1;
        let id = self.last_id;
        if self.log.is_some() {
            reception.record(Log::new(id, now));
        }
        if is_full {
            reception.handle_abort(FULL, "the server has as many transfers as it takes; try again later");
        } else {
            self.events.push_back(Event::Opened { id, peer, client });
        }
        let leaves_at = is_full.then(|| now + FAREWELL);
        self.berths.insert(name, Berth { id, via, reception, alarm: None, is_over: false, leaves_at });
        self.names.insert(id, name);
        self.stir(name, now);
    }

    /// Forgets who has been over for longest, if too many are. False if nobody is.
    fn make_room(&mut self) -> bool {
        if self.berths.len() < self.config.max_transfers.saturating_add(FAREWELLS_MAX) {
            return true;
        }
        let over = self.berths.iter().filter(|(_, berth)| berth.is_over);
        let oldest = over.min_by_key(|(_, berth)| berth.leaves_at).map(|(name, _)| *name);
        oldest.into_iter().for_each(|name| self.forget(name));
        oldest.is_some()
    }

    /// Something happened to a transfer: it may have something to tell, to send, and another time to wake up at.
    fn stir(&mut self, name: ConnectionId, now: Instant) {
        self.restless.insert(name);
        self.collect(name, now);
    }

    fn collect(&mut self, name: ConnectionId, now: Instant) {
        let Some(berth) = self.berths.get_mut(&name) else { return };
        if let (Some(log), Some(other)) = (&mut self.log, berth.reception.log()) {
            log.absorb(other);
        }
        while let Some(event) = berth.reception.poll_event() {
            if matches!(event, reception::Event::Over(_)) {
                berth.is_over = true;
                berth.leaves_at = Some(berth.leaves_at.unwrap_or(now + FAREWELL).min(now + FAREWELL));
            }
            self.events.push_back(Event::Happened { id: berth.id, event });
        }
    }

    fn set_alarm(&mut self, name: ConnectionId, now: Instant) {
        let Some(berth) = self.berths.get_mut(&name) else { return };
        let due = [berth.reception.poll_timeout(now), berth.leaves_at].into_iter().flatten().min();
        if berth.alarm != due {
            if let Some(before) = berth.alarm {
                self.alarms.remove(&(before, name));
            }
            berth.alarm = due;
            self.alarms.extend(due.map(|due| (due, name)));
        }
    }

    fn forget(&mut self, name: ConnectionId) {
        if let Some(berth) = self.berths.remove(&name) {
            self.names.remove(&berth.id);
            if let Some(due) = berth.alarm {
                self.alarms.remove(&(due, name));
            }
        }
        self.restless.remove(&name);
    }
}

/// The server has no place.
pub const FULL: u64 = 0x100;

/// The server ends.
pub const GOING: u64 = 0x101;

/// For so long after its end what a client repeats is answered once more.
const FAREWELL: Duration = Duration::from_secs(10);

/// So many that are over are remembered besides those that run: who shakes hands and hangs up as fast as he can gets no more.
const FAREWELLS_MAX: usize = 256;

/// For so long it is said that all is done, if nobody confirms it: what the lab's mode remembers of a finished transfer, too.
const LAST_WORD_KEPT: Duration = Duration::from_secs(60);

/// Resets that wait to be sent; a flood gets no more.
const ANSWERS_MAX: usize = 256;
