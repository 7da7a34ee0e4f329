//! Bytes that came are gathered into blocks, so that a disk gets few large pieces instead of many small ones.

use std::collections::VecDeque;

/// Joins pieces that follow each other, and cuts them at multiples of a block: that suits the pages of files and the tree of
/// BLAKE3. On a path that loses and reorders there are several such runs at once: of eight the one that was continued longest
/// ago is given out when another one begins.
#[derive(Debug, Default)]
pub struct Gather {
    /// Those that may go on; the newest last.
    runs: VecDeque<Block>,
    ready: VecDeque<Block>,
    /// Memory of blocks that are done with. To get it from the system anew, a page at a time, costs more than to fill it.
    spare: Vec<Vec<u8>>,

    /// The lengths of blocks that were given out and are not taken care of yet, in the order in which they were given out.
    given: VecDeque<u64>,
    /// Bytes that are taken care of, of the first of them.
    taken: u64,
}

/// Bytes that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where they begin.
    pub offset: u64,
    /// They.
    pub bytes: Vec<u8>,
}

impl Gather {
    /// These bytes came, for the first time.
    pub fn take(&mut self, mut offset: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let to_border = BLOCK - (offset % BLOCK as u64) as usize;
            let (piece, rest) = bytes.split_at_checked(to_border).unwrap_or((bytes, &[]));
            self.take_piece(offset, piece, piece.len() == to_border);
            offset = offset.saturating_add(piece.len() as u64);
            bytes = rest;
        }
    }

    /// Takes back the memory of a block.
    pub fn reuse(&mut self, mut memory: Vec<u8>) {
        if self.spare.len() < SPARE_MAX && memory.capacity() >= BLOCK {
            memory.clear();
            self.spare.push(memory);
        }
    }

    fn take_piece(&mut self, offset: u64, piece: &[u8], is_last: bool) {
        let continues = |run: &Block| run.offset.saturating_add(run.bytes.len() as u64) == offset;
        let mut run = match self.runs.iter().rposition(continues).and_then(|at| self.runs.remove(at)) {
            Some(run) => run,
            None => Block { offset, bytes: Vec::new() },
        };
        // Room for a whole block only where one begins to come: pieces of a byte must not take a block's memory each.
        if run.bytes.capacity() < BLOCK && run.bytes.len() + piece.len() >= WORTH_A_BLOCK {
            let mut room = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(BLOCK));
            room.extend_from_slice(&run.bytes);
            run.bytes = room;
        }
        run.bytes.extend_from_slice(piece);
        if is_last {
            self.ready.push_back(tight(run));
        } else {
            self.runs.push_back(run);
        }
        if self.runs.len() > RUNS {
            self.ready.extend(self.runs.pop_front().map(tight));
        }
    }

    /// Whether more may be taken: not if there are so many blocks that managing them costs more than their bytes.
    pub fn has_room(&self) -> bool {
        self.given.len() + self.ready.len() < BLOCKS_MAX
    }

    /// The next block that is complete.
    pub fn poll(&mut self) -> Option<Block> {
        let block = self.ready.pop_front()?;
        self.given.push_back(block.bytes.len() as u64);
        Some(block)
    }

    /// So many bytes of the blocks are taken care of, in whatever order.
    pub fn on_taken(&mut self, bytes: u64) {
        self.taken = self.taken.saturating_add(bytes);
        while let Some(rest) = self.given.front().and_then(|length| self.taken.checked_sub(*length)) {
            self.given.pop_front();
            self.taken = rest;
        }
        if self.given.is_empty() {
            self.taken = 0;
        }
    }

    /// What was gathered so far is all, or all for now.
    pub fn flush(&mut self) {
        self.ready.extend(self.runs.drain(..).map(tight));
    }

    /// Whether anything was taken that has not been given out.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.ready.is_empty()
    }
}

/// A block that does not become longer, without the room for that.
fn tight(mut block: Block) -> Block {
    if block.bytes.len() < BLOCK / 2 {
        block.bytes.shrink_to_fit();
    }
    block
}

