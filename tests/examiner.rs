//! The built `lab_check`: that it can fail, that it can pass, and that it does what its help says.
//!
//! `tests/broken` has a correct peer and for each case one that breaks its rule. An examination that lets a broken one pass is
//! worth nothing, and one that fails a correct one is worse. Without python3 most of these tests say so and pass.

#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "real programs take real time and leave real files")]

#[path = "examiner/arguments.rs"]
mod arguments;
#[path = "examiner/broken.rs"]
mod broken;
#[path = "examiner/classes.rs"]
mod classes;
#[path = "examiner/correct.rs"]
mod correct;
#[path = "examiner/expected.rs"]
mod expected;
#[path = "examiner/hopeless.rs"]
mod hopeless;
#[path = "examiner/leftovers.rs"]
mod leftovers;
#[path = "examiner/pages.rs"]
mod pages;
#[path = "examiner/pictures.rs"]
mod pictures;
#[path = "examiner/queue.rs"]
mod queue;
#[path = "examiner/tool.rs"]
mod tool;
#[path = "examiner/traces.rs"]
mod traces;

use std::io::Write;
use std::process::{Command, Stdio};

/// Whether there is a Python that the peers run on; says so when a test is skipped for it.
fn has_python() -> bool {
    let is_new_enough = "import sys; sys.exit(sys.version_info < (3, 10))";
    let reason = match Command::new("python3").args(["-c", is_new_enough]).stdin(Stdio::null()).status() {
        Err(error) => format!("no python3 here ({error})"),
        Ok(status) if !status.success() => "the peers need Python 3.10 or newer".into(),
        Ok(_) => return true,
    };
    say(&format!("skipped: {reason}"));
    false
}

/// Straight to standard error: the harness would keep what is printed by a test that passes.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
