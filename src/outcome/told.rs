//! Passes notes on, and keeps what a summary is made of.

use super::{Error, Rehearsal, Served, Summary};
use crate::app::exit;
use crate::io::events::chat::Tables;
use crate::io::events::windowed::{LimitNote, UploadNote};
use crate::io::events::{Finished, MODE_GET, Note, Report};
use crate::limits::Limit;
use std::io;
use std::time::Duration;

/// A report that remembers.
pub(crate) struct Told<'a> {
    inner: &'a mut dyn Report,
    finished: Option<Box<Finished>>,
    failed: Option<String>,
    reasons: Vec<String>,
    is_other_key: bool,
    rehearsal: Rehearsal,
    served: Served,
}

impl<'a> Told<'a> {
    pub(crate) fn new(inner: &'a mut dyn Report) -> Self {
        Self {
            inner,
            finished: None,
            failed: None,
            reasons: Vec::new(),
            is_other_key: false,
            rehearsal: Rehearsal::default(),
            served: Served::default(),
        }
    }

    /// What a copy came to that ended with this exit code.
    pub(crate) fn copied(self, ended: io::Result<u8>) -> Result<Summary, Error> {
        let code = ended?;
        let is_partial = self.finished.is_some() || !self.reasons.is_empty();
        let mut summary = self.finished.map_or_else(Summary::default, |finished| summary(*finished));
        summary.missing = summary.missing.max(self.reasons.len() as u64);
        summary.reasons = self.reasons;
        if code == exit::DONE {
            return Ok(summary);
        }
        let reason = self.failed.unwrap_or_else(|| format!("ended with exit code {code}"));
        Err(Error::of(code, reason, self.is_other_key, is_partial.then_some(summary)))
    }

    /// What a rehearsal came to.
    pub(crate) fn rehearsed(self, ended: io::Result<u8>) -> Result<Rehearsal, Error> {
        let code = ended?;
        match self.failed {
            Some(reason) => Err(Error::of(code, reason, false, None)),
            None => Ok(Rehearsal { reasons: self.reasons, ..self.rehearsal }),
        }
    }

    /// What a server came to.
    pub(crate) fn served(self, ended: io::Result<u8>) -> Result<Served, Error> {
        Ok(Served { code: ended?, ..self.served })
    }
}

impl Report for Told<'_> {
    fn note(&mut self, note: &Note) -> io::Result<()> {
        match note {
            Note::Finished(finished) => {
                self.served.count(finished);
                self.finished = Some(finished.clone());
            }
            Note::Failed { reason, .. } => {
                self.served.failed += 1;
                self.failed = Some(reason.clone());
            }
            Note::NotCopied { reason } if self.reasons.len() < REASONS_MAX => self.reasons.push(reason.clone()),
            Note::Uploading(UploadNote::Rehearsed { files, folders, bytes, missing, .. }) => {
                let (files, folders, bytes, missing) = (*files, *folders, *bytes, *missing);
                self.rehearsal = Rehearsal { files, folders, bytes, missing, reasons: Vec::new() };
            }
            _ => {}
        }
        self.inner.note(note)
    }

    fn key_changed(&mut self) {
        self.is_other_key = true;
        self.inner.key_changed();
    }

    fn tables(&self) -> Tables {
        self.inner.tables()
    }
}

impl Served {
    fn count(&mut self, finished: &Finished) {
        if finished.mode == MODE_GET {
            self.downloads += 1;
            self.given = self.given.saturating_add(finished.bytes);
        } else {
            self.uploads += 1;
            self.files += finished.windowed.as_ref().map_or(1, |windowed| windowed.files);
            self.bytes = self.bytes.saturating_add(finished.bytes);
        }
    }
}

