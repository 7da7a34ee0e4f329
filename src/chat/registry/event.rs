//! What a registry is set up with, and what it has to tell.

use crate::packet::chat::{ClientName, Refusal, Unreadable, Who};
use crate::packet::message::Malformed;
use std::net::SocketAddr;
use std::time::Instant;
use thiserror::Error;

/// A registry's limits and its secrets.
#[derive(Clone, Debug)]
pub struct Config {
    /// Clients at once.
    pub capacity: usize,
    /// Clients at once from one IP address (an IPv6 /64 counts as one): a class may sit behind one router.
    pub per_address: usize,
    /// Random bits that nobody else knows; what tokens and the words for meetings are made with.
    pub secret: [u8; 32],
    /// The first number of the registry's own messages, in microseconds since 1970: above all that a registry at this address
    /// used before.
    pub first: u64,
}

impl Config {
    /// 16384 clients, 256 from one address.
    pub fn new(secret: [u8; 32], first: u64) -> Self {
        Self { capacity: 16_384, per_address: 256, secret, first }
    }
}

/// Who is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its number.
    pub number: u64,
    /// Its name, if it has one.
    pub name: Option<ClientName>,
    /// Where its messages come from.
    pub seen: SocketAddr,
    /// Its own addresses as it sees them.
    pub reported: Vec<SocketAddr>,
    /// Since when.
    pub since: Instant,
}

/// What the application may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client is here.
    Joined {
        /// Who.
        client: Client,
        /// It was here before, perhaps elsewhere.
        is_return: bool,
    },
    /// A client is gone.
    Left {
        /// Who.
        client: Client,
        /// How.
        how: Departure,
    },
    /// A client asked where another one is.
    LookedUp {
        /// Who asked, by number.
        by: u64,
        /// For whom.
        who: Who,
        /// Who that is, by number; `None` for nobody.
        found: Option<u64>,
    },
    /// Two clients were told of each other.
    Introduced {
        /// Who asked for it, by number.
        by: u64,
        /// To whom, by number.
        to: u64,
    },
    /// Somebody was not let in; told once in a while.
    Refused {
        /// Who.
        peer: SocketAddr,
        /// The name that was asked for.
        name: Option<ClientName>,
        /// Why.
        refusal: Refusal,
        /// How many more since the last one.
        untold: u64,
    },
    /// Something came that has no effect; told once in a while.
    Ignored {
        /// From whom.
        peer: SocketAddr,
        /// Why.
        reason: Unheeded,
        /// How many more since the last one.
        untold: u64,
    },
}

/// What a registry has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Clients that came, those that came back included.
    pub joined: u64,
    /// Clients that went.
    pub left: u64,
    /// Clients that were not let in.
    pub refused: u64,
    /// Look-ups, pages of the list, and introductions.
    pub answered: u64,
    /// Datagrams without effect.
    pub ignored: u64,
}

/// How a client went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It said so.
    Left,
    /// It was silent for too long.
    Expired,
    /// Another client came from its address.
    Replaced,
}

/// Why a datagram has no effect.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unheeded {
    /// It is no numbered message.
    #[error("no numbered message: {0}")]
    Malformed(#[from] Malformed),
    /// A client says what no registry knows.
    #[error("no request: {0}")]
    Unreadable(Unreadable),
    /// It is longer than any request.
    #[error("it is longer than any request")]
    TooLong,
    /// It is an answer, and answers nothing of ours.
    #[error("an answer is never answered")]
    Answer,
    /// It comes from a port where a service lives that answers everything.
    #[error("a service that answers everything lives at that port")]
    Service,
    /// It has not joined.
    #[error("who has not joined has nothing to say")]
    Stranger,
    /// It is a copy of a join that a later one has overtaken.
    #[error("a later join has overtaken it")]
    Overtaken,
    /// The client says too much.
    #[error("it comes too often")]
    TooOften,
    /// The client asks on, and does not acknowledge the answers.
    #[error("earlier answers wait to be acknowledged")]
    Unacknowledged,
    /// Too many are being refused.
    #[error("too many are refused at the moment")]
    Crowd,
}
