//! The lab's messages, byte by byte, in both spellings, and the two messages of ours.
//!
//! Two promises, tested: decoding never panics and borrows; encoding is exact, so that what was encoded decodes to itself
//! or is refused with a reason. `docs/protocol.md` shows every message.

use crate::codec::{self, BadNumber, Cursor};
use thiserror::Error;

/// How fields are separated: the course's two hand-outs differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spelling {
    /// `s | 0 | name | size` (2021 and 2022).
    Spaced,
    /// `s|0|name|size` (2023).
    Compact,
}

impl Spelling {
    /// The bytes between two fields.
    pub fn separator(self) -> &'static [u8] {
        match self {
            Spelling::Spaced => b" | ",
            Spelling::Compact => b"|",
        }
    }

    /// The word for it on command lines and in events.
    pub fn word(self) -> &'static str {
        match self {
            Spelling::Spaced => "spaced",
            Spelling::Compact => "compact",
        }
    }
}

/// One message. Sequence numbers are the lab's: a count of messages, not of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// `s | seq | name | size`: a file of `size` bytes is to come.
    Start {
        /// The first sequence number.
        seq: u64,
        /// The file's name as the peer wrote it; not yet safe.
        name: &'a [u8],
        /// The file's size in bytes.
        size: u64,
        /// How many digits the size had: an offering start pads it with zeros.
        size_digits: usize,
    },
    /// `d | seq | bytes`: the next chunk, any bytes.
    Data {
        /// The chunk's sequence number.
        seq: u64,
        /// The chunk.
        bytes: &'a [u8],
    },
    /// `a | next`, for a start `a | next | bufsize`, from our own server `a | next | bufsize | words`.
    Ack {
        /// The number that is expected next.
        next: u64,
        /// The largest datagram the server wants, in bytes.
        bufsize: Option<u64>,
        /// The capability words, `homing/1 ...`.
        words: Option<&'a [u8]>,
    },
    /// `n|next`: the server is full.
    Refusal {
        /// The number an acknowledgement would have had.
        next: u64,
    },
    /// `c | seq | sha256:<hex> | start:<hex>`: everything was sent, and this is what it should be. Spaced only.
    Checksum {
        /// The number after the last chunk's.
        seq: u64,
        /// SHA-256 of the content.
        sha256: [u8; 32],
        /// The first half of the SHA-256 of the start datagram.
        start: [u8; 16],
    },
    /// `e | seq | reason`: the message `seq` was refused, for this reason. Spaced only.
    Error {
        /// The number of the refused message.
        seq: u64,
        /// The reason, as the peer wrote it; not yet safe to print.
        reason: &'a [u8],
    },
}

/// Why a datagram is no message.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// No bytes at all.
    #[error("the datagram is empty")]
    Empty,
    /// The first byte is no message type, or no separator follows it.
    #[error("no message begins with byte 0x{0:02x} here")]
    UnknownType(u8),
    /// The datagram ends before this field.
    #[error("the field '{0}' is missing")]
    Missing(&'static str),
    /// This field should be a number.
    #[error("the field '{field}' is no number: {problem}")]
    BadNumber {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        problem: BadNumber,
    },
    /// This field should be a digest in lower-case hexadecimal behind its label.
    #[error("the field '{0}' is no digest")]
    BadDigest(&'static str),
}

/// Why a message cannot be encoded.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unspeakable {
    /// Our own messages exist in the spaced spelling only.
    #[error("this message exists in the spaced spelling only")]
    SpacedOnly,
    /// An acknowledgement with words but without a buffer size would be read as another message.
    #[error("capability words need a buffer size before them")]
    WordsWithoutBufsize,
    /// Capability words need the spaced spelling.
    #[error("capability words need the spaced spelling")]
    WordsInCompact,
    /// The size has fewer digits than it needs.
    #[error("the size needs more digits than were asked for")]
    TooFewDigits,
    /// No lab server reads a start of this length.
    #[error("the start message would take {length} bytes, and lab servers read {max}")]
    StartTooLong {
        /// Its length in bytes.
        length: usize,
        /// The largest that is read.
        max: usize,
    },
    /// The datagram would be larger than UDP carries.
    #[error("the message would take {0} bytes, more than a datagram carries")]
    TooLong(usize),
}

