//! The path without a queue: the shortest round trip, and when it is time to look at it again (draft-ietf-ccwg-bbr
//! sections 5.3.4.3 and 5.5.7).

use std::time::{Duration, Instant};

/// The filter of ten seconds, and within it one of five that schedules ProbeRTT.
#[derive(Clone, Debug)]
pub struct MinRtt {
    min: Option<Duration>,
    stamp: Instant,
    probe_min: Option<Duration>,
    probe_stamp: Instant,
}

impl MinRtt {
    /// Begins with the handshake's round trip, if that is known.
    pub fn new(now: Instant, rtt: Option<Duration>) -> Self {
        Self { min: rtt, stamp: now, probe_min: rtt, probe_stamp: now }
    }

    /// A round trip; says whether it is time for ProbeRTT.
    ///
    /// The draft puts the probe off only when a *shorter* round trip is seen. On a path of constant delay that never
    /// happens, however empty its queue is, and each probe costs 2 %. So it is also put off by one that is nearly as
    /// short: then the queue is empty now, and there is nothing to find out. The value stays the shortest one all the
    /// same, so that many small steps cannot raise it.
    pub fn on_rtt(&mut self, now: Instant, rtt: Duration) -> bool {
        let is_expired = now.saturating_duration_since(self.probe_stamp) > PROBE_INTERVAL;
        match self.probe_min {
            Some(min) if !is_expired && rtt >= min => {
                if is_nearly(rtt, min) {
                    self.probe_stamp = now;
                }
            }
            _ => {
                self.probe_min = Some(rtt);
                self.probe_stamp = now;
            }
        }
        let is_old = now.saturating_duration_since(self.stamp) > FILTER_LEN;
        if let Some(probe_min) = self.probe_min
            && (is_old || self.min.is_none_or(|min| probe_min <= min))
        {
            self.min = Some(probe_min);
            self.stamp = self.probe_stamp;
        } else if self.probe_stamp == now && self.is_nearly(rtt) {
            self.stamp = now;
        }
        is_expired
    }

    /// ProbeRTT is over.
    pub fn on_probed(&mut self, now: Instant) {
        self.probe_stamp = now;
    }

    /// Whether a round trip is so short that there is no queue.
    pub fn is_nearly(&self, rtt: Duration) -> bool {
        self.min.is_some_and(|min| is_nearly(rtt, min))
    }

    /// The shortest round trip; `None` before the first one.
    pub fn min(&self) -> Option<Duration> {
        self.min
    }
}

fn is_nearly(rtt: Duration, min: Duration) -> bool {
    rtt <= min + (min / NEARLY_DIVISOR).max(NEARLY_MIN)
}

/// Draft section 2.16.1: `MinRTTFilterLen`.
const FILTER_LEN: Duration = Duration::from_secs(10);

/// Draft section 2.16.2: `ProbeRTTInterval`.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// Nearly as short is a 32nd more: what the pacing's margin of 1 % drains in three round trips.
const NEARLY_DIVISOR: u32 = 32;

/// Or what the scheduling of two machines makes of it on a short path.
const NEARLY_MIN: Duration = Duration::from_micros(50);

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn begun() -> (MinRtt, Instant) {
        let now = Instant::now();
        (MinRtt::new(now, Some(ms(100))), now)
    }

    #[test]
    fn a_probe_is_due_after_five_seconds_unless_the_queue_was_seen_empty() {
        let (mut min_rtt, now) = begun();
        assert!(!min_rtt.on_rtt(now + ms(3000), ms(104)));
        assert!(min_rtt.on_rtt(now + ms(5001), ms(104)));
        let (mut min_rtt, now) = begun();
        assert!(!min_rtt.on_rtt(now + ms(3000), ms(103)));
        assert!(!min_rtt.on_rtt(now + ms(7999), ms(104)));
    }

    #[test]
    fn the_shortest_is_kept_for_ten_seconds_and_small_steps_do_not_raise_it() {
        let (mut min_rtt, now) = begun();
        for second in 1..60 {
            min_rtt.on_rtt(now + ms(1000) * second, ms(102));
        }
        assert_eq!(min_rtt.min(), Some(ms(100)));
        for second in 60..80 {
            min_rtt.on_rtt(now + ms(1000) * second, ms(150));
        }
        assert_eq!(min_rtt.min(), Some(ms(150)), "the path has become longer");
        min_rtt.on_rtt(now + ms(81_000), ms(90));
        assert_eq!(min_rtt.min(), Some(ms(90)));
    }
}
