//! What a server has said in clear, as the token covers it, the hello repeats it, and Noise's prologue has it.

use crate::packet::windowed::{Cipher, ConnectionId, Terms, Token, VERSION, WORDS_MAX};
use crate::session::{CHACHA20, OURS, WINDOWED};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Terms that are kept, without their token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A retry.
    Retry {
        /// The cipher that the server prefers.
        cipher: Cipher,
    },
    /// A start's acknowledgement.
    Text {
        /// The BLAKE3 hash of the start datagram.
        start: [u8; 32],
        /// The capability words, without the token's.
        words: Vec<u8>,
    },
}

impl Said {
    /// What the hello repeats.
    pub fn with_token(&self, token: Token) -> Terms<'_> {
        match self {
            Said::Retry { cipher } => Terms::Retry { cipher: *cipher, token },
            Said::Text { start, words } => Terms::Text { start: *start, words, token },
        }
    }

    /// Which cipher the server prefers.
    pub fn preferred(&self) -> Cipher {
        match self {
            Said::Retry { cipher } => *cipher,
            Said::Text { words, .. } if words.split(|byte| *byte == b' ').any(|word| word == CHACHA20.as_bytes()) => {
                Cipher::ChaCha20Poly1305
            }
            Said::Text { .. } => Cipher::Aes256Gcm,
        }
    }

    /// Reads the capability words of an acknowledgement of `start`; `None` if they are not those of a server of ours that speaks
    /// the windowed mode. Words that are unknown are kept: they are part of what was said.
    pub fn read(start: &[u8], words: &[u8]) -> Option<(Self, Token)> {
        let mut token = None;
        let mut others: Vec<&[u8]> = Vec::new();
        for word in words.split(|byte| *byte == b' ') {
            match word.strip_prefix(WINDOWED.as_bytes()) {
                Some(text) if token.is_none() => token = Some(read_token(text)?),
                Some(_) => return None,
                None => others.push(word),
            }
        }
        let words = others.join(&b' ');
        let is_ours = others.first() == Some(&OURS.as_bytes()) && words.len() <= WORDS_MAX;
        token.filter(|_| is_ours).map(|token| (Said::Text { start: start_hash(start), words }, token))
    }
}

/// The word that offers the windowed mode.
pub fn token_word(token: &Token) -> String {
    format!("{WINDOWED}{}", URL_SAFE_NO_PAD.encode(token.0))
}

fn read_token(text: &[u8]) -> Option<Token> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Token)
}

/// How a start is named in what follows it.
pub fn start_hash(start: &[u8]) -> [u8; 32] {
    *blake3::hash(start).as_bytes()
}

/// What a token covers besides address and time. A retry belongs to one connection ID; a start's acknowledgement came before there
/// was one, and belongs to the start's bytes.
pub fn digest(from: ConnectionId, terms: &Terms<'_>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("homing 2026-11 windowed terms");
    hasher.update(&[VERSION]);
    match terms {
        Terms::None => hasher.update(&[0]),
        Terms::Retry { cipher, .. } => hasher.update(&[1, *cipher as u8]).update(&from.0),
        Terms::Text { start, words, .. } => hasher.update(&[2]).update(start).update(words),
    };
    *hasher.finalize().as_bytes()
}

/// Noise's prologue: everything that was agreed upon in clear. Two who have different ones cannot finish the handshake.
pub fn prologue(from: ConnectionId, cipher: Cipher, terms: &Terms<'_>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("homing 2026-11 windowed prologue");
    hasher.update(&[VERSION, cipher as u8]).update(&from.0).update(&digest(from, terms));
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::windowed::TOKEN_LENGTH;

    const START: &[u8] = b"s | 1207959601 | f | 00001";
    const TOKEN: Token = Token([0xfe; TOKEN_LENGTH]);

    #[test]
    fn the_words_are_read_without_the_token_whatever_its_place() {
        let word = token_word(&TOKEN);
        for (words, rest, cipher) in [
            (format!("homing/1 checked {word}"), "homing/1 checked", Cipher::Aes256Gcm),
            (format!("homing/1 {word} checked chacha20"), "homing/1 checked chacha20", Cipher::ChaCha20Poly1305),
            (format!("homing/1 colour=blue {word}"), "homing/1 colour=blue", Cipher::Aes256Gcm),
        ] {
            let (said, token) = Said::read(START, words.as_bytes()).expect("an offer");
            assert_eq!(said, Said::Text { start: start_hash(START), words: rest.into() });
            assert_eq!((token, said.preferred()), (TOKEN, cipher));
        }
    }

    #[test]
    fn what_is_no_offer_of_ours_is_none() {
        let word = token_word(&TOKEN);
        for words in [
            "".into(),
            "homing/1 checked".into(),
            word.clone(),
            format!("homing/2 {word}"),
            format!("homing/1 {word} {word}"),
            format!("homing/1 {word}="),
            format!("homing/1 {}", &word[..word.len() - 1]),
            format!("homing/1 windowed= {word}"),
            format!("homing/1 {} {word}", "x".repeat(WORDS_MAX)),
        ] {
            assert_eq!(Said::read(START, words.as_bytes()), None, "{words:?}");
        }
    }

    #[test]
    fn an_acknowledgement_with_everything_in_it_is_not_longer_than_an_offering_start() {
        let words = format!("{OURS} {} {CHACHA20} {}", crate::session::CHECKED, token_word(&TOKEN));
        let ack = format!("a | {} | 65507 | {words}", crate::session::OFFER_BASE + crate::session::OFFER_SPAN);
        assert!(ack.len() <= crate::session::OFFER_START_MIN, "{}", ack.len());
    }

    #[test]
    fn every_part_of_the_negotiation_changes_the_prologue() {
        let (id, other) = (ConnectionId([1; 8]), ConnectionId([2; 8]));
        let text = |start, words| Terms::Text { start, words, token: TOKEN };
        let (aes, chacha) = (Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305);
        let all = [
            prologue(id, aes, &text([1; 32], b"homing/1 checked")),
            prologue(other, aes, &text([1; 32], b"homing/1 checked")),
            prologue(id, chacha, &text([1; 32], b"homing/1 checked")),
            prologue(id, aes, &text([2; 32], b"homing/1 checked")),
            prologue(id, aes, &text([1; 32], b"homing/1")),
            prologue(id, aes, &Terms::Retry { cipher: aes, token: TOKEN }),
            prologue(id, aes, &Terms::Retry { cipher: chacha, token: TOKEN }),
            prologue(id, aes, &Terms::None),
        ];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
    }
}
