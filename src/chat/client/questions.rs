//! What the registry was asked and has not answered: each question ends, by its answer or by the clock.

use crate::chat::PATIENCE;
use crate::packet::chat::{Answer, Request};
use std::time::Instant;

/// Questions in the order in which they were asked, each with the moment at which it ends unanswered. That an acknowledgement
/// came changes nothing: the answer may never come, or make no sense.
#[derive(Debug, Default)]
pub(super) struct Questions(Vec<(Request, Instant)>);

impl Questions {
    /// The registry was, or will be, asked this.
    pub fn ask(&mut self, request: Request, now: Instant) {
        self.0.push((request, now + PATIENCE));
    }

    /// An answer came; says whether it was waited for.
    pub fn settle(&mut self, answer: &Answer) -> bool {
        let at = self.0.iter().position(|(request, _)| is_answer(answer, request));
        if let Some(at) = at {
            self.0.remove(at);
        }
        at.is_some()
    }

    /// The next question whose time is over.
    pub fn expire(&mut self, now: Instant) -> Option<Request> {
        let at = self.0.iter().position(|(_, until)| now >= *until)?;
        Some(self.0.remove(at).0)
    }

    /// When the first one ends.
    pub fn due(&self) -> Option<Instant> {
        self.0.iter().map(|(_, until)| *until).min()
    }

    /// Nothing is of interest any more.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Whether this answers that. Who was meant by a name only the registry knows: the first introduction that was asked for is the
/// one that comes.
fn is_answer(answer: &Answer, request: &Request) -> bool {
    match (answer, request) {
        (Answer::List { .. }, Request::List { .. }) => true,
        (Answer::Active { who, .. }, Request::Lookup(asked)) => who == asked,
        (Answer::Inactive(who), Request::Lookup(asked) | Request::Meet(asked)) => who == asked,
        (Answer::Meet { client, .. }, Request::Meet(asked)) => {
            super::Named { number: client.number, name: client.name.clone() }.is(asked)
        }
        (Answer::Refused(_), Request::Meet(_)) => true,
        _ => false,
    }
}
