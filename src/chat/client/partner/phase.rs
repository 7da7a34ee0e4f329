//! Where two clients stand with each other, and what their messages are for.

use crate::packet::chat::{ClientName, Meeting};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRequest {
    pub from: u64,
    pub meeting: Meeting,
    pub name: Option<ClientName>,
}
