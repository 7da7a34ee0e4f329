//! What congestion has taught: the most that may be in flight, and for a while how fast (draft-ietf-ccwg-bbr section
//! 5.5.10).

use crate::session::congestion::bbr::phase::Phase;
use crate::session::congestion::controller::scaled;

/// The bounds; `u64::MAX` is none.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most that was in flight without congestion while probing, in bytes.
    pub inflight_longterm: u64,
    /// The same since the last probe.
    pub inflight_shortterm: u64,
    /// The rate since the last probe, in bytes per second.
    pub bandwidth_shortterm: u64,
    growth: Growth,
}

/// How fast the long-term bound rises while probing.
#[derive(Clone, Copy, Debug, Default)]
struct Growth {
    rounds: u32,
    acked: u64,
    acked_per_packet: u64,
}

impl Bounds {
    /// None.
    pub const NONE: Self = Self {
        inflight_longterm: u64::MAX,
        inflight_shortterm: u64::MAX,
        bandwidth_shortterm: u64::MAX,
        growth: Growth { rounds: 0, acked: 0, acked_per_packet: u64::MAX },
    };

    /// A round of congestion while not probing, in which `bandwidth` and `inflight` were delivered at best, where
    /// `max_bandwidth` and `window` were allowed.
    pub fn on_congested_round(&mut self, bandwidth: u64, inflight: u64, max_bandwidth: u64, window: u64) {
        self.bandwidth_shortterm = scaled(self.bandwidth_shortterm.min(max_bandwidth), BETA).max(bandwidth);
        self.inflight_shortterm = scaled(self.inflight_shortterm.min(window), BETA).max(inflight);
    }

    /// Congestion while probing, with `inflight` under way; `target` is what we want under way.
    pub fn on_inflight_too_high(&mut self, inflight: u64, target: u64) {
        self.inflight_longterm = inflight.max(scaled(target, BETA));
    }

    /// So much was under way without harm.
    pub fn on_inflight_harmless(&mut self, inflight: u64) {
        if self.inflight_longterm != u64::MAX {
            self.inflight_longterm = self.inflight_longterm.max(inflight);
        }
    }

    /// A probe begins: what was learned since the last one is put to the test.
    pub fn forget_shortterm(&mut self) {
        self.inflight_shortterm = u64::MAX;
        self.bandwidth_shortterm = u64::MAX;
        self.forget_growth();
    }

    /// The probe is over.
    pub fn forget_growth(&mut self) {
        self.growth = Growth { rounds: 0, acked: 0, acked_per_packet: u64::MAX };
    }

    /// A round of probing begins: the bound may rise by twice as many packets as in the round before.
    pub fn on_probe_round(&mut self, window: u64, packet: u64) {
        let packets = 1_u64 << self.growth.rounds;
        self.growth.rounds = (self.growth.rounds + 1).min(30);
        self.growth.acked_per_packet = (window / packets).max(packet);
    }

    /// So much was acknowledged while the long-term bound held the probe back: raises it.
    pub fn on_probe_bounded(&mut self, acked: u64, packet: u64) {
        let growth = &mut self.growth;
        growth.acked = growth.acked.saturating_add(acked);
        let packets = growth.acked / growth.acked_per_packet.max(1);
        growth.acked -= packets * growth.acked_per_packet;
        self.inflight_longterm = self.inflight_longterm.saturating_add(packets.saturating_mul(packet));
    }

    /// What may be in flight in this phase, where ProbeRTT would allow `probe_rtt`.
    pub fn inflight_in(&self, phase: Phase, probe_rtt: u64) -> u64 {
        let bound = match phase {
            Phase::ProbeRtt(_) => self.inflight_with_headroom().min(probe_rtt),
            Phase::Cruise => self.inflight_with_headroom(),
            Phase::Down | Phase::Refill | Phase::Up => self.inflight_longterm,
            Phase::Startup | Phase::Drain(_) => u64::MAX,
        };
        bound.min(self.inflight_shortterm)
    }

    /// The long-term bound with some of it left to others.
    pub fn inflight_with_headroom(&self) -> u64 {
        match self.inflight_longterm {
            u64::MAX => u64::MAX,
            bound => scaled(bound, 1.0 - HEADROOM),
        }
    }

    /// At least the bounds of `before`: what came between was no congestion.
    pub fn undo(&mut self, before: &Self) {
        self.inflight_longterm = self.inflight_longterm.max(before.inflight_longterm);
        self.inflight_shortterm = self.inflight_shortterm.max(before.inflight_shortterm);
        self.bandwidth_shortterm = self.bandwidth_shortterm.max(before.bandwidth_shortterm);
    }
}

/// Draft section 2.8: the cut of a round, as CUBIC's.
const BETA: f64 = 0.7;

/// Draft section 2.8: what is left to others.
const HEADROOM: f64 = 0.15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn congestion_cuts_to_what_was_delivered_but_not_below_seven_tenths() {
        for (delivered, bound) in [(90, 90), (50, 70)] {
            let mut bounds = Bounds::NONE;
            bounds.on_congested_round(delivered, delivered, 100, 100);
            assert_eq!([bounds.bandwidth_shortterm, bounds.inflight_shortterm], [bound; 2]);
            bounds.forget_shortterm();
            assert_eq!([bounds.bandwidth_shortterm, bounds.inflight_shortterm], [u64::MAX; 2]);
        }
    }

    #[test]
    fn the_long_term_bound_rises_by_one_two_and_four_packets_a_round() {
        let mut bounds = Bounds::NONE;
        bounds.on_inflight_too_high(64_000, 60_000);
        let mut before = bounds.inflight_longterm;
        for packets in [1, 2, 4, 8] {
            bounds.on_probe_round(64_000, 1000);
            for _ in 0..64 {
                bounds.on_probe_bounded(1000, 1000);
            }
            assert_eq!(bounds.inflight_longterm - before, packets * 1000);
            before = bounds.inflight_longterm;
        }
        assert_eq!(bounds.inflight_with_headroom(), scaled(79_000, 0.85));
    }
}
