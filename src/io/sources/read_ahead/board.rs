//! What the thread that reads ahead and those whom it reads for tell each other.

use super::ring::Ring;
use super::work::Pace;
use crate::chunker::digests::{FileDigest, Hole, Kept};
use crate::chunker::groups::ChainingValue;
use crate::io::sources::catalogue::Found;
use crate::io::spool::Spool;
use crate::ranges::RangeSet;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What both sides see.
pub(super) struct Board {
    state: Mutex<State>,
    /// Room was made, or there is no more to do.
    pub(super) moved: Condvar,
    pub(super) wake: Box<dyn Fn() + Send + Sync>,
}

/// How far it is.
#[derive(Default)]
pub(super) struct State {
    pub(super) ring: Ring,
    pub(super) found: VecDeque<Found>,
    pub(super) digests: VecDeque<(u32, FileDigest)>,
    /// Entries that the receiver does not want.
    pub(super) unwanted: RangeSet,
    /// Bytes that are not to be sent: of entries that nobody wants, and of those that cannot be read.
    pub(super) void: RangeSet,
    /// The stream that is being read, which may keep the thread for ever.
    pub(super) pulled: Option<u32>,
    /// Everything below is in the ring, was in it, or is void.
    pub(super) ready: u64,
    /// How many bytes left, as many as they were by then.
    pub(super) left: u64,
    pub(super) is_at_end: bool,
    /// The entry that is being read.
    pub(super) current: u32,
    /// What the receiver holds from an earlier session, by entry and group; how many groups that are, and of how many entries it has said so.
    pub(super) held: HashMap<u32, BTreeMap<u64, ChainingValue>>,
    pub(super) held_groups: usize,
    pub(super) looked: u32,
    /// What it is to be told of that.
    pub(super) kept: VecDeque<Kept>,
    pub(super) resumed: u64,
    /// Holes that the receiver is to be told of.
    pub(super) holes: VecDeque<Hole>,
    /// The thread waits for the receiver's word on what it has.
    pub(super) hears: bool,
    /// A flag and the BLAKE3 of what the receiver has where an entry is to be, by entry.
    pub(super) contents: Spool,
    /// Entries that were read and are the same there; whoever asks takes them out.
    pub(super) same: RangeSet,
    /// Where this side remembers what it sends.
    pub(super) remembered: Vec<PathBuf>,
    pub(super) failed: Option<io::Error>,
    pub(super) is_stopped: bool,
    /// How long reading and hashing took of late, and how much of a core that was.
    pub(super) pace: Pace,
    /// The thread sleeps until something is moved.
    is_waiting: bool,
}

/// The reader is not wanted any more.
pub(super) struct Stopped;

impl Board {
    pub(super) fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { state: Mutex::default(), moved: Condvar::new(), wake }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread if it waits and something has moved: once, and not each time while it gets up.
    pub(super) fn nudge(&self, mut state: MutexGuard<'_, State>, has_moved: bool) {
        if has_moved && std::mem::take(&mut state.is_waiting) {
            drop(state);
            self.moved.notify_all();
        }
    }

    /// Sleeps until something is moved, and no longer than `time`.
    pub(super) fn doze(&self, time: Duration) {
        let mut state = self.lock();
        if !state.is_stopped {
            state.is_waiting = true;
            state = self.moved.wait_timeout(state, time).map_or_else(|error| error.into_inner().0, |(state, _)| state);
            state.is_waiting = false;
        }
    }

    /// Waits until something is so.
    pub(super) fn wait(&self, mut is_so: impl FnMut(&mut State) -> bool) -> Result<MutexGuard<'_, State>, Stopped> {
        let mut state = self.lock();
        loop {
            if state.is_stopped {
                return Err(Stopped);
            }
            if is_so(&mut state) {
                return Ok(state);
            }
            state.is_waiting = true;
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.is_waiting = false;
        }
    }
}
