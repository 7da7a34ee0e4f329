//! A registry that is watched at every step.

use homing::chat::registry::{Config, Registry};
use homing::packet::chat::{Answer, Request, Token};
use homing::packet::message::{self, Message};
use homing::session::{Machine, Transmit, Via};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The registry, and what is known of each address.
pub struct Hall {
    registry: Registry,
    now: Instant,
    seq: u64,
    limit: usize,
    /// The tokens that were sent to an address.
    tokens: BTreeMap<SocketAddr, Vec<Token>>,
    /// Those that have sent one back.
    proven: BTreeSet<SocketAddr>,
    /// The last message of the registry that came to each.
    told: BTreeMap<SocketAddr, String>,
}

impl Hall {
    pub fn new(capacity: usize, per_address: usize) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
        let now = Instant::now();
        let config = Config { capacity, per_address, ..Config::new([7; 32], 1) };
        let (tokens, proven, told) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        let limit = capacity + REFUSED_MAX;
        Self { registry: Registry::new(config, now), now, seq: 0, limit, tokens, proven, told }
    }

    /// A datagram comes. Who has not proved his address gets at most one for it, and no more bytes; who has, an acknowledgement
    /// of this very text; all else goes to those who have.
    pub fn hear(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.note_proof(from, datagram);
        self.registry.handle_datagram(Via::default(), from, datagram, self.now);
        let sent = self.sent();
        let is_known = self.proven.contains(&from);
        let shown = datagram.escape_ascii();
        if !is_known {
            assert!(sent.len() <= 1, "{shown}: {sent:?}");
            assert!(sent.iter().all(|sent| sent.to == from && sent.bytes.len() <= datagram.len()), "{shown}: {sent:?}");
        }
        if message::is_answer(datagram) && !is_known {
            assert_eq!(sent, [], "an answer is answered: {shown}");
        }
        let acknowledgements = sent.iter().filter(|sent| message::is_answer(&sent.bytes));
        for (count, acknowledgement) in acknowledgements.enumerate() {
            let Ok(Message::Text { seq, text }) = message::decode(datagram) else { panic!("{shown}: {sent:?}") };
            let right = Message::Ack { seq, text }.to_datagram().expect("it came in one");
            assert_eq!((count, acknowledgement.to, &acknowledgement.bytes), (0, from, &right));
            assert!(right.len() <= datagram.len() + 4);
        }
        self.check();
    }

    /// A text under a new number.
    pub fn say(&mut self, from: SocketAddr, text: &str) {
        self.seq += 1;
        self.hear(from, format!("{}:{text}", self.seq).as_bytes());
    }

    /// A join with the token that came last to this address, if there is one.
    pub fn join(&mut self, from: SocketAddr, fields: &str) {
        let token = self.tokens.get(&from).and_then(|tokens| tokens.last());
        let token = token.map(|token| format!(" token={token}")).unwrap_or_default();
        self.say(from, &format!("Client Join{token}{fields}"));
    }

    /// The last message to this address is acknowledged.
    pub fn acknowledge(&mut self, from: SocketAddr) {
        if let Some((seq, text)) = self.told.get(&from).and_then(|told| told.split_once(':')) {
            let datagram = format!("{seq}:ACK:{text}");
            self.hear(from, datagram.as_bytes());
        }
    }

    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.registry.poll_timeout().filter(|due| *due <= until) {
            assert!(due >= self.now, "it was due before");
            self.now = due;
            self.registry.handle_timeout(due);
            assert!(self.registry.poll_timeout().is_none_or(|next| next > due), "nothing was done");
            self.sent();
        }
        self.now = until;
        self.check();
    }

    /// When nobody says anything any more, everybody is forgotten.
    pub fn end(mut self) {
        self.pass(Duration::from_secs(100));
        assert_eq!((self.remembered(), self.registry.clients_count()), (0, 0));
        assert_eq!(self.registry.poll_timeout(), None);
    }

    /// How many addresses something is kept of.
    pub fn remembered(&self) -> usize {
        self.registry.remembered()
    }

    fn note_proof(&mut self, from: SocketAddr, datagram: &[u8]) {
        if let Ok(Message::Text { text, .. }) = message::decode(datagram)
            && let Ok(Request::Join(join)) = text.parse()
            && let Some(token) = join.token
            && self.tokens.get(&from).is_some_and(|tokens| tokens.contains(&token))
        {
            self.proven.insert(from);
        }
    }

    /// What is sent now. Numbered messages go to nobody who has not proved that he lives there.
    fn sent(&mut self) -> Vec<Transmit> {
        let sent: Vec<Transmit> = std::iter::from_fn(|| self.registry.poll_transmit(self.now)).collect();
        for Transmit { to, bytes, .. } in &sent {
            assert!(bytes.len() <= 1204, "{} bytes", bytes.len());
            let Ok(Message::Text { text, .. }) = message::decode(bytes) else { continue };
            match text.parse().expect("the registry says what its clients understand") {
                Answer::Token(token) => self.tokens.entry(*to).or_default().push(token),
                Answer::Unknown => {}
                _ => {
                    assert!(self.proven.contains(to), "{to} is told {text}");
                    self.told.insert(*to, String::from_utf8_lossy(bytes).into_owned());
                }
            }
        }
        sent
    }

    /// Numbers, names and addresses are each one client's, and there is an end to everything.
    fn check(&mut self) {
        assert!(self.remembered() <= self.limit);
        let clients: Vec<_> = self.registry.clients().collect();
        assert_eq!(clients.len(), self.registry.clients_count());
        assert!(clients.windows(2).all(|two| two[0].number < two[1].number));
        let names: BTreeSet<_> = clients.iter().filter_map(|client| Some(client.name.as_ref()?.folded())).collect();
        assert_eq!(names.len(), clients.iter().filter(|client| client.name.is_some()).count());
        let addresses: BTreeSet<_> = clients.iter().map(|client| client.seen).collect();
        assert_eq!(addresses.len(), clients.len());
        assert!(addresses.iter().all(|address| self.proven.contains(address)));
        let mut events = 0;
        while self.registry.poll_event().is_some() {
            events += 1;
        }
        assert!(events <= 2 * self.limit, "{events} events");
    }
}

/// Those who wait to hear that they are not let in.
const REFUSED_MAX: usize = 1024;
