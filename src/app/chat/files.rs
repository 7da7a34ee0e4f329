//! The files of a chat: read where they go out, kept beneath one folder where they come in, and told about.

use crate::chat::courier::{Courier, Undeliverable};
use crate::chunker::{Chunker, Cut};
use crate::endpoint::{self, SessionId};
use crate::io::events::talk::{TalkNote, Way};
use crate::io::source::{OpenError, Source};
use crate::io::store::Policy;
use crate::io::udp::Waker;
use crate::io::workers::{StartError, Workers};
use crate::session::stop_and_wait::{Event as SendingEvent, Outcome, Stats};
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Both ways that files go.
pub(super) struct Files {
    workers: Workers,
    outgoing: Option<Outgoing>,
    incoming: Option<Incoming>,
    told: Telling,
}

/// How often progress is told: to programs always and soon, to people only when a file takes its time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Telling {
    /// To programs.
    Often,
    /// To people.
    Seldom,
}

struct Outgoing {
    source: Source,
    file: String,
    chunker: Option<Chunker<File>>,
    began: Instant,
    /// Why we stopped ourselves.
    stopped: Option<String>,
    progress: Progress,
}

struct Incoming {
    id: SessionId,
    file: String,
    progress: Progress,
}

/// What was told of a file's progress, and when.
#[derive(Clone, Copy, Debug)]
struct Progress {
    size: u64,
    bytes: u64,
    at: Instant,
}

impl Files {
    /// Nothing is on its way; what comes in is saved in `folder`, and replaces nothing.
    ///
    /// # Errors
    /// When the folder cannot be used, or the system gives no thread.
    pub(super) fn new(folder: &Path, told: Telling, waker: &Waker) -> Result<Self, StartError> {
        let policy = Policy { no_clobber: true, ..Policy::default() };
        Ok(Self { workers: Workers::start(folder, policy, waker)?, outgoing: None, incoming: None, told })
    }

    /// Opens a file and offers it to the peer.
    ///
    /// # Errors
    /// A sentence about what keeps it from being offered.
    pub(super) fn offer(&mut self, path: &Path, courier: &mut Courier, now: Instant) -> Result<TalkNote, String> {
        if path == Path::new("-") {
            return Err("the standard input has the commands; name a file".into());
        }
        if self.outgoing.is_some() {
            return Err(Undeliverable::Busy.to_string());
        }
        let source = Source::open(path).map_err(unopened)?;
        let name = path.file_name().and_then(|name| name.to_str());
        let file = name.ok_or_else(|| format!("the name of {} is no text; rename it", path.display()))?.to_owned();
        let size = source.size();
        let nonce = super::random().map(u32::from_le_bytes).map_err(|error| error.to_string())?;
        courier.offer_file(&file, size, nonce, now).map_err(|error| error.to_string())?;
        let progress = Progress { size, bytes: 0, at: now };
        self.outgoing =
            Some(Outgoing { source, file: file.clone(), chunker: None, began: now, stopped: None, progress });
        Ok(TalkNote::FileOffering { file, size })
    }

    /// The peer has agreed to our file, or not, or the chat ended before it could.
    pub(super) fn on_answer(&mut self, is_wanted: bool, now: Instant) {
        match &mut self.outgoing {
            Some(outgoing) if is_wanted => outgoing.began = now,
            _ => self.outgoing = None,
        }
    }

    /// A file is offered or under way.
    pub(super) fn is_busy(&self) -> bool {
        self.outgoing.is_some() || self.incoming.is_some()
    }

    /// The chat ended: an offer that was not answered is no more.
    pub(super) fn on_chat_end(&mut self, courier: &mut Courier) {
        if courier.sender().is_none() {
            self.outgoing = None;
        }
    }

    /// Hands the disk's answers over; says whether there were any.
    pub(super) fn deliver(&self, courier: &mut Courier, now: Instant) -> bool {
        self.workers.deliver(courier.endpoint(), now)
    }

