//! Loss recovery of the windowed mode: the leaves put together to a small sender and a small receiver with a fixed window.

mod ends;

use crate::{Replay, seeds};
use ends::{Ack, Air, Data, Lie, Receiver, Sender};
use std::time::{Duration, Instant};

/// A network and what is carried over it.
#[derive(Clone, Debug)]
struct Plan {
    bytes: u64,
    /// The size of packets; above the base the sender looks for a larger one.
    packet: usize,
    mtu_max: usize,
    window_packets: u64,
    receive_window: u64,
    /// Ranges that the receiver has from before.
    kept: Vec<std::ops::Range<u64>>,
    loss: [f64; 2],
    copies: f64,
    delay: Duration,
    jitter: Duration,
    disk: Duration,
}

impl Plan {
    /// 100 ms there and back, nothing lost, nothing reordered.
    fn calm(packets: u64, window_packets: u64) -> Self {
        Self {
            bytes: packets * 1000,
            packet: 1000,
            mtu_max: 1200,
            window_packets,
            receive_window: u64::MAX / 2,
            kept: Vec::new(),
            loss: [0.0; 2],
            copies: 0.0,
            delay: ms(50),
            jitter: ms(0),
            disk: ms(0),
        }
    }

    fn random(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let delay =
            Duration::from_micros(*dice.choice(&[500, 5_000, 50_000, 500_000]).unwrap()).mul_f64(0.5 + dice.f64());
        let (packet, bytes) = (dice.usize(50..1500), if dice.u32(0..20) == 0 { 0 } else { dice.u64(0..150_000) });
        let kept: Vec<(u64, u64)> = (0..dice.u32(0..4)).map(|_| (dice.u64(0..150_000), dice.u64(0..20_000))).collect();
        Self {
            bytes,
            packet,
            mtu_max: packet,
            window_packets: dice.u64(1..80),
            receive_window: dice.u64(2000..100_000),
            kept: kept.into_iter().map(|(start, len)| start.min(bytes)..(start + len).min(bytes)).collect(),
            loss: [dice.f64() * 0.5, dice.f64() * 0.5],
            copies: dice.f64() * 0.3,
            delay,
            jitter: delay.mul_f64(dice.f64() * if dice.bool() { 1.0 } else { 0.05 }),
            disk: ms(dice.u64(0..50)),
        }
    }

    fn round_trip(&self) -> Duration {
        self.delay * 2
    }
}

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// A sender, a receiver, the air between them and one clock.
struct World {
    sender: Sender,
    receiver: Receiver,
    there: Air<Data>,
    back: Air<Ack>,
    began: Instant,
    now: Instant,
    /// When the receiver last got something new.
    progress: Instant,
    /// In which time nothing at all passes.
    dead: Option<(Instant, Instant)>,
    /// When something new came again after that.
    revived: Option<Instant>,
    /// From when on the path takes only this many bytes.
    shrinks: Option<(Instant, usize)>,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn new(plan: &Plan, seed: u64) -> Self {
        let now = Instant::now();
        Self {
            sender: Sender::new(plan, seed, now),
            receiver: Receiver::new(plan),
            there: Air::new(plan, plan.loss[0], seed ^ 1),
            back: Air::new(plan, plan.loss[1], seed ^ 2),
            began: now,
            now,
            progress: now,
            dead: None,
            revived: None,
            shrinks: None,
        }
    }

    /// Until everything is home, or the sender has caught the receiver lying.
    fn run(&mut self) {
        while !self.sender.is_done() && self.sender.caught.is_none() {
            self.drain();
            let next = [self.sender.timeout(self.now), self.receiver.timeout(), self.there.next(), self.back.next()];
            let Some(next) = next.into_iter().flatten().min() else {
                assert!(self.sender.is_done(), "nothing will ever happen again");
                return;
            };
            self.now = self.now.max(next);
            let stalled = self.now - self.progress.max(self.dead.map_or(self.began, |(_, end)| end));
            assert!(stalled < ms(90_000), "nothing new for {stalled:?}");
        }
    }

    fn drain(&mut self) {
        let now = self.now;
        let passes = self.dead.is_none_or(|(begin, end)| now < begin || now >= end);
        self.sender.handle_timeout(now);
        while let Some(data) = self.there.poll(now) {
            if self.receiver.on_data(data, now) {
                self.progress = now;
                if self.dead.is_some_and(|(_, end)| now >= end) {
                    self.revived.get_or_insert(now);
                }
            }
        }
        self.receiver.handle_timeout(now);
        while let Some(ack) = self.receiver.poll_ack(now) {
            if passes {
                self.back.send(ack, now);
            }
        }
        while let Some(ack) = self.back.poll(now) {
            self.sender.on_ack(ack, now);
        }
        while let Some(data) = self.sender.poll_data(now) {
            if passes && self.shrinks.is_none_or(|(from, takes)| now < from || data.size <= takes) {
                self.there.send(data, now);
            }
        }
    }

    fn elapsed(&self) -> Duration {
        self.now - self.began
    }
}

