//! The packets of ours that are under way: which number the next one gets, when it may leave, and what became of those before it.

mod counts;
mod fates;
mod pace;

pub use counts::Counts;
pub use fates::{Arrived, Fates, Missing};

use super::delivery::{Sampler, Stamp};
use super::ledger::{Acked, Ledger, Sent};
use super::log::Timer;
use super::marks::Marks;
use super::mtu::Mtu;
use super::numbers::{Numbers, OptimisticAck};
use super::pacer::Pacer;
use super::path_rtt::PathRtt;
use super::pto::Pto;
use crate::packet::windowed::frame::Ack;
use crate::session::congestion::{self, Choice, Congestion, Lost, Remembered};
use std::time::{Duration, Instant};

/// What a flight begins with.
#[derive(Clone, Copy, Debug)]
pub struct Takeoff {
    /// The time.
    pub now: Instant,
    /// Which congestion control.
    pub choice: Choice,
    /// The round trip that the handshake took, if it told one.
    pub round_trip: Option<Duration>,
    /// What the path bore when it was used last.
    pub remembered: Option<Remembered>,
    /// The largest UDP payload that the interface takes, in bytes.
    pub mtu_max: usize,
    /// How long the peer may keep an acknowledgement waiting.
    pub max_ack_delay: Duration,
    /// Secret random bits: which packet numbers are skipped.
    pub seed: [u8; 16],
}

/// A packet that is about to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving<T> {
    /// Its number, from [`Flight::take_number`].
    pub number: u64,
    /// Its length in bytes of UDP payload.
    pub bytes: usize,
    /// Whether the peer must acknowledge it; if not, it is an acknowledgement alone and not counted.
    pub ack_eliciting: bool,
    /// Whether it is there to find out whether its size passes.
    pub is_mtu_probe: bool,
    /// Whether it says that the sender understands congestion marks.
    pub is_markable: bool,
    /// What it carries.
    pub content: T,
}

/// One direction of a connection, from the number of a packet to its fate.
#[derive(Debug)]
pub struct Flight<T> {
    numbers: Numbers,
    ledger: Ledger<Cargo<T>>,
    rtt: PathRtt,
    pto: Pto,
    congestion: Box<dyn Congestion>,
    sampler: Sampler,
    pacer: Pacer,
    /// The highest rate that the user wants, in bytes per second.
    limit: u64,
    mtu: Mtu,
    marks: Marks,
    /// Probes that a time-out has made due.
    probes: usize,
    /// There was nothing to send although there was room for it.
    is_idle: bool,
    /// It was only the pace that held packets back.
    is_held: bool,
    counts: Counts,
    acked: Vec<Acked<Cargo<T>>>,
    lost: Vec<Sent<Cargo<T>>>,
}

/// What the ledger keeps for us of a packet.
#[derive(Clone, Copy, Debug)]
struct Cargo<T> {
    /// `None` for a packet that is not counted.
    stamp: Option<Stamp>,
    is_mtu_probe: bool,
    is_marked: bool,
    content: T,
}

