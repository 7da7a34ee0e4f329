//! A stream of records: a header, records that say how long they are, and an end that proves the whole.
//!
//! ```text
//! stream = header record* end
//! header = "hm" family version              four bytes
//! record = kind length body                 kind (1 and above) and length are varints (RFC 9000, section 16)
//! end    = 0 length body digest             BLAKE3 of every byte before it; the length counts it
//! body   = what the kind has, then fields   field = number length bytes; the number and the length are varints
//! ```
//!
//! What a reader may ignore becomes a field, and a field that it does not know is skipped. What it may not ignore becomes a
//! kind, and a kind that it does not know is an error.

use crate::codec::{Cursor, Full, Writer};
use thiserror::Error;

/// What tells streams of one format from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// A letter for what the records are about.
    pub letter: u8,
    /// The version of their layout.
    pub version: u8,
}

/// Writes a stream.
#[derive(Debug)]
pub(super) struct RecordWriter {
    hasher: blake3::Hasher,
}

impl RecordWriter {
    /// Begins a stream: appends its header to `out`.
    pub(super) fn new(family: Family, out: &mut Vec<u8>) -> Self {
        let mut writer = Self { hasher: blake3::Hasher::new() };
        writer.append(&header(family), out);
        writer
    }

    /// Appends a record to `out`; gives [`Full`], and appends nothing, if its body is too long.
    pub(super) fn record(&mut self, kind: u64, body: &[u8], out: &mut Vec<u8>) -> Result<(), Full> {
        let mut record = Vec::with_capacity(body.len().saturating_add(2 * VARINT_LENGTH_MAX));
        frame(kind, body, 0, &mut record)?;
        self.append(&record, out);
        Ok(())
    }

    /// Appends the end to `out`.
    pub(super) fn end(mut self, body: &[u8], out: &mut Vec<u8>) -> Result<(), Full> {
        let mut record = Vec::new();
        frame(END, body, blake3::OUT_LEN, &mut record)?;
        self.append(&record, out);
        out.extend_from_slice(self.hasher.finalize().as_bytes());
        Ok(())
    }

    fn append(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.hasher.update(bytes);
        out.extend_from_slice(bytes);
    }
}

/// Reads a stream in pieces of any length; keeps one record at most.
#[derive(Debug)]
pub(super) struct RecordReader {
    family: Family,
    hasher: blake3::Hasher,
    /// The header or the record that is being gathered.
    gathered: Vec<u8>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    Record,
    /// The last call gave a record, which `gathered` still holds.
    Given,
    Ended,
}

