//! Findings on a terminal, as JSON lines, and as a grid of many programs.

use super::examine::Examination;
use super::finding::{Finding, Verdict};
use crate::name::Printable;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use console::style;
use std::io::{self, Write};

/// The table of one program, and its summary.
pub fn findings(examination: &Examination) -> String {
    let Examination { subject, remark, .. } = examination;
    if examination.hopeless {
        let summary = style(examination.summary()).bold();
        return format!("{}\nnothing could be examined: {}\n{summary}\n", safe(subject), safe(remark));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !table.is_tty() {
        table.set_width(WIDTH_IN_A_PIPE);
    }
    for finding in &examination.findings {
        let why = match (finding.why.is_empty(), finding.verdict) {
            (true, _) => String::new(),
            (false, Verdict::Fail) => format!("{}\nrule: {}", safe(&finding.why), finding.rule.rule),
            (false, _) => safe(&finding.why),
        };
        table.add_row([mark(finding.verdict), Cell::new(finding.rule.case), Cell::new(why)]);
    }
    // The last line is always the same, for whoever looks for it.
    let aside = examination.aside().map(|aside| format!("{aside}\n")).unwrap_or_default();
    let summary = style(examination.summary()).bold();
    format!("{} ({})\n{table}\n{aside}{summary}\n", safe(subject), safe(remark))
}

/// One row a program, one column a case; below it what the columns are.
pub fn grid(examinations: &[Examination]) -> String {
    let Some(first) = examinations.first() else { return "nothing was examined\n".into() };
    let cases: Vec<&str> = first.findings.iter().map(|finding| finding.rule.case).collect();
    let mut text = String::new();
    let longest = examinations.iter().map(|one| one.subject.chars().count()).max().unwrap_or_default().min(LABEL_MAX);
    let digits =
        |digit: fn(usize) -> usize| (1..=cases.len()).map(|number| format!(" {}", digit(number))).collect::<String>();
    text += &format!("{:longest$} {}\n", "", digits(|number| number / 10));
    text += &format!("{:longest$} {}\n", "", digits(|number| number % 10));
    for one in examinations {
        let label: String = safe(&one.subject).chars().take(LABEL_MAX).collect();
        let marks: String = one.findings.iter().map(|finding| format!(" {}", sign(finding.verdict))).collect();
        text += &format!("{label:longest$} {marks}  {}\n", one.summary());
    }
    text += "\n";
    for (index, case) in cases.iter().enumerate() {
        let failed = examinations.iter().filter(|one| one.findings[index].verdict == Verdict::Fail).count();
        text += &format!("{:>3} {case:<21} {failed} of {} fail\n", index + 1, examinations.len());
    }
    text
}

/// One object a case; with `named` it also says whose.
///
/// # Errors
/// When nobody reads them any more.
pub fn json(examinations: &[Examination], named: bool, out: &mut dyn Write) -> io::Result<()> {
    for one in examinations {
        for Finding { rule, verdict, why, .. } in &one.findings {
            let mut object = serde_json::json!({ "case": rule.case, "verdict": verdict.word(), "why": why });
            if named {
                object["submission"] = one.subject.clone().into();
            }
            writeln!(out, "{object}")?;
        }
    }
    Ok(())
}

/// The grid for a spreadsheet: the verdicts, and how many cases were passed and failed.
///
/// # Errors
/// Never in memory.
pub fn sheet(examinations: &[Examination]) -> io::Result<Vec<u8>> {
    let mut sheet = csv::Writer::from_writer(Vec::new());
    let cases = examinations.first().into_iter().flat_map(|one| one.findings.iter().map(|finding| finding.rule.case));
    sheet.write_record(["submission", "passed", "failed"].into_iter().chain(cases))?;
    for one in examinations {
        let counts = [one.subject.clone(), one.count(Verdict::Pass).to_string(), one.count(Verdict::Fail).to_string()];
        let verdicts = one.findings.iter().map(|finding| finding.verdict.word().to_string());
        sheet.write_record(counts.into_iter().chain(verdicts))?;
    }
    sheet.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// Names and what programs say come from strangers.
pub fn safe(text: &str) -> String {
    Printable(text).to_string()
}

fn mark(verdict: Verdict) -> Cell {
    match verdict {
        Verdict::Pass => Cell::new("pass").fg(Color::Green),
        Verdict::Fail => Cell::new("FAIL").fg(Color::Red).add_attribute(Attribute::Bold),
        Verdict::NotApplicable => Cell::new("n/a").fg(Color::DarkGrey),
    }
}

fn sign(verdict: Verdict) -> String {
    match verdict {
        Verdict::Pass => style("✓").green().to_string(),
        Verdict::Fail => style("✗").red().bold().to_string(),
        Verdict::NotApplicable => style("·").dim().to_string(),
    }
}

/// Columns of a table that goes into a file or a pipe.
const WIDTH_IN_A_PIPE: u16 = 120;

/// What is shown of a submission's name.
const LABEL_MAX: usize = 24;
