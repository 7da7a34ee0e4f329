//! A chat client without sockets and terminals: its place at the registry, ways to others, and the talk with one of them.

mod company;
mod event;
mod membership;
mod partner;
mod questions;
mod search;

pub use event::{Event, Named, Question, Refused, Unreached};

use crate::packet::chat::{Answer, ClientName, Join, Key, Listed, Refusal, Request, Who};
use crate::session::{Machine, Transmit, Via};
use company::Company;
use membership::Membership;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

/// Who a client is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The socket that everything goes through.
    pub via: Via,
    /// Where the registry is.
    pub registry: SocketAddr,
    /// The name to ask for.
    pub name: Option<ClientName>,
    /// The number to ask for.
    pub number: Option<u64>,
    /// 128 random bits: they prove to the registry that we are the one that joined, and that probes arrived.
    pub key: Key,
    /// Our own addresses as this machine sees them.
    pub reported: Vec<SocketAddr>,
    /// The first number of every conversation: the microseconds since 1970, so that numbers rise over restarts.
    pub first: u64,
}

/// The machine; see [`crate::session`] for the order of calls.
#[derive(Debug)]
pub struct ChatClient {
    config: Config,
    membership: Membership,
    company: Company,
    /// The list as far as it came.
    listing: Vec<Listed>,
    leaving: Option<Leaving>,
    events: VecDeque<Event>,
}

/// The end, as far as it has come.
#[derive(Clone, Copy, Debug, Default)]
struct Leaving {
    /// What the registry said to it; `None` before.
    acknowledged: Option<bool>,
    is_told: bool,
}

impl ChatClient {
    /// Begins to join at once.
    pub fn new(config: Config, now: Instant) -> Self {
        let Config { key, number, ref name, ref reported, first, .. } = config;
        let join = Join { key, token: None, number, name: name.clone(), reported: reported.clone() };
        Self {
            membership: Membership::new(join, first, now),
            company: Company::new(config.clone(), now),
            listing: Vec::new(),
            leaving: None,
            events: VecDeque::new(),
            config,
        }
    }

    /// Asks who is here; [`Event::Clients`] answers, or [`Event::NoAnswer`] comes after ten seconds.
    ///
    /// # Errors
    /// As all wishes: [`Refused`] says why not.
    pub fn list(&mut self, now: Instant) -> Result<(), Refused> {
        self.listing.clear();
        self.ask(Request::List { after: 0 }, now)
    }

    /// Asks where somebody is; [`Event::Found`] or [`Event::NotFound`] answers, or [`Event::NoAnswer`] comes after ten seconds.
    ///
    /// # Errors
    /// As all wishes.
    pub fn look_up(&mut self, who: &Who, now: Instant) -> Result<(), Refused> {
        self.ask(Request::Lookup(who.clone()), now)
    }

    /// Wants to talk to somebody. Where that one asks us already, this is a yes.
    ///
    /// # Errors
    /// As all wishes.
    pub fn connect(&mut self, who: &Who, now: Instant) -> Result<(), Refused> {
        self.company.check_free()?;
        let own = Named { number: self.own_number()?, name: self.membership.name().cloned() };
        if own.is(who) {
            return Err(Refused::Oneself);
        }
        if self.company.accept(Some(who), now).is_err() {
            self.ask(Request::Meet(who.clone()), now)?;
            self.company.want(who.clone(), now);
        }
        Ok(())
    }

    /// Says yes to who asks us, or (without `who`) to the one that asked first.
    ///
    /// # Errors
    /// As all wishes.
    pub fn accept(&mut self, who: Option<&Who>, now: Instant) -> Result<(), Refused> {
        self.company.check_free()?;
        self.company.accept(who, now)
    }

    /// Says no to who asks us, or to the one that asked first; `reason` may be empty.
    ///
    /// # Errors
    /// As all wishes.
    pub fn reject(&mut self, who: Option<&Who>, reason: &str, now: Instant) -> Result<(), Refused> {
        self.company.reject(who, reason, now)
    }

