//! Bars and sentences on a terminal, plain sentences in a pipe.

use super::board::{self, Board};
use super::events::chat::{ChatNote, RegistryNote, Tables};
use super::events::{Current, Note, Progress, Report, Transfer, Volume, sentence};
use crate::name::Printable;
use console::measure_text_width;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::{BTreeSet, HashMap};
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use textwrap::{Options, WordSeparator, WordSplitter};

/// For people: a bar a transfer where standard error is a terminal, and sentences on standard output.
pub struct HumanReport {
    volume: Volume,
    /// Standard output is for something else.
    is_aside: bool,
    bars: MultiProgress,
    running: HashMap<u64, Lines>,
    /// Transfers without a bar, and the line that counts them.
    crowd: usize,
    crowd_line: Option<ProgressBar>,
    board: Board,
}

impl HumanReport {
    /// Bars appear only where they can.
    pub fn new(volume: Volume) -> Self {
        let visible = volume != Volume::Quiet && io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self {
            volume,
            is_aside: false,
            bars: MultiProgress::with_draw_target(target),
            running: HashMap::new(),
            crowd: 0,
            crowd_line: None,
            board: Board::default(),
        }
    }

    /// The same with all sentences on standard error, where standard output is for something else.
    pub fn aside(volume: Volume) -> Self {
        Self { is_aside: true, ..Self::new(volume) }
    }

    fn is_told(&self, note: &Note) -> bool {
        match note {
            Note::Listening { .. } | Note::Failed { .. } => true,
            Note::Progress(_) | Note::Waiting { .. } => false,
            Note::Started(_) => self.volume == Volume::Verbose,
            Note::Messaging(note) => note.is_failure() || self.volume != Volume::Quiet,
            Note::Chatting(note) => note.is_told(self.volume),
            Note::Uploading(note) => note.is_told(self.volume),
            Note::Refused { .. }
            | Note::Finished(_)
            | Note::Account(_)
            | Note::Traffic { .. }
            | Note::NotCopied { .. }
            | Note::Remark { .. } => self.volume != Volume::Quiet,
        }
    }

    fn draw(&mut self, note: &Note) {
        match note {
            Note::Waiting { target } => {
                let spinner = self.bars.add(ProgressBar::new_spinner());
                spinner.set_message(format!("waiting for {}", Printable(target)));
                spinner.enable_steady_tick(TICK);
                self.running.insert(0, Lines { whole: spinner, file: None });
            }
            Note::Started(transfer) => self.start(transfer),
            Note::Progress(progress) => {
                if let Some(lines) = self.running.get_mut(&progress.id) {
                    lines.show(&self.bars, progress);
                }
            }
            Note::Finished(finished) => self.end(finished.id),
            Note::Failed { id, .. } => self.end(*id),
            Note::Chatting(note) => match &**note {
                ChatNote::Registry(RegistryNote::Table(table)) if self.tables() == Tables::Live => {
                    self.board.show(&self.bars, table);
                }
                ChatNote::Registry(RegistryNote::Served { .. }) => self.board.clear(&self.bars),
                ChatNote::Registry(_) | ChatNote::Client(_) => {}
            },
            _ => {}
        }
    }

    /// A table that is not kept in sight is printed.
    fn table_of(&self, note: &Note) -> Option<String> {
        let Note::Chatting(note) = note else { return None };
        let ChatNote::Registry(RegistryNote::Table(table)) = &**note else { return None };
        (self.tables() == Tables::OnChange).then(|| board::plain(table))
    }

    fn start(&mut self, transfer: &Transfer) {
        self.clear(transfer.id);
        if self.running.len() >= BARS_MAX {
            self.crowd += 1;
        } else {
            let bar = self.bars.add(ProgressBar::new(transfer.size).with_style(style()));
            bar.set_prefix(shortened(&transfer.name, PREFIX));
            self.running.insert(transfer.id, Lines { whole: bar, file: None });
        }
        self.draw_crowd();
    }

    /// One line for all transfers that have no bar.
    fn draw_crowd(&mut self) {
        match (self.crowd, &self.crowd_line) {
            (0, Some(line)) => {
                line.finish_and_clear();
                self.bars.remove(line);
                self.crowd_line = None;
            }
            (0, None) => {}
            (crowd, _) => {
                let bars = &self.bars;
                let line = self.crowd_line.get_or_insert_with(|| bars.add(ProgressBar::new_spinner()));
                line.set_message(format!("and {crowd} more"));
                line.tick();
            }
        }
    }

