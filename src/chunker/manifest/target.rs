//! Where a link leads: text that nobody may use before it was judged.

use crate::name::{NameError, Printable, SafeName};
use std::fmt;
use thiserror::Error;

/// The target of a link as it came, short enough and UTF-8, and nothing more. `Display` writes it safe to print; only
/// [`Target::within`] gives it to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(String);

impl Target {
    /// Takes a target as it came.
    ///
    /// # Errors
    /// [`TargetError::TooLong`] and [`TargetError::NotUtf8`].
    pub fn from_bytes(target: &[u8]) -> Result<Self, TargetError> {
        if target.len() > TARGET_MAX {
            return Err(TargetError::TooLong { bytes: target.len() });
        }
        std::str::from_utf8(target).map(|text| Self(text.to_owned())).map_err(|_| TargetError::NotUtf8)
    }

    /// The target, if the link with the path `link` may have it: it stays beneath the first `root` components of that path, whatever
    /// else is there.
    ///
    /// It may go up only before it goes down. After a name, which may itself be a link by then, nobody knows what `..` is; before
    /// it, it is a folder that the link's own path names. So links whose targets all pass here, each in a folder that is reached without
    /// a link, never lead out together either.
    ///
    /// # Errors
    /// [`TargetError`] says what is wrong with it.
    pub fn within(&self, link: &SafeName, root: usize) -> Result<&str, TargetError> {
        if self.0.is_empty() {
            return Err(TargetError::Empty);
        }
        if self.0.starts_with('/') {
            return Err(TargetError::Absolute);
        }
        let (ups, names) = self.parts();
        if !names.is_empty() {
            if names.split('/').any(|component| component == "..") {
                return Err(TargetError::UpAgain);
            }
            // A dot and a second slash lead nowhere else.
            let plain: Vec<&str> = names.split('/').filter(|component| !matches!(*component, "" | ".")).collect();
            SafeName::parse(&plain.join("/"))?;
        }
        let depth = link.components().count().saturating_sub(1);
        match depth.checked_sub(ups) {
            Some(reached) if reached >= root => Ok(&self.0),
            _ => Err(TargetError::Outside),
        }
    }

    /// The names in it, without what leads up to them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts().1.split('/').filter(|component| !matches!(*component, "" | "." | ".."))
    }

    /// As bytes that stand for themselves.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// How often it goes up at its beginning, and what follows.
    fn parts(&self) -> (usize, &str) {
        let (mut ups, mut rest) = (0_usize, self.0.as_str());
        loop {
            let (first, behind) = rest.split_once('/').unwrap_or((rest, ""));
            match first {
                ".." => ups = ups.saturating_add(1),
                "." | "" if !rest.is_empty() => {}
                _ => return (ups, rest),
            }
            rest = behind;
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(&self.0).fmt(f)
    }
}

/// Why a link is not taken; the sentence goes on where "is a link that" ends.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// Nothing at all.
    #[error("leads nowhere; remove it")]
    Empty,
    /// Longer than people write.
    #[error("has a target of {bytes} bytes, more than {TARGET_MAX}; let it lead there on a shorter way")]
    TooLong {
        /// The length of the target.
        bytes: usize,
    },
    /// Bytes that are no text.
    #[error("has a target that is not UTF-8; rename what it leads to")]
    NotUtf8,
    /// A path from the root of a file system.
    #[error("leads to a path that begins with `/`; make it a relative one, or name it to copy what it leads to")]
    Absolute,
    /// Above the folder that is copied.
    #[error("leads out of what is copied; name it to copy what it leads to")]
    Outside,
    /// Up after a name, where only the file system knows what is above.
    #[error("goes down and up again; make it one without `..` behind a name")]
    UpAgain,
    /// A name that nobody could have.
    #[error("leads to a name that cannot be used: {0}")]
    Name(#[from] NameError),
    /// A name with a dot in front, where such names are not taken or not shown.
    #[error("leads to a hidden name (a dot in front), which only a server with --allow-hidden has to do with")]
    Hidden,
}

