//! Why a copy, or a server, came to nothing or not to all, by what a caller can do about it.

use super::Summary;
use crate::app::exit;
use std::fmt;
use std::io;
use thiserror::Error;

/// Why it failed, sorted by what can be done. Each displays as the sentence that the programs say: the thing, the reason and the remedy
/// (an option that it names, such as `--timeout`, is the setter of that name).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// What was asked for makes no sense: correct the program. Exit code 2.
    #[error("{0}")]
    Usage(Failure),
    /// Nobody answers, or not any more: try again later, or another address. Exit code 3.
    #[error("{0}")]
    NoAnswer(Failure),
    /// The server refused, all of it or some files, or cannot do what was asked. Exit code 4.
    #[error("{0}")]
    Refused(Failure),
    /// The server has another key than when it was met first: ask its owner, nothing was sent. Exit code 4.
    #[error("{0}")]
    KeyChanged(Failure),
    /// What arrived is not what was sent, and was not saved: send it again. Exit code 5.
    #[error("{0}")]
    NotVerified(Failure),
    /// A file here cannot be read, or changed while it was read; or, when it was got, cannot be saved. Exit code 6.
    #[error("{0}")]
    LocalFile(Failure),
    /// Everything was sent, but the end was not confirmed: it may be there. Exit code 7.
    #[error("{0}")]
    NotConfirmed(Failure),
    /// A [`crate::Canceller`] or a signal ended it. Exit code 130; 143 after SIGTERM.
    #[error("{0}")]
    Interrupted(Failure),
    /// The other side, or what is in between, did what it should not; or there are no keys. Exit code 1.
    #[error("{0}")]
    Broken(Failure),
    /// This machine failed: no socket, no thread, a file that was to be written besides; or the report did. Exit code 1.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// The reason, and what came to rest all the same.
#[derive(Debug)]
pub struct Failure {
    reason: String,
    code: u8,
    is_told: bool,
    summary: Option<Box<Summary>>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Failure {
    /// What was copied although not all was, if anything.
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_deref()
    }
}

impl Error {
    /// What the programs end with.
    pub fn exit_code(&self) -> u8 {
        self.failure().map_or(exit::UNEXPECTED, |failure| failure.code)
    }

    /// What was copied although not all was: `files` of it have their names, and `missing` do not, for these `reasons`. `None` where it did
    /// not come to that.
    pub fn summary(&self) -> Option<&Summary> {
        self.failure().and_then(Failure::summary)
    }

    /// Whether the report has had it as [`crate::Note::Failed`].
    pub fn is_told(&self) -> bool {
        self.failure().is_some_and(|failure| failure.is_told)
    }

    fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Usage(failure)
            | Self::NoAnswer(failure)
            | Self::Refused(failure)
            | Self::KeyChanged(failure)
            | Self::NotVerified(failure)
            | Self::LocalFile(failure)
            | Self::NotConfirmed(failure)
            | Self::Interrupted(failure)
            | Self::Broken(failure) => Some(failure),
            Self::System(_) => None,
        }
    }

    /// It makes no sense, which nobody was told yet.
    pub(crate) fn usage(reason: impl Into<String>) -> Self {
        Self::Usage(Failure { reason: reason.into(), code: exit::USAGE, is_told: false, summary: None })
    }

    /// It was cancelled before it began.
    pub(crate) fn cancelled() -> Self {
        let reason = "interrupted before it began".to_owned();
        Self::Interrupted(Failure { reason, code: exit::INTERRUPTED, is_told: false, summary: None })
    }

    /// By its exit code, for the reason that was told.
    pub(super) fn of(code: u8, reason: String, is_other_key: bool, summary: Option<Summary>) -> Self {
        let failure = Failure { reason, code, is_told: true, summary: summary.map(Box::new) };
        match code {
            exit::USAGE => Self::Usage(failure),
            exit::NO_ANSWER => Self::NoAnswer(failure),
            exit::REFUSED if is_other_key => Self::KeyChanged(failure),
            exit::REFUSED => Self::Refused(failure),
            exit::NOT_VERIFIED => Self::NotVerified(failure),
            exit::LOCAL_FILE => Self::LocalFile(failure),
            exit::NOT_CONFIRMED => Self::NotConfirmed(failure),
            128.. => Self::Interrupted(failure),
            _ => Self::Broken(failure),
        }
    }
}
