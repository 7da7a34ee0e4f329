//! Files that clients get: what the disk reads goes to the harbour, and people are told.

mod shared;

use self::shared::Shared;
use super::windowed::{Known, TAKEN_OVER, shown};
use super::{TELL_EVERY, Throttle};
use crate::chunker::answers::{Answer, AnswerReader, AnswerWriter, Fate, Objection, Tally};
use crate::chunker::groups::OFFERED_TO_SERVER_MAX;
use crate::chunker::manifest::Kind;
use crate::chunker::request::Earlier;
use crate::chunker::wanted::Wanted;
use crate::harbour::{FULL, Harbour};
use crate::io::events::windowed::{PathNote, WindowedNote, WireNote};
use crate::io::events::{Finished, MODE_GET, Note, Progress, Report, Transfer};
use crate::io::sources::{Feed, Found, News, Resumption, Sources};
use crate::io::store::Store;
use crate::io::trees::Contents;
use crate::io::udp::Waker;
use crate::session::congestion::Choice;
use crate::session::handshake::PublicKey;
use crate::session::windowed::connection::PROTOCOL_VIOLATION;
use crate::session::windowed::upload::Stats;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The transfers in which clients get files.
pub(super) struct Giving {
    store: Arc<Store>,
    waker: Waker,
    /// So many at once; 0 where nobody gets anything.
    max: usize,
    gifts: BTreeMap<u64, Gift>,
    refusals: Throttle,
}

/// One of them.
struct Gift {
    /// Who gets what.
    client: PublicKey,
    wanted: Wanted,
    /// Its client goes on in another session.
    is_succeeded: bool,
    feed: Shared,
    /// What is said of paths that cannot be had; `None` after its end.
    writer: Option<AnswerWriter>,
    refused: u64,
    files: u64,
    bytes: u64,
    is_walked: bool,
    /// How much of the listing there is, and whether that and the bytes are all, as the machine was told.
    known: (u64, bool),
    answers: AnswerReader,
    tally: Tally,
    choice: Choice,
    told_at: Option<Instant>,
    /// When it was last given all that it gets at a time.
    sated_at: Option<Instant>,
}

impl Giving {
    pub(super) fn new(store: &Arc<Store>, waker: &Waker, max: usize) -> Self {
        let (store, waker) = (Arc::clone(store), waker.clone());
        Self { store, waker, max, gifts: BTreeMap::new(), refusals: Throttle::default() }
    }

    /// A client has said what it wants.
    pub(super) fn begin(
        &mut self,
        (id, known): (u64, &mut Known),
        wanted: Wanted,
        harbour: &mut Harbour,
        report: &mut dyn Report,
        now: Instant,
    ) -> io::Result<()> {
        let first = wanted.wishes.first().and_then(|wish| wish.path.as_ref());
        let name = first.map_or(".", |path| path.as_str()).to_owned();
        known.contents = Some(Contents { name, entries: wanted.wishes.len() as u64, bytes: None });
        let max = self.max;
        let refusal = match max {
            0 => Some("this server gives no files; it would with --allow-get".to_owned()),
            _ if self.running() >= max && !self.make_room(known, &wanted, harbour, now) => {
                Some(format!("{max} clients get files from this server already, as many as it allows; try again later"))
            }
            _ => None,
        };
        if let Some(reason) = refusal {
            harbour.with(id, now, |reception| reception.handle_abort(FULL, &reason));
            known.is_done = true;
            let (peer, name) = (known.peer, known.name());
            return match self.refusals.admit(now) {
                Some(_) => report.note(&Note::Refused { peer, name, reason }),
                None => Ok(()),
            };
        }
        let choice = Choice::from(wanted.pace);
        let waker = self.waker.clone();
        // What it holds is compared with what is read again: to remember what many get would have no end.
        let resumption = Resumption {
            earlier: wanted.earlier,
            memory: None,
            held_max: OFFERED_TO_SERVER_MAX,
            awaits: wanted.earlier == Earlier::Awaited,
            ..Resumption::default()
        };
        let sources = Sources::beneath(&self.store, wanted.clone()).compressing(wanted.compression);
        let ahead = sources.resume(false, resumption, move || waker.wake())?;
        let gift = Gift::new(Feed::asked_for(ahead), (known.client, wanted), choice);
        let (supply, mut word) = (Box::new(gift.feed.clone()), Vec::new());
        let gift = Gift { writer: Some(AnswerWriter::new(&mut word)), ..gift };
        harbour.with(id, now, |reception| {
            reception.turn(choice, supply);
            reception.handle_answer(&word);
        });
        self.gifts.insert(id, gift);
        let (peer, name) = (known.peer, known.name());
        let note = Transfer { id: shown(id), peer, name, size: 0, spelling: "binary", mode: MODE_GET };
        report.note(&Note::Started(note))
    }

