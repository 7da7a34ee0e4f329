//! `echo_client`: says lines to an echo server.

use clap::CommandFactory;
use homing::app::cli::{EchoClientArgs, one_address, parse, usage_error};
use homing::app::copy::check_target;
use homing::app::echo::converse;
use homing::app::exit;
use homing::echo::EchoClient;
use homing::io::events::Note;
use homing::io::lines::StandardInput;
use homing::io::signals::Interrupt;
use homing::io::udp::Wire;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = parse::<EchoClientArgs>();
    exit::of_program(run(&args))
}

fn run(args: &EchoClientArgs) -> anyhow::Result<u8> {
    if let Err(reason) = check_target(&args.target) {
        usage_error(&mut EchoClientArgs::command(), &reason);
    }
    let mut report = args.speech.report();
    let mut fail = |reason: String| {
        let note =
            Note::Failed { id: 0, peer: None, name: args.target.clone(), reason, exit_code: Some(exit::NO_ANSWER) };
        report.note(&note).map(|()| exit::NO_ANSWER)
    };
    let Some(server) = one_address(&args.target) else {
        return Ok(fail("it cannot be found; is the name right?".into())?);
    };
    let mut wire = Wire::new(4)?;
    if let Err(error) = wire.connect(server) {
        return Ok(fail(format!("no way to {server}: {error}"))?);
    }
    let interrupt = Interrupt::watch(wire.waker())?;
    let mut lines = StandardInput::open("> ", args.speech.json, wire.waker())?;
    let mut client = EchoClient::new(server, args.sending());
    Ok(converse(&mut wire, &mut client, server, &mut lines, report.as_mut(), interrupt)?)
}
