//! Damaged, forged and misplaced messages at every moment of a transfer: nothing panics, nobody gets back more than he gave,
//! nothing wrong appears on the disk.

#[path = "../fuzz/bodies.rs"]
mod bodies;

#[path = "hostile_input/chat.rs"]
mod chat;

#[path = "hostile_input/greetings.rs"]
mod greetings;
#[path = "hostile_input/messages.rs"]
mod messages;
#[path = "hostile_input/windowed.rs"]
mod windowed;

use bodies::client::{Client, right_answer};
use bodies::server::{Server, checksum};
use bodies::{CLIENTS, transfer};
use homing::endpoint::Config;
use homing::packet::{Malformed, Message, Packet, Spelling};
use homing::session::stop_and_wait::Outcome;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

const PEER: SocketAddr = CLIENTS[0];
const OTHER: SocketAddr = CLIENTS[2];

/// Every message of `tests/fixtures/lab`, by name.
static FIXTURES: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lab");
    let mut fixtures = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the fixtures") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "bin") {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            fixtures.insert(name, std::fs::read(&path).expect("a file"));
        }
    }
    fixtures
});

fn fixture(name: &str) -> &'static [u8] {
    FIXTURES.get(name).unwrap_or_else(|| panic!("there is no {name}.bin"))
}

/// The datagram itself, all its beginnings, and all that one flipped bit makes of it.
fn damaged(datagram: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let beginnings = (0..=datagram.len()).map(|end| datagram[..end].to_vec());
    let flipped = (0..datagram.len() * 8).map(|bit| {
        let mut copy = datagram.to_vec();
        copy[bit / 8] ^= 1 << (bit % 8);
        copy
    });
    beginnings.chain(flipped)
}

/// What a server has heard when it is in each of its states.
const SERVER_STATES: &[(&str, &[&str])] = &[
    ("fresh", &[]),
    ("checked, before data", &["start-offering"]),
    ("checked, midway", &["start-offering", "data-offering"]),
    ("checked, awaiting the checksum", &["start-offering", "data-offering", "data-offering-last"]),
    ("checked, done", &["start-offering", "data-offering", "data-offering-last", "checksum"]),
    ("checked, zero bytes", &["start-offering-zero-bytes"]),
    ("spaced, before data", &["start-spaced"]),
    ("spaced, midway", &["start-spaced", "data-spaced"]),
    ("spaced, done", &["start-spaced", "data-spaced", "data-spaced-last"]),
    ("compact, before data", &["start-compact"]),
    ("compact, undecided", &["start-compact", "data-compact"]),
    ("compact, done", &["start-compact", "data-compact", "data-compact-alternating"]),
];

/// The checked transfer of the fixtures, from start to end.
const CHECKED: &[&str] = &["start-offering", "data-offering", "data-offering-last", "checksum"];

fn server_in(heard: &[&str]) -> Server {
    let mut server = Server::new(Config::default());
    for name in heard {
        assert_eq!(server.hear(PEER, fixture(name)).len(), 1, "{name} is answered");
    }
    server
}

/// How a sender transfers, what its application does meanwhile, and what it has heard, in each of its phases.
const SENDER_PHASES: &[(&str, u8, bool, &[&str])] = &[
    ("auto, starting", AUTO, false, &[]),
    ("auto, connected, before the first chunk", AUTO, true, &["ack-start-words"]),
    ("auto, first chunk", AUTO, false, &["ack-start-words"]),
    ("auto, last chunk", AUTO, false, &["ack-start-words", "ack-offering"]),
    ("auto, closing", AUTO, false, &["ack-start-words", "ack-offering", "ack-offering-last"]),
    ("auto, over", AUTO, false, &["ack-start-words", "ack-offering", "ack-offering-last", "ack-checksum"]),
    ("auto, plain server", AUTO, false, &["ack-start-offering-plain"]),
    ("lab, starting", LAB, false, &[]),
    ("lab, first chunk", LAB, false, &["ack-start-spaced"]),
    ("lab, last chunk", LAB, false, &["ack-start-spaced", "ack-spaced"]),
    ("compact, starting", COMPACT, false, &[]),
    ("compact, first chunk", COMPACT, false, &["ack-start-compact"]),
    ("compact, last chunk", COMPACT, false, &["ack-start-compact", "ack-compact-undecided"]),
    ("checked, starting", STRICT, false, &[]),
];

