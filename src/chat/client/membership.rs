//! Our place at the registry: joining, proving our address, saying that we are still here, asking, leaving.

use super::questions::Questions;
use crate::chat::{HERE_EVERY, PATIENCE, sending};
use crate::packet::chat::{Answer, ClientName, Join, Refusal, Request, Token};
use crate::packet::message::{self, Message, Unsayable};
use crate::session::conversation::{self, Conversation, Policy, WAITING_MAX};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What the client must know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// We are in, for the first time or again.
    Registered { number: u64, name: Option<ClientName>, seen: SocketAddr },
    /// We are not let in, and never were.
    JoinRefused(Refusal),
    /// We were in and may not come back now; told once, and tried again.
    NotBack(Refusal),
    /// We were in, and somebody else has our name now; we come back without it.
    NameLost(ClientName),
    /// A question was answered, or somebody wants to meet us.
    Answer(Answer),
    /// A question was not answered in time.
    Unanswered(Request),
    /// The registry said something that makes no sense.
    Nonsense,
    /// The registry has fallen silent, or has never spoken.
    Silent,
    /// It speaks again.
    Back,
    /// It has taken note that we leave, or not in time.
    Left { acknowledged: bool },
}

#[derive(Debug)]
enum Phase {
    /// The join goes out until a token comes back; tokens are for the number of one of these copies.
    Knocking { seq: u64, copies: u32, due: Instant },
    /// The join with the token was said; the number must come before this.
    Joining { until: Instant },
    /// We have a number.
    Member { next_here: Instant },
    /// We have said that we go.
    Leaving { until: Instant },
    /// We were a member and may not come back now; then we try again.
    Waiting { until: Instant },
    /// Not a member, and not on the way to be one.
    Outside,
}

/// The client's half of its membership.
#[derive(Debug)]
pub(super) struct Membership {
    join: Join,
    first: u64,
    began: Instant,
    phase: Phase,
    conversation: Conversation,
    /// What was said and is not settled.
    said: BTreeMap<u64, Request>,
    /// What is asked as soon as we are in again.
    unasked: Vec<Request>,
    questions: Questions,
    /// We may not come back, and that was told.
    is_refusal_told: bool,
    number: Option<u64>,
    silent_since: Option<Instant>,
    is_silence_told: bool,
    last_rejoin: Option<Instant>,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

impl Membership {
    /// Knocks at once. `first` is the first number.
    pub fn new(join: Join, first: u64, now: Instant) -> Self {
        let mut membership = Self {
            join,
            first,
            began: now,
            phase: Phase::Outside,
            conversation: Conversation::new(sending(first), Policy::InOrder),
            said: BTreeMap::new(),
            unasked: Vec::new(),
            questions: Questions::default(),
            is_refusal_told: false,
            number: None,
            silent_since: Some(now),
            is_silence_told: false,
            last_rejoin: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        membership.knock(now);
        membership
    }

    /// Our number, while we are a member (also while we are on the way back in).
    pub fn number(&self) -> Option<u64> {
        self.number
    }

    /// Our name, as we asked for it.
    pub fn name(&self) -> Option<&ClientName> {
        self.join.name.as_ref()
    }

    /// Asks the registry, at once or as soon as we are in again; in either case that ends within [`PATIENCE`].
    pub fn ask(&mut self, request: Request, now: Instant) -> Result<(), Unsayable> {
        if matches!(self.phase, Phase::Member { .. }) {
            self.say(request.clone(), now)?;
        } else if self.unasked.len() < WAITING_MAX {
            self.unasked.push(request.clone());
        } else {
            return Err(Unsayable::TooManyWaiting(WAITING_MAX));
        }
        self.questions.ask(request, now);
        Ok(())
    }

    fn say(&mut self, request: Request, now: Instant) -> Result<(), Unsayable> {
        let seq = self.conversation.say(&request.to_string(), now)?;
        self.said.insert(seq, request);
        Ok(())
    }

    /// Says that we go, if we are in; [`Event::Left`] comes in any case.
    pub fn leave(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Member { .. } | Phase::Joining { .. }) {
            // Questions are of no interest any more.
            self.conversation.abandon();
            self.said.clear();
            self.unasked.clear();
            self.questions.clear();
            if self.say(Request::Leave, now).is_ok() {
                self.phase = Phase::Leaving { until: now + PATIENCE };
                return;
            }
        }
        self.leave_unheard();
    }

    fn leave_unheard(&mut self) {
        self.questions.clear();
        self.phase = Phase::Outside;
        self.number = None;
        self.events.push_back(Event::Left { acknowledged: false });
    }

