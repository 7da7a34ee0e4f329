//! A tree that is received from somebody who says what he likes of it, in a folder that has a neighbour which must stay as it is.

use homing::chunker::request::{Existing, Request, RequestReader};
use homing::codec::{VARINT_MAX, Writer};
use homing::io::store::tree::{Event, Tree};
use homing::io::store::{Policy, Store};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// The folder, its neighbour, and what is received.
pub struct Folder {
    place: TempDir,
    tree: Option<Tree>,
    store: Arc<Store>,
    request: RequestReader,
    is_broken: bool,
    is_done: bool,
    /// What became of each entry.
    fates: BTreeMap<u32, &'static str>,
}

impl Folder {
    pub fn new(existing: Option<Existing>) -> Self {
        let place = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a folder");
        let root = place.path().join("root");
        fs::create_dir_all(root.join("there/inside")).expect("a folder");
        fs::create_dir(place.path().join("outside")).expect("a folder");
        fs::write(place.path().join("outside/neighbour"), b"as it was").expect("a file");
        fs::write(root.join("old"), b"old").expect("a file");
        std::os::unix::fs::symlink("../outside", root.join("link")).expect("a link");
        std::os::unix::fs::symlink("../../outside/neighbour", root.join("there/link")).expect("a link");
        let policy = Policy { sync: false, max_size: None, ..Policy::default() };
        let store = Arc::new(Store::open(&root, policy).expect("a store"));
        let tree = existing.map(|existing| Tree::open(&store, existing));
        let (request, fates) = (RequestReader::new(), BTreeMap::new());
        Self { place, tree, store, request, is_broken: false, is_done: false, fates }
    }

    /// The next bytes of request, manifest and digests.
    pub fn list(&mut self, mut bytes: &[u8]) {
        if self.is_broken {
            return;
        }
        if self.tree.is_none() {
            match self.request.next(&mut bytes) {
                Ok(None) => {}
                Ok(Some(Request::Bring(existing))) => self.tree = Some(Tree::open(&self.store, existing)),
                Ok(Some(Request::Get(_))) | Err(_) => self.is_broken = true,
            }
        }
        if let Some(tree) = &mut self.tree {
            self.is_broken |= tree.handle_listing(bytes).is_err();
        }
        self.drain();
    }

    /// Bytes of the files.
    pub fn take(&mut self, offset: u64, bytes: &[u8]) {
        if self.is_broken {
            return;
        }
        if let Some(tree) = &mut self.tree {
            let before = tree.received().total();
            let result = tree.handle_bytes(&[(offset, bytes)]);
            assert!(tree.received().total() - before <= bytes.len() as u64);
            if let Ok(taken) = result {
                assert!(taken <= bytes.len() as u64);
                assert!(tree.received().covers(offset..offset + bytes.len() as u64));
            }
            // (An open file may turn out to be shorter than what came of it.)
            assert!(tree.known() <= VARINT_MAX && tree.passed() <= VARINT_MAX);
        }
        self.drain();
    }

    pub fn settle(&mut self) {
        if let Some(tree) = &mut self.tree {
            tree.work();
            tree.settle();
        }
        self.drain();
    }

