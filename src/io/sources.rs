//! What a user names, as one byte space: its manifest, and its bytes wherever they are wanted.
//!
//! Folders are walked as the manifest is wanted, so that bytes flow before the last name is known. Nothing follows a link
//! inside a tree (it may be copied as a link), and a file is read only as long as it is the one that was found: same device, inode, size and time of change.

mod anchor;
mod catalogue;
mod exclude;
mod feed;
mod memory;
mod plan;
mod read_ahead;
mod reader;
mod refusal;
mod state;
mod stream;
mod walk;

pub use catalogue::{Described, Found};
pub use exclude::{Exclude, Pattern, PatternError};
pub use feed::{Feed, News};
pub use memory::Memory;
pub use plan::PlanError;
pub use read_ahead::{ReadAhead, Resumption};
pub use reader::{ReadError, Reader};
pub use refusal::{Refusal, RefusalReason};

use self::catalogue::{Catalogue, Shared, lock};
use self::plan::plan;
use self::stream::Stream;
use self::walk::Walk;
use crate::chunker::wanted::Wanted;
use crate::compression::Compression;
use crate::io::store::Store;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Files, folders and standard input that are to be copied.
pub struct Sources {
    catalogue: Shared,
    reader: Reader,
    compression: Compression,
}

/// Standard input, with all that was read of it.
#[derive(Clone)]
pub struct Input(Arc<Stream>);

impl Sources {
    /// Takes what a user named, by the rules of cp: one source gets the name `destination`; several, or one whose destination
    /// ends with `/` or is empty, go beneath it by their own names. `-` is standard input. Nothing is walked yet.
    ///
    /// # Errors
    /// [`PlanError`] when the command as a whole makes no sense. What is wrong with one source is found by
    /// [`Sources::advance`].
    pub fn gather(paths: &[PathBuf], recursive: bool, destination: &str) -> Result<Self, PlanError> {
        Self::gather_with(paths, recursive, destination, Box::new(io::stdin()))
    }

    /// Like [`Sources::gather`], with something else for standard input.
    ///
    /// # Errors
    /// As [`Sources::gather`].
    pub fn gather_with(
        paths: &[PathBuf],
        recursive: bool,
        destination: &str,
        input: Box<dyn Read + Send>,
    ) -> Result<Self, PlanError> {
        let plan = plan(paths, destination)?;
        let stream = plan.stream.as_ref().map(|_| Stream::new(input)).transpose().map_err(PlanError::Spool)?;
        Ok(Self::walking(Walk::new(plan, recursive), stream.map(Arc::new)))
    }

    /// Takes the same once more, with what was kept of standard input and what still comes of it.
    ///
    /// # Errors
    /// As [`Sources::gather`].
    pub fn gather_again(
        paths: &[PathBuf],
        recursive: bool,
        destination: &str,
        input: Option<Input>,
    ) -> Result<Self, PlanError> {
        Ok(Self::walking(Walk::new(plan(paths, destination)?, recursive), input.map(|Input(stream)| stream)))
    }

    /// Standard input, if it is among them, for [`Sources::gather_again`].
    pub fn input(&self) -> Option<Input> {
        lock(&self.catalogue).stream.clone().map(Input)
    }

    /// Takes what somebody else wants of what lies beneath the store's folder. Nothing is looked at yet, and nothing leads out of it:
    /// a link is followed only in the path that was asked for, and only as long as it stays beneath.
    pub fn beneath(store: &Arc<Store>, wanted: Wanted) -> Self {
        Self::walking(Walk::beneath(Arc::clone(store), wanted), None)
    }

    fn walking(walk: Walk, stream: Option<Arc<Stream>>) -> Self {
        let catalogue = Arc::new(Mutex::new(Catalogue::new(walk, stream)));
        let reader = Reader::new(Arc::clone(&catalogue));
        Self { catalogue, reader, compression: Compression::No }
    }

    /// Leaves out of the folders that were named what the patterns match. To be said before anything is walked.
    #[must_use]
    pub fn excluding(self, exclude: Exclude) -> Self {
        lock(&self.catalogue).exclude(exclude);
        self
    }

    /// Copies links inside a tree as links, where they stay inside it. To be said before anything is walked.
    #[must_use]
    pub fn with_links(self) -> Self {
        lock(&self.catalogue).copy_links();
        self
    }

