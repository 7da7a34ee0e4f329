//! Bytes that came are gathered into blocks, so that a disk gets few large pieces instead of many small ones.

use std::collections::VecDeque;

/// Joins pieces that follow each other. On a path that loses and reorders there are several such runs at once: of
/// eight the one that was continued longest ago is given out when another one begins.
#[derive(Debug, Default)]
pub struct Gather {
    /// Those that may go on; the newest last.
    runs: VecDeque<Block>,
    ready: VecDeque<Block>,
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
    pub fn take(&mut self, offset: u64, bytes: &[u8]) {
        let continues = |run: &Block| run.offset.saturating_add(run.bytes.len() as u64) == offset;
        let mut run = match self.runs.iter().rposition(continues).and_then(|at| self.runs.remove(at)) {
            Some(run) => run,
            None => Block { offset, bytes: Vec::with_capacity(BLOCK) },
        };
        run.bytes.extend_from_slice(bytes);
        if run.bytes.len() >= BLOCK {
            self.ready.push_back(run);
        } else {
            self.runs.push_back(run);
        }
        if self.runs.len() > RUNS {
            self.ready.extend(self.runs.pop_front());
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
}

/// How large a block becomes: what makes writing cheap, and hashing too.
const BLOCK: usize = 256 * 1024;

/// How many runs are kept open. Each takes up to a block of memory.
const RUNS: usize = 8;

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
        assert_eq!(blocks(&mut gather), [(0, 263_000)]);
        gather.flush();
        assert_eq!(blocks(&mut gather), [(263_000, 37_000)]);
        assert!(gather.is_empty());
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
