//! One windowed transfer at the disk: what comes of it goes into a tree, and what becomes of that goes back.

use super::answer::{Answer, Contents};
use super::words::Words;
use super::{Expected, Saved};
use crate::chunker::answers::{Fate, Objection, Tally};
use crate::chunker::groups::OFFERED_TO_SERVER_MAX;
use crate::chunker::request::{Request, RequestReader};
use crate::chunker::wanted::Vet;
use crate::io::clock;
use crate::io::gauge::{Gauge, Meter};
use crate::io::store::tree::{Event, Outcome, Peer, Tree, Untaken};
use crate::io::store::{ErrorKind, Store, StoreError};
use crate::name::Printable;
use crate::session::windowed::gather::Block;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The transfer. Dropped, what has no name yet is removed.
pub(super) struct Job {
    store: Arc<Store>,
    request: RequestReader,
    /// The client wants files.
    is_asked: bool,
    /// What may come, if this side has asked for it.
    vet: Option<Vet>,
    /// SHA-256 of each file is asked for as well.
    sha256: bool,
    /// Whose transfer it is.
    peer: Option<Peer>,
    /// Bytes of an earlier session that were told of.
    told_kept: u64,
    /// What this program has saved of it in earlier sessions, and how many of those files were refused or found to be there since.
    saved: Arc<Saved>,
    refused_again: u64,
    found_again: u64,
    /// Once the request is read.
    tree: Option<Tree>,
    /// Bytes that the tree cannot take yet, by offset.
    held: BTreeMap<u64, Block>,
    /// How far the byte space was known when all of them were last tried.
    tried: u64,
    contents: Contents,
    has_begun: bool,
    told_passed: u64,
    /// From when on it is told again which file is being received.
    tells_at: Instant,
    told_end: bool,
    /// What is said to the client.
    words: Words,
    meter: Meter,
    placed_bytes: u64,
    digest: Option<[u8; 32]>,
    /// From when on what is verified is placed also if it is little, and how many files were placed when that was last put off.
    places_at: Instant,
    placed_then: u64,
}

impl Job {
    pub(super) fn new(store: &Arc<Store>, gauge: &Gauge, peer: Option<Peer>) -> Self {
        Self {
            store: Arc::clone(store),
            request: RequestReader::new(),
            is_asked: false,
            vet: None,
            sha256: false,
            peer,
            told_kept: 0,
            saved: Arc::default(),
            refused_again: 0,
            found_again: 0,
            tree: None,
            held: BTreeMap::new(),
            tried: 0,
            contents: Contents::default(),
            has_begun: false,
            told_passed: 0,
            tells_at: clock::now(),
            told_end: false,
            words: Words::new(),
            meter: Meter::begin(gauge),
            placed_bytes: 0,
            digest: None,
            places_at: clock::now() + PLACED_WITHIN,
            placed_then: 0,
        }
    }

    /// What comes was asked for by this side.
    pub(super) fn expecting(store: &Arc<Store>, gauge: &Gauge, expected: Expected) -> Self {
        let Expected { existing, attributes, wanted, sha256, peer, saved } = expected;
        let mut tree = Tree::open(store, existing).taking_up(wanted.earlier, peer).offering(OFFERED_TO_SERVER_MAX);
        tree.give(attributes);
        tree.hold_links(wanted.root());
        Self { tree: Some(tree), vet: Some(Vet::new(wanted)), sha256, saved, ..Self::new(store, gauge, peer) }
    }

