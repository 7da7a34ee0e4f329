//! What is written down about a file that is not complete: which of its groups are there, and what their hashes are.
//!
//! ```text
//! journal = header slot*
//! header  = "hmj" version, owner (32 bytes), zeros (4 bytes), check       48 bytes
//! slot    = chaining value (32 bytes), mark, check                        48 bytes; slot n, from 0, is of group n
//! mark    = zeros: the group is durable; or which run of the machine has it in memory (8 bytes)
//! check   = the first 8 bytes of the BLAKE3 of the owner, the slot's number (8 bytes, big-endian; all ones for the header)
//!           and what stands before the check
//! ```
//!
//! **Slots instead of an appended log**, since then a group that changes takes no more room, one that is void is one that is zeroed, and
//! whatever was torn or flipped is one group that comes again. The owner is in every check: a slot of somebody else's journal is none here.

use super::groups::ChainingValue;
use crate::codec::Cursor;

/// Bytes of the header, and of each slot.
pub const SLOT: usize = 48;

/// Whose journal it is: a hash over whatever must be the same in the next session.
pub type Owner = [u8; 32];

/// How a group is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Whatever happens to the power.
    Durable,
    /// As long as the machine runs that this number is of.
    Written([u8; 8]),
}

/// Whose journal something is.
pub fn owner(parts: &[&[u8]]) -> Owner {
    let mut hasher = blake3::Hasher::new_derive_key("homing 2026 owner of a journal");
    for part in parts {
        // No two lists of parts are the same bytes.
        hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
    }
    hasher.finalize().into()
}

/// The bytes that a journal begins with.
pub fn header(owner: &Owner) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    if let Some((front, _)) = bytes.split_at_mut_checked(4) {
        front.copy_from_slice(b"hmj\x01");
    }
    put(&mut bytes, 4, owner);
    seal(owner, HEADER, &mut bytes);
    bytes
}

/// Whether these bytes are the header of this owner's journal.
pub fn is_header(owner: &Owner, bytes: &[u8; SLOT]) -> bool {
    *bytes == header(owner)
}

/// The bytes of a group's slot.
pub fn slot(owner: &Owner, group: u64, value: &ChainingValue, mark: Mark) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    put(&mut bytes, 0, value);
    if let Mark::Written(machine) = mark {
        put(&mut bytes, 32, &machine);
    }
    seal(owner, group, &mut bytes);
    bytes
}

/// What a slot says; `None` if it was never written, is void or damaged.
pub fn read_slot(owner: &Owner, group: u64, bytes: &[u8; SLOT]) -> Option<(ChainingValue, Mark)> {
    let mut cursor = Cursor::new(bytes);
    let (value, mark, found): (ChainingValue, [u8; 8], [u8; CHECK]) =
        (cursor.array()?, cursor.array()?, cursor.array()?);
    let mark = if mark == [0; 8] { Mark::Durable } else { Mark::Written(mark) };
    (check(owner, group, bytes) == found).then_some((value, mark))
}

fn put(bytes: &mut [u8; SLOT], at: usize, what: &[u8]) {
    bytes.iter_mut().skip(at).zip(what).for_each(|(room, byte)| *room = *byte);
}

fn seal(owner: &Owner, number: u64, bytes: &mut [u8; SLOT]) {
    let check = check(owner, number, bytes);
    put(bytes, SLOT - CHECK, &check);
}

fn check(owner: &Owner, number: u64, bytes: &[u8; SLOT]) -> [u8; CHECK] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(owner).update(&number.to_be_bytes());
    hasher.update(bytes.get(..SLOT - CHECK).unwrap_or_default());
    let mut check = [0; CHECK];
    hasher.finalize_xof().fill(&mut check);
    check
}

/// Bytes of a check: what is damaged by chance passes once in 2^64, and the digest of the whole file finds even that.
const CHECK: usize = 8;

/// No group has this number.
const HEADER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner = [7; 32];

    #[test]
    fn a_slot_says_what_was_written_and_nothing_after_any_flipped_bit() {
        for mark in [Mark::Durable, Mark::Written([3; 8])] {
            let bytes = slot(&OWNER, 5, &[9; 32], mark);
            assert_eq!(read_slot(&OWNER, 5, &bytes), Some(([9; 32], mark)));
            for bit in 0..SLOT * 8 {
                let mut other = bytes;
                other[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(read_slot(&OWNER, 5, &other), None, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_slot_is_none_at_another_place_or_of_another_owner_or_torn() {
        let bytes = slot(&OWNER, 5, &[9; 32], Mark::Durable);
        assert_eq!(read_slot(&OWNER, 6, &bytes), None);
        assert_eq!(read_slot(&[8; 32], 5, &bytes), None);
        assert_eq!(read_slot(&OWNER, 0, &[0; SLOT]), None, "never written");
        for length in 0..SLOT {
            for (before, name) in
                [([0; SLOT], "nothing"), (slot(&OWNER, 5, &[1; 32], Mark::Written([3; 8])), "another")]
            {
                let mut torn = before;
                torn[..length].copy_from_slice(&bytes[..length]);
                assert_eq!(read_slot(&OWNER, 5, &torn).filter(|_| torn != before), None, "{length} bytes over {name}");
            }
        }
    }

    #[test]
    fn a_header_is_of_its_owner_and_no_other() {
        let bytes = header(&OWNER);
        assert!(is_header(&OWNER, &bytes) && !is_header(&[8; 32], &bytes));
        for bit in 0..SLOT * 8 {
            let mut other = bytes;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_header(&OWNER, &other), "bit {bit}");
        }
        assert_ne!(owner(&[b"ab", b"c"]), owner(&[b"a", b"bc"]));
    }
}
