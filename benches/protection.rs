//! Sealing and opening packets: ours beside `snow`'s transport messages and bare `ring`, alternating in one run.
//!
//! `cargo bench --bench protection` prints gigabits of payload a second and our ratio to both; nothing is asserted, machines are noisy.
//! `snow` is measured at the cipher that its stateless transport calls: a copy from one buffer into another, without a header.

#![expect(clippy::disallowed_methods, reason = "a measurement needs real time")]

use homing::packet::windowed::{Cipher, ConnectionId, Datagram, HEADER_LENGTH, TAG_LENGTH};
use homing::session::windowed::protection::{Opener, Sealer};
use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use snow::params::CipherChoice;
use snow::resolvers::{CryptoResolver, RingResolver};
use std::hint::black_box;
use std::time::Instant;

const KEY: [u8; 32] = [7; 32];
const TO: ConnectionId = ConnectionId([1; 8]);
const ROUNDS: usize = 9;
/// Payload bytes for each figure.
const BYTES: usize = 200_000_000;

fn main() {
    println!("median of {ROUNDS} rounds, Gbit/s of payload on one core");
    println!("cipher            payload         ours   snow   ring   to snow   to ring");
    for cipher in [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
        for size in [1400, 8192] {
            for (what, runs) in [("seal", SEAL), ("open", OPEN)] {
                let mut rounds: [Vec<f64>; 3] = Default::default();
                for _ in 0..ROUNDS {
                    for (figures, run) in rounds.iter_mut().zip(runs) {
                        figures.push(run(cipher, size));
                    }
                }
                let [ours, snow, ring] = rounds.map(median);
                let (to_snow, to_ring) = (ours / snow, ours / ring);
                println!(
                    "{cipher:<17?} {size:5} {what:>8} {ours:6.1} {snow:6.1} {ring:6.1} {to_snow:9.2} {to_ring:9.2}"
                );
            }
        }
    }
}

type Run = fn(Cipher, usize) -> f64;
const SEAL: [Run; 3] = [seal_ours, seal_snow, seal_ring];
const OPEN: [Run; 3] = [open_ours, open_snow, open_ring];

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Does it for each packet of `BYTES`; gives gigabits a second.
fn rate(size: usize, mut packet: impl FnMut(u64)) -> f64 {
    let count = (BYTES / size) as u64;
    let began = Instant::now();
    for number in 1..=count {
        packet(number);
    }
    (count as f64) * (size as f64) * 8.0 / began.elapsed().as_secs_f64() / 1e9
}

fn seal_ours(cipher: Cipher, size: usize) -> f64 {
    let mut sealer = Sealer::new(cipher, &KEY);
    let frames = vec![5; size];
    let mut out = Vec::with_capacity(size + 100);
    rate(size, |number| {
        out.clear();
        let mut draft = sealer.begin(TO, number, 65_000, &mut out).expect("a number");
        // As an outbox does it: bytes of a file are written where they leave from.
        draft.frames().bytes(&frames).expect("room");
        draft.seal();
        sealer.on_acknowledged(number);
        black_box(&out);
    })
}

fn open_ours(cipher: Cipher, size: usize) -> f64 {
    let mut out = Vec::new();
    let mut sealer = Sealer::new(cipher, &KEY);
    let mut draft = sealer.begin(TO, 1, 65_000, &mut out).expect("a number");
    draft.frames().zeros(size).expect("room");
    draft.seal();
    let mut opener = Opener::new(cipher, &KEY);
    let mut packet = out.clone();
    let now = Instant::now();
    rate(size, |_| {
        // As it comes from a socket's slot that is not ours to change.
        packet.copy_from_slice(&out);
        let Ok(Datagram::Packet(header)) = Datagram::decode(&packet) else { panic!("no packet") };
        black_box(opener.open(&header, 1, &mut packet, now).expect("genuine"));
    })
}

fn snow_cipher(cipher: Cipher) -> Box<dyn snow::types::Cipher> {
    let choice = match cipher {
        Cipher::Aes256Gcm => CipherChoice::AESGCM,
        Cipher::ChaCha20Poly1305 => CipherChoice::ChaChaPoly,
    };
    let mut cipher = RingResolver.resolve_cipher(&choice).expect("ring has both");
    cipher.set(&KEY);
    cipher
}

fn seal_snow(cipher: Cipher, size: usize) -> f64 {
    let cipher = snow_cipher(cipher);
    let (frames, file) = (vec![5; size], vec![6; size]);
    let mut plain = frames.clone();
    let mut out = vec![0; size + TAG_LENGTH];
    rate(size, |number| {
        plain.copy_from_slice(&file);
        cipher.encrypt(number, &[], &plain, &mut out);
        black_box(&out);
    })
}

fn open_snow(cipher: Cipher, size: usize) -> f64 {
    let cipher = snow_cipher(cipher);
    let mut sealed = vec![0; size + TAG_LENGTH];
    cipher.encrypt(1, &[], &vec![5; size], &mut sealed);
    let mut out = sealed.clone();
    rate(size, |_| {
        cipher.decrypt(1, &[], &sealed, &mut out).expect("genuine");
        black_box(&out);
    })
}

fn ring_key(cipher: Cipher) -> LessSafeKey {
    let algorithm = match cipher {
        Cipher::Aes256Gcm => &AES_256_GCM,
        Cipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
    };
    LessSafeKey::new(UnboundKey::new(algorithm, &KEY).expect("32 bytes"))
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn seal_ring(cipher: Cipher, size: usize) -> f64 {
    let key = ring_key(cipher);
    let (mut packet, file) = (vec![5; HEADER_LENGTH + size + TAG_LENGTH], vec![6; size]);
    rate(size, |number| {
        let (header, rest) = packet.split_at_mut(HEADER_LENGTH);
        let (frames, behind) = rest.split_at_mut(size);
        frames.copy_from_slice(&file);
        let tag = key.seal_in_place_separate_tag(nonce(number), Aad::from(header), frames).expect("short");
        behind.copy_from_slice(tag.as_ref());
        black_box(&packet);
    })
}

fn open_ring(cipher: Cipher, size: usize) -> f64 {
    let key = ring_key(cipher);
    let header = [1; HEADER_LENGTH];
    let mut sealed = vec![5; size];
    key.seal_in_place_append_tag(nonce(1), Aad::from(&header), &mut sealed).expect("short");
    let mut packet = sealed.clone();
    rate(size, |_| {
        packet.copy_from_slice(&sealed);
        black_box(key.open_in_place(nonce(1), Aad::from(&header), &mut packet).expect("genuine"));
    })
}
