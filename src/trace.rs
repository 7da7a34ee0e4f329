//! What passed between a client and a server: recorded at one end or at both, kept, and drawn as a ladder.
//!
//! A [`Recorder`] is told of datagrams by whoever sees them pass; what it gives is an [`Exchange`], a plain list of
//! [`Step`]s. A [`Story`] is what is to be drawn of it, [`svg()`] and [`text()`] draw it. Nothing here reads a clock: the time
//! is an argument.

mod crossing;
mod fold;
mod guess;
pub mod plot;
mod quantity;
mod recorder;
mod recordings;
mod step;
mod story;
mod svg;
mod text;

pub use crossing::{Arrival, Crossing, Fate, Moment, Remark, Totals, Wait};
pub use fold::{Fold, Row, Why};
pub use recorder::{Mark, Recorder};
pub use recordings::{Line, Noted, Recordings};
pub use step::{Did, Exchange, Side, Step, Vantage, headline, words};
pub use story::{Event, Story};
pub use svg::svg;
pub use text::text;
