//! Standard input, kept in a file without a name, so that what was lost on its way can be read again, also by another session.

use super::state::FileState;
use crate::chunker::manifest::Modified;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A stream of unknown length, read once and kept.
pub(super) struct Stream {
    input: Mutex<Box<dyn Read + Send>>,
    kept: File,
    length: AtomicU64,
}

impl Stream {
    pub(super) fn new(input: Box<dyn Read + Send>) -> io::Result<Self> {
        Ok(Self { input: Mutex::new(input), kept: tempfile::tempfile()?, length: AtomicU64::new(0) })
    }

    /// When it began to be kept.
    pub(super) fn modified(&self) -> io::Result<Modified> {
        Ok(FileState::of(&self.kept)?.modified())
    }

    /// Reads on at `offset`, where it was read to: what is kept, or, waiting for it, more, which is kept then. Gives how many bytes
    /// came, none only at its end.
    pub(super) fn pull(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut count = self.read_at(offset, out)?;
        if count > 0 {
            return Ok(count);
        }
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        // One that was stopped while it waited may have brought something meanwhile.
        count = self.read_at(offset, out)?;
        if count > 0 {
            return Ok(count);
        }
        let count = loop {
            match input.read(out) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                count => break count?,
            }
        };
        let length = self.length.load(Ordering::Relaxed);
        self.kept.write_all_at(out.get(..count).unwrap_or_default(), length)?;
        self.length.store(length.saturating_add(count as u64), Ordering::Release);
        Ok(count)
    }

    /// Reads what is kept; gives how many bytes that are.
    pub(super) fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let there = self.length.load(Ordering::Acquire).saturating_sub(offset);
        let count = usize::try_from(there).unwrap_or(usize::MAX).min(out.len());
        self.kept.read_exact_at(out.get_mut(..count).unwrap_or_default(), offset)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_session_has_read_another_reads_again_and_goes_on() {
        let stream = Stream::new(Box::new(&b"all of it"[..])).expect("a file without a name");
        let mut three = [0; 3];
        assert_eq!((stream.pull(0, &mut three).expect("bytes"), &three), (3, b"all"));
        let (mut read, mut piece) = (Vec::new(), [0; 5]);
        loop {
            let count = stream.pull(read.len() as u64, &mut piece).expect("bytes");
            if count == 0 {
                break;
            }
            read.extend_from_slice(&piece[..count]);
        }
        assert_eq!(read, b"all of it");
    }
}
