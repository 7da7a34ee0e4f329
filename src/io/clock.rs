//! The one clock.

use std::time::Instant;

/// What time it is.
#[expect(clippy::disallowed_methods, reason = "the only place that reads the clock; everybody else is told")]
pub fn now() -> Instant {
    Instant::now()
}