/// Bytes of a target. Those that people make have a few dozen.
pub const TARGET_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn judged(target: &str, link: &str, root: usize) -> Result<String, TargetError> {
        let link = SafeName::parse(link).expect("a good name");
        Target::from_bytes(target.as_bytes())?.within(&link, root).map(ToOwned::to_owned)
    }

    #[test]
    fn a_target_within_is_taken_as_it_is() {
        for (target, link, root) in [
            ("x", "t/l", 1),
            ("./x", "t/l", 1),
            ("x/", "t/l", 1),
            ("a//b/./c", "t/l", 1),
            (".", "t/l", 1),
            ("..", "t/a/l", 1),
            ("../", "t/a/l", 1),
            ("../..", "t/a/b/l", 1),
            (".././/../x", "t/a/b/l", 1),
            ("x", "l", 0),
            ("../x", "t/l", 0),
            ("../x", "to/t/a/l", 2),
            (".x", "t/l", 1),
            ("...", "t/l", 1),
            ("caf\u{e9} au lait", "t/l", 1),
        ] {
            assert_eq!(judged(target, link, root).as_deref(), Ok(target), "{link} -> {target}");
        }
    }

    #[test]
    fn each_other_one_is_refused_with_its_reason() {
        for (target, link, root, error) in [
            ("", "t/l", 1, TargetError::Empty),
            ("/", "t/l", 1, TargetError::Absolute),
            ("/etc/passwd", "t/l", 1, TargetError::Absolute),
            ("..", "t/l", 1, TargetError::Outside),
            ("../t/x", "t/l", 1, TargetError::Outside),
            ("./../x", "t/l", 1, TargetError::Outside),
            ("../../x", "t/a/l", 1, TargetError::Outside),
            ("../x", "to/t/l", 2, TargetError::Outside),
            ("..", "l", 0, TargetError::Outside),
            ("x", "l", 1, TargetError::Outside),
            ("a/../b", "t/l", 1, TargetError::UpAgain),
            ("a/..", "t/l", 1, TargetError::UpAgain),
            ("../a/./../b", "t/a/l", 1, TargetError::UpAgain),
            ("a\0b", "t/l", 1, TargetError::Name(NameError::Control { character: '\0', at: 1 })),
            ("\u{1b}[2J", "t/l", 1, TargetError::Name(NameError::Control { character: '\u{1b}', at: 0 })),
            ("a\\b", "t/l", 1, TargetError::Name(NameError::Backslash { at: 1 })),
            (".homing-1", "t/l", 1, TargetError::Name(NameError::Temporary { component: 1 })),
            ("C:x", "t/l", 1, TargetError::Name(NameError::Drive { letter: 'C' })),
        ] {
            assert_eq!(judged(target, link, root), Err(error), "{link} -> {target}");
        }
        assert_eq!(Target::from_bytes(&[b'a'; 1025]), Err(TargetError::TooLong { bytes: 1025 }));
        assert!(Target::from_bytes(&[b'a'; 1024]).is_ok());
        assert_eq!(Target::from_bytes(b"\xff"), Err(TargetError::NotUtf8));
    }

    #[test]
    fn names_are_what_it_leads_to() {
        let names = |target: &str| {
            let target = Target::from_bytes(target.as_bytes()).expect("text");
            target.names().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names("../.././a//.b/c/"), "a .b c");
        assert_eq!((names(".."), names("")), (String::new(), String::new()));
    }

    proptest! {
        #[test]
        fn what_passes_stays_beneath_its_root_at_every_step(
            target in "((\\.\\.|\\.|a|b|)/){0,5}(\\.\\.|\\.|a|b|)", link in "r/(a/|b/){0,3}l", root in 0_usize..3,
        ) {
            let passes = judged(&target, &link, root).is_ok();
            let mut at: Vec<&str> = link.split('/').collect();
            at.pop();
            let stays = at.len() >= root && target.split('/').all(|component| {
                match component {
                    "" | "." => {}
                    ".." => drop(at.pop()),
                    name => at.push(name),
                }
                at.len() >= root
            }) && !target.starts_with("../../../../..");
            prop_assert!(!passes || stays, "{} -> {}", link, target);
        }
    }
}
