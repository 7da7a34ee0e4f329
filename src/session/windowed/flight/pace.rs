//! How fast packets leave: as the congestion control says, but not faster than the user wants.

use super::Flight;
use std::time::Instant;

impl<T: Copy> Flight<T> {
    /// Packets leave no faster than so many bytes of UDP payload per second from `now` on; `u64::MAX` for no limit. What was
    /// saved up at a higher rate is not sent faster than that either.
    pub fn set_limit(&mut self, limit: u64, now: Instant) {
        self.limit = limit.max(1);
        self.pace(now);
    }

    /// How fast packets may leave, in bytes per second; `u64::MAX` for as fast as they can.
    pub fn pacing_rate(&self) -> u64 {
        self.congestion.pacing_rate().min(self.limit)
    }

    /// Whether the user wants it slower than the congestion control would have it.
    pub fn is_limited(&self) -> bool {
        self.limit < self.congestion.pacing_rate()
    }

    /// While it is the user's limit that holds packets back, how fast they are delivered tells nothing about the path (as when there
    /// is nothing to send; draft-cheng-iccrg-delivery-rate-estimation section 3.5): a control that took it for the path's rate would
    /// stay below the limit, and would have to find out all anew when it is lifted.
    pub(super) fn note_limit(&mut self, paced: u64) {
        if paced == 0 && self.is_limited() {
            self.sampler.on_app_limited(self.ledger.bytes_in_flight());
        }
    }

    pub(super) fn pace(&mut self, now: Instant) {
        self.pacer.set_rate(now, self.pacing_rate());
    }
}
