//! What can go wrong in one direction, and the words for it.

use std::ops::RangeInclusive;
use std::time::Duration;

/// What goes wrong in one direction; the default is a clean link.
///
/// Probabilities are fractions from 0 to 1; what lies outside acts like the nearer end, and a NaN
/// like 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fault {
    /// Probability (0 to 1) that a packet is lost, each judged by itself.
    pub loss: f64,
    /// Losses that come in a row.
    pub burst: Option<Burst>,
    /// Probability (0 to 1) that a second copy follows directly behind a packet.
    pub dup: f64,
    /// Probability (0 to 1) that a packet is held back by up to `2 * (delay + jitter) + 50 ms`
    /// while later ones overtake it; a copy is judged by itself.
    pub reorder: f64,
    /// Probability (0 to 1) that a packet is held back by another 0.5 s to 3 s, long enough to look
    /// lost; a copy is judged by itself.
    pub late: f64,
    /// Probability (0 to 1) that exactly one bit of a packet is flipped; an empty one has none.
    pub corrupt: f64,
    /// Time that every packet travels; more than an hour counts as an hour.
    pub delay: Duration,
    /// Longest time added on top of the delay, uniformly from 0; keeps the order of packets, as
    /// queues do. More than an hour counts as an hour.
    pub jitter: Duration,
    /// Rate of the line in bits per second, 28 bytes of headers per datagram counted; `None` is
    /// infinitely fast, and 0 counts as 1.
    pub rate: Option<u64>,
    /// Bytes that may wait for the line, headers and the packet being sent included; an idle line
    /// takes any packet. Meaningless without a rate. `None` is one bandwidth-delay product, the way
    /// back taken to be like this one, and at least 64 KiB.
    pub queue: Option<usize>,
    /// Largest packet in bytes that the path takes, 28 bytes of headers included; larger ones
    /// vanish.
    pub mtu: Option<usize>,
}

/// Losses in a row (Gilbert and Elliott's model): within a burst every packet is lost.
///
/// A share of `enter / (enter + leave)` of all packets is lost, on average `1 / leave` in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    /// Probability (0 to 1) that a packet outside of a burst begins one.
    pub enter: f64,
    /// Probability (0 to 1) that a packet within a burst is the first one after it; with 0 the
    /// first burst never ends.
    pub leave: f64,
}

