//! How a server offers the windowed mode: its key, and the limits it has for the lab's transfers as well.

use crate::app::send::random;
use crate::endpoint;
use crate::harbour::{self, Harbour};
use crate::io::clock;
use crate::io::identity::{ConfigFolder, IdentityError, Role};
use crate::io::processor::preferred_cipher;
use crate::packet::MAX_DATAGRAM;
use crate::session::handshake::{Fingerprint, server};
use std::io;
use std::path::Path;
use std::time::Duration;

/// A harbour with the key from the folder that was `chosen`, or from the user's, and the key's fingerprint; the limits are those of `endpoint`, but for the
/// `timeout` after which a silent transfer is given up.
///
/// # Errors
/// When the system gives no random bytes; within, why there is no key.
pub fn open_harbour(
    chosen: Option<&Path>,
    endpoint: &endpoint::Config,
    timeout: Duration,
) -> io::Result<Result<(Harbour, Fingerprint), IdentityError>> {
    let key = match ConfigFolder::open(chosen).and_then(|folder| folder.private_key(Role::Server)) {
        Ok(key) => key,
        Err(error) => return Ok(Err(error)),
    };
    let fingerprint = key.public().fingerprint();
    let limits = harbour::Config {
        max_transfers: endpoint.max_sessions,
        max_transfers_per_network: endpoint.max_sessions_per_address,
        timeout,
        mtu_max: MAX_DATAGRAM,
        seed: random()?,
    };
    let greeting = server::Config {
        key,
        cipher: preferred_cipher(),
        parameters: Vec::new(),
        seed: random()?,
        pending_max: endpoint.max_sessions,
        pending_per_network_max: endpoint.max_sessions_per_address,
    };
    Ok(Ok((Harbour::new(limits, greeting, clock::now()), fingerprint)))
}
