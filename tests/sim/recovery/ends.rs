//! The two ends, and the air between them: no more than it takes to try the leaves together.

use super::Plan;
use homing::ranges::RangeSet;
use homing::session::windowed::acks::{Acks, MAX_ACK_DELAY, Received};
use homing::session::windowed::inbox::{Arrival, Inbox};
use homing::session::windowed::ledger::{Ledger, Sent};
use homing::session::windowed::mtu::{self, Mtu};
use homing::session::windowed::numbers::{Numbers, OptimisticAck};
use homing::session::windowed::outbox::Outbox;
use homing::session::windowed::path_rtt::PathRtt;
use homing::session::windowed::pto::Pto;
use homing::session::windowed::replay::{Novelty, Replay};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::{Duration, Instant};

/// A packet with data.
#[derive(Clone, Debug)]
pub struct Data {
    pub number: u64,
    pub size: usize,
    /// Nothing in a probe that found nothing to carry.
    pub bytes: Range<u64>,
    pub near_end: bool,
    /// The newest acknowledgement that came, and the largest limit: stands for the acknowledgement of acknowledgements.
    pub seen: Option<Range<u64>>,
    pub seen_limit: u64,
}

/// An acknowledgement, and how far the sender may go.
#[derive(Clone, Debug)]
pub struct Ack {
    pub ranges: Vec<Range<u64>>,
    pub delay: Duration,
    pub limit: u64,
}

/// One direction: loses, copies, and with its jitter reorders.
pub struct Air<M> {
    flights: BTreeMap<(Instant, u64), M>,
    launched: u64,
    loss: f64,
    copies: f64,
    delay: Duration,
    jitter: Duration,
    dice: fastrand::Rng,
}

impl<M: Clone> Air<M> {
    pub fn new(plan: &Plan, loss: f64, seed: u64) -> Self {
        let Plan { copies, delay, jitter, .. } = *plan;
        let dice = fastrand::Rng::with_seed(seed);
        Self { flights: BTreeMap::new(), launched: 0, loss, copies, delay, jitter, dice }
    }

    pub fn send(&mut self, message: M, now: Instant) {
        let copies = 1 + usize::from(self.dice.f64() < self.copies);
        for _ in 0..copies {
            if self.dice.f64() >= self.loss {
                let due = now + self.delay + self.jitter.mul_f64(self.dice.f64());
                self.flights.insert((due, self.launched), message.clone());
                self.launched += 1;
            }
        }
    }

    pub fn poll(&mut self, now: Instant) -> Option<M> {
        let next = self.flights.first_entry().filter(|next| next.key().0 <= now)?;
        Some(next.remove())
    }

    pub fn next(&self) -> Option<Instant> {
        self.flights.first_key_value().map(|((due, _), _)| *due)
    }
}

/// What the sender remembers of a packet.
#[derive(Clone, Debug)]
struct Content {
    bytes: Range<u64>,
    size: usize,
    looks_for_mtu: bool,
}

/// Sends everything through a fixed window, evenly over a round trip.
pub struct Sender {
    numbers: Numbers,
    ledger: Ledger<Content>,
    pub mtu: Mtu,
    rtt: PathRtt,
    pto: Pto,
    outbox: Outbox,
    end: u64,
    packet: usize,
    window_packets: u64,
    spacing: Duration,
    next_send: Instant,
    probes: usize,
    seen: Option<Range<u64>>,
    limit: u64,
    last_number: Option<u64>,
    pub sent: u64,
    pub lost: u64,
    pub spurious: u64,
    pub last_spurious: Option<Instant>,
    /// The longest time from sending to a verdict of loss.
    pub slowest_loss: Duration,
    pub black_holes: u64,
    pub caught: Option<OptimisticAck>,
}

impl Sender {
    pub fn new(plan: &Plan, seed: u64, now: Instant) -> Self {
        let kept: RangeSet = plan.kept.iter().cloned().collect();
        let mut outbox = Outbox::new(&kept);
        outbox.on_available(plan.bytes);
        let mut rtt = PathRtt::new(MAX_ACK_DELAY);
        rtt.on_handshake_confirmed();
        Self {
            numbers: Numbers::new([seed.to_be_bytes(), [0; 8]].concat().try_into().expect("16 bytes")),
            ledger: Ledger::new(),
            mtu: Mtu::new(plan.mtu_max),
            rtt,
            pto: Pto::new(),
            outbox,
            end: plan.bytes,
            packet: plan.packet,
            window_packets: plan.window_packets,
            spacing: plan.round_trip() / plan.window_packets as u32,
            next_send: now,
            probes: 0,
            seen: None,
            limit: 0,
            last_number: None,
            sent: 0,
            lost: 0,
            spurious: 0,
            last_spurious: None,
            slowest_loss: Duration::ZERO,
            black_holes: 0,
            caught: None,
        }
    }

