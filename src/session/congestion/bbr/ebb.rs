//! The times in which packets leave slower than the path delivers: when the queue has run dry, and when it has been
//! watched long enough.

use std::time::{Duration, Instant};

/// One such time, from the end of a probe on.
#[derive(Clone, Copy, Debug)]
pub struct Ebb {
    began: Instant,
    low_since: Option<Instant>,
    clear_since: Option<Instant>,
}

impl Ebb {
    /// Begins.
    pub fn new(now: Instant) -> Self {
        Self { began: now, low_since: None, clear_since: None }
    }

    /// So little is in flight that there can be no queue of ours.
    pub fn on_low(&mut self, now: Instant) {
        self.low_since.get_or_insert(now);
    }

    /// A packet that was sent at `sent` met no queue. Says whether it is the first one that was sent in this ebb.
    pub fn on_clear(&mut self, now: Instant, sent: Instant) -> bool {
        let is_first = self.clear_since.is_none() && sent > self.began;
        if is_first {
            self.clear_since = Some(now);
        }
        is_first
    }

    /// Whether the queue of the last probe is gone.
    pub fn is_low(&self) -> bool {
        self.low_since.is_some() || self.clear_since.is_some()
    }

    /// Whether a packet has met no queue: if there was one before, it was ours.
    pub fn has_been_clear(&self) -> bool {
        self.clear_since.is_some()
    }

    /// Whether to go on. Once a packet has met no queue, the weather can be seen for a round trip. If packets meet one
    /// although little of ours is in flight, it is somebody else's, and waiting longer would only leave the path to
    /// him.
    pub fn is_over(&self, now: Instant, min_rtt: Duration, smoothed_rtt: Duration) -> bool {
        match (self.clear_since, self.low_since) {
            (Some(since), _) => now >= since + min_rtt,
            (None, Some(since)) => now >= since + smoothed_rtt,
            (None, None) => false,
        }
    }
}
