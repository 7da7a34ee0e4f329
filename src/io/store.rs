//! Where bytes come to rest: beneath one folder, complete and durable before they get their name.

use std::{
    collections::{HashMap, HashSet},
    fs::{File, TryLockError},
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cap_std::{
    ambient_authority,
    fs::{Dir, MetadataExt as _},
};
use rustix::{
    fs::{Mode, OFlags, openat},
    io::Errno,
};

use self::tree::Claim;
use self::{
    error::Cause,
    part::{GUARD, temporary_name, temporary_number},
    place::{Place, Replace},
};
use crate::io::clock;
use crate::io::journal::{Machine, machine};
use crate::name::SafeName;

pub use self::error::{ErrorKind, Faults, Operation, StoreError};
pub use self::forgotten::may_hold_unfinished;
pub use self::incoming::{Incoming, Published};

mod error;
mod forgotten;
mod giving;
mod incoming;
mod part;
mod place;
pub mod tree;

/// What the owner of the folder allows.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Never replace a file.
    pub no_clobber: bool,
    /// Also take names that begin with a dot. Without it nobody can leave a `.bashrc` in a home folder or a key in `.ssh`.
    pub allow_hidden: bool,
    /// The largest file to take, in bytes.
    pub max_size: Option<u64>,
    /// Wait for the disk before saying that a file is there.
    pub sync: bool,
    /// Take no more bytes a second of one windowed transfer than this, for trying out what a slow disk does.
    pub write_limit: Option<u64>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { no_clobber: false, allow_hidden: false, max_size: None, sync: true, write_limit: None }
    }
}

/// One folder and everything beneath it; nothing here reaches outside, whatever a name says and
/// whoever moves links about meanwhile.
pub struct Store {
    root: Dir,
    policy: Policy,
    faults: Box<dyn Faults>,
    /// Bytes promised to transfers and not yet written. One sum, also where several disks are
    /// mounted beneath the root: that errs on the safe side.
    reserved: Mutex<u64>,
    /// Device and inode of each folder that was swept.
    swept: Mutex<HashSet<(u64, u64)>>,
    /// Who has which file that can be resumed, by its temporary name.
    claims: Mutex<HashMap<String, Arc<Claim>>>,
    /// Which run of the machine this is.
    machine: Machine,
    /// Bytes written to a file of a tree between two syncs.
    sync_every: u64,
}

impl Store {
    /// Opens the folder that files are received into.
    pub fn open(root: &Path, policy: Policy) -> Result<Store, StoreError> {
        Store::open_with_faults(root, policy, Box::new(|_| Ok(())))
    }

    /// Like [`Store::open`], over a disk that fails when `faults` says so.
    pub fn open_with_faults(root: &Path, policy: Policy, faults: Box<dyn Faults>) -> Result<Store, StoreError> {
        let opened = faults.before(Operation::Open).and_then(|()| Dir::open_ambient_dir(root, ambient_authority()));
        let root = opened.map_err(|reason| StoreError {
            file: "the receiving folder".to_owned(),
            cause: Cause::of(Operation::Open, reason),
        })?;
        let machine = machine().map_err(|reason| StoreError {
            file: "the receiving folder".to_owned(),
            cause: Cause::of(Operation::Open, reason),
        })?;
        let (reserved, swept, claims) = (Mutex::new(0), Mutex::new(HashSet::new()), Mutex::new(HashMap::new()));
        Ok(Store { root, policy, faults, reserved, swept, claims, machine, sync_every: SYNC_EVERY })
    }

    /// Says whether a file could be received now. Creates and reserves nothing.
    pub fn admit(self: &Arc<Self>, name: &SafeName, size: u64) -> Result<Admission, StoreError> {
        let place = Place::find(self, name)?;
        let replaces = place.check(size)?;
        place.check_space(size, *self.reserved())?;
        Ok(Admission { replaces })
    }

    /// Begins a file, at its first chunk: checks as [`Store::admit`] does, reserves the space and
    /// makes a temporary file beside the target.
    pub fn create(self: &Arc<Self>, name: &SafeName, size: u64) -> Result<Incoming, StoreError> {
        let place = Place::find(self, name)?;
        place.check(size)?;
        Incoming::begin(place, size)
    }

