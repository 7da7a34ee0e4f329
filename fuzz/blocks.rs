//! Pieces of compressed blocks from somebody who says what he likes.

use homing::compression::{BLOCK_MAX, Compressor};
use homing::packet::windowed::frame::{Compressed, Frame, Frames};
use homing::ranges::RangeSet;
use homing::session::windowed::compressed::incoming::{Incoming, Progress};

/// Who puts them together, and what must hold.
pub struct Blocks {
    incoming: Incoming,
    received: RangeSet,
    /// A good block, and what it says.
    good: Vec<u8>,
    plain: Vec<u8>,
    /// Somebody has said what the good blocks do not say.
    is_spoilt: bool,
}

impl Blocks {
    pub fn new() -> Self {
        let plain: Vec<u8> = (0..GOOD).map(|at| b'a' + (at / 9 * at % 11) as u8).collect();
        let good = Compressor::new().expect("memory").compress(&plain).expect("it becomes smaller");
        Self { incoming: Incoming::default(), received: RangeSet::new(), good, plain, is_spoilt: false }
    }

    /// Frames as they come; says whether the connection goes on.
    pub fn hear(&mut self, frames: &[u8]) -> bool {
        self.is_spoilt = true;
        Frames::new(frames).all(|frame| match frame {
            Ok(Frame::Compressed(piece)) => self.take(&piece),
            Ok(_) => true,
            Err(_) => false,
        })
    }

    /// A piece of a good block, in 255ths of it.
    pub fn hear_good(&mut self, which: u8, (from, length): (u8, u8)) -> bool {
        let (good, total) = (self.good.clone(), self.good.len());
        let at = total * usize::from(from) / 255;
        let end = (at + total * usize::from(length) / 255 + 1).min(total);
        let start = u64::from(which) * GOOD as u64;
        match good.get(at..end) {
            Some(bytes) if !bytes.is_empty() => self.take(&Compressed { start, length: GOOD, total, at, bytes }),
            _ => true,
        }
    }

    /// Nothing below is wanted any more.
    pub fn pass(&mut self, which: u8) {
        self.received.insert(0..u64::from(which) * GOOD as u64);
    }

    fn take(&mut self, piece: &Compressed<'_>) -> bool {
        if self.received.covers(piece.range()) {
            return true;
        }
        match self.incoming.on_piece(piece, &self.received) {
            Ok(Progress::Waiting | Progress::Dropped) => true,
            Ok(Progress::Complete) => {
                let finished = self.incoming.finish(piece.start);
                assert!(self.is_spoilt || finished == Ok(&self.plain[..]), "a good block says what it said");
                let Ok(plain) = finished else { return false };
                assert!(plain.len() == piece.length && plain.len() <= BLOCK_MAX, "no more and no less than was said");
                self.received.insert(piece.range());
                true
            }
            Err(_) => false,
        }
    }
}

/// The length of a good block.
const GOOD: usize = 5000;
