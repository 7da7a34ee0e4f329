//! The client's command line.

use super::common::{HELP, RecordArgs, Speech, SpellingArg, seconds};
use super::extent::ExtentArgs;
use crate::chunker::request::{Existing, Likeness};
use crate::session::congestion::Choice;
use clap::{Args, Parser, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Copies files to a server over UDP, or with --get from one, and gets every byte there although the network loses, repeats, delays, reorders and
/// corrupts packets.
#[derive(Parser, Clone, Debug)]
#[command(name = "client", version, help_template = HELP, before_help = CLIENT_EXAMPLES, after_help = CLIENT_NOTES)]
#[expect(missing_docs, reason = "the help texts are the documentation")]
pub struct ClientArgs {
    #[arg(
        value_name = "HOST:PORT",
        help = "The server, as in lab.example:12300, 192.0.2.7:12300 or [::1]:12300; or NAME of a [host.NAME] in config.toml"
    )]
    pub target: String,
    /// What to copy; - reads standard input. Several, and folders with -r, in the windowed mode. With --get their paths there, beneath the
    /// server's folder.
    #[arg(value_name = "SOURCE", required = true)]
    pub sources: Vec<PathBuf>,
    /// The name there, as in notes/today.txt. In the windowed mode, if it ends in / or there are several sources, it is a folder, and
    /// they go beneath it by their own names; . is the receiving folder itself. With --get the name here, by the same rules; - is standard
    /// output.
    #[arg(value_name = "REMOTE", required = true)]
    pub remote: String,
    /// Give up after so many seconds without an answer [default: 30; in the windowed mode 300 once the server has answered].
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    pub speech: Speech,
    #[command(flatten)]
    pub windowed: WindowedArgs,
    /// How to talk. auto: the best that both sides know, windowed with our own server, lab with a plain one, at no cost there; what a
    /// lab start cannot say (several sources, -r, -, a folder as REMOTE), and what goes to a server that was met before, is windowed or
    /// fails. lab: exactly the course's protocol. checked: with a checksum at the end, or not at all. windowed: many packets at once,
    /// encrypted, between our own programs.
    #[arg(long, value_enum, default_value_t = ModeArg::Auto, help_heading = EXPERT)]
    pub mode: ModeArg,
    /// How messages are written: `s | 0 | name | size` or `s|0|name|size`. It cannot be found out.
    #[arg(long, value_enum, default_value_t = SpellingArg::Spaced, help_heading = EXPERT, hide_short_help = true)]
    pub spelling: SpellingArg,
    /// Draw the exchange as a sequence diagram, as this client sees it. With this, --ladder or --trace, auto is checked or lab: the
    /// windowed mode has too many packets to be drawn. [default: none]
    #[arg(long, value_name = "FILE.svg", help_heading = "Picture", hide_short_help = true)]
    pub diagram: Option<PathBuf>,
    #[command(flatten)]
    pub record: RecordArgs,
}

/// What only the windowed mode knows; with `auto` it counts if that is what it comes to.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "In the windowed mode")]
pub struct WindowedArgs {
    /// Get files instead: SOURCE... is there, and the last name is here. Only from a server that was started with --allow-get.
    #[arg(long)]
    pub get: bool,
    /// Copy folders with all that is in them.
    #[arg(short, long)]
    pub recursive: bool,
    /// Replace files that exist there (with --get, here); otherwise they are refused.
    #[arg(long)]
    pub overwrite: bool,
    /// Send (with --get, get) only what is not there: a file of the same size and time of change is left alone, another one is replaced. Implies --preserve, since
    /// the next --update goes by the times.
    #[arg(long, conflicts_with = "overwrite")]
    pub update: bool,
    /// The same by size and content, which both sides read: --update --checksum, and alone it means both.
    #[arg(long, conflicts_with = "overwrite")]
    pub checksum: bool,
    /// Begin anew where an earlier try was interrupted: what it left there (with --get, here) is removed, and everything is sent.
    #[arg(long)]
    pub restart: bool,
    /// Also make the SHA-256 of each file while it is read: of one file in the closing line, of several in a line each, as sha256sum
    /// prints and checks it, with their names there. With --get, of what is saved here.
    #[arg(long)]
    pub sha256: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the help texts are the documentation")]
    pub extent: ExtentArgs,
    /// How fast: bbr fills the path whatever it loses, cubic is what TCP does, background yields to others. fixed:100m sends 100
    /// megabits a second, which are 12.5 megabytes a second (k, m, g: thousands, millions, billions of bits; fixed:12.5MB/s: bytes).
    #[arg(long, value_name = "NAME", help_heading = EXPERT, default_value_t = Choice::Bbr, value_parser = |name: &str| name.parse::<Choice>())]
    pub congestion: Choice,
    /// Draw rate, window, round trip and losses over time, and what held the copy back at each moment. [default: none]
    #[arg(long, value_name = "FILE.svg", help_heading = "Picture")]
    pub plot: Option<PathBuf>,
    /// Folder with this client's key, the keys of the servers it met, and config.toml [default: $XDG_CONFIG_HOME/homing].
    #[arg(long, value_name = "DIR", help_heading = EXPERT, hide_short_help = true)]
    pub config_dir: Option<PathBuf>,
}

