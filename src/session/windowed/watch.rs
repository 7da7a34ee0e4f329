//! Who watches a connection and tells its log: packets as they pass, and whatever has changed since the last look.

use super::connection::End;
use super::flight::{Arrived, Flight, Missing, Takeoff};
use super::log::{
    self, Content, Event, Log, Metric, Part, Purpose, Settings, Side, State, Timer, TimerChange, Trigger,
};
use super::protection::Draft;
use crate::packet::windowed::frame::{Frame, Frames};
use crate::packet::windowed::{Cipher, Header};
use std::time::{Duration, Instant};

/// Does nothing unless it was given a log.
#[derive(Debug, Default)]
pub struct Watch(Option<Box<Watching>>);

#[derive(Debug)]
struct Watching {
    log: Log,
    metrics: [Option<u64>; METRICS.len()],
    congestion: Option<&'static str>,
    mtu: Option<usize>,
    timer: Option<Timer>,
    /// The key phases of both sides: what the last packet had, and how often it changed.
    phases: [(bool, u32); 2],
}

impl Watch {
    /// From now on everything is told to `log`.
    pub fn begin(&mut self, log: Log) {
        let (metrics, phases) = ([None; METRICS.len()], [(false, 0); 2]);
        self.0 = Some(Box::new(Watching { log, metrics, congestion: None, mtu: None, timer: None, phases }));
    }

    /// The log, if there is one.
    pub fn log(&mut self) -> Option<&mut Log> {
        self.0.as_mut().map(|watching| &mut watching.log)
    }

    /// A packet is about to be sealed. `probes` are those that a time-out made due.
    pub fn on_sending(&mut self, draft: &Draft<'_>, is_mtu_probe: bool, probes: usize, now: Instant) {
        let Some(watching) = &mut self.0 else { return };
        watching.log.at(now);
        watching.see_phase(Side::Local, draft.phase());
        let purpose = match (is_mtu_probe, probes) {
            (true, _) => Some(Purpose::MtuProbe),
            (false, 0) => None,
            (false, _) => Some(Purpose::PtoProbe),
        };
        let (number, length) = (draft.number(), draft.sealed_length());
        watching.log.tell_with(contents(draft.content()), Event::PacketSent { number, length, purpose });
    }

    /// A genuine packet came with these frames.
    pub fn on_received(&mut self, header: &Header, number: u64, length: usize, frames: &[u8], now: Instant) {
        let Some(watching) = &mut self.0 else { return };
        watching.log.at(now);
        if watching.log.state() == Some(State::Established) {
            watching.log.reach(State::Confirmed);
        }
        watching.see_phase(Side::Remote, header.phase);
        watching.log.tell_with(contents(frames), Event::PacketReceived { number, length });
    }

    /// Fates of packets are known.
    pub fn on_fates<T>(&mut self, arrived: &[Arrived<T>], lost: &[Missing<T>], now: Instant) {
        let Some(watching) = &mut self.0 else { return };
        let log = watching.log.at(now);
        for packet in arrived.iter().filter(|packet| packet.is_spurious) {
            log.tell(Event::LossWasSpurious { number: packet.number });
        }
        let runs = arrived.chunk_by(|one, next| one.number.checked_add(1) == Some(next.number));
        let ranges = runs.filter_map(|run| Some(Part::Range(run.first()?.number, run.last()?.number)));
        if !arrived.is_empty() {
            log.tell_with(ranges, Event::PacketsAcked);
        }
        for &Missing { number, bytes: length, is_mtu_probe, is_overtaken, .. } in lost {
            let trigger = if is_overtaken { Trigger::ReorderingThreshold } else { Trigger::TimeThreshold };
            log.tell(Event::PacketLost { number, length, trigger, is_mtu_probe });
        }
    }

    /// A deadline may have come, and nothing was done about it yet.
    pub fn on_timeout<T: Copy>(&mut self, flight: &Flight<T>, now: Instant) {
        let Some(watching) = &mut self.0 else { return };
        watching.log.at(now);
        if let Some((timer, _)) = flight.loss_timer(now).filter(|(_, due)| *due <= now) {
            watching.timer = None;
            watching.log.tell(Event::LossTimerUpdated { timer, change: TimerChange::Expired });
        }
    }

    /// Tells what has changed since the last time.
    pub fn look<T: Copy>(&mut self, flight: &Flight<T>, now: Instant) {
        if let Some(watching) = &mut self.0 {
            watching.log.at(now);
            watching.look_at_metrics(flight);
            watching.look_at_timer(flight, now);
        }
    }

