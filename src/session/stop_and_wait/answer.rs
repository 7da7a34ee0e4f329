//! What a server answers: at most one datagram, and never more than came.

use crate::packet::lab::{Message, Spelling};

/// The answer to the datagram at hand.
pub type Reply = Option<Vec<u8>>;

/// `a | next`, or `a|next`.
pub(super) fn ack(spelling: Spelling, next: u64) -> Vec<u8> {
    Message::Ack { next, bufsize: None, words: None }.to_datagram(spelling).unwrap_or_default()
}

/// `e | seq | reason`, cut to the length of what it answers; `None` when not even the reason's first letter fits.
pub fn refusal(seq: u64, reason: &str, trigger: usize) -> Reply {
    let mut datagram = Message::Error { seq, reason: reason.as_bytes() }.to_datagram(Spelling::Spaced).ok()?;
    let header = datagram.len() - reason.len();
    let mut end = trigger.min(datagram.len());
    while end > header && !reason.is_char_boundary(end - header) {
        end -= 1;
    }
    datagram.truncate(end);
    (end > header).then_some(datagram)
}
