//! A set of 64-bit numbers kept as ranges: packets that came, bytes that are written, bytes that are to be sent.

use std::collections::{BTreeMap, btree_map};
use std::ops::Range;

/// A set of numbers from 0 to `u64::MAX` - 1, kept as half-open ranges that neither touch nor overlap.
///
/// Its memory grows with the number of ranges, not with the numbers in them, and the set itself sets no bound: whoever fills it
/// on a peer's word asks for [`RangeSet::ranges`] and keeps his own. Every operation costs the logarithm of the number of
/// ranges and the ranges that it removes, in any order: a tree, because a peer chooses the order, and a sorted list would let
/// him choose the worst one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    /// Start to end.
    ranges: BTreeMap<u64, u64>,
    total: u64,
}

impl RangeSet {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts the numbers of `range` in. Gives how many of them were new; [`RangeSet::gaps`] tells beforehand which.
    pub fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let before = self.total;
        let mut joined = range;
        // The range before it, if it reaches this one; then whatever follows, as far as this one reaches.
        if let Some((start, end)) = self.at_or_before(joined.start)
            && end >= joined.start
        {
            if end >= joined.end {
                return 0;
            }
            joined.start = start;
            self.total -= end - start;
        }
        while let Some((start, end)) = self.behind(joined.start, joined.end) {
            self.ranges.remove(&start);
            self.total -= end - start;
            joined.end = joined.end.max(end);
        }
        self.total += joined.end - joined.start;
        self.ranges.insert(joined.start, joined.end);
        self.total - before
    }

    /// Takes the numbers of `range` out. Gives how many of them were there.
    pub fn remove(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let before = self.total;
        if let Some((start, end)) = self.at_or_before(range.start)
            && end > range.start
        {
            self.take(start, end);
            self.give(start, range.start);
            self.give(range.end, end);
        }
        while let Some((start, end)) = self.behind(range.start, range.end - 1) {
            self.take(start, end);
            self.give(range.end, end);
        }
        before - self.total
    }

    /// Takes out the range with the smallest numbers.
    pub fn pop_first(&mut self) -> Option<Range<u64>> {
        let (start, end) = self.ranges.pop_first()?;
        self.total -= end - start;
        Some(start..end)
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.ranges.clear();
        self.total = 0;
    }

    /// Whether `number` is in it.
    pub fn contains(&self, number: u64) -> bool {
        self.at_or_before(number).is_some_and(|(_, end)| number < end)
    }

    /// Whether every number of `range` is in it, as is the case with an empty range.
    pub fn covers(&self, range: Range<u64>) -> bool {
        range.is_empty() || self.at_or_before(range.start).is_some_and(|(_, end)| range.end <= end)
    }

    /// The range with the smallest numbers.
    pub fn first(&self) -> Option<Range<u64>> {
        self.ranges.first_key_value().map(|(start, end)| *start..*end)
    }

    /// The range with the largest numbers.
    pub fn last(&self) -> Option<Range<u64>> {
        self.ranges.last_key_value().map(|(start, end)| *start..*end)
    }

    /// The ranges, smallest first; `rev` gives them largest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range<u64>> + '_ {
        self.ranges.iter().map(|(start, end)| *start..*end)
    }

    /// What `within` has and the set has not, smallest first.
    pub fn gaps(&self, within: Range<u64>) -> Gaps<'_> {
        let Range { start, end } = within;
        let from = self.first_gap(start);
        let behind = start.saturating_add(1);
        Gaps { from, end, later: self.ranges.range(behind..end.max(behind)) }
    }

    /// The smallest number from `from` on that is not in it.
    pub fn first_gap(&self, from: u64) -> u64 {
        self.at_or_before(from).map_or(from, |(_, end)| end.max(from))
    }

    /// How many ranges there are.
    pub fn ranges(&self) -> usize {
        self.ranges.len()
    }

    /// How many numbers there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The last range that begins at `number` or before.
    fn at_or_before(&self, number: u64) -> Option<(u64, u64)> {
        self.ranges.range(..=number).next_back().map(|(start, end)| (*start, *end))
    }

    /// The first range that begins after `number`, and not after `last`.
    fn behind(&self, number: u64, last: u64) -> Option<(u64, u64)> {
        let next = number.checked_add(1).filter(|next| *next <= last)?;
        self.ranges.range(next..=last).next().map(|(start, end)| (*start, *end))
    }

    fn take(&mut self, start: u64, end: u64) {
        self.ranges.remove(&start);
        self.total -= end - start;
    }

    fn give(&mut self, start: u64, end: u64) {
        if start < end {
            self.ranges.insert(start, end);
            self.total += end - start;
        }
    }
}

/// What a [`RangeSet`] has not; [`RangeSet::gaps`] makes it.
#[derive(Clone, Debug)]
pub struct Gaps<'a> {
    from: u64,
    end: u64,
    later: btree_map::Range<'a, u64, u64>,
}

