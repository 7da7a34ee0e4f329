//! What a tree that is received tells, and what its peer may get wrong.

use super::resuming::Groups;
use crate::chunker::digests::DigestError;
use crate::chunker::manifest::ManifestError;
use crate::io::store::error::StoreError;
use thiserror::Error;

/// What became of the entries of a manifest, in the order in which it happened.
#[derive(Debug)]
pub enum Event {
    /// The bytes of this entry may come.
    Accepted {
        /// Which, counted from 0.
        entry: u32,
        /// The size of the file that it would replace.
        replaces: Option<u64>,
    },
    /// They may not; what comes of them is dropped.
    Refused {
        /// Which, counted from 0.
        entry: u32,
        /// Why.
        error: StoreError,
    },
    /// An earlier session left these groups of it. Bytes of them are not taken before the sender has said which of them stay.
    Held {
        /// Which, counted from 0.
        entry: u32,
        /// Their chaining values, by number.
        groups: Groups,
    },
    /// The same file is there already; what comes of its bytes is dropped.
    There {
        /// Which, counted from 0.
        entry: u32,
    },
    /// A file of the same size is there; it stays if it is the same as the sender's.
    Content {
        /// Which, counted from 0.
        entry: u32,
        /// BLAKE3 of the file that is there.
        blake3: [u8; 32],
    },
    /// Another session had a file of this one; it can go on with it no more.
    TookOver {
        /// Its number.
        session: u64,
    },
    /// The file has its name: complete, verified, and durable if the policy asks for it.
    Placed {
        /// Which, counted from 0.
        entry: u32,
        /// Its size in bytes.
        bytes: u64,
        /// BLAKE3 of its content, ours and the sender's.
        blake3: [u8; 32],
        /// SHA-256 as the sender told it; the content being the same, it is ours as well.
        sha256: Option<[u8; 32]>,
        /// The size of the file that it replaced.
        replaced: Option<u64>,
    },
    /// The file will not come; nothing of it is left.
    Failed {
        /// Which, counted from 0.
        entry: u32,
        /// Why.
        error: StoreError,
    },
    /// Every entry is decided, and the links and folders are made.
    Done(Outcome),
}

/// How a tree ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Files that have their names.
    pub placed: u64,
    /// Entries that were refused.
    pub refused: u64,
    /// Entries that failed.
    pub failed: u64,
}

/// Why bytes were not taken. Nobody is told that they came; they come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Untaken {
    /// The manifest has not come so far yet.
    #[error("byte {offset} is of a file that the manifest has not named yet")]
    Unknown {
        /// The first byte that is of no known file.
        offset: u64,
    },
    /// No file has these bytes, and none will: the peer is wrong.
    #[error("byte {offset} lies behind the last file")]
    Beyond {
        /// The first byte that is of no file.
        offset: u64,
    },
    /// Too many gaps, or too many files that have some of their bytes; earlier bytes have to come first.
    #[error("too many pieces came before what lies between them")]
    Crowded,
}

/// Why a tree cannot go on. Everything that is not yet placed is to be dropped.
#[derive(Debug, Error)]
pub enum TreeError {
    /// The manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The digests are wrong.
    #[error(transparent)]
    Digests(#[from] DigestError),
    /// The digests end before the files do.
    #[error("the digests end before that of entry {entry}; are the versions of both sides the same?")]
    MissingDigests {
        /// The first file without one, counted from 0.
        entry: u32,
    },
    /// The files end before the digests do.
    #[error("there are more digests than files; are the versions of both sides the same?")]
    TooManyDigests,
    /// Our own table of entries cannot be kept.
    #[error("the table of the files cannot be kept ({0}); is there room in the temporary folder (TMPDIR)?")]
    Table(#[from] std::io::Error),
}

/// Events that wait to be asked for, of entries that failed: twice as many as are told to a sender.
pub(super) const EVENTS_MAX: usize = 16_384;
