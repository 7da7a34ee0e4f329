//! Logs of windowed transfers as qlog files, written beside the socket thread: what it tells waits in memory, and never it for a disk.

mod data;
mod file;
mod frames;

pub use file::Format;

use super::clock;
use super::events::{Note, Report};
use crate::session::windowed::log::{Entry, Event, Item, Part};
use data::Line;
use file::QlogFile;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Whose view a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Vantage {
    /// The client's; there is one transfer.
    Client,
    /// The server's, with a group for each transfer.
    Server,
}

/// A qlog that is being written, about twenty times a second. Dropped, it is finished, whatever happened.
pub struct QlogWriter {
    path: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Between the socket thread and the one that writes.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// The end has come.
    end: Condvar,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    /// Events that are not in the file.
    dropped: u64,
    /// Why nothing more is written.
    error: Option<io::Error>,
    is_over: bool,
}

impl QlogWriter {
    /// Makes the file, or empties it; its name says in which format.
    ///
    /// # Errors
    /// As the file system says; with the path in the words.
    pub fn create(path: &Path, vantage: Vantage) -> io::Result<Self> {
        let remedy = "check that its folder is there, and that you may write to it";
        let unwritten = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot write {}: {error}; {remedy}", path.display()))
        };
        let (began, time) = (clock::now(), clock::microseconds_since_1970());
        let file = QlogFile::create(path, vantage, time).map_err(unwritten)?;
        let shared = Arc::new(Shared::default());
        let writing = Writing { file, vantage, began, last: Duration::ZERO, parts: Vec::new(), dropped: 0 };
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("qlog".into()).spawn(move || writing.run(&theirs))?;
        Ok(Self { path: path.into(), shared, thread: Some(thread) })
    }

    /// Lets `fill` append what happened since the last time. Takes no longer than to copy it.
    pub fn collect(&mut self, fill: impl FnOnce(&mut Vec<Entry>)) {
        let mut state = self.shared.lock();
        let before = state.entries.len();
        fill(&mut state.entries);
        if state.entries.len() > ENTRIES_MAX || state.error.is_some() {
            let lost = state.entries.drain(before..).filter(is_event).count() as u64;
            state.dropped += lost;
        }
    }

    /// Writes what is left, ends the file as its format wants it, and tells what is missing in it.
    ///
    /// # Errors
    /// When nobody reads the report any more.
    pub fn finish(mut self, report: &mut dyn Report) -> io::Result<()> {
        self.end();
        let state = self.shared.lock();
        let (path, dropped) = (self.path.display(), state.dropped);
        let text = match &state.error {
            Some(error) => format!("{path} is not complete: {error}; {dropped} events are missing in it"),
            None if dropped > 0 => {
                format!("{path} is not complete: {dropped} events came faster than they were written")
            }
            None => return Ok(()),
        };
        report.note(&Note::Remark { text })
    }

    fn end(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.end.notify_all();
        if let Some(thread) = self.thread.take() {
            // Should it have panicked, the file is as it was written last.
            let _ = thread.join();
        }
    }
}

impl Drop for QlogWriter {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread has.
struct Writing {
    file: QlogFile,
    vantage: Vantage,
    began: Instant,
    /// When the last event happened, since the beginning.
    last: Duration,
    /// Of the next event.
    parts: Vec<Part>,
    /// Events that did not come here, or not into the file.
    dropped: u64,
}

impl Writing {
    fn run(mut self, shared: &Shared) {
        let mut entries = Vec::new();
        loop {
            let state = shared.lock();
            let waited = shared.end.wait_timeout_while(state, WRITE_EVERY, |state| !state.is_over);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut state.entries, &mut entries);
            let (is_over, has_failed) = (state.is_over, state.error.is_some());
            drop(state);
            let written = if has_failed { Ok(()) } else { self.write(&entries) };
            let mut state = shared.lock();
            state.dropped += std::mem::take(&mut self.dropped);
            state.error = state.error.take().or(written.err());
            drop(state);
            entries.clear();
            if is_over {
                return;
            }
        }
    }

