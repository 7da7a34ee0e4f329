//! The round trip that a path takes by itself, from packets whose round trips differ without a queue.
//!
//! The draft takes the shortest round trip for the path's. Where delays vary, that is the luck of one packet: a window of
//! twice the rate times that luck carries less than the path does, and every round trip that is not as lucky looks like a
//! queue. So the round trip here is that of a lot of packets, and consists of the shortest in the lot, of the usual
//! difference between one round trip and the next (RFC 3550 section 6.4.1), and of how long packets were overtaken. A
//! queue that grows or shrinks changes the round trip little from one acknowledgement to the next, and a path that
//! keeps order lets nothing overtake; so on a path of constant delay all of this is the shortest round trip.

use crate::session::congestion::controller::RateSample;
use std::time::Duration;

/// What packets took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Took {
    /// The round trip of those that nobody overtook, a lucky one as well as the others.
    pub round_trip: Duration,
    /// How much longer than that it often is without a queue.
    pub jitter: Duration,
    /// By how much the others were overtaken, as a mean of all.
    pub overtaken: Duration,
}

/// The packets of a round trip, or of more than one until there are enough.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lot {
    samples: u32,
    shortest: Duration,
    latest: Duration,
    /// The sum of the differences between one sample and the next.
    differences: Duration,
    /// The sum of the means by which the packets of each acknowledgement were overtaken.
    overtaken: Duration,
}

impl Lot {
    /// An acknowledgement came.
    pub fn on_sample(&mut self, sample: &RateSample) {
        if self.samples == 0 {
            *self = Self { shortest: sample.rtt, latest: sample.rtt, ..Self::default() };
        }
        self.samples = self.samples.saturating_add(1);
        self.shortest = self.shortest.min(sample.rtt);
        self.differences = self.differences.saturating_add(sample.rtt.abs_diff(self.latest));
        self.overtaken = self.overtaken.saturating_add(sample.overtaken);
        self.latest = sample.rtt;
    }

    /// A round trip is over: gives what the path takes by itself, if there were enough samples, and begins anew.
    pub fn take(&mut self) -> Option<Took> {
        let Self { samples, shortest, differences, overtaken, .. } = *self;
        if samples < SAMPLES_MIN {
            return None;
        }
        *self = Self::default();
        let jitter = (differences / (samples - 1)).saturating_mul(DIFFERENCES);
        Some(Took { round_trip: shortest.saturating_add(jitter), jitter, overtaken: overtaken / samples })
    }
}

/// RFC 9406 section 4.3: `N_RTT_SAMPLE`. The luck of fewer is no property of the path.
const SAMPLES_MIN: u32 = 8;

/// Where both ways add up to the same time at random, the mean is 2.2 mean differences above the shortest, where only one
/// does, 1.5.
const DIFFERENCES: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    fn take(samples: impl IntoIterator<Item = (u64, u64)>) -> Option<Took> {
        #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
        let sent = Instant::now();
        let mut lot = Lot::default();
        for (rtt, overtaken) in samples {
            lot.on_sample(&RateSample {
                sent,
                rtt: ms(rtt),
                overtaken: ms(overtaken),
                delivered: 0,
                lost: 0,
                interval: ms(rtt),
                rate: None,
                is_app_limited: false,
                is_late: false,
                in_flight_then: 0,
                delivered_then: 0,
                delivered_total: 0,
            });
        }
        lot.take()
    }

    fn took(round_trip: u64, jitter: u64, overtaken: u64) -> Option<Took> {
        Some(Took { round_trip: ms(round_trip), jitter: ms(jitter), overtaken: ms(overtaken) })
    }

    #[test]
    fn without_jitter_it_is_the_shortest_even_while_a_queue_grows() {
        assert_eq!(take([(100, 0); 8]), took(100, 0, 0));
        assert_eq!(take((0..=40).map(|step| (1000 + step, 0))), took(1002, 2, 0));
    }

    #[test]
    fn jitter_and_overtaking_belong_to_the_path() {
        assert_eq!(take((0..9).map(|packet| (if packet % 2 == 0 { 100 } else { 120 }, 0))), took(140, 40, 0));
        assert_eq!(take([(10, 40); 8]), took(10, 0, 40));
    }

    #[test]
    fn the_luck_of_a_few_packets_tells_nothing() {
        assert_eq!(take([(10, 0); 7]), None);
    }
}
