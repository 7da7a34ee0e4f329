//! Round trips counted in packets, and what each of them brought (draft-ietf-ccwg-bbr section 5.5.1).

use crate::session::congestion::controller::RateSample;
use std::time::Duration;

/// The rounds: one ends when something is acknowledged that was sent after it began.
#[derive(Clone, Debug, Default)]
pub struct Rounds {
    /// The round ends when a packet is acknowledged that was sent when so much had been delivered.
    end: u64,
    count: u64,
    current: Round,
    last: Round,
}

/// What a round brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// The greatest rate, in bytes per second.
    pub rate: u64,
    /// The greatest volume that one round trip delivered, in bytes.
    pub delivered: u64,
    /// The shortest round trip.
    pub rtt: Option<Duration>,
    /// Bytes acknowledged.
    pub acked: u64,
    /// Bytes deemed lost.
    pub lost: u64,
    /// Whether the application limited all its samples.
    pub is_app_limited: bool,
    /// Whether this machine was too busy to send in time.
    pub is_late: bool,
}

impl Rounds {
    /// A packet was deemed lost.
    pub fn on_lost(&mut self, bytes: u64) {
        self.current.lost = self.current.lost.saturating_add(bytes);
    }

    /// A sample with its rate, and the bytes that its acknowledgement covered; gives the round that it ends.
    pub fn on_sample(&mut self, sample: &RateSample, rate: Option<u64>, acked: u64) -> Option<Round> {
        let ended = sample.delivered_then >= self.end;
        if ended {
            self.last = self.current;
            self.current = Round { is_app_limited: true, ..Round::default() };
            self.end = sample.delivered_total;
            self.count += 1;
        }
        let round = &mut self.current;
        round.rate = round.rate.max(rate.unwrap_or(0));
        round.delivered = round.delivered.max(sample.delivered);
        round.rtt = Some(round.rtt.map_or(sample.rtt, |rtt| rtt.min(sample.rtt)));
        round.acked = round.acked.saturating_add(acked);
        round.is_app_limited &= sample.is_app_limited;
        round.is_late |= sample.is_late;
        ended.then_some(self.last)
    }

    /// The round ends here: the next one begins with what is sent from now on.
    pub fn restart(&mut self, delivered: u64) {
        self.end = delivered;
    }

    /// How many have ended.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The one that lasts.
    pub fn current(&self) -> &Round {
        &self.current
    }

    /// The one that ended last.
    pub fn last(&self) -> &Round {
        &self.last
    }
}
