//! What a plot is drawn from: looks at a transfer in equal intervals, a bounded number of them however long it takes.

use crate::limits::Spent;
use std::time::Duration;

/// One look. Counts are since the beginning, so that a look that is left out is no loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When, since the beginning.
    pub at: Duration,
    /// Bytes that the receiver has.
    pub delivered: u64,
    /// The pace in bytes per second; `u64::MAX` for none.
    pub pace: u64,
    /// The congestion window in bytes.
    pub window: u64,
    /// Bytes under way.
    pub in_flight: u64,
    /// The smoothed round trip, and the shortest.
    pub rtt: Option<Duration>,
    /// See [`Sample::rtt`].
    pub min_rtt: Option<Duration>,
    /// Packets sent.
    pub packets: u64,
    /// Packets lost.
    pub lost: u64,
    /// For how long the transfer was held back by what.
    pub spent: Spent,
}

/// The looks.
#[derive(Clone, Debug)]
pub struct Track {
    samples: Vec<Sample>,
    every: Duration,
}

impl Default for Track {
    fn default() -> Self {
        Self { samples: Vec::new(), every: EVERY }
    }
}

impl Track {
    /// Takes a look, unless the last one was not long ago.
    pub fn add(&mut self, sample: Sample) {
        if self.samples.last().is_some_and(|last| sample.at < last.at.saturating_add(self.every)) {
            return;
        }
        if self.samples.len() >= SAMPLES_MAX {
            let mut number = 0_usize;
            self.samples.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.every *= 2;
        }
        self.samples.push(sample);
    }

    /// The last look, which is always kept.
    pub fn end(&mut self, sample: Sample) {
        if self.samples.last().is_some_and(|last| last.at >= sample.at) {
            self.samples.pop();
        }
        self.samples.push(sample);
    }

    /// All that are kept, in their order.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

/// How often at first: often enough for the start of a copy that takes a tenth of a second.
const EVERY: Duration = Duration::from_millis(1);

/// Five for each column of the picture, in half a megabyte.
pub const SAMPLES_MAX: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_transfer_is_looked_at_less_often_and_from_end_to_end() {
        let mut track = Track::default();
        for micros in (0..100_000_000).step_by(500) {
            let delivered = micros;
            track.add(Sample { at: Duration::from_micros(micros), delivered, ..Sample::default() });
            assert!(track.samples().len() <= SAMPLES_MAX);
        }
        track.end(Sample { at: Duration::from_secs(100), ..Sample::default() });
        let samples = track.samples();
        assert!(samples.len() > SAMPLES_MAX / 2, "{}", samples.len());
        assert_eq!((samples[0].at, samples[samples.len() - 1].at), (Duration::ZERO, Duration::from_secs(100)));
        let gaps: Vec<Duration> = samples.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        let longest = gaps.iter().max().expect("gaps");
        assert!(*longest <= 2 * gaps[0] && gaps[0] < Duration::from_millis(200), "{longest:?}");
    }

    #[test]
    fn what_comes_at_once_is_one_look() {
        let mut track = Track::default();
        (0..10).for_each(|_| track.add(Sample::default()));
        track.end(Sample { delivered: 7, ..Sample::default() });
        assert_eq!(track.samples(), [Sample { delivered: 7, ..Sample::default() }]);
    }
}
