//! How fast packets are being delivered: a sample with every acknowledgement (draft-ietf-ccwg-bbr section 4.1.2, which
//! has absorbed draft-cheng-iccrg-delivery-rate-estimation).
//!
//! A packet takes a [`Stamp`] with it that says how much had been delivered when it left. When it is acknowledged, the
//! difference is what was delivered meanwhile, and the time is the longer one of the two that it took to send and to
//! acknowledge that: what arrives in a lump was not delivered faster than it was sent.

use crate::session::congestion::{RateSample, rate_of};
use std::time::{Duration, Instant};

/// What is remembered of a packet while it is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When it was sent.
    pub sent: Instant,
    /// What was in flight then, itself counted, in bytes.
    pub in_flight: u64,
    first_sent: Instant,
    delivered_at: Instant,
    delivered: u64,
    lost: u64,
    is_app_limited: bool,
    is_late: bool,
}

/// The totals that packets are stamped with.
#[derive(Clone, Debug)]
pub struct Sampler {
    delivered: u64,
    lost: u64,
    /// When `delivered` last grew.
    delivered_at: Instant,
    /// When the newest delivered packet was sent: the sending of what the next sample measures began then.
    first_sent: Instant,
    /// The path tells nothing until so much is delivered.
    app_limited_until: Option<u64>,
    /// What the path would have carried is not known until so much is delivered.
    late_until: Option<u64>,
    /// The newest packet of the acknowledgement that is being processed.
    newest: Option<Stamp>,
    /// How many packets it covers, and the sum of the times by which they were overtaken.
    packets: u32,
    overtaken: Duration,
}

impl Sampler {
    /// Nothing is delivered yet.
    pub fn new(now: Instant) -> Self {
        Self {
            delivered: 0,
            lost: 0,
            delivered_at: now,
            first_sent: now,
            app_limited_until: None,
            late_until: None,
            newest: None,
            packets: 0,
            overtaken: Duration::ZERO,
        }
    }

    /// A packet left; `in_flight` counts it already, as it does its `bytes`.
    pub fn on_sent(&mut self, now: Instant, bytes: u64, in_flight: u64) -> Stamp {
        if in_flight <= bytes {
            self.first_sent = now;
            self.delivered_at = now;
        }
        Stamp {
            sent: now,
            in_flight,
            first_sent: self.first_sent,
            delivered_at: self.delivered_at,
            delivered: self.delivered,
            lost: self.lost,
            is_app_limited: self.app_limited_until.is_some(),
            is_late: self.late_until.is_some(),
        }
    }

    /// There is nothing to send although the window would allow more: rates measured from here on are the
    /// application's, until what is in flight now is delivered.
    pub fn on_app_limited(&mut self, in_flight: u64) {
        self.app_limited_until = Some(self.delivered.saturating_add(in_flight));
    }

    /// The machine did not get to sending in time: rates measured from here on are at least what the path carries,
    /// until what is in flight now is delivered.
    pub fn on_late(&mut self, in_flight: u64) {
        self.late_until = Some(self.delivered.saturating_add(in_flight));
    }

    /// Whether that was so within the last round trip.
    pub fn is_late(&self) -> bool {
        self.late_until.is_some()
    }

    /// A packet was acknowledged. Called for each one that an acknowledgement covers newly, before [`Sampler::finish`].
    pub fn on_acked(&mut self, now: Instant, stamp: &Stamp, bytes: u64) {
        self.delivered = self.delivered.saturating_add(bytes);
        self.delivered_at = now;
        self.packets = self.packets.saturating_add(1);
        self.overtaken = self.overtaken.saturating_add(self.first_sent.saturating_duration_since(stamp.sent));
        if self.newest.is_none_or(|newest| stamp.sent >= newest.sent) {
            self.newest = Some(*stamp);
        }
    }

    /// A packet was deemed lost.
    pub fn on_lost(&mut self, bytes: u64) {
        self.lost = self.lost.saturating_add(bytes);
    }

