//! Why there was no handshake, in words.

use crate::app::exit;
use crate::app::remedy;
use crate::name::Printable;
use crate::session::handshake::Failure;
use std::time::Duration;

/// Why there was no handshake: the thing, the reason and the remedy.
pub(in crate::app) fn why(target: &str, patience: Duration, is_invited: bool, failure: &Failure) -> (String, u8) {
    let (target, seconds) = (Printable(target), patience.as_secs_f64());
    match failure {
        Failure::NoAnswer { unreachable: true, .. } => (remedy::closed(&target.to_string()), exit::NO_ANSWER),
        Failure::NoAnswer { forged: 0, .. } if is_invited => {
            let text = format!(
                "{target} offers the windowed mode, and did not answer in it for {seconds} s: something in between may let only \
                 text pass; try --mode checked"
            );
            (text, exit::NO_ANSWER)
        }
        Failure::NoAnswer { forged: 0, .. } => {
            let or = "Does it know the windowed mode (--mode lab is for plain lab servers)?";
            (remedy::silent(&target.to_string(), seconds, or), exit::NO_ANSWER)
        }
        Failure::NoAnswer { forged, .. } => {
            let text = format!(
                "{target} gave no genuine answer for {seconds} s, and {forged} that were not; somebody may be in between"
            );
            (text, exit::NO_ANSWER)
        }
        Failure::OtherVersion(version) => {
            let text =
                format!("{target} speaks version {version} of the windowed mode; use the same version on both sides");
            (text, exit::REFUSED)
        }
        Failure::OtherKey { expected, found } => {
            (format!("{target} has the key {}, not {expected}", found.fingerprint()), exit::REFUSED)
        }
        Failure::NotConfirmed => {
            (format!("{target} fell silent in the middle of the handshake; try again"), exit::NO_ANSWER)
        }
    }
}
