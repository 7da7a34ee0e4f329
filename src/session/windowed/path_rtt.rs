//! The round trip of one path, from acknowledgements that say how long they waited (RFC 9002 section 5).

use std::time::{Duration, Instant};

/// What is known of a path's round trip.
///
/// This is the round trip for finding losses. A congestion control that needs the path's minimum over a time of its own
/// choosing (BBR probes for it) keeps its own filter: the two want to forget at different moments.
#[derive(Clone, Debug)]
pub struct PathRtt {
    latest: Option<Duration>,
    smoothed: Duration,
    variation: Duration,
    min: WindowedMin,
    /// What the peer promised not to exceed; binding once the handshake is confirmed.
    max_ack_delay: Duration,
    confirmed: bool,
}

impl PathRtt {
    /// Nothing measured yet. `max_ack_delay` is how long the peer may keep an acknowledgement waiting.
    pub fn new(max_ack_delay: Duration) -> Self {
        Self {
            latest: None,
            smoothed: INITIAL,
            variation: INITIAL / 2,
            min: WindowedMin::default(),
            max_ack_delay,
            confirmed: false,
        }
    }

    /// The handshake is confirmed: from now on a peer that claims a longer delay than it promised is not believed
    /// (RFC 9002 section 5.3).
    pub fn on_handshake_confirmed(&mut self) {
        self.confirmed = true;
    }

    /// The largest packet number of an acknowledgement was acknowledged for the first time, `round_trip` after it was sent,
    /// and the peer says that the acknowledgement waited for `ack_delay`.
    ///
    /// At most [`ROUND_TRIP_MAX`] is believed: a machine that slept over its acknowledgements measured its sleep.
    pub fn on_sample(&mut self, round_trip: Duration, ack_delay: Duration, now: Instant) {
        let round_trip = round_trip.min(ROUND_TRIP_MAX);
        self.min.insert(round_trip, now);
        let ack_delay = if self.confirmed { ack_delay.min(self.max_ack_delay) } else { ack_delay };
        // A delay that would lead below the minimum is wrong, and then all of it is.
        let adjusted = match round_trip.checked_sub(ack_delay) {
            Some(adjusted) if adjusted >= self.min.get().unwrap_or(round_trip) => adjusted,
            _ => round_trip,
        };
        if self.latest.replace(round_trip).is_none() {
            // The first one is taken as it is (RFC 9002 section 5.3).
            (self.smoothed, self.variation) = (round_trip, round_trip / 2);
            return;
        }
        self.variation = (self.variation * 3 + self.smoothed.abs_diff(adjusted)) / 4;
        self.smoothed = (self.smoothed * 7 + adjusted) / 8;
    }

    /// The path changed: nothing of the old one holds (RFC 9000 section 9.4).
    pub fn on_path_changed(&mut self) {
        let confirmed = self.confirmed;
        *self = Self { confirmed, ..Self::new(self.max_ack_delay) };
    }

    /// The last sample, with the peer's delay in it; `None` before the first.
    pub fn latest(&self) -> Option<Duration> {
        self.latest
    }

    /// The smallest sample of the last 10 to 20 s, the peer's delay included; `None` before the first.
    pub fn min(&self) -> Option<Duration> {
        self.min.get()
    }

    /// The smoothed round trip; 333 ms before the first sample (RFC 9002 section 6.2.2).
    pub fn smoothed(&self) -> Duration {
        self.smoothed
    }

    /// The mean deviation from it.
    pub fn variation(&self) -> Duration {
        self.variation
    }

    /// How long the peer may keep an acknowledgement waiting.
    pub fn max_ack_delay(&self) -> Duration {
        self.max_ack_delay
    }
}

/// The minimum over the current window and the one before it, so that it forgets a path that has become longer.
#[derive(Clone, Debug, Default)]
struct WindowedMin {
    began: Option<Instant>,
    current: Option<Duration>,
    before: Option<Duration>,
}

impl WindowedMin {
    fn insert(&mut self, sample: Duration, now: Instant) {
        let age = self.began.map_or(Duration::MAX, |began| now.saturating_duration_since(began));
        if age >= MIN_WINDOW {
            // After a long silence what is known is old, but still better than nothing: it counts for one window more.
            self.before = self.current.take();
            self.began = Some(now);
        }
        self.current = Some(self.current.map_or(sample, |current| current.min(sample)));
    }

    fn get(&self) -> Option<Duration> {
        [self.current, self.before].into_iter().flatten().min()
    }
}

/// The largest round trip that is believed. A satellite behind a queue of several seconds stays below it.
pub const ROUND_TRIP_MAX: Duration = Duration::from_secs(20);

/// `kInitialRtt` (RFC 9002 section 6.2.2).
const INITIAL: Duration = Duration::from_millis(333);

