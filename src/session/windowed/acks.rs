//! Which packets came, and when the peer is told.

use crate::codec::Writer;
use crate::packet::windowed::frame::{EcnCounts, ack};
use crate::ranges::RangeSet;
use std::ops::Range;
use std::time::{Duration, Instant};

/// The receiving side of acknowledgements (RFC 9000 section 13.2).
///
/// **When.** The first packets of a connection are acknowledged by twos, since the sender's window is small and grows with what
/// it hears. Later an acknowledgement goes out with the 64th packet, with 96 KiB (two packets on loopback, where they are
/// large), or a quarter of a round trip after the first packet that waits for it, 25 ms at most: so a window is
/// acknowledged in four parts at least, and a million packets a second in 16 thousand acknowledgements. The sender is not
/// asked: it would tell what the receiver sees itself. At once is told of a gap, of a late packet and of congestion, but
/// after another acknowledgement not sooner than a 16th of a round trip, 1 ms at most: on a path that loses or reorders every
/// few packets all would be gaps. And at once when the caller says so, because the end is near.
///
/// **What.** Up to [`RANGES_MAX`] ranges; the oldest is forgotten beyond that. Ranges that the peer knows of go earlier.
#[derive(Clone, Debug, Default)]
pub struct Acks {
    received: RangeSet,
    /// When the largest number came.
    largest_at: Option<Instant>,
    ecn: EcnCounts,
    /// Packets that want an acknowledgement: all of them, and those that wait for it, with their bytes.
    eliciting: u64,
    waiting: u64,
    waiting_bytes: u64,
    due: Option<Instant>,
    last_sent: Option<Instant>,
}

/// A packet that came and is authentic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its number, 2^64 - 2 at most.
    pub number: u64,
    /// Its length.
    pub bytes: usize,
    /// Whether it wants an acknowledgement.
    pub ack_eliciting: bool,
    /// How it was marked on its way.
    pub ecn: Option<Ecn>,
    /// Whether it wants it at once: the end is near, or somebody waits.
    pub urgent: bool,
}

/// A mark of explicit congestion notification (RFC 3168 section 5); a packet without one is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecn {
    /// The sender understands them.
    Ect0,
    /// The sender understands them, and means RFC 9331.
    Ect1,
    /// There is congestion.
    Ce,
}

/// What a packet was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// New.
    New,
    /// Known already. (Numbers that were forgotten look new; the replay window tells them.)
    Duplicate,
    /// Older than all that is remembered, so it will not be acknowledged, and its content comes again.
    TooOld,
}

/// What an acknowledgement says.
#[derive(Clone, Copy, Debug)]
pub struct Ack<'a> {
    /// The largest number that came.
    pub largest: u64,
    /// For how long that one has waited.
    pub delay: Duration,
    /// The marks of all packets that came.
    pub ecn: EcnCounts,
    received: &'a RangeSet,
}

impl Ack<'_> {
    /// The numbers that came, newest first: between 1 and [`RANGES_MAX`] ranges, the first ending at `largest`. Who has no
    /// space for all takes the first ones.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.received.iter().rev()
    }
}

impl Acks {
    /// Nothing came yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet came; `round_trip` is what is known of the path.
    pub fn on_packet(&mut self, packet: Received, now: Instant, round_trip: Duration) -> Arrival {
        let Received { number, bytes, ack_eliciting, ecn, urgent } = packet;
        let last = self.largest();
        if self.received.insert(number..number.saturating_add(1)) == 0 {
            return Arrival::Duplicate;
        }
        let is_full = self.received.ranges() > RANGES_MAX;
        let forgotten = if is_full { self.received.pop_first() } else { None };
        if last.is_none_or(|last| number > last) {
            self.largest_at = Some(now);
        }
        self.count(ecn);
        if ack_eliciting {
            self.eliciting += 1;
            self.waiting += 1;
            self.waiting_bytes = self.waiting_bytes.saturating_add(bytes as u64);
            // Behind the last one, or with others missing between.
            let out_of_order = last.is_some_and(|last| last.checked_add(1) != Some(number));
            let due = if urgent || self.is_enough() {
                now
            } else if out_of_order || ecn == Some(Ecn::Ce) {
                let spacing = (round_trip / 16).min(SPACING_MAX);
                self.last_sent.map_or(now, |last| now.max(last + spacing))
            } else {
                now + (round_trip / 4).clamp(PATIENCE_MIN, MAX_ACK_DELAY)
            };
            self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        }
        if forgotten.is_some_and(|range| range.contains(&number)) { Arrival::TooOld } else { Arrival::New }
    }

