//! Large files that have some of their bytes, and that a later session can go on with: each has a journal beside it.
//!
//! Their names begin with a hash of who sends them and where to, so that the next session of the same peer finds them. What a session
//! holds, the next one takes away from it, in the middle of whatever it does: its own peer has given it up.

mod hole;
mod pair;

pub(super) use pair::Names;
pub(in crate::io::store) use pair::{JOURNAL_SUFFIX, PARTIAL_SUFFIX};

use self::pair::{Open, open_both};
use super::super::{
    Store,
    error::{Cause, Operation, StoreError},
    place::Place,
};
use super::growing::{Finish, set_attributes, write_all};
use super::resuming::Groups;
use crate::chunker::groups::{GROUP, GroupHasher, Root, bytes_of, count};
use crate::ranges::RangeSet;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Those of one transfer. Dropped, they stay where they are, unless there is nothing to go on with.
#[derive(Default)]
pub(super) struct Partials {
    files: HashMap<u32, Partial>,
}

/// What a session holds of a file, until another one takes it.
pub(in crate::io::store) struct Claim {
    session: u64,
    open: Mutex<Option<Open>>,
}

struct Partial {
    place: Place,
    names: Names,
    claim: Arc<Claim>,
    size: u64,
    there: RangeSet,
    /// Groups that are complete, and in the journal.
    done: RangeSet,
    /// Groups that are hashed as they come.
    running: VecDeque<Running>,
    unsynced: u64,
    /// Groups were forgotten, and that is not durable yet: nothing may be written over them before.
    is_forgetful: bool,
    /// The names of both files are durable.
    is_named: bool,
}

struct Running {
    group: u64,
    hasher: GroupHasher,
    next: u64,
}

impl Partials {
    pub(super) fn has(&self, entry: u32) -> bool {
        self.files.contains_key(&entry)
    }

    pub(super) fn count(&self) -> usize {
        self.files.len()
    }

    /// What the file of an entry is called until it has its name.
    pub(super) fn name(&self, entry: u32) -> Option<String> {
        self.files.get(&entry).map(|partial| partial.names.part.clone())
    }

    /// How many bytes of a file are there.
    pub(super) fn written(&self, entry: u32) -> u64 {
        self.files.get(&entry).map_or(0, |partial| partial.there.total())
    }

    pub(super) fn place(&self, entry: u32) -> Option<&Place> {
        self.files.get(&entry).map(|partial| &partial.place)
    }

    /// Takes in an entry: what an earlier session left of it, or, if it `may_begin`, an empty file. False if there is nothing, or another
    /// server has it. Gives the session that it was taken from. A later session has it for good, however late an earlier one's bytes come.
    pub(super) fn open(
        &mut self,
        entry: u32,
        (place, names, size): (Place, Names, u64),
        session: u64,
        may_begin: bool,
    ) -> Result<Option<Option<u64>>, StoreError> {
        let store = Arc::clone(&place.store);
        let mut claims = store.claims();
        if claims.get(&names.part).is_some_and(|other| other.session > session) {
            return Err(place.error(Cause::TakenOver));
        }
        let other = claims.remove(&names.part);
        if let Some(other) = &other {
            // Closed, it is unlocked.
            drop(other.lock().take());
        }
        let taken_from = other.map(|other| other.session).filter(|other| *other != session);
        let opened = place.attempt(Operation::Open, || open_both(&place, &names, may_begin))?;
        let Some(open) = opened else { return Ok(None) };
        let claim = Arc::new(Claim { session, open: Mutex::new(Some(open)) });
        claims.insert(names.part.clone(), Arc::clone(&claim));
        drop(claims);
        let (there, done, running) = (RangeSet::new(), RangeSet::new(), VecDeque::new());
        let (unsynced, is_forgetful, is_named) = (0, false, false);
        let partial = Partial { place, names, claim, size, there, done, running, unsynced, is_forgetful, is_named };
        self.files.insert(entry, partial);
        Ok(Some(taken_from))
    }

