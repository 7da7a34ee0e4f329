//! An exchange as a ladder of text, for a terminal.

use super::crossing::{Arrival, Crossing, Fate, Moment};
use super::fold::Row;
use super::quantity::{STAMP_WIDTH, decimals, fitted, span, wrapped};
use super::step::{Exchange, Side, Vantage};
use super::story::{Event, Story};
use std::collections::HashMap;

/// Draws `exchange` with characters, in lines of at most `width` columns (of 80 to 110 at any rate). With `color`, what went
/// wrong is coloured by ANSI sequences; other control characters never occur.
pub fn text(exchange: &Exchange, width: usize, color: bool) -> String {
    let story = Story::of(exchange);
    let width = width.clamp(WIDTH_MIN, WIDTH_MAX);
    let remark = if width < WIDTH_MAX { REMARK_MIN } else { REMARK_MAX };
    let middle = width - remark - INDENT - LINES_WIDTH;
    let mut ladder = Ladder { story: &story, middle, remark, color, text: String::new() };
    ladder.head();
    ladder.body();
    ladder.foot();
    ladder.text
}

struct Ladder<'a> {
    story: &'a Story,
    /// The columns between the life lines.
    middle: usize,
    /// The columns for remarks.
    remark: usize,
    color: bool,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Colour {
    Plain,
    Grey,
    Red,
    Yellow,
}

