//! Where a case plays: the examined server, started for this case alone or somewhere out there, and the clock of the case.

use super::content::difference;
use super::finding::Fault;
use super::subject::Command;
use crate::io::asker::{FreePort, is_open};
use crate::io::clock;
use crate::io::program::Program;
use crate::io::signals::Interrupt;
use crate::trace::Exchange;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Whom a server case is played with.
#[derive(Clone, Debug)]
pub enum Whom {
    /// Started anew for each case; always on this port, where it cannot be told one.
    Command(Command, Option<u16>),
    /// Already running there.
    Address(SocketAddr),
}

/// The stage of one case.
pub struct Stage {
    pub(super) server: SocketAddr,
    program: Option<Mutex<Program>>,
    /// Given back when the program has ended.
    _port: Option<FreePort>,
    /// Whose end ends the case: the folder that the server serves lies in it.
    scene: TempDir,
    deadline: Instant,
    interrupt: Interrupt,
    exchanges: Mutex<Vec<Exchange>>,
    /// What is wrong with a plain copy already.
    plain: Mutex<Option<String>>,
    /// How many messages were answered only when they came again.
    asked_again: AtomicUsize,
}

impl Stage {
    /// Starts the server, if it is ours to start, and waits until it listens.
    pub fn set(whom: &Whom, limit: Duration, interrupt: &Interrupt) -> Result<Self, Fault> {
        let scene = tempfile::Builder::new().prefix("lab_check-").tempdir()?;
        let (program, port, server) = match whom {
            Whom::Address(address) => (None, None, *address),
            Whom::Command(command, port) => {
                let (program, port) = start(command, *port, scene.path(), interrupt)?;
                let server = SocketAddr::from(([127, 0, 0, 1], port.number));
                (Some(Mutex::new(program)), Some(port), server)
            }
        };
        // A slow start costs the case nothing.
        let deadline = clock::now() + limit;
        let (interrupt, exchanges, asked_again) = (interrupt.clone(), Mutex::default(), AtomicUsize::new(0));
        Ok(Self {
            server,
            program,
            _port: port,
            scene,
            deadline,
            interrupt,
            exchanges,
            plain: Mutex::default(),
            asked_again,
        })
    }

    /// From now on a file that is not right is nobody's fault here: `plain` says what is wrong with a plain copy already.
    pub fn excuse(&self, plain: Option<String>) {
        *self.plain.lock().unwrap_or_else(PoisonError::into_inner) = plain;
    }

    fn excused(&self) -> Option<String> {
        self.plain.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A message was answered only when it came again.
    pub fn note_asked_again(&self) {
        self.asked_again.fetch_add(1, Ordering::Relaxed);
    }

    /// What is remarkable about the way to the server, or the server's way with answers.
    pub fn remark(&self) -> Option<String> {
        match self.asked_again.load(Ordering::Relaxed) {
            0 => None,
            1 => Some("1 message was answered only when it came again".into()),
            count => Some(format!("{count} messages were answered only when they came again")),
        }
    }

    /// The folder where the server's files appear; `None` when it is not on this machine.
    pub fn folder(&self) -> Option<PathBuf> {
        self.program.as_ref().map(|_| folder(self.scene.path()))
    }

    /// A fault when the server has ended by itself; `after` says what it was told before.
    pub fn alive(&self, after: &str) -> Result<(), Fault> {
        match self.epitaph() {
            Some(epitaph) => Err(Fault::broken(format!("the server is gone after {after}: {epitaph}"))),
            None => Ok(()),
        }
    }

    /// How the server ended, if it has.
    pub fn epitaph(&self) -> Option<String> {
        self.program.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).epitaph()
    }

    /// The end of what the server printed.
    pub fn said(&self) -> String {
        let said = |program: &Mutex<Program>| program.lock().unwrap_or_else(PoisonError::into_inner).said();
        self.program.as_ref().map(said).unwrap_or_default()
    }

    /// Whether the case must end: its time is up, or somebody pressed Ctrl-C.
    pub fn is_over(&self) -> Result<(), Fault> {
        if self.interrupt.exit_code().is_some() {
            return Err(Fault::NotApplicable("interrupted".into()));
        }
        match clock::now() < self.deadline {
            true => Ok(()),
            false => Err(Fault::broken("the case took longer than its time allows")),
        }
    }

