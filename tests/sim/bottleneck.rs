//! A bench for congestion controls: flows that share one bottleneck, under a virtual clock and without a single real
//! packet.
//!
//! A flow is a control, a pacer, a sampler and the least ledger that finds losses; its content is a count of packets.
//! The bottleneck is arithmetic: the moment until which the line is busy says how long the queue is. So a transfer of
//! 30 s takes a fraction of a second, and the same plan always gives the same figures.

use fastrand::Rng;
use homing::session::congestion::{Acked, Choice, Congestion, Lost, Remembered, Start};
use homing::session::windowed::delivery::{Sampler, Stamp};
use homing::session::windowed::pacer::Pacer;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The bytes of a packet.
pub const PACKET: u64 = 1400;

/// The path that all flows share: the line with its queue, then the weather, then the way.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// Bits per second.
    pub rate: u64,
    /// There and back without a queue.
    pub rtt: Duration,
    /// Bytes that wait for the line at most.
    pub queue: u64,
    /// The share of packets lost before the line.
    pub loss_before: f64,
    /// The share of packets lost behind the line.
    pub loss: f64,
    /// The probabilities to enter and to leave a time in which all are lost, for each packet.
    pub burst: Option<(f64, f64)>,
    /// Each packet takes up to this much longer, and overtakes others.
    pub jitter: Duration,
}

impl Path {
    /// A path without faults, with a queue of so many bandwidth-delay products.
    pub fn clean(rate: u64, rtt_ms: u64, queue_bdp: f64) -> Self {
        let rtt = Duration::from_millis(rtt_ms);
        let bdp = rate as f64 / 8.0 * rtt.as_secs_f64();
        let queue = ((bdp * queue_bdp) as u64).max(4 * PACKET);
        Self { rate, rtt, queue, loss_before: 0.0, loss: 0.0, burst: None, jitter: Duration::ZERO }
    }
}

/// A flow.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Its control.
    pub choice: Choice,
    /// Whether its packets are paced; a TCP's are not.
    pub is_paced: bool,
    /// When it begins.
    pub begins: Duration,
    /// How much it has to send; `None` for more than it can.
    pub bytes: Option<u64>,
    /// Packets that the receiver acknowledges together when they come in order.
    pub acked_together: usize,
    /// The machine of the sender is busy otherwise: so often, for so long.
    pub busy: Option<(Duration, Duration)>,
    /// What it remembers of the path.
    pub remembered: Option<Remembered>,
}

impl Plan {
    /// A flow of ours.
    pub fn ours(choice: Choice) -> Self {
        Self {
            choice,
            is_paced: true,
            begins: Duration::ZERO,
            bytes: None,
            acked_together: 16,
            busy: None,
            remembered: None,
        }
    }

    /// A flow like that of a kernel's TCP.
    pub fn tcp() -> Self {
        Self {
            choice: Choice::Cubic,
            is_paced: false,
            begins: Duration::ZERO,
            bytes: None,
            acked_together: 2,
            busy: None,
            remembered: None,
        }
    }
}

/// What became of a flow. Times are nanoseconds since the world began.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Bytes that arrived and were news, in tenths of a second.
    pub delivered: Vec<u64>,
    /// Bytes sent, and bytes deemed lost: these are sent again.
    pub sent: Vec<u64>,
    pub lost: Vec<u64>,
    /// Bytes deemed lost that had arrived.
    pub spurious: u64,
    /// When everything had arrived.
    pub finished: Option<Duration>,
    /// The window at the end of each tenth of a second.
    pub windows: Vec<u64>,
    /// The phases in the order in which they were entered.
    pub phases: Vec<(Duration, &'static str)>,
}

impl Outcome {
    /// Bytes per second that arrived from one second to another.
    pub fn goodput(&self, from: usize, to: usize) -> f64 {
        self.delivered[from * 10..to * 10].iter().sum::<u64>() as f64 / (to - from) as f64
    }

    /// The share of bytes that were sent again in these seconds.
    pub fn sent_again(&self, from: usize, to: usize) -> f64 {
        let sum = |bins: &[u64]| bins[from * 10..to * 10].iter().sum::<u64>() as f64;
        sum(&self.lost) / sum(&self.sent)
    }
}

/// What became of all.
#[derive(Clone, Debug)]
pub struct Report {
    pub flows: Vec<Outcome>,
    /// How long packets waited for the line: counts by tenths of a millisecond, for each second.
    pub waits: Vec<Vec<u32>>,
}

