//! Links, which are made when all files are there: so nothing of a transfer is ever written through one of its own links.
//!
//! A link is made only in a folder that is reached without a link: where it leads was judged by the path that the manifest gives it.

use super::super::{
    Store,
    error::{Cause, Operation, StoreError, shown},
    part::Part,
    place::{Place, Replace, check_hidden},
};
use super::Tree;
use super::admission::{Admitted, in_the_way};
use super::files::Files;
use super::folders::ROOT;
use super::growing::timestamps;
use super::roster::State;
use crate::chunker::manifest::{Entry, Kind, Modified, Target, TargetError};
use crate::chunker::request::{Attributes, Existing};
use cap_std::fs::Dir;
use rustix::fs::{AtFlags, Mode, OFlags, openat, symlinkat, utimensat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::sync::Arc;

impl Tree {
    /// No link of this transfer leads out of the first `root` components of its path; without this, it stays beneath the store's folder.
    pub fn hold_links(&mut self, root: usize) {
        self.files.link_root = root;
    }
}

impl Files {
    /// Says whether a link may come. It is looked at again when it is made.
    pub(super) fn admit_link(&self, entry: &Entry, target: &Target) -> Result<Admitted, StoreError> {
        check_hidden(&self.store, &entry.path)?;
        self.judge_target(entry, target)?;
        let Some(folder) = plain_folder(&self.store, entry)? else { return Ok((State::Link, None)) };
        let place = Place::within(&self.store, folder, &entry.path);
        if leads_to(&place, target) {
            return Ok((State::PastLink, None));
        }
        Ok((State::Link, check_existing(&place, self.existing)?.flatten()))
    }

    /// Makes all links that may come; says which failed.
    pub(super) fn make_links(&mut self) -> Vec<(u32, StoreError)> {
        let mut failed = Vec::new();
        for number in self.roster.which(|state| state == State::Link) {
            failed.extend(self.make_link(number).err().map(|error| (number, error)));
            self.roster.set_state(number, State::PastLink);
        }
        failed
    }

    fn make_link(&mut self, number: u32) -> Result<(), StoreError> {
        let entry = self.roster.entry(number)?;
        let Kind::Link { target } = &entry.kind else { return Ok(()) };
        let target = self.judge_target(&entry, target)?;
        // Before a folder is made, so that none is made behind a link.
        plain_folder(&self.store, &entry)?;
        self.make(&entry, entry.path.parent().unwrap_or(ROOT))?;
        let missing = || in_the_way(&entry.path, io::ErrorKind::NotFound.into());
        let folder = plain_folder(&self.store, &entry)?.ok_or_else(missing)?;
        // Leftovers cost room and nothing else.
        let _ = self.store.sweep_once(&folder);
        let place = Place::within(&self.store, Arc::clone(&folder), &entry.path);
        let there = check_existing(&place, self.existing)?;
        let name = self.guard.as_ref().map(|guard| guard.name_of(number)).unwrap_or_default();
        place.attempt(Operation::MakeLink, || Ok(symlinkat(target, &*folder, &name)?))?;
        let mut part = Part::adopt(place, name.clone());
        if self.attributes == Attributes::Kept {
            part.place.attempt(Operation::Attributes, || set_time(&folder, &name, entry.modified))?;
        }
        // What appeared since it was looked at is not replaced.
        part.take_name(if there.is_some() { Replace::Allowed } else { Replace::Never })?;
        self.desk().map_or(Ok(()), |mut desk| desk.note(&folder))
    }

    /// The target of a link, if it may be made here.
    fn judge_target<'a>(&self, entry: &Entry, target: &'a Target) -> Result<&'a str, StoreError> {
        let refused = |reason| StoreError { file: shown(&entry.path), cause: Cause::Link(reason) };
        let text = target.within(&entry.path, self.link_root).map_err(refused)?;
        if !self.store.policy.allow_hidden && target.names().any(|name| name.starts_with('.')) {
            return Err(refused(TargetError::Hidden));
        }
        Ok(text)
    }
}

