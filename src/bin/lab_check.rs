//! `lab_check`: examines other people's servers and clients.

use clap::Parser;
use homing::app::check::run;
use homing::app::cli::CheckArgs;
use homing::app::exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = CheckArgs::parse();
    exit::of_program(run(args.command).map_err(Into::into))
}
