//! The lab's sender: a start, then chunk after chunk, each until it is acknowledged, then (towards our own server) a checksum.

use super::link::{Counting, InFlight, Link, Settled};
use super::transfer::{Event, Invitation, Outcome, Stats, Transfer, limits_after_contact};
use super::{CLIENT_REASON, start_id};
use crate::chunker::Cut;
use crate::packet::Packet;
use crate::packet::lab::{self, Message, Spelling, Unspeakable};
use crate::rtt::Rtt;
use crate::session::{Machine, Mode, Transmit, Via};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The client's half of a transfer; see the module's first lines and [`crate::session`] for the order of calls.
pub struct Sender {
    transfer: Transfer,
    phase: Phase,
    /// Which of the peers is spoken to.
    peer: usize,
    refusals: u32,
    rtt: Rtt,
    in_flight: Option<InFlight>,
    last_heard: Instant,
    /// The acknowledgement of the start, once it came.
    link: Link,
    start_id: [u8; 16],
    /// Capability words that lack ours, seen once.
    other_words: Option<Vec<u8>>,
    prepared: Option<Vec<u8>>,
    supplied: u64,
    digest: Option<[u8; 32]>,
    stats: Stats,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Sending,
    Closing,
    Over,
}

impl Sender {
    /// Begins a transfer: the start is the first datagram to poll.
    ///
    /// # Errors
    /// [`Unspeakable`] when the name makes the start longer than any lab server reads.
    ///
    /// # Panics
    /// When there is no peer.
    pub fn new(transfer: Transfer, now: Instant) -> Result<Self, Unspeakable> {
        assert!(!transfer.peers.is_empty(), "a transfer needs a peer");
        let (seq, datagram) = transfer.start_datagram()?;
        let limits = transfer.limits_before_contact();
        let mut sender = Self {
            phase: Phase::Starting,
            peer: 0,
            refusals: 0,
            rtt: Rtt::new(limits),
            in_flight: None,
            last_heard: now,
            link: Link { checked: false, bufsize: 0, counting: Counting::Consecutive, next_seq: 0 },
            start_id: start_id(&datagram),
            other_words: None,
            prepared: None,
            supplied: 0,
            digest: None,
            stats: Stats::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            transfer,
        };
        sender.launch(seq, seq.wrapping_add(1), 0, datagram, now);
        Ok(sender)
    }

    /// The next event; see [`Event`] for what each asks for.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The answer to [`Event::WantsChunk`].
    pub fn handle_chunk(&mut self, chunk: Vec<u8>, now: Instant) {
        if self.phase != Phase::Sending {
            return;
        }
        self.supplied += chunk.len() as u64;
        self.prepared = Some(chunk);
        if self.in_flight.is_none() {
            self.send_prepared(now);
        }
    }

    /// The answer to [`Event::WantsDigest`].
    pub fn handle_digest(&mut self, digest: [u8; 32], now: Instant) {
        self.digest = Some(digest);
        if self.phase == Phase::Sending && self.in_flight.is_none() {
            self.advance(now);
        }
    }

    /// Stops: interrupted, or the source changed. A server of ours is told.
    pub fn handle_abort(&mut self, reason: &str) {
        if self.link.checked && matches!(self.phase, Phase::Sending | Phase::Closing) {
            let seq = self.in_flight.as_ref().map_or(self.link.next_seq, |message| message.seq);
            let reason = format!("{CLIENT_REASON}{reason}");
            let message = Message::Error { seq, reason: reason.as_bytes() };
            if let Ok(bytes) = message.to_datagram(self.transfer.spelling) {
                self.transmit(bytes);
            }
        }
        self.finish(Outcome::Stopped);
    }

    /// What it has cost so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Handles a message from the peer that is spoken to; says whether it was waited for.
    fn handle_message(&mut self, message: &Message<'_>, now: Instant) -> bool {
        let Some((seq, awaits)) = self.in_flight.as_ref().map(|message| (message.seq, message.awaits)) else {
            return false;
        };
        match *message {
            Message::Ack { next, bufsize, words } if self.phase == Phase::Starting => {
                self.on_start_ack(next, bufsize, words, now)
            }
            Message::Ack { next, words: None, .. } if next == awaits || self.is_undecided_ack(seq, next) => {
                self.on_acknowledged(now);
                true
            }
            Message::Refusal { next } if next == awaits && self.transfer.spelling == Spelling::Compact => {
                self.on_refusal();
                true
            }
            Message::Error { seq: refused, reason } if self.concerns_us(refused, seq) => {
                let reason = String::from_utf8_lossy(reason).into_owned();
                let outcome = match self.phase {
                    Phase::Closing if refused == seq => Outcome::VerificationFailed(reason),
                    _ => Outcome::Refused(reason),
                };
                self.finish(outcome);
                true
            }
            _ => false,
        }
    }

    /// An `e` refuses what is in the air, or (a server that goes away) what it acknowledged last. Only our own servers send it.
    fn concerns_us(&self, refused: u64, seq: u64) -> bool {
        match self.phase {
            Phase::Starting => refused == seq && self.transfer.offers(),
            _ => self.link.checked && (refused == seq || refused.wrapping_add(1) == seq),
        }
    }

