//! Windowed transfers at a server: what the harbour says goes to the disk, what the disk says goes back, and people are told.

use super::giving::Giving;
use super::{TELL_EVERY, Throttle};
use crate::chunker::answers::Tally;
use crate::harbour::{self, Harbour};
use crate::io::clock;
use crate::io::events::windowed::WindowedNote;
use crate::io::events::{Finished, Note, Progress, Report, Transfer};
use crate::io::qlog::QlogWriter;
use crate::io::store::Store;
use crate::io::store::tree::Peer;
use crate::io::trees::{Answer, Contents, Order, Trees};
use crate::io::udp::Wire;
use crate::name::Printable;
use crate::packet::windowed::frame::Space;
use crate::session::handshake::PublicKey;
use crate::session::windowed::connection::{End, PROTOCOL_VIOLATION};
use crate::session::windowed::reception;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// The transfers that are under way.
pub(super) struct Unloading {
    trees: Trees,
    /// Those that go the other way.
    giving: Giving,
    transfers: BTreeMap<u64, Known>,
    refusals: Throttle,
    /// Transfers that ended well since they were last counted.
    ended: u64,
    /// Where what happens is written down.
    qlog: Option<QlogWriter>,
}

/// What is known of one.
pub(super) struct Known {
    pub(super) peer: SocketAddr,
    pub(super) client: PublicKey,
    pub(super) began: Instant,
    /// Once the manifest is complete, or the client has said what it wants.
    pub(super) contents: Option<Contents>,
    received: u64,
    told_at: Option<Instant>,
    pub(super) is_done: bool,
    /// Its client goes on in another session.
    is_succeeded: bool,
}

impl Known {
    fn new(peer: SocketAddr, client: PublicKey, began: Instant) -> Self {
        let (contents, received, told_at) = (None, 0, None);
        Self { peer, client, began, contents, received, told_at, is_done: false, is_succeeded: false }
    }

    pub(super) fn name(&self) -> String {
        match &self.contents {
            Some(Contents { name, entries: 0 | 1, .. }) => name.clone(),
            Some(Contents { name, entries, .. }) => format!("{name} and {} more", entries - 1),
            None => "a transfer that had not said what it brings".into(),
        }
    }

    fn size(&self) -> u64 {
        self.contents.as_ref().and_then(|contents| contents.bytes).unwrap_or(self.received)
    }
}

impl Unloading {
    /// Starts the threads for the disk; so many clients may get files at once.
    pub(super) fn start(
        store: &Arc<Store>,
        wire: &Wire,
        harbour: &mut Harbour,
        (qlog, gets): (Option<QlogWriter>, usize),
    ) -> io::Result<Self> {
        let waker = wire.waker();
        let (trees, giving) = (Trees::start(store, &waker, &wire.gauge())?, Giving::new(store, &waker, gets));
        if qlog.is_some() {
            harbour.record(clock::now());
        }
        Ok(Self { trees, giving, transfers: BTreeMap::new(), refusals: Throttle::default(), ended: 0, qlog })
    }

    /// Takes the disk's answers and the harbour's events until there are none; says whether there were any.
    pub(super) fn drain(&mut self, harbour: &mut Harbour, report: &mut dyn Report, now: Instant) -> io::Result<bool> {
        let mut any = false;
        if let Some(qlog) = &mut self.qlog {
            qlog.collect(|entries| harbour.drain_log(entries));
        }
        while let Some((id, answer)) = self.trees.poll() {
            any = true;
            self.on_answer(harbour, id, answer, report, now)?;
        }
        while let Some(event) = harbour.poll_event() {
            any = true;
            match event {
                harbour::Event::Opened { id, peer, client } => {
                    self.trees.order(id, Order::Begin(Peer { key: client.0, session: id }));
                    self.transfers.insert(id, Known::new(peer, client, now));
                }
                harbour::Event::Happened { id, event } => self.on_event(harbour, id, event, report, now)?,
            }
        }
        any |= self.giving.drain(harbour, report, now)?;
        Ok(any)
    }

    /// How many transfers ended well since the last call.
    pub(super) fn take_ended(&mut self) -> u64 {
        std::mem::take(&mut self.ended)
    }

