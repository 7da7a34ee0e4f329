//! Whole transfers under random weather: exact, or refused, never wrong; never a copy too many.

use crate::world::{Plan, World, noise};
use crate::{Replay, seeds};
use homing::packet::Spelling;
use homing::session::Mode;
use homing::session::stop_and_wait::Outcome;
use std::time::Duration;

/// Weather that is different for every seed: loss 0-50 % each way, duplicates, and what `keeps_order` allows besides.
pub fn random_weather(rng: &mut fastrand::Rng, keeps_order: bool) -> String {
    let mut words = Vec::new();
    for way in ["in", "out"] {
        words.push(format!("{way}.loss={:.3}", rng.f64() * 0.5));
        words.push(format!("{way}.dup={:.3}", rng.f64() * 0.3));
        words.push(format!("{way}.delay={}us", rng.u32(0..400_000)));
        words.push(format!("{way}.jitter={}us", rng.u32(0..100_000)));
        if !keeps_order {
            words.push(format!("{way}.reorder={:.3}", rng.f64() * 0.5));
            words.push(format!("{way}.late={:.3}", rng.f64() * 0.1));
        }
    }
    words.join(",")
}

fn random_plan(seed: u64, mode: Mode, spelling: Spelling, keeps_order: bool) -> Plan {
    let mut rng = fastrand::Rng::with_seed(seed);
    let length = match rng.u32(0..20) {
        0 => 0,
        1 => 1,
        2 => 1379,
        3 => 1380,
        _ => rng.usize(0..30_000) * if spelling == Spelling::Compact { 6 } else { 1 },
    };
    let weather = random_weather(&mut rng, keeps_order);
    let mut content = noise(length, seed);
    if rng.bool() {
        // What separators do to peers is tried by sowing them.
        for _ in 0..length / 100 {
            let at = rng.usize(0..length - 3);
            content[at..at + 3].copy_from_slice(rng.choice([b" | ", b"| |", b"|\n|"]).expect("three"));
        }
    }
    Plan::new(&content, mode, spelling, &weather)
}

/// Runs one transfer and lets stragglers arrive; gives whether the file there is the file here.
fn run(plan: &Plan, seed: u64) -> (World, bool) {
    let mut world = World::new(std::slice::from_ref(plan), seed);
    world.run();
    world.run_on(Duration::from_secs(8));
    let exact = world.disk.files.get(&plan.name) == Some(&plan.content);
    (world, exact)
}

fn all_exact(name: &'static str, mode: Mode, count: u64) {
    for seed in seeds(count) {
        let _replay = Replay(name, seed);
        let plan = random_plan(seed, mode, Spelling::Spaced, false);
        let (world, exact) = run(&plan, seed);
        let client = &world.clients[0];
        assert_eq!(client.outcome, Some(Outcome::Delivered), "{}", plan.weather);
        assert!(exact, "wrong content under {}", plan.weather);
        assert_eq!(client.checked, mode == Mode::Checked);
        assert_eq!(world.disk.published[&plan.name], 1, "the file was written more than once");
    }
}

#[test]
fn lab_transfers_are_exact_whatever_the_network_does() {
    all_exact("lab_transfers_are_exact", Mode::Lab, 150);
}

#[test]
fn checked_transfers_are_exact_whatever_the_network_does() {
    all_exact("checked_transfers_are_exact", Mode::Checked, 150);
}

#[test]
fn compact_transfers_are_exact_on_links_that_keep_order() {
    for seed in seeds(150) {
        let _replay = Replay("compact_transfers_are_exact", seed);
        let plan = random_plan(seed, Mode::Lab, Spelling::Compact, true);
        let (world, exact) = run(&plan, seed);
        assert_eq!(world.clients[0].outcome, Some(Outcome::Delivered), "{}", plan.weather);
        assert!(exact, "wrong content under {}", plan.weather);
    }
}

#[test]
fn damaged_checked_transfers_are_exact_or_refused_never_wrong() {
    let (mut delivered, mut refused) = (0, 0);
    for seed in seeds(300) {
        let _replay = Replay("damaged_checked_transfers", seed);
        let mut plan = random_plan(seed, Mode::Checked, Spelling::Spaced, false);
        plan.timeout = Duration::from_secs(120);
        let corrupt = fastrand::Rng::with_seed(seed).f64() * 0.1;
        plan.weather.apply(&format!("corrupt={corrupt:.4}")).expect("words");
        let (world, exact) = run(&plan, seed);
        match &world.clients[0].outcome {
            Some(Outcome::Delivered) => {
                assert!(exact, "said to be delivered, but wrong, under {}", plan.weather);
                delivered += 1;
            }
            _ => refused += 1,
        }
        for (name, content) in &world.disk.files {
            assert!(*name == plan.name && *content == plan.content, "a wrong file {name:?} under {}", plan.weather);
        }
    }
    println!("damaged: {delivered} delivered, {refused} refused");
}

/// What an ideal receiver with nothing but an alternating bit makes of these datagrams.
fn alternating_bit(datagrams: &[Vec<u8>], size: usize) -> Vec<u8> {
    let (mut content, mut expected) = (Vec::new(), b'1');
    for datagram in datagrams {
        if let [b'd', b'|', bit, b'|', chunk @ ..] = datagram.as_slice()
            && *bit == expected
            && content.len() < size
        {
            content.extend_from_slice(chunk);
            expected = if expected == b'1' { b'0' } else { b'1' };
        }
    }
    content
}

#[test]
fn reordering_defeats_compact_transfers_only_where_an_alternating_bit_is_blind() {
    let (mut exact_files, mut wrong, mut noticed, count) = (0, 0, 0, seeds(300).count());
    for seed in seeds(300) {
        let _replay = Replay("reordering_defeats_compact", seed);
        let mut plan = random_plan(seed, Mode::Lab, Spelling::Compact, false);
        plan.timeout = Duration::from_secs(60);
        let mut world = World::new(std::slice::from_ref(&plan), seed);
        world.record = true;
        world.run();
        world.run_on(Duration::from_secs(8));
        match world.disk.files.get(&plan.name) {
            Some(content) if *content == plan.content => exact_files += 1,
            Some(content) => {
                wrong += 1;
                assert_eq!(content.len(), plan.content.len(), "the size at least is checked");
                let blind = alternating_bit(&world.recorded, plan.content.len());
                assert!(
                    *content == blind,
                    "a mistake that an alternating bit does not explain, under {}",
                    plan.weather
                );
            }
            None => noticed += 1,
        }
    }
    println!(
        "compact with reordering: {count} transfers, {exact_files} exact, {noticed} noticed and not saved, {wrong} wrong"
    );
}
