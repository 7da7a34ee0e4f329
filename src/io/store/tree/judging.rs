//! What is complete against what was sent, and the end.

use super::super::error::{Cause, Operation};
use super::event::EVENTS_MAX;
use super::publishing::Verified;
use super::roster::{Digests, State};
use super::{Event, Tree, TreeError};
use crate::chunker::digests::FileDigest;
use crate::name::Printable;

/// Digests, and the end.
impl Tree {
    /// The sender says what became of a file.
    pub(super) fn judge(&mut self, entry: u32, digest: FileDigest) -> Result<(), TreeError> {
        let roster = &mut self.files.roster;
        let state = roster.state(entry);
        let is_wanted = matches!(state, State::Waiting | State::Alike | State::Growing | State::Complete);
        let cause = match digest {
            FileDigest::Read { size, blake3, sha256 } => {
                let announced = roster.settle_size(entry, size);
                let beyond = self.received.last().is_some_and(|last| last.end > roster.layout.reach());
                if announced == Some(size) && !beyond {
                    let theirs = Digests { blake3, sha256, synced: false, is_of_another: false };
                    if state == State::Complete {
                        let ours = roster.digests(entry)?;
                        self.verify(entry, size, &ours, &theirs);
                    } else if is_wanted {
                        roster.put_digests(entry, &theirs)?;
                        self.advance(entry);
                    }
                    return Ok(());
                }
                Cause::TooLong { size: announced.unwrap_or(size).min(size) }
            }
            FileDigest::Withdrawn { reason } => Cause::Withdrawn { reason: Printable(&reason).to_string() },
            FileDigest::Skipped => Cause::Skipped,
        };
        if is_wanted {
            self.fail_for(entry, cause);
        }
        Ok(())
    }

    /// All bytes of a file are there: compares if the sender's digest is there as well, or keeps ours until it is.
    pub(super) fn compare(&mut self, entry: u32, size: u64, ours: &Digests) {
        let roster = &mut self.files.roster;
        let kept = if entry < self.next_digest {
            roster.digests(entry).map(Some)
        } else {
            roster.put_digests(entry, ours).map(|()| None)
        };
        match kept {
            Ok(Some(theirs)) => self.verify(entry, size, ours, &theirs),
            Ok(None) => {}
            Err(reason) => self.fail_for(entry, Cause::of(Operation::Look, reason)),
        }
    }

    fn verify(&mut self, entry: u32, bytes: u64, ours: &Digests, theirs: &Digests) {
        if ours.blake3 != theirs.blake3 {
            self.fail_for(entry, Cause::Differs);
            return;
        }
        let digests = Digests { sha256: theirs.sha256, ..*ours };
        if self.files.verified(Verified { entry, bytes, digests }) {
            self.settle();
        }
    }

    /// The last files get their names as soon as no other can join them; then come the links, then the folders.
    pub(super) fn end_if_decided(&mut self) {
        if self.is_done || !self.manifest.ended || !self.digests.ended || self.undecided > self.files.batched() {
            return;
        }
        self.settle();
        self.is_done = true;
        let unmade = self.files.make_links();
        for (entry, error) in unmade.into_iter().chain(self.files.finish_folders()) {
            self.outcome.failed += 1;
            if self.events.len() < EVENTS_MAX {
                self.events.push_back(Event::Failed { entry, error });
            }
        }
        // What came to nothing may be sent again; what was refused would be refused again.
        self.files.release_receipts(self.outcome.failed == 0);
        self.events.push_back(Event::Done(self.outcome));
    }
}