/// What is wrong with a forecast, and what would be right.
///
/// A variant begins with the word, or the value if it stands alone, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForecastError {
    /// A word that means nothing, and those that mean something.
    #[error("{0:?} is not a known word; known are {1}")]
    UnknownWord(String, String),
    /// A name that no preset has, and those that presets have.
    #[error("{0:?} is not a preset; the presets are {1}")]
    UnknownPreset(String, String),
    /// Nothing where a word should be; has its place in the list instead, counted from 1.
    #[error("word {0} is empty; write one comma between two words and none at the end")]
    EmptyWord(usize),
    /// A word that lacks its value, and how to write it.
    #[error("{0:?} needs a value; write it like {1}")]
    MissingValue(String, String),
    /// A preset with a value, and how to write it.
    #[error("{0:?} has a value, but a preset takes none; write {1}")]
    NeedlessValue(String, String),
    /// A value of the wrong form, and the right one.
    #[error("{0:?} is not understood; write {1}")]
    Malformed(String, &'static str),
    /// A value beyond its limits, and the limits.
    #[error("{0:?} is out of range; {1}")]
    OutOfRange(String, &'static str),
}

/// Reads a probability, `20%` or `0.2`, as a fraction from 0 to 1.
///
/// # Errors
///
/// [`ForecastError::Malformed`] or [`ForecastError::OutOfRange`], about all of `text`.
pub fn parse_probability(text: &str) -> Result<f64, ForecastError> {
    probability(text, text)
}

/// Reads a duration from 0 to one hour in `s`, `ms`, `us` or `ns`; a bare number is milliseconds.
///
/// Decimals are exact to the nanosecond; what is finer is cut off.
///
/// # Errors
///
/// [`ForecastError::Malformed`] or [`ForecastError::OutOfRange`], about all of `text`.
pub fn parse_duration(text: &str) -> Result<Duration, ForecastError> {
    DURATION.parse(text, text).map(Duration::from_nanos)
}

/// Reads a rate from 1 bit/s to 1000 Gbit/s as bits per second.
///
/// The units are `bit`, `kbit`, `mbit` and `gbit`, powers of 1000; a bare number is bits.
///
/// # Errors
///
/// [`ForecastError::Malformed`] or [`ForecastError::OutOfRange`], about all of `text`.
pub fn parse_rate(text: &str) -> Result<u64, ForecastError> {
    RATE.parse(text, text)
}

/// Reads a size from 1 byte to 64 MiB as bytes.
///
/// The units are `k` and `m`, powers of 1000, and `ki` and `mi`, powers of 1024.
///
/// # Errors
///
/// [`ForecastError::Malformed`] or [`ForecastError::OutOfRange`], about all of `text`.
pub fn parse_size(text: &str) -> Result<usize, ForecastError> {
    SIZE.parse(text, text).map(usize_of)
}

/// A word of the vocabulary, and the part of a fault that it names.
pub(crate) struct Word {
    pub(crate) name: &'static str,
    /// A good value.
    pub(crate) example: &'static str,
    part: Part,
}

impl Word {
    /// Puts `value` in its place; an error is about `word`, of which the value is a part.
    pub(crate) fn set(&self, fault: &mut Fault, word: &str, value: &str) -> Result<(), ForecastError> {
        let off = value == OFF;
        match self.part {
            Part::Chance(chance) => *chance(fault) = probability(word, value)?,
            Part::Time(time) => {
                *time(fault) = DURATION.parse(word, value).map(Duration::from_nanos)?;
            }
            Part::Burst if off => fault.burst = None,
            Part::Burst => fault.burst = Some(burst(word, value)?),
            Part::Rate if off => fault.rate = None,
            Part::Rate => fault.rate = Some(RATE.parse(word, value)?),
            Part::Queue if off => fault.queue = None,
            Part::Queue => fault.queue = Some(SIZE.parse(word, value).map(usize_of)?),
            Part::Mtu if off => fault.mtu = None,
            Part::Mtu => fault.mtu = Some(MTU.parse(word, value).map(usize_of)?),
        }
        Ok(())
    }

    /// The value that sets what `fault` has; `None` if a clean link has the same.
    pub(crate) fn show(&self, mut fault: Fault) -> Option<String> {
        match self.part {
            Part::Chance(chance) => Some(*chance(&mut fault)).filter(|chance| *chance != 0.0).map(show_probability),
            Part::Time(time) => {
                Some(*time(&mut fault)).filter(|time| !time.is_zero()).map(|time| DURATION.show(time.as_nanos()))
            }
            Part::Burst => fault.burst.map(show_burst),
            Part::Rate => fault.rate.map(|rate| RATE.show(rate.into())),
            Part::Queue => fault.queue.map(|bytes| SIZE.show(bytes as u128)),
            Part::Mtu => fault.mtu.map(|bytes| MTU.show(bytes as u128)),
        }
    }
}

enum Part {
    Chance(fn(&mut Fault) -> &mut f64),
    Time(fn(&mut Fault) -> &mut Duration),
    Burst,
    Rate,
    Queue,
    Mtu,
}

fn probability(word: &str, value: &str) -> Result<f64, ForecastError> {
    let (number, divisor) = match value.strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (value, 1.0),
    };
    let Some(number) = decimal(number).and_then(|number| number.parse::<f64>().ok()) else {
        let form = "a probability like 20% or 0.2";
        return Err(ForecastError::Malformed(word.into(), form));
    };
    let fraction = number / divisor;
    if fraction > 1.0 {
        let range = "a probability is at least 0% and at most 100% (0 to 1)";
        return Err(ForecastError::OutOfRange(word.into(), range));
    }
    Ok(fraction)
}

