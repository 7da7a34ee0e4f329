//! What stands inside protected packets: a sequence of frames, each a type and its fields.
//!
//! `number` is a number of variable length (RFC 9000, section 16). Names and shapes are those of RFC 9000, section 19, where it has
//! a frame like it.
//!
//! ```text
//! 00 PADDING                                            nothing
//! 01 PING                                               asks to be acknowledged
//! 02 ACK      largest delay count first (gap length)*   numbers; the delay in microseconds; ranges from the newest down
//! 03 ACK      as 02, then ect0 ect1 ce                  with the ECN counts
//! 04 DATA     offset length bytes                       of the files, end to end
//! 05 DATA     offset bytes                              up to the packet's end
//! 06 MANIFEST offset length bytes                       what the files are: an ordered stream of its own
//! 07 MANIFEST offset bytes
//! 08 ANSWER   offset length bytes                       what the receiver has and wants: a stream in the other direction
//! 09 ANSWER   offset bytes
//! 0a MAX_DATA limit                                     DATA may be sent up to this offset
//! 0b MAX_MANIFEST limit                                 likewise
//! 0c MAX_ANSWER limit                                   likewise
//! 0d DATA_BLOCKED limit                                 there would be more DATA than this
//! 0e PATH_CHALLENGE bytes:8
//! 0f PATH_RESPONSE bytes:8
//! 10 NEW_CONNECTION_ID sequence retire id:8 token:16    use this one too; those below `retire` no more
//! 11 DONE     answer                                    everything has its final name and is durable; ANSWER ends there
//! 12 CLOSE    code length reason                        the reason is UTF-8, 256 bytes at most
//! 18 COMPRESSED start length total at count bytes       of a block: `length` bytes of DATA from `start` on, made `total` bytes by zstd
//! ```
//!
//! Offsets and packet numbers are at most 2^62 - 1, and so is the end of any bytes. A type is one byte: 64 are enough.

pub mod ack;
pub mod compressed;

pub use ack::{Ack, EcnCounts, RANGES_MAX, Ranges};
pub use compressed::Compressed;

use super::field::ConnectionId;
use super::header::RESET_TOKEN_LENGTH;
use crate::codec::{Cursor, Full, VARINT_MAX, Writer, varint_length};
use std::str;
use thiserror::Error;