    /// Says something to whom we talk to. Gives its number: [`Event::Delivered`] or [`Event::NotDelivered`] has it again.
    ///
    /// # Errors
    /// As all wishes.
    pub fn send(&mut self, text: &str, now: Instant) -> Result<u64, Refused> {
        Ok(self.company.connected()?.send(text, now)?)
    }

    /// Ends the chat, or takes our request back.
    ///
    /// # Errors
    /// As all wishes.
    pub fn terminate(&mut self, now: Instant) -> Result<(), Refused> {
        self.company.terminate(now)
    }

    /// Ends everything in order; [`Event::Left`] is the last event, after ten seconds at most.
    pub fn leave(&mut self, now: Instant) {
        if self.leaving.is_some() {
            return;
        }
        self.leaving = Some(Leaving::default());
        self.company.leave(now);
        self.membership.leave(now);
    }

    /// Offers a file to whom we talk to; [`Event::FileAccepted`] or [`Event::FileRejected`] answers.
    ///
    /// # Errors
    /// As all wishes.
    pub fn offer_file(&mut self, file: &str, size: u64, now: Instant) -> Result<(), Refused> {
        self.company.connected()?.offer(file, size, now)
    }

    /// Says yes to the file that is offered to us.
    ///
    /// # Errors
    /// As all wishes.
    pub fn accept_file(&mut self, now: Instant) -> Result<(), Refused> {
        self.company.connected()?.answer_offer(None, now)
    }

    /// Says no to the file that is offered to us.
    ///
    /// # Errors
    /// As all wishes.
    pub fn reject_file(&mut self, reason: &str, now: Instant) -> Result<(), Refused> {
        self.company.connected()?.answer_offer(Some(reason), now)
    }

    /// Whom we talk to, and where it is.
    pub fn peer(&self) -> Option<(&Named, SocketAddr)> {
        self.company.peer()
    }

    /// The next event.
    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        self.collect(now);
        self.events.pop_front()
    }

    fn own_number(&self) -> Result<u64, Refused> {
        self.membership.number().ok_or(Refused::NotRegistered)
    }

    fn ask(&mut self, request: Request, now: Instant) -> Result<(), Refused> {
        if self.leaving.is_some() {
            return Err(Refused::Leaving);
        }
        self.own_number()?;
        self.membership.ask(request, now)?;
        Ok(())
    }

    /// Takes what the parts have to tell.
    fn collect(&mut self, now: Instant) {
        while let Some(event) = self.membership.poll_event() {
            self.on_membership(event, now);
        }
        while let Some(event) = self.company.poll_event(now) {
            // Nothing matters after the end.
            if !self.leaving.is_some_and(|leaving| leaving.is_told) {
                self.events.push_back(event);
            }
        }
        if let Some(Leaving { acknowledged: Some(acknowledged), is_told: is_told @ false }) = &mut self.leaving
            && self.company.is_settled()
        {
            *is_told = true;
            self.events.push_back(Event::Left { acknowledged: *acknowledged });
        }
    }

    fn on_membership(&mut self, event: membership::Event, now: Instant) {
        match event {
            membership::Event::Registered { number, name, seen } => {
                self.company.set_own(number, name.clone());
                self.events.push_back(Event::Registered { number, name, seen });
            }
            membership::Event::JoinRefused(refusal) => self.events.push_back(Event::JoinRefused(refusal)),
            membership::Event::NotBack(refusal) => self.events.push_back(Event::NotBack(refusal)),
            membership::Event::NameLost(name) => self.events.push_back(Event::NameLost(name)),
            membership::Event::Silent => self.events.push_back(Event::RegistrySilent),
            membership::Event::Back => self.events.push_back(Event::RegistryBack),
            membership::Event::Answer(answer) => self.on_answer(answer, now),
            membership::Event::Unanswered(Request::Meet(who)) => {
                self.company.give_up(|wanted| *wanted == who, Some(Unreached::RegistrySilent));
            }
            membership::Event::Unanswered(Request::Lookup(who)) => {
                self.events.push_back(Event::NoAnswer(Question::LookUp(who)));
            }
            membership::Event::Unanswered(_) => self.events.push_back(Event::NoAnswer(Question::List)),
            membership::Event::Nonsense => self.company.complain(self.config.registry, now),
            membership::Event::Left { acknowledged } => {
                if let Some(leaving) = &mut self.leaving {
                    leaving.acknowledged = Some(acknowledged);
                }
            }
        }
    }

    fn on_answer(&mut self, answer: Answer, now: Instant) {
        match answer {
            Answer::List { total, next, clients } => {
                let room = LIST_MAX.saturating_sub(self.listing.len());
                self.listing.extend(clients.into_iter().take(room));
                match next.filter(|_| self.listing.len() < LIST_MAX) {
                    Some(after) if self.ask(Request::List { after }, now).is_ok() => {}
                    _ => self.events.push_back(Event::Clients { total, clients: std::mem::take(&mut self.listing) }),
                }
            }
            Answer::Active { client, .. } => self.events.push_back(Event::Found(client)),
            Answer::Inactive(who) => {
                self.company.give_up(|wanted| *wanted == who, None);
                self.events.push_back(Event::NotFound(who));
            }
            Answer::Refused(refusal) => {
                let why = if refusal == Refusal::Busy { Unreached::Busy } else { Unreached::TooOften };
                self.company.give_up(|_| true, Some(why));
            }
            Answer::Meet { meeting, client } => self.company.introduce(meeting, &client, now),
            Answer::Token(_) | Answer::Unknown | Answer::Number { .. } => {}
        }
    }
}

