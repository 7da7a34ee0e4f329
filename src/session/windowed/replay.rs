//! Which packet numbers came before: no packet counts twice, however it is copied or kept.

/// The packet numbers that were seen among the last [`WIDTH`], in the shape of RFC 6479: a ring of words, of which whole ones
/// are cleared as the numbers advance, so that nothing is ever shifted.
///
/// The order is: [`Replay::check`], then the packet's authentication, then [`Replay::mark`]. Marking first would let anybody
/// with a forged packet shut out the real one, or all of them.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Bit `number % 64` of word `number / 64 % WORDS`.
    ring: Box<[u64]>,
    /// The largest number marked.
    largest: Option<u64>,
}

/// What is known of a packet number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// It never came.
    New,
    /// It came before.
    Replayed,
    /// It is so old that nobody knows; it counts as replayed.
    TooOld,
}

impl Replay {
    /// Nothing came yet. Takes 8 KiB.
    pub fn new() -> Self {
        Self { ring: vec![0; WORDS].into_boxed_slice(), largest: None }
    }

    /// Whether a packet with this number may be looked at.
    pub fn check(&self, number: u64) -> Novelty {
        match self.largest {
            Some(largest) if number > largest => Novelty::New,
            Some(largest) if largest - number >= WIDTH => Novelty::TooOld,
            Some(_) if self.word(number).is_some_and(|word| word & bit(number) != 0) => Novelty::Replayed,
            _ => Novelty::New,
        }
    }

    /// A packet with this number is authentic. Gives what [`Replay::check`] would have said: another packet with the same
    /// number may have been authenticated meanwhile, and only what is new is to be used.
    pub fn mark(&mut self, number: u64) -> Novelty {
        let novelty = self.check(number);
        if novelty == Novelty::New {
            self.advance(number);
            let at = index(number);
            if let Some(word) = self.ring.get_mut(at) {
                *word |= bit(number);
            }
        }
        novelty
    }

    /// The largest number that is authentic.
    pub fn largest(&self) -> Option<u64> {
        self.largest
    }

    fn word(&self, number: u64) -> Option<u64> {
        self.ring.get(index(number)).copied()
    }

    /// Makes room up to `number`, if it is the largest.
    fn advance(&mut self, number: u64) {
        let Some(largest) = self.largest else {
            self.largest = Some(number);
            return;
        };
        if number <= largest {
            return;
        }
        let from = largest / WORD_BITS;
        let fresh = (number / WORD_BITS - from).min(WORDS as u64);
        for step in 1..=fresh {
            let at = ((from + step) % WORDS as u64) as usize;
            if let Some(word) = self.ring.get_mut(at) {
                *word = 0;
            }
        }
        self.largest = Some(number);
    }
}

impl Default for Replay {
    fn default() -> Self {
        Self::new()
    }
}

fn index(number: u64) -> usize {
    (number / WORD_BITS % WORDS as u64) as usize
}

fn bit(number: u64) -> u64 {
    1 << (number % WORD_BITS)
}

/// How far behind the largest number a packet may come: 76 ms of 10 Gbit/s in packets of 1452 bytes. WireGuard's 8192 are
/// 9 ms of it.
pub const WIDTH: u64 = 65_536;

const WORD_BITS: u64 = u64::BITS as u64;

/// One word more than the width, since the newest word is seldom full.
const WORDS: usize = (WIDTH / WORD_BITS) as usize + 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_number_is_new_once() {
        let mut replay = Replay::new();
        assert_eq!([replay.mark(5), replay.mark(5), replay.mark(4)], [Novelty::New, Novelty::Replayed, Novelty::New]);
        assert_eq!(replay.largest(), Some(5));
    }

    #[test]
    fn checking_marks_nothing() {
        let mut replay = Replay::new();
        assert_eq!([replay.check(u64::MAX), replay.check(0)], [Novelty::New; 2]);
        assert_eq!([replay.mark(0), replay.mark(u64::MAX)], [Novelty::New; 2]);
    }

    #[test]
    fn the_window_ends_where_it_says() {
        for largest in [WIDTH, WIDTH + 63, 1_000_003, u64::MAX - 1, u64::MAX] {
            let mut replay = Replay::new();
            replay.mark(largest);
            let oldest = largest - (WIDTH - 1);
            assert_eq!([replay.check(oldest - 1), replay.mark(oldest)], [Novelty::TooOld, Novelty::New], "{largest}");
            assert_eq!(replay.check(oldest), Novelty::Replayed);
        }
    }

    #[test]
    fn the_whole_width_is_remembered_and_a_leap_over_it_clears_it() {
        let mut replay = Replay::new();
        // The newest word is not full, so the oldest is not either.
        let last = 2 * WIDTH + 40;
        for number in 0..=last {
            assert_eq!(replay.mark(number), Novelty::New);
        }
        for number in last - WIDTH + 1..=last {
            assert_eq!(replay.check(number), Novelty::Replayed, "{number}");
        }
        let far = 100 * WIDTH;
        replay.mark(far);
        for number in far - WIDTH + 1..far {
            assert_eq!(replay.check(number), Novelty::New, "{number}");
        }
    }

    fn any_number() -> impl Strategy<Value = u64> {
        let near = 0..3 * WIDTH;
        prop_oneof![
            3 => 0..300_u64,
            3 => near.clone(),
            3 => near.prop_map(|below| u64::MAX - below),
            1 => any::<u64>(),
        ]
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_set(numbers in proptest::collection::vec(any_number(), 0..300)) {
            let (mut replay, mut seen, mut largest) = (Replay::new(), BTreeSet::new(), 0);
            for number in numbers {
                let expected = match number {
                    _ if !seen.is_empty() && largest > number && largest - number >= WIDTH => Novelty::TooOld,
                    _ if seen.contains(&number) => Novelty::Replayed,
                    _ => Novelty::New,
                };
                prop_assert_eq!(replay.check(number), expected);
                prop_assert_eq!(replay.mark(number), expected);
                if expected == Novelty::New {
                    seen.insert(number);
                    largest = largest.max(number);
                }
            }
        }
    }
}
