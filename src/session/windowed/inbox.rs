//! Which bytes have come, which of them are new, and how many more the disk can take.

use crate::ranges::RangeSet;
use std::ops::Range;
use thiserror::Error;

/// The receiving side of a space of bytes with 64-bit offsets. It knows which bytes, and never what they are: new ones go to
/// the disk at once, wherever they belong.
///
/// **Flow control.** The peer may send as far as [`Inbox::poll_limit`] said. The limit goes up with what the disk has taken, so
/// that what came and is not written is never more than the window. Gaps do not hold it back; the bytes that the
/// receiver had before do not count.
///
/// **Memory.** At most [`GAPS_MAX`] gaps between what came, besides those that were there at the beginning.
#[derive(Clone, Debug)]
pub struct Inbox {
    /// What was there before this session.
    kept: RangeSet,
    received: RangeSet,
    window: u64,
    written: u64,
    /// How many new bytes the peer may send in all, as announced, and the offset that this means.
    granted: u64,
    limit: u64,
    /// The last announcement was lost.
    again: bool,
    end: Option<u64>,
}

/// What became of the bytes that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// All are new and to be written.
    New,
    /// None is.
    Duplicate,
    /// Those in these ranges are.
    Partly(Vec<Range<u64>>),
    /// There are too many gaps already to make another one. The packet is to be treated as if it had never come: it must not be
    /// acknowledged, so that its bytes come again.
    Dropped,
}

/// The peer sent what it may not send; the session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// More than it was allowed to.
    #[error("bytes came up to {end}, and only those up to {limit} were asked for")]
    BeyondLimit {
        /// Where the bytes that came end.
        end: u64,
        /// Where they may end.
        limit: u64,
    },
    /// Behind the end that it had named itself, or another end than before.
    #[error("bytes came up to {got}, but the end was said to be {said}")]
    BeyondEnd {
        /// Where the bytes that came end, or the other end.
        got: u64,
        /// The end that was said.
        said: u64,
    },
}

impl Inbox {
    /// Nothing came yet but `kept`, in an earlier session. Up to `window` bytes may wait for the disk: as many as are
    /// on their way on the longest path that is to be filled.
    pub fn new(kept: RangeSet, window: u64) -> Self {
        let received = kept.clone();
        Self { kept, received, window: window.max(1), written: 0, granted: 0, limit: 0, again: false, end: None }
    }

    /// Bytes with these offsets came.
    ///
    /// # Errors
    /// [`Violation`] if they should not have.
    pub fn on_data(&mut self, range: Range<u64>) -> Result<Arrival, Violation> {
        self.check(&range)?;
        let len = range.end.saturating_sub(range.start);
        let mut gaps = self.received.gaps(range.clone());
        let arrival = match gaps.next() {
            None => return Ok(Arrival::Duplicate),
            Some(gap) if gap.end - gap.start == len => Arrival::New,
            // A frame is shorter than a packet, so these are few.
            Some(gap) => Arrival::Partly(std::iter::once(gap).chain(gaps).collect()),
        };
        self.received.insert(range.clone());
        if self.received.ranges() > GAPS_MAX + 1 + self.kept.ranges() {
            // It was none too many before, so these bytes lie alone.
            self.received.remove(range);
            return Ok(Arrival::Dropped);
        }
        Ok(arrival)
    }

    /// Whether any of these bytes would be new.
    ///
    /// # Errors
    /// [`Violation`] if they should not come.
    pub fn check(&self, range: &Range<u64>) -> Result<bool, Violation> {
        if let Some(said) = self.end.filter(|end| range.end > *end) {
            return Err(Violation::BeyondEnd { got: range.end, said });
        }
        if range.end > self.limit {
            return Err(Violation::BeyondLimit { end: range.end, limit: self.limit });
        }
        Ok(!self.received.covers(range.clone()))
    }

    /// The peer says that the bytes end at the offset `end`.
    ///
    /// # Errors
    /// [`Violation`] if more came already, or if it had said otherwise.
    pub fn on_end(&mut self, end: u64) -> Result<(), Violation> {
        let last = self.received.last().map_or(0, |range| range.end);
        match self.end {
            Some(said) if said != end => Err(Violation::BeyondEnd { got: end, said }),
            _ if last > end => Err(Violation::BeyondEnd { got: last, said: end }),
            _ => {
                self.end = Some(end);
                Ok(())
            }
        }
    }

    /// The disk has taken `bytes` more of those that were new.
    pub fn on_written(&mut self, bytes: u64) {
        self.written = self.written.saturating_add(bytes);
    }

    /// Nothing below this offset is wanted any more, whether it came or not. Call it with what has come first: what is still
    /// missing there may stay away, and is taken care of.
    pub fn on_passed(&mut self, end: u64) {
        let end = self.end.map_or(end, |known| known.min(end));
        let missing = self.received.insert(0..end);
        self.written = self.written.saturating_add(missing);
    }

