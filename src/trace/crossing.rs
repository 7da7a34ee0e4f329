//! The words of a story: messages on their way from one end to the other, time-outs, remarks, and how many there were.

use super::quantity::{count, span, thousands};
use super::step::Side;
use std::ops::AddAssign;
use std::time::Duration;

/// When something happened; what happened at the same time stays in the order in which it was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Since the recording began.
    pub at: Duration,
    /// The index of the step that tells of it.
    pub order: usize,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Its sender.
    pub by: Side,
    /// What it says; safe to print.
    pub text: String,
    /// Its length in bytes.
    pub length: usize,
    /// When it left; seen from the other end only, a guess.
    pub sent: Moment,
    /// When it came, each copy; a guess unless the recorder stood there.
    pub arrivals: Vec<Arrival>,
    /// What became of it.
    pub fate: Fate,
    /// How often it was sent so far, this time included.
    pub nth: u32,
    /// The number of the first datagram with these bytes.
    pub(super) root: u64,
    /// Whether that was another one.
    pub(super) again: bool,
}

/// A message, or a copy of it, reaches the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Moment,
    /// Whether its bytes had changed on the way.
    pub damaged: bool,
    /// Whether it took much longer than usual, or was overtaken.
    pub late: bool,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It came.
    Arrived,
    /// It came, with other bytes.
    Damaged,
    /// It never came.
    Lost,
    /// Nothing was heard that would show that it came: it may be lost, or the answer to it.
    Unanswered,
    /// The recording does not say.
    Unknown,
}

/// A time-out: from a message of the client to the same message again, with no other one between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The index of the message.
    pub from: usize,
    /// The index of its repetition.
    pub to: usize,
    /// The time between.
    pub waited: Duration,
}

/// Something worth a remark happened at one end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// When.
    pub at: Moment,
    /// Where.
    pub by: Side,
    /// In a few words; safe to print.
    pub text: String,
}

/// Steps that were not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The last one before.
    pub from: Moment,
    /// The first one behind.
    pub until: Moment,
    /// How many, with those that mean nothing without them.
    pub steps: u64,
}

impl Crossing {
    /// Came once, for the first time, as it was sent, and in time.
    pub fn is_calm(&self) -> bool {
        self.fate == Fate::Arrived && self.nth == 1 && matches!(self.arrivals[..], [Arrival { late: false, .. }])
    }

    /// When it first came.
    pub fn arrived(&self) -> Option<Moment> {
        self.arrivals.first().map(|arrival| arrival.at)
    }

    /// The number in its second field.
    pub(super) fn number(&self) -> Option<u64> {
        self.text.split('|').nth(1)?.trim().parse().ok()
    }

    /// Its first letter: `s`, `d`, `a` and so on.
    pub(super) fn kind(&self) -> u8 {
        self.text.bytes().next().unwrap_or_default()
    }

    /// In the compact spelling, where numbers may alternate and the same bytes need not be the same message.
    pub(super) fn is_compact(&self) -> bool {
        self.text.as_bytes().get(1) == Some(&b'|')
    }

    /// Kind and number, `d | 17`.
    pub(super) fn label(&self) -> &str {
        match self.text.match_indices('|').nth(1) {
            Some((at, _)) => self.text[..at].trim_end(),
            None => &self.text,
        }
    }
}

/// How many messages there were and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages of the client, repeats included.
    pub from_client: u64,
    /// Messages of the server, repeats included.
    pub from_server: u64,
    /// Messages that were sent before.
    pub again: u64,
    /// Messages that never came.
    pub lost: u64,
    /// Messages of which nobody knows whether they or their answers were lost.
    pub unanswered: u64,
    /// Messages that came late.
    pub late: u64,
    /// Copies that the network made.
    pub copies: u64,
    /// Messages that came with other bytes.
    pub damaged: u64,
    /// Messages of whose fate the recording says nothing.
    pub unknown: u64,
    /// Remarks.
    pub remarks: u64,
    /// Steps that the recording does not have.
    pub missing: u64,
}

impl Totals {
    /// Of one message.
    pub fn of(crossing: &Crossing) -> Self {
        let is = |fate| u64::from(crossing.fate == fate);
        Self {
            from_client: u64::from(crossing.by == Side::Client),
            from_server: u64::from(crossing.by == Side::Server),
            again: u64::from(crossing.nth > 1),
            lost: is(Fate::Lost),
            unanswered: is(Fate::Unanswered),
            late: u64::from(crossing.arrivals.iter().any(|arrival| arrival.late)),
            copies: crossing.arrivals.len().saturating_sub(1) as u64,
            damaged: is(Fate::Damaged),
            unknown: is(Fate::Unknown),
            remarks: 0,
            missing: 0,
        }
    }

    /// Messages both ways.
    pub fn messages(&self) -> u64 {
        self.from_client + self.from_server
    }

    /// What was not as it should be: `3 lost, 3 sent again, 1 late`.
    pub(super) fn incidents(&self) -> String {
        let counts = [
            (self.lost, "lost"),
            (self.unanswered, "without an answer"),
            (self.again, "sent again"),
            (self.late, "late"),
            (self.damaged, "damaged"),
            (self.unknown, "unknown"),
        ];
        let mut parts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(number, word)| format!("{} {word}", thousands(*number)))
            .collect();
        if self.copies > 0 {
            let word = if self.copies == 1 { "copy" } else { "copies" };
            parts.push(format!("{} {word}", thousands(self.copies)));
        }
        parts.join(", ")
    }

    /// `1,204 steps not recorded`.
    pub(super) fn not_recorded(&self) -> String {
        format!("{} not recorded", count(self.missing, "step"))
    }

    /// `38 messages, 3 lost, 3 sent again, 1 late; 4.2 s`.
    pub fn summary(&self, duration: Duration) -> String {
        let mut parts = vec![count(self.messages(), "message")];
        parts.extend(Some(self.incidents()).filter(|incidents| !incidents.is_empty()));
        parts.extend((self.missing > 0).then(|| self.not_recorded()));
        format!("{}; {}", parts.join(", "), span(duration))
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.from_client += other.from_client;
        self.from_server += other.from_server;
        self.again += other.again;
        self.lost += other.lost;
        self.unanswered += other.unanswered;
        self.late += other.late;
        self.copies += other.copies;
        self.damaged += other.damaged;
        self.unknown += other.unknown;
        self.remarks += other.remarks;
        self.missing += other.missing;
    }
}
