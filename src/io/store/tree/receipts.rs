//! What an unfinished transfer has placed, written down for the session that goes on with it: a receipt for each file.
//!
//! A receipt is a hash over whose transfer it is, what its sender says of the file (path, size, time of change), and which file got the name
//! (inode, size, time of change). It is written before the file gets its name, so that nobody who is killed leaves a file without one; and it
//! can be lost, but never be wrong: what was changed since then has none, at either side, and a record that is torn or damaged has hashes of nothing.

use super::super::{Store, part::Part, place::open_folder};
use super::resuming::Peer;
use crate::chunker::journal::{Owner, owner};
use crate::chunker::manifest::{ENTRIES_MAX, Entry, Kind};
use crate::chunker::request::Attributes;
use crate::name::TEMPORARY_PREFIX;
use cap_std::fs::{Dir, Metadata, MetadataExt as _};
use rustix::fs::{Mode, OFlags, openat};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::Arc;

/// That a file was placed.
pub(super) type Receipt = [u8; 16];

/// Those of one transfer, in a file of their own in the root.
pub(super) struct Receipts {
    folder: Dir,
    owner: Owner,
    name: String,
    /// What sessions of the transfer have placed, sorted: those in so many bytes of the file.
    known: Vec<Receipt>,
    loaded: u64,
    file: Option<File>,
}

impl Receipts {
    /// Those of the transfer of this peer whose first entry this is, with what was written down before.
    pub(super) fn open(store: &Arc<Store>, peer: &Peer, first: &Entry, attributes: Attributes) -> io::Result<Self> {
        // What was not waited for to be on the disk may be gone with the machine's power.
        let run = if store.policy.sync { [0; 8] } else { store.machine };
        let kept = [u8::from(attributes == Attributes::Kept)];
        let owner = owner(&[b"placed", &peer.key, first.path.as_str().as_bytes(), &kept, &run]);
        let stem: String = owner.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{TEMPORARY_PREFIX}{stem}{RECEIPTS_SUFFIX}");
        let folder = open_folder(store, ".")?;
        Ok(Self { folder, owner, name, known: Vec::new(), loaded: 0, file: None })
    }

    /// Whether it was this entry that was placed as what was found.
    pub(super) fn has(&mut self, entry: &Entry, found: &Metadata) -> bool {
        let receipt = self.receipt(entry, found);
        // A session that was given up may still place what it had received.
        self.known.binary_search(&receipt).is_ok() || (self.look() && self.known.binary_search(&receipt).is_ok())
    }

    /// The receipt of an entry that is about to be placed.
    pub(super) fn of(&self, entry: &Entry, part: &Part) -> io::Result<Receipt> {
        Ok(self.receipt(entry, &part.metadata()?))
    }

    /// Writes down what is about to be placed. What cannot be is sent again, or refused.
    pub(super) fn note(&mut self, receipts: &[Receipt]) {
        if !receipts.is_empty() {
            let _ = self.append(receipts.as_flattened());
        }
    }

    /// All is there, or what was there is to be forgotten.
    pub(super) fn remove(&mut self) {
        (self.file, self.known, self.loaded) = (None, Vec::new(), 0);
        // What stays is swept when it is old.
        let _ = self.folder.remove_file(&self.name);
    }

