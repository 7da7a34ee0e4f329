//! What earlier sessions of the same sender left: files that are not complete, and receipts for those that are.

use super::super::{error::StoreError, place::Place};
use super::admission::in_the_way;
use super::files::Files;
use super::folders::ROOT;
use super::partials::Names;
use super::receipts::Receipts;
use super::resuming::{Groups, Peer, is_resumed};
use super::roster::State;
use crate::chunker::manifest::{Entry, Kind};
use cap_std::fs::Dir;
use std::ops::Range;
use std::sync::Arc;

impl Files {
    pub(super) fn resume_for(&mut self, peer: Peer) {
        self.peer = Some(peer);
    }

    pub(super) fn restart_for(&mut self, peer: Peer) {
        (self.peer, self.is_new_start) = (Some(peer), true);
    }

    pub(super) fn is_resuming(&self) -> bool {
        self.peer.is_some()
    }

    /// What an earlier session left of an entry: its groups, and the session that had it until now, if there was one.
    pub(super) fn find_earlier(
        &mut self,
        entry: u32,
        most: usize,
    ) -> Result<Option<(Groups, Option<u64>)>, StoreError> {
        let described = self.roster.entry(entry)?;
        let (Some(names), Some(Peer { session, .. })) = (self.names(&described), self.peer) else { return Ok(None) };
        let Kind::File { size } = described.kind else { return Ok(None) };
        let found = self.folders.find(&self.store, described.path.parent().unwrap_or(ROOT));
        let Some(folder) = found.map_err(|reason| in_the_way(&described.path, reason))? else { return Ok(None) };
        let place = Place::within(&self.store, folder, &described.path);
        if self.partials.count() >= PARTIALS_MAX {
            return Ok(None);
        }
        let Some(taken_from) = self.partials.open(entry, (place, names, size), session, false)? else {
            return Ok(None);
        };
        if self.is_new_start {
            self.partials.discard(entry, false);
            return Ok(Some((Groups::new(), taken_from)));
        }
        let groups = self.partials.groups(entry, most);
        if groups.is_err() {
            // What it noted would be believed, whatever is written over it: it is looked through again when bytes come.
            self.partials.discard(entry, true);
        }
        Ok(Some((groups?, taken_from)))
    }

    /// Makes the file of an entry as one that the next session can go on with, where it is to be one.
    pub(super) fn begin_partial(&mut self, entry: u32, described: &Entry, folder: &Arc<Dir>) -> Result<(), StoreError> {
        if let Some(names) = self.names(described)
            && !self.partials.has(entry)
            && let Some(Peer { session, .. }) = self.peer
            && let Kind::File { size } = described.kind
        {
            let place = Place::within(&self.store, Arc::clone(folder), &described.path);
            self.partials.open(entry, (place, names, size), session, true)?;
            self.partials.groups(entry, 0)?;
        }
        Ok(())
    }

    /// Whether bytes of an entry may still come.
    pub(super) fn is_wanted(&self, entry: u32) -> bool {
        matches!(self.roster.state(entry), State::Waiting | State::Alike | State::Growing)
    }

    /// Goes on with what an earlier session left of an entry.
    pub(super) fn take_up(&mut self, entry: u32) -> Result<(), StoreError> {
        if matches!(self.roster.state(entry), State::Waiting | State::Alike) { self.begin(entry) } else { Ok(()) }
    }

    /// These groups of it stay: so many bytes need no room any more.
    pub(super) fn keep(&mut self, entry: u32, groups: Range<u64>, bytes: u64) {
        self.partials.keep(entry, groups);
        self.space.release(bytes);
    }

    /// Looks for what earlier sessions of the transfer have placed that begins with this entry.
    pub(super) fn find_receipts(&mut self, first: &Entry) {
        let Some(peer) = &self.peer else { return };
        // Without them, what is there is refused or sent again.
        self.receipts = Receipts::open(&self.store, peer, first, self.attributes).ok();
        if let Some(receipts) = self.receipts.as_mut().filter(|_| self.is_new_start) {
            receipts.remove();
        }
    }

    /// No entry comes any more, or, if all that was to come has come, nothing at all.
    pub(super) fn release_receipts(&mut self, is_whole: bool) {
        match &mut self.receipts {
            Some(receipts) if is_whole => receipts.remove(),
            Some(receipts) => receipts.let_go(),
            None => {}
        }
    }

    /// What an earlier session left of an entry that is there by now is not gone on with.
    pub(super) fn leave_earlier(&mut self, entry: u32) {
        self.partials.discard(entry, false);
    }

    /// These do not.
    pub(super) fn forget(&mut self, entry: u32, groups: Range<u64>) -> Result<(), StoreError> {
        self.partials.forget(entry, groups)
    }

    /// What a file is called until it is complete, if it can be resumed.
    pub(super) fn names(&self, entry: &Entry) -> Option<Names> {
        self.peer.as_ref().filter(|_| is_resumed(&entry.kind)).map(|peer| Names::of(peer, &entry.path))
    }
}

/// Files of an earlier session that are gone on with, each with two descriptors. It had few of them unfinished: files come one after
/// the other.
const PARTIALS_MAX: usize = 64;
