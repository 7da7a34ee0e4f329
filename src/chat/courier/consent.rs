//! What the user agreed to: one file of one peer, and what became of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A file that the peer offered.
pub(super) struct Wanted {
    pub peer: SocketAddr,
    pub file: String,
    pub size: u64,
}

impl Wanted {
    /// Whether a start with these is about this file.
    pub fn is(&self, from: SocketAddr, name: &[u8], size: u64) -> bool {
        self.peer == from && self.file.as_bytes() == name && self.size == size
    }
}

/// The user's yes to it: good for one start.
pub(super) struct Consent {
    pub wanted: Wanted,
    /// The start that used it up; its repeats belong to it.
    start: Option<[u8; 16]>,
    /// Until when its repeats are answered, once it came to nothing; past for one that is through.
    until: Option<Instant>,
    begins_by: Instant,
}

impl Consent {
    /// The file has to begin soon.
    pub fn new(wanted: Wanted, now: Instant) -> Self {
        Self { wanted, start: None, until: None, begins_by: now + BEGINS_WITHIN }
    }

    /// Whether the file has neither begun nor come to nothing.
    pub fn is_waiting(&self) -> bool {
        self.start.is_none() && self.until.is_none()
    }

    /// When it must have begun.
    pub fn begins_by(&self) -> Instant {
        self.begins_by
    }

    /// Whether this start is the one that it is good for, or a repeat of it.
    pub fn admits(&mut self, start: [u8; 16], now: Instant) -> bool {
        self.until.is_none_or(|until| now < until) && *self.start.get_or_insert(start) == start
    }

    /// The file is through, or came to nothing; unless that is known already, repeats are answered until then.
    pub fn end(&mut self, until: Instant) {
        self.until.get_or_insert(until);
    }

    /// Nothing is answered any more.
    pub fn cancel(&mut self, now: Instant) {
        self.until = Some(now);
    }
}

/// How soon a file begins that both have agreed on.
const BEGINS_WITHIN: Duration = Duration::from_secs(10);
