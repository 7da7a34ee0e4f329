//! One other client that we talk to, or are about to: who asked whom, what is on its way, whether it is still alive.

mod line;
mod phase;

pub(super) use phase::{NewRequest, Phase};

use super::event::{Event, Named, Refused};
use crate::chat::{HERE_EVERY, PATIENCE};
use crate::packet::chat::{ClientName, Meeting, Talk};
use crate::packet::message::{self, Message, Unsayable};
use line::{Happening, Line};
use phase::{GONE_AFTER, LINGER, REQUEST_EVERY, Said, WITHDRAWN_AFTER};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

/// The other client, at one address.
#[derive(Debug)]
pub(super) struct Partner {
    pub peer: Named,
    pub address: SocketAddr,
    /// Our number, as we say it there.
    own: (u64, Option<ClientName>),
    phase: Phase,
    /// The words of the attempts that led here; the last one is ours to use.
    words: Vec<Meeting>,
    /// Both know that it is over: what was asked before is no new request.
    is_end_agreed: bool,
    /// What it says is shown to a person: from the beginning of the chat until our last word is settled.
    is_talking: bool,
    line: Line,
    /// What the phase waits for: the next request, its silence, our next sign of life, the end.
    due: Instant,
    /// The file that we offered, and whether one was offered to us.
    offered: Option<(String, u64)>,
    is_offered: bool,
    requests: VecDeque<NewRequest>,
    events: VecDeque<Event>,
}

