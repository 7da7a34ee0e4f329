//! Ladders of real transfers: the machines talk over simulated links, recorders stand at both ends, and what they wrote down is
//! drawn. `DRAW=FOLDER cargo test --test ladders` leaves the pictures there.

use homing::chunker::Chunker;
use homing::endpoint::{Config, Endpoint, Event as ServerEvent};
use homing::hostile::{HostileServer, Serving};
use homing::packet::Spelling;
use homing::session::stop_and_wait::{Event, Order, Outcome, Placement, Sender, Transfer};
use homing::session::{Machine, Mode, Via};
use homing::trace::{Did, Exchange, Fate, Mark, Recorder, Row, Side, Step, Story, Totals, Vantage, svg, text};
use homing::weather::{Fault, Link, Misbehaviour, Weather};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 12300);
const CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 40000);

/// A transfer to record.
#[derive(Clone, Copy)]
struct Plan<'a> {
    weather: &'a str,
    size: usize,
    mode: Mode,
    spelling: Spelling,
    misbehaviour: Option<Misbehaviour>,
    seed: u64,
}

impl<'a> Plan<'a> {
    fn new(weather: &'a str, size: usize) -> Self {
        Self { weather, size, mode: Mode::Auto, spelling: Spelling::Spaced, misbehaviour: None, seed: 7 }
    }
}

/// One exchange, as three recorders saw it.
struct Recordings {
    both: Exchange,
    client: Exchange,
    server: Exchange,
}

impl Recordings {
    fn each(&self) -> [(&'static str, &Exchange); 3] {
        [("both", &self.both), ("client", &self.client), ("server", &self.server)]
    }
}

/// A client, a path, a server and the recorders.
struct World {
    now: Instant,
    sender: Sender,
    chunker: Chunker<Cursor<Vec<u8>>>,
    server: HostileServer,
    there: Direction,
    back: Direction,
    received: Vec<u8>,
    outcome: Option<Outcome>,
    both: Recorder,
    client: Recorder,
    at_server: Recorder,
}

/// One direction: the weather, which tells of every datagram whether it was lost.
struct Direction {
    by: Side,
    link: Link<Mark>,
}

impl Direction {
    fn new(by: Side, fault: Fault, seed: u64) -> Self {
        Self { by, link: Link::new(fault, seed) }
    }

    fn send(&mut self, recorder: &mut Recorder, bytes: Vec<u8>, now: Instant) {
        let mark = recorder.sent(self.by, &bytes, now);
        let before = self.link.counts();
        self.link.send(now, mark, bytes);
        let since = self.link.counts() - before;
        if since.lost + since.queue_dropped + since.oversize > since.duplicated {
            recorder.lost(mark, now);
        }
    }
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn new(plan: Plan) -> Self {
        let now = Instant::now();
        let weather: Weather = plan.weather.parse().expect("a weather");
        let content: Vec<u8> = (0..plan.size).map(|index| (index * 31 % 251) as u8).collect();
        let transfer = Transfer {
            peers: vec![SERVER],
            spelling: plan.spelling,
            mode: plan.mode,
            name: "pigeon.jpg".into(),
            size: plan.size as u64,
            nonce: 7_792_640,
            timeout: Duration::from_secs(60),
        };
        let endpoint = Endpoint::new(Config { idle_timeout: Duration::from_secs(600), ..Config::default() });
        let recorder = |vantage| Recorder::new("10.0.0.2:40000".into(), "10.0.0.1:12300".into(), vantage, 200_000, now);
        Self {
            now,
            sender: Sender::new(transfer, now).expect("a name that can be spoken"),
            chunker: Chunker::new(Cursor::new(content), plan.size as u64),
            server: HostileServer::new(endpoint, Weather::default(), plan.misbehaviour, plan.seed),
            there: Direction::new(Side::Client, weather.inward, plan.seed),
            back: Direction::new(Side::Server, weather.outward, plan.seed + 1),
            received: Vec::new(),
            outcome: None,
            both: recorder(Vantage::Both),
            client: recorder(Vantage::Client),
            at_server: recorder(Vantage::Server),
        }
    }

    /// Until the client is through, and a little longer for what is still under way.
    fn run(mut self) -> Recordings {
        let mut end = None;
        while end.is_none_or(|end| self.now <= end) {
            while self.move_client() | self.move_server() {}
            if self.outcome.is_some() && end.is_none() {
                end = Some(self.now + Duration::from_secs(4));
            }
            let links = [self.there.link.poll_timeout(), self.back.link.poll_timeout()];
            let machines = [self.sender.poll_timeout(), self.server.poll_timeout()];
            // Between an arrival and what follows from it a machine needs a moment.
            let next = links.into_iter().chain(machines).flatten().min();
            self.now =
                next.map_or(self.now + Duration::from_secs(1), |next| next.max(self.now)) + Duration::from_micros(20);
        }
        Recordings { both: self.both.exchange(), client: self.client.exchange(), server: self.at_server.exchange() }
    }

