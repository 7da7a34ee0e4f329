//! A model of a disk: what was made durable, and all versions since then of every page of 4 KiB, of every length and of the folder.
//!
//! It looks at the files before each operation of the real store. A power cut leaves any of the versions, page by page, torn ones too; in
//! the folder, changes survive in their order. A kill leaves all, and of an operation that was under way its beginning.

use crate::io::store::Operation;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::sync::Arc;

pub(super) const PAGE: usize = 4096;

/// One version of a page; pages with the same hash are the same.
#[derive(Clone)]
pub(super) struct Page {
    pub(super) hash: [u8; 32],
    pub(super) bytes: Arc<[u8]>,
}

impl Page {
    fn new(bytes: Vec<u8>) -> Self {
        Self { hash: blake3::hash(&bytes).into(), bytes: bytes.into() }
    }
}

/// What was in a file since it was last durable, oldest first.
#[derive(Clone)]
struct Inode {
    pages: Vec<Vec<Page>>,
    lengths: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Part,
    Journal,
    File,
}

/// A moment: before an operation.
#[derive(Clone)]
pub(super) struct Moment {
    pub(super) before: Operation,
    inodes: BTreeMap<u64, Arc<Inode>>,
    names: Vec<BTreeMap<Name, u64>>,
    /// What the last operation has changed.
    changed: Vec<(u64, usize)>,
}

pub(super) struct Disk {
    names: Paths,
    now: Moment,
    zeros: Page,
    pub(super) moments: Vec<Moment>,
}

/// What of it survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Survival {
    /// What was durable.
    Nothing,
    /// All, also a power cut.
    Everything,
    /// Of each page, of each length and of the folder one version or another.
    Coins,
    /// All, and the machine runs on.
    Killed,
    /// All but the end of the last operation, and the machine runs on.
    KilledWithin,
}

pub(super) const SURVIVALS: [Survival; 8] = [
    Survival::Nothing,
    Survival::Everything,
    Survival::Killed,
    Survival::KilledWithin,
    Survival::Coins,
    Survival::Coins,
    Survival::Coins,
    Survival::Coins,
];

/// Where the files are.
pub(super) type Paths = [(Name, PathBuf); 3];

/// What is on a disk, as pages and a length.
pub(super) type Image = BTreeMap<Name, (Vec<Page>, usize)>;

impl Disk {
    /// One whose files have these names; what is there is durable.
    pub(super) fn new(names: Paths) -> Self {
        let zeros = Page::new(vec![0; PAGE]);
        let now =
            Moment { before: Operation::Open, inodes: BTreeMap::new(), names: vec![BTreeMap::new()], changed: vec![] };
        let mut disk = Self { names, now, zeros, moments: Vec::new() };
        disk.look(Operation::SyncSystem);
        disk.moments.clear();
        disk
    }

    /// The operation that was looked at last has taken place.
    fn done(&mut self) {
        let name = match self.now.before {
            Operation::SyncData | Operation::SyncFile => Some(Name::Part),
            Operation::SyncJournal => Some(Name::Journal),
            _ => None,
        };
        let there = self.now.names.last().cloned().unwrap_or_default();
        let is_all = self.now.before == Operation::SyncSystem;
        if is_all || self.now.before == Operation::SyncDirectory {
            self.now.names = vec![there.clone()];
        }
        for (number, inode) in &mut self.now.inodes {
            if is_all || name.is_some_and(|name| there.get(&name) == Some(number)) {
                let inode = Arc::make_mut(inode);
                inode.pages.iter_mut().for_each(|versions| drop(versions.drain(..versions.len() - 1)));
                inode.lengths.drain(..inode.lengths.len() - 1);
            }
        }
    }

    /// Takes in what has changed since, before an operation.
    pub(super) fn look(&mut self, before: Operation) {
        self.done();
        self.now.changed.clear();
        let mut there = BTreeMap::new();
        let mut files = 0;
        for (name, path) in self.names.clone() {
            let Ok(content) = fs::read(&path) else { continue };
            let inode = fs::metadata(&path).expect("it is there").ino();
            there.insert(name, inode);
            let changes = self.now.changed.len();
            self.take(inode, &content);
            files += usize::from(self.now.changed.len() > changes);
        }
        // So that it is known in which order things were written.
        assert!(files < 2 || self.now.before == Operation::Open, "two files at once, before {before:?}");
        if self.now.names.last() != Some(&there) {
            self.now.names.push(there);
        }
        self.now.before = before;
        self.moments.push(self.now.clone());
    }

