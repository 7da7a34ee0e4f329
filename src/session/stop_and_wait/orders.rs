//! What a receiver was told, how it stands, what it asks of the store and what the store may answer.

use super::numbering::Numbering;
use crate::name::SafeName;
use crate::packet::Spelling;
use std::time::Duration;

/// What a start said, once its name was found safe.
#[derive(Clone, Debug)]
pub struct Start {
    /// The spelling it came in, in which everything is answered.
    pub spelling: Spelling,
    /// Its sequence number.
    pub seq: u64,
    /// The file's name.
    pub name: SafeName,
    /// The file's size in bytes.
    pub size: u64,
    /// The peer is ours: it sends a checksum at the end.
    pub checked: bool,
    /// The start datagram's id, see [`super::start_id`].
    pub id: [u8; 16],
    /// The start datagram's length in bytes: no answer to it is longer.
    pub length: usize,
    /// Its acknowledgement, ready to send.
    pub answer: Vec<u8>,
    /// How the peer counts.
    pub numbering: Numbering,
}

/// What the store is asked to do for this transfer, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// May this file come? Nothing is created yet.
    Admit {
        /// Under which name.
        name: SafeName,
        /// With how many bytes.
        size: u64,
    },
    /// The first chunk came: make the temporary file and reserve its room.
    Create,
    /// Append these bytes to the temporary file.
    Write(Vec<u8>),
    /// Everything came: give the file its name, if its SHA-256 is the expected one.
    Publish {
        /// The sender's digest, in checked mode.
        expected: Option<[u8; 32]>,
    },
    /// A start announced zero bytes: make the file, unless a non-empty one is there.
    MakeEmpty,
    /// Forget it; remove the temporary file.
    Discard,
}

/// How a transfer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The store is asked whether the file may come; the start is not answered yet.
    Admitting,
    /// Admitted and answered; no chunk yet, nothing on disk.
    Open,
    /// An empty file is being made for a zero-byte start.
    MakingEmpty,
    /// Chunks come.
    Receiving,
    /// All bytes came; the checksum is to come.
    AwaitingChecksum,
    /// The store gives the file its name; the answer waits for it.
    Publishing {
        /// What to answer when it is done.
        answer: Vec<u8>,
        /// The number of the message that is answered then.
        seq: u64,
        /// How long that message was: no answer is longer.
        trigger: usize,
    },
    /// The file has its name.
    Done,
    /// The peer went on in the windowed mode. Its start is remembered, so that late copies of it open nothing.
    Departed,
    /// It will not come to an end, for this reason.
    Failed(String),
}

/// What became of a file that the store was asked to give its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// It has its name.
    Placed {
        /// SHA-256 of the content.
        sha256: [u8; 32],
        /// The size of the file that stood there before.
        replaced: Option<u64>,
    },
    /// A zero-byte start met a non-empty file, which stays.
    Kept,
}

impl Placement {
    /// The content's digest, if it has its name.
    pub fn sha256(self) -> Option<[u8; 32]> {
        match self {
            Placement::Placed { sha256, .. } => Some(sha256),
            Placement::Kept => None,
        }
    }
}

/// Why the store could not do what it was asked to: a sentence that a remote person may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFailure {
    /// The thing, the reason and the remedy.
    pub reason: String,
}

/// What the peer made us see twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that came again: starts, chunks, checksums.
    pub duplicates: u64,
    /// Answers that were given again.
    pub answered_again: u64,
    /// The longest time from one new chunk to the next: a round trip, or as much as losses made of it.
    pub longest_gap: Duration,
}
