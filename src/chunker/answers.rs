//! What the receiver says about a transfer's entries: a stream of records, one for each that did not come to rest, and the counts.
//!
//! ```text
//! header            family "a", version 1                     (see the manifest's stream for records and fields)
//! 1 refused         entry, the reason as UTF-8, 512 bytes at most: it may not come, and its bytes need not be sent
//! 2 failed          entry, reason: it came to nothing
//! 3 differs         entry, reason: what arrived is not what was sent
//! 4 held            entry, the first group's number, chaining values (32 bytes each): an earlier session left groups that follow each other
//! 5 looked          how many entries: of those before, all that is held was said
//! 6 there           entry, how many: these and none of them with bytes to come, since the same files are there; in the order of the entries
//! 7 content         entry, BLAKE3 (32 bytes) of the file of the same size that has its name: it stays if the entry's digest is the same
//! 0 end             files placed, entries refused, entries failed (those that differ among them), fields: 1 = strain; BLAKE3 of the stream
//! strain            packets that the receiver's sockets dropped, then times in microseconds: how long bytes came, for how long of
//!                   that its socket thread was busy, how long the disk's thread worked, how much of a core that took; varints
//! ```
//!
//! Entries are numbered as in the manifest, from 0. After [`RECORDS_MAX`] records the others are only counted: who sends a million
//! names that are taken gets no more than a few megabytes of reasons.

use super::groups::ChainingValue;
use super::manifest::ENTRIES_MAX;
use super::records::{Family, Record, RecordError, RecordReader, RecordWriter, read_field, write_field};
use crate::codec::{Cursor, Full, Writer};
use crate::limits::Strain;
use std::ops::Range;
use std::time::Duration;
use thiserror::Error;

/// Why an entry did not come to rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// Which entry.
    pub entry: u32,
    /// What became of it.
    pub fate: Fate,
    /// Why. Not yet safe to print.
    pub reason: String,
}

/// What became of an entry that did not come to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It may not come.
    Refused,
    /// It came to nothing.
    Failed,
    /// Its bytes arrived as others than they were sent.
    Differs,
}

/// Groups of an entry that an earlier session left, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which entry.
    pub entry: u32,
    /// The number of the first of these groups.
    pub first: u64,
    /// Theirs.
    pub values: Vec<ChainingValue>,
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Files that have their names.
    pub placed: u64,
    /// Entries that were refused.
    pub refused: u64,
    /// Entries that failed, or differ.
    pub failed: u64,
}

/// Writes the stream.
#[derive(Debug)]
pub struct AnswerWriter {
    records: RecordWriter,
    written: usize,
    strain: Option<Strain>,
}

impl AnswerWriter {
    /// Begins the stream: appends its header to `out`.
    pub fn new(out: &mut Vec<u8>) -> Self {
        Self { records: RecordWriter::new(FAMILY, out), written: 0, strain: None }
    }

    /// Appends what became of an entry to `out`, unless there are too many of them. A reason is cut to 512 bytes.
    pub fn objection(&mut self, objection: &Objection, out: &mut Vec<u8>) {
        if self.written >= RECORDS_MAX {
            return;
        }
        self.written += 1;
        let kind = match objection.fate {
            Fate::Refused => REFUSED,
            Fate::Failed => FAILED,
            Fate::Differs => DIFFERS,
        };
        let mut body = Vec::new();
        let mut writer = Writer::new(&mut body, usize::MAX);
        let written =
            writer.varint(objection.entry.into()).and_then(|()| writer.bytes(cut(&objection.reason).as_bytes()));
        let recorded = written.and_then(|()| self.records.record(kind, &body, out));
        debug_assert!(recorded.is_ok(), "a number and a short text always fit");
    }

    /// The end will say what the transfer cost the receiver.
    pub fn set_strain(&mut self, strain: Strain) {
        self.strain = Some(strain);
    }

