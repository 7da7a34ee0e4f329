//! A client that gets files: handshake, then what it wants, then it receives as a server does.

use super::acks::Ecn;
use super::caller::Errand;
use super::connection::{Batch, End};
use super::greeting;
use super::log::{self, Entry, Log, Side, State};
use super::reception::{self, Asking, Reception};
use crate::packet::windowed::{ConnectionId, Datagram, reset_token};
use crate::session::handshake::token::ExpectedReset;
use crate::session::handshake::{self, Client, Failure, PublicKey};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// What is wanted, and how it is received.
#[derive(Clone, Debug)]
pub struct Fetching {
    /// Which files, as a [request](crate::chunker::request).
    pub request: Vec<u8>,
    /// The largest UDP payload that the interface takes, in bytes.
    pub mtu_max: usize,
    /// A connection that hears nothing for so long is given up.
    pub timeout: Duration,
    /// Secret random bits.
    pub seed: [u8; 16],
}

/// What the application must do or may want to know.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The server has shown its key: call [`Download::welcome`], or [`Download::handle_abort`]. Again if it has forgotten the
    /// handshake before it confirmed it.
    Met {
        /// Its key.
        server: PublicKey,
        /// What it tells every client.
        parameters: Vec<u8>,
    },
    /// There was no handshake.
    Failed(Failure),
    /// Something came, or it is over.
    Happened(reception::Event),
}

impl From<handshake::Event> for Event {
    fn from(event: handshake::Event) -> Self {
        match event {
            handshake::Event::Met { server, parameters } => Self::Met { server, parameters },
            handshake::Event::Over(failure) => Self::Failed(failure),
        }
    }
}

/// The machine.
pub struct Download {
    handshake: Client,
    wanted: Fetching,
    reception: Option<(ConnectionId, Reception)>,
    /// How the server says that it knows nothing of it any more.
    reset: Option<ExpectedReset>,
    /// The server has sent a packet.
    is_confirmed: bool,
    /// Where the server is, for the log; and that, until there is a connection that has it.
    server: Option<SocketAddr>,
    log: Option<Log>,
    events: VecDeque<Event>,
}

impl Download {
    /// Begins the handshake at once.
    pub fn new(call: handshake::call::Config, wanted: Fetching, now: Instant) -> Self {
        Self {
            handshake: Client::new(call, now),
            wanted,
            reception: None,
            reset: None,
            is_confirmed: false,
            server: None,
            log: None,
            events: VecDeque::new(),
        }
    }

    /// From now on what happens is told to a log, which is taken with [`Download::drain_log`].
    pub fn record(&mut self, now: Instant) {
        let mut log = Log::new(0, now);
        log.reach(State::Attempted);
        self.log = Some(log);
    }

    /// Moves what was observed into `into`.
    pub fn drain_log(&mut self, into: &mut Vec<Entry>) {
        if let Some(log) = self.log() {
            log.drain(into);
        }
    }

    /// The server is the right one: it is asked; or asked again, when it never confirmed the connection before.
    pub fn welcome(&mut self, now: Instant) {
        let Some(established) = self.handshake.finish(&[], now) else { return };
        let Fetching { request, mtu_max, timeout, seed } = self.wanted.clone();
        let asking = Asking {
            peer: self.server.unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into()),
            peer_id: established.to,
            keys: established.keys,
            round_trip: self.handshake.smoothed_rtt(),
            mtu_max,
            timeout,
            seed,
            request,
        };
        let mut reception = Reception::ask(asking, now);
        if let Some(mut log) = self.log.take() {
            log.at(now);
            reception.record(log);
        }
        self.reception = Some((established.id, reception));
        self.reset = Some(established.reset);
    }

    /// Lets the receiving half do something, as [`Reception::handle_taken`].
    pub fn with(&mut self, act: impl FnOnce(&mut Reception)) {
        if let Some((_, reception)) = &mut self.reception {
            act(reception);
        }
        self.collect();
    }

    /// Stops; the server is told why.
    pub fn handle_abort(&mut self, code: u64, reason: &str) {
        match &mut self.reception {
            Some((_, reception)) => reception.handle_abort(code, reason),
            None => self.events.push_back(Event::Happened(reception::Event::Over(End::Closed))),
        }
        self.collect();
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn handle_packet(
        &mut self,
        header: &crate::packet::windowed::Header,
        datagram: &mut [u8],
        ecn: Option<Ecn>,
        now: Instant,
    ) -> bool {
        let Some((id, reception)) = &mut self.reception else { return false };
        let is_reset =
            reset_token(datagram).is_some_and(|token| self.reset.as_ref().is_some_and(|reset| reset.is(&token)));
        // Before anything else came, there is nothing to lose: the handshake begins anew.
        if is_reset && self.is_confirmed {
            reception.handle_forgotten();
        } else if is_reset {
            self.handshake.handle_forgotten(now);
        } else if header.to == *id && reception.handle_packet(header, datagram, ecn, now).is_ok() {
            self.is_confirmed = true;
            self.handshake.handle_confirmed(now);
        } else {
            return false;
        }
        true
    }

    fn log(&mut self) -> Option<&mut Log> {
        match &mut self.reception {
            Some((_, reception)) => reception.log(),
            None => self.log.as_mut(),
        }
    }

    fn tell_greeting(&mut self, by: Side, length: usize, now: Instant) {
        if let Some(log) = self.log() {
            log.at(now).tell(log::Event::Greeted { by, length });
        }
    }

    fn collect(&mut self) {
        let log = match &mut self.reception {
            Some((_, reception)) => reception.log(),
            None => self.log.as_mut(),
        };
        greeting::collect(&mut self.handshake, log, &mut self.events);
        let Some((_, reception)) = &mut self.reception else { return };
        while let Some(event) = reception.poll_event() {
            self.events.push_back(Event::Happened(event));
        }
    }
}

impl Errand for Download {
    fn handle_server(&mut self, server: SocketAddr) {
        self.server = Some(server);
    }

    fn handle_datagram(&mut self, datagram: &mut [u8], ecn: Option<Ecn>, now: Instant) -> bool {
        let is_expected = match Datagram::decode(datagram) {
            Ok(Datagram::Packet(header)) => self.handle_packet(&header, datagram, ecn, now),
            _ => {
                self.tell_greeting(Side::Remote, datagram.len(), now);
                self.handshake.handle_datagram(datagram, now)
            }
        };
        self.collect();
        is_expected
    }

    fn handle_unreachable(&mut self) {
        self.handshake.handle_unreachable();
    }

    fn handle_refused(&mut self, size: usize, now: Instant) {
        self.with(|reception| reception.handle_refused(size, now));
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handshake.handle_timeout(now);
        self.with(|reception| reception.handle_timeout(now));
    }

    fn poll_transmit(&mut self, out: &mut Vec<u8>, now: Instant) -> Option<Batch> {
        if let Some(datagram) = self.handshake.poll_transmit() {
            out.extend_from_slice(&datagram);
            self.tell_greeting(Side::Local, datagram.len(), now);
            return Some(Batch { segment: datagram.len(), is_markable: false });
        }
        let (_, reception) = self.reception.as_mut()?;
        reception.poll_transmit(out, now)
    }

    fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let reception = self.reception.as_ref().and_then(|(_, reception)| reception.poll_timeout(now));
        [self.handshake.poll_timeout(), reception].into_iter().flatten().min()
    }
}