impl Machine for ChatClient {
    fn handle_datagram(&mut self, _via: Via, from: SocketAddr, datagram: &[u8], now: Instant) {
        if from == self.config.registry {
            self.membership.handle_datagram(datagram, now);
        } else {
            self.company.handle_datagram(from, datagram, now);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.membership.handle_timeout(now);
        self.company.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        match self.membership.poll_transmit() {
            Some(bytes) => Some(Transmit::one(self.config.via, self.config.registry, bytes)),
            None => self.company.poll_transmit(now),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        [self.membership.poll_timeout(), self.company.poll_timeout()].into_iter().flatten().min()
    }
}

/// Clients that one `list` shows: more than anybody reads.
const LIST_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::chat::Hex;
    use crate::packet::message::{self, Message};
    use std::time::Duration;

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    pub(super) fn moment() -> Instant {
        Instant::now()
    }

    const REGISTRY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7070);

    fn address(number: u64) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, u8::try_from(number).unwrap()], 5000))
    }

    fn meeting(number: u64) -> String {
        format!("{number:016x}")
    }

    /// One client; the test is the registry and everybody else, and says what it likes.
    struct Alone {
        client: ChatClient,
        now: Instant,
        seq: u64,
        events: Vec<Event>,
        /// What was said and not yet looked at: to whom, its number, its text.
        said: Vec<(SocketAddr, u64, String)>,
    }

    impl Alone {
        fn new() -> Self {
            let now = moment();
            let (via, key, name) = (Via::socket(0), Hex([7; 16]), "me".parse().ok());
            let config =
                Config { via, registry: REGISTRY, name, number: None, key, reported: Vec::new(), first: 1_000_000 };
            let client = ChatClient::new(config, now);
            let mut alone = Self { client, now, seq: 0, events: Vec::new(), said: Vec::new() };
            alone.turn();
            alone
        }

        fn registered() -> Self {
            let mut alone = Self::new();
            alone.join("Client Number 1 name=me seen=192.0.2.1:5000");
            assert!(matches!(alone.events[..], [Event::Registered { .. }]), "{:?}", alone.events);
            alone.events.clear();
            alone
        }

        /// The registry proves our address and answers the join.
        fn join(&mut self, answer: &str) {
            let knock = self.said.iter().rfind(|(_, _, text)| text.starts_with("Client Join"));
            let seq = knock.expect("a join").1;
            self.hear(REGISTRY, &format!("{seq}:Client Token {}", "ab".repeat(16)));
            self.say(REGISTRY, answer);
        }

        fn hear(&mut self, from: SocketAddr, datagram: &str) {
            self.client.handle_datagram(Via::socket(0), from, datagram.as_bytes(), self.now);
            self.turn();
        }

        fn say(&mut self, from: SocketAddr, text: &str) {
            self.seq += 1;
            self.hear(from, &format!("{}:{text}", self.seq));
        }

        /// Everything that is said is acknowledged, where somebody lives.
        fn turn(&mut self) {
            loop {
                let mut any = false;
                while let Some(event) = self.client.poll_event(self.now) {
                    self.events.push(event);
                    any = true;
                }
                while let Some(Transmit { to, bytes, .. }) = self.client.poll_transmit(self.now) {
                    let Ok(Message::Text { seq, text }) = message::decode(&bytes) else { continue };
                    self.said.push((to, seq, text.to_owned()));
                    if !text.starts_with("Client Join") || text.contains("token=") {
                        let acknowledgement = format!("{seq}:ACK:{text}");
                        self.client.handle_datagram(Via::socket(0), to, acknowledgement.as_bytes(), self.now);
                        any = true;
                    }
                }
                if !any {
                    break;
                }
            }
        }

        fn pass(&mut self, seconds: u64) {
            let end = self.now + Duration::from_secs(seconds);
            while let Some(due) = self.client.poll_timeout().filter(|due| *due <= end) {
                self.now = self.now.max(due);
                self.client.handle_timeout(self.now);
                self.turn();
            }
            self.now = end;
        }

        /// Another client is introduced, named by the registry, and asks under a name of its own choice.
        fn is_asked_by(&mut self, number: u64, name: &str, says: &str) {
            let word = meeting(number);
            self.say(REGISTRY, &format!("Client Meet {word} number={number} name={name} at={}", address(number)));
            self.say(address(number), &format!("Connection Request {number} meeting={word} name={says}"));
        }
    }

    #[test]
    fn a_peer_is_called_what_the_registry_calls_it() {
        let mut alone = Alone::registered();
        alone.is_asked_by(2, "bob", "alice");
        let bob = Named { number: 2, name: "bob".parse().ok() };
        assert_eq!(alone.events, [Event::Requested(bob.clone())]);
        alone.client.accept(None, alone.now).unwrap();
        alone.turn();
        alone.say(address(2), &format!("Connection Request 2 meeting={} name=carol", meeting(2)));
        alone.say(address(2), "Message 2 hello");
        assert_eq!(alone.client.peer().map(|(peer, _)| peer), Some(&bob));
        assert!(matches!(alone.events.last(), Some(Event::Message { peer, .. }) if *peer == bob), "{:?}", alone.events);
    }

    #[test]
    fn a_message_in_somebody_elses_number_is_nonsense() {
        let mut alone = Alone::registered();
        alone.is_asked_by(2, "bob", "bob");
        alone.client.accept(None, alone.now).unwrap();
        alone.turn();
        alone.events.clear();
        alone.say(address(2), "Message 3 hello");
        assert!(matches!(alone.events[..], [Event::Nonsense { .. }]), "{:?}", alone.events);
    }

    #[test]
    fn a_crowd_of_requests_does_not_keep_us_from_asking() {
        let mut alone = Alone::registered();
        for number in 10..42 {
            alone.is_asked_by(number, &format!("x{number}"), "x");
        }
        assert_eq!(alone.events.len(), 32);
        alone.events.clear();
        let bob = Who::Number(2);
        alone.client.connect(&bob, alone.now).unwrap();
        alone.turn();
        // Its probe is answered before anything else is.
        alone.say(REGISTRY, &format!("Client Meet {} number=2 name=bob at={}", meeting(2), address(2)));
        let first = Named { number: 10, name: "x10".parse().ok() };
        assert!(
            matches!(&alone.events[..], [Event::Withdrawn(gone), Event::Requesting(_)] if *gone == first),
            "{:?}",
            alone.events
        );
    }

    #[test]
    fn every_question_ends_within_ten_seconds_even_if_it_was_acknowledged() {
        let mut alone = Alone::registered();
        let (bob, now) = (Who::Number(2), alone.now);
        alone.client.list(now).unwrap();
        alone.client.look_up(&bob, now).unwrap();
        alone.client.connect(&Who::Number(3), now).unwrap();
        alone.turn();
        alone.say(REGISTRY, "Client 2 Active nonsense");
        assert!(matches!(alone.events[..], [Event::Nonsense { .. }]), "{:?}", alone.events);
        alone.events.clear();
        alone.pass(10);
        let expected = [
            Event::NoAnswer(Question::List),
            Event::NoAnswer(Question::LookUp(bob.clone())),
            Event::Unreached { who: Who::Number(3), why: Unreached::RegistrySilent },
        ];
        assert_eq!(alone.events, expected);
        // An answer after that is nobody's.
        alone.events.clear();
        alone.say(REGISTRY, "Client 2 Inactive");
        assert_eq!(alone.events, []);
        assert!(alone.client.connect(&bob, alone.now).is_ok(), "the wish is over");
    }

    #[test]
    fn a_wish_that_is_introduced_and_finds_no_way_ends() {
        let mut alone = Alone::registered();
        alone.client.connect(&Who::Number(2), alone.now).unwrap();
        // Nobody acknowledges a probe there.
        let at = "192.0.2.9:9";
        let mut datagrams = 0;
        alone.turn();
        let text = format!("77:Client Meet {} number=2 at={at}", meeting(2));
        alone.client.handle_datagram(Via::socket(0), REGISTRY, text.as_bytes(), alone.now);
        for _ in 0..110 {
            alone.now += Duration::from_millis(100);
            alone.client.handle_timeout(alone.now);
            while let Some(event) = alone.client.poll_event(alone.now) {
                alone.events.push(event);
            }
            while alone.client.poll_transmit(alone.now).is_some() {
                datagrams += 1;
            }
        }
        alone.turn();
        assert!(datagrams > 10);
        assert_eq!(alone.events, [Event::Unreached { who: Who::Number(2), why: Unreached::NoWay }]);
    }

    /// A member whom the registry has forgotten.
    fn forgotten() -> Alone {
        let mut alone = Alone::registered();
        alone.is_asked_by(2, "bob", "bob");
        alone.client.accept(None, alone.now).unwrap();
        alone.turn();
        alone.pass(6);
        alone.said.clear();
        alone.events.clear();
        alone.hear(REGISTRY, "5:Client Unknown");
        alone
    }

    #[test]
    fn a_name_that_was_taken_meanwhile_is_given_up_and_the_chat_goes_on() {
        let mut alone = forgotten();
        alone.join("Client Refused name-taken");
        assert_eq!(alone.events, [Event::NameLost("me".parse().unwrap())]);
        alone.join("Client Number 1 seen=192.0.2.1:5000");
        assert!(matches!(alone.events.last(), Some(Event::Registered { name: None, .. })), "{:?}", alone.events);
        assert!(alone.said.iter().all(|(_, _, text)| !text.contains("name=me") || text.contains("number=1")));
        assert!(alone.client.peer().is_some());
    }

    #[test]
    fn a_registry_that_is_full_is_tried_again_and_that_is_told_once() {
        let mut alone = forgotten();
        for _ in 0..3 {
            alone.join("Client Refused full");
            alone.say(address(2), "Client Here 2");
            alone.said.clear();
            alone.pass(31);
        }
        assert_eq!(alone.events, [Event::NotBack(Refusal::Full)]);
        alone.join("Client Number 1 name=me seen=192.0.2.1:5000");
        assert!(matches!(alone.events.last(), Some(Event::Registered { .. })), "{:?}", alone.events);
        assert!(alone.client.peer().is_some());
    }

    #[test]
    fn before_the_first_registration_a_refusal_is_the_end() {
        let mut alone = Alone::new();
        alone.join("Client Refused name-taken");
        assert_eq!(alone.events, [Event::JoinRefused(Refusal::NameTaken)]);
    }

    #[test]
    fn who_leaves_ends_its_chat_first() {
        let mut alone = forgotten();
        alone.client.leave(alone.now);
        alone.turn();
        assert!(matches!(alone.events.first(), Some(Event::Terminated { by_peer: false, .. })), "{:?}", alone.events);
        assert!(matches!(alone.events.last(), Some(Event::Left { .. })), "{:?}", alone.events);
    }
}