    /// `a|02` acknowledges the first compact chunk to whoever reads one digit and to whoever reads a number.
    fn is_undecided_ack(&self, seq: u64, next: u64) -> bool {
        self.link.counting == Counting::Alternating && self.stats.acknowledged == 0 && (seq, next) == (1, 2)
    }

    fn on_start_ack(&mut self, next: u64, bufsize: Option<u64>, words: Option<&[u8]>, now: Instant) -> bool {
        let Some(start) = self.in_flight.as_ref() else { return false };
        let invited = self.transfer.invited(&start.datagram, words);
        let link =
            match Link::settle(self.transfer.spelling, self.transfer.offers(), start.awaits, (next, bufsize, words)) {
                Some(Settled::Link(link)) => link,
                Some(Settled::OtherWords(link)) if invited.is_some() => link,
                // Damage, or a server of ours that really does not offer it: the same words twice are no accident.
                Some(Settled::OtherWords(link)) if self.other_words.as_deref() == words => link,
                Some(Settled::OtherWords(_)) => {
                    self.other_words = words.map(<[u8]>::to_vec);
                    return false;
                }
                None => return false,
            };
        let Link { checked, bufsize, .. } = link;
        self.settle_round_trip(now);
        self.link = link;
        let start = self.in_flight.take();
        if let (Some(start), Some(words)) = (start, invited) {
            self.phase = Phase::Over;
            let (peer, start, rtt) = (self.peer, start.datagram, self.rtt.smoothed());
            self.events.push_back(Event::Invited(Invitation { peer, start, words, rtt }));
            return true;
        }
        if self.transfer.mode == Mode::Checked && !checked {
            self.finish(Outcome::PlainServer);
            return true;
        }
        self.phase = Phase::Sending;
        self.rtt.set_limits(limits_after_contact(self.transfer.spelling, checked));
        let peer = self.address();
        self.events.push_back(Event::Connected { peer, bufsize, checked });
        self.want_next();
        if self.transfer.size == 0 && !checked {
            // Of the known servers about half make an empty file only when an empty chunk comes.
            self.prepared = Some(Vec::new());
            self.send_prepared(now);
        }
        true
    }

    fn on_acknowledged(&mut self, now: Instant) {
        self.settle_round_trip(now);
        let Some(message) = self.in_flight.take() else { return };
        if self.phase == Phase::Closing {
            self.finish(Outcome::Delivered);
            return;
        }
        self.stats.acknowledged += message.payload as u64;
        self.events.push_back(Event::Progress { acknowledged: self.stats.acknowledged });
        self.advance(now);
    }

    /// A full server says so at once; to a chunk only a server says it that has lost the session.
    fn on_refusal(&mut self) {
        let outcome = match self.phase {
            Phase::Sending if self.supplied == self.transfer.size && self.prepared.is_none() => Outcome::NotConfirmed,
            Phase::Sending => Outcome::Refused("the server no longer knows this transfer".into()),
            _ => Outcome::Refused("the server is full".into()),
        };
        self.finish(outcome);
    }

    /// Nothing is in the air: send what is ready, or close.
    fn advance(&mut self, now: Instant) {
        if self.prepared.is_some() {
            self.send_prepared(now);
        } else if self.stats.acknowledged < self.transfer.size {
            // The application still owes us a chunk; handle_chunk goes on.
        } else if !self.link.checked {
            self.finish(Outcome::Delivered);
        } else if let Some(sha256) = self.digest {
            self.phase = Phase::Closing;
            let seq = self.link.next_seq;
            let message = Message::Checksum { seq, sha256, start: self.start_id };
            if let Ok(datagram) = message.to_datagram(self.transfer.spelling) {
                self.launch(seq, seq.wrapping_add(1), 0, datagram, now);
            }
        }
    }

    fn send_prepared(&mut self, now: Instant) {
        let Some(chunk) = self.prepared.take() else { return };
        let seq = self.link.next_seq;
        let next = self.link.counting.after(seq);
        self.link.next_seq = next;
        self.stats.chunk = self.stats.chunk.max(chunk.len());
        // Within the bufsize that was checked, so it fits a datagram.
        if let Ok(datagram) = (Message::Data { seq, bytes: &chunk }).to_datagram(self.transfer.spelling) {
            self.launch(seq, next, chunk.len(), datagram, now);
        }
        self.want_next();
    }

    /// Asks for the chunk after this one while this one is in the air, so that reading and hashing cost no round trip.
    fn want_next(&mut self) {
        if self.supplied < self.transfer.size {
            let header = lab::data_header_length(self.link.next_seq, self.transfer.spelling);
            let max = self.link.bufsize - header.min(self.link.bufsize - 1);
            let plain_spaced = !self.link.checked && self.transfer.spelling == Spelling::Spaced;
            let cut = if plain_spaced { Cut::InsideSeparators } else { Cut::Anywhere };
            self.events.push_back(Event::WantsChunk { max, cut });
        } else if self.link.checked && self.digest.is_none() {
            self.events.push_back(Event::WantsDigest);
        }
    }

