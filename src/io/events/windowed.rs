//! What is told of windowed transfers, besides what is told of all.

use super::Volume;
use crate::limits::{Limit, Spent};
use crate::name::Printable;
use crate::session::windowed::upload::Stats;
use indicatif::DecimalBytes;
use serde::Serialize;

/// What happened to an upload.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum UploadNote {
    /// A file was read.
    Digest {
        /// Its name there.
        name: String,
        /// SHA-256 of its content, in hexadecimal.
        sha256: String,
    },
    /// The server does not answer.
    Silent {
        /// For so many seconds.
        seconds: u64,
        /// After so many the transfer is given up.
        patience: u64,
    },
    /// The server answers again.
    Answering {
        /// After so many seconds.
        seconds: u64,
    },
    /// The connection is lost; another one is made.
    Reconnecting {
        /// For the so many-th time, since it was lost.
        attempt: u32,
        /// In so many seconds.
        seconds: u64,
    },
    /// How fast is sent at most, from now on.
    Limited {
        /// In bytes of UDP payload; `null` for no limit.
        bytes_per_second: Option<u64>,
    },
    /// This would be copied.
    WouldSend {
        /// Its name there.
        name: String,
        /// Its size in bytes; `null` for a folder, a link and standard input.
        bytes: Option<u64>,
        /// Whether it is a folder.
        is_folder: bool,
        /// Where it leads, if it is a link.
        #[serde(skip_serializing_if = "Option::is_none")]
        link: Option<String>,
    },
    /// So much would be copied.
    Rehearsed {
        /// Where to.
        target: String,
        /// Files.
        files: u64,
        /// Folders.
        folders: u64,
        /// Links.
        links: u64,
        /// Bytes of the files, but for those of standard input.
        bytes: u64,
        /// Standard input is among them, and nobody knows how long it is.
        is_open: bool,
        /// What would not be copied.
        missing: u64,
    },
    /// What could make this machine faster.
    Hint {
        /// In a sentence.
        text: String,
    },
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

impl UploadNote {
    pub(super) fn sentence(&self) -> String {
        match self {
            // As sha256sum prints it, and checks it.
            UploadNote::Digest { name, sha256 } => format!("{sha256}  {}", Printable(name)),
            UploadNote::Silent { seconds, patience } => {
                format!("no answer for {seconds} s; waiting up to {patience} s")
            }
            UploadNote::Answering { seconds } => format!("an answer again after {seconds} s; it goes on"),
            UploadNote::Reconnecting { attempt, seconds } => {
                format!("connection lost; trying again in {seconds} s (attempt {attempt})")
            }
            UploadNote::Limited { bytes_per_second: None } => "sending without a limit".into(),
            UploadNote::Limited { bytes_per_second: Some(rate) } => {
                format!("sending at most {}/s ({} kbit/s)", DecimalBytes(*rate), rate.saturating_mul(8) / 1000)
            }
            UploadNote::WouldSend { name, bytes: Some(bytes), .. } => {
                format!("would send {}, {}", Printable(name), DecimalBytes(*bytes))
            }
            UploadNote::WouldSend { name, link: Some(target), .. } => {
                format!("would send {} -> {}", Printable(name), Printable(target))
            }
            UploadNote::WouldSend { name, is_folder, .. } => {
                format!("would send {}{}", Printable(name), if *is_folder { "/" } else { " from standard input" })
            }
            UploadNote::Rehearsed { target, files, folders, links, bytes, is_open, missing } => {
                let (target, bytes) = (Printable(target), DecimalBytes(*bytes));
                let open = if *is_open { " and standard input" } else { "" };
                let not = if *missing > 0 { format!("; {missing} would not be copied") } else { String::new() };
                let (s, folders_s) = (plural(*files), plural(*folders));
                let links = if *links > 0 { format!(" and {links} link{}", plural(*links)) } else { String::new() };
                format!(
                    "would send {files} file{s} and {folders} folder{folders_s}{links}, {bytes}{open}, to {target}{not}; nothing was sent"
                )
            }
            UploadNote::Hint { text } => text.clone(),
        }
    }

    /// Whether a person who wants to read so much is told.
    pub fn is_told(&self, volume: Volume) -> bool {
        match self {
            UploadNote::Hint { .. } | UploadNote::WouldSend { .. } => volume == Volume::Verbose,
            UploadNote::Digest { .. }
            | UploadNote::Silent { .. }
            | UploadNote::Answering { .. }
            | UploadNote::Reconnecting { .. }
            | UploadNote::Limited { .. }
            | UploadNote::Rehearsed { .. } => volume != Volume::Quiet,
        }
    }
}

