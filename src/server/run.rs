//! A server that runs, in this thread or in its own.

use super::Server;
use crate::app::WINDOWED_TIMEOUT;
use crate::app::album::{Album, Diagrams};
use crate::app::remedy::cannot_listen;
use crate::app::serve::{ServePlan, open_harbour, serve};
use crate::endpoint::Endpoint;
use crate::io::events::chat::Tables;
use crate::io::events::{Note, Report};
use crate::io::qlog::{Format, QlogWriter, Vantage};
use crate::io::signals::{Canceller, Interrupt};
use crate::io::udp::Wire;
use crate::outcome::{Error, Served, Told};
use crate::packet::MAX_DATAGRAM;
use crate::porter::Porter;
use crate::session::handshake::Fingerprint;
use crate::tap::Tap;
use crate::trace::{self, Side};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::thread::{Builder, JoinHandle};

/// A server in a thread of its own. Dropped, it is stopped and waited for, as by [`RunningServer::stop`].
#[must_use = "a server that is dropped is stopped"]
#[derive(Debug)]
pub struct RunningServer {
    address: SocketAddr,
    fingerprint: Option<Fingerprint>,
    canceller: Canceller,
    thread: Option<JoinHandle<Result<Served, Error>>>,
}

impl RunningServer {
    /// Where it listens, with the port that it got. Behind an address such as 0.0.0.0 it is every one of this machine.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What clients remember it by; `None` if the windowed mode is off, since there is no key.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// What ends it from another thread; it can be cloned.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Ends it in order, and waits for that: clients are told, files that are complete get their names, temporary ones are removed.
    ///
    /// # Errors
    /// [`Error::System`] when it had failed before.
    pub fn stop(self) -> Result<Served, Error> {
        self.canceller.cancel();
        self.wait()
    }

    /// Waits until something else ends it: a [`Canceller`], [`Server::exit_after`].
    ///
    /// # Errors
    /// [`Error::System`] when the socket or the report fails.
    pub fn wait(mut self) -> Result<Served, Error> {
        join(self.thread.take())
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.canceller.cancel();
        // Nobody is left to hear what it came to.
        let _ = join(self.thread.take());
    }
}

fn join(thread: Option<JoinHandle<Result<Served, Error>>>) -> Result<Served, Error> {
    match thread.map(JoinHandle::join) {
        Some(Ok(ended)) => ended,
        Some(Err(_)) => Err(io::Error::other("the server's thread panicked").into()),
        None => Ok(Served::default()),
    }
}

/// Everything is open, and nothing is answered yet.
struct Open {
    wire: Wire,
    machine: Porter<Tap<Endpoint>>,
    plan: ServePlan,
    report: Box<dyn Report + Send>,
    interrupt: Interrupt,
    canceller: Canceller,
    address: SocketAddr,
    fingerprint: Option<Fingerprint>,
}

impl Server {
    pub(super) fn run_here(self) -> Result<Served, Error> {
        match self.canceller.is_cancelled() {
            true => Err(Error::cancelled()),
            false => self.open()?.serve(None),
        }
    }

    pub(super) fn start_thread(self) -> Result<RunningServer, Error> {
        if self.canceller.is_cancelled() {
            return Err(Error::cancelled());
        }
        let open = self.open()?;
        let (address, fingerprint, canceller) = (open.address, open.fingerprint, open.canceller.clone());
        let (ready, listens) = mpsc::channel();
        let thread = Builder::new().name("server".into()).spawn(move || open.serve(Some(ready)))?;
        if listens.recv().is_err() {
            // It ended before it began, and knows why.
            join(Some(thread))?;
            return Err(io::Error::other("the server ended at once").into());
        }
        Ok(RunningServer { address, fingerprint, canceller, thread: Some(thread) })
    }

