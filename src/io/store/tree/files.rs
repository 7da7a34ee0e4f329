//! The files of a tree, one by one: each begins, grows, is complete, gets its name or is gone.

use super::super::{
    Store,
    error::{Cause, Operation, StoreError, shown},
    part::Part,
    place::Place,
};
use super::Tree;
use super::admission::{Admitted, admit, in_the_way};
use super::durability::Unsynced;
use super::folders::{Folders, ROOT, device};
use super::growing::{Finish, Given, Growths, set_attributes};
use super::guard::Guard;
use super::partials::Partials;
use super::publishing::{Desk, Published, Verified};
use super::receipts::Receipts;
use super::resuming::Peer;
use super::roster::{Digests, Roster, State};
use super::space::Space;
use crate::chunker::layout::Piece;
use crate::chunker::manifest::{Entry, Kind};
use crate::chunker::request::{Attributes, Existing};
use cap_std::fs::Dir;
use std::sync::Arc;

/// What is on the disk of a transfer. Dropped, all temporary files are removed.
pub(super) struct Files {
    pub(super) store: Arc<Store>,
    pub(super) existing: Existing,
    pub(super) attributes: Attributes,
    /// Components of their paths that links may not lead out of.
    pub(super) link_root: usize,
    pub(super) roster: Roster,
    pub(super) folders: Folders,
    pub(super) space: Space,
    pub(super) growths: Growths,
    /// Those that the next session of this peer can go on with.
    pub(super) partials: Partials,
    pub(super) peer: Option<Peer>,
    /// What earlier sessions of this transfer have placed, and this one has.
    pub(super) receipts: Option<Receipts>,
    /// What an earlier session left is removed.
    pub(super) is_new_start: bool,
    batch: Vec<Verified>,
    unsynced: Unsynced,
    /// From the first file on; unlocked when all others are gone.
    pub(super) guard: Option<Guard>,
}

impl Files {
    pub(super) fn new(store: &Arc<Store>, existing: Existing) -> Files {
        Files {
            store: Arc::clone(store),
            existing,
            attributes: Attributes::Fresh,
            link_root: 0,
            roster: Roster::default(),
            folders: Folders::default(),
            space: Space::new(store),
            guard: None,
            growths: Growths::default(),
            partials: Partials::default(),
            peer: None,
            receipts: None,
            is_new_start: false,
            batch: Vec::new(),
            unsynced: Unsynced::default(),
        }
    }

    /// Says whether an entry may come.
    pub(super) fn admit(&mut self, entry: &Entry) -> Result<Admitted, StoreError> {
        if self.roster.count() == 0 {
            self.find_receipts(entry);
        }
        if let Kind::Link { target } = &entry.kind {
            return self.admit_link(entry, target);
        }
        let names = self.names(entry).filter(|_| !self.is_new_start);
        let rule = (self.existing, self.receipts.as_mut());
        admit(&self.store, &mut self.folders, &mut self.space, rule, entry, names.as_ref())
    }

    /// Whether an entry would be one too many of those that have some of their bytes.
    pub(super) fn is_crowded(&self, entry: u32) -> bool {
        self.is_full() && matches!(self.roster.state(entry), State::Waiting | State::Alike)
    }

    /// Whether as many have some of their bytes as may.
    pub(super) fn is_full(&self) -> bool {
        self.growths.count() + self.partials.count() >= GROWTHS_MAX
    }

    /// Writes a part of an entry; drops it if nobody wants it.
    pub(super) fn write(&mut self, piece: Piece, bytes: &[&[u8]]) -> Result<(), StoreError> {
        match self.roster.state(piece.entry) {
            State::Waiting | State::Alike => self.begin(piece.entry)?,
            State::Growing => {}
            _ => return Ok(()),
        }
        let is_open = self.roster.is_open(piece.entry);
        if let Some(place) = self.growths.place(piece.entry).filter(|_| is_open) {
            // Nobody promised room for it.
            place.check_size(piece.offset.saturating_add(piece.length))?;
            self.space.promise(place, piece.length, 0)?;
        }
        let written = if self.partials.has(piece.entry) {
            self.partials.write(piece.entry, piece.offset, bytes)
        } else {
            self.growths.write(piece.entry, piece.offset, bytes)
        };
        if written.is_ok() || is_open {
            self.space.release(piece.length);
        }
        written
    }

