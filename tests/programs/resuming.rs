//! A large file that was interrupted goes on where it was, whoever was killed and whenever; what arrived is not sent again.

use crate::harness::{Program, SERVER, wait_until};
use crate::windowed::{Pair, text};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::time::Duration;

pub const SIZE: usize = 24_000_000;

/// What may be sent again of what was written: a group that is not complete, and those that came beside it.
pub const AGAIN_MAX: u64 = 4 * 1024 * 1024;

/// How long the unfinished file is.
pub fn arrived(pair: &Pair) -> u64 {
    let partial = pair.there.leftovers().into_iter().find(|name| name.ends_with(".partial"));
    partial.and_then(|name| fs::metadata(pair.there.at(&name)).ok()).map_or(0, |metadata| metadata.len())
}

fn slow(pair: &Pair, to: SocketAddr) -> Program {
    pair.start(to, &[text(&pair.here.at("f")), "f", "--congestion", "fixed:100m", "--timeout", "3"])
}

/// Copies the rest, with more arguments; gives the last event.
fn finish(pair: &Pair, to: SocketAddr, more: &[&str]) -> Value {
    let ended = pair.copy(to, &[&[text(&pair.here.at("f")), "f", "--json"], more].concat()).expect(0);
    assert!(pair.there.content("f") == fs::read(pair.here.at("f")).ok(), "it differs");
    assert!(pair.there.leftovers().is_empty(), "{:?}", pair.there.leftovers());
    ended.events().pop().expect("a last event")
}

pub fn resumed(finished: &Value) -> u64 {
    finished["resumed"].as_u64().expect("a number")
}

/// A server where another one was.
pub fn server_again(pair: &Pair, address: SocketAddr) -> Program {
    let (port, keys) = (address.port().to_string(), pair.keys.at("server"));
    let mut server = Program::start(
        SERVER,
        &[&port, "--json", "--bind", "127.0.0.1", "--root", text(pair.there.path()), "--config-dir", text(&keys)],
    );
    server.listening();
    server
}

/// Kills the client, or the server, when so much is there, and copies the rest.
fn kill_at(bytes: u64, is_server_killed: bool) {
    let pair = Pair::new();
    let (server, address) = pair.server(&[]);
    pair.here.file("f", SIZE);
    let client = slow(&pair, address);
    wait_until(Duration::from_secs(30), "bytes are on the disk", || arrived(&pair) >= bytes);
    let (there, mut server) = if is_server_killed {
        server.signal(Signal::KILL);
        drop(server);
        let there = arrived(&pair);
        client.signal(Signal::KILL);
        (there, server_again(&pair, address))
    } else {
        client.signal(Signal::KILL);
        (arrived(&pair), server)
    };
    let finished = finish(&pair, address, &[]);
    assert!(resumed(&finished) + AGAIN_MAX >= there, "{there} were there: {finished}");
    if !is_server_killed {
        let failed = server.event("failed");
        assert!(failed["reason"].as_str().is_some_and(|reason| reason.contains("came back")), "{failed}");
    }
}

#[test]
fn a_client_that_is_killed_sends_only_the_rest_the_next_time() {
    kill_at(10_000_000, false);
}

#[test]
fn a_server_that_is_killed_gets_only_the_rest_the_next_time() {
    kill_at(10_000_000, true);
}

#[test]
#[ignore = "takes minutes: 200 copies"]
fn either_side_is_killed_at_random_moments() {
    for number in 0..200 {
        kill_at(fastrand::u64(1..SIZE as u64 - 2_000_000), number % 2 == 0);
    }
}

#[test]
fn only_the_groups_that_changed_are_sent_again() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (local, _) = pair.here.file("f", SIZE);
    let client = slow(&pair, address);
    wait_until(Duration::from_secs(30), "bytes are on the disk", || arrived(&pair) >= 10_000_000);
    client.signal(Signal::KILL);
    client.end();
    let there = arrived(&pair);
    let file = fs::OpenOptions::new().write(true).open(&local).expect("our file");
    file.write_all_at(b"changed", 5_000_000).expect("our file");
    let finished = finish(&pair, address, &[]);
    let (resumed, group) = (resumed(&finished), 1 << 20);
    assert!(resumed + AGAIN_MAX + group >= there && resumed + group <= there, "{there} were there: {finished}");
}

#[test]
fn restart_sends_everything_and_so_does_another_client() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    pair.here.file("f", SIZE);
    let client = slow(&pair, address);
    wait_until(Duration::from_secs(30), "bytes are on the disk", || arrived(&pair) >= 8_000_000);
    client.signal(Signal::KILL);
    client.end();
    assert_eq!(resumed(&finish(&pair, address, &["--restart"])), 0);
    fs::remove_file(pair.there.at("f")).expect("our file");
    let client = slow(&pair, address);
    wait_until(Duration::from_secs(30), "bytes are on the disk", || arrived(&pair) >= 8_000_000);
    client.signal(Signal::KILL);
    client.end();
    let other = Pair { keys: crate::harness::Folder::new(), ..pair };
    let ended = other.copy(address, &[text(&other.here.at("f")), "f", "--json"]).expect(0);
    assert_eq!(resumed(&ended.events().pop().expect("a last event")), 0);
    assert!(other.there.content("f") == fs::read(other.here.at("f")).ok());
}
