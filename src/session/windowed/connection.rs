//! A connection after its handshake: sealed packets both ways, and the streams that they carry. The leaves judge, this acts.

mod arrival;
mod course;
mod event;
mod limit;
mod pace;
mod packet;

pub use event::{Batch, CHALLENGE_LENGTH, Config, End, Event, NO_ERROR, PROTOCOL_VIOLATION, Sink};

use super::acks::{Acks, Ecn, Received};
use super::compressed::incoming::Incoming;
use super::flight::{Arrived, Fates, Flight, Leaving};
use super::protection::{OpenError, Opener, Sealer};
use super::replay::{Novelty, Replay};
use super::streams::{Source, Streams};
use super::watch::Watch;
use crate::packet::windowed::frame::{Frame, Frames, Space};
use crate::packet::windowed::{Cipher, ConnectionId, Header, PACKET_MIN, RESET_MAX};
use packet::{Closing, Content, Verdict};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// One side of a connection; the calls and their order are those of [`crate::session`].
pub struct Connection {
    peer_id: ConnectionId,
    cipher: Cipher,
    sealer: Sealer,
    opener: Opener,
    replay: Replay,
    acks: Acks,
    flight: Flight<Content>,
    streams: Streams,
    /// Compressed blocks that came in part.
    blocks: Incoming,
    /// A number that was taken and not used.
    spare: Option<u64>,
    /// The source has not the bytes that are to be sent next.
    is_starved: bool,
    timeout: Duration,
    /// How long there may be nothing to say before a sign of life is asked for.
    patience: Option<Duration>,
    last_heard: Instant,
    last_asked: Instant,
    unanswered: Option<Instant>,
    /// Packets in a row that only acknowledged.
    acks_alone: u32,
    responses: VecDeque<[u8; 8]>,
    closing: Option<Closing>,
    fates: Fates<Content>,
    watch: Watch,
    events: VecDeque<Event>,
}

impl Connection {
    /// The handshake is done.
    pub fn new(config: Config) -> Self {
        let Config { keys, peer_id, takeoff, timeout, keeps_alive } = config;
        Self {
            peer_id,
            cipher: keys.cipher,
            sealer: Sealer::new(keys.cipher, &keys.send),
            opener: Opener::new(keys.cipher, &keys.receive),
            replay: Replay::new(),
            acks: Acks::new(),
            flight: Flight::new(&takeoff),
            streams: Streams::default(),
            blocks: Incoming::default(),
            spare: None,
            is_starved: false,
            timeout,
            patience: keeps_alive.then_some(KEEP_ALIVE),
            last_heard: takeoff.now,
            last_asked: takeoff.now,
            unanswered: None,
            acks_alone: 0,
            responses: VecDeque::new(),
            closing: None,
            fates: Fates::default(),
            watch: Watch::default(),
            events: VecDeque::new(),
        }
    }

    /// The spaces of both directions.
    pub fn streams(&mut self) -> &mut Streams {
        &mut self.streams
    }

    /// What sending has cost so far, and what is known of the path.
    pub fn flight(&self) -> &Flight<impl Copy + use<>> {
        &self.flight
    }

    /// Who tells a log what happens, once there is one.
    pub fn watch(&mut self) -> &mut Watch {
        &mut self.watch
    }

    /// Since when what was asked waits for anything to be heard.
    pub fn unanswered(&self) -> Option<Instant> {
        self.unanswered
    }

    /// A packet with this header came. Its new bytes go to `sink`; what is wrong with it is dropped without a word.
    ///
    /// # Errors
    /// [`OpenError`] when it is not genuine.
    pub fn handle_packet(
        &mut self,
        header: &Header,
        packet: &mut [u8],
        ecn: Option<Ecn>,
        sink: &mut dyn Sink,
        now: Instant,
    ) -> Result<(), OpenError> {
        let (number, bytes) = (self.opener.number(header), packet.len());
        if self.replay.check(number) != Novelty::New {
            return Err(OpenError::Replayed);
        }
        let frames = self.opener.open(header, number, packet, now)?;
        self.replay.mark(number);
        self.watch.on_received(header, number, bytes, frames, now);
        (self.last_heard, self.unanswered) = (now, None);
        if let Some(closing) = &mut self.closing {
            closing.is_mute |= Frames::new(frames).any(|frame| matches!(frame, Ok(Frame::Close { .. })));
            closing.is_due = !closing.is_mute;
            return Ok(());
        }
        let mut verdict = Verdict::default();
        for frame in Frames::new(frames) {
            let result = frame.map_err(|bad| bad.to_string()).and_then(|frame| {
                verdict.ack_eliciting |= frame.is_ack_eliciting();
                self.handle_frame(frame, &mut verdict, sink, now)
            });
            if let Err(reason) = result {
                self.close(PROTOCOL_VIOLATION, &reason);
                self.over(End::Broken(reason));
                return Ok(());
            }
        }
        if !verdict.is_dropped {
            let Verdict { ack_eliciting, is_urgent: urgent, .. } = verdict;
            let received = Received { number, bytes, ack_eliciting, ecn, urgent };
            self.acks.on_packet(received, now, self.flight.rtt().smoothed());
        }
        Ok(())
    }

