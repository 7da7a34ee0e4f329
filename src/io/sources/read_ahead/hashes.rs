//! The digests of one file as it is read.

use crate::chunker::digests::FileDigest;
use sha2::{Digest as _, Sha256};

/// BLAKE3, and SHA-256 where somebody asked for it.
pub(super) struct Hashes {
    blake3: blake3::Hasher,
    sha256: Option<Sha256>,
}

impl Hashes {
    pub(super) fn new(sha256: bool) -> Self {
        Self { blake3: blake3::Hasher::new(), sha256: sha256.then(Sha256::new) }
    }

    /// Takes in the bytes that come next.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.blake3.update(bytes);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }

    /// All `size` bytes were taken in.
    pub(super) fn digest(self, size: u64) -> FileDigest {
        let sha256 = self.sha256.map(|sha256| sha256.finalize().into());
        FileDigest::Read { size, blake3: self.blake3.finalize().into(), sha256 }
    }
}
