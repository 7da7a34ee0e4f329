//! What a packet is for, what it carries, and what is learnt from one that came.

use crate::session::windowed::streams::Carried;

/// What a packet carried.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    pub carried: Carried,
    /// The numbers that its acknowledgement named, from the lowest to the end.
    pub acknowledged: Option<(u64, u64)>,
}

/// What a datagram is for.
#[derive(Clone, Copy, Debug)]
pub struct Intent {
    /// Its length at most.
    pub size: usize,
    /// It is there to find out whether such a long one passes.
    pub mtu_probe: Option<usize>,
    /// It may carry something that counts.
    pub may_carry: bool,
    /// There is something.
    pub has_next: bool,
    pub wants_ping: bool,
    pub is_ack_due: bool,
}

/// What is learnt of a packet while its frames are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verdict {
    pub ack_eliciting: bool,
    pub is_urgent: bool,
    /// It must not be acknowledged, so that it comes again.
    pub is_dropped: bool,
}