    /// The groups that an earlier session left, by number, `most` at most. The others are forgotten: bytes may come for them now.
    pub(super) fn groups(&mut self, entry: u32, most: usize) -> Result<Groups, StoreError> {
        self.with(entry, Groups::new(), |partial, open| {
            let length = open.file.metadata()?.len();
            let mut groups = Groups::new();
            for group in 0..count(partial.size).min(open.journal.reach()?) {
                let is_written = bytes_of(&(group..group + 1), partial.size).end <= length;
                match open.journal.get(group)? {
                    None => {}
                    Some(value) if is_written && groups.len() < most => drop(groups.insert(group, value)),
                    Some(_) => {
                        partial.is_forgetful = true;
                        open.journal.forget(group..group + 1)?;
                    }
                }
            }
            Ok(groups)
        })
    }

    /// These groups are as they are to be.
    pub(super) fn keep(&mut self, entry: u32, groups: Range<u64>) {
        if let Some(partial) = self.files.get_mut(&entry) {
            partial.there.insert(bytes_of(&groups, partial.size));
            partial.done.insert(groups);
        }
    }

    /// These are not, and become others.
    pub(super) fn forget(&mut self, entry: u32, groups: Range<u64>) -> Result<(), StoreError> {
        self.with(entry, (), |partial, open| {
            partial.is_forgetful = true;
            open.journal.forget(groups)
        })
    }

    /// Puts bytes where they belong. They were not there before.
    pub(super) fn write(&mut self, entry: u32, offset: u64, bytes: &[&[u8]]) -> Result<(), StoreError> {
        self.with(entry, (), |partial, open| {
            // Also where nobody waits for the disk: a later session believes what is noted as durable.
            if std::mem::take(&mut partial.is_forgetful) {
                partial.place.try_to(Operation::SyncJournal, || open.journal.sync())?;
            }
            write_all(&open.file, offset, bytes)?;
            partial.absorb(open, offset, bytes)?;
            if partial.place.store.policy.sync && partial.unsynced >= partial.place.store.sync_every {
                partial.place.try_to(Operation::SyncData, || open.file.sync_data())?;
                open.journal.settle()?;
                partial.place.try_to(Operation::SyncJournal, || open.journal.sync())?;
                if !std::mem::replace(&mut partial.is_named, true) {
                    partial.place.sync_folder().map_err(io::Error::other)?;
                }
                partial.unsynced = 0;
            }
            Ok(())
        })
    }

    /// Ends a complete file: gives its digest and leaves it under its temporary name.
    pub(super) fn finish(&mut self, entry: u32, finish: Finish) -> Result<[u8; 32], StoreError> {
        self.with(entry, [0; 32], |partial, open| {
            let mut root = Root::default();
            let missing = || io::Error::other("its journal was changed by somebody else");
            for group in 0..count(partial.size) {
                root.push(open.journal.get(group)?.ok_or_else(missing)?);
            }
            open.file.set_len(partial.size)?;
            set_attributes(&open.file, finish.given)?;
            if finish.sync {
                partial.place.try_to(Operation::SyncFile, || open.file.sync_all())?;
            }
            root.finish().ok_or_else(missing)
        })
    }

    /// It has its name: the journal goes.
    pub(super) fn placed(&mut self, entry: u32) {
        if let Some(partial) = self.files.remove(&entry) {
            let _ =
                partial.place.try_to(Operation::Remove, || partial.place.folder.remove_file(&partial.names.journal));
            partial.release();
        }
    }

    /// Forgets a file and removes it, unless it `stays` for another session, or one has taken it.
    pub(super) fn discard(&mut self, entry: u32, stays: bool) {
        if let Some(partial) = self.files.remove(&entry) {
            if !stays && partial.claim.lock().is_some() {
                partial.names.remove(&partial.place);
            }
            partial.release();
        }
    }

    fn with<T>(
        &mut self,
        entry: u32,
        nothing: T,
        work: impl FnOnce(&mut Partial, &mut Open) -> io::Result<T>,
    ) -> Result<T, StoreError> {
        let Some(partial) = self.files.get_mut(&entry) else { return Ok(nothing) };
        let claim = Arc::clone(&partial.claim);
        let mut open = claim.lock();
        let Some(open) = open.as_mut() else { return Err(partial.place.error(Cause::TakenOver)) };
        let done = partial.place.store.faults.before(Operation::Write).and_then(|()| work(partial, open));
        done.map_err(|reason| partial.place.error(Cause::of(Operation::Write, reason)))
    }
}

