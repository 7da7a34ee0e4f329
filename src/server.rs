//! The server for other programs: it saves what clients bring, and gives what they may get.

mod run;

pub use run::RunningServer;

use crate::endpoint::Config;
use crate::io::events::{Listener, Note, Report, Silence};
use crate::io::signals::{Canceller, Watch};
use crate::io::store::Policy;
use crate::outcome::{Error, Served};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

/// Receives files beneath one folder, from any client that speaks the lab's protocol and from [`crate::Client`]; with
/// [`Server::allow_get`] it also gives them.
///
/// [`Server::start`] has a thread of its own for it, [`Server::run`] takes this one. Setters have the names of the program's options and mean
/// the same; what is not set is as with the program, but for the port.
///
/// ```
/// # let (inbox, keys) = (tempfile::tempdir()?, tempfile::tempdir()?);
/// # let (inbox, keys) = (inbox.path(), keys.path());
/// use std::net::Ipv4Addr;
///
/// let server = homing::Server::new(inbox).bind(Ipv4Addr::LOCALHOST).config_dir(keys).start()?;
/// println!("listening on {}", server.address());
/// let served = server.stop()?;
/// assert_eq!(served.uploads, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Its key is made when it is needed first, and lies in the same folder as the program's ([`Server::config_dir`] names another one), never
/// beneath the folder that it serves.
#[must_use = "nothing is served before `start` or `run`"]
pub struct Server {
    root: PathBuf,
    bind: IpAddr,
    port: u16,
    policy: Policy,
    config: Config,
    idle_timeout: Option<Duration>,
    gives: bool,
    max_gets: usize,
    config_dir: Option<PathBuf>,
    exit_after: Option<u64>,
    receive_buffer: Option<usize>,
    diagram: Option<PathBuf>,
    ladder: bool,
    trace: Option<PathBuf>,
    report: Box<dyn Report + Send>,
    canceller: Canceller,
    signals: Option<Watch>,
}

impl Server {
    /// A server of this folder, which must be there. Nothing is opened yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            bind: Ipv4Addr::UNSPECIFIED.into(),
            port: 0,
            policy: Policy::default(),
            config: Config::default(),
            idle_timeout: None,
            gives: false,
            max_gets: GETS_MAX,
            config_dir: None,
            exit_after: None,
            receive_buffer: None,
            diagram: None,
            ladder: false,
            trace: None,
            report: Box::new(Silence),
            canceller: Canceller::default(),
            signals: None,
        }
    }

    /// Serves in a thread of its own. When this returns, the port is open and the folder is usable.
    ///
    /// # Errors
    /// [`Error::Usage`] where a number is out of its range, [`Error::System`] where the port, the folder or a thread cannot be had.
    pub fn start(self) -> Result<RunningServer, Error> {
        self.start_thread()
    }

    /// Serves in this thread until a [`Canceller`], a signal or [`Server::exit_after`] ends it.
    ///
    /// # Errors
    /// As [`Server::start`], and [`Error::System`] when the socket or the report fails later.
    pub fn run(self) -> Result<Served, Error> {
        self.run_here()
    }

    /// What ends it from another thread; it can be cloned.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }
}

/// Where it listens, and who it is.
impl Server {
    /// The UDP port \[default: 0, which takes a free one\].
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The address to listen at \[default: 0.0.0.0\]; `::` serves IPv6 and IPv4.
    pub fn bind(mut self, address: impl Into<IpAddr>) -> Self {
        self.bind = address.into();
        self
    }

    /// The folder with this server's key \[default: `$XDG_CONFIG_HOME/homing`, or `~/.config/homing`\]. It is made if it is missing;
    /// nobody else may be able to write to it. Without a key the windowed mode is off, which is an event.
    pub fn config_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.config_dir = Some(folder.into());
        self
    }
}

/// What clients may do.
impl Server {
    /// Never overwrite an existing file.
    pub fn no_clobber(mut self, keeps: bool) -> Self {
        self.policy.no_clobber = keeps;
        self
    }

