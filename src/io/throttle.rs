//! How fast a user wants to send: a rate, or a file that says one and may say another any time.
//!
//! The file is looked at once a second, by a thread of its own, since a folder may be far away and the socket thread waits for
//! no disk. A signal would need the process's number, and SIGHUP would no longer end a client whose terminal is closed; keys would
//! need a terminal. A file can be written from a script, by cron, or by hand.

use super::udp::Waker;
use crate::rate;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;
use thiserror::Error;

/// What the user said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many bytes of UDP payload per second.
    Rate(u64),
    /// What this file says.
    File(PathBuf),
}

impl FromStr for Limit {
    type Err = rate::NotARate;

    /// A rate as [`crate::rate`] reads it, or `@` and the path of a file.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix('@') {
            Some(path) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => rate::parse(text).map(Self::Rate),
        }
    }
}

/// The limit as it is now, and as it becomes.
pub struct Throttle {
    first: Option<u64>,
    changes: Option<Receiver<Result<u64, LimitError>>>,
    /// Dropped, it ends the thread.
    _lives: Option<Sender<()>>,
}

/// Why a file says no rate.
#[derive(Debug, Error)]
pub enum LimitError {
    /// It is not there, or may not be read.
    #[error("the limit in {} cannot be read: {error}", path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It says something else.
    #[error("{}: {error}; or write `none`", path.display())]
    NotARate {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        error: rate::NotARate,
    },
    /// There is no thread for it.
    #[error("the limit's file cannot be watched: {0}")]
    Thread(io::Error),
}

impl Throttle {
    /// Begins with what is said now; `waker` ends the socket thread's wait when it changes.
    ///
    /// # Errors
    /// [`LimitError`].
    pub fn start(limit: Option<&Limit>, waker: Waker) -> Result<Self, LimitError> {
        let path = match limit {
            None => return Ok(Self { first: None, changes: None, _lives: None }),
            Some(Limit::Rate(rate)) => return Ok(Self { first: Some(*rate), changes: None, _lives: None }),
            Some(Limit::File(path)) => path.clone(),
        };
        let rate = read(&path)?;
        let (lives, ends) = mpsc::channel();
        let (tell, changes) = mpsc::channel();
        let watch = move || watch(&path, rate, &ends, &tell, &waker);
        std::thread::Builder::new().name("limit".into()).spawn(watch).map_err(LimitError::Thread)?;
        Ok(Self { first: Some(rate), changes: Some(changes), _lives: Some(lives) })
    }

    /// A limit that counts from now on, in bytes per second, `u64::MAX` for none; or why the file's new words are none, and the
    /// one before stays.
    pub fn poll(&mut self) -> Option<Result<u64, LimitError>> {
        self.first.take().map(Ok).or_else(|| self.changes.as_ref()?.try_recv().ok())
    }
}

fn watch(path: &Path, mut known: u64, ends: &Receiver<()>, tell: &Sender<Result<u64, LimitError>>, waker: &Waker) {
    let mut was_told = false;
    while ends.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        let change = match read(path) {
            Ok(rate) if rate == known => {
                was_told = false;
                continue;
            }
            Ok(rate) => {
                (known, was_told) = (rate, false);
                Ok(rate)
            }
            // Once is enough, and who writes the file may be in the middle of it.
            Err(_) if std::mem::replace(&mut was_told, true) => continue,
            Err(error) => Err(error),
        };
        if tell.send(change).is_err() {
            return;
        }
        waker.wake();
    }
}

/// The rate in a file; without a word in it, or with `none`, there is no limit.
fn read(path: &Path) -> Result<u64, LimitError> {
    let text = fs::read_to_string(path).map_err(|error| LimitError::Read { path: path.to_owned(), error })?;
    match text.trim() {
        "" | "none" => Ok(u64::MAX),
        text => rate::parse(text).map_err(|error| LimitError::NotARate { path: path.to_owned(), error }),
    }
}

const LOOK_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_rate_or_a_file() {
        assert_eq!("10mbit".parse(), Ok(Limit::Rate(1_250_000)));
        assert_eq!("@/run/limit".parse(), Ok(Limit::File("/run/limit".into())));
        assert_eq!("@".parse::<Limit>(), Err(rate::NotARate("@".into())));
    }

    #[test]
    fn a_file_says_a_rate_or_that_there_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("limit");
        assert!(read(&path).expect_err("no file").to_string().contains("cannot be read"));
        for (text, rate) in [("1.25MB/s\n", 1_250_000), (" 8m ", 1_000_000), ("none\n", u64::MAX), ("", u64::MAX)] {
            fs::write(&path, text).expect("a file");
            assert_eq!(read(&path).expect("a rate"), rate, "{text:?}");
        }
        fs::write(&path, "fast").expect("a file");
        assert!(read(&path).expect_err("no rate").to_string().contains("`fast` is no rate"));
    }
}
