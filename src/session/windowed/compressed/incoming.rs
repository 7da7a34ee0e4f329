//! Pieces of compressed blocks, put together.

use super::OPEN_MAX;
use crate::compression::{BadBlock, Decompressor};
use crate::packet::windowed::frame::Compressed;
use crate::ranges::RangeSet;
use std::collections::BTreeMap;
use thiserror::Error;

/// The receiving side.
///
/// **Memory.** [`OPEN_MAX`] blocks of at most 128 KiB, none of which came in more than `PARTS_MAX` parts with gaps between them; and one
/// block that is brought back, in its own length.
#[derive(Default)]
pub struct Incoming {
    /// Those of which something is missing, by where they begin.
    open: BTreeMap<u64, Block>,
    decompressor: Decompressor,
    /// Bytes of files in blocks that were complete, and those of the blocks.
    before: u64,
    after: u64,
}

struct Block {
    length: usize,
    bytes: Vec<u8>,
    came: RangeSet,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More of its block is to come.
    Waiting,
    /// Its block is complete: [`Incoming::finish`] has its bytes.
    Complete,
    /// Too many parts of its block are there to make another one. The packet is to be treated as if it had never come.
    Dropped,
}

/// The peer sent what no block is; the session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadPiece {
    /// As many as are allowed are begun already.
    #[error("more than {OPEN_MAX} compressed blocks were begun at once")]
    TooMany,
    /// It is not as its other pieces said, or it lies in the middle of another one.
    #[error("a compressed block at {start} is not the one that had begun there")]
    Contradiction {
        /// Where it begins.
        start: u64,
    },
    /// Its bytes are no block.
    #[error("{0}")]
    Block(#[from] BadBlock),
}

impl Incoming {
    /// A piece came of a block of which something is missing; `received` are the bytes of files that nobody waits for.
    ///
    /// # Errors
    /// [`BadPiece`].
    pub fn on_piece(&mut self, piece: &Compressed<'_>, received: &RangeSet) -> Result<Progress, BadPiece> {
        let Compressed { start, length, total, at, bytes } = *piece;
        let range = piece.range();
        let contradiction = BadPiece::Contradiction { start };
        if !self.open.contains_key(&start) {
            let last = self.open.range(..range.end).next_back();
            if last.is_some_and(|(begin, block)| begin.saturating_add(block.length as u64) > start) {
                return Err(contradiction);
            }
            if self.open.len() >= OPEN_MAX {
                // Of files that came to nothing meanwhile.
                self.open.retain(|start, block| !received.covers(*start..start.saturating_add(block.length as u64)));
            }
            if self.open.len() >= OPEN_MAX {
                return Err(BadPiece::TooMany);
            }
            self.open.insert(start, Block { length, bytes: vec![0; total], came: RangeSet::new() });
        }
        let block = self.open.get_mut(&start).ok_or(contradiction)?;
        let end = at.saturating_add(bytes.len());
        let is_same = block.length == length && block.bytes.len() == total;
        let Some(room) = block.bytes.get_mut(at..end).filter(|_| is_same) else { return Err(contradiction) };
        let part = at as u64..end as u64;
        if block.came.ranges() >= PARTS_MAX && block.came.gaps(part.clone()).eq([part.clone()]) {
            return Ok(Progress::Dropped);
        }
        room.copy_from_slice(bytes);
        block.came.insert(part);
        let is_complete = block.came.covers(0..total as u64);
        Ok(if is_complete { Progress::Complete } else { Progress::Waiting })
    }

    /// The bytes of files that a complete block stands for. It is over with it.
    ///
    /// # Errors
    /// [`BadPiece`].
    pub fn finish(&mut self, start: u64) -> Result<&[u8], BadPiece> {
        let block = self.open.remove(&start).ok_or(BadPiece::Contradiction { start })?;
        self.before = self.before.saturating_add(block.length as u64);
        self.after = self.after.saturating_add(block.bytes.len() as u64);
        Ok(self.decompressor.decompress(&block.bytes, block.length)?)
    }

    /// How many bytes of files came compressed, and how many bytes that was.
    pub fn counts(&self) -> (u64, u64) {
        (self.before, self.after)
    }

    /// Nothing more is wanted: the memory is given back.
    pub fn clear(&mut self) {
        let Self { before, after, .. } = *self;
        *self = Self { before, after, ..Self::default() };
    }
}

