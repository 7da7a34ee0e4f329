//! The verdict on a simulated transfer names what was made its limit.

use crate::uploads::{Plan, run};
use homing::limits::{Limit, Share, sentence, shares};
use homing::session::congestion::Choice;
use std::time::Duration;

/// What a transfer was mostly limited by, and its share in percent.
fn verdict(plan: &Plan) -> (Option<Limit>, u32) {
    let outcome = run(plan, 1);
    let spent = outcome.stats.spent;
    println!("{:42} {:?} {}", plan.weather, outcome.took, sentence(&spent).unwrap_or_default());
    let unaccounted = outcome.took.abs_diff(spent.total());
    assert!(unaccounted < Duration::from_millis(5) + outcome.took / 50, "{unaccounted:?} of {:?}", outcome.took);
    let Some(Share { limit, percent }) = shares(&spent).first().copied() else { return (None, 0) };
    (limit, percent)
}

#[test]
fn a_slow_path_is_named_whatever_else_it_does() {
    for weather in [
        "rate=10mbit,delay=5ms",
        "rate=10mbit,delay=50ms,loss=5%",
        "rate=20mbit,delay=20ms,queue=16k",
        "rate=10mbit,delay=5ms,reorder=5%",
    ] {
        for choice in [Choice::Bbr, Choice::Cubic] {
            let (limit, percent) = verdict(&Plan { choice, ..Plan::new(weather, 5_000_000) });
            assert!(limit == Some(Limit::Path) && percent >= 85, "{weather}, {choice}: {limit:?} {percent} %");
        }
    }
}

#[test]
fn a_slow_disk_there_is_named() {
    // 32 MiB may wait for it, for a second each.
    let mut plan = Plan::new("rate=1gbit,delay=1ms", if cfg!(debug_assertions) { 36_000_000 } else { 400_000_000 });
    plan.disk = Duration::from_secs(1);
    let (limit, percent) = verdict(&plan);
    assert!(limit == Some(Limit::PeerDisk) && percent >= 70, "{limit:?} {percent} %");
}

#[test]
fn a_slow_source_is_named() {
    for (rate, weather, least) in
        [(1_000_000, "rate=1gbit,delay=1ms", 95), (1_000_000, "rate=100mbit,delay=40ms,loss=1%", 70)]
    {
        let (limit, percent) = verdict(&Plan { source: Some(rate), ..Plan::new(weather, 3_000_000) });
        assert!(limit == Some(Limit::Disk) && percent >= least, "{weather}: {limit:?} {percent} %");
    }
}

#[test]
fn what_is_over_in_a_few_round_trips_is_limited_by_these() {
    let (limit, percent) = verdict(&Plan::new("rate=1gbit,delay=100ms", 1000));
    assert!(limit == Some(Limit::Delay) && percent >= 95, "{limit:?} {percent} %");
}

#[test]
fn a_rate_that_was_asked_for_is_named() {
    let choice = Choice::Fixed(500_000);
    let (limit, percent) = verdict(&Plan { choice, ..Plan::new("rate=100mbit,delay=10ms", 2_000_000) });
    assert!(limit == Some(Limit::Rate) && percent >= 90, "{limit:?} {percent} %");
}

/// 32 MiB at a time is what a receiver permits.
#[test]
#[cfg_attr(debug_assertions, ignore = "long; cargo test --release --test sim")]
fn a_path_that_is_too_long_for_the_receivers_window_is_told_from_a_slow_disk() {
    let mut plan = Plan::new("rate=1gbit,delay=500ms", 400_000_000);
    plan.choice = Choice::Fixed(125_000_000);
    let (limit, _) = verdict(&plan);
    assert_eq!(limit, Some(Limit::Window));
}
