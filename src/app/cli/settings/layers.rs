//! Which of those who say something about a setting is heard: option, environment, host, program, top of the file, default.

use super::definition::{from_file, from_variable, is_flag, key, opposite, settings_of, variable};
use super::hosts::{self, Host};
use crate::io::config_file::{ConfigFile, Table};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use std::ffi::OsString;

/// Who has said what a setting is. Later ones count more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nobody.
    Default,
    /// The file, in this line of this section; the top of it counts least and a host's section most.
    File {
        /// How much it counts.
        rank: u8,
        /// Where it stands, in words.
        place: String,
    },
    /// This variable.
    Environment(String),
    /// Whoever typed it.
    Option,
}

impl Origin {
    /// As far as it decides who is heard.
    fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { rank, .. } => 1 + rank,
            Self::Environment(_) => 10,
            Self::Option => 11,
        }
    }
}

/// A setting, and who has said so.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) key: String,
    id: clap::Id,
    short: Option<char>,
    pub(super) is_flag: bool,
    /// Empty if it has none; a flag has `true` or `false`.
    pub(super) values: Vec<OsString>,
    /// What it means that there is none, in words.
    pub(super) default: Option<String>,
    pub(super) origin: Origin,
}

impl Setting {
    /// Whether this is how it is typed.
    pub(super) fn is_named(&self, option: &str) -> bool {
        let is_short = self.short.is_some_and(|short| option == format!("-{short}"));
        is_short || option.strip_prefix("--") == Some(&self.key)
    }

    pub(super) fn is_on(&self) -> bool {
        self.values.first().is_some_and(|value| !self.is_flag || value == "true")
    }

    fn is_said(&self) -> bool {
        self.origin != Origin::Default && self.is_on()
    }
}

/// All settings of a program.
///
/// # Errors
/// A variable whose value makes no sense, or two who are equally heard and say what excludes each other.
pub(super) fn collect(
    program: &Command,
    typed: &ArgMatches,
    environment: impl Fn(&str) -> Option<OsString>,
    file: Option<&ConfigFile>,
    host: Option<&Host>,
) -> Result<Vec<Setting>, String> {
    let mut list = Vec::new();
    for arg in settings_of(program) {
        let (values, origin) = match from_command_line(arg, typed) {
            Some(values) => (values, Origin::Option),
            None => match from_environment(arg, &environment)? {
                Some(found) => found,
                None => from_tables(arg, program, file, host)?.unwrap_or((defaults(arg), Origin::Default)),
            },
        };
        list.push(Setting {
            key: key(arg).to_owned(),
            id: arg.get_id().clone(),
            short: arg.get_short(),
            is_flag: is_flag(arg),
            values,
            default: default_in_words(arg),
            origin,
        });
    }
    settle_conflicts(program, &mut list)?;
    Ok(list)
}

/// The command line with what was said elsewhere as its defaults.
pub(super) fn as_defaults(command: Command, list: &[Setting]) -> Command {
    let said = list.iter().filter(|setting| !matches!(setting.origin, Origin::Default | Origin::Option));
    said.fold(command, |command, setting| {
        command.mut_arg(&setting.id, |arg| arg.default_values(setting.values.clone()))
    })
}

type Said = (Vec<OsString>, Origin);

fn from_command_line(arg: &Arg, typed: &ArgMatches) -> Option<Vec<OsString>> {
    let is_typed =
        |id: &str| typed.try_contains_id(id).is_ok() && typed.value_source(id) == Some(ValueSource::CommandLine);
    let id = arg.get_id().as_str();
    if is_flag(arg) {
        let is_off = is_typed(&opposite(key(arg)));
        return (is_off || is_typed(id)).then(|| vec![(!is_off).to_string().into()]);
    }
    is_typed(id).then(|| typed.get_raw(id).into_iter().flatten().map(Into::into).collect())
}

fn from_environment(arg: &Arg, environment: impl Fn(&str) -> Option<OsString>) -> Result<Option<Said>, String> {
    let name = variable(arg);
    let Some(text) = environment(&name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let value = from_variable(arg, &text).map_err(|problem| format!("the variable {name}: {problem}"))?;
    Ok(Some((vec![value], Origin::Environment(name))))
}

fn from_tables(
    arg: &Arg,
    program: &Command,
    file: Option<&ConfigFile>,
    host: Option<&Host>,
) -> Result<Option<Said>, String> {
    let Some(file) = file else { return Ok(None) };
    let named = |name: &[&str]| file.tables.iter().find(|table| table.name == name);
    let host = host.and_then(|host| hosts::table(file, &host.name));
    let ranked: [(u8, Option<&Table>); 3] = [(2, host), (1, named(&[program.get_name()])), (0, named(&[]))];
    let found = ranked.into_iter().find_map(|(rank, table)| {
        let table = table?;
        let entry = table.entries.iter().find(|entry| entry.key == key(arg))?;
        Some((rank, table, entry))
    });
    let Some((rank, table, entry)) = found else { return Ok(None) };
    let section = if table.name.is_empty() { String::new() } else { format!(" [{}]", table.name.join(".")) };
    let place = format!("{} line {}{section}", file.path.display(), entry.line);
    let values = from_file(arg, &entry.value).map_err(|problem| format!("{place}: {problem}"))?;
    Ok(Some((values, Origin::File { rank, place })))
}

fn defaults(arg: &Arg) -> Vec<OsString> {
    if is_flag(arg) {
        return vec!["false".into()];
    }
    arg.get_default_values().iter().map(|value| value.to_os_string()).collect()
}

/// What the help says between `[default: ` and `]`.
fn default_in_words(arg: &Arg) -> Option<String> {
    let help = arg.get_help()?.to_string();
    let (_, rest) = help.split_once("[default: ")?;
    rest.split_once(']').map(|(words, _)| words.to_owned())
}

/// Who counts less gives way to what excludes it. (What was typed alone clap has judged.)
fn settle_conflicts(program: &Command, list: &mut [Setting]) -> Result<(), String> {
    let pairs: Vec<(String, String)> = settings_of(program)
        .flat_map(|arg| {
            program.get_arg_conflicts_with(arg).into_iter().map(|other| (key(arg).into(), key(other).into()))
        })
        .collect();
    for (one, other) in pairs {
        let find = |wanted: &str| list.iter().position(|setting| setting.key == wanted && setting.is_said());
        let (Some(one), Some(other)) = (find(&one), find(&other)) else { continue };
        let loser = match list[one].origin.rank().cmp(&list[other].origin.rank()) {
            std::cmp::Ordering::Less => one,
            std::cmp::Ordering::Greater => other,
            std::cmp::Ordering::Equal => {
                let said = |at: usize| format!("{} ({})", list[at].key, origin_in_words(&list[at]));
                return Err(format!("{} and {} exclude each other", said(one), said(other)));
            }
        };
        let arg = settings_of(program).find(|arg| key(arg) == list[loser].key);
        list[loser].values = arg.map(defaults).unwrap_or_default();
        list[loser].origin = Origin::Default;
    }
    Ok(())
}

/// Where a setting comes from, for a person.
pub(super) fn origin_in_words(setting: &Setting) -> String {
    match &setting.origin {
        Origin::Default => "default".into(),
        Origin::File { place, .. } => place.clone(),
        Origin::Environment(name) => name.clone(),
        Origin::Option => "command line".into(),
    }
}
