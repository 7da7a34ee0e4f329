//! `lab_check` on every known course program: each verdict, one by one, as `verdicts.json` has it.
//!
//! `PROFILE=a-s7` examines one alone. The table goes to standard error and to `target/peers-verdicts.txt`.

use crate::cell::Side;
use crate::expected::folder;
use crate::program::wait_until;
use crate::{python, say, target, turn};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[test]
fn telling_programs_are_examined_rightly() {
    let servers = ["a-good", "a-s1", "a-s2", "a-s3", "a-s8", "a-s10", "b-s4"];
    let subjects = |side: Side, profile: &str| match side {
        Side::Server => servers.contains(&profile),
        Side::Client => ["a-good", "a-c7"].contains(&profile),
    };
    run(
        subjects,
        &["file-empty", "start-late", "start-lost", "data-repeated", "last-ack-lost", "stale-ack", "wrong-port"],
    );
}

#[test]
#[ignore = "takes minutes"]
fn every_program_is_examined_rightly() {
    run(|_, _| true, &[]);
}

/// What `verdicts.json` says.
#[derive(Deserialize)]
struct Verdicts {
    servers: BTreeMap<String, Expected>,
    clients: BTreeMap<String, Expected>,
}

/// One program's verdicts: all cases that are not named pass.
#[derive(Deserialize)]
struct Expected {
    /// The cases that fail, each with words of its reason.
    #[serde(default)]
    fail: BTreeMap<String, String>,
    /// The cases that do not apply, or all of them.
    #[serde(default)]
    na: BTreeSet<String>,
    /// The cases that luck and the machine decide.
    #[serde(default)]
    any: BTreeSet<String>,
}

/// A line of `lab_check --json`.
#[derive(Deserialize)]
struct Line {
    case: String,
    verdict: String,
    why: String,
}

struct Subject<'a> {
    side: Side,
    profile: &'a str,
    expected: &'a Expected,
}

/// Examines these programs in these cases (in all, when there are none), and fails when a verdict is another one than written.
fn run(is_wanted: impl Fn(Side, &str) -> bool, only: &[&str]) {
    let _turn = turn();
    if let Err(reason) = python() {
        return say(&format!("skipped: {reason}"));
    }
    let began = Instant::now();
    let text = std::fs::read_to_string(folder().join("verdicts.json")).expect("the verdicts");
    let verdicts: Verdicts = serde_json::from_str(&text).expect("verdicts as this test knows them");
    let one = std::env::var("PROFILE").ok();
    let sides = [(Side::Server, &verdicts.servers), (Side::Client, &verdicts.clients)];
    let subjects: Vec<Subject<'_>> = sides
        .iter()
        .flat_map(|(side, all)| {
            all.iter().map(|(profile, expected)| Subject { side: *side, profile: profile.as_str(), expected })
        })
        .filter(|subject| {
            is_wanted(subject.side, subject.profile) && one.as_deref().is_none_or(|one| one == subject.profile)
        })
        .collect();
    let (table, wrong) = examine_all(&subjects, only);
    let text = format!("{LEGEND}{table}\n{} programs in {:.0} s\n", subjects.len(), began.elapsed().as_secs_f64());
    say(&text);
    if only.is_empty() {
        std::fs::write(target().join("peers-verdicts.txt"), &text).expect("the table's file");
    }
    assert!(wrong.is_empty(), "{} verdicts are WRONG:\n{}", wrong.len(), wrong.join("\n"));
}

/// The table, and what is wrong in it. Most of an examination is waiting, so some run at the same time.
fn examine_all(subjects: &[Subject<'_>], only: &[&str]) -> (String, Vec<String>) {
    let next = AtomicUsize::new(0);
    let found: Mutex<BTreeMap<usize, Vec<Line>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(subject) = subjects.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let lines = subject.examine(only, JOBS);
                    let place = subjects.iter().position(|one| std::ptr::eq(one, subject)).expect("it is one of them");
                    found.lock().expect("no worker panics").insert(place, lines);
                }
            });
        }
    });
    let (mut table, mut wrong) = (String::new(), Vec::new());
    for (place, lines) in found.into_inner().expect("no worker panics") {
        let subject = &subjects[place];
        let lines = subject.again_where_wrong(lines);
        table += &subject.row(&lines);
        wrong.extend(lines.iter().filter_map(|line| subject.objection(line)));
    }
    (table, wrong)
}

