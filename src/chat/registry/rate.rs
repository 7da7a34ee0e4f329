//! How often somebody may do something: a bucket of permissions that refills, kept as one moment.

use std::time::{Duration, Instant};

/// How full a bucket is and how fast it fills again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// So many at once, at least 1.
    pub(super) burst: u32,
    /// Then one in every so long.
    pub(super) every: Duration,
}

/// What is left in one bucket. In the manner of the generic cell rate algorithm (ITU-T I.371) it is the moment at which the bucket
/// will be full again; a bucket that nobody used needs no refilling by anybody.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    full_at: Option<Instant>,
}

impl Rate {
    /// Takes one permission, if there is one.
    pub(super) fn take(&mut self, limit: Limit, now: Instant) -> bool {
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now));
        if full_at.saturating_duration_since(now) > limit.every * limit.burst.saturating_sub(1) {
            return false;
        }
        self.full_at = Some(full_at + limit.every);
        true
    }
}

/// What a client may say: more than anybody types, and than a client repeats.
pub(super) const REQUESTS: Limit = Limit { burst: 20, every: Duration::from_millis(200) };

/// How often a client may ask to be introduced, and how often others to it: each time it sends some probes.
pub(super) const INTRODUCTIONS: Limit = Limit { burst: 5, every: Duration::from_secs(1) };

/// A registry that was started anew hears from all its former clients within [`crate::chat::HERE_EVERY`].
pub(super) const STRANGERS: Limit = Limit { burst: 1000, every: Duration::from_millis(1) };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn a_burst_is_followed_by_one_at_a_time_and_a_rest_brings_the_burst_back() {
        let limit = Limit { burst: 3, every: Duration::from_millis(200) };
        let (mut rate, began) = (Rate::default(), Instant::now());
        for (after_ms, taken) in [
            (0, true),
            (0, true),
            (0, true),
            (0, false),
            (199, false),
            (200, true),
            (200, false),
            (2000, true),
            (2000, true),
            (2000, true),
            (2000, false),
        ] {
            let now = began + Duration::from_millis(after_ms);
            assert_eq!(rate.take(limit, now), taken, "after {after_ms} ms");
        }
    }
}
