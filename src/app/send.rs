//! The client in the windowed mode: files and trees there, with progress and a plain word at the end.

mod attempts;
mod balance;
mod looks;
mod memory;
mod outset;
mod pace;
mod rehearsal;

pub(super) use outset::{BATCH, Identity, accept, random};
pub use outset::{Extent, SendPlan, send};
pub use rehearsal::rehearse;

use super::contact::patience::Patience;
use super::contact::silence::{self, Silence};
use super::contact::{self, Attempt, CLOSED_AFTER, Errand, STOPPED, TELL_EVERY, Why, failure, is_away, is_lost};
use super::exit;
use crate::chunker::answers::{Answer, AnswerReader};
use crate::chunker::digests::FileDigest;
use crate::io::driver::Application;
use crate::io::events::windowed::{UploadNote, WindowedNote, WireNote};
use crate::io::events::{Finished, Note, Progress, Report, Transfer};
use crate::io::identity::KnownHosts;
use crate::io::signals::Interrupt;
use crate::io::sources::{Feed, Found, News};
use crate::io::throttle::Throttle;
use crate::io::udp::Wire;
use crate::session::handshake::{Failure, PublicKey};
use crate::session::windowed::caller::Caller;
use crate::session::windowed::connection::{End, PROTOCOL_VIOLATION};
use crate::session::windowed::upload::{Event, Stats};
use balance::Balance;
use looks::{Looks, loss};
use memory::PathMemory;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Instant;

/// What the client does with the events of its machine.
struct Sending<'a> {
    plan: SendPlan,
    /// What the transfer is called when it is told of.
    name: String,
    report: &'a mut dyn Report,
    interrupt: Interrupt,
    known_hosts: KnownHosts,
    memory: PathMemory,
    patience: Patience,
    began: Instant,
    /// When the present attempt began.
    tried_at: Instant,
    /// A start's acknowledgement offered the windowed mode: texts do get through.
    is_invited: bool,
    told_at: Option<Instant>,
    throttle: Throttle,
    /// As fast as that at most, in bytes per second; `u64::MAX` for no limit.
    limit: u64,
    silence: Silence,
    looks: Looks,
    balance: Balance,
    answers: AnswerReader,
    /// Entries whose digests were told of in any attempt.
    digests_told: u32,
    /// It was told that it began, in any attempt.
    has_begun: bool,
    is_connected: bool,
    /// Nobody listens there, as the kernel says.
    is_closed: bool,
    is_done: bool,
    /// As it was last seen: after the end nothing is known any more.
    stats: Stats,
    /// Why we stopped ourselves, and the exit code for it.
    stopped: Option<Why>,
    /// Everything was sent in an earlier attempt, which was lost before the server said so: what that means.
    unconfirmed: Option<Why>,
}

impl Application<Caller<Feed>> for Sending<'_> {
    type Outcome = Attempt;

    fn turn(
        &mut self,
        caller: &mut Caller<Feed>,
        wire: &mut Wire,
        now: Instant,
    ) -> io::Result<ControlFlow<Attempt, bool>> {
        if let Some(text) = wire.poll_note() {
            self.report.note(&Note::Uploading(UploadNote::Hint { text }))?;
        }
        if let (Some(code), None) = (self.interrupt.exit_code(), &self.stopped) {
            self.stop(caller, "interrupted".into(), "interrupted", code);
        }
        self.collect_qlog(caller);
        self.limit(caller, now)?;
        self.feed(caller)?;
        self.stats = caller.upload().stats();
        self.looks.look(&self.stats, now.saturating_duration_since(self.began));
        self.memory.learn(caller.upload().learned());
        let Some(event) = caller.upload().poll_event() else {
            self.is_closed = !self.is_connected && caller.is_closed();
            // A server that is just being started gets its time.
            if self.is_closed && now >= self.tried_at + CLOSED_AFTER {
                let failure = Failure::NoAnswer { forged: 0, unreachable: true };
                return self.fail_to_meet(caller, &failure).map(ControlFlow::Break);
            }
            self.tell_progress(caller, now)?;
            return Ok(ControlFlow::Continue(false));
        };
        match event {
            Event::Met { server, .. } => self.on_met(caller, &server, now)?,
            Event::Answer(bytes) => self.on_answer(caller, &bytes)?,
            Event::Done => self.is_done = true,
            Event::Failed(failure) => return self.fail_to_meet(caller, &failure).map(ControlFlow::Break),
            Event::Over(end) => return self.on_over(caller, &end, now).map(ControlFlow::Break),
        }
        Ok(ControlFlow::Continue(true))
    }

    fn wakes_at(&self) -> Option<Instant> {
        match (self.is_connected, self.told_at) {
            (true, told_at) => told_at.map(|at| at + TELL_EVERY),
            (false, _) => self.is_closed.then(|| self.tried_at + CLOSED_AFTER),
        }
    }
}

