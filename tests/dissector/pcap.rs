//! Captures made by hand: UDP over IPv4 without a link layer, in the classic file format.

use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Duration;

/// IP packets, without anything before them.
const LINKTYPE_RAW: u32 = 101;
const SNAPLEN: u32 = 262_144;
const ICMP: u8 = 1;
const UDP: u8 = 17;

pub struct Pcap(Vec<u8>);

impl Pcap {
    pub fn new() -> Self {
        let version = [2_u16, 4].map(u16::to_le_bytes).concat();
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        Self([words(&[0xa1b2_c3d4]), version, words(&[0, 0, SNAPLEN, LINKTYPE_RAW])].concat())
    }

    /// A datagram, so long after the beginning.
    pub fn datagram(&mut self, at: Duration, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) {
        self.packet(at, &ip(UDP, from, to, &udp(from, to, payload)), 0);
    }

    /// A datagram whose last bytes were not captured.
    pub fn cut_datagram(&mut self, at: Duration, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8], missing: usize) {
        self.packet(at, &ip(UDP, from, to, &udp(from, to, payload)), missing);
    }

    /// The answer to a datagram where nobody listens: it quotes the datagram.
    pub fn port_unreachable(&mut self, at: Duration, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) {
        let quoted = ip(UDP, from, to, &udp(from, to, payload));
        self.packet(at, &ip(ICMP, to, from, &[&[3, 3, 0, 0, 0, 0, 0, 0], &quoted[..]].concat()), 0);
    }

    pub fn write(&self, path: &Path) {
        fs::write(path, &self.0).expect("a file");
    }

    fn packet(&mut self, at: Duration, packet: &[u8], missing: usize) {
        let captured = &packet[..packet.len() - missing];
        for word in [at.as_secs(), at.subsec_micros().into(), captured.len() as u64, packet.len() as u64] {
            self.0.extend(u32::try_from(word).expect("a small number").to_le_bytes());
        }
        self.0.extend(captured);
    }
}

/// Checksums are left out: 0 means none to UDP, and tshark does not check IPv4's.
fn ip(protocol: u8, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let [high, low] = length(20 + payload.len());
    let fixed = [0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0];
    [&fixed[..], &from.ip().octets(), &to.ip().octets(), payload].concat()
}

fn udp(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let fields = [from.port().to_be_bytes(), to.port().to_be_bytes(), length(8 + payload.len()), [0, 0]];
    [&fields.concat(), payload].concat()
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).expect("a short packet").to_be_bytes()
}
