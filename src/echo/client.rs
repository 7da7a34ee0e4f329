//! The echo client without a socket: one message after the other to one server.

use crate::packet::message::Unsayable;
use crate::session::conversation::{Outgoing, Sending, Settled, Stats};
use crate::session::{Machine, Transmit, Via};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The client's machine; socket 0 reaches its server.
pub struct EchoClient {
    server: SocketAddr,
    outgoing: Outgoing,
}

impl EchoClient {
    /// Nothing to say yet.
    pub fn new(server: SocketAddr, sending: Sending) -> Self {
        Self { server, outgoing: Outgoing::new(sending) }
    }

    /// Says something as soon as everything before it is settled; gives its number.
    ///
    /// # Errors
    /// As [`Outgoing::say`].
    pub fn say(&mut self, text: &[u8], now: Instant) -> Result<u64, Unsayable> {
        self.outgoing.say(text, now)
    }

    /// The next message that was answered or given up.
    pub fn poll_settled(&mut self) -> Option<Settled> {
        self.outgoing.poll_settled()
    }

    /// Whether everything that was said is settled.
    pub fn is_idle(&self) -> bool {
        self.outgoing.is_idle()
    }

    /// What it has cost so far.
    pub fn stats(&self) -> Stats {
        self.outgoing.stats()
    }

    /// The smoothed round trip; `None` before the first one.
    pub fn smoothed_rtt(&self) -> Option<Duration> {
        self.outgoing.smoothed_rtt()
    }
}

impl Machine for EchoClient {
    fn handle_datagram(&mut self, _via: Via, from: SocketAddr, datagram: &[u8], now: Instant) {
        if from == self.server {
            self.outgoing.handle_answer(datagram, now);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.outgoing.handle_timeout(now);
    }

    fn handle_unreachable(&mut self, _socket: usize, _now: Instant) {
        self.outgoing.handle_unreachable();
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Transmit> {
        let bytes = self.outgoing.poll_transmit()?;
        Some(Transmit::one(Via::socket(0), self.server, bytes))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.outgoing.poll_timeout()
    }
}
