//! Holes of sparse files: the sender says where they are, nobody sends their zeros, and they take no room here either.
//!
//! They are hashed as all bytes are, a little at a time: their sender can announce much in a few bytes, and other transfers wait for the
//! same thread.

use super::super::error::{Cause, StoreError};
use super::Tree;
use super::files::Files;
use super::resuming::is_resumed;
use crate::chunker::digests::Hole;
use crate::chunker::groups::{HOLES_MAX, ZEROS, bytes_of, count};
use std::collections::VecDeque;
use std::ops::Range;

/// Holes that are not made yet.
#[derive(Debug, Default)]
pub(super) struct Holes {
    waiting: VecDeque<Hole>,
    /// Groups that were announced, in all.
    announced: u64,
}

impl Tree {
    /// Whether [`Tree::make_holes`] has something to do.
    pub(super) fn is_making_holes(&self) -> bool {
        !self.holes.waiting.is_empty()
    }

    /// Makes some of the holes: a few milliseconds' worth.
    pub(super) fn make_holes(&mut self) {
        let next = std::iter::from_fn(|| self.holes.waiting.pop_front()).find(|hole| self.files.is_wanted(hole.entry));
        let Some(Hole { entry, groups }) = next else { return };
        let now = groups.start..groups.end.min(groups.start.saturating_add(AT_ONCE));
        if now.end < groups.end {
            self.holes.waiting.push_front(Hole { entry, groups: now.end..groups.end });
        }
        if let Err(error) = self.make_hole(entry, now) {
            self.fail(entry, error);
        }
        self.advance(entry);
        self.end_if_decided();
    }

    /// The sender says that groups are a hole.
    pub(super) fn note_hole(&mut self, hole: &Hole) {
        let Hole { entry, groups } = hole;
        if !self.files.is_wanted(*entry) {
            return;
        }
        self.holes.announced = self.holes.announced.saturating_add(groups.end - groups.start);
        if self.holes.announced > HOLES_MAX || !self.files.may_have_hole(*entry, groups) {
            self.fail_for(*entry, Cause::NoHole);
            return;
        }
        // It says more than that what is held does not stay.
        if let Err(error) = self.withdraw_from_offer(*entry, groups) {
            self.fail(*entry, error);
            return;
        }
        self.holes.waiting.push_back(hole.clone());
    }

    fn make_hole(&mut self, entry: u32, groups: Range<u64>) -> Result<(), StoreError> {
        let Some(range) = self.files.roster.layout.range(entry) else { return Ok(()) };
        let bytes = bytes_of(&groups, range.end - range.start);
        let span = range.start + bytes.start..range.start + bytes.end;
        if self.received.gaps(span.clone()).next() != Some(span.clone()) {
            return Err(self.files.error(entry, Cause::NoHole));
        }
        self.files.make_hole(entry, groups, bytes)?;
        self.received.insert(span);
        Ok(())
    }
}

impl Files {
    /// Whether an entry is hashed in groups, and has these.
    fn may_have_hole(&mut self, entry: u32, groups: &Range<u64>) -> bool {
        let range = self.roster.layout.range(entry).unwrap_or_default();
        let described = self.roster.entry(entry);
        described.is_ok_and(|described| is_resumed(&described.kind)) && groups.end <= count(range.end - range.start)
    }

    /// Makes a hole of groups, which are these bytes.
    fn make_hole(&mut self, entry: u32, groups: Range<u64>, bytes: Range<u64>) -> Result<(), StoreError> {
        self.take_up(entry)?;
        let length = bytes.end - bytes.start;
        if self.partials.has(entry) {
            self.partials.make_hole(entry, groups)?;
        } else {
            // What nobody can resume is hashed as a whole, from what is written: rare enough to be plain.
            let piece =
                |start: u64| ZEROS.get(..usize::try_from(bytes.end - start).unwrap_or(usize::MAX)).unwrap_or(&ZEROS);
            let zeros: Vec<&[u8]> = bytes.clone().step_by(ZEROS.len()).map(piece).collect();
            self.growths.write(entry, bytes.start, &zeros)?;
        }
        self.space.release(length);
        Ok(())
    }
}

/// Groups that are hashed at once: ten milliseconds or less.
const AT_ONCE: u64 = 16;

