//! Verified files on their way to their names: first they are on the disk, then they are renamed, then the names are on it.

use super::super::{
    Store,
    error::{ErrorKind, Operation, StoreError},
    part::Part,
    place::{Place, Replace},
};
use super::admission::{check_existing, in_the_way};
use super::durability::{FEW, Unsynced, sync_all, sync_folder};
use super::folders::{Folders, ROOT, device};
use super::guard::Guard;
use super::partials::Partials;
use super::receipts::Receipts;
use super::roster::{Digests, Roster};
use crate::chunker::request::Existing;
use cap_std::fs::Dir;
use std::sync::Arc;

/// A file whose bytes are the right ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verified {
    pub(super) entry: u32,
    pub(super) bytes: u64,
    pub(super) digests: Digests,
}

/// What all steps need.
pub(super) struct Desk<'a> {
    pub(super) store: &'a Arc<Store>,
    pub(super) existing: Existing,
    pub(super) roster: &'a mut Roster,
    pub(super) folders: &'a mut Folders,
    pub(super) unsynced: &'a mut Unsynced,
    pub(super) guard: &'a Guard,
    pub(super) partials: &'a Partials,
    pub(super) receipts: Option<&'a mut Receipts>,
}

/// A file of the batch and what became of it: the size of the file that it replaced, or why it came to nothing.
pub(super) type Published = (Verified, Result<Option<u64>, StoreError>);

impl Desk<'_> {
    /// Gives all files of a batch their names.
    pub(super) fn publish(&mut self, batch: Vec<Verified>) -> Vec<Published> {
        self.write_receipts(&batch);
        let waiting = batch.iter().filter(|file| !file.digests.synced).count();
        let at_once = if self.store.policy.sync && waiting > FEW { sync_all(&self.guard.root) } else { Ok(()) };
        let one_by_one = self.store.policy.sync && waiting <= FEW;
        let mut published: Vec<Published> = Vec::with_capacity(batch.len());
        for file in batch {
            let renamed = self.part_of(file.entry).and_then(|part| match &at_once {
                // What is dropped here is removed.
                Err(error) if !file.digests.synced => Err(error.of_another(part.place.shown.clone())),
                _ => self.rename(part, file, one_by_one && !file.digests.synced),
            });
            published.push((file, renamed));
        }
        if let Err(error) = self.unsynced.sync(&self.guard.root) {
            for (file, result) in published.iter_mut().filter(|(_, result)| result.is_ok()) {
                let name = self.roster.entry(file.entry).map(|entry| super::super::error::shown(&entry.path));
                *result = Err(error.of_another(name.unwrap_or_default()));
            }
        }
        published
    }

    /// The temporary file of an entry that is complete.
    pub(super) fn part_of(&mut self, entry: u32) -> Result<Part, StoreError> {
        let described = self.roster.entry(entry)?;
        let parent = described.path.parent().unwrap_or(ROOT);
        let folder = self.folders.find(self.store, parent).and_then(|found| {
            // It was there when the temporary file was made in it.
            found.ok_or_else(|| std::io::ErrorKind::NotFound.into())
        });
        let folder = folder.map_err(|reason| in_the_way(&described.path, reason))?;
        let place = Place::within(self.store, folder, &described.path);
        let name = self.partials.name(entry).unwrap_or_else(|| self.guard.name_of(entry));
        Ok(Part::adopt(place, name))
    }

    /// Notes folders in which something was made.
    pub(super) fn note(&mut self, folder: &Arc<Dir>) -> Result<(), StoreError> {
        if !self.store.policy.sync {
            return Ok(());
        }
        // What waits on another disk than the root's is not reached by syncing that one.
        if device(folder).is_ok_and(|device| device != self.guard.device) {
            return sync_folder(&self.guard.root, Arc::clone(folder));
        }
        self.unsynced.note(folder);
        Ok(())
    }

    /// Writes down what is about to be placed, for a session that goes on after this one. A transfer of one file has nothing to go on with then.
    fn write_receipts(&mut self, batch: &[Verified]) {
        let Some(receipts) = self.receipts.take().filter(|_| self.roster.count() > 1) else { return };
        let mut written = Vec::with_capacity(batch.len());
        for file in batch {
            // What has no receipt is sent again, and what is wrong with it is found when it is to be placed.
            if let (Ok(entry), Ok(part)) = (self.roster.entry(file.entry), self.part_of(file.entry)) {
                written.extend(receipts.of(&entry, &part));
                part.leave();
            }
        }
        receipts.note(&written);
        self.receipts = Some(receipts);
    }

    /// Gives a file its name. A session that was given up may have placed it in the meantime, from what it had received.
    fn rename(&mut self, part: Part, file: Verified, sync: bool) -> Result<Option<u64>, StoreError> {
        let entry = self.roster.entry(file.entry)?;
        let place = Place::within(self.store, Arc::clone(&part.place.folder), &entry.path);
        let renamed = self.take_name(part, sync);
        if renamed.as_ref().is_err_and(|error| error.kind() == ErrorKind::Exists)
            && let Some(receipts) = &mut self.receipts
            && let Ok(Some(found)) = place.found()
            && receipts.has(&entry, &found)
        {
            return Ok(None);
        }
        renamed
    }

    fn take_name(&mut self, mut part: Part, sync: bool) -> Result<Option<u64>, StoreError> {
        if sync {
            match part.reopen_to_sync()? {
                Some(open) => part.place.attempt(Operation::SyncFile, || open.sync_all())?,
                None => sync_all(&self.guard.root)?,
            }
        }
        let replaced = check_existing(&part.place, self.existing)?;
        // What appeared since then is not replaced.
        let replace = if replaced.is_some() { Replace::Allowed } else { Replace::Never };
        part.take_name(replace)?;
        self.note(&Arc::clone(&part.place.folder))?;
        Ok(replaced)
    }
}
