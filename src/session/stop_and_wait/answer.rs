//! What a server answers: at most one datagram, and never more than came.

use crate::packet::lab::{Message, Spelling};

/// The answer to the datagram at hand.
pub type Reply = Option<Vec<u8>>;

/// `a | next`, or `a|next`.
pub(super) fn ack(spelling: Spelling, next: u64) -> Vec<u8> {
    Message::Ack { next, bufsize: None, words: None }.to_datagram(spelling).unwrap_or_default()
}

/// Whether this reads like the reason of an `e`: short, and text. A data message whose first byte was damaged by one bit is an
/// `e` too, and shall not end the transfer.
pub(super) fn is_reason(reason: &[u8]) -> bool {
    let text = std::str::from_utf8(reason).ok().filter(|text| text.len() <= REASON_MAX);
    text.is_some_and(|text| !text.chars().any(char::is_control))
}

/// Far longer than any reason of ours, far shorter than a usual chunk.
const REASON_MAX: usize = 200;

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
