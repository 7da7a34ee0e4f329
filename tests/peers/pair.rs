//! Runs one peer and one of our programs, and judges what became of the file.

use crate::cell::{Cell, Column, Side};
use crate::expected::{Class, Expectations, Expected, folder, may_stay_unconfirmed};
use crate::program::{Program, wait_until};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// What a cell came to.
pub enum Verdict {
    /// The file is exact, and our client said so.
    Ok,
    /// The file is exact, and our client could not know: exit code 7, where the document lets the last acknowledgement be missing.
    Unconfirmed,
    /// No exact copy, as the document says; our client ended in time with this exit code.
    Documented(Option<i32>),
    /// Anything else, in words.
    Wrong(String),
}

/// All that pairs have in common.
pub struct Pairs {
    pub expectations: Expectations,
    contents: BTreeMap<Class, Vec<u8>>,
    pycache: PathBuf,
}

/// The folders of one pair; they vanish with it.
struct Place {
    folder: TempDir,
    served: PathBuf,
    local: PathBuf,
}

impl Pairs {
    pub fn new(target: &Path, expectations: Expectations) -> Self {
        Self { contents: expectations.contents(), expectations, pycache: target.join("peers-pycache") }
    }

    pub fn judge(&self, cell: &Cell) -> Verdict {
        let content = &self.contents[&cell.class()];
        match cell.peer {
            Side::Server => {
                let expected = &self.expectations.servers[&cell.profile];
                self.judge_server(cell, expected, &Place::new("x.png", content))
            }
            Side::Client => {
                let expected = &self.expectations.clients[&cell.profile];
                self.judge_client(cell, expected, &Place::new(&expected.local_name, content))
            }
        }
    }

    /// Our client to this server.
    fn judge_server(&self, cell: &Cell, expected: &Expected, place: &Place) -> Verdict {
        let (server, address) = match self.start_lab_server(cell, expected, place) {
            Ok(started) => started,
            Err(reason) => return Verdict::Wrong(reason),
        };
        let mut client = Program::start(
            Command::new(env!("CARGO_BIN_EXE_client"))
                .env("XDG_CONFIG_HOME", env!("CARGO_TARGET_TMPDIR"))
                .args([&address, place.local.to_str().expect("text"), &expected.remote_name])
                .args(["--mode", cell.ours.word(), "--spelling", &expected.spelling, "--json"])
                .args(["--timeout", timeout_s(cell, expected)]),
            place.folder.path(),
            "client",
        );
        let code = match client.wait(limit(cell)) {
            None => return wrong("our client did not end in time", &[&client, &server]),
            Some(status) => status.code(),
        };
        let exact = expected.exact[&cell.class()];
        let found = if exact {
            let patience = Duration::from_secs_f64(expected.appears_after_s) + SLACK;
            place.wait_for(&self.contents[&cell.class()], &expected.saved_as, patience)
        } else {
            Ok(())
        };
        match (found, code) {
            (Err(difference), _) => wrong(&format!("exit code {code:?}; {difference}"), &[&client, &server]),
            _ if !client.err().is_empty() => wrong("our client complains", &[&client, &server]),
            _ if !server.err().is_empty() => wrong("the server itself is broken", &[&client, &server]),
            (Ok(()), Some(0)) if exact => Verdict::Ok,
            (Ok(()), Some(7)) if exact && may_stay_unconfirmed(&cell.profile, cell.class(), cell.is_lossy()) => {
                Verdict::Unconfirmed
            }
            // The lab's protocol has no checksum: a server that acknowledges what it garbles cannot be caught.
            (Ok(()), Some(0 | 3 | 4 | 7)) if !exact => Verdict::Documented(code),
            (Ok(()), _) => wrong(&format!("exit code {code:?}, exact file: {exact}"), &[&client, &server]),
        }
    }

    /// This client to our server.
    fn judge_client(&self, cell: &Cell, expected: &Expected, place: &Place) -> Verdict {
        let mut server = Program::start(
            Command::new(env!("CARGO_BIN_EXE_server"))
                .env("XDG_CONFIG_HOME", env!("CARGO_TARGET_TMPDIR"))
                .args(["0", "--bind", "127.0.0.1", "--json", "--root"])
                .arg(&place.served),
            place.folder.path(),
            "server",
        );
        let Some(address) = server.wait_for_line(START_LIMIT, |line| text_of(line, "listening", "address")) else {
            return wrong("our server did not start", &[&server]);
        };
        let mut client = self.start_lab_client(cell, expected, place, &address);
        if client.wait(limit(cell)).is_none() {
            return wrong("the client did not end in time", &[&client, &server]);
        }
        let exact = expected.exact[&cell.class()];
        let content = &self.contents[&cell.class()];
        let found = if exact {
            place.wait_for(content, &expected.saved_as, SLACK).and_then(|()| {
                let digest = hex::encode(Sha256::digest(content));
                let told = server.wait_for_line(SLACK, |line| text_of(line, "finished", "sha256"));
                if told == Some(digest) { Ok(()) } else { Err(format!("the server told of {told:?}")) }
            })
        } else {
            // Nothing half-written ever carries the final name.
            place.files().is_empty().then_some(()).ok_or_else(|| place.listing())
        };
        match found {
            Err(difference) => wrong(&difference, &[&client, &server]),
            Ok(()) if !server.is_running() => wrong("our server has ended", &[&client, &server]),
            Ok(()) if !server.err().is_empty() => wrong("our server complains", &[&client, &server]),
            Ok(()) if !client.err().is_empty() => wrong("the client itself is broken", &[&client, &server]),
            Ok(()) if exact => Verdict::Ok,
            Ok(()) => Verdict::Documented(None),
        }
    }

