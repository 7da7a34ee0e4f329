//! A link whose packets also overtake each other: each is held back for a time of its own.

use homing::weather::{Fault, Link};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The link, and what has left it and waits for its moment.
pub struct Scattered<T> {
    link: Link<T>,
    /// Each packet takes up to this much longer.
    spread: Duration,
    dice: fastrand::Rng,
    waiting: BTreeMap<(Instant, u64), (T, Vec<u8>)>,
    count: u64,
}

impl<T: Clone> Scattered<T> {
    /// With a spread of zero it is the link alone.
    pub fn new(fault: Fault, spread: Duration, seed: u64) -> Self {
        let dice = fastrand::Rng::with_seed(seed);
        Self { link: Link::new(fault, seed), spread, dice, waiting: BTreeMap::new(), count: 0 }
    }

    pub fn send(&mut self, now: Instant, tag: T, bytes: Vec<u8>) {
        self.link.send(now, tag, bytes);
    }

    pub fn poll(&mut self, now: Instant) -> Option<(T, Vec<u8>)> {
        if self.spread.is_zero() {
            return self.link.poll(now);
        }
        while let Some(due) = self.link.poll_timeout().filter(|due| *due <= now) {
            let Some(packet) = self.link.poll(due) else { break };
            self.count += 1;
            self.waiting.insert((due + self.spread.mul_f64(self.dice.f64()), self.count), packet);
        }
        let next = self.waiting.first_entry()?;
        (next.key().0 <= now).then(|| next.remove())
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.waiting.first_key_value().map(|((due, _), _)| *due);
        [self.link.poll_timeout(), waiting].into_iter().flatten().min()
    }
}
