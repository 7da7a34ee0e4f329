//! Sequenced messages on loopback beside a bare ping-pong of the same datagrams, alternating in one run.
//!
//! `cargo bench --bench messages` prints both and their ratio; nothing is asserted, machines are noisy.

#![expect(clippy::disallowed_methods, reason = "a measurement needs real time and real sockets")]

use homing::app::echo::{converse, reply_at, serve};
use homing::echo::EchoClient;
use homing::io::events::{Note, Report};
use homing::io::lines::{Line, LineSource};
use homing::io::signals::Interrupt;
use homing::io::udp::Wire;
use homing::session::conversation::Sending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Instant;

const MESSAGES: u32 = 100_000;
const TEXT: &[u8] = b"a message as people write them";
const ROUNDS: usize = 7;

fn main() {
    println!("{MESSAGES} messages of {} bytes, {ROUNDS} rounds, one after the other, in messages a second", TEXT.len());
    println!(
        "round  bare, blocking  bare, spinning  our server, bare spinning client  both ours   to blocking  to spinning"
    );
    let (mut to_blocking, mut to_spinning) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let blocking = bare(false);
        let spinning = bare(true);
        let server_only = with_server(|address| ping(address, true));
        let ours = with_server(talk);
        to_blocking.push(ours / blocking);
        to_spinning.push(ours / spinning);
        let ratios = (ours / blocking, ours / spinning);
        println!(
            "{round:5} {blocking:15.0} {spinning:15.0} {server_only:33.0} {ours:10.0} {:13.2} {:12.2}",
            ratios.0, ratios.1
        );
    }
    println!("median, both ours to bare: {:.2} blocking, {:.2} spinning", median(to_blocking), median(to_spinning));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn socket(spinning: bool) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.set_nonblocking(spinning).expect("a mode");
    socket
}

/// Receives, asleep or asking again and again.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> (usize, SocketAddr) {
    loop {
        match socket.recv_from(buffer) {
            Ok(received) => return received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::hint::spin_loop(),
            Err(error) => panic!("no datagram: {error}"),
        }
    }
}

/// Both sides bare: whatever comes goes back, four bytes longer.
fn bare(spinning: bool) -> f64 {
    let server = socket(spinning);
    let address = server.local_addr().expect("an address");
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        for _ in 0..MESSAGES {
            let (length, from) = receive(&server, &mut buffer);
            server.send_to(&buffer[..length + 4], from).expect("room");
        }
    });
    let rate = ping(address, spinning);
    echo.join().expect("an echo");
    rate
}

fn ping(server: SocketAddr, spinning: bool) -> f64 {
    let client = socket(spinning);
    client.connect(server).expect("a peer");
    let mut buffer = [0; 2048];
    let began = Instant::now();
    for number in 1..=MESSAGES {
        let mut datagram = number.to_string().into_bytes();
        datagram.push(b':');
        datagram.extend_from_slice(TEXT);
        client.send(&datagram).expect("room");
        receive(&client, &mut buffer);
    }
    f64::from(MESSAGES) / began.elapsed().as_secs_f64()
}

/// The rate that `client` reaches with our server.
fn with_server(client: impl FnOnce(SocketAddr) -> f64) -> f64 {
    let mut wire = Wire::new(32).expect("a poller");
    wire.listen((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
    let address = wire.local_address(0).expect("an address");
    let interrupt = Interrupt::never();
    let (stop, waker) = (interrupt.clone(), wire.waker());
    let server = std::thread::spawn(move || serve(&mut wire, reply_at(0), &mut Silence, interrupt));
    let rate = client(address);
    stop.raise();
    waker.wake();
    server.join().expect("a server").expect("a socket");
    rate
}

/// Our client, with lines out of memory.
fn talk(server: SocketAddr) -> f64 {
    let mut wire = Wire::new(4).expect("a poller");
    wire.connect(server).expect("a way");
    let mut client = EchoClient::new(server, Sending::default());
    let began = Instant::now();
    let code = converse(&mut wire, &mut client, server, &mut Lines(MESSAGES), &mut Silence, Interrupt::never());
    assert_eq!(code.expect("a socket"), 0);
    f64::from(MESSAGES) / began.elapsed().as_secs_f64()
}

/// So many lines.
struct Lines(u32);

impl LineSource for Lines {
    fn ask(&mut self) {}

    fn take(&mut self) -> Option<Line> {
        match self.0 {
            0 => Some(Line::Closed),
            _ => {
                self.0 -= 1;
                Some(Line::Text(TEXT.to_vec()))
            }
        }
    }
}

struct Silence;

impl Report for Silence {
    fn note(&mut self, _note: &Note) -> io::Result<()> {
        Ok(())
    }
}
