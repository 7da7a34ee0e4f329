//! What is done to a disk, how that is made to fail on purpose, and what is said when it failed.

use std::{
    fmt::{self, Display},
    io,
};

use rustix::io::Errno;
use thiserror::Error;

use crate::chunker::manifest::TargetError;
use crate::name::{NameError, Printable, SafeName};

/// A bad disk on purpose: asked before each operation, and what it answers counts as what the
/// operation answered.
pub trait Faults: Send + Sync {
    /// An error here is an error of `operation`, which then does not take place.
    fn before(&self, operation: Operation) -> io::Result<()>;
}

impl<F: Fn(Operation) -> io::Result<()> + Send + Sync> Faults for F {
    fn before(&self, operation: Operation) -> io::Result<()> {
        self(operation)
    }
}

/// What is done to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A folder or a file is opened or made.
    Open,
    /// A name or the free space is looked at.
    Look,
    /// Bytes are appended.
    Write,
    /// What was written so far is made durable.
    SyncData,
    /// What is noted of a file that is not complete is made durable.
    SyncJournal,
    /// The complete file is made durable.
    SyncFile,
    /// The file gets its name.
    Rename,
    /// The name is made durable.
    SyncDirectory,
    /// A temporary file is removed.
    Remove,
    /// What was written is read again, to verify it.
    Read,
    /// A folder is made.
    MakeFolder,
    /// A link is made.
    MakeLink,
    /// A file or a folder gets its permission bits and its time of change.
    Attributes,
    /// Everything that waits for the disk is made durable at once.
    SyncSystem,
}

impl Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Open => "opened",
            Operation::Look => "looked at",
            Operation::Write => "written",
            Operation::SyncData | Operation::SyncJournal | Operation::SyncFile | Operation::SyncSystem => "synced",
            Operation::Rename => "renamed",
            Operation::SyncDirectory => "synced with its folder",
            Operation::Remove => "removed",
            Operation::Read => "read again",
            Operation::MakeFolder | Operation::MakeLink => "made",
            Operation::Attributes => "given its permissions and its time",
        })
    }
}

/// Why a file cannot be received, in one sentence that is also fit for the peer: the last
/// component of its name, printable and cut, and no path of this machine.
#[derive(Debug, Error)]
#[error("{file} {cause}")]
pub struct StoreError {
    pub(super) file: String,
    pub(super) cause: Cause,
}

impl StoreError {
    /// The same failure of another file: one operation was for both.
    pub(super) fn of_another(&self, file: String) -> StoreError {
        let cause = match &self.cause {
            Cause::Full(why) => Cause::Full(why),
            Cause::Io { doing, reason } => Cause::of(*doing, copy(reason)),
            other => Cause::of(Operation::Look, io::Error::other(other.to_string())),
        };
        StoreError { file, cause }
    }

    /// What sort of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self.cause {
            Cause::TooLarge { .. }
            | Cause::Hidden
            | Cause::NoFolder
            | Cause::InTheWay
            | Cause::Outside
            | Cause::NotAFile
            | Cause::Link(_)
            | Cause::ThroughLink
            | Cause::Unsafe(_) => ErrorKind::Refused,
            Cause::Exists | Cause::Kept => ErrorKind::Exists,
            Cause::Differs => ErrorKind::Differs,
            Cause::Withdrawn { .. } | Cause::Skipped | Cause::TakenOver => ErrorKind::Withdrawn,
            Cause::NoSpace { .. } | Cause::Full(_) => ErrorKind::NoSpace,
            Cause::TooLong { .. } | Cause::TooShort { .. } | Cause::NoHole => ErrorKind::WrongSize,
            Cause::FailedBefore | Cause::Io { .. } => ErrorKind::Io,
        }
    }
}