/// Reads one message and the spelling it is in.
///
/// # Errors
/// [`Malformed`] says what stands there instead.
pub fn decode(datagram: &[u8]) -> Result<(Spelling, Message<'_>), Malformed> {
    let (&kind, behind) = datagram.split_first().ok_or(Malformed::Empty)?;
    let (spelling, body) = if let Some(body) = behind.strip_prefix(b" | ") {
        (Spelling::Spaced, body)
    } else if let Some(body) = behind.strip_prefix(b"|") {
        (Spelling::Compact, body)
    } else {
        return Err(Malformed::UnknownType(kind));
    };
    let message = match (kind, spelling) {
        (b's', _) => decode_start(body, spelling)?,
        (b'd', _) => decode_data(body, spelling)?,
        (b'a', _) => decode_ack(body, spelling)?,
        (b'n', _) => Message::Refusal { next: number("next", body)? },
        (b'c', Spelling::Spaced) => decode_checksum(body)?,
        (b'e', Spelling::Spaced) => decode_error(body)?,
        _ => return Err(Malformed::UnknownType(kind)),
    };
    Ok((spelling, message))
}

/// The number from the left and the size from the right, so that a name may hold separators.
fn decode_start(body: &[u8], spelling: Spelling) -> Result<Message<'_>, Malformed> {
    let mut cursor = Cursor::new(body);
    let seq = cursor.field(spelling.separator()).ok_or(Malformed::Missing("name"))?;
    let (name, size) = codec::cut_at_last(cursor.rest(), spelling.separator()).ok_or(Malformed::Missing("size"))?;
    Ok(Message::Start { seq: number("seq", seq)?, name, size: number("size", size)?, size_digits: size.len() })
}

fn decode_data(body: &[u8], spelling: Spelling) -> Result<Message<'_>, Malformed> {
    let mut cursor = Cursor::new(body);
    let seq = cursor.field(spelling.separator()).ok_or(Malformed::Missing("bytes"))?;
    Ok(Message::Data { seq: number("seq", seq)?, bytes: cursor.rest() })
}

/// Known servers add a buffer size to any acknowledgement, or an empty last field (`a|1|`, `a | 1 |`); both mean the same as without.
fn decode_ack(body: &[u8], spelling: Spelling) -> Result<Message<'_>, Malformed> {
    let mut cursor = Cursor::new(body);
    let (next, more) = cursor.field_or_rest(spelling.separator());
    let next = if more { next } else { next.strip_suffix(b" |").unwrap_or(next) };
    let next = number("next", next)?;
    if !more || cursor.rest().is_empty() {
        return Ok(Message::Ack { next, bufsize: None, words: None });
    }
    let (bufsize, more) = cursor.field_or_rest(spelling.separator());
    let bufsize = Some(number("bufsize", bufsize)?);
    let words = (more && spelling == Spelling::Spaced).then(|| cursor.rest());
    Ok(Message::Ack { next, bufsize, words })
}

fn decode_checksum(body: &[u8]) -> Result<Message<'_>, Malformed> {
    let separator = Spelling::Spaced.separator();
    let mut cursor = Cursor::new(body);
    let seq = cursor.field(separator).ok_or(Malformed::Missing("sha256"))?;
    let sha256 = cursor.field(separator).ok_or(Malformed::Missing("start"))?;
    Ok(Message::Checksum {
        seq: number("seq", seq)?,
        sha256: labelled_hex("sha256", SHA256_LABEL, sha256)?,
        start: labelled_hex("start", START_LABEL, cursor.rest())?,
    })
}

fn decode_error(body: &[u8]) -> Result<Message<'_>, Malformed> {
    let mut cursor = Cursor::new(body);
    let seq = cursor.field(Spelling::Spaced.separator()).ok_or(Malformed::Missing("reason"))?;
    Ok(Message::Error { seq: number("seq", seq)?, reason: cursor.rest() })
}

fn number(field: &'static str, digits: &[u8]) -> Result<u64, Malformed> {
    codec::decimal(digits).map_err(|problem| Malformed::BadNumber { field, problem })
}

/// Upper-case digits are refused: one value has one spelling, so that decoding and encoding are inverse.
fn labelled_hex<const N: usize>(field: &'static str, label: &[u8], bytes: &[u8]) -> Result<[u8; N], Malformed> {
    let digits = bytes.strip_prefix(label).ok_or(Malformed::BadDigest(field))?;
    let mut value = [0; N];
    if digits.iter().any(u8::is_ascii_uppercase) || hex::decode_to_slice(digits, &mut value).is_err() {
        return Err(Malformed::BadDigest(field));
    }
    Ok(value)
}

