//! Folders beneath the root, kept open for the entries that come next; made where they are missing.

use super::super::{Store, error::Operation, place::open_folder};
use cap_std::fs::{Dir, MetadataExt as _};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// The folders that were used last.
#[derive(Default)]
pub(super) struct Folders {
    /// The latest first.
    open: VecDeque<(String, Arc<Dir>)>,
    made: Vec<Arc<Dir>>,
    /// The one that was looked for last and was not there: entries of one folder come one after the other.
    missing: Option<String>,
}

impl Folders {
    /// The folder with this path; `None` if nothing has that name yet, or one before it.
    pub(super) fn find(&mut self, store: &Store, path: &str) -> io::Result<Option<Arc<Dir>>> {
        if let Some(at) = self.open.iter().position(|(known, _)| known == path) {
            self.open.swap(0, at);
            return Ok(self.open.front().map(|(_, folder)| Arc::clone(folder)));
        }
        if self.missing.as_deref() == Some(path) {
            return Ok(None);
        }
        match open_folder(store, path) {
            Ok(folder) => Ok(Some(self.keep(path, Arc::new(folder)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.missing = Some(path.to_owned());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The folder with this path, made if it is missing, with those that it lies in.
    pub(super) fn make(&mut self, store: &Store, path: &str) -> io::Result<Arc<Dir>> {
        if let Some(folder) = self.find(store, path)? {
            return Ok(folder);
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or((ROOT, path));
        let parent = self.make(store, parent)?;
        store.faults.before(Operation::MakeFolder)?;
        match parent.create_dir(name) {
            Ok(()) => self.made.push(parent),
            // Somebody was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        Ok(self.keep(path, Arc::new(open_folder(store, path)?)))
    }

    /// The folders in which some were made since this was asked last: their names are not durable yet.
    pub(super) fn take_made_in(&mut self) -> Vec<Arc<Dir>> {
        std::mem::take(&mut self.made)
    }

    fn keep(&mut self, path: &str, folder: Arc<Dir>) -> Arc<Dir> {
        self.missing = None;
        self.open.truncate(FOLDERS_OPEN - 1);
        self.open.push_front((path.to_owned(), Arc::clone(&folder)));
        folder
    }
}

/// The file system that a folder lies on.
pub(super) fn device(folder: &Dir) -> io::Result<u64> {
    Ok(folder.dir_metadata()?.dev())
}

/// The path of the root itself.
pub(super) const ROOT: &str = ".";

/// As many as a path may have components: a walk back up finds them all.
const FOLDERS_OPEN: usize = 64;
