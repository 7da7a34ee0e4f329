//! Which bytes are to be sent next: the lost ones first, then new ones as far as the peer lets us.

use crate::ranges::RangeSet;
use std::ops::Range;

/// The sending side of a space of bytes with 64-bit offsets. It knows which bytes, and never what they are.
///
/// Every offset below the end of what was sent is in one of three places: acknowledged, lost, or in flight; only the first two
/// are kept, the third is what remains.
///
/// **Memory.** New bytes are taken only when no lost ones are left. So the holes in what is acknowledged are at most as many as
/// packets in flight at once (which the ledger bounds), besides the edges of what the peer had, of which [`KEPT_MAX`] are
/// believed; and the lost ranges lie in these holes.
#[derive(Clone, Debug)]
pub struct Outbox {
    /// What the peer has, because it said so or acknowledged it.
    acked: RangeSet,
    lost: RangeSet,
    /// The next offset that was never sent.
    next: u64,
    /// Where the bytes that we have end.
    available: u64,
    /// There will be no more.
    is_complete: bool,
    /// Where the peer's permission ends.
    limit: u64,
    repeated: u64,
    /// Where the bytes end of which no copy was sent as a precaution; `None` while that is not wanted.
    uncopied: Option<u64>,
    void: u64,
}

/// Bytes that are to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// Which.
    pub range: Range<u64>,
    /// Why.
    pub order: Order,
}

/// Why bytes are to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// They never were.
    Fresh,
    /// They were, and are lost.
    Lost,
    /// They were, and may get lost: see [`Outbox::insure`].
    Copy,
}

impl Outbox {
    /// Nothing to send yet, and never what is in `kept`: the peer has it from an earlier session. Of more than [`KEPT_MAX`]
    /// ranges the later ones are sent again.
    pub fn new(kept: &RangeSet) -> Self {
        let acked = kept.iter().take(KEPT_MAX).collect();
        Self {
            acked,
            lost: RangeSet::new(),
            next: 0,
            available: 0,
            is_complete: false,
            limit: 0,
            repeated: 0,
            uncopied: None,
            void: 0,
        }
    }

    /// There are bytes up to the offset `end`.
    pub fn on_available(&mut self, end: u64) {
        self.available = self.available.max(end);
    }

