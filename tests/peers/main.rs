//! Homing's built programs and every known course program, pair by pair: each kind of content, on calm and on lossy links.
//!
//! The course programs are the profiles of `lab_server.py` and `lab_client.py`; `expectations.json` says what each reaches.
//! The table goes to standard error and to `target/peers-matrix.txt`. `PROFILE=a-s7 cargo test --test peers` runs one alone.

#![expect(clippy::disallowed_methods, reason = "real programs take real time and leave real files")]

mod auto;
mod cell;
mod examined;
mod expected;
mod pair;
mod program;
mod table;

use cell::{Cell, Column, Ours};
use expected::{Class, Expectations};
use pair::{Pairs, Verdict};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

#[test]
fn every_peer_fares_as_documented() {
    run("peers-matrix.txt", |ours| {
        let calm = Class::ALL.map(Column::Calm);
        // On a lossy link the modes differ in nothing but their first number.
        let seeds = if ours == Ours::Lab { 1 } else { SEEDS };
        calm.into_iter().chain((1..=seeds).map(Column::Loss)).collect()
    });
}

#[test]
#[ignore = "takes minutes"]
fn every_peer_fares_as_documented_with_many_seeds_of_loss() {
    run("peers-matrix-of-losses.txt", |_| (1..=SEEDS_OF_LONG_RUN).map(Column::Loss).collect());
}

#[test]
fn auto_costs_a_plain_server_nothing() {
    let _turn = turn();
    match python() {
        Err(reason) => say(&format!("skipped: {reason}")),
        Ok(()) => auto::costs_a_plain_server_nothing(&target()),
    }
}

/// Runs all cells, the long ones first, and fails when one of them came out wrong.
fn run(file: &str, columns: impl Fn(Ours) -> Vec<Column>) {
    let _turn = turn();
    if let Err(reason) = python() {
        return say(&format!("skipped: {reason}"));
    }
    let began = Instant::now();
    let pairs = Pairs::new(&target(), Expectations::read());
    let only = std::env::var("PROFILE").ok();
    let mut cells = cell::all(&pairs.expectations, columns);
    cells.retain(|cell| only.as_ref().is_none_or(|only| *only == cell.profile));
    assert!(!cells.is_empty(), "PROFILE={} names none of the profiles", only.unwrap_or_default());
    let mut queue: Vec<&Cell> = cells.iter().collect();
    queue.sort_by_key(|cell| cell.is_short());
    let mut verdicts = in_parallel(&queue, |cell| pairs.judge(cell));
    let stumbles = try_again(&pairs, &mut verdicts);
    let mut text = table::render(&cells, &verdicts) + &stumbles;
    text += &format!("{} cells in {:.0} s\n", cells.len(), began.elapsed().as_secs_f64());
    say(&text);
    std::fs::write(target().join(file), &text).expect("the table's file");
    let wrong = wrong(&verdicts);
    let names: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{} of {} cells are WRONG: {}", wrong.len(), cells.len(), names.join("; "));
}

/// A machine that stands still for a moment makes somebody repeat himself, and half of these peers do not survive a repeat. So
/// what came out wrong runs once more, with the machine for itself; gives a line for each cell that this has cleared. Many
/// wrong cells are no accident.
fn try_again(pairs: &Pairs, verdicts: &mut BTreeMap<&Cell, Verdict>) -> String {
    let suspects = wrong(verdicts);
    let mut stumbles = String::new();
    for cell in suspects.iter().filter(|_| suspects.len() <= STUMBLES_MAX) {
        let second = pairs.judge(cell);
        if !matches!(second, Verdict::Wrong(_))
            && let Some(Verdict::Wrong(why)) = verdicts.insert(cell, second)
        {
            stumbles += &format!("right at the second try only: {cell}\n  {}\n\n", why.trim_end());
        }
    }
    stumbles
}

fn wrong<'a>(verdicts: &BTreeMap<&'a Cell, Verdict>) -> Vec<&'a Cell> {
    verdicts.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Wrong(_))).map(|(cell, _)| *cell).collect()
}

/// The pairs mostly sleep on their timers, so far more of them than there are processors run at the same time.
fn in_parallel<'a>(queue: &[&'a Cell], judge: impl Fn(&Cell) -> Verdict + Sync) -> BTreeMap<&'a Cell, Verdict> {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(&cell) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = judge(cell);
                    verdicts.lock().expect("no worker panics").insert(cell, verdict);
                }
            });
        }
    });
    verdicts.into_inner().expect("no worker panics")
}

/// One test at a time: what they measure is time.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there is a Python that the peers run on, or why not.
fn python() -> Result<(), String> {
    let is_new_enough = "import sys; sys.exit(sys.version_info < (3, 10))";
    match Command::new("python3").args(["-c", is_new_enough]).stdin(Stdio::null()).status() {
        Err(error) => Err(format!("no python3 here ({error})")),
        Ok(status) if !status.success() => Err("the peers need Python 3.10 or newer".into()),
        Ok(_) => Ok(()),
    }
}

/// Straight to standard error: the harness would keep what is printed by a test that passes.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// The build's folder.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("tmp lies in it").to_path_buf()
}

const WORKERS: usize = 16;

/// So many wrong cells may be a stumble of the machine's.
const STUMBLES_MAX: usize = 4;

const SEEDS: u64 = 3;
const SEEDS_OF_LONG_RUN: u64 = 20;
