//! Files that have some of their bytes: written wherever these belong, hashed from the first to the last.

use super::super::{
    error::{Operation, StoreError},
    part::Part,
    place::Place,
};
use crate::chunker::manifest::Modified;
use rustix::fs::{Mode, Timespec, Timestamps, UTIME_OMIT, fchmod, futimens};
use rustix::io::{Errno, pwritev, retry_on_intr};
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;

/// The files of a transfer that have some of their bytes and not all. Dropped, they are removed.
#[derive(Default)]
pub(super) struct Growths {
    files: HashMap<u32, Growing>,
    /// Those that are open; the one that was used last comes last.
    open: VecDeque<u32>,
    /// The one that bytes wait for to be hashed.
    gathering: Option<u32>,
    /// Where what is read again lies meanwhile.
    buffer: Vec<u8>,
}

struct Growing {
    part: Part,
    /// `None` while it makes way for others.
    file: Option<File>,
    content: Content,
}

/// What is known of the bytes of a file.
struct Content {
    hasher: Box<blake3::Hasher>,
    /// Bytes that were hashed or wait in `gathered`: all of them from the first on.
    hashed: u64,
    /// The last bytes of these: hashing many at once is several times as fast as packet by packet.
    gathered: Vec<u8>,
    written: u64,
    unsynced: u64,
}

/// What a file gets when it is complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finish {
    /// Its permissions and its time.
    pub(super) given: Given,
    /// Whether to wait for the disk.
    pub(super) sync: bool,
}

/// The attributes of a file or a folder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    /// Its permission bits, none beyond 0o777.
    pub(super) mode: u32,
    /// Its time of change; `None` for that of its last write.
    pub(super) modified: Option<Modified>,
}

impl Growths {
    /// How many files there are.
    pub(super) fn count(&self) -> usize {
        self.files.len()
    }

    /// Takes in a file that was just made.
    pub(super) fn begin(&mut self, entry: u32, part: Part, file: File) {
        let hasher = Box::new(blake3::Hasher::new());
        let content = Content { hasher, hashed: 0, gathered: Vec::new(), written: 0, unsynced: 0 };
        self.files.insert(entry, Growing { part, file: Some(file), content });
        self.note_open(entry);
    }

    /// How many bytes of a file are there.
    pub(super) fn written(&self, entry: u32) -> u64 {
        self.files.get(&entry).map_or(0, |growing| growing.content.written)
    }

    /// Where a file will be.
    pub(super) fn place(&self, entry: u32) -> Option<&Place> {
        self.files.get(&entry).map(|growing| &growing.part.place)
    }

    /// Puts bytes where they belong. They were not there before.
    pub(super) fn write(&mut self, entry: u32, offset: u64, bytes: &[&[u8]]) -> Result<(), StoreError> {
        self.gather_for(entry);
        let Some((part, file, content)) = self.opened(entry)? else { return Ok(()) };
        part.place.attempt(Operation::Write, || write_all(file, offset, bytes))?;
        let length = bytes.iter().map(|slice| slice.len() as u64).sum::<u64>();
        content.written += length;
        content.unsynced += length;
        if offset == content.hashed {
            content.absorb(bytes);
        }
        if part.place.store.policy.sync && content.unsynced >= part.place.store.sync_every {
            part.place.attempt(Operation::SyncData, || file.sync_data())?;
            content.unsynced = 0;
        }
        Ok(())
    }

    /// Hashes what came before its turn: up to `prefix`, the number of bytes that are there from the first on, but not more
    /// than a few megabytes, so that nobody waits for it. It is in the memory of the system, and read from there.
    pub(super) fn catch_up(&mut self, entry: u32, prefix: u64) -> Result<(), StoreError> {
        let behind = self.files.get(&entry).is_some_and(|growing| growing.content.hashed < prefix);
        if behind { self.read_back(entry, prefix, CATCH_UP) } else { Ok(()) }
    }

    /// Ends a complete file of `size` bytes: gives its digest and leaves it, closed, under its temporary name.
    pub(super) fn finish(&mut self, entry: u32, size: u64, finish: Finish) -> Result<[u8; 32], StoreError> {
        self.read_back(entry, size, u64::MAX)?;
        let Some((part, file, content)) = self.opened(entry)? else { return Ok([0; 32]) };
        content.flush();
        let place = &part.place;
        place.attempt(Operation::Attributes, || set_attributes(file, finish.given))?;
        if finish.sync {
            place.attempt(Operation::SyncFile, || file.sync_all())?;
        }
        let blake3 = content.hasher.finalize().into();
        if let Some(growing) = self.remove(entry) {
            growing.part.leave();
        }
        Ok(blake3)
    }

    /// Forgets a file and removes it.
    pub(super) fn discard(&mut self, entry: u32) {
        self.remove(entry);
    }

    fn remove(&mut self, entry: u32) -> Option<Growing> {
        self.open.retain(|open| *open != entry);
        self.gathering = self.gathering.filter(|gathering| *gathering != entry);
        self.files.remove(&entry)
    }

