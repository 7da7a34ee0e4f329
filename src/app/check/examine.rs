//! An examination: all cases of one program, side by side, in the order of the table.

use super::client::{self, ClientCase, ClientExam};
use super::finding::{Finding, Rule, Verdict};
use super::server::{self, ServerCase, ServerExam, Unexaminable};
use super::stage::Whom;
use super::subject::Command;
use crate::io::progress::CaseCounter;
use crate::io::signals::Interrupt;
use crate::packet::lab::Spelling;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What came out for one program.
#[derive(Clone, Debug)]
pub struct Examination {
    /// The program: its command or address.
    pub subject: String,
    /// How it speaks, or why nothing could be examined.
    pub remark: String,
    /// In the order of the table.
    pub findings: Vec<Finding>,
    /// Nothing could be examined; all findings have the remark for their reason.
    pub hopeless: bool,
}

impl Examination {
    /// How many cases came out so.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }

    /// `28 passed, 3 failed`
    pub fn summary(&self) -> String {
        format!("{} passed, {} failed", self.count(Verdict::Pass), self.count(Verdict::Fail))
    }

    /// How many cases do not apply, in words; nothing when all do.
    pub fn aside(&self) -> Option<String> {
        let count = self.count(Verdict::NotApplicable);
        (count > 0).then(|| format!("{count} not applicable"))
    }
}

/// What is wanted of an examination.
#[derive(Clone)]
pub struct Wanted {
    /// Only these cases; all when empty.
    pub only: Vec<String>,
    /// Cases at once.
    pub jobs: usize,
    /// In this spelling, instead of the one that is found out.
    pub spelling: Option<Spelling>,
    /// How long a case may take.
    pub limit: Duration,
    /// Ctrl-C.
    pub interrupt: Interrupt,
}

impl Wanted {
    fn has(&self, rule: Rule) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == rule.case)
    }
}

/// Examines a server.
pub fn examine_server(whom: Whom, strict: bool, wanted: &Wanted, counter: &CaseCounter) -> Examination {
    let subject = match &whom {
        Whom::Command(command, _) => command.line(),
        Whom::Address(address) => address.to_string(),
    };
    let cases: Vec<ServerCase> = server::cases().into_iter().filter(|case| wanted.has(case.rule)).collect();
    let greeting = match ServerExam::greet(&whom, wanted.spelling, &wanted.interrupt) {
        Ok(greeting) => greeting,
        Err(reason) => return unexaminable(subject, &reason, wanted, cases.iter().map(|case| case.rule)),
    };
    let remark = match greeting.spelling {
        Spelling::Spaced => format!("spaced spelling, buffer {} bytes", greeting.bufsize),
        Spelling::Compact => "compact spelling".into(),
    };
    let fixed_port = matches!(whom, Whom::Command(_, Some(_)));
    let (limit, interrupt) = (wanted.limit, wanted.interrupt.clone());
    let mut exam = ServerExam { whom, greeting, strict, limit, interrupt, plain: None, small_works: false };
    if cases.iter().any(ServerCase::builds_on_copies) {
        exam.try_plain_copy();
    }
    // Of servers with a fixed port only one can run at a time.
    let jobs = if fixed_port { 1 } else { wanted.jobs };
    let findings = side_by_side(&cases, jobs, counter, |case| exam.examine(case), |case| case.rule);
    Examination { subject, remark, findings, hopeless: false }
}

/// Examines a client.
pub fn examine_client(command: Command, seed: u64, wanted: &Wanted, counter: &CaseCounter) -> Examination {
    let subject = command.line();
    let cases: Vec<ClientCase> = client::cases().into_iter().filter(|case| wanted.has(case.rule)).collect();
    let (limit, interrupt, spelling) = (wanted.limit, wanted.interrupt.clone(), Spelling::Spaced);
    let mut exam = ClientExam { command, spelling, seed, limit, interrupt, plain: None };
    if let Err(reason) = exam.greet(wanted.spelling) {
        return unexaminable(subject, &reason, wanted, cases.iter().map(|case| case.rule));
    }
    let remark = format!("{} spelling; --seed {seed}", exam.spelling.word());
    let findings = side_by_side(&cases, wanted.jobs, counter, |case| exam.examine(case), |case| case.rule);
    Examination { subject, remark, findings, hopeless: false }
}

/// Nothing can be examined: every rule comes out so for the same reason.
fn unexaminable(
    subject: String,
    reason: &Unexaminable,
    wanted: &Wanted,
    rules: impl Iterator<Item = Rule>,
) -> Examination {
    let (why, verdict) = match reason {
        _ if wanted.interrupt.exit_code().is_some() => ("interrupted", Verdict::NotApplicable),
        Unexaminable::Broken(why) => (why.as_str(), Verdict::Fail),
        Unexaminable::Foreign(why) => (why.as_str(), Verdict::NotApplicable),
    };
    let finding = |rule| Finding {
        rule,
        verdict,
        why: why.to_string(),
        exchanges: Vec::new(),
        said: String::new(),
        took: Duration::ZERO,
    };
    Examination { subject, remark: why.to_string(), findings: rules.map(finding).collect(), hopeless: true }
}

/// Plays all cases, at most `jobs` at once. The last ones in the table take longest, so they begin first.
fn side_by_side<C: Sync>(
    cases: &[C],
    jobs: usize,
    counter: &CaseCounter,
    play: impl Fn(&C) -> Finding + Sync,
    rule: impl Fn(&C) -> Rule + Sync,
) -> Vec<Finding> {
    let next = AtomicUsize::new(0);
    let findings: Mutex<Vec<(usize, Finding)>> = Mutex::default();
    counter.add(cases.len());
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, cases.len().max(1)) {
            scope.spawn(|| {
                while let Some(index) = cases.len().checked_sub(next.fetch_add(1, Ordering::Relaxed) + 1) {
                    counter.begin(rule(&cases[index]).case);
                    let finding = play(&cases[index]);
                    counter.end(rule(&cases[index]).case);
                    findings.lock().unwrap_or_else(PoisonError::into_inner).push((index, finding));
                }
            });
        }
    });
    let mut findings = findings.into_inner().unwrap_or_else(PoisonError::into_inner);
    findings.sort_by_key(|(index, _)| *index);
    findings.into_iter().map(|(_, finding)| finding).collect()
}
