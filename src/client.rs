//! The client for other programs: files and folders to a server, or from one that gives them.

mod run;

use crate::chunker::request::{Attributes, Existing, Likeness};
use crate::compression::Compression;
use crate::io::events::{Listener, Note, Report, Silence};
use crate::io::signals::{Canceller, Watch};
use crate::io::sources::Pattern;
use crate::io::throttle::Limit;
use crate::outcome::{Error, Rehearsal, Summary};
use crate::packet::Spelling;
use crate::session::congestion::Choice;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Copies files to a server, or gets them from one, and waits until that is done.
///
/// A client is made of where and how; [`Client::send`] and [`Client::get`] say what, any number of times. Setters have the names of the
/// program's options and mean the same; what is not set is as with the program. A call blocks its thread, and ends: after
/// [`Client::timeout`] without an answer, or by a [`Canceller`].
///
/// ```no_run
/// let copied = homing::Client::new("lab.example:12300")
///     .recursive(true)
///     .overwrite(true)
///     .preserve(true)
///     .limit("10mbit".parse()?)
///     .send(["photos", "notes.txt"], "backup/")?;
/// println!("{} files, {} bytes in {:?}", copied.files, copied.bytes, copied.took);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It keeps its key, and those of the servers it met, in the same folder as the program ([`Client::config_dir`] names another one).
#[must_use = "nothing is copied before `send` or `get`"]
pub struct Client {
    target: String,
    mode: Mode,
    spelling: Spelling,
    timeout: Option<Duration>,
    config_dir: Option<PathBuf>,
    recursive: bool,
    existing: Existing,
    restart: bool,
    sha256: bool,
    congestion: Choice,
    attributes: Attributes,
    links: bool,
    compression: Compression,
    exclude: Vec<Pattern>,
    limit: Option<Limit>,
    plot: Option<PathBuf>,
    diagram: Option<PathBuf>,
    ladder: bool,
    trace: Option<PathBuf>,
    report: Box<dyn Report + Send>,
    canceller: Canceller,
    signals: Option<Watch>,
}

/// How a client talks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The best that both sides know: windowed with our own server, lab with a plain one, which costs nothing there. What a lab start
    /// cannot say (several sources, folders, a destination that ends in `/`), and what goes to a server that was met before, is windowed or
    /// fails.
    #[default]
    Auto,
    /// Exactly the course's protocol: one file, not encrypted, not verified.
    Lab,
    /// The lab's messages and a SHA-256 at the end, or nothing: one file, not encrypted.
    Checked,
    /// Many packets in flight, encrypted and verified, or nothing.
    Windowed,
}

impl Client {
    /// A client of the server `HOST:PORT`, as in `lab.example:12300`, `192.0.2.7:12300` or `[::1]:12300`. Nothing is looked up or sent yet.
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            mode: Mode::Auto,
            spelling: Spelling::Spaced,
            timeout: None,
            config_dir: None,
            recursive: false,
            existing: Existing::Keep,
            restart: false,
            sha256: false,
            congestion: Choice::Bbr,
            attributes: Attributes::Fresh,
            links: false,
            compression: Compression::Auto,
            exclude: Vec::new(),
            limit: None,
            plot: None,
            diagram: None,
            ladder: false,
            trace: None,
            report: Box::new(Silence),
            canceller: Canceller::default(),
            signals: None,
        }
    }

    /// Copies files, and with [`Client::recursive`] folders, there. `destination` is the name there, as in `notes/today.txt`; if it ends
    /// in `/`, or there are several sources, it is a folder, and they go beneath it by their own names; `.` is the receiving folder itself.
    /// The source `-` is this process's standard input.
    ///
    /// # Errors
    /// [`Error`], also when some of several were not copied: then [`Error::summary`] says what was.
    pub fn send<P: AsRef<Path>>(
        &mut self,
        sources: impl IntoIterator<Item = P>,
        destination: &str,
    ) -> Result<Summary, Error> {
        self.run_send(paths(sources), destination)
    }

    /// Gets files, and with [`Client::recursive`] folders, from a server that gives them ([`crate::Server::allow_get`]). Each of `remotes`
    /// is a path beneath the server's folder. `local` is the name here, or the folder, by the rules of [`Client::send`]; `-` is this process's
    /// standard output.
    ///
    /// # Errors
    /// [`Error`], also when some of several were not copied: then [`Error::summary`] says what was.
    pub fn get<S: AsRef<str>>(
        &mut self,
        remotes: impl IntoIterator<Item = S>,
        local: impl AsRef<Path>,
    ) -> Result<Summary, Error> {
        self.run_get(remotes.into_iter().map(|remote| remote.as_ref().to_owned()).collect(), local.as_ref())
    }

    /// What [`Client::send`] would copy. Nothing is sent, not even a question to the server.
    ///
    /// # Errors
    /// [`Error::Usage`] and [`Error::System`]. What cannot be read is counted as [`Rehearsal::missing`].
    pub fn rehearse<P: AsRef<Path>>(
        &mut self,
        sources: impl IntoIterator<Item = P>,
        destination: &str,
    ) -> Result<Rehearsal, Error> {
        self.run_rehearsal(paths(sources), destination)
    }

    /// What ends a call from another thread; it can be cloned.
    ///
    /// ```no_run
    /// let mut client = homing::Client::new("lab.example:12300");
    /// let canceller = client.canceller();
    /// let copying = std::thread::spawn(move || client.send(["big.iso"], "big.iso"));
    /// canceller.cancel();
    /// assert!(matches!(copying.join(), Ok(Err(homing::Error::Interrupted(_)))));
    /// ```
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }
}

