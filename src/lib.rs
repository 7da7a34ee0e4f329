//! Homing copies files over UDP and gets every byte home although the network loses, repeats, delays, reorders and
//! corrupts packets.
//!
//! The rooms, in floor order; a room imports only from lower floors. `ARCHITECTURE.md` has the map and the laws.

#![deny(unsafe_code)]
#![warn(missing_docs)]

// Ground: bytes, names, time, files as a range of bytes.
pub mod chunker;
pub mod codec;
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
