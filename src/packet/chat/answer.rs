//! What the registry says to a client.

use super::{ClientName, Fields, Meeting, REPORTED_MAX, Token, Unreadable, Who, field, first_word, listed, number};
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::str::FromStr;

/// What the registry says to a client. The first two come under the number of what they answer and are not acknowledged: the
/// registry keeps nothing of an address that has not proved itself. All others are numbered messages of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `Client Token <token>`: join again with this, so that it is certain that you live there.
    Token(Token),
    /// `Client Unknown`: join (again) first.
    Unknown,
    /// `Client Number <n> [name=..] seen=<address>`: you are in.
    Number {
        /// The client's number from now on.
        number: u64,
        /// Its name, if it asked for one.
        name: Option<ClientName>,
        /// The address that its messages come from.
        seen: SocketAddr,
    },
    /// `Client Refused <reason>`: you are not.
    Refused(Refusal),
    /// `Client List total=<n> [next=<n>] clients=1:alice,2,3:bob`: a page of those who are here.
    List {
        /// How many are here in all.
        total: u64,
        /// There are more: ask for the list after this number.
        next: Option<u64>,
        /// Some of them, by rising number.
        clients: Vec<Listed>,
    },
    /// `Client <who> Active number=<n> [name=..] at=<addresses>`: that is where it is.
    Active {
        /// Whom the question meant.
        who: Who,
        /// Where it is.
        client: Whereabouts,
    },
    /// `Client <who> Inactive`: nobody of that number or name is here.
    Inactive(Who),
    /// `Client Meet <meeting> number=<n> [name=..] at=<addresses>`: try to reach this one now, as it tries to reach you.
    Meet {
        /// The word that both know.
        meeting: Meeting,
        /// Where the other one is.
        client: Whereabouts,
    },
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The client's number.
    pub number: u64,
    /// Its name, if it has one.
    pub name: Option<ClientName>,
}

/// Who a client is, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// Its number.
    pub number: u64,
    /// Its name, if it has one.
    pub name: Option<ClientName>,
    /// Its address as the registry sees it, then those that it reported and that may help; never none.
    pub addresses: Vec<SocketAddr>,
}

/// Why the registry lets somebody not in, or does not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody else has the name.
    NameTaken,
    /// No more clients fit.
    Full,
    /// Too many from this address.
    TooMany,
    /// Asked too often; later, please.
    TooOften,
    /// Others have asked for the same client too often; later, please.
    Busy,
}

impl Refusal {
    const ALL: [Refusal; 5] = [Refusal::NameTaken, Refusal::Full, Refusal::TooMany, Refusal::TooOften, Refusal::Busy];

    /// The word for it on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Refusal::NameTaken => "name-taken",
            Refusal::Full => "full",
            Refusal::TooMany => "too-many",
            Refusal::TooOften => "too-often",
            Refusal::Busy => "busy",
        }
    }
}

impl FromStr for Answer {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let Some(text) = text.strip_prefix("Client ") else { return Err(Unreadable::Unknown) };
        let (word, rest) = first_word(text);
        let fields = Fields(rest);
        match word {
            "Token" => rest.trim_end().parse().map(Answer::Token).map_err(|()| Unreadable::Senseless("the token")),
            "Unknown" => Ok(Answer::Unknown),
            "Number" => {
                let (digits, rest) = first_word(rest);
                let fields = Fields(rest);
                let number = number(digits, "the number")?;
                Ok(Answer::Number { number, name: fields.parse("name")?, seen: fields.need("seen")? })
            }
            "Refused" => Refusal::ALL
                .into_iter()
                .find(|refusal| refusal.word() == first_word(rest).0)
                .map(Answer::Refused)
                .ok_or(Unreadable::Senseless("the reason")),
            "List" => Ok(Answer::List {
                total: fields.number("total")?.ok_or(Unreadable::Missing("total"))?,
                next: fields.number("next")?,
                clients: fields.get("clients").map_or(Ok(Vec::new()), Listed::parse_all)?,
            }),
            "Meet" => {
                let (meeting, rest) = first_word(rest);
                let meeting = meeting.parse().map_err(|()| Unreadable::Senseless("the meeting"))?;
                Ok(Answer::Meet { meeting, client: Whereabouts::from_fields(Fields(rest))? })
            }
            who => about(who, rest),
        }
    }
}

/// `<who> Active ...` or `<who> Inactive`.
fn about(who: &str, rest: &str) -> Result<Answer, Unreadable> {
    let (word, rest) = first_word(rest);
    let who = || who.parse().map_err(|_| Unreadable::Senseless("the client"));
    match word {
        "Active" => Ok(Answer::Active { who: who()?, client: Whereabouts::from_fields(Fields(rest))? }),
        "Inactive" => who().map(Answer::Inactive),
        _ => Err(Unreadable::Unknown),
    }
}

