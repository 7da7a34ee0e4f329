//! A lab start that offers, and what comes of it: the windowed mode with a server that has it, checked with one that has not; and
//! nothing is left of what was not chosen, whatever the network does.

use crate::transfers::random_weather;
use crate::{Replay, seeds};
use homing::endpoint::{Config, Endpoint, Event as ServerEvent};
use homing::harbour::{self, Harbour};
use homing::hostile::Serving;
use homing::packet::Spelling;
use homing::packet::windowed::Cipher;
use homing::porter::Porter;
use homing::session::congestion::Choice;
use homing::session::handshake::{Opening, PrivateKey, call, server};
use homing::session::stop_and_wait::{Event, Invitation, Order, Sender, Transfer};
use homing::session::windowed::caller::Caller;
use homing::session::windowed::reception;
use homing::session::windowed::streams::Source;
use homing::session::windowed::upload::{self, Upload};
use homing::session::{Machine, Mode, OFFER_START_MIN, Via};
use homing::weather::{Link, Weather};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(600);
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 12300);
const CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), 40000);

#[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
fn beginning() -> Instant {
    Instant::now()
}

fn seed<const N: usize>(number: u64, salt: u8) -> [u8; N] {
    let mut seed = [salt; N];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    seed
}

fn porter(number: u64, is_windowed: bool, now: Instant) -> Porter<Endpoint> {
    let limits = harbour::Config {
        max_transfers: 4,
        max_transfers_per_network: 4,
        timeout: TIMEOUT,
        mtu_max: 1472,
        seed: seed(number, 1),
    };
    let greeting = server::Config {
        key: PrivateKey::new(&[1; 32]),
        cipher: if number.is_multiple_of(2) { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 },
        parameters: Vec::new(),
        seed: seed(number, 2),
        pending_max: 4,
        pending_per_network_max: 4,
    };
    let endpoint = Endpoint::new(Config { idle_timeout: TIMEOUT, ..Config::default() });
    Porter::new(endpoint, is_windowed.then(|| Harbour::new(limits, greeting, now)))
}

fn sender(number: u64, mode: Mode, now: Instant) -> Sender {
    let (name, spelling) = ("f".to_owned(), Spelling::Spaced);
    let transfer =
        Transfer { peers: vec![SERVER], spelling, mode, name, size: 5, nonce: number as u32, timeout: TIMEOUT };
    Sender::new(transfer, now).expect("a short name")
}

/// Nothing but a manifest of zeros.
struct Zeros;

impl Source for Zeros {
    fn read(&mut self, _space: homing::packet::windowed::frame::Space, _offset: u64, into: &mut [u8]) -> bool {
        into.fill(0);
        true
    }
}

fn caller(number: u64, invitation: Invitation, now: Instant) -> Caller<Zeros> {
    let Invitation { peer, start, words, rtt } = invitation;
    let call = call::Config {
        key: PrivateKey::new(&[2; 32]),
        expected: None,
        cipher: Cipher::Aes256Gcm,
        opening: Opening::Text { start, words },
        rtt,
        timeout: TIMEOUT,
        seed: seed(number, 3),
    };
    let sending = upload::Sending {
        choice: Choice::Bbr,
        remembered: None,
        mtu_max: 1472,
        timeout: TIMEOUT,
        seed: seed(number, 4),
    };
    let mut upload = Upload::new(call, sending, Zeros, now);
    upload.handle_manifest(MANIFEST);
    Caller::towards(peer, upload, vec![SERVER], now)
}

const MANIFEST: u64 = 100;

/// In place of a number of copies: the datagram is lost, and the server is another one that knows nobody.
const RESTART: u32 = 100;

/// What came of it.
#[derive(Debug, Default)]
struct Outcome {
    /// The windowed transfer was done, or the checked one begun.
    is_windowed: bool,
    is_checked: bool,
    took: Duration,
    /// Datagrams of the client until then.
    sent: u32,
    /// What the application was told of the checked transfer that the start opened.
    told: Vec<ServerEvent>,
    /// What its disk had to do.
    orders: u32,
    /// Windowed transfers at the server.
    opened: u32,
}

/// The client's side, before and after the invitation.
enum Side {
    Start(Box<Sender>),
    Call(Box<Caller<Zeros>>),
}

impl Side {
    fn machine(&mut self) -> &mut dyn Machine {
        match self {
            Side::Start(sender) => sender.as_mut(),
            Side::Call(caller) => caller.as_mut(),
        }
    }
}

