//! Why a manifest is not what it should be.

use super::entry::EntryError;
use super::order::ENTRIES_MAX;
use crate::chunker::layout::SPACE_MAX;
use crate::chunker::records::RecordError;
use thiserror::Error;

/// Why a manifest is not what it should be. Entries are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// Not even a stream of records.
    #[error("the manifest cannot be read: {0}")]
    Records(#[from] RecordError),
    /// An entry that says something wrong.
    #[error("entry {entry} of the manifest {reason}")]
    Entry {
        /// Which.
        entry: u64,
        /// What is wrong with it.
        reason: EntryError,
    },
    /// The same name twice, or names in another order than theirs.
    #[error("entry {entry} of the manifest is not behind the one before it: a name is there twice, or out of order")]
    Order {
        /// Which.
        entry: u64,
    },
    /// A file or a link that has something in it, as only folders have.
    #[error("entry {entry} of the manifest lies in a file or a link; only folders hold others")]
    InAFile {
        /// Which.
        entry: u64,
    },
    /// Something comes after the open file.
    #[error("entry {entry} of the manifest comes after one of unknown size, which must be the last")]
    AfterOpen {
        /// Which.
        entry: u64,
    },
    /// More entries than are taken.
    #[error(
        "the manifest has more than {ENTRIES_MAX} entries; copy a part of the tree at a time, or pack it first (tar)"
    )]
    TooMany,
    /// More bytes than an offset can tell.
    #[error("the files of the manifest have more than {SPACE_MAX} bytes together; copy a part of them at a time")]
    TooLarge,
    /// The end counts other entries than came.
    #[error("the manifest's end counts other entries than came; was it damaged before it was sent?")]
    Counts,
}
