//! The thread that reads ahead: a file after the other, from its first byte to its last.

use super::board::{Board, State, Stopped};
use super::compressing::Press;
use super::hashes::Hashes;
use super::resuming::Resumption;
use super::ring::Block;
use super::work::Work;
use crate::chunker::digests::FileDigest;
use crate::chunker::groups::GROUP;
use crate::io::sources::catalogue::{Shared, lock};
use crate::io::sources::reader::Reader;
use crate::io::sources::stream::Stream;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// The thread's side.
pub(super) struct Ahead {
    pub(super) catalogue: Shared,
    pub(super) reader: Reader,
    pub(super) board: Arc<Board>,
    pub(super) sha256: bool,
    pub(super) resumption: Resumption,
    /// The block that is being filled: it has room behind the bytes that are `filled`.
    pub(super) block: Block,
    pub(super) filled: usize,
    pub(super) work: Work,
    /// Groups of holes that may still be announced.
    pub(super) holes_left: u64,
    pub(super) press: Press,
}

impl Ahead {
    /// Walks, reads and hashes until all is read or nobody wants more.
    pub(super) fn run(mut self) {
        self.work.begin();
        let mut entry = 0;
        loop {
            let more = match self.walk(entry) {
                Err(error) => {
                    self.board.lock().failed = Some(error);
                    false
                }
                Ok(more) => more,
            };
            if !more || self.entry(entry).is_err() {
                break;
            }
            entry += 1;
        }
        let is_read = self.hand_over().is_ok();
        if is_read {
            let mut state = self.board.lock();
            state.is_at_end = state.failed.is_none();
        }
        (self.board.wake)();
        if is_read {
            self.pass_rest();
        }
    }