    /// The connection is over; `code` and `reason` are those with which we ended it, if we did.
    pub fn on_over(&mut self, end: &End, code: u64, reason: &str) {
        let Some(log) = self.log().filter(|log| log.state() != Some(State::Closed)) else { return };
        let told = |by, code, reason: &str, trigger| log::End { by, code, reason: reason.into(), trigger };
        log.tell(Event::Closed(Box::new(match end {
            End::Closed if code == 0 => told(Side::Local, Some(code), reason, "clean"),
            End::Closed => told(Side::Local, Some(code), reason, "application"),
            End::ClosedByPeer { code: 0, reason } => told(Side::Remote, Some(0), reason, "clean"),
            End::ClosedByPeer { code, reason } => told(Side::Remote, Some(*code), reason, "application"),
            End::Silent => told(Side::Local, None, "nothing was heard for too long", "idle_timeout"),
            End::Forgotten => told(Side::Remote, None, "the peer has forgotten it", "stateless_reset"),
            End::Broken(reason) => told(Side::Local, None, reason, "error"),
        })));
        log.reach(State::Closed);
    }
}

impl Watching {
    fn see_phase(&mut self, by: Side, phase: bool) {
        let [local, remote] = &mut self.phases;
        let (before, generation) = if by == Side::Local { local } else { remote };
        if *before != phase {
            *before = phase;
            *generation += 1;
            self.log.tell(Event::KeyUpdated { by, generation: *generation });
        }
    }

    fn look_at_metrics<T: Copy>(&mut self, flight: &Flight<T>) {
        let now = METRICS.map(|metric| measure(metric, flight));
        let changed = METRICS.into_iter().zip(now.into_iter().zip(self.metrics));
        let news = changed.filter(|(_, (new, old))| new != old);
        let mut news = news.filter_map(|(metric, (new, _))| Some(Part::Metric(metric, new?))).peekable();
        if news.peek().is_some() {
            self.log.tell_with(news, Event::MetricsUpdated);
        }
        self.metrics = now;
        let doing = flight.congestion().phase();
        if self.congestion != Some(doing) {
            let old = self.congestion.replace(doing);
            self.log.tell(Event::CongestionStateUpdated { old, new: doing });
        }
        let new = flight.packet_size();
        if let Some(old) = self.mtu.replace(new).filter(|old| *old != new) {
            self.log.tell(Event::MtuUpdated { old, new });
        }
    }

    /// A probe time-out moves with every packet, and a timer for a loss with every acknowledgement: told is when one follows the
    /// other.
    fn look_at_timer<T: Copy>(&mut self, flight: &Flight<T>, now: Instant) {
        let running = flight.loss_timer(now);
        let timer = running.map(|(timer, _)| timer);
        if timer == self.timer {
            return;
        }
        let before = std::mem::replace(&mut self.timer, timer);
        match (running, before) {
            (Some((timer, due)), _) => {
                let change = TimerChange::Set(due.saturating_duration_since(now));
                self.log.tell(Event::LossTimerUpdated { timer, change });
            }
            (None, Some(timer)) => {
                self.log.tell(Event::LossTimerUpdated { timer, change: TimerChange::Cancelled });
            }
            (None, None) => {}
        }
    }
}

/// What a connection begins with, as a log wants it.
pub fn settings<T: Copy>(cipher: Cipher, timeout: Duration, takeoff: &Takeoff, flight: &Flight<T>) -> Event {
    let Takeoff { mtu_max, max_ack_delay, .. } = *takeoff;
    let (mtu, round_trip) = (flight.packet_size(), flight.rtt().smoothed());
    let (congestion, window) = (flight.congestion().name(), flight.congestion().window());
    let settings = Settings { cipher, timeout, mtu_max, mtu, max_ack_delay, round_trip, congestion, window };
    Event::ParametersSet(Box::new(settings))
}

fn measure<T: Copy>(metric: Metric, flight: &Flight<T>) -> Option<u64> {
    let (rtt, congestion) = (flight.rtt(), flight.congestion());
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    match metric {
        Metric::MinRtt => rtt.min().map(micros),
        Metric::SmoothedRtt => rtt.latest().map(|_| micros(rtt.smoothed())),
        Metric::LatestRtt => rtt.latest().map(micros),
        Metric::RttVariance => rtt.latest().map(|_| micros(rtt.variation())),
        Metric::PtoCount => Some(flight.silence().into()),
        Metric::CongestionWindow => Some(congestion.window()),
        Metric::BytesInFlight => Some(flight.bytes_in_flight()),
        Metric::SlowStartThreshold => congestion.slow_start_threshold(),
        Metric::PacingRate => Some(flight.pacing_rate()).filter(|rate| *rate < u64::MAX),
    }
}

