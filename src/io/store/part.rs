//! A file under a temporary name: made so that nobody else has it, and given its own name in one step.

use std::{
    fs::{File, TryLockError},
    io,
};

use cap_std::fs::{Dir, Metadata};
use rustix::{
    fs::{AtFlags, Mode, OFlags, RenameFlags, linkat, openat, renameat, renameat_with},
    io::Errno,
};

use super::{
    error::{Cause, Operation, StoreError},
    place::{Place, Replace},
};
use crate::name::TEMPORARY_PREFIX;

/// A temporary file beside its target; dropped without a name of its own, it is removed.
pub(super) struct Part {
    pub(super) place: Place,
    /// `None` once the file has its name, or is left to somebody else.
    temporary: Option<String>,
}

impl Part {
    /// Makes a file under a random name, locked as long as it is open.
    pub(super) fn create(place: Place) -> Result<(Part, File), StoreError> {
        let (file, name) = place.attempt(Operation::Open, || locked_file(&place.folder, random_name, MODE_OF_FILES))?;
        Ok((Part { place, temporary: Some(name) }, file))
    }

    /// Makes a file under this name, not locked, that only its owner reads until it is complete.
    pub(super) fn create_as(place: Place, name: String) -> Result<(Part, File), StoreError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened =
            place.attempt(Operation::Open, || Ok(openat(&*place.folder, &name, flags, Mode::RUSR | Mode::WUSR)?))?;
        Ok((Part { place, temporary: Some(name) }, File::from(opened)))
    }

    /// One that was made under this name before.
    pub(super) fn adopt(place: Place, name: String) -> Part {
        Part { place, temporary: Some(name) }
    }

    /// Opens it again, to read and to write.
    pub(super) fn reopen(&self) -> Result<File, StoreError> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let name = self.temporary.as_deref().unwrap_or_default();
        let opened =
            self.place.attempt(Operation::Open, || Ok(openat(&*self.place.folder, name, flags, Mode::empty())?));
        opened.map(File::from)
    }

    /// Opens it again, to be synced; `None` where its permission bits keep even us from it.
    pub(super) fn reopen_to_sync(&self) -> Result<Option<File>, StoreError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let name = self.temporary.as_deref().unwrap_or_default();
        let open = || match openat(&*self.place.folder, name, flags, Mode::empty()) {
            Err(Errno::ACCESS) => Ok(None),
            opened => Ok(Some(File::from(opened?))),
        };
        self.place.attempt(Operation::Open, open)
    }

    /// What is known of it.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.place.folder.symlink_metadata(self.temporary.as_deref().unwrap_or_default())
    }

    /// Leaves it where it is, to be adopted again.
    pub(super) fn leave(mut self) {
        self.temporary = None;
    }

    /// Puts the file under its own name, in one step.
    pub(super) fn take_name(&mut self, replace: Replace) -> Result<(), StoreError> {
        let Some(temporary) = &self.temporary else {
            return Ok(());
        };
        let Place { folder, target, .. } = &self.place;
        let folder: &Dir = folder;
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

impl Drop for Part {
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
pub(super) fn locked_file(
    folder: &Dir,
    mut name: impl FnMut() -> io::Result<String>,
    mode: Mode,
) -> io::Result<(File, String)> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for _ in 0..TEMPORARY_TRIES {
        let name = name()?;
        let file = match openat(folder, &name, flags, mode) {
            Err(Errno::EXIST) => continue,
            opened => File::from(opened?),
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

/// A number that nobody guesses, for a name that nobody else has.
pub(super) fn random_number() -> io::Result<u64> {
    let mut random = [0; size_of::<u64>()];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(u64::from_be_bytes(random))
}

/// The temporary name that a number stands for.
pub(super) fn temporary_name(number: u64) -> String {
    format!("{TEMPORARY_PREFIX}{number:016x}{TEMPORARY_SUFFIX}")
}

/// The number of a temporary name; `None` for others, as a person's own `.homing-notes`.
pub(super) fn temporary_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(TEMPORARY_PREFIX)?.strip_suffix(TEMPORARY_SUFFIX)?;
    let plain = digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    u64::from_str_radix(digits, 16).ok().filter(|_| plain)
}

fn random_name() -> io::Result<String> {
    random_number().map(temporary_name)
}

/// What file systems say that cannot rename without replacing.
fn is_unsupported(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP].contains(&errno))
}

/// The bits of a temporary file's number that tell one file of a transfer from the others: enough for a million. All of them
/// set, it is the file that guards the others, see [`super::tree`].
pub(super) const GUARD: u64 = (1 << 20) - 1;

/// What files are made with, as far as the umask allows.
const MODE_OF_FILES: Mode = Mode::from_raw_mode(0o666);

/// How the names of unfinished files end.
const TEMPORARY_SUFFIX: &str = ".part";

/// More than one only where another server sweeps at this moment.
const TEMPORARY_TRIES: usize = 8;