impl<T: Copy> Flight<T> {
    /// Nothing was sent yet.
    pub fn new(takeoff: &Takeoff) -> Self {
        let Takeoff { now, choice, round_trip, remembered, mtu_max, max_ack_delay, seed } = *takeoff;
        let mtu = Mtu::new(mtu_max);
        let dice = seed.first_chunk().map_or(0, |bytes: &[u8; 8]| u64::from_le_bytes(*bytes));
        let congestion =
            choice.begin(&congestion::Start { now, mtu: mtu.size(), rtt: round_trip, seed: dice, remembered });
        let mut rtt = PathRtt::new(max_ack_delay);
        rtt.on_handshake_confirmed();
        if let Some(round_trip) = round_trip {
            rtt.on_sample(round_trip, Duration::ZERO, now);
        }
        Self {
            numbers: Numbers::new(seed),
            ledger: Ledger::new(),
            rtt,
            pto: Pto::new(),
            pacer: Pacer::new(now, congestion.pacing_rate(), mtu.size()),
            limit: u64::MAX,
            congestion,
            sampler: Sampler::new(now),
            mtu,
            marks: Marks::default(),
            probes: 0,
            is_idle: true,
            is_held: false,
            counts: Counts::default(),
            acked: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// The length of packets that carry data, in bytes of UDP payload.
    pub fn packet_size(&self) -> usize {
        self.mtu.size()
    }

    /// The length of a packet that should be sent to find out whether such long ones pass.
    pub fn mtu_probe(&self) -> Option<usize> {
        self.mtu.probe()
    }

    /// How many bytes may leave now; an overdue probe may in any case.
    pub fn budget(&mut self, now: Instant) -> u64 {
        if self.probes > 0 {
            return self.mtu.size() as u64;
        }
        let room = self.congestion.window().saturating_sub(self.ledger.bytes_in_flight());
        if room < self.mtu.size() as u64 || !self.ledger.has_room() {
            self.is_held = false;
            return 0;
        }
        let paced = self.pacer.budget(now, self.is_held || self.sampler.is_late());
        self.note_limit(paced);
        let forfeited = self.pacer.take_forfeited();
        if std::mem::replace(&mut self.is_held, paced == 0) && forfeited > LATE {
            self.counts.late = self.counts.late.saturating_add(forfeited);
            self.sampler.on_late(self.ledger.bytes_in_flight());
        }
        room.min(paced)
    }

    /// When more may leave, if it is only its pace that holds it back.
    pub fn next_budget(&self) -> Option<Instant> {
        let room = self.congestion.window().saturating_sub(self.ledger.bytes_in_flight());
        let is_open = room >= self.mtu.size() as u64 && self.ledger.has_room();
        is_open.then(|| self.pacer.next_send_time())
    }

    /// How many probes are due. They are packets that want an acknowledgement, whatever they carry.
    pub fn probes_due(&self) -> usize {
        self.probes
    }

    /// Whether packets should say that we understand marks of congestion.
    pub fn is_markable(&self) -> bool {
        self.marks.are_believed()
    }

    /// The number of the next packet; `None` when all are used up.
    pub fn take_number(&mut self) -> Option<u64> {
        let window = self.congestion.window() / (self.mtu.size() as u64).max(1);
        self.numbers.take(window)
    }

    /// A packet leaves.
    pub fn on_sent(&mut self, packet: Leaving<T>, now: Instant) {
        let Leaving { number, bytes, ack_eliciting, is_mtu_probe, is_markable, content } = packet;
        let length = bytes as u64;
        self.counts.packets += 1;
        self.counts.bytes += length;
        let mut stamp = None;
        if ack_eliciting {
            if std::mem::take(&mut self.is_idle) && self.ledger.bytes_in_flight() == 0 {
                self.congestion.on_idle_restart(now);
                self.pace(now);
            }
            self.probes = self.probes.saturating_sub(1);
            let in_flight = self.ledger.bytes_in_flight() + length;
            stamp = Some(self.sampler.on_sent(now, length, in_flight));
            self.congestion.on_sent(now, length, in_flight);
            self.pacer.on_sent(now, length);
        }
        if is_mtu_probe {
            self.mtu.on_probe_sent(bytes);
        }
        let is_marked = is_markable && ack_eliciting;
        let content = Cargo { stamp, is_mtu_probe, is_marked, content };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let sent = Sent { number, sent_at: now, bytes, ack_eliciting, in_flight: ack_eliciting, content };
        self.ledger.on_sent(sent);
    }

    /// There is nothing to send although there is room for it.
    pub fn on_nothing_to_send(&mut self) {
        self.is_idle = true;
        self.is_held = false;
        self.sampler.on_app_limited(self.ledger.bytes_in_flight());
    }

    /// An acknowledgement came. Says whether it brought anything new.
    ///
    /// # Errors
    /// [`OptimisticAck`]: it acknowledges what was never sent, and the connection ends.
    pub fn on_ack(&mut self, ack: &Ack<'_>, fates: &mut Fates<T>, now: Instant) -> Result<bool, OptimisticAck> {
        let ranges = || ack.ranges.clone();
        self.numbers.check(ranges())?;
        let in_flight_before = self.ledger.bytes_in_flight();
        let mut acked = std::mem::take(&mut self.acked);
        let heard = self.ledger.on_ack(ranges(), now, &self.rtt, &mut acked);
        let mut ack_delay = Duration::ZERO;
        if let Some(round_trip) = heard.round_trip {
            ack_delay = ack.delay.min(self.rtt.max_ack_delay());
            self.rtt.on_sample(round_trip, ack.delay, now);
            self.pacer.set_round_trip(self.rtt.min().unwrap_or_default());
        }
        let largest = acked.iter().max_by_key(|acked| acked.packet.number).map(|acked| acked.packet.sent_at);
        let marked = acked.iter().filter(|acked| acked.packet.content.is_marked).count() as u64;
        let mut bytes = 0;
        for Acked { packet, spurious } in acked.drain(..) {
            bytes += self.on_arrived(&packet, spurious, now);
            let (number, content) = (packet.number, packet.content.content);
            fates.arrived.push(Arrived { number, is_spurious: spurious, content });
        }
        self.acked = acked;
        if heard.packets > 0 {
            self.pto.on_acked();
            self.probes = 0;
        }
        self.find_losses(fates, now);
        if let Some(sent) = largest.filter(|_| self.marks.on_counts(ack.ecn, marked)) {
            self.congestion.on_congestion_signalled(now, sent);
        }
        if let Some(sample) = self.sampler.finish(now, self.rtt.min().unwrap_or_default()) {
            let (in_flight, smoothed_rtt) = (self.ledger.bytes_in_flight(), self.rtt.smoothed());
            let acked = congestion::Acked { now, bytes, in_flight_before, in_flight, sample, smoothed_rtt, ack_delay };
            self.congestion.on_acked(&acked);
        }
        self.pace(now);
        Ok(heard.packets > 0)
    }

    /// The kernel would not send packets so long.
    pub fn on_refused(&mut self, size: usize, now: Instant) {
        self.mtu.on_refused(size, now);
        self.on_mtu();
    }

    /// The peer is somewhere else: nothing of the old path holds (RFC 9000 section 9.4).
    pub fn on_path_changed(&mut self, takeoff: &Takeoff) {
        self.rtt.on_path_changed();
        self.mtu.on_path_changed(takeoff.mtu_max);
        self.marks = Marks::default();
        self.on_choice(takeoff);
    }

    /// A congestion control begins anew, or another one; what is known of the path stays.
    pub fn on_choice(&mut self, takeoff: &Takeoff) {
        let Takeoff { now, choice, seed, .. } = *takeoff;
        let dice = seed.first_chunk().map_or(0, |bytes: &[u8; 8]| u64::from_le_bytes(*bytes));
        let (mtu, rtt) = (self.mtu.size(), self.rtt.latest());
        self.congestion = choice.begin(&congestion::Start { now, mtu, rtt, seed: dice, remembered: None });
        self.pacer = Pacer::new(now, self.pacing_rate(), mtu);
    }

    /// Finds what has become lost, or what a silence makes due.
    pub fn handle_timeout(&mut self, fates: &mut Fates<T>, now: Instant) {
        self.mtu.handle_timeout(now);
        match self.ledger.loss_deadline(now, &self.rtt) {
            Some(due) if now >= due => {
                self.find_losses(fates, now);
                self.pace(now);
            }
            Some(_) => {}
            None => {
                let due = self.ledger.waiting_since().map(|since| self.pto.deadline(since, &self.rtt));
                if self.probes == 0 && due.is_some_and(|due| now >= due) {
                    self.probes = self.pto.on_timeout();
                    self.counts.timeouts += 1;
                }
            }
        }
    }

    /// When [`Flight::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let due = self.loss_timer(now).map(|(_, due)| due);
        [due, self.mtu.poll_timeout()].into_iter().flatten().min()
    }

    /// The timer of loss detection that runs, and when it expires (RFC 9002 section 6.2.1: never both).
    pub fn loss_timer(&self, now: Instant) -> Option<(Timer, Instant)> {
        let silence = || {
            let since = self.ledger.waiting_since().filter(|_| self.probes == 0)?;
            Some((Timer::Probe, self.pto.deadline(since, &self.rtt)))
        };
        self.ledger.loss_deadline(now, &self.rtt).map(|due| (Timer::Loss, due)).or_else(silence)
    }

    /// What is known of the path's round trip.
    pub fn rtt(&self) -> &PathRtt {
        &self.rtt
    }

    /// The congestion control.
    pub fn congestion(&self) -> &dyn Congestion {
        self.congestion.as_ref()
    }

    /// Bytes of the packets under way.
    pub fn bytes_in_flight(&self) -> u64 {
        self.ledger.bytes_in_flight()
    }

    /// What it has cost.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many probe time-outs in a row were not answered.
    pub fn silence(&self) -> u32 {
        self.pto.count()
    }

    /// Gives its bytes, as far as they count.
    fn on_arrived(&mut self, packet: &Sent<Cargo<T>>, spurious: bool, now: Instant) -> u64 {
        let (bytes, size) = (u64::from(packet.bytes), packet.bytes as usize);
        let Some(stamp) = packet.content.stamp else { return 0 };
        if packet.content.is_mtu_probe {
            self.mtu.on_probe_acked(packet.number, size, now);
            self.on_mtu();
        } else {
            self.mtu.on_acked(packet.number, size);
        }
        if spurious && !packet.content.is_mtu_probe {
            self.counts.spurious += 1;
            self.sampler.on_spurious_loss(bytes);
            let lost = Lost { now, sent: packet.sent_at, bytes, in_flight_then: stamp.in_flight };
            self.congestion.on_spurious_loss(&lost);
        }
        self.sampler.on_acked(now, &stamp, bytes);
        bytes
    }

    fn find_losses(&mut self, fates: &mut Fates<T>, now: Instant) {
        let mut lost = std::mem::take(&mut self.lost);
        self.ledger.detect_losses(now, &self.rtt, &mut lost);
        let (newest, threshold) = (self.ledger.largest_acked(), self.ledger.loss().packet_threshold());
        for packet in lost.drain(..) {
            let Sent { number, bytes, content: Cargo { stamp, is_mtu_probe, content, .. }, .. } = packet;
            let is_overtaken = newest.is_some_and(|newest| newest.saturating_sub(number) >= threshold);
            fates.lost.push(Missing { number, bytes, is_mtu_probe, is_overtaken, content });
            let Some(stamp) = stamp else { continue };
            let (bytes, size) = (u64::from(bytes), bytes as usize);
            if is_mtu_probe {
                // It says something about its size, and nothing about congestion.
                self.mtu.on_probe_lost(size, now);
                continue;
            }
            self.counts.on_lost(number);
            self.sampler.on_lost(bytes);
            self.congestion.on_lost(&Lost { now, sent: packet.sent_at, bytes, in_flight_then: stamp.in_flight });
            if self.mtu.on_lost(packet.number, size) {
                self.on_mtu();
            }
        }
        self.lost = lost;
    }

    fn on_mtu(&mut self) {
        self.congestion.on_mtu(self.mtu.size());
        self.pacer.set_mtu(self.mtu.size());
    }
}

/// Credit that was lost for a shorter time than this says nothing about how busy the machine is.
const LATE: Duration = Duration::from_millis(1);
