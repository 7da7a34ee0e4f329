//! The digests that follow the files: a stream of records, one for each file of the manifest, in its order.
//!
//! It begins as soon as the first file was read and ends after the last, so that a receiver verifies and publishes files
//! while others still come.
//!
//! ```text
//! header            family "d", version 1                     (see the manifest's stream for records and fields)
//! 1 digest          size, BLAKE3 (32 bytes), fields: 1 = SHA-256 (32 bytes)
//! 2 withdrawn       the reason as UTF-8, 512 bytes at most: the file could not be read or changed; its bytes mean nothing
//! 3 skipped         how many files: the receiver does not want their bytes, and they were not read
//! 4 kept            entry, two numbers of groups: of what the receiver holds of this entry from an earlier session, the groups from the
//!                   first up to the second (which is not one of them) are as they are to be, and will not be sent; those before them of which nothing was said yet
//!                   are not. It comes before the entry's digest, and counts as none.
//! 5 hole            entry, two numbers of groups: those from the first up to the second are zeros and will not be sent. Only of files that are
//!                   resumed, groups of which nothing is sent, as many in all as `HOLES_MAX`. It comes before the entry's digest, too, and
//!                   decides on what the receiver holds of these groups.
//! 0 end             how many files, BLAKE3 of the stream
//! ```

use super::layout::SPACE_MAX;
use super::manifest::ENTRIES_MAX;
use super::records::{Family, Record, RecordError, RecordReader, RecordWriter, read_field, write_field};
use crate::codec::{Cursor, Full, Writer};
use std::collections::VecDeque;
use std::ops::Range;
use thiserror::Error;

/// What became of a file at the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileDigest {
    /// It was read from its first byte to its last.
    Read {
        /// How many bytes that were: what the manifest says, or says not if the file was open-ended.
        size: u64,
        /// BLAKE3 of them.
        blake3: [u8; 32],
        /// SHA-256 of them, where a person asked for it.
        sha256: Option<[u8; 32]>,
    },
    /// It could not be read or changed meanwhile: its bytes, whatever came of them, are no file.
    Withdrawn {
        /// Why. Not yet safe to print.
        reason: String,
    },
    /// The receiver does not want it.
    Skipped,
}

/// Groups that the receiver held and that stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which entry's, counted from 0.
    pub entry: u32,
    /// Which of them; those before are not kept unless an earlier word said so.
    pub groups: Range<u64>,
}

/// Groups that are zeros, of which nothing is read and nothing sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Which entry's, counted from 0.
    pub entry: u32,
    /// Which of them, one at least.
    pub groups: Range<u64>,
}

/// Writes the stream.
#[derive(Debug)]
pub struct DigestWriter {
    records: RecordWriter,
    files: u64,
    /// Files in a row that were skipped, not written yet.
    skipped: u64,
}

impl DigestWriter {
    /// Begins the stream: appends its header to `out`.
    pub fn new(out: &mut Vec<u8>) -> Self {
        Self { records: RecordWriter::new(FAMILY, out), files: 0, skipped: 0 }
    }

    /// Appends what became of the next file to `out`. A reason is cut to 512 bytes.
    ///
    /// # Errors
    /// [`Full`] for a size above [`SPACE_MAX`].
    pub fn file(&mut self, digest: &FileDigest, out: &mut Vec<u8>) -> Result<(), Full> {
        self.files = self.files.saturating_add(1);
        match digest {
            FileDigest::Skipped => {
                self.skipped = self.skipped.saturating_add(1);
                Ok(())
            }
            FileDigest::Withdrawn { reason } => {
                self.write_skipped(out)?;
                self.records.record(WITHDRAWN, cut(reason).as_bytes(), out)
            }
            FileDigest::Read { size, blake3, sha256 } => {
                self.write_skipped(out)?;
                let mut body = Vec::new();
                let mut writer = Writer::new(&mut body, usize::MAX);
                writer.varint(*size)?;
                writer.bytes(blake3)?;
                if let Some(sha256) = sha256 {
                    write_field(SHA256_FIELD, sha256, &mut body)?;
                }
                self.records.record(DIGEST, &body, out)
            }
        }
    }

    /// Appends to `out` which groups are kept.
    ///
    /// # Errors
    /// [`Full`] for numbers of groups above [`SPACE_MAX`].
    pub fn kept(&mut self, kept: &Kept, out: &mut Vec<u8>) -> Result<(), Full> {
        self.write_groups(KEPT, kept.entry, &kept.groups, out)
    }

