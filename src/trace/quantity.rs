//! Numbers and times as people read them.

use std::time::Duration;

/// `0.48 s`, `12 ms`, `85 us`, `2 min 5 s`: two or three digits, which is all that a picture is read for.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        _ if seconds >= 119.5 => {
            let whole = seconds.round();
            format!("{} min {} s", (whole / 60.0).floor(), whole % 60.0)
        }
        _ if seconds >= 9.95 => format!("{seconds:.0} s"),
        _ if seconds >= 0.0995 => format!("{} s", trimmed(seconds)),
        _ if seconds >= 0.00995 => format!("{:.0} ms", seconds * 1e3),
        _ if seconds >= 0.000_995 => format!("{} ms", trimmed(seconds * 1e3)),
        _ if time.is_zero() => "0 s".into(),
        _ => format!("{:.0} us", seconds * 1e6),
    }
}

/// Two decimals, without zeros at the end.
fn trimmed(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// `4,982`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 message`, `4,982 messages`.
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number))
}

/// `2nd`, `3rd`, `11th`.
pub fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// How many decimals a time stamp needs where `usual` is a round trip, and has room for where `longest` is the last time.
pub fn decimals(usual: Duration, longest: Duration) -> usize {
    let needed: usize = match usual {
        _ if usual >= Duration::from_millis(3) => 3,
        _ if usual >= Duration::from_micros(300) => 4,
        _ => 5,
    };
    let digits = longest.as_secs().checked_ilog10().unwrap_or(0) as usize + 1;
    needed.min(STAMP_WIDTH.saturating_sub(digits + 1))
}

/// A time stamp with its point, in characters.
pub const STAMP_WIDTH: usize = 7;

/// A text of at most `width` characters: what is too long loses its middle, for the end of a name and of a message says more.
pub fn fitted(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.into();
    }
    let tail = width / 3;
    let head = width.saturating_sub(tail + 1);
    text.chars().take(head).chain(['…']).chain(text.chars().skip(length - tail)).take(width).collect()
}

/// Lines of at most `width` characters, broken at blanks.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(fitted(word, width)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_or_three_digits() {
        for (nanos, words) in [
            (0, "0 s"),
            (900, "1 us"),
            (85_000, "85 us"),
            (1_200_000, "1.2 ms"),
            (12_345_678, "12 ms"),
            (480_000_000, "0.48 s"),
            (500_000_000, "0.5 s"),
            (1_000_000_000, "1 s"),
            (3_249_000_000, "3.25 s"),
            (32_400_000_000, "32 s"),
            (125_000_000_000, "2 min 5 s"),
        ] {
            assert_eq!(span(Duration::from_nanos(nanos)), words);
        }
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([1, 2, 3, 4, 11, 12, 13, 22, 111].map(ordinal).concat(), "1st2nd3rd4th11th12th13th22nd111th");
        assert_eq!((count(1, "message"), count(2000, "message")), ("1 message".into(), "2,000 messages".into()));
    }

    #[test]
    fn stamps_are_as_fine_as_they_need_and_can_be() {
        let millis = Duration::from_millis;
        assert_eq!([millis(20), millis(1), Duration::ZERO].map(|usual| decimals(usual, millis(9000))), [3, 4, 5]);
        assert_eq!([99_999, 100_000, 10_000_000_000].map(|longest| decimals(millis(1), millis(longest))), [4, 3, 0]);
    }

    #[test]
    fn what_is_too_long_loses_its_middle() {
        assert_eq!(fitted("s | 0 | name", 12), "s | 0 | name");
        assert_eq!(fitted("s | 0 | a long name.jpg", 12), "s | 0 |….jpg");
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!((fitted("abc", 1), fitted("abc", 0)), ("…".into(), String::new()));
    }
}
