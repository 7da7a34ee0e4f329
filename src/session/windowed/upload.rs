//! The client's half of a windowed transfer: handshake, then what the files are, then their bytes, until the server says that all is
//! done.

mod pace;
mod stats;

pub use stats::Stats;

use super::acks::{Ecn, MAX_ACK_DELAY};
use super::chrono::Chrono;
use super::connection::{self, Batch, Config, Connection, End, Sink};
use super::flight::Takeoff;
use super::greeting;
use super::log::{self, Entry, Log, Side, State};
use super::ordered::Ordered;
use super::streams::Source;
use super::watch::settings;
use super::{ANSWER_WINDOW, DATA_CREDIT, MANIFEST_CREDIT};
use crate::packet::windowed::frame::Space;
use crate::packet::windowed::{ConnectionId, Datagram, reset_token};
use crate::ranges::RangeSet;
use crate::session::Load;
use crate::session::congestion::{Choice, Remembered};
use crate::session::handshake::token::ExpectedReset;
use crate::session::handshake::{self, Client, Failure, PublicKey};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

/// How to send.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// Which congestion control.
    pub choice: Choice,
    /// What the path bore the last time.
    pub remembered: Option<Remembered>,
    /// The largest UDP payload that the interface takes, in bytes.
    pub mtu_max: usize,
    /// A connection that hears nothing for so long is given up.
    pub timeout: Duration,
    /// Secret random bits.
    pub seed: [u8; 16],
}

/// What the application must do or may want to know.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The server has shown its key: call [`Upload::welcome`], or [`Upload::handle_abort`]. Again if it has forgotten the handshake
    /// before it confirmed it.
    Met {
        /// Its key.
        server: PublicKey,
        /// What it tells every client.
        parameters: Vec<u8>,
    },
    /// The server says this about the files; pieces of one text, in order.
    Answer(Vec<u8>),
    /// The server has everything, complete and durable.
    Done,
    /// There was no handshake.
    Failed(Failure),
    /// The connection is over; after [`Event::Done`] that is as it should be.
    Over(End),
}

impl From<handshake::Event> for Event {
    fn from(event: handshake::Event) -> Self {
        match event {
            handshake::Event::Met { server, parameters } => Self::Met { server, parameters },
            handshake::Event::Over(failure) => Self::Failed(failure),
        }
    }
}

/// The machine. `S` has the bytes of the manifest and of the files; it is asked when a packet is written.
pub struct Upload<S> {
    handshake: Client,
    sending: Sending,
    connection: Option<(ConnectionId, Connection)>,
    /// How the server says that it knows nothing of it any more.
    reset: Option<ExpectedReset>,
    /// The server has sent a packet.
    is_confirmed: bool,
    source: S,
    chrono: Chrono,
    limit: u64,
    /// Where the bytes end that are there to be sent, by then.
    manifest_end: u64,
    data_end: u64,
    is_complete: bool,
    /// Bytes of the files that are not to be sent, as known before the server has confirmed the connection.
    void: RangeSet,
    answer: Ordered,
    /// How much of the answer came, and how much there is, once the server has said that all is done.
    answered: u64,
    ends: Option<u64>,
    /// Where the server is, for the log; and that, until there is a connection that has it.
    server: Option<SocketAddr>,
    log: Option<Log>,
    events: VecDeque<Event>,
}

impl<S: Source> Upload<S> {
    /// Begins the handshake at once.
    pub fn new(call: handshake::call::Config, sending: Sending, source: S, now: Instant) -> Self {
        Self {
            handshake: Client::new(call, now),
            sending,
            connection: None,
            reset: None,
            is_confirmed: false,
            source,
            chrono: Chrono::new(now),
            limit: u64::MAX,
            manifest_end: 0,
            data_end: 0,
            is_complete: false,
            void: RangeSet::new(),
            answer: Ordered::default(),
            answered: 0,
            ends: None,
            server: None,
            log: None,
            events: VecDeque::new(),
        }
    }

    /// From now on what happens is told to a log, which is taken with [`Upload::drain_log`].
    pub fn record(&mut self, now: Instant) {
        let mut log = Log::new(0, now);
        log.reach(State::Attempted);
        self.log = Some(log);
    }

    /// The server answers from there.
    pub fn handle_server(&mut self, server: SocketAddr) {
        self.server = Some(server);
    }

    /// Moves what was observed into `into`.
    pub fn drain_log(&mut self, into: &mut Vec<Entry>) {
        if let Some(log) = self.log() {
            log.drain(into);
        }
    }

