//! Files that go compressed, both ways: what arrives is the same, and fewer bytes are on the wire where that is possible.

use crate::harness::{CLIENT, Ended, Program, wait_until};
use crate::healing::{kill, server_again};
use crate::resuming_gets::came;
use crate::windowed::{Pair, contents, text};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::time::Duration;

/// What becomes about a third of it.
fn prose(size: usize) -> Vec<u8> {
    let words = [
        "packet",
        "number",
        "the",
        "sender",
        "of",
        "receiver",
        "lost",
        "acknowledged",
        "and",
        "window",
        "round",
        "trip",
    ];
    let mut dice = fastrand::Rng::with_seed(size as u64);
    let mut prose = Vec::with_capacity(size + 100);
    while prose.len() < size {
        prose.extend(format!("{} {:x}\n", words[dice.usize(..words.len())], dice.u16(..)).bytes());
    }
    prose.truncate(size);
    prose
}

/// Small files and large ones, and one that is compressed already.
fn tree(root: &Path) {
    for (number, size) in [0, 10, 900, 5000, 70_000, 140_000, 3_000_000].into_iter().cycle().take(30).enumerate() {
        let folder = root.join(format!("d{}", number % 3));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(format!("f{number}")), prose(size / (1 + number / 7))).expect("a file");
    }
    fs::write(root.join("picture.jpg"), crate::harness::random_bytes(400_000)).expect("a file");
}

/// What the closing event says of bytes: as they are, and on the wire.
fn bytes(ended: &Ended) -> (u64, u64) {
    let finished = ended.events().pop().expect("a last event");
    let number = |name: &str| finished[name].as_u64().unwrap_or_else(|| panic!("{name} in {finished}"));
    (number("plain_bytes"), number("wire_bytes"))
}

fn get(pair: &Pair, target: impl ToString, more: &[&str]) -> Ended {
    let (target, keys) = (target.to_string(), pair.keys.at("client"));
    Program::start(CLIENT, &[&["--get", &target, "--config-dir", text(&keys)], more].concat()).end()
}

#[test]
fn a_tree_arrives_as_it_is_however_it_goes() {
    let pair = Pair::new();
    let (mut server, address) = pair.server(&["--allow-get"]);
    tree(&pair.here.at("t"));
    let size: u64 =
        contents(&pair.here.at("t")).iter().map(|(_, bytes)| bytes.as_ref().map_or(0, Vec::len) as u64).sum();
    for way in ["auto", "zstd", "no"] {
        let folder = format!("{way}/");
        let ended =
            pair.copy(address, &["-r", text(&pair.here.at("t")), &folder, "--compress", way, "--json"]).expect(0);
        assert_eq!(contents(&pair.there.at(way).join("t")), contents(&pair.here.at("t")), "{way}");
        let back = pair.here.at(&format!("back-{way}"));
        let name = format!("{way}/t");
        let got = get(&pair, address, &["-r", &name, text(&back), "--compress", way, "--json"]).expect(0);
        assert_eq!(contents(&back), contents(&pair.here.at("t")), "{way}");
        // The server says of what it gives what the client says of what it gets.
        let told = std::iter::repeat_with(|| server.event("finished")).find(|event| event["mode"] == "get");
        let told = told.expect("an event");
        for (plain, wire) in [bytes(&ended), bytes(&got), (number(&told, "plain_bytes"), number(&told, "wire_bytes"))] {
            assert_eq!(plain, size, "{way}");
            match way {
                "no" => assert_eq!(wire, plain),
                "zstd" => assert!(wire < plain * 6 / 10 && wire > 400_000, "{wire} of {plain}"),
                _ => assert!(wire <= plain && wire > 400_000, "{wire} of {plain}"),
            }
        }
    }
}

fn number(event: &Value, name: &str) -> u64 {
    event[name].as_u64().unwrap_or_else(|| panic!("{name} in {event}"))
}

#[test]
fn what_was_compressed_is_said_and_a_picture_goes_as_it_is() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    fs::write(pair.here.at("text"), prose(2_000_000)).expect("a file");
    let (picture, _) = pair.here.file("picture.jpg", 2_000_000);
    let local = pair.here.at("text");
    let ended = pair.copy(address, &[text(&local), "a", "--compress", "zstd"]).expect(0);
    ended.saying(", compressed to 3");
    for (local, way) in [(&local, "no"), (&picture, "zstd"), (&picture, "auto")] {
        let ended =
            pair.copy(address, &[text(local), &format!("b-{way}-{}", local.ends_with("text")), "--compress", way]);
        let ended = ended.expect(0);
        assert!(!ended.out.iter().chain(&ended.err).any(|line| line.contains("compressed")), "{way}");
    }
    // From a pipe, whose length nobody knows.
    let (target, keys, input) = (address.to_string(), pair.keys.at("client"), prose(3_000_000));
    let ended = Program::fed(
        CLIENT,
        &[&target, "-", "piped", "--compress", "zstd", "--config-dir", text(&keys), "--json"],
        &input,
    );
    let (plain, wire) = bytes(&ended.end().expect(0));
    assert!(plain == 3_000_000 && wire < 2_000_000, "{wire} of {plain}");
    assert!(pair.there.content("piped") == Some(input));
}

