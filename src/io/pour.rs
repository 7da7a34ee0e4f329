//! A thread that writes one file that was asked for to standard output: its bytes in order, and nothing else.
//!
//! What comes before its turn waits in memory, which the flow control bounds: only what is written makes room for more.

use super::store::ErrorKind;
use super::trees::{Answer, Contents, Expected, Order};
use super::udp::Waker;
use crate::chunker::answers::{AnswerWriter, Fate, Objection, Tally};
use crate::chunker::digests::{DigestReader, FileDigest};
use crate::chunker::manifest::{Item, Kind, ManifestReader};
use crate::chunker::wanted::Vet;
use crate::name::Printable;
use crate::session::windowed::gather::Block;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};

/// The thread's side that others see; the orders and answers are those of a tree.
pub struct Pour {
    orders: Sender<Order>,
    answers: Receiver<Answer>,
}

impl Pour {
    /// Starts the thread; `waker` ends the socket thread's wait when an answer is there. It ends with the program: whoever reads what is
    /// written may keep it for ever.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(expected: Expected, out: Box<dyn Write + Send>, waker: Waker) -> io::Result<Self> {
        let (orders, orders_out) = channel();
        let (answers_in, answers) = channel();
        let mut work = Work::new(expected, out);
        std::thread::Builder::new().name("pour".into()).spawn(move || {
            while let Ok(order) = orders_out.recv() {
                let mut told = Vec::new();
                let result = work.carry_out(order, &mut told);
                let is_broken = result.is_err();
                told.extend(result.err().map(Answer::Broken));
                let is_gone = told.into_iter().any(|answer| answers_in.send(answer).is_err());
                waker.wake();
                if is_broken || is_gone {
                    return;
                }
            }
        })?;
        Ok(Self { orders, answers })
    }

    /// Passes an order on.
    pub fn order(&self, order: Order) {
        // It has ended, and has said why.
        let _ = self.orders.send(order);
    }

    /// The next answer that is there.
    pub fn poll(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}

/// The file on its way out.
struct Work {
    out: Box<dyn Write + Send>,
    vet: Vet,
    manifest: Option<ManifestReader>,
    digests: DigestReader,
    /// Its path and size.
    file: Option<(String, u64)>,
    digest: Option<FileDigest>,
    /// Bytes that came before their turn.
    held: BTreeMap<u64, Vec<u8>>,
    written: u64,
    blake3: blake3::Hasher,
    sha256: Option<Sha256>,
    /// What is said to the server; `None` after its end.
    writer: Option<AnswerWriter>,
    said: Vec<u8>,
}

impl Work {
    fn new(expected: Expected, out: Box<dyn Write + Send>) -> Self {
        let mut said = Vec::new();
        Self {
            out,
            vet: Vet::new(expected.wanted),
            manifest: Some(ManifestReader::new()),
            digests: DigestReader::new(),
            file: None,
            digest: None,
            held: BTreeMap::new(),
            written: 0,
            blake3: blake3::Hasher::new(),
            sha256: expected.sha256.then(Sha256::new),
            writer: Some(AnswerWriter::new(&mut said)),
            said,
        }
    }

    fn carry_out(&mut self, order: Order, told: &mut Vec<Answer>) -> Result<(), String> {
        match order {
            Order::Listing(bytes) => self.list(&bytes, told)?,
            Order::Bytes(Block { offset, bytes }) => {
                self.held.insert(offset, bytes);
            }
            Order::Begin(_) | Order::Expect(_) | Order::Close => return Ok(()),
        }
        self.write(told)?;
        self.end_if_decided(told)
    }

