//! How a windowed copy begins: the addresses, the sources, who we are.

use super::Sending;
use super::balance::Balance;
use crate::app::copy::resolve;
use crate::app::exit;
use crate::chunker::answers::AnswerReader;
use crate::chunker::manifest::Kind;
use crate::chunker::request::Existing;
use crate::io::clock;
use crate::io::driver;
use crate::io::events::{Note, Report};
use crate::io::identity::{ConfigFolder, IdentityError, Role};
use crate::io::processor::preferred_cipher;
use crate::io::signals::Interrupt;
use crate::io::sources::{Feed, Found, Sources};
use crate::io::udp::Wire;
use crate::packet::MAX_DATAGRAM;
use crate::session::congestion::Choice;
use crate::session::handshake::{Opening, PrivateKey, call};
use crate::session::windowed::caller::Caller;
use crate::session::windowed::upload::{self, Stats, Upload};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Which congestion control.
    pub choice: Choice,
    /// Give up after this long without an answer.
    pub timeout: Duration,
    /// Where keys are, if not in the user's own folder.
    pub config_dir: Option<PathBuf>,
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
    let mut wire = Wire::new(32)?;
    let mut balance = Balance::default();
    let prepared = prepare(&plan, &mut wire, &mut balance, report)?;
    let Prepared { peers, sources, name, folder, key } = match prepared {
        Ok(prepared) => prepared,
        Err((reason, code)) => {
            let (name, exit_code) = (plan.target.clone(), Some(code));
            report.note(&Note::Failed { id: 0, peer: None, name, reason, exit_code })?;
            return Ok(code);
        }
    };
    let interrupt = interrupt(&wire)?;
    report.note(&Note::Waiting { target: plan.target.clone() })?;
    let waker = wire.waker();
    let feed = Feed::new(sources.read_ahead(false, move || waker.wake())?, plan.existing);
    let now = clock::now();
    let (call_seed, seed) = (random()?, random()?);
    let call = call::Config {
        key,
        expected: None,
        cipher: preferred_cipher(),
        opening: Opening::Binary,
        rtt: None,
        timeout: plan.timeout,
        seed: call_seed,
    };
    let sending = upload::Sending { choice: plan.choice, mtu_max: MAX_DATAGRAM, timeout: plan.timeout, seed };
    let mut caller = Caller::new(Upload::new(call, sending, feed, now), peers, now);
    let mut sending = Sending {
        known_hosts: folder.known_hosts(),
        plan,
        name,
        report,
        interrupt,
        began: now,
        told_at: None,
        balance,
        answers: AnswerReader::new(),
        is_connected: false,
        is_closed: false,
        is_done: false,
        stats: Stats::default(),
        stopped: None,
    };
    driver::run(&mut wire, &mut caller, &mut sending)
}

/// What is needed before anything is sent.
struct Prepared {
    peers: Vec<SocketAddr>,
    sources: Sources,
    name: String,
    folder: ConfigFolder,
    key: PrivateKey,
}

type Unprepared = (String, u8);

fn prepare(
    plan: &SendPlan,
    wire: &mut Wire,
    balance: &mut Balance,
    report: &mut dyn Report,
) -> io::Result<Result<Prepared, Unprepared>> {
    let gathered = Sources::gather(&plan.sources, plan.recursive, &plan.destination);
    let mut sources = match gathered {
        Ok(sources) => sources,
        Err(error) => return Ok(Err((error.to_string(), exit::USAGE))),
    };
    let name = match first(plan, &mut sources, balance, report)? {
        Some(name) => name,
        None => {
            let nothing = || ("nothing to copy".to_owned(), exit::LOCAL_FILE);
            return Ok(Err(balance.verdict().unwrap_or_else(nothing)));
        }
    };
    let peers = match connect(plan, wire) {
        Ok(peers) => peers,
        Err(unprepared) => return Ok(Err(unprepared)),
    };
    let identity = ConfigFolder::open(plan.config_dir.as_deref())
        .and_then(|folder| folder.private_key(Role::Client).map(|key| (folder, key)));
    Ok(identity
        .map(|(folder, key)| Prepared { peers, sources, name, folder, key })
        .map_err(|error: IdentityError| (error.to_string(), exit::UNEXPECTED)))
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
            report.note(&Note::Remark { text: format!("not copied: {reason}") })?;
        }
        if name.is_some() {
            return Ok(name);
        }
    }
    Ok(None)
}

/// A socket for each address of the server.
fn connect(plan: &SendPlan, wire: &mut Wire) -> Result<Vec<SocketAddr>, Unprepared> {
    let mut peers = Vec::new();
    let mut refused = None;
    for address in resolve(&plan.target)? {
        match wire.connect(address) {
            Ok(_) => peers.push(address),
            Err(error) => refused = Some(format!("no way to {address}: {error}")),
        }
    }
    if peers.is_empty() {
        let reason = refused.unwrap_or_else(|| format!("{} has no address", plan.target));
        return Err((reason, exit::NO_ANSWER));
    }
    Ok(peers)
}

/// Bytes that nobody can guess.
pub(in crate::app) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}
