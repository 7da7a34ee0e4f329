//! A whole tree on its way in: one byte space of many files, written in any order, each verified before it has its name.
//!
//! Every file grows under a temporary name in its final folder. When all its bytes are there and the sender's digest is the
//! same as ours, it waits in a batch; a batch is made durable, then its files get their names, then the names are made
//! durable, and only then is anybody told. A tree that is dropped leaves the files that were placed, and the folders.
//!
//! Memory does not grow with the tree, but for 9 bytes an entry; descriptors do not grow at all. So files that are complete
//! are closed, and one locked file guards them all (see `guard`).

mod admission;
mod comparing;
mod durability;
mod earlier;
mod event;
mod files;
mod folders;
mod growing;
mod guard;
mod holes;
mod judging;
mod links;
mod partials;
mod publishing;
mod receipts;
mod resuming;
mod roster;
mod slices;
mod space;
mod standing;

pub use event::{Event, Outcome, TreeError, Untaken};
pub(super) use partials::{Claim, JOURNAL_SUFFIX, PARTIAL_SUFFIX};
pub(super) use receipts::RECEIPTS_SUFFIX;
pub use resuming::{Groups, Peer};

use self::{
    comparing::Comparison,
    files::Files,
    holes::Holes,
    publishing::Verified,
    resuming::Offers,
    roster::{Digests, State},
    slices::cut,
};
use super::{
    Store,
    error::{Cause, ErrorKind, StoreError},
};
use crate::chunker::digests::{DigestReader, FileDigest};
use crate::chunker::layout::Piece;
use crate::chunker::manifest::{Entry, Item, Kind, ManifestReader};
use crate::chunker::request::Existing;
use crate::ranges::RangeSet;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// A transfer's files on their way in. Dropped, what is not placed is gone.
pub struct Tree {
    manifest: Stream<ManifestReader>,
    digests: Stream<DigestReader>,
    files: Files,
    received: RangeSet,
    offers: Offers,
    holes: Holes,
    comparison: Comparison,
    /// Files that were there already, and their bytes.
    there: (u64, u64),
    /// The entry that the next digest is of, unless it has none.
    next_digest: u32,
    /// Files that may still be placed.
    undecided: u64,
    outcome: Outcome,
    is_done: bool,
    events: VecDeque<Event>,
}

struct Stream<R> {
    reader: R,
    ended: bool,
}

impl Tree {
    /// Receives into `store`; nothing is made yet.
    pub fn open(store: &Arc<Store>, existing: Existing) -> Tree {
        Tree {
            manifest: Stream { reader: ManifestReader::new(), ended: false },
            digests: Stream { reader: DigestReader::new(), ended: false },
            files: Files::new(store, existing),
            received: RangeSet::new(),
            offers: Offers::default(),
            holes: Holes::default(),
            comparison: Comparison::default(),
            there: (0, 0),
            next_digest: 0,
            undecided: 0,
            outcome: Outcome::default(),
            is_done: false,
            events: VecDeque::new(),
        }
    }

    /// The next bytes of the manifest came. Each entry makes an event.
    ///
    /// # Errors
    /// [`TreeError`] when the manifest is wrong: nothing more can come of it.
    pub fn handle_manifest(&mut self, mut bytes: &[u8]) -> Result<(), TreeError> {
        while self.take_item(&mut bytes)? {}
        self.end_if_decided();
        Ok(())
    }

    /// The next bytes of the manifest came, or of the digests, which follow it in one stream.
    ///
    /// # Errors
    /// [`TreeError`] when one of them is wrong.
    pub fn handle_listing(&mut self, mut bytes: &[u8]) -> Result<(), TreeError> {
        while !self.manifest.ended && self.take_item(&mut bytes)? {}
        if self.manifest.ended { self.handle_digests(&mut bytes) } else { Ok(()) }
    }

    /// The next bytes of the digests came. Those of files that the manifest has not named yet are left in `bytes`.
    ///
    /// # Errors
    /// [`TreeError`] when the digests are wrong: nothing more can come of them.
    pub fn handle_digests(&mut self, bytes: &mut &[u8]) -> Result<(), TreeError> {
        loop {
            let next = self.files.roster.file_from(self.next_digest);
            // A million folders are not looked through for every byte that comes.
            self.next_digest = next.unwrap_or(self.files.roster.count());
            if next.is_none() && !self.manifest.ended {
                return Ok(());
            }
            let digest = self.digests.reader.next(bytes)?;
            while let Some(kept) = self.digests.reader.poll_kept() {
                self.keep(&kept);
            }
            while let Some(hole) = self.digests.reader.poll_hole() {
                self.note_hole(&hole);
            }
            let Some(digest) = digest else { break };
            let Some(entry) = next else { return Err(TreeError::TooManyDigests) };
            self.next_digest = entry.saturating_add(1);
            if let FileDigest::Read { size, blake3, .. } = &digest {
                if self.is_same(entry, *size, blake3) {
                    self.stay(entry);
                    continue;
                }
                self.close_offer(entry);
            }
            self.judge(entry, digest)?;
        }
        if self.digests.reader.is_at_end() {
            if let Some(file) = self.files.roster.file_from(self.next_digest) {
                return Err(TreeError::MissingDigests { entry: file });
            }
            self.digests.ended = true;
        }
        self.end_if_decided();
        Ok(())
    }

    /// Bytes came: each slice with its offset in the byte space. Slices that follow each other are written in one go. Gives how
    /// many bytes were new; those that came before are not written again, and those of entries that were refused are dropped.
    ///
    /// What goes wrong with a file is an event, and the others go on.
    ///
    /// # Errors
    /// [`Untaken`] when the tree cannot take them, or not now; what stood before them may be taken.
    pub fn handle_bytes(&mut self, pieces: &[(u64, &[u8])]) -> Result<u64, Untaken> {
        let mut taken = 0;
        let mut rest = pieces;
        while let Some((start, _)) = rest.first() {
            let mut end = *start;
            let follows = |(at, bytes): &&(u64, &[u8])| {
                let fits = *at == end;
                end = if fits { end.saturating_add(bytes.len() as u64) } else { end };
                fits
            };
            let (run, later) = rest.split_at(rest.iter().take_while(follows).count());
            let slices: Vec<&[u8]> = run.iter().map(|(_, bytes)| *bytes).collect();
            taken += self.take_run(*start..end, &slices)?;
            rest = later;
        }
        self.end_if_decided();
        Ok(taken)
    }

    /// What became of the entries, one after the other. Of many that fail at once only the first are told; the outcome has all.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Publishes what is verified, also if it is little: to be called when nothing comes for a while.
    pub fn settle(&mut self) {
        for (file, result) in self.files.publish() {
            let Verified { entry, bytes, digests: Digests { blake3, sha256, .. } } = file;
            match result {
                Ok(replaced) => {
                    self.undecided = self.undecided.saturating_sub(1);
                    self.outcome.placed += 1;
                    self.events.push_back(Event::Placed { entry, bytes, blake3, sha256, replaced });
                }
                Err(error) => self.fail(entry, error),
            }
        }
    }

