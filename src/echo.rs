//! The echo server without sockets: who said what, whether it was heard before, and how each of the three exercises is answered.

mod client;

pub use client::EchoClient;

use crate::packet::message::{self, Malformed, Message, Style};
use crate::session::conversation::{Complaints, Incoming, MEMORY, Policy, Verdict};
use crate::session::{Machine, Transmit, Via};
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use thiserror::Error;

/// How an echo server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Everything in this style.
    Always(Style),
    /// What reads as a numbered message is acknowledged with its number, everything else is answered in this style.
    Told(Style),
}

/// What the application may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message came.
    Message {
        /// From whom.
        peer: SocketAddr,
        /// How it was answered.
        style: Style,
        /// Its number, where it has one.
        seq: Option<u64>,
        /// What it says; not yet safe to print.
        text: Vec<u8>,
        /// Whether it is delivered by this event or was before. What has no number is always new.
        verdict: Verdict,
    },
    /// Something came that is not answered; told once in a while.
    Ignored {
        /// From whom.
        peer: SocketAddr,
        /// Why.
        reason: Unanswerable,
        /// How many more since the last one.
        untold: u64,
    },
}

/// Why a datagram is not answered.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unanswerable {
    /// It is no numbered message, where only those are answered.
    #[error("no numbered message: {0}")]
    Malformed(#[from] Malformed),
    /// The answer is longer than a datagram.
    #[error("its answer would not fit a datagram")]
    TooLong,
    /// It is somebody's answer.
    #[error("an answer is never answered")]
    Answer,
    /// It comes from a port where a service lives that answers everything.
    #[error("a service that answers everything lives at that port")]
    Service,
    /// The same bytes came many times in a row: perhaps another echo server sends them back.
    #[error("the same bytes came {RUN_MAX} times in a row, perhaps from another echo server")]
    Loop,
}

/// What a server has heard so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages delivered.
    pub delivered: u64,
    /// Messages that came again.
    pub duplicates: u64,
    /// Datagrams that were not answered.
    pub ignored: u64,
}