/// The frames of a packet, in short.
fn contents(frames: &[u8]) -> impl Iterator<Item = Part> + '_ {
    Frames::new(frames).filter_map(Result::ok).flat_map(|frame| {
        let ack = if let Frame::Ack(ack) = &frame { Some(ack.clone()) } else { None };
        let marks = ack.as_ref().and_then(|ack| ack.ecn).map(Part::Marks);
        let ranges = ack
            .into_iter()
            .flat_map(|ack| ack.ranges)
            .map(|range| Part::Range(range.start, range.end.saturating_sub(1)));
        [Part::Frame(content(&frame))].into_iter().chain(marks).chain(ranges)
    })
}

fn content(frame: &Frame<'_>) -> Content {
    match *frame {
        Frame::Padding(count) => Content::Padding(count),
        Frame::Ping => Content::Ping,
        Frame::Ack(ref ack) => Content::Ack { delay: ack.delay },
        Frame::Bytes { space, offset, bytes } => Content::Bytes { space, offset, length: bytes.len() },
        Frame::Compressed(piece) => {
            Content::Compressed { start: piece.start, length: piece.length, at: piece.at, count: piece.bytes.len() }
        }
        Frame::MaxBytes { space, limit } => Content::MaxBytes { space, limit },
        Frame::DataBlocked { limit } => Content::DataBlocked { limit },
        Frame::PathChallenge(_) => Content::PathChallenge,
        Frame::PathResponse(_) => Content::PathResponse,
        Frame::NewConnectionId { sequence, retire, .. } => Content::NewConnectionId { sequence, retire },
        Frame::Done { answer } => Content::Done { answer },
        Frame::Close { code, .. } => Content::Close { code },
    }
}