    /// No entry comes any more, so that most likely nothing is asked any more.
    pub(super) fn let_go(&mut self) {
        (self.known, self.loaded) = (Vec::new(), 0);
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::NONBLOCK;
                let mode = Mode::RUSR | Mode::WUSR;
                let file = File::from(openat(&self.folder, &self.name, flags | OFlags::CLOEXEC, mode)?);
                let length = file.metadata()?.len();
                if !length.is_multiple_of(RECEIPT) {
                    file.set_len(length - length % RECEIPT)?;
                }
                none.insert(file)
            }
        };
        if file.metadata()?.len() >= LENGTH_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        file.write_all(bytes)
    }

    /// Takes in what was written since it was looked at; says whether that is anything.
    fn look(&mut self) -> bool {
        // What cannot be read is not known.
        let bytes = self.read().unwrap_or_default();
        let (receipts, _) = bytes.as_chunks();
        self.known.extend_from_slice(receipts);
        self.known.sort();
        self.loaded = self.loaded.saturating_add(receipts.as_flattened().len() as u64);
        !receipts.is_empty()
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let metadata = self.folder.symlink_metadata(&self.name)?;
        if metadata.is_file() && metadata.len() > self.loaded {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let mut file = File::from(openat(&self.folder, &self.name, flags, Mode::empty())?);
            file.seek(SeekFrom::Start(self.loaded))?;
            file.take(LENGTH_MAX.saturating_sub(self.loaded)).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }

    fn receipt(&self, entry: &Entry, found: &Metadata) -> Receipt {
        let size = if let Kind::File { size } = entry.kind { size } else { u64::MAX };
        let modified = entry.modified;
        let mut hasher = blake3::Hasher::new_keyed(&self.owner);
        for number in [size, modified.seconds().cast_unsigned(), modified.nanoseconds().into()] {
            hasher.update(&number.to_be_bytes());
        }
        let (seconds, nanoseconds) = (found.mtime().cast_unsigned(), found.mtime_nsec().cast_unsigned());
        for number in [found.ino(), found.len(), seconds, nanoseconds] {
            hasher.update(&number.to_be_bytes());
        }
        hasher.update(entry.path.as_str().as_bytes());
        let mut receipt = Receipt::default();
        hasher.finalize_xof().fill(&mut receipt);
        receipt
    }
}

/// Bytes of a receipt.
const RECEIPT: u64 = size_of::<Receipt>() as u64;

/// The length of a file from which on nothing more is written down or read: as many as a transfer has entries, and 16 MB of memory.
const LENGTH_MAX: u64 = ENTRIES_MAX * RECEIPT;

/// How the name of such a file ends.
pub(in crate::io::store) const RECEIPTS_SUFFIX: &str = ".receipts";

#[cfg(test)]
mod tests {
    use super::super::{Event, Tree};
    use super::*;
    use crate::chunker::digests::{DigestWriter, FileDigest};
    use crate::chunker::manifest::{ManifestWriter, Modified};
    use crate::chunker::request::Existing;
    use crate::io::store::{ErrorKind, Policy};
    use crate::name::SafeName;
    use std::fs;
    use std::path::{Path, PathBuf};
    use tempfile::TempDir;

    const NAMES: [&str; 4] = ["d/a", "d/b", "d/c", "d/e"];

    fn store() -> (TempDir, Arc<Store>) {
        let root = TempDir::new().expect("a folder");
        let store = Store::open(root.path(), Policy::default()).expect("a store");
        (root, Arc::new(store))
    }

    fn peer(key: u8) -> Peer {
        Peer { key: [key; 32], session: 1 }
    }

    /// Four files of four bytes, changed at this second.
    fn list(tree: &mut Tree, seconds: i64) {
        let mut manifest = Vec::new();
        let mut writer = ManifestWriter::new(&mut manifest);
        for path in NAMES {
            let (path, kind) = (SafeName::parse(path).expect("a name"), Kind::File { size: 4 });
            let entry = Entry { path, kind, mode: 0o644, modified: Modified::new(seconds, 5) };
            writer.entry(&entry, &mut manifest).expect("an entry");
        }
        writer.end(&mut manifest);
        tree.handle_manifest(&manifest).expect("a manifest");
    }

    /// Brings the first files, without an end.
    fn bring(tree: &mut Tree, files: usize) {
        let mut digests = Vec::new();
        let mut writer = DigestWriter::new(&mut digests);
        for number in 0..files {
            tree.handle_bytes(&[(4 * number as u64, b"file")]).expect("bytes");
            let digest = FileDigest::Read { size: 4, blake3: blake3::hash(b"file").into(), sha256: None };
            writer.file(&digest, &mut digests).expect("a digest");
        }
        if files == NAMES.len() {
            writer.end(&mut digests).expect("an end");
        }
        tree.handle_digests(&mut &digests[..]).expect("digests");
        tree.settle();
    }

    /// Which entries are there already, and which are refused since something is.
    fn standing(tree: &mut Tree) -> (Vec<u32>, Vec<u32>) {
        let (mut there, mut refused) = (Vec::new(), Vec::new());
        while let Some(event) = tree.poll_event() {
            match event {
                Event::There { entry } => there.push(entry),
                Event::Refused { entry, error } if error.kind() == ErrorKind::Exists => refused.push(entry),
                _ => {}
            }
        }
        (there, refused)
    }