    /// Passes on what was found and read since the last time; says whether there was anything.
    pub(super) fn drain(&mut self, harbour: &mut Harbour, report: &mut dyn Report, now: Instant) -> io::Result<bool> {
        let mut any = false;
        for (id, gift) in &mut self.gifts {
            // Who has had its share comes again after the others and the network.
            if gift.sated_at != Some(now) {
                any |= gift.feed(*id, harbour, now);
                if gift.sated_at == Some(now) {
                    self.waker.wake();
                }
            }
            gift.tell_progress(*id, harbour, report, now)?;
        }
        Ok(any)
    }

    /// The client says what became of what it gets.
    pub(super) fn on_answer(&mut self, id: u64, bytes: &[u8], harbour: &mut Harbour, now: Instant) {
        let Some(gift) = self.gifts.get_mut(&id) else { return };
        let mut rest = bytes;
        loop {
            match gift.answers.next(&mut rest) {
                Ok(Some(Answer::Held(held))) => gift.feed.lock().handle_held(held),
                Ok(Some(Answer::Looked(entries))) => gift.feed.lock().handle_looked(entries),
                Ok(Some(Answer::There(entries))) => {
                    let void = gift.feed.lock().handle_there(entries);
                    if let Some(void) = void {
                        harbour.with(id, now, |reception| reception.handle_void(void));
                    }
                }
                Ok(Some(Answer::Content { entry, blake3 })) => gift.feed.lock().handle_content(entry, blake3),
                Ok(None) => return,
                Ok(Some(Answer::End(tally))) => gift.tally = tally,
                Ok(Some(Answer::Objection(objection))) => {
                    let void = gift.feed.lock().skip(objection.entry);
                    if let Some(void) = void {
                        harbour.with(id, now, |reception| reception.handle_void(void));
                    }
                }
                Err(error) => {
                    let reason = error.to_string();
                    return harbour.with(id, now, |reception| reception.handle_abort(PROTOCOL_VIOLATION, &reason));
                }
            }
        }
    }

    /// The client has everything that it gets; says whether that is anything.
    pub(super) fn on_done(
        &mut self,
        (id, known): (u64, &Known),
        harbour: &mut Harbour,
        report: &mut dyn Report,
        now: Instant,
    ) -> io::Result<bool> {
        let Some(gift) = self.gifts.get(&id) else { return Ok(false) };
        let stats = stats(id, harbour, now);
        let Stats { counts, rtt, packet_size, repeated, acknowledged, cipher, .. } = stats;
        let wire = Some(WireNote::new(&stats, acknowledged));
        #[expect(clippy::cast_precision_loss, reason = "for the eye")]
        let loss = counts.lost.saturating_sub(counts.spurious) as f64 / counts.packets.max(1) as f64;
        let congestion = gift.choice.to_string();
        let cipher = cipher.map(|cipher| cipher.to_string()).unwrap_or_default();
        // A server does not ask what holds it back: many get at once.
        let path = Some(PathNote {
            loss,
            bytes_again: repeated,
            packet_size,
            congestion,
            cipher,
            verdict: None,
            limits: Vec::new(),
            receiver_drops: None,
        });
        let resumed = gift.feed.lock().resumed();
        let missing = gift.refused.saturating_add(gift.tally.refused).saturating_add(gift.tally.failed);
        if gift.tally.placed == 0 && missing > 0 {
            let (name, peer, reason) = (known.name(), Some(known.peer), NOTHING_GOT.into());
            return report.note(&Note::Failed { id: shown(id), peer, name, reason, exit_code: None }).map(|()| false);
        }
        report.note(&Note::Finished(Box::new(Finished {
            id: shown(id),
            peer: Some(known.peer),
            name: known.name(),
            bytes: acknowledged.saturating_add(resumed),
            seconds: now.saturating_duration_since(known.began).as_secs_f64(),
            mode: MODE_GET,
            verified: true,
            retransmissions: counts.lost,
            duplicates: counts.spurious,
            rtt_ms: rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
            windowed: Some(WindowedNote {
                files: gift.tally.placed,
                missing,
                blake3: None,
                resumed,
                there: 0,
                wire,
                path,
                link: None,
            }),
            ..Finished::default()
        })))?;
        Ok(true)
    }

    /// It is over, however it ended; says whether its client goes on in another session.
    pub(super) fn forget(&mut self, id: u64) -> bool {
        self.gifts.remove(&id).is_some_and(|gift| gift.is_succeeded)
    }

    fn running(&self) -> usize {
        self.gifts.values().filter(|gift| !gift.is_succeeded).count()
    }

