//! What two clients say to each other.

use super::{ClientName, Fields, Meeting, Unreadable, field, first_word, number};
use std::fmt::{self, Display};

/// What a client says to another, as the text of a numbered message. Each but the probe begins with who says it: its number at the
/// registry, as the exercise wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Talk<'a> {
    /// `Probe <meeting>`: does this way lead to you? It opens the sender's router for the other's probes.
    Probe(Meeting),
    /// `Connection Request <n> meeting=<meeting> [name=..]`: shall we talk?
    Request {
        /// Who asks.
        from: u64,
        /// The registry's word for this attempt.
        meeting: Meeting,
        /// What it calls itself; nobody believes it, since the registry has said who it is.
        name: Option<ClientName>,
    },
    /// `Connection Accept <n> meeting=<meeting>`: yes. This and the next two name the attempt, so that a straggler of an earlier
    /// one changes nothing.
    Accept {
        /// Who agrees.
        from: u64,
        /// The attempt that it is about.
        meeting: Meeting,
    },
    /// `Connection Reject <n> meeting=<meeting> [reason]`: no.
    Reject {
        /// Who declines.
        from: u64,
        /// The attempt that it is about.
        meeting: Meeting,
        /// Why, in words for people; perhaps nothing. Not yet safe to print.
        reason: &'a str,
    },
    /// `Connection Termination <n> meeting=<meeting>`: that was all; before an answer to a request it takes the request back.
    Termination {
        /// Who ends it.
        from: u64,
        /// The attempt that it is about.
        meeting: Meeting,
    },
    /// `Message <n> <text>`.
    Message {
        /// Who says it.
        from: u64,
        /// What it says, to the end. Not yet safe to print.
        text: &'a str,
    },
    /// `Client Here <n>`: still here; keeps routers' doors open.
    Here {
        /// Who.
        from: u64,
    },
    /// `File Offer <n> size=<bytes> <name>`: may I send this file?
    Offer {
        /// Who offers.
        from: u64,
        /// Its size in bytes.
        size: u64,
        /// Its name, to the end. Not yet safe for anything.
        file: &'a str,
    },
    /// `File Accept <n>`: send it.
    OfferAccept {
        /// Who agrees.
        from: u64,
    },
    /// `File Reject <n> [reason]`: do not.
    OfferReject {
        /// Who declines.
        from: u64,
        /// Why, in words for people; perhaps nothing. Not yet safe to print.
        reason: &'a str,
    },
}

impl<'a> Talk<'a> {
    /// Reads what the other client says.
    ///
    /// # Errors
    /// [`Unreadable`] says what is wrong with it.
    pub fn parse(text: &'a str) -> Result<Self, Unreadable> {
        let (first, rest) = first_word(text);
        if first == "Probe" {
            return rest.parse().map(Talk::Probe).map_err(|()| Unreadable::Senseless("the meeting"));
        }
        let (second, rest) = if first == "Message" { ("", rest) } else { first_word(rest) };
        let (digits, rest) = first_word(rest);
        let from = || number(digits, "the number");
        Ok(match (first, second) {
            ("Connection", "Request") => {
                // Nobody is called what he calls himself here, so that a bad name spoils nothing.
                let name = Fields(rest).parse("name").ok().flatten();
                Talk::Request { from: from()?, meeting: meeting(rest)?, name }
            }
            ("Connection", "Accept") => Talk::Accept { from: from()?, meeting: meeting(rest)? },
            ("Connection", "Reject") => {
                let (word, reason) = first_word(rest);
                Talk::Reject { from: from()?, meeting: meeting(word)?, reason }
            }
            ("Connection", "Termination") => Talk::Termination { from: from()?, meeting: meeting(rest)? },
            ("Message", "") => Talk::Message { from: from()?, text: rest },
            ("Client", "Here") => Talk::Here { from: from()? },
            ("File", "Offer") => {
                let (size, file) = first_word(rest);
                let size = size.strip_prefix("size=").ok_or(Unreadable::Missing("size"))?;
                Talk::Offer { from: from()?, size: number(size, "size")?, file }
            }
            ("File", "Accept") => Talk::OfferAccept { from: from()? },
            ("File", "Reject") => Talk::OfferReject { from: from()?, reason: rest },
            _ => return Err(Unreadable::Unknown),
        })
    }
}