    fn again(store: &Arc<Store>, key: u8, seconds: i64) -> (Vec<u32>, Vec<u32>) {
        let mut tree = Tree::open(store, Existing::Keep).resuming(peer(key));
        list(&mut tree, seconds);
        standing(&mut tree)
    }

    fn begun(root: &Path, store: &Arc<Store>, files: usize) -> PathBuf {
        let mut tree = Tree::open(store, Existing::Keep).resuming(peer(1));
        list(&mut tree, 7);
        bring(&mut tree, files);
        drop(tree);
        let names = fs::read_dir(root).expect("a folder").map(|entry| entry.expect("an entry").path());
        names.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "receipts")).expect("a record")
    }

    #[test]
    fn what_an_interrupted_transfer_has_placed_is_there_for_the_same_peer_and_the_same_source() {
        let (root, store) = store();
        begun(root.path(), &store, 3);
        assert_eq!(again(&store, 2, 7), (vec![], vec![0, 1, 2]), "somebody else");
        assert_eq!(again(&store, 1, 8), (vec![], vec![0, 1, 2]), "another source");
        fs::write(root.path().join("d/a"), b"mine").expect("our file");
        fs::rename(root.path().join("d/b"), root.path().join("d/bb")).expect("our file");
        assert_eq!(again(&store, 1, 7), (vec![2], vec![0]), "changed, and gone");
    }

    #[test]
    fn a_record_that_is_torn_or_damaged_loses_receipts_and_gains_none() {
        let (root, store) = store();
        let record = begun(root.path(), &store, 3);
        let whole = fs::read(&record).expect("a record");
        assert_eq!(whole.len(), 48);
        for length in 0..=48 {
            fs::write(&record, &whole[..length]).expect("our file");
            assert_eq!(again(&store, 1, 7).0.len(), length / 16, "{length} bytes");
        }
        for bit in 0..128 {
            let mut other = whole.clone();
            other[16 + bit / 8] ^= 1 << (bit % 8);
            fs::write(&record, &other).expect("our file");
            assert_eq!(again(&store, 1, 7).0.len(), 2, "bit {bit}");
        }
        // What comes behind a torn one counts.
        fs::write(&record, &whole[..20]).expect("our file");
        fs::remove_file(root.path().join("d/b")).expect("our file");
        fs::remove_file(root.path().join("d/c")).expect("our file");
        begun(root.path(), &store, 3);
        assert_eq!(again(&store, 1, 7), (vec![0, 1, 2], vec![]));
    }

    #[test]
    fn a_record_goes_with_the_end_of_the_transfer_or_a_new_start() {
        let (root, store) = store();
        let record = begun(root.path(), &store, 3);
        let mut tree = Tree::open(&store, Existing::Keep).restarting(peer(1));
        list(&mut tree, 7);
        assert_eq!((standing(&mut tree), record.exists()), ((vec![], vec![0, 1, 2]), false));
        drop(tree);
        fs::remove_dir_all(root.path().join("d")).expect("our folder");
        begun(root.path(), &store, 2);
        let mut tree = Tree::open(&store, Existing::Keep).resuming(peer(1));
        list(&mut tree, 7);
        assert_eq!((tree.there(), record.exists()), ((2, 8), true));
        bring(&mut tree, 4);
        assert!(tree.is_done() && !record.exists());
    }

    #[test]
    fn what_a_session_that_was_given_up_places_late_counts_for_the_next_one() {
        let (_root, store) = store();
        let mut lost = Tree::open(&store, Existing::Keep).resuming(peer(1));
        list(&mut lost, 7);
        let mut tree = Tree::open(&store, Existing::Keep).resuming(peer(1));
        list(&mut tree, 7);
        bring(&mut lost, 2);
        bring(&mut tree, 4);
        let mut events = std::iter::from_fn(|| tree.poll_event());
        let outcome = events.find_map(|event| if let Event::Done(outcome) = event { Some(outcome) } else { None });
        let outcome = outcome.expect("an end");
        assert_eq!((outcome.placed, outcome.refused, outcome.failed), (4, 0, 0));
    }
}