    /// Waits for the disk.
    pub(super) fn finish(&mut self) {
        self.workers.finish();
    }

    /// Our file wants something, or got somewhere.
    pub(super) fn on_sending(&mut self, event: SendingEvent, courier: &mut Courier, now: Instant) -> Option<TalkNote> {
        let telling = self.told;
        let outgoing = self.outgoing.as_mut()?;
        let sender = courier.sender()?;
        match event {
            SendingEvent::Connected { .. } | SendingEvent::Invited(_) => None,
            SendingEvent::WantsChunk { max, cut } => {
                match outgoing.chunk(max, cut) {
                    Ok(chunk) => sender.handle_chunk(chunk, now),
                    Err(reason) => {
                        sender.handle_abort(SOURCE_FAILED);
                        outgoing.stopped = Some(reason);
                    }
                }
                None
            }
            SendingEvent::WantsDigest => {
                match outgoing.digest() {
                    Ok(digest) => sender.handle_digest(digest, now),
                    Err(reason) => {
                        sender.handle_abort(SOURCE_FAILED);
                        outgoing.stopped = Some(reason);
                    }
                }
                None
            }
            SendingEvent::Progress { acknowledged } => {
                let Progress { size, .. } = outgoing.progress;
                let file = || outgoing.file.clone();
                outgoing.progress.is_told(acknowledged, telling, now).then(|| TalkNote::FileProgress {
                    way: Way::Out,
                    file: file(),
                    bytes: acknowledged,
                    size,
                })
            }
            SendingEvent::Over(outcome) => {
                let stats = sender.stats();
                self.outgoing.take().map(|outgoing| outgoing.epitaph(outcome, stats, now))
            }
        }
    }

    /// The file that comes in wants something of the disk, or got somewhere.
    pub(super) fn on_receiving(&mut self, event: endpoint::Event, now: Instant) -> Option<TalkNote> {
        use endpoint::Event;
        match event {
            Event::Order(id, order) => {
                self.workers.order(id, order);
                None
            }
            Event::Started { id, name, size, .. } => {
                let progress = Progress { size, bytes: 0, at: now };
                self.incoming = Some(Incoming { id, file: name.to_string(), progress });
                None
            }
            Event::Progress { id, received, .. } => {
                let telling = self.told;
                let incoming = self.incoming.as_mut().filter(|incoming| incoming.id == id)?;
                incoming.progress.is_told(received, telling, now).then(|| TalkNote::FileProgress {
                    way: Way::In,
                    file: incoming.file.clone(),
                    bytes: received,
                    size: incoming.progress.size,
                })
            }
            Event::Finished { id, bytes, sha256, took, counts, .. } => {
                let Incoming { file, .. } = self.incoming.take_if(|incoming| incoming.id == id)?;
                let (seconds, sha256) = (took.as_secs_f64(), hex::encode(sha256));
                Some(TalkNote::FileDone { way: Way::In, file, bytes, seconds, sha256, repeats: counts.duplicates })
            }
            Event::Failed { id, reason, .. } => {
                let Incoming { file, .. } = self.incoming.take_if(|incoming| incoming.id == id)?;
                Some(TalkNote::FileFailed { way: Way::In, file, reason })
            }
            Event::Refused { name, reason, .. } => Some(TalkNote::FileFailed { way: Way::In, file: name, reason }),
        }
    }
}

impl Outgoing {
    fn chunk(&mut self, max: usize, cut: Cut) -> Result<Vec<u8>, String> {
        let chunker = match self.chunker.take() {
            Some(chunker) => chunker,
            None => Chunker::new(self.source.reader().map_err(|error| self.unreadable(&error))?, self.source.size()),
        };
        let chunker = self.chunker.insert(chunker);
        let chunk = chunker.next_chunk(max, cut);
        let is_at_end = chunker.is_at_end();
        let chunk = chunk.map_err(|error| format!("{}: {error}", self.source.name().display()))?;
        if is_at_end { self.check_unchanged().map(|()| chunk) } else { Ok(chunk) }
    }

