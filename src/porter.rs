//! One port for everything: text goes to the machine for the lab's transfers, binary datagrams to the one for windowed ones.

use crate::endpoint::{Endpoint, Event};
use crate::harbour::Harbour;
use crate::hostile::{Account, Serving};
use crate::packet::WINDOWED_FROM;
use crate::packet::lab::{self, Message, Spelling};
use crate::session::{Ecn, Machine, PLAIN_WORDS, Transmit, Via, is_offer};
use crate::trace::Recordings;
use std::net::SocketAddr;
use std::time::Instant;

/// `machine` for text, and the windowed mode beside it, if it is offered.
pub struct Porter<M> {
    machine: M,
    harbour: Option<Harbour>,
}

impl<M> Porter<M> {
    /// Without a harbour it is the machine alone.
    pub fn new(machine: M, harbour: Option<Harbour>) -> Self {
        Self { machine, harbour }
    }
}

impl<M: Serving> Porter<M> {
    /// An offering start is answered with the windowed mode's words as well. Not where exchanges are recorded to be drawn: there is
    /// nothing to see of sealed packets.
    fn offer(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        let Some(harbour) = self.harbour.as_mut().filter(|_| self.machine.recordings().is_none()) else { return };
        let start = lab::decode(datagram);
        if let Ok((Spelling::Spaced, Message::Start { seq, .. })) = start
            && is_offer(seq)
        {
            let words = harbour.words(PLAIN_WORDS, from, datagram, now);
            self.machine.endpoint().offer(words);
        }
    }
}

impl<M: Serving> Machine for Porter<M> {
    fn handle_datagram(&mut self, via: Via, from: SocketAddr, datagram: &[u8], now: Instant) {
        self.handle_packet(via, from, &mut datagram.to_vec(), None, now);
    }

    fn handle_packet(&mut self, via: Via, from: SocketAddr, datagram: &mut [u8], ecn: Option<Ecn>, now: Instant) {
        let is_binary = datagram.first().is_some_and(|first| *first >= WINDOWED_FROM);
        let Some(harbour) = self.harbour.as_mut().filter(|_| is_binary) else {
            self.offer(from, datagram, now);
            return self.machine.handle_packet(via, from, datagram, ecn, now);
        };
        harbour.handle_datagram(via, from, datagram, ecn, now);
        while let Some(peer) = harbour.poll_invited() {
            self.machine.endpoint().handle_departed(peer, now);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.machine.handle_timeout(now);
        if let Some(harbour) = &mut self.harbour {
            harbour.handle_timeout(now);
        }
    }

    fn handle_unreachable(&mut self, socket: usize, now: Instant) {
        self.machine.handle_unreachable(socket, now);
    }

    fn handle_refused(&mut self, to: SocketAddr, size: usize, now: Instant) {
        self.machine.handle_refused(to, size, now);
        if let Some(harbour) = &mut self.harbour {
            harbour.handle_refused(to, size, now);
        }
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.machine.poll_transmit(now).or_else(|| {
            let mut bytes = Vec::new();
            let shipment = self.harbour.as_mut()?.poll_transmit(&mut bytes, now)?;
            let (via, to, batch) = (shipment.via, shipment.to, shipment.batch);
            Some(Transmit { via, to, bytes, segment: Some(batch.segment), is_markable: batch.is_markable })
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let harbour = self.harbour.as_ref().and_then(Harbour::poll_timeout);
        [self.machine.poll_timeout(), harbour].into_iter().flatten().min()
    }
}

impl<M: Serving> Serving for Porter<M> {
    fn endpoint(&mut self) -> &mut Endpoint {
        self.machine.endpoint()
    }

    fn poll_event(&mut self, now: Instant) -> Option<Event> {
        self.machine.poll_event(now)
    }

    fn harbour(&mut self) -> Option<&mut Harbour> {
        self.harbour.as_mut()
    }

    fn account(&self, peer: SocketAddr) -> Option<Account> {
        self.machine.account(peer)
    }

    fn recordings(&mut self) -> Option<&mut Recordings> {
        self.machine.recordings()
    }

    fn is_underway(&self) -> bool {
        self.machine.is_underway()
    }

    fn has_died(&self) -> bool {
        self.machine.has_died()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harbour;
    use crate::packet::windowed::Cipher;
    use crate::session::handshake::Client;
    use crate::session::handshake::{Opening, PrivateKey, call, server};
    use std::time::Duration;

    #[test]
    fn the_first_byte_says_who_answers_and_each_answers_the_way_it_was_asked() {
        #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
        let now = Instant::now();
        let limits = harbour::Config {
            max_transfers: 1,
            max_transfers_per_network: 1,
            timeout: Duration::from_secs(30),
            mtu_max: 1472,
            seed: [1; 32],
        };
        let (key, cipher) = (PrivateKey::new(&[2; 32]), Cipher::Aes256Gcm);
        let greeting = server::Config {
            key: key.clone(),
            cipher,
            parameters: Vec::new(),
            seed: [3; 32],
            pending_max: 1,
            pending_per_network_max: 1,
        };
        let harbour = Harbour::new(limits, greeting, now);
        let mut porter = Porter::new(Endpoint::new(crate::endpoint::Config::default()), Some(harbour));
        let (rtt, timeout) = (None, Duration::from_secs(30));
        let call = call::Config { key, expected: None, cipher, opening: Opening::Binary, rtt, timeout, seed: [4; 32] };
        let hello = Client::new(call, now).poll_transmit().expect("a hello");
        let (from, via) = (([192, 0, 2, 1], 5).into(), Via { socket: 0, local: Some([192, 0, 2, 9].into()) });
        for (datagram, first) in [(&hello[..], 0x80..=0xff), (b"s | 0 | name | 5", b'a'..=b'a')] {
            porter.handle_packet(via, from, &mut datagram.to_vec(), None, now);
            while let Some(Event::Order(id, _)) = porter.poll_event(now) {
                porter.endpoint().handle_admitted(id, Ok(()), now);
            }
            let answer = porter.poll_transmit(now).expect("an answer");
            assert_eq!((answer.via, answer.to), (via, from));
            assert!(first.contains(&answer.bytes[0]), "{:?}", answer.bytes);
            assert_eq!(porter.poll_transmit(now), None);
        }
        Porter::new(Endpoint::new(crate::endpoint::Config::default()), None).handle_datagram(via, from, &hello, now);
    }
}
