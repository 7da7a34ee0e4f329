//! A file on its way: written, hashed and synced under a temporary name, then given its own.

use std::{
    fs::{File, TryLockError},
    io::{self, Write as _},
};

use cap_std::fs::{Dir, OpenOptions};
use rustix::{
    fs::{AtFlags, RenameFlags, linkat, renameat, renameat_with},
    io::Errno,
};
use sha2::{Digest as _, Sha256};

use super::{
    error::{Cause, Operation, StoreError},
    place::{Place, Replace, Reservation},
};
use crate::name::TEMPORARY_PREFIX;

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
        let no_clobber = self.unfinished.as_ref().is_some_and(|unfinished| unfinished.place.store.policy.no_clobber);
        self.settle(if no_clobber { Replace::Never } else { Replace::Allowed })
    }

    pub(super) fn begin(place: Place, size: u64) -> Result<Incoming, StoreError> {
        let space = place.reserve(size)?;
        // Leftovers cost room and nothing else: a folder that cannot be swept can be used.
        let _ = place.store.sweep_once(&place.folder);
        Ok(Incoming {
            shown: place.shown.clone(),
            unfinished: Some(Unfinished::create(place, space)?),
            size,
            written: 0,
            unsynced: 0,
            hasher: Sha256::new(),
        })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(unfinished) = &mut self.unfinished else {
            return Err(self.failed_before());
        };
        let place = &unfinished.place;
        let length = bytes.len() as u64;
        if length > self.size - self.written {
            return Err(place.error(Cause::TooLong { size: self.size }));
        }
        place.attempt(Operation::Write, || unfinished.file.write_all(bytes))?;
        unfinished.space.release(length);
        self.hasher.update(bytes);
        self.written += length;
        self.unsynced += length;
        if place.store.policy.sync && self.unsynced >= SYNC_EVERY {
            place.attempt(Operation::SyncData, || unfinished.file.sync_data())?;
            self.unsynced = 0;
        }
        Ok(())
    }

    pub(super) fn settle(mut self, replace: Replace) -> Result<Published, StoreError> {
        let Some(mut unfinished) = self.unfinished.take() else {
            return Err(self.failed_before());
        };
        let place = &unfinished.place;
        if self.written < self.size {
            return Err(place.error(Cause::TooShort { size: self.size, written: self.written }));
        }
        if place.store.policy.sync {
            place.attempt(Operation::SyncFile, || unfinished.file.sync_all())?;
        }
        let replaced = match replace {
            Replace::Allowed => place.existing()?,
            Replace::Never => None,
        };
        unfinished.take_name(replace)?;
        unfinished.place.sync_folder()?;
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

/// A temporary file, locked as long as it is open; dropped without a name of its own, it is
/// removed.
struct Unfinished {
    place: Place,
    file: File,
    /// `None` once the file has its name.
    temporary: Option<String>,
    space: Reservation,
}

impl Unfinished {
    fn create(place: Place, space: Reservation) -> Result<Unfinished, StoreError> {
        let (file, name) = place.attempt(Operation::Open, || temporary_file(&place.folder))?;
        Ok(Unfinished { place, file, temporary: Some(name), space })
    }

    /// Puts the file under its own name, in one step.
    fn take_name(&mut self, replace: Replace) -> Result<(), StoreError> {
        let Some(temporary) = &self.temporary else {
            return Ok(());
        };
        let Place { folder, target, .. } = &self.place;
        let renamed = self.place.try_to(Operation::Rename, || {
            let renamed = match replace {
                Replace::Allowed => renameat(folder, temporary, folder, target),
                Replace::Never => {
                    let flags = RenameFlags::NOREPLACE;
                    renameat_with(folder, temporary, folder, target, flags)
                }
            };
            renamed.map_err(io::Error::from)
        });
        match renamed {
            // A link never replaces either; the temporary name goes when this is dropped.
            Err(error) if replace == Replace::Never && is_unsupported(&error) => self
                .place
                .attempt(Operation::Rename, || Ok(linkat(folder, temporary, folder, target, AtFlags::empty())?)),
            Err(error) => Err(self.place.error(Cause::of(Operation::Rename, error))),
            Ok(()) => {
                self.temporary = None;
                Ok(())
            }
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            let folder = &self.place.folder;
            // What stays is swept by the next server.
            let _ = self.place.try_to(Operation::Remove, || folder.remove_file(&temporary));
        }
    }
}

/// Makes a file that nobody else has, and locks it. In between, the sweep of another server may
/// take it for a leftover: that one then holds the lock, or the name is gone already.
fn temporary_file(folder: &Dir) -> io::Result<(File, String)> {
    for _ in 0..TEMPORARY_TRIES {
        let name = temporary_name()?;
        let opened = folder.open_with(&name, OpenOptions::new().write(true).create_new(true));
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            opened => opened?.into_std(),
        };
        match file.try_lock() {
            Ok(()) if folder.try_exists(&name)? => return Ok((file, name)),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            // Where nothing can be locked, nothing can be swept.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                return Ok((file, name));
            }
            Err(TryLockError::Error(error)) => {
                let _ = folder.remove_file(&name);
                return Err(error);
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn temporary_name() -> io::Result<String> {
    let mut random = [0; TEMPORARY_RANDOM];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let random = hex::encode(random);
    Ok(format!("{TEMPORARY_PREFIX}{random}{TEMPORARY_SUFFIX}"))
}

/// Whether a name is one that [`temporary_name`] makes; a person's own `.homing-notes` is not.
pub(super) fn is_temporary(name: &str) -> bool {
    name.strip_prefix(TEMPORARY_PREFIX).and_then(|rest| rest.strip_suffix(TEMPORARY_SUFFIX)).is_some_and(|random| {
        random.len() == 2 * TEMPORARY_RANDOM && random.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// What file systems say that cannot rename without replacing.
fn is_unsupported(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP].contains(&errno))
}

/// Little enough that the last sync, which the peer waits for, is short.
const SYNC_EVERY: u64 = 8 * 1024 * 1024;

/// How the names of unfinished files end.
const TEMPORARY_SUFFIX: &str = ".part";

/// Random bytes in a temporary name: two never meet.
const TEMPORARY_RANDOM: usize = 8;

/// More than one only where another server sweeps at this moment.
const TEMPORARY_TRIES: usize = 8;
