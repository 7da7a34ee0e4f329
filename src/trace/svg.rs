//! An exchange as a picture: a ladder of arrows between two life lines, in one SVG that needs nothing else.

mod ink;
mod layout;
mod legend;

use super::crossing::{Crossing, Fate};
use super::fold::Row;
use super::quantity::{STAMP_WIDTH, decimals, fitted, span, wrapped};
use super::step::{Exchange, Side};
use super::story::Story;
pub(super) use ink::escape;
use ink::{Anchor, CLIENT, Ink, SERVER};
use layout::{Layout, layout};
use std::fmt::Write;

/// Draws `exchange` as a sequence diagram: time falls, the client is on the left, the server on the right.
///
/// The picture is 900 pixels wide and shrinks with what it is embedded in. It has no ids, and all its classes begin with
/// `ladder-`, so that any number of them live in one page.
pub fn svg(exchange: &Exchange, title: &str) -> String {
    let story = Story::of(exchange);
    let layout = layout(&story, TOP);
    let mut drawing = Drawing { story: &story, layout: &layout, ink: Ink::default(), left_lane: Vec::new() };
    drawing.head(title);
    let end = drawing.life_lines();
    drawing.rows();
    drawing.waits();
    drawing.cuts();
    drawing.stamps();
    let summary = story.totals.summary(story.duration);
    let mut foot = end + 34.0;
    for line in wrapped(&summary, SUMMARY_WIDTH) {
        drawing.ink.text("sum", (MARGIN, foot), Anchor::Start, &line);
        foot += 24.0;
    }
    let height = legend::draw(&mut drawing.ink, &legend::Marks::of(&story, &layout), foot + 2.0);

    let title = escape(&crate::name::Printable(title).to_string());
    let what = format!("{summary}; {}", story.seen_by());
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"ladder-svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" style=\"max-width:100%;height:auto\" role=\"img\">\n\
         <title>{title}</title>\n<desc>{}</desc>\n<style>{STYLE}</style>\n",
        escape(&what)
    );
    let (right, bottom) = (WIDTH - 2.0, height - 2.0);
    let card =
        format!("<rect class=\"ladder-card\" x=\"1\" y=\"1\" width=\"{right}\" height=\"{bottom}\" rx=\"18\"/>\n");
    svg += &card;
    svg += &drawing.ink.finish();
    svg += "</svg>\n";
    svg
}

struct Drawing<'a> {
    story: &'a Story,
    layout: &'a Layout,
    ink: Ink,
    /// What is written left of the client's life line, from where to where.
    left_lane: Vec<(f64, f64)>,
}

