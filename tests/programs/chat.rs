//! Chat clients with each other and the registry, over the scriptable face, in pipes, and on a terminal.

use crate::harness::{CHAT_CLIENT, CHAT_SERVER, Folder, Program, all_at_once};
use homing::chat::client::{ChatClient, Config, Event};
use homing::io::driver::{self, Application};
use homing::io::udp::Wire;
use homing::packet::chat::{Hex, Who};
use homing::session::Via;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn registry_at(port: u16) -> (Program, SocketAddr) {
    let mut registry = Program::start(CHAT_SERVER, &[&port.to_string(), "--json", "--bind", "127.0.0.1"]);
    let address = registry.listening();
    (registry, address)
}

fn registry() -> (Program, SocketAddr) {
    registry_at(0)
}

/// A client that is in and waits for commands, with events as JSON.
fn client(registry: SocketAddr, name: &str, more: &[&str]) -> Program {
    let target = registry.to_string();
    let arguments = [&["--json", "--name", name, &target], more].concat();
    let mut client = Program::waiting_for_input(CHAT_CLIENT, &arguments);
    assert_eq!(client.event("registered")["name"], name);
    client
}

/// Two that talk to each other.
fn pair(registry: SocketAddr) -> (Program, Program) {
    let (mut alice, mut bob) = (client(registry, "alice", &[]), client(registry, "bob", &[]));
    connect(&mut alice, "bob", &mut bob);
    (alice, bob)
}

fn connect(one: &mut Program, name: &str, other: &mut Program) {
    one.type_line(&format!("connect {name}"));
    other.event("requested");
    other.type_line("accept");
    one.event("connected");
    other.event("connected");
}