    /// The next bytes of the listing came. An error is why nothing more can come of the transfer.
    pub(super) fn list(&mut self, bytes: &[u8], answers: &mut Vec<Answer>) -> Result<(), String> {
        let mut rest = bytes;
        if let Some(vet) = &mut self.vet {
            vet.look(rest).map_err(|stranger| stranger.to_string())?;
        }
        if self.tree.is_none() {
            match self.request.next(&mut rest).map_err(|error| error.to_string())? {
                Some(Request::Bring(existing)) => {
                    let tree = Tree::open(&self.store, existing);
                    let mut tree = tree.taking_up(self.request.earlier(), self.peer);
                    tree.give(self.request.attributes());
                    self.tree = Some(tree);
                }
                Some(Request::Get(wanted)) => {
                    self.is_asked = true;
                    answers.push(Answer::Wanted(wanted));
                }
                None => {}
            }
        }
        if let Some(tree) = &mut self.tree {
            tree.handle_listing(rest).map_err(|error| error.to_string())?;
        }
        answers.push(Answer::Listed(bytes.len() as u64));
        self.report(answers);
        self.retry(answers)
    }

    /// Bytes of the files came. An error is why nothing more can come of the transfer.
    pub(super) fn take(&mut self, block: Block, answers: &mut Vec<Answer>) -> Result<(), String> {
        if self.is_asked {
            return Err("bytes of files came from a client that wants files".into());
        }
        self.meter.work();
        let taken = self.write_or_hold(block, answers);
        self.meter.rest();
        taken
    }

    fn write_or_hold(&mut self, block: Block, answers: &mut Vec<Answer>) -> Result<(), String> {
        let (began, least) = (clock::now(), self.store.least_time(block.bytes.len()));
        let was_taken = self.write(&block)?;
        clock::pause((began + least).saturating_duration_since(clock::now()));
        if !was_taken {
            self.held.insert(block.offset, block);
            return Ok(());
        }
        answers.push(Answer::Written(block.bytes));
        self.retry(answers)
    }

    /// Whether there is something to do besides what comes.
    pub(super) fn is_busy(&self) -> bool {
        self.tree.as_ref().is_some_and(Tree::is_busy)
    }

    /// Does a little of it. An error is why nothing more can come of the transfer.
    pub(super) fn work(&mut self, answers: &mut Vec<Answer>) -> Result<(), String> {
        self.meter.work();
        self.tree.iter_mut().for_each(Tree::work);
        self.meter.rest();
        self.retry(answers)
    }

    /// What is verified gets its name. Who has asked for it is told so; others are gone.
    pub(super) fn close(&mut self, answers: &mut Vec<Answer>) {
        if let Some(tree) = &mut self.tree {
            tree.settle();
        }
        if self.vet.is_some() {
            self.report(answers);
        }
    }

    /// Whether files are verified that have no names yet.
    pub(super) fn is_unsettled(&self) -> bool {
        self.tree.as_ref().is_some_and(Tree::is_unsettled)
    }

    /// What is verified gets its name, if that is long ago: whoever is killed has not received it for nothing then. The disk is not kept
    /// busy with it for more than a fifth of the time.
    pub(super) fn place(&mut self, answers: &mut Vec<Answer>) {
        let began = clock::now();
        let placed = self.tree.as_ref().map_or(0, Tree::placed);
        if std::mem::replace(&mut self.placed_then, placed) != placed {
            // Where full batches follow each other, nothing waits for long.
            self.places_at = self.places_at.max(began + PLACED_WITHIN);
        }
        if began < self.places_at || !self.is_unsettled() {
            return;
        }
        self.tree.iter_mut().for_each(Tree::settle);
        self.report(answers);
        let took = clock::now().saturating_duration_since(began);
        self.places_at = clock::now() + PLACED_WITHIN.max(took * 4);
    }

