//! `client`: copies files to a server.

use clap::CommandFactory;
use homing::app::cli::{ClientArgs, Configured, ModeArg, Settings, SpellingArg, WindowedArgs, configured, usage_error};
use homing::app::copy::check_target;
use homing::app::exit;
use homing::chunker::request::{Existing, Likeness};
use homing::io::signals::Interrupt;
use homing::{Client, Error, Mode};
use std::process::ExitCode;

fn main() -> ExitCode {
    exit::of_program(run(configured()))
}

fn run(Configured { mut args, settings }: Configured<ClientArgs>) -> anyhow::Result<u8> {
    if let Some(address) = settings.address() {
        args.target = address.to_owned();
    }
    // The library knows no config.toml, where a server may have a name.
    if let Err(reason) = check_target(&args.target) {
        refuse(&format!("{reason}, or name it in config.toml: [host.NAME] with address = \"HOST:PORT\""));
    }
    let is_compact = args.spelling == SpellingArg::Compact;
    let copied = match args.mode {
        ModeArg::Auto | ModeArg::Windowed if args.windowed.get && !is_compact => get(args, &settings),
        ModeArg::Auto | ModeArg::Windowed if args.windowed.extent.dry_run => return rehearse(args),
        ModeArg::Auto if !is_compact => send_windowed(args),
        ModeArg::Windowed => send_windowed(args),
        ModeArg::Auto | ModeArg::Lab | ModeArg::Checked => send_plainly(args, &settings),
    };
    match copied {
        Ok(_) => Ok(exit::DONE),
        Err(error) => end(error),
    }
}

fn send_windowed(args: ClientArgs) -> Result<(), Error> {
    with_extent(with_windowed(client(&args), &args.windowed), &args.windowed)
        .send(&args.sources, &args.remote)
        .map(drop)
}

/// What the file says of the windowed mode is for that mode; what was typed would have been meant.
fn send_plainly(args: ClientArgs, settings: &Settings) -> Result<(), Error> {
    if let Some(option) = args.windowed.used().find(|option| settings.is_typed(option)) {
        refuse(&format!("{option} needs --mode auto or windowed"));
    }
    client(&args).send(&args.sources, &args.remote).map(drop)
}

fn rehearse(args: ClientArgs) -> anyhow::Result<u8> {
    let mut client = with_extent(with_windowed(client(&args), &args.windowed), &args.windowed);
    match client.rehearse(&args.sources, &args.remote) {
        Ok(rehearsal) if rehearsal.missing > 0 => Ok(exit::LOCAL_FILE),
        Ok(_) => Ok(exit::DONE),
        Err(error) => end(error),
    }
}

/// What the file says of sending is for sending, as above.
fn get(args: ClientArgs, settings: &Settings) -> Result<(), Error> {
    let WindowedArgs { extent, plot, .. } = &args.windowed;
    let sending = extent.sending().chain(plot.as_ref().map(|_| "--plot"));
    if let Some(option) = sending.into_iter().find(|option| settings.is_typed(option)) {
        refuse(&format!("{option} is for what is sent from here; --get does not know it"));
    }
    let mut remotes = Vec::new();
    for path in &args.sources {
        match path.to_str() {
            Some(path) => remotes.push(path),
            None => refuse("a path there is not UTF-8; no server gives such names"),
        }
    }
    let mut client = with_windowed(client(&args), &args.windowed);
    if args.remote == "-" {
        if settings.is_typed("--preserve") {
            refuse("--preserve is for files; standard output has neither permissions nor a time");
        }
        // Standard output is for the file.
        client = client.report(args.speech.report_aside());
    }
    client.get(remotes, &args.remote).map(drop)
}

/// What counts in all modes.
fn client(args: &ClientArgs) -> Client {
    let mode = match args.mode {
        ModeArg::Auto => Mode::Auto,
        ModeArg::Lab => Mode::Lab,
        ModeArg::Checked => Mode::Checked,
        ModeArg::Windowed => Mode::Windowed,
    };
    let mut client = Client::new(&args.target)
        .mode(mode)
        .spelling(args.spelling.into())
        .ladder(args.record.ladder)
        .report(args.speech.report())
        .signals(Interrupt::watch);
    if let Some(timeout) = args.timeout {
        client = client.timeout(timeout);
    }
    if let Some(file) = &args.diagram {
        client = client.diagram(file);
    }
    if let Some(file) = &args.record.trace {
        client = client.trace(file);
    }
    client
}

/// What counts in the windowed mode, both ways.
fn with_windowed(client: Client, args: &WindowedArgs) -> Client {
    let client = match args.existing() {
        Existing::Keep => client,
        Existing::Replace => client.overwrite(true),
        Existing::Update(Likeness::Time) => client.update(true),
        Existing::Update(Likeness::Content) => client.checksum(true),
    };
    let client = client
        .recursive(args.recursive)
        .links(args.extent.links)
        .compress(args.extent.compress.into())
        .preserve(args.extent.preserve)
        .restart(args.restart)
        .sha256(args.sha256)
        .congestion(args.congestion);
    match &args.config_dir {
        Some(folder) => client.config_dir(folder),
        None => client,
    }
}

/// What counts in the windowed mode for what is sent.
fn with_extent(mut client: Client, args: &WindowedArgs) -> Client {
    for pattern in &args.extent.exclude {
        client = client.exclude(pattern.clone());
    }
    if let Some(limit) = &args.extent.limit {
        client = client.limit(limit.clone());
    }
    if let Some(file) = &args.plot {
        client = client.plot(file);
    }
    client
}

/// The exit code; what the report has not told is told here.
fn end(error: Error) -> anyhow::Result<u8> {
    match error {
        Error::System(error) => Err(error.into()),
        error if error.is_told() => Ok(error.exit_code()),
        error => refuse(&error.to_string()),
    }
}

fn refuse(reason: &str) -> ! {
    usage_error(&mut ClientArgs::command(), reason)
}
