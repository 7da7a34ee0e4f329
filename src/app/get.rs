//! The client the other way round: files and trees from a server that gives them, or one file to standard output.

mod account;
mod attempts;
mod outset;
mod place;
mod rest;

pub use outset::{GetPlan, get};
pub use place::{Place, place};

use super::contact::patience::Patience;
use super::contact::silence::{self, Silence};
use super::contact::{self, Attempt, CLOSED_AFTER, Errand, STOPPED, TELL_EVERY, Why, failure, is_away, is_lost};
use super::exit;
use crate::chunker::answers::{Answer, AnswerReader};
use crate::io::driver::Application;
use crate::io::events::windowed::{LinkNote, UploadNote, WindowedNote, WireNote};
use crate::io::events::{Finished, MODE_GET, Note, Progress, Report, Transfer};
use crate::io::identity::KnownHosts;
use crate::io::signals::Interrupt;
use crate::io::trees::{self, Order, Saved};
use crate::io::udp::Wire;
use crate::packet::windowed::frame::Space;
use crate::session::congestion::Choice;
use crate::session::handshake::{Failure, PublicKey};
use crate::session::windowed::caller::Dialer;
use crate::session::windowed::connection::{End, NO_ERROR, PROTOCOL_VIOLATION};
use crate::session::windowed::download::{Download, Event};
use crate::session::windowed::reception;
use crate::session::windowed::upload::Stats;
use account::{Account, Outcome};
use rest::Rest;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What the client does with the events of its machine.
struct Getting<'a> {
    plan: GetPlan,
    report: &'a mut dyn Report,
    interrupt: Interrupt,
    known_hosts: KnownHosts,
    patience: Patience,
    began: Instant,
    /// When the present attempt began.
    tried_at: Instant,
    told_at: Option<Instant>,
    silence: Silence,
    /// It was told that it began, in any attempt.
    has_begun: bool,
    /// What has its name since, in any attempt.
    saved: Saved,
    /// How many bytes that were when the present attempt began.
    saved_before: u64,
    is_connected: bool,
    /// Nobody listens there, as the kernel says.
    is_closed: bool,
    /// Where bytes come to rest, once the server is known to be the right one.
    rest: Option<Rest>,
    /// What the server says of the paths that it was asked for, and whether that was all.
    answers: AnswerReader,
    is_answered: bool,
    /// The server is told that all is done, and has so long to hear it.
    is_said: bool,
    leaves_at: Option<Instant>,
    account: Account,
    /// As it was last seen: after the end nothing is known any more.
    stats: Stats,
    /// Why we stopped ourselves, and the exit code for it.
    stopped: Option<Why>,
}

type Caller = Dialer<Download>;

