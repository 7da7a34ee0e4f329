//! Yields to everybody else: LEDBAT (RFC 6817), with the slowdowns of LEDBAT++ (draft-irtf-iccrg-ledbat-plus-plus).
//!
//! The window is steered so that our own queue delays packets by a quarter of the round trip. Somebody else's queue delays them as well,
//! and then we give way. Differences from RFC 6817, all from LEDBAT++: the delay is that of the round trip, since
//! clocks of two machines cannot be compared without another protocol; what is too much is given back in proportion to
//! the window, so that a large one yields as fast as a small one; and from time to time, a tenth of it at most, the
//! flow falls silent for two round trips, so that it measures the path without itself. Without that a newcomer takes an
//! elder's standing queue for the empty path and drives it away. And the target is lower than RFC 6817 allows: where the
//! queue holds less than the target, the delay never says stop, and the flow is as greedy as any TCP.

use crate::session::congestion::controller::{
    Acked, Congestion, Lost, RTT_UNKNOWN, Start, initial_window, rate_of, scaled,
};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// LEDBAT.
#[derive(Clone, Debug)]
pub struct Background {
    mtu: u64,
    window: u64,
    slow_start_threshold: u64,
    /// The shortest round trip of each of the last minutes, the newest last.
    base: VecDeque<(Instant, Duration)>,
    /// The shortest round trip of this round and of the one before it.
    current: [Option<Duration>; 2],
    /// How many round trips were measured in this round.
    samples: u32,
    round_end: Option<Instant>,
    slowdown: Slowdown,
    cut_at: Option<Instant>,
    smoothed_rtt: Option<Duration>,
    is_limiting: bool,
}

/// Where the flow is between two silences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slowdown {
    /// No end of slow start to count from yet.
    NotYet,
    /// The next one begins then.
    Next(Instant),
    /// It began then, and ends at the second.
    Silent(Instant, Instant),
    /// It began then, and slow start leads back to where it was.
    Returning(Instant),
}

impl Background {
    /// Two packets, in slow start.
    pub fn new(start: &Start) -> Self {
        let mtu = start.mtu as u64;
        Self {
            mtu,
            window: initial_window(INITIAL_PACKETS, mtu),
            slow_start_threshold: u64::MAX,
            base: VecDeque::new(),
            current: [None; 2],
            samples: 0,
            round_end: None,
            slowdown: Slowdown::NotYet,
            cut_at: None,
            smoothed_rtt: start.rtt,
            is_limiting: true,
        }
    }

    /// What the queue on the path delays packets by.
    fn queueing(&mut self, acked: &Acked) -> Duration {
        // What the peer held its acknowledgement back for is nobody's queue.
        let (now, rtt) = (acked.now, acked.sample.rtt.saturating_sub(acked.ack_delay));
        match self.base.back_mut().filter(|(began, _)| now.saturating_duration_since(*began) < MINUTE) {
            Some((_, min)) => *min = (*min).min(rtt),
            None => {
                if self.base.len() == BASE_MINUTES {
                    self.base.pop_front();
                }
                self.base.push_back((now, rtt));
            }
        }
        if self.round_end.is_none_or(|end| acked.sample.sent > end) {
            self.round_end = Some(now);
            self.current = [None, self.current[0]];
            self.samples = 0;
        }
        self.samples += 1;
        self.current[0] = Some(self.current[0].map_or(rtt, |min| min.min(rtt)));
        // Slow start doubles in a round: it must not wait for the one before to be forgotten.
        let is_starting = self.window < self.slow_start_threshold && self.samples >= SAMPLES_MIN;
        let rounds = if is_starting { &self.current[..1] } else { &self.current[..] };
        let current = rounds.iter().flatten().min().copied().unwrap_or(rtt);
        current.saturating_sub(self.base_delay().unwrap_or(rtt))
    }

    /// The round trip without a queue.
    fn base_delay(&self) -> Option<Duration> {
        self.base.iter().map(|(_, min)| *min).min()
    }

    /// The queue that is aimed for.
    fn target(&self) -> Duration {
        self.base_delay().map_or(TARGET_MAX, |base| (base / 4).clamp(TARGET_MIN, TARGET_MAX))
    }

    fn grow(&mut self, acked: &Acked, queueing: Duration) {
        if self.window < self.slow_start_threshold {
            if queueing > self.target() * 3 / 4 {
                // What was sent since then only adds to the queue: what the path holds is what was in flight, without the queue's share.
                let base = self.base_delay().unwrap_or_default().as_secs_f64();
                let filled = scaled(acked.sample.in_flight_then, base / (base + queueing.as_secs_f64()));
                self.window = filled.clamp(self.window_min(), self.window);
                self.slow_start_threshold = self.window;
                self.cut_at = Some(acked.now);
            } else {
                self.window = self.window.saturating_add(acked.bytes).min(self.slow_start_threshold);
            }
            return;
        }
        let window = self.window as f64;
        let share = acked.bytes as f64 / window;
        let off_target = 1.0 - queueing.as_secs_f64() / self.target().as_secs_f64();
        // At most a packet more for a round trip (RFC 6817 section 2.4.2), at most half of the window less.
        let change = if off_target > 0.0 {
            off_target * self.mtu as f64 * share
        } else if self.cut_at.is_some_and(|at| acked.sample.sent <= at) {
            // It met the queue that was answered to.
            0.0
        } else {
            (off_target * window).max(-window / 2.0) * share
        };
        self.window = ((window + change) as u64).max(self.window_min());
        self.slow_start_threshold = self.slow_start_threshold.min(self.window);
    }

