//! The only place that moves through bytes: cutting fields at separators, reading strict decimals.

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

    /// All that has not been cut off yet.
    pub fn rest(self) -> &'a [u8] {
        self.rest
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
