//! How many there are, in all and in each network.

use crate::session::network;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A count of addresses.
#[derive(Default)]
pub(super) struct Crowd {
    total: usize,
    networks: BTreeMap<IpAddr, usize>,
}

impl Crowd {
    /// One more is here.
    pub(super) fn add(&mut self, ip: IpAddr) {
        self.total += 1;
        *self.networks.entry(network(ip)).or_default() += 1;
    }

    /// One that was here is not.
    pub(super) fn remove(&mut self, ip: IpAddr) {
        let network = network(ip);
        let Some(count) = self.networks.get_mut(&network) else { return };
        self.total = self.total.saturating_sub(1);
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.networks.remove(&network);
        }
    }

    /// How many there are.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// How many there are in this one's network.
    pub(super) fn around(&self, ip: IpAddr) -> usize {
        self.networks.get(&network(ip)).copied().unwrap_or_default()
    }
}
