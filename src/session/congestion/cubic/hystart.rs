//! When slow start has gone far enough: HyStart++ (RFC 9406).
//!
//! A queue shows as a longer round trip before it overflows. When a round's shortest round trip is longer than that of
//! the round before, slow start goes on for some rounds at a fraction of its speed, and ends if the delay stays.

use std::time::{Duration, Instant};

/// What slow start should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Double every round.
    Grow,
    /// Grow by a quarter of that: conservative slow start.
    GrowSlowly,
    /// The queue has stayed: end slow start.
    Stop,
}

/// The delay of the rounds of slow start.
#[derive(Clone, Debug, Default)]
pub struct HyStart {
    /// The round ends with the acknowledgement of a packet that was sent after this.
    round_end: Option<Instant>,
    last_min: Option<Duration>,
    current_min: Option<Duration>,
    samples: u32,
    /// The shortest round trip when conservative slow start began, and the rounds it has lasted.
    conservative: Option<(Duration, u32)>,
}

impl HyStart {
    /// A packet that was sent at `sent` was acknowledged after a round trip, in slow start.
    pub fn on_acked(&mut self, now: Instant, sent: Instant, rtt: Duration) -> Verdict {
        if self.round_end.is_none_or(|end| sent > end) {
            let ended = self.round_end.replace(now).is_some();
            self.last_min = self.current_min.take();
            self.samples = 0;
            if let Some((_, rounds)) = self.conservative.as_mut().filter(|_| ended) {
                *rounds += 1;
                if *rounds >= CONSERVATIVE_ROUNDS {
                    return Verdict::Stop;
                }
            }
        }
        self.samples += 1;
        let current = self.current_min.map_or(rtt, |min| min.min(rtt));
        self.current_min = Some(current);
        if self.samples < SAMPLES {
            return self.verdict();
        }
        match (self.conservative, self.last_min) {
            (None, Some(last)) if current >= last + (last / RTT_DIVISOR).clamp(RTT_RISE_MIN, RTT_RISE_MAX) => {
                self.conservative = Some((current, 0));
            }
            // The delay went away again: it was no queue of ours.
            (Some((baseline, _)), _) if current < baseline => self.conservative = None,
            _ => {}
        }
        self.verdict()
    }

    fn verdict(&self) -> Verdict {
        if self.conservative.is_some() { Verdict::GrowSlowly } else { Verdict::Grow }
    }
}

/// RFC 9406 section 4.3: `MIN_RTT_THRESH`, `MAX_RTT_THRESH`, `MIN_RTT_DIVISOR`, `N_RTT_SAMPLE`, `CSS_ROUNDS`.
const RTT_RISE_MIN: Duration = Duration::from_millis(4);
const RTT_RISE_MAX: Duration = Duration::from_millis(16);
const RTT_DIVISOR: u32 = 8;
const SAMPLES: u32 = 8;
const CONSERVATIVE_ROUNDS: u32 = 5;

/// RFC 9406 section 4.3: `CSS_GROWTH_DIVISOR`.
pub const CONSERVATIVE_DIVISOR: u64 = 4;
