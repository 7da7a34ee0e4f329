//! Exit codes: one list for all programs.

use crate::session::stop_and_wait::Outcome;
use std::io::{self, Write};
use std::process::ExitCode;

/// Everything went as asked; for a client: delivered, and verified where the mode can.
pub const DONE: u8 = 0;
/// Something unexpected on this machine: no socket, no thread, no memory.
pub const UNEXPECTED: u8 = 1;
/// The command line makes no sense.
pub const USAGE: u8 = 2;
/// Nobody answered.
pub const NO_ANSWER: u8 = 3;
/// The server refused, or cannot do what was asked.
pub const REFUSED: u8 = 4;
/// What arrived is not what was sent.
pub const NOT_VERIFIED: u8 = 5;
/// A file on this side could not be read, or changed while it was read; or, when it was got, could not be saved.
pub const LOCAL_FILE: u8 = 6;
/// Everything was sent, and the end was not confirmed.
pub const NOT_CONFIRMED: u8 = 7;
/// Ctrl-C: 128 and the number of its signal, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// The exit code of a client's outcome; an application that stopped it knows its own.
pub fn of_outcome(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Delivered => DONE,
        Outcome::NoAnswer { .. } => NO_ANSWER,
        Outcome::Refused(_) | Outcome::PlainServer => REFUSED,
        Outcome::VerificationFailed(_) => NOT_VERIFIED,
        Outcome::NotConfirmed => NOT_CONFIRMED,
        Outcome::Stopped => LOCAL_FILE,
    }
}

/// Ends a program: its code, or what went wrong on this machine. A reader that closed the pipe is no reason to complain.
pub fn of_program(result: anyhow::Result<u8>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let broken_pipe = error
                .chain()
                .filter_map(|cause| cause.downcast_ref::<io::Error>())
                .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
            if !broken_pipe {
                // Standard error may be closed; the exit code tells all the same.
                let _ = writeln!(io::stderr(), "error: {error:#}");
            }
            ExitCode::from(UNEXPECTED)
        }
    }
}
