//! Handshakes under random weather: they succeed, or fail in time with a reason; nobody agrees on what was changed on the way; and
//! nobody who does not prove his address gets more out of a server than he put in.

use crate::{Replay, seeds};
use homing::packet::lab::{self, Message, Spelling};
use homing::packet::windowed::{Cipher, ConnectionId, Datagram, HELLO_LENGTH, Hello, Terms};
use homing::session::handshake::call;
use homing::session::handshake::server::{Config, Server, Verdict};
use homing::session::handshake::{Accepted, Client, Established, Event, Failure, Opening, PrivateKey};
use homing::session::windowed::protection::{Keys, Opener, Sealer};
use homing::weather::{Link, Weather};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(60);
const START: &[u8] = b"s | 1207959601 | a name | 000000000000000000000000000000000000000000000000000000000000000000000000000000000000001";
const FRAMES: &[u8] = b"\x01\x01\x01 as if they were frames";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn key(byte: u8) -> PrivateKey {
    PrivateKey::new(&[byte; 32])
}

#[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
fn beginning() -> Instant {
    Instant::now()
}

fn seed(number: u64, salt: u8) -> [u8; 32] {
    let mut seed = [salt; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    seed
}

fn server(number: u64, cipher: Cipher, now: Instant) -> Server {
    let parameters = b"parameters".to_vec();
    let config =
        Config { key: key(1), cipher, parameters, seed: seed(number, 1), pending_max: 64, pending_per_network_max: 8 };
    Server::new(config, now)
}

fn client_config(number: u64, opening: Opening, cipher: Cipher) -> call::Config {
    let expected = Some(key(1).public().fingerprint());
    call::Config { key: key(2), expected, cipher, opening, rtt: None, timeout: TIMEOUT, seed: seed(number, 2) }
}

/// Both directions of one side's packets.
struct Packets {
    to: ConnectionId,
    sealer: Sealer,
    opener: Opener,
    next: u64,
}

impl Packets {
    fn new(to: ConnectionId, keys: &Keys) -> Self {
        let (sealer, opener) = (Sealer::new(keys.cipher, &keys.send), Opener::new(keys.cipher, &keys.receive));
        Self { to, sealer, opener, next: 0 }
    }

    fn ping(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.next += 1;
        let mut draft = self.sealer.begin(self.to, self.next, HELLO_LENGTH, &mut out).expect("a number");
        draft.frames().byte(1).expect("room");
        draft.seal();
        out
    }

    fn hears(&mut self, datagram: &[u8], now: Instant) -> bool {
        let Ok(Datagram::Packet(header)) = Datagram::decode(datagram) else { return false };
        let number = self.opener.number(&header);
        self.opener.open(&header, number, &mut datagram.to_vec(), now).is_ok()
    }
}

/// A server with what an endpoint adds to it: the lab's answer to a start, and a packet for whoever finished.
struct Host {
    server: Server,
    accepted: BTreeMap<ConnectionId, (Accepted, Packets)>,
}

impl Host {
    fn new(number: u64, cipher: Cipher, now: Instant) -> Self {
        Self { server: server(number, cipher, now), accepted: BTreeMap::new() }
    }

    fn hear(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) -> Option<Vec<u8>> {
        if let Ok((Spelling::Spaced, Message::Start { seq, .. })) = lab::decode(datagram) {
            let words = self.server.words("homing/1 checked", from, datagram, now);
            let next = seq.checked_add(1)?;
            let answer = Message::Ack { next, bufsize: Some(1400), words: Some(words.as_bytes()) };
            let answer = answer.to_datagram(Spelling::Spaced).expect("it can be said");
            return (answer.len() <= datagram.len()).then_some(answer);
        }
        if let Ok(Datagram::Finish { to, .. }) = Datagram::decode(datagram)
            && let Some((_, packets)) = self.accepted.get_mut(&to)
        {
            return Some(packets.ping());
        }
        match self.server.handle_datagram(from, datagram, now) {
            Verdict::Ignored => None,
            Verdict::Answer(answer) => Some(answer),
            Verdict::Accepted(accepted) => {
                let mut packets = Packets::new(accepted.to, &accepted.keys);
                let ping = packets.ping();
                self.accepted.insert(accepted.id, (*accepted, packets));
                Some(ping)
            }
        }
    }
}

/// How it went.
struct Outcome {
    failure: Option<Failure>,
    established: Option<Established>,
    confirmed: bool,
    took: Duration,
    host: Host,
    datagrams: u32,
}

/// One client and one server in this weather. `meddle` sees, and may change, everything that passes; the number counts datagrams.
fn run(
    number: u64,
    weather: &Weather,
    config: call::Config,
    server_cipher: Cipher,
    meddle: &mut dyn FnMut(u32, &mut Vec<u8>),
) -> Outcome {
    let began = beginning();
    let mut now = began;
    let home = address("10.0.0.7:5000");
    let mut host = Host::new(number, server_cipher, began);
    let mut to_server: Link<()> = Link::new(weather.inward, number ^ 1);
    let mut to_client: Link<()> = Link::new(weather.outward, number ^ 2);
    let mut client = Client::new(config, began);
    let mut packets: Option<Packets> = None;
    let (mut failure, mut established, mut confirmed, mut datagrams) = (None, None, false, 0);
    for _ in 0..10_000 {
        while let Some(event) = client.poll_event() {
            match event {
                Event::Met { server, parameters } => {
                    assert_eq!((server, &parameters[..]), (key(1).public(), &b"parameters"[..]));
                    let done = client.finish(FRAMES, now).expect("it was met");
                    packets = Some(Packets::new(done.to, &done.keys));
                    established = Some(done);
                }
                Event::Over(why) => failure = Some(why),
            }
        }
        while let Some(mut datagram) = client.poll_transmit() {
            meddle(datagrams, &mut datagram);
            datagrams += 1;
            to_server.send(now, (), datagram);
        }
        if let Some(((), datagram)) = to_server.poll(now) {
            if let Some(mut answer) = host.hear(home, &datagram, now) {
                assert!(answer.len() <= datagram.len(), "never more than came");
                meddle(datagrams, &mut answer);
                datagrams += 1;
                to_client.send(now, (), answer);
            }
            continue;
        }
        if let Some(((), datagram)) = to_client.poll(now) {
            if packets.as_mut().is_some_and(|packets| packets.hears(&datagram, now)) {
                client.handle_confirmed(now);
                confirmed = true;
            } else {
                client.handle_datagram(&datagram, now);
            }
            continue;
        }
        let due =
            [client.poll_timeout(), to_server.poll_timeout(), to_client.poll_timeout()].into_iter().flatten().min();
        match due.filter(|_| !client.is_over()) {
            Some(next) => now = next.max(now),
            None => break,
        }
        client.handle_timeout(now);
    }
    assert!(client.is_over() && client.poll_timeout().is_none(), "it comes to an end");
    assert!(now <= began + TIMEOUT, "and in time");
    host.server.handle_timeout(now + TIMEOUT);
    assert_eq!((host.server.pending(), host.server.poll_timeout()), (0, None), "the server forgets");
    Outcome { failure, established, confirmed, took: now - began, host, datagrams }
}

/// The two agree on everything.
fn check_agreement(outcome: &Outcome) {
    let established = outcome.established.as_ref().expect("established");
    let (accepted, _) = &outcome.host.accepted[&established.to];
    assert_eq!(accepted.client, key(2).public());
    assert_eq!(accepted.to, established.id);
    assert_eq!(accepted.first_frames, FRAMES);
    assert_eq!(accepted.keys.cipher, established.keys.cipher);
    assert_eq!((&accepted.keys.send, &accepted.keys.receive), (&established.keys.receive, &established.keys.send));
    assert!(established.reset.is(&outcome.host.server.reset_token(established.to)));
}

fn opening(host: &mut Host, is_text: bool, now: Instant) -> Opening {
    if !is_text {
        return Opening::Binary;
    }
    let answer = host.hear(address("10.0.0.7:5000"), START, now).expect("an acknowledgement");
    let Ok((_, Message::Ack { words: Some(words), .. })) = lab::decode(&answer) else { panic!("no words") };
    Opening::Text { start: START.to_vec(), words: words.to_vec() }
}

/// An opening that the server of this seed has really made.
fn true_opening(number: u64, is_text: bool, cipher: Cipher) -> Opening {
    let now = beginning();
    opening(&mut Host::new(number, cipher, now), is_text, now)
}

fn ciphers(rng: &mut fastrand::Rng) -> [Cipher; 2] {
    [(); 2].map(|()| if rng.bool() { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 })
}

#[test]
fn a_clean_path_takes_one_round_trip_to_a_token_and_one_more_to_data() {
    // Two of the datagrams are copies of the last message, which nothing has confirmed yet.
    for (is_text, flights, millis) in [(true, 6, 200), (false, 8, 300)] {
        for ours in [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
            for theirs in [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
                let weather = "delay=50ms".parse().expect("a weather");
                let config = client_config(1, true_opening(1, is_text, theirs), ours);
                let outcome = run(1, &weather, config, theirs, &mut |_, _| {});
                check_agreement(&outcome);
                assert_eq!((outcome.datagrams, outcome.took), (flights, Duration::from_millis(millis)));
                let cipher = outcome.established.expect("established").keys.cipher;
                let both_have_aes = ours == Cipher::Aes256Gcm && theirs == Cipher::Aes256Gcm;
                assert_eq!(cipher == Cipher::Aes256Gcm, both_have_aes);
            }
        }
    }
}

#[test]
fn handshakes_succeed_in_bad_weather_or_fail_in_time() {
    let (mut failed, mut count) = (0, 0);
    for number in seeds(1500) {
        let _replay = Replay("handshakes_succeed_in_bad_weather_or_fail_in_time", number);
        let mut rng = fastrand::Rng::with_seed(number);
        let [ours, theirs] = ciphers(&mut rng);
        let words = format!(
            "loss={}%,dup={}%,reorder={}%,corrupt={}%,delay={}ms,jitter={}ms",
            rng.u8(0..=50),
            rng.u8(0..=20),
            rng.u8(0..=20),
            if rng.bool() { 0 } else { rng.u8(0..=20) },
            rng.u16(0..=600),
            rng.u16(0..=300),
        );
        let weather: Weather = words.parse().expect("a weather");
        let config = client_config(number, true_opening(number, rng.bool(), theirs), ours);
        let outcome = run(number, &weather, config, theirs, &mut |_, _| {});
        count += 1;
        match outcome.failure {
            None => {
                assert!(outcome.confirmed);
                check_agreement(&outcome);
            }
            Some(Failure::NoAnswer { .. } | Failure::NotConfirmed) => failed += 1,
            Some(other) => panic!("{other:?}"),
        }
        assert!(outcome.host.accepted.len() <= 1, "one client is one connection");
    }
    // In the worst of it a server hears nothing for the ten seconds that it waits: one time in a thousand.
    assert!(failed * 200 <= count, "{failed} of {count} failed");
}

#[test]
fn who_changes_a_byte_of_the_negotiation_ends_it() {
    let weather = Weather::default();
    for is_text in [true, false] {
        let config = || client_config(3, true_opening(3, is_text, Cipher::Aes256Gcm), Cipher::Aes256Gcm);
        let whole = run(3, &weather, config(), Cipher::Aes256Gcm, &mut |_, _| {});
        check_agreement(&whole);
        // The same datagram of every attempt is changed at the same place, so that repeating does not help.
        for kind in [0xc0_u8, 0xc1, 0xc2, 0xc3] {
            let mut lengths = Vec::new();
            run(3, &weather, config(), Cipher::Aes256Gcm, &mut |_, datagram| {
                if datagram[0] == kind {
                    lengths.push(datagram.len());
                }
            });
            let Some(longest) = lengths.into_iter().max() else { continue };
            // A hello is mostly padding; of that only the beginning.
            for at in 0..longest.min(220) {
                let outcome = run(3, &weather, config(), Cipher::Aes256Gcm, &mut |_, datagram| {
                    if datagram[0] == kind && at < datagram.len() {
                        datagram[at] ^= 1;
                    }
                });
                assert!(outcome.failure.is_some() && !outcome.confirmed, "text {is_text}, {kind:x}, byte {at}");
                assert!(outcome.host.accepted.is_empty());
            }
        }
    }
}

#[test]
fn words_that_were_stripped_or_added_end_it() {
    let Opening::Text { start, words } = true_opening(4, true, Cipher::ChaCha20Poly1305) else { panic!("text") };
    let words = String::from_utf8(words).expect("text");
    assert!(words.starts_with("homing/1 checked chacha20 windowed="));
    for (from, to) in [("checked ", ""), ("chacha20 ", ""), ("checked", "checkes"), ("checked", "checked more")] {
        let changed = words.replace(from, to);
        assert_ne!(changed, words);
        let opening = Opening::Text { start: start.clone(), words: changed.into_bytes() };
        let config = client_config(4, opening, Cipher::Aes256Gcm);
        // Every acknowledgement is changed alike.
        let outcome = run(4, &Weather::default(), config, Cipher::ChaCha20Poly1305, &mut |_, datagram| {
            if datagram.starts_with(b"a | ") {
                *datagram = String::from_utf8_lossy(datagram).replace(from, to).into_bytes();
            }
        });
        assert_eq!(outcome.failure, Some(Failure::NoAnswer { forged: 0, unreachable: false }), "{from:?}");
        assert!(outcome.host.accepted.is_empty());
    }
    let opening = Opening::Text { start, words: words.replace("checked ", "").into_bytes() };
    let config = client_config(4, opening, Cipher::Aes256Gcm);
    let outcome = run(4, &Weather::default(), config, Cipher::ChaCha20Poly1305, &mut |_, _| {});
    check_agreement(&outcome);
    assert_eq!(outcome.failure, None, "words that were damaged once are asked for again");
}

#[test]
fn a_server_with_another_key_than_the_expected_one_does_not_learn_who_we_are() {
    let config = call::Config {
        expected: Some(key(9).public().fingerprint()),
        ..client_config(5, Opening::Binary, Cipher::Aes256Gcm)
    };
    let mut finishes = 0;
    let outcome = run(5, &Weather::default(), config, Cipher::Aes256Gcm, &mut |_, datagram| {
        finishes += u32::from(datagram[0] == 0xc3);
    });
    let (expected, found) = (key(9).public().fingerprint(), key(1).public());
    assert_eq!(outcome.failure, Some(Failure::OtherKey { expected, found }));
    assert_eq!(finishes, 0);
}

#[test]
fn a_server_of_another_version_is_recognised() {
    let config = client_config(6, Opening::Binary, Cipher::Aes256Gcm);
    let outcome = run(6, &Weather::default(), config, Cipher::Aes256Gcm, &mut |_, datagram| match datagram[0] {
        0xc0 => datagram[1] = 2,
        0xc4 => datagram[1] = 7,
        _ => {}
    });
    assert_eq!(outcome.failure, Some(Failure::OtherVersion(7)));
}

#[test]
fn a_hundred_thousand_hellos_without_a_token_leave_nothing_behind() {
    let now = beginning();
    let mut host = Host::new(7, Cipher::Aes256Gcm, now);
    let mut rng = fastrand::Rng::with_seed(7);
    for count in 0..100_000_u32 {
        let from = SocketAddr::from((rng.u32(..).to_be_bytes(), rng.u16(1..)));
        let hello = Hello {
            from: ConnectionId(rng.u64(..).to_be_bytes()),
            cipher: Cipher::Aes256Gcm,
            terms: Terms::None,
            noise: &[],
        };
        let hello = Datagram::Hello(hello).encode().expect("a hello");
        let answer = host.hear(from, &hello, now + Duration::from_micros(count.into())).expect("a retry");
        assert!(answer.len() <= 64);
    }
    assert_eq!((host.server.pending(), host.server.poll_timeout()), (0, None));
}

#[test]
fn a_spoofed_address_never_gets_more_than_was_sent_in_its_name() {
    for number in seeds(300) {
        let _replay = Replay("a_spoofed_address_never_gets_more_than_was_sent_in_its_name", number);
        let mut rng = fastrand::Rng::with_seed(number);
        // What an attacker sees of a real handshake, sent again in the name of his victim, damaged or not.
        let mut seen: Vec<Vec<u8>> = vec![START.to_vec()];
        let config = client_config(number, true_opening(number, rng.bool(), Cipher::Aes256Gcm), Cipher::Aes256Gcm);
        let mut outcome = run(number, &Weather::default(), config, Cipher::Aes256Gcm, &mut |_, datagram| {
            seen.push(datagram.clone());
        });
        let now = beginning();
        let victim = address("192.0.2.1:53");
        let (mut sent, mut got, mut answers) = (0, 0, 0);
        for step in 0..200_u64 {
            let mut datagram = seen[rng.usize(..seen.len())].clone();
            match rng.u8(..4) {
                0 => datagram.truncate(rng.usize(..=datagram.len())),
                1 => {
                    let bit = rng.usize(..datagram.len() * 8);
                    datagram[bit / 8] ^= 1 << (bit % 8);
                }
                2 => datagram.extend(std::iter::repeat_with(|| rng.u8(..)).take(30)),
                _ => {}
            }
            // To a connection that is established a packet of its own is answered elsewhere: only the handshake is judged here.
            outcome.host.accepted.clear();
            sent += datagram.len();
            if let Some(answer) = outcome.host.hear(victim, &datagram, now + Duration::from_millis(step * 50)) {
                assert!(answer.len() <= datagram.len());
                got += answer.len();
                answers += 1;
            }
        }
        assert!(got <= sent && answers <= 200);
        assert_eq!(outcome.host.server.pending(), 0, "nothing is kept for an address that is not proven");
    }
}
