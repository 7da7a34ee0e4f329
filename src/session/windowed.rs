//! The windowed mode: many packets in flight, and what is known of each of them.

pub mod acks;
pub mod inbox;
pub mod ledger;
pub mod loss;
pub mod mtu;
pub mod numbers;
pub mod outbox;
pub mod path_rtt;
pub mod pto;
pub mod replay;