    fn move_client(&mut self) -> bool {
        let now = self.now;
        let mut moved = false;
        while let Some((mark, bytes)) = self.back.link.poll(now) {
            self.both.came(mark, &bytes, now);
            self.client.arrived(Side::Server, &bytes, now);
            self.sender.handle_datagram(Via::default(), SERVER, &bytes, now);
            moved = true;
        }
        self.sender.handle_timeout(now);
        while let Some(event) = self.sender.poll_event() {
            match event {
                Event::WantsChunk { max, cut } => {
                    let chunk = self.chunker.next_chunk(max, cut).expect("memory does not change");
                    self.sender.handle_chunk(chunk, now);
                }
                Event::WantsDigest => self.sender.handle_digest(self.chunker.digest(), now),
                Event::Connected { checked: true, .. } => {
                    self.both.note(Side::Client, "the server can compare checksums", now);
                    self.client.note(Side::Client, "the server can compare checksums", now);
                }
                Event::Connected { .. } | Event::Progress { .. } => {}
                Event::Over(outcome) => {
                    self.both.note(Side::Client, format!("over: {outcome:?}"), now);
                    self.client.note(Side::Client, format!("over: {outcome:?}"), now);
                    self.outcome = Some(outcome);
                }
            }
        }
        while let Some(transmit) = self.sender.poll_transmit(now) {
            self.client.sent(Side::Client, &transmit.bytes, now);
            self.there.send(&mut self.both, transmit.bytes, now);
            moved = true;
        }
        moved
    }

