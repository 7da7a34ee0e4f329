//! Windowed transfers the other way round: a client asks, its server sends, under random weather, with a client that moves.

use crate::compressing::Blocks;
use crate::transfers::random_weather;
use crate::uploads::{beginning, bytes, harbour, key};
use crate::{Replay, seeds};
use homing::harbour::{self, Harbour};
use homing::packet::windowed::Cipher;
use homing::packet::windowed::frame::Space;
use homing::ranges::RangeSet;
use homing::session::Via;
use homing::session::congestion::Choice;
use homing::session::handshake::{Failure, Opening, call};
use homing::session::windowed::caller::Errand;
use homing::session::windowed::connection::End;
use homing::session::windowed::download::{Download, Event, Fetching};
use homing::session::windowed::reception;
use homing::session::windowed::streams::{Form, Source};
use homing::weather::{Link, Weather};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;
use std::time::Instant;

const REQUEST: &[u8] = b"the files, please";
const WORD: &[u8] = b"one of them is not here";
const VERDICT: &[u8] = b"all is well";

/// How many bytes there are, at length, and the bytes.
struct Supply {
    manifest: Vec<u8>,
    blocks: Blocks,
}

impl Source for Supply {
    fn read(&mut self, space: Space, offset: u64, into: &mut [u8]) -> bool {
        for (at, byte) in into.iter_mut().enumerate() {
            *byte = match space {
                Space::Manifest => self.manifest[offset as usize + at],
                _ => self.blocks.content(offset + at as u64),
            };
        }
        true
    }

    fn form(&mut self, range: Range<u64>, may_compress: bool) -> Form {
        self.blocks.form(range, may_compress)
    }
}

pub struct Plan {
    weather: String,
    pub bytes: u64,
    manifest: usize,
    pub choice: Choice,
    /// How long the client's disk takes.
    pub disk: Duration,
    /// The client's address changes so often.
    moves_every: Option<Duration>,
    /// The client goes on without these bytes.
    pub refused: u64,
    /// The client has these from an earlier session, and says so before anything is sent.
    pub held: RangeSet,
    pub blocks: Blocks,
}

impl Plan {
    pub fn new(weather: &str, bytes: u64) -> Self {
        let (weather, choice, disk) = (weather.to_owned(), Choice::Bbr, Duration::ZERO);
        let (held, blocks) = (RangeSet::new(), Blocks::default());
        Self { weather, bytes, manifest: 100, choice, disk, moves_every: None, refused: 0, held, blocks }
    }
}

impl Plan {
    /// The client has something to say as soon as it knows what comes.
    fn is_answered_early(&self) -> bool {
        self.refused > 0 || !self.held.is_empty()
    }
}

fn new_download(seed: u64, now: Instant) -> Download {
    let timeout = Duration::from_secs(300);
    let call = call::Config {
        key: key(2),
        expected: Some(key(1).public().fingerprint()),
        cipher: Cipher::Aes256Gcm,
        opening: Opening::Binary,
        rtt: None,
        timeout,
        seed: bytes(seed, 5),
    };
    let fetching = Fetching { request: REQUEST.to_vec(), mtu_max: 1472, timeout, seed: bytes(seed, 6) };
    Download::new(call, fetching, now)
}

/// The server's application.
#[derive(Default)]
struct Giver {
    request: Vec<u8>,
    verdict: Vec<u8>,
    is_done: bool,
    over: Option<End>,
}

