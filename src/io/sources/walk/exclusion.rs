//! What a walk passes over without a word, since it was asked to.

use super::Walk;
use crate::io::sources::plan::Planned;
use rustix::fs::{AtFlags, FileType, statat};
use std::ffi::OsStr;

impl Walk {
    /// The next source; what is in a folder that was named may be excluded, what was named itself is meant.
    pub(super) fn next_source(&mut self) -> Option<Planned> {
        loop {
            let source = self.sources.pop_front()?;
            let name = source.name.as_deref().unwrap_or_default();
            if source.is_within && self.exclude.has(name, || source.path.is_dir() && !source.path.is_symlink()) {
                continue;
            }
            let within = if source.is_within || source.name.is_none() { 0 } else { name.len().saturating_add(1) };
            self.base = self.prefix.len().saturating_add(within);
            return Some(source);
        }
    }

    /// Whether something in the innermost folder is excluded.
    pub(super) fn passes_over(&self, name: &OsStr) -> bool {
        let (Some(folder), Some(text)) = (self.folders.last(), name.to_str()) else { return false };
        if self.exclude.is_empty() {
            return false;
        }
        let is_folder = || {
            let found = statat(&folder.handle, name, AtFlags::SYMLINK_NOFOLLOW);
            found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory)
        };
        let there = format!("{}{text}", folder.prefix);
        self.exclude.has(there.get(self.base..).unwrap_or_default(), is_folder)
    }
}
