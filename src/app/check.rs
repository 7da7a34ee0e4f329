//! Examining other people's servers and clients: one case a rule, a verdict and the reason in plain words.

pub mod client;
mod content;
pub mod examine;
pub mod finding;
pub mod page;
pub mod server;
mod stage;
mod subject;
mod table;
mod talk;

use super::album::{self, Diagrams, print_ladder};
use super::cli::{CheckArgs, CheckCommand, ClientCheckArgs, DrawArgs, ExamArgs, ServerCheckArgs, one_address};
use super::exit;
use crate::io::progress::CaseCounter;
use crate::io::recording::{self, read_recording};
use crate::io::signals::Interrupt;
use crate::io::udp::Wire;
use examine::{Examination, Wanted, examine_client, examine_server};
use finding::{Rule, Verdict};
use stage::Whom;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;
use subject::{Command, submissions};

/// Examines or draws; gives the exit code.
///
/// # Errors
/// When this machine fails: a report cannot be written, nobody reads what is printed.
pub fn run(command: CheckCommand) -> io::Result<u8> {
    match command {
        CheckCommand::Server(args) => run_server(&args),
        CheckCommand::Client(args) => run_client(&args),
        CheckCommand::Draw(args) => draw(&args),
    }
}

fn run_server(args: &ServerCheckArgs) -> io::Result<u8> {
    let rules: Vec<Rule> = server::cases().iter().map(|case| case.rule).collect();
    if args.exam.list {
        return list(&rules, args.exam.json);
    }
    let wanted = wanted(&args.exam, &rules)?;
    let counter = CaseCounter::new(args.exam.json);
    let examinations = match &args.address {
        Some(address) => {
            let Some(address) = one_address(address) else {
                CheckArgs::refuse(&format!("{address:?} is no server; write HOST:PORT"))
            };
            vec![examine_server(Whom::Address(address), args.strict_course, &wanted, &counter)]
        }
        None => {
            let needed: &[&str] = if args.port.is_some() { &[] } else { &["port"] };
            let command = command(&args.command, &args.exam, &["port", "dir"], needed);
            let examine =
                |command| examine_server(Whom::Command(command, args.port), args.strict_course, &wanted, &counter);
            each(command, &args.exam, &wanted.interrupt, examine)
        }
    };
    counter.finish();
    tell(&examinations, &args.exam, &wanted.interrupt)
}

fn run_client(args: &ClientCheckArgs) -> io::Result<u8> {
    let rules: Vec<Rule> = client::cases().iter().map(|case| case.rule).collect();
    if args.exam.list {
        return list(&rules, args.exam.json);
    }
    let wanted = wanted(&args.exam, &rules)?;
    let counter = CaseCounter::new(args.exam.json);
    let known = ["addr", "host", "port", "local", "remote"];
    let command = command(&args.command, &args.exam, &known, &["local"]);
    if !command.has("addr") && !command.has("port") {
        CheckArgs::refuse("the command does not say where {addr}, or {host} and {port}, go");
    }
    let examine = |command| examine_client(command, args.seed, &wanted, &counter);
    let examinations = each(command, &args.exam, &wanted.interrupt, examine);
    counter.finish();
    tell(&examinations, &args.exam, &wanted.interrupt)
}

/// The command as typed; placeholders are checked before anything is started.
fn command(words: &[String], exam: &ExamArgs, known: &[&str], needed: &[&str]) -> Command {
    if words.is_empty() {
        CheckArgs::refuse(
            "say whom to examine: a command after --, as in: lab_check server -- python3 server.py {port}",
        );
    }
    let (mut known, mut needed) = (known.to_vec(), needed.to_vec());
    if exam.each.is_some() {
        known.push("file");
        needed.push("file");
    }
    Command::new(words, &known, &needed).unwrap_or_else(|error| CheckArgs::refuse(&error))
}

/// Examines the command, or with --each one command for each file.
fn each(
    command: Command,
    exam: &ExamArgs,
    interrupt: &Interrupt,
    examine: impl Fn(Command) -> Examination,
) -> Vec<Examination> {
    let Some(pattern) = &exam.each else { return vec![examine(command)] };
    let found = submissions(pattern).unwrap_or_else(|error| CheckArgs::refuse(&error));
    let mut examinations = Vec::new();
    for (label, file) in found {
        if interrupt.exit_code().is_none() {
            let examination = examine(command.with("file", &file));
            examinations.push(Examination { subject: label, ..examination });
        }
    }
    examinations
}

