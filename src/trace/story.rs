//! From an exchange to what is to be drawn: messages on their way with their fates, time-outs, remarks, and what is folded.

use super::crossing::{Arrival, Crossing, Fate, Missing, Moment, Remark, Totals, Wait};
use super::fold::{self, Row};
use super::guess;
use super::quantity::{ordinal, span, thousands};
use super::step::{Did, Exchange, Side, Vantage};
use crate::name::Printable;
use std::collections::HashMap;
use std::time::Duration;

/// What is to be drawn. The texts in it are safe to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// Who sends the file.
    pub client: String,
    /// Who receives it.
    pub server: String,
    /// Where the recorder stood.
    pub vantage: Vantage,
    /// The messages, in the order in which they left.
    pub crossings: Vec<Crossing>,
    /// The client's waits that were in vain.
    pub waits: Vec<Wait>,
    /// What was remarked, in the order of time.
    pub remarks: Vec<Remark>,
    /// What is to be drawn, from top to bottom.
    pub rows: Vec<Row>,
    /// How much there was of everything.
    pub totals: Totals,
    /// A usual round trip, or what comes closest to it; never zero.
    pub usual: Duration,
    /// Until the last step.
    pub duration: Duration,
}

/// Something that has its place in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A row that stands for many ends: its index.
    FoldEnds(usize),
    /// A message leaves: its index.
    Departs(usize),
    /// A message, or a copy of it, comes: its index, and the how manieth copy, from 0.
    Arrives(usize, usize),
    /// A remark: its index.
    Remark(usize),
    /// A row that stands for many begins: its index.
    FoldBegins(usize),
}

impl Story {
    /// What there is to tell of `exchange`.
    pub fn of(exchange: &Exchange) -> Self {
        let (mut crossings, remarks, missing) = gather(exchange);
        number_repeats(&mut crossings);
        match exchange.vantage {
            Vantage::Client => guess::at_server(&mut crossings),
            Vantage::Server => guess::at_client(&mut crossings),
            Vantage::Both => {}
        }
        for crossing in &mut crossings {
            crossing.arrivals.sort_by_key(|arrival| arrival.at);
        }
        crossings.sort_by_key(|crossing| crossing.sent);
        mark_late(&mut crossings, exchange.vantage);
        let mut totals = Totals { remarks: remarks.len() as u64, ..Totals::default() };
        totals.missing = missing.map_or(0, |missing| missing.steps);
        for crossing in &crossings {
            totals += Totals::of(crossing);
        }
        Self {
            client: printable(&exchange.client),
            server: printable(&exchange.server),
            vantage: exchange.vantage,
            waits: waits(&crossings),
            rows: fold::rows(&crossings, &remarks, missing),
            usual: usual(&crossings),
            duration: exchange.steps.iter().map(|step| step.at).max().unwrap_or_default(),
            crossings,
            remarks,
            totals,
        }
    }

