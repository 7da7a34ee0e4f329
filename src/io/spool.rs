//! Bytes put aside: small amounts in memory, large ones in a file without a name.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom, Write};
use tempfile::SpooledTempFile;

/// A file of our own that nobody sees, and that vanishes with us.
#[derive(Debug)]
pub struct Spool {
    file: SpooledTempFile,
    length: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self::new()
    }
}

impl Spool {
    /// Nothing is put aside yet.
    pub fn new() -> Self {
        Self { file: SpooledTempFile::new(MEMORY_MAX), length: 0 }
    }

    /// How many bytes there are.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Puts bytes behind the others.
    ///
    /// # Errors
    /// When the temporary folder holds no more.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_at(self.length, bytes)
    }

    /// Puts bytes where `offset` says; what lies between the end and there becomes zeros.
    ///
    /// # Errors
    /// When the temporary folder holds no more.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(bytes)?;
        self.length = self.length.max(offset.saturating_add(bytes.len() as u64));
        Ok(())
    }

    /// Reads what lies at `offset`; gives how many bytes that were, fewer than asked for only at the end.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let there = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let Some(wanted) = out.get_mut(..there).filter(|wanted| !wanted.is_empty()) else { return Ok(0) };
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(wanted)?;
        Ok(there)
    }
}

/// Records put aside, read again by their number. A million of them cost a quarter of a megabyte of memory besides the
/// groups that were read last.
#[derive(Debug, Default)]
pub struct Records {
    spool: Spool,
    /// Where each group of [`GROUP`] records begins in the spool.
    groups: Vec<u64>,
    count: u32,
    /// The last group, as long as it is not full.
    growing: Vec<u8>,
    /// Groups that were read last, the latest first.
    read: VecDeque<(u32, Vec<u8>)>,
}

impl Records {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Puts one behind the others. At most 65,535 bytes.
    ///
    /// # Errors
    /// When it is longer, or the temporary folder holds no more.
    pub fn push(&mut self, record: &[u8]) -> io::Result<()> {
        let length = u16::try_from(record.len()).map_err(io::Error::other)?;
        self.growing.extend_from_slice(&length.to_be_bytes());
        self.growing.extend_from_slice(record);
        self.count = self.count.checked_add(1).ok_or_else(|| io::Error::other("too many records"))?;
        if self.count.is_multiple_of(GROUP) {
            self.groups.push(self.spool.length());
            self.spool.append(&self.growing)?;
            self.growing.clear();
        }
        Ok(())
    }

    /// The record with this number, counted from 0; `None` if there is none.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn get(&mut self, number: u32) -> io::Result<Option<&[u8]>> {
        if number >= self.count {
            return Ok(None);
        }
        let (group, within) = (number / GROUP, number % GROUP);
        let bytes = match self.groups.get(group as usize) {
            Some(start) => {
                let start = *start;
                self.load(group, start)?;
                self.read.front().map(|(_, bytes)| bytes.as_slice()).unwrap_or_default()
            }
            None => self.growing.as_slice(),
        };
        Ok(nth(bytes, within))
    }

    /// Makes a group the first of those that were read.
    fn load(&mut self, group: u32, start: u64) -> io::Result<()> {
        if let Some(at) = self.read.iter().position(|(number, _)| *number == group) {
            self.read.swap(0, at);
            return Ok(());
        }
        let next = (group as usize).checked_add(1).and_then(|next| self.groups.get(next).copied());
        let end = next.unwrap_or(self.spool.length());
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(start)).map_err(io::Error::other)?];
        self.spool.read_at(start, &mut bytes)?;
        self.read.truncate(GROUPS_KEPT - 1);
        self.read.push_front((group, bytes));
        Ok(())
    }
}

/// The record that comes after so many others.
fn nth(mut bytes: &[u8], skip: u32) -> Option<&[u8]> {
    let mut record = None;
    for _ in 0..=skip {
        let (length, rest) = bytes.split_first_chunk()?;
        let (one, behind) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        record = Some(one);
        bytes = behind;
    }
    record
}

/// What is kept in memory before a file is made, in bytes: the table of a tree of ten thousand files.
const MEMORY_MAX: usize = 1024 * 1024;

/// Records that are read and written together: a few kilobytes of usual paths.
const GROUP: u32 = 32;

/// Groups in memory: of the entry that is written, the one that is verified, the one that is published, and one more.
const GROUPS_KEPT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_where_they_were_put_whatever_they_lie_in() {
        let mut spool = Spool::new();
        for round in 0..3_u8 {
            spool.append(&vec![round; MEMORY_MAX / 2 + 1]).unwrap();
        }
        spool.write_at(1, b"xyz").unwrap();
        let mut out = [9; 6];
        assert_eq!(spool.read_at(0, &mut out).unwrap(), 6);
        assert_eq!(out, [0, b'x', b'y', b'z', 0, 0]);
        assert_eq!(spool.read_at(spool.length() - 2, &mut out).unwrap(), 2);
        assert_eq!(out[..2], [2, 2]);
        assert_eq!(spool.read_at(u64::MAX, &mut out).unwrap(), 0);
        spool.write_at(spool.length() + 1, b"a").unwrap();
        assert_eq!(spool.read_at(spool.length() - 2, &mut out).unwrap(), 2);
        assert_eq!(out[..2], [0, b'a']);
    }

    #[test]
    fn records_are_read_in_any_order_while_others_come() {
        let mut records = Records::new();
        let text = |number: u32| format!("{number}").repeat(number as usize % 7).into_bytes();
        for number in 0..3000 {
            records.push(&text(number)).unwrap();
            let other = number * 7919 % (number + 1);
            assert_eq!(records.get(other).unwrap(), Some(&text(other)[..]), "{other} of {number}");
            assert!(records.read.len() <= GROUPS_KEPT);
        }
        assert_eq!(records.get(3000).unwrap(), None);
        assert_eq!(records.count(), 3000);
        assert!(records.push(&[0; 65_536]).is_err());
    }
}
