//! What this machine remembers of large files that it was sending when it was stopped: the hashes of their groups, so that the next
//! session need not read again what arrived.
//!
//! It holds for a file with the same path, device, inode, size, time of change, and time of change of its status, which nobody can set; and
//! until the machine is started anew. It is removed when a copy is complete, or was not used for a week.

use super::state::FileState;
use crate::chunker::journal::owner;
use crate::io::clock;
use crate::io::journal::{Journal, Machine, machine};
use std::env;
use std::fs::{self, DirBuilder, OpenOptions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// The folder that it is in.
#[derive(Clone, Debug)]
pub struct Memory {
    folder: PathBuf,
    machine: Machine,
}

impl Memory {
    /// In the folder `sent` of the one that was `chosen`, or in `$XDG_STATE_HOME/homing` (`~/.local/state/homing`); made if it is missing.
    /// `None` where that cannot be: nothing is remembered then, and a source that was interrupted is read again.
    pub fn open(chosen: Option<&Path>) -> Option<Self> {
        let variable = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = || variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
        let folder = match chosen {
            Some(chosen) => chosen.join("sent"),
            None => state()?.join("homing/sent"),
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).ok()?;
        let memory = Self { folder, machine: machine().ok()? };
        memory.sweep();
        Some(memory)
    }

    /// What is remembered of a file, and whether that is anything; `None` if that cannot be kept, or another program sends the same file.
    pub(super) fn of(&self, path: &Path, state: &FileState) -> Option<Remembered> {
        let absolute = std::path::absolute(path).ok()?;
        let changed = fs::metadata(path).ok()?;
        let status = [changed.ctime().to_be_bytes(), changed.ctime_nsec().to_be_bytes()];
        let identity = owner(&[absolute.as_os_str().as_bytes(), &state.to_bytes(), status.as_flattened()]);
        let stem: String =
            owner(&[absolute.as_os_str().as_bytes()]).iter().take(16).map(|b| format!("{b:02x}")).collect();
        let path = self.folder.join(stem);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).ok()?;
        file.try_lock().ok()?;
        let was_tried = file.metadata().ok()?.len() > 0;
        let (journal, was_there) = Journal::open(file, identity, self.machine).ok()?;
        let was_there = was_there && matches!(journal.get(0), Ok(Some(_)));
        Some(Remembered { path, journal, was_there, was_tried })
    }

    /// Whether a copy that is made of these parts was begun before and not completed, as is to be remembered of this one from now on; and where.
    pub fn try_again(&self, parts: &[Vec<u8>]) -> (bool, PathBuf) {
        let stem: String = owner(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
            .iter()
            .take(16)
            .map(|b| format!("{b:02x}"))
            .collect();
        let path = self.folder.join(format!("{stem}.tree"));
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let was_tried = made.is_err_and(|error| error.kind() == std::io::ErrorKind::AlreadyExists);
        (was_tried, path)
    }

    /// Removes what was not used for a week.
    fn sweep(&self) {
        let now = Duration::from_micros(clock::microseconds_since_1970());
        let is_old = |entry: &fs::DirEntry| {
            let changed = entry.metadata().and_then(|metadata| metadata.modified()).ok();
            let changed = changed.and_then(|changed| changed.duration_since(UNIX_EPOCH).ok());
            changed.is_some_and(|changed| now.saturating_sub(changed) > KEPT)
        };
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten().take(SWEPT).filter(is_old) {
            // One that stays costs room and nothing else.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// What is remembered of one file.
#[derive(Debug)]
pub(super) struct Remembered {
    pub(super) path: PathBuf,
    pub(super) journal: Journal,
    /// Groups of the file as it is now were sent before.
    pub(super) was_there: bool,
    /// Groups of it were, as it is now or as it was.
    pub(super) was_tried: bool,
}

/// As long as a receiver keeps its half.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Files that are looked at in one sweep.
const SWEPT: usize = 10_000;

/// Forgets files that were copied.
pub(super) fn forget(paths: &[PathBuf]) {
    for path in paths {
        // One that stays is swept later.
        let _ = fs::remove_file(path);
    }
}
