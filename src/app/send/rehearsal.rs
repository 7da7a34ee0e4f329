//! What a copy would be, without one: nothing is sent, not even a question.

use super::SendPlan;
use super::outset::gathered;
use crate::app::exit;
use crate::chunker::manifest::Kind;
use crate::io::events::windowed::UploadNote;
use crate::io::events::{Note, Report};
use crate::io::sources::Found;
use std::io;

/// Says what would be copied: each entry to programs and to those who want to read more, what would not be and why, and the sum.
/// Gives the exit code that a copy would have as far as this side knows.
///
/// # Errors
/// When nobody reads the report any more, or our own table cannot be kept.
pub fn rehearse(plan: &SendPlan, report: &mut dyn Report) -> io::Result<u8> {
    let mut sources = match gathered(plan, Box::new(io::empty())) {
        Ok(sources) => sources,
        Err(error) => {
            let (name, code) = (plan.target.clone(), exit::USAGE);
            let exit_code = Some(code);
            report.note(&Note::Failed { id: 0, peer: None, name, reason: error.to_string(), exit_code })?;
            return Ok(code);
        }
    };
    let (mut files, mut folders, mut links, mut bytes, mut missing) = (0, 0, 0, 0_u64, 0);
    let mut is_open = false;
    while let Some(found) = sources.advance()? {
        let entry = match found {
            Found::Entry { entry, .. } => entry,
            Found::Refused(refusal) => {
                missing += 1;
                report.note(&Note::NotCopied { reason: refusal.to_string() })?;
                continue;
            }
            Found::End(_) => break,
        };
        let size = match entry.kind {
            Kind::File { size } => Some(size),
            Kind::Folder | Kind::Open | Kind::Link { .. } => None,
        };
        let is_folder = entry.kind == Kind::Folder;
        is_open |= entry.kind == Kind::Open;
        let link = if let Kind::Link { target } = &entry.kind { Some(target.to_string()) } else { None };
        bytes = bytes.saturating_add(size.unwrap_or_default());
        *match entry.kind {
            Kind::Folder => &mut folders,
            Kind::Link { .. } => &mut links,
            Kind::File { .. } | Kind::Open => &mut files,
        } += 1;
        let name = entry.path.to_string();
        report.note(&Note::Uploading(UploadNote::WouldSend { name, bytes: size, is_folder, link }))?;
    }
    let target = plan.target.clone();
    let rehearsed = UploadNote::Rehearsed { target, files, folders, links, bytes, is_open, missing };
    report.note(&Note::Uploading(rehearsed))?;
    Ok(if missing > 0 { exit::LOCAL_FILE } else { exit::DONE })
}
