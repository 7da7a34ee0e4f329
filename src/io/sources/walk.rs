//! A walk through what is to be copied, in the order of the manifest, one entry at a time.
//!
//! It holds one open folder for each level that it is deep, and the names in these. A folder is opened through the one that
//! it lies in, so that nobody leads it elsewhere meanwhile. (walkdir, which is the usual choice, opens whole paths.)

mod exclusion;
mod links;

use super::anchor::Anchor;
use super::exclude::Exclude;
use super::plan::{Plan, Planned};
use super::refusal::{Refusal, RefusalReason};
use super::state::FileState;
use crate::chunker::manifest::{ENTRIES_MAX, Entry, Kind};
use crate::chunker::wanted::{Wanted, Wish};
use crate::io::store::Store;
use crate::name::SafeName;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a walk is.
pub(super) struct Walk {
    pub(super) anchor: Anchor,
    recursive: bool,
    /// Links inside a tree are copied as links.
    pub(super) links: bool,
    pub(super) exclude: Exclude,
    /// How long the name there of the source is that it is in, with its `/`.
    base: usize,
    prefix: String,
    sources: VecDeque<Planned>,
    /// Sources that were found out before the walk.
    refused: Vec<Refusal>,
    /// The folders that it is in, the innermost last.
    folders: Vec<Folder>,
    pub(super) stream: Option<String>,
}

#[derive(Debug)]
struct Folder {
    handle: OwnedFd,
    path: PathBuf,
    /// Its name at the other side, with a `/` behind it unless it is empty.
    prefix: String,
    /// What is in it and was not looked at yet, the first name last.
    names: Vec<OsString>,
}

/// What the walk came to.
#[derive(Debug)]
pub(super) enum Step {
    /// A file or a folder.
    Found { entry: Entry, path: PathBuf, follow: bool, state: FileState },
    /// Something that is not copied.
    Refused(Refusal),
}

impl Walk {
    pub(super) fn new(plan: Plan, recursive: bool) -> Self {
        let Plan { prefix, sources, stream } = plan;
        let mut walk = Self { prefix, stream, ..Self::nowhere(Anchor::Here, recursive) };
        let mut planned = Vec::new();
        for source in sources {
            match source.name {
                Some(_) => planned.push(source),
                None => walk.expand(source.path, &mut planned),
            }
        }
        walk.line_up(planned);
        walk
    }

    /// A walk to what somebody else wants of what lies beneath a folder. Nothing is looked at yet.
    pub(super) fn beneath(store: Arc<Store>, wanted: Wanted) -> Self {
        let Wanted { wishes, is_recursive, has_links, .. } = wanted;
        let mut walk = Self { links: has_links, ..Self::nowhere(Anchor::Beneath(store), is_recursive) };
        let is_alone = wishes.len() == 1;
        let mut planned = Vec::new();
        for Wish { path, name } in wishes {
            let path = PathBuf::from(path.as_ref().map_or("", SafeName::as_str));
            match name {
                None if !is_recursive => walk.refused.push(Refusal { path, reason: RefusalReason::Folder }),
                None if !is_alone => walk.refused.push(Refusal { path, reason: RefusalReason::NotAlone }),
                name => planned.push(Planned { name: name.map(|name| name.to_string()), path, is_within: false }),
            }
        }
        walk.line_up(planned);
        walk
    }

    fn nowhere(anchor: Anchor, recursive: bool) -> Self {
        let (prefix, sources, refused, folders) = (String::new(), VecDeque::new(), Vec::new(), Vec::new());
        let exclude = Exclude::default();
        Self { anchor, recursive, links: false, exclude, base: 0, prefix, sources, refused, folders, stream: None }
    }

    fn line_up(&mut self, mut planned: Vec<Planned>) {
        planned.sort_by(|one, other| one.name.cmp(&other.name));
        for source in planned {
            match self.sources.back() {
                Some(last) if last.name == source.name => {
                    let reason = RefusalReason::Twice(last.path.to_string_lossy().into_owned());
                    self.refused.push(Refusal { path: source.path, reason });
                }
                _ => self.sources.push_back(source),
            }
        }
    }

