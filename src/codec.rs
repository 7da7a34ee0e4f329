//! The only place that moves through bytes: cutting fields at separators, reading strict decimals, binary fields both ways.

use thiserror::Error;

/// A position in a datagram, from which fields are cut off one by one.
///
/// Nothing here panics or copies, whatever the bytes are.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Cuts off what stands before the next `separator` and steps over it; `None` if there is none, and then nothing moves.
    pub fn field(&mut self, separator: &[u8]) -> Option<&'a [u8]> {
        let at = find(self.rest, separator)?;
        let (field, behind) = self.rest.split_at_checked(at)?;
        self.rest = behind.get(separator.len()..)?;
        Some(field)
    }

    /// What stands before the next `separator`, or everything when there is none; the second value tells which.
    pub fn field_or_rest(&mut self, separator: &[u8]) -> (&'a [u8], bool) {
        match self.field(separator) {
            Some(field) => (field, true),
            None => (std::mem::take(&mut self.rest), false),
        }
    }

    /// Cuts off so many bytes; `None` if there are fewer, and then nothing moves.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// Cuts off one byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// Cuts off a field of fixed length.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*field)
    }

    /// Cuts off a number of variable length (RFC 9000, section 16): at most 2^62 - 1. Longer forms than needed are read.
    pub fn varint(&mut self) -> Option<u64> {
        let mut ahead = *self;
        let first = ahead.byte()?;
        let mut value = u64::from(first & 0x3f);
        for _ in 1..1_u32 << (first >> 6) {
            value = value << 8 | u64::from(ahead.byte()?);
        }
        *self = ahead;
        Some(value)
    }

    /// Cuts off all bytes of this value that come next, and says how many they were.
    pub fn run_of(&mut self, value: u8) -> usize {
        let count = self.rest.iter().position(|byte| *byte != value).unwrap_or(self.rest.len());
        self.take(count).map_or(0, <[u8]>::len)
    }

    /// How many bytes have not been cut off yet.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// All that has not been cut off yet.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// The other direction: appends to a buffer, up to a limit.
///
/// What does not fit is refused whole: the buffer never holds half a field.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    end: usize,
}

/// There is no room left for what was to be written.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("it does not fit into the room that is left")]
pub struct Full;

impl<'a> Writer<'a> {
    /// Appends to `out`, `room` bytes at most.
    pub fn new(out: &'a mut Vec<u8>, room: usize) -> Self {
        let end = out.len().saturating_add(room);
        Self { out, end }
    }

    /// How many bytes still fit.
    pub fn room(&self) -> usize {
        self.end.saturating_sub(self.out.len())
    }

    /// Appends these bytes.
    ///
    /// # Errors
    /// [`Full`] when they do not fit; nothing is written then.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        if bytes.len() > self.room() {
            return Err(Full);
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends one byte.
    ///
    /// # Errors
    /// [`Full`], as [`Writer::bytes`].
    pub fn byte(&mut self, byte: u8) -> Result<(), Full> {
        self.bytes(&[byte])
    }

    /// Appends so many zeros.
    ///
    /// # Errors
    /// [`Full`], as [`Writer::bytes`].
    pub fn zeros(&mut self, count: usize) -> Result<(), Full> {
        if count > self.room() {
            return Err(Full);
        }
        self.out.resize(self.out.len().saturating_add(count), 0);
        Ok(())
    }

    /// Appends a number of variable length in its shortest form (RFC 9000, section 16).
    ///
    /// # Errors
    /// [`Full`], as [`Writer::bytes`]; also for numbers above [`VARINT_MAX`], for which no room is ever enough.
    pub fn varint(&mut self, value: u64) -> Result<(), Full> {
        let bytes = value.to_be_bytes();
        let length = varint_length(value);
        let mut field = bytes;
        let Some(short) = field.get_mut(8_usize.saturating_sub(length)..) else { return Err(Full) };
        let Some(first) = short.first_mut().filter(|_| value <= VARINT_MAX) else { return Err(Full) };
        *first |= (length.ilog2() as u8) << 6;
        let written = &*short;
        if written.len() > self.room() {
            return Err(Full);
        }
        self.out.extend_from_slice(written);
        Ok(())
    }

    /// Appends `count` bytes that `fill` writes in place.
    ///
    /// # Errors
    /// [`Full`] when they do not fit, or when `fill` says that it had none; nothing is written then.
    pub fn fill(&mut self, count: usize, fill: impl FnOnce(&mut [u8]) -> bool) -> Result<(), Full> {
        let before = self.out.len();
        self.zeros(count)?;
        if self.out.get_mut(before..).is_some_and(fill) {
            return Ok(());
        }
        self.out.truncate(before);
        Err(Full)
    }

    /// Does several writes, all or none.
    ///
    /// # Errors
    /// [`Full`] when one of them did not fit; nothing is written then.
    pub fn all_or_none<T>(&mut self, write: impl FnOnce(&mut Self) -> Result<T, Full>) -> Result<T, Full> {
        let before = self.out.len();
        let result = write(self);
        if result.is_err() {
            self.out.truncate(before);
        }
        result
    }
}

/// The largest number of variable length (RFC 9000, section 16).
pub const VARINT_MAX: u64 = (1 << 62) - 1;