impl Message<'_> {
    /// Appends the message's bytes to `out`.
    ///
    /// # Errors
    /// [`Unspeakable`] when the bytes would not decode to this message again; `out` is then as it was.
    pub fn encode(&self, spelling: Spelling, out: &mut Vec<u8>) -> Result<(), Unspeakable> {
        let before = out.len();
        let result = self.write(spelling, out).and_then(|()| match out.len() - before {
            length if length > super::MAX_DATAGRAM => Err(Unspeakable::TooLong(length)),
            _ => Ok(()),
        });
        if result.is_err() {
            out.truncate(before);
        }
        result
    }

    /// The message as a datagram of its own.
    ///
    /// # Errors
    /// As [`Message::encode`].
    pub fn to_datagram(&self, spelling: Spelling) -> Result<Vec<u8>, Unspeakable> {
        let mut out = Vec::new();
        self.encode(spelling, &mut out)?;
        Ok(out)
    }

    fn write(&self, spelling: Spelling, out: &mut Vec<u8>) -> Result<(), Unspeakable> {
        let separator = spelling.separator();
        let mut fields = |fields: &[&[u8]]| {
            for (at, field) in fields.iter().enumerate() {
                if at > 0 {
                    out.extend_from_slice(separator);
                }
                out.extend_from_slice(field);
            }
        };
        match *self {
            Message::Start { seq, name, size, size_digits } => {
                if size_digits > super::MAX_DATAGRAM {
                    return Err(Unspeakable::TooLong(size_digits));
                }
                let digits = format!("{size:0size_digits$}");
                if digits.len() != size_digits {
                    return Err(Unspeakable::TooFewDigits);
                }
                fields(&[b"s", seq.to_string().as_bytes(), name, digits.as_bytes()]);
            }
            Message::Data { seq, bytes } => fields(&[b"d", seq.to_string().as_bytes(), bytes]),
            Message::Ack { next, bufsize, words } => match (bufsize, words) {
                (None, None) => fields(&[b"a", next.to_string().as_bytes()]),
                (Some(size), None) => fields(&[b"a", next.to_string().as_bytes(), size.to_string().as_bytes()]),
                (Some(_), Some(_)) if spelling == Spelling::Compact => return Err(Unspeakable::WordsInCompact),
                (Some(size), Some(words)) => {
                    fields(&[b"a", next.to_string().as_bytes(), size.to_string().as_bytes(), words]);
                }
                (None, Some(_)) => return Err(Unspeakable::WordsWithoutBufsize),
            },
            Message::Refusal { next } => fields(&[b"n", next.to_string().as_bytes()]),
            Message::Checksum { .. } | Message::Error { .. } if spelling == Spelling::Compact => {
                return Err(Unspeakable::SpacedOnly);
            }
            Message::Checksum { seq, sha256, start } => {
                let sha256 = [SHA256_LABEL, hex::encode(sha256).as_bytes()].concat();
                let start = [START_LABEL, hex::encode(start).as_bytes()].concat();
                fields(&[b"c", seq.to_string().as_bytes(), &sha256, &start]);
            }
            Message::Error { seq, reason } => fields(&[b"e", seq.to_string().as_bytes(), reason]),
        }
        Ok(())
    }
}

/// How many bytes stand before the chunk in a data message with this number.
pub fn data_header_length(seq: u64, spelling: Spelling) -> usize {
    let digits = seq.checked_ilog10().unwrap_or(0) as usize + 1;
    1 + digits + 2 * spelling.separator().len()
}

/// The first acknowledgement of compact data while it is open whether the peer alternates (2023: it reads the digit at
/// byte 2, a 0) or counts on (2021: it reads the number, a 2).
pub const UNDECIDED_ACK: &[u8] = b"a|02";

/// The longest compact datagram, in bytes, as the hand-out has it; most of its programs take nothing else into account.
pub const COMPACT_BUFSIZE: usize = 20_480;

