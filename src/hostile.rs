//! A server behind bad weather that may misbehave on purpose: the endpoint, wrapped, and as pure as that.

use crate::endpoint::{Endpoint, Event, SessionId};
use crate::packet::lab::{Message, Spelling};
use crate::packet::{Packet, lab};
use crate::session::{Machine, Transmit, Via, is_offer};
use crate::weather::{Counts, Fault, Link, Misbehaviour, Weather};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A machine that serves files: the endpoint itself, or one behind bad weather.
pub trait Serving: Machine {
    /// The endpoint inside.
    fn endpoint(&mut self) -> &mut Endpoint;

    /// The next event of the endpoint.
    fn poll_event(&mut self, now: Instant) -> Option<Event>;

    /// What was done to a transfer's peer, and what the peer did; `None` for an honest server.
    fn account(&self, peer: SocketAddr) -> Option<Account>;

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
    sessions: BTreeMap<SessionId, SocketAddr>,
    events: VecDeque<Event>,
    dead: bool,
}

/// The links to one peer and what happened on them.
struct Peer {
    inward: Link<Via>,
    outward: Link<Via>,
    /// Answers that a misbehaviour keeps for a while, before the weather gets them.
    held: Link<Via>,
    account: Account,
    last_message: Option<(Instant, Vec<u8>)>,
    script: Script,
}

/// What a misbehaviour remembers of a transfer.
#[derive(Default)]
struct Script {
    starts: u64,
    start_acks: u64,
    data: u64,
    data_acks: u64,
    lost_last: bool,
    previous_ack: Option<Vec<u8>>,
    offered: bool,
    size: u64,
    received: u64,
    last_seq: Option<u64>,
    /// The kind of the last message that reached the endpoint.
    asked: Option<u8>,
    session: Option<SessionId>,
}

