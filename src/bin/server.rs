//! `server`: receives files.

use clap::CommandFactory;
use homing::app::cli::{ServerArgs, configured, usage_error};
use homing::app::exit;
use homing::io::signals::Interrupt;
use homing::{Error, Server};
use std::process::ExitCode;

fn main() -> ExitCode {
    exit::of_program(run(&configured::<ServerArgs>().args))
}

fn run(args: &ServerArgs) -> anyhow::Result<u8> {
    let Some(port) = args.serving.port else {
        refuse("a PORT is needed, as in: server 12300; or `port = 12300` in [server] of config.toml")
    };
    match server(args, port).run() {
        Ok(served) => Ok(served.exit_code()),
        Err(Error::System(error)) => Err(error.into()),
        Err(error) => refuse(&error.to_string()),
    }
}

fn server(args: &ServerArgs, port: u16) -> Server {
    let serving = &args.serving;
    let mut server = Server::new(&serving.root)
        .bind(serving.bind)
        .port(port)
        .bufsize(serving.bufsize as usize)
        .max_sessions(serving.max_sessions as usize)
        .max_sessions_per_address(serving.max_sessions_per_address as usize)
        .no_clobber(serving.no_clobber)
        .allow_hidden(serving.allow_hidden)
        .allow_get(args.allow_get)
        .max_gets(args.max_gets as usize)
        .ladder(serving.record.ladder)
        .report(serving.speech.report())
        .signals(Interrupt::watch);
    if let Some(timeout) = serving.idle_timeout {
        server = server.idle_timeout(timeout);
    }
    if let Some(bytes) = serving.max_size {
        server = server.max_size(bytes);
    }
    if let Some(count) = serving.exit_after {
        server = server.exit_after(count);
    }
    if let Some(folder) = &args.config_dir {
        server = server.config_dir(folder);
    }
    if let Some(folder) = &args.diagram {
        server = server.diagram(folder);
    }
    if let Some(file) = &serving.record.trace {
        server = server.trace(file);
    }
    if let Some(bytes) = args.write_limit {
        server = server.write_limit(bytes);
    }
    if let Some(bytes) = args.receive_buffer {
        server = server.receive_buffer(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    server
}

fn refuse(reason: &str) -> ! {
    usage_error(&mut ServerArgs::command(), reason)
}
