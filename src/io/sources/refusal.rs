//! A source that is not copied, and why; the others are.

use crate::chunker::manifest::TargetError;
use crate::name::{NameError, Printable};
use std::fmt;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// A source that is not copied.
#[derive(Debug)]
pub struct Refusal {
    /// Where it is here.
    pub path: PathBuf,
    /// Why.
    pub reason: RefusalReason,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", Printable(&self.path.to_string_lossy()), self.reason)
    }
}

impl Refusal {
    /// The same for whoever asked for it from elsewhere.
    pub fn to_others(&self) -> String {
        let path = self.path.to_string_lossy();
        let path = Printable(if path.is_empty() { "." } else { &path });
        match &self.reason {
            RefusalReason::Read(error) => format!("{path} cannot be read there ({error})"),
            RefusalReason::NotAFile(what) => format!("{path} is {what} there, not a file"),
            RefusalReason::Link => {
                format!(
                    "{path} is a link there, and links are not followed for others; with --links those inside a folder come as links"
                )
            }
            RefusalReason::NotEmpty => format!("{path} says there that it is empty, and is not"),
            reason => format!("{path} {reason}"),
        }
    }
}

/// Why a source is not copied.
#[derive(Debug, Error)]
pub enum RefusalReason {
    /// It is not there, or may not be read.
    #[error("cannot be read ({0}); check its name and its permissions")]
    Read(#[from] io::Error),
    /// It is a folder, and folders were not asked for.
    #[error("is a folder; copy it with -r")]
    Folder,
    /// It is no file.
    #[error("is {0}, not a file; give - and feed it through standard input")]
    NotAFile(&'static str),
    /// A link inside a tree.
    #[error("is a link, and links inside a folder are copied only with --links; name it to copy what it leads to")]
    Link,
    /// A link that leads where no link of a copy may.
    #[error("is a link that {0}")]
    Target(#[from] TargetError),
    /// One of the files of /proc and the like.
    #[error("says that it is empty, and is not; give - and feed it through standard input")]
    NotEmpty,
    /// The other side could not take the name.
    #[error("cannot be copied under its name: {0}")]
    Name(#[from] NameError),
    /// Its bytes are no text.
    #[error("has a name that is not UTF-8; rename it")]
    NotUtf8,
    /// Two sources with one name.
    #[error("would get the name of another source ({0}); copy it separately")]
    Twice(String),
    /// Its owner does not show it to others.
    #[error("is hidden (a name with a dot in front), which only a server with --allow-hidden gives")]
    Hidden,
    /// What is in a folder, and something else.
    #[error("is named for what is in it, and something else is as well; get it alone, or by its name")]
    NotAlone,
    /// There are too many entries, or too many bytes.
    #[error("does not fit into one transfer ({0})")]
    TooMuch(String),
}
