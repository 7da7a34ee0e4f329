//! The pictures of exchanges: where the user wants them, drawn when an exchange is over.

use crate::io::events::{Note, Report};
use crate::io::recording::{self, RecordingWriter};
use crate::packet::Spelling;
use crate::trace::{Did, Exchange, Recordings, Side, Vantage, headline, svg, text};
use console::Term;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where pictures go.
#[derive(Clone, Debug)]
pub enum Diagrams {
    /// Into this file; of several exchanges the second goes beside it as `NAME-2.svg`.
    File(PathBuf),
    /// Into this folder, one file each.
    Folder(PathBuf),
}

/// Draws and writes down what is recorded.
pub struct Album {
    diagrams: Option<Diagrams>,
    ladder: bool,
    trace: Option<(PathBuf, RecordingWriter)>,
    drawn: u64,
}

impl Album {
    /// Opens what will be written, so that a wrong path is noticed before anything is copied. `None` when nothing was asked for.
    ///
    /// # Errors
    /// When a file or folder cannot be made.
    pub fn open(diagrams: Option<Diagrams>, ladder: bool, trace: Option<&Path>) -> io::Result<Option<Self>> {
        match &diagrams {
            Some(Diagrams::Folder(folder)) => fs::create_dir_all(folder).map_err(|error| unwritten(folder, &error))?,
            Some(Diagrams::File(file)) => drop(recording::create(file).map_err(|error| unwritten(file, &error))?),
            None => {}
        }
        let trace = match trace {
            Some(path) => Some((path.into(), RecordingWriter::create(path).map_err(|error| unwritten(path, &error))?)),
            None => None,
        };
        let asked = diagrams.is_some() || ladder || trace.is_some();
        Ok(asked.then_some(Self { diagrams, ladder, trace, drawn: 0 }))
    }

    /// What the machine should record into.
    pub fn recordings(&self, vantage: Vantage, own: String) -> Recordings {
        let recordings = Recordings::new(vantage, own, STEPS_MAX);
        if self.trace.is_some() { recordings.streaming() } else { recordings }
    }

    /// Writes what is new, and draws what is over.
    ///
    /// # Errors
    /// When nobody reads the report any more; what goes wrong with the files is told there.
    pub fn collect(&mut self, recordings: &mut Recordings, report: &mut dyn Report) -> io::Result<()> {
        if let Err((path, error)) = self.write_lines(recordings) {
            self.trace = None;
            report.note(&Note::Remark { text: format!("cannot write {}: {error}", path.display()) })?;
        }
        while let Some(exchange) = recordings.poll_ended() {
            self.drawn += 1;
            if let Some(diagrams) = &self.diagrams {
                let drawn = draw(&exchange, &diagrams.path(self.drawn, &exchange));
                if let Err(error) = drawn {
                    report.note(&Note::Remark { text: error.to_string() })?;
                }
            }
            if self.ladder {
                print_ladder(&exchange)?;
            }
        }
        Ok(())
    }

    fn write_lines(&mut self, recordings: &mut Recordings) -> Result<(), (PathBuf, io::Error)> {
        let Some((path, writer)) = &mut self.trace else { return Ok(()) };
        let mut write = || {
            while let Some(line) = recordings.poll_line() {
                writer.write(&line)?;
            }
            if recordings.is_over() { writer.flush() } else { Ok(()) }
        };
        write().map_err(|error| (path.clone(), error))
    }
}

impl Diagrams {
    /// The file of the n-th exchange.
    pub fn path(&self, number: u64, exchange: &Exchange) -> PathBuf {
        match self {
            Diagrams::File(file) if number == 1 => file.clone(),
            Diagrams::File(file) => {
                let stem = file.file_stem().unwrap_or_default().to_string_lossy();
                let ending = file.extension().map_or("svg".into(), |ending| ending.to_string_lossy());
                file.with_file_name(format!("{stem}-{number}.{ending}"))
            }
            Diagrams::Folder(folder) => {
                let name: String = start_name(exchange)
                    .chars()
                    .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' })
                    .take(40)
                    .collect();
                folder.join(format!("{number:03}-{name}.svg"))
            }
        }
    }
}

/// Draws an exchange into a file.
///
/// # Errors
/// When it cannot be written; says which.
pub fn draw(exchange: &Exchange, path: &Path) -> io::Result<()> {
    fs::write(path, svg(exchange, &title(exchange))).map_err(|error| unwritten(path, &error))
}

fn unwritten(path: &Path, error: &io::Error) -> io::Error {
    let remedy = "check that its folder is there, and that you may write to it";
    io::Error::new(error.kind(), format!("cannot write {}: {error}; {remedy}", path.display()))
}

/// What a picture is called.
pub fn title(exchange: &Exchange) -> String {
    format!("{}: {} to {}", start_name(exchange), exchange.client, exchange.server)
}

/// The file's name as the start has it.
fn start_name(exchange: &Exchange) -> String {
    let name_in = |text: &str| {
        let (spelling, b's', _) = headline(text)? else { return None };
        let separator = if spelling == Spelling::Spaced { " | " } else { "|" };
        let (_, name_and_size) = text.get(separator.len() + 1..)?.split_once(separator)?;
        name_and_size.rsplit_once(separator).map(|(name, _)| name.to_string())
    };
    let mut texts = exchange.steps.iter().filter_map(|step| match &step.did {
        Did::Sent { by: Side::Client, text, .. } => Some(text),
        _ => None,
    });
    texts.find_map(|text| name_in(text)).unwrap_or_else(|| "exchange".into())
}

/// Prints an exchange as a ladder, as wide as the terminal allows.
///
/// # Errors
/// When nobody reads standard output any more.
pub fn print_ladder(exchange: &Exchange) -> io::Result<()> {
    let width = Term::stdout().size_checked().map_or(WIDTH_IN_A_PIPE, |(_, columns)| columns.into());
    let mut out = io::stdout().lock();
    out.write_all(text(exchange, width, console::colors_enabled()).as_bytes())?;
    out.flush()
}

/// Columns of a ladder that goes into a file or a pipe.
const WIDTH_IN_A_PIPE: usize = 100;

/// Steps that are kept for the picture of one exchange: ten thousand messages, seen at both ends.
const STEPS_MAX: usize = 24_000;
