//! Chats under random weather: two clients and the registry, routers between them, crashes and restarts. Every message is delivered
//! once and in order or reported, and nobody makes anybody send to a stranger.

use crate::transfers::random_weather;
use crate::{Replay, seeds};
use homing::chat::client::{ChatClient, Config, Event, Refused, Unreached};
use homing::chat::registry::{self, Registry};
use homing::packet::chat::{Hex, Who};
use homing::session::{Machine, Transmit, Via};
use homing::weather::{Link, Weather};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const REGISTRY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 7070);

/// How a party's router hands out ports, and whom it lets in: only who was written to from the port (RFC 4787: address and
/// port-dependent filtering, the strictest).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mapping {
    /// None: the party has a public address.
    Open,
    /// One port for all.
    Steady,
    /// A port for each destination.
    Symmetric,
}

struct Router {
    mapping: Mapping,
    outside: IpAddr,
    ports: BTreeMap<Option<SocketAddr>, u16>,
    doors: BTreeSet<(u16, SocketAddr)>,
}

impl Router {
    /// The address that a datagram to `to` seems to come from.
    fn leave(&mut self, inside: SocketAddr, to: SocketAddr) -> SocketAddr {
        if self.mapping == Mapping::Open {
            return inside;
        }
        let key = (self.mapping == Mapping::Symmetric).then_some(to);
        let next = 40_000 + u16::try_from(self.ports.len()).expect("few");
        let port = *self.ports.entry(key).or_insert(next);
        self.doors.insert((port, to));
        SocketAddr::new(self.outside, port)
    }

    fn lets_in(&self, inside: SocketAddr, to: SocketAddr, from: SocketAddr) -> bool {
        match self.mapping {
            Mapping::Open => to == inside,
            _ => to.ip() == self.outside && self.doors.contains(&(to.port(), from)),
        }
    }
}

/// What a party was asked to do, and what it saw.
struct Party {
    name: char,
    inside: SocketAddr,
    router: Router,
    client: ChatClient,
    to_others: Link<(SocketAddr, SocketAddr)>,
    /// Whom it connects to, and when.
    wants: Option<(Who, Instant)>,
    tries: u32,
    crash: Option<Instant>,
    words_left: u32,
    next_word: Instant,
    pause_ms: u64,
    is_talking: bool,
    has_talked: bool,
    has_left: Option<bool>,
    said: u32,
    unsettled: BTreeMap<u64, String>,
    delivered: BTreeSet<String>,
    not_delivered: BTreeSet<String>,
    /// What each of its incarnations heard.
    heard: Vec<Vec<String>>,
    unreached: Vec<Unreached>,
    chats: u32,
}

struct World {
    began: Instant,
    now: Instant,
    rng: fastrand::Rng,
    registry: Registry,
    from_registry: Link<SocketAddr>,
    registry_restart: Option<Instant>,
    parties: [Party; 2],
    /// Addresses that belong to nobody, and how many bytes were sent there.
    astray: BTreeMap<SocketAddr, usize>,
}

#[derive(Clone, Debug)]
struct Plan {
    weather: String,
    mappings: [Mapping; 2],
    words: [u32; 2],
    both_ask: bool,
    crashes: bool,
    registry_restarts: bool,
}

impl Plan {
    fn calm(weather: &str, words: u32) -> Self {
        Self {
            weather: weather.into(),
            mappings: [Mapping::Open; 2],
            words: [words; 2],
            both_ask: false,
            crashes: false,
            registry_restarts: false,
        }
    }

