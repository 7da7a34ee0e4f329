//! An upload whose server shook hands as it should and then says what it likes; what must hold is asserted at every step.

use super::pirate::{Pirate, offset, place, space};
use homing::codec::VARINT_MAX;
use homing::packet::windowed::Cipher;
use homing::packet::windowed::frame::{Frame, Space};
use homing::session::congestion::Choice;
use homing::session::handshake::{Opening, PrivateKey, Verdict, call, server};
use homing::session::windowed::caller::Caller;
use homing::session::windowed::streams::Source;
use homing::session::windowed::upload::{Event, Sending, Upload};
use homing::session::windowed::{ANSWER_WINDOW, DATA_CREDIT, MANIFEST_CREDIT};
use homing::session::{Machine, Via};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Both, and what the client was told.
pub struct Call {
    now: Instant,
    peers: [SocketAddr; 2],
    caller: Caller<Pattern>,
    server: server::Server,
    pub pirate: Option<Pirate>,
    /// The most that the client was allowed to send of each space.
    allowed: [u64; 3],
    answered: u64,
    is_over: bool,
    has_failed: bool,
    is_done: bool,
}

/// A source that has any bytes, or none for a while.
pub struct Pattern {
    is_dry: bool,
}

impl Source for Pattern {
    fn read(&mut self, _space: Space, offset: u64, into: &mut [u8]) -> bool {
        into.fill(offset as u8);
        !self.is_dry
    }
}

