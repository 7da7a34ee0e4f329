//! How far down everything stands: time falls to scale, texts keep their distance, silences are cut.

use crate::trace::crossing::{Fate, Moment};
use crate::trace::step::Side;
use crate::trace::story::{Event, Story};
use std::collections::HashMap;
use std::time::Duration;

/// The heights of everything that is drawn, in pixels from the top.
#[derive(Debug, Default)]
pub struct Layout {
    /// Of the departure of a message.
    pub departures: HashMap<usize, f64>,
    /// Of each arrival of a message, as many as are drawn.
    pub arrivals: HashMap<usize, Vec<f64>>,
    /// Of a remark.
    pub remarks: HashMap<usize, f64>,
    /// Of the beginning and the end of a row that stands for many, by the row's index.
    pub folds: HashMap<usize, (f64, f64)>,
    /// Silences that are cut: the middle of the cut, and the time between its ends.
    pub cuts: Vec<(f64, Duration)>,
    /// Where everything ends.
    pub bottom: f64,
}

/// What an event has to keep its distance from.
struct Pen<'a> {
    story: &'a Story,
    y: f64,
    /// The last thing on each life line.
    last: [f64; 2],
    /// The last words beside each life line: their height, what stands below it, and their width in characters.
    words: [(f64, f64, usize); 2],
    folding: bool,
    layout: Layout,
}

/// Finds a height for everything, from `top` down.
pub fn layout(story: &Story, top: f64) -> Layout {
    let mut pen = Pen {
        story,
        y: top,
        last: [top - TEXT_ROOM; 2],
        words: [(top - TEXT_ROOM, 0.0, 0); 2],
        folding: false,
        layout: Layout::default(),
    };
    let mut before: Option<Moment> = None;
    for (at, event) in story.events() {
        pen.pass(before.map_or(at, |before| before.min(at)), at);
        pen.place(event);
        before = Some(at);
    }
    pen.layout.bottom = pen.y;
    pen.layout
}

impl Pen<'_> {
    /// Lets time pass.
    fn pass(&mut self, from: Moment, to: Moment) {
        let gap = to.at.saturating_sub(from.at);
        if self.folding {
            // A fold has a height of its own.
        } else if self.story.is_silence(gap) {
            self.layout.cuts.push((self.y + CUT_MIDDLE, gap));
            self.y += CUT;
        } else {
            self.y += gap.as_secs_f64() / self.story.usual.as_secs_f64() * ROUND_TRIP;
        }
    }

    fn place(&mut self, event: Event) {
        match event {
            Event::Departs(index) => {
                let crossing = &self.story.crossings[index];
                let is_stopped = !matches!(crossing.fate, Fate::Arrived | Fate::Damaged);
                let below = if is_stopped { FATE_ROOM } else { 0.0 };
                let y = self.speak(crossing.by, crossing.text.len() + TAG_ROOM * usize::from(crossing.nth > 1), below);
                self.layout.departures.insert(index, y);
            }
            Event::Arrives(index, _) => {
                let side = slot(self.story.crossings[index].by.other());
                let left = self.layout.departures.get(&index).copied().unwrap_or(self.y);
                self.y = self.y.max(left + FALL).max(self.last[side] + ARRIVAL_ROOM).round();
                self.last[side] = self.y;
                self.layout.arrivals.entry(index).or_default().push(self.y);
            }
            Event::Remark(index) => {
                let remark = &self.story.remarks[index];
                let y = self.speak(remark.by, remark.text.chars().count(), REMARK_BELOW);
                self.last[slot(remark.by)] += REMARK_BELOW;
                self.layout.remarks.insert(index, y);
            }
            Event::FoldBegins(row) => {
                self.y = (self.y + FOLD_ROOM).round();
                self.layout.folds.insert(row, (self.y, self.y));
                self.folding = true;
            }
            Event::FoldEnds(row) => {
                if let Some((begins, ends)) = self.layout.folds.get_mut(&row) {
                    self.y = self.y.max(*begins + FOLD);
                    *ends = self.y;
                }
                self.last = [self.y; 2];
                self.folding = false;
            }
        }
    }

    /// Finds room for words beside a life line: below everything on it, and below the words at the other one if both would meet.
    fn speak(&mut self, by: Side, width: usize, below: f64) -> f64 {
        let (own, other) = (slot(by), slot(by.other()));
        let (height, reach, other_width) = self.words[other];
        self.y = self.y.max(self.last[own] + TEXT_ROOM);
        if width > STUMP_IN_CHARACTERS {
            let (height, reach, _) = self.words[own];
            self.y = self.y.max(height + reach + WORDS_ROOM);
        }
        if width + other_width + usize::from(reach > 0.0) * TAG_ROOM > WIDTH_IN_CHARACTERS {
            self.y = self.y.max(height + reach + WORDS_ROOM);
        }
        self.y = self.y.round();
        self.last[own] = self.y;
        self.words[own] = (self.y, below, width);
        self.y
    }
}

