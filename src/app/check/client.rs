//! The cases for clients: each is a copy to our server, behind a weather or with a misbehaviour.

mod behaviour;
mod cases;
mod host;
mod judges;
mod performance;

use super::content::{binary, letters};
use super::finding::{Fault, Finding, Rule, Verdict};
use super::server::Unexaminable;
use super::subject::Command;
use crate::io::clock;
use crate::io::program::Program;
use crate::io::signals::Interrupt;
use crate::packet::lab::Spelling;
use crate::weather::Weather;
use behaviour::Behaviour;
use cases::Sent;
use host::Host;
use judges::delivered;
use performance::Performance;
use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

pub use cases::{ClientCase, cases};

/// How a client is examined.
#[derive(Clone)]
pub struct ClientExam {
    /// Its command.
    pub command: Command,
    /// In which spelling it speaks.
    pub spelling: Spelling,
    /// The seed of all weather.
    pub seed: u64,
    /// How long a case may take.
    pub limit: Duration,
    /// Ctrl-C.
    pub interrupt: Interrupt,
    /// How a plain copy fails: the client's end in words. A failure that ends so as well shows nothing else.
    pub plain: Option<String>,
}

impl ClientExam {
    /// Plays one case.
    pub fn examine(&self, case: &ClientCase) -> Finding {
        let began = clock::now();
        let (verdict, why, exchanges, said) = match self.perform(case) {
            Err(Fault::Broken(why)) => (Verdict::Fail, why, Vec::new(), String::new()),
            Err(Fault::NotApplicable(why)) => (Verdict::NotApplicable, why, Vec::new(), String::new()),
            Ok((performance, said)) => {
                let is_plain = ABOUT_PLAIN_COPIES.contains(&case.rule.case);
                let ends_as_plain = self.plain.as_deref() == Some(performance.epitaph.as_str());
                let (verdict, why) = match (case.judge)(&performance) {
                    Ok(remark) => (Verdict::Pass, remark),
                    Err(Fault::Broken(_)) if !is_plain && ends_as_plain && performance.behaviour.faults.is_empty() => {
                        (Verdict::NotApplicable, format!("a plain copy fails already: {}", performance.epitaph))
                    }
                    Err(Fault::Broken(why)) => (Verdict::Fail, why),
                    Err(Fault::NotApplicable(why)) => (Verdict::NotApplicable, why),
                };
                (verdict, why, performance.exchanges, said)
            }
        };
        let took = clock::now().saturating_duration_since(began);
        Finding { rule: case.rule, verdict, why, exchanges, said, took }
    }

    /// Runs the client once on a perfect network, to see which spelling it speaks and whether it copies anything at all.
    ///
    /// # Errors
    /// Why nothing can be examined.
    pub fn greet(&mut self, forced: Option<Spelling>) -> Result<(), Unexaminable> {
        let case = ClientCase {
            rule: Rule { case: "greeting", rule: "" },
            weather: "",
            misbehaviour: None,
            // Some chunks in either spelling: their numbers tell compact courses apart.
            file: Sent::Bytes(50_000),
            judge: delivered,
        };
        let limit = std::mem::replace(&mut self.limit, GREETING_WITHIN);
        let performance = self.perform(&case);
        self.limit = limit;
        let (performance, _) = performance.map_err(|fault| Unexaminable::Broken(fault.into_words()))?;
        let Some(spelling) = performance.spelling else {
            let place = if self.command.has("addr") { "{addr}" } else { "{host} and {port}" };
            let why = format!("the client sent no start to {place}; {}", performance.epitaph);
            return Err(Unexaminable::Broken(why));
        };
        let counts_on = performance.behaviour.numbers.iter().find(|number| **number > 1);
        if let (Spelling::Compact, Some(number), None) = (spelling, counts_on, forced) {
            return Err(Unexaminable::Foreign(format!(
                "its compact messages are those of 2021, whose numbers go on counting (`d|{number}`): that course is not \
                 examined; if it is another one, say --spelling compact"
            )));
        }
        self.spelling = forced.unwrap_or(spelling);
        self.plain = delivered(&performance).is_err().then_some(performance.epitaph);
        Ok(())
    }

    /// Runs the client against a server of our own.
    fn perform(&self, case: &ClientCase) -> Result<(Performance, String), Fault> {
        if self.interrupt.exit_code().is_some() {
            return Err(Fault::NotApplicable("interrupted".into()));
        }
        let scene = tempfile::Builder::new().prefix("lab_check-").tempdir()?;
        let [served, own, logs] = ["served", "client", "logs"].map(|name| scene.path().join(name));
        for folder in [&served, &own, &logs] {
            fs::create_dir_all(folder)?;
        }
        let (name, content) = (format!("{}.txt", case.rule.case), self.content(case.file));
        fs::write(own.join(&name), &content)?;
        let host = Host::start(&served, self.weather(case), case.misbehaviour, self.seed)?;
        let port = host.port.to_string();
        let address = format!("{}:{port}", Ipv4Addr::LOCALHOST);
        let local = own.join(&name).to_string_lossy().into_owned();
        let values =
            [("addr", address.as_str()), ("host", "127.0.0.1"), ("port", &port), ("local", &local), ("remote", &name)];
        let began = clock::now();
        let words = self.command.fill(&values);
        let mut program = Program::start(&words, &own, &logs)
            .map_err(|error| Fault::broken(format!("{} cannot be started: {error}", self.command.line())))?;
        let status = program.wait(began + self.limit, || self.interrupt.exit_code().is_some());
        let took = clock::now().saturating_duration_since(began);
        let epitaph =
            program.epitaph().unwrap_or_else(|| format!("it was still running after {:.0} s", took.as_secs_f64()));
        program.end();
        if self.interrupt.exit_code().is_some() {
            return Err(Fault::NotApplicable("interrupted".into()));
        }
        let exchanges = host.stop();
        let behaviour = Behaviour::of(&exchanges);
        let saved = files(&served)?;
        let spelling = behaviour.spelling;
        let performance = Performance { status, epitaph, took, spelling, exchanges, behaviour, name, content, saved };
        Ok((performance, program.said()))
    }

    fn content(&self, file: Sent) -> Vec<u8> {
        let chunk = match self.spelling {
            Spelling::Spaced => 1016,
            Spelling::Compact => 20_476,
        };
        match file {
            Sent::Bytes(count) => letters(count, "file"),
            Sent::Chunks(count) => letters(count * chunk - chunk / 2, "file"),
            Sent::ChunkAnd(more) => letters(chunk + more, "file"),
            Sent::Binary => binary(3 * chunk),
        }
    }

    fn weather(&self, case: &ClientCase) -> Weather {
        let mut weather: Weather = case.weather.parse().unwrap_or_default();
        if self.spelling == Spelling::Compact {
            // An alternating bit needs a link that keeps order; it is no client's fault that it cannot do without.
            let kept = weather.apply("reorder=0,late=0");
            debug_assert!(kept.is_ok(), "{kept:?}");
        }
        weather
    }
}

/// The cases that a client fails by itself whose plain copies fail.
const ABOUT_PLAIN_COPIES: &[&str] = &[
    "plain-copy",
    "file-name",
    "chunk-numbers",
    "file-empty",
    "file-one-byte",
    "file-chunk",
    "file-chunk-plus-one",
    "file-megabyte",
    "weather-clean",
];

/// How long a client may take for some chunks on a perfect network.
const GREETING_WITHIN: Duration = Duration::from_secs(15);

/// Every file that the server saved, by name.
fn files(folder: &std::path::Path) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            files.push((name, fs::read(entry.path())?));
        }
    }
    files.sort();
    Ok(files)
}