    /// What was held back may be taken by now.
    fn retry(&mut self, answers: &mut Vec<Answer>) -> Result<(), String> {
        let mut offsets: Vec<u64> = Vec::new();
        let known = self.tree.as_ref().map_or(0, Tree::known);
        let is_tried = std::mem::replace(&mut self.tried, known) == known;
        let is_in_vain = |job: &Self| is_tried && job.tree.as_ref().is_none_or(Tree::is_crowded);
        if !is_in_vain(self) {
            offsets.extend(self.held.range(..known).map(|(offset, _)| *offset));
        }
        for offset in offsets {
            // Ten thousand blocks that wait for room are not tried again with every packet.
            if is_in_vain(self) {
                break;
            }
            let Some(block) = self.held.remove(&offset) else { continue };
            if self.write(&block)? {
                answers.push(Answer::Written(block.bytes));
            } else {
                self.held.insert(offset, block);
            }
        }
        self.report(answers);
        Ok(())
    }

    /// Says whether the bytes were taken.
    fn write(&mut self, block: &Block) -> Result<bool, String> {
        let Some(tree) = &mut self.tree else { return Ok(false) };
        match tree.handle_bytes(&[(block.offset, &block.bytes)]) {
            Ok(_) => Ok(true),
            Err(Untaken::Unknown { .. } | Untaken::Crowded) => Ok(false),
            Err(error @ Untaken::Beyond { .. }) => Err(error.to_string()),
        }
    }

    /// Passes on what the tree has come to: what it brings, what is wrong with it, and last, if it has come to that, its end.
    fn report(&mut self, answers: &mut Vec<Answer>) {
        let Some(mut tree) = self.tree.take() else { return };
        let (mut told, mut done) = (Vec::new(), None);
        while let Some(event) = tree.poll_event() {
            match event {
                Event::Held { entry, groups } => self.words.held(entry, groups),
                Event::Content { entry, blake3 } => self.words.content(entry, &blake3),
                Event::TookOver { session } => answers.push(Answer::TookOver(session)),
                event => self.on_event(event, &mut tree, &mut told, &mut done),
            }
        }
        self.words.looked(tree.looked());
        if tree.is_listed() && !self.has_begun {
            self.has_begun = true;
            self.contents.bytes = tree.end();
            answers.push(Answer::Begins(self.contents.clone()));
        }
        answers.extend(told);
        let (resumed, (_, there)) = (tree.resumed(), tree.there());
        if resumed.saturating_add(there) > self.told_kept {
            self.told_kept = resumed.saturating_add(there);
            answers.push(Answer::Kept { resumed, there });
        }
        if let Some(end) = tree.end().filter(|_| !self.told_end) {
            self.told_end = true;
            answers.push(Answer::End(end));
        }
        let passed = tree.passed();
        if passed > self.told_passed {
            self.told_passed = passed;
            answers.push(Answer::Passed(passed));
            // Once in a while: it is looked up in a table, and for people.
            let now = clock::now();
            if self.vet.is_some() && now >= self.tells_at {
                self.tells_at = now + TELL_EVERY;
                answers.extend(tree.at(passed).map(Answer::At));
            }
        }
        answers.extend(self.words.take().map(Answer::Say));
        answers.extend(done);
        self.tree = Some(tree);
    }

    fn on_event(&mut self, event: Event, tree: &mut Tree, told: &mut Vec<Answer>, done: &mut Option<Answer>) {
        match event {
            Event::Accepted { entry, .. } => self.count(entry, tree),
            Event::There { entry } => {
                self.count(entry, tree);
                self.found_again += u64::from(self.is_ours(entry, tree));
                self.words.there(entry);
            }
            Event::Refused { entry, error } => {
                self.count(entry, tree);
                // Its sender need not bring it; nobody else has to hear of it.
                let is_ours = error.kind() == ErrorKind::Exists && self.is_ours(entry, tree);
                let mut unheard = Vec::new();
                self.object(entry, Fate::Refused, &error, if is_ours { &mut unheard } else { told });
                self.refused_again += u64::from(is_ours);
            }
            Event::Placed { entry, bytes, blake3, .. } => {
                if self.vet.is_some() {
                    let path = tree.path(entry).unwrap_or_default();
                    told.push(self.placed(path, bytes));
                }
                self.placed_bytes = self.placed_bytes.saturating_add(bytes);
                self.digest = Some(blake3);
            }
            Event::Failed { entry, error } => {
                let fate = if error.kind() == ErrorKind::Differs { Fate::Differs } else { Fate::Failed };
                self.object(entry, fate, &error, told);
            }
            Event::Held { .. } | Event::Content { .. } | Event::TookOver { .. } => {}
            Event::Done(Outcome { placed, refused, failed }) => {
                let bytes = self.placed_bytes.saturating_add(self.saved.bytes());
                let placed = placed.saturating_add(self.refused_again).saturating_add(self.found_again);
                let tally = Tally { placed, refused: refused.saturating_sub(self.refused_again), failed };
                self.words.end(tally, self.meter.strain());
                let blake3 = self.digest.filter(|_| placed == 1);
                let (resumed, there) = (tree.resumed(), tree.there().0.saturating_sub(self.found_again));
                *done = Some(Answer::Done { tally, bytes, blake3, resumed, there });
            }
        }
    }

