//! The client's side of the handshake. It drives: whatever is not answered in time is sent again.

use super::call::{Config, Established, Event, Failure, Opening, agreed};
use super::noise::Noise;
use super::seeds::Seeds;
use super::terms::{self, Said};
use super::token::ExpectedReset;
use crate::codec::Cursor;
use crate::packet::lab::{self, Message};
use crate::packet::windowed::{ConnectionId, Datagram, Hello, NOISE_MAX, RESET_TOKEN_LENGTH, Terms, Token, VERSION};
use crate::rtt::{Limits, Rtt};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use zeroize::Zeroize;

/// The client's side of one handshake.
///
/// After [`Event::Met`] the caller calls [`Client::finish`] and has the keys; this machine goes on repeating the last message
/// until the caller says, with [`Client::handle_confirmed`], that a packet of the server's could be opened. If the server says before
/// that it knows nothing of the connection ([`Client::handle_forgotten`]), the handshake begins anew: then there is a second
/// [`Event::Met`], and a second [`Client::finish`] gives other keys.
pub struct Client {
    config: Config,
    id: ConnectionId,
    seeds: Seeds,
    began: Instant,
    rtt: Rtt,
    state: State,
    first_sent: Instant,
    last_sent: Instant,
    timeouts: u32,
    due: Option<Instant>,
    tokens_taken: u32,
    forged: u32,
    other_version: Option<u8>,
    unreachable: bool,
    /// When it was begun anew, last.
    anew: Option<Instant>,
    transmit: Option<Vec<u8>>,
    events: VecDeque<Event>,
}

enum State {
    /// For a token.
    Asking,
    /// With a token, for a reply.
    Greeting { noise: Box<Noise>, first: Vec<u8>, said: Said, token: Token, token_came: Instant },
    /// For the application to look at the server's key.
    Met { noise: Box<Noise>, to: ConnectionId, reset: ExpectedReset },
    /// For a sign that the last message was heard.
    Finishing { finish: Vec<u8> },
    /// No longer.
    Over,
}

impl Client {
    /// Begins at once.
    pub fn new(mut config: Config, now: Instant) -> Self {
        let mut seeds = Seeds::new(&config.seed);
        // Whoever had it could make the keys of this connection again.
        config.seed.zeroize();
        let mut rtt = Rtt::new(LIMITS);
        if let Some(measured) = config.rtt {
            rtt.sample(measured);
        }
        let mut client = Self {
            id: ConnectionId(seeds.bytes()),
            config,
            seeds,
            began: now,
            rtt,
            state: State::Asking,
            first_sent: now,
            last_sent: now,
            timeouts: 0,
            due: Some(now),
            tokens_taken: 0,
            forged: 0,
            other_version: None,
            unreachable: false,
            anew: None,
            transmit: None,
            events: VecDeque::new(),
        };
        if let Opening::Text { start, words } = &client.config.opening
            && let Some((said, token)) = Said::read(start, words)
        {
            client.greet(said, token, now);
        }
        client.send(now);
        client
    }

    /// A datagram came from the server's address. Says whether it was one of the handshake that was waited for.
    pub fn handle_datagram(&mut self, datagram: &[u8], now: Instant) -> bool {
        match Datagram::decode(datagram) {
            Ok(Datagram::Retry { to, cipher, token }) if to == self.id && self.config.opening == Opening::Binary => {
                self.on_token(Said::Retry { cipher }, token, now)
            }
            Ok(Datagram::Reply { to, noise }) if to == self.id => self.on_reply(noise, now),
            Ok(Datagram::Version { version, to }) if to == self.id => self.on_version(version),
            Ok(_) => false,
            Err(_) => match self.read_acknowledgement(datagram) {
                Some((said, token)) => self.on_token(said, token, now),
                None => false,
            },
        }
    }

    /// The kernel says that nobody listens there. Servers come back, and anybody can forge such a report: it only explains.
    pub fn handle_unreachable(&mut self) {
        self.unreachable = true;
    }