impl Application<Caller> for Getting<'_> {
    type Outcome = Attempt;

    fn turn(&mut self, caller: &mut Caller, wire: &mut Wire, now: Instant) -> io::Result<ControlFlow<Attempt, bool>> {
        if let Some(text) = wire.poll_note() {
            self.report.note(&Note::Uploading(UploadNote::Hint { text }))?;
        }
        if let (Some(code), None) = (self.interrupt.exit_code(), &self.stopped) {
            self.stop(caller, "interrupted".into(), "interrupted", code);
        }
        self.collect_qlog(caller);
        let mut any = false;
        while let Some(answer) = self.rest.as_ref().and_then(Rest::poll) {
            any = true;
            self.on_rest(caller, answer)?;
        }
        self.say_done(caller, now);
        let Some(event) = caller.errand().poll_event() else {
            self.is_closed = !self.is_connected && caller.is_closed();
            // A server that is just being started gets its time.
            if self.is_closed && now >= self.tried_at + CLOSED_AFTER {
                let failure = Failure::NoAnswer { forged: 0, unreachable: true };
                return self.fail_to_meet(caller, &failure).map(ControlFlow::Break);
            }
            if self.leaves_at.is_some_and(|due| now >= due) {
                // It is there and durable, whatever the server knows of it.
                caller.errand().handle_abort(NO_ERROR, "");
                return self.end_well(caller, now).map(ControlFlow::Break);
            }
            caller.errand().with(|reception| self.stats = reception.stats());
            self.tell_progress(now)?;
            return Ok(ControlFlow::Continue(any));
        };
        match event {
            Event::Met { server, .. } => self.on_met(caller, wire, &server, now)?,
            Event::Failed(failure) => return self.fail_to_meet(caller, &failure).map(ControlFlow::Break),
            Event::Happened(reception::Event::Manifest(bytes)) => self.order(Order::Listing(bytes)),
            Event::Happened(reception::Event::Data(block)) => self.order(Order::Bytes(block)),
            Event::Happened(reception::Event::Answer(bytes)) => self.on_answer(caller, &bytes)?,
            // Only a server hears that.
            Event::Happened(reception::Event::Done) => {}
            Event::Happened(reception::Event::Over(end)) => {
                return self.on_over(caller, &end, now).map(ControlFlow::Break);
            }
        }
        Ok(ControlFlow::Continue(true))
    }

    fn wakes_at(&self) -> Option<Instant> {
        match (self.is_connected, self.told_at) {
            (true, told_at) => self.leaves_at.or(told_at.map(|at| at + TELL_EVERY)),
            (false, _) => self.is_closed.then(|| self.tried_at + CLOSED_AFTER),
        }
    }
}

