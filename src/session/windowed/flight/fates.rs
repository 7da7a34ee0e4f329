//! What became of packets, told together.

/// What became of packets since the last time.
#[derive(Debug)]
pub struct Fates<T> {
    /// Those that arrived.
    pub arrived: Vec<Arrived<T>>,
    /// Those that are lost.
    pub lost: Vec<Missing<T>>,
}

impl<T> Default for Fates<T> {
    fn default() -> Self {
        Self { arrived: Vec::new(), lost: Vec::new() }
    }
}

/// A packet that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived<T> {
    /// Its number.
    pub number: u64,
    /// It had been deemed lost.
    pub is_spurious: bool,
    /// What it carried.
    pub content: T,
}

/// A packet that is deemed lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing<T> {
    /// Its number.
    pub number: u64,
    /// Its length in bytes of UDP payload.
    pub bytes: u32,
    /// It was to find out whether its size passes.
    pub is_mtu_probe: bool,
    /// Since enough later ones arrived (RFC 9002 section 6.1.1), not since it was sent long ago.
    pub is_overtaken: bool,
    /// What it carried.
    pub content: T,
}
