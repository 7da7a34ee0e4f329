//! What is given, for the machine that sends it and for who passes on the news of it.

use crate::io::sources::Feed;
use crate::packet::windowed::frame::Space;
use crate::session::windowed::streams::{Form, Source};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The feed, for the machine and for us; both are on one thread.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Feed>>);

impl Shared {
    pub(super) fn new(feed: Feed) -> Self {
        Self(Arc::new(Mutex::new(feed)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Feed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Shared {
    fn read(&mut self, space: Space, offset: u64, into: &mut [u8]) -> bool {
        self.lock().read(space, offset, into)
    }

    fn form(&mut self, range: Range<u64>, may_compress: bool) -> Form {
        self.lock().form(range, may_compress)
    }
}
