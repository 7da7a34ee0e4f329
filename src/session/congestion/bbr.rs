//! A model of the path instead of a reaction to losses: BBR version 3 (draft-ietf-ccwg-bbr), made to hold its rate where
//! packets are lost by chance.
//!
//! Phases, gains, filters, rounds and bounds are the draft's, and so are their names. Seven things differ; most of them
//! because the draft gives way to any loss above 2 %, and a path that loses 10 % by itself would starve.
//!
//! 1. **Weather** (`weather`). Losses among packets that were sent slower than the path delivers, after the queue was
//!    seen empty, are not our doing. Their share is measured once a cycle, and a loss counts as congestion only beyond
//!    what that share and chance explain, plus the draft's 2 %.
//! 2. **Delay** (`model`). Losses that come while the rate is merely held count only together with a queue: when the
//!    *shortest* round trip of a round is an eighth longer than the path's with its jitter (`jitter`): that lengthens
//!    most round trips, but a queue all of them. (Where more than a third is lost, we yield in any case.)
//! 3. **Shallow queues.** 64 KiB at 100 Mbit/s are 5 ms, which no delay gives away. But they overflow only while we
//!    probe: losses beyond the weather end Startup and ProbeBW_UP whatever the delay. Without a queue they set no bound
//!    on what is in flight, for the bad luck of one probe would then hold us below what the path carries.
//! 4. **Sending rate** (`bandwidth`). The draft sends as fast as packets arrive, and loses twice: in the rate, and then
//!    in the packets. Here the rate is what the path carried, lost packets included, up to the weather's share.
//! 5. **Queues seen.** Where the rate has stopped growing and there is a queue that was not there before, Startup and
//!    ProbeBW_UP end after one round, not three, and Startup as soon as losses begin that its first rounds had not (`onset`).
//!    ProbeRTT is put off while the queue is seen empty anyway (`min_rtt`).
//! 6. **Sharing.** A queue that was there before the probe is somebody's with whom to share. Then the probe lasts two
//!    rounds, by which a small flow gains more than a large one; if it overflows, a tenth of the room is given back.
//! 7. **Busy machines.** A sender that gets to run too late learns nothing from a low rate: such samples never lower the
//!    rate, and are no plateau that ends Startup unless something is lost (`bandwidth`, `full_pipe`).

mod aggregation;
mod bandwidth;
mod bounds;
mod cycle;
mod ebb;
mod episode;
mod full_pipe;
mod jitter;
mod min_rtt;
mod model;
mod onset;
mod phase;
mod rounds;
mod weather;

use crate::session::congestion::controller::{
    Acked, Congestion, INITIAL_PACKETS, Lost, RTT_UNKNOWN, Remembered, Start, initial_window, rate_of, scaled,
};
use cycle::Cycle;
use ebb::Ebb;
use episode::Episode;
use full_pipe::{FullPipe, Witness};
use model::Model;
use phase::{Dwell, PROBE_RTT_GAIN, Phase};
use rounds::Round;
use std::time::{Duration, Instant};

/// BBR.
#[derive(Clone, Debug)]
pub struct Bbr {
    model: Model,
    phase: Phase,
    /// Whether the rate has ever reached its plateau.
    has_been_full: bool,
    pipe: FullPipe,
    cycle: Cycle,
    ebb: Ebb,
    episode: Option<Episode>,
    initial_window: u64,
    window: u64,
    /// The window before ProbeRTT cut it.
    window_before: u64,
    pacing_rate: u64,
    /// Whether the network marked packets in this round.
    is_marked: bool,
    is_restarting: bool,
}

impl Bbr {
    /// Startup, with 64 packets spread over the handshake's round trip, or ten if that is not known; with more, if this path
    /// is remembered to have carried it.
    pub fn new(start: &Start) -> Self {
        let packets = start.rtt.map_or(INITIAL_PACKETS, |_| INITIAL_PACKETS_SPREAD);
        let jump = start.jump().unwrap_or(0);
        let window = initial_window(packets, start.mtu as u64).max(jump);
        Self {
            model: Model::new(start, window),
            phase: Phase::Startup,
            has_been_full: false,
            pipe: FullPipe::new(start.remembered.filter(|_| jump > 0).map(|path| path.loss)),
            cycle: Cycle::new(start.now, start.seed),
            ebb: Ebb::new(start.now),
            episode: None,
            initial_window: window,
            window,
            window_before: 0,
            pacing_rate: rate_of(window, start.rtt.unwrap_or(RTT_UNKNOWN)),
            is_marked: false,
            is_restarting: false,
        }
    }

