//! What programs tell people and other programs: one vocabulary, printed as JSON lines or as sentences.

pub mod chat;
mod counts;
mod json;
pub mod messages;
mod report;
pub mod talk;
pub mod windowed;

use crate::hostile::Account;
use crate::limits::Limit;
use crate::name::Printable;
use chat::ChatNote;
pub use counts::CountsNote;
use indicatif::DecimalBytes;
pub use json::{JsonAside, JsonReport};
use messages::MessageNote;
pub use report::{Listener, Report, Silence};
use serde::{Serialize, Serializer};
use std::net::SocketAddr;
use windowed::{UploadNote, WindowedNote};

/// Something worth telling. As JSON it is one object a line, its kind in the field `event`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Note {
    /// The port is open.
    Listening {
        /// Where.
        address: SocketAddr,
        /// What happens with what comes, in words.
        purpose: String,
    },
    /// A client has said its start and waits for an answer.
    Waiting {
        /// Where the server should be.
        target: String,
    },
    /// A transfer began.
    Started(Transfer),
    /// Bytes came, or were acknowledged.
    Progress(Progress),
    /// A file is complete under its name, or delivered.
    Finished(Box<Finished>),
    /// A start was turned away.
    Refused {
        /// Whose.
        peer: SocketAddr,
        /// For which name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A transfer came to nothing.
    Failed {
        /// Its number; 0 for a client's only one.
        id: u64,
        /// The other side.
        peer: Option<SocketAddr>,
        /// The file's name.
        name: String,
        /// Why.
        reason: String,
        /// The exit code that a client ends with.
        #[serde(skip_serializing_if = "Option::is_none")]
        exit_code: Option<u8>,
    },
    /// What a bad server did to a peer and what the peer did.
    Account(Box<AccountNote>),
    /// How many datagrams a link carried, and what became of them.
    Traffic {
        /// Flows seen.
        flows: u64,
        /// Towards the server.
        inward: CountsNote,
        /// From the server.
        outward: CountsNote,
    },
    /// Something of several is not copied; the others are. Only the first reasons are told, and all are counted.
    #[serde(rename = "remark")]
    NotCopied {
        /// The thing and the reason.
        #[serde(rename = "text", serialize_with = "not_copied_text")]
        reason: String,
    },
    /// Anything else that a person should read.
    Remark {
        /// In a sentence.
        text: String,
    },
    /// What happened to a message.
    #[serde(untagged)]
    Messaging(Box<MessageNote>),
    /// What happened to a windowed upload.
    #[serde(untagged)]
    Uploading(UploadNote),
    /// What happened in a chat.
    #[serde(untagged)]
    Chatting(Box<ChatNote>),
}

fn not_copied(reason: &str) -> String {
    format!("not copied: {reason}")
}

/// To programs it is a remark.
fn not_copied_text<S: Serializer>(reason: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&not_copied(reason))
}

/// A transfer that began.
#[derive(Clone, Debug, Serialize)]
pub struct Transfer {
    /// Its number.
    pub id: u64,
    /// The other side.
    pub peer: SocketAddr,
    /// The file's name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// `spaced`, `compact` or, in the windowed mode, `binary`.
    pub spelling: &'static str,
    /// `lab`, `checked`, `windowed` or [`MODE_GET`].
    pub mode: &'static str,
}

/// The windowed mode the other way round: the client gets what the server has.
pub const MODE_GET: &str = "get";

/// How far a transfer is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Progress {
    /// Its number.
    pub id: u64,
    /// Bytes so far.
    pub bytes: u64,
    /// Bytes in all.
    pub size: u64,
    /// Messages sent again so far.
    pub retransmissions: u64,
    /// The smoothed round trip in milliseconds, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// The share of packets that were lost, from 0 to 1, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Nobody knows yet how many bytes it will be in all: folders are still being looked through, or a stream goes on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_open: bool,
    /// For how many seconds the other side has not answered, if that is worth a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_s: Option<u64>,
    /// The file of several that moves at present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<Current>,
    /// What holds it back at present, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "limit_name")]
    pub limit: Option<Limit>,
}

