//! A hello: the client's first flight, which repeats what the server has said, so that the server need not keep it.

use super::field::{Cipher, ConnectionId, Malformed, Token, byte, connection_id, end, token};
use crate::codec::{Cursor, Full, Writer};

/// A hello: I am `from`, and would like to talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The client's connection ID: what the server's packets are addressed to.
    pub from: ConnectionId,
    /// The cipher that the connection will have.
    pub cipher: Cipher,
    /// What the server has said so far, and its token.
    pub terms: Terms<'a>,
    /// The first Noise message; empty without a token, since nobody would keep it.
    pub noise: &'a [u8],
}

/// What a server has said to a client in clear. The client repeats it under the token that came with it, so that the server need
/// not keep it, and both mix it into their keys, so that nobody can have changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terms<'a> {
    /// Nothing yet.
    None,
    /// A retry.
    Retry {
        /// The cipher that the server prefers.
        cipher: Cipher,
        /// Its token.
        token: Token,
    },
    /// The acknowledgement of a lab start.
    Text {
        /// The BLAKE3 hash of the start datagram.
        start: [u8; 32],
        /// The capability words, without the token's; at most [`WORDS_MAX`] bytes.
        words: &'a [u8],
        /// The token.
        token: Token,
    },
}

/// What a hello may turn out to be.
pub(super) enum Decoded<'a> {
    /// One of this version.
    Hello(Hello<'a>),
    /// One of another version.
    OtherVersion { version: u8, from: ConnectionId },
}

/// Reads what follows the first byte of a hello of `length` bytes.
pub(super) fn decode(mut cursor: Cursor<'_>, length: usize) -> Result<Decoded<'_>, Malformed> {
    let version = byte(&mut cursor, "version")?;
    let from = connection_id(&mut cursor)?;
    if length < HELLO_LENGTH {
        return Err(Malformed::NotPadded(length));
    }
    if version != VERSION {
        return Ok(Decoded::OtherVersion { version, from });
    }
    let cipher = Cipher::read(&mut cursor)?;
    let terms = decode_terms(&mut cursor)?;
    let noise_length = u16::from_be_bytes(cursor.array().ok_or(Malformed::Truncated("noise"))?);
    let noise = cursor.take(usize::from(noise_length)).ok_or(Malformed::Truncated("noise"))?;
    cursor.run_of(0);
    end(cursor).map(|()| Decoded::Hello(Hello { from, cipher, terms, noise }))
}

fn decode_terms<'a>(cursor: &mut Cursor<'a>) -> Result<Terms<'a>, Malformed> {
    match byte(cursor, "terms")? {
        TERMS_NONE => Ok(Terms::None),
        TERMS_RETRY => {
            let cipher = Cipher::read(cursor)?;
            Ok(Terms::Retry { cipher, token: token(cursor)? })
        }
        TERMS_TEXT => {
            let start = cursor.array().ok_or(Malformed::Truncated("start"))?;
            let length = usize::from(byte(cursor, "words")?);
            if length > WORDS_MAX {
                return Err(Malformed::BadField("words"));
            }
            let words = cursor.take(length).ok_or(Malformed::Truncated("words"))?;
            Ok(Terms::Text { start, words, token: token(cursor)? })
        }
        _ => Err(Malformed::BadField("terms")),
    }
}

impl Hello<'_> {
    /// Writes what follows the first byte, and fills the room that is left with zeros.
    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.byte(VERSION)?;
        writer.bytes(&self.from.0)?;
        writer.byte(self.cipher.code())?;
        match self.terms {
            Terms::None => writer.byte(TERMS_NONE)?,
            Terms::Retry { cipher, token } => {
                writer.bytes(&[TERMS_RETRY, cipher.code()])?;
                writer.bytes(&token.0)?;
            }
            Terms::Text { start, words, token } => {
                let length = u8::try_from(words.len()).ok().filter(|length| usize::from(*length) <= WORDS_MAX);
                writer.byte(TERMS_TEXT)?;
                writer.bytes(&start)?;
                writer.byte(length.ok_or(Full)?)?;
                writer.bytes(words)?;
                writer.bytes(&token.0)?;
            }
        }
        writer.bytes(&u16::try_from(self.noise.len()).map_err(|_| Full)?.to_be_bytes())?;
        writer.bytes(self.noise)?;
        writer.zeros(writer.room())
    }
}

/// The version of all that is described here.
pub const VERSION: u8 = 1;

/// Every hello has this length, or more: what a path must carry anyway (RFC 9000, 14.1), and more than any answer to it.
pub const HELLO_LENGTH: usize = 1200;

/// The longest capability words that a hello repeats; a start's acknowledgement of 128 bytes holds no longer ones with a token.
pub const WORDS_MAX: usize = 64;

const TERMS_NONE: u8 = 0;
const TERMS_RETRY: u8 = 1;
const TERMS_TEXT: u8 = 2;