/// The parts of a block that may lie alone: every other of its packets, on the narrowest path. More are dropped, as if the path had lost
/// them; they come again when others have filled the gaps.
const PARTS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::{BLOCK_MAX, Compressor};

    fn text(length: usize) -> Vec<u8> {
        (0..).flat_map(|line: u32| format!("line {line}\n").into_bytes()).take(length).collect()
    }

    fn block(length: usize) -> Vec<u8> {
        Compressor::new().expect("memory").compress(&text(length)).expect("shorter")
    }

    fn piece(bytes: &[u8], start: u64, length: usize, part: std::ops::Range<usize>) -> Compressed<'_> {
        Compressed { start, length, total: bytes.len(), at: part.start, bytes: &bytes[part] }
    }

    #[test]
    fn pieces_make_a_block_in_any_order_and_however_they_overlap() {
        let (bytes, none) = (block(BLOCK_MAX), RangeSet::new());
        let mut incoming = Incoming::default();
        let half = bytes.len() / 2;
        for (part, progress) in [
            (half..bytes.len(), Progress::Waiting),
            (half - 10..half + 10, Progress::Waiting),
            (half..bytes.len(), Progress::Waiting),
            (0..half - 5, Progress::Complete),
            (0..5, Progress::Complete),
        ] {
            assert_eq!(incoming.on_piece(&piece(&bytes, 7, BLOCK_MAX, part), &none), Ok(progress));
        }
        assert_eq!(incoming.finish(7), Ok(&text(BLOCK_MAX)[..]));
        assert!(incoming.open.is_empty());
        assert_eq!(incoming.finish(7), Err(BadPiece::Contradiction { start: 7 }));
    }

    #[test]
    fn no_more_blocks_are_begun_than_are_allowed() {
        let (bytes, none) = (block(1000), RangeSet::new());
        let mut incoming = Incoming::default();
        for at in 0..OPEN_MAX as u64 {
            let first = piece(&bytes, at * 1000, 1000, 0..1);
            assert_eq!(incoming.on_piece(&first, &none), Ok(Progress::Waiting));
        }
        let one_more = piece(&bytes, 1_000_000, 1000, 0..1);
        assert_eq!(incoming.on_piece(&one_more, &none), Err(BadPiece::TooMany));
        // One of them is wanted no more, another is complete.
        let passed = std::iter::once(0..1000).collect();
        assert_eq!(incoming.on_piece(&one_more, &passed), Ok(Progress::Waiting));
        assert_eq!(incoming.on_piece(&piece(&bytes, 5000, 1000, 1..bytes.len()), &none), Ok(Progress::Complete));
        incoming.finish(5000).expect("a good one");
        assert_eq!(incoming.on_piece(&piece(&bytes, 2_000_000, 1000, 0..1), &none), Ok(Progress::Waiting));
        assert_eq!(incoming.on_piece(&piece(&bytes, 3_000_000, 1000, 0..1), &none), Err(BadPiece::TooMany));
    }

    #[test]
    fn a_block_does_not_change_while_it_comes() {
        let (bytes, none) = (block(1000), RangeSet::new());
        let first = piece(&bytes, 500, 1000, 0..10);
        for (start, length, total) in
            [(500, 999, bytes.len()), (500, 1000, bytes.len() - 1), (499, 1000, 20), (1499, 9, 5)]
        {
            let mut incoming = Incoming::default();
            assert_eq!(incoming.on_piece(&first, &none), Ok(Progress::Waiting));
            let other = Compressed { start, length, total, at: 0, bytes: b"x" };
            assert_eq!(incoming.on_piece(&other, &none), Err(BadPiece::Contradiction { start }));
        }
        let mut incoming = Incoming::default();
        assert_eq!(incoming.on_piece(&first, &none), Ok(Progress::Waiting));
        for start in [0, 1500] {
            let beside = Compressed { start, length: 500, ..first };
            assert_eq!(incoming.on_piece(&beside, &none), Ok(Progress::Waiting));
        }
    }

    #[test]
    fn what_is_no_block_ends_it() {
        let (none, mut incoming) = (RangeSet::new(), Incoming::default());
        let nonsense = [7; 100];
        assert_eq!(incoming.on_piece(&piece(&nonsense, 0, 1000, 0..100), &none), Ok(Progress::Complete));
        assert_eq!(incoming.finish(0), Err(BadPiece::Block(BadBlock::NoFrame)));
        let bytes = block(1000);
        for (length, is_good) in [(1000, true), (1001, false), (999, false)] {
            assert_eq!(incoming.on_piece(&piece(&bytes, 0, length, 0..bytes.len()), &none), Ok(Progress::Complete));
            assert_eq!(incoming.finish(0).is_ok(), is_good);
        }
    }

    #[test]
    fn single_bytes_with_gaps_between_them_take_a_bounded_place() {
        let (bytes, none, mut incoming) = (vec![0; 1000], RangeSet::new(), Incoming::default());
        for at in 0..PARTS_MAX {
            let part = piece(&bytes, 0, 2000, 2 * at..2 * at + 1);
            assert_eq!(incoming.on_piece(&part, &none), Ok(Progress::Waiting));
        }
        assert_eq!(incoming.on_piece(&piece(&bytes, 0, 2000, 900..901), &none), Ok(Progress::Dropped));
        // What fills a gap is welcome, and makes room.
        assert_eq!(incoming.on_piece(&piece(&bytes, 0, 2000, 0..3), &none), Ok(Progress::Waiting));
        assert_eq!(incoming.on_piece(&piece(&bytes, 0, 2000, 900..901), &none), Ok(Progress::Waiting));
    }
}
