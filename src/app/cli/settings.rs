//! A program's settings and where each comes from: the command line, the environment, `config.toml`, or the default.
//!
//! **There is one definition: the option itself.** Whoever adds an option to [`super::ClientArgs`] or [`super::ServerArgs`] has with
//! that added a variable `HOMING_OPTION`, a key of `config.toml` (checked by the option's own parser), a line of `--show-config`,
//! `--no-OPTION` for a flag, a completion, and a paragraph of the manual page; nothing is registered here. What an option brings
//! itself: help with `[default: ...]` at its end if it takes a value and has no default that clap knows.
//!
//! The command line is read twice: first to learn what was typed, then with what the environment and the file say as defaults. So
//! every parser, range and name of a value counts for all of them, and what was typed always wins.

mod definition;
mod hosts;
mod layers;
mod show;

use super::papers;
use super::{ClientArgs, ServerArgs, usage_error};
use crate::io::config_file::ConfigFile;
use clap::{ArgMatches, Command, CommandFactory, Parser};
use hosts::Host;
use layers::{Origin, Setting};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What a program was told, by all who may tell it something.
#[derive(Debug)]
pub struct Configured<T> {
    /// The arguments, as if all of it had been typed.
    pub args: T,
    /// Each setting and its origin.
    pub settings: Settings,
}

/// The settings of a program, and where they come from.
#[derive(Debug)]
pub struct Settings {
    program: String,
    list: Vec<Setting>,
    file: Option<ConfigFile>,
    /// What was typed as the server.
    target: Option<String>,
    host: Option<Host>,
}

/// Reads the command line, the environment and the configuration file; ends the program if that is all it was asked for, or if they
/// make no sense.
pub fn configured<T: Parser>() -> Configured<T> {
    let arguments: Vec<OsString> = env::args_os().collect();
    papers::print_if_asked(&full::<T>(), &arguments);
    match gather(&arguments, |name| env::var_os(name)) {
        Ok(configured) => configured,
        Err(Stop::Clap(error)) => error.exit(),
        Err(Stop::Message(message)) => usage_error(&mut T::command(), &message),
        Err(Stop::Shown(text)) => papers::print(text.as_bytes()),
    }
}

/// Why there is nothing to run.
enum Stop {
    Clap(clap::Error),
    Message(String),
    Shown(String),
}

impl From<clap::Error> for Stop {
    fn from(error: clap::Error) -> Self {
        Self::Clap(error)
    }
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
}

fn gather<T: Parser>(
    arguments: &[OsString],
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Configured<T>, Stop> {
    let (plain, command) = (T::command(), full::<T>());
    let is_shown = arguments.iter().skip(1).take_while(|word| *word != "--").any(|word| word == "--show-config");
    let first = if is_shown { definition::relaxed(command.clone()) } else { command.clone() };
    let typed = first.try_get_matches_from(arguments)?;
    let settings = Settings::collect(&plain, &typed, variable)?;
    if is_shown {
        return Err(Stop::Shown(show::text(&settings)));
    }
    let matches = layers::as_defaults(command, &settings.list).try_get_matches_from(arguments)?;
    Ok(Configured { args: T::from_arg_matches(&matches)?, settings })
}

/// The command line with all that is not the program's own.
fn full<T: CommandFactory>() -> Command {
    papers::with_generate(definition::with_switches(T::command()))
}

impl Settings {
    fn collect(
        program: &Command,
        typed: &ArgMatches,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, String> {
        let folder = raw(typed, "config_dir").or_else(|| variable("HOMING_CONFIG_DIR").filter(|text| !text.is_empty()));
        let file = ConfigFile::read(folder.map(PathBuf::from).as_deref().map(Path::new));
        let file = file.map_err(|error| error.to_string())?;
        let programs = [ClientArgs::command(), ServerArgs::command()];
        if let Some(file) = &file {
            definition::judge(file, &programs)?;
        }
        let target = raw(typed, "target").map(|target| target.to_string_lossy().into_owned());
        let host = match (&file, &target) {
            (Some(file), Some(target)) => Host::find(file, target)?,
            _ => None,
        };
        let list = layers::collect(program, typed, variable, file.as_ref(), host.as_ref())?;
        Ok(Self { program: program.get_name().to_owned(), list, file, target, host })
    }

    /// The server as `HOST:PORT`, if it was named by a `[host]` section.
    pub fn address(&self) -> Option<&str> {
        self.host.as_ref().map(|host| host.address.as_str())
    }

    /// Whether this option (`--overwrite`, `-r`) or what turns it off was typed, rather than found in the file or the environment.
    pub fn is_typed(&self, option: &str) -> bool {
        self.list.iter().any(|setting| setting.origin == Origin::Option && setting.is_named(option))
    }

    fn is_on(&self, key: &str) -> bool {
        self.list.iter().any(|setting| setting.key == key && setting.is_on())
    }
}

/// What was typed for this argument.
fn raw(typed: &ArgMatches, id: &str) -> Option<OsString> {
    typed.try_get_raw(id).ok().flatten()?.next().map(Into::into)
}
