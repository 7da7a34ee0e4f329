//! Packets in one direction over loopback, one thread each side: batches that the kernel cuts and joins, beside single sends.
//!
//! `cargo bench --bench packets` prints what arrived a second, rounds alternating; nothing is asserted, machines are noisy.

#![expect(clippy::disallowed_methods, reason = "a measurement needs real time")]

use homing::io::udp::{Arrival, Wire};
use homing::session::{Transmit, Via};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const LENGTHS: [usize; 2] = [1472, 8192];
const ROUNDS: usize = 7;
const TIME: Duration = Duration::from_millis(300);

/// What may be under way: less than the kernel keeps for a socket, so that nothing is lost.
const WINDOW: u64 = 1024 * 1024;

/// A packet of the windowed mode begins so.
const FIRST_BYTE: u8 = 0x80;

fn main() {
    println!("{ROUNDS} rounds of {} ms, one after the other", TIME.as_millis());
    for length in LENGTHS {
        let batches = [1, 2, 4, 65_507 / length];
        let mut rates = batches.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (batch, rates) in batches.into_iter().zip(&mut rates) {
                rates.push(transfer(length, batch));
            }
        }
        let medians = rates.map(median);
        for (batch, rate) in batches.into_iter().zip(medians) {
            println!(
                "{length} bytes, {batch:2} at once: {:6.2} Gbit/s, {:7.0} packets a second, {:.2} of single sends",
                rate * 8.0 / 1e9,
                rate / length as f64,
                rate / medians[0]
            );
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Bytes a second that arrive.
fn transfer(length: usize, batch: usize) -> f64 {
    let mut receiver = Wire::new(32).expect("a poller");
    receiver.listen((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
    let address = receiver.local_address(0).expect("an address");
    let mut sender = Wire::new(1).expect("a poller");
    sender.connect(address).expect("a socket");
    let received = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&received);
    let began = Instant::now();
    let receiving = std::thread::spawn(move || receive(&mut receiver, &counter, began + TIME));
    let (packets, mut sent) = (vec![FIRST_BYTE; length * batch], 0);
    while began.elapsed() < TIME {
        if sent - received.load(Ordering::Relaxed) > WINDOW {
            std::thread::yield_now();
            continue;
        }
        let segment = (batch > 1).then_some(length);
        sender.send(Transmit { segment, ..Transmit::one(Via::socket(0), address, packets.clone()) });
        sent += packets.len() as u64;
    }
    receiving.join().expect("a receiver");
    received.load(Ordering::Relaxed) as f64 / TIME.as_secs_f64()
}

fn receive(wire: &mut Wire, received: &AtomicU64, until: Instant) {
    while Instant::now() < until {
        let mut bytes_received = 0;
        wire.receive_until(Some(until), |arrival, _| {
            if let Arrival::Datagram { bytes, .. } = arrival {
                bytes_received += bytes.len() as u64;
            }
        })
        .expect("a socket");
        received.fetch_add(bytes_received, Ordering::Relaxed);
    }
}
