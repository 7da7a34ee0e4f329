//! What the server says, how many it serves, and when it ends.

use crate::fakes::{Tap, Way};
use crate::harness::{
    BAD_SERVER, Folder, LOSSY_LINK, Program, SERVER, all_at_once, copy, has_ipv6, sha256, start_copy, wait_until,
};
use serde_json::Value;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn the_first_line_of_every_listener_is_its_address() {
    let there = Folder::new();
    let root = there.path().to_str().expect("a plain path");
    let mut binds = vec!["127.0.0.1", "0.0.0.0"];
    if has_ipv6() {
        binds.extend(["::1", "::"]);
    }
    for bind in binds {
        for program in [SERVER, BAD_SERVER] {
            let mut server = Program::start(program, &["0", "--bind", bind, "--root", root]);
            expect_address(&server.line(), bind);
            assert_eq!(server.line(), format!("files are saved beneath {root}"));
        }
    }
    let mut link = Program::start(LOSSY_LINK, &["--listen", "0", "--to", "127.0.0.1:9"]);
    expect_address(&link.line(), "127.0.0.1");
    assert_eq!(link.line(), "datagrams go on to 127.0.0.1:9");
}

fn expect_address(line: &str, bind: &str) {
    let address: Option<SocketAddr> = line.strip_prefix("listening on ").and_then(|text| text.parse().ok());
    let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
    assert_eq!(address.ip().to_string(), bind);
    assert_ne!(address.port(), 0);
}

#[test]
fn a_quiet_server_says_only_its_address() {
    let (here, there) = (Folder::new(), Folder::new());
    let root = there.path().to_str().expect("a plain path");
    let (local, _) = here.file("f", 1000);
    all_at_once([SERVER, BAD_SERVER], |program| {
        let mut server = Program::start(program, &["0", "-q", "--bind", "127.0.0.1", "--root", root]);
        let address = server.line().replace("listening on ", "");
        copy(&address, &local, "../f", &[]).expect(4);
        copy(&address, &local, program.rsplit('/').next().unwrap_or("f"), &[]).expect(0);
        let ended = server.interrupt().expect(130);
        assert_eq!(ended.out, [format!("listening on {address}")]);
        assert!(ended.err.is_empty(), "{ended:#?}");
    });
}

#[test]
fn events_come_in_order_with_their_fields() {
    let (here, there) = (Folder::new(), Folder::new());
    let (server, address) = Program::server(there.path(), &[]);
    let (local, bytes) = here.file("f", 200_000);
    copy(address, &local, "../f", &[]).expect(4);
    let tap = Tap::new(address, Duration::from_millis(3), losing_answers(20..21));
    copy(tap.address, &local, "a name", &[]).expect(0);
    let ended = server.interrupt().expect(130);
    let events = ended.events().split_off(1);
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(kinds[..2], ["refused", "started"], "{kinds:?}");
    let (last, between) = kinds[2..].split_last().expect("more events");
    assert_eq!(*last, "finished", "{kinds:?}");
    assert!(!between.is_empty() && between.iter().all(|kind| *kind == "progress"), "{kinds:?}");

    let expect = |event: &Value, fields: &[(&str, Value)]| {
        for (name, value) in fields {
            assert_eq!(event[name], *value, "{name} in {event}");
        }
        assert!(event["peer"].as_str().is_some_and(|peer| peer.parse::<SocketAddr>().is_ok()), "{event}");
    };
    expect(&events[0], &[("name", "../f".into())]);
    assert!(events[0]["reason"].as_str().is_some_and(|reason| reason.contains("..")), "{}", events[0]);
    let id = events[1]["id"].clone();
    let common = [("id", id.clone()), ("name", "a name".into()), ("mode", "checked".into())];
    expect(&events[1], &[&common[..], &[("size", 200_000.into()), ("spelling", "spaced".into())]].concat());
    let mut before = 0;
    for progress in &events[2..events.len() - 1] {
        assert_eq!((&progress["id"], &progress["size"]), (&id, &200_000.into()), "{progress}");
        let so_far = progress["bytes"].as_u64().expect("a number");
        assert!(so_far > before && so_far <= 200_000, "{progress}");
        assert!(progress["retransmissions"].is_u64(), "{progress}");
        before = so_far;
    }
    let finished = &events[events.len() - 1];
    expect(finished, &common);
    expect(finished, &[("bytes", 200_000.into()), ("sha256", sha256(&bytes).into()), ("verified", true.into())]);
    assert!(finished["seconds"].as_f64().is_some_and(|seconds| seconds > 0.3 && seconds < 30.0), "{finished}");
    assert!(
        finished["duplicates"].as_u64() >= Some(1) && finished["retransmissions"].as_u64() >= Some(1),
        "{finished}"
    );
}

