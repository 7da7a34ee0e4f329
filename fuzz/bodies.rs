//! What the fuzz targets do with their bytes; `tests/fuzz_corpus.rs` does the same with the corpora under stable Rust.

pub mod chat;
pub mod client;
pub mod echo;
pub mod greeting;
pub mod server;

use chat::Hall;
use client::{Client, PEERS, right_answer};
use echo::Room;
use greeting::Greeting;
use homing::codec::Writer;
use homing::echo::Reply;
use homing::endpoint::Config;
use homing::packet::message::Style;
use homing::packet::windowed::frame::Frames;
use homing::packet::windowed::{Datagram, HELLO_LENGTH};
use homing::packet::{MAX_DATAGRAM, Packet, Spelling};
use homing::session::Mode;
use homing::session::stop_and_wait::Transfer;
use server::Server;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Whatever decodes can be encoded, and decodes to the same again.
pub fn lab_codec(datagram: &[u8]) {
    let Ok(Packet::Lab(spelling, message)) = Packet::decode(datagram) else { return };
    if datagram.len() > MAX_DATAGRAM {
        return;
    }
    let again = message.to_datagram(spelling).expect("what was heard can be said");
    assert!(again.len() <= datagram.len(), "leading zeros aside, nothing is added");
    assert_eq!(Packet::decode(&again), Ok(Packet::Lab(spelling, message)));
    assert_eq!(message.to_datagram(spelling).as_ref(), Ok(&again));
}

/// A sequence of datagrams from four addresses, of moments, and of what the disk does, into an endpoint.
///
/// The first byte chooses the limits. Then every step begins with a byte: what (its lower four bits, see below) and who (the
/// next two). Datagrams have their length, two bytes, low one first, before them.
pub fn receiver(script: &[u8]) {
    let mut script = Script(script);
    let Some(first) = script.byte() else { return };
    let mut server = Server::new(Config {
        bufsize: [1400, 64, 65_507, 1024][usize::from(first & 3)],
        max_sessions: if first & 4 == 0 { 64 } else { 2 },
        max_sessions_per_address: if first & 8 == 0 { 64 } else { 2 },
        idle_timeout: Duration::from_secs(30),
        ..Config::default()
    });
    let mut last = [const { Vec::new() }; CLIENTS.len()];
    for _ in 0..STEPS_MAX {
        let Some(step) = script.byte() else { break };
        let who = usize::from(step >> 4 & 3);
        match step & 15 {
            0..6 => {
                last[who] = script.datagram().to_vec();
                server.hear(CLIENTS[who], &last[who]);
            }
            6 => {
                server.hear(CLIENTS[who], &last[who]);
            }
            7 | 8 => {
                last[who] = server.right_checksum(CLIENTS[who]);
                server.hear(CLIENTS[who], &last[who]);
            }
            9..12 => server.pass(PAUSES[usize::from(step >> 4) % PAUSES.len()]),
            12 => server.is_slow = true,
            13 => {
                server.is_slow = false;
                server.work(usize::MAX, false);
            }
            14 => {
                server.work(1 + who, false);
            }
            _ => {
                server.work(1 + who, true);
            }
        }
    }
    server.end();
}

/// A sequence of datagrams, of moments, and of what the application does, into a sender.
///
/// The first byte chooses spelling and mode, the second the file's size in units of 16. The steps are as in [`receiver`];
/// right answers are offered ready, since no chance finds the offer's number.
pub fn sender(script: &[u8]) {
    let mut script = Script(script);
    let (Some(first), Some(size)) = (script.byte(), script.byte()) else { return };
    let content: Vec<u8> = CONTENT.iter().copied().cycle().take(usize::from(size) * 16).collect();
    let mut client = Client::new(transfer(first, content.len() as u64), &content);
    for _ in 0..STEPS_MAX {
        let Some(step) = script.byte() else { break };
        let peer = usize::from(step >> 4 & 1);
        match step & 15 {
            0..6 => {
                client.hear(peer, script.datagram());
            }
            6 => {
                let answer = right_answer(client.last(), 1024, None);
                client.hear(peer, &answer);
            }
            7 => {
                let answer = right_answer(client.last(), 100, Some(b"homing/1 checked"));
                client.hear(peer, &answer);
            }
            8 => {
                let answer = right_answer(client.last(), 64, None);
                client.hear(peer, &answer);
            }
            9 | 10 => {
                client.pass(PAUSES[usize::from(step >> 4) % PAUSES.len()]);
            }
            11 => {
                client.hear_unreachable(peer);
            }
            12 => client.is_slow = true,
            13 => {
                client.is_slow = false;
                client.supply();
            }
            14 => {
                client.supply();
            }
            _ => {
                client.abort();
            }
        }
    }
    client.end();
}