    pub fn is_done(&self) -> bool {
        self.outbox.has_all(self.end)
    }

    pub fn on_ack(&mut self, ack: Ack, now: Instant) {
        if let Err(caught) = self.numbers.check(ack.ranges.iter().cloned()) {
            self.caught = Some(caught);
            return;
        }
        self.limit = self.limit.max(ack.limit);
        self.outbox.on_limit(ack.limit);
        if let (Some(newest), Some(oldest)) = (ack.ranges.first(), ack.ranges.last()) {
            self.seen = Some(oldest.start..newest.end);
        }
        let mut acked = Vec::new();
        let heard = self.ledger.on_ack(ack.ranges, now, &self.rtt, &mut acked);
        if let Some(round_trip) = heard.round_trip {
            self.rtt.on_sample(round_trip, ack.delay, now);
        }
        if heard.packets > 0 {
            self.pto.on_acked();
        }
        if heard.spurious > 0 {
            self.spurious += heard.spurious as u64;
            self.last_spurious = Some(now);
        }
        for packet in acked.into_iter().map(|acked| acked.packet) {
            let Content { bytes, size, looks_for_mtu } = packet.content;
            if looks_for_mtu {
                self.mtu.on_probe_acked(packet.number, size, now);
            } else {
                self.mtu.on_acked(packet.number, size);
            }
            self.outbox.on_acked(bytes);
        }
        self.detect_losses(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.detect_losses(now);
        let waiting = self.ledger.loss_deadline(now, &self.rtt).is_none();
        if waiting && self.probe_deadline().is_some_and(|due| due <= now) {
            self.probes = self.pto.on_timeout();
        }
    }

    pub fn timeout(&self, now: Instant) -> Option<Instant> {
        let loss = self.ledger.loss_deadline(now, &self.rtt);
        let send = self.may_send().then_some(self.next_send);
        [loss.or_else(|| self.probe_deadline()), send].into_iter().flatten().min()
    }

    pub fn poll_data(&mut self, now: Instant) -> Option<Data> {
        if let Some(size) = self.mtu.probe().filter(|_| self.may_send()) {
            self.mtu.on_probe_sent(size);
            return self.data(Content { bytes: 0..0, size, looks_for_mtu: true }, now);
        }
        let size = if self.packet > mtu::BASE { self.mtu.size() } else { self.packet };
        let (bytes, size) = if self.probes > 0 {
            self.probes -= 1;
            // The last of them is a small one.
            let size = if self.probes == 0 { size.min(mtu::BASE) } else { size };
            let next = self.outbox.next(size as u64).or_else(|| self.outbox.oldest_in_flight(size as u64));
            (next.unwrap_or_default(), size)
        } else if self.may_send() && now >= self.next_send {
            self.next_send = now + self.spacing;
            (self.outbox.next(size as u64)?, size)
        } else {
            return None;
        };
        self.data(Content { bytes, size, looks_for_mtu: false }, now)
    }

    fn data(&mut self, content: Content, now: Instant) -> Option<Data> {
        let number = self.numbers.take(self.window_packets)?;
        assert!(self.last_number.replace(number).is_none_or(|last| last < number), "{number} is used twice");
        let Content { bytes, size, .. } = content.clone();
        let length = u32::try_from(size).expect("small");
        self.ledger.on_sent(Sent {
            number,
            sent_at: now,
            bytes: length,
            ack_eliciting: true,
            in_flight: true,
            content,
        });
        self.sent += 1;
        let near_end = !self.outbox.has_next();
        Some(Data { number, size, bytes, near_end, seen: self.seen.clone(), seen_limit: self.limit })
    }

    fn may_send(&self) -> bool {
        let in_flight = self.ledger.bytes_in_flight() / self.packet as u64;
        in_flight < self.window_packets && self.ledger.has_room() && self.outbox.has_next()
    }

    fn probe_deadline(&self) -> Option<Instant> {
        self.ledger.waiting_since().map(|since| self.pto.deadline(since, &self.rtt))
    }

    fn detect_losses(&mut self, now: Instant) {
        let mut lost = Vec::new();
        self.ledger.detect_losses(now, &self.rtt, &mut lost);
        // The last packets wait for a probe time-out, having none after them.
        let is_flowing = self.outbox.has_next();
        for packet in lost {
            self.lost += 1;
            if is_flowing {
                self.slowest_loss = self.slowest_loss.max(now - packet.sent_at);
            }
            let Content { bytes, size, looks_for_mtu } = packet.content;
            if looks_for_mtu {
                self.mtu.on_probe_lost(size, now);
            } else {
                self.black_holes += u64::from(self.mtu.on_lost(packet.number, size));
            }
            self.outbox.on_lost(bytes);
        }
    }
}

/// What a receiver says that wants to be sent to faster than the path is.
#[derive(Clone, Copy, Debug)]
pub enum Lie {
    /// It has so many packets beyond the last one, too.
    Ahead(u64),
    /// It has every packet before the last one.
    NothingLost,
}

/// Writes what is new to a slow disk, and acknowledges; or lies.
pub struct Receiver {
    acks: Acks,
    inbox: Inbox,
    replay: Replay,
    receive_window: u64,
    round_trip: Duration,
    disk_delay: Duration,
    disk: VecDeque<(Instant, u64)>,
    /// How often each byte was written.
    written: Vec<u8>,
    kept: RangeSet,
    limit: u64,
    /// When the last limit is announced again, unless the sender has shown that it knows.
    repeat_limit: Option<Instant>,
    limit_is_due: bool,
    pub lie: Option<Lie>,
    pub packets: u64,
    pub acks_sent: u64,
}

impl Receiver {
    pub fn new(plan: &Plan) -> Self {
        let kept: RangeSet = plan.kept.iter().cloned().collect();
        let mut inbox = Inbox::new(kept.clone(), plan.receive_window);
        inbox.on_end(plan.bytes).expect("the first word on it");
        Self {
            acks: Acks::new(),
            inbox,
            replay: Replay::new(),
            receive_window: plan.receive_window,
            round_trip: plan.round_trip(),
            disk_delay: plan.disk,
            disk: VecDeque::new(),
            written: vec![0; plan.bytes as usize],
            kept,
            limit: 0,
            repeat_limit: None,
            limit_is_due: false,
            lie: None,
            packets: 0,
            acks_sent: 0,
        }
    }

