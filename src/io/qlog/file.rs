//! A qlog as a file: what stands before the events, between them and behind them, so that it can be read whenever its writer is killed.

use super::Vantage;
use crate::io::recording;
use serde::Serialize;
use serde_json::json;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// How a qlog is written (draft-ietf-quic-qlog-main-schema-03, sections 6.1 and 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.qlog`: one JSON value. It is closed with every block, and the next block is written over what closes it: so it is whole at
    /// any time, if the file is one in which one can go back.
    Json,
    /// `.sqlog`: JSON text sequences (RFC 7464), a record for each event, whole up to the last record at any time.
    JsonSeq,
}

impl Format {
    /// The format that a file's name asks for; `None` if it is no qlog's name.
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?;
        let is = |other: &str| ending.eq_ignore_ascii_case(other);
        if is("qlog") {
            Some(Self::Json)
        } else if is("sqlog") {
            Some(Self::JsonSeq)
        } else {
            None
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::JsonSeq => "JSON-SEQ",
        }
    }
}

/// A file that grows by blocks.
pub(super) struct QlogFile {
    file: File,
    format: Format,
    block: Vec<u8>,
    /// Where the next block begins; `None` where one cannot go back, as in a pipe.
    position: Option<u64>,
    /// There is an event already.
    has_events: bool,
    /// Events in the block, and in blocks that could not be written.
    waiting: u64,
    lost: u64,
}

impl QlogFile {
    /// Makes the file, or empties it, and writes what stands before the events. `time` is the time of day at which it begins, in
    /// microseconds since 1970.
    pub(super) fn create(path: &Path, vantage: Vantage, time: u64) -> io::Result<Self> {
        let file = recording::create(path)?;
        let format = Format::of(path).unwrap_or(Format::JsonSeq);
        let position = file.metadata()?.is_file().then_some(0);
        let mut this = Self { file, format, block: Vec::new(), position, has_events: false, waiting: 0, lost: 0 };
        this.begin(vantage, time)?;
        this.flush()?;
        Ok(this)
    }

    /// Appends an event to the block, which is written when it is large.
    pub(super) fn push(&mut self, event: &impl Serialize) -> io::Result<()> {
        match (self.format, self.has_events) {
            (Format::Json, true) => self.block.extend_from_slice(b",\n"),
            (Format::Json, false) => {}
            (Format::JsonSeq, _) => self.block.push(RECORD),
        }
        self.has_events = true;
        self.waiting += 1;
        serde_json::to_writer(&mut self.block, event)?;
        if self.format == Format::JsonSeq {
            self.block.push(b'\n');
        }
        if self.block.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    /// Writes the block. If that fails, the file ends behind the one before it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let end = self.block.len() as u64;
        if let (Format::Json, Some(_)) = (self.format, self.position) {
            self.block.extend_from_slice(CLOSING);
        }
        let written = self.write_block();
        match (&written, &mut self.position) {
            (Ok(()), Some(position)) => *position += end,
            (Err(_), Some(position)) => {
                // There was room for what closes it; and if there is none, nothing can be done.
                let _ = self.file.set_len(*position);
                if self.format == Format::Json && *position > 0 {
                    let _ = self.file.seek(SeekFrom::Start(*position)).and_then(|_| self.file.write_all(CLOSING));
                }
            }
            (_, None) => {}
        }
        self.lost += if written.is_err() { self.waiting } else { 0 };
        self.waiting = 0;
        self.block.clear();
        written
    }

    /// How many events could not be written.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    fn begin(&mut self, vantage: Vantage, time: u64) -> io::Result<()> {
        let trace = json!({
            "title": format!("homing {}", vantage.name()),
            "vantage_point": { "name": format!("homing {}", vantage.name()), "type": vantage },
            "common_fields": {
                "time_format": "relative",
                "reference_time": milliseconds(time),
                "protocol_type": ["homing-windowed"],
            },
        });
        let before =
            |format: Format| format!(r#"{{"qlog_version":"0.3","qlog_format":"{}","title":"homing""#, format.name());
        match self.format {
            Format::Json => {
                let trace = serde_json::to_string(&trace)?;
                let open = trace.strip_suffix('}').unwrap_or(&trace);
                writeln!(self.block, "{},\"traces\":[{open},\"events\":[", before(self.format))
            }
            Format::JsonSeq => {
                self.block.push(RECORD);
                writeln!(self.block, "{},\"trace\":{trace}}}", before(self.format))
            }
        }
    }

