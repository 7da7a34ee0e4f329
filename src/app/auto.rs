//! Which mode a copy is made in when nobody has chosen one: the best that both sides know, found out without a cost.

use super::album::Album;
use super::copy::{self, CopyPlan, Ended};
use super::exit;
use super::send::{self, BATCH, Identity, SendPlan, send};
use crate::io::events::{Note, Report};
use crate::io::identity::{ConfigFolder, IdentityError, KnownHostsError, Role};
use crate::io::signals::Interrupt;
use crate::io::source::Source;
use crate::io::udp::Wire;
use crate::packet::Spelling;
use crate::session::Mode;
use std::io;
use std::path::Path;

/// Whether the lab's start has no words for this: it names one file of known length.
pub fn needs_windowed(plan: &SendPlan) -> bool {
    let is_folder = plan.destination.ends_with('/') || matches!(plan.destination.trim_start_matches("./"), "" | ".");
    match plan.sources.as_slice() {
        [local] => {
            plan.extent.needs_windowed() || plan.recursive || is_folder || local == Path::new("-") || local.is_dir()
        }
        _ => true,
    }
}

/// Copies in the best mode that both sides know: with a lab start that offers more, or with the windowed mode at once where the start
/// has no words for it, or where the server is known to speak it. An `album` draws stop-and-wait only.
///
/// # Errors
/// When this machine fails: no socket, no thread, or nobody reads the report any more.
pub fn copy_best(
    plan: SendPlan,
    album: Option<Album>,
    report: &mut dyn Report,
    interrupt: impl FnOnce(&Wire) -> io::Result<Interrupt>,
) -> io::Result<u8> {
    let local = match plan.sources.as_slice() {
        [local] if !needs_windowed(&plan) => local.clone(),
        _ => return send(plan, report, interrupt),
    };
    let source = match Source::open(&local) {
        Ok(source) => source,
        Err(error) => return fail(local.display().to_string(), error.to_string(), exit::LOCAL_FILE, report),
    };
    let identity = match choose(&plan, album.is_some()) {
        Way::Windowed => return send(plan, report, interrupt),
        Way::Offer(identity) => Some(identity),
        Way::StopAndWait(why) => {
            if let Some(why) = why {
                report.note(&Note::Remark { text: format!("the windowed mode is off: {why}") })?;
            }
            None
        }
        Way::Stop(reason, code) => return fail(plan.target, reason, code, report),
    };
    // What was kept until its length was known has no path to be read from again.
    let identity = identity.filter(|_| source.name() == local);
    let start = CopyPlan {
        target: plan.target.clone(),
        source,
        remote: plan.destination.clone(),
        mode: if identity.is_some() { Mode::Any } else { Mode::Auto },
        spelling: Spelling::Spaced,
        timeout: plan.first_timeout,
        album,
    };
    let mut wire = Wire::new(BATCH)?;
    match (copy::begin(start, &mut wire, report, interrupt)?, identity) {
        (Ended::Code(code), _) => {
            if plan.qlog.is_some() {
                let text = "the qlog is empty: it is of windowed transfers, and this was none".into();
                report.note(&Note::Remark { text })?;
            }
            if plan.plot.is_some() {
                let text = "the plot is empty: it is of windowed transfers, and this was none".into();
                report.note(&Note::Remark { text })?;
            }
            Ok(code)
        }
        (Ended::Invited(guest), Some(identity)) => send::accept(plan, identity, *guest, &mut wire, report),
        (Ended::Invited(_), None) => Ok(exit::UNEXPECTED),
    }
}

/// How to begin.
enum Way {
    /// In binary, without a way back: nobody in between shall talk us out of it.
    Windowed,
    /// With a start, and with the windowed mode if it is offered.
    Offer(Identity),
    /// With a start, and without the windowed mode, for this reason if it is worth a word.
    StopAndWait(Option<String>),
    /// Not at all, with this exit code.
    Stop(String, u8),
}

fn choose(plan: &SendPlan, is_drawn: bool) -> Way {
    let folder = match ConfigFolder::open(plan.config_dir.as_deref()) {
        Ok(folder) => folder,
        // Where there is no folder, nobody is known.
        Err(error @ IdentityError::NoPlace) => return Way::StopAndWait(Some(error.to_string())),
        Err(IdentityError::Folder { path, problem }) if !path.is_dir() => {
            let error = IdentityError::Folder { path, problem };
            return Way::StopAndWait(Some(error.to_string()));
        }
        Err(error) => return Way::Stop(format!("{error}; --mode checked does without keys"), exit::UNEXPECTED),
    };
    let (host, port) = plan.target.rsplit_once(':').unwrap_or_default();
    match folder.known_hosts().find(host, port.parse().unwrap_or_default()) {
        Ok(Some(pin)) if pin.is_binary_only && is_drawn => {
            let target = &plan.target;
            let reason = format!(
                "{target} is known to speak the windowed mode, which cannot be drawn; --mode checked can, without encryption"
            );
            return Way::Stop(reason, exit::USAGE);
        }
        Ok(Some(pin)) if pin.is_binary_only => return Way::Windowed,
        Ok(_) if is_drawn => return Way::StopAndWait(None),
        Ok(_) => {}
        // Nobody of that name is ever remembered.
        Err(error @ KnownHostsError::BadHost(_)) => return Way::StopAndWait(Some(error.to_string())),
        Err(error) => return Way::Stop(error.to_string(), exit::REFUSED),
    }
    match folder.private_key(Role::Client) {
        Ok(key) => Way::Offer(Identity { folder, key }),
        Err(error) => Way::StopAndWait(Some(error.to_string())),
    }
}

fn fail(name: String, reason: String, code: u8, report: &mut dyn Report) -> io::Result<u8> {
    report.note(&Note::Failed { id: 0, peer: None, name, reason, exit_code: Some(code) })?;
    Ok(code)
}
