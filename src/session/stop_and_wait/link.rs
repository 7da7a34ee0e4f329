//! What the sender knows of its peer once the start is acknowledged, and the one message in the air.

use crate::packet::MAX_DATAGRAM;
use crate::packet::lab::Spelling;
use crate::session::{CHECKED, OURS};
use std::time::Instant;

/// The one message in the air.
pub(super) struct InFlight {
    pub(super) seq: u64,
    /// The number that acknowledges it.
    pub(super) awaits: u64,
    pub(super) payload: usize,
    pub(super) datagram: Vec<u8>,
    pub(super) first_sent: Instant,
    pub(super) last_sent: Instant,
    pub(super) timeouts: u32,
    pub(super) due: Instant,
}

/// What the start's acknowledgement settled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) checked: bool,
    pub(super) bufsize: usize,
    pub(super) counting: Counting,
    pub(super) next_seq: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    /// Each number one more than the last.
    Consecutive,
    /// 1, 0, 1, 0, ...
    Alternating,
}

impl Counting {
    /// The number after this one, which also acknowledges it.
    pub(super) fn after(self, seq: u64) -> u64 {
        match self {
            Counting::Consecutive => seq.wrapping_add(1),
            Counting::Alternating => seq.wrapping_add(1) % 2,
        }
    }
}

/// What a start's acknowledgement comes to.
pub(super) enum Settled {
    /// It is known how to go on.
    Link(Link),
    /// A server of ours seems to offer no checksum; so it would go on then.
    OtherWords(Link),
}

impl Link {
    /// What a start's acknowledgement settles; `None` if it is not the one for a start that `awaits` this number. A fourth field
    /// that is not ours was damaged on the way: taking it for a plain server's would drop the checksum from the end.
    pub(super) fn settle(
        spelling: Spelling,
        offered: bool,
        awaits: u64,
        ack: (u64, Option<u64>, Option<&[u8]>),
    ) -> Option<Settled> {
        let (next, bufsize, words) = ack;
        let compact = spelling == Spelling::Compact;
        // One known server always answers 0 and goes on from there.
        if next != awaits && (next != 0 || compact) {
            return None;
        }
        let counting = match bufsize {
            None | Some(COMPACT_DATAGRAM) if compact => Counting::Alternating,
            _ => Counting::Consecutive,
        };
        let limit = bufsize.unwrap_or(if compact { COMPACT_DATAGRAM } else { SPACED_DATAGRAM });
        let bufsize = usize::try_from(limit).unwrap_or(MAX_DATAGRAM).min(MAX_DATAGRAM);
        if bufsize < BUFSIZE_MIN {
            return None;
        }
        let link = |checked| Link { checked, bufsize, counting, next_seq: next };
        match words {
            None => Some(Settled::Link(link(false))),
            Some(words) if !offered || next != awaits || !is_ours(words) => None,
            Some(words) if offers_checked(words) => Some(Settled::Link(link(true))),
            Some(_) => Some(Settled::OtherWords(link(false))),
        }
    }
}

/// Whether the words are those of a server of ours.
fn is_ours(words: &[u8]) -> bool {
    words.split(|byte| *byte == b' ').next() == Some(OURS.as_bytes())
}

fn offers_checked(words: &[u8]) -> bool {
    words.split(|byte| *byte == b' ').any(|word| word == CHECKED.as_bytes())
}

/// What a spaced server reads that announces no size; every known one reads 1024.
const SPACED_DATAGRAM: u64 = 1024;

/// What every compact server reads; announcing another size is how the 2021 servers are told apart.
pub(super) const COMPACT_DATAGRAM: u64 = 20_480;

/// An announced buffer below this is damage, not a wish: no header and no file would get through.
const BUFSIZE_MIN: usize = 64;
