//! The file that is sent: opened, measured, and watched for changes.

use crate::chunker::{BLOCK, Chunker, Cut};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use thiserror::Error;

/// A local file, or standard input that was spooled into one.
#[derive(Debug)]
pub struct Source {
    file: File,
    /// What the reader is told; `-` for standard input.
    name: PathBuf,
    state: FileState,
}

/// What tells that a file was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    size: u64,
    modified: Option<SystemTime>,
}

/// Why a local file cannot be sent.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It cannot be opened or read.
    #[error("cannot read {}: {error}; check its name and its permissions", name.display())]
    Read {
        /// Which.
        name: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is a folder, a device, a pipe.
    #[error("{} is {kind}, not a file; {remedy}", name.display())]
    NotAFile {
        /// Which.
        name: PathBuf,
        /// What it is.
        kind: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Standard input could not be kept until its size was known.
    #[error("cannot spool standard input to a temporary file: {0}; is there room in the temporary folder (TMPDIR)?")]
    Spool(io::Error),
}

impl Source {
    /// Opens a file; `-` reads standard input to its end first, since the size goes ahead of the bytes.
    ///
    /// # Errors
    /// [`OpenError`] says what and why.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        if path == Path::new("-") {
            return Self::spool(io::stdin().lock()).map_err(OpenError::Spool);
        }
        let read = |error| OpenError::Read { name: path.to_owned(), error };
        let metadata = std::fs::metadata(path).map_err(read)?;
        let not_a_file = |kind, remedy| OpenError::NotAFile { name: path.to_owned(), kind, remedy };
        if metadata.is_dir() {
            return Err(not_a_file("a folder", "name one file, or pack the folder first (tar)"));
        }
        if !metadata.is_file() {
            return Err(not_a_file("a pipe or a device", "give - and feed it through standard input"));
        }
        #[expect(clippy::disallowed_methods, reason = "this is the room where local files are opened")]
        let mut file = File::open(path).map_err(read)?;
        let mut first = [0];
        if metadata.len() == 0 && file.read(&mut first).map_err(read)? > 0 {
            // The files of /proc say that they are empty and are not.
            return Self::spool(first.chain(file)).map_err(OpenError::Spool);
        }
        let state = FileState::of(&file.metadata().map_err(read)?);
        Ok(Self { file, name: path.to_owned(), state })
    }

    /// Copies a stream of unknown length to a temporary file that has no name and vanishes with us.
    fn spool(mut stream: impl Read) -> io::Result<Self> {
        let mut file = tempfile::tempfile()?;
        io::copy(&mut stream, &mut file)?;
        file.rewind()?;
        let state = FileState::of(&file.metadata()?);
        Ok(Self { file, name: PathBuf::from("-"), state })
    }

    /// Its size in bytes, when it was opened.
    pub fn size(&self) -> u64 {
        self.state.size
    }

    /// What the user called it.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// Something to read it from; it shares the file's position.
    ///
    /// # Errors
    /// When the system gives no descriptor.
    pub fn reader(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// SHA-256 of all of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn digest(&self) -> io::Result<[u8; 32]> {
        let mut chunker = Chunker::new(self.reader()?, self.size());
        while !chunker.is_at_end() {
            chunker.next_chunk(BLOCK, Cut::Anywhere).map_err(io::Error::other)?;
        }
        (&self.file).rewind()?;
        Ok(chunker.digest())
    }

    /// Whether size and time of change are what they were.
    ///
    /// # Errors
    /// When the file cannot be asked.
    pub fn is_unchanged(&self) -> io::Result<bool> {
        Ok(FileState::of(&self.file.metadata()?) == self.state)
    }
}

impl FileState {
    fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.len(), modified: metadata.modified().ok() }
    }
}