    /// Whether this program has saved an entry in an earlier session.
    fn is_ours(&self, entry: u32, tree: &mut Tree) -> bool {
        tree.path(entry).is_some_and(|path| self.saved.contains(&path))
    }

    /// A file that was asked for has its name. Its bytes came in any order, so its SHA-256 is made now, from what is there: the sender's
    /// word for it would prove nothing.
    fn placed(&self, path: String, bytes: u64) -> Answer {
        let sha256 = if self.sha256 { self.store.sha256(Path::new(&path)).map(Some) } else { Ok(None) };
        match sha256 {
            Ok(sha256) => Answer::Placed { path, bytes, sha256 },
            Err(error) => {
                let reason = format!("\"{}\" is there and cannot be read for its SHA-256: {error}", Printable(&path));
                Answer::Objection { name: path, reason, kind: ErrorKind::Io }
            }
        }
    }

    fn count(&mut self, entry: u32, tree: &mut Tree) {
        if self.contents.entries == 0 {
            self.contents.name = tree.path(entry).unwrap_or_else(|| "something without a name".into());
        }
        self.contents.entries += 1;
    }

    fn object(&mut self, entry: u32, fate: Fate, error: &StoreError, told: &mut Vec<Answer>) {
        let reason = error.to_string();
        self.words.object(&Objection { entry, fate, reason: reason.clone() });
        told.push(Answer::Objection { name: self.contents.name.clone(), reason, kind: error.kind() });
    }
}

