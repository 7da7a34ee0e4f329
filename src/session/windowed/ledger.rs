//! What was sent and when, until its fate is known: acknowledged, lost, or lost by mistake.

use crate::ranges::RangeSet;
use crate::session::windowed::loss::{Loss, Verdict};
use crate::session::windowed::path_rtt::PathRtt;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::{Duration, Instant};

/// The packets of one direction from sending to their fate, each with a content `T` that the ledger does not look into.
///
/// After an acknowledgement: [`Ledger::on_ack`], then its round trip to [`PathRtt::on_sample`], then [`Ledger::detect_losses`].
/// When [`Ledger::loss_deadline`] has come: [`Ledger::detect_losses`].
///
/// **Cost.** Every packet is looked at when it is sent, when it is acknowledged and when it leaves; what an acknowledgement
/// repeats costs a search for each of its ranges, not for each packet. The queues are reused, so nothing is allocated for a packet.
///
/// **Memory.** At most [`RECORDS_MAX`] packets in flight and [`LOST_REMEMBERED`] lost ones; no peer can change that.
#[derive(Clone, Debug)]
pub struct Ledger<T> {
    /// By number. The first one's fate is open.
    records: VecDeque<Record<T>>,
    /// Lost ones that may still be acknowledged, by number, all smaller than those in `records`.
    lost: BTreeMap<u64, Lost<T>>,
    /// Stretches without an open record from the first record on, so that what an acknowledgement repeats is passed over.
    /// In each is a record at least, so there are no more of them than records.
    settled: RangeSet,
    loss: Loss,
    largest_sent: Option<u64>,
    largest_acked: Option<u64>,
    bytes_in_flight: u64,
    eliciting_in_flight: usize,
    last_eliciting: Option<Instant>,
}

/// A packet that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent<T> {
    /// Its number, larger than all before it.
    pub number: u64,
    /// When it was sent, not before the one before it.
    pub sent_at: Instant,
    /// Its length on the wire, as far as it counts for congestion control.
    pub bytes: u32,
    /// Whether the peer must acknowledge it (RFC 9002 section 2).
    pub ack_eliciting: bool,
    /// Whether it counts as in flight (RFC 9002 section 2).
    pub in_flight: bool,
    /// What it carried.
    pub content: T,
}

/// A packet that was acknowledged; each is reported once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked<T> {
    /// What was sent.
    pub packet: Sent<T>,
    /// It had been reported as lost before: by mistake, or its way was very long.
    pub spurious: bool,
}

/// What an acknowledgement brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The sample for [`PathRtt::on_sample`], if it gives one (RFC 9002 section 5.1).
    pub round_trip: Option<Duration>,
    /// Packets acknowledged for the first time, spurious losses among them.
    pub packets: usize,
    /// Those that had been reported as lost.
    pub spurious: usize,
}

#[derive(Clone, Debug)]
struct Record<T> {
    number: u64,
    /// `None` once its fate is known.
    sent: Option<Sent<T>>,
}

#[derive(Clone, Debug)]
struct Lost<T> {
    sent: Sent<T>,
    lost_at: Instant,
}

impl<T: Clone> Ledger<T> {
    /// Nothing was sent yet.
    pub fn new() -> Self {
        Self {
            records: VecDeque::new(),
            lost: BTreeMap::new(),
            settled: RangeSet::new(),
            loss: Loss::new(),
            largest_sent: None,
            largest_acked: None,
            bytes_in_flight: 0,
            eliciting_in_flight: 0,
            last_eliciting: None,
        }
    }

    /// Whether there is room for another packet. Without, the caller sends nothing but probes and acknowledgements, which are
    /// not recorded then: their fate stays unknown, so they must carry nothing that only they carry.
    pub fn has_room(&self) -> bool {
        self.records.len() < RECORDS_MAX
    }

