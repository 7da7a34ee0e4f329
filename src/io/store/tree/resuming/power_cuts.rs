//! Power cuts and kills at every moment, and whatever of what was written survives them: the next session is offered only groups whose
//! bytes are on the disk, and what it ends with is the file.
//!
//! Sessions follow each other in one boot, in any order of bytes, while the file changes at its sender. All moments of it are inspected, in
//! all ways of surviving, and some of them gone on with: there in turn all moments are inspected.

mod disk;

use self::disk::{Disk, Image, Name, PAGE, Page, Paths, SURVIVALS, Survival, bytes, put};
use super::tests::{PLACED, end, list, peer, root};
use super::*;
use crate::chunker::groups::{GROUP, GroupHasher, count};
use crate::chunker::request::Existing;
use crate::io::store::tree::partials::Names;
use crate::io::store::{Faults, Operation, Policy, Store};
use crate::name::SafeName;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Where the files of the transfer are.
fn names(root: &Path) -> Paths {
    let names = Names::of(&peer(1, 1), &SafeName::parse("f").expect("a name"));
    let part = root.join(names.part);
    [(Name::Journal, part.with_extension("journal")), (Name::Part, part), (Name::File, root.join("f"))]
}

/// A file as its sender has it.
#[derive(Clone)]
struct Sent {
    bytes: Arc<Vec<u8>>,
    values: Vec<ChainingValue>,
}

impl Sent {
    fn new(bytes: Vec<u8>) -> Self {
        let values = bytes.chunks(GROUP as usize).zip(0..).map(|(bytes, group)| value(group, bytes)).collect();
        Self { bytes: Arc::new(bytes), values }
    }

    fn random(rng: &mut fastrand::Rng) -> Self {
        let mut bytes = vec![0; SIZE_MIN + rng.usize(..2 * GROUP as usize)];
        blake3::Hasher::new().update(&rng.u64(..).to_be_bytes()).finalize_xof().fill(&mut bytes);
        Self::new(bytes)
    }

    /// How long a group is, if it has this value.
    fn length_of(&self, group: u64, value: &ChainingValue) -> Option<usize> {
        let is_it = self.values.get(group as usize) == Some(value);
        is_it.then(|| (self.bytes.len() - (group * GROUP) as usize).min(GROUP as usize))
    }

    /// What becomes of it between two sessions.
    fn changed(&self, rng: &mut fastrand::Rng) -> Self {
        let mut bytes = self.bytes.to_vec();
        let length = bytes.len();
        match rng.u8(..6) {
            0 | 1 => return self.clone(),
            2 | 3 => (0..rng.usize(1..4)).for_each(|_| bytes[rng.usize(..length)] ^= 1),
            4 => bytes.resize(SIZE_MIN + rng.usize(..2 * GROUP as usize), 7),
            _ => return Self::random(rng),
        }
        Self::new(bytes)
    }
}

const SIZE_MIN: usize = 4 * GROUP as usize;

fn value(group: u64, bytes: &[u8]) -> ChainingValue {
    let mut hasher = GroupHasher::new(group);
    hasher.update(bytes);
    hasher.finish()
}

/// What a boot of a machine is started with.
struct Boot<'a> {
    root: &'a Path,
    machine: u8,
    disk: Arc<Mutex<Disk>>,
    /// Whether some of its sessions do not wait for the disk.
    is_hasty: bool,
}

/// A transfer of one file to a store in which every operation is asked for first.
fn tree(root: &Path, machine: u8, policy: Policy, (sync_every, size): (u64, usize), faults: Box<dyn Faults>) -> Tree {
    let mut store = Store::open_with_faults(root, policy, faults).expect("a store");
    (store.machine, store.sync_every) = ([machine; 8], sync_every);
    list(Tree::open(&Arc::new(store), Existing::Replace).resuming(peer(1, 1)), size)
}

