//! Blocks of bytes made smaller, and back: one zstd frame for each, without a dictionary.
//!
//! A frame is decoded into memory of the length that was announced, which is its window as well: whatever it says of itself, it makes nobody
//! take more.

use std::str::FromStr;
use thiserror::Error;
use zstd::bulk;
use zstd::zstd_safe;

/// Whether bytes of files are compressed on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Where it pays: the path is slower than compressing, and the bytes become fewer.
    #[default]
    Auto,
    /// Wherever the bytes become fewer.
    Zstd,
    /// Never.
    No,
}

/// The longest block, in bytes before it is compressed.
pub const BLOCK_MAX: usize = 128 * 1024;

/// Compresses blocks. It keeps its tables, about a megabyte.
pub struct Compressor(bulk::Compressor<'static>);

impl Compressor {
    /// Ready for the first block; `None` if there is no memory for it.
    pub fn new() -> Option<Self> {
        bulk::Compressor::new(LEVEL).ok().map(Self)
    }

    /// The block in fewer bytes; `None` if it would be hardly fewer: a packet with compressed bytes has a longer header.
    pub fn compress(&mut self, plain: &[u8]) -> Option<Vec<u8>> {
        // It gives up as soon as there is no room.
        let mut out = Vec::with_capacity(plain.len() - plain.len().div_ceil(WORTH));
        self.0.compress_to_buffer(plain, &mut out).ok()?;
        out.shrink_to_fit();
        Some(out)
    }
}

/// Brings blocks back. It takes memory with the first one.
#[derive(Default)]
pub struct Decompressor {
    context: Option<bulk::Decompressor<'static>>,
    plain: Vec<u8>,
}

impl Decompressor {
    /// What a block says, which must be `length` bytes, [`BLOCK_MAX`] at most.
    ///
    /// # Errors
    /// [`BadBlock`] for anything but one whole frame of so many bytes.
    pub fn decompress(&mut self, bytes: &[u8], length: usize) -> Result<&[u8], BadBlock> {
        if length > BLOCK_MAX {
            return Err(BadBlock::TooLong);
        }
        match zstd_safe::find_frame_compressed_size(bytes) {
            Ok(frame) if frame < bytes.len() => return Err(BadBlock::Trailing(bytes.len() - frame)),
            Ok(_) => {}
            Err(_) => return Err(BadBlock::NoFrame),
        }
        if self.context.is_none() {
            self.context = bulk::Decompressor::new().ok();
        }
        self.plain.resize(BLOCK_MAX, 0);
        let room = self.plain.get_mut(..length).unwrap_or_default();
        let context = self.context.as_mut().ok_or(BadBlock::NoFrame)?;
        match context.decompress_to_buffer(bytes, room) {
            Ok(got) if got == length => Ok(self.plain.get(..length).unwrap_or_default()),
            Ok(got) => Err(BadBlock::Short { got, length }),
            Err(_) => Err(BadBlock::Damaged { length }),
        }
    }
}

/// Why bytes are no block. The peer made them so: a damaged packet is not genuine, and comes no further.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BadBlock {
    /// It is said to be longer than a block is.
    #[error("a compressed block says that it is longer than {BLOCK_MAX} bytes")]
    TooLong,
    /// Not even the beginning of one, or not its end.
    #[error("a compressed block is no zstd frame")]
    NoFrame,
    /// Bytes follow the frame.
    #[error("a compressed block goes on for {0} bytes behind its end")]
    Trailing(usize),
    /// It makes fewer bytes than it says.
    #[error("a compressed block makes {got} bytes instead of {length}")]
    Short {
        /// As many.
        got: usize,
        /// As it says.
        length: usize,
    },
    /// What is in the frame is damaged, or makes more bytes than it says.
    #[error("a compressed block is damaged, or makes more than its {length} bytes")]
    Damaged {
        /// As it says.
        length: usize,
    },
}

impl Compression {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Zstd => "zstd",
            Self::No => "no",
        }
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Auto, Self::Zstd, Self::No];
        all.into_iter().find(|way| way.name() == text).ok_or_else(|| "say auto, zstd or no".into())
    }
}

/// Of zstd's levels the one that is as fast as networks are: the next ones make hardly fewer bytes in twice the time.
const LEVEL: i32 = 1;