fn meeting(rest: &str) -> Result<Meeting, Unreadable> {
    Fields(rest).need("meeting")
}

impl Display for Talk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Talk::Probe(meeting) => write!(f, "Probe {meeting}"),
            Talk::Request { from, meeting, name } => {
                write!(f, "Connection Request {from} meeting={meeting}")?;
                field(f, "name", name.as_ref())
            }
            Talk::Accept { from, meeting } => write!(f, "Connection Accept {from} meeting={meeting}"),
            Talk::Reject { from, meeting, reason } => {
                write!(f, "Connection Reject {from} meeting={meeting} {reason}")
            }
            Talk::Termination { from, meeting } => write!(f, "Connection Termination {from} meeting={meeting}"),
            Talk::Message { from, text } => write!(f, "Message {from} {text}"),
            Talk::Here { from } => write!(f, "Client Here {from}"),
            Talk::Offer { from, size, file } => write!(f, "File Offer {from} size={size} {file}"),
            Talk::OfferAccept { from } => write!(f, "File Accept {from}"),
            Talk::OfferReject { from, reason } => write!(f, "File Reject {from} {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Hex;
    use super::*;

    #[test]
    fn talk_is_written_as_it_is_read() {
        let meeting = Hex([0xc0; 8]);
        for (talk, text) in [
            (Talk::Probe(meeting), "Probe c0c0c0c0c0c0c0c0"),
            (Talk::Request { from: 1, meeting, name: None }, "Connection Request 1 meeting=c0c0c0c0c0c0c0c0"),
            (
                Talk::Request { from: 1, meeting, name: "alice".parse().ok() },
                "Connection Request 1 meeting=c0c0c0c0c0c0c0c0 name=alice",
            ),
            (Talk::Accept { from: 2, meeting }, "Connection Accept 2 meeting=c0c0c0c0c0c0c0c0"),
            (Talk::Reject { from: 2, meeting, reason: "" }, "Connection Reject 2 meeting=c0c0c0c0c0c0c0c0 "),
            (
                Talk::Reject { from: 2, meeting, reason: "not now" },
                "Connection Reject 2 meeting=c0c0c0c0c0c0c0c0 not now",
            ),
            (Talk::Termination { from: 1, meeting }, "Connection Termination 1 meeting=c0c0c0c0c0c0c0c0"),
            (Talk::Message { from: 1, text: "Hello, you" }, "Message 1 Hello, you"),
            (
                Talk::Message { from: 1, text: " ACK: Connection Termination 2" },
                "Message 1  ACK: Connection Termination 2",
            ),
            (Talk::Message { from: 1, text: "" }, "Message 1 "),
            (Talk::Here { from: 2 }, "Client Here 2"),
            (Talk::Offer { from: 2, size: 5, file: "my cat.jpg" }, "File Offer 2 size=5 my cat.jpg"),
            (Talk::OfferAccept { from: 2 }, "File Accept 2"),
            (Talk::OfferReject { from: 2, reason: "no room" }, "File Reject 2 no room"),
        ] {
            assert_eq!(talk.to_string(), text);
            assert_eq!(Talk::parse(text), Ok(talk));
        }
        assert_eq!(Talk::parse("File Reject 2"), Ok(Talk::OfferReject { from: 2, reason: "" }));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, complaint) in [
            ("", Unreadable::Unknown),
            ("Hello", Unreadable::Unknown),
            ("Message hello", Unreadable::Senseless("the number")),
            ("Connection Request 1", Unreadable::Missing("meeting")),
            ("Connection Dance 1", Unreadable::Unknown),
            ("File Offer 1 cat.jpg", Unreadable::Missing("size")),
            ("Probe", Unreadable::Senseless("the meeting")),
        ] {
            assert_eq!(Talk::parse(text), Err(complaint), "{text}");
        }
    }
}
