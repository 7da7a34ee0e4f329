//! The client's command line.

use super::common::{RecordArgs, Speech, SpellingArg, seconds};
use crate::session::Mode;
use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

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
    /// Draw the exchange as a sequence diagram, as this client sees it.
    #[arg(long, value_name = "FILE.svg", help_heading = "Picture")]
    pub diagram: Option<PathBuf>,
    #[command(flatten)]
    pub record: RecordArgs,
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
