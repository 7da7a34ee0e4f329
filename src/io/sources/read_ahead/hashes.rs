//! The digests of one file as it is read.

use crate::chunker::digests::FileDigest;
use crate::chunker::groups::{ChainingValue, GROUP, GroupHasher, Root, ZEROS};
use sha2::{Digest as _, Sha256};

/// BLAKE3, and SHA-256 where somebody asked for it.
pub(super) struct Hashes {
    blake3: Content,
    sha256: Option<Sha256>,
}

/// A file's BLAKE3: in one go, or, where a later session may go on with it, in groups.
enum Content {
    Whole(Box<blake3::Hasher>),
    Groups(Grouped),
}

struct Grouped {
    root: Root,
    /// The group that comes next, or is being read, and how many bytes of it were.
    group: u64,
    hasher: GroupHasher,
    filled: u64,
    /// How many bytes the file has, and how many of them were taken in.
    size: u64,
    read: u64,
    finished: Vec<(u64, ChainingValue)>,
}

impl Hashes {
    /// For a file in `groups` of so many bytes, or for any other.
    pub(super) fn new(sha256: bool, groups: Option<u64>) -> Self {
        let blake3 = match groups {
            Some(size) => Content::Groups(Grouped {
                root: Root::default(),
                group: 0,
                hasher: GroupHasher::new(0),
                filled: 0,
                size,
                read: 0,
                finished: Vec::new(),
            }),
            None => Content::Whole(Box::default()),
        };
        Self { blake3, sha256: sha256.then(Sha256::new) }
    }

    /// Takes in the bytes that come next.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match &mut self.blake3 {
            Content::Whole(hasher) => drop(hasher.update(bytes)),
            Content::Groups(grouped) => grouped.update(bytes),
        }
        self.update_sha256(bytes);
    }

    /// Takes in so many zeros.
    pub(super) fn update_zeros(&mut self, mut count: u64) {
        while count > 0 {
            let piece = usize::try_from(count).unwrap_or(usize::MAX).min(ZEROS.len());
            self.update(ZEROS.get(..piece).unwrap_or_default());
            count -= piece as u64;
        }
    }

    /// Whether somebody asked for SHA-256: it wants all bytes, one after the other.
    pub(super) fn wants_all(&self) -> bool {
        self.sha256.is_some()
    }

    /// The group that comes next has this value. Its bytes are taken in where they are wanted.
    pub(super) fn keep(&mut self, value: ChainingValue, bytes: &[u8]) {
        if let Content::Groups(grouped) = &mut self.blake3 {
            grouped.read = grouped.read.saturating_add(GROUP).min(grouped.size);
            grouped.end(value);
        }
        self.update_sha256(bytes);
    }

    /// The groups that became complete since this was asked last.
    pub(super) fn take_finished(&mut self) -> Vec<(u64, ChainingValue)> {
        match &mut self.blake3 {
            Content::Whole(_) => Vec::new(),
            Content::Groups(grouped) => std::mem::take(&mut grouped.finished),
        }
    }

    /// All `size` bytes were taken in.
    pub(super) fn digest(self, size: u64) -> FileDigest {
        let sha256 = self.sha256.map(|sha256| sha256.finalize().into());
        let blake3 = match self.blake3 {
            Content::Whole(hasher) => hasher.finalize().into(),
            // Groups are only made of files that have several.
            Content::Groups(grouped) => grouped.root.finish().unwrap_or_default(),
        };
        FileDigest::Read { size, blake3, sha256 }
    }

    fn update_sha256(&mut self, bytes: &[u8]) {
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }
}

impl Grouped {
    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let to_border = usize::try_from(GROUP - self.filled).unwrap_or(usize::MAX);
            let (piece, rest) = bytes.split_at_checked(to_border).unwrap_or((bytes, &[]));
            self.hasher.update(piece);
            self.filled += piece.len() as u64;
            self.read = self.read.saturating_add(piece.len() as u64);
            bytes = rest;
            if self.filled == GROUP || self.read == self.size {
                let next = GroupHasher::new(self.group.saturating_add(1));
                let value = std::mem::replace(&mut self.hasher, next).finish();
                self.finished.push((self.group, value));
                self.end(value);
            }
        }
    }

    fn end(&mut self, value: ChainingValue) {
        self.root.push(value);
        self.group = self.group.saturating_add(1);
        self.filled = 0;
        self.hasher = GroupHasher::new(self.group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_same_digests_in_groups_and_with_groups_that_were_hashed_before() {
        let content: Vec<u8> = (0..5_500_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let size = content.len() as u64;
        let mut whole = Hashes::new(true, None);
        whole.update(&content);
        let expected = whole.digest(size);
        let mut groups = Hashes::new(true, Some(size));
        content.chunks(65_537).for_each(|piece| groups.update(piece));
        let finished = groups.take_finished();
        assert_eq!(finished.len(), 6);
        assert_eq!(groups.digest(size), expected);
        let mut kept = Hashes::new(true, Some(size));
        for ((number, value), bytes) in finished.iter().zip(content.chunks(GROUP as usize)) {
            if number % 2 == 1 { kept.keep(*value, bytes) } else { kept.update(bytes) }
        }
        assert_eq!(kept.digest(size), expected);
    }
}