/// The sorts of failure that callers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// This file is not taken under this name; another try will not help.
    Refused,
    /// The name is taken, and may not be replaced.
    Exists,
    /// The disk, the quota or the largest file size does not hold it.
    NoSpace,
    /// More or fewer bytes than announced.
    WrongSize,
    /// The bytes that came are not those that were sent.
    Differs,
    /// The sender could not read it to its end.
    Withdrawn,
    /// The disk failed.
    Io,
}

#[derive(Debug, Error)]
pub(super) enum Cause {
    #[error("has {size} bytes, the limit here is {max}; split it or have the limit raised")]
    TooLarge { size: u64, max: u64 },
    #[error(
        "is hidden (a name with a dot in front), which only a server with --allow-hidden takes; choose another name"
    )]
    Hidden,
    #[error("goes into a folder that does not exist here; make it first or leave it out")]
    NoFolder,
    #[error("goes into a folder whose name a file has here; choose another folder")]
    InTheWay,
    #[error("goes into a folder that leads outside; choose another folder")]
    Outside,
    #[error("is a folder, a link or a device here; choose another name")]
    NotAFile,
    #[error("exists here and is never replaced; choose another name")]
    Exists,
    #[error("exists here; --overwrite replaces it, --update if it differs")]
    Kept,
    #[error("is a link that {0}")]
    Link(TargetError),
    #[error("goes into a folder that is a link or a file here; no link is made there")]
    ThroughLink,
    #[error("cannot be taken: {0}")]
    Unsafe(NameError),
    #[error("is announced with a hole where it can have none; are the versions of both sides the same?")]
    NoHole,
    #[error("arrived with another content than it was sent with; send it again")]
    Differs,
    #[error("was not sent, although it is wanted here; send it again")]
    Skipped,
    #[error("was withdrawn by the sender: {reason}")]
    Withdrawn { reason: String },
    #[error("needs {size} bytes, {free} are left here besides a reserve of 16 MiB; free some or send less")]
    NoSpace { size: u64, free: u64 },
    #[error("stopped because {0}; free some space or send less")]
    Full(&'static str),
    #[error("brought more than its {size} bytes; send it again")]
    TooLong { size: u64 },
    #[error("brought {written} of its {size} bytes; send it again")]
    TooShort { size: u64, written: u64 },
    #[error("is taken over by another session of the same sender")]
    TakenOver,
    #[error("failed before; send it again from the start")]
    FailedBefore,
    #[error("could not be {doing} ({reason}); check the disk and the permissions there")]
    Io { doing: Operation, reason: io::Error },
}

impl Cause {
    /// Why an operation on a file failed.
    pub(super) fn of(doing: Operation, reason: io::Error) -> Cause {
        match Errno::from_io_error(&reason) {
            Some(Errno::NOSPC) => Cause::Full("the disk here is full"),
            Some(Errno::DQUOT) => Cause::Full("the disk quota here is used up"),
            Some(Errno::FBIG) => Cause::Full("no larger file is allowed here"),
            Some(Errno::EXIST) if doing == Operation::Rename => Cause::Exists,
            _ => Cause::Io { doing, reason },
        }
    }

    /// Why a folder could not be opened.
    pub(super) fn of_folder(reason: io::Error) -> Cause {
        match (reason.kind(), Errno::from_io_error(&reason)) {
            (io::ErrorKind::NotFound | io::ErrorKind::NotADirectory, _) => Cause::NoFolder,
            // cap-std's own error, and too many links, which lead nowhere.
            (io::ErrorKind::PermissionDenied, None) | (_, Some(Errno::LOOP)) => Cause::Outside,
            _ => Cause::of(Operation::Open, reason),
        }
    }
}

fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// A name for an error: its last component, printable, in quotes, and cut.
pub(super) fn shown(name: &SafeName) -> String {
    let file = name.file_name();
    match file.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("\"{}...\"", Printable(&file[..end])),
        None => format!("\"{}\"", Printable(file)),
    }
}

/// As much of a name as lets a person know it; the reason must fit behind it.
const SHOWN_CHARACTERS: usize = 40;
