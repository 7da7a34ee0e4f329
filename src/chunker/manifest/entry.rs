//! One entry of a manifest, and its bytes.

use super::target::{Target, TargetError};
use crate::chunker::layout::SPACE_MAX;
use crate::chunker::records::read_field;
use crate::codec::{Cursor, Full, Writer};
use crate::name::{Printable, SafeName};
use thiserror::Error;

/// A file, a folder or a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it goes, beneath the receiving folder.
    pub path: SafeName,
    /// What it is.
    pub kind: Kind,
    /// Its permission bits, at most 0o777: whoever runs as it, or sticks to it, is nobody's business elsewhere.
    pub mode: u32,
    /// When its content was changed last.
    pub modified: Modified,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File {
        /// Its size in bytes.
        size: u64,
    },
    /// A folder, empty or not.
    Folder,
    /// A file whose size is known only at its end, as that of standard input.
    Open,
    /// A symbolic link; it has no permissions of its own.
    Link {
        /// Where it leads.
        target: Target,
    },
}

/// A time of change: seconds since 1970 and nanoseconds, within the years 1 to 9999 (those of RFC 3339).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Modified {
    seconds: i64,
    nanoseconds: u32,
}

impl Entry {
    /// The entry as bytes that stand for themselves, as for a table of entries.
    ///
    /// # Errors
    /// [`Full`] for a size above [`SPACE_MAX`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, Full> {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes, usize::MAX).varint(self.kind.number())?;
        bytes.extend(write_body(self, b"")?);
        Ok(bytes)
    }

    /// Reads what [`Entry::to_bytes`] wrote; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let number = cursor.varint()?;
        let ReadEntry { path, kind, mode, modified } = read_body(number, cursor.rest(), b"").ok()?;
        Some(Self { path: SafeName::from_bytes(&path).ok()?, kind, mode, modified })
    }
}

impl Kind {
    /// Whether it has bytes, and so a digest.
    pub fn has_bytes(&self) -> bool {
        matches!(self, Kind::File { .. } | Kind::Open)
    }

    /// The kind's number in a manifest.
    pub(super) fn number(&self) -> u64 {
        match self {
            Kind::File { .. } => FILE,
            Kind::Folder => FOLDER,
            Kind::Open => OPEN,
            Kind::Link { .. } => LINK,
        }
    }
}

impl Modified {
    /// A time, cut to the limits.
    pub fn new(seconds: i64, nanoseconds: u32) -> Self {
        Self { seconds: seconds.clamp(SECONDS_MIN, SECONDS_MAX), nanoseconds: nanoseconds.min(NANOSECONDS_MAX) }
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after them, at most 999,999,999.
    pub fn nanoseconds(self) -> u32 {
        self.nanoseconds
    }
}

/// What is wrong with one entry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EntryError {
    /// Fields are missing, or there is more than fields.
    #[error("cannot be read; are the versions of both sides the same?")]
    Malformed,
    /// A path that is too long for any system.
    #[error("has a path of more than {PATH_MAX} bytes; use shorter names or fewer folders")]
    PathTooLong,
    /// A link whose target is no text, or too long.
    #[error("(\"{path}\") is a link that {reason}")]
    Target {
        /// Its path, safe to print.
        path: String,
        /// What is wrong with the target.
        reason: TargetError,
    },
    /// A kind that came later.
    #[error(
        "(\"{path}\") is of a kind ({kind}) that is not known here; leave it out, or use the same version on both sides"
    )]
    UnknownKind {
        /// Its path, safe to print.
        path: String,
        /// The kind.
        kind: u64,
    },
}

/// An entry as it was read: its path may be anything.
pub(super) struct ReadEntry {
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) modified: Modified,
}

