//! Files that are there with the size of those that are to come, compared by content: hashed here, a little at a time, and told to the sender,
//! who hashes its own and sends them only if they differ.
//!
//! A sender makes us read no more than the files that its manifest names with their right sizes, each once.

use super::super::place::Place;
use super::folders::ROOT;
use super::roster::{Digests, State};
use super::{Event, Tree};
use crate::chunker::manifest::Kind;
use crate::chunker::request::Existing;
use rustix::fs::{Mode, OFlags, openat};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;

/// What is still to be hashed.
#[derive(Default)]
pub(super) struct Comparison {
    /// In the order of the manifest; four bytes for each.
    queue: VecDeque<u32>,
    /// The first of them.
    open: Option<Reading>,
    buffer: Vec<u8>,
}

struct Reading {
    file: File,
    size: u64,
    read: u64,
    hasher: Box<blake3::Hasher>,
}

impl Tree {
    /// Of so many entries, counted from the first, all that is there already was told; nothing is, if nobody has asked for it.
    pub fn looked(&self) -> u32 {
        let is_asked = self.files.is_resuming() || matches!(self.files.existing, Existing::Update(_));
        let all = if is_asked { self.files.roster.count() } else { 0 };
        self.comparison.queue.front().copied().unwrap_or(all)
    }

    /// Files that were there already, and their bytes.
    pub fn there(&self) -> (u64, u64) {
        self.there
    }

    /// Whether [`Tree::compare_on`] has something to do.
    pub(super) fn is_comparing(&self) -> bool {
        !self.comparison.queue.is_empty()
    }

    /// Hashes up to a megabyte of what is there: little enough that nobody else waits for long.
    pub(super) fn compare_on(&mut self) {
        let mut left = SLICE;
        while left > 0
            && let Some(entry) = self.comparison.queue.front().copied()
        {
            match self.hash_on(entry, left) {
                Ok((read, None)) => left = left.saturating_sub(read.max(1)),
                // As if nothing were there: what comes replaces it, or says why it cannot.
                Err(_) => self.end_comparison(),
                Ok((read, Some(blake3))) => {
                    left = left.saturating_sub(read.max(SMALL));
                    self.end_comparison();
                    self.tell_content(entry, blake3);
                }
            }
        }
    }

    /// An entry may be the same as the file that is there.
    pub(super) fn queue_comparison(&mut self, entry: u32) {
        self.comparison.queue.push_back(entry);
    }

    /// Whether the sender's file is the one that is there: then that was all.
    pub(super) fn is_same(&mut self, entry: u32, size: u64, theirs: &[u8; 32]) -> bool {
        let roster = &mut self.files.roster;
        let is_alike = roster.state(entry) == State::Alike
            && roster.layout.range(entry).is_some_and(|range| range.end - range.start == size);
        is_alike && roster.digests(entry).is_ok_and(|ours| ours.is_of_another && ours.blake3 == *theirs)
    }

    /// The file that is there stays, and what an earlier session left of another one goes.
    pub(super) fn stay(&mut self, entry: u32) {
        self.withdraw_offer(entry);
        self.files.leave_earlier(entry);
        self.undecided = self.undecided.saturating_sub(1);
        self.on_there(entry);
    }

    /// The same file is there already.
    pub(super) fn on_there(&mut self, entry: u32) {
        self.files.roster.set_state(entry, State::There);
        let layout = &self.files.roster.layout;
        let bytes = layout.range(entry).map_or(0, |range| range.end - range.start);
        self.there = (self.there.0 + 1, self.there.1.saturating_add(bytes));
    }

    fn end_comparison(&mut self) {
        self.comparison.queue.pop_front();
        self.comparison.open = None;
    }

    fn tell_content(&mut self, entry: u32, blake3: [u8; 32]) {
        // Who has sent its digest before it heard of ours sends its bytes as well.
        if self.files.roster.state(entry) == State::Alike && entry >= self.next_digest {
            let ours = Digests { blake3, sha256: None, synced: false, is_of_another: true };
            if self.files.roster.put_digests(entry, &ours).is_ok() {
                self.events.push_back(Event::Content { entry, blake3 });
            }
        }
    }

    /// Reads on; gives how many bytes that were, and the digest if they were the last.
    fn hash_on(&mut self, entry: u32, most: u64) -> io::Result<(u64, Option<[u8; 32]>)> {
        if self.comparison.open.is_none() {
            self.comparison.open = Some(self.open_there(entry)?);
        }
        let Comparison { open: Some(reading), buffer, .. } = &mut self.comparison else { return Ok((0, None)) };
        buffer.resize(PIECE, 0);
        let mut total = 0;
        while total < most {
            let count = reading.file.read(buffer)?;
            reading.hasher.update(buffer.get(..count).unwrap_or_default());
            reading.read = reading.read.saturating_add(count as u64);
            total = total.saturating_add(count as u64);
            if count == 0 || reading.read > reading.size {
                let is_whole = reading.read == reading.size;
                let digest = is_whole.then(|| reading.hasher.finalize().into());
                return digest.map(|digest| (total, Some(digest))).ok_or_else(|| io::ErrorKind::InvalidData.into());
            }
        }
        Ok((total, None))
    }

    fn open_there(&mut self, entry: u32) -> io::Result<Reading> {
        let described = self.files.roster.entry(entry).map_err(io::Error::other)?;
        let Kind::File { size } = described.kind else { return Err(io::ErrorKind::InvalidInput.into()) };
        let folder = self.files.folders.find(&self.files.store, described.path.parent().unwrap_or(ROOT))?;
        let folder = folder.ok_or(io::ErrorKind::NotFound)?;
        let place = Place::within(&self.files.store, folder, &described.path);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&*place.folder, &place.target, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.size() != size || self.files.roster.state(entry) != State::Alike {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Reading { file, size, read: 0, hasher: Box::default() })
    }
}

/// Bytes that are hashed in one go.
const SLICE: u64 = 1024 * 1024;

/// What opening a file costs, in bytes that could be hashed meanwhile.
const SMALL: u64 = 16 * 1024;

/// Bytes that are read at once: enough for all lanes of the hash, little enough for a cache.
const PIECE: usize = 128 * 1024;
