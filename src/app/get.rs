//! The client the other way round: files and trees from a server that gives them, or one file to standard output.

mod account;
mod outset;
mod place;
mod rest;

pub use outset::{GetPlan, get};
pub use place::{Place, place};

use super::exit;
use super::send::failure;
use super::send::silence::{self, Silence};
use crate::chunker::answers::{Answer, AnswerReader};
use crate::io::driver::Application;
use crate::io::events::windowed::{UploadNote, WindowedNote};
use crate::io::events::{Finished, MODE_GET, Note, Progress, Report, Transfer};
use crate::io::identity::{KnownHosts, Met};
use crate::io::signals::Interrupt;
use crate::io::trees::{self, Order};
use crate::io::udp::Wire;
use crate::name::Printable;
use crate::packet::windowed::frame::Space;
use crate::session::handshake::{Failure, PublicKey};
use crate::session::windowed::caller::Dialer;
use crate::session::windowed::connection::{End, NO_ERROR, PROTOCOL_VIOLATION};
use crate::session::windowed::download::{Download, Event};
use crate::session::windowed::reception;
use crate::session::windowed::upload::Stats;
use account::{Account, Saved};
use rest::Rest;
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What the client does with the events of its machine.
struct Getting<'a> {
    plan: GetPlan,
    report: &'a mut dyn Report,
    interrupt: Interrupt,
    known_hosts: KnownHosts,
    began: Instant,
    told_at: Option<Instant>,
    silence: Silence,
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
    stopped: Option<(String, u8)>,
}

type Caller = Dialer<Download>;

