//! What a setting is: an option as clap has it, with a key, a variable, and a check of its values.

use super::hosts;
use crate::io::config_file::{ConfigFile, Entry, Table, Value};
use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use std::error::Error;
use std::ffi::{OsStr, OsString};

/// The options of a program that are settings.
pub(super) fn settings_of(program: &Command) -> impl Iterator<Item = &Arg> {
    program.get_arguments().filter(|arg| arg.get_long().is_some() || ARGUMENTS.contains(&arg.get_id().as_str()))
}

/// How a setting is called in the file.
pub(super) fn key(arg: &Arg) -> &str {
    arg.get_long().unwrap_or(arg.get_id().as_str())
}

/// How it is called in the environment.
pub(super) fn variable(arg: &Arg) -> String {
    format!("HOMING_{}", key(arg).replace('-', "_").to_uppercase())
}

/// Whether it is on or off, and has no value.
pub(super) fn is_flag(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// What turns a flag off on the command line: `no-overwrite`, and `clobber` for `no-clobber`.
pub(super) fn opposite(key: &str) -> String {
    key.strip_prefix("no-").map_or_else(|| format!("no-{key}"), str::to_owned)
}

/// The command line with what belongs to settings: `--show-config`, and an opposite for each flag, so that what the file turns on can
/// be turned off.
pub(super) fn with_switches(program: Command) -> Command {
    let flags: Vec<(clap::Id, String)> = settings_of(&program)
        .filter(|arg| is_flag(arg))
        .map(|arg| (arg.get_id().clone(), opposite(key(arg))))
        .collect();
    let shown = Arg::new(SHOW)
        .long(SHOW)
        .action(ArgAction::SetTrue)
        .help("Say what every setting is and where it comes from (default, file, environment, option), and end; also for one HOST, and with --json")
        .help_heading("Settings");
    flags.into_iter().fold(program.arg(shown), |program, (id, opposite)| {
        let off = Arg::new(opposite.clone()).long(opposite.clone()).action(ArgAction::SetTrue).hide(true);
        program.mut_arg(&id, |arg| arg.overrides_with(opposite)).arg(off.overrides_with(id))
    })
}

/// The command line as it may be when nothing but the settings is wanted: without what it is about.
pub(super) fn relaxed(program: Command) -> Command {
    let mut is_behind_many = false;
    program.mut_args(|arg| {
        if !arg.is_positional() {
            return arg;
        }
        // Nobody can tell where many arguments end that need not be there: they take this one as well.
        let is_last = is_behind_many;
        is_behind_many |= matches!(arg.get_action(), ArgAction::Append);
        arg.required(false).last(is_last)
    })
}

/// A variable's value, if the setting may have it.
pub(super) fn from_variable(arg: &Arg, text: &OsStr) -> Result<OsString, String> {
    if !is_flag(arg) {
        return check(arg, text).map(|()| text.to_owned());
    }
    let word = text.to_string_lossy().to_lowercase();
    match word.as_str() {
        "1" | "true" | "yes" | "on" => Ok("true".into()),
        "0" | "false" | "no" | "off" => Ok("false".into()),
        _ => Err(format!("{word:?} is neither true nor false")),
    }
}

/// A file's value, if the setting may have it.
pub(super) fn from_file(arg: &Arg, value: &Value) -> Result<Vec<OsString>, String> {
    let texts = match value {
        Value::Flag(flag) if is_flag(arg) => return Ok(vec![flag.to_string().into()]),
        Value::Text(_) | Value::List(_) if is_flag(arg) => {
            return Err("it is on or off; write true or false, without quotes".into());
        }
        Value::Text(text) => std::slice::from_ref(text),
        Value::List(texts) if matches!(arg.get_action(), ArgAction::Append) => texts.as_slice(),
        Value::List(_) => return Err("it has one value, not a list".into()),
        Value::Flag(_) => {
            let name = arg.get_value_names().and_then(|names| names.first()).map_or("value", |name| name.as_str());
            return Err(format!("it takes a value ({name}), not true or false"));
        }
    };
    texts.iter().map(|text| check(arg, OsStr::new(text)).map(|()| text.into())).collect()
}

/// Asks the option's own parser; gives what it would say.
fn check(arg: &Arg, text: &OsStr) -> Result<(), String> {
    let parser: ValueParser = arg.get_value_parser().clone();
    let alone = Arg::new("value").long("value").require_equals(true).allow_hyphen_values(true).value_parser(parser);
    let mut word = OsString::from("--value=");
    word.push(text);
    let parsed = Command::new("check").no_binary_name(true).arg(alone).try_get_matches_from([word]);
    parsed.map(drop).map_err(|error| {
        let shown = text.to_string_lossy();
        match (error.source(), error.get(ContextKind::ValidValue)) {
            (Some(reason), _) => format!("{shown:?}: {reason}"),
            (None, Some(ContextValue::Strings(valid))) if !valid.is_empty() => {
                format!("{shown:?} is none of: {}", valid.join(", "))
            }
            _ if error.kind() == ErrorKind::InvalidUtf8 => "it is not UTF-8".into(),
            _ if text.is_empty() => "it is empty".into(),
            _ => format!("{shown:?} makes no sense"),
        }
    })
}

/// Whether all that the file says can be understood, also what is meant for other programs and hosts.
///
/// # Errors
/// File, line, key, and what is allowed there.
pub(super) fn judge(file: &ConfigFile, programs: &[Command]) -> Result<(), String> {
    let place = |line: usize| format!("{} line {line}", file.path.display());
    for table in &file.tables {
        let Some(readers) = readers(table, programs) else {
            let name = table.name.join(".");
            let names: Vec<String> = programs.iter().map(|program| format!("[{}]", program.get_name())).collect();
            return Err(format!(
                "{}: [{name}] is no section; sections are {} and [host.NAME]",
                place(table.line),
                names.join(", ")
            ));
        };
        for entry in &table.entries {
            judge_entry(table, entry, &readers).map_err(|problem| format!("{}: {problem}", place(entry.line)))?;
        }
    }
    Ok(())
}

/// The programs that a table speaks to; `None` if there are none.
fn readers<'a>(table: &Table, programs: &'a [Command]) -> Option<Vec<&'a Command>> {
    let named = |wanted: &str| programs.iter().filter(|program| program.get_name() == wanted).collect::<Vec<_>>();
    match table.name.as_slice() {
        [] => Some(programs.iter().collect()),
        [name] if name == hosts::SECTION => table.entries.is_empty().then(Vec::new),
        [name] => Some(named(name)).filter(|readers| !readers.is_empty()),
        [name, _] if name == hosts::SECTION => Some(named("client")),
        _ => None,
    }
}