/// How far a file of several is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Current {
    /// Its name at the receiver.
    pub name: String,
    /// Its bytes so far.
    pub bytes: u64,
    /// Its bytes in all.
    pub size: u64,
}

fn limit_name<S: Serializer>(limit: &Option<Limit>, serializer: S) -> Result<S::Ok, S::Error> {
    limit.map(Limit::name).serialize(serializer)
}

/// A transfer that ended well.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Finished {
    /// Its number.
    pub id: u64,
    /// The other side.
    pub peer: Option<SocketAddr>,
    /// The file's name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// SHA-256 of the content, in hexadecimal, where it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// `lab`, `checked`, `windowed` or [`MODE_GET`].
    pub mode: &'static str,
    /// Both sides have compared the checksum.
    pub verified: bool,
    /// A client: messages sent again. A server: answers given again.
    pub retransmissions: u64,
    /// Messages that came again.
    pub duplicates: u64,
    /// The size of the file that was overwritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced: Option<u64>,
    /// The smoothed round trip in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// The longest chunk in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk: Option<usize>,
    /// The bound that the round trip sets to stop-and-wait: chunk / RTT in bytes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<u64>,
    /// What only the windowed mode has.
    #[serde(flatten)]
    pub windowed: Option<WindowedNote>,
}

/// [`Account`], ready to print.
#[derive(Clone, Debug, Serialize)]
pub struct AccountNote {
    /// Of which transfer.
    pub id: u64,
    /// Whose.
    pub peer: SocketAddr,
    /// The misbehaviour's name.
    pub misbehaviour: Option<String>,
    /// How often it was applied.
    pub misbehaved: u64,
    /// What the weather did on the way in.
    pub inward: CountsNote,
    /// What the weather did on the way out.
    pub outward: CountsNote,
    /// Messages from the peer.
    pub messages: u64,
    /// Messages it sent again.
    pub repeats: u64,
    /// The longest time between two of its messages, in seconds.
    pub longest_silence_s: f64,
    /// Its longest datagram in bytes.
    pub longest_datagram: usize,
    /// The verdict on the content, where a file to compare with was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<bool>,
}

impl AccountNote {
    /// An account of a transfer.
    pub fn new(
        id: u64,
        peer: SocketAddr,
        misbehaviour: Option<String>,
        account: &Account,
        exact: Option<bool>,
    ) -> Self {
        Self {
            id,
            peer,
            misbehaviour,
            misbehaved: account.misbehaved,
            inward: account.inward.into(),
            outward: account.outward.into(),
            messages: account.messages,
            repeats: account.repeats,
            longest_silence_s: account.longest_silence.as_secs_f64(),
            longest_datagram: account.longest_datagram,
            exact,
        }
    }
}

/// How much a program says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volume {
    /// Only what goes wrong, and the port.
    Quiet,
    /// What a person wants to see.
    Normal,
    /// Also who is turned away and what is odd.
    Verbose,
}

/// A note as a person reads it; `None` for what goes into a bar instead.
pub fn sentence(note: &Note) -> Option<String> {
    Some(match note {
        Note::Listening { address, purpose } => format!("listening on {address}\n{purpose}"),
        Note::Started(transfer) => {
            let Transfer { peer, name, size, mode, spelling, .. } = transfer;
            format!("{peer}: {} ({}) begins, {mode}, {spelling}", Printable(name), bytes(*size))
        }
        Note::Progress(_) | Note::Waiting { .. } => return None,
        Note::Finished(finished) => finished_sentence(finished),
        Note::Refused { peer, name, reason } => {
            format!("{peer}: {} was refused: {}", Printable(name), Printable(reason))
        }
        Note::Failed { peer: Some(peer), name, reason, .. } => {
            format!("{peer}: {} failed: {}", Printable(name), Printable(reason))
        }
        Note::Failed { peer: None, name, reason, .. } => format!("{}: {}", Printable(name), Printable(reason)),
        Note::Account(account) => account_sentence(account),
        Note::Traffic { flows, inward, outward } => {
            let plural = if *flows == 1 { "" } else { "s" };
            format!(
                "{flows} flow{plural}; to the server: {}; from the server: {}",
                inward.sentence(),
                outward.sentence()
            )
        }
        Note::Messaging(note) => messages::sentence(note),
        Note::Uploading(note) => note.sentence(),
        Note::Chatting(note) => return chat::sentence(note),
        Note::NotCopied { reason } => not_copied(reason),
        Note::Remark { text } => text.clone(),
    })
}

