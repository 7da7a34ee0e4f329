//! Stop-and-wait on loopback beside a bare ping-pong of datagrams of the same size, alternating in one run.
//!
//! `cargo bench --bench loopback` prints both and their ratio; nothing is asserted, machines are noisy.

#![expect(clippy::disallowed_methods, reason = "a measurement needs real time and real sockets")]

use homing::app::copy::{CopyPlan, copy};
use homing::app::serve::{ServePlan, serve};
use homing::endpoint::{Config, Endpoint};
use homing::io::events::{Note, Report};
use homing::io::signals::Interrupt;
use homing::io::source::Source;
use homing::io::store::Policy;
use homing::io::udp::Wire;
use homing::packet::Spelling;
use homing::session::Mode;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const FILE_BYTES: usize = 32 * 1024 * 1024;
const BUFSIZE: usize = 1400;
const ROUNDS: usize = 7;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    std::fs::write(&file, vec![7; FILE_BYTES]).expect("a file");
    println!("{FILE_BYTES} bytes, datagrams of {BUFSIZE} bytes, {ROUNDS} rounds, one after the other");
    println!("round   bare, blocking   bare, spinning   homing checked   to blocking   to spinning");
    let (mut to_blocking, mut to_spinning) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let blocking = ping_pong(FILE_BYTES / BUFSIZE, false);
        let spinning = ping_pong(FILE_BYTES / BUFSIZE, true);
        let ours = transfer(&file, folder.path());
        to_blocking.push(ours / blocking);
        to_spinning.push(ours / spinning);
        println!(
            "{round:5} {blocking:13.0} /s {spinning:13.0} /s {ours:13.0} /s {:13.2} {:13.2}",
            ours / blocking,
            ours / spinning
        );
    }
    println!(
        "median of datagrams a second, homing to bare: {:.2} blocking, {:.2} spinning",
        median(to_blocking),
        median(to_spinning)
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Receives, asleep or asking again and again.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> SocketAddr {
    loop {
        match socket.recv_from(buffer) {
            Ok((_, from)) => return from,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::hint::spin_loop(),
            Err(error) => panic!("no datagram: {error}"),
        }
    }
}

/// Datagrams of [`BUFSIZE`] bytes a second, each answered by 14 bytes before the next, between two threads.
fn ping_pong(count: usize, spinning: bool) -> f64 {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    server.set_nonblocking(spinning).expect("a mode");
    client.set_nonblocking(spinning).expect("a mode");
    client.connect(server.local_addr().expect("an address")).expect("a peer");
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        for _ in 0..count {
            let from = receive(&server, &mut buffer);
            server.send_to(&buffer[..14], from).expect("room");
        }
    });
    let began = Instant::now();
    let (out, mut back) = ([1; BUFSIZE], [0; 64]);
    for _ in 0..count {
        client.send(&out).expect("room");
        receive(&client, &mut back);
    }
    echo.join().expect("an echo");
    count as f64 / began.elapsed().as_secs_f64()
}

/// Chunks a second of a whole verified transfer, file to file.
fn transfer(file: &Path, folder: &Path) -> f64 {
    let mut wire = Wire::new(32).expect("a poller");
    wire.listen((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
    let address = wire.local_address(0).expect("an address");
    let interrupt = Interrupt::never();
    let (root, stop, waker) = (folder.to_path_buf(), interrupt.clone(), wire.waker());
    let server = std::thread::spawn(move || serve_quietly(&mut wire, root, interrupt));
    let took = send(file, address);
    stop.raise();
    waker.wake();
    server.join().expect("a server").expect("a socket");
    FILE_BYTES as f64 / 1383.0 / took.as_secs_f64()
}

fn serve_quietly(wire: &mut Wire, root: PathBuf, interrupt: Interrupt) -> io::Result<u8> {
    let plan = ServePlan {
        gets: 0,
        root,
        policy: Policy::default(),
        exit_after: None,
        expected: None,
        misbehaviour: None,
        album: None,
        qlog: None,
    };
    serve(wire, &mut Endpoint::new(Config::default()), plan, &mut Silence, interrupt)
}

fn send(file: &Path, address: SocketAddr) -> Duration {
    let began = Instant::now();
    let plan = CopyPlan {
        target: address.to_string(),
        source: Source::open(file).expect("the file"),
        remote: "copy".into(),
        mode: Mode::Checked,
        spelling: Spelling::Spaced,
        timeout: Duration::from_secs(30),
        album: None,
    };
    assert_eq!(copy(plan, &mut Silence, |_| Ok(Interrupt::never())).expect("a socket"), 0);
    began.elapsed()
}

struct Silence;

impl Report for Silence {
    fn note(&mut self, _note: &Note) -> io::Result<()> {
        Ok(())
    }
}