#[cfg(test)]
mod tests {
    use super::super::{Event, Outcome, Peer};
    use super::*;
    use crate::chunker::digests::{DigestWriter, FileDigest};
    use crate::chunker::groups::GROUP;
    use crate::chunker::manifest::{Entry, Kind, ManifestWriter, Modified};
    use crate::chunker::request::Existing;
    use crate::io::store::{Policy, Store};
    use crate::name::SafeName;
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;
    use std::sync::Arc;
    use tempfile::TempDir;

    const SIZE: u64 = 9 * GROUP + 5;

    fn root() -> TempDir {
        TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a folder")
    }

    fn store(root: &Path) -> Arc<Store> {
        Arc::new(Store::open(root, Policy { sync: false, ..Policy::default() }).expect("a store"))
    }

    fn peer(session: u64) -> Option<Peer> {
        Some(Peer { key: [1; 32], session })
    }

    /// A tree that knows of a folder, a small file and a large one.
    fn listed(store: &Arc<Store>, peer: Option<Peer>) -> Tree {
        let tree = Tree::open(store, Existing::Keep);
        let mut tree = peer.map_or_else(|| Tree::open(store, Existing::Keep), |peer| tree.resuming(peer));
        let mut manifest = Vec::new();
        let mut writer = ManifestWriter::new(&mut manifest);
        for (path, kind) in [("a", Kind::Folder), ("b", Kind::File { size: GROUP }), ("c", Kind::File { size: SIZE })] {
            let path = SafeName::parse(path).expect("a name");
            let entry = Entry { path, kind, mode: 0o644, modified: Modified::default() };
            writer.entry(&entry, &mut manifest).expect("an entry");
        }
        writer.end(&mut manifest);
        tree.handle_manifest(&manifest).expect("a manifest");
        tree.handle_bytes(&[(0, &vec![1; GROUP as usize])]).expect("the small file");
        tree
    }

    /// The content of the large file: something in the groups from 3 up to 5.
    fn content() -> Vec<u8> {
        let mut content = vec![0; SIZE as usize];
        content[3 * GROUP as usize..5 * GROUP as usize].fill(9);
        content
    }

    fn digests(holes: &[(u32, Range<u64>)], content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = DigestWriter::new(&mut out);
        for (entry, groups) in holes {
            writer.hole(&Hole { entry: *entry, groups: groups.clone() }, &mut out).expect("short");
        }
        for content in [&vec![1; GROUP as usize], content] {
            let (size, blake3) = (content.len() as u64, blake3::hash(content).into());
            writer.file(&FileDigest::Read { size, blake3, sha256: None }, &mut out).expect("short");
        }
        writer.end(&mut out).expect("an end");
        out
    }

    /// All there is to do is done; gives how it ended and what was said of what failed.
    fn end(tree: &mut Tree) -> (Option<Outcome>, Vec<String>) {
        for steps in 0.. {
            assert!(steps < 1000, "it ends");
            if !tree.is_busy() {
                break;
            }
            tree.work();
        }
        let (mut outcome, mut said) = (None, Vec::new());
        while let Some(event) = tree.poll_event() {
            match event {
                Event::Done(told) => outcome = Some(told),
                Event::Failed { error, .. } | Event::Refused { error, .. } => said.push(error.to_string()),
                _ => {}
            }
        }
        (outcome, said)
    }

    const BOTH: Option<Outcome> = Some(Outcome { placed: 2, refused: 0, failed: 0 });

    #[test]
    fn a_file_with_holes_arrives_with_them() {
        for (peer, is_late) in [(peer(1), false), (peer(1), true), (None, false)] {
            let root = root();
            let store = store(root.path());
            let mut tree = listed(&store, peer);
            let bytes = content();
            let data = [(4 * GROUP, &bytes[3 * GROUP as usize..5 * GROUP as usize])];
            if !is_late {
                tree.handle_bytes(&data).expect("taken");
            }
            tree.handle_digests(&mut &digests(&[(2, 0..3), (2, 5..10)], &bytes)[..]).expect("digests");
            assert!(tree.is_busy() && !tree.is_done(), "it takes its time");
            if is_late {
                while tree.is_busy() {
                    tree.work();
                }
                assert_eq!(tree.passed(), 4 * GROUP, "what is a hole needs no permission");
                tree.handle_bytes(&data).expect("taken");
            }
            assert_eq!(end(&mut tree), (BOTH, Vec::new()));
            assert!(fs::read(root.path().join("c")).expect("it is there") == bytes);
            let blocks = fs::metadata(root.path().join("c")).expect("it is there").blocks();
            assert!(peer.is_none() || blocks * 512 <= 3 * GROUP, "{blocks} blocks");
            assert_eq!(*store.reserved(), 0);
        }
    }

