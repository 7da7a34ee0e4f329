//! ACK: which packets came, as ranges from the newest down, and what the path marked on them.
//!
//! As RFC 9000, 19.3, but for the delay, which is in plain microseconds: nobody has to agree on an exponent for it.

use super::BadFrame;
use crate::codec::{Cursor, Full, VARINT_MAX, Writer, varint_length};
use std::ops::Range;
use std::time::Duration;

/// An acknowledgement, borrowed from its packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The largest packet number that came.
    pub largest: u64,
    /// How long that one waited for this.
    pub delay: Duration,
    /// The ranges of numbers that came, newest first: at least one, at most [`RANGES_MAX`], with gaps between them.
    pub ranges: Ranges<'a>,
    /// What the path marked, if the receiver can tell.
    pub ecn: Option<EcnCounts>,
}

/// How many packets came with each ECN mark, in all (RFC 9000, 19.3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EcnCounts {
    /// ECT(0).
    pub ect0: u64,
    /// ECT(1).
    pub ect1: u64,
    /// Congestion experienced.
    pub ce: u64,
}

/// Ranges of packet numbers, newest first. They were checked when the frame was read.
#[derive(Clone, Debug)]
pub struct Ranges<'a> {
    next: Option<Range<u64>>,
    left: usize,
    rest: Cursor<'a>,
}

impl Iterator for Ranges<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Self::Item> {
        let range = self.next.take()?;
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            self.next = below(range.start, &mut self.rest).ok();
        }
        Some(range)
    }
}

impl PartialEq for Ranges<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.clone().eq(other.clone())
    }
}

impl Eq for Ranges<'_> {}

impl<'a> Ack<'a> {
    /// Reads what follows the type. All ranges are checked here, so that walking them cannot fail.
    pub(super) fn decode(cursor: &mut Cursor<'a>, has_ecn: bool) -> Result<Self, BadFrame> {
        let (largest, delay) = (varint(cursor)?, Duration::from_micros(varint(cursor)?));
        let left = usize::try_from(varint(cursor)?).ok().filter(|more| *more < RANGES_MAX).ok_or(IMPOSSIBLE)?;
        let first = largest.checked_sub(varint(cursor)?).ok_or(IMPOSSIBLE)?;
        let ranges = Ranges { next: Some(first..largest + 1), left, rest: *cursor };
        let mut smallest = first;
        for _ in 0..left {
            smallest = below(smallest, cursor)?.start;
        }
        let ecn = if has_ecn {
            Some(EcnCounts { ect0: varint(cursor)?, ect1: varint(cursor)?, ce: varint(cursor)? })
        } else {
            None
        };
        Ok(Self { largest, delay, ranges, ecn })
    }

    /// Writes all of it.
    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        let count = self.ranges.clone().count();
        match write(self.delay, || self.ranges.clone(), self.ecn, writer)? {
            written if written == count => Ok(()),
            _ => Err(Full),
        }
    }
}

/// Appends an acknowledgement of `ranges` (newest first, with gaps between them), as many as fit and [`RANGES_MAX`] at most. Says
/// how many there are in it. The newest matter most: those left out were most likely acknowledged before. They are walked
/// twice, since their count stands before them.
///
/// # Errors
/// [`Full`] when not even the first fits, or there is none; nothing is written then.
pub fn write<I: Iterator<Item = Range<u64>>>(
    delay: Duration,
    ranges: impl Fn() -> I,
    ecn: Option<EcnCounts>,
    writer: &mut Writer<'_>,
) -> Result<usize, Full> {
    let delay = u64::try_from(delay.as_micros()).unwrap_or(VARINT_MAX).min(VARINT_MAX);
    let first = ranges().next().filter(|first| !first.is_empty()).ok_or(Full)?;
    let (largest, length) = (first.end - 1, first.end - 1 - first.start);
    let marks = ecn.map_or(0, |ecn| [ecn.ect0, ecn.ect1, ecn.ce].into_iter().map(varint_length).sum());
    // The count of further ranges takes two bytes from 64 on; room is kept for both.
    let fixed = 1 + varint_length(largest) + varint_length(delay) + 2 + varint_length(length) + marks;
    let mut room = writer.room().checked_sub(fixed).ok_or(Full)?;
    let mut count: usize = 1;
    for (gap, length) in steps(ranges()).take(RANGES_MAX - 1) {
        match room.checked_sub(varint_length(gap) + varint_length(length)) {
            Some(left) => room = left,
            None => break,
        }
        count += 1;
    }
    writer.all_or_none(|writer| {
        writer.byte(if ecn.is_some() { TYPE_ECN } else { TYPE })?;
        writer.varint(largest)?;
        writer.varint(delay)?;
        writer.varint(count as u64 - 1)?;
        writer.varint(length)?;
        for (gap, length) in steps(ranges()).take(count - 1) {
            writer.varint(gap)?;
            writer.varint(length)?;
        }
        for count in ecn.into_iter().flat_map(|ecn| [ecn.ect0, ecn.ect1, ecn.ce]) {
            writer.varint(count)?;
        }
        Ok(count)
    })
}

/// From each range to the next one below: the gap and the length, as they are written. Ends at ranges that are out of order.
fn steps(mut ranges: impl Iterator<Item = Range<u64>>) -> impl Iterator<Item = (u64, u64)> {
    let mut smallest = ranges.next().map(|first| first.start);
    ranges.map_while(move |range| {
        let gap = smallest?.checked_sub(range.end)?.checked_sub(1)?;
        let length = range.end.checked_sub(range.start)?.checked_sub(1)?;
        smallest = Some(range.start);
        Some((gap, length))
    })
}

