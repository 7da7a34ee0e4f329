//! What the fuzz targets do with their bytes; `tests/fuzz_corpus.rs` does the same with the corpora under stable Rust.

pub mod blocks;
pub mod caller;
pub mod chat;
pub mod client;
pub mod echo;
pub mod folder;
pub mod greeting;
pub mod leftovers;
pub mod listing;
pub mod papers;
pub mod pirate;
pub mod quay;
pub mod server;

use blocks::Blocks;
use caller::Call;
use chat::Hall;
use client::{Client, PEERS, right_answer};
use echo::Room;
use folder::{Folder, NAMES};
use greeting::Greeting;
use homing::chunker::request::{Attributes, Earlier, Existing, Likeness, request};
use homing::codec::Writer;
use homing::echo::Reply;
use homing::endpoint::Config;
use homing::name::{Printable, SafeName, is_hidden};
use homing::packet::message::Style;
use homing::packet::windowed::frame::Frames;
use homing::packet::windowed::{Cipher, Datagram, HELLO_LENGTH, Terms};
use homing::packet::{MAX_DATAGRAM, Packet, Spelling};
use homing::session::Mode;
use homing::session::handshake::{self, Opening, PrivateKey, call};
use homing::session::stop_and_wait::Transfer;
use leftovers::Leftovers;
use quay::Quay;
use server::Server;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Component, Path};
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

/// Datagrams from four addresses, sealed packets of clients who have shaken hands, moments, and what the application does, into a
/// harbour.
///
/// The first byte says how many transfers there may be. The steps are as in [`receiver`]; handshakes, packets with any content,
/// true and false acknowledgements, replays and bytes at the edges are offered ready, since no chance finds a key. Says how many
/// transfers were opened.
pub fn harbour(script: &[u8]) -> usize {
    let mut script = Script(script);
    let Some(first) = script.byte() else { return 0 };
    let mut quay = Quay::new(CLIENTS, 1 + usize::from(first & 3));
    for _ in 0..STEPS_MAX {
        let Some(step) = script.byte() else { break };
        let (who, which) = (usize::from(step >> 4 & 3), step >> 6);
        match step & 15 {
            0 => quay.hear(who, script.datagram()),
            1 => {
                let mut hello = script.datagram().to_vec();
                hello.resize(hello.len().max(HELLO_LENGTH), 0);
                quay.hear(who, &hello);
            }
            2 => quay.board(who),
            3 | 4 => {
                let (skip, frames) = (script.byte().unwrap_or_default(), script.datagram());
                let elsewhere = (who > 0).then_some(who);
                quay.say(which, elsewhere, |pirate| Some(pirate.seal(frames, u64::from(skip) << (skip & 31))));
            }
            5 | 6 => {
                let mut byte = || script.byte().unwrap_or_default();
                let (kind, at, length, many) = (byte(), byte(), usize::from(byte()), (byte(), byte()));
                quay.send_bytes(which, kind, at, length << (kind >> 4), many);
            }
            7 => quay.say(which, None, |pirate| pirate.acknowledge_truly()),
            8 => {
                let mut byte = || pirate::offset(script.byte().unwrap_or_default());
                let (first, count, delay) = (byte(), byte(), byte());
                quay.say(which, None, |pirate| Some(pirate.acknowledge(first, count, delay)));
            }
            9 => {
                let old = script.byte().unwrap_or_default();
                quay.say(which, Some(who), |pirate| pirate.said.get(usize::from(old & 15)).cloned());
            }
            10 => {
                quay.say(which, Some(who), |pirate| {
                    pirate.change_key();
                    Some(pirate.seal(&[1], 0))
                });
            }
            11 => quay.answer_challenge(which),
            12 => quay.take([usize::MAX, 1, 10, 100][who]),
            13 => {
                let (what, value) = (script.byte().unwrap_or_default(), script.byte().unwrap_or_default());
                quay.act(which, what, value);
            }
            _ => quay.pass(PAUSES[usize::from(step >> 4) % PAUSES.len()]),
        }
    }
    let opened = quay.waiting.len();
    quay.end();
    opened
}