    fn take_item(&mut self, bytes: &mut &[u8]) -> Result<bool, TreeError> {
        match self.manifest.reader.next(bytes)? {
            None => return Ok(false),
            Some(Item::Entry(entry)) => self.take_in(&entry)?,
            Some(Item::Unsafe { reason, kind }) => {
                let number = self.files.roster.push(None, &kind, refused(&kind))?;
                self.refuse(number, StoreError { file: format!("entry {number}"), cause: Cause::Unsafe(reason) });
            }
            Some(Item::End(_)) => {
                self.manifest.ended = true;
                self.files.release_receipts(false);
            }
        }
        Ok(true)
    }

    fn take_in(&mut self, entry: &Entry) -> Result<(), TreeError> {
        match self.files.admit(entry) {
            Ok((State::There, _)) => {
                let number = self.files.roster.push(Some(entry), &entry.kind, State::There)?;
                self.on_there(number);
                self.events.push_back(Event::There { entry: number });
            }
            Ok((state, replaces)) => {
                let number = self.files.roster.push(Some(entry), &entry.kind, state)?;
                self.undecided += u64::from(matches!(state, State::Waiting | State::Alike));
                if state == State::Alike {
                    self.queue_comparison(number);
                }
                self.events.push_back(Event::Accepted { entry: number, replaces });
                if resuming::is_resumed(&entry.kind) {
                    self.offer(number);
                }
            }
            Err(error) => {
                let number = self.files.roster.push(Some(entry), &entry.kind, refused(&entry.kind))?;
                self.refuse(number, error);
            }
        }
        Ok(())
    }

    fn refuse(&mut self, entry: u32, error: StoreError) {
        self.outcome.refused += 1;
        self.events.push_back(Event::Refused { entry, error });
    }

    /// An undecided entry came to nothing.
    fn fail(&mut self, entry: u32, error: StoreError) {
        self.withdraw_offer(entry);
        // What the sender could not go on with now, it may go on with later.
        self.files.discard(entry, error.kind() == ErrorKind::Withdrawn);
        self.undecided = self.undecided.saturating_sub(1);
        self.outcome.failed += 1;
        // One record may be the end of a million entries; the outcome counts those that are not told one by one.
        if self.events.len() < event::EVENTS_MAX {
            self.events.push_back(Event::Failed { entry, error });
        }
    }

    fn fail_for(&mut self, entry: u32, cause: Cause) {
        let error = self.files.error(entry, cause);
        self.fail(entry, error);
    }

    fn take_run(&mut self, run: Range<u64>, slices: &[&[u8]]) -> Result<u64, Untaken> {
        let reach = self.known();
        if run.end > reach {
            let offset = reach.max(run.start);
            return Err(if self.manifest.ended { Untaken::Beyond { offset } } else { Untaken::Unknown { offset } });
        }
        if let Some(offset) = self.undecided_in(&run) {
            return Err(Untaken::Unknown { offset });
        }
        if self.received.ranges() >= RANGES_MAX && self.is_apart(&run) {
            return Err(Untaken::Crowded);
        }
        let gaps: Vec<Range<u64>> = self.received.gaps(run.clone()).collect();
        let mut taken = 0;
        for gap in gaps {
            let pieces: Vec<Piece> = self.files.roster.layout.split(gap).collect();
            for piece in pieces {
                if self.files.is_crowded(piece.entry) {
                    return Err(Untaken::Crowded);
                }
                let bytes = cut(slices, piece.at - run.start, piece.length);
                let written = self.files.write(piece, &bytes);
                self.received.insert(piece.at..piece.at.saturating_add(piece.length));
                taken += piece.length;
                match written {
                    Ok(()) => self.advance(piece.entry),
                    Err(error) => self.fail(piece.entry, error),
                }
            }
        }
        Ok(taken)
    }

    /// Whether a range neither touches nor meets what is there, and so would be one range more.
    fn is_apart(&self, range: &Range<u64>) -> bool {
        let around = range.start.saturating_sub(1)..range.end.saturating_add(1);
        self.received.gaps(around.clone()).next() == Some(around)
    }

    /// More of an entry is there, or its size became known: hashes what can be hashed, and completes it if that was all.
    fn advance(&mut self, entry: u32) {
        let roster = &self.files.roster;
        let unfinished = matches!(roster.state(entry), State::Waiting | State::Alike | State::Growing);
        let Some(range) = roster.layout.range(entry).filter(|_| unfinished) else { return };
        let size = range.end - range.start;
        let prefix = self.received.first_gap(range.start).min(range.end) - range.start;
        let ours = if prefix < size {
            self.files.catch_up(entry, prefix).map(|()| None)
        } else {
            self.files.complete(entry, size).map(Some)
        };
        match ours {
            Ok(None) => {}
            Err(error) => self.fail(entry, error),
            Ok(Some(ours)) => self.compare(entry, size, &ours),
        }
    }
}

/// What an entry is that may not come; a folder that was refused is as little to be made as one that is there.
fn refused(kind: &Kind) -> State {
    match kind {
        Kind::Folder => State::Folder,
        Kind::Link { .. } => State::PastLink,
        Kind::File { .. } | Kind::Open => State::Refused,
    }
}

