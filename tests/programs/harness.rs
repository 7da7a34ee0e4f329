//! Programs under test: started, listened to with a time-out, and killed with the test, whatever becomes of it.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const SERVER: &str = env!("CARGO_BIN_EXE_server");
pub const CLIENT: &str = env!("CARGO_BIN_EXE_client");
pub const BAD_SERVER: &str = env!("CARGO_BIN_EXE_bad_server");
pub const CHAT_CLIENT: &str = env!("CARGO_BIN_EXE_chat_client");
pub const CHAT_SERVER: &str = env!("CARGO_BIN_EXE_chat_server");
pub const ECHO_SERVER: &str = env!("CARGO_BIN_EXE_echo_server");
pub const ECHO_CLIENT: &str = env!("CARGO_BIN_EXE_echo_client");
pub const LOSSY_LINK: &str = env!("CARGO_BIN_EXE_lossy_link");

/// No single wait takes longer, also on a busy machine; a program that hangs fails its test after this.
pub const LIMIT: Duration = Duration::from_secs(40);

/// A program that runs. Dropped, it is killed.
pub struct Program {
    name: String,
    child: Child,
    began: Instant,
    out: Lines,
    err: Lines,
}

/// What a program wrote to one of its pipes.
struct Lines {
    coming: Receiver<String>,
    seen: Vec<String>,
}

/// A program that has ended by itself.
#[derive(Debug)]
pub struct Ended {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub out: Vec<String>,
    pub err: Vec<String>,
    pub took: Duration,
}

impl Program {
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        Self::of(program, Command::new(program).args(arguments).stdin(Stdio::null()))
    }

    /// A program that reads these bytes from its standard input.
    pub fn fed(program: &str, arguments: &[&str], input: &[u8]) -> Self {
        let mut started = Self::waiting_for_input(program, arguments);
        let mut pipe = started.child.stdin.take().expect("a pipe");
        let input = input.to_vec();
        // A program that ends without reading closes the pipe; its exit code will tell.
        thread::spawn(move || drop(pipe.write_all(&input)));
        started
    }

    /// A program whose standard input stays open and empty.
    pub fn waiting_for_input(program: &str, arguments: &[&str]) -> Self {
        Self::of(program, Command::new(program).args(arguments).stdin(Stdio::piped()))
    }

    /// Writes a line to the standard input of a program that waits for it.
    pub fn type_line(&mut self, line: &str) {
        let pipe = self.child.stdin.as_mut().expect("an open input");
        // A program that has ended does not read any more; what it said at its end will tell.
        let _ = pipe.write_all(format!("{line}\n").as_bytes());
    }

    /// Ends its standard input.
    pub fn close_input(&mut self) {
        drop(self.child.stdin.take());
    }

    fn of(program: &str, command: &mut Command) -> Self {
        // Before it runs: how long it took must not seem shorter than it was.
        let began = Instant::now();
        // Keys of tests, not of whoever runs them.
        command.env("XDG_CONFIG_HOME", config_home());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the built program");
        let out = Lines::of(child.stdout.take().expect("a pipe"));
        let err = Lines::of(child.stderr.take().expect("a pipe"));
        let name = Path::new(program).file_name().expect("a name").to_string_lossy().into_owned();
        Self { name, child, began, out, err }
    }

    /// A server for the files of `root`, with events as JSON, at a free port of 127.0.0.1.
    pub fn server(root: &Path, more: &[&str]) -> (Self, SocketAddr) {
        Self::listener(SERVER, root, more)
    }

    pub fn bad_server(root: &Path, more: &[&str]) -> (Self, SocketAddr) {
        Self::listener(BAD_SERVER, root, more)
    }

    fn listener(program: &str, root: &Path, more: &[&str]) -> (Self, SocketAddr) {
        let root = root.to_str().expect("a plain path");
        let mut started =
            Self::start(program, &[&["0", "--json", "--bind", "127.0.0.1", "--root", root], more].concat());
        let address = started.listening();
        (started, address)
    }

    /// A link to `server`, with events as JSON.
    pub fn link(server: SocketAddr, more: &[&str]) -> (Self, SocketAddr) {
        let to = server.to_string();
        let mut started = Self::start(LOSSY_LINK, &[&["--json", "--listen", "0", "--to", &to], more].concat());
        let address = started.listening();
        (started, address)
    }

    /// The address in the `listening` event, which must be the first line.
    pub fn listening(&mut self) -> SocketAddr {
        let first = self.line();
        let event: Value = serde_json::from_str(&first).unwrap_or_else(|_| panic!("{}: not JSON: {first}", self.name));
        assert_eq!(event["event"], "listening", "{}", self.name);
        event["address"].as_str().and_then(|text| text.parse().ok()).expect("an address")
    }

    /// The next line on standard output.
    pub fn line(&mut self) -> String {
        match self.out.next(Instant::now() + LIMIT) {
            Some(line) => line,
            None => self.fail("no further line"),
        }
    }

    /// The next event of this kind; others before it are passed over.
    pub fn event(&mut self, kind: &str) -> Value {
        let deadline = Instant::now() + LIMIT;
        while let Some(line) = self.out.next(deadline) {
            let event: Value =
                serde_json::from_str(&line).unwrap_or_else(|_| panic!("{}: not JSON: {line}", self.name));
            if event["event"] == kind {
                return event;
            }
        }
        self.fail(&format!("no event {kind:?}"))
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// Nobody reads the output any more, as when `head` has ended.
    pub fn close_output(&mut self) {
        self.out = Lines::nobody();
    }

    /// Waits until it ends by itself.
    pub fn end(mut self) -> Ended {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            match self.child.try_wait().expect("our child") {
                Some(status) => break status,
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
                None => self.fail("it does not end"),
            }
        };
        let took = self.began.elapsed();
        let (out, err) = (self.out.rest(deadline), self.err.rest(deadline));
        Ended { code: status.code(), out, err, took }
    }

    /// Ends a listener in order, with the exit code of an interrupt.
    pub fn interrupt(self) -> Ended {
        self.signal(Signal::INT);
        self.end()
    }

    fn fail(&mut self, what: &str) -> ! {
        let soon = Instant::now() + Duration::from_millis(100);
        let (out, err) = (self.out.until(soon), self.err.until(soon));
        panic!("{}: {what}; it said {out:#?}\nand complained {err:#?}", self.name)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, coming) = channel();
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                line.clear();
                if sender.send(text).is_err() {
                    break;
                }
            }
        });
        Self { coming, seen: Vec::new() }
    }

    fn nobody() -> Self {
        Self { coming: channel().1, seen: Vec::new() }
    }

    fn next(&mut self, deadline: Instant) -> Option<String> {
        let line = self.coming.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        self.seen.push(line.clone());
        Some(line)
    }

    /// All lines so far, and those that come until then or until the pipe is closed.
    fn until(&mut self, deadline: Instant) -> Vec<String> {
        while self.next(deadline).is_some() {}
        self.seen.clone()
    }

    /// All lines of a program that has ended.
    fn rest(&mut self, deadline: Instant) -> Vec<String> {
        let lines = self.until(deadline);
        let end = self.coming.recv_timeout(Duration::ZERO);
        assert!(end != Err(RecvTimeoutError::Timeout), "somebody keeps the pipe open");
        lines
    }
}

