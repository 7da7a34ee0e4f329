//! The server's side of the handshake: nothing is kept for those whose address is not proven, and little for the others.

use super::address::address_bytes;
use super::identity::{PrivateKey, PublicKey};
use super::noise::Noise;
use super::seeds::Seeds;
use super::terms::{self, start_hash, token_word};
use super::token::{ResetTokens, Tokens};
use crate::packet::windowed::{Cipher, ConnectionId, Datagram, Hello, Terms, Token, VERSION};
use crate::session::CHACHA20;
use crate::session::network;
use crate::session::windowed::protection::Keys;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use zeroize::{Zeroize, Zeroizing};

/// How a server greets.
pub struct Config {
    /// Who it is.
    pub key: PrivateKey,
    /// The cipher that its processor is good at.
    pub cipher: Cipher,
    /// What every client is told under seal, as limits and credit; at most [`PARAMETERS_MAX`] bytes.
    pub parameters: Vec<u8>,
    /// Bytes that cannot be guessed and are used for nothing else.
    pub seed: [u8; 32],
    /// How many may be in the middle of a handshake at once.
    pub pending_max: usize,
    /// How many of them from one IP address (an IPv6 /64 counts as one).
    pub pending_per_network_max: usize,
}

/// What becomes of a datagram.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing: no answer, and nothing is kept.
    Ignored,
    /// This is to be sent back. It is never longer than what came.
    Answer(Vec<u8>),
    /// The handshake is done: the keys are the caller's, and nothing of it is kept here.
    Accepted(Box<Accepted>),
}

/// A client that has proven its address and its key.
#[derive(Debug)]
pub struct Accepted {
    /// Its address.
    pub peer: SocketAddr,
    /// Its connection ID: what we send to.
    pub to: ConnectionId,
    /// Ours: what it sends to.
    pub id: ConnectionId,
    /// Its key. Whether it is welcome is for others to judge.
    pub client: PublicKey,
    /// What both seal with.
    pub keys: Keys,
    /// The frames that came with its third message.
    pub first_frames: Vec<u8>,
    /// The hash of the lab start that it came from, if it did ([`start_hash`]).
    pub start: Option<[u8; 32]>,
    /// From the first copy of the reply to its third message: a round trip, or more if something was lost.
    pub round_trip: Duration,
}

/// The server's side of all handshakes under way.
///
/// It never speaks by itself: all repeats are the client's. [`Server::handle_timeout`] only forgets.
pub struct Server {
    config: Config,
    began: Instant,
    tokens: Tokens,
    resets: ResetTokens,
    seeds: Seeds,
    pending: BTreeMap<ConnectionId, Pending>,
    /// Which hello belongs to whom, so that a copy gets the same answer.
    hellos: BTreeMap<[u8; 32], ConnectionId>,
    deadlines: BTreeSet<(Instant, ConnectionId)>,
}

/// A client whose address is proven, between its hello and its finish.
struct Pending {
    peer: SocketAddr,
    to: ConnectionId,
    start: Option<[u8; 32]>,
    hello: [u8; 32],
    began: Instant,
    deadline: Instant,
    reply: Vec<u8>,
    recipe: Recipe,
    /// `None` after a damaged finish: it is made anew from the recipe.
    noise: Option<Noise>,
    damaged: u32,
}

/// All that one side of a handshake is made of.
struct Recipe {
    cipher: Cipher,
    prologue: [u8; 32],
    seed: Zeroizing<[u8; 32]>,
    first: Vec<u8>,
    payload: Vec<u8>,
}

impl Recipe {
    /// The handshake after its second message, and that message.
    fn make(&self, key: &PrivateKey) -> Option<(Noise, Vec<u8>)> {
        let mut noise = Noise::server(self.cipher, key, &self.prologue, &self.seed);
        noise.read(&self.first).filter(Vec::is_empty)?;
        let second = noise.write(&self.payload)?;
        Some((noise, second))
    }
}

impl Server {
    /// Nobody is there yet.
    ///
    /// # Panics
    /// With more than [`PARAMETERS_MAX`] bytes of parameters.
    pub fn new(mut config: Config, now: Instant) -> Self {
        assert!(config.parameters.len() <= PARAMETERS_MAX, "parameters of {} bytes", config.parameters.len());
        let mut seeds = Seeds::new(&config.seed);
        // Whoever had it could make all keys of the future and the past again.
        config.seed.zeroize();
        let tokens = Tokens::new(&seeds.seed());
        let resets = ResetTokens::new(config.key.secret_bytes());
        let (pending, hellos, deadlines) = Default::default();
        Self { config, began: now, tokens, resets, seeds, pending, hellos, deadlines }
    }