impl Ladder<'_> {
    fn head(&mut self) {
        let title = |who: &str, name: &str| if name.is_empty() { who.to_string() } else { format!("{who} {name}") };
        let (client, server) = (title("client", &self.story.client), title("server", &self.story.server));
        let half = (self.middle + 10) / 2 - 1;
        let (client, server) = (fitted(&client, half), fitted(&server, half));
        let blank = (self.middle + 10).saturating_sub(client.chars().count() + server.chars().count());
        let indent = " ".repeat(INDENT);
        self.push(&format!("{indent}{client}{}{server}", " ".repeat(blank)), Colour::Plain);
        self.push(&format!("{indent}({})", self.story.seen_by()), Colour::Grey);
    }

    fn body(&mut self) {
        let events = self.story.events();
        let waits: HashMap<usize, (usize, String)> =
            self.story.waits.iter().map(|wait| (wait.to, (wait.from, span(wait.waited)))).collect();
        let drawn: Vec<usize> = events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Departs(index) => Some(*index),
                _ => None,
            })
            .collect();
        let mut before: Option<Moment> = None;
        let mut folding = false;
        for (position, (at, event)) in events.iter().enumerate() {
            let gap = before.map_or_else(Default::default, |before| at.at.saturating_sub(before.at));
            let waited = match event {
                Event::Departs(index) => waits.get(index).filter(|(from, _)| drawn.binary_search(from).is_ok()),
                _ => None,
            };
            match waited {
                Some((_, time)) => self.pause(&format!("time-out {time}"), Colour::Red),
                None if !folding && self.story.is_silence(gap) => self.pause(&span(gap), Colour::Grey),
                None => {}
            }
            folding = match event {
                Event::FoldBegins(_) => true,
                Event::FoldEnds(_) => false,
                _ => folding,
            };
            let next = events.get(position + 1).map(|(_, event)| *event);
            let previous = position.checked_sub(1).and_then(|before| events.get(before)).map(|(_, event)| *event);
            self.event(*at, *event, previous, next);
            before = Some(*at);
        }
    }

    /// One event; a message that comes before anything else happens is one line with its departure.
    fn event(&mut self, at: Moment, event: Event, previous: Option<Event>, next: Option<Event>) {
        match event {
            Event::Departs(index) => {
                let crossing = &self.story.crossings[index];
                let comes_next = next == Some(Event::Arrives(index, 0));
                self.departure(at, crossing, comes_next);
            }
            // Told together with its departure.
            Event::Arrives(index, 0) if previous == Some(Event::Departs(index)) => {}
            Event::Arrives(index, copy) => self.arrival(at, index, copy),
            Event::Remark(index) => {
                let remark = &self.story.remarks[index];
                let words = fitted(&remark.text, self.middle - 4);
                let blank = " ".repeat(self.middle - 3 - words.chars().count());
                let line = match remark.by {
                    Side::Client => format!("● {words}{blank} "),
                    Side::Server => format!(" {blank}{words} ●"),
                };
                self.line(at, &line, "", Colour::Grey);
            }
            Event::FoldBegins(number) => {
                let Row::Fold(fold) = &self.story.rows[number] else { return };
                let [headline, details] = fold.words();
                self.pause(&format!("⋮ {headline} ⋮"), Colour::Plain);
                self.pause(&details, Colour::Grey);
            }
            Event::FoldEnds(_) => {}
        }
    }

    /// A message leaves, and perhaps comes at once.
    fn departure(&mut self, at: Moment, crossing: &Crossing, comes_next: bool) {
        let arrival = crossing.arrivals.first().filter(|_| comes_next);
        let end = match (crossing.fate, arrival) {
            (_, Some(Arrival { damaged: true, .. })) => End::Damaged,
            (_, Some(_)) => End::Tip,
            (Fate::Lost | Fate::Unanswered, None) => End::Cross,
            (Fate::Arrived | Fate::Damaged | Fate::Unknown, None) => End::Away,
        };
        let mut remarks = self.story.said_at(crossing);
        if comes_next {
            remarks.extend(self.story.said_of(crossing, 0));
        }
        remarks.extend(self.story.end_of(crossing).map(Into::into));
        let colour = match end {
            End::Damaged | End::Cross => Colour::Red,
            End::Tip | End::Away | End::Arrival if remarks.is_empty() => Colour::Plain,
            End::Tip | End::Away | End::Arrival => Colour::Yellow,
        };
        let line = arrow(crossing.by, &crossing.text, self.middle, end);
        self.line(at, &line, &remarks.join(", "), colour);
    }

    /// A message that left in another line comes.
    fn arrival(&mut self, at: Moment, index: usize, copy: usize) {
        let crossing = &self.story.crossings[index];
        let remarks = self.story.said_of(crossing, copy);
        let colour = match crossing.arrivals.get(copy) {
            Some(Arrival { damaged: true, .. }) => Colour::Red,
            _ if remarks.is_empty() => Colour::Plain,
            _ => Colour::Yellow,
        };
        let line = arrow(crossing.by, &crossing.text, self.middle, End::Arrival);
        self.line(at, &line, &remarks.join(", "), colour);
    }

    fn foot(&mut self) {
        let summary = self.story.totals.summary(self.story.duration);
        self.push("", Colour::Plain);
        for line in wrapped(&summary, self.middle + 10) {
            self.push(&format!("{}{line}", " ".repeat(INDENT)), Colour::Plain);
        }
        let unanswered = match self.story.vantage {
            Vantage::Server => "lost?: the same message came again, so this answer was perhaps lost",
            Vantage::Client | Vantage::Both => "no answer: the message was lost, or the answer to it",
        };
        let legend = [
            (self.text.contains('∿'), "∿: under way while something else happens"),
            (self.story.totals.unanswered > 0, unanswered),
        ];
        for (_, words) in legend.into_iter().filter(|(occurs, _)| *occurs) {
            self.push(&format!("{}{words}", " ".repeat(INDENT)), Colour::Grey);
        }
    }

    /// A line between the life lines, with its time and a remark.
    fn line(&mut self, at: Moment, middle: &str, remark: &str, colour: Colour) {
        let decimals = decimals(self.story.usual, self.story.duration);
        let stamp = fitted(&format!("{:.decimals$}", at.at.as_secs_f64()), STAMP_WIDTH);
        self.paint(&format!("{stamp:>STAMP_WIDTH$}"), Colour::Grey);
        self.text.push_str("    │");
        self.paint(middle, colour);
        self.text.push('│');
        if !remark.is_empty() {
            self.text.push_str("  ");
            self.paint(&fitted(remark, self.remark), colour);
        }
        self.text.push('\n');
    }

    /// A line in which time passes.
    fn pause(&mut self, words: &str, colour: Colour) {
        let words = fitted(words, self.middle - 2);
        self.text.push_str(&" ".repeat(INDENT + 2));
        self.text.push_str("┊ ");
        self.paint(&words, colour);
        self.text.push_str(&" ".repeat(self.middle - 1 - words.chars().count()));
        self.text.push_str("┊\n");
    }

    fn push(&mut self, line: &str, colour: Colour) {
        self.paint(line, colour);
        self.text.push('\n');
    }

    fn paint(&mut self, words: &str, colour: Colour) {
        let code = match colour {
            _ if !self.color || words.is_empty() => "",
            Colour::Plain => "",
            Colour::Grey => "90",
            Colour::Red => "31",
            Colour::Yellow => "33",
        };
        match code {
            "" => self.text.push_str(words),
            code => self.text.extend(["\x1b[", code, "m", words, "\x1b[0m"]),
        }
    }
}

/// How far a message is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// To the other life line.
    Tip,
    /// To the other life line, with other bytes.
    Damaged,
    /// It leaves; when it comes is another line.
    Away,
    /// It comes; when it left was another line.
    Arrival,
    /// It does not come.
    Cross,
}