    /// Ends a transfer that has had no answer for a while, if its own client wants the same once more; says whether there was one.
    fn make_room(&mut self, known: &Known, wanted: &Wanted, harbour: &mut Harbour, now: Instant) -> bool {
        let is_same = |gift: &Gift| gift.client == known.client && gift.wanted.wishes == wanted.wishes;
        let left = self.gifts.iter_mut().find(|(id, gift)| {
            let mut silence = || stats(**id, harbour, now).unanswered.map(|since| now.saturating_duration_since(since));
            !gift.is_succeeded && is_same(gift) && silence().is_some_and(|silence| silence >= LEFT)
        });
        let Some((id, gift)) = left else { return false };
        gift.is_succeeded = true;
        harbour.with(*id, now, |reception| reception.handle_abort(TAKEN_OVER, "another session goes on with it"));
        true
    }
}

impl Gift {
    fn new(feed: Feed, (client, wanted): (PublicKey, Wanted), choice: Choice) -> Self {
        Self {
            client,
            wanted,
            is_succeeded: false,
            feed: Shared::new(feed),
            writer: None,
            refused: 0,
            files: 0,
            bytes: 0,
            is_walked: false,
            known: (0, false),
            answers: AnswerReader::new(),
            tally: Tally::default(),
            choice,
            told_at: None,
            sated_at: None,
        }
    }

    fn feed(&mut self, id: u64, harbour: &mut Harbour, now: Instant) -> bool {
        let (mut any, mut word) = (false, Vec::new());
        for step in 0.. {
            if step >= NEWS_MAX {
                self.sated_at = Some(now);
                break;
            }
            // Not for longer than it takes: the machine asks the feed as well.
            let news = self.feed.lock().poll();
            match news {
                Ok(None) => break,
                Ok(Some(News::Found(found))) => self.on_found(found, &mut word),
                Ok(Some(News::Digest { .. })) => {}
                Ok(Some(News::Available(end))) => harbour.with(id, now, |reception| reception.handle_data(end)),
                Ok(Some(News::Void(range))) => harbour.with(id, now, |reception| {
                    let end = range.end;
                    reception.handle_void(range);
                    reception.handle_data(end);
                }),
                Err(error) => {
                    let reason = format!("the server cannot go on: {error}");
                    harbour.with(id, now, |reception| reception.handle_abort(FULL, &reason));
                    return true;
                }
            }
            any = true;
        }
        // The end of the digests is no news.
        let feed = self.feed.lock();
        let known = (feed.listing_length(), feed.is_complete());
        drop(feed);
        let is_known = std::mem::replace(&mut self.known, known) == known;
        if any || !is_known {
            let (length, is_complete) = known;
            harbour.with(id, now, |reception| {
                reception.handle_manifest(length);
                reception.handle_source_ready();
                if is_complete {
                    reception.handle_complete();
                }
                if !word.is_empty() {
                    reception.handle_answer(&word);
                }
            });
        }
        any
    }

    fn on_found(&mut self, found: Found, word: &mut Vec<u8>) {
        match found {
            Found::Entry { entry, .. } => {
                if let Kind::File { size } = entry.kind {
                    self.bytes = self.bytes.saturating_add(size);
                }
                self.files += u64::from(entry.kind.has_bytes());
            }
            Found::Refused(refusal) => {
                self.refused += 1;
                let objection = Objection { entry: 0, fate: Fate::Refused, reason: refusal.to_others() };
                self.writer.iter_mut().for_each(|writer| writer.objection(&objection, word));
            }
            Found::End(_) => {
                self.is_walked = true;
                let tally = Tally { placed: self.files, refused: self.refused, failed: 0 };
                if let Some(writer) = self.writer.take() {
                    writer.end(tally, word);
                }
            }
        }
    }

    fn tell_progress(
        &mut self,
        id: u64,
        harbour: &mut Harbour,
        report: &mut dyn Report,
        now: Instant,
    ) -> io::Result<()> {
        if self.told_at.is_some_and(|last| now.saturating_duration_since(last) < TELL_EVERY) {
            return Ok(());
        }
        self.told_at = Some(now);
        let Stats { acknowledged, void, counts, .. } = stats(id, harbour, now);
        let (size, is_open) = (self.bytes.saturating_sub(void), !self.is_walked);
        let retransmissions = counts.lost;
        report.note(&Note::Progress(Progress {
            id: shown(id),
            bytes: acknowledged,
            size,
            retransmissions,
            is_open,
            ..Progress::default()
        }))
    }
}

fn stats(id: u64, harbour: &mut Harbour, now: Instant) -> Stats {
    let mut stats = Stats::default();
    harbour.with(id, now, |reception| stats = reception.stats());
    stats
}

/// A client that has not answered for so long, and wants the same again, was killed: others answer within a round trip.
const LEFT: Duration = Duration::from_secs(2);

/// Each reason was told to the client.
const NOTHING_GOT: &str = "nothing of it was got";

/// How much news of one transfer is passed on before others get their turn: a walk finds entries faster than a network is served.
const NEWS_MAX: usize = 256;