    /// A packet was sent.
    ///
    /// # Panics
    /// If its number is not larger than all before it: a number used twice would break the encryption, so it must not pass
    /// unnoticed.
    pub fn on_sent(&mut self, packet: Sent<T>) {
        assert!(self.largest_sent.is_none_or(|largest| packet.number > largest), "packet numbers rise");
        self.largest_sent = Some(packet.number);
        if packet.ack_eliciting {
            self.last_eliciting = Some(packet.sent_at);
        }
        // Who only receives sends acknowledgements that are never acknowledged. They may not take all the room.
        let room = if packet.ack_eliciting { RECORDS_MAX } else { RECORDS_MAX / 2 };
        if self.records.len() >= room {
            return;
        }
        self.bytes_in_flight += if packet.in_flight { u64::from(packet.bytes) } else { 0 };
        self.eliciting_in_flight += usize::from(packet.ack_eliciting);
        self.records.push_back(Record { number: packet.number, sent: Some(packet) });
    }

    /// The peer acknowledged these ranges, newest first or not; the newly acknowledged packets are appended to `acked`.
    /// Numbers that were never sent are passed over; to refuse them is [`Numbers::check`]'s matter.
    ///
    /// [`Numbers::check`]: crate::session::windowed::numbers::Numbers::check
    pub fn on_ack(
        &mut self,
        ranges: impl IntoIterator<Item = Range<u64>>,
        now: Instant,
        rtt: &PathRtt,
        acked: &mut Vec<Acked<T>>,
    ) -> Heard {
        let (before, first_new) = (self.largest_acked, acked.len());
        for range in ranges {
            let end = range.end.min(self.largest_sent.map_or(0, |largest| largest.saturating_add(1)));
            if range.start >= end {
                continue;
            }
            self.largest_acked = self.largest_acked.max(Some(end - 1));
            self.settle_lost(range.start..end, acked);
            self.settle_records(range.start..end, acked);
        }
        self.forget_settled();
        let fresh = acked.get(first_new..).unwrap_or_default();
        for Acked { packet, spurious } in fresh {
            if !spurious {
                self.count_out(packet);
            }
            if let Some(behind) = before.and_then(|before| before.checked_sub(packet.number)) {
                self.loss.on_reordered(behind, now.saturating_duration_since(packet.sent_at), now, rtt);
            }
        }
        self.loss.on_acked(fresh.len(), now, rtt);
        let newest = fresh.iter().find(|acked| Some(acked.packet.number) == self.largest_acked);
        let eliciting = fresh.iter().any(|acked| acked.packet.ack_eliciting);
        Heard {
            round_trip: newest.filter(|_| eliciting).map(|acked| now.saturating_duration_since(acked.packet.sent_at)),
            packets: fresh.len(),
            spurious: fresh.iter().filter(|acked| acked.spurious).count(),
        }
    }

    /// Appends the packets that have become lost to `lost`, each once; one of them may still be acknowledged and then comes
    /// from [`Ledger::on_ack`] as a spurious loss.
    pub fn detect_losses(&mut self, now: Instant, rtt: &PathRtt, lost: &mut Vec<Sent<T>>) {
        // The older, the stricter the verdict; so the first that is not lost ends it.
        while let Some((_, Verdict::Lost)) = self.judge_oldest(now, rtt) {
            let Some(packet) = self.records.pop_front().and_then(|record| record.sent) else { break };
            self.count_out(&packet);
            self.remember_lost(packet.clone(), now);
            lost.push(packet);
            self.forget_settled();
        }
    }

    /// When [`Ledger::detect_losses`] will find something although nothing more is heard.
    pub fn loss_deadline(&self, now: Instant, rtt: &PathRtt) -> Option<Instant> {
        match self.judge_oldest(now, rtt)? {
            (_, Verdict::Lost) => Some(now),
            (_, Verdict::LostAt(due)) => Some(due),
        }
    }

    /// When the last packet that wants an acknowledgement was sent, if one of them is still in flight: from then on a probe
    /// time-out counts.
    pub fn waiting_since(&self) -> Option<Instant> {
        self.last_eliciting.filter(|_| self.eliciting_in_flight > 0)
    }

