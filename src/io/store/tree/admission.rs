//! Whether an entry may come: its name, its size, what has the name already, and the room that is left.

use super::super::{
    Store,
    error::{Cause, Operation, StoreError, shown},
    place::{Place, check_hidden},
};
use super::folders::{Folders, ROOT};
use super::partials::Names;
use super::roster::State;
use super::space::Space;
use crate::chunker::manifest::{Entry, Kind};
use crate::chunker::request::Existing;
use crate::name::SafeName;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What an admitted entry is, and the size of the file that it would replace.
pub(super) type Admitted = (State, Option<u64>);

/// Says whether an entry may come; `names` are those of what an earlier session may have left of it. Nothing is made for it.
pub(super) fn admit(
    store: &Arc<Store>,
    folders: &mut Folders,
    space: &mut Space,
    existing: Existing,
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
    place.check_size(size)?;
    let replaces = if is_new { None } else { check_existing(&place, existing, entry)? };
    let written = names.map_or(0, |names| names.taken(&place.folder));
    space.promise(&place, size, written)?;
    Ok((State::Waiting, replaces))
}

/// Whether the file that has the name already, if there is one, may be replaced; its size.
pub(super) fn check_existing(place: &Place, existing: Existing, entry: &Entry) -> Result<Option<u64>, StoreError> {
    let Some(size) = place.existing()? else { return Ok(None) };
    if place.store.policy.no_clobber {
        return Err(place.error(Cause::Exists));
    }
    match existing {
        Existing::Keep => Err(place.error(Cause::Kept)),
        Existing::Replace => Ok(Some(size)),
        Existing::ReplaceOlder => {
            let there = place.attempt(Operation::Look, || {
                let metadata = place.folder.symlink_metadata(&place.target)?;
                Ok(metadata.modified()?.into_std())
            })?;
            if there < time_of(entry) { Ok(Some(size)) } else { Err(place.error(Cause::NotOlder)) }
        }
    }
}

pub(super) fn time_of(entry: &Entry) -> SystemTime {
    let (seconds, nanoseconds) = (entry.modified.seconds(), entry.modified.nanoseconds());
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time =
        if seconds < 0 { SystemTime::UNIX_EPOCH.checked_sub(whole) } else { SystemTime::UNIX_EPOCH.checked_add(whole) };
    let time = time.and_then(|time| time.checked_add(Duration::from_nanos(nanoseconds.into())));
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Why a folder cannot be used or made, where missing ones would be made.
pub(super) fn in_the_way(name: &SafeName, reason: io::Error) -> StoreError {
    let cause = match reason.kind() {
        io::ErrorKind::NotADirectory => Cause::InTheWay,
        _ => Cause::of_folder(reason),
    };
    StoreError { file: shown(name), cause }
}
