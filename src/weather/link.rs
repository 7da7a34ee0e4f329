//! One direction of a path as a machine: what goes in comes out late, damaged, twice or never.

use std::collections::BTreeMap;
use std::ops::Range;
use std::ops::{Add, Sub};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::weather::forecast::{Burst, Fault, TIME_MAX};

/// A lossy link in one direction, for packets with a tag of type `T` (an address, say).
///
/// After every [`send`](Link::send) and whenever [`poll_timeout`](Link::poll_timeout) has come,
/// drain [`poll`](Link::poll) until it returns `None`.
///
/// Each impairment throws dice of its own, and throws them for every packet: the n-th packet meets
/// the same fate of one impairment whatever the others are, and what 10 % loss takes, 20 % takes
/// too. At most 65,536 packets and 64 MiB are in flight; what exceeds that is dropped.
#[derive(Debug, Clone)]
pub struct Link<T> {
    fault: Fault,
    dice: Dice,
    bottleneck: Option<Bottleneck>,
    /// By departure, then by arrival.
    flights: BTreeMap<(Instant, u64), (T, Vec<u8>)>,
    flight_bytes: usize,
    launches: u64,
    /// When the latest ordinary packet departs; no other ordinary one departs before it.
    ordinary_due: Option<Instant>,
    counts: Counts,
}

impl<T: Clone> Link<T> {
    /// A link with this fault. Links that should not share their fate need seeds that differ.
    #[must_use]
    pub fn new(fault: Fault, seed: u64) -> Self {
        // Beyond an hour a sum of times could leave the range of an `Instant`.
        let fault = Fault { delay: fault.delay.min(TIME_MAX), jitter: fault.jitter.min(TIME_MAX), ..fault };
        Self {
            fault,
            dice: Dice::new(seed),
            bottleneck: Bottleneck::of(&fault),
            flights: BTreeMap::new(),
            flight_bytes: 0,
            launches: 0,
            ordinary_due: None,
            counts: Counts::default(),
        }
    }

    /// Takes the datagram `bytes` (without headers) in at `now`; `tag` comes out with it. Says whether it will come out at all,
    /// which nobody at either end could know.
    pub fn send(&mut self, now: Instant, tag: T, mut bytes: Vec<u8>) -> bool {
        self.counts.offered += 1;
        // Thrown before anything is decided, so that no impairment shifts another one's dice.
        let fate = self.dice.throw(&self.fault);

        let packet_len = bytes.len().saturating_add(HEADERS_LEN);
        if self.fault.mtu.is_some_and(|mtu| packet_len > mtu) {
            self.counts.oversize += 1;
            return false;
        }
        let Some(sent) = self.pass_bottleneck(now, bytes.len()) else {
            self.counts.queue_dropped += 1;
            return false;
        };
        if fate.lost {
            self.counts.lost += 1;
            return false;
        }
        if let Some(dart) = fate.corrupted
            && flip_bit(&mut bytes, dart)
        {
            self.counts.corrupted += 1;
        }

        let copy = fate.copied.then(|| (tag.clone(), bytes.clone()));
        self.launch(sent, fate.original, tag, bytes);
        if let Some((tag, bytes)) = copy {
            self.counts.duplicated += 1;
            if self.has_room(bytes.len()) {
                self.launch(sent, fate.copy, tag, bytes);
            } else {
                self.counts.queue_dropped += 1;
            }
        }
        true
    }

    /// The next datagram that is due at `now`: by departure, those of one moment by arrival.
    pub fn poll(&mut self, now: Instant) -> Option<(T, Vec<u8>)> {
        let next = self.flights.first_entry()?;
        let (due, _) = *next.key();
        if due > now {
            return None;
        }
        let (tag, bytes) = next.remove();
        self.flight_bytes -= bytes.len();
        self.counts.passed += 1;
        Some((tag, bytes))
    }