impl Report {
    /// The wait, in milliseconds, that this share of the packets did not exceed from one second to another.
    pub fn wait_ms(&self, share: f64, from: usize, to: usize) -> f64 {
        let mut sums: Vec<u64> = Vec::new();
        for second in &self.waits[from..to.min(self.waits.len())] {
            sums.resize(sums.len().max(second.len()), 0);
            for (sum, count) in sums.iter_mut().zip(second) {
                *sum += u64::from(*count);
            }
        }
        let wanted = (sums.iter().sum::<u64>() as f64 * share) as u64;
        let mut seen = 0;
        sums.iter()
            .position(|count| {
                seen += count;
                seen > wanted
            })
            .unwrap_or(0) as f64
            / 10.0
    }

    /// Jain's index of the flows' goodput.
    pub fn fairness(&self, from: usize, to: usize) -> f64 {
        let rates: Vec<f64> = self.flows.iter().map(|flow| flow.goodput(from, to)).collect();
        let sum: f64 = rates.iter().sum();
        sum * sum / (rates.len() as f64 * rates.iter().map(|rate| rate * rate).sum::<f64>())
    }
}

/// Runs the flows over the path for so long, or until all have finished.
pub fn run(path: &Path, plans: &[Plan], lasts: Duration, seed: u64) -> Report {
    let mut world = World::new(path, plans, lasts, seed);
    let end = lasts.as_nanos() as u64;
    while let Some((at, index, what)) = world.next() {
        if at > end || world.flows.iter().all(|flow| flow.outcome.finished.is_some()) {
            break;
        }
        match what {
            What::Arrival => world.arrive(index, at),
            What::Ack => world.flows[index].on_ack(at),
            What::AckDue => world.flows[index].acknowledge(at),
            What::Wake => {}
        }
        if !matches!(what, What::Arrival | What::AckDue) {
            world.send(index, at);
        }
    }
    world.report()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Arrival,
    Ack,
    AckDue,
    Wake,
}

struct World {
    flows: Vec<Flow>,
    line: Line,
}

/// The bottleneck and what comes behind it.
struct Line {
    nanos_per_packet: u64,
    queue_nanos: u64,
    busy_until: u64,
    path: Path,
    rng: Rng,
    is_bursting: bool,
    waits: Vec<Vec<u32>>,
}

impl Line {
    /// When a packet that is sent at `at` arrives, if it does.
    fn carry(&mut self, at: u64) -> Option<u64> {
        if self.path.loss_before > 0.0 && self.rng.f64() < self.path.loss_before {
            return None;
        }
        let wait = self.busy_until.saturating_sub(at);
        if wait > self.queue_nanos {
            return None;
        }
        let second = (at / 1_000_000_000) as usize;
        let bin = (wait / 100_000) as usize;
        let waits = &mut self.waits[second];
        if waits.len() <= bin {
            waits.resize(bin + 1, 0);
        }
        waits[bin] += 1;
        self.busy_until = self.busy_until.max(at) + self.nanos_per_packet;
        if self.path.loss > 0.0 && self.rng.f64() < self.path.loss {
            return None;
        }
        if let Some((enter, leave)) = self.path.burst {
            self.is_bursting = if self.is_bursting { self.rng.f64() >= leave } else { self.rng.f64() < enter };
            if self.is_bursting {
                return None;
            }
        }
        let jitter = self.path.jitter.as_nanos() as u64;
        let late = if jitter == 0 { 0 } else { self.rng.u64(0..jitter) };
        Some(self.busy_until + self.path.rtt.as_nanos() as u64 / 2 + late)
    }
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn new(path: &Path, plans: &[Plan], lasts: Duration, seed: u64) -> Self {
        let began = Instant::now();
        let bins = lasts.as_secs() as usize * 10 + 1;
        let mut rng = Rng::with_seed(seed);
        let flows = plans.iter().map(|plan| Flow::new(path, plan, began, bins, rng.u64(..))).collect();
        let nanos_per_packet = PACKET * 8 * 1_000_000_000 / path.rate;
        let line = Line {
            nanos_per_packet,
            queue_nanos: path.queue * 8 * 1_000_000_000 / path.rate,
            busy_until: 0,
            path: *path,
            rng,
            is_bursting: false,
            waits: vec![Vec::new(); lasts.as_secs() as usize + 1],
        };
        Self { flows, line }
    }