fn judge_entry(table: &Table, entry: &Entry, readers: &[&Command]) -> Result<(), String> {
    let Entry { key: name, value, .. } = entry;
    if name == hosts::ADDRESS && hosts::is_host(table) {
        return hosts::judge_address(value);
    }
    if UNKEPT.contains(&name.as_str()) {
        return Err(format!(
            "{name} says where this file is, so it cannot stand in it; use --{name} or HOMING_CONFIG_DIR"
        ));
    }
    let mut is_known = false;
    for arg in readers.iter().flat_map(|program| settings_of(program)).filter(|arg| key(arg) == name) {
        is_known = true;
        from_file(arg, value).map_err(|problem| format!("{name}: {problem}"))?;
    }
    if is_known { Ok(()) } else { Err(unknown(table, name, readers)) }
}

fn unknown(table: &Table, name: &str, readers: &[&Command]) -> String {
    let mut keys: Vec<&str> = readers.iter().flat_map(|program| settings_of(program)).map(key).collect();
    keys.retain(|key| !UNKEPT.contains(key));
    keys.extend(hosts::is_host(table).then_some(hosts::ADDRESS));
    keys.sort_unstable();
    keys.dedup();
    let section = if table.name.is_empty() { "the top".into() } else { format!("[{}]", table.name.join(".")) };
    format!("{name:?} is no setting of {section}; settings there are {}", keys.join(", "))
}

/// Says what all settings are.
pub(super) const SHOW: &str = "show-config";

/// Arguments without a name that may be kept all the same.
const ARGUMENTS: &[&str] = &["port"];

/// Settings that cannot stand in the file.
const UNKEPT: &[&str] = &["config-dir"];
