//! For how long a sender was held back by what: a stopwatch for each limit, of which one runs at any time (in the manner of the
//! `busy`, `rwnd_limited` and `sndbuf_limited` times that Linux keeps of a TCP connection, tcp(7) `TCP_INFO`).

use crate::limits::{Limit, Spent, business};
use crate::session::Load;
use std::time::{Duration, Instant};

/// The stopwatches.
#[derive(Clone, Debug)]
pub struct Chrono {
    limit: Limit,
    counted: Instant,
    /// What may still be the processor's fault, or the socket's, as the next [`Load`] will tell.
    recent: Spent,
    settled: Spent,
    /// For how long packets left too late in all, as of the last load.
    late: Duration,
}

impl Chrono {
    /// Begins with the round trips of a handshake.
    pub fn new(now: Instant) -> Self {
        Self {
            limit: Limit::Delay,
            counted: now,
            recent: Spent::default(),
            settled: Spent::default(),
            late: Duration::ZERO,
        }
    }

    /// From now on this is what holds us back.
    pub fn reach(&mut self, limit: Limit, now: Instant) {
        self.count(now);
        self.limit = limit;
    }

    /// The time until now is what it was.
    pub fn count(&mut self, now: Instant) {
        self.recent.add(self.limit, now.saturating_duration_since(self.counted));
        self.counted = self.counted.max(now);
    }

    /// So long the thread was `busy` in the time that `load` is about, and so were others; who seals and sends all the time is not held
    /// back by any path. Nor is who comes `late` to it, for so long in all so far.
    pub fn on_load(&mut self, busy: Duration, late: Duration, load: &Load, now: Instant) {
        self.count(now);
        let late_now = late.saturating_sub(std::mem::replace(&mut self.late, late));
        let mut recent = std::mem::take(&mut self.recent);
        let held = recent.of(Limit::Path) + recent.of(Limit::Rate);
        let part = |time: Duration| if held.is_zero() { 0.0 } else { time.as_secs_f64() / held.as_secs_f64() };
        let blocked = part(load.blocked);
        let busy = business(busy, load.lasted).max(part(late_now));
        for seeming in [Limit::Path, Limit::Rate] {
            recent.shift(seeming, Limit::Socket, blocked);
            recent.shift(seeming, Limit::Processor, busy);
        }
        self.settled.add_all(&recent);
    }

    /// What held us back so far, as it was last counted.
    pub fn spent(&self) -> Spent {
        let mut spent = self.settled;
        spent.add_all(&self.recent);
        spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn begun() -> (Chrono, Instant) {
        let now = Instant::now();
        (Chrono::new(now), now)
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn every_moment_belongs_to_one_limit() {
        let (mut chrono, began) = begun();
        let steps = [(10, Limit::Path), (30, Limit::Disk), (35, Limit::Path), (35, Limit::Delay), (30, Limit::Delay)];
        steps.iter().for_each(|(at, limit)| chrono.reach(*limit, began + millis(*at)));
        chrono.count(began + millis(40));
        let spent = chrono.spent();
        let times = [Limit::Delay, Limit::Path, Limit::Disk].map(|limit| spent.of(limit).as_millis());
        assert_eq!((times, spent.total()), ([15, 20, 5], millis(40)));
    }

    #[test]
    fn a_busy_thread_and_a_full_kernel_are_not_the_paths_fault() {
        for (busy, late, blocked, expected) in [
            (10, 0, 0, [100, 0, 0, 0]),
            (99, 0, 0, [0, 100, 0, 0]),
            (10, 30, 0, [70, 30, 0, 0]),
            (10, 999, 0, [0, 100, 0, 0]),
            (10, 0, 40, [60, 0, 40, 0]),
            (99, 0, 40, [0, 60, 40, 0]),
            (10, 0, 1000, [0, 0, 100, 0]),
        ] {
            let (mut chrono, began) = begun();
            chrono.reach(Limit::Path, began);
            chrono.reach(Limit::Path, began + millis(60));
            let load = Load { lasted: millis(100), blocked: millis(blocked), ..Load::default() };
            chrono.on_load(millis(busy), millis(late), &load, began + millis(100));
            let spent = chrono.spent();
            let found = [Limit::Path, Limit::Processor, Limit::Socket, Limit::Delay];
            let found = found.map(|limit| (spent.of(limit).as_secs_f64() * 1e3).round() as u64);
            assert_eq!(found, expected, "{busy} {late} {blocked}");
        }
    }

    #[test]
    fn who_waits_for_a_disk_may_be_busy_meanwhile() {
        let (mut chrono, began) = begun();
        chrono.reach(Limit::Disk, began);
        let load = Load { lasted: millis(50), ..Load::default() };
        chrono.on_load(millis(50), Duration::ZERO, &load, began + millis(50));
        assert_eq!(chrono.spent().largest(), Some(Limit::Disk));
    }
}