    fn next(&self) -> Option<(u64, usize, What)> {
        let mut first: Option<(u64, usize, What)> = None;
        for (index, flow) in self.flows.iter().enumerate() {
            for (at, what) in [
                (flow.arrivals.front().map(|arrival| arrival.0), What::Arrival),
                (flow.acks.front().map(|ack| ack.arrives), What::Ack),
                (flow.ack_due, What::AckDue),
                (flow.wake, What::Wake),
            ] {
                if let Some(at) = at.map(|at| flow.when_awake(at, what))
                    && first.is_none_or(|(soonest, _, _)| at < soonest)
                {
                    first = Some((at, index, what));
                }
            }
        }
        first
    }

    fn arrive(&mut self, index: usize, at: u64) {
        let flow = &mut self.flows[index];
        let Some((_, number)) = flow.arrivals.pop_front() else { return };
        let (in_order, is_newest) = (number == flow.expected, number >= flow.expected);
        flow.expected = flow.expected.max(number + 1);
        flow.heard.push(number);
        if is_newest {
            flow.newest_came = at;
        }
        // Often at first, so that the sender soon learns, and seldom later.
        let together = flow.acked_together.min(2 + (number / 64) as usize);
        if !in_order || flow.heard.len() >= together {
            flow.acknowledge(at);
        } else if flow.ack_due.is_none() {
            flow.ack_due = Some(at + flow.ack_delay);
        }
    }

    fn send(&mut self, index: usize, at: u64) {
        let flow = &mut self.flows[index];
        if at == flow.begins && flow.packets.is_empty() {
            flow.begin(Duration::from_nanos(self.line.busy_until.saturating_sub(at)));
        }
        flow.on_time(at);
        while flow.may_send(at) {
            let number = flow.on_send(at);
            if let Some(arrives) = self.line.carry(at) {
                let mut place = flow.arrivals.len();
                while place > 0 && flow.arrivals[place - 1].0 > arrives {
                    place -= 1;
                }
                if place == flow.arrivals.len() {
                    flow.arrivals.push_back((arrives, number));
                } else {
                    flow.arrivals.insert(place, (arrives, number));
                }
            }
        }
        flow.set_wake(at);
    }

    fn report(self) -> Report {
        let flows = self.flows.into_iter().map(|flow| flow.outcome).collect();
        Report { flows, waits: self.line.waits }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    InFlight,
    Acked,
    Lost(Instant),
}

/// On its way back.
struct Ack {
    arrives: u64,
    heard: Vec<u64>,
    /// How long the newest of them waited for it.
    delay: Duration,
}

struct Flow {
    began: Instant,
    begins: u64,
    choice: Choice,
    seed: u64,
    control: Box<dyn Congestion>,
    sampler: Sampler,
    pacer: Pacer,
    is_paced: bool,
    busy: Option<(u64, u64)>,
    remembered: Option<Remembered>,
    /// Whether its pace held it back last.
    is_held: bool,
    /// Packets by number, from `base` on.
    packets: VecDeque<(Stamp, Fate)>,
    base: u64,
    /// All before are acknowledged or lost.
    settled: u64,
    newest_acked: Option<u64>,
    in_flight: u64,
    to_send: u64,
    min_rtt: Duration,
    smoothed: Duration,
    /// Packets may come so much later than others; `None` while none did.
    reordering: Option<u32>,
    loss_due: Option<Instant>,
    probe_due: Instant,
    wake: Option<u64>,
    // The receiver.
    arrivals: VecDeque<(u64, u64)>,
    expected: u64,
    heard: Vec<u64>,
    spare: Vec<Vec<u64>>,
    ack_due: Option<u64>,
    ack_delay: u64,
    acked_together: usize,
    /// When the newest packet came.
    newest_came: u64,
    acks: VecDeque<Ack>,
    way_back: u64,
    outcome: Outcome,
}

impl Flow {
    fn new(path: &Path, plan: &Plan, began: Instant, bins: usize, seed: u64) -> Self {
        let now = began + plan.begins;
        let rtt = path.rtt + path.jitter / 2;
        let control = plan.choice.begin(&Start { now, mtu: PACKET as usize, rtt: None, seed, remembered: None });
        let begins = plan.begins.as_nanos() as u64;
        let phases = vec![(plan.begins, control.phase())];
        Self {
            began,
            begins,
            choice: plan.choice,
            seed,
            sampler: Sampler::new(now),
            pacer: Pacer::new(now, control.pacing_rate(), PACKET as usize),
            control,
            is_paced: plan.is_paced,
            busy: plan.busy.map(|(every, lasts)| (every.as_nanos() as u64, lasts.as_nanos() as u64)),
            is_held: false,
            remembered: plan.remembered,
            packets: VecDeque::new(),
            base: 0,
            settled: 0,
            newest_acked: None,
            in_flight: 0,
            to_send: plan.bytes.map_or(u64::MAX / 2, |bytes| bytes.div_ceil(PACKET)),
            min_rtt: rtt,
            smoothed: rtt,
            reordering: None,
            loss_due: None,
            probe_due: now + Duration::from_secs(3600),
            wake: Some(begins),
            arrivals: VecDeque::new(),
            expected: 0,
            heard: Vec::new(),
            spare: Vec::new(),
            ack_due: None,
            ack_delay: (path.rtt / 4).min(Duration::from_millis(25)).as_nanos() as u64,
            acked_together: plan.acked_together,
            newest_came: 0,
            acks: VecDeque::new(),
            way_back: path.rtt.as_nanos() as u64 / 2,
            outcome: Outcome {
                delivered: vec![0; bins],
                sent: vec![0; bins],
                lost: vec![0; bins],
                spurious: 0,
                finished: None,
                windows: vec![0; bins],
                phases,
            },
        }
    }

