//! What is to be sent and how, what may come of it, and the time-outs that suit the peer.

use crate::chunker::Cut;
use crate::packet::lab::{Message, Spelling, Unspeakable};
use crate::rtt::Limits;
use crate::session::handshake::terms::Said;
use crate::session::{Mode, OFFER_BASE, OFFER_SPAN, OFFER_START_MIN};
use std::net::SocketAddr;
use std::time::Duration;

/// What is to be sent, where, and how.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// The server's addresses, best first; socket `n` reaches the n-th. The first that answers is kept.
    pub peers: Vec<SocketAddr>,
    /// The spelling; it cannot be probed for.
    pub spelling: Spelling,
    /// How to talk. In the compact spelling `Any` and `Auto` mean `Lab`.
    pub mode: Mode,
    /// The name to give the file there.
    pub name: String,
    /// The file's size in bytes.
    pub size: u64,
    /// 24 random bits: the offer's part of the first sequence number.
    pub nonce: u32,
    /// Give up after this long without an answer.
    pub timeout: Duration,
}

/// What the application must do or may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server answered the start.
    Connected {
        /// Its address.
        peer: SocketAddr,
        /// The largest datagram it wants, in bytes.
        bufsize: usize,
        /// The end will be verified by a checksum.
        checked: bool,
    },
    /// The server offers the windowed mode, and [`Mode::Any`] asked for it: go on with a handshake. This sender is over.
    Invited(Invitation),
    /// Call [`Sender::handle_chunk`](super::Sender::handle_chunk) with the next chunk.
    WantsChunk {
        /// Its largest length in bytes.
        max: usize,
        /// Where it may end.
        cut: Cut,
    },
    /// Everything was cut: call [`Sender::handle_digest`](super::Sender::handle_digest) with the SHA-256 of it all.
    WantsDigest,
    /// A chunk was acknowledged.
    Progress {
        /// How many bytes are acknowledged in all.
        acknowledged: u64,
    },
    /// It is over.
    Over(Outcome),
}

/// What a windowed handshake goes on from: it [opens with text](crate::session::handshake::Opening::Text).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Which of the peers answered; the same socket speaks on.
    pub peer: usize,
    /// The start datagram.
    pub start: Vec<u8>,
    /// The capability words that answered it.
    pub words: Vec<u8>,
    /// The path's round trip, if it was measured.
    pub rtt: Option<Duration>,
}

/// How a transfer ended for the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server has the file; in checked mode it compared the checksum.
    Delivered,
    /// Nothing came back for the whole time-out.
    NoAnswer {
        /// The kernel reported that the port is closed.
        unreachable: bool,
    },
    /// The server will not have it, for this reason (as it said it; not yet safe to print).
    Refused(String),
    /// A server that knows the lab's protocol only was asked for more.
    PlainServer,
    /// The server has other bytes than were sent, or took them for another start's (its reason, not yet safe to print).
    VerificationFailed(String),
    /// Everything was sent, and the end was not confirmed.
    NotConfirmed,
    /// The application stopped it.
    Stopped,
}

/// What the transfer has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams sent, repeats included.
    pub sent: u64,
    /// Datagrams sent again.
    pub retransmissions: u64,
    /// Datagrams that came and were not what was waited for: duplicates, garbage, late acknowledgements.
    pub ignored: u64,
    /// Bytes acknowledged.
    pub acknowledged: u64,
    /// The longest chunk in bytes.
    pub chunk: usize,
    /// The smoothed round trip of the path, without the last message's.
    pub rtt: Option<Duration>,
}

impl Transfer {
    /// Whether the start offers more than the lab knows.
    pub(super) fn offers(&self) -> bool {
        self.spelling == Spelling::Spaced && self.mode != Mode::Lab
    }

    /// The words of the acknowledgement of this start, if they invite to the windowed mode and that was asked for.
    pub(super) fn invited(&self, start: &[u8], words: Option<&[u8]>) -> Option<Vec<u8>> {
        let words = words.filter(|_| self.mode == Mode::Any)?;
        Said::read(start, words).map(|_| words.to_vec())
    }

    /// The start and its number: 0, or the offer, padded so that the answer is never longer.
    pub(super) fn start_datagram(&self) -> Result<(u64, Vec<u8>), Unspeakable> {
        let seq = if self.offers() { OFFER_BASE + u64::from(self.nonce) % OFFER_SPAN } else { 0 };
        let digits = self.size.checked_ilog10().unwrap_or(0) as usize + 1;
        let name = self.name.as_bytes();
        let plain = Message::Start { seq, name, size: self.size, size_digits: digits };
        let mut datagram = plain.to_datagram(self.spelling)?;
        if self.offers() && datagram.len() < OFFER_START_MIN {
            let size_digits = digits + OFFER_START_MIN - datagram.len();
            let padded = Message::Start { seq, name, size: self.size, size_digits };
            datagram = padded.to_datagram(self.spelling)?;
        }
        if datagram.len() > START_MAX {
            return Err(Unspeakable::StartTooLong { length: datagram.len(), max: START_MAX });
        }
        Ok((seq, datagram))
    }

    /// The bounds of the time-out while nobody has answered.
    pub(super) fn limits_before_contact(&self) -> Limits {
        let initial = match self.spelling {
            Spelling::Spaced => Duration::from_millis(500),
            Spelling::Compact => Duration::from_secs(1),
        };
        Limits { initial, ..limits_after_contact(self.spelling, self.offers()) }
    }
}

/// Why these bounds: our own server answers within a millisecond, so the path alone decides, and 20 ms is what a busy
/// machine may sleep too long. Course servers pause for prints and disks, and many store a repeated chunk twice: 200 ms, as
/// Linux does. They also forget a silent session after 3 s, hence at most 1 s between repeats and 2.5 s at all. Towards our own
/// server one datagram a second is no burden for any path, and giving up is a matter of time, so more tries mean more
/// files delivered at heavy loss.
pub(super) fn limits_after_contact(spelling: Spelling, checked: bool) -> Limits {
    let initial = Duration::from_millis(500);
    let backoff_max = Duration::from_secs(1);
    match (spelling, checked) {
        (Spelling::Spaced, true) => {
            Limits { initial, min: Duration::from_millis(20), backoff_max, kept_max: Duration::from_secs(3) }
        }
        (Spelling::Spaced, false) => {
            Limits { initial, min: Duration::from_millis(200), backoff_max, kept_max: Duration::from_millis(2500) }
        }
        (Spelling::Compact, _) => {
            Limits { initial, min: Duration::from_millis(200), backoff_max, kept_max: Duration::from_secs(3) }
        }
    }
}

/// No lab server reads a longer start.
const START_MAX: usize = 1024;