const METRICS: [Metric; 9] = [
    Metric::MinRtt,
    Metric::SmoothedRtt,
    Metric::LatestRtt,
    Metric::RttVariance,
    Metric::PtoCount,
    Metric::CongestionWindow,
    Metric::BytesInFlight,
    Metric::SlowStartThreshold,
    Metric::PacingRate,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Writer;
    use crate::packet::windowed::frame::Space;
    use crate::session::congestion::Choice;
    use crate::session::windowed::flight::Leaving;
    use crate::session::windowed::log::{Entry, Item};

    fn takeoff() -> Takeoff {
        #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
        let now = Instant::now();
        let max_ack_delay = Duration::from_millis(25);
        Takeoff {
            now,
            choice: Choice::Cubic,
            round_trip: None,
            remembered: None,
            mtu_max: 1200,
            max_ack_delay,
            seed: [1; 16],
        }
    }

    fn watched() -> (Watch, Flight<()>, Instant) {
        let takeoff = takeoff();
        let mut watch = Watch::default();
        watch.begin(Log::new(0, takeoff.now));
        (watch, Flight::new(&takeoff), takeoff.now)
    }

    fn told(watch: &mut Watch) -> Vec<Item> {
        let mut entries: Vec<Entry> = Vec::new();
        watch.log().expect("a log").drain(&mut entries);
        entries.into_iter().map(|entry| entry.item).collect()
    }

    fn send(flight: &mut Flight<()>, now: Instant) -> u64 {
        let number = flight.take_number().expect("a number");
        let (bytes, ack_eliciting, is_mtu_probe, is_markable) = (1200, true, false, false);
        flight.on_sent(Leaving { number, bytes, ack_eliciting, is_mtu_probe, is_markable, content: () }, now);
        number
    }

    #[test]
    fn only_what_has_changed_is_told() {
        let (mut watch, mut flight, now) = watched();
        watch.look(&flight, now);
        let window = Part::Metric(Metric::CongestionWindow, flight.congestion().window());
        let first = told(&mut watch);
        assert!(
            first.contains(&Item::Part(window)) && first.contains(&Item::Event(Event::MetricsUpdated)),
            "{first:?}"
        );
        let new = flight.congestion().phase();
        assert!(first.contains(&Item::Event(Event::CongestionStateUpdated { old: None, new })), "{first:?}");
        watch.look(&flight, now);
        assert_eq!(told(&mut watch), []);
        send(&mut flight, now);
        watch.look(&flight, now);
        let (_, due) = flight.loss_timer(now).expect("a timer");
        let set = Event::LossTimerUpdated { timer: Timer::Probe, change: TimerChange::Set(due - now) };
        let in_flight = Item::Part(Part::Metric(Metric::BytesInFlight, 1200));
        assert_eq!(told(&mut watch), [in_flight, Item::Event(Event::MetricsUpdated), Item::Event(set)]);
        watch.on_timeout(&flight, due - Duration::from_millis(1));
        assert_eq!(told(&mut watch), []);
        watch.on_timeout(&flight, due);
        let expired = Event::LossTimerUpdated { timer: Timer::Probe, change: TimerChange::Expired };
        assert_eq!(told(&mut watch), [Item::Event(expired)]);
    }

    #[test]
    fn fates_are_told_with_their_reasons() {
        let (mut watch, _, now) = watched();
        let arrived = |number, is_spurious| Arrived { number, is_spurious, content: () };
        let missing =
            |number, is_overtaken| Missing { number, bytes: 9, is_mtu_probe: false, is_overtaken, content: () };
        let arrived = [arrived(4, false), arrived(5, false), arrived(2, true)];
        watch.on_fates(&arrived, &[missing(1, true), missing(3, false)], now);
        let lost = |number, trigger| Item::Event(Event::PacketLost { number, length: 9, trigger, is_mtu_probe: false });
        let expected = [
            Item::Event(Event::LossWasSpurious { number: 2 }),
            Item::Part(Part::Range(4, 5)),
            Item::Part(Part::Range(2, 2)),
            Item::Event(Event::PacketsAcked),
            lost(1, Trigger::ReorderingThreshold),
            lost(3, Trigger::TimeThreshold),
        ];
        assert_eq!(told(&mut watch), expected);
        watch.on_fates::<()>(&[], &[], now);
        assert_eq!(told(&mut watch), []);
    }

    #[test]
    fn frames_are_told_without_their_bytes() {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, 1000);
        let ranges = || [10..12, 3..4].into_iter();
        crate::packet::windowed::frame::ack::write(Duration::from_micros(9), ranges, None, &mut writer).expect("room");
        Frame::Bytes { space: Space::Data, offset: 5, bytes: b"secret" }.encode(&mut writer).expect("room");
        let parts: Vec<Part> = contents(&bytes).collect();
        let expected = [
            Part::Frame(Content::Ack { delay: Duration::from_micros(9) }),
            Part::Range(10, 11),
            Part::Range(3, 3),
            Part::Frame(Content::Bytes { space: Space::Data, offset: 5, length: 6 }),
        ];
        assert_eq!(parts, expected);
    }

    #[test]
    fn a_key_update_is_seen_by_the_phase_of_packets() {
        let (mut watch, _, now) = watched();
        let header = |phase| Header { phase, to: crate::packet::windowed::ConnectionId([0; 8]), number: 0 };
        for phase in [false, true, true, false] {
            watch.on_received(&header(phase), 1, 50, &[], now);
        }
        let updates = told(&mut watch).into_iter().filter(|item| matches!(item, Item::Event(Event::KeyUpdated { .. })));
        let update = |generation| Item::Event(Event::KeyUpdated { by: Side::Remote, generation });
        assert_eq!(updates.collect::<Vec<_>>(), [update(1), update(2)]);
    }

    #[test]
    fn the_end_is_told_once_with_who_and_why() {
        let cases = [
            (End::Closed, 0, Side::Local, Some(0), "clean"),
            (End::Closed, 9, Side::Local, Some(9), "application"),
            (End::ClosedByPeer { code: 0, reason: String::new() }, 0, Side::Remote, Some(0), "clean"),
            (End::ClosedByPeer { code: 7, reason: String::new() }, 0, Side::Remote, Some(7), "application"),
            (End::Silent, 0, Side::Local, None, "idle_timeout"),
            (End::Forgotten, 0, Side::Remote, None, "stateless_reset"),
            (End::Broken("x".into()), 0, Side::Local, None, "error"),
        ];
        for (end, ours, by, code, trigger) in cases {
            let (mut watch, ..) = watched();
            watch.on_over(&end, ours, "");
            watch.on_over(&End::Silent, 0, "");
            let closed: Vec<_> = told(&mut watch)
                .into_iter()
                .filter_map(|item| if let Item::Event(Event::Closed(end)) = item { Some(end) } else { None })
                .collect();
            let found: Vec<_> = closed.iter().map(|end| (end.by, end.code, end.trigger)).collect();
            assert_eq!(found, [(by, code, trigger)], "{end:?}");
        }
    }

    #[test]
    fn nothing_is_told_without_a_log() {
        let (_, flight, now) = watched();
        let mut watch = Watch::default();
        watch.look(&flight, now);
        watch.on_over(&End::Silent, 0, "");
        assert!(watch.log().is_none());
    }
}