/// What a stream has next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// A record.
    One { kind: u64, body: &'a [u8] },
    /// The end; what came before it is proven.
    End { body: &'a [u8] },
}

impl RecordReader {
    /// Expects a stream of this family.
    pub(super) fn new(family: Family) -> Self {
        Self { family, hasher: blake3::Hasher::new(), gathered: Vec::new(), stage: Stage::Header }
    }

    /// Takes from `input` what completes the next record, and gives it; `None` when all of `input` is taken and more is
    /// needed.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Record<'_>>, RecordError> {
        match self.stage {
            Stage::Given => self.start_over(),
            Stage::Ended if input.is_empty() => return Ok(None),
            Stage::Ended => return Err(RecordError::AfterEnd),
            Stage::Header | Stage::Record => {}
        }
        if self.stage == Stage::Header && !self.take_header(input)? {
            return Ok(None);
        }
        let Some(head) = self.take_head(input)? else { return Ok(None) };
        if !self.gather(head.start.saturating_add(head.length), input) {
            return Ok(None);
        }
        self.stage = Stage::Given;
        let body = self.gathered.get(head.start..).unwrap_or_default();
        if head.kind != END {
            self.hasher.update(&self.gathered);
            return Ok(Some(Record::One { kind: head.kind, body }));
        }
        let Some((proven, digest)) = self.gathered.split_last_chunk::<{ blake3::OUT_LEN }>() else {
            return Err(RecordError::Damaged);
        };
        // The hash's own comparison takes the same time whatever differs; it matters nowhere here, and costs nothing.
        if self.hasher.update(proven).finalize() != *digest {
            return Err(RecordError::Damaged);
        }
        self.stage = Stage::Ended;
        Ok(Some(Record::End { body: proven.get(head.start..).ok_or(RecordError::Damaged)? }))
    }

    fn start_over(&mut self) {
        self.gathered.clear();
        self.stage = Stage::Record;
    }

    fn take_header(&mut self, input: &mut &[u8]) -> Result<bool, RecordError> {
        let expected = header(self.family);
        let whole = self.gather(expected.len(), input);
        if !expected.starts_with(&self.gathered) {
            return Err(match self.gathered.as_slice() {
                [b'h', b'm', letter, version] if *letter == self.family.letter => {
                    RecordError::Version { found: *version, known: self.family.version }
                }
                _ => RecordError::NotOurs,
            });
        }
        if whole {
            self.hasher.update(&self.gathered);
            self.start_over();
        }
        Ok(whole)
    }

    /// Gathers a record's kind and length, byte by byte: nobody knows how long they are before they are there.
    fn take_head(&mut self, input: &mut &[u8]) -> Result<Option<Head>, RecordError> {
        loop {
            let mut cursor = Cursor::new(&self.gathered);
            if let Some(kind) = cursor.varint()
                && let Some(length) = cursor.varint()
            {
                let start = self.gathered.len() - cursor.remaining();
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if length > BODY_MAX {
                    return Err(RecordError::TooLong { kind, length });
                }
                return Ok(Some(Head { kind, start, length }));
            }
            if !self.gather(self.gathered.len() + 1, input) {
                return Ok(None);
            }
        }
    }

    /// Takes from `input` until so many bytes are gathered; says whether they are.
    fn gather(&mut self, length: usize, input: &mut &[u8]) -> bool {
        let missing = length.saturating_sub(self.gathered.len()).min(input.len());
        let (taken, rest) = input.split_at(missing);
        self.gathered.extend_from_slice(taken);
        *input = rest;
        self.gathered.len() >= length
    }
}

/// How a record begins: its kind, where its body begins, and how long that is.
struct Head {
    kind: u64,
    start: usize,
    length: usize,
}

/// Why a stream is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The first bytes are others.
    #[error("it does not begin as it should; is the other side another program?")]
    NotOurs,
    /// A version that came later.
    #[error("it has version {found}, and {known} is known here; use the same version on both sides")]
    Version {
        /// The version that the stream has.
        found: u8,
        /// The version that is known.
        known: u8,
    },
    /// A record longer than any that means something.
    #[error("a record of kind {kind} has {length} bytes, more than {BODY_MAX}")]
    TooLong {
        /// Its kind.
        kind: u64,
        /// The length that it announces, in bytes.
        length: usize,
    },
    /// The digest at the end is another.
    #[error("it was damaged on its way: its digest is another")]
    Damaged,
    /// More bytes after the end.
    #[error("it goes on after its end")]
    AfterEnd,
}

/// Appends a field to a record's body.
pub(super) fn write_field(number: u64, value: &[u8], body: &mut Vec<u8>) -> Result<(), Full> {
    Writer::new(body, BODY_MAX).all_or_none(|writer| {
        writer.varint(number)?;
        writer.varint(value.len() as u64)?;
        writer.bytes(value)
    })
}

/// Cuts the next field off: its number and its bytes. `None` if what is left is none.
pub(super) fn read_field<'a>(cursor: &mut Cursor<'a>) -> Option<(u64, &'a [u8])> {
    let number = cursor.varint()?;
    let length = usize::try_from(cursor.varint()?).ok()?;
    Some((number, cursor.take(length)?))
}

fn header(family: Family) -> [u8; 4] {
    [b'h', b'm', family.letter, family.version]
}

/// Appends a record whose body will have `more` bytes besides.
fn frame(kind: u64, body: &[u8], more: usize, out: &mut Vec<u8>) -> Result<(), Full> {
    let length = body.len().saturating_add(more);
    if length > BODY_MAX {
        return Err(Full);
    }
    let mut writer = Writer::new(out, usize::MAX);
    writer.varint(kind)?;
    writer.varint(length as u64)?;
    writer.bytes(body)
}

/// The kind of the record that ends a stream.
const END: u64 = 0;