    /// What the path to this server bore the last time; before [`Upload::welcome`].
    pub fn remember(&mut self, remembered: Option<Remembered>) {
        self.sending.remembered = remembered;
    }

    /// What is worth remembering of the path.
    pub fn learned(&self) -> Option<Remembered> {
        self.connection.as_ref()?.1.flight().congestion().learned()
    }

    /// The server is the right one: sending begins; or begins again, when the server never confirmed the connection before.
    pub fn welcome(&mut self, now: Instant) {
        let Some(established) = self.handshake.finish(&[], now) else { return };
        let Sending { choice, remembered, mtu_max, timeout, seed } = self.sending;
        let round_trip = self.handshake.smoothed_rtt();
        let takeoff = Takeoff { now, choice, round_trip, remembered, mtu_max, max_ack_delay: MAX_ACK_DELAY, seed };
        let (keys, peer_id) = (established.keys, established.to);
        let cipher = keys.cipher;
        let mut connection = Connection::new(Config { keys, peer_id, takeoff, timeout, keeps_alive: true });
        connection.set_limit(self.limit, now);
        let streams = connection.streams();
        for (space, credit, end) in
            [(Space::Manifest, MANIFEST_CREDIT, self.manifest_end), (Space::Data, DATA_CREDIT, self.data_end)]
        {
            streams.open_out(space, &RangeSet::new());
            if space == Space::Data {
                self.void.iter().for_each(|range| streams.on_void(space, range));
            }
            streams.on_limit(space, credit);
            streams.on_available(space, end);
            if space == Space::Data && self.is_complete {
                streams.on_complete(space);
            }
        }
        streams.open_in(Space::Answer, RangeSet::new(), ANSWER_WINDOW);
        if let Some(mut log) = self.log.take() {
            log.at(now).tell(log::Event::Started { peer: self.server, peer_id });
            log.reach(State::Established);
            log.tell(settings(cipher, timeout, &takeoff, connection.flight()));
            connection.watch().begin(log);
        }
        self.connection = Some((established.id, connection));
        self.reset = Some(established.reset);
    }

    /// The bytes of the manifest are there up to this offset.
    pub fn handle_manifest(&mut self, end: u64) {
        self.manifest_end = end;
        self.on_available(Space::Manifest, end);
    }

    /// The files have bytes up to this offset.
    pub fn handle_data(&mut self, end: u64) {
        self.data_end = end;
        self.on_available(Space::Data, end);
    }

    /// The files have no more bytes than [`Upload::handle_data`] has told.
    pub fn handle_complete(&mut self) {
        self.is_complete = true;
        if let Some((_, connection)) = &mut self.connection {
            connection.streams().on_complete(Space::Data);
        }
    }

    /// These bytes of the files are not to be sent: nobody wants them, or nobody has them.
    pub fn handle_void(&mut self, range: Range<u64>) {
        if !self.is_confirmed {
            self.void.insert(range.clone());
        }
        if let Some((_, connection)) = &mut self.connection {
            connection.streams().on_void(Space::Data, range);
        }
    }

    /// The source may have bytes that it had not.
    pub fn handle_source_ready(&mut self) {
        if let Some((_, connection)) = &mut self.connection {
            connection.handle_source_ready();
        }
    }

    /// What the bytes come from.
    pub fn source(&mut self) -> &mut S {
        &mut self.source
    }

    /// Stops; the server is told why.
    pub fn handle_abort(&mut self, code: u64, reason: &str) {
        match &mut self.connection {
            Some((_, connection)) => connection.close(code, reason),
            None => self.events.push_back(Event::Over(End::Closed)),
        }
        self.collect();
    }

    /// A datagram came from the server's address. It is used up. Says whether it was one that only the server, or somebody who sees what
    /// is sent to it, can have sent.
    pub fn handle_datagram(&mut self, datagram: &mut [u8], ecn: Option<Ecn>, now: Instant) -> bool {
        self.chrono.count(now);
        let is_expected = match (Datagram::decode(datagram), &mut self.connection) {
            (Ok(Datagram::Packet(header)), Some((id, connection))) => {
                let is_reset = reset_token(datagram)
                    .is_some_and(|token| self.reset.as_ref().is_some_and(|reset| reset.is(&token)));
                let mut sink = Answers(&mut self.answer);
                // Before anything else came, there is nothing to lose: the handshake begins anew.
                if is_reset && self.is_confirmed {
                    connection.handle_forgotten();
                    true
                } else if is_reset {
                    self.handshake.handle_forgotten(now);
                    true
                } else if header.to == *id && connection.handle_packet(&header, datagram, ecn, &mut sink, now).is_ok() {
                    self.is_confirmed = true;
                    self.handshake.handle_confirmed(now);
                    true
                } else {
                    false
                }
            }
            _ => {
                self.tell_greeting(Side::Remote, datagram.len(), now);
                self.handshake.handle_datagram(datagram, now)
            }
        };
        self.collect();
        is_expected
    }

