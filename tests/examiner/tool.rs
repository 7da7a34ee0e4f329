//! Running the built programs: in a folder, to their end, with a time-out; and ended with the test, whatever becomes of it.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const LAB_CHECK: &str = env!("CARGO_BIN_EXE_lab_check");
pub const SERVER: &str = env!("CARGO_BIN_EXE_server");
pub const CLIENT: &str = env!("CARGO_BIN_EXE_client");
pub const BAD_SERVER: &str = env!("CARGO_BIN_EXE_bad_server");

/// Two of the longest cases and then some: a program that hangs fails its test after this.
const LIMIT: Duration = Duration::from_secs(150);

/// A program that runs; what it prints goes to files, so that no pipe of it can be kept open by what it has started.
pub struct Running {
    child: Child,
    began: Instant,
    logs: TempDir,
}

/// A program that has ended by itself.
#[derive(Debug)]
pub struct Ended {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

/// One line of `--json`.
#[derive(Clone, Debug)]
pub struct Finding {
    pub case: String,
    pub verdict: String,
    pub why: String,
    pub submission: Option<String>,
}

impl Running {
    /// Starts a program in this folder.
    pub fn start(program: &str, arguments: &[&str], folder: &Path) -> Self {
        let logs = folder_of_its_own();
        let log = |name: &str| File::create(logs.path().join(name)).expect("a file");
        let mut command = Command::new(program);
        command.env("XDG_CONFIG_HOME", env!("CARGO_TARGET_TMPDIR"));
        command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(log("out")).stderr(log("err"));
        Self { child: command.spawn().expect("the built program"), began: Instant::now(), logs }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// What it has printed so far.
    pub fn out(&self) -> String {
        text(&self.logs.path().join("out"))
    }

    /// Waits until it ends by itself.
    pub fn end(mut self) -> Ended {
        while self.is_running() {
            assert!(
                self.began.elapsed() < LIMIT,
                "it does not end: {} {}",
                self.out(),
                text(&self.logs.path().join("err"))
            );
            thread::sleep(Duration::from_millis(20));
        }
        let took = self.began.elapsed();
        let code = self.child.wait().expect("our child").code();
        Ended { code, out: self.out(), err: text(&self.logs.path().join("err")), took }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // In order, so that it ends what it has started; what does not end is killed.
            self.signal(Signal::TERM);
            let deadline = Instant::now() + Duration::from_secs(3);
            while Instant::now() < deadline && self.child.try_wait().is_ok_and(|status| status.is_none()) {
                thread::sleep(Duration::from_millis(10));
            }
        }
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Fails the test, with all that was said, unless the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Fails the test unless these words were complained.
    #[track_caller]
    pub fn complaining(self, words: &str) -> Self {
        assert!(self.err.contains(words), "no {words:?} in {self:#?}");
        self
    }

    /// The objects on standard output, which has nothing else.
    #[track_caller]
    pub fn findings(&self) -> Vec<Finding> {
        self.out.lines().map(|line| Finding::read(line, self)).collect()
    }

    /// The only object on standard output.
    #[track_caller]
    pub fn finding(&self) -> Finding {
        let findings = self.findings();
        let [one] = &findings[..] else { panic!("{} findings in {self:#?}", findings.len()) };
        one.clone()
    }
}

impl Finding {
    #[track_caller]
    fn read(line: &str, ended: &Ended) -> Self {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line:?} in {ended:#?}"));
        let word = |key: &str| object[key].as_str().map(String::from);
        let needed = |key: &str| word(key).unwrap_or_else(|| panic!("no {key} in {line}"));
        let submission = word("submission");
        let keys: Vec<&String> = object.as_object().expect("an object").keys().collect();
        let expected: &[&str] =
            if submission.is_some() { &["case", "submission", "verdict", "why"] } else { &["case", "verdict", "why"] };
        assert_eq!(keys, expected, "{line}");
        Self { case: needed("case"), verdict: needed("verdict"), why: needed("why"), submission }
    }
}

/// Runs `lab_check` to its end.
pub fn lab_check(arguments: &[&str]) -> Ended {
    let folder = folder_of_its_own();
    lab_check_in(folder.path(), arguments)
}

/// The same in this folder.
pub fn lab_check_in(folder: &Path, arguments: &[&str]) -> Ended {
    Running::start(LAB_CHECK, arguments, folder).end()
}

/// A broken peer, or a correct one: a file of `tests/broken`.
pub fn peer(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken").join(name).to_string_lossy().into_owned()
}

/// The names of all cases for `side`.
pub fn cases(side: &str) -> Vec<String> {
    let listed = lab_check(&[side, "--list", "--json"]).expect(0);
    let names = listed.out.lines().map(|line| {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        assert!(object["rule"].as_str().is_some_and(|rule| rule.ends_with('.')), "{line}");
        object["case"].as_str().expect("a name").to_string()
    });
    names.collect()
}

/// A folder that is gone with its guard.
pub fn folder_of_its_own() -> TempDir {
    tempfile::Builder::new().prefix("examiner-").tempdir().expect("a temporary folder")
}

/// A file in a folder; gives its path.
pub fn write(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, content).expect("a file");
    path
}

pub fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Waits until it is so; fails the test after `patience`.
#[track_caller]
pub fn wait_until(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
