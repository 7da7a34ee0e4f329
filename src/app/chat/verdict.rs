//! How a script ends: its exit code says whether everybody was reached.

use crate::app::exit;
use crate::io::events::talk::{TalkNote, Way};

/// The first thing that went wrong; what follows from it says less.
#[derive(Debug, Default)]
pub(super) struct Verdict(Option<u8>);

impl Verdict {
    /// What a note says of it.
    pub(super) fn learn(&mut self, note: &TalkNote) {
        match note {
            TalkNote::Unreached { .. }
            | TalkNote::NotFound { .. }
            | TalkNote::NoAnswer { .. }
            | TalkNote::Unanswered { .. }
            | TalkNote::NotDelivered { .. }
            | TalkNote::NotDone { .. }
            | TalkNote::Gone { .. }
            | TalkNote::FileFailed { way: Way::Out, .. } => self.miss(),
            TalkNote::Rejected { .. } | TalkNote::FileRejected { .. } => {
                self.0.get_or_insert(exit::REFUSED);
            }
            _ => {}
        }
    }

    /// Somebody was not reached, or did not answer.
    pub(super) fn miss(&mut self) {
        self.0.get_or_insert(exit::NO_ANSWER);
    }

    /// The exit code of a script that ends by itself.
    pub(super) fn code(&self) -> u8 {
        self.0.unwrap_or(exit::DONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::events::talk::Person;

    #[test]
    fn the_first_failure_counts() {
        let peer = || Person { client: 2, name: None };
        let rejected = TalkNote::Rejected { peer: peer(), reason: String::new() };
        let not_done = TalkNote::NotDone { command: "send", reason: String::new() };
        for (notes, code) in [
            (vec![], exit::DONE),
            (vec![TalkNote::RegistryBack, TalkNote::Terminated { peer: peer(), by_peer: true }], exit::DONE),
            (vec![TalkNote::NotFound { who: "bob".into() }, not_done.clone()], exit::NO_ANSWER),
            (vec![rejected, not_done], exit::REFUSED),
        ] {
            let mut verdict = Verdict::default();
            notes.iter().for_each(|note| verdict.learn(note));
            assert_eq!(verdict.code(), code, "{notes:?}");
        }
    }
}
