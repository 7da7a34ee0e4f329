//! One lock for all unfinished files of a transfer, since a million of them cannot be open.

use super::super::{
    Store,
    error::{Cause, Operation, StoreError},
    part::{GUARD, Part, locked_file, random_number, temporary_name, temporary_number},
    place::{Place, open_folder},
};
use rustix::fs::Mode;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

/// A locked file in the root, as long as the transfer lives. While it is locked, no server sweeps an unfinished file whose
/// number begins like its own; it does not protect those beneath a root of which this server's root is only a part.
pub(super) struct Guard {
    /// What the numbers of all files of the transfer begin with.
    transfer: u64,
    /// The permission bits that the umask, or the folder's access list, leaves to new files and folders.
    pub(super) allowed: u32,
    /// The file system of the root.
    pub(super) device: u64,
    /// The root, to be synced.
    pub(super) root: Place,
    /// Unlocked after the name is gone.
    _part: Part,
    _locked: File,
}

impl Guard {
    pub(super) fn set(store: &Arc<Store>) -> Result<Guard, StoreError> {
        let file = "the receiving folder".to_owned();
        let folder = open_folder(store, ".").map_err(|reason| StoreError { file, cause: Cause::of_folder(reason) })?;
        let folder = Arc::new(folder);
        // Leftovers cost room and nothing else.
        let _ = store.sweep_once(&folder);
        let root = |target| {
            let shown = "the receiving folder".to_owned();
            Place { store: Arc::clone(store), folder: Arc::clone(&folder), target, shown }
        };
        let place = root(String::new());
        let number = || random_number().map(|number| temporary_name(number | GUARD));
        let made = place.attempt(Operation::Open, || {
            let (locked, name) = locked_file(&folder, number, Mode::from_raw_mode(0o777))?;
            let metadata = locked.metadata()?;
            Ok((locked, name, metadata))
        });
        let (locked, name, metadata) = made?;
        let transfer = temporary_number(&name).unwrap_or_default() & !GUARD;
        let part = Part::adopt(place, name);
        let (allowed, device) = (metadata.mode() & 0o777, metadata.dev());
        Ok(Guard { transfer, allowed, device, root: root(String::new()), _part: part, _locked: locked })
    }

    /// The temporary name of an entry's file.
    pub(super) fn name_of(&self, entry: u32) -> String {
        temporary_name(self.transfer | u64::from(entry))
    }
}
