//! The built registry with ten thousand clients on this machine: its memory, and how long look-ups take on loopback.
//!
//! `cargo bench --bench registry` prints both; nothing is asserted but that everybody is let in and found. Linux only: each client
//! has an address of its own beneath 127.0.0.0/8, and the memory is read from /proc.

#![expect(clippy::disallowed_methods, reason = "a measurement needs real time and real sockets")]

use homing::packet::chat::{Answer, Hex, Join, Request, Who};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CLIENTS: u32 = 10_000;
/// Each of so many clients looks so many others up, one after the other.
const ASKERS: u32 = 2000;
const QUESTIONS: u32 = 5;

fn main() {
    let (server, address) = Server::start();
    println!("memory with nobody here: {}", server.memory());
    let began = Instant::now();
    for index in 0..CLIENTS {
        Client::at(index, address).join();
    }
    println!("{CLIENTS} clients joined in {:.2} s", began.elapsed().as_secs_f64());
    println!("memory with {CLIENTS} clients: {}", server.memory());
    let mut times: Vec<Duration> = (0..ASKERS).flat_map(|index| ask(index, address)).collect();
    times.sort_unstable();
    let [median, high, longest] = [times.len() / 2, times.len() * 99 / 100, times.len() - 1].map(|at| times[at]);
    println!("{} look-ups: median {median:?}, 99 of 100 within {high:?}, the longest {longest:?}", times.len());
    println!("memory at the end: {}", server.memory());
}

/// The round trips of one client's look-ups.
fn ask(index: u32, server: SocketAddr) -> Vec<Duration> {
    let mut client = Client::at(index, server);
    // Above the numbers of its join.
    client.seq += 10;
    let others = (0..QUESTIONS).map(|question| u64::from((index + 1) * (question + 7919) % CLIENTS) + 1);
    others
        .map(|other| {
            let began = Instant::now();
            let answer = client.ask(&Request::Lookup(Who::Number(other)));
            let took = began.elapsed();
            assert!(matches!(answer, Answer::Active { client, .. } if client.number == other));
            took
        })
        .collect()
}

struct Client {
    socket: UdpSocket,
    index: u32,
    seq: u64,
}

impl Client {
    fn at(index: u32, server: SocketAddr) -> Self {
        let [_, b, c, d] = (index + 1).to_be_bytes();
        let socket = UdpSocket::bind((Ipv4Addr::new(127, b + 1, c, d), 40_000)).expect("an address of this machine");
        socket.connect(server).expect("a way");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a time-out");
        Self { socket, index, seq: 1 }
    }

    fn join(&mut self) {
        let mut key = [0; 16];
        key[..4].copy_from_slice(&self.index.to_be_bytes());
        let name = format!("client-{}", self.index).parse().ok();
        let join = Join { key: Hex(key), token: None, number: None, name, reported: Vec::new() };
        let Answer::Token(token) = self.ask(&Request::Join(join.clone())) else { panic!("no token") };
        let answer = self.ask(&Request::Join(Join { token: Some(token), ..join }));
        assert!(matches!(answer, Answer::Number { .. }), "{answer}");
    }

    /// Says it, acknowledges the answer, and gives it.
    fn ask(&mut self, request: &Request) -> Answer {
        self.seq += 1;
        self.socket.send(format!("{}:{request}", self.seq).as_bytes()).expect("room");
        let mut buffer = [0; 2048];
        loop {
            let length = self.socket.recv(&mut buffer).expect("an answer");
            let datagram = std::str::from_utf8(&buffer[..length]).expect("text");
            let (seq, text) = datagram.split_once(':').expect("a number");
            if text.starts_with("ACK:") {
                continue;
            }
            let answer: Answer = text.parse().expect("an answer");
            if !matches!(answer, Answer::Token(_)) {
                self.socket.send(format!("{seq}:ACK:{text}").as_bytes()).expect("room");
            }
            return answer;
        }
    }
}

struct Server(Child);

impl Server {
    fn start() -> (Self, SocketAddr) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat_server"));
        command.args(["0", "--bind", "127.0.0.1", "--quiet"]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the built registry");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on ").and_then(|text| text.parse().ok());
        (Self(child), address.expect("an address"))
    }

    /// What it holds now, and held at most.
    fn memory(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("Linux");
        let of = |key| status.lines().find_map(|line: &str| line.strip_prefix(key)).map_or("unknown", str::trim);
        format!("{} resident, at most {}", of("VmRSS:"), of("VmHWM:"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is of no use any more, whatever it says.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
