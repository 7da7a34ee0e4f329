//! What a client may call itself, and how others say whom they mean.

use crate::codec;
use crate::name::is_hidden;
use std::fmt::{self, Display};
use std::str::FromStr;
use thiserror::Error;

/// A client's name: safe to print, one word, and never to be taken for a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientName(String);

/// Why a text is no client's name.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BadName {
    /// There is nothing.
    #[error("a name has at least one character")]
    Empty,
    /// It is too long.
    #[error("a name has at most {NAME_BYTES} bytes, not {0}")]
    TooLong(usize),
    /// It has a character that would break a text or a terminal.
    #[error("a name has no {}", character.escape_unicode())]
    Forbidden {
        /// Which.
        character: char,
    },
    /// It looks like a number.
    #[error("a name is no number: clients have numbers besides")]
    Number,
    /// The registry says it itself.
    #[error("the registry uses this word itself")]
    Reserved,
}

impl ClientName {
    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as it is compared: two that differ only in case are one.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

impl FromStr for ClientName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if text.is_empty() {
            return Err(BadName::Empty);
        }
        if text.len() > NAME_BYTES {
            return Err(BadName::TooLong(text.len()));
        }
        let forbidden = |character: &char| is_hidden(*character) || character.is_whitespace() || *character == ',';
        if let Some(character) = text.chars().find(forbidden) {
            return Err(BadName::Forbidden { character });
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadName::Number);
        }
        if RESERVED.iter().any(|word| word.eq_ignore_ascii_case(text)) {
            return Err(BadName::Reserved);
        }
        Ok(Self(text.to_owned()))
    }
}

impl Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whom somebody means: a client's number or its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// Its number.
    Number(u64),
    /// Its name.
    Name(ClientName),
}

impl FromStr for Who {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        match codec::decimal(text.as_bytes()) {
            Ok(number) => Ok(Who::Number(number)),
            Err(_) => text.parse().map(Who::Name),
        }
    }
}

impl Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Number(number) => Display::fmt(number, f),
            Who::Name(name) => Display::fmt(name, f),
        }
    }
}

/// What stands in an answer where a client may stand as well (`Client List ...`, `Client bob Inactive`).
const RESERVED: [&str; 6] = ["Token", "Unknown", "Number", "Refused", "List", "Meet"];

/// The longest name, in bytes of UTF-8.
pub const NAME_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_printable_word_that_is_no_number() {
        for good in ["alice", "Zoë", "r2d2", "2b", "-", "a=b", "名前", &"x".repeat(NAME_BYTES)] {
            assert_eq!(good.parse::<ClientName>().map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for (bad, why) in [
            ("", BadName::Empty),
            ("a b", BadName::Forbidden { character: ' ' }),
            ("a,b", BadName::Forbidden { character: ',' }),
            ("a\u{1b}[2J", BadName::Forbidden { character: '\u{1b}' }),
            ("a\u{202e}b", BadName::Forbidden { character: '\u{202e}' }),
            ("a\u{3000}b", BadName::Forbidden { character: '\u{3000}' }),
            ("007", BadName::Number),
            ("list", BadName::Reserved),
            (&"é".repeat(33), BadName::TooLong(66)),
        ] {
            assert_eq!(bad.parse::<ClientName>(), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn whom_somebody_means_is_a_number_or_a_name() {
        assert_eq!("7".parse(), Ok(Who::Number(7)));
        assert_eq!("007".parse(), Ok(Who::Number(7)));
        assert_eq!("bob".parse::<Who>().map(|who| who.to_string()), Ok("bob".to_owned()));
        assert_eq!("99999999999999999999".parse::<Who>(), Err(BadName::Number));
    }
}