/// A server who has shaken hands and says what he likes, moments, and what the application does, into an upload.
///
/// The first byte says what is to be sent, and how. The steps are as in [`harbour`]. Says whether there was a connection.
pub fn upload(script: &[u8]) -> bool {
    let mut script = Script(script);
    let Some(first) = script.byte() else { return false };
    let mut call = Call::new([CLIENTS[2], CLIENTS[3]], first);
    for _ in 0..STEPS_MAX {
        let Some(step) = script.byte() else { break };
        let who = usize::from(step >> 4 & 1);
        match step & 15 {
            0 => call.hear(who, script.datagram()),
            1 | 2 => {
                let skip = script.byte().unwrap_or_default();
                call.say_anything(script.datagram(), u64::from(skip) << (skip & 31));
            }
            3 | 4 => call.say(|pirate| pirate.acknowledge_truly()),
            5 => {
                let mut byte = || pirate::offset(script.byte().unwrap_or_default());
                let (first, count, delay) = (byte(), byte(), byte());
                call.say(|pirate| Some(pirate.acknowledge(first, count, delay)));
            }
            6 => {
                let (kind, value) = (script.byte().unwrap_or_default(), script.byte().unwrap_or_default());
                call.grant(kind, value);
            }
            7 => {
                let old = script.byte().unwrap_or_default();
                call.say(|pirate| pirate.said.get(usize::from(old & 15)).cloned());
            }
            8 => call.say(|pirate| {
                pirate.change_key();
                Some(pirate.seal(&[1], 0))
            }),
            9 => call.set_dry(who == 1),
            10 => call.void(script.byte().unwrap_or_default(), script.byte().unwrap_or_default()),
            11 if step >> 5 == 7 => call.abort(),
            11 => call.refuse([1400, 1200][who]),
            _ => call.pass(PAUSES[usize::from(step >> 4) % PAUSES.len()]),
        }
    }
    let is_connected = call.pirate.is_some();
    call.end();
    is_connected
}

/// One of the four streams of records: as it comes, or with a right header, right lengths and a right end around what comes; in pieces.
///
/// The first byte says which, the second how many lengths of pieces follow.
pub fn listing(script: &[u8]) {
    let mut script = Script(script);
    let (Some(first), Some(count)) = (script.byte(), script.byte()) else { return };
    let pieces: Vec<u8> = (0..count % 16).filter_map(|_| script.byte()).collect();
    if first & 4 == 0 {
        return listing::read(first, script.0, &pieces);
    }
    let mut records = Vec::new();
    let end = loop {
        match script.byte() {
            Some(kind @ 1..) => records.push((u64::from(kind), script.datagram().to_vec())),
            _ => break script.datagram().to_vec(),
        }
    };
    let stream = listing::stream(b"rmda"[usize::from(first & 3)], &records, &end);
    listing::read(first, &[&stream, script.0].concat(), &pieces);
}

