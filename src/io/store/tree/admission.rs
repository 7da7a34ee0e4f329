//! Whether an entry may come: its name, its size, what has the name already, and the room that is left.

use super::super::{
    Store,
    error::{Cause, StoreError, shown},
    place::{Place, check_hidden},
};
use super::folders::{Folders, ROOT};
use super::partials::Names;
use super::receipts::Receipts;
use super::roster::State;
use super::space::Space;
use crate::chunker::manifest::{Entry, Kind, Modified};
use crate::chunker::request::{Existing, Likeness};
use crate::name::SafeName;
use cap_std::fs::{Metadata, MetadataExt as _};
use std::io;
use std::sync::Arc;

/// What an admitted entry is, and the size of the file that it would replace.
pub(super) type Admitted = (State, Option<u64>);

/// What is where an entry is to be, as far as it may be there.
enum Standing {
    Nothing,
    /// A file of so many bytes that would be replaced.
    Old(u64),
    /// One that may be the same.
    Alike,
    /// The same file.
    Same,
}

/// What is to become of files that are there, and which of them this transfer has placed before.
pub(super) type Rule<'a> = (Existing, Option<&'a mut Receipts>);

/// Says whether an entry may come; `names` are those of what an earlier session may have left of it. Nothing is made for it.
pub(super) fn admit(
    store: &Arc<Store>,
    folders: &mut Folders,
    space: &mut Space,
    rule: Rule<'_>,
    entry: &Entry,
    names: Option<&Names>,
) -> Result<Admitted, StoreError> {
    check_hidden(store, &entry.path)?;
    let size = match &entry.kind {
        Kind::Folder => {
            let found = folders.find(store, entry.path.as_str()).map_err(|reason| in_the_way(&entry.path, reason))?;
            return Ok((if found.is_some() { State::Folder } else { State::NewFolder }, None));
        }
        Kind::File { size } => *size,
        Kind::Open | Kind::Link { .. } => 0,
    };
    let mut find = |path: &str| folders.find(store, path).map_err(|reason| in_the_way(&entry.path, reason));
    let parent = find(entry.path.parent().unwrap_or(ROOT))?;
    let is_new = parent.is_none();
    let folder = match parent {
        Some(folder) => folder,
        // It will be made beneath the root, and most likely on the same disk.
        None => find(ROOT)?.ok_or_else(|| in_the_way(&entry.path, io::ErrorKind::NotFound.into()))?,
    };
    let place = Place::within(store, folder, &entry.path);
    let standing = if is_new { Standing::Nothing } else { look(&place, rule, entry)? };
    let replaces = match standing {
        Standing::Same => return Ok((State::There, None)),
        Standing::Nothing => None,
        Standing::Old(old) => Some(old),
        Standing::Alike => Some(size),
    };
    place.check_size(size)?;
    if matches!(standing, Standing::Alike) {
        return Ok((State::Alike, replaces));
    }
    let written = names.map_or(0, |names| names.taken(&place.folder));
    space.promise(&place, size, written)?;
    Ok((State::Waiting, replaces))
}

/// Whether the file that has the name already, if there is one, may be replaced; its size.
pub(super) fn check_existing(place: &Place, existing: Existing) -> Result<Option<u64>, StoreError> {
    let Some(size) = place.existing()? else { return Ok(None) };
    if place.store.policy.no_clobber {
        return Err(place.error(Cause::Exists));
    }
    match existing {
        Existing::Keep => Err(place.error(Cause::Kept)),
        Existing::Replace | Existing::Update(_) => Ok(Some(size)),
    }
}

/// What is there already, before anything comes.
fn look(place: &Place, (existing, receipts): Rule<'_>, entry: &Entry) -> Result<Standing, StoreError> {
    let Some(found) = place.found()? else { return Ok(Standing::Nothing) };
    if receipts.is_some_and(|receipts| receipts.has(entry, &found)) {
        return Ok(Standing::Same);
    }
    match (existing, &entry.kind) {
        (Existing::Update(likeness), Kind::File { size }) if *size == found.len() => match likeness {
            Likeness::Time if is_same_time(entry.modified, &found) => return Ok(Standing::Same),
            Likeness::Content if *size == 0 => return Ok(Standing::Same),
            Likeness::Content => return Ok(Standing::Alike),
            Likeness::Time => {}
        },
        _ => {}
    }
    Ok(check_existing(place, existing)?.map_or(Standing::Nothing, Standing::Old))
}

/// Whether two times of change are the same, as exactly as the coarser of two file systems has them.
fn is_same_time(modified: Modified, found: &Metadata) -> bool {
    let (theirs, ours) = (i64::from(modified.nanoseconds()), found.mtime_nsec());
    let is_same = |unit| theirs / unit == ours / unit && (theirs % unit == 0 || ours % unit == 0);
    modified.seconds() == found.mtime() && UNITS.into_iter().any(is_same)
}

/// In what file systems count, in nanoseconds: those of today, NTFS, microseconds, milliseconds, whole seconds.
const UNITS: [i64; 5] = [1, 100, 1000, 1_000_000, 1_000_000_000];

/// Why a folder cannot be used or made, where missing ones would be made.
pub(super) fn in_the_way(name: &SafeName, reason: io::Error) -> StoreError {
    let cause = match reason.kind() {
        io::ErrorKind::NotADirectory => Cause::InTheWay,
        _ => Cause::of_folder(reason),
    };
    StoreError { file: shown(name), cause }
}