impl Listed {
    fn parse_all(list: &str) -> Result<Vec<Listed>, Unreadable> {
        list.split(',').map(Listed::parse).collect()
    }

    fn parse(text: &str) -> Result<Listed, Unreadable> {
        let (digits, name) = text.split_once(':').map_or((text, None), |(digits, name)| (digits, Some(name)));
        let name = name.map(str::parse).transpose().map_err(|_| Unreadable::Senseless("a name"))?;
        Ok(Listed { number: number(digits, "a number")?, name })
    }
}

impl Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}:{name}", self.number),
            None => write!(f, "{}", self.number),
        }
    }
}

impl Whereabouts {
    fn from_fields(fields: Fields<'_>) -> Result<Self, Unreadable> {
        let number = fields.number("number")?.ok_or(Unreadable::Missing("number"))?;
        let addresses = fields.addresses("at", 1 + REPORTED_MAX)?;
        if addresses.is_empty() {
            return Err(Unreadable::Missing("at"));
        }
        Ok(Self { number, name: fields.parse("name")?, addresses })
    }
}

impl Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "number={}", self.number)?;
        field(f, "name", self.name.as_ref())?;
        field(f, "at", listed(&self.addresses))
    }
}

impl Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Token(token) => write!(f, "Client Token {token}"),
            Answer::Unknown => f.write_str("Client Unknown"),
            Answer::Number { number, name, seen } => {
                write!(f, "Client Number {number}")?;
                field(f, "name", name.as_ref())?;
                write!(f, " seen={seen}")
            }
            Answer::Refused(refusal) => write!(f, "Client Refused {}", refusal.word()),
            Answer::List { total, next, clients } => {
                write!(f, "Client List total={total}")?;
                field(f, "next", *next)?;
                let clients: Vec<String> = clients.iter().map(Listed::to_string).collect();
                field(f, "clients", (!clients.is_empty()).then(|| clients.join(",")))
            }
            Answer::Active { who, client } => write!(f, "Client {who} Active {client}"),
            Answer::Inactive(who) => write!(f, "Client {who} Inactive"),
            Answer::Meet { meeting, client } => write!(f, "Client Meet {meeting} {client}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Hex;
    use super::*;

    #[test]
    fn answers_are_written_as_they_are_read() {
        let alice: ClientName = "alice".parse().expect("a name");
        let seen: SocketAddr = "192.0.2.1:5000".parse().expect("an address");
        let client = Whereabouts {
            number: 2,
            name: Some(alice.clone()),
            addresses: vec![seen, "10.0.0.7:5000".parse().expect("an address")],
        };
        let clients = vec![Listed { number: 1, name: Some(alice.clone()) }, Listed { number: 9, name: None }];
        for (answer, text) in [
            (Answer::Token(Hex([7; 16])), format!("Client Token {}", "07".repeat(16))),
            (Answer::Unknown, "Client Unknown".into()),
            (Answer::Number { number: 3, name: None, seen }, "Client Number 3 seen=192.0.2.1:5000".into()),
            (
                Answer::Number { number: 3, name: Some(alice.clone()), seen },
                "Client Number 3 name=alice seen=192.0.2.1:5000".into(),
            ),
            (Answer::Refused(Refusal::NameTaken), "Client Refused name-taken".into()),
            (Answer::List { total: 0, next: None, clients: Vec::new() }, "Client List total=0".into()),
            (
                Answer::List { total: 30, next: Some(9), clients },
                "Client List total=30 next=9 clients=1:alice,9".into(),
            ),
            (
                Answer::Active { who: Who::Name(alice), client: client.clone() },
                "Client alice Active number=2 name=alice at=192.0.2.1:5000,10.0.0.7:5000".into(),
            ),
            (Answer::Inactive(Who::Number(2)), "Client 2 Inactive".into()),
            (
                Answer::Meet { meeting: Hex([1; 8]), client },
                "Client Meet 0101010101010101 number=2 name=alice at=192.0.2.1:5000,10.0.0.7:5000".into(),
            ),
        ] {
            assert_eq!(answer.to_string(), text);
            assert_eq!(text.parse(), Ok(answer));
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, complaint) in [
            ("Client 2", Unreadable::Unknown),
            ("Client 2 Dancing", Unreadable::Unknown),
            ("Client 2 Active number=2", Unreadable::Missing("at")),
            ("Client Number 2", Unreadable::Missing("seen")),
            ("Client Refused because", Unreadable::Senseless("the reason")),
            ("Client List total=1 clients=x", Unreadable::Senseless("a number")),
        ] {
            assert_eq!(text.parse::<Answer>(), Err(complaint), "{text}");
        }
    }
}