    /// The handshake is over: it met the queue that there is now.
    fn begin(&mut self, wait: Duration) {
        let now = self.began + Duration::from_nanos(self.begins);
        let rtt = self.smoothed + wait;
        let start = Start {
            now,
            mtu: PACKET as usize,
            rtt: self.is_paced.then_some(rtt),
            seed: self.seed,
            remembered: self.remembered,
        };
        self.control = self.choice.begin(&start);
        self.pacer.set_rate(now, self.control.pacing_rate());
        (self.min_rtt, self.smoothed) = (rtt, rtt);
    }

    /// When the sender gets to it.
    fn when_awake(&self, at: u64, what: What) -> u64 {
        match (self.busy, what) {
            (Some((every, lasts)), What::Ack | What::Wake) => at.max(at - at % every + lasts),
            _ => at,
        }
    }

    fn acknowledge(&mut self, at: u64) {
        self.ack_due = None;
        let empty = self.spare.pop().unwrap_or_default();
        let heard = std::mem::replace(&mut self.heard, empty);
        let delay = Duration::from_nanos(at - self.newest_came);
        self.acks.push_back(Ack { arrives: at + self.way_back, heard, delay });
    }

    fn on_ack(&mut self, at: u64) {
        let Some(Ack { heard: mut numbers, delay: ack_delay, .. }) = self.acks.pop_front() else { return };
        let now = self.began + Duration::from_nanos(at);
        let bin = (at / 100_000_000) as usize;
        let in_flight_before = self.in_flight;
        let mut acked = 0;
        for number in numbers.drain(..) {
            let Some((stamp, fate)) =
                number.checked_sub(self.base).and_then(|index| self.packets.get_mut(index as usize))
            else {
                continue;
            };
            match *fate {
                Fate::InFlight => {
                    self.in_flight -= PACKET;
                    self.outcome.delivered[bin] += PACKET;
                }
                Fate::Lost(then) => {
                    self.outcome.spurious += PACKET;
                    self.sampler.on_spurious_loss(PACKET);
                    let (sent, in_flight_then) = (stamp.sent, stamp.in_flight);
                    self.control.on_spurious_loss(&Lost { now: then, sent, bytes: PACKET, in_flight_then });
                    let round_trips = now.duration_since(stamp.sent).as_nanos() / (self.min_rtt.as_nanos() / 4).max(1);
                    self.reordering = Some(self.reordering.unwrap_or(0).max(round_trips.min(16) as u32));
                }
                Fate::Acked => continue,
            }
            *fate = Fate::Acked;
            acked += PACKET;
            self.sampler.on_acked(now, stamp, PACKET);
            self.newest_acked = Some(self.newest_acked.map_or(number, |newest| newest.max(number)));
        }
        self.spare.push(numbers);
        self.find_losses(now);
        let Some(sample) = self.sampler.finish(now, self.min_rtt) else { return };
        self.min_rtt = self.min_rtt.min(sample.rtt);
        self.smoothed = (self.smoothed * 7 + sample.rtt) / 8;
        self.probe_due = now + self.smoothed * 2 + Duration::from_millis(50);
        let (in_flight, smoothed_rtt) = (self.in_flight, self.smoothed);
        self.control.on_acked(&Acked {
            now,
            bytes: acked,
            in_flight_before,
            in_flight,
            sample,
            smoothed_rtt,
            ack_delay,
        });
        self.pacer.set_round_trip(self.min_rtt);
        self.pacer.set_rate(now, if self.is_paced { self.control.pacing_rate() } else { u64::MAX });
        self.outcome.windows[bin] = self.control.window();
        if self.outcome.phases.last().is_none_or(|last| last.1 != self.control.phase()) {
            self.outcome.phases.push((Duration::from_nanos(at), self.control.phase()));
        }
        if self.to_send == 0 && self.in_flight == 0 && self.outcome.finished.is_none() {
            self.outcome.finished = Some(Duration::from_nanos(at - self.begins));
        }
    }

