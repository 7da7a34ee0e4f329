//! The chat's programs.

pub mod client;
pub mod commands;
mod files;
mod people;
pub mod registry;
mod tell;
mod underway;
