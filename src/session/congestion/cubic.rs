//! The window of most TCPs: CUBIC (RFC 9438), with HyStart++ (RFC 9406).
//!
//! After a loss the window is cut to 0.7, returns to where it was along a cubic curve of time, stays there for a while
//! and then looks for more. Volumes are in bytes here; the formulas of RFC 9438 are in segments, which are our packets.

mod hystart;

use crate::session::congestion::controller::{
    Acked, Congestion, INITIAL_PACKETS, Lost, RTT_UNKNOWN, Start, initial_window, rate_of, scaled,
};
use hystart::{CONSERVATIVE_DIVISOR, HyStart, Verdict};
use std::time::{Duration, Instant};

/// CUBIC.
#[derive(Clone, Debug)]
pub struct Cubic {
    mtu: u64,
    window: u64,
    slow_start_threshold: u64,
    slow_start: HyStart,
    /// The window of the last congestion, `W_max` of RFC 9438.
    window_max: f64,
    epoch: Option<Epoch>,
    episode: Option<Episode>,
    /// Whether the window, and not the application, limits what is in flight.
    is_limiting: bool,
    smoothed_rtt: Option<Duration>,
    last_sent: Option<Instant>,
}

/// A stage of congestion avoidance (RFC 9438 section 4.1).
#[derive(Clone, Copy, Debug)]
struct Epoch {
    began: Instant,
    /// `cwnd_epoch`: the window at its beginning.
    window: f64,
    /// How long the curve takes to return to `W_max`, in seconds.
    k: f64,
    /// `W_est`: what Reno would have by now.
    reno: f64,
    /// `cwnd_prior`: the window before the cut.
    prior: f64,
}

/// The time from a cut of the window to the acknowledgement of something sent after it, and what to return to if it was
/// an error (RFC 9438 section 4.9).
#[derive(Clone, Copy, Debug)]
struct Episode {
    began: Instant,
    /// Losses that are no error so far, in bytes.
    lost: u64,
    is_undoable: bool,
    window: u64,
    slow_start_threshold: u64,
    window_max: f64,
    epoch: Option<Epoch>,
}

impl Cubic {
    /// Ten packets (RFC 6928, RFC 9002 section 7.2), in slow start.
    pub fn new(start: &Start) -> Self {
        let mtu = start.mtu as u64;
        Self {
            mtu,
            window: initial_window(INITIAL_PACKETS, mtu),
            slow_start_threshold: u64::MAX,
            slow_start: HyStart::default(),
            window_max: 0.0,
            epoch: None,
            episode: None,
            is_limiting: true,
            smoothed_rtt: start.rtt,
            last_sent: None,
        }
    }

    fn is_in_slow_start(&self) -> bool {
        self.window < self.slow_start_threshold
    }

    fn on_slow_start_acked(&mut self, acked: &Acked) {
        let growth = match self.slow_start.on_acked(acked.now, acked.sample.sent, acked.sample.rtt) {
            Verdict::Grow => acked.bytes,
            Verdict::GrowSlowly => acked.bytes / CONSERVATIVE_DIVISOR,
            Verdict::Stop => {
                self.slow_start_threshold = self.window;
                return;
            }
        };
        // Acknowledgements that cover very much would make bursts, but everything is paced (RFC 9406: L is infinite
        // then).
        self.window = self.window.saturating_add(growth).min(WINDOW_MAX);
    }

    /// RFC 9438 sections 4.2 to 4.5.
    fn on_avoidance_acked(&mut self, acked: &Acked) {
        let mtu = self.mtu as f64;
        let window = self.window as f64;
        let epoch = self.epoch.get_or_insert_with(|| {
            // Without a cut, as after HyStart++, the curve begins at its middle (RFC 9438 section 4.10).
            let max = self.window_max.max(window);
            let k = ((max - window) / mtu / C).cbrt();
            let prior = if self.window_max > 0.0 { self.window_max } else { window };
            Epoch { began: acked.now, window, k, reno: window, prior }
        });
        let alpha = if epoch.reno >= epoch.prior { 1.0 } else { ALPHA };
        epoch.reno += alpha * mtu * acked.bytes as f64 / window;
        let max = self.window_max.max(epoch.window);
        let curve = |seconds: f64| C * (seconds - epoch.k).powi(3) * mtu + max;
        let elapsed = acked.now.saturating_duration_since(epoch.began).as_secs_f64();
        let next = if curve(elapsed) < epoch.reno {
            epoch.reno.max(window)
        } else {
            let target = curve(elapsed + acked.smoothed_rtt.as_secs_f64()).clamp(window, TARGET_MAX * window);
            window + (target - window) * acked.bytes as f64 / window
        };
        self.window = (next as u64).clamp(self.window, WINDOW_MAX);
    }

