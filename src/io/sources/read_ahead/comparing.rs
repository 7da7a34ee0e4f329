//! Files that the receiver has already: not read where size and time have told it, read and not sent where the content has to.

use super::ReadAhead;
use super::ahead::Ahead;
use super::board::{State, Stopped};
use super::hashes::Hashes;
use crate::chunker::digests::FileDigest;
use crate::io::sources::catalogue::lock;
use std::ops::Range;

impl ReadAhead {
    /// The receiver has the files of these entries: they are not read, unless that happened already. Gives which of the bytes that are there
    /// will not be sent any more.
    pub fn handle_there(&mut self, entries: Range<u32>) -> Option<Range<u64>> {
        let mut state = self.board.lock();
        let catalogue = lock(&self.catalogue);
        let entries = entries.start..entries.end.min(catalogue.layout.entries());
        if entries.is_empty() {
            return None;
        }
        state.unwanted.insert(entries.start.into()..entries.end.into());
        let first = catalogue.layout.range(entries.start).unwrap_or_default();
        let last = catalogue.layout.range(entries.end - 1).unwrap_or_default();
        // What was read of them is not sent any more. The thread skips the rest when it comes to it.
        let there = Some(first.start..last.end.min(state.ready)).filter(|there| there.start < there.end);
        if let Some(there) = &there {
            state.void.insert(there.clone());
        }
        drop((catalogue, state));
        self.board.moved.notify_all();
        there
    }

    /// The receiver has a file with this digest where an entry is to be.
    pub fn handle_content(&mut self, entry: u32, blake3: [u8; 32]) {
        let is_known = entry < lock(&self.catalogue).layout.entries();
        let mut state = self.board.lock();
        if is_known && entry >= state.current {
            let slot = [&[1], &blake3[..]].concat();
            // What is not known is sent.
            let _ = state.contents.write_at(u64::from(entry) * SLOT as u64, &slot);
        }
    }

    /// Whether an entry whose digest came just now is the same there, and was not sent.
    pub fn take_same(&mut self, entry: u32) -> bool {
        let mut state = self.board.lock();
        let is_same = state.same.contains(entry.into());
        state.same.remove(entry.into()..u64::from(entry) + 1);
        is_same
    }
}

impl State {
    fn content_of(&mut self, entry: u32) -> Option<[u8; 32]> {
        let mut slot = [0; SLOT];
        let read = self.contents.read_at(u64::from(entry) * SLOT as u64, &mut slot);
        let (flag, blake3) = slot.split_first()?;
        blake3.try_into().ok().filter(|_| read.is_ok_and(|count| count == SLOT) && *flag == 1)
    }
}

impl Ahead {
    /// Waits until the receiver has said what it has of an entry, if that is to be waited for.
    pub(super) fn hear(&mut self, entry: u32) -> Result<(), Stopped> {
        let is_said = |state: &mut State| state.looked > entry || state.unwanted.contains(entry.into());
        if !self.resumption.awaits || is_said(&mut self.board.lock()) {
            return Ok(());
        }
        // What was read before is on its way meanwhile.
        self.hand_over()?;
        self.board.lock().hears = true;
        self.board.wait(is_said)?.hears = false;
        Ok(())
    }

    /// Reads an entry that the receiver may have; gives its digest if it does, and leaves it out then.
    pub(super) fn compare(&mut self, entry: u32, range: &Range<u64>) -> Result<Option<FileDigest>, Stopped> {
        let Some(theirs) = self.board.lock().content_of(entry) else { return Ok(None) };
        self.hand_over()?;
        let (size, mut offset) = (range.end - range.start, 0);
        let mut hashes = Hashes::new(self.sha256, None);
        let mut piece = Vec::new();
        while offset < size {
            let length = usize::try_from(size - offset).unwrap_or(PIECE).min(PIECE);
            piece.resize(length, 0);
            // Why it cannot be read is found when it is to be sent.
            if self.is_unwanted(entry, false)? || self.reader.read_file(entry, offset, &mut piece).is_err() {
                return Ok(None);
            }
            hashes.update(&piece);
            offset = offset.saturating_add(length as u64);
        }
        let digest = hashes.digest(size);
        if !matches!(&digest, FileDigest::Read { blake3, .. } if *blake3 == theirs) {
            return Ok(None);
        }
        self.leave_out(range.clone())?;
        self.board.lock().same.insert(entry.into()..u64::from(entry) + 1);
        Ok(Some(digest))
    }
}

/// A flag and a digest.
const SLOT: usize = 33;

/// Bytes that are read and hashed at once.
const PIECE: usize = 64 * 1024;
