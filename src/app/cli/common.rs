//! What the command lines of all programs have in common.

use crate::app::exit;
use crate::io::events::{JsonAside, JsonReport, Report, Volume};
use crate::io::progress::HumanReport;
use crate::io::qlog::Format;
use crate::packet::Spelling;
use clap::{Args, ValueEnum};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What `--help` says, in this order: what it is, how it is used, and only then all that can be changed.
pub(super) const HELP: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// How a program speaks to whoever started it.
#[derive(Args, Clone, Debug)]
pub struct Speech {
    /// One JSON object a line on standard output, for programs (on standard error, where a file goes to standard output).
    #[arg(long)]
    pub json: bool,
    /// Say only what goes wrong.
    #[arg(short, long)]
    pub quiet: bool,
    /// Say more.
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
}

impl Speech {
    /// How much is said.
    pub fn volume(&self) -> Volume {
        match (self.quiet, self.verbose) {
            (true, _) => Volume::Quiet,
            (_, true) => Volume::Verbose,
            _ => Volume::Normal,
        }
    }

    /// Where notes go.
    pub fn report(&self) -> Box<dyn Report + Send> {
        if self.json { Box::new(JsonReport) } else { Box::new(HumanReport::new(self.volume())) }
    }

    /// The same where standard output is for something else.
    pub fn report_aside(&self) -> Box<dyn Report + Send> {
        if self.json { Box::new(JsonAside) } else { Box::new(HumanReport::aside(self.volume())) }
    }
}

/// Recording what passes, to look at it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Picture")]
pub struct RecordArgs {
    /// Print the exchange as a ladder when it is over.
    #[arg(long, conflicts_with = "json", hide_short_help = true)]
    pub ladder: bool,
    /// Write down every datagram as it passes, one JSON object a line; `lab_check draw FILE` draws it later. FILE.qlog or FILE.sqlog is a
    /// qlog of windowed transfers instead, for qvis. [default: none]
    #[arg(long, value_name = "FILE.jsonl", hide_short_help = true)]
    pub trace: Option<PathBuf>,
}

impl RecordArgs {
    /// Where every datagram is written down.
    pub fn recording(&self) -> Option<&Path> {
        self.trace.as_deref().filter(|path| Format::of(path).is_none())
    }

    /// Where a qlog is written.
    pub fn qlog(&self) -> Option<&Path> {
        self.trace.as_deref().filter(|path| Format::of(path).is_some())
    }
}

/// See [`Spelling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "they are named as the spellings are")]
pub enum SpellingArg {
    Spaced,
    Compact,
}

impl From<SpellingArg> for Spelling {
    fn from(spelling: SpellingArg) -> Self {
        match spelling {
            SpellingArg::Spaced => Spelling::Spaced,
            SpellingArg::Compact => Spelling::Compact,
        }
    }
}

/// A positive number of seconds, decimals allowed; at most a week.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    const WEEK: f64 = 7.0 * 24.0 * 3600.0;
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=WEEK).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("it must be a number of seconds, more than 0 and at most 604800 (a week)".into()),
    }
}

/// Bytes, with or without a unit.
pub(super) fn file_size(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let factor: u64 = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1000_u64.pow(2),
        "g" | "gb" => 1000_u64.pow(3),
        "t" | "tb" => 1000_u64.pow(4),
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        "ti" => 1 << 40,
        _ => return Err("the unit is one of k, m, g, t, ki, mi, gi, ti, or none for bytes".into()),
    };
    let count: u64 = digits.parse().map_err(|_| "it must be a whole number, as in 500m".to_string())?;
    count.checked_mul(factor).ok_or_else(|| "it is larger than any file".to_string())
}

/// The address of `ADDRESS:PORT` or `HOST:PORT`; of several an IPv4 one, since most servers here listen there.
pub fn one_address(text: &str) -> Option<SocketAddr> {
    let found: Vec<SocketAddr> = text.to_socket_addrs().ok()?.collect();
    found.iter().find(|address| address.is_ipv4()).or(found.first()).copied()
}

/// Ends the program as clap does when a command line makes no sense.
pub fn usage_error(command: &mut clap::Command, message: &str) -> ! {
    let error = command.error(clap::error::ErrorKind::ValueValidation, message);
    // Standard error may be closed; the exit code tells all the same.
    let _ = error.print();
    std::process::exit(exit::USAGE.into())
}
