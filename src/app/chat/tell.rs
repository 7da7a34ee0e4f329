//! The machine's events in the words that people and programs read.

use super::commands::Command;
use crate::app::exit;
use crate::chat::client::{Event, Named, Question};
use crate::io::events::messages::milliseconds;
use crate::io::events::talk::{Person, TalkNote, Way};
use crate::packet::chat::{ClientName, Refusal};

/// Who somebody is.
pub(super) fn person(number: u64, name: Option<&ClientName>) -> Person {
    Person { client: number, name: name.map(ToString::to_string) }
}

/// The same.
pub(super) fn named(named: &Named) -> Person {
    person(named.number, named.name.as_ref())
}

/// The word for a command.
pub(super) fn word(command: &Command) -> &'static str {
    match command {
        Command::List => "list",
        Command::LookUp(_) => "lookup",
        Command::Connect(_) => "connect",
        Command::Accept(_) => "accept",
        Command::Reject { .. } | Command::RejectAsTyped(_) => "reject",
        Command::Send(_) => "send",
        Command::SendFile(_) => "send_file",
        Command::Terminate => "terminate",
        Command::Leave => "leave",
        Command::Help => "help",
    }
}

/// The registry will not have us, and the program ends.
pub(super) fn join_refused(refusal: Refusal, name: Option<&ClientName>) -> TalkNote {
    let reason = match refusal {
        Refusal::NameTaken => {
            let name = name.map(ToString::to_string).unwrap_or_default();
            format!("somebody else is called {name} already; --name takes another name")
        }
        Refusal::Full => "the registry is full; try again later".into(),
        Refusal::TooMany => "the registry has too many clients from this address; let some of them leave".into(),
        Refusal::TooOften | Refusal::Busy => "the registry was asked too often; try again in a while".into(),
    };
    TalkNote::JoinRefused { refusal: refusal.word(), reason, exit_code: exit::REFUSED }
}

/// We were in, and may not come back now.
fn not_back(refusal: Refusal) -> TalkNote {
    let why = match refusal {
        Refusal::NameTaken => "somebody else has the name",
        Refusal::Full => "it is full",
        Refusal::TooMany => "it has too many clients from this address",
        Refusal::TooOften | Refusal::Busy => "it was asked too often",
    };
    let reason = format!("the registry does not let you back in: {why}; a chat goes on, and it is tried again");
    TalkNote::NotBack { refusal: refusal.word(), reason }
}

fn no_answer(question: &Question) -> TalkNote {
    let (command, who) = match question {
        Question::List => ("list", None),
        Question::LookUp(who) => ("lookup", Some(who.to_string())),
    };
    TalkNote::NoAnswer { command, who }
}

/// The registry does not answer; with an exit code it never has, and the program ends.
pub(super) fn registry_silent(target: &str, exit_code: Option<u8>) -> TalkNote {
    let reason = match exit_code {
        Some(_) => format!("no registry answers at {target}; does chat_server run there?"),
        None => format!("the registry at {target} does not answer any more; a chat goes on without it"),
    };
    TalkNote::RegistrySilent { reason, exit_code }
}

/// An event as it is told. Those that depend on how far the program is are told by it, with more words.
pub(super) fn note(event: Event) -> TalkNote {
    match event {
        Event::Registered { number, name, seen } => TalkNote::Registered { own: person(number, name.as_ref()), seen },
        Event::JoinRefused(refusal) => join_refused(refusal, None),
        Event::NotBack(refusal) => not_back(refusal),
        Event::NameLost(name) => TalkNote::NameLost { name: name.to_string() },
        Event::NoAnswer(question) => no_answer(&question),
        Event::RegistrySilent => registry_silent("its address", None),
        Event::RegistryBack => TalkNote::RegistryBack,
        Event::Clients { total, clients } => {
            let clients = clients.iter().map(|listed| person(listed.number, listed.name.as_ref())).collect();
            TalkNote::Clients { total, clients }
        }
        Event::Found(client) => {
            TalkNote::Found { peer: person(client.number, client.name.as_ref()), addresses: client.addresses }
        }
        Event::NotFound(who) => TalkNote::NotFound { who: who.to_string() },
        Event::Requesting(peer) => TalkNote::Requesting { peer: named(&peer) },
        Event::Unanswered(peer) => TalkNote::Unanswered { peer: named(&peer) },
        Event::Requested(peer) => TalkNote::Requested { peer: named(&peer) },
        Event::Withdrawn(peer) => TalkNote::Withdrawn { peer: named(&peer) },
        Event::Connected { peer, address } => TalkNote::Connected { peer: named(&peer), address },
        Event::Rejected { peer, reason } => TalkNote::Rejected { peer: named(&peer), reason },
        Event::Unreached { who, why } => TalkNote::Unreached { who: who.to_string(), reason: why.to_string() },
        Event::Message { peer, seq, text } => TalkNote::Message { peer: named(&peer), number: seq, text },
        Event::Delivered { seq, took, attempts } => {
            TalkNote::Delivered { number: seq, took_ms: milliseconds(took), attempts }
        }
        Event::NotDelivered { seq, text } => TalkNote::NotDelivered { number: seq, text },
        Event::Terminated { peer, by_peer } => TalkNote::Terminated { peer: named(&peer), by_peer },
        Event::Gone(peer) => TalkNote::Gone { peer: named(&peer) },
        Event::FileOffered { peer, file, size } => TalkNote::FileOffered { peer: named(&peer), file, size },
        Event::FileAccepted { file, size } => TalkNote::FileAccepted { way: Way::Out, file, size },
        Event::FileRejected { file, reason } => TalkNote::FileRejected { file, reason },
        Event::Nonsense { from, untold } => TalkNote::Nonsense { from, untold },
        Event::Left { acknowledged } => TalkNote::Left { acknowledged },
    }
}