    /// A transfer is over.
    fn end(&mut self, id: u64) {
        if !self.clear(id) {
            self.crowd = self.crowd.saturating_sub(1);
        }
        self.draw_crowd();
    }

    fn clear(&mut self, id: u64) -> bool {
        if let Some(lines) = self.running.remove(&id) {
            lines.clear(&self.bars);
            return true;
        }
        false
    }
}

/// The bar of a transfer and, where it has several files, that of the one that moves at present.
struct Lines {
    whole: ProgressBar,
    file: Option<ProgressBar>,
}

impl Lines {
    fn show(&mut self, bars: &MultiProgress, progress: &Progress) {
        // A windowed transfer learns of further files while it sends, and how much that makes in all.
        if progress.is_open != self.whole.length().is_none() {
            self.whole.set_style(if progress.is_open { open_style() } else { style() });
        }
        match progress.is_open {
            true => self.whole.unset_length(),
            false => self.whole.set_length(progress.size),
        }
        self.whole.set_position(progress.bytes);
        self.whole.set_message(words_of(progress));
        let Some(Current { name, bytes, size }) = progress.current.as_ref().filter(|_| board::width() >= NARROW) else {
            return;
        };
        let whole = &self.whole;
        let file =
            self.file.get_or_insert_with(|| bars.insert_after(whole, ProgressBar::new(0).with_style(file_style())));
        file.set_length(*size);
        file.set_position(*bytes);
        file.set_message(shortened(name, usize::from(board::width()).saturating_sub(BESIDE_NAME)));
    }

    fn clear(self, bars: &MultiProgress) {
        for line in self.file.into_iter().chain([self.whole]) {
            line.finish_and_clear();
            bars.remove(&line);
        }
    }
}

