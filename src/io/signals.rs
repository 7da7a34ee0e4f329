//! Ctrl-C and its kin: the first asks for an orderly end, the second ends at once.

use super::udp::Waker;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whether the user asked for the end.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicI32>);

impl Interrupt {
    /// Nobody can interrupt: for servers and clients inside other programs.
    pub fn never() -> Self {
        Self::default()
    }

    /// Watches SIGINT and SIGTERM from now on, and wakes the socket thread at the first.
    ///
    /// # Errors
    /// When the system gives no handler or no thread.
    pub fn watch(waker: Waker) -> io::Result<Self> {
        Self::watch_for(&[SIGINT, SIGTERM], waker)
    }

    /// The same, and SIGHUP as well: the window was closed, or the session ended. Who was told to ignore that (`nohup`) does.
    ///
    /// # Errors
    /// When the system gives no handler or no thread.
    pub fn watch_with_hangup(waker: Waker) -> io::Result<Self> {
        let signals = [SIGINT, SIGTERM, SIGHUP];
        Self::watch_for(if is_hangup_ignored() { &signals[..2] } else { &signals }, waker)
    }

    fn watch_for(signals: &[i32], waker: Waker) -> io::Result<Self> {
        let interrupt = Self::default();
        // A file beyond the process's limit shall be an error of that file (EFBIG), not the end of the program.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        let mut signals = Signals::new(signals)?;
        let seen = Arc::clone(&interrupt.0);
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                if seen.swap(signal, Ordering::SeqCst) != 0 {
                    std::process::exit(128 + signal);
                }
                waker.wake();
            }
        })?;
        Ok(interrupt)
    }

    /// Asks for the end from inside the program, as a signal does from outside.
    pub fn raise(&self) {
        self.0.store(SIGINT, Ordering::SeqCst);
    }

    /// The exit code that the signal asks for, 128 plus its number; `None` as long as there was none.
    pub fn exit_code(&self) -> Option<u8> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            signal => u8::try_from(128 + signal).ok(),
        }
    }
}

/// How a program watches its signals: [`Interrupt::watch`] or [`Interrupt::watch_with_hangup`].
pub type Watch = fn(Waker) -> io::Result<Interrupt>;

/// Ends what a library's user has begun, from any thread and for good; clones end the same. Without signals: those belong to the
/// program.
#[derive(Clone, Default)]
pub struct Canceller(Arc<Mutex<Cancelling>>);

#[derive(Default)]
struct Cancelling {
    is_cancelled: bool,
    running: Option<(Interrupt, Waker)>,
}

impl Canceller {
    /// Asks for an orderly end: the other side is told, and temporary files are removed. Returns at once. What is begun after it ends
    /// before it has begun.
    pub fn cancel(&self) {
        let mut state = self.lock();
        state.is_cancelled = true;
        if let Some((interrupt, waker)) = &state.running {
            interrupt.raise();
            waker.wake();
        }
    }

    /// Whether the end was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.lock().is_cancelled
    }

    /// From now on it ends what looks at the interrupt that this gives, and waits where `waker` wakes; as do signals, if they are watched.
    pub(crate) fn attach(&self, waker: Waker, signals: Option<Watch>) -> io::Result<Interrupt> {
        let interrupt = match signals {
            Some(watch) => watch(waker.clone())?,
            None => Interrupt::never(),
        };
        let mut state = self.lock();
        if state.is_cancelled {
            interrupt.raise();
        }
        state.running = Some((interrupt.clone(), waker));
        Ok(interrupt)
    }

    /// That is over.
    pub(crate) fn detach(&self) {
        self.lock().running = None;
    }

    fn lock(&self) -> MutexGuard<'_, Cancelling> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller").field("is_cancelled", &self.is_cancelled()).finish()
    }
}

/// What Linux says of this process; elsewhere nobody knows.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|signals| signals & 1 << (SIGHUP - 1) != 0)
}