fn wanted(exam: &ExamArgs, rules: &[Rule]) -> io::Result<Wanted> {
    if let Some(unknown) = exam.only.iter().find(|name| rules.iter().all(|rule| rule.case != **name)) {
        CheckArgs::refuse(&format!("there is no case {unknown:?}; --list shows them all"));
    }
    for path in [&exam.report, &exam.csv].into_iter().flatten() {
        // An examination takes a while; that its report cannot be written is better known before.
        recording::create(path)
            .unwrap_or_else(|error| CheckArgs::refuse(&format!("cannot write {}: {error}", path.display())));
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Wanted {
        only: exam.only.clone(),
        jobs: exam.jobs.map_or(processors * JOBS_A_PROCESSOR, usize::from),
        spelling: exam.spelling.map(Into::into),
        limit: CASE_LIMIT,
        interrupt: Interrupt::watch(Wire::new(1)?.waker())?,
    })
}

/// Prints and writes what was asked for; gives the exit code.
fn tell(examinations: &[Examination], exam: &ExamArgs, interrupt: &Interrupt) -> io::Result<u8> {
    let mut out = io::stdout().lock();
    let summaries: String = match (examinations, exam.json) {
        ([one], false) => table::findings(one),
        (many, false) => table::grid(many),
        (many, true) => {
            table::json(many, exam.each.is_some(), &mut out)?;
            many.iter().map(|one| format!("{}\n", one.summary())).collect()
        }
    };
    if exam.json {
        // Standard output has one object a case and nothing else.
        io::stderr().write_all(summaries.as_bytes())?;
    } else {
        out.write_all(summaries.as_bytes())?;
    }
    out.flush()?;
    drop(out);
    if exam.ladder {
        print_ladders(examinations)?;
    }
    if let Some(path) = &exam.report {
        write(path, page::page(examinations).as_bytes())?;
    }
    if let Some(path) = &exam.csv {
        write(path, &table::sheet(examinations)?)?;
    }
    let failed = examinations.iter().any(|one| one.count(Verdict::Fail) > 0);
    Ok(interrupt.exit_code().unwrap_or(if failed { exit::UNEXPECTED } else { exit::DONE }))
}

fn print_ladders(examinations: &[Examination]) -> io::Result<()> {
    for finding in examinations.iter().flat_map(|one| &one.findings).filter(|one| one.verdict == Verdict::Fail) {
        for exchange in finding.exchanges.iter().take(page::EXCHANGES_DRAWN) {
            writeln!(io::stdout(), "\n{}: {}", finding.rule.case, table::safe(&finding.why))?;
            print_ladder(exchange)?;
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()));
    fs::write(path, bytes).map_err(named)
}

fn list(rules: &[Rule], json: bool) -> io::Result<u8> {
    let mut out = io::stdout().lock();
    for Rule { case, rule } in rules {
        match json {
            true => writeln!(out, "{}", serde_json::json!({ "case": case, "rule": rule }))?,
            false => writeln!(out, "{case:<21} {rule}")?,
        }
    }
    Ok(exit::DONE)
}

/// Draws a recording.
fn draw(args: &DrawArgs) -> io::Result<u8> {
    let exchanges = match read_recording(&args.trace) {
        Ok(exchanges) => exchanges,
        Err(error) => {
            // Standard error may be closed; the exit code tells all the same.
            let _ = writeln!(io::stderr(), "lab_check: {}: {error}", args.trace.display());
            return Ok(exit::LOCAL_FILE);
        }
    };
    let diagrams = args.diagram.clone().map(Diagrams::File);
    for (number, exchange) in (1..).zip(&exchanges) {
        match &diagrams {
            Some(diagrams) => album::draw(exchange, &diagrams.path(number, exchange))?,
            None => print_ladder(exchange)?,
        }
    }
    Ok(exit::DONE)
}

/// Most of a case is waiting, so several run on each processor.
const JOBS_A_PROCESSOR: usize = 4;

/// How long a case may take.
const CASE_LIMIT: Duration = Duration::from_secs(45);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_every_case() {
        let manual = include_str!("../../docs/course.md");
        let (servers, clients) = manual.split_once("## What each case means: clients").unwrap();
        // The weathers are told of together.
        let told = |text: &str, case: &str| text.contains(&format!("`{case}`")) || case.starts_with("weather-");
        let missing: Vec<&str> = server::cases()
            .iter()
            .map(|case| (servers, case.rule.case))
            .chain(client::cases().iter().map(|case| (clients, case.rule.case)))
            .filter(|(text, case)| !told(text, case))
            .map(|(_, case)| case)
            .collect();
        assert!(missing.is_empty(), "docs/course.md says nothing of {missing:?}");
    }

    #[test]
    fn names_are_words_with_hyphens_and_rules_are_sentences() {
        let rules: Vec<Rule> = server::cases().iter().map(|case| case.rule).collect();
        for Rule { case, rule } in rules.into_iter().chain(client::cases().iter().map(|case| case.rule)) {
            assert!(case.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{case}");
            assert!(rule.ends_with('.') && rule.starts_with(|first: char| first.is_uppercase()), "{case}: {rule}");
        }
    }
}
