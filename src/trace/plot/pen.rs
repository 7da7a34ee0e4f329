//! What a plot is drawn with: panels of one width over one time axis, curves in them, words on top.

use super::axis::Axis;
use crate::limits::Limit;
use crate::trace::svg::escape;
use std::fmt::Write;

/// Lines and words; words are drawn last, so that no line crosses them.
#[derive(Debug)]
pub struct Pen {
    /// The time axis.
    seconds: f64,
    columns: usize,
    lines: String,
    words: String,
}

/// A place for curves.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    top: f64,
    height: f64,
    axis: Axis,
}

impl Panel {
    /// Where the next one begins.
    pub fn below(&self) -> f64 {
        self.top + self.height + GAP
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value / self.axis.end).clamp(0.0, 1.0);
        self.top + self.height * (1.0 - share)
    }
}

impl Pen {
    /// For so many seconds in so many columns.
    pub fn new(seconds: f64, columns: usize) -> Self {
        Self { seconds: seconds.max(1e-6), columns: columns.max(1), lines: String::new(), words: String::new() }
    }

    /// A text that begins there.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let _ = writeln!(self.words, "<text class=\"plot-{class}\" x=\"{x:.0}\" y=\"{y:.0}\">{}</text>", escape(text));
    }

    /// An empty panel: its heading with the names of its curves, lines and numbers.
    pub fn panel(&mut self, top: f64, height: f64, heading: &str, curves: &[(&str, &str)], axis: Axis) -> Panel {
        self.heading(top, heading, curves);
        let panel = Panel { top: top + HEADING, height, axis };
        self.seconds_lines(panel.top, height);
        for value in axis.lines() {
            let y = panel.y(value);
            self.path("grid", &format!("M{LEFT} {y:.1}H{RIGHT}"));
            self.text("number plot-end", (LEFT - 8.0, y + 4.0), &axis.label(value));
        }
        panel
    }

    /// A curve, with holes where there is no value.
    pub fn line(&mut self, class: &str, panel: Panel, values: impl Iterator<Item = Option<f64>>) {
        let mut path = String::new();
        let mut is_down = false;
        for (number, value) in values.enumerate() {
            if let Some(value) = value {
                let _ =
                    write!(path, "{}{:.0} {:.1}", if is_down { 'L' } else { 'M' }, self.x(number + 1), panel.y(value));
            }
            is_down = value.is_some();
        }
        if !path.is_empty() {
            self.path(class, &path);
        }
    }

    /// What is below a curve.
    pub fn area(&mut self, class: &str, panel: Panel, values: impl Iterator<Item = f64>) {
        let bottom = panel.y(0.0);
        let mut path = format!("M{LEFT} {bottom:.0}");
        for (number, value) in values.enumerate() {
            let _ = write!(path, "L{:.0} {:.1}", self.x(number + 1), panel.y(value));
        }
        let _ = write!(path, "V{bottom:.0}z");
        self.path(&format!("area plot-{class}-area"), &path);
    }

    /// A bar for each column that has something.
    pub fn bars(&mut self, class: &str, panel: Panel, values: impl Iterator<Item = f64>) {
        let bottom = panel.y(0.0);
        let mut path = String::new();
        for (number, value) in values.enumerate().filter(|(_, value)| *value > 0.0) {
            let _ = write!(path, "M{:.0} {bottom:.0}V{:.1}", self.x(number + 1), panel.y(value).min(bottom - 1.0));
        }
        self.path(class, &path);
    }

    /// A strip of colours; says where it ends.
    pub fn strip(&mut self, top: f64, heading: &str, limits: &[Option<Limit>]) -> f64 {
        self.heading(top, heading, &[]);
        let (y, bottom) = (top + HEADING, top + HEADING + STRIP_HEIGHT);
        let mut from = 0;
        for run in limits.chunk_by(|one, next| one == next) {
            let (left, right) = (self.x(from), self.x(from + run.len()));
            from += run.len();
            let Some(Some(limit)) = run.first() else { continue };
            self.path(
                &format!("fill plot-{}", limit.name()),
                &format!("M{left:.1} {y:.0}H{right:.1}V{bottom:.0}H{left:.1}z"),
            );
        }
        self.path("frame", &format!("M{LEFT} {y:.0}H{RIGHT}V{bottom:.0}H{LEFT}z"));
        bottom
    }

    /// The numbers below the last panel; says where what follows begins.
    pub fn time_axis(&mut self, bottom: f64) -> f64 {
        let axis = self.time();
        let last = axis.lines().last().unwrap_or_default();
        for value in axis.lines() {
            let words = if value == last { format!("{} s", axis.label(value)) } else { axis.label(value) };
            let x = LEFT + (RIGHT - LEFT) * value / self.seconds;
            self.text("number plot-middle", (x.min(RIGHT - 8.0), bottom + 18.0), &words);
        }
        bottom + 44.0
    }

    /// A sample of a colour of the strip.
    pub fn sample(&mut self, limit: Option<Limit>, (x, y): (f64, f64)) {
        let name = limit.map_or("rest", Limit::name);
        self.path(&format!("fill plot-{name}"), &format!("M{x:.0} {:.0}h13v13h-13z", y - 7.0));
    }

    /// Everything, lines lowest.
    pub fn finish(self) -> String {
        self.lines + &self.words
    }

    fn heading(&mut self, top: f64, heading: &str, curves: &[(&str, &str)]) {
        self.text("heading", (LEFT, top + 16.0), heading);
        let mut x = RIGHT;
        for (class, words) in curves.iter().rev() {
            self.text("curve plot-end", (x, top + 16.0), words);
            x -= words.chars().count() as f64 * SMALL_LETTER + 30.0;
            self.path(class, &format!("M{x:.0} {:.0}h22", top + 11.5));
            x -= 18.0;
        }
    }

    fn seconds_lines(&mut self, top: f64, height: f64) {
        let mut path = String::new();
        for value in self.time().lines() {
            let x = LEFT + (RIGHT - LEFT) * value / self.seconds;
            let _ = write!(path, "M{x:.1} {top:.0}v{height:.0}");
        }
        self.path("grid", &path);
    }

    fn time(&self) -> Axis {
        Axis { end: self.seconds, ..Axis::up_to(self.seconds, 8) }
    }

    /// Where the column with this number begins.
    fn x(&self, column: usize) -> f64 {
        LEFT + (RIGHT - LEFT) * column as f64 / self.columns as f64
    }

    fn path(&mut self, class: &str, path: &str) {
        let _ = writeln!(self.lines, "<path class=\"plot-{class}\" d=\"{path}\"/>");
    }
}

