//! Which name everything gets here, by the rules of cp, and what is to be asked for so that it comes under that name.

use crate::chunker::wanted::{Pace, WISHES_MAX, Wanted, Wish};
use crate::name::{NameError, SafeName};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Where files come to rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On standard output.
    Output,
    /// Beneath this folder, which is made when it is missing.
    Folder(PathBuf),
}

/// Why the command as a whole makes no sense.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// More than a request holds.
    #[error("more than {WISHES_MAX} paths; name their folder with -r, or get some of them at a time")]
    TooMany,
    /// Not beneath the server's folder.
    #[error("{0:?} cannot be got: {1}")]
    Remote(String, NameError),
    /// Standard output holds one file.
    #[error("standard output (-) takes one file; name one, without -r")]
    Output,
    /// The last argument is no name.
    #[error("{0:?} cannot be a file's name here; name a file, or a folder with a / behind it")]
    Local(String),
}

/// Gives each remote path its name, and says beneath which folder. One path gets the name `local`; several, or one whose `local`
/// ends with `/` or is a folder, go beneath it by their own names; `-` is standard output.
///
/// # Errors
/// [`PlaceError`].
pub fn place(remotes: &[String], local: &str, is_recursive: bool, pace: Pace) -> Result<(Wanted, Place), PlaceError> {
    if remotes.len() > WISHES_MAX {
        return Err(PlaceError::TooMany);
    }
    let mut wishes = Vec::new();
    for remote in remotes {
        wishes.push(wish(remote).map_err(|error| PlaceError::Remote(remote.clone(), error))?);
    }
    let path = Path::new(local);
    let is_folder = local.is_empty() || local.ends_with('/') || wishes.len() > 1 || path.is_dir();
    let place = match wishes.as_mut_slice() {
        [wish] if local == "-" => {
            if is_recursive || wish.name.is_none() {
                return Err(PlaceError::Output);
            }
            Place::Output
        }
        _ if local == "-" => return Err(PlaceError::Output),
        [wish] if !is_folder => {
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| SafeName::parse(name).ok());
            wish.name = Some(name.ok_or_else(|| PlaceError::Local(local.to_owned()))?);
            Place::Folder(
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).into(),
            )
        }
        _ => Place::Folder(if local.is_empty() { ".".into() } else { path.into() }),
    };
    Ok((Wanted { wishes, is_recursive, pace, ..Wanted::default() }, place))
}

/// A path with its own name; what is in it has none around it if it is `.` or ends so.
fn wish(remote: &str) -> Result<Wish, NameError> {
    let is_inside = remote == "." || remote.ends_with("/.");
    let mut path = remote.trim_end_matches("/.").trim_end_matches('/');
    while let Some(rest) = path.strip_prefix("./") {
        path = rest.trim_start_matches('/');
    }
    if matches!(path, "" | ".") {
        // What is left of "/" is nothing, and is no path beneath anything.
        return if remote.starts_with('/') { Err(NameError::Absolute) } else { Ok(Wish { path: None, name: None }) };
    }
    let path = SafeName::parse(path)?;
    let name = if is_inside { None } else { Some(SafeName::parse(path.file_name())?) };
    Ok(Wish { path: Some(path), name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_cp() {
        let there = tempfile::tempdir().expect("a folder");
        let there = there.path().to_str().expect("a plain path");
        for (remotes, local, folder, names) in [
            (&["a/b.jpg"][..], "c.jpg", ".", &[("a/b.jpg", "c.jpg")][..]),
            (&["b.jpg"], "to/c.jpg", "to", &[("b.jpg", "c.jpg")]),
            (&["b.jpg"], "/tmp/c.jpg", "/tmp", &[("b.jpg", "c.jpg")]),
            (&["a/b.jpg"], "to/", "to/", &[("a/b.jpg", "b.jpg")]),
            (&["a/b.jpg"], ".", ".", &[("a/b.jpg", "b.jpg")]),
            (&["a/b.jpg"], there, there, &[("a/b.jpg", "b.jpg")]),
            (&["./a//"], "x", ".", &[("a", "x")]),
            (&["a/b", "c"], "x", "x", &[("a/b", "b"), ("c", "c")]),
            (&["."], "x/", "x/", &[("", "")]),
            (&["."], "x", ".", &[("", "x")]),
            (&["a/."], "x/", "x/", &[("a", "")]),
        ] {
            let remotes: Vec<String> = remotes.iter().map(|remote| (*remote).to_owned()).collect();
            let (wanted, place) = place(&remotes, local, true, Pace::Bbr).expect("a good command");
            assert_eq!(place, Place::Folder(folder.into()), "{remotes:?} {local}");
            let text = |name: &Option<SafeName>| name.as_ref().map(ToString::to_string).unwrap_or_default();
            let got: Vec<_> = wanted.wishes.iter().map(|wish| (text(&wish.path), text(&wish.name))).collect();
            let expected: Vec<_> = names.iter().map(|(path, name)| ((*path).to_owned(), (*name).to_owned())).collect();
            assert_eq!(got, expected, "{remotes:?} {local}");
        }
    }

    #[test]
    fn a_command_that_makes_no_sense_is_an_error() {
        let says = |remotes: &[&str], local: &str, is_recursive| {
            let remotes: Vec<String> = remotes.iter().map(|remote| (*remote).to_owned()).collect();
            place(&remotes, local, is_recursive, Pace::Bbr).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(says(&["a"], "-", false).is_empty());
        for (remotes, local, is_recursive, words) in [
            (&["../a"][..], "x", false, "cannot be got"),
            (&["/etc/passwd"], "x", false, "cannot be got"),
            (&["/"], "x/", true, "cannot be got"),
            (&["a", "b"], "-", false, "one file"),
            (&["a"], "-", true, "one file"),
            (&["."], "-", false, "one file"),
            (&["a"], "x\u{1}", false, "cannot be a file's name"),
        ] {
            let said = says(remotes, local, is_recursive);
            assert!(said.contains(words), "{remotes:?} {local}: {said}");
        }
    }
}
