//! Whether a packet is lost: by those after it, or by time, and never sooner than this path reorders.

use crate::session::windowed::path_rtt::PathRtt;
use std::time::{Duration, Instant};

/// The judgement on packets that are missing although later ones were acknowledged (RFC 9002 section 6.1), with thresholds
/// that follow what the path does (as RFC 8985 does for TCP).
///
/// A packet is lost when [`PACKETS_MIN`] or more packets after it were acknowledged, or when it was sent a round trip and
/// an eighth ago. A path that reorders more than that shows it: packets come after their place was given up, or at least
/// after later ones. Each such packet says by how many packets and how long after a round trip it came, and the
/// thresholds grow beyond the largest of both, the time up to two round trips in all. They fall back when for 16 to 32 round
/// trips nothing of the kind was seen. Where most packets are overtaken, round trips, which are those of the packets that
/// overtake, say little of how long a packet takes; so the time may grow beyond that by twice what packets are late on average.
///
/// RFC 8985 grows its window a quarter of the minimum round trip a time, and only by what was wrongly retransmitted, since TCP
/// sees no more. Here every packet has a number of its own and tells its delay when it comes, so one late packet is enough.
#[derive(Clone, Debug, Default)]
pub struct Loss {
    current: Reordering,
    before: Reordering,
    /// When `current` began.
    began: Option<Instant>,
    /// By how much later than a round trip packets come on average, those that keep their place included.
    lateness: Duration,
    /// The sum for those of the acknowledgement that is being processed.
    late: Duration,
}

/// What a path was seen to do.
#[derive(Clone, Copy, Debug, Default)]
struct Reordering {
    packets: u64,
    time: Duration,
}

/// What becomes of a missing packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is lost.
    Lost,
    /// Not yet; at this moment it will be, unless more is heard before.
    LostAt(Instant),
}

impl Loss {
    /// A path that keeps order, as far as is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The judgement on a packet sent at `sent_at`, `behind` packet numbers before the largest that was acknowledged.
    ///
    /// For a packet sent earlier under a smaller number the verdict is never milder; so whoever goes through his packets in
    /// order stops at the first that is not lost.
    pub fn judge(&self, behind: u64, sent_at: Instant, now: Instant, rtt: &PathRtt) -> Verdict {
        let due = sent_at + self.time_threshold(rtt);
        if behind >= self.packet_threshold() || now >= due { Verdict::Lost } else { Verdict::LostAt(due) }
    }

    /// A packet was acknowledged `after` its sending, when one `behind` numbers later had been acknowledged already, whether
    /// it had been declared lost meanwhile or not.
    pub fn on_reordered(&mut self, behind: u64, after: Duration, now: Instant, rtt: &PathRtt) {
        self.turn(now, rtt);
        let late = after.saturating_sub(round_trip(rtt));
        self.current.packets = self.current.packets.max(behind);
        self.current.time = self.current.time.max(late);
        self.late = self.late.saturating_add(late);
    }

    /// So many packets were acknowledged, the reordered ones included; time passes, and with it what was seen long ago.
    pub fn on_acked(&mut self, packets: usize, now: Instant, rtt: &PathRtt) {
        self.turn(now, rtt);
        let packets = u32::try_from(packets).unwrap_or(u32::MAX);
        let known = self.lateness.saturating_mul(LATENESS_PACKETS.saturating_sub(packets));
        self.lateness = known.saturating_add(std::mem::take(&mut self.late)) / LATENESS_PACKETS.max(packets);
    }

    /// How many packets later the newest acknowledged one must be: 3, or twice the reordering that was seen. Twice, since the
    /// next packet may come later than any before; time decides anyway where this is too many.
    pub fn packet_threshold(&self) -> u64 {
        let seen = self.current.packets.max(self.before.packets);
        // Up to 2 behind is what the threshold of 3 allows for.
        if seen < PACKETS_MIN { PACKETS_MIN } else { seen.saturating_mul(2) }
    }

    /// How long after its sending a packet is lost: a round trip, and an eighth of it or, up to a whole one, a quarter more than
    /// the latest that was seen.
    pub fn time_threshold(&self, rtt: &PathRtt) -> Duration {
        let round_trip = round_trip(rtt);
        let window_max = rtt.smoothed().saturating_add(self.lateness.saturating_mul(2));
        let seen = self.current.time.max(self.before.time).min(window_max);
        let window = (seen + seen / 4).min(window_max).max(round_trip / 8);
        (round_trip + window).max(GRANULARITY)
    }

    fn turn(&mut self, now: Instant, rtt: &PathRtt) {
        let age = self.began.map_or(Duration::MAX, |began| now.saturating_duration_since(began));
        let window = (rtt.smoothed() * REMEMBERED_ROUND_TRIPS).max(REMEMBERED_MIN);
        if age >= window {
            // After two windows of silence the current one is as old as the one before it should be at most.
            self.before = if age >= window * 2 { Reordering::default() } else { self.current };
            self.current = Reordering::default();
            self.began = Some(now);
        }
    }
}

/// RFC 9002 section 6.1.2: the larger of the smoothed and the latest, so that neither a sudden rise nor a lucky packet
/// makes losses of late ones.
fn round_trip(rtt: &PathRtt) -> Duration {
    rtt.smoothed().max(rtt.latest().unwrap_or_default())
}

/// `kPacketThreshold` (RFC 9002 section 6.1.1).
pub const PACKETS_MIN: u64 = 3;

