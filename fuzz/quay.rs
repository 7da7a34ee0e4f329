//! A harbour with strangers before it and an authenticated client who says what he likes; what must hold is asserted at every step.

use super::pirate::{Pirate, offset, space};
use homing::harbour::{Config, Event, Harbour, Shipment};
use homing::packet::windowed::Cipher;
use homing::packet::windowed::frame::{Frame, Space};
use homing::session::Via;
use homing::session::handshake::{self, Client, Opening, PrivateKey, call, server};
use homing::session::windowed::reception;
use homing::session::windowed::{ANSWER_WINDOW, DATA_WINDOW, MANIFEST_WINDOW};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The harbour, and what is known of everybody.
pub struct Quay {
    now: Instant,
    harbour: Harbour,
    homes: [SocketAddr; 4],
    pirates: Vec<(usize, Pirate)>,
    hands: u8,
    /// Bytes from and to each address, and those that have proven that they are there.
    traffic: BTreeMap<SocketAddr, (u64, u64)>,
    proven: BTreeSet<SocketAddr>,
    /// Each transfer's blocks and pieces of the manifest that the disk has not taken; `None` when it is over.
    pub waiting: BTreeMap<u64, Option<Vec<Piece>>>,
    last: Vec<Vec<u8>>,
}

/// Its space, its length, and the memory that it takes.
type Piece = (Space, u64, u64);

