//! The losses of a round, and what to return to if they turn out to be none (draft-ietf-ccwg-bbr section 5.5.11).

use crate::session::congestion::bbr::bounds::Bounds;
use crate::session::congestion::bbr::phase::Phase;
use crate::session::congestion::controller::Lost;
use std::time::Instant;

/// The losses.
#[derive(Clone, Copy, Debug)]
pub struct Episode {
    began: Instant,
    /// Bytes lost that have not turned up since.
    lost: u64,
    /// What was in flight when the first of them was sent, in bytes.
    pub in_flight: u64,
    /// The bounds before.
    pub bounds: Bounds,
    /// The phase before.
    pub phase: Phase,
}

impl Episode {
    /// Begins with the loss of this packet, which [`Episode::on_lost`] will count.
    pub fn new(first: &Lost, bounds: Bounds, phase: Phase) -> Self {
        Self { began: first.now, lost: 0, in_flight: first.in_flight_then, bounds, phase }
    }

    /// A packet was deemed lost.
    pub fn on_lost(&mut self, lost: &Lost) {
        self.lost = self.lost.saturating_add(lost.bytes);
    }

    /// A packet that was deemed lost has arrived; says whether all of the episode have, now.
    pub fn on_spurious_loss(&mut self, lost: &Lost) -> bool {
        if lost.now < self.began || self.lost == 0 {
            return false;
        }
        self.lost = self.lost.saturating_sub(lost.bytes);
        self.lost == 0
    }
}
