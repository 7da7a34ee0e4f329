//! A running program: its output in files, its end awaited for a limited time, itself never left behind.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub struct Program {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    command: String,
}

impl Program {
    /// Starts a program whose output goes to files called after `name` in `logs`: nobody has to drain a pipe.
    pub fn start(command: &mut Command, logs: &Path, name: &str) -> Self {
        let (out, err) = (logs.join(format!("{name}.out")), logs.join(format!("{name}.err")));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&out).expect("a log"))
            .stderr(File::create(&err).expect("a log"))
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, out, err, command: format!("{command:?}") }
    }

    /// The first thing that `find` finds in a line of standard output.
    pub fn wait_for_line<T>(&self, limit: Duration, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        wait_until(limit, || self.out().split_inclusive('\n').filter(|line| line.ends_with('\n')).find_map(&find))
    }

    /// How it ended; `None` if it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        wait_until(limit, || self.child.try_wait().expect("a child of ours"))
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_none()
    }

    /// Its standard output so far.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    /// Its standard error so far.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.err).unwrap_or_default()).into_owned()
    }

    /// The command, and the end of what it said.
    pub fn account(&self) -> String {
        let mut text = format!("    {}\n", self.command);
        for said in [self.out(), self.err()] {
            let lines: Vec<&str> = said.lines().collect();
            for line in lines.iter().skip(lines.len().saturating_sub(LINES_SHOWN)) {
                text += &format!("      {}\n", line.chars().take(COLUMNS_SHOWN).collect::<String>());
            }
        }
        text
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again and again until there is an answer or the time is up; asks at least once.
pub fn wait_until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() >= deadline {
            return answer;
        }
        std::thread::sleep(ASK_EVERY);
    }
}

const ASK_EVERY: Duration = Duration::from_millis(10);
const LINES_SHOWN: usize = 4;
const COLUMNS_SHOWN: usize = 300;