    fn read_back(&mut self, entry: u32, prefix: u64, most: u64) -> Result<(), StoreError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.read_back_through(entry, prefix, most, &mut buffer);
        self.buffer = buffer;
        result
    }

    fn read_back_through(
        &mut self,
        entry: u32,
        prefix: u64,
        most: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let Some((part, file, content)) = self.opened(entry)? else { return Ok(()) };
        let end = prefix.min(content.hashed.saturating_add(most));
        if content.hashed < end {
            content.flush();
            buffer.resize(GATHERED_MAX, 0);
        }
        while content.hashed < end {
            let length = usize::try_from(end - content.hashed).unwrap_or(usize::MAX).min(buffer.len());
            let Some(room) = buffer.get_mut(..length) else { break };
            part.place.attempt(Operation::Read, || file.read_exact_at(room, content.hashed))?;
            content.hasher.update(room);
            content.hashed += length as u64;
        }
        Ok(())
    }

    /// A file, opened again if it had to make way for others.
    fn opened(&mut self, entry: u32) -> Result<Option<(&Part, &File, &mut Content)>, StoreError> {
        let Some(growing) = self.files.get_mut(&entry) else { return Ok(None) };
        if growing.file.is_none() {
            growing.file = Some(growing.part.reopen()?);
        }
        self.note_open(entry);
        let Some(Growing { part, file: Some(file), content }) = self.files.get_mut(&entry) else { return Ok(None) };
        Ok(Some((part, file, content)))
    }

    /// Makes an open file the last to be closed; closes the one that was not used for longest.
    fn note_open(&mut self, entry: u32) {
        if self.open.back() == Some(&entry) {
            return;
        }
        self.open.retain(|open| *open != entry);
        self.open.push_back(entry);
        if self.open.len() > FILES_OPEN
            && let Some(closed) = self.open.pop_front()
            && let Some(growing) = self.files.get_mut(&closed)
        {
            growing.file = None;
        }
    }

    /// Lets only one file gather bytes, so that a thousand of them cost no more memory than one.
    fn gather_for(&mut self, entry: u32) {
        if let Some(other) = self.gathering.replace(entry).filter(|other| *other != entry)
            && let Some(growing) = self.files.get_mut(&other)
        {
            growing.content.flush();
            growing.content.gathered = Vec::new();
        }
    }
}

impl Content {
    /// Takes in the bytes that come next.
    fn absorb(&mut self, bytes: &[&[u8]]) {
        for slice in bytes {
            self.hashed += slice.len() as u64;
            if self.gathered.is_empty() && slice.len() >= LARGE {
                self.hasher.update(slice);
                continue;
            }
            self.gathered.extend_from_slice(slice);
            if self.gathered.len() >= GATHERED_MAX {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        self.hasher.update(&self.gathered);
        self.gathered.clear();
    }
}

/// Gives a file or a folder its permission bits and its time of change, through its handle: no name is followed.
pub(super) fn set_attributes(file: impl AsFd, given: Given) -> io::Result<()> {
    let timed = given.modified.map_or(Ok(()), |modified| futimens(&file, &timestamps(modified)));
    for set in [timed, fchmod(&file, Mode::from_raw_mode(given.mode & 0o777))] {
        match set {
            // Some file systems have neither; the content is what matters.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL) => {}
            set => set?,
        }
    }
    Ok(())
}

/// A time of change as the system takes it; that of access stays.
pub(super) fn timestamps(modified: Modified) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: modified.seconds(), tv_nsec: modified.nanoseconds().into() },
    }
}

/// Writes all slices, one behind the other.
pub(super) fn write_all(file: &File, mut offset: u64, bytes: &[&[u8]]) -> io::Result<()> {
    for group in bytes.chunks(SLICES_MAX) {
        let slices: Vec<IoSlice<'_>> = group.iter().map(|slice| IoSlice::new(slice)).collect();
        let mut written = match group {
            [_] => 0,
            _ => retry_on_intr(|| pwritev(file, &slices, offset))?,
        };
        // A disk that took a part of it usually says why when it is asked to take the rest.
        for slice in group {
            let skipped = written.min(slice.len());
            let rest = slice.get(skipped..).unwrap_or_default();
            file.write_all_at(rest, offset + skipped as u64)?;
            written -= skipped;
            offset += slice.len() as u64;
        }
    }
    Ok(())
}

/// Bytes that are hashed without being gathered: one chunk of BLAKE3's tree, 1024 bytes, for each of the sixteen lanes of the
/// widest vector units.
const LARGE: usize = 16 * 1024;

/// Bytes that are hashed at once: enough for all lanes several times, little enough for a cache.
const GATHERED_MAX: usize = 128 * 1024;

/// What is hashed late in one go: 64 times what is written in one go, and done in a millisecond or two.
const CATCH_UP: u64 = 4 * 1024 * 1024;

/// Files open at once. More than that have some of their bytes only when much is lost.
const FILES_OPEN: usize = 128;

/// Linux's `IOV_MAX`.
const SLICES_MAX: usize = 1024;
