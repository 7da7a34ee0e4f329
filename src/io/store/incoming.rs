//! One file on its way in: appended to under a temporary name, then given its own.

use std::{fs::File, io::Write as _};

use sha2::{Digest as _, Sha256};

use super::{
    error::{Cause, Operation, StoreError},
    part::Part,
    place::{Place, Replace, Reservation},
};

/// A file on its way, under a temporary name; dropped, it is gone.
pub struct Incoming {
    /// `None` after a failure: what the disk refused once is never tried again.
    unfinished: Option<Unfinished>,
    shown: String,
    size: u64,
    written: u64,
    unsynced: u64,
    hasher: Sha256,
}

impl Incoming {
    /// Appends bytes. After an error the file is gone, and every further call fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let result = self.append(bytes);
        if result.is_err() {
            self.unfinished = None;
        }
        result
    }

    /// How many bytes were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The SHA-256 of what was written so far.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.hasher.clone().finalize().into()
    }

    /// Gives the file its name, once it is complete and on the disk. After an error the name is
    /// untouched, but for one case: where only the last sync of the folder failed, the complete
    /// file has its name and may lose it when the power fails.
    pub fn publish(self) -> Result<Published, StoreError> {
        let no_clobber =
            self.unfinished.as_ref().is_some_and(|unfinished| unfinished.part.place.store.policy.no_clobber);
        self.settle(if no_clobber { Replace::Never } else { Replace::Allowed })
    }

    pub(super) fn begin(place: Place, size: u64) -> Result<Incoming, StoreError> {
        let space = place.reserve(size)?;
        // Leftovers cost room and nothing else: a folder that cannot be swept can be used.
        let _ = place.store.sweep_once(&place.folder);
        let shown = place.shown.clone();
        let (part, file) = Part::create(place)?;
        let unfinished = Some(Unfinished { part, file, space });
        Ok(Incoming { shown, unfinished, size, written: 0, unsynced: 0, hasher: Sha256::new() })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(Unfinished { part, file, space }) = &mut self.unfinished else {
            return Err(self.failed_before());
        };
        let place = &part.place;
        let length = bytes.len() as u64;
        if length > self.size - self.written {
            return Err(place.error(Cause::TooLong { size: self.size }));
        }
        place.attempt(Operation::Write, || file.write_all(bytes))?;
        space.release(length);
        self.hasher.update(bytes);
        self.written += length;
        self.unsynced += length;
        if place.store.policy.sync && self.unsynced >= SYNC_EVERY {
            place.attempt(Operation::SyncData, || file.sync_data())?;
            self.unsynced = 0;
        }
        Ok(())
    }

    pub(super) fn settle(mut self, replace: Replace) -> Result<Published, StoreError> {
        let Some(Unfinished { mut part, file, space }) = self.unfinished.take() else {
            return Err(self.failed_before());
        };
        if self.written < self.size {
            return Err(part.place.error(Cause::TooShort { size: self.size, written: self.written }));
        }
        if part.place.store.policy.sync {
            part.place.attempt(Operation::SyncFile, || file.sync_all())?;
        }
        let replaced = match replace {
            Replace::Allowed => part.place.existing()?,
            Replace::Never => None,
        };
        part.take_name(replace)?;
        part.place.sync_folder()?;
        drop(space);
        Ok(Published { bytes: self.written, digest: self.hasher.finalize().into(), replaced })
    }

    fn failed_before(&self) -> StoreError {
        StoreError { file: self.shown.clone(), cause: Cause::FailedBefore }
    }
}

/// A file that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub digest: [u8; 32],
    /// The size of the file that it replaced.
    pub replaced: Option<u64>,
}

/// A temporary file, locked as long as it is open. First its name goes, then its lock.
struct Unfinished {
    part: Part,
    file: File,
    space: Reservation,
}

/// Little enough that the last sync, which the peer waits for, is short.
const SYNC_EVERY: u64 = 8 * 1024 * 1024;