    /// What the rows show, in the order of time.
    pub fn events(&self) -> Vec<(Moment, Event)> {
        let mut events = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            match row {
                Row::Crossing(index) => {
                    let crossing = &self.crossings[*index];
                    events.push((crossing.sent, Event::Departs(*index)));
                    let arrivals = crossing.arrivals.iter().take(ARRIVALS_MAX).enumerate();
                    events.extend(arrivals.map(|(copy, arrival)| (arrival.at, Event::Arrives(*index, copy))));
                }
                Row::Remark(index) => events.push((self.remarks[*index].at, Event::Remark(*index))),
                Row::Fold(fold) => {
                    events.push((fold.from, Event::FoldBegins(number)));
                    events.push((fold.until, Event::FoldEnds(number)));
                }
            }
        }
        events.sort();
        events
    }

    /// Whose eyes saw it, in a sentence.
    pub fn seen_by(&self) -> &'static str {
        match self.vantage {
            Vantage::Client => "as seen by the client; what happened at the server is inferred",
            Vantage::Server => "as seen by the server; what happened at the client is inferred",
            Vantage::Both => "as seen at both ends, by one clock",
        }
    }

    /// Whether nothing happened for so long that a picture should leave most of it out.
    pub fn is_silence(&self, gap: Duration) -> bool {
        gap > self.usual.saturating_mul(5) / 2
    }

    /// What is said of a message that did not come, as far as is known.
    pub fn end_of(&self, crossing: &Crossing) -> Option<&'static str> {
        match (crossing.fate, self.vantage) {
            (Fate::Arrived | Fate::Damaged, _) => None,
            (Fate::Lost, _) => Some("lost"),
            (Fate::Unanswered, Vantage::Server) => Some("lost?"),
            (Fate::Unanswered, Vantage::Client | Vantage::Both) => Some("no answer"),
            (Fate::Unknown, _) => Some("?"),
        }
    }

    /// What is said of an arrival. From one end a recording shows how long the round trip took, not the way.
    pub fn said_of(&self, crossing: &Crossing, copy: usize) -> Vec<String> {
        let Some(arrival) = crossing.arrivals.get(copy) else { return Vec::new() };
        let took = arrival.at.at.saturating_sub(crossing.sent.at);
        let late = match self.vantage {
            _ if copy > 0 || arrival.damaged => "late".into(),
            Vantage::Both => format!("late {}", span(took)),
            Vantage::Client | Vantage::Server => format!("after {}", span(took.saturating_mul(2))),
        };
        let copied = (copy > 0).then(|| "copy".into());
        let damaged = arrival.damaged.then(|| "damaged".into());
        [copied, damaged, arrival.late.then_some(late)].into_iter().flatten().collect()
    }

    /// What is said of a message when it leaves.
    pub fn said_at(&self, crossing: &Crossing) -> Vec<String> {
        let again = (crossing.nth > 1).then(|| format!("again ({})", ordinal(crossing.nth)));
        let copies = crossing.arrivals.len().saturating_sub(1) as u64;
        let many = (crossing.arrivals.len() > ARRIVALS_MAX).then(|| format!("{} copies", thousands(copies)));
        [again, many].into_iter().flatten().collect()
    }
}

/// Joins what the steps tell of each message.
fn gather(exchange: &Exchange) -> (Vec<Crossing>, Vec<Remark>, Option<Missing>) {
    let mut crossings: Vec<Crossing> = Vec::new();
    let mut remarks = Vec::new();
    let mut known: HashMap<u64, usize> = HashMap::new();
    let mut strays = 0;
    for (order, step) in exchange.steps.iter().enumerate() {
        let at = Moment { at: step.at, order };
        let crossing = known.get(&step.id).and_then(|index| crossings.get_mut(*index));
        match (&step.did, crossing) {
            (Did::Sent { by, text, length, again }, _) => {
                known.insert(step.id, crossings.len());
                crossings.push(Crossing {
                    by: *by,
                    text: printable(text),
                    length: *length,
                    sent: at,
                    arrivals: Vec::new(),
                    fate: Fate::Unknown,
                    nth: 1,
                    root: again.unwrap_or(step.id),
                    again: again.is_some(),
                });
            }
            (Did::Came { damaged }, Some(crossing)) => {
                crossing.arrivals.push(Arrival { at: at.max(crossing.sent), damaged: *damaged, late: false });
                let intact = crossing.arrivals.iter().any(|arrival| !arrival.damaged);
                crossing.fate = if intact { Fate::Arrived } else { Fate::Damaged };
            }
            (Did::Lost, Some(crossing)) if crossing.arrivals.is_empty() => crossing.fate = Fate::Lost,
            (Did::Lost, Some(_)) => {}
            // Its beginning is among the steps that are missing.
            (Did::Came { .. } | Did::Lost, None) => strays += 1,
            (Did::Note { by, text }, _) => remarks.push(Remark { at, by: *by, text: printable(text) }),
        }
    }
    remarks.sort_by_key(|remark| remark.at);
    (crossings, remarks, missing(exchange, strays))
}

fn missing(exchange: &Exchange, strays: u64) -> Option<Missing> {
    let (index, omitted) = exchange.omitted.unwrap_or((0, 0));
    let steps = omitted.saturating_add(strays);
    let moment = |order: usize| exchange.steps.get(order).map(|step| Moment { at: step.at, order });
    let until = moment(index).or_else(|| moment(exchange.steps.len().checked_sub(1)?)).unwrap_or_default();
    let from = index.checked_sub(1).and_then(moment).unwrap_or(until).min(until);
    (steps > 0).then_some(Missing { from, until, steps })
}

