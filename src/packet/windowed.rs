//! The windowed mode's datagrams, byte by byte: those of the handshake, protected packets, stateless resets.
//!
//! The first byte tells them apart. All numbers are big-endian, all lengths in bytes; `noise` is a message of the Noise pattern
//! XX, of which this file knows nothing but that it has at most [`NOISE_MAX`] bytes.
//!
//! ```text
//! hello    c0 version:1 from:8 cipher:1 terms length:2 noise zeros up to 1200     client: first flight, with or without a token
//!            terms, none yet          00
//!            terms, a retry's         01 cipher:1 token:33
//!            terms, a text's          02 start:32 length:1 words token:33
//! retry    c1 to:8 cipher:1 token:33                                              server: prove your address
//! reply    c2 to:8 noise                                                          server: second Noise message
//! finish   c3 to:8 noise                                                          client: third Noise message
//! version  c4 version:1 to:8                                                      server: I speak another version
//! packet   80 or 81 to:8 number:4 sealed frames, tag:16                           both: everything else; bit 0 is the key phase
//! reset    80 or 81 random bytes, token:16                                        both: I know nothing of this connection
//! ```
//!
//! `c0 version from` and `c4 version to` stay as they are in all versions, so that two of them can tell each other so.
//!
//! **Packet numbers** have 64 bits and are never reused; their lower 32 travel. The receiver takes the number that is nearest to
//! the largest one it has authenticated (RFC 9000, 17.1 and appendix A.3), and the whole number is the nonce, so that a wrong
//! guess opens nothing. RFC 9000 asks for a field that covers twice what is in flight: 2^31 packets of 1200 bytes are 2.5 TB,
//! and the window against replays knows 65,536 anyway. The four bytes saved are a third of a percent of a small packet.
//!
//! Numbers are not hidden as QUIC hides them (RFC 9001, 5.4): it would cost another key and 16 bytes read per packet, and a
//! connection never changes its path while hiding that it is the same one.
//!
//! Two promises, tested: decoding never panics, allocates or copies what it need not; encoding is exact.

pub mod field;
pub mod frame;
pub mod header;
pub mod hello;

pub use field::{Cipher, ConnectionId, Malformed, TOKEN_LENGTH, Token};
pub use header::{HEADER_LENGTH, Header, PACKET_MIN, RESET_MAX, RESET_TOKEN_LENGTH, TAG_LENGTH, reset, reset_token};
pub use hello::{HELLO_LENGTH, Hello, Terms, VERSION, WORDS_MAX};

use crate::codec::{Cursor, Full, Writer};
use field::{byte, connection_id, end, token};
use header::{PACKET, PACKET_OTHER_PHASE};
use hello::Decoded;

/// One datagram of the windowed mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// A client's first flight.
    Hello(Hello<'a>),
    /// A server's answer to a hello without a valid token.
    Retry {
        /// The client's connection ID.
        to: ConnectionId,
        /// The cipher that the server prefers.
        cipher: Cipher,
        /// What the next hello must carry.
        token: Token,
    },
    /// The second Noise message.
    Reply {
        /// The client's connection ID.
        to: ConnectionId,
        /// The message.
        noise: &'a [u8],
    },
    /// The third Noise message.
    Finish {
        /// The server's connection ID.
        to: ConnectionId,
        /// The message.
        noise: &'a [u8],
    },
    /// A hello of another version than ours, of which nothing else is known.
    OtherHello {
        /// Which.
        version: u8,
        /// The client's connection ID.
        from: ConnectionId,
    },
    /// A server's answer to a hello of a version that it does not speak.
    Version {
        /// The version that it does speak.
        version: u8,
        /// The client's connection ID.
        to: ConnectionId,
    },
    /// A protected packet, or a stateless reset.
    Packet(Header),
}

