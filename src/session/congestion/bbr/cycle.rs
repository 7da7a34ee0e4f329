//! When to probe for more, and what the last probe has shown (draft-ietf-ccwg-bbr section 5.3.3).

use std::time::{Duration, Instant};

/// A turn of ProbeBW, which begins with ProbeBW_DOWN.
#[derive(Clone, Copy, Debug)]
pub struct Cycle {
    dice: u64,
    began: Instant,
    /// After so long the next probe is due,
    wait: Duration,
    /// or after this round.
    last_round: u64,
    /// Whether the probe is over, and what is acknowledged was still sent while it lasted.
    is_ending: bool,
    /// Whether what is acknowledged was sent while probing, and no congestion was seen in it yet.
    pub is_probe_sample: bool,
    /// Whether the last probe ended in congestion.
    pub was_too_high: bool,
    /// Whether this probe ended early because the last one ended in congestion.
    pub is_precautionary: bool,
    /// Whether there was a queue before this probe began.
    pub was_queueing: bool,
}

impl Cycle {
    /// Nothing was probed yet; `seed` decides on the moments of the probes.
    pub fn new(now: Instant, seed: u64) -> Self {
        Self {
            dice: seed,
            began: now,
            wait: Duration::ZERO,
            last_round: 0,
            is_ending: false,
            is_probe_sample: false,
            was_too_high: false,
            is_precautionary: false,
            was_queueing: false,
        }
    }

    /// A cycle begins in this round, `window` packets being what we want in flight; `has_probed` if a probe came before
    /// it.
    pub fn on_began(&mut self, now: Instant, round: u64, window: u64, has_probed: bool) {
        let dice = self.throw();
        self.began = now;
        self.wait = WAIT + Duration::from_millis(dice % WAIT_SPREAD_MS);
        self.last_round = round + window.min(RENO_ROUNDS_MAX).saturating_sub(dice >> 63);
        self.is_ending = has_probed;
    }

    /// The pipe is filled before a probe.
    pub fn on_refill(&mut self) {
        self.is_precautionary = false;
        self.is_ending = false;
    }

    /// A probe begins; `is_queueing` if there is a queue already.
    pub fn on_probe(&mut self, is_queueing: bool) {
        self.is_probe_sample = true;
        self.was_queueing = is_queueing;
    }

    /// A round has ended; says whether with it all that the probe could show.
    pub fn on_round(&mut self) -> bool {
        if self.is_ending {
            self.is_probe_sample = false;
        }
        std::mem::take(&mut self.is_ending)
    }

    /// Whether the next probe is due: after two to three seconds, or as soon as Reno would have returned to where it was.
    pub fn is_due(&self, now: Instant, round: u64) -> bool {
        now.saturating_duration_since(self.began) > self.wait || round >= self.last_round
    }

    /// Splitmix64: moments that other flows should not share need no better dice.
    fn throw(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Draft section 5.3.3.8: two to three seconds, at random.
const WAIT: Duration = Duration::from_secs(2);
const WAIT_SPREAD_MS: u64 = 1000;

/// Draft section 5.3.3.8: 62 or 63 rounds at most.
const RENO_ROUNDS_MAX: u64 = 63;
