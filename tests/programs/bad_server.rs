//! Our client against every misbehaviour of the bad server, and what the bad server says of it.

use crate::harness::{BAD_SERVER, CLIENT, Ended, Folder, Program, all_at_once, copy, sha256};
use serde_json::Value;
use std::net::UdpSocket;
use std::path::Path;
use std::thread;
use std::time::Duration;

const SIZE: usize = 20_000;

/// With these nothing can arrive.
const FATAL: [&str; 3] = ["silent", "forgets", "dies-midway"];

/// All names that `--list` shows.
fn misbehaviours() -> Vec<String> {
    let lines = Program::start(BAD_SERVER, &["--list"]).end().expect(0).out;
    lines.iter().map(|line| line.split(' ').next().expect("a name").to_owned()).collect()
}

#[test]
fn the_list_has_a_name_two_blanks_and_a_sentence() {
    let lines = Program::start(BAD_SERVER, &["--list"]).end().expect(0).out;
    for line in &lines {
        let (name, sentence) = line.split_once("  ").unwrap_or_else(|| panic!("no two blanks in {line:?}"));
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{line}");
        assert!(sentence.starts_with(|first: char| first.is_ascii_uppercase()) && sentence.ends_with('.'), "{line}");
        assert!(!sentence.contains("  "), "{line}");
    }
    let asked = "lose-start lose-start-ack lose-every-other-data lose-every-other-ack lose-last-ack duplicate-acks \
                 late-acks stale-acks future-acks garbage truncated-acks wrong-port forgets tiny-buffer silent dies-midway";
    let names = misbehaviours();
    for name in asked.split(' ') {
        assert!(names.iter().any(|known| known == name), "{name} is missing in {names:?}");
    }
}

/// One copy to a bad server that expects this file and ends after it.
struct Match {
    client: Ended,
    server: Ended,
    exact: bool,
}

fn play(name: &str, size: usize, client_options: &[&str]) -> Match {
    let (here, there) = (Folder::new(), Folder::new());
    let (local, bytes) = here.file("f", size);
    let expected = local.to_str().expect("a plain path");
    // Large chunks where each takes more than a second.
    let bufsize = if name == "late-acks" { "10000" } else { "1400" };
    let idle = if name == "silent" { "1" } else { "30" };
    let options = ["--misbehave", name, "--expect", expected, "--exit-after", "1", "--idle-timeout", idle];
    let (server, address) = Program::bad_server(there.path(), &[&options[..], &["--bufsize", bufsize]].concat());
    // Longer than the longest silence that is survived: 1.2 s each way.
    let timeout = if FATAL.contains(&name) { "2" } else { "10" };
    let client = copy(address, &local, "f", &[client_options, &["--timeout", timeout]].concat());
    let server = server.end();
    let exact = there.content("f").map(|content| content == bytes);
    assert!(exact != Some(false), "{name} {client_options:?}: the file is there and differs");
    assert!(there.leftovers().is_empty(), "{name} {client_options:?}");
    Match { client, server, exact: exact.is_some() }
}

#[test]
fn our_client_delivers_through_every_misbehaviour_that_can_be_survived() {
    all_at_once(misbehaviours(), |name| {
        let Match { client, server, exact } = play(&name, SIZE, &[]);
        let fatal = FATAL.contains(&name.as_str());
        assert_eq!(client.code, Some(if fatal { 3 } else { 0 }), "{name}: {client:#?}");
        assert_eq!(server.code, Some(if fatal { 5 } else { 0 }), "{name}: {server:#?}");
        assert_eq!(exact, !fatal, "{name}");
        // These two have a test of their own.
        if name != "lose-last-ack" && name != "dies-midway" {
            expect_account(&name, &server.events(), exact);
        }
    });
}

#[test]
fn the_account_tells_what_was_done_last_too() {
    let Match { client, server, exact } = play("lose-last-ack", SIZE, &[]);
    client.expect(0);
    expect_account("lose-last-ack", &server.events(), exact);
}

#[test]
fn there_is_an_account_of_a_transfer_in_which_the_server_died() {
    let Match { server, exact, .. } = play("dies-midway", SIZE, &[]);
    expect_account("dies-midway", &server.events(), exact);
}

