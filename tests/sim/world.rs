//! A world of one server, any number of clients, a link each way for each, a disk of memory, and one clock that nobody waits for.

use homing::chunker::Chunker;
use homing::endpoint::{Config, Endpoint, Event as ServerEvent, SessionId};
use homing::packet::Spelling;
use homing::session::stop_and_wait::{Event, Order, Outcome, Placement, Sender, Stats, StoreFailure, Transfer};
use homing::session::{Machine, Mode, Via};
use homing::weather::{Link, Weather};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Where the server lives.
pub const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 12300);

/// A transfer to try.
#[derive(Clone, Debug)]
pub struct Plan {
    pub name: String,
    pub content: Vec<u8>,
    pub mode: Mode,
    pub spelling: Spelling,
    pub timeout: Duration,
    pub weather: Weather,
}

impl Plan {
    pub fn new(content: &[u8], mode: Mode, spelling: Spelling, weather: &str) -> Self {
        Self {
            name: "a name | with.bin".into(),
            content: content.to_vec(),
            mode,
            spelling,
            timeout: Duration::from_secs(600),
            weather: weather.parse().expect("a weather"),
        }
    }
}

/// One client, the links between it and the server, and how it ended.
pub struct Client {
    pub sender: Sender,
    pub outcome: Option<Outcome>,
    pub ended: Option<Instant>,
    pub checked: bool,
    first_number: u64,
    chunker: Chunker<Cursor<Vec<u8>>>,
    address: SocketAddr,
    pub to_server: Link<()>,
    pub to_client: Link<()>,
}

impl Client {
    pub fn stats(&self) -> Stats {
        self.sender.stats()
    }
}

pub struct World {
    pub began: Instant,
    pub now: Instant,
    pub endpoint: Endpoint,
    pub clients: Vec<Client>,
    pub disk: Disk,
    pub finished: Vec<SessionId>,
    pub failed: Vec<(SessionId, String)>,
    /// Keep what reaches the server.
    pub record: bool,
    pub recorded: Vec<Vec<u8>>,
    /// Bytes the server received and sent, for each address: what is sent is never more (invariant 3).
    heard: BTreeMap<SocketAddr, (usize, usize)>,
}

/// Files in memory. Every order takes `delay`.
#[derive(Default)]
pub struct Disk {
    pub files: BTreeMap<String, Vec<u8>>,
    pub delay: Duration,
    /// Nothing is admitted.
    pub refuses: bool,
    /// How often each final name was written.
    pub published: BTreeMap<String, usize>,
    names: BTreeMap<SessionId, String>,
    partial: BTreeMap<SessionId, Vec<u8>>,
    busy: VecDeque<(Instant, SessionId, Order)>,
}

