//! The lossy link's command line.

use super::common::{HELP, Speech};
use super::weather::WeatherArgs;
use clap::Parser;

/// A link with bad weather between any UDP programs.
#[derive(Parser, Clone, Debug)]
#[command(name = "lossy_link", version, override_usage = USAGE, help_template = HELP, before_help = LINK_EXAMPLES, after_help = LINK_NOTES)]
#[expect(missing_docs, reason = "the help texts are the documentation")]
pub struct LinkArgs {
    /// Port to listen on, or ADDRESS:PORT; 0 takes a free port. A bare port listens at 127.0.0.1. (Required, but with --list.)
    #[arg(long, value_name = "PORT", required_unless_present = "list")]
    pub listen: Option<String>,
    /// Where the datagrams go on to. (Required, but with --list.)
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "list")]
    pub to: Option<String>,
    /// List the weather presets and end.
    #[arg(long)]
    pub list: bool,
    #[command(flatten)]
    pub speech: Speech,
    #[command(flatten)]
    pub weather: WeatherArgs,
    /// How fast the link is, in bits a second: 10mbit is 1.25 megabytes a second (kbit, mbit, gbit) [default: no limit].
    #[arg(long, value_name = "RATE")]
    pub rate: Option<String>,
    /// How much waits before the link, in bytes, as in 64k [default: one bandwidth-delay product, at least 64 kB].
    #[arg(long, value_name = "SIZE")]
    pub queue: Option<String>,
    /// Largest packet with its headers, in bytes; larger ones are dropped and counted. `off` lets all pass.
    #[arg(long, value_name = "N", default_value = "1500")]
    pub mtu: String,
}

const USAGE: &str = "\
lossy_link --listen <PORT> --to <HOST:PORT> [OPTIONS]
       lossy_link --list";

const LINK_EXAMPLES: &str = "Examples:
  lossy_link --listen 12301 --to localhost:12300 --loss 15% --delay 1100ms
  lossy_link --listen 12301 --to 192.0.2.7:12300 --weather wifi --rate 10mbit
  lossy_link --list";

const LINK_NOTES: &str = "\
`in` is towards the server, `out` from it. Ctrl-C ends it and prints the counters.";
