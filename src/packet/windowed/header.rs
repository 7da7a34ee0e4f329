//! Protected packets as far as they can be read without a key, and stateless resets, which look like them.

use super::field::{ConnectionId, Malformed, connection_id};
use crate::codec::{Cursor, Full, Writer};

/// What a protected packet says in clear. All of it is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which of two keys it is sealed with; changes with each key update.
    pub phase: bool,
    /// The receiver's connection ID.
    pub to: ConnectionId,
    /// The lower 32 bits of the packet number.
    pub number: u32,
}

impl Header {
    /// Reads what follows the first byte.
    pub(super) fn decode(phase: bool, cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let to = connection_id(cursor)?;
        let number = u32::from_be_bytes(cursor.array().ok_or(Malformed::Truncated("number"))?);
        match cursor.remaining() {
            0..=TAG_LENGTH => Err(Malformed::Truncated("frames")),
            _ => Ok(Header { phase, to, number }),
        }
    }

    /// Appends the [`HEADER_LENGTH`] bytes of a packet before its frames.
    ///
    /// # Errors
    /// [`Full`] when there is no room.
    pub fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.all_or_none(|writer| {
            writer.byte(if self.phase { PACKET_OTHER_PHASE } else { PACKET })?;
            writer.bytes(&self.to.0)?;
            writer.bytes(&self.number.to_be_bytes())
        })
    }

    /// The whole packet number: the one nearest to the number after the `largest` authenticated so far (RFC 9000, appendix A.3).
    pub fn whole_number(&self, largest: Option<u64>) -> u64 {
        const SPAN: u64 = 1 << 32;
        let expected = largest.map_or(0, |largest| largest.saturating_add(1));
        let candidate = expected & !(SPAN - 1) | u64::from(self.number);
        if candidate.saturating_add(SPAN / 2) <= expected {
            candidate.checked_add(SPAN).unwrap_or(candidate)
        } else if candidate > expected.saturating_add(SPAN / 2) {
            candidate.checked_sub(SPAN).unwrap_or(candidate)
        } else {
            candidate
        }
    }
}

/// A stateless reset (RFC 9000, 10.3) for a packet of `trigger` bytes: it looks like a packet and ends in the token. It has
/// [`RESET_MAX`] bytes, and only what is longer gets one: so it is shorter than its trigger, and is never answered with another one by
/// somebody who knows nothing either. `None` if the trigger is too short. `random` must not be guessable.
pub fn reset(trigger: usize, token: &[u8; RESET_TOKEN_LENGTH], random: &[u8; RESET_MAX]) -> Option<Vec<u8>> {
    if trigger <= RESET_MAX {
        return None;
    }
    let mut out = random.to_vec();
    *out.first_mut()? = if random.first()? & 1 == 0 { PACKET } else { PACKET_OTHER_PHASE };
    *out.last_chunk_mut()? = *token;
    Some(out)
}

/// The token of a stateless reset, if this is one: the last bytes of anything that looks like a packet.
pub fn reset_token(datagram: &[u8]) -> Option<[u8; RESET_TOKEN_LENGTH]> {
    let looks_like_one =
        matches!(datagram.first(), Some(&(PACKET | PACKET_OTHER_PHASE))) && datagram.len() >= PACKET_MIN;
    datagram.last_chunk().copied().filter(|_| looks_like_one)
}

/// The bytes before a packet's frames: type, connection ID, number.
pub const HEADER_LENGTH: usize = 13;

/// The bytes behind a packet's frames: the AEAD's tag, the same for both ciphers.
pub const TAG_LENGTH: usize = 16;

/// The shortest packet: with one frame of one byte.
pub const PACKET_MIN: usize = HEADER_LENGTH + TAG_LENGTH + 1;

/// The length of the token that ends a stateless reset (RFC 9000, 10.3).
pub const RESET_TOKEN_LENGTH: usize = 16;

/// The length of a stateless reset: as a packet with an acknowledgement.
pub const RESET_MAX: usize = 43;

/// The first byte of a packet while the key phase is 0.
pub(super) const PACKET: u8 = 0x80;

/// The first byte of a packet while the key phase is 1.
pub(super) const PACKET_OTHER_PHASE: u8 = 0x81;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(number: u32, largest: Option<u64>) -> u64 {
        Header { phase: false, to: ConnectionId([0; 8]), number }.whole_number(largest)
    }

    #[test]
    fn a_number_is_the_one_nearest_to_what_is_expected() {
        const SPAN: u64 = 1 << 32;
        for (number, largest, value) in [
            (0, None, 0),
            (63, None, 63),
            (5, Some(SPAN - 10), SPAN + 5),
            (u32::MAX, Some(SPAN + 10), SPAN - 1),
            (u32::MAX, Some(3), SPAN - 1),
            (7, Some((1 << 62) - 10), (1 << 62) + 7),
            (u32::MAX, Some(u64::MAX), u64::MAX),
            (0, Some(u64::MAX), u64::MAX - SPAN + 1),
        ] {
            assert_eq!(whole(number, largest), value, "{number} after {largest:?}");
        }
    }

    #[test]
    fn a_reset_looks_like_a_packet_and_is_shorter_than_what_it_answers() {
        let (token, random) = ([9; RESET_TOKEN_LENGTH], [0xa5; RESET_MAX]);
        for trigger in 0..=RESET_MAX {
            assert_eq!(reset(trigger, &token, &random), None, "{trigger}");
        }
        for trigger in [RESET_MAX + 1, 1500] {
            let bytes = reset(trigger, &token, &random).expect("long enough");
            assert_eq!(bytes.len(), RESET_MAX);
            assert_eq!(bytes[0], PACKET_OTHER_PHASE);
            assert_eq!(reset_token(&bytes), Some(token));
        }
        assert_eq!(reset_token(&[0x80; PACKET_MIN - 1]), None);
        assert_eq!(reset_token(&[0xc0; 1200]), None);
    }

    proptest! {
        #[test]
        fn numbers_within_half_the_span_are_found(largest in 0..1_u64 << 62, ahead in -(1_i64 << 31) + 1..1 << 31) {
            let number = largest.saturating_add(1).saturating_add_signed(ahead);
            prop_assert_eq!(whole(number as u32, Some(largest)), number);
        }
    }
}