#[test]
fn every_byte_gets_home_once_whatever_the_network_does() {
    let (mut sent, mut lost, mut spurious) = (0, 0, 0);
    for seed in seeds(150) {
        let _replay = Replay("every_byte_gets_home", seed);
        let plan = Plan::random(seed);
        let mut world = World::new(&plan, seed);
        world.run();
        assert_eq!(world.sender.caught, None, "an honest receiver is not blamed: {plan:?}");
        world.receiver.assert_exact();
        assert!(world.sender.spurious <= 20 + world.sender.sent / 10, "{} spurious: {plan:?}", world.sender.spurious);
        sent += world.sender.sent;
        lost += world.sender.lost;
        spurious += world.sender.spurious;
    }
    println!("{sent} packets sent, {lost} declared lost, {spurious} of them by mistake");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long; cargo test --release --test sim runs it")]
fn a_path_with_jitter_of_half_a_round_trip_loses_nothing_by_mistake_after_the_first_few() {
    for (seed, loss) in seeds(1).take(10).flat_map(|seed| [(seed, 0.0), (seed, 0.05)]) {
        let _replay = Replay("a_path_with_jitter", seed);
        let plan = Plan { jitter: ms(50), loss: [loss, 0.0], ..Plan::calm(20_000, 500) };
        let mut world = World::new(&plan, seed);
        world.run();
        world.receiver.assert_exact();
        let Sender { spurious, last_spurious, slowest_loss, .. } = world.sender;
        let last = last_spurious.map(|at| at - world.began);
        println!("{spurious} lost by mistake, the last after {last:?} of {:?}", world.elapsed());
        assert!(spurious <= 200, "{spurious} of 20000 packets were only late");
        assert!(last.is_none_or(|last| last < ms(1000)));
        // Two smoothed round trips of 150 ms, and what the acknowledgement waits.
        assert!(slowest_loss <= ms(330), "a loss of {slowest_loss:?} ago");
    }
}

#[test]
fn real_losses_are_found_within_one_and_a_half_round_trips() {
    for seed in seeds(5).take(50) {
        let _replay = Replay("real_losses_are_found", seed);
        let plan = Plan { loss: [0.1, 0.0], ..Plan::calm(5000, 100) };
        let mut world = World::new(&plan, seed);
        world.run();
        world.receiver.assert_exact();
        assert!(world.sender.slowest_loss <= plan.round_trip().mul_f64(1.5), "{:?}", world.sender.slowest_loss);
        assert_eq!(world.sender.spurious, 0);
        let needed = plan.round_trip() * (5000 / 100);
        assert!(world.elapsed() < needed.mul_f64(1.5), "{:?} instead of {needed:?}", world.elapsed());
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long; cargo test --release --test sim runs it")]
fn a_path_that_was_silent_for_five_minutes_is_found_alive_within_a_probe_and_a_round_trip() {
    for seed in seeds(20).take(200) {
        let _replay = Replay("a_path_that_was_silent", seed);
        let mut world = World::new(&Plan::calm(2000, 50), seed);
        let healed = world.began + ms(301_000);
        world.dead = Some((world.began + ms(1000), healed));
        world.run();
        world.receiver.assert_exact();
        let revived = world.revived.expect("something new") - healed;
        assert!(revived < ms(3300), "{revived:?} after it healed");
        assert!(world.now - healed < ms(8000), "{:?} after it healed", world.now - healed);
        assert!(world.sender.sent < 2000 + 350, "{} packets, many of them into silence", world.sender.sent);
    }
}

#[test]
fn a_path_that_shrinks_is_noticed_and_costs_little() {
    for seed in seeds(4).take(40) {
        let _replay = Replay("a_path_that_shrinks", seed);
        let plan = Plan { packet: 1472, mtu_max: 1472, ..Plan::calm(5000, 50) };
        let mut world = World::new(&plan, seed);
        world.shrinks = Some((world.began + ms(1000 + 7 * seed), 1300));
        world.run();
        world.receiver.assert_exact();
        assert_eq!(world.sender.black_holes, 1);
        assert!((1285..=1300).contains(&world.sender.mtu.size()), "{}", world.sender.mtu.size());
        // 5 MB in 50 packets a round trip take 7 s at 1472 bytes.
        assert!(world.elapsed() < ms(9000), "{:?}", world.elapsed());
    }
}

#[test]
fn few_acknowledgements_are_enough() {
    let plan = Plan::calm(20_000, 1000);
    let mut world = World::new(&plan, 1);
    world.run();
    let acks = world.receiver.acks_sent;
    println!("{acks} acknowledgements of 20000 packets in {:?}", world.elapsed());
    // Every second of the first 128, then every 64th or, at 10 packets a millisecond, what 25 ms bring; and one for each skip.
    assert!(acks < 64 + 20_000 / 64 + 20 * 5, "{acks}");
}

#[test]
fn a_receiver_that_acknowledges_what_did_not_come_is_caught_before_two_windows() {
    for seed in seeds(30).take(300) {
        let _replay = Replay("a_receiver_that_acknowledges", seed);
        let window = fastrand::Rng::with_seed(seed).u64(10..300);
        for lie in [Lie::Ahead(1 + window / 2), Lie::Ahead(1), Lie::NothingLost] {
            let mut world = World::new(&Plan { loss: [0.02, 0.0], ..Plan::calm(20_000, window) }, seed);
            world.receiver.lie = Some(lie);
            world.run();
            let truth = world.receiver.packets;
            assert!(world.sender.caught.is_some(), "{lie:?} was not caught with a window of {window}");
            assert!(world.sender.sent - truth <= 2 * window + 10, "{lie:?}: {} sent, {truth} came", world.sender.sent);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let run = |seed| {
        let mut world = World::new(&Plan::random(seed), seed);
        world.run();
        (world.elapsed(), world.sender.sent, world.sender.lost, world.receiver.acks_sent)
    };
    for seed in seeds(20).take(200) {
        let _replay = Replay("the_same_seed_gives", seed);
        assert_eq!(run(seed), run(seed));
    }
}
