//! How much more is acknowledged at once than the rate explains (draft-ietf-ccwg-bbr section 5.5.9).

use crate::session::congestion::controller::volume_of;
use std::time::Instant;

/// The excess, of which the greatest of the last rounds is remembered.
#[derive(Clone, Debug)]
pub struct Aggregation {
    began: Instant,
    acked: u64,
    /// The greatest excess of these rounds and of those before.
    generations: [u64; 2],
    generation_began: u64,
}

impl Aggregation {
    /// None known.
    pub fn new(now: Instant) -> Self {
        Self { began: now, acked: 0, generations: [0; 2], generation_began: 0 }
    }

    /// So many bytes were acknowledged in this `round`, while the path's rate is `rate` and the window `window`.
    pub fn on_acked(&mut self, now: Instant, bytes: u64, rate: u64, window: u64, round: u64, rounds_kept: u64) {
        if round >= self.generation_began + rounds_kept.div_ceil(2) {
            self.generations = [self.generations[1], 0];
            self.generation_began = round;
        }
        let mut expected = volume_of(rate, now.saturating_duration_since(self.began));
        if self.acked <= expected {
            self.restart(now);
            expected = 0;
        }
        self.acked = self.acked.saturating_add(bytes);
        let excess = self.acked.saturating_sub(expected).min(window);
        self.generations[1] = self.generations[1].max(excess);
    }

    /// Nothing was expected until now.
    pub fn restart(&mut self, now: Instant) {
        self.began = now;
        self.acked = 0;
    }

    /// Bytes.
    pub fn excess(&self) -> u64 {
        self.generations[0].max(self.generations[1])
    }
}