/// A percentage of at most six decimals where that says exactly this fraction.
fn show_probability(fraction: f64) -> String {
    let percent = format!("{}%", (fraction * 1e8).round() / 1e6);
    match parse_probability(&percent) {
        Ok(read) if read.to_bits() == fraction.to_bits() => percent,
        _ => fraction.to_string(),
    }
}

fn burst(word: &str, value: &str) -> Result<Burst, ForecastError> {
    let Some((enter, leave)) = value.split_once('/') else {
        let form = "the probabilities to enter and to leave a burst like 0.5%/20%, or off";
        return Err(ForecastError::Malformed(word.into(), form));
    };
    Ok(Burst { enter: probability(word, enter)?, leave: probability(word, leave)? })
}

fn show_burst(Burst { enter, leave }: Burst) -> String {
    format!("{}/{}", show_probability(enter), show_probability(leave))
}

/// Numbers with a unit, of one kind.
struct Quantity {
    form: &'static str,
    /// What each unit is worth, best to print first; the empty one is a bare number's.
    units: &'static [(&'static str, u64)],
    range: RangeInclusive<u64>,
    range_text: &'static str,
}

impl Quantity {
    fn parse(&self, word: &str, value: &str) -> Result<u64, ForecastError> {
        let unit_start = value.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, unit) = value.split_at(unit_start.unwrap_or(value.len()));
        let mut units = self.units.iter();
        let unit = units.find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let (Some(number), Some((_, worth))) = (decimal(number), unit) else {
            return Err(ForecastError::Malformed(word.into(), self.form));
        };
        let amount = times(number, *worth);
        if self.range.contains(&amount) {
            Ok(amount)
        } else {
            Err(ForecastError::OutOfRange(word.into(), self.range_text))
        }
    }

    /// The amount in the first unit of which it is a whole number.
    fn show(&self, amount: u128) -> String {
        let mut units = self.units.iter().map(|(name, worth)| (name, u128::from(*worth)));
        match units.find(|(_, worth)| amount.is_multiple_of(*worth)) {
            Some((name, worth)) => format!("{}{name}", amount / worth),
            None => amount.to_string(),
        }
    }
}

/// `text` if it is digits with at most one point: no sign, no exponent, no infinity.
fn decimal(text: &str) -> Option<&str> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let points = text.bytes().filter(|byte| *byte == b'.').count();
    (digits > 0 && points <= 1 && digits + points == text.len()).then_some(text)
}

/// A decimal number times `worth`, rounded down; the greatest number if it is greater still.
fn times(number: &str, worth: u64) -> u64 {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let append = |sum: u128, digit: u8| sum.saturating_mul(10).saturating_add((digit - b'0').into());
    let whole = whole.bytes().fold(0, append).saturating_mul(worth.into());
    // Nine decimals reach the smallest unit of any larger one; nobody means more than eighteen.
    let decimals = fraction.bytes().take(18);
    let ten_power = decimals.clone().fold(1_u128, |power, _| power * 10);
    let part = decimals.fold(0, append) * u128::from(worth) / ten_power;
    u64::try_from(whole.saturating_add(part)).unwrap_or(u64::MAX)
}

/// Bytes in the range of a size, which a 32-bit machine can count too.
fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Takes away what is otherwise a number.
const OFF: &str = "off";

/// In the order in which they are printed.
pub(crate) const WORDS: &[Word] = &[
    word("loss", "20%", Part::Chance(|fault| &mut fault.loss)),
    word("burst", "0.5%/20%", Part::Burst),
    word("dup", "5%", Part::Chance(|fault| &mut fault.dup)),
    word("reorder", "10%", Part::Chance(|fault| &mut fault.reorder)),
    word("late", "2%", Part::Chance(|fault| &mut fault.late)),
    word("corrupt", "1%", Part::Chance(|fault| &mut fault.corrupt)),
    word("delay", "50ms", Part::Time(|fault| &mut fault.delay)),
    word("jitter", "20ms", Part::Time(|fault| &mut fault.jitter)),
    word("rate", "10mbit", Part::Rate),
    word("queue", "64k", Part::Queue),
    word("mtu", "1500", Part::Mtu),
];

