//! Somebody's program: started in a folder of its own, watched, and ended with everything that it started.

use super::clock;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A running program. Dropping it ends it.
pub struct Program {
    child: Child,
    status: Option<ExitStatus>,
    out: PathBuf,
    err: PathBuf,
}

impl Program {
    /// Starts `words` in `folder`; what it prints goes to files in `logs`.
    ///
    /// # Errors
    /// When it cannot be started: no such program, not executable.
    #[expect(clippy::disallowed_methods, reason = "this is the room where programs write their logs")]
    pub fn start(words: &[OsString], folder: &Path, logs: &Path) -> io::Result<Self> {
        let (name, arguments) = words.split_first().ok_or_else(|| io::Error::other("the command is empty"))?;
        let (out, err) = (logs.join("stdout"), logs.join("stderr"));
        let mut command = Command::new(name);
        command.args(arguments).current_dir(folder).stdin(Stdio::null());
        command.stdout(File::create(&out)?).stderr(File::create(&err)?);
        // Otherwise Python keeps what it prints until its end, and an end by force loses it.
        command.env("PYTHONUNBUFFERED", "1");
        // A group of its own, so that what it starts ends with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok(Self { child: command.spawn()?, status: None, out, err })
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            // The only error is a child that is none of ours any more.
            self.status = self.child.try_wait().unwrap_or_default();
        }
        self.status
    }

    /// Waits for the end until `deadline`, or until `gives_up` says so.
    pub fn wait(&mut self, deadline: Instant, gives_up: impl Fn() -> bool) -> Option<ExitStatus> {
        while self.ended().is_none() && clock::now() < deadline && !gives_up() {
            clock::pause(LOOK_EVERY);
        }
        self.status
    }

    /// The end in words, with the last thing that it said: `it ended with exit code 1: ValueError: ...`.
    pub fn epitaph(&mut self) -> Option<String> {
        let status = self.ended()?;
        let how = match status.code() {
            Some(code) => format!("exit code {code}"),
            None => status.to_string(),
        };
        let last = [&self.err, &self.out].into_iter().find_map(|log| {
            let text = tail(log);
            text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(|line| line.chars().take(LINE_MAX).collect())
        });
        Some(match last {
            Some::<String>(words) if !status.success() => format!("it ended with {how}: {words}"),
            _ => format!("it ended with {how}"),
        })
    }

    /// The end of what it printed, standard error last.
    pub fn said(&self) -> String {
        let texts = [&self.out, &self.err].map(|log| tail(log));
        texts.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<String>>().join("\n")
    }

    /// Ends it: politely first, then for good.
    pub fn end(&mut self) {
        self.signal(false);
        let patience = clock::now() + PATIENCE;
        self.wait(patience, || false);
        // What it started may live on, so its group is told even when it has ended.
        self.signal(true);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    #[cfg(unix)]
    fn signal(&self, for_good: bool) {
        use rustix::process::{Pid, Signal, kill_process_group};
        let signal = if for_good { Signal::KILL } else { Signal::TERM };
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // Nobody there any more: that is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }

    #[cfg(not(unix))]
    fn signal(&self, _for_good: bool) {}
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

/// The last lines of a log.
#[expect(clippy::disallowed_methods, reason = "this is the room where programs write their logs")]
fn tail(log: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = fs::metadata(log)?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
}

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long a program may take to end by itself when asked.
const PATIENCE: Duration = Duration::from_millis(300);

/// Bytes, lines and columns of a program's output that are shown.
const TAIL: u64 = 8192;
const LINES_SHOWN: usize = 12;
const LINE_MAX: usize = 200;

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn run(script: &str) -> (Program, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let words = ["sh", "-c", script].map(OsString::from);
        (Program::start(&words, folder.path(), folder.path()).unwrap(), folder)
    }

    #[test]
    fn its_end_is_told_with_its_last_words() {
        let (mut program, _folder) = run("echo one; echo two >&2; exit 3");
        let deadline = clock::now() + Duration::from_secs(10);
        assert!(program.wait(deadline, || false).is_some());
        assert_eq!(program.epitaph().unwrap(), "it ended with exit code 3: two");
        assert_eq!(program.said(), "one\ntwo");
    }

    #[test]
    fn what_it_started_ends_with_it() {
        let (mut program, folder) = run("trap '' TERM; sleep 60 & echo $! > pid; wait");
        let pid = folder.path().join("pid");
        let deadline = clock::now() + Duration::from_secs(10);
        while fs::read_to_string(&pid).unwrap_or_default().trim().is_empty() && clock::now() < deadline {
            clock::pause(LOOK_EVERY);
        }
        let child = fs::read_to_string(&pid).unwrap();
        assert_eq!(program.epitaph(), None);
        program.end();
        // It was told to go, and needs a moment to do so.
        let state = || fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        let is_gone = || state().is_empty() || state().contains(") Z");
        while !is_gone() && clock::now() < deadline {
            clock::pause(LOOK_EVERY);
        }
        assert!(is_gone(), "{}", state());
    }

    #[test]
    fn a_program_that_does_not_exist_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Program::start(&["/no/such/program".into()], folder.path(), folder.path()).is_err());
        assert!(Program::start(&[], folder.path(), folder.path()).is_err());
    }
}
