//! The main job in one command: a picture through a link with 15 % loss, by the library's own server, client and link. The two are of
//! one kind, so that it goes in the windowed mode: encrypted, many packets at once.
//!
//! `cargo run --release --example quickstart [FILE]`

use homing::app::auto::copy_best;
use homing::app::link::relay;
use homing::app::send::{Extent, SendPlan};
use homing::app::serve::{ServePlan, open_harbour, serve};
use homing::chunker::request::Existing;
use homing::endpoint::{Config, Endpoint};
use homing::io::events::{Note, Report, Volume, sentence};
use homing::io::progress::HumanReport;
use homing::io::signals::Interrupt;
use homing::io::source::Source;
use homing::io::store::Policy;
use homing::io::udp::{Waker, Wire};
use homing::porter::Porter;
use homing::relay::Relay;
use homing::session::congestion::Choice;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::JoinHandle;
use std::time::Duration;

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("quickstart: {error}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pigeon.jpg");
    let file = std::env::args_os().nth(1).map_or_else(|| PathBuf::from(picture), PathBuf::from);
    let source = Source::open(&file)?;
    let inbox = tempfile::Builder::new().prefix("homing-quickstart-").tempdir()?.keep();
    let remote = file.file_name().ok_or("a file, please")?.to_string_lossy().into_owned();

    // Keys of this example's own: nobody is remembered.
    let keys = tempfile::Builder::new().prefix("homing-quickstart-keys-").tempdir()?;
    let server = Program::server(inbox.clone(), keys.path())?;
    let link = Program::link(server.address)?;
    println!("server at {}, behind a link with 15 % loss each way at {}", server.address, link.address);

    let sent = source.digest()?;
    let plan = SendPlan {
        target: link.address.to_string(),
        sources: vec![file.clone()],
        recursive: false,
        destination: remote.clone(),
        existing: Existing::Keep,
        choice: Choice::Bbr,
        timeout: Duration::from_secs(30),
        first_timeout: Duration::from_secs(30),
        restart: false,
        sha256: true,
        config_dir: Some(keys.path().to_owned()),
        qlog: None,
        plot: None,
        extent: Extent::default(),
    };
    let code = copy_best(plan, None, &mut HumanReport::new(Volume::Normal), |wire| Interrupt::watch(wire.waker()))?;
    link.stop()?;
    server.stop()?;
    if code != 0 {
        return Ok(ExitCode::from(code));
    }

    let arrived = inbox.join(remote);
    let received = Source::open(&arrived)?.digest()?;
    println!("sent      {}  {}", hex::encode(sent), file.display());
    println!("received  {}  {}", hex::encode(received), arrived.display());
    println!("{}", if sent == received { "the same, byte for byte" } else { "DIFFERENT" });
    Ok(if sent == received { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One of the other programs, on a thread of its own.
struct Program {
    address: SocketAddr,
    interrupt: Interrupt,
    waker: Waker,
    thread: JoinHandle<io::Result<u8>>,
}

impl Program {
    fn server(inbox: PathBuf, keys: &Path) -> io::Result<Self> {
        let harbour =
            open_harbour(Some(keys), &Config::default(), Duration::from_secs(30))?.map_err(io::Error::other)?;
        Self::start(move |wire, interrupt| {
            let policy = Policy::default();
            let plan = ServePlan {
                gets: 0,
                root: inbox,
                policy,
                exit_after: None,
                expected: None,
                misbehaviour: None,
                album: None,
                qlog: None,
            };
            let mut machine = Porter::new(Endpoint::new(Config::default()), Some(harbour));
            serve(wire, &mut machine, plan, &mut Silence, interrupt)
        })
    }

    fn link(server: SocketAddr) -> io::Result<Self> {
        let weather = "loss=15%,delay=2ms".parse().map_err(io::Error::other)?;
        Self::start(move |wire, interrupt| {
            let mut link = Relay::new(server, weather, 7);
            relay(wire, &mut link, server, &mut Counters, interrupt)
        })
    }

    fn start(run: impl FnOnce(&mut Wire, Interrupt) -> io::Result<u8> + Send + 'static) -> io::Result<Self> {
        let mut wire = Wire::new(32)?;
        wire.listen((Ipv4Addr::LOCALHOST, 0).into())?;
        let (address, waker, interrupt) = (wire.local_address(0)?, wire.waker(), Interrupt::never());
        let inner = interrupt.clone();
        let thread = std::thread::spawn(move || run(&mut wire, inner));
        Ok(Self { address, interrupt, waker, thread })
    }

    fn stop(self) -> io::Result<u8> {
        self.interrupt.raise();
        self.waker.wake();
        self.thread.join().map_err(|_| io::Error::other("a program panicked"))?
    }
}

/// The link says at the end what it did.
struct Counters;

impl Report for Counters {
    fn note(&mut self, note: &Note) -> io::Result<()> {
        if let (Note::Traffic { .. }, Some(text)) = (note, sentence(note)) {
            println!("the link: {text}");
        }
        Ok(())
    }
}

/// The client speaks; the server keeps quiet.
struct Silence;

impl Report for Silence {
    fn note(&mut self, _note: &Note) -> io::Result<()> {
        Ok(())
    }
}
