//! Bytes from anywhere in the byte space, out of a few open files, with an eye on whether these are still the same.

use super::catalogue::{Holder, Location, Shared, lock};
use super::state::FileState;
use crate::name::Printable;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use thiserror::Error;

/// Reads from the sources; several of them may do so at once.
pub struct Reader {
    catalogue: Shared,
    /// The file that was used last comes last.
    open: VecDeque<Open>,
}

struct Open {
    entry: u32,
    file: File,
    path: PathBuf,
    state: FileState,
}

/// Why a source does not yield what it was to yield.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("{} cannot be read: {error}", Printable(&path.to_string_lossy()))]
    Read {
        /// Which.
        path: PathBuf,
        /// Which entry of the manifest that is.
        entry: u32,
        /// Why.
        error: io::Error,
    },
    /// It is not the file any more that it was when it was found.
    #[error("{} changed while it was read; copy it again when nobody writes to it", Printable(&path.to_string_lossy()))]
    Changed {
        /// Which.
        path: PathBuf,
        /// Which entry of the manifest that is.
        entry: u32,
    },
    /// Our own table of the sources cannot be read.
    #[error("the table of the sources cannot be read: {0}")]
    Table(io::Error),
}

impl ReadError {
    /// Why, without the path: that is nobody's business elsewhere.
    pub(super) fn reason(&self) -> String {
        match self {
            ReadError::Read { error, .. } => format!("it cannot be read: {error}"),
            ReadError::Changed { .. } => "it changed while it was read".to_owned(),
            ReadError::Table(error) => format!("it cannot be found again: {error}"),
        }
    }
}

impl Reader {
    pub(super) fn new(catalogue: Shared) -> Self {
        Self { catalogue, open: VecDeque::new() }
    }

    /// Reads bytes of the byte space, across the borders of files; gives how many there are, fewer than asked for at the end
    /// of what is known.
    ///
    /// # Errors
    /// [`ReadError`] names the file that cannot be read or changed.
    pub fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<usize, ReadError> {
        let mut done = 0;
        while let Some(room) = out.get_mut(done..).filter(|room| !room.is_empty()) {
            let at = offset.saturating_add(done as u64);
            let located = lock(&self.catalogue).locate(at);
            let Some((piece, holder)) = located else { break };
            let length = usize::try_from(piece.length).unwrap_or(usize::MAX).min(room.len());
            let Some(room) = room.get_mut(..length) else { break };
            let count = match holder {
                Holder::File => self.read_file(piece.entry, piece.offset, room)?,
                Holder::Stream(stream) => stream.read_at(piece.offset, room).map_err(|error| ReadError::Read {
                    path: PathBuf::from("-"),
                    entry: piece.entry,
                    error,
                })?,
            };
            done += count;
            if count < length {
                break;
            }
        }
        Ok(done)
    }

    /// Reads a part of one file; nothing less than that.
    pub(super) fn read_file(&mut self, entry: u32, offset: u64, out: &mut [u8]) -> Result<usize, ReadError> {
        let open = self.opened(entry)?;
        let read = open.file.read_exact_at(out, offset);
        // A file that is shorter now is one that changed.
        let is_same = FileState::of(&open.file).is_ok_and(|state| state == open.state);
        let path = || open.path.clone();
        match read {
            _ if !is_same => Err(ReadError::Changed { path: path(), entry }),
            Err(error) => Err(ReadError::Read { path: path(), entry, error }),
            Ok(()) => Ok(out.len()),
        }
    }

    /// Where the hole ends that one file has at `offset`; `None` if it has none there, or nobody knows.
    pub(super) fn hole_at(&mut self, entry: u32, offset: u64) -> Option<u64> {
        let open = self.opened(entry).ok()?;
        let end = match seek(&open.file, SeekFrom::Data(offset)) {
            Ok(data) => data,
            // No data follows.
            Err(Errno::NXIO) => open.state.size,
            Err(_) => return None,
        };
        let is_same = FileState::of(&open.file).is_ok_and(|state| state == open.state);
        (is_same && end > offset).then_some(end)
    }

    fn opened(&mut self, entry: u32) -> Result<&Open, ReadError> {
        let known = self.open.iter().position(|open| open.entry == entry);
        let open = match known.and_then(|at| self.open.remove(at)) {
            Some(open) => open,
            None => {
                let location = lock(&self.catalogue).location(entry).map_err(ReadError::Table)?;
                if self.open.len() >= FILES_OPEN {
                    self.open.pop_front();
                }
                open(entry, location)?
            }
        };
        self.open.push_back(open);
        self.open.back().ok_or_else(|| ReadError::Table(io::ErrorKind::NotFound.into()))
    }
}

fn open(entry: u32, location: Location) -> Result<Open, ReadError> {
    let Location { anchor, path, follow, state } = location;
    match anchor.open_file(&path, follow).and_then(|file| FileState::of(&file).map(|now| (file, now))) {
        // Whatever has the path now, it is another file: no link and no folder in the way leads to a secret.
        Ok((_, now)) if now != state => Err(ReadError::Changed { path, entry }),
        Ok((file, _)) => Ok(Open { entry, file, path, state }),
        Err(error) => Err(ReadError::Read { path, entry, error }),
    }
}

/// Files open at once, in each reader.
const FILES_OPEN: usize = 64;