    fn list(&mut self, bytes: &[u8], told: &mut Vec<Answer>) -> Result<(), String> {
        self.vet.look(bytes).map_err(|stranger| stranger.to_string())?;
        let mut rest = bytes;
        while let Some(manifest) = &mut self.manifest {
            match manifest.next(&mut rest).map_err(|error| error.to_string())? {
                None => break,
                Some(Item::Entry(entry)) => match (entry.kind, &self.file) {
                    (Kind::File { size }, None) => self.file = Some((entry.path.to_string(), size)),
                    _ => return Err(ONE.into()),
                },
                Some(Item::Unsafe { .. }) => return Err(ONE.into()),
                Some(Item::End(_)) => {
                    self.manifest = None;
                    let (name, size) = self.file.clone().unwrap_or_default();
                    let entries = u64::from(self.file.is_some());
                    told.push(Answer::Begins(Contents { name, entries, bytes: Some(size) }));
                    told.push(Answer::End(size));
                }
            }
        }
        if self.manifest.is_none() {
            while let Some(digest) = self.digests.next(&mut rest).map_err(|error| error.to_string())? {
                if self.file.is_none() || self.digest.replace(digest).is_some() {
                    return Err(ONE.into());
                }
            }
            if self.digests.poll_hole().is_some() {
                return Err("the server leaves out what was asked for".into());
            }
        }
        told.push(Answer::Listed(bytes.len() as u64));
        Ok(())
    }

    /// Writes what is next. Nothing before the manifest has come to its end: it may be no file that was asked for.
    fn write(&mut self, told: &mut Vec<Answer>) -> Result<(), String> {
        let (Some((_, size)), None) = (&self.file, &self.manifest) else { return Ok(()) };
        let before = self.written;
        while let Some(bytes) = self.held.remove(&self.written) {
            let end = self.written.saturating_add(bytes.len() as u64);
            if end > *size {
                return Err(format!("byte {size} lies behind the file"));
            }
            if let Err(error) = self.out.write_all(&bytes) {
                let reason = format!("standard output cannot be written: {error}");
                told.push(Answer::Objection { name: "-".into(), reason: reason.clone(), kind: ErrorKind::Io });
                return Err(reason);
            }
            self.blake3.update(&bytes);
            self.sha256.iter_mut().for_each(|sha256| sha256.update(&bytes));
            self.written = end;
            told.push(Answer::Written(bytes));
        }
        if self.written > before {
            told.push(Answer::Passed(self.written));
        }
        Ok(())
    }

    fn end_if_decided(&mut self, told: &mut Vec<Answer>) -> Result<(), String> {
        if !self.digests.is_at_end() || self.writer.is_none() {
            return Ok(());
        }
        let (path, size) = self.file.clone().unwrap_or_default();
        let blake3: [u8; 32] = self.blake3.finalize().into();
        let objection = match &self.digest {
            None if self.file.is_none() => None,
            Some(FileDigest::Read { .. }) if self.written < size => return Ok(()),
            Some(FileDigest::Read { blake3: theirs, size: read, .. }) if *theirs == blake3 && *read == size => None,
            Some(FileDigest::Read { .. }) => {
                Some((Fate::Differs, "arrived with another content than it was sent with"))
            }
            Some(FileDigest::Withdrawn { reason }) => Some((Fate::Failed, reason.as_str())),
            Some(FileDigest::Skipped) | None => return Err("the server leaves out what was asked for".into()),
        };
        let mut tally = Tally::default();
        let mut writer = self.writer.take();
        if let Some((fate, reason)) = objection {
            tally.failed = 1;
            let reason = format!("\"{}\" is not whole: {}", Printable(&path), Printable(reason));
            let kind = if fate == Fate::Differs { ErrorKind::Differs } else { ErrorKind::Withdrawn };
            let objection = Objection { entry: 0, fate, reason: reason.clone() };
            writer.iter_mut().for_each(|writer| writer.objection(&objection, &mut self.said));
            told.push(Answer::Objection { name: path, reason, kind });
        } else if self.file.is_some() {
            self.out.flush().map_err(|error| format!("standard output cannot be written: {error}"))?;
            tally.placed = 1;
            let sha256 = self.sha256.take().map(|sha256| sha256.finalize().into());
            told.push(Answer::Placed { path, bytes: size, sha256 });
        }
        if let Some(writer) = writer {
            writer.end(tally, &mut self.said);
        }
        let blake3 = (tally.placed == 1).then_some(blake3);
        told.push(Answer::Say(std::mem::take(&mut self.said)));
        told.push(Answer::Done { tally, bytes: self.written, blake3, resumed: 0, there: 0 });
        Ok(())
    }
}