/// The longest body, in bytes: room for a path of 4096 bytes and as much again for fields that come later.
const BODY_MAX: usize = 8192;

/// The longest varint, in bytes (RFC 9000, section 16).
const VARINT_LENGTH_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FAMILY: Family = Family { letter: b't', version: 1 };

    type Owned = Vec<(Option<u64>, Vec<u8>)>;

    fn written(records: &[(u64, Vec<u8>)], last: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = RecordWriter::new(FAMILY, &mut out);
        for (kind, body) in records {
            writer.record(*kind, body, &mut out).unwrap();
        }
        writer.end(last, &mut out).unwrap();
        out
    }

    /// Everything that comes out of a stream, fed in pieces of this length.
    fn read(stream: &[u8], piece: usize) -> Result<Owned, RecordError> {
        let mut reader = RecordReader::new(FAMILY);
        let mut records = Vec::new();
        for mut input in stream.chunks(piece.max(1)) {
            while let Some(record) = reader.next(&mut input)? {
                records.push(match record {
                    Record::One { kind, body } => (Some(kind), body.to_vec()),
                    Record::End { body } => (None, body.to_vec()),
                });
            }
            assert!(input.is_empty());
            assert!(reader.gathered.capacity() <= 4 * BODY_MAX);
        }
        Ok(records)
    }

    #[test]
    fn each_stream_that_is_not_one_is_refused_for_its_reason() {
        let good = written(&[(1, b"one".to_vec())], b"end");
        for (stream, error) in [
            (b"hx".to_vec(), RecordError::NotOurs),
            (b"hmu\x01".to_vec(), RecordError::NotOurs),
            (b"hmt\x02".to_vec(), RecordError::Version { found: 2, known: 1 }),
            ([&b"hmt\x01\x05"[..], &[0x60, 0x01]].concat(), RecordError::TooLong { kind: 5, length: 8193 }),
            (b"hmt\x01\x00\x03abc".to_vec(), RecordError::Damaged),
            ([&good[..], b"x"].concat(), RecordError::AfterEnd),
        ] {
            assert_eq!(read(&stream, 7), Err(error), "{stream:?}");
        }
        let mut out = Vec::new();
        assert_eq!(RecordWriter::new(FAMILY, &mut out).record(1, &[0; BODY_MAX + 1], &mut out), Err(Full));
        assert_eq!(out.len(), 4, "nothing was appended");
    }

    #[test]
    fn no_prefix_and_no_changed_byte_passes_for_the_whole() {
        let good = written(&[(1, b"one".to_vec()), (70, vec![9; 100])], b"end");
        let ended = |records: Owned| records.last().is_some_and(|(kind, _)| kind.is_none());
        assert!(read(&good, 1000).is_ok_and(ended));
        for at in 0..good.len() {
            assert!(!read(&good[..at], 1000).is_ok_and(ended), "ends at {at}");
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(!read(&bad, 1000).is_ok_and(ended), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn fields_come_one_by_one_until_something_is_none() {
        let mut body = Vec::new();
        write_field(3, b"abc", &mut body).unwrap();
        write_field(900, b"", &mut body).unwrap();
        let mut cursor = Cursor::new(&body);
        assert_eq!(read_field(&mut cursor), Some((3, &b"abc"[..])));
        assert_eq!(read_field(&mut cursor), Some((900, &b""[..])));
        assert_eq!(read_field(&mut cursor), None);
        assert_eq!(read_field(&mut Cursor::new(b"\x01\x05abc")), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_pieces_of_any_length(
            records in prop::collection::vec((1_u64..1 << 62, prop::collection::vec(any::<u8>(), 0..200)), 0..20),
            last in prop::collection::vec(any::<u8>(), 0..50),
            piece in 1_usize..300,
        ) {
            let mut expected: Owned = records.iter().map(|(kind, body)| (Some(*kind), body.clone())).collect();
            expected.push((None, last.clone()));
            prop_assert_eq!(read(&written(&records, &last), piece), Ok(expected));
        }

        #[test]
        fn no_bytes_upset_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1_usize..50) {
            let _ = read(&[&b"hmt\x01"[..], &bytes].concat(), piece);
        }
    }
}
