//! The lab's receiver: one transfer on the server's side, from its start to the end of its memory.

use super::answer::{Reply, ack, is_reason, refusal};
use super::numbering::{Numbering, Verdict};
use super::orders::{Counts, Order, Placement, Start, State, StoreFailure};
use super::restart::{AFTER_QUIET, Restart};
use crate::chunker::{BLOCK, Gatherer};
use crate::packet::lab::UNDECIDED_ACK;
use std::time::Instant;

/// The server's half of one transfer.
#[derive(Debug)]
pub struct Receiver {
    start: Start,
    state: State,
    numbering: Numbering,
    received: u64,
    last: Option<u64>,
    /// The first chunk's length: in compact numbering only the last may differ.
    first_length: Option<usize>,
    gatherer: Gatherer,
    unwritten: usize,
    held: Reply,
    /// SHA-256 of the file, once it has its name.
    published: Option<[u8; 32]>,
    restart: Restart,
    began: Instant,
    last_heard: Instant,
    last_new: Instant,
    ended: Option<Instant>,
    orders: Vec<Order>,
    counts: Counts,
}

impl Receiver {
    /// A start came; the first order asks the store.
    pub fn new(start: Start, now: Instant) -> Self {
        Self {
            numbering: start.numbering,
            orders: vec![Order::Admit { name: start.name.clone(), size: start.size }],
            start,
            state: State::Admitting,
            received: 0,
            last: None,
            first_length: None,
            gatherer: Gatherer::default(),
            unwritten: 0,
            held: None,
            published: None,
            restart: Restart::default(),
            began: now,
            last_heard: now,
            last_new: now,
            ended: None,
            counts: Counts::default(),
        }
    }

    /// The same start again from the beginning, for a peer that sends the same file once more. It is answered already; the
    /// store is asked all the same.
    pub fn restarted(&self, now: Instant) -> Self {
        Self { state: State::Open, ..Self::new(self.start.clone(), now) }
    }

    /// What the store is to do next.
    pub fn poll_order(&mut self) -> Option<Order> {
        (!self.orders.is_empty()).then(|| self.orders.remove(0))
    }

    /// What the start said.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// How the transfer stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// What came twice.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Since when the transfer exists.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// When it ended; `None` while it runs.
    pub fn ended(&self) -> Option<Instant> {
        self.ended
    }

    /// A chunk came. From a peer of ours that means that it got our answer, since its numbers are random; a plain peer's numbers
    /// can be guessed.
    pub fn is_proven(&self) -> bool {
        self.last.is_some()
    }

    /// The last valid message's time; starts after the first do not count.
    pub fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// The store is at work on an answer; such a transfer is not given up.
    pub fn is_publishing(&self) -> bool {
        matches!(self.state, State::Publishing { .. } | State::MakingEmpty)
    }

    /// The number of the message that the peer sends next, or the last one's.
    pub fn current_seq(&self) -> u64 {
        self.last.unwrap_or(self.start.seq)
    }

