//! Whom we examine: somebody's command with its placeholders.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A command line with placeholders such as `{port}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    words: Vec<String>,
    /// As it was typed, for people.
    line: String,
}

impl Command {
    /// Takes a command as typed. Words that name files from here become absolute, because it is started in another folder.
    ///
    /// # Errors
    /// A sentence when a placeholder is unknown or a needed one is missing.
    pub fn new(words: &[String], known: &[&str], needed: &[&str]) -> Result<Self, String> {
        let mut found = BTreeSet::new();
        for name in words.iter().flat_map(|word| placeholders(word)) {
            if !known.contains(&name.as_str()) {
                let list = known.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(", ");
                return Err(format!("the command has {{{name}}}, which stands for nothing here; known are {list}"));
            }
            found.insert(name);
        }
        if let Some(missing) = needed.iter().find(|name| !found.contains(**name)) {
            return Err(format!("the command does not say where {{{missing}}} goes"));
        }
        // A program without a slash is looked for in the path, even if a file here has its name.
        let stays = |(index, word): &(usize, &String)| *index == 0 && !word.contains('/');
        let absolute = |word: (usize, &String)| if stays(&word) { word.1.clone() } else { absolute(word.1) };
        Ok(Self { words: words.iter().enumerate().map(absolute).collect(), line: words.join(" ") })
    }

    /// Whether this placeholder stands in it.
    pub fn has(&self, name: &str) -> bool {
        self.words.iter().any(|word| placeholders(word).any(|found| found == name))
    }

    /// The command with its placeholders filled in; what is not given stays as it is.
    pub fn fill(&self, values: &[(&str, &str)]) -> Vec<OsString> {
        let fill = |word: &String| {
            let replace = |text: String, (name, value): &(&str, &str)| text.replace(&format!("{{{name}}}"), value);
            values.iter().fold(word.clone(), replace).into()
        };
        self.words.iter().map(fill).collect()
    }

    /// The same command with one placeholder filled in for good.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let fill = |text: &String| text.replace(&format!("{{{name}}}"), value);
        Self { words: self.words.iter().map(fill).collect(), line: fill(&self.line) }
    }

    /// As one line, for people.
    pub fn line(&self) -> String {
        self.line.clone()
    }
}

/// Every `{word}` of small letters.
fn placeholders(text: &str) -> impl Iterator<Item = String> {
    text.split('{').skip(1).filter_map(|behind| {
        let (name, _) = behind.split_once('}')?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
        is_name.then(|| name.to_string())
    })
}

fn absolute(word: &str) -> String {
    let path = Path::new(word);
    let names_a_file = path.is_relative() && path.is_file();
    match std::env::current_dir() {
        Ok(here) if names_a_file => here.join(path).to_string_lossy().into_owned(),
        _ => word.to_string(),
    }
}

/// The files that match a pattern, each with a label: what distinguishes its path from the others'.
///
/// # Errors
/// A sentence when the pattern is none, or nothing matches.
pub fn submissions(pattern: &str) -> Result<Vec<(String, String)>, String> {
    let found = glob::glob(pattern).map_err(|error| format!("--each {pattern:?} is no pattern: {error}"))?;
    let files: Vec<PathBuf> = found.flatten().filter(|path| path.is_file()).collect();
    if files.is_empty() {
        return Err(format!("no file matches --each {pattern:?}; quote it, so that the shell leaves it alone"));
    }
    let absolute =
        |file: &Path| std::path::absolute(file).unwrap_or_else(|_| file.into()).to_string_lossy().into_owned();
    Ok(labels(&files).into_iter().zip(files.iter().map(|file| absolute(file))).collect())
}

/// The paths without the components that all of them begin and end with.
fn labels(files: &[PathBuf]) -> Vec<String> {
    let parts: Vec<Vec<String>> = files
        .iter()
        .map(|file| file.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect())
        .collect();
    let shortest = parts.iter().map(Vec::len).min().unwrap_or_default();
    let same = |at: &dyn Fn(&Vec<String>) -> String| parts.windows(2).all(|pair| at(&pair[0]) == at(&pair[1]));
    let front = (0..shortest - 1).take_while(|index| same(&|parts| parts[*index].clone())).count();
    let back =
        (0..shortest - 1 - front).take_while(|index| same(&|parts| parts[parts.len() - 1 - index].clone())).count();
    parts.iter().map(|parts| parts[front..parts.len() - back].join("/")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(Into::into).collect()
    }

    #[test]
    fn placeholders_are_known_needed_and_filled() {
        let command = Command::new(&words("python3 -u s.py {port} --dir={dir}"), &["port", "dir"], &["port"]).unwrap();
        assert_eq!(command.fill(&[("port", "7"), ("dir", "/x")]), ["python3", "-u", "s.py", "7", "--dir=/x"]);
        assert!(command.has("dir") && !command.has("file"));
        let missing = Command::new(&words("s.py"), &["port"], &["port"]).unwrap_err();
        assert!(missing.contains("{port}"), "{missing}");
        let unknown = Command::new(&words("s.py {prot}"), &["port"], &[]).unwrap_err();
        assert!(unknown.contains("{prot}") && unknown.contains("{port}"), "{unknown}");
        assert!(Command::new(&words("awk {} {A}"), &[], &[]).is_ok(), "other braces are the command's own");
    }

    #[test]
    fn a_label_is_what_differs() {
        let labels = |paths: &[&str]| labels(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(labels(&["a/group1/server.py", "a/group2/server.py"]), ["group1", "group2"]);
        assert_eq!(labels(&["a/group1.py", "a/group2.py"]), ["group1.py", "group2.py"]);
        assert_eq!(labels(&["a/group1/x/s.py", "a/group2/s.py"]), ["group1/x", "group2"]);
        assert_eq!(labels(&["a/group1/server.py"]), ["server.py"]);
        assert_eq!(labels(&["s.py", "s.py"]), ["s.py", "s.py"]);
    }

    #[test]
    fn a_file_from_here_is_found_from_anywhere() {
        let command = Command::new(&words("cat Cargo.toml no-such-file"), &[], &[]).unwrap();
        let filled = command.fill(&[]);
        assert!(Path::new(&filled[1]).is_absolute());
        assert_eq!(filled[2], "no-such-file");
    }
}
