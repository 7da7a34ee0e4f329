//! The words of a recording.

use crate::packet::Packet;
use crate::packet::lab::{Message, Spelling};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Who sends the file.
    Client,
    /// Who receives it.
    Server,
}

impl Side {
    /// The one at the other end.
    pub fn other(self) -> Self {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }

    /// `client` or `server`.
    pub fn word(self) -> &'static str {
        match self {
            Side::Client => "client",
            Side::Server => "server",
        }
    }
}

/// Where the recorder stood. From one end nobody sees what happens at the other: when a datagram arrived there, or whether it
/// did, is a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vantage {
    /// At the client.
    Client,
    /// At the server.
    Server,
    /// At both ends, by the same clock: every fate is known.
    Both,
}

/// What happened, to which datagram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum Did {
    /// A datagram left `by`.
    Sent {
        /// Its sender.
        by: Side,
        /// What it says, see [`words`].
        text: String,
        /// Its length in bytes.
        length: usize,
        /// The first datagram of this sender with exactly these bytes, when this is not the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again: Option<u64>,
    },
    /// It reached the other end; with [`Did::Sent`] of the same number before it, unless the recorder stood at that end only.
    Came {
        /// Whether its bytes had changed on the way.
        damaged: bool,
    },
    /// It is known never to reach the other end.
    Lost,
    /// Something worth a remark at one end.
    Note {
        /// Where.
        by: Side,
        /// In a few words.
        text: String,
    },
}

/// One line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Since the recording began; in a file as microseconds.
    #[serde(rename = "at_us", with = "microseconds")]
    pub at: Duration,
    /// The datagram's number, from 0 in the order in which datagrams were first seen; a copy that the network made has its
    /// original's. Notes have the number of the datagram before them.
    pub id: u64,
    /// What happened.
    #[serde(flatten)]
    pub did: Did,
}

/// A recording of what passed between one client and one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Who sends the file: an address, or what else names it.
    pub client: String,
    /// Who receives it.
    pub server: String,
    /// Where the recorder stood.
    pub vantage: Vantage,
    /// What happened, in the order of time. With [`Vantage::Server`] a client's datagram has `Sent` and `Came` at the same time,
    /// with [`Vantage::Client`] a server's.
    pub steps: Vec<Step>,
    /// Where steps are missing because there were too many: the index in `steps` before which they are, and how many.
    pub omitted: Option<(usize, u64)>,
}

mod microseconds {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(at: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u64(u64::try_from(at.as_micros()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
        u64::deserialize(input).map(Duration::from_micros)
    }
}

/// What a datagram says, in one line of printable ASCII: a chunk as `<1383 bytes>`, digests by their beginnings, everything
/// long or strange cut or escaped.
pub fn words(datagram: &[u8]) -> String {
    match Packet::decode(datagram) {
        _ if datagram.is_empty() => "(empty)".into(),
        Ok(Packet::Lab(spelling, Message::Data { seq, bytes })) => {
            let separator = if spelling == Spelling::Spaced { " | " } else { "|" };
            let plural = if bytes.len() == 1 { "" } else { "s" };
            format!("d{separator}{seq}{separator}<{} byte{plural}>", bytes.len())
        }
        // The many zeros before the size of an offering start are no news.
        Ok(Packet::Lab(_, Message::Start { size, size_digits, .. })) if size_digits > 20 => {
            let unpadded = &datagram[..datagram.len() - size_digits];
            printable(&[unpadded, format!("0...{size}").as_bytes()].concat())
        }
        Ok(Packet::Lab(_, Message::Checksum { seq, sha256, start })) => {
            let [a, b, ..] = sha256;
            let [c, d, ..] = start;
            format!("c | {seq} | sha256:{a:02x}{b:02x}... | start:{c:02x}{d:02x}...")
        }
        Ok(Packet::Windowed(bytes)) => format!("<{} binary bytes>", bytes.len()),
        _ => printable(datagram),
    }
}

/// The spelling, type and number that a text from [`words`] begins with, as in `d | 3`.
pub fn headline(text: &str) -> Option<(Spelling, u8, u64)> {
    let kind = *text.as_bytes().first()?;
    let (spelling, behind) = match text.get(1..)? {
        behind if behind.starts_with(" | ") => (Spelling::Spaced, behind.get(3..)?),
        behind => (Spelling::Compact, behind.strip_prefix('|')?),
    };
    let digits = behind.len() - behind.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    Some((spelling, kind, behind.get(..digits)?.parse().ok()?))
}

fn printable(datagram: &[u8]) -> String {
    let text = datagram.escape_ascii().to_string();
    if text.len() <= WORDS_MAX {
        return text;
    }
    let (head, tail) =
        (text.get(..WORDS_MAX - 19).unwrap_or_default(), text.get(text.len() - 16..).unwrap_or_default());
    format!("{head}...{tail}")
}

/// The longest text of a step, in bytes: what a picture has room for.
const WORDS_MAX: usize = 72;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_datagram_says_fits_a_line() {
        for (datagram, text) in [
            (&b"s | 0 | my file.jpg | 70000"[..], "s | 0 | my file.jpg | 70000"),
            (b"d | 17 | hello", "d | 17 | <5 bytes>"),
            (b"d|1|x", "d|1|<1 byte>"),
            (b"", "(empty)"),
            (b"\x00\xffgarbage\n", r"\x00\xffgarbage\n"),
            (b"\xff\xff", "<2 binary bytes>"),
            (b"s | 5 | f | 0000000000000000000000042", "s | 5 | f | 0...42"),
            (b"a | 10000000 | 1024", "a | 10000000 | 1024"),
        ] {
            assert_eq!(words(datagram), text);
        }
        let checksum = Message::Checksum { seq: 9, sha256: [0xab; 32], start: [7; 16] };
        let checksum = checksum.to_datagram(Spelling::Spaced).unwrap();
        assert_eq!(words(&checksum), "c | 9 | sha256:abab... | start:0707...");
        assert_eq!(headline("s | 5 | f | 0...42"), Some((Spelling::Spaced, b's', 5)));
        assert_eq!(headline("d|1|<3 bytes>"), Some((Spelling::Compact, b'd', 1)));
        assert_eq!(headline("a | 7"), Some((Spelling::Spaced, b'a', 7)));
        assert_eq!([headline("(empty)"), headline("d | x"), headline("")], [None; 3]);
        let long = [&b"s | 0 | "[..], &[b'n'; 300], b".jpg | 17"].concat();
        assert!(words(&long).len() <= WORDS_MAX && words(&long).ends_with("nnnnnnn.jpg | 17"), "{}", words(&long));
        assert!(words(&[7; 2000]).len() <= WORDS_MAX);
    }
}
