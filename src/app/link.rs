//! The lossy link: sockets for the relay's flows, and its counters at the end.

use super::exit;
use crate::io::driver::{self, Application};
use crate::io::events::{Note, Report};
use crate::io::limits::raise_descriptor_limit;
use crate::io::signals::Interrupt;
use crate::io::udp::Wire;
use crate::relay::{Event, Relay};
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Instant;

/// Relays on the wire's socket 0 until a signal, or the end of `interrupt`'s owner, ends it; gives the exit code.
///
/// # Errors
/// When a socket fails, or nobody reads the report any more.
pub fn relay(
    wire: &mut Wire,
    relay: &mut Relay,
    server: SocketAddr,
    report: &mut dyn Report,
    interrupt: Interrupt,
) -> io::Result<u8> {
    raise_descriptor_limit();
    let address = wire.local_address(0)?;
    report.note(&Note::Listening { address, purpose: format!("datagrams go on to {server}") })?;
    driver::run(wire, relay, &mut LinkApp { server, report, interrupt, told: false })
}

struct LinkApp<'a> {
    server: SocketAddr,
    report: &'a mut dyn Report,
    interrupt: Interrupt,
    /// That sockets run out is told once.
    told: bool,
}

impl Application<Relay> for LinkApp<'_> {
    type Outcome = u8;

    fn turn(&mut self, relay: &mut Relay, wire: &mut Wire, _now: Instant) -> io::Result<ControlFlow<u8, bool>> {
        let mut any = false;
        while let Some(event) = relay.poll_event() {
            any = true;
            match event {
                Event::WantsSocket(client) => match wire.connect(self.server) {
                    Ok(socket) => relay.handle_socket(client, socket),
                    Err(error) => {
                        relay.handle_no_socket(client);
                        if !std::mem::replace(&mut self.told, true) {
                            let text = format!(
                                "no socket for {client}: {error}; such datagrams are lost (ulimit -n allows more)"
                            );
                            self.report.note(&Note::Remark { text })?;
                        }
                    }
                },
                Event::CloseSocket(socket) => wire.close(socket),
            }
        }
        if self.interrupt.exit_code().is_some() {
            let (inward, outward) = relay.counts();
            let note = Note::Traffic { flows: relay.flows(), inward: inward.into(), outward: outward.into() };
            self.report.note(&note)?;
            return Ok(ControlFlow::Break(exit::DONE));
        }
        Ok(ControlFlow::Continue(any))
    }
}
