//! The blocks that were read last.

use crate::compression::BLOCK_MAX;
use crate::ranges::RangeSet;
use crate::session::windowed::streams::Form;
use std::collections::VecDeque;
use std::ops::Range;

/// Consecutive bytes of the byte space.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
    /// What is known of each stretch of [`BLOCK_MAX`] bytes, the last of which may be shorter; those that are missing are untried.
    pub(super) parts: Vec<Part>,
}

/// How a stretch of a block goes best.
#[derive(Debug, Default)]
pub(super) enum Part {
    /// Nobody knows.
    #[default]
    Untried,
    /// As it is.
    Plain,
    /// So.
    Compressed(Vec<u8>),
}

impl Block {
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }

    /// Where the stretch ends that has this byte.
    fn part_end(&self, offset: u64) -> u64 {
        let at = offset.saturating_sub(self.start) / PART;
        self.start.saturating_add(at.saturating_add(1).saturating_mul(PART)).min(self.end())
    }

    /// The stretch that begins there.
    fn part(&mut self, offset: u64) -> Option<&mut Part> {
        let at = offset.checked_sub(self.start).filter(|at| at.is_multiple_of(PART))?;
        let count = self.bytes.len().div_ceil(BLOCK_MAX);
        if self.parts.len() < count {
            self.parts.resize_with(count, Part::default);
        }
        self.parts.get_mut(usize::try_from(at / PART).ok()?)
    }

    /// Where the first stretch begins that nobody has tried, from `offset` on.
    fn untried(&self, offset: u64) -> Option<u64> {
        let count = self.bytes.len().div_ceil(BLOCK_MAX);
        let first = usize::try_from(offset.saturating_sub(self.start).div_ceil(PART)).ok()?;
        let is_untried = |at: &usize| matches!(self.parts.get(*at), None | Some(Part::Untried));
        (first..count).find(is_untried).map(|at| self.start.saturating_add(at as u64 * PART))
    }

    /// What it costs: a block of a few bytes is more than these.
    fn cost(&self) -> usize {
        self.bytes.len().max(COST_MIN)
    }
}

/// A bounded number of blocks, in ascending order.
#[derive(Debug, Default)]
pub(super) struct Ring {
    blocks: VecDeque<Block>,
    cost: usize,
    /// The other side took everything below.
    taken: u64,
    /// The memory of the block that was dropped last: a fresh megabyte costs as much as reading it.
    spare: Vec<u8>,
}

impl Ring {
    /// Makes room for a block by dropping old ones; false if these hold bytes that were not taken and are not void.
    pub(super) fn make_room(&mut self, block: &Block, void: &RangeSet) -> bool {
        while self.cost.saturating_add(block.cost()) > COST_MAX {
            let Some(oldest) = self.blocks.front() else { break };
            if self.is_wanted(oldest, void) {
                return false;
            }
            self.cost -= oldest.cost();
            self.spare = self.blocks.pop_front().unwrap_or_default().bytes;
        }
        true
    }

    /// Whether the oldest block would make room.
    pub(super) fn can_drop(&self, void: &RangeSet) -> bool {
        self.blocks.front().is_none_or(|oldest| !self.is_wanted(oldest, void))
    }

    /// Memory to fill, with whatever is in it.
    pub(super) fn take_spare(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.spare)
    }

    /// Whether a block has bytes that are to be taken yet.
    fn is_wanted(&self, block: &Block, void: &RangeSet) -> bool {
        void.gaps(self.taken.max(block.start)..block.end()).next().is_some()
    }

    /// Puts a block behind the others.
    pub(super) fn push(&mut self, block: Block) {
        self.cost = self.cost.saturating_add(block.cost());
        self.blocks.push_back(block);
    }

    /// How the first of these bytes go best; a compressed stretch is given away, if it may be and all of it is to be sent.
    pub(super) fn form(&mut self, range: Range<u64>, may_compress: bool, void: &RangeSet) -> Form {
        let at = self.blocks.partition_point(|block| block.end() <= range.start);
        let Some(block) = self.blocks.get_mut(at).filter(|block| block.start <= range.start) else {
            return Form::Plain { end: range.end };
        };
        let stretch = range.start..block.part_end(range.start);
        let is_whole = stretch.end <= range.end && void.gaps(stretch.clone()).eq([stretch.clone()]);
        let part = block.part(range.start).filter(|_| may_compress && is_whole);
        match part.map(std::mem::take) {
            Some(Part::Compressed(bytes)) => {
                block.part(range.start).into_iter().for_each(|part| *part = Part::Plain);
                self.take_to(stretch.end);
                Form::Compressed { length: usize::try_from(stretch.end - stretch.start).unwrap_or(BLOCK_MAX), bytes }
            }
            _ => Form::Plain { end: stretch.end },
        }
    }

    /// The next stretch that nobody has tried, and that is not about to leave.
    pub(super) fn untried(&self) -> Option<(u64, &[u8])> {
        let from = if self.taken == 0 { 0 } else { self.taken.saturating_add(PART) };
        let first = self.blocks.partition_point(|block| block.end() <= from);
        let (start, block) = self.blocks.range(first..).find_map(|block| Some((block.untried(from)?, block)))?;
        let bytes = block.bytes.get(usize::try_from(start - block.start).ok()?..)?;
        Some((start, bytes.get(..BLOCK_MAX).unwrap_or(bytes)))
    }

    /// It is known how the stretch that begins there goes best.
    pub(super) fn settle(&mut self, start: u64, known: Part) {
        let at = self.blocks.partition_point(|block| block.end() <= start);
        if let Some(part) = self.blocks.get_mut(at).and_then(|block| block.part(start)) {
            *part = known;
        }
    }

    /// Notes that everything below `offset` was taken.
    pub(super) fn take_to(&mut self, offset: u64) {
        self.taken = self.taken.max(offset);
    }

    /// Reads from `offset` on as far as consecutive blocks reach; nothing if none has that byte.
    pub(super) fn read_at(&self, offset: u64, out: &mut [u8]) -> usize {
        let first = self.blocks.partition_point(|block| block.end() <= offset);
        let mut done = 0;
        for block in self.blocks.range(first..) {
            let at = offset.saturating_add(done as u64).checked_sub(block.start);
            let from = at.and_then(|at| block.bytes.get(usize::try_from(at).ok()?..)).unwrap_or_default();
            let room = out.get_mut(done..).unwrap_or_default();
            let count = from.len().min(room.len());
            let (Some(room), Some(from)) = (room.get_mut(..count), from.get(..count)) else { break };
            room.copy_from_slice(from);
            done += count;
            if count == 0 {
                break;
            }
        }
        done
    }
}