    /// Hashes what of an entry is there from the first byte on.
    pub(super) fn catch_up(&mut self, entry: u32, prefix: u64) -> Result<(), StoreError> {
        self.growths.catch_up(entry, prefix)
    }

    /// Ends an entry of which all bytes are there; gives our digest.
    pub(super) fn complete(&mut self, entry: u32, size: u64) -> Result<Digests, StoreError> {
        if self.roster.state(entry) == State::Waiting {
            // Nothing came, and nothing was to come.
            self.begin(entry)?;
        }
        let described = self.roster.entry(entry)?;
        let place = self.growths.place(entry).or_else(|| self.partials.place(entry));
        let elsewhere = place.map(|place| device(&place.folder).ok());
        let guard = self.guard.as_ref();
        let elsewhere = elsewhere.flatten() != guard.map(|guard| guard.device);
        let synced = self.store.policy.sync && (size >= ALONE || elsewhere);
        let finish = Finish { given: self.given(&described), sync: synced };
        let blake3 = match self.partials.has(entry) {
            true => self.partials.finish(entry, finish)?,
            false => self.growths.finish(entry, size, finish)?,
        };
        self.roster.set_state(entry, State::Complete);
        Ok(Digests { blake3, sha256: None, synced, is_of_another: false })
    }

    /// Takes a verified file into the batch; says whether the batch is full.
    pub(super) fn verified(&mut self, file: Verified) -> bool {
        self.roster.set_state(file.entry, State::Verified);
        self.batch.push(file);
        // A large one is durable already, and without its name nothing for a session that comes after a crash.
        self.batch.len() >= BATCH_MAX || self.partials.has(file.entry)
    }

    /// How many files wait for their names.
    pub(super) fn batched(&self) -> u64 {
        self.batch.len() as u64
    }