    /// Appends to `out` which groups are a hole.
    ///
    /// # Errors
    /// [`Full`] for numbers of groups above [`SPACE_MAX`].
    pub fn hole(&mut self, hole: &Hole, out: &mut Vec<u8>) -> Result<(), Full> {
        self.write_groups(HOLE, hole.entry, &hole.groups, out)
    }

    /// Appends the end to `out`.
    ///
    /// # Errors
    /// None in practice: the end always fits.
    pub fn end(mut self, out: &mut Vec<u8>) -> Result<(), Full> {
        self.write_skipped(out)?;
        let mut body = Vec::new();
        Writer::new(&mut body, usize::MAX).varint(self.files)?;
        self.records.end(&body, out)
    }

    fn write_groups(&mut self, kind: u64, entry: u32, groups: &Range<u64>, out: &mut Vec<u8>) -> Result<(), Full> {
        let mut body = Vec::new();
        let mut writer = Writer::new(&mut body, usize::MAX);
        [entry.into(), groups.start, groups.end].iter().try_for_each(|number| writer.varint(*number))?;
        self.records.record(kind, &body, out)
    }

    fn write_skipped(&mut self, out: &mut Vec<u8>) -> Result<(), Full> {
        let skipped = std::mem::take(&mut self.skipped);
        if skipped == 0 {
            return Ok(());
        }
        let mut body = Vec::new();
        Writer::new(&mut body, usize::MAX).varint(skipped)?;
        self.records.record(SKIPPED, &body, out)
    }
}

/// Reads the stream in pieces of any length; keeps one record at most.
#[derive(Debug)]
pub struct DigestReader {
    records: RecordReader,
    files: u64,
    /// Files that the last record skipped and that were not given yet.
    skipped: u64,
    kept: VecDeque<Kept>,
    holes: VecDeque<Hole>,
    is_at_end: bool,
}

impl Default for DigestReader {
    fn default() -> Self {
        Self::new()
    }
}

impl DigestReader {
    /// Expects the stream's first byte.
    pub fn new() -> Self {
        let (kept, holes) = (VecDeque::new(), VecDeque::new());
        Self { records: RecordReader::new(FAMILY), files: 0, skipped: 0, kept, holes, is_at_end: false }
    }

    /// Takes from `input` what completes the next record, and gives what became of the next file; `None` when all of `input`
    /// is taken, see [`DigestReader::is_at_end`]. What stood before it about groups is in [`DigestReader::poll_kept`] and
    /// [`DigestReader::poll_hole`].
    ///
    /// # Errors
    /// [`DigestError`]; the stream is worth nothing any more then.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<FileDigest>, DigestError> {
        if let Some(left) = self.skipped.checked_sub(1) {
            self.skipped = left;
            return Ok(Some(FileDigest::Skipped));
        }
        let (digest, files) = loop {
            match self.records.next(input)? {
                None => return Ok(None),
                Some(Record::One { kind: KEPT, body }) => {
                    let (entry, groups) = read_groups(body).ok_or(DigestError::Malformed { file: self.files })?;
                    self.kept.push_back(Kept { entry, groups });
                }
                Some(Record::One { kind: HOLE, body }) => {
                    let hole = read_groups(body).filter(|(_, groups)| !groups.is_empty());
                    let (entry, groups) = hole.ok_or(DigestError::Malformed { file: self.files })?;
                    self.holes.push_back(Hole { entry, groups });
                }
                Some(Record::End { body }) => {
                    if Cursor::new(body).varint() != Some(self.files) {
                        return Err(DigestError::Count { files: self.files });
                    }
                    self.is_at_end = true;
                    return if input.is_empty() { Ok(None) } else { Err(RecordError::AfterEnd.into()) };
                }
                Some(Record::One { kind, body }) => break read_record(kind, body, self.files)?,
            }
        };
        self.files = self.files.saturating_add(files);
        if self.files > ENTRIES_MAX {
            return Err(DigestError::TooMany);
        }
        self.skipped = files.saturating_sub(1);
        Ok(Some(digest))
    }

    /// Which groups are kept, as was said before what [`DigestReader::next`] gave last.
    pub fn poll_kept(&mut self) -> Option<Kept> {
        self.kept.pop_front()
    }

    /// Which groups are holes, as was said before what [`DigestReader::next`] gave last.
    pub fn poll_hole(&mut self) -> Option<Hole> {
        self.holes.pop_front()
    }

    /// Whether the end came, and with it the proof that nothing was lost or changed.
    pub fn is_at_end(&self) -> bool {
        self.is_at_end
    }
}