/// How many files came to rest, and, at a client, what the path was like.
#[derive(Clone, Debug, Serialize)]
pub struct WindowedNote {
    /// Files that have their names.
    pub files: u64,
    /// Entries that were refused or came to nothing.
    pub missing: u64,
    /// Bytes that were there from an earlier session, and were not sent again.
    pub resumed: u64,
    /// Files besides those that were there already: none of their bytes was sent.
    pub there: u64,
    /// BLAKE3 of the content in hexadecimal, of a single file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blake3: Option<String>,
    /// How many bytes that was on the wire, where this side knows.
    #[serde(flatten)]
    pub wire: Option<WireNote>,
    /// What sending it was like.
    #[serde(flatten)]
    pub path: Option<PathNote>,
    /// How it was sent, as far as who received it knows.
    #[serde(flatten)]
    pub link: Option<LinkNote>,
}

/// How files that were got came here.
#[derive(Clone, Debug, Serialize)]
pub struct LinkNote {
    /// Which congestion control was asked for.
    pub congestion: String,
    /// What packets were sealed with.
    pub cipher: String,
}

/// What compressing has brought.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct WireNote {
    /// Bytes of files that were copied.
    pub plain_bytes: u64,
    /// What they took on the wire, without headers and what was sent again.
    pub wire_bytes: u64,
}

impl WireNote {
    /// What so many bytes of files took.
    pub fn new(stats: &Stats, plain_bytes: u64) -> Self {
        Self { plain_bytes, wire_bytes: stats.on_wire(plain_bytes) }
    }

    /// What follows the rate; nothing where nothing became smaller.
    fn words(&self) -> String {
        if self.wire_bytes >= self.plain_bytes {
            return String::new();
        }
        format!(", compressed to {:.0} %", percent(self.wire_bytes, self.plain_bytes))
    }
}

#[expect(clippy::cast_precision_loss, reason = "for the eye")]
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// What sending was like.
#[derive(Clone, Debug, Serialize)]
pub struct PathNote {
    /// The share of packets that were lost, from 0 to 1.
    pub loss: f64,
    /// Bytes of files that were sent again.
    pub bytes_again: u64,
    /// The UDP payload of the largest packets, in bytes.
    pub packet_size: usize,
    /// Which congestion control was in charge.
    pub congestion: String,
    /// What packets were sealed with.
    pub cipher: String,
    /// What held the transfer back, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// The same for programs, the longest first.
    pub limits: Vec<LimitNote>,
    /// Packets that the receiver's kernel dropped meanwhile, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiver_drops: Option<u64>,
}

/// For how long something held a transfer back.
#[derive(Clone, Debug, Serialize)]
pub struct LimitNote {
    /// See [`Limit::name`].
    pub limit: &'static str,
    /// Milliseconds.
    pub ms: f64,
}

impl LimitNote {
    /// All that held it back for any time, the longest first.
    pub fn all(spent: &Spent) -> Vec<Self> {
        let mut all: Vec<Limit> = Limit::ALL.into_iter().filter(|limit| !spent.of(*limit).is_zero()).collect();
        all.sort_by_key(|limit| std::cmp::Reverse(spent.of(*limit)));
        all.into_iter().map(|limit| Self { limit: limit.name(), ms: spent.of(limit).as_secs_f64() * 1e3 }).collect()
    }
}

impl PathNote {
    /// What follows the rate.
    pub fn words(&self, rtt_ms: Option<f64>) -> String {
        let PathNote { loss, bytes_again, packet_size, congestion, cipher, .. } = self;
        let (rtt_ms, loss, again) = (rtt_ms.unwrap_or_default(), loss * 100.0, DecimalBytes(*bytes_again));
        format!(
            ", rtt {rtt_ms:.2} ms, {loss:.2} % lost, {again} sent again, packets of {packet_size} bytes, {congestion}, {cipher}"
        )
    }
}

impl WindowedNote {
    /// What follows the size and the rate in the closing line.
    pub(super) fn sentence(&self, bytes: u64, rtt_ms: Option<f64>, sha256: Option<&str>) -> String {
        let mut text = match self.files {
            1 => String::new(),
            files => format!(", {files} files"),
        };
        if self.there > 0 {
            let (there, verb) = (self.there, if self.there == 1 { "was" } else { "were" });
            text += &format!(", {there} file{} {verb} there already", plural(there));
        }
        if self.resumed > 0 {
            text += &format!(", resumed {} of {}", DecimalBytes(self.resumed), DecimalBytes(bytes));
        }
        text += &self.wire.map_or(String::new(), |wire| wire.words());
        if let Some(path) = &self.path {
            text += &path.words(rtt_ms);
        }
        if let Some(LinkNote { congestion, cipher }) = &self.link {
            text += &format!(", rtt {:.2} ms, {congestion}, {cipher}", rtt_ms.unwrap_or_default());
        }
        if self.missing > 0 {
            text += &format!(", {} not copied", self.missing);
        }
        text += ", verified";
        if let Some(blake3) = &self.blake3 {
            text += &format!(", blake3 {blake3}");
        }
        if let Some(sha256) = sha256 {
            text += &format!(", sha256 {sha256}");
        }
        // What held it back has a line of its own.
        if let Some(verdict) = self.path.as_ref().and_then(|path| path.verdict.as_ref()) {
            text += &format!("\n{verdict}");
        }
        text
    }
}
