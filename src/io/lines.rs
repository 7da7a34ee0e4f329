//! Lines that a person types, with history and editing, or that come through a pipe; read beside the socket thread.

use super::udp::Waker;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor};
use std::io::{self, BufRead, IsTerminal, Read, Write};
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
    is_reading: bool,
}

impl StandardInput {
    /// Reads on a thread of its own and wakes the socket thread with each line. Editing and a prompt need a terminal on both
    /// sides; with `plain` there are none.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn open(prompt: &'static str, plain: bool, waker: Waker) -> io::Result<Self> {
        let (stdin, stdout) = (io::stdin(), io::stdout());
        let is_terminal = !plain && stdin.is_terminal() && stdout.is_terminal();
        let terminal = if is_terminal { tcgetattr(&stdin).ok() } else { None };
        let (asking, asked) = channel::<()>();
        let (answering, coming) = channel();
        let is_edited = terminal.is_some();
        std::thread::Builder::new().name("lines".into()).spawn(move || {
            let mut editor = if is_edited { editor() } else { None };
            while asked.recv().is_ok() {
                let line = match &mut editor {
                    Some(editor) => typed(editor, prompt),
                    None => piped(&mut io::stdin().lock()),
                };
                if answering.send(line).is_err() {
                    return;
                }
                waker.wake();
            }
        })?;
        Ok(Self { asking, coming, terminal, is_reading: false })
    }
}

impl LineSource for StandardInput {
    fn ask(&mut self) {
        // The thread lives as long as this does.
        self.is_reading |= self.asking.send(()).is_ok();
    }

    fn take(&mut self) -> Option<Line> {
        let line = self.coming.try_recv().ok()?;
        self.is_reading = false;
        Some(line)
    }

    fn is_interactive(&self) -> bool {
        self.terminal.is_some()
    }
}

impl Drop for StandardInput {
    /// A program that ends while a line is being typed (a signal) leaves the terminal as it found it.
    fn drop(&mut self) {
        if let (Some(terminal), true) = (&self.terminal, self.is_reading) {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, terminal);
            let _ = io::stdout().write_all(PASTE_AS_IT_COMES);
            let _ = io::stdout().flush();
        }
    }
}

fn editor() -> Option<Editor<(), MemHistory>> {
    let config = Config::builder().auto_add_history(true).build();
    let history = MemHistory::with_config(&config);
    Editor::with_history(config, history).ok()
}

fn typed(editor: &mut Editor<(), MemHistory>, prompt: &str) -> Line {
    match editor.readline(prompt) {
        Ok(line) => Line::Text(line.into_bytes()),
        Err(ReadlineError::Eof) => Line::Closed,
        Err(ReadlineError::Interrupted) => Line::Interrupted,
        Err(ReadlineError::Io(error)) => Line::Failed(error),
        Err(error) => Line::Failed(io::Error::other(error.to_string())),
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
