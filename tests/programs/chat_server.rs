//! The registry over real sockets, with small plain clients.

use crate::harness::{CHAT_SERVER, LIMIT, Program, has_ipv6};
use homing::packet::chat::{Answer, Hex, Key, Whereabouts};
use rustix::process::Signal;
use std::net::{SocketAddr, UdpSocket};

const ALICE: Key = Hex([1; 16]);
const BOB: Key = Hex([2; 16]);
const CAROL: Key = Hex([3; 16]);

fn registry(more: &[&str]) -> (Program, SocketAddr) {
    let mut registry = Program::start(CHAT_SERVER, &[&["0", "--json", "--bind", "127.0.0.1"], more].concat());
    let address = registry.listening();
    (registry, address)
}

/// A registry that speaks to people.
fn plain_registry(more: &[&str]) -> (Program, SocketAddr) {
    let mut registry = Program::start(CHAT_SERVER, &[&["0", "--bind", "127.0.0.1"], more].concat());
    let line = registry.line();
    let address = line.strip_prefix("listening on ").and_then(|text| text.parse().ok()).expect("an address");
    if !more.contains(&"--quiet") {
        assert_eq!(registry.line(), "clients join here and learn where the others are");
    }
    (registry, address)
}

/// A client that says one thing after the other.
struct Client {
    socket: UdpSocket,
    seq: u64,
}

impl Client {
    fn at(registry: SocketAddr) -> Self {
        let any = if registry.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = UdpSocket::bind(any).expect("a socket");
        socket.connect(registry).expect("a way");
        socket.set_read_timeout(Some(LIMIT)).expect("a time-out");
        Self { socket, seq: 0 }
    }

    fn joined(registry: SocketAddr, key: Key, more: &str) -> Self {
        let mut client = Self::at(registry);
        let answer = client.joins(key, more);
        assert!(matches!(answer, Answer::Number { seen, .. } if seen == client.address()), "{answer}");
        client
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("an address")
    }

    fn joins(&mut self, key: Key, more: &str) -> Answer {
        let Answer::Token(token) = self.asks(&format!("Client Join key={key}")) else { panic!("no token") };
        self.asks(&format!("Client Join key={key} token={token}{more}"))
    }

    fn says(&mut self, text: &str) {
        self.seq += 1;
        self.socket.send(format!("{}:{text}", self.seq).as_bytes()).expect("room");
    }

    fn asks(&mut self, text: &str) -> Answer {
        self.says(text);
        self.hears()
    }

    fn hears_datagram(&self) -> String {
        let mut buffer = [0; 2048];
        let length = self.socket.recv(&mut buffer).expect("a datagram");
        String::from_utf8(buffer[..length].to_vec()).expect("text")
    }

    /// The next message that is no acknowledgement; acknowledged, where that is expected.
    fn hears(&self) -> Answer {
        loop {
            let datagram = self.hears_datagram();
            let (seq, text) = datagram.split_once(':').expect("a number");
            if text.starts_with("ACK:") {
                continue;
            }
            let answer: Answer = text.parse().expect("an answer");
            if !matches!(answer, Answer::Token(_) | Answer::Unknown) {
                self.socket.send(format!("{seq}:ACK:{text}").as_bytes()).expect("room");
            }
            return answer;
        }
    }

    fn leaves(mut self) {
        self.says("Client Leave");
        assert_eq!(self.hears_datagram(), format!("{}:ACK:Client Leave", self.seq));
    }
}

#[test]
fn clients_join_look_each_other_up_meet_and_leave() {
    let (mut registry, address) = registry(&["--verbose"]);
    let mut alice = Client::joined(address, ALICE, " name=alice at=127.0.0.9:5000");
    let bob = Client::joined(address, BOB, "");
    let joined = registry.event("joined");
    assert_eq!((&joined["number"], &joined["name"], &joined["clients"]), (&1.into(), &"alice".into(), &1.into()));
    assert_eq!(
        (&joined["seen"], &joined["reported"][0]),
        (&alice.address().to_string().into(), &"127.0.0.9:5000".into())
    );
    assert_eq!(registry.event("joined")["number"], 2);
    assert_eq!(alice.asks("Client List 0").to_string(), "Client List total=2 clients=1:alice,2");
    let there = Whereabouts { number: 2, name: None, addresses: vec![bob.address()] };
    let who = "2".parse().expect("a number");
    assert_eq!(alice.asks("Client Lookup 2"), Answer::Active { who, client: there.clone() });
    assert_eq!(registry.event("looked_up")["found"], 2);
    let Answer::Meet { meeting, client } = alice.asks("Client Meet 2") else { panic!("no meeting") };
    assert_eq!(client, there);
    let here = vec![alice.address(), "127.0.0.9:5000".parse().expect("an address")];
    let client = Whereabouts { number: 1, name: "alice".parse().ok(), addresses: here };
    assert_eq!(bob.hears(), Answer::Meet { meeting, client });
    bob.leaves();
    let left = registry.event("left");
    assert_eq!((&left["number"], &left["how"], &left["clients"]), (&2.into(), &"left".into(), &1.into()));
    assert_eq!(alice.asks("Client Lookup 2").to_string(), "Client 2 Inactive");
    let served = registry.interrupt().expect(130).events().pop().expect("events");
    assert_eq!((&served["event"], &served["joined"], &served["left"]), (&"served".into(), &2.into(), &1.into()));
}

