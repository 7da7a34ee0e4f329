//! A thread that reads ahead: it walks, reads each file once from its first byte to its last, and hashes it meanwhile.
//!
//! What it read stays in a ring of blocks, of which the oldest makes room when the other side has taken it. Lost bytes that fell
//! out of the ring are read from their file again.

mod board;
mod hashes;
mod ring;
mod work;

use self::board::{Board, State, Stopped};
use self::hashes::Hashes;
use self::ring::Block;
use self::work::Work;
use super::catalogue::{Described, Found, Shared, lock};
use super::reader::{ReadError, Reader};
use super::stream::Stream;
use crate::chunker::digests::FileDigest;
use crate::limits::Limit;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Sources that are read ahead of who sends them. Dropped, it waits for its thread, which stops at its next block; but not for
/// one that reads for others.
pub struct ReadAhead {
    catalogue: Shared,
    /// For what fell out of the ring.
    reader: Reader,
    board: Arc<Board>,
    thread: Option<JoinHandle<()>>,
}

impl ReadAhead {
    /// Starts to read; `wake` is called when there is more to see.
    pub(super) fn start(
        catalogue: Shared,
        reader: Reader,
        sha256: bool,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> io::Result<Self> {
        let board = Arc::new(Board::new(wake));
        let ahead = Ahead {
            reader: Reader::new(Arc::clone(&catalogue)),
            catalogue: Arc::clone(&catalogue),
            board: Arc::clone(&board),
            sha256,
            block: Block::default(),
            filled: 0,
            work: Work::default(),
        };
        let thread = std::thread::Builder::new().name("read ahead".into()).spawn(move || ahead.run())?;
        Ok(Self { catalogue, reader, board, thread: Some(thread) })
    }

    /// What the walk came to, in its order.
    pub fn poll_found(&mut self) -> Option<Found> {
        let mut state = self.board.lock();
        let found = state.found.pop_front();
        let has_room = state.found.len() <= FOUND_MAX / 2;
        self.board.nudge(state, has_room);
        found
    }

    /// The next file that was read, withdrawn or skipped, in the order of the manifest.
    pub fn poll_digest(&mut self) -> Option<(u32, FileDigest)> {
        self.board.lock().digests.pop_front()
    }

    /// Reads the manifest's bytes, as far as they are known.
    ///
    /// # Errors
    /// When our own copy cannot be read.
    pub fn manifest_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        lock(&self.catalogue).manifest.read_at(offset, out)
    }

    /// How many bytes of the manifest are known.
    pub fn manifest_length(&self) -> u64 {
        lock(&self.catalogue).manifest.length()
    }

    /// The next bytes from `offset` on that are there and are to be sent. What lies before them is not.
    pub fn sendable(&self, offset: u64) -> Option<Range<u64>> {
        let state = self.board.lock();
        state.void.gaps(offset..state.ready).next()
    }

    /// Everything below this offset is there, or will not be sent.
    pub fn ready(&self) -> u64 {
        self.board.lock().ready
    }

    /// Where the bytes end, once that is known; the digests of all files are there then.
    pub fn end(&self) -> Option<u64> {
        let state = self.board.lock();
        state.is_at_end.then_some(state.ready)
    }

    /// Reads bytes that are, or were, [`ReadAhead::sendable`]; gives how many there are.
    ///
    /// # Errors
    /// [`ReadError`] when they fell out of the ring, and their file cannot be read again. Its receiver will find out.
    pub fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<usize, ReadError> {
        let mut state = self.board.lock();
        let taken = state.ring.read_at(offset, out);
        state.ring.take_to(offset.saturating_add(taken as u64));
        let has_room = state.ring.can_drop(&state.void);
        self.board.nudge(state, has_room);
        if taken > 0 { Ok(taken) } else { self.reader.read_at(offset, out) }
    }

    /// The receiver does not want this entry: it is not read, unless that happened already or is as cheap. Gives which of the bytes
    /// that are there will not be sent any more.
    pub fn skip(&mut self, entry: u32) -> Option<Range<u64>> {
        let mut state = self.board.lock();
        state.unwanted.insert(u64::from(entry)..u64::from(entry).saturating_add(1));
        if state.pulled == Some(entry) {
            // Nobody waits for what a pipe may bring. It is the last entry, so that was all.
            state.digests.push_back((entry, FileDigest::Skipped));
            (state.is_stopped, state.is_at_end) = (true, true);
        }
        let range = lock(&self.catalogue).layout.range(entry).filter(|range| !is_tiny(range));
        // What was read of it is not sent any more. The thread skips the rest when it comes to it.
        let there =
            range.filter(|range| range.start < state.ready).map(|range| range.start..range.end.min(state.ready));
        if let Some(range) = &there {
            state.void.insert(range.clone());
        }
        drop(state);
        self.board.moved.notify_all();
        there
    }

    /// What is known of an entry.
    pub fn describe(&self, entry: u32) -> Described {
        lock(&self.catalogue).describe(entry)
    }

    /// What whoever waits for more waits for.
    pub fn behind(&self) -> Limit {
        let state = self.board.lock();
        match (state.pace.is_laborious(), state.pulled) {
            (true, _) => Limit::Processor,
            (false, Some(_)) => Limit::Input,
            (false, None) => Limit::Disk,
        }
    }

