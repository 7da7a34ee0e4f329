//! The receiver's half of a windowed transfer, at a server, or at a client that gets files: it takes what the files are and their
//! bytes, says what became of them, and that all is done. A server that is asked for files turns round (see `turned`).

mod turned;

pub use turned::Asking;

use super::acks::{Ecn, MAX_ACK_DELAY};
use super::connection::{self, Batch, Config, Connection, End, Sink};
use super::flight::Takeoff;
use super::gather::{Block, Gather};
use super::inbox::Inbox;
use super::log::{self, Log, State};
use super::ordered::Ordered;
use super::protection::{Keys, OpenError};
use super::streams::{Form, Source};
use super::watch::settings;
use super::{ANSWER_CREDIT, DATA_WINDOW, MANIFEST_WINDOW};
use crate::packet::windowed::frame::Space;
use crate::packet::windowed::{Cipher, ConnectionId, Header};
use crate::ranges::RangeSet;
use crate::session::congestion::Choice;
use crate::session::handshake::Accepted;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

/// What the application must do or may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The next bytes of the manifest; answer with [`Reception::handle_taken`].
    Manifest(Vec<u8>),
    /// Bytes of the files; answer with [`Reception::handle_written`] when they are written.
    Data(Block),
    /// The other side says this about the files that it was asked for, or that it gets; pieces of one text, in order.
    Answer(Vec<u8>),
    /// The client has everything that it asked for, complete and durable.
    Done,
    /// It is over.
    Over(End),
}

/// The machine.
pub struct Reception {
    peer: SocketAddr,
    /// What the log wants to know of the beginning.
    peer_id: ConnectionId,
    cipher: Cipher,
    timeout: Duration,
    takeoff: Takeoff,
    /// Where the client seems to have moved to, what it must return from there, and when it was last asked.
    challenged: Option<(SocketAddr, [u8; 8], Instant)>,
    connection: Connection,
    manifest: Ordered,
    data: Gather,
    /// Bytes of the files that came.
    received: u64,
    /// When what is gathered goes on although it is little: who waits for it may be what the rest waits for.
    flush_at: Option<Instant>,
    said: Said,
    /// What the other side says about files.
    replies: Ordered,
    /// How much of that came, and how much there is, once it has said that all is done.
    replied: u64,
    ends: Option<u64>,
    is_over: bool,
    events: VecDeque<Event>,
}

/// What both sides begin with.
struct Setup {
    peer: SocketAddr,
    peer_id: ConnectionId,
    keys: Keys,
    round_trip: Option<Duration>,
    mtu_max: usize,
    timeout: Duration,
    seed: [u8; 16],
    /// It asks now and then whether the other side is there.
    keeps_alive: bool,
}

impl Reception {
    /// The handshake is done.
    pub fn new(accepted: Accepted, mtu_max: usize, timeout: Duration, seed: [u8; 16], now: Instant) -> Self {
        let Accepted { peer, to: peer_id, keys, round_trip, .. } = accepted;
        // What took longer was lost on its way, or somebody was asleep.
        let round_trip = Some(round_trip).filter(|round_trip| *round_trip <= ROUND_TRIP_LIKELY);
        let setup = Setup { peer, peer_id, keys, round_trip, mtu_max, timeout, seed, keeps_alive: false };
        let mut reception = Self::begin(setup, now);
        // It may be asked for files, and is told early how many bytes of them may come.
        let streams = reception.connection.streams();
        streams.open_out(Space::Manifest, &RangeSet::new());
        streams.open_out(Space::Data, &RangeSet::new());
        reception
    }

    fn begin(setup: Setup, now: Instant) -> Self {
        let Setup { peer, peer_id, keys, round_trip, mtu_max, timeout, seed, keeps_alive } = setup;
        let takeoff = Takeoff {
            now,
            choice: Choice::Cubic,
            round_trip,
            remembered: None,
            mtu_max,
            max_ack_delay: MAX_ACK_DELAY,
            seed,
        };
        let cipher = keys.cipher;
        let mut connection = Connection::new(Config { keys, peer_id, takeoff, timeout, keeps_alive });
        let streams = connection.streams();
        streams.open_in(Space::Manifest, RangeSet::new(), MANIFEST_WINDOW);
        streams.open_in(Space::Data, RangeSet::new(), DATA_WINDOW);
        streams.open_out(Space::Answer, &RangeSet::new());
        streams.on_limit(Space::Answer, ANSWER_CREDIT);
        Self {
            peer,
            peer_id,
            cipher,
            timeout,
            takeoff,
            challenged: None,
            connection,
            manifest: Ordered::default(),
            data: Gather::default(),
            received: 0,
            flush_at: None,
            said: Said::default(),
            replies: Ordered::default(),
            replied: 0,
            ends: None,
            is_over: false,
            events: VecDeque::new(),
        }
    }

