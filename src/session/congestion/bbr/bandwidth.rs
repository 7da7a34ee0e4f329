//! What the path carries: the greatest rate of the last two probing cycles (draft-ietf-ccwg-bbr sections 5.5.2 to 5.5.6).

use crate::session::congestion::controller::{RateSample, rate_of, scaled};

/// The filter. Its clock is the count of probing cycles, since only probing shows what the path could carry.
#[derive(Clone, Debug, Default)]
pub struct Bandwidth {
    /// The greatest rate of the last cycle and of this one, in bytes per second.
    cycles: [u64; 2],
    /// Whether this cycle has a sample that says what the path carries, and not how busy this machine was.
    is_measured: bool,
}

impl Bandwidth {
    /// A sample's rate, as [`carried`] says. What the application limited, or a machine that was too busy
    /// to send in time, counts only if it is more than all that is known.
    pub fn on_sample(&mut self, rate: u64, sample: &RateSample) {
        let is_limited = sample.is_app_limited || sample.is_late;
        if !is_limited || rate >= self.max() {
            self.cycles[1] = self.cycles[1].max(rate);
            self.is_measured = true;
        }
    }

    /// The weather is known for the first time: until now no loss was counted as carried.
    pub fn on_weather_known(&mut self, loss: f64) {
        self.cycles = self.cycles.map(|rate| scaled(rate, 1.0 / (1.0 - loss)));
    }

    /// A cycle's probing has been measured: what is older than a cycle is forgotten. A cycle without a sample is none, nor is
    /// one in which this machine was always late: otherwise its lateness would lower the rate again and again, down to nothing.
    pub fn on_cycle(&mut self) {
        if self.cycles[1] != 0 && std::mem::take(&mut self.is_measured) {
            self.cycles = [self.cycles[1], 0];
        }
    }

    /// Bytes per second; 0 while nothing is known.
    pub fn max(&self) -> u64 {
        self.cycles[0].max(self.cycles[1])
    }
}

/// The rate at which the path carried packets, those included that it lost without being full: of what was lost, at
/// most the share `loss` of all. `None` if the sample has no rate.
///
/// Who sends only as fast as packets arrive sends slower by the losses, and slower again for the losses among
/// these. Counting `delivered / (1 - loss)` would let the luck of one round trip with few losses raise the
/// rate; but a packet that was lost has used the path like any other, so the sum hardly depends on luck.
pub fn carried(sample: &RateSample, loss: f64) -> Option<u64> {
    sample.rate?;
    let share = loss / (1.0 - loss);
    let lost = sample.lost.min((sample.delivered as f64 * share) as u64);
    Some(rate_of(sample.delivered.saturating_add(lost), sample.interval))
}
