//! The other clients: those that we were introduced to, those that ask, and the one that we talk to.

use super::Config;
use super::event::{Event, Named, Refused, Unreached};
use super::partner::{NewRequest, Partner, Phase};
use super::search::Search;
use crate::chat::PATIENCE;
use crate::packet::chat::{ClientName, Meeting, Talk, Whereabouts, Who};
use crate::packet::message::{self, Message};
use crate::session::Transmit;
use crate::session::conversation::Complaints;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

/// Whom we want to talk to.
#[derive(Debug)]
struct Wish {
    who: Who,
    /// A wish always ends: if nothing else has ended it, then and for this reason.
    until: Instant,
    why: Unreached,
}

/// Everybody whom this client knows an address of.
#[derive(Debug)]
pub(super) struct Company {
    config: Config,
    began: Instant,
    /// Our number and name, as the registry gave them.
    own: Option<(u64, Option<ClientName>)>,
    /// Whom we want to talk to, until our request is on its way or that has failed.
    wanted: Option<Wish>,
    searches: Vec<Search>,
    partners: Vec<Partner>,
    is_leaving: bool,
    complaints: Complaints,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl Company {
    /// Nobody yet.
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            config,
            began: now,
            own: None,
            wanted: None,
            searches: Vec::new(),
            partners: Vec::new(),
            is_leaving: false,
            complaints: Complaints::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Who we are from now on; chats that have begun keep what they began with.
    pub fn set_own(&mut self, number: u64, name: Option<ClientName>) {
        self.own = Some((number, name));
    }

    /// Whether there is room for a wish to talk: one chat at a time.
    pub fn check_free(&self) -> Result<(), Refused> {
        if self.is_leaving {
            return Err(Refused::Leaving);
        }
        if let Some(wish) = &self.wanted {
            return Err(Refused::AlreadyAsking(wish.who.clone()));
        }
        match self.partners.iter().find(|partner| is_ours(partner.phase())) {
            Some(partner) if partner.phase() == Phase::Connected => {
                Err(Refused::AlreadyConnected(partner.peer.clone()))
            }
            Some(partner) => Err(Refused::AlreadyAsking(Who::Number(partner.peer.number))),
            None => Ok(()),
        }
    }

    /// Whom the next introduction is for.
    pub fn want(&mut self, who: Who, now: Instant) {
        self.wanted = Some(Wish { who, until: now + PATIENCE, why: Unreached::RegistrySilent });
    }

    /// Nothing comes of the wish to talk to somebody, if `is_it` says that this is the one.
    pub fn give_up(&mut self, is_it: impl FnOnce(&Who) -> bool, why: Option<Unreached>) {
        if let Some(wish) = self.wanted.take_if(|wish| is_it(&wish.who)) {
            self.events.extend(why.map(|why| Event::Unreached { who: wish.who, why }));
        }
    }

    /// Says yes to who asks us, or to the one that asked first.
    pub fn accept(&mut self, who: Option<&Who>, now: Instant) -> Result<(), Refused> {
        self.asking(who)?.accept(now);
        Ok(())
    }

    /// Says no to who asks us, or to the one that asked first.
    pub fn reject(&mut self, who: Option<&Who>, reason: &str, now: Instant) -> Result<(), Refused> {
        self.asking(who)?.reject(reason, now);
        Ok(())
    }

    /// Whom we talk to.
    pub fn connected(&mut self) -> Result<&mut Partner, Refused> {
        let mut partners = self.partners.iter_mut();
        partners.find(|partner| partner.phase() == Phase::Connected).ok_or(Refused::NotConnected)
    }

    /// Whom we talk to, and where it is.
    pub fn peer(&self) -> Option<(&Named, SocketAddr)> {
        let connected = self.partners.iter().find(|partner| partner.phase() == Phase::Connected)?;
        Some((&connected.peer, connected.address))
    }

    /// Ends the chat, or takes our request back.
    pub fn terminate(&mut self, now: Instant) -> Result<(), Refused> {
        if let Some(partner) = self.partners.iter_mut().find(|partner| is_ours(partner.phase())) {
            if partner.phase() == Phase::Connected {
                self.events.push_back(Event::Terminated { peer: partner.peer.clone(), by_peer: false });
            }
            partner.terminate(now);
            return Ok(());
        }
        self.wanted.take().ok_or(Refused::NothingToEnd)?;
        self.stop_searching();
        Ok(())
    }

    /// Ends everything in order.
    pub fn leave(&mut self, now: Instant) {
        self.is_leaving = true;
        self.wanted = None;
        self.stop_searching();
        for partner in &mut self.partners {
            match partner.phase() {
                Phase::Connected => {
                    self.events.push_back(Event::Terminated { peer: partner.peer.clone(), by_peer: false });
                    partner.terminate(now);
                }
                Phase::Asking { .. } => partner.terminate(now),
                Phase::Asked => partner.reject("left", now),
                Phase::Closing | Phase::Closed => {}
            }
        }
    }

    /// Whether nothing more is to be said to anybody.
    pub fn is_settled(&self) -> bool {
        self.partners.iter().all(|partner| partner.phase() == Phase::Closed)
    }

    /// The registry has introduced somebody to us, because we wanted to or because that one did.
    pub fn introduce(&mut self, meeting: Meeting, client: &Whereabouts, now: Instant) {
        if self.is_leaving || self.searches.iter().any(|search| search.meeting == meeting) {
            return;
        }
        let peer = Named { number: client.number, name: client.name.clone() };
        let wish = self.wanted.as_mut().filter(|wish| peer.is(&wish.who));
        let is_ours = wish.is_some();
        if let Some(wish) = wish {
            (wish.until, wish.why) = (now + PATIENCE, Unreached::NoWay);
        }
        if self.searches.len() >= SEARCHES_MAX {
            // Others may ask for us as often as they like; our own wish outlives that.
            let oldest = self.searches.iter().position(|search| !search.is_ours).unwrap_or(0);
            self.searches.remove(oldest);
        }
        self.searches.push(Search::new(meeting, peer, &client.addresses, is_ours, self.config.key, now));
    }

    /// A datagram that is not the registry's.
    pub fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        let message = message::decode(datagram);
        let talk = match message {
            Ok(Message::Text { text, .. } | Message::Ack { text, .. }) => Talk::parse(text).ok(),
            Err(_) => None,
        };
        match (message, talk) {
            (Ok(message), Some(Talk::Probe(meeting))) => self.handle_probe(from, meeting, message, now),
            (message, talk) => {
                if let (Ok(Message::Text { .. }), Some(Talk::Request { from: number, meeting, .. })) = (message, talk) {
                    self.admit(from, NewRequest { from: number, meeting }, now);
                }
                match self.partners.iter_mut().find(|partner| partner.address == from) {
                    Some(partner) => partner.handle_datagram(datagram, now),
                    None => self.complain(from, now),
                }
            }
        }
        self.collect(now);
    }