    /// Repeats what is due, and gives up in time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if matches!(self.state, State::Over) || self.due.is_none_or(|due| now < due) && now < self.deadline() {
            return;
        }
        if now >= self.deadline() {
            let (forged, unreachable) = (self.forged, self.unreachable);
            return self.fail(match self.state {
                State::Finishing { .. } | State::Met { .. } => Failure::NotConfirmed,
                _ if self.anew.is_some() => Failure::NotConfirmed,
                _ => Failure::NoAnswer { forged, unreachable },
            });
        }
        self.timeouts += 1;
        self.send(now);
    }

    /// Writes the last message, with the first `frames` in it, at most [`FIRST_FRAMES_MAX`] bytes. From now on both have keys, and
    /// packets may follow. `None` if there is nothing to finish, or they are too long.
    pub fn finish(&mut self, frames: &[u8], now: Instant) -> Option<Established> {
        if frames.len() > FIRST_FRAMES_MAX || !matches!(self.state, State::Met { .. }) {
            return None;
        }
        let State::Met { mut noise, to, reset } = std::mem::replace(&mut self.state, State::Over) else { return None };
        let third = noise.write(frames)?;
        let keys = noise.into_keys()?;
        let finish = Datagram::Finish { to, noise: &third }.encode().ok()?;
        self.state = State::Finishing { finish };
        self.first_sent = now;
        self.timeouts = 0;
        self.send(now);
        Some(Established { keys, id: self.id, to, reset })
    }

    /// A packet of the server's was opened: it has heard everything.
    pub fn handle_confirmed(&mut self, now: Instant) {
        if matches!(self.state, State::Finishing { .. }) {
            self.measure(now);
            self.end();
        } else if self.anew.is_some() {
            self.end(); // It was the last one that was heard, after all.
        }
    }

    /// The server says, genuinely, that it knows nothing of the connection: it was started anew, or the last message came when it had
    /// waited for it long enough. A clock alone would not do: a server that has heard everything, and is not heard, would get all of
    /// it a second time.
    pub fn handle_forgotten(&mut self, now: Instant) {
        let is_new = self.anew.is_none_or(|anew| now >= anew + REPEAT_AFTER_MAX);
        if matches!(self.state, State::Finishing { .. }) && is_new {
            self.anew = Some(now);
            self.id = ConnectionId(self.seeds.bytes());
            self.state = State::Asking;
            (self.timeouts, self.tokens_taken) = (0, 0);
            self.send(now);
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit.take()
    }

    /// When [`Client::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Over => None,
            _ => Some(self.due.map_or(self.deadline(), |due| due.min(self.deadline()))),
        }
    }

    /// The path's smoothed round trip; `None` before the first one.
    pub fn smoothed_rtt(&self) -> Option<Duration> {
        self.rtt.smoothed()
    }

    /// Whether there is nothing left to do: it has failed, or the server has confirmed.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Our version, or one that is named only once: our hello or its answer was damaged on the way.
    fn on_version(&mut self, version: u8) -> bool {
        if version == VERSION || !matches!(self.state, State::Asking | State::Greeting { .. }) {
            return false;
        }
        if self.other_version.replace(version) == Some(version) {
            self.fail(Failure::OtherVersion(version));
        }
        true
    }

    /// A token came. While a hello is under way with another one, it takes its place.
    fn on_token(&mut self, said: Said, token: Token, now: Instant) -> bool {
        let is_first = match &self.state {
            State::Asking => true,
            State::Greeting { token: current, .. } if *current != token => false,
            _ => return false,
        };
        if is_first {
            self.measure(now);
        }
        self.tokens_taken += 1;
        self.greet(said, token, now);
        // An address that changes with every datagram would be sent retry upon retry; then the clock decides.
        if self.tokens_taken <= TOKENS_AT_ONCE {
            // What answers next may answer a hello with an earlier token.
            self.timeouts = if is_first { 0 } else { self.timeouts.max(1) };
            self.send(now);
        }
        true
    }

    /// Says hello from now on with this token. The first Noise message stays the same as long as the terms do.
    fn greet(&mut self, said: Said, token: Token, now: Instant) {
        let token_came = now;
        self.state = match std::mem::replace(&mut self.state, State::Over) {
            State::Greeting { noise, first, said: before, .. } if before == said => {
                State::Greeting { noise, first, said, token, token_came }
            }
            _ => {
                let cipher = agreed(self.config.cipher, said.preferred());
                let prologue = terms::prologue(self.id, cipher, &said.with_token(token));
                let mut noise = Box::new(Noise::client(cipher, &self.config.key, &prologue, &self.seeds.seed()));
                let first = noise.write(b"").unwrap_or_default();
                State::Greeting { noise, first, said, token, token_came }
            }
        };
    }

    fn on_reply(&mut self, message: &[u8], now: Instant) -> bool {
        let State::Greeting { noise, .. } = &mut self.state else { return false };
        let opened = noise.read(message).and_then(|payload| Some((read_payload(&payload)?, noise.peer()?)));
        let Some(((to, reset, parameters), server)) = opened else {
            self.forged = self.forged.saturating_add(1);
            return false;
        };
        self.measure(now);
        if let Some(expected) = self.config.expected.filter(|expected| *expected != server.fingerprint()) {
            self.fail(Failure::OtherKey { expected, found: server });
            return true;
        }
        if let State::Greeting { noise, .. } = std::mem::replace(&mut self.state, State::Over) {
            self.state = State::Met { noise, to, reset };
            self.due = None;
            self.transmit = None;
            self.events.push_back(Event::Met { server, parameters });
        }
        true
    }

    /// What the lab's server says to our start, said again.
    fn read_acknowledgement(&self, datagram: &[u8]) -> Option<(Said, Token)> {
        let Opening::Text { start, .. } = &self.config.opening else { return None };
        let (_, Message::Start { seq, .. }) = lab::decode(start).ok()? else { return None };
        match lab::decode(datagram).ok()? {
            (_, Message::Ack { next, words: Some(words), .. }) if Some(next) == seq.checked_add(1) => {
                Said::read(start, words)
            }
            _ => None,
        }
    }

    /// Sends what the state asks for.
    fn send(&mut self, now: Instant) {
        let datagram = match &self.state {
            State::Asking => self.question(),
            State::Greeting { token_came, .. }
                if now.saturating_duration_since(*token_came) >= TOKEN_USED || self.asks_again() =>
            {
                self.question()
            }
            State::Greeting { noise, first, said, token, .. } => {
                let (cipher, terms) = (noise.cipher(), said.with_token(*token));
                Datagram::Hello(Hello { from: self.id, cipher, terms, noise: first }).encode().ok()
            }
            State::Finishing { finish, .. } => Some(finish.clone()),
            State::Met { .. } | State::Over => None,
        };
        self.transmit = datagram;
        self.last_sent = now;
        if self.timeouts == 0 {
            self.first_sent = now;
        }
        self.due = Some(now + self.repeat_after());
    }

    /// What is lost here holds everything up, and a copy is one packet: it is repeated sooner than a time-out would be due. The
    /// last message sooner still, beside the first packets, which nobody can open without it.
    fn repeat_after(&self) -> Duration {
        let usual = self.rtt.timeout(self.timeouts).min(REPEAT_AFTER_MAX);
        match (&self.state, self.rtt.smoothed(), self.timeouts) {
            (State::Finishing { .. }, Some(rtt), 0) => usual.min(rtt / 8),
            (State::Finishing { .. } | State::Greeting { .. }, Some(rtt), 0 | 1) => {
                usual.min(LIMITS.min.max(rtt * 3 / 2))
            }
            _ => usual,
        }
    }

    /// A server says nothing to a hello whose words were damaged on their way here; so every fourth time it is asked again.
    fn asks_again(&self) -> bool {
        self.config.opening != Opening::Binary && self.timeouts % 4 == 3
    }

    /// What makes the server give out a token.
    fn question(&self) -> Option<Vec<u8>> {
        match &self.config.opening {
            Opening::Text { start, .. } => Some(start.clone()),
            Opening::Binary => {
                let hello = Hello { from: self.id, cipher: self.config.cipher, terms: Terms::None, noise: b"" };
                Datagram::Hello(hello).encode().ok()
            }
        }
    }

    /// An answer came to what was sent last.
    fn measure(&mut self, now: Instant) {
        let (first, last) = (self.first_sent, self.last_sent);
        match self.timeouts {
            0 => self.rtt.sample(now.saturating_duration_since(first)),
            // Karn's rule: nobody knows which copy was answered.
            timeouts => {
                let since = |sent| now.saturating_duration_since(sent);
                match self.rtt.smoothed() {
                    // It took no longer than that, which is more than to know nothing.
                    None => self.rtt.sample(since(first)),
                    Some(_) => self.rtt.on_ambiguous(since(first), since(last), timeouts),
                }
            }
        }
    }

    fn deadline(&self) -> Instant {
        self.began + self.config.timeout
    }

    fn fail(&mut self, failure: Failure) {
        self.end();
        self.events.push_back(Event::Over(failure));
    }

    fn end(&mut self) {
        self.state = State::Over;
        self.due = None;
        self.transmit = None;
    }
}