    /// From now on what happens is told to a log.
    pub fn record(&mut self, mut log: Log) {
        log.tell(log::Event::Started { peer: Some(self.peer), peer_id: self.peer_id });
        log.reach(State::Established);
        log.tell(settings(self.cipher, self.timeout, &self.takeoff, self.connection.flight()));
        self.connection.watch().begin(log);
    }

    /// The log, if there is one.
    pub fn log(&mut self) -> Option<&mut Log> {
        self.connection.watch().log()
    }

    /// Where the client is.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// A genuine packet of `length` bytes came from another address than before. Appends a datagram for it that is no longer, unless
    /// one was sent there not long ago.
    pub fn handle_stranger(
        &mut self,
        (from, length): (SocketAddr, usize),
        bytes: [u8; 8],
        out: &mut Vec<u8>,
        now: Instant,
    ) -> Option<()> {
        let is_asked = |(address, _, at)| address == from && now.saturating_duration_since(at) < ASKED_AGAIN;
        if from == self.peer || length < connection::CHALLENGE_LENGTH || self.challenged.is_some_and(is_asked) {
            return None;
        }
        self.connection.challenge(bytes, out, now)?;
        self.challenged = Some((from, bytes, now));
        Some(())
    }

    /// Bytes of the files that came so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// A packet for this connection came. It is used up.
    ///
    /// # Errors
    /// [`OpenError`] when it is not genuine.
    pub fn handle_packet(
        &mut self,
        header: &Header,
        packet: &mut [u8],
        ecn: Option<Ecn>,
        now: Instant,
    ) -> Result<(), OpenError> {
        let Self { manifest, data, received, replies, .. } = self;
        let mut sink = Arrivals { manifest, data, received, replies };
        self.connection.handle_packet(header, packet, ecn, &mut sink, now)?;
        self.takeoff.now = now;
        self.collect();
        self.flush_at = match self.data.is_empty() {
            true => None,
            false => self.flush_at.or(Some(now + FLUSH_AFTER)),
        };
        Ok(())
    }

    /// So many bytes of this space are read, or written.
    pub fn handle_taken(&mut self, space: Space, bytes: u64) {
        self.connection.handle_taken(space, bytes);
        if space == Space::Data {
            self.data.on_taken(bytes);
        }
    }

    /// The bytes of a block are written; their memory is used again.
    pub fn handle_written(&mut self, bytes: Vec<u8>) {
        self.handle_taken(Space::Data, bytes.len() as u64);
        self.data.reuse(bytes);
    }

    /// Nothing of the files below this offset is wanted any more: it is written, or of files that came to nothing.
    pub fn handle_passed(&mut self, end: u64) {
        self.connection.streams().on_passed(Space::Data, end);
        self.collect();
    }

    /// The kernel would not send a datagram of this length.
    pub fn handle_refused(&mut self, size: usize, now: Instant) {
        self.connection.handle_refused(size, now);
    }

    /// The manifest says where the files' bytes end.
    pub fn handle_end(&mut self, end: u64) {
        if let Some(Err(violation)) = self.connection.streams().on_end(Space::Data, end) {
            self.connection.close(connection::PROTOCOL_VIOLATION, &violation.to_string());
        }
        self.collect();
    }

    /// Tells the other side something about the files.
    pub fn handle_answer(&mut self, bytes: &[u8]) {
        self.said.answer.extend_from_slice(bytes);
        self.connection.streams().on_available(Space::Answer, self.said.answer.len() as u64);
    }

    /// Everything has its final name and is durable.
    pub fn handle_done(&mut self) {
        self.connection.streams().say_done();
    }

