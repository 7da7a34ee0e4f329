//! COMPRESSED: a piece of a block of the files' bytes that travels compressed.

use super::BadFrame;
use crate::codec::{Cursor, Full, VARINT_MAX, Writer, varint_length};
use crate::compression::BLOCK_MAX;
use std::ops::Range;

/// A piece of a compressed block, borrowed from its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compressed<'a> {
    /// Where the block begins among the bytes of the files.
    pub start: u64,
    /// How many of these bytes it stands for: 1 to [`BLOCK_MAX`].
    pub length: usize,
    /// How many bytes it has itself, fewer than `length`.
    pub total: usize,
    /// Where the piece begins among them.
    pub at: usize,
    /// The piece; not empty.
    pub bytes: &'a [u8],
}

/// The most bytes that a frame has besides those of its piece.
pub const OVERHEAD: usize = 1 + 8 + 4 * 4;

impl<'a> Compressed<'a> {
    /// The bytes of the files that the block stands for.
    pub fn range(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.length as u64)
    }

    pub(super) fn decode(cursor: &mut Cursor<'a>) -> Result<Self, BadFrame> {
        let start = varint(cursor)?;
        let (length, total, at, count) = (size(cursor)?, size(cursor)?, size(cursor)?, size(cursor)?);
        let bytes = cursor.take(count).ok_or(BadFrame::Truncated(FRAME))?;
        let piece = Self { start, length, total, at, bytes };
        if piece.is_possible() { Ok(piece) } else { Err(BadFrame::Impossible(FRAME)) }
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        if !self.is_possible() {
            return Err(Full);
        }
        writer.byte(TYPE)?;
        writer.varint(self.start)?;
        for size in [self.length, self.total, self.at, self.bytes.len()] {
            writer.varint(size as u64)?;
        }
        writer.bytes(self.bytes)
    }

    fn is_possible(&self) -> bool {
        let ends = self.start.checked_add(self.length as u64).is_some_and(|end| end <= VARINT_MAX);
        let is_within = self.at.checked_add(self.bytes.len()).is_some_and(|end| end <= self.total);
        ends && is_within && !self.bytes.is_empty() && self.total < self.length && self.length <= BLOCK_MAX
    }
}

fn varint(cursor: &mut Cursor<'_>) -> Result<u64, BadFrame> {
    cursor.varint().ok_or(BadFrame::Truncated(FRAME))
}

fn size(cursor: &mut Cursor<'_>) -> Result<usize, BadFrame> {
    usize::try_from(varint(cursor)?).map_err(|_| BadFrame::Impossible(FRAME))
}

const FRAME: &str = "COMPRESSED";

/// Its type on the wire.
pub const TYPE: u8 = 0x18;

const _: () = assert!(varint_length(BLOCK_MAX as u64) <= 4, "no size in the header is longer");

#[cfg(test)]
mod tests {
    use super::super::{Frame, Frames};
    use super::*;

    #[test]
    fn what_cannot_be_is_neither_written_nor_read() {
        let good = Compressed { start: 5, length: 1000, total: 100, at: 90, bytes: b"0123456789" };
        let mut out = Vec::new();
        Frame::Compressed(good).encode(&mut Writer::new(&mut out, 100)).expect("room");
        assert_eq!(out, b"\x18\x05\x43\xe8\x40\x64\x40\x5a\x0a0123456789");
        assert!(out.len() - good.bytes.len() <= OVERHEAD);
        assert_eq!(Frames::new(&out).next(), Some(Ok(Frame::Compressed(good))));
        for cut in 1..out.len() {
            assert_eq!(Frames::new(&out[..cut]).next(), Some(Err(BadFrame::Truncated(FRAME))));
        }
        for bad in [
            Compressed { total: 99, ..good },
            Compressed { length: 100, ..good },
            Compressed { length: BLOCK_MAX + 1, ..good },
            Compressed { start: VARINT_MAX - 999, ..good },
            Compressed { bytes: b"", ..good },
            Compressed { at: usize::MAX, ..good },
        ] {
            let mut out = Vec::new();
            assert_eq!(Frame::Compressed(bad).encode(&mut Writer::new(&mut out, 100)), Err(Full), "{bad:?}");
            assert!(out.is_empty());
        }
        // A block of nothing, and a piece of nothing.
        for bytes in [&b"\x18\x05\x00\x00\x00\x00"[..], b"\x18\x05\x02\x01\x00\x00", b"\x18\x05\x02\x02\x00\x01x"] {
            assert_eq!(Frames::new(bytes).next(), Some(Err(BadFrame::Impossible(FRAME))));
        }
    }
}