/// See [`transfer`].
const AUTO: u8 = 0;
const LAB: u8 = 1;
const COMPACT: u8 = 2;
const STRICT: u8 = 3;

fn client_in(kind: u8, is_slow: bool, heard: &[&str]) -> Client {
    // Two chunks each.
    let content = vec![b'x'; if kind == COMPACT { 30_000 } else { 2000 }];
    let mut client = Client::new(transfer(kind, content.len() as u64), &content);
    client.is_slow = is_slow;
    for name in heard {
        client.hear(0, fixture(name));
    }
    client
}

#[test]
fn every_fixture_is_what_its_name_says() {
    for (name, bytes) in &*FIXTURES {
        let kind = name.split('-').next().unwrap_or_default();
        let decoded = Packet::decode(bytes);
        let found = match decoded {
            Ok(Packet::Lab(_, Message::Start { .. })) => "start",
            Ok(Packet::Lab(_, Message::Data { .. })) => "data",
            Ok(Packet::Lab(_, Message::Ack { .. })) => "ack",
            Ok(Packet::Lab(_, Message::Refusal { .. })) => "refusal",
            Ok(Packet::Lab(_, Message::Checksum { .. })) => "checksum",
            Ok(Packet::Lab(_, Message::Error { .. })) => "error",
            Ok(Packet::Windowed(_)) | Err(Malformed::Empty | Malformed::UnknownType(_)) => "nothing",
            Err(_) => "damaged",
        };
        let expected = match name.as_str() {
            "start-spaced-line-end" | "checksum-upper-case" => "damaged",
            _ => kind,
        };
        assert_eq!(found, expected, "{name}: {decoded:?}");
        if let Ok(Packet::Lab(spelling, _)) = decoded {
            assert_eq!(name.contains("compact"), spelling == Spelling::Compact, "{name}");
        }
    }
}

#[test]
fn every_damaged_fixture_decodes_to_what_can_be_said_or_not_at_all() {
    for bytes in FIXTURES.values() {
        damaged(bytes).for_each(|datagram| bodies::lab_codec(&datagram));
    }
}

#[test]
fn every_damaged_fixture_meets_a_server_in_every_state() {
    for (state, heard) in SERVER_STATES {
        for bytes in FIXTURES.values() {
            let mut server = server_in(heard);
            for datagram in damaged(bytes) {
                let events = server.events;
                let answers = server.hear(PEER, &datagram);
                if answers.is_empty() && server.events == events {
                    continue;
                }
                // The rest of the transfer under way: a file that appears is the right one, whatever came between.
                let is_checked = heard.first() == Some(&"start-offering");
                for name in CHECKED.iter().skip(heard.len()).filter(|_| is_checked) {
                    server.hear(PEER, fixture(name));
                }
                if let Some(content) = server.files.get("pigeon.jpg").filter(|_| is_checked) {
                    let right = [b"hello | there".as_slice(), b"\nover\x00and\xffout"].concat();
                    assert_eq!(*content, right, "{state}, then {}", datagram.escape_ascii());
                }
                server = server_in(heard);
            }
            server.end();
        }
    }
}

