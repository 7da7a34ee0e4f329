//! `client`: copies files to a server.

use anyhow::Context;
use clap::CommandFactory;
use homing::app::album::{Album, Diagrams};
use homing::app::auto::{copy_best, needs_windowed};
use homing::app::cli::{ClientArgs, Configured, ModeArg, Settings, SpellingArg, WindowedArgs, configured, usage_error};
use homing::app::copy::{CopyPlan, check_target, copy};
use homing::app::exit;
use homing::app::get::{GetPlan, Place, get, place};
use homing::app::send::{SendPlan, rehearse, send};
use homing::chunker::request::Existing;
use homing::chunker::wanted::Pace;
use homing::io::events::Note;
use homing::io::qlog::{self, QlogWriter};
use homing::io::recording;
use homing::io::signals::Interrupt;
use homing::io::source::Source;
use homing::session::Mode;
use homing::session::congestion::Choice;
use std::process::ExitCode;

fn main() -> ExitCode {
    exit::of_program(run(configured()))
}

fn run(Configured { mut args, settings }: Configured<ClientArgs>) -> anyhow::Result<u8> {
    if let Some(address) = settings.address() {
        args.target = address.to_owned();
    }
    let is_compact = args.spelling == SpellingArg::Compact;
    if is_compact && matches!(args.mode, ModeArg::Checked | ModeArg::Windowed) {
        let mode = if args.mode == ModeArg::Checked { "checked" } else { "windowed" };
        let reason = format!("--mode {mode} needs the spaced spelling: the compact one has no place for an offer");
        usage_error(&mut ClientArgs::command(), &reason);
    }
    if let Err(reason) = check_target(&args.target) {
        let reason = format!("{reason}, or name it in config.toml: [host.NAME] with address = \"HOST:PORT\"");
        usage_error(&mut ClientArgs::command(), &reason);
    }
    match args.mode {
        ModeArg::Auto | ModeArg::Windowed if args.windowed.get && !is_compact => run_get(args, &settings),
        ModeArg::Auto | ModeArg::Windowed if args.windowed.extent.dry_run => run_rehearsal(args),
        ModeArg::Auto if !is_compact => run_best(args),
        ModeArg::Auto | ModeArg::Lab => run_stop_and_wait(args, &settings, Mode::Lab),
        ModeArg::Checked => run_stop_and_wait(args, &settings, Mode::Checked),
        ModeArg::Windowed => run_windowed(args),
    }
}

fn run_best(args: ClientArgs) -> anyhow::Result<u8> {
    if args.remote.is_empty() {
        usage_error(&mut ClientArgs::command(), "REMOTE is empty; give the file a name there");
    }
    let is_drawn = is_drawn(&args);
    if is_drawn && args.record.qlog().is_some() {
        usage_error(&mut ClientArgs::command(), "a qlog is of windowed transfers, which cannot be drawn");
    }
    let mut report = args.speech.report();
    let (diagram, record) = (args.diagram.clone(), args.record.clone());
    let plan = windowed(args)?;
    if is_drawn && needs_windowed(&plan) {
        refuse_to_draw();
    }
    let album = Album::open(diagram.map(Diagrams::File), record.ladder, record.recording())?;
    Ok(copy_best(plan, album, report.as_mut(), |wire| Interrupt::watch(wire.waker()))?)
}

fn run_windowed(args: ClientArgs) -> anyhow::Result<u8> {
    if is_drawn(&args) {
        refuse_to_draw();
    }
    let mut report = args.speech.report();
    Ok(send(windowed(args)?, report.as_mut(), |wire| Interrupt::watch(wire.waker()))?)
}

fn run_rehearsal(args: ClientArgs) -> anyhow::Result<u8> {
    let mut report = args.speech.report();
    Ok(rehearse(&windowed(args)?, report.as_mut())?)
}

