//! Who somebody is: a key pair, and the fingerprint by which people compare keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

/// The secret half of a key pair (X25519, RFC 7748). Wiped when it is dropped, and never printed.
#[derive(Clone)]
pub struct PrivateKey(Zeroizing<[u8; 32]>);

/// The public half.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// A public key's SHA-256, as people compare it: `SHA256:` and 43 characters.
///
/// It looks as those of ssh do, since whoever has to compare two of these has done so there. It is shorter than hexadecimal (two fit
/// into a line of an error message) and has no digits that are left out, so that nobody compares the first eight and calls it a day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("no fingerprint: it should be '{LABEL}' and {DIGITS} characters")]
pub struct NoFingerprint;

impl PrivateKey {
    /// Any 32 bytes are a key, as long as nobody can guess them.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(x25519_dalek::PublicKey::from(&StaticSecret::from(*self.0)).to_bytes())
    }

    /// The bytes, for a file that nobody else may read.
    pub fn secret_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey of {}", self.public().fingerprint())
    }
}

impl PublicKey {
    /// How people compare it.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Sha256::digest(self.0).into())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{LABEL}{}", STANDARD_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    /// Strict: one fingerprint has one spelling.
    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let digits = text.strip_prefix(LABEL).filter(|digits| digits.len() == DIGITS).ok_or(NoFingerprint)?;
        let bytes = STANDARD_NO_PAD.decode(digits).map_err(|_| NoFingerprint)?;
        bytes.try_into().map(Fingerprint).map_err(|_| NoFingerprint)
    }
}

const LABEL: &str = "SHA256:";
const DIGITS: usize = 43;

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";

    /// RFC 7748, 6.1: Alice's.
    fn key() -> PrivateKey {
        let mut bytes = [0; 32];
        hex::decode_to_slice(ALICE, &mut bytes).expect("hex");
        PrivateKey::new(&bytes)
    }

    #[test]
    fn the_public_key_is_the_one_of_the_rfc() {
        let public = hex::encode(key().public().0);
        assert_eq!(public, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    }

    #[test]
    fn a_fingerprint_has_one_spelling_and_is_read_as_it_was_written() {
        let fingerprint = key().public().fingerprint();
        let text = fingerprint.to_string();
        assert_eq!(text.len(), LABEL.len() + DIGITS);
        assert_eq!(text.parse(), Ok(fingerprint));
        let mut last = text.clone();
        let odd = char::from(last.pop().expect("a digit") as u8 + 1);
        for wrong in [
            "",
            "SHA256:",
            &text[7..],
            &text.replace("SHA", "sha"),
            &format!("{text}="),
            &format!("{last}{odd}"),
            &format!(" {text}"),
        ] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(NoFingerprint), "{wrong:?}");
        }
    }

    #[test]
    fn no_secret_is_printed() {
        let key = PrivateKey::new(&[0xab; 32]);
        let shown = format!("{key:?} {:?}", key.public());
        assert!(!shown.contains("171") && !shown.to_lowercase().contains("abab"), "{shown}");
        assert!(shown.starts_with("PrivateKey of SHA256:"));
    }
}
