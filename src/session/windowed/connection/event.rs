//! What a connection is told at the beginning, and what it tells.

use crate::packet::windowed::frame::Space;
use crate::packet::windowed::{ConnectionId, HEADER_LENGTH, TAG_LENGTH};
use crate::session::windowed::flight::Takeoff;
use crate::session::windowed::protection::Keys;
use std::time::Duration;

/// What a connection begins with.
#[derive(Debug)]
pub struct Config {
    /// Where its packets are sealed and opened with.
    pub keys: Keys,
    /// What the peer wants to be called.
    pub peer_id: ConnectionId,
    /// What its flight begins with.
    pub takeoff: Takeoff,
    /// A connection that hears nothing for so long is over.
    pub timeout: Duration,
    /// Whether this side asks for a sign of life when there is nothing to say (one side does).
    pub keeps_alive: bool,
}

/// Where bytes that came go to.
pub trait Sink {
    /// Whether anything can be taken now. What cannot is as good as lost: it is not acknowledged, and comes again.
    fn has_room(&self, space: Space) -> bool {
        let _ = space;
        true
    }

    /// These bytes are new. Call [`Connection::handle_taken`](super::Connection::handle_taken) when they are taken care of.
    fn take(&mut self, space: Space, offset: u64, bytes: &[u8]);
}

/// What the application may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer says that all is done.
    Done {
        /// Where its answer ends.
        answer: u64,
    },
    /// The peer has returned these bytes of a [`Connection::challenge`](super::Connection::challenge).
    PathResponse([u8; 8]),
    /// It is over; the last event.
    Over(End),
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// We closed it.
    Closed,
    /// The peer closed it, for this reason; not yet safe to print.
    ClosedByPeer {
        /// As a number.
        code: u64,
        /// In words.
        reason: String,
    },
    /// Nothing was heard for too long.
    Silent,
    /// The peer has forgotten the connection.
    Forgotten,
    /// The peer broke a rule, or no more packets can be sealed.
    Broken(String),
}

/// Datagrams that leave together: all but the last have the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The length of all but the last, in bytes.
    pub segment: usize,
    /// Whether they say that we understand marks of congestion (ECT(0)).
    pub is_markable: bool,
}

/// The length of a [`Connection::challenge`](super::Connection::challenge): what came from where it goes to must have been as long.
pub const CHALLENGE_LENGTH: usize = HEADER_LENGTH + 9 + TAG_LENGTH;

/// All is well.
pub const NO_ERROR: u64 = 0;

/// The peer did what it must not do (as RFC 9000 section 20.1 has it).
pub const PROTOCOL_VIOLATION: u64 = 0x0a;
