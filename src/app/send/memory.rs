//! What the path to a server bore, from one copy to the next (careful resume).

use crate::io::identity::KnownPaths;
use crate::session::congestion::Remembered;
use std::net::SocketAddr;

/// What is known of paths, and which one this copy takes.
pub(super) struct PathMemory {
    paths: KnownPaths,
    peer: Option<SocketAddr>,
    learned: Option<Remembered>,
}

impl PathMemory {
    pub(super) fn new(paths: KnownPaths) -> Self {
        Self { paths, peer: None, learned: None }
    }

    /// The server is there; says what the path to it bore.
    pub(super) fn recall(&mut self, peer: Option<SocketAddr>) -> Option<Remembered> {
        self.peer = peer;
        self.paths.recall(peer?.ip())
    }

    /// This is what the path bears.
    pub(super) fn learn(&mut self, learned: Option<Remembered>) {
        self.learned = learned.or(self.learned);
    }

    /// Remembers it for the next copy. That it could not be written is no reason to complain about a copy.
    pub(super) fn keep(&mut self) {
        if let (Some(peer), Some(learned)) = (self.peer, self.learned.take()) {
            let _ = self.paths.remember(peer.ip(), learned);
        }
    }
}
