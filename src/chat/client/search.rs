//! Finding a way to another client: both sides probe each other's addresses at the same time, so that their routers let the
//! other's probes in (RFC 5128 section 3.3).

use super::event::Named;
use crate::packet::chat::{Key, Meeting, Talk};
use crate::packet::message::Message;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One introduction by the registry.
#[derive(Debug)]
pub(super) struct Search {
    /// The word that both sides know; probes without it are not answered.
    pub meeting: Meeting,
    /// Whom we are to meet.
    pub peer: Named,
    /// Whether we asked for it.
    pub is_ours: bool,
    candidates: Vec<SocketAddr>,
    /// Our own secret, so that nobody can say that a probe arrived where it did not.
    key: Key,
    next_probe: Option<Instant>,
    until: Instant,
    round: usize,
}

impl Search {
    /// Probes from now on. Of the addresses the first [`CANDIDATES_MAX`] are tried.
    pub fn new(meeting: Meeting, peer: Named, addresses: &[SocketAddr], is_ours: bool, key: Key, now: Instant) -> Self {
        let candidates: Vec<SocketAddr> = addresses.iter().copied().take(CANDIDATES_MAX).collect();
        let next_probe = (!candidates.is_empty()).then_some(now);
        Self { meeting, peer, is_ours, candidates, key, next_probe, until: now + PROBING, round: 0 }
    }

    /// A probe with our word came: its sender has found a way to us, perhaps from an address that nobody foresaw. Gives the
    /// answer.
    pub fn handle_probe(&mut self, from: SocketAddr, seq: u64) -> Option<Vec<u8>> {
        if !self.candidates.contains(&from) && self.candidates.len() < CANDIDATES_MAX {
            self.candidates.push(from);
        }
        let text = Talk::Probe(self.meeting).to_string();
        Message::Ack { seq, text: &text }.to_datagram().ok()
    }

    /// A probe of ours was answered; says whether it really went there: then the way leads both ways, and probing ends.
    pub fn handle_answer(&mut self, from: SocketAddr, seq: u64) -> bool {
        let found = self.next_probe.is_some() && seq == self.number(from);
        if found {
            self.stop();
        }
        found
    }

    /// Probes no more; what the other side still probes is answered.
    pub fn stop(&mut self) {
        self.next_probe = None;
    }

    /// The probe that is due now, one address after the other.
    pub fn poll_probe(&mut self, now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        self.next_probe.filter(|due| now >= *due && now < self.until)?;
        self.next_probe = Some(now + PROBE_EVERY);
        let address = *self.candidates.get(self.round % self.candidates.len().max(1))?;
        self.round += 1;
        let text = Talk::Probe(self.meeting).to_string();
        let message = Message::Text { seq: self.number(address), text: &text };
        Some((address, message.to_datagram().ok()?))
    }

    /// Says once that no address has answered in time.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let is_over = self.next_probe.is_some() && now >= self.until;
        if is_over {
            self.stop();
        }
        is_over
    }

    /// When it has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_probe.map(|due| due.min(self.until))
    }

    /// Whether the word is so old that nobody will come with it any more.
    pub fn is_forgotten(&self, now: Instant) -> bool {
        now >= self.until + REMEMBERED
    }

    /// The number of the probe to an address: only who got it can repeat it.
    fn number(&self, address: SocketAddr) -> u64 {
        let mut hasher = Sha256::new();
        hasher.update(self.key.0);
        hasher.update(self.meeting.0);
        hasher.update(address.to_string());
        let mut bytes = [0; 8];
        for (byte, digest) in bytes.iter_mut().zip(hasher.finalize()) {
            *byte = digest;
        }
        u64::from_le_bytes(bytes)
    }
}

/// Addresses of one peer that are tried.
pub(super) const CANDIDATES_MAX: usize = 8;

/// Five probes a second, whatever the number of addresses. Each has 44 bytes at most (20 digits, a colon, and the text's 23): an
/// address that never asked for it gets 2.2 kB in all before we stop.
const PROBE_EVERY: Duration = Duration::from_millis(200);

/// For so long it is tried.
const PROBING: Duration = Duration::from_secs(10);

/// For so much longer its word is good for a request.
const REMEMBERED: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::super::tests::moment;
    use super::*;
    use crate::packet::chat::Hex;
    use crate::packet::message;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn search(addresses: &[SocketAddr], now: Instant) -> Search {
        Search::new(Hex([1; 8]), Named { number: 2, name: None }, addresses, true, Hex([7; 16]), now)
    }

    #[test]
    fn probes_are_few_small_and_end_whatever_happens() {
        let began = moment();
        let many: Vec<SocketAddr> = (1..=20).map(address).collect();
        let mut search = search(&many, began);
        let (mut now, mut probes, mut bytes) = (began, 0, 0);
        while let Some(due) = search.poll_timeout() {
            now = due;
            if let Some((to, probe)) = search.poll_probe(now) {
                assert!(many[..CANDIDATES_MAX].contains(&to));
                assert!(probe.len() <= 64);
                (probes, bytes) = (probes + 1, bytes + probe.len());
            }
            if search.handle_timeout(now) {
                break;
            }
        }
        assert_eq!(now - began, PROBING);
        assert!(probes <= 50 && bytes <= 2500, "{probes} probes, {bytes} bytes");
        assert_eq!(search.poll_timeout(), None);
    }

    #[test]
    fn only_an_answer_to_a_probe_that_went_there_shows_a_way() {
        let now = moment();
        let mut search = search(&[address(1), address(2)], now);
        let (to, probe) = search.poll_probe(now).expect("a probe");
        let Ok(Message::Text { seq, .. }) = message::decode(&probe) else { panic!("a text") };
        assert!(!search.handle_answer(address(3), seq), "from elsewhere");
        assert!(!search.handle_answer(to, seq + 1), "of another number");
        assert!(search.handle_answer(to, seq));
        assert!(!search.handle_answer(to, seq), "told once");
    }

    #[test]
    fn an_address_that_nobody_foresaw_is_probed_as_well_but_not_too_many() {
        let mut now = moment();
        let mut search = search(&[address(1)], now);
        for port in 100..200 {
            let answer = search.handle_probe(address(port), 5).expect("an answer");
            assert_eq!(answer, b"5:ACK:Probe 0101010101010101");
        }
        let mut probed = std::collections::BTreeSet::new();
        for _ in 0..49 {
            probed.extend(search.poll_probe(now).map(|(to, _)| to));
            now += PROBE_EVERY;
        }
        assert_eq!(probed.len(), CANDIDATES_MAX);
    }
}
