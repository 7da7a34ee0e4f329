//! Packet numbers: each used once, some never, so that nobody can acknowledge what he did not receive.

use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::ops::Range;
use thiserror::Error;

/// Hands out packet numbers, and knows which it did not (RFC 9000 section 21.4).
///
/// A receiver that acknowledges packets before they come makes a sender faster than the path is. It has to guess: among any
/// `window` numbers in a row at least one is skipped, so that who acknowledges a window ahead hits a skipped number, however the
/// window grows (a fixed rate of skips was CVE-2025-4820).
///
/// What protects the skips is that nobody can tell the next from those before: each is drawn with SHA-256 from a secret seed
/// and a counter. It is drawn about twice a window, so it costs nothing.
#[derive(Clone, Debug)]
pub struct Numbers {
    seed: [u8; 16],
    drawn: u64,
    next: u64,
    /// The next number that is skipped.
    skip: u64,
    /// The last numbers that were skipped, smallest first.
    skipped: VecDeque<u64>,
}

/// The peer acknowledged a packet that was never sent. It lies, or is broken; the session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("packet {number} was acknowledged and never sent")]
pub struct OptimisticAck {
    /// The packet's number, one of them.
    pub number: u64,
}

impl Numbers {
    /// From 0 on. The seed is secret, and the same one gives the same numbers.
    pub fn new(seed: [u8; 16]) -> Self {
        let mut numbers = Self { seed, drawn: 0, next: 0, skip: 0, skipped: VecDeque::new() };
        numbers.skip = numbers.draw(WINDOW_MIN);
        numbers
    }

    /// The number of the next packet, when up to `window` packets may be in flight; `None` when all are used up, which takes
    /// half a million years at a million packets a second.
    pub fn take(&mut self, window: u64) -> Option<u64> {
        let window = window.max(WINDOW_MIN);
        if self.skip.saturating_sub(self.next) >= window {
            self.skip = self.draw(window);
        }
        if self.next == self.skip {
            if self.skipped.len() >= REMEMBERED {
                self.skipped.pop_front();
            }
            self.skipped.push_back(self.skip);
            self.next = self.next.saturating_add(1);
            self.skip = self.draw(window);
        }
        let number = self.next;
        if number > NUMBER_MAX {
            return None;
        }
        self.next += 1;
        Some(number)
    }

    /// Whether every number in the ranges of an acknowledgement was sent. Skips from more than [`REMEMBERED`] skips ago are
    /// forgotten: what was sent then is settled, and acknowledging it again gains nothing.
    ///
    /// # Errors
    /// [`OptimisticAck`] with the first number found that was not.
    pub fn check(&self, ranges: impl IntoIterator<Item = Range<u64>>) -> Result<(), OptimisticAck> {
        for range in ranges {
            if range.end > self.next && !range.is_empty() {
                return Err(OptimisticAck { number: range.end - 1 });
            }
            let at = self.skipped.partition_point(|skipped| *skipped < range.start);
            match self.skipped.get(at) {
                Some(&number) if number < range.end => return Err(OptimisticAck { number }),
                _ => {}
            }
        }
        Ok(())
    }

    /// A number from `next + 1` to `next + window - 1`: with one skipped number in every such stretch, no `window` numbers in a
    /// row are all sent.
    fn draw(&mut self, window: u64) -> u64 {
        let digest = Sha256::new().chain_update(self.seed).chain_update(self.drawn.to_be_bytes()).finalize();
        self.drawn += 1;
        let dice = digest.iter().take(8).fold(0_u64, |dice, byte| dice << 8 | u64::from(*byte));
        // A window is far from 2^64, so no number is noticeably likelier than another.
        self.next.saturating_add(1 + dice % (window - 1))
    }
}

/// The last packet number: Noise keeps 2^64 - 1 for itself (section 5.1 of its specification).
pub const NUMBER_MAX: u64 = u64::MAX - 1;

/// Windows are taken for at least so many packets: each skip looks like a loss at first and fetches an acknowledgement, which a
/// tiny window would do with every other packet.
const WINDOW_MIN: u64 = 8;

/// How many skips are remembered: about 128 windows' worth, and after a collapse of the window still more than a thousand
/// packets.
pub const REMEMBERED: usize = 256;

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list with one range is meant")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(seed: u8) -> Numbers {
        Numbers::new([seed; 16])
    }

    #[test]
    fn numbers_begin_near_zero_and_rise() {
        for seed in 0..200 {
            let mut numbers = numbers(seed);
            let taken: Vec<u64> = (0..100).map_while(|_| numbers.take(16)).collect();
            assert_eq!(taken[0], 0);
            assert!(taken.is_sorted_by(|a, b| a < b), "{taken:?}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_does_not() {
        let sequence = |seed| {
            let mut numbers = numbers(seed);
            (0..200).map_while(|_| numbers.take(32)).collect::<Vec<_>>()
        };
        assert_eq!(sequence(1), sequence(1));
        assert_ne!(sequence(1), sequence(2));
    }

    #[test]
    fn what_was_sent_may_be_acknowledged_and_nothing_else() {
        let mut numbers = numbers(3);
        let sent: Vec<u64> = (0..5000).map_while(|_| numbers.take(100)).collect();
        let first = numbers.skipped[0];
        for number in first..sent[4999] + 10 {
            let honest = sent.binary_search(&number).is_ok();
            assert_eq!(numbers.check([number..number + 1]).is_ok(), honest, "{number}");
        }
        assert_eq!(numbers.check([first - 1..first + 2]), Err(OptimisticAck { number: first }));
        assert_eq!(numbers.check([0..1, 0..u64::MAX]), Err(OptimisticAck { number: u64::MAX - 1 }));
        assert_eq!(numbers.check([7..7]), Ok(()));
    }

    #[test]
    fn who_acknowledges_two_windows_ahead_is_always_caught() {
        for (seed, window) in (0..100).zip([8, 20, 100, 1000].into_iter().cycle()) {
            let mut numbers = numbers(seed);
            let sent: Vec<u64> = (0..20 * window).map_while(|_| numbers.take(window)).collect();
            for stretch in sent.chunks(2 * window as usize) {
                let claimed = stretch[0]..stretch[0] + 2 * window;
                assert!(numbers.check([claimed.clone()]).is_err(), "{claimed:?} of {window}");
            }
        }
    }

    #[test]
    fn memory_is_bounded_and_the_number_space_ends() {
        let mut numbers = numbers(1);
        for _ in 0..100_000 {
            numbers.take(8);
        }
        assert_eq!(numbers.skipped.len(), REMEMBERED);
        (numbers.next, numbers.skip) = (NUMBER_MAX - 1, NUMBER_MAX - 1);
        let last: Vec<_> = (0..4).map(|_| numbers.take(8)).collect();
        assert_eq!(last, [Some(NUMBER_MAX), None, None, None]);
    }

    proptest! {
        #[test]
        fn every_window_has_a_skip_whatever_the_window_does(
            seed in any::<[u8; 16]>(),
            windows in proptest::collection::vec((0..3000_u64, 1..400_usize), 1..12),
        ) {
            let mut numbers = Numbers::new(seed);
            for (window, packets) in windows {
                let sent: Vec<u64> = (0..packets).map_while(|_| numbers.take(window)).collect();
                prop_assert!(sent.is_sorted_by(|a, b| a < b));
                let window = window.max(WINDOW_MIN);
                let longest = sent.chunk_by(|a, b| a + 1 == *b).map(<[u64]>::len).max().unwrap() as u64;
                prop_assert!(longest < window, "{longest} in a row with a window of {window}");
            }
        }
    }
}
