//! The chat's programs.

pub mod registry;
