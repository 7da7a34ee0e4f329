//! What an upload takes its bytes from: the request, the manifest and the digests as one stream, and the files. Nothing here waits
//! for a disk, unless lost bytes must be read again.

use super::catalogue::{Described, Found};
use super::read_ahead::ReadAhead;
use crate::chunker::answers::Held;
use crate::chunker::digests::{DigestWriter, FileDigest};
use crate::chunker::request::{Attributes, Earlier, Existing, request};
use crate::codec::Full;
use crate::io::events::Current;
use crate::io::spool::Spool;
use crate::limits::Limit;
use crate::packet::windowed::frame::Space;
use crate::session::windowed::streams::{Form, Source};
use std::io;
use std::ops::Range;

/// The sources as an upload wants them.
pub struct Feed {
    ahead: ReadAhead,
    request: Vec<u8>,
    /// How long the manifest is, once it is complete.
    manifest: Option<u64>,
    /// `None` after its end.
    writer: Option<DigestWriter>,
    digests: Spool,
    /// Up to here the files' bytes were told of.
    told: u64,
    /// Bytes that were lost on their way and could not be read again were sent as zeros, which the receiver notices.
    spoiled: Option<String>,
}

/// What became known since the last time.
#[derive(Debug)]
pub enum News {
    /// The walk came to this.
    Found(Found),
    /// A file was read, withdrawn or skipped.
    Digest {
        /// Which entry it is.
        entry: u32,
        /// What became of it.
        digest: FileDigest,
    },
    /// The files have bytes up to this offset.
    Available(u64),
    /// These bytes will not be sent.
    Void(Range<u64>),
}

impl Feed {
    /// Begins with nothing told.
    pub fn new(ahead: ReadAhead, existing: Existing, earlier: Earlier, attributes: Attributes) -> Self {
        Self { request: request(existing, earlier, attributes), ..Self::asked_for(ahead) }
    }

    /// The same for who was asked for it: nothing is to be asked.
    pub fn asked_for(ahead: ReadAhead) -> Self {
        let mut header = Vec::new();
        let writer = Some(DigestWriter::new(&mut header));
        let mut digests = Spool::new();
        // Four bytes in memory.
        let written = digests.append(&header);
        debug_assert!(written.is_ok());
        Self { ahead, request: Vec::new(), manifest: None, writer, digests, told: 0, spoiled: None }
    }

    /// The next thing that became known.
    ///
    /// # Errors
    /// When our own tables cannot be kept, since the temporary folder is full.
    pub fn poll(&mut self) -> io::Result<Option<News>> {
        if let Some(error) = self.ahead.failure() {
            return Err(error);
        }
        if let Some(found) = self.ahead.poll_found() {
            if matches!(found, Found::End(_)) {
                self.manifest = Some(self.ahead.manifest_length());
            }
            return Ok(Some(News::Found(found)));
        }
        // Asked first: at the end all digests are there.
        let end = self.ahead.end();
        let too_large = |Full| io::Error::other("a file is larger than any transfer");
        // What came to be kept before a digest goes before it, too.
        let digest = self.ahead.poll_digest();
        while let Some(kept) = self.ahead.poll_kept() {
            let mut bytes = Vec::new();
            self.writer.as_mut().map_or(Ok(()), |writer| writer.kept(&kept, &mut bytes)).map_err(too_large)?;
            self.digests.append(&bytes)?;
        }
        while let Some(hole) = self.ahead.poll_hole() {
            let mut bytes = Vec::new();
            self.writer.as_mut().map_or(Ok(()), |writer| writer.hole(&hole, &mut bytes)).map_err(too_large)?;
            self.digests.append(&bytes)?;
        }
        if let Some((entry, digest)) = digest {
            let mut bytes = Vec::new();
            self.writer.as_mut().map_or(Ok(()), |writer| writer.file(&digest, &mut bytes)).map_err(too_large)?;
            self.digests.append(&bytes)?;
            return Ok(Some(News::Digest { entry, digest }));
        }
        let is_last = end.is_some() && self.manifest.is_some();
        if let Some(writer) = self.writer.take_if(|_| is_last) {
            let mut bytes = Vec::new();
            writer.end(&mut bytes).map_err(|Full| io::Error::other("the digests have no end"))?;
            self.digests.append(&bytes)?;
        }
        Ok(self.next_bytes())
    }