impl Boot<'_> {
    /// Something else writes to the journal.
    fn damage(&self, rng: &mut fastrand::Rng) {
        let [(_, journal), ..] = names(self.root);
        let Ok(file) = File::options().write(true).open(journal) else { return };
        file.write_all_at(&[rng.u8(..)], rng.u64(..200)).expect("our file");
        let mut disk = self.disk.lock().expect("the disk");
        disk.look(Operation::SyncSystem);
    }

    /// One session; says whether it came to its end.
    fn session(&self, sent: &Sent, may_end: bool, rng: &mut fastrand::Rng) -> bool {
        let sync_every = [1, 2, 3, 32][rng.usize(..4)] * GROUP;
        let policy = Policy { sync: !self.is_hasty || rng.bool(), ..Policy::default() };
        let disk = Arc::clone(&self.disk);
        let look = move |operation| {
            disk.lock().expect("the disk").look(operation);
            Ok(())
        };
        let mut tree = tree(self.root, self.machine, policy, (sync_every, sent.bytes.len()), Box::new(look));
        let held = held(&mut tree);
        let same = |group: u64| held.get(&group) == sent.values.get(group as usize);
        let mut pieces: VecDeque<(u64, Range<usize>)> = VecDeque::new();
        for group in (0..sent.values.len() as u64).filter(|group| !same(*group)) {
            let (mut at, end) = ((group * GROUP) as usize, sent.bytes.len().min(((group + 1) * GROUP) as usize));
            while at < end {
                let next = end.min(at + rng.usize(100_000..700_000));
                pieces.push_back((group, at..next));
                at = next;
            }
        }
        let mut words: VecDeque<u64> = held.keys().copied().collect();
        let mut tell = |tree: &mut Tree, up_to: u64| {
            while words.front().is_some_and(|group| *group <= up_to) {
                let group = words.pop_front().expect("a group");
                let groups = if same(group) { group..group + 1 } else { group + 1..group + 1 };
                tree.keep(&Kept { entry: 0, groups });
            }
        };
        let steps = if may_end { usize::MAX } else { rng.usize(..=pieces.len() + 1) };
        for _ in 0..steps.min(pieces.len()) {
            let (group, range) = pieces.remove(rng.usize(..pieces.len().min(6))).expect("a piece");
            tell(&mut tree, group);
            tree.handle_bytes(&[(range.start as u64, &sent.bytes[range])]).expect("taken");
        }
        let ends = pieces.is_empty() && steps > 0;
        if ends {
            tell(&mut tree, u64::MAX);
            assert_eq!(end(&mut tree, &sent.bytes), PLACED);
            assert!(fs::read(self.root.join("f")).expect("it is there") == *sent.bytes, "it differs");
        }
        drop(tree);
        self.disk.lock().expect("the disk").look(Operation::Look);
        ends
    }
}

fn held(tree: &mut Tree) -> Groups {
    let events = std::iter::from_fn(|| tree.poll_event());
    events
        .filter_map(|event| if let Event::Held { groups, .. } = event { Some(groups) } else { None })
        .flatten()
        .collect()
}

/// Looks at what one seed leads to; counts how many states of a disk were looked at, and how many groups offered.
#[derive(Default)]
struct Inspection {
    /// Whether some sessions do not wait for the disk: then a power cut may leave half a file, but no later session may.
    is_hasty: bool,
    known: HashMap<(u64, usize, Vec<[u8; 32]>), ChainingValue>,
    images: u64,
    offered: u64,
    resumed: u64,
    /// What was placed.
    files: Vec<Sent>,
}

impl Inspection {
    /// Some sessions of one boot, and what becomes of each of their moments.
    fn boot(&mut self, root: &Path, machine: u8, mut sent: Sent, depth: u32, rng: &mut fastrand::Rng) {
        let boot = Boot { root, machine, disk: Arc::new(Mutex::new(Disk::new(names(root)))), is_hasty: self.is_hasty };
        for number in 0..3 {
            let is_last = number == 2 || depth > 0;
            self.files.push(sent.clone());
            if boot.session(&sent, is_last, rng) && is_last {
                break;
            }
            sent = sent.changed(rng);
            if rng.u8(..6) == 0 {
                boot.damage(rng);
            }
        }
        let moments = std::mem::take(&mut boot.disk.lock().expect("the disk").moments);
        for moment in moments {
            for survival in SURVIVALS {
                let image = moment.image(survival, rng);
                let is_killed = matches!(survival, Survival::Killed | Survival::KilledWithin);
                let machine = if is_killed { machine } else { machine + 1 };
                let what = format!("{survival:?} before {:?} at depth {depth}", moment.before);
                self.inspect(&image, machine, &what);
                if depth < DEPTH_MAX && rng.u32(..[250, 600][depth as usize]) == 0 {
                    let again = super::tests::root();
                    put(&image, names(again.path()), true);
                    self.resumed += 1;
                    let next = sent.changed(rng);
                    self.boot(again.path(), machine, next, depth + 1, rng);
                }
            }
        }
    }

