//! An endpoint with a disk of memory, and what must hold after every datagram, every order and every moment.

use homing::endpoint::{Config, Endpoint, Event, SessionId};
use homing::packet::{Message, Packet};
use homing::session::stop_and_wait::{Order, Placement, StoreFailure, start_id};
use homing::session::{Machine, Via};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A server that is told everything and watched at every step.
pub struct Server {
    pub now: Instant,
    endpoint: Endpoint,
    limits: Config,
    /// Orders wait for [`Server::work`]; otherwise they are carried out at once.
    pub is_slow: bool,
    /// What the disk holds under final names.
    pub files: BTreeMap<String, Vec<u8>>,
    jobs: BTreeMap<SessionId, Job>,
    orders: VecDeque<(SessionId, Order)>,
    peers: BTreeMap<SocketAddr, Ledger>,
    /// How many events there were so far: most that has consequences shows here.
    pub events: usize,
}

/// One transfer as the disk sees it.
#[derive(Default)]
struct Job {
    name: String,
    size: u64,
    content: Vec<u8>,
    /// Ordered, and not written yet.
    waiting: usize,
    has_failed: bool,
}

/// What was exchanged with one address.
#[derive(Default)]
struct Ledger {
    heard: Traffic,
    said: Traffic,
    /// Name and size of every start.
    starts: Vec<(Vec<u8>, u64)>,
    last_start: Vec<u8>,
    last_seq: u64,
    last_session: Option<SessionId>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    datagrams: usize,
    bytes: usize,
}

impl Traffic {
    fn count(&mut self, datagram: &[u8]) {
        self.datagrams += 1;
        self.bytes += datagram.len();
    }
}