/// A sequence of datagrams from four addresses and of moments into an echo server.
///
/// The first byte chooses how it replies. The steps are as in [`receiver`]; numbered messages are offered ready.
pub fn messages(script: &[u8]) {
    let mut script = Script(script);
    let Some(first) = script.byte() else { return };
    let style = [Style::Sequenced, Style::Echo, Style::Acknowledge][usize::from(first) % 3];
    let mut room = Room::new(if first & 128 == 0 { Reply::Always(style) } else { Reply::Told(style) });
    let mut last = [const { Vec::new() }; CLIENTS.len()];
    for _ in 0..STEPS_MAX {
        let Some(step) = script.byte() else { break };
        let who = usize::from(step >> 4 & 3);
        match step & 15 {
            0..6 => last[who] = script.datagram().to_vec(),
            6 | 7 => {}
            8..12 => {
                let (Some(seq), Some(text)) = (script.byte(), script.byte()) else { break };
                last[who] = format!("{seq}:{}", char::from(text)).into_bytes();
            }
            _ => {
                room.pass(PAUSES[usize::from(step >> 4) % PAUSES.len()]);
                continue;
            }
        }
        room.hear(CLIENTS[who], &last[who]);
    }
    room.end();
}

/// A sequence of datagrams from four addresses and of moments into a chat's registry.
///
/// The first byte chooses the limits. The steps are as in [`receiver`]; joins with the right token, requests and acknowledgements are
/// offered ready, since no chance finds a token.
pub fn chat(script: &[u8]) {
    let mut script = Script(script);
    let Some(first) = script.byte() else { return };
    let limit = |bit: u8| if first & bit == 0 { 64 } else { 2 };
    let mut hall = Hall::new(limit(1), limit(2));
    let mut last = [const { Vec::new() }; CLIENTS.len()];
    for _ in 0..STEPS_MAX {
        let Some(step) = script.byte() else { break };
        let who = usize::from(step >> 4 & 3);
        let from = CLIENTS[who];
        match step & 15 {
            0..4 => {
                last[who] = script.datagram().to_vec();
                hall.hear(from, &last[who]);
            }
            4 => hall.hear(from, &last[who]),
            5..8 => {
                let (Some(key), Some(name)) = (script.byte(), script.byte()) else { break };
                // Few keys and few names, so that they meet.
                let name = char::from(b'a' + name % 4);
                hall.join(from, &format!(" key={:032x} name={name} at=10.0.1.1:5000", key % 4));
            }
            8 | 9 => {
                let Some(whom) = script.byte() else { break };
                let whom = if whom & 128 == 0 { whom.to_string() } else { char::from(b'A' + whom % 4).to_string() };
                hall.say(from, &format!("Client {} {whom}", if step & 1 == 0 { "Lookup" } else { "Meet" }));
            }
            10 => hall
                .say(from, ["Client List 0", "Client Here", "Client Leave", "Client Here   "][usize::from(step >> 6)]),
            11 | 12 => hall.acknowledge(from),
            _ => hall.pass(PAUSES[usize::from(step >> 4) % PAUSES.len()]),
        }
    }
    hall.end();
}