impl<'a> Datagram<'a> {
    /// Reads one datagram; borrows from it, never panics.
    ///
    /// # Errors
    /// [`Malformed`] says what stands there instead.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(datagram);
        let kind = cursor.byte().ok_or(Malformed::Truncated("type"))?;
        match kind {
            HELLO => Ok(match hello::decode(cursor, datagram.len())? {
                Decoded::Hello(hello) => Datagram::Hello(hello),
                Decoded::OtherVersion { version, from } => Datagram::OtherHello { version, from },
            }),
            RETRY => decode_retry(cursor),
            REPLY => decode_noise(cursor).map(|(to, noise)| Datagram::Reply { to, noise }),
            FINISH => decode_noise(cursor).map(|(to, noise)| Datagram::Finish { to, noise }),
            VERSION_ANSWER => {
                let version = byte(&mut cursor, "version")?;
                let to = connection_id(&mut cursor)?;
                end(cursor).map(|()| Datagram::Version { version, to })
            }
            PACKET | PACKET_OTHER_PHASE => {
                Header::decode(kind == PACKET_OTHER_PHASE, &mut cursor).map(Datagram::Packet)
            }
            _ => Err(Malformed::UnknownType(kind)),
        }
    }

    /// The datagram's bytes. A [`Header`] is only the beginning of a packet, whose frames follow.
    ///
    /// # Errors
    /// [`Full`] when a field is longer than it may be.
    pub fn encode(&self) -> Result<Vec<u8>, Full> {
        let mut out = Vec::with_capacity(HELLO_LENGTH);
        let mut writer = Writer::new(&mut out, HELLO_LENGTH);
        match *self {
            Datagram::Hello(hello) => {
                writer.byte(HELLO)?;
                hello.encode(&mut writer)?;
            }
            Datagram::Retry { to, cipher, token } => {
                writer.byte(RETRY)?;
                writer.bytes(&to.0)?;
                writer.byte(cipher.code())?;
                writer.bytes(&token.0)?;
            }
            Datagram::Reply { to, noise } => encode_noise(REPLY, to, noise, &mut writer)?,
            Datagram::Finish { to, noise } => encode_noise(FINISH, to, noise, &mut writer)?,
            Datagram::OtherHello { version, from } => {
                writer.bytes(&[HELLO, version])?;
                writer.bytes(&from.0)?;
                writer.zeros(writer.room())?;
            }
            Datagram::Version { version, to } => {
                writer.bytes(&[VERSION_ANSWER, version])?;
                writer.bytes(&to.0)?;
            }
            Datagram::Packet(header) => header.encode(&mut writer)?,
        }
        Ok(out)
    }
}

fn decode_retry(mut cursor: Cursor<'_>) -> Result<Datagram<'_>, Malformed> {
    let to = connection_id(&mut cursor)?;
    let cipher = Cipher::read(&mut cursor)?;
    let token = token(&mut cursor)?;
    end(cursor).map(|()| Datagram::Retry { to, cipher, token })
}

fn decode_noise<'a>(mut cursor: Cursor<'a>) -> Result<(ConnectionId, &'a [u8]), Malformed> {
    let to = connection_id(&mut cursor)?;
    match cursor.rest() {
        [] => Err(Malformed::Truncated("noise")),
        noise if noise.len() > NOISE_MAX => Err(Malformed::Trailing),
        noise => Ok((to, noise)),
    }
}

fn encode_noise(kind: u8, to: ConnectionId, noise: &[u8], writer: &mut Writer<'_>) -> Result<(), Full> {
    writer.byte(kind)?;
    writer.bytes(&to.0)?;
    writer.bytes(noise)
}

/// The longest Noise message of a handshake datagram: 1200 bytes without type and connection ID.
pub const NOISE_MAX: usize = HELLO_LENGTH - 9;

