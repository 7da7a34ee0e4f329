//! One end of a connection that was opened as it should be, and is in the hands of somebody who says what he likes.

use homing::codec::{VARINT_MAX, Writer};
use homing::packet::windowed::frame::{Frame, Frames, Space};
use homing::packet::windowed::{ConnectionId, Datagram};
use homing::session::windowed::protection::{Keys, Opener, Sealer};
use std::time::Instant;

/// Who has the keys, and no manners.
pub struct Pirate {
    sealer: Sealer,
    opener: Opener,
    to: ConnectionId,
    next: u64,
    /// The numbers of what came, in order.
    pub heard: Vec<u64>,
    /// Challenges that came, the last one last.
    pub challenges: Vec<[u8; 8]>,
    /// How far he was allowed to send, and where what came to him ended, in each space.
    pub granted: [u64; 3],
    pub reached: [u64; 3],
    pub is_closed: bool,
    /// His last packets, to be sent again.
    pub said: Vec<Vec<u8>>,
}

impl Pirate {
    pub fn new(keys: &Keys, to: ConnectionId) -> Self {
        Self {
            sealer: Sealer::new(keys.cipher, &keys.send),
            opener: Opener::new(keys.cipher, &keys.receive),
            to,
            next: 0,
            heard: Vec::new(),
            challenges: Vec::new(),
            granted: [0; 3],
            reached: [0; 3],
            is_closed: false,
            said: Vec::new(),
        }
    }

    /// These bytes, sealed as frames; `skip` packet numbers are left out before.
    pub fn seal(&mut self, frames: &[u8], skip: u64) -> Vec<u8> {
        self.next = self.next.saturating_add(skip).min(VARINT_MAX);
        let mut out = Vec::new();
        if let Ok(mut draft) = self.sealer.begin(self.to, self.next, 65_000, &mut out) {
            let cut = &frames[..frames.len().min(60_000)];
            draft.frames().bytes(cut).expect("there is room");
            draft.seal();
            self.next += 1;
        }
        self.said.truncate(15);
        self.said.insert(0, out.clone());
        out
    }

    pub fn seal_frames(&mut self, frames: &[Frame<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for frame in frames {
            // What cannot be written is not said.
            let _ = frame.encode(&mut Writer::new(&mut bytes, 60_000));
        }
        self.seal(&bytes, 0)
    }

    /// An acknowledgement of the numbers from `first` on, `count` of them.
    pub fn acknowledge(&mut self, first: u64, count: u64, delay: u64) -> Vec<u8> {
        let mut bytes = vec![2];
        let mut writer = Writer::new(&mut bytes, 100);
        let last = first.saturating_add(count.saturating_sub(1)).min(VARINT_MAX);
        for number in [last, delay.min(VARINT_MAX), 0, last - first.min(last)] {
            writer.varint(number).expect("there is room");
        }
        self.seal(&bytes, 0)
    }

    /// Of all that came, in as many ranges as there are; the oldest are left out.
    pub fn acknowledge_truly(&mut self) -> Option<Vec<u8>> {
        let mut numbers = self.heard.clone();
        numbers.sort_unstable();
        numbers.dedup();
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for number in numbers.into_iter().rev() {
            match ranges.last_mut() {
                Some((first, _)) if *first == number + 1 => *first = number,
                _ => ranges.push((number, number)),
            }
        }
        ranges.truncate(200);
        let (first, last) = *ranges.first()?;
        let mut bytes = vec![2];
        let mut writer = Writer::new(&mut bytes, 6000);
        for number in [last, 0, ranges.len() as u64 - 1, last - first] {
            writer.varint(number).expect("there is room");
        }
        for pair in ranges.windows(2) {
            let ((before, _), (first, last)) = (pair[0], pair[1]);
            for number in [before - last - 2, last - first] {
                writer.varint(number).expect("there is room");
            }
        }
        Some(self.seal(&bytes, 0))
    }

    /// The next packet has another key.
    pub fn change_key(&mut self) {
        self.sealer.on_acknowledged(VARINT_MAX);
        self.sealer.want_update();
    }

    /// A datagram came; says whether it is a packet of this connection, and genuine.
    pub fn hear(&mut self, datagram: &[u8], now: Instant) -> bool {
        let mut bytes = datagram.to_vec();
        let Ok(Datagram::Packet(header)) = Datagram::decode(datagram) else { return false };
        let number = self.opener.number(&header);
        let Ok(frames) = self.opener.open(&header, number, &mut bytes, now) else { return false };
        assert!(!self.heard.contains(&number), "a number is used once");
        self.heard.push(number);
        if self.heard.len() > 5000 {
            self.heard.drain(..2500);
        }
        for frame in Frames::new(frames) {
            match frame.expect("what honest machines say can be read") {
                Frame::PathChallenge(bytes) => self.challenges.push(bytes),
                Frame::MaxBytes { space, limit } => {
                    let granted = &mut self.granted[place(space)];
                    *granted = limit.max(*granted);
                }
                Frame::Bytes { space, offset, bytes } => {
                    let reached = &mut self.reached[place(space)];
                    *reached = (offset + bytes.len() as u64).max(*reached);
                }
                Frame::Close { .. } => self.is_closed = true,
                _ => {}
            }
        }
        true
    }
}

pub fn place(space: Space) -> usize {
    match space {
        Space::Data => 0,
        Space::Manifest => 1,
        Space::Answer => 2,
    }
}

pub fn space(byte: u8) -> Space {
    [Space::Data, Space::Manifest, Space::Answer, Space::Data][usize::from(byte & 3)]
}

/// Offsets and limits at which something changes.
pub fn offset(byte: u8) -> u64 {
    let far = [0, 1, 1200, 65_535, 262_144, 1 << 20, 4 << 20, 32 << 20, 1 << 31, 1 << 32, 1 << 53, VARINT_MAX];
    let place = usize::from(byte) % (far.len() + 16);
    match far.get(place) {
        Some(offset) => offset.saturating_sub(u64::from(byte / 28) % 3),
        None => (place as u64) * 7,
    }
}
