//! The client: one file there, with progress and a plain word at the end.

use super::album::Album;
use super::{exit, remedy};
use crate::chunker::{Chunker, Cut, SourceError};
use crate::io::clock;
use crate::io::driver::{self, Application};
use crate::io::events::{self, Finished, Note, Progress, Report, Transfer as TransferNote};
use crate::io::signals::Interrupt;
use crate::io::source::Source;
use crate::io::udp::Wire;
use crate::name::Printable;
use crate::packet::Spelling;
use crate::session::Mode;
use crate::session::stop_and_wait::{Event, Invitation, Outcome, Sender, Transfer};
use crate::tap::Tap;
use crate::trace::{Side, Vantage};
use std::fs::File;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What to copy, where to, and how.
pub struct CopyPlan {
    /// `HOST:PORT` as the user wrote it.
    pub target: String,
    /// The file.
    pub source: Source,
    /// Its name there.
    pub remote: String,
    /// How to talk.
    pub mode: Mode,
    /// The spelling.
    pub spelling: Spelling,
    /// Give up after this long without an answer.
    pub timeout: Duration,
    /// Where the exchange's picture goes.
    pub album: Option<Album>,
}

/// Copies a file by stop-and-wait; gives the exit code, after everything worth telling was told to `report`. [`Mode::Any`] means
/// [`Mode::Auto`] here.
///
/// # Errors
/// When this machine fails: no socket, or nobody reads the report any more.
pub fn copy(
    plan: CopyPlan,
    report: &mut dyn Report,
    interrupt: impl FnOnce(&Wire) -> io::Result<Interrupt>,
) -> io::Result<u8> {
    let mode = if plan.mode == Mode::Any { Mode::Auto } else { plan.mode };
    match begin(CopyPlan { mode, ..plan }, &mut Wire::new(4)?, report, interrupt)? {
        Ended::Code(code) => Ok(code),
        Ended::Invited(_) => Ok(exit::UNEXPECTED),
    }
}

/// What a copy came to.
pub(super) enum Ended {
    /// This exit code.
    Code(u8),
    /// The server offers the windowed mode.
    Invited(Box<Guest>),
}

/// What a windowed transfer goes on with.
pub(super) struct Guest {
    pub(super) peers: Vec<SocketAddr>,
    pub(super) invitation: Invitation,
    pub(super) interrupt: Interrupt,
    pub(super) began: Instant,
}

/// Copies a file, or gets as far as an invitation, if the plan says [`Mode::Any`].
pub(super) fn begin(
    plan: CopyPlan,
    wire: &mut Wire,
    report: &mut dyn Report,
    interrupt: impl FnOnce(&Wire) -> io::Result<Interrupt>,
) -> io::Result<Ended> {
    let name = plan.target.clone();
    let mut fail = |reason: String, exit_code: u8| {
        let note = Note::Failed { id: 0, peer: None, name: name.clone(), reason, exit_code: Some(exit_code) };
        report.note(&note).map(|()| Ended::Code(exit_code))
    };
    let peers = match connect(&plan.target, wire) {
        Ok(peers) => peers,
        Err((reason, code)) => return fail(reason, code),
    };
    let now = clock::now();
    let transfer = Transfer {
        peers: peers.clone(),
        spelling: plan.spelling,
        mode: plan.mode,
        name: plan.remote.clone(),
        size: plan.source.size(),
        nonce: nonce()?,
        timeout: plan.timeout,
    };
    let sender = match Sender::new(transfer, now) {
        Ok(sender) => sender,
        Err(error) => return fail(format!("the name cannot be sent: {error}; choose a shorter one"), exit::USAGE),
    };
    let reader = match plan.source.reader() {
        Ok(reader) => reader,
        Err(error) => return fail(format!("cannot read {}: {error}", plan.source.name().display()), exit::LOCAL_FILE),
    };
    let interrupt = interrupt(wire)?;
    report.note(&Note::Waiting { target: plan.target.clone() })?;
    let chunker = Chunker::new(reader, plan.source.size());
    let own = wire.local_address(0)?.to_string();
    let recordings = plan.album.as_ref().map(|album| album.recordings(Vantage::Client, own));
    let mut sender = Tap::new(sender, Side::Client, recordings);
    let mut copy = Copy { plan, chunker, report, interrupt, began: now, told_at: None, link: None, stopped: None };
    let reached = driver::run(wire, &mut sender, &mut copy)?;
    if let Some(recordings) = &mut sender.recordings {
        recordings.retire_all();
    }
    copy.collect(&mut sender)?;
    Ok(match reached {
        Reached::Code(code) => Ended::Code(code),
        Reached::Invited(invitation) => {
            Ended::Invited(Box::new(Guest { peers, invitation, interrupt: copy.interrupt, began: now }))
        }
    })
}

