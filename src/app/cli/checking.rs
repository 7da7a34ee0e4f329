//! The examiner's command line.

use super::common::{HELP, SpellingArg, usage_error};
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::path::PathBuf;

/// Examines other people's servers and clients: which rules of the protocol they keep, and where they break one.
#[derive(Parser, Clone, Debug)]
#[command(name = "lab_check", version, help_template = HELP, before_help = EXAMPLES, after_help = NOTES, max_term_width = 110)]
pub struct CheckArgs {
    /// What to examine.
    #[command(subcommand)]
    pub command: CheckCommand,
}

impl CheckArgs {
    /// Ends the program as clap does when a command line makes no sense.
    pub fn refuse(message: &str) -> ! {
        usage_error(&mut Self::command(), message)
    }
}

/// What to examine.
#[derive(Subcommand, Clone, Debug)]
pub enum CheckCommand {
    /// Examine a server: one that is started for each case, or one that runs somewhere.
    Server(ServerCheckArgs),
    /// Examine a client: it copies to our server behind every weather and misbehaviour.
    Client(ClientCheckArgs),
    /// Draw what --trace has written down, as a ladder here or as an SVG.
    Draw(DrawArgs),
}

/// See [`CheckCommand::Server`].
#[derive(Args, Clone, Debug)]
#[command(help_template = HELP, before_help = SERVER_EXAMPLES, after_help = SERVER_NOTES)]
#[expect(missing_docs, reason = "the help texts are the documentation")]
pub struct ServerCheckArgs {
    /// A server that runs there; only what can be seen from outside is examined.
    #[arg(value_name = "HOST:PORT", conflicts_with_all = ["command", "each"])]
    pub address: Option<String>,
    /// The server's command; {port} and {dir} stand for its port and a fresh folder, which is also where it is started.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// The server always listens on this port, whatever it is told; cases then run one after the other [default: a free port for each case].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "address")]
    pub port: Option<u16>,
    /// Also ask that a transfer silent for 3 s is forgotten, as the course's text does.
    #[arg(long)]
    pub strict_course: bool,
    #[command(flatten)]
    pub exam: ExamArgs,
}

/// See [`CheckCommand::Client`].
#[derive(Args, Clone, Debug)]
#[command(help_template = HELP, before_help = CLIENT_EXAMPLES, after_help = CLIENT_NOTES)]
#[expect(missing_docs, reason = "the help texts are the documentation")]
pub struct ClientCheckArgs {
    /// The client's command; {addr} stands for HOST:PORT ({host} and {port} singly), {local} for the file to send, {remote}
    /// for its name there.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// The same seed gives the same weather.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub exam: ExamArgs,
}

/// What servers' and clients' examinations have in common.
#[derive(Args, Clone, Debug)]
pub struct ExamArgs {
    /// Examine every program that matches this pattern, as in 'submissions/*/server.py'; {file} stands for it in the command
    /// [default: the one that is named].
    #[arg(long, value_name = "PATTERN")]
    pub each: Option<String>,
    /// Only this case; may be given several times [default: all].
    #[arg(long, value_name = "CASE")]
    pub only: Vec<String>,
    /// List the cases with their rules and end.
    #[arg(long)]
    pub list: bool,
    /// Cases at once [default: four for each processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
    /// The spelling, where it shall not be found out [default: it is].
    #[arg(long, value_enum)]
    pub spelling: Option<SpellingArg>,
    /// One JSON object a case on standard output.
    #[arg(long)]
    pub json: bool,
    /// Write a page with every finding, and a diagram of each exchange that failed [default: none].
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Write the grid of --each for a spreadsheet [default: none].
    #[arg(long, value_name = "FILE.csv", requires = "each")]
    pub csv: Option<PathBuf>,
    /// Print the exchanges of failed cases as ladders.
    #[arg(long, conflicts_with_all = ["json", "each"])]
    pub ladder: bool,
}

/// See [`CheckCommand::Draw`].
#[derive(Args, Clone, Debug)]
pub struct DrawArgs {
    /// What --trace has written.
    #[arg(value_name = "FILE.jsonl")]
    pub trace: PathBuf,
    /// Draw into this file instead of the terminal; of several exchanges the second goes to FILE-2.svg [default: none].
    #[arg(long, value_name = "FILE.svg")]
    pub diagram: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  lab_check server -- python3 server.py {port}
  lab_check client -- python3 client.py {addr} {local} {remote}
  lab_check server --each 'submissions/*/server.py' -- python3 {file} {port}
  lab_check draw trace.jsonl --diagram trace.svg";

const NOTES: &str = "\
Exit codes:
  0    every case passed or does not apply
  1    some failed
  2    the command line makes no sense
  130  interrupted";

const SERVER_EXAMPLES: &str = "Examples:
  lab_check server -- python3 server.py {port}
  lab_check server --only data-repeated --ladder -- ./server {port} --root {dir}
  lab_check server lab.example:12300 --report findings.html
  lab_check server --list";

const SERVER_NOTES: &str = "\
The server is started anew for each case, in a fresh folder; files that the command names are found from here.";

const CLIENT_EXAMPLES: &str = "Examples:
  lab_check client -- python3 client.py {addr} {local} {remote}
  lab_check client --only no-doubling -- ./client {addr} {local} {remote}
  lab_check client --list";

const CLIENT_NOTES: &str = "\
The client is started anew for each case, in a fresh folder where the file to send lies.";
