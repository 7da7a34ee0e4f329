//! What programs tell of messages.

use crate::name::Printable;
use serde::Serialize;
use std::net::SocketAddr;
use std::time::Duration;

/// Something worth telling of messages; the field `event` has its kind, as in all notes.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum MessageNote {
    /// A message came to a server.
    Message {
        /// From whom.
        peer: SocketAddr,
        /// How it was answered: `sequenced`, `echo` or `acknowledge`.
        reply: &'static str,
        /// Its number, where it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        /// What it says.
        text: String,
        /// `new`, `late`, `restarted`, or (not delivered) `duplicate`.
        mark: &'static str,
    },
    /// Something came to a server that was not answered.
    Ignored {
        /// From whom.
        peer: SocketAddr,
        /// Why.
        reason: String,
        /// How many more since the last one that was told.
        untold: u64,
    },
    /// What a server has heard, at its end.
    Heard {
        /// Messages delivered.
        messages: u64,
        /// Messages that came again.
        duplicates: u64,
        /// Datagrams that were not answered.
        ignored: u64,
    },
    /// A client's message was answered.
    Answered {
        /// Its number.
        number: u64,
        /// What it said.
        text: String,
        /// The answer, as it came.
        answer: String,
        /// How often it was sent.
        attempts: u32,
        /// From its first copy to the answer; a round trip, if it was sent once.
        took_ms: f64,
    },
    /// A client's message was given up, or could not be sent.
    Unanswered {
        /// Its number; none if it could not be sent.
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        /// What it said.
        text: String,
        /// Why.
        reason: String,
        /// How often it was sent.
        attempts: u32,
    },
    /// What became of a client's messages, at its end.
    Tally(Tally),
}

/// What became of a client's messages.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Tally {
    /// Messages that were to be sent.
    pub messages: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Those that were given up, or answered with another text only.
    pub unanswered: u64,
    /// Those that could not be sent.
    pub unsent: u64,
    /// Datagrams sent again.
    pub retransmissions: u64,
    /// Answers that came and were not waited for any more.
    pub ignored: u64,
    /// The shortest round trip in milliseconds, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_min_ms: Option<f64>,
    /// The smoothed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// The longest one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_max_ms: Option<f64>,
}

impl MessageNote {
    /// Whether it is told also to whoever wants to hear only what goes wrong.
    pub fn is_failure(&self) -> bool {
        matches!(self, MessageNote::Unanswered { .. })
    }
}

/// A duration as JSON has it: milliseconds, to the microsecond. Clocks tell no more, and nobody reads it.
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// A note as a person reads it.
pub(super) fn sentence(note: &MessageNote) -> String {
    match note {
        MessageNote::Message { peer, number, text, mark, .. } => {
            let number = number.map(|number| format!("{number}:")).unwrap_or_default();
            let mark = match *mark {
                "new" => "",
                "late" => "  (late: later ones came before it)",
                "restarted" => "  (the peer counts anew)",
                _ => "  (again: only answered)",
            };
            // Terminal tools as `nc -u` send the line with its end.
            let text = text.strip_suffix('\n').unwrap_or(text);
            format!("{peer}: {number}{}{mark}", Printable(text))
        }
        MessageNote::Ignored { peer, reason, untold } => {
            let more = if *untold > 0 { format!(" ({untold} more like that)") } else { String::new() };
            format!("{peer}: not answered: {reason}{more}")
        }
        MessageNote::Heard { messages, duplicates, ignored } => {
            let plural = if *messages == 1 { "" } else { "s" };
            let mut text = format!("{messages} message{plural} came");
            for (count, words) in [(duplicates, "came again"), (ignored, "datagrams were not answered")] {
                if *count > 0 {
                    text += &format!(", {count} {words}");
                }
            }
            text
        }
        MessageNote::Answered { answer, attempts, took_ms, .. } => {
            let again = if *attempts > 1 { format!(", sent {attempts} times") } else { String::new() };
            format!("{}  ({}{again})", Printable(answer), duration(*took_ms))
        }
        MessageNote::Unanswered { number, text, reason, .. } => {
            let number = number.map(|number| format!("{number}:")).unwrap_or_default();
            format!("{number}{}: {reason}", shortened(text))
        }
        MessageNote::Tally(tally) => tally_sentence(tally),
    }
}

fn tally_sentence(tally: &Tally) -> String {
    let Tally { messages, answered, unanswered, unsent, retransmissions, .. } = tally;
    let plural = if *messages == 1 { "" } else { "s" };
    let mut text = format!("{messages} message{plural}, {answered} answered");
    for (count, words) in [(unanswered, "not answered"), (unsent, "not sent"), (retransmissions, "sent again")] {
        if *count > 0 {
            text += &format!(", {count} {words}");
        }
    }
    if let (Some(min), Some(smoothed), Some(max)) = (tally.rtt_min_ms, tally.rtt_ms, tally.rtt_max_ms) {
        text += &format!("; round trips from {} to {}, smoothed {}", duration(min), duration(max), duration(smoothed));
    }
    text
}

/// A message that is spoken about needs no more than its beginning.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", Printable(text.get(..end).unwrap_or_default())),
        None => Printable(text).to_string(),
    }
}

/// `0.21 ms`, `2.01 s`.
fn duration(milliseconds: f64) -> String {
    if milliseconds < 1000.0 { format!("{milliseconds:.2} ms") } else { format!("{:.2} s", milliseconds / 1000.0) }
}

/// Characters of a message in a sentence about it.
const SHOWN: usize = 60;
