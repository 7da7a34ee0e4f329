//! Probe time-outs: when silence is worth a question (RFC 9002 section 6.2).

use crate::session::windowed::path_rtt::PathRtt;
use std::time::{Duration, Instant};

/// The back-off of probes towards a silent peer.
///
/// A probe time-out declares nothing lost: its probes fetch the acknowledgement that decides. While anything that wants an
/// acknowledgement is in flight, the caller waits for [`Pto::deadline`], or for the moment at which the ledger's next packet
/// falls due as lost, if there is one (RFC 9002 section 6.2.1: never for both).
///
/// **Silent paths.** The back-off ends at [`PERIOD_MAX`]. A path that says nothing for minutes (a closed laptop, a changed
/// address) is asked every 3 s for as long as the session is willing to wait, and is found alive at most 3 s after it heals.
///
/// **Persistent congestion** (RFC 9002 section 7.6) is left out. It infers from the time between two lost packets that the
/// window should fall to its minimum; under the random losses that this program is made for it is wrong too often. After a
/// silence nothing is in flight but probes, and what may follow them is the congestion control's own decision.
#[derive(Clone, Debug, Default)]
pub struct Pto {
    /// Time-outs since the last sign of life.
    count: u32,
}

impl Pto {
    /// No time-out yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// When the next time-out falls due, if the last packet that wants an acknowledgement was sent at `last_sent`.
    pub fn deadline(&self, last_sent: Instant, rtt: &PathRtt) -> Instant {
        last_sent + self.period(rtt)
    }

    /// The time from the last packet that wants an acknowledgement to the time-out.
    pub fn period(&self, rtt: &PathRtt) -> Duration {
        let base = rtt.smoothed() + (rtt.variation() * 4).max(GRANULARITY) + rtt.max_ack_delay();
        base.saturating_mul(1_u32.checked_shl(self.count).unwrap_or(u32::MAX)).min(PERIOD_MAX)
    }

    /// The deadline passed. Gives how many packets are to be sent now, whatever the congestion window says.
    ///
    /// The first two time-outs send two each, since one alone is lost as easily as what it asks after (RFC 9002 section
    /// 6.2.4); one at least should be no longer than the base packet size, so that a path that lost its large packets answers
    /// too. Later ones send one, so that a peer that is gone gets a datagram every 3 s (RFC 8085 section 3.1.3).
    pub fn on_timeout(&mut self) -> usize {
        self.count = self.count.saturating_add(1);
        if self.count <= DOUBLE_PROBES { 2 } else { 1 }
    }

    /// An acknowledgement came that acknowledged something new.
    pub fn on_acked(&mut self) {
        self.count = 0;
    }

    /// Time-outs since the last sign of life.
    pub fn count(&self) -> u32 {
        self.count
    }
}

/// The longest time between two probes: RFC 8085 section 3.1.3 asks for no more than one datagram in 3 s as long as nothing
/// comes back. It bounds the estimate as well as the back-off: on a path whose round trip is longer still, a probe too many
/// every 3 s does no harm, while an estimate gone wrong would leave a healed path unnoticed for as long.
pub const PERIOD_MAX: Duration = Duration::from_secs(3);

/// `kGranularity` (RFC 9002 section 6.1.2).
const GRANULARITY: Duration = Duration::from_millis(1);

/// How many time-outs in a row send two probes.
const DOUBLE_PROBES: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn path(round_trip: Option<Duration>) -> (PathRtt, Instant) {
        let (mut rtt, now) = (PathRtt::new(ms(25)), Instant::now());
        for _ in 0..50 {
            if let Some(round_trip) = round_trip {
                rtt.on_sample(round_trip, ms(0), now);
            }
        }
        (rtt, now)
    }

    #[test]
    fn the_first_period_follows_the_path() {
        let cases = [(None, ms(333) + ms(333) * 2 + ms(25)), (Some(ms(100)), ms(126)), (Some(ms(0)), ms(26))];
        for (round_trip, period) in cases {
            let (rtt, now) = path(round_trip);
            let pto = Pto::new();
            assert!(pto.period(&rtt).abs_diff(period) < ms(1), "{round_trip:?}: {:?}", pto.period(&rtt));
            assert_eq!(pto.deadline(now, &rtt), now + pto.period(&rtt));
        }
    }

    #[test]
    fn periods_double_up_to_three_seconds_and_an_answer_ends_it() {
        let (rtt, _) = path(Some(ms(100)));
        let mut pto = Pto::new();
        let mut periods = Vec::new();
        for _ in 0..7 {
            periods.push(pto.period(&rtt).as_millis());
            pto.on_timeout();
        }
        assert_eq!(periods, [126, 252, 504, 1008, 2016, 3000, 3000]);
        pto.on_acked();
        assert_eq!(pto.period(&rtt), ms(126));
    }

    #[test]
    fn five_silent_minutes_cost_about_a_hundred_probes_and_never_a_pause_over_three_seconds() {
        for round_trip in [Some(Duration::from_micros(50)), Some(ms(100)), Some(ms(2200)), None] {
            let (rtt, began) = path(round_trip);
            let (mut pto, mut now, mut probes) = (Pto::new(), began, 0);
            while now < began + Duration::from_secs(300) {
                let due = pto.deadline(now, &rtt);
                assert!(due - now <= ms(3000));
                now = due;
                probes += pto.on_timeout();
            }
            assert!((100..=112).contains(&probes), "{round_trip:?}: {probes}");
        }
    }

    #[test]
    fn years_of_silence_overflow_nothing() {
        let (rtt, _) = path(None);
        let mut pto = Pto { count: u32::MAX - 1 };
        for _ in 0..3 {
            pto.on_timeout();
            assert_eq!(pto.period(&rtt), PERIOD_MAX);
        }
    }
}
