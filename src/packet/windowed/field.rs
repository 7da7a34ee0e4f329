//! The fields that several datagrams of the windowed mode share, and what may be wrong with them.

use crate::codec::Cursor;
use std::fmt;
use thiserror::Error;

/// Which connection a packet belongs to: chosen at random by whoever receives it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub [u8; 8]);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The cipher of a connection; both have keys of 32 and tags of 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// AES-256-GCM: for processors with instructions for it.
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439): for all others, and several times as fast there.
    ChaCha20Poly1305,
}

impl fmt::Display for Cipher {
    /// Its name for people.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Cipher::Aes256Gcm => "AES-256-GCM",
            Cipher::ChaCha20Poly1305 => "ChaCha20-Poly1305",
        })
    }
}

impl Cipher {
    /// How it is written.
    pub(super) fn code(self) -> u8 {
        match self {
            Cipher::Aes256Gcm => 0,
            Cipher::ChaCha20Poly1305 => 1,
        }
    }

    /// How it is read.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        match byte(cursor, "cipher")? {
            0 => Ok(Cipher::Aes256Gcm),
            1 => Ok(Cipher::ChaCha20Poly1305),
            _ => Err(Malformed::BadField("cipher")),
        }
    }
}

/// A token that proves an address; only its server can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(pub [u8; TOKEN_LENGTH]);

/// Why a datagram is none of these.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// No datagram begins with this byte.
    #[error("no datagram begins with byte 0x{0:02x}")]
    UnknownType(u8),
    /// It ends before this field does.
    #[error("the datagram ends in the field '{0}'")]
    Truncated(&'static str),
    /// This field has a value that means nothing.
    #[error("the field '{0}' has no meaning")]
    BadField(&'static str),
    /// It goes on after its last field, or its padding is not zero.
    #[error("the datagram goes on after its end")]
    Trailing,
    /// A hello that is shorter than what every path carries.
    #[error("a hello of {0} bytes is too short to be answered")]
    NotPadded(usize),
}

/// One byte.
pub(super) fn byte(cursor: &mut Cursor<'_>, field: &'static str) -> Result<u8, Malformed> {
    cursor.byte().ok_or(Malformed::Truncated(field))
}

/// A connection ID.
pub(super) fn connection_id(cursor: &mut Cursor<'_>) -> Result<ConnectionId, Malformed> {
    cursor.array().map(ConnectionId).ok_or(Malformed::Truncated("connection ID"))
}

/// A token.
pub(super) fn token(cursor: &mut Cursor<'_>) -> Result<Token, Malformed> {
    cursor.array().map(Token).ok_or(Malformed::Truncated("token"))
}

/// Nothing more.
pub(super) fn end(cursor: Cursor<'_>) -> Result<(), Malformed> {
    if cursor.remaining() == 0 { Ok(()) } else { Err(Malformed::Trailing) }
}

/// A token's length: the time it was made and a BLAKE3 hash.
pub const TOKEN_LENGTH: usize = 33;