    /// The digest of what was read, which is all of it now.
    fn digest(&mut self) -> Result<[u8; 32], String> {
        self.chunk(0, Cut::Anywhere)?;
        self.check_unchanged()?;
        self.chunker.as_ref().map(Chunker::digest).ok_or_else(|| "nothing was read".into())
    }

    fn check_unchanged(&self) -> Result<(), String> {
        // A file that cannot be asked any more is not the file it was.
        match self.source.is_unchanged() {
            Ok(true) => Ok(()),
            _ => Err(format!("{} changed while it was read", self.source.name().display())),
        }
    }

    fn unreadable(&self, error: &io::Error) -> String {
        format!("cannot read {}: {error}", self.source.name().display())
    }

    fn epitaph(self, outcome: Outcome, stats: Stats, now: Instant) -> TalkNote {
        let (way, file) = (Way::Out, self.file);
        if let (Outcome::Delivered, Some(chunker)) = (&outcome, &self.chunker) {
            let seconds = now.saturating_duration_since(self.began).as_secs_f64();
            let (bytes, sha256) = (stats.acknowledged, hex::encode(chunker.digest()));
            return TalkNote::FileDone { way, file, bytes, seconds, sha256, repeats: stats.retransmissions };
        }
        let reason = self.stopped.unwrap_or_else(|| match outcome {
            Outcome::Refused(reason) => format!("refused by the other side: {reason}"),
            Outcome::VerificationFailed(reason) => format!("not verified, and not saved there: {reason}"),
            Outcome::NoAnswer { .. } => "the other side fell silent; nothing was saved there".into(),
            Outcome::NotConfirmed => {
                "everything was sent, but the end was not confirmed: ask whether it is there".into()
            }
            Outcome::PlainServer => "the other side cannot verify it".into(),
            Outcome::Stopped | Outcome::Delivered => "the chat ended".into(),
        });
        TalkNote::FileFailed { way, file, reason }
    }
}

impl Progress {
    /// Whether this much is worth telling now; then it counts as told.
    fn is_told(&mut self, bytes: u64, telling: Telling, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at);
        let tenth = self.size / 10;
        let is_due = match telling {
            Telling::Often => passed >= TELL_EVERY,
            Telling::Seldom => passed >= SELDOM_MAX || (passed >= SELDOM_MIN && bytes - self.bytes.min(bytes) >= tenth),
        };
        if is_due {
            (self.bytes, self.at) = (bytes, now);
        }
        is_due
    }
}

/// What to do with a pipe or a device is another thing here than where standard input could be sent.
fn unopened(error: OpenError) -> String {
    match error {
        OpenError::NotAFile { name, kind, .. } => {
            format!("{} is {kind}, not a file; make a file of it first", name.display())
        }
        error => error.to_string(),
    }
}

/// What the other side is told when our file cannot be read, or changed.
const SOURCE_FAILED: &str = "its file cannot be read or changed while it was read";

/// How often programs are told of progress.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// People are told of every tenth, but not more often than this, and of less after a while.
const SELDOM_MIN: Duration = Duration::from_secs(2);
const SELDOM_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn people_hear_of_tenths_and_of_long_waits_programs_of_both_and_more() {
        let began = Instant::now();
        let told = |telling: Telling, rate: u64| {
            let mut progress = Progress { size: 1000, bytes: 0, at: began };
            let moments = (1..=600_u64).map(|tick| (tick * rate / 10, began + Duration::from_millis(tick * 100)));
            moments.filter(|(bytes, now)| progress.is_told((*bytes).min(1000), telling, *now)).count()
        };
        assert_eq!(told(Telling::Often, 20), 300);
        // A tenth takes 5 s, then 1 s.
        assert_eq!((told(Telling::Seldom, 20), told(Telling::Seldom, 1)), (11, 6));
        let mut fast = Progress { size: 1000, bytes: 0, at: began };
        assert!(!fast.is_told(1000, Telling::Seldom, began + Duration::from_millis(1900)));
    }
}