    /// Congestion, known from a packet that was sent at `sent`: cuts the window once a round trip (RFC 9438 section 4.6).
    fn on_congested(&mut self, now: Instant, sent: Instant, factor: f64, is_undoable: bool) {
        if self.episode.is_some_and(|episode| sent <= episode.began) {
            return;
        }
        self.episode = Some(Episode {
            began: now,
            lost: 0,
            is_undoable,
            window: self.window,
            slow_start_threshold: self.slow_start_threshold,
            window_max: self.window_max,
            epoch: self.epoch.take(),
        });
        let window = self.window as f64;
        // Fast convergence (RFC 9438 section 4.7): whoever has less than last time makes room.
        self.window_max = if window < self.window_max { window * (1.0 + BETA) / 2.0 } else { window };
        self.window = scaled(self.window, factor).max(self.window_min());
        self.slow_start_threshold = self.window;
    }

    fn window_min(&self) -> u64 {
        2 * self.mtu
    }
}

impl Congestion for Cubic {
    fn on_sent(&mut self, now: Instant, _bytes: u64, in_flight: u64) {
        self.last_sent = Some(now);
        if in_flight.saturating_add(self.mtu) > self.window {
            self.is_limiting = true;
        }
    }

    fn on_acked(&mut self, acked: &Acked) {
        self.smoothed_rtt = Some(acked.smoothed_rtt);
        // A window that is not used says nothing (RFC 9002 section 7.8). In slow start half of it counts as used, since
        // pacing spreads what the growing window allows.
        let used = self.is_limiting || (self.is_in_slow_start() && acked.in_flight_before >= self.window / 2);
        if !used || self.episode.is_some_and(|episode| acked.sample.sent <= episode.began) {
            return;
        }
        self.is_limiting = acked.in_flight.saturating_add(self.mtu) > self.window;
        if self.is_in_slow_start() {
            self.on_slow_start_acked(acked);
        } else {
            self.on_avoidance_acked(acked);
        }
    }

    fn on_lost(&mut self, lost: &Lost) {
        self.on_congested(lost.now, lost.sent, BETA, true);
        if let Some(episode) = self.episode.as_mut() {
            episode.lost = episode.lost.saturating_add(lost.bytes);
        }
    }

    fn on_spurious_loss(&mut self, lost: &Lost) {
        let Some(episode) = self.episode.as_mut().filter(|episode| lost.now >= episode.began) else { return };
        episode.lost = episode.lost.saturating_sub(lost.bytes);
        if episode.lost == 0 && episode.is_undoable {
            let before = *episode;
            self.window = self.window.max(before.window);
            self.slow_start_threshold = before.slow_start_threshold;
            self.window_max = before.window_max;
            self.epoch = before.epoch;
            self.episode = None;
        }
    }

    fn on_congestion_signalled(&mut self, now: Instant, sent: Instant) {
        self.on_congested(now, sent, BETA_MARKED, false);
    }

    fn on_persistent_congestion(&mut self, _now: Instant) {
        self.window = self.window_min();
        self.slow_start = HyStart::default();
        self.epoch = None;
        if let Some(episode) = self.episode.as_mut() {
            episode.is_undoable = false;
        }
    }

    fn on_mtu(&mut self, bytes: usize) {
        self.mtu = bytes as u64;
        self.window = self.window.max(self.window_min());
    }

