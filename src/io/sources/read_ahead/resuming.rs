//! Going on with what an earlier session sent: groups that the receiver holds and that are still the same are neither sent nor, where they
//! are remembered, read.

use super::ReadAhead;
use super::ahead::Ahead;
use super::board::{State, Stopped};
use super::hashes::Hashes;
use crate::chunker::answers::Held;
use crate::chunker::digests::Kept;
use crate::chunker::groups::{GROUP, GroupHasher, OFFERED_MAX, RESUMED_MIN};
use crate::chunker::layout::SPACE_MAX;
use crate::chunker::request::Earlier;
use crate::io::sources::catalogue::lock;
use crate::io::sources::memory::{Memory, Remembered, forget};
use std::ops::Range;
use std::path::PathBuf;

/// What becomes of what an earlier session did, and where that is remembered.
#[derive(Debug)]
pub struct Resumption {
    /// What the receiver does, and whether there is something to wait for.
    pub earlier: Earlier,
    /// Where this side remembers. Without it, what the receiver holds is compared with what is read.
    pub memory: Option<Memory>,
    /// Groups that the receiver may say it holds, in all: what it offers at most.
    pub held_max: usize,
    /// The receiver may have many of the files: nothing is read before it has said so.
    pub awaits: bool,
    /// What is forgotten when all was copied, besides what is remembered of each file.
    pub trial: Option<PathBuf>,
}

impl Default for Resumption {
    fn default() -> Self {
        Self { earlier: Earlier::Ignored, memory: None, held_max: OFFERED_MAX, awaits: false, trial: None }
    }
}

/// One file that may be gone on with.
pub(super) struct Resume {
    remembered: Option<Remembered>,
    /// The receiver knows from where on it is told.
    is_told: bool,
    /// Groups that stay, and that the receiver was not told of yet.
    run: Range<u64>,
    scratch: Vec<u8>,
}

impl ReadAhead {
    /// The receiver holds this from an earlier session.
    pub fn handle_held(&mut self, held: Held) {
        let mut state = self.board.lock();
        let count = held.values.len();
        if state.held_groups.saturating_add(count) <= self.held_max {
            state.held_groups += count;
            state.held.entry(held.entry).or_default().extend((held.first..).zip(held.values));
        }
    }

    /// Of so many entries the receiver has said all that it holds.
    pub fn handle_looked(&mut self, entries: u32) {
        let mut state = self.board.lock();
        state.looked = state.looked.max(entries);
        state.settle_past();
        drop(state);
        self.board.moved.notify_all();
        (self.board.wake)();
    }

    /// What the receiver is to be told next of what it holds.
    pub fn poll_kept(&mut self) -> Option<Kept> {
        self.board.lock().kept.pop_front()
    }

    /// Bytes that the receiver had, and that are not sent again.
    pub fn resumed(&self) -> u64 {
        self.board.lock().resumed
    }

    /// All was copied: nothing has to be remembered.
    pub fn forget(&mut self) {
        forget(&std::mem::take(&mut self.board.lock().remembered));
    }
}

impl State {
    /// What is held of files that were read before this was known cannot be used any more.
    pub(super) fn settle_past(&mut self) {
        let past: Vec<u32> =
            self.held.keys().copied().filter(|entry| *entry < self.current && *entry < self.looked).collect();
        for entry in past {
            self.held.remove(&entry);
            self.kept.push_back(Kept { entry, groups: SPACE_MAX..SPACE_MAX });
        }
    }
}