    /// Lets blocks of what is read ahead be compressed.
    #[must_use]
    pub fn compressing(self, compression: Compression) -> Self {
        Self { compression, ..self }
    }

    /// Walks on to the next entry, or to the next that is none. `None` after [`Found::End`].
    ///
    /// # Errors
    /// When our own table cannot be kept, since the temporary folder is full.
    pub fn advance(&mut self) -> io::Result<Option<Found>> {
        lock(&self.catalogue).advance()
    }

    /// How many bytes of the manifest are known.
    pub fn manifest_length(&self) -> u64 {
        lock(&self.catalogue).manifest.length()
    }

    /// Reads the manifest's bytes from `offset` on; gives how many there are, fewer than asked for at the end of what is known.
    ///
    /// # Errors
    /// When our own copy cannot be read.
    pub fn manifest_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        lock(&self.catalogue).manifest.read_at(offset, out)
    }

    /// Reads bytes of the byte space, across the borders of files; gives how many there are, fewer than asked for at the end
    /// of what is known.
    ///
    /// # Errors
    /// [`ReadError`] names the file that cannot be read or changed.
    pub fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<usize, ReadError> {
        self.reader.read_at(offset, out)
    }

    /// Hands everything to a thread that reads ahead; `wake` is called when there is more to see. With `sha256`, each file gets
    /// that digest as well, which takes more time than reading.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn read_ahead(self, sha256: bool, wake: impl Fn() + Send + Sync + 'static) -> io::Result<ReadAhead> {
        self.resume(sha256, Resumption::default(), wake)
    }

    /// The same, going on with what an earlier session sent.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn resume(
        self,
        sha256: bool,
        resumption: Resumption,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<ReadAhead> {
        ReadAhead::start(self.catalogue, self.reader, (sha256, resumption, self.compression), Box::new(wake))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunker::digests::FileDigest;
    use crate::chunker::manifest::{Item, Kind, ManifestReader, Summary};
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use sha2::Digest as _;
    use std::collections::BTreeMap;
    use std::ffi::OsStr;
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;
    use tempfile::TempDir;

    /// A folder with these files in it; a name that ends with a slash is a folder.
    fn folder(files: &[(&str, &[u8])]) -> TempDir {
        let root = TempDir::new().expect("a folder");
        for (name, content) in files {
            let path = root.path().join(name);
            if name.ends_with('/') {
                fs::create_dir_all(path).expect("a folder");
            } else {
                fs::create_dir_all(path.parent().expect("a parent")).expect("its folder");
                fs::write(path, content).expect("a file");
            }
        }
        root
    }

    /// Names with their sizes, folders with a slash behind; what was refused, in words.
    type Walked = (Vec<(String, Option<u64>)>, Vec<String>);

    fn walked(sources: &mut Sources) -> Walked {
        let (mut entries, mut refused) = (Vec::new(), Vec::new());
        while let Some(found) = sources.advance().expect("a table") {
            match found {
                Found::Entry { number, entry } => {
                    assert_eq!(number as usize, entries.len());
                    entries.push(match entry.kind {
                        Kind::File { size } => (entry.path.to_string(), Some(size)),
                        Kind::Folder => (format!("{}/", entry.path), None),
                        Kind::Open => (entry.path.to_string(), None),
                        Kind::Link { target } => (format!("{} -> {target}", entry.path), None),
                    });
                }
                Found::Refused(refusal) => refused.push(refusal.to_string()),
                Found::End(_) => {}
            }
        }
        (entries, refused)
    }

    fn gather(paths: &[PathBuf], destination: &str) -> Sources {
        Sources::gather_with(paths, true, destination, Box::new(io::empty())).expect("sources")
    }

    fn names(entries: &[(String, Option<u64>)]) -> Vec<&str> {
        entries.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn names_follow_the_rules_of_cp() {
        let root = folder(&[("a", b"1"), ("b", b"2"), ("dir/x", b"3"), ("dir/sub/", b"")]);
        let at = |name: &str| root.path().join(name);
        for (sources, destination, expected) in [
            (&["a"][..], "", &["a"][..]),
            (&["a"], ".", &["a"]),
            (&["a"], "./", &["a"]),
            (&["a"], "new", &["new"]),
            (&["a"], "deep/new", &["deep/new"]),
            (&["a"], "folder/", &["folder/a"]),
            (&["a"], "./folder//", &["folder/a"]),
            (&["b", "a"], "folder", &["folder/a", "folder/b"]),
            (&["b", "a"], "", &["a", "b"]),
            (&["dir"], "", &["dir/", "dir/sub/", "dir/x"]),
            (&["dir/"], "to/", &["to/dir/", "to/dir/sub/", "to/dir/x"]),
            (&["dir"], "new", &["new/", "new/sub/", "new/x"]),
            (&["dir/."], "", &["sub/", "x"]),
            (&["dir/sub/.."], "to/", &["to/sub/", "to/x"]),
            (&["dir/.", "b"], "", &["b", "sub/", "x"]),
            (&["dir/."], "new", &["new/", "new/sub/", "new/x"]),
        ] {
            let sources: Vec<_> = sources.iter().map(|name| at(name)).collect();
            let (entries, refused) = walked(&mut gather(&sources, destination));
            assert_eq!(names(&entries), expected, "{sources:?} {destination}");
            assert!(refused.is_empty(), "{refused:?}");
        }
    }

    #[test]
    fn a_command_that_makes_no_sense_is_an_error() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let says = |names: &[&str], destination: &str| {
            let gathered = Sources::gather_with(&paths(names), false, destination, Box::new(io::empty()));
            gathered.err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(says(&[], "x").contains("nothing to copy"));
        assert!(says(&["-", "-"], "x").contains("once"));
        assert!(says(&["-"], "").contains("no name of its own"));
        assert!(says(&["-"], "folder/").contains("no name of its own"));
        assert!(says(&["-", "a"], "x").contains("no name of its own"));
        assert!(says(&["a"], "../x").contains("the destination cannot be used"));
        assert!(says(&["a"], "/x").contains("the destination cannot be used"));
        assert!(says(&["-"], "x").is_empty());
    }

    #[test]
    fn what_cannot_be_copied_is_told_and_the_rest_is_copied() {
        let root = folder(&[
            ("t/good", b"1"),
            ("t/con", b"2"),
            ("t/.homing-0000000000000001.part", b"3"),
            ("t/a\u{1}b", b"4"),
            ("t/sub/fine", b"5"),
            ("t/a\\b/lost", b"6"),
            ("elsewhere/secret", b"7"),
        ]);
        let at = |name: &str| root.path().join(name);
        let odd = OsStr::from_bytes(b"odd\xff");
        fs::write(at("t").join(odd), b"8").expect("a file");
        symlink(at("elsewhere"), at("t/link")).expect("a link");
        symlink("good", at("t/sub/link")).expect("a link");
        mknodat(CWD, at("t/pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a pipe");
        let (entries, mut refused) = walked(&mut gather(&[at("t"), at("missing")], ""));
        assert_eq!(names(&entries), ["t/", "t/good", "t/sub/", "t/sub/fine"]);
        refused.sort();
        let expected = [
            ("missing", "cannot be read (No such file"),
            (".part", "cannot be copied under its name"),
            ("a\\b", "cannot be copied under its name"),
            ("a\\u{1}b", "cannot be copied under its name"),
            ("con", "cannot be copied under its name"),
            ("link", "is a link"),
            ("odd\u{fffd}", "has a name that is not UTF-8"),
            ("pipe", "is a pipe"),
            ("sub/link", "is a link"),
        ];
        assert_eq!(refused.len(), expected.len(), "{refused:#?}");
        for (name, reason) in expected {
            assert!(refused.iter().any(|said| said.contains(name) && said.contains(reason)), "{name}: {refused:#?}");
        }
    }

    #[test]
    fn what_is_named_is_followed_and_a_folder_must_be_meant() {
        let root = folder(&[("dir/x", b"1"), ("file", b"22")]);
        let at = |name: &str| root.path().join(name);
        symlink("file", at("to_file")).expect("a link");
        symlink("dir", at("to_dir")).expect("a link");
        let (entries, refused) = walked(&mut gather(&[at("to_file"), at("to_dir")], ""));
        let expected =
            [("to_dir/".to_owned(), None), ("to_dir/x".to_owned(), Some(1)), ("to_file".to_owned(), Some(2))];
        assert_eq!((entries, refused.len()), (expected.to_vec(), 0));
        let mut flat =
            Sources::gather_with(&[at("dir"), at("dir/."), at("file")], false, "", Box::new(io::empty())).unwrap();
        let (entries, refused) = walked(&mut flat);
        assert_eq!(names(&entries), ["file"]);
        assert!(
            refused.len() == 2 && refused.iter().all(|said| said.ends_with("is a folder; copy it with -r")),
            "{refused:?}"
        );
    }

    #[test]
    fn links_inside_go_as_links_if_that_is_asked_for_and_they_stay_inside() {
        let root = folder(&[("t/a", b"1"), ("t/sub/x", b"2"), ("secret", b"3")]);
        let at = |name: &str| root.path().join(name);
        for (target, name) in [
            ("a", "t/good"),
            ("../a", "t/sub/up"),
            ("sub", "t/folder"),
            ("nowhere", "t/dangling"),
            ("../secret", "t/out"),
            ("sub/../../secret", "t/detour"),
            ("/etc/passwd", "t/absolute"),
        ] {
            symlink(target, at(name)).expect("a link");
        }
        symlink(OsStr::from_bytes(b"odd\xff"), at("t/odd")).expect("a link");
        let links = ["dangling -> nowhere", "folder -> sub", "good -> a", "sub/up -> ../a"];
        let told = |mut refused: Vec<String>| {
            refused.sort();
            let words = ["begins with `/`", "down and up again", "not UTF-8", "out of what is copied"];
            assert_eq!(refused.len(), words.len(), "{refused:#?}");
            words
                .iter()
                .for_each(|word| assert!(refused.iter().any(|said| said.contains(word)), "{word}: {refused:#?}"));
        };
        // Under its own name, another one, and none.
        for (source, destination, base) in
            [("t", "", "t/"), ("t", "to/x", "to/x/"), ("t/.", "", ""), ("t/.", "to/", "to/")]
        {
            let (entries, refused) = walked(&mut gather(&[at(source)], destination).with_links());
            let found: Vec<_> = names(&entries).into_iter().filter(|name| name.contains("->")).collect();
            let expected: Vec<_> = links.iter().map(|link| format!("{base}{link}")).collect();
            assert_eq!(found, expected, "{source} {destination}");
            assert!(names(&entries).contains(&&*format!("{base}sub/x")) && entries.len() >= 7, "{entries:?}");
            told(refused);
        }
        // What is left out is not told of either; a link is no folder.
        let exclude = ["out", "odd", "detour", "absolute", "folder/", "a"].map(|text| text.parse().expect("a pattern"));
        let sources = gather(&[at("t/.")], "").with_links().excluding(Exclude::new(exclude.into()));
        let (entries, refused) = walked(&mut { sources });
        assert_eq!(names(&entries), [&links[..3], &["sub/", "sub/up -> ../a", "sub/x"]].concat());
        assert!(refused.is_empty(), "{refused:?}");
        // What is named is followed, and what leads out of it then does not come.
        let (entries, refused) = walked(&mut gather(&[at("t/folder"), at("t/good")], "").with_links());
        assert_eq!(names(&entries), ["folder/", "folder/x", "good"]);
        assert!(refused.len() == 1 && refused[0].contains("out of what is copied"), "{refused:?}");
    }

    #[test]
    fn two_sources_never_get_one_name() {
        let root = folder(&[("one/a", b"1"), ("two/a", b"2"), ("two/b", b"3")]);
        let at = |name: &str| root.path().join(name);
        let (entries, refused) = walked(&mut gather(&[at("one/a"), at("two/a"), at("two/b")], ""));
        assert_eq!(names(&entries), ["a", "b"]);
        assert!(refused.len() == 1 && refused[0].contains("would get the name of another source"), "{refused:?}");
    }

    #[test]
    fn a_file_of_proc_is_told_from_an_empty_one() {
        let root = folder(&[("empty", b"")]);
        let (entries, refused) = walked(&mut gather(&[root.path().join("empty"), "/proc/version".into()], ""));
        assert_eq!(names(&entries), ["empty"]);
        assert!(refused[0].contains("says that it is empty, and is not"), "{refused:?}");
    }

    #[test]
    fn the_manifest_is_in_order_whatever_the_names() {
        let root =
            folder(&[("t/a/x", b""), ("t/a-b", b""), ("t/a b/y", b""), ("t/ab", b""), ("t/a.b/z", b""), ("t/A", b"")]);
        let mut sources = gather(&[root.path().join("t")], "");
        let (entries, refused) = walked(&mut sources);
        assert!(refused.is_empty(), "{refused:?}");
        let mut manifest = vec![0; 4096];
        let length = sources.manifest_at(0, &mut manifest).expect("a manifest");
        assert_eq!(length as u64, sources.manifest_length());
        let (mut reader, mut input) = (ManifestReader::new(), &manifest[..length]);
        for (name, _) in entries {
            let item = reader.next(&mut input).expect("an item");
            assert!(matches!(item, Some(Item::Entry(entry)) if entry.path.as_str() == name.trim_end_matches('/')));
        }
        let summary = Summary { files: 6, folders: 4, ..Summary::default() };
        assert_eq!(reader.next(&mut input), Ok(Some(Item::End(summary))));
    }

    #[test]
    fn bytes_are_read_across_files_wherever_they_are_wanted() {
        let large: Vec<u8> = (0..10_000_u32).map(|byte| byte as u8).collect();
        let mut files: Vec<(String, Vec<u8>)> =
            (0..200_u8).map(|number| (format!("t/{number:03}"), vec![number; 3])).collect();
        files.insert(100, ("t/099z".to_owned(), large));
        let borrowed: Vec<_> = files.iter().map(|(name, content)| (name.as_str(), &content[..])).collect();
        let root = folder(&borrowed);
        let mut sources = gather(&[root.path().join("t")], "");
        walked(&mut sources);
        let whole: Vec<u8> = files.iter().flat_map(|(_, content)| content).copied().collect();
        for (start, length) in
            [(0, whole.len()), (299, 10_010), (7, 0), (whole.len() - 1, 5), (whole.len(), 5), (1 << 40, 5)]
        {
            let mut out = vec![0; length];
            let count = sources.read_at(start as u64, &mut out).expect("bytes");
            let end = (start + length).min(whole.len()).max(start.min(whole.len()));
            assert_eq!(out[..count], whole[start.min(whole.len())..end], "{start} {length}");
        }
    }

    #[test]
    fn a_source_that_changes_is_named() {
        let change: [fn(&Path); 5] = [
            |path| fs::write(path, b"longer than before").expect("a file"),
            |path| fs::write(path, b"short").expect("a file"),
            |path| {
                fs::write(path, b"CONTENT").expect("a file");
                let file = fs::OpenOptions::new().write(true).open(path).expect("the file");
                file.set_modified(std::time::UNIX_EPOCH).expect("a time");
            },
            |path| {
                let other = path.with_extension("other");
                fs::write(&other, b"another").expect("a file");
                fs::rename(other, path).expect("its name");
            },
            |path| {
                fs::rename(path, path.with_extension("old")).expect("another name");
                symlink("f.old", path).expect("a link");
            },
        ];
        for (number, change) in change.iter().enumerate() {
            for opened in [false, true] {
                let root = folder(&[("t/f", b"content")]);
                let mut sources = gather(&[root.path().join("t")], "");
                walked(&mut sources);
                let mut out = [0; 7];
                if opened {
                    sources.read_at(0, &mut out).expect("it is unchanged yet");
                }
                change(&root.path().join("t/f"));
                let read = sources.read_at(0, &mut out);
                match read {
                    // The old file is open, and nobody wrote to it.
                    Ok(7) if opened && number >= 3 => assert_eq!(&out, b"content"),
                    // A link is not even opened.
                    Err(error @ (ReadError::Changed { .. } | ReadError::Read { .. })) => {
                        assert!(error.to_string().contains("/t/f"), "{error}");
                    }
                    read => panic!("{number} {opened}: {read:?}"),
                }
            }
        }
    }

    /// Takes everything from a reader: the bytes, and each file's digest.
    fn drain(ahead: &mut ReadAhead, woken: &Receiver<()>, piece: usize) -> (Vec<u8>, BTreeMap<u32, FileDigest>) {
        let (mut bytes, mut digests) = (Vec::new(), BTreeMap::new());
        let mut at = 0;
        loop {
            while ahead.poll_found().is_some() {}
            while let Some((entry, digest)) = ahead.poll_digest() {
                digests.insert(entry, digest);
            }
            if let Some(range) = ahead.sendable(at) {
                let mut out = vec![0; piece.min((range.end - range.start) as usize)];
                let count = ahead.read_at(range.start, &mut out).expect("bytes");
                assert!(count > 0);
                bytes.extend_from_slice(&out[..count]);
                at = range.start + count as u64;
            } else if ahead.end().is_some_and(|end| at >= end || ahead.sendable(at).is_none()) {
                digests.extend(std::iter::from_fn(|| ahead.poll_digest()));
                return (bytes, digests);
            } else {
                woken.recv_timeout(Duration::from_secs(20)).expect("it goes on");
            }
            assert!(ahead.failure().is_none());
        }
    }

    fn start(sources: Sources, sha256: bool) -> (ReadAhead, Receiver<()>) {
        let (wake, woken) = channel();
        let ahead = sources.read_ahead(sha256, move || wake.send(()).unwrap_or_default()).expect("a thread");
        (ahead, woken)
    }

    #[test]
    fn what_is_read_ahead_is_all_of_it_with_its_digests() {
        let large: Vec<u8> = (0..5_000_000_u32).map(|number| (number >> 7) as u8).collect();
        let files: [(&str, &[u8]); 5] =
            [("t/a", b"one"), ("t/b/c", &large), ("t/b/d", b""), ("t/e/", b""), ("t/f", b"two")];
        let root = folder(&files);
        for sha256 in [false, true] {
            let (mut ahead, woken) = start(gather(&[root.path().join("t")], ""), sha256);
            let (bytes, digests) = drain(&mut ahead, &woken, 70_000);
            assert!(bytes == [b"one", &large[..], b"two"].concat());
            let expected = [(1, &b"one"[..]), (3, &large), (4, b""), (6, b"two")].map(|(entry, content)| {
                let sha256 = sha256.then(|| sha2::Sha256::digest(content).into());
                (entry, FileDigest::Read { size: content.len() as u64, blake3: blake3::hash(content).into(), sha256 })
            });
            assert_eq!(digests.into_iter().collect::<Vec<_>>(), expected);
            let mut lost = [0; 5];
            assert_eq!(ahead.read_at(1, &mut lost).expect("bytes that were lost"), 5);
            assert_eq!(lost[..2], *b"ne");
        }
    }

    #[test]
    fn it_reads_no_further_ahead_than_its_ring_and_reads_lost_bytes_again() {
        let large: Vec<u8> = (0..24 << 20).map(|number: u32| (number >> 9) as u8).collect();
        let root = folder(&[("large", &large)]);
        let (mut ahead, woken) = start(gather(&[root.path().join("large")], ""), false);
        while ahead.sendable(0).is_none_or(|range| range.end < 16 << 20) {
            woken.recv_timeout(Duration::from_secs(20)).expect("it goes on");
        }
        // A word of what is there may be late; more is not there.
        while woken.recv_timeout(Duration::from_millis(50)).is_ok() {}
        assert_eq!(ahead.sendable(0), Some(0..16 << 20));
        let (bytes, digests) = drain(&mut ahead, &woken, 1 << 20);
        assert!(bytes == large);
        assert_eq!(digests.len(), 1);
        let mut lost = [0; 1000];
        assert_eq!(ahead.read_at(777, &mut lost).expect("bytes that were lost"), 1000);
        assert!(lost == large[777..1777]);
        fs::write(root.path().join("large"), b"").expect("the file");
        assert!(ahead.read_at(777, &mut lost).is_err());
    }

    #[test]
    fn dropped_in_the_middle_it_stops() {
        let root = folder(&[("large", &vec![0; 24 << 20])]);
        let (ahead, woken) = start(gather(&[root.path().join("large")], ""), false);
        woken.recv_timeout(Duration::from_secs(20)).expect("a block");
        drop(ahead);
        while woken.recv().is_ok() {}
    }

    #[test]
    fn what_nobody_wants_is_not_read_and_what_cannot_be_read_is_withdrawn() {
        let large = vec![7; 20 << 20];
        let root = folder(&[("t/1", &large), ("t/2", b"two"), ("t/3", b"three"), ("t/4", b"four")]);
        let (mut ahead, woken) = start(gather(&[root.path().join("t")], ""), false);
        // It waits within the first file; the others are not read yet.
        while ahead.sendable(0).is_none_or(|range| range.end < 16 << 20) {
            woken.recv_timeout(Duration::from_secs(20)).expect("it goes on");
        }
        ahead.skip(2);
        fs::write(root.path().join("t/3"), b"THREE!").expect("a file");
        let (bytes, digests) = drain(&mut ahead, &woken, 1 << 20);
        assert!(bytes == [&large[..], b"four"].concat());
        assert_eq!(digests.get(&2), Some(&FileDigest::Skipped));
        assert_eq!(digests.get(&3), Some(&FileDigest::Withdrawn { reason: "it changed while it was read".into() }));
        assert!(matches!(digests.get(&4), Some(FileDigest::Read { size: 4, .. })));

        let (mut ahead, woken) = start(gather(&[root.path().join("t")], ""), false);
        while ahead.sendable(0).is_none_or(|range| range.end < 16 << 20) {
            woken.recv_timeout(Duration::from_secs(20)).expect("it goes on");
        }
        ahead.skip(1);
        let (bytes, digests) = drain(&mut ahead, &woken, 1 << 20);
        assert_eq!(bytes, b"twoTHREE!four");
        assert_eq!(digests.get(&1), Some(&FileDigest::Skipped), "it was read in part");
    }

    #[test]
    fn a_stream_is_read_as_it_comes_and_can_be_read_again() {
        let content: Vec<u8> = (0..20 << 20).map(|number: u32| (number >> 6) as u8).collect();
        let input = Box::new(io::Cursor::new(content.clone()));
        let sources = Sources::gather_with(&["-".into()], false, "name", input).expect("sources");
        let (mut ahead, woken) = start(sources, false);
        let (bytes, digests) = drain(&mut ahead, &woken, 100_000);
        assert!(bytes == content);
        let expected = FileDigest::Read { size: 20 << 20, blake3: blake3::hash(&content).into(), sha256: None };
        assert_eq!(digests.get(&0), Some(&expected));
        assert_eq!(ahead.end(), Some(20 << 20));
        let mut lost = [0; 1000];
        assert_eq!(ahead.read_at(3, &mut lost).expect("bytes that were lost"), 1000);
        assert!(lost == content[3..1003]);
    }

    #[test]
    fn a_stream_that_nobody_wants_is_not_waited_for() {
        for words in ["", "a little"] {
            let (input, mut pipe) = io::pipe().expect("a pipe");
            let sources = Sources::gather_with(&["-".into()], false, "name", Box::new(input)).expect("sources");
            let (mut ahead, woken) = start(sources, false);
            pipe.write_all(words.as_bytes()).expect("a pipe has room");
            while ahead.ready() < words.len() as u64 {
                woken.recv_timeout(Duration::from_secs(20)).expect("it is read");
            }
            ahead.skip(0);
            let (bytes, digests) = drain(&mut ahead, &woken, 1000);
            assert_eq!((bytes, digests.get(&0)), (Vec::new(), Some(&FileDigest::Skipped)), "{words:?}");
        }
    }

    #[test]
    fn names_are_found_also_while_nobody_takes_bytes() {
        let root = folder(&[("t/a", &vec![0; 24 << 20])]);
        (0..2000).for_each(|number| fs::write(root.path().join(format!("t/b{number}")), b"").expect("a file"));
        let (mut ahead, woken) = start(gather(&[root.path().join("t")], ""), false);
        loop {
            match ahead.poll_found() {
                Some(Found::End(summary)) => return assert_eq!(summary.files, 2001),
                Some(_) => {}
                None => woken.recv_timeout(Duration::from_secs(20)).expect("it goes on"),
            }
        }
    }

    #[test]
    fn holes_are_told_of_and_neither_read_nor_sent() {
        use crate::chunker::groups::GROUP;
        use crate::chunker::request::Earlier;
        use std::os::unix::fs::FileExt as _;
        let root = folder(&[("small", b"1")]);
        let path = root.path().join("t");
        fs::write(&path, b"").expect("a file");
        let file = fs::OpenOptions::new().write(true).open(&path).expect("our file");
        let size = 300 * GROUP + 5;
        file.set_len(size).expect("our file");
        file.write_all_at(&[7; 3], 100 * GROUP + 1000).expect("our file");
        file.write_all_at(&[8; 10], 200 * GROUP - 5).expect("our file");
        for sha256 in [false, true] {
            let (wake, woken) = channel();
            let resumption = Resumption { earlier: Earlier::Used, memory: None, ..Resumption::default() };
            let sources = gather(&[root.path().join("small"), path.clone()], "");
            let mut ahead =
                sources.resume(sha256, resumption, move || wake.send(()).unwrap_or_default()).expect("a thread");
            let (bytes, digests) = drain(&mut ahead, &woken, 1 << 20);
            assert_eq!(bytes.len() as u64, 1 + 3 * GROUP, "three groups have something in them");
            let holes: Vec<_> = std::iter::from_fn(|| ahead.poll_hole()).collect();
            let covered: crate::ranges::RangeSet = holes.iter().map(|hole| hole.groups.clone()).collect();
            assert_eq!(covered.iter().collect::<Vec<_>>(), [0..100, 101..199, 201..301]);
            let content = fs::read(&path).expect("our file");
            let expected = sha256.then(|| sha2::Sha256::digest(&content).into());
            let expected = FileDigest::Read { size, blake3: blake3::hash(&content).into(), sha256: expected };
            assert_eq!(digests[&1], expected);
        }
        // Who gives to others, and whose receiver says nothing of groups, sends everything.
        let (mut ahead, woken) = start(gather(&[path], ""), false);
        assert_eq!(drain(&mut ahead, &woken, 1 << 20).0.len() as u64, size);
        assert_eq!(ahead.poll_hole(), None);
    }

    #[test]
    fn files_that_may_not_be_read_are_refused_when_they_are_found() {
        if rustix::process::geteuid().is_root() {
            println!("skipped: root may read everything");
            return;
        }
        let root = folder(&[("t/f", b"secret"), ("t/g", b"open")]);
        fs::set_permissions(root.path().join("t/f"), fs::Permissions::from_mode(0o000)).expect("a mode");
        let (entries, refused) = walked(&mut gather(&[root.path().join("t")], ""));
        assert_eq!(names(&entries), ["t/", "t/g"]);
        assert!(refused[0].contains("cannot be read (Permission denied"), "{refused:?}");
    }

    #[test]
    fn a_tree_goes_through_both_ends_and_is_the_same() {
        use crate::chunker::digests::DigestWriter;
        use crate::chunker::request::{Attributes, Existing};
        use crate::io::store::tree::{Event, Tree};
        use crate::io::store::{Policy, Store};
        let large: Vec<u8> = (0..3_000_000_u32).map(|number| (number >> 5) as u8).collect();
        let mut files: Vec<(String, Vec<u8>)> =
            (0..300).map(|number| (format!("t/s/{number}"), vec![7; number])).collect();
        files.push(("t/large".into(), large));
        let borrowed: Vec<_> = files.iter().map(|(name, content)| (name.as_str(), &content[..])).collect();
        let root = folder(&borrowed);
        fs::create_dir(root.path().join("t/empty")).expect("a folder");
        let (mut ahead, woken) = start(gather(&[root.path().join("t")], "to/"), false);
        let (bytes, read) = drain(&mut ahead, &woken, 1 << 20);

        let there = TempDir::new().expect("a folder");
        let policy = Policy { sync: false, ..Policy::default() };
        let store = Arc::new(Store::open(there.path(), policy).expect("a store"));
        let mut tree = Tree::open(&store, Existing::Keep);
        tree.give(Attributes::Kept);
        let mut manifest = vec![0; ahead.manifest_length() as usize];
        ahead.manifest_at(0, &mut manifest).expect("a manifest");
        tree.handle_manifest(&manifest).expect("a manifest");
        let pieces: Vec<_> =
            bytes.chunks(1200).enumerate().map(|(number, piece)| (number as u64 * 1200, piece)).collect();
        for (first, second) in pieces.iter().step_by(2).zip(pieces.iter().skip(1).step_by(2)) {
            tree.handle_bytes(&[*second, *first]).expect("bytes");
        }
        tree.handle_bytes(&pieces[pieces.len() - 1..]).expect("bytes");
        let mut digests = Vec::new();
        let mut writer = DigestWriter::new(&mut digests);
        for digest in read.values() {
            writer.file(digest, &mut digests).expect("a digest");
        }
        writer.end(&mut digests).expect("an end");
        tree.handle_digests(&mut &digests[..]).expect("digests");
        let last = std::iter::from_fn(|| tree.poll_event()).last();
        assert!(
            matches!(&last, Some(Event::Done(outcome)) if outcome.placed == 301 && outcome.failed == 0),
            "{last:?}"
        );
        for (name, content) in &files {
            let (here, there) = (root.path().join(name), there.path().join("to").join(name));
            assert!(fs::read(&there).expect("the file") == *content, "{name}");
            let modified = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).expect("a time");
            assert_eq!(modified(&here), modified(&there), "{name}");
        }
        assert!(there.path().join("to/t/empty").is_dir());
    }
}