    /// A datagram came from the registry.
    pub fn handle_datagram(&mut self, datagram: &[u8], now: Instant) {
        if let Ok(Message::Text { seq, text }) = message::decode(datagram) {
            match text.parse() {
                Ok(Answer::Token(token)) => return self.on_token(seq, token, now),
                Ok(Answer::Unknown) => return self.on_unknown(now),
                _ => {}
            }
        }
        if !matches!(self.phase, Phase::Knocking { .. }) {
            self.conversation.handle_datagram(datagram, now);
            self.collect(now);
        }
    }

    /// Repeats, says that we are here, notices silence.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.conversation.handle_timeout(now);
        self.collect(now);
        match self.phase {
            Phase::Knocking { copies, due, .. } if now >= due => self.knock_again(copies, now),
            Phase::Joining { until } | Phase::Waiting { until } if now >= until => self.knock(now),
            Phase::Member { next_here } if now >= next_here => {
                // A question that is under way shows that we are here as well.
                if self.conversation.is_idle() {
                    let _ = self.say(Request::Here, now);
                }
                self.phase = Phase::Member { next_here: now + HERE_EVERY };
            }
            Phase::Leaving { until } if now >= until => self.leave_unheard(),
            _ => {}
        }
        if self.silence_due().is_some_and(|due| now >= due) {
            self.is_silence_told = true;
            self.events.push_back(Event::Silent);
        }
        while let Some(request) = self.questions.expire(now) {
            self.unasked.retain(|unasked| *unasked != request);
            self.events.push_back(Event::Unanswered(request));
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next datagram for the registry.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front().or_else(|| self.conversation.poll_transmit())
    }

