//! How long 1 MB takes against loss and round trip: a committed table, so that a change in recovery shows as a diff.

use crate::world::{Plan, World, noise};
use homing::packet::Spelling;
use homing::session::Mode;
use homing::session::stop_and_wait::Outcome;
use std::fmt::Write;

const LOSS_PERCENT: [u32; 6] = [0, 1, 5, 15, 30, 50];
const ROUND_TRIP_MS: [u32; 4] = [1, 20, 200, 2200];
const SEEDS: u64 = 5;

/// Seconds of simulated time and retransmissions: the median of the seeds, each way the same loss.
fn cell(mode: Mode, spelling: Spelling, loss: u32, round_trip: u32) -> (f64, u64) {
    let content = noise(1_000_000, 1);
    let delay = round_trip * 500;
    let mut runs: Vec<(f64, u64)> = (0..SEEDS)
        .map(|seed| {
            let plan = Plan::new(&content, mode, spelling, &format!("loss={loss}%,delay={delay}us"));
            let mut world = World::new(std::slice::from_ref(&plan), seed);
            world.run();
            let client = &world.clients[0];
            assert_eq!(client.outcome, Some(Outcome::Delivered), "seed {seed}, loss {loss} %, {round_trip} ms");
            assert_eq!(world.disk.files.get(&plan.name), Some(&plan.content));
            (world.elapsed().as_secs_f64(), client.stats().retransmissions)
        })
        .collect();
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    runs[runs.len() / 2]
}

fn table() -> String {
    let mut text = String::from(
        "Seconds to deliver 1 MB by stop-and-wait, and messages sent again; loss each way, median of 5 seeds, simulated time.\n\
         Written by `UPDATE_GOLDEN=1 cargo test --release --test sim golden`.\n",
    );
    for (title, mode, spelling) in [
        ("checked, spaced, 1383-byte chunks", Mode::Checked, Spelling::Spaced),
        ("lab, spaced, chunks of 1390 to 1392 bytes", Mode::Lab, Spelling::Spaced),
        ("lab, compact, 20476-byte chunks", Mode::Lab, Spelling::Compact),
    ] {
        write!(text, "\n{title}\nloss each way").expect("memory");
        for round_trip in ROUND_TRIP_MS {
            write!(text, " {:>20}", format!("RTT {round_trip} ms")).expect("memory");
        }
        for loss in LOSS_PERCENT {
            write!(text, "\n{loss:>11} %").expect("memory");
            for round_trip in ROUND_TRIP_MS {
                let (seconds, again) = cell(mode, spelling, loss, round_trip);
                write!(text, " {:>20}", format!("{seconds:.1} s, {again}")).expect("memory");
            }
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_golden_table_is_as_committed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/stop_and_wait.txt");
    let now = table();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &now).expect("the tree is writable");
    }
    let committed = std::fs::read_to_string(path).expect("the golden table");
    assert!(now == committed, "loss recovery changed; look at it, and commit it with the reason:\n{now}");
}