impl Getting<'_> {
    /// Passes on what happened since the last time.
    fn collect_qlog(&mut self, caller: &mut Caller) {
        if let Some(qlog) = &mut self.plan.qlog {
            qlog.collect(|entries| caller.errand().drain_log(entries));
        }
    }

    fn order(&mut self, order: Order) {
        if let Some(rest) = &self.rest {
            rest.order(order);
        }
    }

    /// The server has shown its key: it is remembered, compared, or the end.
    fn on_met(&mut self, caller: &mut Caller, wire: &Wire, server: &PublicKey, now: Instant) -> io::Result<()> {
        if let Err(reason) = contact::meet(&self.known_hosts, &self.plan.target, server, self.report)? {
            self.stop(caller, reason, "the client does not know this key", exit::REFUSED);
            return Ok(());
        }
        match Rest::open(&self.plan, server, &self.saved, wire)? {
            Ok(rest) => self.rest = Some(rest),
            Err(reason) => {
                self.stop(caller, reason, "the client has no place for it", exit::LOCAL_FILE);
                return Ok(());
            }
        }
        self.is_connected = true;
        self.patience.on_connected(now);
        caller.errand().welcome(now);
        if let Some(peer) = caller.peer().filter(|_| !self.has_begun) {
            self.has_begun = true;
            let name = self.plan.name.clone();
            let note = Transfer { id: 0, peer, name, size: 0, spelling: "binary", mode: MODE_GET };
            self.report.note(&Note::Started(note))?;
        }
        Ok(())
    }

    /// The server's word on the paths that it was asked for.
    fn on_answer(&mut self, caller: &mut Caller, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        loop {
            match self.answers.next(&mut rest) {
                Ok(None) => return Ok(()),
                Ok(Some(Answer::End(tally))) => {
                    self.account.on_counts(tally);
                    self.is_answered = true;
                }
                // Whoever gives holds nothing of ours.
                Ok(Some(Answer::Held(_) | Answer::Looked(_) | Answer::There(_) | Answer::Content { .. })) => {}
                Ok(Some(Answer::Objection(objection))) => {
                    let reason = self.account.on_withheld(&objection.reason);
                    self.complain(reason)?;
                }
                Err(error) => {
                    self.stop(caller, error.to_string(), &error.to_string(), exit::UNEXPECTED);
                    return Ok(());
                }
            }
        }
    }

    /// What the disk has come to.
    fn on_rest(&mut self, caller: &mut Caller, answer: trees::Answer) -> io::Result<()> {
        use trees::Answer;
        let errand = caller.errand();
        match answer {
            // Nobody takes over what this side asked for.
            Answer::TookOver(_) => {}
            Answer::Listed(bytes) => errand.with(|reception| reception.handle_taken(Space::Manifest, bytes)),
            Answer::At(current) => self.account.current = Some(current),
            Answer::Passed(end) => errand.with(|reception| reception.handle_passed(end)),
            Answer::End(end) => errand.with(|reception| reception.handle_end(end)),
            Answer::Say(bytes) => errand.with(|reception| reception.handle_answer(&bytes)),
            Answer::Written(bytes) => {
                self.account.received = self.account.received.saturating_add(bytes.len() as u64);
                errand.with(|reception| reception.handle_written(bytes));
            }
            Answer::Begins(contents) => self.account.expected = contents.bytes,
            Answer::Kept { resumed, there } => (self.account.resumed, self.account.there) = (resumed, there),
            Answer::Placed { path, bytes, sha256 } => self.on_placed(path, bytes, sha256)?,
            Answer::Objection { reason, kind, .. } => {
                self.account.on_objection(&reason, kind);
                self.complain(reason)?;
            }
            Answer::Done { tally, bytes, blake3, there, .. } => {
                self.account.on_saved(tally, Outcome { files: tally.placed, bytes, blake3, there });
            }
            Answer::Broken(reason) => {
                let own = self.account.verdict().filter(|(_, code)| *code == exit::LOCAL_FILE);
                let (said, code) = own.unwrap_or((reason, exit::UNEXPECTED));
                self.stopped.get_or_insert((said.clone(), code));
                caller.errand().handle_abort(PROTOCOL_VIOLATION, &said);
            }
            Answer::Wanted(_) => {}
        }
        Ok(())
    }

    /// A file has its name.
    fn on_placed(&mut self, path: String, bytes: u64, sha256: Option<[u8; 32]>) -> io::Result<()> {
        self.saved.insert(&path, bytes);
        self.account.sha256 = sha256;
        if let Some(sha256) = sha256.filter(|_| self.is_many()) {
            let sha256 = hex::encode(sha256);
            self.report.note(&Note::Uploading(UploadNote::Digest { name: path, sha256 }))?;
        }
        Ok(())
    }

    /// Once everything is durable, and the server has said what it cannot give, it is told so.
    fn say_done(&mut self, caller: &mut Caller, now: Instant) {
        if self.is_answered && self.account.saved().is_some() && self.stopped.is_none() && !self.is_said {
            self.is_said = true;
            self.leaves_at = Some(now + LAST_WORD);
            caller.errand().with(reception::Reception::handle_done);
        }
    }

    fn is_many(&self) -> bool {
        self.plan.wanted.wishes.len() > 1 || self.plan.wanted.is_recursive
    }

    /// Tells why something is not copied, a bounded number of times.
    fn complain(&mut self, reason: String) -> io::Result<()> {
        // The reason of the only one is told at the end.
        if self.is_many() && self.account.may_complain() {
            return self.report.note(&Note::NotCopied { reason });
        }
        Ok(())
    }

    /// `reason` is for here, `word` for the server.
    fn stop(&mut self, caller: &mut Caller, reason: String, word: &str, code: u8) {
        self.stopped.get_or_insert((reason, code));
        caller.errand().handle_abort(STOPPED, word);
    }

    fn on_over(&mut self, caller: &Caller, end: &End, now: Instant) -> io::Result<Attempt> {
        if let Some(stopped) = self.stopped.take() {
            return self.fail(caller, stopped);
        }
        if self.is_said {
            return self.end_well(caller, now);
        }
        let (reason, code) = contact::end(&self.plan.target, self.plan.timeout, Errand::Get, end);
        match self.plan.place {
            _ if !is_lost(end) => self.fail(caller, (reason, code)),
            // Whoever reads it has the beginning already.
            Place::Output => {
                self.fail(caller, (format!("{reason}; what goes to standard output cannot be gone on with"), code))
            }
            Place::Folder(_) => Ok(Attempt::Lost((reason, code))),
        }
    }

    fn end_well(&mut self, caller: &Caller, now: Instant) -> io::Result<Attempt> {
        let (saved, verdict) = (self.account.saved().unwrap_or_default(), self.account.verdict());
        if saved.files > 0 || verdict.is_none() {
            let (missing, blake3) = (self.account.missing(), saved.blake3.map(hex::encode));
            let resumed = self.account.resumed;
            let wire = Some(WireNote::new(&self.stats, self.account.received));
            let is_single = saved.files == 1 && !self.is_many();
            self.report.note(&Note::Finished(Box::new(Finished {
                id: 0,
                peer: caller.peer(),
                name: self.plan.name.clone(),
                bytes: saved.bytes,
                seconds: now.saturating_duration_since(self.began).as_secs_f64(),
                sha256: self.account.sha256.filter(|_| is_single).map(hex::encode),
                mode: MODE_GET,
                verified: true,
                rtt_ms: self.stats.rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
                windowed: Some(WindowedNote {
                    files: saved.files,
                    missing,
                    blake3,
                    resumed,
                    there: saved.there,
                    wire,
                    path: None,
                    link: self.link(),
                }),
                ..Finished::default()
            })))?;
        }
        match verdict {
            None => Ok(Attempt::Over(exit::DONE)),
            Some(verdict) => self.fail(caller, verdict),
        }
    }

    /// How what was got came here.
    fn link(&self) -> Option<LinkNote> {
        let congestion = Choice::from(self.plan.wanted.pace).to_string();
        self.stats.cipher.map(|cipher| LinkNote { congestion, cipher: cipher.to_string() })
    }

    fn tell_progress(&mut self, now: Instant) -> io::Result<()> {
        if !self.is_connected || self.told_at.is_some_and(|last| now.saturating_duration_since(last) < TELL_EVERY) {
            return Ok(());
        }
        self.told_at = Some(now);
        let Stats { unanswered, rtt, .. } = self.stats;
        if let Some(note) = self.silence.look(unanswered, self.plan.timeout, now) {
            self.report.note(&Note::Uploading(note))?;
        }
        let Account { received, expected, resumed, there, .. } = self.account;
        // What earlier attempts have saved is among what is there, once that is known.
        let kept = resumed.saturating_add(there.max(self.saved_before));
        self.report.note(&Note::Progress(Progress {
            id: 0,
            bytes: received,
            size: expected.map_or(received, |expected| expected.saturating_sub(kept)),
            rtt_ms: rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
            is_open: expected.is_none(),
            silent_s: silence::seconds(unanswered, now),
            current: self.account.current.clone().filter(|_| self.is_many()),
            ..Progress::default()
        }))
    }

    fn fail_to_meet(&mut self, caller: &Caller, failure: &Failure) -> io::Result<Attempt> {
        let why = failure::why(&self.plan.target, self.plan.first_timeout, false, failure);
        if self.patience.is_tried() && is_away(failure) { Ok(Attempt::Lost(why)) } else { self.fail(caller, why) }
    }

    fn fail(&mut self, caller: &Caller, why: Why) -> io::Result<Attempt> {
        self.fail_with(caller.peer(), why).map(Attempt::Over)
    }

    fn fail_with(&mut self, peer: Option<SocketAddr>, (reason, code): Why) -> io::Result<u8> {
        let name = self.plan.name.clone();
        self.report.note(&Note::Failed { id: 0, peer, name, reason, exit_code: Some(code) })?;
        Ok(code)
    }
}

/// How long the server has to hear that all is done. It is for its log; everything is here.
const LAST_WORD: Duration = Duration::from_secs(3);
