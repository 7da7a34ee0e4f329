//! Ctrl-C and termination, of the client and of the server, at rest and in mid-transfer.

use crate::fakes::{FakeServer, Tap};
use crate::harness::{CLIENT, Folder, Program, all_at_once, copy, start_copy, wait_until};
use rustix::process::Signal;
use std::thread;
use std::time::{Duration, Instant};

/// A transfer under way through a slow link: the server has written a block, most is still to come.
struct UnderWay {
    here: Folder,
    there: Folder,
    server: Program,
    client: Program,
    _tap: Tap,
}

fn under_way(server_options: &[&str], client_options: &[&str]) -> UnderWay {
    let (here, there) = (Folder::new(), Folder::new());
    let (server, address) = Program::server(there.path(), server_options);
    let tap = Tap::slow(address, Duration::from_millis(3));
    let (local, _) = here.file("f", 1_000_000);
    let client = start_copy(tap.address, &local, "f", &[&["--json"], client_options].concat());
    wait_until(Duration::from_secs(20), "the first block is on the disk", || !there.leftovers().is_empty());
    UnderWay { here, there, server, client, _tap: tap }
}

#[test]
fn a_client_that_is_interrupted_says_so_and_the_server_forgets_at_once() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut it = under_way(&[], &[]);
        it.client.signal(signal);
        let since = Instant::now();
        assert_eq!(it.server.event("failed")["reason"], "client: interrupted");
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
        let ended = it.client.end().expect(code);
        let last = ended.events().pop().expect("a last event");
        assert_eq!((&last["event"], &last["exit_code"]), (&"failed".into(), &code.into()));
        wait_until(Duration::from_secs(1), "nothing is left there", || it.there.names().is_empty());
        assert!(it.here.names() == ["f"]);
    }
}

#[test]
fn a_lab_client_that_is_interrupted_leaves_no_file() {
    let mut it = under_way(&["--idle-timeout", "1"], &["--mode", "lab"]);
    it.client.signal(Signal::INT);
    it.client.end().expect(130);
    let reason = it.server.event("failed")["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.starts_with("nothing came for 1 s"), "{reason}");
    wait_until(Duration::from_secs(1), "nothing is left there", || it.there.names().is_empty());
}

#[test]
fn a_client_that_waits_for_an_answer_is_interrupted_at_once() {
    let here = Folder::new();
    let (local, _) = here.file("f", 1000);
    all_at_once([FakeServer::silent(), FakeServer::checked_without_end()], |server| {
        let client = start_copy(server.address, &local, "f", &[]);
        wait_until(Duration::from_secs(10), "it speaks", || !server.heard().is_empty());
        thread::sleep(Duration::from_millis(100));
        let since = Instant::now();
        client.interrupt().expect(130).saying("interrupted");
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    });
}

#[test]
fn a_client_that_reads_standard_input_can_be_interrupted() {
    let silent = FakeServer::silent();
    let client = Program::waiting_for_input(CLIENT, &[&silent.address.to_string(), "-", "f", "--mode", "lab"]);
    thread::sleep(Duration::from_millis(300));
    // A shell reports 130 for an end by SIGINT as for the exit code.
    let ended = client.interrupt();
    assert!(matches!(ended.code, None | Some(130)), "{ended:#?}");
    assert_eq!(silent.heard(), "");
}

#[test]
fn a_server_that_is_interrupted_tells_its_clients_and_cleans_up() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut it = under_way(&[], &[]);
        let since = Instant::now();
        it.server.signal(signal);
        let failed = it.server.event("failed");
        assert_eq!((&failed["name"], &failed["reason"]), (&"f".into(), &"the server is shutting down".into()));
        it.server.end().expect(code);
        it.client.end().expect(4).saying("refused by the server: the server is shutting down");
        assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
        assert!(it.there.names().is_empty(), "{:?}", it.there.names());
    }
}

#[test]
fn many_clients_are_told_when_the_server_is_interrupted() {
    let (here, there) = (Folder::new(), Folder::new());
    let (server, address) = Program::server(there.path(), &[]);
    let (local, _) = here.file("f", 2_000_000);
    let taps: Vec<_> = (0..10).map(|_| Tap::slow(address, Duration::from_millis(10))).collect();
    let names: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    let clients: Vec<_> =
        taps.iter().zip(&names).map(|(tap, name)| start_copy(tap.address, &local, name, &[])).collect();
    wait_until(Duration::from_secs(20), "all are under way", || there.leftovers().len() == 10);
    server.interrupt().expect(130);
    for client in clients {
        client.end().expect(4).saying("shutting down");
    }
    assert!(there.names().is_empty());
}

#[test]
fn idle_listeners_end_at_the_first_signal() {
    let there = Folder::new();
    let (server, address) = Program::server(there.path(), &[]);
    let (bad_server, _) = Program::bad_server(there.path(), &[]);
    let (link, _) = Program::link(address, &[]);
    link.interrupt().expect(0);
    bad_server.interrupt().expect(130);
    server.signal(Signal::TERM);
    server.end().expect(143);
}

#[test]
fn a_file_that_is_complete_survives_the_interrupt() {
    let (here, there) = (Folder::new(), Folder::new());
    let (server, address) = Program::server(there.path(), &[]);
    let (local, bytes) = here.file("f", 100_000);
    copy(address, &local, "f", &[]).expect(0);
    server.interrupt().expect(130);
    assert_eq!(there.names(), ["f"]);
    assert_eq!(there.content("f"), Some(bytes));
}
