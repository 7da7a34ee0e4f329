//! What a client says to the registry.

use super::{ClientName, Fields, Key, Token, Unreadable, Who, field, first_word, listed, number};
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::str::FromStr;

/// What a client says to the registry, as the text of a numbered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `Client Join key=.. [token=..] [number=..] [name=..] [at=..]`: it is here from now on.
    Join(Join),
    /// `Client Here`: it is still here.
    Here,
    /// `Client List <after>`: who is here? The answer has clients with higher numbers than this.
    List {
        /// The number after which the answer begins.
        after: u64,
    },
    /// `Client Lookup <who>`: where is this one?
    Lookup(Who),
    /// `Client Meet <who>`: where is this one, and may it be told that we come?
    Meet(Who),
    /// `Client Leave`: it goes.
    Leave,
}

/// Who joins, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Proves later that it is the same client, from whatever address.
    pub key: Key,
    /// The registry's proof that messages reach the address that this comes from; without it the first answer is such a token.
    pub token: Option<Token>,
    /// The number that it asks for: the one that it had.
    pub number: Option<u64>,
    /// The name that it asks for.
    pub name: Option<ClientName>,
    /// Its own addresses as it sees them, [`REPORTED_MAX`] at most: for clients behind the same router.
    pub reported: Vec<SocketAddr>,
}

impl FromStr for Request {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let Some(text) = text.strip_prefix("Client ") else { return Err(Unreadable::Unknown) };
        let (word, rest) = first_word(text);
        // Blanks at the end are padding.
        let rest = rest.trim_end_matches(' ');
        let who = || rest.parse().map_err(|_| Unreadable::Senseless("the client"));
        match word {
            "Join" => Join::from_fields(Fields(rest)).map(Request::Join),
            "Here" => Ok(Request::Here),
            "List" => number(rest, "the number").map(|after| Request::List { after }),
            "Lookup" => who().map(Request::Lookup),
            "Meet" => who().map(Request::Meet),
            "Leave" => Ok(Request::Leave),
            _ => Err(Unreadable::Unknown),
        }
    }
}

impl Join {
    fn from_fields(fields: Fields<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            key: fields.need("key")?,
            token: fields.parse("token")?,
            number: fields.number("number")?,
            name: fields.parse("name")?,
            reported: fields.addresses("at", REPORTED_MAX)?,
        })
    }
}

impl Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Request::Join(join) => return Display::fmt(join, f),
            Request::Here => "Client Here".to_owned(),
            Request::List { after } => format!("Client List {after}"),
            Request::Lookup(who) => format!("Client Lookup {who}"),
            Request::Meet(who) => format!("Client Meet {who}"),
            Request::Leave => "Client Leave".to_owned(),
        };
        // As long as `Client Unknown`, which a registry that was started anew answers, and only to what is no shorter.
        write!(f, "{text:<LENGTH_MIN$}")
    }
}

impl Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client Join key={}", self.key)?;
        field(f, "token", self.token)?;
        field(f, "number", self.number)?;
        field(f, "name", self.name.as_ref())?;
        field(f, "at", listed(&self.reported))
    }
}

/// No request is shorter, in characters.
const LENGTH_MIN: usize = "Client Unknown".len();

/// Addresses that a client may report: one of each family, and one more of each.
pub const REPORTED_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::super::Hex;
    use super::*;

    #[test]
    fn requests_are_written_as_they_are_read() {
        let key = Hex([0xab; 16]);
        let reported =
            vec!["192.0.2.1:5000".parse().expect("an address"), "[2001:db8::1]:7".parse().expect("an address")];
        let bare = Join { key, token: None, number: None, name: None, reported: Vec::new() };
        let full =
            Join { token: Some(Hex([1; 16])), number: Some(3), name: "zoë".parse().ok(), reported, ..bare.clone() };
        let (key, token) = ("ab".repeat(16), "01".repeat(16));
        for (request, text) in [
            (Request::Join(bare), format!("Client Join key={key}")),
            (
                Request::Join(full),
                format!("Client Join key={key} token={token} number=3 name=zoë at=192.0.2.1:5000,[2001:db8::1]:7"),
            ),
            (Request::Here, "Client Here   ".into()),
            (Request::List { after: 20 }, "Client List 20".into()),
            (Request::Lookup(Who::Number(2)), "Client Lookup 2".into()),
            (Request::Meet(Who::Name("bob".parse().expect("a name"))), "Client Meet bob".into()),
            (Request::Leave, "Client Leave  ".into()),
        ] {
            assert_eq!(request.to_string(), text);
            assert_eq!(text.parse(), Ok(request));
        }
    }

    #[test]
    fn what_a_client_repeats_is_no_shorter_than_the_answer_that_it_is_not_known() {
        let answer = super::super::Answer::Unknown.to_string();
        for (request, text) in [(Request::Here, "Client Here"), (Request::Leave, "Client Leave")] {
            assert!(request.to_string().len() >= answer.len());
            assert_eq!(text.parse(), Ok(request), "the blanks mean nothing");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let key = "ab".repeat(16);
        for (text, complaint) in [
            ("", Unreadable::Unknown),
            ("Client", Unreadable::Unknown),
            ("Client Dance", Unreadable::Unknown),
            ("Client Join", Unreadable::Missing("key")),
            ("Client Join key=ab", Unreadable::Senseless("key")),
            (&format!("Client Join key={key} name=7"), Unreadable::Senseless("name")),
            (&format!("Client Join key={key} number=-1"), Unreadable::Senseless("number")),
            (&format!("Client Join key={key} at=here"), Unreadable::Senseless("at")),
            ("Client Lookup", Unreadable::Senseless("the client")),
            ("Client List", Unreadable::Senseless("the number")),
        ] {
            assert_eq!(text.parse::<Request>(), Err(complaint), "{text}");
        }
        let padded = format!("Client Join key={key} later=unknown   ");
        assert!(padded.parse::<Request>().is_ok(), "fields that are not known are ignored");
    }
}
