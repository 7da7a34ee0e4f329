//! The servers' command lines.

use super::common::{HELP, RecordArgs, Speech, file_size, seconds};
use super::weather::WeatherArgs;
use crate::endpoint::Config;
use crate::io::store::Policy;
use crate::packet::MAX_DATAGRAM;
use crate::weather::Misbehaviour;
use clap::{Args, Parser};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

/// Receives files over UDP.
///
/// Speaks the lab's protocol in both spellings with any client, and verifies the end with our own, or takes whole trees from it over
/// many encrypted packets at once.
#[derive(Parser, Clone, Debug)]
#[command(name = "server", version, help_template = HELP, before_help = SERVER_EXAMPLES, after_help = SERVER_NOTES)]
pub struct ServerArgs {
    /// All of them; the bad server has the same.
    #[command(flatten)]
    pub serving: ServingArgs,
    /// Also give files: clients may get whatever lies beneath --root (client --get), but for names that begin with a dot, without
    /// --allow-hidden, and what links lead to elsewhere.
    #[arg(long)]
    pub allow_get: bool,
    /// With --allow-get, clients that get files at once; each takes a thread and 16 MiB.
    #[arg(long, value_name = "N", default_value_t = 32, requires = "allow_get", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_gets: u32,
    /// Folder with this server's key for the windowed mode, and config.toml [default: $XDG_CONFIG_HOME/homing].
    #[arg(long, value_name = "DIR", help_heading = EXPERT, hide_short_help = true)]
    pub config_dir: Option<PathBuf>,
    /// Draw each exchange as a sequence diagram into this folder, as this server sees it. With this, --ladder or --trace the windowed
    /// mode is not offered to clients that begin with a start: it has too many packets to be drawn. [default: none]
    #[arg(long, value_name = "DIR", help_heading = "Picture", hide_short_help = true)]
    pub diagram: Option<PathBuf>,
    /// Take no more bytes a second of each windowed transfer, as a slow disk does [default: no limit].
    #[arg(long, value_name = "SIZE", value_parser = file_size, help_heading = "To try out what holds a transfer back")]
    pub write_limit: Option<u64>,
    /// Let the kernel keep no more than about so many bytes that came, as a busy machine's does [default: as many as it allows].
    #[arg(long, value_name = "SIZE", value_parser = file_size, help_heading = "To try out what holds a transfer back")]
    pub receive_buffer: Option<u64>,
}

/// What the honest and the bad server have in common.
#[derive(Args, Clone, Debug)]
#[expect(missing_docs, reason = "the help texts are the documentation")]
pub struct ServingArgs {
    /// UDP port to listen on, as in 12300; 0 takes a free one and says which.
    pub port: Option<u16>,
    /// Folder beneath which files are saved.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub root: PathBuf,
    /// Address to listen at; `::` serves IPv6 and IPv4.
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub bind: IpAddr,
    /// Largest datagram announced to clients, in bytes (64 to 65507). The default fits a 1500-byte path.
    #[arg(long, value_name = "BYTES", help_heading = EXPERT, hide_short_help = true, default_value_t = 1400, value_parser = clap::value_parser!(u32).range(64..=MAX_DATAGRAM as i64))]
    pub bufsize: u32,
    /// Forget a transfer that hears nothing for this long, in seconds [default: 30; in the windowed mode 300].
    #[arg(long, value_name = "SECS", value_parser = seconds, help_heading = EXPERT)]
    pub idle_timeout: Option<Duration>,
    /// Transfers at once.
    #[arg(long, value_name = "N", default_value_t = 1024, help_heading = EXPERT, hide_short_help = true, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_sessions: u32,
    /// Transfers at once from one address.
    #[arg(long, value_name = "N", default_value_t = 256, help_heading = EXPERT, hide_short_help = true, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_sessions_per_address: u32,
    /// Refuse larger files; bytes, or with a unit as in 500m or 4g (powers of 1000; ki, mi, gi: of 1024) [default: no limit].
    #[arg(long, value_name = "SIZE", value_parser = file_size)]
    pub max_size: Option<u64>,
    /// Never overwrite an existing file.
    #[arg(long)]
    pub no_clobber: bool,
    /// Also take names that begin with a dot, as .bashrc does, and give them with --allow-get.
    #[arg(long)]
    pub allow_hidden: bool,
    /// End with exit code 0 after so many completed transfers [default: never].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub exit_after: Option<u64>,
    #[command(flatten)]
    pub speech: Speech,
    #[command(flatten)]
    pub record: RecordArgs,
}

