//! Which piece of which compressed block goes next.

use super::OPEN_MAX;
use crate::codec::{Full, Writer};
use crate::packet::windowed::frame::{Compressed, Frame};
use crate::ranges::RangeSet;
use crate::session::windowed::outbox::{Next, Order, Outbox};
use crate::session::windowed::streams::{Form, Source};
use std::collections::BTreeMap;
use std::ops::Range;

/// The sending side: blocks that were begun and are not wholly acknowledged. They stay as they are, so that what is lost of one can be sent
/// again.
///
/// **Which bytes stand for which.** Byte `x` of `length` stands at `x * total / length` of `total`. So every range of a block's bytes of
/// files has its range of compressed bytes (rounded outwards), and whoever has all of the former has all of the latter: nothing but ranges of the
/// files' bytes must be remembered of a packet.
///
/// **Memory.** [`OPEN_MAX`] blocks of less than 128 KiB.
#[derive(Debug, Default)]
pub struct Outgoing {
    open: BTreeMap<u64, Block>,
    /// What was not begun goes as it is up to there.
    plain_to: u64,
    /// Bytes of files in blocks that were begun, and those of the blocks.
    before: u64,
    after: u64,
}

#[derive(Debug)]
struct Block {
    length: usize,
    bytes: Vec<u8>,
}

impl Block {
    fn end(&self, start: u64) -> u64 {
        start.saturating_add(self.length as u64)
    }

    /// How many compressed bytes stand for the first `plain`; of a byte that does so for part of it, whether it `counts`.
    fn compressed(&self, plain: u64, counts: bool) -> usize {
        let product = plain.saturating_mul(self.bytes.len() as u64);
        let length = (self.length as u64).max(1);
        (if counts { product.div_ceil(length) } else { product / length }) as usize
    }

    /// How many bytes of files the first `compressed` bytes stand for, rounded up or down.
    fn plain(&self, compressed: usize, up: bool) -> u64 {
        let product = (compressed as u64).saturating_mul(self.length as u64);
        let total = (self.bytes.len() as u64).max(1);
        if up { product.div_ceil(total) } else { product / total }
    }
}

impl Outgoing {
    /// Makes what is to go next as short as one piece, or as one stretch of bytes that go as they are, with `room` for a compressed piece's
    /// bytes. Says whether it is compressed. `None` if there is not room enough.
    pub fn narrow(&mut self, next: &mut Next, room: usize, source: &mut dyn Source) -> Option<bool> {
        if next.order == Order::Copy {
            return Some(self.narrow_copy(next));
        }
        let from = next.range.start;
        if next.order == Order::Fresh && from >= self.plain_to && self.block_at(from).is_none() {
            match source.form(next.range.clone(), self.open.len() < OPEN_MAX) {
                Form::Plain { end } => self.plain_to = end.max(from),
                Form::Compressed { length, bytes } => {
                    self.before = self.before.saturating_add(length as u64);
                    self.after = self.after.saturating_add(bytes.len() as u64);
                    self.open.insert(from, Block { length, bytes });
                }
            }
        }
        let Some((start, block)) = self.block_at(from) else {
            let later = self.open.range(from..).next().map_or(u64::MAX, |(start, _)| *start);
            let end = if next.order == Order::Fresh { later.min(self.plain_to) } else { later };
            next.range.end = next.range.end.min(end);
            return Some(false);
        };
        if room < PIECE_MIN {
            return None;
        }
        let at = block.compressed(from - start, false);
        let end = start.saturating_add(block.plain(at.saturating_add(room), false)).min(block.end(start));
        next.range.end = next.range.end.min(end);
        Some(true)
    }

    /// Copies are no longer than what fits, compressed or not, and go from their end.
    fn narrow_copy(&self, next: &mut Next) -> bool {
        let last = next.range.end.saturating_sub(1);
        if let Some((start, _)) = self.block_at(last) {
            next.range.start = next.range.start.max(start);
            return true;
        }
        let before = self.open.range(..next.range.end).next_back().map_or(0, |(start, block)| block.end(*start));
        next.range.start = next.range.start.max(before);
        false
    }

    /// Appends the piece with these bytes of files, which [`Outgoing::narrow`] has cut.
    ///
    /// # Errors
    /// [`Full`]; nothing is written then.
    pub fn write(&self, range: &Range<u64>, writer: &mut Writer<'_>) -> Result<(), Full> {
        let (start, block) = self.block_at(range.start).ok_or(Full)?;
        let at = block.compressed(range.start - start, false);
        let end = block.compressed(range.end - start, true);
        let bytes = block.bytes.get(at..end).ok_or(Full)?;
        let (length, total) = (block.length, block.bytes.len());
        Frame::Compressed(Compressed { start, length, total, at, bytes }).encode(writer)
    }

    /// The peer has the bytes at this offset; what it has in all is in the outbox.
    pub fn on_acked(&mut self, offset: u64, outbox: &Outbox) {
        if let Some((start, block)) = self.block_at(offset)
            && outbox.has(start..block.end(start))
        {
            self.open.remove(&start);
        }
    }

