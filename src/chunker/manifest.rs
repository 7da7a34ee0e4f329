//! What a transfer brings: its files, folders and links as a stream of records, in an order that finds a name given twice.
//!
//! ```text
//! header            family "m", version 1                     (see the records' own module for records and fields)
//! 1 file            common size
//! 2 folder          common
//! 3 open file       common                                    its size is known at its end; it is the last entry
//! 4 link            common, length and bytes of its target
//! 0 end             files, folders, bytes, links, BLAKE3 of the stream
//! common            shared length suffix mode seconds nanoseconds
//! ```
//!
//! A path is the first `shared` bytes of the path before it and a suffix of `length` bytes. `mode` is the nine permission
//! bits; `seconds` count from 1970 and are zigzag-coded (0, -1, 1, -2 as 0, 1, 2, 3); every number is a varint. Files lie in
//! the byte space end to end in the manifest's order (see the layout).
//!
//! **Order.** Paths ascend, compared component by component, byte by byte: a folder comes right before what is in it, and
//! a walk of sorted folders is in order by itself. So one look at the path before finds a path that is there twice, and a
//! file or a link that is also a folder, without remembering a million names. The open file is exempt: it comes last under any name.

mod entry;
mod error;
mod order;
mod target;

pub use entry::{Entry, EntryError, Kind, Modified};
pub use error::ManifestError;
pub use order::{ENTRIES_MAX, Summary};
pub use target::{TARGET_MAX, Target, TargetError};

use self::entry::{ReadEntry, read_body, write_body};
use self::order::Order;
use super::records::{Family, Record, RecordReader, RecordWriter};
use crate::codec::{Cursor, Full, Writer};
use crate::name::NameError;

/// Writes a manifest.
#[derive(Debug)]
pub struct ManifestWriter {
    records: RecordWriter,
    order: Order,
    /// The path of the entry before.
    before: String,
}

impl ManifestWriter {
    /// Begins a manifest: appends its header to `out`.
    pub fn new(out: &mut Vec<u8>) -> Self {
        Self { records: RecordWriter::new(FAMILY, out), order: Order::default(), before: String::new() }
    }

    /// Appends an entry to `out`. Permission bits beyond 0o777 and times beyond [`Modified`]'s limits are cut.
    ///
    /// # Errors
    /// [`ManifestError`] when no manifest may have this entry here; nothing is appended then.
    pub fn entry(&mut self, entry: &Entry, out: &mut Vec<u8>) -> Result<(), ManifestError> {
        let path = entry.path.as_str();
        self.order.accept(path.as_bytes(), &entry.kind)?;
        // An entry in order always fits: its path, its size and its target are within their limits.
        let body = write_body(entry, self.before.as_bytes()).map_err(|Full| ManifestError::TooLarge)?;
        self.records.record(entry.kind.number(), &body, out).map_err(|Full| ManifestError::TooLarge)?;
        path.clone_into(&mut self.before);
        Ok(())
    }

    /// Appends the end to `out`; gives what it counts.
    pub fn end(self, out: &mut Vec<u8>) -> Summary {
        let summary = self.order.summary();
        let mut body = Vec::new();
        let mut writer = Writer::new(&mut body, usize::MAX);
        let written = [summary.files, summary.folders, summary.bytes, summary.links]
            .iter()
            .try_for_each(|count| writer.varint(*count));
        debug_assert!(written.is_ok(), "the counts are below their limits");
        let ended = self.records.end(&body, out);
        debug_assert!(ended.is_ok(), "four numbers fit into a record");
        summary
    }
}

/// What a manifest has next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An entry.
    Entry(Entry),
    /// An entry whose name is not taken here. It keeps its place in the byte space.
    Unsafe {
        /// What is wrong with the name.
        reason: NameError,
        /// What it is.
        kind: Kind,
    },
    /// The end. Nothing before it was lost or changed.
    End(Summary),
}

/// Reads a manifest in pieces of any length; keeps one record and one path at most.
#[derive(Debug)]
pub struct ManifestReader {
    records: RecordReader,
    order: Order,
    before: Vec<u8>,
}

impl Default for ManifestReader {
    fn default() -> Self {
        Self::new()
    }
}

impl ManifestReader {
    /// Expects the manifest's first byte.
    pub fn new() -> Self {
        Self { records: RecordReader::new(FAMILY), order: Order::default(), before: Vec::new() }
    }