/// `kGranularity` (RFC 9002 section 6.1.2).
const GRANULARITY: Duration = Duration::from_millis(1);

/// Over so many packets the lateness is averaged.
const LATENESS_PACKETS: u32 = 1024;

/// How long reordering is remembered at least, and at most twice that. RFC 8985 section 6.2 keeps a grown window for 16
/// recoveries.
const REMEMBERED_ROUND_TRIPS: u32 = 16;

/// And no shorter than this: in a local network 16 round trips are over before a network card reorders again.
const REMEMBERED_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn path(round_trip: Duration) -> (PathRtt, Instant) {
        let (mut rtt, now) = (PathRtt::new(ms(25)), Instant::now());
        rtt.on_sample(round_trip, ms(0), now);
        (rtt, now)
    }

    #[test]
    fn a_lost_packet_is_found_by_the_third_after_it() {
        let (rtt, now) = path(ms(80));
        let loss = Loss::new();
        assert_eq!(loss.judge(3, now, now, &rtt), Verdict::Lost);
        assert_eq!(loss.judge(2, now, now, &rtt), Verdict::LostAt(now + ms(90)));
    }

    #[test]
    fn or_by_an_eighth_of_a_round_trip_more_than_one() {
        let (rtt, now) = path(ms(80));
        let loss = Loss::new();
        assert_eq!(loss.judge(1, now, now + ms(89), &rtt), Verdict::LostAt(now + ms(90)));
        assert_eq!(loss.judge(1, now, now + ms(90), &rtt), Verdict::Lost);
        let (fast, now) = path(Duration::from_micros(40));
        assert_eq!(loss.judge(1, now, now, &fast), Verdict::LostAt(now + ms(1)), "the granularity");
    }

    #[test]
    fn a_late_packet_widens_both_thresholds_beyond_itself() {
        let (rtt, now) = path(ms(80));
        let mut loss = Loss::new();
        loss.on_reordered(40, ms(120), now, &rtt);
        assert_eq!((loss.packet_threshold(), loss.time_threshold(&rtt)), (80, ms(130)));
        loss.on_reordered(10, ms(100), now, &rtt);
        assert_eq!((loss.packet_threshold(), loss.time_threshold(&rtt)), (80, ms(130)), "a milder one changes nothing");
        loss.on_reordered(u64::MAX, ms(1000), now, &rtt);
        assert_eq!(
            (loss.packet_threshold(), loss.time_threshold(&rtt)),
            (u64::MAX, ms(160)),
            "two round trips at most"
        );
    }

    #[test]
    fn where_most_packets_are_late_they_may_be_later() {
        let (rtt, now) = path(ms(20));
        let (mut seldom, mut often) = (Loss::new(), Loss::new());
        for packet in 0..10_000 {
            often.on_reordered(100, ms(120), now, &rtt);
            often.on_acked(1, now, &rtt);
            if packet % 100 == 0 {
                seldom.on_reordered(100, ms(120), now, &rtt);
            }
            seldom.on_acked(1, now, &rtt);
        }
        assert!(often.time_threshold(&rtt) == ms(145), "a quarter more than was seen: {often:?}");
        assert!(seldom.time_threshold(&rtt) < ms(45), "two round trips and little more: {seldom:?}");
    }

    #[test]
    fn small_reordering_changes_nothing() {
        let (rtt, now) = path(ms(80));
        let mut loss = Loss::new();
        loss.on_reordered(2, ms(85), now, &rtt);
        assert_eq!((loss.packet_threshold(), loss.time_threshold(&rtt)), (3, ms(90)));
    }

    #[test]
    fn what_was_seen_is_forgotten_after_sixteen_to_thirty_two_quiet_round_trips() {
        let (rtt, began) = path(ms(100));
        let mut loss = Loss::new();
        loss.on_reordered(40, ms(150), began, &rtt);
        for (at, packets) in [(1500, 80), (1700, 80), (3100, 80), (3400, 3)] {
            loss.on_acked(1, began + ms(at), &rtt);
            assert_eq!(loss.packet_threshold(), packets, "after {at} ms");
        }
        loss.on_reordered(40, ms(150), began + ms(4000), &rtt);
        loss.on_acked(1, began + ms(60_000), &rtt);
        assert_eq!(loss.packet_threshold(), 3, "a long silence forgets at once");
    }

    proptest! {
        #[test]
        fn an_earlier_packet_is_never_judged_more_mildly(
            behind in 0..20_u64, earlier in 0..20_u64, age in 0..400_u64, older in 0..400_u64,
            seen in proptest::option::of((0..30_u64, 0..400_u64)),
        ) {
            let (rtt, began) = path(ms(100));
            let mut loss = Loss::new();
            if let Some((behind, after)) = seen {
                loss.on_reordered(behind, ms(after), began, &rtt);
            }
            let now = began + ms(1000);
            let later = loss.judge(behind, now - ms(age), now, &rtt);
            let sooner = loss.judge(behind + earlier, now - ms(age + older), now, &rtt);
            match (sooner, later) {
                (Verdict::LostAt(sooner), Verdict::LostAt(later)) => prop_assert!(sooner <= later),
                (Verdict::LostAt(_), Verdict::Lost) => prop_assert!(false, "{sooner:?} though {later:?}"),
                _ => {}
            }
            prop_assert!(age < 200 || later == Verdict::Lost, "two round trips are enough");
        }
    }
}
