//! Small files of a user's own: read only when nobody else could have read or written them, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why a file cannot be used.
#[derive(Debug, Error)]
#[error("{} {problem}", path.display())]
pub struct FileError {
    path: PathBuf,
    problem: String,
}

impl FileError {
    pub(super) fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), problem: problem.into() }
    }
}

/// Reads a file of at most `bytes_max` bytes that is ours and has none of the `forbidden` permissions; `None` if there is none. What
/// is looked at is what is read: the open file, not its name.
pub(super) fn read(path: &Path, bytes_max: u64, forbidden: u32) -> Result<Option<Zeroizing<String>>, FileError> {
    let problem = |problem: String| FileError::new(path, problem);
    // A pipe would keep us waiting for somebody who writes to it.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(problem(format!("cannot be opened: {error}"))),
    };
    let metadata = file.metadata().map_err(|error| problem(format!("cannot be looked at: {error}")))?;
    if !metadata.is_file() {
        return Err(problem("is not a file; move it away".into()));
    }
    if metadata.mode() & forbidden != 0 {
        let what = if metadata.mode() & forbidden & 0o044 != 0 { "read" } else { "change" };
        return Err(problem(format!("is not safe: others may {what} it; run: chmod 600 {}", path.display())));
    }
    let us = rustix::process::geteuid().as_raw();
    if metadata.uid() != us && metadata.uid() != 0 {
        return Err(problem(format!("is not safe: it belongs to user {}, and this is user {us}", metadata.uid())));
    }
    let mut text = Zeroizing::new(String::new());
    let read = file.take(bytes_max + 1).read_to_string(&mut text);
    read.map_err(|error| problem(format!("cannot be read: {error}")))?;
    if text.len() as u64 > bytes_max {
        return Err(problem(format!("has more than {bytes_max} bytes; it is something else")));
    }
    Ok(Some(text))
}

/// Makes a file with these bytes, for us alone, unless there is one already.
pub(super) fn create(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = write_temporary(path, bytes)?;
    // Unlike a rename, a link never replaces what is there. Where there are no links, nobody else is likely to be first.
    let linked = match fs::hard_link(&temporary, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(_) if !path.exists() => fs::rename(&temporary, path),
        result => result,
    };
    let removed = match fs::remove_file(&temporary) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    };
    linked
        .and(removed)
        .and_then(|()| sync_folder(path))
        .map_err(|error| FileError::new(path, format!("cannot be made: {error}")))
}

/// Puts a file with these bytes in the place of the one that is there.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = write_temporary(path, bytes)?;
    let renamed = fs::rename(&temporary, path).and_then(|()| sync_folder(path));
    renamed.map_err(|error| {
        // Nothing can be done about it, and the first error is the one that matters.
        drop(fs::remove_file(&temporary));
        FileError::new(path, format!("cannot be replaced: {error}"))
    })
}

/// Keeps other processes of ours from changing what is beside `path` until the lock is dropped. On file systems without locks that is
/// not so, and then the last one who writes wins.
pub(super) fn lock_folder(path: &Path) -> Result<File, FileError> {
    let problem = |error: io::Error| FileError::new(path, format!("cannot be locked: {error}"));
    let folder = OpenOptions::new().read(true).open(folder_of(path)).map_err(problem)?;
    match folder.lock() {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(folder),
        result => result.map(|()| folder).map_err(problem),
    }
}

fn write_temporary(path: &Path, bytes: &[u8]) -> Result<PathBuf, FileError> {
    let problem = |error: io::Error| FileError::new(path, format!("cannot be written: {error}"));
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| problem(io::Error::other(error.to_string())))?;
    let temporary = folder_of(path).join(format!(".homing-{}.part", hex::encode(random)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(problem)?;
    match file.write_all(bytes).and_then(|()| file.sync_all()) {
        Ok(()) => Ok(temporary),
        Err(error) => {
            drop(fs::remove_file(&temporary));
            Err(problem(error))
        }
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
