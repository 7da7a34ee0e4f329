//! Whole windowed transfers: handshake, manifest, bytes, the last word; under random weather, with a peer that moves, and at the
//! rates that they are made for.

use crate::compressing::Blocks;
use crate::scatter::Scattered;
use crate::transfers::random_weather;
use crate::{Replay, seeds};
use homing::harbour::{self, Harbour};
use homing::packet::windowed::Cipher;
use homing::packet::windowed::frame::Space;
use homing::ranges::RangeSet;
use homing::session::Via;
use homing::session::congestion::Choice;
use homing::session::handshake::{Failure, Opening, PrivateKey, call, server};
use homing::session::windowed::connection::End;
use homing::session::windowed::reception;
use homing::session::windowed::streams::{Form, Source};
use homing::session::windowed::upload::{Event, Sending, Stats, Upload};
use homing::weather::Weather;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

/// What the byte at an offset is.
pub fn content(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// A manifest that says nothing but how many bytes there are, at length, and the bytes.
struct Pattern {
    manifest: Vec<u8>,
    blocks: Blocks,
}

impl Source for Pattern {
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

/// What the server's application has, and how long its disk takes.
struct Disk {
    manifest: Vec<u8>,
    received: RangeSet,
    fresh: u64,
    /// Blocks on their way to the disk.
    pending: Vec<(Instant, u64)>,
    delay: Duration,
    end: Option<u64>,
    is_done: bool,
}

pub struct Plan {
    pub weather: String,
    pub bytes: u64,
    pub manifest: usize,
    pub choice: Choice,
    pub disk: Duration,
    /// The client's address changes so often.
    pub moves_every: Option<Duration>,
    /// Packets overtake each other: each takes up to this much longer, both ways.
    pub scatter: Duration,
    /// The client's machine is busy: every third time it gets to run later than it wants to, by up to so long.
    pub lateness: Duration,
    /// So many bytes a second come from where the files are; all are there at once if that is not said.
    pub source: Option<u64>,
    /// From when on the client may send so many bytes a second.
    pub limits: Vec<(Duration, u64)>,
    pub blocks: Blocks,
}

impl Plan {
    pub fn new(weather: &str, bytes: u64) -> Self {
        let (weather, choice, disk) = (weather.to_owned(), Choice::Bbr, Duration::ZERO);
        Self {
            weather,
            bytes,
            manifest: 100,
            choice,
            disk,
            moves_every: None,
            scatter: Duration::ZERO,
            lateness: Duration::ZERO,
            source: None,
            limits: Vec::new(),
            blocks: Blocks::default(),
        }
    }
}

pub struct Outcome {
    pub took: Duration,
    pub stats: Stats,
    /// When a tenth and nine tenths of the bytes were there.
    pub marks: [Option<Duration>; 2],
    /// Bytes of datagrams that the client sent in each tenth of a second.
    pub tenths: Vec<u64>,
}

#[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
pub fn beginning() -> Instant {
    Instant::now()
}

pub fn key(byte: u8) -> PrivateKey {
    PrivateKey::new(&[byte; 32])
}

pub fn bytes<const N: usize>(seed: u64, salt: u8) -> [u8; N] {
    let mut bytes = [salt; N];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    bytes
}

pub fn harbour(seed: u64, now: Instant) -> Harbour {
    let config = harbour::Config {
        max_transfers: 16,
        max_transfers_per_network: 16,
        timeout: Duration::from_secs(300),
        mtu_max: 1472,
        seed: bytes(seed, 3),
    };
    let greeting = server::Config {
        key: key(1),
        cipher: Cipher::Aes256Gcm,
        parameters: Vec::new(),
        seed: bytes(seed, 4),
        pending_max: 64,
        pending_per_network_max: 64,
    };
    Harbour::new(config, greeting, now)
}

fn new_upload(seed: u64, plan: &Plan, now: Instant) -> Upload<Pattern> {
    let call = call::Config {
        key: key(2),
        expected: Some(key(1).public().fingerprint()),
        cipher: Cipher::Aes256Gcm,
        opening: Opening::Binary,
        rtt: None,
        timeout: Duration::from_secs(300),
        seed: bytes(seed, 5),
    };
    let sending = Sending {
        choice: plan.choice,
        remembered: None,
        mtu_max: 1472,
        timeout: Duration::from_secs(300),
        seed: bytes(seed, 6),
    };
    let mut manifest = plan.bytes.to_be_bytes().to_vec();
    manifest.resize(plan.manifest.max(8), 7);
    let mut upload = Upload::new(call, sending, Pattern { manifest, blocks: plan.blocks }, now);
    upload.handle_manifest(plan.manifest.max(8) as u64);
    feed(&mut upload, plan, Duration::ZERO);
    upload
}

/// The source is so far, so long after the beginning; says when it has more.
fn feed(upload: &mut Upload<Pattern>, plan: &Plan, since: Duration) -> Option<Duration> {
    let rate = plan.source.filter(|_| plan.bytes > 0);
    let piece = |number: u64| (PIECE * (number + 1)).min(plan.bytes);
    let every = rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(PIECE as f64 / rate as f64));
    let number = if every.is_zero() { u64::MAX / PIECE - 1 } else { (since.as_nanos() / every.as_nanos()) as u64 };
    upload.handle_data(piece(number));
    if piece(number) == plan.bytes {
        upload.handle_complete();
        return None;
    }
    Some(Duration::from_nanos(every.as_nanos() as u64 * (number + 1)))
}

/// What a slow source brings at a time.
const PIECE: u64 = 50_000;

impl Disk {
    /// Does what the transfer asks for; gives how it ended.
    fn serve(&mut self, harbour: &mut Harbour, plan: &Plan, now: Instant) -> Option<End> {
        let due: Vec<u64> = self.pending.extract_if(.., |(due, _)| *due <= now).map(|(_, bytes)| bytes).collect();
        for bytes in due {
            harbour.with(1, now, |reception| reception.handle_taken(Space::Data, bytes));
        }
        let mut ended = None;
        while let Some(event) = harbour.poll_event() {
            let harbour::Event::Happened { id: 1, event } = event else { continue };
            match event {
                reception::Event::Manifest(bytes) => {
                    harbour.with(1, now, |reception| reception.handle_taken(Space::Manifest, bytes.len() as u64));
                    self.manifest.extend(bytes);
                    if self.manifest.len() == plan.manifest.max(8) {
                        let end = u64::from_be_bytes(*self.manifest.first_chunk().expect("eight bytes"));
                        self.end = Some(end);
                        harbour.with(1, now, |reception| reception.handle_end(end));
                    }
                }
                reception::Event::Data(block) => {
                    let is_right = |(at, byte): (usize, &u8)| *byte == plan.blocks.content(block.offset + at as u64);
                    assert!(block.bytes.iter().enumerate().all(is_right), "at {}", block.offset);
                    let length = block.bytes.len() as u64;
                    assert_eq!(self.received.insert(block.offset..block.offset + length), length, "each byte once");
                    self.fresh += length;
                    self.pending.push((now + self.delay, length));
                }
                reception::Event::Over(end) => ended = Some(end),
                event @ (reception::Event::Answer(_) | reception::Event::Done) => panic!("it brings files: {event:?}"),
            }
        }
        if self.end == Some(self.fresh) && self.pending.is_empty() && !self.is_done {
            self.is_done = true;
            harbour.with(1, now, |reception| reception.handle_answer(b"all is well"));
            harbour.handle_done(1, now);
        }
        ended
    }
}

/// One transfer, until both sides have forgotten it.
pub fn run(plan: &Plan, seed: u64) -> Outcome {
    let weather: Weather = plan.weather.parse().expect("a weather");
    let began = beginning();
    let mut now = began;
    let mut to_server = Scattered::new(weather.inward, plan.scatter, seed ^ 11);
    let mut to_client = Scattered::new(weather.outward, plan.scatter, seed ^ 22);
    let (mut harbour, mut upload) = (harbour(seed, now), new_upload(seed, plan, now));
    let mut began_at = began;
    let mut disk = Disk {
        manifest: Vec::new(),
        received: RangeSet::new(),
        fresh: 0,
        pending: Vec::new(),
        delay: plan.disk,
        end: None,
        is_done: false,
    };
    let (mut answer, mut done_at, mut over, mut marks) = (Vec::new(), None, None, [None, None]);
    let mut out = Vec::new();
    let (mut runs_at, mut dice) = (None, fastrand::Rng::with_seed(seed));
    let (mut stats, mut limits, mut tenths) = (Stats::default(), plan.limits.iter().peekable(), Vec::new());
    for _ in 0..20_000_000_u64 {
        let port = plan.moves_every.map_or(0, |every| ((now - began).as_nanos() / every.as_nanos()) as u16 % 1000);
        let client = SocketAddr::from(([192, 0, 2, 2], 5000 + port));
        while let Some((from, mut datagram)) = to_server.poll(now) {
            harbour.handle_datagram(Via::default(), from, &mut datagram, None, now);
        }
        let wanted = [upload.poll_timeout(now), to_client.poll_timeout()].into_iter().flatten().min();
        if wanted.is_some_and(|wanted| wanted <= now) && runs_at.is_none() && !plan.lateness.is_zero() {
            runs_at = (dice.u8(0..3) == 0).then(|| now + plan.lateness.mul_f64(dice.f64()));
        }
        let is_running = runs_at.is_none_or(|at| at <= now);
        if is_running {
            runs_at = None;
        }
        while is_running && let Some((to, mut datagram)) = to_client.poll(now) {
            // Who has moved is not where he was.
            if to == client {
                upload.handle_datagram(&mut datagram, None, now);
            }
        }
        if harbour.poll_timeout().is_some_and(|due| due <= now) {
            harbour.handle_timeout(now);
        }
        if is_running && upload.poll_timeout(now).is_some_and(|due| due <= now) {
            upload.handle_timeout(now);
        }
        let more_at = feed(&mut upload, plan, now - began).map(|since| began + since);
        disk.serve(&mut harbour, plan, now);
        while let Some(event) = upload.poll_event() {
            match event {
                Event::Met { .. } => upload.welcome(now),
                Event::Answer(bytes) => answer.extend(bytes),
                Event::Done => done_at = Some(now - began_at),
                // The server had forgotten the handshake before its last message came: it begins anew.
                Event::Failed(Failure::NotConfirmed) => {
                    upload = new_upload(seed.wrapping_add(1 << 32), plan, now);
                    began_at = now;
                }
                Event::Failed(failure) => panic!("{failure:?}"),
                Event::Over(end) => over = Some(end),
            }
        }
        while let Some((_, limit)) = limits.next_if(|(from, _)| began + *from <= now) {
            upload.handle_limit(*limit, now);
        }
        loop {
            out.clear();
            let Some(batch) = is_running.then(|| upload.poll_transmit(&mut out, now)).flatten() else { break };
            for datagram in out.chunks(batch.segment) {
                let tenth = (now - began).as_millis() as usize / 100;
                tenths.resize(tenths.len().max(tenth + 1), 0);
                tenths[tenth] += datagram.len() as u64;
                to_server.send(now, client, datagram.to_vec());
            }
        }
        loop {
            out.clear();
            let Some(shipment) = harbour.poll_transmit(&mut out, now) else { break };
            for datagram in out.chunks(shipment.batch.segment) {
                to_client.send(now, shipment.to, datagram.to_vec());
            }
        }
        for (mark, share) in marks.iter_mut().zip([1, 9]) {
            if mark.is_none() && disk.fresh >= plan.bytes / 10 * share {
                *mark = Some(now - began);
            }
        }
        if over.is_none() {
            stats = upload.stats();
        } else if harbour.transfers() == 0 {
            break;
        }
        let client = match runs_at {
            Some(at) => [Some(at), None],
            None => [upload.poll_timeout(now).into_iter().chain(more_at).min(), to_client.poll_timeout()],
        };
        let limited = limits.peek().map(|(from, _)| began + *from);
        let server = [to_server.poll_timeout(), harbour.poll_timeout(), disk.pending.iter().map(|(due, _)| *due).min()];
        match client.into_iter().chain(server).chain([limited]).flatten().min() {
            Some(next) => now = next.max(now),
            None => break,
        }
    }
    assert_eq!(disk.fresh, plan.bytes, "every byte came");
    assert_eq!(over, Some(End::Closed));
    assert_eq!(answer, b"all is well");
    assert_eq!(harbour.transfers(), 0, "the server forgets");
    Outcome { took: done_at.expect("the server said so"), stats, marks, tenths }
}

#[test]
fn transfers_are_whole_whatever_the_network_does() {
    for seed in seeds(80) {
        let _replay = Replay("transfers_are_whole", seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut plan = Plan::new(&random_weather(&mut rng, false), rng.u64(0..200_000));
        plan.manifest = rng.usize(0..100_000);
        plan.disk = Duration::from_millis(rng.u64(0..20));
        plan.choice = *rng.choice(&[Choice::Bbr, Choice::Bbr, Choice::Cubic, Choice::Background]).expect("four");
        let outcome = run(&plan, seed);
        // At one loss in two even the first is slow, and the others take losses for congestion, as they should.
        let limit = if plan.choice == Choice::Bbr { 300 } else { 1800 };
        assert!(outcome.took < Duration::from_secs(limit), "{:?} with {}", outcome.took, plan.choice);
    }
}

#[test]
fn a_client_that_moves_is_followed() {
    for seed in seeds(4).take(100) {
        let _replay = Replay("a_client_that_moves", seed);
        let mut plan = Plan::new("rate=20mbit,delay=20ms,loss=1%", 5_000_000);
        plan.moves_every = Some(Duration::from_millis(700));
        let outcome = run(&plan, seed);
        assert!(outcome.took < Duration::from_secs(10), "{:?}", outcome.took);
    }
}

#[test]
fn a_slow_disk_holds_the_sender_back_and_nothing_breaks() {
    let mut plan = Plan::new("rate=1gbit,delay=1ms", if cfg!(debug_assertions) { 10_000_000 } else { 100_000_000 });
    plan.disk = Duration::from_millis(500);
    run(&plan, 1);
}

/// The question is repeated before the first answer can be there, and each copy brings a token: none of that is a round trip.
#[test]
fn a_long_path_is_not_taken_for_a_short_one() {
    for seed in seeds(1).take(20) {
        let outcome = run(&Plan::new("rate=100mbit,delay=500ms", 5_000_000), seed);
        assert!(outcome.took < Duration::from_secs(12), "{:?}", outcome.took);
    }
}

/// The rates that the windowed mode is made for, as shares of what the path can deliver. Built for speed (`cargo test --release`)
/// the file has 100 MB and the figures are those that are asked of the whole command; otherwise it has 12 MB, and they have room.
#[test]
fn lossy_paths_are_filled() {
    println!("path                                        whole   steady  lost");
    let (megabytes, room) = if cfg!(debug_assertions) { (12, 0.35) } else { (100, 0.0) };
    for (words, rate, part, kept, steady_min, whole_min) in [
        ("rate=100mbit,delay=50ms", 100.0, 1, 1.0, 0.97, 0.90),
        ("rate=100mbit,delay=50ms,loss=0.1%", 100.0, 1, 0.999, 0.95, 0.90),
        ("rate=100mbit,delay=50ms,loss=1%", 100.0, 1, 0.99, 0.95, 0.89),
        ("rate=100mbit,delay=50ms,loss=5%", 100.0, 1, 0.95, 0.93, 0.86),
        ("rate=100mbit,delay=50ms,loss=10%", 100.0, 1, 0.9, 0.88, 0.80),
        ("rate=20mbit,delay=150ms,loss=2%", 20.0, 5, 0.98, 0.90, 0.78),
        ("rate=100mbit,delay=20ms,queue=64k", 100.0, 1, 1.0, 0.93, 0.90),
    ] {
        let bytes = megabytes * 1_000_000 / part;
        let outcome = run(&Plan::new(words, bytes), 1);
        let deliverable = rate * 1e6 / 8.0 * kept * 0.96;
        let whole = bytes as f64 / outcome.took.as_secs_f64() / deliverable;
        let [first, last] = outcome.marks.map(|mark| mark.expect("there").as_secs_f64());
        let steady = bytes as f64 * 0.8 / (last - first) / deliverable;
        let lost = outcome.stats.counts.lost as f64 / outcome.stats.counts.packets as f64;
        println!("{words:42}  {whole:.3}   {steady:.3}   {lost:.3}");
        assert!(steady >= steady_min - room && whole >= whole_min - 1.5 * room, "{words}: {whole:.3} {steady:.3}");
    }
}

/// A machine that is late loses the time, but not again and again: what it could not send is not taken for what the path carries.
#[test]
#[cfg_attr(debug_assertions, ignore = "long; cargo test --release --test sim")]
fn a_busy_machine_goes_on_at_the_paths_rate_whenever_it_gets_to_run() {
    println!("path                                        late by    whole   lost");
    for (words, rate, megabytes, milliseconds, whole_min) in [
        ("rate=100mbit,delay=50ms", 100.0, 100, 10, 0.80),
        ("rate=100mbit,delay=50ms,queue=5m", 100.0, 100, 20, 0.65),
        ("rate=100mbit,delay=20ms,queue=64k", 100.0, 100, 5, 0.85),
        ("rate=100mbit,delay=20ms,queue=64k", 100.0, 100, 10, 0.65),
        ("rate=1gbit,delay=25ms,loss=1%", 1000.0, 300, 10, 0.50),
        ("rate=1gbit,delay=25ms,loss=1%", 1000.0, 300, 20, 0.30),
    ] {
        let bytes = megabytes * 1_000_000;
        let mut plan = Plan::new(words, bytes);
        plan.lateness = Duration::from_millis(milliseconds);
        let mut outcomes: Vec<(f64, f64)> = (1..=3)
            .map(|seed| {
                let outcome = run(&plan, seed);
                let counts = outcome.stats.counts;
                let whole = bytes as f64 * 8e-6 / outcome.took.as_secs_f64() / rate;
                (whole, counts.lost as f64 / counts.packets as f64)
            })
            .collect();
        outcomes.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (whole, lost) = outcomes[1];
        println!("{words:42}  {milliseconds:2} ms      {whole:.3}   {lost:.3}   (of {outcomes:.2?})");
        assert!(whole >= whole_min, "{words}, {milliseconds} ms: {whole:.3}");
    }
}

/// A client and a server that have shaken hands, and hear each other at once.
struct Pair {
    now: Instant,
    harbour: Harbour,
    upload: Upload<Pattern>,
    home: SocketAddr,
}

impl Pair {
    fn connected() -> Self {
        let now = beginning();
        let plan = Plan::new("delay=1ms", 1000);
        let home = SocketAddr::from(([192, 0, 2, 2], 5000));
        let mut pair = Self { now, harbour: harbour(1, now), upload: new_upload(1, &plan, now), home };
        pair.exchange(|_| true);
        assert_eq!(pair.harbour.transfers(), 1);
        pair
    }

    /// Until both are silent; the client hears what was sent to `arrives`. Gives how many datagrams there were.
    fn exchange(&mut self, arrives: impl Fn(SocketAddr) -> bool) -> usize {
        let (mut count, mut out) = (0, Vec::new());
        loop {
            let before = count;
            while let Some(event) = self.upload.poll_event() {
                if let Event::Met { .. } = event {
                    self.upload.welcome(self.now);
                }
            }
            while self.harbour.poll_event().is_some() {}
            while let Some(batch) = self.upload.poll_transmit(&mut out, self.now) {
                for datagram in std::mem::take(&mut out).chunks_mut(batch.segment) {
                    self.harbour.handle_datagram(Via::default(), self.home, datagram, None, self.now);
                    count += 1;
                }
            }
            while let Some(shipment) = self.harbour.poll_transmit(&mut out, self.now) {
                for datagram in std::mem::take(&mut out).chunks_mut(shipment.batch.segment) {
                    if arrives(shipment.to) {
                        self.upload.handle_datagram(datagram, None, self.now);
                    }
                    count += 1;
                }
            }
            if count == before || count > 1000 {
                return count;
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.harbour.handle_timeout(self.now);
        self.upload.handle_timeout(self.now);
    }
}

#[test]
fn two_that_hang_up_at_once_fall_silent() {
    let mut pair = Pair::connected();
    pair.upload.handle_abort(1, "enough");
    pair.harbour.handle_shutdown("the server ends", pair.now);
    assert!(pair.exchange(|_| true) <= 4);
}

#[test]
fn a_client_whose_question_was_lost_is_asked_again() {
    let mut pair = Pair::connected();
    let (old, new) = (pair.home, SocketAddr::from(([198, 51, 100, 9], 6000)));
    pair.home = new;
    pair.upload.handle_data(2000);
    // Neither the question nor what still goes to the old address arrives.
    assert!(pair.exchange(|_| false) >= 2);
    for _ in 0..50 {
        pair.pass(Duration::from_millis(100));
        pair.exchange(|to| to == new);
    }
    pair.upload.handle_data(3000);
    for _ in 0..10 {
        pair.pass(Duration::from_millis(100));
        pair.exchange(|to| to != old);
    }
    assert_eq!(pair.upload.stats().acknowledged, 3000, "the server answers where the client is");
}

#[test]
fn who_hangs_up_gives_his_place_back() {
    let now = beginning();
    let plan = Plan::new("delay=1ms", 1000);
    let mut pair = Pair::connected();
    for seed in 2..100 {
        pair.upload.handle_abort(1, "enough");
        pair.exchange(|_| true);
        pair.upload = new_upload(seed, &plan, now);
        pair.exchange(|_| true);
        assert!(pair.upload.stats().packet_size > 0, "number {seed} is let in");
        assert!(pair.upload.poll_timeout(now).is_some(), "and not refused");
    }
    assert!(pair.harbour.transfers() <= 16 + 256);
}
