//! Named misbehaviours of a server: one fault each, for trying out clients.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// What a server does wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant's sentence stands in MISBEHAVIOURS, where users read it too")]
pub enum Misbehaviour {
    LoseStart,
    LoseStartAck,
    LoseEveryOtherData,
    LoseEveryOtherAck,
    LoseLastAck,
    DuplicateAcks,
    LateAcks,
    LateAck,
    StaleAcks,
    FutureAcks,
    Garbage,
    TruncatedAcks,
    WrongPort,
    Forgets,
    TinyBuffer,
    Silent,
    DiesMidway,
}

/// Every misbehaviour, its name and what it does, in a sentence.
pub const MISBEHAVIOURS: &[(Misbehaviour, &str, &str)] = &[
    (Misbehaviour::LoseStart, "lose-start", "The first start of each peer is lost on its way in."),
    (Misbehaviour::LoseStartAck, "lose-start-ack", "The first acknowledgement of each peer's start is lost."),
    (Misbehaviour::LoseEveryOtherData, "lose-every-other-data", "The first, third, fifth ... data message is lost."),
    (
        Misbehaviour::LoseEveryOtherAck,
        "lose-every-other-ack",
        "The first, third, fifth ... acknowledgement of data is lost.",
    ),
    (Misbehaviour::LoseLastAck, "lose-last-ack", "The acknowledgement that ends a transfer is lost once."),
    (Misbehaviour::DuplicateAcks, "duplicate-acks", "Every acknowledgement is sent twice."),
    (Misbehaviour::LateAcks, "late-acks", "Every acknowledgement is sent 1.2 s late."),
    (
        Misbehaviour::LateAck,
        "late-ack",
        "One acknowledgement, the second of data, is held back until its chunk comes again.",
    ),
    (Misbehaviour::StaleAcks, "stale-acks", "Before each acknowledgement the previous one is sent again."),
    (Misbehaviour::FutureAcks, "future-acks", "Before each acknowledgement one is sent whose number is one too high."),
    (
        Misbehaviour::Garbage,
        "garbage",
        "Before each acknowledgement come an empty datagram and one that is no message.",
    ),
    (
        Misbehaviour::TruncatedAcks,
        "truncated-acks",
        "Before each acknowledgement comes its beginning, cut before the number.",
    ),
    (
        Misbehaviour::WrongPort,
        "wrong-port",
        "Before each acknowledgement the same comes from another port; for the first chunk only that, and the chunk is lost.",
    ),
    (Misbehaviour::Forgets, "forgets", "In the middle of a transfer the server forgets it and stays silent."),
    (Misbehaviour::TinyBuffer, "tiny-buffer", "The announced buffer has 64 bytes."),
    (Misbehaviour::Silent, "silent", "Nothing is ever answered."),
    (
        Misbehaviour::DiesMidway,
        "dies-midway",
        "In the middle of the first transfer the server ends, and its port is closed.",
    ),
];

/// A misbehaviour that does not exist.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("there is no misbehaviour {0:?}; --list shows them all")]
pub struct UnknownMisbehaviour(String);

impl FromStr for Misbehaviour {
    type Err = UnknownMisbehaviour;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = MISBEHAVIOURS.iter().find(|(_, known, _)| *known == name);
        known.map(|(misbehaviour, ..)| *misbehaviour).ok_or_else(|| UnknownMisbehaviour(name.to_string()))
    }
}

impl fmt::Display for Misbehaviour {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = MISBEHAVIOURS.iter().find(|(known, ..)| known == self).map_or("", |(_, name, _)| name);
        out.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for (misbehaviour, name, sentence) in MISBEHAVIOURS {
            assert_eq!(name.parse(), Ok(*misbehaviour));
            assert_eq!(misbehaviour.to_string(), *name);
            assert!(sentence.ends_with('.') && !sentence.contains("  "));
        }
        assert!("lose-hope".parse::<Misbehaviour>().is_err());
    }
}
