//! A case for a server and how it is played.

use super::Greeting;
use crate::app::check::content::letters;
use crate::app::check::finding::{Fault, Rule};
use crate::app::check::stage::Stage;
use crate::app::check::talk::Talk;
use crate::packet::lab::Spelling;
use std::net::SocketAddr;
use std::time::Duration;

/// A case: a rule, and the play that shows whether a server keeps it.
pub struct ServerCase {
    /// What is examined.
    pub rule: Rule,
    pub(super) play: fn(&mut Play<'_>) -> Result<(), Fault>,
    pub(super) scope: Scope,
}

impl ServerCase {
    /// Whether a server that cannot even make a plain copy is excused in this case.
    pub fn builds_on_copies(&self) -> bool {
        self.scope != Scope::Plain
    }
}

/// Where a case means something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everywhere.
    All,
    /// Everywhere, and about what every plain copy is made of: nothing else can be to blame.
    Plain,
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
    /// The number that the server wants after any start, where that is not the next one.
    next: Option<u64>,
    /// For file names: what servers out there have may not be overwritten by accident.
    pub(super) case: &'static str,
    /// Only files of less than a chunk arrive at all.
    pub(super) only_small: bool,
    pub(super) faults: Vec<String>,
    pub(super) remarks: Vec<String>,
}

impl<'a> Play<'a> {
    pub(super) fn new(stage: &'a Stage, greeting: Greeting, case: &'static str) -> Self {
        let Greeting { spelling, bufsize, next } = greeting;
        Self { stage, spelling, bufsize, next, case, only_small: false, faults: Vec::new(), remarks: Vec::new() }
    }

    /// A client; in the spaced spelling it starts from 0, as most do.
    /// Where the server has its own idea of the number after a start, it follows that: one case tells of it, the others go on.
    pub(super) fn talk(&self) -> Result<Talk<'a>, Fault> {
        let mut talk = self.talk_from(0)?;
        if let Some(next) = self.next {
            talk.follow(next);
        }
        Ok(talk)
    }

    /// The same at this address of this machine.
    pub(super) fn talk_at(&self, own: SocketAddr) -> Result<Talk<'a>, Fault> {
        let mut talk = Talk::at(own, self.stage, self.spelling, self.bufsize)?;
        if let Some(next) = self.next {
            talk.follow(next);
        }
        Ok(talk)
    }

    pub(super) fn talk_from(&self, first: u64) -> Result<Talk<'a>, Fault> {
        Talk::new(self.stage, self.spelling, first, self.bufsize)
    }

    /// How long a file may be that shall show something else than its length; such a one is looked at in any case.
    pub(super) fn harmless(&self, length: usize) -> usize {
        if !self.only_small {
            return length;
        }
        self.stage.excuse(None);
        length.min(SMALL)
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

/// Less than any chunk, in bytes.
pub(super) const SMALL: usize = 500;

/// How long nothing may come where nothing should.
pub(super) const QUIET: Duration = Duration::from_millis(500);