    fn random(rng: &mut fastrand::Rng) -> Self {
        let mapping = |rng: &mut fastrand::Rng| {
            *rng.choice(&[Mapping::Open, Mapping::Steady, Mapping::Symmetric]).expect("three")
        };
        Self {
            weather: random_weather(rng, false),
            mappings: [mapping(rng), mapping(rng)],
            words: [rng.u32(0..20), rng.u32(0..20)],
            both_ask: rng.bool(),
            crashes: rng.u32(0..3) == 0,
            registry_restarts: rng.u32(0..3) == 0,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
fn beginning() -> Instant {
    Instant::now()
}

fn registry(incarnation: u8, began: Instant, now: Instant) -> Registry {
    let first = 1_000_000 + u64::try_from((now - began).as_micros()).expect("short worlds");
    Registry::new(registry::Config::new([incarnation; 32], first), now)
}

fn client(name: char, inside: SocketAddr, incarnation: u8, began: Instant, now: Instant) -> ChatClient {
    let first = 1_000_000 + u64::try_from((now - began).as_micros()).expect("short worlds");
    // Who comes back after a crash is not remembered, and its old name may still stand there.
    let name = (incarnation == 0).then(|| name.to_string().parse().expect("a name"));
    let key = Hex([inside.port().to_be_bytes()[1] ^ incarnation; 16]);
    let reported = vec![inside];
    ChatClient::new(Config { via: Via::default(), registry: REGISTRY, name, number: None, key, reported, first }, now)
}

impl World {
    fn new(plan: &Plan, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let weather: Weather = plan.weather.parse().expect("a weather");
        let began = beginning();
        let parties = [('a', 0, weather.inward), ('b', 1, weather.outward)].map(|(name, at, fault)| {
            let ip = match plan.mappings[at] {
                Mapping::Open => [192, 0, 2, 10 + at as u8],
                _ => [10, at as u8, 0, 7],
            };
            let inside = SocketAddr::from((ip, 5000 + at as u16));
            let connect_at = began + Duration::from_millis(15_000 + rng.u64(0..500));
            let other = if at == 0 { "b" } else { "a" };
            let wants = (at == 0 || plan.both_ask).then(|| (other.parse().expect("a name"), connect_at));
            Party {
                name,
                inside,
                router: Router {
                    mapping: plan.mappings[at],
                    outside: [203, 0, 113, 10 + at as u8].into(),
                    ports: BTreeMap::new(),
                    doors: BTreeSet::new(),
                },
                client: client(name, inside, 0, began, began),
                to_others: Link::new(fault, seed ^ (7 + at as u64)),
                wants,
                tries: 0,
                crash: (plan.crashes && rng.bool()).then(|| began + Duration::from_millis(rng.u64(10_000..40_000))),
                words_left: plan.words[at],
                next_word: began,
                pause_ms: rng.u64(1..1000),
                is_talking: false,
                has_talked: false,
                has_left: None,
                said: 0,
                unsettled: BTreeMap::new(),
                delivered: BTreeSet::new(),
                not_delivered: BTreeSet::new(),
                heard: vec![Vec::new()],
                unreached: Vec::new(),
                chats: 0,
            }
        });
        let restart = plan.registry_restarts.then(|| began + Duration::from_millis(rng.u64(1000..40_000)));
        Self {
            began,
            now: began,
            registry: registry(0, began, began),
            from_registry: Link::new(weather.outward, seed ^ 99),
            registry_restart: restart,
            rng,
            parties,
            astray: BTreeMap::new(),
        }
    }

    /// Until both have said everything, or long enough; then both leave, and nothing may be left to do for anybody.
    fn run(&mut self) {
        let mut is_leaving = false;
        for _ in 0..STEPS_MAX {
            self.live();
            let elapsed = self.now - self.began;
            let is_done = self.parties.iter().all(|party| party.has_talked && !party.is_talking)
                || elapsed > Duration::from_secs(240);
            if is_done && !is_leaving {
                is_leaving = true;
                for party in &mut self.parties {
                    party.client.leave(self.now);
                    party.crash = None;
                }
                continue;
            }
            let parties = self.parties.iter().flat_map(|party| party.deadlines());
            let registry = [self.registry.poll_timeout(), self.from_registry.poll_timeout()];
            let restart = self.registry_restart.filter(|_| !is_leaving);
            match parties.chain(registry).chain([restart]).flatten().min() {
                Some(next) => self.now = next.max(self.now),
                None => return,
            }
        }
        panic!("the world never came to rest");
    }

    /// Does everything that is due now.
    fn live(&mut self) {
        let now = self.now;
        if self.registry_restart.is_some_and(|due| due <= now) {
            self.registry_restart = None;
            self.registry = registry(1, self.began, now);
        }
        for at in 0..2 {
            let party = &mut self.parties[at];
            party.act(self.began, now, &mut self.rng);
            while let Some(((from, to), bytes)) = self.parties[at].to_others.poll(now) {
                self.arrive(from, to, &bytes);
            }
        }
        while let Some((to, bytes)) = self.from_registry.poll(now) {
            self.arrive(REGISTRY, to, &bytes);
        }
        self.registry.handle_timeout(now);
        self.drain_registry();
    }

    fn arrive(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let now = self.now;
        if to == REGISTRY {
            self.registry.handle_datagram(Via::default(), from, bytes, now);
            return self.drain_registry();
        }
        let mut parties = self.parties.iter_mut();
        match parties.find(|party| party.router.lets_in(party.inside, to, from)) {
            Some(party) => {
                party.client.handle_datagram(Via::default(), from, bytes, now);
                party.drain(now);
            }
            None => *self.astray.entry(to).or_default() += bytes.len(),
        }
    }

    fn drain_registry(&mut self) {
        while self.registry.poll_event().is_some() {}
        while let Some(Transmit { to, bytes, .. }) = self.registry.poll_transmit(self.now) {
            self.from_registry.send(self.now, to, bytes);
        }
    }
}

impl Party {
    fn deadlines(&self) -> [Option<Instant>; 5] {
        let word = (self.is_talking && self.words_left > 0).then_some(self.next_word);
        let wish = self.wants.as_ref().filter(|_| self.has_left.is_none()).map(|(_, at)| *at);
        [self.client.poll_timeout(), self.to_others.poll_timeout(), self.crash, word, wish]
    }

    fn act(&mut self, began: Instant, now: Instant, rng: &mut fastrand::Rng) {
        if self.crash.is_some_and(|due| due <= now) {
            self.crash = None;
            let incarnation = u8::try_from(self.heard.len()).expect("few");
            self.client = client(self.name, self.inside, incarnation, began, now);
            self.unsettled.clear();
            self.heard.push(Vec::new());
            self.is_talking = false;
        }
        if let Some((who, at)) = self.wants.clone()
            && at <= now
        {
            self.wants = None;
            match self.client.connect(&who, now) {
                Ok(()) => self.tries += 1,
                Err(Refused::NotRegistered) => self.want_later(who, now),
                Err(_) => {}
            }
        }
        while self.is_talking && self.words_left > 0 && self.next_word <= now {
            self.next_word += Duration::from_millis(rng.u64(0..=self.pause_ms));
            let text = format!("{}{:05}", self.name, self.said + 1);
            match self.client.send(&text, now) {
                Ok(seq) => {
                    (self.said, self.words_left) = (self.said + 1, self.words_left - 1);
                    self.unsettled.insert(seq, text);
                }
                Err(Refused::Unsayable(_)) => break,
                Err(error) => panic!("while talking: {error}"),
            }
        }
        self.client.handle_timeout(now);
        self.drain(now);
        if self.is_talking && self.words_left == 0 && self.unsettled.is_empty() {
            self.has_talked = true;
        }
    }

    fn want_later(&mut self, who: Who, now: Instant) {
        if self.tries < 5 {
            self.wants = Some((who, now + Duration::from_secs(3)));
        }
    }

    fn drain(&mut self, now: Instant) {
        while let Some(event) = self.client.poll_event(now) {
            assert_eq!(self.has_left, None, "{event:?} after the end");
            self.on_event(event, now);
        }
        let mut count = 0;
        while let Some(Transmit { to, bytes, .. }) = self.client.poll_transmit(now) {
            count += 1;
            let from = self.router.leave(self.inside, to);
            self.to_others.send(now, (from, to), bytes);
        }
        assert!(count < 20, "{count} datagrams at once");
    }

    fn on_event(&mut self, event: Event, now: Instant) {
        match event {
            Event::Requested(peer) => {
                // Busy with somebody else: there is nobody else here but its earlier incarnation.
                let _ = self.client.accept(Some(&Who::Number(peer.number)), now);
            }
            Event::Connected { .. } => {
                assert!(!self.is_talking, "connected twice");
                (self.is_talking, self.next_word, self.chats) = (true, now, self.chats + 1);
            }
            Event::Terminated { .. } | Event::Gone(_) => {
                self.is_talking = false;
                self.has_talked |= self.words_left == 0;
            }
            Event::Message { text, .. } => self.heard.last_mut().expect("one at least").push(text),
            Event::Delivered { seq, .. } => {
                let text = self.unsettled.remove(&seq).expect("said, and settled once");
                self.delivered.insert(text);
            }
            Event::NotDelivered { seq, text } => {
                assert_eq!(self.unsettled.remove(&seq).as_ref(), Some(&text), "said, and settled once");
                self.not_delivered.insert(text);
            }
            Event::Unreached { who, why } => {
                self.unreached.push(why);
                self.want_later(who, now);
            }
            Event::NotFound(who) => self.want_later(who, now),
            Event::Left { acknowledged } => self.has_left = Some(acknowledged),
            _ => {}
        }
    }
}

/// Whatever happens: once, in order, and what is acknowledged was heard.
fn judge(world: &World) {
    let [a, b] = &world.parties;
    for (speaker, listener) in [(a, b), (b, a)] {
        assert!(speaker.unsettled.is_empty(), "not settled: {:?}", speaker.unsettled);
        for heard in &listener.heard {
            assert!(heard.is_sorted_by(|one, next| one < next), "twice or out of order: {heard:?}");
        }
        let heard: BTreeSet<&String> = listener.heard.iter().flatten().collect();
        let lost: Vec<_> = speaker.delivered.iter().filter(|text| !heard.contains(text)).collect();
        assert!(lost.is_empty(), "acknowledged and never delivered: {lost:?}");
        assert!(speaker.has_left.is_some(), "{} never left", speaker.name);
    }
    for (address, bytes) in &world.astray {
        let is_theirs = |party: &Party| [party.inside.ip(), party.router.outside].contains(&address.ip());
        assert!(world.parties.iter().any(is_theirs), "{bytes} bytes to {address}, which belongs to nobody");
    }
}

/// Whether there is a way between two such routers: a router that changes ports for every peer is found only by who does not
/// mind from which port it is written to.
fn reachable(mappings: [Mapping; 2]) -> bool {
    use Mapping::{Open, Symmetric};
    !mappings.contains(&Symmetric) || mappings.contains(&Open)
}

#[test]
fn chats_are_exact_and_in_order_whatever_happens() {
    let (mut chats, mut delivered, mut reported) = (0, 0, 0);
    for seed in seeds(150) {
        let _replay = Replay("chats_are_exact", seed);
        let plan = Plan::random(&mut fastrand::Rng::with_seed(seed));
        let mut world = World::new(&plan, seed);
        world.run();
        judge(&world);
        for party in &world.parties {
            chats += party.chats;
            delivered += party.delivered.len();
            reported += party.not_delivered.len();
        }
    }
    println!("chats: {chats} begun, {delivered} messages delivered, {reported} reported");
}

#[test]
fn chats_of_a_hundred_messages_are_whole_at_thirty_percent_loss() {
    let (mut delivered, mut reported) = (0, 0);
    for seed in seeds(60) {
        let _replay = Replay("chats_of_a_hundred_messages", seed);
        let plan = Plan::calm("loss=30%,delay=20ms,jitter=10ms", 50);
        let mut world = World::new(&plan, seed);
        world.run();
        judge(&world);
        for party in &world.parties {
            assert_eq!(party.chats, 1);
            assert_eq!(party.delivered.len() + party.not_delivered.len(), 50, "each is delivered or reported");
            delivered += party.delivered.len();
            reported += party.not_delivered.len();
        }
    }
    println!("{delivered} messages delivered once and in order, {reported} reported");
}

#[test]
fn routers_are_passed_where_that_is_possible() {
    use Mapping::{Open, Steady, Symmetric};
    for one in [Open, Steady, Symmetric] {
        for other in [Open, Steady, Symmetric] {
            for seed in seeds(6).take(100) {
                let _replay = Replay("routers_are_passed", seed);
                let plan =
                    Plan { mappings: [one, other], both_ask: seed % 2 == 1, ..Plan::calm("delay=30ms,jitter=5ms", 3) };
                let mut world = World::new(&plan, seed);
                world.run();
                judge(&world);
                let talked = world.parties.iter().all(|party| party.delivered.len() == 3);
                assert_eq!(talked, reachable(plan.mappings), "{one:?} and {other:?}");
                if !talked {
                    assert_eq!(world.parties[0].unreached, [Unreached::NoWay; 5]);
                }
            }
        }
    }
}

#[test]
fn a_peer_that_dies_is_noticed_and_a_registry_that_dies_is_not_needed() {
    for seed in seeds(20).take(300) {
        let _replay = Replay("a_peer_that_dies", seed);
        let mut world = World::new(&Plan::calm("loss=20%,delay=20ms", 100_000), seed);
        let until = |world: &mut World, seconds: u64| {
            let end = world.began + Duration::from_secs(seconds);
            while world.now < end {
                world.live();
                let due = world.parties.iter().flat_map(Party::deadlines);
                let due = due.chain([world.registry.poll_timeout(), world.from_registry.poll_timeout()]);
                world.now = due.flatten().min().map_or(end, |next| next.clamp(world.now, end));
            }
        };
        until(&mut world, 60);
        assert!(world.parties.iter().all(|party| party.is_talking), "they talk");
        let heard = world.parties[1].heard[0].len();
        // Nobody answers at the registry any more.
        world.registry_restart = Some(world.now);
        until(&mut world, 120);
        assert!(world.parties[1].heard[0].len() > heard, "they still talk");
        // Nothing leaves b any more.
        world.parties[1].to_others = Link::new("loss=100%".parse::<Weather>().expect("a weather").inward, 0);
        until(&mut world, 165);
        assert!(!world.parties[0].is_talking, "it was noticed");
    }
}

const STEPS_MAX: u32 = 2_000_000;