/// The folder that an entry goes into; `None` if it is missing. No link leads there.
fn plain_folder(store: &Store, entry: &Entry) -> Result<Option<Arc<Dir>>, StoreError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let error = |reason: io::Error| {
        let cause = match Errno::from_io_error(&reason) {
            Some(Errno::NOTDIR | Errno::LOOP) => Cause::ThroughLink,
            _ => Cause::of(Operation::Open, reason),
        };
        StoreError { file: shown(&entry.path), cause }
    };
    store.faults.before(Operation::Open).map_err(error)?;
    let mut folder = openat(&store.root, ROOT, flags, Mode::empty()).map_err(|errno| error(errno.into()))?;
    for name in entry.path.parent().into_iter().flat_map(|parent| parent.split('/')) {
        folder = match openat(&folder, name, flags, Mode::empty()) {
            Ok(inner) => inner,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(error(errno.into())),
        };
    }
    Ok(Some(Arc::new(Dir::from_std_file(File::from(folder)))))
}

/// Whether the same link is there already: nothing is to be done then, whatever the rule.
fn leads_to(place: &Place, target: &Target) -> bool {
    rustix::fs::readlinkat(&*place.folder, place.target.as_str(), Vec::new())
        .is_ok_and(|found| found.as_bytes() == target.as_bytes())
}

/// Whether what has the name of a link already may be replaced: `None` if nothing has it, else its size if it is a file.
fn check_existing(place: &Place, existing: Existing) -> Result<Option<Option<u64>>, StoreError> {
    let found = match place.try_to(Operation::Look, || place.folder.symlink_metadata(&place.target)) {
        Ok(found) if found.is_file() || found.is_symlink() => found,
        Ok(_) => return Err(place.error(Cause::NotAFile)),
        Err(reason) if reason.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(reason) => return Err(place.error(Cause::of(Operation::Look, reason))),
    };
    match existing {
        _ if place.store.policy.no_clobber => Err(place.error(Cause::Exists)),
        Existing::Keep => Err(place.error(Cause::Kept)),
        Existing::Replace | Existing::Update(_) => Ok(Some(found.is_file().then(|| found.len()))),
    }
}