    fn write(&mut self, entries: &[Entry]) -> io::Result<()> {
        let mut entries = entries.iter();
        let mut written = entries.by_ref().try_for_each(|entry| self.write_entry(entry));
        if written.is_ok() {
            written = self.file.flush();
        }
        if written.is_err() {
            self.dropped += self.file.lost() + entries.filter(|entry| is_event(entry)).count() as u64;
        }
        written
    }

    fn write_entry(&mut self, entry: &Entry) -> io::Result<()> {
        let event = match &entry.item {
            Item::Part(part) => {
                self.parts.push(*part);
                return Ok(());
            }
            Item::Event(event) => event,
        };
        if let Event::EventsDropped(count) = event {
            self.dropped += count;
        }
        self.last = self.last.max(entry.at.saturating_duration_since(self.began));
        let group_id = (self.vantage == Vantage::Server).then_some(entry.transfer);
        let line = Line { time: self.last, group_id, vantage: self.vantage, event, parts: &self.parts };
        let written = line.write(&mut self.file);
        self.parts.clear();
        written
    }
}

fn is_event(entry: &Entry) -> bool {
    matches!(entry.item, Item::Event(_))
}

/// How long what happened waits in memory: whoever looks at a file that grows does not notice, nor does the socket thread the
/// disk.
const WRITE_EVERY: Duration = Duration::from_millis(50);

/// Entries that wait for the disk: 12 MB, those of half a second at a hundred thousand packets a second.
const ENTRIES_MAX: usize = 1 << 18;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::windowed::log::Log;
    use serde_json::Value;
    use std::fs;

    #[derive(Default)]
    struct Said(Vec<String>);

    impl Report for Said {
        fn note(&mut self, note: &Note) -> io::Result<()> {
            if let Note::Remark { text } = note {
                self.0.push(text.clone());
            }
            Ok(())
        }
    }

    fn read(path: &Path) -> Vec<Value> {
        let whole: Value = serde_json::from_str(&fs::read_to_string(path).expect("text")).expect("JSON");
        whole["traces"][0]["events"].as_array().expect("events").clone()
    }

    #[test]
    fn what_is_told_stands_in_the_file_in_order_of_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.qlog");
        let mut writer = QlogWriter::create(&path, Vantage::Server).expect("a file");
        let now = clock::now();
        for number in 0..2000 {
            let mut log = Log::new(number, now + Duration::from_micros((number * 7919) % 1000));
            log.tell_with([Part::Range(1, number)], Event::PacketsAcked);
            writer.collect(|entries| log.drain(entries));
        }
        let mut said = Said::default();
        writer.finish(&mut said).expect("somebody listens");
        assert_eq!(said.0, [""; 0]);
        let events = read(&path);
        assert_eq!(events.len(), 2000);
        for (number, event) in events.iter().enumerate() {
            assert_eq!(event["group_id"], number.to_string());
            assert_eq!(event["data"]["packet_numbers"].as_array().expect("numbers").len(), number);
        }
        assert!(events.is_sorted_by(|one, next| one["time"].as_f64() <= next["time"].as_f64()));
    }

    #[test]
    fn what_comes_too_fast_is_dropped_and_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.qlog");
        let mut writer = QlogWriter::create(&path, Vantage::Client).expect("a file");
        let (at, transfer) = (clock::now(), 0);
        let entry = Entry { at, transfer, item: Item::Event(Event::EventsDropped(1)) };
        writer.collect(|entries| entries.extend(std::iter::repeat_n(entry.clone(), ENTRIES_MAX + 5)));
        writer.collect(|entries| entries.push(entry));
        let mut said = Said::default();
        writer.finish(&mut said).expect("somebody listens");
        let missing = ENTRIES_MAX + 5 + 1;
        assert_eq!(said.0.len(), 1);
        assert!(
            said.0[0].ends_with(&format!("{missing} events came faster than they were written")),
            "{said:?}",
            said = said.0
        );
        assert_eq!(read(&path).len(), 1);
    }

    #[test]
    fn a_writer_that_is_dropped_leaves_a_whole_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.qlog");
        let mut writer = QlogWriter::create(&path, Vantage::Client).expect("a file");
        let mut log = Log::new(0, clock::now());
        log.tell(Event::LossWasSpurious { number: 1 });
        writer.collect(|entries| log.drain(entries));
        drop(writer);
        assert_eq!(read(&path).len(), 1);
    }
}
