//! What copying comes to: the summary, or the error with what came to rest all the same.

mod failure;
mod told;

pub use failure::{Error, Failure};
pub(crate) use told::Told;

use crate::limits::Limit;
use std::net::SocketAddr;
use std::time::Duration;

/// A copy that ended, in numbers. What only some modes know is `None` in the others.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// The other side's address.
    pub peer: Option<SocketAddr>,
    /// How they talked: `lab`, `checked`, `windowed`, or `get` for the windowed mode the other way round. The latter two are encrypted.
    pub mode: &'static str,
    /// Both sides have compared a digest of all that was copied; never so in the mode `lab`, which has no place for one.
    pub verified: bool,
    /// Files that have their names, folders not counted.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Of these, bytes that an earlier, interrupted copy had brought.
    pub resumed: u64,
    /// What was not copied of all that was named; anything but 0 only beside an [`Error`].
    pub missing: u64,
    /// Why not, each with its path: the first 20 reasons where there are more, and none where one source was named, without folders: then
    /// the error has it.
    pub reasons: Vec<String>,
    /// From the first datagram to the last.
    pub took: Duration,
    /// BLAKE3 of the content in hexadecimal, of a single file in the windowed mode.
    pub blake3: Option<String>,
    /// SHA-256 of the content in hexadecimal, of a single file: where it was asked for, and in the modes `lab` and `checked`. Of several files
    /// each is an event.
    pub sha256: Option<String>,
    /// The smoothed round trip at the end.
    pub rtt: Option<Duration>,
    /// Packets that were lost, or messages that were sent again. Not known of what was got.
    pub resent: u64,
    /// The share of packets that were lost, from 0 to 1.
    pub loss: Option<f64>,
    /// The UDP payload of the largest packets, in bytes.
    pub packet_size: Option<usize>,
    /// Which congestion control was in charge.
    pub congestion: Option<String>,
    /// What packets were sealed with.
    pub cipher: Option<String>,
    /// What held the copy back, and for which share of its time, from 0 to 1; the largest first. Empty where nobody knows.
    pub verdict: Vec<(Limit, f64)>,
}

/// What would be copied, found out without a copy.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Rehearsal {
    /// Files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Bytes of the files, but for those of standard input.
    pub bytes: u64,
    /// What would not be copied, as far as this side knows.
    pub missing: u64,
    /// Why not, each with its path.
    pub reasons: Vec<String>,
}

/// What a server did from its beginning to its end.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Served {
    /// Transfers that brought files.
    pub uploads: u64,
    /// Transfers in which clients got files.
    pub downloads: u64,
    /// Transfers of either kind that came to nothing.
    pub failed: u64,
    /// Files that came and have their names.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Bytes that clients got.
    pub given: u64,
    pub(crate) code: u8,
}

impl Served {
    /// What the program `server` ends with: 0 after the transfers that [`crate::Server::exit_after`] counts, 130 when it was stopped, 143 after
    /// SIGTERM.
    pub fn exit_code(&self) -> u8 {
        self.code
    }
}
