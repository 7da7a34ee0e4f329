//! A large file that was being got when somebody was killed goes on where it was; what came does not come again.

use crate::harness::{CLIENT, Ended, Folder, Program, wait_until};
use crate::resuming::{AGAIN_MAX, SIZE, resumed};
use crate::windowed::{Pair, text};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// How much of an unfinished file is on the disk in a folder.
pub fn came(folder: &Path) -> u64 {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let partial = names.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "partial"));
    partial.and_then(|path| fs::metadata(path).ok()).map_or(0, |metadata| metadata.len())
}

pub fn start(pair: &Pair, target: SocketAddr, more: &[&str]) -> Program {
    let (target, keys) = (target.to_string(), pair.keys.at("client"));
    Program::start(CLIENT, &[&["--get", &target, "--config-dir", text(&keys)], more].concat())
}

/// Gets a file with more arguments until it is whole.
fn finish(pair: &Pair, target: SocketAddr, more: &[&str]) -> Value {
    let here = pair.here.at("f");
    let ended: Ended = start(pair, target, &[&["f", text(&here), "--json"], more].concat()).end().expect(0);
    assert!(pair.here.content("f") == pair.there.content("f"), "it differs");
    pair.here.expect_tidy();
    ended.events().pop().expect("a last event")
}

/// A server that gives slowly, through a link of its own; whoever is killed, `bytes` are here before.
fn interrupted(pair: &Pair, bytes: u64, is_server_killed: bool) -> (Program, SocketAddr, u64) {
    let (server, address) = pair.server(&["--allow-get"]);
    let (link, way) = Program::link(address, &["--fault", "rate=60mbit"]);
    let client = start(pair, way, &["f", text(&pair.here.at("f")), "--timeout", "60"]);
    wait_until(Duration::from_secs(60), "bytes are on the disk", || came(pair.here.path()) >= bytes);
    let server = if is_server_killed {
        server.signal(Signal::KILL);
        drop(server);
        client.signal(Signal::KILL);
        client.end();
        pair.server(&["--allow-get"])
    } else {
        client.signal(Signal::KILL);
        client.end();
        (server, address)
    };
    drop(link);
    (server.0, server.1, came(pair.here.path()))
}

#[test]
fn what_came_before_a_kill_of_either_side_does_not_come_again() {
    for is_server_killed in [false, true] {
        let pair = Pair::new();
        pair.there.file("f", SIZE);
        let (mut server, address, there) = interrupted(&pair, 8_000_000, is_server_killed);
        let finished = finish(&pair, address, &[]);
        assert!(resumed(&finished) + AGAIN_MAX >= there, "{there} were here: {finished}");
        assert_eq!(finished["bytes"], SIZE, "{finished}");
        let told = server.event("finished");
        assert_eq!((&told["bytes"], &told["resumed"]), (&SIZE.into(), &finished["resumed"]), "{told}");
    }
}

#[test]
fn of_a_source_that_changed_only_the_groups_that_differ_come_again() {
    let pair = Pair::new();
    let (source, _) = pair.there.file("f", SIZE);
    let (_server, address, there) = interrupted(&pair, 8_000_000, false);
    let file = fs::OpenOptions::new().write(true).open(&source).expect("our file");
    file.write_all_at(b"changed", 3_000_000).expect("our file");
    let (finished, group) = (finish(&pair, address, &[]), 1 << 20);
    let resumed = resumed(&finished);
    assert!(resumed + AGAIN_MAX + group >= there && resumed + group <= there, "{there} were here: {finished}");
}

#[test]
fn restart_gets_everything_and_so_it_is_from_another_server() {
    let pair = Pair::new();
    pair.there.file("f", SIZE);
    let (server, address, _) = interrupted(&pair, 6_000_000, false);
    assert_eq!(resumed(&finish(&pair, address, &["--restart"])), 0);
    fs::remove_file(pair.here.at("f")).expect("our file");
    drop(server);
    let (server, _, _) = interrupted(&pair, 6_000_000, false);
    drop(server);
    let other = Pair { keys: Folder::new(), ..pair };
    let (_server, address) = other.server(&["--allow-get"]);
    let to = other.here.at("f");
    let ended = start(&other, address, &["f", text(&to), "--json"]).end().expect(0);
    assert_eq!(resumed(&ended.events().pop().expect("a last event")), 0);
    assert!(other.here.content("f") == other.there.content("f"));
}

#[test]
fn a_folder_that_was_interrupted_goes_on_with_its_large_file() {
    let pair = Pair::new();
    fs::create_dir(pair.there.at("t")).expect("a folder");
    pair.there.file("t/f", SIZE);
    let (_server, address) = pair.server(&["--allow-get"]);
    let (_link, way) = Program::link(address, &["--fault", "rate=60mbit"]);
    let to = pair.here.at("to/");
    let client = start(&pair, way, &["-r", "t", text(&to)]);
    let folder = pair.here.at("to/t");
    wait_until(Duration::from_secs(60), "bytes are on the disk", || came(&folder) >= 6_000_000);
    client.signal(Signal::INT);
    client.end().expect(130);
    let there = came(&folder);
    assert!(there >= 6_000_000, "what can be gone on with stays");
    let ended = start(&pair, address, &["-r", "t", text(&to), "--json"]).end().expect(0);
    let finished = ended.events().pop().expect("a last event");
    assert!(resumed(&finished) + AGAIN_MAX >= there, "{there} were here: {finished}");
    assert!(pair.here.content("to/t/f") == pair.there.content("t/f"));
}

#[test]
fn who_was_killed_gets_its_place_back() {
    let pair = Pair::new();
    pair.there.file("f", SIZE);
    let (mut server, address) = pair.server(&["--allow-get", "--max-gets", "1"]);
    let (_link, way) = Program::link(address, &["--fault", "rate=20mbit"]);
    let client = start(&pair, way, &["f", text(&pair.here.at("f"))]);
    wait_until(Duration::from_secs(60), "bytes are on the disk", || came(pair.here.path()) >= 2_000_000);
    start(&pair, address, &["f", text(&pair.here.at("g"))]).end().expect(4).saying("as many as it allows");
    client.signal(Signal::KILL);
    client.end();
    wait_until(Duration::from_secs(60), "the server has noticed", || {
        start(&pair, address, &["f", text(&pair.here.at("f"))]).end().code == Some(0)
    });
    assert!(pair.here.content("f") == pair.there.content("f"), "it differs");
    while !server.event("failed")["reason"].as_str().is_some_and(|reason| reason.contains("came back")) {}
}
