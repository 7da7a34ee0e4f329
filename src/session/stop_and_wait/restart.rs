//! When the same start again is meant in earnest: some course clients use one port for every run.

use std::time::{Duration, Instant};

/// Whether and when the start came again that may begin a transfer anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Restart {
    armed: Option<Instant>,
}

impl Restart {
    /// The start came again at a time when it may be meant. An empty file begun anew would be the same file.
    pub(super) fn arm(&mut self, size: u64, now: Instant) {
        self.armed = (size > 0).then_some(now);
    }

    /// The transfer went on, or the sender to another file.
    pub(super) fn disarm(&mut self) {
        self.armed = None;
    }

    /// Whether the first number begins the transfer anew now: neither it nor the start can be a late copy of the first time.
    /// `is_last` says that the first number is also the last one.
    pub(super) fn is_due(self, ended: Option<Instant>, is_last: bool, now: Instant) -> bool {
        let Some(armed) = self.armed else { return false };
        ended.is_none_or(|ended| {
            // The only chunk of a small file may be repeated for long; there the start itself must be too late to be a copy.
            let since = if is_last { armed } else { now };
            since.saturating_duration_since(ended) >= AFTER_END
        })
    }
}

/// A finished transfer begins anew with the same start no sooner than this.
const AFTER_END: Duration = Duration::from_secs(5);

/// An unfinished one only when nothing new came for this long: far longer than copies wander, as long as a course client
/// may need to be started again.
pub(super) const AFTER_QUIET: Duration = Duration::from_secs(10);