    #[test]
    fn what_an_earlier_session_left_where_a_hole_is_now_goes() {
        let root = root();
        let old = vec![5; SIZE as usize];
        listed(&store(root.path()), peer(1)).handle_bytes(&[(GROUP, &old)]).expect("taken");
        let store = store(root.path());
        let mut tree = listed(&store, peer(2));
        let held = std::iter::from_fn(|| tree.poll_event()).find_map(|event| match event {
            Event::Held { groups, .. } => Some(groups.len()),
            _ => None,
        });
        assert_eq!(held, Some(10));
        let mut bytes = old;
        bytes[..7 * GROUP as usize].fill(0);
        let mut words = Vec::new();
        let mut writer = DigestWriter::new(&mut words);
        writer.hole(&Hole { entry: 2, groups: 0..7 }, &mut words).expect("short");
        tree.handle_digests(&mut &words[..]).expect("a hole");
        tree.keep(&crate::chunker::digests::Kept { entry: 2, groups: 7..10 });
        assert_eq!((tree.resumed(), tree.is_busy()), (2 * GROUP + 5, true));
        while tree.is_busy() {
            tree.work();
        }
        let mut rest = Vec::new();
        for content in [&vec![1; GROUP as usize], &bytes] {
            let (size, blake3) = (content.len() as u64, blake3::hash(content).into());
            writer.file(&FileDigest::Read { size, blake3, sha256: None }, &mut rest).expect("short");
        }
        writer.end(&mut rest).expect("an end");
        tree.handle_digests(&mut &rest[..]).expect("digests");
        assert_eq!(end(&mut tree), (BOTH, Vec::new()));
        assert!(fs::read(root.path().join("c")).expect("it is there") == bytes);
        assert!(fs::metadata(root.path().join("c")).expect("it is there").blocks() * 512 < 4 * GROUP);
    }

    #[test]
    fn a_hole_where_none_can_be_fails_the_file_and_costs_nothing() {
        for hole in [(2, 0..11), (2, 0..1 << 61), (2, 9..11), (1, 0..1), (2, 4..5)] {
            let root = root();
            let store = store(root.path());
            let mut tree = listed(&store, peer(1));
            let bytes = content();
            tree.handle_bytes(&[(4 * GROUP, &bytes[3 * GROUP as usize..5 * GROUP as usize])]).expect("taken");
            let holes = [hole.clone(), (0, 0..1), (77, 0..1)];
            tree.handle_digests(&mut &digests(&holes, &bytes)[..]).expect("digests");
            let (outcome, said) = end(&mut tree);
            if hole.0 == 1 {
                // It was complete.
                assert_eq!((outcome, said.len()), (None, 0), "{hole:?}");
            } else {
                assert_eq!(outcome, Some(Outcome { placed: 1, refused: 0, failed: 1 }), "{hole:?}");
                assert!(said[0].contains("hole where it can have none"), "{said:?}");
            }
            drop(tree);
            assert_eq!(*store.reserved(), 0);
        }
        // The same one twice, and more than a transfer may announce.
        for holes in [vec![(2, 0..3), (2, 2..4)], vec![(2, 0..9); 2], vec![(2, 0..1); HOLES_MAX as usize + 1]] {
            let root = root();
            let mut tree = listed(&store(root.path()), peer(1));
            tree.handle_digests(&mut &digests(&holes, &content())[..]).expect("digests");
            assert_eq!(end(&mut tree).0, Some(Outcome { placed: 1, refused: 0, failed: 1 }));
        }
    }

    #[test]
    fn bytes_that_come_where_a_hole_is_are_not_written() {
        let root = root();
        let mut tree = listed(&store(root.path()), peer(1));
        let bytes = content();
        tree.handle_digests(&mut &digests(&[(2, 0..3), (2, 5..10)], &bytes)[..]).expect("digests");
        while tree.is_busy() {
            tree.work();
        }
        assert_eq!(tree.handle_bytes(&[(GROUP, &vec![3; 3 * GROUP as usize])]), Ok(0));
        tree.handle_bytes(&[(4 * GROUP, &bytes[3 * GROUP as usize..5 * GROUP as usize])]).expect("taken");
        assert_eq!(end(&mut tree), (BOTH, Vec::new()));
    }
}
