//! `client`: copies a file to a server.

use clap::{CommandFactory, Parser};
use homing::app::album::{Album, Diagrams};
use homing::app::cli::{ClientArgs, ModeArg, SpellingArg, usage_error};
use homing::app::copy::{CopyPlan, check_target, copy};
use homing::app::exit;
use homing::io::events::Note;
use homing::io::signals::Interrupt;
use homing::io::source::Source;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = ClientArgs::parse();
    exit::of_program(run(args))
}

fn run(args: ClientArgs) -> anyhow::Result<u8> {
    if args.spelling == SpellingArg::Compact && matches!(args.mode, ModeArg::Checked) {
        usage_error(
            &mut ClientArgs::command(),
            "--mode checked needs the spaced spelling: the compact one has no place for an offer",
        );
    }
    if args.remote.is_empty() {
        usage_error(&mut ClientArgs::command(), "REMOTE is empty; give the file a name there");
    }
    if let Err(reason) = check_target(&args.target) {
        usage_error(&mut ClientArgs::command(), &reason);
    }
    let mut report = args.speech.report();
    let source = match Source::open(&args.local) {
        Ok(source) => source,
        Err(error) => {
            let (name, exit_code) = (args.local.display().to_string(), Some(exit::LOCAL_FILE));
            report.note(&Note::Failed { id: 0, peer: None, name, reason: error.to_string(), exit_code })?;
            return Ok(exit::LOCAL_FILE);
        }
    };
    let record = &args.record;
    let album = Album::open(args.diagram.map(Diagrams::File), record.ladder, record.trace.as_deref())?;
    let plan = CopyPlan {
        target: args.target,
        source,
        remote: args.remote,
        mode: args.mode.into(),
        spelling: args.spelling.into(),
        timeout: args.timeout,
        album,
    };
    Ok(copy(plan, report.as_mut(), |wire| Interrupt::watch(wire.waker()))?)
}
