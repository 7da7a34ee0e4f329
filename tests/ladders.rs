//! Ladders of real transfers: the machines talk over simulated links, recorders stand at both ends, and what they wrote down is
//! drawn. `DRAW=FOLDER cargo test --test ladders` leaves the pictures there; `docs` has those that are kept.

#[path = "ladders/docs.rs"]
mod docs;
#[path = "ladders/world.rs"]
mod world;

use homing::packet::Spelling;
use homing::session::Mode;
use homing::trace::{Did, Exchange, Fate, Row, Side, Step, Story, Totals, Vantage, svg, text};
use homing::weather::Misbehaviour;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::path::Path;
use std::time::{Duration, Instant};
use world::{Plan, Recordings, World};

/// Draws and checks all three recordings of a plan, and keeps the drawings where `DRAW` says.
fn draw(name: &str, plan: Plan) -> Recordings {
    let recordings = World::new(&plan).run();
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
    let whole = World::new(&Plan::new("delay=5ms", 200_000)).run().both;
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
