//! Every entry of a tree: what it is, how far it is, and the digest that waits for its counterpart.

use super::super::error::{Cause, Operation, StoreError};
use crate::chunker::layout::Layout;
use crate::chunker::manifest::{Entry, Kind};
use crate::codec::Cursor;
use crate::io::spool::{Records, Spool};
use crate::ranges::RangeSet;
use std::io;

/// The table of a transfer's entries. A million of them cost 9 MB of memory, for what every packet asks for; the rest is spooled.
#[derive(Debug, Default)]
pub(super) struct Roster {
    pub(super) layout: Layout,
    /// The entry without a size, which is the last.
    open: Option<u32>,
    states: Vec<State>,
    entries: Records,
    digests: Spool,
}

/// How far an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A file that may come; nothing of it is there.
    Waiting,
    /// The same, and a file of its size has its name: whether it is to come at all is being found out, and no room was promised to it.
    Alike,
    /// Some of its bytes are there.
    Growing,
    /// All of them are there, under the temporary name; nobody knows yet whether they are the right ones.
    Complete,
    /// They are. It waits for the disk and for its name.
    Verified,
    /// It has its name.
    Placed,
    /// It had its name before: the same file is there.
    There,
    /// It may not come.
    Refused,
    /// It came to nothing.
    Failed,
    /// A folder that was there.
    Folder,
    /// A folder that was not there.
    NewFolder,
    /// A link that is to be made when all files have come.
    Link,
    /// A link that was made, or may not be.
    PastLink,
}

impl State {
    /// Whether it is a file, or was to be one, that the sender sends a digest of.
    pub(super) fn has_digest(self) -> bool {
        !matches!(self, State::Folder | State::NewFolder | State::Link | State::PastLink)
    }
}

/// Digests of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) blake3: [u8; 32],
    pub(super) sha256: Option<[u8; 32]>,
    /// Ours: the file is durable already.
    pub(super) synced: bool,
    /// Ours: of the file that has the name, and not of one that came.
    pub(super) is_of_another: bool,
}

impl Roster {
    /// Takes in an entry, `None` if its name is not taken here; gives its number.
    pub(super) fn push(&mut self, entry: Option<&Entry>, kind: &Kind, state: State) -> io::Result<u32> {
        let laid = match kind {
            Kind::File { size } => self.layout.push(*size),
            Kind::Folder | Kind::Link { .. } => self.layout.push(0),
            Kind::Open => self.layout.push_open(),
        };
        debug_assert!(laid, "the manifest's reader keeps the same limits");
        let bytes = entry.map(Entry::to_bytes).transpose().map_err(io::Error::other)?;
        let number = self.entries.count();
        self.entries.push(&bytes.unwrap_or_default())?;
        self.states.push(state);
        self.open = (*kind == Kind::Open).then_some(number);
        Ok(number)
    }

    /// The first file from this entry on.
    pub(super) fn file_from(&self, entry: u32) -> Option<u32> {
        (entry..self.count()).find(|number| self.state(*number).has_digest())
    }

    /// Whether nobody announced the size of an entry: the open one, also once its size became known.
    pub(super) fn is_open(&self, number: u32) -> bool {
        self.open == Some(number)
    }

    /// The size of a file; that of the open one is `size` from now on. `None` if it cannot be as large.
    pub(super) fn settle_size(&mut self, number: u32, size: u64) -> Option<u64> {
        if self.is_open(number) && self.layout.is_open() && !self.layout.close(size) {
            return None;
        }
        self.layout.range(number).map(|range| range.end - range.start)
    }

    pub(super) fn count(&self) -> u32 {
        self.entries.count()
    }

    /// Adds to what was `received` the bytes that follow it and that nobody wants; gives how far all is there then. Of an entry
    /// without an end nobody knows how many those are.
    pub(super) fn pass(&self, received: &mut RangeSet) -> u64 {
        loop {
            let reached = received.first_gap(0);
            let Some(piece) = self.layout.locate(reached) else { return reached };
            let is_unwanted = matches!(self.state(piece.entry), State::Refused | State::Failed | State::There);
            if !is_unwanted || (self.is_open(piece.entry) && self.layout.is_open()) {
                return reached;
            }
            received.insert(reached..reached.saturating_add(piece.length));
        }
    }

    /// The entry with this number.
    pub(super) fn entry(&mut self, number: u32) -> Result<Entry, StoreError> {
        let entry = self.entries.get(number).map(|bytes| bytes.and_then(Entry::from_bytes));
        let missing = || io::Error::other("it is not in the table of the files");
        entry
            .and_then(|entry| entry.ok_or_else(missing))
            .map_err(|reason| StoreError { file: format!("entry {number}"), cause: Cause::of(Operation::Look, reason) })
    }

    /// How far an entry is; unknown ones are refused.
    pub(super) fn state(&self, number: u32) -> State {
        self.states.get(number as usize).copied().unwrap_or(State::Refused)
    }

    pub(super) fn set_state(&mut self, number: u32, state: State) {
        if let Some(known) = self.states.get_mut(number as usize) {
            *known = state;
        }
    }

    /// The numbers of the entries whose state is such.
    pub(super) fn which(&self, such: impl Fn(State) -> bool) -> Vec<u32> {
        (0..self.count()).filter(|number| such(self.state(*number))).collect()
    }

    /// Keeps digests of a file: ours until the sender's come, or the other way round.
    pub(super) fn put_digests(&mut self, number: u32, digests: &Digests) -> io::Result<()> {
        let flags =
            u8::from(digests.sha256.is_some()) | u8::from(digests.synced) << 1 | u8::from(digests.is_of_another) << 2;
        let slot = [&digests.blake3[..], &digests.sha256.unwrap_or_default(), &[flags]].concat();
        self.digests.write_at(u64::from(number) * SLOT as u64, &slot)
    }

    /// The digests that were kept of a file.
    pub(super) fn digests(&mut self, number: u32) -> io::Result<Digests> {
        let mut slot = [0; SLOT];
        self.digests.read_at(u64::from(number) * SLOT as u64, &mut slot)?;
        let mut cursor = Cursor::new(&slot);
        let (blake3, sha256) = (cursor.array().unwrap_or_default(), cursor.array().unwrap_or_default());
        let flags = cursor.byte().unwrap_or_default();
        let (synced, is_of_another) = (flags & 2 != 0, flags & 4 != 0);
        Ok(Digests { blake3, sha256: (flags & 1 != 0).then_some(sha256), synced, is_of_another })
    }
}

/// Two digests and their flags.
const SLOT: usize = 65;
