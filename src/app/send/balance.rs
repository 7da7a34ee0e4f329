//! What a transfer was to bring, what became of it, and what that means for the exit code.

use crate::app::exit;
use crate::chunker::answers::{Fate, Objection, Tally};
use crate::chunker::digests::FileDigest;
use crate::chunker::manifest::Kind;
use crate::io::sources::Found;
use crate::name::Printable;
use std::collections::BTreeSet;

/// The counts, and the first reason of each kind.
#[derive(Debug, Default)]
pub(super) struct Balance {
    /// Bytes of the files that were found.
    found: u64,
    /// Bytes that are there to be sent, or will not be.
    available: u64,
    /// Bytes of the files that were read.
    read: u64,
    files: u64,
    digest: Option<[u8; 32]>,
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
    /// Something was found; gives why it is not copied.
    pub(super) fn on_found(&mut self, found: Found) -> Option<String> {
        match found {
            Found::Entry { entry, .. } => {
                if let Kind::File { size } = entry.kind {
                    self.found = self.found.saturating_add(size);
                }
                None
            }
            Found::Refused(refusal) => Some(self.keep_back(refusal.to_string())),
            Found::End(_) => None,
        }
    }

    /// A file was read; gives why it is withdrawn.
    pub(super) fn on_digest(&mut self, entry: u32, digest: FileDigest) -> Option<String> {
        match digest {
            FileDigest::Read { size, blake3, .. } => {
                self.files += 1;
                self.read = self.read.saturating_add(size);
                self.digest = Some(blake3);
                None
            }
            FileDigest::Skipped => None,
            FileDigest::Withdrawn { reason } => {
                if self.withdrawn.len() < WITHDRAWN_MAX {
                    self.withdrawn.insert(entry);
                }
                Some(self.keep_back(format!("entry {entry}: {reason}")))
            }
        }
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

    /// The server says why an entry did not come to rest; gives it if that is news.
    pub(super) fn on_objection(&mut self, objection: &Objection) -> Option<String> {
        if self.withdrawn.contains(&objection.entry) {
            return None;
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

    /// Bytes of all files, as far as they are known.
    pub(super) fn bytes(&self) -> u64 {
        self.found.max(self.available)
    }

    pub(super) fn available(&self) -> u64 {
        self.available
    }

    /// Bytes of the files that were sent: what was refused was most likely not even read.
    pub(super) fn copied(&self) -> u64 {
        self.read
    }

    /// The digest of a file that was copied alone.
    pub(super) fn single_digest(&self) -> Option<[u8; 32]> {
        self.digest.filter(|_| self.files == 1 && self.tally.placed == 1)
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
        assert_eq!(balance.on_objection(&objection(1, Fate::Refused)).as_deref(), Some("reason 1"));
        balance.on_tally(tally(1, 1, 0));
        assert_eq!(balance.verdict(), Some(("not copied: reason 1".into(), exit::REFUSED)));
        balance.on_objection(&objection(2, Fate::Differs));
        balance.on_tally(tally(1, 1, 1));
        assert_eq!(balance.verdict().map(|(_, code)| code), Some(exit::NOT_VERIFIED));
        assert!(balance.on_digest(3, FileDigest::Withdrawn { reason: "it changed".into() }).is_some());
        assert_eq!(balance.on_objection(&objection(3, Fate::Failed)), None, "we know");
        balance.on_tally(tally(1, 1, 2));
        assert_eq!(balance.missing(), 3);
        assert_eq!(
            balance.verdict(),
            Some(("3 were not copied, the first of them because entry 3: it changed".into(), exit::LOCAL_FILE))
        );
    }
}
