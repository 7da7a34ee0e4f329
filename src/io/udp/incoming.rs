//! What came in through a socket, taken a batch at a time and told a datagram at a time.

use super::budget::{Budget, Filling};
use super::port::{Port, mark};
use crate::io::clock;
use crate::packet::WINDOWED_FROM;
use crate::session::{Ecn, Via};
use quinn_udp::{BATCH_SIZE, RecvMeta};
use rustix::io::Errno;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::time::Instant;

/// What came in through a socket.
pub enum Arrival<'a> {
    /// A datagram, possibly empty.
    Datagram {
        /// The way it came.
        via: Via,
        /// Who sent it.
        from: SocketAddr,
        /// What it says; it may be written over.
        bytes: &'a mut [u8],
        /// How it was marked on its way.
        ecn: Option<Ecn>,
    },
    /// The kernel heard that nobody listens where this connected socket sends to.
    Unreachable {
        /// The socket's number.
        socket: usize,
    },
}

/// What came, the most important last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Heard {
    /// Nothing.
    Nothing,
    /// Messages that wait for each other.
    Text,
    /// Packets of the windowed mode, of which more are on their way: for them nothing spins.
    Packets,
}

/// Where the kernel puts what came.
pub(super) struct Slots(Vec<Box<[u8]>>);

impl Slots {
    /// So many, 1 to 32; each takes 64 KiB.
    pub(super) fn new(count: usize) -> Self {
        Self((0..count.clamp(1, BATCH_SIZE)).map(|_| vec![0; SLOT].into_boxed_slice()).collect())
    }

    /// Hands over what has come through the socket with this number, as much as a turn takes.
    ///
    /// # Errors
    /// When the socket fails for good.
    pub(super) fn receive(
        &mut self,
        socket: usize,
        port: &Port,
        filling: &mut Filling,
        handle: &mut impl FnMut(Arrival<'_>, Instant),
    ) -> io::Result<Heard> {
        let (mut heard, mut budget) = (Heard::Nothing, Budget::default());
        while !budget.is_spent() {
            let (offers, before) = (budget.slots(*filling, self.0.len()), budget);
            let mut metas = [RecvMeta::default(); BATCH_SIZE];
            let count = match self.fill(port, offers, &mut metas) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    handle(Arrival::Unreachable { socket }, clock::now());
                    return Ok(heard.max(Heard::Text));
                }
                Err(error) if is_fatal(&error) => return Err(error),
                Err(_) => break,
            };
            let now = clock::now();
            for (meta, slot) in metas.iter().zip(&mut self.0).take(count) {
                let (via, from) = port.origin(socket, meta);
                let (ecn, bytes) = (mark(meta), slot.get_mut(..meta.len).unwrap_or_default());
                let is_windowed = bytes.first().is_some_and(|first| *first >= WINDOWED_FROM);
                heard = heard.max(if is_windowed { Heard::Packets } else { Heard::Text });
                budget.spend(bytes.len().div_ceil(meta.stride.max(1)), bytes.len());
                if bytes.is_empty() {
                    handle(Arrival::Datagram { via, from, bytes: &mut [], ecn }, now);
                }
                for bytes in bytes.chunks_mut(meta.stride.max(1)) {
                    handle(Arrival::Datagram { via, from, bytes, ecn }, now);
                }
            }
            *filling = budget.filling_since(before, count);
            if count < offers {
                break;
            }
        }
        Ok(heard)
    }

    fn fill(&mut self, port: &Port, offers: usize, metas: &mut [RecvMeta]) -> io::Result<usize> {
        let mut free = self.0.iter_mut();
        let mut slots: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(free.next().map_or(&mut [], |slot| slot)));
        port.receive(slots.get_mut(..offers).unwrap_or_default(), metas)
    }
}

/// Errors that the socket itself has. All others are reports about somebody (ICMP, which anybody can forge) or of a moment,
/// and the socket goes on.
fn is_fatal(error: &io::Error) -> bool {
    let fatal = [Errno::BADF, Errno::NOTSOCK, Errno::FAULT, Errno::INVAL];
    fatal.iter().any(|fatal| error.raw_os_error() == Some(fatal.raw_os_error()))
}

/// A datagram of any size, and a whole batch that the kernel coalesced, fit a slot; smaller slots lose the rest silently.
const SLOT: usize = 65_535;
