//! What was seen of a client in one case.

use super::behaviour::Behaviour;
use crate::packet::lab::Spelling;
use crate::trace::Exchange;
use std::process::ExitStatus;
use std::time::Duration;

/// A run of the client against our server.
pub(super) struct Performance {
    /// How it ended, or `None` if it had to be ended.
    pub(super) status: Option<ExitStatus>,
    /// The same in words, with the last thing it said.
    pub(super) epitaph: String,
    pub(super) took: Duration,
    pub(super) spelling: Option<Spelling>,
    pub(super) exchanges: Vec<Exchange>,
    pub(super) behaviour: Behaviour,
    pub(super) name: String,
    pub(super) content: Vec<u8>,
    pub(super) saved: Vec<(String, Vec<u8>)>,
}
