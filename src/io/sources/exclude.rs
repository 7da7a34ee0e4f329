//! What is left out of a copy: patterns of paths, in the manner of a `.gitignore`.
//!
//! A pattern is held against the path below the source that it lies in, `/` between components. `*` and `?` stay within a
//! component, `**` does not; `[a-z]` is one of these characters, `{a,b}` one of these words, and a backslash takes the meaning from
//! what follows it. A pattern without a `/`, but for a last one, holds at any depth; any other from the source on. With a `/` behind it, it
//! is for folders only. What is in a folder that is left out is left out with it.

use globset::{Glob, GlobBuilder, GlobMatcher};
use std::str::FromStr;
use thiserror::Error;

/// Some patterns.
#[derive(Clone, Debug, Default)]
pub struct Exclude {
    patterns: Vec<Pattern>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Pattern {
    matcher: GlobMatcher,
    folders_only: bool,
}

impl Exclude {
    /// Leaves out what one of these patterns matches.
    pub fn new(patterns: Vec<Pattern>) -> Self {
        Self { patterns }
    }

    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether the path below a source is left out; whether it is a folder is asked only where that counts.
    pub(super) fn has(&self, path: &str, is_folder: impl Fn() -> bool) -> bool {
        self.patterns.iter().any(|pattern| pattern.matcher.is_match(path) && (!pattern.folders_only || is_folder()))
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.starts_with('!') {
            return Err(PatternError::Negated(text.into()));
        }
        let path = text.strip_suffix('/').unwrap_or(text);
        let (folders_only, below) = (path.len() < text.len(), path.strip_prefix('/').unwrap_or(path));
        if below.is_empty() {
            return Err(PatternError::Empty);
        }
        let pattern = if path.contains('/') { below.to_owned() } else { format!("**/{below}") };
        let glob: Glob = GlobBuilder::new(&pattern)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| PatternError::Bad { pattern: text.into(), reason: error.kind().to_string() })?;
        Ok(Self { matcher: glob.compile_matcher(), folders_only })
    }
}

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// It matches nothing.
    #[error("the pattern is empty; write a name or a path below the source, as in '*.tmp'")]
    Empty,
    /// Taking back what another pattern says is not known.
    #[error("`{0}` begins with !, which takes nothing back here; write \\! for a name that begins with it")]
    Negated(String),
    /// It cannot be read.
    #[error("`{pattern}` is no pattern ({reason}); write a backslash before what is meant as it is")]
    Bad {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_to_git() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("*.o", &["a.o", "sub/a.o", "deep/er/.o"], &["a.oo", "a.o/x", "o"]),
            ("/build", &["build"], &["sub/build", "builds"]),
            ("cache/", &["cache/", "sub/cache/"], &["cache", "sub/cache"]),
            ("docs/*.pdf", &["docs/a.pdf"], &["docs/old/a.pdf", "sub/docs/a.pdf"]),
            ("docs/**/*.pdf", &["docs/a.pdf", "docs/old/er/a.pdf"], &["a.pdf"]),
            ("**/logs", &["logs", "a/b/logs"], &["a/logs/x"]),
            ("logs/**", &["logs/x", "logs/y/z"], &["logs"]),
            ("/a/b/", &["a/b/"], &["a/b", "c/a/b/"]),
            ("[ab]?", &["a1", "x/bb"], &["c1", "a/1", "a12"]),
            ("{one,two}", &["one", "x/two"], &["three"]),
            ("\\!x", &["!x"], &["x"]),
            ("\\*", &["*"], &["x"]),
        ];
        for (pattern, matching, others) in cases {
            let exclude = Exclude::new(vec![pattern.parse().expect("a pattern")]);
            let has = |path: &str| exclude.has(path.trim_end_matches('/'), || path.ends_with('/'));
            assert!(matching.iter().all(|path| has(path)), "{pattern} matches {matching:?}");
            assert!(!others.iter().any(|path| has(path)), "{pattern} does not match {others:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        let error = |text: &str| text.parse::<Pattern>().map(|_| ()).expect_err("no pattern");
        assert_eq!(error(""), PatternError::Empty);
        assert_eq!(error("/"), PatternError::Empty);
        assert_eq!(error("!x"), PatternError::Negated("!x".into()));
        assert!(error("[a").to_string().contains("`[a` is no pattern (unclosed character class"), "{}", error("[a"));
    }
}
