//! What the programs do with the events of their machines.

pub mod album;
pub mod auto;
pub mod chat;
pub mod check;
pub mod cli;
pub mod copy;
pub mod echo;
pub mod exit;
pub mod get;
pub mod link;
pub mod remedy;
pub mod send;
pub mod serve;
