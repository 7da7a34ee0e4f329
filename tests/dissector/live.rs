//! Real transfers, captured: the dissector counts what the programs count.

use crate::harness::{Ended, Folder, LIMIT, Program, start_copy};
use crate::tshark;
use serde_json::Value;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const SIZE: usize = 20_000;

/// A start, 15 chunks and a checksum.
const MESSAGES: u64 = 17;

/// Binary datagrams, which the programs meet with silence.
const BEGINNING: &[u8] = b"\x80the capture begins";
const END: &[u8] = b"\x80the capture ends";

#[test]
fn real_transfers_are_counted_as_by_their_programs() {
    if !tshark::is_here() {
        return;
    }
    let (here, there) = (Folder::new(), Folder::new());
    let (local, _) = here.file("f", SIZE);
    let servers = ["lose-every-other-ack", "duplicate-acks"]
        .map(|name| Program::bad_server(there.path(), &["--misbehave", name, "--exit-after", "1"]));
    let addresses = servers.each_ref().map(|(_, address)| *address);
    let Some(capture) = Capture::start(here.at("capture.pcapng"), &addresses) else { return };
    let clients = addresses.map(|address| start_copy(address, &local, &address.port().to_string(), &["--json"]));
    let clients = clients.map(|client| client.end().expect(0));
    let servers = servers.map(|(server, _)| server.end().expect(0));
    let capture = capture.end();
    let [losing, doubling] = addresses.map(|address| Count::of(&capture, address.port()));
    for ((client, server), count) in clients.iter().zip(&servers).zip([&losing, &doubling]) {
        let finished = last(client, "finished");
        assert_eq!(count.retransmissions, finished["retransmissions"].as_u64().expect("a number"), "{finished}");
        let account = last(server, "account");
        agrees(count.sent, &account["inward"]["offered"]);
        agrees(count.answers, &account["outward"]["offered"]);
        agrees(count.retransmissions, &account["repeats"]);
        assert_eq!(count.sent - count.retransmissions, MESSAGES, "{count:?}");
        assert_eq!(count.answers - count.duplicate_acks, MESSAGES, "{count:?}");
        assert_eq!(count.strange, 0, "{count:?}");
    }
    assert!(losing.retransmissions >= 15, "{losing:?}");
    assert!(doubling.duplicate_acks >= MESSAGES, "{doubling:?}");
}

/// A server closes its account with its last answer, which a repeat may meet on the way.
#[track_caller]
fn agrees(count: u64, account: &Value) {
    let accounted = account.as_u64().expect("a number");
    assert!((accounted..accounted + 3).contains(&count), "{count} and {accounted}");
}

/// What the dissector found of one transfer.
#[derive(Debug)]
struct Count {
    sent: u64,
    answers: u64,
    retransmissions: u64,
    duplicate_acks: u64,
    /// What should not happen to our own programs.
    strange: u64,
}

impl Count {
    fn of(capture: &Path, port: u16) -> Self {
        let filter = format!("udp.port == {port} && homing");
        // A free port may be one that Wireshark knows for something else.
        let decode_as = format!("udp.port=={port},homing");
        let names = ["type", "retransmission", "duplicate_ack", "malformed", "ack_of_nothing", "too_long"];
        let names = names.map(|name| format!("homing.{name}"));
        let packets =
            tshark::fields(capture, &names.each_ref().map(String::as_str), &["-d", &decode_as, "-Y", &filter]);
        let count = |is_so: &dyn Fn(&[String]) -> bool| packets.iter().filter(|values| is_so(values)).count() as u64;
        Self {
            sent: count(&|values| ["s", "d", "c"].contains(&&*values[0])),
            answers: count(&|values| values[0] == "a"),
            retransmissions: count(&|values| !values[1].is_empty()),
            duplicate_acks: count(&|values| !values[2].is_empty()),
            strange: count(&|values| values[3..].iter().any(|value| !value.is_empty())),
        }
    }
}

/// The last event, which must be of this kind.
fn last(program: &Ended, kind: &str) -> Value {
    let last = program.events().pop().expect("a last event");
    assert_eq!(last["event"], kind);
    last
}

/// A capture that runs. Dropped, it is killed.
struct Capture {
    program: Program,
    file: PathBuf,
    marked: SocketAddr,
}

impl Capture {
    /// Captures what goes to and from these ports of this machine. `None`, and a word about it, where that is not permitted.
    fn start(file: PathBuf, addresses: &[SocketAddr]) -> Option<Self> {
        if let Err(error) = Command::new("dumpcap").arg("--version").output() {
            tshark::say(&format!("skipped: no dumpcap here ({error})"));
            return None;
        }
        let ports: Vec<_> = addresses.iter().map(|address| format!("udp port {}", address.port())).collect();
        let path = file.to_str().expect("a plain path");
        let program = Program::start("dumpcap", &["-q", "-i", "lo", "-f", &ports.join(" or "), "-w", path]);
        let mut capture = Self { program, file, marked: addresses[0] };
        if capture.marked(BEGINNING) {
            return Some(capture);
        }
        tshark::say(&format!("skipped: nothing can be captured here: {:?}", capture.program.end().err));
        None
    }

    /// Ends it when everything is in the file.
    fn end(mut self) -> PathBuf {
        assert!(self.marked(END), "it ended by itself");
        self.program.interrupt();
        self.file
    }

    /// Sends this until it is in the file. False if the capture has ended before.
    fn marked(&mut self, mark: &[u8]) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let contains = |file: &Path| fs::read(file).is_ok_and(|bytes| bytes.windows(mark.len()).any(|at| at == mark));
        let deadline = Instant::now() + LIMIT;
        while !contains(&self.file) {
            assert!(Instant::now() < deadline, "dumpcap runs, and captures nothing");
            if !self.program.is_running() {
                return false;
            }
            socket.send_to(mark, self.marked).expect("a local address");
            thread::sleep(Duration::from_millis(50));
        }
        true
    }
}