    /// Nothing new came for so long that a start may be meant in earnest.
    pub fn is_quiet(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last_new) >= AFTER_QUIET
    }

    /// The same start again. Before data and after the end it is answered again (with the `fresh` answer, if there is one), in
    /// mid-transfer not: known clients would step back.
    pub fn handle_start(&mut self, fresh: Reply, now: Instant) -> Reply {
        self.start.answer = fresh.unwrap_or(std::mem::take(&mut self.start.answer));
        self.counts.duplicates += 1;
        let quiet = self.is_quiet(now);
        match &self.state {
            State::Admitting | State::MakingEmpty | State::Publishing { .. } => return None,
            State::Receiving | State::AwaitingChecksum if !quiet => return None,
            State::Failed(reason) if self.start.checked => {
                return self.refuse(self.start.seq, reason, self.start.length);
            }
            State::Open | State::Departed => {}
            State::Receiving | State::AwaitingChecksum | State::Done | State::Failed(_) => {
                self.restart.arm(self.start.size, now);
            }
        }
        self.answer_again(self.start.answer.clone())
    }

    /// Whether a chunk with this number begins the transfer anew.
    pub fn restarts_with(&self, seq: u64, now: Instant) -> bool {
        let is_first = matches!(self.start.numbering.judge(self.start.seq, None, seq), Verdict::New(_));
        is_first && self.restart.is_due(self.ended, self.last == Some(seq), now)
    }

    /// The sender went on to another file: this one does not begin anew.
    pub fn disarm(&mut self) {
        self.restart.disarm();
    }

    /// What this number says of a chunk.
    pub fn judge(&self, seq: u64) -> Verdict {
        self.numbering.judge(self.start.seq, self.last, seq)
    }

    /// A chunk came. `trigger` is the whole datagram's length.
    pub fn handle_data(&mut self, seq: u64, bytes: &[u8], trigger: usize, now: Instant) -> Reply {
        let verdict = self.judge(seq);
        match &self.state {
            State::Failed(reason) if self.start.checked => self.refuse(seq, reason, trigger),
            State::Admitting | State::MakingEmpty | State::Publishing { .. } => None,
            State::Failed(_) | State::Departed => None,
            State::Open | State::Receiving => match verdict {
                Verdict::New(numbering) => self.take_chunk(seq, bytes, numbering, trigger, now),
                Verdict::Duplicate => self.handle_duplicate(seq, now),
                Verdict::Stale => None,
            },
            State::AwaitingChecksum | State::Done => match verdict {
                Verdict::Duplicate => self.handle_duplicate(seq, now),
                // The empty chunk behind a zero-byte start whose file was made at once.
                Verdict::New(_) if self.last.is_none() && self.start.size == 0 && !self.start.checked => {
                    self.last = Some(seq);
                    Some(self.acknowledgement(seq))
                }
                _ => None,
            },
        }
    }

    /// The number that this transfer's checksum must have now.
    pub fn checksum_seq(&self) -> u64 {
        self.current_seq().wrapping_add(1)
    }

    /// A checksum came that names our start.
    pub fn handle_checksum(&mut self, seq: u64, sha256: [u8; 32], trigger: usize, now: Instant) -> Reply {
        if seq != self.checksum_seq() || !self.start.checked {
            return None;
        }
        self.last_heard = now;
        match &self.state {
            State::Open if self.start.size == 0 => {}
            State::AwaitingChecksum => {}
            State::Done if self.published != Some(sha256) => return None, // damaged on the way
            State::Done => return self.answer_again(ack(self.start.spelling, seq.wrapping_add(1))),
            State::Failed(reason) => return self.refuse(seq, reason, trigger),
            _ => return None,
        }
        let answer = ack(self.start.spelling, seq.wrapping_add(1));
        self.state = State::Publishing { answer, seq, trigger };
        self.orders.push(Order::Publish { expected: Some(sha256) });
        None
    }

    /// A checksum came for our numbers that names another start: this session was opened by a damaged one.
    pub fn handle_foreign_checksum(&mut self, seq: u64, trigger: usize, now: Instant) -> Reply {
        self.fail("the start arrived damaged; nothing was saved".into(), now);
        let State::Failed(reason) = &self.state else { return None };
        self.refuse(seq, reason, trigger)
    }

    /// The client says that it stops. Only what reads like a reason counts: short, and text.
    pub fn handle_error(&mut self, seq: u64, reason: &[u8], now: Instant) {
        let about_us = self.last.map_or(self.start.seq, |last| last).wrapping_add(1) == seq || self.last == Some(seq);
        if self.start.checked && about_us && is_reason(reason) && self.ended.is_none() {
            self.fail(String::from_utf8_lossy(reason).into_owned(), now);
        }
    }

    /// The store has decided on [`Order::Admit`]; a transfer that was begun anew may be under way already.
    pub fn handle_admitted(&mut self, verdict: Result<(), StoreFailure>, now: Instant) -> Reply {
        match verdict {
            Err(StoreFailure { reason }) if self.state != State::Admitting => {
                self.fail(reason, now);
                None
            }
            Ok(()) if self.state != State::Admitting => None,
            Ok(()) if self.start.size == 0 && !self.start.checked => {
                self.state = State::MakingEmpty;
                self.orders.push(Order::MakeEmpty);
                None
            }
            Ok(()) => {
                self.state = State::Open;
                Some(self.start.answer.clone())
            }
            Err(StoreFailure { reason }) => {
                let answer = self.refuse(self.start.seq, &reason, self.start.length);
                self.end(State::Failed(reason), now);
                answer
            }
        }
    }

    /// The store has written a block; an acknowledgement that was held back for it may go.
    pub fn handle_written(&mut self, bytes: usize) -> Reply {
        self.unwritten = self.unwritten.saturating_sub(bytes);
        if self.unwritten <= BACKLOG_MAX / 2 { self.held.take() } else { None }
    }

    /// The store gave the file its name, or could not; or made an empty file, or found a non-empty one.
    pub fn handle_published(&mut self, result: Result<Placement, StoreFailure>, now: Instant) -> Reply {
        match (std::mem::replace(&mut self.state, State::Done), result) {
            (State::Publishing { answer, .. }, Ok(placement)) => {
                self.published = placement.sha256();
                self.end(State::Done, now);
                Some(answer)
            }
            (State::Publishing { seq, trigger, .. }, Err(StoreFailure { reason })) => {
                let answer = self.refuse(seq, &reason, trigger);
                self.end(State::Failed(reason), now);
                answer
            }
            (State::MakingEmpty, Ok(Placement::Kept)) => {
                self.state = State::Open;
                Some(self.start.answer.clone())
            }
            (State::MakingEmpty, Ok(Placement::Placed { .. })) => {
                self.end(State::Done, now);
                Some(self.start.answer.clone())
            }
            (State::MakingEmpty, Err(StoreFailure { reason })) => {
                self.end(State::Failed(reason), now);
                None
            }
            (other, _) => {
                self.state = other;
                None
            }
        }
    }

    /// It will not come to an end: the peer fell silent or went on to another file, the server stops. What the store is already
    /// giving its name is not stopped any more: it would be there, and said to have failed.
    pub fn fail(&mut self, reason: String, now: Instant) {
        if !self.is_publishing() {
            self.handle_store_failed(reason, now);
        }
    }

    /// The peer goes on in the windowed mode; nothing was done for it here.
    pub fn depart(&mut self, now: Instant) {
        if self.state == State::Open {
            self.end(State::Departed, now);
        }
    }

    /// The store could not write.
    pub fn handle_store_failed(&mut self, reason: String, now: Instant) {
        if self.ended.is_none() {
            self.end(State::Failed(reason), now);
            self.orders.push(Order::Discard);
        }
    }

    /// An `e` for a peer of ours; others know no such message.
    pub fn refuse(&self, seq: u64, reason: &str, trigger: usize) -> Reply {
        if self.start.checked { refusal(seq, reason, trigger) } else { None }
    }

    fn take_chunk(&mut self, seq: u64, bytes: &[u8], numbering: Numbering, trigger: usize, now: Instant) -> Reply {
        if self.held.is_some() {
            return None; // A peer that does not wait for its acknowledgement shall not fill our memory.
        }
        if self.start.size == 0 && !bytes.is_empty() && !self.start.checked {
            return None; // Only an empty chunk says that an empty file is meant to replace a full one.
        }
        let left = self.start.size - self.received;
        if let Some(slip) = numbering.slip(bytes.len(), self.first_length, left) {
            self.fail(slip.into(), now);
            return self.refuse(seq, slip, trigger);
        }
        let kept = usize::try_from(left).map_or(bytes, |left| bytes.get(..left).unwrap_or(bytes));
        // While it is open how a compact peer counts, the same answer serves both.
        let acknowledgement = self.acknowledgement(seq);
        if self.last.is_none() {
            self.orders.push(Order::Create);
        }
        self.state = State::Receiving;
        self.numbering = numbering;
        self.last = Some(seq);
        self.first_length.get_or_insert(bytes.len());
        self.received += kept.len() as u64;
        self.counts.longest_gap = self.counts.longest_gap.max(now.saturating_duration_since(self.last_new));
        (self.last_heard, self.last_new) = (now, now);
        self.restart.disarm();
        if let Some(block) = self.gatherer.push(kept) {
            self.write(block);
        }
        if self.received < self.start.size {
            if self.unwritten > BACKLOG_MAX {
                self.held = Some(acknowledgement);
                return None;
            }
            return Some(acknowledgement);
        }
        let rest = self.gatherer.take();
        if !rest.is_empty() {
            self.write(rest);
        }
        if self.start.checked {
            self.state = State::AwaitingChecksum;
            return Some(acknowledgement);
        }
        self.orders.push(Order::Publish { expected: None });
        self.state = State::Publishing { answer: acknowledgement, seq, trigger };
        None
    }

    fn handle_duplicate(&mut self, seq: u64, now: Instant) -> Reply {
        self.last_heard = now;
        self.counts.duplicates += 1;
        if self.held.is_some() { None } else { self.answer_again(self.acknowledgement(seq)) }
    }

    fn answer_again(&mut self, answer: Vec<u8>) -> Reply {
        self.counts.answered_again += 1;
        Some(answer)
    }

    fn acknowledgement(&self, seq: u64) -> Vec<u8> {
        match self.numbering.after(self.judge(seq)).next_after(seq) {
            Some(next) => ack(self.start.spelling, next),
            None => UNDECIDED_ACK.to_vec(),
        }
    }

    fn write(&mut self, block: Vec<u8>) {
        self.unwritten += block.len();
        self.orders.push(Order::Write(block));
    }

    fn end(&mut self, state: State, now: Instant) {
        self.state = state;
        self.ended = Some(now);
        self.held = None;
        self.gatherer = Gatherer::default();
    }
}

/// How many bytes may wait for the disk before acknowledgements wait too: two blocks on the way and two behind them.
const BACKLOG_MAX: usize = 4 * BLOCK;