impl Call {
    pub fn new(peers: [SocketAddr; 2], kind: u8) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
        let now = Instant::now();
        let choice = [Choice::Bbr, Choice::Cubic, Choice::Background, Choice::Fixed(1 << 20)][usize::from(kind & 3)];
        let config = call::Config {
            key: PrivateKey::new(&[3; 32]),
            expected: None,
            cipher: Cipher::Aes256Gcm,
            opening: Opening::Binary,
            rtt: None,
            timeout: TIMEOUT,
            seed: [4; 32],
        };
        let sending = Sending { choice, remembered: None, mtu_max: 1472, timeout: TIMEOUT, seed: [kind; 16] };
        let mut upload = Upload::new(config, sending, Pattern { is_dry: false }, now);
        upload.handle_manifest(offset(kind).min(1 << 20));
        upload.handle_data([0, 1000, 100_000, VARINT_MAX][usize::from(kind >> 2 & 3)]);
        let greeting = server::Config {
            key: PrivateKey::new(&[1; 32]),
            cipher: Cipher::Aes256Gcm,
            parameters: b"parameters".to_vec(),
            seed: [2; 32],
            pending_max: 4,
            pending_per_network_max: 4,
        };
        let mut call = Self {
            now,
            peers,
            caller: Caller::new(upload, peers.to_vec(), now),
            server: server::Server::new(greeting, now),
            pirate: None,
            allowed: [DATA_CREDIT, MANIFEST_CREDIT, 0],
            answered: 0,
            is_over: false,
            has_failed: false,
            is_done: false,
        };
        call.drain();
        call
    }

    /// A datagram comes from one of the server's addresses.
    pub fn hear(&mut self, who: usize, datagram: &[u8]) {
        let via = Via::socket(who % self.peers.len());
        self.caller.handle_packet(via, self.peers[via.socket], &mut datagram.to_vec(), None, self.now);
        self.drain();
    }

    /// The server says something, if it has shaken hands.
    pub fn say(&mut self, make: impl FnOnce(&mut Pirate) -> Option<Vec<u8>>) {
        let said = self.pirate.as_mut().and_then(make);
        if let Some(packet) = said {
            self.hear(0, &packet);
        }
    }

    /// A limit, and what it allows.
    pub fn grant(&mut self, kind: u8, value: u8) {
        let (space, limit) = (space(kind), offset(value));
        self.allowed[place(space)] = self.allowed[place(space)].max(limit);
        self.say(|pirate| Some(pirate.seal_frames(&[Frame::MaxBytes { space, limit }])));
    }

    /// Frames that may hold limits: from then on all is allowed.
    pub fn say_anything(&mut self, frames: &[u8], skip: u64) {
        self.allowed = [VARINT_MAX; 3];
        self.say(|pirate| Some(pirate.seal(frames, skip)));
    }

    pub fn set_dry(&mut self, is_dry: bool) {
        self.caller.upload().source().is_dry = is_dry;
        if !is_dry {
            self.caller.upload().handle_source_ready();
        }
        self.drain();
    }

    pub fn void(&mut self, from: u8, to: u8) {
        self.caller.upload().handle_void(offset(from)..offset(to));
        self.drain();
    }

    pub fn abort(&mut self) {
        if self.pirate.is_some() && !self.is_over {
            self.caller.upload().handle_abort(1, "enough");
            self.drain();
        }
    }

    pub fn refuse(&mut self, size: usize) {
        self.caller.handle_refused(self.peers[0], size, self.now);
        self.drain();
    }

    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..STEPS_MAX {
            match self.caller.poll_timeout().filter(|due| *due <= until) {
                Some(due) => {
                    self.now = due.max(self.now);
                    self.caller.handle_timeout(self.now);
                    self.drain();
                }
                None => break,
            }
        }
        // A fast sender has not come to rest then; it goes on where it is.
        self.now = self.now.max(until);
        self.caller.handle_timeout(self.now);
        self.drain();
    }

    /// The server has gone: the client says so, and stops.
    pub fn end(mut self) {
        self.pass(TIMEOUT);
        self.pass(TIMEOUT);
        self.pass(TIMEOUT);
        assert!(self.is_over || self.has_failed, "it gives up in time");
        assert_eq!(self.caller.poll_timeout(), None);
    }

    fn drain(&mut self) {
        for _ in 0..STEPS_MAX {
            let has_moved = self.drain_events() | self.drain_datagrams();
            match self.caller.poll_timeout() {
                Some(due) if due <= self.now => self.caller.handle_timeout(self.now),
                _ if has_moved => {}
                _ => return,
            }
        }
        panic!("its time-outs stay in the past");
    }

    fn drain_events(&mut self) -> bool {
        let mut any = false;
        while let Some(event) = self.caller.upload().poll_event() {
            any = true;
            // (A handshake whose last message nobody answered is given up for itself.)
            let is_late = matches!(event, Event::Failed(_));
            assert!(!self.is_over || is_late, "nothing comes after the end: {event:?}");
            match event {
                // Who is told that nobody is there asks no more.
                _ if self.has_failed => {}
                Event::Met { .. } => self.caller.upload().welcome(self.now),
                Event::Answer(bytes) => {
                    assert!(bytes.len() as u64 <= ANSWER_WINDOW, "no more than was allowed");
                    self.answered += bytes.len() as u64;
                }
                Event::Done => assert!(!std::mem::replace(&mut self.is_done, true), "once"),
                Event::Failed(_) => self.has_failed = true,
                Event::Over(_) => self.is_over = true,
            }
        }
        any
    }

    fn drain_datagrams(&mut self) -> bool {
        for step in 0..STEPS_MAX {
            let Some(transmit) = self.caller.poll_transmit(self.now) else { return step > 0 };
            assert!(!transmit.bytes.is_empty() && transmit.bytes.len() <= 65_535);
            let datagrams: Vec<Vec<u8>> = transmit.datagrams().map(<[u8]>::to_vec).collect();
            for datagram in datagrams {
                match &mut self.pirate {
                    Some(pirate) => {
                        pirate.hear(&datagram, self.now);
                        for (reached, allowed) in pirate.reached.iter().zip(self.allowed) {
                            assert!(*reached <= allowed, "{reached} were sent and {allowed} allowed");
                        }
                    }
                    None => self.greet(&datagram),
                }
            }
        }
        panic!("it sends without end");
    }

    /// The handshake, as it should be.
    fn greet(&mut self, datagram: &[u8]) {
        match self.server.handle_datagram(self.peers[0], datagram, self.now) {
            Verdict::Ignored => {}
            Verdict::Answer(mut answer) => {
                self.caller.handle_packet(Via::socket(0), self.peers[0], &mut answer, None, self.now);
            }
            Verdict::Accepted(accepted) => self.pirate = Some(Pirate::new(&accepted.keys, accepted.to)),
        }
    }
}

const TIMEOUT: Duration = Duration::from_secs(30);

/// More steps than any honest machine needs between two of ours.
const STEPS_MAX: usize = 20_000;