    fn write_block(&mut self) -> io::Result<()> {
        if let Some(position) = self.position {
            self.file.seek(SeekFrom::Start(position))?;
        }
        self.file.write_all(&self.block)
    }
}

impl Drop for QlogFile {
    fn drop(&mut self) {
        // Where one cannot go back it is closed at the end. Nobody is left to hear that it cannot be.
        let _ = self.flush();
        if self.format == Format::Json && self.position.is_none() {
            let _ = self.file.write_all(CLOSING);
        }
    }
}

impl Vantage {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// Microseconds as the milliseconds that qlog counts.
#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds since 1970 have 51 bits until the year 2041, and one more until 2112"
)]
pub(super) fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

/// RS of RFC 7464 section 2.2.
const RECORD: u8 = 0x1e;

/// What closes the events, the trace, the traces and the file.
const CLOSING: &[u8] = b"\n]}]}\n";

/// A write that is worth its system call.
const BLOCK: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// The events of a qlog in either format, all of which must be readable.
    fn events(text: &str) -> Vec<Value> {
        if text.starts_with('\u{1e}') {
            let mut records = text.split('\u{1e}').skip(1).map(|record| serde_json::from_str(record).expect("JSON"));
            let header: Value = records.next().expect("a header");
            assert_eq!((&header["qlog_version"], &header["qlog_format"]), (&"0.3".into(), &"JSON-SEQ".into()));
            assert_eq!(header["trace"]["vantage_point"]["type"], "client");
            return records.collect();
        }
        let whole: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!((&whole["qlog_version"], &whole["qlog_format"]), (&"0.3".into(), &"JSON".into()));
        let trace = &whole["traces"][0];
        assert_eq!(trace["common_fields"]["reference_time"], 1234.567);
        assert_eq!(trace["vantage_point"]["type"], "client");
        trace["events"].as_array().expect("events").clone()
    }

    #[test]
    fn the_name_says_the_format() {
        for (name, format) in [
            ("a.qlog", Some(Format::Json)),
            ("a.b/c.QLOG", Some(Format::Json)),
            ("a.sqlog", Some(Format::JsonSeq)),
            ("a.jsonl", None),
            ("qlog", None),
            (".qlog", None),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }

    #[test]
    fn a_file_is_whole_after_every_block() {
        for name in ["a.qlog", "a.sqlog"] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join(name);
            let mut file = QlogFile::create(&path, Vantage::Client, 1_234_567).expect("a file");
            for number in 0..20 {
                assert_eq!(events(&fs::read_to_string(&path).expect("text")).len(), number, "{name}");
                file.push(&json!({ "time": number })).expect("room");
                file.flush().expect("room");
            }
            file.push(&json!({ "time": 20 })).expect("room");
            drop(file);
            assert_eq!(events(&fs::read_to_string(&path).expect("text")).len(), 21, "{name}");
        }
    }

    #[test]
    fn a_large_block_is_written_by_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.qlog");
        let mut file = QlogFile::create(&path, Vantage::Client, 1_234_567).expect("a file");
        let text = "x".repeat(BLOCK);
        file.push(&text).expect("room");
        assert_eq!(events(&fs::read_to_string(&path).expect("text")), [text]);
    }

    #[test]
    fn what_is_lost_on_a_full_disk_is_counted() {
        for name in ["full.qlog", "full.sqlog"] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join(name);
            symlink("/dev/full", &path).expect("a link");
            let error = QlogFile::create(&path, Vantage::Client, 0).err().expect("it is full");
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            // As if it had become full later.
            let file = recording::create(&path).expect("it opens");
            let (format, position) = (Format::of(&path).expect("a qlog"), None);
            let mut file =
                QlogFile { file, format, block: Vec::new(), position, has_events: true, waiting: 0, lost: 0 };
            (0..3).for_each(|number| file.push(&number).expect("it is kept"));
            assert_eq!((file.flush().is_err(), file.lost()), (true, 3), "{name}");
        }
    }
}