impl Server {
    pub fn new(limits: Config) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
        let now = Instant::now();
        Self {
            now,
            endpoint: Endpoint::new(limits.clone()),
            limits,
            is_slow: false,
            files: BTreeMap::new(),
            jobs: BTreeMap::new(),
            orders: VecDeque::new(),
            peers: BTreeMap::new(),
            events: 0,
        }
    }

    /// Says a datagram to the server and gives its answers.
    pub fn hear(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<Vec<u8>> {
        let ledger = self.peers.entry(from).or_default();
        ledger.note(datagram);
        let is_question = matches!(
            Packet::decode(datagram),
            Ok(Packet::Lab(_, Message::Start { .. } | Message::Data { .. } | Message::Checksum { .. }))
        );
        self.endpoint.handle_datagram(Via::default(), from, datagram, self.now);
        let events = self.events;
        if !self.is_slow {
            self.carry_out_orders(usize::MAX, false);
        }
        let answers = self.settle();
        let shown = datagram.escape_ascii();
        assert!(answers.iter().all(|(to, _)| *to == from), "{shown} made the server speak to somebody else");
        let answers: Vec<Vec<u8>> = answers.into_iter().map(|(_, bytes)| bytes).collect();
        assert!(is_question || answers.is_empty(), "{shown} is no question, but was answered: {answers:?}");
        let is_message = matches!(Packet::decode(datagram), Ok(Packet::Lab(_, message)) if is_error(&message));
        assert!(is_question || is_message || self.events == events, "{shown} means nothing, but had consequences");
        assert!(answers.len() <= 1, "{shown} was answered more than once: {answers:?}");
        assert!(answers.iter().all(|answer| answer.len() <= datagram.len()), "{shown} got more back: {answers:?}");
        answers
    }

    /// A checksum as an honest sender of the last transfer from there would send it now.
    pub fn right_checksum(&self, from: SocketAddr) -> Vec<u8> {
        let Some(ledger) = self.peers.get(&from) else { return Vec::new() };
        let job = ledger.last_session.and_then(|id| self.jobs.get(&id));
        let content = job.map(|job| job.content.as_slice()).unwrap_or_default();
        checksum(ledger.last_seq.wrapping_add(1), content, &ledger.last_start)
    }

    /// Lets a slow disk carry out so many orders, of which the first may fail; gives what is said then.
    pub fn work(&mut self, count: usize, fails: bool) -> Vec<Vec<u8>> {
        self.carry_out_orders(count, fails);
        self.settle().into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// Lets time pass, and the server do what it wants to do meanwhile.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut moments = 0;
        while let Some(due) = self.endpoint.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.endpoint.handle_timeout(self.now);
            assert!(self.endpoint.poll_timeout().is_none_or(|next| next > self.now), "time does not pass");
            if !self.is_slow {
                self.carry_out_orders(usize::MAX, false);
            }
            assert!(self.settle().is_empty(), "nothing is ever said on a timer");
            moments += 1;
            assert!(moments <= MOMENTS_MAX, "woken too often");
        }
        self.now = end;
    }

    /// Nothing more comes: after the idle time-out nothing runs, after another minute nothing is remembered.
    pub fn end(mut self) {
        self.is_slow = false;
        self.work(usize::MAX, false);
        self.pass(self.limits.idle_timeout + Duration::from_secs(1));
        assert_eq!(self.endpoint.running(), 0, "something runs for ever");
        self.pass(Duration::from_secs(61));
        assert_eq!(self.endpoint.poll_timeout(), None, "something is remembered for ever");
        assert!(self.jobs.is_empty(), "the disk was left with unfinished work");
    }

    /// Gives what the server says, after what must hold has been checked.
    fn settle(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.take_events();
        let mut answers = Vec::new();
        while let Some(transmit) = self.endpoint.poll_transmit(self.now) {
            let shown = transmit.bytes.escape_ascii();
            let Some(ledger) = self.peers.get_mut(&transmit.to) else { panic!("{shown} to a stranger") };
            ledger.said.count(&transmit.bytes);
            let (heard, said) = (ledger.heard, ledger.said);
            assert!(said.bytes <= heard.bytes && said.datagrams <= heard.datagrams, "{shown}: {said:?} for {heard:?}");
            let decoded = Packet::decode(&transmit.bytes);
            let is_answer = matches!(decoded, Ok(Packet::Lab(_, Message::Ack { .. } | Message::Refusal { .. })))
                || matches!(decoded, Ok(Packet::Lab(_, message)) if is_error(&message));
            assert!(is_answer, "{shown} is no answer");
            answers.push((transmit.to, transmit.bytes));
        }
        assert!(self.endpoint.running() <= self.limits.max_sessions, "more run than may");
        answers
    }

    fn carry_out_orders(&mut self, count: usize, mut fails: bool) {
        self.take_events();
        for _ in 0..count {
            let Some((id, order)) = self.orders.pop_front() else { return };
            self.carry_out(id, order, std::mem::take(&mut fails));
            self.take_events();
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.endpoint.poll_event() {
            self.events += 1;
            match event {
                Event::Order(id, order) => self.take_order(id, order),
                Event::Started { id, peer, name, size, .. } => {
                    let Some(ledger) = self.peers.get_mut(&peer) else { panic!("{peer} never spoke") };
                    let said_so = ledger.starts.iter().any(|start| *start == (name.as_str().into(), size));
                    assert!(said_so, "{name} of {size} bytes was never announced by {peer}");
                    ledger.last_session = Some(id);
                }
                Event::Failed { id, .. } => {
                    if let Some(job) = self.jobs.get_mut(&id) {
                        job.has_failed = true;
                    }
                }
                Event::Finished { .. } | Event::Progress { .. } | Event::Refused { .. } => {}
            }
        }
    }

    fn take_order(&mut self, id: SessionId, order: Order) {
        match &order {
            Order::Admit { name, size } => {
                let job = Job { name: name.to_string(), size: *size, ..Job::default() };
                assert!(self.jobs.insert(id, job).is_none(), "admitted twice");
            }
            Order::Write(block) => {
                // The disk may have given the transfer up a moment ago.
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.waiting += block.len();
                    assert!(job.waiting <= WAITING_MAX, "{} bytes of one transfer wait for the disk", job.waiting);
                }
            }
            Order::Create | Order::Publish { .. } | Order::MakeEmpty | Order::Discard => {}
        }
        self.orders.push_back((id, order));
    }

    /// What threads and files do in the real server.
    fn carry_out(&mut self, id: SessionId, order: Order, fails: bool) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let failure = || StoreFailure { reason: "the disk is full".into() };
        match order {
            Order::Admit { .. } if fails => {
                self.jobs.remove(&id);
                self.endpoint.handle_admitted(id, Err(failure()), self.now);
            }
            Order::Admit { .. } => self.endpoint.handle_admitted(id, Ok(()), self.now),
            Order::Create | Order::Write(_) if fails => {
                self.jobs.remove(&id);
                self.endpoint.handle_store_failed(id, failure(), self.now);
            }
            Order::Create => {}
            Order::Write(block) => {
                job.waiting -= block.len();
                job.content.extend_from_slice(&block);
                assert!(job.content.len() as u64 <= job.size, "more was written than announced");
                self.endpoint.handle_written(id, block.len(), self.now);
            }
            Order::Publish { expected } => {
                let result = if fails { Err(failure()) } else { self.publish(id, expected) };
                self.jobs.remove(&id);
                self.endpoint.handle_published(id, result, self.now);
            }
            Order::MakeEmpty if fails => {
                self.jobs.remove(&id);
                self.endpoint.handle_published(id, Err(failure()), self.now);
            }
            Order::MakeEmpty => {
                assert_eq!(job.size, 0);
                let kept = self.files.get(&job.name).is_some_and(|content| !content.is_empty());
                let placement = if kept {
                    Placement::Kept
                } else {
                    self.files.insert(job.name.clone(), Vec::new());
                    self.jobs.remove(&id);
                    Placement::Placed { sha256: Sha256::digest([]).into(), replaced: None }
                };
                self.endpoint.handle_published(id, Ok(placement), self.now);
            }
            Order::Discard => {
                self.jobs.remove(&id);
            }
        }
    }

    fn publish(&mut self, id: SessionId, expected: Option<[u8; 32]>) -> Result<Placement, StoreFailure> {
        let job = &self.jobs[&id];
        assert!(!job.has_failed, "{} appears, though its transfer was called failed", job.name);
        assert_eq!(job.content.len() as u64, job.size, "{} is not complete", job.name);
        let sha256: [u8; 32] = Sha256::digest(&job.content).into();
        if expected.is_some_and(|expected| expected != sha256) {
            return Err(StoreFailure { reason: "sha256 differs".into() });
        }
        let replaced = self.files.insert(job.name.clone(), job.content.clone()).map(|old| old.len() as u64);
        Ok(Placement::Placed { sha256, replaced })
    }
}

impl Ledger {
    fn note(&mut self, datagram: &[u8]) {
        self.heard.count(datagram);
        match Packet::decode(datagram) {
            Ok(Packet::Lab(_, Message::Start { seq, name, size, .. })) => {
                self.starts.push((name.into(), size));
                self.last_start = datagram.into();
                self.last_seq = seq;
            }
            Ok(Packet::Lab(_, Message::Data { seq, .. })) => self.last_seq = seq,
            _ => {}
        }
    }
}

fn is_error(message: &Message<'_>) -> bool {
    matches!(message, Message::Error { .. })
}

/// The checksum message for this content, sent after this start.
pub fn checksum(seq: u64, content: &[u8], start: &[u8]) -> Vec<u8> {
    let message = Message::Checksum { seq, sha256: Sha256::digest(content).into(), start: start_id(start) };
    message.to_datagram(homing::packet::Spelling::Spaced).expect("it is short")
}

/// Four blocks may wait before acknowledgements do; then one more may be filled, by a chunk that is as large as they come.
const WAITING_MAX: usize = 5 * 64 * 1024 + 65_507;

/// Two sweeps a second for the longest time that passes in one step.
const MOMENTS_MAX: usize = 1000;