    /// How many bytes there are of the stream that goes before the files.
    pub fn listing_length(&self) -> u64 {
        let request = self.request.len() as u64;
        match self.manifest {
            None => request.saturating_add(self.ahead.manifest_length()),
            Some(manifest) => request.saturating_add(manifest).saturating_add(self.digests.length()),
        }
    }

    /// Whether everything is known: all bytes, and all digests.
    pub fn is_complete(&self) -> bool {
        self.writer.is_none() && self.told >= self.ahead.ready()
    }

    /// The receiver does not want this entry. Gives which of the bytes that were told of will not be sent any more.
    pub fn skip(&mut self, entry: u32) -> Option<Range<u64>> {
        self.ahead.skip(entry)
    }

    /// The receiver holds this from an earlier session.
    pub fn handle_held(&mut self, held: Held) {
        self.ahead.handle_held(held);
    }

    /// Of so many entries the receiver has said all that it holds.
    pub fn handle_looked(&mut self, entries: u32) {
        self.ahead.handle_looked(entries);
    }

    /// The receiver has the files of these entries. Gives which of the bytes that were told of will not be sent any more.
    pub fn handle_there(&mut self, entries: Range<u32>) -> Option<Range<u64>> {
        self.ahead.handle_there(entries)
    }

    /// The receiver has a file with this digest where an entry is to be.
    pub fn handle_content(&mut self, entry: u32, blake3: [u8; 32]) {
        self.ahead.handle_content(entry, blake3);
    }

    /// Whether an entry whose digest came just now is the same there, and was not sent.
    pub fn take_same(&mut self, entry: u32) -> bool {
        self.ahead.take_same(entry)
    }

    /// Bytes that the receiver had, and that are not sent again.
    pub fn resumed(&self) -> u64 {
        self.ahead.resumed()
    }

    /// All was copied: nothing has to be remembered.
    pub fn forget(&mut self) {
        self.ahead.forget();
    }

    /// What is known of an entry.
    pub fn describe(&self, entry: u32) -> Described {
        self.ahead.describe(entry)
    }

    /// How far the file is that has the byte at `offset`. `None` where nobody knows its size.
    pub fn at(&self, offset: u64) -> Option<Current> {
        self.ahead.at(offset)
    }

    /// Why a file that was read could not be read again, if that was so.
    pub fn spoiled(&self) -> Option<&str> {
        self.spoiled.as_deref()
    }

    fn next_bytes(&mut self) -> Option<News> {
        let ready = self.ahead.ready();
        if self.told >= ready {
            return None;
        }
        let told = self.told;
        match self.ahead.sendable(told) {
            Some(range) if range.start <= told => {
                self.told = range.end;
                Some(News::Available(range.end))
            }
            // Nothing is to be sent before it, or at all so far.
            later => {
                let end = later.map_or(ready, |range| range.start);
                self.told = end;
                Some(News::Void(told..end))
            }
        }
    }

    fn read_listing(&mut self, offset: u64, into: &mut [u8]) -> io::Result<bool> {
        let mut done = 0;
        while let Some(room) = into.get_mut(done..).filter(|room| !room.is_empty()) {
            let at = offset.saturating_add(done as u64);
            let request = self.request.len() as u64;
            let manifest = self.manifest.map_or(u64::MAX, |length| request.saturating_add(length));
            let count = if at < request {
                let rest = self.request.get(usize::try_from(at).unwrap_or(usize::MAX)..).unwrap_or_default();
                let count = rest.len().min(room.len());
                room.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                count
            } else if at < manifest {
                self.ahead.manifest_at(at - request, room)?
            } else {
                self.digests.read_at(at - manifest, room)?
            };
            if count == 0 {
                return Ok(false);
            }
            done += count;
        }
        Ok(true)
    }

    fn read_files(&mut self, offset: u64, into: &mut [u8]) -> bool {
        let mut done = 0;
        while let Some(room) = into.get_mut(done..).filter(|room| !room.is_empty()) {
            match self.ahead.read_at(offset.saturating_add(done as u64), room) {
                Ok(0) => return false,
                Ok(count) => done += count,
                Err(error) => {
                    room.fill(0);
                    self.spoiled.get_or_insert_with(|| error.to_string());
                    return true;
                }
            }
        }
        true
    }
}

impl Source for Feed {
    fn read(&mut self, space: Space, offset: u64, into: &mut [u8]) -> bool {
        match space {
            Space::Manifest => self.read_listing(offset, into).unwrap_or(false),
            Space::Data => self.read_files(offset, into),
            Space::Answer => false,
        }
    }

