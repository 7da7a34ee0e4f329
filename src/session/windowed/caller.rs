//! A client's machine: one errand, an upload or a download, towards whichever of a server's addresses answers first.

use super::acks::Ecn;
use super::connection::Batch;
use super::streams::Source;
use super::upload::Upload;
use crate::session::{Load, Machine, Transmit, Via};
use std::net::SocketAddr;
use std::time::Instant;

/// What a client is on its way for; the calls are those of [`Machine`], with one server.
pub trait Errand {
    /// The server answers from there.
    fn handle_server(&mut self, server: SocketAddr);
    /// A datagram came from the server's address. It is used up. Says whether it was one that only the server, or somebody who sees what
    /// is sent to it, can have sent.
    fn handle_datagram(&mut self, datagram: &mut [u8], ecn: Option<Ecn>, now: Instant) -> bool;
    /// The kernel says that nobody listens there.
    fn handle_unreachable(&mut self);
    /// The kernel would not send a datagram of this length.
    fn handle_refused(&mut self, size: usize, now: Instant);
    /// So busy was the thread that calls us, until now.
    fn handle_load(&mut self, load: &Load, now: Instant) {
        let _ = (load, now);
    }
    /// Does what is due.
    fn handle_timeout(&mut self, now: Instant);
    /// Appends the next datagrams to `out`.
    fn poll_transmit(&mut self, out: &mut Vec<u8>, now: Instant) -> Option<Batch>;
    /// When [`Errand::handle_timeout`] or [`Errand::poll_transmit`] wants to be called.
    fn poll_timeout(&self, now: Instant) -> Option<Instant>;
}

/// Who calls to bring files.
pub type Caller<S> = Dialer<Upload<S>>;

/// An errand with the sockets that it may use: socket `n` speaks with the `n`-th address. Until one of them answers everything goes
/// to all of them, which is a hello now and then.
pub struct Dialer<E> {
    errand: E,
    peers: Vec<SocketAddr>,
    /// Which of them answered.
    chosen: Option<usize>,
    /// Those where nobody listens, as the kernel says.
    closed: Vec<bool>,
    /// Copies that are still to be sent.
    copies: Vec<Transmit>,
    /// As of the last call.
    now: Instant,
}

impl<E: Errand> Dialer<E> {
    /// `peers` are the addresses of one server.
    pub fn new(errand: E, peers: Vec<SocketAddr>, now: Instant) -> Self {
        let closed = vec![false; peers.len()];
        Self { errand, peers, chosen: None, closed, copies: Vec::new(), now }
    }

    /// The same, where one of the addresses, by its number, has answered already.
    pub fn towards(chosen: usize, errand: E, peers: Vec<SocketAddr>, now: Instant) -> Self {
        Self { chosen: Some(chosen), ..Self::new(errand, peers, now) }
    }

    /// The errand inside.
    pub fn errand(&mut self) -> &mut E {
        &mut self.errand
    }

    /// Whether the kernel says of every address that nobody listens there.
    pub fn is_closed(&self) -> bool {
        self.chosen.is_none() && self.closed.iter().all(|closed| *closed)
    }

    /// The address that answered.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peers.get(self.chosen?).copied()
    }

    fn transmit(&self, socket: usize, bytes: Vec<u8>, segment: usize, is_markable: bool) -> Option<Transmit> {
        let to = *self.peers.get(socket)?;
        Some(Transmit { via: Via::socket(socket), to, bytes, segment: Some(segment), is_markable })
    }
}

impl<S: Source> Caller<S> {
    /// The upload inside.
    pub fn upload(&mut self) -> &mut Upload<S> {
        &mut self.errand
    }
}

impl<S: Source> Errand for Upload<S> {
    fn handle_server(&mut self, server: SocketAddr) {
        self.handle_server(server);
    }

    fn handle_datagram(&mut self, datagram: &mut [u8], ecn: Option<Ecn>, now: Instant) -> bool {
        self.handle_datagram(datagram, ecn, now)
    }

    fn handle_unreachable(&mut self) {
        self.handle_unreachable();
    }

    fn handle_refused(&mut self, size: usize, now: Instant) {
        self.handle_refused(size, now);
    }

    fn handle_load(&mut self, load: &Load, now: Instant) {
        self.handle_load(load, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn poll_transmit(&mut self, out: &mut Vec<u8>, now: Instant) -> Option<Batch> {
        self.poll_transmit(out, now)
    }

    fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        self.poll_timeout(now)
    }
}

impl<E: Errand> Machine for Dialer<E> {
    fn handle_datagram(&mut self, via: Via, from: SocketAddr, datagram: &[u8], now: Instant) {
        self.handle_packet(via, from, &mut datagram.to_vec(), None, now);
    }

    fn handle_packet(&mut self, via: Via, _from: SocketAddr, datagram: &mut [u8], ecn: Option<Ecn>, now: Instant) {
        self.now = now;
        if self.chosen.is_some_and(|chosen| chosen != via.socket) {
            return;
        }
        // Anybody can send garbage in the name of one of the addresses.
        if self.errand.handle_datagram(datagram, ecn, now) && self.chosen.is_none() {
            self.chosen = Some(via.socket);
            self.peer().into_iter().for_each(|peer| self.errand.handle_server(peer));
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.errand.handle_timeout(now);
    }

    fn handle_unreachable(&mut self, socket: usize, _now: Instant) {
        self.closed.get_mut(socket).into_iter().for_each(|closed| *closed = true);
        if self.chosen == Some(socket) || self.closed.iter().all(|closed| *closed) {
            self.errand.handle_unreachable();
        }
    }

    fn handle_refused(&mut self, _to: SocketAddr, size: usize, now: Instant) {
        self.now = now;
        self.errand.handle_refused(size, now);
    }

    fn handle_load(&mut self, load: &Load, now: Instant) {
        self.errand.handle_load(load, now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.now = now;
        if let Some(copy) = self.copies.pop() {
            return Some(copy);
        }
        let mut bytes = Vec::new();
        let batch = self.errand.poll_transmit(&mut bytes, now)?;
        if self.chosen.is_none() {
            for socket in 1..self.peers.len() {
                let copy = self.transmit(socket, bytes.clone(), batch.segment, batch.is_markable);
                self.copies.extend(copy);
            }
        }
        self.transmit(self.chosen.unwrap_or(0), bytes, batch.segment, batch.is_markable)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.errand.poll_timeout(self.now)
    }
}