impl Application<Caller> for Getting<'_> {
    type Outcome = u8;

    fn turn(&mut self, caller: &mut Caller, wire: &mut Wire, now: Instant) -> io::Result<ControlFlow<u8, bool>> {
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
            if self.is_closed && now >= self.began + CLOSED_AFTER {
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
            (false, _) => self.is_closed.then(|| self.began + CLOSED_AFTER),
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

    /// However it ended: temporary files go, and what is left of the log is written.
    fn finish(&mut self, caller: &mut Caller) -> io::Result<()> {
        self.rest.take().into_iter().for_each(Rest::finish);
        self.collect_qlog(caller);
        self.plan.qlog.take().map_or(Ok(()), |qlog| qlog.finish(self.report))
    }

    fn order(&mut self, order: Order) {
        if let Some(rest) = &self.rest {
            rest.order(order);
        }
    }

    /// The server has shown its key: it is remembered, compared, or the end.
    fn on_met(&mut self, caller: &mut Caller, wire: &Wire, server: &PublicKey, now: Instant) -> io::Result<()> {
        let (host, port) = self.plan.target.rsplit_once(':').unwrap_or_default();
        let fingerprint = server.fingerprint();
        match self.known_hosts.meet(host, port.parse().unwrap_or_default(), fingerprint) {
            Err(error) => {
                if error.is_change() {
                    self.report.key_changed();
                }
                self.stop(caller, error.to_string(), "the client does not know this key", exit::REFUSED);
                return Ok(());
            }
            Ok(Met::FirstTime) => {
                let target = Printable(&self.plan.target).to_string();
                let text = format!("{target} is met for the first time; its key is remembered: {fingerprint}");
                self.report.note(&Note::Remark { text })?;
            }
            Ok(_) => {}
        }
        match Rest::open(&self.plan, wire)? {
            Ok(rest) => self.rest = Some(rest),
            Err(reason) => {
                self.stop(caller, reason, "the client has no place for it", exit::LOCAL_FILE);
                return Ok(());
            }
        }
        let is_first = !std::mem::replace(&mut self.is_connected, true);
        caller.errand().welcome(now);
        if let Some(peer) = caller.peer().filter(|_| is_first) {
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
                Ok(Some(Answer::Held(_) | Answer::Looked(_))) => {}
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
            Answer::Passed(end) => errand.with(|reception| reception.handle_passed(end)),
            Answer::End(end) => errand.with(|reception| reception.handle_end(end)),
            Answer::Say(bytes) => errand.with(|reception| reception.handle_answer(&bytes)),
            Answer::Written(bytes) => {
                self.account.received = self.account.received.saturating_add(bytes.len() as u64);
                errand.with(|reception| reception.handle_written(bytes));
            }
            Answer::Begins(contents) => self.account.expected = contents.bytes,
            Answer::Placed { path, sha256, .. } => {
                self.account.sha256 = sha256;
                if let Some(sha256) = sha256.filter(|_| self.is_many()) {
                    let sha256 = hex::encode(sha256);
                    self.report.note(&Note::Uploading(UploadNote::Digest { name: path, sha256 }))?;
                }
            }
            Answer::Objection { reason, kind, .. } => {
                self.account.on_objection(&reason, kind);
                self.complain(reason)?;
            }
            Answer::Done { tally, bytes, blake3, .. } => {
                self.account.on_saved(tally, Saved { files: tally.placed, bytes, blake3 });
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

    fn on_over(&mut self, caller: &Caller, end: &End, now: Instant) -> io::Result<u8> {
        match self.stopped.take() {
            None if self.is_said => self.end_well(caller, now),
            None => self.fail(caller, self.end(end)),
            Some(stopped) => self.fail(caller, stopped),
        }
    }

    fn end_well(&mut self, caller: &Caller, now: Instant) -> io::Result<u8> {
        let (saved, verdict) = (self.account.saved().unwrap_or_default(), self.account.verdict());
        if saved.files > 0 || verdict.is_none() {
            let (missing, blake3) = (self.account.missing(), saved.blake3.map(hex::encode));
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
                windowed: Some(WindowedNote { files: saved.files, missing, blake3, resumed: 0, path: None }),
                ..Finished::default()
            })))?;
        }
        match verdict {
            None => Ok(exit::DONE),
            Some(verdict) => self.fail(caller, verdict),
        }
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
        let Account { received, expected, .. } = self.account;
        self.report.note(&Note::Progress(Progress {
            id: 0,
            bytes: received,
            size: expected.unwrap_or(received),
            rtt_ms: rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
            is_open: expected.is_none(),
            silent_s: silence::seconds(unanswered, now),
            ..Progress::default()
        }))
    }

    fn fail_to_meet(&mut self, caller: &Caller, failure: &Failure) -> io::Result<u8> {
        self.fail(caller, failure::why(&self.plan.target, self.plan.first_timeout, false, failure))
    }

    fn fail(&mut self, caller: &Caller, (reason, code): (String, u8)) -> io::Result<u8> {
        let (name, peer) = (self.plan.name.clone(), caller.peer());
        self.report.note(&Note::Failed { id: 0, peer, name, reason, exit_code: Some(code) })?;
        Ok(code)
    }

    /// Why the connection ended before all was done.
    fn end(&self, end: &End) -> (String, u8) {
        let (target, seconds) = (Printable(&self.plan.target), self.plan.timeout.as_secs_f64());
        match end {
            End::Silent => {
                let text = format!(
                    "{target} fell silent: no answer for {seconds} s (--timeout waits longer); files that were not complete are not saved"
                );
                (text, exit::NO_ANSWER)
            }
            End::Forgotten => {
                let text =
                    format!("{target} knows nothing of this any more; was the server started anew? Get it again");
                (text, exit::NO_ANSWER)
            }
            End::ClosedByPeer { code: NO_ERROR, .. } | End::Closed => ("stopped".into(), exit::UNEXPECTED),
            End::ClosedByPeer { reason, .. } => {
                (format!("refused by the server: {}", Printable(reason)), exit::REFUSED)
            }
            End::Broken(reason) => (format!("the connection broke: {}", Printable(reason)), exit::UNEXPECTED),
        }
    }
}

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// A server that is just being started gets so long to open its port.
const CLOSED_AFTER: Duration = Duration::from_millis(1500);

/// How long the server has to hear that all is done. It is for its log; everything is here.
const LAST_WORD: Duration = Duration::from_secs(3);

/// The client does not go on, for the reason that it says.
const STOPPED: u64 = 0x110;