/// Every rule begins with a class of ours, so that neither the page nor another picture is touched.
pub fn style() -> String {
    let mut style = STYLE.to_owned();
    for limit in Limit::ALL {
        let _ = writeln!(style, ".plot-svg .plot-fill.plot-{} {{ fill: {}; }}", limit.name(), colour(limit));
    }
    style
}

fn colour(limit: Limit) -> &'static str {
    match limit {
        Limit::Path => "#3b82f6",
        Limit::Delay => "#bfdbfe",
        Limit::Rate => "#64748b",
        Limit::Window => "#06b6d4",
        Limit::PeerDisk => "#d97706",
        Limit::PeerProcessor => "#facc15",
        Limit::PeerSocket => "#dc2626",
        Limit::Disk => "#047857",
        Limit::Input => "#84cc16",
        Limit::Processor => "#7c3aed",
        Limit::Socket => "#ec4899",
    }
}

const STYLE: &str = "
.plot-svg { direction: ltr; letter-spacing: normal; word-spacing: normal; }
.plot-svg text { fill: #1f2937; stroke: none; white-space: pre; font: 14px system-ui, -apple-system, \"Segoe UI\", Roboto, \"DejaVu Sans\", sans-serif; text-anchor: start; }
.plot-svg .plot-middle { text-anchor: middle; }
.plot-svg .plot-end { text-anchor: end; }
.plot-svg .plot-title { font-size: 20px; font-weight: 600; }
.plot-svg .plot-heading { font-size: 14px; font-weight: 600; }
.plot-svg .plot-note, .plot-svg .plot-curve { fill: #4b5563; }
.plot-svg .plot-curve { font-size: 13px; }
.plot-svg .plot-number { fill: #6b7280; font-size: 12px; font-variant-numeric: tabular-nums; }
.plot-svg path { fill: none; stroke-width: 1.8px; stroke-linecap: round; stroke-linejoin: round; }
.plot-svg .plot-card { fill: #fff; stroke: #cbd5e1; }
.plot-svg .plot-grid { stroke: #e5e7eb; stroke-width: 1px; }
.plot-svg .plot-frame { stroke: #cbd5e1; stroke-width: 1px; }
.plot-svg .plot-area, .plot-svg .plot-fill { stroke: none; }
.plot-svg .plot-rate { stroke: #1d4ed8; }
.plot-svg .plot-rate-area { fill: #dbeafe; }
.plot-svg .plot-pace { stroke: #b45309; stroke-width: 1.3px; }
.plot-svg .plot-flight { stroke: #047857; }
.plot-svg .plot-flight-area { fill: #d1fae5; }
.plot-svg .plot-window { stroke: #7c3aed; stroke-width: 1.3px; }
.plot-svg .plot-rtt { stroke: #be185d; }
.plot-svg .plot-least { stroke: #64748b; stroke-width: 1.3px; stroke-dasharray: 5 5; }
.plot-svg .plot-loss { stroke: #dc2626; stroke-linecap: butt; }
.plot-svg .plot-rest { fill: #e5e7eb; }
";

/// From where to where curves go.
pub const LEFT: f64 = 84.0;
/// See [`LEFT`].
pub const RIGHT: f64 = 868.0;

/// The room for the words above a panel.
pub const HEADING: f64 = 26.0;
const GAP: f64 = 20.0;
const STRIP_HEIGHT: f64 = 22.0;
const SMALL_LETTER: f64 = 8.3;
