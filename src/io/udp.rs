//! Sockets, their readiness and the wait for it: the only room that touches the network.

mod budget;
mod buffers;
mod incoming;
mod outgoing;
mod port;
mod queue;
mod watch;

pub use incoming::Arrival;

use super::clock;
use super::gauge::Gauge;
use crate::session::{Load, Transmit};
use budget::Filling;
use buffers::Buffers;
use incoming::{Heard, Slots};
use polling::{Event, Events, PollMode, Poller};
use port::Port;
use queue::{Block, Queue, Sent};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};
use watch::Watch;

/// All sockets of a program, and one place to wait for them.
pub struct Wire {
    poller: Arc<Poller>,
    events: Events,
    /// A closed socket leaves its place to the next.
    sockets: Vec<Option<Place>>,
    slots: Slots,
    /// Sockets with something that the kernel would not take yet, and how many bytes that is in all.
    blocked: BTreeSet<usize>,
    unsent: usize,
    /// What the kernel refused for its length, and sockets whose sending was answered with news that nobody listens; nobody
    /// has been told yet.
    refused: VecDeque<(SocketAddr, usize)>,
    unreachable: BTreeSet<usize>,
    /// The least that a socket was granted.
    buffers: Option<Buffers>,
    /// The last answer came so fast that sleeping does not pay.
    brisk: bool,
    watch: Watch,
}

