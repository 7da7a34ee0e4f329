//! The chat's programs.

pub mod client;
pub mod commands;
mod files;
mod people;
pub mod plan;
pub mod registry;
mod tell;
mod underway;
mod verdict;

use std::io;

/// Bytes that nobody can guess.
///
/// # Errors
/// When the system has none.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}
