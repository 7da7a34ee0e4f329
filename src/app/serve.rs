//! The server, honest or behind bad weather: events to files, people and programs.

mod giving;
mod opening;
mod throttle;
mod windowed;

pub(crate) use opening::open_harbour;

use super::album::Album;
use super::exit;
use crate::endpoint::{Event, SessionId};
use crate::hostile::Serving;
use crate::io::clock;
use crate::io::driver::{self, Application};
use crate::io::events::{AccountNote, Finished, Note, Progress, Report, Transfer};
use crate::io::limits::raise_descriptor_limit;
use crate::io::qlog::QlogWriter;
use crate::io::signals::Interrupt;
use crate::io::store::Policy;
use crate::io::udp::Wire;
use crate::io::workers::Workers;
use crate::trace::Side;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use throttle::Throttle;
use windowed::Unloading;

/// Where a server saves, and when it ends.
pub struct ServePlan {
    /// The folder beneath which everything stays.
    pub root: PathBuf,
    /// What may come.
    pub policy: Policy,
    /// End after so many completed transfers.
    pub exit_after: Option<u64>,
    /// The SHA-256 that every file should have, for a verdict on clients.
    pub expected: Option<[u8; 32]>,
    /// The misbehaviour's name, for the accounts.
    pub misbehaviour: Option<String>,
    /// Where pictures go of what the machine records.
    pub album: Option<Album>,
    /// Where what happens in windowed transfers is written down.
    pub qlog: Option<QlogWriter>,
    /// So many clients may get files at once; with 0 the folder's owner gives none.
    pub gets: usize,
}

/// Serves on the wire's socket 0 until the plan, a signal or a misbehaviour ends it; gives the exit code.
///
/// # Errors
/// When this machine fails: the folder, a thread, the socket; or when nobody reads the report any more.
pub fn serve<M: Serving>(
    wire: &mut Wire,
    machine: &mut M,
    mut plan: ServePlan,
    report: &mut dyn Report,
    interrupt: Interrupt,
) -> io::Result<u8> {
    raise_descriptor_limit();
    let root = plan.root.display();
    let cannot = |error| io::Error::other(format!("cannot save beneath {root}: {error}; --root names another folder"));
    let workers = Workers::start(&plan.root, plan.policy, &wire.waker()).map_err(cannot)?;
    let unloading = match machine.harbour() {
        Some(harbour) => Some(Unloading::start(workers.store(), wire, harbour, (plan.qlog.take(), plan.gets))?),
        None => None,
    };
    let address = wire.local_address(0)?;
    let gives = if unloading.is_some() && plan.gets > 0 { ", and given to who wants them" } else { "" };
    let purpose = format!("files are saved beneath {}{gives}", plan.root.display());
    report.note(&Note::Listening { address, purpose })?;
    if let Some(text) = wire.buffer_hint().filter(|_| unloading.is_some()) {
        report.note(&Note::Remark { text })?;
    }
    let mut server = Server {
        plan,
        workers,
        unloading,
        report,
        interrupt,
        transfers: BTreeMap::new(),
        refusals: Throttle::default(),
        accounts: Vec::new(),
        ended: 0,
        all_exact: true,
        linger: None,
        stopping: None,
    };
    let ended = driver::run(wire, machine, &mut server);
    if ended.is_err() {
        // Nobody can be told any more; temporary files go all the same.
        server.workers.finish();
        server.unloading.iter_mut().for_each(Unloading::finish);
    }
    let code = ended?;
    // Whoever is still under way is told, and orders that are under way (names, removing temporary files) are carried out.
    let now = clock::now();
    shut_down(machine, now);
    server.drain(machine, now)?;
    server.workers.finish();
    server.unloading.iter_mut().for_each(Unloading::finish);
    server.drain(machine, now)?;
    server.tell_accounts(machine, None)?;
    if let Some(recordings) = machine.recordings() {
        recordings.retire_all();
    }
    server.collect(machine)?;
    while let Some(transmit) = machine.poll_transmit(now) {
        wire.send(transmit);
    }
    if let (Some(unloading), Some(harbour)) = (server.unloading, machine.harbour()) {
        unloading.finish_qlog(harbour, server.report)?;
    }
    Ok(code)
}

fn shut_down<M: Serving>(machine: &mut M, now: Instant) {
    machine.endpoint().handle_shutdown(now);
    if let Some(harbour) = machine.harbour() {
        harbour.handle_shutdown("the server ends", now);
    }
}

struct Server<'a> {
    plan: ServePlan,
    workers: Workers,
    /// Windowed transfers, if the machine takes them.
    unloading: Option<Unloading>,
    report: &'a mut dyn Report,
    interrupt: Interrupt,
    transfers: BTreeMap<SessionId, Known>,
    refusals: Throttle,
    accounts: Vec<Owed>,
    /// Completed transfers; with a file to compare with also those that came to nothing.
    ended: u64,
    all_exact: bool,
    /// The last transfer is through; for a while its last message is answered again.
    linger: Option<Linger>,
    /// The exit code that was asked for, and when patience with the disk ends.
    stopping: Option<(u8, Instant)>,
}