/// What a client heard until it left.
fn leave(mut client: Program) -> Vec<Value> {
    client.type_line("leave");
    client.end().expect(0).events()
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

#[test]
fn two_clients_find_each_other_talk_and_part() {
    let (_registry, at) = registry();
    let (mut alice, mut bob) = (client(at, "alice", &[]), client(at, "bob", &["--number", "7"]));
    alice.type_line("list");
    let list = alice.event("clients");
    assert_eq!(list["clients"], json!([{"client": 1, "name": "alice"}, {"client": 7, "name": "bob"}]));
    alice.type_line(r#"{"command":"lookup","client":7}"#);
    assert_eq!(alice.event("found")["name"], "bob");
    alice.type_line("lookup nobody");
    assert_eq!(alice.event("not_found")["who"], "nobody");
    connect(&mut alice, "BOB", &mut bob);
    for number in 1..=20 {
        alice.type_line(&format!("send from alice {number}"));
        bob.type_line(&json!({"command": "send", "text": format!("from bob\n{number}")}).to_string());
    }
    for number in 1..=20 {
        assert_eq!(bob.event("message")["text"], format!("from alice {number}"));
        assert_eq!(alice.event("message")["text"], format!("from bob\n{number}"));
    }
    bob.type_line("terminate");
    assert_eq!(alice.event("terminated")["by_peer"], true);
    assert_eq!(bob.event("terminated")["by_peer"], false);
    for events in [leave(alice), leave(bob)] {
        for delivered in of_kind(&events, "delivered") {
            let digits = delivered["took_ms"].to_string();
            assert!(digits.split_once('.').is_none_or(|(_, fraction)| fraction.len() <= 3), "{digits}");
        }
        for kind in ["sent", "message", "delivered"] {
            assert_eq!(of_kind(&events, kind).len(), 20, "{kind} in {events:#?}");
        }
        assert_eq!(events.last().expect("events"), &json!({"event": "left", "acknowledged": true}));
    }
}

#[test]
fn a_request_can_be_declined_and_taken_back() {
    let (_registry, at) = registry();
    let (mut alice, mut bob) = (client(at, "alice", &[]), client(at, "bob", &[]));
    alice.type_line("connect bob");
    assert_eq!(bob.event("requested")["name"], "alice");
    bob.type_line("reject alice not now");
    assert_eq!(bob.event("declined")["name"], "alice");
    let rejected = alice.event("rejected");
    assert_eq!((&rejected["name"], &rejected["reason"]), (&"bob".into(), &"not now".into()));
    alice.type_line("connect 2");
    bob.event("requested");
    alice.type_line("terminate");
    alice.event("taken_back");
    assert_eq!(bob.event("withdrawn")["name"], "alice");
    bob.type_line("accept");
    assert_eq!(bob.event("not_done")["command"], "accept");
    leave(alice);
    leave(bob);
}

#[test]
fn two_that_ask_each_other_at_once_have_one_chat() {
    let (_registry, at) = registry();
    let (mut alice, mut bob) = (client(at, "alice", &[]), client(at, "bob", &[]));
    alice.type_line("connect bob");
    bob.type_line("connect alice");
    for (client, other) in [(&mut alice, "bob"), (&mut bob, "alice")] {
        assert_eq!(client.event("connected")["name"], other);
    }
    alice.type_line("send hello");
    assert_eq!(bob.event("message")["text"], "hello");
    for events in [leave(alice), leave(bob)] {
        assert_eq!(of_kind(&events, "connected").len(), 1);
    }
}

#[test]
fn a_registry_is_found_and_asked_through_a_lossy_link() {
    let (_registry, at) = registry();
    let (_link, through) = Program::link(at, &["--fault", "loss=10%,dup=20%,reorder=20%,delay=2ms", "--seed", "3"]);
    let (mut alice, mut bob) = (client(through, "alice", &[]), client(through, "bob", &[]));
    for _ in 0..5 {
        alice.type_line("list");
        assert_eq!(alice.event("clients")["total"], 2);
    }
    connect(&mut alice, "bob", &mut bob);
    alice.type_line("send hello");
    assert_eq!(bob.event("message")["text"], "hello");
    for events in [leave(alice), leave(bob)] {
        assert_eq!(of_kind(&events, "registered").len(), 1);
    }
}

#[test]
fn what_is_no_command_is_said_and_nothing_else_happens() {
    let (_registry, at) = registry();
    let mut client = client(at, "alice", &[]);
    for (line, words) in [
        ("sned x", "did you mean send?"),
        ("{\"command\":\"send\",\"txt\":1}", "unknown field `txt`"),
        ("{\"command\":\"connect\",\"client\":-1}", "`client` is a number or a name"),
        (&"x".repeat(80_000), "longer than any message"),
    ] {
        client.type_line(line);
        let reason = client.event("misunderstood")["reason"].as_str().unwrap_or_default().to_owned();
        assert!(reason.contains(words), "{reason}");
    }
    for (line, words) in [
        ("send x", "talking to nobody"),
        ("accept", "nobody waits"),
        ("terminate", "nothing to terminate"),
        ("connect alice", "that is you"),
        ("send_file x", "cannot read x"),
        ("send_file -", "standard input has the commands"),
        ("send_file /dev/zero", "make a file of it first"),
    ] {
        client.type_line(line);
        let reason = client.event("not_done")["reason"].as_str().unwrap_or_default().to_owned();
        assert!(reason.contains(words), "{line}: {reason}");
    }
    leave(client);
}

#[test]
fn every_end_has_its_exit_code() {
    let (_registry, at) = registry();
    let _alice = client(at, "alice", &[]);
    let target = at.to_string();
    let cases: [(&[&str], i32, &str); 7] = [
        (&["--name", "Alice", &target], 4, "somebody else is called Alice already"),
        (&["--name", "bob", &target], 0, "you have left"),
        (&["--name", "a b", &target], 2, "a name has no"),
        (&["nonsense"], 2, "write HOST:PORT"),
        (&["no.such.host.invalid:7070"], 3, "is the name right?"),
        (&["--folder", "/no/such/folder", &target], 1, "--folder names another"),
        (&["--bind", "192.0.2.1", &target], 1, "cannot speak from 192.0.2.1"),
    ];
    all_at_once(cases, |(arguments, code, words)| {
        Program::fed(CHAT_CLIENT, arguments, b"").end().expect(code).saying(words);
    });
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let client = client(at, "carol", &[]);
        client.signal(signal);
        client.end().expect(code).saying(r#"{"event":"left","acknowledged":true}"#);
    }
}

#[test]
#[ignore = "that nobody answers is certain only after ten seconds"]
fn a_registry_that_never_answers_is_an_end() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let target = silent.local_addr().expect("an address").to_string();
    Program::waiting_for_input(CHAT_CLIENT, &[&target]).end().expect(3).saying("no registry answers at");
}

#[test]
fn a_script_in_a_pipe_waits_for_each_of_its_lines() {
    let (_registry, at) = registry();
    let mut bob = client(at, "bob", &[]);
    let script = "list\nconnect bob\nsend one\nsend two\n";
    let alice = Program::fed(CHAT_CLIENT, &["--name", "alice", &at.to_string()], script.as_bytes());
    bob.event("requested");
    bob.type_line("accept");
    assert_eq!(
        (bob.event("message")["text"].clone(), bob.event("message")["text"].clone()),
        ("one".into(), "two".into())
    );
    assert_eq!(bob.event("terminated")["by_peer"], true);
    let ended = alice.end().expect(0).saying("* connected with bob (1) at 127.0.0.1:");
    assert_eq!(ended.out.last().map(String::as_str), Some("* you have left"));
    leave(bob);
}

#[test]
fn a_script_ends_with_what_became_of_it() {
    let (_registry, at) = registry();
    let mut bob = client(at, "bob", &[]);
    let target = at.to_string();
    let cases: [(&str, i32, &str); 4] = [
        ("list\nlookup bob\n", 0, "bob (1) is at"),
        ("lookup nobody\n", 3, "nobody is not here"),
        ("connect nobody\nsend hello\nleave\n", 3, "nobody is not here"),
        ("send hello\n", 3, "talking to nobody"),
    ];
    all_at_once(cases, |(script, code, words)| {
        Program::fed(CHAT_CLIENT, &[&target], script.as_bytes()).end().expect(code).saying(words);
    });
    let carol = Program::fed(CHAT_CLIENT, &["--name", "carol", &target], b"connect bob\nsend hello\n");
    bob.event("requested");
    bob.type_line("reject not now");
    carol.end().expect(4).saying("does not want to talk: not now");
    // The same with --json is the program's own business.
    let carol = Program::fed(CHAT_CLIENT, &["--json", &target], b"lookup nobody\n");
    carol.end().expect(0).saying(r#""event":"not_found""#);
    leave(bob);
}

#[test]
fn what_keeps_a_client_from_starting_is_an_event_as_well() {
    let (_registry, at) = registry();
    let target = at.to_string();
    let cases: [(&[&str], i32, &str); 4] = [
        (&["--json", "nonsense"], 2, "write HOST:PORT"),
        (&["--json", "--folder", "/no/such/folder", &target], 1, "--folder names another"),
        (&["--json", "--folder", "/proc", &target], 1, "cannot save beneath /proc"),
        (&["--json", "--bind", "192.0.2.1", &target], 1, "cannot speak from 192.0.2.1"),
    ];
    all_at_once(cases, |(arguments, code, words)| {
        let ended = Program::fed(CHAT_CLIENT, arguments, b"").end().expect(code).saying(words);
        let events = ended.events();
        assert_eq!((&events[0]["event"], &events[0]["exit_code"]), (&"failed".into(), &code.into()), "{events:?}");
    });
}

#[test]
fn what_the_other_side_says_is_shown_and_never_obeyed() {
    let (_registry, at) = registry();
    let mut alice = client(at, "alice", &[]);
    let mut bob = Program::waiting_for_input(CHAT_CLIENT, &["--name", "bob", &at.to_string()]);
    bob.line();
    bob.type_line("connect alice");
    alice.event("requested");
    alice.type_line("accept");
    alice.event("connected");
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\n* you have left\u{9b}31m\u{202e}";
    alice.type_line(&json!({"command": "send", "text": evil}).to_string());
    alice.event("delivered");
    alice.type_line(&json!({"command": "send", "text": "end"}).to_string());
    alice.event("delivered");
    bob.close_input();
    let ended = bob.end().expect(0);
    let shown = ended.out.iter().find(|line| line.contains("owned")).expect("it is shown");
    let escaped = "alice: \\u{1b}]0;owned\\u{7}\\u{1b}[2J\\u{d}\\u{a}* you have left\\u{9b}31m\\u{202e}";
    assert_eq!(shown, escaped);
    let events = leave(alice);
    assert!(!of_kind(&events, "sent").is_empty());
}

#[test]
fn a_chat_goes_on_while_the_registry_is_away_and_finds_the_new_one() {
    let (registry, at) = registry();
    let (mut alice, mut bob) = pair(at);
    registry.signal(Signal::KILL);
    drop(registry);
    alice.type_line("send still here");
    assert_eq!(bob.event("message")["text"], "still here");
    let (_registry, again) = registry_at(at.port());
    assert_eq!(again, at);
    for (client, name) in [(&mut alice, "alice"), (&mut bob, "bob")] {
        // Its question meets a registry that does not know it, and so it joins anew.
        client.type_line("lookup alice");
        assert_eq!(client.event("registered")["name"], name);
    }
    alice.type_line("list");
    assert_eq!(alice.event("clients")["total"], 2);
    bob.type_line("send and still");
    assert_eq!(alice.event("message")["text"], "and still");
    leave(alice);
    leave(bob);
}

#[test]
#[ignore = "silence becomes death only after most of a minute"]
fn a_peer_that_was_killed_is_noticed() {
    let (_registry, at) = registry();
    let (mut alice, bob) = pair(at);
    bob.signal(Signal::KILL);
    drop(bob);
    alice.type_line("send are you there?");
    let began = Instant::now();
    assert_eq!(alice.event("not_delivered")["text"], "are you there?");
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    let deadline = Instant::now() + Duration::from_secs(60);
    let gone = std::iter::from_fn(|| (Instant::now() < deadline).then(|| alice.line()));
    assert!(gone.into_iter().any(|line| line.contains(r#""event":"gone""#)));
    leave(alice);
}

/// A client with a folder of its own.
fn saver(registry: SocketAddr, name: &str) -> (Program, Folder) {
    let folder = Folder::new();
    let client = client(registry, name, &["--folder", folder.path().to_str().expect("a plain path")]);
    (client, folder)
}

fn send_file(client: &mut Program, path: &Path) {
    client.type_line(&json!({"command": "send_file", "path": path}).to_string());
}

#[test]
fn a_file_goes_over_with_consent_and_only_with_it() {
    let (_registry, at) = registry();
    let (mut alice, source) = saver(at, "alice");
    let (mut bob, target) = saver(at, "bob");
    connect(&mut alice, "bob", &mut bob);
    let (path, bytes) = source.file("my cat.jpg", 300_000);
    send_file(&mut alice, &path);
    let offered = bob.event("file_offered");
    assert_eq!((&offered["file"], &offered["size"]), (&"my cat.jpg".into(), &300_000.into()));
    bob.type_line("reject no room");
    assert_eq!(alice.event("file_rejected")["reason"], "no room");
    assert_eq!(target.names(), [""; 0]);
    send_file(&mut alice, &path);
    bob.event("file_offered");
    bob.type_line("accept");
    for client in [&mut alice, &mut bob] {
        let done = client.event("file_done");
        assert_eq!((&done["file"], &done["bytes"]), (&"my cat.jpg".into(), &300_000.into()));
        assert_eq!(done["sha256"], crate::harness::sha256(&bytes));
    }
    assert_eq!(target.content("my cat.jpg"), Some(bytes));
    // Again: it is there, and nothing is replaced.
    send_file(&mut alice, &path);
    bob.event("file_offered");
    bob.type_line("accept");
    for client in [&mut alice, &mut bob] {
        let reason = client.event("file_failed")["reason"].as_str().unwrap_or_default().to_owned();
        assert!(reason.contains("exists here and is never replaced"), "{reason}");
    }
    // The other way, and while one is under way the chat goes on.
    let (path, bytes) = target.file("back.bin", 0);
    send_file(&mut bob, &path);
    alice.event("file_offered");
    alice.type_line("accept");
    alice.event("file_done");
    assert_eq!(source.content("back.bin"), Some(bytes));
    leave(alice);
    leave(bob);
    assert_eq!(target.leftovers(), [""; 0]);
}

/// A file that takes seconds at least.
fn large_file(folder: &Folder) -> PathBuf {
    let path = folder.at("large.bin");
    std::fs::File::create(&path).and_then(|file| file.set_len(500_000_000)).expect("a sparse file");
    path
}

#[test]
fn a_chat_that_ends_in_the_middle_leaves_no_half_file() {
    let (_registry, at) = registry();
    let (mut alice, source) = saver(at, "alice");
    let (mut bob, target) = saver(at, "bob");
    connect(&mut alice, "bob", &mut bob);
    let path = large_file(&source);
    send_file(&mut alice, &path);
    bob.event("file_offered");
    bob.type_line("accept");
    bob.event("file_progress");
    bob.type_line("terminate");
    for client in [&mut alice, &mut bob] {
        assert_eq!(client.event("file_failed")["reason"], "the chat ended");
    }
    leave(alice);
    leave(bob);
    assert_eq!(target.names(), [""; 0]);
}

#[test]
#[ignore = "silence becomes death only after most of a minute"]
fn a_sender_that_was_killed_leaves_no_half_file() {
    let (_registry, at) = registry();
    let (mut alice, source) = saver(at, "alice");
    let (mut bob, target) = saver(at, "bob");
    connect(&mut alice, "bob", &mut bob);
    send_file(&mut alice, &large_file(&source));
    bob.event("file_offered");
    bob.type_line("accept");
    bob.event("file_progress");
    alice.signal(Signal::KILL);
    bob.event("file_failed");
    bob.event("gone");
    leave(bob);
    assert_eq!(target.names(), [""; 0]);
}

/// A client that offers whatever it is told, as no client of ours does.
struct Rude {
    file: &'static str,
    answer: Option<String>,
}

impl Application<ChatClient> for Rude {
    type Outcome = String;

    fn turn(&mut self, client: &mut ChatClient, _: &mut Wire, now: Instant) -> io::Result<ControlFlow<String, bool>> {
        let Some(event) = client.poll_event(now) else { return Ok(ControlFlow::Continue(false)) };
        match event {
            Event::Registered { .. } => {
                client.connect(&Who::Number(1), now).map_err(io::Error::other)?;
            }
            Event::Connected { .. } => client.offer_file(self.file, 5, now).map_err(io::Error::other)?,
            Event::FileRejected { reason, .. } => {
                self.answer = Some(reason);
                client.leave(now);
            }
            Event::Left { .. } => return Ok(ControlFlow::Break(self.answer.take().unwrap_or_default())),
            _ => {}
        }
        Ok(ControlFlow::Continue(true))
    }
}

#[test]
fn hostile_names_are_turned_away_without_a_question() {
    let (_registry, at) = registry();
    let (mut bob, folder) = saver(at, "bob");
    for (file, words) in [("../owned", "`.` or `..`"), (".bashrc", "hidden"), ("a\u{1b}[2J", "control character")] {
        let mut wire = Wire::new(1).expect("sockets");
        wire.listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        let (name, number, key) = (None, None, Hex(fastrand::u128(..).to_be_bytes()));
        let first = fastrand::u64(1 << 40..1 << 41);
        let config = Config { via: Via::socket(0), registry: at, name, number, key, reported: Vec::new(), first };
        let rude = std::thread::spawn(move || {
            let mut client = ChatClient::new(config, Instant::now());
            driver::run(&mut wire, &mut client, &mut Rude { file, answer: None }).expect("an end")
        });
        bob.event("requested");
        bob.type_line("accept");
        let turned_away = bob.event("file_turned_away")["reason"].as_str().unwrap_or_default().to_owned();
        assert!(turned_away.contains(words), "{turned_away}");
        assert_eq!(rude.join().expect("it ends"), turned_away);
    }
    leave(bob);
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn on_a_terminal_what_arrives_is_shown_above_the_line_that_is_typed() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/echo_peers/terminal.py");
    let script = script.to_str().expect("a plain path");
    let python = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
    if !python.is_ok_and(|status| status.success()) {
        println!("skipped: no python3");
        return;
    }
    let (_registry, at) = registry();
    let mut bob = client(at, "bob", &[]);
    let target = at.to_string();
    let mut typing = Program::start("python3", &[script, "chat", CHAT_CLIENT, "--name", "alice", &target]);
    assert_eq!(typing.line(), "half a line is typed");
    bob.type_line("lookup alice");
    while bob.line().contains("not_found") {
        bob.type_line("lookup alice");
        std::thread::sleep(Duration::from_millis(50));
    }
    bob.type_line("connect alice");
    bob.event("connected");
    assert_eq!(bob.event("message")["text"], "hello bob");
    bob.type_line("send hello alice");
    assert_eq!(bob.event("terminated")["by_peer"], true);
    typing.end().expect(0);
    leave(bob);
}
