//! A rate as people write it: in bits per second, or, where the unit says so, in bytes.

use crate::weather::parse_rate;
use thiserror::Error;

/// Reads a rate from 8 bit/s to 1000 Gbit/s as **bytes** per second, rounded down.
///
/// In bits, as networks are sold: a bare number, `k`, `m`, `g` or `kbit`, `mbit`, `gbit` (powers of 1000), also with `/s` behind
/// it; in bytes, as files are measured: `B/s`, `kB/s`, `MB/s`, `GB/s`. `10mbit` is 1250000 bytes per second, and so is `1.25MB/s`.
///
/// # Errors
/// [`NotARate`].
pub fn parse(text: &str) -> Result<u64, NotARate> {
    let bits = match text.strip_suffix("B/s") {
        // A prefix of bytes is read as one of bits, and eight times as much is meant.
        Some(bytes) if !bytes.ends_with(['t', 'T']) => parse_bits(bytes).and_then(|bytes| bytes.checked_mul(8)),
        Some(_) => None,
        None => parse_bits(text.strip_suffix("/s").unwrap_or(text)),
    };
    bits.filter(|bits| (BITS_MIN..=BITS_MAX).contains(bits)).map(|bits| bits / 8).ok_or_else(|| NotARate(text.into()))
}

fn parse_bits(text: &str) -> Option<u64> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    match unit.to_ascii_lowercase().as_str() {
        "k" | "m" | "g" => parse_rate(&format!("{text}bit")).ok(),
        _ => parse_rate(text).ok(),
    }
}

/// Text that is no rate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no rate from 8bit to 1000gbit; write it in bits per second as in 10mbit (or 10m), or in bytes as in 1.25MB/s"
)]
pub struct NotARate(pub String);

/// One byte a second.
const BITS_MIN: u64 = 8;

/// As for the weather's rates.
const BITS_MAX: u64 = 1_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_in_bits_unless_they_say_bytes() {
        for (text, bytes) in [
            ("8", 1),
            ("100m", 12_500_000),
            ("10mbit", 1_250_000),
            ("10Mbit/s", 1_250_000),
            ("1.25MB/s", 1_250_000),
            ("1.5m", 187_500),
            ("64k", 8000),
            ("500kB/s", 500_000),
            ("1B/s", 1),
            ("1.2GB/s", 1_200_000_000),
            ("1000g", 125_000_000_000),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_could_be_misread_is_refused() {
        for text in [
            "", "7", "0", "m", "-1m", "+8", "10mbps", "10MB", "10mb/s", "1 MB/s", "1001g", "126GB/s", "1kbitB/s",
            "1.2.3m",
        ] {
            assert_eq!(parse(text), Err(NotARate(text.into())), "{text}");
        }
    }
}
