//! A sender with its file in memory, and what must hold after every datagram and every moment.

use homing::chunker::Chunker;
use homing::packet::{Message, Packet, Spelling};
use homing::session::stop_and_wait::{Event, Outcome, Sender, Transfer};
use homing::session::{Machine, Via};
use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// The server's two addresses.
pub const PEERS: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 12300),
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 12300),
];

/// A sender that is told everything and watched at every step.
pub struct Client {
    pub now: Instant,
    pub outcome: Option<Outcome>,
    /// The chunk that the sender waits for is not given yet.
    pub is_slow: bool,
    sender: Sender,
    transfer: Transfer,
    chunker: Chunker<Cursor<Vec<u8>>>,
    owed: Vec<Event>,
    /// The largest datagram that the server wants, once it is known.
    bufsize: usize,
    /// The last datagram that was sent.
    last: Vec<u8>,
    /// What the chunks that were sent, each once, come to.
    sent: Vec<u8>,
    content: Vec<u8>,
}

impl Client {
    /// `transfer.size` must be the content's; its peers are [`PEERS`].
    pub fn new(transfer: Transfer, content: &[u8]) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
        let now = Instant::now();
        let mut client = Self {
            now,
            outcome: None,
            is_slow: false,
            sender: Sender::new(transfer.clone(), now).expect("a short name"),
            transfer,
            chunker: Chunker::new(Cursor::new(content.to_vec()), content.len() as u64),
            owed: Vec::new(),
            bufsize: 0,
            last: Vec::new(),
            sent: Vec::new(),
            content: content.to_vec(),
        };
        let start = client.settle();
        assert_eq!(start.len(), 1, "a transfer begins with its start");
        client
    }

    /// The last datagram that was sent.
    pub fn last(&self) -> &[u8] {
        &self.last
    }

    /// A datagram comes from one of the server's addresses; gives what is sent then.
    pub fn hear(&mut self, peer: usize, datagram: &[u8]) -> Vec<Vec<u8>> {
        let repeated = self.sender.stats().retransmissions;
        let deadline = self.sender.poll_timeout();
        self.sender.handle_datagram(Via::socket(peer), PEERS[peer], datagram, self.now);
        let events = self.owed.len();
        let sent = self.settle();
        let shown = datagram.escape_ascii();
        assert!(sent.len() <= 1, "{shown} set off {sent:?}");
        assert_eq!(self.sender.stats().retransmissions, repeated, "{shown} had something sent again");
        let is_answer = matches!(Packet::decode(datagram), Ok(Packet::Lab(spelling, message))
            if spelling == self.transfer.spelling
                && matches!(message, Message::Ack { .. } | Message::Refusal { .. } | Message::Error { .. }));
        let changed = !sent.is_empty() || self.owed.len() != events || self.sender.poll_timeout() != deadline;
        assert!(is_answer || !changed, "{shown} is no answer, but had consequences");
        sent
    }

    /// The kernel reports a closed port; gives what is sent then.
    pub fn hear_unreachable(&mut self, peer: usize) -> Vec<Vec<u8>> {
        self.sender.handle_unreachable(peer, self.now);
        self.settle()
    }

    /// The application stops it; gives what is sent then.
    pub fn abort(&mut self) -> Vec<Vec<u8>> {
        self.sender.handle_abort("interrupted");
        assert_eq!(self.sender.poll_timeout(), None);
        self.settle()
    }

    /// Lets time pass; gives what is sent meanwhile.
    pub fn pass(&mut self, duration: Duration) -> Vec<Vec<u8>> {
        let end = self.now + duration;
        let mut sent = Vec::new();
        while let Some(due) = self.sender.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.sender.handle_timeout(self.now);
            assert!(self.sender.poll_timeout().is_none_or(|next| next > self.now), "time does not pass");
            let moment = self.settle();
            assert!(moment.len() <= 1, "one message is in the air");
            sent.extend(moment);
        }
        self.now = end;
        sent
    }

    /// Gives the sender what it waits for; gives what is sent then.
    pub fn supply(&mut self) -> Vec<Vec<u8>> {
        let was_slow = std::mem::take(&mut self.is_slow);
        let sent = self.settle();
        self.is_slow = was_slow;
        sent
    }

    /// Nothing more comes: the sender gives up in time, and says nothing from then on.
    pub fn end(mut self) {
        self.is_slow = false;
        self.settle();
        let sent = self.pass(self.transfer.timeout);
        assert!(sent.len() <= REPEATS_MAX, "{} repeats before giving up", sent.len());
        assert!(self.outcome.is_some(), "it waits for ever");
        assert_eq!(self.sender.poll_timeout(), None);
    }

    /// Gives what the sender sends, after what must hold has been checked.
    fn settle(&mut self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        loop {
            while let Some(event) = self.sender.poll_event() {
                self.on_event(event);
            }
            while let Some(transmit) = self.sender.poll_transmit(self.now) {
                assert!(PEERS.contains(&transmit.to));
                self.check(&transmit.bytes);
                self.last.clone_from(&transmit.bytes);
                sent.push(transmit.bytes);
            }
            if self.is_slow || self.owed.is_empty() {
                return sent;
            }
            match self.owed.remove(0) {
                Event::WantsChunk { max, cut } => {
                    let chunk = self.chunker.next_chunk(max, cut).expect("memory does not change");
                    self.sender.handle_chunk(chunk, self.now);
                }
                _ => self.sender.handle_digest(self.chunker.digest(), self.now),
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        assert_eq!(self.outcome, None, "{event:?} after the end");
        match event {
            Event::Connected { bufsize, .. } => {
                assert_eq!(self.bufsize, 0, "connected twice");
                self.bufsize = bufsize;
            }
            Event::WantsChunk { max, .. } => {
                assert!(max > 0 && max < self.bufsize);
                self.owed.push(event);
            }
            Event::WantsDigest => self.owed.push(event),
            Event::Invited(_) => panic!("it was not asked for"),
            Event::Progress { acknowledged } => assert!(acknowledged <= self.sent.len() as u64),
            Event::Over(outcome) => {
                if outcome == Outcome::Delivered {
                    assert_eq!(self.sent, self.content, "delivered, but not all was sent");
                }
                self.outcome = Some(outcome);
            }
        }
    }

    /// What is sent must be a message in the right spelling, in its turn, and no longer than the server wants.
    fn check(&mut self, datagram: &[u8]) {
        let shown = datagram.escape_ascii();
        let is_repeat = self.last == datagram;
        match Packet::decode(datagram) {
            Ok(Packet::Lab(spelling, message)) => {
                assert_eq!(spelling, self.transfer.spelling);
                match message {
                    Message::Start { .. } => assert!(self.bufsize == 0, "{shown} after its acknowledgement"),
                    Message::Data { bytes, .. } => {
                        assert!(datagram.len() <= self.bufsize, "{shown} is longer than {}", self.bufsize);
                        if !is_repeat {
                            self.sent.extend_from_slice(bytes);
                        }
                    }
                    Message::Checksum { .. } => assert_eq!(self.sent, self.content, "the checksum comes last"),
                    Message::Error { .. } => {}
                    Message::Ack { .. } | Message::Refusal { .. } => panic!("{shown} is for servers to say"),
                }
            }
            other => panic!("{shown} is no message: {other:?}"),
        }
        assert!(self.content.starts_with(&self.sent), "{shown} is not what comes next");
    }
}

/// The answer that an honest server gives to `datagram`; with words when it is ours.
pub fn right_answer(datagram: &[u8], bufsize: u64, words: Option<&[u8]>) -> Vec<u8> {
    let Ok(Packet::Lab(spelling, message)) = Packet::decode(datagram) else { return Vec::new() };
    let answer = match message {
        Message::Start { seq, .. } => {
            let bufsize = (spelling == Spelling::Spaced).then_some(bufsize);
            Message::Ack { next: seq.wrapping_add(1), bufsize, words: words.and(bufsize).and(words) }
        }
        Message::Data { seq, .. } | Message::Checksum { seq, .. } => {
            let next = seq.wrapping_add(1);
            let next = if spelling == Spelling::Compact { next % 2 } else { next };
            Message::Ack { next, bufsize: None, words: None }
        }
        Message::Ack { .. } | Message::Refusal { .. } | Message::Error { .. } => return Vec::new(),
    };
    answer.to_datagram(spelling).unwrap_or_default()
}

/// For 30 s: the time-out doubles from 20 ms to a second, and then one repeat a second is left.
const REPEATS_MAX: usize = 40;