    /// The offset that the peer is to be told it may send up to, if it is worth telling: when a quarter of the window has
    /// become free, or the last announcement was lost. Once taken, it holds.
    pub fn poll_limit(&mut self) -> Option<u64> {
        if !self.has_limit() {
            return None;
        }
        let grant = self.written.saturating_add(self.window);
        (self.granted, self.limit, self.again) = (grant, self.offset_of(grant), false);
        Some(self.limit)
    }

    /// Whether [`Inbox::poll_limit`] has one.
    pub fn has_limit(&self) -> bool {
        let grant = self.written.saturating_add(self.window);
        let is_worth = grant - self.granted >= self.window.div_ceil(4) && self.end.is_none_or(|end| self.limit < end);
        is_worth || self.again
    }

    /// The packet with an announcement was lost. An older one than the last does no harm to repeat.
    pub fn on_limit_lost(&mut self) {
        self.again = self.limit > 0;
    }

    /// The offset up to which nothing is missing.
    pub fn contiguous(&self) -> u64 {
        self.received.first_gap(0)
    }

    /// Whether every byte came, as far as the end is known.
    pub fn is_complete(&self) -> bool {
        self.end.is_some_and(|end| self.received.covers(0..end))
    }

    /// The bytes that came or were there, by offset.
    pub fn received(&self) -> &RangeSet {
        &self.received
    }

    /// The bytes that came and are not written yet.
    pub fn waiting(&self) -> u64 {
        (self.received.total() - self.kept.total()).saturating_sub(self.written)
    }

    /// The offset below which there are `count` bytes that were not there at the beginning.
    fn offset_of(&self, count: u64) -> u64 {
        let mut left = count;
        for gap in self.kept.gaps(0..u64::MAX) {
            let len = gap.end - gap.start;
            if left <= len {
                return gap.start + left;
            }
            left -= len;
        }
        u64::MAX
    }
}