/// The next range below one that begins at `smallest`.
fn below(smallest: u64, cursor: &mut Cursor<'_>) -> Result<Range<u64>, BadFrame> {
    let gap = varint(cursor)?;
    let end = smallest.checked_sub(gap).and_then(|at| at.checked_sub(1)).ok_or(IMPOSSIBLE)?;
    let length = varint(cursor)?;
    let start = end.checked_sub(length).and_then(|at| at.checked_sub(1)).ok_or(IMPOSSIBLE)?;
    Ok(start..end)
}

fn varint(cursor: &mut Cursor<'_>) -> Result<u64, BadFrame> {
    cursor.varint().ok_or(BadFrame::Truncated("ACK"))
}

const IMPOSSIBLE: BadFrame = BadFrame::Impossible("ACK");

/// The most ranges in one acknowledgement: what a receiver keeps of gaps is bounded, and so is what a sender must walk.
pub const RANGES_MAX: usize = 256;

/// The longest acknowledgement in bytes: all numbers in their longest form.
pub const ACK_MAX: usize = 1 + 8 + 8 + 2 + 8 + (RANGES_MAX - 1) * 16 + 3 * 8;

pub(super) const TYPE: u8 = 0x02;
pub(super) const TYPE_ECN: u8 = 0x03;

#[cfg(test)]
mod tests {
    use super::super::{Frame, Frames};
    use super::*;
    use proptest::prelude::*;

    fn written(ranges: &[Range<u64>], ecn: Option<EcnCounts>, room: usize) -> (Result<usize, Full>, Vec<u8>) {
        let mut out = Vec::new();
        let result = write(Duration::from_micros(7), || ranges.iter().cloned(), ecn, &mut Writer::new(&mut out, room));
        (result, out)
    }

    fn read(bytes: &[u8]) -> Result<Ack<'_>, BadFrame> {
        match Frames::new(bytes).next().expect("a frame")? {
            Frame::Ack(ack) => Ok(ack),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ranges_are_written_as_the_rfc_has_them() {
        let (count, bytes) = written(&[100..111, 90..98, 0..1], None, 100);
        assert_eq!(count, Ok(3));
        assert_eq!(bytes, [0x02, 0x40, 110, 7, 2, 10, 1, 7, 0x40, 88, 0]);
        let ack = read(&bytes).expect("an ACK");
        assert_eq!((ack.largest, ack.delay), (110, Duration::from_micros(7)));
        assert_eq!(ack.ranges.collect::<Vec<_>>(), [100..111, 90..98, 0..1]);
    }

    #[test]
    fn numbers_below_zero_and_ranges_beyond_the_bound_are_refused() {
        for (bytes, error) in [
            (&[2, 5, 0, 0, 6][..], IMPOSSIBLE),
            (&[2, 5, 0, 1, 5, 0, 0], IMPOSSIBLE),
            (&[2, 5, 0, 1, 3, 1, 0], IMPOSSIBLE),
            (&[2, 5, 0, 1, 3, 0, 1], IMPOSSIBLE),
            (&[2, 5, 0, 0x41, 0, 0], IMPOSSIBLE),
            (&[2, 5, 0, 1, 0, 0], BadFrame::Truncated("ACK")),
            (&[3, 5, 0, 0, 0, 1, 1], BadFrame::Truncated("ACK")),
        ] {
            assert_eq!(read(bytes), Err(error), "{bytes:?}");
        }
        assert!(read(&[2, 5, 0, 1, 3, 0, 0]).is_ok(), "0 and 2 to 5");
    }

    #[test]
    fn the_newest_ranges_go_first_when_there_is_little_room() {
        let all: Vec<Range<u64>> = (0..1000).rev().map(|n| n * 3..n * 3 + 1).collect();
        assert_eq!(written(&all, None, 2000).0, Ok(RANGES_MAX));
        assert_eq!(written(&all, None, 7).0, Ok(1));
        assert_eq!(written(&all, None, 9).0, Ok(2));
        assert_eq!(written(&all, None, 6), (Err(Full), vec![]));
        assert_eq!(written(&[], None, 2000).0, Err(Full));
        let touching = [5..7, 4..5];
        assert_eq!(written(&touching, None, 2000).0, Ok(1), "what is out of order is not said");
    }

    #[test]
    fn the_longest_acknowledgement_fits_its_bound() {
        let far: Vec<Range<u64>> = (1..=300).rev().map(|n: u64| (n << 53) - (1 << 31)..n << 53).collect();
        let ecn = EcnCounts { ect0: VARINT_MAX, ect1: VARINT_MAX, ce: VARINT_MAX };
        let (count, bytes) = written(&far, Some(ecn), ACK_MAX);
        assert_eq!(count, Ok(RANGES_MAX));
        assert!(bytes.len() <= ACK_MAX);
        assert_eq!(read(&bytes).expect("an ACK").ranges.count(), RANGES_MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn what_is_written_is_read_again(
            steps in prop::collection::vec((2_u64..1 << 40, 0_u64..1 << 40), 1..300),
            ecn in any::<Option<(u32, u32, u32)>>(),
            room in 0..6000_usize,
        ) {
            let mut top = VARINT_MAX;
            let ranges: Vec<Range<u64>> = steps.iter().map(|(gap, length)| {
                let range = top - length..top + 1;
                top = top - length - gap;
                range
            }).collect();
            let ecn = ecn.map(|(a, b, c)| EcnCounts { ect0: a.into(), ect1: b.into(), ce: c.into() });
            let (count, bytes) = written(&ranges, ecn, room);
            prop_assert!(bytes.len() <= room);
            if let Ok(count) = count {
                let ack = read(&bytes).expect("an ACK");
                prop_assert_eq!(&ack.ranges.collect::<Vec<_>>(), &ranges[..count]);
                prop_assert_eq!(ack.ecn, ecn);
            }
        }
    }
}