/// A tree that is received: any listing, or one whose form is right and whose names, sizes and order are not; and bytes at any place.
///
/// The first byte says what becomes of files that are there.
pub fn tree(script: &[u8]) {
    let mut script = Script(script);
    let Some(first) = script.byte() else { return };
    let existing = [Some(Existing::Keep), Some(Existing::Replace), Some(Existing::Update(Likeness::Content)), None];
    let mut folder = Folder::new(existing[usize::from(first & 3)]);
    if first & 4 != 0 {
        folder.list(&request(Existing::Replace, Earlier::Ignored, Attributes::Kept));
    }
    let (mut entries, mut digests, mut sizes) = (Vec::new(), Vec::new(), [0_u64; 4]);
    for _ in 0..STEPS_MAX {
        let Some(step) = script.byte() else { break };
        let mut byte = || script.byte().unwrap_or_default();
        match step & 15 {
            0..4 => {
                let (kind, name) = (1 + u64::from(step >> 4 & 3), NAMES[usize::from(byte()) % NAMES.len()]);
                let size = if step & 64 == 0 { u64::from(byte()) } else { pirate::offset(byte()) };
                entries.push(folder::entry(kind, 0, name, size));
                let place = match kind {
                    2 => 1,
                    4 => 3,
                    _ => 0,
                };
                sizes[place] = sizes[place].saturating_add(1);
                sizes[2] = sizes[2].saturating_add(if kind == 1 { size } else { 0 });
            }
            4 => entries.push((u64::from(step >> 4), script.datagram().to_vec())),
            5 => {
                let content = vec![0; usize::from(byte())];
                let size = content.len() as u64;
                let mut body = Vec::new();
                Writer::new(&mut body, 9).varint(size).expect("there is room");
                body.extend_from_slice(blake3::hash(&content).as_bytes());
                digests.push((1, body));
            }
            6 => digests.push((2 + u64::from(step >> 4 & 1), vec![byte() & 63])),
            7 => digests.push((u64::from(step >> 4), script.datagram().to_vec())),
            8 | 9 => {
                let mut end = Vec::new();
                let mut writer = Writer::new(&mut end, 32);
                // A sum that is too large cannot be said.
                let _ = sizes.iter().try_for_each(|count| writer.varint(*count));
                folder.list(&listing::stream(b'm', &std::mem::take(&mut entries), &end));
            }
            10 => folder.list(&listing::stream(b'd', &std::mem::take(&mut digests), &[byte() & 63])),
            11 => folder.list(script.datagram()),
            12 | 13 => {
                let (offset, length) = (byte(), usize::from(byte()));
                let offset = if step & 64 == 0 { u64::from(offset) } else { pirate::offset(offset) };
                folder.take(offset, &vec![0; length]);
            }
            14 => folder.take(0, &vec![0; usize::from(byte()) * 64]),
            _ => folder.settle(),
        }
    }
    folder.end();
}

/// A journal of an earlier session, and the file that it is about: right slots in any place, anything else over them.
///
/// The first two bytes say how large the file is, and how much of it there seems to be; the first one also whether it is copied.
pub fn journal(script: &[u8]) {
    let mut script = Script(script);
    let (Some(first), Some(length)) = (script.byte(), script.byte()) else { return };
    // Ends beside the borders of groups, and on them.
    let size = |byte: u8| (u64::from(byte & 7) << 20) + [0, 1, 0x000f_ffff, 77_777][usize::from(byte >> 3 & 3)];
    let mut left = Leftovers::new(size(first | 4), size(length) + u64::from(length >> 5 & 1) * (8 << 20));
    for _ in 0..STEPS_MAX {
        let Some(step) = script.byte() else { break };
        let mut byte = || script.byte().unwrap_or_default();
        match step & 7 {
            0 => left.header(step & 128 == 0),
            1..4 => {
                let (group, kind) = (byte(), byte());
                let place = if kind & 192 == 192 { byte() } else { group };
                left.slot(group.into(), place.into(), kind);
            }
            4 => left.cut(usize::from(byte()) * 4 + usize::from(step >> 6)),
            5 => left.flip(usize::from(byte()) << 4 | usize::from(step >> 4)),
            _ => {
                let at = usize::from(byte()) * 4 + usize::from(step >> 6);
                left.put(at, script.datagram());
            }
        }
    }
    // One in eight: that takes longer than all the rest.
    left.end(first & 0xe0 == 0x80);
}

