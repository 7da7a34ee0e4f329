//! Links inside a tree: copied as links if that was asked for, and only those that stay inside.

use super::{Seen, Walk, entry};
use crate::chunker::manifest::{Kind, Target, TargetError};
use crate::io::sources::refusal::RefusalReason;
use crate::io::sources::state::FileState;
use crate::name::SafeName;
use rustix::fs::{Stat, readlinkat};
use std::ffi::OsStr;
use std::io;
use std::os::fd::BorrowedFd;

impl Walk {
    /// What a link is copied as. It stays beneath the source that it was found in.
    pub(super) fn look_at_link(
        &self,
        (at, here): (BorrowedFd<'_>, &OsStr),
        found: &Stat,
        name: &str,
    ) -> Result<Seen, RefusalReason> {
        if !self.links || self.is_source(name) {
            return Err(RefusalReason::Link);
        }
        let safe = SafeName::parse(name)?;
        let target = readlinkat(at, here, Vec::new()).map_err(io::Error::from)?;
        let target = Target::from_bytes(target.as_bytes())?;
        let source = name.get(..self.base).unwrap_or_default();
        target.within(&safe, source.matches('/').count())?;
        if self.anchor.hides(&target) {
            return Err(TargetError::Hidden.into());
        }
        let state = FileState::of_link(found);
        Ok((entry(safe, Kind::Link { target }, 0, &state), state, None))
    }

    /// Whether it is not in a source, but one that somebody has asked for: it is not a link that he means.
    fn is_source(&self, name: &str) -> bool {
        name.len() < self.base
    }
}
