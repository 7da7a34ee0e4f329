//! Where the paths of sources begin: here, wherever they lead; or beneath a folder whose owner gives files to others, which nothing
//! leads out of.

use super::refusal::RefusalReason;
use super::walk::{open_file, open_folder};
use crate::chunker::manifest::Target;
use crate::io::store::Store;
use rustix::fs::CWD;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

/// Where paths begin.
#[derive(Clone)]
pub(super) enum Anchor {
    /// A user's own command named them.
    Here,
    /// Somebody else named them.
    Beneath(Arc<Store>),
}

impl Anchor {
    /// The folder in which a path is looked at without following it, and what is looked at there; `None` where paths are taken as
    /// they are.
    pub(super) fn parent(&self, path: &Path) -> io::Result<Option<(OwnedFd, OsString)>> {
        let Anchor::Beneath(store) = self else { return Ok(None) };
        let name = path.file_name().unwrap_or(OsStr::new(".")).to_owned();
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Some((store.open_folder(folder)?, name)))
    }

    /// Opens a file that was found there.
    pub(super) fn open_file(&self, path: &Path, follow: bool) -> io::Result<File> {
        Ok(match self.parent(path)? {
            None => open_file(CWD, path.as_os_str(), follow)?,
            Some((folder, name)) => open_file(folder, &name, false)?,
        })
    }

    /// Opens a folder and what it is read with.
    pub(super) fn open_folder(&self, path: &Path) -> Result<OwnedFd, RefusalReason> {
        match self.parent(path)? {
            None => open_folder(CWD, path.as_os_str(), true),
            Some((folder, name)) => open_folder(folder, &name, false),
        }
    }

    /// Why a path is not given to others, if that is so.
    pub(super) fn withholds(&self, path: &Path) -> Option<RefusalReason> {
        match self {
            Anchor::Beneath(store) if !store.gives(path) => Some(RefusalReason::Hidden),
            Anchor::Beneath(_) | Anchor::Here => None,
        }
    }

    /// Whether names that a link leads to are nobody's business.
    pub(super) fn hides(&self, target: &Target) -> bool {
        matches!(self, Anchor::Beneath(store) if !target.names().all(|name| store.gives(Path::new(name))))
    }

    /// Whether somebody else named the paths.
    pub(super) fn is_beneath(&self) -> bool {
        matches!(self, Anchor::Beneath(_))
    }
}
