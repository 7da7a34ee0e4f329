//! What a chat client tells its application, and why it may refuse a wish.

use crate::packet::chat::{ClientName, Listed, Refusal, Whereabouts, Who};
use crate::packet::message::Unsayable;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;

/// Another client, as people speak of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its number at the registry.
    pub number: u64,
    /// Its name, if it has one.
    pub name: Option<ClientName>,
}

impl Named {
    /// Whether somebody who says `who` means this one.
    pub fn is(&self, who: &Who) -> bool {
        match who {
            Who::Number(number) => self.number == *number,
            Who::Name(name) => self.name.as_ref().is_some_and(|own| own.folded() == name.folded()),
        }
    }
}

impl Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} ({name})", self.number),
            None => write!(f, "{}", self.number),
        }
    }
}

/// What the application may want to know. Texts of others are not yet safe to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The registry has us, for the first time or again.
    Registered {
        /// Our number.
        number: u64,
        /// Our name, if we have one.
        name: Option<ClientName>,
        /// The address that others reach us at, as the registry sees it.
        seen: SocketAddr,
    },
    /// The registry will not have us, and never had.
    JoinRefused(Refusal),
    /// The registry had us and will not have us back now; told once. Chats go on, and it is tried again.
    NotBack(Refusal),
    /// The registry had us, and somebody else has our name now; we go on without one.
    NameLost(ClientName),
    /// The registry did not answer a question in time, or nothing that makes sense.
    NoAnswer(Question),
    /// The registry does not answer; told once. Chats go on without it.
    RegistrySilent,
    /// It answers again.
    RegistryBack,
    /// Who is here.
    Clients {
        /// How many in all.
        total: u64,
        /// They, or the first of them, by rising number.
        clients: Vec<Listed>,
    },
    /// Where somebody is.
    Found(Whereabouts),
    /// Nobody of that number or name is here.
    NotFound(Who),
    /// A way to somebody was found and our request is on it.
    Requesting(Named),
    /// The request was not answered for a while; it goes on.
    Unanswered(Named),
    /// No way to somebody was found.
    Unreached {
        /// To whom.
        who: Who,
        /// Why.
        why: Unreached,
    },
    /// Somebody wants to talk to us.
    Requested(Named),
    /// ... and does not want to any more.
    Withdrawn(Named),
    /// The chat has begun.
    Connected {
        /// With whom.
        peer: Named,
        /// Where it is.
        address: SocketAddr,
    },
    /// Our request was declined.
    Rejected {
        /// By whom.
        peer: Named,
        /// Why, if it said so.
        reason: String,
    },
    /// A message came.
    Message {
        /// From whom.
        peer: Named,
        /// Its number.
        seq: u64,
        /// What it says.
        text: String,
    },
    /// A message of ours is there.
    Delivered {
        /// Its number.
        seq: u64,
        /// How often it was sent.
        attempts: u32,
        /// From its first copy to the acknowledgement.
        took: Duration,
    },
    /// A message of ours was not acknowledged in time; it may have arrived all the same.
    NotDelivered {
        /// Its number.
        seq: u64,
        /// What it said.
        text: String,
    },
    /// The chat is over.
    Terminated {
        /// With whom.
        peer: Named,
        /// Whether the other side ended it.
        by_peer: bool,
    },
    /// Nothing was heard of the peer for too long; the chat is over.
    Gone(Named),
    /// The peer wants to send a file.
    FileOffered {
        /// Who.
        peer: Named,
        /// The name it has there; not yet safe for anything.
        file: String,
        /// Its size in bytes.
        size: u64,
    },
    /// The peer wants the file that we offered.
    FileAccepted {
        /// The name that we offered it under.
        file: String,
        /// Its size in bytes.
        size: u64,
    },
    /// The peer does not want it.
    FileRejected {
        /// The name that we offered it under.
        file: String,
        /// Why, if it said so.
        reason: String,
    },
    /// Something came that no chat says; told once in a while.
    Nonsense {
        /// From where.
        from: SocketAddr,
        /// How many more since the last one.
        untold: u64,
    },
    /// We have left; the last event.
    Left {
        /// Whether the registry has confirmed it.
        acknowledged: bool,
    },
}

/// What the registry was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Who is here.
    List,
    /// Where somebody is.
    LookUp(Who),
}

/// Why no way to somebody was found.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unreached {
    /// The registry did not say where it is.
    #[error("the registry did not say where it is")]
    RegistrySilent,
    /// The registry wants us to wait.
    #[error("you asked the registry too often; wait a little")]
    TooOften,
    /// Too many ask for that one.
    #[error("too many ask for it at the moment; try again in a few seconds")]
    Busy,
    /// None of its addresses answered.
    #[error("none of its addresses answered; it may be gone, or both routers change ports for every peer")]
    NoWay,
    /// Too many chats are just being ended.
    #[error("too many requests and chats are under way; try again in a few seconds")]
    NoRoom,
}

/// Why a wish cannot be fulfilled now.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// The registry has not let us in (yet).
    #[error("not registered yet: the registry has not answered")]
    NotRegistered,
    /// There is a chat already.
    #[error("you are talking to {0}; `terminate` first")]
    AlreadyConnected(Named),
    /// We are asking somebody already.
    #[error("you are asking {0} already; `terminate` takes that back")]
    AlreadyAsking(Who),
    /// There is no chat.
    #[error("you are talking to nobody; `connect` first")]
    NotConnected,
    /// There is nothing to end or to take back.
    #[error("there is nothing to terminate")]
    NothingToEnd,
    /// Nobody (or not that one) asks us.
    #[error("nobody {}asks for a chat", .0.as_ref().map(|who| format!("called {who} ")).unwrap_or_default())]
    NoRequest(Option<Who>),
    /// That is us.
    #[error("that is you")]
    Oneself,
    /// A file is being offered already.
    #[error("{0} is offered already; wait for the answer")]
    AlreadyOffering(String),
    /// The peer offers no file.
    #[error("no file is offered")]
    NoOffer,
    /// We are on our way out.
    #[error("leaving already")]
    Leaving,
    /// It cannot be put into a message.
    #[error("not sent: {0}")]
    Unsayable(#[from] Unsayable),
}