/// One client and one server. `touch` says what becomes of the n-th datagram of each way: how many copies arrive.
fn run(
    number: u64,
    weather: &Weather,
    (mode, is_windowed): (Mode, bool),
    touch: &dyn Fn(bool, u32) -> u32,
) -> (Outcome, Porter<Endpoint>, Instant) {
    let began = beginning();
    let mut now = began;
    let mut porter = porter(number, is_windowed, now);
    let mut side = Side::Start(Box::new(sender(number, mode, now)));
    let (mut inward, mut outward) = (Link::new(weather.inward, number ^ 1), Link::new(weather.outward, number ^ 2));
    let mut outcome = Outcome::default();
    let (mut answered, mut heard, mut said, mut is_proved) = (0, 0, 0, false);
    for _ in 0..200_000 {
        while let Some(((), datagram)) = inward.poll(now) {
            heard += datagram.len();
            porter.handle_packet(Via::default(), CLIENT, &mut datagram.clone(), None, now);
        }
        while let Some(((), datagram)) = outward.poll(now) {
            side.machine().handle_packet(Via::default(), SERVER, &mut datagram.clone(), None, now);
        }
        porter.handle_timeout(now);
        side.machine().handle_timeout(now);
        while let Some(event) = Serving::poll_event(&mut porter, now) {
            match event {
                ServerEvent::Order(id, Order::Admit { .. }) => porter.endpoint().handle_admitted(id, Ok(()), now),
                ServerEvent::Order(..) => outcome.orders += 1,
                told => outcome.told.push(told),
            }
        }
        if let Some(harbour) = porter.harbour() {
            while let Some(event) = harbour.poll_event() {
                match event {
                    harbour::Event::Opened { .. } => (is_proved, outcome.opened) = (true, outcome.opened + 1),
                    harbour::Event::Happened { id, event: reception::Event::Manifest(bytes) } => {
                        harbour.with(id, now, |it| {
                            it.handle_taken(homing::packet::windowed::frame::Space::Manifest, bytes.len() as u64);
                            it.handle_end(0);
                        });
                        harbour.handle_done(id, now);
                    }
                    harbour::Event::Happened { .. } => {}
                }
            }
        }
        let mut invitation = None;
        match &mut side {
            Side::Start(sender) => {
                while let Some(event) = sender.poll_event() {
                    match event {
                        Event::Invited(it) => invitation = Some(it),
                        Event::WantsChunk { .. } => sender.handle_chunk(b"bytes".to_vec(), now),
                        Event::Progress { .. } => outcome.is_checked = true,
                        Event::Over(over) => panic!("{over:?}"),
                        Event::Connected { checked, .. } => assert!(checked),
                        Event::WantsDigest => {}
                    }
                }
            }
            Side::Call(caller) => {
                while let Some(event) = caller.upload().poll_event() {
                    match event {
                        upload::Event::Met { .. } => caller.upload().welcome(now),
                        upload::Event::Done => outcome.is_windowed = true,
                        upload::Event::Failed(failure) => panic!("{failure:?}"),
                        upload::Event::Answer(_) | upload::Event::Over(_) => {}
                    }
                }
            }
        }
        if let Some(invitation) = invitation {
            side = Side::Call(Box::new(caller(number, invitation, now)));
        }
        while let Some(transmit) = side.machine().poll_transmit(now) {
            for datagram in transmit.datagrams() {
                let copies = touch(true, outcome.sent);
                if copies == RESTART {
                    porter = self::porter(number + 2, is_windowed, now);
                }
                for _ in 0..copies % RESTART {
                    inward.send(now, (), datagram.to_vec());
                }
                outcome.sent += 1;
            }
        }
        while let Some(transmit) = porter.poll_transmit(now) {
            for datagram in transmit.datagrams() {
                said += datagram.len();
                for _ in 0..touch(false, answered) {
                    outward.send(now, (), datagram.to_vec());
                }
                answered += 1;
            }
        }
        assert!(is_proved || said <= heard, "never more than came, before the address is proved");
        if outcome.is_windowed || outcome.is_checked {
            outcome.took = now - began;
            return (outcome, porter, now);
        }
        let due = [inward.poll_timeout(), outward.poll_timeout(), porter.poll_timeout(), side.machine().poll_timeout()];
        now = due.into_iter().flatten().min().expect("somebody goes on").max(now);
    }
    panic!("it does not come to an end: {outcome:?}");
}

/// What the start had opened is not there any more, and never was told of.
fn check_departed(outcome: &Outcome, porter: &mut Porter<Endpoint>) {
    assert!(outcome.is_windowed && outcome.told.is_empty() && outcome.orders == 0, "{outcome:?}");
    assert_eq!((porter.endpoint().running(), outcome.opened), (0, 1), "{outcome:?}");
}

