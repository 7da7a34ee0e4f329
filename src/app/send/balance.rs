//! What a transfer was to bring, what became of it, and what that means for the exit code.

use crate::app::exit;
use crate::chunker::answers::{Fate, Objection, Tally};
use crate::chunker::digests::FileDigest;
use crate::chunker::manifest::Kind;
use crate::io::sources::Found;
use crate::name::Printable;
use crate::ranges::RangeSet;
use std::collections::BTreeSet;
use std::ops::Range;

/// The counts, and the first reason of each kind.
#[derive(Debug, Default)]
pub(super) struct Balance {
    /// Bytes of the files that were found.
    found: u64,
    /// Every file was found.
    is_walked: bool,
    /// The entry that has no size before its end was read.
    stream: Option<u32>,
    /// Bytes that are there to be sent, or will not be.
    available: u64,
    /// Bytes of the files that were read.
    read: u64,
    files: u64,
    /// BLAKE3 and, where it was asked for, SHA-256 of the file that was read last.
    digests: Option<([u8; 32], Option<[u8; 32]>)>,
    /// The last entry whose digest came.
    reached: Option<u32>,
    /// Files that the server has already, and those of them that are not read yet, or not known to be.
    there: u64,
    there_ahead: RangeSet,
    /// What this side could not or would not send, and the first reason.
    kept_back: u64,
    own_reason: Option<String>,
    /// Entries that the server need not mention: we know.
    withdrawn: BTreeSet<u32>,
    spoiled: bool,
    /// What the server refused or could not save, and the first reason.
    objections: u64,
    their_reason: Option<String>,
    differs: bool,
    tally: Tally,
    complaints: u32,
}

impl Balance {
    /// The same once more: what is not copied was said, and is only counted.
    pub(super) fn again() -> Self {
        Self { complaints: COMPLAINTS_MAX, ..Self::default() }
    }

    /// Something was found; gives why it is not copied.
    pub(super) fn on_found(&mut self, found: Found) -> Option<String> {
        match found {
            Found::Entry { entry, number } => {
                match entry.kind {
                    Kind::File { size } => self.found = self.found.saturating_add(size),
                    Kind::Open => self.stream = Some(number),
                    Kind::Folder | Kind::Link { .. } => {}
                }
                None
            }
            Found::Refused(refusal) => Some(self.keep_back(refusal.to_string())),
            Found::End(_) => {
                self.is_walked = true;
                None
            }
        }
    }

    /// A file was read; gives why it is withdrawn, with its path.
    pub(super) fn on_digest(
        &mut self,
        entry: u32,
        digest: FileDigest,
        path: impl FnOnce() -> String,
    ) -> Option<String> {
        self.reached = Some(entry);
        let is_there = self.there_ahead.contains(entry.into());
        self.there_ahead.remove(0..u64::from(entry) + 1);
        match digest {
            // It was read before we knew.
            FileDigest::Read { .. } if is_there => None,
            FileDigest::Read { size, blake3, sha256 } => {
                self.files += 1;
                self.read = self.read.saturating_add(size);
                self.digests = Some((blake3, sha256));
                None
            }
            FileDigest::Skipped => None,
            FileDigest::Withdrawn { reason } => {
                if self.withdrawn.len() < WITHDRAWN_MAX {
                    self.withdrawn.insert(entry);
                }
                Some(self.keep_back(format!("{}: {reason}; copy it again", Printable(&path()))))
            }
        }
    }

    /// The server has the files of these entries; `size_of` says how many bytes one of them has.
    pub(super) fn on_there(&mut self, entries: Range<u32>, mut size_of: impl FnMut(u32) -> u64) {
        self.there = self.there.saturating_add(entries.len() as u64);
        let ahead = self.reached.map_or(0, |reached| reached.saturating_add(1)).clamp(entries.start, entries.end);
        for entry in entries.start..ahead {
            // It was read for nothing.
            self.files = self.files.saturating_sub(1);
            self.read = self.read.saturating_sub(size_of(entry));
            self.digests = None;
        }
        self.there_ahead.insert(ahead.into()..entries.end.into());
    }

