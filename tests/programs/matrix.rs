//! Who dies, when, and what has become of the file until the next copy: that one brings the file as it is then, and of what had arrived
//! and is still the same at most 4 MiB come again.
//!
//! | died | when it died, there was | kept by the next copy |
//! |---|---|---|
//! | client, server, both | nothing (handshake, or no group complete) | nothing |
//! | | a part | all groups that were complete and are the same |
//! | | all, without its name | the same; or it has its name by then |
//! | | the file with its name, the client not told | nothing: there is nothing unfinished, `--overwrite` sends all |
//! | path only | any of these | the same; the next session takes over what the silent one holds |
//!
//! | meanwhile | the same |
//! |---|---|
//! | nothing, or its time | all groups |
//! | some bytes changed | all groups but theirs |
//! | grown, shrunk | all groups but the last of either size |
//! | replaced | none |
//!
//! A reader of files is threads and no machine, so this is not played in simulated time; what a disk makes of each moment is, in
//! `src/io/store/tree/resuming/power_cuts.rs`.

use crate::fakes::Tap;
use crate::harness::{LIMIT, random_bytes, wait_until};
use crate::resuming::{AGAIN_MAX, arrived, resumed, server_again};
use crate::windowed::{Pair, text};
use rustix::process::Signal;
use std::fs::{self, File};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

const SIZE: usize = 12_000_000;
const GROUP: u64 = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Client,
    Server,
    Both,
    Path,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Beginning,
    Middle,
    Publishing,
    Published,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    SomeBytes,
    Grown,
    Shrunk,
    Replaced,
    Touched,
}

const WHO: [Who; 4] = [Who::Client, Who::Server, Who::Both, Who::Path];
const WHEN: [When; 4] = [When::Beginning, When::Middle, When::Publishing, When::Published];
const MEANWHILE: [Meanwhile; 6] = [
    Meanwhile::Nothing,
    Meanwhile::SomeBytes,
    Meanwhile::Grown,
    Meanwhile::Shrunk,
    Meanwhile::Replaced,
    Meanwhile::Touched,
];

impl Meanwhile {
    /// Changes the file; gives how much of so many bytes at its beginning is the same at least, as far as groups go.
    fn happen(self, path: &std::path::Path, there: u64) -> u64 {
        let mut bytes = fs::read(path).expect("our file");
        match self {
            Self::Nothing => return there,
            Self::Touched => {
                let file = File::options().write(true).open(path).expect("our file");
                file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).expect("its time");
                return there;
            }
            Self::SomeBytes => [1_500_000, 1_500_001, SIZE - 5].iter().for_each(|at| bytes[*at] ^= 1),
            Self::Grown => bytes.extend(random_bytes(3_333_333)),
            Self::Shrunk => bytes.truncate(7_000_000),
            Self::Replaced => bytes = random_bytes(SIZE),
        }
        fs::write(path, &bytes).expect("our file");
        match self {
            Self::Replaced => 0,
            _ => there.min(bytes.len() as u64).saturating_sub(2 * GROUP),
        }
    }
}

fn play(who: Who, when: When, meanwhile: Meanwhile) {
    println!("{who:?} {when:?} {meanwhile:?}");
    let pair = Pair::new();
    let (mut server, address) = pair.server(&["--idle-timeout", "3"]);
    let (local, _) = pair.here.file("f", SIZE);
    let is_up = Arc::new(AtomicBool::new(true));
    let up = Arc::clone(&is_up);
    let tap = Tap::new(address, Duration::ZERO, move |_, _| up.load(Ordering::Relaxed));
    let target = if who == Who::Path { tap.address } else { address };
    let client = pair.start(target, &[text(&local), "f", "--congestion", "fixed:100m", "--timeout", "3"]);
    let has_name = || pair.there.at("f").exists();
    match when {
        When::Beginning => thread::sleep(Duration::from_millis(fastrand::u64(0..60))),
        When::Middle => wait_until(LIMIT, "half of it is there", || arrived(&pair) >= SIZE as u64 / 2),
        When::Publishing => wait_until(LIMIT, "all is there", || arrived(&pair) >= SIZE as u64 || has_name()),
        When::Published => wait_until(LIMIT, "it has its name", has_name),
    }
    if matches!(who, Who::Client | Who::Both) {
        client.signal(Signal::KILL);
    }
    if matches!(who, Who::Server | Who::Both) {
        server.signal(Signal::KILL);
        server.end();
        server = server_again(&pair, address);
    }
    is_up.store(who != Who::Path, Ordering::Relaxed);
    // Who lives finds out by himself.
    client.end();
    let there = arrived(&pair);
    let same = meanwhile.happen(&local, there);
    // A server that lives may have all, and then gives it its name.
    let same = if when == When::Publishing && matches!(who, Who::Client | Who::Path) { 0 } else { same };
    let ended = pair.copy(address, &[text(&local), "f", "--overwrite", "--json"]).expect(0);
    assert!(pair.there.content("f") == fs::read(&local).ok(), "it differs");
    // A session of which nothing was left to take over has its lock until it is given up.
    wait_until(LIMIT, "nothing is left", || pair.there.leftovers().is_empty());
    let kept = resumed(&ended.events().pop().expect("a last event"));
    assert!(kept + AGAIN_MAX >= same, "{there} bytes were there, {same} the same, {kept} kept");
    assert!(kept <= there && (meanwhile != Meanwhile::Replaced || kept == 0), "{there} bytes were there, {kept} kept");
    drop(server);
}

#[test]
fn whoever_dies_whenever_and_whatever_becomes_of_the_file() {
    for number in 0..6 {
        play(WHO[number % 4], WHEN[(number + number / 4 * 2 + 1) % 4], MEANWHILE[number]);
    }
}

#[test]
#[ignore = "takes some minutes: 96 copies"]
fn everybody_dies_at_all_times_and_everything_becomes_of_the_file() {
    let cells = WHO.into_iter().flat_map(|who| WHEN.map(|when| (who, when)));
    for ((who, when), meanwhile) in cells.flat_map(|cell| MEANWHILE.map(|meanwhile| (cell, meanwhile))) {
        play(who, when, meanwhile);
    }
}
