//! Help, manual pages and completions: complete, and readable by those who read them.

use crate::harness::{
    BAD_SERVER, CHAT_CLIENT, CHAT_SERVER, CLIENT, ECHO_CLIENT, ECHO_SERVER, Folder, LOSSY_LINK, Program, SERVER,
    all_at_once,
};
use std::fs;
use std::path::Path;
use std::process::Command;

const LAB_CHECK: &str = env!("CARGO_BIN_EXE_lab_check");

const PROGRAMS: [&str; 9] =
    [BAD_SERVER, CHAT_CLIENT, CHAT_SERVER, CLIENT, ECHO_CLIENT, ECHO_SERVER, LAB_CHECK, LOSSY_LINK, SERVER];

fn name(program: &str) -> String {
    Path::new(program).file_name().expect("a name").to_string_lossy().into_owned()
}

/// Whether there is such a program here; says what is skipped if there is none.
fn has(program: &str) -> bool {
    let has = Command::new(program).arg("--version").output().is_ok();
    if !has {
        println!("skipped: there is no {program} on this machine");
    }
    has
}

#[test]
fn help_begins_with_examples_and_fits_80_columns() {
    for words in ["-h", "--help"] {
        for program in PROGRAMS {
            let help = Program::start("env", &["COLUMNS=80", program, words]).end().expect(0).out;
            for line in &help {
                assert!(line.chars().count() <= 80, "{program} {words}: {line}");
            }
            let at = |start: &str| help.iter().position(|line| line.starts_with(start));
            let (examples, usage) = (at("Examples:").expect("examples"), at("Usage:").expect("usage"));
            assert!(examples < usage, "{program} {words}: {help:#?}");
            let first = help[examples + 1..].iter().take_while(|line| !line.is_empty());
            assert!(first.filter(|line| line.contains(&name(program))).count() >= 3, "{program}: {help:#?}");
        }
    }
}

#[test]
fn beginners_are_spared_what_experts_need() {
    let lines = |words: &str| Program::start(CLIENT, &[words]).end().expect(0).out.join("\n");
    let (short, long) = (lines("-h"), lines("--help"));
    for option in ["--overwrite", "--recursive", "--timeout", "--show-config"] {
        assert!(short.contains(option) && long.contains(option), "{option}");
    }
    for option in ["--spelling", "--trace", "--config-dir", "--generate"] {
        assert!(!short.contains(option) && long.contains(option), "{option}");
    }
}

#[test]
fn completions_are_good_for_their_shells() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"].into_iter().filter(|shell| has(shell)) {
        all_at_once(PROGRAMS, |program| {
            let text = Program::start(program, &["--generate", shell]).end().expect(0).out.join("\n");
            assert!(text.contains("--help") && text.contains(&name(program)), "{program} {shell}");
            let path = folder.at(&format!("{}.{shell}", name(program)));
            fs::write(&path, text + "\n").expect("a file");
            let checked = Program::start(shell, &["-n", path.to_str().expect("a plain path")]).end().expect(0);
            assert!(checked.err.is_empty(), "{program} {shell}: {checked:#?}");
        });
    }
    let bash = Program::start(CLIENT, &["--generate", "bash"]).end().expect(0).out.join("\n");
    assert!(bash.contains("auto lab checked windowed"), "values are completed");
}

#[test]
fn manual_pages_are_complete_and_without_warnings() {
    let folder = Folder::new();
    for program in PROGRAMS {
        let page = Program::start(program, &["--generate", "man"]).end().expect(0).out.join("\n");
        for section in ["NAME", "SYNOPSIS", "EXAMPLES", "OPTIONS"] {
            assert!(page.contains(&format!("\n.SH {section}\n")), "{program} has no {section}: {page}");
        }
        assert!(!page.contains("\n\n.TP"), "{program}: an option without a word: {page}");
        fs::write(folder.at(&name(program)), page + "\n").expect("a file");
    }
    if has("groff") {
        for program in PROGRAMS {
            let path = folder.at(&name(program));
            let words = ["-ww", "-man", "-Tutf8", "-rLL=78n", path.to_str().expect("a plain path")];
            let page = Program::start("groff", &words).end().expect(0);
            assert!(page.err.is_empty() && page.out.len() > 20, "{program}: {page:#?}");
        }
    }
}

#[test]
fn a_paper_that_nobody_knows_is_refused_with_those_that_there_are() {
    Program::start(CLIENT, &["--generate", "novel"]).end().expect(2).saying("man, bash, zsh, fish");
    Program::start(LOSSY_LINK, &["--generate"]).end().expect(2).saying("--generate");
}
