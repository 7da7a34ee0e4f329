//! The command lines, as typed and as meant.

use super::exit;
use crate::endpoint::Config;
use crate::io::events::{JsonReport, Report, Volume};
use crate::io::progress::HumanReport;
use crate::io::store::Policy;
use crate::packet::{MAX_DATAGRAM, Spelling};
use crate::session::Mode;
use crate::weather::{Misbehaviour, PRESETS, Weather};
use clap::{Args, Parser, ValueEnum};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

/// How a program speaks to whoever started it.
#[derive(Args, Clone, Debug)]
pub struct Speech {
    /// One JSON object a line on standard output, for programs.
    #[arg(long)]
    pub json: bool,
    /// Say only what goes wrong.
    #[arg(short, long)]
    pub quiet: bool,
    /// Say more.
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
}

impl Speech {
    /// Where notes go.
    pub fn report(&self) -> Box<dyn Report> {
        let volume = match (self.quiet, self.verbose) {
            (true, _) => Volume::Quiet,
            (_, true) => Volume::Verbose,
            _ => Volume::Normal,
        };
        if self.json { Box::new(JsonReport) } else { Box::new(HumanReport::new(volume)) }
    }
}

/// Receives files over UDP.
///
/// Speaks the lab's protocol in both spellings with any client, and verifies the end with our own.
#[derive(Parser, Clone, Debug)]
#[command(name = "server", version, after_help = SERVER_EXAMPLES)]
pub struct ServerArgs {
    /// All of them; the bad server has the same.
    #[command(flatten)]
    pub serving: ServingArgs,
}

/// What the honest and the bad server have in common.
#[derive(Args, Clone, Debug)]
#[expect(missing_docs, reason = "the help texts are the documentation")]
pub struct ServingArgs {
    /// UDP port to listen on; 0 takes a free one and says which.
    pub port: Option<u16>,
    /// Folder beneath which files are saved.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub root: PathBuf,
    /// Address to listen at; `::` serves IPv6 and IPv4.
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub bind: IpAddr,
    /// Largest datagram announced to clients, in bytes (64 to 65507). The default fits a 1500-byte path.
    #[arg(long, value_name = "BYTES", default_value_t = 1400, value_parser = clap::value_parser!(u32).range(64..=MAX_DATAGRAM as i64))]
    pub bufsize: u32,
    /// Forget a transfer that hears nothing for this long, in seconds.
    #[arg(long, value_name = "SECS", default_value = "30", value_parser = seconds)]
    pub idle_timeout: Duration,
    /// Transfers at once.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_sessions: u32,
    /// Transfers at once from one address.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_sessions_per_address: u32,
    /// Refuse larger files; bytes, or with a unit as in 500m or 4g (powers of 1000; ki, mi, gi: of 1024).
    #[arg(long, value_name = "SIZE", value_parser = file_size)]
    pub max_size: Option<u64>,
    /// Never overwrite an existing file.
    #[arg(long)]
    pub no_clobber: bool,
    /// Also take names that begin with a dot, as .bashrc does.
    #[arg(long)]
    pub allow_hidden: bool,
    /// End with exit code 0 after so many completed transfers.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub exit_after: Option<u64>,
    #[command(flatten)]
    pub speech: Speech,
}

impl ServingArgs {
    /// The endpoint's limits.
    pub fn config(&self) -> Config {
        Config {
            bufsize: self.bufsize as usize,
            max_sessions: self.max_sessions as usize,
            max_sessions_per_address: self.max_sessions_per_address as usize,
            idle_timeout: self.idle_timeout,
            ..Config::default()
        }
    }

    /// The store's rules.
    pub fn policy(&self) -> Policy {
        Policy { no_clobber: self.no_clobber, allow_hidden: self.allow_hidden, max_size: self.max_size, sync: true }
    }
}

/// The same server behind bad weather, or with a named misbehaviour: for trying out clients.
#[derive(Parser, Clone, Debug)]
#[command(name = "bad_server", version, after_help = BAD_SERVER_EXAMPLES)]
#[expect(missing_docs, reason = "the help texts are the documentation")]
pub struct BadServerArgs {
    #[command(flatten)]
    pub serving: ServingArgs,
    #[command(flatten)]
    pub weather: WeatherArgs,
    /// What the server does wrong on purpose; see --list.
    #[arg(long, value_name = "NAME", value_parser = |name: &str| name.parse::<Misbehaviour>())]
    pub misbehave: Option<Misbehaviour>,
    /// List the misbehaviours and end.
    #[arg(long)]
    pub list: bool,
    /// Compare every file with this one: exit code 5 if one differs or does not arrive (use with --exit-after).
    #[arg(long, value_name = "FILE")]
    pub expect: Option<PathBuf>,
}

