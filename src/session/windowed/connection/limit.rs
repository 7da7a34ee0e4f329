//! What holds a connection back at a moment when it has nothing more to send.

use crate::limits::Limit;
use crate::packet::windowed::frame::Space;
use crate::session::windowed::DATA_CREDIT;
use crate::session::windowed::connection::Connection;
use crate::session::windowed::outbox::Outbox;

impl Connection {
    /// Why nothing leaves now; `behind` is what a source is held back by that has nothing to send. Ask when
    /// [`Connection::poll_transmit`] has given nothing.
    pub fn limit(&self, behind: Limit) -> Limit {
        if self.streams.has_next() {
            return if self.is_starved { behind } else { Limit::Path };
        }
        let [data, manifest] = [Space::Data, Space::Manifest].map(|space| self.streams.outbox(space));
        let is_blocked = |outbox: Option<&Outbox>| outbox.is_some_and(Outbox::is_blocked);
        if is_blocked(data) || is_blocked(manifest) {
            // What was permitted is either there, or still on its way.
            let is_far = self.flight.bytes_in_flight() >= FAR;
            return if is_far { Limit::Window } else { Limit::PeerDisk };
        }
        match data {
            Some(data) if !data.is_complete() => behind,
            _ if self.flight.bytes_in_flight() > 0 => Limit::Delay,
            _ => Limit::PeerDisk,
        }
    }
}

/// More than this under way while the receiver permits no more: half of the least that it permits, which before its first word is all.
const FAR: u64 = DATA_CREDIT / 2;