impl Subject<'_> {
    /// Runs `lab_check` on this program.
    fn examine(&self, only: &[&str], jobs: &str) -> Vec<Line> {
        let script = match self.side {
            Side::Server => "lab_server.py",
            Side::Client => "lab_client.py",
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab_check"));
        command.args([self.word(), "--json", "--jobs", jobs]);
        for case in only {
            if self.has(case) {
                command.args(["--only", case]);
            }
        }
        // What is compiled once need not be compiled for each of a thousand starts.
        command.env_remove("PYTHONDONTWRITEBYTECODE").env("PYTHONPYCACHEPREFIX", target().join("peers-pycache"));
        command.args(["--", "python3"]).arg(folder().join(script)).arg(self.profile);
        match self.side {
            Side::Server => command.args(["{port}", "--lifetime", "300"]),
            Side::Client => command.args(["{addr}", "{local}", "{remote}"]),
        };
        let out = output(&mut command, Path::new(env!("CARGO_TARGET_TMPDIR")));
        out.lines().map(|line| serde_json::from_str(line).expect("a verdict on each line")).collect()
    }

    fn word(&self) -> &'static str {
        match self.side {
            Side::Server => "server",
            Side::Client => "client",
        }
    }

    /// Whether this side has the case.
    fn has(&self, case: &str) -> bool {
        let only_clients = ["stale-ack", "wrong-port"].contains(&case);
        let only_servers = ["start-late", "data-repeated"].contains(&case);
        match self.side {
            Side::Server => !only_clients,
            Side::Client => !only_servers,
        }
    }

    /// A machine that stands still for a moment makes somebody repeat himself: what came out wrong runs once more, alone.
    fn again_where_wrong(&self, mut lines: Vec<Line>) -> Vec<Line> {
        let suspects: Vec<String> =
            lines.iter().filter(|line| self.objection(line).is_some()).map(|line| line.case.clone()).collect();
        if suspects.is_empty() || suspects.len() > STUMBLES_MAX {
            return lines;
        }
        let only: Vec<&str> = suspects.iter().map(String::as_str).collect();
        for second in self.examine(&only, "1") {
            if let Some(first) = lines.iter_mut().find(|line| line.case == second.case) {
                *first = second;
            }
        }
        lines
    }

    /// What is wrong with a verdict.
    fn objection(&self, line: &Line) -> Option<String> {
        let Line { case, verdict, why } = line;
        let Expected { fail, na, any } = self.expected;
        if any.contains(case) {
            return None;
        }
        let (right, words) = match fail.get(case) {
            Some(words) => ("fail", words.as_str()),
            None if na.contains(case) || na.contains(ALL) => ("na", ""),
            None => ("pass", ""),
        };
        let named = why.contains(words);
        (verdict != right || !named).then(|| {
            let missing = if verdict == right { format!(" without {words:?}") } else { String::new() };
            format!("{} {} {case}: {verdict}{missing} instead of {right}: {why}", self.word(), self.profile)
        })
    }

    fn row(&self, lines: &[Line]) -> String {
        let named = |verdict: &str| -> Vec<&str> {
            lines.iter().filter(|line| line.verdict == verdict).map(|line| line.case.as_str()).collect()
        };
        let (failed, na) = (named("fail"), named("na"));
        let head = format!("{} {:8} {:2} passed", self.word(), self.profile, lines.len() - failed.len() - na.len());
        format!("{head}, {:2} failed, {:2} n/a; failed: {}\n", failed.len(), na.len(), failed.join(" "))
    }
}

/// What a program prints; it is ended when it takes too long.
fn output(command: &mut Command, logs: &Path) -> String {
    let out = tempfile::NamedTempFile::new_in(logs).expect("a log");
    let file = out.reopen().expect("the same log");
    let mut child = command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null()).spawn().expect("lab_check starts");
    let status = wait_until(LIMIT, || child.try_wait().expect("a child of ours"));
    if status.is_none() {
        // It ends what it started when it is asked to end, and only then.
        let id = child.id().to_string();
        let _ = Command::new("kill").arg(id).status();
        let _ = child.wait();
        panic!("{command:?} took longer than {LIMIT:?}");
    }
    std::fs::read_to_string(out.path()).expect("the log")
}

const LEGEND: &str = "lab_check's verdicts on the known course programs; what failed is named\n\n";

/// In place of a case: every one.
const ALL: &str = "*";

/// Examinations at the same time, and cases of each.
const AT_ONCE: usize = 3;
const JOBS: &str = "8";

/// So many wrong verdicts on one program may be a stumble of the machine's.
const STUMBLES_MAX: usize = 6;

/// A client that never ends takes 45 s in each of several cases.
const LIMIT: Duration = Duration::from_secs(400);
