//! What a client did, as the recording shows it: which rules of stop-and-wait it broke, and where.

use crate::packet::lab::{self, Message, Spelling};
use crate::trace::{Did, Exchange, Side, headline};
use std::collections::BTreeMap;
use std::time::Duration;

/// A client's conduct in one case.
#[derive(Debug, Default)]
pub(super) struct Behaviour {
    pub(super) spelling: Option<Spelling>,
    /// The start's number, and that of the first chunk and the one after it.
    pub(super) numbers: Vec<u64>,
    /// What it did against the rules, in the order in which it happened.
    pub(super) faults: Vec<String>,
    /// How often each chunk was sent, in the order of their first time.
    pub(super) times_sent: Vec<(String, u32)>,
    /// The longest datagram with a chunk, and its text.
    pub(super) longest: (usize, String),
    /// The smallest buffer that was announced to it.
    pub(super) announced: Option<u64>,
    /// The last message it sent: its text, how often, over which time, and whether the right answer came.
    pub(super) last: Option<Last>,
}

/// What a client was waiting for at its end.
#[derive(Debug, Clone)]
pub(super) struct Last {
    pub(super) text: String,
    pub(super) times: u32,
    pub(super) over: Duration,
    pub(super) answered: bool,
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
    answered: bool,
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
                        self.hears(current, answer);
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
                    }
                    if let Some(current) = current.as_mut().filter(|current| current.id == first) {
                        current.times += 1;
                        current.until = step.at;
                    } else if again.is_none() {
                        current = self.goes_on(current.as_ref(), step.id, text, step.at).or(current);
                    }
                }
                Did::Lost | Did::Note { .. } => {}
            }
        }
        self.last = current.map(|current| Last {
            text: current.text,
            times: current.times,
            over: current.until.saturating_sub(current.since),
            answered: current.answered,
        });
    }

    /// An answer came to the client.
    fn hears(&mut self, current: &mut Current, answer: &str) {
        let Ok((spelling, Message::Ack { next, bufsize, .. })) = lab::decode(answer.as_bytes()) else {
            return current.others.push(answer.into());
        };
        if let Some(bufsize) = bufsize.filter(|_| current.is_start) {
            self.announced = Some(self.announced.map_or(bufsize, |known| known.min(bufsize)));
        }
        let expected = after(spelling, current.seq);
        let given = if spelling == Spelling::Compact { next % 2 } else { next };
        match given == expected {
            true => current.answered = true,
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
        if self.numbers.len() < NUMBERS_KEPT {
            self.numbers.push(seq);
        }
        if let Some(before) = before {
            if !is_start && !before.answered {
                let took =
                    before.others.last().map(|other| format!("; the last that came was `{other}`")).unwrap_or_default();
                self.faults.push(format!("it sent `{text}` though `{}` was not acknowledged{took}", before.text));
            }
            if !is_start && !before.is_start && before.seq == seq && spelling == Spelling::Spaced {
                self.faults.push(format!("it sent two different chunks with the number {seq}"));
            }
        }
        let others = Vec::new();
        Some(Current { id, text: text.into(), seq, is_start, since: at, until: at, times: 1, answered: false, others })
    }
}

/// The number that acknowledges `seq`.
fn after(spelling: Spelling, seq: u64) -> u64 {
    match spelling {
        Spelling::Spaced => seq.wrapping_add(1),
        Spelling::Compact => seq.wrapping_add(1) % 2,
    }
}

/// The start's number, and those of the first chunks.
const NUMBERS_KEPT: usize = 12;
