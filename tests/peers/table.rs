//! The table: a line for each peer and each of our modes, a column for each content and each seed of loss.

use crate::cell::{Cell, Column, Side};
use crate::pair::Verdict;
use std::collections::{BTreeMap, BTreeSet};

/// The table of these cells, which are in its order, and below it what is wrong and why.
pub fn render(cells: &[Cell], verdicts: &BTreeMap<&Cell, Verdict>) -> String {
    let columns: BTreeSet<Column> = cells.iter().map(|cell| cell.column).collect();
    let mut text = String::from(LEGEND);
    for part in cells.chunk_by(|one, other| one.peer == other.peer) {
        let title = match part.first().map(|cell| cell.peer) {
            Some(Side::Client) => "to our server from",
            _ => "our client to",
        };
        text += &line(title, columns.iter().map(ToString::to_string));
        for row in part.chunk_by(|one, other| (&one.profile, one.ours) == (&other.profile, other.ours)) {
            let Some(first) = row.first() else { continue };
            let mode = if first.peer == Side::Server { first.ours.word() } else { "" };
            let words = columns.iter().map(|column| {
                let cell = row.iter().find(|cell| cell.column == *column);
                cell.map_or("-".into(), |cell| word(&verdicts[cell]))
            });
            text += &line(&format!("{:12}{mode}", first.profile), words);
        }
        text.push('\n');
    }
    for (cell, verdict) in verdicts {
        if let Verdict::Wrong(why) = verdict {
            text += &format!("WRONG: {cell}\n  {}\n\n", why.trim_end());
        }
    }
    text
}

fn line(head: &str, words: impl Iterator<Item = String>) -> String {
    let line: String = std::iter::once(format!("{head:20}")).chain(words.map(|word| format!("{word:11}"))).collect();
    line.trim_end().to_string() + "\n"
}

fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Ok => "ok".into(),
        Verdict::Unconfirmed => "exact, 7".into(),
        Verdict::Documented(Some(code)) => format!("as doc., {code}"),
        Verdict::Documented(None) => "as doc.".into(),
        Verdict::Wrong(_) => "WRONG".into(),
    }
}

const LEGEND: &str = "\
ok: the file is exact, and our client ends with 0
exact, 7: as documented: the file is exact, the last acknowledgement never comes, our client ends with 7
as doc.: as documented: this peer gets (or sends) no such file; our client ends in time, with this exit code
loss N: 5 % each way (compact spelling: 15 %) by seed N; -: not tried, or delivery would need luck

";
