//! The built programs, run as a user runs them, over real sockets on this machine.
//!
//! Every wait has an end of its own, ports are always free ones, and each test ends the programs that it started.

#![expect(clippy::disallowed_methods, reason = "tests of real programs use real time and sockets")]

mod fakes;
mod harness;
mod healing;

mod bad_server;
mod chat;
mod chat_server;
mod compressing;
mod copying;
mod crowds;
mod echo;
mod exits;
mod full_disk;
mod getting;
mod interrupting;
mod killing;
mod limits;
mod links;
mod lossy_link;
mod matrix;
mod negotiating;
mod options;
mod papers;
mod pipes;
mod qlog;
mod resuming;
mod resuming_gets;
mod serving;
mod settings;
mod updating;
mod windowed;
mod windowed_ends;