    /// Why it cannot go on at all, if that is so: our own table cannot be kept.
    pub fn failure(&mut self) -> Option<io::Error> {
        self.board.lock().failed.take()
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.board.lock().is_stopped = true;
        self.board.moved.notify_all();
        // It ends with the program, or by itself.
        if !lock(&self.catalogue).is_left_alone()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct Ahead {
    catalogue: Shared,
    reader: Reader,
    board: Arc<Board>,
    sha256: bool,
    /// The block that is being filled: it has room behind the bytes that are `filled`.
    block: Block,
    filled: usize,
    work: Work,
}

impl Ahead {
    fn run(mut self) {
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
        if self.hand_over().is_ok() {
            let mut state = self.board.lock();
            state.is_at_end = state.failed.is_none();
        }
        (self.board.wake)();
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
        let (range, is_folder) = (catalogue.layout.range(entry).unwrap_or_default(), catalogue.is_folder(entry));
        drop(catalogue);
        if is_folder {
            return Ok(());
        }
        let mut hashes = Hashes::new(self.sha256);
        let mut offset = 0;
        let mut trouble = None;
        while trouble.is_none() && range.start.saturating_add(offset) < range.end {
            if self.is_unwanted(entry, stream.is_some())? && (self.filled == 0 || !is_tiny(&range)) {
                trouble = Some(FileDigest::Skipped);
                // That which waits to be handed over as well.
                self.board.lock().void.insert(range.clone());
                break;
            }
            match self.read_some(entry, offset, &range, stream.as_deref(), &mut hashes) {
                Ok(0) => break,
                Ok(count) => offset = offset.saturating_add(count as u64),
                Err(reason) => trouble = Some(FileDigest::Withdrawn { reason }),
            }
            // What drips is to be sent as it drips.
            if self.filled >= BLOCK || stream.is_some() {
                self.hand_over()?;
            }
        }
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
    fn read_some(
        &mut self,
        entry: u32,
        offset: u64,
        range: &Range<u64>,
        stream: Option<&Stream>,
        hashes: &mut Hashes,
    ) -> Result<usize, String> {
        let filled = self.filled;
        let left = usize::try_from(range.end.saturating_sub(range.start).saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = left.min(PIECE).min(BLOCK.saturating_sub(filled));
        let end = filled.saturating_add(length);
        if self.block.bytes.len() < end {
            self.block.bytes.resize(end, 0);
        }
        let room = self.block.bytes.get_mut(filled..end).unwrap_or_default();
        let read = match stream {
            Some(stream) => stream.pull(room).map_err(|error| format!("it cannot be read: {error}")),
            None => self.reader.read_file(entry, offset, room).map_err(|error| error.reason()),
        };
        let count = *read.as_ref().unwrap_or(&0);
        hashes.update(room.get(..count).unwrap_or_default());
        self.filled = filled.saturating_add(count);
        read
    }

    /// Whether nobody wants an entry. If somebody does and it `is_pulled`, only [`ReadAhead::skip`] ends it from here on.
    fn is_unwanted(&self, entry: u32, is_pulled: bool) -> Result<bool, Stopped> {
        let mut state = self.board.lock();
        if state.is_stopped {
            return Err(Stopped);
        }
        let is_unwanted = state.unwanted.contains(entry.into());
        state.pulled = (is_pulled && !is_unwanted).then_some(entry);
        Ok(is_unwanted)
    }

    /// Leaves bytes out: nobody reads them, nobody sends them.
    fn leave_out(&mut self, range: Range<u64>) -> Result<(), Stopped> {
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
    fn hand_over(&mut self) -> Result<(), Stopped> {
        if self.filled == 0 {
            return Ok(());
        }
        self.board.lock().pace.add(self.work.end());
        let handed_over = self.put();
        self.work.begin();
        handed_over
    }

    fn put(&mut self) -> Result<(), Stopped> {
        self.block.bytes.truncate(std::mem::take(&mut self.filled));
        let end = self.block.end();
        let mut block = std::mem::replace(&mut self.block, Block { start: end, bytes: Vec::new() });
        // What it costs is what it has; a stream often yields little at a time.
        block.bytes.shrink_to_fit();
        if block.bytes.is_empty() {
            return Ok(());
        }
        loop {
            let is_complete = lock(&self.catalogue).is_complete();
            let mut has_room = false;
            let mut state = self.board.wait(|State { ring, void, found, .. }| {
                has_room = ring.make_room(&block, void);
                has_room || !is_complete && found.len() < FOUND_MAX
            })?;
            if has_room {
                state.ready = end;
                state.ring.push(block);
                self.block.bytes = state.ring.take_spare();
                drop(state);
                (self.board.wake)();
                return Ok(());
            }
            drop(state);
            self.walk_on()?;
        }
    }

    /// Walks a little further.
    fn walk_on(&mut self) -> Result<(), Stopped> {
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
fn is_tiny(range: &Range<u64>) -> bool {
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
const FOUND_MAX: usize = 4096;
