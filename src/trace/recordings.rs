//! The recordings of all exchanges of a program, one for each peer and start.

use super::recorder::{Mark, Recorder};
use super::step::{Exchange, Side, Step, Vantage};
use crate::packet::Packet;
use crate::packet::lab::Message;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

/// A datagram that was written down: in which exchange, and where there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    exchange: u64,
    mark: Mark,
}

/// Something new for whoever writes recordings down as they grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// An exchange began.
    Began {
        /// Its number, from 1.
        exchange: u64,
        /// Who sends the file.
        client: String,
        /// Who receives it.
        server: String,
        /// Where the recorder stands.
        vantage: Vantage,
    },
    /// Something happened in it.
    Step {
        /// The exchange's number.
        exchange: u64,
        /// What happened.
        #[serde(flatten)]
        step: Step,
    },
}

/// Everything that a program records.
#[derive(Debug)]
pub struct Recordings {
    vantage: Vantage,
    /// What the recorder's own end is called.
    own: String,
    steps_max: usize,
    current: BTreeMap<SocketAddr, Current>,
    ended: VecDeque<Exchange>,
    begun: u64,
    unwritten: Option<VecDeque<Line>>,
}

#[derive(Debug)]
struct Current {
    exchange: u64,
    /// The start that it is about; a different one from the same peer begins another exchange.
    start: Vec<u8>,
    recorder: Recorder,
}

impl Recordings {
    /// Nothing recorded yet. `own` names this end; with [`Vantage::Both`] it is the server. Each exchange keeps at most
    /// `steps_max` steps.
    pub fn new(vantage: Vantage, own: String, steps_max: usize) -> Self {
        let (current, ended) = (BTreeMap::new(), VecDeque::new());
        Self { vantage, own, steps_max, current, ended, begun: 0, unwritten: None }
    }

    /// Also hands out every line once, by [`Recordings::poll_line`].
    pub fn streaming(mut self) -> Self {
        self.unwritten = Some(VecDeque::new());
        self
    }

    /// The next line for whoever writes them down as they happen.
    pub fn poll_line(&mut self) -> Option<Line> {
        self.unwritten.as_mut()?.pop_front()
    }

    /// A datagram leaves `by`, this end or that of `peer`. `None` when there are too many exchanges at once to record it.
    pub fn sent(&mut self, peer: SocketAddr, by: Side, datagram: &[u8], now: Instant) -> Option<Noted> {
        self.record(peer, by, datagram, now, |recorder| recorder.sent(by, datagram, now))
    }

    /// A datagram of `by` arrives, and nobody saw it leave; or it leaves, and nobody will see it arrive.
    pub fn passed(&mut self, peer: SocketAddr, by: Side, datagram: &[u8], now: Instant) -> Option<Noted> {
        self.record(peer, by, datagram, now, |recorder| recorder.arrived(by, datagram, now))
    }

    /// It reaches the other end with these bytes.
    pub fn came(&mut self, peer: SocketAddr, noted: Option<Noted>, datagram: &[u8], now: Instant) {
        self.amend(peer, noted, |recorder, mark| recorder.came(mark, datagram, now));
    }

    /// It will never reach the other end.
    pub fn lost(&mut self, peer: SocketAddr, noted: Option<Noted>, now: Instant) {
        self.amend(peer, noted, |recorder, mark| recorder.lost(mark, now));
    }

    /// Something worth a remark happened at this end of the exchange with `peer`.
    pub fn note(&mut self, peer: SocketAddr, by: Side, text: &str, now: Instant) {
        if let Some(current) = self.current.get_mut(&peer) {
            current.recorder.note(by, text, now);
            self.flush(peer);
        }
    }

    /// An exchange that was over when its peer began another one, or that was [retired](Recordings::retire).
    pub fn poll_ended(&mut self) -> Option<Exchange> {
        self.ended.pop_front()
    }

    /// The exchange with this peer is over.
    pub fn retire(&mut self, peer: SocketAddr) {
        if let Some(current) = self.current.remove(&peer) {
            self.ended.push_back(current.recorder.exchange());
        }
    }

    /// Whether an exchange is over that nobody has asked for.
    pub fn is_over(&self) -> bool {
        !self.ended.is_empty()
    }