    fn start_lab_server(&self, cell: &Cell, expected: &Expected, place: &Place) -> Result<(Program, String), String> {
        let mut command = python(&self.pycache, "lab_server.py");
        command.args([&cell.profile, "0", "--lifetime", "200"]).current_dir(&place.served);
        lose(&mut command, cell, expected);
        let server = Program::start(&mut command, place.folder.path(), "server");
        let listening = |line: &str| line.strip_prefix("listening on ").map(|address| address.trim_end().to_string());
        match server.wait_for_line(START_LIMIT, listening) {
            Some(address) => Ok((server, address)),
            None => Err(format!("the server did not start\n{}", server.account())),
        }
    }

    fn start_lab_client(&self, cell: &Cell, expected: &Expected, place: &Place, address: &str) -> Program {
        let mut command = python(&self.pycache, "lab_client.py");
        let patience_s = if cell.is_lossy() { "60" } else { "15" };
        command.args([&cell.profile, address]).arg(&place.local).args([&expected.remote_name, "--give-up", patience_s]);
        lose(&mut command, cell, expected);
        Program::start(&mut command, place.folder.path(), "client")
    }
}

impl Place {
    fn new(local_name: &str, content: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (served, local) = (folder.path().join("served"), folder.path().join(local_name));
        std::fs::create_dir(&served).expect("a folder");
        std::fs::write(&local, content).expect("a file");
        Self { folder, served, local }
    }

    /// Waits for exactly this file and no other; otherwise says what is there instead.
    fn wait_for(&self, content: &[u8], saved_as: &str, limit: Duration) -> Result<(), String> {
        let is_it = || match self.files().as_slice() {
            [(name, bytes)] => matches(saved_as, name) && bytes == content,
            _ => false,
        };
        wait_until(limit, || is_it().then_some(())).ok_or_else(|| self.listing())
    }

    /// Every file beneath the served folder that has its final name.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.served.clone()];
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
                let name = path.strip_prefix(&self.served).expect("beneath it").to_string_lossy().into_owned();
                if path.is_dir() {
                    folders.push(path);
                } else if !name.starts_with(".homing-") {
                    // It may vanish between the two looks at it.
                    files.push((name, std::fs::read(&path).unwrap_or_default()));
                }
            }
        }
        files
    }

    fn listing(&self) -> String {
        let sent = std::fs::read(&self.local).unwrap_or_default();
        let files: Vec<String> = self
            .files()
            .iter()
            .map(|(name, bytes)| {
                let same = sent.iter().zip(bytes).take_while(|(sent, there)| sent == there).count();
                format!("{name:?} with {} bytes, the first {same} as sent", bytes.len())
            })
            .collect();
        if files.is_empty() { "no file there".into() } else { format!("there is {}", files.join(", ")) }
    }
}

/// A peer's command. What Python compiles goes to the build's folder, whatever the environment says: compiling it anew takes
/// longer than most transfers.
pub fn python(pycache: &Path, script: &str) -> Command {
    let mut command = Command::new("python3");
    command
        .env_remove("PYTHONDONTWRITEBYTECODE")
        .arg("-X")
        .arg(format!("pycache_prefix={}", pycache.display()))
        .arg(folder().join(script));
    command
}

/// A text field of the event of this kind, if the line is one.
pub fn text_of(line: &str, kind: &str, field: &str) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    (event["event"] == kind).then(|| event[field].as_str().map(Into::into))?
}

fn lose(command: &mut Command, cell: &Cell, expected: &Expected) {
    if let Column::Loss(seed) = cell.column {
        let loss = expected.loss();
        command.args(["--drop-in", loss, "--drop-out", loss, "--seed", &seed.to_string()]);
    }
}

/// `pattern` may have one `*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail),
    }
}

fn wrong(what: &str, programs: &[&Program]) -> Verdict {
    let accounts: String = programs.iter().map(|program| program.account()).collect();
    Verdict::Wrong(format!("{what}\n{accounts}"))
}

/// Long enough for several repeats in a row to be lost; compact ones may be 3 s apart before anything was measured.
fn timeout_s(cell: &Cell, expected: &Expected) -> &'static str {
    match (cell.is_lossy(), expected.spelling.as_str()) {
        (false, _) => "3",
        (true, "spaced") => "8",
        (true, _) => "15",
    }
}

fn limit(cell: &Cell) -> Duration {
    if cell.is_lossy() { LOSSY_LIMIT } else { CALM_LIMIT }
}

const START_LIMIT: Duration = Duration::from_secs(20);

/// A program that is not done by then hangs: nothing is longer than 40 KB.
const CALM_LIMIT: Duration = Duration::from_secs(20);
const LOSSY_LIMIT: Duration = Duration::from_secs(70);

/// What a busy machine may take for writing a file, beyond what the peer takes by its nature.
const SLACK: Duration = Duration::from_secs(2);
