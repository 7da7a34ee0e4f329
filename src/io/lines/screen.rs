//! What is shown while a line is being typed: above it, and without ever keeping anybody waiting.

use super::editing::LineEditor;
use crate::io::clock;
use crate::io::events::{Note, Report, Volume, sentence};
use rustyline::ExternalPrinter;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// A terminal on which somebody types. Texts go to a thread of their own: the editor takes one only when it is not busy with
/// something else, such as a list of completions that does not fit the screen.
pub struct Screen {
    /// `None` once it was finished.
    texts: Option<SyncSender<String>>,
    shown: Receiver<()>,
    /// Texts that were not shown because too many waited.
    skipped: u64,
    is_edited: Arc<AtomicBool>,
}

impl Screen {
    /// A screen for what is typed at this editor; `is_edited` says whether a line is being typed now.
    pub(super) fn of(editor: &mut LineEditor, is_edited: Arc<AtomicBool>) -> io::Result<Self> {
        let mut printer = editor.create_external_printer().map_err(|error| io::Error::other(error.to_string()))?;
        let (texts, coming) = sync_channel::<String>(WAITING_MAX);
        let (all_shown, shown) = sync_channel(1);
        std::thread::Builder::new().name("screen".into()).spawn(move || {
            for text in coming {
                if printer.print(text).is_err() {
                    return;
                }
            }
            let _ = all_shown.send(());
        })?;
        Ok(Self { texts: Some(texts), shown, skipped: 0, is_edited })
    }

    /// Shows a text, which must be safe to print, in lines of its own.
    pub fn show(&mut self, text: &str) {
        let Some(texts) = &self.texts else { return };
        let text = match self.skipped {
            0 => format!("{text}\n"),
            skipped => format!("({skipped} lines came too fast to be shown)\n{text}\n"),
        };
        match texts.try_send(text) {
            Ok(()) => self.skipped = 0,
            Err(TrySendError::Full(_)) => self.skipped += 1,
            // The terminal is gone; whoever reads lines from it will notice.
            Err(TrySendError::Disconnected(_)) => self.texts = None,
        }
    }
}

/// Notes as sentences, above the line that is being typed.
pub struct ScreenReport {
    /// Where they are shown.
    pub screen: Screen,
    /// Which of them.
    pub volume: Volume,
}

impl Report for ScreenReport {
    fn note(&mut self, note: &Note) -> io::Result<()> {
        let is_told = match note {
            Note::Chatting(note) => note.is_told(self.volume),
            Note::Failed { .. } => true,
            _ => self.volume != Volume::Quiet,
        };
        if let Some(text) = sentence(note).filter(|_| is_told) {
            self.screen.show(&text);
        }
        Ok(())
    }
}

impl Drop for Screen {
    /// What was to be shown is shown, unless the person is busy with something else for long.
    fn drop(&mut self) {
        self.texts = None;
        let is_shown = self.shown.recv_timeout(PATIENCE).is_ok();
        if is_shown && self.is_edited.load(Ordering::SeqCst) {
            // The last text has been handed to the editor, which does not say when it has written it.
            clock::pause(EDITOR_WRITES);
        }
    }
}

/// Texts that may wait for the editor: a long list of completions may be on the screen while somebody talks.
const WAITING_MAX: usize = 1000;

/// How long the end waits for the terminal.
const PATIENCE: Duration = Duration::from_millis(500);

/// Time enough to write a line to a terminal, and too short to be felt.
const EDITOR_WRITES: Duration = Duration::from_millis(30);
