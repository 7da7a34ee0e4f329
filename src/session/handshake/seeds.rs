//! Bytes that cannot be guessed, grown from one seed; what was given out cannot be found again by who learns the seed later.

use zeroize::Zeroizing;

/// A source of secret bytes. The same seed gives the same bytes.
///
/// After each use the state moves on through a hash that cannot be walked back, so that a connection's keys stay secret although
/// the process that made them is looked into later (forward secrecy).
pub struct Seeds {
    state: Zeroizing<[u8; 32]>,
}

impl Seeds {
    /// Begins with this seed, which must not be guessable and not be used for anything else.
    pub fn new(seed: &[u8; 32]) -> Self {
        Self { state: Zeroizing::new(blake3::derive_key("homing 2026-11 seeds begin", seed)) }
    }

    /// The next 32 bytes.
    pub fn seed(&mut self) -> Zeroizing<[u8; 32]> {
        let given = Zeroizing::new(blake3::derive_key("homing 2026-11 seeds give", &*self.state));
        self.state = Zeroizing::new(blake3::derive_key("homing 2026-11 seeds go on", &*self.state));
        given
    }

    /// The next `N` bytes; up to 32.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= 32) };
        let seed = self.seed();
        let mut bytes = [0; N];
        for (byte, given) in bytes.iter_mut().zip(seed.iter()) {
            *byte = *given;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_that_never_repeats() {
        let mut once = Seeds::new(&[1; 32]);
        let mut again = Seeds::new(&[1; 32]);
        let all: std::collections::BTreeSet<[u8; 32]> = (0..100).map(|_| *once.seed()).collect();
        assert_eq!(all.len(), 100);
        assert!((0..100).all(|_| all.contains(&*again.seed())));
        assert_ne!(Seeds::new(&[2; 32]).bytes::<8>(), Seeds::new(&[1; 32]).bytes::<8>());
    }
}
