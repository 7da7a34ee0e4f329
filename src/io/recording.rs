//! Recordings as files: one JSON object a line, written as things happen, read back to be drawn.

use crate::trace::{Exchange, Line};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use thiserror::Error;

/// Writes a recording.
pub struct RecordingWriter(BufWriter<File>);

impl RecordingWriter {
    /// Makes the file, or empties it.
    ///
    /// # Errors
    /// As the file system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        create(path).map(|file| Self(BufWriter::new(file)))
    }

    /// Appends a line.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn write(&mut self, line: &Line) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, line)?;
        self.0.write_all(b"\n")
    }

    /// What was written so far is in the file.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Makes a file for a recording or its picture, or empties it.
///
/// # Errors
/// As the file system says.
#[expect(clippy::disallowed_methods, reason = "this is the room where recordings are files")]
pub fn create(path: &Path) -> io::Result<File> {
    File::create(path)
}

/// Why a file is no recording.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// It cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// A line is none of ours.
    #[error("line {number} is no line of a recording ({problem}); --trace writes them")]
    Line {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing stands in it.
    #[error("it is empty: nothing was recorded")]
    Empty,
}

/// Reads all exchanges of a recording, in the order of their numbers. Of a last line that was cut off nothing is taken.
///
/// # Errors
/// [`RecordingError`] says what is wrong with the file.
#[expect(clippy::disallowed_methods, reason = "this is the room where recordings are files")]
pub fn read_recording(path: &Path) -> Result<Vec<Exchange>, RecordingError> {
    let mut exchanges = BTreeMap::new();
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let problem = match serde_json::from_slice(&line) {
            Ok(line) => add(&mut exchanges, line).err(),
            Err(_) if !line.ends_with(b"\n") && number > 1 && (line.len() as u64) < LINE_MAX => None, // The program was killed while it wrote.
            Err(error) => Some(error.to_string()),
        };
        if let Some(problem) = problem {
            return Err(RecordingError::Line { number, problem });
        }
    }
    if exchanges.is_empty() {
        return Err(RecordingError::Empty);
    }
    Ok(exchanges.into_values().collect())
}

fn add(exchanges: &mut BTreeMap<u64, Exchange>, line: Line) -> Result<(), String> {
    match line {
        Line::Began { exchange, client, server, vantage } => {
            exchanges.insert(exchange, Exchange { client, server, vantage, steps: Vec::new(), omitted: None });
        }
        Line::Step { exchange, step } => {
            let known = exchanges.get_mut(&exchange).ok_or_else(|| format!("exchange {exchange} has no beginning"))?;
            known.steps.push(step);
        }
    }
    Ok(())
}

/// No line of a recording is longer; what is no recording need not be held in memory to say so.
const LINE_MAX: u64 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Recordings, Side, Vantage};
    use std::fs;
    use std::time::Duration;

    fn recorded() -> (Recordings, Vec<Line>) {
        #[expect(clippy::disallowed_methods, reason = "a beginning for the test's own clock")]
        let now = std::time::Instant::now();
        let later = now + Duration::from_millis(20);
        let peer = ([127, 0, 0, 1], 4000).into();
        let mut recordings = Recordings::new(Vantage::Both, "here".into(), 100).streaming();
        let start = recordings.sent(peer, Side::Client, b"s | 0 | \"f\"\n | 5", now);
        recordings.came(peer, start, b"s | 0 | \"f\"\n | 6", later);
        let ack = recordings.sent(peer, Side::Server, b"a | 1", later);
        recordings.lost(peer, ack, later);
        recordings.note(peer, Side::Server, "left", later);
        let lines = std::iter::from_fn(|| recordings.poll_line()).collect();
        (recordings, lines)
    }

    #[test]
    fn what_was_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.jsonl");
        let (mut recordings, lines) = recorded();
        let mut writer = RecordingWriter::create(&path).unwrap();
        for line in lines {
            writer.write(&line).unwrap();
        }
        writer.flush().unwrap();
        recordings.retire_all();
        let mut exchange = recordings.poll_ended().unwrap();
        for step in &mut exchange.steps {
            step.at = Duration::from_micros(step.at.as_micros().try_into().unwrap());
        }
        assert_eq!(read_recording(&path).unwrap(), [exchange]);
    }

    #[test]
    fn what_is_no_recording_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.jsonl");
        let begin = r#"{"exchange":1,"client":"a","server":"b","vantage":"client"}"#;
        for (text, expected) in [
            ("", "empty"),
            ("\u{fffd}\n", "line 1"),
            (
                &format!("{begin}\n{{\"did\":\"lost\",\"exchange\":2,\"at_us\":0,\"id\":0}}\n"),
                "exchange 2 has no beginning",
            ),
            (&format!("{begin}\nnonsense\n"), "line 2"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read_recording(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        fs::write(&path, format!("{begin}\n{{\"did\":\"lo")).unwrap();
        assert_eq!(read_recording(&path).unwrap().len(), 1, "a line that was cut off is none");
        assert!(matches!(read_recording(&folder.path().join("none")), Err(RecordingError::Read(_))));
    }
}
