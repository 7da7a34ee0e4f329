//! The pictures in `docs/`: simulated transfers of the real machines, so that they show what happens. They are kept as drawn;
//! `UPDATE_GOLDEN=1 cargo test --test ladders` draws them anew.

use crate::well_formed;
use crate::world::{BEGINS, DONE, IGNORED, NAMED, OLD, Plan, SEEN, STORED, Twist, World};
use homing::session::stop_and_wait::Outcome;
use homing::trace::{Exchange, Fate, Row, Side, Story, svg};
use std::path::Path;
use std::time::Duration;

const LINK: &str = "delay=30ms";

/// Runs a plan whose file has to come home.
fn run(plan: &Plan) -> Exchange {
    let recordings = World::new(plan).run();
    assert_eq!(recordings.outcome, Some(Outcome::Delivered));
    assert!(recordings.received == plan.content, "the file is another one");
    recordings.both
}

/// A few chunks, and what happens to them.
fn letter<'a>(size: usize, twists: &'a [(Side, u64, Twist)], remarks: &'a [(&'a str, usize)]) -> Plan<'a> {
    let text = "Home is where the bytes arrive. ".repeat(size.div_ceil(32));
    let content = text.into_bytes()[..size].to_vec();
    Plan { name: "letter.txt", content, twists, remarks, addresses: ["", ""], ..Plan::new(LINK, 0) }
}

/// Compares a picture with the committed one, which `UPDATE_GOLDEN` replaces.
fn compare(file: &str, exchange: &Exchange, title: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    let now = svg(exchange, title);
    well_formed(&now);
    assert!(now.contains(&format!(">{title}</text>")), "the title of {file} is too long to be drawn whole");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &now).expect("the tree is writable");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        now == committed,
        "docs/{file} is drawn differently now; UPDATE_GOLDEN=1 cargo test --test ladders writes it, then look at it"
    );
}

/// Whose message met which fate, late ones apart, of those that are not as they should be.
fn incidents(story: &Story) -> Vec<(Side, &str, Fate, bool)> {
    let all = story.crossings.iter();
    let late = |index: usize| story.crossings[index].arrivals.iter().any(|arrival| arrival.late);
    let told = all.enumerate().map(|(index, it)| (it.by, it.text.as_str(), it.fate, late(index)));
    told.filter(|(.., fate, late)| *fate != Fate::Arrived || *late).collect()
}

fn remarks(story: &Story) -> Vec<&str> {
    story.remarks.iter().map(|remark| remark.text.as_str()).collect()
}

#[test]
fn the_picture() {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pigeon.jpg");
    let exchange = run(&Plan {
        content: std::fs::read(fixture).expect("the picture"),
        twists: &[(Side::Client, 3, Twist::Lost)],
        remarks: &[(NAMED, 1), (DONE, 1)],
        addresses: ["", ""],
        ..Plan::new(LINK, 0)
    });
    let story = Story::of(&exchange);
    assert_eq!(incidents(&story), [(Side::Client, "d | 1215752194 | <1383 bytes>", Fate::Lost, false)]);
    assert_eq!(story.rows.iter().filter(|row| matches!(row, Row::Fold(_))).count(), 1, "the middle is folded");
    compare("picture.svg", &exchange, "A file crosses a lossy network: one chunk is lost and sent again");
}

#[test]
fn a_lost_start() {
    let exchange = run(&letter(2000, &[(Side::Client, 1, Twist::Lost)], &[(BEGINS, 1), (STORED, 9), (NAMED, 1)]));
    let story = Story::of(&exchange);
    let start = "s | 1215752192 | letter.txt | 0...2000";
    assert_eq!(incidents(&story), [(Side::Client, start, Fate::Lost, false)]);
    compare("lost-start.svg", &exchange, "The start is lost: after a time-out it is sent again");
}

#[test]
fn a_lost_acknowledgement() {
    let exchange =
        run(&letter(2000, &[(Side::Server, 2, Twist::Lost)], &[(STORED, 9), (SEEN, 9), (OLD, 9), (NAMED, 1)]));
    let story = Story::of(&exchange);
    assert_eq!(incidents(&story), [(Side::Server, "a | 1215752194", Fate::Lost, false)]);
    assert_eq!(remarks(&story), [STORED, SEEN, STORED, NAMED]);
    compare("lost-ack.svg", &exchange, "An acknowledgement is lost: the chunk comes again, is stored once");
}

#[test]
fn late_messages() {
    let held_up = |time| Twist::HeldUp(Duration::from_millis(time));
    let twists = [(Side::Client, 2, held_up(295)), (Side::Server, 4, held_up(195))];
    let exchange = run(&letter(4000, &twists, &[(STORED, 9), (SEEN, 9), (OLD, 9), (IGNORED, 9), (NAMED, 1)]));
    let story = Story::of(&exchange);
    let late = [
        (Side::Client, "d | 1215752193 | <1383 bytes>", Fate::Arrived, true),
        (Side::Server, "a | 1215752196", Fate::Arrived, true),
    ];
    assert_eq!(incidents(&story), late);
    assert_eq!(remarks(&story), [STORED, STORED, OLD, STORED, SEEN, IGNORED, NAMED]);
    compare("delayed-duplicate.svg", &exchange, "An old chunk and an old acknowledgement come late: nothing happens");
}
