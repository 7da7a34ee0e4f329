//! Sealed packets: one AEAD, a key for each direction, and keys that move on.
//!
//! The keys come out of the Noise handshake. From there on this file uses `ring` itself instead of Noise's transport messages, for
//! three reasons, of which speed is none (`cargo bench --bench protection`: the difference is within the noise):
//!
//! - **Key updates need three keys at once**: packets of the last phase are still under way, those of the next one may come
//!   first. `snow`'s transport has one key for each direction, changes it in place, and cannot be copied.
//! - **The header is authenticated.** Noise's transport messages have no associated data. The connection ID and the phase select
//!   the key and the number is the nonce, so they could not be forged anyway; but a connection may have several IDs, and which one
//!   a packet was sent to would be anybody's to change.
//! - **Sealing is in place**: frames are written where they leave from, and nothing is copied or allocated.
//!
//! What is ours to get right in return is small: a key's successor is made as Noise says (section 4.2 of its specification, REKEY:
//! the cipher's output for 32 zeros under the nonce 2^64 - 1), and a nonce looks as it does there. A test compares both with
//! `snow`.
//!
//! **Key phases.** Each direction has its own. The sender moves on after [`REKEY_AFTER`] packets, or earlier when it is asked to,
//! and flips the header's phase bit; not before a packet of the phase it is in was acknowledged (RFC 9001, 6.1), so that two
//! phases are all that can be under way. The receiver tells by the number which of the other phases a flipped bit means: below
//! all numbers of its own it is the last one, above all of them the next. It answers nothing.
//!
//! **The order of judgement on arrival**, for whoever owns the window against replays: [`Opener::number`], ask the window whether
//! this number may still come, [`Opener::open`], and only then mark it. An unauthenticated packet never changes anything.

use crate::codec::{Full, VARINT_MAX, Writer};
use crate::packet::windowed::{Cipher, ConnectionId, HEADER_LENGTH, Header, PACKET_MIN, TAG_LENGTH};
use ring::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use std::fmt;
use std::time::{Duration, Instant};
use thiserror::Error;
use zeroize::Zeroizing;

/// The keys of a connection, as one side sees them. Wiped when they are dropped, and never printed.
pub struct Keys {
    /// The cipher of both directions.
    pub cipher: Cipher,
    /// For what we send.
    pub send: Zeroizing<[u8; 32]>,
    /// For what we receive.
    pub receive: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("cipher", &self.cipher).finish_non_exhaustive()
    }
}

/// Why a packet cannot be sealed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SealError {
    /// Numbers only go up, to 2^62 - 1: each is a nonce.
    #[error("packet number {0} was used already or lies beyond all numbers")]
    BadNumber(u64),
    /// The peer has acknowledged nothing for so long that no new key may be used, and the old one must not any more.
    #[error("the key has sealed as many packets as it may")]
    Exhausted,
    /// Not even the smallest packet fits.
    #[error("a packet needs at least {PACKET_MIN} bytes")]
    NoRoom,
}

/// Seals the packets of one direction.
pub struct Sealer {
    key: Key,
    phase: bool,
    /// The lowest number that was not used yet.
    next_number: u64,
    /// The first number of this phase, once there is one.
    first_of_phase: Option<u64>,
    is_confirmed: bool,
    is_update_wanted: bool,
    /// Packets sealed in this phase.
    sealed: u64,
}

impl Sealer {
    /// Begins in phase 0.
    pub fn new(cipher: Cipher, secret: &[u8; 32]) -> Self {
        Self {
            key: Key::new(cipher, secret),
            phase: false,
            next_number: 0,
            first_of_phase: None,
            is_confirmed: false,
            is_update_wanted: false,
            sealed: 0,
        }
    }

