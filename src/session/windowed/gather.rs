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

    /// The next block that is complete.
    pub fn poll(&mut self) -> Option<Block> {
        self.ready.pop_front()
    }

    /// What was gathered so far is all, or all for now.
    pub fn flush(&mut self) {
        self.ready.extend(self.runs.drain(..));
    }

    /// Whether anything was taken that has not been given out.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.ready.is_empty()
    }

    fn take_piece(&mut self, offset: u64, piece: &[u8], is_last: bool) {
        let continues = |run: &Block| run.offset.saturating_add(run.bytes.len() as u64) == offset;
        let mut run = match self.runs.iter().rposition(continues).and_then(|at| self.runs.remove(at)) {
            Some(run) => run,
            None => Block { offset, bytes: self.spare.pop().unwrap_or_else(|| Vec::with_capacity(BLOCK)) },
        };
        run.bytes.extend_from_slice(piece);
        if is_last {
            self.ready.push_back(run);
        } else {
            self.runs.push_back(run);
        }
        if self.runs.len() > RUNS {
            self.ready.extend(self.runs.pop_front());
        }
    }
}

/// How large a block becomes: what makes writing cheap, and hashing too.
const BLOCK: usize = 256 * 1024;

/// How many runs are kept open. Each takes up to a block of memory.
const RUNS: usize = 8;

/// Blocks whose memory is kept: as many as wait for a disk that is as fast as the path.
const SPARE_MAX: usize = 16;

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
        gather.take(0, &[2; 5]);
        gather.flush();
        let block = gather.poll().unwrap();
        assert_eq!((block.bytes.as_slice(), gather.spare.len()), (&[2; 5][..], SPARE_MAX - 1));
        assert!(block.bytes.capacity() >= BLOCK);
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
