//! Whether the path carries marks of congestion, and whether there are new ones (RFC 9000 section 13.4.2).

use crate::packet::windowed::frame::EcnCounts;

/// What the peer has counted so far, and whether it is believed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    has_failed: bool,
    counts: EcnCounts,
}

impl Marks {
    /// Whether packets should say that we understand marks.
    pub fn are_believed(&self) -> bool {
        !self.has_failed
    }

    /// The peer's counts came with an acknowledgement of `marked` packets that could be marked. Says whether the network
    /// has marked any of them. Where the peer does not count every one of them, somebody on the path wipes or changes
    /// what they say, and nothing is believed any more.
    pub fn on_counts(&mut self, counts: Option<EcnCounts>, marked: u64) -> bool {
        if self.has_failed || marked == 0 {
            return false;
        }
        let before = self.counts;
        let after = counts.unwrap_or(before);
        self.counts = after;
        let grown = (after.ect0.saturating_sub(before.ect0)).saturating_add(after.ce.saturating_sub(before.ce));
        self.has_failed = counts.is_none() || grown < marked || after.ect1 > 0;
        !self.has_failed && after.ce > before.ce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_count_until_somebody_wipes_them() {
        let counts = |ect0, ect1, ce| Some(EcnCounts { ect0, ect1, ce });
        let mut marks = Marks::default();
        assert!(!marks.on_counts(None, 0), "nothing could be marked");
        assert!(!marks.on_counts(counts(3, 0, 0), 3));
        assert!(marks.on_counts(counts(4, 0, 1), 2));
        assert!(!marks.on_counts(counts(6, 0, 1), 2), "no new one");
        assert!(marks.are_believed());
        for (name, counts) in [("wiped", counts(7, 0, 1)), ("not told", None), ("changed", counts(8, 1, 1))] {
            let mut marks = marks;
            assert!(!marks.on_counts(counts, 2), "{name}");
            assert!(!marks.are_believed(), "{name}");
        }
    }
}