fn slot(side: Side) -> usize {
    usize::from(side == Side::Server)
}

/// How high a usual round trip is, if texts have room.
const ROUND_TRIP: f64 = 60.0;

/// How far a message sinks at least.
const FALL: f64 = 16.0;

/// Above the beginning of an arrow, for its text.
const TEXT_ROOM: f64 = 27.0;

/// Between two arrow heads, for what is beside them.
const ARRIVAL_ROOM: f64 = 18.0;

/// Between words of both sides.
const WORDS_ROOM: f64 = 21.0;

/// Below a beginning: the cross, and the remark's own line.
const FATE_ROOM: f64 = 18.0;
const REMARK_BELOW: f64 = 8.0;

const FOLD_ROOM: f64 = 20.0;
const FOLD: f64 = 50.0;
const CUT: f64 = 66.0;
const CUT_MIDDLE: f64 = 33.0;

/// Between the life lines.
const WIDTH_IN_CHARACTERS: usize = 52;

/// As far as a lost message comes.
const STUMP_IN_CHARACTERS: usize = 31;

/// `again (2nd)`, or `lost`, in characters.
const TAG_ROOM: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Recorder, Vantage};
    use std::time::Instant;

    /// Pairs of 10 ms at these times, in milliseconds.
    fn pairs(times: &[u64]) -> Story {
        #[expect(clippy::disallowed_methods, reason = "a beginning for the test's own clock")]
        let began = Instant::now();
        let mut recorder = Recorder::new("a".into(), "b".into(), Vantage::Both, 1000, began);
        for (number, time) in times.iter().enumerate() {
            let at = |more: u64| began + Duration::from_millis(time + more);
            for (by, text, from) in
                [(Side::Client, format!("d | {number} | x"), 0), (Side::Server, format!("a | {number}"), 5)]
            {
                let mark = recorder.sent(by, text.as_bytes(), at(from));
                recorder.came(mark, text.as_bytes(), at(from + 5));
            }
        }
        Story::of(&recorder.exchange())
    }

    #[test]
    fn time_falls_and_texts_have_room() {
        let story = pairs(&[0, 10, 20, 20, 35]);
        let layout = layout(&story, 100.0);
        for by in [Side::Client, Side::Server] {
            let departures: Vec<f64> = story
                .crossings
                .iter()
                .enumerate()
                .filter(|(_, crossing)| crossing.by == by)
                .map(|(index, _)| layout.departures[&index])
                .collect();
            assert!(departures.windows(2).all(|pair| pair[1] - pair[0] >= TEXT_ROOM), "{departures:?}");
        }
        for (index, arrivals) in &layout.arrivals {
            assert!(arrivals[0] - layout.departures[index] >= FALL);
        }
        assert!(layout.cuts.is_empty());
    }

    #[test]
    fn a_silence_is_cut() {
        let story = pairs(&[0, 10, 5000]);
        let layout = layout(&story, 100.0);
        let silences: Vec<Duration> = layout.cuts.iter().map(|(_, time)| *time).collect();
        assert_eq!(silences, [Duration::from_millis(4980)]);
        assert!(layout.bottom < 600.0, "{}", layout.bottom);
    }
}
