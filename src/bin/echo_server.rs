//! `echo_server`: answers messages.

use anyhow::Context;
use clap::Parser;
use homing::app::cli::EchoServerArgs;
use homing::app::echo::serve;
use homing::app::exit;
use homing::io::signals::Interrupt;
use homing::io::udp::Wire;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = EchoServerArgs::parse();
    exit::of_program(run(&args))
}

fn run(args: &EchoServerArgs) -> anyhow::Result<u8> {
    let mut wire = Wire::new(32)?;
    let (bind, port) = (args.bind, args.port);
    wire.listen((bind, port).into()).with_context(|| format!("cannot listen at {bind} port {port}"))?;
    let interrupt = Interrupt::watch(wire.waker())?;
    Ok(serve(&mut wire, args.reply(), args.speech.report().as_mut(), interrupt)?)
}
