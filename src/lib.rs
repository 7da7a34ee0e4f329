//! Homing copies files over UDP and gets every byte home although the network loses, repeats, delays, reorders and
//! corrupts packets.
//!
//! This is the library behind the programs `client` and `server`: [`Client`] copies files and folders to a server, or gets them from one,
//! and [`Server`] takes and gives them. Both block, and need no runtime; each does all that its program does, and talks with every program
//! of its kind, those of the networking exercise among them.
//!
//! ```
//! # use std::fs;
//! # let (here, there, keys) = (tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?);
//! # let (here, there, keys) = (here.path(), there.path(), keys.path());
//! use homing::{Client, Server};
//! use std::net::Ipv4Addr;
//!
//! let notes = here.join("notes.txt");
//! fs::write(&notes, "every byte")?;
//!
//! let server = Server::new(there).bind(Ipv4Addr::LOCALHOST).config_dir(keys).allow_get(true).start()?;
//! let mut client = Client::new(server.address().to_string()).config_dir(keys);
//!
//! let sent = client.send([&notes], "today.txt")?;
//! assert_eq!((sent.files, sent.bytes, sent.verified), (1, 10, true));
//! assert_eq!(fs::read(there.join("today.txt"))?, b"every byte");
//!
//! client.get(["today.txt"], here.join("again.txt"))?;
//! assert_eq!(fs::read(here.join("again.txt"))?, b"every byte");
//!
//! let served = server.stop()?;
//! assert_eq!((served.uploads, served.downloads), (1, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modes
//!
//! With its own kind a client talks in the *windowed* mode: many encrypted packets in flight, folders, several files at once, verified by
//! BLAKE3, resumed where an earlier try was interrupted. With a plain server of the exercise it falls back to the exercise's *lab*
//! protocol, which moves one chunk a round trip, neither encrypted nor verified. [`Client::mode`] asks for one of them ([`Mode`]), and
//! [`Summary::mode`] says which it was. The lab's start has no words for folders, several files, or options such as
//! [`Client::preserve`]; what needs them is windowed or fails.
//!
//! # Keys
//!
//! Every server has a key, and every client remembers those of the servers that it met, in a folder that the programs use as well:
//! `$XDG_CONFIG_HOME/homing`, or `~/.config/homing`. Another one is named with [`Client::config_dir`] and [`Server::config_dir`]. A server
//! that shows another key than before is [`Error::KeyChanged`], and nothing is sent to it. [`RunningServer::fingerprint`] is what two people compare.
//!
//! # Errors
//!
//! [`Error`] is sorted by what a caller can do about it, and displays as the sentence that the programs say: the thing, the reason, the
//! remedy. Where some of several files were refused, the others are copied all the same: [`Error::summary`] says how many, and why not the
//! others. No file is ever half there: it gets its name when it is complete, verified where the mode can, and durable.
//!
//! ```no_run
//! use homing::{Client, Error};
//!
//! match Client::new("lab.example:12300").recursive(true).send(["photos"], "backup/") {
//!     Ok(copied) => println!("{} files", copied.files),
//!     Err(error @ (Error::NoAnswer(_) | Error::NotConfirmed(_))) => println!("worth another try: {error}"),
//!     Err(error) => match error.summary() {
//!         Some(partly) => println!("{} files, but not all: {:?}", partly.files, partly.reasons),
//!         None => println!("nothing: {error}"),
//!     },
//! }
//! ```
//!
//! # Meanwhile
//!
//! [`Client::on_event`] and [`Server::on_event`] hear of everything that happens ([`Note`]); a [`Canceller`] ends a call from another
//! thread, in order. The library prints nothing and touches no signal unless asked to. A server raises the process's limit of open
//! files as far as it may.
//!
//! # Without sockets
//!
//! What is beneath does no input or output at all ([`session`]): machines are told of datagrams and of the time, and asked for datagrams,
//! deadlines and events. Whoever has a loop of his own drives them himself, as here the client of the exercise; [`io::driver`] is the
//! loop that the programs use, and [`endpoint::Endpoint`] the server's machine.
//!
//! ```
//! use homing::Spelling;
//! use homing::session::stop_and_wait::{Event, Outcome, Sender, Transfer};
//! use homing::session::{Machine, Mode, Via};
//! use std::time::{Duration, Instant};
//!
//! let (server, now) = ("192.0.2.7:12300".parse()?, Instant::now());
//! let transfer = Transfer {
//!     peers: vec![server],
//!     spelling: Spelling::Spaced,
//!     mode: Mode::Lab,
//!     name: "notes.txt".into(),
//!     size: 10,
//!     nonce: 0,
//!     timeout: Duration::from_secs(30),
//! };
//! let mut sender = Sender::new(transfer, now)?;
//! let said = |sender: &mut Sender| sender.poll_transmit(now).map(|transmit| transmit.bytes);
//! assert_eq!(said(&mut sender).as_deref(), Some(&b"s | 0 | notes.txt | 10"[..]));
//!
//! sender.handle_datagram(Via::socket(0), server, b"a | 1 | 1024", now);
//! assert!(matches!(sender.poll_event(), Some(Event::Connected { .. })));
//! assert!(matches!(sender.poll_event(), Some(Event::WantsChunk { .. })));
//! sender.handle_chunk(b"every byte".to_vec(), now);
//! assert_eq!(said(&mut sender).as_deref(), Some(&b"d | 1 | every byte"[..]));
//!
//! sender.handle_datagram(Via::socket(0), server, b"a | 2", now);
//! let over = std::iter::from_fn(|| sender.poll_event()).last();
//! assert_eq!(over, Some(Event::Over(Outcome::Delivered)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The rooms, in floor order; a room imports only from lower floors. `ARCHITECTURE.md` has the map and the laws.

#![deny(unsafe_code)]
#![warn(missing_docs)]

// Ground: bytes, names, time, files as a range of bytes.
pub mod chunker;
pub mod codec;
pub mod compression;
pub mod limits;
pub mod name;
pub mod ranges;
pub mod rate;
pub mod rtt;
pub mod weather;

// First floor: what a datagram says.
pub mod packet;

// Second floor: what every session is, and what passes between two of them.
pub mod session;
pub mod trace;

// Third floor: which session a datagram belongs to.
pub mod chat;
pub mod echo;
pub mod endpoint;
pub mod harbour;
pub mod hostile;
pub mod porter;
pub mod relay;
pub mod tap;

// Fourth floor: the rooms with windows.
pub mod io;

// Fifth floor: what a program does with events.
pub mod app;

// Sixth and seventh: the same for other programs.
mod client;
mod outcome;
mod server;

pub use client::{Client, Mode};
#[doc(inline)]
pub use compression::Compression;
#[doc(inline)]
pub use io::events::{Note, Report};
#[doc(inline)]
pub use io::signals::Canceller;
#[doc(inline)]
pub use io::sources::Pattern;
#[doc(inline)]
pub use io::throttle::Limit as RateLimit;
#[doc(inline)]
pub use limits::Limit;
pub use outcome::{Error, Failure, Rehearsal, Served, Summary};
#[doc(inline)]
pub use packet::Spelling;
pub use server::{RunningServer, Server};
#[doc(inline)]
pub use session::congestion::Choice as Congestion;
#[doc(inline)]
pub use session::handshake::Fingerprint;
