//! How much is copied of what was named, and how fast.

use crate::compression::Compression;
use crate::io::sources::Pattern;
use crate::io::throttle::Limit;
use clap::{Args, ValueEnum};

/// What only the windowed mode knows.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "In the windowed mode")]
pub struct ExtentArgs {
    /// Keep permissions and times of change of files and new folders, whatever the umask is where they arrive; never setuid, setgid or sticky. Otherwise
    /// they get, as with cp, what the umask leaves of the permissions (executable stays executable), and new times. [default: off]
    #[arg(short, long)]
    pub preserve: bool,
    /// Copy symbolic links inside folders as links, if they are relative and stay inside what is copied; others are told of. Otherwise links
    /// in folders are not copied. What is named here is followed, with or without it. [default: off]
    #[arg(long)]
    pub links: bool,
    /// Leave out of folders what matches, as in a .gitignore: '*.tmp' anywhere, /build right below the source, cache/ only folders,
    /// 'docs/**/*.pdf' below docs. May be given several times. [default: nothing is left out]
    #[arg(long, value_name = "GLOB", value_parser = |text: &str| text.parse::<Pattern>())]
    pub exclude: Vec<Pattern>,
    /// Send at most so fast: 10mbit are 10 megabits a second (kbit, mbit, gbit), 1.25MB/s the same in bytes (kB/s, MB/s, GB/s); headers of
    /// IP and UDP are not counted. @FILE: what that file says, looked at once a second; `none` lifts it. [default: no limit]
    #[arg(long, value_name = "RATE", value_parser = |text: &str| text.parse::<Limit>())]
    pub limit: Option<Limit>,
    /// Compress what becomes smaller: auto where the path is slower than compressing, zstd always, no never, as for files that hold secrets
    /// beside what strangers wrote: how well they go together shows in their length. With --get the server does it.
    #[arg(long, value_name = "HOW", value_enum, default_value_t = CompressArg::Auto)]
    pub compress: CompressArg,
    /// Say what would be sent and what could not be read, and send nothing, not even a question to the server; with --verbose or --json
    /// each file. [default: off]
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

impl ExtentArgs {
    /// Those of these options that were used.
    pub fn used(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.preserve, "--preserve"),
            (self.links, "--links"),
            (!self.exclude.is_empty(), "--exclude"),
            (self.limit.is_some(), "--limit"),
            (self.compress != CompressArg::Auto, "--compress"),
            (self.dry_run, "--dry-run"),
        ];
        all.into_iter().filter_map(|(is_used, option)| is_used.then_some(option))
    }

    /// Those of them that make no sense where files are got.
    pub fn sending(&self) -> impl Iterator<Item = &'static str> {
        self.used().filter(|option| !matches!(*option, "--preserve" | "--links" | "--compress"))
    }
}

/// Whether files are compressed on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompressArg {
    Auto,
    Zstd,
    No,
}

impl From<CompressArg> for Compression {
    fn from(arg: CompressArg) -> Self {
        match arg {
            CompressArg::Auto => Self::Auto,
            CompressArg::Zstd => Self::Zstd,
            CompressArg::No => Self::No,
        }
    }
}