const ONE: &str = "the server sends something else than the one file that was asked for; nothing of it is taken";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunker::digests::DigestWriter;
    use crate::chunker::manifest::{Entry, ManifestWriter, Modified};
    use crate::chunker::request::{Attributes, Existing};
    use crate::chunker::wanted::{Wanted, Wish};
    use crate::name::SafeName;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn work(name: &str) -> (Work, Paper) {
        let name = SafeName::parse(name).ok();
        let wanted = Wanted { wishes: vec![Wish { path: name.clone(), name }], ..Wanted::default() };
        let paper = Paper::default();
        let (existing, attributes) = (Existing::Keep, Attributes::Fresh);
        let expected = Expected { existing, attributes, wanted, sha256: true, peer: None, saved: Arc::default() };
        (Work::new(expected, Box::new(paper.clone())), paper)
    }

    fn listing(names: &[&str], size: u64, digest: &FileDigest) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = ManifestWriter::new(&mut out);
        for name in names {
            let (path, kind) = (SafeName::parse(name).expect("a good name"), Kind::File { size });
            writer
                .entry(&Entry { path, kind, mode: 0o644, modified: Modified::default() }, &mut out)
                .expect("in order");
        }
        writer.end(&mut out);
        let mut digests = DigestWriter::new(&mut out);
        names.iter().for_each(|_| digests.file(digest, &mut out).expect("short"));
        digests.end(&mut out).expect("short");
        out
    }

    fn read(content: &[u8]) -> FileDigest {
        FileDigest::Read { size: content.len() as u64, blake3: blake3::hash(content).into(), sha256: None }
    }

    fn bytes(offset: u64, bytes: &[u8]) -> Order {
        Order::Bytes(Block { offset, bytes: bytes.to_vec() })
    }

    #[test]
    fn bytes_are_written_in_order_and_not_before_it_is_known_whose_they_are() {
        let (mut work, paper) = work("a");
        let mut told = Vec::new();
        let listing = listing(&["a"], 9, &read(b"onetwosix"));
        work.carry_out(bytes(3, b"two"), &mut told).expect("held");
        work.carry_out(bytes(0, b"one"), &mut told).expect("held");
        assert_eq!((told.len(), paper.0.lock().expect("whole").len()), (0, 0));
        work.carry_out(Order::Listing(listing), &mut told).expect("a listing");
        assert_eq!(*paper.0.lock().expect("whole"), b"onetwo");
        work.carry_out(bytes(6, b"six"), &mut told).expect("the rest");
        assert_eq!(*paper.0.lock().expect("whole"), b"onetwosix");
        let sha256 = Some(Sha256::digest(b"onetwosix").into());
        assert!(told.contains(&Answer::Placed { path: "a".into(), bytes: 9, sha256 }));
        let tally = Tally { placed: 1, ..Tally::default() };
        let blake3 = Some(blake3::hash(b"onetwosix").into());
        assert_eq!(told.last(), Some(&Answer::Done { tally, bytes: 9, blake3, resumed: 0, there: 0 }));
    }

    #[test]
    fn what_differs_or_was_not_asked_for_is_told() {
        let (mut work, _) = self::work("a");
        let mut told = Vec::new();
        work.carry_out(Order::Listing(listing(&["a"], 3, &read(b"one"))), &mut told).expect("a listing");
        work.carry_out(bytes(0, b"two"), &mut told).expect("other bytes");
        assert!(told.iter().any(|answer| matches!(answer, Answer::Objection { kind: ErrorKind::Differs, .. })));
        for (names, asked) in [(&["b"][..], "a"), (&["a", "b"], "a")] {
            let (mut work, paper) = self::work(asked);
            let listed = work.carry_out(Order::Listing(listing(names, 3, &read(b"one"))), &mut Vec::new());
            assert!(listed.is_err_and(|reason| reason.contains("asked for")), "{names:?}");
            assert!(paper.0.lock().expect("whole").is_empty());
        }
    }

    #[test]
    fn nothing_at_all_is_an_end_too() {
        let (mut work, _) = self::work("a");
        let mut told = Vec::new();
        work.carry_out(Order::Listing(listing(&[], 0, &read(b""))), &mut told).expect("a listing");
        assert_eq!(
            told.last(),
            Some(&Answer::Done { tally: Tally::default(), bytes: 0, blake3: None, resumed: 0, there: 0 })
        );
    }
}
