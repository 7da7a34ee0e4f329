//! How a tree stands, for who feeds it: what is there, what is known, and what is still to be done.

use super::Tree;
use crate::chunker::manifest::Kind;
use crate::io::events::Current;
use crate::ranges::RangeSet;

impl Tree {
    /// Whether there is something to do besides what comes: holes to make, files that are there to compare.
    pub fn is_busy(&self) -> bool {
        self.is_making_holes() || self.is_comparing()
    }

    /// Does a little of it: a few milliseconds' worth.
    pub fn work(&mut self) {
        if self.is_comparing() { self.compare_on() } else { self.make_holes() }
    }

    /// How many files have got their names.
    pub fn placed(&self) -> u64 {
        self.outcome.placed
    }

    /// Whether files are verified that [`Tree::settle`] would publish.
    pub fn is_unsettled(&self) -> bool {
        self.files.batched() > 0
    }

    /// The bytes of the space that are there, or were dropped because nobody wants them.
    pub fn received(&self) -> &RangeSet {
        &self.received
    }

    /// How far the manifest, as far as it came, has named the byte space.
    pub fn known(&self) -> u64 {
        self.files.roster.layout.reach()
    }

    /// Whether no other file may begin before one of those that have begun is complete.
    pub fn is_crowded(&self) -> bool {
        self.files.is_full()
    }

    /// Whether the manifest is complete.
    pub fn is_listed(&self) -> bool {
        self.manifest.ended
    }

    /// Where the byte space ends, once that is known.
    pub fn end(&self) -> Option<u64> {
        let layout = &self.files.roster.layout;
        (self.manifest.ended && !layout.is_open()).then(|| layout.end())
    }

    /// The offset below which everything is there, or of no use any more: of entries that were refused or failed.
    pub fn passed(&mut self) -> u64 {
        self.files.roster.pass(&mut self.received)
    }

    /// How far the file is that has the byte at `offset`. `None` where nobody knows its size.
    pub fn at(&mut self, offset: u64) -> Option<Current> {
        let piece = self.files.roster.layout.locate(offset)?;
        let entry = self.files.roster.entry(piece.entry).ok()?;
        let Kind::File { size } = entry.kind else { return None };
        Some(Current { name: entry.path.to_string(), bytes: piece.offset, size })
    }

    /// The path of an entry, where its name is taken.
    pub fn path(&mut self, entry: u32) -> Option<String> {
        self.files.roster.entry(entry).ok().map(|entry| entry.path.to_string())
    }

    /// Whether every entry is decided.
    pub fn is_done(&self) -> bool {
        self.is_done
    }
}
