//! What the path loses although nobody fills it: the losses among packets that were sent slower than the path delivers.
//!
//! Whatever is lost of those is not our doing, and it will be lost at any rate. All judgements of losses compare with
//! it. It is measured in Drain and ProbeBW_DOWN only. While cruising, rate and capacity are so close that a queue of a
//! few packets overflows now and then: were those losses taken for the path's own, the rate would rise to make up for
//! them, and more would be lost, without end. A tenth slower, they stop, and the estimate comes back to the truth.

use std::time::{Duration, Instant};

/// The share of packets that the path loses by itself.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// The mean share of the last windows, and its mean deviation; `None` before the first.
    estimate: Option<(f64, f64)>,
    window: Option<Window>,
    /// Whether the last time of sending slowly has taught something.
    is_fresh: bool,
}

/// A time in which we sent slower than the path delivers.
#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    ended: Option<Instant>,
    acked: u64,
    lost: u64,
}

impl Weather {
    /// From now on we send slower than the path delivers. What was learned long ago counts less and less, unless it is
    /// confirmed.
    pub fn on_slow(&mut self) {
        if let Some((share, _)) = self.estimate.as_mut().filter(|_| !self.is_fresh) {
            *share *= AGEING;
        }
        self.is_fresh = false;
    }

    /// The queue has run dry: what is sent from now on meets only the weather.
    pub fn on_clear(&mut self, now: Instant) {
        self.window = Some(Window { began: now, ended: None, acked: 0, lost: 0 });
    }

    /// No longer.
    pub fn on_fast(&mut self, now: Instant) {
        if let Some(window) = self.window.as_mut().filter(|window| window.ended.is_none()) {
            window.ended = Some(now);
        }
    }

    /// So many bytes of packets that were sent at `sent` or shortly before it were acknowledged. `grace` is the time
    /// after which what was sent with them and is missing would be deemed lost. Gives the share if it is known for the
    /// first time.
    pub fn on_acked(&mut self, sent: Instant, bytes: u64, grace: Duration, packet: u64) -> Option<f64> {
        let window = self.window.as_mut()?;
        if window.holds(sent) {
            window.acked = window.acked.saturating_add(bytes);
        }
        if window.ended.is_some_and(|ended| sent > ended + grace) {
            let (acked, lost) = (window.acked, window.lost);
            self.window = None;
            if acked + lost >= PACKETS_MIN * packet {
                let was_known = self.estimate.is_some();
                self.learn(lost as f64 / (acked + lost) as f64, (acked + lost) as f64 / packet as f64);
                return (!was_known).then(|| self.share());
            }
        }
        None
    }

    /// A packet that was sent at `sent` was deemed lost.
    pub fn on_lost(&mut self, sent: Instant, bytes: u64) {
        if let Some(window) = self.window.as_mut().filter(|window| window.holds(sent)) {
            window.lost = window.lost.saturating_add(bytes);
        }
    }

    /// The share that is lost anyway, from 0 to [`SHARE_MAX`].
    pub fn share(&self) -> f64 {
        self.estimate.map_or(0.0, |(share, _)| share.min(SHARE_MAX))
    }

    /// The greatest share that chance explains, for `packets` observed.
    pub fn share_by_chance(&self, packets: f64) -> f64 {
        let (share, deviation) = self.estimate.unwrap_or((0.0, 0.0));
        let share = share.min(SHARE_MAX);
        share + (DEVIATIONS * deviation.max(binomial_deviation(share, packets)))
    }

    fn learn(&mut self, share: f64, packets: f64) {
        self.is_fresh = true;
        self.estimate = Some(match self.estimate {
            None => (share, binomial_deviation(share, packets)),
            Some((mean, deviation)) => {
                let error = share - mean;
                (mean + error * GAIN, deviation + (error.abs() - deviation) * GAIN)
            }
        });
    }
}

impl Window {
    fn holds(&self, sent: Instant) -> bool {
        sent > self.began && self.ended.is_none_or(|ended| sent <= ended)
    }
}

/// What independent losses deviate by.
fn binomial_deviation(share: f64, packets: f64) -> f64 {
    (share * (1.0 - share) / packets.max(1.0)).sqrt()
}

/// A fifth must not disturb us; a quarter is as much as we are ready to take for weather.
const SHARE_MAX: f64 = 0.25;

/// Fewer tell nothing.
const PACKETS_MIN: u64 = 32;

/// In a standing queue of others nothing is learned, and congestion must not be taken for weather of long ago.
const AGEING: f64 = 0.75;

/// A window has some hundred packets: four of them give a share of 10 % to half a percent.
const GAIN: f64 = 0.25;

/// What exceeds three deviations is hardly chance.
const DEVIATIONS: f64 = 3.0;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// An ebb of a second with a packet a millisecond, every `nth` of which is lost.
    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn ebb(weather: &mut Weather, nth: u32) {
        let now = Instant::now();
        weather.on_slow();
        weather.on_clear(now);
        weather.on_fast(now + MS * 1000);
        for packet in 1..=1200 {
            let sent = now + MS * packet;
            if packet.is_multiple_of(nth) {
                weather.on_lost(sent, 1000);
            } else {
                weather.on_acked(sent, 1000, MS * 100, 1000);
            }
        }
    }

    #[test]
    fn the_share_is_that_of_the_ebb_and_chance_is_allowed_for() {
        let mut weather = Weather::default();
        assert_eq!((weather.share(), weather.share_by_chance(1000.0)), (0.0, 0.0));
        ebb(&mut weather, 10);
        assert_eq!(weather.share(), 0.1);
        // Three deviations: sqrt(0.1 * 0.9 / packets) each.
        assert!((weather.share_by_chance(100.0) - 0.19).abs() < 1e-9);
        for _ in 0..20 {
            ebb(&mut weather, 2);
        }
        assert_eq!(weather.share(), SHARE_MAX, "of a half, only a quarter is taken for weather");
    }

    #[test]
    fn what_is_not_confirmed_is_forgotten_slowly() {
        let mut weather = Weather::default();
        ebb(&mut weather, 10);
        weather.on_slow();
        assert_eq!(weather.share(), 0.1);
        weather.on_slow();
        assert!((weather.share() - 0.075).abs() < 1e-9);
    }
}
