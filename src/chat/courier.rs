//! A chat and the files that go with it, through one socket: what begins with a digit belongs to the conversations, letters from
//! the peer to a file that both sides agreed on, and nothing else is anybody's.

mod consent;

use super::client::{self, ChatClient, Refused};
use crate::endpoint::{self, Endpoint, SessionId};
use crate::name::SafeName;
use crate::packet::lab::{Message, Spelling};
use crate::packet::{Packet, Unspeakable};
use crate::session::stop_and_wait::{self, Sender, Transfer, start_id};
use crate::session::{Machine, Mode, Transmit, Via, is_offer};
use consent::{Consent, Wanted};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use thiserror::Error;

/// A chat client that also sends files and, with the user's consent, receives them: one each way at a time, in checked mode.
///
/// Consent is for one file: one start from the peer's address, with the name and the size that were agreed on. Whatever else
/// begins a transfer is not answered.
pub struct Courier {
    client: ChatClient,
    /// The offer that the peer has not answered yet.
    offered: Option<Offered>,
    sending: Option<Sending>,
    /// The peer's offer that the user has not answered yet.
    wanted: Option<Wanted>,
    consent: Option<Consent>,
    endpoint: Endpoint,
    /// The file that comes in.
    receiving: Option<SessionId>,
    /// What came to nothing before it began.
    unbegun: Option<Event>,
}

/// What the application must do or may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Of the chat.
    Chat(client::Event),
    /// Of the file that goes out; answered through [`Courier::sender`].
    Sending(stop_and_wait::Event),
    /// Of the file that comes in; answered through [`Courier::endpoint`].
    Receiving(endpoint::Event),
    /// The user agreed to a file that never began.
    NeverBegan {
        /// Its name.
        file: String,
        /// Why.
        reason: String,
    },
    /// The peer offered a file that the user is not asked about; it was declined.
    TurnedAway {
        /// Its name; not yet safe to print.
        file: String,
        /// Why.
        reason: String,
    },
}

/// Why a file is not offered or taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Undeliverable {
    /// The chat will not have it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// One at a time.
    #[error("another file is on its way; one each way at a time")]
    Busy,
    /// The peer has offered nothing.
    #[error("no file is offered")]
    NothingOffered,
    /// The name is none that a peer would take.
    #[error("{0}")]
    Name(String),
}

struct Offered {
    file: String,
    size: u64,
    nonce: u32,
}

struct Sending {
    sender: Sender,
    size: u64,
    /// Its last event was told.
    is_over: bool,
}

impl Courier {
    /// A courier for this client; nothing is on its way.
    pub fn new(client: ChatClient) -> Self {
        let config = endpoint::Config { max_sessions: 1, max_sessions_per_address: 1, ..endpoint::Config::default() };
        Self {
            client,
            offered: None,
            sending: None,
            wanted: None,
            consent: None,
            endpoint: Endpoint::new(config),
            receiving: None,
            unbegun: None,
        }
    }

    /// The chat itself.
    pub fn client(&mut self) -> &mut ChatClient {
        &mut self.client
    }

    /// The file that goes out, from the peer's consent until after its last event.
    pub fn sender(&mut self) -> Option<&mut Sender> {
        self.sending.as_mut().map(|sending| &mut sending.sender)
    }

    /// The side that files come in by.
    pub fn endpoint(&mut self) -> &mut Endpoint {
        &mut self.endpoint
    }

    /// Whether a file is on its way, offered to the peer or agreed on.
    pub fn is_busy(&self) -> bool {
        self.offered.is_some() || self.is_sending() || self.is_expecting()
    }

    /// Whether a file goes out; its last words may still have to be said when it does not any more.
    fn is_sending(&self) -> bool {
        self.sending.as_ref().is_some_and(|sending| !sending.is_over)
    }

    /// Whether a file comes in, or will as soon as the peer begins.
    fn is_expecting(&self) -> bool {
        self.endpoint.running() > 0 || self.consent.as_ref().is_some_and(Consent::is_waiting)
    }

    /// Offers a file to the peer; `nonce` are 24 random bits. When it agrees, the file begins.
    ///
    /// # Errors
    /// [`Undeliverable`] says why not.
    pub fn offer_file(&mut self, file: &str, size: u64, nonce: u32, now: Instant) -> Result<(), Undeliverable> {
        if self.offered.is_some() || self.is_sending() {
            return Err(Undeliverable::Busy);
        }
        judge(file).map_err(Undeliverable::Name)?;
        self.client.offer_file(file, size, now)?;
        self.offered = Some(Offered { file: file.to_owned(), size, nonce });
        Ok(())
    }