/// Why the stream is not what it should be. Files are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DigestError {
    /// Not even a stream of records.
    #[error("the digests cannot be read: {0}")]
    Records(#[from] RecordError),
    /// A record that does not hold what its kind has.
    #[error("the digest of file {file} cannot be read; are the versions of both sides the same?")]
    Malformed {
        /// Which file's.
        file: u64,
    },
    /// A kind that came later.
    #[error(
        "the digest of file {file} is of a kind ({kind}) that is not known here; use the same version on both sides"
    )]
    UnknownKind {
        /// Which file's.
        file: u64,
        /// The kind.
        kind: u64,
    },
    /// More files than a manifest may have.
    #[error("there are digests of more than {ENTRIES_MAX} files")]
    TooMany,
    /// The end counts other files than came.
    #[error("the digests end after {files} files, and their end says otherwise")]
    Count {
        /// How many came.
        files: u64,
    },
}

/// What a record says, and of how many files.
fn read_record(kind: u64, body: &[u8], file: u64) -> Result<(FileDigest, u64), DigestError> {
    let malformed = DigestError::Malformed { file };
    let mut cursor = Cursor::new(body);
    match kind {
        DIGEST => {
            let size = cursor.varint().filter(|size| *size <= SPACE_MAX).ok_or(malformed)?;
            let blake3 = cursor.array().ok_or(malformed)?;
            let mut sha256 = None;
            while cursor.remaining() > 0 {
                let (number, value) = read_field(&mut cursor).ok_or(malformed)?;
                if number == SHA256_FIELD {
                    sha256 = Some(value.try_into().map_err(|_| malformed)?);
                }
            }
            Ok((FileDigest::Read { size, blake3, sha256 }, 1))
        }
        WITHDRAWN => {
            let reason = std::str::from_utf8(body).ok().filter(|reason| reason.len() <= REASON_MAX);
            Ok((FileDigest::Withdrawn { reason: reason.ok_or(malformed)?.to_owned() }, 1))
        }
        SKIPPED => Ok((FileDigest::Skipped, cursor.varint().filter(|files| *files > 0).ok_or(malformed)?)),
        kind => Err(DigestError::UnknownKind { file, kind }),
    }
}

fn read_groups(body: &[u8]) -> Option<(u32, Range<u64>)> {
    let mut cursor = Cursor::new(body);
    let entry = cursor.varint().filter(|entry| *entry < ENTRIES_MAX).and_then(|entry| u32::try_from(entry).ok())?;
    let groups = cursor.varint()?..cursor.varint()?;
    (groups.start <= groups.end).then_some((entry, groups))
}

/// A reason that is not too long.
fn cut(reason: &str) -> &str {
    let ends = (0..=REASON_MAX).rev().find_map(|end| reason.get(..end));
    if reason.len() <= REASON_MAX { reason } else { ends.unwrap_or_default() }
}

const FAMILY: Family = Family { letter: b'd', version: 1 };

const DIGEST: u64 = 1;

const WITHDRAWN: u64 = 2;

const SKIPPED: u64 = 3;

const KEPT: u64 = 4;

const HOLE: u64 = 5;

const SHA256_FIELD: u64 = 1;

