//! A socket that asks somebody's server one thing at a time, and waits.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

/// One client's socket. It is not connected: a server that is gone shows as silence, and an answer from a wrong port is seen.
pub struct Asker {
    socket: UdpSocket,
    server: SocketAddr,
}

impl Asker {
    /// A socket from a fresh port, towards `server`.
    ///
    /// # Errors
    /// When the system gives no socket.
    pub fn new(server: SocketAddr) -> io::Result<Self> {
        let own = match server.ip() {
            ip if ip.is_loopback() => ip,
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Self::from(SocketAddr::new(own, 0), server)
    }

    /// A socket from this address and port.
    ///
    /// # Errors
    /// When the port is taken or the address is none of this machine's.
    #[expect(clippy::disallowed_methods, reason = "this is a room where sockets live")]
    pub fn from(own: SocketAddr, server: SocketAddr) -> io::Result<Self> {
        Ok(Self { socket: UdpSocket::bind(own)?, server })
    }

    /// Where the socket is bound.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Sends to the server. What the kernel refuses is lost, as on any network.
    pub fn send(&self, datagram: &[u8]) {
        let _ = self.socket.send_to(datagram, self.server);
    }

    /// The next datagram from whomever, if one comes within `limit`.
    ///
    /// # Errors
    /// When the socket itself fails.
    pub fn receive(&self, limit: Duration) -> io::Result<Option<(SocketAddr, Vec<u8>)>> {
        let mut slot = vec![0; SLOT];
        // No time-out at all would be asked for by zero.
        self.socket.set_read_timeout(Some(limit.max(Duration::from_millis(1))))?;
        match self.socket.recv_from(&mut slot) {
            Ok((length, from)) => {
                slot.truncate(length);
                Ok(Some((from, slot)))
            }
            Err(error) => match error.kind() {
                // An ICMP message about an earlier datagram is no failure of this socket.
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted
                | io::ErrorKind::ConnectionRefused => Ok(None),
                _ => Err(error),
            },
        }
    }
}

/// A UDP port for a server that is about to be started. As long as this lives, no other of us takes the port.
#[derive(Debug)]
pub struct FreePort {
    /// The port.
    pub number: u16,
    /// Programs like this one run side by side, and a server needs a while until it takes its port: meanwhile the TCP port of
    /// the same number, for which servers of this protocol have no use, says that it is given away.
    _reserved: Option<TcpListener>,
}

impl FreePort {
    /// A UDP port that nobody on this machine uses now, and that the system gives nobody who does not ask for it.
    ///
    /// # Errors
    /// When the system gives no socket.
    #[expect(clippy::disallowed_methods, reason = "this is a room where sockets live")]
    pub fn find() -> io::Result<Self> {
        let reserve = |number: u16| {
            let reserved = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
            let is_free = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, number)).is_ok();
            is_free.then_some(Self { number, _reserved: Some(reserved) })
        };
        let mut numbers = std::iter::repeat_with(|| fastrand::u16(UNASSIGNED)).take(PORTS_TRIED);
        match numbers.find_map(reserve) {
            Some(port) => Ok(port),
            None => Ok(Self::told(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port())),
        }
    }

    /// The port that somebody has chosen.
    pub fn told(number: u16) -> Self {
        Self { number, _reserved: None }
    }
}

/// Whether somebody on this machine listens on this UDP port; `None` where the system has no list to read.
pub fn is_open(port: u16) -> Option<bool> {
    let mut known = false;
    for table in ["/proc/net/udp", "/proc/net/udp6"] {
        let Ok(text) = std::fs::read_to_string(table) else { continue };
        known = true;
        // A row's second field is the local address as `ADDRESS:PORT` in hexadecimal.
        let is_it = |row: &str| {
            let address = row.split_whitespace().nth(1);
            address
                .and_then(|address| address.rsplit_once(':'))
                .is_some_and(|(_, digits)| u16::from_str_radix(digits, 16) == Ok(port))
        };
        if text.lines().skip(1).any(is_it) {
            return Some(true);
        }
    }
    known.then_some(false)
}

/// Above the well-known ports and below those that systems give to sockets without a port of their own.
const UNASSIGNED: std::ops::Range<u16> = 10_240..32_768;
const PORTS_TRIED: usize = 50;

/// A datagram of any size.
const SLOT: usize = 65_535;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_and_waits_and_sees_who_answers() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Asker::from(loopback, loopback).unwrap();
        let asker = Asker::new(server.local_address().unwrap()).unwrap();
        assert_eq!(asker.receive(Duration::from_millis(5)).unwrap(), None);
        asker.send(b"hello");
        let (from, bytes) = server.receive(Duration::from_secs(5)).unwrap().unwrap();
        assert_eq!((from, bytes.as_slice()), (asker.local_address().unwrap(), &b"hello"[..]));
    }

    #[test]
    fn an_open_port_is_seen() {
        let port = FreePort::find().unwrap().number;
        let loopback = SocketAddr::from(([127, 0, 0, 1], port));
        if is_open(port).is_some() {
            let held = Asker::from(loopback, loopback).unwrap();
            assert_eq!(is_open(port), Some(true));
            drop(held);
            assert_eq!(is_open(port), Some(false));
        }
    }
    #[test]
    fn a_port_is_given_away_once() {
        let ports: Vec<FreePort> = (0..200).map(|_| FreePort::find().unwrap()).collect();
        let numbers: std::collections::BTreeSet<u16> = ports.iter().map(|port| port.number).collect();
        assert_eq!(numbers.len(), ports.len());
    }
}