    /// Agrees to the file that the peer offered.
    ///
    /// # Errors
    /// [`Undeliverable`] says why not.
    pub fn accept_file(&mut self, now: Instant) -> Result<(), Undeliverable> {
        if self.is_expecting() {
            return Err(Undeliverable::Busy);
        }
        let wanted = self.wanted.take().ok_or(Undeliverable::NothingOffered)?;
        self.client.accept_file(now)?;
        self.consent = Some(Consent::new(wanted, now));
        Ok(())
    }

    /// Declines the file that the peer offered.
    ///
    /// # Errors
    /// [`Undeliverable`] says why not.
    pub fn reject_file(&mut self, reason: &str, now: Instant) -> Result<(), Undeliverable> {
        self.wanted.take().ok_or(Undeliverable::NothingOffered)?;
        Ok(self.client.reject_file(reason, now)?)
    }

    /// Ends everything: the files, the chat, and the registration.
    pub fn leave(&mut self, now: Instant) {
        self.end_files("the chat ended", now);
        self.client.leave(now);
    }

    /// The next event; orders of the receiving side are carried out in this order.
    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        while let Some(event) = self.client.poll_event(now) {
            if let Some(event) = self.on_chat(event, now) {
                return Some(event);
            }
        }
        if let Some(event) = self.endpoint.poll_event() {
            self.on_receiving(&event, now);
            return Some(Event::Receiving(event));
        }
        if let Some(event) = self.unbegun.take() {
            return Some(event);
        }
        let sending = self.sending.as_mut()?;
        let event = sending.sender.poll_event()?;
        sending.is_over = matches!(event, stop_and_wait::Event::Over(_));
        Some(Event::Sending(event))
    }

    /// What the chat's events mean for files; `None` for one that the application need not know.
    fn on_chat(&mut self, event: client::Event, now: Instant) -> Option<Event> {
        match &event {
            client::Event::FileOffered { file, .. } if self.wanted.is_some() => {
                // The user shall not agree to this one who has read the other one's name. The peer hears nothing: it would
                // take a no for the answer to the first.
                let reason = "the offer before it is not answered yet".to_owned();
                return Some(Event::TurnedAway { file: file.clone(), reason });
            }
            client::Event::FileOffered { file, size, .. } => {
                if let Err(reason) = self.want(file, *size) {
                    // Only a chat that has ended meanwhile makes an error, and then nobody waits for the answer.
                    let _ = self.client.reject_file(&reason, now);
                    return Some(Event::TurnedAway { file: file.clone(), reason });
                }
            }
            client::Event::FileAccepted { file, size } => {
                let offered = self.offered.take_if(|offered| offered.file == *file && offered.size == *size)?;
                if self.begin(offered, now).is_err() {
                    let reason = "its name is too long for a start".to_owned();
                    return Some(Event::Chat(client::Event::FileRejected { file: file.clone(), reason }));
                }
            }
            client::Event::FileRejected { .. } => self.offered = None,
            client::Event::Terminated { .. } => self.end_files("the chat ended", now),
            client::Event::Gone(_) => self.end_files("the other side is gone", now),
            _ => {}
        }
        Some(Event::Chat(event))
    }

    /// Remembers what the peer offers, until the user answers.
    fn want(&mut self, file: &str, size: u64) -> Result<(), String> {
        judge(file)?;
        if self.is_expecting() {
            return Err("another file is coming; one at a time".into());
        }
        let (_, peer) = self.client.peer().ok_or("no chat is under way")?;
        self.wanted = Some(Wanted { peer, file: file.to_owned(), size });
        Ok(())
    }

    fn begin(&mut self, offered: Offered, now: Instant) -> Result<(), Unspeakable> {
        let Some((_, peer)) = self.client.peer() else { return Ok(()) };
        let transfer = Transfer {
            peers: vec![peer],
            spelling: Spelling::Spaced,
            mode: Mode::Checked,
            name: offered.file,
            size: offered.size,
            nonce: offered.nonce,
            timeout: PATIENCE,
        };
        let size = transfer.size;
        self.sending = Some(Sending { sender: Sender::new(transfer, now)?, size, is_over: false });
        Ok(())
    }

    fn on_receiving(&mut self, event: &endpoint::Event, now: Instant) {
        let until = match event {
            endpoint::Event::Order(id, _) | endpoint::Event::Started { id, .. } => {
                self.receiving = Some(*id);
                return;
            }
            endpoint::Event::Progress { .. } => return,
            endpoint::Event::Finished { .. } => now,
            endpoint::Event::Failed { .. } | endpoint::Event::Refused { .. } => now + REFUSALS_REPEATED,
        };
        self.receiving = None;
        if let Some(consent) = &mut self.consent {
            consent.end(until);
        }
    }

    /// Nothing begins any more, and what is under way ends - but not what only waits for its last word.
    fn end_files(&mut self, reason: &str, now: Instant) {
        self.offered = None;
        self.wanted = None;
        self.forgo(reason, now);
        if let Some(consent) = &mut self.consent {
            consent.cancel(now);
        }
        if let Some(sending) = self.sending.as_mut().filter(|sending| !sending.is_sent() && !sending.is_over) {
            sending.sender.handle_abort(reason);
        }
        if let Some(id) = self.receiving.filter(|_| !self.endpoint.is_publishing()) {
            self.endpoint.forget(id, reason, now);
        }
    }

    /// The file that was agreed on shall not begin any more.
    fn forgo(&mut self, reason: &str, now: Instant) {
        if let Some(consent) = self.consent.as_mut().filter(|consent| consent.is_waiting()) {
            consent.end(now);
            let (file, reason) = (consent.wanted.file.clone(), reason.to_owned());
            self.unbegun = Some(Event::NeverBegan { file, reason });
        }
    }

    /// When that is due.
    fn forgoes_at(&self) -> Option<Instant> {
        self.consent.as_ref().filter(|consent| consent.is_waiting()).map(Consent::begins_by)
    }

    /// Whether this start is the one that the user agreed to, or a repeat of it.
    fn may_begin(&mut self, from: SocketAddr, name: &[u8], size: u64, datagram: &[u8], now: Instant) -> bool {
        let consent = self.consent.as_mut().filter(|consent| consent.wanted.is(from, name, size));
        consent.is_some_and(|consent| consent.admits(start_id(datagram), now))
    }

    fn handle_file_message(&mut self, via: Via, from: SocketAddr, datagram: &[u8], now: Instant) {
        let Ok(Packet::Lab(Spelling::Spaced, message)) = Packet::decode(datagram) else { return };
        let from_sender = self.consent.as_ref().is_some_and(|consent| consent.wanted.peer == from);
        let (comes_in, goes_out) = match message {
            Message::Start { seq, name, size, .. } => {
                (is_offer(seq) && self.may_begin(from, name, size, datagram, now), false)
            }
            Message::Data { .. } | Message::Checksum { .. } => (from_sender, false),
            Message::Ack { .. } | Message::Refusal { .. } => (false, true),
            // Either side may say it; its number tells whom it concerns.
            Message::Error { .. } => (from_sender, true),
        };
        if comes_in {
            self.endpoint.handle_datagram(via, from, datagram, now);
        }
        if let Some(sending) = self.sending.as_mut().filter(|_| goes_out) {
            sending.sender.handle_datagram(via, from, datagram, now);
        }
    }
}