impl Quay {
    pub fn new(homes: [SocketAddr; 4], max_transfers: usize) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
        let now = Instant::now();
        let harbour = new_harbour(max_transfers, 1, now);
        let (traffic, proven, waiting) = Default::default();
        Self { now, harbour, homes, pirates: Vec::new(), hands: 0, traffic, proven, waiting, last: Vec::new() }
    }

    /// A datagram comes from one of the four.
    pub fn hear(&mut self, who: usize, datagram: &[u8]) {
        let from = self.homes[who];
        self.traffic.entry(from).or_default().0 += datagram.len() as u64;
        self.harbour.handle_datagram(Via::default(), from, &mut datagram.to_vec(), None, self.now);
        self.drain();
    }

    /// Somebody shakes hands as he should.
    pub fn board(&mut self, who: usize) {
        self.hands = self.hands.wrapping_add(1);
        let config = call::Config {
            key: PrivateKey::new(&[self.hands.max(1); 32]),
            expected: None,
            cipher: Cipher::Aes256Gcm,
            opening: Opening::Binary,
            rtt: None,
            timeout: Duration::from_secs(30),
            seed: [self.hands; 32],
        };
        let mut client = Client::new(config, self.now);
        for _ in 0..4 {
            let Some(question) = client.poll_transmit() else { break };
            self.hear(who, &question);
            for answer in std::mem::take(&mut self.last) {
                client.handle_datagram(&answer, self.now);
            }
            if let Some(handshake::Event::Met { .. }) = client.poll_event()
                && let Some(established) = client.finish(&[], self.now)
            {
                self.proven.insert(self.homes[who]);
                self.pirates.push((who, Pirate::new(&established.keys, established.to)));
                let finish = client.poll_transmit().expect("the last message");
                self.hear(who, &finish);
                break;
            }
        }
    }

    /// One of those who shook hands, if there is one.
    pub fn pirate(&mut self, which: u8) -> Option<&mut Pirate> {
        let count = self.pirates.len().max(1);
        self.pirates.get_mut(usize::from(which) % count).map(|(_, pirate)| pirate)
    }

    /// He says something, from where he is or from elsewhere.
    pub fn say(&mut self, which: u8, elsewhere: Option<usize>, make: impl FnOnce(&mut Pirate) -> Option<Vec<u8>>) {
        let count = self.pirates.len().max(1);
        let Some((home, pirate)) = self.pirates.get_mut(usize::from(which) % count) else { return };
        let home = *home;
        if let Some(packet) = make(pirate) {
            self.hear(elsewhere.unwrap_or(home), &packet);
        }
    }

    /// He moves: the last challenge is answered from there.
    pub fn answer_challenge(&mut self, which: u8) {
        let Some(challenge) = self.pirate(which).and_then(|pirate| pirate.challenges.pop()) else { return };
        // Whoever could read the challenge is there, wherever it was sent to.
        self.proven.extend(self.homes);
        self.say(which, None, |pirate| Some(pirate.seal_frames(&[Frame::PathResponse(challenge)])));
    }

    /// A frame with bytes of one of the spaces, many of them if `count` says so: `stride` apart.
    pub fn send_bytes(&mut self, which: u8, kind: u8, at: u8, length: usize, (count, stride): (u8, u8)) {
        let content = [0x5a; 4096];
        self.say(which, None, |pirate| {
            let begin = if kind & 4 == 0 { offset(at) } else { pirate.granted[0].saturating_sub(u64::from(at)) };
            let frames: Vec<Frame<'_>> = (0..=u64::from(count))
                .map(|index| Frame::Bytes {
                    space: space(kind),
                    offset: begin.saturating_add(index * u64::from(stride)),
                    bytes: &content[..length.min(content.len())],
                })
                .collect();
            Some(pirate.seal_frames(&frames))
        });
    }

    /// The disk has taken what was given to it, or some of it.
    pub fn take(&mut self, count: usize) {
        for (id, waiting) in &mut self.waiting {
            let Some(waiting) = waiting else { continue };
            let taken: Vec<_> = waiting.drain(..count.min(waiting.len())).collect();
            for (space, bytes, _) in taken {
                self.harbour.with(*id, self.now, |reception| reception.handle_taken(space, bytes));
            }
        }
        self.drain();
    }

    /// The application does something with a transfer.
    pub fn act(&mut self, which: u8, what: u8, value: u8) {
        let id = 1 + u64::from(which) % self.waiting.len().max(1) as u64;
        if !matches!(self.waiting.get(&id), Some(Some(_))) {
            return;
        }
        let now = self.now;
        match what % 6 {
            0 => self.harbour.with(id, now, |reception| reception.handle_passed(offset(value))),
            1 => self.harbour.with(id, now, |reception| reception.handle_end(offset(value))),
            2 => self.harbour.with(id, now, |reception| reception.handle_answer(&vec![7; usize::from(value) * 99])),
            3 => self.harbour.with(id, now, |reception| reception.handle_abort(7, "no more")),
            4 => self.harbour.handle_refused(self.homes[usize::from(value & 3)], 1400, now),
            _ => self.harbour.handle_done(id, now),
        }
        self.drain();
    }

    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..STEPS_MAX {
            match self.harbour.poll_timeout().filter(|due| *due <= until) {
                Some(due) => {
                    self.now = due.max(self.now);
                    self.harbour.handle_timeout(self.now);
                    self.drain();
                }
                None => {
                    self.now = until;
                    return;
                }
            }
        }
        panic!("it never comes to rest");
    }

    /// Everybody has gone: it forgets them. What it said last falls silent between two servers.
    pub fn end(mut self) {
        self.bounce();
        self.pass(Duration::from_secs(400));
        assert_eq!((self.harbour.transfers(), self.harbour.poll_timeout()), (0, None));
        assert!(self.waiting.values().all(Option::is_none), "each one's end is told");
    }

    /// What was said last is brought to another server, whose answers come back, and so on.
    fn bounce(&mut self) {
        let mut others = [new_harbour(2, 9, self.now), new_harbour(2, 8, self.now)];
        let mut under_way = std::mem::take(&mut self.last);
        let mut rounds = 0;
        while !under_way.is_empty() {
            rounds += 1;
            assert!(rounds < 4, "two servers talk with each other");
            let harbour = &mut others[rounds % 2];
            for mut datagram in under_way.drain(..) {
                harbour.handle_datagram(Via::default(), self.homes[0], &mut datagram, None, self.now);
            }
            let mut out = Vec::new();
            while let Some(Shipment { batch, .. }) = harbour.poll_transmit(&mut out, self.now) {
                under_way.extend(out.chunks(batch.segment.max(1)).map(<[u8]>::to_vec));
                out.clear();
            }
        }
    }

    /// Every `poll_*`, in order.
    fn drain(&mut self) {
        for _ in 0..STEPS_MAX {
            self.drain_events();
            self.drain_datagrams();
            match self.harbour.poll_timeout() {
                Some(due) if due <= self.now => self.harbour.handle_timeout(self.now),
                _ => return self.check(),
            }
        }
        panic!("its time-outs stay in the past");
    }

    fn drain_events(&mut self) {
        while let Some(event) = self.harbour.poll_event() {
            let (id, event) = match event {
                Event::Opened { id, peer, .. } => {
                    assert!(self.proven.contains(&peer), "nobody else can have come in");
                    assert!(self.waiting.insert(id, Some(Vec::new())).is_none(), "each number once");
                    continue;
                }
                Event::Happened { id, event } => (id, event),
            };
            let waiting = self.waiting.get_mut(&id);
            match (event, waiting) {
                // One that was refused.
                (reception::Event::Over(_), None) => {}
                (reception::Event::Over(_), Some(waiting)) => {
                    assert!(waiting.take().is_some(), "the end is told once");
                }
                (reception::Event::Manifest(bytes), Some(Some(waiting))) => {
                    waiting.push((Space::Manifest, bytes.len() as u64, bytes.capacity() as u64));
                }
                (reception::Event::Data(block), Some(Some(waiting))) => {
                    waiting.push((Space::Data, block.bytes.len() as u64, block.bytes.capacity() as u64 + 64));
                }
                (event, _) => panic!("after the end, or before the beginning: {event:?}"),
            }
        }
    }

    fn drain_datagrams(&mut self) {
        let mut out = Vec::new();
        for _ in 0..STEPS_MAX {
            out.clear();
            let Some(Shipment { to, batch, .. }) = self.harbour.poll_transmit(&mut out, self.now) else { return };
            assert!(!out.is_empty() && batch.segment > 0 && out.len() <= 65_535);
            let (heard, told) = self.traffic.entry(to).or_default();
            *told += out.len() as u64;
            assert!(*told <= *heard || self.proven.contains(&to), "{to} got {told} bytes for {heard}");
            for datagram in out.chunks(batch.segment) {
                for (_, pirate) in &mut self.pirates {
                    pirate.hear(datagram, self.now);
                }
                self.last.truncate(7);
                self.last.insert(0, datagram.to_vec());
            }
        }
        panic!("it sends without end");
    }

    fn check(&self) {
        assert!(self.harbour.transfers() <= 4 + 256, "places are bounded");
        for waiting in self.waiting.values().flatten() {
            let held: u64 = waiting.iter().map(|(_, _, memory)| memory).sum();
            let bound = DATA_WINDOW + MANIFEST_WINDOW + ANSWER_WINDOW + (8 << 20);
            assert!(held <= bound, "{held} bytes wait for the disk");
        }
        for (_, pirate) in &self.pirates {
            assert!(pirate.heard.len() <= 5000);
        }
    }
}

fn new_harbour(max_transfers: usize, seed: u8, now: Instant) -> Harbour {
    let config = Config {
        max_transfers,
        max_transfers_per_network: max_transfers,
        timeout: Duration::from_secs(30),
        mtu_max: 1472,
        seed: [seed; 32],
    };
    let greeting = server::Config {
        key: PrivateKey::new(&[seed; 32]),
        cipher: Cipher::Aes256Gcm,
        parameters: Vec::new(),
        seed: [seed.wrapping_add(100); 32],
        pending_max: 4,
        pending_per_network_max: 3,
    };
    Harbour::new(config, greeting, now)
}

/// More steps than any honest machine needs between two of ours.
const STEPS_MAX: usize = 20_000;