    /// What is offered is there, and a file that has its name is whole.
    fn inspect(&mut self, image: &Image, machine: u8, what: &str) {
        self.images += 1;
        if let Some((pages, length)) = image.get(&Name::File).filter(|_| !self.is_hasty) {
            let is = |sent: &Sent| {
                sent.bytes.len() == *length
                    && sent.bytes.chunks(PAGE).zip(pages).all(|(bytes, page)| page.bytes[..bytes.len()] == *bytes)
            };
            assert!(self.files.iter().any(is), "half a file has its name: {what}");
        }
        let folder = root();
        put(image, names(folder.path()), false);
        let size = self.files.last().map_or(SIZE_MIN, |sent| sent.bytes.len());
        let offered = held(&mut tree(folder.path(), machine, Policy::default(), (GROUP, size), Box::new(|_| Ok(()))));
        for (group, claimed) in offered {
            self.offered += 1;
            assert!(group < count(size as u64), "group {group} of {size} bytes: {what}");
            let (pages, length) = image.get(&Name::Part).expect("a file of which groups are offered");
            let range = (group * GROUP) as usize..size.min(((group + 1) * GROUP) as usize);
            assert!(range.end <= *length, "group {group} of {length} bytes: {what}");
            // The last group of a file that had another size is offered, and no sender has the same.
            let lengths: Vec<usize> = self.files.iter().filter_map(|sent| sent.length_of(group, &claimed)).collect();
            assert!(!lengths.is_empty(), "nobody has sent this group {group}: {what}");
            if lengths.contains(&range.len()) {
                assert_eq!(self.value(group, pages, range), claimed, "group {group}: {what}");
            }
        }
    }

    fn value(&mut self, group: u64, pages: &[Page], range: Range<usize>) -> ChainingValue {
        let within = &pages[range.start / PAGE..range.end.div_ceil(PAGE)];
        let key = (group, range.len(), within.iter().map(|page| page.hash).collect());
        *self.known.entry(key).or_insert_with(|| value(group, &bytes(pages, range)))
    }
}

/// Boots of a machine that follow each other, of which states are gone on with.
const DEPTH_MAX: u32 = 2;

#[test]
fn no_power_cut_and_no_kill_makes_a_group_believed_that_is_not_there() {
    let (mut images, mut offered, mut resumed) = (0, 0, 0);
    for seed in seeds() {
        // Shown if it fails.
        println!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        let folder = root();
        let mut inspection = Inspection { is_hasty: seed % 2 == 1, ..Inspection::default() };
        let sent = Sent::random(&mut rng);
        inspection.boot(folder.path(), 1, sent, 0, &mut rng);
        images += inspection.images;
        offered += inspection.offered;
        resumed += inspection.resumed;
    }
    println!(
        "{images} disks after power cuts and kills, {offered} groups offered on them; {resumed} were gone on with"
    );
    assert!(images > 1000 && offered > 1000 && resumed > 3);
}

/// A few, or so many as are asked for by `POWER_CUTS`.
fn seeds() -> Range<u64> {
    0..std::env::var("POWER_CUTS").map_or(2, |text| text.parse().expect("a number"))
}

#[test]
fn no_failed_operation_makes_a_group_believed_that_is_not_there() {
    let mut rng = fastrand::Rng::with_seed(1);
    let (old, new) = (Sent::random(&mut rng), Sent::random(&mut rng));
    let (mut operations, mut number) = (1, 0);
    while number < operations {
        let folder = root();
        let whole = |_: Operation| Ok(());
        let mut first = tree(folder.path(), 1, Policy::default(), (GROUP, old.bytes.len()), Box::new(whole));
        first.handle_bytes(&[(0, &old.bytes[..old.bytes.len() - 1])]).expect("taken");
        drop(first);
        let count = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&count);
        let nth = move |_: Operation| {
            let mut count = counted.lock().expect("a number");
            *count += 1;
            if *count == number + 2 { Err(Errno::IO.into()) } else { Ok(()) }
        };
        let mut second = tree(folder.path(), 1, Policy::default(), (GROUP, new.bytes.len()), Box::new(nth));
        second.close_offer(0);
        for start in [2 * GROUP as usize, 0, 3 * GROUP as usize + 5] {
            second.handle_bytes(&[(start as u64, &new.bytes[start..start + GROUP as usize - 9])]).expect("taken");
        }
        let last = 3 * GROUP as usize;
        second.handle_bytes(&[(last as u64 - 9, &new.bytes[last - 9..last])]).expect("taken");
        drop(second);
        operations = operations.max(*count.lock().expect("a number"));
        let mut third = tree(folder.path(), 1, Policy::default(), (GROUP, new.bytes.len()), Box::new(whole));
        let [_, (_, part), _] = names(folder.path());
        for (group, claimed) in held(&mut third) {
            let bytes = fs::read(&part).expect("a file of which groups are offered");
            let range = (group * GROUP) as usize..new.bytes.len().min(((group + 1) * GROUP) as usize);
            let is_of_its_size = range.len() as u64 == GROUP || old.bytes.len() == new.bytes.len();
            assert!(!is_of_its_size || value(group, &bytes[range]) == claimed, "group {group}, operation {number}");
        }
        number += 1;
    }
    assert!(operations > 10, "{operations}");
}