impl Giver {
    fn serve(&mut self, harbour: &mut Harbour, plan: &Plan, now: Instant) {
        while let Some(event) = harbour.poll_event() {
            let harbour::Event::Happened { id, event } = event else {
                *self = Self::default();
                continue;
            };
            match event {
                reception::Event::Manifest(bytes) => {
                    harbour.with(id, now, |reception| reception.handle_taken(Space::Manifest, bytes.len() as u64));
                    self.request.extend(bytes);
                    if self.request == REQUEST {
                        let mut manifest = plan.bytes.to_be_bytes().to_vec();
                        manifest.resize(plan.manifest.max(8), 7);
                        let length = manifest.len() as u64;
                        harbour.with(id, now, |reception| {
                            reception.turn(plan.choice, Box::new(Supply { manifest, blocks: plan.blocks }));
                            reception.handle_answer(WORD);
                            reception.handle_manifest(length);
                            if plan.held.is_empty() {
                                reception.handle_data(plan.bytes);
                                reception.handle_complete();
                            }
                        });
                    }
                }
                reception::Event::Answer(bytes) => {
                    if self.verdict.is_empty() && plan.refused > 0 {
                        harbour.with(id, now, |reception| reception.handle_void(0..plan.refused));
                    }
                    if self.verdict.is_empty() && !plan.held.is_empty() {
                        harbour.with(id, now, |reception| {
                            plan.held.iter().for_each(|range| reception.handle_void(range));
                            reception.handle_data(plan.bytes);
                            reception.handle_complete();
                        });
                    }
                    self.verdict.extend(bytes);
                }
                reception::Event::Done => {
                    assert_eq!(self.verdict, VERDICT, "the whole of it comes before the end");
                    self.is_done = true;
                }
                reception::Event::Data(_) => panic!("who asks sends nothing"),
                reception::Event::Over(end) => self.over = Some(end),
            }
        }
    }
}

/// The client's application.
#[derive(Default)]
struct Taker {
    manifest: Vec<u8>,
    word: Vec<u8>,
    received: RangeSet,
    fresh: u64,
    pending: Vec<(Instant, u64)>,
    end: Option<u64>,
    is_done: bool,
    over: Option<End>,
    began_anew: bool,
}

impl Taker {
    /// Below what is missing nothing is wanted, whoever brought it.
    fn pass(&self, download: &mut Download, plan: &Plan) {
        if !plan.held.is_empty() {
            let passed = self.received.first_gap(0);
            download.with(|reception| reception.handle_passed(passed));
        }
    }

    fn take(&mut self, download: &mut Download, plan: &Plan, now: Instant) {
        let due: Vec<u64> = self.pending.extract_if(.., |(due, _)| *due <= now).map(|(_, bytes)| bytes).collect();
        for bytes in due {
            download.with(|reception| reception.handle_taken(Space::Data, bytes));
        }
        while let Some(event) = download.poll_event() {
            match event {
                Event::Met { .. } => download.welcome(now),
                Event::Failed(Failure::NotConfirmed) => self.began_anew = true,
                Event::Failed(failure) => panic!("{failure:?}"),
                Event::Happened(reception::Event::Manifest(bytes)) => {
                    download.with(|reception| reception.handle_taken(Space::Manifest, bytes.len() as u64));
                    self.manifest.extend(bytes);
                    if self.manifest.len() == plan.manifest.max(8) {
                        let end = u64::from_be_bytes(*self.manifest.first_chunk().expect("eight bytes"));
                        self.end = Some(end);
                        download.with(|reception| {
                            reception.handle_end(end);
                            if plan.is_answered_early() {
                                reception.handle_answer(&VERDICT[..3]);
                                reception.handle_passed(plan.refused);
                            }
                        });
                        for range in plan.held.iter() {
                            self.received.insert(range);
                        }
                        self.pass(download, plan);
                    }
                }
                Event::Happened(reception::Event::Data(block)) => {
                    let is_right = |(at, byte): (usize, &u8)| *byte == plan.blocks.content(block.offset + at as u64);
                    assert!(block.bytes.iter().enumerate().all(is_right), "at {}", block.offset);
                    let length = block.bytes.len() as u64;
                    assert_eq!(self.received.insert(block.offset..block.offset + length), length, "each byte once");
                    self.fresh += length;
                    self.pass(download, plan);
                    self.pending.push((now + plan.disk, length));
                }
                Event::Happened(reception::Event::Answer(bytes)) => self.word.extend(bytes),
                Event::Happened(reception::Event::Done) => panic!("only the client says so"),
                Event::Happened(reception::Event::Over(end)) => self.over = Some(end),
            }
        }
        let is_whole = self.end.is_some_and(|end| self.received.first_gap(plan.refused.min(end)) >= end);
        if is_whole && self.word == WORD && self.pending.is_empty() && !self.is_done {
            self.is_done = true;
            download.with(|reception| {
                reception.handle_answer(if plan.is_answered_early() { &VERDICT[3..] } else { VERDICT });
                reception.handle_done();
            });
        }
    }
}

