//! Tokens: what a server gives away instead of remembering.

use super::address::address_bytes;
use super::seeds::Seeds;
use crate::packet::windowed::{ConnectionId, RESET_TOKEN_LENGTH, TOKEN_LENGTH, Token};
use std::net::SocketAddr;
use std::time::Duration;
use zeroize::Zeroizing;

/// Makes and judges tokens that prove an address: a keyed BLAKE3 hash over it, the time, and what the server said with the token
/// (RFC 9000, 8.1.4). Nothing is kept for any of them.
///
/// Times are counted from any fixed moment, as the server's start. A token lives for 14 to 15 seconds; its first byte tells the
/// second in which it was made, and says no more of the server's age than that. Keys live for a minute, and the one before is kept.
pub struct Tokens {
    seeds: Seeds,
    current: Epoch,
    previous: Option<Epoch>,
}

/// A key and since when it is used, in seconds.
struct Epoch {
    key: Zeroizing<[u8; 32]>,
    since: u64,
}

impl Tokens {
    /// Begins with this seed.
    pub fn new(seed: &[u8; 32]) -> Self {
        let mut seeds = Seeds::new(seed);
        let current = Epoch { key: seeds.seed(), since: 0 };
        Self { seeds, current, previous: None }
    }

    /// A token for whoever is at `address`, if he brings it back with the same `said`.
    pub fn make(&mut self, address: SocketAddr, said: &[u8], now: Duration) -> Token {
        let second = now.as_secs();
        if second.saturating_sub(self.current.since) >= KEY_SECONDS {
            let next = Epoch { key: self.seeds.seed(), since: second };
            self.previous = Some(std::mem::replace(&mut self.current, next));
        }
        let hash = hash(&self.current.key, address, said, second);
        let mut token = [second as u8; TOKEN_LENGTH];
        if let Some(behind) = token.last_chunk_mut() {
            *behind = *hash.as_bytes();
        }
        Token(token)
    }

    /// Whether this token was made for this address with the same `said`, not longer than [`LIFE_SECONDS`] ago. Takes the same time
    /// whatever differs.
    pub fn is_valid(&self, token: &Token, address: SocketAddr, said: &[u8], now: Duration) -> bool {
        let (Some(low), Some(given)) = (token.0.first(), token.0.last_chunk::<32>()) else { return false };
        let age = u64::from((now.as_secs() as u8).wrapping_sub(*low));
        let Some(second) = now.as_secs().checked_sub(age).filter(|_| age < LIFE_SECONDS) else { return false };
        let epochs = [Some(&self.current), self.previous.as_ref()];
        let Some(epoch) = epochs.into_iter().flatten().find(|epoch| epoch.since <= second) else { return false };
        // Comparing two of these hashes takes constant time; comparing slices does not.
        hash(&epoch.key, address, said, second) == blake3::Hash::from_bytes(*given)
    }
}

fn hash(key: &[u8; 32], address: SocketAddr, said: &[u8], second: u64) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&address_bytes(address));
    hasher.update(&second.to_be_bytes());
    hasher.update(said);
    hasher.finalize()
}

/// The tokens of stateless resets (RFC 9000, 10.3.2): made of a connection ID and the server's own key, so that a server that was
/// started anew can say that it knows nothing.
pub struct ResetTokens {
    key: Zeroizing<[u8; 32]>,
}

impl ResetTokens {
    /// For the server with this private key.
    pub fn new(private_key: &[u8; 32]) -> Self {
        Self { key: Zeroizing::new(blake3::derive_key("homing 2026-11 stateless reset", private_key)) }
    }

    /// The token that belongs to a connection ID.
    pub fn token(&self, id: ConnectionId) -> [u8; RESET_TOKEN_LENGTH] {
        let hash = blake3::keyed_hash(&self.key, &id.0);
        let mut token = [0; RESET_TOKEN_LENGTH];
        for (byte, hashed) in token.iter_mut().zip(hash.as_bytes()) {
            *byte = *hashed;
        }
        token
    }
}