    /// Bytes that came are taken care of: written, or read as a message.
    pub fn handle_taken(&mut self, space: Space, bytes: u64) {
        self.streams.on_taken(space, bytes);
    }

    /// The source may have the bytes now that it had not.
    pub fn handle_source_ready(&mut self) {
        self.is_starved = false;
    }

    /// The kernel would not send a datagram of this length.
    pub fn handle_refused(&mut self, size: usize, now: Instant) {
        self.flight.on_refused(size, now);
    }

    /// The peer says, with the token that only it has, that it knows nothing of this connection (RFC 9000 section 10.3).
    pub fn handle_forgotten(&mut self) {
        self.over(End::Forgotten);
    }

    /// Ends it; the peer is told.
    pub fn close(&mut self, code: u64, reason: &str) {
        if self.closing.is_none() {
            self.closing = Some(Closing::new(code, reason));
            self.over(End::Closed);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closing.is_some() {
            return;
        }
        self.watch.on_timeout(&self.flight, now);
        if now >= self.last_heard + self.timeout {
            return self.over(End::Silent);
        }
        self.flight.handle_timeout(&mut self.fates, now);
        self.settle(now);
        if self.flight.probes_due() > 0 && !self.streams.has_next() {
            self.streams.repeat_oldest();
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Appends the next datagrams to `out`: as many as may leave at once, and at most 64 KiB.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>, source: &mut dyn Source, now: Instant) -> Option<Batch> {
        if self.closing.is_some() {
            return self.write_close(out, now);
        }
        let before = out.len();
        let mut segment = None;
        while segment.is_none_or(|segment: usize| out.len() - before + segment <= BATCH_MAX) {
            let Some(length) = self.write_packet(out, source, segment, now) else { break };
            if length < *segment.get_or_insert(length) || length < self.flight.packet_size() {
                break;
            }
        }
        self.watch.look(&self.flight, now);
        let is_markable = self.flight.is_markable();
        segment.map(|segment| Batch { segment, is_markable })
    }

    /// When [`Connection::handle_timeout`] or [`Connection::poll_transmit`] wants to be called.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.closing.is_some() {
            return None;
        }
        let has_next = self.streams.has_next() && !self.is_starved;
        let next = if has_next { self.flight.next_budget() } else { None };
        let sign_of_life = self.patience.map(|patience| self.last_asked + patience);
        let due = [self.acks.deadline(), self.flight.poll_timeout(now), next, sign_of_life];
        due.into_iter().flatten().chain([self.last_heard + self.timeout]).min()
    }

    fn over(&mut self, end: End) {
        let is_mute = matches!(end, End::ClosedByPeer { .. });
        let closing = self.closing.get_or_insert(Closing { code: 0, reason: String::new(), is_due: false, is_mute });
        self.blocks.clear();
        self.watch.on_over(&end, closing.code, &closing.reason);
        if !self.events.iter().any(|event| matches!(event, Event::Over(_))) {
            self.events.push_back(Event::Over(end));
        }
    }

    /// `Err` is what the peer did wrong.
    fn handle_frame(
        &mut self,
        frame: Frame<'_>,
        verdict: &mut Verdict,
        sink: &mut dyn Sink,
        now: Instant,
    ) -> Result<(), String> {
        match frame {
            Frame::Ack(ack) => {
                self.flight.on_ack(&ack, &mut self.fates, now).map_err(|error| error.to_string())?;
                self.settle(now);
            }
            Frame::Bytes { space, offset, bytes } => self.handle_bytes((space, offset, bytes), verdict, sink)?,
            Frame::Compressed(piece) => self.handle_compressed(&piece, verdict, sink)?,
            Frame::MaxBytes { space, limit } => self.streams.on_limit(space, limit),
            Frame::PathChallenge(bytes) => {
                verdict.is_urgent = true;
                if self.responses.len() < RESPONSES_MAX {
                    self.responses.push_back(bytes);
                }
            }
            Frame::Done { answer } => self.events.push_back(Event::Done { answer }),
            Frame::Close { code, reason } => self.over(End::ClosedByPeer { code, reason: reason.to_owned() }),
            Frame::PathResponse(bytes) => self.events.push_back(Event::PathResponse(bytes)),
            Frame::Ping => verdict.is_urgent = true,
            Frame::Padding(_) | Frame::DataBlocked { .. } | Frame::NewConnectionId { .. } => {}
        }
        Ok(())
    }