    fn move_server(&mut self) -> bool {
        let now = self.now;
        let mut moved = false;
        while let Some((mark, bytes)) = self.there.link.poll(now) {
            self.both.came(mark, &bytes, now);
            self.at_server.arrived(Side::Client, &bytes, now);
            self.server.handle_datagram(Via::default(), CLIENT, &bytes, now);
            moved = true;
        }
        self.server.handle_timeout(now);
        while let Some(event) = self.server.poll_event(now) {
            match event {
                ServerEvent::Order(id, order) => match order {
                    Order::Admit { .. } => self.server.endpoint().handle_admitted(id, Ok(()), now),
                    Order::Write(block) => {
                        self.received.extend_from_slice(&block);
                        self.server.endpoint().handle_written(id, block.len(), now);
                    }
                    Order::Publish { .. } | Order::MakeEmpty => {
                        let sha256 = Sha256::digest(&self.received).into();
                        let placed = Placement::Placed { sha256, replaced: None };
                        self.server.endpoint().handle_published(id, Ok(placed), now);
                    }
                    Order::Create | Order::Discard => {}
                },
                ServerEvent::Finished { .. } => {
                    self.both.note(Side::Server, "the file appears under its name", now);
                    self.at_server.note(Side::Server, "the file appears under its name", now);
                }
                _ => {}
            }
        }
        while let Some(transmit) = self.server.poll_transmit(now) {
            self.at_server.sent(Side::Server, &transmit.bytes, now);
            self.back.send(&mut self.both, transmit.bytes, now);
            moved = true;
        }
        moved
    }
}

/// Draws and checks all three recordings of a plan, and keeps the drawings where `DRAW` says.
fn draw(name: &str, plan: Plan) -> Recordings {
    let recordings = World::new(plan).run();
    for (vantage, exchange) in recordings.each() {
        let title = format!(
            "pigeon.jpg over {}, {vantage}",
            if plan.weather.is_empty() { "a clean link" } else { plan.weather }
        );
        check(&format!("{name}-{vantage}"), exchange, &title);
    }
    recordings
}

#[expect(clippy::disallowed_methods, reason = "how long drawing takes is printed, and decides nothing")]
fn check(name: &str, exchange: &Exchange, title: &str) {
    let began = Instant::now();
    let picture = svg(exchange, title);
    let drawn = began.elapsed();
    let ladder = text(exchange, 110, false);
    println!(
        "{name}: {} steps, svg {} bytes in {drawn:?}, {} lines",
        exchange.steps.len(),
        picture.len(),
        ladder.lines().count()
    );
    well_formed(&picture);
    assert!(picture.len() < 200_000, "{name} has {} bytes", picture.len());
    assert!(ladder.lines().count() < 1200, "{name} has {} lines", ladder.lines().count());
    assert!(ladder.lines().all(|line| line.chars().count() <= 110), "{name} is too wide");

    let story = Story::of(exchange);
    let sent = exchange.steps.iter().filter(|step| matches!(step.did, Did::Sent { .. })).count();
    assert!(story.rows.len() <= 241, "{name} has {} rows", story.rows.len());
    assert_eq!(in_rows(&story), story.totals, "{name} loses something");
    assert!(story.totals.messages() + story.totals.copies >= sent as u64, "{name} loses messages");

    if let Some(folder) = std::env::var_os("DRAW") {
        let folder = Path::new(&folder);
        std::fs::write(folder.join(format!("{name}.svg")), &picture).expect("a folder to write to");
        std::fs::write(folder.join(format!("{name}.txt")), &ladder).expect("a folder to write to");
        std::fs::write(folder.join(format!("{name}.80.txt")), text(exchange, 80, true)).expect("a folder to write to");
    }
}

/// Everything that is drawn or folded, together.
fn in_rows(story: &Story) -> Totals {
    let mut totals = Totals::default();
    for row in &story.rows {
        match row {
            Row::Crossing(index) => totals += Totals::of(&story.crossings[*index]),
            Row::Remark(_) => totals.remarks += 1,
            Row::Fold(fold) => totals += fold.totals,
        }
    }
    totals
}

#[test]
fn a_short_transfer_is_drawn_whole() {
    let recordings = draw("short", Plan::new("delay=10ms", 4000));
    for (vantage, exchange) in recordings.each() {
        let story = Story::of(exchange);
        assert!(story.crossings.iter().all(|crossing| crossing.is_calm()), "{vantage}: {:?}", story.crossings);
        assert!(!story.rows.iter().any(|row| matches!(row, Row::Fold(_))), "{vantage}");
        assert_eq!(story.totals.messages(), 10, "start, three chunks, checksum, and their answers");
        assert!(story.waits.is_empty());
    }
}

#[test]
fn losses_are_known_at_both_ends_and_guessed_at_one() {
    let recordings = draw("losses", Plan::new("loss=15%,delay=20ms", 20_000));
    let [both, client, server] = recordings.each().map(|(_, exchange)| Story::of(exchange));
    assert!(both.totals.lost > 0 && both.totals.unanswered == 0);
    assert_eq!(
        both.waits.len() as u64,
        both.crossings.iter().filter(|c| c.by == Side::Client && c.nth > 1).count() as u64
    );
    assert_eq!(client.waits.len(), both.waits.len());
    assert_eq!(client.totals.from_client, both.totals.from_client);
    let lost_back = both.crossings.iter().filter(|c| c.by == Side::Server && c.fate == Fate::Lost).count() as u64;
    assert_eq!(client.totals.unanswered, both.totals.lost, "each loss shows as a silence");
    assert_eq!(server.totals.unanswered, lost_back, "from the server only lost answers show");
}

#[test]
fn the_weather_of_the_lab() {
    let recordings = draw("lab", Plan::new("loss=15%,delay=1100ms", 25_000));
    assert!(Story::of(&recordings.both).totals.lost > 0);
    draw("lab-jitter", Plan::new("loss=10%,delay=300ms,jitter=400ms,late=10%,dup=5%", 25_000));
    draw("cell", Plan { seed: 3, ..Plan::new("loss=5%,delay=40ms,reorder=20%,late=5%", 30_000) });
}

#[test]
fn copies_damage_and_disorder_are_marked() {
    let recordings = draw("copies", Plan::new("dup=30%,delay=15ms,jitter=10ms", 15_000));
    assert!(Story::of(&recordings.both).totals.copies > 0);
    let recordings = draw("damage", Plan { seed: 11, ..Plan::new("corrupt=15%,delay=15ms", 15_000) });
    assert!(Story::of(&recordings.both).totals.damaged > 0);
    let recordings =
        draw("hostile", Plan::new("loss=20%,dup=20%,reorder=20%,late=10%,corrupt=10%,delay=30ms,jitter=30ms", 20_000));
    assert!(Story::of(&recordings.both).totals.late > 0);
}

#[test]
fn misbehaving_servers_are_drawn() {
    for (name, misbehaviour) in [
        ("twice", Misbehaviour::DuplicateAcks),
        ("late-acks", Misbehaviour::LateAcks),
        ("stale", Misbehaviour::StaleAcks),
        ("garbage", Misbehaviour::Garbage),
        ("silent", Misbehaviour::Silent),
        ("forgets", Misbehaviour::Forgets),
    ] {
        draw(name, Plan { misbehaviour: Some(misbehaviour), ..Plan::new("delay=5ms", 12_000) });
    }
}

#[test]
fn other_spellings_are_drawn() {
    let recordings = draw("compact", Plan { spelling: Spelling::Compact, ..Plan::new("delay=2ms,loss=8%", 600_000) });
    assert!(Story::of(&recordings.both).totals.again < 20, "alternating numbers are no repeats");
    draw("plain", Plan { mode: Mode::Lab, ..Plan::new("delay=2ms", 100_000) });
    draw("empty", Plan::new("", 0));
}

#[test]
fn ten_thousand_messages_stay_legible() {
    let clean = draw("many", Plan::new("delay=100us", 6_920_000));
    assert!(clean.both.steps.len() >= 20_000);
    let story = Story::of(&clean.both);
    assert!(story.rows.len() < 30, "{} rows", story.rows.len());
    let lossy = draw("many-losses", Plan::new("delay=1ms,loss=15%", 6_920_000));
    assert!(Story::of(&lossy.both).totals.lost > 1000);
}

#[test]
fn what_was_not_kept_is_told_of() {
    let whole = World::new(Plan::new("delay=5ms", 200_000)).run().both;
    let (head, tail) = (whole.steps[..20].to_vec(), whole.steps[404..].to_vec());
    let steps: Vec<Step> = head.into_iter().chain(tail).collect();
    let exchange = Exchange { omitted: Some((20, 384)), steps, ..whole };
    check("omitted", &exchange, "some steps were not kept");
    let story = Story::of(&exchange);
    assert!(story.totals.missing == 385 && story.totals.unknown == 1, "{:?}", story.totals);
}

/// A recording that nobody would make: anything at any time.
fn anything() -> impl Strategy<Value = Exchange> {
    let side = prop_oneof![Just(Side::Client), Just(Side::Server)];
    let text = prop_oneof![
        3 => (prop_oneof![Just("s"), Just("d"), Just("a"), Just("e")], prop_oneof![Just(" | "), Just("|")], 0..6_u64)
            .prop_map(|(kind, bar, number)| format!("{kind}{bar}{number}{bar}<9 bytes>")),
        1 => ".{0,90}",
    ];
    let did = prop_oneof![
        4 => (side.clone(), text.clone(), 0..2000_usize, option::of(0..20_u64))
            .prop_map(|(by, text, length, again)| Did::Sent { by, text, length, again }),
        4 => any::<bool>().prop_map(|damaged| Did::Came { damaged }),
        1 => Just(Did::Lost),
        1 => (side, text).prop_map(|(by, text)| Did::Note { by, text }),
    ];
    let step = (
        prop_oneof![
            (0..5_u64).prop_map(Duration::from_micros),
            (0..5000_u64).prop_map(Duration::from_millis),
            any::<u64>().prop_map(Duration::from_nanos),
            Just(Duration::MAX),
        ],
        0..40_u64,
        did,
    );
    let vantage = prop_oneof![Just(Vantage::Both), Just(Vantage::Client), Just(Vantage::Server)];
    let names = (".{0,40}", ".{0,40}");
    (vec(step, 0..120), vantage, names, option::of((0..150_usize, any::<u64>())), any::<bool>()).prop_map(
        |(steps, vantage, (client, server), omitted, sorted)| {
            let mut steps: Vec<Step> = steps.into_iter().map(|(at, id, did)| Step { at, id, did }).collect();
            if sorted {
                steps.sort_by_key(|step| step.at);
            }
            Exchange { client, server, vantage, steps, omitted }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn anything_can_be_drawn(exchange in anything(), title in ".{0,100}", width in 0..200_usize) {
        let story = Story::of(&exchange);
        prop_assert_eq!(in_rows(&story), story.totals);
        well_formed(&svg(&exchange, &title));
        let ladder = text(&exchange, width, false);
        prop_assert!(ladder.chars().all(|character| character == '\n' || !character.is_control()));
        prop_assert!(ladder.lines().all(|line| line.chars().count() <= width.clamp(80, 110)));
    }
}

/// A small reader of XML: tags are closed in order, attributes quoted, nothing is left unescaped, no number is odd.
fn well_formed(xml: &str) {
    let allowed = |c: char| matches!(c, '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(xml.chars().all(allowed), "a character that XML does not have: {xml:?}");
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml;
    while let Some(at) = rest.find('<') {
        entities(&rest[..at]);
        let end = rest[at..].find('>').expect("an end of the tag") + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed out of order");
            continue;
        }
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(name.chars().all(|c| c.is_ascii_alphabetic()), "{name:?} is no name");
        while !attributes.is_empty() {
            let (key, value) = attributes.split_once("=\"").expect("a quoted value");
            assert!(key.trim().chars().all(|c| c.is_ascii_alphabetic() || "-:".contains(c)), "{key:?} is no key");
            let (value, more) = value.split_once('"').expect("a closing quote");
            assert!(!value.contains("NaN") && !value.contains("inf"), "{key}={value}");
            entities(value);
            attributes = more;
        }
        if !is_empty {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "left open: {open:?}, left over: {rest:?}");
}

fn entities(text: &str) {
    for after in text.split('&').skip(1) {
        let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
        assert!(known.iter().any(|entity| after.starts_with(entity)), "a bare ampersand before {after:?}");
    }
    assert!(!text.contains('<') && !text.contains("]]>"), "unescaped: {text:?}");
}
