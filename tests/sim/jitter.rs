//! Paths whose delays vary by as much as they last, in order and out of it.

use crate::uploads::{Plan, run};
use crate::{Replay, seeds};
use std::time::Duration;

/// Jitter of half the round trip and more, and one packet in a hundred twice: no packet's luck is taken for the path, and none
/// that is overtaken for lost. Asked is 88 % of what can be delivered, in the time between a tenth and nine tenths of the bytes.
#[test]
#[cfg_attr(debug_assertions, ignore = "long; cargo test --release --test sim")]
fn jitter_of_half_the_round_trip_does_not_make_an_upload_slow() {
    println!("path                                                  overtaking   steady, of the seeds   sent again");
    for (words, scatter_ms, steady_min, again_max) in [
        // What a path does that keeps order: who comes late holds back all behind him.
        ("rate=100mbit,delay=50ms,jitter=50ms,dup=1%", 0, 0.88, 0.08),
        ("rate=100mbit,delay=25ms,jitter=50ms,queue=1250k,dup=1%", 0, 0.88, 0.08),
        ("rate=100mbit,delay=0ms,jitter=100ms,queue=1250k,dup=1%", 0, 0.88, 0.08),
        // One packet in a hundred comes up to a quarter of a second later still.
        ("rate=100mbit,delay=50ms,jitter=50ms,reorder=1%,dup=1%", 0, 0.88, 0.12),
        // Each packet has a delay of its own.
        ("rate=100mbit,delay=50ms,queue=1250k,dup=1%", 50, 0.88, 0.08),
        ("rate=100mbit,delay=25ms,queue=1250k,dup=1%", 50, 0.88, 0.08),
        // Any order whatever, with round trips from 0 to 200 ms: the rate holds, but what is sent again does not stay low for every
        // seed (2 to 42 %). The bound says what is reached, not what is wanted.
        ("rate=100mbit,delay=0ms,queue=1250k,dup=1%", 100, 0.88, 0.5),
    ] {
        let bytes = 100_000_000;
        let (mut shares, mut again) = (Vec::new(), 0.0_f64);
        // A hundred megabytes each, so ten thousand of them are for another day.
        for seed in seeds(5).take(5) {
            let _replay = Replay("jitter_of_half", seed);
            let mut plan = Plan::new(words, bytes);
            plan.scatter = Duration::from_millis(scatter_ms);
            let outcome = run(&plan, seed);
            let [first, last] = outcome.marks.map(|mark| mark.expect("there").as_secs_f64());
            let steady = bytes as f64 * 0.8 / (last - first) / (100e6 / 8.0 * 0.96);
            let repeated = outcome.stats.repeated as f64 / bytes as f64;
            assert!(
                steady >= steady_min && repeated <= again_max,
                "{words}, {scatter_ms} ms: {steady:.3} {repeated:.3}"
            );
            shares.push(steady);
            again = again.max(repeated);
        }
        println!("{words:54}  {scatter_ms:3} ms   {shares:.2?}   {again:.3}");
    }
}
