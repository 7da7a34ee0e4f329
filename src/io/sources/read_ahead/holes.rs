//! Holes of sparse files: the receiver is told of them, and nobody reads or sends their zeros.
//!
//! They are hashed all the same. Only whole groups are left out, in files that are hashed in groups.

use super::ReadAhead;
use super::ahead::Ahead;
use super::board::Stopped;
use super::hashes::Hashes;
use super::resuming::Resume;
use crate::chunker::digests::Hole;
use crate::chunker::groups::{GROUP, bytes_of, count};
use std::ops::Range;

impl ReadAhead {
    /// Which hole the receiver is to be told of next.
    pub fn poll_hole(&mut self) -> Option<Hole> {
        self.board.lock().holes.pop_front()
    }
}

impl Ahead {
    /// At the beginning of a group: leaves out the groups from here on that are holes; gives how many bytes that are.
    pub(super) fn pass_hole(
        &mut self,
        resume: &mut Resume,
        (entry, offset): (u32, u64),
        range: &Range<u64>,
        hashes: &mut Hashes,
    ) -> Result<Option<u64>, Stopped> {
        if !offset.is_multiple_of(GROUP) || self.holes_left == 0 {
            return Ok(None);
        }
        let (size, first) = (range.end - range.start, offset / GROUP);
        let Some(end) = self.reader.hole_at(entry, offset) else { return Ok(None) };
        let last = if end >= size { count(size) } else { end / GROUP };
        let groups = first..last.min(first.saturating_add(self.holes_left.min(TOLD_AT_ONCE)));
        if groups.is_empty() {
            return Ok(None);
        }
        let bytes = bytes_of(&groups, size);
        hashes.update_zeros(bytes.end - bytes.start);
        Self::remember(resume, hashes);
        self.holes_left -= groups.end - groups.start;
        self.leave_out(range.start.saturating_add(bytes.start)..range.start.saturating_add(bytes.end))?;
        self.board.lock().holes.push_back(Hole { entry, groups });
        (self.board.wake)();
        Ok(Some(bytes.end - bytes.start))
    }
}

/// Groups that are told of in one word at most, so that the receiver hashes while this side does.
const TOLD_AT_ONCE: u64 = 64;
