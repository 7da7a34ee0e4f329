//! Which of a client's addresses another one is told.

use super::entry::Member;
use crate::packet::chat::Whereabouts;
use std::net::{IpAddr, SocketAddr};

/// Who a client seen at `seen` is, and where one that is seen at `asker` may find it.
///
/// What a client reports is its own word; passed on at will, it would lead others to send to whomever it names. So it is passed
/// on only between clients behind the same router (seen at the same IP address), and only if it is an address that lives there.
pub(super) fn whereabouts(member: &Member, seen: SocketAddr, asker: SocketAddr) -> Whereabouts {
    let mut addresses = vec![seen];
    if asker.ip().to_canonical() == seen.ip().to_canonical() {
        for reported in &member.reported {
            let is_local = is_local(reported.ip()) && reported.is_ipv4() == seen.is_ipv4() && reported.port() != 0;
            if is_local && !addresses.contains(reported) {
                addresses.push(*reported);
            }
        }
    }
    Whereabouts { number: member.number, name: member.name.clone(), addresses }
}

/// Private, loopback or link-local: no router carries it to anybody else (RFC 1918, RFC 4193, RFC 3927, RFC 4291).
fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::chat::Hex;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn only_behind_the_same_router_and_only_addresses_that_live_there_are_passed_on() {
        let reported = [
            "10.0.0.7:5000",
            "10.0.0.7:5000",
            "127.0.0.1:5000",
            "169.254.1.1:5000",
            "192.168.1.1:0",
            "8.8.8.8:53",
            "255.255.255.255:9",
            "224.0.0.1:9",
            "[fd00::1]:5000",
            "198.51.100.1:5000",
        ];
        #[expect(clippy::disallowed_methods, reason = "any moment will do")]
        let now = std::time::Instant::now();
        let mut member = Member::new(2, None, Hex([1; 16]), now);
        member.reported = reported.map(address).to_vec();
        let told = |seen: &str, asker: &str| {
            let addresses = whereabouts(&member, address(seen), address(asker)).addresses;
            addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told("198.51.100.1:5000", "198.51.100.2:5000"), "198.51.100.1:5000");
        assert_eq!(
            told("198.51.100.1:5000", "198.51.100.1:6000"),
            "198.51.100.1:5000 10.0.0.7:5000 127.0.0.1:5000 169.254.1.1:5000"
        );
        assert_eq!(told("[2001:db8::1]:1", "[2001:db8::1]:2"), "[2001:db8::1]:1 [fd00::1]:5000");
        assert_eq!(told("[2001:db8::1]:1", "[2001:db8::2]:2"), "[2001:db8::1]:1");
    }
}