/// What a peer calls a file: taken as it is, plain components and nothing else, or not at all; and shown on a terminal either way.
pub fn names(bytes: &[u8]) {
    let taken = SafeName::from_bytes(bytes);
    if let Ok(name) = &taken {
        let parts: Vec<_> = Path::new(name.as_str()).components().collect();
        assert_eq!(name.as_str().as_bytes(), bytes);
        assert!(parts.iter().all(|part| matches!(part, Component::Normal(_))), "{parts:?}");
        assert!(name.components().eq(parts.iter().filter_map(|part| part.as_os_str().to_str())));
        assert!(!name.components().any(|part| part.to_ascii_lowercase().starts_with(".homing-")));
        assert_eq!(name.components().next_back(), Some(name.file_name()));
        let parent = name.parent().map(|parent| SafeName::parse(parent).expect("it is as safe"));
        let whole = parent.map_or_else(|| name.file_name().into(), |parent| format!("{parent}/{}", name.file_name()));
        assert_eq!(whole, name.as_str());
    }
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(taken, SafeName::from_bytes(bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert_eq!(SafeName::parse(text), taken);
    }
    assert!(!Printable(&text).to_string().contains(|c: char| c.is_control() || is_hidden(c)), "{text:?}");
}

/// A key file, or a `known_hosts` in which one of a few servers is looked for, or met.
pub fn identity(script: &[u8]) {
    let mut script = Script(script);
    let Some(first) = script.byte() else { return };
    let hosts = ["example.org", "EXAMPLE.org", "127.0.0.1", "::1", "[::1]", "fe80::1%eth0", "a b", ""];
    match first & 3 {
        0 => papers::key(script.0),
        kind => papers::known_hosts(script.0, hosts[usize::from(first >> 2) % hosts.len()], kind == 3),
    }
}

/// The capability words with which a server acknowledges a start: given to a client at once, or with an acknowledgement that comes
/// later.
pub fn words(bytes: &[u8]) {
    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    let now = std::time::Instant::now();
    let start = b"s | 1207959601 | f | 1".to_vec();
    for is_late in [false, true] {
        let words = if is_late { b"homing/1".to_vec() } else { bytes.to_vec() };
        let config = call::Config {
            key: PrivateKey::new(&[3; 32]),
            expected: None,
            cipher: Cipher::Aes256Gcm,
            opening: Opening::Text { start: start.clone(), words },
            rtt: None,
            timeout: Duration::from_secs(30),
            seed: [4; 32],
        };
        let mut client = handshake::Client::new(config, now);
        if is_late {
            client.handle_datagram(&[b"a | 1207959602 | 1400 | ", bytes].concat(), now);
            client.handle_datagram(bytes, now);
        }
        for _ in 0..2 {
            if let Some(datagram) = client.poll_transmit()
                && let Ok(Datagram::Hello(hello)) = Datagram::decode(&datagram)
                && let Terms::Text { words, .. } = hello.terms
            {
                assert!(words.len() <= bytes.len() && words.starts_with(b"homing/1"), "only what was said is repeated");
            }
            assert!(client.poll_transmit().is_none(), "one at a time");
        }
        assert!(client.poll_timeout().is_none_or(|due| due > now));
        client.handle_timeout(now + Duration::from_secs(31));
        assert!(client.is_over());
    }
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
/// Pieces of compressed blocks, good ones and any others, until one of them ends the connection.
///
/// Every step begins with a byte: 0 frames as they are, with their length, two bytes, low one first, before them; 1 a piece of a good block
/// (which, from where and how long, in 255ths); 2 a whole one (which); 3 nothing below one (which) is wanted any more.
pub fn blocks(script: &[u8]) {
    let (mut script, mut blocks) = (Script(script), Blocks::new());
    for _ in 0..STEPS_MAX {
        let Some(step) = script.byte() else { break };
        let mut byte = || script.byte().unwrap_or_default();
        let goes_on = match step & 3 {
            1 => blocks.hear_good(byte(), (byte(), byte())),
            2 => blocks.hear_good(byte(), (0, 255)),
            3 => {
                blocks.pass(byte());
                true
            }
            _ => blocks.hear(script.datagram()),
        };
        if !goes_on {
            break;
        }
    }
}

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