/// A link with bad weather between any UDP programs.
#[derive(Parser, Clone, Debug)]
#[command(name = "lossy_link", version, after_help = LINK_EXAMPLES)]
#[expect(missing_docs, reason = "the help texts are the documentation")]
pub struct LinkArgs {
    /// Port to listen on, or ADDRESS:PORT; 0 takes a free port. A bare port listens at 127.0.0.1.
    #[arg(long, value_name = "PORT", required_unless_present = "list")]
    pub listen: Option<String>,
    /// Where the datagrams go on to.
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "list")]
    pub to: Option<String>,
    #[command(flatten)]
    pub weather: WeatherArgs,
    /// How fast the link is, as in 10mbit.
    #[arg(long, value_name = "RATE")]
    pub rate: Option<String>,
    /// How much waits before the link, as in 64k (default: one bandwidth-delay product, at least 64 kB).
    #[arg(long, value_name = "SIZE")]
    pub queue: Option<String>,
    /// Largest packet with its headers, in bytes; larger ones are dropped and counted. `off` lets all pass.
    #[arg(long, value_name = "N", default_value = "1500")]
    pub mtu: String,
    /// List the weather presets and end.
    #[arg(long)]
    pub list: bool,
    #[command(flatten)]
    pub speech: Speech,
}

/// Bad weather, in one vocabulary for all programs. Later words override earlier ones: the preset first, then --fault,
/// then the options named after a fault.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Weather")]
pub struct WeatherArgs {
    /// A named weather: clean, wifi, cellular, satellite, lab, hostile.
    #[arg(long, value_name = "PRESET", value_parser = clap::builder::PossibleValuesParser::new(PRESETS.iter().map(|preset| preset.name)))]
    pub weather: Option<String>,
    /// Faults, as in loss=20%,dup=5%,out.delay=50ms; `in.` and `out.` mean one direction, seen from the server.
    #[arg(long, value_name = "LIST")]
    pub fault: Vec<String>,
    /// The same seed gives the same weather.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Datagrams lost, as in 20%.
    #[arg(long, value_name = "P")]
    pub loss: Option<String>,
    /// Losses in bursts: the probabilities to enter and to leave one, as in 0.5%/20%.
    #[arg(long, value_name = "P/P")]
    pub burst: Option<String>,
    /// Datagrams that come twice.
    #[arg(long, value_name = "P")]
    pub dup: Option<String>,
    /// Datagrams that later ones overtake.
    #[arg(long, value_name = "P")]
    pub reorder: Option<String>,
    /// Datagrams that come 0.5 to 3 s late.
    #[arg(long, value_name = "P")]
    pub late: Option<String>,
    /// Datagrams with one bit flipped.
    #[arg(long, value_name = "P")]
    pub corrupt: Option<String>,
    /// Delay one way, as in 50ms.
    #[arg(long, value_name = "T")]
    pub delay: Option<String>,
    /// Random delay on top, order kept.
    #[arg(long, value_name = "T")]
    pub jitter: Option<String>,
}

impl WeatherArgs {
    /// The weather that was asked for, on top of `base` words.
    ///
    /// # Errors
    /// A sentence about the first word that makes no sense.
    pub fn weather(&self, more: &[(&str, &Option<String>)]) -> Result<Weather, String> {
        let mut weather = Weather::default();
        let mut apply = |list: &str| weather.apply(list).map_err(|error| error.to_string());
        if let Some(preset) = &self.weather {
            apply(preset)?;
        }
        for list in &self.fault {
            apply(list)?;
        }
        let own = [
            ("loss", &self.loss),
            ("burst", &self.burst),
            ("dup", &self.dup),
            ("reorder", &self.reorder),
            ("late", &self.late),
            ("corrupt", &self.corrupt),
            ("delay", &self.delay),
            ("jitter", &self.jitter),
        ];
        for (word, value) in own.iter().chain(more) {
            if let Some(value) = value {
                apply(&format!("{word}={value}"))?;
            }
        }
        Ok(weather)
    }

    /// The seed that was given, or a fresh one.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| fastrand::u64(..=u64::from(u32::MAX)))
    }
}