/// An account that is still to be told.
struct Owed {
    id: SessionId,
    peer: SocketAddr,
    exact: Option<bool>,
    due: Instant,
}

/// How long after the end of a transfer a repeat of its last message may come.
fn pace(longest_gap: Duration) -> Duration {
    (longest_gap * LINGER_GAPS).clamp(LINGER_MIN, LINGER_MAX)
}

/// How long the end waits: the last acknowledgement may have been lost.
struct Linger {
    until: Instant,
    /// How long after a repeat another one may come.
    pace: Duration,
    latest: Instant,
}

/// What is told of a transfer at its end.
struct Known {
    peer: SocketAddr,
    name: String,
    size: u64,
    checked: bool,
    told_at: Option<Instant>,
}

impl<M: Serving> Application<M> for Server<'_> {
    type Outcome = u8;

    fn turn(&mut self, machine: &mut M, wire: &mut Wire, now: Instant) -> io::Result<ControlFlow<u8, bool>> {
        if let Some(text) = wire.poll_note() {
            self.report.note(&Note::Remark { text })?;
        }
        if let (Some(code), None) = (self.interrupt.exit_code(), self.stopping) {
            self.stopping = Some((code, now + PATIENCE));
            shut_down(machine, now);
        }
        if self.drain(machine, now)? {
            return Ok(ControlFlow::Continue(true));
        }
        self.tell_accounts(machine, Some(now))?;
        self.collect(machine)?;
        if machine.has_died() {
            self.report.note(&Note::Remark { text: "died midway, as asked".into() })?;
            return Ok(ControlFlow::Break(self.verdict()));
        }
        if let Some((code, until)) = self.stopping
            && (now >= until || !machine.endpoint().is_publishing())
        {
            return Ok(ControlFlow::Break(code));
        }
        if self.lingered(machine, now) {
            return Ok(ControlFlow::Break(self.verdict()));
        }
        Ok(ControlFlow::Continue(false))
    }

    fn wakes_at(&self) -> Option<Instant> {
        let linger = self.linger.as_ref().map(|linger| linger.until);
        let account = self.accounts.iter().map(|owed| owed.due).min();
        [linger, account, self.stopping.map(|(_, until)| until)].into_iter().flatten().min()
    }
}