    /// Walks a little further than to this entry; says whether there is one.
    fn walk(&mut self, entry: u32) -> io::Result<bool> {
        for step in 0.. {
            let mut catalogue = lock(&self.catalogue);
            let is_known = catalogue.layout.entries() > entry;
            if catalogue.is_complete() || (is_known && step >= STEPS) {
                return Ok(is_known);
            }
            let found = catalogue.advance()?;
            drop(catalogue);
            let mut state = self.board.lock();
            state.found.extend(found);
            let is_full = state.found.len() >= FOUND_MAX;
            drop(state);
            if is_full {
                (self.board.wake)();
                if is_known {
                    break;
                }
                if self.board.wait(|state| state.found.len() <= FOUND_MAX / 2).is_err() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Reads an entry from its first byte to its last, unless nobody wants it.
    fn entry(&mut self, entry: u32) -> Result<(), Stopped> {
        let mut catalogue = lock(&self.catalogue);
        let stream = catalogue.stream.clone().filter(|_| catalogue.is_stream(entry));
        let (range, is_bare) = (catalogue.layout.range(entry).unwrap_or_default(), catalogue.is_bare(entry));
        drop(catalogue);
        if is_bare {
            return Ok(());
        }
        if stream.is_none() {
            self.hear(entry)?;
            if let Some(digest) = self.compare(entry, &range)? {
                self.board.lock().digests.push_back((entry, digest));
                return Ok(());
            }
        }
        let mut resume = self.resume(entry, &range, stream.is_none())?;
        let mut hashes = Hashes::new(self.sha256, resume.as_ref().map(|_| range.end - range.start));
        let mut offset = 0;
        let mut trouble = None;
        while trouble.is_none() && range.start.saturating_add(offset) < range.end {
            if self.is_unwanted(entry, stream.is_some())? && (self.filled == 0 || !is_tiny(&range)) {
                trouble = Some(FileDigest::Skipped);
                // That which waits to be handed over as well.
                self.board.lock().void.insert(range.clone());
                break;
            }
            if let Some(resume) = &mut resume
                && let Some(kept) = self.keep(resume, (entry, offset), &range, &mut hashes)?
            {
                offset = offset.saturating_add(kept);
                continue;
            }
            if let Some(resume) = &mut resume
                && let Some(hole) = self.pass_hole(resume, (entry, offset), &range, &mut hashes)?
            {
                offset = offset.saturating_add(hole);
                continue;
            }
            match self.read_some(entry, offset, &range, stream.as_deref(), &mut hashes) {
                Ok(0) => break,
                Ok(count) => offset = offset.saturating_add(count as u64),
                Err(reason) => trouble = Some(FileDigest::Withdrawn { reason }),
            }
            resume.iter_mut().for_each(|resume| Self::remember(resume, &mut hashes));
            // What drips is to be sent as it drips.
            if self.filled >= BLOCK || stream.is_some() {
                self.hand_over()?;
            }
        }
        resume.iter_mut().for_each(|resume| self.tell(resume, entry));
        if trouble.is_some() && stream.is_none() {
            self.leave_out(range.start.saturating_add(offset)..range.end)?;
        }
        // Read or not, nobody wants it.
        let is_unwanted = trouble.is_none() && self.is_unwanted(entry, false)?;
        let digest = trouble.or(is_unwanted.then_some(FileDigest::Skipped)).unwrap_or_else(|| hashes.digest(offset));
        self.board.lock().digests.push_back((entry, digest));
        Ok(())
    }

    /// Reads on into the block; gives how many bytes came, none at the end of a stream.
    pub(super) fn read_some(
        &mut self,
        entry: u32,
        offset: u64,
        range: &Range<u64>,
        stream: Option<&Stream>,
        hashes: &mut Hashes,
    ) -> Result<usize, String> {
        let filled = self.filled;
        let left = usize::try_from(range.end.saturating_sub(range.start).saturating_sub(offset)).unwrap_or(usize::MAX);
        let to_border = usize::try_from(GROUP - offset % GROUP).unwrap_or(PIECE);
        let length = left.min(PIECE).min(to_border).min(BLOCK.saturating_sub(filled));
        let end = filled.saturating_add(length);
        if self.block.bytes.len() < end {
            self.block.bytes.resize(end, 0);
        }
        let room = self.block.bytes.get_mut(filled..end).unwrap_or_default();
        let read = match stream {
            Some(stream) => stream.pull(offset, room).map_err(|error| format!("it cannot be read: {error}")),
            None => self.reader.read_file(entry, offset, room).map_err(|error| error.reason()),
        };
        let count = *read.as_ref().unwrap_or(&0);
        hashes.update(room.get(..count).unwrap_or_default());
        self.filled = filled.saturating_add(count);
        read
    }

    /// Whether nobody wants an entry. If somebody does and it `is_pulled`, only [`ReadAhead::skip`] ends it from here on.
    pub(super) fn is_unwanted(&self, entry: u32, is_pulled: bool) -> Result<bool, Stopped> {
        let mut state = self.board.lock();
        if state.is_stopped {
            return Err(Stopped);
        }
        let is_unwanted = state.unwanted.contains(entry.into());
        state.pulled = (is_pulled && !is_unwanted).then_some(entry);
        Ok(is_unwanted)
    }

    /// Leaves bytes out: nobody reads them, nobody sends them.
    pub(super) fn leave_out(&mut self, range: Range<u64>) -> Result<(), Stopped> {
        self.hand_over()?;
        let mut state = self.board.lock();
        state.ready = state.ready.max(range.end);
        self.block.start = range.end;
        state.void.insert(range);
        drop(state);
        (self.board.wake)();
        Ok(())
    }

    /// Puts the block into the ring, as soon as there is room. The walk goes on meanwhile: if a file is withdrawn, what lies behind it
    /// may have to wait until the other side knows, and it learns that behind the last name.
    pub(super) fn hand_over(&mut self) -> Result<(), Stopped> {
        if self.filled == 0 {
            return Ok(());
        }
        self.press.press(&mut self.block, self.filled);
        self.board.lock().pace.add(self.work.end());
        let handed_over = self.put();
        self.work.begin();
        handed_over
    }

    pub(super) fn put(&mut self) -> Result<(), Stopped> {
        self.block.bytes.truncate(std::mem::take(&mut self.filled));
        let end = self.block.end();
        let mut block = std::mem::replace(&mut self.block, Block { start: end, ..Block::default() });
        // What it costs is what it has; a stream often yields little at a time.
        block.bytes.shrink_to_fit();
        if block.bytes.is_empty() {
            return Ok(());
        }
        loop {
            let is_complete = lock(&self.catalogue).is_complete();
            self.pass_time(|State { ring, void, found, .. }| {
                ring.make_room(&block, void) || !is_complete && found.len() < FOUND_MAX
            })?;
            let mut guard = self.board.lock();
            let state = &mut *guard;
            if state.ring.make_room(&block, &state.void) {
                state.ready = end;
                state.ring.push(block);
                self.block.bytes = state.ring.take_spare();
                drop(guard);
                (self.board.wake)();
                return Ok(());
            }
            drop(guard);
            self.walk_on()?;
        }
    }

    /// Walks a little further.
    pub(super) fn walk_on(&mut self) -> Result<(), Stopped> {
        for _ in 0..STEPS {
            let step = lock(&self.catalogue).advance();
            let mut state = self.board.lock();
            match step {
                Ok(None) => break,
                Ok(found) => state.found.extend(found),
                Err(error) => {
                    state.failed = Some(error);
                    return Err(Stopped);
                }
            }
        }
        (self.board.wake)();
        Ok(())
    }
}

/// Whether to leave bytes out would cost more than to send them: it splits the packet that they would be in.
pub(super) fn is_tiny(range: &Range<u64>) -> bool {
    range.end.saturating_sub(range.start) < PACKET
}

/// What a packet carries on most paths, in bytes.
const PACKET: u64 = 1400;

/// Bytes that are handed over at once.
const BLOCK: usize = 1024 * 1024;

/// Bytes read and hashed at once: enough for a system call, and few enough that the hash finds them in the core's cache.
const PIECE: usize = 64 * 1024;

/// Steps of the walk for each file that is read: names run ahead of bytes.
const STEPS: usize = 256;

/// What the walk came to and nobody asked for yet, at most.
pub(super) const FOUND_MAX: usize = 4096;
