//! What a chat client tells.

mod words;

pub(super) use words::sentence;

use super::Volume;
use crate::name::Printable;
use serde::Serialize;
use std::fmt::{self, Display};
use std::net::SocketAddr;

/// Another client of the registry, or oneself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// Its number.
    pub client: u64,
    /// Its name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Which way a file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// To the other side.
    Out,
    /// From it.
    In,
}

/// Something worth telling of a chat; the field `event` has its kind, as in all notes.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TalkNote {
    /// The registry knows us; also when it knows us again, or elsewhere.
    Registered {
        /// As whom.
        #[serde(flatten)]
        own: Person,
        /// The address that it sees.
        seen: SocketAddr,
    },
    /// The registry will not have us; the program ends.
    JoinRefused {
        /// Its word for why.
        refusal: &'static str,
        /// In a sentence.
        reason: String,
        /// The program's exit code.
        exit_code: u8,
    },
    /// The registry had us and will not have us back now; it is tried again.
    NotBack {
        /// Its word for why.
        refusal: &'static str,
        /// In a sentence.
        reason: String,
    },
    /// The registry had us, and somebody else has our name now.
    NameLost {
        /// The name.
        name: String,
    },
    /// The registry did not answer a question in time.
    NoAnswer {
        /// The command that asked it.
        command: &'static str,
        /// Whom it was about.
        #[serde(skip_serializing_if = "Option::is_none")]
        who: Option<String>,
    },
    /// The registry does not answer.
    RegistrySilent {
        /// In a sentence.
        reason: String,
        /// The program's exit code, if it ends for that.
        #[serde(skip_serializing_if = "Option::is_none")]
        exit_code: Option<u8>,
    },
    /// It answers again.
    RegistryBack,
    /// Who is here.
    Clients {
        /// How many are here in all.
        total: u64,
        /// Some of them, or all.
        clients: Vec<Person>,
    },
    /// Where a client is.
    Found {
        /// Which.
        #[serde(flatten)]
        peer: Person,
        /// Its addresses; first the one that the registry sees.
        addresses: Vec<SocketAddr>,
    },
    /// Nobody of that number or name is here.
    NotFound {
        /// Who was asked for.
        who: String,
    },
    /// Our request is on its way.
    Requesting {
        /// To whom.
        #[serde(flatten)]
        peer: Person,
    },
    /// It is not answered for a while; it goes on.
    Unanswered {
        /// By whom.
        #[serde(flatten)]
        peer: Person,
    },
    /// Somebody wants to talk to us.
    Requested {
        /// Who.
        #[serde(flatten)]
        peer: Person,
    },
    /// He does not want to any more, or is gone.
    Withdrawn {
        /// Who.
        #[serde(flatten)]
        peer: Person,
    },
    /// We agree to a request.
    Accepting {
        /// Whose.
        #[serde(flatten)]
        peer: Person,
    },
    /// We declined a request, or a file.
    Declined {
        /// Whose.
        #[serde(flatten)]
        peer: Person,
        /// The file's name; none for a request.
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// We do not ask for a chat any more.
    TakenBack,
    /// A chat has begun.
    Connected {
        /// With whom.
        #[serde(flatten)]
        peer: Person,
        /// Where it is.
        address: SocketAddr,
    },
    /// Our request was declined.
    Rejected {
        /// By whom.
        #[serde(flatten)]
        peer: Person,
        /// Why, in its words; perhaps nothing.
        reason: String,
    },
    /// There is no way to somebody.
    Unreached {
        /// To whom, as it was asked for.
        who: String,
        /// Why, in a sentence.
        reason: String,
    },
    /// The other side says something.
    Message {
        /// Who.
        #[serde(flatten)]
        peer: Person,
        /// Its number.
        number: u64,
        /// What it says.
        text: String,
    },
    /// A message of ours is on its way.
    Sent {
        /// Its number.
        number: u64,
        /// What it says.
        text: String,
    },
    /// It arrived.
    Delivered {
        /// Its number.
        number: u64,
        /// From its first copy to the acknowledgement.
        took_ms: f64,
        /// How often it was sent.
        attempts: u32,
    },
    /// It was given up; it may have arrived all the same.
    NotDelivered {
        /// Its number.
        number: u64,
        /// What it said.
        text: String,
    },
    /// The chat is over.
    Terminated {
        /// With whom.
        #[serde(flatten)]
        peer: Person,
        /// The other side ended it.
        by_peer: bool,
    },
    /// The other side is not heard any more; the chat is over.
    Gone {
        /// Who.
        #[serde(flatten)]
        peer: Person,
    },
    /// The other side offers a file.
    FileOffered {
        /// Who.
        #[serde(flatten)]
        peer: Person,
        /// The file's name.
        file: String,
        /// Its size in bytes.
        size: u64,
    },
    /// It offered one that nobody is asked about.
    FileTurnedAway {
        /// The file's name.
        file: String,
        /// Why.
        reason: String,
    },
    /// We offer a file.
    FileOffering {
        /// The file's name.
        file: String,
        /// Its size in bytes.
        size: u64,
    },
    /// A file was agreed on, by the other side if it goes out, by us if it comes in.
    FileAccepted {
        /// Which way.
        way: Way,
        /// The file's name.
        file: String,
        /// Its size in bytes.
        size: u64,
    },
    /// Our file is declined.
    FileRejected {
        /// The file's name.
        file: String,
        /// Why, in its words; perhaps nothing.
        reason: String,
    },
    /// How far a file is.
    FileProgress {
        /// Which way.
        way: Way,
        /// The file's name.
        file: String,
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all.
        size: u64,
    },
    /// A file is there, complete and verified.
    FileDone {
        /// Which way.
        way: Way,
        /// The file's name.
        file: String,
        /// Its size in bytes.
        bytes: u64,
        /// How long it took.
        seconds: f64,
        /// SHA-256 of the content, in hexadecimal.
        sha256: String,
        /// Out: messages sent again. In: messages that came again.
        repeats: u64,
    },
    /// A file that was agreed on came to nothing.
    FileFailed {
        /// Which way.
        way: Way,
        /// The file's name.
        file: String,
        /// Why.
        reason: String,
    },
    /// A line is no command.
    Misunderstood {
        /// Why.
        reason: String,
    },
    /// A command was not carried out.
    NotDone {
        /// The command.
        command: &'static str,
        /// Why.
        reason: String,
    },
    /// Datagrams came that make no sense.
    Nonsense {
        /// From where the last one came.
        from: SocketAddr,
        /// How many more since this was last told.
        untold: u64,
    },
    /// We have left the registry, or it did not say so in time.
    Left {
        /// The registry has confirmed it.
        acknowledged: bool,
    },
}

impl TalkNote {
    /// Whether it is told also to whoever wants to hear only what goes wrong.
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            TalkNote::JoinRefused { .. }
                | TalkNote::NotBack { .. }
                | TalkNote::NameLost { .. }
                | TalkNote::NoAnswer { .. }
                | TalkNote::RegistrySilent { .. }
                | TalkNote::NotDelivered { .. }
                | TalkNote::FileFailed { .. }
                | TalkNote::Misunderstood { .. }
                | TalkNote::NotDone { .. }
        )
    }

    /// Whether a person is told at this volume.
    pub fn is_told(&self, volume: Volume) -> bool {
        match self {
            TalkNote::Sent { .. } | TalkNote::Delivered { .. } | TalkNote::Nonsense { .. } => volume == Volume::Verbose,
            // What the other side says, and what waits for an answer, is what a chat is for.
            TalkNote::Message { .. } | TalkNote::Requested { .. } | TalkNote::FileOffered { .. } => true,
            note => note.is_failure() || volume != Volume::Quiet,
        }
    }
}

impl Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} ({})", Printable(name), self.client),
            None => write!(f, "{}", self.client),
        }
    }
}
