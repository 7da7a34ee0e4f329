//! What is known of the path: rate, round trip, weather, and the bounds that congestion has taught.

use crate::session::congestion::bbr::aggregation::Aggregation;
use crate::session::congestion::bbr::bandwidth::{Bandwidth, carried};
use crate::session::congestion::bbr::bounds::Bounds;
use crate::session::congestion::bbr::jitter::{Lot, Took};
use crate::session::congestion::bbr::min_rtt::MinRtt;
use crate::session::congestion::bbr::rounds::{Round, Rounds};
use crate::session::congestion::bbr::weather::Weather;
use crate::session::congestion::controller::{Acked, Lost, Remembered, Start, scaled, volume_of};
use std::time::{Duration, Instant};

/// The model.
#[derive(Clone, Debug)]
pub struct Model {
    /// The bytes of a packet.
    pub packet: u64,
    /// What fits into the path as long as nothing is known of it, in bytes.
    volume_unknown: u64,
    /// Round trips.
    pub rounds: Rounds,
    /// What they take without a queue: the shortest of the lots.
    pub min_rtt: MinRtt,
    lot: Lot,
    /// Whether more is known than the handshake's round trip, which is the luck of one packet.
    has_lot: bool,
    /// The last lot.
    took: Took,
    /// The rate.
    pub bandwidth: Bandwidth,
    /// The losses that are not our doing.
    pub weather: Weather,
    /// What congestion has taught.
    pub bounds: Bounds,
    aggregation: Aggregation,
}

/// What an acknowledgement has changed.
#[derive(Clone, Copy, Debug)]
pub struct News {
    /// The round that ended with it.
    pub round: Option<Round>,
    /// Whether it is time for ProbeRTT.
    pub is_probe_rtt_due: bool,
}

impl Model {
    /// Nothing is known but the handshake's round trip, if that; until more is, `volume_unknown` is in flight.
    pub fn new(start: &Start, volume_unknown: u64) -> Self {
        Self {
            packet: start.mtu as u64,
            volume_unknown,
            rounds: Rounds::default(),
            min_rtt: MinRtt::new(start.now, start.rtt),
            lot: Lot::default(),
            has_lot: false,
            took: Took::default(),
            bandwidth: Bandwidth::default(),
            weather: Weather::default(),
            bounds: Bounds::NONE,
            aggregation: Aggregation::new(start.now),
        }
    }

    /// An acknowledgement came; `excess_rounds` is for how many rounds aggregation is remembered.
    pub fn on_acked(&mut self, acked: &Acked, window: u64, excess_rounds: u64) -> News {
        let sample = &acked.sample;
        let rate = carried(sample, self.weather.share());
        let round = self.rounds.on_sample(sample, rate, acked.bytes);
        self.lot.on_sample(sample);
        let took = if round.is_some() { self.lot.take() } else { None };
        let is_probe_rtt_due = took.is_some_and(|took| self.on_lot(acked.now, &took));
        if let Some(rate) = rate {
            self.bandwidth.on_sample(rate, sample);
        }
        if let Some(loss) = self.weather.on_acked(sample.sent, acked.bytes, acked.smoothed_rtt / 2, self.packet) {
            self.bandwidth.on_weather_known(loss);
        }
        let count = self.rounds.count();
        self.aggregation.on_acked(acked.now, acked.bytes, self.rate(), window, count, excess_rounds);
        News { round, is_probe_rtt_due }
    }

    /// A lot of packets took so long; says whether it is time for ProbeRTT.
    fn on_lot(&mut self, now: Instant, took: &Took) -> bool {
        self.took = *took;
        if !std::mem::replace(&mut self.has_lot, true) {
            self.min_rtt = MinRtt::new(now, Some(took.round_trip));
        }
        self.min_rtt.on_rtt(now, took.round_trip)
    }

    /// A packet was deemed lost.
    pub fn on_lost(&mut self, lost: &Lost) {
        self.weather.on_lost(lost.sent, lost.bytes);
        self.rounds.on_lost(lost.bytes);
    }

    /// After silence there is nothing that could have been aggregated.
    pub fn on_idle_restart(&mut self, now: Instant) {
        self.aggregation.restart(now);
    }

    /// Bytes per second that the path carries for us now.
    pub fn rate(&self) -> u64 {
        self.bandwidth.max().min(self.bounds.bandwidth_shortterm)
    }

    /// What fits into the path without a queue, times a gain, in bytes.
    pub fn volume(&self, gain: f64) -> u64 {
        match self.min_rtt.min() {
            Some(min_rtt) if self.bandwidth.max() > 0 => {
                scaled(volume_of(self.rate(), min_rtt.saturating_add(self.took.overtaken)), gain).max(self.window_min())
            }
            _ => self.volume_unknown,
        }
    }

    /// The same, and what aggregation asks for besides. In a standing queue there is enough in flight for that anyway,
    /// and who asks for more takes it from others.
    pub fn volume_with_excess(&self, gain: f64) -> u64 {
        let excess = if self.is_queueing() { 0 } else { self.aggregation.excess() };
        self.volume(gain).saturating_add(excess)
    }

    /// The rate, the round trip and the losses, for the next time.
    pub fn learned(&self) -> Option<Remembered> {
        let (rate, loss) = (self.bandwidth.max(), self.weather.share());
        self.min_rtt.min().filter(|_| rate > 0).map(|rtt| Remembered { rate, rtt, loss })
    }

    /// With less in flight the path would stand still between two acknowledgements.
    pub fn window_min(&self) -> u64 {
        WINDOW_MIN_PACKETS * self.packet
    }

    /// Whether so long a round trip means a queue.
    pub fn is_delayed(&self, rtt: Option<Duration>) -> bool {
        match (rtt, self.min_rtt.min()) {
            (Some(rtt), Some(min)) => rtt > min + (min / DELAY_DIVISOR).clamp(DELAY_MIN, DELAY_MAX) + self.took.jitter,
            _ => false,
        }
    }

    /// Whether all packets of the last round trip met a queue.
    pub fn is_queueing(&self) -> bool {
        self.is_delayed(self.rounds.last().rtt) && self.is_delayed(self.rounds.current().rtt)
    }

    /// Whether more is lost than the weather explains. Without a queue that takes some losses, as the draft has it;
    /// with one, each counts.
    pub fn is_losing(&self, lost: u64, delivered: u64, is_delayed: bool) -> bool {
        if lost == 0 || (!is_delayed && lost < LOSSES_MIN * self.packet) {
            return false;
        }
        let all = lost.saturating_add(delivered) as f64;
        let share = lost as f64 / all;
        share > LOSS_UNBEARABLE || share > self.weather.share_by_chance(all / self.packet as f64) + LOSS_THRESHOLD
    }
}

/// Draft section 2.8: `MinPipeCwnd`.
const WINDOW_MIN_PACKETS: u64 = 4;

/// RFC 9406 section 4.3: an eighth of the round trip, but from 4 to 16 ms, is a queue and no noise.
const DELAY_DIVISOR: u32 = 8;
const DELAY_MIN: Duration = Duration::from_millis(4);
const DELAY_MAX: Duration = Duration::from_millis(16);

/// Draft section 2.8: `LossThresh`, here for what exceeds the weather.
const LOSS_THRESHOLD: f64 = 0.02;

/// Whatever the weather: it is never taken to be more than a quarter, and a third is beyond the chance of that.
const LOSS_UNBEARABLE: f64 = 0.35;

/// Draft section 5.3.1.3: `BBRStartupFullLossCnt`.
const LOSSES_MIN: u64 = 6;