#[test]
fn a_registry_that_was_started_anew_says_so_to_its_former_clients() {
    let (registry, address) = registry(&[]);
    let mut alice = Client::joined(address, ALICE, " name=alice");
    let port = address.port().to_string();
    registry.interrupt().expect(130);
    let mut registry = Program::start(CHAT_SERVER, &[&port, "--json", "--bind", "127.0.0.1"]);
    registry.listening();
    assert_eq!(alice.asks("Client Here   "), Answer::Unknown);
    let answer = alice.joins(ALICE, " number=1 name=alice");
    assert_eq!(answer.to_string(), format!("Client Number 1 name=alice seen={}", alice.address()));
}

#[test]
fn who_is_not_let_in_is_told_why() {
    let (mut registry, address) = registry(&["--per-address", "2", "--capacity", "3"]);
    let _alice = Client::joined(address, ALICE, " name=alice");
    assert_eq!(Client::at(address).joins(BOB, " name=Alice").to_string(), "Client Refused name-taken");
    let refused = registry.event("join_refused");
    assert_eq!((&refused["name"], &refused["reason"]), (&"Alice".into(), &"name-taken".into()));
    let _bob = Client::joined(address, BOB, " name=bob");
    assert_eq!(Client::at(address).joins(CAROL, "").to_string(), "Client Refused too-many");
}

#[test]
fn comings_and_goings_are_sentences_and_verbose_adds_a_table_each_time() {
    let (mut registry, address) = plain_registry(&["--verbose"]);
    assert_eq!(registry.line(), "  nobody is here");
    let alice = Client::joined(address, ALICE, " name=alice at=10.0.0.7:5000");
    let seen = alice.address();
    assert_eq!(registry.line(), format!("1 (alice) joins, from {seen}; 1 client is here"));
    assert_eq!(registry.line(), format!(" number  name   seen at{:8}  reports        here for", ""));
    assert_eq!(registry.line(), format!("      1  alice  {seen:15}  10.0.0.7:5000       0 s"));
    alice.leaves();
    assert_eq!(registry.line(), "1 (alice) leaves; nobody is here");
    assert_eq!(registry.line(), "  nobody is here");
    registry.interrupt().expect(130).saying("1 joined, 1 went, 0 questions answered");
}

#[test]
fn in_a_pipe_there_is_no_table_and_quiet_says_only_where() {
    let (mut registry, address) = plain_registry(&[]);
    Client::joined(address, ALICE, "").leaves();
    assert!(registry.line().starts_with("1 joins, from 127.0.0.1:"));
    assert_eq!(registry.line(), "1 leaves; nobody is here");
    let (registry, address) = plain_registry(&["--quiet"]);
    Client::joined(address, ALICE, "").leaves();
    assert_eq!(registry.interrupt().expect(130).out, [format!("listening on {address}")]);
}

#[test]
fn nothing_that_a_client_says_reaches_the_terminal() {
    let (mut registry, address) = plain_registry(&["--verbose"]);
    registry.line();
    let mut client = Client::at(address);
    let Answer::Token(token) = client.asks(&format!("Client Join key={ALICE}")) else { panic!("no token") };
    for evil in ["\u{1b}[2J", "\u{202e}", "\u{9b}31m", "a\u{7}"] {
        let answer = client.asks(&format!("Client Join key={ALICE} token={token} name=x{evil}"));
        assert_eq!(answer, Answer::Unknown, "a name that nobody may have makes no join");
        client.says(evil);
    }
    let _alice = Client::joined(address, ALICE, " name=alice");
    let mut line = String::new();
    while !line.contains("1 (alice) joins") {
        line = registry.line();
        assert!(!line.contains(|shown: char| shown.is_control() || shown == '\u{202e}'), "{line:?}");
    }
}

#[test]
fn both_families_share_one_registry() {
    if !has_ipv6() {
        return;
    }
    let mut registry = Program::start(CHAT_SERVER, &["0", "--json", "--bind", "::"]);
    let port = registry.listening().port();
    let mut six = Client::joined(SocketAddr::new("::1".parse().expect("an address"), port), ALICE, " name=six");
    let four = Client::joined(SocketAddr::new("127.0.0.1".parse().expect("an address"), port), BOB, " name=four");
    let found = six.asks("Client Lookup four").to_string();
    assert_eq!(found, format!("Client four Active number=2 name=four at={}", four.address()));
}

#[test]
fn every_end_of_the_registry_has_its_exit_code() {
    let (registry, address) = registry(&[]);
    let port = address.port().to_string();
    let taken = Program::start(CHAT_SERVER, &[&port, "--bind", "127.0.0.1"]).end();
    taken.expect(1).saying("cannot listen at 127.0.0.1");
    for (arguments, words) in [(&["70000"][..], "70000"), (&["--capacity", "0"], "--capacity"), (&["1", "2"], "'2'")] {
        Program::start(CHAT_SERVER, arguments).end().expect(2).saying(words);
    }
    registry.signal(Signal::TERM);
    registry.end().expect(143).saying("served");
}
