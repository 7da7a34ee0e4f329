//! Blocks of the files' bytes that travel compressed.
//!
//! Who sends cuts a block into pieces, who receives puts it together and brings its bytes back, as if they had come as DATA. What is
//! permitted, acknowledged, lost and sent again is counted in bytes of the files on both sides: `outgoing` knows which bytes of a block stand for which of
//! these.

pub mod incoming;
pub mod outgoing;

/// How many blocks may be under way: begun and not wholly acknowledged, or begun and not complete. With it, either side has 8 MiB of
/// them at most.
pub const OPEN_MAX: usize = 64;