/// Connection ID, stateless reset, parameters.
fn read_payload(payload: &[u8]) -> Option<(ConnectionId, ExpectedReset, Vec<u8>)> {
    let mut cursor = Cursor::new(payload);
    let id = ConnectionId(cursor.array()?);
    let reset = ExpectedReset::new(&cursor.array::<RESET_TOKEN_LENGTH>()?);
    Some((id, reset, cursor.rest().to_vec()))
}

/// The most bytes of frames in the third message: what 1200 bytes leave beside a sealed key of 48 bytes and a tag of 16.
pub const FIRST_FRAMES_MAX: usize = NOISE_MAX - 48 - 16;

/// As towards a server of ours in the checked mode (`stop_and_wait/transfer.rs`), but for the first question: a copy costs little.
const LIMITS: Limits = Limits {
    initial: Duration::from_millis(250),
    min: Duration::from_millis(20),
    backoff_max: Duration::from_secs(1),
    kept_max: Duration::from_secs(3),
};

/// However long the path is: a server waits ten seconds for the last message, and one loss in two must not use them up. A few needless
/// copies a second apart are no burden for any path.
const REPEAT_AFTER_MAX: Duration = Duration::from_secs(1);

/// How long a token is used; the server takes it for two seconds longer.
const TOKEN_USED: Duration = Duration::from_secs(12);