    /// It is over: nothing half-written is left, and the neighbour is as it was.
    pub fn end(mut self) {
        drop(self.tree.take());
        let mut neighbours: Vec<_> = fs::read_dir(self.place.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        neighbours.sort();
        assert_eq!(neighbours, ["outside", "root"]);
        assert_eq!(fs::read_dir(self.place.path().join("outside")).expect("a folder").count(), 1);
        assert_eq!(fs::read(self.place.path().join("outside/neighbour")).expect("a file"), b"as it was");
        let root = self.place.path().join("root");
        no_leftovers(&root);
        links_stay_within(&root, &root.canonicalize().expect("it is there"));
    }

    fn drain(&mut self) {
        let Some(tree) = &mut self.tree else { return };
        while let Some(event) = tree.poll_event() {
            assert!(!self.is_done, "nothing comes after the end: {event:?}");
            let (entry, fate, may_follow): (u32, &str, &[&str]) = match event {
                Event::Accepted { entry, .. } => (entry, "accepted", &[]),
                Event::Refused { entry, .. } => (entry, "refused", &[]),
                Event::Placed { entry, .. } => (entry, "placed", &["accepted"]),
                // A folder that cannot be made is told of at the end, whatever happened to it before.
                Event::Failed { entry, .. } => (entry, "failed", &["accepted"]),
                Event::There { entry } => (entry, "there", &[]),
                Event::Content { entry, .. } => {
                    assert_eq!(self.fates.get(&entry), Some(&"accepted"));
                    continue;
                }
                Event::Held { .. } | Event::TookOver { .. } => panic!("nobody asked for what an earlier session left"),
                Event::Done(_) => {
                    self.is_done = true;
                    continue;
                }
            };
            match self.fates.insert(entry, fate) {
                None => assert!(may_follow.is_empty(), "{entry} is {fate} before it came"),
                Some(before) => assert!(may_follow.contains(&before), "{entry} is {fate} after it was {before}"),
            }
        }
    }
}

/// An entry of a manifest, as it stands in a record; a link's target is one of some that mean something elsewhere.
pub fn entry(kind: u64, shared: u64, suffix: &[u8], size: u64) -> (u64, Vec<u8>) {
    let mut body = Vec::new();
    let mut writer = Writer::new(&mut body, usize::MAX);
    let written = [shared, suffix.len() as u64].iter().try_for_each(|number| writer.varint(*number));
    let written = written.and_then(|()| writer.bytes(suffix));
    let rest = [0o644, 2_000_000_000, 1].iter().try_for_each(|number| writer.varint(*number));
    let target = TARGETS.get(size as usize % TARGETS.len()).copied().unwrap_or_default();
    let size = match kind {
        1 => writer.varint(size.min(VARINT_MAX)),
        4 => writer.varint(target.len() as u64).and_then(|()| writer.bytes(target)),
        _ => Ok(()),
    };
    written.and(rest).and(size).expect("there is room");
    (kind, body)
}

fn no_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        assert!(!entry.file_name().to_string_lossy().ends_with(".part"), "{:?} is left", entry.path());
        if entry.file_type().expect("a type").is_dir() {
            no_leftovers(&entry.path());
        }
    }
}

/// No link leads out, but for the two that were there.
fn links_stay_within(folder: &Path, root: &Path) {
    for path in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let metadata = path.symlink_metadata().expect("it is there");
        if metadata.is_dir() {
            links_stay_within(&path, root);
        } else if metadata.is_symlink()
            && let Ok(there) = path.canonicalize()
        {
            let is_ours = [root.join("link"), root.join("there/link")].contains(&path);
            assert!(is_ours || there.starts_with(root), "{path:?} leads to {there:?}");
        }
    }
}

/// Where links would lead, inside and elsewhere.
const TARGETS: [&[u8]; 16] = [
    b"a",
    b"b",
    b"..",
    b"a/..",
    b"../../outside",
    b"../outside",
    b"/tmp",
    b"",
    b".",
    b"./a//b/",
    b"../b",
    b"\xff",
    b"a\x00b",
    b".hidden",
    b"there",
    b"../../..",
];

/// Names that mean something elsewhere, and some that are good.
pub const NAMES: [&[u8]; 32] = [
    b"a",
    b"a/b",
    b"a/b/c",
    b"b",
    b"c",
    b"old",
    b"there",
    b"there/new",
    b"there/link",
    b"there/link/x",
    b"link",
    b"link/x",
    b"..",
    b"../outside/x",
    b"a/../../x",
    b"/tmp/x",
    b"/",
    b"",
    b".",
    b"a//b",
    b"a/./b",
    b"C:x",
    b"CON",
    b"nul.txt",
    b"x\\y",
    b"\x1b[2J",
    b"\xff\xfe",
    b".hidden",
    b".homing-0000000000000000.part",
    b"a\x00b",
    b"A",
    b"caf\xc3\xa9",
];
