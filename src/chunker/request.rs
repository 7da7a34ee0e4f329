//! What a client says before anything else: what becomes of files that are there, when it brings some; or which ones it wants.
//!
//! ```text
//! header            family "r", version 1                     (see the manifest's stream for records and fields)
//! 1 wanted          length of a path, the path beneath the server's folder (none is the folder itself), and the name that it is
//!                   to get (none: what is in it comes without)
//! 0 end             what becomes of files that are there: 0 they stay, 1 they are replaced, 2 if size or time of change differ, 4 if size or
//!                   content do; fields: 1 = what
//!                   becomes of what an earlier session left (one byte: 1 it is used, 2 it is removed; without the field nothing),
//!                   2 = one byte, 1 if permissions and times are kept as the manifest says them; or
//!                   3 those above are wanted, then 1 for folders as well, 2 for the links inside them too, or 0, and how fast: 0 bbr,
//!                   1 cubic, 2 background; fields: 1 = as above, or 3: it is used, there is some, and its sender waits until it knows
//!                   what, 8 = one byte, whether they come compressed: 1 always, 2 never, without the field where it pays; BLAKE3
//! ```

use super::records::{Family, Record, RecordError, RecordReader, RecordWriter, read_field, write_field};
use super::wanted::{Pace, WISHES_MAX, Wanted, Wish};
use crate::codec::{Cursor, Writer};
use crate::compression::Compression;
use thiserror::Error;

/// What happens to a file that has a name already. A policy of `no_clobber` stands above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the one that comes is refused.
    #[default]
    Keep,
    /// It is replaced.
    Replace,
    /// It is replaced unless it is the same: then nothing of the one that comes is wanted.
    Update(Likeness),
}

/// What files of the same size must have in common to be taken for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// The time of change.
    Time,
    /// The content.
    Content,
}

/// What permissions and times files and folders get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attributes {
    /// As a copy by cp: the permissions that the receiver's umask leaves of the sender's, and the time at which they are made.
    #[default]
    Fresh,
    /// The sender's permissions and times of change, whatever the umask.
    Kept,
}

/// What happens to what an earlier session of the same sender left of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Earlier {
    /// The sender knows of no such thing.
    #[default]
    Ignored,
    /// The receiver says what there is, and the sender sends only the rest.
    Used,
    /// The same, and there is some: the sender sends nothing of a large file before it knows what. Only who wants files says so; who
    /// brings them remembers.
    Awaited,
    /// It is removed.
    Dropped,
}

/// What a client is here for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// It brings files.
    Bring(Existing),
    /// It gets files.
    Get(Wanted),
}

/// The bytes of a request for files.
///
/// # Errors
/// [`RequestError::TooMany`].
pub fn request_for(wanted: &Wanted) -> Result<Vec<u8>, RequestError> {
    if wanted.wishes.len() > WISHES_MAX {
        return Err(RequestError::TooMany);
    }
    let (mut out, mut body) = (Vec::new(), Vec::new());
    let mut records = RecordWriter::new(FAMILY, &mut out);
    let depth = u64::from(wanted.is_recursive) + u64::from(wanted.is_recursive && wanted.has_links);
    let numbers = [WANTED_END, depth, wanted.pace.number()];
    let mut write = || {
        for wish in &wanted.wishes {
            records.record(WANTED, &wish.write()?, &mut out)?;
        }
        let mut writer = Writer::new(&mut body, usize::MAX);
        numbers.iter().try_for_each(|number| writer.varint(*number))?;
        match wanted.compression {
            Compression::Auto => Ok(()),
            Compression::Zstd => write_field(COMPRESSION, &[1], &mut body),
            Compression::No => write_field(COMPRESSION, &[2], &mut body),
        }
    };
    let written = write().and_then(|()| match wanted.earlier {
        Earlier::Ignored => Ok(()),
        Earlier::Used => write_field(EARLIER, &[1], &mut body),
        Earlier::Dropped => write_field(EARLIER, &[2], &mut body),
        Earlier::Awaited => write_field(EARLIER, &[3], &mut body),
    });
    let written = written.and_then(|()| records.end(&body, &mut out));
    debug_assert!(written.is_ok(), "no name is longer than a path");
    Ok(out)
}

/// The bytes of a request.
pub fn request(existing: Existing, earlier: Earlier, attributes: Attributes) -> Vec<u8> {
    let (mut out, mut body) = (Vec::new(), Vec::new());
    let number = match existing {
        Existing::Keep => 0,
        Existing::Replace => 1,
        Existing::Update(Likeness::Time) => 2,
        Existing::Update(Likeness::Content) => UPDATE_BY_CONTENT,
    };
    let written = Writer::new(&mut body, usize::MAX).varint(number);
    let written = written.and_then(|()| match earlier {
        Earlier::Ignored => Ok(()),
        Earlier::Used | Earlier::Awaited => write_field(EARLIER, &[1], &mut body),
        Earlier::Dropped => write_field(EARLIER, &[2], &mut body),
    });
    let written = written.and_then(|()| match attributes {
        Attributes::Fresh => Ok(()),
        Attributes::Kept => write_field(ATTRIBUTES, &[1], &mut body),
    });
    let ended = written.and_then(|()| RecordWriter::new(FAMILY, &mut out).end(&body, &mut out));
    debug_assert!(ended.is_ok(), "one small number always fits");
    out
}

