//! What the registry keeps of one address: a conversation with it, and who it is, if it was let in.

use super::event::Client;
use super::rate::Rate;
use crate::chat::{PATIENCE, sending};
use crate::packet::chat::{Answer, ClientName, Key};
use crate::session::Via;
use crate::session::conversation::{Conversation, Event, MEMORY, Policy};
use std::hash::{DefaultHasher, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// An address that has proved itself.
pub(super) struct Entry {
    /// The way its last datagram took.
    pub(super) via: Via,
    pub(super) role: Role,
    /// How often it may say something.
    pub(super) requests: Rate,
    /// Answers that wait to be acknowledged, the one in the air included.
    pub(super) unsettled: usize,
    join: JoinMark,
    last_heard: Instant,
    conversation: Conversation,
}

/// Who somebody is.
pub(super) enum Role {
    /// One who is here.
    Member(Member),
    /// One who was not let in, until it knows.
    Refused,
    /// One who has left, as long as copies of its last message may come; the message's number.
    Gone(u64),
}

/// A client that is here.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) number: u64,
    pub(super) name: Option<ClientName>,
    pub(super) key: Key,
    pub(super) reported: Vec<SocketAddr>,
    pub(super) since: Instant,
    /// How often it may ask to be introduced.
    pub(super) asks: Rate,
    /// How often others may ask to be introduced to it.
    pub(super) visits: Rate,
}

/// The join that an entry was made by; copies of it may follow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct JoinMark {
    seq: u64,
    text: u64,
}

impl JoinMark {
    pub(super) fn new(seq: u64, text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(text.as_bytes());
        Self { seq, text: hasher.finish() }
    }
}

impl Member {
    pub(super) fn new(number: u64, name: Option<ClientName>, key: Key, now: Instant) -> Self {
        let (asks, visits) = (Rate::default(), Rate::default());
        Self { number, name, key, reported: Vec::new(), since: now, asks, visits }
    }

    /// What the application is told of it.
    pub(super) fn client(&self, seen: SocketAddr) -> Client {
        let Self { number, name, reported, since, .. } = self;
        Client { number: *number, name: name.clone(), seen, reported: reported.clone(), since: *since }
    }
}

impl Entry {
    /// An entry that a join has made. `first` is the first number of what it is told.
    pub(super) fn new(via: Via, role: Role, join: JoinMark, first: u64, now: Instant) -> Self {
        let conversation = Conversation::new(sending(first), Policy::InOrder);
        Self { via, role, requests: Rate::default(), unsettled: 0, join, last_heard: now, conversation }
    }

    pub(super) fn member(&self) -> Option<&Member> {
        match &self.role {
            Role::Member(member) => Some(member),
            Role::Refused | Role::Gone(_) => None,
        }
    }

    pub(super) fn member_mut(&mut self) -> Option<&mut Member> {
        match &mut self.role {
            Role::Member(member) => Some(member),
            Role::Refused | Role::Gone(_) => None,
        }
    }

    /// Whether this is the join that made the entry, once more.
    pub(super) fn is_made_by(&self, join: JoinMark) -> bool {
        self.join == join
    }

    /// Whether a join that proves the address is older than the entry: numbers rise, and copies do not wander for ever.
    pub(super) fn is_later_than(&self, join: JoinMark, now: Instant) -> bool {
        join.seq < self.join.seq && now.saturating_duration_since(self.last_heard) < MEMORY
    }

    /// A datagram came; says whether it was a message that was not heard before.
    pub(super) fn hear(&mut self, datagram: &[u8], now: Instant) -> bool {
        self.last_heard = now;
        self.conversation.handle_datagram(datagram, now);
        self.collect()
    }

    /// Says something as soon as what was said before is acknowledged; gives its number.
    pub(super) fn say(&mut self, answer: &Answer, now: Instant) -> Option<u64> {
        // Ours are short and never read as an acknowledgement; that leaves the end of all numbers.
        let seq = self.conversation.say(&answer.to_string(), now).ok()?;
        self.unsettled += 1;
        Some(seq)
    }

    /// It has said `datagram`, its leave, under this number: nothing is said any more but that this was heard.
    pub(super) fn dismiss(&mut self, seq: u64, datagram: &[u8], now: Instant) {
        self.role = Role::Gone(seq);
        self.unsettled = 0;
        self.conversation = Conversation::new(sending(0), Policy::InOrder);
        self.conversation.handle_datagram(datagram, now);
        self.collect();
    }

    /// Repeats what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.conversation.handle_timeout(now);
        self.collect();
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.conversation.poll_transmit()
    }

    /// When something is to be repeated, or the entry ends.
    pub(super) fn due(&self) -> Instant {
        self.conversation.poll_timeout().map_or(self.ends(), |due| due.min(self.ends()))
    }

    /// When it ends, unless something is heard before.
    pub(super) fn ends(&self) -> Instant {
        self.last_heard
            + match self.role {
                Role::Member(_) => SILENCE_MAX,
                Role::Refused => PATIENCE,
                Role::Gone(_) => MEMORY,
            }
    }

    fn collect(&mut self) -> bool {
        let mut is_new = false;
        while let Some(event) = self.conversation.poll_event() {
            match event {
                Event::Acknowledged { .. } | Event::GivenUp { .. } => {
                    self.unsettled = self.unsettled.saturating_sub(1);
                }
                Event::Delivered { .. } => is_new = true,
                Event::Dropped { .. } | Event::Ignored { .. } => {}
            }
        }
        is_new
    }
}

/// A client that is silent for so long is gone: it says that it is here three times as often.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(45);
