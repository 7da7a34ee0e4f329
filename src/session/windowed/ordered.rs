//! A stream in order, out of pieces that come in any.

use crate::ranges::RangeSet;
use std::collections::VecDeque;

/// Puts pieces in order. Each byte is given to it once; the stream's flow control bounds how much can wait, and it takes no more
/// memory than that, in however small pieces it comes.
#[derive(Debug, Default)]
pub struct Ordered {
    /// Up to here everything was given out.
    next: u64,
    /// What is there from `next` on; zeros stand for what is missing.
    waiting: VecDeque<u8>,
    came: RangeSet,
}

impl Ordered {
    /// These bytes came, for the first time.
    pub fn take(&mut self, offset: u64, bytes: &[u8]) {
        let Some(at) = offset.checked_sub(self.next).and_then(|at| usize::try_from(at).ok()) else { return };
        let end = at.saturating_add(bytes.len());
        if end > self.waiting.len() {
            self.waiting.resize(end, 0);
        }
        self.waiting.iter_mut().skip(at).zip(bytes).for_each(|(place, byte)| *place = *byte);
        self.came.insert(offset..offset.saturating_add(bytes.len() as u64));
    }

    /// The next bytes of the stream, as far as they are there without a gap; not too many at once.
    pub fn poll(&mut self) -> Option<Vec<u8>> {
        let there = self.came.first_gap(self.next).saturating_sub(self.next);
        let length = usize::try_from(there).unwrap_or(usize::MAX).min(PIECE_MAX).min(self.waiting.len());
        if length == 0 {
            return None;
        }
        let bytes: Vec<u8> = self.waiting.drain(..length).collect();
        let end = self.next.saturating_add(length as u64);
        self.came.remove(self.next..end);
        self.next = end;
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some(bytes)
    }
}

/// The longest piece that is given out, in bytes.
const PIECE_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(ordered: &mut Ordered) -> Vec<u8> {
        std::iter::from_fn(|| ordered.poll()).flatten().collect()
    }

    #[test]
    fn pieces_come_out_in_order_and_without_gaps() {
        let mut ordered = Ordered::default();
        ordered.take(3, b"de");
        assert_eq!(ordered.poll(), None);
        ordered.take(0, b"abc");
        ordered.take(7, b"h");
        assert_eq!(all(&mut ordered), b"abcde");
        ordered.take(5, b"fg");
        assert_eq!(all(&mut ordered), b"fgh");
    }

    #[test]
    fn tiny_pieces_take_no_more_memory_than_their_bytes() {
        let mut ordered = Ordered::default();
        for at in (1..100_000).rev() {
            ordered.take(at, &[at as u8]);
        }
        assert!(ordered.waiting.capacity() <= 200_000 && ordered.came.ranges() == 1);
        ordered.take(0, &[0]);
        assert!(all(&mut ordered).into_iter().eq((0..100_000).map(|at| at as u8)));
        assert_eq!(ordered.waiting.capacity(), 0);
    }
}
