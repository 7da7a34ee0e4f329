//! Lines that a person types, with history and editing, or that come through a pipe; read beside the socket thread.

mod editing;
mod screen;

pub use editing::{Follows, Vocabulary, Word};
pub use screen::{Screen, ScreenReport};

use super::udp::Waker;
use editing::{LineEditor, editor, typed};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// What comes when a line is asked for.
#[derive(Debug)]
pub enum Line {
    /// A line, without its end; in a pipe any bytes.
    Text(Vec<u8>),
    /// One that is longer than [`LINE_MAX`]; it was skipped.
    TooLong,
    /// There are no more: the end of the input, or Ctrl-D.
    Closed,
    /// Ctrl-C, while a line was being typed.
    Interrupted,
    /// The input cannot be read.
    Failed(io::Error),
}

/// Where lines come from, one for each time that one is asked for.
pub trait LineSource {
    /// Asks for the next line; it comes when it comes.
    fn ask(&mut self);

    /// The line, once it is there.
    fn take(&mut self) -> Option<Line>;

    /// Whether a person types them: then the next one is asked for when there is nothing left to show.
    fn is_interactive(&self) -> bool {
        false
    }
}

/// Standard input.
pub struct StandardInput {
    asking: Sender<()>,
    coming: Receiver<Line>,
    /// The terminal as it was; `None` for a pipe.
    terminal: Option<Termios>,
    /// A line is being typed.
    is_reading: Arc<AtomicBool>,
}

impl StandardInput {
    /// Reads on a thread of its own and wakes the socket thread with each line. Editing and a prompt need a terminal on both
    /// sides; with `plain` there are none.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn open(prompt: &'static str, plain: bool, waker: Waker) -> io::Result<Self> {
        let terminal = if plain { None } else { terminal() };
        let editor = terminal.as_ref().and_then(|_| editor(None));
        Self::start(prompt, terminal, editor, Arc::default(), waker)
    }

    /// The same for a program that shows things while a line is being typed, and whose words can be completed. There is a screen
    /// if somebody types.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn with_screen(
        prompt: &'static str,
        plain: bool,
        vocabulary: Vocabulary,
        waker: Waker,
    ) -> io::Result<(Self, Option<Screen>)> {
        let is_reading = Arc::default();
        let terminal = if plain { None } else { terminal() };
        let mut editor = terminal.as_ref().and_then(|_| editor(Some(vocabulary)));
        // A terminal that can do too little for an editor has no place above the line either.
        let screen = editor.as_mut().and_then(|editor| Screen::of(editor, Arc::clone(&is_reading)).ok());
        let terminal = terminal.filter(|_| screen.is_some());
        let editor = editor.filter(|_| screen.is_some());
        Ok((Self::start(prompt, terminal, editor, is_reading, waker)?, screen))
    }

    fn start(
        prompt: &'static str,
        terminal: Option<Termios>,
        mut editor: Option<LineEditor>,
        is_reading: Arc<AtomicBool>,
        waker: Waker,
    ) -> io::Result<Self> {
        let (asking, asked) = channel::<()>();
        let (answering, coming) = channel();
        let reading = Arc::clone(&is_reading);
        std::thread::Builder::new().name("lines".into()).spawn(move || {
            while asked.recv().is_ok() {
                let line = match &mut editor {
                    Some(editor) => typed(editor, prompt),
                    None => piped(&mut io::stdin().lock()),
                };
                reading.store(false, Ordering::SeqCst);
                if answering.send(line).is_err() {
                    return;
                }
                waker.wake();
            }
        })?;
        Ok(Self { asking, coming, terminal, is_reading })
    }
}

/// The terminal as it is, if somebody can type at it and see what he types.
fn terminal() -> Option<Termios> {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    if stdin.is_terminal() && stdout.is_terminal() { tcgetattr(&stdin).ok() } else { None }
}

impl LineSource for StandardInput {
    fn ask(&mut self) {
        self.is_reading.store(true, Ordering::SeqCst);
        // The thread lives as long as this does.
        let _ = self.asking.send(());
    }

    fn take(&mut self) -> Option<Line> {
        self.coming.try_recv().ok()
    }

    fn is_interactive(&self) -> bool {
        self.terminal.is_some()
    }
}

impl Drop for StandardInput {
    /// A program that ends while a line is being typed (a signal) leaves the terminal as it found it.
    fn drop(&mut self) {
        if let (Some(terminal), true) = (&self.terminal, self.is_reading.load(Ordering::SeqCst)) {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, terminal);
            let _ = io::stdout().write_all(PASTE_AS_IT_COMES);
            let _ = io::stdout().flush();
        }
    }
}

/// The next line of a pipe or file; the last one needs no end.
fn piped(input: &mut impl BufRead) -> Line {
    let mut line = Vec::new();
    let limit = LINE_MAX as u64 + 2;
    if let Err(error) = input.take(limit).read_until(b'\n', &mut line) {
        return Line::Failed(error);
    }
    let has_end = line.pop_if(|last| *last == b'\n').is_some();
    if !has_end && line.len() as u64 == limit {
        return match input.skip_until(b'\n') {
            Ok(_) => Line::TooLong,
            Err(error) => Line::Failed(error),
        };
    }
    if !has_end && line.is_empty() {
        return Line::Closed;
    }
    // Lines of Windows end in two characters.
    line.pop_if(|last| has_end && *last == b'\r');
    if line.len() > LINE_MAX { Line::TooLong } else { Line::Text(line) }
}

/// The longest line that is read from a pipe, in bytes: more than any datagram carries.
pub const LINE_MAX: usize = 70_000;

/// Ends the bracketed paste that the editor begins: the terminal would go on putting brackets around what is pasted.
const PASTE_AS_IT_COMES: &[u8] = b"\x1b[?2004l\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mut input: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        loop {
            match piped(&mut input) {
                Line::Text(text) => found.push(String::from_utf8_lossy(&text).into_owned()),
                Line::TooLong => found.push("too long".into()),
                _ => return found,
            }
        }
    }

    #[test]
    fn lines_of_a_pipe_lose_their_ends_and_nothing_else() {
        assert_eq!(lines(b""), [""; 0]);
        assert_eq!(lines(b"a\n\nb \r\nc"), ["a", "", "b ", "c"]);
        assert_eq!(lines(b"\n"), [""]);
        assert_eq!(lines(b"a\r"), ["a\r"]);
    }

    #[test]
    fn a_line_without_end_takes_no_memory_and_the_next_one_is_read() {
        let longest = "x".repeat(LINE_MAX);
        assert_eq!(lines(format!("{longest}\r\nb").as_bytes()), [&longest, "b"]);
        assert_eq!(lines(format!("{longest}x\nb").as_bytes()), ["too long", "b"]);
        assert_eq!(lines(format!("{longest}{longest}\nb\n").as_bytes()), ["too long", "b"]);
        assert_eq!(lines(format!("{longest}{longest}").as_bytes()), ["too long"]);
    }
}
