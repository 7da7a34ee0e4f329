//! The windowed mode: many packets in flight, all of them sealed, and what is known of each.

pub mod acks;
pub mod delivery;
pub mod inbox;
pub mod ledger;
pub mod loss;
pub mod mtu;
pub mod numbers;
pub mod outbox;
pub mod pacer;
pub mod path_rtt;
pub mod protection;
pub mod pto;
pub mod replay;
