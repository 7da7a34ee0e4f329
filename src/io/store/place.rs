//! Where a file will be: its folder, held open, and what there is to know before anything is made.

use std::{fs::File, io, sync::Arc};

use cap_std::fs::{Dir, Metadata};
use rustix::{
    fs::{Mode, OFlags, fstatvfs, fsync, openat},
    io::{Errno, retry_on_intr},
};

use super::{
    Store,
    error::{Cause, Operation, StoreError, shown},
};
use crate::name::SafeName;

/// A folder and a name in it. The folder stays the same one wherever it is moved.
pub(super) struct Place {
    pub(super) store: Arc<Store>,
    pub(super) folder: Arc<Dir>,
    pub(super) target: String,
    pub(super) shown: String,
}

impl Place {
    /// Opens the folder that a name points into.
    pub(super) fn find(store: &Arc<Store>, name: &SafeName) -> Result<Place, StoreError> {
        check_hidden(store, name)?;
        match open_folder(store, name.parent().unwrap_or(".")) {
            Ok(folder) => Ok(Place::within(store, Arc::new(folder), name)),
            Err(reason) => Err(StoreError { file: shown(name), cause: Cause::of_folder(reason) }),
        }
    }

    /// The place of a name whose folder is open already.
    pub(super) fn within(store: &Arc<Store>, folder: Arc<Dir>, name: &SafeName) -> Place {
        Place { store: Arc::clone(store), folder, target: name.file_name().to_owned(), shown: shown(name) }
    }

    /// Whether the policy takes a file of this size here; says how large the one is that it
    /// would replace.
    pub(super) fn check(&self, size: u64) -> Result<Option<u64>, StoreError> {
        self.check_size(size)?;
        let existing = self.existing()?;
        if self.store.policy.no_clobber && existing.is_some() {
            return Err(self.error(Cause::Exists));
        }
        Ok(existing)
    }

    /// Whether the policy takes files of this size.
    pub(super) fn check_size(&self, size: u64) -> Result<(), StoreError> {
        match self.store.policy.max_size.filter(|max| size > *max) {
            Some(max) => Err(self.error(Cause::TooLarge { size, max })),
            None => Ok(()),
        }
    }

    /// The size of the file that has the name; an error if something else has it.
    pub(super) fn existing(&self) -> Result<Option<u64>, StoreError> {
        self.found().map(|found| found.map(|found| found.len()))
    }

    /// What is known of the file that has the name; an error if something else has it.
    pub(super) fn found(&self) -> Result<Option<Metadata>, StoreError> {
        let found = self.try_to(Operation::Look, || self.folder.symlink_metadata(&self.target));
        match found {
            Ok(found) if found.is_file() => Ok(Some(found)),
            Ok(_) => Err(self.error(Cause::NotAFile)),
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(reason) => Err(self.error(Cause::of(Operation::Look, reason))),
        }
    }

    /// Whether so many bytes fit beside those that are `reserved`.
    pub(super) fn check_space(&self, size: u64, reserved: u64) -> Result<(), StoreError> {
        let disk = self.attempt(Operation::Look, || Ok(fstatvfs(&*self.folder)?))?;
        let free = match disk.f_blocks {
            // Some file systems do not count; their writes will tell.
            0 => u64::MAX,
            _ => disk.f_bavail.saturating_mul(disk.f_frsize),
        };
        let free = free.saturating_sub(RESERVE).saturating_sub(reserved);
        if size > free {
            return Err(self.error(Cause::NoSpace { size, free }));
        }
        Ok(())
    }

    /// Takes space out of what others may have, until it is written or given back.
    pub(super) fn reserve(&self, size: u64) -> Result<Reservation, StoreError> {
        self.reserve_besides(size, 0)
    }

    /// The same for bytes of which so many are `written` already.
    pub(super) fn reserve_besides(&self, size: u64, written: u64) -> Result<Reservation, StoreError> {
        // Held while the disk is looked at: bytes that are written meanwhile then count twice
        // rather than not at all.
        let mut reserved = self.store.reserved();
        self.check_space(size.saturating_sub(written), *reserved)?;
        *reserved += size;
        drop(reserved);
        Ok(Reservation { store: Arc::clone(&self.store), left: size })
    }

    /// Makes the names in the folder durable, if the policy asks for it.
    pub(super) fn sync_folder(&self) -> Result<(), StoreError> {
        if !self.store.policy.sync {
            return Ok(());
        }
        self.attempt(Operation::SyncDirectory, || {
            match retry_on_intr(|| fsync(&*self.folder)) {
                // Some file systems have nothing to sync in a folder.
                Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
                synced => Ok(synced?),
            }
        })
    }

    /// One operation, unless the faults forbid it.
    pub(super) fn try_to<T>(&self, operation: Operation, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.store.faults.before(operation)?;
        work()
    }

    /// Like [`Place::try_to`], with an error to show.
    pub(super) fn attempt<T>(
        &self,
        operation: Operation,
        work: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, StoreError> {
        self.try_to(operation, work).map_err(|reason| self.error(Cause::of(operation, reason)))
    }

    pub(super) fn error(&self, cause: Cause) -> StoreError {
        StoreError { file: self.shown.clone(), cause }
    }
}

/// What happens to a file that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replace {
    Allowed,
    Never,
}

/// Space that nobody else is promised.
pub(super) struct Reservation {
    store: Arc<Store>,
    left: u64,
}

impl Reservation {
    /// Takes more space out of what others may have; so many bytes of it are `written` already.
    pub(super) fn grow(&mut self, place: &Place, bytes: u64, written: u64) -> Result<(), StoreError> {
        let mut reserved = self.store.reserved();
        place.check_space(bytes.saturating_sub(written), *reserved)?;
        *reserved += bytes;
        self.left += bytes;
        Ok(())
    }

    /// Gives back what the disk itself now counts as taken.
    pub(super) fn release(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.left, "more was written than was reserved");
        self.left -= bytes;
        *self.store.reserved() -= bytes;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release(self.left);
    }
}

/// Whether the policy takes a name, as far as dots in front of it are concerned.
pub(super) fn check_hidden(store: &Store, name: &SafeName) -> Result<(), StoreError> {
    if !store.policy.allow_hidden && name.components().any(|component| component.starts_with('.')) {
        return Err(StoreError { file: shown(name), cause: Cause::Hidden });
    }
    Ok(())
}

/// Opens a folder beneath the root, whichever way its path takes; it can be synced.
pub(super) fn open_folder(store: &Store, path: &str) -> io::Result<Dir> {
    store.faults.before(Operation::Open)?;
    let folder = store.root.open_dir(path)?;
    // cap-std opens folders by O_PATH, and such a handle cannot be synced.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(&folder, ".", flags, Mode::empty())?;
    Ok(Dir::from_std_file(File::from(folder)))
}

/// Left free, so that a full disk does not also stop logs, journals and key files.
const RESERVE: u64 = 16 * 1024 * 1024;
