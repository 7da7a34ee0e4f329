//! One socket as the kernel has it: its options, and what is said to it and heard from it.

use super::outgoing::{Call, Offload};
use crate::packet::WINDOWED_FROM;
use crate::session::{Ecn, Via};
use quinn_udp::{EcnCodepoint, RecvMeta, UdpSocketState};
use rustix::io::Errno;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// A socket and its state.
pub(super) struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
    /// The one peer that the socket was connected to, as the user wrote it: the kernel may know it by another name.
    connected: Option<SocketAddr>,
    /// An IPv6 socket that serves IPv4 as well.
    is_dual: bool,
    /// Whether routers may cut what leaves now.
    may_fragment: bool,
}

impl Port {
    /// Sets the socket up.
    pub(super) fn new(socket: UdpSocket, connected: Option<SocketAddr>) -> io::Result<Self> {
        let state = set_up(&socket)?;
        let is_dual = socket.local_addr()?.is_ipv6() && connected.is_none();
        let port = Self { socket, state, connected, is_dual, may_fragment: true };
        port.allow_fragments();
        Ok(port)
    }

    /// The socket itself.
    pub(super) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// What the kernel promises of batches.
    pub(super) fn offload(&self) -> Offload {
        Offload::new(self.state.max_gso_segments())
    }

    /// Hands one call to the kernel.
    ///
    /// # Errors
    /// As the kernel says.
    pub(super) fn send(&mut self, call: &Call<'_>) -> io::Result<()> {
        self.choose_fragmentation(call.bytes);
        let destination = match call.transmit.to {
            SocketAddr::V4(to) if self.is_dual => SocketAddr::new(to.ip().to_ipv6_mapped().into(), to.port()),
            other => other,
        };
        let message = quinn_udp::Transmit {
            destination,
            ecn: call.transmit.is_markable.then_some(EcnCodepoint::Ect0),
            contents: call.bytes,
            segment_size: call.segment,
            src_ip: if self.connected.is_some() { None } else { call.transmit.via.local },
        };
        let sent = self.state.try_send((&self.socket).into(), &message);
        if let Err(error) = &sent
            && [Some(Errno::INVAL), Some(Errno::IO)].contains(&Errno::from_io_error(error))
        {
            // quinn-udp takes this for an old kernel that knows no marks, and would never mark again; it was about a batch,
            // or about an address of ours that is gone.
            if let Ok(state) = set_up(&self.socket) {
                self.state = state;
                self.allow_fragments();
            }
        }
        sent
    }