/// How large a block becomes: what makes writing cheap, and hashing too.
const BLOCK: usize = 256 * 1024;

/// How many runs are kept open. Each takes up to a block of memory.
const RUNS: usize = 8;

/// Blocks whose memory is kept: as many as wait for a disk that is as fast as the path.
const SPARE_MAX: usize = 16;

/// A run of so many bytes is expected to become a block.
const WORTH_A_BLOCK: usize = 4096;

/// How many blocks may be under way to the disk: the flow control's window in packets of 1 KiB, which is what a path makes of it that loses
/// every other packet. A peer that sends single bytes gets no further than a few megabytes of memory with them.
const BLOCKS_MAX: usize = 32_768;

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(gather: &mut Gather) -> Vec<(u64, usize)> {
        std::iter::from_fn(|| gather.poll()).map(|block| (block.offset, block.bytes.len())).collect()
    }

    #[test]
    fn what_follows_each_other_becomes_one_block() {
        let mut gather = Gather::default();
        for at in 0..300_u64 {
            gather.take(at * 1000, &[at as u8; 1000]);
        }
        assert_eq!(blocks(&mut gather), [(0, BLOCK)]);
        gather.flush();
        assert_eq!(blocks(&mut gather), [(BLOCK as u64, 300_000 - BLOCK)]);
        assert!(gather.is_empty());
    }

    #[test]
    fn blocks_end_at_borders_wherever_they_begin_and_hold_what_came() {
        let mut gather = Gather::default();
        let bytes: Vec<u8> = (0..2 * BLOCK + 20).map(|at| (at % 251) as u8).collect();
        gather.take(BLOCK as u64 - 10, &bytes);
        gather.flush();
        let blocks: Vec<Block> = std::iter::from_fn(|| gather.poll()).collect();
        assert_eq!(blocks.iter().map(|block| block.bytes.len()).collect::<Vec<_>>(), [10, BLOCK, BLOCK, 10]);
        assert!(blocks.windows(2).all(|pair| pair[0].offset + pair[0].bytes.len() as u64 == pair[1].offset));
        assert!(blocks.into_iter().flat_map(|block| block.bytes).eq(bytes));
    }

    #[test]
    fn memory_is_used_again_and_never_grows_nor_shows_what_was_in_it() {
        let mut gather = Gather::default();
        (0..100).for_each(|_| gather.reuse(vec![1; BLOCK]));
        gather.reuse(vec![1; 10]);
        assert_eq!(gather.spare.len(), SPARE_MAX);
        gather.take(0, &[2; BLOCK]);
        let block = gather.poll().unwrap();
        assert_eq!((block.bytes.as_slice(), gather.spare.len()), (&[2; BLOCK][..], SPARE_MAX - 1));
        assert!(block.bytes.capacity() >= BLOCK);
    }

    #[test]
    fn single_bytes_take_little_memory_and_come_to_an_end() {
        let mut gather = Gather::default();
        let mut blocks = Vec::new();
        for at in (0..1 << 20).step_by(2) {
            if !gather.has_room() {
                break;
            }
            gather.take(at, &[1]);
            blocks.extend(gather.poll());
        }
        assert_eq!(blocks.len(), BLOCKS_MAX);
        assert!(blocks.iter().all(|block| block.bytes.capacity() <= 8));
        gather.on_taken(BLOCKS_MAX as u64 / 2);
        assert!(gather.has_room() && gather.given.len() == BLOCKS_MAX / 2);
        gather.on_taken(BLOCKS_MAX as u64 / 2);
        assert!(gather.given.is_empty() && gather.taken == 0);
    }

    #[test]
    fn many_gaps_make_many_blocks_and_not_much_memory() {
        let mut gather = Gather::default();
        for at in 0..100_u64 {
            gather.take(at * 2000, &[0; 1000]);
            assert!(gather.runs.len() <= RUNS);
        }
        assert_eq!(blocks(&mut gather).len(), 100 - RUNS);
    }
}
