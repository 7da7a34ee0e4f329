//! Whom a client calls and how, and what may come of it.

use super::identity::{Fingerprint, PrivateKey, PublicKey};
use super::token::ExpectedReset;
use crate::packet::windowed::{Cipher, ConnectionId};
use crate::session::windowed::protection::Keys;
use std::time::Duration;

/// Whom to greet and how.
pub struct Config {
    /// Who we are.
    pub key: PrivateKey,
    /// Whom we expect; `None` takes anybody, whom the caller then remembers.
    pub expected: Option<Fingerprint>,
    /// The cipher that this processor is good at.
    pub cipher: Cipher,
    /// How it begins.
    pub opening: Opening,
    /// The path's round trip, if it is known already.
    pub rtt: Option<Duration>,
    /// Give up after this long.
    pub timeout: Duration,
    /// Bytes that cannot be guessed and are used for nothing else.
    pub seed: [u8; 32],
}

/// How the two came to speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// With a hello at once, and without a way back.
    Binary,
    /// With a lab start, whose acknowledgement offered this mode.
    Text {
        /// The start datagram.
        start: Vec<u8>,
        /// The capability words that answered it.
        words: Vec<u8>,
    },
}

/// What the application must do or may want to know.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The server has shown its key, and it is the expected one. Call [`Client::finish`](super::Client::finish), or nothing if it is not welcome.
    Met {
        /// Its key.
        server: PublicKey,
        /// What it tells every client, as limits and credit.
        parameters: Vec<u8>,
    },
    /// It has failed.
    Over(Failure),
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing that could be read came back for the whole time-out.
    NoAnswer {
        /// How many replies came that were not genuine: somebody changes what passes, or is not who he seems.
        forged: u32,
        /// The kernel reported that the port is closed.
        unreachable: bool,
    },
    /// The server has another key than it should.
    OtherKey {
        /// The one that was expected.
        expected: Fingerprint,
        /// The one that it has.
        found: PublicKey,
    },
    /// The server speaks this version of the windowed mode and not ours.
    OtherVersion(u8),
    /// The server was met, and never said that it heard the last message.
    NotConfirmed,
}

/// What a handshake comes to.
#[derive(Debug)]
pub struct Established {
    /// What both seal with.
    pub keys: Keys,
    /// Our connection ID: what the server sends to.
    pub id: ConnectionId,
    /// The server's: what we send to.
    pub to: ConnectionId,
    /// How the server says that it knows nothing of us any more.
    pub reset: ExpectedReset,
}

/// AES where both have instructions for it; otherwise what is fast without them.
pub(super) fn agreed(ours: Cipher, theirs: Cipher) -> Cipher {
    match (ours, theirs) {
        (Cipher::Aes256Gcm, Cipher::Aes256Gcm) => Cipher::Aes256Gcm,
        _ => Cipher::ChaCha20Poly1305,
    }
}
