//! The user's `config.toml`: tables of keys and values, each with the line it stands in. What they mean is not known here.

use super::identity::{self, FileError};
use std::path::{Path, PathBuf};
use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What the file says; nothing if there is none.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// Where it is, or would be.
    pub path: PathBuf,
    /// Whether it is there.
    pub exists: bool,
    /// Its tables, in the order of their lines.
    pub tables: Vec<Table>,
}

/// A table of the file; those within it are tables of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name, part by part: `[host.nas]` has two. The top of the file has none.
    pub name: Vec<String>,
    /// Where it begins, counted from 1.
    pub line: usize,
    /// What stands in it, in the order of lines.
    pub entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it is written, without quotes.
    pub key: String,
    /// What it is set to.
    pub value: Value,
    /// Where the key stands, counted from 1.
    pub line: usize,
}

/// What a key is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `true` or `false`.
    Flag(bool),
    /// A text, or a number as it is written.
    Text(String),
    /// Several texts or numbers.
    List(Vec<String>),
}

/// Why the file cannot be used.
#[derive(Debug, Error)]
pub enum ConfigFileError {
    /// It cannot be read, or others may change it.
    #[error("{0}; --config-dir names another folder")]
    File(#[from] FileError),
    /// It is not TOML, or has values of a kind that no setting has.
    #[error("{} line {line}: {problem}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
}

impl ConfigFile {
    /// Reads the file in the folder that was `chosen`, or in the user's; `None` if there is no place for one.
    ///
    /// # Errors
    /// [`ConfigFileError`], also when others may write to the file: they could send copies elsewhere.
    pub fn read(chosen: Option<&Path>) -> Result<Option<Self>, ConfigFileError> {
        let Some(folder) = identity::folder_path(chosen) else { return Ok(None) };
        let path = folder.join(FILE_NAME);
        let text = identity::read_public(&path, BYTES_MAX)?;
        let tables = text.as_deref().map_or(Ok(Vec::new()), |text| parse(text));
        let exists = text.is_some();
        tables
            .map(|tables| Some(Self { path: path.clone(), exists, tables }))
            .map_err(|(line, problem)| ConfigFileError::Content { path, line, problem })
    }
}

/// A line and what is wrong there.
type Problem = (usize, String);

fn parse(text: &str) -> Result<Vec<Table>, Problem> {
    let top = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_at(text, span.start));
        (line, format!("this is no TOML: {}", error.message().replace('\n', ", ")))
    })?;
    let mut tables = Vec::new();
    collect(text, &[], 1, top.get_ref(), &mut tables)?;
    tables.sort_by_key(|table| table.line);
    Ok(tables)
}

/// The recursion is as deep as the parser lets tables be, which is 80.
fn collect(
    text: &str,
    name: &[String],
    line: usize,
    content: &DeTable<'_>,
    tables: &mut Vec<Table>,
) -> Result<(), Problem> {
    let mut entries = Vec::new();
    for (key, value) in content {
        let (line, key) = (line_at(text, key.span().start), key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => collect(text, &[name, &[key]].concat(), line, inner, tables)?,
            _ => entries.push(Entry { value: read_value(value, &key).map_err(|problem| (line, problem))?, key, line }),
        }
    }
    entries.sort_by_key(|entry| entry.line);
    tables.push(Table { name: name.to_vec(), line, entries });
    Ok(())
}

fn read_value(value: &Spanned<DeValue<'_>>, key: &str) -> Result<Value, String> {
    match value.get_ref() {
        DeValue::Boolean(flag) => Ok(Value::Flag(*flag)),
        DeValue::Array(items) => items
            .iter()
            .map(|item| {
                read_text(item.get_ref()).ok_or_else(|| format!("{key} may be a list of texts and numbers only"))
            })
            .collect::<Result<_, _>>()
            .map(Value::List),
        single => read_text(single).map(Value::Text).ok_or_else(|| {
            format!("{key} is a {}; settings are texts, numbers, true, false, and lists", single.type_str())
        }),
    }
}

fn read_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// Beside the keys, where `--config-dir` says.
const FILE_NAME: &str = "config.toml";

/// Thousands of hosts; whatever is longer is something else.
const BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_their_names_and_entries_their_lines() {
        let text = "timeout = 30\n\n[client]\noverwrite = true\n\n[host.\"lab.example\"]\nfault = [\"loss=1%\", 7]\nratio = 0.5\n";
        let tables = parse(text).expect("good TOML");
        let entry = |key: &str, value, line| Entry { key: key.into(), value, line };
        let text = |text: &str| Value::Text(text.into());
        assert_eq!(
            tables.iter().find(|table| table.name.is_empty()).expect("the top").entries,
            [entry("timeout", text("30"), 1)]
        );
        let named = |name: &[&str]| {
            let table = tables.iter().find(|table| table.name == name).expect("it is there");
            (table.line, table.entries.clone())
        };
        assert_eq!(named(&["client"]), (3, vec![entry("overwrite", Value::Flag(true), 4)]));
        let faults = Value::List(vec!["loss=1%".into(), "7".into()]);
        assert_eq!(
            named(&["host", "lab.example"]),
            (6, vec![entry("fault", faults, 7), entry("ratio", text("0.5"), 8)])
        );
    }

    #[test]
    fn numbers_are_as_they_are_written_but_in_decimal_digits() {
        for (written, read) in [("0x1F", "31"), ("1_000", "1000"), ("-3", "-3"), ("2.50", "2.50"), ("'1e'", "1e")] {
            let tables = parse(&format!("key = {written}")).expect("good TOML");
            assert_eq!(tables[0].entries[0].value, Value::Text(read.into()), "{written}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_said_with_its_line() {
        let cases = [
            ("a = 1\nb = \n", 2, "no TOML"),
            ("a = 1\na = 2\n", 2, "duplicate key"),
            ("a = 1\n\n[host\n", 3, "no TOML"),
            ("\na = 1979-05-27\n", 2, "a is a datetime"),
            ("a = [1, true]\n", 1, "a list of texts and numbers only"),
        ];
        for (text, line, words) in cases {
            let (found, problem) = parse(text).expect_err(text);
            assert!(found == line && problem.contains(words), "{text:?}: line {found}: {problem}");
        }
    }

    #[test]
    fn no_nesting_is_too_deep_to_be_refused() {
        for (open, close) in [("[", "]"), ("{a=", "}")] {
            let text = format!("a = {}1{}", open.repeat(100_000), close.repeat(100_000));
            assert!(parse(&text).is_err());
        }
        assert!(parse(&format!("[{}a]", "a.".repeat(10_000))).is_err());
    }
}
