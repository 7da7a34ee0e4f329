//! Whole transfers under random weather: exact, or refused, never wrong; never a copy too many.

use crate::world::{Plan, World, noise};
use crate::{Replay, seeds};
use homing::packet::Spelling;
use homing::session::Mode;
use homing::session::stop_and_wait::Outcome;
use std::time::Duration;

/// Weather that is different for every seed: loss 0-50 % each way, duplicates, and what `keeps_order` allows besides.
fn random_weather(rng: &mut fastrand::Rng, keeps_order: bool) -> String {
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
        for (at, byte) in content.iter_mut().enumerate() {
            *byte = b" | \n"[at % 4 % (1 + at % 4)];
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
