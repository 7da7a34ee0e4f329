//! What a client did, as the recording shows it: which rules of stop-and-wait it broke, and where.

use crate::packet::lab::{self, Message, Spelling};
use crate::trace::{Did, Exchange, Side, headline};
use std::collections::BTreeMap;
use std::time::Duration;

/// A client's conduct in one case.
#[derive(Debug, Default)]
pub(super) struct Behaviour {
    pub(super) spelling: Option<Spelling>,
    /// The start.
    pub(super) start: Option<String>,
    /// The start's number, and that of the first chunk and the one after it.
    pub(super) numbers: Vec<u64>,
    /// What it did against the rules, in the order in which it happened.
    pub(super) faults: Vec<String>,
    /// How often each chunk was sent, in the order of their first time.
    pub(super) times_sent: Vec<(String, u32)>,
    /// The longest datagram with a chunk, and its text.
    pub(super) longest: (usize, String),
    /// How many bytes of the file were in its chunks, each counted once.
    pub(super) bytes: usize,
    /// The smallest buffer that was announced to it.
    pub(super) announced: Option<u64>,
    /// What it sent twice at once when it repeated.
    pub(super) doubled: Vec<String>,
    /// The last message it sent: its text, how often, over which time, and whether the right answer came.
    pub(super) last: Option<Last>,
}

/// What a client was waiting for at its end.
#[derive(Debug, Clone)]
pub(super) struct Last {
    pub(super) text: String,
    pub(super) times: u32,
    pub(super) over: Duration,
    /// When the right answer came, counted from its first time.
    pub(super) answered: Option<Duration>,
    /// What else came.
    pub(super) others: Vec<String>,
}

/// The message that the client is at.
struct Current {
    id: u64,
    text: String,
    seq: u64,
    is_start: bool,
    since: Duration,
    until: Duration,
    times: u32,
    answered: Option<Duration>,
    /// Something came since it was sent last.
    heard: bool,
    /// What came instead of the right answer since it was sent.
    others: Vec<String>,
}

impl Behaviour {
    /// Reads all exchanges of a client as one.
    pub(super) fn of(exchanges: &[Exchange]) -> Self {
        let mut behaviour = Self::default();
        for exchange in exchanges {
            behaviour.read(exchange);
        }
        behaviour
    }

    fn read(&mut self, exchange: &Exchange) {
        let mut current: Option<Current> = None;
        let mut answers: BTreeMap<u64, &str> = BTreeMap::new();
        let mut index: BTreeMap<u64, usize> = BTreeMap::new();
        for step in &exchange.steps {
            match &step.did {
                Did::Sent { by: Side::Server, text, .. } => drop(answers.insert(step.id, text)),
                Did::Came { .. } => {
                    if let (Some(answer), Some(current)) = (answers.get(&step.id), &mut current) {
                        self.hears(current, answer, step.at);
                    }
                }
                Did::Sent { by: Side::Client, text, length, again } => {
                    if text.starts_with('d') && *length > self.longest.0 {
                        self.longest = (*length, text.clone());
                    }
                    let first = again.unwrap_or(step.id);
                    if let Some(place) = index.get(&first) {
                        self.times_sent[*place].1 += 1;
                    } else if text.starts_with('d') {
                        index.insert(step.id, self.times_sent.len());
                        self.times_sent.push((text.clone(), 1));
                        self.bytes += chunk_length(text, *length);
                    }
                    if let Some(current) = current.as_mut().filter(|current| current.id == first) {
                        current.times += 1;
                        if !current.heard && step.at.saturating_sub(current.until) < AT_ONCE {
                            self.doubled.push(text.clone());
                        }
                        (current.until, current.heard) = (step.at, false);
                    } else if again.is_none() {
                        current = self.goes_on(current.as_ref(), step.id, text, step.at).or(current);
                    }
                }
                Did::Lost | Did::Note { .. } => {}
            }
        }
        let Some(current) = current else { return };
        // A recording that ended while the client still repeated the same message goes on in the next one.
        let before = self.last.take().filter(|last| last.text == current.text);
        self.last = Some(Last {
            times: current.times + before.map_or(0, |last| last.times),
            over: current.until.saturating_sub(current.since),
            text: current.text,
            answered: current.answered,
            others: current.others,
        });
    }

    /// An answer came to the client.
    fn hears(&mut self, current: &mut Current, answer: &str, at: Duration) {
        current.heard = true;
        let Ok((spelling, Message::Ack { next, bufsize, .. })) = lab::decode(answer.as_bytes()) else {
            return current.others.push(answer.into());
        };
        if let Some(bufsize) = bufsize.filter(|_| current.is_start) {
            self.announced = Some(self.announced.map_or(bufsize, |known| known.min(bufsize)));
        }
        let expected = after(spelling, current.seq);
        let given = if spelling == Spelling::Compact { next % 2 } else { next };
        match given == expected {
            true => drop(current.answered.get_or_insert(at.saturating_sub(current.since))),
            false => current.others.push(answer.into()),
        }
    }

    /// The client sends something new; what it was at should be settled by then.
    fn goes_on(&mut self, before: Option<&Current>, id: u64, text: &str, at: Duration) -> Option<Current> {
        let (spelling, is_start, seq) = match headline(text)? {
            (spelling, kind @ (b's' | b'd' | b'c'), seq) => (spelling, kind == b's', seq),
            _ => return None,
        };
        self.spelling.get_or_insert(spelling);
        if is_start {
            self.start.get_or_insert_with(|| text.to_string());
        }
        if self.numbers.len() < NUMBERS_KEPT {
            self.numbers.push(seq);
        }
        if let Some(before) = before {
            let followed = |other: &&String| {
                let number = headline(other).map(|(_, _, number)| number);
                !is_start && spelling == Spelling::Spaced && seq != after(spelling, before.seq) && number == Some(seq)
            };
            if let Some(other) = before.others.iter().find(followed) {
                self.faults
                    .push(format!("it took `{other}` for the acknowledgement of `{}`, and sent `{text}`", before.text));
            } else if !is_start && before.answered.is_none() {
                let took =
                    before.others.last().map(|other| format!("; the last that came was `{other}`")).unwrap_or_default();
                self.faults.push(format!("it sent `{text}` though `{}` was not acknowledged{took}", before.text));
            }
            if !is_start && !before.is_start && before.seq == seq && spelling == Spelling::Spaced {
                self.faults.push(format!("it sent two different chunks with the number {seq}"));
            }
        }
        let (text, answered, heard, others) = (text.into(), None, false, Vec::new());
        Some(Current { id, text, seq, is_start, since: at, until: at, times: 1, answered, heard, others })
    }
}

/// Without its header.
fn chunk_length(text: &str, length: usize) -> usize {
    headline(text).map_or(0, |(spelling, _, seq)| length.saturating_sub(lab::data_header_length(seq, spelling)))
}

/// The number that acknowledges `seq`.
fn after(spelling: Spelling, seq: u64) -> u64 {
    match spelling {
        Spelling::Spaced => seq.wrapping_add(1),
        Spelling::Compact => seq.wrapping_add(1) % 2,
    }
}

/// Nobody's timer is that short.
const AT_ONCE: Duration = Duration::from_millis(5);

/// The start's number, and those of the first chunks.
const NUMBERS_KEPT: usize = 12;
