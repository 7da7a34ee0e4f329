//! No control at all: sends at one rate, whatever happens.

use crate::session::congestion::controller::{Acked, Congestion, Lost, RTT_UNKNOWN, Start, initial_window, volume_of};
use std::time::{Duration, Instant};

/// Sends at the rate that somebody asked for. It answers to nothing, so it is for paths that nobody else uses.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// Bytes per second.
    rate: u64,
    mtu: u64,
    min_rtt: Option<Duration>,
}

impl Fixed {
    /// At so many bytes per second.
    pub fn new(rate: u64, start: &Start) -> Self {
        Self { rate: rate.max(1), mtu: start.mtu as u64, min_rtt: start.rtt }
    }
}

impl Congestion for Fixed {
    fn on_acked(&mut self, acked: &Acked) {
        let rtt = acked.sample.rtt;
        self.min_rtt = Some(self.min_rtt.map_or(rtt, |min| min.min(rtt)));
    }

    fn on_lost(&mut self, _lost: &Lost) {}

    fn on_congestion_signalled(&mut self, _now: Instant, _sent: Instant) {}

    fn on_persistent_congestion(&mut self, _now: Instant) {}

    fn on_mtu(&mut self, bytes: usize) {
        self.mtu = bytes as u64;
    }

    fn on_idle_restart(&mut self, _now: Instant) {}

    fn window(&self) -> u64 {
        let rtt = self.min_rtt.unwrap_or(RTT_UNKNOWN);
        volume_of(self.rate, rtt * ROUND_TRIPS + SLACK).max(initial_window(WINDOW_MIN_PACKETS, self.mtu))
    }

    fn pacing_rate(&self) -> u64 {
        self.rate
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn phase(&self) -> &'static str {
        "fixed"
    }
}

/// As on the command line, before the rate.
pub const NAME: &str = "fixed";

/// What is in flight is to be limited by the rate, not by the window: room for jitter, for a queue and for one loss
/// detection, without letting an endless queue grow where the rate is more than the path has.
const ROUND_TRIPS: u32 = 4;

/// For acknowledgements that wait, up to 25 ms, and for machines that sleep too long.
const SLACK: Duration = Duration::from_millis(100);

/// So that a slow rate on a short path still has something to acknowledge.
const WINDOW_MIN_PACKETS: u64 = 10;
