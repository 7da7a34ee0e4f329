//! What sending has cost.

use std::time::Duration;

/// Packets and bytes of UDP payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets sent.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets deemed lost.
    pub lost: u64,
    /// Of those, packets that arrived after all.
    pub spurious: u64,
    /// How often a lost packet did not follow the lost one before: a kernel that drops packets drops a batch at a time.
    pub lost_runs: u64,
    /// Probe time-outs.
    pub timeouts: u64,
    /// For how long nothing left although the pace allowed it, since whoever sends came too late.
    pub late: Duration,
    /// The packet that was deemed lost last.
    pub last_lost: u64,
}

impl Counts {
    /// Whether so many packets are lost that some of the last ones will be as well: one in two hundred.
    pub fn is_lossy(&self) -> bool {
        self.packets >= 200 && self.lost.saturating_sub(self.spurious) >= self.packets / 200
    }

    /// The packet with this number is deemed lost.
    pub(super) fn on_lost(&mut self, number: u64) {
        // Now and then a number is skipped.
        if self.lost == 0 || !(1..=2).contains(&number.saturating_sub(self.last_lost)) {
            self.lost_runs += 1;
        }
        self.lost += 1;
        self.last_lost = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_that_are_lost_in_a_row_are_one_run() {
        let mut counts = Counts::default();
        [0, 1, 2, 4, 9, 3, 10, 11].into_iter().for_each(|number| counts.on_lost(number));
        assert_eq!((counts.lost, counts.lost_runs), (8, 4));
    }
}
