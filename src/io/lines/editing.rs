//! Editing a line: history, and what the Tab key and a look at the beginning of a line can tell.

use super::Line;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

/// A word that a line may begin with.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// The word.
    pub word: &'static str,
    /// What may follow, as it is shown behind the word; nothing for nothing.
    pub usage: &'static str,
    /// What is completed behind it.
    pub follows: Follows,
}

/// What follows a word that a line begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Nothing that could be completed.
    Nothing,
    /// One of the names that are known.
    Name,
    /// A file, up to the end of the line: blanks in its path need no quotes.
    Path,
}

/// The words of a program and the names that it knows at the moment; all copies are one.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    words: &'static [Word],
    names: Arc<Mutex<Vec<String>>>,
}

impl Vocabulary {
    /// A program's words, and no names yet.
    pub fn new(words: &'static [Word]) -> Self {
        Self { words, names: Arc::default() }
    }

    /// The names that are known from now on.
    pub fn set_names(&self, names: Vec<String>) {
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// What could stand from some place of the line on, up to the cursor at its end: the place, and the candidates.
    fn candidates(&self, line: &str) -> (usize, Vec<Pair>) {
        let Some((first, rest)) = line.split_once(' ') else {
            return (0, self.words.iter().filter_map(|word| begun(word.word, line, " ")).collect());
        };
        let Some(word) = self.words.iter().find(|word| word.word == first) else { return (line.len(), Vec::new()) };
        let start = first.len() + 1;
        match word.follows {
            Follows::Name if !rest.contains(' ') => {
                let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
                (start, names.iter().filter_map(|name| begun(name, rest, "")).collect())
            }
            Follows::Path => (start, paths(rest)),
            Follows::Name | Follows::Nothing => (line.len(), Vec::new()),
        }
    }

    fn usage(&self, line: &str) -> Option<&'static str> {
        let word = self.words.iter().find(|word| line.strip_suffix(' ') == Some(word.word))?;
        (!word.usage.is_empty()).then_some(word.usage)
    }
}

/// The candidate, if it begins so; small and capital letters do not matter.
fn begun(candidate: &str, with: &str, end: &str) -> Option<Pair> {
    let is_begun = candidate.to_lowercase().starts_with(&with.to_lowercase());
    is_begun.then(|| Pair { display: candidate.to_owned(), replacement: format!("{candidate}{end}") })
}

/// The files whose path begins so. Behind a quote that is not closed everything is taken as it stands, blanks included.
fn paths(beginning: &str) -> Vec<Pair> {
    let quoted = format!("'{beginning}");
    FilenameCompleter::new().complete_path(&quoted, quoted.len()).map(|(_, paths)| paths).unwrap_or_default()
}

/// Rustyline's view of a vocabulary.
pub(super) struct Assistant(Vocabulary);

impl Helper for Assistant {}

impl Validator for Assistant {}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _context: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(self.0.candidates(line.get(..pos).unwrap_or_default()))
    }
}

/// A hint is shown and never typed.
pub(super) struct Usage(&'static str);

impl rustyline::hint::Hint for Usage {
    fn display(&self) -> &str {
        self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Hinter for Assistant {
    type Hint = Usage;

    fn hint(&self, line: &str, pos: usize, _context: &Context<'_>) -> Option<Usage> {
        self.0.usage(line).filter(|_| pos == line.len()).map(Usage)
    }
}

impl Highlighter for Assistant {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("\x1b[2m{hint}\x1b[0m"))
    }
}

pub(super) type LineEditor = Editor<Assistant, MemHistory>;

/// An editor with a history of its own; nothing is written to a file. Without a vocabulary nothing is completed.
pub(super) fn editor(vocabulary: Option<Vocabulary>) -> Option<LineEditor> {
    let config = Config::builder().auto_add_history(true).completion_type(CompletionType::List);
    let config = config.completion_show_all_if_ambiguous(true).build();
    let history = MemHistory::with_config(&config);
    let mut editor = Editor::with_history(config, history).ok()?;
    editor.set_helper(vocabulary.map(Assistant));
    Some(editor)
}

/// The next line that is typed.
pub(super) fn typed(editor: &mut LineEditor, prompt: &str) -> Line {
    match editor.readline(prompt) {
        Ok(line) => Line::Text(line.into_bytes()),
        Err(ReadlineError::Eof) => Line::Closed,
        Err(ReadlineError::Interrupted) => Line::Interrupted,
        Err(ReadlineError::Io(error)) => Line::Failed(error),
        Err(error) => Line::Failed(std::io::Error::other(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &[Word] = &[
        Word { word: "connect", usage: "<client>", follows: Follows::Name },
        Word { word: "send", usage: "<message>", follows: Follows::Nothing },
        Word { word: "send_file", usage: "<path>", follows: Follows::Path },
        Word { word: "leave", usage: "", follows: Follows::Nothing },
    ];

    fn vocabulary() -> Vocabulary {
        let vocabulary = Vocabulary::new(WORDS);
        vocabulary.set_names(vec!["alice".into(), "Albert".into(), "bob".into()]);
        vocabulary
    }

    fn completed(line: &str) -> Vec<String> {
        let (start, found) = vocabulary().candidates(line);
        found.into_iter().map(|pair| format!("{}{}", &line[..start], pair.replacement)).collect()
    }

    #[test]
    fn first_words_and_then_names_are_completed() {
        for (line, candidates) in [
            ("c", &["connect "][..]),
            ("se", &["send ", "send_file "]),
            ("SEND_", &["send_file "]),
            ("dance", &[]),
            ("connect ", &["connect alice", "connect Albert", "connect bob"]),
            ("connect AL", &["connect alice", "connect Albert"]),
            ("connect bob ", &[]),
            ("send b", &[]),
            ("leave ", &[]),
            ("unknown b", &[]),
        ] {
            assert_eq!(completed(line), candidates, "{line:?}");
        }
    }

    #[test]
    fn paths_are_completed_as_they_stand_with_blanks_and_signs() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["my cat.jpg", "my $5.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let line = format!("send_file {}/my ", folder.path().display());
        assert_eq!(completed(&line), [format!("{line}$5.txt"), format!("{line}cat.jpg")]);
        assert_eq!(completed("send_file /no/such/folder/x"), [""; 0]);
    }

    #[test]
    fn behind_a_word_and_a_blank_its_usage_is_shown() {
        let vocabulary = vocabulary();
        for (line, usage) in [("send ", Some("<message>")), ("send", None), ("send x", None), ("leave ", None)] {
            assert_eq!(vocabulary.usage(line), usage, "{line:?}");
        }
    }
}