    fn check(&self) -> Result<(), Error> {
        let is_count = |count: usize| (1..=SESSIONS_MAX).contains(&count);
        if !(BUFSIZE_MIN..=MAX_DATAGRAM).contains(&self.config.bufsize) {
            return Err(Error::usage(format!("--bufsize is {BUFSIZE_MIN} to {MAX_DATAGRAM} bytes")));
        }
        if !is_count(self.config.max_sessions) || !is_count(self.config.max_sessions_per_address) {
            return Err(Error::usage(format!("--max-sessions and --max-sessions-per-address are 1 to {SESSIONS_MAX}")));
        }
        if self.exit_after == Some(0) {
            return Err(Error::usage("--exit-after is at least 1"));
        }
        Ok(())
    }

    /// Opens all that can be missing, in the order in which a person wants to hear of it.
    fn open(mut self) -> Result<Open, Error> {
        self.check()?;
        let mut wire = Wire::new(BATCH)?;
        let address = (self.bind, self.port).into();
        wire.listen(address).map_err(|error| io::Error::new(error.kind(), cannot_listen(address, &error)))?;
        if let Some(bytes) = self.receive_buffer {
            wire.shrink_receive_buffers(bytes);
        }
        let interrupt = self.canceller.attach(wire.waker(), self.signals)?;
        let address = wire.local_address(0)?;
        let trace = |is_qlog| self.trace.as_deref().filter(|path: &&Path| Format::of(path).is_some() == is_qlog);
        let album = Album::open(self.diagram.clone().map(Diagrams::Folder), self.ladder, trace(false))?;
        let qlog = trace(true).map(|path| QlogWriter::create(path, Vantage::Server)).transpose()?;
        let recordings = album.as_ref().map(|album| album.recordings(trace::Vantage::Server, address.to_string()));
        self.config.idle_timeout = self.idle_timeout.unwrap_or(self.config.idle_timeout);
        let timeout = self.idle_timeout.unwrap_or(WINDOWED_TIMEOUT);
        let (harbour, fingerprint) = match open_harbour(self.config_dir.as_deref(), &self.config, timeout)? {
            Ok((harbour, fingerprint)) => (Some(harbour), Some(fingerprint)),
            Err(error) => {
                self.report.note(&Note::Remark { text: format!("the windowed mode is off: {error}") })?;
                (None, None)
            }
        };
        let endpoint = Tap::new(Endpoint::new(self.config), Side::Server, recordings);
        let plan = ServePlan {
            root: self.root,
            policy: self.policy,
            exit_after: self.exit_after,
            expected: None,
            misbehaviour: None,
            album,
            qlog,
            gets: if self.gives { self.max_gets } else { 0 },
        };
        let machine = Porter::new(endpoint, harbour);
        let (report, canceller) = (self.report, self.canceller);
        Ok(Open { wire, machine, plan, report, interrupt, canceller, address, fingerprint })
    }
}

impl Open {
    /// Serves; says through `ready` when it has begun.
    fn serve(mut self, ready: Option<Sender<()>>) -> Result<Served, Error> {
        let mut report = Begins { inner: self.report.as_mut(), ready };
        let mut told = Told::new(&mut report);
        let ended = serve(&mut self.wire, &mut self.machine, self.plan, &mut told, self.interrupt);
        self.canceller.detach();
        told.served(ended)
    }
}

/// Notices when the server listens.
struct Begins<'a> {
    inner: &'a mut dyn Report,
    ready: Option<Sender<()>>,
}

impl Report for Begins<'_> {
    fn note(&mut self, note: &Note) -> io::Result<()> {
        self.inner.note(note)?;
        if let (Note::Listening { .. }, Some(ready)) = (note, self.ready.take()) {
            // Whoever started it waits for this.
            let _ = ready.send(());
        }
        Ok(())
    }

    fn tables(&self) -> Tables {
        self.inner.tables()
    }
}

/// How many datagrams are taken from a socket at a time.
const BATCH: usize = 32;

/// The smallest buffer in which a lab's message has room.
const BUFSIZE_MIN: usize = 64;

/// More would take more ports than there are.
const SESSIONS_MAX: usize = 1_000_000;