    /// When the next datagram is due; `None` while nothing is in flight.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.flights.first_key_value().map(|((due, _), _)| *due)
    }

    /// Packets in flight, copies included.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// When the line is done with a datagram of `len` bytes; `None` if there is no place for it.
    fn pass_bottleneck(&mut self, now: Instant, len: usize) -> Option<Instant> {
        if !self.has_room(len) {
            return None;
        }
        match &mut self.bottleneck {
            Some(bottleneck) => bottleneck.admit(now, len + HEADERS_LEN),
            None => Some(now),
        }
    }

    /// Sends what has left the line at `sent` on its way.
    fn launch(&mut self, sent: Instant, detour: Detour, tag: T, bytes: Vec<u8>) {
        let alone = sent + self.fault.delay + detour.jitter;
        let in_turn = self.ordinary_due.map_or(alone, |due| due.max(alone));
        let due = match (detour.reorder, detour.late) {
            (None, None) => {
                self.ordinary_due = Some(in_turn);
                in_turn
            }
            (reorder, late) => {
                self.counts.reordered += u64::from(reorder.is_some());
                self.counts.late += u64::from(late.is_some());
                in_turn + reorder.unwrap_or_default() + late.unwrap_or_default()
            }
        };
        self.flight_bytes += bytes.len();
        self.flights.insert((due, self.launches), (tag, bytes));
        self.launches += 1;
        debug_assert!(self.flights.len() <= FLIGHT_PACKETS_MAX);
        debug_assert!(self.flight_bytes <= FLIGHT_BYTES_MAX);
    }

    fn has_room(&self, len: usize) -> bool {
        self.flights.len() < FLIGHT_PACKETS_MAX && len <= FLIGHT_BYTES_MAX - self.flight_bytes
    }
}

/// What happened to the packets of a link, in packets.
///
/// Always `offered + duplicated == passed + lost + queue_dropped + oversize` + those in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Packets sent into the link.
    pub offered: u64,
    /// Packets that came out of it, copies included.
    pub passed: u64,
    /// Packets lost, alone or in a burst.
    pub lost: u64,
    /// Packets and copies that found the queue, or all that may be in flight, full.
    pub queue_dropped: u64,
    /// Packets larger than the path takes.
    pub oversize: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Packets and copies held back so that others may overtake them.
    pub reordered: u64,
    /// Packets and copies held back for 0.5 s to 3 s.
    pub late: u64,
    /// Packets with a bit flipped; a copy of one is not counted again.
    pub corrupted: u64,
}

impl Counts {
    fn each(self, other: Self, join: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            offered: join(self.offered, other.offered),
            passed: join(self.passed, other.passed),
            lost: join(self.lost, other.lost),
            queue_dropped: join(self.queue_dropped, other.queue_dropped),
            oversize: join(self.oversize, other.oversize),
            duplicated: join(self.duplicated, other.duplicated),
            reordered: join(self.reordered, other.reordered),
            late: join(self.late, other.late),
            corrupted: join(self.corrupted, other.corrupted),
        }
    }
}

impl Add for Counts {
    type Output = Self;

    /// Both together.
    fn add(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }
}

impl Sub for Counts {
    type Output = Self;

    /// What has happened since `before`.
    fn sub(self, before: Self) -> Self {
        self.each(before, u64::saturating_sub)
    }
}

/// A line of limited rate behind a queue that drops at its tail.
///
/// Work is counted in bits times 10^9, of which the line does `rate` in a nanosecond; so nothing
/// is ever rounded away, however long the line stays busy.
#[derive(Debug, Clone)]
struct Bottleneck {
    rate: u128,
    queue_work: u128,
    /// When the line falls idle, rounded down, and the work it then has left to do.
    idle_at: Option<Instant>,
    remainder: u128,
}

impl Bottleneck {
    fn of(fault: &Fault) -> Option<Self> {
        let rate = u128::from(fault.rate?.max(1));
        let round_trip_work = rate * fault.delay.as_nanos() * 2;
        let queue_work = match fault.queue {
            Some(queue) => work(queue),
            None => round_trip_work.max(work(QUEUE_DEFAULT_MIN)),
        };
        Some(Self { rate, queue_work: queue_work.min(work(FLIGHT_BYTES_MAX)), idle_at: None, remainder: 0 })
    }

    /// When a packet of `packet_len` bytes, headers included, has left the line; `None` if the
    /// queue is full.
    fn admit(&mut self, now: Instant, packet_len: usize) -> Option<Instant> {
        let waiting = match self.idle_at {
            Some(idle_at) if idle_at >= now => (idle_at - now).as_nanos() * self.rate + self.remainder,
            _ => 0,
        };
        let idle = self.idle_at.is_none_or(|idle_at| idle_at <= now);
        let total = waiting + work(packet_len);
        if !idle && total > self.queue_work {
            return None;
        }
        self.remainder = total % self.rate;
        // The queue's bound keeps this within 18 years even at 1 bit/s.
        let busy_ns = u64::try_from(total / self.rate).unwrap_or(u64::MAX);
        let sent = now + Duration::from_nanos(busy_ns);
        self.idle_at = Some(sent);
        Some(sent)
    }
}

