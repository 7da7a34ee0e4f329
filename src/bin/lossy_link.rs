//! `lossy_link`: bad weather between any UDP programs.

use clap::CommandFactory;
use homing::app::cli::{LinkArgs, one_address, parse, usage_error};
use homing::app::exit;
use homing::app::link::relay;
use homing::app::remedy::cannot_listen;
use homing::io::signals::Interrupt;
use homing::io::udp::Wire;
use homing::relay::Relay;
use homing::weather::PRESETS;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = parse::<LinkArgs>();
    exit::of_program(run(&args))
}

fn run(args: &LinkArgs) -> anyhow::Result<u8> {
    if args.list {
        let mut out = std::io::stdout().lock();
        for preset in PRESETS {
            let words = if preset.words.is_empty() { preset.name } else { preset.words };
            writeln!(out, "{}  {words}  {}", preset.name, preset.sentence)?;
        }
        return Ok(exit::DONE);
    }
    let mtu = Some(args.mtu.clone());
    let more = [("rate", &args.rate), ("queue", &args.queue), ("mtu", &mtu)];
    let weather = args.weather.weather(&more).unwrap_or_else(|error| usage(&error));
    let listen = address(args.listen.as_deref().unwrap_or_default(), "--listen").unwrap_or_else(|error| usage(&error));
    let to = args.to.as_deref().unwrap_or_default();
    let server = address(to, "--to").unwrap_or_else(|error| usage(&error));
    let mut wire = Wire::new(32)?;
    wire.listen(listen).map_err(|error| anyhow::anyhow!(cannot_listen(listen, &error)))?;
    let interrupt = Interrupt::watch(wire.waker())?;
    let mut report = args.speech.report();
    let mut link = Relay::new(server, weather, args.weather.seed());
    Ok(relay(&mut wire, &mut link, server, report.as_mut(), interrupt)?)
}

fn usage(message: &str) -> ! {
    usage_error(&mut LinkArgs::command(), message)
}

/// `PORT`, `ADDRESS:PORT` or `HOST:PORT`.
fn address(text: &str, option: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(([127, 0, 0, 1], port).into());
    }
    one_address(text).ok_or_else(|| {
        format!("{option} {text:?} is no address, or cannot be found; write PORT, ADDRESS:PORT or HOST:PORT")
    })
}
