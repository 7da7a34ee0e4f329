//! Stop-and-wait: one message in the air, the next one only after its acknowledgement (the lab's protocol).
//!
//! [`Sender`] is the client's half, [`Receiver`] the server's half of one transfer. Read the sender first: it is the whole
//! protocol seen from the side that drives it.

mod numbering;
mod receiver;
mod sender;

pub use numbering::{Numbering, Verdict};
pub use receiver::{Counts, Order, Receiver, Reply, Start, State, refusal};
pub use sender::{Event, Outcome, Sender, Stats, Transfer};

use sha2::{Digest, Sha256};

/// How a checksum message names the start it belongs to: the first 16 bytes of the start datagram's SHA-256.
pub fn start_id(start_datagram: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(start_datagram).into();
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(digest) {
        *to = from;
    }
    id
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

/// Why the store could not do what it was asked to: a sentence that a remote person may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFailure {
    /// The thing, the reason and the remedy.
    pub reason: String,
}

/// With what the reason of a client's own `e` begins. A data message whose first byte was damaged by one bit would read
/// as an `e` too; asking for these words keeps it from ending the transfer.
pub const CLIENT_REASON: &str = "client: ";