    /// Waits, unless the case is over before.
    pub fn pause(&self, time: Duration) -> Result<(), Fault> {
        let until = clock::now() + time;
        while clock::now() < until {
            self.is_over()?;
            clock::pause(LOOK_EVERY.min(until.saturating_duration_since(clock::now())));
        }
        Ok(())
    }

    /// Keeps what passed in a conversation.
    pub fn keep(&self, exchange: Exchange) {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
    }

    /// What passed, in the order in which the conversations ended.
    pub fn exchanges(&self) -> Vec<Exchange> {
        std::mem::take(&mut *self.exchanges.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The file as it was sent, under its name or, where a server renames what it saves, as the only other one. Where the files
    /// cannot be seen, nothing is wrong.
    pub fn has_file(
        &self,
        name: &str,
        expected: &[u8],
        chunk: usize,
        number: &dyn Fn(usize) -> String,
    ) -> Result<(), Fault> {
        let Some(folder) = self.folder() else { return Ok(()) };
        let until = clock::now() + APPEARS_WITHIN;
        loop {
            let found = read(&folder, name);
            if found.as_deref() == Some(expected) {
                return Ok(());
            }
            // A program that is gone writes nothing any more.
            if clock::now() >= until || (self.epitaph().is_some() && found.is_some()) {
                let why = match found {
                    Some(found) => difference(expected, &found, chunk, number).unwrap_or_default(),
                    None => self.without_file(name, expected.len()),
                };
                return Err(match self.excused() {
                    Some(plain) => Fault::NotApplicable(format!("a plain copy comes out wrong already: {plain}")),
                    None => Fault::Broken(why),
                });
            }
            self.is_over()?;
            clock::pause(LOOK_EVERY);
        }
    }

    /// What is wrong with the file that is there by now, if there is one.
    pub fn glance(
        &self,
        name: &str,
        expected: &[u8],
        chunk: usize,
        number: &dyn Fn(usize) -> String,
    ) -> Option<String> {
        let found = read(&self.folder()?, name).filter(|_| self.excused().is_none())?;
        difference(expected, &found, chunk, number)
    }

    /// Puts a file where the server saves its own.
    pub fn lay(&self, name: &str, content: &[u8]) -> Result<(), Fault> {
        match self.folder() {
            Some(folder) => Ok(fs::write(folder.join(name), content)?),
            None => Ok(()),
        }
    }

    /// Whether the server has ended by itself and of its own will.
    pub fn has_left(&self) -> bool {
        let left = |program: &Mutex<Program>| {
            let mut program = program.lock().unwrap_or_else(PoisonError::into_inner);
            program.ended().is_some_and(|status| status.success())
        };
        self.program.as_ref().is_some_and(left)
    }

    /// Whether the file has exactly this content now.
    pub fn holds(&self, name: &str, content: &[u8]) -> bool {
        self.folder().and_then(|folder| read(&folder, name)).is_some_and(|found| found == content)
    }

    fn without_file(&self, name: &str, length: usize) -> String {
        let gone = self.epitaph().map(|epitaph| format!("; {epitaph}")).unwrap_or_default();
        let seconds = APPEARS_WITHIN.as_secs_f64();
        format!("no file appeared within {seconds} s, though all {length} bytes of {name} were sent{gone}")
    }

    /// The names of all files in the server's folder, also of those that lie deeper.
    pub fn names(&self) -> Vec<String> {
        self.folder().map(|folder| all(&folder)).unwrap_or_default()
    }

    /// Everything that lies in the scene beside the server's folder: what came out of it.
    pub fn escaped(&self) -> Vec<String> {
        let mut names = names(self.scene.path());
        names.retain(|name| !OWN.contains(&name.as_str()));
        names
    }

    /// A path beside the server's folder, for names that try to lead there.
    pub fn outside(&self, name: &str) -> String {
        self.scene.path().join(name).to_string_lossy().into_owned()
    }
}

fn folder(scene: &Path) -> PathBuf {
    scene.join(SERVED)
}

/// Starts the server on a free port; another one when somebody else was faster.
fn start(
    command: &Command,
    fixed: Option<u16>,
    scene: &Path,
    interrupt: &Interrupt,
) -> Result<(Program, FreePort), Fault> {
    let (folder, logs) = (folder(scene), scene.join(LOGS));
    fs::create_dir_all(&folder)?;
    fs::create_dir_all(&logs)?;
    let mut port = fixed.map_or_else(FreePort::find, |number| Ok(FreePort::told(number)))?;
    if fixed.is_some() && is_open(port.number) == Some(true) {
        // It would be examined in place of the server that is started here.
        return Err(Fault::broken(format!("another program has UDP port {} already; end it first", port.number)));
    }
    for _ in 0..PORTS_TRIED {
        let words = command.fill(&[("port", &port.number.to_string()), ("dir", &folder.to_string_lossy())]);
        // Interpreters take long to start, and many at once take longest: nobody else's timers shall suffer from that.
        let turn = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let turn_ends = clock::now() + TURN;
        let mut turn = Some(turn);
        let mut program = Program::start(&words, &folder, &logs)
            .map_err(|error| Fault::broken(format!("{} cannot be started: {error}", command.line())))?;
        let until = clock::now() + LISTENS_WITHIN;
        while clock::now() < until && program.ended().is_none() && interrupt.exit_code().is_none() {
            match is_open(port.number) {
                Some(true) => return Ok((program, port)),
                Some(false) => {
                    clock::pause(LOOK_EVERY);
                    turn = turn.filter(|_| clock::now() < turn_ends);
                }
                None => {
                    clock::pause(LISTENS_SOON);
                    return Ok((program, port));
                }
            }
        }
        drop(turn);
        if interrupt.exit_code().is_some() {
            return Err(Fault::NotApplicable("interrupted".into()));
        }
        let taken = program.said().to_lowercase().contains("address already in use");
        if taken && fixed.is_none() {
            port = FreePort::find()?;
            continue;
        }
        let epitaph = program.epitaph().unwrap_or_else(|| {
            let hint =
                if fixed.is_some() { "is that its port?" } else { "does it take the port from its command line?" };
            format!("it did not open UDP port {} within {} s; {hint}", port.number, LISTENS_WITHIN.as_secs())
        });
        return Err(Fault::broken(format!("the server does not listen: {epitaph}")));
    }
    Err(Fault::broken("the server found no free port"))
}

/// The bytes of the file with this name, or of the only one there is.
fn read(folder: &Path, name: &str) -> Option<Vec<u8>> {
    match fs::read(folder.join(name)) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match all(folder).as_slice() {
            [only] => fs::read(folder.join(only)).ok(),
            files => {
                // In a folder of its own, or with something before the name.
                let called_so = files.iter().filter(|file| file.ends_with(name)).min_by_key(|file| file.len());
                called_so.and_then(|file| fs::read(folder.join(file)).ok())
            }
        },
        Err(_) => None,
    }
}

/// Every file in the folder and one folder deeper, where some servers save.
fn all(folder: &Path) -> Vec<String> {
    let deeper = |name: String| match folder.join(&name).is_dir() {
        true => names(&folder.join(&name)).into_iter().map(|inner| format!("{name}/{inner}")).collect(),
        false => vec![name],
    };
    names(folder).into_iter().flat_map(deeper).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    // A temporary file that is just being written is none yet.
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

const SERVED: &str = "served";
const LOGS: &str = "logs";
const OWN: &[&str] = &[SERVED, LOGS];

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Some servers write a file only after a second of silence.
const APPEARS_WITHIN: Duration = Duration::from_millis(2500);

/// A busy machine starts an interpreter in some seconds.
const LISTENS_WITHIN: Duration = Duration::from_secs(15);

/// Who starts a server; the next one waits until it listens, but no longer than a turn lasts.
static STARTING: Mutex<()> = Mutex::new(());
const TURN: Duration = Duration::from_secs(2);

/// Where nobody can say whether the port is open: by then it should be.
const LISTENS_SOON: Duration = Duration::from_secs(1);

const PORTS_TRIED: usize = 5;
