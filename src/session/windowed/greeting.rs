//! What both errands of a client, bringing and getting, make of the events of their handshake.

use super::log::Log;
use crate::session::handshake::{Client, Event};
use std::collections::VecDeque;

/// Passes on what a handshake has come to. That there was none is told to the log as well.
pub(super) fn collect<E: From<Event>>(handshake: &mut Client, mut log: Option<&mut Log>, events: &mut VecDeque<E>) {
    while let Some(event) = handshake.poll_event() {
        if let (Event::Over(failure), Some(log)) = (&event, &mut log) {
            log.tell_failure(failure);
        }
        events.push_back(event.into());
    }
}
