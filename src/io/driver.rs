//! The one loop: datagrams and time into a machine, what it wants out again, and the law between them.

use super::clock;
use super::udp::{Arrival, Wire};
use crate::session::Machine;
use std::io;
use std::ops::ControlFlow;
use std::time::Instant;

/// What a program does with its machine between two waits.
pub trait Application<M: Machine> {
    /// How the program ends.
    type Outcome;

    /// Takes the machine's events and everything else that happened (answers of the disk, signals), and calls the machine's
    /// `handle_*`. Called again until it says `Continue(false)`: nothing happened.
    ///
    /// # Errors
    /// What ends the program.
    fn turn(&mut self, machine: &mut M, wire: &mut Wire, now: Instant) -> io::Result<ControlFlow<Self::Outcome, bool>>;

    /// When the application itself wants its turn, whatever the network does.
    fn wakes_at(&self) -> Option<Instant> {
        None
    }
}

/// Runs a machine until its application ends it.
///
/// # Errors
/// When a socket fails for good, or the application.
pub fn run<M: Machine, A: Application<M>>(wire: &mut Wire, machine: &mut M, app: &mut A) -> io::Result<A::Outcome> {
    loop {
        // After every `handle_*`, every `poll_*` is drained.
        let now = clock::now();
        let mut outcome = None;
        loop {
            match app.turn(machine, wire, now)? {
                ControlFlow::Continue(true) => {}
                ControlFlow::Continue(false) => break,
                ControlFlow::Break(reached) => {
                    outcome = Some(reached);
                    break;
                }
            }
        }
        while wire.has_room()
            && let Some(transmit) = machine.poll_transmit(now)
        {
            wire.send(transmit);
        }
        let mut was_told = false;
        while let Some((to, size)) = wire.poll_refused() {
            machine.handle_refused(to, size, now);
            was_told = true;
        }
        if let Some(outcome) = outcome {
            return Ok(outcome);
        }
        if was_told {
            continue;
        }
        let deadline = [machine.poll_timeout(), app.wakes_at()].into_iter().flatten().min();
        wire.receive_until(deadline, |arrival, now| match arrival {
            Arrival::Datagram { via, from, bytes, ecn } => machine.handle_packet(via, from, bytes, ecn, now),
            Arrival::Unreachable { socket } => machine.handle_unreachable(socket, now),
        })?;
        let now = clock::now();
        if let Some(load) = wire.poll_load() {
            machine.handle_load(&load, now);
        }
        if machine.poll_timeout().is_some_and(|due| due <= now) {
            machine.handle_timeout(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Ecn, Transmit, Via};
    use std::net::{Ipv4Addr, SocketAddr};

    /// Sends packets to itself, each half as long as the one that was refused, until one comes back.
    struct Searcher {
        own: SocketAddr,
        next: Option<usize>,
        refused: Vec<usize>,
        came: Option<(usize, Option<Ecn>)>,
    }

    impl Machine for Searcher {
        fn handle_datagram(&mut self, _via: Via, _from: SocketAddr, _datagram: &[u8], _now: Instant) {
            panic!("packets come with all that is known of them");
        }

        fn handle_packet(&mut self, _via: Via, _from: SocketAddr, packet: &mut [u8], ecn: Option<Ecn>, _now: Instant) {
            packet.fill(0);
            self.came = Some((packet.len(), ecn));
        }

        fn handle_refused(&mut self, to: SocketAddr, size: usize, _now: Instant) {
            assert_eq!(to, self.own);
            self.refused.push(size);
            self.next = Some(size / 2);
        }

        fn handle_timeout(&mut self, _now: Instant) {}

        fn poll_transmit(&mut self, _now: Instant) -> Option<Transmit> {
            let bytes = vec![0x80; self.next.take()?];
            Some(Transmit { is_markable: true, ..Transmit::one(Via::socket(0), self.own, bytes) })
        }

        fn poll_timeout(&self) -> Option<Instant> {
            None
        }
    }

    struct Watcher;

    impl Application<Searcher> for Watcher {
        type Outcome = (usize, Option<Ecn>);

        fn turn(
            &mut self,
            machine: &mut Searcher,
            _wire: &mut Wire,
            _now: Instant,
        ) -> io::Result<ControlFlow<Self::Outcome, bool>> {
            Ok(machine.came.map_or(ControlFlow::Continue(false), ControlFlow::Break))
        }
    }

    #[test]
    fn a_machine_hears_of_lengths_that_are_refused_and_how_packets_were_marked() {
        let mut wire = Wire::new(1).unwrap();
        wire.listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let own = wire.local_address(0).unwrap();
        let mut machine = Searcher { own, next: Some(200_000), refused: Vec::new(), came: None };
        let came = run(&mut wire, &mut machine, &mut Watcher).unwrap();
        assert_eq!((came, machine.refused.as_slice()), ((50_000, Some(Ecn::Ect0)), &[200_000, 100_000][..]));
    }
}