    /// Takes from `input` what completes the next item, and gives it; `None` when all of `input` is taken and more is needed,
    /// or nothing more comes after the end.
    ///
    /// # Errors
    /// [`ManifestError`]; the manifest is worth nothing any more then.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Item>, ManifestError> {
        let entry = self.order.entries();
        match self.records.next(input)? {
            None => Ok(None),
            Some(Record::End { body }) => {
                let (counted, ours) = (read_summary(body), self.order.summary());
                if counted != Some(ours) {
                    return Err(ManifestError::Counts);
                }
                Ok(Some(Item::End(ours)))
            }
            Some(Record::One { kind, body }) => {
                let ReadEntry { path, kind, mode, modified } =
                    read_body(kind, body, &self.before).map_err(|reason| ManifestError::Entry { entry, reason })?;
                self.order.accept(&path, &kind)?;
                let item = match crate::name::SafeName::from_bytes(&path) {
                    Ok(path) => Item::Entry(Entry { path, kind, mode, modified }),
                    Err(reason) => Item::Unsafe { reason, kind },
                };
                self.before = path;
                Ok(Some(item))
            }
        }
    }
}

fn read_summary(body: &[u8]) -> Option<Summary> {
    let mut cursor = Cursor::new(body);
    let mut number = || cursor.varint();
    Some(Summary { files: number()?, folders: number()?, bytes: number()?, links: number()? })
}