/// Ranges of bytes that are there. A path of 10 Gbit/s and 100 ms that loses a tenth has 20,000 gaps; three times as many
/// cost 2 MB.
const RANGES_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunker::digests::DigestWriter;
    use crate::chunker::manifest::{ManifestWriter, Modified};
    use crate::chunker::request::{Attributes, Likeness};
    use crate::io::store::{ErrorKind, Faults, Operation, Policy, part::temporary_number};
    use crate::name::SafeName;
    use proptest::prelude::*;
    use rustix::io::Errno;
    use sha2::{Digest as _, Sha256};
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tempfile::TempDir;

    /// Files by name with their content, and folders, which have none; a last one may be open.
    #[derive(Clone, Debug, Default)]
    struct Sent {
        entries: Vec<(String, Option<Vec<u8>>)>,
        open: bool,
    }

    impl Sent {
        fn new(entries: &[(&str, Option<&[u8]>)]) -> Sent {
            let entries = entries.iter().map(|(name, content)| ((*name).to_owned(), content.map(<[u8]>::to_vec)));
            Sent { entries: entries.collect(), open: false }
        }

        fn manifest(&self) -> Vec<u8> {
            let mut out = Vec::new();
            let mut writer = ManifestWriter::new(&mut out);
            for (number, (name, content)) in self.entries.iter().enumerate() {
                let is_last = number + 1 == self.entries.len();
                let kind = match content {
                    Some(_) if is_last && self.open => Kind::Open,
                    Some(content) => Kind::File { size: content.len() as u64 },
                    None => Kind::Folder,
                };
                let mode = if kind == Kind::Folder { 0o750 } else { 0o640 };
                let path = SafeName::parse(name).expect("a good name");
                let entry = Entry { path, kind, mode, modified: Modified::new(1_000_000_007, 42) };
                writer.entry(&entry, &mut out).expect("an entry in order");
            }
            writer.end(&mut out);
            out
        }

        fn digests(&self) -> Vec<u8> {
            let files = self.entries.iter().filter_map(|(_, content)| content.as_ref());
            digests(files.map(|content| read(content)))
        }

        /// All files end to end.
        fn bytes(&self) -> Vec<u8> {
            self.entries.iter().filter_map(|(_, content)| content.as_deref()).flatten().copied().collect()
        }

        /// What is to be there afterwards.
        fn expected(&self) -> BTreeMap<String, Option<Vec<u8>>> {
            let mut expected: BTreeMap<_, _> = self.entries.iter().cloned().collect();
            for (name, _) in &self.entries {
                for (at, _) in name.match_indices('/') {
                    expected.entry(name[..at].to_owned()).or_default();
                }
            }
            expected
        }
    }

    fn read(content: &[u8]) -> FileDigest {
        let sha256 = Some(Sha256::digest(content).into());
        FileDigest::Read { size: content.len() as u64, blake3: blake3::hash(content).into(), sha256 }
    }

    fn digests(files: impl IntoIterator<Item = FileDigest>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = DigestWriter::new(&mut out);
        for file in files {
            writer.file(&file, &mut out).expect("a digest");
        }
        writer.end(&mut out).expect("an end");
        out
    }

    fn store(policy: Policy) -> (TempDir, Arc<Store>) {
        faulty_store(policy, Box::new(|_| Ok(())))
    }

    fn faulty_store(policy: Policy, faults: Box<dyn Faults>) -> (TempDir, Arc<Store>) {
        // A folder in memory: a disk that others use as well makes a thousand syncs long.
        let root = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a folder");
        let store = Store::open_with_faults(root.path(), policy, faults).expect("a store");
        (root, Arc::new(store))
    }

    fn unsynced() -> Policy {
        Policy { sync: false, ..Policy::default() }
    }

    fn events(tree: &mut Tree) -> Vec<Event> {
        std::iter::from_fn(|| tree.poll_event()).collect()
    }

    /// What failed or was refused, and how.
    fn troubles(events: &[Event]) -> Vec<(u32, ErrorKind)> {
        let trouble = |event: &Event| match event {
            Event::Refused { entry, error } | Event::Failed { entry, error } => Some((*entry, error.kind())),
            _ => None,
        };
        events.iter().filter_map(trouble).collect()
    }

    fn outcome(events: &[Event]) -> Option<Outcome> {
        events.iter().find_map(|event| if let Event::Done(outcome) = event { Some(*outcome) } else { None })
    }

    /// Everything beneath a folder: files with their content, folders without.
    fn found(root: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry")) {
                let name = entry.path().strip_prefix(root).expect("beneath").to_str().expect("text").to_owned();
                let kind = entry.file_type().expect("a type");
                if kind.is_dir() || kind.is_symlink() {
                    folders.extend(kind.is_dir().then(|| entry.path()));
                    found.insert(name, None);
                } else {
                    found.insert(name, Some(fs::read(entry.path()).expect("a file")));
                }
            }
        }
        found
    }

    fn has_leftovers(root: &Path) -> bool {
        found(root).keys().any(|name| temporary_number(name.rsplit('/').next().unwrap_or_default()).is_some())
    }

    /// Sends all of it in order; gives the events.
    fn send(store: &Arc<Store>, sent: &Sent) -> Vec<Event> {
        send_over(store, sent, Existing::Keep)
    }

    fn send_over(store: &Arc<Store>, sent: &Sent, existing: Existing) -> Vec<Event> {
        send_with(store, sent, existing, Attributes::Kept)
    }

    fn send_with(store: &Arc<Store>, sent: &Sent, existing: Existing, attributes: Attributes) -> Vec<Event> {
        let mut tree = Tree::open(store, existing);
        tree.give(attributes);
        tree.handle_manifest(&sent.manifest()).expect("a manifest");
        let bytes = sent.bytes();
        for (number, chunk) in bytes.chunks(1000).enumerate() {
            tree.handle_bytes(&[(number as u64 * 1000, chunk)]).expect("bytes in their place");
        }
        tree.handle_digests(&mut &sent.digests()[..]).expect("digests");
        assert!(tree.is_done());
        events(&mut tree)
    }

    fn small_tree() -> Sent {
        Sent::new(&[
            ("a", None),
            ("a/b", Some(b"one")),
            ("a/empty", Some(b"")),
            ("a/sub", None),
            ("a/sub/c", Some(b"two and a bit")),
            ("d", None),
            ("implied/folder/e", Some(&[7; 3000])),
        ])
    }

    #[test]
    fn a_tree_arrives_as_it_was_sent() {
        let (root, store) = store(Policy::default());
        let sent = small_tree();
        let events = send(&store, &sent);
        assert_eq!(found(root.path()), sent.expected());
        assert_eq!(outcome(&events), Some(Outcome { placed: 4, refused: 0, failed: 0 }));
        for name in ["a/b", "a/empty", "implied/folder/e"] {
            let metadata = fs::metadata(root.path().join(name)).expect("the file");
            assert_eq!((metadata.mode() & 0o7777, metadata.mtime(), metadata.mtime_nsec()), (0o640, 1_000_000_007, 42));
        }
        for name in ["a", "a/sub", "d"] {
            let metadata = fs::metadata(root.path().join(name)).expect("the folder");
            assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o750, 1_000_000_007), "{name}");
        }
        let placed = events.iter().find_map(|event| match event {
            Event::Placed { entry: 1, bytes, blake3, sha256, replaced } => Some((*bytes, *blake3, *sha256, *replaced)),
            _ => None,
        });
        let expected = (3, blake3::hash(b"one").into(), Some(Sha256::digest(b"one").into()), None);
        assert_eq!(placed, Some(expected));
        assert_eq!(*store.reserved(), 0);
    }

    #[test]
    fn a_stream_of_unknown_length_is_a_file_like_any_other() {
        for length in [0, 1, 70_000] {
            let (root, store) = store(Policy::default());
            let content = vec![3; length];
            let sent = Sent { open: true, ..Sent::new(&[("a", Some(b"first")), ("stream", Some(&content))]) };
            assert_eq!(troubles(&send(&store, &sent)), [], "{length}");
            assert_eq!(found(root.path()), sent.expected());
            assert_eq!(*store.reserved(), 0);
        }
    }

    #[test]
    fn nothing_has_its_name_before_it_is_verified() {
        let (root, store) = store(Policy::default());
        let sent = Sent::new(&[("f", Some(b"abc")), ("g", Some(b"def"))]);
        let mut tree = Tree::open(&store, Existing::Keep);
        tree.handle_manifest(&sent.manifest()).expect("a manifest");
        assert!(found(root.path()).is_empty(), "who only announces makes nothing");
        assert_eq!(*store.reserved(), 0, "and blocks nothing");
        tree.handle_bytes(&[(0, b"abcde")]).expect("bytes");
        assert_eq!(*store.reserved(), 1);
        tree.settle();
        assert!(found(root.path()).keys().all(|name| temporary_number(name).is_some()));
        let digests = sent.digests();
        tree.handle_digests(&mut &digests[..digests.len() - 40]).expect("digests");
        tree.settle();
        assert!(found(root.path()).contains_key("f"), "the second file is still to come");
        assert!(!found(root.path()).contains_key("g"));
        drop(tree);
        assert_eq!(found(root.path()).into_keys().collect::<Vec<_>>(), ["f"]);
        assert_eq!(*store.reserved(), 0);
    }

    #[test]
    fn a_file_with_another_content_fails_and_the_others_arrive() {
        let (root, store) = store(Policy::default());
        let sent = small_tree();
        let mut tree = Tree::open(&store, Existing::Keep);
        tree.handle_manifest(&sent.manifest()).expect("a manifest");
        let mut bytes = sent.bytes();
        bytes[5] ^= 1;
        tree.handle_bytes(&[(0, &bytes)]).expect("bytes");
        tree.handle_digests(&mut &sent.digests()[..]).expect("digests");
        let events = events(&mut tree);
        assert_eq!(troubles(&events), [(4, ErrorKind::Differs)]);
        assert_eq!(outcome(&events), Some(Outcome { placed: 3, refused: 0, failed: 1 }));
        let mut expected = sent.expected();
        expected.remove("a/sub/c");
        drop(tree);
        assert_eq!(found(root.path()), expected);
        assert_eq!(*store.reserved(), 0);
    }

    #[test]
    fn what_may_not_come_is_refused_and_what_comes_of_it_is_dropped() {
        let (root, store) = store(Policy { max_size: Some(100), ..unsynced() });
        let outside = TempDir::new().expect("a folder");
        fs::write(root.path().join("file"), b"x").expect("a file");
        symlink(outside.path(), root.path().join("out")).expect("a link");
        symlink("file", root.path().join("link")).expect("a link");
        let large = vec![1; 101];
        let sent = Sent::new(&[
            (".hidden", Some(b"1")),
            ("dir/.hidden", None),
            ("fifty", Some(&[5; 50])),
            ("file/beneath", Some(b"2")),
            ("large", Some(&large)),
            ("link", Some(b"3")),
            ("new/one", Some(b"4")),
            ("out/one", Some(b"5")),
        ]);
        let events = send(&store, &sent);
        let refused = [0, 1, 3, 4, 5, 7].map(|entry| (entry, ErrorKind::Refused));
        assert_eq!(troubles(&events), refused);
        assert_eq!(outcome(&events), Some(Outcome { placed: 2, refused: 6, failed: 0 }));
        let names: Vec<_> = found(root.path()).into_keys().collect();
        assert_eq!(names, ["fifty", "file", "link", "new", "new/one", "out"]);
        assert!(found(outside.path()).is_empty());
        let said = |number: u32| {
            let error = events.iter().find_map(|event| match event {
                Event::Refused { entry, error } if *entry == number => Some(error.to_string()),
                _ => None,
            });
            error.expect("a refusal")
        };
        assert!(said(3).starts_with("\"beneath\" goes into a folder whose name a file has here"), "{}", said(3));
        assert!(said(4).starts_with("\"large\" has 101 bytes, the limit here is 100"), "{}", said(4));
    }

    #[test]
    fn a_stream_stops_at_the_largest_size_that_is_taken() {
        let (root, store) = store(Policy { max_size: Some(1500), ..unsynced() });
        let sent = Sent { open: true, ..Sent::new(&[("stream", Some(&[0; 3000]))]) };
        assert_eq!(troubles(&send(&store, &sent)), [(0, ErrorKind::Refused)]);
        assert!(found(root.path()).is_empty());
        assert_eq!(*store.reserved(), 0);
    }

    #[test]
    fn a_file_that_is_there_stays_or_goes_as_was_said() {
        let old = 999_999_999;
        for (existing, no_clobber, age, replaced) in [
            (Existing::Keep, false, old, false),
            (Existing::Replace, false, old, true),
            (Existing::Replace, true, old, false),
            (Existing::Update(Likeness::Time), false, old, true),
            (Existing::Update(Likeness::Content), false, old, true),
            (Existing::Update(Likeness::Time), true, old, false),
        ] {
            let (root, store) = store(Policy { no_clobber, ..unsynced() });
            let path = root.path().join("f");
            fs::write(&path, b"old!").expect("a file");
            let file = fs::OpenOptions::new().write(true).open(&path).expect("the file");
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(age)).expect("a time");
            let events = send_over(&store, &Sent::new(&[("f", Some(b"new"))]), existing);
            let expected: &[u8] = if replaced { b"new" } else { b"old!" };
            assert_eq!(fs::read(&path).expect("the file"), expected);
            assert_eq!(troubles(&events).is_empty(), replaced, "{existing:?} {no_clobber}");
            let told = events.iter().any(|event| matches!(event, Event::Placed { replaced: Some(4), .. }));
            assert_eq!(told, replaced);
        }
    }

    /// What an update of these files comes to before any byte is sent: entries that are there, and contents that are told.
    fn looked_up(tree: &mut Tree) -> (Vec<u32>, Vec<(u32, [u8; 32])>) {
        while tree.is_comparing() {
            tree.compare_on();
        }
        let (mut there, mut contents) = (Vec::new(), Vec::new());
        for event in events(tree) {
            match event {
                Event::There { entry } => there.push(entry),
                Event::Content { entry, blake3 } => contents.push((entry, blake3)),
                Event::Accepted { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        (there, contents)
    }

    #[test]
    fn what_is_there_with_its_size_and_time_is_not_wanted_again() {
        let (root, store) = store(unsynced());
        let sent = Sent::new(&[("a", Some(b"one")), ("b", Some(b"")), ("c", Some(b"three"))]);
        assert_eq!(outcome(&send(&store, &sent)), Some(Outcome { placed: 3, refused: 0, failed: 0 }));
        let mut tree = Tree::open(&store, Existing::Update(Likeness::Time));
        tree.handle_manifest(&sent.manifest()).expect("a manifest");
        assert_eq!((looked_up(&mut tree), tree.looked(), tree.there()), ((vec![0, 1, 2], vec![]), 3, (3, 8)));
        assert_eq!((tree.passed(), tree.end()), (8, Some(8)), "nothing is waited for");
        tree.handle_digests(&mut &digests(vec![FileDigest::Skipped; 3])[..]).expect("digests");
        assert!(tree.is_done());
        // A coarser file system has whole seconds; one that was changed has others.
        for (time, expected) in [(1_000_000_007, vec![0, 1, 2]), (1_000_000_008, vec![0, 1])] {
            let file = fs::OpenOptions::new().write(true).open(root.path().join("c")).expect("the file");
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(time)).expect("a time");
            let mut tree = Tree::open(&store, Existing::Update(Likeness::Time));
            tree.handle_manifest(&sent.manifest()).expect("a manifest");
            assert_eq!(looked_up(&mut tree).0, expected, "{time}");
        }
    }

    #[test]
    fn what_is_there_with_its_content_stays_and_needs_no_room() {
        let (root, store) = store(unsynced());
        let large = vec![3; 3_000_000];
        let sent = Sent::new(&[("a", Some(b"one")), ("b", Some(b"")), ("large", Some(&large)), ("short", Some(b"1"))]);
        for (name, content) in [("a", &b"two"[..]), ("b", b""), ("large", &large), ("short", b"22")] {
            fs::write(root.path().join(name), content).expect("a file");
        }
        let inode = fs::metadata(root.path().join("large")).expect("a file").ino();
        let mut tree = Tree::open(&store, Existing::Update(Likeness::Content));
        tree.handle_manifest(&sent.manifest()).expect("a manifest");
        assert_eq!(tree.looked(), 0, "nothing is hashed yet");
        let contents = vec![(0, blake3::hash(b"two").into()), (2, blake3::hash(&large).into())];
        assert_eq!((looked_up(&mut tree), tree.looked()), ((vec![1], contents), 4));
        tree.handle_digests(&mut &sent.digests()[..]).expect("digests");
        assert_eq!(tree.there(), (2, 3_000_000));
        assert_eq!(tree.passed(), 0);
        tree.handle_bytes(&[(0, b"one"), (3_000_003, b"1")]).expect("bytes");
        assert!(tree.is_done());
        assert_eq!(outcome(&events(&mut tree)), Some(Outcome { placed: 2, refused: 0, failed: 0 }));
        assert_eq!(fs::read(root.path().join("a")).expect("a file"), b"one");
        assert_eq!(fs::metadata(root.path().join("large")).expect("a file").ino(), inode);
        drop(tree);
        assert_eq!(*store.reserved(), 0);
    }

    #[test]
    fn a_sender_that_does_not_wait_for_the_comparison_replaces_the_file() {
        let (root, store) = store(unsynced());
        fs::write(root.path().join("f"), b"new").expect("a file");
        let sent = Sent::new(&[("f", Some(b"new"))]);
        for bytes_first in [true, false] {
            let mut tree = Tree::open(&store, Existing::Update(Likeness::Content));
            tree.handle_manifest(&sent.manifest()).expect("a manifest");
            if bytes_first {
                tree.handle_bytes(&[(0, b"new")]).expect("bytes");
                tree.compare_on();
            }
            tree.handle_digests(&mut &sent.digests()[..]).expect("digests");
            if !bytes_first {
                tree.compare_on();
                tree.handle_bytes(&[(0, b"new")]).expect("bytes");
            }
            assert!(tree.is_done() && !tree.is_comparing());
            assert_eq!(outcome(&events(&mut tree)), Some(Outcome { placed: 1, refused: 0, failed: 0 }));
            assert_eq!(*store.reserved(), 0);
        }
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_not_replaced() {
        for existing in [Existing::Keep, Existing::Replace] {
            let (root, store) = store(unsynced());
            let sent = Sent::new(&[("f", Some(b"new"))]);
            let mut tree = Tree::open(&store, existing);
            tree.handle_manifest(&sent.manifest()).expect("a manifest");
            tree.handle_bytes(&[(0, b"new")]).expect("bytes");
            fs::write(root.path().join("f"), b"old").expect("a file");
            tree.handle_digests(&mut &sent.digests()[..]).expect("digests");
            let expected: &[(u32, ErrorKind)] =
                if existing == Existing::Keep { &[(0, ErrorKind::Exists)] } else { &[] };
            assert_eq!(troubles(&events(&mut tree)), expected);
            drop(tree);
            assert!(!has_leftovers(root.path()));
        }
    }

    #[test]
    fn what_the_sender_could_not_read_is_dropped() {
        let (root, store) = store(unsynced());
        let sent = Sent::new(&[("a", Some(b"1")), ("b", Some(b"2")), ("c", Some(b"3")), ("d", Some(b"4"))]);
        let mut tree = Tree::open(&store, Existing::Keep);
        tree.handle_manifest(&sent.manifest()).expect("a manifest");
        tree.handle_bytes(&[(0, b"12")]).expect("bytes");
        let withdrawn = FileDigest::Withdrawn { reason: "it\x1b changed".into() };
        let stream = digests([read(b"1"), withdrawn, FileDigest::Skipped, read(b"4")]);
        tree.handle_digests(&mut &stream[..]).expect("digests");
        assert!(!tree.is_done(), "the last file's byte is still to come");
        tree.handle_bytes(&[(3, b"4")]).expect("bytes");
        let events = events(&mut tree);
        assert_eq!(troubles(&events), [(1, ErrorKind::Withdrawn), (2, ErrorKind::Withdrawn)]);
        let said = events.iter().any(|event| {
        matches!(event, Event::Failed { error, .. } if error.to_string() == "\"b\" was withdrawn by the sender: it\\u{1b} changed")
    });
        assert!(said, "{events:?}");
        drop(tree);
        assert_eq!(found(root.path()).into_keys().collect::<Vec<_>>(), ["a", "d"]);
    }

    #[test]
    fn a_size_that_is_not_the_announced_one_fails_the_file() {
        let (root, store) = store(unsynced());
        for (open, told) in [(false, &b"ab"[..]), (true, b"ab")] {
            let sent = Sent { open, ..Sent::new(&[("f", Some(b"abc"))]) };
            let mut tree = Tree::open(&store, Existing::Keep);
            tree.handle_manifest(&sent.manifest()).expect("a manifest");
            tree.handle_bytes(&[(0, b"abc")]).expect("bytes");
            tree.handle_digests(&mut &digests([read(told)])[..]).expect("digests");
            assert_eq!(troubles(&events(&mut tree)), [(0, ErrorKind::WrongSize)], "{open}");
            assert!(tree.is_done());
        }
        assert!(found(root.path()).is_empty());
    }

    #[test]
    fn bytes_of_no_file_are_not_taken() {
        let (_root, store) = store(unsynced());
        let sent = Sent::new(&[("f", Some(b"abc"))]);
        let manifest = sent.manifest();
        let mut tree = Tree::open(&store, Existing::Keep);
        assert_eq!(tree.handle_bytes(&[(0, b"a")]), Err(Untaken::Unknown { offset: 0 }));
        tree.handle_manifest(&manifest[..manifest.len() - 1]).expect("most of a manifest");
        assert_eq!(tree.handle_bytes(&[(2, b"cd")]), Err(Untaken::Unknown { offset: 3 }));
        tree.handle_manifest(&manifest[manifest.len() - 1..]).expect("the end");
        assert_eq!(tree.handle_bytes(&[(2, b"cd")]), Err(Untaken::Beyond { offset: 3 }));
        assert_eq!(tree.handle_bytes(&[(u64::MAX, b"cd")]), Err(Untaken::Beyond { offset: u64::MAX }));
        assert_eq!(tree.handle_bytes(&[(0, b"a"), (2, b"c"), (2, b"c"), (0, b"")]), Ok(2));
        assert_eq!(tree.received().total(), 2);
    }

    #[test]
    fn digests_wait_for_the_files_that_they_are_of() {
        let (root, store) = store(unsynced());
        let sent = small_tree();
        let (manifest, digests) = (sent.manifest(), sent.digests());
        let mut tree = Tree::open(&store, Existing::Keep);
        let mut rest = &digests[..];
        for byte in &manifest {
            tree.handle_digests(&mut rest).expect("digests");
            tree.handle_manifest(&[*byte]).expect("a manifest");
        }
        tree.handle_digests(&mut rest).expect("digests");
        assert!(rest.is_empty());
        tree.handle_bytes(&[(0, &sent.bytes())]).expect("bytes");
        assert!(tree.is_done());
        drop(tree);
        assert_eq!(found(root.path()), sent.expected());
    }

    #[test]
    fn digests_of_fewer_or_more_files_are_an_error() {
        let (_root, store) = store(unsynced());
        for (files, few) in [(1, true), (3, false)] {
            let mut tree = Tree::open(&store, Existing::Keep);
            tree.handle_manifest(&Sent::new(&[("a", Some(b"")), ("b", Some(b""))]).manifest()).expect("a manifest");
            let error = tree.handle_digests(&mut &digests((0..files).map(|_| read(b"")))[..]).expect_err("an error");
            assert_eq!(matches!(error, TreeError::MissingDigests { entry: 1 }), few, "{error}");
            assert_eq!(matches!(error, TreeError::TooManyDigests), !few, "{error}");
        }
    }

    #[test]
    fn a_damaged_manifest_ends_the_transfer_and_leaves_nothing() {
        let (root, store) = store(unsynced());
        let sent = Sent::new(&[("a", Some(b"one")), ("b", Some(b"two"))]);
        let mut manifest = sent.manifest();
        let end = manifest.len() - 1;
        manifest[end] ^= 1;
        let mut tree = Tree::open(&store, Existing::Keep);
        tree.handle_manifest(&manifest[..end]).expect("most of a manifest");
        tree.handle_bytes(&[(0, b"onetw")]).expect("bytes");
        assert!(matches!(tree.handle_manifest(&manifest[end..]), Err(TreeError::Manifest(_))));
        drop(tree);
        assert!(found(root.path()).is_empty());
    }

    #[test]
    fn too_many_islands_and_too_many_begun_files_are_left_for_later() {
        let (_root, store) = store(unsynced());
        let large = Sent::new(&[("f", Some(&vec![0; 4 * RANGES_MAX]))]);
        let mut tree = Tree::open(&store, Existing::Keep);
        tree.handle_manifest(&large.manifest()).expect("a manifest");
        let islands: Vec<(u64, &[u8])> = (0..RANGES_MAX as u64).map(|number| (number * 3, &b"x"[..])).collect();
        assert_eq!(tree.handle_bytes(&islands), Ok(RANGES_MAX as u64));
        let next = RANGES_MAX as u64 * 3;
        assert_eq!(tree.handle_bytes(&[(next, b"x")]), Err(Untaken::Crowded));
        assert_eq!(tree.handle_bytes(&[(1, b"xx"), (next, b"x")]), Ok(3), "a gap that closes makes room");

        let names: Vec<String> = (0..5000).map(|number| format!("{number:05}")).collect();
        let entries: Vec<(&str, Option<&[u8]>)> = names.iter().map(|name| (name.as_str(), Some(&b"ab"[..]))).collect();
        let many = Sent::new(&entries);
        let mut tree = Tree::open(&store, Existing::Keep);
        tree.handle_manifest(&many.manifest()).expect("a manifest");
        let halves: Vec<(u64, &[u8])> = (0..5000).map(|number| (number * 2, &b"a"[..])).collect();
        assert_eq!(tree.handle_bytes(&halves), Err(Untaken::Crowded));
        let begun = tree.received().total();
        assert_eq!(begun, 4096);
        assert_eq!(tree.handle_bytes(&[(1, b"b"), (2 * begun, b"a")]), Ok(2), "a complete file makes room");
    }

    #[test]
    fn files_that_made_way_for_others_are_opened_again() {
        let (root, store) = store(unsynced());
        let names: Vec<String> = (0..500).map(|number| format!("{number:05}")).collect();
        let contents: Vec<Vec<u8>> = (0..500_u32).map(|number| number.to_be_bytes().repeat(5)).collect();
        let entries: Vec<_> =
            names.iter().zip(&contents).map(|(name, bytes)| (name.as_str(), Some(&bytes[..]))).collect();
        let sent = Sent::new(&entries);
        let bytes = sent.bytes();
        let mut tree = Tree::open(&store, Existing::Keep);
        tree.handle_manifest(&sent.manifest()).expect("a manifest");
        for part in [10..20, 0..3, 3..10] {
            for file in 0..500 {
                let start = file * 20 + part.start;
                tree.handle_bytes(&[(start as u64, &bytes[start..start + part.len()])]).expect("bytes");
            }
        }
        tree.handle_digests(&mut &sent.digests()[..]).expect("digests");
        assert_eq!(outcome(&events(&mut tree)).map(|outcome| outcome.placed), Some(500));
        drop(tree);
        assert_eq!(found(root.path()), sent.expected());
    }

    #[test]
    fn a_server_that_starts_meanwhile_sweeps_nothing_that_is_of_use() {
        let (root, store) = store(unsynced());
        fs::create_dir(root.path().join("sub")).expect("a folder");
        let sent = Sent::new(&[("sub/a", Some(b"one")), ("sub/b", Some(b"two"))]);
        let mut tree = Tree::open(&store, Existing::Keep);
        tree.handle_manifest(&sent.manifest()).expect("a manifest");
        tree.handle_bytes(&[(0, b"onetw")]).expect("bytes");
        let sweep = || {
            let other = Arc::new(Store::open(root.path(), unsynced()).expect("a store"));
            for name in ["x", "sub/x"] {
                drop(other.create(&SafeName::parse(name).expect("a name"), 0).expect("a file"));
            }
        };
        sweep();
        assert_eq!(found(root.path()).len(), 4, "a folder, two unfinished files, and what guards them");
        tree.handle_bytes(&[(5, b"o")]).expect("the last byte");
        tree.handle_digests(&mut &sent.digests()[..]).expect("digests");
        assert_eq!(troubles(&events(&mut tree)), []);

        // As a process that was killed leaves them: nobody holds the lock.
        for name in
            [".homing-00000000aaa00001.part", "sub/.homing-00000000aaa00002.part", ".homing-00000000aaafffff.part"]
        {
            fs::write(root.path().join(name), b"x").expect("a file");
        }
        drop(tree);
        sweep();
        assert_eq!(found(root.path()), sent.expected());
    }

    /// A tree with something of each kind, some of it there before.
    fn faulty_run(faults: Box<dyn Faults>, policy: Policy) -> (BTreeMap<String, Option<Vec<u8>>>, Vec<Event>, bool) {
        let (root, store) = faulty_store(policy, faults);
        fs::create_dir(root.path().join("there")).expect("a folder");
        fs::write(root.path().join("there/old"), b"old").expect("a file");
        let sent = fault_tree();
        let bytes = sent.bytes();
        let half = bytes.len() / 2;
        let mut tree = Tree::open(&store, Existing::Replace);
        tree.handle_manifest(&sent.manifest()).expect("a manifest");
        // The second half first, so that some is read back.
        for (at, part) in [(half, &bytes[half..]), (0, &bytes[..half])] {
            tree.handle_bytes(&[(at as u64, part)]).expect("bytes");
        }
        tree.handle_digests(&mut &sent.digests()[..]).expect("digests");
        assert!(tree.is_done());
        let events = events(&mut tree);
        drop(tree);
        assert_eq!(*store.reserved(), 0);
        let leftovers = has_leftovers(root.path());
        (found(root.path()), events, leftovers)
    }

    /// Small files beyond the number that is synced one by one, and one that is synced by itself.
    fn fault_tree() -> Sent {
        let large = vec![5; 1 << 20];
        let names: Vec<String> = (0..9).map(|number| format!("new{number}/small")).collect();
        let mut entries: Vec<(&str, Option<&[u8]>)> = vec![("empty", None), ("large", Some(&large))];
        entries.extend(names.iter().map(|name| (name.as_str(), Some(&b"small"[..]))));
        entries.push(("there/old", Some(b"new")));
        Sent::new(&entries)
    }

    #[test]
    fn whatever_operation_fails_no_file_is_half_there() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&log);
        let record = move |operation| {
            seen.lock().expect("the log").push(operation);
            Ok(())
        };
        let (all, clean, _) = faulty_run(Box::new(record), Policy::default());
        assert_eq!(troubles(&clean), []);
        let operations = log.lock().expect("the log").clone();
        for kind in [
            Operation::Read,
            Operation::MakeFolder,
            Operation::Attributes,
            Operation::SyncFile,
            Operation::SyncSystem,
            Operation::Rename,
        ] {
            assert!(operations.contains(&kind), "{kind:?}");
        }
        // The first one opens the root, and without that there is no store to look at.
        for (number, operation) in operations.iter().enumerate().skip(1) {
            for errno in [Errno::IO, Errno::NOSPC] {
                let count = AtomicUsize::new(0);
                let nth = move |_| match count.fetch_add(1, Ordering::Relaxed) == number {
                    true => Err(errno.into()),
                    false => Ok(()),
                };
                let (found, events, leftovers) = faulty_run(Box::new(nth), Policy::default());
                let told = outcome(&events).expect("an end");
                // Leftovers that cannot be looked for, or removed, cost nobody a file.
                let harmless = matches!(operation, Operation::Remove | Operation::Open);
                assert!(harmless || told.failed + told.refused > 0, "{number} {operation:?}");
                assert!(!leftovers || *operation == Operation::Remove, "{number} {operation:?}");
                for (name, content) in &found {
                    let old = name == "there/old" && content.as_deref() == Some(b"old");
                    let temporary = *operation == Operation::Remove && name.contains(".homing-");
                    assert!(old || temporary || all.get(name) == Some(content), "{number} {operation:?}: {name}");
                }
                for event in &events {
                    if let Event::Placed { entry, .. } = event {
                        let name = &fault_tree().entries[*entry as usize].0;
                        assert_eq!(found.get(name), all.get(name), "{number} {operation:?}: said and not done");
                    }
                }
            }
        }
    }

    #[test]
    fn a_tree_that_ends_at_any_point_leaves_whole_files_or_none() {
        let sent = small_tree();
        let (bytes, digests) = (sent.bytes(), sent.digests());
        let expected = sent.expected();
        for end in (0..bytes.len()).step_by(97).chain([bytes.len()]) {
            for told in (0..digests.len()).step_by(23).chain([digests.len()]) {
                let (root, store) = store(unsynced());
                let mut tree = Tree::open(&store, Existing::Keep);
                tree.handle_manifest(&sent.manifest()).expect("a manifest");
                tree.handle_digests(&mut &digests[..told]).expect("digests");
                tree.handle_bytes(&[(0, &bytes[..end])]).expect("bytes");
                tree.settle();
                drop(tree);
                for (name, content) in found(root.path()) {
                    assert_eq!(expected.get(&name), Some(&content), "{end} {told} {name}");
                }
                assert_eq!(*store.reserved(), 0);
            }
        }
    }

    #[test]
    fn a_full_disk_fails_the_file_that_did_not_fit_and_names_it() {
        let count = AtomicUsize::new(0);
        let faults = move |operation| match operation {
            Operation::Write if count.fetch_add(1, Ordering::Relaxed) == 1 => Err(Errno::NOSPC.into()),
            _ => Ok(()),
        };
        let (root, store) = faulty_store(unsynced(), Box::new(faults));
        let events = send(&store, &Sent::new(&[("a", Some(b"1")), ("b", Some(b"2")), ("c", Some(b"3"))]));
        let said: Vec<_> = events
            .iter()
            .filter_map(|event| if let Event::Failed { error, .. } = event { Some(error.to_string()) } else { None })
            .collect();
        assert_eq!(said, ["\"b\" stopped because the disk here is full; free some space or send less"]);
        assert_eq!(found(root.path()).into_keys().collect::<Vec<_>>(), ["a", "c"]);
    }

    fn any_tree() -> impl Strategy<Value = Sent> {
        let content = prop_oneof![
            Just(None),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Some),
            (0_usize..5000, any::<u8>()).prop_map(|(length, byte)| Some(vec![byte; length])),
        ];
        let names = prop::collection::btree_map("[ab]{1,2}(/[ab]{1,2}){0,2}", content, 0..12);
        (names, any::<bool>()).prop_map(|(names, open)| {
            let mut entries: Vec<(String, Option<Vec<u8>>)> = names.into_iter().collect();
            entries.sort_by(|(one, _), (other, _)| one.split('/').cmp(other.split('/')));
            let mut kept: Vec<(String, Option<Vec<u8>>)> = Vec::new();
            for (name, content) in entries {
                let within = |(file, _): &(String, Option<Vec<u8>>)| name.starts_with(&format!("{file}/"));
                if !kept.iter().filter(|(_, content)| content.is_some()).any(within) {
                    kept.push((name, content));
                }
            }
            let open = open && kept.last().is_some_and(|(_, content)| content.is_some());
            Sent { entries: kept, open }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn bytes_in_any_order_and_any_number_of_times_make_the_tree(
            sent in any_tree(),
            cuts in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..700), 0..40),
            batch in 1_usize..5,
            digests_at in 0_usize..50,
        ) {
            let (root, store) = store(unsynced());
            let (bytes, digests) = (sent.bytes(), sent.digests());
            let mut tree = Tree::open(&store, Existing::Keep);
            tree.handle_manifest(&sent.manifest()).expect("a manifest");
            let random = cuts.iter().filter(|_| !bytes.is_empty()).map(|(start, length)| {
                let start = start.index(bytes.len());
                (start, (start + length).min(bytes.len()))
            });
            // Whatever was not drawn comes at the end.
            let rest = (0..bytes.len()).step_by(512).map(|start| (start, (start + 512).min(bytes.len())));
            let ranges: Vec<_> = random.chain(rest).collect();
            let mut fresh = 0;
            for (round, group) in ranges.chunks(batch).enumerate() {
                if round == digests_at {
                    tree.handle_digests(&mut &digests[..]).expect("digests");
                }
                let pieces: Vec<_> = group.iter().map(|(start, end)| (*start as u64, &bytes[*start..*end])).collect();
                fresh += tree.handle_bytes(&pieces).expect("bytes in their place");
            }
            if !tree.is_done() && ranges.len().div_ceil(batch) <= digests_at {
                tree.handle_digests(&mut &digests[..]).expect("digests");
            }
            prop_assert_eq!(fresh, bytes.len() as u64, "every byte is written once");
            prop_assert!(tree.is_done());
            prop_assert_eq!(troubles(&events(&mut tree)), []);
            drop(tree);
            prop_assert_eq!(found(root.path()), sent.expected());
            prop_assert_eq!(*store.reserved(), 0);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn no_peer_upsets_a_tree(
            sent in any_tree(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..2),
            writes in prop::collection::vec((prop_oneof![0_u64..9000, any::<u64>()], 0_usize..3000), 0..20),
        ) {
            let (root, store) = store(unsynced());
            let (mut manifest, mut digests) = (sent.manifest(), sent.digests());
            for (number, (at, byte)) in changes.iter().enumerate() {
                let stream = if number == 0 { &mut digests } else { &mut manifest };
                let at = at.index(stream.len());
                stream[at] = *byte;
            }
            let mut tree = Tree::open(&store, Existing::Replace);
            let half = manifest.len() / 2;
            let bytes = vec![1; 3000];
            let mut is_good = tree.handle_manifest(&manifest[..half]).is_ok();
            for (number, (offset, length)) in writes.iter().enumerate() {
                let _ = tree.handle_bytes(&[(*offset, &bytes[..*length])]);
                if number == 5 && is_good {
                    is_good = tree.handle_manifest(&manifest[half..]).is_ok();
                }
                if number == 10 && is_good {
                    is_good = tree.handle_digests(&mut &digests[..]).is_ok();
                }
            }
            tree.settle();
            drop(tree);
            prop_assert_eq!(*store.reserved(), 0);
            prop_assert!(!has_leftovers(root.path()));
        }
    }

    #[test]
    fn a_folder_that_turns_into_a_link_leads_nowhere() {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use std::sync::atomic::AtomicBool;
        let (root, store) = store(unsynced());
        let outside = TempDir::new().expect("a folder");
        let (folder, link) = (root.path().join("folder"), root.path().join("link"));
        fs::create_dir(&folder).expect("a folder");
        symlink(outside.path(), &link).expect("a link");
        let sent = Sent::new(&[("folder/f", Some(b"x")), ("folder/new/g", Some(b"y"))]);
        let done = AtomicBool::new(false);
        let landed = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    renameat_with(CWD, &folder, CWD, &link, RenameFlags::EXCHANGE).expect("an exchange");
                }
            });
            let landed = (0..1000).filter(|_| {
                let events = send_over(&store, &sent, Existing::Replace);
                outcome(&events).is_some_and(|outcome| outcome.placed > 0)
            });
            let landed = landed.count();
            done.store(true, Ordering::Relaxed);
            landed
        });
        assert!(found(outside.path()).is_empty());
        assert!(landed > 0, "not one file came through");
    }

    /// Seconds that this thread had a processor: on a busy machine they tell more than a clock.
    fn processor_seconds() -> f64 {
        let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let nanoseconds = told.split_ascii_whitespace().next().and_then(|number| number.parse().ok());
        nanoseconds.unwrap_or(0.0_f64) / 1e9
    }

    /// Run it with `cargo test --release --lib tree::tests::how_fast -- --ignored --nocapture`; `HOMING_BENCH` names the folder
    /// for the small files, a real disk.
    #[test]
    #[ignore = "it measures; a gigabyte of memory, and some minutes on a slow disk"]
    #[expect(clippy::disallowed_methods, reason = "measuring needs the time")]
    fn how_fast_a_large_file_and_many_small_ones_are_written() {
        use std::time::Instant;
        let content: Vec<u8> = (0..1_u32 << 28).flat_map(u32::to_le_bytes).collect();
        let large = Sent::new(&[("large", Some(&content))]);
        for (order, stride) in [("in order", 1_usize), ("shuffled", 7919), ("in order", 1), ("shuffled", 7919)] {
            let root = TempDir::new_in("/dev/shm").expect("a folder in memory");
            let store = Arc::new(Store::open(root.path(), Policy::default()).expect("a store"));
            let (manifest, digests) = (large.manifest(), large.digests());
            let (began, used) = (Instant::now(), processor_seconds());
            let mut tree = Tree::open(&store, Existing::Keep);
            tree.handle_manifest(&manifest).expect("a manifest");
            let pieces = content.len() / 65_536;
            for number in 0..pieces {
                let start = number * stride % pieces * 65_536;
                tree.handle_bytes(&[(start as u64, &content[start..start + 65_536])]).expect("bytes");
            }
            tree.handle_digests(&mut &digests[..]).expect("digests");
            assert!(tree.is_done() && troubles(&events(&mut tree)).is_empty());
            let took = began.elapsed().as_secs_f64();
            let used = processor_seconds() - used;
            let rate = |seconds: f64| content.len() as f64 / seconds / 1e9;
            println!("1 GiB {order}, tmpfs: {:.2} GB/s, {:.2} GB per processor second", rate(took), rate(used));
        }
        let names: Vec<String> = (0..10_000).map(|number| format!("{:02}/{number:05}", number / 100)).collect();
        let small = vec![9; 4096];
        let entries: Vec<(&str, Option<&[u8]>)> = names.iter().map(|name| (name.as_str(), Some(&small[..]))).collect();
        let many = Sent::new(&entries);
        let bytes = many.bytes();
        let folder = std::env::var("HOMING_BENCH").unwrap_or_else(|_| "/dev/shm".to_owned());
        for sync in [true, false] {
            let root = TempDir::new_in(&folder).expect("a folder");
            let store = Arc::new(Store::open(root.path(), Policy { sync, ..Policy::default() }).expect("a store"));
            let (began, used) = (Instant::now(), processor_seconds());
            let mut tree = Tree::open(&store, Existing::Keep);
            tree.handle_manifest(&many.manifest()).expect("a manifest");
            for (number, piece) in bytes.chunks(1200 * 16).enumerate() {
                let packets = piece.chunks(1200).enumerate();
                let start = number * 1200 * 16;
                let pieces: Vec<_> = packets.map(|(packet, bytes)| ((start + packet * 1200) as u64, bytes)).collect();
                tree.handle_bytes(&pieces).expect("bytes");
            }
            tree.handle_digests(&mut &many.digests()[..]).expect("digests");
            assert!(tree.is_done() && troubles(&events(&mut tree)).is_empty());
            let (took, used) = (began.elapsed().as_secs_f64(), processor_seconds() - used);
            println!("10,000 files of 4 KiB in {folder}, sync {sync}: {took:.2} s, {used:.2} s of a processor");
        }
    }
}
