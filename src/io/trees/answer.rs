//! What the disk's side says of a transfer.

use crate::chunker::answers::Tally;
use crate::chunker::wanted::Wanted;
use crate::io::events::Current;
use crate::io::store::ErrorKind;

/// What is to be told of a transfer, to its client and to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The client wants files instead of bringing some; nothing else is to come from it.
    Wanted(Wanted),
    /// So many bytes of the listing are read.
    Listed(u64),
    /// The manifest is complete: this is what comes.
    Begins(Contents),
    /// These bytes of the files are written, or were of no use; their memory can be used again.
    Written(Vec<u8>),
    /// Everything below this offset is there, or is not wanted.
    Passed(u64),
    /// This is the file that is being received, if this side has asked for it: told once in a while.
    At(Current),
    /// The byte space ends there.
    End(u64),
    /// These bytes are for the client.
    Say(Vec<u8>),
    /// So many bytes, in all so far, an earlier session left and need not come.
    Kept {
        /// Of files that are gone on with.
        resumed: u64,
        /// Of files that are there whole.
        there: u64,
    },
    /// This transfer goes on with what another session of the same peer, by its number, had.
    TookOver(u64),
    /// An entry is not taken, or came to nothing; for the operator.
    Objection {
        /// The path of the transfer's first entry.
        name: String,
        /// Why, safe to print.
        reason: String,
        /// What sort of failure it is.
        kind: ErrorKind,
    },
    /// A file has its name; told of what this side has asked for.
    Placed {
        /// Its path.
        path: String,
        /// Its size in bytes.
        bytes: u64,
        /// SHA-256 of what is there, where it was asked for.
        sha256: Option<[u8; 32]>,
    },
    /// Every entry is decided, and what came to rest is durable.
    Done {
        /// How many entries came to rest, and how many did not.
        tally: Tally,
        /// How many bytes the files have that did.
        bytes: u64,
        /// BLAKE3 of the file, if there is one alone.
        blake3: Option<[u8; 32]>,
        /// Bytes of those that an earlier session had left.
        resumed: u64,
        /// Files besides those that were there already.
        there: u64,
    },
    /// It cannot go on, for this reason; the last answer.
    Broken(String),
}

/// What a transfer brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Its first entry's path.
    pub name: String,
    /// How many entries it has.
    pub entries: u64,
    /// How many bytes, if the sender knows.
    pub bytes: Option<u64>,
}
