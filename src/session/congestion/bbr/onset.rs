//! Whether losses have begun in Startup that were not there before: the queue of the path overflows.
//!
//! Startup goes on as long as the rate grows. Where others fill the path, it also grows by what it pushes them out of, while
//! the queue overflows for round trip after round trip, and a TCP gives way in each of them: CUBIC needs half a minute to come back
//! from four. The first rounds are slow enough to tell what the path loses by itself; what exceeds that is overflow, growth or not.

/// The losses of Startup's rounds until now, in packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Onset {
    lost: f64,
    all: f64,
}

impl Onset {
    /// The path lost this share of packets the last time: that is what the first round is compared with.
    pub fn remembering(loss: f64) -> Self {
        Self { lost: loss * PACKETS_REMEMBERED, all: PACKETS_REMEMBERED }
    }

    /// A round ended in which so many packets were lost and acknowledged. Says whether clearly more of them were lost than
    /// of those of all rounds before: by three of twenty, and by more than chance explains.
    pub fn on_round(&mut self, lost: f64, acked: f64) -> bool {
        let (all, before) = (lost + acked, *self);
        (self.lost, self.all) = (before.lost + lost, before.all + all);
        if before.all < PACKETS_BEFORE_MIN || all < PACKETS_MIN {
            return false;
        }
        let excess = lost / all - before.lost / before.all;
        // The deviation of the difference of two shares, if both were drawn from one.
        let share = self.lost / self.all;
        let deviation = (share * (1.0 - share) * (1.0 / all + 1.0 / before.all)).sqrt();
        excess > EXCESS_MIN && excess > DEVIATIONS * deviation
    }
}

/// Fewer tell nothing: of 64 packets on a path that loses 5 % by itself, one round in a thousand loses ten.
const PACKETS_MIN: f64 = 128.0;
const PACKETS_BEFORE_MIN: f64 = 64.0;

/// What was measured the last time says as much as this many packets now: paths change.
const PACKETS_REMEMBERED: f64 = 128.0;

/// What exceeds three deviations is hardly chance.
const DEVIATIONS: f64 = 3.0;

/// Who sends 2.77 times what the path has for him loses more than this; bursts of losses by bad luck are seldom as long.
const EXCESS_MIN: f64 = 0.15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_that_were_there_before_are_the_paths_own() {
        for (first, then, is_onset) in [
            (0.0, 0.0, false),
            (0.0, 0.08, false),
            (0.0, 0.2, true),
            (0.1, 0.12, false),
            (0.1, 0.35, true),
            (0.4, 0.4, false),
        ] {
            let mut onset = Onset::default();
            assert!(!onset.on_round(64.0 * first, 64.0 * (1.0 - first)));
            assert!(!onset.on_round(128.0 * first, 128.0 * (1.0 - first)));
            assert_eq!(onset.on_round(256.0 * then, 256.0 * (1.0 - then)), is_onset, "{first} and then {then}");
        }
    }

    #[test]
    fn a_handful_of_packets_tells_nothing() {
        let mut onset = Onset::default();
        assert!(!onset.on_round(0.0, 10.0));
        assert!(!onset.on_round(10.0, 10.0));
    }
}
