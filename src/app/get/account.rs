//! What became of what was wanted, and what that means for the exit code.

use crate::app::exit;
use crate::chunker::answers::Tally;
use crate::io::events::Current;
use crate::io::store::ErrorKind;
use crate::name::Printable;

/// The counts, and the first reason of each kind.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Bytes that came, and all that are to come, if that is known.
    pub(super) received: u64,
    pub(super) expected: Option<u64>,
    /// Bytes that an earlier session left, and that need not come.
    pub(super) resumed: u64,
    /// Bytes of files that were here already.
    pub(super) there: u64,
    /// The file that is being received.
    pub(super) current: Option<Current>,
    /// Of the file that came last.
    pub(super) sha256: Option<[u8; 32]>,
    /// What the server cannot give, and the first reason.
    withheld: u64,
    their_reason: Option<String>,
    /// What could not be saved here, and the first reason.
    unsaved: u64,
    our_reason: Option<String>,
    differs: Option<String>,
    complaints: u32,
    saved: Option<Outcome>,
}

/// What is complete and durable.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) blake3: Option<[u8; 32]>,
    /// Files besides that were here already.
    pub(super) there: u64,
}

impl Account {
    /// Of the same once more: what does not come was said, and is only counted.
    pub(super) fn again(&self) -> Self {
        Self { complaints: self.complaints.max(COMPLAINTS_MAX), ..Self::default() }
    }

    /// The server says why something does not come; gives it in a form that is safe to print.
    pub(super) fn on_withheld(&mut self, reason: &str) -> String {
        self.withheld += 1;
        let reason = Printable(reason).to_string();
        self.their_reason.get_or_insert_with(|| reason.clone());
        reason
    }

    /// The server's counts: of the reasons only the first thousands are told.
    pub(super) fn on_counts(&mut self, tally: Tally) {
        self.withheld = self.withheld.max(tally.refused);
    }

    /// Something that came did not come to rest.
    pub(super) fn on_objection(&mut self, reason: &str, kind: ErrorKind) {
        match kind {
            ErrorKind::Differs => {
                self.differs.get_or_insert_with(|| reason.to_owned());
            }
            ErrorKind::Withdrawn => {
                self.their_reason.get_or_insert_with(|| reason.to_owned());
            }
            ErrorKind::Refused | ErrorKind::Exists | ErrorKind::NoSpace | ErrorKind::WrongSize | ErrorKind::Io => {
                self.our_reason.get_or_insert_with(|| reason.to_owned());
            }
        }
    }

    /// Everything that came is decided.
    pub(super) fn on_saved(&mut self, tally: Tally, saved: Outcome) {
        self.unsaved = tally.refused.saturating_add(tally.failed);
        self.saved = Some(saved);
    }

    pub(super) fn saved(&self) -> Option<Outcome> {
        self.saved
    }

    /// Whether one more reason may be told: nobody reads more, and all are counted.
    pub(super) fn may_complain(&mut self) -> bool {
        self.complaints += 1;
        self.complaints <= COMPLAINTS_MAX
    }

    /// What did not come to rest.
    pub(super) fn missing(&self) -> u64 {
        self.withheld.saturating_add(self.unsaved)
    }

    /// Why not everything was copied, and the exit code for it; `None` if all was.
    pub(super) fn verdict(&self) -> Option<(String, u8)> {
        let (code, reason) = match (&self.our_reason, &self.differs, &self.their_reason) {
            (Some(ours), ..) => (exit::LOCAL_FILE, ours.as_str()),
            (None, Some(differs), _) => (exit::NOT_VERIFIED, differs.as_str()),
            (None, None, Some(theirs)) => (exit::REFUSED, theirs.as_str()),
            (None, None, None) if self.missing() > 0 => (exit::REFUSED, "the server does not say why"),
            (None, None, None) => return None,
        };
        Some(match self.missing() {
            0 | 1 if code == exit::REFUSED => (format!("refused by the server: {reason}"), code),
            0 | 1 => (format!("not copied: {reason}"), code),
            missing => (format!("{missing} were not copied, the first of them because {reason}"), code),
        })
    }
}

/// Reasons that are told one by one.
const COMPLAINTS_MAX: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_whose_fault_it_was_and_ours_comes_first() {
        let mut account = Account::default();
        account.on_saved(Tally { placed: 2, ..Tally::default() }, Outcome::default());
        assert_eq!(account.verdict(), None);
        account.on_withheld("a is not there");
        account.on_counts(Tally { placed: 2, refused: 1, failed: 0 });
        assert_eq!(account.verdict(), Some(("refused by the server: a is not there".into(), exit::REFUSED)));
        account.on_objection("b differs", ErrorKind::Differs);
        account.on_saved(Tally { placed: 2, refused: 0, failed: 1 }, Outcome::default());
        let says = |account: &Account| account.verdict().unwrap_or_default();
        assert_eq!(
            says(&account),
            ("2 were not copied, the first of them because b differs".into(), exit::NOT_VERIFIED)
        );
        account.on_objection("c exists here", ErrorKind::Exists);
        assert_eq!(says(&account).1, exit::LOCAL_FILE);
    }

    #[test]
    fn reasons_that_were_not_told_count_as_well() {
        let mut account = Account::default();
        account.on_counts(Tally { refused: 9000, ..Tally::default() });
        assert_eq!((account.missing(), account.verdict().map(|(_, code)| code)), (9000, Some(exit::REFUSED)));
    }
}
