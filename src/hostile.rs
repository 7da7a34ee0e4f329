//! A server behind bad weather that may misbehave on purpose: the endpoint, wrapped, and as pure as that.

mod script;

pub use script::FALSE_SOCKET;

use crate::endpoint::{Endpoint, Event};
use crate::harbour::Harbour;
use crate::packet::Packet;
use crate::packet::lab::Message;
use crate::session::{Machine, Transmit, Via, is_offer};
use crate::trace::{Noted, Recordings, Side};
use crate::weather::{Counts, Fault, Link, Misbehaviour, Weather};
use script::{AnswerFate, Companions, Script, is_start, lab_ack};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A machine that serves files: the endpoint itself, or one behind bad weather.
pub trait Serving: Machine {
    /// The endpoint inside.
    fn endpoint(&mut self) -> &mut Endpoint;

    /// The next event of the endpoint.
    fn poll_event(&mut self, now: Instant) -> Option<Event>;

    /// The windowed transfers beside it, if it takes any.
    fn harbour(&mut self) -> Option<&mut Harbour> {
        None
    }

    /// What was done to a transfer's peer, and what the peer did; `None` for an honest server.
    fn account(&self, peer: SocketAddr) -> Option<Account>;

    /// What is recorded of the exchanges with clients, if anything is.
    fn recordings(&mut self) -> Option<&mut Recordings> {
        None
    }

    /// Something is still on its way through the weather.
    fn is_underway(&self) -> bool {
        false
    }

    /// The server has ended itself (a misbehaviour).
    fn has_died(&self) -> bool {
        false
    }
}

impl Serving for Endpoint {
    fn endpoint(&mut self) -> &mut Endpoint {
        self
    }

    fn poll_event(&mut self, _now: Instant) -> Option<Event> {
        Endpoint::poll_event(self)
    }

    fn account(&self, _peer: SocketAddr) -> Option<Account> {
        None
    }
}

/// What befell one peer, and how it behaved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// What the weather did on the way in.
    pub inward: Counts,
    /// What the weather did on the way out.
    pub outward: Counts,
    /// How often the misbehaviour was applied.
    pub misbehaved: u64,
    /// Messages that came from the peer, as it sent them.
    pub messages: u64,
    /// Messages that the peer sent again, byte for byte.
    pub repeats: u64,
    /// The longest time between two messages of the peer.
    pub longest_silence: Duration,
    /// The longest datagram of the peer, in bytes.
    pub longest_datagram: usize,
}

/// The bad server: `socket 0` is its port, `socket 1` another one for false answers.
pub struct HostileServer {
    endpoint: Endpoint,
    weather: Weather,
    misbehaviour: Option<Misbehaviour>,
    seed: u64,
    peers: BTreeMap<SocketAddr, Peer>,
    dead: bool,
    recordings: Option<Recordings>,
}

/// What a datagram on a link carries along: its way, and where it was written down.
type Tag = (Via, Option<Noted>);

/// The links to one peer and what happened on them.
struct Peer {
    inward: Link<Tag>,
    outward: Link<Tag>,
    /// Answers that a misbehaviour keeps for a while, before the weather gets them.
    held: Link<Tag>,
    /// An answer that waits for the next one.
    kept: Option<(Tag, Vec<u8>)>,
    account: Account,
    /// The start, as the peer sent it, of the transfer that the account is about.
    start: Vec<u8>,
    /// What the weather had done when this transfer began.
    before: (Counts, Counts),
    last_message: Option<(Instant, Vec<u8>)>,
    script: Script,
}

impl HostileServer {
    /// Puts `endpoint` behind this weather; the same seed gives the same weather to the n-th peer.
    pub fn new(endpoint: Endpoint, weather: Weather, misbehaviour: Option<Misbehaviour>, seed: u64) -> Self {
        Self { endpoint, weather, misbehaviour, seed, peers: BTreeMap::new(), dead: false, recordings: None }
    }

    /// Records what passes from now on, as seen from both ends of the weather.
    pub fn record(&mut self, recordings: Recordings) {
        self.recordings = Some(recordings);
    }

    fn record_sent(&mut self, peer: SocketAddr, by: Side, datagram: &[u8], now: Instant) -> Option<Noted> {
        self.recordings.as_mut()?.sent(peer, by, datagram, now)
    }