/// How often who has asked for files is told which of them comes.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// How long verified files wait at most for others with which they are placed, where the disk is fast.
const PLACED_WITHIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunker::answers::{Answer as Word, AnswerReader};
    use crate::chunker::digests::{DigestWriter, FileDigest};
    use crate::chunker::manifest::{Entry, Kind, ManifestWriter, Modified};
    use crate::chunker::request::{Attributes, Earlier, Existing, request};
    use crate::io::store::Policy;
    use crate::name::SafeName;
    use std::fs;

    fn job() -> (tempfile::TempDir, Job) {
        let root = tempfile::tempdir().expect("a folder");
        let store = Store::open(root.path(), Policy::default()).expect("a store");
        let job = Job::new(&Arc::new(store), &Gauge::default(), None);
        (root, job)
    }

    /// What a client sends about these files: request and manifest, and the digests.
    fn listing(existing: Existing, files: &[(&str, &[u8])]) -> (Vec<u8>, Vec<u8>) {
        let (mut out, mut digests) = (request(existing, Earlier::Ignored, Attributes::Fresh), Vec::new());
        let (mut writer, mut digester) = (ManifestWriter::new(&mut out), DigestWriter::new(&mut digests));
        for (name, content) in files {
            let (path, size) = (SafeName::parse(name).expect("a good name"), content.len() as u64);
            let entry = Entry { path, kind: Kind::File { size }, mode: 0o644, modified: Modified::default() };
            writer.entry(&entry, &mut out).expect("in order");
            let digest = FileDigest::Read { size, blake3: blake3::hash(content).into(), sha256: None };
            digester.file(&digest, &mut digests).expect("a small file");
        }
        writer.end(&mut out);
        digester.end(&mut digests).expect("an end");
        (out, digests)
    }

    fn block(offset: u64, bytes: &[u8]) -> Block {
        Block { offset, bytes: bytes.to_vec() }
    }

    #[test]
    fn bytes_wait_until_the_manifest_says_where_they_belong() {
        let (root, mut job) = job();
        let (listing, digests) = listing(Existing::Keep, &[("a", b"one"), ("b", b"three")]);
        let mut answers = Vec::new();
        job.take(block(0, b"onethree"), &mut answers).expect("held");
        assert_eq!(answers, []);
        let (first, rest) = listing.split_at(listing.len() - 1);
        job.list(first, &mut answers).expect("a listing");
        assert!(answers.ends_with(&[Answer::Written(b"onethree".to_vec()), Answer::Passed(8)]), "{answers:?}");
        answers.clear();
        job.list(rest, &mut answers).expect("the last byte of the manifest");
        let contents = Contents { name: "a".into(), entries: 2, bytes: Some(8) };
        assert_eq!(std::mem::take(&mut answers)[..3], [Answer::Listed(1), Answer::Begins(contents), Answer::End(8)]);
        job.list(&digests, &mut answers).expect("digests");
        let tally = Tally { placed: 2, refused: 0, failed: 0 };
        assert_eq!(answers.last(), Some(&Answer::Done { tally, bytes: 8, blake3: None, resumed: 0, there: 0 }));
        assert_eq!(fs::read(root.path().join("b")).expect("a file"), b"three");
    }

    #[test]
    fn what_is_refused_need_not_come_and_the_client_is_told() {
        let (root, mut job) = job();
        fs::write(root.path().join("a"), b"old").expect("a file");
        let (listing, digests) = listing(Existing::Keep, &[("a", b"new"), ("b", b"three")]);
        let mut answers = Vec::new();
        job.list(&[listing, digests].concat(), &mut answers).expect("a listing");
        assert!(answers.contains(&Answer::Passed(3)), "{answers:?}");
        job.take(block(3, b"three"), &mut answers).expect("the other file");
        let tally = Tally { placed: 1, refused: 1, failed: 0 };
        let blake3 = Some(blake3::hash(b"three").into());
        assert_eq!(answers.last(), Some(&Answer::Done { tally, bytes: 5, blake3, resumed: 0, there: 0 }));
        let (mut reader, mut words) = (AnswerReader::new(), Vec::new());
        for answer in &answers {
            let Answer::Say(bytes) = answer else { continue };
            let mut rest = &bytes[..];
            while let Some(word) = reader.next(&mut rest).expect("an answer") {
                words.push(word);
            }
        }
        let [Word::Objection(objection), Word::End(end)] = &words[..] else { panic!("{words:?}") };
        assert_eq!((objection.entry, objection.fate, *end), (0, Fate::Refused, tally));
        assert!(objection.reason.contains("--overwrite"), "{objection:?}");
        assert_eq!(fs::read(root.path().join("a")).expect("a file"), b"old");
    }

    #[test]
    fn nonsense_ends_the_transfer_with_a_reason() {
        let (_root, mut job) = job();
        assert!(job.list(b"nonsense", &mut Vec::new()).is_err_and(|reason| reason.contains("request")));
        let (_root, mut job) = self::job();
        let (listing, _) = listing(Existing::Replace, &[("a", b"new")]);
        job.list(&listing, &mut Vec::new()).expect("a listing");
        let beyond = job.take(block(2, b"ww"), &mut Vec::new());
        assert_eq!(beyond, Err("byte 3 lies behind the last file".into()));
    }
}
