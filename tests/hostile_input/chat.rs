//! Damaged, forged and random datagrams for the chat's registry: nothing panics, memory is bounded, and nobody is sent anything
//! who has not proved that he lives there, but for one answer that is no longer than what he sent.

use crate::bodies::chat::Hall;
use crate::{bodies, damaged};
use std::net::SocketAddr;
use std::time::Duration;

const KEY: &str = "key=0123456789abcdef0123456789abcdef";

/// What clients say, and what is said to them.
fn valid() -> Vec<String> {
    let texts = [
        format!("Client Join {KEY}                        "),
        format!("Client Join {KEY} number=1 name=alice at=10.0.0.7:5000,[fd00::1]:5000"),
        format!("Client Join {KEY} token=0123456789abcdef0123456789abcdef name=Zoë"),
        "Client Here   ".into(),
        "Client List 0".into(),
        "Client Lookup alice".into(),
        "Client Meet 1".into(),
        "Client Leave  ".into(),
        "Client Unknown".into(),
        "Client Token 0123456789abcdef0123456789abcdef".into(),
        "Client Number 1 name=alice seen=192.0.2.1:5000".into(),
        "ACK:Client Here   ".into(),
        "Probe 0123456789abcdef".into(),
        "Message 1 hello".into(),
    ];
    texts.iter().enumerate().map(|(index, text)| format!("{}:{text}", 1_000_000 + index)).collect()
}

/// A hall in which the first two of the addresses are clients.
fn inhabited() -> Hall {
    let mut hall = Hall::new(100, 100);
    for (index, from) in bodies::CLIENTS.into_iter().take(2).enumerate() {
        for _ in 0..2 {
            hall.join(from, &format!(" key={index:032x} name=client-{index}"));
        }
        hall.acknowledge(from);
    }
    assert_eq!(hall.remembered(), 2);
    hall
}

#[test]
fn random_scripts_of_datagrams_and_moments_break_no_promise() {
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..500 {
        let mut script = vec![0; rng.usize(0..600)];
        rng.fill(&mut script);
        // The low bits choose the steps; without long datagrams, or with.
        let mask = *rng.choice(&[0xff, 0x3b, 0x1f]).expect("three");
        script.iter_mut().skip(1).for_each(|byte| *byte &= mask);
        bodies::chat(&script);
    }
}

#[test]
fn every_damaged_text_is_heard_from_strangers_and_from_clients_without_harm() {
    for valid in valid() {
        let mut hall = inhabited();
        for datagram in damaged(valid.as_bytes()) {
            for from in bodies::CLIENTS {
                hall.hear(from, &datagram);
            }
            // No client says too much.
            hall.pass(Duration::from_millis(200));
        }
        hall.end();
    }
}

#[test]
fn a_hundred_thousand_random_datagrams_leave_what_there_was() {
    let mut rng = fastrand::Rng::with_seed(3);
    let (mut hall, valid) = (inhabited(), valid());
    for _ in 0..100_000 {
        let mut datagram = valid[rng.usize(..valid.len())].clone().into_bytes();
        for _ in 0..rng.usize(0..4) {
            let at = rng.usize(..datagram.len());
            datagram[at] = rng.u8(..);
        }
        let host = if rng.bool() { rng.u32(..) } else { rng.u32(0..4) };
        hall.hear(SocketAddr::from((host.to_be_bytes(), 5000)), &datagram);
        hall.pass(Duration::from_micros(rng.u64(0..200)));
    }
    assert!(hall.remembered() <= 2, "{}", hall.remembered());
    hall.end();
}

#[test]
fn clients_that_do_as_they_like_stay_within_all_limits() {
    for seed in 0..5 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut hall = Hall::new(20, 3);
        for _ in 0..3000 {
            let from = SocketAddr::from(([10, 0, 0, rng.u8(0..20)], rng.u16(5000..5005)));
            match rng.u8(0..10) {
                0..4 => hall.join(from, &format!(" key={:032x} name=client-{}", rng.u8(0..30), rng.u8(0..30))),
                4 => hall.say(from, &format!("Client Meet {}", rng.u8(0..30))),
                5 => hall.say(from, &format!("Client Lookup client-{}", rng.u8(0..30))),
                6 => hall.say(from, ["Client List 0", "Client Here", "Client Leave", "Client Dance"][rng.usize(0..4)]),
                7 | 8 => hall.acknowledge(from),
                _ => hall.pass(Duration::from_millis(rng.u64(0..3000))),
            }
        }
        hall.end();
    }
}