    /// What was known of the path has aged: the window begins anew, and slow start leads back to most of what it was
    /// (RFC 2861). The curve does not count the time of silence (RFC 9438 section 5.8).
    fn on_idle_restart(&mut self, now: Instant) {
        let rtt = self.smoothed_rtt.unwrap_or(RTT_UNKNOWN);
        let idle = self.last_sent.map_or(Duration::ZERO, |sent| now.saturating_duration_since(sent));
        if idle > rtt * 2 {
            self.slow_start_threshold = self.slow_start_threshold.min(WINDOW_MAX).max(scaled(self.window, 0.75));
            self.window = self.window.min(initial_window(INITIAL_PACKETS, self.mtu));
            self.slow_start = HyStart::default();
        }
        self.epoch = None;
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn pacing_rate(&self) -> u64 {
        let gain = if self.is_in_slow_start() { PACING_GAIN_SLOW_START } else { PACING_GAIN };
        scaled(rate_of(self.window, self.smoothed_rtt.unwrap_or(RTT_UNKNOWN)), gain).max(1)
    }

    fn slow_start_threshold(&self) -> Option<u64> {
        Some(self.slow_start_threshold).filter(|threshold| *threshold < u64::MAX)
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn phase(&self) -> &'static str {
        match self.episode {
            _ if self.is_in_slow_start() => "slow start",
            Some(_) if self.epoch.is_none() => "recovery",
            _ => "avoidance",
        }
    }
}

/// As on the command line.
pub const NAME: &str = "cubic";

/// RFC 9438 section 5: C, in segments per cubed second.
const C: f64 = 0.4;

/// RFC 9438 section 4.6: the cut for a loss.
const BETA: f64 = 0.7;

/// RFC 8511 section 3: the cut for a mark, which comes from a shorter queue than a loss.
const BETA_MARKED: f64 = 0.8;

/// RFC 9438 section 4.3: Reno's growth with CUBIC's cut, 3 (1 - beta) / (1 + beta).
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// RFC 9438 section 4.2: the most that a round trip may add.
const TARGET_MAX: f64 = 1.5;

/// RFC 9002 section 7.7, so that the window and not the pacing limits; twice in slow start, where the window doubles.
const PACING_GAIN: f64 = 1.25;
const PACING_GAIN_SLOW_START: f64 = 2.0;

/// More than any path holds: 100 Gbit/s for a second.
const WINDOW_MAX: u64 = 12_500_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::congestion::controller::RateSample;

    const MTU: u64 = 1000;
    const RTT: Duration = Duration::from_millis(100);

    /// In congestion avoidance with a window of so many packets, which was cut just now.
    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn cut(packets: u64) -> (Cubic, Instant) {
        let now = Instant::now();
        let mut cubic = Cubic::new(&Start { now, mtu: MTU as usize, rtt: Some(RTT), seed: 0, remembered: None });
        cubic.window = packets * MTU;
        cubic.on_lost(&lost(now));
        (cubic, now)
    }

    fn lost(now: Instant) -> Lost {
        Lost { now, sent: now, bytes: MTU, in_flight_then: 0 }
    }

    fn ack(cubic: &mut Cubic, now: Instant, bytes: u64) {
        cubic.on_sent(now, MTU, cubic.window());
        let sample = RateSample {
            sent: now,
            rtt: RTT,
            overtaken: Duration::ZERO,
            delivered: bytes,
            lost: 0,
            interval: RTT,
            rate: None,
            is_app_limited: false,
            is_late: false,
            in_flight_then: 0,
            delivered_then: 0,
            delivered_total: 0,
        };
        let in_flight = cubic.window();
        cubic.on_acked(&Acked {
            now,
            bytes,
            in_flight_before: in_flight,
            in_flight,
            sample,
            smoothed_rtt: RTT,
            ack_delay: Duration::ZERO,
        });
    }

    /// Full windows, one a round trip; in a hundred acknowledgements each.
    fn seconds(cubic: &mut Cubic, now: &mut Instant, seconds: f64) {
        for _ in 0..(seconds * 1000.0) as u32 {
            *now += RTT / 100;
            ack(cubic, *now, cubic.window() / 100);
        }
    }

    #[test]
    fn a_loss_cuts_to_seven_tenths_once_a_round_trip() {
        let (mut cubic, now) = cut(1000);
        assert_eq!(cubic.window(), 700 * MTU);
        cubic.on_lost(&Lost { sent: now - RTT, ..lost(now + RTT / 2) });
        assert_eq!(cubic.window(), 700 * MTU, "it was sent before the cut");
        cubic.on_lost(&lost(now + RTT));
        assert_eq!(cubic.window(), 490 * MTU);
    }

