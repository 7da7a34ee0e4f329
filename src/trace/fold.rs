//! Which messages are drawn, and which are told of in one row: nobody reads ten thousand arrows.

use super::crossing::{Crossing, Missing, Moment, Remark, Totals};
use super::quantity::{count, span, thousands};
use super::step::Side;

/// One row of the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A message, by its index.
    Crossing(usize),
    /// A remark, by its index.
    Remark(usize),
    /// Messages that are not drawn one by one.
    Fold(Fold),
}

/// What one row stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Its first moment.
    pub from: Moment,
    /// Its last moment.
    pub until: Moment,
    /// What is in it.
    pub totals: Totals,
    /// Why they are not drawn.
    pub why: Why,
}

/// Why messages are not drawn one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing happened to them: messages of the client, each with its answer. Kind and number of the first one and the last.
    Calm(String, String),
    /// One message again and again, and nothing came back. Its kind and number.
    InVain(String),
    /// There are too many.
    TooMany,
    /// The recording does not have them.
    Missing,
}

impl Fold {
    /// What it stands for, in a headline and the details.
    pub fn words(&self) -> [String; 2] {
        let totals = &self.totals;
        let time = format!("in {}", span(self.until.at.saturating_sub(self.from.at)));
        match &self.why {
            Why::Calm(first, last) if first.starts_with('d') && last.starts_with('d') => [
                format!("{}, each acknowledged", count(totals.from_client, "chunk")),
                format!("{first} … {last}, {time}"),
            ],
            Why::Calm(first, last) => [
                format!("{}, each answered", count(totals.from_client, "message")),
                format!("{first} … {last}, {time}"),
            ],
            Why::InVain(what) => {
                [format!("{} more times, and no answer", thousands(totals.from_client)), format!("{what}, {time}")]
            }
            Why::TooMany => {
                let missing = if totals.missing > 0 { totals.not_recorded() } else { String::new() };
                let mut details = vec![totals.incidents(), missing, time];
                details.retain(|detail| !detail.is_empty());
                [format!("{} not drawn", count(totals.messages(), "message")), details.join(", ")]
            }
            Why::Missing => [totals.not_recorded(), time],
        }
    }
}

/// The rows, from top to bottom.
pub fn rows(crossings: &[Crossing], remarks: &[Remark], missing: Option<Missing>) -> Vec<Row> {
    let parts = parts(crossings, remarks, missing);
    let keeps = keeps(&parts, crossings);
    let mut rows = Vec::new();
    let mut run: Vec<usize> = Vec::new();
    for (index, (part, keep)) in parts.iter().zip(&keeps).enumerate() {
        let goes_on = index.checked_sub(1).is_some_and(|before| !keeps[before] && is_alike(&parts[before], part));
        if *keep || !goes_on {
            fold(&mut run, crossings, &mut rows);
        }
        match *part {
            Part::Pair(asked, answer) if !keep => run.extend([asked, answer]),
            Part::Crossing(index) if !keep => run.push(index),
            Part::Pair(asked, answer) => rows.extend([Row::Crossing(asked), Row::Crossing(answer)]),
            Part::Crossing(index) => rows.push(Row::Crossing(index)),
            Part::Remark(index) => rows.push(Row::Remark(index)),
            Part::Missing(Missing { from, until, steps }) => {
                let totals = Totals { missing: steps, ..Totals::default() };
                rows.push(Row::Fold(Fold { from, until, totals, why: Why::Missing }));
            }
            Part::Arrival => {}
        }
    }
    fold(&mut run, crossings, &mut rows);
    limit(rows, crossings, remarks)
}

/// What is kept or folded as one.
#[derive(Clone, Copy)]
enum Part {
    /// A calm message and its calm answer.
    Pair(usize, usize),
    Crossing(usize),
    Remark(usize),
    Missing(Missing),
    /// A message that left earlier, and was not calm, comes now.
    Arrival,
}

fn parts(crossings: &[Crossing], remarks: &[Remark], missing: Option<Missing>) -> Vec<Part> {
    let mut parts: Vec<(Moment, Part)> = Vec::new();
    for (index, crossing) in crossings.iter().enumerate() {
        parts.push((crossing.sent, Part::Crossing(index)));
        if !crossing.is_calm() {
            parts.extend(crossing.arrivals.iter().map(|arrival| (arrival.at, Part::Arrival)));
        }
    }
    parts.extend(remarks.iter().enumerate().map(|(index, remark)| (remark.at, Part::Remark(index))));
    parts.extend(missing.map(|missing| (missing.until, Part::Missing(missing))));
    parts.sort_by_key(|(at, part)| (*at, !matches!(part, Part::Missing(_))));

    let mut joined: Vec<Part> = Vec::with_capacity(parts.len());
    for (_, part) in parts {
        match (joined.last(), part) {
            (Some(Part::Crossing(asked)), Part::Crossing(answer))
                if is_pair(&crossings[*asked], &crossings[answer]) =>
            {
                let asked = *asked;
                joined.pop();
                joined.push(Part::Pair(asked, answer));
            }
            _ => joined.push(part),
        }
    }
    joined
}

