//! A server goes away in the middle and comes back: the client goes on by itself, and ends as if nothing had been.

use crate::harness::{CLIENT, Program, SERVER, wait_until};
use crate::resuming::{SIZE, arrived, resumed};
use crate::resuming_gets::{came, start};
use crate::windowed::{Pair, text};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::time::Duration;

/// A server where another one was.
pub fn server_again(pair: &Pair, address: SocketAddr, more: &[&str]) -> Program {
    let (port, keys) = (address.port().to_string(), pair.keys.at("server"));
    let root = text(pair.there.path());
    let all = [&port, "--json", "--bind", "127.0.0.1", "--root", root, "--config-dir", text(&keys)];
    let mut server = Program::start(SERVER, &[&all[..], more].concat());
    server.listening();
    server
}

pub fn kill(server: Program) {
    server.signal(Signal::KILL);
    drop(server);
}

#[test]
fn an_upload_goes_on_when_its_server_is_killed_and_started_anew() {
    let pair = Pair::new();
    let (mut server, address) = pair.server(&[]);
    let (local, bytes) = pair.here.file("f", SIZE);
    let mut client = pair.start(address, &[text(&local), "f", "--congestion", "fixed:60m", "--json"]);
    for (attempt, wanted) in [(1, 6_000_000), (2, 14_000_000)] {
        wait_until(Duration::from_secs(60), "bytes are on the disk", || arrived(&pair) >= wanted);
        kill(server);
        server = server_again(&pair, address, &[]);
        // The second comes soon after the first.
        assert_eq!(client.event("reconnecting")["attempt"], attempt);
    }
    let ended = client.end().expect(0);
    let finished = ended.events().pop().expect("a last event");
    assert!(pair.there.content("f") == Some(bytes), "it differs");
    assert!(resumed(&finished) >= 10_000_000, "{finished}");
    pair.there.expect_tidy();
    drop(server);
}

#[test]
fn a_get_goes_on_when_its_server_is_killed_and_started_anew() {
    let pair = Pair::new();
    let (server, address) = pair.server(&["--allow-get"]);
    let (_link, way) = Program::link(address, &["--fault", "rate=60mbit"]);
    std::fs::create_dir(pair.there.at("t")).expect("a folder");
    let (_, bytes) = pair.there.file("t/f", SIZE);
    let (_, small) = pair.there.file("t/a", 1000);
    let mut client = start(&pair, way, &["-r", "t", text(&pair.here.at("to/")), "--json"]);
    let to = pair.here.at("to/t");
    wait_until(Duration::from_secs(60), "bytes are on the disk", || came(&to) >= 8_000_000);
    kill(server);
    let _server = server_again(&pair, address, &["--allow-get"]);
    client.event("reconnecting");
    let ended = client.end().expect(0);
    let finished = ended.events().pop().expect("a last event");
    assert!(pair.here.content("to/t/f") == Some(bytes), "it differs");
    assert_eq!(pair.here.content("to/t/a"), Some(small));
    assert!(resumed(&finished) >= 4_000_000, "{finished}");
    assert_eq!((&finished["files"], &finished["missing"]), (&2.into(), &0.into()), "{finished}");
}

#[test]
fn what_came_from_standard_input_was_kept_and_goes_on() {
    let pair = Pair::new();
    let (server, address) = pair.server(&[]);
    let bytes: Vec<u8> = (0..9_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (target, keys) = (address.to_string(), pair.keys.at("client"));
    let all =
        [&target, "-", "s", "--mode", "windowed", "--config-dir", text(&keys), "--congestion", "fixed:20m", "--json"];
    let mut client = Program::fed(CLIENT, &all, &bytes);
    wait_until(Duration::from_secs(60), "bytes are on the disk", || !pair.there.leftovers().is_empty());
    kill(server);
    let _server = server_again(&pair, address, &[]);
    client.event("reconnecting");
    client.end().expect(0);
    assert!(pair.there.content("s") == Some(bytes), "it differs");
}

#[test]
fn a_server_that_does_not_come_back_is_not_waited_for_for_ever() {
    let pair = Pair::new();
    let (server, address) = pair.server(&[]);
    let (local, _) = pair.here.file("f", SIZE);
    let mut client = pair.start(address, &[text(&local), "f", "--congestion", "fixed:20m", "--json", "--timeout", "6"]);
    wait_until(Duration::from_secs(60), "bytes are on the disk", || arrived(&pair) >= 1_000_000);
    kill(server);
    // There for long enough to say that it knows nothing of it.
    let server = server_again(&pair, address, &[]);
    client.event("reconnecting");
    kill(server);
    client.end().expect(3);
    assert_eq!(pair.there.content("f"), None);
}

#[test]
fn a_server_that_comes_back_with_another_key_is_not_gone_on_with() {
    let pair = Pair::new();
    let (server, address) = pair.server(&[]);
    let (local, _) = pair.here.file("f", SIZE);
    let client = pair.start(address, &[text(&local), "f", "--congestion", "fixed:20m", "--timeout", "4"]);
    wait_until(Duration::from_secs(60), "bytes are on the disk", || arrived(&pair) >= 1_000_000);
    kill(server);
    let other = Pair { keys: crate::harness::Folder::new(), ..pair };
    let _server = server_again(&other, address, &[]);
    let code = client.end().code;
    assert!(matches!(code, Some(3 | 4)), "{code:?}");
    assert_eq!(other.there.content("f"), None);
}
