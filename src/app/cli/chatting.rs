//! The chat programs' command lines.

use super::common::{HELP, Speech};
use clap::Parser;
use std::net::{IpAddr, Ipv4Addr};

/// Keeps the registry of a chat: who is here, under which number and name, and at which address.
///
/// Clients join, look each other up, and are told of each other; what they then say passes from one to the other and not through
/// here. Who comes and goes is printed, on a terminal above a table of who is here, with --verbose a table each time.
#[derive(Parser, Clone, Debug)]
#[command(name = "chat_server", version, help_template = HELP, before_help = SERVER_EXAMPLES, after_help = SERVER_NOTES)]
#[expect(missing_docs, reason = "the help texts are the documentation")]
pub struct ChatServerArgs {
    /// UDP port to listen on; 0 takes a free one and says which.
    #[arg(default_value_t = 7070)]
    pub port: u16,
    /// Address to listen at; `::` serves IPv6 and IPv4.
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub bind: IpAddr,
    /// Clients at once.
    #[arg(long, value_name = "N", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub capacity: u32,
    /// Clients at once from one address (an IPv6 /64 counts as one).
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub per_address: u32,
    #[command(flatten)]
    pub speech: Speech,
}

const SERVER_EXAMPLES: &str = "Examples:
  chat_server                        port 7070
  chat_server 7071 --bind ::         another port, IPv6 as well
  chat_server --json                 who comes and goes, one JSON object a line";

const SERVER_NOTES: &str = "Exit codes: 2 usage, 130 interrupted (143: terminated), 1 anything else.";