    /// A packet came; says whether it had anything new.
    pub fn on_data(&mut self, data: Data, now: Instant) -> bool {
        if self.replay.check(data.number) != Novelty::New {
            return false;
        }
        self.replay.mark(data.number);
        let parts = match self.inbox.on_data(data.bytes.clone()).expect("within the limit") {
            Arrival::New => vec![data.bytes],
            Arrival::Partly(parts) => parts,
            Arrival::Duplicate => Vec::new(),
            Arrival::Dropped => return false,
        };
        let fresh: u64 = parts.iter().map(|part| part.end - part.start).sum();
        for byte in parts.into_iter().flatten() {
            self.written[byte as usize] += 1;
        }
        self.disk.push_back((now + self.disk_delay, fresh));
        if let Some(seen) = data.seen {
            self.acks.on_acknowledged(seen);
        }
        if data.seen_limit == self.limit {
            self.repeat_limit = None;
        }
        let packet =
            Received { number: data.number, bytes: data.size, ack_eliciting: true, ecn: None, urgent: data.near_end };
        self.acks.on_packet(packet, now, self.round_trip);
        self.packets += 1;
        assert!(self.inbox.waiting() <= self.receive_window, "{} bytes wait for the disk", self.inbox.waiting());
        fresh > 0
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((_, bytes)) = self.disk.front().filter(|(due, _)| *due <= now) {
            self.inbox.on_written(*bytes);
            self.disk.pop_front();
        }
        if self.repeat_limit.is_some_and(|due| due <= now) {
            self.inbox.on_limit_lost();
        }
        if let Some(limit) = self.inbox.poll_limit() {
            (self.limit, self.limit_is_due) = (limit, true);
            self.repeat_limit = Some(now + Duration::from_millis(500) + self.round_trip);
        }
    }

    pub fn timeout(&self) -> Option<Instant> {
        let disk = self.disk.front().map(|(due, _)| *due);
        [self.acks.deadline(), disk, self.repeat_limit].into_iter().flatten().min()
    }

    pub fn poll_ack(&mut self, now: Instant) -> Option<Ack> {
        let is_due = self.acks.deadline().is_some_and(|due| due <= now);
        if !is_due && !self.limit_is_due {
            return None;
        }
        self.limit_is_due = false;
        let Some(ack) = self.acks.ack(now) else {
            return Some(Ack { ranges: Vec::new(), delay: Duration::ZERO, limit: self.limit });
        };
        let mut ranges: Vec<Range<u64>> = ack.ranges().collect();
        match self.lie {
            None => {}
            Some(Lie::Ahead(packets)) => ranges[0].end += packets,
            Some(Lie::NothingLost) => {
                ranges.truncate(1);
                ranges[0].start = 0;
            }
        }
        let delay = ack.delay;
        self.acks.on_sent(now);
        self.acks_sent += 1;
        Some(Ack { ranges, delay, limit: self.limit })
    }

    /// Every byte is there, and none was written twice or over what was there before.
    pub fn assert_exact(&self) {
        assert!(self.inbox.is_complete());
        for (byte, times) in (0..).zip(&self.written) {
            assert_eq!(u64::from(*times), u64::from(!self.kept.contains(byte)), "byte {byte}");
        }
    }
}
