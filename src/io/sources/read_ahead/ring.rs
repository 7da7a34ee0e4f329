//! The blocks that were read last.

use crate::ranges::RangeSet;
use std::collections::VecDeque;

/// Consecutive bytes of the byte space.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
}

impl Block {
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
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

/// Bytes of memory for all blocks together: 130 ms of 1 Gbit/s.
const COST_MAX: usize = 16 * 1024 * 1024;

/// The least that a block costs, so that a stream that drips makes no ring of a million blocks.
const COST_MIN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn block(start: u64, length: usize) -> Block {
        Block { start, bytes: (start..).map(|byte| byte as u8).take(length).collect() }
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
}
