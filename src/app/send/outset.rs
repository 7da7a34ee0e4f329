//! How a windowed copy begins: the addresses, the sources, who we are.

use super::Why;
use super::attempts::run;
use super::balance::Balance;
use crate::app::copy::{Guest, connect};
use crate::app::exit;
use crate::chunker::manifest::Kind;
use crate::chunker::request::{Attributes, Existing};
use crate::compression::Compression;
use crate::io::clock;
use crate::io::events::{Note, Report};
use crate::io::identity::{ConfigFolder, IdentityError, Role};
use crate::io::qlog::QlogWriter;
use crate::io::signals::Interrupt;
use crate::io::sources::{Exclude, Found, Input, PlanError, Sources};
use crate::io::throttle::Limit;
use crate::io::udp::Wire;
use crate::session::congestion::Choice;
use crate::session::handshake::{Opening, PrivateKey};
use crate::session::stop_and_wait::Invitation;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What to copy, where to, and how.
pub struct SendPlan {
    /// `HOST:PORT` as the user wrote it.
    pub target: String,
    /// Files, folders, `-`.
    pub sources: Vec<PathBuf>,
    /// Also folders, with all that is in them.
    pub recursive: bool,
    /// Their name there, or the folder they go into.
    pub destination: String,
    /// What becomes of files that are there.
    pub existing: Existing,
    /// Also make each file's SHA-256.
    pub sha256: bool,
    /// Nothing of an earlier try is used; what is left of it is removed.
    pub restart: bool,
    /// Which congestion control.
    pub choice: Choice,
    /// Give up after this long without an answer.
    pub timeout: Duration,
    /// Give up after this long without a first answer.
    pub first_timeout: Duration,
    /// Where keys are, if not in the user's own folder.
    pub config_dir: Option<PathBuf>,
    /// Where what happens is written down.
    pub qlog: Option<QlogWriter>,
    /// Where the curves are drawn.
    pub plot: Option<PathBuf>,
    /// What else was asked for.
    pub extent: Extent,
}

/// How much is copied of what was named, and how fast.
#[derive(Clone, Debug, Default)]
pub struct Extent {
    /// Which permissions and times it gets there.
    pub attributes: Attributes,
    /// Links inside folders are copied as links.
    pub links: bool,
    /// What is left out of folders.
    pub exclude: Exclude,
    /// Not faster than this.
    pub limit: Option<Limit>,
    /// Whether it goes compressed.
    pub compression: Compression,
}

impl Extent {
    /// Whether the lab's messages have no words for it, or its client no way.
    pub fn needs_windowed(&self) -> bool {
        self.attributes == Attributes::Kept || self.limit.is_some()
    }
}

impl SendPlan {
    /// Whether there may be more than one file.
    pub(super) fn is_many(&self) -> bool {
        self.sources.len() > 1 || self.recursive
    }
}

/// Copies; gives the exit code, after everything worth telling was told to `report`.
///
/// # Errors
/// When this machine fails: no socket, no thread, or nobody reads the report any more.
pub fn send(
    plan: SendPlan,
    report: &mut dyn Report,
    interrupt: impl FnOnce(&Wire) -> io::Result<Interrupt>,
) -> io::Result<u8> {
    let mut wire = Wire::new(BATCH)?;
    let mut balance = Balance::default();
    let (named, peers, identity) = match prepare(&plan, &mut wire, &mut balance, report)? {
        Ok(prepared) => prepared,
        Err(unprepared) => return fail(&plan, unprepared, report),
    };
    let interrupt = interrupt(&wire)?;
    report.note(&Note::Waiting { target: plan.target.clone() })?;
    let beginning = Beginning { peers, opening: Opening::Binary, chosen: None, rtt: None, began: clock::now() };
    run(plan, (named, identity, balance), beginning, &mut wire, (report, interrupt))
}

/// Goes on where a start's acknowledgement has invited to the windowed mode, through the same socket.
pub(in crate::app) fn accept(
    plan: SendPlan,
    identity: Identity,
    guest: Guest,
    wire: &mut Wire,
    report: &mut dyn Report,
) -> io::Result<u8> {
    let Guest { peers, invitation, interrupt, began } = guest;
    let Invitation { peer, start, words, rtt } = invitation;
    let mut balance = Balance::default();
    let named = match name(&plan, &mut balance, report)? {
        Ok(named) => named,
        Err(unprepared) => return fail(&plan, unprepared, report),
    };
    let beginning = Beginning { peers, opening: Opening::Text { start, words }, chosen: Some(peer), rtt, began };
    run(plan, (named, identity, balance), beginning, wire, (report, interrupt))
}

pub(super) fn fail(plan: &SendPlan, (reason, code): Why, report: &mut dyn Report) -> io::Result<u8> {
    let (name, exit_code) = (plan.target.clone(), Some(code));
    report.note(&Note::Failed { id: 0, peer: None, name, reason, exit_code })?;
    Ok(code)
}