    /// Makes an empty file if nothing has the name. True if an empty file is there afterwards,
    /// false if one with content was there and stays.
    pub fn create_empty_if_absent(self: &Arc<Self>, name: &SafeName) -> Result<bool, StoreError> {
        let place = Place::find(self, name)?;
        if let Some(size) = place.existing()? {
            // Whoever made it may not have waited for the disk.
            place.sync_folder()?;
            return Ok(size == 0);
        }
        match Incoming::begin(place, 0)?.settle(Replace::Never) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Exists => Ok(Place::find(self, name)?.existing()? == Some(0)),
            Err(error) => Err(error),
        }
    }

    /// How long the disk takes for so many bytes at the least.
    pub(super) fn least_time(&self, bytes: usize) -> Duration {
        let limit = self.policy.write_limit.filter(|limit| *limit > 0);
        limit.map_or(Duration::ZERO, |limit| Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / limit))
    }

    fn reserved(&self) -> MutexGuard<'_, u64> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what killed servers left in a folder, the first time that it is used.
    fn sweep_once(&self, folder: &Dir) -> io::Result<()> {
        let metadata = folder.dir_metadata()?;
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.len() >= SWEPT_FOLDERS {
            swept.clear();
        }
        let first = swept.insert((metadata.dev(), metadata.ino()));
        drop(swept);
        if !first {
            return Ok(());
        }
        for entry in folder.entries()?.take(SWEEP_ENTRIES) {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            // One that cannot be removed does not keep us from the others.
            let _ = match temporary_number(name) {
                Some(_) => self.sweep_file(folder, name),
                None => self.sweep_old(folder, name),
            };
        }
        Ok(())
    }

    /// Removes one leftover, unless it is locked and so still written by somebody.
    fn sweep_file(&self, folder: &Dir, name: &str) -> io::Result<()> {
        let found = folder.symlink_metadata(name)?;
        // A link cannot be locked; who makes one holds the guard.
        if found.is_symlink() && !self.is_guarded(name)? {
            self.faults.before(Operation::Remove)?;
            folder.remove_file(name)?;
        }
        if !found.is_file() {
            return Ok(());
        }
        self.faults.before(Operation::Open)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(folder, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() && file.try_lock().is_ok() && !self.is_guarded(name)? {
            self.faults.before(Operation::Remove)?;
            folder.remove_file(name)?;
        }
        Ok(())
    }

    /// Whether somebody holds the lock that guards this leftover.
    fn is_guarded(&self, name: &str) -> io::Result<bool> {
        let Some(guard) = guard_of(name) else { return Ok(false) };
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(&self.root, guard, flags, Mode::empty()) {
            Ok(file) => Ok(matches!(File::from(file).try_lock(), Err(TryLockError::WouldBlock))),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The name of the file whose lock says that the unfinished file with this name is still of use, itself being closed;
/// `None` for that file itself. The numbers of a transfer's files begin alike, see [`tree`].
fn guard_of(name: &str) -> Option<String> {
    let number = temporary_number(name)?;
    let guard = number | GUARD;
    (guard != number).then(|| temporary_name(guard))
}

/// A file that may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The size of the file that it would replace.
    pub replaces: Option<u64>,
}

/// Whether files can be made in a folder: one is, and vanishes at once.
///
/// # Errors
/// The system's reason why not.
pub fn check_writable(folder: &Path) -> io::Result<()> {
    tempfile::tempfile_in(folder).map(drop)
}

/// Written between two syncs: little enough that the last one is short, much enough that a fast disk does not idle.
const SYNC_EVERY: u64 = 32 * 1024 * 1024;

/// Folders remembered as swept; beyond, they are forgotten together and swept anew.
const SWEPT_FOLDERS: usize = 4096;

/// Entries looked at in one sweep, so that a crowded folder does not hold up its first transfer.
const SWEEP_ENTRIES: usize = 100_000;

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::symlink,
        process::Command,
        sync::{
            Barrier,
            atomic::{AtomicBool, AtomicUsize, Ordering},
        },
        thread,
    };

    use rustix::fs::{CWD, RenameFlags, renameat_with, statvfs};
    use sha2::{Digest as _, Sha256};
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_appears_only_when_it_is_complete() {
        let (root, store) = store(Policy::default());
        fs::create_dir(root.path().join("folder")).expect("a folder");
        let name = name("folder/a | b.txt");

        assert_eq!(ok(store.admit(&name, 6)), Admission { replaces: None });
        assert_eq!(files(root.path()), ["folder"]);

        let mut incoming = ok(store.create(&name, 6));
        ok(incoming.write(b"abc"));
        assert_eq!(incoming.written(), 3);
        assert_eq!(incoming.digest(), sha256(b"abc"));
        assert!(is_temporary(&files(&root.path().join("folder"))[0]));
        ok(incoming.write(b"def"));
        let published = ok(incoming.publish());

        assert_eq!(published.bytes, 6);
        assert_eq!(published.digest, sha256(b"abcdef"));
        assert_eq!(published.replaced, None);
        assert_eq!(files(&root.path().join("folder")), ["a | b.txt"]);
        let path = root.path().join("folder/a | b.txt");
        assert_eq!(fs::read(path).expect("the file"), b"abcdef");
    }

    #[test]
    fn a_file_is_replaced_and_the_notice_says_so() {
        let (root, store) = store(Policy::default());
        fs::write(root.path().join("f"), b"old").expect("a file");
        assert_eq!(ok(store.admit(&name("f"), 1)), Admission { replaces: Some(3) });
        let published = ok(deliver(&store, "f", &[b"n", b"ew!"]));
        assert_eq!(published.replaced, Some(3));
        assert_eq!(contents(root.path(), "f"), Some(b"new!".to_vec()));
    }

    #[test]
    fn a_dropped_file_leaves_nothing() {
        let (root, store) = store(Policy::default());
        let mut incoming = ok(store.create(&name("f"), 10));
        ok(incoming.write(b"half"));
        assert_eq!(*store.reserved(), 6);
        drop(incoming);
        assert_eq!(*store.reserved(), 0);
        assert!(files(root.path()).is_empty());
    }

    #[test]
    fn a_byte_too_many_or_too_few_makes_no_file() {
        let (root, store) = store(Policy::default());
        let mut incoming = ok(store.create(&name("f"), 3));
        ok(incoming.write(b"abc"));
        let error = err(incoming.write(b"d"));
        assert_eq!(error.kind(), ErrorKind::WrongSize);
        assert_eq!(error.to_string(), "\"f\" brought more than its 3 bytes; send it again");
        assert!(files(root.path()).is_empty());
        assert_eq!(err(incoming.write(b"")).kind(), ErrorKind::Io);
        assert_eq!(err(incoming.publish()).kind(), ErrorKind::Io);

        let mut incoming = ok(store.create(&name("f"), 3));
        ok(incoming.write(b"ab"));
        let error = err(incoming.publish());
        assert_eq!(error.kind(), ErrorKind::WrongSize);
        assert_eq!(error.to_string(), "\"f\" brought 2 of its 3 bytes; send it again");
        assert!(files(root.path()).is_empty());
        assert_eq!(*store.reserved(), 0);
    }

    #[test]
    fn a_zero_byte_file_is_a_file() {
        let (root, store) = store(Policy::default());
        let published = ok(deliver(&store, "f", &[]));
        assert_eq!(published.digest, sha256(b""));
        assert_eq!(contents(root.path(), "f"), Some(Vec::new()));
    }

    #[test]
    fn an_empty_start_makes_a_file_and_never_empties_one() {
        for no_clobber in [false, true] {
            let (root, store) = store(Policy { no_clobber, ..Policy::default() });
            assert!(ok(store.create_empty_if_absent(&name("f"))));
            assert!(ok(store.create_empty_if_absent(&name("f"))));
            assert_eq!(contents(root.path(), "f"), Some(Vec::new()));
            fs::write(root.path().join("g"), b"full").expect("a file");
            assert!(!ok(store.create_empty_if_absent(&name("g"))));
            assert_eq!(contents(root.path(), "g"), Some(b"full".to_vec()));
            assert_eq!(files(root.path()), ["f", "g"]);
        }
    }

    #[test]
    fn what_may_not_be_received_is_refused_with_its_reason() {
        let (root, store) = store(Policy { max_size: Some(10), ..Policy::default() });
        let outside = TempDir::new().expect("a folder");
        let at = |path: &str| root.path().join(path);
        fs::create_dir(at("folder")).expect("a folder");
        fs::write(at("file"), b"x").expect("a file");
        symlink(outside.path(), at("out")).expect("a link");
        symlink("../..", at("folder/up")).expect("a link");
        symlink("loop", at("loop")).expect("a link");
        symlink("file", at("link")).expect("a link");
        symlink("folder", at("inside")).expect("a link");

        ok(store.admit(&name("f"), 10));
        ok(store.admit(&name("inside/f"), 10));
        for (path, size, reason) in [
            ("f", 11, "has 11 bytes, the limit here is 10"),
            ("missing/f", 1, "goes into a folder that does not exist here"),
            ("file/f", 1, "goes into a folder that does not exist here"),
            ("out/f", 1, "goes into a folder that leads outside"),
            ("folder/up/f", 1, "goes into a folder that leads outside"),
            ("loop/f", 1, "goes into a folder that leads outside"),
            ("folder", 1, "is a folder, a link or a device here"),
            ("link", 1, "is a folder, a link or a device here"),
            ("out", 1, "is a folder, a link or a device here"),
        ] {
            for error in [err(store.admit(&name(path), size)), err(store.create(&name(path), size))] {
                assert_eq!(error.kind(), ErrorKind::Refused, "{path}");
                assert!(error.to_string().contains(reason), "{path}: {error}");
            }
        }
        let error = err(store.create_empty_if_absent(&name("link")));
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(files(outside.path()).is_empty());
    }

    #[test]
    fn errors_show_a_printable_name_that_is_cut_and_no_path() {
        let (root, store) = store(Policy::default());
        let long = format!("{}\u{202e}{}", "a".repeat(39), "b".repeat(100));
        let error = err(store.admit(&name(&format!("secret/{long}")), 1)).to_string();
        let start = format!("\"{}\\u{{202e}}...\" goes into", "a".repeat(39));
        assert!(error.starts_with(&start), "{error}");

        let missing = root.path().join("missing");
        let error = err(Store::open(&missing, Policy::default()));
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(
            error.to_string(),
            "the receiving folder could not be opened (No such file or directory (os error 2)); \
             check the disk and the permissions there"
        );
    }

    #[test]
    fn no_clobber_lets_one_of_many_win() {
        let (root, store) = store(Policy { no_clobber: true, ..Policy::default() });
        let barrier = Barrier::new(16);
        let winners: Vec<u8> = thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|i| {
                    let (store, barrier) = (&store, &barrier);
                    scope.spawn(move || {
                        let mut incoming = ok(store.create(&name("f"), 4));
                        ok(incoming.write(&[i; 4]));
                        barrier.wait();
                        match incoming.publish() {
                            Ok(_) => Some(i),
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::Exists);
                                None
                            }
                        }
                    })
                })
                .collect();
            let ended = threads.into_iter().map(|t| t.join().expect("no panic"));
            ended.flatten().collect()
        });
        assert_eq!(winners.len(), 1);
        assert_eq!(contents(root.path(), "f"), Some(vec![winners[0]; 4]));
        assert_eq!(files(root.path()), ["f"]);
        assert_eq!(err(store.admit(&name("f"), 1)).kind(), ErrorKind::Exists);
        assert_eq!(err(store.create(&name("f"), 1)).kind(), ErrorKind::Exists);
    }

    #[test]
    fn no_clobber_holds_where_the_file_system_cannot_rename_so() {
        let policy = Policy { no_clobber: true, ..Policy::default() };
        for taken in [false, true] {
            let first = AtomicBool::new(true);
            let faults = move |operation| match operation {
                Operation::Rename if first.swap(false, Ordering::Relaxed) => Err(Errno::INVAL.into()),
                _ => Ok(()),
            };
            let (root, store) = faulty_store(policy, Box::new(faults));
            let mut incoming = ok(store.create(&name("f"), 3));
            ok(incoming.write(b"new"));
            if taken {
                fs::write(root.path().join("f"), b"old").expect("a file");
                assert_eq!(err(incoming.publish()).kind(), ErrorKind::Exists);
                assert_eq!(contents(root.path(), "f"), Some(b"old".to_vec()));
            } else {
                ok(incoming.publish());
                assert_eq!(contents(root.path(), "f"), Some(b"new".to_vec()));
            }
            assert_eq!(files(root.path()), ["f"]);
        }
    }

    #[test]
    fn two_large_files_that_do_not_both_fit_are_not_both_taken() {
        let (root, store) = store(Policy::default());
        let disk = statvfs(root.path()).expect("a disk");
        let size = disk.f_bavail * disk.f_frsize / 3 * 2;
        let first = ok(store.create(&name("a"), size));
        for error in [err(store.admit(&name("b"), size)), err(store.create(&name("b"), size))] {
            assert_eq!(error.kind(), ErrorKind::NoSpace);
            let sentence = error.to_string();
            assert!(sentence.starts_with("\"b\" needs ") && sentence.contains("besides a reserve"), "{sentence}");
        }
        ok(store.create(&name("small"), 1));
        drop(first);
        ok(store.create(&name("b"), size));
        assert_eq!(*store.reserved(), 0);
        assert_eq!(err(store.admit(&name("b"), u64::MAX)).kind(), ErrorKind::NoSpace);
    }

    #[test]
    fn leftovers_are_swept_once_and_files_in_use_are_not() {
        let (root, store) = store(Policy::default());
        let at = |path: &str| root.path().join(path);
        let [dead, live, link, folder, own] = [
            ".homing-0000000000000001.part",
            ".homing-0000000000000002.part",
            ".homing-0000000000000003.part",
            ".homing-0000000000000004.part",
            ".homing-notes.part",
        ];
        for file in [dead, live, own, "kept"] {
            fs::write(at(file), b"x").expect("a file");
        }
        symlink("kept", at(link)).expect("a link");
        fs::create_dir(at(folder)).expect("a folder");
        let locked = fs::OpenOptions::new().read(true).open(at(live)).expect("the file");
        locked.try_lock().expect("a lock");

        ok(store.admit(&name("f"), 1));
        assert!(at(dead).exists());
        let first = ok(store.create(&name("f"), 1));
        let other = ok(Store::open(root.path(), Policy::default()));
        drop(ok(Arc::new(other).create(&name("g"), 1)));
        assert_eq!(files(root.path()).len(), 5, "four and the one in use");
        assert!(!at(dead).exists());

        fs::write(at(dead), b"x").expect("a file");
        drop(ok(store.create(&name("g"), 1)));
        assert!(at(dead).exists(), "swept at the first use only");
        drop(first);
        let mut left = vec![dead, live, folder, own, "kept"];
        left.sort_unstable();
        assert_eq!(files(root.path()), left);
    }

    #[test]
    fn sweepers_and_makers_do_not_disturb_each_other() {
        let root = TempDir::new().expect("a folder");
        thread::scope(|scope| {
            for i in 0..8 {
                let root = root.path();
                scope.spawn(move || {
                    for _ in 0..100 {
                        let policy = Policy { sync: false, ..Policy::default() };
                        let store = Arc::new(ok(Store::open(root, policy)));
                        ok(deliver(&store, &format!("f{i}"), &[b"x"]));
                    }
                });
            }
        });
        assert_eq!(files(root.path()).len(), 8);
    }

    #[test]
    fn a_folder_that_turns_into_a_link_leads_nowhere() {
        let policy = Policy { sync: false, ..Policy::default() };
        let (root, store) = store(policy);
        let outside = TempDir::new().expect("a folder");
        let (folder, link) = (root.path().join("folder"), root.path().join("link"));
        fs::create_dir(&folder).expect("a folder");
        symlink(outside.path(), &link).expect("a link");
        let done = AtomicBool::new(false);
        let landed = thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let flip = renameat_with(CWD, &folder, CWD, &link, RenameFlags::EXCHANGE);
                    flip.expect("an exchange");
                }
            });
            let delivered = (0..3000).filter(|_| deliver(&store, "folder/f", &[b"x"]).is_ok());
            let landed = delivered.count();
            done.store(true, Ordering::Relaxed);
            landed
        });
        assert!(files(outside.path()).is_empty());
        assert!(landed > 0, "not one file came through");
    }

    #[test]
    fn whatever_operation_fails_the_file_is_old_or_complete() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let record = move |operation| {
            log.lock().expect("the log").push(operation);
            Ok(())
        };
        let (_root, store) = faulty_store(Policy::default(), Box::new(record));
        ok(deliver_large(&store));
        let operations = seen.lock().expect("the log").clone();
        for kind in [
            Operation::Open,
            Operation::Look,
            Operation::Write,
            Operation::SyncData,
            Operation::SyncFile,
            Operation::Rename,
            Operation::SyncDirectory,
        ] {
            assert!(operations.contains(&kind), "{kind:?}");
        }

        // The first one opens the root, and without that there is no store to look at.
        for (n, operation) in operations.iter().enumerate().skip(1) {
            for old in [None, Some(b"old".to_vec())] {
                let count = AtomicUsize::new(0);
                let nth = move |_| match count.fetch_add(1, Ordering::Relaxed) == n {
                    true => Err(Errno::IO.into()),
                    false => Ok(()),
                };
                let (root, store) = faulty_store(Policy::default(), Box::new(nth));
                if let Some(old) = &old {
                    fs::write(root.path().join("f"), old).expect("a file");
                }
                let error = err(deliver_large(&store));
                assert_eq!(error.kind(), ErrorKind::Io, "{n} {operation:?}");
                let expected = match operation {
                    Operation::SyncDirectory => Some(large()),
                    _ => old,
                };
                assert!(contents(root.path(), "f") == expected, "{n} {operation:?}");
                assert!(!files(root.path()).iter().any(|name| is_temporary(name)));
                assert_eq!(*store.reserved(), 0);
            }
        }
    }

    #[test]
    fn a_disk_on_which_one_kind_of_operation_never_works_keeps_its_old_file() {
        for kind in [
            Operation::Look,
            Operation::Write,
            Operation::SyncData,
            Operation::SyncFile,
            Operation::Rename,
            Operation::SyncDirectory,
        ] {
            for removes in [true, false] {
                let faults = move |operation| match operation {
                    Operation::Remove if !removes => Err(Errno::IO.into()),
                    operation if operation == kind => Err(Errno::IO.into()),
                    _ => Ok(()),
                };
                let (root, store) = faulty_store(Policy::default(), Box::new(faults));
                fs::write(root.path().join("f"), b"old").expect("a file");
                err(deliver_large(&store));
                let expected = match kind {
                    Operation::SyncDirectory => large(),
                    _ => b"old".to_vec(),
                };
                assert!(contents(root.path(), "f") == Some(expected), "{kind:?}");
                let temporary = files(root.path()).iter().any(|name| is_temporary(name));
                assert!(!(temporary && removes), "{kind:?}");

                // What could not be removed is swept by the next server.
                let next = Arc::new(ok(Store::open(root.path(), Policy::default())));
                ok(deliver(&next, "f", &[b"x"]));
                assert_eq!(files(root.path()), ["f"]);
            }
        }
    }

    #[test]
    fn a_failed_sync_is_never_tried_again() {
        let syncs = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&syncs);
        let faults = move |operation| match operation {
            Operation::SyncFile => {
                count.fetch_add(1, Ordering::Relaxed);
                Err(Errno::IO.into())
            }
            _ => Ok(()),
        };
        let (root, store) = faulty_store(Policy::default(), Box::new(faults));
        let error = err(deliver(&store, "f", &[b"x"]));
        assert!(error.to_string().contains("could not be synced"), "{error}");
        assert_eq!(syncs.load(Ordering::Relaxed), 1);
        assert!(files(root.path()).is_empty());
    }

    #[test]
    fn an_empty_start_on_a_bad_disk_makes_an_empty_file_or_none() {
        for n in 1..12 {
            let count = AtomicUsize::new(0);
            let nth = move |_| match count.fetch_add(1, Ordering::Relaxed) == n {
                true => Err(Errno::IO.into()),
                false => Ok(()),
            };
            let (root, store) = faulty_store(Policy::default(), Box::new(nth));
            let made = store.create_empty_if_absent(&name("f"));
            let there = contents(root.path(), "f");
            assert!(there.is_none() || there == Some(Vec::new()));
            assert_eq!(made.is_ok(), n > 7, "{n}");
            assert!(!files(root.path()).iter().any(|name| is_temporary(name)));
        }
    }

    #[test]
    fn a_full_disk_a_used_quota_and_a_size_limit_are_named() {
        for (errno, reason) in [
            (Errno::NOSPC, "the disk here is full"),
            (Errno::DQUOT, "the disk quota here is used up"),
            (Errno::FBIG, "no larger file is allowed here"),
        ] {
            let faults = move |operation| match operation {
                Operation::Write => Err(errno.into()),
                _ => Ok(()),
            };
            let (root, store) = faulty_store(Policy::default(), Box::new(faults));
            let error = err(deliver(&store, "f", &[b"x"]));
            assert_eq!(error.kind(), ErrorKind::NoSpace);
            assert_eq!(error.to_string(), format!("\"f\" stopped because {reason}; free some space or send less"));
            assert!(files(root.path()).is_empty());
        }
    }

    #[test]
    fn nothing_waits_for_the_disk_where_the_policy_says_so() {
        let faults = |operation| match operation {
            Operation::SyncData | Operation::SyncFile | Operation::SyncDirectory => Err(Errno::IO.into()),
            _ => Ok(()),
        };
        let policy = Policy { sync: false, ..Policy::default() };
        let (root, store) = faulty_store(policy, Box::new(faults));
        ok(deliver_large(&store));
        assert!(ok(store.create_empty_if_absent(&name("g"))));
        assert!(contents(root.path(), "f") == Some(large()));
    }

    #[test]
    fn a_small_disk_that_fills_up_keeps_nothing_half_written() {
        let root = TempDir::new().expect("a folder");
        let Some(_mounted) = Mounted::tmpfs(root.path(), "size=24m") else {
            return;
        };
        let store = Arc::new(ok(Store::open(root.path(), Policy::default())));
        let error = err(store.admit(&name("f"), 9 << 20));
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        let mut incoming = ok(store.create(&name("f"), 7 << 20));
        fs::write(root.path().join("ballast"), vec![0; 20 << 20]).expect("room for the ballast");
        let error = err((0..7).try_for_each(|_| incoming.write(&[0; 1 << 20])));
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(error.to_string().contains("the disk here is full"));
        assert_eq!(files(root.path()), ["ballast"]);
        fs::remove_file(root.path().join("ballast")).expect("the ballast");
        ok(deliver(&store, "f", &[b"x"]));
    }

    #[test]
    fn workers_may_share_a_store_and_hand_on_what_comes_in() {
        fn shared<T: Send + Sync>() {}
        fn handed_on<T: Send>() {}
        shared::<Arc<Store>>();
        handed_on::<Incoming>();
        handed_on::<StoreError>();
    }

    /// A file system of a test's own, gone when dropped.
    struct Mounted<'a>(&'a Path);

    impl Mounted<'_> {
        fn tmpfs<'a>(at: &'a Path, options: &str) -> Option<Mounted<'a>> {
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at);
            match mount.output() {
                Ok(output) if output.status.success() => Some(Mounted(at)),
                Ok(output) => {
                    let reason = String::from_utf8_lossy(&output.stderr);
                    println!("skipped, cannot mount: {}", reason.trim());
                    None
                }
                Err(error) => {
                    println!("skipped, cannot mount: {error}");
                    None
                }
            }
        }
    }

    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0).status();
        }
    }

    fn store(policy: Policy) -> (TempDir, Arc<Store>) {
        faulty_store(policy, Box::new(|_| Ok(())))
    }

    fn faulty_store(policy: Policy, faults: Box<dyn Faults>) -> (TempDir, Arc<Store>) {
        let root = TempDir::new().expect("a folder");
        let store = ok(Store::open_with_faults(root.path(), policy, faults));
        (root, Arc::new(store))
    }

    fn deliver(store: &Arc<Store>, path: &str, pieces: &[&[u8]]) -> Result<Published, StoreError> {
        let size = pieces.iter().map(|piece| piece.len() as u64).sum();
        store.admit(&name(path), size)?;
        let mut incoming = store.create(&name(path), size)?;
        for piece in pieces {
            incoming.write(piece)?;
        }
        incoming.publish()
    }

    /// Long enough for a sync on the way.
    fn deliver_large(store: &Arc<Store>) -> Result<Published, StoreError> {
        let large = large();
        let pieces: Vec<&[u8]> = large.chunks(3 << 20).collect();
        deliver(store, "f", &pieces)
    }

    fn large() -> Vec<u8> {
        (0..10 << 20).map(|i: u32| (i >> 7) as u8).collect()
    }

    fn name(name: &str) -> SafeName {
        SafeName::parse(name).expect("a good name")
    }

    fn ok<T>(result: Result<T, StoreError>) -> T {
        result.unwrap_or_else(|error| panic!("{error}"))
    }

    fn err<T>(result: Result<T, StoreError>) -> StoreError {
        result.err().expect("an error")
    }

    fn files(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("the folder");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().into_string())
            .map(|name| name.expect("a name in UTF-8"))
            .collect();
        names.sort();
        names
    }

    fn contents(root: &Path, path: &str) -> Option<Vec<u8>> {
        fs::read(root.join(path)).ok()
    }

    fn is_temporary(name: &str) -> bool {
        temporary_number(name).is_some()
    }

    fn sha256(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }
}