    /// Also take names that begin with a dot, and give them.
    pub fn allow_hidden(mut self, allows: bool) -> Self {
        self.policy.allow_hidden = allows;
        self
    }

    /// Refuse larger files, in bytes \[default: no limit\].
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.policy.max_size = Some(bytes);
        self
    }

    /// Also give whatever lies beneath the folder, but for hidden names and what links lead to elsewhere.
    pub fn allow_get(mut self, gives: bool) -> Self {
        self.gives = gives;
        self
    }

    /// Clients that get files at once; each takes a thread and 16 MiB \[default: 32\].
    pub fn max_gets(mut self, count: usize) -> Self {
        self.max_gets = count;
        self
    }

    /// Transfers at once, 1 to 1,000,000 \[default: 1024\].
    pub fn max_sessions(mut self, count: usize) -> Self {
        self.config.max_sessions = count;
        self
    }

    /// Transfers at once from one address, 1 to 1,000,000 \[default: 256\].
    pub fn max_sessions_per_address(mut self, count: usize) -> Self {
        self.config.max_sessions_per_address = count;
        self
    }

    /// The largest datagram announced to the lab's clients, 64 to 65507 bytes \[default: 1400\].
    pub fn bufsize(mut self, bytes: usize) -> Self {
        self.config.bufsize = bytes;
        self
    }

    /// Forget a transfer that hears nothing for this long \[default: 30 s; in the windowed mode 300 s\].
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    /// End after so many completed transfers, at least 1 \[default: never\].
    pub fn exit_after(mut self, count: u64) -> Self {
        self.exit_after = Some(count);
        self
    }
}

/// What is told, drawn and written down meanwhile; and limits to try out what holds a transfer back.
impl Server {
    /// Calls `listen` with each event, in the server's thread: what it does, all transfers wait for. [`crate::io::events::sentence`] puts one
    /// into words.
    pub fn on_event(self, listen: impl FnMut(&Note) + Send + 'static) -> Self {
        self.report(Listener(listen))
    }

    /// The same for a whole [`Report`], which may end the server by an error; [`crate::io::progress::HumanReport`] is the programs' own.
    pub fn report(mut self, report: impl Report + Send + 'static) -> Self {
        self.report = Box::new(report);
        self
    }

    /// Draw each exchange of the lab's messages into this folder. With this, [`Server::ladder`] or [`Server::trace`] the windowed mode is
    /// not offered to clients that begin with a start.
    pub fn diagram(mut self, folder: impl Into<PathBuf>) -> Self {
        self.diagram = Some(folder.into());
        self
    }

    /// Print each exchange as a ladder on standard output when it is over.
    pub fn ladder(mut self, is_printed: bool) -> Self {
        self.ladder = is_printed;
        self
    }

    /// Write every datagram into this file, one JSON object a line; as `FILE.qlog` or `FILE.sqlog` it is a qlog of windowed transfers.
    pub fn trace(mut self, file: impl Into<PathBuf>) -> Self {
        self.trace = Some(file.into());
        self
    }

    /// Take no more bytes a second of each windowed transfer, as a slow disk does \[default: no limit\].
    pub fn write_limit(mut self, bytes_per_second: u64) -> Self {
        self.policy.write_limit = Some(bytes_per_second);
        self
    }

    /// Let the kernel keep no more than about so many bytes that came, as a busy machine's does \[default: as many as it allows\].
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// For programs: `signals(Interrupt::watch)` has SIGINT and SIGTERM end the server in order. Without it no signal is touched.
    pub fn signals(mut self, watch: Watch) -> Self {
        self.signals = Some(watch);
        self
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (root, bind, port) = (&self.root, &self.bind, &self.port);
        f.debug_struct("Server").field("root", root).field("bind", bind).field("port", port).finish_non_exhaustive()
    }
}

/// Each takes a thread and its memory.
const GETS_MAX: usize = 32;