/// How many bytes the shortest form of a number of variable length has: 1, 2, 4 or 8.
pub const fn varint_length(value: u64) -> usize {
    match value {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}

/// Cuts `bytes` at the last `separator`.
pub fn cut_at_last<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(separator.len().max(1)).rposition(|window| window == separator)?;
    let (before, behind) = bytes.split_at_checked(at)?;
    Some((before, behind.get(separator.len()..)?))
}

/// Where `needle` begins in `bytes` for the first time.
pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len().max(1)).position(|window| window == needle)
}

/// Why a field is not a number.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BadNumber {
    /// No digit at all.
    #[error("the number is missing")]
    Missing,
    /// A sign, a blank, a letter: the offset of the first byte that is no digit.
    #[error("byte {0} is not a decimal digit")]
    NotADigit(usize),
    /// More than a 64-bit number holds.
    #[error("the number does not fit 64 bits")]
    Overflow,
}

/// Reads a strict decimal: ASCII digits only, leading zeros allowed, no sign, no blank, at most 2^64 - 1.
///
/// # Errors
/// [`BadNumber`] says what stands there instead.
pub fn decimal(field: &[u8]) -> Result<u64, BadNumber> {
    if field.is_empty() {
        return Err(BadNumber::Missing);
    }
    let mut value: u64 = 0;
    for (at, byte) in field.iter().enumerate() {
        if !byte.is_ascii_digit() {
            return Err(BadNumber::NotADigit(at));
        }
        let digit = u64::from(byte - b'0');
        value = value.checked_mul(10).and_then(|tens| tens.checked_add(digit)).ok_or(BadNumber::Overflow)?;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_and_nothing_else() {
        for (text, value) in [("0", 0), ("007", 7), ("18446744073709551615", u64::MAX)] {
            assert_eq!(decimal(text.as_bytes()), Ok(value));
        }
        assert_eq!(decimal(&[b'0'; 5000]), Ok(0));
        assert_eq!(decimal(b""), Err(BadNumber::Missing));
        for (text, at) in [("-1", 0), ("+1", 0), (" 5", 0), ("5\n", 1), ("1e9", 1), ("\u{663}", 0)] {
            assert_eq!(decimal(text.as_bytes()), Err(BadNumber::NotADigit(at)), "{text:?}");
        }
        assert_eq!(decimal(b"18446744073709551616"), Err(BadNumber::Overflow));
    }

    #[test]
    fn numbers_of_variable_length_are_those_of_the_rfc() {
        // RFC 9000, appendix A.1; the last one is a longer form than needed.
        for (bytes, value, length) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652, 8),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333, 4),
            (&[0x7b, 0xbd], 15_293, 2),
            (&[0x25], 37, 1),
            (&[0x40, 0x25], 37, 1),
        ] {
            assert_eq!(Cursor::new(bytes).varint(), Some(value));
            let mut out = Vec::new();
            Writer::new(&mut out, 8).varint(value).unwrap();
            assert_eq!((out.len(), varint_length(value)), (length, length));
            assert!(out == bytes || bytes.len() > length);
            for end in 0..bytes.len() {
                let mut cursor = Cursor::new(&bytes[..end]);
                assert_eq!(cursor.varint(), None);
                assert_eq!(cursor.remaining(), end, "nothing moves");
            }
        }
        for edge in [0, 63, 64, 16_383, 16_384, (1 << 30) - 1, 1 << 30, VARINT_MAX] {
            let mut out = Vec::new();
            Writer::new(&mut out, 8).varint(edge).unwrap();
            assert_eq!(Cursor::new(&out).varint(), Some(edge));
            assert_eq!(Writer::new(&mut Vec::new(), varint_length(edge) - 1).varint(edge), Err(Full));
        }
        for beyond in [VARINT_MAX + 1, u64::MAX] {
            assert_eq!(Writer::new(&mut Vec::new(), 100).varint(beyond), Err(Full));
        }
    }

    #[test]
    fn what_does_not_fit_is_not_written_at_all() {
        let mut out = vec![7];
        let mut writer = Writer::new(&mut out, 3);
        assert_eq!(writer.bytes(b"four"), Err(Full));
        assert_eq!(writer.all_or_none(|writer| writer.byte(1).and_then(|()| writer.bytes(b"abc"))), Err(Full));
        assert_eq!(writer.room(), 3);
        assert_eq!(writer.zeros(4), Err(Full));
        assert_eq!(writer.zeros(3), Ok(()));
        assert_eq!(writer.byte(1), Err(Full));
        assert_eq!(out, [7, 0, 0, 0]);
    }

    #[test]
    fn fields_are_cut_from_the_left_and_the_last_one_from_the_right() {
        let mut cursor = Cursor::new(b"a | b | | c");
        assert_eq!(cursor.field(b" | "), Some(&b"a"[..]));
        assert_eq!(cursor.field(b" | "), Some(&b"b"[..]));
        assert_eq!(cursor.field(b" | "), None);
        assert_eq!(cursor.rest(), b"| c");
        assert_eq!(cut_at_last(b"x | | 5", b" | "), Some((&b"x |"[..], &b"5"[..])));
        assert_eq!(cut_at_last(b"x", b" | "), None);
    }
}
