//! What an earlier session left of a tree's files: offered to the sender, who says which of it stays.

use super::super::error::StoreError;
use super::{Event, Tree, event::EVENTS_MAX};
use crate::chunker::digests::Kept;
use crate::chunker::groups::{ChainingValue, OFFERED_MAX, bytes_of};
use crate::chunker::manifest::Kind;
use crate::chunker::request::Earlier;
use crate::ranges::RangeSet;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// Groups by number.
pub type Groups = BTreeMap<u64, ChainingValue>;

/// Whose files come, and in which session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The other side's public key.
    pub key: [u8; 32],
    /// A number of the session.
    pub session: u64,
}

/// Groups that were offered and not decided on yet, by entry.
#[derive(Debug)]
pub(super) struct Offers {
    /// So many may be offered.
    most: usize,
    open: HashMap<u32, RangeSet>,
    /// How many were offered in all.
    groups: usize,
    /// Bytes of those that stay.
    kept: u64,
}

impl Default for Offers {
    fn default() -> Self {
        Self { most: OFFERED_MAX, open: HashMap::new(), groups: 0, kept: 0 }
    }
}

impl Tree {
    /// What an earlier session of this peer left is used, and what this one leaves is kept for the next.
    #[must_use]
    pub fn resuming(mut self, peer: Peer) -> Self {
        self.files.resume_for(peer);
        self
    }

    /// What an earlier session of this peer left is removed; what this one leaves is kept for the next.
    #[must_use]
    pub fn restarting(mut self, peer: Peer) -> Self {
        self.files.restart_for(peer);
        self
    }

    /// One or the other, or neither, as was asked for.
    #[must_use]
    pub fn taking_up(self, earlier: Earlier, peer: Option<Peer>) -> Self {
        match (earlier, peer) {
            (Earlier::Used | Earlier::Awaited, Some(peer)) => self.resuming(peer),
            (Earlier::Dropped, Some(peer)) => self.restarting(peer),
            (Earlier::Ignored, _) | (_, None) => self,
        }
    }

    /// No more groups than these are offered.
    #[must_use]
    pub fn offering(mut self, most: usize) -> Self {
        self.offers.most = most;
        self
    }

    /// Bytes that an earlier session left and that were not sent again.
    pub fn resumed(&self) -> u64 {
        self.offers.kept
    }

    /// Looks for what an earlier session left of an entry that was just taken in.
    pub(super) fn offer(&mut self, entry: u32) {
        if !self.files.is_resuming() {
            return;
        }
        let most = self.offers.most.saturating_sub(self.offers.groups);
        if most == 0 || self.events.len() >= EVENTS_MAX {
            return;
        }
        // What cannot be used comes again.
        let Ok(Some((groups, taken_from))) = self.files.find_earlier(entry, most) else { return };
        if let Some(session) = taken_from {
            self.events.push_back(Event::TookOver { session });
        }
        self.offers.groups += groups.len();
        let numbers: RangeSet = groups.keys().map(|group| *group..*group + 1).collect();
        if !groups.is_empty() {
            self.offers.open.insert(entry, numbers);
            self.events.push_back(Event::Held { entry, groups });
        }
    }

    /// The sender says which groups stay.
    pub(super) fn keep(&mut self, kept: &Kept) {
        let Kept { entry, groups } = kept;
        let Some(offered) = self.offers.open.get_mut(entry) else { return };
        // One word can be about all groups, and none about those that were not offered.
        let stay: Vec<Range<u64>> = cut(offered, groups.clone());
        let go: Vec<Range<u64>> = cut(offered, 0..groups.start);
        offered.remove(0..groups.end);
        if offered.is_empty() {
            self.offers.open.remove(entry);
        }
        if let Err(error) = self.settle_offer(*entry, &stay, go) {
            self.fail(*entry, error);
        }
        self.advance(*entry);
    }

    /// These groups become others: those of them that were offered do not stay.
    pub(super) fn withdraw_from_offer(&mut self, entry: u32, groups: &Range<u64>) -> Result<(), StoreError> {
        let Some(offered) = self.offers.open.get_mut(&entry) else { return Ok(()) };
        let go = cut(offered, groups.clone());
        offered.remove(groups.clone());
        if offered.is_empty() {
            self.offers.open.remove(&entry);
        }
        self.settle_offer(entry, &[], go)
    }

    /// Nothing more is said about an entry: what is left of the offer is not wanted.
    pub(super) fn close_offer(&mut self, entry: u32) {
        if self.offers.open.contains_key(&entry) {
            self.keep(&Kept { entry, groups: u64::MAX..u64::MAX });
        }
    }