impl HostileServer {
    /// Puts `endpoint` behind this weather; the same seed gives the same weather to the n-th peer.
    pub fn new(endpoint: Endpoint, weather: Weather, misbehaviour: Option<Misbehaviour>, seed: u64) -> Self {
        let (peers, sessions, events) = (BTreeMap::new(), BTreeMap::new(), VecDeque::new());
        Self { endpoint, weather, misbehaviour, seed, peers, sessions, events, dead: false }
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
            account: Account::default(),
            last_message: None,
            script: Script::default(),
        })
    }

    /// Hands to the endpoint what the weather lets in by now.
    fn pump_in(&mut self, now: Instant) {
        let addresses: Vec<SocketAddr> = self.peers.keys().copied().collect();
        for address in addresses {
            while let Some((via, bytes)) = self.peers.get_mut(&address).and_then(|peer| peer.inward.poll(now)) {
                self.admit(via, address, &bytes, now);
            }
        }
    }

    /// The misbehaviours that meet a message before the server does.
    fn admit(&mut self, via: Via, from: SocketAddr, bytes: &[u8], now: Instant) {
        let misbehaviour = self.misbehaviour;
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let script = &mut peer.script;
        let mut lost = self.dead;
        let mut falsehood = None;
        match Packet::decode(bytes) {
            Ok(Packet::Lab(_, Message::Start { seq, size, .. })) => {
                script.begin(is_offer(seq), size);
                lost |= misbehaviour == Some(Misbehaviour::LoseStart) && script.starts == 1;
            }
            Ok(Packet::Lab(spelling, Message::Data { seq, bytes: chunk })) => {
                script.data += 1;
                lost |= misbehaviour == Some(Misbehaviour::LoseEveryOtherData) && script.data % 2 == 1;
                if misbehaviour == Some(Misbehaviour::WrongPort) && script.data == 1 {
                    lost = true;
                    falsehood = lab_ack(spelling, seq);
                }
                if !lost {
                    script.take(seq, chunk);
                }
            }
            _ => {}
        }
        if let Some(bytes) = falsehood {
            peer.outward.send(now, Via::socket(FALSE_SOCKET), bytes);
        }
        if lost {
            peer.account.misbehaved += 1;
            return;
        }
        script_asked(&mut peer.script, bytes);
        self.endpoint.handle_datagram(via, from, bytes, now);
        self.misbehave_midway(from, now);
    }

    /// Forgets the transfer, or ends the server, once half of it is there.
    fn misbehave_midway(&mut self, from: SocketAddr, now: Instant) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let midway = peer.script.size > 0 && peer.script.received * 2 >= peer.script.size;
        if !midway {
            return;
        }
        match self.misbehaviour {
            Some(Misbehaviour::Forgets) => {
                if let Some(id) = peer.script.session.take() {
                    peer.account.misbehaved += 1;
                    self.endpoint.forget(id, "forgotten in the middle, as asked", now);
                }
            }
            Some(Misbehaviour::DiesMidway) => {
                peer.account.misbehaved += 1;
                self.dead = true;
            }
            _ => {}
        }
    }

    /// The misbehaviours that meet an answer before the weather does.
    fn dismiss(&mut self, transmit: Transmit, now: Instant) {
        let misbehaviour = self.misbehaviour;
        let dead = self.dead;
        let peer = self.peer(transmit.to);
        let Transmit { via, bytes, .. } = transmit;
        let companions = peer.script.companions(misbehaviour, &bytes);
        peer.account.misbehaved += u64::from(!companions.before.is_empty() || companions.fate != AnswerFate::Goes);
        for (via, bytes) in companions.before {
            peer.outward.send(now, via, bytes);
        }
        match companions.fate {
            _ if dead => {}
            AnswerFate::Goes => peer.outward.send(now, via, bytes),
            AnswerFate::Twice => {
                peer.outward.send(now, via, bytes.clone());
                peer.outward.send(now, via, bytes);
            }
            AnswerFate::Late => peer.held.send(now, via, bytes),
            AnswerFate::Lost => {}
        }
    }

    /// Remembers which session is whose, for the misbehaviours and the accounts.
    fn watch(&mut self, event: &Event) {
        if let Event::Started { id, peer, .. } = event {
            self.sessions.insert(*id, *peer);
            if let Some(peer) = self.peers.get_mut(peer) {
                peer.script.session = Some(*id);
            }
        }
    }
}

