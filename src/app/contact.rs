//! What bringing and getting files have in common: a client's contact with its server, from the server's key to the last words, and
//! what becomes of it when it is lost.

pub(super) mod failure;
pub(super) mod patience;
pub(super) mod silence;

use super::exit;
use crate::io::events::{Note, Report};
use crate::io::identity::{KnownHosts, Met};
use crate::name::Printable;
use crate::session::handshake::{Failure, PublicKey};
use crate::session::windowed::connection::{End, NO_ERROR};
use std::io;
use std::time::Duration;

/// What is said of an end, and the exit code for it.
pub(super) type Why = (String, u8);

/// How an attempt ended.
pub(super) enum Attempt {
    /// For good, with this exit code; all is said.
    Over(u8),
    /// Its connection is lost, and may be made anew. This is why, should that not be tried.
    Lost(Why),
}

/// What the client is here for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    Bring,
    Get,
}

/// The server has shown its key: it is remembered, or compared. Within, why it is not believed.
pub(super) fn meet(
    known_hosts: &KnownHosts,
    target: &str,
    server: &PublicKey,
    report: &mut dyn Report,
) -> io::Result<Result<(), String>> {
    let (host, port) = target.rsplit_once(':').unwrap_or_default();
    let fingerprint = server.fingerprint();
    match known_hosts.meet(host, port.parse().unwrap_or_default(), fingerprint) {
        Err(error) => {
            if error.is_change() {
                report.key_changed();
            }
            return Ok(Err(error.to_string()));
        }
        Ok(Met::FirstTime) => {
            let target = Printable(target);
            let text = format!("{target} is met for the first time; its key is remembered: {fingerprint}");
            report.note(&Note::Remark { text })?;
        }
        Ok(_) => {}
    }
    Ok(Ok(()))
}

/// Why a connection to `target` ended before all was done; without an answer it was waited for so long.
pub(super) fn end(target: &str, patience: Duration, errand: Errand, end: &End) -> Why {
    let (target, seconds) = (Printable(target), patience.as_secs_f64());
    let (there, again) = match errand {
        Errand::Bring => (" there", "Send it again"),
        Errand::Get => ("", "Get it again"),
    };
    match end {
        End::Silent => {
            let text = format!(
                "{target} fell silent: no answer for {seconds} s (--timeout waits longer); files that were not complete are not saved{there}"
            );
            (text, exit::NO_ANSWER)
        }
        End::Forgotten => {
            let text =
                format!("{target} knows nothing of this transfer any more; was the server started anew? {again}");
            (text, exit::NO_ANSWER)
        }
        End::ClosedByPeer { code: NO_ERROR, .. } | End::Closed => ("stopped".into(), exit::UNEXPECTED),
        End::ClosedByPeer { reason, .. } => (format!("refused by the server: {}", Printable(reason)), exit::REFUSED),
        End::Broken(reason) => (format!("the connection broke: {}", Printable(reason)), exit::UNEXPECTED),
    }
}

/// Whether the server may be there again, or soon, without being against us. A silence was waited for long enough already.
pub(super) fn is_lost(end: &End) -> bool {
    *end == End::Forgotten
}

/// The same of a handshake that is not the first.
pub(super) fn is_away(failure: &Failure) -> bool {
    matches!(failure, Failure::NoAnswer { .. } | Failure::NotConfirmed)
}

/// How often progress is told.
pub(super) const TELL_EVERY: Duration = Duration::from_millis(100);

/// A server that is just being started gets so long to open its port.
pub(super) const CLOSED_AFTER: Duration = Duration::from_millis(1500);

/// The client does not go on, for the reason that it says.
pub(super) const STOPPED: u64 = 0x110;
