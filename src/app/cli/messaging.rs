//! The echo programs' command lines.

use super::common::{HELP, Speech, seconds};
use crate::app::echo::reply_at;
use crate::echo::Reply;
use crate::packet::message::Style;
use crate::session::conversation::Sending;
use clap::{Parser, ValueEnum};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Answers messages over UDP, in the manner of three exercises, and says what it heard.
///
/// Without --reply, what reads as a numbered message (digits, a colon, UTF-8) is acknowledged with its number, and everything
/// else is sent back; at port 12345 it is answered `Server acknowledges: ...` instead. No answer is ever answered.
#[derive(Parser, Clone, Debug)]
#[command(name = "echo_server", version, help_template = HELP, before_help = SERVER_EXAMPLES, after_help = SERVER_NOTES)]
#[expect(missing_docs, reason = "the help texts are the documentation")]
pub struct EchoServerArgs {
    /// UDP port to listen on; 0 takes a free one and says which.
    #[arg(default_value_t = 9999)]
    pub port: u16,
    /// Answer everything in one manner [default: each as it is written].
    #[arg(long, value_enum, value_name = "STYLE")]
    pub reply: Option<StyleArg>,
    /// Address to listen at; `::` serves IPv6 and IPv4.
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub bind: IpAddr,
    #[command(flatten)]
    pub speech: Speech,
}

impl EchoServerArgs {
    /// How it answers.
    pub fn reply(&self) -> Reply {
        self.reply.map_or(reply_at(self.port), |style| Reply::Always(style.into()))
    }
}

/// Says lines to an echo server, one after the other, each until it is answered, and shows the answers and round trips.
///
/// On a terminal lines can be edited and fetched back (arrow keys); `quit` or Ctrl-D ends it. In a pipe each line is a message.
#[derive(Parser, Clone, Debug)]
#[command(name = "echo_client", version, help_template = HELP, before_help = CLIENT_EXAMPLES, after_help = CLIENT_NOTES)]
#[expect(missing_docs, reason = "the help texts are the documentation")]
pub struct EchoClientArgs {
    #[arg(value_name = "HOST:PORT", help = "The server, as in lab.example:9999, 192.0.2.7:9999 or [::1]:9999")]
    pub target: String,
    /// How messages are written, and which answer is expected.
    #[arg(long, value_enum, default_value_t = StyleArg::Sequenced)]
    pub style: StyleArg,
    /// How often a message is sent at most, the first time included.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub attempts: u32,
    /// How long to wait for an answer, in seconds. Once the round trip is known, repeats follow it and come sooner.
    #[arg(long, value_name = "SECS", default_value = "2", value_parser = seconds)]
    pub timeout: Duration,
    #[command(flatten)]
    pub speech: Speech,
}

impl EchoClientArgs {
    /// How it sends.
    pub fn sending(&self) -> Sending {
        Sending { style: self.style.into(), attempts: self.attempts, timeout: self.timeout, ..Sending::default() }
    }
}

/// See [`Style`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StyleArg {
    /// 1:hello is answered 1:ACK:hello.
    Sequenced,
    /// The bytes come back unchanged.
    Echo,
    /// hello is answered `Server acknowledges: hello`.
    Acknowledge,
}

impl From<StyleArg> for Style {
    fn from(style: StyleArg) -> Self {
        match style {
            StyleArg::Sequenced => Style::Sequenced,
            StyleArg::Echo => Style::Echo,
            StyleArg::Acknowledge => Style::Acknowledge,
        }
    }
}

const SERVER_EXAMPLES: &str = "Examples:
  echo_server                     port 9999; acknowledges numbered messages, sends
                                  others back
  echo_server 12345               answers others `Server acknowledges: ...`
  echo_server 9999 --reply echo   everything comes back unchanged";

const SERVER_NOTES: &str = "Exit codes: 2 usage, 130 interrupted (143: terminated), 1 anything else.";

const CLIENT_EXAMPLES: &str = "Examples:
  echo_client localhost:9999
  seq 1000 | echo_client localhost:9999 --quiet
  echo_client localhost:9999 --style echo --attempts 5 --timeout 0.5
  echo_client localhost:12345 --style acknowledge";

const CLIENT_NOTES: &str = "\
Exit codes:
  0    every message was answered
  2    the command line makes no sense
  3    a message was not answered
  5    a message was answered with another text only
  6    a line could not be sent (too long, not UTF-8, begins with ACK:) or read
  130  interrupted (143: terminated)
  1    anything else: no socket, no memory";
