//! How busy the thread of the sockets is: what it does not spend waiting, or waits for a core.

use crate::io::clock;
use crate::io::effort::Effort;
use crate::session::Load;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The account of one thread, told a stretch at a time.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Once the thread has waited for the first time.
    running: Option<Running>,
    told: Option<Load>,
    /// For how long it was awake in all, in microseconds; for other threads to see.
    awake: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Running {
    effort: Effort,
    began: Instant,
    effort_then: Option<Duration>,
    slept: Duration,
    blocked: Duration,
}

impl Watch {
    /// What other threads see of it.
    pub(super) fn awake(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.awake)
    }

    /// The thread has waited, since `began`, `is_blocked` by a kernel that has no room.
    pub(super) fn on_waited(&mut self, began: Instant, is_blocked: bool) {
        let now = clock::now();
        let running = self.running.get_or_insert_with(|| Running::new(began));
        let waited = now.saturating_duration_since(began);
        running.slept += waited;
        if is_blocked {
            running.blocked += waited;
        }
        if now.saturating_duration_since(running.began) < STRETCH {
            return;
        }
        let effort = running.effort.so_far();
        let load = running.load(effort, now);
        self.awake.fetch_add(u64::try_from(load.awake.as_micros()).unwrap_or(0), Ordering::Relaxed);
        (running.began, running.effort_then, running.slept, running.blocked) =
            (now, effort, Duration::ZERO, Duration::ZERO);
        self.told = Some(load);
    }

    /// How busy it was in the last stretch, if one has just ended.
    pub(super) fn poll(&mut self) -> Option<Load> {
        self.told.take()
    }
}

impl Running {
    fn new(began: Instant) -> Self {
        let effort = Effort::of_this_thread();
        let effort_then = effort.so_far();
        Self { effort, began, effort_then, slept: Duration::ZERO, blocked: Duration::ZERO }
    }

    fn load(&self, effort: Option<Duration>, now: Instant) -> Load {
        let lasted = now.saturating_duration_since(self.began);
        let made = effort.zip(self.effort_then).map_or(Duration::ZERO, |(now, then)| now.saturating_sub(then));
        let awake = lasted.saturating_sub(self.slept);
        // Who is woken up and waits for a core has not slept so long.
        Load { lasted, awake, wanted: awake.max(made).min(lasted), blocked: self.blocked.min(lasted) }
    }
}

/// How often it is told: the kernel's account is up to 4 ms behind.
const STRETCH: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_slept_is_awake_and_what_waits_for_a_core_is_too() {
        let began = clock::now();
        let millis = Duration::from_millis;
        let running = |effort_then, slept| Running {
            effort: Effort::of_this_thread(),
            began,
            effort_then,
            slept: millis(slept),
            blocked: millis(10),
        };
        for (slept, then, effort, awake, wanted) in [
            (40, None, None, 60, 60),
            (40, Some(5), Some(5), 60, 60),
            (90, Some(5), Some(75), 10, 70),
            (90, Some(5), Some(705), 10, 100),
            (500, None, Some(9), 0, 0),
        ] {
            let load = running(then.map(millis), slept).load(effort.map(millis), began + millis(100));
            assert_eq!(
                load,
                Load { lasted: millis(100), awake: millis(awake), wanted: millis(wanted), blocked: millis(10) }
            );
        }
    }

    #[test]
    fn it_is_told_after_a_stretch_and_once() {
        let mut watch = Watch::default();
        watch.on_waited(clock::now(), false);
        assert_eq!(watch.poll(), None);
        watch.on_waited(clock::now() - STRETCH, true);
        // The first wait began the stretch, which has not lasted so long.
        assert_eq!(watch.poll(), None);
        if let Some(running) = &mut watch.running {
            running.began -= STRETCH;
        }
        watch.on_waited(clock::now(), false);
        assert!(watch.poll().is_some_and(|load| load.blocked >= STRETCH) && watch.poll().is_none());
    }
}
