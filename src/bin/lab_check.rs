//! `lab_check`: examines other people's servers and clients.

use homing::app::check::run;
use homing::app::cli::{CheckArgs, parse};
use homing::app::exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = parse::<CheckArgs>();
    exit::of_program(run(args.command).map_err(Into::into))
}