/// One frame, borrowed from its packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// So many bytes of nothing.
    Padding(usize),
    /// Asks to be acknowledged.
    Ping,
    /// Which packets came.
    Ack(Ack<'a>),
    /// Bytes of one of the three spaces.
    Bytes {
        /// Which.
        space: Space,
        /// Where they begin in it.
        offset: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A piece of a block of the files' bytes, compressed.
    Compressed(Compressed<'a>),
    /// Bytes of this space may be sent up to, and without, this offset.
    MaxBytes {
        /// Which space.
        space: Space,
        /// The end of what may be sent.
        limit: u64,
    },
    /// There would be more data, but for this limit.
    DataBlocked {
        /// The limit.
        limit: u64,
    },
    /// Whoever gets this on a path returns it (RFC 9000, 8.2).
    PathChallenge([u8; 8]),
    /// The same bytes back.
    PathResponse([u8; 8]),
    /// One more connection ID of the sender's.
    NewConnectionId {
        /// Its number: the one of the handshake is 0.
        sequence: u64,
        /// Those with lower numbers are not to be used any more; at most `sequence`.
        retire: u64,
        /// The connection ID.
        id: ConnectionId,
        /// The stateless reset that belongs to it.
        reset_token: [u8; RESET_TOKEN_LENGTH],
    },
    /// The receiver has published everything.
    Done {
        /// Where its answer ends: only with all of it the client knows what became of everything.
        answer: u64,
    },
    /// The connection is over.
    Close {
        /// Why, as a number.
        code: u64,
        /// Why, in words, as the peer wrote it; not yet safe to print. At most [`REASON_MAX`] bytes.
        reason: &'a str,
    },
}

/// The spaces in which bytes have offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// All files, end to end.
    Data,
    /// What the files are.
    Manifest,
    /// What the receiver has and wants of them.
    Answer,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BadFrame {
    /// No frame has this type.
    #[error("there is no frame of type 0x{0:02x}")]
    UnknownType(u8),
    /// The packet ends in this frame.
    #[error("the packet ends in a {0} frame")]
    Truncated(&'static str),
    /// A number beyond 2^62 - 1, ranges below 0, a reason that is no text.
    #[error("a {0} frame says what cannot be")]
    Impossible(&'static str),
}

/// The frames of a packet, one after the other. Ends after the first bad one.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Frames<'a> {
    /// The frames of an opened packet.
    pub fn new(plaintext: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(plaintext) }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, BadFrame>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.remaining() == 0 {
            return None;
        }
        let frame = decode(&mut self.cursor);
        if frame.is_err() {
            self.cursor = Cursor::new(&[]);
        }
        Some(frame)
    }
}

impl Frame<'_> {
    /// Whether a packet with this frame must be acknowledged (RFC 9002, section 2).
    pub fn is_ack_eliciting(&self) -> bool {
        !matches!(self, Frame::Padding(_) | Frame::Ack(_) | Frame::Close { .. })
    }

    /// Appends the frame. Bytes are written with their length; [`begin_bytes`] can do without.
    ///
    /// # Errors
    /// [`Full`] when it does not fit, or a field is larger than it may be; nothing is written then.
    pub fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.all_or_none(|writer| self.write(writer))
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        match self {
            Frame::Padding(count) => writer.zeros(*count),
            Frame::Ping => writer.byte(PING),
            Frame::Ack(ack) => ack.encode(writer),
            Frame::Bytes { space, offset, bytes } => {
                begin_bytes(*space, *offset, bytes.len(), Extent::Counted, writer)?;
                writer.bytes(bytes)
            }
            Frame::Compressed(piece) => piece.encode(writer),
            Frame::MaxBytes { space, limit } => {
                writer.byte(space.max_type())?;
                writer.varint(*limit)
            }
            Frame::DataBlocked { limit } => {
                writer.byte(DATA_BLOCKED)?;
                writer.varint(*limit)
            }
            Frame::PathChallenge(bytes) => {
                writer.byte(PATH_CHALLENGE)?;
                writer.bytes(bytes)
            }
            Frame::PathResponse(bytes) => {
                writer.byte(PATH_RESPONSE)?;
                writer.bytes(bytes)
            }
            Frame::NewConnectionId { sequence, retire, id, reset_token } => {
                if retire > sequence {
                    return Err(Full);
                }
                writer.byte(NEW_CONNECTION_ID)?;
                writer.varint(*sequence)?;
                writer.varint(*retire)?;
                writer.bytes(&id.0)?;
                writer.bytes(reset_token)
            }
            Frame::Done { answer } => {
                writer.byte(DONE)?;
                writer.varint(*answer)
            }
            Frame::Close { code, reason } => {
                if reason.len() > REASON_MAX {
                    return Err(Full);
                }
                writer.byte(CLOSE)?;
                writer.varint(*code)?;
                writer.varint(reason.len() as u64)?;
                writer.bytes(reason.as_bytes())
            }
        }
    }
}

/// How the length of bytes is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A count stands before them, so that other frames can follow.
    Counted,
    /// They go up to the packet's end.
    ToTheEnd,
}

/// Appends what stands before `length` bytes of a space; they must follow at once. So they can be read straight into the packet.
///
/// # Errors
/// [`Full`] when frame and bytes do not fit, or would end beyond 2^62 - 1; nothing is written then.
pub fn begin_bytes(
    space: Space,
    offset: u64,
    length: usize,
    extent: Extent,
    writer: &mut Writer<'_>,
) -> Result<(), Full> {
    let beyond = offset.checked_add(length as u64).is_none_or(|end| end > VARINT_MAX);
    if beyond || bytes_header_length(offset, length, extent).saturating_add(length) > writer.room() {
        return Err(Full);
    }
    match extent {
        Extent::Counted => {
            writer.byte(space.counted_type())?;
            writer.varint(offset)?;
            writer.varint(length as u64)
        }
        Extent::ToTheEnd => {
            writer.byte(space.counted_type() + 1)?;
            writer.varint(offset)
        }
    }
}

/// How many bytes [`begin_bytes`] writes.
pub fn bytes_header_length(offset: u64, length: usize, extent: Extent) -> usize {
    let count = if extent == Extent::Counted { varint_length(length as u64) } else { 0 };
    1 + varint_length(offset) + count
}

impl Space {
    fn counted_type(self) -> u8 {
        match self {
            Space::Data => DATA,
            Space::Manifest => MANIFEST,
            Space::Answer => ANSWER,
        }
    }

