//! What a client says of its files and what a server answers, in pieces of any length.

use homing::chunker::answers::AnswerReader;
use homing::chunker::digests::DigestReader;
use homing::chunker::manifest::ManifestReader;
use homing::chunker::request::RequestReader;
use homing::codec::Writer;
use std::fmt::Debug;

/// A stream of records of this family whose header, lengths and end are right, whatever stands inside.
pub fn stream(family: u8, records: &[(u64, Vec<u8>)], end: &[u8]) -> Vec<u8> {
    let mut out = vec![b'h', b'm', family, 1];
    for (kind, body) in records {
        record((*kind).max(1), body.len(), &mut out);
        out.extend_from_slice(body);
    }
    record(0, end.len() + 32, &mut out);
    out.extend_from_slice(end);
    let digest = blake3::hash(&out);
    out.extend_from_slice(digest.as_bytes());
    out
}

fn record(kind: u64, length: usize, out: &mut Vec<u8>) {
    let mut writer = Writer::new(out, usize::MAX);
    writer.varint(kind).and_then(|()| writer.varint(length as u64)).expect("no record is longer");
}

/// The bytes come at once, and in pieces: what is read is the same. Each reader ends, and never reads more items than bytes.
pub fn read(family: u8, bytes: &[u8], pieces: &[u8]) {
    match family & 3 {
        0 => compare(bytes, pieces, || {
            let mut reader = RequestReader::new();
            move |input: &mut &[u8]| reader.next(input)
        }),
        1 => compare(bytes, pieces, || {
            let mut reader = ManifestReader::new();
            move |input: &mut &[u8]| reader.next(input)
        }),
        2 => compare(bytes, pieces, || {
            let mut reader = DigestReader::new();
            move |input: &mut &[u8]| reader.next(input)
        }),
        _ => compare(bytes, pieces, || {
            let mut reader = AnswerReader::new();
            move |input: &mut &[u8]| reader.next(input)
        }),
    }
}

fn compare<T: Debug, E: Debug, R: FnMut(&mut &[u8]) -> Result<Option<T>, E>>(
    bytes: &[u8],
    pieces: &[u8],
    begin: impl Fn() -> R,
) {
    let whole = items([bytes].into_iter(), begin());
    let mut rest = bytes;
    let lengths = pieces.iter().copied().chain(std::iter::repeat(7)).map(|length| usize::from(length).max(1));
    let cut = lengths.map_while(|length| {
        let (piece, behind) = rest.split_at_checked(length.min(rest.len()))?;
        rest = behind;
        Some(piece).filter(|piece| !piece.is_empty())
    });
    assert_eq!(items(cut, begin()), whole, "pieces do not matter");
}

/// What is read, up to the first error.
fn items<'a, T: Debug, E: Debug>(
    pieces: impl Iterator<Item = &'a [u8]>,
    mut next: impl FnMut(&mut &[u8]) -> Result<Option<T>, E>,
) -> Vec<String> {
    let mut items = Vec::new();
    for mut piece in pieces {
        loop {
            let before = piece.len();
            match next(&mut piece) {
                Ok(None) => {
                    assert!(piece.is_empty(), "all is taken");
                    break;
                }
                Ok(Some(item)) => {
                    assert!(piece.len() <= before);
                    // One record may stand for many files that have nothing to be told of.
                    if items.len() >= ITEMS_MAX {
                        return items;
                    }
                    items.push(format!("{item:?}"));
                }
                Err(error) => {
                    items.push(format!("{error:?}"));
                    return items;
                }
            }
        }
    }
    items
}

const ITEMS_MAX: usize = 2000;