impl Report for HumanReport {
    fn note(&mut self, note: &Note) -> io::Result<()> {
        self.draw(note);
        let words = self.table_of(note).or_else(|| sentence(note));
        let Some(mut text) = words.filter(|_| self.is_told(note)) else { return Ok(()) };
        if let (Note::Listening { address, .. }, Volume::Quiet) = (note, self.volume) {
            text = format!("listening on {address}");
        }
        let is_error = self.is_aside || is_failure(note);
        let is_read_by_a_person = if is_error { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
        if is_read_by_a_person {
            text = wrapped(&text, board::width());
        }
        self.bars.suspend(|| {
            if is_error {
                // Nobody may read complaints; the exit code tells all the same.
                let _ = writeln!(io::stderr().lock(), "{text}");
                return Ok(());
            }
            let mut out = io::stdout().lock();
            writeln!(out, "{text}")?;
            out.flush()
        })
    }

    fn tables(&self) -> Tables {
        match self.volume {
            _ if !self.bars.is_hidden() => Tables::Live,
            Volume::Verbose => Tables::OnChange,
            Volume::Quiet | Volume::Normal => Tables::None,
        }
    }
}

fn is_failure(note: &Note) -> bool {
    match note {
        Note::Failed { .. } => true,
        Note::Messaging(note) => note.is_failure(),
        Note::Chatting(note) => note.is_failure(),
        _ => false,
    }
}

fn style() -> ProgressStyle {
    if board::width() < NARROW {
        return style_of("{prefix:12} {percent} % {decimal_bytes_per_sec} {eta}");
    }
    style_of("{prefix:12} [{wide_bar}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} {msg}")
}

/// Nobody knows how far it is, nor how long it will take.
fn open_style() -> ProgressStyle {
    style_of("{prefix:12} {spinner} {decimal_bytes} {decimal_bytes_per_sec} {wide_msg}")
}

/// A file among others.
fn file_style() -> ProgressStyle {
    style_of("  [{bar:16}] {decimal_bytes:>9}/{decimal_total_bytes:9} {msg}")
}

fn style_of(template: &str) -> ProgressStyle {
    // The templates are ours and right; the default is no worse than a crash.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

/// What stands behind a bar.
fn words_of(progress: &Progress) -> String {
    match (progress.silent_s, progress.rtt_ms, progress.loss) {
        (Some(seconds), ..) => format!("no answer for {seconds} s"),
        (None, Some(rtt), Some(loss)) => {
            let path = format!("rtt {rtt:.1} ms, {:.1} % lost", loss * 100.0);
            let limit = progress.limit.filter(|_| board::width() >= WIDE);
            limit.map_or_else(|| path.clone(), |limit| format!("{path}, limited by {}", limit.words()))
        }
        // Who receives knows of nothing that was sent again.
        (None, Some(rtt), None) if progress.retransmissions == 0 => format!("rtt {rtt:.1} ms"),
        (None, Some(rtt), None) => format!("rtt {rtt:.1} ms, {} again", progress.retransmissions),
        (None, None, _) => format!("{} again", progress.retransmissions),
    }
}

/// A text that breaks between words. A word that is too long for a line, a path or a digest, stays whole: the terminal breaks it,
/// and gives it back in one piece to who marks it.
fn wrapped(text: &str, columns: u16) -> String {
    let options =
        Options::new(usize::from(columns).max(20)).break_words(false).word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(text, options.word_separator(WordSeparator::AsciiSpace))
}

/// A name in so many columns: its end tells more than its beginning.
fn shortened(name: &str, columns: usize) -> String {
    let safe = Printable(name).to_string();
    let width = measure_text_width(&safe);
    if width <= columns {
        return safe;
    }
    let mut rest = safe.as_str();
    while measure_text_width(rest) >= columns.max(1) {
        let mut characters = rest.chars();
        characters.next();
        rest = characters.as_str();
    }
    format!("…{rest}")
}

/// How many cases of an examination are through, and which ones run now; on standard error, where that is a terminal.
pub struct CaseCounter {
    bar: ProgressBar,
    running: Mutex<BTreeSet<&'static str>>,
}

impl CaseCounter {
    /// Nothing to do yet; with `quiet` nothing is shown.
    pub fn new(quiet: bool) -> Self {
        let bar = if quiet || !io::stderr().is_terminal() { ProgressBar::hidden() } else { ProgressBar::new(0) };
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(TICK);
        Self { bar, running: Mutex::default() }
    }

    /// So many more cases will be played.
    pub fn add(&self, cases: usize) {
        self.bar.inc_length(cases as u64);
    }

    /// A case begins.
    pub fn begin(&self, case: &'static str) {
        self.change(|running| running.insert(case));
    }

    /// A case is through.
    pub fn end(&self, case: &'static str) {
        self.change(|running| running.remove(case));
        self.bar.inc(1);
    }

    /// All are through; the bar goes.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn change(&self, change: impl FnOnce(&mut BTreeSet<&'static str>) -> bool) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut running);
        self.bar.set_message(running.iter().copied().collect::<Vec<_>>().join(" "));
    }
}

/// Columns before a bar.
const PREFIX: usize = 12;

/// A line with less room than this has no bar.
const NARROW: u16 = 76;

/// Columns beside the name of a file among others.
const BESIDE_NAME: usize = 42;

/// A line with room for what holds a transfer back: up to 41 columns, beside the name, the sizes, the rates and the path, and something
/// must be left for the bar.
const WIDE: u16 = 130;

/// More bars than this do not help anybody, and a terminal has few lines.
const BARS_MAX: usize = 10;

/// How often a waiting line shows that it is alive.
const TICK: Duration = Duration::from_millis(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_break_between_words_and_digests_do_not() {
        let digest = "f9d75c0fce180d5eb48a6094a6e21bb0292f82fb";
        assert_eq!(wrapped("10.0.0.1:1: name-with-hyphens: 3 bytes", 20), "10.0.0.1:1:\nname-with-hyphens: 3\nbytes");
        assert_eq!(wrapped(&format!("blake3 {digest}\n  two"), 20), format!("blake3\n{digest}\n  two"));
    }

    #[test]
    fn of_a_long_name_the_end_is_shown() {
        assert_eq!(shortened("photos/2020/a.jpg", 12), "…/2020/a.jpg");
        assert_eq!(
            (shortened("short", 12), shortened("ééééé", 4), shortened("wide", 0)),
            ("short".into(), "…ééé".into(), "…".into())
        );
    }
}
