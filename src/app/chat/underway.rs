//! What was begun and is not settled yet: the next line of a script waits for it, and so does its end.

use crate::chat::client::Event;
use crate::packet::chat::Who;

/// What is under way between us, the registry and the other side; files have their own account.
#[derive(Debug, Default)]
pub(super) struct Underway {
    /// Questions to the registry.
    questions: u32,
    /// Messages that are not acknowledged.
    messages: u32,
    /// Whom we have asked for a chat, without an answer yet.
    request: Option<Who>,
    /// The registry does not answer at the moment: nobody waits for it.
    is_silent: bool,
}

impl Underway {
    /// The registry was asked.
    pub(super) fn on_question(&mut self) {
        self.questions += 1;
    }

    /// Something was said.
    pub(super) fn on_message(&mut self) {
        self.messages += 1;
    }

    /// Somebody was asked for a chat, or (with `None`) is not any more.
    pub(super) fn on_request(&mut self, who: Option<Who>) {
        self.request = who;
    }

    /// Whether everything is settled.
    pub(super) fn is_idle(&self) -> bool {
        (self.questions == 0 || self.is_silent) && self.messages == 0 && self.request.is_none()
    }

    /// Whether something that was begun is not settled and perhaps never will be.
    pub(super) fn is_waiting(&self) -> bool {
        self.questions > 0 || self.messages > 0 || self.request.is_some()
    }

    /// What an event settles.
    pub(super) fn settle(&mut self, event: &Event) {
        match event {
            Event::NotFound(who) if self.request.as_ref() == Some(who) => self.request = None,
            Event::Clients { .. } | Event::Found { .. } | Event::NotFound(_) | Event::NoAnswer(_) => {
                self.questions = self.questions.saturating_sub(1);
            }
            // There is one request at a time, and who was asked for by a name may be told by its number.
            Event::Connected { .. } | Event::Rejected { .. } | Event::Unreached { .. } => self.request = None,
            Event::Delivered { .. } | Event::NotDelivered { .. } => self.messages = self.messages.saturating_sub(1),
            Event::Terminated { .. } | Event::Gone { .. } => (self.messages, self.request) = (0, None),
            Event::RegistrySilent => self.is_silent = true,
            Event::RegistryBack | Event::Registered { .. } => self.is_silent = false,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::client::{Named, Question, Unreached};

    #[test]
    fn each_beginning_is_settled_by_its_own_end() {
        let bob = || Who::Number(2);
        let found_nobody = || Event::NotFound(bob());
        let mut underway = Underway::default();
        underway.on_question();
        underway.on_request(Some(bob()));
        underway.settle(&found_nobody());
        assert!(!underway.is_idle(), "both asked for the same one, and one answer came");
        underway.settle(&found_nobody());
        assert!(underway.is_idle());
        for (begin, end) in [
            (Underway::on_question as fn(&mut Underway), Event::Clients { total: 0, clients: Vec::new() }),
            (Underway::on_question, Event::NoAnswer(Question::List)),
            (Underway::on_question, Event::RegistrySilent),
            (Underway::on_message, Event::NotDelivered { seq: 1, text: String::new() }),
            (
                |underway| underway.on_request(Some(Who::Number(2))),
                Event::Unreached { who: "bob".parse().unwrap(), why: Unreached::NoWay },
            ),
            (|underway| underway.on_request(Some(Who::Number(2))), Event::Gone(Named { number: 2, name: None })),
        ] {
            let mut underway = Underway::default();
            begin(&mut underway);
            assert!(!underway.is_idle());
            underway.settle(&end);
            assert!(underway.is_idle(), "{end:?}");
        }
    }

    #[test]
    fn nobody_waits_for_a_silent_registry() {
        let mut underway = Underway::default();
        underway.settle(&Event::RegistrySilent);
        underway.on_question();
        assert!(underway.is_idle());
        underway.settle(&Event::RegistryBack);
        assert!(!underway.is_idle());
    }
}