/// `── text ────▶` in so many columns, or its mirror image.
fn arrow(by: Side, text: &str, width: usize, end: End) -> String {
    let said = fitted(text, width - 10);
    let rest = width - 4 - said.chars().count();
    let dashes = "─".repeat(rest - 2);
    let short = (rest - 2) / 2;
    let (half, blank) = ("─".repeat(short), " ".repeat(rest - 2 - short));
    match (by, end) {
        (Side::Client, End::Tip) => format!("── {said} {dashes}─▶"),
        (Side::Client, End::Damaged) => format!("── {said} {dashes}!▶"),
        (Side::Client, End::Cross) => format!("── {said} {half}✗{blank} "),
        (Side::Client, End::Away) => format!("── {said} {half}∿{blank} "),
        (Side::Client, End::Arrival) => format!("  {blank}∿{half} {said} ▶"),
        (Side::Server, End::Tip) => format!("◀─{dashes} {said} ──"),
        (Side::Server, End::Damaged) => format!("◀!{dashes} {said} ──"),
        (Side::Server, End::Cross) => format!(" {blank}✗{half} {said} ──"),
        (Side::Server, End::Away) => format!(" {blank}∿{half} {said} ──"),
        (Side::Server, End::Arrival) => format!("◀ {said} {half}∿{blank}  "),
    }
}

const WIDTH_MIN: usize = 80;
const WIDTH_MAX: usize = 110;

/// Columns for the time, with the blanks behind it: the names begin here.
const INDENT: usize = STAMP_WIDTH + 2;

/// Columns for the life lines and the blanks beside them.
const LINES_WIDTH: usize = 6;

/// Columns for remarks: `again (2nd), no answer`.
const REMARK_MIN: usize = 22;
const REMARK_MAX: usize = 28;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Recorder;
    use std::time::{Duration, Instant};

    fn exchange() -> Exchange {
        #[expect(clippy::disallowed_methods, reason = "a beginning for the test's own clock")]
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        let mut recorder = Recorder::new("10.0.0.2".into(), "10.0.0.1".into(), Vantage::Both, 100, now);
        let mut cross = |by, text: &str, from, to: Option<u64>| {
            let mark = recorder.sent(by, text.as_bytes(), at(from));
            match to {
                Some(to) => recorder.came(mark, text.as_bytes(), at(to)),
                None => recorder.lost(mark, at(from)),
            }
        };
        cross(Side::Client, "s | 0 | f.png | 4000", 0, Some(1));
        cross(Side::Server, "a | 1 | 1024", 1, Some(2));
        cross(Side::Client, "d | 1 | hello", 2, None);
        cross(Side::Client, "d | 1 | hello", 502, Some(503));
        recorder.note(Side::Server, "the \u{1b}[2Jfile is there", at(503));
        let held = recorder.sent(Side::Server, b"a | 2", at(503));
        recorder.note(Side::Client, "waits", at(900));
        recorder.came(held, b"a | 2", at(1703));
        recorder.exchange()
    }

    #[test]
    fn a_ladder_of_text() {
        let expected = r"
         client 10.0.0.2                       server 10.0.0.1
         (as seen at both ends, by one clock)
 0.0000    │── s | 0 | f.png | 4000 ──────────────────▶│
 0.0010    │◀────────────────────────── a | 1 | 1024 ──│
 0.0020    │── d | 1 | <5 bytes> ──────────✗           │  lost
           ┊ time-out 0.5 s                            ┊
 0.5020    │── d | 1 | <5 bytes> ─────────────────────▶│  again (2nd)
 0.5030    │               the \u{1b}[2Jfile is there ●│
 0.5030    │                 ∿──────────────── a | 2 ──│
           ┊ 0.4 s                                     ┊
 0.9000    │● waits                                    │
           ┊ 0.8 s                                     ┊
 1.7030    │◀ a | 2 ────────────────∿                  │  late 1.2 s

         5 messages, 1 lost, 1 sent again, 1 late; 1.7 s
         ∿: under way while something else happens
";
        let drawn = text(&exchange(), 80, false);
        assert_eq!(format!("\n{drawn}"), expected);
    }

    #[test]
    fn colours_are_the_only_control_characters() {
        let plain = text(&exchange(), 110, false);
        assert!(plain.chars().all(|character| character == '\n' || !character.is_control()), "{plain}");
        let coloured = text(&exchange(), 110, true);
        let mut stripped = coloured.clone();
        for code in ["\x1b[90m", "\x1b[31m", "\x1b[33m", "\x1b[0m"] {
            stripped = stripped.replace(code, "");
        }
        assert_eq!(stripped, plain);
    }

    #[test]
    fn every_line_keeps_to_the_width() {
        for width in [0, 80, 95, 110, 1000] {
            let drawn = text(&exchange(), width, false);
            assert!(drawn.lines().all(|line| line.chars().count() <= width.clamp(80, 110)), "{drawn}");
        }
    }
}
