//! Whether sending faster still brings more: the plateau of the delivery rate (draft-ietf-ccwg-bbr section 5.3.1.2).

use crate::session::congestion::bbr::onset::Onset;
use crate::session::congestion::bbr::rounds::Round;

/// The rounds without growth.
#[derive(Clone, Debug, Default)]
pub struct FullPipe {
    /// The greatest rate that counted as growth, in bytes per second.
    reference: u64,
    stagnant_rounds: u32,
    is_full: bool,
    onset: Onset,
}

/// Whether something besides the rate says that the pipe is full: losses beyond what the path loses anyway, or a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// Nothing does.
    None,
    /// There is a queue, but it was there before.
    ForeignQueue,
    /// This machine did not get to sending in time: the rate says more of it than of the path.
    Late,
    /// Something does.
    Pressure,
}

impl Witness {
    /// What speaks for a full pipe. `is_foreign`: a queue would have been there before; `is_busy`: this machine was late.
    pub fn new(is_losing: bool, is_delayed: bool, is_foreign: bool, is_busy: bool) -> Self {
        match (is_losing, is_delayed) {
            (false, true) if is_foreign => Self::ForeignQueue,
            (false, _) if is_busy => Self::Late,
            (false, false) => Self::None,
            _ => Self::Pressure,
        }
    }
}

impl FullPipe {
    /// Nothing is known but, perhaps, the share of packets that the path lost the last time.
    pub fn new(loss: Option<f64>) -> Self {
        Self { onset: loss.map_or_else(Onset::default, Onset::remembering), ..Self::default() }
    }

    /// Begins again, with this rate to be exceeded.
    pub fn reset(&mut self, rate: u64) {
        *self = Self { reference: rate, ..Self::default() };
    }

    /// A round ended whose greatest rate was this.
    pub fn on_round(&mut self, rate: u64, witness: Witness) {
        if rate as f64 >= self.reference as f64 * GROWTH {
            (self.reference, self.stagnant_rounds, self.is_full) = (rate, 0, false);
            return;
        }
        self.stagnant_rounds += 1;
        self.is_full |= match witness {
            Witness::Late => self.stagnant_rounds >= STAGNANT_ROUNDS_LATE,
            Witness::None => self.stagnant_rounds >= STAGNANT_ROUNDS,
            Witness::ForeignQueue => self.stagnant_rounds >= STAGNANT_ROUNDS_IN_QUEUE,
            Witness::Pressure => true,
        };
    }

    /// The same round, in Startup: it may have shown that more was sent than the path takes.
    pub fn on_startup_round(&mut self, round: &Round, packet: u64) {
        let [lost, acked] = [round.lost, round.acked].map(|bytes| bytes as f64 / packet as f64);
        self.is_full |= self.onset.on_round(lost, acked);
    }

    /// Whether the pipe is full.
    pub fn is_full(&self) -> bool {
        self.is_full
    }
}

/// Draft section 5.3.1.2: what counts as growth.
const GROWTH: f64 = 1.25;

/// Draft section 5.3.1.2: without it in so many rounds the pipe is full, unless the receiver is slow to open a window.
const STAGNANT_ROUNDS: u32 = 3;

/// In a queue of others one round is too few to take a fair share of the path, and three take too much of it.
const STAGNANT_ROUNDS_IN_QUEUE: u32 = 2;

/// So that Startup ends at last where the machine is the limit.
const STAGNANT_ROUNDS_LATE: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pipe_is_full_after_as_many_rounds_without_growth_as_the_witnesses_ask_for() {
        for (witness, rounds) in [(Witness::None, 3), (Witness::ForeignQueue, 2), (Witness::Pressure, 1)] {
            let mut pipe = FullPipe::default();
            for rate in [100, 125, 157, 250] {
                pipe.on_round(rate, witness);
                assert!(!pipe.is_full(), "it grows by a quarter");
            }
            for round in 1..=rounds {
                pipe.on_round(312, witness);
                assert_eq!(pipe.is_full(), round == rounds, "{witness:?}");
            }
        }
    }
}
