//! What tells that a file is still the one that was found, with the content that it had.

use crate::chunker::manifest::Modified;
use crate::codec::Cursor;
use rustix::fs::Stat;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;

/// A file's identity, size and time of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileState {
    device: u64,
    inode: u64,
    pub(super) size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl FileState {
    /// As it is now.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
        })
    }

    /// As a link was when it was looked at.
    pub(super) fn of_link(found: &Stat) -> Self {
        Self {
            device: found.st_dev,
            inode: found.st_ino,
            size: found.st_size.try_into().unwrap_or_default(),
            seconds: found.st_mtime,
            nanoseconds: found.st_mtime_nsec.try_into().unwrap_or_default(),
        }
    }

    /// The time of change, as a manifest has it.
    pub(super) fn modified(&self) -> Modified {
        Modified::new(self.seconds, u32::try_from(self.nanoseconds).unwrap_or_default())
    }

    /// As bytes for a table.
    pub(super) fn to_bytes(self) -> [u8; STATE_LENGTH] {
        let mut bytes = [0; STATE_LENGTH];
        let numbers =
            [self.device, self.inode, self.size, self.seconds.cast_unsigned(), self.nanoseconds.cast_unsigned()];
        for (room, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            room.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// Cuts off what [`FileState::to_bytes`] made.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let mut number = || cursor.array().map(u64::from_be_bytes);
        Some(Self {
            device: number()?,
            inode: number()?,
            size: number()?,
            seconds: number()?.cast_signed(),
            nanoseconds: number()?.cast_signed(),
        })
    }
}

/// Five numbers of eight bytes.
const STATE_LENGTH: usize = 40;
