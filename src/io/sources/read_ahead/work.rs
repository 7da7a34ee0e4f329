//! How long reading and hashing takes, and whether it is the reading or the hashing.

use crate::io::clock;
use crate::io::effort::Effort;
use crate::limits::business;
use std::time::{Duration, Instant};

/// A stretch of work of the thread that reads ahead; the account must be its own.
#[derive(Debug, Default)]
pub(super) struct Work(Option<(Effort, Instant, Duration)>);

impl Work {
    /// It begins, for the first time or again.
    pub(super) fn begin(&mut self) {
        let effort = self.0.take().map_or_else(Effort::of_this_thread, |(effort, ..)| effort);
        let before = effort.so_far().unwrap_or_default();
        self.0 = Some((effort, clock::now(), before));
    }

    /// It ends: how long it took, and how much of a core.
    pub(super) fn end(&self) -> (Duration, Duration) {
        let Some((effort, since, before)) = &self.0 else { return Default::default() };
        let made = effort.so_far().unwrap_or_default().saturating_sub(*before);
        (clock::now().saturating_duration_since(*since), made)
    }
}

/// What the work was like of late.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    lasted: Duration,
    effort: Duration,
}

impl Pace {
    /// So long a stretch was, with so much of a core; what was before fades.
    pub(super) fn add(&mut self, (lasted, effort): (Duration, Duration)) {
        self.lasted = self.lasted * 7 / 8 + lasted;
        self.effort = self.effort * 7 / 8 + effort;
    }

    /// Whether it was a core that it waited for, and not whatever it reads from.
    pub(super) fn is_laborious(&self) -> bool {
        business(self.effort, self.lasted) > 0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hashes_works_and_who_waits_for_a_disk_does_not() {
        let mut pace = Pace::default();
        assert!(!pace.is_laborious());
        let millis = Duration::from_millis;
        (0..5).for_each(|_| pace.add((millis(10), millis(10))));
        assert!(pace.is_laborious());
        (0..5).for_each(|_| pace.add((millis(100), millis(10))));
        assert!(!pace.is_laborious());
    }
}
