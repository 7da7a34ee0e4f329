//! Unfinished files that could be resumed, and that nobody has come back for.

use super::error::Operation;
use super::tree::{JOURNAL_SUFFIX, PARTIAL_SUFFIX};
use super::{Store, clock};
use crate::name::TEMPORARY_PREFIX;
use cap_std::fs::Dir;
use rustix::fs::{Mode, OFlags, openat};
use std::fs::File;
use std::io;
use std::time::Duration;

impl Store {
    /// Removes an unfinished file, or its journal, when nothing was written to it for [`KEPT`].
    pub(super) fn sweep_old(&self, folder: &Dir, name: &str) -> io::Result<()> {
        let Some(stem) = stem(name) else { return Ok(()) };
        let metadata = folder.symlink_metadata(name)?;
        let changed = metadata.modified()?.into_std().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let now = Duration::from_micros(clock::microseconds_since_1970());
        if !metadata.is_file() || now.saturating_sub(changed) < KEPT {
            return Ok(());
        }
        // Whoever writes to one of the two holds the lock of the journal.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let journal = openat(folder, format!("{stem}{JOURNAL_SUFFIX}"), flags, Mode::empty()).map(File::from);
        if journal.is_ok_and(|journal| journal.try_lock().is_err()) {
            return Ok(());
        }
        self.faults.before(Operation::Remove)?;
        folder.remove_file(name)
    }
}

/// What the names of an unfinished file and of its journal begin with; `None` for any other.
fn stem(name: &str) -> Option<&str> {
    let stem = name.strip_suffix(PARTIAL_SUFFIX).or_else(|| name.strip_suffix(JOURNAL_SUFFIX))?;
    let digits = stem.strip_prefix(TEMPORARY_PREFIX)?;
    let is_ours = digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_ours.then_some(stem)
}

/// For so long an unfinished file waits for its sender: over a holiday week-end, and not until the disk is full.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
