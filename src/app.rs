//! What the programs do with the events of their machines.

pub mod album;
pub(crate) mod auto;
pub mod chat;
pub mod check;
pub mod cli;
mod contact;
pub mod copy;
pub mod echo;
pub mod exit;
pub(crate) mod get;
pub mod link;
pub mod remedy;
pub(crate) mod send;
pub mod serve;

use std::time::Duration;

/// What a person has patience for, who looks at a line that does not move.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// A laptop is closed and opened again, a router starts anew: a path that was there comes back. A server keeps a transfer as long as a client
/// tries.
pub(crate) const WINDOWED_TIMEOUT: Duration = Duration::from_secs(300);
