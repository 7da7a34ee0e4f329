//! What every congestion control is: told what happened to packets, asked for a window and a rate.

use std::fmt;
use std::time::{Duration, Instant};

/// A congestion control. It hears what happened, in the past tense, and says how much may be in flight and how fast it
/// may leave; it never sees a packet.
///
/// For each acknowledgement: [`Congestion::on_spurious_loss`] and [`Congestion::on_lost`] for the packets concerned,
/// [`Congestion::on_congestion_signalled`] if it reports marks, and then [`Congestion::on_acked`], if any packet is newly
/// acknowledged. All `now` are in order.
pub trait Congestion: fmt::Debug + Send {
    /// A packet of so many bytes left; `in_flight` counts it already.
    fn on_sent(&mut self, now: Instant, bytes: u64, in_flight: u64) {
        let _ = (now, bytes, in_flight);
    }

    /// An acknowledgement was processed that acknowledged something new.
    fn on_acked(&mut self, acked: &Acked);

    /// A packet is deemed lost. Called once for each.
    fn on_lost(&mut self, lost: &Lost);

    /// The network marked packets as CE (RFC 9000 section 13.4), the newest of which was sent at `sent` at the latest.
    fn on_congestion_signalled(&mut self, now: Instant, sent: Instant);

    /// Nothing came through for so long that nothing is known of the path any more (RFC 9002 section 7.6).
    fn on_persistent_congestion(&mut self, now: Instant);

    /// Packets have so many bytes from now on, headers of UDP and IP not counted.
    fn on_mtu(&mut self, bytes: usize);

    /// Nothing was in flight because there was nothing to say, and now there is.
    fn on_idle_restart(&mut self, now: Instant);

    /// How many bytes may be in flight.
    fn window(&self) -> u64;

    /// How fast they may leave, in bytes per second; `u64::MAX` for as fast as they can.
    fn pacing_rate(&self) -> u64;

    /// What it is called, as on the command line.
    fn name(&self) -> &'static str;

    /// What it is doing, for traces.
    fn phase(&self) -> &'static str;

    /// Up to which window it grows fast, in bytes, if it is one of those that do (RFC 9002 section 7.3.1), for traces.
    fn slow_start_threshold(&self) -> Option<u64> {
        None
    }

    /// What it has learned of the path that may be worth to begin with the next time.
    fn learned(&self) -> Option<Remembered> {
        None
    }

    /// A packet that was deemed lost has arrived after all. It is described as it was to [`Congestion::on_lost`].
    fn on_spurious_loss(&mut self, lost: &Lost) {
        let _ = lost;
    }
}

/// What a congestion control begins with.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The time.
    pub now: Instant,
    /// The bytes of a packet, headers of UDP and IP not counted.
    pub mtu: usize,
    /// The round trip that the handshake took; `None` if it told nothing.
    pub rtt: Option<Duration>,
    /// What its dice are thrown with.
    pub seed: u64,
    /// What the path bore when it was used last.
    pub remembered: Option<Remembered>,
}

/// What a path bore when it was used last: the saved parameters of careful resume (draft-ietf-tsvwg-careful-resume).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Remembered {
    /// Bytes per second that it delivered.
    pub rate: u64,
    /// Its shortest round trip.
    pub rtt: Duration,
    /// The share of packets that it lost, from 0 to 1.
    pub loss: f64,
}

impl Start {
    /// What may be in flight at once, spread over a round trip, because the path has borne more before: half of what it bore. `None` if
    /// nothing is remembered, or if the round trip is so different that it must be another path.
    pub fn jump(&self) -> Option<u64> {
        let (path, rtt) = (self.remembered?, self.rtt?);
        let is_same = rtt > path.rtt / 2 && rtt < path.rtt * 10;
        is_same.then(|| volume_of(path.rate / 2, rtt.min(path.rtt)).min(JUMP_MAX))
    }
}

/// What an acknowledgement said. All volumes are in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Acked {
    /// When it was processed.
    pub now: Instant,
    /// Newly acknowledged.
    pub bytes: u64,
    /// In flight before it was processed.
    pub in_flight_before: u64,
    /// In flight now, what was lost not counted.
    pub in_flight: u64,
    /// How fast packets are being delivered.
    pub sample: RateSample,
    /// The smoothed round trip (RFC 9002 section 5.3).
    pub smoothed_rtt: Duration,
    /// How long the peer says that it held the acknowledgement of the sample's packet back, as far as it is believed.
    pub ack_delay: Duration,
}

/// A packet that was deemed lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// When it was deemed lost.
    pub now: Instant,
    /// When it was sent.
    pub sent: Instant,
    /// Its size.
    pub bytes: u64,
    /// What was in flight when it was sent, itself counted, in bytes.
    pub in_flight_then: u64,
}

/// How fast packets were delivered while the newest one that an acknowledgement covers was under way (draft-ietf-ccwg-bbr
/// section 4.1.2). All volumes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSample {
    /// When that packet was sent.
    pub sent: Instant,
    /// Its round trip, with the time for which the peer held its acknowledgement back.
    pub rtt: Duration,
    /// By how much later packets had overtaken those that the acknowledgement covers, on average: zero where the path
    /// keeps order.
    pub overtaken: Duration,
    /// Delivered in the interval.
    pub delivered: u64,
    /// Deemed lost since it was sent.
    pub lost: u64,
    /// The longer one of the times that it took to send and to acknowledge what was delivered.
    pub interval: Duration,
    /// Bytes per second; `None` if the interval is too short to be believed.
    pub rate: Option<u64>,
    /// Whether there was too little to say for the rate to tell something about the path.
    pub is_app_limited: bool,
    /// Whether this machine did not get to sending in time, so that the path may carry more.
    pub is_late: bool,
    /// What was in flight when that packet was sent, itself counted.
    pub in_flight_then: u64,
    /// Delivered in all when that packet was sent.
    pub delivered_then: u64,
    /// Delivered in all.
    pub delivered_total: u64,
}

/// The window to begin with, in bytes: `packets` of them, but not more than as many of 1500 bytes make, and at least two
/// (in the manner of RFC 9002 section 7.2).
pub fn initial_window(packets: u64, mtu: u64) -> u64 {
    (packets * mtu).min((packets * 1500).max(2 * mtu))
}

/// The rate at which a volume takes a time, in bytes per second; `u64::MAX` if it takes none.
pub fn rate_of(bytes: u64, time: Duration) -> u64 {
    match time.as_nanos() {
        0 => u64::MAX,
        nanos => u64::try_from(u128::from(bytes) * 1_000_000_000 / nanos).unwrap_or(u64::MAX),
    }
}

/// The volume that a rate makes in a time, in bytes.
pub fn volume_of(rate: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(rate).saturating_mul(time.as_nanos()) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// A value with a gain.
pub fn scaled(value: u64, gain: f64) -> u64 {
    (value as f64 * gain).round() as u64
}

/// The packets to begin with when nothing is known: RFC 6928, RFC 9002 section 7.2.
pub const INITIAL_PACKETS: u64 = 10;

/// However much a path is said to have borne: a file on a disk is not to be believed without end.
const JUMP_MAX: u64 = 64 << 20;

/// The round trip as long as it is not known: RFC 9002 section 6.2.2.
pub const RTT_UNKNOWN: Duration = Duration::from_millis(333);