/// The server's machine. Each datagram is answered at once by one datagram at most, and nothing else is ever sent.
pub struct EchoServer {
    reply: Reply,
    peers: BTreeMap<SocketAddr, Peer>,
    counts: Counts,
    complaints: Complaints,
    next_sweep: Option<Instant>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

/// What is remembered of one address.
struct Peer {
    incoming: Incoming,
    last_heard: Instant,
    /// The bytes that were last sent back, as a digest, and how often in a row.
    run: (u64, u32),
}

impl EchoServer {
    /// A server that has heard nothing.
    pub fn new(reply: Reply) -> Self {
        Self {
            reply,
            peers: BTreeMap::new(),
            counts: Counts::default(),
            complaints: Complaints::default(),
            next_sweep: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What was heard so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many addresses and how many of their messages are remembered.
    pub fn remembered(&self) -> (usize, usize) {
        (self.peers.len(), self.peers.values().map(|peer| peer.incoming.remembered()).sum())
    }

    fn answer(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) -> Result<Vec<u8>, Unanswerable> {
        if message::is_answer(datagram) {
            return Err(Unanswerable::Answer);
        }
        if ANSWERING_SERVICES.contains(&from.port()) {
            return Err(Unanswerable::Service);
        }
        match (self.reply, message::decode(datagram)) {
            (Reply::Told(_) | Reply::Always(Style::Sequenced), Ok(Message::Text { seq, text })) => {
                self.acknowledge(from, seq, text, now)
            }
            (Reply::Always(Style::Sequenced) | Reply::Told(Style::Sequenced), Err(malformed)) => Err(malformed.into()),
            (Reply::Always(style) | Reply::Told(style), _) => self.send_back(from, style, datagram, now),
        }
    }

    /// A numbered message: delivered once, acknowledged each time.
    fn acknowledge(&mut self, peer: SocketAddr, seq: u64, text: &str, now: Instant) -> Result<Vec<u8>, Unanswerable> {
        let answer = Message::Ack { seq, text }.to_datagram().map_err(|_| Unanswerable::TooLong)?;
        let verdict = self.peer(peer, now).incoming.hear(seq, text, now);
        match verdict.is_delivered() {
            true => self.counts.delivered += 1,
            false => self.counts.duplicates += 1,
        }
        let text = text.as_bytes().to_vec();
        self.events.push_back(Event::Message { peer, style: Style::Sequenced, seq: Some(seq), text, verdict });
        Ok(answer)
    }

    /// A message without a number: answered each time, and delivered each time, since nothing tells a copy from a repeat.
    fn send_back(
        &mut self,
        peer: SocketAddr,
        style: Style,
        datagram: &[u8],
        now: Instant,
    ) -> Result<Vec<u8>, Unanswerable> {
        let answer = style.plain_answer(datagram).ok_or(Unanswerable::TooLong)?;
        let digest = digest(datagram);
        let run = &mut self.peer(peer, now).run;
        *run = if run.0 == digest { (digest, run.1 + 1) } else { (digest, 1) };
        if run.1 >= RUN_MAX {
            run.1 = 0;
            return Err(Unanswerable::Loop);
        }
        self.counts.delivered += 1;
        let text = datagram.to_vec();
        self.events.push_back(Event::Message { peer, style, seq: None, text, verdict: Verdict::New });
        Ok(answer)
    }

    fn peer(&mut self, address: SocketAddr, now: Instant) -> &mut Peer {
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&address) {
            self.make_room();
        }
        self.next_sweep.get_or_insert(now + SWEEP);
        let peer = self.peers.entry(address).or_insert_with(|| Peer {
            incoming: Incoming::new(Policy::AsTheyCome),
            last_heard: now,
            run: (0, 0),
        });
        peer.last_heard = now;
        peer
    }

    /// Forgets those who were quiet the longest, many at a time, so that a flood of new addresses does not cost a search each.
    fn make_room(&mut self) {
        let mut times: Vec<Instant> = self.peers.values().map(|peer| peer.last_heard).collect();
        let (_, &mut limit, _) = times.select_nth_unstable(PEERS_MAX / 8);
        let mut left = PEERS_MAX / 8 + 1;
        self.peers.retain(|_, peer| {
            // All may have come at the same moment.
            let goes = peer.last_heard <= limit && left > 0;
            left -= usize::from(goes);
            !goes
        });
    }
}

impl Machine for EchoServer {
    fn handle_datagram(&mut self, via: Via, from: SocketAddr, datagram: &[u8], now: Instant) {
        match self.answer(from, datagram, now) {
            Ok(bytes) => self.transmits.push_back(Transmit::one(via, from, bytes)),
            Err(reason) => {
                self.counts.ignored += 1;
                if let Some(untold) = self.complaints.admit(now) {
                    self.events.push_back(Event::Ignored { peer: from, reason, untold });
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.next_sweep.is_some_and(|due| now >= due) {
            self.peers.retain(|_, peer| now.saturating_duration_since(peer.last_heard) < PEER_LIFE);
            self.next_sweep = (!self.peers.is_empty()).then(|| now + SWEEP);
        }
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next_sweep
    }
}

fn digest(datagram: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(datagram);
    hasher.finish()
}

/// Addresses that are remembered. With 2 x 128 messages each, of 32 bytes, that makes 34 MB at the very most.
pub const PEERS_MAX: usize = 4096;

/// An address that was quiet for so long is forgotten: as a peer that begins anew would be, and then some.
const PEER_LIFE: Duration = Duration::from_secs(6 * MEMORY.as_secs());

/// How often quiet addresses are looked for.
const SWEEP: Duration = Duration::from_secs(10);

/// Two echo servers that got hold of one datagram would send it to and fro for ever. One that is not answered ends it; a client
/// that really says the same so often in a row takes it for a loss.
pub const RUN_MAX: u32 = 1000;

/// Echo, daytime, quote, chargen, time: they answer whatever comes, so nobody asks from there but a forger.
pub const ANSWERING_SERVICES: [u16; 5] = [7, 13, 17, 19, 37];

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 5000);

    /// A server, and what it says to what it hears.
    struct Room {
        server: EchoServer,
        now: Instant,
    }

    impl Room {
        #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
        fn new(reply: Reply) -> Self {
            Self { server: EchoServer::new(reply), now: Instant::now() }
        }

        fn hears_from(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<Vec<u8>> {
            self.server.handle_datagram(Via::default(), from, datagram, self.now);
            let answer = self.server.poll_transmit(self.now).map(|transmit| transmit.bytes);
            assert_eq!(self.server.poll_transmit(self.now), None, "one answer at most");
            answer
        }

        fn hears(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
            self.hears_from(PEER, datagram)
        }
    }

    const NOTHING: Option<&[u8]> = None;

    #[test]
    fn each_style_answers_as_its_exercise_says() {
        let told = Reply::Told(Style::Echo);
        let [sequenced, echo, acknowledge] = [Style::Sequenced, Style::Echo, Style::Acknowledge].map(Reply::Always);
        for (reply, datagram, answer) in [
            (sequenced, &b"1:hello"[..], Some(&b"1:ACK:hello"[..])),
            (sequenced, b"007:x", Some(b"7:ACK:x")),
            (sequenced, b"2:a:b", Some(b"2:ACK:a:b")),
            (sequenced, b"hello", NOTHING),
            (sequenced, b"1:\xff", NOTHING),
            (sequenced, b"", NOTHING),
            (echo, b"1:hello", Some(b"1:hello")),
            (echo, b"\xff\x00", Some(b"\xff\x00")),
            (echo, b"", Some(b"")),
            (acknowledge, b"1:hello", Some(b"Server acknowledges: 1:hello")),
            (acknowledge, b"\xff", Some(b"Server acknowledges: \xff")),
            (told, b"1:hello", Some(b"1:ACK:hello")),
            (told, b"hello", Some(b"hello")),
            (told, b"1:\xff", Some(b"1:\xff")),
            (told, b"noon: 12:00", Some(b"noon: 12:00")),
            (Reply::Told(Style::Acknowledge), b"hello", Some(b"Server acknowledges: hello")),
        ] {
            assert_eq!(Room::new(reply).hears(datagram).as_deref(), answer, "{reply:?} {}", datagram.escape_ascii());
        }
    }

    #[test]
    fn no_answer_of_any_style_is_answered_in_any_style() {
        let styles = [Style::Sequenced, Style::Echo, Style::Acknowledge];
        for reply in styles.map(Reply::Always).into_iter().chain(styles.map(Reply::Told)) {
            for datagram in [&b"1:ACK:x"[..], b"00000000000000000000000000000:ACK:\xff", b"Server acknowledges: x"] {
                assert_eq!(Room::new(reply).hears(datagram), None);
            }
            let chargen = SocketAddr::new(PEER.ip(), 19);
            assert_eq!(Room::new(reply).hears_from(chargen, b"1:x"), None);
        }
    }

    #[test]
    fn two_servers_that_got_hold_of_one_datagram_let_it_go() {
        let styles = [Style::Sequenced, Style::Echo, Style::Acknowledge];
        let replies: Vec<Reply> = styles.map(Reply::Always).into_iter().chain(styles.map(Reply::Told)).collect();
        for one in &replies {
            for other in &replies {
                let mut rooms = [Room::new(*one), Room::new(*other)];
                let mut flying = Some(b"5:hello".to_vec());
                let mut flights = 0;
                while let Some(datagram) = flying {
                    flying = rooms[flights % 2].hears(&datagram);
                    flights += 1;
                    assert!(flights <= 2 * RUN_MAX as usize, "{one:?} and {other:?}");
                }
                let loops = matches!((one, other), (Reply::Always(Style::Echo), Reply::Always(Style::Echo)));
                assert_eq!(flights > 4, loops, "{one:?} and {other:?}: {flights}");
            }
        }
    }

    #[test]
    fn what_cannot_be_answered_in_one_datagram_is_not_answered() {
        let mut room = Room::new(Reply::Always(Style::Sequenced));
        let longest = [b"1:".as_slice(), &vec![b'x'; crate::packet::MAX_DATAGRAM - 6]].concat();
        assert_eq!(room.hears(&longest).map(|answer| answer.len()), Some(crate::packet::MAX_DATAGRAM));
        assert_eq!(room.hears(&[&longest[..], b"x"].concat()), None);
        assert_eq!(room.server.counts(), Counts { delivered: 1, duplicates: 0, ignored: 1 });
    }

    #[test]
    fn a_flood_of_addresses_leaves_the_newest_and_a_quiet_minute_leaves_none() {
        let mut room = Room::new(Reply::Told(Style::Echo));
        for number in 0..50_000_u32 {
            room.now += Duration::from_micros(10);
            let from = SocketAddr::from((number.to_be_bytes(), 5000));
            assert!(room.hears_from(from, b"1:x").is_some());
            assert!(room.server.peers.len() <= PEERS_MAX);
            while room.server.poll_event().is_some() {}
        }
        let newest = SocketAddr::from((49_999_u32.to_be_bytes(), 5000));
        room.hears_from(newest, b"1:x");
        assert!(matches!(room.server.poll_event(), Some(Event::Message { verdict: Verdict::Duplicate, .. })));
        room.now += Duration::from_secs(70);
        room.server.handle_timeout(room.now);
        assert_eq!(room.server.remembered(), (0, 0));
        assert_eq!(room.server.poll_timeout(), None);
    }

    #[test]
    fn a_flood_of_nonsense_is_told_once_a_second() {
        let mut room = Room::new(Reply::Always(Style::Sequenced));
        let mut told = Vec::new();
        for _ in 0..2000 {
            room.now += Duration::from_millis(1);
            assert_eq!(room.hears(b"nonsense"), None);
            while let Some(Event::Ignored { untold, .. }) = room.server.poll_event() {
                told.push(untold);
            }
        }
        assert_eq!(told, [0, 999]);
        assert_eq!(room.server.counts().ignored, 2000);
    }
}