    fn take(&mut self, number: u64, content: &[u8]) {
        let new = || Arc::new(Inode { pages: Vec::new(), lengths: vec![0] });
        let inode = Arc::make_mut(self.now.inodes.entry(number).or_insert_with(new));
        if inode.lengths.last() != Some(&content.len()) {
            inode.lengths.push(content.len());
        }
        inode.pages.resize(inode.pages.len().max(content.len().div_ceil(PAGE)), vec![self.zeros.clone()]);
        for (at, versions) in inode.pages.iter_mut().enumerate() {
            let bytes = content.get(at * PAGE..content.len().min((at + 1) * PAGE)).unwrap_or_default();
            let last = &versions.last().expect("a version").bytes;
            if last[..bytes.len()] != *bytes || last[bytes.len()..].iter().any(|byte| *byte != 0) {
                let mut page = bytes.to_vec();
                page.resize(PAGE, 0);
                versions.push(Page::new(page));
                self.now.changed.push((number, at));
            }
        }
    }
}

impl Moment {
    /// What is on the disk afterwards.
    pub(super) fn image(&self, survival: Survival, rng: &mut fastrand::Rng) -> Image {
        let names = match survival {
            Survival::Nothing => self.names.first(),
            Survival::Coins => rng.choice(&self.names),
            _ => self.names.last(),
        };
        let torn = rng.usize(..=self.changed.len());
        names.into_iter().flatten().map(|(name, inode)| (*name, self.content(*inode, survival, torn, rng))).collect()
    }

    fn content(&self, number: u64, survival: Survival, torn: usize, rng: &mut fastrand::Rng) -> (Vec<Page>, usize) {
        let inode = &self.inodes[&number];
        let newest = |versions: &[Page]| versions.last().expect("a version").clone();
        match survival {
            Survival::Nothing => (inode.pages.iter().map(|versions| versions[0].clone()).collect(), inode.lengths[0]),
            Survival::Everything | Survival::Killed => {
                (inode.pages.iter().map(|versions| newest(versions)).collect(), inode.lengths[inode.lengths.len() - 1])
            }
            Survival::Coins => {
                let page = |versions: &Vec<Page>| match versions.len() {
                    1 => versions[0].clone(),
                    // Two in three survive, so that many states are nearly whole.
                    _ if rng.u8(..3) > 0 => newest(versions),
                    count => {
                        let (one, other) = (&versions[rng.usize(..count)], &versions[rng.usize(..count)]);
                        tear(one, other, rng.usize(..=PAGE))
                    }
                };
                let pages = inode.pages.iter().map(page).collect();
                (pages, *rng.choice(&inode.lengths).expect("a length"))
            }
            Survival::KilledWithin => {
                let mut pages: Vec<Page> = inode.pages.iter().map(|versions| newest(versions)).collect();
                let mut length = inode.lengths[inode.lengths.len() - 1];
                let late = self.changed.iter().enumerate().skip(torn);
                for (at, (_, page)) in late.filter(|(_, (changed, _))| *changed == number) {
                    let versions = &inode.pages[*page];
                    let before = &versions[versions.len().saturating_sub(2)];
                    let cut = if at == torn { rng.usize(..=PAGE) } else { 0 };
                    pages[*page] = tear(&pages[*page], before, cut);
                    let was = inode.lengths[inode.lengths.len().saturating_sub(2)];
                    length = length.min(was.max(if at == torn { page * PAGE + cut } else { 0 }).max(page * PAGE));
                }
                (pages, length)
            }
        }
    }
}

/// The beginning of one version and the end of another.
fn tear(one: &Page, other: &Page, at: usize) -> Page {
    if one.hash == other.hash { one.clone() } else { Page::new([&one.bytes[..at], &other.bytes[at..]].concat()) }
}

/// What stands in a range of a file.
pub(super) fn bytes(pages: &[Page], range: Range<usize>) -> Vec<u8> {
    let within = &pages[range.start / PAGE..range.end.div_ceil(PAGE)];
    let mut bytes = Vec::with_capacity(range.len() + PAGE);
    within.iter().for_each(|page| bytes.extend_from_slice(&page.bytes));
    bytes.drain(..range.start % PAGE);
    bytes.truncate(range.end - range.start);
    bytes
}

/// Puts it on a real disk; of the unfinished file only its length, unless it is to be gone on with.
pub(super) fn put(image: &Image, paths: Paths, is_whole: bool) {
    for (name, path) in paths {
        let Some((pages, length)) = image.get(&name) else { continue };
        let file = File::create_new(&path).expect("a file");
        if is_whole || name == Name::Journal {
            for (at, page) in pages.iter().enumerate() {
                file.write_all_at(&page.bytes, (at * PAGE) as u64).expect("written");
            }
        }
        file.set_len(*length as u64).expect("its length");
    }
}