/// Bits times 10^9 in `len` bytes.
fn work(len: usize) -> u128 {
    len as u128 * 8 * 1_000_000_000
}

/// A random sequence for each impairment.
#[derive(Debug, Clone)]
struct Dice {
    loss: Rng,
    burst: Rng,
    dup: Rng,
    reorder: Rng,
    late: Rng,
    corrupt: Rng,
    jitter: Rng,
    in_burst: bool,
}

impl Dice {
    fn new(seed: u64) -> Self {
        let mut root = Rng::with_seed(seed);
        // A new impairment forks last, or every recorded seed would tell another story.
        Self {
            loss: root.fork(),
            burst: root.fork(),
            dup: root.fork(),
            reorder: root.fork(),
            late: root.fork(),
            corrupt: root.fork(),
            jitter: root.fork(),
            in_burst: false,
        }
    }

    /// The fate of the next packet. Every sequence moves on by the same steps for every packet.
    fn throw(&mut self, fault: &Fault) -> Fate {
        let lost_alone = self.loss.f64() < fault.loss;
        let lost_in_burst = self.burst_covers_next(fault.burst);
        let (corrupt_roll, dart) = (self.corrupt.f64(), self.corrupt.u64(..));
        Fate {
            lost: lost_alone || lost_in_burst,
            corrupted: (corrupt_roll < fault.corrupt).then_some(dart),
            copied: self.dup.f64() < fault.dup,
            original: self.throw_detour(fault),
            copy: self.throw_detour(fault),
        }
    }

    fn burst_covers_next(&mut self, burst: Option<Burst>) -> bool {
        let roll = self.burst.f64();
        let Some(Burst { enter, leave }) = burst else {
            return false;
        };
        if roll < (if self.in_burst { leave } else { enter }) {
            self.in_burst = !self.in_burst;
        }
        self.in_burst
    }

    fn throw_detour(&mut self, fault: &Fault) -> Detour {
        let overtaking = Duration::ZERO..(fault.delay + fault.jitter) * 2 + REORDER_EXTRA;
        Detour {
            jitter: fault.jitter.mul_f64(self.jitter.f64()),
            reorder: throw_hold(&mut self.reorder, fault.reorder, overtaking),
            late: throw_hold(&mut self.late, fault.late, LATE),
        }
    }
}

fn throw_hold(rng: &mut Rng, probability: f64, span: Range<Duration>) -> Option<Duration> {
    let (roll, share) = (rng.f64(), rng.f64());
    (roll < probability).then(|| span.start + span.end.saturating_sub(span.start).mul_f64(share))
}

/// What the dice say about one packet.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fate {
    lost: bool,
    /// Where to flip a bit, as a share of 2^64.
    corrupted: Option<u64>,
    copied: bool,
    original: Detour,
    copy: Detour,
}

/// What is added to the travel time of one packet or copy.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Detour {
    jitter: Duration,
    reorder: Option<Duration>,
    late: Option<Duration>,
}

/// Flips the bit at the share `dart` / 2^64 of `bytes`; says whether there was one.
fn flip_bit(bytes: &mut [u8], dart: u64) -> bool {
    // Scaling always takes one throw; drawing from a range would take one or more.
    let bit = (u128::from(dart) * (bytes.len() as u128 * 8)) >> 64;
    let index = usize::try_from(bit / 8).unwrap_or(usize::MAX);
    match bytes.get_mut(index) {
        Some(byte) => {
            *byte ^= 1 << (bit % 8);
            true
        }
        None => false,
    }
}

/// An IPv4 header (20 bytes, RFC 791) and a UDP header (8 bytes, RFC 768).
const HEADERS_LEN: usize = 28;

/// A queue left to the default holds the largest IP packet (65,535 bytes) even on a short path.
const QUEUE_DEFAULT_MIN: usize = 64 * 1024;

/// Two fifths of a second at 2 Gbit/s in packets of 1500 bytes.
const FLIGHT_PACKETS_MAX: usize = 65_536;

/// One second of 500 Mbit/s, and the longest queue that words can ask for.
const FLIGHT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Lets packets be overtaken even where the path itself takes no time.
const REORDER_EXTRA: Duration = Duration::from_millis(50);