#[test]
fn a_slow_path_is_reason_enough() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    fs::write(pair.here.at("text"), prose(2_000_000)).expect("a file");
    let ended = pair.copy(address, &[text(&pair.here.at("text")), "a", "--limit", "5mbit", "--json"]).expect(0);
    let (plain, wire) = bytes(&ended);
    assert!(wire < plain * 8 / 10, "{wire} of {plain}");
    assert!(pair.there.content("a") == pair.here.content("text"));
}

#[test]
fn a_compressed_copy_that_was_killed_goes_on() {
    for is_server_told in [false, true] {
        let pair = Pair::new();
        let (_server, address) = pair.server(&[]);
        fs::write(pair.here.at("f"), prose(16_000_000)).expect("a file");
        let local = pair.here.at("f");
        let arguments = [text(&local), "f", "--compress", "zstd", "--timeout", "30"];
        let client = pair.start(address, &[&arguments[..], &["--limit", "20mbit"]].concat());
        wait_until(Duration::from_secs(60), "bytes are on the disk", || {
            let partial = pair.there.leftovers().into_iter().find(|name| name.ends_with(".partial"));
            partial.and_then(|name| fs::metadata(pair.there.at(&name)).ok()).is_some_and(|it| it.len() >= 6_000_000)
        });
        if is_server_told {
            client.signal(Signal::TERM);
            client.end();
        } else {
            client.signal(Signal::KILL);
        }
        let ended = pair.copy(address, &[&arguments[..], &["--json"]].concat()).expect(0);
        let finished = ended.events().pop().expect("a last event");
        assert!(pair.there.content("f") == pair.here.content("f"), "it differs");
        assert!(number(&finished, "resumed") >= 1 << 20, "{finished}");
        assert!(number(&finished, "wire_bytes") < number(&finished, "plain_bytes"), "{finished}");
        assert!(pair.there.leftovers().is_empty());
    }
}

/// What was asked for is asked for once more.
#[test]
fn a_compressed_tree_with_links_goes_on_when_its_server_is_started_anew() {
    let pair = Pair::new();
    let (server, address) = pair.server(&[]);
    fs::create_dir(pair.here.at("t")).expect("a folder");
    fs::write(pair.here.at("t/f"), prose(24_000_000)).expect("a file");
    symlink("f", pair.here.at("t/link")).expect("a link");
    let local = pair.here.at("t");
    let arguments = ["-r", "--links", text(&local), "t", "--compress", "zstd", "--congestion", "fixed:20m", "--json"];
    let mut client = pair.start(address, &arguments);
    let there = pair.there.at("t");
    wait_until(Duration::from_secs(60), "bytes are on the disk", || came(&there) >= 8_000_000);
    kill(server);
    let _server = server_again(&pair, address, &[]);
    client.event("reconnecting");
    let ended = client.end().expect(0);
    let finished = ended.events().pop().expect("a last event");
    assert!(pair.there.content("t/f") == pair.here.content("t/f"), "it differs");
    assert_eq!(fs::read_link(there.join("link")).expect("a link").to_str(), Some("f"));
    assert!(number(&finished, "resumed") >= 1 << 20, "{finished}");
    assert!(number(&finished, "wire_bytes") < number(&finished, "plain_bytes") / 2, "{finished}");
}

/// Holes are not sent at all, whatever is around them.
#[test]
fn what_is_around_holes_goes_compressed_both_ways() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&["--allow-get"]);
    let local = pair.here.at("sparse");
    let file = fs::File::create(&local).expect("a file");
    file.set_len(40_000_003).expect("our file");
    for at in [0, 10_000_001, 38_999_000] {
        file.write_all_at(&prose(1_000_000), at).expect("our file");
    }
    let ended = pair.copy(address, &[text(&local), "sparse", "--compress", "zstd", "--json"]).expect(0);
    assert!(pair.there.content("sparse") == pair.here.content("sparse"), "it differs");
    let back = pair.here.at("back");
    let got = get(&pair, address, &["sparse", text(&back), "--compress", "zstd", "--json"]).expect(0);
    assert!(pair.here.content("back") == pair.here.content("sparse"), "it differs");
    for ended in [ended, got] {
        let (_, wire) = bytes(&ended);
        println!("{:?}", bytes(&ended));
        assert!(wire < 6_000_000, "{:?}", bytes(&ended));
    }
}

#[test]
fn other_ways_are_refused() {
    let pair = Pair::new();
    let (local, _) = pair.here.file("f", 10);
    pair.copy("127.0.0.1:9", &[text(&local), "f", "--compress", "lz4"]).expect(2).saying("auto, zstd, no");
    let lab = [text(&local), "f", "--compress", "no", "--mode", "lab"];
    Program::start(CLIENT, &[&["127.0.0.1:9"], &lab[..]].concat()).end().expect(2).saying("--compress needs");
}