    /// Passes on what became of packets.
    fn settle(&mut self, now: Instant) {
        self.watch.on_fates(&self.fates.arrived, &self.fates.lost, now);
        self.watch.look(&self.flight, now);
        for Arrived { number, content, .. } in self.fates.arrived.drain(..) {
            self.sealer.on_acknowledged(number);
            self.streams.on_arrived(&content.carried);
            if let Some((start, end)) = content.acknowledged {
                self.acks.on_acknowledged(start..end);
            }
        }
        for missing in self.fates.lost.drain(..) {
            self.streams.on_lost(&missing.content.carried);
        }
        if self.flight.counts().is_lossy() {
            self.streams.insure();
        }
    }

    /// Appends one datagram, no longer than `segment`, if there is one to send; gives its length.
    fn write_packet(
        &mut self,
        out: &mut Vec<u8>,
        source: &mut dyn Source,
        segment: Option<usize>,
        now: Instant,
    ) -> Option<usize> {
        let intent = self.intend(segment, now)?;
        if intent.has_next {
            // Growing as it is written, it would be copied several times.
            out.reserve(segment.map_or(intent.size, |_| BATCH_MAX.saturating_sub(out.len())));
        }
        let number = self.spare.take().or_else(|| self.flight.take_number())?;
        let size = intent.mtu_probe.unwrap_or(intent.size);
        let Ok(mut draft) = self.sealer.begin(self.peer_id, number, size, out) else {
            self.over(End::Broken("no more packets can be sealed with this connection's keys".into()));
            return None;
        };
        let acknowledged = self.acks.write(&mut draft.frames(), now);
        let after_ack = draft.written();
        while let Some(bytes) = self.responses.pop_front() {
            if (Frame::PathResponse(bytes)).encode(&mut draft.frames()).is_err() {
                break;
            }
        }
        // What an acknowledgement leaves of a packet may be too little for anything else.
        let is_roomy = draft.frames().room() >= ROOM_MIN;
        let carried = self.streams.write(&mut draft.frames(), source, intent.may_carry);
        self.is_starved |= intent.has_next && is_roomy && !carried.has_content();
        let is_empty = draft.written() == after_ack;
        // Who only acknowledges asks now and then which of its acknowledgements arrived, and can forget what they said.
        if is_empty && (intent.wants_ping || self.acks_alone >= ACKS_ALONE_MAX) {
            // There is always room for that behind an acknowledgement. Padded, so that who knows nothing of us (any more) can
            // say so with something shorter.
            let _ = Frame::Ping.encode(&mut draft.frames());
            let _ = Frame::Padding(RESET_MAX - PACKET_MIN + 1).encode(&mut draft.frames());
        } else if is_empty && !intent.is_ack_due {
            self.spare = Some(number);
            return None;
        }
        let ack_eliciting = draft.written() > after_ack;
        if intent.mtu_probe.is_some() {
            let room = draft.frames().room();
            let _ = Frame::Padding(room).encode(&mut draft.frames());
        }
        self.watch.on_sending(&draft, intent.mtu_probe.is_some(), self.flight.probes_due(), now);
        let bytes = draft.seal();
        if acknowledged.is_some() {
            self.acks.on_sent(now);
        }
        self.acks_alone = if ack_eliciting { 0 } else { self.acks_alone + 1 };
        if ack_eliciting {
            self.last_asked = now;
            self.unanswered.get_or_insert(now);
        }
        let content = Content { carried, acknowledged: acknowledged.map(|range| (range.start, range.end)) };
        let (is_mtu_probe, is_markable) = (intent.mtu_probe.is_some(), self.flight.is_markable());
        self.flight.on_sent(Leaving { number, bytes, ack_eliciting, is_mtu_probe, is_markable, content }, now);
        Some(bytes)
    }

    fn write_close(&mut self, out: &mut Vec<u8>, now: Instant) -> Option<Batch> {
        let closing = self.closing.as_mut()?;
        if !std::mem::take(&mut closing.is_due) {
            return None;
        }
        let number = self.spare.take().or_else(|| self.flight.take_number())?;
        let mut draft = self.sealer.begin(self.peer_id, number, self.flight.packet_size(), out).ok()?;
        Frame::Close { code: closing.code, reason: &closing.reason }.encode(&mut draft.frames()).ok()?;
        self.watch.on_sending(&draft, false, 0, now);
        let segment = draft.seal();
        Some(Batch { segment, is_markable: false })
    }
}

/// Into so much room something of everything fits.
const ROOM_MIN: usize = 64;

/// What one system call takes.
const BATCH_MAX: usize = 65_507;

/// How often a sign of life is asked for: routers keep UDP's doors open for half a minute at least (RFC 4787, RFC 9308 section 3.2).
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// See where it is used; RFC 9000 section 13.2.4 leaves the count open.
const ACKS_ALONE_MAX: u32 = 32;

/// Path challenges that wait for an answer.
const RESPONSES_MAX: usize = 4;
