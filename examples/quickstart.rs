//! The main job in one command: a picture through a link with 15 % loss, by the library's own server, client and link. The two are of
//! one kind, so that it goes in the windowed mode: encrypted, many packets at once.
//!
//! `cargo run --release --example quickstart [FILE]`

use homing::app::link::relay;
use homing::io::events::{Listener, Note, Volume, sentence};
use homing::io::progress::HumanReport;
use homing::io::signals::Interrupt;
use homing::io::source::Source;
use homing::io::udp::{Waker, Wire};
use homing::relay::Relay;
use homing::{Client, Server};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
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
    let sent = Source::open(&file)?.digest()?;
    let inbox = tempfile::Builder::new().prefix("homing-quickstart-").tempdir()?.keep();
    let remote = file.file_name().ok_or("a file, please")?.to_string_lossy().into_owned();

    // Keys of this example's own: nobody is remembered.
    let keys = tempfile::Builder::new().prefix("homing-quickstart-keys-").tempdir()?;
    let server = Server::new(&inbox).bind(Ipv4Addr::LOCALHOST).config_dir(keys.path()).start()?;
    let link = Link::start(server.address())?;
    println!("server at {}, behind a link with 15 % loss each way at {}", server.address(), link.address);

    let copied = Client::new(link.address.to_string())
        .config_dir(keys.path())
        .timeout(Duration::from_secs(30))
        .sha256(true)
        .report(HumanReport::new(Volume::Normal))
        .signals(Interrupt::watch)
        .send([&file], &remote);
    link.stop()?;
    server.stop()?;
    if let Err(error) = copied {
        // The report has said why.
        return Ok(ExitCode::from(error.exit_code()));
    }

    let arrived = inbox.join(remote);
    let received = Source::open(&arrived)?.digest()?;
    println!("sent      {}  {}", hex::encode(sent), file.display());
    println!("received  {}  {}", hex::encode(received), arrived.display());
    println!("{}", if sent == received { "the same, byte for byte" } else { "DIFFERENT" });
    Ok(if sent == received { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Bad weather on a thread of its own, as `lossy_link` makes it.
struct Link {
    address: SocketAddr,
    interrupt: Interrupt,
    waker: Waker,
    thread: JoinHandle<io::Result<u8>>,
}

impl Link {
    fn start(server: SocketAddr) -> io::Result<Self> {
        let weather = "loss=15%,delay=2ms".parse().map_err(io::Error::other)?;
        let mut wire = Wire::new(32)?;
        wire.listen((Ipv4Addr::LOCALHOST, 0).into())?;
        let (address, waker, interrupt) = (wire.local_address(0)?, wire.waker(), Interrupt::never());
        let inner = interrupt.clone();
        // It says at the end what it did.
        let mut counters = Listener(|note: &Note| {
            if let (Note::Traffic { .. }, Some(text)) = (note, sentence(note)) {
                println!("the link: {text}");
            }
        });
        let thread = std::thread::spawn(move || {
            let mut link = Relay::new(server, weather, 7);
            relay(&mut wire, &mut link, server, &mut counters, inner)
        });
        Ok(Self { address, interrupt, waker, thread })
    }

    fn stop(self) -> io::Result<u8> {
        self.interrupt.raise();
        self.waker.wake();
        self.thread.join().map_err(|_| io::Error::other("the link panicked"))?
    }
}