/// Whether `HOST:PORT` can name a server at all.
///
/// # Errors
/// A sentence about what it should look like.
pub fn check_target(target: &str) -> Result<(), String> {
    let has_port = target
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
    let is_bare_v6 = target.parse::<std::net::Ipv6Addr>().is_ok();
    if !has_port || is_bare_v6 {
        return Err(format!("{target:?} names no server; write HOST:PORT, as in lab.example:12300 or [::1]:12300"));
    }
    Ok(())
}

/// A socket for each address of a server; a reason and an exit code if there is none.
pub(super) fn connect(target: &str, wire: &mut Wire) -> Result<Vec<SocketAddr>, (String, u8)> {
    let mut peers = Vec::new();
    let mut refused = None;
    for address in resolve(target)? {
        match wire.connect(address) {
            Ok(_) => peers.push(address),
            Err(error) => refused = Some(format!("no way to {address}: {error}")),
        }
    }
    if peers.is_empty() {
        return Err((refused.unwrap_or_else(|| format!("{target} has no address")), exit::NO_ANSWER));
    }
    Ok(peers)
}

/// All addresses of `HOST:PORT`, in the resolver's order; a reason and an exit code otherwise.
fn resolve(target: &str) -> Result<Vec<SocketAddr>, (String, u8)> {
    check_target(target).map_err(|reason| (reason, exit::USAGE))?;
    match target.to_socket_addrs() {
        Ok(addresses) => Ok(addresses.take(ADDRESSES_MAX).collect()),
        Err(error) => Err((format!("cannot find {target}: {error}; is the name right?"), exit::NO_ANSWER)),
    }
}

fn nonce() -> io::Result<u32> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(u32::from_le_bytes(bytes))
}

/// How the loop ended.
enum Reached {
    Code(u8),
    Invited(Invitation),
}

struct Copy<'a> {
    plan: CopyPlan,
    chunker: Chunker<File>,
    report: &'a mut dyn Report,
    interrupt: Interrupt,
    began: Instant,
    told_at: Option<Instant>,
    /// The server's address and whether the end will be verified, once it answered.
    link: Option<(SocketAddr, bool)>,
    /// Why we stopped ourselves, and the exit code for it.
    stopped: Option<(String, u8)>,
}

impl Application<Tap<Sender>> for Copy<'_> {
    type Outcome = Reached;

    fn turn(
        &mut self,
        tap: &mut Tap<Sender>,
        _wire: &mut Wire,
        now: Instant,
    ) -> io::Result<ControlFlow<Reached, bool>> {
        self.collect(tap)?;
        let sender = &mut tap.machine;
        if let (Some(code), None) = (self.interrupt.exit_code(), &self.stopped) {
            self.stop(sender, "interrupted".into(), "interrupted", code);
        }
        let Some(event) = sender.poll_event() else { return Ok(ControlFlow::Continue(false)) };
        match event {
            Event::Connected { peer, checked, .. } => self.on_connected(peer, checked)?,
            Event::Invited(invitation) => return Ok(ControlFlow::Break(Reached::Invited(invitation))),
            Event::WantsChunk { max, cut } => match self.chunker.next_chunk(max, cut) {
                Err(error) => self.stop_for_source(sender, &error),
                Ok(_) if self.chunker.is_at_end() && !self.is_unchanged() => self.stop_for_change(sender),
                Ok(chunk) => sender.handle_chunk(chunk, now),
            },
            Event::WantsDigest => match self.chunker.next_chunk(0, Cut::Anywhere) {
                Err(error) => self.stop_for_source(sender, &error),
                Ok(_) if !self.is_unchanged() => self.stop_for_change(sender),
                Ok(_) => sender.handle_digest(self.chunker.digest(), now),
            },
            Event::Progress { .. } => self.tell_progress(sender, now)?,
            Event::Over(outcome) => {
                let code = self.on_over(sender, outcome, now)?;
                if let (Some(recordings), Some((peer, _))) = (&mut tap.recordings, self.link) {
                    let text = if code == exit::DONE { "delivered" } else { "given up" };
                    recordings.note(peer, Side::Client, text, now);
                }
                return Ok(ControlFlow::Break(Reached::Code(code)));
            }
        }
        Ok(ControlFlow::Continue(true))
    }
}

