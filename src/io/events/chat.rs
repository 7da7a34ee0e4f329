//! What programs tell of the chat.

use super::Volume;
use super::talk::{self, TalkNote};
use crate::name::Printable;
use serde::Serialize;
use std::fmt::Write;
use std::net::SocketAddr;

/// Something worth telling of the chat; the field `event` has its kind, as in all notes.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum ChatNote {
    /// The registry tells it.
    Registry(RegistryNote),
    /// A client tells it.
    Client(TalkNote),
}

impl ChatNote {
    /// Whether something went wrong: people read it where they read complaints.
    pub fn is_failure(&self) -> bool {
        matches!(self, ChatNote::Client(note) if note.is_failure())
    }

    /// Whether a person is told at this volume.
    pub fn is_told(&self, volume: Volume) -> bool {
        match self {
            ChatNote::Client(note) => note.is_told(volume),
            ChatNote::Registry(note) => match volume {
                Volume::Quiet => false,
                Volume::Normal => !note.is_detail(),
                Volume::Verbose => true,
            },
        }
    }
}

/// Something worth telling of the registry.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RegistryNote {
    /// Something came that had no effect.
    Ignored {
        /// From whom.
        peer: SocketAddr,
        /// Why.
        reason: String,
        /// How many more since the last one that was told.
        untold: u64,
    },
    /// Two clients were told of each other.
    Introduced {
        /// Who asked for it, by number.
        by: u64,
        /// To whom, by number.
        to: u64,
    },
    /// A client is here.
    Joined {
        /// Who.
        #[serde(flatten)]
        client: Row,
        /// It was here before, perhaps elsewhere.
        returned: bool,
        /// How many are here now.
        clients: usize,
    },
    /// Somebody was not let in.
    JoinRefused {
        /// Who.
        peer: SocketAddr,
        /// The name that was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Why: `name-taken`, `full` or `too-many`.
        reason: &'static str,
        /// How many more since the last one that was told.
        untold: u64,
    },
    /// A client is gone.
    Left {
        /// Who.
        #[serde(flatten)]
        client: Row,
        /// `left`, `expired` or `replaced`.
        how: &'static str,
        /// How many are here now.
        clients: usize,
    },
    /// A client asked where another one is.
    LookedUp {
        /// Who asked, by number.
        by: u64,
        /// For whom: a number or a name.
        who: String,
        /// Who that is, by number; none for nobody.
        #[serde(skip_serializing_if = "Option::is_none")]
        found: Option<u64>,
    },
    /// What the registry has done, at its end.
    Served {
        /// Clients that came, those that came back included.
        joined: u64,
        /// Clients that went.
        left: u64,
        /// Clients that were not let in.
        refused: u64,
        /// Look-ups, pages of the list, and introductions.
        answered: u64,
        /// Datagrams without effect.
        ignored: u64,
    },
    /// Who is here; for people only.
    Table(Table),
}

/// A client, as the registry sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its number.
    pub number: u64,
    /// Its name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where its messages come from.
    pub seen: SocketAddr,
    /// Its own addresses as it sees them.
    pub reported: Vec<SocketAddr>,
    /// For how long it has been here.
    pub seconds: u64,
}

/// Who is here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Some of them, by rising number.
    pub rows: Vec<Row>,
    /// How many more.
    pub more: usize,
}

/// When a table is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// Never.
    None,
    /// Once for each change.
    OnChange,
    /// Always: it is kept in sight.
    Live,
}

impl RegistryNote {
    /// Whether it is told only to whoever wants to hear more.
    pub fn is_detail(&self) -> bool {
        match self {
            RegistryNote::Ignored { .. }
            | RegistryNote::Introduced { .. }
            | RegistryNote::LookedUp { .. }
            | RegistryNote::Table(_) => true,
            RegistryNote::Joined { .. }
            | RegistryNote::JoinRefused { .. }
            | RegistryNote::Left { .. }
            | RegistryNote::Served { .. } => false,
        }
    }
}

/// A note as a person reads it; `None` for what is drawn.
pub(super) fn sentence(note: &ChatNote) -> Option<String> {
    let note = match note {
        ChatNote::Registry(note) => note,
        ChatNote::Client(note) => return Some(talk::sentence(note)),
    };
    Some(match note {
        RegistryNote::Ignored { peer, reason, untold } => format!("{peer}: ignored: {reason}{}", more(*untold)),
        RegistryNote::Introduced { by, to } => format!("{by} and {to} are told of each other, as {by} asked"),
        RegistryNote::Joined { client, returned, clients } => {
            let verb = if *returned { "is back" } else { "joins" };
            format!("{} {verb}, from {}; {}", who(client), client.seen, here(*clients))
        }
        RegistryNote::JoinRefused { peer, name, reason, untold } => {
            let name = name.as_ref().map(|name| format!(" as {}", Printable(name))).unwrap_or_default();
            let reason = match *reason {
                "name-taken" => "somebody else has the name",
                "full" => "no more clients fit",
                "too-many" => "too many are here from that address",
                other => other,
            };
            format!("{peer}: may not join{name}: {reason}{}", more(*untold))
        }
        RegistryNote::Left { client, how, clients } => {
            let how = match *how {
                "expired" => "is gone: nothing was heard of it",
                "replaced" => "is gone: another client came from its address",
                _ => "leaves",
            };
            format!("{} {how}; {}", who(client), here(*clients))
        }
        RegistryNote::LookedUp { by, who, found } => {
            let found = found.map_or("nobody".to_owned(), |found| found.to_string());
            format!("{by} looks {} up: {found}", Printable(who))
        }
        RegistryNote::Served { joined, left, refused, answered, ignored } => {
            let plural = if *answered == 1 { "" } else { "s" };
            let mut text = format!("{joined} joined, {left} went, {answered} question{plural} answered");
            for (count, words) in [(refused, "not let in"), (ignored, "ignored")] {
                if *count > 0 {
                    let _ = write!(text, ", {count} {words}");
                }
            }
            text
        }
        RegistryNote::Table(_) => return None,
    })
}

/// `2 (bob)`, or `2`.
fn who(client: &Row) -> String {
    match &client.name {
        Some(name) => format!("{} ({})", client.number, Printable(name)),
        None => client.number.to_string(),
    }
}

fn here(clients: usize) -> String {
    match clients {
        0 => "nobody is here".into(),
        1 => "1 client is here".into(),
        _ => format!("{clients} clients are here"),
    }
}

fn more(untold: u64) -> String {
    if untold > 0 { format!(" ({untold} more like that)") } else { String::new() }
}
