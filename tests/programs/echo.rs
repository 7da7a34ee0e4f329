//! The echo programs with each other, with the known programs of three exercises, with plain sockets, and on a terminal.

use crate::harness::{ECHO_CLIENT, ECHO_SERVER, Ended, LIMIT, Program, all_at_once};
use rustix::process::Signal;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn server(more: &[&str]) -> (Program, SocketAddr) {
    let mut server = Program::start(ECHO_SERVER, &[&["0", "--json", "--bind", "127.0.0.1"], more].concat());
    let address = server.listening();
    (server, address)
}

/// A client that says these lines.
fn say(target: impl ToString, lines: &[u8], more: &[&str]) -> Ended {
    Program::fed(ECHO_CLIENT, &[&[target.to_string().as_str()], more].concat(), lines).end()
}

fn script(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/echo_peers").join(name);
    path.to_str().expect("a plain path").to_owned()
}

/// A known server, in Python, and where it listens.
fn known_server(kind: &str) -> (Program, SocketAddr) {
    let mut server = Program::start("python3", &[&script("server.py"), kind]);
    let line = server.line();
    let address = line.strip_prefix("listening on ").and_then(|text| text.parse().ok()).expect("an address");
    (server, address)
}

fn known_client(kind: &str, target: SocketAddr, messages: &[&str]) -> Ended {
    let target = target.to_string();
    Program::start("python3", &[&[&script("client.py"), kind, &target], messages].concat()).end()
}

/// Whether there is a Python for the known programs; says so when a test is skipped for it.
fn has_python() -> bool {
    let is_new_enough = "import sys; sys.exit(sys.version_info < (3, 11))";
    let mut command = Command::new("python3");
    let has = command.args(["-c", is_new_enough]).stdin(Stdio::null()).status().is_ok_and(|status| status.success());
    if !has {
        println!("skipped: no python3 of version 3.11 or newer");
    }
    has
}

/// A server that never answers.
fn plain_listener() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(LIMIT)).expect("a time-out");
    socket
}

/// A socket as `nc -u` has it.
fn plain_socket(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(to).expect("a peer");
    socket.set_read_timeout(Some(LIMIT)).expect("a time-out");
    socket
}

fn ask(socket: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    socket.send(datagram).expect("room");
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).expect("an answer");
    buffer.truncate(length);
    buffer
}

#[test]
fn lines_are_said_one_after_the_other_and_their_answers_shown() {
    let (mut server, address) = server(&[]);
    let ended = say(address, "hello\n\nzwei: W\u{f6}rter\r\nlast".as_bytes(), &[]).expect(0);
    assert_eq!(ended.out.len(), 4, "{ended:#?}");
    for (line, answer) in ended.out.iter().zip(["1:ACK:hello  (", "2:ACK:zwei: W\u{f6}rter  (", "3:ACK:last  ("]) {
        assert!(line.starts_with(answer), "{line}");
    }
    ended.saying("3 messages, 3 answered; round trips from ");
    let message = server.event("message");
    assert_eq!((&message["number"], &message["text"]), (&1.into(), &"hello".into()));
    assert_eq!((&message["mark"], &message["reply"]), (&"new".into(), &"sequenced".into()));
    let heard = server.interrupt().expect(130).events().pop().expect("events");
    assert_eq!((&heard["event"], &heard["messages"]), (&"heard".into(), &3.into()));
}

#[test]
fn events_say_what_sentences_say() {
    let (_server, address) = server(&[]);
    let events = say(address, b"hello\nACK:x\nquit\nnever said", &["--json"]).expect(6).events();
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(kinds, ["answered", "unanswered", "tally"]);
    assert_eq!((&events[0]["answer"], &events[0]["attempts"]), (&"1:ACK:hello".into(), &1.into()));
    assert_eq!((&events[2]["messages"], &events[2]["unsent"]), (&2.into(), &1.into()));
}