    /// Lets everybody do what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        for partner in &mut self.partners {
            partner.handle_timeout(now);
        }
        let mut lost = Vec::new();
        for search in &mut self.searches {
            if search.handle_timeout(now) && search.is_ours {
                lost.push(search.peer.clone());
            }
        }
        for peer in lost {
            self.give_up(|who| peer.is(who), Some(Unreached::NoWay));
        }
        if let Some(Wish { who, why, .. }) = self.wanted.take_if(|wish| now >= wish.until) {
            self.events.push_back(Event::Unreached { who, why });
        }
        self.searches.retain(|search| !search.is_forgotten(now));
        self.collect(now);
        self.partners.retain(|partner| !partner.is_forgotten(now));
    }

    /// The next event; what the partners have to tell is told.
    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        self.collect(now);
        self.events.pop_front()
    }

    /// The next datagram.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        let via = self.config.via;
        if let Some(transmit) = self.transmits.pop_front() {
            return Some(transmit);
        }
        for partner in &mut self.partners {
            if let Some(bytes) = partner.poll_transmit() {
                return Some(Transmit::one(via, partner.address, bytes));
            }
        }
        let (to, bytes) = self.searches.iter_mut().find_map(|search| search.poll_probe(now))?;
        Some(Transmit::one(via, to, bytes))
    }

    /// When [`Company::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let partners = self.partners.iter().filter_map(Partner::poll_timeout);
        let wish = self.wanted.as_ref().map(|wish| wish.until);
        partners.chain(self.searches.iter().filter_map(Search::poll_timeout)).chain(wish).min()
    }

    /// Who asks us: they stand in the order in which they came.
    fn asking(&mut self, who: Option<&Who>) -> Result<&mut Partner, Refused> {
        let is_meant =
            |partner: &&mut Partner| partner.phase() == Phase::Asked && who.is_none_or(|who| partner.peer.is(who));
        self.partners.iter_mut().find(is_meant).ok_or_else(|| Refused::NoRequest(who.cloned()))
    }

    fn stop_searching(&mut self) {
        for search in &mut self.searches {
            search.stop();
            search.is_ours = false;
        }
    }

    /// Something senseless came; said once in a while.
    pub fn complain(&mut self, from: SocketAddr, now: Instant) {
        if let Some(untold) = self.complaints.admit(now) {
            self.events.push_back(Event::Nonsense { from, untold });
        }
    }

    /// Takes what the partners have to tell, and judges the requests among it.
    fn collect(&mut self, now: Instant) {
        for at in 0..self.partners.len() {
            while let Some(request) = self.partners.get_mut(at).and_then(Partner::poll_request) {
                self.on_request(at, request, now);
            }
            while let Some(event) = self.partners.get_mut(at).and_then(Partner::poll_event) {
                match event {
                    Event::Nonsense { from, .. } => self.complain(from, now),
                    event => self.events.push_back(event),
                }
            }
        }
    }

    /// Somebody asks; only who was introduced to us under this number is heard.
    fn on_request(&mut self, at: usize, request: NewRequest, now: Instant) {
        let introduced = self.introduced(request);
        let Some(partner) = self.partners.get_mut(at).filter(|partner| partner.peer.number == request.from) else {
            return;
        };
        if self.is_leaving || !(introduced.is_some() || partner.knows(request.meeting)) {
            return;
        }
        for search in self.searches.iter_mut().filter(|search| search.peer.number == request.from) {
            search.stop();
        }
        partner.on_request(request.meeting, introduced, now);
        let peer = partner.peer.clone();
        if partner.phase() == Phase::Asked && self.wanted.take_if(|wish| peer.is(&wish.who)).is_some() {
            // We were still looking for a way to it.
            partner.accept(now);
        }
    }

    /// Who comes with this word, as the registry has told us.
    fn introduced(&self, request: NewRequest) -> Option<Named> {
        let is_it = |search: &&Search| search.meeting == request.meeting && search.peer.number == request.from;
        self.searches.iter().find(is_it).map(|search| search.peer.clone())
    }

    /// Without the word that the registry gave both of us nothing is answered.
    fn handle_probe(&mut self, from: SocketAddr, meeting: Meeting, message: Message<'_>, now: Instant) {
        let Some(search) = self.searches.iter_mut().find(|search| search.meeting == meeting) else { return };
        match message {
            Message::Text { seq, .. } => {
                let (via, answer) = (self.config.via, search.handle_probe(from, seq));
                self.transmits.extend(answer.map(|bytes| Transmit::one(via, from, bytes)));
            }
            Message::Ack { seq, .. } => {
                let peer = search.peer.clone();
                if search.handle_answer(from, seq)
                    && search.is_ours
                    && let Some(Wish { who, .. }) = self.wanted.take_if(|wish| peer.is(&wish.who))
                {
                    match self.meet(peer, from, true, now) {
                        Some(partner) => partner.ask(meeting, now),
                        None => self.events.push_back(Event::Unreached { who, why: Unreached::NoRoom }),
                    }
                }
            }
        }
    }

    /// Makes room for whoever comes with a request and a word of an introduction.
    fn admit(&mut self, from: SocketAddr, request: NewRequest, now: Instant) {
        let Some(peer) = self.introduced(request) else { return };
        if self.is_leaving {
            return;
        }
        let is_asked_elsewhere = |partner: &Partner| {
            partner.peer.number == peer.number
                && partner.address != from
                && matches!(partner.phase(), Phase::Asking { .. })
        };
        if let Some(at) = self.partners.iter().position(is_asked_elsewhere) {
            // Both ask at once, on different ways. That of the lower number is taken, and both know which one that is.
            if self.own.as_ref().is_some_and(|(own, _)| *own < peer.number) {
                return self.on_request(at, request, now);
            }
            self.partners.remove(at);
            let who = Who::Number(peer.number);
            self.wanted = Some(Wish { who, until: now + PATIENCE, why: Unreached::NoWay });
        }
        self.meet(peer, from, false, now);
    }

    /// The other client at this address, as we know it or anew. Room for a new one is made only for whom we want to talk to.
    fn meet(&mut self, peer: Named, address: SocketAddr, is_wanted: bool, now: Instant) -> Option<&mut Partner> {
        // At an address lives one client at a time, and a client lives at one address: who was there before has gone.
        let is_past = |partner: &mut Partner| (partner.address == address) != (partner.peer.number == peer.number);
        for partner in self.partners.extract_if(.., is_past) {
            match partner.phase() {
                Phase::Asking { .. } | Phase::Connected => self.events.push_back(Event::Gone(partner.peer)),
                Phase::Asked => self.events.push_back(Event::Withdrawn(partner.peer)),
                Phase::Closing | Phase::Closed => {}
            }
        }
        if let Some(at) = self.partners.iter().position(|partner| partner.address == address) {
            return self.partners.get_mut(at);
        }
        if self.partners.len() >= PARTNERS_MAX && is_wanted {
            self.make_room();
        }
        if self.partners.len() >= PARTNERS_MAX {
            return None;
        }
        let elapsed = u64::try_from(now.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX);
        let first = self.config.first.saturating_add(elapsed);
        self.partners.push(Partner::new(peer, address, self.own.clone()?, first, now));
        self.partners.last_mut()
    }

    /// Forgets whom nobody waits for, or else who has asked us first.
    fn make_room(&mut self) {
        let oldest = |phase: Phase| self.partners.iter().position(|partner| partner.phase() == phase);
        let Some(at) = oldest(Phase::Closed).or_else(|| oldest(Phase::Asked)) else { return };
        let partner = self.partners.remove(at);
        if partner.phase() == Phase::Asked {
            self.events.push_back(Event::Withdrawn(partner.peer));
        }
    }
}

/// Whether it is the one that we talk to, or want to.
fn is_ours(phase: Phase) -> bool {
    matches!(phase, Phase::Asking { .. } | Phase::Connected)
}

/// Introductions that are remembered.
const SEARCHES_MAX: usize = 16;

/// Others that we talk to, were asked by, or have just parted from.
const PARTNERS_MAX: usize = 32;
