//! What a client may call itself, and how others say whom they mean.

use crate::codec;
use crate::name::is_hidden;
use std::fmt::{self, Display};
use std::str::FromStr;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

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
    /// Nobody could say it.
    #[error("a name has at least one letter or digit")]
    Unspeakable,
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

    /// The name as it is compared: two that differ only in case, in how their characters are composed, or in width (Unicode's
    /// form NFKC) are one. Letters of two scripts that only look alike are two.
    pub fn folded(&self) -> String {
        folded(&self.0)
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
        // What a compatibility character stands for counts as well: a full-width comma is a comma.
        let folded = folded(text);
        if let Some(character) = text.chars().chain(folded.chars()).find(|character| is_forbidden(*character)) {
            return Err(BadName::Forbidden { character });
        }
        if folded.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadName::Number);
        }
        if !folded.chars().any(is_letter_or_digit) {
            return Err(BadName::Unspeakable);
        }
        if RESERVED.iter().any(|word| word.eq_ignore_ascii_case(&folded)) {
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

/// Upper case first: where several small letters have one capital (the Greek sigmas), they are one.
fn folded(text: &str) -> String {
    text.nfkc().collect::<String>().to_uppercase().to_lowercase().nfkc().collect()
}

/// Whether a character would break a text or a terminal, is not seen, or means nothing that everybody agrees on.
fn is_forbidden(character: char) -> bool {
    is_hidden(character)
        || character.is_whitespace()
        || matches!(character, ',' | BLANK_BRAILLE)
        || character.general_category_group() == GeneralCategoryGroup::Other
}

fn is_letter_or_digit(character: char) -> bool {
    character.general_category_group() == GeneralCategoryGroup::Letter
        || character.general_category() == GeneralCategory::DecimalNumber
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

/// The pattern without dots: a symbol that nobody sees.
const BLANK_BRAILLE: char = '\u{2800}';

/// What stands in an answer where a client may stand as well (`Client List ...`, `Client bob Inactive`).
const RESERVED: [&str; 6] = ["Token", "Unknown", "Number", "Refused", "List", "Meet"];

/// The longest name, in bytes of UTF-8.
pub const NAME_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_printable_word_that_is_no_number() {
        for good in [
            "alice",
            "Zoë",
            "r2d2",
            "2b",
            "-1",
            "a=b",
            "名前",
            "Нина",
            "x🎉",
            "zo\u{65}\u{308}",
            &"x".repeat(NAME_BYTES),
        ] {
            assert_eq!(good.parse::<ClientName>().map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for (bad, why) in [
            ("", BadName::Empty),
            ("a b", BadName::Forbidden { character: ' ' }),
            ("a,b", BadName::Forbidden { character: ',' }),
            ("a\u{1b}[2J", BadName::Forbidden { character: '\u{1b}' }),
            ("a\u{202e}b", BadName::Forbidden { character: '\u{202e}' }),
            ("a\u{3000}b", BadName::Forbidden { character: '\u{3000}' }),
            ("a\u{ff0c}b", BadName::Forbidden { character: ',' }),
            ("a\u{ad}b", BadName::Forbidden { character: '\u{ad}' }),
            ("\u{3164}", BadName::Forbidden { character: '\u{3164}' }),
            ("a\u{fe0f}", BadName::Forbidden { character: '\u{fe0f}' }),
            ("a\u{e0041}", BadName::Forbidden { character: '\u{e0041}' }),
            ("a\u{e000}", BadName::Forbidden { character: '\u{e000}' }),
            ("a\u{2800}", BadName::Forbidden { character: '\u{2800}' }),
            ("a\u{378}", BadName::Forbidden { character: '\u{378}' }),
            ("-", BadName::Unspeakable),
            ("\u{308}", BadName::Unspeakable),
            ("...", BadName::Unspeakable),
            ("007", BadName::Number),
            ("\u{ff17}", BadName::Number),
            ("\u{ff4c}ist", BadName::Reserved),
            ("list", BadName::Reserved),
            (&"é".repeat(33), BadName::TooLong(66)),
        ] {
            assert_eq!(bad.parse::<ClientName>(), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn names_that_look_alike_are_one_and_scripts_are_not_compared() {
        let folded = |name: &str| name.parse::<ClientName>().expect("a name").folded();
        for (one, other) in [
            ("alice", "ALICE"),
            ("zo\u{eb}", "zoe\u{308}"),
            ("bob", "\u{ff42}\u{ff4f}\u{ff42}"),
            ("straße", "STRASSE"),
            ("σίσυφος", "ΣΊΣΥΦΟΣ"),
            ("e\u{301}va", "ÉVA"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        assert_ne!(folded("bob"), folded("b\u{43e}b"), "a Cyrillic letter is another letter");
    }

    #[test]
    fn whom_somebody_means_is_a_number_or_a_name() {
        assert_eq!("7".parse(), Ok(Who::Number(7)));
        assert_eq!("007".parse(), Ok(Who::Number(7)));
        assert_eq!("bob".parse::<Who>().map(|who| who.to_string()), Ok("bob".to_owned()));
        assert_eq!("99999999999999999999".parse::<Who>(), Err(BadName::Number));
    }
}