/// A socket, what waits to leave by it, and how full its slots are.
struct Place {
    port: Port,
    queue: Queue,
    /// When to try again what the kernel would not take.
    retry_at: Option<Instant>,
    filling: Filling,
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
        Ok(Self {
            poller: Arc::new(Poller::new()?),
            events: Events::new(),
            sockets: Vec::new(),
            slots: Slots::new(batch),
            blocked: BTreeSet::new(),
            unsent: 0,
            refused: VecDeque::new(),
            unreachable: BTreeSet::new(),
            buffers: None,
            brisk: false,
            watch: Watch::default(),
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
        socket.bind(&address.into())?;
        self.add(socket.into(), None)
    }

    /// Opens a socket from a fresh port that speaks with `peer` only. Gives its number.
    ///
    /// # Errors
    /// When there is no route or no such address family here.
    pub fn connect(&mut self, peer: SocketAddr) -> io::Result<usize> {
        self.add(connected(peer)?, Some(peer))
    }

    /// Where the socket with this number is bound.
    ///
    /// # Errors
    /// When the kernel does not say, or there is no such socket.
    pub fn local_address(&self, socket: usize) -> io::Result<SocketAddr> {
        let place = self.sockets.get(socket).and_then(Option::as_ref).ok_or(io::ErrorKind::NotFound)?;
        place.port.socket().local_addr()
    }

    /// What to set on this machine so that the kernel keeps enough for our sockets, where it keeps too little to be fast with.
    pub fn buffer_hint(&self) -> Option<String> {
        self.buffers?.hint()
    }

    /// For trying out what too little of it does: the kernel keeps no more than about so many bytes for each socket.
    pub fn shrink_receive_buffers(&mut self, bytes: usize) {
        for place in self.sockets.iter().flatten() {
            // Less than the least that it keeps is that.
            let _ = SockRef::from(place.port.socket()).set_recv_buffer_size(bytes);
        }
    }

    /// How busy the thread was that waits here, if there is something new to be told.
    pub fn poll_load(&mut self) -> Option<Load> {
        self.watch.poll()
    }

    /// What other threads can know of the sockets there are now, and of the thread that waits for them.
    pub fn gauge(&self) -> Gauge {
        let inodes = self.sockets.iter().flatten().filter_map(|place| inode(place.port.socket())).collect();
        Gauge::new(inodes, self.watch.awake())
    }

    /// What a person should know of a socket, once: that its batches were refused, and it works on without.
    pub fn poll_note(&mut self) -> Option<String> {
        self.sockets.iter_mut().flatten().find_map(|place| place.queue.poll_note())
    }

    #[expect(
        unsafe_code,
        reason = "polling's `add` asks that a source be deleted before it is dropped; `Drop` does that"
    )]
    fn add(&mut self, socket: UdpSocket, connected: Option<SocketAddr>) -> io::Result<usize> {
        let buffers = Buffers::enlarge(SockRef::from(&socket));
        self.buffers = Some(self.buffers.map_or(buffers, |least| least.least(buffers)));
        let port = Port::new(socket, connected)?;
        let free = self.sockets.iter().position(Option::is_none);
        let number = free.unwrap_or(self.sockets.len());
        // SAFETY: the socket lives in `self.sockets` from here on, and `close` and `Drop` delete it before they drop it.
        unsafe { self.poller.add_with_mode(port.socket(), Event::readable(number), mode(&self.poller))? };
        let queue = Queue::new(port.offload());
        let place = Some(Place { port, queue, retry_at: None, filling: Filling::default() });
        match self.sockets.get_mut(number) {
            Some(free) => *free = place,
            None => self.sockets.push(place),
        }
        Ok(number)
    }

    /// Closes a socket; its number goes to the next one that is opened.
    pub fn close(&mut self, socket: usize) {
        if let Some(place) = self.sockets.get_mut(socket).and_then(Option::take) {
            // What add() asks for; the descriptor is still open, so there is no other error.
            let _ = self.poller.delete(place.port.socket());
            self.unsent -= place.queue.bytes();
            self.blocked.remove(&socket);
            self.unreachable.remove(&socket);
        }
    }

    /// Whether to send more. What the kernel does not take waits here, and little should: who sends on without asking may lose
    /// what he sends.
    pub fn has_room(&self) -> bool {
        self.unsent < UNSENT_MAX
    }

    /// Sends, or keeps for later what the kernel has no room for. What it refuses for its length is told by
    /// [`Wire::poll_refused`]. What it refuses for another reason (no route) is lost as on any network, and the session's
    /// time-outs notice.
    pub fn send(&mut self, transmit: Transmit) {
        let socket = transmit.via.socket;
        let Some(Some(place)) = self.sockets.get_mut(socket) else { return };
        self.unsent -= place.queue.bytes();
        place.queue.push(transmit);
        self.unsent += place.queue.bytes();
        if place.retry_at.is_none() {
            self.flush(socket);
        }
    }

    /// The next peer and length of a datagram that the kernel would not send for its length; one for each [`Transmit`].
    pub fn poll_refused(&mut self) -> Option<(SocketAddr, usize)> {
        self.refused.pop_front()
    }

    fn flush(&mut self, socket: usize) {
        let Some(Some(place)) = self.sockets.get_mut(socket) else { return };
        let before = place.queue.bytes();
        let Sent { block, refused, unreachable } = place.queue.flush(|call| place.port.send(&call));
        self.unsent -= before - place.queue.bytes();
        self.refused.extend(refused);
        if unreachable {
            self.unreachable.insert(socket);
        }
        let was_blocked = place.retry_at.is_some();
        place.retry_at = block.map(|_| clock::now() + RETRY);
        if block.is_some() {
            self.blocked.insert(socket);
        } else if was_blocked {
            self.blocked.remove(&socket);
        }
        if self.poller.supports_level() && (was_blocked || block.is_some()) {
            let interest = Event::new(socket, true, block == Some(Block::Room));
            // Otherwise it is tried again after a while anyway.
            let _ = self.poller.modify_with_mode(place.port.socket(), interest, PollMode::Level);
        }
    }

    /// Tries again what may pass by now.
    fn flush_blocked(&mut self) {
        if self.blocked.is_empty() {
            return;
        }
        let now = clock::now();
        let writable: BTreeSet<usize> =
            self.events.iter().filter(|event| event.writable).map(|event| event.key).collect();
        let is_due = |socket: &usize| {
            let place = self.sockets.get(*socket).and_then(Option::as_ref);
            writable.contains(socket) || place.is_some_and(|place| place.retry_at.is_some_and(|at| at <= now))
        };
        let due: Vec<usize> = self.blocked.iter().copied().filter(is_due).collect();
        due.into_iter().for_each(|socket| self.flush(socket));
    }

    /// Waits until something arrives, somebody wakes us, there is room again, or `deadline` has come, and hands over what
    /// arrived: a bounded amount, so that sending is not kept waiting.
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
        while self.brisk && self.blocked.is_empty() {
            match self.receive(&mut handle)? {
                Heard::Nothing => tries += 1,
                heard => {
                    self.brisk = heard == Heard::Text;
                    return Ok(());
                }
            }
            if clock::now() >= spin_until {
                break;
            }
            // Where both sides share a core, the other one must get it now and then.
            match tries % YIELD_EVERY {
                0 => std::thread::yield_now(),
                _ => std::hint::spin_loop(),
            }
        }
        if self.unreachable.is_empty() {
            self.wait(deadline)?;
        }
        self.flush_blocked();
        let heard = self.receive(&mut handle)?;
        self.brisk = heard == Heard::Text && clock::now().saturating_duration_since(began) < BRISK;
        Ok(())
    }

    /// Hands over what has arrived, of each socket as much as a turn takes.
    fn receive(&mut self, handle: &mut impl FnMut(Arrival<'_>, Instant)) -> io::Result<Heard> {
        let mut heard = Heard::Nothing;
        while let Some(socket) = self.unreachable.pop_first() {
            heard = Heard::Text;
            handle(Arrival::Unreachable { socket }, clock::now());
        }
        for (socket, place) in self.sockets.iter_mut().enumerate() {
            if let Some(place) = place {
                heard = heard.max(self.slots.receive(socket, &place.port, &mut place.filling, handle)?);
            }
        }
        Ok(heard)
    }

    fn wait(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let retry = (!self.blocked.is_empty()).then(|| clock::now() + RETRY);
        // Who has more to send than there is room for wants to be called at once, which would bring nothing.
        let deadline = deadline.filter(|_| self.has_room());
        self.events.clear();
        let (began, is_blocked) = (clock::now(), !self.blocked.is_empty());
        match [deadline, retry].into_iter().flatten().min() {
            Some(deadline) => self.poller.wait_deadline(&mut self.events, deadline)?,
            None => self.poller.wait(&mut self.events, None)?,
        };
        self.watch.on_waited(began, is_blocked);
        if !self.poller.supports_level() {
            for (number, place) in self.sockets.iter().enumerate() {
                if let Some(place) = place {
                    self.poller.modify(place.port.socket(), Event::readable(number))?;
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
pub fn own_address_towards(peer: SocketAddr) -> io::Result<IpAddr> {
    Ok(connected(peer)?.local_addr()?.ip())
}

#[expect(clippy::disallowed_methods, reason = "this is the room where sockets live")]
fn connected(peer: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(peer)?;
    Ok(socket)
}

/// The socket's number in the kernel's tables.
fn inode(socket: &UdpSocket) -> Option<u64> {
    rustix::fs::fstat(socket).ok().map(|state| state.st_ino)
}

fn mode(poller: &Poller) -> PollMode {
    if poller.supports_level() { PollMode::Level } else { PollMode::Oneshot }
}

/// What may wait for the kernel before nothing more is asked for, in bytes: four batches, a fifth of a millisecond at
/// 10 Gbit/s, as much more as a kernel that has just got room wants at once.
const UNSENT_MAX: usize = 256 * 1024;

/// How soon what the kernel had no room for is tried again, if it does not say when it has.
const RETRY: Duration = Duration::from_millis(1);

/// On a path whose answers come faster than [`BRISK`], asking the socket again and again for [`SPIN`] beats going to sleep:
/// waking up costs more than such a round trip. On every other path nothing spins.
const SPIN: Duration = Duration::from_micros(50);
const BRISK: Duration = Duration::from_micros(150);

/// Every so many questions the core is offered to others: each offer is a system call.
const YIELD_EVERY: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::WINDOWED_FROM;
    use crate::session::{Ecn, Via};
    use outgoing::Outgoing;
    use rustix::io::Errno;

    /// Where a server listens and where its client goes, for each way that addresses of both families meet.
    fn families() -> [(&'static str, SocketAddr, IpAddr); 4] {
        let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        [("IPv4", (v4, 0).into(), v4), ("IPv6", (v6, 0).into(), v6), ("IPv4 in IPv6", any, v4), ("both", any, v6)]
    }

    /// A server's wire and a client's, whose socket is connected to it. Each has one socket, the number 0.
    fn pair(listen: SocketAddr, host: IpAddr) -> (Wire, Wire, SocketAddr) {
        let (mut server, mut client) = (Wire::new(32).unwrap(), Wire::new(4).unwrap());
        server.listen(listen).unwrap();
        let address = SocketAddr::new(host, server.local_address(0).unwrap().port());
        client.connect(address).unwrap();
        (server, client, address)
    }

    /// Takes what comes until there are `count` datagrams, or none has come for five seconds.
    fn gather(wire: &mut Wire, count: usize) -> Vec<(SocketAddr, Vec<u8>, Option<Ecn>)> {
        let mut gathered = Vec::new();
        while gathered.len() < count {
            let before = gathered.len();
            wire.receive_until(Some(clock::now() + Duration::from_secs(5)), |arrival, _| match arrival {
                Arrival::Datagram { from, bytes, ecn, .. } => gathered.push((from, bytes.to_vec(), ecn)),
                Arrival::Unreachable { .. } => panic!("there is somebody"),
            })
            .unwrap();
            assert!(gathered.len() > before, "{before} of {count} came");
        }
        gathered
    }

    fn packets(to: SocketAddr, count: usize, length: usize, rest: usize) -> Transmit {
        let bytes = (0..count * length + rest).map(|at| at.to_le_bytes()[at % 2] | WINDOWED_FROM).collect();
        Transmit { via: Via::socket(0), to, bytes, segment: Some(length), is_markable: true }
    }

    #[test]
    fn batches_arrive_whole_in_order_and_with_their_marks() {
        for (name, listen, host) in families() {
            let (mut server, mut client, address) = pair(listen, host);
            let sent = [(20, 1200, 7), (1, 1200, 0), (4, 8000, 0), (60, 1200, 1199), (2, 100, 0)]
                .map(|(count, length, rest)| packets(address, count, length, rest));
            let expected: Vec<Vec<u8>> = sent.iter().flat_map(|t| t.datagrams().map(<[u8]>::to_vec)).collect();
            sent.into_iter().for_each(|transmit| client.send(transmit));
            let came = gather(&mut server, expected.len());
            assert!(came.iter().all(|(_, _, ecn)| *ecn == Some(Ecn::Ect0)), "{name}");
            let port = client.local_address(0).unwrap().port();
            assert!(came.iter().all(|(from, _, _)| *from == SocketAddr::new(host, port)), "{name}: {:?}", came[0].0);
            assert!(came.into_iter().map(|(_, bytes, _)| bytes).eq(expected), "{name}");
            assert_eq!((client.poll_note(), client.poll_refused()), (None, None));
            // The way back, from a socket that serves everybody.
            server.send(packets(SocketAddr::new(host, port), 20, 1200, 7));
            assert!(gather(&mut client, 21).iter().all(|(from, _, ecn)| (*from, *ecn) == (address, Some(Ecn::Ect0))));
        }
    }

    #[test]
    fn datagrams_that_are_not_to_be_marked_are_not() {
        for (name, listen, host) in families() {
            let (mut server, mut client, address) = pair(listen, host);
            client.send(Transmit { is_markable: false, ..packets(address, 3, 1200, 0) });
            client.send(Transmit::one(Via::socket(0), address, b"s".to_vec()));
            assert!(gather(&mut server, 4).iter().all(|(_, _, ecn)| ecn.is_none()), "{name}");
        }
    }

    #[test]
    fn lab_datagrams_of_any_length_arrive_between_packets() {
        for (name, listen, host) in families() {
            let (mut server, mut client, address) = pair(listen, host);
            let chunk = |length| Transmit::one(Via::socket(0), address, vec![b'd'; length]);
            client.send(chunk(20_480));
            client.send(packets(address, 3, 1200, 0));
            client.send(chunk(20_480));
            client.send(chunk(20));
            client.send(packets(address, 1, 1200, 0));
            client.send(chunk(65_507));
            let lengths: Vec<usize> = gather(&mut server, 8).iter().map(|(_, bytes, _)| bytes.len()).collect();
            assert_eq!(lengths, [20_480, 1200, 1200, 1200, 20_480, 20, 1200, 65_507], "{name}");
        }
    }

    #[test]
    fn empty_datagrams_arrive_too() {
        let (_, listen, host) = families()[0];
        let (mut server, mut client, address) = pair(listen, host);
        (0..100).for_each(|_| client.send(Transmit::one(Via::socket(0), address, Vec::new())));
        client.send(Transmit::one(Via::socket(0), address, b"a".to_vec()));
        let came = gather(&mut server, 101);
        assert_eq!((came.len(), came.iter().filter(|(_, bytes, _)| bytes.is_empty()).count()), (101, 100));
    }

    #[test]
    fn a_turn_ends_although_there_is_more() {
        let (_, listen, host) = families()[0];
        let (mut server, mut client, address) = pair(listen, host);
        (0..500).for_each(|_| client.send(Transmit::one(Via::socket(0), address, Vec::new())));
        let mut turns = Vec::new();
        while turns.iter().sum::<usize>() < 500 {
            let mut count = 0;
            server.receive_until(None, |_, _| count += 1).unwrap();
            turns.push(count);
        }
        assert!(turns.iter().all(|count| (1..=128).contains(count)), "{turns:?}");
    }

    #[test]
    fn what_is_too_long_is_told_and_nothing_else_suffers() {
        for (name, listen, host) in families() {
            let (mut server, mut client, address) = pair(listen, host);
            client.send(packets(address, 1, 65_530, 0));
            client.send(packets(address, 3, 1200, 0));
            assert_eq!(client.poll_refused(), Some((address, 65_530)), "{name}");
            assert_eq!((client.poll_refused(), client.poll_note()), (None, None), "{name}");
            assert_eq!(gather(&mut server, 3).len(), 3, "{name}");
        }
    }

    #[test]
    fn a_batch_that_the_kernel_refuses_arrives_one_by_one() {
        for (name, listen, host) in families() {
            let (mut server, mut client, address) = pair(listen, host);
            let (transmit, place) = (packets(address, 20, 1200, 7), client.sockets[0].as_mut().unwrap());
            let expected: Vec<Vec<u8>> = transmit.datagrams().map(<[u8]>::to_vec).collect();
            let mut offload = place.port.offload();
            Outgoing::new(transmit).send(&mut offload, |call| match call.segment {
                Some(_) => Err(Errno::IO.into()),
                None => place.port.send(&call),
            });
            assert!(offload.poll_note().is_some());
            let came = gather(&mut server, expected.len());
            assert!(came.iter().all(|(_, _, ecn)| *ecn == Some(Ecn::Ect0)), "{name}");
            assert!(came.into_iter().map(|(_, bytes, _)| bytes).eq(expected), "{name}");
        }
    }

    #[test]
    fn an_invalid_destination_takes_batches_and_marks_from_nobody_else() {
        let (_, listen, _) = families()[0];
        let (mut server, mut client) = (Wire::new(4).unwrap(), Wire::new(4).unwrap());
        server.listen(listen).unwrap();
        client.listen(listen).unwrap();
        let address = server.local_address(0).unwrap();
        // A datagram may come from port 0, but none can go there.
        client.send(packets(SocketAddr::new(address.ip(), 0), 3, 1200, 0));
        client.send(packets(address, 3, 1200, 0));
        assert!(gather(&mut server, 3).iter().all(|(_, _, ecn)| *ecn == Some(Ecn::Ect0)));
        assert_eq!(client.poll_note(), None);
        assert!(client.sockets[0].as_ref().unwrap().port.offload().batch(1200) > 1);
    }

    #[test]
    fn a_kernel_without_room_gets_everything_a_little_later() {
        let (_, listen, host) = families()[0];
        let (mut server, mut client, address) = pair(listen, host);
        client.sockets[0].as_mut().unwrap().retry_at = Some(clock::now());
        client.blocked.insert(0);
        let mut count = 0;
        while client.has_room() {
            client.send(packets(address, 5, 8192, 0));
            count += 5;
        }
        assert_eq!((client.unsent, count), (count * 8192, 35));
        let gathering = std::thread::spawn(move || gather(&mut server, count).len());
        // A deadline in the past does not make it spin; the wait ends with the next try.
        client.receive_until(Some(clock::now()), |_, _| panic!("nothing comes")).unwrap();
        assert_eq!((client.unsent, client.blocked.len()), (0, 0));
        assert_eq!(gathering.join().unwrap(), count);
    }

    #[test]
    fn a_socket_that_is_closed_takes_along_what_waited_for_it() {
        let (_, listen, host) = families()[0];
        let (_server, mut client, address) = pair(listen, host);
        client.sockets[0].as_mut().unwrap().retry_at = Some(clock::now());
        client.blocked.insert(0);
        client.send(packets(address, 5, 8192, 0));
        client.close(0);
        assert_eq!((client.unsent, client.blocked.len()), (0, 0));
        client.send(packets(address, 5, 8192, 0));
        assert_eq!(client.connect(address).unwrap(), 0);
    }
}