    /// All packets of an acknowledgement were counted, and all losses that it revealed: what they say together; `None`
    /// if it covers no packet newly. `min_rtt` is the shortest round trip of the path, below which no interval is
    /// believed.
    pub fn finish(&mut self, now: Instant, min_rtt: Duration) -> Option<RateSample> {
        let newest = self.newest.take()?;
        let overtaken = std::mem::take(&mut self.overtaken) / std::mem::take(&mut self.packets).max(1);
        if self.app_limited_until.is_some_and(|until| self.delivered > until) {
            self.app_limited_until = None;
        }
        if self.late_until.is_some_and(|until| self.delivered > until) {
            self.late_until = None;
        }
        let send_elapsed = newest.sent.saturating_duration_since(newest.first_sent);
        let ack_elapsed = now.saturating_duration_since(newest.delivered_at);
        self.first_sent = self.first_sent.max(newest.sent);
        let interval = send_elapsed.max(ack_elapsed);
        let delivered = self.delivered.saturating_sub(newest.delivered);
        Some(RateSample {
            sent: newest.sent,
            rtt: now.saturating_duration_since(newest.sent),
            overtaken,
            delivered,
            lost: self.lost.saturating_sub(newest.lost),
            interval,
            rate: (interval >= min_rtt && !interval.is_zero()).then(|| rate_of(delivered, interval)),
            is_app_limited: newest.is_app_limited,
            is_late: newest.is_late,
            in_flight_then: newest.in_flight,
            delivered_then: newest.delivered,
            delivered_total: self.delivered,
        })
    }

    /// A packet that was deemed lost has arrived after all; it is reported to [`Sampler::on_acked`] as well.
    pub fn on_spurious_loss(&mut self, bytes: u64) {
        self.lost = self.lost.saturating_sub(bytes);
    }

