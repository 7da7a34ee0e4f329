//! A world of one client, one server, a link each way, recorders at both ends, and one clock that nobody waits for.

use homing::chunker::Chunker;
use homing::endpoint::{Config, Endpoint, Event as ServerEvent, SessionId};
use homing::hostile::{HostileServer, Serving};
use homing::packet::lab::Message;
use homing::packet::{Packet, Spelling};
use homing::session::stop_and_wait::{Event, Order, Outcome, Placement, Sender, StoreFailure, Transfer};
use homing::session::{Machine, Mode, Via};
use homing::trace::{Exchange, Mark, Recorder, Side, Vantage};
use homing::weather::{Fault, Link, Misbehaviour, Weather};
use sha2::{Digest, Sha256};
use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 12300);
const CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 40000);

/// A transfer to record.
pub struct Plan<'a> {
    pub weather: &'a str,
    pub name: &'a str,
    pub content: Vec<u8>,
    pub mode: Mode,
    pub spelling: Spelling,
    pub misbehaviour: Option<Misbehaviour>,
    pub seed: u64,
    /// What happens to single datagrams, whatever the weather: whose, the how manieth, from 1, and what.
    pub twists: &'a [(Side, u64, Twist)],
    /// What is written beside the life lines, and how often at most.
    pub remarks: &'a [(&'a str, usize)],
    /// The addresses of the client and of the server, as they are recorded.
    pub addresses: [&'a str; 2],
}

/// What happens to one datagram.
#[derive(Clone, Copy)]
pub enum Twist {
    Lost,
    /// It arrives so long after it was sent, and others may overtake it.
    HeldUp(Duration),
}

impl<'a> Plan<'a> {
    pub fn new(weather: &'a str, size: usize) -> Self {
        Self {
            weather,
            name: "pigeon.jpg",
            content: (0..size).map(|index| (index * 31 % 251) as u8).collect(),
            mode: Mode::Auto,
            spelling: Spelling::Spaced,
            misbehaviour: None,
            seed: 7,
            twists: &[],
            remarks: &[(CHECKED, 1), (DONE, 1), (NAMED, 1)],
            addresses: ["10.0.0.2:40000", "10.0.0.1:12300"],
        }
    }
}

/// What the client says of itself.
pub const CHECKED: &str = "the server can compare checksums";
pub const DONE: &str = "done";
pub const IGNORED: &str = "not awaited: nothing is sent again";

/// What the server says of itself.
pub const BEGINS: &str = "a transfer begins";
pub const STORED: &str = "stored";
pub const SEEN: &str = "seen before: not stored, only answered";
pub const OLD: &str = "an old chunk: not stored, not answered";
pub const NAMED: &str = "checksum right: the file gets its name";

/// One exchange, as three recorders saw it.
pub struct Recordings {
    pub both: Exchange,
    pub client: Exchange,
    pub server: Exchange,
    /// How it ended for the client.
    pub outcome: Option<Outcome>,
    /// What the server has of the file.
    pub received: Vec<u8>,
}

impl Recordings {
    pub fn each(&self) -> [(&'static str, &Exchange); 3] {
        [("both", &self.both), ("client", &self.client), ("server", &self.server)]
    }
}

/// A client, a path, a server and the recorders.
pub struct World<'a> {
    now: Instant,
    sender: Sender,
    chunker: Chunker<Cursor<Vec<u8>>>,
    server: HostileServer,
    there: Direction,
    back: Direction,
    received: Vec<u8>,
    /// Of which the server told last: how many bytes came, and how many messages came again.
    progress: (u64, u64),
    outcome: Option<Outcome>,
    notebook: Notebook<'a>,
}

/// The three recorders, and the remarks that are still wanted.
struct Notebook<'a> {
    both: Recorder,
    client: Recorder,
    server: Recorder,
    remarks: Vec<(&'a str, usize)>,
}

impl Notebook<'_> {
    fn note(&mut self, by: Side, text: &str, now: Instant) {
        let wanted = self.remarks.iter_mut().find(|(wanted, times)| *wanted == text && *times > 0);
        if let Some((_, times)) = wanted {
            *times -= 1;
            self.both.note(by, text, now);
            match by {
                Side::Client => self.client.note(by, text, now),
                Side::Server => self.server.note(by, text, now),
            }
        }
    }
}