    /// The kernel says that nobody listens there.
    pub fn handle_unreachable(&mut self) {
        self.handshake.handle_unreachable();
    }

    /// The kernel would not send a datagram of this length.
    pub fn handle_refused(&mut self, size: usize, now: Instant) {
        if let Some((_, connection)) = &mut self.connection {
            connection.handle_refused(size, now);
        }
    }

    /// So busy was the thread that calls us, until now.
    pub fn handle_load(&mut self, load: &Load, now: Instant) {
        let flight = self.connection.as_ref().map(|(_, connection)| connection.flight());
        let late = flight.map_or(Duration::ZERO, |flight| flight.counts().late);
        // On a long path what leaves a little late does so while others are under way; on a short one nothing else is.
        let is_near = flight.is_some_and(|flight| flight.rtt().min().is_some_and(|least| least < NEAR));
        self.chrono.on_load(if is_near { load.wanted } else { load.awake }, late, load, now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.handshake.handle_timeout(now);
        if let Some((_, connection)) = &mut self.connection {
            connection.handle_timeout(now);
        }
        self.collect();
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Appends the next datagrams to `out`.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>, now: Instant) -> Option<Batch> {
        if let Some(datagram) = self.handshake.poll_transmit() {
            out.extend_from_slice(&datagram);
            self.tell_greeting(Side::Local, datagram.len(), now);
            return Some(Batch { segment: datagram.len(), is_markable: false });
        }
        let (_, connection) = self.connection.as_mut()?;
        let batch = connection.poll_transmit(out, &mut self.source, now);
        if batch.is_none() {
            self.chrono.reach(pace::held_back_by(connection, &self.source, self.sending.choice), now);
        }
        batch
    }

    /// When [`Upload::handle_timeout`] or [`Upload::poll_transmit`] wants to be called.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let connection = self.connection.as_ref().and_then(|(_, connection)| connection.poll_timeout(now));
        [self.handshake.poll_timeout(), connection].into_iter().flatten().min()
    }

    fn on_available(&mut self, space: Space, end: u64) {
        if let Some((_, connection)) = &mut self.connection {
            connection.streams().on_available(space, end);
        }
    }

    fn log(&mut self) -> Option<&mut Log> {
        match &mut self.connection {
            Some((_, connection)) => connection.watch().log(),
            None => self.log.as_mut(),
        }
    }

    fn tell_greeting(&mut self, by: Side, length: usize, now: Instant) {
        if let Some(log) = self.log() {
            log.at(now).tell(log::Event::Greeted { by, length });
        }
    }

    fn collect(&mut self) {
        let log = match &mut self.connection {
            Some((_, connection)) => connection.watch().log(),
            None => self.log.as_mut(),
        };
        greeting::collect(&mut self.handshake, log, &mut self.events);
        let Some((_, connection)) = &mut self.connection else { return };
        while let Some(bytes) = self.answer.poll() {
            self.answered += bytes.len() as u64;
            connection.handle_taken(Space::Answer, bytes.len() as u64);
            self.events.push_back(Event::Answer(bytes));
        }
        let mut over = None;
        while let Some(event) = connection.poll_event() {
            match event {
                connection::Event::Done { answer } => self.ends = Some(answer),
                connection::Event::PathResponse(_) => {}
                connection::Event::Over(end) => over = Some(end),
            }
        }
        if self.ends.take_if(|ends| self.answered >= *ends).is_some() {
            self.events.push_back(Event::Done);
            connection.close(connection::NO_ERROR, "");
        }
        // A server may say that all is done and good-bye in one breath; the end stays the last event.
        while let Some(connection::Event::Over(end)) = connection.poll_event() {
            over = Some(end);
        }
        self.events.extend(over.map(Event::Over));
    }
}

/// A round trip that is no longer than what a woken thread waits for a core on a busy machine.
const NEAR: Duration = Duration::from_millis(2);

struct Answers<'a>(&'a mut Ordered);

impl Sink for Answers<'_> {
    fn take(&mut self, _space: Space, offset: u64, bytes: &[u8]) {
        self.0.take(offset, bytes);
    }
}
