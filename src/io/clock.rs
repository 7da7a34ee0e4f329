//! The one clock.

use std::time::{Duration, Instant};

/// What time it is.
#[expect(clippy::disallowed_methods, reason = "the only place that reads the clock; everybody else is told")]
pub fn now() -> Instant {
    Instant::now()
}

/// Does nothing for this long: for whoever looks at something outside again and again.
#[expect(clippy::disallowed_methods, reason = "the only place that sleeps")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
