//! What is given to others of what lies beneath the folder: nothing leads out of it, and nothing hidden is shown.

use super::{Store, place};
use rustix::fs::{Mode, OFlags, openat};
use sha2::{Digest as _, Sha256};
use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
    path::Path,
};

impl Store {
    /// Opens a folder beneath the root, to look at what is in it. Links in its path are followed as long as they stay beneath.
    ///
    /// # Errors
    /// When it is not there, or is elsewhere.
    pub fn open_folder(&self, path: &Path) -> io::Result<OwnedFd> {
        let path = path.to_str().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(place::open_folder(self, path)?.into_std_file().into())
    }

    /// SHA-256 of a file beneath the root.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn sha256(&self, path: &Path) -> io::Result<[u8; 32]> {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let name = path.file_name().unwrap_or(OsStr::new("."));
        let mut file = File::from(openat(self.open_folder(folder)?, name, flags, Mode::empty())?);
        let (mut sha256, mut piece) = (Sha256::new(), vec![0; PIECE]);
        loop {
            let count = file.read(&mut piece)?;
            if count == 0 {
                return Ok(sha256.finalize().into());
            }
            sha256.update(piece.get(..count).unwrap_or_default());
        }
    }

    /// Whether a path beneath the root may be shown to others: names with a dot in front only where such names are taken as well,
    /// and what is not complete never.
    pub fn gives(&self, path: &Path) -> bool {
        path.iter()
            .filter_map(|component| component.to_str())
            .all(|component| (self.policy.allow_hidden || !component.starts_with('.')) && !component.starts_with(OWN))
    }
}

/// How much is read at a time, in bytes.
const PIECE: usize = 256 * 1024;

/// What the names of unfinished files begin with.
const OWN: &str = ".homing-";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::store::Policy;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn no_folder_is_opened_that_lies_elsewhere() {
        let (root, outside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        fs::create_dir_all(root.path().join("a/b")).expect("folders");
        symlink(outside.path(), root.path().join("out")).expect("a link");
        symlink("../..", root.path().join("a/up")).expect("a link");
        symlink("a/b", root.path().join("in")).expect("a link");
        let store = Store::open(root.path(), Policy::default()).expect("a store");
        for (path, opens) in
            [(".", true), ("a/b", true), ("in", true), ("out", false), ("a/up", false), ("..", false), ("/", false)]
        {
            assert_eq!(store.open_folder(Path::new(path)).is_ok(), opens, "{path}");
        }
    }

    #[test]
    fn what_is_hidden_or_unfinished_is_not_given() {
        let root = tempfile::tempdir().expect("a folder");
        for (allow_hidden, path, gives) in [
            (false, "a/b", true),
            (false, "a/.b", false),
            (false, ".ssh/id", false),
            (true, ".ssh/id", true),
            (true, "a/.homing-0000000000000001.part", false),
            (false, "a/.homing-0000000000000001.part", false),
        ] {
            let store = Store::open(root.path(), Policy { allow_hidden, ..Policy::default() }).expect("a store");
            assert_eq!(store.gives(Path::new(path)), gives, "{path}");
        }
    }
}