#[test]
fn every_damaged_fixture_meets_a_sender_in_every_phase() {
    for &(phase, kind, is_slow, heard) in SENDER_PHASES {
        for bytes in FIXTURES.values() {
            let mut client = client_in(kind, is_slow, heard);
            for datagram in damaged(bytes) {
                let last = client.last().to_vec();
                let was_over = client.outcome.is_some();
                let sent = client.hear(0, &datagram);
                assert!(!was_over || sent.is_empty(), "{phase}: {} woke it up", datagram.escape_ascii());
                if client.outcome == Some(Outcome::Delivered) && kind == AUTO && !was_over {
                    // One reading has many spellings: leading zeros, a size behind the number.
                    let Ok(Packet::Lab(_, Message::Ack { next, .. })) = Packet::decode(&datagram) else {
                        panic!("{phase}: {} ended it", datagram.escape_ascii())
                    };
                    let Ok(Packet::Lab(_, Message::Ack { next: awaited, .. })) =
                        Packet::decode(&right_answer(&last, 1024, None))
                    else {
                        panic!("{phase}: nothing was awaited")
                    };
                    assert_eq!(next, awaited, "{phase}");
                }
                if !sent.is_empty() || is_slow || client.outcome.is_some() != was_over {
                    client = client_in(kind, is_slow, heard);
                }
            }
            client.end();
        }
    }
}

#[test]
fn a_forged_datagram_between_two_servers_is_answered_once_at_most() {
    let (here, there) = (CLIENTS[1], CLIENTS[2]);
    for (state, heard) in SERVER_STATES {
        for (name, bytes) in &*FIXTURES {
            let mut servers = [Server::new(Config::default()), Server::new(Config::default())];
            for earlier in *heard {
                servers[0].hear(there, fixture(earlier));
            }
            let answers = servers[0].hear(there, bytes);
            for answer in &answers {
                let echoes = servers[1].hear(here, answer);
                assert!(echoes.is_empty(), "{state}: {name} makes two servers talk: {echoes:?}");
            }
        }
    }
}

/// One thing that happens to a server; [`script`] writes it as the fuzz target reads it.
#[derive(Clone, Debug)]
enum Step {
    Say(u8, Vec<u8>),
    SayAgain(u8),
    Close(u8),
    Pause(u8),
    Slow(bool),
    Work(u8, bool),
}

fn script(limits: u8, steps: &[Step]) -> Vec<u8> {
    let mut script = vec![limits];
    for step in steps {
        match step {
            Step::Say(who, datagram) => {
                script.push(who << 4);
                script.extend_from_slice(&u16::try_from(datagram.len()).expect("it fits").to_le_bytes());
                script.extend_from_slice(datagram);
            }
            Step::SayAgain(who) => script.push(who << 4 | 6),
            Step::Close(who) => script.push(who << 4 | 7),
            Step::Pause(pause) => script.push(pause << 4 | 9),
            Step::Slow(is_slow) => script.push(if *is_slow { 12 } else { 13 }),
            Step::Work(count, fails) => script.push(count << 4 | if *fails { 15 } else { 14 }),
        }
    }
    script
}

/// Messages whose numbers, names and sizes are few enough to meet each other.
fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(vec![0_u64, 0, 0, 1, 39, 1_207_959_600, 1_207_959_600]);
    let name = prop::sample::select(vec!["a", "b | c", "empty", "../out", "folder/a"]);
    let size = prop::sample::select(vec![0_u64, 1, 3, 6, 6, 70_000]);
    let start =
        (first.clone(), name, size, any::<bool>(), any::<bool>()).prop_map(|(seq, name, size, spaced, padded)| {
            let name = name.as_bytes();
            let spelling = if spaced { Spelling::Spaced } else { Spelling::Compact };
            let size_digits = if padded { 110 } else { size.to_string().len() };
            Message::Start { seq, name, size, size_digits }.to_datagram(spelling).expect("it can be said")
        });
    let chunk = prop_oneof![
        "[ab|\n ]{0,4}".prop_map(String::into_bytes),
        Just(b"abc".to_vec()),
        Just(vec![b'x'; 35_000]),
        Just(vec![b'x'; 60_000]),
    ];
    let data = (first, 0..5_u64, chunk, any::<bool>()).prop_map(|(first, ahead, bytes, spaced)| {
        let spelling = if spaced { Spelling::Spaced } else { Spelling::Compact };
        Message::Data { seq: first + ahead, bytes: &bytes }.to_datagram(spelling).expect("it can be said")
    });
    prop_oneof![4 => start, 6 => data]
}