    fn on_round(&mut self, round: &Round) {
        // Who gets to run late sees every acknowledgement late: no sign of a queue.
        let is_busy = round.is_late && self.phase == Phase::Startup;
        let is_delayed = !is_busy && self.model.is_delayed(round.rtt);
        let is_losing = self.model.is_losing(round.lost, round.acked, is_delayed);
        let is_congested = (is_losing && is_delayed) || std::mem::take(&mut self.is_marked);
        if matches!(self.phase, Phase::Startup | Phase::Up) && !round.is_app_limited {
            let is_foreign = self.phase == Phase::Up && self.cycle.was_queueing;
            self.pipe.on_round(round.rate, Witness::new(is_losing, is_delayed, is_foreign, is_busy));
            if self.phase == Phase::Startup {
                self.pipe.on_startup_round(round, self.model.packet);
            }
            if self.pipe.is_full() && !std::mem::replace(&mut self.has_been_full, true) && is_losing && is_delayed {
                self.model.bounds.inflight_longterm = self.model.volume(1.0).max(round.delivered);
            }
        }
        if !self.phase.is_probing() && is_congested {
            let bandwidth = self.model.bandwidth.max();
            self.model.bounds.on_congested_round(round.rate, round.delivered, bandwidth, self.window);
        }
    }

    fn enter(&mut self, now: Instant, phase: Phase) {
        match (self.phase.is_slow(), phase.is_slow()) {
            (false, true) => {
                self.ebb = Ebb::new(now);
                self.model.weather.on_slow();
            }
            (true, false) => self.model.weather.on_fast(now),
            _ => {}
        }
        self.phase = phase;
    }

    fn enter_down(&mut self, acked: &Acked) {
        self.begin_cycle(acked, true);
        self.enter(acked.now, Phase::Down);
    }

    fn begin_cycle(&mut self, acked: &Acked, has_probed: bool) {
        self.model.bounds.forget_growth();
        let wanted = self.model.volume(1.0).min(self.window) / self.model.packet;
        self.cycle.on_began(acked.now, self.model.rounds.count(), wanted, has_probed);
        self.model.rounds.restart(acked.sample.delivered_total);
    }

    fn enter_refill(&mut self, acked: &Acked) {
        self.model.bounds.forget_shortterm();
        self.cycle.on_refill();
        self.model.rounds.restart(acked.sample.delivered_total);
        self.enter(acked.now, Phase::Refill);
    }

    fn enter_up(&mut self, acked: &Acked) {
        self.cycle.on_probe(self.model.is_queueing() && !self.ebb.has_been_clear());
        self.model.rounds.restart(acked.sample.delivered_total);
        self.pipe.reset(acked.sample.rate.unwrap_or(0));
        self.model.bounds.on_probe_round(self.window, self.model.packet);
        self.enter(acked.now, Phase::Up);
    }

    /// What a probe has shown: says whether that has decided on the next phase.
    fn learn_from_probe(&mut self, acked: &Acked, round_ended: bool) -> bool {
        if round_ended && self.cycle.on_round() && self.phase.is_cycling() {
            if !acked.sample.is_app_limited {
                self.model.bandwidth.on_cycle();
            }
            if self.cycle.is_precautionary && !self.cycle.was_too_high {
                self.enter_refill(acked);
                return true;
            }
        }
        let sample = &acked.sample;
        if self.is_marked || self.model.is_losing(sample.lost, sample.delivered, self.model.is_queueing()) {
            return self.cycle.is_probe_sample && self.on_inflight_too_high(acked);
        }
        self.model.bounds.on_inflight_harmless(sample.in_flight_then);
        if self.phase == Phase::Up && self.is_bounded(acked) {
            self.model.bounds.on_probe_bounded(acked.bytes, self.model.packet);
            if round_ended {
                self.model.bounds.on_probe_round(self.window, self.model.packet);
            }
        }
        false
    }

