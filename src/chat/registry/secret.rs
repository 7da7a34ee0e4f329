//! What only the registry can compute: tokens that prove an address without remembering it, and words for meetings.

use crate::packet::chat::{Hex, Meeting, Token};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// 256 random bits, and since when they count.
pub(super) struct Secret {
    bytes: [u8; 32],
    began: Instant,
}

impl Secret {
    pub(super) fn new(bytes: [u8; 32], now: Instant) -> Self {
        Self { bytes, began: now }
    }

    /// What a client at this address must send back. Only who receives there knows it (the cookie of RFC 4987 section 3.6, the
    /// token of RFC 9000 section 8.1).
    pub(super) fn token(&self, address: SocketAddr, now: Instant) -> Token {
        self.token_of(address, self.slot(now))
    }

    /// Whether this is the address's token of now or of just before.
    pub(super) fn proves(&self, token: Token, address: SocketAddr, now: Instant) -> bool {
        let slot = self.slot(now);
        let slots = [Some(slot), slot.checked_sub(1)];
        slots.into_iter().flatten().any(|slot| is_equal(&token, &self.token_of(address, slot)))
    }

    /// The word for one attempt of two clients to meet; another one for each `count`.
    pub(super) fn meeting(&self, count: u64) -> Meeting {
        Hex(self.digest(Purpose::Meeting, &count.to_be_bytes()))
    }

    fn token_of(&self, address: SocketAddr, slot: u64) -> Token {
        // Of one length for all addresses, so that no two read alike.
        let ip = match address.ip().to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let port = address.port().to_be_bytes();
        Hex(self.digest(Purpose::Token, &[&ip.octets()[..], &port, &slot.to_be_bytes()].concat()))
    }

    fn slot(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_secs() / SLOT.as_secs()
    }

    /// A hash over secret and message, cut to `N` of its 32 bytes. (What is cut off is what an extension attack would need.)
    fn digest<const N: usize>(&self, purpose: Purpose, message: &[u8]) -> [u8; N] {
        let digest =
            Sha256::new().chain_update(self.bytes).chain_update([purpose as u8]).chain_update(message).finalize();
        let mut cut = [0; N];
        cut.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        cut
    }
}

/// Keeps what is made for one purpose from serving another.
#[derive(Clone, Copy)]
enum Purpose {
    Token = 1,
    Meeting = 2,
}

/// In a time that does not tell where they differ.
fn is_equal(one: &Token, other: &Token) -> bool {
    one.0.iter().zip(other.0).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

/// How long tokens stay the same. Each is valid for one slot more: for 15 to 30 s.
const SLOT: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn a_token_proves_its_own_address_for_a_while_and_no_other() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let (secret, other) = (Secret::new([7; 32], began), Secret::new([8; 32], began));
        let address: SocketAddr = "192.0.2.1:5000".parse().expect("an address");
        let token = secret.token(address, at(14));
        for (seconds, proves) in [(0, true), (14, true), (29, true), (30, false), (3000, false)] {
            assert_eq!(secret.proves(token, address, at(seconds)), proves, "after {seconds} s");
        }
        assert!(!other.proves(token, address, at(14)));
        for stranger in ["192.0.2.1:5001", "192.0.2.2:5000", "[2001:db8::1]:5000"] {
            assert!(!secret.proves(token, stranger.parse().expect("an address"), at(14)), "{stranger}");
        }
        let mapped = "[::ffff:192.0.2.1]:5000".parse().expect("an address");
        assert!(secret.proves(token, mapped, at(14)), "the same address in other clothes");
        assert_ne!(secret.meeting(1), secret.meeting(2));
    }
}
