//! Sockets, their readiness and the wait for it: the only room that touches the network.

use super::clock;
use crate::session::{Transmit, Via};
use polling::{Event, Events, PollMode, Poller};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// All sockets of a program, and one place to wait for them.
pub struct Wire {
    poller: Arc<Poller>,
    events: Events,
    /// A closed socket leaves its place to the next.
    sockets: Vec<Option<Port>>,
    slots: Vec<Box<[u8]>>,
    /// What the kernel would not take yet.
    unsent: VecDeque<Transmit>,
    batch: usize,
    /// The last answer came so fast that sleeping does not pay.
    brisk: bool,
}

struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
    /// The one peer that the socket was connected to, as the user wrote it: the kernel may know it by another name.
    connected: Option<SocketAddr>,
    /// An IPv6 socket that serves IPv4 as well.
    dual: bool,
}

/// What came in through a socket.
pub enum Arrival<'a> {
    /// A datagram, possibly empty.
    Datagram {
        /// The way it came.
        via: Via,
        /// Who sent it.
        from: SocketAddr,
        /// What it says.
        bytes: &'a [u8],
    },
    /// The kernel heard that nobody listens where this connected socket sends to.
    Unreachable {
        /// The socket's number.
        socket: usize,
    },
}

/// Wakes a [`Wire::receive_until`] from another thread.
#[derive(Clone)]
pub struct Waker(Arc<Poller>);

impl Waker {
    /// Ends the current wait, or the next one at once.
    pub fn wake(&self) {
        // The only error is a poller that is gone, and then nobody waits.
        let _ = self.0.notify();
    }
}

impl Wire {
    /// No sockets yet. `batch` is how many datagrams are taken from a socket at a time: 1 to 32, 64 KiB of memory each.
    ///
    /// # Errors
    /// When the kernel gives no poller.
    pub fn new(batch: usize) -> io::Result<Self> {
        let batch = batch.clamp(1, BATCH_SIZE);
        Ok(Self {
            poller: Arc::new(Poller::new()?),
            events: Events::new(),
            sockets: Vec::new(),
            slots: (0..batch).map(|_| vec![0; SLOT].into_boxed_slice()).collect(),
            unsent: VecDeque::new(),
            batch,
            brisk: false,
        })
    }

