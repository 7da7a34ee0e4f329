//! What the marks mean, of those that occur.

use super::ink::{Anchor, Ink};
use super::layout::Layout;
use crate::trace::crossing::{Crossing, Fate};
use crate::trace::fold::Row;
use crate::trace::step::Vantage;
use crate::trace::story::Story;

/// A mark and what it means.
pub struct Marks(Vec<(Mark, &'static str)>);

#[derive(Clone, Copy)]
enum Mark {
    Lost,
    Guess,
    Unknown,
    Late,
    Damaged,
    Copy,
    Wait,
    Cut,
}

impl Marks {
    /// Those that occur.
    pub fn of(story: &Story, layout: &Layout) -> Self {
        let any = |is: fn(&Crossing) -> bool| {
            story.rows.iter().any(|row| matches!(row, Row::Crossing(index) if is(&story.crossings[*index])))
        };
        let guess = match story.vantage {
            Vantage::Server => "sent, but the same message came again: perhaps lost",
            Vantage::Client | Vantage::Both => "no answer: the message was lost, or the answer to it",
        };
        let is_waiting = |from, to| layout.departures.contains_key(from) && layout.departures.contains_key(to);
        let marks = [
            (any(|crossing| crossing.fate == Fate::Lost), Mark::Lost, "lost on the way"),
            (any(|crossing| crossing.fate == Fate::Unanswered), Mark::Guess, guess),
            (
                any(|crossing| crossing.fate == Fate::Unknown),
                Mark::Unknown,
                "the recording does not say what became of it",
            ),
            (
                any(|crossing| crossing.arrivals.iter().any(|arrival| arrival.late)),
                Mark::Late,
                "late, or overtaken by another",
            ),
            (
                any(|crossing| crossing.arrivals.iter().any(|arrival| arrival.damaged)),
                Mark::Damaged,
                "damaged on the way",
            ),
            (any(|crossing| crossing.arrivals.len() > 1), Mark::Copy, "a copy that the network made"),
            (
                story.waits.iter().any(|wait| is_waiting(&wait.from, &wait.to)),
                Mark::Wait,
                "no answer in time: the client sends it again",
            ),
            (!layout.cuts.is_empty(), Mark::Cut, "time in which nothing happened, not to scale"),
        ];
        Self(marks.into_iter().filter(|(occurs, ..)| *occurs).map(|(_, mark, words)| (mark, words)).collect())
    }
}

/// Draws the legend from `top` down; says how high the picture becomes.
pub fn draw(ink: &mut Ink, marks: &Marks, top: f64) -> f64 {
    if marks.0.is_empty() {
        return top - 6.0;
    }
    let (mut x, mut y) = (LEFT, top + 8.0);
    for (mark, words) in &marks.0 {
        let width = SAMPLE + words.len() as f64 * LETTER;
        if x > LEFT && x + width > RIGHT {
            (x, y) = (LEFT, y + LINE);
        }
        sample(ink, *mark, x, y);
        ink.text("note", (x + SAMPLE, y + 5.0), Anchor::Start, words);
        x = if x + width < MIDDLE { MIDDLE } else { RIGHT };
    }
    y + LINE
}

fn sample(ink: &mut Ink, mark: Mark, x: f64, y: f64) {
    let line = format!("M{x} {y}h26");
    let arrow = format!("M{x} {y}h38m-9-5l9 5l-9 5");
    match mark {
        Mark::Lost => {
            ink.path("lost", &line);
            ink.cross("cross", (x + 31.0, y));
        }
        Mark::Guess => {
            ink.path("guess", &line);
            ink.cross("cross", (x + 31.0, y));
        }
        Mark::Unknown => ink.path("unknown", &format!("M{x} {y}h38")),
        Mark::Late => ink.path("late", &arrow),
        Mark::Damaged => ink.path("damaged", &arrow),
        Mark::Copy => ink.path("there ladder-copy", &arrow),
        Mark::Wait => ink.path("wait", &format!("M{} {}h-8v18h8", x + 24.0, y - 9.0)),
        Mark::Cut => ink.path("life", &format!("M{} {}v4l-6 3l12 3l-12 3l6 3v4", x + 19.0, y - 10.0)),
    }
}

/// The two columns; what is too long for one has a line of its own.
const LEFT: f64 = 28.0;
const MIDDLE: f64 = 452.0;
const RIGHT: f64 = 880.0;
const LINE: f64 = 26.0;

/// The room for a sample, and for a letter at most.
const SAMPLE: f64 = 52.0;
const LETTER: f64 = 8.4;