fn summary(finished: Finished) -> Summary {
    let Finished { peer, mode, verified, bytes, seconds, sha256, rtt_ms, retransmissions, windowed, .. } = finished;
    let mut summary = Summary {
        peer,
        mode,
        verified,
        files: 1,
        bytes,
        took: duration(seconds),
        sha256,
        rtt: rtt_ms.map(|millis| duration(millis / 1e3)),
        resent: retransmissions,
        ..Summary::default()
    };
    if let Some(windowed) = windowed {
        summary.files = windowed.files;
        summary.missing = windowed.missing;
        summary.resumed = windowed.resumed;
        summary.blake3 = windowed.blake3;
        if let Some(path) = windowed.path {
            summary.loss = Some(path.loss);
            summary.packet_size = Some(path.packet_size);
            summary.congestion = Some(path.congestion);
            summary.cipher = Some(path.cipher);
            summary.verdict = shares(&path.limits);
        }
    }
    summary
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn shares(limits: &[LimitNote]) -> Vec<(Limit, f64)> {
    let total: f64 = limits.iter().map(|note| note.ms).sum();
    let named = |note: &LimitNote| Limit::ALL.into_iter().find(|limit| limit.name() == note.limit);
    limits.iter().filter_map(|note| Some((named(note)?, note.ms / total))).collect()
}

/// As many as are told one by one, from one walk through the sources and the server's answers; a rehearsal tells all of them.
const REASONS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Report for Nobody {
        fn note(&mut self, _note: &Note) -> io::Result<()> {
            Ok(())
        }
    }

    fn failed(code: u8) -> Note {
        Note::Failed { id: 0, peer: None, name: "f".into(), reason: "the reason".into(), exit_code: Some(code) }
    }

    #[test]
    fn each_exit_code_of_the_programs_is_an_error_of_its_own() {
        type Kind = fn(&Error) -> bool;
        let kinds: [(u8, Kind); 9] = [
            (exit::UNEXPECTED, |error| matches!(error, Error::Broken(_))),
            (exit::USAGE, |error| matches!(error, Error::Usage(_))),
            (exit::NO_ANSWER, |error| matches!(error, Error::NoAnswer(_))),
            (exit::REFUSED, |error| matches!(error, Error::Refused(_))),
            (exit::NOT_VERIFIED, |error| matches!(error, Error::NotVerified(_))),
            (exit::LOCAL_FILE, |error| matches!(error, Error::LocalFile(_))),
            (exit::NOT_CONFIRMED, |error| matches!(error, Error::NotConfirmed(_))),
            (exit::INTERRUPTED, |error| matches!(error, Error::Interrupted(_))),
            (143, |error| matches!(error, Error::Interrupted(_))),
        ];
        for (code, is_it) in kinds {
            let (mut nobody, note) = (Nobody, failed(code));
            let mut told = Told::new(&mut nobody);
            told.note(&note).expect("nobody minds");
            let error = told.copied(Ok(code)).expect_err("an error");
            assert!(is_it(&error) && error.exit_code() == code && error.is_told(), "{error:?}");
            assert_eq!((error.to_string().as_str(), error.summary().is_none()), ("the reason", true));
        }
    }

    #[test]
    fn what_came_to_rest_all_the_same_is_in_the_error() {
        let mut nobody = Nobody;
        let mut told = Told::new(&mut nobody);
        told.note(&Note::NotCopied { reason: "b exists".into() }).expect("nobody minds");
        told.note(&Note::Finished(Box::new(Finished { bytes: 7, ..Finished::default() }))).expect("nobody minds");
        told.note(&failed(exit::REFUSED)).expect("nobody minds");
        let error = told.copied(Ok(exit::REFUSED)).expect_err("an error");
        let summary = error.summary().expect("something came to rest");
        assert_eq!((summary.bytes, summary.files, summary.missing), (7, 1, 1));
        assert_eq!(summary.reasons, ["b exists"]);
    }

    #[test]
    fn another_key_is_a_kind_of_refusal() {
        let mut nobody = Nobody;
        let mut told = Told::new(&mut nobody);
        told.key_changed();
        told.note(&failed(exit::REFUSED)).expect("nobody minds");
        assert!(matches!(told.copied(Ok(exit::REFUSED)), Err(Error::KeyChanged(_))));
    }

    #[test]
    fn shares_make_one() {
        let limits = [LimitNote { limit: "path", ms: 30.0 }, LimitNote { limit: "delay", ms: 10.0 }];
        assert_eq!(shares(&limits), [(Limit::Path, 0.75), (Limit::Delay, 0.25)]);
        assert!(shares(&[]).is_empty());
    }
}
