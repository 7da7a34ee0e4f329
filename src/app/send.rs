//! The client in the windowed mode: files and trees there, with progress and a plain word at the end.

mod balance;
pub(super) mod failure;
mod looks;
mod memory;
mod outset;
mod pace;
mod rehearsal;
pub(super) mod silence;

pub(super) use outset::{BATCH, Identity, accept, random};
pub use outset::{Extent, SendPlan, send};
pub use rehearsal::rehearse;

use super::exit;
use crate::chunker::answers::{Answer, AnswerReader};
use crate::chunker::digests::FileDigest;
use crate::io::driver::Application;
use crate::io::events::windowed::{UploadNote, WindowedNote};
use crate::io::events::{Finished, Note, Progress, Report, Transfer};
use crate::io::identity::{KnownHosts, Met};
use crate::io::signals::Interrupt;
use crate::io::sources::{Feed, Found, News};
use crate::io::throttle::Throttle;
use crate::io::udp::Wire;
use crate::name::Printable;
use crate::session::handshake::{Failure, PublicKey};
use crate::session::windowed::caller::Caller;
use crate::session::windowed::connection::{End, NO_ERROR, PROTOCOL_VIOLATION};
use crate::session::windowed::upload::{Event, Stats};
use balance::Balance;
use looks::{Looks, loss};
use memory::PathMemory;
use silence::Silence;
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What the client does with the events of its machine.
struct Sending<'a> {
    plan: SendPlan,
    /// What the transfer is called when it is told of.
    name: String,
    report: &'a mut dyn Report,
    interrupt: Interrupt,
    known_hosts: KnownHosts,
    memory: PathMemory,
    began: Instant,
    /// A start's acknowledgement offered the windowed mode: texts do get through.
    is_invited: bool,
    told_at: Option<Instant>,
    throttle: Throttle,
    silence: Silence,
    looks: Looks,
    balance: Balance,
    answers: AnswerReader,
    is_connected: bool,
    /// Nobody listens there, as the kernel says.
    is_closed: bool,
    is_done: bool,
    /// As it was last seen: after the end nothing is known any more.
    stats: Stats,
    /// Why we stopped ourselves, and the exit code for it.
    stopped: Option<(String, u8)>,
}

impl Application<Caller<Feed>> for Sending<'_> {
    type Outcome = u8;

    fn turn(&mut self, caller: &mut Caller<Feed>, wire: &mut Wire, now: Instant) -> io::Result<ControlFlow<u8, bool>> {
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
            if self.is_closed && now >= self.began + CLOSED_AFTER {
                let failure = Failure::NoAnswer { forged: 0, unreachable: true };
                return self.fail(caller, self.failure(&failure)).map(ControlFlow::Break);
            }
            self.tell_progress(caller, now)?;
            return Ok(ControlFlow::Continue(false));
        };
        match event {
            Event::Met { server, .. } => self.on_met(caller, &server, now)?,
            Event::Answer(bytes) => self.on_answer(caller, &bytes)?,
            Event::Done => self.is_done = true,
            Event::Failed(failure) => return self.fail(caller, self.failure(&failure)).map(ControlFlow::Break),
            Event::Over(end) => return self.on_over(caller, end, now).map(ControlFlow::Break),
        }
        Ok(ControlFlow::Continue(true))
    }

    fn wakes_at(&self) -> Option<Instant> {
        match (self.is_connected, self.told_at) {
            (true, told_at) => told_at.map(|at| at + TELL_EVERY),
            (false, _) => self.is_closed.then(|| self.began + CLOSED_AFTER),
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

    fn finish_qlog(&mut self, caller: &mut Caller<Feed>) -> io::Result<()> {
        self.collect_qlog(caller);
        self.plan.qlog.take().map_or(Ok(()), |qlog| qlog.finish(self.report))
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
        {
            let name = caller.upload().source().describe(entry).name;
            self.report.note(&Note::Uploading(UploadNote::Digest { name, sha256: hex::encode(sha256) }))?;
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
        let (host, port) = self.plan.target.rsplit_once(':').unwrap_or_default();
        let fingerprint = server.fingerprint();
        match self.known_hosts.meet(host, port.parse().unwrap_or_default(), fingerprint) {
            Err(error) => {
                if error.is_change() {
                    self.report.key_changed();
                }
                self.stop(caller, error.to_string(), "the client does not know this key", exit::REFUSED);
            }
            Ok(met) => {
                if met == Met::FirstTime {
                    let target = Printable(&self.plan.target).to_string();
                    let text = format!("{target} is met for the first time; its key is remembered: {fingerprint}");
                    self.report.note(&Note::Remark { text })?;
                }
                let is_first = !std::mem::replace(&mut self.is_connected, true);
                let remembered = self.memory.recall(caller.peer());
                caller.upload().remember(remembered);
                caller.upload().welcome(now);
                if let Some(peer) = caller.peer().filter(|_| is_first) {
                    let (name, size) = (self.name.clone(), self.balance.bytes());
                    let note = Transfer { id: 0, peer, name, size, spelling: "binary", mode: "windowed" };
                    self.report.note(&Note::Started(note))?;
                }
            }
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

    fn on_over(&mut self, caller: &mut Caller<Feed>, end: End, now: Instant) -> io::Result<u8> {
        self.memory.keep();
        if !self.is_done || self.stopped.is_some() {
            let reason = self.stopped.take().unwrap_or_else(|| self.end(caller, &end));
            return self.fail(caller, reason);
        }
        if let Some(spoiled) = caller.upload().source().spoiled() {
            let spoiled = spoiled.to_owned();
            self.balance.on_spoiled(spoiled);
        }
        let (tally, verdict) = (self.balance.tally(), self.balance.verdict());
        if tally.placed > 0 || verdict.is_none() {
            self.tell_finished(caller, now)?;
        }
        match verdict {
            None => {
                caller.upload().source().forget();
                Ok(exit::DONE)
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
            blake3: digests.map(|(blake3, _)| hex::encode(blake3)),
            path: Some(path),
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

    fn fail(&mut self, caller: &Caller<Feed>, (reason, code): (String, u8)) -> io::Result<u8> {
        let (name, peer) = (self.name.clone(), caller.peer());
        self.report.note(&Note::Failed { id: 0, peer, name, reason, exit_code: Some(code) })?;
        Ok(code)
    }

    /// Why there was no handshake.
    fn failure(&self, failure: &Failure) -> (String, u8) {
        failure::why(&self.plan.target, self.plan.first_timeout, self.is_invited, failure)
    }

    /// Why the connection ended before all was done.
    fn end(&self, caller: &mut Caller<Feed>, end: &End) -> (String, u8) {
        let (target, seconds) = (Printable(&self.plan.target), self.plan.timeout.as_secs_f64());
        let Stats { acknowledged, void, .. } = self.stats;
        let is_sent = caller.upload().source().is_complete() && acknowledged + void >= self.balance.available();
        match end {
            End::Silent | End::Forgotten if is_sent => {
                let text = format!(
                    "everything was sent, but the end was not confirmed within {seconds} s: the files may be complete there; look, or send them again"
                );
                (text, exit::NOT_CONFIRMED)
            }
            End::Silent => {
                let text = format!(
                    "{target} fell silent: no answer for {seconds} s (--timeout waits longer); files that were not complete are not saved there"
                );
                (text, exit::NO_ANSWER)
            }
            End::Forgotten => {
                let text = format!(
                    "{target} knows nothing of this transfer any more; was the server started anew? Send it again"
                );
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

/// The client does not go on, for the reason that it says.
const STOPPED: u64 = 0x110;