    fn peer(&mut self, address: SocketAddr) -> &mut Peer {
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&address) {
            self.peers.pop_first();
        }
        let seed = self.seed.wrapping_add(self.peers.len() as u64 * 4);
        let weather = self.weather;
        let late = Fault { delay: LATE, ..Fault::default() };
        self.peers.entry(address).or_insert_with(|| Peer {
            inward: Link::new(weather.inward, seed),
            outward: Link::new(weather.outward, seed + 1),
            held: Link::new(late, seed + 2),
            kept: None,
            account: Account::default(),
            start: Vec::new(),
            before: (Counts::default(), Counts::default()),
            last_message: None,
            script: Script::default(),
        })
    }

    /// Hands to the endpoint what the weather lets in by now.
    fn pump_in(&mut self, now: Instant) {
        let addresses: Vec<SocketAddr> = self.peers.keys().copied().collect();
        for address in addresses {
            while let Some((tag, mut bytes)) = self.peers.get_mut(&address).and_then(|peer| peer.inward.poll(now)) {
                self.admit(tag, address, &mut bytes, now);
            }
        }
    }

    /// The misbehaviours that meet a message before the server does.
    fn admit(&mut self, (via, noted): Tag, from: SocketAddr, bytes: &mut [u8], now: Instant) {
        let misbehaviour = self.misbehaviour;
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let mut lost = self.dead || (peer.script.forgotten && !peer.script.is_new_start(bytes));
        let mut falsehood = None;
        match Packet::decode(bytes) {
            Ok(Packet::Lab(_, Message::Start { seq, size, .. })) if !lost => {
                peer.script.begin(is_offer(seq), size, bytes);
                lost = misbehaviour == Some(Misbehaviour::LoseStart) && peer.script.starts == 1;
            }
            Ok(Packet::Lab(spelling, Message::Data { seq, bytes: chunk })) if !lost => {
                let script = &mut peer.script;
                script.data += 1;
                lost = misbehaviour == Some(Misbehaviour::LoseEveryOtherData) && script.data % 2 == 1;
                if misbehaviour == Some(Misbehaviour::WrongPort) && script.data == 1 {
                    lost = true;
                    falsehood = lab_ack(spelling, seq);
                }
                if !lost {
                    script.take(seq, chunk);
                    lost = self.misbehave_midway(from, now);
                }
            }
            _ => {}
        }
        if let Some(bytes) = falsehood {
            if let Some(recordings) = &mut self.recordings {
                recordings.note(from, Side::Server, "answers from another port", now);
            }
            self.dispatch(Via { socket: FALSE_SOCKET, ..via }, from, bytes, AnswerFate::Goes, now);
        }
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if lost {
            peer.account.misbehaved += 1;
            return self.record_lost(from, noted, now);
        }
        peer.script.asked = bytes.first().copied();
        if let Some(recordings) = &mut self.recordings {
            recordings.came(from, noted, bytes, now);
        }
        // This weather knows no marks.
        self.endpoint.handle_packet(via, from, bytes, None, now);
    }

    /// Forgets the transfer, or ends the server, with the chunk that would bring half of it; says whether that chunk is lost.
    fn misbehave_midway(&mut self, from: SocketAddr, now: Instant) -> bool {
        let Some(script) = self.peers.get_mut(&from).map(|peer| &mut peer.script) else { return false };
        if script.received * 2 < script.size {
            return false;
        }
        match self.misbehaviour {
            Some(Misbehaviour::Forgets) => {
                script.forgotten = true;
                if let Some(id) = script.session.take() {
                    self.endpoint.forget(id, "forgotten in the middle, as asked", now);
                }
                true
            }
            Some(Misbehaviour::DiesMidway) => {
                self.dead = true;
                true
            }
            _ => false,
        }
    }

    /// The misbehaviours that meet an answer before the weather does.
    fn dismiss(&mut self, via: Via, to: SocketAddr, bytes: Vec<u8>, now: Instant) {
        let (misbehaviour, dead) = (self.misbehaviour, self.dead);
        let peer = self.peer(to);
        let Companions { before, fate } = peer.script.companions(misbehaviour, via, &bytes);
        peer.account.misbehaved += u64::from(!before.is_empty() || fate != AnswerFate::Goes);
        if let Some((tag, bytes)) = peer.kept.take() {
            self.set_out(to, tag, bytes, now);
        }
        for (via, bytes) in before {
            self.dispatch(via, to, bytes, AnswerFate::Goes, now);
        }
        match fate {
            _ if dead => {}
            AnswerFate::Twice => {
                self.dispatch(via, to, bytes.clone(), AnswerFate::Goes, now);
                self.dispatch(via, to, bytes, AnswerFate::Goes, now);
            }
            fate => self.dispatch(via, to, bytes, fate, now),
        }
    }

    /// Hands one answer to the weather, keeps it for a while, or loses it.
    fn dispatch(&mut self, via: Via, to: SocketAddr, bytes: Vec<u8>, fate: AnswerFate, now: Instant) {
        let noted = self.record_sent(to, Side::Server, &bytes, now);
        let tag = (via, noted);
        match fate {
            AnswerFate::Late => drop(self.peer(to).held.send(now, tag, bytes)),
            AnswerFate::Kept => self.peer(to).kept = Some((tag, bytes)),
            AnswerFate::Lost => self.record_lost(to, noted, now),
            AnswerFate::Goes | AnswerFate::Twice => self.set_out(to, tag, bytes, now),
        }
    }

    /// Sends an answer into the weather.
    fn set_out(&mut self, to: SocketAddr, tag: Tag, bytes: Vec<u8>, now: Instant) {
        if !self.peer(to).outward.send(now, tag, bytes) {
            self.record_lost(to, tag.1, now);
        }
    }

    fn record_lost(&mut self, peer: SocketAddr, noted: Option<Noted>, now: Instant) {
        if let Some(recordings) = &mut self.recordings {
            recordings.lost(peer, noted, now);
        }
    }

    /// Remembers which session is whose, for the misbehaviours.
    fn watch(&mut self, event: &Event) {
        if let Event::Started { id, peer, .. } = event
            && let Some(peer) = self.peers.get_mut(peer)
        {
            peer.script.session = Some(*id);
        }
    }
}