/// So many tokens are answered at once with a hello.
const TOKENS_AT_ONCE: u32 = 8;

#[cfg(test)]
mod tests {
    use super::super::identity::PrivateKey;
    use super::*;
    use crate::packet::windowed::{Cipher, TOKEN_LENGTH};

    const START: &[u8] = b"s | 1207959601 | f | 1";
    const AES: Cipher = Cipher::Aes256Gcm;

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn client(opening: Opening, rtt: Option<Duration>) -> (Client, Instant) {
        let timeout = Duration::from_secs(30);
        let key = PrivateKey::new(&[1; 32]);
        let config = Config { key, expected: None, cipher: AES, opening, rtt, timeout, seed: [2; 32] };
        let now = Instant::now();
        (Client::new(config, now), now)
    }

    fn text(words: &str) -> Opening {
        Opening::Text { start: START.to_vec(), words: words.into() }
    }

    fn offer(byte: u8) -> String {
        format!("homing/1 {}", terms::token_word(&Token([byte; TOKEN_LENGTH])))
    }

    /// What a datagram is, in a word.
    fn word(datagram: &[u8]) -> &'static str {
        match Datagram::decode(datagram) {
            Ok(Datagram::Hello(Hello { terms: Terms::None, .. })) => "question",
            Ok(Datagram::Hello(_)) => "hello",
            _ if datagram == START => "start",
            other => panic!("{other:?}"),
        }
    }

    /// What is sent, and when, in milliseconds, until so much has been sent or it is over.
    fn sent(client: &mut Client, began: Instant, count: usize) -> Vec<(u128, &'static str)> {
        let mut sent = Vec::new();
        let mut now = began;
        while sent.len() < count {
            sent.extend(client.poll_transmit().map(|datagram| ((now - began).as_millis(), word(&datagram))));
            let Some(due) = client.poll_timeout() else { break };
            now = due;
            client.handle_timeout(now);
        }
        sent
    }

    #[test]
    fn questions_are_repeated_every_second_and_given_up_in_time() {
        let (mut client, began) = client(Opening::Binary, None);
        let all = sent(&mut client, began, usize::MAX);
        assert_eq!(all[..4], [(0, "question"), (250, "question"), (750, "question"), (1750, "question")]);
        assert_eq!(all.last(), Some(&(29_750, "question")));
        assert_eq!(client.poll_event(), Some(Event::Over(Failure::NoAnswer { forged: 0, unreachable: false })));
        assert!(client.is_over());
    }

    #[test]
    fn a_long_path_is_repeated_on_every_second_and_a_short_one_sooner() {
        let (mut long, began) = client(text(&offer(1)), Some(Duration::from_millis(800)));
        assert_eq!(sent(&mut long, began, 3), [(0, "hello"), (1000, "hello"), (2000, "hello")]);
        let (mut short, began) = client(text(&offer(1)), Some(Duration::from_millis(10)));
        assert_eq!(sent(&mut short, began, 3), [(0, "hello"), (20, "hello"), (40, "hello")]);
    }

    #[test]
    fn words_that_nobody_answers_are_asked_for_again_and_old_ones_too() {
        let (mut client, began) = client(text(&offer(1)), None);
        let all = sent(&mut client, began, 16);
        let kinds: Vec<&str> = all.iter().map(|(_, kind)| *kind).collect();
        assert_eq!(kinds[..8], ["hello", "hello", "hello", "start", "hello", "hello", "hello", "start"]);
        assert!(all.iter().all(|(at, kind)| *at < 12_000 || *kind == "start"), "its token has grown old");
    }

    #[test]
    fn an_acknowledgement_of_another_start_or_without_an_offer_changes_nothing() {
        let (mut client, began) = client(text("homing/1 checked"), None);
        assert_eq!(client.poll_transmit().as_deref().map(word), Some("start"), "no offer in it: it must be asked for");
        for answer in [
            format!("a | 1207959603 | 1400 | {}", offer(1)),
            "a | 1207959602 | 1400 | homing/1 checked".into(),
            "a | 1207959602 | 1400".into(),
            "garbage".into(),
        ] {
            assert!(!client.handle_datagram(answer.as_bytes(), began), "{answer}");
            assert_eq!(client.poll_transmit(), None);
        }
        let right = format!("a | 1207959602 | 1400 | {}", offer(1));
        assert!(client.handle_datagram(right.as_bytes(), began));
        assert_eq!(client.poll_transmit().as_deref().map(word), Some("hello"));
    }

    #[test]
    fn retry_upon_retry_is_answered_by_the_clock_in_the_end() {
        let (mut client, began) = client(Opening::Binary, None);
        let hello = client.poll_transmit().expect("a question");
        let Ok(Datagram::Hello(Hello { from: to, .. })) = Datagram::decode(&hello) else { panic!("no hello") };
        let retry = |byte| Datagram::Retry { to, cipher: AES, token: Token([byte; _]) }.encode().expect("short");
        let mut first = None;
        for byte in 0..TOKENS_AT_ONCE as u8 {
            assert!(client.handle_datagram(&retry(byte), began));
            let hello = client.poll_transmit().expect("a hello");
            let Ok(Datagram::Hello(Hello { noise, .. })) = Datagram::decode(&hello) else { panic!("no hello") };
            assert_eq!(*first.get_or_insert(noise.to_vec()), noise, "the same message under each token");
            assert!(!client.handle_datagram(&retry(byte), began), "a copy is nothing new");
        }
        assert!(client.handle_datagram(&retry(99), began));
        assert_eq!(client.poll_transmit(), None);
        client.handle_timeout(client.poll_timeout().expect("a deadline"));
        assert_eq!(client.poll_transmit().as_deref().map(word), Some("hello"));
        let other = Datagram::Retry { to: ConnectionId([0; 8]), cipher: AES, token: Token([7; _]) };
        assert!(!client.handle_datagram(&other.encode().expect("short"), began), "not for us");
    }

    #[test]
    fn another_version_counts_when_it_is_named_twice_and_ours_never() {
        let (mut client, began) = client(Opening::Binary, None);
        let hello = client.poll_transmit().expect("a question");
        let Ok(Datagram::Hello(Hello { from: to, .. })) = Datagram::decode(&hello) else { panic!("no hello") };
        let mut hear = |version| {
            client.handle_datagram(&Datagram::Version { version, to }.encode().expect("short"), began);
            client.poll_event()
        };
        assert_eq!([VERSION, VERSION, 3, 4].map(&mut hear), [None, None, None, None]);
        assert_eq!(hear(4), Some(Event::Over(Failure::OtherVersion(4))));
    }

    #[test]
    fn there_is_nothing_to_finish_before_somebody_was_met() {
        let (mut client, began) = client(Opening::Binary, None);
        assert!(client.finish(b"", began).is_none());
        assert!(client.finish(&[0; FIRST_FRAMES_MAX + 1], began).is_none());
        client.handle_confirmed(began);
        assert!(!client.is_over(), "it goes on");
    }
}
