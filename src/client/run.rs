//! A call, from what was asked for to what it came to.

use super::{Client, Mode};
use crate::app::album::{Album, Diagrams};
use crate::app::auto::{copy_best, needs_windowed};
use crate::app::copy::{CopyPlan, check_target, copy};
use crate::app::get::{GetPlan, Place, get, place};
use crate::app::send::{Extent, SendPlan, rehearse, send};
use crate::app::{TIMEOUT, WINDOWED_TIMEOUT, exit};
use crate::chunker::request::{Attributes, Existing, Likeness};
use crate::chunker::wanted::Pace;
use crate::compression::Compression;
use crate::io::events::{Note, Report};
use crate::io::qlog::{Format, QlogWriter, Vantage};
use crate::io::recording;
use crate::io::signals::Interrupt;
use crate::io::source::Source;
use crate::io::sources::Exclude;
use crate::io::udp::Wire;
use crate::outcome::{Error, Rehearsal, Summary, Told};
use crate::packet::Spelling;
use crate::session;
use crate::session::congestion::Choice;
use std::io;
use std::path::{Path, PathBuf};

/// What a call's socket is shown to as soon as it is there, and what ends the call from then on.
type Attach<'a> = &'a mut dyn FnMut(&Wire) -> io::Result<Interrupt>;

impl Client {
    pub(super) fn run_send(&mut self, sources: Vec<PathBuf>, destination: &str) -> Result<Summary, Error> {
        self.check()?;
        match self.mode {
            Mode::Auto if self.spelling == Spelling::Spaced => self.send_best(sources, destination),
            Mode::Auto | Mode::Lab => self.send_plainly(&sources, destination, session::Mode::Lab),
            Mode::Checked => self.send_plainly(&sources, destination, session::Mode::Checked),
            Mode::Windowed => {
                self.check_undrawn()?;
                let plan = self.send_plan(sources, destination)?;
                self.watched(|report, attach| send(plan, report, attach))
            }
        }
    }

    fn send_best(&mut self, sources: Vec<PathBuf>, destination: &str) -> Result<Summary, Error> {
        check_destination(destination)?;
        if self.is_drawn() && self.qlog().is_some() {
            return Err(Error::usage("a qlog is of windowed transfers, which cannot be drawn"));
        }
        let plan = self.send_plan(sources, destination)?;
        if needs_windowed(&plan) {
            self.check_undrawn()?;
        }
        let album = self.album()?;
        self.watched(|report, attach| copy_best(plan, album, report, attach))
    }

    fn send_plainly(&mut self, sources: &[PathBuf], remote: &str, mode: session::Mode) -> Result<Summary, Error> {
        if let Some(option) = self.windowed_options().next() {
            return Err(Error::usage(format!("{option} needs --mode auto or windowed")));
        }
        if self.qlog().is_some() {
            let reason = "a qlog is of windowed transfers: it needs --mode auto or windowed; in other modes --trace writes FILE.jsonl";
            return Err(Error::usage(reason));
        }
        let [local] = sources else {
            return Err(Error::usage("several files at once need --mode auto or windowed"));
        };
        check_destination(remote)?;
        let (source, album) = match Source::open(local) {
            Ok(source) => (source, self.album()?),
            Err(error) => {
                let (name, reason) = (local.display().to_string(), error.to_string());
                let exit_code = Some(exit::LOCAL_FILE);
                let note = Note::Failed { id: 0, peer: None, name, reason, exit_code };
                return self.watched(|report, _| report.note(&note).map(|()| exit::LOCAL_FILE));
            }
        };
        let (target, remote, timeout) = (self.target.clone(), remote.to_owned(), self.timeout.unwrap_or(TIMEOUT));
        let plan = CopyPlan { target, source, remote, mode, spelling: self.spelling, timeout, album };
        self.watched(|report, attach| copy(plan, report, attach))
    }

    pub(super) fn run_rehearsal(&mut self, sources: Vec<PathBuf>, destination: &str) -> Result<Rehearsal, Error> {
        self.check()?;
        if matches!(self.mode, Mode::Lab | Mode::Checked) {
            return Err(Error::usage("--dry-run needs --mode auto or windowed"));
        }
        let plan = self.send_plan(sources, destination)?;
        let mut told = Told::new(self.report.as_mut());
        let ended = rehearse(&plan, &mut told);
        told.rehearsed(ended)
    }

    pub(super) fn run_get(&mut self, remotes: Vec<String>, local: &Path) -> Result<Summary, Error> {
        self.check()?;
        if matches!(self.mode, Mode::Lab | Mode::Checked) || self.spelling == Spelling::Compact {
            return Err(Error::usage("--get needs --mode auto or windowed"));
        }
        self.check_undrawn()?;
        if let Some(option) = self.sending_options().next() {
            let reason = format!("{option} is for what is sent from here; --get does not know it");
            return Err(Error::usage(reason));
        }
        if self.restart && matches!(self.existing, Existing::Update(_)) {
            return Err(Error::usage(
                "--get does not begin anew with --restart and leave what is here with --update at once",
            ));
        }
        let Some(local) = local.to_str() else {
            return Err(Error::usage(format!("{} is not UTF-8, which a name here must be", local.display())));
        };
        let placed = place(&remotes, local, self.recursive, self.pace()?);
        let (mut wanted, place) = placed.map_err(|error| Error::usage(error.to_string()))?;
        (wanted.has_links, wanted.compression) = (self.links, self.compression);
        let name = if place == Place::Output { remotes.concat() } else { local.to_owned() };
        let plan = GetPlan {
            target: self.target.clone(),
            wanted,
            place,
            name,
            existing: self.existing,
            attributes: self.kept(),
            sha256: self.sha256,
            restart: self.restart,
            timeout: self.timeout.unwrap_or(WINDOWED_TIMEOUT),
            first_timeout: self.timeout.unwrap_or(TIMEOUT),
            config_dir: self.config_dir.clone(),
            qlog: self.qlog_writer()?,
        };
        self.watched(|report, attach| get(plan, report, attach))
    }

