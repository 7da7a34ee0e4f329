//! A chat client without sockets and terminals: its place at the registry, ways to others, and the talk with one of them.

mod company;
mod event;
mod membership;
mod partner;
mod search;

pub use event::{Event, Named, Refused, Unreached};

use crate::packet::chat::{Answer, ClientName, Join, Key, Listed, Request, Who};
use crate::session::{Machine, Transmit, Via};
use company::Company;
use membership::Membership;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

/// Who a client is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The socket that everything goes through.
    pub via: Via,
    /// Where the registry is.
    pub registry: SocketAddr,
    /// The name to ask for.
    pub name: Option<ClientName>,
    /// The number to ask for.
    pub number: Option<u64>,
    /// 128 random bits: they prove to the registry that we are the one that joined, and that probes arrived.
    pub key: Key,
    /// Our own addresses as this machine sees them.
    pub reported: Vec<SocketAddr>,
    /// The first number of every conversation: the microseconds since 1970, so that numbers rise over restarts.
    pub first: u64,
}

/// The machine; see [`crate::session`] for the order of calls.
#[derive(Debug)]
pub struct ChatClient {
    config: Config,
    membership: Membership,
    company: Company,
    /// The list as far as it came.
    listing: Vec<Listed>,
    leaving: Option<Leaving>,
    events: VecDeque<Event>,
}

/// The end, as far as it has come.
#[derive(Clone, Copy, Debug, Default)]
struct Leaving {
    /// What the registry said to it; `None` before.
    acknowledged: Option<bool>,
    is_told: bool,
}

impl ChatClient {
    /// Begins to join at once.
    pub fn new(config: Config, now: Instant) -> Self {
        let Config { key, number, ref name, ref reported, first, .. } = config;
        let join = Join { key, token: None, number, name: name.clone(), reported: reported.clone() };
        Self {
            membership: Membership::new(join, first, now),
            company: Company::new(config.clone(), now),
            listing: Vec::new(),
            leaving: None,
            events: VecDeque::new(),
            config,
        }
    }

    /// Asks who is here; [`Event::Clients`] answers.
    ///
    /// # Errors
    /// As all wishes: [`Refused`] says why not.
    pub fn list(&mut self, now: Instant) -> Result<(), Refused> {
        self.listing.clear();
        self.ask(Request::List { after: 0 }, now)
    }

    /// Asks where somebody is; [`Event::Found`] or [`Event::NotFound`] answers.
    ///
    /// # Errors
    /// As all wishes.
    pub fn look_up(&mut self, who: &Who, now: Instant) -> Result<(), Refused> {
        self.ask(Request::Lookup(who.clone()), now)
    }

    /// Wants to talk to somebody. Where that one asks us already, this is a yes.
    ///
    /// # Errors
    /// As all wishes.
    pub fn connect(&mut self, who: &Who, now: Instant) -> Result<(), Refused> {
        self.company.check_free()?;
        let own = Named { number: self.own_number()?, name: self.membership.name().cloned() };
        if own.is(who) {
            return Err(Refused::Oneself);
        }
        if self.company.accept(Some(who), now).is_err() {
            self.ask(Request::Meet(who.clone()), now)?;
            self.company.want(who.clone());
        }
        Ok(())
    }

    /// Says yes to who asks us, or (without `who`) to the one that asked first.
    ///
    /// # Errors
    /// As all wishes.
    pub fn accept(&mut self, who: Option<&Who>, now: Instant) -> Result<(), Refused> {
        self.company.check_free()?;
        self.company.accept(who, now)
    }

    /// Says no to who asks us, or to the one that asked first; `reason` may be empty.
    ///
    /// # Errors
    /// As all wishes.
    pub fn reject(&mut self, who: Option<&Who>, reason: &str, now: Instant) -> Result<(), Refused> {
        self.company.reject(who, reason, now)
    }

    /// Says something to whom we talk to. Gives its number: [`Event::Delivered`] or [`Event::NotDelivered`] has it again.
    ///
    /// # Errors
    /// As all wishes.
    pub fn send(&mut self, text: &str, now: Instant) -> Result<u64, Refused> {
        Ok(self.company.connected()?.send(text, now)?)
    }

    /// Ends the chat, or takes our request back.
    ///
    /// # Errors
    /// As all wishes.
    pub fn terminate(&mut self, now: Instant) -> Result<(), Refused> {
        self.company.terminate(now)
    }

    /// Ends everything in order; [`Event::Left`] is the last event, after ten seconds at most.
    pub fn leave(&mut self, now: Instant) {
        if self.leaving.is_some() {
            return;
        }
        self.leaving = Some(Leaving::default());
        self.company.leave(now);
        self.membership.leave(now);
    }