/// The longest reason, in bytes: a sentence with a name in it.
const REASON_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(stream: &[u8], piece: usize) -> Result<(Vec<FileDigest>, bool), DigestError> {
        let mut reader = DigestReader::new();
        let mut files = Vec::new();
        for mut input in stream.chunks(piece) {
            while let Some(file) = reader.next(&mut input)? {
                files.push(file);
            }
        }
        Ok((files, reader.is_at_end()))
    }

    fn written(files: &[FileDigest]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = DigestWriter::new(&mut out);
        for file in files {
            writer.file(file, &mut out).unwrap();
        }
        writer.end(&mut out).unwrap();
        out
    }

    /// A stream of these records, well-formed as such.
    fn records(records: &[(u64, &[u8])], files: u8) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = RecordWriter::new(FAMILY, &mut out);
        for (kind, body) in records {
            writer.record(*kind, body, &mut out).unwrap();
        }
        writer.end(&[files], &mut out).unwrap();
        out
    }

    #[test]
    fn each_wrong_record_is_an_error_that_says_which_file() {
        let malformed = DigestError::Malformed { file: 0 };
        let short = [5; 20];
        let bad_sha256 = [&[0; 33][..], &[1, 2, 0, 0]].concat();
        for (kind, body, error) in [
            (DIGEST, &short[..], malformed),
            (DIGEST, &bad_sha256, malformed),
            (WITHDRAWN, b"\xff", malformed),
            (WITHDRAWN, &[b'a'; REASON_MAX + 1], malformed),
            (SKIPPED, &[0], malformed),
            (SKIPPED, &[], malformed),
            (SKIPPED, &[0x80, 0x0f, 0x42, 0x41], DigestError::TooMany),
            (HOLE, &[0, 1], malformed),
            (HOLE, &[0, 1, 1], malformed),
            (HOLE, &[0, 2, 1], malformed),
            (HOLE, &[0x80, 0x0f, 0x42, 0x41, 0, 1], malformed),
            (9, &[], DigestError::UnknownKind { file: 0, kind: 9 }),
        ] {
            assert_eq!(read(&records(&[(kind, body)], 1), 1000), Err(error));
        }
        assert_eq!(read(&records(&[], 1), 1000), Err(DigestError::Count { files: 0 }));
        let later = [&[0; 33][..], &[7, 2, 0, 0]].concat();
        let file = FileDigest::Read { size: 0, blake3: [0; 32], sha256: None };
        assert_eq!(read(&records(&[(DIGEST, &later)], 1), 3), Ok((vec![file], true)), "a field of later versions");
    }

    #[test]
    fn what_is_said_of_groups_comes_back_before_the_digest() {
        let (kept, hole) = (Kept { entry: 3, groups: 0..0 }, Hole { entry: 5, groups: 7..SPACE_MAX });
        let mut out = Vec::new();
        let mut writer = DigestWriter::new(&mut out);
        writer.hole(&hole, &mut out).expect("short");
        writer.kept(&kept, &mut out).expect("short");
        writer.file(&FileDigest::Withdrawn { reason: "gone".into() }, &mut out).expect("short");
        writer.end(&mut out).expect("an end");
        let mut reader = DigestReader::new();
        let input = &mut &out[..];
        assert!(reader.next(input).is_ok_and(|digest| digest.is_some()));
        assert_eq!((reader.poll_kept(), reader.poll_kept()), (Some(kept), None));
        assert_eq!((reader.poll_hole(), reader.poll_hole()), (Some(hole), None));
        assert!(reader.next(input).is_ok_and(|digest| digest.is_none()) && reader.is_at_end());
    }

    #[test]
    fn a_long_reason_is_cut_between_two_characters() {
        let reason = format!("a{}", "\u{e9}".repeat(300));
        let stream = written(&[FileDigest::Withdrawn { reason }]);
        let Ok((files, true)) = read(&stream, 50) else { panic!("unreadable") };
        assert_eq!(files, [FileDigest::Withdrawn { reason: format!("a{}", "\u{e9}".repeat(255)) }]);
    }

    fn any_file() -> impl Strategy<Value = FileDigest> {
        prop_oneof![
            (0..=SPACE_MAX, any::<[u8; 32]>(), any::<Option<[u8; 32]>>())
                .prop_map(|(size, blake3, sha256)| FileDigest::Read { size, blake3, sha256 }),
            "\\PC{0,40}".prop_map(|reason| FileDigest::Withdrawn { reason }),
            Just(FileDigest::Skipped),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_pieces_of_any_length(
            files in prop::collection::vec(any_file(), 0..30), piece in 1_usize..100,
        ) {
            let stream = written(&files);
            prop_assert_eq!(read(&stream, piece), Ok((files, true)));
            for end in 0..stream.len() {
                prop_assert!(read(&stream[..end], 1000).is_ok_and(|(_, ended)| !ended));
            }
        }
    }

    #[test]
    fn what_is_kept_comes_before_its_digest_and_counts_as_none() {
        let mut stream = Vec::new();
        let mut writer = DigestWriter::new(&mut stream);
        let kept = [Kept { entry: 5, groups: 1..3 }, Kept { entry: 5, groups: SPACE_MAX..SPACE_MAX }];
        kept.iter().for_each(|kept| writer.kept(kept, &mut stream).unwrap());
        let digest = FileDigest::Read { size: 9, blake3: [1; 32], sha256: None };
        writer.file(&digest, &mut stream).unwrap();
        writer.end(&mut stream).unwrap();
        let (mut reader, mut rest) = (DigestReader::new(), &stream[..]);
        assert_eq!(reader.next(&mut rest), Ok(Some(digest)));
        assert_eq!([reader.poll_kept(), reader.poll_kept()], kept.map(Some));
        assert_eq!((reader.next(&mut rest), reader.poll_kept(), reader.is_at_end()), (Ok(None), None, true));
    }
}
