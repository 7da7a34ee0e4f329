//! Which name each source gets at the other side, by the rules of cp.

use crate::name::{NameError, SafeName};
use std::collections::VecDeque;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What is to be copied, in the order of its names there.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// What stands before every name, with its `/`; empty for the receiving folder itself.
    pub(super) prefix: String,
    pub(super) sources: VecDeque<Planned>,
    /// The name of standard input, which comes last.
    pub(super) stream: Option<String>,
}

/// A source with its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Planned {
    /// Without the prefix; `None` if the source has no name of its own, as `.`: what is in it goes where it would go.
    pub(super) name: Option<String>,
    pub(super) path: PathBuf,
    /// It was not named itself, but is in a folder that was.
    pub(super) is_within: bool,
}

/// Why the command as a whole makes no sense.
#[derive(Debug, Error)]
pub enum PlanError {
    /// Nothing to copy.
    #[error("nothing to copy; name a file")]
    Nothing,
    /// There is only one standard input.
    #[error("standard input (-) can be copied once; name it once")]
    StreamTwice,
    /// A stream has no name.
    #[error("standard input has no name of its own; copy it alone, to the name that it is to get")]
    StreamWithoutName,
    /// The destination is no name.
    #[error("the destination cannot be used: {0}")]
    Destination(#[from] NameError),
    /// Standard input cannot be kept until it is acknowledged.
    #[error("no room for standard input ({0}); is there any in the temporary folder (TMPDIR)?")]
    Spool(io::Error),
}

/// Gives each source its name.
pub(super) fn plan(paths: &[PathBuf], destination: &str) -> Result<Plan, PlanError> {
    let is_stream = |path: &&PathBuf| path.as_path() == Path::new("-");
    let streams = paths.iter().filter(is_stream).count();
    let whole = destination.trim_start_matches("./").trim_end_matches('/');
    let is_folder = destination.ends_with('/') || matches!(whole, "" | ".") || paths.len() > 1;
    let whole = if whole == "." { "" } else { whole };
    if destination.starts_with('/') {
        return Err(NameError::Absolute.into());
    }
    if !whole.is_empty() {
        SafeName::parse(whole)?;
    }
    match (paths, streams) {
        ([], _) => Err(PlanError::Nothing),
        (_, 2..) => Err(PlanError::StreamTwice),
        (_, 1) if is_folder => Err(PlanError::StreamWithoutName),
        (_, 1) => Ok(Plan { stream: Some(whole.to_owned()), ..Plan::default() }),
        ([path], _) if !is_folder => {
            let source = Planned { name: Some(whole.to_owned()), path: path.clone(), is_within: false };
            Ok(Plan { sources: [source].into(), ..Plan::default() })
        }
        _ => {
            let prefix = if whole.is_empty() { String::new() } else { format!("{whole}/") };
            let sources =
                paths.iter().map(|path| Planned { name: own_name(path), path: path.clone(), is_within: false });
            Ok(Plan { prefix, sources: sources.collect(), stream: None })
        }
    }
}

/// A source's own name; those that are not UTF-8 are found out later.
fn own_name(path: &Path) -> Option<String> {
    // Path takes `folder/.` for `folder`; cp means what is in it.
    let is_inside = path.as_os_str().as_bytes().ends_with(b"/.");
    path.file_name().filter(|_| !is_inside).map(|name| name.to_string_lossy().into_owned())
}