    /// Nothing comes of an entry: nobody decides on what was offered, which stays for another session.
    pub(super) fn withdraw_offer(&mut self, entry: u32) {
        self.offers.open.remove(&entry);
    }

    /// The first byte of a range that waits for the sender's word about its group.
    pub(super) fn undecided_in(&self, run: &Range<u64>) -> Option<u64> {
        if self.offers.open.is_empty() {
            return None;
        }
        let layout = &self.files.roster.layout;
        layout.split(run.clone()).find_map(|piece| {
            let offered = self.offers.open.get(&piece.entry)?;
            let range = layout.range(piece.entry)?;
            let size = range.end - range.start;
            let end = piece.offset.saturating_add(piece.length);
            let mut bytes = offered.iter().map(|groups| bytes_of(&groups, size));
            bytes.any(|bytes| bytes.start < end && piece.offset < bytes.end).then_some(piece.at)
        })
    }

    fn settle_offer(&mut self, entry: u32, stay: &[Range<u64>], go: Vec<Range<u64>>) -> Result<(), StoreError> {
        let Some(range) = self.files.roster.layout.range(entry) else { return Ok(()) };
        if !self.files.is_wanted(entry) {
            return Ok(());
        }
        self.files.take_up(entry)?;
        go.into_iter().try_for_each(|groups| self.files.forget(entry, groups))?;
        for groups in stay {
            let bytes = bytes_of(groups, range.end - range.start);
            self.files.keep(entry, groups.clone(), bytes.end - bytes.start);
            self.received.insert(range.start + bytes.start..range.start + bytes.end);
            self.offers.kept = self.offers.kept.saturating_add(bytes.end - bytes.start);
        }
        Ok(())
    }
}

/// Whether a file is one that is resumed.
pub(super) fn is_resumed(kind: &Kind) -> bool {
    matches!(kind, Kind::File { size } if *size >= crate::chunker::groups::RESUMED_MIN)
}

/// The ranges of a set that lie within a range.
fn cut(set: &RangeSet, within: Range<u64>) -> Vec<Range<u64>> {
    let cut = set.iter().map(|range| range.start.max(within.start)..range.end.min(within.end));
    cut.filter(|range| range.start < range.end).collect()
}