    /// Waits until every order is carried out.
    pub(super) fn finish(&mut self) {
        self.trees.finish();
    }

    /// Writes down what is left, and says what is missing.
    pub(super) fn finish_qlog(mut self, harbour: &mut Harbour, report: &mut dyn Report) -> io::Result<()> {
        let Some(mut qlog) = self.qlog.take() else { return Ok(()) };
        qlog.collect(|entries| harbour.drain_log(entries));
        qlog.finish(report)
    }

    fn on_event(
        &mut self,
        harbour: &mut Harbour,
        id: u64,
        event: reception::Event,
        report: &mut dyn Report,
        now: Instant,
    ) -> io::Result<()> {
        match event {
            reception::Event::Manifest(bytes) => self.trees.order(id, Order::Listing(bytes)),
            reception::Event::Data(block) => self.trees.order(id, Order::Bytes(block)),
            reception::Event::Answer(bytes) => self.giving.on_answer(id, &bytes, harbour, now),
            reception::Event::Done => {
                if let Some(known) = self.transfers.get_mut(&id) {
                    known.is_done = true;
                    self.ended += u64::from(self.giving.on_done((id, known), harbour, report, now)?);
                }
            }
            reception::Event::Over(end) => {
                let is_succeeded = self.giving.forget(id);
                self.trees.order(id, Order::Close);
                if let Some(known) = self.transfers.remove(&id).filter(|known| !known.is_done) {
                    let (name, peer) = (known.name(), Some(known.peer));
                    let reason = if is_succeeded || known.is_succeeded { SUCCEEDED.into() } else { reason(&end) };
                    report.note(&Note::Failed { id: shown(id), peer, name, reason, exit_code: None })?;
                }
            }
        }
        Ok(())
    }

    fn on_answer(
        &mut self,
        harbour: &mut Harbour,
        id: u64,
        answer: Answer,
        report: &mut dyn Report,
        now: Instant,
    ) -> io::Result<()> {
        match answer {
            Answer::Wanted(wanted) => {
                if let Some(known) = self.transfers.get_mut(&id) {
                    self.giving.begin((id, known), wanted, harbour, report, now)?;
                }
            }
            // Only who gets files wants to know.
            Answer::Placed { .. } | Answer::Kept { .. } | Answer::At(_) => {}
            Answer::Listed(bytes) => harbour.with(id, now, |reception| reception.handle_taken(Space::Manifest, bytes)),
            Answer::Passed(end) => harbour.with(id, now, |reception| reception.handle_passed(end)),
            Answer::End(end) => harbour.with(id, now, |reception| reception.handle_end(end)),
            Answer::Say(bytes) => harbour.with(id, now, |reception| reception.handle_answer(&bytes)),
            Answer::Written(bytes) => {
                let length = bytes.len() as u64;
                harbour.with(id, now, |reception| reception.handle_written(bytes));
                self.tell_progress(id, length, report, now)?;
            }
            Answer::Begins(contents) => {
                let Some(known) = self.transfers.get_mut(&id) else { return Ok(()) };
                known.contents = Some(contents);
                let (peer, name, size) = (known.peer, known.name(), known.size());
                let note = Transfer { id: shown(id), peer, name, size, spelling: "binary", mode: "windowed" };
                report.note(&Note::Started(note))?;
            }
            Answer::TookOver(other) => {
                if let Some(known) = self.transfers.get_mut(&other) {
                    known.is_succeeded = true;
                }
                harbour.with(other, now, |reception| {
                    reception.handle_abort(TAKEN_OVER, "another session goes on with it")
                });
            }
            Answer::Objection { name, reason, .. } => self.tell_objection(id, (name, reason), report, now)?,
            Answer::Done { tally, bytes, blake3, resumed, there } => {
                harbour.handle_done(id, now);
                self.tell_done(id, (tally, there), (bytes, blake3, resumed), report, now)?;
            }
            Answer::Broken(reason) => {
                harbour.with(id, now, |reception| reception.handle_abort(PROTOCOL_VIOLATION, &reason));
                if let Some(known) = self.transfers.get_mut(&id) {
                    // What follows is only that we ended it ourselves.
                    known.is_done = true;
                    let (peer, name) = (Some(known.peer), known.name());
                    report.note(&Note::Failed { id: shown(id), peer, name, reason, exit_code: None })?;
                }
            }
        }
        Ok(())
    }