    /// What the server is asked to send by.
    fn pace(&self) -> Result<Pace, Error> {
        match self.congestion {
            Choice::Bbr => Ok(Pace::Bbr),
            Choice::Cubic => Ok(Pace::Cubic),
            Choice::Background => Ok(Pace::Background),
            Choice::Fixed(_) => {
                let reason =
                    "a server does not send at a rate that others fix; with --get take bbr, cubic or background";
                Err(Error::usage(reason))
            }
        }
    }

    /// The transfer as the windowed mode would make it.
    fn send_plan(&self, sources: Vec<PathBuf>, destination: &str) -> Result<SendPlan, Error> {
        let qlog = self.qlog_writer()?;
        if let Some(path) = &self.plot {
            // A wrong path is noticed before anything is copied.
            let unwritten =
                |error: io::Error| io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()));
            recording::create(path).map_err(unwritten)?;
        }
        Ok(SendPlan {
            target: self.target.clone(),
            sources,
            recursive: self.recursive,
            destination: destination.to_owned(),
            existing: self.existing,
            sha256: self.sha256,
            restart: self.restart,
            choice: self.congestion,
            timeout: self.timeout.unwrap_or(WINDOWED_TIMEOUT),
            first_timeout: self.timeout.unwrap_or(TIMEOUT),
            config_dir: self.config_dir.clone(),
            qlog,
            plot: self.plot.clone(),
            extent: Extent {
                attributes: self.kept(),
                links: self.links,
                exclude: Exclude::new(self.exclude.clone()),
                limit: self.limit.clone(),
                compression: self.compression,
            },
        })
    }

    /// An update goes by the times that the one before has kept.
    fn kept(&self) -> Attributes {
        if matches!(self.existing, Existing::Update(_)) { Attributes::Kept } else { self.attributes }
    }

    /// Works where it can be cancelled, and sums up what was told.
    fn watched(&mut self, work: impl FnOnce(&mut dyn Report, Attach) -> io::Result<u8>) -> Result<Summary, Error> {
        if self.canceller.is_cancelled() {
            return Err(Error::cancelled());
        }
        let (canceller, signals) = (&self.canceller, self.signals);
        let mut told = Told::new(self.report.as_mut());
        let ended = work(&mut told, &mut |wire| canceller.attach(wire.waker(), signals));
        canceller.detach();
        told.copied(ended)
    }

    fn check(&self) -> Result<(), Error> {
        let mode = match self.mode {
            Mode::Auto | Mode::Lab => None,
            Mode::Checked => Some("checked"),
            Mode::Windowed => Some("windowed"),
        };
        if let Some(mode) = mode.filter(|_| self.spelling == Spelling::Compact) {
            let reason = format!("--mode {mode} needs the spaced spelling: the compact one has no place for an offer");
            return Err(Error::usage(reason));
        }
        check_target(&self.target).map_err(Error::usage)
    }

    fn check_undrawn(&self) -> Result<(), Error> {
        if self.is_drawn() {
            let reason = "windowed transfers cannot be drawn, they have too many packets; --trace FILE.qlog (or .sqlog) writes a qlog";
            return Err(Error::usage(reason));
        }
        Ok(())
    }

    /// Those of its settings that only the windowed mode knows, by the names of their options.
    fn windowed_options(&self) -> impl Iterator<Item = &'static str> {
        let both = [
            (self.recursive, "-r"),
            (self.existing == Existing::Replace, "--overwrite"),
            (self.existing == Existing::Update(Likeness::Time), "--update"),
            (self.existing == Existing::Update(Likeness::Content), "--checksum"),
            (self.links, "--links"),
            (self.attributes != Attributes::Fresh, "--preserve"),
            (self.sha256, "--sha256"),
            (self.restart, "--restart"),
            (self.compression != Compression::Auto, "--compress"),
            (self.congestion != Choice::Bbr, "--congestion"),
        ];
        both.into_iter().filter_map(|(is_used, option)| is_used.then_some(option)).chain(self.sending_options())
    }

    /// Those that only what is sent knows.
    fn sending_options(&self) -> impl Iterator<Item = &'static str> {
        let sending = [
            (self.plot.is_some(), "--plot"),
            (!self.exclude.is_empty(), "--exclude"),
            (self.limit.is_some(), "--limit"),
        ];
        sending.into_iter().filter_map(|(is_used, option)| is_used.then_some(option))
    }

    fn is_drawn(&self) -> bool {
        self.diagram.is_some() || self.ladder || self.recording().is_some()
    }

    fn album(&self) -> io::Result<Option<Album>> {
        Album::open(self.diagram.clone().map(Diagrams::File), self.ladder, self.recording())
    }

    fn recording(&self) -> Option<&Path> {
        self.trace.as_deref().filter(|path| Format::of(path).is_none())
    }

    fn qlog(&self) -> Option<&Path> {
        self.trace.as_deref().filter(|path| Format::of(path).is_some())
    }

    fn qlog_writer(&self) -> io::Result<Option<QlogWriter>> {
        self.qlog().map(|path| QlogWriter::create(path, Vantage::Client)).transpose()
    }
}

fn check_destination(destination: &str) -> Result<(), Error> {
    if destination.is_empty() {
        return Err(Error::usage("REMOTE is empty; give the file a name there"));
    }
    Ok(())
}