/// One transfer, until both sides have forgotten it; gives how long it took.
pub fn run(plan: &Plan, seed: u64) -> Duration {
    let weather: Weather = plan.weather.parse().expect("a weather");
    let began = beginning();
    let mut now = began;
    let (mut to_server, mut to_client) = (Link::new(weather.inward, seed ^ 11), Link::new(weather.outward, seed ^ 22));
    let (mut harbour, mut download) = (harbour(seed, now), new_download(seed, now));
    let (mut giver, mut taker, mut out) = (Giver::default(), Taker::default(), Vec::new());
    let (mut done_at, mut lives) = (None, 0);
    for _ in 0..20_000_000_u64 {
        let port = plan.moves_every.map_or(0, |every| ((now - began).as_nanos() / every.as_nanos()) as u16 % 1000);
        let client = SocketAddr::from(([192, 0, 2, 2], 5000 + port));
        while let Some((from, mut datagram)) = to_server.poll(now) {
            harbour.handle_datagram(Via::default(), from, &mut datagram, None, now);
        }
        while let Some((to, mut datagram)) = to_client.poll(now) {
            // Who has moved is not where he was.
            if to == client {
                download.handle_datagram(&mut datagram, None, now);
            }
        }
        if harbour.poll_timeout().is_some_and(|due| due <= now) {
            harbour.handle_timeout(now);
        }
        if download.poll_timeout(now).is_some_and(|due| due <= now) {
            download.handle_timeout(now);
        }
        giver.serve(&mut harbour, plan, now);
        taker.take(&mut download, plan, now);
        if std::mem::take(&mut taker.began_anew) {
            lives += 1;
            download = new_download(seed.wrapping_add(lives << 32), now);
            taker = Taker::default();
        }
        done_at = done_at.or(taker.is_done.then_some(now));
        while let Some(batch) = download.poll_transmit(&mut out, now) {
            for datagram in std::mem::take(&mut out).chunks(batch.segment) {
                to_server.send(now, client, datagram.to_vec());
            }
        }
        while let Some(shipment) = harbour.poll_transmit(&mut out, now) {
            for datagram in std::mem::take(&mut out).chunks(shipment.batch.segment) {
                to_client.send(now, shipment.to, datagram.to_vec());
            }
        }
        if taker.over.is_some() && harbour.transfers() == 0 {
            break;
        }
        let disk = taker.pending.iter().map(|(due, _)| *due).min();
        let due = [download.poll_timeout(now), to_client.poll_timeout(), to_server.poll_timeout(), disk];
        match due.into_iter().chain([harbour.poll_timeout()]).flatten().min() {
            Some(next) => now = next.max(now),
            None => break,
        }
    }
    let unwanted = plan.refused.min(plan.bytes) + plan.held.total();
    assert!(taker.fresh >= plan.bytes - unwanted, "every byte came that was wanted");
    assert!(plan.held.is_empty() || taker.fresh == plan.bytes - unwanted, "nothing came that was here");
    assert!(giver.is_done, "the server knows");
    assert_eq!(giver.over, Some(End::Closed));
    assert!(matches!(taker.over, Some(End::ClosedByPeer { code: 0, .. } | End::Forgotten)), "{:?}", taker.over);
    assert_eq!(harbour.transfers(), 0, "the server forgets");
    done_at.expect("it was done") - began
}

