//! The words of a log: what can be observed of a connection, in the past tense.
//!
//! What has several parts (the frames of a packet, the numbers that an acknowledgement names, the values that changed) is told part by
//! part, and then as a whole; so nothing is allocated for a packet.

use crate::packet::windowed::frame::{EcnCounts, Space};
use crate::packet::windowed::{Cipher, ConnectionId};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it happened; never before the entry before it.
    pub at: Instant,
    /// The number of the transfer that it happened to.
    pub transfer: u64,
    /// What happened.
    pub item: Item,
}

/// An event, or a part of the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A part of the next event.
    Part(Part),
    /// With the parts since the event before it.
    Event(Event),
}

/// A part of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A frame of a packet.
    Frame(Content),
    /// Packet numbers from the first to the last, of the acknowledgement before it, or newly acknowledged.
    Range(u64, u64),
    /// The marks that the acknowledgement before it counted.
    Marks(EcnCounts),
    /// A value that changed.
    Metric(Metric, u64),
}

/// What a frame says, without the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are those of `Frame`")]
pub enum Content {
    Padding(usize),
    Ping,
    Ack { delay: Duration },
    Bytes { space: Space, offset: u64, length: usize },
    Compressed { start: u64, length: usize, at: usize, count: usize },
    MaxBytes { space: Space, limit: u64 },
    DataBlocked { limit: u64 },
    PathChallenge,
    PathResponse,
    NewConnectionId { sequence: u64, retire: u64 },
    Done { answer: u64 },
    Close { code: u64 },
}

/// What is measured all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The smallest round trip, in microseconds.
    MinRtt,
    /// The smoothed one.
    SmoothedRtt,
    /// The last one.
    LatestRtt,
    /// The mean deviation from the smoothed one.
    RttVariance,
    /// Probe time-outs in a row.
    PtoCount,
    /// In bytes.
    CongestionWindow,
    /// In bytes.
    BytesInFlight,
    /// In bytes; only where the congestion control has one.
    SlowStartThreshold,
    /// In bytes per second.
    PacingRate,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer is known, and how it is called.
    Started {
        /// Where it is, if that is known here.
        peer: Option<SocketAddr>,
        /// What it calls itself.
        peer_id: ConnectionId,
    },
    /// The connection came further.
    StateUpdated {
        /// From there.
        old: Option<State>,
        /// To there.
        new: State,
    },
    /// With these settings.
    ParametersSet(Box<Settings>),
    /// A datagram of the handshake passed.
    Greeted {
        /// Who sent it.
        by: Side,
        /// Its length in bytes.
        length: usize,
    },
    /// A packet left; its parts are frames.
    PacketSent {
        /// Its number.
        number: u64,
        /// Its length in bytes of UDP payload.
        length: usize,
        /// What it was for, if not for what it carries.
        purpose: Option<Purpose>,
    },
    /// A packet came; its parts are frames.
    PacketReceived {
        /// Its number.
        number: u64,
        /// Its length in bytes of UDP payload.
        length: usize,
    },
    /// Packets were acknowledged for the first time; the parts are ranges.
    PacketsAcked,
    /// A packet is deemed lost.
    PacketLost {
        /// Its number.
        number: u64,
        /// Its length in bytes of UDP payload.
        length: u32,
        /// Why.
        trigger: Trigger,
        /// It was to find out whether its size passes, and is not counted as lost.
        is_mtu_probe: bool,
    },
    /// A packet that was deemed lost has arrived.
    LossWasSpurious {
        /// Its number.
        number: u64,
    },
    /// Values changed; the parts are metrics.
    MetricsUpdated,
    /// The congestion control does something else now.
    CongestionStateUpdated {
        /// What it did before.
        old: Option<&'static str>,
        /// What it does now.
        new: &'static str,
    },
    /// Packets have another length from now on, in bytes of UDP payload.
    MtuUpdated {
        /// The length before.
        old: usize,
        /// The length now.
        new: usize,
    },
    /// A timer of loss detection.
    LossTimerUpdated {
        /// Which.
        timer: Timer,
        /// What became of it.
        change: TimerChange,
    },
    /// Packets are sealed with a new key.
    KeyUpdated {
        /// Who seals with it.
        by: Side,
        /// How many there were before it.
        generation: u32,
    },
    /// The peer lives elsewhere now.
    PeerMoved {
        /// There.
        to: SocketAddr,
    },
    /// It is over.
    Closed(Box<End>),
    /// So many events are missing here, since nobody took them in time.
    EventsDropped(u64),
}

/// How far a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The first datagram is on its way.
    Attempted,
    /// Each has shown its key.
    Established,
    /// The peer has sent a packet.
    Confirmed,
    /// It is over.
    Closed,
}

/// What a connection begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Packets are sealed with it.
    pub cipher: Cipher,
    /// A connection that hears nothing for so long is over.
    pub timeout: Duration,
    /// The largest UDP payload that is tried, in bytes.
    pub mtu_max: usize,
    /// The length of packets to begin with.
    pub mtu: usize,
    /// How long an acknowledgement may wait.
    pub max_ack_delay: Duration,
    /// The round trip to begin with.
    pub round_trip: Duration,
    /// The congestion control.
    pub congestion: &'static str,
    /// What may be under way to begin with, in bytes.
    pub window: u64,
}

/// Who did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We.
    Local,
    /// The peer.
    Remote,
}

/// What a packet was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To find out whether such long ones pass.
    MtuProbe,
    /// To make a silent peer say something.
    PtoProbe,
}

/// Why a packet is deemed lost (RFC 9002 section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Enough later ones were acknowledged.
    ReorderingThreshold,
    /// It was sent long enough ago.
    TimeThreshold,
}

/// A timer of loss detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// The next packet falls due as lost (RFC 9002 section 6.1.2).
    Loss,
    /// The silence becomes too long (RFC 9002 section 6.2).
    Probe,
}

/// What became of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerChange {
    /// It will expire after so long.
    Set(Duration),
    /// It has.
    Expired,
    /// It will not.
    Cancelled,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Who ended it.
    pub by: Side,
    /// As a number, if somebody said so.
    pub code: Option<u64>,
    /// In words, perhaps the peer's.
    pub reason: String,
    /// As qlog has it for `connection_closed`.
    pub trigger: &'static str,
}
