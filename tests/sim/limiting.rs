//! A limit of the rate holds whatever the path and the congestion control are, and can be changed in the middle.

use crate::uploads::{Plan, run};
use homing::session::congestion::Choice;
use std::time::Duration;

/// Bytes, also per second.
const MEGABYTE: u64 = 1_000_000;
const KILOBYTE: u64 = 1000;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How fast datagrams left on average in these seconds, against `limit`, in percent.
fn percent(tenths: &[u64], from: usize, to: usize, limit: u64) -> f64 {
    let sent: u64 = tenths[from * 10..to * 10].iter().sum();
    sent as f64 * 100.0 / (limit as f64 * (to - from) as f64)
}

#[test]
fn ten_seconds_are_within_two_percent_of_the_limit() {
    let (clean, lossy) = ("delay=20ms,rate=1gbit", "delay=50ms,rate=200mbit,loss=5%");
    for (choice, weather) in [
        (Choice::Bbr, clean),
        (Choice::Cubic, clean),
        (Choice::Background, clean),
        (Choice::Fixed(50 * MEGABYTE), clean),
        // What the others make of losses is less than the limit.
        (Choice::Bbr, lossy),
        (Choice::Fixed(50 * MEGABYTE), lossy),
    ] {
        let limits = vec![(Duration::ZERO, 500 * KILOBYTE)];
        let plan = Plan { choice, limits, ..Plan::new(weather, 6 * MEGABYTE) };
        let tenths = run(&plan, 1).tenths;
        let share = percent(&tenths, 1, 11, 500 * KILOBYTE);
        assert!((98.0..=102.0).contains(&share), "{share} % with {choice} on {weather}: {tenths:?}");
        let most = tenths.iter().max().copied().unwrap_or_default();
        assert!(most <= 56_000, "{most} bytes in a tenth of a second with {choice} on {weather}");
    }
}

#[test]
fn a_limit_that_changes_counts_at_once_downwards_and_within_seconds_upwards() {
    for choice in [Choice::Bbr, Choice::Cubic, Choice::Background] {
        let limits =
            vec![(Duration::ZERO, 400 * KILOBYTE), (seconds(6), 200 * KILOBYTE), (seconds(12), 800 * KILOBYTE)];
        let plan = Plan { choice, limits, ..Plan::new("delay=20ms,rate=200mbit", 14 * MEGABYTE) };
        let tenths = run(&plan, 1).tenths;
        let shares = [(1, 6, 400), (6, 12, 200), (15, 25, 800)]
            .map(|(from, to, limit)| percent(&tenths, from, to, limit * KILOBYTE));
        assert!(shares.iter().all(|share| (98.0..=102.0).contains(share)), "{shares:?} % with {choice}: {tenths:?}");
    }
}

#[test]
fn without_a_limit_and_with_one_above_the_path_the_path_is_filled() {
    let took = |limits| {
        let plan = Plan { limits, ..Plan::new("delay=20ms,rate=40mbit", 15 * MEGABYTE) };
        run(&plan, 1).took.as_secs_f64()
    };
    let (without, above, lifted) = (
        took(Vec::new()),
        took(vec![(Duration::ZERO, 15 * MEGABYTE)]),
        took(vec![(Duration::ZERO, MEGABYTE), (seconds(1), u64::MAX)]),
    );
    assert!((above - without).abs() < 0.5, "{above} s with a limit above the path, {without} s without");
    assert!(lifted < without + 2.5, "{lifted} s after it was lifted, {without} s without");
}
