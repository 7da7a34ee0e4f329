//! What is said to the sender of a transfer: records of one stream.

use crate::chunker::answers::{AnswerWriter, Held, Objection, Tally};
use crate::io::store::tree::Groups;
use crate::limits::Strain;
use std::ops::Range;

/// The stream, as far as it was not handed over yet.
pub(super) struct Words {
    /// `None` after the end.
    writer: Option<AnswerWriter>,
    said: Vec<u8>,
    /// How many entries the sender knows that we have looked for.
    looked: u32,
    /// Entries that are there, one after the other, and not told of yet.
    there: Range<u32>,
}

impl Words {
    pub(super) fn new() -> Self {
        let mut said = Vec::new();
        let writer = Some(AnswerWriter::new(&mut said));
        Self { writer, said, looked: 0, there: 0..0 }
    }

    /// An entry did not come to rest.
    pub(super) fn object(&mut self, objection: &Objection) {
        if let Some(writer) = &mut self.writer {
            writer.objection(objection, &mut self.said);
        }
    }

    /// What an earlier session left of an entry: runs of groups.
    pub(super) fn held(&mut self, entry: u32, groups: Groups) {
        let Some(writer) = &mut self.writer else { return };
        let mut held = Held { entry, first: 0, values: Vec::new() };
        for (group, value) in groups {
            if held.first.saturating_add(held.values.len() as u64) != group {
                writer.held(&held, &mut self.said);
                held = Held { entry, first: group, values: Vec::new() };
            }
            held.values.push(value);
        }
        writer.held(&held, &mut self.said);
    }

    /// The same file is there. Entries are told of in their order.
    pub(super) fn there(&mut self, entry: u32) {
        if self.there.end != entry {
            self.end_run();
            self.there.start = entry;
        }
        self.there.end = entry.saturating_add(1);
    }

    /// What the file has that is where an entry is to be.
    pub(super) fn content(&mut self, entry: u32, blake3: &[u8; 32]) {
        if let Some(writer) = &mut self.writer {
            writer.content(entry, blake3, &mut self.said);
        }
    }

    /// Of so many entries all that is there was said.
    pub(super) fn looked(&mut self, entries: u32) {
        self.end_run();
        if let Some(writer) = self.writer.as_mut().filter(|_| entries > self.looked) {
            self.looked = entries;
            writer.looked(entries, &mut self.said);
        }
    }

    /// That was all, and what it cost us.
    pub(super) fn end(&mut self, tally: Tally, strain: Strain) {
        self.end_run();
        if let Some(mut writer) = self.writer.take() {
            writer.set_strain(strain);
            writer.end(tally, &mut self.said);
        }
    }

    /// What was said since this was asked last, if it was anything.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let said = std::mem::take(&mut self.said);
        (!said.is_empty()).then_some(said)
    }

    fn end_run(&mut self) {
        let run = std::mem::take(&mut self.there);
        if let Some(writer) = self.writer.as_mut().filter(|_| !run.is_empty()) {
            writer.there(run, &mut self.said);
        }
    }
}