impl Ended {
    /// Fails the test, with all that was said, unless the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Fails the test unless these words were said or complained.
    #[track_caller]
    pub fn saying(self, words: &str) -> Self {
        assert!(self.out.iter().chain(&self.err).any(|line| line.contains(words)), "no {words:?} in {self:#?}");
        self
    }

    /// All events of a program that spoke JSON.
    pub fn events(&self) -> Vec<Value> {
        self.out.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
    }
}

/// Where keys are; whom earlier runs met, at ports that others have now, is forgotten.
fn config_home() -> &'static str {
    static FORGOTTEN: Once = Once::new();
    let home = env!("CARGO_TARGET_TMPDIR");
    FORGOTTEN.call_once(|| drop(fs::remove_file(Path::new(home).join("homing/known_hosts"))));
    home
}

/// Runs the client to its end; in the checked mode, unless `more` says otherwise.
pub fn copy(target: impl ToString, local: &Path, remote: &str, more: &[&str]) -> Ended {
    start_copy(target, local, remote, more).end()
}

pub fn start_copy(target: impl ToString, local: &Path, remote: &str, more: &[&str]) -> Program {
    let (target, local) = (target.to_string(), local.to_str().expect("a plain path"));
    let is_chosen = more.iter().any(|option| matches!(*option, "--mode" | "--spelling"));
    let mode: &[&str] = if is_chosen { &[] } else { &["--mode", "checked"] };
    Program::start(CLIENT, &[&[&target, local, remote], mode, more].concat())
}

/// A folder of the test's own.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file of so many bytes that no two files share.
    pub fn file(&self, name: &str, size: usize) -> (PathBuf, Vec<u8>) {
        let bytes = random_bytes(size);
        fs::write(self.at(name), &bytes).expect("a file");
        (self.at(name), bytes)
    }

    /// The content under a name; `None` if there is no such file.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.at(name)).ok()
    }

    /// All names in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("the folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Nothing temporary is left. A client may know that all is there before the server's disk has tidied up.
    pub fn expect_tidy(&self) {
        wait_until(LIMIT, "nothing temporary is left", || self.leftovers().is_empty());
    }

    /// Temporary files that a server made here.
    pub fn leftovers(&self) -> Vec<String> {
        self.names().into_iter().filter(|name| name.starts_with(".homing-")).collect()
    }
}

pub fn random_bytes(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    fastrand::fill(&mut bytes);
    bytes
}

pub fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(bytes))
}

/// Waits until it is so; fails the test after `patience`.
#[track_caller]
pub fn wait_until(patience: Duration, what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs all cases at the same time: most of them wait most of the time.
pub fn all_at_once<T: Send>(cases: impl IntoIterator<Item = T>, run: impl Fn(T) + Sync) {
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| run(case));
        }
    });
}

/// Whether this machine has IPv6 at all; says so when a test is skipped for it.
pub fn has_ipv6() -> bool {
    let has = UdpSocket::bind("[::1]:0").is_ok();
    if !has {
        println!("skipped: no IPv6 on this machine");
    }
    has
}
