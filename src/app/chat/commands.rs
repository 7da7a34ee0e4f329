//! What a person types, or a program says in JSON, and what is meant by it.

use crate::io::lines::{Follows, Word};
use crate::name::Printable;
use crate::packet::chat::{BadName, Who};
use serde::Deserialize;
use serde_json::error::Category;
use std::path::PathBuf;
use thiserror::Error;

/// What a chat client is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Say who is here.
    List,
    /// Say where this one is.
    LookUp(Who),
    /// Ask this one to talk.
    Connect(Who),
    /// Agree to a request, or to a file; without a name to the one that has waited longest.
    Accept(Option<Who>),
    /// Decline it.
    Reject {
        /// Whose.
        who: Option<Who>,
        /// Why; perhaps nothing.
        reason: String,
    },
    /// The same as it is typed: whether the first word is a client or begins the reason depends on who waits.
    RejectAsTyped(String),
    /// Say this.
    Send(String),
    /// Offer this file.
    SendFile(PathBuf),
    /// End the chat, or take the request back.
    Terminate,
    /// End the program.
    Leave,
    /// Say what can be said.
    Help,
}

/// Why a line is no command.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Misunderstood {
    /// Not one of the words.
    #[error("there is no command {}; {}", Printable(.word), hint(*.nearest))]
    Unknown {
        /// What stands there.
        word: String,
        /// A command that it resembles.
        nearest: Option<&'static str>,
    },
    /// Something is missing.
    #[error("{0} what? write: {0} {1}")]
    Incomplete(&'static str, &'static str),
    /// Something stands where nothing should.
    #[error("nothing follows {0}; what is to be said begins with `send`")]
    Superfluous(&'static str),
    /// Neither a client's number nor its name.
    #[error("{} is neither a number nor a name: {why}", Printable(.text))]
    NoClient {
        /// What stands there.
        text: String,
        /// Why.
        why: BadName,
    },
    /// Commands are text.
    #[error("it is not UTF-8, from byte {0} on")]
    NotUtf8(usize),
    /// It begins as JSON does.
    #[error("it is no command in JSON: {0}")]
    Json(String),
}

fn hint(nearest: Option<&'static str>) -> String {
    nearest.map_or_else(|| "help lists them all".into(), |nearest| format!("did you mean {nearest}?"))
}

/// Reads a line; `None` for an empty one. With `json` it may be an object as well.
///
/// # Errors
/// [`Misunderstood`] is a sentence about it.
pub fn read(line: &[u8], json: bool) -> Result<Option<Command>, Misunderstood> {
    let text = str::from_utf8(line).map_err(|error| Misunderstood::NotUtf8(error.valid_up_to()))?;
    if json && text.trim_start().starts_with('{') {
        return serde_json::from_str::<Spoken>(text)
            .map_err(|error| Misunderstood::Json(complaint(&error)))?
            .meant()
            .map(Some);
    }
    typed(text)
}

/// What is wrong with an object, for somebody who sees only one line.
fn complaint(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let (what, _) = text.split_once(" at line ").unwrap_or((&text, ""));
    match error.classify() {
        Category::Eof => "its end is missing".into(),
        Category::Syntax => format!("{what} (character {})", error.column()),
        Category::Data | Category::Io => what.to_owned(),
    }
}

/// A line as it is typed: a word, a blank, and what belongs to it.
fn typed(text: &str) -> Result<Option<Command>, Misunderstood> {
    let text = text.trim_start();
    let (first, rest) = text.split_once(' ').unwrap_or((text.trim_end(), ""));
    if first.is_empty() {
        return Ok(None);
    }
    let Some(known) = WORDS.iter().find(|known| known.word.eq_ignore_ascii_case(first)) else {
        let nearest = nearest(first);
        return Err(Misunderstood::Unknown { word: first.chars().take(SHOWN).collect(), nearest });
    };
    let argument = rest.trim();
    if argument.is_empty() && known.usage.starts_with('<') {
        return Err(Misunderstood::Incomplete(known.word, known.usage));
    }
    if !argument.is_empty() && known.usage.is_empty() {
        return Err(Misunderstood::Superfluous(known.word));
    }
    Ok(Some(match known.word {
        "list" => Command::List,
        "lookup" => Command::LookUp(client(argument)?),
        "connect" => Command::Connect(client(argument)?),
        "accept" => Command::Accept((!argument.is_empty()).then(|| client(argument)).transpose()?),
        "reject" => Command::RejectAsTyped(argument.to_owned()),
        "send" => Command::Send(rest.to_owned()),
        "send_file" => Command::SendFile(unquoted(argument).into()),
        "terminate" => Command::Terminate,
        "help" => Command::Help,
        _ => Command::Leave,
    }))
}

fn client(text: &str) -> Result<Who, Misunderstood> {
    let text_shown = || text.chars().take(SHOWN).collect();
    text.parse().map_err(|why| Misunderstood::NoClient { text: text_shown(), why })
}

