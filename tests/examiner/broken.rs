//! It can fail: each case fails the peer that breaks its rule, for the right reason.

use super::expected::{CLIENTS, Expected, Reason, SERVERS};
use super::queue::in_parallel;
use super::tool::{Ended, cases, lab_check, peer};
use super::{has_python, say};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A broken peer in one spelling.
struct Trial {
    side: &'static str,
    fault: &'static str,
    spelling: &'static str,
    reason: Reason,
}

impl Trial {
    fn case(&self) -> &'static str {
        case_of(self.fault)
    }

    fn examine(&self) -> Ended {
        let path = peer(&format!("{}.py", self.side));
        // With the spelling given nobody has to be started to find it out.
        let mut words = vec![self.side, "--only", self.case(), "--json", "--jobs", "1", "--spelling", self.spelling];
        let placeholders: &[&str] = match self.side {
            "server" => &["{port}", "--fault", self.fault],
            _ => &["{addr}", "{local}", "{remote}", "--fault", self.fault, "--spelling", self.spelling],
        };
        if self.side == "server" {
            words.push("--strict-course");
        }
        words.extend(["--", "python3", &path]);
        lab_check(&[&words, placeholders].concat())
    }

    /// What came out otherwise than expected.
    fn complaint(&self) -> Option<String> {
        let ended = self.examine();
        let finding = ended.finding();
        let (verdict, code, fragments) = match self.reason {
            Reason::Fails(fragments) => ("fail", 1, fragments),
            Reason::DoesNotApply(fragments) => ("na", 0, fragments),
            Reason::NothingToBreak => ("pass", 0, &[][..]),
            Reason::TooLong => return None,
        };
        let missing: Vec<&&str> = fragments.iter().filter(|fragment| !finding.why.contains(**fragment)).collect();
        let is_right = finding.verdict == verdict && ended.code == Some(code) && finding.case == self.case();
        (!is_right || !missing.is_empty()).then(|| {
            let name = format!("{} {} {}", self.side, self.spelling, self.fault);
            format!("{name}: expected {verdict} with {fragments:?}, exit code {code}; came {ended:#?}")
        })
    }
}

#[test]
fn there_is_a_broken_peer_for_every_case_and_a_case_for_every_broken_peer() {
    if !has_python() {
        return;
    }
    for (side, table) in [("server", SERVERS), ("client", CLIENTS)] {
        let listed = Command::new("python3")
            .args([&peer(&format!("{side}.py")), "--list"])
            .stdin(Stdio::null())
            .output()
            .expect("python3");
        let listed = String::from_utf8(listed.stdout).expect("text");
        let faults: BTreeSet<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
        let broken: BTreeSet<&str> = faults.iter().map(|fault| case_of(fault)).collect();
        let cases = cases(side);
        let examined: BTreeSet<&str> = cases.iter().map(String::as_str).collect();
        assert_eq!(examined, broken, "{side}: cases and faults");
        let expected: BTreeSet<&str> = table.iter().map(|expected| expected.fault).collect();
        assert_eq!(expected, faults, "{side}: the table of this test and the faults");
    }
}

#[test]
fn every_broken_peer_fails_its_case_for_the_right_reason() {
    all_fail("spaced", |row| if is_endless(row) { Reason::TooLong } else { row.spaced });
}

#[test]
#[ignore = "takes as long as a case may: 45 s"]
fn clients_that_never_end_fail_too() {
    all_fail("spaced", |row| if is_endless(row) { row.spaced } else { Reason::TooLong });
}

#[test]
#[ignore = "takes another minute"]
fn every_broken_peer_fails_its_case_in_the_compact_spelling_too() {
    all_fail("compact", |row| row.compact);
}

fn all_fail(spelling: &'static str, reason: impl Fn(&Expected) -> Reason) {
    if !has_python() {
        return;
    }
    let began = Instant::now();
    let trial = |side, row: &Expected| Trial { side, fault: row.fault, spelling, reason: reason(row) };
    let servers = SERVERS.iter().map(|row| trial("server", row));
    let mut trials: Vec<Trial> = servers.chain(CLIENTS.iter().map(|row| trial("client", row))).collect();
    trials.retain(|trial| !matches!(trial.reason, Reason::TooLong));
    let disputed = in_parallel(&trials.iter().collect::<Vec<_>>(), AT_ONCE, |trial| trial.complaint().map(|_| *trial));
    // Beside fifteen others a program may take longer to die than the examiner listens for an answer, and then its death is found
    // after the datagram that followed. What is examined alone has no such excuse.
    let complaints: Vec<String> = disputed.into_iter().flatten().filter_map(Trial::complaint).collect();
    say(&format!("{} broken peers in {:.0} s", trials.len(), began.elapsed().as_secs_f64()));
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), trials.len(), complaints.join("\n"));
}

/// `NAME:variant` is another way to break the rule of the case `NAME`.
fn case_of(fault: &str) -> &str {
    fault.split(':').next().unwrap_or(fault)
}

fn is_endless(row: &Expected) -> bool {
    ENDLESS.contains(&row.fault)
}

/// Clients that must be ended: their cases take as long as a case may.
const ENDLESS: &[&str] = &["silent-server", "server-forgets", "server-dies"];

const AT_ONCE: usize = 16;