impl Server<'_> {
    /// Takes the disk's answers and the machine's events until there are none; says whether there were any.
    fn drain<M: Serving>(&mut self, machine: &mut M, now: Instant) -> io::Result<bool> {
        let mut any = self.workers.deliver(machine.endpoint(), now);
        while let Some(event) = machine.poll_event(now) {
            any = true;
            self.annotate(machine, &event, now);
            self.on_event(event, now)?;
        }
        if let (Some(unloading), Some(harbour)) = (&mut self.unloading, machine.harbour()) {
            any |= unloading.drain(harbour, self.report, now)?;
            for _ in 0..unloading.take_ended() {
                self.count_end(Duration::ZERO, now);
            }
        }
        if self.linger.is_some() {
            machine.endpoint().close();
        }
        Ok(any)
    }

    /// Whether the last transfers' ends have had the time to be confirmed. Every repeat that is still heard starts it anew.
    fn lingered<M: Serving>(&mut self, machine: &mut M, now: Instant) -> bool {
        let Some(linger) = self.linger.as_mut() else { return false };
        if let Some(repeat) = machine.endpoint().last_repeat() {
            linger.until = linger.until.max(repeat + linger.pace).min(linger.latest);
        }
        let is_underway = machine.is_underway() || machine.harbour().is_some_and(|harbour| harbour.is_unheard());
        if is_underway && linger.until <= now {
            linger.until = (now + TELL_EVERY).min(linger.latest);
        }
        now >= linger.until
    }

    fn on_event(&mut self, event: Event, now: Instant) -> io::Result<()> {
        match event {
            Event::Order(id, order) => self.workers.order(id, order),
            Event::Started { id, peer, name, size, spelling, checked } => {
                let name = name.to_string();
                let mode = if checked { "checked" } else { "lab" };
                let note = Transfer { id: id.0, peer, name: name.clone(), size, spelling: spelling.word(), mode };
                self.transfers.insert(id, Known { peer, name, size, checked, told_at: None });
                self.report.note(&Note::Started(note))?;
            }
            Event::Progress { id, received, duplicates } => {
                if let Some(known) = self.transfers.get_mut(&id)
                    && known.told_at.is_none_or(|last| now.saturating_duration_since(last) >= TELL_EVERY)
                {
                    known.told_at = Some(now);
                    let (size, retransmissions) = (known.size, duplicates);
                    let progress = Progress { id: id.0, bytes: received, size, retransmissions, ..Progress::default() };
                    self.report.note(&Note::Progress(progress))?;
                }
            }
            Event::Finished { id, bytes, sha256, replaced, took, counts } => {
                let Some(known) = self.transfers.remove(&id) else { return Ok(()) };
                self.report.note(&Note::Finished(Box::new(Finished {
                    id: id.0,
                    peer: Some(known.peer),
                    name: known.name.clone(),
                    bytes,
                    seconds: took.as_secs_f64(),
                    sha256: Some(hex::encode(sha256)),
                    mode: if known.checked { "checked" } else { "lab" },
                    verified: known.checked,
                    retransmissions: counts.answered_again,
                    duplicates: counts.duplicates,
                    replaced,
                    ..Finished::default()
                })))?;
                let exact = self.plan.expected.map(|expected| expected == sha256);
                self.all_exact &= exact.unwrap_or(true);
                self.count_end(counts.longest_gap, now);
                self.owe_account(id, known.peer, exact, counts.longest_gap, now);
            }
            Event::Failed { id, reason, counts } => {
                let Some(known) = self.transfers.remove(&id) else { return Ok(()) };
                let peer = Some(known.peer);
                self.report.note(&Note::Failed { id: id.0, peer, name: known.name, reason, exit_code: None })?;
                let exact = self.plan.expected.map(|_| false);
                self.all_exact &= exact.unwrap_or(true);
                self.owe_account(id, known.peer, exact, counts.longest_gap, now);
                if self.plan.expected.is_some() {
                    self.count_end(counts.longest_gap, now);
                }
            }
            Event::Refused { peer, name, reason } => {
                if self.plan.expected.is_some() {
                    self.all_exact = false;
                    self.count_end(Duration::ZERO, now);
                }
                if let Some(untold) = self.refusals.admit(now) {
                    if untold > 0 {
                        self.report.note(&Note::Remark { text: format!("{untold} more starts were refused") })?;
                    }
                    self.report.note(&Note::Refused { peer, name, reason })?;
                }
            }
        }
        Ok(())
    }

    /// What was done to a peer is complete only when its last answer was: told after the time that a repeat may take.
    fn owe_account(&mut self, id: SessionId, peer: SocketAddr, exact: Option<bool>, gap: Duration, now: Instant) {
        self.accounts.push(Owed { id, peer, exact, due: now + pace(gap) });
    }

    /// Tells the accounts that are due; all of them at the end.
    fn tell_accounts<M: Serving>(&mut self, machine: &mut M, until: Option<Instant>) -> io::Result<()> {
        let is_due = |owed: &mut Owed| until.is_none_or(|until| owed.due <= until);
        for owed in self.accounts.extract_if(.., is_due) {
            if let Some(recordings) = machine.recordings() {
                recordings.retire(owed.peer);
            }
            let Some(account) = machine.account(owed.peer) else { continue };
            let misbehaviour = self.plan.misbehaviour.clone();
            let note = AccountNote::new(owed.id.0, owed.peer, misbehaviour, &account, owed.exact);
            self.report.note(&Note::Account(Box::new(note)))?;
        }
        Ok(())
    }

    /// Marks the end of a transfer in its recording.
    fn annotate<M: Serving>(&self, machine: &mut M, event: &Event, now: Instant) {
        let (id, text) = match event {
            Event::Finished { id, .. } => (id, "the file is saved"),
            Event::Failed { id, reason, .. } => (id, reason.as_str()),
            _ => return,
        };
        if let (Some(known), Some(recordings)) = (self.transfers.get(id), machine.recordings()) {
            recordings.note(known.peer, Side::Server, text, now);
        }
    }

    /// Writes down and draws what the machine has recorded.
    fn collect<M: Serving>(&mut self, machine: &mut M) -> io::Result<()> {
        match (&mut self.plan.album, machine.recordings()) {
            (Some(album), Some(recordings)) => album.collect(recordings, self.report),
            _ => Ok(()),
        }
    }

    /// `gap` is the longest time between two new messages of the transfer that ended.
    fn count_end(&mut self, gap: Duration, now: Instant) {
        self.ended += 1;
        if self.plan.exit_after.is_some_and(|count| self.ended >= count) && self.linger.is_none() {
            let pace = pace(gap);
            self.linger = Some(Linger { until: now + pace, pace, latest: now + 3 * LINGER_MAX });
        }
    }

    fn verdict(&self) -> u8 {
        let judged = self.plan.expected.is_none() || (self.all_exact && self.ended > 0);
        if judged { exit::DONE } else { exit::NOT_VERIFIED }
    }
}

/// How often a transfer's progress is told.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// The end waits three times as long as the peer's slowest step took, a repeat among the losses included; a course client repeats
/// after 0.5 s, ours after a second at most where the path is fast.
const LINGER_GAPS: u32 = 3;
const LINGER_MIN: Duration = Duration::from_millis(1500);
const LINGER_MAX: Duration = Duration::from_secs(10);

/// How long an orderly end waits for files that are complete and just getting their names.
const PATIENCE: Duration = Duration::from_millis(400);
