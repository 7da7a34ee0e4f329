//! A link for other people's programs: datagrams of many clients to one server and back, through bad weather.

use crate::session::{Machine, Transmit, Via};
use crate::weather::{Counts, Link, Weather};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The relay without sockets. Socket 0 faces the clients; each flow has one of its own towards the server, which the
/// application opens when an event asks for it.
pub struct Relay {
    server: SocketAddr,
    weather: Weather,
    seed: u64,
    flows: BTreeMap<SocketAddr, Flow>,
    clients: BTreeMap<usize, SocketAddr>,
    seen: u64,
    gone: (Counts, Counts),
    next_sweep: Option<Instant>,
    events: VecDeque<Event>,
}

/// What the application must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Open a socket towards the server for this client, and say so with [`Relay::handle_socket`].
    WantsSocket(SocketAddr),
    /// Close this socket: its flow has been silent for long.
    CloseSocket(usize),
}

struct Flow {
    socket: Option<usize>,
    /// How the client's datagrams came, hence how the answers go.
    front: Via,
    inward: Link<()>,
    outward: Link<()>,
    last_used: Instant,
}

impl Relay {
    /// A relay to `server`; the same seed gives the same weather to the n-th flow.
    pub fn new(server: SocketAddr, weather: Weather, seed: u64) -> Self {
        Self {
            server,
            weather,
            seed,
            flows: BTreeMap::new(),
            clients: BTreeMap::new(),
            seen: 0,
            gone: (Counts::default(), Counts::default()),
            next_sweep: None,
            events: VecDeque::new(),
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The socket for this client's flow is open.
    pub fn handle_socket(&mut self, client: SocketAddr, socket: usize) {
        if let Some(flow) = self.flows.get_mut(&client) {
            flow.socket = Some(socket);
            self.clients.insert(socket, client);
        }
    }

    /// No socket can be had for this client: its flow ends, and its next datagram asks again.
    pub fn handle_no_socket(&mut self, client: SocketAddr) {
        if let Some(flow) = self.flows.remove(&client) {
            self.gone = (self.gone.0 + flow.inward.counts(), self.gone.1 + flow.outward.counts());
        }
    }

    /// How many flows there have been.
    pub fn flows(&self) -> u64 {
        self.seen
    }

    /// What became of all datagrams so far, towards the server and from it.
    pub fn counts(&self) -> (Counts, Counts) {
        let add = |sum: (Counts, Counts), flow: &Flow| (sum.0 + flow.inward.counts(), sum.1 + flow.outward.counts());
        self.flows.values().fold(self.gone, add)
    }

    fn flow(&mut self, client: SocketAddr, front: Via, now: Instant) -> Option<&mut Flow> {
        if !self.flows.contains_key(&client) {
            if self.flows.len() >= FLOWS_MAX {
                return None;
            }
            let seed = self.seed.wrapping_add(self.seen * 2);
            self.seen += 1;
            let (inward, outward) = (Link::new(self.weather.inward, seed), Link::new(self.weather.outward, seed + 1));
            self.flows.insert(client, Flow { socket: None, front, inward, outward, last_used: now });
            self.events.push_back(Event::WantsSocket(client));
            self.next_sweep.get_or_insert(now + SWEEP);
        }
        self.flows.get_mut(&client)
    }

    fn sweep(&mut self, now: Instant) {
        let is_old = |flow: &Flow| {
            let busy = flow.inward.in_flight() + flow.outward.in_flight() > 0;
            !busy && now.saturating_duration_since(flow.last_used) >= FLOW_LIFE
        };
        let old: Vec<SocketAddr> =
            self.flows.iter().filter(|(_, flow)| is_old(flow)).map(|(client, _)| *client).collect();
        for client in old {
            let Some(flow) = self.flows.remove(&client) else { continue };
            self.gone = (self.gone.0 + flow.inward.counts(), self.gone.1 + flow.outward.counts());
            if let Some(socket) = flow.socket {
                self.clients.remove(&socket);
                self.events.push_back(Event::CloseSocket(socket));
            }
        }
        self.next_sweep = (!self.flows.is_empty()).then(|| now + SWEEP);
    }
}

impl Machine for Relay {
    fn handle_datagram(&mut self, via: Via, from: SocketAddr, datagram: &[u8], now: Instant) {
        if via.socket == 0 {
            if let Some(flow) = self.flow(from, via, now) {
                flow.last_used = now;
                flow.inward.send(now, (), datagram.to_vec());
            }
        } else if from == self.server
            && let Some(flow) = self.clients.get(&via.socket).and_then(|client| self.flows.get_mut(client))
        {
            flow.last_used = now;
            flow.outward.send(now, (), datagram.to_vec());
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.next_sweep.is_some_and(|due| now >= due) {
            self.sweep(now);
        }
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        for (client, flow) in &mut self.flows {
            if let Some(socket) = flow.socket
                && let Some(((), bytes)) = flow.inward.poll(now)
            {
                return Some(Transmit::one(Via::socket(socket), self.server, bytes));
            }
            if let Some(((), bytes)) = flow.outward.poll(now) {
                return Some(Transmit::one(flow.front, *client, bytes));
            }
        }
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let due = |flow: &Flow| [flow.inward.poll_timeout(), flow.outward.poll_timeout()].into_iter().flatten().min();
        let weather = self.flows.values().filter_map(due).min();
        [weather, self.next_sweep].into_iter().flatten().min()
    }
}

/// A flow that carried nothing for this long is over: longer than any time-out of the programs behind it.
const FLOW_LIFE: Duration = Duration::from_secs(300);

/// How often old flows are looked for.
const SWEEP: Duration = Duration::from_secs(10);

/// Flows at once: each has a socket of its own.
const FLOWS_MAX: usize = 4096;
