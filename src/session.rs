//! What every session is: a machine that is told of datagrams and time, and asked for datagrams, deadlines and events.
//!
//! **The one law:** after every `handle_*`, every `poll_*` is drained. The order is `poll_event` (whose answers may be further
//! `handle_*` calls), `poll_transmit`, and last `poll_timeout`, which says when `handle_timeout` is due. No machine reads a
//! clock, a socket, a file or dice; the same calls with the same arguments give the same datagrams.

pub mod congestion;
pub mod conversation;
pub mod handshake;
pub mod stop_and_wait;
pub mod windowed;

pub use windowed::acks::Ecn;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// The way a datagram takes on this machine: the socket, and the address of ours that the peer spoke to, so that a server
/// with several addresses answers from the right one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Via {
    /// The socket, by number in the order in which the program opened them.
    pub socket: usize,
    /// Our address, where the kernel tells it.
    pub local: Option<IpAddr>,
}

impl Via {
    /// The socket with this number, from whatever address.
    pub fn socket(socket: usize) -> Self {
        Self { socket, local: None }
    }
}

/// A datagram on its way out, or several of one length to the same peer: the kernel takes those in one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The way it leaves by.
    pub via: Via,
    /// Where it goes.
    pub to: SocketAddr,
    /// What it says.
    pub bytes: Vec<u8>,
    /// `bytes` holds several datagrams, all but the last of this length. A probe for the packet size is sent alone: what the
    /// kernel refuses for its length takes nothing else with it.
    pub segment: Option<usize>,
    /// Routers may mark it instead of dropping it: it leaves as ECT(0) (RFC 3168 section 5).
    pub is_markable: bool,
}

impl Transmit {
    /// One datagram, as everything but the windowed mode sends them.
    pub fn one(via: Via, to: SocketAddr, bytes: Vec<u8>) -> Self {
        Self { via, to, bytes, segment: None, is_markable: false }
    }

    /// The datagrams, one after the other; an empty one is one.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let length = self.segment.unwrap_or(self.bytes.len()).max(1);
        let empty = self.bytes.is_empty().then_some(&[][..]);
        empty.into_iter().chain(self.bytes.chunks(length))
    }
}

/// How busy a thread was for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// How long the while was.
    pub lasted: Duration,
    /// For how long of it the thread did not sleep.
    pub awake: Duration,
    /// For how long of it the thread ran, or waited for a core, also after it was woken up.
    pub wanted: Duration,
    /// For how long of it the kernel had no room for what was to leave.
    pub blocked: Duration,
}

/// What a driver needs to know of a machine; its events are its own.
pub trait Machine {
    /// A datagram came from `from` through the socket `via`.
    fn handle_datagram(&mut self, via: Via, from: SocketAddr, datagram: &[u8], now: Instant);

    /// The same with all that the kernel tells, and bytes that may be written over: a sealed packet is opened in place.
    /// A driver calls this one. `ecn` is how the datagram was marked on its way.
    fn handle_packet(&mut self, via: Via, from: SocketAddr, datagram: &mut [u8], ecn: Option<Ecn>, now: Instant) {
        let _ = ecn;
        self.handle_datagram(via, from, datagram, now);
    }

    /// The deadline of [`Machine::poll_timeout`] may have passed; earlier calls do nothing.
    fn handle_timeout(&mut self, now: Instant);

    /// The kernel says that nobody listens where this socket sends to. Servers do not care.
    fn handle_unreachable(&mut self, socket: usize, now: Instant) {
        let _ = (socket, now);
    }

    /// The kernel would not send a datagram of `size` bytes to this peer: the interface takes none so long. Said once for all
    /// datagrams of a [`Transmit`]; whoever does not search for the packet size does not care.
    fn handle_refused(&mut self, to: SocketAddr, size: usize, now: Instant) {
        let _ = (to, size, now);
    }

    /// How busy the machine's thread was until now; told now and then. Whoever does not ask what holds him back does not care.
    fn handle_load(&mut self, load: &Load, now: Instant) {
        let _ = (load, now);
    }

    /// What to send next; `None` when there is nothing left.
    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit>;

    /// When [`Machine::handle_timeout`] wants to be called; `None` for never.
    fn poll_timeout(&self) -> Option<Instant>;
}

/// Who shares a limit: one IPv4 address, or one IPv6 /64, of which a single host commands all.
pub fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

/// How a file is sent that begins with the lab's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The best that both sides know, also the windowed mode; costs a plain lab server nothing.
    Any,
    /// The best of lab and checked that both sides know.
    Auto,
    /// Exactly the course's protocol.
    Lab,
    /// The lab's messages and a checksum that is compared before the file appears.
    Checked,
}

/// The first sequence number of a start that offers more than the lab knows: this plus 24 random bits. Plain servers go on
/// from any number; ours recognises the offer, and chunks or acknowledgements of other transfers fall outside.
pub const OFFER_BASE: u64 = 0x4800_0000;

/// How many sequence numbers offer: 24 bits.
pub const OFFER_SPAN: u64 = 1 << 24;

/// Whether a start with this first number offers more than the lab knows.
pub fn is_offer(first_seq: u64) -> bool {
    (OFFER_BASE..OFFER_BASE + OFFER_SPAN).contains(&first_seq)
}

/// An offering start is padded with leading zeros of its size to at least this many bytes: longer than any answer to it,
/// also with the windowed mode's token, so that nobody gets more out of a server than he put in.
pub const OFFER_START_MIN: usize = 128;

/// The first of the capability words in a start's acknowledgement: who is speaking, and the version.
pub const OURS: &str = "homing/1";

/// The capability word for the checked mode.
pub const CHECKED: &str = "checked";

/// The capability words of a server without the windowed mode: [`OURS`] and [`CHECKED`].
pub const PLAIN_WORDS: &str = "homing/1 checked";

/// The beginning of the capability word for the windowed mode; a token follows.
pub const WINDOWED: &str = "windowed=";

/// The capability word of a server that prefers ChaCha20 in the windowed mode, since its processor has no instructions for AES.
pub const CHACHA20: &str = "chacha20";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_without_the_windowed_mode_are_ours_and_checked() {
        assert_eq!(PLAIN_WORDS, format!("{OURS} {CHECKED}"));
    }

    #[test]
    fn a_transmit_has_its_datagrams_in_order() {
        let cases: [(usize, Option<usize>, &[usize]); 7] = [
            (0, None, &[0]),
            (0, Some(5), &[0]),
            (5, None, &[5]),
            (5, Some(5), &[5]),
            (5, Some(9), &[5]),
            (10, Some(5), &[5, 5]),
            (11, Some(5), &[5, 5, 1]),
        ];
        for (length, segment, lengths) in cases {
            let bytes: Vec<u8> = (0..11).take(length).collect();
            let to = ([127, 0, 0, 1], 7).into();
            let transmit = Transmit { segment, ..Transmit::one(Via::socket(0), to, bytes.clone()) };
            assert!(transmit.datagrams().map(<[u8]>::len).eq(lengths.iter().copied()), "{length}, {segment:?}");
            assert_eq!(transmit.datagrams().collect::<Vec<_>>().concat(), bytes);
        }
    }
}