impl Sending {
    /// Whether the peer has every byte, and only has to say that they are the right ones.
    fn is_sent(&self) -> bool {
        self.size > 0 && self.sender.stats().acknowledged >= self.size
    }
}

impl Machine for Courier {
    fn handle_datagram(&mut self, via: Via, from: SocketAddr, datagram: &[u8], now: Instant) {
        match datagram.first() {
            Some(b'0'..=b'9') => self.client.handle_datagram(via, from, datagram, now),
            Some(b'a'..=b'z') => self.handle_file_message(via, from, datagram, now),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now);
        self.endpoint.handle_timeout(now);
        if let Some(sending) = &mut self.sending {
            sending.sender.handle_timeout(now);
        }
        if self.forgoes_at().is_some_and(|due| now >= due) {
            self.forgo("the other side did not begin it within ten seconds", now);
        }
    }

    fn handle_unreachable(&mut self, socket: usize, now: Instant) {
        self.client.handle_unreachable(socket, now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        let chat = self.client.poll_transmit(now);
        let answer = chat.or_else(|| self.endpoint.poll_transmit(now));
        let datagram = answer.or_else(|| self.sending.as_mut()?.sender.poll_transmit(now));
        if datagram.is_none() {
            // Its last words are said.
            self.sending.take_if(|sending| sending.is_over);
        }
        datagram
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let sending = self.sending.as_ref().and_then(|sending| sending.sender.poll_timeout());
        [self.client.poll_timeout(), self.endpoint.poll_timeout(), sending, self.forgoes_at()]
            .into_iter()
            .flatten()
            .min()
    }
}

/// Whether a file of this name may be offered or taken: one component, and not hidden.
fn judge(file: &str) -> Result<(), String> {
    let name = SafeName::parse(file).map_err(|error| error.to_string())?;
    if name.parent().is_some() {
        return Err("the name has a folder; only a file's own name is offered".into());
    }
    if name.file_name().starts_with('.') {
        return Err("the name is hidden (a dot in front); choose another name".into());
    }
    Ok(())
}

/// A file is given up after so long without an answer, as the receiving side does.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a start that came to nothing is told so again.
const REFUSALS_REPEATED: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::client::Config;
    use crate::name::SafeName;
    use crate::packet::chat::{Hex, Who};
    use crate::session::stop_and_wait::{Order, Outcome, Placement, StoreFailure};
    use sha2::{Digest, Sha256};
    use std::collections::VecDeque;

