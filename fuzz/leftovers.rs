//! What an earlier session is said to have left of a file: a journal with anything in it, and an unfinished file of any length. All its
//! bytes are zeros, and so are those of the file that is sent.

use homing::chunker::digests::{DigestWriter, FileDigest, Kept};
use homing::chunker::groups::{ChainingValue, GROUP, GroupHasher, bytes_of, count};
use homing::chunker::journal::{Mark, Owner, SLOT, header, is_header, owner, read_slot, slot};
use homing::chunker::manifest::{Entry, Kind, ManifestWriter, Modified};
use homing::chunker::request::Existing;
use homing::io::journal::{Machine, machine};
use homing::io::store::tree::{Event, Groups, Peer, Tree};
use homing::io::store::{Policy, Store};
use homing::name::SafeName;
use std::fs::{self, OpenOptions};
use std::sync::Arc;
use tempfile::TempDir;

const KEY: [u8; 32] = [1; 32];

/// The journal, as it is made up.
pub struct Leftovers {
    /// How many bytes the file has.
    size: u64,
    /// How many of them the unfinished one has.
    length: u64,
    owner: Owner,
    machine: Machine,
    journal: Vec<u8>,
}

impl Leftovers {
    pub fn new(size: u64, length: u64) -> Self {
        let machine = machine().expect("this machine runs");
        Self { size, length, owner: owner(&[&KEY, b"f"]), machine, journal: Vec::new() }
    }

    /// Puts bytes at a place, if that is near enough.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if end <= JOURNAL_MAX {
            self.journal.resize(self.journal.len().max(end), 0);
            self.journal[at..end].copy_from_slice(bytes);
        }
    }

    pub fn header(&mut self, is_ours: bool) {
        let owner = if is_ours { self.owner } else { owner(&[&[2; 32], b"f"]) };
        self.put(0, &header(&owner));
    }

    /// A slot of one group in the place of another, or its own; its value is the right one or not.
    pub fn slot(&mut self, group: u64, place: u64, kind: u8) {
        let mark = match kind & 3 {
            0 | 1 => Mark::Durable,
            2 => Mark::Written(self.machine),
            _ => Mark::Written([9; 8]),
        };
        let value = if kind & 4 == 0 { self.value(group) } else { [kind; 32] };
        self.put((place as usize + 1) * SLOT, &slot(&self.owner, group, &value, mark));
    }

    pub fn cut(&mut self, length: usize) {
        self.journal.truncate(length);
    }

    pub fn flip(&mut self, bit: usize) {
        let bits = self.journal.len() * 8;
        if bits > 0 {
            self.journal[bit % bits / 8] ^= 1 << (bit % 8);
        }
    }

    /// The next session is offered what the journal says, as far as it can be true; if `is_copied`, the rest comes and the file is whole.
    pub fn end(self, is_copied: bool) {
        let root = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a folder");
        let stem = format!(".homing-{}", hex::encode(&self.owner[..16]));
        let part = root.path().join(format!("{stem}.partial"));
        fs::write(&part, b"").expect("a file");
        OpenOptions::new().write(true).open(&part).and_then(|file| file.set_len(self.length)).expect("a file");
        fs::write(part.with_extension("journal"), &self.journal).expect("a file");
        let policy = Policy { sync: false, ..Policy::default() };
        let store = Arc::new(Store::open(root.path(), policy).expect("a store"));
        let mut tree = Tree::open(&store, Existing::Keep).resuming(Peer { key: KEY, session: 1 });
        tree.handle_manifest(&self.manifest()).expect("a manifest");
        let events = std::iter::from_fn(|| tree.poll_event());
        let held = events.filter_map(|event| if let Event::Held { groups, .. } = event { Some(groups) } else { None });
        let held: Groups = held.flatten().collect();
        assert_eq!(held, self.expected());
        if is_copied {
            self.copy(&mut tree, &held);
            drop(tree);
            let content = fs::read(root.path().join("f")).expect("it is there");
            assert!(content.len() as u64 == self.size && content.iter().all(|byte| *byte == 0), "it differs");
            assert_eq!(fs::read_dir(root.path()).expect("a folder").count(), 1, "something is left");
        }
    }

    /// What can be true: whole slots of this owner in their places, of groups that are in both files.
    fn expected(&self) -> Groups {
        let at = |place: u64| -> Option<&[u8; SLOT]> {
            let from = self.journal.get(place as usize * SLOT..)?;
            from.first_chunk()
        };
        if !at(0).is_some_and(|bytes| is_header(&self.owner, bytes)) {
            return Groups::new();
        }
        let groups = (0..count(self.size)).filter(|group| bytes_of(&(*group..group + 1), self.size).end <= self.length);
        let said = |group: u64| {
            let (value, mark) = read_slot(&self.owner, group, at(group + 1)?)?;
            let holds = mark == Mark::Durable || mark == Mark::Written(self.machine);
            holds.then_some((group, value))
        };
        groups.filter_map(said).collect()
    }

    /// The sender keeps what is as it has it, and brings the rest.
    fn copy(&self, tree: &mut Tree, held: &Groups) {
        let mut digests = Vec::new();
        let mut writer = DigestWriter::new(&mut digests);
        let same = |group: &u64| held.get(group) == Some(&self.value(*group));
        for group in held.keys() {
            let groups = if same(group) { *group..group + 1 } else { group + 1..group + 1 };
            writer.kept(&Kept { entry: 0, groups }, &mut digests).expect("a word");
        }
        tree.handle_digests(&mut &digests[..]).expect("words");
        let zeros = vec![0; GROUP as usize];
        for group in (0..count(self.size)).filter(|group| !same(group)) {
            let bytes = bytes_of(&(group..group + 1), self.size);
            let zeros = &zeros[..(bytes.end - bytes.start) as usize];
            tree.handle_bytes(&[(bytes.start, zeros)]).expect("bytes in their place");
        }
        digests.clear();
        let blake3 = blake3::hash(&vec![0; self.size as usize]).into();
        writer.file(&FileDigest::Read { size: self.size, blake3, sha256: None }, &mut digests).expect("a digest");
        writer.end(&mut digests).expect("an end");
        tree.handle_digests(&mut &digests[..]).expect("digests");
        assert!(tree.is_done());
    }

    fn manifest(&self) -> Vec<u8> {
        let mut manifest = Vec::new();
        let mut writer = ManifestWriter::new(&mut manifest);
        let path = SafeName::parse("f").expect("a name");
        let entry = Entry { path, kind: Kind::File { size: self.size }, mode: 0o644, modified: Modified::default() };
        writer.entry(&entry, &mut manifest).expect("an entry");
        writer.end(&mut manifest);
        manifest
    }

    fn value(&self, group: u64) -> ChainingValue {
        let bytes = bytes_of(&(group..group + 1), self.size);
        if bytes.is_empty() {
            return [0; 32];
        }
        let mut hasher = GroupHasher::new(group);
        hasher.update(&vec![0; (bytes.end - bytes.start) as usize]);
        hasher.finish()
    }
}

/// More than the slots of the largest file.
const JOURNAL_MAX: usize = 4096;
