//! Our server, in a thread beside the client that is examined.

use crate::app::serve::{ServePlan, serve};
use crate::endpoint::{Config, Endpoint};
use crate::hostile::{HostileServer, Serving};
use crate::io::events::{Note, Report};
use crate::io::signals::Interrupt;
use crate::io::store::Policy;
use crate::io::udp::{Waker, Wire};
use crate::packet::lab::COMPACT_BUFSIZE;
use crate::trace::{Exchange, Recordings, Vantage};
use crate::weather::{Misbehaviour, Weather};
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

/// A server that runs.
pub(super) struct Host {
    pub(super) port: u16,
    interrupt: Interrupt,
    waker: Waker,
    thread: JoinHandle<HostileServer>,
}

impl Host {
    /// Starts one that saves beneath `root`.
    pub(super) fn start(
        root: &Path,
        weather: Weather,
        misbehaviour: Option<Misbehaviour>,
        seed: u64,
    ) -> io::Result<Self> {
        let mut wire = Wire::new(8)?;
        wire.listen((Ipv4Addr::LOCALHOST, 0).into())?;
        wire.listen((Ipv4Addr::LOCALHOST, 0).into())?; // for false answers
        let address = wire.local_address(0)?;
        let bufsize = if misbehaviour == Some(Misbehaviour::TinyBuffer) { TINY } else { USUAL };
        let compact_bufsize = if misbehaviour == Some(Misbehaviour::TinyBuffer) { TINY } else { COMPACT_BUFSIZE };
        let config = Config { bufsize, compact_bufsize, idle_timeout: NEVER_FORGETS, ..Config::default() };
        let endpoint = Endpoint::new(config);
        let mut server = HostileServer::new(endpoint, weather, misbehaviour, seed);
        server.record(Recordings::new(Vantage::Both, address.to_string(), STEPS_MAX));
        let interrupt = Interrupt::never();
        let (asked, waker) = (interrupt.clone(), wire.waker());
        let policy = Policy { sync: false, ..Policy::default() };
        let plan = ServePlan {
            gets: 0,
            root: root.into(),
            policy,
            exit_after: None,
            expected: None,
            misbehaviour: None,
            album: None,
            qlog: None,
        };
        let thread = std::thread::Builder::new().name("server".into()).spawn(move || {
            // What goes wrong here shows in what the client achieves.
            let _ = serve(&mut wire, &mut server, plan, &mut Unheard, asked);
            server
        })?;
        Ok(Self { port: address.port(), interrupt, waker, thread })
    }

    /// Ends it, and gives what passed.
    pub(super) fn stop(self) -> Vec<Exchange> {
        self.interrupt.raise();
        self.waker.wake();
        let Ok(mut server) = self.thread.join() else { return Vec::new() };
        let Some(recordings) = server.recordings() else { return Vec::new() };
        recordings.retire_all();
        std::iter::from_fn(|| recordings.poll_ended()).collect()
    }
}

/// Nobody reads what this server has to tell.
struct Unheard;

impl Report for Unheard {
    fn note(&mut self, _note: &Note) -> io::Result<()> {
        Ok(())
    }
}

/// What the course's servers announce, and less than anybody expects.
const USUAL: usize = 1024;
const TINY: usize = 64;

/// Longer than any case: what is forgotten begins another recording, and its repeats are counted from one again.
const NEVER_FORGETS: Duration = Duration::from_secs(3600);

const STEPS_MAX: usize = 24_000;
