//! A stream in order, out of pieces that come in any.

use std::collections::BTreeMap;

/// Puts pieces in order. Each byte is given to it once; the stream's flow control bounds how much can wait.
#[derive(Debug, Default)]
pub struct Ordered {
    /// Up to here everything was given out.
    next: u64,
    waiting: BTreeMap<u64, Vec<u8>>,
}

impl Ordered {
    /// These bytes came, for the first time.
    pub fn take(&mut self, offset: u64, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.waiting.insert(offset, bytes.to_vec());
        }
    }

    /// The next bytes of the stream, as far as they are there without a gap.
    pub fn poll(&mut self) -> Option<Vec<u8>> {
        let first = self.waiting.first_entry().filter(|piece| *piece.key() == self.next)?;
        let bytes = first.remove();
        self.next = self.next.saturating_add(bytes.len() as u64);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_out_in_order_and_without_gaps() {
        let mut ordered = Ordered::default();
        ordered.take(3, b"de");
        assert_eq!(ordered.poll(), None);
        ordered.take(0, b"abc");
        ordered.take(7, b"h");
        let out: Vec<u8> = std::iter::from_fn(|| ordered.poll()).flatten().collect();
        assert_eq!(out, b"abcde");
        ordered.take(5, b"fg");
        let out: Vec<u8> = std::iter::from_fn(|| ordered.poll()).flatten().collect();
        assert_eq!(out, b"fgh");
    }
}