    #[test]
    fn a_mark_cuts_to_eight_tenths() {
        let (mut cubic, now) = cut(1000);
        cubic.on_congestion_signalled(now + RTT, now + RTT);
        assert_eq!(cubic.window(), 560 * MTU);
    }

    #[test]
    fn the_curve_is_back_after_the_cube_root_and_then_looks_for_more() {
        let (mut cubic, mut now) = cut(1000);
        // K = cbrt(1000 * 0.3 / 0.4) = 9.086 s, and the target is a round trip ahead.
        for (time, low, high) in [(4.5, 950, 966), (4.49, 999, 1001), (1.0, 1000, 1002), (4.0, 1040, 1056)] {
            seconds(&mut cubic, &mut now, time);
            let packets = cubic.window() / MTU;
            assert!((low..=high).contains(&packets), "{packets} packets");
        }
    }

    #[test]
    fn a_small_window_grows_as_that_of_reno_does() {
        let (mut cubic, mut now) = cut(10);
        seconds(&mut cubic, &mut now, 2.0);
        // 0.53 packets a round trip up to the 10 of before, then 1; the curve alone would be at 10.
        assert!((23..=25).contains(&(cubic.window() / MTU)), "{}", cubic.window());
    }

    #[test]
    fn who_has_less_than_last_time_makes_room() {
        let (mut cubic, now) = cut(1000);
        cubic.on_lost(&lost(now + RTT));
        assert_eq!(cubic.window_max, 700_000.0 * 0.85);
    }

    #[test]
    fn a_cut_for_nothing_is_undone_when_the_last_of_its_losses_has_arrived() {
        let (mut cubic, now) = cut(1000);
        let second = Lost { sent: now - RTT / 2, ..lost(now + RTT / 4) };
        cubic.on_lost(&second);
        cubic.on_spurious_loss(&second);
        assert_eq!(cubic.window(), 700 * MTU);
        cubic.on_spurious_loss(&lost(now));
        assert_eq!((cubic.window(), cubic.phase()), (1000 * MTU, "slow start"));
    }

    #[test]
    fn slow_start_doubles_and_stops_at_a_standing_delay() {
        let (_, now) = cut(10);
        let mut cubic = Cubic::new(&Start { now, mtu: MTU as usize, rtt: Some(RTT), seed: 0, remembered: None });
        ack(&mut cubic, now + RTT, 10 * MTU);
        assert_eq!(cubic.window(), 20 * MTU);
        let mut hystart = HyStart::default();
        let mut verdicts = Vec::new();
        for round in 1..10_u32 {
            let delay = if round < 3 { RTT } else { RTT * 6 / 5 };
            for packet in 1..10 {
                let at = now + RTT * 2 * round + Duration::from_millis(packet);
                verdicts.push(hystart.on_acked(at, at - RTT, delay));
            }
        }
        let first = |wanted| verdicts.iter().position(|verdict| *verdict == wanted).map(|at| at / 9 + 1);
        assert_eq!((first(Verdict::GrowSlowly), first(Verdict::Stop)), (Some(3), Some(8)));
    }

    #[test]
    fn silence_begins_anew_and_leads_back() {
        let (mut cubic, now) = cut(1000);
        cubic.on_sent(now, MTU, MTU);
        cubic.on_idle_restart(now + RTT * 3);
        assert_eq!((cubic.window(), cubic.phase()), (10 * MTU, "slow start"));
        assert_eq!(cubic.slow_start_threshold, 700 * MTU);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let (mut cubic, now) = cut(1000);
        cubic.is_limiting = false;
        let before = cubic.window();
        let sample = RateSample {
            sent: now + RTT * 9,
            rtt: RTT,
            overtaken: Duration::ZERO,
            delivered: 0,
            lost: 0,
            interval: RTT,
            rate: None,
            is_app_limited: true,
            is_late: false,
            in_flight_then: 0,
            delivered_then: 0,
            delivered_total: 0,
        };
        let now = now + RTT * 10;
        cubic.on_acked(&Acked {
            now,
            bytes: 5 * MTU,
            in_flight_before: 0,
            in_flight: 0,
            sample,
            smoothed_rtt: RTT,
            ack_delay: Duration::ZERO,
        });
        assert_eq!(cubic.window(), before);
    }
}