    /// Goes no further: no more entries fit.
    pub(super) fn stop(&mut self) {
        self.sources.clear();
        self.folders.clear();
        self.stream = None;
    }

    /// The next step; `None` at the end.
    pub(super) fn step(&mut self) -> Option<Step> {
        if let Some(refusal) = self.refused.pop() {
            return Some(Step::Refused(refusal));
        }
        loop {
            while let Some(folder) = self.folders.last_mut() {
                if let Some(name) = folder.names.pop() {
                    if self.passes_over(&name) {
                        continue;
                    }
                    return Some(self.look_within(&name));
                }
                self.folders.pop();
            }
            let Planned { name, path, is_within } = self.next_source()?;
            if let Some(reason) = self.anchor.withholds(&path) {
                return Some(Step::Refused(Refusal { path, reason }));
            }
            match name {
                Some(name) => return Some(self.look_at_source(path, &name, is_within)),
                None => match self.open_nameless(&path) {
                    Ok(folder) => self.folders.push(folder),
                    Err(reason) => return Some(Step::Refused(Refusal { path, reason })),
                },
            }
        }
    }

    fn look_at_source(&mut self, path: PathBuf, name: &str, is_within: bool) -> Step {
        let name = format!("{}{name}", self.prefix);
        match self.anchor.parent(&path) {
            Ok(None) if is_within => self.look(&Looked { at: Some(CWD), name: path.as_os_str() }, path.clone(), &name),
            // What was named is meant, also through a link.
            Ok(None) => self.look(&Looked { at: None, name: path.as_os_str() }, path.clone(), &name),
            Ok(Some((folder, last))) => self.look(&Looked { at: Some(folder.as_fd()), name: &last }, path, &name),
            Err(error) => Step::Refused(Refusal { path, reason: error.into() }),
        }
    }

    /// A folder whose name does not count; what is in it does.
    fn open_nameless(&self, path: &Path) -> Result<Folder, RefusalReason> {
        let handle = self.anchor.open_folder(path)?;
        let names = read_names(&handle)?;
        Ok(Folder { handle, path: path.to_owned(), prefix: String::new(), names })
    }

    /// A source without a name of its own: what is in it counts as if it had been named, but that its links are not followed.
    fn expand(&mut self, path: PathBuf, planned: &mut Vec<Planned>) {
        if !self.recursive {
            self.refused.push(Refusal { path, reason: RefusalReason::Folder });
            return;
        }
        match open_folder(CWD, path.as_os_str(), true).and_then(|handle| read_names(&handle)) {
            Ok(names) => {
                for name in names {
                    let (path, name) = (path.join(&name), name.to_string_lossy().into_owned());
                    planned.push(Planned { name: Some(name), path, is_within: true });
                }
            }
            Err(reason) => self.refused.push(Refusal { path, reason }),
        }
    }

    fn look_within(&mut self, name: &OsStr) -> Step {
        let Some(folder) = self.folders.pop() else {
            let reason = io::Error::from(io::ErrorKind::NotFound).into();
            return Step::Refused(Refusal { path: name.into(), reason });
        };
        let path = folder.path.join(name);
        let step = match name.to_str() {
            Some(_) if let Some(reason) = self.anchor.withholds(&path) => Err((path, reason)),
            Some(text) => {
                let there = format!("{}{text}", folder.prefix);
                let looked = Looked { at: Some(folder.handle.as_fd()), name };
                self.found(&looked, path, &there)
            }
            None => Err((path, RefusalReason::NotUtf8)),
        };
        self.folders.push(folder);
        self.enter(step)
    }

    fn look(&mut self, looked: &Looked<'_>, path: PathBuf, name: &str) -> Step {
        let step = match path.file_name().is_some_and(|name| name.to_str().is_none()) {
            true => Err((path, RefusalReason::NotUtf8)),
            false => self.found(looked, path, name),
        };
        self.enter(step)
    }

    fn enter(&mut self, step: Result<(Step, Option<Folder>), (PathBuf, RefusalReason)>) -> Step {
        match step {
            Ok((step, folder)) => {
                self.folders.extend(folder);
                step
            }
            Err((path, reason)) => Step::Refused(Refusal { path, reason }),
        }
    }
}

