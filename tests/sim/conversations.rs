//! Conversations under random weather: every message is delivered once or reported as given up, in order where that is promised,
//! whatever the network does and whoever is started anew in the middle.

use crate::transfers::random_weather;
use crate::{Replay, seeds};
use homing::echo::{self, EchoClient, EchoServer, Reply};
use homing::packet::message::Style;
use homing::session::conversation::{Conversation, Event, Policy, Sending, Settled};
use homing::session::{Machine, Via};
use homing::weather::{Link, Weather};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One of two that talk: what it says and hears, and what became of it.
struct Party {
    conversation: Conversation,
    to_other: Link<()>,
    /// When it says its next message, and how many it will say.
    next_word: Instant,
    left: u32,
    /// When it is started anew.
    crash: Option<Instant>,
    name: char,
    said: u32,
    /// Of this incarnation: what each number said.
    unsettled: BTreeMap<u64, String>,
    acknowledged: BTreeSet<String>,
    given_up: BTreeSet<String>,
    /// What each incarnation of it was told, in order.
    heard: Vec<Vec<String>>,
}

/// How each conversation sends in a world: patience as short as a copy's life allows.
#[derive(Clone, Copy)]
struct Manner {
    attempts: u32,
    timeout: Duration,
}

impl Manner {
    fn random(rng: &mut fastrand::Rng) -> Self {
        let attempts = rng.u32(1..=6);
        // All copies of a message, and what wanders about of them, are heard within ten seconds.
        let longest = if attempts == 1 { 2.0 } else { 2.0_f64.min(6.0 / f64::from(attempts - 1) / 2.0) };
        Self { attempts, timeout: Duration::from_secs_f64(longest * (0.05 + 0.95 * rng.f64())) }
    }

    fn conversation(self, began: Instant, now: Instant) -> Conversation {
        // What an application takes from its clock: above every number of an earlier incarnation.
        let first = 1_000_000 + u64::try_from((now - began).as_micros()).expect("short worlds");
        let sending = Sending { first, attempts: self.attempts, timeout: self.timeout, ..Sending::default() };
        Conversation::new(sending, Policy::InOrder)
    }
}

#[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
fn beginning() -> Instant {
    Instant::now()
}

/// Two that talk until everything is settled and nothing is under way any more.
fn talk(seed: u64, words: &str, crashes: bool) -> [Party; 2] {
    let mut rng = fastrand::Rng::with_seed(seed);
    let weather: Weather = words.parse().expect("a weather");
    let manner = Manner::random(&mut rng);
    let began = beginning();
    let mut now = began;
    let mut parties = [('a', weather.inward, 1), ('b', weather.outward, 2)].map(|(name, fault, salt)| Party {
        conversation: manner.conversation(began, now),
        to_other: Link::new(fault, seed ^ salt),
        next_word: now + Duration::from_millis(rng.u64(0..3000)),
        left: rng.u32(0..30),
        crash: (crashes && rng.bool()).then(|| now + Duration::from_millis(rng.u64(0..30_000))),
        name,
        said: 0,
        unsettled: BTreeMap::new(),
        acknowledged: BTreeSet::new(),
        given_up: BTreeSet::new(),
        heard: vec![Vec::new()],
    });
    for _ in 0..STEPS_MAX {
        for at in 0..2 {
            let (first, second) = parties.split_at_mut(1);
            let (party, other) =
                if at == 0 { (&mut first[0], &mut second[0]) } else { (&mut second[0], &mut first[0]) };
            party.live(&mut other.to_other, manner, began, now, &mut rng);
        }
        let due = parties.iter().flat_map(|party| {
            [
                (party.left > 0).then_some(party.next_word),
                party.crash,
                party.conversation.poll_timeout(),
                party.to_other.poll_timeout(),
            ]
        });
        match due.flatten().min() {
            Some(next) => now = next.max(now),
            None => return parties,
        }
    }
    panic!("the conversation never came to rest")
}

impl Party {
    /// Does everything that is due now.
    fn live(
        &mut self,
        from_other: &mut Link<()>,
        manner: Manner,
        began: Instant,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) {
        if self.crash.is_some_and(|due| due <= now) {
            self.crash = None;
            // A machine takes its time to come back; what was under way for it is lost or finds the new one.
            self.conversation = manner.conversation(began, now);
            self.unsettled.clear();
            self.heard.push(Vec::new());
        }
        while self.left > 0 && self.next_word <= now {
            self.left -= 1;
            self.said += 1;
            self.next_word += Duration::from_millis(rng.u64(0..3000));
            let text = format!("{}{:04}", self.name, self.said);
            let seq = self.conversation.say(&text, now).expect("a short text");
            self.unsettled.insert(seq, text);
        }
        while let Some(((), datagram)) = from_other.poll(now) {
            self.conversation.handle_datagram(&datagram, now);
            self.drain(now, 1);
        }
        self.conversation.handle_timeout(now);
        self.drain(now, 0);
    }