    /// The oldest packet whose fate is open.
    pub fn oldest(&self) -> Option<&Sent<T>> {
        self.records.front()?.sent.as_ref()
    }

    /// Bytes of the packets in flight.
    pub fn bytes_in_flight(&self) -> u64 {
        self.bytes_in_flight
    }

    /// The largest packet number that was acknowledged.
    pub fn largest_acked(&self) -> Option<u64> {
        self.largest_acked
    }

    /// The thresholds in force.
    pub fn loss(&self) -> &Loss {
        &self.loss
    }

    /// The verdict on the oldest packet, if a later one was acknowledged.
    fn judge_oldest(&self, now: Instant, rtt: &PathRtt) -> Option<(&Sent<T>, Verdict)> {
        let packet = self.oldest()?;
        let behind = self.largest_acked?.checked_sub(packet.number)?;
        Some((packet, self.loss.judge(behind, packet.sent_at, now, rtt)))
    }

    fn settle_records(&mut self, range: Range<u64>, acked: &mut Vec<Acked<T>>) {
        let (Some(first), Some(last)) = (self.records.front(), self.records.back()) else { return };
        let (mut from, end) = (range.start.max(first.number), range.end.min(last.number.saturating_add(1)));
        if from >= end {
            return;
        }
        // Nearly always there is one gap at most.
        while let Some(gap) = self.settled.gaps(from..end).next() {
            from = gap.end;
            let mut at = self.records.partition_point(|record| record.number < gap.start);
            let before = acked.len();
            while let Some(record) = self.records.get_mut(at).filter(|record| record.number < gap.end) {
                acked.extend(record.sent.take().map(|packet| Acked { packet, spurious: false }));
                at += 1;
            }
            if acked.len() > before {
                self.settled.insert(gap);
            }
        }
    }

    fn settle_lost(&mut self, range: Range<u64>, acked: &mut Vec<Acked<T>>) {
        let oldest = self.records.front().map_or(u64::MAX, |oldest| oldest.number);
        if range.start >= oldest || self.lost.is_empty() {
            return;
        }
        while let Some((&number, _)) = self.lost.range(range.clone()).next() {
            acked.extend(self.lost.remove(&number).map(|lost| Acked { packet: lost.sent, spurious: true }));
        }
    }

    fn remember_lost(&mut self, sent: Sent<T>, now: Instant) {
        let is_old = |lost: &Lost<T>| now.saturating_duration_since(lost.lost_at) >= LOST_KEPT;
        while self.lost.len() >= LOST_REMEMBERED || self.lost.first_key_value().is_some_and(|(_, lost)| is_old(lost)) {
            self.lost.pop_first();
        }
        self.lost.insert(sent.number, Lost { sent, lost_at: now });
    }

    fn count_out(&mut self, packet: &Sent<T>) {
        self.bytes_in_flight -= if packet.in_flight { u64::from(packet.bytes) } else { 0 };
        self.eliciting_in_flight -= usize::from(packet.ack_eliciting);
    }

    /// Drops what is settled at the front, so that the first record's fate is open.
    fn forget_settled(&mut self) {
        while self.records.front().is_some_and(|record| record.sent.is_none()) {
            self.records.pop_front();
        }
        let first = self.records.front().map_or(u64::MAX, |first| first.number);
        self.settled.remove(0..first);
    }
}

impl<T: Clone> Default for Ledger<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// How many packets may be in flight at once: 10 Gbit/s over 300 ms in packets of 1452 bytes, in about 25 MiB.
pub const RECORDS_MAX: usize = 1 << 18;

/// How many lost packets are remembered in case they come late: a tenth of a million packets a second for more than half a
/// second, which is longer than reordering lasts.
pub const LOST_REMEMBERED: usize = 1 << 16;