    fn max_type(self) -> u8 {
        match self {
            Space::Data => MAX_DATA,
            Space::Manifest => MAX_MANIFEST,
            Space::Answer => MAX_ANSWER,
        }
    }
}

fn decode<'a>(cursor: &mut Cursor<'a>) -> Result<Frame<'a>, BadFrame> {
    let kind = cursor.byte().ok_or(BadFrame::Truncated("first"))?;
    let max = |space, cursor: &mut Cursor<'a>| varint(cursor, "credit").map(|limit| Frame::MaxBytes { space, limit });
    match kind {
        PADDING => Ok(Frame::Padding(cursor.run_of(PADDING).saturating_add(1))),
        PING => Ok(Frame::Ping),
        ACK => Ack::decode(cursor, false).map(Frame::Ack),
        ACK_ECN => Ack::decode(cursor, true).map(Frame::Ack),
        DATA => decode_bytes(Space::Data, Extent::Counted, cursor),
        DATA_TO_THE_END => decode_bytes(Space::Data, Extent::ToTheEnd, cursor),
        MANIFEST => decode_bytes(Space::Manifest, Extent::Counted, cursor),
        MANIFEST_TO_THE_END => decode_bytes(Space::Manifest, Extent::ToTheEnd, cursor),
        ANSWER => decode_bytes(Space::Answer, Extent::Counted, cursor),
        ANSWER_TO_THE_END => decode_bytes(Space::Answer, Extent::ToTheEnd, cursor),
        MAX_DATA => max(Space::Data, cursor),
        MAX_MANIFEST => max(Space::Manifest, cursor),
        MAX_ANSWER => max(Space::Answer, cursor),
        DATA_BLOCKED => Ok(Frame::DataBlocked { limit: varint(cursor, "DATA_BLOCKED")? }),
        PATH_CHALLENGE => Ok(Frame::PathChallenge(array(cursor, "PATH_CHALLENGE")?)),
        PATH_RESPONSE => Ok(Frame::PathResponse(array(cursor, "PATH_RESPONSE")?)),
        NEW_CONNECTION_ID => decode_new_connection_id(cursor),
        DONE => Ok(Frame::Done { answer: varint(cursor, "DONE")? }),
        CLOSE => decode_close(cursor),
        COMPRESSED => Compressed::decode(cursor).map(Frame::Compressed),
        _ => Err(BadFrame::UnknownType(kind)),
    }
}

fn decode_bytes<'a>(space: Space, extent: Extent, cursor: &mut Cursor<'a>) -> Result<Frame<'a>, BadFrame> {
    const FRAME: &str = "DATA, MANIFEST or ANSWER";
    let offset = varint(cursor, FRAME)?;
    let length = match extent {
        Extent::Counted => usize::try_from(varint(cursor, FRAME)?).map_err(|_| BadFrame::Truncated(FRAME))?,
        Extent::ToTheEnd => cursor.remaining(),
    };
    let bytes = cursor.take(length).ok_or(BadFrame::Truncated(FRAME))?;
    match offset.checked_add(length as u64) {
        Some(0..=VARINT_MAX) => Ok(Frame::Bytes { space, offset, bytes }),
        _ => Err(BadFrame::Impossible(FRAME)),
    }
}

fn decode_new_connection_id<'a>(cursor: &mut Cursor<'a>) -> Result<Frame<'a>, BadFrame> {
    const FRAME: &str = "NEW_CONNECTION_ID";
    let (sequence, retire) = (varint(cursor, FRAME)?, varint(cursor, FRAME)?);
    let (id, reset_token) = (ConnectionId(array(cursor, FRAME)?), array(cursor, FRAME)?);
    if retire > sequence {
        return Err(BadFrame::Impossible(FRAME));
    }
    Ok(Frame::NewConnectionId { sequence, retire, id, reset_token })
}

fn decode_close<'a>(cursor: &mut Cursor<'a>) -> Result<Frame<'a>, BadFrame> {
    const FRAME: &str = "CLOSE";
    let code = varint(cursor, FRAME)?;
    let length = usize::try_from(varint(cursor, FRAME)?).ok().filter(|length| *length <= REASON_MAX);
    let reason = cursor.take(length.ok_or(BadFrame::Impossible(FRAME))?).ok_or(BadFrame::Truncated(FRAME))?;
    let reason = str::from_utf8(reason).map_err(|_| BadFrame::Impossible(FRAME))?;
    Ok(Frame::Close { code, reason })
}