const HELLO: u8 = 0xc0;
const RETRY: u8 = 0xc1;
const REPLY: u8 = 0xc2;
const FINISH: u8 = 0xc3;
const VERSION_ANSWER: u8 = 0xc4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FROM: ConnectionId = ConnectionId(*b"from-me.");
    const TOKEN: Token = Token([0x5a; TOKEN_LENGTH]);

    fn hello(terms: Terms<'_>) -> Datagram<'_> {
        Datagram::Hello(Hello { from: FROM, cipher: Cipher::ChaCha20Poly1305, terms, noise: &[1; 32] })
    }

    fn fixtures() -> Vec<Datagram<'static>> {
        let words = &[b'w'; WORDS_MAX];
        vec![
            hello(Terms::None),
            hello(Terms::Retry { cipher: Cipher::Aes256Gcm, token: TOKEN }),
            hello(Terms::Text { start: [7; 32], words, token: TOKEN }),
            hello(Terms::Text { start: [7; 32], words: b"", token: TOKEN }),
            Datagram::Retry { to: FROM, cipher: Cipher::ChaCha20Poly1305, token: TOKEN },
            Datagram::Reply { to: FROM, noise: &[3; 120] },
            Datagram::Finish { to: FROM, noise: &[4; NOISE_MAX] },
            Datagram::OtherHello { version: 9, from: FROM },
            Datagram::Version { version: 1, to: FROM },
        ]
    }

    #[test]
    fn every_datagram_is_read_as_it_was_written_and_answers_are_short() {
        for datagram in fixtures() {
            let bytes = datagram.encode().expect("it can be written");
            assert!(bytes[0] >= crate::packet::WINDOWED_FROM);
            assert_eq!(Datagram::decode(&bytes), Ok(datagram));
            assert!(bytes.len() <= HELLO_LENGTH);
            match datagram {
                Datagram::Retry { .. } | Datagram::Version { .. } => assert!(bytes.len() <= 64, "{}", bytes.len()),
                Datagram::Hello(_) | Datagram::OtherHello { .. } => assert_eq!(bytes.len(), HELLO_LENGTH),
                _ => {}
            }
        }
    }

    #[test]
    fn a_packet_is_read_without_its_key_up_to_its_frames() {
        let header = Header { phase: true, to: FROM, number: 0x0102_0304 };
        let mut bytes = Datagram::Packet(header).encode().expect("it can be written");
        assert_eq!(bytes, b"\x81from-me.\x01\x02\x03\x04");
        assert_eq!(bytes.len(), HEADER_LENGTH);
        bytes.resize(PACKET_MIN - 1, 0);
        assert_eq!(Datagram::decode(&bytes), Err(Malformed::Truncated("frames")));
        bytes.push(0);
        assert_eq!(Datagram::decode(&bytes), Ok(Datagram::Packet(header)));
    }

    #[test]
    fn what_is_too_long_or_too_short_is_refused() {
        let long =
            Datagram::Hello(Hello { from: FROM, cipher: Cipher::Aes256Gcm, terms: Terms::None, noise: &[0; 1190] });
        assert_eq!(long.encode(), Err(Full));
        let words = &[b'w'; WORDS_MAX + 1];
        assert_eq!(hello(Terms::Text { start: [0; 32], words, token: TOKEN }).encode(), Err(Full));
        assert_eq!(Datagram::Finish { to: FROM, noise: &[0; NOISE_MAX + 1] }.encode(), Err(Full));
        let good = hello(Terms::None).encode().expect("it can be written");
        assert_eq!(Datagram::decode(&good[..HELLO_LENGTH - 1]), Err(Malformed::NotPadded(HELLO_LENGTH - 1)));
        let mut dirty = good.clone();
        dirty[HELLO_LENGTH - 1] = 1;
        assert_eq!(Datagram::decode(&dirty), Err(Malformed::Trailing));
        assert_eq!(Datagram::decode(&[]), Err(Malformed::Truncated("type")));
        assert_eq!(Datagram::decode(&[0xc5; 1200]), Err(Malformed::UnknownType(0xc5)));
        assert_eq!(Datagram::decode(b"s | 0 | f | 1"), Err(Malformed::UnknownType(b's')));
    }

    #[test]
    fn every_prefix_and_every_flipped_bit_is_something_else_or_nothing() {
        for datagram in fixtures() {
            let bytes = datagram.encode().expect("it can be written");
            for end in 0..bytes.len() {
                assert_ne!(Datagram::decode(&bytes[..end]), Ok(datagram));
            }
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let read = Datagram::decode(&flipped);
                let is_padding_of_another = matches!(datagram, Datagram::OtherHello { .. }) && bit >= 80;
                assert!(read != Ok(datagram) || is_padding_of_another, "{datagram:?} bit {bit}");
                if let Ok(read) = read.filter_encodable() {
                    assert_eq!(Datagram::decode(&read.encode().expect("it was read")), Ok(read));
                }
            }
        }
    }

    trait FilterEncodable {
        fn filter_encodable(self) -> Self;
    }

    impl FilterEncodable for Result<Datagram<'_>, Malformed> {
        /// A packet's header is not a whole datagram.
        fn filter_encodable(self) -> Self {
            self.and_then(|read| match read {
                Datagram::Packet(_) => Err(Malformed::Trailing),
                _ => Ok(read),
            })
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_bytes_are_harmless(first in prop::sample::select(vec![0x80_u8, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4]),
                                  rest in prop::collection::vec(any::<u8>(), 0..1300)) {
            let _ = Datagram::decode(&[&[first][..], &rest].concat());
        }
    }
}