/// How the handshake begins.
pub(super) struct Beginning {
    pub(super) peers: Vec<SocketAddr>,
    pub(super) opening: Opening,
    /// The address that has answered already.
    pub(super) chosen: Option<usize>,
    pub(super) rtt: Option<Duration>,
    pub(super) began: Instant,
}

/// What makes a command the same as one that was given before.
pub(super) fn identity(plan: &SendPlan) -> Vec<Vec<u8>> {
    let mut parts = vec![plan.target.clone().into_bytes(), plan.destination.clone().into_bytes()];
    // Where there is no folder that we are in, a path is as good as it is.
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    parts.extend(plan.sources.iter().map(|path| absolute(path).into_os_string().into_vec()));
    parts
}

/// Who we are, and where the keys of others are.
pub(in crate::app) struct Identity {
    pub(in crate::app) folder: ConfigFolder,
    pub(in crate::app) key: PrivateKey,
}

/// The sources, and what the transfer is called.
pub(super) type Named = (Sources, String);

/// What a transfer needs, the server's addresses among it.
type Prepared = (Named, Vec<SocketAddr>, Identity);

/// All that is needed before anything is sent.
fn prepare(
    plan: &SendPlan,
    wire: &mut Wire,
    balance: &mut Balance,
    report: &mut dyn Report,
) -> io::Result<Result<Prepared, Why>> {
    let named = match name(plan, balance, report)? {
        Ok(named) => named,
        Err(unprepared) => return Ok(Err(unprepared)),
    };
    let peers = match connect(&plan.target, wire) {
        Ok(peers) => peers,
        Err(unprepared) => return Ok(Err(unprepared)),
    };
    let identity = ConfigFolder::open(plan.config_dir.as_deref())
        .and_then(|folder| folder.private_key(Role::Client).map(|key| Identity { folder, key }));
    Ok(identity
        .map(|identity| (named, peers, identity))
        .map_err(|error: IdentityError| (error.to_string(), exit::UNEXPECTED)))
}

/// What was named, and nothing that was to be left out.
pub(super) fn gathered(plan: &SendPlan, input: Box<dyn Read + Send>) -> Result<Sources, PlanError> {
    let sources = Sources::gather_with(&plan.sources, plan.recursive, &plan.destination, input)?;
    Ok(shaped(plan, sources))
}

/// The same as it was asked for.
fn shaped(plan: &SendPlan, sources: Sources) -> Sources {
    let sources = if plan.extent.links { sources.with_links() } else { sources };
    sources.excluding(plan.extent.exclude.clone()).compressing(plan.extent.compression)
}

/// Finds the sources and a name for the transfer.
fn name(plan: &SendPlan, balance: &mut Balance, report: &mut dyn Report) -> io::Result<Result<Named, Why>> {
    named(plan, gathered(plan, Box::new(io::stdin())), balance, report)
}

/// The same once more, with what was kept of standard input.
pub(super) fn name_again(
    plan: &SendPlan,
    input: Option<Input>,
    balance: &mut Balance,
    report: &mut dyn Report,
) -> io::Result<Result<Named, Why>> {
    let sources = Sources::gather_again(&plan.sources, plan.recursive, &plan.destination, input);
    named(plan, sources.map(|sources| shaped(plan, sources)), balance, report)
}

fn named(
    plan: &SendPlan,
    sources: Result<Sources, PlanError>,
    balance: &mut Balance,
    report: &mut dyn Report,
) -> io::Result<Result<Named, Why>> {
    let mut sources = match sources {
        Ok(sources) => sources,
        Err(error) => return Ok(Err((error.to_string(), exit::USAGE))),
    };
    Ok(match first(plan, &mut sources, balance, report)? {
        Some(name) => Ok((sources, name)),
        None => Err(balance.verdict().unwrap_or_else(|| ("nothing to copy".to_owned(), exit::LOCAL_FILE))),
    })
}

/// Walks to the first entry, so that nothing is sent for nothing; gives what the transfer is called.
fn first(
    plan: &SendPlan,
    sources: &mut Sources,
    balance: &mut Balance,
    report: &mut dyn Report,
) -> io::Result<Option<String>> {
    while let Some(found) = sources.advance()? {
        let name = match &found {
            Found::Entry { entry, .. } if entry.kind == Kind::Folder || plan.sources.len() > 1 => {
                Some(if plan.destination.is_empty() { ".".to_owned() } else { plan.destination.clone() })
            }
            Found::Entry { entry, .. } => Some(entry.path.to_string()),
            Found::Refused(_) | Found::End(_) => None,
        };
        // The reason of the only source is told at the end.
        if let Some(reason) = balance.on_found(found).filter(|_| plan.sources.len() > 1)
            && balance.may_complain()
        {
            report.note(&Note::NotCopied { reason })?;
        }
        if name.is_some() {
            return Ok(name);
        }
    }
    Ok(None)
}

/// Bytes that nobody can guess.
pub(in crate::app) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

/// How many datagrams are taken from a socket at a time.
pub(in crate::app) const BATCH: usize = 32;