    /// Begins a packet of at most `size` bytes at the end of `out`: write its frames, then [`Draft::seal`] it. One that is dropped
    /// instead leaves `out` as it was, and its number unused.
    ///
    /// # Errors
    /// [`SealError`]; `out` is then as it was.
    pub fn begin<'a>(
        &'a mut self,
        to: ConnectionId,
        number: u64,
        size: usize,
        out: &'a mut Vec<u8>,
    ) -> Result<Draft<'a>, SealError> {
        if number < self.next_number || number > VARINT_MAX {
            return Err(SealError::BadNumber(number));
        }
        if self.is_confirmed && (self.sealed >= REKEY_AFTER || self.is_update_wanted) {
            self.update();
        }
        if self.sealed >= SEALED_MAX {
            return Err(SealError::Exhausted);
        }
        let room = size.checked_sub(TAG_LENGTH).filter(|_| size >= PACKET_MIN).ok_or(SealError::NoRoom)?;
        let start = out.len();
        let header = Header { phase: self.phase, to, number: number as u32 };
        header.encode(&mut Writer::new(out, room)).map_err(|Full| SealError::NoRoom)?;
        Ok(Draft { sealer: self, out, start, room: room - HEADER_LENGTH, number, is_sealed: false })
    }

    /// A packet with this number was acknowledged.
    pub fn on_acknowledged(&mut self, number: u64) {
        self.is_confirmed |= self.first_of_phase.is_some_and(|first| number >= first);
    }

    /// Asks for a new key as soon as there may be one: for those who count minutes, not packets.
    pub fn want_update(&mut self) {
        self.is_update_wanted = true;
    }

    fn update(&mut self) {
        self.key = self.key.successor();
        self.phase = !self.phase;
        self.first_of_phase = None;
        (self.is_confirmed, self.is_update_wanted, self.sealed) = (false, false, 0);
    }
}

/// A packet whose frames are being written.
pub struct Draft<'a> {
    sealer: &'a mut Sealer,
    out: &'a mut Vec<u8>,
    start: usize,
    room: usize,
    number: u64,
    is_sealed: bool,
}

impl Draft<'_> {
    /// Where frames are written.
    pub fn frames(&mut self) -> Writer<'_> {
        let written = self.written();
        Writer::new(self.out, self.room.saturating_sub(written))
    }

    /// How many bytes of frames there are so far.
    pub fn written(&self) -> usize {
        self.out.len().saturating_sub(self.start + HEADER_LENGTH)
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The key phase that it will be sealed in.
    pub fn phase(&self) -> bool {
        self.sealer.phase
    }

    /// The frames so far.
    pub fn content(&self) -> &[u8] {
        self.out.get(self.start + HEADER_LENGTH..).unwrap_or_default()
    }

    /// How many bytes it will have if it is sealed now.
    pub fn sealed_length(&self) -> usize {
        HEADER_LENGTH + self.written().max(1) + TAG_LENGTH
    }

    /// Seals the packet where it stands, and says how many bytes it has. One without frames gets a byte of padding.
    pub fn seal(mut self) -> usize {
        if self.written() == 0 {
            self.out.push(0);
        }
        if let Some((header, frames)) =
            self.out.get_mut(self.start..).and_then(|packet| packet.split_at_mut_checked(HEADER_LENGTH))
        {
            let tag = self.sealer.key.seal(self.number, header, frames);
            self.out.extend_from_slice(&tag);
            self.sealer.next_number = self.number + 1;
            self.sealer.first_of_phase.get_or_insert(self.number);
            self.sealer.sealed += 1;
            self.is_sealed = true;
        }
        self.out.len() - self.start
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.is_sealed {
            self.out.truncate(self.start);
        }
    }
}

/// Why a packet was not opened. Whatever the reason, it is dropped without an answer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum OpenError {
    /// It was damaged, forged, or sealed with a key that there is not.
    #[error("the packet is not what was sealed")]
    Forged,
    /// It is of the last key phase, whose key is gone.
    #[error("the packet comes too late: its key is gone")]
    KeyIsGone,
    /// Its number was used before, or is so old that nobody can tell: whoever copied it, it is no sign of life.
    #[error("the packet came before, or is too old to tell")]
    Replayed,
    /// So many packets were forged that the next one might succeed (RFC 9001, 6.6): the connection must end.
    #[error("too many packets were forged")]
    Exhausted,
}

/// Opens the packets of one direction.
pub struct Opener {
    current: Key,
    next: Key,
    previous: Option<(Key, Instant)>,
    phase: bool,
    /// The lowest number that was opened in this phase.
    lowest: Option<u64>,
    /// The largest number that was opened.
    largest: Option<u64>,
    forged: u64,
}