    /// Something that can wake the wait.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.poller))
    }

    /// Opens a socket that listens at `address`; `[::]` serves IPv4 as well. Gives its number.
    ///
    /// # Errors
    /// As the kernel says: in use, not permitted, not an address of this machine.
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<usize> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // The default of 208 KiB loses datagrams as soon as a hundred clients speak at once. The kernel may give less.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
        socket.bind(&address.into())?;
        self.add(socket.into(), None)
    }

    /// Opens a socket from a fresh port that speaks with `peer` only. Gives its number.
    ///
    /// # Errors
    /// When there is no route or no such address family here.
    #[expect(clippy::disallowed_methods, reason = "this is the room where sockets live")]
    pub fn connect(&mut self, peer: SocketAddr) -> io::Result<usize> {
        let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(peer)?;
        self.add(socket, Some(peer))
    }

    /// Where the socket with this number is bound.
    ///
    /// # Errors
    /// When the kernel does not say, or there is no such socket.
    pub fn local_address(&self, socket: usize) -> io::Result<SocketAddr> {
        let port = self.sockets.get(socket).and_then(Option::as_ref).ok_or(io::ErrorKind::NotFound)?;
        port.socket.local_addr()
    }

    #[expect(
        unsafe_code,
        reason = "polling's `add` asks that a source be deleted before it is dropped; `Drop` does that"
    )]
    fn add(&mut self, socket: UdpSocket, connected: Option<SocketAddr>) -> io::Result<usize> {
        let state = UdpSocketState::new((&socket).into())?;
        let dual = socket.local_addr()?.is_ipv6() && connected.is_none();
        allow_fragments(&socket);
        let free = self.sockets.iter().position(Option::is_none);
        let number = free.unwrap_or(self.sockets.len());
        // SAFETY: the socket lives in `self.sockets` from here on, and `close` and `Drop` delete it before they drop it.
        unsafe { self.poller.add_with_mode(&socket, Event::readable(number), mode(&self.poller))? };
        let port = Some(Port { socket, state, connected, dual });
        match self.sockets.get_mut(number) {
            Some(place) => *place = port,
            None => self.sockets.push(port),
        }
        Ok(number)
    }

    /// Closes a socket; its number goes to the next one that is opened.
    pub fn close(&mut self, socket: usize) {
        if let Some(port) = self.sockets.get_mut(socket).and_then(Option::take) {
            // What add() asks for; the descriptor is still open, so there is no other error.
            let _ = self.poller.delete(&port.socket);
        }
    }

    /// Sends, or keeps for later what the kernel has no room for. What it refuses for good (no route, too large) is lost as
    /// on any network, and the session's time-outs notice.
    pub fn send(&mut self, transmit: Transmit) {
        if self.unsent.len() < UNSENT_MAX {
            self.unsent.push_back(transmit);
        }
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(transmit) = self.unsent.pop_front() {
            if let Some(transmit) = self.try_send(transmit) {
                self.unsent.push_front(transmit);
                return;
            }
        }
    }

    /// Gives the datagram back when the kernel has no room for it now.
    fn try_send(&self, transmit: Transmit) -> Option<Transmit> {
        let port = self.sockets.get(transmit.via.socket)?.as_ref()?;
        let destination = match transmit.to {
            SocketAddr::V4(to) if port.dual => SocketAddr::new(to.ip().to_ipv6_mapped().into(), to.port()),
            other => other,
        };
        let message = quinn_udp::Transmit {
            destination,
            ecn: None,
            contents: &transmit.bytes,
            segment_size: None,
            src_ip: if port.connected.is_some() { None } else { transmit.via.local },
        };
        match port.state.try_send((&port.socket).into(), &message) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(transmit),
            _ => None,
        }
    }

    /// Waits until something arrives, somebody wakes us, or `deadline` has come, and hands over what arrived.
    ///
    /// # Errors
    /// When a socket or the poller fails for good.
    pub fn receive_until(
        &mut self,
        deadline: Option<Instant>,
        mut handle: impl FnMut(Arrival<'_>, Instant),
    ) -> io::Result<()> {
        let began = clock::now();
        let spin_until = deadline.map_or(began + SPIN, |deadline| deadline.min(began + SPIN));
        let mut tries = 0_u32;
        while self.brisk && self.unsent.is_empty() {
            if self.receive(&mut handle)? {
                return Ok(());
            }
            tries += 1;
            if clock::now() >= spin_until {
                break;
            }
            // Where both sides share a core, the other one must get it now and then.
            match tries % YIELD_EVERY {
                0 => std::thread::yield_now(),
                _ => std::hint::spin_loop(),
            }
        }
        self.wait(deadline)?;
        self.flush();
        let any = self.receive(&mut handle)?;
        self.brisk = any && clock::now().saturating_duration_since(began) < BRISK;
        Ok(())
    }

    /// Hands over what has arrived, at most one batch a socket, so that nothing else starves; says whether there was anything.
    fn receive(&mut self, handle: &mut impl FnMut(Arrival<'_>, Instant)) -> io::Result<bool> {
        let mut any = false;
        for (socket, port) in self.sockets.iter().enumerate() {
            let Some(port) = port else { continue };
            let mut metas = [RecvMeta::default(); BATCH_SIZE];
            let mut slots = self.slots.iter_mut();
            let mut slots: [IoSliceMut<'_>; BATCH_SIZE] =
                std::array::from_fn(|_| IoSliceMut::new(slots.next().map_or(&mut [], |slot| slot)));
            let batch = slots.get_mut(..self.batch).unwrap_or_default();
            let count = match port.state.recv((&port.socket).into(), batch, &mut metas) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    any = true;
                    handle(Arrival::Unreachable { socket }, clock::now());
                    continue;
                }
                Err(error) if is_fatal(&error) => return Err(error),
                Err(_) => continue,
            };
            any |= count > 0;
            let now = clock::now();
            for (meta, slot) in metas.iter().zip(&self.slots).take(count) {
                let via = Via { socket, local: meta.dst_ip };
                let from = port.connected.unwrap_or_else(|| canonical(meta.addr));
                let bytes = slot.get(..meta.len).unwrap_or_default();
                if bytes.is_empty() {
                    handle(Arrival::Datagram { via, from, bytes }, now);
                }
                for bytes in bytes.chunks(meta.stride.max(1)) {
                    handle(Arrival::Datagram { via, from, bytes }, now);
                }
            }
        }
        Ok(any)
    }

    fn wait(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let blocked = (!self.unsent.is_empty()).then(|| clock::now() + RETRY);
        self.events.clear();
        match [deadline, blocked].into_iter().flatten().min() {
            Some(deadline) => self.poller.wait_deadline(&mut self.events, deadline)?,
            None => self.poller.wait(&mut self.events, None)?,
        };
        if !self.poller.supports_level() {
            for (number, port) in self.sockets.iter().enumerate() {
                if let Some(port) = port {
                    self.poller.modify(&port.socket, Event::readable(number))?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for socket in 0..self.sockets.len() {
            self.close(socket);
        }
    }
}

/// The address of this machine that the system would speak to `peer` from; nothing is sent.
///
/// # Errors
/// When there is no route or no such address family here.
#[expect(clippy::disallowed_methods, reason = "this is the room where sockets live")]
pub fn own_address_towards(peer: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(peer)?;
    Ok(socket.local_addr()?.ip())
}

/// quinn-udp forbids fragmentation, as QUIC wants it. The lab's datagrams may be larger than the path (20480 bytes in the
/// compact spelling, any `--bufsize`), and the routers must be allowed to cut them.
fn allow_fragments(socket: &UdpSocket) {
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt::{
            Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
        };
        // Where it does not apply (an IPv4 option on an IPv6 socket), nothing needs to change.
        let _ = set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DONT);
        let _ = set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DONT);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}

fn mode(poller: &Poller) -> PollMode {
    if poller.supports_level() { PollMode::Level } else { PollMode::Oneshot }
}

/// IPv4 in IPv6 clothes becomes IPv4, so that one peer has one address; a link-local one keeps its scope.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Errors that the socket itself has. All others are reports about somebody (ICMP, which anybody can forge) or of a moment,
/// and the socket goes on.
fn is_fatal(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let fatal = [Errno::BADF, Errno::NOTSOCK, Errno::FAULT, Errno::INVAL];
    fatal.iter().any(|fatal| error.raw_os_error() == Some(fatal.raw_os_error()))
}

/// A datagram of any size, and a whole batch that the kernel coalesced, fit a slot; smaller slots lose the rest silently.
const SLOT: usize = 65_535;

/// What is asked for each socket's buffers, in bytes.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// Datagrams that wait for the kernel; stop-and-wait never has more than one a session.
const UNSENT_MAX: usize = 4096;

/// How soon a datagram that the kernel had no room for is tried again.
const RETRY: Duration = Duration::from_millis(1);

/// On a path whose answers come faster than [`BRISK`], asking the socket again and again for [`SPIN`] beats going to sleep:
/// waking up costs more than such a round trip. On every other path nothing spins.
const SPIN: Duration = Duration::from_micros(50);
const BRISK: Duration = Duration::from_micros(150);

/// Every so many questions the core is offered to others: each offer is a system call.
const YIELD_EVERY: u32 = 4;
