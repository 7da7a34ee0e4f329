//! The registry without sockets: who is here, under which number and name and at which address, and who is told where others are.
//!
//! An address proves itself before anything is kept of it: its join is answered with a token, which only who receives there can
//! send back. Until then nobody gets more than one datagram for one, nor more bytes than he sent.

mod addresses;
mod admission;
mod crowd;
mod entry;
mod event;
mod numbers;
mod page;
mod rate;
mod roster;
mod secret;

pub use event::{Client, Config, Counts, Departure, Event, Unheeded};

use crate::echo::ANSWERING_SERVICES;
use crate::packet::chat::{Answer, ClientName, Join, Refusal, Request, Unreadable, Who};
use crate::packet::message::{self, Message};
use crate::session::conversation::Complaints;
use crate::session::{Machine, Transmit, Via};
use addresses::whereabouts;
use admission::Place;
use entry::{Entry, JoinMark, Member, Role};
use numbers::Numbers;
use page::{PAGE_MAX, page};
use rate::{INTRODUCTIONS, REQUESTS, Rate, STRANGERS};
use roster::Roster;
use secret::Secret;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

/// The registry's machine.
pub struct Registry {
    config: Config,
    began: Instant,
    secret: Secret,
    roster: Roster,
    numbers: Numbers,
    /// The highest number of a message of ours.
    highest_said: u64,
    meetings: u64,
    /// How often strangers are told that they are strangers.
    strangers: Rate,
    complaints: Complaints,
    refusals: Complaints,
    counts: Counts,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

/// A numbered text, and how it came.
#[derive(Clone, Copy)]
struct Letter<'a> {
    via: Via,
    from: SocketAddr,
    seq: u64,
    text: &'a str,
    datagram: &'a [u8],
}

impl Registry {
    /// Nobody is here yet.
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            began: now,
            secret: Secret::new(config.secret, now),
            config,
            roster: Roster::default(),
            numbers: Numbers::new(),
            highest_said: 0,
            meetings: 0,
            strangers: Rate::default(),
            complaints: Complaints::default(),
            refusals: Complaints::default(),
            counts: Counts::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How many clients are here.
    pub fn clients_count(&self) -> usize {
        self.roster.members()
    }

    /// Who is here, by rising number.
    pub fn clients(&self) -> impl Iterator<Item = Client> {
        self.roster.members_after(0).map(|(seen, member)| member.client(seen))
    }

