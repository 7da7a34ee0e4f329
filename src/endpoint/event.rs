//! What the endpoint is told at the start, and what it tells.

use crate::name::SafeName;
use crate::packet::Spelling;
use crate::packet::lab::COMPACT_BUFSIZE;
use crate::session::stop_and_wait::{Counts, Order};
use std::net::SocketAddr;
use std::time::Duration;

/// The number of a transfer, counted from 1 by the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// The server's limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// The largest datagram announced to spaced peers, in bytes.
    pub bufsize: usize,
    /// The same for compact peers: 20480 in the hand-out, and most of them do not read it.
    pub compact_bufsize: usize,
    /// Transfers at once.
    pub max_sessions: usize,
    /// Transfers at once from one IP address (an IPv6 /64 counts as one): a class may sit behind one router.
    pub max_sessions_per_address: usize,
    /// A transfer that hears nothing for this long is forgotten.
    pub idle_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bufsize: 1400,
            compact_bufsize: COMPACT_BUFSIZE,
            max_sessions: 1024,
            max_sessions_per_address: 256,
            idle_timeout: Duration::from_secs(30),
        }
    }
}

/// What the application must do or may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Do this with the transfer's file, in order, and answer with the matching `handle_*` of the endpoint.
    Order(SessionId, Order),
    /// A transfer was admitted.
    Started {
        /// Its number.
        id: SessionId,
        /// Who sends.
        peer: SocketAddr,
        /// Under which name.
        name: SafeName,
        /// How much, in bytes.
        size: u64,
        /// In which spelling.
        spelling: Spelling,
        /// With a checksum at the end.
        checked: bool,
    },
    /// Bytes came.
    Progress {
        /// Of which transfer.
        id: SessionId,
        /// How many in all.
        received: u64,
        /// How many messages came again so far.
        duplicates: u64,
    },
    /// The file has its name, is complete and durable.
    Finished {
        /// Which transfer.
        id: SessionId,
        /// Its size in bytes.
        bytes: u64,
        /// Its SHA-256.
        sha256: [u8; 32],
        /// The size of the file that it replaced.
        replaced: Option<u64>,
        /// From the start to the end.
        took: Duration,
        /// What came twice.
        counts: Counts,
    },
    /// A started transfer came to nothing.
    Failed {
        /// Which.
        id: SessionId,
        /// Why.
        reason: String,
        /// What came twice.
        counts: Counts,
    },
    /// A start was turned away.
    Refused {
        /// Whose.
        peer: SocketAddr,
        /// The name it asked for, as it came.
        name: String,
        /// Why.
        reason: String,
    },
}