    /// Gives all files of the batch their names.
    pub(super) fn publish(&mut self) -> Vec<Published> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Vec::new();
        }
        let published = self.desk().map(|mut desk| desk.publish(batch)).unwrap_or_default();
        for (file, result) in &published {
            let state = if result.is_ok() { State::Placed } else { State::Failed };
            if result.is_ok() {
                self.partials.placed(file.entry);
            }
            self.roster.set_state(file.entry, state);
        }
        published
    }

    /// Removes what is there of an entry that came to nothing, unless it `stays` for a later session, and gives back its room.
    pub(super) fn discard(&mut self, entry: u32, stays: bool) {
        let state = self.roster.state(entry);
        let written = match state {
            State::Growing => self.growths.written(entry).max(self.partials.written(entry)),
            _ => 0,
        };
        match state {
            _ if self.partials.has(entry) => self.partials.discard(entry, stays),
            State::Growing => self.growths.discard(entry),
            // Adopted and dropped, it is removed.
            State::Complete | State::Verified => drop(self.desk().map(|mut desk| desk.part_of(entry))),
            _ => {}
        }
        if matches!(state, State::Waiting | State::Growing)
            && let Ok(Entry { kind: Kind::File { size }, .. }) = self.roster.entry(entry)
        {
            self.space.release(size.saturating_sub(written));
        }
        self.roster.set_state(entry, State::Failed);
    }

    /// Makes the folders in which nothing came, and gives all new ones their permissions and times; says which failed.
    pub(super) fn finish_folders(&mut self) -> Vec<(u32, StoreError)> {
        let new = self.roster.which(|state| state == State::NewFolder);
        let mut failed = Vec::new();
        for entry in &new {
            if let Err(error) =
                self.roster.entry(*entry).and_then(|described| self.make(&described, described.path.as_str()))
            {
                self.roster.set_state(*entry, State::Failed);
                failed.push((*entry, error));
            }
        }
        // From the innermost out: making one changes the time of that which it lies in.
        for entry in new.iter().copied().rev() {
            if self.roster.state(entry) == State::NewFolder
                && let Err(error) = self.roster.entry(entry).and_then(|described| self.finish_folder(&described))
            {
                failed.push((entry, error));
            }
        }
        if let Some(guard) = &self.guard
            && let Err(error) = self.unsynced.sync(&guard.root)
        {
            failed.push((new.first().copied().unwrap_or_default(), error));
        }
        failed
    }

    /// The error of an entry, with its name.
    pub(super) fn error(&mut self, entry: u32, cause: Cause) -> StoreError {
        let described = self.roster.entry(entry);
        let file = described.map_or_else(|_| format!("entry {entry}"), |described| shown(&described.path));
        StoreError { file, cause }
    }

    /// Makes an entry's temporary file, and the folders that it needs.
    pub(super) fn begin(&mut self, entry: u32) -> Result<(), StoreError> {
        let described = self.roster.entry(entry)?;
        let folder = self.make(&described, described.path.parent().unwrap_or(ROOT))?;
        // Leftovers cost room and nothing else: a folder that cannot be swept can be used.
        let _ = self.store.sweep_once(&folder);
        let place = Place::within(&self.store, folder, &described.path);
        if let (State::Alike, &Kind::File { size }) = (self.roster.state(entry), &described.kind) {
            self.space.promise(&place, size, 0)?;
            self.roster.set_state(entry, State::Waiting);
        }
        self.space.begin(&place)?;
        self.begin_partial(entry, &described, &place.folder)?;
        if self.partials.has(entry) {
            self.roster.set_state(entry, State::Growing);
            return Ok(());
        }
        let name = self.guard.as_ref().map(|guard| guard.name_of(entry)).unwrap_or_default();
        let (part, file) = Part::create_as(place, name)?;
        self.growths.begin(entry, part, file);
        self.roster.set_state(entry, State::Growing);
        Ok(())
    }

    /// A folder, made if it is missing, for an entry.
    pub(super) fn make(&mut self, described: &Entry, path: &str) -> Result<Arc<Dir>, StoreError> {
        if self.guard.is_none() {
            self.guard = Some(Guard::set(&self.store)?);
        }
        let made = self.folders.make(&self.store, path);
        for parent in self.folders.take_made_in() {
            self.desk().map_or(Ok(()), |mut desk| desk.note(&parent))?;
        }
        made.map_err(|reason| in_the_way(&described.path, reason))
    }

    fn finish_folder(&mut self, described: &Entry) -> Result<(), StoreError> {
        let folder = self.make(described, described.path.as_str())?;
        let place = Place::within(&self.store, folder, &described.path);
        place.attempt(Operation::Attributes, || set_attributes(&*place.folder, self.given(described)))
    }

    /// The permissions and the time of an entry.
    fn given(&self, described: &Entry) -> Given {
        let allowed = self.guard.as_ref().map_or(0, |guard| guard.allowed);
        match self.attributes {
            Attributes::Fresh => Given { mode: described.mode & allowed, modified: None },
            Attributes::Kept => Given { mode: described.mode, modified: Some(described.modified) },
        }
    }

    /// Where verified files get their names; there once a file began.
    pub(super) fn desk(&mut self) -> Option<Desk<'_>> {
        let Files { store, existing, roster, folders, unsynced, guard, partials, receipts, .. } = self;
        let (existing, receipts) = (*existing, receipts.as_mut());
        guard.as_ref().map(|guard| Desk { store, existing, roster, folders, unsynced, guard, partials, receipts })
    }
}

impl Tree {
    /// Which permissions and times files and new folders get, from now on; without this, fresh ones.
    pub fn give(&mut self, attributes: Attributes) {
        self.files.attributes = attributes;
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Those that still grow remove themselves.
        for entry in self.roster.which(|state| matches!(state, State::Complete | State::Verified)) {
            // What can be resumed stays by itself.
            if !self.partials.has(entry) {
                self.discard(entry, false);
            }
        }
    }
}

/// Files with some of their bytes: each costs 2 KB for its hash. They are as many as the files at whose borders something
/// is missing, so this is a path of 10 Gbit/s with losses and files that are smaller than a packet.
const GROWTHS_MAX: usize = 4096;

/// Files of at least this size, in bytes, are synced by themselves, right after their last byte; smaller ones together.
const ALONE: u64 = 1024 * 1024;

/// Small files that get their names together: enough that what a sync costs does not count, few enough that a failed one
/// does not cost much.
const BATCH_MAX: usize = 2048;