/// Reads a request in pieces of any length.
#[derive(Debug)]
pub struct RequestReader {
    records: RecordReader,
    wishes: Vec<Wish>,
    earlier: Earlier,
    attributes: Attributes,
}

impl Default for RequestReader {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestReader {
    /// Expects the request's first byte.
    pub fn new() -> Self {
        let (earlier, attributes) = (Earlier::Ignored, Attributes::Fresh);
        Self { records: RecordReader::new(FAMILY), wishes: Vec::new(), earlier, attributes }
    }

    /// Takes from `input` what belongs to the request; gives it when it is complete.
    ///
    /// # Errors
    /// [`RequestError`]; nothing can come of the transfer then.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Request>, RequestError> {
        loop {
            match self.records.next(input)? {
                None => return Ok(None),
                Some(Record::One { kind: WANTED, body }) if self.wishes.len() < WISHES_MAX => {
                    self.wishes.push(Wish::read(body).ok_or(RequestError::Unsafe)?);
                }
                Some(Record::One { kind: WANTED, .. }) => return Err(RequestError::TooMany),
                Some(Record::One { .. }) => return Err(RequestError::Unknown),
                Some(Record::End { body }) => {
                    let wishes = std::mem::take(&mut self.wishes);
                    let more = (&mut self.earlier, &mut self.attributes);
                    return read_end(body, wishes, more).map(Some).ok_or(RequestError::Unknown);
                }
            }
        }
    }

    /// What is asked for about earlier sessions, once the request is complete.
    pub fn earlier(&self) -> Earlier {
        self.earlier
    }

    /// What is asked for about permissions and times, once the request is complete.
    pub fn attributes(&self) -> Attributes {
        self.attributes
    }
}

fn read_end(body: &[u8], wishes: Vec<Wish>, (earlier, attributes): (&mut Earlier, &mut Attributes)) -> Option<Request> {
    let mut cursor = Cursor::new(body);
    let existing = match cursor.varint()? {
        0 => Existing::Keep,
        1 => Existing::Replace,
        2 => Existing::Update(Likeness::Time),
        UPDATE_BY_CONTENT => Existing::Update(Likeness::Content),
        WANTED_END => {
            let (is_recursive, has_links) = match cursor.varint()? {
                0 => (false, false),
                1 => (true, false),
                2 => (true, true),
                _ => return None,
            };
            let pace = Pace::of(cursor.varint()?)?;
            let mut compression = Compression::Auto;
            while cursor.remaining() > 0 {
                match read_field(&mut cursor)? {
                    (EARLIER, [1]) => *earlier = Earlier::Used,
                    (EARLIER, [2]) => *earlier = Earlier::Dropped,
                    (EARLIER, [3]) => *earlier = Earlier::Awaited,
                    (COMPRESSION, [1]) => compression = Compression::Zstd,
                    (COMPRESSION, [2]) => compression = Compression::No,
                    (EARLIER | COMPRESSION, _) => return None,
                    // What a later version adds as a field may be ignored.
                    _ => {}
                }
            }
            return Some(Request::Get(Wanted {
                wishes,
                is_recursive,
                has_links,
                pace,
                earlier: *earlier,
                compression,
            }));
        }
        _ => return None,
    };
    while cursor.remaining() > 0 {
        match read_field(&mut cursor)? {
            (EARLIER, [1]) => *earlier = Earlier::Used,
            (EARLIER, [2]) => *earlier = Earlier::Dropped,
            (ATTRIBUTES, [1]) => *attributes = Attributes::Kept,
            (EARLIER | ATTRIBUTES, _) => return None,
            // What a later version adds as a field may be ignored.
            _ => {}
        }
    }
    wishes.is_empty().then_some(Request::Bring(existing))
}

/// Why a request cannot be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// Not even a stream of records.
    #[error("the request cannot be read: {0}")]
    Records(#[from] RecordError),
    /// A path that leads elsewhere, or cannot be read.
    #[error("the request names a path that cannot be used; name files beneath the server's folder")]
    Unsafe,
    /// More paths than anybody types.
    #[error("the request names more than {WISHES_MAX} paths; name their folder, or get some of them at a time")]
    TooMany,
    /// It asks for something that came later.
    #[error("the request is for something that is not known here; use the same version on both sides")]
    Unknown,
}

const FAMILY: Family = Family { letter: b'r', version: 1 };
const WANTED: u64 = 1;

/// What the end begins with when files are wanted.
const WANTED_END: u64 = 3;