    fn form(&mut self, range: Range<u64>, may_compress: bool) -> Form {
        self.ahead.form(range, may_compress)
    }

    fn behind(&self) -> Limit {
        self.ahead.behind()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunker::digests::DigestReader;
    use crate::chunker::manifest::{Item, ManifestReader};
    use crate::chunker::request::{Request, RequestReader};
    use crate::io::sources::Sources;
    use std::fs;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn request_manifest_and_digests_are_one_stream_and_the_files_another() {
        let root = tempfile::tempdir().expect("a folder");
        for (name, content) in [("a", "one"), ("b", ""), ("c", "three")] {
            fs::write(root.path().join(name), content).expect("a file");
        }
        let paths = ["a", "b", "c"].map(|name| root.path().join(name));
        let sources = Sources::gather_with(&paths, false, "to", Box::new(io::empty())).expect("sources");
        let (waker, woken) = channel();
        let ahead = sources.read_ahead(false, move || waker.send(()).unwrap_or_default()).expect("a thread");
        let (mut feed, mut available) = (Feed::new(ahead, Existing::Replace, Earlier::Ignored, Attributes::Fresh), 0);
        while !feed.is_complete() {
            match feed.poll().expect("tables") {
                Some(News::Available(end)) => available = end,
                Some(News::Void(range)) => panic!("{range:?} will not be sent"),
                Some(News::Found(_) | News::Digest { .. }) => {}
                None if feed.is_complete() => {}
                None => woken.recv_timeout(Duration::from_secs(20)).expect("more"),
            }
        }
        let mut files = vec![0; usize::try_from(available).expect("a few bytes")];
        assert!(feed.read(Space::Data, 0, &mut files));
        assert_eq!(files, b"onethree");
        let mut listing = vec![0; usize::try_from(feed.listing_length()).expect("a few bytes")];
        let halves = listing.split_at_mut(50);
        assert!(feed.read(Space::Manifest, 0, halves.0) && feed.read(Space::Manifest, 50, halves.1));
        assert!(!feed.read(Space::Manifest, 1, &mut vec![0; listing.len()]), "there is no more");
        let mut rest = &listing[..];
        assert_eq!(RequestReader::new().next(&mut rest), Ok(Some(Request::Bring(Existing::Replace))));
        let mut manifest = ManifestReader::new();
        while !matches!(manifest.next(&mut rest).expect("an item"), Some(Item::End(_))) {}
        let (mut digests, mut count) = (DigestReader::new(), 0);
        while digests.next(&mut rest).expect("a digest").is_some() {
            count += 1;
        }
        assert!(digests.is_at_end() && count == 3);
    }

    #[test]
    fn lost_bytes_that_cannot_be_read_again_are_zeros_and_why_is_kept() {
        let spoil: [fn(&std::path::Path); 2] =
            [|path| fs::remove_file(path).expect("our file"), |path| fs::write(path, b"short").expect("our file")];
        for spoil in spoil {
            let root = tempfile::tempdir().expect("a folder");
            let path = root.path().join("large");
            // More than is kept in memory.
            fs::write(&path, vec![7; 24 << 20]).expect("a file");
            let sources =
                Sources::gather_with(std::slice::from_ref(&path), false, "to", Box::new(io::empty())).expect("sources");
            let (waker, woken) = channel();
            let ahead = sources.read_ahead(false, move || waker.send(()).unwrap_or_default()).expect("a thread");
            let (mut feed, mut sent, mut piece) =
                (Feed::new(ahead, Existing::Keep, Earlier::Ignored, Attributes::Fresh), 0, vec![0; 1 << 20]);
            while !feed.is_complete() {
                match feed.poll().expect("tables") {
                    Some(News::Available(end)) => {
                        while sent < end {
                            assert!(feed.read(Space::Data, sent, &mut piece));
                            sent += 1 << 20;
                        }
                    }
                    Some(_) => {}
                    None if feed.is_complete() => {}
                    None => woken.recv_timeout(Duration::from_secs(20)).expect("more"),
                }
            }
            spoil(&path);
            let mut lost = [1; 100];
            assert!(feed.read(Space::Data, (24 << 20) - 100, &mut lost) && lost == [7; 100], "it is still in memory");
            assert_eq!(feed.spoiled(), None);
            assert!(feed.read(Space::Data, 0, &mut lost) && lost == [0; 100]);
            assert!(feed.spoiled().is_some_and(|reason| reason.contains("large")), "{:?}", feed.spoiled());
        }
    }
}
