//! Where packets go from here, and under what: to another address, at another pace, sealed so.

use super::Connection;
use crate::packet::windowed::Cipher;
use crate::packet::windowed::frame::Frame;
use crate::session::windowed::flight::Takeoff;
use std::time::{Duration, Instant};

impl Connection {
    /// What packets are sealed with.
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// Appends a datagram for an address that the peer seems to have moved to: whoever returns these bytes lives there (RFC 9000
    /// section 8.2). It is as short as it can be, for it may be a stranger who gets it.
    pub fn challenge(&mut self, bytes: [u8; 8], out: &mut Vec<u8>, now: Instant) -> Option<()> {
        if self.closing.is_some() {
            return None;
        }
        let number = self.spare.take().or_else(|| self.flight.take_number())?;
        let mut draft = self.sealer.begin(self.peer_id, number, self.flight.packet_size(), out).ok()?;
        Frame::PathChallenge(bytes).encode(&mut draft.frames()).ok()?;
        self.watch.on_sending(&draft, false, 0, now);
        draft.seal();
        Some(())
    }

    /// The peer lives elsewhere now: what was learnt of the old path is forgotten.
    pub fn handle_moved(&mut self, takeoff: &Takeoff) {
        self.flight.on_path_changed(takeoff);
    }

    /// From here on this congestion control is in charge.
    pub fn handle_choice(&mut self, takeoff: &Takeoff) {
        self.flight.on_choice(takeoff);
    }

    /// A sign of life is asked for when nothing was asked for so long.
    pub fn ask_every(&mut self, patience: Duration) {
        self.patience = Some(patience);
    }
}