    /// A file was read, and the server has the same.
    pub(super) fn on_same(&mut self, entry: u32) {
        (self.reached, self.there) = (Some(entry), self.there + 1);
    }

    /// Files that the server has already.
    pub(super) fn there(&self) -> u64 {
        self.there
    }

    /// There are bytes up to this offset.
    pub(super) fn on_available(&mut self, end: u64) {
        self.available = self.available.max(end);
    }

    /// Lost bytes of a file could not be read again.
    pub(super) fn on_spoiled(&mut self, reason: String) {
        self.spoiled = true;
        self.own_reason.get_or_insert(reason);
    }

    /// The server says why an entry of `size` bytes did not come to rest; gives it if that is news.
    pub(super) fn on_objection(&mut self, objection: &Objection, size: u64) -> Option<String> {
        if self.withdrawn.contains(&objection.entry) {
            return None;
        }
        if self.reached.is_some_and(|reached| reached >= objection.entry) {
            // It was read for nothing.
            self.files = self.files.saturating_sub(1);
            self.read = self.read.saturating_sub(size);
            self.digests = None;
        }
        self.objections += 1;
        self.differs |= objection.fate == Fate::Differs;
        let reason = Printable(&objection.reason).to_string();
        self.their_reason.get_or_insert_with(|| reason.clone());
        Some(reason)
    }

    /// The server's counts.
    pub(super) fn on_tally(&mut self, tally: Tally) {
        self.tally = tally;
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// Whether one more reason may be told: nobody reads more, and all are counted.
    pub(super) fn may_complain(&mut self) -> bool {
        self.complaints += 1;
        self.complaints <= COMPLAINTS_MAX
    }

    /// Whether the size of every file is known.
    pub(super) fn is_sized(&self) -> bool {
        self.is_walked && self.stream.is_none_or(|stream| self.reached >= Some(stream))
    }

    /// Bytes of all files, as far as they are known.
    pub(super) fn bytes(&self) -> u64 {
        self.found.max(self.available)
    }

    pub(super) fn available(&self) -> u64 {
        self.available
    }

    /// Bytes of the files that were read and not refused.
    pub(super) fn copied(&self) -> u64 {
        self.read
    }

    /// The digests of a file that was copied alone: BLAKE3 and, where it was asked for, SHA-256.
    pub(super) fn single_digests(&self) -> Option<([u8; 32], Option<[u8; 32]>)> {
        self.digests.filter(|_| self.files == 1 && self.tally.placed == 1)
    }

    /// Entries and sources that did not come to rest.
    pub(super) fn missing(&self) -> u64 {
        let theirs = self.tally.refused.saturating_add(self.tally.failed);
        self.kept_back.saturating_add(theirs.saturating_sub(self.withdrawn.len() as u64))
    }

    /// Why not everything was copied, and the exit code for it; `None` if all was.
    pub(super) fn verdict(&self) -> Option<(String, u8)> {
        let theirs = self.tally.refused.saturating_add(self.tally.failed);
        let (code, reason) = if self.kept_back > 0 || self.spoiled {
            (exit::LOCAL_FILE, &self.own_reason)
        } else if self.differs {
            (exit::NOT_VERIFIED, &self.their_reason)
        } else if theirs > 0 {
            (exit::REFUSED, &self.their_reason)
        } else {
            return None;
        };
        let reason = reason.as_deref().unwrap_or("the server does not say why");
        Some(match self.missing() {
            0 | 1 if code == exit::REFUSED => (format!("refused by the server: {reason}"), code),
            0 | 1 => (format!("not copied: {reason}"), code),
            missing => (format!("{missing} were not copied, the first of them because {reason}"), code),
        })
    }

    fn keep_back(&mut self, reason: String) -> String {
        self.kept_back += 1;
        self.own_reason.get_or_insert_with(|| reason.clone());
        reason
    }
}

/// Reasons that are told one by one.
const COMPLAINTS_MAX: u32 = 20;

/// Withdrawn entries that are remembered; of further ones the server's word is told as well.
const WITHDRAWN_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn objection(entry: u32, fate: Fate) -> Objection {
        Objection { entry, fate, reason: format!("reason {entry}") }
    }

