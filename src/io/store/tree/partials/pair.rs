//! The two files that an unfinished one consists of: what it has of its bytes, and the journal of its groups.

use crate::chunker::journal::{Owner, owner};
use crate::io::journal::Journal;
use crate::io::store::error::Operation;
use crate::io::store::place::Place;
use crate::io::store::tree::resuming::Peer;
use crate::name::{SafeName, TEMPORARY_PREFIX};
use cap_std::fs::{Dir, MetadataExt as _};
use rustix::fs::{AtFlags, Mode, OFlags, fstat, openat, statat};
use std::fs::{File, TryLockError};
use std::io;

/// What the two files of a partial one are called.
#[derive(Clone)]
pub(in crate::io::store::tree) struct Names {
    pub(super) owner: Owner,
    pub(in crate::io::store::tree) part: String,
    pub(super) journal: String,
}

impl Names {
    pub(in crate::io::store::tree) fn of(peer: &Peer, path: &SafeName) -> Self {
        let owner = owner(&[&peer.key, path.as_str().as_bytes()]);
        let stem: String = owner.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let name = |ending| format!("{TEMPORARY_PREFIX}{stem}{ending}");
        Self { owner, part: name(PARTIAL_SUFFIX), journal: name(JOURNAL_SUFFIX) }
    }

    /// How much of the disk an earlier session's part takes already.
    pub(in crate::io::store::tree) fn taken(&self, folder: &Dir) -> u64 {
        let metadata = folder.symlink_metadata(&self.part);
        metadata.map_or(0, |metadata| metadata.blocks().saturating_mul(512).min(metadata.len()))
    }

    /// Removes both; they may be missing.
    pub(in crate::io::store::tree) fn remove(&self, place: &Place) {
        for name in [&self.journal, &self.part] {
            // What stays is swept when it is old.
            let _ = place.try_to(Operation::Remove, || place.folder.remove_file(name));
        }
    }
}

/// Both, open.
pub(super) struct Open {
    pub(super) file: File,
    /// Locked, so that no other server takes either.
    pub(super) journal: Journal,
}

/// Opens a file and its journal; `None` if they are not there and may not begin, or another server has them.
pub(super) fn open_both(place: &Place, names: &Names, may_begin: bool) -> io::Result<Option<Open>> {
    let open = |name: &str| -> io::Result<Option<File>> {
        let create = if may_begin { OFlags::CREATE } else { OFlags::empty() };
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | create;
        match openat(&*place.folder, name, flags, Mode::RUSR | Mode::WUSR).map(File::from) {
            Err(rustix::io::Errno::NOENT) => Ok(None),
            opened => Ok(Some(opened?)),
        }
    };
    let Some(journal) = open(&names.journal)? else { return Ok(None) };
    match journal.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
        _ => {}
    }
    // Only now is it known that nobody gives them another name any more; who had them may have done so before the lock was ours.
    let named = statat(&*place.folder, &names.journal, AtFlags::SYMLINK_NOFOLLOW).map(|named| named.st_ino);
    if named != Ok(fstat(&journal)?.st_ino) {
        return Ok(None);
    }
    let Some(file) = open(&names.part)? else { return Ok(None) };
    if !journal.metadata()?.is_file() || !file.metadata()?.is_file() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let is_new = journal.metadata()?.len() == 0;
    let (journal, was_there) = Journal::open(journal, names.owner, place.store.machine)?;
    if !was_there {
        file.set_len(0)?;
        // What another one said must not come back when something else is there.
        place.try_to(Operation::SyncJournal, || if is_new { Ok(()) } else { journal.sync() })?;
    }
    Ok(Some(Open { file, journal }))
}

/// How the names of such files end, and those of their journals.
pub(in crate::io::store) const PARTIAL_SUFFIX: &str = ".partial";
/// See [`PARTIAL_SUFFIX`].
pub(in crate::io::store) const JOURNAL_SUFFIX: &str = ".journal";
