//! What passed between a client and a server: recorded at one end or at both, kept, and drawn as a ladder.
//!
//! A [`Recorder`] is told of datagrams by whoever sees them pass; what it gives is an [`Exchange`], a plain list of
//! [`Step`]s. Nothing here reads a clock: the time is an argument.

mod recorder;
mod recordings;
mod step;

pub use recorder::{Mark, Recorder};
pub use recordings::{Line, Noted, Recordings};
pub use step::{Did, Exchange, Side, Step, Vantage, words};