    #[test]
    fn the_exit_code_says_whose_fault_it_was_and_ours_comes_first() {
        let tally = |placed, refused, failed| Tally { placed, refused, failed };
        let mut balance = Balance::default();
        balance.on_tally(tally(1, 0, 0));
        assert_eq!(balance.verdict(), None);
        assert_eq!(balance.on_objection(&objection(1, Fate::Refused), 5).as_deref(), Some("reason 1"));
        balance.on_tally(tally(1, 1, 0));
        assert_eq!(balance.verdict(), Some(("refused by the server: reason 1".into(), exit::REFUSED)));
        balance.on_objection(&objection(2, Fate::Differs), 5);
        balance.on_tally(tally(1, 1, 1));
        assert_eq!(balance.verdict().map(|(_, code)| code), Some(exit::NOT_VERIFIED));
        assert!(balance.on_digest(3, FileDigest::Withdrawn { reason: "it changed".into() }, || "x".into()).is_some());
        assert_eq!(balance.on_objection(&objection(3, Fate::Failed), 5), None, "we know");
        balance.on_tally(tally(1, 1, 2));
        assert_eq!(balance.missing(), 3);
        assert_eq!(
            balance.verdict(),
            Some((
                "3 were not copied, the first of them because x: it changed; copy it again".into(),
                exit::LOCAL_FILE
            ))
        );
    }

    #[test]
    fn bytes_that_were_lost_here_are_not_the_paths_fault() {
        let mut balance = Balance::default();
        balance.on_objection(&objection(0, Fate::Differs), 5);
        balance.on_tally(Tally { placed: 0, refused: 0, failed: 1 });
        assert_eq!(balance.verdict().map(|(_, code)| code), Some(exit::NOT_VERIFIED));
        balance.on_spoiled("f changed while it was read".into());
        let verdict = ("not copied: f changed while it was read".into(), exit::LOCAL_FILE);
        assert_eq!(balance.verdict(), Some(verdict));
    }

    #[test]
    fn what_is_there_already_counts_apart_whenever_that_is_known() {
        let read = |size| FileDigest::Read { size, blake3: [7; 32], sha256: None };
        let mut balance = Balance::default();
        balance.on_digest(0, read(100), String::new);
        balance.on_digest(1, read(30), String::new);
        // Of the second it comes too late, of the third while its digest is on the way, of the last in time.
        balance.on_there(1..4, |_| 30);
        balance.on_digest(2, read(5), String::new);
        balance.on_digest(3, FileDigest::Skipped, String::new);
        balance.on_same(4);
        balance.on_tally(Tally { placed: 1, refused: 0, failed: 0 });
        assert_eq!((balance.copied(), balance.there(), balance.missing(), balance.verdict()), (100, 4, 0, None));
    }

    #[test]
    fn what_was_read_for_nothing_does_not_count_as_copied() {
        let read = |size| FileDigest::Read { size, blake3: [7; 32], sha256: None };
        let mut balance = Balance::default();
        balance.on_digest(0, read(100), String::new);
        balance.on_objection(&objection(1, Fate::Refused), 50);
        balance.on_digest(1, FileDigest::Skipped, String::new);
        balance.on_tally(Tally { placed: 1, refused: 1, failed: 0 });
        assert_eq!((balance.copied(), balance.single_digests()), (100, Some(([7; 32], None))));
        balance.on_digest(2, read(30), String::new);
        balance.on_objection(&objection(2, Fate::Refused), 30);
        assert_eq!((balance.copied(), balance.single_digests()), (100, None), "whose digest that was is forgotten");
    }
}
