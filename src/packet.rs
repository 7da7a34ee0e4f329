//! What a datagram says, told from its first byte.

pub mod chat;
pub mod lab;
pub mod message;
pub mod windowed;

pub use lab::{Malformed, Message, Spelling, Unspeakable};

/// Datagrams whose first byte is at least this belong to the windowed mode; below it they are text.
pub const WINDOWED_FROM: u8 = 0x80;

/// The largest payload that a UDP datagram over IPv4 can carry, in bytes.
pub const MAX_DATAGRAM: usize = 65_507;

/// A datagram, sorted by its first byte and, where it is text, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A message of the lab's protocol, and the spelling it came in.
    Lab(Spelling, Message<'a>),
    /// The windowed mode's binary packets, which this version does not speak.
    Windowed(&'a [u8]),
}

impl<'a> Packet<'a> {
    /// Reads a datagram; borrows from it, never panics.
    ///
    /// # Errors
    /// [`Malformed`] for text that is no message of ours.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, Malformed> {
        match datagram.first() {
            Some(&byte) if byte >= WINDOWED_FROM => Ok(Packet::Windowed(datagram)),
            _ => lab::decode(datagram).map(|(spelling, message)| Packet::Lab(spelling, message)),
        }
    }
}