#[test]
fn the_clients_events_come_in_order_with_their_fields() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, address) = Program::server(there.path(), &[]);
    let (local, bytes) = here.file("f", 200_000);
    let tap = Tap::slow(address, Duration::from_millis(3));
    let events = copy(tap.address, &local, "f", &["--json"]).expect(0).events();
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    let told = kinds.iter().filter(|kind| **kind == "progress").count();
    assert!(told >= 3, "{kinds:?}");
    assert_eq!(kinds.iter().copied().filter(|kind| *kind != "progress").collect::<Vec<_>>(), ["started", "finished"]);
    let finished = &events[events.len() - 1];
    assert_eq!(finished["sha256"], sha256(&bytes));
    assert_eq!((&finished["bytes"], &finished["verified"]), (&200_000.into(), &true.into()));
    assert!(finished["rtt_ms"].as_f64().is_some_and(|rtt| (3.0..100.0).contains(&rtt)), "{finished}");
    assert_eq!(finished["chunk"], 1383);
}

#[test]
fn a_server_ends_with_0_after_so_many_transfers() {
    let (here, there) = (Folder::new(), Folder::new());
    let (mut server, address) = Program::server(there.path(), &["--exit-after", "2"]);
    let (local, _) = here.file("f", 1000);
    copy(address, &local, "../f", &[]).expect(4);
    copy(address, &local, "f", &[]).expect(0);
    thread::sleep(Duration::from_millis(200));
    assert!(server.is_running());
    copy(address, &local, "g", &["--mode", "lab"]).expect(0);
    let since = Instant::now();
    server.end().expect(0);
    // Some seconds stay for a repeat of the last message.
    assert!(since.elapsed() < Duration::from_secs(6), "{:?}", since.elapsed());
}

#[test]
fn the_last_answer_of_a_server_that_ends_may_be_lost() {
    let (here, there) = (Folder::new(), Folder::new());
    let (server, address) = Program::server(there.path(), &["--exit-after", "1"]);
    let (local, _) = here.file("f", 1000);
    // Start, chunk, and then the end three times in vain.
    let tap = Tap::new(address, Duration::ZERO, losing_answers(2..5));
    copy(tap.address, &local, "f", &[]).expect(0);
    server.end().expect(0);
}

/// Loses these of the server's datagrams, counted from 0.
fn losing_answers(lost: Range<usize>) -> impl FnMut(Way, &mut Vec<u8>) -> bool {
    let mut numbers = 0..;
    move |way, _| way == Way::ToServer || !numbers.next().is_some_and(|number| lost.contains(&number))
}

#[test]
fn a_transfer_under_way_is_told_when_the_server_has_had_enough() {
    let (here, there) = (Folder::new(), Folder::new());
    let (server, address) = Program::server(there.path(), &["--exit-after", "1"]);
    let (long, _) = here.file("long", 3_000_000);
    let tap = Tap::slow(address, Duration::from_millis(5));
    let slow = start_copy(tap.address, &long, "long", &["--timeout", "2"]);
    wait_until(Duration::from_secs(20), "the long one is under way", || !there.leftovers().is_empty());
    let (short, _) = here.file("short", 1000);
    copy(address, &short, "short", &[]).expect(0);
    server.end().expect(0);
    assert_eq!(there.names(), ["short"]);
    slow.end().expect(4).saying("shutting down");
}

#[test]
fn a_full_server_refuses_in_the_words_of_each_spelling() {
    let (here, there) = (Folder::new(), Folder::new());
    let (mut server, address) = Program::server(there.path(), &["--max-sessions", "1"]);
    let (local, _) = here.file("f", 1000);
    // A transfer that has begun and stays.
    let held = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    held.send_to(b"s | 0 | held | 10", address).expect("a local address");
    server.event("started");
    copy(address, &local, "f", &[]).expect(4).saying("the server is full; try again later");
    copy(address, &local, "f", &["--spelling", "compact"]).expect(4).saying("the server is full");
    // The spaced spelling of the course knows no refusal.
    copy(address, &local, "f", &["--mode", "lab", "--timeout", "0.5"]).expect(3);
    assert!(there.names().is_empty());
    held.send_to(b"d | 1 | 0123456789", address).expect("a local address");
    server.event("finished");
    copy(address, &local, "f", &[]).expect(0);
    assert_eq!(there.names(), ["f", "held"]);
}