    /// The capability words of a start's acknowledgement: `words` (as `homing/1 checked`) and what offers this mode.
    pub fn words(&mut self, words: &str, peer: SocketAddr, start: &[u8], now: Instant) -> String {
        let words = match self.config.cipher {
            Cipher::Aes256Gcm => words.to_owned(),
            Cipher::ChaCha20Poly1305 => format!("{words} {CHACHA20}"),
        };
        let empty = Token([0; _]);
        let terms = Terms::Text { start: start_hash(start), words: words.as_bytes(), token: empty };
        // A start belongs to no connection yet, and the digest of its terms to none either.
        let token = self.token(peer, ConnectionId([0; 8]), &terms, now);
        format!("{words} {}", token_word(&token))
    }

    /// A datagram of the handshake came.
    pub fn handle_datagram(&mut self, peer: SocketAddr, datagram: &[u8], now: Instant) -> Verdict {
        self.handle_timeout(now);
        let verdict = match Datagram::decode(datagram) {
            Ok(Datagram::Hello(hello)) => self.on_hello(peer, &hello, now),
            Ok(Datagram::OtherHello { from, .. }) => answer(&Datagram::Version { version: VERSION, to: from }),
            Ok(Datagram::Finish { to, noise }) => self.on_finish(peer, to, noise, now),
            _ => None,
        };
        match verdict {
            Some(Verdict::Answer(answer)) if answer.len() > datagram.len() => Verdict::Ignored,
            verdict => verdict.unwrap_or(Verdict::Ignored),
        }
    }

    /// Forgets those who did not finish in time.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(deadline, id)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.remove(&(deadline, id));
            self.forget(id);
        }
    }

    /// When [`Server::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Whether this is the connection of somebody who has not finished: packets may overtake the last message.
    pub fn is_pending(&self, id: ConnectionId) -> bool {
        self.pending.contains_key(&id)
    }

    /// How many are in the middle of a handshake.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// What a client that is told this connection ID may be reset with.
    pub fn reset_token(&self, id: ConnectionId) -> [u8; 16] {
        self.resets.token(id)
    }

    fn on_hello(&mut self, peer: SocketAddr, hello: &Hello<'_>, now: Instant) -> Option<Verdict> {
        let token = match hello.terms {
            Terms::None => return self.retry(peer, hello.from, now),
            Terms::Retry { token, .. } | Terms::Text { token, .. } => token,
        };
        let digest = terms::digest(hello.from, &hello.terms);
        if !self.tokens.is_valid(&token, peer, &digest, now.saturating_duration_since(self.began)) {
            // A retry is as good as new. What an acknowledgement said cannot be said again here: whoever changed it would
            // only have to ask. The client asks where it was said.
            return if matches!(hello.terms, Terms::Retry { .. }) { self.retry(peer, hello.from, now) } else { None };
        }
        let name = hello_name(peer, hello);
        if let Some(&id) = self.hellos.get(&name) {
            return self.repeat(id, now);
        }
        let network_of = |peer: &SocketAddr| network(peer.ip());
        let neighbours = self.pending.values().filter(|pending| network_of(&pending.peer) == network_of(&peer)).count();
        if self.pending.len() >= self.config.pending_max || neighbours >= self.config.pending_per_network_max {
            return None;
        }
        self.begin(peer, hello, name, now)
    }

    /// A copy of a hello gets the same answer, and counts as a sign of life: who wants to hold a place longer than he should gains
    /// nothing by it, since he could as well take another one.
    fn repeat(&mut self, id: ConnectionId, now: Instant) -> Option<Verdict> {
        let pending = self.pending.get_mut(&id)?;
        self.deadlines.remove(&(pending.deadline, id));
        pending.deadline = now + PENDING_KEPT;
        self.deadlines.insert((pending.deadline, id));
        Some(Verdict::Answer(pending.reply.clone()))
    }

    /// Everything that is kept for a client begins here.
    fn begin(&mut self, peer: SocketAddr, hello: &Hello<'_>, name: [u8; 32], now: Instant) -> Option<Verdict> {
        let id = ConnectionId(self.seeds.bytes());
        let recipe = Recipe {
            cipher: hello.cipher,
            prologue: terms::prologue(hello.from, hello.cipher, &hello.terms),
            seed: self.seeds.seed(),
            first: hello.noise.to_vec(),
            payload: [&id.0[..], &self.resets.token(id), &self.config.parameters].concat(),
        };
        let (noise, second) = recipe.make(&self.config.key)?;
        let reply = Datagram::Reply { to: hello.from, noise: &second }.encode().ok()?;
        let start = match hello.terms {
            Terms::Text { start, .. } => Some(start),
            Terms::None | Terms::Retry { .. } => None,
        };
        let deadline = now + PENDING_KEPT;
        let answer = Verdict::Answer(reply.clone());
        let noise = Some(noise);
        let (began, hello, to) = (now, name, hello.from);
        let pending = Pending { peer, to, start, hello, began, deadline, reply, recipe, noise, damaged: 0 };
        if let Some(before) = self.pending.insert(id, pending) {
            self.hellos.remove(&before.hello);
            self.deadlines.remove(&(before.deadline, id));
        }
        self.hellos.insert(name, id);
        self.deadlines.insert((deadline, id));
        Some(answer)
    }

    fn on_finish(&mut self, peer: SocketAddr, id: ConnectionId, message: &[u8], now: Instant) -> Option<Verdict> {
        let pending = self.pending.get_mut(&id)?;
        if address_bytes(pending.peer) != address_bytes(peer) || pending.damaged >= DAMAGED_MAX {
            return None;
        }
        let mut noise = match pending.noise.take() {
            Some(noise) => noise,
            None => pending.recipe.make(&self.config.key)?.0,
        };
        let Some(first_frames) = noise.read(message) else {
            pending.damaged += 1;
            return None;
        };
        let client = noise.peer()?;
        let keys = noise.into_keys()?;
        let Pending { peer, to, start, began, .. } = self.forget(id)?;
        let round_trip = now.saturating_duration_since(began);
        Some(Verdict::Accepted(Box::new(Accepted { peer, to, id, client, keys, first_frames, start, round_trip })))
    }

    fn retry(&mut self, peer: SocketAddr, from: ConnectionId, now: Instant) -> Option<Verdict> {
        let cipher = self.config.cipher;
        let token = self.token(peer, from, &Terms::Retry { cipher, token: Token([0; _]) }, now);
        answer(&Datagram::Retry { to: from, cipher, token })
    }

    fn token(&mut self, peer: SocketAddr, from: ConnectionId, terms: &Terms<'_>, now: Instant) -> Token {
        let digest = terms::digest(from, terms);
        self.tokens.make(peer, &digest, now.saturating_duration_since(self.began))
    }

    fn forget(&mut self, id: ConnectionId) -> Option<Pending> {
        let pending = self.pending.remove(&id)?;
        self.hellos.remove(&pending.hello);
        self.deadlines.remove(&(pending.deadline, id));
        Some(pending)
    }
}

