//! Numbered messages and their acknowledgements, byte by byte, and the three ways in which message exercises are answered.
//!
//! The bytes alone say what a datagram is, never who sent it or what was said before: whatever reads as an acknowledgement is
//! one. So a text that begins with `ACK:` cannot be said, and no answer is ever taken for a message and answered in turn.

use super::MAX_DATAGRAM;
use crate::codec::{self, BadNumber, Cursor};
use thiserror::Error;

/// A numbered message, or the acknowledgement of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// `seq:text`.
    Text {
        /// Its sequence number, a count of messages.
        seq: u64,
        /// What it says; never begins with `ACK:`.
        text: &'a str,
    },
    /// `seq:ACK:text`: the message with this number came, and this is what it said.
    Ack {
        /// The number of the message that is acknowledged.
        seq: u64,
        /// Its text, repeated.
        text: &'a str,
    },
}

/// Why a datagram is no numbered message.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// No colon.
    #[error("no ':' ends a number")]
    NoNumber,
    /// Something else than a number before the first colon.
    #[error("what stands before the first ':' is no number: {0}")]
    BadNumber(BadNumber),
    /// The text is not UTF-8.
    #[error("the text is not UTF-8, from byte {at} on")]
    NotUtf8 {
        /// Where in the text.
        at: usize,
    },
}

/// Why a text cannot be sent.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unsayable {
    /// It would read as an acknowledgement.
    #[error(
        "it begins as an answer does (`ACK:`, `Server acknowledges: `) and would not be answered; put a blank before it"
    )]
    LikeAnAnswer,
    /// It has more bytes than a datagram that is answered.
    #[error("it takes {length} bytes; at most {max} fit a datagram together with what the answer adds")]
    TooLong {
        /// How many, the number included.
        length: usize,
        /// How many there may be.
        max: usize,
    },
    /// Numbered messages are UTF-8.
    #[error("it is not UTF-8, from byte {at} on")]
    NotUtf8 {
        /// Where.
        at: usize,
    },
    /// Too many messages wait already for the one before them.
    #[error("{0} messages wait already to be sent")]
    TooManyWaiting(usize),
    /// The last number was used.
    #[error("all sequence numbers are used up")]
    NoNumberLeft,
}

/// Reads a numbered message. The number ends at the first colon; leading zeros mean nothing.
///
/// # Errors
/// [`Malformed`] says what stands there instead.
pub fn decode(datagram: &[u8]) -> Result<Message<'_>, Malformed> {
    let mut cursor = Cursor::new(datagram);
    let number = cursor.field(b":").ok_or(Malformed::NoNumber)?;
    let seq = codec::decimal(number).map_err(Malformed::BadNumber)?;
    let text = str::from_utf8(cursor.rest()).map_err(|error| Malformed::NotUtf8 { at: error.valid_up_to() })?;
    Ok(match text.strip_prefix(ACK) {
        Some(text) => Message::Ack { seq, text },
        None => Message::Text { seq, text },
    })
}

impl Message<'_> {
    /// The message as a datagram. A text leaves room for what its acknowledgement adds.
    ///
    /// # Errors
    /// [`Unsayable`] when it would not be read as this message, or is too long.
    pub fn to_datagram(&self) -> Result<Vec<u8>, Unsayable> {
        let (bytes, room) = match self {
            Message::Text { text, .. } if text.starts_with(ACK) => return Err(Unsayable::LikeAnAnswer),
            Message::Text { seq, text } => (format!("{seq}:{text}"), ACK.len()),
            Message::Ack { seq, text } => (format!("{seq}:{ACK}{text}"), 0),
        };
        fitting(bytes.into_bytes(), room)
    }
}

/// How one of the three exercises answers a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `7:hello` is answered `7:ACK:hello`.
    Sequenced,
    /// The same bytes come back.
    Echo,
    /// `hello` is answered `Server acknowledges: hello`.
    Acknowledge,
}

/// What a datagram is to somebody who waits for the answer to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The answer.
    Right,
    /// Something else that may be meant as one: another text, another style.
    Other,
    /// The answer to an earlier message.
    Foreign,
}

