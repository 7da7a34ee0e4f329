//! The cases for servers.

mod answers;
mod contents;
mod crowds;
mod losses;
mod play;
mod strangers;

use super::content::letters;
use super::finding::{Fault, Finding, Rule, Verdict};
use super::stage::{Stage, Whom};
use super::talk::Talk;
use crate::io::clock;
use crate::io::signals::Interrupt;
use crate::packet::lab::{self, COMPACT_BUFSIZE, Message, Spelling};
use crate::trace::words;
use play::{Play, SMALL, Scope, some_chunks};
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
    /// What is wrong with a plain copy of several chunks: no other case is to blame for it.
    pub plain: Option<String>,
    /// Then whether a copy of less than a chunk works at least.
    pub small_works: bool,
}

/// What a server's first answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The spelling it speaks.
    pub spelling: Spelling,
    /// The largest datagram that it takes, in bytes.
    pub bufsize: usize,
    /// The number with which it answers any start, where that is not the next one.
    pub next: Option<u64>,
}

/// Why no case is played.
pub enum Unexaminable {
    /// The server is at fault.
    Broken(String),
    /// It speaks by other rules than those that are examined.
    Foreign(String),
}

impl ServerExam {
    /// Plays one case.
    pub fn examine(&self, case: &ServerCase) -> Finding {
        let began = clock::now();
        let mut finding = match self.reason_against(case) {
            Some(why) => finding(case.rule, Verdict::NotApplicable, why),
            None => match Stage::set(&self.whom, self.limit, &self.interrupt) {
                Err(fault) => verdict_of(case.rule, Err(fault), Vec::new(), Vec::new()),
                Ok(stage) => {
                    if case.scope != Scope::Plain {
                        stage.excuse(self.plain.clone());
                    }
                    self.play(case, &stage)
                }
            },
        };
        finding.took = clock::now().saturating_duration_since(began);
        finding
    }

    fn play(&self, case: &ServerCase, stage: &Stage) -> Finding {
        let mut play = Play::new(stage, self.greeting, case.rule.case);
        play.only_small = self.small_works;
        let result = (case.play)(&mut play);
        let Play { mut faults, mut remarks, .. } = play;
        remarks.extend(stage.remark());
        let result = match case.scope {
            Scope::Plain => result,
            _ => self.excused(result, &mut faults),
        };
        let mut finding = verdict_of(case.rule, result, faults, remarks);
        finding.exchanges = stage.exchanges();
        finding.said = stage.said();
        finding
    }

    /// A case that gets stuck where a plain copy does shows nothing about its own rule.
    fn excused(&self, result: Result<(), Fault>, faults: &mut Vec<String>) -> Result<(), Fault> {
        let Some(plain) = &self.plain else { return result };
        let found = faults.len();
        faults.retain(|why| !why.ends_with(plain.as_str()));
        match result {
            Ok(()) if faults.len() == found => Ok(()),
            Err(Fault::Broken(why)) if !why.ends_with(plain.as_str()) => Err(Fault::Broken(why)),
            Err(Fault::NotApplicable(why)) => Err(Fault::NotApplicable(why)),
            Ok(()) | Err(_) => Err(Fault::NotApplicable(format!("a plain copy gets stuck already: {plain}"))),
        }
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

    /// Makes a plain copy of several chunks, and remembers what is wrong with it.
    pub fn try_plain_copy(&mut self) {
        let case = |play| ServerCase { rule: Rule { case: "plain-copy", rule: "" }, play, scope: Scope::Plain };
        let finding = self.examine(&case(plain_copy));
        if finding.verdict == Verdict::Fail {
            self.plain = Some(finding.why);
            self.small_works = self.examine(&case(small_copy)).verdict == Verdict::Pass;
        }
    }

    /// Finds out how the server speaks: a start in one spelling, and if that stays unanswered, to a fresh one in the other;
    /// or only in the one that is asked for.
    ///
    /// # Errors
    /// Why nothing can be examined.
    pub fn greet(whom: &Whom, spelling: Option<Spelling>, interrupt: &Interrupt) -> Result<Greeting, Unexaminable> {
        let broken = |fault: Fault| Unexaminable::Broken(fault.into_words());
        let mut silence = String::new();
        for tried in spelling.map_or(vec![Spelling::Spaced, Spelling::Compact], |asked| vec![asked]) {
            let stage = Stage::set(whom, PROBE_WITHIN, interrupt).map_err(broken)?;
            match ask(&stage, tried, spelling) {
                Ok(Some(greeting)) => return Ok(greeting),
                Ok(None) => {}
                Err(Fault::NotApplicable(why)) => return Err(Unexaminable::Foreign(why)),
                Err(fault) => return Err(broken(fault)),
            }
            silence = stage.epitaph().map(|epitaph| format!("; {epitaph}")).unwrap_or_default();
        }
        let how = spelling.map_or(", in neither spelling".into(), |asked| format!(" in the {} spelling", asked.word()));
        Err(Unexaminable::Broken(format!("the server does not answer a start{how}{silence}")))
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
        let next = match lab::decode(&reply) {
            Ok((Spelling::Compact, Message::Ack { bufsize: Some(size), .. }))
                if forced.is_none() && size < COMPACT_BUFSIZE as u64 =>
            {
                return Err(Fault::NotApplicable(format!(
                    "`{}` has a buffer size, as the compact messages of 2021 had, whose numbers go on counting: that course is \
                     not examined; if it is another one, say --spelling compact",
                    words(&reply)
                )));
            }
            Ok((Spelling::Spaced, Message::Ack { next, .. })) if !talk.acknowledges(&reply, 0) => Some(next),
            _ => None,
        };
        talk.take_bufsize(&reply);
        return Ok(Some(Greeting { spelling: forced.unwrap_or(spelling), bufsize: talk.bufsize, next }));
    }
    Ok(None)
}

fn verdict_of(rule: Rule, result: Result<(), Fault>, mut faults: Vec<String>, remarks: Vec<String>) -> Finding {
    match result {
        Err(Fault::NotApplicable(why)) if faults.is_empty() => return finding(rule, Verdict::NotApplicable, why),
        Err(Fault::Broken(why)) => faults.push(why),
        // What was found before stays found.
        Err(Fault::NotApplicable(_)) | Ok(()) => {}
    }
    faults.dedup();
    match faults.is_empty() {
        true => finding(rule, Verdict::Pass, remarks.join("; ")),
        false => finding(rule, Verdict::Fail, faults.join("; ")),
    }
}

fn plain_copy(play: &mut Play<'_>) -> Result<(), Fault> {
    let name = play.name();
    let mut talk = play.talk()?;
    let content = some_chunks(&talk, 3);
    talk.copy(&name, &content)
}

fn small_copy(play: &mut Play<'_>) -> Result<(), Fault> {
    let name = play.name();
    play.talk()?.copy(&name, &letters(SMALL, "small"))
}

fn finding(rule: Rule, verdict: Verdict, why: String) -> Finding {
    Finding { rule, verdict, why, exchanges: Vec::new(), said: String::new(), took: Duration::ZERO }
}

const PROBE_WITHIN: Duration = Duration::from_secs(10);
const ANSWERS_WITHIN: Duration = Duration::from_millis(1200);

/// What the course's servers announce.
const USUAL_BUFSIZE: usize = 1024;
