//! The one clock.

use std::time::{Duration, Instant, SystemTime};

/// What time it is.
#[expect(clippy::disallowed_methods, reason = "the only place that reads the clock; everybody else is told")]
pub fn now() -> Instant {
    Instant::now()
}

/// The time of day as a number that rises from one start of a program to the next, if nobody sets the clock back.
#[expect(clippy::disallowed_methods, reason = "the only place that reads the clock; everybody else is told")]
pub fn microseconds_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Does nothing for this long: for whoever looks at something outside again and again.
#[expect(clippy::disallowed_methods, reason = "the only place that sleeps")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
