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
        while let Some(transmit) = machine.poll_transmit(now) {
            wire.send(transmit);
        }
        if let Some(outcome) = outcome {
            return Ok(outcome);
        }
        let deadline = [machine.poll_timeout(), app.wakes_at()].into_iter().flatten().min();
        wire.receive_until(deadline, |arrival, now| match arrival {
            Arrival::Datagram { via, from, bytes } => machine.handle_datagram(via, from, bytes, now),
            Arrival::Unreachable { socket } => machine.handle_unreachable(socket, now),
        })?;
        let now = clock::now();
        if machine.poll_timeout().is_some_and(|due| due <= now) {
            machine.handle_timeout(now);
        }
    }
}