#[test]
fn every_end_has_its_exit_code() {
    let silent = plain_listener();
    let silent = silent.local_addr().expect("an address").to_string();
    let (_server, address) = server(&[]);
    let address = address.to_string();
    let long = format!("{}\n", "x".repeat(65_507 - 5));
    let endless = "x".repeat(200_000);
    let cases: [(&[&str], &[u8], i32, &str); 13] = [
        (&[&address], b"", 0, "0 messages"),
        (&[&address], b"quit", 0, "0 messages"),
        (&["nonsense"], b"x", 2, "write HOST:PORT"),
        (&["127.0.0.1:0"], b"x", 2, "write HOST:PORT"),
        (&["255.255.255.255:9999"], b"x", 3, "no way to 255.255.255.255:9999"),
        (&[&address, "--attempts", "0"], b"x", 2, "--attempts"),
        (&["no.such.host.invalid:9999"], b"x", 3, "is the name right?"),
        (&["127.0.0.1:1", "--timeout", "0.2"], b"x", 3, "nobody listens at 127.0.0.1:1"),
        (&[&silent, "--timeout", "0.2"], b"x\ny", 3, "s, sent 2 times"),
        (&[&silent, "--timeout", "0.3", "--attempts", "1"], b"x\nACK:", 3, "s, sent once"),
        (&[&address], long.as_bytes(), 6, "at most 65503 fit"),
        (&[&address], endless.as_bytes(), 6, "longer than any datagram"),
        (&[&address], b"\xff\nfine", 6, "1:ACK:fine"),
    ];
    all_at_once(cases, |(arguments, input, code, words)| {
        Program::fed(ECHO_CLIENT, arguments, input).end().expect(code).saying(words);
    });
    for (arguments, words) in [(&["70000"][..], "70000"), (&["--reply", "shout"], "shout"), (&["1", "2"], "'2'")] {
        Program::start(ECHO_SERVER, arguments).end().expect(2).saying(words);
    }
    let port = address.rsplit_once(':').expect("a port").1;
    Program::start(ECHO_SERVER, &[port, "--bind", "127.0.0.1"]).end().expect(1).saying("cannot listen at 127.0.0.1");
}

#[test]
fn signals_end_both_in_order() {
    let silent = plain_listener();
    let target = silent.local_addr().expect("an address").to_string();
    let client = Program::fed(ECHO_CLIENT, &[&target, "--json", "--timeout", "60"], b"hello");
    silent.recv(&mut [0; 64]).expect("what it says, so it runs");
    client.interrupt().expect(130).saying("tally");
    let (server, _) = server(&[]);
    server.signal(Signal::TERM);
    server.end().expect(143).saying("heard");
}

