//! Writes down what passes, in bounded memory.

use super::step::{Did, Exchange, Side, Step, Vantage, words};
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

/// A datagram that was written down, to say later what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    id: u64,
    /// Of its bytes as they were sent.
    fingerprint: u64,
}

/// Records one exchange.
#[derive(Debug)]
pub struct Recorder {
    began: Instant,
    client: String,
    server: String,
    vantage: Vantage,
    /// The beginning, until there are too many steps; then the end goes into `tail`, and what falls out of that is counted.
    head: Vec<Step>,
    tail: VecDeque<Step>,
    omitted: u64,
    steps_max: usize,
    next_id: u64,
    /// The first datagram with these bytes, for each sender.
    seen: HashMap<(Side, u64), u64>,
    /// Steps that were not asked for yet, when somebody asks.
    unwritten: Option<VecDeque<Step>>,
}

impl Recorder {
    /// Begins a recording at `now`. Of more than `steps_max` steps only the first and the last are kept.
    pub fn new(client: String, server: String, vantage: Vantage, steps_max: usize, now: Instant) -> Self {
        Self {
            began: now,
            client,
            server,
            vantage,
            head: Vec::new(),
            tail: VecDeque::new(),
            omitted: 0,
            steps_max: steps_max.max(2),
            next_id: 0,
            seen: HashMap::new(),
            unwritten: None,
        }
    }

    /// Also hands every step out once, by [`Recorder::poll_step`].
    pub fn streaming(mut self) -> Self {
        self.unwritten = Some(VecDeque::new());
        self
    }

    /// The next step for whoever writes them down as they happen.
    pub fn poll_step(&mut self) -> Option<Step> {
        self.unwritten.as_mut()?.pop_front()
    }

    /// A datagram leaves `by`.
    pub fn sent(&mut self, by: Side, datagram: &[u8], now: Instant) -> Mark {
        let mark = Mark { id: self.next_id, fingerprint: fingerprint(datagram) };
        self.next_id += 1;
        let again = match self.seen.get(&(by, mark.fingerprint)) {
            Some(first) => Some(*first),
            None => {
                if self.seen.len() < self.steps_max {
                    self.seen.insert((by, mark.fingerprint), mark.id);
                }
                None
            }
        };
        let did = Did::Sent { by, text: words(datagram), length: datagram.len(), again };
        self.push(mark.id, did, now);
        mark
    }

    /// It reaches the other end with these bytes. A copy that the network made comes a second time.
    pub fn came(&mut self, mark: Mark, datagram: &[u8], now: Instant) {
        let damaged = fingerprint(datagram) != mark.fingerprint;
        self.push(mark.id, Did::Came { damaged }, now);
    }

    /// A datagram of `by` arrives whose departure nobody saw.
    pub fn arrived(&mut self, by: Side, datagram: &[u8], now: Instant) -> Mark {
        let mark = self.sent(by, datagram, now);
        self.push(mark.id, Did::Came { damaged: false }, now);
        mark
    }

    /// It will never reach the other end.
    pub fn lost(&mut self, mark: Mark, now: Instant) {
        self.push(mark.id, Did::Lost, now);
    }

    /// Something worth a remark happened at one end.
    pub fn note(&mut self, by: Side, text: impl Into<String>, now: Instant) {
        self.push(self.next_id.saturating_sub(1), Did::Note { by, text: text.into() }, now);
    }

    fn push(&mut self, id: u64, did: Did, now: Instant) {
        let step = Step { at: now.saturating_duration_since(self.began), id, did };
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.push_back(step.clone());
        }
        if self.head.len() < self.steps_max / 2 {
            return self.head.push(step);
        }
        self.tail.push_back(step);
        if self.tail.len() > self.steps_max - self.steps_max / 2 {
            self.tail.pop_front();
            self.omitted += 1;
        }
    }

    /// What was recorded so far.
    pub fn exchange(&self) -> Exchange {
        let mut steps = self.head.clone();
        let omitted = (self.omitted > 0).then_some((steps.len(), self.omitted));
        steps.extend(self.tail.iter().cloned());
        Exchange { client: self.client.clone(), server: self.server.clone(), vantage: self.vantage, steps, omitted }
    }
}

fn fingerprint(datagram: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    datagram.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn recorder(steps_max: usize) -> (Recorder, Instant) {
        #[expect(clippy::disallowed_methods, reason = "a beginning for the test's own clock")]
        let now = Instant::now();
        (Recorder::new("a".into(), "b".into(), Vantage::Both, steps_max, now), now)
    }

    #[test]
    fn a_repeat_names_its_first_and_a_copy_shares_its_number() {
        let (mut recorder, now) = recorder(100);
        let later = now + Duration::from_millis(500);
        let first = recorder.sent(Side::Client, b"d | 1 | x", now);
        recorder.lost(first, now);
        let second = recorder.sent(Side::Client, b"d | 1 | x", later);
        recorder.came(second, b"d | 1 | x", later);
        recorder.came(second, b"d | 1 | y", later);
        recorder.sent(Side::Server, b"d | 1 | x", later);
        let steps = recorder.exchange().steps;
        let again: Vec<_> = steps
            .iter()
            .filter_map(|step| match &step.did {
                Did::Sent { again, .. } => Some(*again),
                _ => None,
            })
            .collect();
        assert_eq!(again, [None, Some(0), None], "each side has its own");
        assert_eq!(steps[3], Step { at: Duration::from_millis(500), id: 1, did: Did::Came { damaged: false } });
        assert_eq!(steps[4].did, Did::Came { damaged: true });
    }

    #[test]
    fn of_too_many_steps_the_first_and_the_last_stay() {
        let (recorder, now) = recorder(10);
        let mut recorder = recorder.streaming();
        for number in 0..100_u64 {
            recorder.sent(Side::Client, format!("d | {number} | x").as_bytes(), now);
        }
        let exchange = recorder.exchange();
        let ids: Vec<u64> = exchange.steps.iter().map(|step| step.id).collect();
        assert_eq!(ids, [0, 1, 2, 3, 4, 95, 96, 97, 98, 99]);
        assert_eq!(exchange.omitted, Some((5, 90)));
        assert_eq!(std::iter::from_fn(|| recorder.poll_step()).count(), 100, "whoever writes gets all");
    }
}
