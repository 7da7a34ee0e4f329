//! What is said when there is no way to a server, or no port for one: what is wrong, and what to do.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// A server whose port is closed, as its machine says.
pub(super) fn closed(target: &str) -> String {
    let port = port_of(target);
    format!("server unreachable: nobody listens at {target}; does it run, and is UDP port {port} open there?")
}

/// A server that was never heard, and what else may be the reason.
pub(super) fn silent(target: &str, seconds: f64, or: &str) -> String {
    let port = port_of(target);
    format!("server unreachable: {target} did not answer for {seconds} s; is UDP port {port} open there? {or}")
}

/// Why this machine gives a server no port.
pub fn cannot_listen(address: SocketAddr, error: &io::Error) -> String {
    let remedy = match error.kind() {
        ErrorKind::AddrInUse => "another program has this port; choose another one, or 0 for one that is free",
        ErrorKind::PermissionDenied => "ports below 1024 need privileges; choose a higher one",
        ErrorKind::AddrNotAvailable => "this machine has no such address; 0.0.0.0 or :: are all that it has",
        _ => "choose another address or port",
    };
    format!("cannot listen at {} port {}: {error}; {remedy}", address.ip(), address.port())
}

fn port_of(target: &str) -> &str {
    target.rsplit_once(':').map_or(target, |(_, port)| port)
}