    /// When [`Membership::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Knocking { due, .. } => Some(due),
            Phase::Joining { until } | Phase::Leaving { until } | Phase::Waiting { until } => Some(until),
            Phase::Member { next_here } => Some(next_here),
            Phase::Outside => None,
        };
        [phase, self.silence_due(), self.questions.due(), self.conversation.poll_timeout()].into_iter().flatten().min()
    }

    /// When it must be said that the registry is silent.
    fn silence_due(&self) -> Option<Instant> {
        let matters = !self.is_silence_told && !matches!(self.phase, Phase::Outside | Phase::Leaving { .. });
        self.silent_since.filter(|_| matters).map(|since| since + PATIENCE)
    }

    /// From the beginning: a new conversation, above all earlier numbers.
    fn knock(&mut self, now: Instant) {
        self.conversation = Conversation::new(sending(self.fresh_number(now)), Policy::InOrder);
        self.postpone_questions();
        self.knock_again(0, now);
    }

    fn knock_again(&mut self, copies: u32, now: Instant) {
        let seq = self.fresh_number(now);
        let mut text = Request::Join(Join { token: None, ..self.join.clone() }).to_string();
        // Padded, so that the answer is never longer.
        text += &" ".repeat(JOIN_MIN.saturating_sub(text.len()));
        self.transmits.extend(Message::Text { seq, text: &text }.to_datagram().ok());
        let wait = KNOCK_FIRST.saturating_mul(1 << (copies / 2).min(8)).min(KNOCK_MAX);
        self.phase = Phase::Knocking { seq, copies: copies + 1, due: now + wait };
    }

    /// The address is proved with this: now the conversation begins.
    fn on_token(&mut self, seq: u64, token: Token, now: Instant) {
        // One of the copies of this knocking, not a straggler of an earlier life.
        let is_ours = |latest: u64| seq <= latest && latest - seq <= KNOCKING_NUMBERS;
        if let Phase::Knocking { seq: latest, .. } = self.phase
            && is_ours(latest)
        {
            self.heard();
            self.conversation = Conversation::new(sending(self.fresh_number(now)), Policy::InOrder);
            let join = Join { token: Some(token), ..self.join.clone() };
            self.phase = match self.say(Request::Join(join), now) {
                Ok(()) => Phase::Joining { until: now + PATIENCE },
                Err(_) => Phase::Outside,
            };
        }
    }

    /// The registry does not know us (any more): it was started anew, or our router gave us another address.
    fn on_unknown(&mut self, now: Instant) {
        let recent = |last: Instant| now.saturating_duration_since(last) < REJOIN_EVERY;
        match self.phase {
            Phase::Member { .. } if !self.last_rejoin.is_some_and(recent) => {
                self.last_rejoin = Some(now);
                self.heard();
                self.knock(now);
            }
            // It will not miss us.
            Phase::Leaving { .. } => {
                self.phase = Phase::Outside;
                self.number = None;
                self.conversation.abandon();
                self.events.push_back(Event::Left { acknowledged: true });
            }
            _ => {}
        }
    }

    fn collect(&mut self, now: Instant) {
        while let Some(event) = self.conversation.poll_event() {
            match event {
                conversation::Event::Acknowledged { seq, .. } => {
                    self.heard();
                    if let (Some(Request::Leave), Phase::Leaving { .. }) = (self.said.remove(&seq), &self.phase) {
                        self.phase = Phase::Outside;
                        self.number = None;
                        self.events.push_back(Event::Left { acknowledged: true });
                    }
                }
                conversation::Event::GivenUp { seq, .. } => self.on_given_up(seq, now),
                conversation::Event::Delivered { text, .. } => {
                    self.heard();
                    match text.parse() {
                        Ok(answer) => self.on_answer(answer, now),
                        Err(_) => self.events.push_back(Event::Nonsense),
                    }
                }
                conversation::Event::Dropped { .. } | conversation::Event::Ignored { .. } => {}
            }
        }
    }

    fn on_answer(&mut self, answer: Answer, now: Instant) {
        match answer {
            Answer::Number { number, name, seen } => {
                if let Phase::Joining { .. } | Phase::Member { .. } = self.phase {
                    self.number = Some(number);
                    self.is_refusal_told = false;
                    // The same again, should we have to come back.
                    self.join.number = Some(number);
                    self.phase = Phase::Member { next_here: now + HERE_EVERY };
                    self.events.push_back(Event::Registered { number, name, seen });
                    for request in std::mem::take(&mut self.unasked) {
                        // There is room: the conversation has just begun.
                        let _ = self.say(request, now);
                    }
                }
            }
            Answer::Refused(refusal) if matches!(self.phase, Phase::Joining { .. }) => self.on_refused(refusal, now),
            // Somebody else may have asked for it.
            Answer::Meet { .. } => {
                self.questions.settle(&answer);
                self.events.push_back(Event::Answer(answer));
            }
            answer if self.questions.settle(&answer) => self.events.push_back(Event::Answer(answer)),
            // Too late: it was told that there is no answer.
            _ => {}
        }
    }

    /// We are not let in. Who was in before has chats that go on, so he tries again.
    fn on_refused(&mut self, refusal: Refusal, now: Instant) {
        if self.number.is_none() {
            self.phase = Phase::Outside;
            return self.events.push_back(Event::JoinRefused(refusal));
        }
        if refusal == Refusal::NameTaken
            && let Some(name) = self.join.name.take()
        {
            self.events.push_back(Event::NameLost(name));
            return self.knock(now);
        }
        if !std::mem::replace(&mut self.is_refusal_told, true) {
            self.events.push_back(Event::NotBack(refusal));
        }
        self.postpone_questions();
        self.phase = Phase::Waiting { until: now + REFUSED_PAUSE };
    }

    fn on_given_up(&mut self, seq: u64, now: Instant) {
        match self.said.remove(&seq) {
            Some(Request::Join(_)) => self.knock(now),
            Some(Request::Leave) => self.leave_unheard(),
            // A question ends by its own time.
            Some(_) | None => {}
        }
        self.silent_since.get_or_insert(now.checked_sub(PATIENCE).unwrap_or(now));
    }

    /// Questions of an earlier conversation will not be answered: they are asked again in the next one.
    fn postpone_questions(&mut self) {
        let is_question =
            |request: &Request| matches!(request, Request::List { .. } | Request::Lookup(_) | Request::Meet(_));
        self.unasked.extend(std::mem::take(&mut self.said).into_values().filter(is_question));
    }

    fn heard(&mut self) {
        self.silent_since = None;
        if std::mem::take(&mut self.is_silence_told) {
            self.events.push_back(Event::Back);
        }
    }

    /// Above every number that was used before: microseconds go faster than messages.
    fn fresh_number(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.began).as_micros();
        self.first.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}

/// A join has at least so many bytes, number aside: more than the token that answers it.
pub(super) const JOIN_MIN: usize = 64;

/// How long a first copy of the join is alone, doubled with every other copy, and the longest time between two (RFC 8085
/// section 3.1.3: where nothing comes back, one datagram in three seconds).
const KNOCK_FIRST: Duration = Duration::from_millis(500);
const KNOCK_MAX: Duration = Duration::from_secs(3);

/// How far apart the numbers of copies of one join are whose tokens are taken: as long as tokens live, in microseconds.
const KNOCKING_NUMBERS: u64 = 30_000_000;

/// How long a member waits that may not come back, because the registry is full for instance.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// Who says `Client Unknown` may lie; once in so long it is believed.
const REJOIN_EVERY: Duration = Duration::from_secs(5);
