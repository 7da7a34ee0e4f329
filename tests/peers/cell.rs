//! One cell of the table: a peer, our program in one of its modes, and what is copied over which link.

use crate::expected::{Class, Expectations};
use std::fmt;

/// What is run and judged; the order is the table's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    pub peer: Side,
    /// The profile's name without the number at its end, and that number: a-s2 comes before a-s10.
    order: (String, u32),
    pub profile: String,
    pub ours: Ours,
    pub column: Column,
}

/// What the peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Server,
    Client,
}

/// Our program on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ours {
    /// `client --mode auto`
    Auto,
    /// `client --mode lab`
    Lab,
    /// `server`
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// This content over a calm link.
    Calm(Class),
    /// Plain content while the peer loses datagrams each way, by this seed.
    Loss(u64),
}

/// All cells in the table's order, with the columns that `columns` gives; losses only where delivery needs no luck.
pub fn all(expectations: &Expectations, columns: impl Fn(Ours) -> Vec<Column>) -> Vec<Cell> {
    let mut cells = Vec::new();
    for ours in [Ours::Auto, Ours::Lab, Ours::Server] {
        let profiles = match ours.peer() {
            Side::Server => &expectations.servers,
            Side::Client => &expectations.clients,
        };
        for (profile, expected) in profiles {
            let tried = |column: &Column| expected.lossy_certain || matches!(column, Column::Calm(_));
            cells.extend(columns(ours).into_iter().filter(tried).map(|column| Cell::new(profile, ours, column)));
        }
    }
    cells.sort();
    cells
}

impl Cell {
    fn new(profile: &str, ours: Ours, column: Column) -> Self {
        let stem = profile.trim_end_matches(|last: char| last.is_ascii_digit());
        let number = profile[stem.len()..].parse().unwrap_or_default();
        Self { peer: ours.peer(), order: (stem.into(), number), profile: profile.into(), ours, column }
    }

    pub fn class(&self) -> Class {
        match self.column {
            Column::Calm(class) => class,
            Column::Loss(_) => Class::Plain,
        }
    }

    pub fn is_lossy(&self) -> bool {
        matches!(self.column, Column::Loss(_))
    }

    /// What takes long had better begin first: two clients repeat only after 2 s and more, and losses cost time-outs.
    pub fn is_short(&self) -> (bool, bool) {
        let is_patient = ["a-c11", "a-c13"].contains(&self.profile.as_str());
        (!(self.is_lossy() && is_patient), !self.is_lossy())
    }
}

impl Ours {
    fn peer(self) -> Side {
        match self {
            Ours::Auto | Ours::Lab => Side::Server,
            Ours::Server => Side::Client,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Ours::Auto => "auto",
            Ours::Lab => "lab",
            Ours::Server => "server",
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Column::Calm(class) => f.write_str(class.word()),
            Column::Loss(seed) => write!(f, "loss {seed}"),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Side::Server => write!(f, "our client ({}) to {}: {}", self.ours.word(), self.profile, self.column),
            Side::Client => write!(f, "{} to our server: {}", self.profile, self.column),
        }
    }
}
