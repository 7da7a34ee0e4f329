//! Round trips and the retransmission time-out made of them (RFC 6298).

use std::time::Duration;

/// The estimate of one path's round trip, and the time-out that follows from it.
///
/// The caller keeps Karn's rule (RFC 6298 section 3): only what was sent exactly once is measured with [`Rtt::sample`].
/// What was sent more than once goes to [`Rtt::on_ambiguous`], which touches no estimate.
#[derive(Clone, Debug)]
pub struct Rtt {
    limits: Limits,
    smoothed: Option<Duration>,
    variation: Duration,
    /// In the sense of RFC 6298 section 5: a raised time-out stays until a round trip is measured again.
    kept: Option<Duration>,
    /// Messages since the last sample that could not be measured.
    ambiguous: u32,
}

/// The bounds of the retransmission time-out towards one kind of peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The time-out before anything is measured.
    pub initial: Duration,
    /// The smallest time-out.
    pub min: Duration,
    /// What the doubling stops at, or the un-backed-off time-out if that is larger.
    pub backoff_max: Duration,
    /// The most that a retransmitted message's round trip may raise the next time-out to.
    pub kept_max: Duration,
}

impl Rtt {
    /// Nothing is known yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, smoothed: None, variation: Duration::ZERO, kept: None, ambiguous: 0 }
    }

    /// Changes the bounds once it is known who the peer is.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// A round trip of a message that was sent exactly once (RFC 6298 (2.2) and (2.3)).
    pub fn sample(&mut self, round_trip: Duration) {
        self.kept = None;
        self.ambiguous = 0;
        match self.smoothed {
            None => {
                self.smoothed = Some(round_trip);
                self.variation = round_trip / 2;
            }
            Some(smoothed) => {
                let error = smoothed.abs_diff(round_trip);
                self.variation = (self.variation * 3 + error) / 4;
                self.smoothed = Some((smoothed * 7 + round_trip) / 8);
            }
        }
    }

    /// A message that was sent more than once is acknowledged, `since_first` after its first copy and `since_last` after its
    /// last, after it had timed out `timeouts` times.
    ///
    /// Nobody knows which copy was answered, so nothing is measured. If the answer came as long after the last copy as answers
    /// usually take, losses explain it. Otherwise (or if nothing was ever measured, or not for long) the
    /// round trip may have become longer than the time-out, and then every message would be repeated for ever. So the next
    /// message waits longer before its first repeat: what the answer took at most, but no more than twice as long as now,
    /// since the reason may still be losses.
    pub fn on_ambiguous(&mut self, since_first: Duration, since_last: Duration, timeouts: u32) {
        self.ambiguous += 1;
        let fits_last_copy = self.smoothed.is_some_and(|smoothed| {
            since_last.abs_diff(smoothed) <= GRANULARITY.max(smoothed / 2).max(self.variation * 4)
        });
        if !fits_last_copy || self.ambiguous >= STALE_AFTER {
            let longest = self.limits.kept_max.max(self.estimate());
            let waited = self.timeout(0).max(self.timeout(timeouts));
            self.kept = Some((since_first + since_first / 8).min(waited * 2).min(longest));
        }
    }

    /// How long to wait for the answer to a message that has already timed out `timeouts` times.
    pub fn timeout(&self, timeouts: u32) -> Duration {
        let base = self.kept.unwrap_or(Duration::ZERO).max(self.estimate());
        if timeouts == 0 {
            return base;
        }
        let doubled = base.saturating_mul(1_u32.checked_shl(timeouts.min(16)).unwrap_or(1));
        doubled.min(self.limits.backoff_max.max(self.estimate()))
    }

    /// The smoothed round trip; `None` before the first sample.
    pub fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The time-out without back-off, RFC 6298 (2.3): smoothed + max(G, 4 x variation).
    fn estimate(&self) -> Duration {
        match self.smoothed {
            None => self.limits.initial,
            Some(smoothed) => {
                let granularity = GRANULARITY.max(smoothed / 8);
                (smoothed + granularity.max(self.variation * 4)).max(self.limits.min)
            }
        }
    }
}

/// The G of RFC 6298, and why it grows with the round trip: on a LAN 10 ms is what a busy machine may sleep too long; on a
/// path of 2.2 s the variation decays to nothing after some equal round trips, and then an eighth (RFC 9002's time
/// threshold is 9/8 as well) keeps a little more queueing from being taken for a loss.
const GRANULARITY: Duration = Duration::from_millis(10);

/// After so many messages in a row that had to be repeated the last measurement says nothing about the path any more: at a
/// loss of one message in two that happens once in 256 messages, on a path that became slower at once.
const STALE_AFTER: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        initial: Duration::from_millis(500),
        min: Duration::from_millis(20),
        backoff_max: Duration::from_secs(10),
        kept_max: Duration::from_secs(60),
    };
    const PLAIN: Limits =
        Limits { backoff_max: Duration::from_secs(1), kept_max: Duration::from_millis(2500), ..LIMITS };

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn the_first_sample_sets_three_times_the_round_trip() {
        let mut rtt = Rtt::new(LIMITS);
        assert_eq!(rtt.timeout(0), ms(500));
        rtt.sample(ms(100));
        assert_eq!(rtt.timeout(0), ms(300));
    }

    #[test]
    fn a_lan_waits_for_the_minimum_and_a_satellite_for_an_eighth_more() {
        let mut lan = Rtt::new(LIMITS);
        let mut satellite = Rtt::new(LIMITS);
        for _ in 0..100 {
            lan.sample(Duration::from_micros(80));
            satellite.sample(ms(2200));
        }
        assert_eq!(lan.timeout(0), ms(20));
        assert_eq!(satellite.timeout(0), ms(2475));
    }

    #[test]
    fn time_outs_double_up_to_the_cap_and_the_cap_yields_to_the_estimate() {
        let mut rtt = Rtt::new(PLAIN);
        assert_eq!([0, 1, 2, 9].map(|n| rtt.timeout(n)), [ms(500), ms(1000), ms(1000), ms(1000)]);
        for _ in 0..50 {
            rtt.sample(ms(2000));
        }
        assert_eq!([0, 1].map(|n| rtt.timeout(n)), [ms(2250), ms(2250)]);
    }

    #[test]
    fn karn_measures_nothing_but_the_next_message_waits_long_enough() {
        let mut rtt = Rtt::new(PLAIN);
        rtt.on_ambiguous(ms(2200), ms(700), 2);
        assert_eq!(rtt.smoothed(), None);
        assert_eq!(rtt.timeout(0), ms(2000));
        rtt.on_ambiguous(ms(2200), ms(200), 1);
        assert_eq!([0, 1, 5].map(|n| rtt.timeout(n)), [ms(2475), ms(1000), ms(1000)], "repeats keep to the cap");
        rtt.on_ambiguous(ms(9000), ms(1000), 3);
        assert_eq!(rtt.timeout(0), ms(2500));
        rtt.sample(ms(1));
        assert_eq!(rtt.timeout(0), ms(20));
    }

    #[test]
    fn losses_do_not_raise_the_time_out_but_a_path_that_became_slow_does() {
        let mut rtt = Rtt::new(LIMITS);
        rtt.sample(ms(10));
        let before = rtt.timeout(0);
        for _ in 1..STALE_AFTER {
            rtt.on_ambiguous(ms(900), ms(11), 3);
        }
        assert_eq!(rtt.timeout(0), before);
        rtt.on_ambiguous(ms(2200), ms(900), 6);
        rtt.on_ambiguous(ms(2200), ms(200), 1);
        assert_eq!(rtt.timeout(0), ms(2475));
    }
}