/// Counts how often each message was sent. Where numbers alternate, the same bytes may be another chunk; only a repetition that
/// follows at once is one then.
fn number_repeats(crossings: &mut [Crossing]) {
    let mut last: [Option<usize>; 2] = [None, None];
    let mut times: HashMap<(Side, u64), u32> = HashMap::new();
    for index in 0..crossings.len() {
        let crossing = &crossings[index];
        let slot = usize::from(crossing.by == Side::Server);
        let before = last[slot].map(|last| &crossings[last]).filter(|before| is_same(before, crossing));
        let nth = match before {
            Some(before) => before.nth + 1,
            None if crossing.again && !crossing.is_compact() => {
                times.get(&(crossing.by, crossing.root)).map_or(2, |times| times + 1)
            }
            None => 1,
        };
        times.insert((crossing.by, crossing.root), nth);
        crossings[index].nth = nth;
        last[slot] = Some(index);
    }
}

/// Whether two messages of one sender have the same bytes. A recorder forgets; but chunks of one number and length that follow
/// each other are the same.
fn is_same(before: &Crossing, crossing: &Crossing) -> bool {
    let looks_same = before.text == crossing.text && before.length == crossing.length && crossing.number().is_some();
    before.root == crossing.root || looks_same
}

fn waits(crossings: &[Crossing]) -> Vec<Wait> {
    let mut last: Option<usize> = None;
    let mut waits = Vec::new();
    for (index, crossing) in crossings.iter().enumerate().filter(|(_, crossing)| crossing.by == Side::Client) {
        if let Some(from) = last
            && is_same(&crossings[from], crossing)
        {
            let waited = crossing.sent.at.saturating_sub(crossings[from].sent.at);
            waits.extend((waited >= WAIT_LEAST).then_some(Wait { from, to: index, waited }));
        }
        last = Some(index);
    }
    waits
}

/// Late is what takes several times as long as the quicker messages, or what a later one overtakes.
fn mark_late(crossings: &mut [Crossing], vantage: Vantage) {
    let mut ways: Vec<Duration> =
        crossings.iter().filter_map(|crossing| Some(crossing.arrived()?.at.saturating_sub(crossing.sent.at))).collect();
    ways.sort();
    let Some(quick) = ways.get(ways.len() / 4) else { return };
    let limit = quick.saturating_mul(3).saturating_add(LATE_LEAST);
    // By sender, from the end: the earliest arrival of those that left later.
    let mut overtakers: [Option<Moment>; 2] = [None, None];
    for crossing in crossings.iter_mut().rev() {
        let overtaker = &mut overtakers[usize::from(crossing.by == Side::Server)];
        for arrival in &mut crossing.arrivals {
            let slow = arrival.at.at.saturating_sub(crossing.sent.at) > limit;
            arrival.late = match vantage {
                Vantage::Both => slow || overtaker.is_some_and(|overtaker| overtaker < arrival.at),
                // The same wait shows twice, in a message and in its answer.
                Vantage::Client | Vantage::Server => slow && crossing.by == Side::Server,
            };
        }
        *overtaker = [*overtaker, crossing.arrived()].into_iter().flatten().min();
    }
}

/// The median round trip of calm messages; without any, the median time between departures.
fn usual(crossings: &[Crossing]) -> Duration {
    let trips = crossings.windows(2).filter_map(|pair| match pair {
        [asked, answer] if asked.by != answer.by && asked.is_calm() && answer.is_calm() => {
            Some(answer.arrived()?.at.saturating_sub(asked.sent.at))
        }
        _ => None,
    });
    let gaps = crossings.windows(2).map(|pair| pair[1].sent.at.saturating_sub(pair[0].sent.at));
    let median = |mut times: Vec<Duration>| {
        times.retain(|time| !time.is_zero());
        times.sort();
        times.get(times.len() / 2).copied()
    };
    median(trips.collect()).or_else(|| median(gaps.collect())).unwrap_or(Duration::from_millis(1))
}

fn printable(text: &str) -> String {
    Printable(text).to_string()
}

/// Of one message, so many copies are shown.
const ARRIVALS_MAX: usize = 4;

/// What is less late than this is not worth a word.
const LATE_LEAST: Duration = Duration::from_millis(40);

