//! The frames of a packet as qlog has them (draft-ietf-quic-qlog-quic-events-03, section 8.13).

use super::file::milliseconds;
use crate::packet::windowed::frame::{Space, compressed};
use crate::session::windowed::log::{Content, Part};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

/// All frames of a packet, from its parts.
pub(super) struct Frames<'a>(pub(super) &'a [Part]);

impl Serialize for Frames<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut frames = serializer.serialize_seq(None)?;
        for (at, part) in self.0.iter().enumerate() {
            if let Part::Frame(content) = part {
                let rest = self.0.get(at + 1..).unwrap_or_default();
                frames.serialize_element(&Frame { content, rest })?;
            }
        }
        frames.end()
    }
}

/// The first and the last number of each range, up to the next frame; a range of one is one number.
struct Ranges<'a>(&'a [Part]);

impl Serialize for Ranges<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut ranges = serializer.serialize_seq(None)?;
        for part in self.0.iter().take_while(|part| !matches!(part, Part::Frame(_))) {
            match part {
                Part::Range(first, last) if first == last => ranges.serialize_element(&[first])?,
                Part::Range(first, last) => ranges.serialize_element(&[first, last])?,
                _ => {}
            }
        }
        ranges.end()
    }
}

/// What a frame that has no other name carries.
#[derive(Serialize)]
struct Raw {
    length: usize,
}

/// A frame, and the parts behind it.
struct Frame<'a> {
    content: &'a Content,
    rest: &'a [Part],
}

impl Serialize for Frame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("frame_type", frame_type(self.content))?;
        match *self.content {
            Content::Padding(count) => map.serialize_entry("payload_length", &count)?,
            Content::Ack { delay } => {
                let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
                map.serialize_entry("ack_delay", &milliseconds(micros))?;
                map.serialize_entry("acked_ranges", &Ranges(self.rest))?;
                if let Some(Part::Marks(marks)) = self.rest.first() {
                    map.serialize_entry("ect0", &marks.ect0)?;
                    map.serialize_entry("ect1", &marks.ect1)?;
                    map.serialize_entry("ce", &marks.ce)?;
                }
            }
            Content::Bytes { space, offset, length } => {
                map.serialize_entry("stream_id", &stream_id(space))?;
                map.serialize_entry("offset", &offset)?;
                map.serialize_entry("length", &length)?;
            }
            Content::Compressed { start, length, at, count } => {
                map.serialize_entry("raw_frame_type", &compressed::TYPE)?;
                map.serialize_entry("raw", &Raw { length: count })?;
                map.serialize_entry("homing_block", &start)?;
                map.serialize_entry("homing_block_length", &length)?;
                map.serialize_entry("homing_at", &at)?;
            }
            Content::MaxBytes { space, limit } => {
                map.serialize_entry("stream_id", &stream_id(space))?;
                map.serialize_entry("maximum", &limit)?;
            }
            Content::DataBlocked { limit } => {
                map.serialize_entry("stream_id", &stream_id(Space::Data))?;
                map.serialize_entry("limit", &limit)?;
            }
            Content::NewConnectionId { sequence, retire } => {
                map.serialize_entry("sequence_number", &sequence)?;
                map.serialize_entry("retire_prior_to", &retire)?;
            }
            Content::Done { answer } => {
                map.serialize_entry("raw_frame_type", &DONE)?;
                map.serialize_entry("homing_done", &answer)?;
            }
            Content::Close { code } => {
                map.serialize_entry("error_space", "application")?;
                map.serialize_entry("error_code", &code)?;
            }
            Content::Ping | Content::PathChallenge | Content::PathResponse => {}
        }
        map.end()
    }
}

fn frame_type(content: &Content) -> &'static str {
    match content {
        Content::Padding(_) => "padding",
        Content::Ping => "ping",
        Content::Ack { .. } => "ack",
        Content::Bytes { .. } => "stream",
        Content::MaxBytes { .. } => "max_stream_data",
        Content::DataBlocked { .. } => "stream_data_blocked",
        Content::PathChallenge => "path_challenge",
        Content::PathResponse => "path_response",
        Content::NewConnectionId { .. } => "new_connection_id",
        Content::Compressed { .. } | Content::Done { .. } => "unknown",
        Content::Close { .. } => "connection_close",
    }
}

/// The spaces as streams that a client opened, for both directions (RFC 9000 section 2.1): qlog's tools hide those for one.
fn stream_id(space: Space) -> u64 {
    match space {
        Space::Data => 0,
        Space::Manifest => 4,
        Space::Answer => 8,
    }
}

/// The type of DONE on the wire.
const DONE: u64 = 0x11;
