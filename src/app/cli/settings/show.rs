//! `--show-config`: every setting and where it comes from, for people and for programs.

use super::Settings;
use super::layers::{Origin, Setting, origin_in_words};
use serde_json::{Map, Value, json};

/// What is printed.
pub(super) fn text(settings: &Settings) -> String {
    if settings.is_on("json") { format!("{}\n", object(settings)) } else { table(settings) }
}

fn table(settings: &Settings) -> String {
    let file = match &settings.file {
        Some(file) if file.exists => format!("configuration file: {}", file.path.display()),
        Some(file) => format!("configuration file: {} (there is none)", file.path.display()),
        None => "configuration file: none; neither XDG_CONFIG_HOME nor HOME is set".into(),
    };
    let mut lines = vec![file];
    if let Some(host) = &settings.host {
        lines.push(format!("{} is {}", host.name, host.address));
    }
    lines.push(String::new());
    let mut rows = vec![["setting".to_owned(), "value".into(), "from".into()]];
    rows.extend(settings.list.iter().map(|setting| [setting.key.clone(), value(setting), origin_in_words(setting)]));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (keys, values) = (width(0), width(1));
    lines.extend(rows.iter().map(|[key, value, from]| format!("{key:keys$}  {value:values$}  {from}")));
    lines.join("\n") + "\n"
}

fn value(setting: &Setting) -> String {
    let values: Vec<_> = setting.values.iter().map(|value| value.to_string_lossy()).collect();
    match (values.is_empty(), &setting.default) {
        (true, Some(words)) => words.clone(),
        (true, None) => "none".into(),
        (false, _) => values.join(" "),
    }
}

fn object(settings: &Settings) -> Value {
    let list: Map<String, Value> =
        settings.list.iter().map(|setting| (setting.key.clone(), json_setting(setting))).collect();
    json!({
        "program": settings.program,
        "file": settings.file.as_ref().map(|file| file.path.to_string_lossy()),
        "file_exists": settings.file.as_ref().is_some_and(|file| file.exists),
        "target": settings.target,
        "address": settings.address(),
        "settings": list,
    })
}

fn json_setting(setting: &Setting) -> Value {
    let texts: Vec<Value> = setting.values.iter().map(|value| value.to_string_lossy().into()).collect();
    let value = match texts.as_slice() {
        _ if setting.is_flag => setting.is_on().into(),
        [] => Value::Null,
        [single] => single.clone(),
        several => several.into(),
    };
    let (from, place) = match &setting.origin {
        Origin::Default => ("default", None),
        Origin::File { place, .. } => ("file", Some(place.clone())),
        Origin::Environment(name) => ("environment", Some(name.clone())),
        Origin::Option => ("option", None),
    };
    json!({ "value": value, "from": from, "place": place, "default": setting.default })
}