fn answer(datagram: &Datagram<'_>) -> Option<Verdict> {
    datagram.encode().ok().map(Verdict::Answer)
}

/// What makes a hello the same as another one: everything but the token, which may have been renewed in between.
fn hello_name(peer: SocketAddr, hello: &Hello<'_>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("homing 2026-11 windowed hello");
    hasher.update(&address_bytes(peer));
    hasher.update(&terms::prologue(hello.from, hello.cipher, &hello.terms));
    hasher.update(hello.noise);
    *hasher.finalize().as_bytes()
}

/// The most bytes of parameters: with them a reply stays far below 1200 bytes.
pub const PARAMETERS_MAX: usize = 512;

/// How long somebody may take from his last hello to the finish.
pub const PENDING_KEPT: Duration = Duration::from_secs(10);

/// So many finishes may be damaged: each costs a few key agreements, and no client sends more in the time that it has.
const DAMAGED_MAX: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::windowed::HELLO_LENGTH;

    const PEER: &str = "10.0.0.7:5000";
    const START: &[u8] = b"s | 1207959601 | f | 000000000000000000001";

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn beginning() -> Instant {
        Instant::now()
    }

    fn server(now: Instant) -> Server {
        let config = Config {
            key: PrivateKey::new(&[1; 32]),
            cipher: Cipher::Aes256Gcm,
            parameters: vec![0; PARAMETERS_MAX],
            seed: [2; 32],
            pending_max: 8,
            pending_per_network_max: 3,
        };
        Server::new(config, now)
    }

    fn peer(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn hello(from: u8, terms: Terms<'_>, noise: &[u8]) -> Vec<u8> {
        let hello = Hello { from: ConnectionId([from; 8]), cipher: Cipher::Aes256Gcm, terms, noise };
        Datagram::Hello(hello).encode().expect("it can be written")
    }

    fn answered(verdict: Verdict) -> Option<Vec<u8>> {
        match verdict {
            Verdict::Answer(answer) => Some(answer),
            Verdict::Ignored => None,
            Verdict::Accepted(_) => panic!("too early"),
        }
    }

    /// The terms of the retry that answers a hello without a token.
    fn retried(server: &mut Server, from: u8, at: SocketAddr, now: Instant) -> Terms<'static> {
        let answer = answered(server.handle_datagram(at, &hello(from, Terms::None, b""), now)).expect("a retry");
        match Datagram::decode(&answer) {
            Ok(Datagram::Retry { cipher, token, .. }) => Terms::Retry { cipher, token },
            other => panic!("{other:?}"),
        }
    }

    /// A first Noise message: any point of large order.
    fn noise(byte: u8) -> [u8; 32] {
        PrivateKey::new(&[byte; 32]).public().0
    }

    #[test]
    fn a_hello_without_a_token_gets_a_short_answer_and_leaves_no_trace() {
        let now = beginning();
        let mut server = server(now);
        for host in 0..1000_u32 {
            let at = SocketAddr::from(((host + 0x0a00_0000).to_be_bytes(), 5000));
            let answer = answered(server.handle_datagram(at, &hello(1, Terms::None, b""), now)).expect("a retry");
            assert!(answer.len() <= 64);
        }
        assert_eq!((server.pending(), server.poll_timeout()), (0, None));
    }

    #[test]
    fn a_copy_of_a_hello_gets_the_same_answer_also_with_a_newer_token() {
        let now = beginning();
        let mut server = server(now);
        let terms = retried(&mut server, 1, peer(PEER), now);
        let first = answered(server.handle_datagram(peer(PEER), &hello(1, terms, &noise(1)), now)).expect("a reply");
        assert!(first.len() < HELLO_LENGTH);
        let later = now + Duration::from_secs(9);
        let renewed = retried(&mut server, 1, peer(PEER), later);
        assert_ne!(renewed, terms);
        for terms in [terms, renewed] {
            let again = answered(server.handle_datagram(peer(PEER), &hello(1, terms, &noise(1)), later));
            assert_eq!(again.as_ref(), Some(&first));
        }
        assert_eq!(server.pending(), 1);
        let other = answered(server.handle_datagram(peer(PEER), &hello(1, terms, &noise(2)), now));
        assert_ne!(other.expect("a reply"), first, "another key is another handshake");
        server.handle_timeout(later + PENDING_KEPT - Duration::from_nanos(1));
        assert_eq!(server.pending(), 1, "the copy was a sign of life");
        server.handle_timeout(later + PENDING_KEPT);
        assert_eq!((server.pending(), server.hellos.len(), server.poll_timeout()), (0, 0, None));
    }

    #[test]
    fn a_token_of_another_address_or_time_gets_a_retry_and_one_of_other_words_nothing() {
        let now = beginning();
        let mut server = server(now);
        let terms = retried(&mut server, 1, peer(PEER), now);
        for (from, at, later) in [(1, "10.0.0.8:5000", 0), (1, "10.0.0.7:5001", 0), (2, PEER, 0), (1, PEER, 16)] {
            let when = now + Duration::from_secs(later);
            let answer = answered(server.handle_datagram(peer(at), &hello(from, terms, &noise(1)), when));
            let answer = answer.expect("a retry");
            assert!(matches!(Datagram::decode(&answer), Ok(Datagram::Retry { .. })), "{from} {at} {later}");
        }
        let words = server.words("homing/1 checked", peer(PEER), START, now);
        let (said, token) = terms::Said::read(START, words.as_bytes()).expect("an offer");
        let stripped = Terms::Text { start: start_hash(START), words: b"homing/1", token };
        let other_start = Terms::Text { start: start_hash(b"s | 0"), words: b"homing/1 checked", token };
        for terms in [stripped, other_start] {
            assert_eq!(answered(server.handle_datagram(peer(PEER), &hello(1, terms, &noise(1)), now)), None);
        }
        assert_eq!(server.pending(), 0);
        let right = server.handle_datagram(peer(PEER), &hello(1, said.with_token(token), &noise(1)), now);
        assert!(answered(right).is_some());
    }

    #[test]
    fn places_are_few_and_no_network_gets_them_all() {
        let now = beginning();
        let mut server = server(now);
        let mut greet = |host: u32, from: u8| {
            let at = SocketAddr::from(((host + 0x0a00_0000).to_be_bytes(), 5000));
            let terms = retried(&mut server, from, at, now);
            answered(server.handle_datagram(at, &hello(from, terms, &noise(from)), now)).is_some()
        };
        assert_eq!([1, 2, 3, 4, 5].map(|from| greet(1, from)), [true, true, true, false, false]);
        assert_eq!([2, 3, 4, 5, 6, 7, 8].map(|host| greet(host, 1)), [true, true, true, true, true, false, false]);
    }

    /// A client's side up to its third message.
    fn finished(server: &mut Server, now: Instant) -> Vec<u8> {
        let terms = retried(server, 1, peer(PEER), now);
        let key = PrivateKey::new(&[5; 32]);
        let prologue = terms::prologue(ConnectionId([1; 8]), Cipher::Aes256Gcm, &terms);
        let mut noise = Noise::client(Cipher::Aes256Gcm, &key, &prologue, &[6; 32]);
        let first = noise.write(b"").expect("our turn");
        let reply = answered(server.handle_datagram(peer(PEER), &hello(1, terms, &first), now)).expect("a reply");
        let Ok(Datagram::Reply { noise: second, .. }) = Datagram::decode(&reply) else { panic!("no reply") };
        let payload = noise.read(second).expect("genuine");
        let to = ConnectionId(*payload.first_chunk().expect("a connection ID"));
        assert_eq!(payload[8..24], server.reset_token(to));
        assert_eq!(payload.len(), 24 + PARAMETERS_MAX);
        Datagram::Finish { to, noise: &noise.write(b"frames").expect("our turn") }.encode().expect("short")
    }

    #[test]
    fn a_damaged_finish_does_no_harm_but_too_many_are_not_looked_at() {
        let now = beginning();
        for damaged in [1, DAMAGED_MAX - 1, DAMAGED_MAX] {
            let mut server = server(now);
            let finish = finished(&mut server, now);
            for count in 0..damaged {
                let mut bytes = finish.clone();
                // The sealed key, or what is behind it.
                let at = 9 + count as usize * 7 % (finish.len() - 9);
                bytes[at] ^= 1;
                assert_eq!(answered(server.handle_datagram(peer(PEER), &bytes, now)), None);
            }
            let elsewhere = server.handle_datagram(peer("10.0.0.7:5001"), &finish, now);
            assert!(matches!(elsewhere, Verdict::Ignored), "from another address it does not count");
            match server.handle_datagram(peer(PEER), &finish, now) {
                Verdict::Accepted(accepted) => {
                    assert!(damaged < DAMAGED_MAX);
                    assert_eq!(accepted.client, PrivateKey::new(&[5; 32]).public());
                    assert_eq!((&accepted.first_frames[..], accepted.start), (&b"frames"[..], None));
                    assert_eq!((server.pending(), server.poll_timeout()), (0, None));
                    let again = server.handle_datagram(peer(PEER), &finish, now);
                    assert!(matches!(again, Verdict::Ignored), "once");
                }
                _ => assert_eq!(damaged, DAMAGED_MAX),
            }
        }
    }

    #[test]
    fn nonsense_is_ignored() {
        let now = beginning();
        let mut server = server(now);
        let terms = retried(&mut server, 1, peer(PEER), now);
        let packet = [0x80; 100];
        let finish = Datagram::Finish { to: ConnectionId([9; 8]), noise: &[1; 100] }.encode().expect("short");
        let retry = Datagram::Retry { to: ConnectionId([9; 8]), cipher: Cipher::Aes256Gcm, token: Token([0; _]) };
        for datagram in [
            &b""[..],
            b"s | 0 | f | 1",
            &packet,
            &finish,
            &retry.encode().expect("short"),
            &hello(1, terms, &[0; 32]),
            &hello(1, terms, &noise(1)[..31]),
            &hello(1, terms, &[&noise(1)[..], b"more"].concat()),
        ] {
            assert_eq!(answered(server.handle_datagram(peer(PEER), datagram, now)), None);
        }
        assert_eq!(server.pending(), 0);
        let other =
            Datagram::OtherHello { version: 7, from: ConnectionId([3; 8]) }.encode().expect("it can be written");
        let answer = answered(server.handle_datagram(peer(PEER), &other, now)).expect("an answer");
        assert_eq!(Datagram::decode(&answer), Ok(Datagram::Version { version: VERSION, to: ConnectionId([3; 8]) }));
    }
}