fn run_get(args: ClientArgs, settings: &Settings) -> anyhow::Result<u8> {
    if is_drawn(&args) {
        refuse_to_draw();
    }
    let WindowedArgs { extent, plot, restart, .. } = &args.windowed;
    let sending = extent.used().chain(plot.as_ref().map(|_| "--plot")).chain(restart.then_some("--restart"));
    if let Some(option) = sending.into_iter().find(|option| settings.is_typed(option)) {
        refuse(&format!("{option} is for what is sent from here; --get does not know it"));
    }
    let pace = match args.windowed.congestion {
        Choice::Bbr => Pace::Bbr,
        Choice::Cubic => Pace::Cubic,
        Choice::Background => Pace::Background,
        Choice::Fixed(_) => {
            refuse("a server does not send at a rate that others fix; with --get take bbr, cubic or background")
        }
    };
    let mut remotes = Vec::new();
    for path in &args.sources {
        match path.to_str() {
            Some(path) => remotes.push(path.to_owned()),
            None => refuse("a path there is not UTF-8; no server gives such names"),
        }
    }
    let (wanted, place) = match place(&remotes, &args.remote, args.windowed.recursive, pace) {
        Ok(placed) => placed,
        Err(error) => refuse(&error.to_string()),
    };
    let is_output = place == Place::Output;
    let mut report = if is_output { args.speech.report_aside() } else { args.speech.report() };
    let qlog = args.record.qlog().map(|path| QlogWriter::create(path, qlog::Vantage::Client)).transpose()?;
    let (timeout, first_timeout) = (args.windowed_timeout(), args.timeout());
    let name = if is_output { remotes.concat() } else { args.remote };
    let plan = GetPlan {
        target: args.target,
        wanted,
        place,
        name,
        existing: if args.windowed.overwrite { Existing::Replace } else { Existing::Keep },
        sha256: args.windowed.sha256,
        timeout,
        first_timeout,
        config_dir: args.windowed.config_dir,
        qlog,
    };
    Ok(get(plan, report.as_mut(), |wire| Interrupt::watch(wire.waker()))?)
}

fn refuse(reason: &str) -> ! {
    usage_error(&mut ClientArgs::command(), reason)
}

fn is_drawn(args: &ClientArgs) -> bool {
    args.diagram.is_some() || args.record.ladder || args.record.recording().is_some()
}

fn refuse_to_draw() -> ! {
    let reason =
        "windowed transfers cannot be drawn, they have too many packets; --trace FILE.qlog (or .sqlog) writes a qlog";
    usage_error(&mut ClientArgs::command(), reason)
}

/// The transfer as the windowed mode would make it.
fn windowed(args: ClientArgs) -> anyhow::Result<SendPlan> {
    let qlog = args.record.qlog().map(|path| QlogWriter::create(path, qlog::Vantage::Client)).transpose()?;
    if let Some(path) = &args.windowed.plot {
        // A wrong path is noticed before anything is copied.
        recording::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let (timeout, first_timeout) = (args.windowed_timeout(), args.timeout());
    Ok(SendPlan {
        target: args.target,
        sources: args.sources,
        recursive: args.windowed.recursive,
        destination: args.remote,
        restart: args.windowed.restart,
        existing: if args.windowed.overwrite { Existing::Replace } else { Existing::Keep },
        sha256: args.windowed.sha256,
        choice: args.windowed.congestion,
        timeout,
        first_timeout,
        config_dir: args.windowed.config_dir,
        qlog,
        plot: args.windowed.plot,
        extent: args.windowed.extent.extent(),
    })
}

fn run_stop_and_wait(args: ClientArgs, settings: &Settings, mode: Mode) -> anyhow::Result<u8> {
    // What the file says is for the mode that knows it.
    if let Some(option) = args.windowed.used().find(|option| settings.is_typed(option)) {
        usage_error(&mut ClientArgs::command(), &format!("{option} needs --mode auto or windowed"));
    }
    if args.record.qlog().is_some() {
        let reason = "a qlog is of windowed transfers: it needs --mode auto or windowed; in other modes --trace writes FILE.jsonl";
        usage_error(&mut ClientArgs::command(), reason);
    }
    let [local] = args.sources.as_slice() else {
        usage_error(&mut ClientArgs::command(), "several files at once need --mode auto or windowed")
    };
    if args.remote.is_empty() {
        usage_error(&mut ClientArgs::command(), "REMOTE is empty; give the file a name there");
    }
    let mut report = args.speech.report();
    let source = match Source::open(local) {
        Ok(source) => source,
        Err(error) => {
            let (name, exit_code) = (local.display().to_string(), Some(exit::LOCAL_FILE));
            report.note(&Note::Failed { id: 0, peer: None, name, reason: error.to_string(), exit_code })?;
            return Ok(exit::LOCAL_FILE);
        }
    };
    let (record, timeout) = (&args.record, args.timeout());
    let album = Album::open(args.diagram.map(Diagrams::File), record.ladder, record.recording())?;
    let plan = CopyPlan {
        target: args.target,
        source,
        remote: args.remote,
        mode,
        spelling: args.spelling.into(),
        timeout,
        album,
    };
    Ok(copy(plan, report.as_mut(), |wire| Interrupt::watch(wire.waker()))?)
}