impl Partner {
    /// Nothing was said yet. `first` is our first number there.
    pub fn new(peer: Named, address: SocketAddr, own: (u64, Option<ClientName>), first: u64, now: Instant) -> Self {
        Self {
            peer,
            address,
            own,
            phase: Phase::Closed,
            words: Vec::new(),
            is_end_agreed: false,
            is_talking: false,
            line: Line::new(first, now),
            due: now + LINGER,
            offered: None,
            is_offered: false,
            requests: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Where we stand.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether nothing more is to be said or heard.
    pub fn is_forgotten(&self, now: Instant) -> bool {
        self.phase == Phase::Closed && now >= self.due
    }

    /// Whether the word belongs to an attempt that led here.
    pub fn knows(&self, meeting: Meeting) -> bool {
        self.words.contains(&meeting)
    }

    /// We want to talk.
    pub fn ask(&mut self, meeting: Meeting, now: Instant) {
        self.learn(meeting);
        self.phase = Phase::Asking { is_silence_told: false };
        self.line.heard = now;
        self.events.push_back(Event::Requesting(self.peer.clone()));
        self.request(now);
    }

    /// It wants to talk, by an attempt that the client knows, and is `introduced` by the registry as this one (what it says of
    /// itself counts for nothing). Where we want to as well, that is an agreement.
    pub fn on_request(&mut self, meeting: Meeting, introduced: Option<Named>, now: Instant) {
        let is_repeat = self.knows(meeting);
        match self.phase {
            Phase::Asking { .. } => {
                self.learn(meeting);
                self.accept(now);
            }
            // Our answer was lost for good, or is still on its way.
            Phase::Connected if is_repeat => {
                if !self.line.is_accepting() {
                    self.say_accept(now);
                }
            }
            Phase::Asked if is_repeat => {}
            // It crossed our last word, or that has yet to arrive.
            Phase::Closing => return,
            Phase::Closed if is_repeat && self.is_end_agreed => return,
            phase => {
                // It was started anew and does not know of us any more.
                if phase == Phase::Connected {
                    self.over(now, |peer| Event::Terminated { peer, by_peer: true });
                }
                self.learn(meeting);
                self.peer = introduced.unwrap_or_else(|| self.peer.clone());
                self.phase = Phase::Asked;
                if phase != Phase::Asked {
                    self.events.push_back(Event::Requested(self.peer.clone()));
                }
            }
        }
        if self.phase == Phase::Asked {
            self.due = now + WITHDRAWN_AFTER;
        }
    }

    /// Yes to its request; or both want to, and whoever was asked says so.
    pub fn accept(&mut self, now: Instant) {
        self.say_accept(now);
        self.on_connected(now);
    }

    /// No to its request.
    pub fn reject(&mut self, reason: &str, now: Instant) {
        if let Some(meeting) = self.word() {
            self.say_last_word(&Talk::Reject { from: self.own.0, meeting, reason }, now);
        }
    }

    /// Ends the chat, or takes our request back.
    pub fn terminate(&mut self, now: Instant) {
        if let Some(meeting) = self.word() {
            self.say_last_word(&Talk::Termination { from: self.own.0, meeting }, now);
        }
    }

    /// Says something to a person.
    pub fn send(&mut self, text: &str, now: Instant) -> Result<u64, Unsayable> {
        let talk = Talk::Message { from: self.own.0, text };
        self.line.say(&talk, Said::Text(text.to_owned()), now)
    }

    /// Offers a file.
    pub fn offer(&mut self, file: &str, size: u64, now: Instant) -> Result<(), Refused> {
        if let Some((offered, _)) = &self.offered {
            return Err(Refused::AlreadyOffering(offered.clone()));
        }
        self.line.say(&Talk::Offer { from: self.own.0, size, file }, Said::Offer, now)?;
        self.offered = Some((file.to_owned(), size));
        Ok(())
    }

    /// Answers the offer that came: yes, or no for a reason.
    pub fn answer_offer(&mut self, reason: Option<&str>, now: Instant) -> Result<(), Refused> {
        if !self.is_offered {
            return Err(Refused::NoOffer);
        }
        let from = self.own.0;
        let talk = reason.map_or(Talk::OfferAccept { from }, |reason| Talk::OfferReject { from, reason });
        self.line.say(&talk, Said::Other, now)?;
        self.is_offered = false;
        Ok(())
    }

    /// A datagram came from its address.
    pub fn handle_datagram(&mut self, datagram: &[u8], now: Instant) {
        match message::decode(datagram) {
            Ok(Message::Text { text, .. }) if self.is_in_another_name(text) => {
                self.events.push_back(Event::Nonsense { from: self.address, untold: 0 });
            }
            // To acknowledge it would be to say that somebody reads it.
            Ok(Message::Text { seq, text }) if !self.heeds(seq, text) => {
                if self.phase == Phase::Closed && !self.is_end_agreed {
                    self.terminate(now);
                }
            }
            _ => self.line.handle_datagram(datagram, now),
        }
        self.collect(now);
    }

    /// Repeats, gives up, and does what the phase waits for.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.line.handle_timeout(now);
        self.collect(now);
        if self.phase == Phase::Connected && now >= self.line.heard + GONE_AFTER {
            self.over(now, Event::Gone);
        }
        if now < self.due {
            return;
        }
        match self.phase {
            Phase::Asking { .. } => self.request(now),
            Phase::Asked => self.over(now, Event::Withdrawn),
            Phase::Connected => {
                let _ = self.line.say(&Talk::Here { from: self.own.0 }, Said::Other, now);
                self.due = now + HERE_EVERY;
            }
            Phase::Closing => self.close(now),
            Phase::Closed => {}
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next request whose word must be judged.
    pub fn poll_request(&mut self) -> Option<NewRequest> {
        self.requests.pop_front()
    }

    /// The next datagram for it.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.line.poll_transmit()
    }

    /// When [`Partner::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let gone = (self.phase == Phase::Connected).then_some(self.line.heard + GONE_AFTER);
        [Some(self.due), gone, self.line.poll_timeout()].into_iter().flatten().min()
    }

    /// Whether what it says may be acknowledged: it is about whether we talk, or we do talk, or it was heard before.
    fn heeds(&self, seq: u64, text: &str) -> bool {
        let is_about_us = || {
            let talk = Talk::parse(text);
            use Talk::{Accept, Reject, Request, Termination};
            matches!(talk, Ok(Request { .. } | Accept { .. } | Reject { .. } | Termination { .. }))
        };
        self.is_talking || self.line.is_past(seq) || is_about_us()
    }

    fn is_in_another_name(&self, text: &str) -> bool {
        matches!(Talk::parse(text), Ok(Talk::Message { from, .. }) if from != self.peer.number)
    }

    fn collect(&mut self, now: Instant) {
        while let Some(happening) = self.line.poll(now) {
            match happening {
                Happening::Arrived { seq, said: Said::Text(_), attempts, took } => {
                    self.events.push_back(Event::Delivered { seq, attempts, took });
                }
                Happening::Arrived { said: Said::LastWord, .. } => {
                    self.close(now);
                    self.is_end_agreed = true;
                }
                Happening::Arrived { .. } => {}
                Happening::Lost { seq, said } => self.on_lost(seq, said, now),
                Happening::Heard { seq, text } => match Talk::parse(&text) {
                    Ok(talk) => self.on_talk(seq, talk, now),
                    Err(_) => self.events.push_back(Event::Nonsense { from: self.address, untold: 0 }),
                },
                Happening::Nonsense => self.events.push_back(Event::Nonsense { from: self.address, untold: 0 }),
            }
        }
    }

    fn on_talk(&mut self, seq: u64, talk: Talk<'_>, now: Instant) {
        let peer = self.peer.clone();
        match (talk, self.phase) {
            (Talk::Request { from, meeting, .. }, _) => self.requests.push_back(NewRequest { from, meeting }),
            (Talk::Accept { meeting, .. }, Phase::Asking { .. }) if self.knows(meeting) => self.on_connected(now),
            (Talk::Reject { meeting, reason, .. }, Phase::Asking { .. }) if self.knows(meeting) => {
                self.close(now);
                self.is_end_agreed = true;
                self.events.push_back(Event::Rejected { peer, reason: reason.to_owned() });
            }
            (Talk::Termination { meeting, .. }, phase) if self.knows(meeting) => {
                if phase != Phase::Closed {
                    self.close(now);
                }
                self.is_end_agreed = true;
                match phase {
                    Phase::Asked => self.events.push_back(Event::Withdrawn(peer)),
                    Phase::Connected => self.events.push_back(Event::Terminated { peer, by_peer: true }),
                    Phase::Asking { .. } => self.events.push_back(Event::Rejected { peer, reason: String::new() }),
                    Phase::Closing | Phase::Closed => {}
                }
            }
            (Talk::Message { text, .. }, _) if self.is_talking => {
                self.events.push_back(Event::Message { peer, seq, text: text.to_owned() });
            }
            (Talk::Offer { size, file, .. }, Phase::Connected) => {
                self.is_offered = true;
                self.events.push_back(Event::FileOffered { peer, file: file.to_owned(), size });
            }
            (Talk::OfferAccept { .. }, Phase::Connected) => {
                if let Some((file, size)) = self.offered.take() {
                    self.events.push_back(Event::FileAccepted { file, size });
                }
            }
            (Talk::OfferReject { reason, .. }, Phase::Connected) => self.take_offer_back(reason),
            // A sign of life; or something that was said before the chat began or after it ended.
            _ => {}
        }
    }

    fn on_lost(&mut self, seq: u64, said: Said, now: Instant) {
        match said {
            Said::Request => {
                if let Phase::Asking { is_silence_told: false } = self.phase {
                    self.phase = Phase::Asking { is_silence_told: true };
                    self.events.push_back(Event::Unanswered(self.peer.clone()));
                }
            }
            // Perhaps only the acknowledgements were lost; whether it is still there shows in what it says.
            Said::Accept if self.phase == Phase::Connected => self.say_accept(now),
            Said::LastWord => self.close(now),
            Said::Text(text) => self.events.push_back(Event::NotDelivered { seq, text }),
            Said::Offer => self.take_offer_back("the offer was not delivered"),
            Said::Accept | Said::Other => {}
        }
    }

    fn on_connected(&mut self, now: Instant) {
        self.phase = Phase::Connected;
        self.due = now + HERE_EVERY;
        self.line.heard = now;
        self.is_talking = true;
        (self.offered, self.is_offered) = (None, false);
        self.events.push_back(Event::Connected { peer: self.peer.clone(), address: self.address });
    }

    /// What is not settled will not be, and nothing more is said.
    fn close(&mut self, now: Instant) {
        self.phase = Phase::Closed;
        self.due = now + LINGER;
        self.is_talking = false;
        for (seq, said) in self.line.abandon() {
            if let Said::Text(text) = said {
                self.events.push_back(Event::NotDelivered { seq, text });
            }
        }
        self.take_offer_back("the chat is over");
        self.is_offered = false;
    }

    /// The file that we offered will not be sent.
    fn take_offer_back(&mut self, reason: &str) {
        if let Some((file, _)) = self.offered.take() {
            self.events.push_back(Event::FileRejected { file, reason: reason.to_owned() });
        }
    }

    fn over(&mut self, now: Instant, event: impl FnOnce(Named) -> Event) {
        self.close(now);
        self.events.push_back(event(self.peer.clone()));
    }

    fn request(&mut self, now: Instant) {
        let Some(meeting) = self.word() else { return };
        let name = self.own.1.clone();
        // One that is still under way is repeated by the conversation.
        if self.line.is_idle() {
            let _ = self.line.say(&Talk::Request { from: self.own.0, meeting, name }, Said::Request, now);
        }
        self.due = now + REQUEST_EVERY;
    }

    fn say_accept(&mut self, now: Instant) {
        if let Some(meeting) = self.word() {
            let _ = self.line.say(&Talk::Accept { from: self.own.0, meeting }, Said::Accept, now);
        }
    }

    fn say_last_word(&mut self, talk: &Talk<'_>, now: Instant) {
        self.phase = Phase::Closing;
        self.due = now + PATIENCE;
        if self.line.say(talk, Said::LastWord, now).is_err() {
            self.close(now);
        }
    }

    fn word(&self) -> Option<Meeting> {
        self.words.last().copied()
    }

    /// The word is the current one from now on; a few earlier ones are good as well.
    fn learn(&mut self, meeting: Meeting) {
        self.is_end_agreed = false;
        self.words.retain(|word| *word != meeting);
        self.words.push(meeting);
        self.words.drain(..self.words.len().saturating_sub(WORDS_MAX));
    }
}

/// Words of attempts that are remembered of one peer: both may have asked, more than once.
const WORDS_MAX: usize = 4;