/// A reset's token as the one keeps it who may be reset: as a hash, whose comparison tells nothing by the time that it takes
/// (RFC 9000, 10.3.1).
#[derive(Clone, Copy, Debug)]
pub struct ExpectedReset(blake3::Hash);

impl ExpectedReset {
    /// For this token.
    pub fn new(token: &[u8; RESET_TOKEN_LENGTH]) -> Self {
        Self(blake3::hash(token))
    }

    /// Whether it is this one.
    pub fn is(&self, token: &[u8; RESET_TOKEN_LENGTH]) -> bool {
        self.0 == blake3::hash(token)
    }
}

/// Tokens are good for less than this many whole seconds: RFC 9000, 8.1.3, asks for a short time, and a round trip or three is what
/// is needed.
pub const LIFE_SECONDS: u64 = 15;

/// How long a key makes tokens; longer than they live.
const KEY_SECONDS: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &[u8] = b"homing/1 checked";

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_token_is_good_for_its_address_its_words_and_its_time_only() {
        let home = address("10.0.0.1:5000");
        for made in [0.0, 3.9, 255.5, 256.0, 1e6] {
            let mut tokens = Tokens::new(&[1; 32]);
            let token = tokens.make(home, SAID, secs(made));
            assert!(tokens.is_valid(&token, home, SAID, secs(made)));
            assert!(tokens.is_valid(&token, address("[::ffff:10.0.0.1]:5000"), SAID, secs(made)));
            assert!(tokens.is_valid(&token, home, SAID, secs(made + 14.0)));
            for later in [15.0, 16.0, 256.0, 256.0 + 3.0, 512.0] {
                assert!(!tokens.is_valid(&token, home, SAID, secs(made + later)), "{later}");
            }
            assert!(
                !tokens.is_valid(&token, home, SAID, secs(made - 1.0_f64.min(made))) || made < 1.0,
                "not before it was made"
            );
            assert!(!tokens.is_valid(&token, address("10.0.0.1:5001"), SAID, secs(made)));
            assert!(!tokens.is_valid(&token, address("10.0.0.2:5000"), SAID, secs(made)));
            assert!(!tokens.is_valid(&token, home, b"homing/1", secs(made)));
            assert!(!Tokens::new(&[2; 32]).is_valid(&token, home, SAID, secs(made)), "another server's");
            for bit in 0..TOKEN_LENGTH * 8 {
                let mut flipped = token;
                flipped.0[bit / 8] ^= 1 << (bit % 8);
                assert!(!tokens.is_valid(&flipped, home, SAID, secs(made)), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_new_key_does_not_shorten_the_life_of_tokens() {
        let home = address("[2001:db8::1]:5000");
        let mut tokens = Tokens::new(&[1; 32]);
        let old = tokens.make(home, SAID, secs(59.0));
        let new = tokens.make(home, SAID, secs(60.0));
        for token in [&old, &new] {
            assert!(tokens.is_valid(token, home, SAID, secs(73.0)));
        }
        assert!(!tokens.is_valid(&old, home, SAID, secs(74.0)));
        tokens.make(home, SAID, secs(120.0));
        assert_eq!(tokens.previous.as_ref().map(|epoch| epoch.since), Some(60), "the first key is forgotten");
    }

    #[test]
    fn a_server_that_was_started_anew_makes_the_same_resets() {
        let (one, other) = (ConnectionId([1; 8]), ConnectionId([2; 8]));
        let (before, after) = (ResetTokens::new(&[7; 32]), ResetTokens::new(&[7; 32]));
        assert_eq!(before.token(one), after.token(one));
        assert_ne!(before.token(one), before.token(other));
        assert_ne!(before.token(one), ResetTokens::new(&[8; 32]).token(one));
        assert!(ExpectedReset::new(&before.token(one)).is(&after.token(one)));
        assert!(!ExpectedReset::new(&before.token(one)).is(&after.token(other)));
    }
}