    /// It cannot go on; the client is told why.
    pub fn handle_abort(&mut self, code: u64, reason: &str) {
        self.connection.close(code, reason);
        self.collect();
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.connection.handle_timeout(now);
        if self.flush_at.take_if(|due| *due <= now).is_some() {
            self.data.flush();
        }
        self.collect();
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Appends the next datagrams to `out`.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>, now: Instant) -> Option<Batch> {
        self.connection.poll_transmit(out, &mut self.said, now)
    }

    /// When [`Reception::handle_timeout`] or [`Reception::poll_transmit`] wants to be called.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        [self.connection.poll_timeout(now), self.flush_at].into_iter().flatten().min()
    }

    fn collect(&mut self) {
        if self.is_over {
            // Nobody takes it any more.
            (self.manifest, self.data, self.replies, self.flush_at) = Default::default();
            return;
        }
        while let Some(bytes) = self.manifest.poll() {
            self.events.push_back(Event::Manifest(bytes));
        }
        if self.connection.streams().inbox(Space::Data).is_some_and(Inbox::is_complete) {
            self.data.flush();
        }
        while let Some(block) = self.data.poll() {
            self.events.push_back(Event::Data(block));
        }
        self.collect_replies();
        self.collect_events();
        if self.ends.take_if(|ends| self.replied >= *ends).is_some() {
            self.events.push_back(Event::Done);
            self.connection.close(connection::NO_ERROR, "");
            self.collect_events();
        }
    }

    fn collect_events(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                // Only who gets the files says so.
                connection::Event::Done { answer } => self.ends = Some(answer).filter(|_| self.is_turned()),
                connection::Event::PathResponse(bytes) => {
                    if let Some((address, ..)) = self.challenged.take_if(|(_, challenge, _)| *challenge == bytes) {
                        self.peer = address;
                        self.connection.handle_moved(&self.takeoff);
                        let log = self.connection.watch().log();
                        log.into_iter().for_each(|log| log.tell(log::Event::PeerMoved { to: address }));
                    }
                }
                connection::Event::Over(end) => {
                    self.is_over = true;
                    self.events.push_back(Event::Over(end));
                }
            }
        }
    }
}

/// What is said to the other side.
#[derive(Default)]
struct Said {
    /// About the files; small, since it has none of them.
    answer: Vec<u8>,
    /// Which files are wanted.
    request: Vec<u8>,
    /// The files that were asked for.
    supply: Option<Box<dyn Source + Send>>,
}

impl Source for Said {
    fn read(&mut self, space: Space, offset: u64, into: &mut [u8]) -> bool {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let said = match (space, &mut self.supply) {
            (Space::Answer, _) => &self.answer,
            (_, Some(supply)) => return supply.read(space, offset, into),
            (_, None) => &self.request,
        };
        match said.get(from..from.saturating_add(into.len())) {
            Some(bytes) => into.copy_from_slice(bytes),
            None => return false,
        }
        true
    }

    fn form(&mut self, range: Range<u64>, may_compress: bool) -> Form {
        match &mut self.supply {
            Some(supply) => supply.form(range, may_compress),
            None => Form::Plain { end: range.end },
        }
    }
}

struct Arrivals<'a> {
    manifest: &'a mut Ordered,
    data: &'a mut Gather,
    received: &'a mut u64,
    replies: &'a mut Ordered,
}

impl Sink for Arrivals<'_> {
    fn has_room(&self, space: Space) -> bool {
        space != Space::Data || self.data.has_room()
    }

    fn take(&mut self, space: Space, offset: u64, bytes: &[u8]) {
        match space {
            Space::Manifest => self.manifest.take(offset, bytes),
            Space::Data => {
                *self.received += bytes.len() as u64;
                self.data.take(offset, bytes);
            }
            Space::Answer => self.replies.take(offset, bytes),
        }
    }
}

/// A satellite, with a queue before it.
const ROUND_TRIP_LIKELY: Duration = Duration::from_secs(1);

/// A client that seems to have moved and does not answer is asked again after so long: the question may be lost. One answer to a
/// packet at most, and no longer than that, so it need not be long.
const ASKED_AGAIN: Duration = Duration::from_millis(500);

/// How long bytes may be gathered: not long for a person, and long enough for a block on any path that is worth blocks.
const FLUSH_AFTER: Duration = Duration::from_millis(100);