    fn tell_progress(&mut self, id: u64, bytes: u64, report: &mut dyn Report, now: Instant) -> io::Result<()> {
        let Some(known) = self.transfers.get_mut(&id) else { return Ok(()) };
        known.received = known.received.saturating_add(bytes);
        let is_due = known.told_at.is_none_or(|last| now.saturating_duration_since(last) >= TELL_EVERY);
        if known.contents.is_none() || !is_due {
            return Ok(());
        }
        known.told_at = Some(now);
        let (bytes, size) = (known.received, known.size());
        let is_open = known.contents.as_ref().is_none_or(|contents| contents.bytes.is_none());
        report.note(&Note::Progress(Progress { id: shown(id), bytes, size, is_open, ..Progress::default() }))
    }

    fn tell_objection(
        &mut self,
        id: u64,
        (name, reason): (String, String),
        report: &mut dyn Report,
        now: Instant,
    ) -> io::Result<()> {
        let (Some(known), Some(untold)) = (self.transfers.get(&id), self.refusals.admit(now)) else { return Ok(()) };
        if untold > 0 {
            report.note(&Note::Remark { text: format!("{untold} more files were not taken") })?;
        }
        let name = if known.contents.is_some() { known.name() } else { name };
        report.note(&Note::Refused { peer: known.peer, name, reason })
    }

    fn tell_done(
        &mut self,
        id: u64,
        (tally, there): (Tally, u64),
        (bytes, blake3, resumed): (u64, Option<[u8; 32]>, u64),
        report: &mut dyn Report,
        now: Instant,
    ) -> io::Result<()> {
        let Some(known) = self.transfers.get_mut(&id) else { return Ok(()) };
        known.is_done = true;
        let missing = tally.refused.saturating_add(tally.failed);
        if tally.placed == 0 && there == 0 && missing > 0 {
            let (name, peer, reason) = (known.name(), Some(known.peer), NOTHING_TAKEN.into());
            return report.note(&Note::Failed { id: shown(id), peer, name, reason, exit_code: None });
        }
        self.ended += 1;
        let blake3 = blake3.map(hex::encode);
        report.note(&Note::Finished(Box::new(Finished {
            id: shown(id),
            peer: Some(known.peer),
            name: known.name(),
            bytes,
            seconds: now.saturating_duration_since(known.began).as_secs_f64(),
            mode: "windowed",
            verified: true,
            windowed: Some(WindowedNote {
                files: tally.placed,
                missing,
                blake3,
                resumed,
                there,
                wire: None,
                path: None,
                link: None,
            }),
            ..Finished::default()
        })))
    }
}

fn reason(end: &End) -> String {
    match end {
        End::Closed => "the server ended it".into(),
        End::ClosedByPeer { reason, .. } if reason.is_empty() => "the client ended it".into(),
        End::ClosedByPeer { reason, .. } => format!("client: {}", Printable(reason)),
        End::Silent => {
            "nothing came for too long; what was complete is saved, the rest of large files is kept for another try"
                .into()
        }
        End::Forgotten => "the client knows nothing of it any more".into(),
        End::Broken(reason) => Printable(reason).to_string(),
    }
}

/// The client goes on with a file of this transfer in another one.
pub(super) const TAKEN_OVER: u64 = 0x102;

/// Nobody has ended it, and nothing of it is lost.
const SUCCEEDED: &str = "the client came back, and goes on in another session";

/// Each reason was told before.
const NOTHING_TAKEN: &str = "nothing of it was taken";

/// Both modes count from 1, and whoever reads the notes must tell them apart.
pub(super) fn shown(id: u64) -> u64 {
    id.saturating_add(WINDOWED_FROM)
}

/// More than the lab's transfers will ever be, and exact as a JSON number everywhere.
const WINDOWED_FROM: u64 = 1 << 52;
