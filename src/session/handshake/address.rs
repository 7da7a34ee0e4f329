//! An address as tokens see it.

use std::net::{IpAddr, SocketAddr};

/// An address as bytes: the same for an IPv4 address and for how a socket of both families shows it. The zone of a link-local
/// address counts, since the same address is another host on another link.
pub fn address_bytes(address: SocketAddr) -> [u8; 22] {
    let ip = match address.ip().to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let zone = match address {
        SocketAddr::V6(address) if ip.is_unicast_link_local() => address.scope_id(),
        _ => 0,
    };
    let mut bytes = [0; 22];
    let fields = ip.octets().into_iter().chain(zone.to_be_bytes()).chain(address.port().to_be_bytes());
    for (byte, field) in bytes.iter_mut().zip(fields) {
        *byte = field;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::network;

    #[test]
    fn one_host_has_one_address_whatever_the_socket_calls_it() {
        let bytes = |text: &str| address_bytes(text.parse().expect("an address"));
        assert_eq!(bytes("10.0.0.1:5"), bytes("[::ffff:10.0.0.1]:5"));
        assert_eq!(bytes("[2001:db8::1%3]:5"), bytes("[2001:db8::1]:5"), "only link-local addresses have zones");
        for (one, other) in [
            ("10.0.0.1:5", "10.0.0.1:6"),
            ("10.0.0.1:5", "10.0.0.2:5"),
            ("[fe80::1%3]:5", "[fe80::1%4]:5"),
            ("[2001:db8::1]:5", "[2001:db8::2]:5"),
        ] {
            assert_ne!(bytes(one), bytes(other));
        }
    }

    #[test]
    fn an_ipv6_network_is_a_64() {
        let network = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:0:0:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
    }
}
