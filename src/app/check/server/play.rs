//! A case for a server and how it is played.

use crate::app::check::content::letters;
use crate::app::check::finding::{Fault, Rule};
use crate::app::check::stage::Stage;
use crate::app::check::talk::Talk;
use crate::packet::lab::Spelling;
use std::time::Duration;

/// A case: a rule, and the play that shows whether a server keeps it.
pub struct ServerCase {
    /// What is examined.
    pub rule: Rule,
    pub(super) play: fn(&mut Play<'_>) -> Result<(), Fault>,
    pub(super) scope: Scope,
}

/// Where a case means something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everywhere.
    All,
    /// Where the server's files can be seen.
    Files,
    /// In the spaced spelling; the reason why not in the other.
    Spaced(&'static str),
    /// When the course's text is taken to the letter.
    Strict,
}

pub(super) const fn case(
    case: &'static str,
    rule: &'static str,
    scope: Scope,
    play: fn(&mut Play<'_>) -> Result<(), Fault>,
) -> ServerCase {
    ServerCase { rule: Rule { case, rule }, play, scope }
}

/// A case being played.
pub struct Play<'a> {
    pub(super) stage: &'a Stage,
    pub(super) spelling: Spelling,
    pub(super) bufsize: usize,
    /// For file names: what servers out there have may not be overwritten by accident.
    pub(super) case: &'static str,
    pub(super) faults: Vec<String>,
    pub(super) remarks: Vec<String>,
}

impl<'a> Play<'a> {
    /// A client; in the spaced spelling it starts from 0, as most do.
    pub(super) fn talk(&self) -> Result<Talk<'a>, Fault> {
        self.talk_from(0)
    }

    pub(super) fn talk_from(&self, first: u64) -> Result<Talk<'a>, Fault> {
        Talk::new(self.stage, self.spelling, first, self.bufsize)
    }

    /// A name for a file of this case.
    pub(super) fn name(&self) -> String {
        format!("{}.txt", self.case)
    }

    /// Takes note of a fault and goes on, to see what comes of it.
    pub(super) fn blame(&mut self, result: Result<(), Fault>) -> Result<(), Fault> {
        match result {
            Err(Fault::Broken(why)) => {
                self.faults.push(why);
                Ok(())
            }
            other => other,
        }
    }

    pub(super) fn fault(&mut self, why: String) {
        self.faults.push(why);
    }

    pub(super) fn remark(&mut self, what: String) {
        self.remarks.push(what);
    }
}

/// A file of so many chunks, the last one shorter than the others; its chunks all differ.
pub(super) fn some_chunks(talk: &Talk<'_>, chunks: usize) -> Vec<u8> {
    letters((chunks - 1) * talk.chunk_max() + talk.chunk_max() / 2, "chunk")
}

/// How long nothing may come where nothing should.
pub(super) const QUIET: Duration = Duration::from_millis(500);