    /// By number as long as nothing overtakes (RFC 9002 section 6.1), and by time.
    fn find_losses(&mut self, now: Instant) {
        let Some(newest) = self.newest_acked else { return };
        let patience = self.smoothed * 9 / 8 + self.min_rtt / 4 * self.reordering.unwrap_or(0).saturating_sub(4);
        self.loss_due = None;
        while self.settled < newest {
            let (stamp, fate) = self.packets[(self.settled - self.base) as usize];
            if fate == Fate::InFlight {
                let is_overtaken = self.reordering.is_none() && newest - self.settled >= 3;
                if !is_overtaken && now < stamp.sent + patience {
                    self.loss_due = Some(stamp.sent + patience);
                    break;
                }
                self.lose(self.settled, now);
            }
            self.settled += 1;
        }
        let forgotten = self.smoothed * 3;
        while self.base < self.settled
            && let Some((stamp, fate)) = self.packets.front()
            && (*fate == Fate::Acked || now > stamp.sent + forgotten)
        {
            self.packets.pop_front();
            self.base += 1;
        }
    }

    fn lose(&mut self, number: u64, now: Instant) {
        let (stamp, fate) = &mut self.packets[(number - self.base) as usize];
        *fate = Fate::Lost(now);
        self.in_flight -= PACKET;
        self.to_send += 1;
        self.sampler.on_lost(PACKET);
        let lost = Lost { now, sent: stamp.sent, bytes: PACKET, in_flight_then: stamp.in_flight };
        self.control.on_lost(&lost);
        self.outcome.lost[(now.duration_since(self.began).as_nanos() / 100_000_000) as usize] += PACKET;
    }

    fn on_time(&mut self, at: u64) {
        let now = self.began + Duration::from_nanos(at);
        if self.loss_due.is_some_and(|due| now >= due) {
            self.find_losses(now);
        }
        if now >= self.probe_due {
            for number in self.settled..self.base + self.packets.len() as u64 {
                if self.packets[(number - self.base) as usize].1 == Fate::InFlight {
                    self.lose(number, now);
                }
            }
            self.settled = self.base + self.packets.len() as u64;
            self.probe_due = now + self.smoothed * 4;
        }
    }

    fn may_send(&mut self, at: u64) -> bool {
        let now = self.began + Duration::from_nanos(at);
        if self.to_send == 0 || self.in_flight + PACKET > self.control.window() {
            self.is_held = false;
            return false;
        }
        if !self.is_paced {
            return true;
        }
        let is_paced_out = self.pacer.budget(now, self.is_held || self.sampler.is_late()) < PACKET;
        let forfeited = self.pacer.take_forfeited();
        if std::mem::replace(&mut self.is_held, is_paced_out) && forfeited > Duration::from_millis(2) {
            self.sampler.on_late(self.in_flight);
        }
        !is_paced_out
    }

    fn on_send(&mut self, at: u64) -> u64 {
        let now = self.began + Duration::from_nanos(at);
        self.in_flight += PACKET;
        self.to_send -= 1;
        let stamp = self.sampler.on_sent(now, PACKET, self.in_flight);
        self.control.on_sent(now, PACKET, self.in_flight);
        self.pacer.on_sent(now, PACKET);
        if self.packets.is_empty() {
            self.probe_due = now + self.smoothed * 2 + Duration::from_millis(50);
        }
        self.packets.push_back((stamp, Fate::InFlight));
        self.outcome.sent[(at / 100_000_000) as usize] += PACKET;
        if self.to_send == 0 {
            self.sampler.on_app_limited(self.in_flight);
        }
        self.base + self.packets.len() as u64 - 1
    }

    fn set_wake(&mut self, at: u64) {
        let nanos = |instant: Instant| instant.saturating_duration_since(self.began).as_nanos() as u64;
        let mut wake = self.loss_due.map(nanos);
        if self.in_flight > 0 {
            wake = Some(wake.map_or(nanos(self.probe_due), |wake| wake.min(nanos(self.probe_due))));
        }
        if self.is_paced && self.to_send > 0 && self.in_flight + PACKET <= self.control.window() {
            let next = nanos(self.pacer.next_send_time());
            wake = Some(wake.map_or(next, |wake| wake.min(next)));
        }
        self.wake = wake.map(|wake| wake.max(at + 1));
    }
}