fn is_pair(asked: &Crossing, answer: &Crossing) -> bool {
    let sides = (asked.by, answer.by) == (Side::Client, Side::Server);
    sides && asked.is_calm() && answer.is_calm() && asked.arrived().is_some_and(|arrived| arrived <= answer.sent)
}

/// The first and the last messages of the client stay, with their answers, and the pairs beside whatever is no pair; of a message
/// that is repeated in vain the first and the last ones.
fn keeps(parts: &[Part], crossings: &[Crossing]) -> Vec<bool> {
    let is_pair = |index: usize| matches!(parts.get(index), Some(Part::Pair(..)));
    let is_in_vain = |index: usize| match parts.get(index) {
        Some(Part::Crossing(index)) => {
            let crossing = &crossings[*index];
            crossing.by == Side::Client && crossing.nth > 1 && crossing.arrivals.is_empty()
        }
        _ => false,
    };
    let mut keeps: Vec<bool> = (0..parts.len())
        .map(|index| {
            let amid_pairs =
                index.checked_sub(1).is_none_or(is_pair) && (index + 1 == parts.len() || is_pair(index + 1));
            let amid_repeats = index >= REPEATS && (index - REPEATS..=index + REPEATS).all(is_in_vain);
            !(is_pair(index) && amid_pairs || amid_repeats)
        })
        .collect();
    let is_asked = |index: &usize| match parts[*index] {
        Part::Pair(..) => true,
        Part::Crossing(index) => crossings[index].by == Side::Client,
        Part::Remark(_) | Part::Missing(_) | Part::Arrival => false,
    };
    let asked: Vec<usize> = (0..parts.len()).filter(is_asked).collect();
    for index in asked.iter().take(ASKED_FIRST).chain(asked.iter().rev().take(ASKED_LAST)) {
        keeps[*index] = true;
    }
    keeps
}

/// Whether two parts can be in one fold.
fn is_alike(before: &Part, part: &Part) -> bool {
    matches!((before, part), (Part::Pair(..), Part::Pair(..)) | (Part::Crossing(_), Part::Crossing(_)))
}

/// Makes one row of a run of messages, unless it is so short that nothing is won.
fn fold(run: &mut Vec<usize>, crossings: &[Crossing], rows: &mut Vec<Row>) {
    let (Some(first), Some(last), true) = (run.first(), run.last(), run.len() >= RUN_MIN) else {
        rows.extend(run.drain(..).map(Row::Crossing));
        return;
    };
    let (first, last) = (&crossings[*first], &crossings[*last]);
    let from = first.sent;
    let until = last.arrived().unwrap_or(last.sent);
    let why = match last.by {
        Side::Client => Why::InVain(first.label().into()),
        Side::Server => {
            let asked = run.get(run.len() - 2).map_or(first, |asked| &crossings[*asked]);
            Why::Calm(first.label().into(), asked.label().into())
        }
    };
    let mut totals = Totals::default();
    for index in run.drain(..) {
        totals += Totals::of(&crossings[index]);
    }
    rows.push(Row::Fold(Fold { from, until, totals, why }));
}

/// Of too many rows the first two thirds and the last third stay.
fn limit(mut rows: Vec<Row>, crossings: &[Crossing], remarks: &[Remark]) -> Vec<Row> {
    if rows.len() <= ROWS_MAX {
        return rows;
    }
    // No answer begins a part, and no message that may be answered ends one.
    let is_by = |row: &Row, side| matches!(row, Row::Crossing(index) if crossings[*index].by == side);
    let (head, tail) = (ROWS_MAX * 2 / 3, rows.len() - ROWS_MAX / 3);
    let tail = (tail..tail + CUT_REACH).find(|row| !is_by(&rows[*row], Side::Server)).unwrap_or(tail);
    let head = (head - CUT_REACH..=head).rev().find(|row| !is_by(&rows[row - 1], Side::Client)).unwrap_or(head);
    let tail = rows.split_off(tail);
    let middle = rows.split_off(head);
    let mut totals = Totals::default();
    let mut extent: Option<(Moment, Moment)> = None;
    for row in &middle {
        let (from, until) = match row {
            Row::Crossing(index) => {
                totals += Totals::of(&crossings[*index]);
                (crossings[*index].sent, crossings[*index].sent)
            }
            Row::Remark(index) => {
                totals.remarks += 1;
                (remarks[*index].at, remarks[*index].at)
            }
            Row::Fold(fold) => {
                totals += fold.totals;
                (fold.from, fold.until)
            }
        };
        extent = Some(extent.map_or((from, until), |(first, last)| (first.min(from), last.max(until))));
    }
    let (from, until) = extent.unwrap_or_default();
    rows.push(Row::Fold(Fold { from, until, totals, why: Why::TooMany }));
    rows.extend(tail);
    rows
}

/// How many messages of the client are drawn in any case, with their answers.
const ASKED_FIRST: usize = 3;
const ASKED_LAST: usize = 2;

/// On each side of a fold, of a message that is repeated in vain.
const REPEATS: usize = 2;

/// The shortest run that is folded, in messages.
const RUN_MIN: usize = 4;