impl World {
    pub fn new(plans: &[Plan], seed: u64) -> Self {
        let config = Config { idle_timeout: Duration::from_secs(600), ..Config::default() };
        Self::with_config(plans, seed, config)
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    pub fn with_config(plans: &[Plan], seed: u64, config: Config) -> Self {
        let now = Instant::now();
        let mut world = Self {
            began: now,
            now,
            endpoint: Endpoint::new(config),
            clients: Vec::new(),
            disk: Disk::default(),
            finished: Vec::new(),
            failed: Vec::new(),
            record: false,
            recorded: Vec::new(),
            heard: BTreeMap::new(),
        };
        for (index, plan) in plans.iter().enumerate() {
            world.add(plan, seed.wrapping_add(index as u64 * 7919));
        }
        world
    }

    fn add(&mut self, plan: &Plan, seed: u64) {
        let nonce = (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u32;
        let transfer = Transfer {
            peers: vec![SERVER],
            spelling: plan.spelling,
            mode: plan.mode,
            name: plan.name.clone(),
            size: plan.content.len() as u64,
            nonce,
            timeout: plan.timeout,
        };
        let host = u8::try_from(self.clients.len() / 200 + 2).expect("few clients");
        let port = 40_000 + u16::try_from(self.clients.len()).expect("few clients");
        self.clients.push(Client {
            sender: Sender::new(transfer, self.now).expect("a name that can be spoken"),
            outcome: None,
            ended: None,
            checked: false,
            first_number: homing::session::OFFER_BASE + u64::from(nonce) % homing::session::OFFER_SPAN,
            chunker: Chunker::new(Cursor::new(plan.content.clone()), plan.content.len() as u64),
            address: SocketAddr::from(([10, 0, 0, host], port)),
            to_server: Link::new(plan.weather.inward, seed ^ 1),
            to_client: Link::new(plan.weather.outward, seed ^ 2),
        });
    }

    /// Runs until every client is through, then until nothing moves for a while.
    pub fn run(&mut self) {
        for _ in 0..STEPS_MAX {
            self.drain();
            if self.clients.iter().all(|client| client.outcome.is_some()) {
                return;
            }
            self.advance();
        }
        panic!("the world never came to rest");
    }

    /// Lets time pass after the end, so that late datagrams arrive.
    pub fn run_on(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.drain();
            self.advance();
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.now - self.began
    }

    /// A datagram out of nowhere.
    pub fn inject(&mut self, from: SocketAddr, datagram: &[u8]) {
        let heard = self.heard.entry(from).or_default();
        heard.0 += datagram.len();
        self.endpoint.handle_datagram(Via::default(), from, datagram, self.now);
    }

    /// What the server says to `to` now; the rest of the world stands still.
    pub fn answers_to(&mut self, to: SocketAddr) -> Vec<Vec<u8>> {
        self.drain_server();
        let mut answers = Vec::new();
        while let Some(transmit) = self.endpoint.poll_transmit(self.now) {
            assert_eq!(transmit.to, to);
            answers.push(transmit.bytes);
        }
        answers
    }

    /// The first number of a client's start.
    pub fn first_number(&self, client: usize) -> u64 {
        self.clients[client].first_number
    }

    /// A datagram from the server's address, out of nowhere.
    pub fn tell_client(&mut self, client: usize, datagram: &[u8]) {
        self.clients[client].sender.handle_datagram(Via::default(), SERVER, datagram, self.now);
        self.drain_client(client);
    }

    /// To the next moment at which anything wants to happen.
    pub fn advance(&mut self) {
        let mut next: Option<Instant> = self.endpoint.poll_timeout();
        let mut consider = |at: Option<Instant>| next = [next, at].into_iter().flatten().min();
        consider(self.disk.busy.front().map(|(at, ..)| *at));
        for client in &self.clients {
            consider(client.to_server.poll_timeout());
            consider(client.to_client.poll_timeout());
            consider(client.sender.poll_timeout());
        }
        self.now = next.map_or(self.now + Duration::from_secs(1), |next| next.max(self.now));
    }

    /// Until every `poll_*` is empty at this moment: the one law.
    pub fn drain(&mut self) {
        let now = self.now;
        loop {
            let mut moved = false;
            for at in 0..self.clients.len() {
                moved |= self.drain_client(at);
                let client = &mut self.clients[at];
                while let Some(((), bytes)) = client.to_server.poll(now) {
                    self.heard.entry(client.address).or_default().0 += bytes.len();
                    self.endpoint.handle_datagram(Via::default(), client.address, &bytes, now);
                    if self.record {
                        self.recorded.push(bytes);
                    }
                    moved = true;
                }
                while let Some(((), bytes)) = client.to_client.poll(now) {
                    client.sender.handle_datagram(Via::default(), SERVER, &bytes, now);
                    moved = true;
                }
            }
            self.endpoint.handle_timeout(now);
            moved |= self.drain_server();
            while let Some(transmit) = self.endpoint.poll_transmit(now) {
                let heard = self.heard.entry(transmit.to).or_default();
                heard.1 += transmit.bytes.len();
                assert!(heard.1 <= heard.0, "more was answered than came from {}: {heard:?}", transmit.to);
                if let Some(client) = self.clients.iter_mut().find(|client| client.address == transmit.to) {
                    client.to_client.send(now, (), transmit.bytes);
                }
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    fn drain_client(&mut self, at: usize) -> bool {
        let now = self.now;
        let client = &mut self.clients[at];
        client.sender.handle_timeout(now);
        let mut moved = false;
        while let Some(event) = client.sender.poll_event() {
            moved = true;
            match event {
                Event::Connected { checked, .. } => client.checked = checked,
                Event::WantsChunk { max, cut } => {
                    let chunk = client.chunker.next_chunk(max, cut).expect("memory does not change");
                    client.sender.handle_chunk(chunk, now);
                }
                Event::WantsDigest => client.sender.handle_digest(client.chunker.digest(), now),
                Event::Progress { .. } => {}
                Event::Invited(_) => panic!("nobody offers the windowed mode"),
                Event::Over(outcome) => {
                    client.outcome = Some(outcome);
                    client.ended = Some(now);
                }
            }
        }
        while let Some(transmit) = client.sender.poll_transmit(now) {
            assert_eq!(transmit.to, SERVER);
            client.to_server.send(now, (), transmit.bytes);
            moved = true;
        }
        moved
    }

    fn drain_server(&mut self) -> bool {
        let mut moved = false;
        loop {
            while let Some(event) = self.endpoint.poll_event() {
                moved = true;
                match event {
                    ServerEvent::Order(id, order) => self.disk.busy.push_back((self.now + self.disk.delay, id, order)),
                    ServerEvent::Finished { id, .. } => self.finished.push(id),
                    ServerEvent::Failed { id, reason, .. } => self.failed.push((id, reason)),
                    ServerEvent::Started { .. } | ServerEvent::Progress { .. } | ServerEvent::Refused { .. } => {}
                }
            }
            match self.disk.busy.front() {
                Some((due, ..)) if *due <= self.now => {}
                _ => return moved,
            }
            let (_, id, order) = self.disk.busy.pop_front().expect("just looked");
            self.carry_out(id, order);
        }
    }

    fn carry_out(&mut self, id: SessionId, order: Order) {
        let (disk, now) = (&mut self.disk, self.now);
        match order {
            Order::Admit { name, .. } => {
                disk.names.insert(id, name.to_string());
                let reason = "not here".to_string();
                let verdict = if disk.refuses { Err(StoreFailure { reason }) } else { Ok(()) };
                self.endpoint.handle_admitted(id, verdict, now);
            }
            Order::Create => {}
            Order::Write(block) => {
                disk.partial.entry(id).or_default().extend_from_slice(&block);
                self.endpoint.handle_written(id, block.len(), now);
            }
            Order::Publish { expected } => {
                let content = disk.partial.remove(&id).unwrap_or_default();
                let sha256: [u8; 32] = Sha256::digest(&content).into();
                if expected.is_some_and(|expected| expected != sha256) {
                    let reason = format!("sha256 differs: here {}", hex(&sha256));
                    return self.endpoint.handle_published(id, Err(StoreFailure { reason }), now);
                }
                let name = disk.names[&id].clone();
                *disk.published.entry(name.clone()).or_default() += 1;
                let replaced = disk.files.insert(name, content).map(|old| old.len() as u64);
                self.endpoint.handle_published(id, Ok(Placement::Placed { sha256, replaced }), now);
            }
            Order::MakeEmpty => {
                let name = disk.names.get(&id).cloned().expect("started before");
                let kept = disk.files.get(&name).is_some_and(|content| !content.is_empty());
                let sha256: [u8; 32] = Sha256::digest([]).into();
                let placement = if kept { Placement::Kept } else { Placement::Placed { sha256, replaced: None } };
                if !kept {
                    *disk.published.entry(name.clone()).or_default() += 1;
                    disk.files.insert(name, Vec::new());
                }
                self.endpoint.handle_published(id, Ok(placement), now);
            }
            Order::Discard => {
                disk.partial.remove(&id);
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that look random, the same for the same seed.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| rng.u8(..)).take(length).collect()
}

/// No transfer here needs more moments than this.
const STEPS_MAX: usize = 20_000_000;
