//! Transfers both ways of which some blocks are compressed: under random weather, with small blocks and large ones, with files that are not wanted.

use crate::transfers::random_weather;
use crate::{Replay, downloads, seeds, uploads};
use homing::compression::Compressor;
use homing::session::congestion::Choice;
use homing::session::windowed::compressed::OPEN_MAX;
use homing::session::windowed::streams::Form;
use std::ops::Range;
use std::time::Duration;

/// How long blocks are; `None` where nothing is compressed.
#[derive(Clone, Copy, Default)]
pub struct Blocks(pub Option<u64>);

impl Blocks {
    /// What the byte at an offset is: where there are blocks, two of three become smaller.
    pub fn content(self, offset: u64) -> u8 {
        match self.0 {
            Some(length) if !(offset / length).is_multiple_of(3) => b'a' + uploads::content(offset / 5) % 8,
            _ => uploads::content(offset),
        }
    }

    pub fn form(self, range: Range<u64>, may_compress: bool) -> Form {
        let Some(length) = self.0 else { return Form::Plain { end: range.end } };
        let end = range.start / length * length + length;
        if !may_compress || end > range.end || !range.start.is_multiple_of(length) {
            return Form::Plain { end };
        }
        let plain: Vec<u8> = (range.start..end).map(|at| self.content(at)).collect();
        match Compressor::new().expect("memory").compress(&plain) {
            Some(bytes) => Form::Compressed { length: plain.len(), bytes },
            None => Form::Plain { end },
        }
    }
}

fn random_blocks(rng: &mut fastrand::Rng) -> Blocks {
    let least = if rng.bool() { 200 } else { 50_000 };
    Blocks(Some(rng.u64(least..=128 * 1024)))
}

fn random_choice(rng: &mut fastrand::Rng) -> Choice {
    *rng.choice(&[Choice::Bbr, Choice::Bbr, Choice::Cubic, Choice::Background]).expect("four")
}

#[test]
fn compressed_uploads_are_whole_whatever_the_network_does() {
    for seed in seeds(60).take(4000) {
        let _replay = Replay("compressed_uploads_are_whole", seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut plan = uploads::Plan::new(&random_weather(&mut rng, false), rng.u64(0..400_000));
        (plan.blocks, plan.choice) = (random_blocks(&mut rng), random_choice(&mut rng));
        plan.disk = Duration::from_millis(rng.u64(0..20));
        plan.source = rng.bool().then(|| rng.u64(100_000..10_000_000));
        uploads::run(&plan, seed);
    }
}

#[test]
fn compressed_downloads_are_whole_whatever_the_network_does() {
    for seed in seeds(60).take(4000) {
        let _replay = Replay("compressed_downloads_are_whole", seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut plan = downloads::Plan::new(&random_weather(&mut rng, false), rng.u64(0..400_000));
        (plan.blocks, plan.choice) = (random_blocks(&mut rng), random_choice(&mut rng));
        plan.disk = Duration::from_millis(rng.u64(0..20));
        match rng.u8(0..3) {
            0 => plan.refused = rng.u64(0..plan.bytes + 1),
            // Stretches that are here already, or are holes, as it happens in the middle of blocks.
            1 => (0..rng.u64(1..8)).for_each(|_| {
                let from = rng.u64(0..plan.bytes + 1);
                plan.held.insert(from..rng.u64(from..plan.bytes + 1));
            }),
            _ => {}
        }
        downloads::run(&plan, seed);
    }
}

/// More blocks than may be open at once, on a path that is long enough for them, with a disk that does not keep up and packets that overtake each other.
#[test]
fn many_blocks_are_under_way_at_once_and_each_byte_comes_once() {
    for seed in seeds(3).take(12) {
        let _replay = Replay("many_blocks_are_under_way", seed);
        let mut plan = uploads::Plan::new("rate=200mbit,delay=100ms,loss=2%", 10_000_000);
        let length = [1000, 20_000, 128 * 1024][(seed % 3) as usize];
        plan.blocks = Blocks(Some(length));
        plan.scatter = Duration::from_millis(20);
        plan.disk = Duration::from_millis(100);
        let outcome = uploads::run(&plan, seed);
        let (before, after) = outcome.stats.compressed;
        // Of the longest there are not so many.
        let least = length * (OPEN_MAX as u64 * 2).min(plan.bytes / length / 3);
        assert!(before > least && after < before, "{before} became {after}");
    }
}

/// What a slow path gains, on the wire and in time.
#[test]
fn a_slow_path_gains_what_is_saved() {
    let mut plan = uploads::Plan::new("rate=10mbit,delay=20ms", 4_000_000);
    let plain = uploads::run(&plan, 1);
    plan.blocks = Blocks(Some(128 * 1024));
    let compressed = uploads::run(&plan, 1);
    let (before, after) = compressed.stats.compressed;
    assert!(before > 2_000_000 && after * 2 < before, "{before} became {after}");
    assert!(compressed.took < plain.took.mul_f64(0.8), "{:?} and {:?}", compressed.took, plain.took);
    assert_eq!(compressed.stats.on_wire(plan.bytes), plan.bytes - before + after);
}