/// Copies a file to a server over UDP, and gets every byte there although the network loses, repeats, delays, reorders and
/// corrupts packets.
#[derive(Parser, Clone, Debug)]
#[command(name = "client", version, after_help = CLIENT_EXAMPLES)]
#[expect(missing_docs, reason = "the help texts are the documentation")]
pub struct ClientArgs {
    #[arg(value_name = "HOST:PORT", help = "The server, as in lab.example:12300, 192.0.2.7:12300 or [::1]:12300")]
    pub target: String,
    /// The file to copy; - reads standard input.
    pub local: PathBuf,
    /// Its name there; folders that exist there may stand before it, as in notes/today.txt.
    pub remote: String,
    /// How to talk. auto: the best that both sides know, at no cost with a plain lab server. lab: exactly the course's protocol.
    /// checked: with a checksum at the end, or not at all.
    #[arg(long, value_enum, default_value_t = ModeArg::Auto)]
    pub mode: ModeArg,
    /// How messages are written: `s | 0 | name | size` or `s|0|name|size`. It cannot be found out.
    #[arg(long, value_enum, default_value_t = SpellingArg::Spaced)]
    pub spelling: SpellingArg,
    /// Give up after so many seconds without an answer.
    #[arg(long, value_name = "SECS", default_value = "30", value_parser = seconds)]
    pub timeout: Duration,
    #[command(flatten)]
    pub speech: Speech,
}

/// See [`Mode`].
#[derive(Clone, Copy, Debug, ValueEnum)]
#[expect(missing_docs, reason = "they are named as the modes are")]
pub enum ModeArg {
    Auto,
    Lab,
    Checked,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Auto => Mode::Auto,
            ModeArg::Lab => Mode::Lab,
            ModeArg::Checked => Mode::Checked,
        }
    }
}

/// See [`Spelling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "they are named as the spellings are")]
pub enum SpellingArg {
    Spaced,
    Compact,
}

impl From<SpellingArg> for Spelling {
    fn from(spelling: SpellingArg) -> Self {
        match spelling {
            SpellingArg::Spaced => Spelling::Spaced,
            SpellingArg::Compact => Spelling::Compact,
        }
    }
}

/// A positive number of seconds, decimals allowed; at most a week.
fn seconds(text: &str) -> Result<Duration, String> {
    const WEEK: f64 = 7.0 * 24.0 * 3600.0;
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=WEEK).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("it must be a number of seconds, more than 0 and at most 604800 (a week)".into()),
    }
}

/// Bytes, with or without a unit.
fn file_size(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let factor: u64 = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1000_u64.pow(2),
        "g" | "gb" => 1000_u64.pow(3),
        "t" | "tb" => 1000_u64.pow(4),
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        "ti" => 1 << 40,
        _ => return Err("the unit is one of k, m, g, t, ki, mi, gi, ti, or none for bytes".into()),
    };
    let count: u64 = digits.parse().map_err(|_| "it must be a whole number, as in 500m".to_string())?;
    count.checked_mul(factor).ok_or_else(|| "it is larger than any file".to_string())
}

/// Ends the program as clap does when a command line makes no sense.
pub fn usage_error(command: &mut clap::Command, message: &str) -> ! {
    let error = command.error(clap::error::ErrorKind::ValueValidation, message);
    // Standard error may be closed; the exit code tells all the same.
    let _ = error.print();
    std::process::exit(exit::USAGE.into())
}

const SERVER_EXAMPLES: &str = "Examples:
  server 12300                       receive into the current folder
  server 12300 --root inbox --bind ::  from IPv6 and IPv4 into a folder
  server 0 --json --exit-after 1     a free port, one file, events for programs

Exit codes: 0 ended after --exit-after, 2 usage, 130 interrupted (143: terminated), 1 anything else.";

const CLIENT_EXAMPLES: &str = "Examples:
  client lab.example:12300 photo.jpg photo.jpg
  client [::1]:12300 notes.txt backup/notes.txt --mode checked
  tar c photos | client 192.0.2.7:12300 - photos.tar
  client localhost:12300 a.bin a.bin --spelling compact

Exit codes:
  0    delivered, and verified where the mode can
  2    the command line makes no sense
  3    no answer
  4    refused by the server
  5    verification failed: what arrived is not what was sent
  6    the local file cannot be read, or changed while it was read
  7    everything was sent, but the end was not confirmed
  130  interrupted (143: terminated)
  1    anything else: no socket, no memory";

const BAD_SERVER_EXAMPLES: &str = "Examples:
  bad_server 12300 --fault loss=20%,dup=5%
  bad_server 12300 --weather lab --seed 7
  bad_server 12300 --misbehave stale-acks --expect photo.jpg --exit-after 1
  bad_server --list

Exit codes: 0 ended as asked (with --expect: every file exact), 2 usage, 5 a file differed or did not arrive,
130 interrupted, 1 anything else.";

const LINK_EXAMPLES: &str = "Examples:
  lossy_link --listen 12301 --to localhost:12300 --loss 15% --delay 1100ms
  lossy_link --listen 12301 --to 192.0.2.7:12300 --weather satellite --rate 10mbit
  lossy_link --list

`in` is towards the server, `out` from it. Ctrl-C ends it and prints the counters.";
