//! Complaints about nonsense, told once in a while: a flood of it must not become a flood of words.

use std::time::{Duration, Instant};

/// Lets one complaint a second through and counts the others.
#[derive(Debug, Default)]
pub struct Complaints {
    last: Option<Instant>,
    untold: u64,
}

impl Complaints {
    /// Whether one more may be told, and then how many were not since the last one.
    pub fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < EVERY) {
            self.untold += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

/// As often as a person can follow.
const EVERY: Duration = Duration::from_secs(1);