/// The length of the stretches that are compressed.
const PART: u64 = BLOCK_MAX as u64;

/// Bytes of memory for all blocks together: 130 ms of 1 Gbit/s. What is compressed of them takes a little less once more.
const COST_MAX: usize = 16 * 1024 * 1024;

/// The least that a block costs, so that a stream that drips makes no ring of a million blocks.
const COST_MIN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn block(start: u64, length: usize) -> Block {
        Block { start, bytes: (start..).map(|byte| byte as u8).take(length).collect(), ..Block::default() }
    }

    #[test]
    fn bytes_are_read_across_blocks_and_never_across_a_hole() {
        let mut ring = Ring::default();
        for block in [block(10, 5), block(15, 5), block(30, 5)] {
            ring.push(block);
        }
        for (offset, expected) in
            [(12, 12..20), (10, 10..20), (30, 30..35), (34, 34..35), (9, 0..0), (20, 0..0), (35, 0..0)]
        {
            let mut out = [0; 12];
            let count = ring.read_at(offset, &mut out);
            assert_eq!(out[..count], expected.map(|byte| byte as u8).collect::<Vec<_>>(), "{offset}");
        }
    }

    #[test]
    fn a_block_makes_room_only_when_all_that_counts_of_it_was_taken() {
        let mut ring = Ring::default();
        let void = std::iter::once(0..100).collect::<RangeSet>();
        for number in 0..16 {
            assert!(ring.make_room(&block(number << 20, 1 << 20), &void));
            ring.push(block(number << 20, 1 << 20));
        }
        let next = block(16 << 20, 1 << 20);
        assert!(!ring.make_room(&next, &void));
        ring.take_to((1 << 20) - 1);
        assert!(!ring.make_room(&next, &void), "its last byte is to come");
        ring.take_to(1 << 20);
        assert!(ring.make_room(&next, &void));
        assert!(!ring.make_room(&block(17 << 20, (1 << 20) + 1), &void));
        assert!(ring.make_room(&block(17 << 20, (1 << 20) + 1), &std::iter::once(0..1 << 30).collect()));
    }

    #[test]
    fn who_may_drop_a_block_gets_its_memory() {
        let (mut ring, void) = (Ring::default(), RangeSet::new());
        assert!(ring.can_drop(&void), "nothing is in the way");
        let large = block(0, COST_MAX);
        let memory = large.bytes.as_ptr();
        ring.push(large);
        ring.take_to(COST_MAX as u64 - 1);
        assert!(!ring.can_drop(&void) && !ring.make_room(&block(0, 1), &void));
        assert!(ring.take_spare().is_empty());
        ring.take_to(COST_MAX as u64);
        assert!(ring.can_drop(&void) && ring.make_room(&block(0, 1), &void));
        let spare = ring.take_spare();
        assert_eq!((spare.as_ptr(), spare.len()), (memory, COST_MAX));
        assert!(ring.take_spare().is_empty());
    }

    #[test]
    fn a_stretch_is_given_away_compressed_once_if_all_of_it_is_to_be_sent() {
        let (mut ring, mut void) = (Ring::default(), RangeSet::new());
        ring.push(block(0, 3 * BLOCK_MAX + 10));
        let starts = |ring: &Ring| ring.untried().map(|(start, bytes)| (start, bytes.len()));
        assert_eq!(starts(&ring), Some((0, BLOCK_MAX)));
        ring.settle(0, Part::Compressed(vec![1]));
        ring.settle(PART, Part::Plain);
        assert_eq!(starts(&ring), Some((2 * PART, BLOCK_MAX)));
        ring.settle(2 * PART, Part::Compressed(vec![2]));
        assert_eq!(starts(&ring), Some((3 * PART, 10)));
        let plain = |end| Form::Plain { end };
        // Not all of it is permitted, there is no room for it, or it is begun already.
        assert_eq!(ring.form(0..PART - 1, true, &void), plain(PART));
        assert_eq!(ring.form(0..PART, false, &void), plain(PART));
        assert_eq!(ring.form(1..2 * PART, true, &void), plain(PART));
        assert_eq!(ring.form(0..9 * PART, true, &void), Form::Compressed { length: BLOCK_MAX, bytes: vec![1] });
        assert_eq!(ring.form(0..9 * PART, true, &void), plain(PART));
        assert_eq!(ring.form(PART..9 * PART, true, &void), plain(2 * PART));
        void.insert(3 * PART - 1..3 * PART);
        assert_eq!(ring.form(2 * PART..9 * PART, true, &void), plain(3 * PART));
        assert_eq!(ring.form(3 * PART..9 * PART, true, &void), plain(3 * PART + 10));
        // What leaves soon is not worth a try.
        ring.take_to(2 * PART + 1);
        assert_eq!(starts(&ring), None);
    }
}
