//! Standard input, kept in a file without a name, so that what was lost on its way can be read again.

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

    /// Waits for more of it, and keeps it; gives how many bytes came, none only at its end.
    pub(super) fn pull(&self, out: &mut [u8]) -> io::Result<usize> {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
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
