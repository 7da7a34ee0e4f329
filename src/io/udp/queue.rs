//! What the kernel had no room for, in order, one queue for each socket.

use super::outgoing::{Call, Offload, Outgoing, Progress};
use crate::session::Transmit;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

/// The way out of one socket. A kernel without room is no loss: what it did not take waits here, before all that follows.
pub(super) struct Queue {
    waiting: VecDeque<Outgoing>,
    bytes: usize,
    offload: Offload,
}

/// What came of sending.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Why something still waits; nothing else is tried until then.
    pub(super) block: Option<Block>,
    /// Peers, and the length of datagrams to them that the kernel does not send.
    pub(super) refused: Vec<(SocketAddr, usize)>,
    /// The kernel told that nobody listens where this connected socket sends to.
    pub(super) unreachable: bool,
}

/// When it is worth trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// When the socket is writable.
    Room,
    /// After a while.
    Time,
}

impl Queue {
    /// An empty one, for a socket that can do this much at once.
    pub(super) fn new(offload: Offload) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, offload }
    }

    /// What waits, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What a person should know of this socket.
    pub(super) fn poll_note(&mut self) -> Option<String> {
        self.offload.poll_note()
    }

    /// Puts a transmit at the end. One that nobody may expect to leave is lost as on any network: see [`WAITING_MAX`].
    pub(super) fn push(&mut self, transmit: Transmit) {
        if self.waiting.len() < WAITING_MAX {
            self.bytes += transmit.bytes.len();
            self.waiting.push_back(Outgoing::new(transmit));
        }
    }

    /// Sends until all is sent or the kernel has no room.
    pub(super) fn flush(&mut self, mut kernel: impl FnMut(Call<'_>) -> io::Result<()>) -> Sent {
        let mut sent = Sent::default();
        while let Some(outgoing) = self.waiting.front_mut() {
            let before = outgoing.remaining();
            let progress = outgoing.send(&mut self.offload, &mut kernel);
            self.bytes -= before - outgoing.remaining();
            sent.block = match progress {
                Progress::AwaitsRoom => Some(Block::Room),
                Progress::AwaitsTime => Some(Block::Time),
                Progress::Done => None,
            };
            if sent.block.is_some() {
                break;
            }
            sent.refused.extend(outgoing.too_long().map(|length| (outgoing.transmit().to, length)));
            sent.unreachable |= outgoing.met_unreachable();
            self.waiting.pop_front();
        }
        sent
    }
}

/// Transmits that wait for one socket. Only who sends without asking whether there is room comes so far.
const WAITING_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Via;
    use rustix::io::Errno;

    fn transmit(byte: u8, length: usize) -> Transmit {
        Transmit::one(Via::socket(0), ([127, 0, 0, 1], u16::from(byte)).into(), vec![byte; length])
    }

    #[test]
    fn order_is_kept_across_a_kernel_without_room() {
        for (error, block) in [(Errno::AGAIN, Block::Room), (Errno::NOBUFS, Block::Time)] {
            let mut queue = Queue::new(Offload::new(64));
            let mut taken = Vec::new();
            (0..5).for_each(|byte| queue.push(transmit(byte, 100)));
            let sent = queue.flush(|call| {
                let room = taken.len() < 3;
                taken.extend(room.then(|| call.bytes.to_vec()));
                if room { Ok(()) } else { Err(error.into()) }
            });
            assert_eq!((sent, queue.bytes()), (Sent { block: Some(block), ..Sent::default() }, 200));
            queue.push(transmit(5, 100));
            let sent = queue.flush(|call| {
                taken.push(call.bytes.to_vec());
                Ok(())
            });
            assert_eq!((sent, queue.bytes()), (Sent::default(), 0));
            assert_eq!(taken, (0..6).map(|byte| vec![byte; 100]).collect::<Vec<_>>());
        }
    }

    #[test]
    fn lengths_that_are_refused_are_told_and_the_rest_goes_on() {
        let mut queue = Queue::new(Offload::new(64));
        [(1, 100), (2, 2000), (3, 100)].into_iter().for_each(|(byte, length)| queue.push(transmit(byte, length)));
        let sent = queue.flush(|call| if call.bytes.len() > 1472 { Err(Errno::MSGSIZE.into()) } else { Ok(()) });
        assert_eq!(sent, Sent { refused: vec![(([127, 0, 0, 1], 2).into(), 2000)], ..Sent::default() });
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn who_never_asks_for_room_takes_no_memory_without_end() {
        let mut queue = Queue::new(Offload::new(64));
        (0..10_000).for_each(|_| queue.push(transmit(1, 1)));
        assert_eq!(queue.bytes(), WAITING_MAX);
    }
}
