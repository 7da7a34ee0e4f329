//! `chat_server`: keeps the registry of a chat.

use anyhow::Context;
use clap::Parser;
use homing::app::chat::registry::{config, serve};
use homing::app::cli::ChatServerArgs;
use homing::app::exit;
use homing::io::signals::Interrupt;
use homing::io::udp::Wire;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = ChatServerArgs::parse();
    exit::of_program(run(&args))
}

fn run(args: &ChatServerArgs) -> anyhow::Result<u8> {
    let mut wire = Wire::new(32)?;
    let (bind, port) = (args.bind, args.port);
    wire.listen((bind, port).into()).with_context(|| format!("cannot listen at {bind} port {port}"))?;
    let interrupt = Interrupt::watch(wire.waker())?;
    let config = config(args.capacity as usize, args.per_address as usize)?;
    Ok(serve(&mut wire, config, args.speech.report().as_mut(), interrupt)?)
}