    /// The peer takes bytes up to the offset `limit`. A permission once given stays; messages overtake each other.
    pub fn on_limit(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    /// The bytes to send next, `max_len` at most and adjacent; `None` if there are none. From now on they are in flight.
    pub fn next(&mut self, max_len: u64) -> Option<Range<u64>> {
        let mut next = self.peek(max_len)?;
        next.range.end = next.range.end.min(next.range.start.saturating_add(max_len));
        let range = next.range.clone();
        self.take(next);
        Some(range)
    }

    /// What to send next, all of it that is adjacent; only copies are no longer than `max_len`. To be cut as it suits, and then
    /// [taken](Outbox::take).
    pub fn peek(&self, max_len: u64) -> Option<Next> {
        if max_len == 0 {
            return None;
        }
        if let Some(range) = self.lost.first() {
            return Some(Next { range, order: Order::Lost });
        }
        match self.fresh() {
            Some(range) => Some(Next { range, order: Order::Fresh }),
            None => self.next_copy(max_len).map(|range| Next { range, order: Order::Copy }),
        }
    }

    /// This goes now: from now on it is in flight. It begins where [`Outbox::peek`] said, or, if it is a copy, ends there.
    pub fn take(&mut self, Next { range, order }: Next) {
        let length = range.end.saturating_sub(range.start);
        match order {
            Order::Fresh => self.next = range.end,
            Order::Lost => {
                self.lost.remove(range);
                self.repeated = self.repeated.saturating_add(length);
            }
            Order::Copy => {
                self.uncopied = Some(range.start);
                self.repeated = self.repeated.saturating_add(length);
            }
        }
    }

    /// There will be no more bytes than are there.
    pub fn on_complete(&mut self) {
        self.is_complete = true;
    }

    /// The path loses packets: once the last byte has left, whatever is still under way goes out a second time, before it is
    /// known to be lost.
    ///
    /// Otherwise the end waits for the losses among the last round trip's packets, then for the losses among
    /// these, each time for a round trip in which nothing else is left to be sent. The newest go first: of the
    /// oldest it will soon be known what became of them.
    pub fn insure(&mut self) {
        if self.is_complete && self.uncopied.is_none() && !self.has_next() && self.next == self.available {
            self.uncopied = Some(self.next);
        }
    }

    /// The peer has these bytes.
    pub fn on_acked(&mut self, range: Range<u64>) {
        self.lost.remove(range.clone());
        self.acked.insert(range);
    }

    /// These bytes are never to be sent: they are as good as there.
    pub fn on_void(&mut self, range: Range<u64>) {
        self.lost.remove(range.clone());
        self.void = self.void.saturating_add(self.acked.insert(range));
    }

    /// A packet with these bytes is lost: what did not arrive with another one is sent again.
    pub fn on_lost(&mut self, range: Range<u64>) {
        for gap in self.acked.gaps(range.start..range.end.min(self.next)) {
            self.lost.insert(gap);
        }
    }

    /// What a probe is best filled with: the oldest bytes in flight, `max_len` at most; `None` when none are. They stay where
    /// they are, so asking again gives the same ones.
    pub fn oldest_in_flight(&self, max_len: u64) -> Option<Range<u64>> {
        let mut from = 0;
        loop {
            let gap = self.acked.gaps(from..self.next).next()?;
            let Some(Range { start, end }) = self.lost.gaps(gap.clone()).next() else {
                from = gap.end;
                continue;
            };
            return Some(start..end.min(start.saturating_add(max_len))).filter(|range| !range.is_empty());
        }
    }

    /// Whether [`Outbox::next`] has something.
    pub fn has_next(&self) -> bool {
        !self.lost.is_empty() || self.fresh().is_some() || self.has_copy()
    }

    /// Whether there are new bytes that only the peer's limit holds back: the receiver's disk is what this transfer waits for.
    pub fn is_blocked(&self) -> bool {
        self.lost.is_empty() && self.acked.first_gap(self.next) < self.available && self.fresh().is_none()
    }

    /// Whether there will be no more bytes than are there.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether the peer has every byte up to the offset `end`.
    pub fn has_all(&self, end: u64) -> bool {
        self.acked.covers(0..end)
    }

    /// Whether the peer has these bytes.
    pub fn has(&self, range: Range<u64>) -> bool {
        self.acked.covers(range)
    }

    /// Where the bytes end that we have.
    pub fn available(&self) -> u64 {
        self.available
    }

    /// How many bytes were taken a second time, or more often.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// How many bytes were never to be sent.
    pub fn void(&self) -> u64 {
        self.void
    }

    /// The first byte that the peer has not, and that it is to have.
    pub fn reached(&self) -> u64 {
        self.acked.first_gap(0)
    }

    /// How many bytes the peer has, or need not have.
    pub fn acked(&self) -> u64 {
        self.acked.total()
    }

    /// The next stretch of bytes that were never sent, may be sent, and that the peer has not.
    fn fresh(&self) -> Option<Range<u64>> {
        self.acked.gaps(self.next..self.available.min(self.limit)).next()
    }

    fn has_copy(&self) -> bool {
        self.uncopied.is_some_and(|end| self.acked.first_gap(0) < end)
    }

    fn next_copy(&self, max_len: u64) -> Option<Range<u64>> {
        let mut end = self.uncopied.filter(|_| self.has_copy())?;
        loop {
            let start = end.saturating_sub(max_len);
            match self.acked.gaps(start..end).last() {
                Some(gap) => return Some(gap),
                None => end = start,
            }
        }
    }
}

/// How many ranges a peer may name that it has.
pub const KEPT_MAX: usize = 4096;

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list with one range is meant")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn outbox(kept: &[Range<u64>], available: u64) -> Outbox {
        let mut outbox = Outbox::new(&kept.iter().cloned().collect());
        outbox.on_available(available);
        outbox.on_limit(u64::MAX);
        outbox
    }

    fn all(outbox: &mut Outbox, max_len: u64) -> Vec<Range<u64>> {
        std::iter::from_fn(|| outbox.next(max_len)).collect()
    }

    #[test]
    fn new_bytes_go_in_order_and_around_what_the_peer_has() {
        let mut outbox = outbox(&[0..5, 12..20], 30);
        assert_eq!(all(&mut outbox, 4), [5..9, 9..12, 20..24, 24..28, 28..30]);
        assert!(!outbox.has_next() && !outbox.is_blocked());
    }

    #[test]
    fn lost_bytes_go_first_and_the_oldest_of_them_before_the_others() {
        let mut outbox = outbox(&[], 100);
        assert_eq!([outbox.next(10), outbox.next(10), outbox.next(10)], [Some(0..10), Some(10..20), Some(20..30)]);
        outbox.on_lost(20..30);
        outbox.on_lost(0..10);
        assert_eq!([outbox.next(7), outbox.next(7), outbox.next(7)], [Some(0..7), Some(7..10), Some(20..27)]);
        assert_eq!([outbox.next(7), outbox.next(7)], [Some(27..30), Some(30..37)]);
    }

    #[test]
    fn at_the_end_of_a_lossy_path_what_is_under_way_goes_out_once_more_the_newest_first() {
        let mut outbox = outbox(&[], 50);
        all(&mut outbox, 10);
        outbox.on_acked(0..20);
        outbox.on_acked(32..34);
        outbox.insure();
        assert!(!outbox.has_next(), "there may be more to come");
        outbox.on_complete();
        outbox.insure();
        assert_eq!(all(&mut outbox, 10), [40..50, 34..40, 24..32, 20..24]);
        outbox.insure();
        assert_eq!((outbox.has_next(), outbox.repeated()), (false, 28), "once");
        outbox.on_acked(20..50);
        assert!(outbox.has_all(50));
    }

    #[test]
    fn copies_wait_for_the_end_and_lost_bytes_for_no_copy() {
        let mut outbox = outbox(&[], 50);
        outbox.on_complete();
        outbox.next(30);
        outbox.insure();
        outbox.next(30);
        outbox.insure();
        outbox.on_lost(0..10);
        assert_eq!([outbox.next(20), outbox.next(20)], [Some(0..10), Some(30..50)]);
        outbox.on_acked(0..50);
        assert_eq!((outbox.has_next(), outbox.next(20)), (false, None), "they are there");
    }

    #[test]
    fn what_was_acknowledged_meanwhile_is_not_sent_again() {
        let mut outbox = outbox(&[], 30);
        all(&mut outbox, 10);
        outbox.on_acked(5..15);
        outbox.on_lost(0..20);
        assert_eq!(outbox.next(100), Some(0..5));
        outbox.on_acked(16..18);
        assert_eq!(all(&mut outbox, 100), [15..16, 18..20]);
        outbox.on_lost(15..16);
        outbox.on_acked(0..30);
        assert_eq!((outbox.next(9), outbox.has_all(30), outbox.has_all(31)), (None, true, false));
    }

    #[test]
    fn what_is_never_to_be_sent_counts_once_and_not_if_the_peer_has_it_already() {
        let mut outbox = outbox(&[], 100);
        assert_eq!(outbox.next(10), Some(0..10));
        outbox.on_acked(0..10);
        outbox.on_void(5..40);
        outbox.on_void(30..50);
        assert_eq!((outbox.void(), outbox.acked(), outbox.next(100)), (40, 50, Some(50..100)));
    }

    #[test]
    fn the_limit_holds_new_bytes_and_lets_lost_ones_through() {
        let mut outbox = Outbox::new(&RangeSet::new());
        outbox.on_available(100);
        assert!(outbox.is_blocked());
        outbox.on_limit(20);
        outbox.on_limit(10);
        assert_eq!(all(&mut outbox, 15), [0..15, 15..20]);
        assert!(outbox.is_blocked());
        outbox.on_lost(0..15);
        assert!(!outbox.is_blocked());
        assert_eq!(outbox.next(100), Some(0..15));
        outbox.on_limit(u64::MAX);
        assert_eq!(outbox.next(100), Some(20..100));
        assert!(!outbox.is_blocked(), "there is nothing more");
    }

    #[test]
    fn a_probe_repeats_the_oldest_bytes_in_flight() {
        let mut outbox = outbox(&[0..5], 50);
        assert_eq!(outbox.oldest_in_flight(10), None);
        all(&mut outbox, 10);
        assert_eq!([outbox.oldest_in_flight(3), outbox.oldest_in_flight(30)], [Some(5..8), Some(5..35)]);
        outbox.on_acked(5..10);
        outbox.on_lost(10..20);
        assert_eq!(outbox.oldest_in_flight(5), Some(20..25));
        outbox.on_lost(20..50);
        assert_eq!((outbox.oldest_in_flight(5), outbox.oldest_in_flight(0)), (None, None));
    }

    #[test]
    fn a_peer_that_claims_too_many_ranges_gets_the_later_ones_again() {
        let kept: RangeSet = (0..5000).map(|at| 2 * at..2 * at + 1).collect();
        let mut outbox = Outbox::new(&kept);
        outbox.on_available(10_000);
        outbox.on_limit(10_000);
        assert_eq!(outbox.acked.ranges(), KEPT_MAX);
        assert_eq!(all(&mut outbox, 10_000).len(), KEPT_MAX);
    }

    proptest! {
        /// Packets of random lengths are lost and acknowledged in random order until all is home.
        #[test]
        fn every_byte_gets_home_and_memory_stays_with_the_packets_in_flight(
            kept in proptest::collection::vec((0..600_u64, 1..50_u64), 0..5),
            end in 0..600_u64,
            dice in proptest::collection::vec((any::<u16>(), 1..60_u64, 0..10_u8), 1..2000),
        ) {
            let kept: RangeSet = kept.into_iter().map(|(start, len)| start..start + len).collect();
            let mut outbox = outbox(&[], end);
            outbox.acked = kept.clone();
            let mut flights: BTreeMap<u64, Range<u64>> = BTreeMap::new();
            let mut times: BTreeMap<u64, u32> = BTreeMap::new();
            for (number, (die, max_len, fate)) in (0..).zip(dice) {
                if flights.len() < 20 && let Some(range) = outbox.next(max_len) {
                    prop_assert!(range.end - range.start <= max_len && !range.is_empty() && range.end <= end);
                    for byte in range.clone() {
                        prop_assert!(!kept.contains(byte), "the peer had {byte}");
                        *times.entry(byte).or_default() += 1;
                    }
                    flights.insert(number, range);
                }
                let chosen = flights.keys().nth(usize::from(die) % flights.len().max(1)).copied();
                let Some((_, range)) = chosen.and_then(|chosen| flights.remove_entry(&chosen)) else { break };
                match fate {
                    0..5 => outbox.on_acked(range),
                    5 => {
                        // Lost by mistake.
                        outbox.on_lost(range.clone());
                        outbox.on_acked(range);
                    }
                    _ => outbox.on_lost(range),
                }
                prop_assert!(outbox.acked.ranges() <= 22 + 2 * kept.ranges() + outbox.lost.ranges());
                prop_assert!(outbox.lost.ranges() <= 21);
                for range in outbox.lost.iter() {
                    prop_assert!(outbox.acked.gaps(range.clone()).eq([range]));
                }
            }
            while let Some(range) = outbox.next(1000) {
                flights.insert(u64::MAX - range.start, range);
            }
            for range in flights.into_values() {
                outbox.on_acked(range);
            }
            prop_assert!(outbox.has_all(end));
        }
    }
}