const FAMILY: Family = Family { letter: b'm', version: 1 };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunker::layout::SPACE_MAX;
    use crate::chunker::records::write_field;
    use crate::name::SafeName;
    use proptest::prelude::*;

    fn entry(path: &str, kind: Kind) -> Entry {
        let path = SafeName::parse(path).expect("a good name");
        Entry { path, kind, mode: 0o640, modified: Modified::new(-5, 7) }
    }

    fn file(path: &str, size: u64) -> Entry {
        entry(path, Kind::File { size })
    }

    fn link(path: &str, target: &str) -> Entry {
        entry(path, Kind::Link { target: Target::from_bytes(target.as_bytes()).expect("text") })
    }

    fn written(entries: &[Entry]) -> (Vec<u8>, Summary) {
        let mut out = Vec::new();
        let mut writer = ManifestWriter::new(&mut out);
        for entry in entries {
            writer.entry(entry, &mut out).expect("an entry in order");
        }
        let summary = writer.end(&mut out);
        (out, summary)
    }

    fn read(stream: &[u8], piece: usize) -> Result<Vec<Item>, ManifestError> {
        let mut reader = ManifestReader::new();
        let mut items = Vec::new();
        for mut input in stream.chunks(piece) {
            while let Some(item) = reader.next(&mut input)? {
                items.push(item);
            }
        }
        Ok(items)
    }

    fn ends(items: Result<Vec<Item>, ManifestError>) -> bool {
        items.is_ok_and(|items| matches!(items.last(), Some(Item::End(_))))
    }

    /// A stream of records, well-formed as such, with these bodies.
    fn records(bodies: &[(u64, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = RecordWriter::new(FAMILY, &mut out);
        for (kind, body) in bodies {
            writer.record(*kind, body, &mut out).unwrap();
        }
        out
    }

    /// The body of a folder's record with any bytes for a path.
    fn folder_body(path: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        let mut writer = Writer::new(&mut body, usize::MAX);
        writer.varint(0).unwrap();
        writer.varint(path.len() as u64).unwrap();
        writer.bytes(path).unwrap();
        for number in [0o755, 0, 0] {
            writer.varint(number).unwrap();
        }
        body
    }

    #[test]
    fn a_tree_comes_back_as_it_was() {
        let entries = [
            entry("a", Kind::Folder),
            file("a/b", 0),
            entry("a/c", Kind::Folder),
            entry("a/c/d", Kind::Folder),
            file("a/c/d/e.txt", SPACE_MAX - 1),
            link("a/c/l", "../b"),
            link("a/c/m", ""),
            file("a b", 1),
            file("a-", 0),
            entry("A", Kind::Open),
        ];
        let (stream, summary) = written(&entries);
        assert_eq!(summary, Summary { files: 5, folders: 3, links: 2, bytes: SPACE_MAX });
        let mut items: Vec<_> = entries.into_iter().map(Item::Entry).collect();
        items.push(Item::End(summary));
        assert_eq!(read(&stream, 1).as_ref(), Ok(&items));
        assert_eq!(read(&stream, 1000).as_ref(), Ok(&items));
        let (stream, summary) = written(&[]);
        assert_eq!(read(&stream, 3), Ok(vec![Item::End(summary)]));
    }

    #[test]
    fn no_manifest_has_a_name_twice_or_something_in_a_file() {
        let order = Err(ManifestError::Order { entry: 1 });
        for (first, second, expected) in [
            (file("a", 1), file("b", 1), Ok(())),
            (file("a/b", 1), file("a-b", 1), Ok(())),
            (file("a-b", 1), file("a/b", 1), order.clone()),
            (file("a", 1), file("a", 1), order.clone()),
            (file("a", 1), entry("a", Kind::Folder), order.clone()),
            (file("b", 1), file("a", 1), order),
            (file("b", 1), entry("a", Kind::Open), Ok(())),
            (file("a", 1), file("a/b", 1), Err(ManifestError::InAFile { entry: 1 })),
            (file("a", 1), entry("a/b", Kind::Open), Err(ManifestError::InAFile { entry: 1 })),
            (entry("a", Kind::Folder), file("a/b", 1), Ok(())),
            (link("a", "b"), file("b/c", 1), Ok(())),
            (link("a", "b"), link("a", "c"), Err(ManifestError::Order { entry: 1 })),
            (file("a", 1), link("a", "b"), Err(ManifestError::Order { entry: 1 })),
            (link("a", "b"), file("a/c", 1), Err(ManifestError::InAFile { entry: 1 })),
            (link("a", "b"), link("a/c", "d"), Err(ManifestError::InAFile { entry: 1 })),
            (link("a", "b"), entry("a/c", Kind::Open), Err(ManifestError::InAFile { entry: 1 })),
            (entry("a", Kind::Open), file("b", 1), Err(ManifestError::AfterOpen { entry: 1 })),
            (file("a", SPACE_MAX), file("b", 1), Err(ManifestError::TooLarge)),
            (file("a", 0), file("b", u64::MAX), Err(ManifestError::TooLarge)),
        ] {
            let mut out = Vec::new();
            let mut writer = ManifestWriter::new(&mut out);
            writer.entry(&first, &mut out).expect("the first");
            let length = out.len();
            assert_eq!(writer.entry(&second, &mut out), expected, "{first:?} {second:?}");
            assert_eq!(out.len() == length, expected.is_err(), "an error appends nothing");
        }
    }

    #[test]
    fn each_wrong_entry_is_an_error_that_names_it() {
        let wrong = |reason| Err(ManifestError::Entry { entry: 0, reason });
        let mut no_field = folder_body(b"a");
        no_field.push(3);
        let shared = vec![1, 0, 0, 0, 0];
        let target = |reason| wrong(EntryError::Target { path: "a".into(), reason });
        let mut long_target = folder_body(b"a");
        Writer::new(&mut long_target, usize::MAX).varint(1025).unwrap();
        long_target.extend([b'b'; 1025]);
        for (kind, body, expected) in [
            (2, vec![], wrong(EntryError::Malformed)),
            (2, shared, wrong(EntryError::Malformed)),
            (2, no_field, wrong(EntryError::Malformed)),
            (1, folder_body(b"a"), wrong(EntryError::Malformed)),
            (2, folder_body(&[b'a'; 4097]), wrong(EntryError::PathTooLong)),
            (4, folder_body(b"a"), wrong(EntryError::Malformed)),
            (4, [folder_body(b"a"), vec![2, b'b']].concat(), wrong(EntryError::Malformed)),
            (4, [folder_body(b"a"), vec![1, 0xff]].concat(), target(TargetError::NotUtf8)),
            (4, long_target, target(TargetError::TooLong { bytes: 1025 })),
            (9, folder_body(b"x\x1by"), wrong(EntryError::UnknownKind { path: "x\\u{1b}y".to_owned(), kind: 9 })),
        ] {
            assert_eq!(read(&records(&[(kind, body)]), 100), expected);
        }
        let error = ManifestError::Entry { entry: 3, reason: EntryError::UnknownKind { path: "a".into(), kind: 9 } };
        assert!(error.to_string().starts_with("entry 3 of the manifest (\"a\") is of a kind (9)"), "{error}");
    }

    #[test]
    fn an_entry_with_an_unsafe_name_is_named_and_the_others_are_read() {
        let bodies: Vec<_> =
            [&b"/x"[..], b"../x", b"a\x01", b"a\xff", b"con"].map(|path| (2, folder_body(path))).into();
        let items = read(&records(&bodies), 100).expect("a manifest");
        assert_eq!(items.len(), 5);
        assert!(items.iter().all(|item| matches!(item, Item::Unsafe { kind: Kind::Folder, .. })), "{items:?}");
        let deep = ["a"; 65].join("/");
        let items = read(&records(&[(2, folder_body(deep.as_bytes()))]), 100).expect("a manifest");
        assert!(matches!(items[..], [Item::Unsafe { reason: NameError::TooDeep { components: 65 }, .. }]));
    }

    #[test]
    fn fields_of_later_versions_are_skipped() {
        let mut body = folder_body(b"a");
        write_field(77, b"whatever", &mut body).unwrap();
        let items = read(&records(&[(2, body)]), 1).expect("a manifest");
        assert!(matches!(&items[..], [Item::Entry(entry)] if entry.path.as_str() == "a"));
    }

    #[test]
    fn an_end_that_counts_other_entries_is_an_error() {
        let mut out = Vec::new();
        let writer = RecordWriter::new(FAMILY, &mut out);
        writer.end(&[1, 0, 0], &mut out).unwrap();
        assert_eq!(read(&out, 100), Err(ManifestError::Counts));
    }

    #[test]
    fn a_million_entries_are_taken_and_not_one_more() {
        let mut out = Vec::new();
        let mut writer = ManifestWriter::new(&mut out);
        let name = |number: u64| file(&format!("{number:07}"), 1);
        for number in 0..ENTRIES_MAX {
            writer.entry(&name(number), &mut out).expect("room");
        }
        assert_eq!(writer.entry(&name(ENTRIES_MAX), &mut out), Err(ManifestError::TooMany));
        assert!(out.len() < 12 << 20, "{} bytes: paths share what they have in common", out.len());
    }

    #[test]
    fn no_prefix_and_no_changed_byte_passes_for_the_whole() {
        let (good, _) = written(&[entry("a", Kind::Folder), file("a/b", 300), file("a/c", 5), entry("z", Kind::Open)]);
        assert!(ends(read(&good, 1000)));
        for at in 0..good.len() {
            assert!(!ends(read(&good[..at], 1000)), "ends at {at}");
            for value in 0..=255 {
                let mut bad = good.clone();
                bad[at] = value;
                assert!(!ends(read(&bad, 1000)) || value == good[at], "byte {at} as {value}");
            }
        }
    }

    #[test]
    fn modes_and_times_are_cut_to_their_limits() {
        let odd = Entry { mode: 0o107_777, modified: Modified::new(i64::MAX, u32::MAX), ..file("a", 0) };
        let bytes = odd.to_bytes().expect("bytes");
        let back = Entry::from_bytes(&bytes).expect("an entry");
        assert_eq!(back.mode, 0o777);
        assert_eq!((back.modified.seconds(), back.modified.nanoseconds()), (253_402_300_799, 999_999_999));
        assert_eq!(Modified::new(i64::MIN, 0).seconds(), -62_135_596_800);
        assert_eq!(Entry::from_bytes(&bytes[..bytes.len() - 1]), None);
    }

    fn any_kind() -> impl Strategy<Value = Kind> {
        let target = "[a-c./]{0,9}".prop_map(|text| Target::from_bytes(text.as_bytes()).expect("text"));
        prop_oneof![
            (0_u64..1 << 50).prop_map(|size| Kind::File { size }),
            Just(Kind::Folder),
            target.prop_map(|target| Kind::Link { target })
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_pieces_of_any_length(
            tree in prop::collection::btree_map("[a-c\u{e9}]{1,3}(/[a-c]{1,2}){0,3}", (any_kind(), 0_u32..0o1000, any::<(i64, u32)>()), 0..30),
            open in any::<bool>(),
            piece in 1_usize..200,
        ) {
            let mut out = Vec::new();
            let mut writer = ManifestWriter::new(&mut out);
            let mut items = Vec::new();
            let mut entries: Vec<_> = tree.into_iter().collect();
            entries.sort_by(|(one, _), (other, _)| one.split('/').cmp(other.split('/')));
            for (path, (kind, mode, (seconds, nanoseconds))) in entries {
                let path = SafeName::parse(&path).expect("a good name");
                let entry = Entry { path, kind, mode, modified: Modified::new(seconds, nanoseconds) };
                // Some lie in files.
                if writer.entry(&entry, &mut out).is_ok() {
                    prop_assert_eq!(Entry::from_bytes(&entry.to_bytes().expect("bytes")), Some(entry.clone()));
                    items.push(Item::Entry(entry));
                }
            }
            if open {
                let last = entry("zz", Kind::Open);
                writer.entry(&last, &mut out).expect("an entry that may come last");
                items.push(Item::Entry(last));
            }
            items.push(Item::End(writer.end(&mut out)));
            prop_assert_eq!(read(&out, piece), Ok(items));
        }

        #[test]
        fn no_records_upset_the_reader(
            bodies in prop::collection::vec((1_u64..5, prop::collection::vec(any::<u8>(), 0..40)), 0..10), piece in 1_usize..50,
        ) {
            let _ = read(&records(&bodies), piece);
        }
    }
}
