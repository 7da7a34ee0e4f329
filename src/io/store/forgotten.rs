//! Unfinished files that could be resumed, and what unfinished transfers have placed, when nobody has come back for it.

use super::error::Operation;
use super::tree::{JOURNAL_SUFFIX, PARTIAL_SUFFIX, RECEIPTS_SUFFIX};
use super::{Store, clock};
use crate::name::TEMPORARY_PREFIX;
use cap_std::fs::Dir;
use rustix::fs::{Mode, OFlags, openat};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

impl Store {
    /// Removes an unfinished file, its journal, or the receipts of a transfer, when nothing was written to it for [`KEPT`].
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

/// Whether a folder has, or may have, an unfinished file that could be resumed, or receipts of an unfinished transfer, whoever sent it. A folder too crowded to be looked
/// through may have one.
pub fn may_hold_unfinished(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    let is_one = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        name.to_str().is_some_and(|name| !name.ends_with(JOURNAL_SUFFIX) && stem(name).is_some())
    };
    (0..).zip(entries).any(|(number, entry)| number >= LOOKED_AT || entry.as_ref().is_ok_and(is_one))
}

/// What the names of such files begin with; `None` for any other.
fn stem(name: &str) -> Option<&str> {
    let stem = [PARTIAL_SUFFIX, JOURNAL_SUFFIX, RECEIPTS_SUFFIX].iter().find_map(|end| name.strip_suffix(end))?;
    let digits = stem.strip_prefix(TEMPORARY_PREFIX)?;
    let is_ours = digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_ours.then_some(stem)
}

/// Entries of a folder that are looked at.
const LOOKED_AT: u32 = 10_000;

/// For so long an unfinished file waits for its sender: over a holiday week-end, and not until the disk is full.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_to_go_on_with_is_told_from_others() {
        let root = tempfile::tempdir().expect("a folder");
        let stem = format!("{TEMPORARY_PREFIX}{}", "0f".repeat(16));
        for name in ["f.partial", ".homing-0000000000000001.part", &format!("{stem}{JOURNAL_SUFFIX}")] {
            fs::write(root.path().join(name), b"").expect("a file");
        }
        assert!(!may_hold_unfinished(root.path()) && !may_hold_unfinished(&root.path().join("missing")));
        fs::write(root.path().join(format!("{stem}{PARTIAL_SUFFIX}")), b"").expect("a file");
        assert!(may_hold_unfinished(root.path()));
    }
}
