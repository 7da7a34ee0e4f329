//! What is said to another client, and what became of each of it.

use super::phase::Said;
use crate::chat::sending;
use crate::packet::chat::Talk;
use crate::packet::message::Unsayable;
use crate::session::conversation::{Conversation, Event, Policy};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A conversation whose messages have a meaning.
#[derive(Debug)]
pub struct Line {
    conversation: Conversation,
    said: BTreeMap<u64, Said>,
    /// When the other side last gave a sign of life, an acknowledgement for instance.
    pub heard: Instant,
}

/// What happened on the line.
#[derive(Debug)]
pub enum Happening {
    /// What we said is there.
    Arrived { seq: u64, said: Said, attempts: u32, took: Duration },
    /// What we said was not acknowledged in time.
    Lost { seq: u64, said: Said },
    /// The other side said something.
    Heard { seq: u64, text: String },
    /// Something came that is no message.
    Nonsense,
}

impl Line {
    /// Nothing was said yet. `first` is our first number.
    pub fn new(first: u64, now: Instant) -> Self {
        let conversation = Conversation::new(sending(first), Policy::InOrder);
        Self { conversation, said: BTreeMap::new(), heard: now }
    }

    /// Says something as soon as everything before it is settled.
    pub fn say(&mut self, talk: &Talk<'_>, said: Said, now: Instant) -> Result<u64, Unsayable> {
        let seq = self.conversation.say(&talk.to_string(), now)?;
        self.said.insert(seq, said);
        Ok(seq)
    }

    /// Whether everything is settled.
    pub fn is_idle(&self) -> bool {
        self.conversation.is_idle()
    }

    /// Whether a yes of ours is on its way.
    pub fn is_accepting(&self) -> bool {
        self.said.values().any(|said| matches!(said, Said::Accept))
    }

    /// Whether a message of this number brings nothing new.
    pub fn is_past(&self, seq: u64) -> bool {
        self.conversation.is_past(seq)
    }

    /// Says nothing more; gives what is not settled and will not be.
    pub fn abandon(&mut self) -> impl Iterator<Item = (u64, Said)> + use<> {
        self.conversation.abandon();
        std::mem::take(&mut self.said).into_iter()
    }

    /// A datagram came.
    pub fn handle_datagram(&mut self, datagram: &[u8], now: Instant) {
        self.conversation.handle_datagram(datagram, now);
    }

    /// Repeats and gives up.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.conversation.handle_timeout(now);
    }

    /// What happened next.
    pub fn poll(&mut self, now: Instant) -> Option<Happening> {
        while let Some(event) = self.conversation.poll_event() {
            if !matches!(event, Event::GivenUp { .. } | Event::Ignored { .. }) {
                self.heard = now;
            }
            match event {
                Event::Acknowledged { seq, attempts, took } => {
                    if let Some(said) = self.said.remove(&seq) {
                        return Some(Happening::Arrived { seq, said, attempts, took });
                    }
                }
                Event::GivenUp { seq, .. } => {
                    if let Some(said) = self.said.remove(&seq) {
                        return Some(Happening::Lost { seq, said });
                    }
                }
                Event::Delivered { seq, text, .. } => return Some(Happening::Heard { seq, text }),
                Event::Ignored { .. } => return Some(Happening::Nonsense),
                Event::Dropped { .. } => {}
            }
        }
        None
    }

    /// The next datagram.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.conversation.poll_transmit()
    }

    /// When [`Line::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.conversation.poll_timeout()
    }
}