    fn launch(&mut self, seq: u64, awaits: u64, payload: usize, datagram: Vec<u8>, now: Instant) {
        self.transmit(datagram.clone());
        // The peer's time to answer begins now, however long the application took for the chunk.
        self.last_heard = now;
        let due = now + self.rtt.timeout(0);
        self.in_flight =
            Some(InFlight { seq, awaits, payload, datagram, first_sent: now, last_sent: now, timeouts: 0, due });
    }

    fn transmit(&mut self, bytes: Vec<u8>) {
        self.stats.sent += 1;
        self.transmits.push_back(Transmit::one(Via::socket(self.peer), self.address(), bytes));
    }

    /// The only place that repeats a message: its time-out. A duplicate acknowledgement never does (RFC 1123 4.2.3.1).
    fn retransmit(&mut self, now: Instant) {
        if self.phase == Phase::Starting {
            self.peer = (self.peer + 1) % self.transfer.peers.len();
        }
        let Some(message) = self.in_flight.as_mut() else { return };
        message.timeouts += 1;
        message.last_sent = now;
        message.due = now + self.rtt.timeout(message.timeouts);
        let datagram = message.datagram.clone();
        self.stats.retransmissions += 1;
        self.transmit(datagram);
    }

    /// Karn's rule: only a message that was sent once is measured.
    fn settle_round_trip(&mut self, now: Instant) {
        self.last_heard = now;
        let Some(message) = self.in_flight.as_ref() else { return };
        let elapsed = now.saturating_duration_since(message.first_sent);
        if message.timeouts == 0 {
            self.rtt.sample(elapsed);
            // The answer to the last message waits for the server's disk as well: not what a person wants to know of the path.
            if self.phase != Phase::Closing && self.stats.acknowledged + (message.payload as u64) < self.transfer.size {
                self.stats.rtt = self.rtt.smoothed();
            }
        } else {
            let since_last = now.saturating_duration_since(message.last_sent);
            self.rtt.on_ambiguous(elapsed, since_last, message.timeouts);
        }
    }

    fn give_up(&mut self) {
        let all_sent = self.supplied == self.transfer.size && self.prepared.is_none();
        let outcome = match self.phase {
            Phase::Closing => Outcome::NotConfirmed,
            Phase::Sending if all_sent && !self.link.checked => Outcome::NotConfirmed,
            _ => Outcome::NoAnswer { unreachable: false },
        };
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Outcome) {
        if self.phase != Phase::Over {
            self.phase = Phase::Over;
            self.in_flight = None;
            self.events.push_back(Event::Over(outcome));
        }
    }

    fn address(&self) -> SocketAddr {
        self.transfer.peers[self.peer]
    }
}

impl Machine for Sender {
    fn handle_datagram(&mut self, via: Via, from: SocketAddr, datagram: &[u8], now: Instant) {
        let known = self.transfer.peers.iter().position(|peer| *peer == from).filter(|_| self.phase != Phase::Over);
        let Some(peer) =
            known.filter(|&peer| peer == via.socket && (peer == self.peer || self.phase == Phase::Starting))
        else {
            self.stats.ignored += 1;
            return;
        };
        let spoken_to = std::mem::replace(&mut self.peer, peer);
        let awaited = match Packet::decode(datagram) {
            Ok(Packet::Lab(spelling, message)) if spelling == self.transfer.spelling => {
                self.handle_message(&message, now)
            }
            _ => false,
        };
        if !awaited {
            self.peer = spoken_to;
            self.stats.ignored += 1;
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        let Some(due) = self.in_flight.as_ref().map(|message| message.due) else { return };
        if now >= self.last_heard + self.transfer.timeout {
            self.give_up();
        } else if now >= due {
            self.retransmit(now);
        }
    }

    /// Before any answer, a closed port is as good as an answer: try the next address, and end after three such reports
    /// over at least a second. After contact it proves nothing (anybody can forge it); time decides.
    fn handle_unreachable(&mut self, socket: usize, now: Instant) {
        if self.phase != Phase::Starting || socket != self.peer {
            return;
        }
        self.refusals += 1;
        let first_sent = self.in_flight.as_ref().map_or(now, |start| start.first_sent);
        if self.refusals >= UNREACHABLE_MIN && now.saturating_duration_since(first_sent) >= UNREACHABLE_AFTER {
            self.finish(Outcome::NoAnswer { unreachable: true });
        } else if (self.refusals as usize) < self.transfer.peers.len() {
            self.retransmit(now);
        }
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.in_flight.as_ref().map(|message| message.due.min(self.last_heard + self.transfer.timeout))
    }
}

/// How many reports of a closed port end the start, and how long after its first copy at the earliest: a server that is
/// just being started gets its second.
const UNREACHABLE_MIN: u32 = 3;
const UNREACHABLE_AFTER: Duration = Duration::from_secs(1);
