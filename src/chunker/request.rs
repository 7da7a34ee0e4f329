//! What a sender asks for before it says what it brings: a stream of records that has only its end.
//!
//! ```text
//! header            family "r", version 1                     (see the manifest's stream for records and fields)
//! 0 end             what becomes of files that are there: 0 they stay, 1 they are replaced, 2 if they are older; BLAKE3
//! ```

use super::records::{Family, Record, RecordError, RecordReader, RecordWriter};
use crate::codec::{Cursor, Writer};
use thiserror::Error;

/// What happens to a file that has a name already. A policy of `no_clobber` stands above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the one that comes is refused.
    #[default]
    Keep,
    /// It is replaced.
    Replace,
    /// It is replaced if it is older than the one that comes.
    ReplaceOlder,
}

/// The bytes of a request.
pub fn request(existing: Existing) -> Vec<u8> {
    let (mut out, mut body) = (Vec::new(), Vec::new());
    let number = match existing {
        Existing::Keep => 0,
        Existing::Replace => 1,
        Existing::ReplaceOlder => 2,
    };
    let written = Writer::new(&mut body, usize::MAX).varint(number);
    let ended = written.and_then(|()| RecordWriter::new(FAMILY, &mut out).end(&body, &mut out));
    debug_assert!(ended.is_ok(), "one small number always fits");
    out
}

/// Reads a request in pieces of any length.
#[derive(Debug)]
pub struct RequestReader {
    records: RecordReader,
}

impl Default for RequestReader {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestReader {
    /// Expects the request's first byte.
    pub fn new() -> Self {
        Self { records: RecordReader::new(FAMILY) }
    }

    /// Takes from `input` what belongs to the request; gives it when it is complete.
    ///
    /// # Errors
    /// [`RequestError`]; nothing can come of the transfer then.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Existing>, RequestError> {
        match self.records.next(input)? {
            None => Ok(None),
            Some(Record::One { .. }) => Err(RequestError::Unknown),
            Some(Record::End { body }) => match Cursor::new(body).varint() {
                Some(0) => Ok(Some(Existing::Keep)),
                Some(1) => Ok(Some(Existing::Replace)),
                Some(2) => Ok(Some(Existing::ReplaceOlder)),
                _ => Err(RequestError::Unknown),
            },
        }
    }
}

/// Why a request cannot be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// Not even a stream of records.
    #[error("the request cannot be read: {0}")]
    Records(#[from] RecordError),
    /// It asks for something that came later.
    #[error("the request is for something that is not known here; use the same version on both sides")]
    Unknown,
}

const FAMILY: Family = Family { letter: b'r', version: 1 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_back_and_what_follows_is_left() {
        for existing in [Existing::Keep, Existing::Replace, Existing::ReplaceOlder] {
            let mut bytes = request(existing);
            let length = bytes.len();
            bytes.extend(b"rest");
            let mut reader = RequestReader::new();
            for at in 0..length - 1 {
                assert_eq!(reader.next(&mut &bytes[at..=at]), Ok(None));
            }
            let mut rest = &bytes[length - 1..];
            assert_eq!(reader.next(&mut rest), Ok(Some(existing)));
            assert_eq!(rest, b"rest");
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        for body in [&b"\x03"[..], b""] {
            let mut bytes = Vec::new();
            RecordWriter::new(FAMILY, &mut bytes).end(body, &mut bytes).unwrap();
            assert_eq!(RequestReader::new().next(&mut &bytes[..]), Err(RequestError::Unknown));
        }
        assert_eq!(RequestReader::new().next(&mut &b"hmm\x01"[..]), Err(RequestError::Records(RecordError::NotOurs)));
    }
}