const fn word(name: &'static str, example: &'static str, part: Part) -> Word {
    Word { name, example, part }
}

/// More than any path on Earth, and far within what can be added to an `Instant`.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(3600);

const DURATION: Quantity = Quantity {
    form: "a duration like 50ms, 1.5s or 200us (a bare number is ms)",
    units: &[("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1), ("", 1_000_000)],
    range: 0..=TIME_MAX.as_secs() * 1_000_000_000,
    range_text: "a duration is at least 0 and at most 3600s",
};

/// Up to more than any network card sends.
const RATE: Quantity = Quantity {
    form: "a rate like 10mbit, 1.5gbit or 64kbit (a bare number is bits)",
    units: &[("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1), ("", 1)],
    range: 1..=1_000_000_000_000,
    range_text: "a rate is at least 1bit and at most 1000gbit",
};

/// Up to what a link takes in flight.
const SIZE: Quantity = Quantity {
    form: "a size like 1500, 64k or 64ki",
    units: &[("mi", 1 << 20), ("m", 1_000_000), ("ki", 1 << 10), ("k", 1_000), ("", 1)],
    range: 1..=64 << 20,
    range_text: "a size is at least 1 byte and at most 64mi",
};

/// From what every IPv4 link must take (RFC 791) to what a length field can say.
const MTU: Quantity = Quantity {
    form: "a packet size like 1500 or 9k, or off",
    units: &[("", 1), ("mi", 1 << 20), ("m", 1_000_000), ("ki", 1 << 10), ("k", 1_000)],
    range: 68..=65_535,
    range_text: "an mtu is at least 68 and at most 65535 bytes",
};

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_malformed<V: std::fmt::Debug>(text: &str, read: Result<V, ForecastError>) {
        match read {
            Err(ForecastError::Malformed(word, _)) => assert_eq!(word, text),
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    fn assert_out_of_range<V: std::fmt::Debug>(text: &str, read: Result<V, ForecastError>) {
        match read {
            Err(ForecastError::OutOfRange(word, _)) => assert_eq!(word, text),
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[test]
    fn a_probability_is_a_percentage_or_a_fraction() {
        let good: [(_, f64); 9] = [
            ("0", 0.0),
            ("0%", 0.0),
            ("20%", 0.2),
            ("0.2", 0.2),
            (".5", 0.5),
            ("12.5%", 0.125),
            ("1", 1.0),
            ("1.", 1.0),
            ("100%", 1.0),
        ];
        for (text, fraction) in good {
            let read = parse_probability(text).map(f64::to_bits);
            assert_eq!(read, Ok(fraction.to_bits()), "{text:?}");
        }
        let bad = ["", "%", ".", "x", "-1%", "+1%", "1e-2", "inf", "nan", "20 %", "1.2.3", "20%%", "٣%"];
        for text in bad {
            assert_malformed(text, parse_probability(text));
        }
        for text in ["1.01", "100.1%", "20", &"9".repeat(400)] {
            assert_out_of_range(text, parse_probability(text));
        }
    }

    #[test]
    fn a_duration_has_a_unit_or_is_in_milliseconds() {
        let good = [
            ("0", 0),
            ("50", 50_000_000),
            ("50ms", 50_000_000),
            ("1.5s", 1_500_000_000),
            ("1.5", 1_500_000),
            ("200us", 200_000),
            ("0.0015us", 1),
            ("7ns", 7),
            ("2S", 2_000_000_000),
            ("3600s", 3_600_000_000_000),
            ("0.1000000000000000000000000000000000000000001s", 100_000_000),
        ];
        for (text, nanos) in good {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text:?}");
        }
        for text in ["", "ms", ".s", "-1ms", "1m", "1h", "1.2.3s", "1 ms", "1e3", "5ms5", "1µs"] {
            assert_malformed(text, parse_duration(text));
        }
        for text in ["3600.000000001s", "3600001", &"9".repeat(400)] {
            assert_out_of_range(text, parse_duration(text));
        }
    }

    #[test]
    fn a_rate_has_a_decimal_unit_or_is_in_bits() {
        let good = [
            ("1", 1),
            ("1bit", 1),
            ("64kbit", 64_000),
            ("10mbit", 10_000_000),
            ("10Mbit", 10_000_000),
            ("2.5gbit", 2_500_000_000),
            ("1000gbit", 1_000_000_000_000),
        ];
        for (text, bits) in good {
            assert_eq!(parse_rate(text), Ok(bits), "{text:?}");
        }
        for text in ["", "mbit", "10m", "10mbps", "-1bit", "10mbit/s", "1mibit"] {
            assert_malformed(text, parse_rate(text));
        }
        for text in ["0", "0.9bit", "1000.1gbit", &"9".repeat(400)] {
            assert_out_of_range(text, parse_rate(text));
        }
    }

    #[test]
    fn a_size_has_a_decimal_or_a_binary_unit_or_is_in_bytes() {
        let good = [
            ("1", 1),
            ("1500", 1500),
            ("64k", 64_000),
            ("64K", 64_000),
            ("64ki", 65_536),
            ("0.5ki", 512),
            ("1m", 1_000_000),
            ("64mi", 67_108_864),
        ];
        for (text, bytes) in good {
            assert_eq!(parse_size(text), Ok(bytes), "{text:?}");
        }
        for text in ["", "k", "1kb", "1g", "-1", "1k5", "0x10"] {
            assert_malformed(text, parse_size(text));
        }
        for text in ["0", "0.9", "67108865", &"9".repeat(400)] {
            assert_out_of_range(text, parse_size(text));
        }
    }

    #[test]
    fn an_mtu_is_what_an_ip_packet_can_be() {
        for (value, mtu) in [("68", 68), ("1.5k", 1500), ("65535", 65_535)] {
            assert_eq!(MTU.parse("mtu", value), Ok(mtu));
        }
        for value in ["67", "65536"] {
            assert_out_of_range(value, MTU.parse(value, value));
        }
    }

    #[test]
    fn amounts_print_in_the_largest_unit_that_fits() {
        assert_eq!(DURATION.show(1_100_000_000), "1100ms");
        assert_eq!(DURATION.show(2_000_000_000), "2s");
        assert_eq!(DURATION.show(1_001), "1001ns");
        assert_eq!(RATE.show(10_000_000), "10mbit");
        assert_eq!(RATE.show(1_234), "1234bit");
        assert_eq!(SIZE.show(64_000), "64k");
        assert_eq!(SIZE.show(65_536), "64ki");
        assert_eq!(SIZE.show(1_000_001), "1000001");
        assert_eq!(MTU.show(9_000), "9000");
    }

    #[test]
    fn probabilities_print_as_percentages_where_those_are_exact() {
        for (fraction, text) in [(0.2, "20%"), (0.005, "0.5%"), (1.0, "100%"), (0.07, "7%")] {
            assert_eq!(show_probability(fraction), text);
        }
        assert_eq!(show_probability(1.0 / 3.0), "0.3333333333333333");
        assert_eq!(show_probability(1e-12), "0.000000000001");
    }

    #[test]
    fn every_example_sets_its_word_and_is_shown_again() {
        for word in WORDS {
            let mut fault = Fault::default();
            assert_eq!(word.show(fault), None, "{}", word.name);
            assert_eq!(word.set(&mut fault, word.name, word.example), Ok(()));
            assert_eq!(word.show(fault).as_deref(), Some(word.example));
        }
    }

    #[test]
    fn off_takes_a_limit_or_bursts_away_and_is_no_number() {
        for word in WORDS {
            let mut fault = Fault::default();
            assert_eq!(word.set(&mut fault, word.name, word.example), Ok(()));
            if ["burst", "rate", "queue", "mtu"].contains(&word.name) {
                assert_eq!(word.set(&mut fault, word.name, OFF), Ok(()));
                assert_eq!(fault, Fault::default());
            } else {
                assert_malformed(word.name, word.set(&mut fault, word.name, OFF));
            }
        }
    }
}