    /// Appends what is held of an entry to `out`, in as many records as it takes.
    pub fn held(&mut self, held: &Held, out: &mut Vec<u8>) {
        for (at, values) in (0..).zip(held.values.chunks(VALUES_MAX)) {
            let first = held.first.saturating_add(at * VALUES_MAX as u64);
            let mut body = Vec::new();
            let mut writer = Writer::new(&mut body, usize::MAX);
            let written = writer.varint(held.entry.into()).and_then(|()| writer.varint(first));
            let written = written.and_then(|()| writer.bytes(values.as_flattened()));
            let recorded = written.and_then(|()| self.records.record(HELD, &body, out));
            debug_assert!(recorded.is_ok(), "so many values fit");
        }
    }

    /// Appends to `out` that all that is held of the first `entries` was said.
    pub fn looked(&mut self, entries: u32, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        let written = Writer::new(&mut body, usize::MAX).varint(entries.into());
        let recorded = written.and_then(|()| self.records.record(LOOKED, &body, out));
        debug_assert!(recorded.is_ok(), "a number always fits");
    }

    /// Appends to `out` that the files of these entries are there. There are fewer of these records than entries.
    pub fn there(&mut self, entries: Range<u32>, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        let mut writer = Writer::new(&mut body, usize::MAX);
        let written = writer.varint(entries.start.into()).and_then(|()| writer.varint(entries.len() as u64));
        let recorded = written.and_then(|()| self.records.record(THERE, &body, out));
        debug_assert!(recorded.is_ok(), "two numbers always fit");
    }

    /// Appends to `out` what the file has that is where this entry is to be.
    pub fn content(&mut self, entry: u32, blake3: &[u8; 32], out: &mut Vec<u8>) {
        let mut body = Vec::new();
        let mut writer = Writer::new(&mut body, usize::MAX);
        let written = writer.varint(entry.into()).and_then(|()| writer.bytes(blake3));
        let recorded = written.and_then(|()| self.records.record(CONTENT, &body, out));
        debug_assert!(recorded.is_ok(), "a number and a digest always fit");
    }

    /// Appends the end to `out`.
    pub fn end(self, tally: Tally, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        let mut writer = Writer::new(&mut body, usize::MAX);
        let counts = [tally.placed, tally.refused, tally.failed];
        let written = counts.iter().try_for_each(|count| writer.varint(*count));
        let written = written.and_then(|()| self.strain.map_or(Ok(()), |strain| write_strain(&strain, &mut body)));
        let ended = written.and_then(|()| self.records.end(&body, out));
        debug_assert!(ended.is_ok(), "no count is larger than a manifest");
    }
}

/// What an answer has next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An entry did not come to rest.
    Objection(Objection),
    /// An earlier session left this.
    Held(Held),
    /// Of so many entries all that is held was said.
    Looked(u32),
    /// The same files are there already. No entry is named twice.
    There(Range<u32>),
    /// A file of the same size has this entry's name.
    Content {
        /// Which entry.
        entry: u32,
        /// BLAKE3 of that file.
        blake3: [u8; 32],
    },
    /// The end. Nothing before it was lost or changed.
    End(Tally),
}

/// Reads the stream in pieces of any length; keeps one record at most.
#[derive(Debug)]
pub struct AnswerReader {
    records: RecordReader,
    strain: Option<Strain>,
    /// The first entry that may be told of as there: nobody is told twice, so all that is told is no more than there are entries.
    there_from: u32,
}

impl Default for AnswerReader {
    fn default() -> Self {
        Self::new()
    }
}

impl AnswerReader {
    /// Expects the stream's first byte.
    pub fn new() -> Self {
        Self { records: RecordReader::new(FAMILY), strain: None, there_from: 0 }
    }

    /// What the transfer cost the receiver, as far as the end has said so.
    pub fn strain(&self) -> Option<Strain> {
        self.strain
    }