impl Ahead {
    /// Begins an entry; says how it may be gone on with. Waits for the receiver's word if there is to be one.
    pub(super) fn resume(&mut self, entry: u32, range: &Range<u64>, is_file: bool) -> Result<Option<Resume>, Stopped> {
        let mut state = self.board.lock();
        state.current = entry;
        state.unwanted.remove(0..entry.into());
        state.settle_past();
        drop(state);
        if !is_file || range.end - range.start < RESUMED_MIN || self.resumption.earlier == Earlier::Ignored {
            return Ok(None);
        }
        let location = lock(&self.catalogue).location(entry).ok();
        let remembered = location.zip(self.resumption.memory.as_ref());
        let remembered = remembered.and_then(|(location, memory)| memory.of(&location.path, &location.state));
        if let Some(remembered) = &remembered {
            self.board.lock().remembered.push(remembered.path.clone());
        }
        let is_awaited = match self.resumption.earlier {
            Earlier::Awaited => true,
            Earlier::Used => remembered.as_ref().is_some_and(|known| known.was_tried),
            Earlier::Ignored | Earlier::Dropped => false,
        };
        if is_awaited {
            self.hand_over()?;
            drop(self.board.wait(|state| state.looked > entry || state.unwanted.contains(entry.into()))?);
        }
        Ok(Some(Resume { remembered, is_told: false, run: 0..0, scratch: Vec::new() }))
    }

    /// At the beginning of a group: leaves it out if the receiver has it; gives how many bytes that are.
    pub(super) fn keep(
        &mut self,
        resume: &mut Resume,
        (entry, offset): (u32, u64),
        range: &Range<u64>,
        hashes: &mut Hashes,
    ) -> Result<Option<u64>, Stopped> {
        if !offset.is_multiple_of(GROUP) {
            return Ok(None);
        }
        let group = offset / GROUP;
        let mut state = self.board.lock();
        let held = if state.looked > entry { state.held.get(&entry) } else { None };
        let value = held.and_then(|groups| groups.get(&group).copied());
        if held.is_some() && !std::mem::replace(&mut resume.is_told, true) {
            // What was read before is on its way.
            state.kept.push_back(Kept { entry, groups: group..group });
        }
        drop(state);
        let Some(value) = value else {
            self.tell(resume, entry);
            return Ok(None);
        };
        let length = (range.end - range.start - offset).min(GROUP);
        if self.ours(resume, (entry, offset, length), hashes.wants_all()) != Some(value) {
            self.tell(resume, entry);
            self.board.lock().kept.push_back(Kept { entry, groups: group + 1..group + 1 });
            return Ok(None);
        }
        hashes.keep(value, &resume.scratch);
        if let Some(remembered) = &mut resume.remembered {
            let _ = remembered.journal.note(group, &value);
        }
        let start = range.start.saturating_add(offset);
        self.leave_out(start..start.saturating_add(length))?;
        self.board.lock().resumed += length;
        resume.run = if resume.run.end == group { resume.run.start..group + 1 } else { group..group + 1 };
        if resume.run.end - resume.run.start >= TOLD_AT_ONCE {
            self.tell(resume, entry);
        }
        Ok(Some(length))
    }

    /// Groups were read: remembers them.
    pub(super) fn remember(resume: &mut Resume, hashes: &mut Hashes) {
        for (group, value) in hashes.take_finished() {
            if let Some(remembered) = &mut resume.remembered {
                // What is not remembered is read again.
                let _ = remembered.journal.note(group, &value);
            }
        }
    }

    /// Tells the receiver which groups stay.
    pub(super) fn tell(&self, resume: &mut Resume, entry: u32) {
        let groups = std::mem::replace(&mut resume.run, 0..0);
        if !groups.is_empty() {
            self.board.lock().kept.push_back(Kept { entry, groups });
            (self.board.wake)();
        }
    }

    /// The value of a group here: remembered, or read, which leaves its bytes in the scratch.
    fn ours(
        &mut self,
        resume: &mut Resume,
        (entry, offset, length): (u32, u64, u64),
        wants_all: bool,
    ) -> Option<[u8; 32]> {
        resume.scratch.clear();
        let known = resume.remembered.as_ref().filter(|known| known.was_there && !wants_all);
        if let Some(value) = known.and_then(|known| known.journal.get(offset / GROUP).ok().flatten()) {
            return Some(value);
        }
        resume.scratch.resize(usize::try_from(length).ok()?, 0);
        // Why it cannot be read is found when it is to be sent.
        self.reader.read_file(entry, offset, &mut resume.scratch).ok()?;
        let mut hasher = GroupHasher::new(offset / GROUP);
        hasher.update(&resume.scratch);
        Some(hasher.finish())
    }
}

/// Groups that stay and are told of in one word at most, so that the receiver's permission is not waited for.
const TOLD_AT_ONCE: u64 = 256;
