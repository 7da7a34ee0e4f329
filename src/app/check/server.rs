//! The cases for servers.

mod answers;
mod contents;
mod crowds;
mod losses;
mod play;
mod strangers;

use super::finding::{Fault, Finding, Rule, Verdict};
use super::stage::{Stage, Whom};
use super::talk::Talk;
use crate::io::clock;
use crate::io::signals::Interrupt;
use crate::packet::lab::Spelling;
use play::{Play, Scope};
use std::time::Duration;

pub use play::ServerCase;

/// All cases, in the order of the table.
pub fn cases() -> Vec<ServerCase> {
    [answers::cases(), contents::cases(), losses::cases(), crowds::cases(), strangers::cases()]
        .into_iter()
        .flatten()
        .collect()
}

/// How a server is examined.
#[derive(Clone)]
pub struct ServerExam {
    /// Who.
    pub whom: Whom,
    /// In which spelling, and what it announces.
    pub greeting: Greeting,
    /// Whether the course's text is taken to the letter.
    pub strict: bool,
    /// How long a case may take.
    pub limit: Duration,
    /// Ctrl-C.
    pub interrupt: Interrupt,
}

/// What a server's first answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The spelling it speaks.
    pub spelling: Spelling,
    /// The largest datagram that it takes, in bytes.
    pub bufsize: usize,
}

impl ServerExam {
    /// Plays one case.
    pub fn examine(&self, case: &ServerCase) -> Finding {
        let began = clock::now();
        let mut finding = match self.reason_against(case) {
            Some(why) => finding(case.rule, Verdict::NotApplicable, why),
            None => match Stage::set(&self.whom, self.limit, &self.interrupt) {
                Err(fault) => verdict_of(case.rule, Err(fault), Vec::new(), Vec::new()),
                Ok(stage) => self.play(case, &stage),
            },
        };
        finding.took = clock::now().saturating_duration_since(began);
        finding
    }

    fn play(&self, case: &ServerCase, stage: &Stage) -> Finding {
        let (faults, remarks) = (Vec::new(), Vec::new());
        let Greeting { spelling, bufsize } = self.greeting;
        let mut play = Play { stage, spelling, bufsize, case: case.rule.case, faults, remarks };
        let result = (case.play)(&mut play);
        let Play { faults, remarks, .. } = play;
        let mut finding = verdict_of(case.rule, result, faults, remarks);
        finding.exchanges = stage.exchanges();
        finding.said = stage.said();
        finding
    }

    fn reason_against(&self, case: &ServerCase) -> Option<String> {
        match case.scope {
            Scope::Files if matches!(self.whom, Whom::Address(_)) => {
                Some("the server's files cannot be seen from here; start it with -- COMMAND".into())
            }
            Scope::Spaced(why) if self.greeting.spelling == Spelling::Compact => Some(why.into()),
            Scope::Strict if !self.strict => {
                Some("only with --strict-course: keeping it longer is better on bad links".into())
            }
            _ => None,
        }
    }

    /// Finds out how the server speaks: a start in one spelling, and if that stays unanswered, to a fresh one in the other;
    /// or only in the one that is asked for.
    ///
    /// # Errors
    /// Why nothing can be examined.
    pub fn greet(whom: &Whom, spelling: Option<Spelling>, interrupt: &Interrupt) -> Result<Greeting, String> {
        let mut silence = String::new();
        for tried in spelling.map_or(vec![Spelling::Spaced, Spelling::Compact], |asked| vec![asked]) {
            let stage = Stage::set(whom, PROBE_WITHIN, interrupt).map_err(Fault::into_words)?;
            if let Some(greeting) = ask(&stage, tried, spelling).map_err(Fault::into_words)? {
                return Ok(greeting);
            }
            silence = stage.epitaph().map(|epitaph| format!("; {epitaph}")).unwrap_or_default();
        }
        let how =
            spelling.map_or("in neither spelling".into(), |asked| format!("not in the {} spelling", asked.word()));
        Err(format!("the server does not answer a start, {how}{silence}"))
    }
}

fn ask(stage: &Stage, tried: Spelling, forced: Option<Spelling>) -> Result<Option<Greeting>, Fault> {
    let mut talk = Talk::new(stage, tried, 0, USUAL_BUFSIZE)?;
    let start = talk.start_message("greeting.txt", 4);
    talk.send(&start);
    for reply in talk.replies(ANSWERS_WITHIN)? {
        let spelling = match reply.as_slice() {
            [b'a', b' ', b'|', ..] => Spelling::Spaced,
            [b'a' | b'n', b'|', ..] => Spelling::Compact,
            _ => continue,
        };
        if talk.acknowledges(&reply, 0) {
            talk.take_bufsize(&reply);
        }
        return Ok(Some(Greeting { spelling: forced.unwrap_or(spelling), bufsize: talk.bufsize }));
    }
    Ok(None)
}

fn verdict_of(rule: Rule, result: Result<(), Fault>, mut faults: Vec<String>, remarks: Vec<String>) -> Finding {
    match result {
        Err(Fault::NotApplicable(why)) if faults.is_empty() => return finding(rule, Verdict::NotApplicable, why),
        Err(Fault::NotApplicable(why) | Fault::Broken(why)) => faults.push(why),
        Ok(()) => {}
    }
    faults.dedup();
    match faults.is_empty() {
        true => finding(rule, Verdict::Pass, remarks.join("; ")),
        false => finding(rule, Verdict::Fail, faults.join("; ")),
    }
}

fn finding(rule: Rule, verdict: Verdict, why: String) -> Finding {
    Finding { rule, verdict, why, exchanges: Vec::new(), said: String::new(), took: Duration::ZERO }
}

const PROBE_WITHIN: Duration = Duration::from_secs(10);
const ANSWERS_WITHIN: Duration = Duration::from_millis(1200);

/// What the course's servers announce.
const USUAL_BUFSIZE: usize = 1024;
