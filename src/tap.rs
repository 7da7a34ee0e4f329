//! A machine that is listened in on: what it is told and what it says is recorded at its own end.

use crate::endpoint::{Endpoint, Event};
use crate::hostile::{Account, Serving};
use crate::session::{Ecn, Machine, Transmit, Via};
use crate::trace::{Recordings, Side};
use std::net::SocketAddr;
use std::time::Instant;

/// `machine`, and what is recorded of it; without recordings it is the machine alone.
pub struct Tap<M> {
    /// The machine itself.
    pub machine: M,
    /// What is recorded.
    pub recordings: Option<Recordings>,
    /// Whose end this is.
    own: Side,
}

impl<M> Tap<M> {
    /// Listens in on a machine that is the exchange's `own` side.
    pub fn new(machine: M, own: Side, recordings: Option<Recordings>) -> Self {
        Self { machine, recordings, own }
    }
}

impl<M: Machine> Machine for Tap<M> {
    fn handle_datagram(&mut self, via: Via, from: SocketAddr, datagram: &[u8], now: Instant) {
        if let Some(recordings) = &mut self.recordings {
            recordings.passed(from, self.own.other(), datagram, now);
        }
        self.machine.handle_datagram(via, from, datagram, now);
    }

    fn handle_packet(&mut self, via: Via, from: SocketAddr, datagram: &mut [u8], ecn: Option<Ecn>, now: Instant) {
        if let Some(recordings) = &mut self.recordings {
            recordings.passed(from, self.own.other(), datagram, now);
        }
        self.machine.handle_packet(via, from, datagram, ecn, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.machine.handle_timeout(now);
    }

    fn handle_unreachable(&mut self, socket: usize, now: Instant) {
        self.machine.handle_unreachable(socket, now);
    }

    fn handle_refused(&mut self, to: SocketAddr, size: usize, now: Instant) {
        self.machine.handle_refused(to, size, now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        let transmit = self.machine.poll_transmit(now)?;
        if let Some(recordings) = &mut self.recordings {
            for datagram in transmit.datagrams() {
                // What becomes of it, only the other end could say.
                recordings.sent(transmit.to, self.own, datagram, now);
            }
        }
        Some(transmit)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.machine.poll_timeout()
    }
}

impl<M: Serving> Serving for Tap<M> {
    fn endpoint(&mut self) -> &mut Endpoint {
        self.machine.endpoint()
    }

    fn poll_event(&mut self, now: Instant) -> Option<Event> {
        self.machine.poll_event(now)
    }

    fn account(&self, peer: SocketAddr) -> Option<Account> {
        self.machine.account(peer)
    }

    fn recordings(&mut self) -> Option<&mut Recordings> {
        self.recordings.as_mut()
    }

    fn is_underway(&self) -> bool {
        self.machine.is_underway()
    }

    fn has_died(&self) -> bool {
        self.machine.has_died()
    }
}