/// The body of an entry's record, after an entry with the path `before`.
pub(super) fn write_body(entry: &Entry, before: &[u8]) -> Result<Vec<u8>, Full> {
    let path = entry.path.as_str().as_bytes();
    let shared = path.iter().zip(before).take_while(|(one, other)| one == other).count();
    let suffix = path.get(shared..).unwrap_or_default();
    let mut body = Vec::with_capacity(suffix.len().saturating_add(NUMBERS_LENGTH));
    let mut writer = Writer::new(&mut body, usize::MAX);
    writer.varint(shared as u64)?;
    writer.varint(suffix.len() as u64)?;
    writer.bytes(suffix)?;
    writer.varint(u64::from(entry.mode & MODE_MASK))?;
    writer.varint(zigzag(entry.modified.seconds))?;
    writer.varint(u64::from(entry.modified.nanoseconds))?;
    match &entry.kind {
        Kind::File { size } => writer.varint(*size)?,
        Kind::Link { target } => {
            writer.varint(target.as_bytes().len() as u64)?;
            writer.bytes(target.as_bytes())?;
        }
        Kind::Folder | Kind::Open => {}
    }
    Ok(body)
}

/// Reads a record after an entry with the path `before`.
pub(super) fn read_body(number: u64, body: &[u8], before: &[u8]) -> Result<ReadEntry, EntryError> {
    let mut cursor = Cursor::new(body);
    let path = read_path(&mut cursor, before)?;
    let mut number_of = || cursor.varint().ok_or(EntryError::Malformed);
    let mut common = || Ok((number_of()?, number_of()?, number_of()?));
    let shown = || Printable(&String::from_utf8_lossy(&path)).to_string();
    if !matches!(number, FILE | FOLDER | OPEN | LINK) {
        return Err(EntryError::UnknownKind { path: shown(), kind: number });
    }
    let (mode, seconds, nanoseconds) = common()?;
    let kind = match number {
        FILE => Kind::File { size: cursor.varint().filter(|size| *size <= SPACE_MAX).ok_or(EntryError::Malformed)? },
        FOLDER => Kind::Folder,
        LINK => {
            let target = read_target(&mut cursor).ok_or(EntryError::Malformed)?;
            let target = Target::from_bytes(target).map_err(|reason| EntryError::Target { path: shown(), reason })?;
            Kind::Link { target }
        }
        _ => Kind::Open,
    };
    while cursor.remaining() > 0 {
        // None is known yet; what a later version adds as a field may be ignored.
        read_field(&mut cursor).ok_or(EntryError::Malformed)?;
    }
    let mode = u32::try_from(mode & u64::from(MODE_MASK)).unwrap_or_default();
    let nanoseconds = u32::try_from(nanoseconds).unwrap_or(u32::MAX);
    Ok(ReadEntry { path, kind, mode, modified: Modified::new(unzigzag(seconds), nanoseconds) })
}

fn read_path(cursor: &mut Cursor<'_>, before: &[u8]) -> Result<Vec<u8>, EntryError> {
    let mut length = || cursor.varint().and_then(|length| usize::try_from(length).ok()).ok_or(EntryError::Malformed);
    let (shared, suffix) = (length()?, length()?);
    let suffix = cursor.take(suffix).ok_or(EntryError::Malformed)?;
    let shared = before.get(..shared).ok_or(EntryError::Malformed)?;
    if shared.len().saturating_add(suffix.len()) > PATH_MAX {
        return Err(EntryError::PathTooLong);
    }
    Ok([shared, suffix].concat())
}

fn read_target<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let length = usize::try_from(cursor.varint()?).ok()?;
    cursor.take(length)
}

/// Small numbers of either sign as small numbers.
fn zigzag(seconds: i64) -> u64 {
    (seconds.unsigned_abs() << 1).wrapping_sub(u64::from(seconds < 0))
}

fn unzigzag(number: u64) -> i64 {
    let half = (number >> 1) as i64;
    if number & 1 == 0 { half } else { -half - 1 }
}

const FILE: u64 = 1;

const FOLDER: u64 = 2;

const OPEN: u64 = 3;

const LINK: u64 = 4;

/// Read, write and execute of the owner, the group and others.
const MODE_MASK: u32 = 0o777;

/// Linux's `PATH_MAX`, which [`SafeName`] has as well.
const PATH_MAX: usize = 4096;

/// The beginning of the year 1.
const SECONDS_MIN: i64 = -62_135_596_800;

/// The last second of the year 9999.
const SECONDS_MAX: i64 = 253_402_300_799;

const NANOSECONDS_MAX: u32 = 999_999_999;

/// Six varints of at most eight bytes.
const NUMBERS_LENGTH: usize = 48;