/// A path that was dragged into the terminal has quotes around it.
fn unquoted(path: &str) -> &str {
    let inside = |quote: char| path.strip_prefix(quote)?.strip_suffix(quote);
    inside('\'').or_else(|| inside('"')).unwrap_or(path)
}

/// The command that a word was perhaps meant to be: one that it begins, or that differs in few letters.
fn nearest(word: &str) -> Option<&'static str> {
    let word: String = word.to_lowercase().chars().take(SHOWN).collect();
    let words = || WORDS.iter().map(|known| known.word);
    let begun = words().find(|known| word.len() > 1 && known.starts_with(&word));
    // Of two that are as near, the one that begins alike is meant.
    let likeness = |known: &str| (distance(&word, known), known.chars().next() != word.chars().next());
    let alike = || words().map(|known| (likeness(known), known)).min().filter(|((distance, _), _)| *distance <= 2);
    begun.or_else(|| alike().map(|(_, known)| known))
}

/// How many letters have to be changed, added or left out (Levenshtein's distance).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.chars().enumerate() {
        let mut next = vec![above + 1];
        for ((pair, opposite), left) in row.windows(2).zip(&other).zip(0..) {
            let &[diagonal, upper] = pair else { continue };
            let left = next.get(left).copied().unwrap_or_default();
            next.push((diagonal + usize::from(letter != *opposite)).min(upper + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// The commands: what follows in `<>` must be there, in `[]` it may.
pub const WORDS: &[Word] = &[
    Word { word: "list", usage: "", follows: Follows::Nothing },
    Word { word: "lookup", usage: "<client>", follows: Follows::Name },
    Word { word: "connect", usage: "<client>", follows: Follows::Name },
    Word { word: "accept", usage: "[client]", follows: Follows::Name },
    Word { word: "reject", usage: "[client] [reason]", follows: Follows::Name },
    Word { word: "send", usage: "<message>", follows: Follows::Nothing },
    Word { word: "send_file", usage: "<path>", follows: Follows::Path },
    Word { word: "terminate", usage: "", follows: Follows::Nothing },
    Word { word: "leave", usage: "", follows: Follows::Nothing },
    Word { word: "help", usage: "", follows: Follows::Nothing },
    Word { word: "quit", usage: "", follows: Follows::Nothing },
    Word { word: "exit", usage: "", follows: Follows::Nothing },
];

/// What `help` says.
pub const HELP: &str = "\
list                       who is here
lookup <client>            where a client is; a client is a number or a name
connect <client>           ask a client to talk, until it answers
accept [client]            agree to a request or a file; without a client to the
                           one that has waited longest
reject [client] [reason]   decline it
send <message>             say something, just as it stands
send_file <path>           offer a file; it begins when the other side accepts
terminate                  end the chat, or take a request back
leave                      end everything (also quit, exit, Ctrl-D, Ctrl-C)
Tab completes commands, clients and paths; arrow keys fetch earlier lines back.";

/// A command as programs write it: `{\"command\":\"send\",\"text\":\"hello\"}`.
#[derive(Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
enum Spoken {
    List {},
    Lookup { client: ClientField },
    Connect { client: ClientField },
    Accept { client: Option<ClientField> },
    Reject { client: Option<ClientField>, reason: Option<String> },
    Send { text: String },
    SendFile { path: PathBuf },
    Terminate {},
    Leave {},
    Help {},
}

/// A number, or a name (or a number in quotes).
#[derive(Deserialize)]
#[serde(untagged, expecting = "`client` is a number or a name")]
enum ClientField {
    Number(u64),
    Text(String),
}

impl ClientField {
    fn who(self) -> Result<Who, Misunderstood> {
        match self {
            ClientField::Number(number) => Ok(Who::Number(number)),
            ClientField::Text(text) => client(&text),
        }
    }
}

impl Spoken {
    fn meant(self) -> Result<Command, Misunderstood> {
        let whose = |client: Option<ClientField>| client.map(ClientField::who).transpose();
        Ok(match self {
            Spoken::List {} => Command::List,
            Spoken::Lookup { client } => Command::LookUp(client.who()?),
            Spoken::Connect { client } => Command::Connect(client.who()?),
            Spoken::Accept { client } => Command::Accept(whose(client)?),
            Spoken::Reject { client, reason } => {
                Command::Reject { who: whose(client)?, reason: reason.unwrap_or_default() }
            }
            Spoken::Send { text } => Command::Send(text),
            Spoken::SendFile { path } => Command::SendFile(path),
            Spoken::Terminate {} => Command::Terminate,
            Spoken::Leave {} => Command::Leave,
            Spoken::Help {} => Command::Help,
        })
    }
}

/// Characters of a senseless word in a sentence about it.
const SHOWN: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Who {
        Who::Name(text.parse().unwrap())
    }

    #[test]
    fn a_line_is_a_word_and_what_belongs_to_it() {
        for (line, command) in [
            ("list", Command::List),
            (" LIST  ", Command::List),
            ("lookup bob", Command::LookUp(name("bob"))),
            ("connect 7", Command::Connect(Who::Number(7))),
            ("connect  bob ", Command::Connect(name("bob"))),
            ("accept", Command::Accept(None)),
            ("accept 007", Command::Accept(Some(Who::Number(7)))),
            ("reject", Command::RejectAsTyped(String::new())),
            ("reject bob not now", Command::RejectAsTyped("bob not now".into())),
            ("send  two  blanks ", Command::Send(" two  blanks ".into())),
            ("send ACK:x", Command::Send("ACK:x".into())),
            ("send {\"command\":\"list\"}", Command::Send("{\"command\":\"list\"}".into())),
            ("send_file my cat.jpg", Command::SendFile("my cat.jpg".into())),
            ("send_file 'my cat.jpg'", Command::SendFile("my cat.jpg".into())),
            ("send_file it's", Command::SendFile("it's".into())),
            ("terminate", Command::Terminate),
            ("leave", Command::Leave),
            ("quit", Command::Leave),
            ("exit", Command::Leave),
            ("help", Command::Help),
        ] {
            assert_eq!(read(line.as_bytes(), false), Ok(Some(command)), "{line:?}");
        }
        assert_eq!(read(b"", false), Ok(None));
        assert_eq!(read(b"   ", true), Ok(None));
    }

    #[test]
    fn what_is_no_command_is_said_in_a_sentence() {
        for (line, sentence) in [
            (&b"sned hello"[..], "there is no command sned; did you mean send?"),
            (b"conn bob", "there is no command conn; did you mean connect?"),
            (b"LSIT", "there is no command LSIT; did you mean list?"),
            (b"hello", "there is no command hello; did you mean help?"),
            (b"good morning", "there is no command good; help lists them all"),
            (b"\x1b[2J", "there is no command \\u{1b}[2J; help lists them all"),
            (b"connect", "connect what? write: connect <client>"),
            (b"send ", "send what? write: send <message>"),
            (b"list all", "nothing follows list; what is to be said begins with `send`"),
            (b"connect a,b", "a,b is neither a number nor a name: a name has no \\u{2c}"),
            (b"send \xff", "it is not UTF-8, from byte 5 on"),
        ] {
            assert_eq!(read(line, false).unwrap_err().to_string(), sentence);
        }
    }

    #[test]
    fn programs_say_the_same_in_json() {
        for (line, command) in [
            (r#"{"command":"list"}"#, Command::List),
            (r#"{"command":"lookup","client":"bob"}"#, Command::LookUp(name("bob"))),
            (r#"{"command":"connect","client":7}"#, Command::Connect(Who::Number(7))),
            (r#"{"command":"connect","client":"7"}"#, Command::Connect(Who::Number(7))),
            (r#"{"command":"accept"}"#, Command::Accept(None)),
            (r#"{"command":"reject","reason":"not now"}"#, Command::Reject { who: None, reason: "not now".into() }),
            (
                r#"{"command":"reject","client":5}"#,
                Command::Reject { who: Some(Who::Number(5)), reason: String::new() },
            ),
            (r#"{"command":"send","text":"a\nb"}"#, Command::Send("a\nb".into())),
            (r#"{"command":"send_file","path":" x "}"#, Command::SendFile(" x ".into())),
            (r#" {"command":"leave"} "#, Command::Leave),
            ("send {x", Command::Send("{x".into())),
        ] {
            assert_eq!(read(line.as_bytes(), true), Ok(Some(command)), "{line}");
        }
    }

    #[test]
    fn json_that_is_no_command_is_named() {
        for (line, words) in [
            (r#"{"command":"dance"}"#, "unknown variant `dance`"),
            (r#"{"command":"list","all":true}"#, "unknown field `all`"),
            (r#"{"command":"send","text":"a","to":"bob"}"#, "unknown field `to`"),
            (r#"{"command":"send"}"#, "missing field `text`"),
            (r#"{"command":"connect","client":-1}"#, "`client` is a number or a name"),
            (r#"{"command":"connect","client":"a b"}"#, "neither a number nor a name"),
            (r#"{"command":"list"} x"#, "trailing characters (character 20)"),
            ("{", "its end is missing"),
        ] {
            let sentence = read(line.as_bytes(), true).unwrap_err().to_string();
            assert!(sentence.contains(words), "{line}: {sentence}");
        }
        let typed = read(br#"{"command":"list"}"#, false).unwrap_err();
        assert!(matches!(typed, Misunderstood::Unknown { .. }), "only programs speak JSON");
    }

    #[test]
    fn distances_are_counted_in_letters() {
        for (one, other, letters) in
            [("", "", 0), ("", "ab", 2), ("send", "sned", 2), ("lists", "list", 1), ("é", "e", 1)]
        {
            assert_eq!(distance(one, other), letters, "{one} {other}");
            assert_eq!(distance(other, one), letters, "{one} {other}");
        }
    }
}
