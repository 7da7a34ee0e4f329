//! How fast the user lets a connection send.

use super::Connection;
use std::time::Instant;

impl Connection {
    /// Packets leave no faster than so many bytes of UDP payload per second from `now` on; `u64::MAX` for no limit.
    pub fn set_limit(&mut self, limit: u64, now: Instant) {
        self.flight.set_limit(limit, now);
    }
}