    /// Says whether that has decided on the next phase.
    fn on_inflight_too_high(&mut self, acked: &Acked) -> bool {
        self.cycle.was_too_high = true;
        self.cycle.is_probe_sample = false;
        if !acked.sample.is_app_limited && self.model.is_queueing() {
            let in_flight = self.episode.map_or(acked.sample.in_flight_then, |episode| episode.in_flight);
            let kept = scaled(in_flight, if self.cycle.was_queueing { SHARING } else { 1.0 });
            self.model.bounds.on_inflight_too_high(kept, self.model.volume(1.0).min(self.window));
        }
        if self.phase == Phase::Up {
            self.enter_down(acked);
            return true;
        }
        false
    }

    fn pass_phase(&mut self, acked: &Acked, round_ended: bool) {
        let round = self.model.rounds.count();
        match self.phase {
            Phase::Startup if self.has_been_full => self.enter(acked.now, Phase::Drain(round)),
            Phase::Drain(began) if self.ebb.is_low() || round > began + DRAIN_ROUNDS_MAX => self.enter_down(acked),
            Phase::Down | Phase::Cruise if self.cycle.is_due(acked.now, round) => self.enter_refill(acked),
            Phase::Down => {
                let min_rtt = self.model.min_rtt.min().unwrap_or_default();
                if self.ebb.is_over(acked.now, min_rtt, acked.smoothed_rtt) {
                    self.enter(acked.now, Phase::Cruise);
                }
            }
            Phase::Refill if round_ended => self.enter_up(acked),
            Phase::Up => self.pass_up(acked),
            _ => {}
        }
    }

    fn pass_up(&mut self, acked: &Acked) {
        if self.cycle.was_too_high && acked.in_flight >= self.model.bounds.inflight_longterm {
            self.cycle.is_precautionary = true;
            self.cycle.was_too_high = false;
            self.enter_down(acked);
        } else if self.is_bounded(acked) && !self.model.is_delayed(self.model.rounds.last().rtt) {
            // The bound and not the path holds the rate down.
            self.pipe.reset(acked.sample.rate.unwrap_or(0));
        } else if self.pipe.is_full() {
            self.cycle.was_too_high = false;
            self.enter_down(acked);
        }
    }

    /// Whether the long-term bound holds packets back.
    fn is_bounded(&self, acked: &Acked) -> bool {
        self.window >= self.model.bounds.inflight_longterm
            && acked.in_flight_before.saturating_add(2 * self.model.packet) >= self.window
    }

    fn watch_ebb(&mut self, acked: &Acked) {
        if !self.phase.is_slow() {
            return;
        }
        if self.model.min_rtt.is_nearly(acked.sample.rtt) && self.ebb.on_clear(acked.now, acked.sample.sent) {
            self.model.weather.on_clear(acked.now);
        }
        if acked.in_flight <= self.model.volume(1.0).min(self.model.bounds.inflight_with_headroom()) {
            self.ebb.on_low(acked.now);
        }
    }

    fn pass_probe_rtt(&mut self, acked: &Acked, is_due: bool) {
        if is_due && !self.is_restarting && !matches!(self.phase, Phase::ProbeRtt(_)) {
            self.window_before = self.window;
            self.model.rounds.restart(acked.sample.delivered_total);
            self.enter(acked.now, Phase::ProbeRtt(Dwell::Emptying));
        }
        self.is_restarting = false;
        match self.phase {
            Phase::ProbeRtt(Dwell::Emptying) if acked.in_flight <= self.model.volume(PROBE_RTT_GAIN) => {
                self.model.rounds.restart(acked.sample.delivered_total);
                let round = self.model.rounds.count() + 1;
                self.phase = Phase::ProbeRtt(Dwell::Until(acked.now + PROBE_RTT_DURATION, round));
            }
            Phase::ProbeRtt(Dwell::Until(end, round)) if acked.now > end && self.model.rounds.count() >= round => {
                self.model.min_rtt.on_probed(acked.now);
                self.window = self.window.max(self.window_before);
                self.model.bounds.forget_shortterm();
                if self.has_been_full {
                    // Nothing was probed: what the last probe has found is not forgotten sooner.
                    self.begin_cycle(acked, false);
                    self.enter(acked.now, Phase::Cruise);
                } else {
                    self.enter(acked.now, Phase::Startup);
                }
            }
            _ => {}
        }
    }

    fn set_rate(&mut self, acked: &Acked) {
        let gain = self.phase.pacing_gain();
        let rate = scaled(self.model.rate(), gain * PACING_MARGIN).max(1);
        self.pacing_rate = if self.has_been_full {
            rate
        } else {
            let initial = scaled(rate_of(self.initial_window, acked.sample.rtt), gain);
            self.pacing_rate.max(rate).max(initial)
        };
    }