    /// Every `poll_*`; at most so many of the datagrams are answers.
    fn drain(&mut self, now: Instant, answers_max: usize) {
        while let Some(event) = self.conversation.poll_event() {
            match event {
                Event::Acknowledged { seq, .. } => {
                    let text = self.unsettled.remove(&seq).expect("said, and settled once");
                    self.acknowledged.insert(text);
                }
                Event::GivenUp { seq, text, .. } => {
                    assert_eq!(self.unsettled.remove(&seq).as_ref(), Some(&text), "said, and settled once");
                    self.given_up.insert(text);
                }
                Event::Delivered { text, .. } => self.heard.last_mut().expect("one at least").push(text),
                Event::Dropped { .. } | Event::Ignored { .. } => {}
            }
        }
        let mut answers = 0;
        while let Some(datagram) = self.conversation.poll_transmit() {
            answers += usize::from(homing::packet::message::is_answer(&datagram));
            self.to_other.send(now, (), datagram);
        }
        assert!(answers <= answers_max, "{answers} answers");
    }
}

fn judge(speaker: &Party, listener: &Party) {
    assert!(speaker.unsettled.is_empty(), "not settled: {:?}", speaker.unsettled);
    for heard in &listener.heard {
        // Texts are numbered, so order and once-only are one: always upwards. A later incarnation's come last.
        assert!(heard.is_sorted_by(|one, next| one < next), "twice or out of order: {heard:?}");
    }
    let heard: BTreeSet<&String> = listener.heard.iter().flatten().collect();
    let lost: Vec<_> = speaker.acknowledged.iter().filter(|text| !heard.contains(text)).collect();
    assert!(lost.is_empty(), "acknowledged and never delivered: {lost:?}");
}