    /// Offers a file to whom we talk to; [`Event::FileAccepted`] or [`Event::FileRejected`] answers.
    ///
    /// # Errors
    /// As all wishes.
    pub fn offer_file(&mut self, file: &str, size: u64, now: Instant) -> Result<(), Refused> {
        self.company.connected()?.offer(file, size, now)
    }

    /// Says yes to the file that is offered to us.
    ///
    /// # Errors
    /// As all wishes.
    pub fn accept_file(&mut self, now: Instant) -> Result<(), Refused> {
        self.company.connected()?.answer_offer(None, now)
    }

    /// Says no to the file that is offered to us.
    ///
    /// # Errors
    /// As all wishes.
    pub fn reject_file(&mut self, reason: &str, now: Instant) -> Result<(), Refused> {
        self.company.connected()?.answer_offer(Some(reason), now)
    }

    /// Whom we talk to, and where it is.
    pub fn peer(&self) -> Option<(&Named, SocketAddr)> {
        self.company.peer()
    }

    /// The next event.
    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        self.collect(now);
        self.events.pop_front()
    }

    fn own_number(&self) -> Result<u64, Refused> {
        self.membership.number().ok_or(Refused::NotRegistered)
    }

    fn ask(&mut self, request: Request, now: Instant) -> Result<(), Refused> {
        if self.leaving.is_some() {
            return Err(Refused::Leaving);
        }
        self.own_number()?;
        self.membership.ask(request, now)?;
        Ok(())
    }

    /// Takes what the parts have to tell.
    fn collect(&mut self, now: Instant) {
        while let Some(event) = self.membership.poll_event() {
            self.on_membership(event, now);
        }
        while let Some(event) = self.company.poll_event(now) {
            // Nothing matters after the end.
            if !self.leaving.is_some_and(|leaving| leaving.is_told) {
                self.events.push_back(event);
            }
        }
        if let Some(Leaving { acknowledged: Some(acknowledged), is_told: is_told @ false }) = &mut self.leaving
            && self.company.is_settled()
        {
            *is_told = true;
            self.events.push_back(Event::Left { acknowledged: *acknowledged });
        }
    }

    fn on_membership(&mut self, event: membership::Event, now: Instant) {
        match event {
            membership::Event::Registered { number, name, seen } => {
                self.company.set_own(number, name.clone());
                self.events.push_back(Event::Registered { number, name, seen });
            }
            membership::Event::JoinRefused(refusal) => self.events.push_back(Event::JoinRefused(refusal)),
            membership::Event::Silent => self.events.push_back(Event::RegistrySilent),
            membership::Event::Back => self.events.push_back(Event::RegistryBack),
            membership::Event::Answer(answer) => self.on_answer(answer, now),
            membership::Event::Unanswered(Request::Meet(who)) => {
                self.company.give_up(|wanted| *wanted == who, Some(Unreached::RegistrySilent));
            }
            membership::Event::Unanswered(_) => {}
            membership::Event::Left { acknowledged } => {
                if let Some(leaving) = &mut self.leaving {
                    leaving.acknowledged = Some(acknowledged);
                }
            }
        }
    }

    fn on_answer(&mut self, answer: Answer, now: Instant) {
        match answer {
            Answer::List { total, next, clients } => {
                let room = LIST_MAX.saturating_sub(self.listing.len());
                self.listing.extend(clients.into_iter().take(room));
                match next.filter(|_| self.listing.len() < LIST_MAX) {
                    Some(after) if self.ask(Request::List { after }, now).is_ok() => {}
                    _ => self.events.push_back(Event::Clients { total, clients: std::mem::take(&mut self.listing) }),
                }
            }
            Answer::Active { client, .. } => self.events.push_back(Event::Found(client)),
            Answer::Inactive(who) => {
                self.company.give_up(|wanted| *wanted == who, None);
                self.events.push_back(Event::NotFound(who));
            }
            Answer::Refused(_) => self.company.give_up(|_| true, Some(Unreached::TooOften)),
            Answer::Meet { meeting, client } => self.company.introduce(meeting, &client, now),
            Answer::Token(_) | Answer::Unknown | Answer::Number { .. } => {}
        }
    }
}

impl Machine for ChatClient {
    fn handle_datagram(&mut self, _via: Via, from: SocketAddr, datagram: &[u8], now: Instant) {
        if from == self.config.registry {
            self.membership.handle_datagram(datagram, now);
        } else {
            self.company.handle_datagram(from, datagram, now);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.membership.handle_timeout(now);
        self.company.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        match self.membership.poll_transmit() {
            Some(bytes) => Some(Transmit::one(self.config.via, self.config.registry, bytes)),
            None => self.company.poll_transmit(now),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        [self.membership.poll_timeout(), self.company.poll_timeout()].into_iter().flatten().min()
    }
}

/// Clients that one `list` shows: more than anybody reads.
const LIST_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    pub(super) fn moment() -> Instant {
        Instant::now()
    }
}
