//! Groups that are zeros: nothing is written for them, and what was there before goes.

use super::Partials;
use super::pair::Open;
use crate::chunker::groups::{GroupHasher, ZEROS, bytes_of};
use crate::io::store::error::{Operation, StoreError};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

impl Partials {
    /// Makes a hole of these groups, of which no bytes came.
    pub(in crate::io::store::tree) fn make_hole(&mut self, entry: u32, groups: Range<u64>) -> Result<(), StoreError> {
        self.with(entry, (), |partial, open| {
            if std::mem::take(&mut partial.is_forgetful) {
                partial.place.try_to(Operation::SyncJournal, || open.journal.sync())?;
            }
            let bytes = bytes_of(&groups, partial.size);
            dig(open, &bytes)?;
            for group in groups.clone() {
                let bytes = bytes_of(&(group..group + 1), partial.size);
                let mut hasher = GroupHasher::new(group);
                hasher.update_zeros(bytes.end - bytes.start);
                open.journal.note(group, &hasher.finish())?;
            }
            partial.there.insert(bytes);
            partial.done.insert(groups);
            Ok(())
        })
    }
}

/// Makes the file at least so long, with nothing in these bytes.
fn dig(open: &Open, bytes: &Range<u64>) -> io::Result<()> {
    let length = open.file.metadata()?.len();
    let old = bytes.start..bytes.end.min(length);
    if !old.is_empty() {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&open.file, flags, old.start, old.end - old.start) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(open, old)?,
            dug => dug?,
        }
    }
    if length < bytes.end { open.file.set_len(bytes.end) } else { Ok(()) }
}

/// Zeros, where the file system knows no holes.
fn fill(open: &Open, mut bytes: Range<u64>) -> io::Result<()> {
    while !bytes.is_empty() {
        let piece = usize::try_from(bytes.end - bytes.start).unwrap_or(usize::MAX).min(ZEROS.len());
        open.file.write_all_at(ZEROS.get(..piece).unwrap_or_default(), bytes.start)?;
        bytes.start += piece as u64;
    }
    Ok(())
}