/// Something with a name in a folder, or with a path that a user gave.
struct Looked<'a> {
    at: Option<BorrowedFd<'a>>,
    name: &'a OsStr,
}

/// What was found: an entry, how it is, and what is in it if it is a folder.
type Seen = (Entry, FileState, Option<Folder>);

impl Walk {
    /// What it is, and what is in it if it is a folder.
    fn found(
        &self,
        looked: &Looked<'_>,
        path: PathBuf,
        name: &str,
    ) -> Result<(Step, Option<Folder>), (PathBuf, RefusalReason)> {
        match self.look_at(looked, &path, name) {
            Ok((entry, state, folder)) => Ok((Step::Found { entry, path, follow: looked.at.is_none(), state }, folder)),
            Err(reason) => Err((path, reason)),
        }
    }

    fn look_at(&self, looked: &Looked<'_>, path: &Path, name: &str) -> Result<Seen, RefusalReason> {
        let follow = looked.at.is_none();
        let at = looked.at.unwrap_or(CWD);
        let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        // Before it is opened: opening some devices does something.
        let found = statat(at, looked.name, flags).map_err(io::Error::from)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => {
                let safe = SafeName::parse(name)?;
                let file = open_file(at, looked.name, follow).map_err(of_open)?;
                let metadata = file.metadata()?;
                if !metadata.is_file() {
                    return Err(RefusalReason::NotAFile("something else by now"));
                }
                if metadata.len() == 0 && file.read_at(&mut [0], 0)? > 0 {
                    return Err(RefusalReason::NotEmpty);
                }
                let state = FileState::of(&file)?;
                Ok((entry(safe, Kind::File { size: state.size }, found.st_mode, &state), state, None))
            }
            FileType::Directory if !self.recursive => Err(RefusalReason::Folder),
            FileType::Directory => {
                let safe = SafeName::parse(name)?;
                let handle = open_folder(at, looked.name, follow)?;
                let state = FileState::of(&File::from(handle.try_clone()?))?;
                let names = read_names(&handle)?;
                let folder = Folder { handle, path: path.to_owned(), prefix: format!("{name}/"), names };
                Ok((entry(safe, Kind::Folder, found.st_mode, &state), state, Some(folder)))
            }
            FileType::Symlink => self.look_at_link((at, looked.name), &found, name),
            FileType::Fifo => Err(RefusalReason::NotAFile("a pipe")),
            FileType::Socket => Err(RefusalReason::NotAFile("a socket")),
            _ => Err(RefusalReason::NotAFile("a device")),
        }
    }
}

/// Opens a file to be read; a pipe that took its place meanwhile does not hold anybody up.
pub(super) fn open_file(at: impl AsFd, name: &OsStr, follow: bool) -> rustix::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let flags = if follow { flags } else { flags | OFlags::NOFOLLOW };
    openat(at, name, flags, Mode::empty()).map(File::from)
}

pub(super) fn open_folder(at: impl AsFd, name: &OsStr, follow: bool) -> Result<OwnedFd, RefusalReason> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let flags = if follow { flags } else { flags | OFlags::NOFOLLOW };
    openat(at, name, flags, Mode::empty()).map_err(of_open)
}

/// What was no link a moment ago and is one now was put there by somebody.
fn of_open(error: Errno) -> RefusalReason {
    match error {
        Errno::LOOP => RefusalReason::Link,
        error => RefusalReason::Read(error.into()),
    }
}

/// The names in a folder, the first one last. A folder with more of them than a manifest has entries is not read to its end.
fn read_names(folder: &OwnedFd) -> Result<Vec<OsString>, RefusalReason> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder).map_err(io::Error::from)? {
        let entry = entry.map_err(io::Error::from)?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if names.len() as u64 >= ENTRIES_MAX {
            return Err(RefusalReason::TooMuch(format!("it has more than {ENTRIES_MAX} entries")));
        }
        names.push(OsString::from_vec(name.to_vec()));
    }
    names.sort_unstable_by(|one: &OsString, other| other.as_bytes().cmp(one.as_bytes()));
    Ok(names)
}

fn entry(path: SafeName, kind: Kind, mode: u32, state: &FileState) -> Entry {
    Entry { path, kind, mode: mode & 0o777, modified: state.modified() }
}
