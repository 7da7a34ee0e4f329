//! Simulated worlds: sessions, links and one clock; thousands of bad networks in seconds.
//!
//! A failing run prints its seed; `SEED=<seed> cargo test --test sim <name>` runs that one alone.

mod behaviour;
mod bottleneck;
mod chats;
mod compressing;
mod congestion;
mod conversations;
mod downloads;
mod golden;
mod handshakes;
mod jitter;
mod limiting;
mod limits;
mod negotiation;
mod recovery;
mod registry;
mod scatter;
mod transfers;
mod uploads;
mod world;

/// The seeds of a test: the one in the environment, or `0..count` (more with `SEEDS=<count>`).
pub fn seeds(count: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(count),
    }
}

/// Prints the seed when the run it guards panics.
pub struct Replay(pub &'static str, pub u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with: SEED={} cargo test --test sim {}", self.1, self.0);
        }
    }
}
