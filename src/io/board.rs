//! The table of who is here: laid out to the width there is, and on a terminal kept in sight below the sentences.

use super::events::chat::{Row, Table};
use crate::name::Printable;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Width, presets};
use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// A table that is drawn anew in place.
#[derive(Default)]
pub struct Board {
    shown: Option<ProgressBar>,
}

impl Board {
    /// Shows this table instead of the one before.
    pub fn show(&mut self, bars: &MultiProgress, table: &Table) {
        let (height, width) = Term::stderr().size();
        let rows = usize::from(height).saturating_sub(LINES_ELSEWHERE).max(1);
        let place = self.shown.get_or_insert_with(|| bars.add(ProgressBar::new_spinner().with_style(style())));
        place.set_message(format!("\n{}", laid_out(table, width.saturating_sub(1), rows)));
        place.tick();
    }

    /// Shows nothing any more.
    pub fn clear(&mut self, bars: &MultiProgress) {
        if let Some(place) = self.shown.take() {
            place.finish_and_clear();
            bars.remove(&place);
        }
    }
}

/// How many columns the terminal has.
pub fn width() -> u16 {
    Term::stderr().size().1
}

/// The table for a pipe.
pub fn plain(table: &Table) -> String {
    laid_out(table, WIDTH_IN_A_PIPE, usize::MAX)
}

/// In so many columns; rows beyond so many are only counted.
fn laid_out(table: &Table, width: u16, rows: usize) -> String {
    if table.rows.is_empty() {
        return "  nobody is here".into();
    }
    let mut drawn = comfy_table::Table::new();
    drawn.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    drawn.set_truncation_indicator("…");
    drawn.set_header(["number", "name", "seen at", "reports", "here for"]);
    for row in table.rows.iter().take(rows) {
        let mut line = comfy_table::Row::from(cells(row));
        line.max_height(1);
        drawn.add_row(line);
    }
    // An address that is cut short is of no use; names and what is reported may be.
    for column in [0, 2, 4] {
        if let Some(column) = drawn.column_mut(column) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    if let Some(name) = drawn.column_mut(1) {
        name.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(NAME_WIDTH)));
    }
    for column in [0, 4] {
        if let Some(column) = drawn.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let more = table.more + table.rows.len().saturating_sub(rows);
    let mut text = drawn.trim_fmt();
    if more > 0 {
        text += &format!("\n and {more} more");
    }
    text
}

fn cells(row: &Row) -> [String; 5] {
    let name = row.name.as_ref().map(|name| Printable(name).to_string()).unwrap_or_default();
    let reported = match &row.reported[..] {
        [] => String::new(),
        [one] => one.to_string(),
        [first, others @ ..] => format!("{first} +{}", others.len()),
    };
    [row.number.to_string(), name, row.seen.to_string(), reported, age(row.seconds)]
}

/// `12 s`, `3 min`, `2 h 05 min`, `4 d 03 h`.
fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{days} d {:02} h", hours % 24),
    }
}

fn style() -> ProgressStyle {
    // The template is ours and right; the default is no worse than a crash.
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Columns that the longest name gets, with what stands around it.
const NAME_WIDTH: u16 = 26;

/// Lines of a terminal that are left for the sentences, and for the table's own first and last line.
const LINES_ELSEWHERE: usize = 8;

/// Columns of a table that goes into a file or a pipe.
const WIDTH_IN_A_PIPE: u16 = 120;

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[&str]) -> Table {
        let row = |(index, name): (usize, &&str)| Row {
            number: 998 + index as u64,
            name: Some((*name).to_owned()).filter(|name| !name.is_empty()),
            seen: ([192, 0, 2, 1], 50_000 + index as u16).into(),
            reported: vec![([10, 0, 0, 7], 5000).into(); index % 3],
            seconds: 50_u64.pow(index as u32),
        };
        Table { rows: names.iter().enumerate().map(row).collect(), more: 0 }
    }

    #[test]
    fn the_table_fits_its_width_one_line_a_client() {
        let long = "x".repeat(64);
        let names = ["alice", "", &long, "名前は名前", "a\u{200b}\u{1b}[2Jb"];
        for width in [60, 79, 119] {
            let text = laid_out(&table(&names), width, 20);
            assert_eq!(text.lines().count(), 1 + names.len(), "{text}");
            for line in text.lines() {
                assert!(console::measure_text_width(line) <= usize::from(width), "{width}: {line}");
                assert!(!line.contains(char::is_control), "{line:?}");
            }
            assert!((0..5).all(|index| text.contains(&format!("192.0.2.1:5000{index}"))), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut many = table(&["a", "b", "c"]);
        many.more = 37;
        let text = laid_out(&many, 80, 2);
        assert_eq!(text.lines().count(), 1 + 2 + 1);
        assert!(text.ends_with(" and 38 more"), "{text}");
        assert_eq!(laid_out(&Table::default(), 80, 2), "  nobody is here");
    }

    #[test]
    fn ages_are_as_exact_as_anybody_needs() {
        let ages = [0, 59, 60, 3599, 3600, 86_399, 86_400, 400_000].map(age);
        assert_eq!(ages, ["0 s", "59 s", "1 min", "59 min", "1 h 00 min", "23 h 59 min", "1 d 00 h", "4 d 15 h"]);
    }
}