#[test]
fn downloads_are_whole_whatever_the_network_does() {
    for seed in seeds(60) {
        let _replay = Replay("downloads_are_whole", seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut plan = Plan::new(&random_weather(&mut rng, false), rng.u64(0..200_000));
        plan.manifest = rng.usize(0..100_000);
        plan.disk = Duration::from_millis(rng.u64(0..20));
        plan.choice = *rng.choice(&[Choice::Bbr, Choice::Bbr, Choice::Cubic, Choice::Background]).expect("four");
        let took = run(&plan, seed);
        let limit = if plan.choice == Choice::Bbr { 300 } else { 1800 };
        assert!(took < Duration::from_secs(limit), "{took:?} with {}", plan.choice);
    }
}

#[test]
fn a_client_that_gets_and_moves_is_followed() {
    for seed in seeds(4).take(100) {
        let _replay = Replay("a_client_that_gets_and_moves", seed);
        let mut plan = Plan::new("rate=20mbit,delay=20ms,loss=1%", 5_000_000);
        plan.moves_every = Some(Duration::from_secs(2));
        let took = run(&plan, seed);
        assert!(took < Duration::from_secs(20), "{took:?}");
    }
}

#[test]
fn what_the_client_does_not_want_need_not_come() {
    // Some are enough of transfers as long as these.
    for seed in seeds(10).take(200) {
        let _replay = Replay("what_the_client_does_not_want", seed);
        let mut plan = Plan::new("rate=20mbit,delay=20ms,loss=5%", 20_000_000);
        plan.refused = 15_000_000;
        let took = run(&plan, seed);
        assert!(took < Duration::from_secs(6), "{took:?}");
    }
}

#[test]
fn what_an_earlier_session_left_does_not_come_again() {
    for seed in seeds(20).take(300) {
        let _replay = Replay("what_an_earlier_session_left", seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut plan = Plan::new(&random_weather(&mut rng, false), rng.u64(1_000_000..6_000_000));
        // Groups as they were left: most of the beginning, and some that came before their turn.
        let (group, most) = (100_000, rng.u64(0..plan.bytes / 100_000));
        for number in 0..plan.bytes / group {
            if rng.u64(0..10) < if number < most { 9 } else { 2 } {
                plan.held.insert(number * group..(number + 1) * group);
            }
        }
        plan.disk = Duration::from_millis(rng.u64(0..20));
        run(&plan, seed);
    }
}

#[test]
fn a_slow_disk_holds_the_server_back_and_nothing_breaks() {
    let mut plan = Plan::new("rate=1gbit,delay=1ms", 10_000_000);
    plan.disk = Duration::from_millis(500);
    run(&plan, 1);
}

/// The rates are those of uploads, since it is the same engine; the first round trips are slower, for a server has no sample yet.
#[test]
fn lossy_paths_are_filled_this_way_as_well() {
    println!("path                                        whole");
    for (words, rate, kept, whole_min) in [
        ("rate=100mbit,delay=50ms", 100.0, 1.0, 0.55),
        ("rate=100mbit,delay=50ms,loss=1%", 100.0, 0.99, 0.50),
        ("rate=100mbit,delay=50ms,loss=10%", 100.0, 0.9, 0.40),
        ("rate=20mbit,delay=150ms,loss=2%", 20.0, 0.98, 0.30),
    ] {
        let bytes = (rate * 1e6 / 8.0) as u64;
        let took = run(&Plan::new(words, bytes), 1);
        let whole = bytes as f64 / took.as_secs_f64() / (rate * 1e6 / 8.0 * kept * 0.96);
        println!("{words:42}  {whole:.3}");
        assert!(whole >= whole_min, "{words}: {whole:.3}");
    }
}
