//! The other way round: a client asks for files with what it says first, and its server sends them through the same connection.

use super::{Event, Reception, Setup};
use crate::packet::windowed::ConnectionId;
use crate::packet::windowed::frame::Space;
use crate::ranges::RangeSet;
use crate::session::congestion::Choice;
use crate::session::windowed::protection::Keys;
use crate::session::windowed::streams::Source;
use crate::session::windowed::upload::Stats;
use crate::session::windowed::{ANSWER_WINDOW, DATA_CREDIT, MANIFEST_CREDIT};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

/// What a client begins to receive with.
#[derive(Debug)]
pub struct Asking {
    /// Where the server is.
    pub peer: SocketAddr,
    /// What it wants to be called.
    pub peer_id: ConnectionId,
    /// What both seal with.
    pub keys: Keys,
    /// The round trip that the handshake took.
    pub round_trip: Option<Duration>,
    /// The largest UDP payload that the interface takes, in bytes.
    pub mtu_max: usize,
    /// A connection that hears nothing for so long is given up.
    pub timeout: Duration,
    /// Secret random bits.
    pub seed: [u8; 16],
    /// Which files are wanted.
    pub request: Vec<u8>,
}

impl Reception {
    /// The handshake of a client is done: it asks, and receives.
    pub fn ask(asking: Asking, now: Instant) -> Self {
        let Asking { peer, peer_id, keys, round_trip, mtu_max, timeout, seed, request } = asking;
        let setup = Setup { peer, peer_id, keys, round_trip, mtu_max, timeout, seed, keeps_alive: true };
        let mut reception = Self::begin(setup, now);
        reception.connection.ask_every(IMPATIENT);
        let streams = reception.connection.streams();
        streams.open_in(Space::Answer, RangeSet::new(), ANSWER_WINDOW);
        streams.open_out(Space::Manifest, &RangeSet::new());
        streams.on_limit(Space::Manifest, MANIFEST_CREDIT);
        streams.on_available(Space::Manifest, request.len() as u64);
        reception.said.request = request;
        reception
    }

    /// The client has asked for files, which are to be sent by this congestion control; `supply` has their bytes.
    pub fn turn(&mut self, choice: Choice, supply: Box<dyn Source + Send>) {
        let streams = self.connection.streams();
        streams.on_limit(Space::Manifest, MANIFEST_CREDIT);
        streams.on_limit(Space::Data, DATA_CREDIT);
        streams.open_in(Space::Answer, RangeSet::new(), ANSWER_WINDOW);
        self.takeoff.choice = choice;
        self.connection.handle_choice(&self.takeoff);
        self.said.supply = Some(supply);
    }

    /// Whether this side sends files.
    pub fn is_turned(&self) -> bool {
        self.said.supply.is_some()
    }

    /// The bytes of the manifest are there up to this offset.
    pub fn handle_manifest(&mut self, end: u64) {
        self.connection.streams().on_available(Space::Manifest, end);
    }

    /// The files have bytes up to this offset.
    pub fn handle_data(&mut self, end: u64) {
        self.connection.streams().on_available(Space::Data, end);
    }

    /// The files have no more bytes than [`Reception::handle_data`] has told.
    pub fn handle_complete(&mut self) {
        self.connection.streams().on_complete(Space::Data);
    }

    /// These bytes of the files are not to be sent: nobody wants them, or nobody has them.
    pub fn handle_void(&mut self, range: Range<u64>) {
        self.connection.streams().on_void(Space::Data, range);
    }

    /// The supply may have bytes that it had not.
    pub fn handle_source_ready(&mut self) {
        self.connection.handle_source_ready();
    }

    /// The other side knows nothing of this connection any more.
    pub fn handle_forgotten(&mut self) {
        self.connection.handle_forgotten();
        self.collect();
    }

    /// How sending goes, or, before the turn, what the connection knows of the path.
    pub fn stats(&mut self) -> Stats {
        Stats::of(&mut self.connection)
    }

    pub(super) fn collect_replies(&mut self) {
        while let Some(bytes) = self.replies.poll() {
            self.replied += bytes.len() as u64;
            self.connection.handle_taken(Space::Answer, bytes.len() as u64);
            self.events.push_back(Event::Answer(bytes));
        }
    }
}

/// Who only receives has nothing to say when nothing comes, least of all that he has moved: so he asks once a second.
const IMPATIENT: Duration = Duration::from_secs(1);