    /// How many addresses something is kept of: clients, and those that are about to go.
    pub fn remembered(&self) -> usize {
        self.roster.len()
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn hear(&mut self, via: Via, from: SocketAddr, datagram: &[u8], now: Instant) -> Result<(), Unheeded> {
        if ANSWERING_SERVICES.contains(&from.port()) {
            return Err(Unheeded::Service);
        }
        if datagram.len() > PAGE_MAX {
            return Err(Unheeded::TooLong);
        }
        match message::decode(datagram)? {
            Message::Ack { .. } => self.on_ack(from, datagram, now),
            Message::Text { seq, text } => {
                let letter = Letter { via, from, seq, text, datagram };
                match text.parse() {
                    Ok(Request::Join(join)) => self.on_join(letter, join, now),
                    request => self.on_request(letter, request, now),
                }
            }
        }
    }

    fn on_ack(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) -> Result<(), Unheeded> {
        let entry = self.roster.get_mut(from).ok_or(Unheeded::Answer)?;
        entry.hear(datagram, now);
        self.settle(from);
        Ok(())
    }

    fn on_join(&mut self, letter: Letter<'_>, join: Join, now: Instant) -> Result<(), Unheeded> {
        let (from, mark) = (letter.from, JoinMark::new(letter.seq, letter.text));
        if let Some(entry) = self.roster.get_mut(from).filter(|entry| entry.is_made_by(mark)) {
            if !entry.requests.take(REQUESTS, now) {
                return Err(Unheeded::TooOften);
            }
            entry.hear(letter.datagram, now);
            self.settle(from);
            return Ok(());
        }
        if !join.token.is_some_and(|token| self.secret.proves(token, from, now)) {
            self.tell_stranger(letter, &Answer::Token(self.secret.token(from, now)));
            return Ok(());
        }
        let mut requests = self.roster.get(from).map(|entry| entry.requests).unwrap_or_default();
        if !requests.take(REQUESTS, now) {
            return Err(Unheeded::TooOften);
        }
        if self.roster.get(from).is_some_and(|entry| entry.is_later_than(mark, now)) {
            return Err(Unheeded::Overtaken);
        }
        // Who has proved that it lives here lives here now, and whoever did with another key does not.
        if self.roster.of_key(join.key) != Some(from) {
            self.evict(from, now);
        }
        let name = join.name.clone();
        let (role, answer) = match admission::judge(&self.config, &self.roster, &mut self.numbers, from, join, now) {
            Ok(place) => self.let_in(from, place),
            Err(refusal) => self.turn_away(from, name, refusal, now)?,
        };
        let mut entry = Entry::new(letter.via, role, mark, self.first_number(now), now);
        entry.requests = requests;
        entry.hear(letter.datagram, now);
        self.roster.seat(from, entry);
        self.say(from, &answer, now);
        self.settle(from);
        Ok(())
    }

    fn let_in(&mut self, from: SocketAddr, place: Place) -> (Role, Answer) {
        let Place { member, before, is_return } = place;
        if let Some(before) = before {
            self.roster.remove(before);
        }
        self.numbers.take(member.number);
        self.counts.joined += 1;
        self.events.push_back(Event::Joined { client: member.client(from), is_return });
        let answer = Answer::Number { number: member.number, name: member.name.clone(), seen: from };
        (Role::Member(member), answer)
    }

    fn turn_away(
        &mut self,
        from: SocketAddr,
        name: Option<ClientName>,
        refusal: Refusal,
        now: Instant,
    ) -> Result<(Role, Answer), Unheeded> {
        self.evict(from, now);
        self.counts.refused += 1;
        if let Some(untold) = self.refusals.admit(now) {
            self.events.push_back(Event::Refused { peer: from, name, refusal, untold });
        }
        if !admission::may_be_told(&self.roster, from.ip()) {
            return Err(Unheeded::Crowd);
        }
        Ok((Role::Refused, Answer::Refused(refusal)))
    }

    fn evict(&mut self, address: SocketAddr, now: Instant) {
        if let Some(member) = self.roster.remove(address) {
            self.on_gone(&member, address, Departure::Replaced, now);
        }
    }

    fn on_request(
        &mut self,
        letter: Letter<'_>,
        request: Result<Request, Unreadable>,
        now: Instant,
    ) -> Result<(), Unheeded> {
        let Letter { via, from, seq, datagram, .. } = letter;
        let Some(entry) = self.roster.get_mut(from) else { return self.on_stranger(letter, now) };
        match entry.role {
            Role::Member(_) => {}
            Role::Gone(leave) if leave == seq => {}
            Role::Gone(_) | Role::Refused => return self.on_stranger(letter, now),
        }
        if !entry.requests.take(REQUESTS, now) {
            return Err(Unheeded::TooOften);
        }
        let is_question = matches!(request, Ok(Request::List { .. } | Request::Lookup(_) | Request::Meet(_)));
        if is_question && entry.unsettled >= OWN_ANSWERS_MAX {
            return Err(Unheeded::Unacknowledged);
        }
        entry.via = via;
        let is_new = entry.hear(datagram, now) && entry.member().is_some();
        let result = if is_new { self.answer(letter, request, now) } else { Ok(()) };
        self.settle(from);
        result
    }

    fn answer(
        &mut self,
        letter: Letter<'_>,
        request: Result<Request, Unreadable>,
        now: Instant,
    ) -> Result<(), Unheeded> {
        let from = letter.from;
        match request.map_err(Unheeded::Unreadable)? {
            // Joins take another way.
            Request::Join(_) | Request::Here => {}
            Request::List { after } => {
                let total = u64::try_from(self.roster.members()).unwrap_or(u64::MAX);
                let answer = page(total, self.roster.listed_after(after));
                self.counts.answered += 1;
                self.say(from, &answer, now);
            }
            Request::Lookup(who) => self.look_up(from, who, now),
            Request::Meet(who) => self.introduce(from, who, now),
            Request::Leave => {
                let left = self.roster.dismiss(from, |entry| entry.dismiss(letter.seq, letter.datagram, now));
                if let Some(member) = left {
                    self.on_gone(&member, from, Departure::Left, now);
                }
            }
        }
        Ok(())
    }

    fn look_up(&mut self, from: SocketAddr, who: Who, now: Instant) {
        let Some(by) = self.roster.member(from).map(|member| member.number) else { return };
        let found = self.roster.find(&who).and_then(|seen| Some((self.roster.member(seen)?, seen)));
        let number = found.map(|(member, _)| member.number);
        let answer = match found {
            Some((member, seen)) => Answer::Active { who: who.clone(), client: whereabouts(member, seen, from) },
            None => Answer::Inactive(who.clone()),
        };
        self.counts.answered += 1;
        self.events.push_back(Event::LookedUp { by, who, found: number });
        self.say(from, &answer, now);
    }

    /// Tells two clients of each other. Who is told begins to send, so that neither may be told too often.
    fn introduce(&mut self, from: SocketAddr, who: Who, now: Instant) {
        self.counts.answered += 1;
        let found = self.roster.find(&who).filter(|seen| *seen != from);
        let Some(there) = found else { return self.say(from, &Answer::Inactive(who), now) };
        let asks = self.roster.get_mut(from).and_then(Entry::member_mut);
        let may_ask = asks.is_some_and(|asker| asker.asks.take(INTRODUCTIONS, now));
        if !may_ask {
            return self.say(from, &Answer::Refused(Refusal::TooOften), now);
        }
        let visited = self.roster.get_mut(there).filter(|entry| entry.unsettled < ANSWERS_MAX);
        let visits = visited.and_then(Entry::member_mut);
        if !visits.is_some_and(|visited| visited.visits.take(INTRODUCTIONS, now)) {
            return self.say(from, &Answer::Refused(Refusal::Busy), now);
        }
        let (Some(asker), Some(visited)) = (self.roster.member(from), self.roster.member(there)) else { return };
        let (by, to) = (asker.number, visited.number);
        let (asker, visited) = (whereabouts(asker, from, there), whereabouts(visited, there, from));
        self.meetings += 1;
        let meeting = self.secret.meeting(self.meetings);
        self.events.push_back(Event::Introduced { by, to });
        self.say(from, &Answer::Meet { meeting, client: visited }, now);
        self.say(there, &Answer::Meet { meeting, client: asker }, now);
        self.settle(there);
    }

    /// Whoever was a client of a registry that is no more learns from this that it must join again.
    fn on_stranger(&mut self, letter: Letter<'_>, now: Instant) -> Result<(), Unheeded> {
        if matches!(letter.text.parse(), Ok(Answer::Token(_) | Answer::Unknown)) {
            // Two registries would tell each other for ever that they do not know each other.
            return Err(Unheeded::Answer);
        }
        if self.strangers.take(STRANGERS, now) {
            self.tell_stranger(letter, &Answer::Unknown);
        }
        Err(Unheeded::Stranger)
    }

    /// One datagram to an address that has not proved itself, under the number of what came, and no longer than that.
    fn tell_stranger(&mut self, letter: Letter<'_>, answer: &Answer) {
        let Letter { via, from, seq, datagram, .. } = letter;
        let bytes = (Message::Text { seq, text: &answer.to_string() }).to_datagram();
        let short = bytes.ok().filter(|bytes| bytes.len() <= datagram.len());
        self.transmits.extend(short.map(|bytes| Transmit::one(via, from, bytes)));
    }

    fn say(&mut self, to: SocketAddr, answer: &Answer, now: Instant) {
        let said = self.roster.get_mut(to).and_then(|entry| entry.say(answer, now));
        self.highest_said = self.highest_said.max(said.unwrap_or_default());
    }

    /// Where a new conversation begins: above whatever was said before, also by a registry before this one.
    fn first_number(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.began).as_micros();
        let counted = self.config.first.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX));
        counted.max(self.highest_said.saturating_add(1))
    }

    /// Something has happened to this entry: what it has to send goes out, and it is due when it is due.
    fn settle(&mut self, address: SocketAddr) {
        if let Some(entry) = self.roster.get_mut(address) {
            let via = entry.via;
            while let Some(bytes) = entry.poll_transmit() {
                self.transmits.push_back(Transmit::one(via, address, bytes));
            }
            self.roster.schedule(address);
        }
    }

    fn on_gone(&mut self, member: &Member, seen: SocketAddr, how: Departure, now: Instant) {
        self.counts.left += 1;
        self.numbers.retire(member.number, member.key, now);
        self.events.push_back(Event::Left { client: member.client(seen), how });
    }

    fn on_due(&mut self, address: SocketAddr, now: Instant) {
        let Some(entry) = self.roster.get_mut(address) else { return };
        if now < entry.ends() {
            entry.handle_timeout(now);
            return self.settle(address);
        }
        if let Some(member) = self.roster.remove(address) {
            self.on_gone(&member, address, Departure::Expired, now);
        }
    }
}