impl Opener {
    /// Begins in phase 0.
    pub fn new(cipher: Cipher, secret: &[u8; 32]) -> Self {
        let current = Key::new(cipher, secret);
        let next = current.successor();
        Self { current, next, previous: None, phase: false, lowest: None, largest: None, forged: 0 }
    }

    /// The whole number of a packet with this header, if it is genuine.
    pub fn number(&self, header: &Header) -> u64 {
        header.whole_number(self.largest)
    }

    /// Opens a packet in place and gives its frames. `header` is what the packet begins with, `number` what [`Opener::number`] says
    /// of it. Whatever comes out of this, the packet's bytes are used up.
    ///
    /// # Errors
    /// [`OpenError`]; nothing but a count has changed then.
    pub fn open<'a>(
        &mut self,
        header: &Header,
        number: u64,
        packet: &'a mut [u8],
        now: Instant,
    ) -> Result<&'a [u8], OpenError> {
        if self.forged >= self.current.forged_max() {
            return Err(OpenError::Exhausted);
        }
        let phase = self.phase_of(header, number);
        self.previous.take_if(|(_, until)| now >= *until);
        let key = match phase {
            Phase::Current => &self.current,
            Phase::Next => &self.next,
            Phase::Previous => self.previous.as_ref().map(|(key, _)| key).ok_or(OpenError::KeyIsGone)?,
            Phase::Neither => return Err(OpenError::Forged),
        };
        let (head, sealed) = packet.split_at_mut_checked(HEADER_LENGTH).ok_or(OpenError::Forged)?;
        let Some(frames) = key.open(number, head, sealed) else {
            self.forged += 1;
            return Err(OpenError::Forged);
        };
        self.on_opened(phase, number, now);
        Ok(frames)
    }

    fn phase_of(&self, header: &Header, number: u64) -> Phase {
        if header.phase == self.phase {
            return Phase::Current;
        }
        match (self.lowest, self.largest) {
            (Some(lowest), _) if number < lowest => Phase::Previous,
            (Some(_), Some(largest)) if number > largest => Phase::Next,
            // The sender moves on when a packet of this phase was acknowledged, and only upwards.
            _ => Phase::Neither,
        }
    }

    fn on_opened(&mut self, phase: Phase, number: u64, now: Instant) {
        match phase {
            Phase::Next => {
                let after_next = self.next.successor();
                let last = std::mem::replace(&mut self.current, std::mem::replace(&mut self.next, after_next));
                self.previous = Some((last, now + PREVIOUS_KEPT));
                self.phase = !self.phase;
                self.lowest = Some(number);
            }
            Phase::Current => self.lowest = Some(self.lowest.map_or(number, |lowest| lowest.min(number))),
            Phase::Previous | Phase::Neither => {}
        }
        self.largest = self.largest.max(Some(number));
    }
}

/// Which phase a packet can only be of.
#[derive(Clone, Copy)]
enum Phase {
    Current,
    Next,
    Previous,
    Neither,
}

/// A key as the cipher wants it.
struct Key {
    cipher: Cipher,
    sealing: LessSafeKey,
}

impl Key {
    fn new(cipher: Cipher, secret: &[u8; 32]) -> Self {
        let unbound = UnboundKey::new(algorithm(cipher), secret).expect("both ciphers have keys of 32 bytes");
        Self { cipher, sealing: LessSafeKey::new(unbound) }
    }

    /// REKEY of the Noise specification, section 4.2. No packet has this number.
    fn successor(&self) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        self.seal(u64::MAX, &[], &mut *secret);
        Self::new(self.cipher, &secret)
    }

    fn seal(&self, number: u64, header: &[u8], frames: &mut [u8]) -> [u8; TAG_LENGTH] {
        let nonce = nonce(self.cipher, number);
        let tag = self.sealing.seal_in_place_separate_tag(nonce, Aad::from(header), frames);
        let tag = tag.expect("no datagram is longer than 2^36 bytes");
        *tag.as_ref().first_chunk().expect("both ciphers have tags of 16 bytes")
    }

    fn open<'a>(&self, number: u64, header: &[u8], sealed: &'a mut [u8]) -> Option<&'a [u8]> {
        let nonce = nonce(self.cipher, number);
        self.sealing.open_in_place(nonce, Aad::from(header), sealed).ok().map(|frames| &*frames)
    }

    /// How many forged packets a key may stand (RFC 9001, 6.6).
    fn forged_max(&self) -> u64 {
        match self.cipher {
            Cipher::Aes256Gcm => 1 << 52,
            Cipher::ChaCha20Poly1305 => 1 << 36,
        }
    }
}