    /// Delivered in all, in bytes.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn begun() -> (Sampler, Instant) {
        let now = Instant::now();
        (Sampler::new(now), now)
    }

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    /// Packets of 1000 bytes that leave every so often, in flight all together.
    fn sent(sampler: &mut Sampler, from: Instant, spacing: Duration, in_flight: u64, count: u32) -> Vec<Stamp> {
        (0..count)
            .map(|packet| sampler.on_sent(from + spacing * packet, 1000, in_flight + 1000 * u64::from(packet + 1)))
            .collect()
    }

    #[test]
    fn the_rate_is_what_was_delivered_by_the_time_it_took() {
        let (mut sampler, now) = begun();
        let first = sent(&mut sampler, now, ms(1), 0, 10);
        for (packet, stamp) in (0..).zip(&first) {
            let at = now + ms(100) + ms(2) * packet;
            sampler.on_acked(at, stamp, 1000);
            let sample = sampler.finish(at, ms(100)).expect("a sample");
            assert_eq!(sample.rtt, ms(100) + ms(1) * packet);
        }
        let second = sent(&mut sampler, now + ms(118), ms(1), 0, 100);
        for (packet, stamp) in (0..).zip(&second) {
            sampler.on_acked(now + ms(218) + ms(2) * packet, stamp, 1000);
        }
        // The whole second flight took 298 ms from its first departure to its last acknowledgement.
        let sample = sampler.finish(now + ms(416), ms(100)).expect("a sample");
        assert_eq!((sample.delivered, sample.interval), (100_000, ms(298)));
        assert_eq!(sample.rate, Some(100_000 * 1000 / 298));
    }

    #[test]
    fn acknowledgements_in_a_lump_count_no_faster_than_packets_were_sent() {
        let (mut sampler, now) = begun();
        let stamps = sent(&mut sampler, now, ms(10), 0, 11);
        let lump = now + ms(200);
        sampler.on_acked(lump, &stamps[0], 1000);
        sampler.finish(lump, ms(50));
        for stamp in &stamps[1..] {
            sampler.on_acked(lump + ms(1), stamp, 1000);
        }
        let sample = sampler.finish(lump + ms(1), ms(50)).expect("a sample");
        assert_eq!(sample.interval, ms(201), "their stamps are from before the first acknowledgement");
        let late = sampler.on_sent(lump + ms(2), 1000, 5000);
        sampler.on_acked(lump + ms(3), &late, 1000);
        let sample = sampler.finish(lump + ms(3), ms(50)).expect("a sample");
        assert_eq!((sample.interval, sample.rate), (ms(102), Some(1000 * 1000 / 102)), "the sending took longer");
    }

    #[test]
    fn who_is_overtaken_is_so_by_the_newest_that_came_before() {
        let (mut sampler, now) = begun();
        let stamps = sent(&mut sampler, now, ms(1), 50_000, 9);
        let overtaken = |sampler: &mut Sampler, packets: &[usize], at: u64| {
            packets.iter().for_each(|&packet| sampler.on_acked(now + ms(at), &stamps[packet], 1000));
            sampler.finish(now + ms(at), ms(50)).expect("a sample").overtaken
        };
        assert_eq!(overtaken(&mut sampler, &[0, 1, 2], 100), ms(0), "in order");
        assert_eq!(overtaken(&mut sampler, &[8], 101), ms(0), "nobody has overtaken the newest");
        assert_eq!(overtaken(&mut sampler, &[4, 6], 102), ms(3), "by 4 and by 2 ms");
    }

    #[test]
    fn intervals_below_the_shortest_round_trip_give_no_rate() {
        let (mut sampler, now) = begun();
        let stamp = sampler.on_sent(now, 1000, 1000);
        sampler.on_acked(now + ms(49), &stamp, 1000);
        assert_eq!(sampler.finish(now + ms(49), ms(50)).expect("a sample").rate, None);
        assert_eq!(sampler.finish(now + ms(50), ms(50)), None, "nothing is new");
    }

    #[test]
    fn samples_are_the_applications_until_what_was_in_flight_is_delivered() {
        let (mut sampler, now) = begun();
        let before = sampler.on_sent(now, 1000, 1000);
        sampler.on_app_limited(1000);
        let within = sampler.on_sent(now + ms(1), 1000, 2000);
        let mut limited = |stamp: &Stamp, at| {
            sampler.on_acked(now + ms(at), stamp, 1000);
            let sample = sampler.finish(now + ms(at), ms(1)).expect("a sample");
            (sample.is_app_limited, sampler.on_sent(now + ms(at), 1000, 2000))
        };
        assert!(!limited(&before, 50).0);
        let (is_limited, after) = limited(&within, 51);
        assert!(is_limited);
        assert!(!limited(&after, 101).0);
    }

    #[test]
    fn losses_are_counted_over_the_same_time_and_taken_back() {
        let (mut sampler, now) = begun();
        sampler.on_lost(1000);
        let stamp = sampler.on_sent(now, 1000, 3000);
        sampler.on_lost(1000);
        sampler.on_lost(1000);
        sampler.on_spurious_loss(1000);
        sampler.on_acked(now + ms(10), &stamp, 1000);
        assert_eq!(sampler.finish(now + ms(10), ms(1)).expect("a sample").lost, 1000);
    }

    #[test]
    fn what_leaves_late_and_with_it_is_marked_until_it_is_delivered() {
        let (mut sampler, now) = begun();
        let before = sampler.on_sent(now, 1000, 1000);
        sampler.on_late(1000);
        let with = sampler.on_sent(now + ms(1), 1000, 2000);
        let mut late = |stamp: &Stamp, at| {
            sampler.on_acked(now + ms(at), stamp, 1000);
            let sample = sampler.finish(now + ms(at), ms(1)).expect("a sample");
            (sample.is_late, sampler.on_sent(now + ms(at), 1000, 2000))
        };
        assert!(!late(&before, 50).0);
        let (is_late, after) = late(&with, 51);
        assert!(is_late);
        assert!(!late(&after, 101).0);
    }
}