/// As what a packet holds and as a datagram of its own: whatever is read can be written, and is read as the same again.
pub fn frames(bytes: &[u8]) {
    let mut left = bytes.len();
    for frame in Frames::new(bytes) {
        let Ok(frame) = frame else { break };
        let mut again = Vec::new();
        frame.encode(&mut Writer::new(&mut again, MAX_DATAGRAM + 2)).expect("what was read can be written");
        // Bytes up to the packet's end had no count; the shortest form of a number may be shorter than what came.
        assert!(again.len() <= left + 2);
        left = left.saturating_sub(1);
        assert_eq!(Frames::new(&again).next(), Some(Ok(frame)));
    }
    match Datagram::decode(bytes) {
        Ok(Datagram::Packet(_)) | Err(_) => {}
        Ok(datagram) if bytes.len() <= HELLO_LENGTH => {
            let again = datagram.encode().expect("what was read can be written");
            assert_eq!(Datagram::decode(&again), Ok(datagram));
        }
        Ok(_) => {}
    }
}

/// A client and a server that shake hands, what passes between them, damaged or not, and what others send to both.
///
/// The first byte chooses how it begins. The steps are as in [`receiver`]. Says how often the server has accepted the client.
pub fn hello(script: &[u8]) -> usize {
    let mut script = Script(script);
    let Some(first) = script.byte() else { return 0 };
    let mut greeting = Greeting::new(CLIENTS[0], first & 1 == 0, first & 2 == 0);
    for _ in 0..STEPS_MAX {
        let Some(step) = script.byte() else { break };
        let who = usize::from(step >> 4 & 3);
        match step & 15 {
            0..3 => greeting.server_hears(CLIENTS[who], script.datagram()),
            // A hello is long; most of it is zeros.
            3 | 4 => {
                let mut hello = script.datagram().to_vec();
                hello.resize(hello.len().max(HELLO_LENGTH), 0);
                greeting.server_hears(CLIENTS[who], &hello);
            }
            5 => greeting.client_hears(script.datagram()),
            6 | 7 => greeting.question_arrives(CLIENTS[who], None),
            8 => greeting.question_arrives(CLIENTS[who], script.byte()),
            9 | 10 => greeting.answer_arrives(None),
            11 => greeting.answer_arrives(script.byte()),
            12 | 13 => greeting.pass(PAUSES[usize::from(step >> 4) % PAUSES.len()]),
            14 => greeting.finish(),
            _ => greeting.confirm(),
        }
    }
    greeting.end()
}

/// A transfer of so many bytes to [`PEERS`]; the lower two bits of `kind` choose how.
pub fn transfer(kind: u8, size: u64) -> Transfer {
    let (spelling, mode) = match kind & 3 {
        0 => (Spelling::Spaced, Mode::Auto),
        1 => (Spelling::Spaced, Mode::Lab),
        2 => (Spelling::Compact, Mode::Lab),
        _ => (Spelling::Spaced, Mode::Checked),
    };
    let name = "pigeon.jpg".to_string();
    Transfer { peers: PEERS.to_vec(), spelling, mode, name, size, nonce: 48, timeout: Duration::from_secs(30) }
}

/// Bytes that are read from the front.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn datagram(&mut self) -> &'a [u8] {
        let (Some(low), Some(high)) = (self.byte(), self.byte()) else { return &[] };
        let length = usize::from(u16::from_le_bytes([low, high]));
        let (datagram, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        datagram
    }
}

/// Two ports of one host, another host, and one that speaks IPv6.
pub const CLIENTS: [SocketAddr; 4] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1)), 5000),
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1)), 5001),
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 1, 2)), 5000),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 5000),
];

/// Around everything that depends on time: round trips, time-outs, what is remembered and for how long.
pub const PAUSES: [Duration; 8] = [
    Duration::from_millis(1),
    Duration::from_millis(100),
    Duration::from_millis(600),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(31),
    Duration::from_secs(61),
];

/// With a few separators, since a chunk for a plain peer ends in each.
const CONTENT: &[u8] = b"|\n|\x00\xff the quick brown fox jumps over the lazy dog | pack my box with five dozen liquor jugs \
    sphinx of black quartz judge my vow || how vexingly quick daft zebras jump 0123456789 | | waltz bad nymph for quick";

/// Longer scripts find nothing that shorter ones do not.
const STEPS_MAX: usize = 300;
