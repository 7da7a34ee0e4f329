//! `chat_server`: keeps the registry of a chat.

use homing::app::chat::registry::{config, serve};
use homing::app::cli::{ChatServerArgs, parse};
use homing::app::exit;
use homing::app::remedy::cannot_listen;
use homing::io::signals::Interrupt;
use homing::io::udp::Wire;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = parse::<ChatServerArgs>();
    exit::of_program(run(&args))
}

fn run(args: &ChatServerArgs) -> anyhow::Result<u8> {
    let mut wire = Wire::new(32)?;
    let address = (args.bind, args.port).into();
    wire.listen(address).map_err(|error| anyhow::anyhow!(cannot_listen(address, &error)))?;
    let interrupt = Interrupt::watch(wire.waker())?;
    let config = config(args.capacity as usize, args.per_address as usize)?;
    Ok(serve(&mut wire, config, args.speech.report().as_mut(), interrupt)?)
}
