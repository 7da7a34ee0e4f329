//! A file cut into chunks and hashed as it flows, and chunks gathered into blocks again.

pub mod answers;
pub mod digests;
pub mod groups;
pub mod journal;
pub mod layout;
pub mod manifest;
mod records;
pub mod request;
pub mod wanted;

use crate::codec;
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use thiserror::Error;

/// Where a chunk may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Anywhere: our own servers split a message at its first separators only.
    Anywhere,
    /// Inside every ` | `, so that no chunk holds one: known course servers cut chunks there, or die.
    InsideSeparators,
}

/// Cuts a source into chunks in one pass; memory does not grow with the source.
pub struct Chunker<R> {
    source: R,
    size: u64,
    taken: u64,
    buffer: Vec<u8>,
    at: usize,
    hasher: Sha256,
}

/// Why the source did not yield what it announced.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The source ended early.
    #[error("it ended after {found} of {announced} bytes: it was shortened while it was read")]
    Shrunk {
        /// Bytes that could be read.
        found: u64,
        /// Bytes that the size promised.
        announced: u64,
    },
    /// There is more than the size promised.
    #[error("it holds more than the {announced} bytes it had at the start: it grew while it was read")]
    Grown {
        /// Bytes that the size promised.
        announced: u64,
    },
    /// The source could not be read.
    #[error("it could not be read: {0}")]
    Read(#[from] io::Error),
}

impl<R: Read> Chunker<R> {
    /// Cuts `source`, which must hold exactly `size` bytes.
    pub fn new(source: R, size: u64) -> Self {
        Self { source, size, taken: 0, buffer: Vec::new(), at: 0, hasher: Sha256::new() }
    }

    /// The next chunk of at most `max` bytes; empty only at the end.
    ///
    /// # Errors
    /// [`SourceError`] when the source changed or cannot be read.
    pub fn next_chunk(&mut self, max: usize, cut: Cut) -> Result<Vec<u8>, SourceError> {
        self.fill(max)?;
        let ready = self.buffer.get(self.at..).unwrap_or_default();
        let mut chunk = ready.get(..max).unwrap_or(ready);
        if cut == Cut::InsideSeparators
            && let Some(at) = codec::find(chunk, b" | ")
        {
            chunk = chunk.get(..at + 2).unwrap_or(chunk);
        }
        let chunk = chunk.to_vec();
        self.hasher.update(&chunk);
        self.at += chunk.len();
        self.taken += chunk.len() as u64;
        if self.taken == self.size {
            self.expect_end()?;
        }
        Ok(chunk)
    }

    /// Whether all of the source has been cut.
    pub fn is_at_end(&self) -> bool {
        self.taken == self.size
    }

    /// SHA-256 of all chunks so far.
    pub fn digest(&self) -> [u8; 32] {
        self.hasher.clone().finalize().into()
    }

    /// Makes sure that `max` bytes are buffered, or all that are left. A short read is not the end; only zero is.
    fn fill(&mut self, max: usize) -> Result<(), SourceError> {
        let ready = self.buffer.len() - self.at;
        let left = self.size - self.taken;
        if ready >= max || ready as u64 >= left {
            return Ok(());
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let target = usize::try_from(left).unwrap_or(usize::MAX).min(max.max(BLOCK));
        let wanted = (target - ready) as u64;
        let read = (&mut self.source).take(wanted).read_to_end(&mut self.buffer)?;
        if (read as u64) < wanted {
            let found = self.taken + self.buffer.len() as u64;
            return Err(SourceError::Shrunk { found, announced: self.size });
        }
        Ok(())
    }

    fn expect_end(&mut self) -> Result<(), SourceError> {
        let mut beyond = [0];
        loop {
            match self.source.read(&mut beyond) {
                Ok(0) => return Ok(()),
                Ok(_) => return Err(SourceError::Grown { announced: self.size }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Gathers chunks into blocks, so that the disk is bothered once a block and not once a chunk.
#[derive(Debug, Default)]
pub struct Gatherer {
    block: Vec<u8>,
}

impl Gatherer {
    /// Takes a chunk; gives a block when one is full.
    pub fn push(&mut self, chunk: &[u8]) -> Option<Vec<u8>> {
        self.block.extend_from_slice(chunk);
        (self.block.len() >= BLOCK).then(|| self.take())
    }

    /// Gives what is left, also nothing.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.block)
    }
}

/// How much is read, and handed to the disk, at a time: large enough that system calls and thread changes do not count,
/// small enough that a thousand sessions fit in memory.
pub const BLOCK: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads one byte at a time, and is interrupted before each.
    struct Trickle<'a>(&'a [u8], bool);

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let length = self.0.len().min(out.len()).min(1);
            self.0.read(&mut out[..length])
        }
    }

    fn chunks(bytes: &[u8], max: usize, cut: Cut) -> Vec<Vec<u8>> {
        let mut chunker = Chunker::new(Trickle(bytes, false), bytes.len() as u64);
        let mut chunks = Vec::new();
        loop {
            let chunk = chunker.next_chunk(max, cut).unwrap();
            if chunk.is_empty() {
                assert_eq!(chunker.digest(), <[u8; 32]>::from(Sha256::digest(bytes)));
                return chunks;
            }
            chunks.push(chunk);
        }
    }

    #[test]
    fn chunks_are_full_but_for_the_last_whatever_the_source_reads() {
        assert_eq!(chunks(b"abcdefg", 3, Cut::Anywhere), [&b"abc"[..], b"def", b"g"]);
        assert_eq!(chunks(b"", 3, Cut::Anywhere), Vec::<Vec<u8>>::new());
        let large = vec![7; BLOCK * 2 + 5];
        assert_eq!(chunks(&large, 1379, Cut::Anywhere).concat(), large);
    }

    #[test]
    fn no_chunk_holds_a_separator_when_asked() {
        let text = b" | a |  | | b | | |";
        let chunks = chunks(text, 6, Cut::InsideSeparators);
        assert_eq!(chunks.concat(), text);
        assert!(chunks.iter().all(|chunk| codec::find(chunk, b" | ").is_none()), "{chunks:?}");
    }

    #[test]
    fn a_source_that_changes_is_an_error() {
        let shrunk = Chunker::new(&b"abc"[..], 4).next_chunk(10, Cut::Anywhere);
        assert!(matches!(shrunk, Err(SourceError::Shrunk { found: 3, announced: 4 })));
        let grown = Chunker::new(&b"abcde"[..], 4).next_chunk(10, Cut::Anywhere);
        assert!(matches!(grown, Err(SourceError::Grown { announced: 4 })));
    }

    #[test]
    fn gathered_chunks_come_out_as_blocks() {
        let mut gatherer = Gatherer::default();
        let chunk = vec![1; BLOCK - 1];
        assert_eq!(gatherer.push(&chunk), None);
        assert_eq!(gatherer.push(&[2, 3]).map(|block| block.len()), Some(BLOCK + 1));
        assert!(gatherer.take().is_empty());
    }
}
