//! How an upload goes, for people to read.

use super::Upload;
use crate::limits::Spent;
use crate::packet::windowed::Cipher;
use crate::packet::windowed::frame::Space;
use crate::session::windowed::connection::Connection;
use crate::session::windowed::flight::Counts;
use crate::session::windowed::outbox::Outbox;
use crate::session::windowed::streams::Source;
use std::time::{Duration, Instant};

/// What is known of the transfer, for people to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// What sending has cost.
    pub counts: Counts,
    /// Bytes of files that the server has.
    pub acknowledged: u64,
    /// The offset of the first byte that the server has not, and is to have.
    pub reached: u64,
    /// Bytes of files that are not to be sent, and that it has not.
    pub void: u64,
    /// Since when nothing was heard of what waits for an answer.
    pub unanswered: Option<Instant>,
    /// Bytes of files that were sent again.
    pub repeated: u64,
    /// The smoothed round trip.
    pub rtt: Option<Duration>,
    /// The length of packets in bytes.
    pub packet_size: usize,
    /// How fast packets leave, in bytes per second.
    pub pacing_rate: u64,
    /// How much may be under way, in bytes.
    pub window: u64,
    /// The server's disk is what we wait for.
    pub is_blocked: bool,
    /// The least round trip.
    pub min_rtt: Option<Duration>,
    /// How much is under way, in bytes.
    pub in_flight: u64,
    /// What packets are sealed with.
    pub cipher: Option<Cipher>,
    /// Bytes of files that went, or came, in compressed blocks, and how many bytes these blocks have.
    pub compressed: (u64, u64),
    /// For how long the transfer was held back by what.
    pub spent: Spent,
}

impl<S: Source> Upload<S> {
    /// How it goes.
    pub fn stats(&mut self) -> Stats {
        let spent = self.chrono.spent();
        let known = self.connection.as_mut().map_or_else(Stats::default, |(_, connection)| Stats::of(connection));
        Stats { spent, ..known }
    }
}

impl Stats {
    /// So many bytes on the wire were `plain` bytes of files, without headers and what was sent again.
    pub fn on_wire(&self, plain: u64) -> u64 {
        let (before, after) = self.compressed;
        plain.saturating_sub(before).saturating_add(after).min(plain)
    }

    /// What a connection knows of what it sends.
    pub(in crate::session::windowed) fn of(connection: &mut Connection) -> Self {
        let flight = connection.flight();
        let (counts, rtt, packet_size) = (flight.counts(), flight.rtt().smoothed(), flight.packet_size());
        let (pacing_rate, window) = (flight.congestion().pacing_rate(), flight.congestion().window());
        let (min_rtt, in_flight) = (flight.rtt().min(), flight.bytes_in_flight());
        let outbox = connection.streams().outbox(Space::Data);
        let (acked, void, repeated) =
            outbox.map_or((0, 0, 0), |outbox| (outbox.acked(), outbox.void(), outbox.repeated()));
        let reached = outbox.map_or(0, Outbox::reached);
        Self {
            counts,
            acknowledged: acked.saturating_sub(void),
            reached,
            void,
            repeated,
            rtt: Some(rtt),
            packet_size,
            pacing_rate,
            window,
            is_blocked: outbox.is_some_and(Outbox::is_blocked),
            unanswered: connection.unanswered(),
            min_rtt,
            in_flight,
            cipher: Some(connection.cipher()),
            compressed: connection.compressed(),
            ..Self::default()
        }
    }
}