fn finished_sentence(finished: &Finished) -> String {
    let Finished { peer, name, bytes: size, seconds, sha256, retransmissions, duplicates, replaced, .. } = finished;
    let peer = peer.map(|peer| format!("{peer}: ")).unwrap_or_default();
    // What was there already did not come over the wire.
    let resumed = finished.windowed.as_ref().map_or(0, |windowed| windowed.resumed);
    let rate = rate(size.saturating_sub(resumed), *seconds);
    // One chunk a round trip is all that stop-and-wait can do; it explains the rate.
    let bound = match (finished.bound, finished.chunk, finished.rtt_ms) {
        (Some(bound), Some(chunk), Some(rtt)) => {
            format!("; a chunk of {chunk} bytes each {rtt:.2} ms bounds it to {}/s", DecimalBytes(bound))
        }
        _ => String::new(),
    };
    if let Some(windowed) = &finished.windowed {
        let got = if finished.mode == MODE_GET { "got " } else { "" };
        return format!(
            "{peer}{}: {got}{} in {seconds:.2} s ({rate}){}",
            Printable(name),
            bytes(*size),
            windowed.sentence(finished.bytes, finished.rtt_ms, sha256.as_deref())
        );
    }
    let sha256 = sha256.as_deref().unwrap_or("unknown");
    let verified = if finished.verified { "verified" } else { "not verified" };
    let mut text = format!(
        "{peer}{}: {} in {seconds:.2} s ({rate}{bound}), {retransmissions} sent again, {duplicates} came again, {verified}, sha256 {sha256}",
        Printable(name),
        bytes(*size),
    );
    if let Some(old) = replaced {
        text += &format!("; replaced a file of {}", bytes(*old));
    }
    text
}

fn account_sentence(account: &AccountNote) -> String {
    let AccountNote { peer, misbehaviour, misbehaved, inward, outward, messages, repeats, .. } = account;
    let mut text = format!("{peer}: done to it: in {}; out {}", inward.sentence(), outward.sentence());
    if let Some(misbehaviour) = misbehaviour {
        text += &format!("; {misbehaviour} {misbehaved} times");
    }
    text += &format!(
        ". It sent {messages} messages, {repeats} of them again, up to {} bytes, at most {:.2} s apart",
        account.longest_datagram, account.longest_silence_s
    );
    match account.exact {
        Some(true) => text += ". Content: exact",
        Some(false) => text += ". Content: DIFFERENT",
        None => {}
    }
    text
}

/// `151234 bytes`, with a shorter form beside it from 10 kB on.
pub fn bytes(count: u64) -> String {
    match count {
        1 => "1 byte".into(),
        0..10_000 => format!("{count} bytes"),
        _ => format!("{count} bytes = {}", DecimalBytes(count)),
    }
}

/// Bytes a second.
fn rate(size: u64, seconds: f64) -> String {
    format!("{}/s", DecimalBytes(per_second(size, seconds)))
}

/// Bytes a second, as a number.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for the eye")]
pub fn per_second(size: u64, seconds: f64) -> u64 {
    if seconds > 0.0 { (size as f64 / seconds) as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_counts_what_was_sent_and_not_what_was_there() {
        let windowed = WindowedNote {
            files: 2,
            missing: 0,
            resumed: 75_000_000,
            there: 38,
            blake3: None,
            wire: None,
            path: None,
            link: None,
        };
        let finished = Finished {
            name: "t".into(),
            bytes: 100_000_000,
            seconds: 5.0,
            windowed: Some(windowed),
            ..Finished::default()
        };
        let expected = "t: 100000000 bytes = 100.00 MB in 5.00 s (5.00 MB/s), 2 files, 38 files were there already, \
                        resumed 75.00 MB of 100.00 MB, verified";
        assert_eq!(finished_sentence(&finished), expected);
    }
}