/// From a usual first time-out (0.5 s) to several of them: a packet given up, yet not gone.
const LATE: Range<Duration> = Duration::from_millis(500)..Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SEEDS: Range<u64> = 0..5;
    const MANY: usize = 20_000;
    /// With the headers, 1000 bytes.
    const PAYLOAD: usize = 972;

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn start() -> Instant {
        Instant::now()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A packet that came out: when, which one, and what was in it.
    #[derive(Debug, PartialEq)]
    struct Arrival {
        at: Duration,
        tag: usize,
        bytes: Vec<u8>,
    }

    impl Arrival {
        /// Time on the way of a packet sent in a `run` with this `gap`.
        fn travelled(&self, gap: Duration) -> Duration {
            let sent = gap * u32::try_from(self.tag).expect("few packets");
            self.at.checked_sub(sent).expect("nothing comes before it is sent")
        }
    }

    /// Sends `count` packets of zeros, one every `gap`, and lets them all arrive.
    fn run(fault: Fault, seed: u64, count: usize, gap: Duration) -> (Vec<Arrival>, Counts) {
        let mut link = Link::new(fault, seed);
        let start = start();
        let mut now = start;
        for tag in 0..count {
            link.send(now, tag, vec![0; PAYLOAD]);
            now += gap;
        }
        (drain(&mut link, start), link.counts())
    }

    fn drain<T: Clone + Into<usize>>(link: &mut Link<T>, start: Instant) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        while let Some(due) = link.poll_timeout() {
            let (tag, bytes) = link.poll(due).expect("it is due");
            let (at, tag) = (due - start, tag.into());
            arrivals.push(Arrival { at, tag, bytes });
        }
        arrivals
    }

    fn tags(arrivals: &[Arrival]) -> Vec<usize> {
        arrivals.iter().map(|arrival| arrival.tag).collect()
    }

    /// Five standard deviations: one run in two million is farther off by chance, and seeds are
    /// fixed.
    fn assert_share(what: &str, seed: u64, hits: u64, of: usize, probability: f64) {
        let of: f64 = u32::try_from(of).expect("few packets").into();
        let hits: f64 = u32::try_from(hits).expect("few packets").into();
        let deviation = (probability * (1.0 - probability) / of).sqrt();
        let share: f64 = hits / of;
        assert!(
            (share - probability).abs() <= 5.0 * deviation,
            "{what}: {share} instead of {probability} with seed {seed}"
        );
    }

    #[test]
    fn a_clean_link_passes_everything_at_once_and_in_order() {
        let (arrivals, counts) = run(Fault::default(), 1, 100, Duration::ZERO);
        assert_eq!(tags(&arrivals), (0..100).collect::<Vec<_>>());
        for arrival in &arrivals {
            assert_eq!(arrival.at, Duration::ZERO);
            assert_eq!(arrival.bytes, [0; PAYLOAD]);
        }
        let expected = Counts { offered: 100, passed: 100, ..Counts::default() };
        assert_eq!(counts, expected);
    }

    #[test]
    fn every_chance_takes_its_share() {
        for seed in SEEDS {
            let fault = Fault { loss: 0.2, dup: 0.05, reorder: 0.1, late: 0.02, corrupt: 0.01, ..Fault::default() };
            let (_, counts) = run(fault, seed, MANY, ms(1));
            assert_share("loss", seed, counts.lost, MANY, 0.2);
            let kept = MANY - usize::try_from(counts.lost).unwrap();
            assert_share("dup", seed, counts.duplicated, kept, 0.05);
            assert_share("corrupt", seed, counts.corrupted, kept, 0.01);
            let passed = usize::try_from(counts.passed).unwrap();
            assert_share("reorder", seed, counts.reordered, passed, 0.1);
            assert_share("late", seed, counts.late, passed, 0.02);
        }
    }

    #[test]
    fn chances_of_one_hit_always_and_chances_of_zero_never() {
        let always = Fault { dup: 1.0, reorder: 1.0, late: 1.0, corrupt: 1.0, ..Fault::default() };
        let (_, counts) = run(always, 3, 100, ms(1));
        assert_eq!((counts.duplicated, counts.corrupted), (100, 100));
        assert_eq!((counts.reordered, counts.late), (200, 200));
        let dead = Fault { loss: 1.0, ..Fault::default() };
        assert_eq!(run(dead, 3, 100, ms(1)).1.lost, 100);
    }

    #[test]
    fn bursts_take_their_share_in_runs_of_their_mean_length() {
        for seed in SEEDS {
            let burst = Burst { enter: 0.01, leave: 0.2 };
            let fault = Fault { burst: Some(burst), ..Fault::default() };
            let (arrivals, counts) = run(fault, seed, MANY, ms(1));
            let arrived = tags(&arrivals);
            let runs = arrived.windows(2).filter(|pair| pair[1] - pair[0] > 1).count();
            let lost: f64 = u32::try_from(counts.lost).unwrap().into();
            let mean = lost / f64::from(u32::try_from(runs).unwrap());
            // 1 / 0.2 packets, and about 200 runs.
            assert!((mean - 5.0).abs() < 1.5, "{mean} in a row with seed {seed}");
            // 0.01 / 0.21 of all packets; neighbours share their fate, so the spread is wider.
            let share = lost / 20_000.0;
            assert!((share - 0.048).abs() < 0.016, "{share} lost with seed {seed}");
        }
    }

    #[test]
    fn a_burst_that_is_never_left_loses_everything_after_it() {
        let burst = Burst { enter: 0.1, leave: 0.0 };
        let fault = Fault { burst: Some(burst), ..Fault::default() };
        let (arrivals, counts) = run(fault, 4, 200, ms(1));
        assert!(counts.lost > 100);
        assert_eq!(tags(&arrivals), (0..arrivals.len()).collect::<Vec<_>>());
    }

    #[test]
    fn a_copy_follows_directly_behind_its_original() {
        let fault = Fault { dup: 0.5, corrupt: 0.5, delay: ms(10), jitter: ms(30), ..Fault::default() };
        let (arrivals, counts) = run(fault, 5, 1000, ms(1));
        assert!(tags(&arrivals).is_sorted());
        let twice = arrivals.windows(2).filter(|pair| pair[0].tag == pair[1].tag);
        let same = twice.inspect(|pair| assert_eq!(pair[0].bytes, pair[1].bytes));
        assert_eq!(same.count() as u64, counts.duplicated);
    }

    #[test]
    fn corruption_flips_exactly_one_bit_anywhere() {
        let fault = Fault { corrupt: 0.5, ..Fault::default() };
        let (arrivals, counts) = run(fault, 6, MANY, ms(1));
        let mut damaged = 0;
        let mut places = BTreeSet::new();
        for Arrival { bytes, .. } in arrivals {
            let ones: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
            assert!(ones <= 1);
            damaged += u64::from(ones);
            if let Some(index) = bytes.iter().position(|byte| *byte != 0) {
                places.insert((index, bytes[index].trailing_zeros()));
            }
        }
        assert_eq!(damaged, counts.corrupted);
        // 10,000 throws on 7776 bits leave 28 % of them out by chance.
        assert!(places.len() > 5000, "{} places", places.len());
        let firsts: BTreeSet<_> = places.iter().map(|(index, _)| index).collect();
        assert!(firsts.contains(&0) && firsts.contains(&(PAYLOAD - 1)));
    }

    #[test]
    fn an_empty_datagram_cannot_be_corrupted() {
        let fault = Fault { corrupt: 1.0, ..Fault::default() };
        let mut link = Link::new(fault, 7);
        let now = start();
        link.send(now, (), Vec::new());
        assert_eq!(link.poll(now), Some(((), Vec::new())));
        assert_eq!(link.counts().corrupted, 0);
    }

    #[test]
    fn the_first_and_the_last_bit_can_be_flipped_and_none_beyond() {
        let mut bytes = [0, 0];
        assert!(flip_bit(&mut bytes, 0));
        assert!(flip_bit(&mut bytes, u64::MAX));
        assert_eq!(bytes, [1, 0x80]);
        assert!(!flip_bit(&mut [], u64::MAX));
    }

    #[test]
    fn a_packet_is_due_after_the_delay_and_not_a_nanosecond_before() {
        let fault = Fault { delay: ms(1100), ..Fault::default() };
        let mut link = Link::new(fault, 8);
        let now = start();
        assert_eq!(link.poll_timeout(), None);
        link.send(now, 'a', vec![1]);
        assert_eq!(link.in_flight(), 1);
        let due = now + ms(1100);
        assert_eq!(link.poll_timeout(), Some(due));
        assert_eq!(link.poll(now + Duration::from_nanos(1_099_999_999)), None);
        assert_eq!(link.poll(due), Some(('a', vec![1])));
        assert_eq!(link.poll(due), None);
        assert_eq!((link.poll_timeout(), link.in_flight()), (None, 0));
    }

    #[test]
    fn jitter_keeps_the_order_of_packets() {
        for seed in SEEDS {
            let fault = Fault { delay: ms(20), jitter: ms(100), ..Fault::default() };
            let (arrivals, _) = run(fault, seed, 5000, ms(1));
            assert_eq!(tags(&arrivals), (0..5000).collect::<Vec<_>>(), "seed {seed}");
            for arrival in arrivals {
                let travelled = arrival.travelled(ms(1));
                assert!((ms(20)..=ms(120)).contains(&travelled), "seed {seed}");
            }
        }
    }

    #[test]
    fn jitter_is_uniform_where_packets_are_far_apart() {
        for seed in SEEDS {
            let fault = Fault { jitter: ms(80), ..Fault::default() };
            let (arrivals, _) = run(fault, seed, MANY, ms(80));
            let mut quarters = [0; 4];
            for arrival in arrivals {
                let added_ms = arrival.travelled(ms(80)).as_millis();
                quarters[usize::try_from(added_ms / 20).unwrap()] += 1;
            }
            for quarter in quarters {
                assert_share("a quarter of the jitter", seed, quarter, MANY, 0.25);
            }
        }
    }

    #[test]
    fn a_reordered_packet_is_overtaken_within_its_bound_and_holds_nobody_up() {
        let fault = Fault { reorder: 0.2, delay: ms(10), jitter: ms(5), ..Fault::default() };
        let plain = Fault { reorder: 0.0, ..fault };
        let (arrivals, counts) = run(fault, 9, 2000, ms(10));
        let overtaken = arrivals.windows(2).filter(|pair| pair[0].tag > pair[1].tag).count();
        assert!(overtaken > 200, "{overtaken} overtaken");
        let (unhurried, _) = run(plain, 9, 2000, ms(10));
        let mut held = 0;
        for Arrival { at, tag, .. } in arrivals {
            // Ten ms apart and five of jitter: nobody waits for anybody.
            let unheld = unhurried[tag].at;
            assert!(unheld <= at && at < unheld + ms(2 * 15 + 50));
            held += u64::from(at > unheld);
        }
        assert_eq!(held, counts.reordered);
    }

    #[test]
    fn a_late_packet_comes_half_a_second_to_three_seconds_later_and_holds_nobody_up() {
        let fault = Fault { late: 0.1, delay: ms(10), ..Fault::default() };
        let (arrivals, counts) = run(fault, 10, 2000, ms(1));
        let (mut late, mut longest) = (0, Duration::ZERO);
        for arrival in arrivals {
            let travelled = arrival.travelled(ms(1));
            assert!(travelled == ms(10) || (ms(510)..ms(3010)).contains(&travelled));
            late += u64::from(travelled > ms(10));
            longest = longest.max(travelled);
        }
        assert_eq!(late, counts.late);
        assert!(longest > ms(2800));
    }

    #[test]
    fn original_and_copy_are_held_back_each_by_itself() {
        let fault = Fault { dup: 1.0, reorder: 0.5, ..Fault::default() };
        let (arrivals, _) = run(fault, 11, 1000, ms(100));
        let mut fates = [0; 3];
        for tag in 0..1000 {
            let both = arrivals.iter().filter(|arrival| arrival.tag == tag);
            let held = both.filter(|arrival| arrival.travelled(ms(100)) > Duration::ZERO);
            fates[held.count()] += 1;
        }
        assert_share("neither", 11, fates[0], 1000, 0.25);
        assert_share("one of them", 11, fates[1], 1000, 0.5);
        assert_share("both", 11, fates[2], 1000, 0.25);
    }

    fn everything() -> Fault {
        Fault {
            loss: 0.1,
            burst: Some(Burst { enter: 0.01, leave: 0.25 }),
            dup: 0.1,
            reorder: 0.1,
            late: 0.05,
            corrupt: 0.1,
            delay: ms(40),
            jitter: ms(30),
            rate: Some(4_000_000),
            queue: Some(5_000),
            mtu: Some(1500),
        }
    }

    #[test]
    fn the_same_seed_brings_the_same_fate_and_another_seed_another() {
        let first = run(everything(), 12, 2000, ms(1));
        assert_eq!(first, run(everything(), 12, 2000, ms(1)));
        assert_ne!(first.0, run(everything(), 13, 2000, ms(1)).0);
    }

    #[test]
    fn the_nth_packet_meets_one_fate_of_an_impairment_whatever_the_others_are() {
        let clean = Fault::default();
        let all = everything();
        let mut all_dice = Dice::new(14);
        let alone = [
            Fault { loss: all.loss, burst: all.burst, ..clean },
            Fault { dup: all.dup, ..clean },
            Fault { corrupt: all.corrupt, ..clean },
            Fault { jitter: all.jitter, ..clean },
            Fault { late: all.late, ..clean },
            Fault { reorder: all.reorder, delay: all.delay, jitter: all.jitter, ..clean },
        ];
        let mut alone_dice = alone.each_ref().map(|_| Dice::new(14));
        for _ in 0..5000 {
            let fate = all_dice.throw(&all);
            let mut fates = alone_dice.iter_mut().zip(&alone);
            let [lost, copied, corrupted, jitter, late, reorder] = std::array::from_fn(|_| {
                let (dice, fault) = fates.next().expect("six of them");
                dice.throw(fault)
            });
            assert_eq!(fate.lost, lost.lost);
            assert_eq!(fate.copied, copied.copied);
            assert_eq!(fate.corrupted, corrupted.corrupted);
            for detour in [|fate: &Fate| fate.original, |fate: &Fate| fate.copy] {
                assert_eq!(detour(&fate).jitter, detour(&jitter).jitter);
                assert_eq!(detour(&fate).late, detour(&late).late);
                assert_eq!(detour(&fate).reorder, detour(&reorder).reorder);
            }
        }
    }

    #[test]
    fn packets_that_never_reach_the_dice_still_count_for_them() {
        let lossy = Fault { loss: 0.2, ..Fault::default() };
        let narrow = Fault { mtu: Some(1000), rate: Some(100_000), queue: Some(20_000), ..lossy };
        let arrived = |fault| {
            let mut link = Link::new(fault, 15);
            let start = start();
            for tag in 0..2000_usize {
                let len = if tag % 7 == 0 { PAYLOAD + 1 } else { PAYLOAD };
                link.send(start + ms(40) * u32::try_from(tag).unwrap(), tag, vec![0; len]);
            }
            let tags: BTreeSet<_> = tags(&drain(&mut link, start)).into_iter().collect();
            (tags, link.counts())
        };
        let ((wide_tags, _), (narrow_tags, counts)) = (arrived(lossy), arrived(narrow));
        assert!(counts.oversize > 200 && counts.queue_dropped > 200);
        assert!(narrow_tags.is_subset(&wide_tags));
    }

    #[test]
    fn more_loss_takes_what_less_loss_took() {
        let arrived = |loss| {
            let fault = Fault { loss, ..Fault::default() };
            let (arrivals, _) = run(fault, 16, 2000, ms(1));
            tags(&arrivals).into_iter().collect::<BTreeSet<_>>()
        };
        assert!(arrived(0.2).is_subset(&arrived(0.1)));
    }

    #[test]
    fn a_packet_leaves_the_line_when_its_last_bit_has() {
        let fault = Fault { rate: Some(8_000_000), delay: ms(5), ..Fault::default() };
        let (arrivals, _) = run(fault, 17, 10, Duration::ZERO);
        let times: Vec<_> = arrivals.iter().map(|arrival| arrival.at).collect();
        assert_eq!(times, (1..=10).map(|n| ms(5 + n)).collect::<Vec<_>>());
        // An idle line starts anew.
        let (arrivals, _) = run(fault, 17, 3, ms(20));
        let times: Vec<_> = arrivals.iter().map(|arrival| arrival.at).collect();
        assert_eq!(times, [ms(6), ms(26), ms(46)]);
    }

    #[test]
    fn an_odd_rate_never_drifts_from_the_exact_time() {
        let fault = Fault { rate: Some(7_000_003), ..Fault::default() };
        // The line is never idle: a packet takes 1.143 ms and the next one comes after 1.1 ms.
        let (arrivals, counts) = run(fault, 18, 1000, Duration::from_micros(1100));
        assert_eq!(counts.passed, 1000);
        for Arrival { at, tag, .. } in arrivals {
            assert_eq!(at.as_nanos(), (tag as u128 + 1) * 8_000_000_000_000 / 7_000_003);
        }
    }

    #[test]
    fn the_queue_takes_its_last_byte_and_not_one_more() {
        let passed = |queue| {
            let fault = Fault { rate: Some(8_000_000), queue: Some(queue), ..Fault::default() };
            let (_, counts) = run(fault, 19, 10, Duration::ZERO);
            assert_eq!(counts.passed + counts.queue_dropped, 10);
            counts.passed
        };
        assert_eq!(passed(5000), 5);
        assert_eq!(passed(4999), 4);
        // An idle line takes a packet that is larger than its queue.
        assert_eq!(passed(1), 1);
    }

    #[test]
    fn a_lost_packet_has_used_the_line_and_a_dropped_one_has_not() {
        let idle_after = |loss, queue| {
            let fault = Fault { rate: Some(8_000_000), queue: Some(queue), loss, ..Fault::default() };
            let mut link = Link::new(fault, 20);
            let now = start();
            for _ in 0..3 {
                link.send(now, (), vec![0; PAYLOAD]);
            }
            link.bottleneck.and_then(|line| line.idle_at).map(|idle_at| idle_at - now)
        };
        assert_eq!(idle_after(0.0, 9000), Some(ms(3)));
        assert_eq!(idle_after(1.0, 9000), Some(ms(3)));
        assert_eq!(idle_after(0.0, 2000), Some(ms(2)));
    }

    #[test]
    fn the_default_queue_holds_a_round_trip_of_the_rate_or_64_kib() {
        let held = |delay| {
            let fault = Fault { rate: Some(8_000_000), delay, ..Fault::default() };
            run(fault, 21, 1000, Duration::ZERO).1.passed
        };
        // 1 MB/s for 2 * 100 ms.
        assert_eq!(held(ms(100)), 200);
        assert_eq!(held(ms(33)), 66);
        assert_eq!(held(ms(32)), 65);
        assert_eq!(held(ms(0)), 65);
    }

    #[test]
    fn a_queue_without_a_rate_means_nothing() {
        let fault = Fault { queue: Some(1), ..Fault::default() };
        assert_eq!(run(fault, 22, 100, Duration::ZERO).1.passed, 100);
    }

    #[test]
    fn the_mtu_takes_its_last_byte_and_not_one_more() {
        let fault = Fault { mtu: Some(1500), ..Fault::default() };
        let mut link = Link::new(fault, 23);
        let now = start();
        link.send(now, "fits", vec![0; 1472]);
        link.send(now, "does not", vec![0; 1473]);
        assert_eq!(link.poll(now).map(|(tag, _)| tag), Some("fits"));
        assert_eq!(link.poll(now), None);
        assert_eq!(link.counts().oversize, 1);
    }

    #[test]
    fn no_more_than_so_many_packets_are_in_flight() {
        let fault = Fault { dup: 1.0, delay: ms(1), ..Fault::default() };
        let mut link = Link::new(fault, 24);
        let now = start();
        let overfull = FLIGHT_PACKETS_MAX / 2 + 100;
        for _ in 0..overfull {
            link.send(now, (), Vec::new());
        }
        assert_eq!(link.in_flight(), FLIGHT_PACKETS_MAX);
        assert_eq!(link.counts().queue_dropped, 100);
        assert!(link.poll(now + ms(1)).is_some());
        link.send(now, (), Vec::new());
        assert_eq!(link.in_flight(), FLIGHT_PACKETS_MAX);
        assert_eq!(link.counts().queue_dropped, 101);
    }

    #[test]
    fn no_more_than_so_many_bytes_are_in_flight() {
        let mut link = Link::new(Fault::default(), 25);
        let now = start();
        let quarter = vec![0; FLIGHT_BYTES_MAX / 4];
        for _ in 0..5 {
            link.send(now, (), quarter.clone());
        }
        assert_eq!((link.in_flight(), link.flight_bytes), (4, FLIGHT_BYTES_MAX));
        assert_eq!(link.counts().queue_dropped, 1);
        while link.poll(now).is_some() {}
        assert_eq!(link.flight_bytes, 0);
    }

    #[test]
    fn the_counts_add_up_at_every_moment() {
        for seed in SEEDS {
            let mut link = Link::new(everything(), seed);
            let mut now = start();
            for n in 0..3000 {
                link.send(now, (), vec![0; n % 1500]);
                now += ms(1);
                while n % 3 == 0 && link.poll(now).is_some() {}
                let counts = link.counts();
                let gone = counts.lost + counts.queue_dropped + counts.oversize;
                let known = counts.passed + gone + link.in_flight() as u64;
                assert_eq!(counts.offered + counts.duplicated, known, "seed {seed}");
            }
            assert_eq!(link.counts().offered, 3000);
        }
    }

    #[test]
    fn no_fault_is_extreme_enough_to_panic() {
        for rate in [0, 1, u64::MAX] {
            for chance in [f64::NAN, -1.0, 2.0, f64::INFINITY] {
                let fault = Fault {
                    loss: -chance,
                    burst: Some(Burst { enter: chance, leave: chance }),
                    dup: chance,
                    reorder: chance,
                    late: chance,
                    corrupt: chance,
                    delay: Duration::MAX,
                    jitter: Duration::MAX,
                    rate: Some(rate),
                    queue: Some(usize::MAX),
                    mtu: Some(usize::MAX),
                };
                let (_, counts) = run(fault, 26, 500, ms(1));
                assert_eq!(counts.offered, 500);
            }
        }
    }
}