#[test]
fn nobody_reads_any_more_is_no_reason_to_complain() {
    let (mut server, address) = server(&[]);
    server.close_output();
    let socket = plain_socket(address);
    // The first line finds out that the pipe is closed, or the second.
    while server.is_running() {
        let _ = socket.send(b"1:x");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(server.end().err, [""; 0]);
}

#[test]
fn a_plain_socket_is_answered_in_the_style_of_what_it_says() {
    let (_server, address) = server(&[]);
    let socket = plain_socket(address);
    for (said, answer) in [
        (&b"1:hello\n"[..], &b"1:ACK:hello\n"[..]),
        (b"007:x", b"7:ACK:x"),
        (b"hello\n", b"hello\n"),
        (b"\x00\xff", b"\x00\xff"),
        (b"", b""),
    ] {
        assert_eq!(ask(&socket, said), answer);
    }
    let largest = vec![b'x'; 65_507];
    assert_eq!(ask(&socket, &largest), largest);
    let numbered = [b"2:".as_slice(), &vec![b'x'; 65_507 - 6]].concat();
    assert_eq!(ask(&socket, &numbered).len(), 65_507);
    let (_server, address) = crate::echo::server(&["--reply", "acknowledge"]);
    assert_eq!(ask(&plain_socket(address), b"1:\xff"), b"Server acknowledges: 1:\xff");
}

#[test]
fn messages_get_through_a_lossy_link() {
    let (mut server, address) = server(&[]);
    let (_link, through) =
        Program::link(address, &["--fault", "loss=25%,dup=20%,reorder=20%,delay=2ms", "--seed", "7"]);
    let lines: String = (1..=40).map(|number| format!("line {number}\n")).collect();
    let events = say(through, lines.as_bytes(), &["--attempts", "30", "--timeout", "0.3", "--json"]).expect(0).events();
    assert_eq!(events.iter().filter(|event| event["event"] == "answered").count(), 40);
    for number in 1..=40 {
        let mut message = server.event("message");
        while message["mark"] == "duplicate" {
            message = server.event("message");
        }
        assert_eq!((&message["mark"], &message["text"]), (&"new".into(), &format!("line {number}").into()));
    }
}

#[test]
fn known_servers_understand_our_client() {
    if !has_python() {
        return;
    }
    let lines = "hello\na:b: c\n\u{fc}\n".as_bytes();
    let cases = [
        ("sequenced", "sequenced", "2:ACK:a:b: c  ("),
        ("sequenced-deaf", "sequenced", "3:ACK:\u{fc}  ("),
        ("echo", "echo", "a:b: c  ("),
        ("echo-colon", "echo", "Echo: a:b: c  ("),
        ("echo-hello", "echo", "Hello, a:b: c!  ("),
        ("acknowledge", "acknowledge", "Server acknowledges: a:b: c  ("),
    ];
    all_at_once(cases, |(kind, style, answer)| {
        let (_server, address) = known_server(kind);
        let ended = say(address, lines, &["--style", style, "--timeout", "0.5"]).expect(0);
        assert!(ended.out.iter().any(|line| line.starts_with(answer)), "{kind}: {ended:#?}");
        ended.saying("3 messages, 3 answered");
    });
    let (_server, address) = known_server("echo");
    say(address, b"hello", &["--timeout", "0.1"]).expect(5).saying("1:hello came; --style tells what to expect");
}

#[test]
fn known_clients_are_understood_by_our_server() {
    if !has_python() {
        return;
    }
    let cases: [(&[&str], &str, &str, &[&str]); 7] = [
        (&[], "sequenced", "a:b", &["reply: 1:ACK:hello", "reply: 2:ACK:a:b"]),
        (&["--reply", "sequenced"], "sequenced", "\u{fc}", &["reply: 1:ACK:hello", "reply: 2:ACK:\u{fc}"]),
        (&["--reply", "sequenced"], "sequenced", "ACK:x", &["reply: 1:ACK:hello", "no acknowledgement of 2"]),
        (&[], "plain", "a:b", &["reply: hello", "reply: a:b"]),
        (&["--reply", "echo"], "plain", "5:x", &["reply: hello", "reply: 5:x"]),
        (
            &["--reply", "acknowledge"],
            "plain",
            "5:x",
            &["reply: Server acknowledges: hello", "reply: Server acknowledges: 5:x"],
        ),
        (&["--verbose"], "plain", "5:x", &["reply: hello", "reply: 5:ACK:x"]),
    ];
    all_at_once(cases, |(options, kind, second, replies)| {
        let (_server, address) = server(options);
        let ended = known_client(kind, address, &["hello", second]).expect(0);
        assert_eq!(ended.out, replies, "{options:?} {kind}");
    });
}

#[test]
fn what_a_peer_says_is_shown_and_never_obeyed() {
    let mut server = Program::start(ECHO_SERVER, &["0", "--bind", "127.0.0.1"]);
    let line = server.line();
    let address = line.strip_prefix("listening on ").and_then(|text| text.parse().ok()).expect("an address");
    server.line();
    let socket = plain_socket(address);
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\u{9b}31m\u{202e}";
    for datagram in [format!("1:{evil}").into_bytes(), [b"\xff", evil.as_bytes()].concat()] {
        ask(&socket, &datagram);
        let line = server.line();
        assert!(line.contains("\\u{1b}]0;owned\\u{7}\\u{1b}[2J\\u{d}\\u{9b}31m\\u{202e}"), "{line}");
        assert!(!line.contains(|shown: char| shown.is_control() || shown == '\u{202e}'), "{line:?}");
    }
    if !has_python() {
        return;
    }
    let (_shouter, address) = known_server("shout");
    let ended = say(address, b"hello", &["--timeout", "0.1"]).expect(5).saying("\\u{1b}]0;owned\\u{7}\\u{1b}[2J");
    assert!(ended.out.iter().chain(&ended.err).all(|line| !line.contains(char::is_control)), "{ended:#?}");
    let ended = say(address, b"hello", &["--timeout", "0.1", "--json"]).expect(5).saying("u{1b}]0;owned");
    assert!(ended.out.iter().chain(&ended.err).all(|line| !line.contains(char::is_control)), "{ended:#?}");
}

#[test]
fn on_a_terminal_lines_are_edited_and_the_terminal_is_left_as_it_was() {
    if !has_python() {
        return;
    }
    let (_server, address) = server(&[]);
    let silent = plain_listener();
    let (answering, silent) = (address.to_string(), silent.local_addr().expect("an address").to_string());
    let cases = [
        ("history", &answering),
        ("quit", &answering),
        ("interrupt", &answering),
        ("terminate", &answering),
        ("interrupt-waiting", &silent),
    ];
    all_at_once(cases, |(case, target)| {
        Program::start("python3", &[&script("terminal.py"), case, ECHO_CLIENT, target]).end().expect(0);
    });
}

#[test]
#[ignore = "a million messages take half a minute"]
fn a_million_messages_take_no_more_memory_than_the_first_ten_thousand() {
    let mut server = Program::start(ECHO_SERVER, &["0", "--bind", "127.0.0.1", "--quiet"]);
    let line = server.line();
    let address = line.strip_prefix("listening on ").and_then(|text| text.parse().ok()).expect("an address");
    let socket = plain_socket(address);
    let mut sizes = Vec::new();
    for number in 1..=1_000_000_u64 {
        let answer = ask_quickly(&socket, &format!("{number}:message number {number}"));
        assert_eq!(answer, format!("{number}:ACK:message number {number}").len());
        if [10_000, 100_000, 1_000_000].contains(&number) {
            sizes.push(resident_kb(server.id()));
            println!("after {number} messages: {} kB resident", resident_kb(server.id()));
        }
    }
    assert!(sizes[2] <= sizes[0] + 256, "{sizes:?} kB");
}

fn ask_quickly(socket: &UdpSocket, datagram: &str) -> usize {
    let mut buffer = [0; 128];
    socket.send(datagram.as_bytes()).expect("room");
    socket.recv(&mut buffer).expect("an answer")
}

/// What a process holds in memory, in kB.
fn resident_kb(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
