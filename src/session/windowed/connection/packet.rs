//! What a packet is for, what it carries, what is learnt from one that came, and the last words.

use crate::packet::windowed::frame;
use crate::session::windowed::connection::Connection;
use crate::session::windowed::mtu;
use crate::session::windowed::streams::Carried;
use std::time::Instant;

/// What a packet carried.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    pub carried: Carried,
    /// The numbers that its acknowledgement named, from the lowest to the end.
    pub acknowledged: Option<(u64, u64)>,
}

/// What a datagram is for.
#[derive(Clone, Copy, Debug)]
pub struct Intent {
    /// Its length at most.
    pub size: usize,
    /// It is there to find out whether such a long one passes.
    pub mtu_probe: Option<usize>,
    /// It may carry something that counts.
    pub may_carry: bool,
    /// There is something.
    pub has_next: bool,
    pub wants_ping: bool,
    pub is_ack_due: bool,
}

/// What is learnt of a packet while its frames are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verdict {
    pub ack_eliciting: bool,
    pub is_urgent: bool,
    /// It must not be acknowledged, so that it comes again.
    pub is_dropped: bool,
}

/// The last words.
#[derive(Debug)]
pub struct Closing {
    pub code: u64,
    pub reason: String,
    /// Said once, and again to whoever goes on.
    pub is_due: bool,
    /// The peer has said so as well: two that answered each other's last words would never end (RFC 9000 section 10.2.2).
    pub is_mute: bool,
}

impl Closing {
    /// As much of the reason as is said.
    pub fn new(code: u64, reason: &str) -> Self {
        let end = (0..=frame::REASON_MAX.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end));
        let reason = reason.get(..end.unwrap_or(0)).unwrap_or_default().to_owned();
        Self { code, reason, is_due: true, is_mute: false }
    }
}

impl Connection {
    /// What the next datagram is for, if one is to be sent; no longer than `segment`, if others went before it.
    pub fn intend(&mut self, segment: Option<usize>, now: Instant) -> Option<Intent> {
        let probes = self.flight.probes_due();
        // One of two probes is short, so that a path that loses its long packets answers as well.
        let usual = if probes == 1 { mtu::BASE } else { self.flight.packet_size() };
        let size = segment.unwrap_or(usual);
        let has_budget = probes > 0 || self.flight.budget(now) >= size as u64;
        let mtu_probe = self.flight.mtu_probe().filter(|_| segment.is_none() && has_budget && probes == 0);
        let may_carry = has_budget && mtu_probe.is_none();
        let has_next = may_carry && self.streams.has_next() && !self.is_starved;
        if has_budget && segment.is_none() && !self.streams.has_next() {
            self.flight.on_nothing_to_send();
        }
        let wants_sign = self.patience.is_some_and(|patience| now >= self.last_asked + patience);
        let wants_ping = probes > 0 || wants_sign || mtu_probe.is_some();
        let has_news = self.streams.has_limit() || !self.responses.is_empty();
        let is_ack_due = self.acks.deadline().is_some_and(|due| due <= now);
        let is_worth = has_next || has_news || wants_ping || is_ack_due;
        is_worth.then_some(Intent { size, mtu_probe, may_carry, has_next, wants_ping, is_ack_due })
    }
}