fn varint(cursor: &mut Cursor<'_>, frame: &'static str) -> Result<u64, BadFrame> {
    cursor.varint().ok_or(BadFrame::Truncated(frame))
}

fn array<const N: usize>(cursor: &mut Cursor<'_>, frame: &'static str) -> Result<[u8; N], BadFrame> {
    cursor.array().ok_or(BadFrame::Truncated(frame))
}

/// The longest reason of a CLOSE, in bytes: a sentence.
pub const REASON_MAX: usize = 256;

const PADDING: u8 = 0x00;
const PING: u8 = 0x01;
const ACK: u8 = ack::TYPE;
const ACK_ECN: u8 = ack::TYPE_ECN;
const DATA: u8 = 0x04;
const DATA_TO_THE_END: u8 = 0x05;
const MANIFEST: u8 = 0x06;
const MANIFEST_TO_THE_END: u8 = 0x07;
const ANSWER: u8 = 0x08;
const ANSWER_TO_THE_END: u8 = 0x09;
const MAX_DATA: u8 = 0x0a;
const MAX_MANIFEST: u8 = 0x0b;
const MAX_ANSWER: u8 = 0x0c;
const DATA_BLOCKED: u8 = 0x0d;
const PATH_CHALLENGE: u8 = 0x0e;
const PATH_RESPONSE: u8 = 0x0f;
const NEW_CONNECTION_ID: u8 = 0x10;
const DONE: u8 = 0x11;
const CLOSE: u8 = 0x12;
const COMPRESSED: u8 = compressed::TYPE;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn bytes_of(frame: &Frame<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        frame.encode(&mut Writer::new(&mut out, 70_000)).expect("it fits");
        out
    }

    #[test]
    fn frames_are_written_as_the_table_says() {
        let id = ConnectionId(*b"12345678");
        for (frame, bytes) in [
            (Frame::Padding(3), &[0, 0, 0][..]),
            (Frame::Ping, &[1]),
            (Frame::Bytes { space: Space::Data, offset: 0x1234, bytes: b"hi" }, b"\x04\x52\x34\x02hi"),
            (Frame::Bytes { space: Space::Manifest, offset: 1, bytes: b"" }, b"\x06\x01\x00"),
            (Frame::Bytes { space: Space::Answer, offset: 0, bytes: b"x" }, b"\x08\x00\x01x"),
            (Frame::MaxBytes { space: Space::Data, limit: 64 }, &[0x0a, 0x40, 64]),
            (Frame::MaxBytes { space: Space::Manifest, limit: 1 }, &[0x0b, 1]),
            (Frame::MaxBytes { space: Space::Answer, limit: 1 }, &[0x0c, 1]),
            (Frame::DataBlocked { limit: 5 }, &[0x0d, 5]),
            (Frame::PathChallenge(*b"abcdefgh"), b"\x0eabcdefgh"),
            (Frame::PathResponse(*b"abcdefgh"), b"\x0fabcdefgh"),
            (
                Frame::NewConnectionId { sequence: 2, retire: 1, id, reset_token: *b"0123456789abcdef" },
                b"\x10\x02\x01123456780123456789abcdef",
            ),
            (Frame::Done { answer: 7 }, &[0x11, 7]),
            (Frame::Close { code: 3, reason: "full" }, b"\x12\x03\x04full"),
        ] {
            assert_eq!(bytes_of(&frame), bytes, "{frame:?}");
            assert_eq!(Frames::new(bytes).collect::<Vec<_>>(), [Ok(frame)]);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let end_beyond = [&[4, 0xff][..], &[0xff; 7], &[1, b'x']].concat();
        for (bytes, error) in [
            (&[0x13][..], BadFrame::UnknownType(0x13)),
            (&[0xff], BadFrame::UnknownType(0xff)),
            (&[4, 0, 2, b'x'], BadFrame::Truncated("DATA, MANIFEST or ANSWER")),
            (&end_beyond, BadFrame::Impossible("DATA, MANIFEST or ANSWER")),
            (&[0x12, 0, 0x41, 1], BadFrame::Impossible("CLOSE")),
            (&[0x12, 0, 2, 0xc3, 0x28], BadFrame::Impossible("CLOSE")),
            (&[&[0x10, 0, 1][..], &[0; 24]].concat(), BadFrame::Impossible("NEW_CONNECTION_ID")),
            (&[&[0x10, 1, 1][..], &[0; 23]].concat(), BadFrame::Truncated("NEW_CONNECTION_ID")),
        ] {
            assert_eq!(Frames::new(bytes).collect::<Vec<_>>(), [Err(error)], "{bytes:?}");
        }
        let long = "x".repeat(REASON_MAX + 1);
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, 1000);
        assert_eq!(Frame::Close { code: 0, reason: &long }.encode(&mut writer), Err(Full));
        assert_eq!(Frame::Bytes { space: Space::Data, offset: VARINT_MAX, bytes: b"x" }.encode(&mut writer), Err(Full));
        assert!(out.is_empty());
    }

    #[test]
    fn bytes_can_go_up_to_the_end_of_the_packet_and_are_read_into_place() {
        let mut out = vec![1];
        let mut writer = Writer::new(&mut out, 10);
        assert_eq!(begin_bytes(Space::Data, 700, 8, Extent::ToTheEnd, &mut writer), Err(Full));
        begin_bytes(Space::Data, 700, 7, Extent::ToTheEnd, &mut writer).expect("it fits exactly");
        writer.bytes(b"content").expect("as was asked");
        let frames: Vec<_> = Frames::new(&out).collect();
        assert_eq!(frames, [Ok(Frame::Ping), Ok(Frame::Bytes { space: Space::Data, offset: 700, bytes: b"content" })]);
        assert_eq!(bytes_header_length(700, 7, Extent::ToTheEnd), 3);
    }

    #[test]
    fn only_what_can_be_lost_with_consequences_is_acknowledged() {
        assert!(Frame::Ping.is_ack_eliciting() && Frame::Done { answer: 0 }.is_ack_eliciting());
        assert!(!Frame::Padding(1).is_ack_eliciting());
        assert!(!Frame::Close { code: 0, reason: "" }.is_ack_eliciting());
    }

    fn any_frames() -> impl Strategy<Value = Vec<u8>> {
        let number = prop_oneof![0..100_u64, 0..VARINT_MAX / 2];
        let space = prop::sample::select(vec![Space::Data, Space::Manifest, Space::Answer]);
        let frame =
            (0..11_u8, number.clone(), number, space, prop::collection::vec(any::<u8>(), 24), "[a-z\u{e9} ]{0,120}")
                .prop_map(|(kind, a, b, space, content, text)| {
                    let eight = *content.first_chunk::<8>().expect("24 bytes");
                    bytes_of(&match kind {
                        0 => Frame::Padding(1 + content.len()),
                        1 => Frame::Ping,
                        2 => {
                            let mut out = Vec::new();
                            let (low, high) = (a.min(b), a.max(b) + 2);
                            let ranges = || [high..high + 1, low..low + 1].into_iter();
                            ack::write(Duration::from_micros(a), ranges, None, &mut Writer::new(&mut out, 99))
                                .expect("it fits");
                            return out;
                        }
                        3 => Frame::Bytes { space, offset: a, bytes: &content },
                        4 => Frame::MaxBytes { space, limit: a },
                        5 => Frame::DataBlocked { limit: a },
                        6 => Frame::PathChallenge(eight),
                        7 => Frame::PathResponse(eight),
                        8 => Frame::NewConnectionId {
                            sequence: a.max(b),
                            retire: a.min(b),
                            id: ConnectionId(eight),
                            reset_token: *content.last_chunk().expect("24 bytes"),
                        },
                        9 => Frame::Done { answer: a },
                        _ => Frame::Close { code: a, reason: &text },
                    })
                });
        prop::collection::vec(frame, 1..8).prop_map(|frames| frames.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn what_is_read_is_written_as_the_same_bytes(packet in any_frames()) {
            let mut again = Vec::new();
            for frame in Frames::new(&packet) {
                again.extend(bytes_of(&frame.expect("a good one")));
            }
            prop_assert_eq!(again, packet);
        }

        #[test]
        fn damage_is_harmless(packet in any_frames(), cut in any::<prop::sample::Index>(), bit in any::<prop::sample::Index>()) {
            prop_assert!(Frames::new(&packet[..cut.index(packet.len())]).count() <= packet.len());
            let mut flipped = packet.clone();
            let bit = bit.index(packet.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Frames::new(&flipped).count() <= packet.len());
        }

        #[test]
        fn any_bytes_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(Frames::new(&bytes).count() <= bytes.len());
        }
    }
}