/// One direction: the weather, which tells of every datagram whether it was lost, and what happens on purpose.
struct Direction {
    by: Side,
    link: Link<Mark>,
    twists: Vec<(u64, Twist)>,
    sent: u64,
    held_up: Vec<(Instant, Mark, Vec<u8>)>,
}

impl Direction {
    fn new(by: Side, fault: Fault, plan: &Plan, seed: u64) -> Self {
        let own = plan.twists.iter().filter(|(side, ..)| *side == by);
        let twists = own.map(|(_, number, twist)| (*number, *twist)).collect();
        Self { by, link: Link::new(fault, seed), twists, sent: 0, held_up: Vec::new() }
    }

    fn send(&mut self, recorder: &mut Recorder, bytes: Vec<u8>, now: Instant) {
        let mark = recorder.sent(self.by, &bytes, now);
        self.sent += 1;
        match self.twists.iter().find(|(number, _)| *number == self.sent) {
            Some((_, Twist::Lost)) => return recorder.lost(mark, now),
            Some((_, Twist::HeldUp(time))) => return self.held_up.push((now + *time, mark, bytes)),
            None => {}
        }
        let before = self.link.counts();
        self.link.send(now, mark, bytes);
        let since = self.link.counts() - before;
        if since.lost + since.queue_dropped + since.oversize > since.duplicated {
            recorder.lost(mark, now);
        }
    }

    fn poll(&mut self, now: Instant) -> Option<(Mark, Vec<u8>)> {
        match self.held_up.iter().position(|(due, ..)| *due <= now) {
            Some(index) => Some(self.held_up.remove(index)).map(|(_, mark, bytes)| (mark, bytes)),
            None => self.link.poll(now),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.held_up.iter().map(|(due, ..)| *due).chain(self.link.poll_timeout()).min()
    }
}

impl<'a> World<'a> {
    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    pub fn new(plan: &Plan<'a>) -> Self {
        let now = Instant::now();
        let weather: Weather = plan.weather.parse().expect("a weather");
        let size = plan.content.len() as u64;
        let transfer = Transfer {
            peers: vec![SERVER],
            spelling: plan.spelling,
            mode: plan.mode,
            name: plan.name.into(),
            size,
            nonce: 7_792_640,
            timeout: Duration::from_secs(60),
        };
        let endpoint = Endpoint::new(Config { idle_timeout: Duration::from_secs(600), ..Config::default() });
        let [client, server] = plan.addresses;
        let recorder = |vantage| Recorder::new(client.into(), server.into(), vantage, 200_000, now);
        Self {
            now,
            sender: Sender::new(transfer, now).expect("a name that can be spoken"),
            chunker: Chunker::new(Cursor::new(plan.content.clone()), size),
            server: HostileServer::new(endpoint, Weather::default(), plan.misbehaviour, plan.seed),
            there: Direction::new(Side::Client, weather.inward, plan, plan.seed),
            back: Direction::new(Side::Server, weather.outward, plan, plan.seed + 1),
            received: Vec::new(),
            progress: (0, 0),
            outcome: None,
            notebook: Notebook {
                both: recorder(Vantage::Both),
                client: recorder(Vantage::Client),
                server: recorder(Vantage::Server),
                remarks: plan.remarks.to_vec(),
            },
        }
    }

    /// Until the client is through, and a little longer for what is still under way.
    pub fn run(mut self) -> Recordings {
        let mut end = None;
        while end.is_none_or(|end| self.now <= end) {
            while self.move_client() | self.move_server() {}
            if self.outcome.is_some() && end.is_none() {
                end = Some(self.now + Duration::from_secs(4));
            }
            let links = [self.there.poll_timeout(), self.back.poll_timeout()];
            let machines = [self.sender.poll_timeout(), self.server.poll_timeout()];
            // Between an arrival and what follows from it a machine needs a moment.
            let next = links.into_iter().chain(machines).flatten().min();
            self.now =
                next.map_or(self.now + Duration::from_secs(1), |next| next.max(self.now)) + Duration::from_micros(20);
        }
        let Notebook { both, client, server, .. } = self.notebook;
        Recordings {
            both: both.exchange(),
            client: client.exchange(),
            server: server.exchange(),
            outcome: self.outcome,
            received: self.received,
        }
    }