impl Drop for Partials {
    fn drop(&mut self) {
        let entries: Vec<u32> = self.files.keys().copied().collect();
        for entry in entries {
            let stays = self.files.get(&entry).is_some_and(|partial| !partial.done.is_empty() || partial.is_offered());
            self.discard(entry, stays);
        }
    }
}

impl Partial {
    /// Whether an earlier session has left something, of which nobody has said whether it is to be kept.
    fn is_offered(&self) -> bool {
        let open = self.claim.lock();
        let groups = |open: &Open| 0..count(self.size).min(open.journal.reach().unwrap_or_default());
        let held = |open: &Open| groups(open).any(|group| matches!(open.journal.get(group), Ok(Some(_))));
        self.there.is_empty() && open.as_ref().is_some_and(held)
    }

    fn release(&self) {
        let mut claims = self.place.store.claims();
        if claims.get(&self.names.part).is_some_and(|claim| Arc::ptr_eq(claim, &self.claim)) {
            claims.remove(&self.names.part);
        }
    }

    /// Hashes what was written, as far as its group came in order, and notes the groups that are complete.
    fn absorb(&mut self, open: &mut Open, offset: u64, bytes: &[&[u8]]) -> io::Result<()> {
        let mut at = offset;
        for slice in bytes {
            let mut rest = *slice;
            while !rest.is_empty() {
                let to_border = usize::try_from(GROUP - at % GROUP).unwrap_or(usize::MAX);
                let (piece, later) = rest.split_at_checked(to_border).unwrap_or((rest, &[]));
                self.hash(at, piece);
                at = at.saturating_add(piece.len() as u64);
                rest = later;
            }
        }
        self.there.insert(offset..at);
        self.unsynced += at - offset;
        for group in offset / GROUP..at.div_ceil(GROUP) {
            let range = bytes_of(&(group..group + 1), self.size);
            if !range.is_empty() && self.there.covers(range.clone()) && !self.done.contains(group) {
                let value = self.value(&open.file, group, &range)?;
                self.place.try_to(Operation::Write, || open.journal.note(group, &value))?;
                self.done.insert(group..group + 1);
            }
        }
        Ok(())
    }

    fn hash(&mut self, at: u64, piece: &[u8]) {
        let group = at / GROUP;
        if at.is_multiple_of(GROUP) {
            if self.running.len() >= RUNNING_MAX {
                self.running.pop_front();
            }
            self.running.push_back(Running { group, hasher: GroupHasher::new(group), next: at });
        }
        if let Some(running) = self.running.iter_mut().find(|running| running.group == group && running.next == at) {
            running.hasher.update(piece);
            running.next = at.saturating_add(piece.len() as u64);
        }
    }

    /// The chaining value of a group that is there: what came before its turn is in the memory of the system, and read from there.
    fn value(&mut self, file: &File, group: u64, range: &Range<u64>) -> io::Result<[u8; 32]> {
        let known = self.running.iter().position(|running| running.group == group);
        let known = known.and_then(|at| self.running.remove(at));
        let mut running =
            known.unwrap_or_else(|| Running { group, hasher: GroupHasher::new(group), next: range.start });
        let mut buffer = Vec::new();
        while running.next < range.end {
            let length = usize::try_from(range.end - running.next).unwrap_or(READ_BACK).min(READ_BACK);
            buffer.resize(length, 0);
            self.place.try_to(Operation::Read, || file.read_exact_at(&mut buffer, running.next))?;
            running.hasher.update(&buffer);
            running.next += length as u64;
        }
        Ok(running.hasher.finish())
    }
}

impl Claim {
    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    fn claims(&self) -> MutexGuard<'_, HashMap<String, Arc<Claim>>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Groups that are hashed as they come; others are read again when they are complete. Each costs 2 KB.
const RUNNING_MAX: usize = 8;

/// What is read at once: enough for all lanes of the hash, little enough for a cache.
const READ_BACK: usize = 128 * 1024;