    /// Takes what has come into slots; says how many are filled.
    ///
    /// # Errors
    /// As the kernel says.
    pub(super) fn receive(&self, slots: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> io::Result<usize> {
        self.state.recv((&self.socket).into(), slots, metas)
    }

    /// Where a datagram came from, and by which way into the socket with this number.
    pub(super) fn origin(&self, number: usize, meta: &RecvMeta) -> (Via, SocketAddr) {
        let from = self.connected.unwrap_or_else(|| canonical(meta.addr));
        (Via { socket: number, local: meta.dst_ip }, from)
    }

    /// Lab datagrams may be larger than the path (20480 bytes in the compact spelling, any `--bufsize`), and the routers must
    /// be allowed to cut them. Packets of the windowed mode must not be cut, since they find out what the path takes
    /// (RFC 8899 section 3). Linux has that as an option of the socket alone, which serves both: it changes with what is
    /// sent. That costs little (0.25 us each time), for nobody sends both by turns: servers send the lab nothing but
    /// acknowledgements, and those are so short that nobody cuts them.
    fn choose_fragmentation(&mut self, datagram: &[u8]) {
        let may_fragment = match datagram.first() {
            Some(first) if *first >= WINDOWED_FROM => false,
            _ if datagram.len() > NEVER_CUT => true,
            _ => self.may_fragment,
        };
        if may_fragment != self.may_fragment {
            self.may_fragment = may_fragment;
            self.allow_fragments();
        }
    }

    /// Tells the kernel, as far as it is concerned: an option of IPv4 says nothing to a socket that speaks IPv6 alone.
    fn allow_fragments(&self) {
        #[cfg(target_os = "linux")]
        {
            use nix::sys::socket::{setsockopt, sockopt::Ipv6DontFrag};
            use rustix::net::sockopt::{
                Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
            };
            let (v4, v6) = match self.may_fragment {
                true => (Ipv4PathMtuDiscovery::DONT, Ipv6PathMtuDiscovery::DONT),
                false => (Ipv4PathMtuDiscovery::PROBE, Ipv6PathMtuDiscovery::PROBE),
            };
            let _ = set_ip_mtu_discover(&self.socket, v4);
            let _ = set_ipv6_mtu_discover(&self.socket, v6);
            let _ = setsockopt(&self.socket, Ipv6DontFrag, &!self.may_fragment);
        }
    }
}

/// quinn-udp's options, and what they do not fit.
fn set_up(socket: &UdpSocket) -> io::Result<UdpSocketState> {
    let state = UdpSocketState::new(socket.into())?;
    #[cfg(target_os = "linux")]
    {
        use nix::sys::socket::{setsockopt, sockopt::ReceiveTimestampns};
        // quinn-udp 0.6 has 96 bytes for what the kernel tells of a datagram. With a time stamp it would be 112 for joined ones,
        // and what is left out is the mark.
        setsockopt(socket, ReceiveTimestampns, &false)?;
    }
    Ok(state)
}

/// How a datagram was marked.
pub(super) fn mark(meta: &RecvMeta) -> Option<Ecn> {
    meta.ecn.map(|ecn| match ecn {
        EcnCodepoint::Ect0 => Ecn::Ect0,
        EcnCodepoint::Ect1 => Ecn::Ect1,
        EcnCodepoint::Ce => Ecn::Ce,
    })
}

/// IPv4 in IPv6 clothes becomes IPv4, so that one peer has one address; a link-local one keeps its scope.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// No link cuts datagrams of this length: 576 bytes, which every host must take in one piece or several (RFC 791 section 3.1),
/// less the headers of IPv4 and UDP.
const NEVER_CUT: usize = 576 - 28;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::session::Transmit;
    use nix::sys::socket::{getsockopt, sockopt::Ipv6DontFrag};
    use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, ip_mtu_discover, ipv6_mtu_discover};
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    #[expect(clippy::disallowed_methods, reason = "this is the room where sockets live")]
    fn packets_are_never_cut_and_lab_datagrams_may_be() {
        for any in [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)] {
            let mut port = Port::new(UdpSocket::bind((any, 0)).unwrap(), None).unwrap();
            let to = ([127, 0, 0, 1], 9).into();
            let mut may_fragment = |bytes: Vec<u8>| {
                let transmit = Transmit::one(Via::socket(0), to, bytes);
                let _ = port.send(&Call { transmit: &transmit, bytes: &transmit.bytes, segment: None });
                let v4 = ip_mtu_discover(&port.socket).unwrap();
                assert!([Ipv4PathMtuDiscovery::DONT, Ipv4PathMtuDiscovery::PROBE].contains(&v4));
                if any.is_ipv6() {
                    let v6 = ipv6_mtu_discover(&port.socket).unwrap();
                    assert_eq!(v6 == Ipv6PathMtuDiscovery::DONT, v4 == Ipv4PathMtuDiscovery::DONT);
                    assert_eq!(getsockopt(&port.socket, Ipv6DontFrag).unwrap(), v4 == Ipv4PathMtuDiscovery::PROBE);
                }
                v4 == Ipv4PathMtuDiscovery::DONT
            };
            assert!(may_fragment(b"s".to_vec()), "{any}");
            assert!(!may_fragment(vec![WINDOWED_FROM; 100]), "{any}");
            assert!(!may_fragment(b"a | 5".to_vec()), "{any}: short enough either way");
            assert!(may_fragment(vec![b'd'; NEVER_CUT + 1]), "{any}");
            assert!(!may_fragment(vec![u8::MAX; 1200]), "{any}");
        }
    }
}