const SHA256_LABEL: &[u8] = b"sha256:";
const START_LABEL: &[u8] = b"start:";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn start(seq: u64, name: &[u8], size: u64) -> Message<'_> {
        Message::Start { seq, name, size, size_digits: size.to_string().len() }
    }

    #[test]
    fn the_messages_of_the_hand_outs_are_read_as_printed() {
        let ack = |next, bufsize| Message::Ack { next, bufsize, words: None };
        for (bytes, message) in [
            (&b"s | 0 | my file.jpg | 70000"[..], start(0, b"my file.jpg", 70000)),
            (b"s|0|a|b.jpg|7", start(0, b"a|b.jpg", 7)),
            (b"s | 0 | x | | 5", start(0, b"x |", 5)),
            (b"d | 1 | a | b\n", Message::Data { seq: 1, bytes: b"a | b\n" }),
            (b"d | 1 | ", Message::Data { seq: 1, bytes: b"" }),
            (b"d|0||", Message::Data { seq: 0, bytes: b"|" }),
            (b"a | 2", ack(2, None)),
            (b"a | 1 | 1024", ack(1, Some(1024))),
            (b"a|1|", ack(1, None)),
            (b"a|02", ack(2, None)),
            (b"n|1", Message::Refusal { next: 1 }),
        ] {
            assert_eq!(decode(bytes).map(|(_, message)| message), Ok(message), "{}", bytes.escape_ascii());
        }
        let words = decode(b"a | 5 | 1400 | homing/1 checked x=y").unwrap().1;
        assert_eq!(words, Message::Ack { next: 5, bufsize: Some(1400), words: Some(b"homing/1 checked x=y") });
    }

    #[test]
    fn what_is_no_message_says_why() {
        for (bytes, reason) in [
            (&b""[..], Malformed::Empty),
            (b"hello", Malformed::UnknownType(b'h')),
            (b"s", Malformed::UnknownType(b's')),
            (b"q | 1", Malformed::UnknownType(b'q')),
            (b"c|1|x", Malformed::UnknownType(b'c')),
            (b"s | 0 | name", Malformed::Missing("size")),
            (b"d | 7", Malformed::Missing("bytes")),
            (b"a | ", Malformed::BadNumber { field: "next", problem: BadNumber::Missing }),
            (b"a | 1 ", Malformed::BadNumber { field: "next", problem: BadNumber::NotADigit(1) }),
            (b"s | 0 | f | 5\n", Malformed::BadNumber { field: "size", problem: BadNumber::NotADigit(1) }),
            (b"a | 1 | x", Malformed::BadNumber { field: "bufsize", problem: BadNumber::NotADigit(0) }),
            (b"c | 1 | sha256:00 | start:00", Malformed::BadDigest("sha256")),
        ] {
            assert_eq!(decode(bytes).map(|(_, message)| message), Err(reason), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_start_can_be_padded_to_any_length() {
        let message = Message::Start { seq: 1, name: b"f", size: 42, size_digits: 10 };
        assert_eq!(message.to_datagram(Spelling::Spaced).unwrap(), b"s | 1 | f | 0000000042");
        let short = Message::Start { seq: 1, name: b"f", size: 42, size_digits: 1 };
        assert_eq!(short.to_datagram(Spelling::Spaced), Err(Unspeakable::TooFewDigits));
    }

    #[test]
    fn the_header_length_is_what_encoding_takes() {
        for spelling in [Spelling::Spaced, Spelling::Compact] {
            for seq in [0, 9, 10, 1_207_959_553, u64::MAX] {
                let empty = Message::Data { seq, bytes: b"" }.to_datagram(spelling).unwrap();
                assert_eq!(empty.len(), data_header_length(seq, spelling));
            }
        }
    }

    /// Everything that a message can hold, also what cannot be spoken.
    fn any_message() -> impl Strategy<Value = (u8, u64, u64, Vec<u8>, bool, bool, usize)> {
        let text = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            proptest::collection::vec(prop_oneof![Just(b' '), Just(b'|'), Just(b'0'), Just(b'a')], 0..20),
        ];
        (0..6_u8, any::<u64>(), any::<u64>(), text, any::<bool>(), any::<bool>(), 0..30_usize)
    }

    #[test]
    fn a_start_is_padded_up_to_a_datagram_and_no_further() {
        let start =
            |size_digits| Message::Start { seq: 0, name: b"f", size: 1, size_digits }.to_datagram(Spelling::Compact);
        assert_eq!(start(65_501).map(|bytes| bytes.len()), Ok(65_507));
        assert_eq!(start(65_502), Err(Unspeakable::TooLong(65_508)));
        assert_eq!(start(usize::MAX), Err(Unspeakable::TooLong(usize::MAX)), "and no formatter is asked for so many");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn encode_then_decode_is_the_identity_or_a_refusal(
            (kind, a, b, text, one, two, digits) in any_message(), spaced in any::<bool>()
        ) {
            let message = match kind {
                0 => Message::Start { seq: a, name: &text, size: b, size_digits: digits },
                1 => Message::Data { seq: a, bytes: &text },
                2 => Message::Ack { next: a, bufsize: one.then_some(b), words: two.then_some(&text) },
                3 => Message::Refusal { next: a },
                4 => Message::Checksum { seq: a, sha256: [b as u8; 32], start: [a as u8; 16] },
                _ => Message::Error { seq: a, reason: &text },
            };
            let spelling = if spaced { Spelling::Spaced } else { Spelling::Compact };
            if let Ok(bytes) = message.to_datagram(spelling) {
                prop_assert_eq!(decode(&bytes), Ok((spelling, message)));
            }
        }

        #[test]
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes_but_for_leading_zeros(
            text in "[sdance]( \\| |\\|)(0|1|42)( \\| |\\|)[a |]{0,6}( \\| |\\|)?[0-9]{0,3}"
        ) {
            if let Ok((spelling, message)) = decode(text.as_bytes()) {
                let again = message.to_datagram(spelling).unwrap();
                prop_assert_eq!(decode(&again), Ok((spelling, message)));
            }
        }
    }
}
