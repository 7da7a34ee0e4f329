//! The windowed mode: many packets in flight, all of them sealed, and what is known of each.

pub mod acks;
pub mod caller;
pub mod chrono;
pub mod compressed;
pub mod connection;
pub mod delivery;
pub mod download;
pub mod flight;
pub mod gather;
mod greeting;
pub mod inbox;
pub mod ledger;
pub mod log;
pub mod loss;
pub mod marks;
pub mod mtu;
pub mod numbers;
pub mod ordered;
pub mod outbox;
pub mod pacer;
pub mod path_rtt;
pub mod protection;
pub mod pto;
pub mod reception;
pub mod replay;
pub mod streams;
pub mod upload;
pub mod watch;

/// What a client may send before the server says more: the bytes that a server keeps although it does not know yet where they
/// belong, since the manifest that says so may be lost on its way.
pub const DATA_CREDIT: u64 = 4 * 1024 * 1024;

/// The same for the manifest, and for the server's answer.
pub const MANIFEST_CREDIT: u64 = 256 * 1024;
/// See [`MANIFEST_CREDIT`].
pub const ANSWER_CREDIT: u64 = 64 * 1024;

/// How many bytes may wait for the disk, besides those that are written: as many as are under way on a path of 1 Gbit/s and 250 ms.
pub const DATA_WINDOW: u64 = 32 * 1024 * 1024;

/// The same for the manifest, and for the server's answer.
pub const MANIFEST_WINDOW: u64 = 1024 * 1024;
/// See [`MANIFEST_WINDOW`].
pub const ANSWER_WINDOW: u64 = 256 * 1024;