impl WindowedArgs {
    /// What becomes of files that are there.
    pub fn existing(&self) -> Existing {
        match (self.overwrite, self.update, self.checksum) {
            (true, ..) => Existing::Replace,
            (_, _, true) => Existing::Update(Likeness::Content),
            (_, true, _) => Existing::Update(Likeness::Time),
            _ => Existing::Keep,
        }
    }

    /// Those of these options that were used.
    pub fn used(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.get, "--get"),
            (self.recursive, "-r"),
            (self.overwrite, "--overwrite"),
            (self.update, "--update"),
            (self.checksum, "--checksum"),
            (self.restart, "--restart"),
            (self.sha256, "--sha256"),
            (self.congestion != Choice::Bbr, "--congestion"),
            (self.plot.is_some(), "--plot"),
        ];
        all.into_iter().filter_map(|(is_used, option)| is_used.then_some(option)).chain(self.extent.used())
    }
}

/// How to talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "they are named as the modes are")]
pub enum ModeArg {
    Auto,
    Lab,
    Checked,
    Windowed,
}

/// What beginners can do without.
const EXPERT: &str = "For experts";

const CLIENT_EXAMPLES: &str = "Examples:
  client lab.example:12300 photo.jpg photo.jpg          a file, its name there
  client lab.example:12300 -r photos notes.txt backup/  several, into a folder
  tar c photos | client 192.0.2.7:12300 - photos.tar    standard input
  client lab.example:12300 a.iso a.iso --overwrite      if it is there already
  client lab.example:12300 -r photos backup/ --update   only what differs
  client --get lab.example:12300 photo.jpg photo.jpg    from there, if allowed
  client --get lab.example:12300 -r photos here/        a folder from there
  client lab.example:12300 -rp photos backup/ --exclude '*.tmp' --limit 10mbit
  client --get lab.example:12300 photos.tar - | tar t   to standard output
  client [::1]:12300 a.bin a.bin --mode lab             as a course has it
  client nas photo.jpg photo.jpg                        nas: see Configuration
  client nas --show-config                              what counts, and why";

const CLIENT_NOTES: &str = "\
Configuration:
  Every option can also stand in the environment, as in HOMING_TIMEOUT=60,
  and in $XDG_CONFIG_HOME/homing/config.toml (~/.config/homing/config.toml).
  The command line counts most, then the environment, then the file: there
  [host.NAME] most, then [client], then the top.
    timeout = 60                # seconds; for client and server
    [client]                    # for the client alone
    overwrite = true            # --no-overwrite turns it off once
    [host.nas]                  # client nas SOURCE... REMOTE
    address = \"192.0.2.7\"       # HOST or HOST:PORT; without PORT 12300
    congestion = \"background\"

Exit codes:
  0    delivered, and verified where the mode can
  2    the command line or config.toml makes no sense
  3    no answer
  4    refused by the server, all of it or some files; or its key has changed
  5    verification failed: what arrived is not what was sent
  6    a local file cannot be read, or changed while it was read; with --get: cannot be saved, or exists
  7    everything was sent, but the end was not confirmed
  130  interrupted (143: terminated)
  1    anything else: no socket, no memory";