/// What the bad server says of a transfer that it spoilt with `name`.
fn expect_account(name: &str, events: &[Value], exact: bool) {
    let account = events.iter().find(|event| event["event"] == "account");
    let account = account.unwrap_or_else(|| panic!("{name}: no account in {events:#?}"));
    assert_eq!((&account["misbehaviour"], &account["exact"]), (&name.into(), &exact.into()), "{account}");
    let number = |field: &str| account[field].as_u64().unwrap_or_else(|| panic!("no {field} in {account}"));
    // A smaller announcement is made once and needs no counting.
    assert!(number("misbehaved") > 0 || name == "tiny-buffer", "{account}");
    assert!(number("messages") > 0 && account["longest_silence_s"].is_f64(), "{account}");
    let longest = number("longest_datagram");
    match name {
        // The offering start has 128 bytes, and the checksum some more.
        "tiny-buffer" | "silent" => assert!((128..140).contains(&longest), "{account}"),
        "late-acks" => assert_eq!(longest, 10_000, "{account}"),
        _ => assert_eq!(longest, 1400, "{account}"),
    }
    match name {
        // Fifteen chunks; a time-out too many on a busy machine is no fault, one after each answer is.
        "duplicate-acks" | "stale-acks" | "future-acks" | "garbage" | "truncated-acks" | "wrong-port" => {
            assert!(number("repeats") < 8, "{account}");
        }
        "lose-every-other-data" | "lose-every-other-ack" => assert!(number("repeats") >= 7, "{account}"),
        "lose-start" | "lose-start-ack" | "lose-last-ack" => assert!(number("repeats") >= 1, "{account}"),
        _ => {}
    }
}

#[test]
fn plain_clients_survive_them_as_well() {
    let lab: &[&str] = &["--mode", "lab"];
    let compact: &[&str] = &["--spelling", "compact"];
    let cases = misbehaviours().into_iter().flat_map(|name| [(name.clone(), lab), (name, compact)]);
    all_at_once(cases, |(name, way)| {
        // Chunks of the compact spelling have 20476 bytes; three are enough where each takes more than a second.
        let size = match (way == compact, name.as_str()) {
            (false, _) => SIZE,
            (true, "late-acks") => 45_000,
            (true, _) => 90_000,
        };
        let Match { client, server, exact } = play(&name, size, way);
        let fatal = FATAL.contains(&name.as_str());
        assert_eq!(client.code, Some(if fatal { 3 } else { 0 }), "{name} {way:?}: {client:#?}");
        assert_eq!(server.code, Some(if fatal { 5 } else { 0 }), "{name} {way:?}: {server:#?}");
        assert_eq!(exact, !fatal, "{name} {way:?}");
    });
}

#[test]
fn the_verdict_on_a_file_that_differs_is_5() {
    let (here, there) = (Folder::new(), Folder::new());
    let (expected, bytes) = here.file("expected", SIZE);
    let (other, _) = here.file("other", SIZE);
    let expected = expected.to_str().expect("a plain path");
    let options = ["--expect", expected, "--exit-after", "2"];
    let (server, address) = Program::bad_server(there.path(), &options);
    copy(address, &other, "other", &[]).expect(0);
    copy(address, Path::new(expected), "expected", &[]).expect(0);
    let server = server.end().expect(5);
    let events = server.events();
    let verdicts: Vec<_> =
        events.iter().filter(|event| event["event"] == "account").map(|event| &event["exact"]).collect();
    assert_eq!(verdicts, [&Value::from(false), &Value::from(true)]);
    assert_eq!(there.content("expected"), Some(bytes));
    // Without a file to compare with there is no verdict.
    let run = |more: &[&str]| Program::start(BAD_SERVER, &[&["0"], more].concat()).end();
    run(&["--expect", here.at("missing").to_str().expect("a plain path")]).expect(6).saying("missing");
    run(&["--misbehave", "politely"]).expect(2).saying("--list shows them all");
    run(&["--weather", "lovely"]).expect(2).saying("hostile");
    run(&["--fault", "los=20%"]).expect(2).saying("\"los=20%\" is not a known word");
    run(&["--loss", "120%"]).expect(2).saying("at most 100%");
}

#[test]
fn people_read_what_was_done_to_a_client_and_what_it_did() {
    let (here, there) = (Folder::new(), Folder::new());
    let (local, bytes) = here.file("f", SIZE);
    let (local_name, root) = (local.to_str().expect("a plain path"), there.path().to_str().expect("a plain path"));
    let options = ["0", "--bind", "127.0.0.1", "--root", root, "--exit-after", "1", "--expect", local_name];
    let mut server =
        Program::start(BAD_SERVER, &[&options[..], &["--misbehave", "duplicate-acks", "--seed", "7"]].concat());
    let address = server.line().replace("listening on ", "");
    assert_eq!(server.line(), format!("files are saved beneath {root}"));
    assert_eq!(server.line(), "weather: clean; duplicate-acks; --seed 7 repeats it");
    copy(&address, &local, "f", &[]).expect(0);
    let ended = server.end().expect(0);
    let [_, _, _, finished, account] = &ended.out[..] else { panic!("{ended:#?}") };
    assert!(finished.contains(&sha256(&bytes)), "{ended:#?}");
    for words in ["done to it: in ", "; duplicate-acks 1", " times. It sent ", "up to 1400 bytes", "Content: exact"] {
        assert!(account.contains(words), "no {words:?} in {account:?}");
    }
}

