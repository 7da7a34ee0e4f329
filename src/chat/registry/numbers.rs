//! Which numbers clients get: rising ones, and for a while none that somebody else has just had.

use crate::packet::chat::Key;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// The next number, and those of clients that are gone.
pub(super) struct Numbers {
    /// `None` once the last one was given.
    next: Option<u64>,
    past: BTreeMap<u64, (Key, Instant)>,
    /// The past ones in the order in which they were left; those that were taken up again stay in it until their time.
    order: VecDeque<(u64, Instant)>,
}

impl Numbers {
    /// Nobody was here yet.
    pub(super) fn new() -> Self {
        Self { next: Some(1), past: BTreeMap::new(), order: VecDeque::new() }
    }

    /// The client with this key is gone; for a while only it can have the number again.
    pub(super) fn retire(&mut self, number: u64, key: Key, now: Instant) {
        self.past.insert(number, (key, now));
        self.order.push_back((number, now));
        self.forget(now);
    }

    /// Who asks for this number, which nobody has now, may have it. 0 is nobody's: lists begin after it.
    pub(super) fn is_open(&mut self, number: u64, key: Key, now: Instant) -> bool {
        self.forget(now);
        number != 0 && self.past.get(&number).is_none_or(|(owner, _)| *owner == key)
    }

    /// Whether the client with this key had this number a short while ago.
    pub(super) fn was_of(&self, number: u64, key: Key) -> bool {
        self.past.get(&number).is_some_and(|(owner, _)| *owner == key)
    }

    /// The number is in use; no longer a past one.
    pub(super) fn take(&mut self, number: u64) {
        self.past.remove(&number);
    }

    /// A number that nobody has or had; `None` when there are none left.
    pub(super) fn fresh(&mut self, is_taken: impl Fn(u64) -> bool) -> Option<u64> {
        loop {
            let number = self.next?;
            self.next = number.checked_add(1);
            if !is_taken(number) && !self.past.contains_key(&number) {
                return Some(number);
            }
        }
    }

    /// How many past numbers are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.past.len().max(self.order.len())
    }

    fn forget(&mut self, now: Instant) {
        let is_over = |at: Instant| now.saturating_duration_since(at) >= PAST_LIFE;
        while let Some((number, at)) = self.order.front().copied().filter(|(_, at)| is_over(*at) || self.is_crowded()) {
            self.order.pop_front();
            if self.past.get(&number).is_some_and(|(_, left)| *left == at) {
                self.past.remove(&number);
            }
        }
    }

    fn is_crowded(&self) -> bool {
        self.order.len() > PAST_MAX
    }
}

/// Somebody who looked a number up a moment ago must not reach another one under it.
const PAST_LIFE: Duration = Duration::from_secs(5 * 60);

/// Numbers that are remembered: as many as there may be clients, and 2 MB.
const PAST_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::chat::Hex;

    const ALICE: Key = Hex([1; 16]);
    const BOB: Key = Hex([2; 16]);

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn a_number_that_was_left_waits_for_its_client_for_a_while() {
        let (mut numbers, now) = (Numbers::new(), Instant::now());
        assert_eq!(numbers.fresh(|number| number == 1), Some(2));
        numbers.retire(3, ALICE, now);
        assert_eq!(numbers.fresh(|_| false), Some(4));
        assert_eq!([numbers.is_open(3, ALICE, now), numbers.is_open(3, BOB, now)], [true, false]);
        let later = now + PAST_LIFE;
        assert!(numbers.is_open(3, BOB, later));
        assert!(!numbers.is_open(0, BOB, later));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn whoever_comes_and_goes_fills_no_memory() {
        let (mut numbers, now) = (Numbers::new(), Instant::now());
        for number in 0..100_000 {
            numbers.take(7);
            numbers.retire(7, ALICE, now);
            numbers.retire(number, BOB, now);
        }
        assert!(numbers.remembered() <= PAST_MAX);
        assert!(numbers.is_open(7, ALICE, now));
    }
}