/// RFC 9002 section 5.2 leaves it open when a minimum is forgotten; 10 s is what BBR remembers.
const MIN_WINDOW: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn begun() -> (PathRtt, Instant) {
        (PathRtt::new(ms(25)), Instant::now())
    }

    #[test]
    fn the_first_sample_is_taken_whole() {
        let (mut rtt, now) = begun();
        assert_eq!((rtt.latest(), rtt.min(), rtt.smoothed()), (None, None, ms(333)));
        rtt.on_sample(ms(100), ms(20), now);
        assert_eq!((rtt.latest(), rtt.min()), (Some(ms(100)), Some(ms(100))));
        assert_eq!((rtt.smoothed(), rtt.variation()), (ms(100), ms(50)));
    }

    #[test]
    fn the_peers_delay_is_taken_off_unless_it_leads_below_the_minimum() {
        let cases = [(116, 16, 100), (116, 0, 102), (116, 17, 102), (100, 20, 100), (90, 10, 98)];
        for (round_trip, ack_delay, smoothed) in cases {
            let (mut rtt, now) = begun();
            rtt.on_sample(ms(100), ms(0), now);
            let variation = rtt.variation();
            rtt.on_sample(ms(round_trip), ms(ack_delay), now);
            let adjusted = rtt.smoothed() * 8 - ms(100) * 7;
            assert!(rtt.variation().abs_diff((variation * 3 + adjusted.abs_diff(ms(100))) / 4) <= ms(1));
            let got = rtt.smoothed();
            assert!(got.abs_diff(ms(smoothed)) <= ms(1), "{round_trip} ms less {ack_delay} ms: {got:?}");
        }
    }

    #[test]
    fn more_delay_than_promised_is_believed_only_during_the_handshake() {
        let (mut early, now) = begun();
        early.on_sample(ms(100), ms(0), now);
        let mut late = early.clone();
        late.on_handshake_confirmed();
        for rtt in [&mut early, &mut late] {
            rtt.on_sample(ms(300), ms(200), now);
        }
        assert_eq!((early.smoothed(), late.smoothed()), (ms(100), ms(100) * 7 / 8 + ms(275) / 8));
    }

    #[test]
    fn a_path_that_became_longer_raises_the_minimum_after_two_windows() {
        let (mut rtt, began) = begun();
        rtt.on_sample(ms(10), ms(0), began);
        for second in 1..=9 {
            rtt.on_sample(ms(80), ms(0), began + ms(second * 1000));
        }
        assert_eq!(rtt.min(), Some(ms(10)));
        for second in 10..=20 {
            rtt.on_sample(ms(80), ms(0), began + ms(second * 1000));
            assert_eq!(rtt.min(), Some(ms(if second < 20 { 10 } else { 80 })), "after {second} s");
        }
    }

    #[test]
    fn a_changed_path_is_unknown_but_the_promise_holds() {
        let (mut rtt, now) = begun();
        rtt.on_handshake_confirmed();
        rtt.on_sample(ms(500), ms(0), now);
        rtt.on_path_changed();
        assert_eq!((rtt.latest(), rtt.min(), rtt.smoothed(), rtt.variation()), (None, None, ms(333), ms(333) / 2));
        rtt.on_sample(ms(100), ms(0), now);
        rtt.on_sample(ms(200), ms(90), now);
        assert_eq!(rtt.smoothed(), (ms(100) * 7 + ms(175)) / 8);
    }

    #[test]
    fn a_machine_that_slept_does_not_measure_its_sleep() {
        let (mut rtt, now) = begun();
        rtt.on_sample(ms(3_600_000), ms(0), now);
        assert_eq!(rtt.smoothed(), ROUND_TRIP_MAX);
    }

    proptest! {
        #[test]
        fn the_estimate_stays_among_the_samples(
            samples in proptest::collection::vec((1..60_000_u64, 0..100_000_u64, 0..30_000_u64), 1..60),
        ) {
            let (mut rtt, mut now) = begun();
            rtt.on_handshake_confirmed();
            let (mut lowest, mut highest) = (Duration::MAX, Duration::ZERO);
            for (round_trip, ack_delay, pause) in samples {
                now += ms(pause);
                rtt.on_sample(ms(round_trip), ms(ack_delay), now);
                lowest = lowest.min(ms(round_trip));
                highest = highest.max(ms(round_trip).min(ROUND_TRIP_MAX));
                // Rounding down costs a nanosecond for each division.
                let smoothed = rtt.smoothed() + Duration::from_nanos(60);
                prop_assert!(smoothed >= lowest.saturating_sub(ms(25)).min(ROUND_TRIP_MAX) && rtt.smoothed() <= highest);
                prop_assert!(rtt.min().is_some_and(|min| min <= rtt.latest().unwrap()));
            }
        }
    }
}