/// How long they are remembered. What comes later was retransmitted and acknowledged long ago.
const LOST_KEPT: Duration = Duration::from_secs(10);

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list with one range is meant")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn begun<T: Clone>() -> (Ledger<T>, PathRtt, Instant) {
        let now = Instant::now();
        let mut rtt = PathRtt::new(ms(25));
        rtt.on_sample(ms(100), ms(0), now);
        (Ledger::new(), rtt, now)
    }

    fn data<T>(number: u64, sent_at: Instant, content: T) -> Sent<T> {
        Sent { number, sent_at, bytes: 1000, ack_eliciting: true, in_flight: true, content }
    }

    /// Packets from 0 on, a millisecond apart.
    fn send<T: Clone>(ledger: &mut Ledger<T>, count: u64, began: Instant, content: T) {
        for number in 0..count {
            ledger.on_sent(data(number, began + ms(number), content.clone()));
        }
    }

    fn numbers<T>(packets: &[Sent<T>]) -> Vec<u64> {
        packets.iter().map(|packet| packet.number).collect()
    }

    #[test]
    fn a_packet_is_acknowledged_once_and_then_out_of_flight() {
        let (mut ledger, rtt, now) = begun();
        send(&mut ledger, 3, now, "content");
        assert_eq!((ledger.bytes_in_flight(), ledger.waiting_since()), (3000, Some(now + ms(2))));
        let mut acked = Vec::new();
        let heard = ledger.on_ack([0..2], now + ms(100), &rtt, &mut acked);
        assert_eq!(heard, Heard { round_trip: Some(ms(99)), packets: 2, spurious: 0 });
        assert_eq!((acked[1].packet.number, acked[1].packet.content, acked[1].spurious), (1, "content", false));
        assert_eq!(ledger.on_ack([0..2], now + ms(101), &rtt, &mut acked), Heard::default());
        assert_eq!((acked.len(), ledger.bytes_in_flight(), ledger.oldest().unwrap().number), (2, 1000, 2));
        ledger.on_ack([0..3], now + ms(102), &rtt, &mut acked);
        assert_eq!((ledger.bytes_in_flight(), ledger.waiting_since(), ledger.oldest()), (0, None, None));
    }

    #[test]
    fn a_lost_packet_is_found_by_the_third_after_it_and_may_come_late() {
        let (mut ledger, rtt, now) = begun();
        send(&mut ledger, 6, now, ());
        let (mut acked, mut lost) = (Vec::new(), Vec::new());
        ledger.on_ack([1..3], now + ms(102), &rtt, &mut acked);
        ledger.detect_losses(now + ms(102), &rtt, &mut lost);
        assert!(lost.is_empty(), "{lost:?}");
        ledger.on_ack([1..4], now + ms(103), &rtt, &mut acked);
        ledger.detect_losses(now + ms(103), &rtt, &mut lost);
        ledger.detect_losses(now + ms(104), &rtt, &mut lost);
        assert_eq!((numbers(&lost), ledger.bytes_in_flight()), (vec![0], 2000));
        let heard = ledger.on_ack([0..4], now + ms(110), &rtt, &mut acked);
        assert_eq!(heard, Heard { round_trip: None, packets: 1, spurious: 1 });
        assert!(acked.last().is_some_and(|acked| acked.spurious && acked.packet.number == 0));
        assert_eq!(ledger.on_ack([0..4], now + ms(111), &rtt, &mut acked), Heard::default());
        assert_eq!((ledger.loss().packet_threshold(), ledger.bytes_in_flight()), (6, 2000));
    }

    #[test]
    fn the_last_but_one_is_lost_by_time_and_the_last_never_by_itself() {
        let (mut ledger, rtt, now) = begun();
        send(&mut ledger, 3, now, ());
        let (mut acked, mut lost) = (Vec::new(), Vec::new());
        assert_eq!(ledger.loss_deadline(now, &rtt), None);
        ledger.on_ack([1..2], now + ms(101), &rtt, &mut acked);
        let due = ledger.loss_deadline(now + ms(101), &rtt).unwrap();
        assert_eq!(due, now + ms(112) + Duration::from_micros(500));
        ledger.detect_losses(due - ms(1), &rtt, &mut lost);
        assert!(lost.is_empty(), "{lost:?}");
        ledger.detect_losses(due, &rtt, &mut lost);
        assert_eq!(numbers(&lost), [0]);
        assert_eq!((ledger.loss_deadline(due, &rtt), ledger.waiting_since()), (None, Some(now + ms(2))));
    }

    #[test]
    fn only_a_new_largest_packet_gives_a_round_trip_and_only_if_something_wanted_an_answer() {
        let (mut ledger, rtt, now) = begun();
        for number in 0..4 {
            ledger.on_sent(Sent { ack_eliciting: number == 1, in_flight: number == 1, ..data(number, now, ()) });
        }
        assert_eq!(ledger.bytes_in_flight(), 1000);
        let mut acked = Vec::new();
        let cases = [(0..1, None), (0..3, Some(ms(50))), (0..4, None)];
        for (range, round_trip) in cases {
            assert_eq!(ledger.on_ack([range], now + ms(50), &rtt, &mut acked).round_trip, round_trip);
        }
    }

    #[test]
    fn what_was_never_sent_is_passed_over() {
        let (mut ledger, rtt, now) = begun();
        let mut acked = Vec::new();
        assert_eq!(ledger.on_ack([0..u64::MAX], now, &rtt, &mut acked), Heard::default());
        assert_eq!(ledger.largest_acked(), None);
        ledger.on_sent(data(7, now, ""));
        ledger.on_ack([8..900, 0..7], now, &rtt, &mut acked);
        assert_eq!((acked.len(), ledger.largest_acked()), (0, Some(6)));
        ledger.on_ack([0..u64::MAX], now, &rtt, &mut acked);
        assert_eq!((acked.len(), ledger.largest_acked()), (1, Some(7)));
    }

    #[test]
    #[should_panic(expected = "packet numbers rise")]
    fn a_number_is_not_used_twice() {
        let (mut ledger, _, now) = begun();
        ledger.on_sent(data(3, now, ""));
        ledger.on_sent(data(3, now, ""));
    }

    #[test]
    fn a_full_ledger_records_no_more_and_goes_on_when_there_is_room() {
        let (mut ledger, rtt, now) = begun();
        for number in 0..RECORDS_MAX as u64 + 10 {
            assert_eq!(ledger.has_room(), number < RECORDS_MAX as u64);
            ledger.on_sent(data(number, now, ""));
        }
        assert_eq!(ledger.bytes_in_flight(), 1000 * RECORDS_MAX as u64);
        let (mut acked, mut lost) = (Vec::new(), Vec::new());
        let probe = RECORDS_MAX as u64 + 5;
        ledger.on_ack([probe..probe + 1], now + ms(1), &rtt, &mut acked);
        ledger.detect_losses(now + ms(1), &rtt, &mut lost);
        assert_eq!((acked.len(), lost.len(), ledger.bytes_in_flight()), (0, RECORDS_MAX, 0));
        assert_eq!((ledger.lost.len(), ledger.has_room(), ledger.settled.ranges()), (LOST_REMEMBERED, true, 0));
    }

    #[test]
    fn acknowledgements_that_nobody_acknowledges_leave_room_for_data() {
        let (mut ledger, rtt, now) = begun();
        let count = 2 * RECORDS_MAX as u64;
        for number in 0..count {
            ledger.on_sent(Sent { ack_eliciting: false, in_flight: false, ..data(number, now, ()) });
        }
        assert!(ledger.has_room());
        ledger.on_sent(data(count, now, ()));
        let (mut acked, mut lost) = (Vec::new(), Vec::new());
        ledger.on_ack([count..count + 1], now, &rtt, &mut acked);
        ledger.detect_losses(now, &rtt, &mut lost);
        assert_eq!((acked.len(), ledger.records.len()), (1, 0));
        assert!(lost.iter().all(|packet| !packet.in_flight));
    }

    #[test]
    fn lost_packets_are_forgotten_after_ten_seconds() {
        let (mut ledger, rtt, now) = begun();
        let (mut acked, mut lost) = (Vec::new(), Vec::new());
        for number in 0..20 {
            ledger.on_sent(data(number, now + ms(1000 * number), ()));
            if number % 2 == 1 {
                ledger.on_ack([number..number + 1], now + ms(1000 * number), &rtt, &mut acked);
                ledger.detect_losses(now + ms(1000 * number), &rtt, &mut lost);
            }
        }
        assert_eq!(lost.len(), 10);
        assert_eq!(ledger.lost.keys().copied().collect::<Vec<_>>(), [10, 12, 14, 16, 18]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Send { skip: u64, count: u64 },
        Ack(Vec<(u64, u64)>),
        Wait(u64),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..2_u64, 1..8_u64).prop_map(|(skip, count)| Step::Send { skip, count }),
            proptest::collection::vec((0..40_u64, prop_oneof![9 => 1..10_u64, 1 => Just(u64::MAX / 2)]), 1..4)
                .prop_map(Step::Ack),
            (0..80_u64).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// The same packets, judged one by one.
        #[test]
        fn it_agrees_with_going_through_all_packets(steps in proptest::collection::vec(any_step(), 0..60)) {
            let (_, rtt, mut now) = begun::<u64>();
            let mut ledger = Ledger::new();
            let (mut open, mut gone) = (BTreeMap::new(), BTreeSet::new());
            let (mut next, mut largest) = (0, None);
            for step in steps {
                match step {
                    Step::Send { skip, count } => {
                        next += skip;
                        for _ in 0..count {
                            ledger.on_sent(data(next, now, next));
                            open.insert(next, now);
                            next += 1;
                        }
                    }
                    Step::Ack(ranges) => {
                        // Counted back from the newest, as acknowledgements are.
                        let ranges: Vec<_> = ranges.iter().map(|(back, len)| {
                            let start = next.saturating_sub(*back);
                            start..start + len
                        }).collect();
                        let named: BTreeSet<u64> = ranges.iter().flat_map(|range| range.start..range.end.min(next)).collect();
                        largest = largest.max(named.last().copied());
                        let mut acked = Vec::new();
                        let heard = ledger.on_ack(ranges, now, &rtt, &mut acked);
                        prop_assert_eq!(heard.packets, acked.len());
                        for Acked { packet, spurious } in acked {
                            prop_assert_eq!(packet.number, packet.content);
                            let known = if spurious { gone.remove(&packet.number) } else { open.remove(&packet.number).is_some() };
                            prop_assert!(known && named.contains(&packet.number), "{}", packet.number);
                        }
                        prop_assert!(!named.iter().any(|number| open.contains_key(number) || gone.contains(number)));
                    }
                    Step::Wait(time) => now += ms(time),
                }
                let judged = |number: &u64, sent_at: &Instant| {
                    let behind = largest.and_then(|largest: u64| largest.checked_sub(*number))?;
                    Some(ledger.loss().judge(behind, *sent_at, now, &rtt))
                };
                let expected: Vec<u64> = open.iter().filter(|(number, sent)| judged(number, sent) == Some(Verdict::Lost))
                    .map(|(number, _)| *number).collect();
                let mut lost = Vec::new();
                ledger.detect_losses(now, &rtt, &mut lost);
                prop_assert_eq!(numbers(&lost), expected.clone());
                open.retain(|number, _| !expected.contains(number));
                gone.extend(expected);
                prop_assert_eq!(ledger.bytes_in_flight(), 1000 * open.len() as u64);
                prop_assert_eq!(ledger.oldest().map(|packet| packet.number), open.keys().next().copied());
                prop_assert!(ledger.settled.ranges() <= ledger.records.len());
                let due = open.iter().filter_map(|(number, sent_at)| {
                    let behind = largest?.checked_sub(*number)?;
                    match ledger.loss().judge(behind, *sent_at, now, &rtt) {
                        Verdict::LostAt(due) => Some(due),
                        Verdict::Lost => None,
                    }
                }).min();
                prop_assert_eq!(ledger.loss_deadline(now, &rtt), due);
            }
        }
    }
}
