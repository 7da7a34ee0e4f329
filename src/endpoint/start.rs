//! A start as it came, and how it is answered.

use super::event::Config;
use crate::name::SafeName;
use crate::packet::MAX_DATAGRAM;
use crate::packet::lab::{Message, Spelling};
use crate::session::stop_and_wait::{Numbering, Start};
use crate::session::{PLAIN_WORDS, is_offer};

/// A start as it came, before its name is known to be safe.
pub(super) struct StartMessage<'a> {
    pub(super) spelling: Spelling,
    pub(super) seq: u64,
    /// How many digits the number had.
    pub(super) digits: usize,
    pub(super) name: &'a [u8],
    pub(super) size: u64,
}

impl StartMessage<'_> {
    /// The start, now that its name is known to be safe and its answer to fit.
    pub(super) fn admissible(
        &self,
        name: SafeName,
        checked: bool,
        id: [u8; 16],
        length: usize,
        answer: Vec<u8>,
    ) -> Start {
        let (spelling, seq, size, numbering) = (self.spelling, self.seq, self.size, numbering(self, checked));
        Start { spelling, seq, name, size, checked, id, length, answer, numbering }
    }
}

/// How many digits the number of a start has.
pub(super) fn start_digits(datagram: &[u8], spelling: Spelling) -> usize {
    let mut cursor = crate::codec::Cursor::new(datagram);
    let mut field = || cursor.field(spelling.separator());
    field().and_then(|_| field()).map_or(0, <[u8]>::len)
}

/// How a peer counts, as far as its start tells.
fn numbering(start: &StartMessage<'_>, checked: bool) -> Numbering {
    match start.spelling {
        _ if checked => Numbering::Exact,
        Spelling::Spaced => Numbering::Counting { step: 1 },
        // Only the 2021 hand-out pads numbers or begins elsewhere than at 0.
        Spelling::Compact if start.digits > 1 || start.seq != 0 => Numbering::Counting { step: 1 },
        Spelling::Compact => Numbering::Undecided,
    }
}

/// How a start is answered.
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    /// The end will be verified by a checksum.
    pub(super) checked: bool,
    /// The client may go on in the windowed mode instead.
    pub(super) windowed: bool,
}

/// The best answer that is not longer than the start: with the `windowed` mode's words to one that offers, without them, without any.
pub(super) fn best_answer(
    start: &StartMessage<'_>,
    windowed: Option<&str>,
    config: &Config,
    length: usize,
) -> Option<Answer> {
    let offers = is_offer(start.seq) && start.spelling == Spelling::Spaced;
    let ours = [windowed, Some(PLAIN_WORDS)].into_iter().flatten().filter(|_| offers).map(Some);
    ours.chain([None]).find_map(|words| {
        let bytes = start_answer(start, config, words, length)?;
        Some(Answer { bytes, checked: words.is_some(), windowed: words.is_some_and(|words| words != PLAIN_WORDS) })
    })
}

/// The start's acknowledgement, never longer than the start: the size announced shrinks, or is left out, before that.
fn start_answer(start: &StartMessage<'_>, config: &Config, words: Option<&str>, length: usize) -> Option<Vec<u8>> {
    let next = start.seq.checked_add(1)?;
    let words = words.map(str::as_bytes);
    let sizes = match start.spelling {
        Spelling::Spaced => [Some(config.bufsize), Some(config.bufsize.min(9999)), Some(config.bufsize.min(999)), None],
        // Both compact hand-outs read it: the 2023 clients only byte 2, the 2021 ones the size as well.
        Spelling::Compact => [Some(config.compact_bufsize), None, None, None],
    };
    sizes.into_iter().find_map(|size| {
        let bufsize = size.map(|size| size.min(MAX_DATAGRAM) as u64);
        let answer = Message::Ack { next, bufsize, words }.to_datagram(start.spelling).ok()?;
        (answer.len() <= length).then_some(answer)
    })
}