#[test]
fn weather_comes_from_presets_lists_and_single_words_the_later_over_the_earlier() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "weather: clean; no misbehaviour;"),
        (&["--weather", "lab"], "weather: loss=15%,delay=1100ms; no misbehaviour;"),
        (&["--fault", "loss=20%,dup=5%"], "weather: loss=20%,dup=5%; no misbehaviour;"),
        (&["--loss", "2%", "--weather", "lab", "--fault", "dup=1%"], "weather: loss=2%,dup=1%,delay=1100ms;"),
        (&["--fault", "in.loss=20%,out.delay=5ms"], "weather: in.loss=20%,out.delay=5ms;"),
        (&["--dup", "5%", "--reorder", "10%", "--late", "1%", "--corrupt", "2%"], "dup=5%,reorder=10%,late=2%"),
        (&["--delay", "3", "--jitter", "20ms", "--burst", "1%/20%"], "burst=1%/20%,delay=3ms,jitter=20ms"),
    ];
    for (options, words) in cases {
        let there = Folder::new();
        let (mut server, _) = Program::bad_server(there.path(), options);
        let remark = server.event("remark")["text"].as_str().unwrap_or_default().to_owned();
        let words = words.replace("late=2%", "late=1%,corrupt=2%");
        assert!(remark.contains(&words), "{options:?}: {remark}");
    }
}

#[test]
fn our_client_delivers_through_bad_weather() {
    let cases: &[&[&str]] = &[
        &["--fault", "loss=30%,dup=20%"],
        &["--fault", "in.loss=40%,out.dup=50%"],
        &["--reorder", "30%", "--dup", "30%"],
        &["--corrupt", "5%", "--loss", "5%"],
        &["--weather", "wifi"],
        &["--burst", "5%/30%"],
    ];
    all_at_once(cases, |options| {
        let (here, there) = (Folder::new(), Folder::new());
        let (local, bytes) = here.file("f", SIZE);
        let expected = local.to_str().expect("a plain path");
        let more = [*options, &["--seed", "1", "--expect", expected, "--exit-after", "1"]].concat();
        let (server, address) = Program::bad_server(there.path(), &more);
        let client = copy(address, &local, "f", &[]);
        // A start or a checksum may be damaged beyond use: then it is said, and nothing wrong is there.
        let refused = options[0] == "--corrupt" && matches!(client.code, Some(4 | 5));
        if refused {
            println!("refused: {client:#?}");
            assert!(there.names().is_empty());
            return;
        }
        client.expect(0);
        assert_eq!(there.content("f"), Some(bytes), "{options:?}");
        server.end().expect(0);
    });
}

#[test]
fn the_same_seed_gives_the_same_weather() {
    // A raw peer that repeats its start: what is lost depends on nothing but the dice.
    let lost = |options: &[&str]| -> (u64, String) {
        let there = Folder::new();
        let more = [&["--fault", "in.loss=40%", "--idle-timeout", "0.5"], options].concat();
        let (mut server, address) = Program::bad_server(there.path(), &more);
        let remark = server.event("remark")["text"].as_str().unwrap_or_default().to_owned();
        let peer = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        for _ in 0..100 {
            peer.send_to(b"s | 0 | f | 10", address).expect("a local address");
            thread::sleep(Duration::from_micros(200));
        }
        let account = server.event("account");
        assert_eq!(account["inward"]["offered"], 100, "{account}");
        assert_eq!(account["outward"]["lost"], 0, "{account}");
        (account["inward"]["lost"].as_u64().expect("a number"), remark)
    };
    let (first, remark) = lost(&["--seed", "42"]);
    assert_eq!(remark, "weather: in.loss=40%; no misbehaviour; --seed 42 repeats it");
    assert!((20..60).contains(&first), "{first}");
    assert_eq!(lost(&["--seed", "42"]).0, first);
    // A seed that was not given is told, and repeats what happened.
    let (unknown, remark) = lost(&[]);
    let seed = remark.split("--seed ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a seed");
    assert_eq!(lost(&["--seed", seed]).0, unknown, "--seed {seed}");
}

#[test]
fn a_bad_server_takes_the_options_of_the_honest_one() {
    let (here, there) = (Folder::new(), Folder::new());
    std::fs::write(there.at("taken"), "mine").expect("a file");
    let (mut server, address) = Program::bad_server(there.path(), &["--no-clobber", "--max-size", "5k"]);
    let (local, bytes) = here.file("f", 5000);
    copy(address, &local, "taken", &[]).expect(4);
    copy(address, &local, "f", &[]).expect(0);
    let (large, _) = here.file("large", 5001);
    copy(address, &large, "g", &[]).expect(4);
    assert_eq!(there.content("f"), Some(bytes));
    assert!(server.is_running());
    assert_eq!(server.interrupt().code, Some(130));
    Program::start(BAD_SERVER, &[]).end().expect(2).saying("PORT is needed");
    let help = Program::start(CLIENT, &["--help"]).end().expect(0);
    assert!(help.err.is_empty());
}
