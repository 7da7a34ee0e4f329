//! A thread that reads ahead: it walks, reads each file once from its first byte to its last, and hashes it meanwhile.
//!
//! What it read stays in a ring of blocks, of which the oldest makes room when the other side has taken it. Lost bytes that fell
//! out of the ring are read from their file again.

mod ahead;
mod board;
mod comparing;
mod compressing;
mod hashes;
mod holes;
mod resuming;
mod ring;
mod work;

pub use self::resuming::Resumption;

use self::ahead::{Ahead, FOUND_MAX, is_tiny};
use self::board::Board;
use self::compressing::Press;
use self::ring::Block;
use self::work::Work;
use super::catalogue::{Described, Found, Holder, Shared, lock};
use super::reader::{ReadError, Reader};
use crate::chunker::digests::FileDigest;
use crate::chunker::groups::HOLES_MAX;
use crate::compression::Compression;
use crate::io::events::Current;
use crate::limits::Limit;
use crate::session::windowed::streams::Form;
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
    /// Groups that are kept of what the receiver says it holds.
    held_max: usize,
    thread: Option<JoinHandle<()>>,
}

impl ReadAhead {
    /// Starts to read; `wake` is called when there is more to see.
    pub(super) fn start(
        catalogue: Shared,
        reader: Reader,
        (sha256, resumption, compression): (bool, Resumption, Compression),
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> io::Result<Self> {
        let (board, held_max) = (Arc::new(Board::new(wake)), resumption.held_max);
        board.lock().remembered.extend(resumption.trial.clone());
        let ahead = Ahead {
            reader: Reader::new(Arc::clone(&catalogue)),
            catalogue: Arc::clone(&catalogue),
            board: Arc::clone(&board),
            sha256,
            resumption,
            block: Block::default(),
            filled: 0,
            work: Work::default(),
            holes_left: HOLES_MAX,
            press: Press::new(compression),
        };
        let thread = std::thread::Builder::new().name("read ahead".into()).spawn(move || ahead.run())?;
        Ok(Self { catalogue, reader, board, held_max, thread: Some(thread) })
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
        state.left = state.left.saturating_add(taken as u64);
        state.ring.take_to(offset.saturating_add(taken as u64));
        let has_room = state.ring.can_drop(&state.void);
        self.board.nudge(state, has_room);
        if taken > 0 { Ok(taken) } else { self.reader.read_at(offset, out) }
    }

    /// How the first of these bytes, which are [`ReadAhead::sendable`] and were not read, go best.
    pub fn form(&mut self, range: Range<u64>, may_compress: bool) -> Form {
        let mut guard = self.board.lock();
        let state = &mut *guard;
        let form = state.ring.form(range, may_compress, &state.void);
        if let Form::Compressed { bytes, .. } = &form {
            state.left = state.left.saturating_add(bytes.len() as u64);
            let has_room = state.ring.can_drop(&state.void);
            self.board.nudge(guard, has_room);
        }
        form
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

    /// How far the file is that has the byte at `offset`. `None` where nobody knows its size.
    pub fn at(&self, offset: u64) -> Option<Current> {
        let mut catalogue = lock(&self.catalogue);
        let (piece, _) = catalogue.locate(offset).filter(|(_, holder)| matches!(holder, Holder::File))?;
        let described = catalogue.describe(piece.entry);
        Some(Current { name: described.name, bytes: piece.offset, size: described.size })
    }

    /// What whoever waits for more waits for.
    pub fn behind(&self) -> Limit {
        let state = self.board.lock();
        match (state.pace.is_laborious(), state.pulled) {
            _ if state.hears => Limit::PeerDisk,
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
