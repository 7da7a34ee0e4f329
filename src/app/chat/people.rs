//! Who is known, for completion, and who waits for an answer, in the order in which they came.

use super::tell::{named, person};
use crate::chat::client::Event;
use crate::io::events::talk::Person;
use crate::io::lines::Vocabulary;
use crate::packet::chat::{ClientName, Who};
use std::collections::BTreeMap;

/// Other clients, as far as they were met.
pub(super) struct People {
    vocabulary: Vocabulary,
    /// Their names, by number.
    known: BTreeMap<u64, Option<String>>,
    waiting: Vec<Waiting>,
}

/// Somebody who waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Who.
    pub(super) peer: Person,
    /// The file that it offers and its size; none for a request to talk.
    pub(super) file: Option<(String, u64)>,
}

impl People {
    /// Nobody yet. Names of those who are known go to the vocabulary.
    pub(super) fn new(vocabulary: Vocabulary) -> Self {
        Self { vocabulary, known: BTreeMap::new(), waiting: Vec::new() }
    }

    /// Whom an event tells of, and who waits after it.
    pub(super) fn learn(&mut self, event: &Event) {
        match event {
            Event::Clients { total, clients } => {
                if clients.len() as u64 >= *total {
                    self.known.clear();
                }
                self.meet(clients.iter().map(|listed| person(listed.number, listed.name.as_ref())));
            }
            Event::Found(client) => self.meet([person(client.number, client.name.as_ref())]),
            Event::Requesting(peer) => self.meet([named(peer)]),
            Event::Requested(peer) => {
                let peer = named(peer);
                self.meet([peer.clone()]);
                self.forget_request(peer.client);
                self.waiting.push(Waiting { peer, file: None });
            }
            Event::FileOffered { peer, file, size } => {
                self.forget_file();
                self.waiting.push(Waiting { peer: named(peer), file: Some((file.clone(), *size)) });
            }
            Event::Withdrawn(peer) => self.forget_request(peer.number),
            Event::Connected { peer, .. } => self.forget_request(peer.number),
            Event::Terminated { .. } | Event::Gone(_) => self.forget_file(),
            _ => {}
        }
    }

    /// Who waits: this one, or the one that has waited longest. While a chat is under way only a file can be agreed to, so it goes
    /// first with `files_first`.
    ///
    /// # Errors
    /// A sentence, if nobody does.
    pub(super) fn waiting(&self, who: Option<&Who>, files_first: bool) -> Result<Waiting, String> {
        let mut suitable = self.waiting.iter().filter(|waiting| who.is_none_or(|who| is_meant(&waiting.peer, who)));
        let file = if files_first { suitable.clone().find(|waiting| waiting.file.is_some()) } else { None };
        file.or_else(|| suitable.next()).cloned().ok_or_else(|| match who {
            Some(who) => format!("{who} does not wait for an answer"),
            None => "nobody waits for an answer".into(),
        })
    }

    /// Splits `bob not now`, if bob waits for an answer; otherwise all of it is the reason.
    pub(super) fn whose_and_why<'a>(&self, words: &'a str) -> (Option<Who>, &'a str) {
        let (first, rest) = words.split_once(' ').unwrap_or((words, ""));
        let who = first.parse().ok();
        match who.filter(|who| matches!(who, Who::Number(_)) || self.waiting(Some(who), false).is_ok()) {
            Some(who) => (Some(who), rest.trim_start()),
            None => (None, words),
        }
    }

    /// A request is answered or taken back.
    pub(super) fn forget_request(&mut self, client: u64) {
        self.waiting.retain(|waiting| waiting.file.is_some() || waiting.peer.client != client);
    }

    /// The file is answered, or the chat is over; there is one offer at a time.
    pub(super) fn forget_file(&mut self) {
        self.waiting.retain(|waiting| waiting.file.is_none());
    }

    fn meet(&mut self, people: impl IntoIterator<Item = Person>) {
        for Person { client, name } in people {
            if self.known.len() < KNOWN_MAX || self.known.contains_key(&client) {
                self.known.insert(client, name);
            }
        }
        let name = |(client, name): (&u64, &Option<String>)| name.clone().unwrap_or_else(|| client.to_string());
        self.vocabulary.set_names(self.known.iter().map(name).collect());
    }
}

/// The machine says the same of its own [`Named`](crate::chat::client::Named).
fn is_meant(person: &Person, who: &Who) -> bool {
    match who {
        Who::Number(number) => person.client == *number,
        Who::Name(name) => person
            .name
            .as_ref()
            .is_some_and(|own| own.parse().is_ok_and(|own: ClientName| own.folded() == name.folded())),
    }
}

/// Clients that are remembered for completion; nobody looks through more.
const KNOWN_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::client::Named;

    fn people(events: &[Event]) -> People {
        let mut people = People::new(Vocabulary::new(&[]));
        events.iter().for_each(|event| people.learn(event));
        people
    }

    fn peer(number: u64, name: &str) -> Named {
        Named { number, name: name.parse().ok() }
    }

    fn offer(number: u64, name: &str) -> Event {
        Event::FileOffered { peer: peer(number, name), file: "x".into(), size: 1 }
    }

    #[test]
    fn the_oldest_is_answered_first_and_in_a_chat_the_file() {
        let requests = [Event::Requested(peer(1, "al")), Event::Requested(peer(2, "bob"))];
        let mut people = people(&requests);
        people.learn(&offer(3, "carol"));
        let whose = |people: &People, who: Option<&str>, files_first| {
            let who = who.map(|who| who.parse().unwrap());
            people.waiting(who.as_ref(), files_first).map(|waiting| waiting.peer.client)
        };
        assert_eq!(whose(&people, None, false), Ok(1));
        assert_eq!(whose(&people, None, true), Ok(3));
        assert_eq!(whose(&people, Some("BOB"), true), Ok(2));
        assert_eq!(whose(&people, Some("2"), false), Ok(2));
        assert_eq!(whose(&people, Some("dave"), false), Err("dave does not wait for an answer".into()));
        people.learn(&Event::Withdrawn(peer(1, "al")));
        assert_eq!(whose(&people, None, false), Ok(2));
        people.learn(&Event::Gone(peer(3, "carol")));
        people.forget_request(2);
        assert_eq!(whose(&people, None, false), Err("nobody waits for an answer".into()));
    }

    #[test]
    fn a_request_that_is_repeated_and_a_new_offer_wait_once() {
        let again = Event::Requested(peer(1, "al"));
        let people = people(&[again.clone(), again, offer(1, "al"), offer(1, "al")]);
        assert_eq!(people.waiting.len(), 2);
    }

    #[test]
    fn a_reason_begins_with_a_client_only_if_that_one_waits() {
        let people = people(&[Event::Requested(peer(2, "bob"))]);
        let bob = Some(Who::Name("bob".parse().unwrap()));
        for (words, whose, why) in [
            ("", None, ""),
            ("bob", bob.clone(), ""),
            ("bob  not now", bob, "not now"),
            ("not now", None, "not now"),
            ("2", Some(Who::Number(2)), ""),
            ("7 x", Some(Who::Number(7)), "x"),
        ] {
            assert_eq!(people.whose_and_why(words), (whose, why), "{words:?}");
        }
    }
}
