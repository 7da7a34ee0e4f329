//! How getting begins: the addresses, what to ask for, who we are.

use super::Getting;
use super::account::Account;
use super::place::Place;
use crate::app::copy::connect;
use crate::app::exit;
use crate::app::send::silence::Silence;
use crate::app::send::{BATCH, random};
use crate::chunker::answers::AnswerReader;
use crate::chunker::request::{Attributes, Existing, request_for};
use crate::chunker::wanted::Wanted;
use crate::io::clock;
use crate::io::driver;
use crate::io::events::windowed::UploadNote;
use crate::io::events::{Note, Report};
use crate::io::identity::{ConfigFolder, Role};
use crate::io::processor::preferred_cipher;
use crate::io::qlog::QlogWriter;
use crate::io::signals::Interrupt;
use crate::io::udp::Wire;
use crate::packet::MAX_DATAGRAM;
use crate::session::handshake::{Opening, PrivateKey, call};
use crate::session::windowed::caller::Dialer;
use crate::session::windowed::download::{Download, Fetching};
use crate::session::windowed::upload::Stats;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What to get, where to, and how.
pub struct GetPlan {
    /// `HOST:PORT` as the user wrote it.
    pub target: String,
    /// What is wanted, under which names.
    pub wanted: Wanted,
    /// Beneath what.
    pub place: Place,
    /// What the user calls all of it here.
    pub name: String,
    /// What becomes of files that are here.
    pub existing: Existing,
    /// Which permissions and times they get.
    pub attributes: Attributes,
    /// Also make each file's SHA-256.
    pub sha256: bool,
    /// Give up after this long without an answer.
    pub timeout: Duration,
    /// Give up after this long without a first answer.
    pub first_timeout: Duration,
    /// Where keys are, if not in the user's own folder.
    pub config_dir: Option<PathBuf>,
    /// Where what happens is written down.
    pub qlog: Option<QlogWriter>,
}

/// Gets files; gives the exit code, after everything worth telling was told to `report`.
///
/// # Errors
/// When this machine fails: no socket, no thread, or nobody reads the report any more.
pub fn get(
    plan: GetPlan,
    report: &mut dyn Report,
    interrupt: impl FnOnce(&Wire) -> io::Result<Interrupt>,
) -> io::Result<u8> {
    let mut wire = Wire::new(BATCH)?;
    let prepared = prepare(&plan, &mut wire);
    let (peers, request, folder, key) = match prepared {
        Ok(prepared) => prepared,
        Err((reason, code)) => {
            let (name, exit_code) = (plan.target, Some(code));
            report.note(&Note::Failed { id: 0, peer: None, name, reason, exit_code })?;
            return Ok(code);
        }
    };
    let interrupt = interrupt(&wire)?;
    report.note(&Note::Waiting { target: plan.target.clone() })?;
    if let Some(text) = wire.buffer_hint() {
        report.note(&Note::Uploading(UploadNote::Hint { text }))?;
    }
    let now = clock::now();
    let call = call::Config {
        key,
        expected: None,
        cipher: preferred_cipher(),
        opening: Opening::Binary,
        rtt: None,
        timeout: plan.first_timeout,
        seed: random()?,
    };
    let fetching = Fetching { request, mtu_max: MAX_DATAGRAM, timeout: plan.timeout, seed: random()? };
    let mut caller = Dialer::new(Download::new(call, fetching, now), peers, now);
    if plan.qlog.is_some() {
        caller.errand().record(now);
    }
    let mut getting = Getting {
        known_hosts: folder.known_hosts(),
        plan,
        report,
        interrupt,
        began: now,
        told_at: None,
        silence: Silence::default(),
        is_connected: false,
        is_closed: false,
        rest: None,
        answers: AnswerReader::new(),
        is_answered: false,
        is_said: false,
        leaves_at: None,
        account: Account::default(),
        stats: Stats::default(),
        stopped: None,
    };
    let code = driver::run(&mut wire, &mut caller, &mut getting);
    getting.finish(&mut caller)?;
    code
}

type Prepared = (Vec<std::net::SocketAddr>, Vec<u8>, ConfigFolder, PrivateKey);

/// All that is needed before anything is sent.
fn prepare(plan: &GetPlan, wire: &mut Wire) -> Result<Prepared, (String, u8)> {
    let request = request_for(&plan.wanted).map_err(|error| (error.to_string(), exit::USAGE))?;
    let peers = connect(&plan.target, wire)?;
    let identity = ConfigFolder::open(plan.config_dir.as_deref())
        .and_then(|folder| folder.private_key(Role::Client).map(|key| (folder, key)));
    let (folder, key) = identity.map_err(|error| (error.to_string(), exit::UNEXPECTED))?;
    Ok((peers, request, folder, key))
}
