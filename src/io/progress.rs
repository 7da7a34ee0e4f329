//! Bars and sentences on a terminal, plain sentences in a pipe.

use super::events::{Note, Report, Volume, sentence};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};

/// For people: a bar a transfer where standard error is a terminal, and sentences on standard output.
pub struct HumanReport {
    volume: Volume,
    bars: MultiProgress,
    running: HashMap<u64, ProgressBar>,
}

impl HumanReport {
    /// Bars appear only where they can.
    pub fn new(volume: Volume) -> Self {
        let visible = volume != Volume::Quiet && io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { volume, bars: MultiProgress::with_draw_target(target), running: HashMap::new() }
    }

    fn is_told(&self, note: &Note) -> bool {
        match note {
            Note::Listening { .. } | Note::Failed { .. } => true,
            Note::Progress(_) => false,
            Note::Started(_) => self.volume == Volume::Verbose,
            Note::Refused { .. }
            | Note::Finished(_)
            | Note::Account(_)
            | Note::Traffic { .. }
            | Note::Remark { .. } => self.volume != Volume::Quiet,
        }
    }

    fn draw(&mut self, note: &Note) {
        match note {
            Note::Started(transfer) => {
                let bar = self.bars.add(ProgressBar::new(transfer.size).with_style(style()));
                bar.set_prefix(shortened(&transfer.name));
                self.running.insert(transfer.id, bar);
            }
            Note::Progress(progress) => {
                if let Some(bar) = self.running.get(&progress.id) {
                    bar.set_position(progress.bytes);
                    bar.set_message(match progress.rtt_ms {
                        Some(rtt) => format!("rtt {rtt:.1} ms, {}x again", progress.retransmissions),
                        None => format!("{}x again", progress.retransmissions),
                    });
                }
            }
            Note::Finished(finished) => self.clear(finished.id),
            Note::Failed { id, .. } => self.clear(*id),
            _ => {}
        }
    }

    fn clear(&mut self, id: u64) {
        if let Some(bar) = self.running.remove(&id) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }
}

impl Report for HumanReport {
    fn note(&mut self, note: &Note) -> io::Result<()> {
        self.draw(note);
        let Some(text) = sentence(note).filter(|_| self.is_told(note)) else { return Ok(()) };
        self.bars.suspend(|| {
            let failed = matches!(note, Note::Failed { .. });
            if failed {
                return writeln!(io::stderr().lock(), "{text}");
            }
            let mut out = io::stdout().lock();
            writeln!(out, "{text}")?;
            out.flush()
        })
    }
}

fn style() -> ProgressStyle {
    let template = "{prefix:16} [{wide_bar}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} {msg}";
    // The template is ours and right; the default is no worse than a crash.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

/// A name that fits before a bar: its end tells more than its beginning.
fn shortened(name: &str) -> String {
    let safe = crate::name::Printable(name).to_string();
    let length = safe.chars().count();
    match length {
        0..=16 => safe,
        _ => format!("…{}", safe.chars().skip(length - 15).collect::<String>()),
    }
}
