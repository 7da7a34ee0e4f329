//! `chat_client`: joins a registry and talks with other clients.

use clap::CommandFactory;
use homing::app::chat::client::chat;
use homing::app::chat::commands::WORDS;
use homing::app::chat::plan::ChatPlan;
use homing::app::cli::{ChatClientArgs, one_address, parse, usage_error};
use homing::app::copy::check_target;
use homing::app::exit;
use homing::io::events::{Note, Report};
use homing::io::lines::{ScreenReport, StandardInput, Vocabulary};
use homing::io::signals::Interrupt;
use homing::io::udp::Wire;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = parse::<ChatClientArgs>();
    let result = run(&args);
    match &result {
        // Programs read events, not complaints.
        Err(error) if args.speech.json => {
            let note = failed(&args, format!("{error:#}"), exit::UNEXPECTED);
            let told = args.speech.report().note(&note).map(|()| exit::UNEXPECTED);
            exit::of_program(told.map_err(Into::into))
        }
        _ => exit::of_program(result),
    }
}

fn failed(args: &ChatClientArgs, reason: String, exit_code: u8) -> Note {
    Note::Failed { id: 0, peer: None, name: args.target.clone(), reason, exit_code: Some(exit_code) }
}

fn run(args: &ChatClientArgs) -> anyhow::Result<u8> {
    if let Err(reason) = check_target(&args.target) {
        if args.speech.json {
            return Ok(args.speech.report().note(&failed(args, reason, exit::USAGE)).map(|()| exit::USAGE)?);
        }
        usage_error(&mut ChatClientArgs::command(), &reason);
    }
    let Some(registry) = one_address(&args.target) else {
        let reason = "it cannot be found; is the name right?".to_owned();
        let note = failed(args, reason, exit::NO_ANSWER);
        return Ok(args.speech.report().note(&note).map(|()| exit::NO_ANSWER)?);
    };
    let any = if registry.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let own = args.bind.unwrap_or(any);
    let mut wire = Wire::new(4)?;
    wire.listen(SocketAddr::new(own, 0)).map_err(|error| anyhow::anyhow!("cannot speak from {own}: {error}"))?;
    let vocabulary = Vocabulary::new(WORDS);
    let (mut lines, screen) = StandardInput::with_screen("> ", args.speech.json, vocabulary.clone(), wire.waker())?;
    let interrupt = Interrupt::watch_with_hangup(wire.waker())?;
    let mut report: Box<dyn Report> = match screen {
        Some(screen) => Box::new(ScreenReport { screen, volume: args.speech.volume() }),
        None => args.speech.report(),
    };
    let plan = ChatPlan {
        target: args.target.clone(),
        registry,
        name: args.name.clone(),
        number: args.number,
        folder: args.folder.clone(),
        json: args.speech.json,
    };
    // The screen shows its last words before the terminal becomes what it was: the report goes before the lines.
    let code = chat(&mut wire, plan, &mut lines, &vocabulary, report.as_mut(), interrupt);
    drop(report);
    Ok(code?)
}
