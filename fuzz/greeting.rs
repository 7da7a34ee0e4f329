//! A client and a server of the windowed mode that shake hands, and what must hold after every step.

use homing::packet::windowed::{Cipher, Datagram};
use homing::session::handshake::server::{Config, Server, Verdict};
use homing::session::handshake::{Client, Event, Opening, PrivateKey, call};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(30);
const START: &[u8] = b"s | 1207959601 | f | 1";

/// Both, and the last that each said.
pub struct Greeting {
    now: Instant,
    began: Instant,
    server: Server,
    client: Client,
    question: Vec<u8>,
    answer: Vec<u8>,
    is_met: bool,
    is_over: bool,
    accepted: usize,
}

impl Greeting {
    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    pub fn new(home: SocketAddr, is_text: bool, has_aes: bool) -> Self {
        let now = Instant::now();
        let cipher = if has_aes { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 };
        let config = Config {
            key: PrivateKey::new(&[1; 32]),
            cipher,
            parameters: b"parameters".to_vec(),
            seed: [2; 32],
            pending_max: 4,
            pending_per_network_max: 3,
        };
        let mut server = Server::new(config, now);
        let words = server.words("homing/1 checked", home, START, now).into_bytes();
        let config = call::Config {
            key: PrivateKey::new(&[3; 32]),
            expected: Some(PrivateKey::new(&[1; 32]).public().fingerprint()),
            cipher: Cipher::Aes256Gcm,
            opening: if is_text { Opening::Text { start: START.to_vec(), words } } else { Opening::Binary },
            rtt: None,
            timeout: TIMEOUT,
            seed: [4; 32],
        };
        let client = Client::new(config, now);
        let (question, answer) = (Vec::new(), Vec::new());
        let mut greeting =
            Self { now, began: now, server, client, question, answer, is_met: false, is_over: false, accepted: 0 };
        greeting.drain();
        greeting
    }

    pub fn server_hears(&mut self, from: SocketAddr, datagram: &[u8]) {
        let before = self.server.pending();
        match self.server.handle_datagram(from, datagram, self.now) {
            Verdict::Ignored => assert!(self.server.pending() <= before),
            Verdict::Answer(answer) => {
                assert!(answer.len() <= datagram.len(), "never more than came");
                if let Ok(Datagram::Retry { .. } | Datagram::Version { .. }) = Datagram::decode(&answer) {
                    assert!(answer.len() <= 64 && self.server.pending() <= before, "nothing is kept");
                }
                self.answer = answer;
            }
            Verdict::Accepted(accepted) => {
                assert_eq!(accepted.client, PrivateKey::new(&[3; 32]).public(), "nobody else can have finished");
                assert_eq!(self.server.pending() + 1, before);
                self.accepted += 1;
            }
        }
        assert!(self.server.pending() <= 4);
        assert_eq!(self.server.poll_timeout().is_some(), self.server.pending() > 0);
    }

    pub fn client_hears(&mut self, datagram: &[u8]) {
        let was_over = self.is_over;
        let was_expected = self.client.handle_datagram(datagram, self.now);
        let said_something = self.drain();
        assert!(was_expected || !said_something, "only what was waited for has consequences");
        assert!(!was_over || !said_something && !was_expected);
    }

    /// What the client said last arrives at the server, from here or there, with a flipped bit or without.
    pub fn question_arrives(&mut self, from: SocketAddr, damage: Option<u8>) {
        let question = damaged(&self.question, damage);
        self.server_hears(from, &question);
    }

    /// What the server said last arrives at the client.
    pub fn answer_arrives(&mut self, damage: Option<u8>) {
        let answer = damaged(&self.answer, damage);
        self.client_hears(&answer);
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.server.handle_timeout(self.now);
        self.client.handle_timeout(self.now);
        self.drain();
        assert!(self.is_over || self.now < self.began + TIMEOUT);
    }

    pub fn finish(&mut self) {
        let frames = [1; 100];
        let was_over = self.is_over;
        let established = self.client.finish(&frames, self.now);
        assert!(established.is_none() || self.is_met, "only whom it met");
        assert_eq!(self.client.is_over(), was_over, "it goes on in either case");
        self.drain();
    }

    pub fn confirm(&mut self) {
        self.client.handle_confirmed(self.now);
        self.drain();
    }

    /// Says how often the server has accepted the client.
    pub fn end(mut self) -> usize {
        self.pass(TIMEOUT);
        assert!(self.is_over && self.client.poll_timeout().is_none());
        assert_eq!((self.server.pending(), self.server.poll_timeout()), (0, None));
        self.accepted
    }

    /// Every `poll_*`; says whether there was a datagram.
    fn drain(&mut self) -> bool {
        while let Some(event) = self.client.poll_event() {
            assert!(!self.is_over, "nothing comes after the end");
            match event {
                Event::Met { server, .. } => {
                    assert!(!std::mem::replace(&mut self.is_met, true), "once");
                    assert_eq!(server, PrivateKey::new(&[1; 32]).public());
                }
                Event::Over(_) => assert!(self.client.is_over()),
            }
        }
        self.is_over = self.client.is_over();
        match self.client.poll_transmit() {
            Some(question) => {
                assert!(question.len() <= 1200 && self.client.poll_transmit().is_none(), "one at a time");
                self.question = question;
                true
            }
            None => false,
        }
    }
}

fn damaged(datagram: &[u8], damage: Option<u8>) -> Vec<u8> {
    let mut datagram = datagram.to_vec();
    if let Some(place) = damage
        && let Some(byte) = datagram.get_mut(usize::from(place))
    {
        *byte ^= 1 << (place % 8);
    }
    datagram
}
