//! A chat client's notes as a person reads them.

use super::{Person, TalkNote, Way};
use crate::io::events::{bytes, rate};
use crate::name::Printable;
use std::net::SocketAddr;

impl Person {
    /// What a message begins with.
    fn speaker(&self) -> String {
        self.name.as_ref().map_or_else(|| self.client.to_string(), |name| Printable(name).to_string())
    }
}

/// A note as a person reads it: what the other side says begins with its name, everything else with a star.
pub(in crate::io::events) fn sentence(note: &TalkNote) -> String {
    match note {
        TalkNote::Message { peer, text, .. } => format!("{}: {}", peer.speaker(), shown(text)),
        TalkNote::Clients { total, clients } => list_sentence(*total, clients),
        note => format!("* {}", starred(note).or_else(|| file_sentence(note)).unwrap_or_default()),
    }
}

/// What the other side says, as far as anybody reads it at a glance.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => {
            let (beginning, rest) = text.split_at(end);
            format!("{}… ({} more)", Printable(beginning), rest.chars().count())
        }
        None => Printable(text).to_string(),
    }
}

fn starred(note: &TalkNote) -> Option<String> {
    Some(match note {
        TalkNote::Registered { own, seen } => format!("you are {own}, seen at {seen}"),
        TalkNote::JoinRefused { reason, .. }
        | TalkNote::NotBack { reason, .. }
        | TalkNote::RegistrySilent { reason, .. }
        | TalkNote::Misunderstood { reason }
        | TalkNote::NotDone { reason, .. } => reason.clone(),
        TalkNote::NameLost { name } => {
            format!("somebody else is called {} now; you are here by your number only", Printable(name))
        }
        TalkNote::NoAnswer { command, who } => {
            let who = who.as_ref().map(|who| format!(" {}", Printable(who))).unwrap_or_default();
            format!("the registry did not answer: {command}{who}")
        }
        TalkNote::RegistryBack => "the registry answers again".into(),
        TalkNote::Found { peer, addresses } => {
            let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
            format!("{peer} is at {}", addresses.join(", "))
        }
        TalkNote::NotFound { who } => format!("{who} is not here; list says who is"),
        TalkNote::Requesting { peer } => format!("asking {peer}; terminate takes the request back"),
        TalkNote::Unanswered { peer } => format!("{peer} has not answered yet; asking on"),
        TalkNote::Requested { peer } => format!("{peer} wants to talk: accept or reject"),
        TalkNote::Withdrawn { peer } => format!("{peer} does not wait any more"),
        TalkNote::Accepting { peer } => format!("accepting {peer}"),
        TalkNote::Declined { peer, file: Some(file) } => format!("declined {} of {peer}", Printable(file)),
        TalkNote::Declined { peer, file: None } => format!("declined {peer}"),
        TalkNote::TakenBack => "the request is taken back".into(),
        TalkNote::Connected { peer, address } => format!("connected with {peer} at {address}"),
        TalkNote::Rejected { peer, reason } => format!("{peer} does not want to talk{}", because(reason)),
        TalkNote::Unreached { who, reason } => format!("{who} cannot be reached: {reason}"),
        TalkNote::Sent { number, .. } => format!("message {number} is on its way"),
        TalkNote::Delivered { number, took_ms, attempts } => {
            let again = if *attempts > 1 { format!(", sent {attempts} times") } else { String::new() };
            format!("message {number} has arrived ({took_ms:.2} ms{again})")
        }
        TalkNote::NotDelivered { text, .. } => format!("not delivered: {}", shown(text)),
        TalkNote::Terminated { peer, by_peer: true } => format!("{peer} has ended the chat"),
        TalkNote::Terminated { peer, by_peer: false } => format!("the chat with {peer} is over"),
        TalkNote::Gone { peer } => format!("{peer} is not heard any more; the chat is over"),
        TalkNote::Nonsense { from, untold } => {
            let more = if *untold > 0 { format!(" ({untold} more before it)") } else { String::new() };
            format!("something senseless came from {from}{more}")
        }
        TalkNote::Left { acknowledged: true } => "you have left".into(),
        TalkNote::Left { acknowledged: false } => "you have left; the registry did not confirm it".into(),
        _ => return None,
    })
}