impl Copy<'_> {
    /// Writes down and draws what was recorded.
    fn collect(&mut self, tap: &mut Tap<Sender>) -> io::Result<()> {
        match (&mut self.plan.album, &mut tap.recordings) {
            (Some(album), Some(recordings)) => album.collect(recordings, self.report),
            _ => Ok(()),
        }
    }

    fn is_unchanged(&self) -> bool {
        // A file that cannot be asked any more is not the file it was.
        self.plan.source.is_unchanged().unwrap_or(false)
    }

    fn stop_for_change(&mut self, sender: &mut Sender) {
        let reason = format!("{} changed while it was read", self.plan.source.name().display());
        self.stop(sender, reason, SOURCE_CHANGED, exit::LOCAL_FILE);
    }

    fn stop_for_source(&mut self, sender: &mut Sender, error: &SourceError) {
        let reason = format!("{}: {error}", self.plan.source.name().display());
        let word = match error {
            SourceError::Read(_) => "its file cannot be read",
            SourceError::Shrunk { .. } | SourceError::Grown { .. } => SOURCE_CHANGED,
        };
        self.stop(sender, reason, word, exit::LOCAL_FILE);
    }

    /// `reason` is for here, `word` for the server.
    fn stop(&mut self, sender: &mut Sender, reason: String, word: &str, code: u8) {
        self.stopped.get_or_insert((reason, code));
        sender.handle_abort(word);
    }

    fn on_connected(&mut self, peer: SocketAddr, checked: bool) -> io::Result<()> {
        self.link = Some((peer, checked));
        if !checked && matches!(self.plan.mode, Mode::Any | Mode::Auto) && self.plan.spelling == Spelling::Spaced {
            self.report.note(&Note::Remark { text: "plain lab server: not encrypted, not verified".into() })?;
        }
        self.report.note(&Note::Started(TransferNote {
            id: 0,
            peer,
            name: self.plan.remote.clone(),
            size: self.plan.source.size(),
            spelling: self.plan.spelling.word(),
            mode: mode_word(checked),
        }))
    }

    fn tell_progress(&mut self, sender: &Sender, now: Instant) -> io::Result<()> {
        if self.told_at.is_some_and(|last| now.saturating_duration_since(last) < TELL_EVERY) {
            return Ok(());
        }
        self.told_at = Some(now);
        let stats = sender.stats();
        self.report.note(&Note::Progress(Progress {
            id: 0,
            bytes: stats.acknowledged,
            size: self.plan.source.size(),
            retransmissions: stats.retransmissions,
            rtt_ms: stats.rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
            ..Progress::default()
        }))
    }

    fn on_over(&mut self, sender: &Sender, outcome: Outcome, now: Instant) -> io::Result<u8> {
        if outcome == Outcome::Delivered {
            self.tell_delivered(sender, now)?;
            return Ok(exit::DONE);
        }
        let (reason, code) = match (self.stopped.take(), &outcome) {
            (Some(stopped), Outcome::Stopped) => stopped,
            _ => (self.failure(&outcome), exit::of_outcome(&outcome)),
        };
        let peer = self.link.map(|(peer, _)| peer);
        self.report.note(&Note::Failed {
            id: 0,
            peer,
            name: self.plan.remote.clone(),
            reason,
            exit_code: Some(code),
        })?;
        Ok(code)
    }

    fn tell_delivered(&mut self, sender: &Sender, now: Instant) -> io::Result<()> {
        let stats = sender.stats();
        let verified = self.link.is_some_and(|(_, checked)| checked);
        self.report.note(&Note::Finished(Box::new(Finished {
            id: 0,
            peer: self.link.map(|(peer, _)| peer),
            name: self.plan.remote.clone(),
            bytes: stats.acknowledged,
            seconds: now.saturating_duration_since(self.began).as_secs_f64(),
            sha256: Some(hex::encode(self.chunker.digest())),
            mode: mode_word(verified),
            verified,
            retransmissions: stats.retransmissions,
            duplicates: stats.ignored,
            rtt_ms: stats.rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
            chunk: Some(stats.chunk),
            bound: stats.rtt.map(|rtt| events::per_second(stats.chunk as u64, rtt.as_secs_f64())),
            ..Finished::default()
        })))
    }

    /// The thing, the reason and the remedy.
    fn failure(&self, outcome: &Outcome) -> String {
        let target = &self.plan.target;
        let seconds = self.plan.timeout.as_secs_f64();
        match outcome {
            Outcome::NoAnswer { unreachable: true } => remedy::closed(target),
            Outcome::NoAnswer { unreachable: false } if self.link.is_none() => {
                let other = match self.plan.spelling {
                    Spelling::Spaced => "compact",
                    Spelling::Compact => "spaced",
                };
                let or = format!("Does it speak this spelling (--spelling {other} is the other one)?");
                remedy::silent(target, seconds, &or)
            }
            Outcome::NoAnswer { .. } => {
                format!(
                    "{target} fell silent: no answer for {seconds} s (--timeout waits longer); nothing was saved there"
                )
            }
            Outcome::Refused(reason) => format!("refused by the server: {}", Printable(reason)),
            Outcome::PlainServer => {
                format!("{target} is a plain lab server, or offers no verification; --mode lab copies without it")
            }
            Outcome::VerificationFailed(reason) => format!(
                "not verified, and nothing was saved there: {}; sent with sha256 {}; send it again",
                Printable(reason),
                hex::encode(self.chunker.digest())
            ),
            Outcome::NotConfirmed => format!(
                "everything was sent, but the end was not confirmed within {seconds} s: the file may be complete there; look, or send it again"
            ),
            Outcome::Stopped | Outcome::Delivered => "stopped".into(),
        }
    }
}

fn mode_word(checked: bool) -> &'static str {
    if checked { "checked" } else { "lab" }
}

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(100);

const SOURCE_CHANGED: &str = "its file changed while it was read";