#[test]
fn conversations_are_exact_and_in_order_whatever_the_network_does() {
    let (mut acknowledged, mut given_up) = (0, 0);
    for seed in seeds(2000) {
        let _replay = Replay("conversations_are_exact", seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let [a, b] = talk(seed, &random_weather(&mut rng, false), false);
        for (speaker, listener) in [(&a, &b), (&b, &a)] {
            judge(speaker, listener);
            let settled = speaker.acknowledged.len() + speaker.given_up.len();
            assert_eq!(settled, speaker.said as usize, "each is delivered or reported");
            acknowledged += speaker.acknowledged.len();
            given_up += speaker.given_up.len();
        }
    }
    println!("conversations: {acknowledged} acknowledged, {given_up} given up");
}

#[test]
fn a_party_that_crashes_and_comes_back_hears_and_says_nothing_twice() {
    for seed in seeds(2000) {
        let _replay = Replay("a_party_that_crashes", seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let [a, b] = talk(seed, &random_weather(&mut rng, false), true);
        judge(&a, &b);
        judge(&b, &a);
    }
}

#[test]
fn conversations_on_a_good_network_lose_nothing() {
    for seed in seeds(100) {
        let _replay = Replay("conversations_on_a_good_network", seed);
        let [a, b] = talk(seed, "delay=5ms,jitter=2ms,dup=20%", false);
        for (speaker, listener) in [(&a, &b), (&b, &a)] {
            assert_eq!(speaker.given_up.len(), 0);
            assert_eq!(listener.heard[0].len(), speaker.said as usize);
        }
    }
}

/// A client of an echo server, the links between them, and what became of its messages.
struct Caller {
    client: EchoClient,
    style: Style,
    address: SocketAddr,
    to_server: Link<()>,
    to_client: Link<()>,
    left: u32,
    said: Vec<String>,
    settled: Vec<Settled>,
}

/// How often each message of each caller was delivered, under which number.
type Deliveries = BTreeMap<(SocketAddr, Option<u64>, String), u32>;

/// A server and its callers, until everything is settled and nothing is under way any more.
fn call(seed: u64, words: &str) -> (Vec<Caller>, Deliveries) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let weather: Weather = words.parse().expect("a weather");
    let style = *rng.choice(&[Style::Sequenced, Style::Sequenced, Style::Echo, Style::Acknowledge]).expect("four");
    let reply = if rng.bool() { Reply::Always(style) } else { Reply::Told(style) };
    let mut server = EchoServer::new(reply);
    let mut now = beginning();
    let manner = Manner::random(&mut rng);
    let mut delivered = Deliveries::new();
    let mut callers: Vec<Caller> = (0..rng.u8(1..=4))
        .map(|host| {
            let sending = Sending { style, attempts: manner.attempts, timeout: manner.timeout, ..Sending::default() };
            let salt = seed ^ (u64::from(host) << 8);
            Caller {
                client: EchoClient::new(SERVER.parse().expect("an address"), sending),
                style,
                address: SocketAddr::from(([10, 0, 0, host + 2], 5000)),
                to_server: Link::new(weather.inward, salt ^ 1),
                to_client: Link::new(weather.outward, salt ^ 2),
                left: rng.u32(0..20),
                said: Vec::new(),
                settled: Vec::new(),
            }
        })
        .collect();
    for _ in 0..STEPS_MAX {
        for caller in &mut callers {
            caller.live(&mut server, now);
        }
        while let Some(event) = server.poll_event() {
            if let echo::Event::Message { peer, seq, text, verdict, .. } = event
                && verdict.is_delivered()
            {
                *delivered.entry((peer, seq, String::from_utf8(text).expect("text"))).or_default() += 1;
            }
        }
        let due = callers.iter().flat_map(|caller| {
            [caller.client.poll_timeout(), caller.to_server.poll_timeout(), caller.to_client.poll_timeout()]
        });
        match due.flatten().min() {
            Some(next) => now = next.max(now),
            None => return (callers, delivered),
        }
    }
    panic!("the calls never came to rest")
}

impl Caller {
    fn live(&mut self, server: &mut EchoServer, now: Instant) {
        while let Some(((), datagram)) = self.to_server.poll(now) {
            server.handle_datagram(Via::default(), self.address, &datagram, now);
            server.handle_timeout(now);
            if let Some(answer) = server.poll_transmit(now) {
                assert!(answer.bytes.len() <= datagram.len() + 21, "an answer adds its few bytes and no more");
                self.to_client.send(now, (), answer.bytes);
            }
            assert_eq!(server.poll_transmit(now), None, "one answer at most");
        }
        while let Some(((), datagram)) = self.to_client.poll(now) {
            self.client.handle_datagram(Via::default(), SERVER.parse().expect("an address"), &datagram, now);
        }
        self.client.handle_timeout(now);
        while let Some(settled) = self.client.poll_settled() {
            self.settled.push(settled);
        }
        if self.left > 0 && self.client.is_idle() {
            self.left -= 1;
            self.said.push(format!("message {}", self.said.len() + 1));
            let text = self.said.last().expect("just said");
            self.client.say(text.as_bytes(), now).expect("a short text");
        }
        while let Some(transmit) = self.client.poll_transmit(now) {
            self.to_server.send(now, (), transmit.bytes);
        }
    }

    /// Every message settled in its turn; what was answered was delivered there.
    fn judge(&self, delivered: &Deliveries) {
        assert_eq!((self.settled.len(), self.left), (self.said.len(), 0));
        for (said, settled) in self.said.iter().zip(&self.settled) {
            if let Settled::Answered { seq, text, .. } = settled {
                assert_eq!(said.as_bytes(), text);
                let number = (self.style == Style::Sequenced).then_some(*seq);
                assert!(
                    delivered.contains_key(&(self.address, number, said.clone())),
                    "answered, not delivered: {said}"
                );
            }
        }
    }
}

#[test]
fn an_echo_server_delivers_every_numbered_message_once() {
    for seed in seeds(2000) {
        let _replay = Replay("an_echo_server_delivers", seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let (callers, delivered) = call(seed, &random_weather(&mut rng, false));
        callers.iter().for_each(|caller| caller.judge(&delivered));
        for ((peer, seq, text), times) in &delivered {
            assert!(seq.is_none() || *times == 1, "{peer}: {seq:?} {text} was delivered {times} times");
        }
    }
}

#[test]
fn damage_is_never_taken_for_an_acknowledgement() {
    for seed in seeds(500) {
        let _replay = Replay("damage_is_never_taken", seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        // One way only: a second flipped bit can undo the first, and then nothing was damaged for whoever looks at the end.
        let way = if seed % 2 == 0 { "in" } else { "out" };
        let words = format!("{},{way}.corrupt={:.3}", random_weather(&mut rng, false), rng.f64() * 0.3);
        let began = beginning();
        let mut server = EchoServer::new(Reply::Always(Style::Sequenced));
        let weather: Weather = words.parse().expect("a weather");
        let address = SocketAddr::from(([10, 0, 0, 2], 5000));
        let mut caller = Caller {
            client: EchoClient::new(SERVER.parse().expect("an address"), Sending::default()),
            style: Style::Sequenced,
            address,
            to_server: Link::new(weather.inward, seed ^ 1),
            to_client: Link::new(weather.outward, seed ^ 2),
            left: 20,
            said: Vec::new(),
            settled: Vec::new(),
        };
        let (mut now, mut delivered) = (began, Deliveries::new());
        while caller.left > 0 || !caller.client.is_idle() {
            caller.live(&mut server, now);
            while let Some(event) = server.poll_event() {
                if let echo::Event::Message { peer, seq, text, .. } = event {
                    let text = String::from_utf8(text).expect("only text is delivered");
                    *delivered.entry((peer, seq, text)).or_default() += 1;
                }
            }
            let due = [caller.client.poll_timeout(), caller.to_server.poll_timeout(), caller.to_client.poll_timeout()];
            now = due.into_iter().flatten().min().map_or(now, |next| next.max(now));
        }
        caller.judge(&delivered);
    }
}

const SERVER: &str = "10.0.0.1:9999";

/// No conversation here needs more moments than this.
const STEPS_MAX: usize = 1_000_000;