fn file_sentence(note: &TalkNote) -> Option<String> {
    Some(match note {
        TalkNote::FileOffered { peer, file, size } => {
            format!("{peer} offers the file {} ({}): accept or reject", Printable(file), bytes(*size))
        }
        TalkNote::FileTurnedAway { file, reason } => {
            format!("the file {} was offered and turned away: {}", Printable(file), Printable(reason))
        }
        TalkNote::FileOffering { file, size } => format!("offering {} ({})", Printable(file), bytes(*size)),
        TalkNote::FileAccepted { way: Way::Out, file, .. } => format!("{} is wanted and begins", Printable(file)),
        TalkNote::FileAccepted { way: Way::In, file, .. } => format!("accepting the file {}", Printable(file)),
        TalkNote::FileRejected { file, reason } => format!("{} is not wanted{}", Printable(file), because(reason)),
        TalkNote::FileProgress { way, file, bytes: done, size } => {
            let percent = done.saturating_mul(100).checked_div(*size).unwrap_or(100);
            let what = if *way == Way::Out { "is sent" } else { "is received" };
            format!("{}: {percent} % {what}", Printable(file))
        }
        TalkNote::FileDone { way, file, bytes: size, seconds, repeats, .. } => {
            let (what, whose) = match way {
                Way::Out => ("is delivered", "sent again"),
                Way::In => ("is saved", "came again"),
            };
            let again = if *repeats > 0 { format!("{repeats} {whose}, ") } else { String::new() };
            let (file, size, rate) = (Printable(file), bytes(*size), rate(*size, *seconds));
            format!("{file} {what}: {size} in {seconds:.2} s ({rate}), {again}verified")
        }
        TalkNote::FileFailed { file, reason, .. } => {
            format!("{} came to nothing: {}", Printable(file), shown(reason))
        }
        _ => return None,
    })
}

/// `: not now`, or nothing.
fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {}", shown(reason)) }
}

fn list_sentence(total: u64, clients: &[Person]) -> String {
    let verb = if total == 1 { "is" } else { "are" };
    let mut text = format!("* {total} {verb} here");
    if (clients.len() as u64) < total {
        text += &format!(", the first {} of them", clients.len());
    }
    let width = clients.iter().map(|person| person.client.to_string().len()).max().unwrap_or_default();
    for Person { client, name } in clients {
        text += &match name {
            Some(name) => format!("\n  {client:>width$}  {}", Printable(name)),
            None => format!("\n  {client:>width$}"),
        };
    }
    text
}

/// Characters of a text of the other side's that are shown: a screen full. Programs get all of it.
const SHOWN: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    fn bob() -> Person {
        Person { client: 2, name: Some("bob".into()) }
    }

    #[test]
    fn what_a_peer_says_cannot_pass_for_anything_else_nor_move_a_cursor() {
        let text = "\u{1b}[2J\r* you have left\nbob: x".to_owned();
        let note = TalkNote::Message { peer: bob(), number: 7, text };
        assert_eq!(sentence(&note), "bob: \\u{1b}[2J\\u{d}* you have left\\u{a}bob: x");
        let reason = "\u{202e}no".to_owned();
        assert_eq!(
            sentence(&TalkNote::Rejected { peer: bob(), reason }),
            "* bob (2) does not want to talk: \\u{202e}no"
        );
        let file = "a\u{7}\n.jpg".to_owned();
        let shown = sentence(&TalkNote::FileOffered { peer: bob(), file, size: 1 });
        assert_eq!(shown, "* bob (2) offers the file a\\u{7}\\u{a}.jpg (1 byte): accept or reject");
    }

    #[test]
    fn of_a_long_text_the_beginning_is_shown() {
        for (characters, shown) in [(2000, "é".repeat(2000)), (2007, format!("{}… (7 more)", "é".repeat(2000)))] {
            let note = TalkNote::Message { peer: bob(), number: 7, text: "é".repeat(characters) };
            assert_eq!(sentence(&note), format!("bob: {shown}"));
            assert!(serde_json::to_string(&note).unwrap().contains(&"é".repeat(characters)));
        }
    }

    #[test]
    fn a_list_has_a_line_for_each() {
        let clients = vec![Person { client: 9, name: None }, Person { client: 10, name: Some("al".into()) }];
        let note = TalkNote::Clients { total: 2, clients: clients.clone() };
        assert_eq!(sentence(&note), "* 2 are here\n   9\n  10  al");
        let note = TalkNote::Clients { total: 500, clients };
        assert!(sentence(&note).starts_with("* 500 are here, the first 2 of them\n"));
    }

    #[test]
    fn every_kind_of_note_has_its_name_and_its_sentence() {
        for (note, json) in [
            (TalkNote::RegistryBack, r#"{"event":"registry_back"}"#),
            (TalkNote::Requested { peer: bob() }, r#"{"event":"requested","client":2,"name":"bob"}"#),
            (
                TalkNote::Message { peer: Person { client: 3, name: None }, number: 7, text: "a\n".into() },
                r#"{"event":"message","client":3,"number":7,"text":"a\n"}"#,
            ),
            (
                TalkNote::FileProgress { way: Way::In, file: "x".into(), bytes: 1, size: 2 },
                r#"{"event":"file_progress","way":"in","file":"x","bytes":1,"size":2}"#,
            ),
            (TalkNote::Left { acknowledged: true }, r#"{"event":"left","acknowledged":true}"#),
        ] {
            assert_eq!(serde_json::to_string(&note).unwrap(), json);
            assert!(sentence(&note).len() > 4, "{note:?}");
        }
    }
}