impl Drawing<'_> {
    /// The title, whose eyes saw it, and who takes part.
    fn head(&mut self, title: &str) {
        let title = crate::name::Printable(title).to_string();
        self.ink.text("title", (MARGIN, 40.0), Anchor::Start, &fitted(&title, TITLE_WIDTH));
        self.ink.text("note", (MARGIN, 63.0), Anchor::Start, self.story.seen_by());
        for (x, who, name) in [(CLIENT, "client", &self.story.client), (SERVER, "server", &self.story.server)] {
            let (left, top) = (x - 100.0, HEADS);
            let rounded = "h168a16 16 0 0 1 16 16v18a16 16 0 0 1-16 16h-168a16 16 0 0 1-16-16v-18a16 16 0 0 1 16-16z";
            self.ink.path("head", &format!("M{} {top}{rounded}", left + 16.0));
            let low = if name.is_empty() { 31.0 } else { 22.0 };
            self.ink.text("who", (x, top + low), Anchor::Middle, who);
            self.ink.text("name", (x, top + 41.0), Anchor::Middle, &fitted(name, NAME_WIDTH));
        }
    }

    fn rows(&mut self) {
        for (number, row) in self.story.rows.iter().enumerate() {
            match row {
                Row::Crossing(index) => self.crossing(*index),
                Row::Remark(index) => self.remark(*index),
                Row::Fold(fold) => {
                    let Some((begins, ends)) = self.layout.folds.get(&number) else { continue };
                    let [headline, details] = fold.words();
                    let (x, y) = ((CLIENT + SERVER) / 2.0, (begins + ends) / 2.0);
                    self.ink.text("fold", (x, y - 4.0), Anchor::Middle, &format!("⋮  {headline}  ⋮"));
                    self.ink.text("note", (x, y + 17.0), Anchor::Middle, &details);
                }
            }
        }
    }

    fn crossing(&mut self, index: usize) {
        let crossing = &self.story.crossings[index];
        let Some(from) = self.layout.departures.get(&index).copied() else { return };
        self.said(crossing, from);
        let colour = match crossing.by {
            Side::Client => "there",
            Side::Server => "back",
        };
        if let Some(word) = self.story.end_of(crossing) {
            self.stopped(crossing, from, word);
        }
        let arrivals = self.layout.arrivals.get(&index).map(Vec::as_slice).unwrap_or_default();
        for (copy, (arrival, to)) in crossing.arrivals.iter().zip(arrivals).enumerate() {
            let class = match (arrival.damaged, arrival.late) {
                (true, _) => "damaged",
                (false, true) => "late",
                (false, false) => colour,
            };
            let class = if copy > 0 { format!("{class} ladder-copy") } else { class.to_string() };
            self.ink.arrow(&class, crossing.by, from, *to);
            let label = self.story.said_of(crossing, copy).join(", ");
            self.beside(crossing.by.other(), *to, if arrival.damaged { "harm" } else { "tag" }, &label);
        }
    }

    /// The text above the beginning of an arrow.
    fn said(&mut self, crossing: &Crossing, y: f64) {
        let tag = self.story.said_at(crossing).join(", ");
        let room = SAID_WIDTH - if tag.is_empty() { 0 } else { tag.len() + 2 };
        let (x, anchor) = match crossing.by {
            Side::Client => (CLIENT + 14.0, Anchor::Start),
            Side::Server => (SERVER - 14.0, Anchor::End),
        };
        let text = fitted(&crossing.text, room);
        let width = text.chars().count() as f64 * SAID_LETTER + tag.len() as f64 * TAG_LETTER;
        self.ink.clear((x, y - 7.0), anchor, width);
        self.ink.tagged("said", (x, y - 7.0), anchor, &text, &tag);
    }

    /// A message that does not come, as far as is known.
    fn stopped(&mut self, crossing: &Crossing, from: f64, word: &str) {
        let line = match crossing.fate {
            Fate::Unanswered => "guess",
            Fate::Unknown => "unknown",
            Fate::Lost | Fate::Arrived | Fate::Damaged => "lost",
        };
        let (x, y) = self.ink.stump(line, crossing.by, from);
        if crossing.fate != Fate::Unknown {
            self.ink.cross("cross", (x, y));
        }
        let (x, anchor) = match crossing.by {
            Side::Client => (x + 15.0, Anchor::Start),
            Side::Server => (x - 15.0, Anchor::End),
        };
        self.ink.text("bad", (x, y + 6.0), anchor, word);
    }

    /// Words outside a life line.
    fn beside(&mut self, side: Side, y: f64, class: &str, words: &str) {
        if words.is_empty() {
            return;
        }
        match side {
            Side::Server => self.ink.text(class, (SERVER + 12.0, y + 5.0), Anchor::Start, words),
            Side::Client => {
                self.left_lane.push((y - 14.0, y + 14.0));
                self.ink.text(class, (CLIENT - 28.0, y + 5.0), Anchor::End, words);
            }
        }
    }

    fn remark(&mut self, index: usize) {
        let Some(y) = self.layout.remarks.get(&index).copied() else { return };
        let remark = &self.story.remarks[index];
        let (line, x, anchor) = match remark.by {
            Side::Client => (CLIENT, CLIENT + 14.0, Anchor::Start),
            Side::Server => (SERVER, SERVER - 14.0, Anchor::End),
        };
        self.ink.path("dot", &format!("M{line} {y}h0"));
        self.ink.text("remark", (x, y + 5.0), anchor, &fitted(&remark.text, REMARK_WIDTH));
    }

    /// Brackets beside the client's life line.
    fn waits(&mut self) {
        for wait in &self.story.waits {
            let ends = (self.layout.departures.get(&wait.from), self.layout.departures.get(&wait.to));
            let (Some(top), Some(bottom)) = ends else { continue };
            let (top, bottom) = (top + 3.0, bottom - 3.0);
            self.ink.path("wait", &format!("M{} {top}h-8V{bottom}h8", CLIENT - 10.0));
            let mut lines = vec![span(wait.waited)];
            if bottom - top >= WAIT_WORDS_ROOM {
                lines.insert(0, "time-out".into());
            }
            let height = 18.0 * lines.len() as f64;
            let middle = self.free((top, bottom), height);
            for (number, line) in lines.iter().enumerate() {
                let y = middle - height / 2.0 + 18.0 * number as f64 + 14.0;
                self.ink.text("bad", (CLIENT - 28.0, y.round()), Anchor::End, line);
            }
            self.left_lane.push((middle - height / 2.0, middle + height / 2.0));
        }
    }

    /// The middle of a free place of this height in the left lane, as near as can be to the middle of the bracket.
    fn free(&self, (top, bottom): (f64, f64), height: f64) -> f64 {
        let middle = (top + bottom) / 2.0;
        let reach = (bottom - top) / 2.0;
        let near: Vec<_> =
            self.left_lane.iter().filter(|(from, to)| *to > top - height && *from < bottom + height).collect();
        let is_free = |centre: f64| {
            let (above, below) = (centre - height / 2.0, centre + height / 2.0);
            near.iter().all(|(from, to)| *to <= above || *from >= below)
        };
        let shifts = (0..).map(|step| f64::from(step) * 5.0).take_while(|shift| *shift <= reach);
        let places = shifts.flat_map(|shift| [middle - shift, middle + shift]);
        places.into_iter().find(|centre| is_free(*centre)).unwrap_or(middle)
    }

    fn cuts(&mut self) {
        for (y, time) in &self.layout.cuts {
            self.ink.text("cut", ((CLIENT + SERVER) / 2.0, y + 5.0), Anchor::Middle, &format!("{} later", span(*time)));
        }
    }

    /// The time at which rows begin, where there is room.
    fn stamps(&mut self) {
        let decimals = decimals(self.story.usual, self.story.duration);
        let mut last: Option<(f64, String)> = None;
        for row in &self.story.rows {
            let (at, y) = match row {
                Row::Crossing(index) => (self.story.crossings[*index].sent, self.layout.departures.get(index)),
                Row::Remark(index) => (self.story.remarks[*index].at, self.layout.remarks.get(index)),
                Row::Fold(_) => continue,
            };
            let Some(y) = y else { continue };
            let words = format!("{} s", fitted(&format!("{:.decimals$}", at.at.as_secs_f64()), STAMP_WIDTH));
            if last.as_ref().is_none_or(|(above, text)| y - above >= STAMP_ROOM && *text != words) {
                self.ink.text("stamp", (STAMPS, y + 4.0), Anchor::End, &words);
                last = Some((*y, words));
            }
        }
    }

    /// Both life lines, with a zigzag where a silence is cut and dots where rows are folded; says where they end.
    fn life_lines(&mut self) -> f64 {
        let end = self.layout.bottom + 26.0;
        let mut breaks: Vec<(f64, f64, bool)> =
            self.layout.cuts.iter().map(|(y, _)| (y - 9.0, y + 9.0, true)).collect();
        breaks.extend(self.layout.folds.values().map(|(from, to)| (*from, *to, false)));
        breaks.sort_by(|a, b| a.0.total_cmp(&b.0));
        for x in [CLIENT, SERVER] {
            let mut line = format!("M{x} {}", HEADS + 50.0);
            let mut dots = String::new();
            for (from, to, is_cut) in &breaks {
                let _ = match is_cut {
                    true => write!(line, "V{from}l-7 4.5l14 4.5l-14 4.5l7 4.5"),
                    false => write!(line, "V{from}M{x} {to}").and_then(|()| write!(dots, "M{x} {from}V{to}")),
                };
            }
            let _ = write!(line, "V{end}");
            self.ink.path("life", &line);
            if !dots.is_empty() {
                self.ink.path("dots", &dots);
            }
        }
        end
    }
}