impl Style {
    /// The word for it on command lines and in events.
    pub fn word(self) -> &'static str {
        match self {
            Style::Sequenced => "sequenced",
            Style::Echo => "echo",
            Style::Acknowledge => "acknowledge",
        }
    }

    /// The datagram for the message `seq` in this style.
    ///
    /// # Errors
    /// [`Unsayable`] when the style has no place for this text.
    pub fn question(self, seq: u64, text: &[u8]) -> Result<Vec<u8>, Unsayable> {
        match self {
            Style::Sequenced => {
                let text = str::from_utf8(text).map_err(|error| Unsayable::NotUtf8 { at: error.valid_up_to() })?;
                Message::Text { seq, text }.to_datagram()
            }
            Style::Echo | Style::Acknowledge if is_answer(text) => Err(Unsayable::LikeAnAnswer),
            Style::Echo => fitting(text.to_vec(), 0),
            Style::Acknowledge => fitting(text.to_vec(), ACKNOWLEDGES.len()),
        }
    }

    /// What `datagram` is to somebody who said `text` under the number `seq`.
    ///
    /// Some echo servers put a greeting before the bytes or an exclamation mark behind them; where nothing is numbered that is
    /// as good an answer as any.
    pub fn judge(self, seq: u64, text: &[u8], datagram: &[u8]) -> Answer {
        let repeats = match self {
            Style::Sequenced => match decode(datagram) {
                Ok(Message::Ack { seq: acknowledged, .. }) if acknowledged != seq => return Answer::Foreign,
                Ok(Message::Ack { text: repeated, .. }) => repeated.as_bytes() == text,
                _ => false,
            },
            Style::Echo => {
                let shifts = datagram.len().saturating_sub(text.len()).min(GREETING_MAX);
                (0..=shifts).any(|at| datagram.get(at..).is_some_and(|rest| rest.starts_with(text)))
            }
            Style::Acknowledge => datagram.strip_prefix(ACKNOWLEDGES) == Some(text),
        };
        if repeats { Answer::Right } else { Answer::Other }
    }

    /// The answer to a message that is not numbered; `None` where it would not fit a datagram. The bytes go back as they came,
    /// whether they are UTF-8 or not.
    pub fn plain_answer(self, datagram: &[u8]) -> Option<Vec<u8>> {
        let prefix = if self == Style::Acknowledge { ACKNOWLEDGES } else { b"" };
        fitting([prefix, datagram].concat(), 0).ok()
    }
}

/// Whether these bytes are an answer of any style that can be told. Answering it would begin a conversation between two
/// servers that nobody ends (CVE-2024-2169).
pub fn is_answer(datagram: &[u8]) -> bool {
    let digits = datagram.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let acknowledges = || datagram.get(digits..).is_some_and(|rest| rest.starts_with(b":ACK:"));
    (digits > 0 && acknowledges()) || datagram.starts_with(ACKNOWLEDGES)
}

/// The bytes, if as many more as the answer adds still fit a datagram.
fn fitting(bytes: Vec<u8>, room: usize) -> Result<Vec<u8>, Unsayable> {
    let max = MAX_DATAGRAM - room;
    if bytes.len() > max { Err(Unsayable::TooLong { length: bytes.len(), max }) } else { Ok(bytes) }
}

/// What an acknowledgement puts before the text.
const ACK: &str = "ACK:";

/// What the third exercise's server puts before the text.
const ACKNOWLEDGES: &[u8] = b"Server acknowledges: ";