/// How far the place for a cut is looked for, in rows.
const CUT_REACH: usize = 8;

/// More rows than this are not drawn.
const ROWS_MAX: usize = 240;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Arrival, Fate, Recorder, Story, Vantage};
    use std::time::{Duration, Instant};

    /// So many chunks in a row, of which some are lost so many times before they come.
    fn story(chunks: u32, lost: &[u32], times: u32) -> Story {
        #[expect(clippy::disallowed_methods, reason = "a beginning for the test's own clock")]
        let mut now = Instant::now();
        let mut recorder = Recorder::new("a".into(), "b".into(), Vantage::Both, 1_000_000, now);
        for number in 1..=chunks {
            let (asked, answer) = (format!("d | {number} | x"), format!("a | {}", number + 1));
            for _ in 0..if lost.contains(&number) { times } else { 0 } {
                let mark = recorder.sent(Side::Client, asked.as_bytes(), now);
                recorder.lost(mark, now);
                now += Duration::from_millis(100);
            }
            for (side, text) in [(Side::Client, &asked), (Side::Server, &answer)] {
                let mark = recorder.sent(side, text.as_bytes(), now);
                now += Duration::from_millis(1);
                recorder.came(mark, text.as_bytes(), now);
            }
        }
        Story::of(&recorder.exchange())
    }

    /// The rows in short: a message as its number, a fold as what it says.
    fn told(story: &Story) -> Vec<String> {
        let rows = story.rows.iter();
        let tell = rows.map(|row| match row {
            Row::Crossing(index) => story.crossings[*index].label().to_string(),
            Row::Remark(index) => story.remarks[*index].text.clone(),
            Row::Fold(fold) => fold.words().join(": "),
        });
        tell.collect()
    }

    #[test]
    fn the_first_the_last_and_the_neighbours_of_an_incident_stay() {
        let rows = told(&story(40, &[20], 1));
        let expected = [
            "d | 1",
            "a | 2",
            "d | 2",
            "a | 3",
            "d | 3",
            "a | 4",
            "15 chunks, each acknowledged: d | 4 … d | 18, in 30 ms",
            "d | 19",
            "a | 20",
            "d | 20",
            "d | 20",
            "a | 21",
            "d | 21",
            "a | 22",
            "17 chunks, each acknowledged: d | 22 … d | 38, in 34 ms",
            "d | 39",
            "a | 40",
            "d | 40",
            "a | 41",
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_message_with_a_remark_before_its_answer_is_one_of_the_last() {
        let calm = |by, text: &str, at: u64| {
            let moment = |at| Moment { at: Duration::from_millis(at), order: at as usize };
            let arrivals = vec![Arrival { at: moment(at + 1), damaged: false, late: false }];
            let (text, length, sent) = (text.to_string(), 9, moment(at));
            Crossing { by, text, length, sent, arrivals, fate: Fate::Arrived, nth: 1, root: at, again: false }
        };
        let both = |number: u64| {
            let (asked, answer) = (format!("d | {number} | x"), format!("a | {}", number + 1));
            [calm(Side::Client, &asked, number * 10), calm(Side::Server, &answer, number * 10 + 5)]
        };
        let crossings: Vec<Crossing> = (0..10).flat_map(both).collect();
        let at = Moment { at: Duration::from_millis(93), order: 93 };
        let remark = Remark { at, by: Side::Server, text: "stored".into() };
        let rows = rows(&crossings, &[remark], None);
        let drawn = rows.iter().rev().take_while(|row| !matches!(row, Row::Fold(_))).count();
        assert_eq!((rows.len(), drawn), (12, 5), "8, its answer, 9, the remark, the answer: {rows:?}");
    }

    #[test]
    fn short_exchanges_are_not_folded() {
        for chunks in 0..=6 {
            assert_eq!(story(chunks, &[], 0).rows.len(), 2 * chunks as usize, "{chunks} chunks");
        }
        assert_eq!(story(7, &[], 0).rows.len(), 11, "two pairs make one row");
    }

    #[test]
    fn repetitions_in_vain_are_folded() {
        let rows = told(&story(1, &[1], 12));
        let expected = [
            "d | 1",
            "d | 1",
            "d | 1",
            "7 more times, and no answer: d | 1, in 0.6 s",
            "d | 1",
            "d | 1",
            "d | 1",
            "a | 2",
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn of_too_many_rows_the_middle_goes() {
        let every_third: Vec<u32> = (0..2000).step_by(3).collect();
        let story = story(2000, &every_third, 1);
        assert!(story.rows.len() <= ROWS_MAX + 1, "{} rows", story.rows.len());
        let folds: Vec<&Fold> = story
            .rows
            .iter()
            .filter_map(|row| match row {
                Row::Fold(fold) if fold.why == Why::TooMany => Some(fold),
                _ => None,
            })
            .collect();
        let drawn = story.rows.len() as u64 - 1;
        assert_eq!(folds.len(), 1);
        assert_eq!(folds[0].totals.messages() + drawn, story.totals.messages(), "nothing gets lost");
        assert!(folds[0].words()[1].contains(" lost, "), "{:?}", folds[0].words());
    }
}
