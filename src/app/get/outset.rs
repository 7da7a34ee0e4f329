//! How getting begins: the addresses, what to ask for, who we are.

use super::attempts;
use super::place::Place;
use crate::app::contact::Why;
use crate::app::copy::connect;
use crate::app::exit;
use crate::app::send::BATCH;
use crate::chunker::request::{Attributes, Existing, request_for};
use crate::chunker::wanted::Wanted;
use crate::io::events::windowed::UploadNote;
use crate::io::events::{Note, Report};
use crate::io::identity::{ConfigFolder, Role};
use crate::io::qlog::QlogWriter;
use crate::io::signals::Interrupt;
use crate::io::udp::Wire;
use crate::session::handshake::PrivateKey;
use std::io;
use std::net::SocketAddr;
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
    /// Nothing of an earlier try is used; what is left of it is removed.
    pub restart: bool,
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
    let (peers, folder, key) = match prepared {
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
    attempts::run(plan, (peers, folder, key), &mut wire, (report, interrupt))
}

pub(super) type Prepared = (Vec<SocketAddr>, ConfigFolder, PrivateKey);

/// All that is needed before anything is sent.
fn prepare(plan: &GetPlan, wire: &mut Wire) -> Result<Prepared, Why> {
    request_for(&plan.wanted).map_err(|error| (error.to_string(), exit::USAGE))?;
    let peers = connect(&plan.target, wire)?;
    let identity = ConfigFolder::open(plan.config_dir.as_deref())
        .and_then(|folder| folder.private_key(Role::Client).map(|key| (folder, key)));
    let (folder, key) = identity.map_err(|error| (error.to_string(), exit::UNEXPECTED))?;
    Ok((peers, folder, key))
}