/// Gives a link itself its time of change.
fn set_time(folder: &Dir, name: &str, modified: Modified) -> io::Result<()> {
    match utimensat(folder, name, &timestamps(modified), AtFlags::SYMLINK_NOFOLLOW) {
        // Some file systems have no times for links; where it leads is what matters.
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => Ok(()),
        set => Ok(set?),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Event, Outcome};
    use super::*;
    use crate::chunker::digests::{DigestWriter, FileDigest};
    use crate::chunker::manifest::ManifestWriter;
    use crate::chunker::request::Likeness;
    use crate::io::store::part::temporary_number;
    use crate::io::store::{ErrorKind, Faults, Policy};
    use crate::name::SafeName;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::Path;
    use tempfile::TempDir;

    /// What is to be sent: a link with its target, a folder with a slash behind it, or a file with its own name in it.
    fn manifest(entries: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = ManifestWriter::new(&mut out);
        for text in entries {
            let (path, kind) = match (text.split_once(" -> "), text.strip_suffix('/')) {
                (Some((path, target)), _) => {
                    (path, Kind::Link { target: Target::from_bytes(target.as_bytes()).expect("text") })
                }
                (None, Some(path)) => (path, Kind::Folder),
                (None, None) => (*text, Kind::File { size: text.len() as u64 }),
            };
            let path = SafeName::parse(path).expect("a good name");
            let entry = Entry { path, kind, mode: 0o755, modified: Modified::new(1_000_000_007, 42) };
            writer.entry(&entry, &mut out).expect("an entry in order");
        }
        writer.end(&mut out);
        out
    }

    fn is_file(text: &str) -> bool {
        !text.contains(" -> ") && !text.ends_with('/')
    }

    fn digests(entries: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = DigestWriter::new(&mut out);
        for text in entries.iter().filter(|text| is_file(text)) {
            let blake3 = blake3::hash(text.as_bytes()).into();
            writer.file(&FileDigest::Read { size: text.len() as u64, blake3, sha256: None }, &mut out).expect("short");
        }
        writer.end(&mut out).expect("an end");
        out
    }

    /// Sends all of it; gives what was refused or failed, and how it ended.
    fn send(mut tree: Tree, entries: &[&str]) -> (Vec<(u32, ErrorKind, String)>, Outcome) {
        tree.handle_manifest(&manifest(entries)).expect("a manifest");
        let bytes: String = entries.iter().filter(|text| is_file(text)).copied().collect();
        tree.handle_bytes(&[(0, bytes.as_bytes())]).expect("bytes");
        tree.handle_digests(&mut &digests(entries)[..]).expect("digests");
        let (mut troubles, mut outcome) = (Vec::new(), None);
        while let Some(event) = tree.poll_event() {
            match event {
                Event::Refused { entry, error } | Event::Failed { entry, error } => {
                    troubles.push((entry, error.kind(), error.to_string()));
                }
                Event::Done(told) => outcome = Some(told),
                _ => {}
            }
        }
        (troubles, outcome.expect("an end"))
    }

    fn store_with(policy: Policy, faults: Box<dyn Faults>) -> (TempDir, Arc<Store>) {
        let root = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a folder");
        let store = Store::open_with_faults(root.path(), Policy { sync: false, ..policy }, faults).expect("a store");
        (root, Arc::new(store))
    }

    fn store() -> (TempDir, Arc<Store>) {
        store_with(Policy::default(), Box::new(|_| Ok(())))
    }

    /// Every path beneath a folder, links with their targets.
    fn found(root: &Path) -> Vec<String> {
        let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
                let name = path.strip_prefix(root).expect("beneath").to_str().expect("text").to_owned();
                if let Ok(target) = fs::read_link(&path) {
                    found.push(format!("{name} -> {}", target.display()));
                } else if path.is_dir() {
                    found.push(format!("{name}/"));
                    folders.push(path);
                } else {
                    found.push(name);
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn links_arrive_as_they_are_with_their_times_if_these_are_kept() {
        let (root, store) = store();
        let sent =
            ["t/", "t/a", "t/dangling -> nowhere/at all", "t/l -> a", "t/sub/", "t/sub/up -> ..", "t/to -> sub/"];
        let mut tree = Tree::open(&store, Existing::Keep);
        tree.give(Attributes::Kept);
        tree.hold_links(1);
        let (troubles, outcome) = send(tree, &sent);
        assert_eq!((troubles, outcome), (Vec::new(), Outcome { placed: 1, refused: 0, failed: 0 }));
        assert_eq!(found(root.path()), sent);
        for name in ["t/l", "t/dangling", "t", "t/sub"] {
            let metadata = fs::symlink_metadata(root.path().join(name)).expect("it is there");
            assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_000_000_007, 42), "{name}");
        }
    }

    #[test]
    fn each_link_that_may_not_come_is_named_and_the_rest_arrives() {
        let (root, store) = store();
        let outside = TempDir::new().expect("a folder");
        for (target, name) in [(outside.path(), "out"), (Path::new("deep/er"), "in")] {
            symlink(target, root.path().join(name)).expect("a link");
        }
        fs::create_dir_all(root.path().join("deep/er")).expect("folders");
        fs::write(root.path().join("file"), b"x").expect("a file");
        for (sent, words) in [
            ("t/l -> /etc/passwd", "begins with `/`"),
            ("t/l -> ../../x", "leads out of"),
            ("t/l -> a/../../x", "down and up again"),
            ("t/l -> .ssh/id", "leads to a hidden name"),
            ("t/l -> \u{1b}[2J", "cannot be used"),
            ("t/l -> ", "leads nowhere"),
            (".l -> x", "is hidden"),
            ("out/l -> x", "a folder that is a link or a file here"),
            ("in/l -> x", "a folder that is a link or a file here"),
            ("in/new/l -> x", "a folder that is a link or a file here"),
            ("file/l -> x", "a folder that is a link or a file here"),
        ] {
            let mut sent = vec!["a", sent];
            sent.sort_unstable();
            let before = found(root.path());
            let (troubles, outcome) = send(Tree::open(&store, Existing::Replace), &sent);
            let [(_, ErrorKind::Refused, said)] = &troubles[..] else { panic!("{sent:?}: {troubles:?}") };
            assert!(said.contains(words), "{sent:?}: {said}");
            assert_eq!((outcome.placed, outcome.refused), (1, 1));
            let after: Vec<_> = found(root.path()).into_iter().filter(|name| name != "a").collect();
            assert_eq!(after, before.into_iter().filter(|name| name != "a").collect::<Vec<_>>(), "{sent:?}");
        }
        assert!(found(outside.path()).is_empty());
        let (root, open) = store_with(Policy { allow_hidden: true, ..Policy::default() }, Box::new(|_| Ok(())));
        assert_eq!(send(Tree::open(&open, Existing::Keep), &["t/.l -> .ssh/id"]).0, []);
        assert_eq!(found(root.path()), ["t/", "t/.l -> .ssh/id"]);
        let mut held = Tree::open(&store, Existing::Keep);
        held.hold_links(1);
        assert!(send(held, &["t/l -> ../a", "top -> a"]).0.iter().all(|(.., said)| said.contains("leads out of")));
    }

    #[test]
    fn nothing_is_written_through_a_link_of_the_same_transfer() {
        let (root, store) = store();
        // What lies in a link is no manifest at all.
        for names in [["a -> b", "a/c"], ["a -> b", "a -> c"], ["a -> b", "a/"], ["a", "a -> b"]] {
            let mut bytes = manifest(&[names[0]]);
            // The second entry in place of the end.
            let second = manifest(&[names[1]]);
            bytes.truncate(bytes.len() - END);
            bytes.extend(&second[4..]);
            assert!(Tree::open(&store, Existing::Replace).handle_manifest(&bytes).is_err(), "{names:?}");
        }
        assert!(found(root.path()).is_empty());
        // A link to where later files go, before they do, and one that another transfer would make of their folder.
        let sent = ["l -> t", "t/", "t/f", "t/l -> ../u", "u/g"];
        let mut tree = Tree::open(&store, Existing::Replace);
        tree.handle_manifest(&manifest(&sent)).expect("a manifest");
        tree.handle_bytes(&[(0, b"t/f")]).expect("bytes");
        tree.settle();
        assert!(!found(root.path()).iter().any(|name| name.contains("->")), "links come last");
        drop(tree);
        let (troubles, _) = send(Tree::open(&store, Existing::Replace), &sent);
        assert_eq!(troubles, []);
        assert_eq!(found(root.path()), ["l -> t", "t/", "t/f", "t/l -> ../u", "u/", "u/g"]);
        // Twice the same way: now the link is there, and nothing goes through it either.
        let (troubles, outcome) = send(Tree::open(&store, Existing::Replace), &["l/new -> f"]);
        assert_eq!((troubles.len(), outcome.refused), (1, 1));
    }

    #[test]
    fn a_folder_that_became_a_link_meanwhile_gets_none() {
        let (root, store) = store();
        let sent = ["t/", "t/sub/", "t/sub/l -> x"];
        let mut tree = Tree::open(&store, Existing::Keep);
        tree.handle_manifest(&manifest(&sent)).expect("a manifest");
        fs::create_dir_all(root.path().join("t/other")).expect("folders");
        symlink("other", root.path().join("t/sub")).expect("a link");
        tree.handle_digests(&mut &digests(&sent)[..]).expect("digests");
        assert!(tree.is_done());
        drop(tree);
        assert_eq!(found(root.path()), ["t/", "t/other/", "t/sub -> other"]);
    }

    #[test]
    fn what_has_the_name_of_a_link_stays_or_goes_as_was_said_and_a_folder_stays() {
        let there = ["a", "b -> a", "c/", "d -> c"];
        for (existing, no_clobber, expected) in [
            (Existing::Keep, false, ["a", "b -> a", "c/", "d -> c"]),
            (Existing::Replace, true, ["a", "b -> a", "c/", "d -> c"]),
            (Existing::Replace, false, ["a -> new", "b -> new", "c/", "d -> new"]),
            (Existing::Update(Likeness::Time), false, ["a -> new", "b -> new", "c/", "d -> new"]),
        ] {
            let (root, store) = store_with(Policy { no_clobber, ..Policy::default() }, Box::new(|_| Ok(())));
            fs::write(root.path().join("a"), b"old").expect("a file");
            fs::create_dir(root.path().join("c")).expect("a folder");
            symlink("a", root.path().join("b")).expect("a link");
            symlink("c", root.path().join("d")).expect("a link");
            assert_eq!(found(root.path()), there);
            let sent = ["a -> new", "b -> new", "c -> new", "d -> new", "e -> new"];
            let (troubles, outcome) = send(Tree::open(&store, existing), &sent);
            assert_eq!(found(root.path()), [&expected[..], &["e -> new"]].concat(), "{existing:?}");
            let said = &troubles.iter().find(|(entry, ..)| *entry == 2).expect("the folder").2;
            assert!(said.contains("is a folder, a link or a device here"), "{said}");
            assert_eq!(outcome.refused, if expected[0] == "a" { 4 } else { 1 });
        }
    }

    #[test]
    fn the_same_link_is_left_alone() {
        let (root, store) = store();
        symlink("a", root.path().join("l")).expect("a link");
        let inode = fs::symlink_metadata(root.path().join("l")).expect("a link").ino();
        for existing in [Existing::Keep, Existing::Replace, Existing::Update(Likeness::Content)] {
            let (troubles, outcome) = send(Tree::open(&store, existing), &["l -> a"]);
            assert_eq!((troubles, outcome), (Vec::new(), Outcome::default()), "{existing:?}");
        }
        assert_eq!(fs::symlink_metadata(root.path().join("l")).expect("a link").ino(), inode);
    }

    #[test]
    fn whatever_operation_fails_a_link_is_there_or_not_and_leaves_nothing() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let sent = ["t/", "t/f", "t/l -> f", "u/l -> m"];
        for number in 1..60 {
            let count = AtomicUsize::new(0);
            let nth = move |_| match count.fetch_add(1, Ordering::Relaxed) == number {
                true => Err(Errno::IO.into()),
                false => Ok(()),
            };
            let (root, store) = store_with(Policy::default(), Box::new(nth));
            let mut tree = Tree::open(&store, Existing::Keep);
            tree.give(Attributes::Kept);
            let (troubles, _) = send(tree, &sent);
            let found = found(root.path());
            let is_left = |name: &String| {
                let name = name.split(" -> ").next().unwrap_or_default();
                temporary_number(name.rsplit('/').next().unwrap_or_default()).is_some()
            };
            let told = troubles.iter().filter(|(_, _, said)| !said.contains("removed")).count();
            let links = found.iter().filter(|name| name.contains("l -> ")).count();
            assert!(links == 2 || told > 0, "{number}: {found:?} {troubles:?}");
            // A name that could not be removed is swept by the next server.
            assert!(found.iter().filter(|name| is_left(name)).count() <= 1, "{number}: {found:?}");
        }
    }

    #[test]
    fn a_link_that_a_killed_server_left_is_swept() {
        let (root, store) = store();
        symlink("x", root.path().join(".homing-00000000aaa00001.part")).expect("a link");
        let (troubles, _) = send(Tree::open(&store, Existing::Keep), &["a"]);
        assert_eq!((troubles, found(root.path())), (Vec::new(), vec!["a".to_owned()]));
    }

    /// The bytes of a manifest's end: kind, length, four small numbers, digest.
    const END: usize = 2 + 4 + 32;
}