/// A block must become shorter by one of so many bytes.
const WORTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(length: usize) -> Vec<u8> {
        (0..)
            .flat_map(|line: u32| format!("line {line} of a text that says little\n").into_bytes())
            .take(length)
            .collect()
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut dice = fastrand::Rng::with_seed(1);
        std::iter::repeat_with(|| dice.u8(..)).take(length).collect()
    }

    #[test]
    fn blocks_come_back_and_noise_stays_as_it_is() {
        let (mut compressor, mut decompressor) = (Compressor::new().expect("memory"), Decompressor::default());
        for length in [100, 1000, BLOCK_MAX] {
            let plain = text(length);
            let bytes = compressor.compress(&plain).expect("it becomes shorter");
            assert!(bytes.len() < plain.len());
            assert_eq!(decompressor.decompress(&bytes, length), Ok(&plain[..]));
        }
        for length in [0, 1, 20, BLOCK_MAX] {
            assert_eq!(compressor.compress(&noise(length)), None);
        }
    }

    #[test]
    fn a_block_is_one_frame_of_the_length_that_was_said() {
        let (mut compressor, mut decompressor) = (Compressor::new().expect("memory"), Decompressor::default());
        let plain = text(10_000);
        let bytes = compressor.compress(&plain).expect("it becomes shorter");
        let mut check = |bytes: &[u8], length| decompressor.decompress(bytes, length).map(<[u8]>::len);
        assert_eq!(check(&bytes, 10_001), Err(BadBlock::Short { got: 10_000, length: 10_001 }));
        assert_eq!(check(&bytes, 9_999), Err(BadBlock::Damaged { length: 9_999 }));
        assert_eq!(check(&bytes, BLOCK_MAX + 1), Err(BadBlock::TooLong));
        assert_eq!(check(&[&bytes[..], b"more"].concat(), 10_000), Err(BadBlock::Trailing(4)));
        // Two frames are none, nor is one that is to be skipped.
        assert_eq!(check(&[&bytes[..], &bytes[..]].concat(), 20_000), Err(BadBlock::Trailing(bytes.len())));
        assert!(check(b"\x50\x2a\x4d\x18\x01\0\0\0x", 1).is_err());
        for cut in 0..bytes.len() {
            assert_eq!(check(&bytes[..cut], 10_000), Err(BadBlock::NoFrame));
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x55;
            let _ = check(&bytes, 10_000);
        }
        assert_eq!(check(&bytes, 10_000), Ok(10_000));
    }

    /// Also what is spent in vain on what cannot become smaller: after a miss 1, 3, 7, 15 and then always 31 blocks are not even tried
    /// (`io/sources/read_ahead/compressing.rs`), which is a 32nd of the last column.
    #[test]
    #[ignore = "it measures: cargo test --lib what_compressing_costs -- --ignored --nocapture"]
    #[expect(clippy::disallowed_methods, reason = "it measures")]
    fn what_compressing_costs() {
        let words: Vec<Vec<u8>> = noise(60_000).chunks(6).map(|word| hex::encode(word).into_bytes()).collect();
        let prose: Vec<u8> =
            noise(60_000).iter().flat_map(|at| words[usize::from(*at)].clone()).take(BLOCK_MAX).collect();
        let cases = [("lines", text(BLOCK_MAX)), ("words", prose), ("noise", noise(BLOCK_MAX))];
        for level in [-5, -3, -1, 1, 3] {
            for (name, plain) in &cases {
                let mut compressor = Compressor(bulk::Compressor::new(level).expect("memory"));
                let (mut best, mut length) = (f64::MAX, plain.len());
                for _ in 0..200 {
                    let began = std::time::Instant::now();
                    let bytes = compressor.compress(plain);
                    best = best.min(began.elapsed().as_secs_f64());
                    length = bytes.map_or(plain.len(), |bytes| bytes.len());
                }
                let (speed, share) = (plain.len() as f64 / best / 1e6, length as f64 * 100.0 / plain.len() as f64);
                println!("level {level:2} {name}: to {share:5.1} % at {speed:6.0} MB/s, {:.0} us a block", best * 1e6);
            }
        }
        let (plain, mut decompressor) = (text(BLOCK_MAX), Decompressor::default());
        let bytes = Compressor::new().and_then(|mut it| it.compress(&plain)).expect("shorter");
        let took = (0..200).map(|_| {
            let began = std::time::Instant::now();
            assert!(decompressor.decompress(&bytes, BLOCK_MAX).is_ok());
            began.elapsed().as_micros()
        });
        println!("back: {} us a block", took.min().unwrap_or_default());
    }

    #[test]
    fn a_bomb_takes_no_more_than_it_said() {
        // 1 GiB of zeros in 32 KiB.
        let mut bomb = Vec::with_capacity(1 << 20);
        let zeros = vec![0; 1 << 30];
        bulk::Compressor::new(LEVEL).and_then(|mut big| big.compress_to_buffer(&zeros, &mut bomb)).expect("room");
        drop(zeros);
        let mut decompressor = Decompressor::default();
        let length = BLOCK_MAX;
        assert_eq!(decompressor.decompress(&bomb, length), Err(BadBlock::Damaged { length }));
        assert_eq!(decompressor.plain.capacity(), BLOCK_MAX);
    }
}