impl Machine for HostileServer {
    fn handle_datagram(&mut self, via: Via, from: SocketAddr, datagram: &[u8], now: Instant) {
        let peer = self.peer(from);
        peer.observe(datagram, now);
        peer.inward.send(now, via, datagram.to_vec());
        self.pump_in(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.pump_in(now);
        self.endpoint.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        while let Some(transmit) = self.endpoint.poll_transmit(now) {
            self.dismiss(transmit, now);
        }
        for (address, peer) in &mut self.peers {
            while let Some((via, bytes)) = peer.held.poll(now) {
                peer.outward.send(now, via, bytes);
            }
            if let Some((via, bytes)) = peer.outward.poll(now) {
                return Some(Transmit { via, to: *address, bytes });
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
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let event = self.endpoint.poll_event()?;
        self.watch(&event);
        Some(event)
    }

    fn account(&self, peer: SocketAddr) -> Option<Account> {
        let peer = self.peers.get(&peer)?;
        Some(Account { inward: peer.inward.counts(), outward: peer.outward.counts(), ..peer.account })
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
}

/// What happens to an answer, and what goes before it.
struct Companions {
    before: Vec<(Via, Vec<u8>)>,
    fate: AnswerFate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum AnswerFate {
    Goes,
    Twice,
    Late,
    Lost,
}

impl Script {
    fn begin(&mut self, offered: bool, size: u64) {
        self.starts += 1;
        self.offered = offered;
        self.size = size;
    }

    fn take(&mut self, seq: u64, chunk: &[u8]) {
        if self.last_seq.replace(seq) != Some(seq) {
            self.received += chunk.len() as u64;
        }
    }

    /// Whether the answer at hand ends the transfer: the checksum's, or to a plain peer the last chunk's.
    fn is_at_end(&self) -> bool {
        match self.asked {
            Some(b'c') => true,
            Some(b'd') => !self.offered && self.received >= self.size,
            _ => false,
        }
    }

    fn companions(&mut self, misbehaviour: Option<Misbehaviour>, answer: &[u8]) -> Companions {
        let main = Via::socket(0);
        let mut before = Vec::new();
        let mut fate = AnswerFate::Goes;
        let is_ack = matches!(Packet::decode(answer), Ok(Packet::Lab(_, Message::Ack { .. })));
        let (is_start_ack, is_data_ack) = (is_ack && self.asked == Some(b's'), is_ack && self.asked == Some(b'd'));
        self.start_acks += u64::from(is_start_ack);
        self.data_acks += u64::from(is_data_ack);
        match misbehaviour {
            Some(Misbehaviour::Silent) => fate = AnswerFate::Lost,
            _ if !is_ack => {}
            Some(Misbehaviour::LoseStartAck) if is_start_ack && self.start_acks == 1 => fate = AnswerFate::Lost,
            Some(Misbehaviour::LoseEveryOtherAck) if is_data_ack && self.data_acks % 2 == 1 => fate = AnswerFate::Lost,
            Some(Misbehaviour::LoseLastAck) if self.is_at_end() && !self.lost_last => {
                self.lost_last = true;
                fate = AnswerFate::Lost;
            }
            Some(Misbehaviour::DuplicateAcks) => fate = AnswerFate::Twice,
            Some(Misbehaviour::LateAcks) => fate = AnswerFate::Late,
            Some(Misbehaviour::StaleAcks) => before.extend(self.previous_ack.clone().map(|ack| (main, ack))),
            Some(Misbehaviour::FutureAcks) => before.extend(future(answer).map(|ack| (main, ack))),
            Some(Misbehaviour::Garbage) => before.extend([(main, Vec::new()), (main, GARBAGE.to_vec())]),
            Some(Misbehaviour::TruncatedAcks) => before.push((main, beginning(answer).to_vec())),
            Some(Misbehaviour::WrongPort) => before.push((Via::socket(FALSE_SOCKET), answer.to_vec())),
            _ => {}
        }
        if is_ack {
            self.previous_ack = Some(answer.to_vec());
        }
        Companions { before, fate }
    }
}

fn script_asked(script: &mut Script, datagram: &[u8]) {
    script.asked = datagram.first().copied();
}

/// The acknowledgement that a chunk with this number would get.
fn lab_ack(spelling: Spelling, seq: u64) -> Option<Vec<u8>> {
    let next = match spelling {
        Spelling::Spaced => seq.checked_add(1)?,
        Spelling::Compact if seq > 1 => seq.checked_add(1)?,
        Spelling::Compact => return Some(if seq == 1 { lab::UNDECIDED_ACK.to_vec() } else { b"a|1".to_vec() }),
    };
    Message::Ack { next, bufsize: None, words: None }.to_datagram(spelling).ok()
}

/// The same acknowledgement with a number one too high.
fn future(answer: &[u8]) -> Option<Vec<u8>> {
    let Ok(Packet::Lab(spelling, Message::Ack { next, bufsize, words })) = Packet::decode(answer) else { return None };
    Message::Ack { next: next.checked_add(1)?, bufsize, words }.to_datagram(spelling).ok()
}

/// An acknowledgement cut before its number: `a | ` or `a|`.
fn beginning(answer: &[u8]) -> &[u8] {
    let end = answer.iter().position(u8::is_ascii_digit).unwrap_or(1);
    answer.get(..end).unwrap_or(answer)
}

/// The number of the socket from which false answers come.
pub const FALSE_SOCKET: usize = 1;

/// How late `late-acks` are: later than the course's clients repeat, earlier than their servers forget.
const LATE: Duration = Duration::from_millis(1200);

/// Peers whose weather is kept at once; the server's own limits come first.
const PEERS_MAX: usize = 4096;

const GARBAGE: &[u8] = b"\x00\xffgarbage";