#[test]
fn the_windowed_mode_begins_one_round_trip_after_the_start_s() {
    let weather = "delay=50ms".parse().expect("a weather");
    let (outcome, mut porter, _) = run(1, &weather, (Mode::Any, true), &|_, _| 1);
    check_departed(&outcome, &mut porter);
    // Start, hello, and then finish and manifest at once: three round trips to the last word.
    assert!(outcome.took < Duration::from_millis(350), "{outcome:?}");
    let (outcome, ..) = run(1, &weather, (Mode::Any, false), &|_, _| 1);
    assert_eq!((outcome.is_checked, outcome.took), (true, Duration::from_millis(200)), "{outcome:?}");
    assert!(matches!(outcome.told[..], [ServerEvent::Started { checked: true, .. }, ServerEvent::Progress { .. }]));
}

#[test]
fn who_wants_checked_gets_it_from_a_server_that_offers_more_and_is_told_of_with_the_first_chunk() {
    for mode in [Mode::Checked, Mode::Auto] {
        let (outcome, mut porter, _) = run(2, &Weather::default(), (mode, true), &|_, _| 1);
        assert!(outcome.is_checked);
        assert!(matches!(outcome.told[..], [ServerEvent::Started { checked: true, .. }, ServerEvent::Progress { .. }]));
        assert_eq!((porter.endpoint().running(), outcome.opened), (1, 0));
    }
}

#[test]
fn a_start_or_an_answer_that_is_lost_or_comes_twice_changes_nothing() {
    let weather = "delay=20ms".parse().expect("a weather");
    for way in [true, false] {
        for at in 0..3 {
            for copies in [0, 2, 5] {
                let touch = |to_server, number| if (to_server, number) == (way, at) { copies } else { 1 };
                let (outcome, mut porter, _) = run(3, &weather, (Mode::Any, true), &touch);
                check_departed(&outcome, &mut porter);
                assert!(outcome.took < Duration::from_secs(3), "{way} {at} {copies}: {outcome:?}");
            }
        }
    }
}

#[test]
fn a_server_that_was_started_anew_in_the_middle_of_the_handshake_is_greeted_anew() {
    let weather = "delay=20ms".parse().expect("a weather");
    // The start is 0, the hello 1, the finish 2, and behind it come packets.
    for at in [1, 2] {
        let touch = |to_server, number| if (to_server, number) == (true, at) { RESTART } else { 1 };
        let (outcome, mut porter, _) = run(5, &weather, (Mode::Any, true), &touch);
        check_departed(&outcome, &mut porter);
        assert!(outcome.took < Duration::from_secs(6), "{at}: {outcome:?}");
    }
}

#[test]
fn a_late_copy_of_the_start_opens_nothing() {
    let (outcome, mut porter, mut now) = run(4, &Weather::default(), (Mode::Any, true), &|_, _| 1);
    check_departed(&outcome, &mut porter);
    let start = sender(4, Mode::Any, now).poll_transmit(now).expect("a start").bytes;
    assert_eq!(start.len(), OFFER_START_MIN);
    let mut answers = Vec::new();
    for _ in 0..3 {
        now += Duration::from_secs(16);
        porter.handle_packet(Via::default(), CLIENT, &mut start.clone(), None, now);
        assert_eq!(Serving::poll_event(&mut porter, now), None);
        while let Some(transmit) = porter.poll_transmit(now) {
            if transmit.bytes.starts_with(b"a | ") {
                assert!(transmit.bytes.len() <= start.len());
                answers.push(transmit.bytes);
            }
        }
    }
    answers.dedup();
    assert_eq!((answers.len(), porter.endpoint().running()), (3, 0), "each with a token of its own time");
}

#[test]
fn the_negotiation_comes_to_its_end_whatever_the_network_does() {
    for number in seeds(100) {
        let _replay = Replay("the_negotiation_comes_to_its_end_whatever_the_network_does", number);
        let mut rng = fastrand::Rng::with_seed(number);
        let weather = random_weather(&mut rng, false).parse().expect("a weather");
        let (outcome, mut porter, _) = run(number, &weather, (Mode::Any, true), &|_, _| 1);
        assert!(outcome.is_windowed && outcome.told.is_empty(), "{outcome:?}");
        assert_eq!(porter.endpoint().running(), 0, "{outcome:?}");
        let (outcome, ..) = run(number, &weather, (Mode::Any, false), &|_, _| 1);
        assert!(outcome.is_checked && outcome.opened == 0, "{outcome:?}");
    }
}
