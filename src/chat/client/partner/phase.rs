//! Where two clients stand with each other, and what their messages are for.

use crate::chat::{HERE_EVERY, PATIENCE};
use crate::packet::chat::Meeting;
use std::time::Duration;

/// Where we stand with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// We asked and wait for the answer.
    Asking {
        /// It was told that no answer comes.
        is_silence_told: bool,
    },
    /// It asked and waits for ours.
    Asked,
    /// We talk.
    Connected,
    /// We said the last word and wait until it is acknowledged.
    Closing,
    /// It is over; what comes again is acknowledged again.
    Closed,
}

/// What a message of ours was, to know what its end means.
#[derive(Clone, Debug)]
pub enum Said {
    Request,
    Accept,
    LastWord,
    Text(String),
    Offer,
    Other,
}

/// Something that only the client can judge: it knows who was introduced by which word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewRequest {
    pub from: u64,
    pub meeting: Meeting,
}

/// How often a request is repeated, as the exercise has it.
pub const REQUEST_EVERY: Duration = Duration::from_secs(10);

/// A request that was not repeated for three times as long is taken for withdrawn.
pub const WITHDRAWN_AFTER: Duration = Duration::from_secs(35);

/// A peer that was not heard of in so long is gone: two signs of life and the time to repeat the third.
pub const GONE_AFTER: Duration = Duration::from_secs(2 * HERE_EVERY.as_secs() + PATIENCE.as_secs());

/// For so long after the end what comes again is acknowledged again.
pub const LINGER: Duration = Duration::from_secs(2 * PATIENCE.as_secs());