    fn move_client(&mut self) -> bool {
        let now = self.now;
        let mut moved = false;
        while let Some((mark, bytes)) = self.back.poll(now) {
            self.notebook.both.came(mark, &bytes, now);
            self.notebook.client.arrived(Side::Server, &bytes, now);
            let ignored = self.sender.stats().ignored;
            self.sender.handle_datagram(Via::default(), SERVER, &bytes, now);
            if self.sender.stats().ignored > ignored {
                self.notebook.note(Side::Client, IGNORED, now);
            }
            moved = true;
        }
        self.sender.handle_timeout(now);
        while let Some(event) = self.sender.poll_event() {
            match event {
                Event::WantsChunk { max, cut } => {
                    let chunk = self.chunker.next_chunk(max, cut).expect("memory does not change");
                    self.sender.handle_chunk(chunk, now);
                }
                Event::WantsDigest => self.sender.handle_digest(self.chunker.digest(), now),
                Event::Connected { checked: true, .. } => self.notebook.note(Side::Client, CHECKED, now),
                Event::Connected { .. } | Event::Invited(_) | Event::Progress { .. } => {}
                Event::Over(outcome) => {
                    if outcome == Outcome::Delivered {
                        self.notebook.note(Side::Client, DONE, now);
                    }
                    self.outcome = Some(outcome);
                }
            }
        }
        while let Some(transmit) = self.sender.poll_transmit(now) {
            self.notebook.client.sent(Side::Client, &transmit.bytes, now);
            self.there.send(&mut self.notebook.both, transmit.bytes, now);
            moved = true;
        }
        moved
    }

    fn move_server(&mut self) -> bool {
        let now = self.now;
        let mut moved = false;
        let mut unjudged = false;
        while let Some((mark, bytes)) = self.there.poll(now) {
            self.notebook.both.came(mark, &bytes, now);
            self.notebook.server.arrived(Side::Client, &bytes, now);
            self.server.handle_datagram(Via::default(), CLIENT, &bytes, now);
            unjudged = matches!(Packet::decode(&bytes), Ok(Packet::Lab(_, Message::Data { .. })));
            moved = true;
        }
        self.server.handle_timeout(now);
        while let Some(event) = self.server.poll_event(now) {
            match event {
                ServerEvent::Order(id, order) => self.obey(id, order),
                ServerEvent::Started { .. } => self.notebook.note(Side::Server, BEGINS, now),
                ServerEvent::Progress { received, duplicates, .. } => {
                    let (bytes, again) = std::mem::replace(&mut self.progress, (received, duplicates));
                    unjudged = received == bytes && duplicates == again;
                    if !unjudged {
                        self.notebook.note(Side::Server, if received > bytes { STORED } else { SEEN }, now);
                    }
                }
                _ => {}
            }
        }
        while let Some(transmit) = self.server.poll_transmit(now) {
            self.notebook.server.sent(Side::Server, &transmit.bytes, now);
            self.back.send(&mut self.notebook.both, transmit.bytes, now);
            (moved, unjudged) = (true, false);
        }
        if unjudged {
            self.notebook.note(Side::Server, OLD, now);
        }
        moved
    }

    /// Is the server's store.
    fn obey(&mut self, id: SessionId, order: Order) {
        let now = self.now;
        let endpoint = self.server.endpoint();
        match order {
            Order::Admit { .. } => endpoint.handle_admitted(id, Ok(()), now),
            Order::Write(block) => {
                self.received.extend_from_slice(&block);
                endpoint.handle_written(id, block.len(), now);
            }
            Order::Publish { .. } | Order::MakeEmpty => {
                let sha256: [u8; 32] = Sha256::digest(&self.received).into();
                let expected = if let Order::Publish { expected } = order { expected } else { None };
                let result = match expected {
                    Some(expected) if expected != sha256 => Err(StoreFailure { reason: "sha256 differs".into() }),
                    _ => Ok(Placement::Placed { sha256, replaced: None }),
                };
                if expected.is_some() && result.is_ok() {
                    self.notebook.note(Side::Server, NAMED, now);
                }
                endpoint.handle_published(id, result, now);
            }
            Order::Create | Order::Discard => {}
        }
    }
}