    /// All exchanges are over.
    pub fn retire_all(&mut self) {
        while let Some(peer) = self.current.keys().next().copied() {
            self.retire(peer);
        }
    }

    fn record(
        &mut self,
        peer: SocketAddr,
        by: Side,
        datagram: &[u8],
        now: Instant,
        write: impl FnOnce(&mut Recorder) -> Mark,
    ) -> Option<Noted> {
        let start = if by == Side::Client && is_start(datagram) { datagram } else { &[] };
        let begins_another = |current: &Current| !start.is_empty() && current.start != start;
        if self.current.get(&peer).is_some_and(begins_another) {
            self.retire(peer);
        }
        if !self.current.contains_key(&peer) {
            self.begin(peer, start, now)?;
        }
        let current = self.current.get_mut(&peer)?;
        let noted = Noted { exchange: current.exchange, mark: write(&mut current.recorder) };
        self.flush(peer);
        Some(noted)
    }

    fn begin(&mut self, peer: SocketAddr, start: &[u8], now: Instant) -> Option<()> {
        if self.current.len() >= EXCHANGES_MAX {
            return None;
        }
        self.begun += 1;
        let (exchange, vantage) = (self.begun, self.vantage);
        let (client, server) = match vantage {
            Vantage::Client => (self.own.clone(), peer.to_string()),
            Vantage::Server | Vantage::Both => (peer.to_string(), self.own.clone()),
        };
        let mut recorder = Recorder::new(client.clone(), server.clone(), vantage, self.steps_max, now);
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.push_back(Line::Began { exchange, client, server, vantage });
            recorder = recorder.streaming();
        }
        self.current.insert(peer, Current { exchange, start: start.to_vec(), recorder });
        Some(())
    }

    fn amend(&mut self, peer: SocketAddr, noted: Option<Noted>, write: impl FnOnce(&mut Recorder, Mark)) {
        if let (Some(noted), Some(current)) = (noted, self.current.get_mut(&peer))
            && noted.exchange == current.exchange
        {
            write(&mut current.recorder, noted.mark);
            self.flush(peer);
        }
    }

    fn flush(&mut self, peer: SocketAddr) {
        if let (Some(unwritten), Some(current)) = (&mut self.unwritten, self.current.get_mut(&peer)) {
            let exchange = current.exchange;
            unwritten
                .extend(std::iter::from_fn(|| current.recorder.poll_step()).map(|step| Line::Step { exchange, step }));
        }
    }
}

fn is_start(datagram: &[u8]) -> bool {
    matches!(Packet::decode(datagram), Ok(Packet::Lab(_, Message::Start { .. })))
}

/// Exchanges that are recorded at once; more than these pass unrecorded, so that memory stays bounded.
const EXCHANGES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Did;

    fn now() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "a beginning for the test's own clock")]
        Instant::now()
    }

    fn peer(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn another_start_begins_another_exchange() {
        let now = now();
        let mut recordings = Recordings::new(Vantage::Both, "server".into(), 100).streaming();
        let first = recordings.sent(peer(1), Side::Client, b"s | 0 | a | 5", now);
        recordings.came(peer(1), first, b"s | 0 | a | 5", now);
        recordings.sent(peer(1), Side::Client, b"s | 0 | a | 5", now);
        recordings.sent(peer(1), Side::Client, b"s | 0 | b | 5", now);
        recordings.came(peer(1), first, b"s | 0 | a | 5", now); // a late copy of the exchange before
        let ended = recordings.poll_ended().unwrap();
        assert_eq!(ended.steps.len(), 3);
        recordings.retire_all();
        assert_eq!(recordings.poll_ended().unwrap().steps.len(), 1);
        let lines: Vec<Line> = std::iter::from_fn(|| recordings.poll_line()).collect();
        assert_eq!(lines.len(), 2 + 4);
        assert!(matches!(&lines[5], Line::Step { exchange: 2, step } if matches!(step.did, Did::Sent { .. })));
    }

    #[test]
    fn too_many_exchanges_pass_unrecorded() {
        let now = now();
        let mut recordings = Recordings::new(Vantage::Server, "server".into(), 100);
        let noted = (0..100).filter_map(|port| recordings.passed(peer(port), Side::Client, b"s | 0 | a | 5", now));
        assert_eq!(noted.count(), EXCHANGES_MAX);
    }
}