impl ServingArgs {
    /// The endpoint's limits.
    pub fn config(&self) -> Config {
        let usual = Config::default();
        Config {
            bufsize: self.bufsize as usize,
            max_sessions: self.max_sessions as usize,
            max_sessions_per_address: self.max_sessions_per_address as usize,
            idle_timeout: self.idle_timeout.unwrap_or(usual.idle_timeout),
            ..usual
        }
    }

    /// The store's rules.
    pub fn policy(&self) -> Policy {
        Policy {
            no_clobber: self.no_clobber,
            allow_hidden: self.allow_hidden,
            max_size: self.max_size,
            sync: true,
            write_limit: None,
        }
    }
}

/// The same server behind bad weather, or with a named misbehaviour: for trying out clients.
#[derive(Parser, Clone, Debug)]
#[command(name = "bad_server", version, help_template = HELP, before_help = BAD_SERVER_EXAMPLES, after_help = BAD_SERVER_NOTES)]
#[expect(missing_docs, reason = "the help texts are the documentation")]
pub struct BadServerArgs {
    #[command(flatten)]
    pub serving: ServingArgs,
    #[command(flatten)]
    pub weather: WeatherArgs,
    /// What the server does wrong on purpose; see --list [default: nothing].
    #[arg(long, value_name = "NAME", help_heading = "Misbehaviour", value_parser = |name: &str| name.parse::<Misbehaviour>())]
    pub misbehave: Option<Misbehaviour>,
    /// List the misbehaviours and end.
    #[arg(long, help_heading = "Misbehaviour")]
    pub list: bool,
    /// Compare every file with this one: exit code 5 if one differs or does not arrive (use with --exit-after) [default: none].
    #[arg(long, value_name = "FILE", help_heading = "Misbehaviour")]
    pub expect: Option<PathBuf>,
    /// Draw the exchange as a sequence diagram, with the fate of every datagram; a second one goes to FILE-2.svg [default: none].
    #[arg(long, value_name = "FILE.svg", help_heading = "Picture", hide_short_help = true)]
    pub diagram: Option<PathBuf>,
}

/// What beginners can do without.
const EXPERT: &str = "For experts";

const SERVER_EXAMPLES: &str = "Examples:
  server 12300                          receive into the current folder
  server 12300 --root inbox --bind ::   from IPv6 and IPv4, into a folder
  server 12300 --root shared --allow-get  clients may also get what is there
  server 12300 --max-size 4g            no file of more than 4 GB
  server 0 --json --exit-after 1        a free port, one file, for programs";

const SERVER_NOTES: &str = "\
Configuration:
  Every option and the port can also stand in the environment, as in
  HOMING_ROOT=inbox, and in $XDG_CONFIG_HOME/homing/config.toml
  (~/.config/homing/config.toml). The command line counts most, then the
  environment, then the file. --show-config says what counts.
    [server]
    port = 12300
    root = \"/srv/inbox\"
    no-clobber = true           # --clobber turns it off once

Exit codes:
  0    ended after --exit-after
  2    the command line or config.toml makes no sense
  130  interrupted (143: terminated)
  1    anything else: the port is taken, the folder cannot be written to";

const BAD_SERVER_EXAMPLES: &str = "Examples:
  bad_server 12300 --fault loss=20%,dup=5%
  bad_server 12300 --weather lab --seed 7
  bad_server 12300 --misbehave stale-acks --expect photo.jpg --exit-after 1
  bad_server --list";

const BAD_SERVER_NOTES: &str = "\
Exit codes:
  0    ended as asked (with --expect: every file exact)
  2    the command line makes no sense
  5    a file differed or did not arrive
  130  interrupted (143: terminated)
  1    anything else: the port is taken, the folder cannot be written to";