    /// Takes from `input` what completes the next record, and gives it; `None` when all of `input` is taken.
    ///
    /// # Errors
    /// [`AnswerError`]; the stream is worth nothing any more then.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Answer>, AnswerError> {
        let (kind, body) = match self.records.next(input)? {
            None => return Ok(None),
            Some(Record::End { body }) => {
                let (tally, strain) = read_end(body).ok_or(AnswerError::Malformed)?;
                self.strain = strain;
                return Ok(Some(Answer::End(tally)));
            }
            Some(Record::One { kind, body }) => (kind, body),
        };
        let fate = match kind {
            REFUSED => Fate::Refused,
            FAILED => Fate::Failed,
            DIFFERS => Fate::Differs,
            THERE => {
                let entries = read_there(body, self.there_from).ok_or(AnswerError::Malformed)?;
                self.there_from = entries.end;
                return Ok(Some(Answer::There(entries)));
            }
            CONTENT => return read_content(body).map(Some).ok_or(AnswerError::Malformed),
            HELD => return read_held(body).map(|held| Some(Answer::Held(held))).ok_or(AnswerError::Malformed),
            LOOKED => {
                let entries = Cursor::new(body).varint().filter(|entries| *entries <= ENTRIES_MAX);
                let entries = entries.and_then(|entries| u32::try_from(entries).ok()).ok_or(AnswerError::Malformed)?;
                return Ok(Some(Answer::Looked(entries)));
            }
            kind => return Err(AnswerError::UnknownKind { kind }),
        };
        let mut cursor = Cursor::new(body);
        let entry = cursor.varint().filter(|entry| *entry < ENTRIES_MAX).and_then(|entry| u32::try_from(entry).ok());
        let entry = entry.ok_or(AnswerError::Malformed)?;
        let reason = String::from_utf8_lossy(cursor.rest()).into_owned();
        Ok(Some(Answer::Objection(Objection { entry, fate, reason })))
    }
}

/// Why the stream is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// Not even a stream of records.
    #[error("the server's answer cannot be read: {0}")]
    Records(#[from] RecordError),
    /// A record that does not hold what its kind has.
    #[error("the server's answer cannot be read; are the versions of both sides the same?")]
    Malformed,
    /// A kind that came later.
    #[error(
        "the server's answer has a record of a kind ({kind}) that is not known here; use the same version on both sides"
    )]
    UnknownKind {
        /// The kind.
        kind: u64,
    },
}

fn read_held(body: &[u8]) -> Option<Held> {
    let mut cursor = Cursor::new(body);
    let entry = cursor.varint().filter(|entry| *entry < ENTRIES_MAX).and_then(|entry| u32::try_from(entry).ok())?;
    let first = cursor.varint()?;
    let (values, rest) = cursor.rest().as_chunks::<32>();
    (!values.is_empty() && rest.is_empty()).then(|| Held { entry, first, values: values.to_vec() })
}

fn read_there(body: &[u8], from: u32) -> Option<Range<u32>> {
    let mut cursor = Cursor::new(body);
    let first = cursor.varint().filter(|first| *first >= from.into())?;
    let end = cursor.varint().filter(|count| *count > 0).and_then(|count| first.checked_add(count));
    let end = end.filter(|end| *end <= ENTRIES_MAX && cursor.remaining() == 0)?;
    Some(u32::try_from(first).ok()?..u32::try_from(end).ok()?)
}

fn read_content(body: &[u8]) -> Option<Answer> {
    let mut cursor = Cursor::new(body);
    let entry = cursor.varint().filter(|entry| *entry < ENTRIES_MAX).and_then(|entry| u32::try_from(entry).ok())?;
    let blake3 = cursor.array().filter(|_| cursor.remaining() == 0)?;
    Some(Answer::Content { entry, blake3 })
}

fn read_end(body: &[u8]) -> Option<(Tally, Option<Strain>)> {
    let mut cursor = Cursor::new(body);
    let tally = Tally { placed: cursor.varint()?, refused: cursor.varint()?, failed: cursor.varint()? };
    let mut strain = None;
    while cursor.remaining() > 0 {
        let (number, value) = read_field(&mut cursor)?;
        if number == STRAIN_FIELD {
            strain = Some(read_strain(&mut Cursor::new(value))?);
        }
    }
    Some((tally, strain))
}