/// Every rule begins with a class of ours, so that neither the page nor another picture is touched.
const STYLE: &str = "
.ladder-svg { direction: ltr; letter-spacing: normal; word-spacing: normal; }
.ladder-svg text { fill: #1f2937; stroke: #fff; stroke-width: 5px; stroke-linejoin: round; paint-order: stroke; white-space: pre; font: 16px system-ui, -apple-system, \"Segoe UI\", Roboto, \"DejaVu Sans\", sans-serif; text-anchor: start; }
.ladder-svg .ladder-middle { text-anchor: middle; }
.ladder-svg .ladder-end { text-anchor: end; }
.ladder-svg path { fill: none; stroke-width: 2.2px; stroke-linecap: round; stroke-linejoin: round; }
.ladder-svg .ladder-card { fill: #fff; stroke: #cbd5e1; }
.ladder-svg .ladder-said { stroke: none; font: 17px ui-monospace, SFMono-Regular, Menlo, Consolas, \"DejaVu Sans Mono\", monospace; }
.ladder-svg .ladder-title { font-size: 20px; font-weight: 600; }
.ladder-svg .ladder-who { font-size: 19px; font-weight: 600; stroke: none; }
.ladder-svg .ladder-name { font-size: 13px; fill: #4b5563; stroke: none; }
.ladder-svg .ladder-note, .ladder-svg .ladder-cut { fill: #4b5563; }
.ladder-svg .ladder-remark { fill: #4b5563; font-style: italic; }
.ladder-svg .ladder-sum { font-weight: 600; }
.ladder-svg .ladder-stamp { fill: #94a3b8; font-size: 13px; font-variant-numeric: tabular-nums; }
.ladder-svg .ladder-tag { fill: #b45309; font: 16px system-ui, -apple-system, \"Segoe UI\", Roboto, \"DejaVu Sans\", sans-serif; }
.ladder-svg .ladder-bad { fill: #dc2626; }
.ladder-svg .ladder-harm { fill: #7c3aed; }
.ladder-svg .ladder-blank { fill: #fff; fill-opacity: 0.8; stroke: none; }
.ladder-svg .ladder-life { stroke: #cbd5e1; stroke-width: 2.5px; }
.ladder-svg .ladder-dots { stroke: #cbd5e1; stroke-width: 2.5px; stroke-dasharray: 0 8; }
.ladder-svg .ladder-head { fill: #f1f5f9; stroke: #cbd5e1; stroke-width: 1px; }
.ladder-svg .ladder-there { stroke: #1d4ed8; }
.ladder-svg .ladder-back { stroke: #047857; }
.ladder-svg .ladder-lost, .ladder-svg .ladder-cross { stroke: #dc2626; }
.ladder-svg .ladder-guess { stroke: #dc2626; stroke-dasharray: 7 6; }
.ladder-svg .ladder-unknown { stroke: #94a3b8; stroke-dasharray: 2 6; }
.ladder-svg .ladder-cross { stroke-width: 3.5px; }
.ladder-svg .ladder-late { stroke: #b45309; }
.ladder-svg .ladder-damaged { stroke: #7c3aed; }
.ladder-svg .ladder-copy { stroke-width: 1.5px; stroke-dasharray: 5 4; }
.ladder-svg .ladder-wait { stroke: #dc2626; stroke-width: 1.8px; }
.ladder-svg .ladder-dot { stroke: #4b5563; stroke-width: 8px; }
";

const WIDTH: f64 = 900.0;
const MARGIN: f64 = 28.0;
/// Where time stamps end.
const STAMPS: f64 = 80.0;
const STAMP_ROOM: f64 = 14.0;
/// The lowest bracket that has room for more than its time.
const WAIT_WORDS_ROOM: f64 = 44.0;
/// The boxes with the names.
const HEADS: f64 = 82.0;
/// The first message.
const TOP: f64 = 172.0;

/// What fits, in characters.
const TITLE_WIDTH: usize = 66;
const SUMMARY_WIDTH: usize = 88;
const NAME_WIDTH: usize = 25;
const SAID_WIDTH: usize = 53;
const REMARK_WIDTH: usize = 62;

/// How wide a letter is, in the widest of the usual fonts.
const SAID_LETTER: f64 = 10.25;
const TAG_LETTER: f64 = 8.5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Recorder, Vantage};
    use std::time::{Duration, Instant};

    fn exchange() -> Exchange {
        #[expect(clippy::disallowed_methods, reason = "a beginning for the test's own clock")]
        let now = Instant::now();
        let later = now + Duration::from_millis(500);
        let mut recorder = Recorder::new("<a>".into(), "b&c".into(), Vantage::Both, 100, now);
        let start = b"s | 0 | <script>\"x\"</script> | 7";
        let lost = recorder.sent(Side::Client, start, now);
        recorder.lost(lost, now);
        let again = recorder.sent(Side::Client, start, later);
        recorder.came(again, start, later);
        recorder.note(Side::Server, "</text><b>", later);
        recorder.exchange()
    }

    #[test]
    fn hostile_texts_stay_texts() {
        let svg = svg(&exchange(), "\u{1b}</title><x>");
        for markup in ["<script", "<b>", "<x>", "<a>", "\u{1b}"] {
            assert!(!svg.contains(markup), "{markup} in {svg}");
        }
        assert!(svg.contains("&lt;script&gt;") && svg.contains("&lt;b&gt;") && svg.contains("b&amp;c"));
    }

    #[test]
    fn marks_and_their_legend_occur_together() {
        let drawn = svg(&exchange(), "one loss");
        for words in [">lost<", "again (2nd)", "time-out", "lost on the way", "2 messages, 1 lost, 1 sent again; 0.5 s"]
        {
            assert!(drawn.contains(words), "no {words} in {drawn}");
        }
        assert!(!drawn.contains("late, or overtaken") && !drawn.contains("damaged on the way"));
        assert!(
            drawn.rfind("ladder-life\" d=") < drawn.find("ladder-dot\" d="),
            "a life line crosses the dot of a remark"
        );
    }

    #[test]
    fn pictures_in_one_page_do_not_meet() {
        let svg = svg(&exchange(), "one of several");
        assert!(!svg.contains(" id=") && !svg.contains("url("));
        assert!(svg.split("class=\"").skip(1).all(|class| class.starts_with("ladder-")));
        let rules = STYLE.lines().filter(|line| !line.is_empty());
        assert!(
            rules
                .flat_map(|rule| rule.split('{').next().unwrap().split(','))
                .all(|part| part.trim().starts_with(".ladder-svg"))
        );
    }
}