#[cfg(test)]
mod power_cuts;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunker::digests::{DigestWriter, FileDigest};
    use crate::chunker::groups::GROUP;
    use crate::chunker::manifest::{Entry, ManifestWriter, Modified};
    use crate::chunker::request::Existing;
    use crate::io::store::tree::{Outcome, Untaken};
    use crate::io::store::{Operation, Policy, Store};
    use crate::name::SafeName;
    use std::fs;
    use std::io;
    use std::os::unix::fs::FileExt as _;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tempfile::TempDir;

    const SIZE: usize = 6 * GROUP as usize + 5;

    fn content(seed: usize) -> Vec<u8> {
        (0..SIZE).map(|at| ((at + seed).wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    pub(super) fn root() -> TempDir {
        TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a folder")
    }

    fn store(root: &Path, machine: u8) -> Arc<Store> {
        let mut store = Store::open(root, Policy::default()).expect("a store");
        store.machine = [machine; 8];
        Arc::new(store)
    }

    pub(super) fn peer(key: u8, session: u64) -> Peer {
        Peer { key: [key; 32], session }
    }

    /// A tree that knows of one file.
    fn listed(store: &Arc<Store>, peer: Peer, size: usize) -> Tree {
        list(Tree::open(store, Existing::Keep).resuming(peer), size)
    }

    pub(super) fn list(mut tree: Tree, size: usize) -> Tree {
        let mut manifest = Vec::new();
        let mut writer = ManifestWriter::new(&mut manifest);
        let kind = Kind::File { size: size as u64 };
        let path = SafeName::parse("f").expect("a name");
        let entry = Entry { path, kind, mode: 0o644, modified: Modified::default() };
        writer.entry(&entry, &mut manifest).expect("an entry");
        writer.end(&mut manifest);
        tree.handle_manifest(&manifest).expect("a manifest");
        tree
    }

    fn write(tree: &mut Tree, content: &[u8], range: Range<usize>) -> Result<u64, Untaken> {
        tree.handle_bytes(&[(range.start as u64, &content[range])])
    }

    fn held(tree: &mut Tree) -> Vec<u64> {
        let events = std::iter::from_fn(|| tree.poll_event());
        let groups =
            events.filter_map(|event| if let Event::Held { groups, .. } = event { Some(groups) } else { None });
        groups.flat_map(BTreeMap::into_keys).collect()
    }

    fn keep(tree: &mut Tree, groups: Range<u64>) {
        tree.keep(&Kept { entry: 0, groups });
    }

    /// The sender's digest comes; gives how it ended.
    pub(super) fn end(tree: &mut Tree, content: &[u8]) -> Option<Outcome> {
        let mut digests = Vec::new();
        let mut writer = DigestWriter::new(&mut digests);
        let size = content.len() as u64;
        let digest = FileDigest::Read { size, blake3: blake3::hash(content).into(), sha256: None };
        writer.file(&digest, &mut digests).expect("a digest");
        writer.end(&mut digests).expect("an end");
        tree.handle_digests(&mut &digests[..]).expect("digests");
        let mut events = std::iter::from_fn(|| tree.poll_event());
        events.find_map(|event| if let Event::Done(outcome) = event { Some(outcome) } else { None })
    }

    fn partial(root: &Path) -> Option<PathBuf> {
        let paths = fs::read_dir(root).expect("a folder").map(|entry| entry.expect("an entry").path());
        paths.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "partial"))
    }

    pub(super) const PLACED: Option<Outcome> = Some(Outcome { placed: 1, refused: 0, failed: 0 });

    #[test]
    fn late_bytes_of_an_earlier_session_take_nothing_from_a_later_one() {
        let (root, bytes) = (root(), content(0));
        let store = store(root.path(), 1);
        // Both know of the file before anything of it is there.
        let mut earlier = listed(&store, peer(1, 1), SIZE);
        let mut later = listed(&store, peer(1, 2), SIZE);
        write(&mut later, &bytes, 0..1000).expect("taken");
        write(&mut earlier, &bytes, 0..500).expect("dropped");
        let failed = std::iter::from_fn(|| earlier.poll_event()).find(|event| matches!(event, Event::Failed { .. }));
        let Some(Event::Failed { error, .. }) = failed else { panic!("it goes on") };
        assert!(error.to_string().contains("another session"), "{error}");
        write(&mut later, &bytes, 1000..SIZE).expect("taken");
        assert_eq!(end(&mut later, &bytes), PLACED);
        assert!(fs::read(root.path().join("f")).expect("it is there") == bytes);
    }

    #[test]
    fn the_next_session_of_the_same_peer_has_the_groups_that_were_complete_and_reads_none_of_them() {
        let root = root();
        let bytes = content(0);
        let group = GROUP as usize;
        {
            let mut tree = listed(&store(root.path(), 1), peer(1, 1), SIZE);
            write(&mut tree, &bytes, 3 * group..4 * group + 100).expect("taken");
            write(&mut tree, &bytes, 0..group + 7).expect("taken");
        }
        assert_eq!(held(&mut listed(&store(root.path(), 1), peer(2, 2), SIZE)), [0_u64; 0], "somebody else");
        let reads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&reads);
        let count = move |operation| -> io::Result<()> {
            counted.fetch_add(usize::from(operation == Operation::Read), Ordering::Relaxed);
            Ok(())
        };
        let mut store = Store::open_with_faults(root.path(), Policy::default(), Box::new(count)).expect("a store");
        store.machine = [1; 8];
        let mut tree = listed(&Arc::new(store), peer(1, 3), SIZE);
        assert_eq!(held(&mut tree), [0, 3]);
        assert_eq!(write(&mut tree, &bytes, 0..10), Err(Untaken::Unknown { offset: 0 }), "not decided");
        assert_eq!(write(&mut tree, &bytes, group..2 * group), Ok(GROUP), "was not offered");
        keep(&mut tree, 0..1);
        keep(&mut tree, 3..4);
        assert_eq!(tree.resumed(), 2 * GROUP);
        write(&mut tree, &bytes, 2 * group..3 * group).expect("taken");
        write(&mut tree, &bytes, 4 * group..SIZE).expect("taken");
        assert_eq!(end(&mut tree, &bytes), PLACED);
        assert!(fs::read(root.path().join("f")).expect("it is there") == bytes);
        assert_eq!((reads.load(Ordering::Relaxed), partial(root.path())), (0, None));
    }

    #[test]
    fn of_what_is_refused_it_is_said_that_nothing_is_held() {
        let root = root();
        fs::write(root.path().join("f"), b"here before").expect("our file");
        assert_eq!(listed(&store(root.path(), 1), peer(1, 1), SIZE).looked(), 1);
    }

    #[test]
    fn no_more_is_offered_than_may() {
        let root = root();
        write(&mut listed(&store(root.path(), 1), peer(1, 1), SIZE), &content(0), 0..SIZE - 1).expect("taken");
        let store = store(root.path(), 1);
        let tree = Tree::open(&store, Existing::Keep).taking_up(Earlier::Awaited, Some(peer(1, 2))).offering(2);
        assert_eq!(held(&mut list(tree, SIZE)), [0, 1]);
    }

    #[test]
    fn groups_that_do_not_stay_come_again_and_the_size_may_be_another() {
        for (kept, size) in [(0..0, SIZE), (1..2, SIZE), (0..3, 5 * GROUP as usize + 9), (2..3, SIZE + 3_000_000)] {
            let root = root();
            let old = content(0);
            let mut new = content(1);
            new.resize(size, 7);
            let bytes = kept.start as usize * GROUP as usize..kept.end as usize * GROUP as usize;
            new[bytes.clone()].copy_from_slice(&old[bytes.clone()]);
            write(&mut listed(&store(root.path(), 1), peer(1, 1), SIZE), &old, 0..SIZE - 1).expect("taken");
            let mut tree = listed(&store(root.path(), 1), peer(1, 2), size);
            assert_eq!(held(&mut tree).len() as u64, (size as u64).div_ceil(GROUP).min(6));
            keep(&mut tree, kept);
            keep(&mut tree, 9..9);
            write(&mut tree, &new, 0..bytes.start).expect("taken");
            write(&mut tree, &new, bytes.end..size).expect("taken");
            assert_eq!(end(&mut tree, &new), PLACED);
            assert!(fs::read(root.path().join("f")).expect("it is there") == new);
        }
    }

    #[test]
    fn after_a_power_cut_only_what_was_durable_is_held_and_it_is_as_it_was() {
        let root = root();
        // More than is written between two syncs.
        let size = 40 * GROUP as usize;
        let bytes: Vec<u8> = (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        {
            let mut tree = listed(&store(root.path(), 1), peer(1, 1), size);
            for start in (0..38 * GROUP as usize).step_by(GROUP as usize) {
                write(&mut tree, &bytes, start..start + GROUP as usize).expect("taken");
            }
        }
        // What was not synced is lost, or torn.
        let path = partial(root.path()).expect("it is there");
        let file = fs::OpenOptions::new().write(true).open(path).expect("our file");
        file.write_all_at(&vec![0; 5 * GROUP as usize], 33 * GROUP).expect("our file");
        let mut tree = listed(&store(root.path(), 2), peer(1, 2), size);
        assert_eq!(held(&mut tree), (0..32).collect::<Vec<u64>>());
        keep(&mut tree, 0..32);
        write(&mut tree, &bytes, 32 * GROUP as usize..size).expect("taken");
        assert_eq!(end(&mut tree, &bytes), PLACED);
        assert!(fs::read(root.path().join("f")).expect("it is there") == bytes);
    }

    #[test]
    fn a_session_takes_over_what_another_one_still_has() {
        let root = root();
        let store = store(root.path(), 1);
        let bytes = content(0);
        let group = GROUP as usize;
        let mut lost = listed(&store, peer(1, 1), SIZE);
        write(&mut lost, &bytes, 0..2 * group).expect("taken");
        let mut tree = listed(&store, peer(1, 2), SIZE);
        let events: Vec<Event> = std::iter::from_fn(|| tree.poll_event()).collect();
        assert!(matches!(
            &events[..],
            [Event::Accepted { .. }, Event::TookOver { session: 1 }, Event::Held { entry: 0, groups }] if groups.len() == 2
        ));
        write(&mut lost, &bytes, 2 * group..3 * group).expect("dropped");
        drop(lost);
        keep(&mut tree, 0..2);
        write(&mut tree, &bytes, 2 * group..SIZE).expect("taken");
        assert_eq!(end(&mut tree, &bytes), PLACED);
        assert!(fs::read(root.path().join("f")).expect("it is there") == bytes);
    }

    #[test]
    fn a_new_start_and_a_journal_that_was_changed_leave_nothing_to_go_on_with() {
        let root = root();
        let bytes = content(0);
        let begin =
            || write(&mut listed(&store(root.path(), 1), peer(1, 1), SIZE), &bytes, 0..SIZE - 1).expect("taken");
        begin();
        let journal = partial(root.path()).expect("it is there").with_extension("journal");
        let whole = fs::read(&journal).expect("a journal");
        fs::write(&journal, &whole[1..]).expect("our file");
        assert_eq!(held(&mut listed(&store(root.path(), 1), peer(1, 2), SIZE)), [0_u64; 0]);
        begin();
        let mut tree = list(Tree::open(&store(root.path(), 1), Existing::Keep).restarting(peer(1, 3)), SIZE);
        assert_eq!((held(&mut tree), partial(root.path())), (vec![], None));
    }
}
