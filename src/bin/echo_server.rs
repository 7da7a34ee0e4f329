//! `echo_server`: answers messages.

use homing::app::cli::{EchoServerArgs, parse};
use homing::app::echo::serve;
use homing::app::exit;
use homing::app::remedy::cannot_listen;
use homing::io::signals::Interrupt;
use homing::io::udp::Wire;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = parse::<EchoServerArgs>();
    exit::of_program(run(&args))
}

fn run(args: &EchoServerArgs) -> anyhow::Result<u8> {
    let mut wire = Wire::new(32)?;
    let address = (args.bind, args.port).into();
    wire.listen(address).map_err(|error| anyhow::anyhow!(cannot_listen(address, &error)))?;
    let interrupt = Interrupt::watch(wire.waker())?;
    Ok(serve(&mut wire, args.reply(), args.speech.report().as_mut(), interrupt)?)
}