    /// What of a range belongs to no block that was begun. The rest must go, for the sake of what else is in its block.
    pub fn outside(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let blocks: RangeSet = self.open.iter().map(|(start, block)| *start..block.end(*start)).collect();
        blocks.gaps(range).collect()
    }

    /// How many bytes of files went compressed, and how many bytes that made of them.
    pub fn counts(&self) -> (u64, u64) {
        (self.before, self.after)
    }

    /// The block that has this byte, and where it begins.
    fn block_at(&self, offset: u64) -> Option<(u64, &Block)> {
        let (start, block) = self.open.range(..=offset).next_back()?;
        (offset < block.end(*start)).then_some((*start, block))
    }
}

/// Less room than this is left empty. With two bytes, every piece stands for at least a byte of files.
const PIECE_MIN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::Compressor;
    use crate::packet::windowed::frame::{Frames, Space};
    use proptest::prelude::*;

    /// A source with a block at each multiple of 1000, of which every third is not compressed.
    struct Blocks;

    fn text(offset: u64, length: usize) -> Vec<u8> {
        (offset..).map(|at| b"abcdefgh"[(at / 7 % 8) as usize]).take(length).collect()
    }

    impl Source for Blocks {
        fn read(&mut self, _: Space, offset: u64, into: &mut [u8]) -> bool {
            into.copy_from_slice(&text(offset, into.len()));
            true
        }

        fn form(&mut self, range: Range<u64>, may_compress: bool) -> Form {
            let (at, end) = (range.start % 1000, range.start / 1000 * 1000 + 1000);
            if at > 0 || end > range.end || !may_compress || range.start.is_multiple_of(3000) {
                return Form::Plain { end };
            }
            let bytes = Compressor::new().expect("memory").compress(&text(range.start, 1000)).expect("shorter");
            Form::Compressed { length: 1000, bytes }
        }
    }

    proptest! {
        #[test]
        fn whoever_has_all_pieces_has_the_block(
            dice in prop::collection::vec((10..300_usize, 0..3_u8, any::<prop::sample::Index>()), 1..400),
        ) {
            let (mut outbox, mut outgoing) = (Outbox::new(&RangeSet::new()), Outgoing::default());
            outbox.on_available(20_500);
            outbox.on_limit(18_300);
            outbox.on_complete();
            let mut incoming = super::super::incoming::Incoming::default();
            let (mut got, mut under_way) = (RangeSet::new(), Vec::new());
            let mut step = |room: usize, fate: u8, which: Option<prop::sample::Index>, outbox: &mut Outbox, outgoing: &mut Outgoing| {
                if let Some(mut next) = outbox.peek(room as u64) {
                    let is_compressed = outgoing.narrow(&mut next, room, &mut Blocks).expect("room");
                    if !is_compressed {
                        next.range.end = next.range.end.min(next.range.start + room as u64);
                    }
                    let range = next.range.clone();
                    assert!(!range.is_empty());
                    outbox.take(next);
                    let mut packet = Vec::new();
                    if is_compressed {
                        outgoing.write(&range, &mut Writer::new(&mut packet, room + 25)).expect("it was cut so");
                    }
                    under_way.push((range, packet));
                }
                outbox.insure();
                if under_way.is_empty() {
                    return;
                }
                let (range, packet) = under_way.swap_remove(which.map_or(0, |which| which.index(under_way.len())));
                if fate == 0 {
                    return outbox.on_lost(range);
                }
                match Frames::new(&packet).next() {
                    Some(Ok(Frame::Compressed(piece))) => {
                        use super::super::incoming::Progress;
                        if !got.covers(piece.range()) && incoming.on_piece(&piece, &got) == Ok(Progress::Complete) {
                            assert_eq!(incoming.finish(piece.start), Ok(&text(piece.start, 1000)[..]));
                            got.insert(piece.range());
                        }
                    }
                    _ => {
                        got.insert(range.clone());
                    }
                }
                outbox.on_acked(range.clone());
                outgoing.on_acked(range.start, outbox);
            };
            for (room, fate, which) in dice {
                step(room, fate, Some(which), &mut outbox, &mut outgoing);
            }
            outbox.on_limit(u64::MAX);
            for _ in 0..10_000 {
                step(100, 1, None, &mut outbox, &mut outgoing);
            }
            prop_assert!(got.covers(0..20_500) && outbox.has_all(20_500));
            prop_assert!(outgoing.open.is_empty());
            let (before, after) = outgoing.counts();
            prop_assert!(before >= 1000 && after < before);
        }
    }

    #[test]
    fn a_block_that_was_begun_goes_whole_and_no_more_are_begun_than_are_allowed() {
        let mut outbox = Outbox::new(&RangeSet::new());
        outbox.on_available(1_000_000);
        outbox.on_limit(1_000_000);
        let mut outgoing = Outgoing::default();
        let mut compressed = 0;
        while let Some(mut next) = outbox.peek(1) {
            compressed += usize::from(outgoing.narrow(&mut next, 1000, &mut Blocks).expect("room"));
            outbox.take(next);
        }
        assert_eq!((compressed, outgoing.open.len()), (OPEN_MAX, OPEN_MAX));
        assert_eq!(outgoing.outside(500..3500), [500..1000, 3000..3500]);
    }
}
