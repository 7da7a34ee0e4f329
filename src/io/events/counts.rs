//! What a link did to the datagrams that it carried, for people and programs.

use crate::weather::Counts;
use serde::Serialize;

/// [`Counts`], ready to print.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Counts")]
pub struct CountsNote {
    pub offered: u64,
    pub passed: u64,
    pub lost: u64,
    pub queue_dropped: u64,
    pub oversize: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub late: u64,
    pub corrupted: u64,
}

impl From<Counts> for CountsNote {
    fn from(counts: Counts) -> Self {
        let Counts { offered, passed, lost, queue_dropped, oversize, duplicated, reordered, late, corrupted } = counts;
        Self { offered, passed, lost, queue_dropped, oversize, duplicated, reordered, late, corrupted }
    }
}

impl CountsNote {
    /// `3 of 80 lost, 2 repeated`; what did not happen is not mentioned.
    pub(super) fn sentence(&self) -> String {
        let words = [
            (self.lost, "lost"),
            (self.queue_dropped, "dropped from the queue"),
            (self.oversize, "too large"),
            (self.duplicated, "repeated"),
            (self.reordered, "overtaken"),
            (self.late, "late"),
            (self.corrupted, "damaged"),
        ];
        let happened: Vec<String> =
            words.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        match happened.is_empty() {
            true => format!("{} datagrams, all well", self.offered),
            false => format!("{} datagrams, {}", self.offered, happened.join(", ")),
        }
    }
}