    const REGISTRY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7070);

    fn address(side: usize) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1 + u8::try_from(side).unwrap()], 5000))
    }

    /// Two couriers, a registry that believes everything, a disk for each, and a network that takes no time.
    struct World {
        sides: [Courier; 2],
        now: Instant,
        flying: VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>,
        /// What the sender sends.
        content: Vec<u8>,
        supplied: usize,
        /// What the other side's disk has under a name, and what it is told of the next file.
        saved: Vec<(String, Vec<u8>)>,
        coming: Vec<u8>,
        name: Option<SafeName>,
        admits: Result<(), StoreFailure>,
        told: [Vec<String>; 2],
        outcome: Option<Outcome>,
        /// Every so many datagrams one is lost; 0 for none.
        loses: usize,
        sent: usize,
    }

    impl World {
        #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
        fn new() -> Self {
            let now = Instant::now();
            let courier = |side: usize| {
                let key = Hex([u8::try_from(side).unwrap(); 16]);
                let config = Config {
                    via: Via::socket(0),
                    registry: REGISTRY,
                    name: None,
                    number: None,
                    key,
                    reported: Vec::new(),
                    first: 1_000_000,
                };
                Courier::new(ChatClient::new(config, now))
            };
            Self {
                sides: [courier(0), courier(1)],
                now,
                flying: VecDeque::new(),
                content: vec![7; 5000],
                supplied: 0,
                saved: Vec::new(),
                coming: Vec::new(),
                name: None,
                admits: Ok(()),
                told: [Vec::new(), Vec::new()],
                outcome: None,
                loses: 0,
                sent: 0,
            }
        }

        /// Two that talk to each other.
        fn connected() -> Self {
            let mut world = Self::new();
            world.run(1);
            let now = world.now;
            world.sides[0].client().connect(&Who::Number(2), now).unwrap();
            world.run(1);
            world.sides[1].client().accept(None, now).unwrap();
            world.run(1);
            assert!(world.sides.iter_mut().all(|side| side.client().peer().is_some()), "{:?}", world.told);
            world
        }

        /// Both agree on a file; it has not begun.
        fn agreed(file: &str, size: u64) -> Self {
            let mut world = Self::connected();
            let now = world.now;
            world.sides[0].offer_file(file, size, 5, now).unwrap();
            world.run(1);
            world.sides[1].accept_file(now).unwrap();
            world
        }

        fn run(&mut self, seconds: u64) {
            let end = self.now + Duration::from_secs(seconds);
            loop {
                self.turn();
                if let Some((from, to, bytes)) = self.flying.pop_front() {
                    self.deliver(from, to, &bytes);
                    continue;
                }
                let due = self.sides.iter().filter_map(Courier::poll_timeout).min();
                let Some(due) = due.filter(|due| *due <= end) else { break };
                self.now = self.now.max(due);
                let now = self.now;
                self.sides.iter_mut().for_each(|side| side.handle_timeout(now));
            }
            self.now = end;
        }

        fn deliver(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
            self.sent += 1;
            if self.loses > 0 && self.sent.is_multiple_of(self.loses) {
                return;
            }
            if to == REGISTRY {
                return self.register(from, bytes);
            }
            let now = self.now;
            if let Some(side) = (0..2).find(|side| address(*side) == to) {
                self.sides[side].handle_datagram(Via::socket(0), from, bytes, now);
            }
        }

        fn register(&mut self, from: SocketAddr, bytes: &[u8]) {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let (seq, text) = text.split_once(':').unwrap();
            let mut say = |to: SocketAddr, text: String| self.flying.push_back((REGISTRY, to, text.into_bytes()));
            let side = usize::from(from == address(1));
            if text.starts_with("ACK:") {
                return;
            }
            if text.starts_with("Client Join") && !text.contains("token=") {
                return say(from, format!("{seq}:Client Token {}", "ab".repeat(16)));
            }
            say(from, format!("{seq}:ACK:{text}"));
            if text.starts_with("Client Join") {
                say(from, format!("1:Client Number {} seen={from}", side + 1));
            } else if text.starts_with("Client Meet") {
                for one in 0..2 {
                    let (number, at) = (2 - one, address(1 - one));
                    say(address(one), format!("2:Client Meet {} number={number} at={at}", "c0".repeat(8)));
                }
            }
        }

        fn turn(&mut self) {
            let now = self.now;
            for side in 0..2 {
                while let Some(event) = self.sides[side].poll_event(now) {
                    self.told[side].push(word(&event));
                    self.on_event(side, event);
                }
                while let Some(transmit) = self.sides[side].poll_transmit(now) {
                    self.flying.push_back((address(side), transmit.to, transmit.bytes));
                }
            }
        }

        fn on_event(&mut self, side: usize, event: Event) {
            let now = self.now;
            match event {
                Event::Sending(stop_and_wait::Event::WantsChunk { max, .. }) if !self.content.is_empty() => {
                    let chunk: Vec<u8> = self.content[self.supplied..].iter().copied().take(max).collect();
                    self.supplied += chunk.len();
                    self.sides[side].sender().unwrap().handle_chunk(chunk, now);
                }
                Event::Sending(stop_and_wait::Event::WantsDigest) => {
                    let digest = Sha256::digest(&self.content).into();
                    self.sides[side].sender().unwrap().handle_digest(digest, now);
                }
                Event::Sending(stop_and_wait::Event::Over(outcome)) => self.outcome = Some(outcome),
                Event::Receiving(endpoint::Event::Order(id, order)) => self.obey(side, id, order),
                _ => {}
            }
        }

        fn obey(&mut self, side: usize, id: SessionId, order: Order) {
            let now = self.now;
            let endpoint = self.sides[side].endpoint();
            match order {
                Order::Admit { name, .. } => {
                    self.name = Some(name);
                    endpoint.handle_admitted(id, self.admits.clone(), now);
                }
                Order::Write(block) => {
                    endpoint.handle_written(id, block.len(), now);
                    self.coming.extend(block);
                }
                Order::Publish { expected } => {
                    let sha256 = Sha256::digest(&self.coming).into();
                    let placed = match expected == Some(sha256) {
                        true => Ok(Placement::Placed { sha256, replaced: None }),
                        false => Err(StoreFailure { reason: "another digest".into() }),
                    };
                    let name = self.name.take().unwrap().to_string();
                    self.saved.push((name, std::mem::take(&mut self.coming)));
                    self.sides[side].endpoint().handle_published(id, placed, now);
                }
                Order::Create | Order::MakeEmpty => {}
                Order::Discard => self.coming.clear(),
            }
        }

        /// A start from this address, as a client of ours would begin.
        fn start(&mut self, from: SocketAddr, name: &str, size: u64, nonce: u64) {
            let start = format!("s | {} | {name} | {size:0>100}", crate::session::OFFER_BASE + nonce);
            self.flying.push_back((from, address(1), start.into_bytes()));
            self.run(1);
        }

        fn starts_answered(&self) -> usize {
            self.told[1].iter().filter(|told| *told == "Started").count()
        }
    }

    fn word(event: &Event) -> String {
        let text = match event {
            Event::Chat(event) => format!("{event:?}"),
            Event::Sending(event) => format!("{event:?}"),
            Event::Receiving(event) => format!("{event:?}"),
            Event::NeverBegan { .. } => "NeverBegan".to_owned(),
            Event::TurnedAway { reason, .. } => return reason.clone(),
        };
        text.split([' ', '(']).next().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_file_goes_over_when_both_agree_also_where_every_third_datagram_is_lost() {
        for loses in [0, 3] {
            let mut world = World::agreed("cat.jpg", 5000);
            world.loses = loses;
            world.run(60);
            assert_eq!(world.outcome, Some(Outcome::Delivered), "{:?}", world.told);
            assert_eq!(world.saved, [("cat.jpg".to_owned(), world.content.clone())]);
            assert!(!world.sides[0].is_busy() && !world.sides[1].is_busy());
        }
    }

    #[test]
    fn consent_is_for_one_start_of_this_name_and_size_from_this_address() {
        let stranger = SocketAddr::from(([192, 0, 2, 9], 5000));
        for (from, name, size, begins) in [
            (address(0), "cat.jpg", 10, true),
            (address(0), "dog.jpg", 10, false),
            (address(0), "cat.jpg", 11, false),
            (address(0), "../cat.jpg", 10, false),
            (stranger, "cat.jpg", 10, false),
        ] {
            let mut world = World::connected();
            // The real sender stays silent: the offer is made by hand.
            world.sides[1].wanted = Some(Wanted { peer: address(0), file: "cat.jpg".into(), size: 10 });
            let consent = Consent::new(world.sides[1].wanted.take().unwrap(), world.now);
            world.start(from, name, size, 1);
            assert_eq!(world.starts_answered(), 0, "nobody has agreed yet");
            world.sides[1].consent = Some(consent);
            world.start(from, name, size, 1);
            assert_eq!(world.starts_answered(), usize::from(begins), "{from} {name} {size}");
            world.start(from, name, size, 2);
            assert_eq!(world.starts_answered(), usize::from(begins), "a second file needs consent of its own");
        }
    }

    #[test]
    fn a_plain_start_without_verification_never_begins() {
        let mut world = World::connected();
        let wanted = Wanted { peer: address(0), file: "cat.jpg".into(), size: 10 };
        world.sides[1].consent = Some(Consent::new(wanted, world.now));
        for start in ["s | 0 | cat.jpg | 10", "s|0|cat.jpg|10"] {
            world.flying.push_back((address(0), address(1), start.into()));
            world.run(1);
            assert_eq!(world.starts_answered(), 0, "{start}");
        }
    }

    #[test]
    fn names_that_lead_astray_are_turned_away_without_asking() {
        for (name, words) in [
            ("../cat.jpg", "`.` or `..`"),
            ("a/cat.jpg", "folder"),
            ("/etc/passwd", "starts with `/`"),
            (".bashrc", "hidden"),
            ("a\u{1b}[2Jb", "control character"),
            ("", "empty"),
        ] {
            let mut world = World::connected();
            let now = world.now;
            assert!(matches!(world.sides[0].offer_file(name, 1, 5, now), Err(Undeliverable::Name(_))), "{name}");
            world.sides[0].client().offer_file(name, 1, now).unwrap();
            world.run(1);
            assert!(world.told[1].iter().any(|told| told.contains(words)), "{name}: {:?}", world.told[1]);
            assert!(world.told[0].iter().any(|told| told == "FileRejected"), "{name}: {:?}", world.told[0]);
            assert_eq!(world.sides[1].accept_file(now), Err(Undeliverable::NothingOffered));
        }
    }

    #[test]
    fn an_offer_behind_an_offer_is_not_what_the_user_agrees_to() {
        let mut world = World::connected();
        let now = world.now;
        world.sides[0].offer_file("cat.jpg", 10, 5, now).unwrap();
        world.run(1);
        // The machine below offers one at a time; a peer that does not care says it twice.
        world.sides[1].wanted.as_mut().unwrap().size = 11;
        let peer = crate::chat::client::Named { number: 1, name: None };
        let offered = client::Event::FileOffered { peer, file: "virus.exe".into(), size: 12 };
        let told = world.sides[1].on_chat(offered, now);
        assert!(matches!(told, Some(Event::TurnedAway { .. })), "{told:?}");
        world.sides[1].accept_file(now).unwrap();
        world.start(address(0), "virus.exe", 12, 1);
        assert_eq!(world.starts_answered(), 0);
        world.start(address(0), "cat.jpg", 11, 1);
        assert_eq!(world.starts_answered(), 1);
    }

    #[test]
    fn what_the_disk_refuses_is_told_to_both() {
        let mut world = World::agreed("cat.jpg", 5000);
        world.admits = Err(StoreFailure { reason: "it exists here".into() });
        world.loses = 3;
        world.run(20);
        assert_eq!(world.outcome, Some(Outcome::Refused("it exists here".into())));
        assert_eq!(world.told[1].iter().filter(|told| *told == "Refused").count(), 1);
        assert!(world.saved.is_empty() && !world.sides[0].is_busy() && !world.sides[1].is_busy());
    }

    #[test]
    fn a_chat_that_ends_ends_its_files_and_nothing_half_is_left() {
        for ender in 0..2 {
            let mut world = World::agreed("big.bin", 5000);
            // The application supplies nothing: the file stays under way.
            world.content.clear();
            world.run(1);
            assert!(world.sides[1].is_busy(), "{:?}", world.told);
            let now = world.now;
            world.sides[ender].client().terminate(now).unwrap();
            world.run(1);
            assert_eq!(world.outcome, Some(Outcome::Stopped), "{:?}", world.told);
            assert!(world.told[1].iter().any(|told| told == "Failed"), "{:?}", world.told[1]);
            assert!(world.saved.is_empty() && !world.sides[0].is_busy() && !world.sides[1].is_busy());
        }
    }

    #[test]
    fn a_sender_that_stops_says_so() {
        let mut world = World::agreed("big.bin", 5000);
        world.content.clear();
        world.run(1);
        let now = world.now;
        world.sides[0].sender().unwrap().handle_abort("its file cannot be read");
        // The event comes before the last words are taken, as in a program's turn.
        while world.sides[0].poll_event(now).is_some() {}
        while world.sides[0].poll_event(now).is_some() {}
        let last = std::iter::from_fn(|| world.sides[0].poll_transmit(now)).last().expect("last words");
        assert!(String::from_utf8_lossy(&last.bytes).ends_with("its file cannot be read"), "{last:?}");
        assert!(world.sides[0].sender().is_none() && !world.sides[0].is_busy());
    }

    #[test]
    fn an_accepted_file_that_does_not_begin_is_told() {
        for (seconds, ends) in [(11, false), (1, true)] {
            let mut world = World::connected();
            let now = world.now;
            // Whoever offers this by hand will not begin it.
            world.sides[0].client().offer_file("cat.jpg", 10, now).unwrap();
            world.run(1);
            world.sides[1].accept_file(world.now).unwrap();
            assert!(world.sides[1].is_busy());
            world.run(1);
            let now = world.now;
            if ends {
                world.sides[0].client().terminate(now).unwrap();
            }
            world.run(seconds);
            assert_eq!(world.told[1].iter().filter(|told| *told == "NeverBegan").count(), 1, "{:?}", world.told[1]);
            assert!(!world.sides[1].is_busy());
            world.start(address(0), "cat.jpg", 10, 1);
            assert_eq!(world.starts_answered(), 0, "too late");
        }
    }

    #[test]
    fn a_second_offer_does_not_take_the_place_of_one_that_was_accepted() {
        let mut world = World::connected();
        for file in ["cat.jpg", "dog.jpg"] {
            let now = world.now;
            world.sides[0].client().offer_file(file, 10, now).unwrap();
            world.run(1);
            let _ = world.sides[1].accept_file(world.now);
            world.run(1);
        }
        assert!(world.told[1].iter().any(|told| told.contains("another file is coming")), "{:?}", world.told[1]);
        world.start(address(0), "cat.jpg", 10, 1);
        assert_eq!(world.starts_answered(), 1);
    }

    #[test]
    fn nobody_is_asked_twice_at_once_and_nothing_unknown_is_answered() {
        let mut world = World::agreed("cat.jpg", 5000);
        let now = world.now;
        assert_eq!(world.sides[0].offer_file("dog.jpg", 1, 6, now), Err(Undeliverable::Busy));
        world.run(5);
        let sent = world.sent;
        for datagram in
            [&b""[..], b" ", b"S | 0 | x | 1", b"\x80\x01", b"d | 5 | x", b"a | 5", b"e | 5 | x", b"nonsense"]
        {
            world.flying.push_back((SocketAddr::from(([192, 0, 2, 9], 9)), address(1), datagram.to_vec()));
        }
        let sent_before = world.sent;
        world.turn();
        while let Some((from, to, bytes)) = world.flying.pop_front() {
            world.deliver(from, to, &bytes);
            world.turn();
        }
        assert_eq!((world.sent - sent_before, sent_before), (8, sent), "no answer to any of them");
    }
}
