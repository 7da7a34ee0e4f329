//! A client's machine: one upload, towards whichever of a server's addresses answers first.

use super::acks::Ecn;
use super::streams::Source;
use super::upload::Upload;
use crate::session::{Load, Machine, Transmit, Via};
use std::net::SocketAddr;
use std::time::Instant;

/// An upload with the sockets that it may use: socket `n` speaks with the `n`-th address. Until one of them answers everything goes
/// to all of them, which is a hello now and then.
pub struct Caller<S> {
    upload: Upload<S>,
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

impl<S: Source> Caller<S> {
    /// `peers` are the addresses of one server.
    pub fn new(upload: Upload<S>, peers: Vec<SocketAddr>, now: Instant) -> Self {
        let closed = vec![false; peers.len()];
        Self { upload, peers, chosen: None, closed, copies: Vec::new(), now }
    }

    /// The same, where one of the addresses, by its number, has answered already.
    pub fn towards(chosen: usize, upload: Upload<S>, peers: Vec<SocketAddr>, now: Instant) -> Self {
        Self { chosen: Some(chosen), ..Self::new(upload, peers, now) }
    }

    /// The upload inside.
    pub fn upload(&mut self) -> &mut Upload<S> {
        &mut self.upload
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

impl<S: Source> Machine for Caller<S> {
    fn handle_datagram(&mut self, via: Via, from: SocketAddr, datagram: &[u8], now: Instant) {
        self.handle_packet(via, from, &mut datagram.to_vec(), None, now);
    }

    fn handle_packet(&mut self, via: Via, _from: SocketAddr, datagram: &mut [u8], ecn: Option<Ecn>, now: Instant) {
        self.now = now;
        if self.chosen.is_some_and(|chosen| chosen != via.socket) {
            return;
        }
        // Anybody can send garbage in the name of one of the addresses.
        if self.upload.handle_datagram(datagram, ecn, now) && self.chosen.is_none() {
            self.chosen = Some(via.socket);
            self.peer().into_iter().for_each(|peer| self.upload.handle_server(peer));
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.upload.handle_timeout(now);
    }

    fn handle_unreachable(&mut self, socket: usize, _now: Instant) {
        self.closed.get_mut(socket).into_iter().for_each(|closed| *closed = true);
        if self.chosen == Some(socket) || self.closed.iter().all(|closed| *closed) {
            self.upload.handle_unreachable();
        }
    }

    fn handle_refused(&mut self, _to: SocketAddr, size: usize, now: Instant) {
        self.now = now;
        self.upload.handle_refused(size, now);
    }

    fn handle_load(&mut self, load: &Load, now: Instant) {
        self.upload.handle_load(load, now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.now = now;
        if let Some(copy) = self.copies.pop() {
            return Some(copy);
        }
        let mut bytes = Vec::new();
        let batch = self.upload.poll_transmit(&mut bytes, now)?;
        if self.chosen.is_none() {
            for socket in 1..self.peers.len() {
                let copy = self.transmit(socket, bytes.clone(), batch.segment, batch.is_markable);
                self.copies.extend(copy);
            }
        }
        self.transmit(self.chosen.unwrap_or(0), bytes, batch.segment, batch.is_markable)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.upload.poll_timeout(self.now)
    }
}
