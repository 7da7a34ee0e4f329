//! A large file that was interrupted goes on where it was, whoever was killed and whenever; what arrived is not sent again.

use crate::harness::{LIMIT, Program, SERVER, wait_until};
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
    pair.there.expect_tidy();
    ended.events().pop().expect("a last event")
}

/// How many bytes did not come again.
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

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Killed {
    Client,
    Server,
    Both,
}

/// Kills somebody when so much is there, and copies the rest. Gives how many bytes were there, and how many of them were not sent again.
fn kill_at(bytes: u64, who: Killed) -> (u64, u64) {
    let pair = Pair::new();
    let (server, address) = pair.server(&[]);
    pair.here.file("f", SIZE);
    let client = slow(&pair, address);
    wait_until(Duration::from_secs(30), "bytes are on the disk", || arrived(&pair) >= bytes);
    if who != Killed::Server {
        client.signal(Signal::KILL);
    }
    let server = if who == Killed::Client {
        Some(server)
    } else {
        server.signal(Signal::KILL);
        server.end();
        None
    };
    let there = arrived(&pair);
    // Left alone, it begins anew with the next server, and has a session there until that is given up.
    client.signal(Signal::KILL);
    client.end();
    let mut server = server.unwrap_or_else(|| server_again(&pair, address));
    // Shown if it fails.
    println!("killed: {who:?}, {there} bytes were there");
    let finished = finish(&pair, address, &[]);
    let resumed = resumed(&finished);
    assert!(resumed + AGAIN_MAX >= there, "{there} were there: {finished}");
    if who == Killed::Client {
        let failed = server.event("failed");
        assert!(failed["reason"].as_str().is_some_and(|reason| reason.contains("came back")), "{failed}");
    }
    (there, resumed)
}

#[test]
fn a_client_that_is_killed_sends_only_the_rest_the_next_time() {
    kill_at(10_000_000, Killed::Client);
}

#[test]
fn a_server_that_is_killed_gets_only_the_rest_the_next_time() {
    kill_at(10_000_000, Killed::Server);
}

#[test]
#[ignore = "takes minutes: 200 copies (KILLS says how many); with --nocapture it shows what was sent again"]
fn either_side_is_killed_at_random_moments() {
    let kills: usize = std::env::var("KILLS").map_or(200, |text| text.parse().expect("a number")).max(1);
    let (mut again, mut resumes) = (Vec::new(), 0);
    for number in 0..kills {
        let who = [Killed::Client, Killed::Server, Killed::Both][number % 3];
        let (there, resumed) = kill_at(fastrand::u64(1..SIZE as u64 - 2_000_000), who);
        resumes += u32::from(resumed > 0);
        again.push(there.saturating_sub(resumed));
    }
    again.sort_unstable();
    let (median, most) = (again[again.len() / 2], again[again.len() - 1]);
    println!("{kills} kills, {resumes} resumes; bytes sent again: median {median}, maximum {most} of {AGAIN_MAX}");
}

/// How many bytes a program has read of files so far (datagrams do not count).
fn read_by(program: &Program) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/io", program.id())).expect("Linux counts");
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("a line of it");
    line.parse().expect("a number")
}

/// Waits until a program has ended, without asking how.
fn has_ended(program: &Program) -> bool {
    let text = fs::read_to_string(format!("/proc/{}/stat", program.id())).expect("it was not asked for");
    text.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
}

#[cfg(target_os = "linux")]
#[test]
fn nobody_reads_again_what_arrived() {
    const LARGE: usize = 64 << 20;
    /// Of what was written some comes again; besides, both read their keys and journals.
    const OVERHEAD: u64 = AGAIN_MAX + (2 << 20);
    let pair = Pair::new();
    let (server, address) = pair.server(&[]);
    pair.here.file("f", LARGE);
    let client = pair.start(address, &[text(&pair.here.at("f")), "f", "--congestion", "fixed:200m", "--timeout", "3"]);
    wait_until(LIMIT, "half of it is on the disk", || arrived(&pair) >= LARGE as u64 / 2);
    client.signal(Signal::KILL);
    client.end();
    let (there, before) = (arrived(&pair), read_by(&server));
    let again = pair.start(address, &[text(&pair.here.at("f")), "f", "--json"]);
    wait_until(LIMIT, "the rest is copied", || has_ended(&again));
    let (by_client, by_server) = (read_by(&again), read_by(&server) - before);
    let finished = again.end().expect(0).events().pop().expect("a last event");
    let missing = LARGE as u64 - there;
    println!("{there} bytes were there, {missing} were missing; the client read {by_client}, the server {by_server}");
    assert!(resumed(&finished) + AGAIN_MAX >= there, "{there} were there: {finished}");
    assert!(by_client <= missing + OVERHEAD, "the client read {by_client} bytes; {missing} were missing");
    assert!(by_server <= OVERHEAD, "the server read {by_server} bytes");
    assert!(pair.there.content("f") == fs::read(pair.here.at("f")).ok(), "it differs");
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