fn any_datagram() -> impl Strategy<Value = Vec<u8>> {
    let fixtures: Vec<Vec<u8>> = FIXTURES.values().cloned().collect();
    let as_it_is = prop::sample::select(fixtures);
    let flipped = (as_it_is.clone(), any::<prop::sample::Index>()).prop_map(|(mut bytes, bit)| {
        if !bytes.is_empty() {
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        bytes
    });
    prop_oneof![8 => any_message(), 4 => as_it_is, 2 => flipped, 1 => prop::collection::vec(any::<u8>(), 0..60)]
}

fn any_step() -> impl Strategy<Value = Step> {
    // Mostly one address: only there do transfers meet.
    let who = prop_oneof![6 => Just(0_u8), 1 => 1..4_u8];
    prop_oneof![
        12 => (who.clone(), any_datagram()).prop_map(|(who, datagram)| Step::Say(who, datagram)),
        3 => who.clone().prop_map(Step::SayAgain),
        3 => who.prop_map(Step::Close),
        3 => (0..8_u8).prop_map(Step::Pause),
        1 => any::<bool>().prop_map(Step::Slow),
        2 => (0..4_u8, prop::bool::weighted(0.3)).prop_map(|(count, fails)| Step::Work(count, fails)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// What must hold is checked in `fuzz/server.rs` after every step.
    #[test]
    fn no_sequence_of_messages_upsets_a_server(limits in 0..16_u8, steps in prop::collection::vec(any_step(), 0..50)) {
        bodies::receiver(&script(limits, &steps));
    }

    #[test]
    fn no_bytes_upset_a_server_or_a_sender(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        bodies::lab_codec(&bytes);
        bodies::receiver(&bytes);
        bodies::sender(&bytes);
    }
}

#[test]
fn eight_starts_of_one_address_are_remembered_and_no_more() {
    let mut server = Server::new(Config::default());
    let starts: Vec<Vec<u8>> = (0..20).map(|number| format!("s | 0 | file {number} | 5").into_bytes()).collect();
    for start in &starts {
        assert_eq!(server.hear(PEER, start).len(), 1);
    }
    let events = server.events;
    for start in &starts[12..] {
        assert_eq!(server.hear(PEER, start).len(), 1);
    }
    assert_eq!(server.events, events, "the last eight are known");
    server.hear(PEER, &starts[11]);
    assert!(server.events > events, "the ninth is not");
}

#[test]
fn what_is_remembered_of_ended_transfers_is_bounded_whoever_comes() {
    let mut server = Server::new(Config { max_sessions: 8, ..Config::default() });
    let peers: Vec<SocketAddr> =
        (0..18_000_u32).map(|host| ([10, 1, (host >> 8) as u8, host as u8], 5000).into()).collect();
    for peer in &peers {
        server.hear(*peer, b"s | 0 | f | 1");
        assert_eq!(server.hear(*peer, b"d | 1 | x"), [b"a | 2"]);
    }
    let remembered = peers.iter().filter(|peer| !server.hear(**peer, b"d | 1 | x").is_empty()).count();
    assert!((16_384..=16_384 + 8 + 1024 + 1).contains(&remembered), "{remembered} are remembered");
}

#[test]
fn one_network_gets_its_share_of_transfers_and_no_more() {
    for (hosts, neighbour) in [
        (["10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3"], "10.0.0.2:1"),
        (["[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::ffff:0:0:3]:1"], "[2001:db8:0:1::1]:1"),
    ] {
        let mut server = Server::new(Config { max_sessions_per_address: 2, ..Config::default() });
        let mut ask = |host: &str| server.hear(host.parse().expect("an address"), fixture("start-offering")).remove(0);
        assert!(ask(hosts[0]).starts_with(b"a | "));
        assert!(ask(hosts[1]).starts_with(b"a | "));
        assert!(ask(hosts[2]).starts_with(b"e | 1207959600 | too many transfers from this address"));
        assert!(ask(neighbour).starts_with(b"a | "));
    }
}

#[test]
fn whoever_does_not_wait_for_acknowledgements_cannot_fill_the_memory() {
    let mut server = Server::new(Config::default());
    server.hear(PEER, b"s | 0 | big | 100000000");
    server.is_slow = true;
    let mut answers = 0;
    for number in 1..100 {
        let mut chunk = format!("d | {number} | ").into_bytes();
        chunk.resize(60_000, b'x');
        answers += server.hear(PEER, &chunk).len();
    }
    assert_eq!(answers, 5, "then the disk has to do its part first");
    assert_eq!(
        server.work(100, false).len(),
        1,
        "one acknowledgement was held back, and what came behind it was dropped"
    );
}

#[test]
fn a_start_that_was_refused_to_a_plain_peer_stays_unanswered() {
    for start in [&b"s | 0 | f | 6"[..], b"s|0|f.x|6"] {
        let mut server = Server::new(Config::default());
        server.is_slow = true;
        for _ in 0..3 {
            assert!(server.hear(PEER, start).is_empty());
            assert!(server.work(1, true).is_empty(), "an acknowledgement would promise what will not be");
        }
    }
}

#[test]
fn a_late_copy_of_an_old_start_does_not_get_the_next_files_chunks() {
    let mut server = Server::new(Config::default());
    for message in [&b"s | 0 | old | 6"[..], b"d | 1 | abc", b"d | 2 | def", b"s | 0 | old | 6"] {
        server.hear(PEER, message);
    }
    server.pass(Duration::from_secs(6));
    for message in [&b"s | 0 | new | 6"[..], b"d | 1 | ABC", b"d | 2 | DEF"] {
        assert_eq!(server.hear(PEER, message).len(), 1);
    }
    assert_eq!((&server.files["old"][..], &server.files["new"][..]), (&b"abcdef"[..], &b"ABCDEF"[..]));
}

#[test]
fn a_late_copy_of_an_old_start_does_not_break_into_a_compact_transfer() {
    for copy_comes_first in [true, false] {
        let mut server = Server::new(Config::default());
        let copy = b"s|0|old.x|6";
        for message in [&copy[..], b"d|1|abc", b"d|0|def"] {
            server.hear(PEER, message);
        }
        if copy_comes_first {
            server.hear(PEER, copy);
        }
        for message in [&b"s|0|new.x|12"[..], b"d|1|ABC", b"d|0|DEF"] {
            assert_eq!(server.hear(PEER, message).len(), 1);
        }
        if !copy_comes_first {
            server.hear(PEER, copy);
        }
        server.pass(Duration::from_secs(6));
        for message in [&b"d|1|GHI"[..], b"d|0|JKL"] {
            assert_eq!(server.hear(PEER, message).len(), 1);
        }
        assert_eq!((&server.files["old.x"][..], &server.files["new.x"][..]), (&b"abcdef"[..], &b"ABCDEFGHIJKL"[..]));
    }
}

#[test]
fn an_unfinished_compact_transfer_begins_anew_though_the_number_would_be_its_next() {
    let mut server = Server::new(Config::default());
    for message in [&b"s|0|f.x|9"[..], b"d|1|abc", b"d|0|def"] {
        server.hear(PEER, message);
    }
    server.pass(Duration::from_secs(11));
    for message in [&b"s|0|f.x|9"[..], b"d|1|ABC", b"d|0|DEF", b"d|1|GHI"] {
        assert_eq!(server.hear(PEER, message).len(), 1);
    }
    assert_eq!(server.files["f.x"], b"ABCDEFGHI");
}

#[test]
fn a_transfer_that_begins_anew_takes_a_place_like_any_other() {
    let mut server = Server::new(Config { max_sessions: 1, ..Config::default() });
    for message in [&b"s | 0 | f | 6"[..], b"d | 1 | abc", b"d | 2 | def"] {
        server.hear(PEER, message);
    }
    server.pass(Duration::from_secs(6));
    server.hear(OTHER, b"s | 0 | g | 6");
    server.hear(PEER, b"s | 0 | f | 6");
    assert!(server.hear(PEER, b"d | 1 | ABC").is_empty(), "the place is taken");
    assert_eq!(server.hear(OTHER, b"d | 1 | ghi"), [b"a | 2"]);
}

#[test]
fn a_damaged_copy_of_the_checksum_does_not_disturb_the_file_that_gets_its_name() {
    let mut server = server_in(&CHECKED[..3]);
    server.is_slow = true;
    assert!(server.hear(PEER, fixture("checksum")).is_empty(), "the answer waits for the disk");
    assert!(server.hear(PEER, fixture("checksum-other-start")).is_empty());
    assert_eq!(server.work(9, false), [fixture("ack-checksum")]);
    assert_eq!(server.files["pigeon.jpg"].len(), 26);
}

#[test]
fn an_empty_file_that_just_gets_its_name_does_not_lose_its_place() {
    let mut server = Server::new(Config { max_sessions: 1, ..Config::default() });
    server.hear(PEER, fixture("start-offering-zero-bytes"));
    server.pass(Duration::from_secs(6));
    server.is_slow = true;
    server.hear(PEER, fixture("checksum-zero-bytes"));
    server.hear(OTHER, b"s | 0 | g | 6");
    assert_eq!(server.work(9, false), [b"a | 1207959602"]);
    assert_eq!(server.files["empty.jpg"], b"");
}

#[test]
fn a_start_that_also_arrives_damaged_ends_in_a_refusal_and_not_in_silence() {
    let start = fixture("start-offering");
    let twin = start.iter().map(|byte| if *byte == b'g' { b'f' } else { *byte }).collect::<Vec<u8>>();
    let mut server = Server::new(Config::default());
    for message in [start, &twin, fixture("data-offering"), fixture("data-offering-last")] {
        assert_eq!(server.hear(PEER, message).len(), 1);
    }
    let close = checksum(1_207_959_603, b"hello | there\nover\x00and\xffout", start);
    assert!(server.hear(PEER, &close).concat().starts_with(b"e | 1207959603 | "));
    assert!(server.files.is_empty());
}

#[test]
fn a_slow_source_does_not_use_up_the_servers_time_to_answer() {
    let mut client = client_in(LAB, true, &["ack-start-spaced"]);
    client.pass(Duration::from_secs(31));
    assert_eq!(client.supply().len(), 1, "the first chunk");
    client.pass(Duration::from_secs(29));
    assert_eq!(client.outcome, None);
    client.pass(Duration::from_secs(2));
    assert_eq!(client.outcome, Some(Outcome::NoAnswer { unreachable: false }));
}

#[test]
fn a_server_that_goes_away_before_it_compared_has_refused_and_not_failed_to_verify() {
    let heard = ["ack-start-words", "ack-offering", "ack-offering-last"];
    let mut client = client_in(AUTO, false, &heard);
    client.hear(0, b"e | 1207959602 | the server is shutting down");
    assert_eq!(client.outcome, Some(Outcome::Refused("the server is shutting down".into())));
    let mut client = client_in(AUTO, false, &heard);
    client.hear(0, b"e | 1207959603 | sha256 differs");
    assert_eq!(client.outcome, Some(Outcome::VerificationFailed("sha256 differs".into())));
}

#[test]
fn of_two_old_starts_that_came_again_the_later_one_gets_the_chunks() {
    let mut server = Server::new(Config::default());
    for (start, name) in [(&b"s | 0 | x | 6"[..], "x"), (b"s | 0 | y | 6", "y")] {
        for message in [start, b"d | 1 | abc", b"d | 2 | def"] {
            assert_eq!(server.hear(PEER, message).len(), 1, "{name}");
        }
    }
    server.hear(PEER, b"s | 0 | y | 6");
    server.pass(Duration::from_secs(6));
    for message in [&b"s | 0 | x | 6"[..], b"d | 1 | ABC", b"d | 2 | DEF"] {
        assert_eq!(server.hear(PEER, message).len(), 1);
    }
    assert_eq!((&server.files["x"][..], &server.files["y"][..]), (&b"ABCDEF"[..], &b"abcdef"[..]));
}