    fn set_window(&mut self, acked: &Acked) {
        let mut wanted = self.model.volume_with_excess(self.phase.window_gain());
        if self.phase == Phase::Up {
            wanted = wanted.saturating_add(2 * self.model.packet);
        }
        if self.has_been_full {
            self.window = self.window.saturating_add(acked.bytes).min(wanted);
        } else if self.window < wanted || acked.sample.delivered_total < self.initial_window {
            self.window = self.window.saturating_add(acked.bytes);
        }
        let bound = self.model.bounds.inflight_in(self.phase, self.model.volume(PROBE_RTT_GAIN));
        self.window = self.window.min(bound).max(self.model.window_min());
    }
}

impl Congestion for Bbr {
    fn on_acked(&mut self, acked: &Acked) {
        let rounds = if self.has_been_full { EXCESS_ROUNDS } else { 1 };
        let news = self.model.on_acked(acked, self.window, rounds);
        if let Some(round) = &news.round {
            self.on_round(round);
        }
        self.watch_ebb(acked);
        if !self.has_been_full || !self.learn_from_probe(acked, news.round.is_some()) {
            self.pass_phase(acked, news.round.is_some());
        }
        self.pass_probe_rtt(acked, news.is_probe_rtt_due);
        self.set_rate(acked);
        self.set_window(acked);
    }

    fn on_lost(&mut self, lost: &Lost) {
        if self.model.rounds.current().lost == 0 {
            self.episode = Some(Episode::new(lost, self.model.bounds, self.phase));
        }
        self.model.on_lost(lost);
        if let Some(episode) = self.episode.as_mut() {
            episode.on_lost(lost);
        }
    }

    /// If all losses of the last episode were none, their consequences are undone.
    fn on_spurious_loss(&mut self, lost: &Lost) {
        let Some(before) = self.episode.take_if(|episode| episode.on_spurious_loss(lost)) else { return };
        self.model.bounds.undo(&before.bounds);
        if before.phase == Phase::Startup && self.phase.is_slow() {
            self.has_been_full = false;
            self.pipe.reset(0);
            self.enter(lost.now, Phase::Startup);
        }
    }

    /// A mark comes from a queue: it counts as a loss with delay does.
    fn on_congestion_signalled(&mut self, _now: Instant, _sent: Instant) {
        self.is_marked = true;
    }

    /// The model stays: if the path comes back as it was, the window is back after some round trips.
    fn on_persistent_congestion(&mut self, _now: Instant) {
        self.window = self.model.window_min();
    }

    fn on_mtu(&mut self, bytes: usize) {
        self.model.packet = (bytes as u64).max(1);
        self.window = self.window.max(self.model.window_min());
    }

    fn on_idle_restart(&mut self, now: Instant) {
        self.is_restarting = true;
        self.model.on_idle_restart(now);
        if self.phase.is_cycling() {
            self.pacing_rate = self.model.rate().max(1);
        }
    }

    fn learned(&self) -> Option<Remembered> {
        self.model.learned().filter(|_| self.has_been_full)
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn pacing_rate(&self) -> u64 {
        self.pacing_rate
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn phase(&self) -> &'static str {
        self.phase.name()
    }
}

/// As on the command line.
pub const NAME: &str = "bbr";
/// What Startup begins with when the round trip is known: they are spread over it, so they are no burst.
const INITIAL_PACKETS_SPREAD: u64 = 64;
/// Draft section 2.5: `PacingMarginPercent`: a hundredth slower than the path, so that queues run dry.
const PACING_MARGIN: f64 = 0.99;
/// Draft section 5.3.2: if the rate was overestimated, the queue does not run dry.
const DRAIN_ROUNDS_MAX: u64 = 3;
/// What we keep of a queue's room that others share: chosen on the bench so that TCPs get half (the draft keeps all).
const SHARING: f64 = 0.9;
/// Draft section 2.16.2: `ProbeRTTDuration`.
const PROBE_RTT_DURATION: Duration = Duration::from_millis(200);
/// Draft section 2.12: `ExtraAckedFilterLen`.
const EXCESS_ROUNDS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::congestion::controller::RateSample;

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn begun(rtt: Option<Duration>) -> (Bbr, Instant) {
        let now = Instant::now();
        (Bbr::new(&Start { now, mtu: 1250, rtt, seed: 1, remembered: None }), now)
    }

