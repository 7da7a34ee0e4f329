//! A file's BLAKE3 as a tree of groups, each hashed by itself: what one session has hashed, the next need not hash again.
//!
//! BLAKE3 is a binary tree over chunks of 1024 bytes, and every aligned 2^n of them are a subtree with a chaining value of its own (the
//! BLAKE3 paper, section 2.1). So the chaining values of all groups of a file give the digest of the whole, whoever hashed them, and
//! whenever.

use blake3::hazmat::{self, HasherExt as _, Mode};
use std::ops::Range;

/// Bytes of a group; the last one of a file may have fewer. Small enough that little is lost with an unfinished one, large enough that
/// its 48 bytes in a journal are nothing.
pub const GROUP: u64 = 1024 * 1024;

/// Files of at least this size are resumed; smaller ones are sent again.
pub const RESUMED_MIN: u64 = 4 * GROUP;

/// Groups of holes that one transfer may announce, in files that can be resumed: 256 GiB. A hole costs its sender nothing and its receiver
/// the hashing (a chaining value depends on where its zeros are, so none can be known before); what is beyond is sent as zeros.
pub const HOLES_MAX: u64 = 262_144;
/// Groups that are offered to a sender in one transfer: 256 GiB. Each costs 32 bytes on its way; what lies beyond comes again.
pub const OFFERED_MAX: usize = 262_144;

/// The same where the sender is a server, which gives to many at once: 32 GiB, for which it keeps 2 MB.
pub const OFFERED_TO_SERVER_MAX: usize = 32_768;

/// The chaining value of a group.
pub type ChainingValue = [u8; 32];

/// How many groups a file has.
pub fn count(size: u64) -> u64 {
    size.div_ceil(GROUP)
}

/// Which bytes of a file of `size` bytes some groups are.
pub fn bytes_of(groups: &Range<u64>, size: u64) -> Range<u64> {
    let offset = |group: u64| group.saturating_mul(GROUP).min(size);
    offset(groups.start)..offset(groups.end)
}

/// Hashes one group.
#[derive(Clone, Debug)]
pub struct GroupHasher(Box<blake3::Hasher>);

impl GroupHasher {
    /// Expects the first byte of a group, counted from 0, of a file that has more than one.
    pub fn new(group: u64) -> Self {
        let mut hasher = Box::new(blake3::Hasher::new());
        // Offsets of byte spaces are below 2^62.
        hasher.set_input_offset(group.saturating_mul(GROUP));
        Self(hasher)
    }

    /// Takes in the bytes that come next, of the same group.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Takes in so many zeros, of the same group.
    pub fn update_zeros(&mut self, mut count: u64) {
        while count > 0 {
            let piece = usize::try_from(count).unwrap_or(usize::MAX).min(ZEROS.len());
            self.0.update(ZEROS.get(..piece).unwrap_or_default());
            count -= piece as u64;
        }
    }

    /// All bytes of the group were taken in, one at least.
    pub fn finish(self) -> ChainingValue {
        self.0.finalize_non_root()
    }
}

/// Makes the digest of a file out of its groups.
#[derive(Clone, Debug, Default)]
pub struct Root {
    /// Subtrees that wait for their right neighbour: as many as there are ones in the count, as in BLAKE3 itself.
    stack: Vec<ChainingValue>,
    count: u64,
}

impl Root {
    /// The next group's.
    pub fn push(&mut self, value: ChainingValue) {
        // What is joined must not be the root, so the last two wait for what comes behind them.
        while self.stack.len() > self.count.count_ones() as usize {
            self.join();
        }
        self.stack.push(value);
        self.count += 1;
    }

    /// The digest of the file; `None` if it has fewer than two groups: that is not made of groups.
    pub fn finish(mut self) -> Option<[u8; 32]> {
        while self.stack.len() > 2 {
            self.join();
        }
        let [left, right] = self.stack.as_slice() else { return None };
        Some(hazmat::merge_subtrees_root(left, right, Mode::Hash).into())
    }

    fn join(&mut self) {
        if let (Some(right), Some(left)) = (self.stack.pop(), self.stack.pop()) {
            self.stack.push(hazmat::merge_subtrees_non_root(&left, &right, Mode::Hash));
        }
    }
}

/// As many as are hashed at once; a cache holds them.
pub static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_file_give_its_blake3() {
        let group = usize::try_from(GROUP).expect("small");
        for size in [group + 1, 2 * group, 3 * group - 1, 4 * group, 5 * group + 77, 8 * group, 11 * group + 1024] {
            let content: Vec<u8> = (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            let mut root = Root::default();
            for (number, part) in (0..).zip(content.chunks(group)) {
                let mut hasher = GroupHasher::new(number);
                part.chunks(100_001).for_each(|piece| hasher.update(piece));
                root.push(hasher.finish());
            }
            assert_eq!(root.finish(), Some(blake3::hash(&content).into()), "{size} bytes");
        }
    }

    #[test]
    fn zeros_are_hashed_like_other_bytes() {
        let (mut said, mut fed) = (GroupHasher::new(3), GroupHasher::new(3));
        said.update_zeros(100_001);
        fed.update(&[0; 100_001]);
        assert_eq!(said.finish(), fed.finish());
    }

    #[test]
    fn a_file_of_one_group_is_none_of_groups() {
        let mut root = Root::default();
        assert_eq!(root.clone().finish(), None);
        root.push([1; 32]);
        assert_eq!(root.finish(), None);
    }

    #[test]
    fn groups_are_ranges_of_bytes_and_the_last_ends_with_the_file() {
        assert_eq!((count(0), count(1), count(GROUP), count(GROUP + 1)), (0, 1, 1, 2));
        assert_eq!(bytes_of(&(1..3), 2 * GROUP + 5), GROUP..2 * GROUP + 5);
        assert_eq!(bytes_of(&(7..u64::MAX), 5), 5..5);
    }
}
