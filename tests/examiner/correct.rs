//! It can pass: the correct Python peers and our own programs keep every rule, in both spellings.

use super::queue::in_parallel;
use super::tool::{CLIENT, Ended, SERVER, cases, lab_check, peer};
use super::{has_python, say};

/// Somebody who keeps every rule.
struct Peer {
    name: &'static str,
    side: &'static str,
    spelling: &'static str,
    /// Options of the examination.
    options: &'static [&'static str],
    command: Vec<String>,
}

impl Peer {
    fn examine(&self) -> Ended {
        let command: Vec<&str> = self.command.iter().map(String::as_str).collect();
        let words = [self.side, "--json", "--jobs", CASES_AT_ONCE, "--spelling", self.spelling];
        lab_check(&[&words[..], self.options, &["--"], &command].concat())
    }

    /// Everything that did not come out as it should.
    fn complaints(&self) -> Vec<String> {
        let ended = self.examine();
        let label = format!("{} {}, {}", self.name, self.side, self.spelling);
        say(&format!("{label}: {} in {:.0} s", ended.err.trim(), ended.took.as_secs_f64()));
        let mut complaints = Vec::new();
        let findings = ended.findings();
        let examined: Vec<&String> = findings.iter().map(|finding| &finding.case).collect();
        if examined != cases(self.side).iter().collect::<Vec<_>>() {
            complaints.push(format!("{label}: other cases than the listed ones: {examined:?}"));
        }
        for finding in &findings {
            let expected = if self.is_silent_about(&finding.case) { "na" } else { "pass" };
            if finding.verdict != expected {
                complaints.push(format!("{label}: expected {expected} of {finding:?}"));
            }
        }
        if complaints.is_empty() && ended.code != Some(0) {
            complaints.push(format!("{label}: nothing failed, and yet {ended:?}"));
        }
        complaints
    }

    fn is_silent_about(&self, case: &str) -> bool {
        let is_asked_for = self.options.contains(&"--strict-course");
        let compact = self.spelling == "compact";
        match case {
            "idle-forgotten" => compact || !is_asked_for,
            _ => self.side == "server" && compact && ONLY_SPACED.contains(&case),
        }
    }
}

#[test]
fn correct_peers_pass_every_case() {
    let mut peers = our_own();
    if has_python() {
        peers.extend(pythons());
    }
    let complaints: Vec<String> = in_parallel(&peers, peers.len(), Peer::complaints).into_iter().flatten().collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn our_own() -> Vec<Peer> {
    let own = |words: &[&str]| -> Vec<String> { words.iter().map(ToString::to_string).collect() };
    let server = own(&[SERVER, "{port}", "--bind", "127.0.0.1", "--root", "{dir}"]);
    let client = |more: &[&str]| own(&[&[CLIENT, "{addr}", "{local}", "{remote}"], more].concat());
    let (lab, compact) = (client(&["--mode", "lab"]), client(&["--spelling", "compact"]));
    let options: &[&str] = &[];
    vec![
        Peer { name: "auto", side: "client", spelling: "spaced", options, command: client(&[]) },
        Peer { name: "lab", side: "client", spelling: "spaced", options, command: lab },
        Peer { name: "own", side: "client", spelling: "compact", options, command: compact },
        Peer { name: "own", side: "server", spelling: "spaced", options, command: server.clone() },
        Peer { name: "own", side: "server", spelling: "compact", options, command: server },
    ]
}

fn pythons() -> Vec<Peer> {
    let python = |file: &str, more: &[&str]| -> Vec<String> {
        [&["python3", &peer(file)], more].concat().into_iter().map(Into::into).collect()
    };
    let server = python("server.py", &["{port}", "--idle", "3"]);
    let client = |spelling| python("client.py", &["{addr}", "{local}", "{remote}", "--spelling", spelling]);
    let (name, strict): (_, &[&str]) = ("python", &["--strict-course"]);
    vec![
        Peer { name, side: "client", spelling: "spaced", options: &[], command: client("spaced") },
        Peer { name, side: "client", spelling: "compact", options: &[], command: client("compact") },
        Peer { name, side: "server", spelling: "spaced", options: strict, command: server.clone() },
        Peer { name, side: "server", spelling: "compact", options: strict, command: server },
    ]
}

/// What an alternating bit cannot show.
const ONLY_SPACED: &[&str] = &["data-repeated-late", "data-reordered", "data-future"];

/// Of each peer; they wait more than they work.
const CASES_AT_ONCE: &str = "6";
