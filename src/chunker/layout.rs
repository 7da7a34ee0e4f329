//! Where each file lies in the one byte space of a transfer: end to end, in the order of the manifest.

use std::ops::Range;

/// The largest size of a byte space, in bytes: the offsets in it are varints (RFC 9000, section 16).
pub const SPACE_MAX: u64 = (1 << 62) - 1;

/// The files of a transfer, end to end.
///
/// It costs 8 bytes an entry, 8 MiB for the most entries that a manifest may have, and finding an entry twenty steps. A
/// spool would need less memory and a system call a packet; 8 MiB is less than the buffers of one fast transfer.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Where each entry ends. Folders and empty files end where they begin.
    ends: Vec<u64>,
    /// Nobody knows yet where the last entry ends.
    is_open: bool,
}

/// A part of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which entry, counted from 0.
    pub entry: u32,
    /// Where the part begins in the byte space.
    pub at: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// Its length in bytes, 1 at least.
    pub length: u64,
}

impl Layout {
    /// No entry yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lays an entry of `size` bytes behind the others. False, and nothing changes, if the space would become larger than
    /// [`SPACE_MAX`] or the last entry is open.
    #[must_use]
    pub fn push(&mut self, size: u64) -> bool {
        let end = self.end().checked_add(size).filter(|end| !self.is_open && *end <= SPACE_MAX);
        self.ends.extend(end);
        end.is_some()
    }

    /// Lays an entry of unknown size behind the others, the last one. False if there is one already.
    #[must_use]
    pub fn push_open(&mut self) -> bool {
        let fits = self.push(0);
        self.is_open |= fits;
        fits
    }

    /// Says how many bytes the open entry turned out to have. False, and nothing changes, if there is none or the space would
    /// become too large.
    #[must_use]
    pub fn close(&mut self, size: u64) -> bool {
        let end = self.end().checked_add(size).filter(|end| self.is_open && *end <= SPACE_MAX);
        if let (Some(end), Some(last)) = (end, self.ends.last_mut()) {
            *last = end;
            self.is_open = false;
        }
        end.is_some()
    }

    /// How many entries there are.
    pub fn entries(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// Whether the last entry has no end yet.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Where the known bytes end. What an open entry has is not counted.
    pub fn end(&self) -> u64 {
        self.ends.last().copied().unwrap_or_default()
    }

    /// Where an offset would still be in some entry: the end, or the limit where the last entry is open.
    pub fn reach(&self) -> u64 {
        if self.is_open { SPACE_MAX } else { self.end() }
    }

    /// Where an entry lies; an open one reaches as far as it may. `None` if there is no such entry.
    pub fn range(&self, entry: u32) -> Option<Range<u64>> {
        let entry = usize::try_from(entry).ok()?;
        let end = *self.ends.get(entry)?;
        let start = entry.checked_sub(1).and_then(|before| self.ends.get(before).copied()).unwrap_or_default();
        let last = entry.checked_add(1) == Some(self.ends.len());
        Some(start..if last { self.reach() } else { end })
    }

    /// Which entry has the byte at `offset`: the part of it from there to its end. `None` if no entry has it.
    pub fn locate(&self, offset: u64) -> Option<Piece> {
        // The first that ends behind the byte; those that end at it or before are over, or empty.
        let behind = self.ends.partition_point(|end| *end <= offset);
        let entry = if behind == self.ends.len() && self.is_open { behind.checked_sub(1)? } else { behind };
        let entry = u32::try_from(entry).ok()?;
        let range = self.range(entry).filter(|range| range.contains(&offset))?;
        Some(Piece { entry, at: offset, offset: offset - range.start, length: range.end - offset })
    }

    /// Cuts a range of the byte space at the borders of the entries. What no entry has is left out; empty entries have no
    /// piece.
    pub fn split(&self, range: Range<u64>) -> impl Iterator<Item = Piece> + '_ {
        let Range { mut start, end } = range;
        std::iter::from_fn(move || {
            if start >= end {
                return None;
            }
            let piece = self.locate(start)?;
            let piece = Piece { length: piece.length.min(end - start), ..piece };
            start = start.saturating_add(piece.length);
            Some(piece)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout(sizes: &[u64]) -> Layout {
        let mut layout = Layout::new();
        assert!(sizes.iter().all(|size| layout.push(*size)));
        layout
    }

    #[test]
    fn files_lie_end_to_end_and_empty_ones_take_no_room() {
        let layout = layout(&[0, 3, 0, 0, 2, 0]);
        assert_eq!((layout.entries(), layout.end()), (6, 5));
        assert_eq!(layout.range(1), Some(0..3));
        assert_eq!(layout.range(2), Some(3..3));
        assert_eq!(layout.range(5), Some(5..5));
        assert_eq!(layout.range(6), None);
        let pieces: Vec<_> =
            layout.split(1..9).map(|piece| (piece.entry, piece.at, piece.offset, piece.length)).collect();
        assert_eq!(pieces, [(1, 1, 1, 2), (4, 3, 0, 2)]);
        assert_eq!(layout.locate(5), None);
        assert_eq!(layout.split(2..2).count(), 0);
    }

    #[test]
    fn an_open_entry_reaches_as_far_as_it_may_until_it_is_closed() {
        let mut layout = layout(&[10]);
        assert!(!layout.close(1), "nothing is open");
        assert!(layout.push_open());
        assert!(!layout.push(1), "it is the last one");
        assert!(!layout.push_open());
        assert_eq!(layout.range(1), Some(10..SPACE_MAX));
        assert_eq!(layout.locate(1000).map(|piece| (piece.entry, piece.offset)), Some((1, 990)));
        assert_eq!(layout.locate(SPACE_MAX), None);
        assert!(!layout.close(SPACE_MAX - 9));
        assert!(layout.close(5));
        assert_eq!((layout.range(1), layout.locate(15), layout.is_open()), (Some(10..15), None, false));
    }

    #[test]
    fn no_space_is_larger_than_an_offset_can_tell() {
        let mut layout = layout(&[SPACE_MAX]);
        assert!(!layout.push(1));
        assert!(!layout.push(u64::MAX));
        assert!(layout.push(0));
        assert_eq!(layout.entries(), 2);
    }

    #[test]
    fn a_million_entries_cost_sixteen_megabytes_at_most() {
        let mut layout = Layout::new();
        assert!((0..1_000_000).all(|size| layout.push(size % 100)));
        assert!(layout.ends.capacity() * size_of::<u64>() <= 16 << 20);
        assert_eq!(layout.locate(layout.end() - 1).map(|piece| piece.entry), Some(999_999));
    }

    proptest! {
        #[test]
        fn pieces_tell_what_a_plain_walk_tells(
            sizes in prop::collection::vec(0_u64..6, 0..30), start in 0_u64..80, length in 0_u64..80,
        ) {
            let layout = layout(&sizes);
            let bytes = sizes.iter().enumerate().flat_map(|(entry, size)| (0..*size).map(move |offset| (entry as u32, offset)));
            let expected: Vec<_> = bytes.skip(start as usize).take(length as usize).collect();
            let told: Vec<_> = layout
                .split(start..start + length)
                .flat_map(|piece| (0..piece.length).map(move |byte| (piece.entry, piece.offset + byte)))
                .collect();
            prop_assert_eq!(told, expected);
        }
    }
}