/// Whoever sends a message again sooner has not waited for anything.
const WAIT_LEAST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Recorder, Step};
    use std::time::Instant;

    const DATA: &[u8] = b"d | 1 | x";

    fn recorder() -> (Recorder, impl Fn(u64) -> Instant) {
        #[expect(clippy::disallowed_methods, reason = "a beginning for the test's own clock")]
        let began = Instant::now();
        let recorder = Recorder::new("a".into(), "b".into(), Vantage::Both, 1000, began);
        (recorder, move |millis| began + Duration::from_millis(millis))
    }

    #[test]
    fn every_fate_is_told() {
        let (mut recorder, at) = recorder();
        let lost = recorder.sent(Side::Client, DATA, at(0));
        recorder.lost(lost, at(0));
        let twice = recorder.sent(Side::Client, DATA, at(500));
        recorder.came(twice, DATA, at(510));
        recorder.came(twice, DATA, at(900));
        let damaged = recorder.sent(Side::Server, b"a | 2", at(510));
        recorder.came(damaged, b"a | 3", at(520));
        recorder.sent(Side::Client, b"d | 2 | x", at(1000));
        let story = Story::of(&recorder.exchange());
        let fates: Vec<(Fate, u32, usize)> =
            story.crossings.iter().map(|crossing| (crossing.fate, crossing.nth, crossing.arrivals.len())).collect();
        let expected = [(Fate::Lost, 1, 0), (Fate::Arrived, 2, 2), (Fate::Damaged, 1, 1), (Fate::Unknown, 1, 0)];
        assert_eq!(fates, expected);
        assert!(!story.crossings[1].arrivals[0].late && story.crossings[1].arrivals[1].late);
        assert_eq!(story.waits, [Wait { from: 0, to: 1, waited: Duration::from_millis(500) }]);
        assert_eq!(
            story.totals.summary(story.duration),
            "4 messages, 1 lost, 1 sent again, 1 late, 1 damaged, 1 unknown, 1 copy; 1 s"
        );
    }

    #[test]
    fn what_is_overtaken_is_late() {
        let (mut recorder, at) = recorder();
        let first = recorder.sent(Side::Client, DATA, at(0));
        let second = recorder.sent(Side::Client, b"d | 2 | x", at(1));
        recorder.came(second, b"d | 2 | x", at(2));
        recorder.came(first, DATA, at(3));
        let story = Story::of(&recorder.exchange());
        let late: Vec<bool> = story.crossings.iter().map(|crossing| crossing.arrivals[0].late).collect();
        assert_eq!(late, [true, false]);
    }

    #[test]
    fn alternating_numbers_are_no_repeats_unless_they_follow_each_other() {
        let (mut recorder, at) = recorder();
        for (time, text) in ["d|1|x", "d|0|x", "d|1|x", "d|1|x", "d|0|x"].iter().enumerate() {
            recorder.sent(Side::Client, text.as_bytes(), at(time as u64));
        }
        recorder.sent(Side::Server, b"a | 1", at(6));
        recorder.sent(Side::Server, b"a | 2", at(7));
        recorder.sent(Side::Server, b"a | 1", at(8));
        let story = Story::of(&recorder.exchange());
        let times: Vec<u32> = story.crossings.iter().map(|crossing| crossing.nth).collect();
        assert_eq!(times, [1, 1, 1, 2, 1, 1, 1, 2]);
        assert_eq!(story.waits.len(), 1);
    }

    #[test]
    fn what_has_no_beginning_is_counted_as_missing() {
        let came = |id| Step { at: Duration::from_millis(id), id, did: Did::Came { damaged: false } };
        let exchange = Exchange {
            client: "\u{7}a".into(),
            server: String::new(),
            vantage: Vantage::Both,
            steps: vec![came(7), came(8)],
            omitted: Some((0, 40)),
        };
        let story = Story::of(&exchange);
        assert_eq!((story.totals.missing, story.totals.messages()), (42, 0));
        assert_eq!(story.rows.len(), 1);
        assert_eq!(story.client, r"\u{7}a");
        let empty = Exchange { steps: Vec::new(), omitted: None, ..exchange };
        assert!(Story::of(&empty).rows.is_empty());
    }
}