impl Machine for Registry {
    fn handle_datagram(&mut self, via: Via, from: SocketAddr, datagram: &[u8], now: Instant) {
        if let Err(reason) = self.hear(via, from, datagram, now) {
            self.counts.ignored += 1;
            if let Some(untold) = self.complaints.admit(now) {
                self.events.push_back(Event::Ignored { peer: from, reason, untold });
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some((_, address)) = self.roster.next_due().filter(|(due, _)| now >= *due) {
            self.on_due(address, now);
        }
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.roster.next_due().map(|(due, _)| due)
    }
}

/// A client that does not acknowledge its answers gets no more of them, also so that they do not fill memory: with two copies of
/// 1200 bytes each these are 10 kB, for 16384 clients that all mean harm 160 MB.
const OWN_ANSWERS_MAX: usize = 4;

/// The same, together with the short answers that others have asked for.
const ANSWERS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::chat::{Hex, Key, Token, Whereabouts};
    use crate::session::conversation::MEMORY;
    use proptest::prelude::*;
    use std::time::Duration;

    const ALICE: Key = Hex([1; 16]);
    const BOB: Key = Hex([2; 16]);

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// The `index`th of very many addresses.
    fn address_of(index: u32) -> SocketAddr {
        SocketAddr::from(((0x0a00_0000 + index).to_be_bytes(), 5000))
    }

    fn who(text: &str) -> Who {
        text.parse().expect("a number or a name")
    }

    /// A registry, and clients that acknowledge everything at once.
    struct Hall {
        registry: Registry,
        now: Instant,
        /// The last number that anybody used.
        seq: u64,
    }

    impl Hall {
        fn new() -> Self {
            Self::with(|_| {})
        }

        #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
        fn with(change: impl FnOnce(&mut Config)) -> Self {
            let (now, mut config) = (Instant::now(), Config::new([7; 32], 1_000_000));
            change(&mut config);
            Self { registry: Registry::new(config, now), now, seq: 0 }
        }

        /// What is sent now, and to whom.
        fn sent(&mut self) -> Vec<(SocketAddr, String)> {
            let sent = std::iter::from_fn(|| self.registry.poll_transmit(self.now));
            sent.map(|sent| (sent.to, String::from_utf8(sent.bytes).expect("text"))).collect()
        }

        /// A datagram comes; what is sent then.
        fn hears(&mut self, from: SocketAddr, datagram: &str) -> Vec<(SocketAddr, String)> {
            self.registry.handle_datagram(Via::default(), from, datagram.as_bytes(), self.now);
            self.sent()
        }

        /// A text under a new number; the texts that come from the registry then, all acknowledged, and to whom.
        fn told(&mut self, from: SocketAddr, text: &str) -> Vec<(SocketAddr, String)> {
            self.seq += 1;
            let (own, mut sent) = (format!("{}:{text}", self.seq), Vec::new());
            let mut coming: VecDeque<_> = self.hears(from, &own).into();
            while let Some((to, datagram)) = coming.pop_front() {
                let (seq, text) = datagram.split_once(':').expect("a number");
                if text.starts_with("ACK:") {
                    assert_eq!(
                        (to, &datagram),
                        (from, &format!("{}:ACK:{}", self.seq, own.split_once(':').expect("a number").1))
                    );
                    continue;
                }
                if !text.starts_with("Client Token") && text != "Client Unknown" {
                    let acknowledgement = format!("{seq}:ACK:{text}");
                    coming.extend(self.hears(to, &acknowledgement));
                }
                sent.push((to, text.to_owned()));
            }
            sent
        }

        /// What `from` is told when it says this; nobody else is told anything.
        fn answers(&mut self, from: SocketAddr, text: &str) -> Vec<Answer> {
            let told = self.told(from, text);
            told.iter().for_each(|(to, text)| assert_eq!(*to, from, "{text}"));
            told.iter().map(|(_, text)| text.parse().expect("an answer")).collect()
        }

        fn answer(&mut self, from: SocketAddr, text: &str) -> Answer {
            let answers = self.answers(from, text);
            let [answer] = &answers[..] else { panic!("{text} is answered {answers:?}") };
            answer.clone()
        }

        fn token(&mut self, from: SocketAddr) -> Token {
            match self.answer(from, &padded(&format!("Client Join key={ALICE}"))) {
                Answer::Token(token) => token,
                answer => panic!("{answer}"),
            }
        }

        fn joins(&mut self, from: SocketAddr, key: Key, more: &str) -> Answer {
            let token = self.token(from);
            self.answer(from, &format!("Client Join key={key} token={token}{more}"))
        }

        /// A client that joins and gets this number.
        fn number(&mut self, from: SocketAddr, key: Key, more: &str) -> u64 {
            match self.joins(from, key, more) {
                Answer::Number { number, seen, .. } if seen == from => number,
                answer => panic!("{answer}"),
            }
        }

        fn passes(&mut self, seconds: f64) {
            let until = self.now + Duration::from_secs_f64(seconds);
            while let Some(due) = self.registry.poll_timeout().filter(|due| *due <= until) {
                self.now = due;
                self.registry.handle_timeout(due);
            }
            self.now = until;
        }

        fn events(&mut self) -> Vec<Event> {
            std::iter::from_fn(|| self.registry.poll_event()).collect()
        }

        /// Who came (`+1`, `+1 back`) and went (`-1 Left`).
        fn doors(&mut self) -> Vec<String> {
            let door = |event| match event {
                Event::Joined { client, is_return } => {
                    Some(format!("+{}{}", client.number, if is_return { " back" } else { "" }))
                }
                Event::Left { client, how } => Some(format!("-{} {how:?}", client.number)),
                _ => None,
            };
            self.events().into_iter().filter_map(door).collect()
        }

        fn complaints(&mut self) -> Vec<Unheeded> {
            let complaint = |event| match event {
                Event::Ignored { reason, .. } => Some(reason),
                _ => None,
            };
            self.events().into_iter().filter_map(complaint).collect()
        }
    }

    fn padded(text: &str) -> String {
        format!("{text:64}")
    }

    fn key(index: u32) -> Key {
        let mut key = [9; 16];
        key[..4].copy_from_slice(&index.to_be_bytes());
        Hex(key)
    }

    #[test]
    fn an_address_proves_itself_and_then_its_client_is_here() {
        let mut hall = Hall::new();
        let from = address("192.0.2.1:5000");
        let join = format!("7:{}", padded(&format!("Client Join key={ALICE}")));
        let sent = hall.hears(from, &join);
        let [(to, token)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!((*to, token.len() <= join.len(), hall.registry.remembered()), (from, true, 0));
        let token = token.strip_prefix("7:Client Token ").expect("a token under the join's number");
        let join = format!("8:Client Join key={ALICE} token={token} name=alice at=10.0.0.7:5000");
        let expected = [
            (from, format!("8:ACK:{}", join.split_once(':').expect("a number").1)),
            (from, "1000000:Client Number 1 name=alice seen=192.0.2.1:5000".to_owned()),
        ];
        assert_eq!(hall.hears(from, &join), expected);
        assert_eq!(hall.hears(from, &join), expected[..1], "a copy is only acknowledged");
        let client = hall.registry.clients().next().expect("one is here");
        let (name, reported) = ("alice".parse().ok(), vec![address("10.0.0.7:5000")]);
        assert_eq!(client, Client { number: 1, name, seen: from, reported, since: hall.now });
        assert_eq!(hall.events(), [Event::Joined { client, is_return: false }]);
    }

    #[test]
    fn a_number_that_is_not_acknowledged_is_repeated_for_a_while_and_then_no_more() {
        let mut hall = Hall::new();
        let from = address("192.0.2.1:5000");
        let token = hall.token(from);
        hall.hears(from, &format!("9:Client Join key={ALICE} token={token}"));
        hall.passes(40.0);
        let copies = hall.sent();
        assert!((9..=12).contains(&copies.len()), "{} copies", copies.len());
        assert!(copies.iter().all(|(_, text)| text.starts_with("1000000:Client Number 1 ")));
    }

    #[test]
    fn a_token_is_worth_nothing_from_elsewhere_or_later_or_made_up() {
        let (alice, eve) = (address("192.0.2.1:5000"), address("192.0.2.1:5001"));
        let mut hall = Hall::new();
        let token = hall.token(alice);
        let made_up = Hex([0; 16]);
        for (from, token, after) in [(eve, token, 0.0), (alice, made_up, 0.0), (alice, token, 31.0)] {
            hall.passes(after);
            let answer = hall.answer(from, &format!("Client Join key={BOB} token={token}"));
            assert!(matches!(answer, Answer::Token(fresh) if fresh != token), "{answer}");
        }
        assert_eq!((hall.registry.remembered(), hall.doors().len()), (0, 0));
    }

    #[test]
    fn what_is_shorter_than_its_answer_or_is_an_answer_gets_none() {
        let mut hall = Hall::new();
        let from = address("192.0.2.1:5000");
        for (text, answer) in [
            ("5:Client Here", None),
            ("5:Client Here   ", Some("5:Client Unknown")),
            ("00005:Client Here", Some("5:Client Unknown")),
            ("5:Client List 100", Some("5:Client Unknown")),
            ("5:anything at all", Some("5:Client Unknown")),
            ("5:Client Join key=what a key that is!", Some("5:Client Unknown")),
            ("5:Client Unknown", None),
            ("5:Client Unknown to me", None),
            ("5:Client Token 01010101010101010101010101010101", None),
            ("5:ACK:Client Number 1 seen=192.0.2.1:5000", None),
            ("Client Here without a number", None),
            ("5:Client Join key=01010101010101010101010101010101", Some("5:Client Token ")),
        ] {
            let sent = hall.hears(from, text);
            assert!(sent.len() <= 1 && sent.iter().all(|(to, told)| *to == from && told.len() <= text.len()), "{text}");
            let told = sent.first().map(|(_, told)| told.as_str());
            assert!(
                told.zip(answer).map_or(told == answer, |(told, answer)| told.starts_with(answer)),
                "{text}: {told:?}"
            );
        }
        assert_eq!(hall.hears(address("192.0.2.1:7"), "5:Client Here   "), []);
        let long = format!("5:{}", "x".repeat(PAGE_MAX));
        assert_eq!(hall.hears(from, &long), []);
    }

    #[test]
    fn two_registries_do_not_keep_a_datagram_in_the_air() {
        let (mut one, mut other) = (Hall::new(), Hall::new());
        let (here, there) = (address("192.0.2.1:7070"), address("192.0.2.2:7070"));
        for forged in
            ["5:hello, hello, hello", &format!("5:Client Join key={ALICE}"), "5:ACK:x", "5:Client Meet somebody"]
        {
            let mut flying = one.hears(there, forged);
            let mut flights = 0;
            while let Some((_, datagram)) = flying.pop() {
                flying = if flights % 2 == 0 { other.hears(here, &datagram) } else { one.hears(there, &datagram) };
                flights += 1;
                assert!(flights < 3, "{datagram}");
            }
        }
    }

    #[test]
    fn a_hundred_thousand_forged_joins_leave_nothing() {
        let mut hall = Hall::new();
        let join = padded(&format!("5:Client Join key={ALICE} name=alice"));
        for index in 0..100_000 {
            assert_eq!(hall.hears(address_of(index), &join).len(), 1);
        }
        assert_eq!((hall.registry.remembered(), hall.registry.poll_timeout(), hall.events().len()), (0, None, 0));
    }

    #[test]
    fn a_flood_of_true_joins_fills_what_there_is_and_no_more() {
        let mut hall = Hall::with(|config| config.capacity = 500);
        for index in 0..3000 {
            let from = address_of(index);
            let token = hall.token(from);
            hall.hears(from, &format!("{}:Client Join key={} token={token}", u64::from(index) + 5_000_000, key(index)));
            assert!(hall.registry.remembered() <= 500 + 1024);
        }
        assert_eq!((hall.registry.clients_count(), hall.registry.remembered()), (500, 500 + 1024));
        hall.seq = 10_000_000;
        assert_eq!(
            hall.joins(address_of(1), key(1), " name=alice").to_string(),
            "Client Number 2 name=alice seen=10.0.0.1:5000"
        );
        hall.passes(60.0);
        assert_eq!((hall.registry.remembered(), hall.registry.poll_timeout()), (0, None));
    }

    #[test]
    fn one_address_has_its_share_and_an_ipv6_network_counts_as_one() {
        let mut hall = Hall::with(|config| config.per_address = 2);
        for (from, index, answer) in [
            ("192.0.2.1:1000", 1, "Client Number 1 "),
            ("192.0.2.1:1001", 2, "Client Number 2 "),
            ("192.0.2.1:1002", 3, "Client Refused too-many"),
            ("192.0.2.1:1003", 2, "Client Number 2 "),
            ("192.0.2.2:1002", 3, "Client Number 3 "),
            ("192.0.2.1:1004", 3, "Client Refused too-many"),
            ("[2001:db8::1]:1", 4, "Client Number 4 "),
            ("[2001:db8::2]:1", 5, "Client Number 5 "),
            ("[2001:db8:0:0:ffff::]:1", 6, "Client Refused too-many"),
            ("[2001:db8:0:1::]:1", 6, "Client Number 6 "),
        ] {
            hall.passes(11.0);
            (1..7).for_each(|index| {
                drop(hall.registry.roster.of_key(key(index)).map(|seen| hall.told(seen, "Client Here")))
            });
            let told = hall.joins(address(from), key(index), "").to_string();
            assert!(told.starts_with(answer), "{from}: {told}");
        }
    }

    #[test]
    fn a_name_is_its_owners_in_whatever_case_until_he_is_gone() {
        let mut hall = Hall::new();
        let (alice, bob) = (address("192.0.2.1:5000"), address("192.0.2.2:5000"));
        hall.number(alice, ALICE, " name=Zoë");
        for name in ["Zoë", "zoë", "ZOË"] {
            assert_eq!(hall.joins(bob, BOB, &format!(" name={name}")), Answer::Refused(Refusal::NameTaken));
        }
        assert!(matches!(
            hall.events().pop(),
            Some(Event::Refused { refusal: Refusal::NameTaken, untold: 0, .. }) | None
        ));
        hall.told(alice, "Client Leave");
        assert_eq!(hall.number(bob, BOB, " name=zoë"), 2);
    }

    #[test]
    fn a_number_is_not_stolen_with_another_key_neither_while_it_is_used_nor_right_after() {
        let mut hall = Hall::new();
        let (alice, eve) = (address("192.0.2.1:5000"), address("192.0.2.66:5000"));
        assert_eq!(hall.number(alice, ALICE, " number=7"), 7);
        assert_eq!(hall.number(eve, BOB, " number=7"), 1);
        hall.told(alice, "Client Leave");
        hall.told(eve, "Client Leave");
        assert_eq!(hall.number(eve, BOB, " number=7"), 2);
        assert_eq!(hall.number(alice, ALICE, " number=7"), 7);
        assert_eq!(hall.doors(), ["+7", "+1", "-7 Left", "-1 Left", "+2", "+7 back"]);
        assert_eq!(hall.number(address("192.0.2.3:5000"), key(3), " number=0"), 3, "0 is nobody's number");
    }

    #[test]
    fn who_has_the_key_is_the_same_client_from_wherever_it_comes() {
        let mut hall = Hall::new();
        let (before, after, eve) =
            (address("192.0.2.1:5000"), address("198.51.100.9:6000"), address("192.0.2.66:5000"));
        hall.number(before, ALICE, " name=alice");
        hall.number(eve, BOB, " name=eve");
        for (more, name) in [("", "alice"), (" number=1 name=alice", "alice"), (" number=9 name=Alice", "Alice")] {
            let answer = hall.joins(after, ALICE, more);
            assert_eq!(answer.to_string(), format!("Client Number 1 name={name} seen={after}"));
        }
        assert_eq!(hall.registry.clients_count(), 2);
        assert_eq!(hall.answer(before, "Client List 0 and more"), Answer::Unknown);
        assert_eq!(
            hall.answer(eve, "Client Lookup alice").to_string(),
            format!("Client alice Active number=1 name=Alice at={after}")
        );
        assert_eq!(hall.doors(), ["+1", "+2", "+1 back", "+1 back", "+1 back"]);
    }

    #[test]
    fn a_program_that_was_started_anew_at_its_port_is_let_in_again() {
        let mut hall = Hall::new();
        let from = address("192.0.2.1:5000");
        hall.number(from, ALICE, " name=alice");
        assert_eq!(hall.number(from, ALICE, " name=alice"), 1);
        assert_eq!(
            hall.number(from, BOB, " name=alice"),
            2,
            "with another key it is another client, and the address is proved"
        );
        assert_eq!(hall.doors(), ["+1", "+1 back", "-1 Replaced", "+2"]);
        // One that counts from 1 again is as old as a straggler; when the address has been quiet it is not.
        let token = hall.token(from);
        let join = format!("1:Client Join key={ALICE} token={token}");
        assert_eq!(hall.hears(from, &join), []);
        hall.passes(MEMORY.as_secs_f64());
        assert_eq!(hall.hears(from, &join).len(), 2);
    }

    #[test]
    fn numbers_of_the_registrys_messages_rise_from_one_conversation_to_the_next() {
        let mut hall = Hall::new();
        let from = address("192.0.2.1:5000");
        let mut highest = 0;
        for _ in 0..5 {
            let token = hall.token(from);
            hall.seq += 1;
            let sent = hall.hears(from, &format!("{}:Client Join key={ALICE} token={token}", hall.seq));
            let seq = sent.last().and_then(|(_, text)| text.split(':').next()?.parse().ok()).expect("a number");
            assert!(seq > highest, "{seq} after {highest}");
            highest = seq;
            // Later messages of the same conversation.
            hall.hears(from, &format!("{seq}:ACK:Client Number 1 seen={from}"));
            hall.told(from, "Client Lookup 1");
            highest += 1;
        }
    }

    #[test]
    fn who_is_silent_expires_and_who_says_so_stays() {
        let mut hall = Hall::new();
        let (alice, bob) = (address("192.0.2.1:5000"), address("192.0.2.2:5000"));
        hall.number(alice, ALICE, " name=alice");
        hall.number(bob, BOB, "");
        hall.events();
        for _ in 0..3 {
            hall.passes(15.0);
            assert_eq!(hall.answers(bob, "Client Here"), []);
        }
        assert_eq!(hall.doors(), ["-1 Expired"]);
        assert_eq!(hall.answer(bob, "Client Lookup alice"), Answer::Inactive(who("alice")));
        assert_eq!(hall.answer(bob, "Client List 0").to_string(), "Client List total=1 clients=2");
        assert_eq!(hall.number(alice, ALICE, " number=1 name=alice"), 1);
        assert_eq!(hall.doors(), ["+1 back"]);
    }

    #[test]
    fn a_leave_is_acknowledged_as_often_as_it_comes_and_nothing_else_is() {
        let mut hall = Hall::new();
        let from = address("192.0.2.1:5000");
        let token = hall.token(from);
        hall.hears(from, &format!("50:Client Join key={ALICE} token={token}"));
        for _ in 0..3 {
            assert_eq!(hall.hears(from, "51:Client Leave"), [(from, "51:ACK:Client Leave".to_owned())]);
        }
        assert_eq!(hall.doors(), ["+1", "-1 Left"]);
        assert_eq!(hall.hears(from, "52:Client List 0 "), [(from, "52:Client Unknown".to_owned())]);
        assert_eq!(hall.hears(from, &format!("50:Client Join key={ALICE} token={token}")), [], "a late copy");
        hall.passes(MEMORY.as_secs_f64());
        assert_eq!(hall.sent(), [], "the number that was never acknowledged is not repeated");
        assert_eq!((hall.registry.remembered(), hall.hears(from, "51:Client Leave")), (0, Vec::new()));
    }

    #[test]
    fn ten_thousand_clients_are_listed_page_by_page() {
        let mut hall = Hall::new();
        for index in 0..10_000 {
            hall.number(
                address_of(index),
                key(index),
                &if index % 3 == 0 { format!(" name=client-{index}") } else { String::new() },
            );
        }
        let (mut after, mut listed) = (0, Vec::new());
        loop {
            hall.now += Duration::from_millis(200);
            match hall.answer(address_of(0), &format!("Client List {after}")) {
                Answer::List { total: 10_000, next, clients } => {
                    listed.extend(clients);
                    let Some(next) = next else { break };
                    after = next;
                }
                answer => panic!("{answer}"),
            }
        }
        assert_eq!(listed.iter().map(|client| client.number).collect::<Vec<_>>(), (1..=10_000).collect::<Vec<_>>());
        assert_eq!(listed[3].name, "client-3".parse().ok());
    }

    #[test]
    fn two_clients_are_told_of_each_other_with_the_same_word() {
        let mut hall = Hall::new();
        let (alice, bob) = (address("198.51.100.1:5000"), address("198.51.100.1:6000"));
        hall.number(alice, ALICE, " name=alice at=192.168.0.2:5000,8.8.8.8:53");
        hall.number(bob, BOB, " name=bob");
        hall.events();
        let mut told = hall.told(alice, "Client Meet bob");
        told.sort();
        let meeting = hall.registry.secret.meeting(1);
        let name = |name: &str| name.parse().ok();
        let (at_bob, at_alice) = (vec![bob], vec![alice, address("192.168.0.2:5000")]);
        let to_alice =
            Answer::Meet { meeting, client: Whereabouts { number: 2, name: name("bob"), addresses: at_bob } };
        let to_bob =
            Answer::Meet { meeting, client: Whereabouts { number: 1, name: name("alice"), addresses: at_alice } };
        assert_eq!(told, [(alice, to_alice.to_string()), (bob, to_bob.to_string())]);
        assert_eq!(hall.events(), [Event::Introduced { by: 1, to: 2 }]);
        for nobody in ["carol", "3", "alice", "1"] {
            assert_eq!(hall.answer(alice, &format!("Client Meet {nobody}")), Answer::Inactive(who(nobody)));
        }
    }

    #[test]
    fn nobody_is_introduced_too_often_neither_by_one_nor_by_many() {
        let mut hall = Hall::new();
        for index in 0..12 {
            hall.number(address_of(index), key(index), "");
        }
        hall.now += Duration::from_secs(10);
        let refused = |refusal| Answer::Refused(refusal);
        let meets =
            |hall: &mut Hall, from, to: u32| hall.told(address_of(from), &format!("Client Meet {}", to + 1)).len() == 2;
        assert!((1..6).all(|to| meets(&mut hall, 0, to)));
        assert_eq!(hall.answer(address_of(0), "Client Meet 7"), refused(Refusal::TooOften), "its own limit");
        hall.now += Duration::from_secs(10);
        assert!((1..6).all(|from| meets(&mut hall, from, 0)));
        assert_eq!(hall.answer(address_of(7), "Client Meet 1"), refused(Refusal::Busy), "the other one's limit");
        hall.now += Duration::from_secs(1);
        assert!(meets(&mut hall, 7, 0));
    }

    #[test]
    fn who_asks_too_often_is_not_even_acknowledged() {
        let mut hall = Hall::new();
        let from = address("192.0.2.1:5000");
        hall.number(from, ALICE, "");
        hall.now += Duration::from_secs(10);
        assert!((0..20).all(|_| hall.answers(from, "Client Lookup 1").len() == 1));
        hall.seq += 1;
        let again = format!("{}:Client Lookup 1", hall.seq);
        assert_eq!(hall.hears(from, &again), []);
        assert_eq!(hall.complaints(), [Unheeded::TooOften]);
        hall.now += Duration::from_millis(200);
        assert_eq!(hall.hears(from, &again).len(), 2);
    }

    #[test]
    fn who_does_not_acknowledge_answers_gets_no_more_of_them_for_a_while() {
        let mut hall = Hall::new();
        let from = address("192.0.2.1:5000");
        hall.number(from, ALICE, "");
        let sent: Vec<usize> =
            (100..110).map(|seq| hall.hears(from, &format!("{seq}:Client Lookup 1")).len()).collect();
        assert_eq!(sent, [2, 1, 1, 1, 0, 0, 0, 0, 0, 0], "acknowledged, and one answer in the air");
        assert_eq!(hall.complaints(), [Unheeded::Unacknowledged]);
        assert_eq!(hall.hears(from, "110:Client Here").len(), 1, "what needs no answer is heard");
        hall.passes(41.0);
        hall.sent();
        assert_eq!(hall.hears(from, "111:Client Lookup 1").len(), 2);
    }

    #[test]
    fn what_a_client_says_that_is_no_request_is_acknowledged_and_complained_about() {
        let mut hall = Hall::new();
        let from = address("192.0.2.1:5000");
        hall.number(from, ALICE, "");
        hall.events();
        assert_eq!(hall.answers(from, "Client Dance"), []);
        assert_eq!(hall.complaints(), [Unheeded::Unreadable(Unreadable::Unknown)]);
    }

    #[test]
    fn an_entry_is_small() {
        // Ten thousand of them shall fit 64 MiB, with what they point to.
        assert!(size_of::<Entry>() <= 1024, "{} bytes", size_of::<Entry>());
    }

    proptest! {
        #[test]
        fn a_stranger_gets_one_datagram_at_most_and_no_more_bytes_than_he_sent(
            seq in "[0-9]{1,20}:",
            words in prop::sample::select(vec![
                "", "ACK:", "Client Join key=01010101010101010101010101010101", "Client Join", "Client Here", "Client List 0",
                "Client Lookup bob", "Client Leave", "Client Meet 1", "Client Unknown", "Client Token",
            ]),
            rest in "\\PC{0,40}",
            bytes in any::<Vec<u8>>(),
            is_noise in prop::bool::weighted(0.2),
        ) {
            let mut hall = Hall::new();
            let from = address("192.0.2.1:5000");
            let datagram = if is_noise { bytes } else { format!("{seq}{words}{rest}").into_bytes() };
            hall.registry.handle_datagram(Via::default(), from, &datagram, hall.now);
            if let Some(sent) = hall.registry.poll_transmit(hall.now) {
                prop_assert_eq!(sent.to, from);
                prop_assert!(sent.bytes.len() <= datagram.len());
                prop_assert!(!message::is_answer(&datagram));
            }
            prop_assert_eq!(hall.registry.poll_transmit(hall.now), None);
            prop_assert_eq!((hall.registry.remembered(), hall.registry.poll_timeout()), (0, None));
        }
    }
}