impl Sending<'_> {
    /// Passes on what happened since the last time.
    fn collect_qlog(&mut self, caller: &mut Caller<Feed>) {
        if let Some(qlog) = &mut self.plan.qlog {
            qlog.collect(|entries| caller.upload().drain_log(entries));
        }
    }

    fn draw(&mut self, now: Instant) -> io::Result<()> {
        let title = format!("{} to {}", self.name, self.plan.target);
        let what = (title, self.stats.acknowledged, now.saturating_duration_since(self.began));
        std::mem::take(&mut self.looks).draw(what, (&self.stats, self.plan.choice), self.report)
    }

    /// Passes on what the sources have come to.
    fn feed(&mut self, caller: &mut Caller<Feed>) -> io::Result<()> {
        while let Some(news) = caller.upload().source().poll()? {
            match news {
                News::Found(found) => self.on_found(found)?,
                News::Digest { entry, digest } => self.on_digest(caller, entry, digest)?,
                News::Available(end) => {
                    self.balance.on_available(end);
                    caller.upload().handle_data(end);
                }
                News::Void(range) => {
                    self.balance.on_available(range.end);
                    caller.upload().handle_void(range.clone());
                    caller.upload().handle_data(range.end);
                }
            }
        }
        let length = caller.upload().source().listing_length();
        caller.upload().handle_manifest(length);
        if caller.upload().source().is_complete() {
            caller.upload().handle_complete();
        }
        Ok(())
    }

    fn on_found(&mut self, found: Found) -> io::Result<()> {
        let refused = self.balance.on_found(found);
        self.complain(refused)
    }

    fn on_digest(&mut self, caller: &mut Caller<Feed>, entry: u32, digest: FileDigest) -> io::Result<()> {
        if let FileDigest::Read { sha256: Some(sha256), .. } = &digest
            && self.plan.is_many()
            && entry >= self.digests_told
        {
            self.digests_told = entry.saturating_add(1);
            let name = caller.upload().source().describe(entry).name;
            self.report.note(&Note::Uploading(UploadNote::Digest { name, sha256: hex::encode(sha256) }))?;
        }
        if caller.upload().source().take_same(entry) {
            self.balance.on_same(entry);
            return Ok(());
        }
        let withdrawn = self.balance.on_digest(entry, digest, || caller.upload().source().describe(entry).path);
        self.complain(withdrawn)
    }

    /// Tells why something is not copied, a bounded number of times.
    fn complain(&mut self, reason: Option<String>) -> io::Result<()> {
        // The reason of the only source is told at the end.
        match reason.filter(|_| self.plan.is_many() && self.balance.may_complain()) {
            Some(reason) => self.report.note(&Note::NotCopied { reason }),
            None => Ok(()),
        }
    }

    /// The server has shown its key: it is remembered, compared, or the end.
    fn on_met(&mut self, caller: &mut Caller<Feed>, server: &PublicKey, now: Instant) -> io::Result<()> {
        if let Err(reason) = contact::meet(&self.known_hosts, &self.plan.target, server, self.report)? {
            self.stop(caller, reason, "the client does not know this key", exit::REFUSED);
            return Ok(());
        }
        self.is_connected = true;
        self.patience.on_connected(now);
        let remembered = self.memory.recall(caller.peer());
        caller.upload().remember(remembered);
        caller.upload().welcome(now);
        if let Some(peer) = caller.peer().filter(|_| !self.has_begun) {
            self.has_begun = true;
            let (name, size) = (self.name.clone(), self.balance.bytes());
            let note = Transfer { id: 0, peer, name, size, spelling: "binary", mode: "windowed" };
            self.report.note(&Note::Started(note))?;
        }
        Ok(())
    }

    fn on_answer(&mut self, caller: &mut Caller<Feed>, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        loop {
            match self.answers.next(&mut rest) {
                Ok(None) => return Ok(()),
                Ok(Some(Answer::Held(held))) => caller.upload().source().handle_held(held),
                Ok(Some(Answer::Looked(entries))) => caller.upload().source().handle_looked(entries),
                Ok(Some(Answer::There(entries))) => {
                    if let Some(void) = caller.upload().source().handle_there(entries.clone()) {
                        caller.upload().handle_void(void);
                    }
                    self.balance.on_there(entries, |entry| caller.upload().source().describe(entry).size);
                }
                Ok(Some(Answer::Content { entry, blake3 })) => caller.upload().source().handle_content(entry, blake3),
                Ok(Some(Answer::End(tally))) => {
                    self.looks.on_strain(self.answers.strain());
                    self.balance.on_tally(tally);
                }
                Ok(Some(Answer::Objection(objection))) => {
                    if let Some(void) = caller.upload().source().skip(objection.entry) {
                        caller.upload().handle_void(void);
                    }
                    let size = caller.upload().source().describe(objection.entry).size;
                    let reason = self.balance.on_objection(&objection, size);
                    self.complain(reason)?;
                }
                Err(error) => {
                    caller.upload().handle_abort(PROTOCOL_VIOLATION, &error.to_string());
                    self.stopped.get_or_insert((error.to_string(), exit::UNEXPECTED));
                    return Ok(());
                }
            }
        }
    }

    /// `reason` is for here, `word` for the server.
    fn stop(&mut self, caller: &mut Caller<Feed>, reason: String, word: &str, code: u8) {
        self.stopped.get_or_insert((reason, code));
        caller.upload().handle_abort(STOPPED, word);
    }

    fn on_over(&mut self, caller: &mut Caller<Feed>, end: &End, now: Instant) -> io::Result<Attempt> {
        self.memory.keep();
        if let Some(reason) = self.stopped.take() {
            return self.fail(caller, reason);
        }
        if !self.is_done {
            let why = self.end(caller, end);
            return if is_lost(end) { Ok(Attempt::Lost(why)) } else { self.fail(caller, why) };
        }
        if let Some(spoiled) = caller.upload().source().spoiled() {
            let spoiled = spoiled.to_owned();
            self.balance.on_spoiled(spoiled);
        }
        let (tally, verdict) = (self.balance.tally(), self.balance.verdict());
        if tally.placed > 0 || self.balance.there() > 0 || verdict.is_none() {
            self.tell_finished(caller, now)?;
        }
        match verdict {
            None => {
                caller.upload().source().forget();
                Ok(Attempt::Over(exit::DONE))
            }
            Some(verdict) => self.fail(caller, verdict),
        }
    }

    fn tell_finished(&mut self, caller: &mut Caller<Feed>, now: Instant) -> io::Result<()> {
        let Stats { counts, rtt, .. } = self.stats;
        let tally = self.balance.tally();
        let rtt_ms = rtt.map(|rtt| rtt.as_secs_f64() * 1e3);
        let path = self.looks.path(&self.stats, self.plan.choice);
        let digests = self.balance.single_digests();
        let windowed = WindowedNote {
            files: tally.placed,
            missing: self.balance.missing(),
            resumed: caller.upload().source().resumed(),
            there: self.balance.there(),
            blake3: digests.map(|(blake3, _)| hex::encode(blake3)),
            wire: Some(WireNote::new(&self.stats, self.stats.acknowledged)),
            path: Some(path),
            link: None,
        };
        self.report.note(&Note::Finished(Box::new(Finished {
            id: 0,
            peer: caller.peer(),
            name: self.name.clone(),
            bytes: self.balance.copied(),
            seconds: now.saturating_duration_since(self.began).as_secs_f64(),
            sha256: digests.and_then(|(_, sha256)| sha256).map(hex::encode),
            mode: "windowed",
            verified: true,
            retransmissions: counts.lost,
            duplicates: counts.spurious,
            rtt_ms,
            windowed: Some(windowed),
            ..Finished::default()
        })))
    }

    fn tell_progress(&mut self, caller: &mut Caller<Feed>, now: Instant) -> io::Result<()> {
        if !self.is_connected || self.told_at.is_some_and(|last| now.saturating_duration_since(last) < TELL_EVERY) {
            return Ok(());
        }
        self.told_at = Some(now);
        let Stats { acknowledged, void, unanswered, counts, rtt, .. } = self.stats;
        if let Some(note) = self.silence.look(unanswered, self.plan.timeout, now) {
            self.report.note(&Note::Uploading(note))?;
        }
        self.report.note(&Note::Progress(Progress {
            id: 0,
            bytes: acknowledged,
            size: self.balance.bytes().saturating_sub(void),
            retransmissions: counts.lost,
            rtt_ms: rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
            loss: Some(loss(&self.stats)),
            is_open: !self.balance.is_sized(),
            silent_s: silence::seconds(unanswered, now),
            current: self.plan.is_many().then(|| caller.upload().source().at(self.stats.reached)).flatten(),
            limit: self.looks.present(&self.stats),
        }))
    }

    fn fail(&mut self, caller: &Caller<Feed>, why: Why) -> io::Result<Attempt> {
        self.fail_with(caller.peer(), why).map(Attempt::Over)
    }

    fn fail_with(&mut self, peer: Option<SocketAddr>, (reason, code): Why) -> io::Result<u8> {
        // What is refused may be there since before.
        let unconfirmed = self.unconfirmed.take().filter(|_| matches!(code, exit::REFUSED | exit::NO_ANSWER));
        let (reason, code) = unconfirmed.unwrap_or((reason, code));
        let name = self.name.clone();
        self.report.note(&Note::Failed { id: 0, peer, name, reason, exit_code: Some(code) })?;
        Ok(code)
    }

    /// There was no handshake.
    fn fail_to_meet(&mut self, caller: &Caller<Feed>, failure: &Failure) -> io::Result<Attempt> {
        let why = failure::why(&self.plan.target, self.plan.first_timeout, self.is_invited, failure);
        if self.patience.is_tried() && is_away(failure) { Ok(Attempt::Lost(why)) } else { self.fail(caller, why) }
    }

    /// Why the connection ended before all was done.
    fn end(&mut self, caller: &mut Caller<Feed>, end: &End) -> Why {
        let Stats { acknowledged, void, .. } = self.stats;
        let is_sent = caller.upload().source().is_complete() && acknowledged + void >= self.balance.available();
        if !is_sent || !matches!(end, End::Silent | End::Forgotten) {
            return contact::end(&self.plan.target, self.plan.timeout, Errand::Bring, end);
        }
        let seconds = self.plan.timeout.as_secs_f64();
        let text = format!(
            "everything was sent, but the end was not confirmed within {seconds} s: the files may be complete there; look, or send them again"
        );
        self.unconfirmed = Some((text.clone(), exit::NOT_CONFIRMED));
        (text, exit::NOT_CONFIRMED)
    }
}