    /// When an acknowledgement is to be sent: at once if this has passed; `None` if nothing waits for one. It may ride on any
    /// packet before.
    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// What an acknowledgement would say now; `None` if nothing came yet.
    pub fn ack(&self, now: Instant) -> Option<Ack<'_>> {
        Some(Ack {
            largest: self.largest()?,
            delay: now.saturating_duration_since(self.largest_at?),
            ecn: self.ecn,
            received: &self.received,
        })
    }

    /// Writes the acknowledgement that waits, if one does and there is room; gives the numbers from its lowest to its end.
    pub fn write(&self, writer: &mut Writer<'_>, now: Instant) -> Option<Range<u64>> {
        self.due?;
        let ack = self.ack(now)?;
        let ecn = (ack.ecn != EcnCounts::default()).then_some(ack.ecn);
        let count = ack::write(ack.delay, || ack.ranges(), ecn, writer).ok()?;
        let lowest = ack.ranges().take(count).last()?;
        Some(lowest.start..ack.largest.saturating_add(1))
    }

    /// An acknowledgement was sent.
    pub fn on_sent(&mut self, now: Instant) {
        (self.waiting, self.waiting_bytes, self.due) = (0, 0, None);
        self.last_sent = Some(now);
    }

    /// The peer acknowledged an acknowledgement of ours that had named the numbers in `covered`, from the start of its oldest
    /// range to the end of its newest. So it knows, and they need no repeating (RFC 9000 section 13.2.4).
    ///
    /// The newest [`RANGES_KEPT`] stay: they cost few bytes, and a packet that filled one of their gaps after that
    /// acknowledgement may be known to the peer from no other.
    pub fn on_acknowledged(&mut self, covered: Range<u64>) {
        let is_known = |range: Range<u64>| covered.start <= range.start && range.end <= covered.end;
        while self.received.ranges() > RANGES_KEPT && self.received.first().is_some_and(is_known) {
            self.received.pop_first();
        }
    }

    /// The largest number that came.
    pub fn largest(&self) -> Option<u64> {
        self.received.last().map(|range| range.end - 1)
    }

    fn is_enough(&self) -> bool {
        let packets = if self.eliciting <= EARLY { EARLY_PACKETS } else { PACKETS };
        self.waiting >= packets || self.waiting_bytes >= BYTES
    }

    fn count(&mut self, ecn: Option<Ecn>) {
        match ecn {
            Some(Ecn::Ect0) => self.ecn.ect0 += 1,
            Some(Ecn::Ect1) => self.ecn.ect1 += 1,
            Some(Ecn::Ce) => self.ecn.ce += 1,
            None => {}
        }
    }
}

/// How long an acknowledgement waits at most: `max_ack_delay` of RFC 9000 section 18.2.
pub const MAX_ACK_DELAY: Duration = Duration::from_millis(25);

/// How many ranges are remembered, and named in an acknowledgement.
pub const RANGES_MAX: usize = 256;

/// How many ranges are named even if the peer knows of them.
pub const RANGES_KEPT: usize = 32;

/// Timers are no finer than this on most systems.
const PATIENCE_MIN: Duration = Duration::from_millis(1);

/// Gaps make no more than a thousand acknowledgements a second.
const SPACING_MAX: Duration = Duration::from_millis(1);

/// So many packets are acknowledged by twos: about four round trips, if the window doubles in each from ten packets on.
const EARLY: u64 = 128;

/// RFC 9000 section 13.2.2.
const EARLY_PACKETS: u64 = 2;

/// At 1 Gbit/s that is 1300 acknowledgements a second. More packets would save little: decrypting 64 costs far more than one
/// acknowledgement.
const PACKETS: u64 = 64;

