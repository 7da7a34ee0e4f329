//! One reliable conversation: numbered messages both ways between two peers, each acknowledged, repeated, and delivered once.
//!
//! [`Outgoing`] is what we say, [`Incoming`] what we heard; an echo client is the first alone, an echo server has the second
//! for each of its peers, and [`Conversation`] is both, for chat. Neither knows addresses: who owns a conversation knows with
//! whom it is.

mod complaints;
mod incoming;
mod outgoing;

pub use complaints::Complaints;
pub use incoming::{Incoming, MEMORY, Policy, SEEN_MAX, Verdict};
pub use outgoing::{Instead, Outgoing, Sending, Settled, Stats, WAITING_MAX};

use crate::packet::message::{self, Malformed, Message, Style, Unsayable};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Both halves of a conversation with one peer; the calls are those of [`crate::session::Machine`] without addresses, under
/// the same law.
///
/// Both sides number their own messages. What is which, the bytes say alone: `5:ACK:x` acknowledges our message 5, `5:x` is the
/// peer's. A text that begins with `ACK:` is refused when it is said, so nothing is ambiguous.
///
/// A side that was started anew and goes on with the same peer should begin above all its earlier numbers, for instance with
/// the microseconds since 1970: then order holds across the restart and nothing is guessed. (A peer that counts from 1 again is
/// recognised as well as it can be, see [`Incoming::hear`].)
#[derive(Debug)]
pub struct Conversation {
    outgoing: Outgoing,
    incoming: Incoming,
    complaints: Complaints,
    answers: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

/// What the application may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message of ours is acknowledged.
    Acknowledged {
        /// Its number.
        seq: u64,
        /// How often it was sent.
        attempts: u32,
        /// From its first copy to the acknowledgement.
        took: Duration,
    },
    /// A message of ours is given up; it may have arrived all the same.
    GivenUp {
        /// Its number.
        seq: u64,
        /// What it said.
        text: String,
        /// What came instead of an acknowledgement.
        instead: Instead,
        /// How often it was sent.
        attempts: u32,
    },
    /// A message of the peer's, for the first time.
    Delivered {
        /// Its number.
        seq: u64,
        /// What it says; not yet safe to print.
        text: String,
        /// New, late, or from a peer that was started anew.
        verdict: Verdict,
    },
    /// A message of the peer's that is not delivered: seen before, or too late.
    Dropped {
        /// Its number.
        seq: u64,
        /// Which of the two.
        verdict: Verdict,
    },
    /// A datagram was no message; told once in a while.
    Ignored {
        /// Why.
        reason: Malformed,
        /// How many more since the last one.
        untold: u64,
    },
}

impl Conversation {
    /// A conversation in which nothing was said yet.
    pub fn new(sending: Sending, policy: Policy) -> Self {
        Self {
            outgoing: Outgoing::new(Sending { style: Style::Sequenced, ..sending }),
            incoming: Incoming::new(policy),
            complaints: Complaints::default(),
            answers: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Says something as soon as everything before it is settled; gives its number.
    ///
    /// # Errors
    /// As [`Outgoing::say`].
    pub fn say(&mut self, text: &str, now: Instant) -> Result<u64, Unsayable> {
        self.outgoing.say(text.as_bytes(), now)
    }

    /// A datagram came from the peer.
    pub fn handle_datagram(&mut self, datagram: &[u8], now: Instant) {
        match message::decode(datagram) {
            Ok(Message::Ack { .. }) => {
                self.outgoing.handle_answer(datagram, now);
                self.collect();
            }
            Ok(Message::Text { seq, text }) => self.on_text(seq, text, now),
            Err(reason) => {
                if let Some(untold) = self.complaints.admit(now) {
                    self.events.push_back(Event::Ignored { reason, untold });
                }
            }
        }
    }

    /// The deadline may have passed; earlier calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.outgoing.handle_timeout(now);
        self.collect();
    }

    /// The kernel says that nobody listens there.
    pub fn handle_unreachable(&mut self) {
        self.outgoing.handle_unreachable();
    }

    /// Says nothing more; what the peer says is still answered. See [`Outgoing::abandon`].
    pub fn abandon(&mut self) {
        self.outgoing.abandon();
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next datagram for the peer: answers first.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.answers.pop_front().or_else(|| self.outgoing.poll_transmit())
    }

    /// When [`Conversation::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.outgoing.poll_timeout()
    }

    /// Whether everything that was said is settled.
    pub fn is_idle(&self) -> bool {
        self.outgoing.is_idle()
    }

    /// What saying has cost so far.
    pub fn stats(&self) -> Stats {
        self.outgoing.stats()
    }

    /// Whether a message of the peer's with this number, or with a higher one, was heard: then a datagram with it brings nothing
    /// new.
    pub fn is_past(&self, seq: u64) -> bool {
        self.incoming.is_past(seq)
    }

    /// When the peer last said something; its acknowledgements do not count.
    pub fn last_heard(&self) -> Option<Instant> {
        self.incoming.last_heard()
    }

    /// An acknowledgement answers each copy of a message, never anything else and never by itself.
    fn on_text(&mut self, seq: u64, text: &str, now: Instant) {
        let answer = (Message::Ack { seq, text }).to_datagram();
        // What could not be acknowledged would be repeated for nothing; no peer of ours says it.
        let Ok(answer) = answer else { return };
        let verdict = self.incoming.hear(seq, text, now);
        if verdict.is_acknowledged() {
            self.answers.push_back(answer);
        }
        self.events.push_back(match verdict.is_delivered() {
            true => Event::Delivered { seq, text: text.to_owned(), verdict },
            false => Event::Dropped { seq, verdict },
        });
    }

    fn collect(&mut self) {
        while let Some(settled) = self.outgoing.poll_settled() {
            self.events.push_back(match settled {
                Settled::Answered { seq, attempts, took, .. } => Event::Acknowledged { seq, attempts, took },
                Settled::GivenUp { seq, text, instead, attempts, .. } => {
                    let text = String::from_utf8_lossy(&text).into_owned();
                    Event::GivenUp { seq, text, instead, attempts }
                }
            });
        }
    }
}
