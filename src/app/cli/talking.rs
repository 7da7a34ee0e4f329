//! The chat client's command line.

use super::common::{HELP, Speech};
use crate::packet::chat::ClientName;
use clap::Parser;
use std::net::IpAddr;
use std::path::PathBuf;

/// Joins a chat registry, finds other clients there and talks with them directly, one at a time; files go along if both agree.
///
/// On a terminal lines can be edited, completed (Tab) and fetched back (arrow keys), and what arrives is shown above the line
/// that is being typed. In a pipe each line is a command; the next one waits until the one before is settled, and the end of
/// the input ends the program in order. With --json events come out one object a line, and commands may go in as objects, such
/// as {"command":"send","text":"hello"}; they do not wait for each other.
#[derive(Parser, Clone, Debug)]
#[command(name = "chat_client", version, help_template = HELP, before_help = EXAMPLES, after_help = NOTES)]
#[expect(missing_docs, reason = "the help texts are the documentation")]
pub struct ChatClientArgs {
    #[arg(value_name = "HOST:PORT", default_value = "localhost:7070", help = "The registry (chat_server)")]
    pub target: String,
    /// What to be called: one word of at most 64 bytes, and no number [default: none; you are a number only].
    #[arg(long)]
    pub name: Option<ClientName>,
    /// The number to ask for; if it is taken, the registry gives another one [default: a free one].
    #[arg(long, value_name = "N")]
    pub number: Option<u64>,
    /// Where files that you accept are saved; none is ever replaced.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// Address of this machine to speak from [default: any, of the registry's family].
    #[arg(long, value_name = "ADDR")]
    pub bind: Option<IpAddr>,
    #[command(flatten)]
    pub speech: Speech,
}

const EXAMPLES: &str = "Examples:
  chat_client --name alice                 the registry at localhost:7070
  chat_client --name bob chat.example:7070 --folder inbox
  printf 'connect alice\\nsend Dinner is ready.\\n' | chat_client --name kitchen";

const NOTES: &str = "\
Commands:
  list, lookup CLIENT, connect CLIENT, accept [CLIENT], reject [CLIENT] [REASON],
  send MESSAGE, send_file PATH, terminate, leave, help

Exit codes:
  0    left in order, also if the registry did not confirm it
  2    the command line makes no sense
  3    no registry answered; of a script (a pipe or a file, without --json) also: somebody was not found or not
       reached or did not answer, a message or a file did not arrive, a line could not be carried out
  4    the registry refused (the name is taken, it is full); of a script also: a request or a file was declined
  6    standard input could not be read
  130  interrupted (143: terminated, 129: its window was closed or its session ended)
  1    anything else: no socket, no such folder, no memory";