/// The longest greeting that an echo may begin with: `Echo: `, `Hello, ` and their kin.
const GREETING_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_ends_at_the_first_colon_and_the_text_is_the_rest() {
        let text = |seq, text| Ok(Message::Text { seq, text });
        let ack = |seq, text| Ok(Message::Ack { seq, text });
        for (bytes, message) in [
            (&b"1:hello"[..], text(1, "hello")),
            (b"007:x", text(7, "x")),
            (b"0:", text(0, "")),
            (b"3:a:b:c", text(3, "a:b:c")),
            (b"3: ACK:x", text(3, " ACK:x")),
            (b"3:ACK", text(3, "ACK")),
            (b"3:ack:x", text(3, "ack:x")),
            (b"3:ACK:", ack(3, "")),
            (b"3:ACK:ACK:x", ack(3, "ACK:x")),
            (b"18446744073709551615:x", text(u64::MAX, "x")),
            ("1:\u{e9}\n\0".as_bytes(), text(1, "\u{e9}\n\0")),
            (b"", Err(Malformed::NoNumber)),
            (b"hello", Err(Malformed::NoNumber)),
            (b":x", Err(Malformed::BadNumber(BadNumber::Missing))),
            (b"-1:x", Err(Malformed::BadNumber(BadNumber::NotADigit(0)))),
            (b"1 :x", Err(Malformed::BadNumber(BadNumber::NotADigit(1)))),
            (b"18446744073709551616:x", Err(Malformed::BadNumber(BadNumber::Overflow))),
            (b"1:a\xff", Err(Malformed::NotUtf8 { at: 1 })),
        ] {
            assert_eq!(decode(bytes), message, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_text_leaves_room_for_its_acknowledgement_to_the_byte() {
        let longest = "x".repeat(MAX_DATAGRAM - 2 - 4);
        let datagram = Message::Text { seq: 1, text: &longest }.to_datagram().expect("it fits");
        assert_eq!(datagram.len(), MAX_DATAGRAM - 4);
        assert_eq!(Message::Ack { seq: 1, text: &longest }.to_datagram().map(|ack| ack.len()), Ok(MAX_DATAGRAM));
        let longer = longest + "x";
        let error = Unsayable::TooLong { length: MAX_DATAGRAM - 3, max: MAX_DATAGRAM - 4 };
        assert_eq!(Message::Text { seq: 1, text: &longer }.to_datagram(), Err(error));
    }

    #[test]
    fn what_would_read_as_an_answer_cannot_be_said() {
        for (style, text) in [
            (Style::Sequenced, &b"ACK:x"[..]),
            (Style::Echo, b"5:ACK:x"),
            (Style::Acknowledge, b"Server acknowledges: x"),
            (Style::Acknowledge, b"99999999999999999999999999:ACK:\xff"),
        ] {
            assert_eq!(style.question(1, text), Err(Unsayable::LikeAnAnswer));
        }
        assert_eq!(Style::Sequenced.question(1, b" ACK:x").as_deref(), Ok(&b"1: ACK:x"[..]));
        assert_eq!(Style::Echo.question(1, b"ACK:x").as_deref(), Ok(&b"ACK:x"[..]));
    }

    #[test]
    fn answers_are_told_from_other_texts_and_from_strangers() {
        use Answer::{Foreign, Other, Right};
        for (style, datagram, verdict) in [
            (Style::Sequenced, "7:ACK:hi", Right),
            (Style::Sequenced, "007:ACK:hi", Right),
            (Style::Sequenced, "7:ACK:HI", Other),
            (Style::Sequenced, "6:ACK:hi", Foreign),
            (Style::Sequenced, "7:hi", Other),
            (Style::Echo, "hi", Right),
            (Style::Echo, "Hello, hi!", Right),
            (Style::Echo, "h", Other),
            (Style::Acknowledge, "Server acknowledges: hi", Right),
            (Style::Acknowledge, "hi", Other),
        ] {
            assert_eq!(style.judge(7, b"hi", datagram.as_bytes()), verdict, "{style:?} {datagram}");
        }
    }

    proptest! {
        #[test]
        fn what_is_said_decodes_to_itself(seq in any::<u64>(), text in "\\PC{0,40}") {
            match (Message::Text { seq, text: &text }).to_datagram() {
                Ok(datagram) => prop_assert_eq!(decode(&datagram), Ok(Message::Text { seq, text: &text })),
                Err(error) => prop_assert_eq!((error, text.starts_with("ACK:")), (Unsayable::LikeAnAnswer, true)),
            }
            let ack = Message::Ack { seq, text: &text }.to_datagram().expect("short");
            prop_assert_eq!(decode(&ack), Ok(Message::Ack { seq, text: &text }));
            prop_assert!(is_answer(&ack));
        }

        #[test]
        fn no_bytes_upset_the_decoder(bytes in any::<Vec<u8>>()) {
            if let Ok(message) = decode(&bytes) {
                prop_assert_eq!(matches!(message, Message::Ack { .. }), is_answer(&bytes));
            }
        }
    }
}
