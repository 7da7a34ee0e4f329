//! A journal as a file: groups noted as they are complete, and read again by the next session.

use crate::chunker::groups::ChainingValue;
use crate::chunker::journal::{Mark, Owner, SLOT, header, is_header, read_slot, slot};
use crate::ranges::RangeSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

/// Which run of the machine this is: what was written before another one may be lost.
pub type Machine = [u8; 8];

/// The run of the machine that this is; a random number where the system does not tell.
///
/// # Errors
/// When the system has no randomness to give either.
pub fn machine() -> io::Result<Machine> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    let mut machine = [0; 8];
    if hex::decode_to_slice(digits, &mut machine).is_err() || machine == [0; 8] {
        getrandom::fill(&mut machine).map_err(|error| io::Error::other(error.to_string()))?;
    }
    Ok(machine)
}

/// A journal that is open.
#[derive(Debug)]
pub struct Journal {
    file: File,
    owner: Owner,
    machine: Machine,
    /// Groups that were noted and are not durable yet.
    unsynced: RangeSet,
}

impl Journal {
    /// Takes what is in `file` for this owner's journal; if it is not, begins one. Says which.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn open(file: File, owner: Owner, machine: Machine) -> io::Result<(Self, bool)> {
        let mut found = [0; SLOT];
        let is_there = match file.read_exact_at(&mut found, 0) {
            Ok(()) => is_header(&owner, &found),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error),
        };
        if !is_there {
            file.set_len(0)?;
            file.write_all_at(&header(&owner), 0)?;
        }
        Ok((Self { file, owner, machine, unsynced: RangeSet::new() }, is_there))
    }

    /// A group is complete and written.
    ///
    /// # Errors
    /// When it cannot be noted.
    pub fn note(&mut self, group: u64, value: &ChainingValue) -> io::Result<()> {
        self.file.write_all_at(&slot(&self.owner, group, value, Mark::Written(self.machine)), place(group))?;
        self.unsynced.insert(group..group.saturating_add(1));
        Ok(())
    }

    /// What was noted of a group, if that still holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(&self, group: u64) -> io::Result<Option<ChainingValue>> {
        Ok(self.read(group)?.map(|(value, _)| value))
    }

    /// The number below which all groups are that something was noted of.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub fn reach(&self) -> io::Result<u64> {
        Ok((self.file.metadata()?.len() / SLOT as u64).saturating_sub(1))
    }

    /// These groups are about to become others, or are none any more.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn forget(&mut self, groups: Range<u64>) -> io::Result<()> {
        self.unsynced.remove(groups.clone());
        groups.into_iter().try_for_each(|group| self.file.write_all_at(&[0; SLOT], place(group)))
    }

    /// All groups that were noted so far are durable by now: notes that they are, which [`Journal::sync`] makes durable.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn settle(&mut self) -> io::Result<()> {
        for group in std::mem::take(&mut self.unsynced).iter().flatten() {
            if let Some((value, Mark::Written(_))) = self.read(group)? {
                self.file.write_all_at(&slot(&self.owner, group, &value, Mark::Durable), place(group))?;
            }
        }
        Ok(())
    }

    /// Waits until what is written is durable.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn read(&self, group: u64) -> io::Result<Option<(ChainingValue, Mark)>> {
        let mut bytes = [0; SLOT];
        match self.file.read_exact_at(&mut bytes, place(group)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let read = read_slot(&self.owner, group, &bytes);
        Ok(read.filter(|(_, mark)| matches!(mark, Mark::Durable) || *mark == Mark::Written(self.machine)))
    }
}

fn place(group: u64) -> u64 {
    group.saturating_add(1).saturating_mul(SLOT as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner = [7; 32];

    fn open(file: &File, machine: u8) -> (Journal, bool) {
        Journal::open(file.try_clone().expect("a file"), OWNER, [machine; 8]).expect("a journal")
    }

    fn groups(journal: &Journal) -> Vec<u64> {
        (0..20).filter(|group| journal.get(*group).expect("it can be read") == Some([*group as u8 + 1; 32])).collect()
    }

    #[test]
    fn what_was_noted_holds_after_a_kill_and_after_a_power_cut_if_it_was_durable() {
        let file = tempfile::tempfile().expect("a file");
        let (mut journal, was_there) = open(&file, 1);
        assert!(!was_there);
        for group in [0, 3, 4] {
            journal.note(group, &[group as u8 + 1; 32]).expect("noted");
        }
        journal.settle().expect("settled");
        journal.note(7, &[8; 32]).expect("noted");
        journal.note(9, &[10; 32]).expect("noted");
        journal.forget(9..10).expect("forgotten");
        let (journal, was_there) = open(&file, 1);
        assert_eq!((was_there, groups(&journal)), (true, vec![0, 3, 4, 7]));
        let (journal, _) = open(&file, 2);
        assert_eq!(groups(&journal), [0, 3, 4]);
        let (journal, was_there) = Journal::open(file, [8; 32], [1; 8]).expect("a journal");
        assert_eq!((was_there, groups(&journal)), (false, vec![]), "somebody else's");
    }

    #[test]
    fn every_prefix_and_every_flipped_bit_is_a_journal_with_fewer_groups_and_no_wrong_ones() {
        let whole: Vec<u8> = {
            let file = tempfile::tempfile().expect("a file");
            let (mut journal, _) = open(&file, 1);
            (0..3).for_each(|group| journal.note(group, &[group as u8 + 1; 32]).expect("noted"));
            let mut bytes = vec![0; 4 * SLOT];
            file.read_exact_at(&mut bytes, 0).expect("read");
            bytes
        };
        let look = |bytes: &[u8]| {
            let file = tempfile::tempfile().expect("a file");
            file.write_all_at(bytes, 0).expect("written");
            let (journal, _) = open(&file, 1);
            let there: Vec<u64> = (0..20).filter(|group| journal.get(*group).expect("read").is_some()).collect();
            assert_eq!(there, groups(&journal));
            there
        };
        assert_eq!(look(&whole), [0, 1, 2]);
        for length in 0..whole.len() {
            let expected = (length / SLOT).saturating_sub(1) as u64;
            assert_eq!(look(&whole[..length]), (0..expected).collect::<Vec<_>>(), "{length} bytes");
        }
        for bit in 0..whole.len() * 8 {
            let mut other = whole.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let lost = (bit / 8 / SLOT) as u64;
            let expected: Vec<u64> = (0..3).filter(|group| lost > 0 && *group != lost - 1).collect();
            assert_eq!(look(&other), expected, "bit {bit}");
        }
    }
}