    const RTT: Duration = Duration::from_millis(100);

    /// Round trips of a path that carries 10 MB/s, each with one acknowledgement.
    fn rounds(bbr: &mut Bbr, now: &mut Instant, count: u32, rtt: Duration, lost: u64) {
        for _ in 0..count {
            let sent = *now;
            *now += rtt;
            let delivered = bbr.window().min(1_000_000) - lost;
            for _ in 0..lost / 1250 {
                bbr.on_lost(&Lost { now: *now, sent, bytes: 1250, in_flight_then: 1_000_000 });
            }
            let before = bbr.model.rounds.current().acked + bbr.model.rounds.count() * 10_000_000;
            bbr.on_acked(&Acked {
                now: *now,
                bytes: delivered,
                in_flight_before: bbr.window(),
                in_flight: 500_000,
                sample: RateSample {
                    sent,
                    rtt,
                    overtaken: Duration::ZERO,
                    delivered,
                    lost,
                    interval: RTT,
                    rate: Some(rate_of(delivered, RTT)),
                    is_app_limited: false,
                    is_late: false,
                    in_flight_then: bbr.window(),
                    delivered_then: before,
                    delivered_total: before + delivered,
                },
                smoothed_rtt: rtt,
                ack_delay: Duration::ZERO,
            });
        }
    }

    #[test]
    fn startup_spreads_64_packets_over_the_round_trip_of_the_handshake() {
        let (bbr, _) = begun(Some(RTT));
        assert_eq!((bbr.window(), bbr.pacing_rate(), bbr.phase()), (80_000, 800_000, "Startup"));
        let (bbr, _) = begun(None);
        assert_eq!(bbr.window(), 12_500);
    }

    #[test]
    fn startup_doubles_the_window_until_the_rate_stops_growing() {
        let (mut bbr, mut now) = begun(Some(RTT));
        rounds(&mut bbr, &mut now, 4, RTT, 0);
        assert_eq!((bbr.window(), bbr.phase()), (80_000 * 16, "Startup"));
        rounds(&mut bbr, &mut now, 6, RTT, 0);
        assert_ne!(bbr.phase(), "Startup");
        assert_eq!(bbr.model.bandwidth.max(), 10_000_000);
    }

    #[test]
    fn losses_without_a_queue_cost_no_window_and_losses_with_one_do() {
        for (rtt, costs) in [(RTT, false), (RTT * 5 / 4, true)] {
            let (mut bbr, mut now) = begun(Some(RTT));
            rounds(&mut bbr, &mut now, 14, RTT, 0);
            assert_eq!(bbr.phase(), "ProbeBW_CRUISE");
            rounds(&mut bbr, &mut now, 5, rtt, 200_000);
            assert_eq!(bbr.model.bounds.bandwidth_shortterm < 10_000_000, costs, "round trips of {rtt:?}");
        }
    }

    #[test]
    fn marks_count_as_losses_in_a_queue() {
        let (mut bbr, mut now) = begun(Some(RTT));
        rounds(&mut bbr, &mut now, 14, RTT, 0);
        bbr.on_congestion_signalled(now, now);
        rounds(&mut bbr, &mut now, 2, RTT, 0);
        assert!(bbr.model.bounds.inflight_shortterm < u64::MAX);
    }

    #[test]
    fn spurious_losses_undo_what_they_did() {
        let (mut bbr, mut now) = begun(Some(RTT));
        rounds(&mut bbr, &mut now, 14, RTT, 0);
        let lost = Lost { now, sent: now, bytes: 1250, in_flight_then: 1_000_000 };
        bbr.on_lost(&lost);
        bbr.model.bounds.inflight_shortterm = 7;
        bbr.on_spurious_loss(&lost);
        assert_eq!(bbr.model.bounds.inflight_shortterm, u64::MAX);
    }

    #[test]
    fn after_persistent_congestion_the_window_is_smallest_and_comes_back() {
        let (mut bbr, mut now) = begun(Some(RTT));
        rounds(&mut bbr, &mut now, 14, RTT, 0);
        bbr.on_persistent_congestion(now);
        assert_eq!(bbr.window(), 4 * 1250);
        rounds(&mut bbr, &mut now, 8, RTT, 0);
        assert!(bbr.window() > 1_000_000);
    }
}