/// How to talk.
impl Client {
    /// How to talk \[default: [`Mode::Auto`]\].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// How the lab's messages are written; it cannot be found out \[default: [`Spelling::Spaced`]\]. With [`Spelling::Compact`] the mode is
    /// lab.
    pub fn spelling(mut self, spelling: Spelling) -> Self {
        self.spelling = spelling;
        self
    }

    /// Give up after this long without an answer \[default: 30 s; in the windowed mode 300 s once the server has answered\].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The folder with this client's key and the keys of the servers it met \[default: `$XDG_CONFIG_HOME/homing`, or
    /// `~/.config/homing`\]. It is made if it is missing; nobody else may be able to write to it.
    pub fn config_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.config_dir = Some(folder.into());
        self
    }

    /// How fast the windowed mode sends \[default: [`Choice::Bbr`]\].
    pub fn congestion(mut self, choice: Choice) -> Self {
        self.congestion = choice;
        self
    }
}

/// What only the windowed mode knows: with [`Mode::Lab`] and [`Mode::Checked`] an [`Error::Usage`].
impl Client {
    /// Copy folders with all that is in them; otherwise they are refused.
    pub fn recursive(mut self, is_recursive: bool) -> Self {
        self.recursive = is_recursive;
        self
    }

    /// Copy symbolic links inside folders as links, if they stay inside what is copied; otherwise they are left out and told of.
    pub fn links(mut self, are_copied: bool) -> Self {
        self.links = are_copied;
        self
    }

    /// Whether what becomes smaller goes compressed \[default: [`Compression::Auto`]\]; what is got, the server compresses. How long a compressed
    /// block is tells how alike what is in it is: [`Compression::No`] is for files with secrets beside what strangers wrote.
    pub fn compress(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Replace files that exist there (when they are got, here); otherwise they are refused. The lab's messages replace always.
    pub fn overwrite(mut self, replaces: bool) -> Self {
        self.existing = if replaces { Existing::Replace } else { Existing::Keep };
        self
    }

    /// Send, or get, only files that are not there with their size and time of change; another one that has the name is replaced. Times are kept,
    /// as with [`Client::preserve`]: the next update goes by them.
    pub fn update(mut self, updates: bool) -> Self {
        self.existing = if updates { Existing::Update(Likeness::Time) } else { Existing::Keep };
        self
    }

    /// The same by size and content, which both sides read.
    pub fn checksum(mut self, compares: bool) -> Self {
        self.existing = if compares { Existing::Update(Likeness::Content) } else { Existing::Keep };
        self
    }

    /// Begin anew where an earlier try was interrupted, instead of going on.
    pub fn restart(mut self, restarts: bool) -> Self {
        self.restart = restarts;
        self
    }

    /// Also make the SHA-256 of each file. It is in the summary of a single one; of several each is an event.
    pub fn sha256(mut self, is_made: bool) -> Self {
        self.sha256 = is_made;
        self
    }

    /// Keep permissions and times of change of files and new folders, whatever the umask there.
    pub fn preserve(mut self, preserves: bool) -> Self {
        self.attributes = if preserves { Attributes::Kept } else { Attributes::Fresh };
        self
    }

    /// Leave out of folders what matches, besides what was named before: `"*.tmp".parse()?`, as in a `.gitignore`.
    pub fn exclude(mut self, pattern: Pattern) -> Self {
        self.exclude.push(pattern);
        self
    }

    /// Send at most so fast: `"10mbit".parse()?`, or what a file says that may change meanwhile, `"@path".parse()?`.
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// What is told, drawn and written down meanwhile.
impl Client {
    /// Calls `listen` with each event, in the calling thread: what it does, the transfer waits for. [`crate::io::events::sentence`] puts one
    /// into words.
    pub fn on_event(self, listen: impl FnMut(&Note) + Send + 'static) -> Self {
        self.report(Listener(listen))
    }

    /// The same for a whole [`Report`], which may end the call by an error; [`crate::io::progress::HumanReport`] is the programs' own, with
    /// bars and sentences.
    pub fn report(mut self, report: impl Report + Send + 'static) -> Self {
        self.report = Box::new(report);
        self
    }

    /// Draw rate, window, round trip and losses of a windowed transfer over time into this SVG file.
    pub fn plot(mut self, file: impl Into<PathBuf>) -> Self {
        self.plot = Some(file.into());
        self
    }

    /// Draw the exchange as a sequence diagram into this SVG file. With this, [`Client::ladder`] or [`Client::trace`], [`Mode::Auto`]
    /// is checked or lab: windowed transfers have too many packets.
    pub fn diagram(mut self, file: impl Into<PathBuf>) -> Self {
        self.diagram = Some(file.into());
        self
    }

    /// Print the exchange as a ladder on standard output when it is over.
    pub fn ladder(mut self, is_printed: bool) -> Self {
        self.ladder = is_printed;
        self
    }

    /// Write every datagram into this file, one JSON object a line; as `FILE.qlog` or `FILE.sqlog` it is a qlog of a windowed transfer.
    pub fn trace(mut self, file: impl Into<PathBuf>) -> Self {
        self.trace = Some(file.into());
        self
    }

    /// For programs that make one call: `signals(Interrupt::watch)` has SIGINT and SIGTERM end it in order, from when there is something to end.
    /// Without it no signal is touched.
    pub fn signals(mut self, watch: Watch) -> Self {
        self.signals = Some(watch);
        self
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("target", &self.target).field("mode", &self.mode).finish_non_exhaustive()
    }
}

fn paths<P: AsRef<Path>>(sources: impl IntoIterator<Item = P>) -> Vec<PathBuf> {
    sources.into_iter().map(|source| source.as_ref().to_owned()).collect()
}