/// What the end begins with when files are replaced whose content is another.
const UPDATE_BY_CONTENT: u64 = 4;

/// The number of a field.
const EARLIER: u64 = 1;

/// The number of a field.
const ATTRIBUTES: u64 = 2;

/// The number of a field of those that want files.
const COMPRESSION: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_back_and_what_follows_is_left() {
        let updates = [Likeness::Time, Likeness::Content].map(Existing::Update);
        let all = [[Existing::Keep, Existing::Replace], updates].into_iter().flatten();
        let all = all.zip([Attributes::Fresh, Attributes::Kept, Attributes::Kept, Attributes::Fresh]);
        let earlier = [Earlier::Ignored, Earlier::Used, Earlier::Dropped, Earlier::Used];
        for ((existing, attributes), earlier) in all.zip(earlier) {
            let mut bytes = request(existing, earlier, attributes);
            let length = bytes.len();
            bytes.extend(b"rest");
            let mut reader = RequestReader::new();
            for at in 0..length - 1 {
                assert_eq!(reader.next(&mut &bytes[at..=at]), Ok(None));
            }
            let mut rest = &bytes[length - 1..];
            assert_eq!(reader.next(&mut rest), Ok(Some(Request::Bring(existing))));
            assert_eq!((rest, reader.earlier(), reader.attributes()), (&b"rest"[..], earlier, attributes));
        }
    }

    #[test]
    fn what_is_wanted_comes_back() {
        let name = |text| crate::name::SafeName::parse(text).ok();
        let wishes = vec![Wish { path: name("a/b"), name: name("c") }, Wish { path: None, name: None }];
        for (wishes, is_recursive, has_links, pace, compression) in [
            (wishes.clone(), true, false, Pace::Background, Compression::Zstd),
            (wishes, true, true, Pace::Bbr, Compression::Auto),
            (Vec::new(), false, false, Pace::Cubic, Compression::No),
        ] {
            let earlier = if is_recursive { Earlier::Awaited } else { Earlier::Dropped };
            let wanted = Wanted { wishes, is_recursive, has_links, pace, earlier, compression };
            let bytes = request_for(&wanted).expect("few");
            for at in 0..bytes.len() {
                assert_eq!(RequestReader::new().next(&mut &bytes[..at]), Ok(None));
            }
            assert_eq!(RequestReader::new().next(&mut &bytes[..]), Ok(Some(Request::Get(wanted))));
        }
        let many = Wanted { wishes: vec![Wish { path: None, name: None }; WISHES_MAX + 1], ..Wanted::default() };
        assert_eq!(request_for(&many), Err(RequestError::TooMany));
    }

    #[test]
    fn wishes_are_judged_before_they_are_kept() {
        let records = |bodies: &[&[u8]], end: &[u8]| {
            let mut bytes = Vec::new();
            let mut writer = RecordWriter::new(FAMILY, &mut bytes);
            bodies.iter().for_each(|body| writer.record(WANTED, body, &mut bytes).expect("short"));
            writer.end(end, &mut bytes).expect("short");
            RequestReader::new().next(&mut &bytes[..])
        };
        assert_eq!(records(&[b"\x02.."], b"\x03\x00\x00"), Err(RequestError::Unsafe));
        assert_eq!(records(&vec![&b"\x01a"[..]; WISHES_MAX + 1], b"\x03\x00\x00"), Err(RequestError::TooMany));
        // Who brings files wants none, and nobody chooses a rate for others.
        assert_eq!(records(&[b"\x01a"], b"\x00"), Err(RequestError::Unknown));
        assert_eq!(records(&[b"\x01a"], b"\x03\x00\x03"), Err(RequestError::Unknown));
        assert_eq!(records(&[b"\x01a"], b"\x03\x03\x00"), Err(RequestError::Unknown));
        // Compressed in a way that nobody knows, or only half said.
        assert_eq!(records(&[b"\x01a"], b"\x03\x00\x00\x08\x01\x03"), Err(RequestError::Unknown));
        assert_eq!(records(&[b"\x01a"], b"\x03\x00\x00\x08\x01"), Err(RequestError::Unknown));
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        for body in [
            &b"\x03"[..],
            b"\x05",
            b"",
            b"\x00\x01\x01\x03",
            b"\x00\x01",
            b"\x00\x02\x01\x02",
            b"\x00\x02\x00",
            b"\x00\x02",
            b"\x00\x01\x01\x00",
            b"\x03\x00\x00\x01\x01\x04",
            b"\x03\x00\x00\x01\x02\x01\x01",
        ] {
            let mut bytes = Vec::new();
            RecordWriter::new(FAMILY, &mut bytes).end(body, &mut bytes).unwrap();
            assert_eq!(RequestReader::new().next(&mut &bytes[..]), Err(RequestError::Unknown));
        }
        assert_eq!(RequestReader::new().next(&mut &b"hmm\x01"[..]), Err(RequestError::Records(RecordError::NotOurs)));
    }
}
