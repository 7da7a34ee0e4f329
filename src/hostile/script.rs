//! What a misbehaviour remembers of a peer, and what it makes of each answer.

use crate::endpoint::SessionId;
use crate::packet::Packet;
use crate::packet::lab::{self, Message, Spelling};
use crate::session::Via;
use crate::weather::Misbehaviour;

/// What a misbehaviour remembers of a transfer.
#[derive(Default)]
pub(super) struct Script {
    /// The start that it is about.
    start: Vec<u8>,
    /// The server has forgotten this transfer and stays silent about it.
    pub(super) forgotten: bool,
    pub(super) starts: u64,
    pub(super) start_acks: u64,
    pub(super) data: u64,
    pub(super) data_acks: u64,
    pub(super) lost_last: bool,
    pub(super) previous_ack: Option<Vec<u8>>,
    pub(super) offered: bool,
    pub(super) size: u64,
    pub(super) received: u64,
    pub(super) last_seq: Option<u64>,
    /// The kind of the last message that reached the endpoint.
    pub(super) asked: Option<u8>,
    pub(super) session: Option<SessionId>,
}

/// What happens to an answer, and what goes before it.
pub(super) struct Companions {
    pub(super) before: Vec<(Via, Vec<u8>)>,
    pub(super) fate: AnswerFate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerFate {
    Goes,
    Twice,
    Late,
    /// Until there is another answer for this peer.
    Kept,
    Lost,
}

impl Script {
    /// Whether this is a start other than the one that the script is about.
    pub(super) fn is_new_start(&self, datagram: &[u8]) -> bool {
        is_start(datagram) && self.start != datagram
    }

    /// A start came: another one than before begins a new script.
    pub(super) fn begin(&mut self, offered: bool, size: u64, datagram: &[u8]) {
        if self.start != datagram {
            *self = Self { start: datagram.to_vec(), ..Self::default() };
        }
        self.starts += 1;
        self.offered = offered;
        self.size = size;
    }

    pub(super) fn take(&mut self, seq: u64, chunk: &[u8]) {
        if self.last_seq.replace(seq) != Some(seq) {
            self.received += chunk.len() as u64;
        }
    }

    /// Whether the answer at hand ends the transfer: the checksum's, or to a plain peer the last chunk's.
    fn is_at_end(&self) -> bool {
        match self.asked {
            Some(b'c') => true,
            Some(b'd') => !self.offered && self.received >= self.size,
            _ => false,
        }
    }

    /// What a misbehaviour makes of this answer.
    pub(super) fn companions(&mut self, misbehaviour: Option<Misbehaviour>, main: Via, answer: &[u8]) -> Companions {
        let mut before = Vec::new();
        let mut fate = AnswerFate::Goes;
        let is_ack = matches!(Packet::decode(answer), Ok(Packet::Lab(_, Message::Ack { .. })));
        let (is_start_ack, is_data_ack) = (is_ack && self.asked == Some(b's'), is_ack && self.asked == Some(b'd'));
        self.start_acks += u64::from(is_start_ack);
        self.data_acks += u64::from(is_data_ack);
        match misbehaviour {
            Some(Misbehaviour::Silent) => fate = AnswerFate::Lost,
            _ if !is_ack => {}
            Some(Misbehaviour::LoseStartAck) if is_start_ack && self.start_acks == 1 => fate = AnswerFate::Lost,
            Some(Misbehaviour::LoseEveryOtherAck) if is_data_ack && self.data_acks % 2 == 1 => fate = AnswerFate::Lost,
            Some(Misbehaviour::LoseLastAck) if self.is_at_end() && !self.lost_last => {
                self.lost_last = true;
                fate = AnswerFate::Lost;
            }
            Some(Misbehaviour::DuplicateAcks) => fate = AnswerFate::Twice,
            Some(Misbehaviour::LateAcks) => fate = AnswerFate::Late,
            Some(Misbehaviour::LateAck) if is_data_ack && self.data_acks == LATE_ONE => fate = AnswerFate::Kept,
            Some(Misbehaviour::StaleAcks) => before.extend(self.previous_ack.clone().map(|ack| (main, ack))),
            Some(Misbehaviour::FutureAcks) => before.extend(future(answer).map(|ack| (main, ack))),
            Some(Misbehaviour::Garbage) => before.extend([(main, Vec::new()), (main, GARBAGE.to_vec())]),
            Some(Misbehaviour::TruncatedAcks) => before.push((main, beginning(answer).to_vec())),
            Some(Misbehaviour::WrongPort) => before.push((Via { socket: FALSE_SOCKET, ..main }, answer.to_vec())),
            _ => {}
        }
        if is_ack {
            self.previous_ack = Some(answer.to_vec());
        }
        Companions { before, fate }
    }
}

pub(super) fn is_start(datagram: &[u8]) -> bool {
    matches!(Packet::decode(datagram), Ok(Packet::Lab(_, Message::Start { .. })))
}

/// The acknowledgement that a chunk with this number would get.
pub(super) fn lab_ack(spelling: Spelling, seq: u64) -> Option<Vec<u8>> {
    let next = match spelling {
        Spelling::Spaced => seq.checked_add(1)?,
        Spelling::Compact if seq > 1 => seq.checked_add(1)?,
        Spelling::Compact => return Some(if seq == 1 { lab::UNDECIDED_ACK.to_vec() } else { b"a|1".to_vec() }),
    };
    Message::Ack { next, bufsize: None, words: None }.to_datagram(spelling).ok()
}

/// The same acknowledgement with a number one too high.
fn future(answer: &[u8]) -> Option<Vec<u8>> {
    let Ok(Packet::Lab(spelling, Message::Ack { next, bufsize, words })) = Packet::decode(answer) else { return None };
    Message::Ack { next: next.checked_add(1)?, bufsize, words }.to_datagram(spelling).ok()
}

/// An acknowledgement cut before its number: `a | ` or `a|`.
fn beginning(answer: &[u8]) -> &[u8] {
    let end = answer.iter().position(u8::is_ascii_digit).unwrap_or(1);
    answer.get(..end).unwrap_or(answer)
}

/// The number of the socket from which false answers come.
pub const FALSE_SOCKET: usize = 1;

/// Which acknowledgement of data is the late one: early enough that many chunks come after it.
const LATE_ONE: u64 = 2;

const GARBAGE: &[u8] = b"\x00\xffgarbage";
