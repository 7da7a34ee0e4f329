//! Who is there, and who talks to whom: the chat's registry and its clients, without sockets and terminals.

pub mod client;
pub mod courier;
pub mod registry;

use crate::session::conversation::Sending;
use std::time::Duration;

/// How members and the registry, and clients among themselves, send their numbered messages: one a second at most, until ten
/// seconds are over. `first` is the first number.
pub fn sending(first: u64) -> Sending {
    Sending::patient(first, REPEAT, PATIENCE)
}

/// How often a client says that it is still there: well below the half minute after which many routers close their door
/// (RFC 4787 asks for two), and no more often than RFC 8085 section 3.5 allows.
pub const HERE_EVERY: Duration = Duration::from_secs(15);

/// The longest time between two copies of a message.
const REPEAT: Duration = Duration::from_secs(1);

/// After so long a message is reported as not delivered, as the exercise has it.
pub const PATIENCE: Duration = Duration::from_secs(10);