impl Iterator for Gaps<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        while self.from < self.end {
            let (gap, next) = match self.later.next() {
                Some((start, covered)) => (self.from..*start, *covered),
                None => (self.from..self.end, self.end),
            };
            self.from = next;
            if !gap.is_empty() {
                return Some(gap);
            }
        }
        None
    }
}

impl FromIterator<Range<u64>> for RangeSet {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list with one range is meant")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(ranges: &[Range<u64>]) -> RangeSet {
        ranges.iter().cloned().collect()
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let mut ranges = set(&[0..5, 10..15]);
        assert_eq!(ranges.insert(5..10), 5);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [0..15]);
        assert_eq!(ranges.insert(3..20), 5);
        assert_eq!((ranges.ranges(), ranges.total()), (1, 20));
    }

    #[test]
    fn a_hole_in_the_middle_makes_two() {
        let mut ranges = set(&[0..15]);
        assert_eq!(ranges.remove(5..10), 5);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [0..5, 10..15]);
        assert_eq!(ranges.remove(0..100), 10);
        assert!(ranges.is_empty());
    }

    #[test]
    fn the_ends_of_the_number_space_hold() {
        let mut ranges = set(&[u64::MAX - 1..u64::MAX]);
        assert_eq!(ranges.insert(0..u64::MAX), u64::MAX - 1);
        assert!(ranges.contains(0) && ranges.contains(u64::MAX - 1) && !ranges.contains(u64::MAX));
        assert_eq!(ranges.gaps(0..u64::MAX).count(), 0);
        assert_eq!(ranges.first_gap(7), u64::MAX);
        assert_eq!(ranges.remove(1..u64::MAX), u64::MAX - 1);
        assert_eq!(ranges.gaps(0..u64::MAX).collect::<Vec<_>>(), [1..u64::MAX]);
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is tried")]
    fn an_empty_or_reversed_range_changes_nothing() {
        let mut ranges = set(&[3..9]);
        assert_eq!([ranges.insert(5..5), ranges.insert(20..10), ranges.remove(5..5), ranges.remove(8..4)], [0; 4]);
        assert_eq!(ranges, set(&[3..9]));
        assert_eq!(ranges.gaps(12..2).count() + ranges.gaps(5..5).count(), 0);
        assert!(ranges.covers(50..50) && ranges.covers(20..10));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(Range<u64>),
        Remove(Range<u64>),
        PopFirst,
    }

    fn any_range() -> impl Strategy<Value = Range<u64>> {
        (0..120_u64, 0..20_u64).prop_map(|(start, len)| start..start + len)
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => any_range().prop_map(Step::Insert),
            4 => any_range().prop_map(Step::Remove),
            1 => Just(Step::PopFirst),
        ]
    }

    /// The ranges of a plain set of numbers.
    fn runs(numbers: &BTreeSet<u64>) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for &number in numbers {
            match runs.last_mut() {
                Some(run) if run.end == number => run.end += 1,
                _ => runs.push(number..number + 1),
            }
        }
        runs
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_set_of_numbers(
            steps in proptest::collection::vec(any_step(), 0..80),
            asked in any_range(),
        ) {
            let (mut ranges, mut model) = (RangeSet::new(), BTreeSet::new());
            for step in steps {
                match step {
                    Step::Insert(range) => {
                        let fresh = range.clone().filter(|number| model.insert(*number)).count();
                        prop_assert_eq!(ranges.insert(range), fresh as u64);
                    }
                    Step::Remove(range) => {
                        let gone = range.clone().filter(|number| model.remove(number)).count();
                        prop_assert_eq!(ranges.remove(range), gone as u64);
                    }
                    Step::PopFirst => {
                        let first = runs(&model).first().cloned();
                        prop_assert_eq!(ranges.pop_first(), first.clone());
                        model.retain(|number| first.as_ref().is_none_or(|first| !first.contains(number)));
                    }
                }
                prop_assert_eq!(ranges.iter().collect::<Vec<_>>(), runs(&model));
                prop_assert_eq!(ranges.total(), model.len() as u64);
            }
            let missing: BTreeSet<u64> = asked.clone().filter(|number| !model.contains(number)).collect();
            prop_assert_eq!(ranges.gaps(asked.clone()).collect::<Vec<_>>(), runs(&missing));
            prop_assert_eq!(ranges.covers(asked.clone()), missing.is_empty());
            prop_assert_eq!(ranges.first_gap(asked.start), (asked.start..).find(|n| !model.contains(n)).unwrap());
            prop_assert_eq!(ranges.contains(asked.start), model.contains(&asked.start));
            prop_assert_eq!([ranges.first(), ranges.last()], [runs(&model).first().cloned(), runs(&model).last().cloned()]);
        }
    }
}
