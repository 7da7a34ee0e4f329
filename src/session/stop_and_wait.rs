//! Stop-and-wait: one message in the air, the next one only after its acknowledgement (the lab's protocol).
//!
//! [`Sender`] is the client's half, [`Receiver`] the server's half of one transfer. Read the sender first: it is the whole
//! protocol seen from the side that drives it.

mod answer;
mod link;
mod numbering;
mod orders;
mod receiver;
mod restart;
mod sender;
mod transfer;

pub use answer::{Reply, refusal};
pub use numbering::{Numbering, Verdict};
pub use orders::{Counts, Order, Placement, Start, State, StoreFailure};
pub use receiver::Receiver;
pub use sender::Sender;
pub use transfer::{Event, Invitation, Outcome, Stats, Transfer};

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

/// With what the reason of a client's own `e` begins, so that a log tells who stopped.
pub const CLIENT_REASON: &str = "client: ";