fn algorithm(cipher: Cipher) -> &'static Algorithm {
    match cipher {
        Cipher::Aes256Gcm => &AES_256_GCM,
        Cipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
    }
}

/// The number as a nonce, as the Noise specification has it in section 12.
fn nonce(cipher: Cipher, number: u64) -> Nonce {
    let [a, b, c, d, e, f, g, h] = match cipher {
        Cipher::Aes256Gcm => number.to_be_bytes(),
        Cipher::ChaCha20Poly1305 => number.to_le_bytes(),
    };
    Nonce::assume_unique_for_key([0, 0, 0, 0, a, b, c, d, e, f, g, h])
}

/// After so many packets the sender takes a new key: half of what RFC 9001, 6.6, allows AES-GCM for packets of 64 KiB, so that there
/// is time for the acknowledgement that must come first.
pub const REKEY_AFTER: u64 = 1 << 22;

/// More packets than this no key seals (RFC 9001, 6.6 and B.1.1).
pub const SEALED_MAX: u64 = 1 << 23;

/// How long the last phase's key is kept for packets that come late: three probe time-outs (RFC 9001, 6.5) of any path that people
/// put up with.
pub const PREVIOUS_KEPT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::windowed::Datagram;
    use crate::session::handshake::noise::Resolver;
    use proptest::prelude::*;

    const TO: ConnectionId = ConnectionId(*b"connect!");
    const CIPHERS: [Cipher; 2] = [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];

    fn pair(cipher: Cipher) -> (Sealer, Opener) {
        (Sealer::new(cipher, &[7; 32]), Opener::new(cipher, &[7; 32]))
    }

    fn sealed(sealer: &mut Sealer, number: u64, frames: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut draft = sealer.begin(TO, number, 1200, &mut out).expect("a number");
        draft.frames().bytes(frames).expect("they fit");
        assert_eq!(draft.seal(), out.len());
        out
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn beginning() -> Instant {
        Instant::now()
    }

    fn open(opener: &mut Opener, packet: &[u8], now: Instant) -> Result<Vec<u8>, OpenError> {
        let Ok(Datagram::Packet(header)) = Datagram::decode(packet) else { return Err(OpenError::Forged) };
        let number = opener.number(&header);
        opener.open(&header, number, &mut packet.to_vec(), now).map(<[u8]>::to_vec)
    }

    #[test]
    fn what_is_sealed_is_opened_and_any_flipped_bit_is_noticed() {
        let now = beginning();
        for cipher in CIPHERS {
            let (mut sealer, mut opener) = pair(cipher);
            let packet = sealed(&mut sealer, 1, b"frames");
            assert_eq!(packet.len(), HEADER_LENGTH + 6 + TAG_LENGTH);
            for bit in 0..packet.len() * 8 {
                let mut flipped = packet.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(open(&mut opener, &flipped, now), Err(OpenError::Forged), "{cipher:?} bit {bit}");
            }
            assert_eq!(open(&mut opener, &packet, now).as_deref(), Ok(&b"frames"[..]), "and nothing has changed");
        }
    }

    #[test]
    fn a_number_is_used_once_and_only_upwards() {
        let (mut sealer, _) = pair(Cipher::Aes256Gcm);
        sealed(&mut sealer, 5, b"x");
        let mut out = vec![1, 2, 3];
        for number in [0, 5, VARINT_MAX + 1, u64::MAX] {
            let error = sealer.begin(TO, number, 1200, &mut out).err();
            assert_eq!(error, Some(SealError::BadNumber(number)));
        }
        // Nothing was sealed with it.
        drop(sealer.begin(TO, 6, 1200, &mut out));
        assert!(sealer.begin(TO, 6, 1200, &mut out).is_ok(), "one that was dropped has not used its number");
        assert_eq!(sealer.begin(TO, 7, PACKET_MIN - 1, &mut out).err(), Some(SealError::NoRoom));
        assert_eq!(out, [1, 2, 3]);
    }

    #[test]
    fn packets_are_sealed_behind_each_other_within_their_size() {
        let (mut sealer, mut opener) = pair(Cipher::Aes256Gcm);
        let mut out = Vec::new();
        for number in 0..3 {
            let mut draft = sealer.begin(TO, number, 100, &mut out).expect("a number");
            assert_eq!(draft.frames().room(), 100 - HEADER_LENGTH - TAG_LENGTH);
            draft.frames().byte(1).expect("room");
            let room = draft.frames().room();
            assert_eq!(draft.frames().zeros(room + 1), Err(Full));
            draft.frames().zeros(room).expect("room");
            assert_eq!(draft.seal(), 100);
        }
        assert_eq!(sealer.begin(TO, 3, 100, &mut out).expect("a number").seal(), PACKET_MIN, "an empty one is padded");
        for packet in out.chunks(100) {
            assert!(open(&mut opener, packet, beginning()).is_ok());
        }
    }

    #[test]
    fn a_key_moves_on_only_when_a_packet_of_its_phase_was_acknowledged() {
        let now = beginning();
        for cipher in CIPHERS {
            let (mut sealer, mut opener) = pair(cipher);
            let mut late = Vec::new();
            for phase in 0..6_u64 {
                let first = phase * 10;
                sealer.want_update();
                for number in first..first + 5 {
                    let packet = sealed(&mut sealer, number, &[phase as u8]);
                    assert_eq!(u64::from(packet[0] & 1), phase % 2, "all in one phase");
                    match number % 5 {
                        4 => late.push(packet),
                        _ => assert_eq!(open(&mut opener, &packet, now), Ok(vec![phase as u8])),
                    }
                }
                sealer.on_acknowledged(first.saturating_sub(1));
                assert!(phase == 0 || !sealer.is_confirmed, "an older one says nothing");
                sealer.on_acknowledged(first + 1);
                if phase > 0 {
                    assert_eq!(open(&mut opener, &late[phase as usize - 1], now), Ok(vec![phase as u8 - 1]));
                }
            }
            assert_eq!(open(&mut opener, &late[1], now), Err(OpenError::Forged), "its key was overtaken by others");
        }
    }

    #[test]
    fn the_last_phases_key_is_kept_for_a_while_and_no_longer() {
        let now = beginning();
        let (mut sealer, mut opener) = pair(Cipher::Aes256Gcm);
        let (early, late) = (sealed(&mut sealer, 0, b"0"), sealed(&mut sealer, 1, b"1"));
        let straggler = sealed(&mut sealer, 2, b"2");
        assert!(open(&mut opener, &late, now).is_ok());
        sealer.on_acknowledged(1);
        sealer.want_update();
        let next = sealed(&mut sealer, 3, b"3");
        assert!(open(&mut opener, &next, now).is_ok());
        assert!(open(&mut opener, &early, now + PREVIOUS_KEPT - Duration::from_nanos(1)).is_ok());
        assert_eq!(open(&mut opener, &straggler, now + PREVIOUS_KEPT), Err(OpenError::KeyIsGone));
    }

    #[test]
    fn a_phase_that_cannot_be_is_not_even_tried() {
        let now = beginning();
        let (_, mut opener) = pair(Cipher::Aes256Gcm);
        let (mut ahead, _) = pair(Cipher::Aes256Gcm);
        ahead.update();
        let packet = sealed(&mut ahead, 9, b"x");
        assert_eq!(open(&mut opener, &packet, now), Err(OpenError::Forged), "nothing was received in the first phase");
        assert_eq!(opener.forged, 0);
    }

    #[test]
    fn a_key_that_nobody_acknowledges_is_used_up_in_the_end() {
        let (mut sealer, _) = pair(Cipher::ChaCha20Poly1305);
        sealer.sealed = SEALED_MAX - 1;
        sealed(&mut sealer, 0, b"x");
        assert_eq!(sealer.begin(TO, 1, 1200, &mut Vec::new()).err(), Some(SealError::Exhausted));
        sealer.on_acknowledged(0);
        assert_eq!(sealed(&mut sealer, 1, b"x")[0] & 1, 1);
        let (mut sealer, _) = pair(Cipher::ChaCha20Poly1305);
        sealed(&mut sealer, 0, b"x");
        sealer.on_acknowledged(0);
        sealer.sealed = REKEY_AFTER - 1;
        assert_eq!(sealed(&mut sealer, 1, b"x")[0] & 1, 0);
        assert_eq!(sealed(&mut sealer, 2, b"x")[0] & 1, 1, "after as many as it may");
    }

    #[test]
    fn too_many_forgeries_end_the_connection() {
        let (mut sealer, mut opener) = pair(Cipher::ChaCha20Poly1305);
        opener.forged = (1 << 36) - 1;
        let packet = sealed(&mut sealer, 0, b"x");
        let mut forged = packet.clone();
        forged[20] ^= 1;
        assert_eq!(open(&mut opener, &forged, beginning()), Err(OpenError::Forged));
        assert_eq!(open(&mut opener, &packet, beginning()), Err(OpenError::Exhausted));
    }

    #[test]
    fn keys_and_nonces_are_those_of_noise() {
        for (cipher, name) in [
            (Cipher::Aes256Gcm, "Noise_NN_25519_AESGCM_SHA256"),
            (Cipher::ChaCha20Poly1305, "Noise_NN_25519_ChaChaPoly_SHA256"),
        ] {
            let secret = [9; 32];
            let resolver = || Box::new(Resolver::new(&[1; 32]));
            let builder = || snow::Builder::with_resolver(name.parse().expect("a name"), resolver());
            let (mut a, mut b) = (builder().build_initiator().expect("a"), builder().build_responder().expect("b"));
            let (mut wire, mut plain) = ([0; 200], [0; 200]);
            let length = a.write_message(&[], &mut wire).expect("e");
            b.read_message(&wire[..length], &mut plain).expect("e");
            let length = b.write_message(&[], &mut wire).expect("e, ee");
            a.read_message(&wire[..length], &mut plain).expect("e, ee");
            let mut theirs = a.into_stateless_transport_mode().expect("finished");
            theirs.rekey_manually(Some(&secret), Some(&secret));
            let mut ours = Key::new(cipher, &secret);
            for number in [0, 1, 0x0123_4567_89ab_cdef] {
                let length = theirs.write_message(number, b"the same bytes", &mut wire).expect("sealed");
                let mut frames = *b"the same bytes";
                let tag = ours.seal(number, &[], &mut frames);
                assert_eq!([&frames[..], &tag].concat(), wire[..length]);
                theirs.rekey_outgoing();
                ours = ours.successor();
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn updates_under_loss_and_reordering_lose_nothing_that_is_not_far_too_late(
            steps in prop::collection::vec((any::<u8>(), 0..12_usize), 1..300), first in prop::sample::select(vec![0, (1_u64 << 32) - 50, (1 << 62) - 10_000]),
        ) {
            let now = beginning();
            let (mut sealer, mut opener) = pair(Cipher::Aes256Gcm);
            opener.largest = first.checked_sub(1);
            let mut in_flight: Vec<(u64, Vec<u8>)> = Vec::new();
            for (at, (dice, which)) in steps.into_iter().enumerate() {
                if dice % 7 == 0 {
                    sealer.want_update();
                }
                let number = first + 2 * at as u64;
                in_flight.push((number, sealed(&mut sealer, number, &number.to_be_bytes())));
                // At most a dozen are under way, so none is two phases late.
                let at = which.min(in_flight.len() - 1);
                let (number, packet) = in_flight.remove(if in_flight.len() > 12 { 0 } else { at });
                if dice % 3 > 0 {
                    match open(&mut opener, &packet, now) {
                        Ok(frames) => {
                            prop_assert_eq!(frames, number.to_be_bytes());
                            sealer.on_acknowledged(number);
                        }
                        // Two updates later its key is gone; its content would be sent again.
                        Err(_) => prop_assert!(number < opener.largest.unwrap_or(0)),
                    }
                }
            }
        }
    }
}
