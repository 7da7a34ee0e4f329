//! How many notes may be told of what anybody can make us tell.

use std::time::{Duration, Instant};

/// Lets so many notes a second through that a flood of nonsense neither fills a disk nor blocks the socket thread on a slow
/// terminal.
#[derive(Default)]
pub(super) struct Throttle {
    second: Option<Instant>,
    told: u32,
    untold: u64,
}

impl Throttle {
    /// Whether one more may be told, and how many were not since the last one.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.second.is_none_or(|began| now.saturating_duration_since(began) >= Duration::from_secs(1)) {
            self.second = Some(now);
            self.told = 0;
        }
        if self.told >= TOLD_A_SECOND {
            self.untold += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

/// Refusals told a second: more than a person reads.
const TOLD_A_SECOND: u32 = 20;