    /// LEDBAT++ section 4.4: two round trips after slow start, and then with nine times their length between them.
    fn pass_slowdown(&mut self, acked: &Acked) {
        let now = acked.now;
        match self.slowdown {
            Slowdown::NotYet if self.window >= self.slow_start_threshold => {
                self.slowdown = Slowdown::Next(now + acked.smoothed_rtt * 2);
            }
            Slowdown::Next(due) if now >= due => {
                self.slow_start_threshold = self.window;
                self.window = self.window_min();
                self.slowdown = Slowdown::Silent(now, now + acked.smoothed_rtt * 2);
            }
            Slowdown::Silent(began, end) if now >= end => self.slowdown = Slowdown::Returning(began),
            Slowdown::Returning(began) if self.window >= self.slow_start_threshold => {
                let took = now.saturating_duration_since(began);
                self.slowdown = Slowdown::Next(now + took * SLOWDOWN_SPACING);
            }
            _ => {}
        }
    }

    fn cut(&mut self, now: Instant, sent: Instant) {
        if self.cut_at.is_some_and(|at| sent <= at) {
            return;
        }
        self.cut_at = Some(now);
        self.window = (self.window / 2).max(self.window_min());
        self.slow_start_threshold = self.slow_start_threshold.min(self.window);
    }

    fn window_min(&self) -> u64 {
        2 * self.mtu
    }
}

impl Congestion for Background {
    fn on_sent(&mut self, _now: Instant, _bytes: u64, in_flight: u64) {
        if in_flight.saturating_add(self.mtu) > self.window {
            self.is_limiting = true;
        }
    }

    fn on_acked(&mut self, acked: &Acked) {
        self.smoothed_rtt = Some(acked.smoothed_rtt);
        let queueing = self.queueing(acked);
        self.pass_slowdown(acked);
        let is_silent = matches!(self.slowdown, Slowdown::Silent(..));
        if !is_silent && (self.is_limiting || queueing > self.target()) {
            self.is_limiting = acked.in_flight.saturating_add(self.mtu) > self.window;
            self.grow(acked, queueing);
        }
    }

    /// As TCP: half, once a round trip (RFC 6817 section 2.4.2).
    fn on_lost(&mut self, lost: &Lost) {
        self.cut(lost.now, lost.sent);
    }

    fn on_congestion_signalled(&mut self, now: Instant, sent: Instant) {
        self.cut(now, sent);
    }

    fn on_persistent_congestion(&mut self, _now: Instant) {
        self.window = self.window_min();
    }

    fn on_mtu(&mut self, bytes: usize) {
        self.mtu = bytes as u64;
        self.window = self.window.max(self.window_min());
    }

    fn on_idle_restart(&mut self, _now: Instant) {
        self.window = self.window.min(initial_window(INITIAL_PACKETS, self.mtu));
        self.slowdown = Slowdown::NotYet;
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn pacing_rate(&self) -> u64 {
        scaled(rate_of(self.window, self.smoothed_rtt.unwrap_or(RTT_UNKNOWN)), PACING_GAIN).max(1)
    }

    fn slow_start_threshold(&self) -> Option<u64> {
        Some(self.slow_start_threshold).filter(|threshold| *threshold < u64::MAX)
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn phase(&self) -> &'static str {
        match self.slowdown {
            Slowdown::Silent(..) => "slowdown",
            _ if self.window < self.slow_start_threshold => "slow start",
            _ => "steering",
        }
    }
}

/// As on the command line.
pub const NAME: &str = "background";

/// The queue that is aimed for is a quarter of the round trip, up to this: RFC 6817 section 2.5 allows 100 ms at most, LEDBAT++ takes 60.
/// Routers' queues are made for a round trip or less, and a TCP CUBIC that fills a queue of one leaves two fifths of it standing when it
/// gives way (its window falls to seven tenths): whoever aims for less than that leaves it the line.
pub const TARGET_MAX: Duration = Duration::from_millis(40);

/// Less is lost in the noise of machines that wake up.
const TARGET_MIN: Duration = Duration::from_millis(2);

/// RFC 9406 section 4.3: so many round trips show a queue, less may be chance.
const SAMPLES_MIN: u32 = 8;

/// RFC 6817 section 2.4.1: base delays of the last ten minutes, a minimum for each.
const BASE_MINUTES: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// RFC 6817 section 2.5: `INIT_CWND`, two packets.
const INITIAL_PACKETS: u64 = 2;

/// LEDBAT++ section 4.4: a slowdown takes a tenth of the time at most.
const SLOWDOWN_SPACING: u32 = 9;

/// A little more than a window in a round trip, so that the window and not the pace is what holds back, as Linux has it (tcp_pacing_ca_ratio).
/// Twice as fast in slow start would make a queue with half a pipe, and end it there.
const PACING_GAIN: f64 = 1.2;
