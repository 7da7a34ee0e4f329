//! What the chat's programs say to each other: the texts of numbered messages, named as the exercise names them.
//!
//! A text is some words, then fields: `Client Join key=... name=alice`. A reader ignores fields that it does not know. What a
//! person typed always comes last and to the end of the text, so that nothing in it can be taken for a field.

mod answer;
mod name;
mod request;
mod talk;

pub use answer::{Answer, Listed, Refusal, Whereabouts};
pub use name::{BadName, ClientName, NAME_BYTES, Who};
pub use request::{Join, REPORTED_MAX, Request};
pub use talk::Talk;

use crate::codec;
use std::fmt::{self, Debug, Display};
use std::net::SocketAddr;
use std::str::FromStr;
use thiserror::Error;

/// Why a text says nothing that a chat knows.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unreadable {
    /// Its first words are none of ours.
    #[error("it begins with no words that a chat knows")]
    Unknown,
    /// A field is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field says something impossible.
    #[error("{0} makes no sense")]
    Senseless(&'static str),
}

/// Some bytes as hexadecimal digits: keys, tokens, meetings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hex<const N: usize>(pub [u8; N]);

/// What a client proves with that it is the one that joined: 128 random bits of its own.
pub type Key = Hex<16>;

/// What the registry has a new address send back, to see that it lives there.
pub type Token = Hex<16>;

/// The registry's word for one attempt of two clients to meet: who knows it was introduced.
pub type Meeting = Hex<8>;

impl<const N: usize> Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl<const N: usize> Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl<const N: usize> FromStr for Hex<N> {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; N];
        hex::decode_to_slice(text, &mut bytes).map(|()| Self(bytes)).map_err(|_| ())
    }
}

/// The fields of a text: `key=value`, with blanks between them.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    /// The field's value, where it stands.
    fn get(self, key: &str) -> Option<&'a str> {
        self.0.split(' ').find_map(|field| field.strip_prefix(key)?.strip_prefix('='))
    }

    /// The field's value, read; `None` where it does not stand.
    fn parse<T: FromStr>(self, key: &'static str) -> Result<Option<T>, Unreadable> {
        self.get(key).map(|text| text.parse().map_err(|_| Unreadable::Senseless(key))).transpose()
    }

    /// The field's value, read; it must stand there.
    fn need<T: FromStr>(self, key: &'static str) -> Result<T, Unreadable> {
        self.parse(key)?.ok_or(Unreadable::Missing(key))
    }

    /// A strict decimal.
    fn number(self, key: &'static str) -> Result<Option<u64>, Unreadable> {
        self.get(key).map(|text| number(text, key)).transpose()
    }

    /// At most `max` addresses with commas between them; those beyond are ignored.
    fn addresses(self, key: &'static str, max: usize) -> Result<Vec<SocketAddr>, Unreadable> {
        let Some(list) = self.get(key) else { return Ok(Vec::new()) };
        let addresses = list.split(',').take(max);
        addresses.map(|text| text.parse().map_err(|_| Unreadable::Senseless(key))).collect()
    }
}

/// A strict decimal; `what` it is, for the complaint.
fn number(text: &str, what: &'static str) -> Result<u64, Unreadable> {
    codec::decimal(text.as_bytes()).map_err(|_| Unreadable::Senseless(what))
}

/// Writes ` key=value`, if there is a value.
fn field(f: &mut fmt::Formatter<'_>, key: &str, value: Option<impl Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, " {key}={value}"))
}

/// Addresses with commas between them; `None` for none.
fn listed(addresses: &[SocketAddr]) -> Option<String> {
    let texts: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

/// The first word, and what follows its blank.
fn first_word(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_upsets_a_reader(text in "\\PC{0,80}") {
            let _ = text.parse::<Request>();
            let _ = text.parse::<Answer>();
            let _ = Talk::parse(&text);
        }

        #[test]
        fn no_fields_behind_known_words_upset_a_reader(
            words in prop::sample::select(vec![
                "Client Join", "Client List", "Client Lookup", "Client Meet", "Client Number", "Client Refused", "Client 1 Active",
                "Client Token", "Connection Request", "Connection Reject", "Message", "File Offer", "File Reject", "Probe",
            ]),
            rest in "[ 0-9a-f=:,.\\[\\]a-z]{0,60}",
        ) {
            let text = format!("{words} {rest}");
            if let Ok(request) = text.parse::<Request>() {
                prop_assert_eq!(request.to_string().parse(), Ok(request));
            }
            if let Ok(answer) = text.parse::<Answer>() {
                prop_assert_eq!(answer.to_string().parse(), Ok(answer));
            }
            if let Ok(talk) = Talk::parse(&text) {
                let said = talk.to_string();
                prop_assert_eq!(Talk::parse(&said), Ok(talk));
            }
        }
    }
}