impl Machine for HostileServer {
    fn handle_datagram(&mut self, via: Via, from: SocketAddr, datagram: &[u8], now: Instant) {
        let peer = self.peer(from);
        if is_start(datagram) && peer.start != datagram {
            peer.begin(datagram);
        }
        peer.observe(datagram, now);
        let noted = self.record_sent(from, Side::Client, datagram, now);
        if !self.peer(from).inward.send(now, (via, noted), datagram.to_vec()) {
            self.record_lost(from, noted, now);
        }
        self.pump_in(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.pump_in(now);
        self.endpoint.handle_timeout(now);
    }

    fn handle_refused(&mut self, to: SocketAddr, size: usize, now: Instant) {
        self.endpoint.handle_refused(to, size, now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        while let Some(transmit) = self.endpoint.poll_transmit(now) {
            for datagram in transmit.datagrams() {
                self.dismiss(transmit.via, transmit.to, datagram.to_vec(), now);
            }
        }
        for (address, peer) in &mut self.peers {
            while let Some((tag, bytes)) = peer.held.poll(now) {
                let goes = peer.outward.send(now, tag, bytes);
                if let (false, Some(recordings)) = (goes, &mut self.recordings) {
                    recordings.lost(*address, tag.1, now);
                }
            }
            if let Some(((via, noted), bytes)) = peer.outward.poll(now) {
                if let Some(recordings) = &mut self.recordings {
                    recordings.came(*address, noted, &bytes, now);
                }
                return Some(Transmit::one(via, *address, bytes));
            }
        }
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let links = |peer: &Peer| {
            [peer.inward.poll_timeout(), peer.outward.poll_timeout(), peer.held.poll_timeout()]
                .into_iter()
                .flatten()
                .min()
        };
        let weather = self.peers.values().filter_map(links).min();
        [weather, self.endpoint.poll_timeout()].into_iter().flatten().min()
    }
}

impl Serving for HostileServer {
    fn endpoint(&mut self) -> &mut Endpoint {
        &mut self.endpoint
    }

    fn poll_event(&mut self, _now: Instant) -> Option<Event> {
        let event = self.endpoint.poll_event()?;
        self.watch(&event);
        Some(event)
    }

    fn account(&self, peer: SocketAddr) -> Option<Account> {
        let peer = self.peers.get(&peer)?;
        let inward = peer.inward.counts() - peer.before.0;
        let outward = peer.outward.counts() - peer.before.1;
        Some(Account { inward, outward, ..peer.account })
    }

    fn recordings(&mut self) -> Option<&mut Recordings> {
        self.recordings.as_mut()
    }

    fn is_underway(&self) -> bool {
        let links = |peer: &Peer| peer.inward.in_flight() + peer.outward.in_flight() + peer.held.in_flight();
        self.peers.values().any(|peer| links(peer) > 0)
    }

    fn has_died(&self) -> bool {
        self.dead
    }
}

impl Peer {
    fn observe(&mut self, datagram: &[u8], now: Instant) {
        let account = &mut self.account;
        account.messages += 1;
        account.longest_datagram = account.longest_datagram.max(datagram.len());
        if let Some((at, last)) = &self.last_message {
            account.longest_silence = account.longest_silence.max(now.saturating_duration_since(*at));
            account.repeats += u64::from(last == datagram);
        }
        self.last_message = Some((now, datagram.to_vec()));
    }

    /// Another start from the same port begins another account.
    fn begin(&mut self, start: &[u8]) {
        self.start = start.to_vec();
        self.account = Account::default();
        self.before = (self.inward.counts(), self.outward.counts());
        self.last_message = None;
    }
}

/// How late `late-acks` are: later than the course's clients repeat, earlier than their servers forget.
const LATE: Duration = Duration::from_millis(1200);

/// Peers whose weather is kept at once; the server's own limits come first.
const PEERS_MAX: usize = 4096;
