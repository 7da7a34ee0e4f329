//! What an examination finds.

use crate::trace::Exchange;
use std::time::Duration;

/// A rule of the protocol that is examined by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The case's name: words with hyphens.
    pub case: &'static str,
    /// The rule in one sentence.
    pub rule: &'static str,
}

/// How a case came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The rule is kept.
    Pass,
    /// It is broken.
    Fail,
    /// It does not apply here, or cannot be seen from here.
    NotApplicable,
}

impl Verdict {
    /// `pass`, `fail` or `na`.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::NotApplicable => "na",
        }
    }
}

/// What one case showed.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which rule.
    pub rule: Rule,
    /// How it came out.
    pub verdict: Verdict,
    /// Why, with the messages where it went wrong; for a pass what is remarkable all the same, or nothing.
    pub why: String,
    /// What passed, one for each client.
    pub exchanges: Vec<Exchange>,
    /// The end of what the examined program printed.
    pub said: String,
    /// How long it took.
    pub took: Duration,
}

/// Why a case ends before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The rule is broken: how, in a sentence.
    Broken(String),
    /// The rule does not apply: why.
    NotApplicable(String),
}

impl Fault {
    /// The rule is broken.
    pub fn broken(why: impl Into<String>) -> Self {
        Fault::Broken(why.into())
    }

    /// The same, with what happened before.
    pub fn after(self, what: &str) -> Self {
        match self {
            Fault::Broken(why) => Fault::Broken(format!("{what}: {why}")),
            other => other,
        }
    }

    /// Why, whatever the kind.
    pub fn into_words(self) -> String {
        match self {
            Fault::Broken(why) | Fault::NotApplicable(why) => why,
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Fault::NotApplicable(format!("this machine failed while examining: {error}"))
    }
}