fn write_strain(strain: &Strain, body: &mut Vec<u8>) -> Result<(), Full> {
    let Strain { drops, lasted, awake, disk, disk_effort } = *strain;
    let mut value = Vec::new();
    let mut writer = Writer::new(&mut value, usize::MAX);
    writer.varint(drops.min(COUNT_MAX))?;
    for time in [lasted, awake, disk, disk_effort] {
        writer.varint(u64::try_from(time.as_micros()).unwrap_or(COUNT_MAX).min(COUNT_MAX))?;
    }
    write_field(STRAIN_FIELD, &value, body)
}

fn read_strain(cursor: &mut Cursor<'_>) -> Option<Strain> {
    let drops = cursor.varint()?;
    let mut time = || cursor.varint().map(|micros| Duration::from_micros(micros.min(COUNT_MAX)));
    Some(Strain { drops, lasted: time()?, awake: time()?, disk: time()?, disk_effort: time()? })
}

/// The beginning of a text, as much as a record has room for.
fn cut(text: &str) -> &str {
    let end = (0..=REASON_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

const FAMILY: Family = Family { letter: b'a', version: 1 };

const REFUSED: u64 = 1;

const FAILED: u64 = 2;

const DIFFERS: u64 = 3;

const STRAIN_FIELD: u64 = 1;

/// No count and no time of a transfer is larger: 35 years.
const COUNT_MAX: u64 = 1 << 50;

const HELD: u64 = 4;

const LOOKED: u64 = 5;

const THERE: u64 = 6;

const CONTENT: u64 = 7;

/// Chaining values in one record, which has 8192 bytes at most.
const VALUES_MAX: usize = 250;

/// A sentence or two.
const REASON_MAX: usize = 512;

/// Entries that are named with their reason: more than a person reads, and 4 MiB at most as they are written here.
pub const RECORDS_MAX: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    fn objection(entry: u32, fate: Fate, reason: &str) -> Objection {
        Objection { entry, fate, reason: reason.to_owned() }
    }

    fn read(stream: &[u8], piece: usize) -> Result<Vec<Answer>, AnswerError> {
        let (mut reader, mut answers) = (AnswerReader::new(), Vec::new());
        for mut input in stream.chunks(piece) {
            while let Some(answer) = reader.next(&mut input)? {
                answers.push(answer);
            }
        }
        Ok(answers)
    }

    #[test]
    fn an_answer_comes_back_as_it_was() {
        let objections = [
            objection(0, Fate::Refused, "\"a\" exists here"),
            objection(7, Fate::Failed, ""),
            objection(ENTRIES_MAX as u32 - 1, Fate::Differs, &"ü".repeat(400)),
        ];
        let mut stream = Vec::new();
        let mut writer = AnswerWriter::new(&mut stream);
        objections.iter().for_each(|objection| writer.objection(objection, &mut stream));
        let tally = Tally { placed: 5, refused: 1, failed: 2 };
        writer.end(tally, &mut stream);
        let mut expected: Vec<_> = objections.into_iter().map(Answer::Objection).collect();
        if let Some(Answer::Objection(last)) = expected.last_mut() {
            last.reason.truncate(REASON_MAX);
        }
        expected.push(Answer::End(tally));
        assert_eq!(read(&stream, 1), Ok(expected.clone()));
        assert_eq!(read(&stream, 1000), Ok(expected));
    }

    #[test]
    fn what_is_there_is_told_once_of_each_entry() {
        let mut stream = Vec::new();
        let mut writer = AnswerWriter::new(&mut stream);
        writer.there(0..3, &mut stream);
        writer.content(3, &[9; 32], &mut stream);
        writer.there(7..8, &mut stream);
        let expected = vec![Answer::There(0..3), Answer::Content { entry: 3, blake3: [9; 32] }, Answer::There(7..8)];
        assert_eq!(read(&stream, 1), Ok(expected));
        writer.there(7..9, &mut stream);
        assert_eq!(read(&stream, 1000), Err(AnswerError::Malformed));
    }

    #[test]
    fn what_it_cost_the_receiver_comes_with_the_end_and_need_not() {
        let micros = Duration::from_micros;
        let strain =
            Strain { drops: 70_000, lasted: micros(5), awake: micros(4), disk: Duration::MAX, disk_effort: micros(2) };
        for strain in [None, Some(strain)] {
            let mut stream = Vec::new();
            let mut writer = AnswerWriter::new(&mut stream);
            strain.into_iter().for_each(|strain| writer.set_strain(strain));
            writer.end(Tally::default(), &mut stream);
            let mut reader = AnswerReader::new();
            assert_eq!(reader.next(&mut &stream[..]), Ok(Some(Answer::End(Tally::default()))));
            let cut = strain.map(|strain| Strain { disk: micros(COUNT_MAX), ..strain });
            assert_eq!(reader.strain(), cut);
        }
        for (more, is_end) in [(&[9, 1, 0][..], true), (&[1, 2, 0, 0], false), (&[1, 9, 0], false), (&[1], false)] {
            let mut stream = Vec::new();
            let records = RecordWriter::new(FAMILY, &mut stream);
            records.end(&[&[0, 0, 0], more].concat(), &mut stream).unwrap();
            assert_eq!(read(&stream, 9).is_ok(), is_end, "{more:?}");
        }
    }

    #[test]
    fn what_is_held_comes_back_in_as_many_records_as_it_takes() {
        let values: Vec<_> = (0..600_u32).map(|number| [number as u8; 32]).collect();
        let mut stream = Vec::new();
        let mut writer = AnswerWriter::new(&mut stream);
        writer.held(&Held { entry: 3, first: 7, values: values.clone() }, &mut stream);
        writer.looked(4, &mut stream);
        writer.end(Tally::default(), &mut stream);
        let held = |first, part: &[[u8; 32]]| Answer::Held(Held { entry: 3, first, values: part.to_vec() });
        let expected = [
            held(7, &values[..250]),
            held(257, &values[250..500]),
            held(507, &values[500..]),
            Answer::Looked(4),
            Answer::End(Tally::default()),
        ];
        assert_eq!(read(&stream, 99), Ok(expected.to_vec()));
    }

    #[test]
    fn a_million_objections_are_counted_and_few_are_written() {
        let mut stream = Vec::new();
        let mut writer = AnswerWriter::new(&mut stream);
        for entry in 0..20_000 {
            writer.objection(&objection(entry, Fate::Refused, &"x".repeat(600)), &mut stream);
        }
        writer.end(Tally { refused: 20_000, ..Tally::default() }, &mut stream);
        assert!(stream.len() < 5 << 20, "{}", stream.len());
        assert_eq!(read(&stream, 5000).map(|answers| answers.len()), Ok(RECORDS_MAX + 1));
    }

    #[test]
    fn what_is_no_answer_is_refused_for_its_reason() {
        let records = |kind, body: &[u8]| {
            let mut out = Vec::new();
            RecordWriter::new(FAMILY, &mut out).record(kind, body, &mut out).unwrap();
            out
        };
        for (stream, error) in [
            (b"hmm\x01".to_vec(), AnswerError::Records(RecordError::NotOurs)),
            (records(HELD, b"\x01\x00"), AnswerError::Malformed),
            (records(HELD, &[0; 33]), AnswerError::Malformed),
            (records(LOOKED, b""), AnswerError::Malformed),
            (records(THERE, b"\x01\x00"), AnswerError::Malformed),
            (records(THERE, b"\x01\x01\x00"), AnswerError::Malformed),
            (records(THERE, &[0x80, 0x0f, 0xff, 0xff, 2]), AnswerError::Malformed),
            (records(CONTENT, &[0; 32]), AnswerError::Malformed),
            (records(CONTENT, &[0; 34]), AnswerError::Malformed),
            (records(9, b"\x01"), AnswerError::UnknownKind { kind: 9 }),
            (records(1, b""), AnswerError::Malformed),
            (records(1, &[0xff; 8]), AnswerError::Malformed),
        ] {
            assert_eq!(read(&stream, 9), Err(error), "{stream:?}");
        }
    }
}