/// How many gaps there may be. A path of 1 Gbit/s and 100 ms that loses a tenth has 900 at a time, one of 10 Gbit/s 9000; in
/// memory they take 1 MiB at most. Beyond that packets that would make another one are dropped, as if the path had lost them:
/// an honest sender, which repeats what is lost before it sends what is new, soon fills the gaps, and nothing has to end.
pub const GAPS_MAX: usize = 16_384;

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list with one range is meant")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn inbox(kept: &[Range<u64>], window: u64) -> Inbox {
        let mut inbox = Inbox::new(kept.iter().cloned().collect(), window);
        inbox.poll_limit();
        inbox
    }

    #[test]
    fn what_nobody_wants_any_more_may_stay_away() {
        let mut inbox = inbox(&[], 100);
        assert_eq!(inbox.on_data(10..20), Ok(Arrival::New));
        inbox.on_passed(70);
        assert_eq!(inbox.waiting(), 10, "what came is still to be written");
        assert_eq!(inbox.poll_limit(), Some(160), "60 bytes will not come");
        assert_eq!(inbox.on_data(30..40), Ok(Arrival::Duplicate));
        assert_eq!(inbox.on_data(60..80), Ok(Arrival::Partly(vec![70..80])));
        assert_eq!(inbox.on_end(80), Ok(()));
        assert!(inbox.is_complete());
        inbox.on_passed(500);
        assert_eq!(inbox.received().last(), Some(0..80), "there is nothing behind the end");
    }

    #[test]
    fn what_comes_twice_is_new_once() {
        let mut inbox = inbox(&[], 1000);
        assert_eq!(inbox.on_data(10..20), Ok(Arrival::New));
        assert_eq!(inbox.on_data(12..18), Ok(Arrival::Duplicate));
        assert_eq!(inbox.on_data(30..40), Ok(Arrival::New));
        assert_eq!(inbox.on_data(5..50), Ok(Arrival::Partly(vec![5..10, 20..30, 40..50])));
        assert_eq!(inbox.on_data(49..60), Ok(Arrival::Partly(vec![50..60])));
        assert_eq!(inbox.on_data(7..7), Ok(Arrival::Duplicate));
        assert_eq!((inbox.contiguous(), inbox.waiting()), (0, 55));
        assert_eq!(inbox.on_data(0..5), Ok(Arrival::New));
        assert_eq!(inbox.contiguous(), 60);
    }

    #[test]
    fn the_limit_follows_the_disk_in_quarters_of_the_window() {
        let mut inbox = Inbox::new(RangeSet::new(), 1000);
        assert_eq!(inbox.on_data(0..1), Err(Violation::BeyondLimit { end: 1, limit: 0 }));
        assert_eq!([inbox.poll_limit(), inbox.poll_limit()], [Some(1000), None]);
        assert_eq!(inbox.on_data(0..1000), Ok(Arrival::New));
        assert_eq!(inbox.on_data(1000..1001), Err(Violation::BeyondLimit { end: 1001, limit: 1000 }));
        inbox.on_written(249);
        assert_eq!(inbox.poll_limit(), None);
        inbox.on_written(1);
        assert_eq!(inbox.poll_limit(), Some(1250));
    }

    #[test]
    fn a_lost_announcement_is_made_again_and_up_to_date() {
        let mut inbox = inbox(&[], 1000);
        inbox.on_written(10);
        inbox.on_limit_lost();
        assert_eq!([inbox.poll_limit(), inbox.poll_limit()], [Some(1010), None]);
    }

    #[test]
    fn what_was_there_before_takes_no_part_of_the_window() {
        let kept: RangeSet = [0..500, 600..10_000].into_iter().collect();
        for (window, limit) in [(1, 501), (99, 599), (100, 600), (101, 10_001), (u64::MAX, u64::MAX)] {
            assert_eq!(Inbox::new(kept.clone(), window).poll_limit(), Some(limit), "{window}");
        }
        let mut inbox = Inbox::new(kept, 200);
        assert_eq!(inbox.poll_limit(), Some(10_100));
        assert_eq!(inbox.on_data(490..700), Ok(Arrival::Partly(vec![500..600])));
        assert_eq!((inbox.waiting(), inbox.contiguous()), (100, 10_000));
    }

    #[test]
    fn the_end_is_said_once_and_nothing_lies_behind_it() {
        let mut inbox = inbox(&[], 1000);
        inbox.on_data(0..50).unwrap();
        assert_eq!(inbox.on_end(49), Err(Violation::BeyondEnd { got: 50, said: 49 }));
        assert_eq!([inbox.on_end(100), inbox.on_end(100)], [Ok(()), Ok(())]);
        assert_eq!(inbox.on_end(101), Err(Violation::BeyondEnd { got: 101, said: 100 }));
        assert_eq!(inbox.on_data(90..101), Err(Violation::BeyondEnd { got: 101, said: 100 }));
        assert!(!inbox.is_complete());
        inbox.on_data(50..100).unwrap();
        assert!(inbox.is_complete());
        inbox.on_written(100);
        assert_eq!(inbox.poll_limit(), None, "nobody needs a limit behind the end");
    }

    #[test]
    fn an_empty_transfer_is_complete_as_soon_as_that_is_said() {
        let mut inbox = inbox(&[], 1000);
        assert!(!inbox.is_complete());
        inbox.on_end(0).unwrap();
        assert!(inbox.is_complete());
    }

    #[test]
    fn too_many_gaps_are_dropped_and_filling_them_goes_on() {
        let mut inbox = inbox(&[], u64::MAX);
        let gaps = GAPS_MAX as u64;
        for at in 1..=gaps {
            assert_eq!(inbox.on_data(10 * at..10 * at + 5), Ok(Arrival::New));
        }
        assert_eq!(inbox.on_data(0..5), Ok(Arrival::New), "the beginning makes no gap before it");
        let before = inbox.received().clone();
        for range in [10 * gaps + 10..10 * gaps + 20, u64::MAX - 1..u64::MAX, 7..8] {
            assert_eq!(inbox.on_data(range), Ok(Arrival::Dropped));
        }
        assert_eq!(*inbox.received(), before);
        assert_eq!(inbox.on_data(5..10), Ok(Arrival::New));
        assert_eq!(inbox.on_data(16..17), Ok(Arrival::New), "there is room for one more");
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_set_of_bytes(
            kept in proptest::collection::vec((0..400_u64, 0..50_u64), 0..4),
            window in 1..300_u64,
            steps in proptest::collection::vec((0..1000_u64, 0..60_u64, 0..100_u64), 0..100),
        ) {
            let kept: RangeSet = kept.into_iter().map(|(start, len)| start..start + len).collect();
            let mut model: BTreeSet<u64> = kept.iter().flatten().collect();
            let mut inbox = Inbox::new(kept, window);
            let mut limit = 0;
            for (start, len, written) in steps {
                if let Some(announced) = inbox.poll_limit() {
                    prop_assert!(announced >= limit);
                    limit = announced;
                }
                let range = start..start + len;
                let fresh: Vec<u64> = range.clone().filter(|byte| !model.contains(byte)).collect();
                let got: Vec<u64> = match inbox.on_data(range.clone()) {
                    Err(_) => {
                        prop_assert!(range.end > limit);
                        continue;
                    }
                    Ok(Arrival::New) => range.clone().collect(),
                    Ok(Arrival::Partly(parts)) => parts.into_iter().flatten().collect(),
                    Ok(Arrival::Duplicate) => Vec::new(),
                    Ok(Arrival::Dropped) => unreachable!("there is room for all these gaps"),
                };
                prop_assert_eq!(&got, &fresh);
                model.extend(fresh);
                prop_assert!(inbox.waiting() <= window, "{} wait", inbox.waiting());
                inbox.on_written(written.min(inbox.waiting()));
                prop_assert_eq!(inbox.contiguous(), (0..).find(|byte| !model.contains(byte)).unwrap());
            }
        }
    }
}
