//! An echo server that is watched at every step.

use homing::echo::{EchoServer, Event, Reply};
use homing::packet::MAX_DATAGRAM;
use homing::packet::message::Style;
use homing::session::conversation::{MEMORY, SEEN_MAX};
use homing::session::{Machine, Via};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The server, and what each peer has told it.
pub struct Room {
    server: EchoServer,
    reply: Reply,
    now: Instant,
    peers: BTreeMap<SocketAddr, Ledger>,
}

/// What one address said: when each message was last heard, and how many there were.
#[derive(Default)]
struct Ledger {
    heard: BTreeMap<(u64, Vec<u8>), Instant>,
    count: usize,
}

/// What the bytes of a datagram ask for.
enum Wanted {
    Nothing,
    /// A number and a text to be acknowledged.
    Number(u64, Vec<u8>),
    /// These bytes.
    Bytes(Vec<u8>),
}

impl Room {
    pub fn new(reply: Reply) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
        let now = Instant::now();
        Self { server: EchoServer::new(reply), reply, now, peers: BTreeMap::new() }
    }

    /// A datagram comes; what it asks for is all that is said.
    pub fn hear(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.server.handle_datagram(Via::default(), from, datagram, self.now);
        let mut events = Vec::new();
        while let Some(event) = self.server.poll_event() {
            events.push(event);
        }
        assert!(events.len() <= 1, "{events:?}");
        let transmit = self.server.poll_transmit(self.now);
        assert!(transmit.as_ref().is_none_or(|transmit| transmit.to == from), "somebody else is told");
        let answer = transmit.map(|transmit| transmit.bytes);
        assert_eq!(self.server.poll_transmit(self.now), None, "one answer at most");
        let shown = datagram.escape_ascii();
        match self.wanted(datagram) {
            Wanted::Nothing => assert_eq!(answer, None, "{shown}"),
            Wanted::Bytes(bytes) => assert_eq!(answer, Some(bytes), "{shown}"),
            Wanted::Number(seq, text) => {
                let right = [format!("{seq}:ACK:").as_bytes(), &text].concat();
                assert!(right.len() <= datagram.len() + 4);
                assert_eq!(answer, Some(right), "{shown}");
                self.count(from, (seq, text), &events);
            }
        }
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.server.handle_timeout(self.now);
        assert_eq!(self.server.poll_transmit(self.now), None, "nothing is said on a timer");
        assert_eq!(self.server.poll_event(), None);
    }

    /// Addresses and messages that are remembered.
    pub fn remembered(&self) -> (usize, usize) {
        self.server.remembered()
    }

    /// When nobody says anything any more, everything is forgotten.
    pub fn end(mut self) {
        self.pass(Duration::from_secs(61));
        self.pass(Duration::from_secs(10));
        assert_eq!(self.remembered(), (0, 0));
        assert_eq!(self.server.poll_timeout(), None);
    }

    /// Within ten seconds of its last copy a message is not delivered again, as long as memory reaches.
    fn count(&mut self, from: SocketAddr, message: (u64, Vec<u8>), events: &[Event]) {
        let now = self.now;
        let ledger = self.peers.entry(from).or_default();
        ledger.count += 1;
        let before = ledger.heard.insert(message, now);
        let [Event::Message { verdict, .. }] = events else { panic!("{events:?}") };
        if ledger.count < SEEN_MAX && before.is_some_and(|before| now - before < MEMORY) {
            assert!(!verdict.is_delivered(), "delivered again: {events:?}");
        }
    }

    fn wanted(&self, datagram: &[u8]) -> Wanted {
        let digits = datagram.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = datagram.split_at(digits);
        let reads_as_answer = digits > 0 && rest.starts_with(b":ACK:");
        if reads_as_answer || datagram.starts_with(PREFIX) {
            return Wanted::Nothing;
        }
        let number: Option<u64> = std::str::from_utf8(number).ok().and_then(|digits| digits.parse().ok());
        let text = rest.strip_prefix(b":").filter(|text| std::str::from_utf8(text).is_ok());
        match (self.reply, number, text) {
            (Reply::Told(_) | Reply::Always(Style::Sequenced), Some(seq), Some(text)) => {
                let length = seq.to_string().len() + 5 + text.len();
                if length <= MAX_DATAGRAM { Wanted::Number(seq, text.to_vec()) } else { Wanted::Nothing }
            }
            (Reply::Always(Style::Sequenced) | Reply::Told(Style::Sequenced), ..) => Wanted::Nothing,
            (Reply::Always(Style::Acknowledge) | Reply::Told(Style::Acknowledge), ..) => {
                let answer = [PREFIX, datagram].concat();
                if answer.len() <= MAX_DATAGRAM { Wanted::Bytes(answer) } else { Wanted::Nothing }
            }
            _ if datagram.len() > MAX_DATAGRAM => Wanted::Nothing,
            _ => Wanted::Bytes(datagram.to_vec()),
        }
    }
}

const PREFIX: &[u8] = b"Server acknowledges: ";
