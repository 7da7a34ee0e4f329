//! The rooms with windows: sockets, disks, terminals, signals, and the clock.

pub mod asker;
pub mod board;
pub mod clock;
pub mod config_file;
pub mod driver;
pub mod effort;
pub mod events;
pub mod gauge;
pub mod identity;
pub mod journal;
pub mod limits;
pub mod lines;
pub mod pour;
pub mod processor;
pub mod program;
pub mod progress;
pub mod qlog;
pub mod recording;
pub mod signals;
pub mod source;
pub mod sources;
pub mod spool;
pub mod store;
pub mod trees;
pub mod udp;
pub mod workers;
