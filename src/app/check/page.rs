//! Findings as one self-contained page: no script, no address outside, readable on a phone.

use super::examine::Examination;
use super::finding::{Finding, Verdict};
use super::table::safe;
use crate::app::album::title;
use crate::trace::svg;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The page of one program, or of many with the grid before it.
pub fn page(examinations: &[Examination]) -> String {
    let heading = match examinations {
        [one] => one.subject.clone(),
        many => format!("{} submissions", many.len()),
    };
    let many = examinations.len() != 1;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "lab_check: " (heading) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (heading) }
                    @if many { (grid(examinations)) }
                    @for (index, one) in examinations.iter().enumerate() { (program(one, index, many)) }
                    footer { "Written by lab_check " (env!("CARGO_PKG_VERSION")) ". What each case means: docs/course.md." }
                }
            }
        }
    }
    .into_string()
}

/// One row a submission, one column a case; every mark leads to its finding.
fn grid(examinations: &[Examination]) -> Markup {
    let cases = examinations.first().map(|one| one.findings.as_slice()).unwrap_or_default();
    html! {
        div.scroll {
            table.grid {
                thead {
                    tr {
                        th { }
                        th.count { "passed" }
                        th.count { "failed" }
                        @for finding in cases { th.turned title=(finding.rule.rule) { span { (finding.rule.case) } } }
                    }
                }
                tbody {
                    @for (index, one) in examinations.iter().enumerate() {
                        tr {
                            th { a href={ "#s" (index) } { (one.subject) } }
                            td.count { (one.count(Verdict::Pass)) }
                            td.count { (one.count(Verdict::Fail)) }
                            @for finding in &one.findings {
                                td.(finding.verdict.word()) {
                                    a href={ "#" (place(one, index, finding)) } title=(safe(&finding.why)) { (sign(finding.verdict)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What failed stands first. Of many programs the rest is folded away.
fn program(one: &Examination, index: usize, many: bool) -> Markup {
    let (failed, others): (Vec<_>, Vec<_>) = one.findings.iter().partition(|one| one.verdict == Verdict::Fail);
    let cases = |findings: &[&Finding]| html! { @for finding in findings { (case(finding, index)) } };
    html! {
        section id={ "s" (index) } {
            @if many { h2 { (one.subject) } }
            p.summary {
                strong { (one.summary()) }
                @if let Some(aside) = one.aside() { ", " (aside) }
                @if one.hopeless { " · nothing could be examined: " } @else { " · " }
                (words(&safe(&one.remark)))
            }
            @if !one.hopeless {
                (cases(&failed))
                @if many && !others.is_empty() {
                    details.others {
                        summary { "the other cases" }
                        (cases(&others))
                    }
                } @else { (cases(&others)) }
            }
        }
    }
}

/// A failed case lies open with what passed; the others are one line, and open at a touch.
fn case(finding: &Finding, index: usize) -> Markup {
    let failed = finding.verdict == Verdict::Fail;
    let drawn = if failed { EXCHANGES_DRAWN } else { 0 };
    let left_out = finding.exchanges.len().saturating_sub(EXCHANGES_DRAWN);
    html! {
        details.case.(finding.verdict.word()) id=(anchor(index, finding)) open[failed] {
            summary {
                span.mark { (sign(finding.verdict)) }
                code { (finding.rule.case) }
                @if !finding.why.is_empty() { span.why { (words(&safe(&finding.why))) } }
            }
            p.rule { (words(finding.rule.rule)) }
            @for exchange in finding.exchanges.iter().take(drawn) {
                figure { (PreEscaped(svg(exchange, &title(exchange)))) }
            }
            @if failed && left_out > 0 { p.rule { (left_out) " more clients took part." } }
            @if failed && !finding.said.is_empty() {
                p.rule { "What the program printed last:" }
                pre { (finding.said.lines().map(safe).collect::<Vec<_>>().join("\n")) }
            }
        }
    }
}

/// A sentence in which messages stand between backticks.
fn words(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}

/// Where the finding stands; of what is folded away, the program that it belongs to.
fn place(one: &Examination, index: usize, finding: &Finding) -> String {
    match finding.verdict == Verdict::Fail && !one.hopeless {
        true => anchor(index, finding),
        false => format!("s{index}"),
    }
}

fn anchor(index: usize, finding: &Finding) -> String {
    format!("s{index}-{}", finding.rule.case)
}

fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Fail => "✗",
        Verdict::NotApplicable => "·",
    }
}

/// Of a crowd of clients the first few show what went wrong.
pub const EXCHANGES_DRAWN: usize = 3;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1f2937; --note: #4b5563; --line: #cbd5e1; --card: #fff; --page: #f8fafc;
  --pass: #047857; --fail: #b91c1c; --na: #64748b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e7eb; --note: #9ca3af; --line: #374151; --card: #111827;
  --page: #030712; --pass: #34d399; --fail: #f87171; --na: #94a3b8; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; }
main { max-width: 980px; margin: 0 auto; padding: 16px; }
h1 { font-size: 1.3rem; overflow-wrap: anywhere; margin: 8px 0 16px; }
h2 { font-size: 1.1rem; overflow-wrap: anywhere; margin: 32px 0 4px; }
.summary { margin: 0 0 12px; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; font-size: .92em; }
.case { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--na); border-radius: 8px;
  margin: 6px 0; padding: 6px 12px; }
.case.pass { border-left-color: var(--pass); }
.case.fail { border-left-color: var(--fail); }
summary { cursor: pointer; overflow-wrap: anywhere; }
.mark { display: inline-block; width: 1.4em; font-weight: 700; }
.pass .mark, td.pass a { color: var(--pass); }
.fail .mark, td.fail a { color: var(--fail); }
.na .mark, td.na a { color: var(--na); }
.others > summary { color: var(--note); margin: 6px 0; }
.why { color: var(--note); margin-left: .8em; }
.case.fail .why { display: block; margin: 4px 0 0 1.4em; color: var(--ink); }
.rule { color: var(--note); margin: 6px 0 6px 1.4em; }
figure { margin: 10px 0; overflow-x: auto; }
figure svg { display: block; min-width: 560px; }
.why code, .rule code { background: var(--page); border-radius: 4px; padding: 0 3px; white-space: nowrap; }
pre { background: var(--page); border: 1px solid var(--line); border-radius: 6px; padding: 8px; overflow-x: auto;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 8px; }
.grid { border-collapse: collapse; }
.grid th { font-weight: 500; text-align: left; white-space: nowrap; padding: 2px 6px; }
.grid tbody th { position: sticky; left: -8px; background: var(--card); }
.grid td { text-align: center; padding: 2px 5px; border: 1px solid var(--line); }
.grid a { text-decoration: none; }
.grid td a { font-weight: 700; display: block; }
.grid .count { text-align: right; font-variant-numeric: tabular-nums; }
.grid .turned { vertical-align: bottom; padding: 4px 2px; }
.grid .turned span { writing-mode: vertical-rl; transform: rotate(180deg); font-size: .85em; }
footer { color: var(--note); font-size: .85em; margin: 24px 0; }
";