/// [`PACKETS`] of the usual size.
const BYTES: u64 = 96 << 10;

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list with one range is meant")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const ROUND_TRIP: Duration = Duration::from_millis(40);

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn begun() -> (Acks, Instant) {
        (Acks::new(), Instant::now())
    }

    fn packet(number: u64) -> Received {
        Received { number, bytes: 1200, ack_eliciting: true, ecn: None, urgent: false }
    }

    /// Past the first packets, with everything acknowledged a long time before `now`.
    fn settled() -> (Acks, Instant, u64) {
        let (mut acks, now) = begun();
        for number in 0..EARLY {
            acks.on_packet(packet(number), now, ROUND_TRIP);
        }
        acks.on_sent(now);
        (acks, now + ms(1000), EARLY)
    }

    fn ranges(acks: &Acks, now: Instant) -> Vec<Range<u64>> {
        acks.ack(now).map(|ack| ack.ranges().collect()).unwrap_or_default()
    }

    #[test]
    fn the_first_packets_are_acknowledged_by_twos() {
        let (mut acks, now) = begun();
        assert!(acks.ack(now).is_none() && acks.deadline().is_none());
        for number in 0..10 {
            acks.on_packet(packet(number), now, ROUND_TRIP);
            let due = if number % 2 == 0 { now + ms(10) } else { now };
            assert_eq!(acks.deadline(), Some(due), "{number}");
            if number % 2 == 1 {
                acks.on_sent(now);
            }
        }
    }

    #[test]
    fn later_ones_by_sixty_fours_or_by_bytes() {
        for (bytes, enough) in [(1200, 64), (9000, 11), (65_507, 2)] {
            let (mut acks, now, next) = settled();
            for count in 1..=enough {
                acks.on_packet(Received { bytes, ..packet(next + count - 1) }, now, ROUND_TRIP);
                assert_eq!(acks.deadline() == Some(now), count == enough, "{count} of {bytes} bytes");
            }
        }
    }

    #[test]
    fn or_after_a_quarter_of_a_round_trip_from_the_first_that_waits() {
        for (round_trip, wait) in [(Duration::from_micros(50), 1), (ms(40), 10), (ms(100), 25), (ms(900), 25)] {
            let (mut acks, now, next) = settled();
            acks.on_packet(packet(next), now, round_trip);
            acks.on_packet(packet(next + 1), now + Duration::from_micros(500), round_trip);
            assert_eq!(acks.deadline(), Some(now + ms(wait)), "{round_trip:?}");
        }
    }

    #[test]
    fn at_once_on_a_gap_a_late_packet_congestion_or_when_told() {
        let (acks, now, next) = settled();
        let plain = packet(next);
        let cases = [
            (plain, false),
            (packet(next + 1), true),
            (Received { ecn: Some(Ecn::Ect0), ..plain }, false),
            (Received { ecn: Some(Ecn::Ce), ..plain }, true),
            (Received { urgent: true, ..plain }, true),
        ];
        for (packet, at_once) in cases {
            let mut acks = acks.clone();
            acks.on_packet(packet, now, ROUND_TRIP);
            assert_eq!(acks.deadline() == Some(now), at_once, "{packet:?}");
        }
        let mut acks = acks;
        acks.on_packet(packet(next + 5), now, ROUND_TRIP);
        acks.on_sent(now);
        acks.on_packet(packet(next + 1), now + ms(2), ROUND_TRIP);
        assert_eq!(acks.deadline(), Some(now + ms(2)), "a late packet");
    }

    #[test]
    fn gaps_in_a_row_are_told_a_thousand_times_a_second_at_most() {
        let (mut acks, now, next) = settled();
        let mut sent = 0;
        for step in 0..10_000 {
            let now = now + Duration::from_micros(step * 10);
            acks.on_packet(packet(next + 2 * step), now, ROUND_TRIP);
            if acks.deadline().is_some_and(|due| due <= now) {
                acks.on_sent(now);
                sent += 1;
            }
        }
        assert!((95..=160).contains(&sent), "{sent} in 100 ms; 64 at a time would be 156");
    }

    #[test]
    fn what_wants_no_answer_gets_none_but_is_named_in_the_next() {
        let (mut acks, now) = begun();
        acks.on_packet(Received { ack_eliciting: false, ..packet(0) }, now, ROUND_TRIP);
        acks.on_packet(Received { ack_eliciting: false, ..packet(5) }, now, ROUND_TRIP);
        assert_eq!(acks.deadline(), None);
        assert_eq!(ranges(&acks, now), [5..6, 0..1]);
    }

    #[test]
    fn an_acknowledgement_says_the_delay_of_the_largest_and_counts_marks_once() {
        let (mut acks, now) = begun();
        for (number, ecn) in [(3, Ecn::Ect0), (9, Ecn::Ce), (4, Ecn::Ect1), (9, Ecn::Ce), (5, Ecn::Ect0)] {
            acks.on_packet(Received { ecn: Some(ecn), ..packet(number) }, now + ms(number), ROUND_TRIP);
        }
        let ack = acks.ack(now + ms(15)).unwrap();
        assert_eq!((ack.largest, ack.delay), (9, ms(6)));
        assert_eq!(ack.ecn, EcnCounts { ect0: 2, ect1: 1, ce: 1 });
        assert_eq!(ack.ranges().collect::<Vec<_>>(), [9..10, 3..6]);
    }

    #[test]
    fn beyond_256_ranges_the_oldest_is_forgotten_and_what_is_older_comes_too_late() {
        let (mut acks, now) = begun();
        for number in 1..=300 {
            assert_eq!(acks.on_packet(packet(2 * number), now, ROUND_TRIP), Arrival::New);
        }
        assert_eq!(ranges(&acks, now).len(), RANGES_MAX);
        assert_eq!(ranges(&acks, now).last(), Some(&(90..91)));
        assert_eq!(acks.on_packet(packet(3), now, ROUND_TRIP), Arrival::TooOld);
        assert_eq!(acks.on_packet(packet(91), now, ROUND_TRIP), Arrival::New);
        assert_eq!(acks.on_packet(packet(90), now, ROUND_TRIP), Arrival::Duplicate);
    }

    #[test]
    fn what_the_peer_knows_is_forgotten_but_for_the_newest() {
        let (mut acks, now) = begun();
        for number in 0..100 {
            acks.on_packet(packet(2 * number), now, ROUND_TRIP);
        }
        acks.on_acknowledged(40..81);
        assert_eq!(acks.received.ranges(), 100, "older ones were not in it");
        acks.on_acknowledged(0..81);
        assert_eq!(ranges(&acks, now).last(), Some(&(82..83)));
        acks.on_acknowledged(0..199);
        assert_eq!(acks.received.ranges(), RANGES_KEPT);
    }

    #[test]
    fn the_largest_number_there_is_does_no_harm() {
        let (mut acks, now) = begun();
        acks.on_packet(packet(u64::MAX - 1), now, ROUND_TRIP);
        acks.on_packet(packet(u64::MAX), now, ROUND_TRIP);
        assert_eq!(ranges(&acks, now), [u64::MAX - 1..u64::MAX]);
    }

    proptest! {
        #[test]
        fn everything_that_came_is_named_and_told_in_time(
            packets in proptest::collection::vec((0..400_u64, any::<bool>(), 0..4_u64), 1..300),
        ) {
            let (mut acks, mut now) = begun();
            let (mut model, mut waiting_since) = (BTreeSet::new(), None);
            for (number, ack_eliciting, pause) in packets {
                now += ms(pause);
                if acks.deadline().is_some_and(|due| due <= now) {
                    acks.on_sent(now);
                    waiting_since = None;
                }
                let arrival = acks.on_packet(Received { ack_eliciting, ..packet(number) }, now, ROUND_TRIP);
                prop_assert_eq!(arrival == Arrival::New, model.insert(number));
                if arrival == Arrival::New && ack_eliciting {
                    waiting_since.get_or_insert(now);
                }
                let named: BTreeSet<u64> = ranges(&acks, now).into_iter().flatten().collect();
                prop_assert_eq!(&named, &model);
                prop_assert_eq!(acks.deadline().is_some(), waiting_since.is_some());
                prop_assert!(acks.deadline().is_none_or(|due| due <= waiting_since.unwrap() + ms(10)));
            }
        }
    }
}