#[test]
fn one_address_gets_its_share_and_no_more() {
    let (here, there) = (Folder::new(), Folder::new());
    let (mut server, address) = Program::server(there.path(), &["--max-sessions-per-address", "1"]);
    let (local, _) = here.file("f", 1000);
    let held = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    held.send_to(b"s | 0 | held | 10", address).expect("a local address");
    server.event("started");
    copy(address, &local, "f", &[]).expect(4).saying("too many transfers from this address");
    // Another address of this machine is another one to the server.
    let other = UdpSocket::bind("127.0.0.2:0").expect("all of 127/8 is this machine");
    other.send_to(b"s | 0 | other | 10", address).expect("a local address");
    assert_eq!(server.event("started")["name"], "other");
}

#[test]
fn a_silent_transfer_is_forgotten_and_its_temporary_file_removed() {
    let there = Folder::new();
    let (mut server, address) = Program::server(there.path(), &["--idle-timeout", "0.5"]);
    let held = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    held.send_to(b"s | 0 | held | 100000", address).expect("a local address");
    server.event("started");
    let chunk = |seq: usize| [format!("d | {seq} | ").as_bytes(), &[7; 60_000]].concat();
    held.send_to(&chunk(1), address).expect("a local address");
    held.send_to(&chunk(2)[..35_000], address).expect("a local address");
    wait_until(Duration::from_secs(5), "a block is on the disk", || there.leftovers().len() == 1);
    let failed = server.event("failed");
    assert!(failed["reason"].as_str().is_some_and(|reason| reason.starts_with("nothing came for 0.5 s")), "{failed}");
    wait_until(Duration::from_secs(2), "the temporary file is removed", || there.names().is_empty());
}

#[test]
fn a_file_beyond_the_limit_of_the_process_is_no_end_of_the_server() {
    let (here, there) = (Folder::new(), Folder::new());
    // 200 blocks of 512 or 1024 bytes, as shells differ.
    let script = format!("ulimit -f 200 && exec {SERVER} 0 --json --bind 127.0.0.1 --root {}", there.path().display());
    let mut server = Program::start("/bin/sh", &["-c", &script]);
    let address = server.listening();
    let (large, _) = here.file("large", 400_000);
    copy(address, &large, "large", &[]).expect(4).saying("no larger file is allowed here");
    let (small, bytes) = here.file("small", 50_000);
    copy(address, &small, "small", &[]).expect(0);
    assert_eq!(there.names(), ["small"]);
    assert_eq!(there.content("small"), Some(bytes));
}

#[test]
fn a_flood_of_refused_starts_is_told_in_moderation() {
    let there = Folder::new();
    let (mut server, address) = Program::server(there.path(), &[]);
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    for number in 0..300 {
        peer.send_to(format!("s | {number} | ../x | 1").as_bytes(), address).expect("a local address");
        thread::sleep(Duration::from_micros(100));
    }
    thread::sleep(Duration::from_millis(1100));
    peer.send_to(b"s | 0 | ../last | 1", address).expect("a local address");
    let remark = server.event("remark");
    assert!(remark["text"].as_str().is_some_and(|text| text.ends_with("more starts were refused")), "{remark}");
    assert_eq!(server.event("refused")["name"], "../last");
    let told = server.interrupt().events().iter().filter(|event| event["event"] == "refused").count();
    assert!(told < 100, "{told}");
}

#[test]
fn what_keeps_a_listener_from_starting_is_said_in_a_sentence() {
    let (here, there) = (Folder::new(), Folder::new());
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let root = there.path().to_str().expect("a plain path");
    let (file, _) = here.file("f", 1);
    let missing = here.at("missing");
    for program in [SERVER, BAD_SERVER] {
        let run = |arguments: &[&str]| Program::start(program, arguments).end();
        let in_use = format!("cannot listen at 127.0.0.1 port {port}: ");
        run(&[&port, "--bind", "127.0.0.1", "--root", root]).expect(1).saying(&in_use).saying("in use");
        for folder in [&missing, &file] {
            let folder = folder.to_str().expect("a plain path");
            run(&["0", "--root", folder]).expect(1).saying("the receiving folder could not be opened");
        }
        run(&["0", "--bind", "192.0.2.1", "--root", root]).expect(1).saying("cannot listen at 192.0.2.1");
        run(&[]).expect(2).saying("PORT is needed");
        for wrong in [&["65536"][..], &["x"], &["0", "--bufsize", "63"], &["0", "--bufsize", "65508"]] {
            run(wrong).expect(2);
        }
        for (option, value) in [("--max-sessions", "0"), ("--exit-after", "0"), ("--idle-timeout", "0")] {
            run(&["0", option, value]).expect(2);
        }
    }
    let listen = format!("127.0.0.1:{port}");
    Program::start(LOSSY_LINK, &["--listen", &listen, "--to", "127.0.0.1:9"]).end().expect(1).saying("cannot listen");
}
