//! What is drawn with: lines below, words above, everything escaped.

use crate::trace::step::Side;
use std::fmt::Write;

/// Lines and words; words are drawn last, so that no line crosses them.
#[derive(Debug, Default)]
pub struct Ink {
    lines: String,
    blanks: String,
    words: String,
}

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

impl Ink {
    /// A path with a class.
    pub fn path(&mut self, class: &str, path: &str) {
        let _ = writeln!(self.lines, "<path class=\"ladder-{class}\" d=\"{path}\"/>");
    }

    /// A text with a class.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        self.tagged(class, (x, y), anchor, text, "");
    }

    /// Blanks out the lines where a text of this width will stand.
    pub fn clear(&mut self, (x, y): (f64, f64), anchor: Anchor, width: f64) {
        let left = match anchor {
            Anchor::Start => x,
            Anchor::Middle => x - width / 2.0,
            Anchor::End => x - width,
        };
        let _ = writeln!(
            self.blanks,
            "<path class=\"ladder-blank\" d=\"M{:.0} {:.0}h{:.0}v17h-{:.0}z\"/>",
            left - 1.0,
            y - 13.0,
            width + 2.0,
            width + 2.0
        );
    }

    /// A text with a tag behind it.
    pub fn tagged(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str, tag: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " ladder-middle",
            Anchor::End => " ladder-end",
        };
        let text = escape(text);
        let tag = match tag {
            "" => String::new(),
            tag => format!("<tspan class=\"ladder-tag\">  {}</tspan>", escape(tag)),
        };
        let _ = writeln!(self.words, "<text class=\"ladder-{class}{anchor}\" x=\"{x}\" y=\"{y}\">{text}{tag}</text>");
    }

    /// An arrow from the sender's life line to the other one.
    pub fn arrow(&mut self, class: &str, by: Side, from: f64, to: f64) {
        let (start, end, ahead) = ends(by);
        let tip = end - 2.0 * ahead;
        // The head's two barbs follow the line, so that steep arrows have heads of their own direction.
        let (dx, dy) = (tip - start, to - from);
        let length = dx.hypot(dy);
        let (ux, uy) = (dx / length, dy / length);
        let barb = |side: f64| (-11.0 * ux + side * 6.0 * uy, -11.0 * uy - side * 6.0 * ux);
        let ((ax, ay), (bx, by)) = (barb(1.0), barb(-1.0));
        let head = format!("m{:.0} {:.0}L{tip} {to}l{:.0} {:.0}", ax, ay, bx, by);
        self.path(class, &format!("M{start} {from}L{tip} {to}{head}"));
    }

    /// The beginning of an arrow, as far as it comes; says where it ends.
    pub fn stump(&mut self, class: &str, by: Side, from: f64) -> (f64, f64) {
        let (start, end, _) = ends(by);
        let (x, y) = ((start + (end - start) * STUMP).round(), from + STUMP_FALL);
        self.path(class, &format!("M{start} {from}L{x} {y}"));
        (x, y)
    }

    /// A cross.
    pub fn cross(&mut self, class: &str, (x, y): (f64, f64)) {
        self.path(class, &format!("M{} {}l14 14m0-14l-14 14", x - 7.0, y - 7.0));
    }

    /// Everything, lines lowest.
    pub fn finish(self) -> String {
        self.lines + &self.blanks + &self.words
    }
}

/// Where a message begins and ends, and which way is ahead.
fn ends(by: Side) -> (f64, f64, f64) {
    match by {
        Side::Client => (CLIENT, SERVER, 1.0),
        Side::Server => (SERVER, CLIENT, -1.0),
    }
}

/// Text as XML has it. The few characters that XML does not have at all become question marks.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('?'),
            _ if character.is_control() => escaped.push('?'),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// The life lines.
pub const CLIENT: f64 = 196.0;
pub const SERVER: f64 = 786.0;

/// How far a lost message comes, as a share of the way, and how far it sinks.
const STUMP: f64 = 0.6;
const STUMP_FALL: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_becomes_markup() {
        assert_eq!(escape(r#"<a href="x">&'"#), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
        assert_eq!(escape("\u{0}\u{7}\u{ffff}\u{fffe}ä⋮"), "????ä⋮");
    }
}
