//! Names from the network: a path that cannot lead astray, and text that cannot upset a terminal.

use std::{
    fmt::{self, Display, Write as _},
    str,
};

use thiserror::Error;

/// A relative path of plain components, the only way from a peer's name to a file.
///
/// What is refused is refused, never cleaned: a name that had to be mended is not the name that
/// the peer meant. `Display` writes the name raw; where a person will read it, use [`Printable`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SafeName(String);

impl SafeName {
    /// Takes a name as it came, or says what is wrong with it.
    pub fn parse(name: &str) -> Result<SafeName, NameError> {
        check_whole(name)?;
        check_characters(name)?;
        for (index, component) in name.split('/').enumerate() {
            check_component(index + 1, component)?;
        }
        Ok(SafeName(name.to_owned()))
    }

    /// Like [`SafeName::parse`], for bytes that may not even be UTF-8.
    pub fn from_bytes(name: &[u8]) -> Result<SafeName, NameError> {
        let name = str::from_utf8(name).map_err(|error| NameError::NotUtf8 { at: error.valid_up_to() })?;
        SafeName::parse(name)
    }

    /// The whole name, components separated by `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components from the outermost folder to the file.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, file)| file)
    }

    /// Everything before the last component; `None` for a name without folders.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }
}

impl Display for SafeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a name was refused. Bytes are counted from 0, components from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("the name is empty; name the file")]
    Empty,
    /// Longer than any system's paths.
    #[error("the name has {bytes} bytes, more than {NAME_BYTES}; shorten the path")]
    TooLong {
        /// The length of the name.
        bytes: usize,
    },
    /// More folders than anyone needs.
    #[error("the name has {components} components, more than {NAME_DEPTH}; use fewer folders")]
    TooDeep {
        /// How many components the name has.
        components: usize,
    },
    /// Bytes that are not text.
    #[error("the name is not UTF-8 at byte {at}; rename the file")]
    NotUtf8 {
        /// The first byte that does not fit.
        at: usize,
    },
    /// NUL or another C0 character, DEL, or a C1 character.
    #[error("the name has a control character ({}) at byte {at}; rename the file", .character.escape_unicode())]
    Control {
        /// The character.
        character: char,
        /// Where it is.
        at: usize,
    },
    /// A separator on one system and a character on the others.
    #[error("the name has a backslash at byte {at}; separate folders by `/`")]
    Backslash {
        /// Where it is.
        at: usize,
    },
    /// A path from the root of a file system.
    #[error("the name starts with `/`; give a path below the receiving folder")]
    Absolute,
    /// A drive letter and a colon.
    #[error("the name starts with a drive ({letter}:); give a path below the receiving folder")]
    Drive {
        /// The drive.
        letter: char,
    },
    /// A name of a folder, where one of a file is due.
    #[error("the name ends with `/`; name the file as well")]
    TrailingSlash,
    /// Two slashes with nothing between them.
    #[error("component {component} of the name is empty; write `/` once")]
    EmptyComponent {
        /// Which component.
        component: usize,
    },
    /// `.` or `..`.
    #[error("component {component} of the name is `.` or `..`; write the path without it")]
    Dots {
        /// Which component.
        component: usize,
    },
    /// Longer than what file systems store.
    #[error("component {component} of the name has {bytes} bytes, more than {COMPONENT_BYTES}; shorten it")]
    ComponentTooLong {
        /// Which component.
        component: usize,
        /// Its length.
        bytes: usize,
    },
    /// A name that Windows gives to a device, in whatever folder.
    #[error("component {component} of the name is a device on Windows ({device}); rename the file")]
    Device {
        /// Which component.
        component: usize,
        /// The device, in capitals.
        device: String,
    },
    /// Where it would pass for one of our unfinished files, and be swept away.
    #[error("component {component} of the name starts with {TEMPORARY_PREFIX} as unfinished files do; rename it")]
    Temporary {
        /// Which component.
        component: usize,
    },
    /// A colon (a stream), or a final dot or space (dropped), on Windows only.
    #[error("component {component} of the name has a `:` or ends with a dot or space, which Windows drops; rename it")]
    NotOnWindows {
        /// Which component.
        component: usize,
    },
}

/// Text from a peer as a terminal or a log may see it: what moves a cursor, turns the reading
/// direction or takes no room is written as `\u{..}`. Only the selector that turns a symbol into a
/// picture passes, once behind each symbol: people send hearts, and a heart is still one symbol wide
/// or two, but nothing else. (A client's name has no selectors at all.)
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = '\0';
        for character in self.0.chars() {
            if is_hidden(character) && !is_picture(before, character) {
                write!(f, "{}", character.escape_unicode())?;
            } else {
                f.write_char(character)?;
            }
            before = character;
        }
        Ok(())
    }
}

/// Control characters, bidi controls, line separators, and whatever takes no room or is not seen (Unicode's default-ignorable
/// characters), variation selectors and the joiner of emoji among them.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// U+FE0F behind a character of the blocks in which symbols with two presentations are (emoji-variation-sequences.txt).
fn is_picture(before: char, character: char) -> bool {
    character == '\u{fe0f}'
        && matches!(before, '\u{203c}' | '\u{2049}' | '\u{2122}'..='\u{303d}' | '\u{3297}'..='\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

fn check_whole(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_BYTES {
        return Err(NameError::TooLong { bytes: name.len() });
    }
    if name.starts_with('/') {
        return Err(NameError::Absolute);
    }
    if name.ends_with('/') {
        return Err(NameError::TrailingSlash);
    }
    if let [letter, b':', ..] = name.as_bytes()
        && letter.is_ascii_alphabetic()
    {
        return Err(NameError::Drive { letter: char::from(*letter) });
    }
    let components = name.split('/').count();
    if components > NAME_DEPTH {
        return Err(NameError::TooDeep { components });
    }
    Ok(())
}

fn check_characters(name: &str) -> Result<(), NameError> {
    for (at, character) in name.char_indices() {
        if character.is_control() {
            return Err(NameError::Control { character, at });
        }
        if character == '\\' {
            return Err(NameError::Backslash { at });
        }
    }
    Ok(())
}

fn check_component(component: usize, text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::EmptyComponent { component });
    }
    if text == "." || text == ".." {
        return Err(NameError::Dots { component });
    }
    if text.len() > COMPONENT_BYTES {
        return Err(NameError::ComponentTooLong { component, bytes: text.len() });
    }
    if let Some(device) = device_in(text) {
        return Err(NameError::Device { component, device });
    }
    // In any case: some file systems do not tell `.Homing-` from `.homing-`.
    let prefix = text.as_bytes().get(..TEMPORARY_PREFIX.len());
    if prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(TEMPORARY_PREFIX.as_bytes())) {
        return Err(NameError::Temporary { component });
    }
    if cfg!(windows) && (text.contains(':') || text.ends_with(['.', ' '])) {
        return Err(NameError::NotOnWindows { component });
    }
    Ok(())
}

/// The Windows device that a component means, whatever extension it carries.
fn device_in(component: &str) -> Option<String> {
    let stem = component.split('.').next().unwrap_or_default();
    let stem = stem.trim_end_matches(' ').to_ascii_uppercase();
    let is_device = match stem.strip_prefix("COM").or(stem.strip_prefix("LPT")) {
        Some(port) => {
            let mut port = port.chars();
            port.next().is_some_and(|port| PORTS.contains(&port)) && port.next().is_none()
        }
        None => DEVICES.contains(&stem.as_str()),
    };
    is_device.then_some(stem)
}

/// How the names of our unfinished files start.
pub(crate) const TEMPORARY_PREFIX: &str = ".homing-";

/// Linux's `PATH_MAX`.
const NAME_BYTES: usize = 4096;

/// Deeper than any tree that people make, shallow enough to walk.
const NAME_DEPTH: usize = 64;

/// `NAME_MAX` of Linux and of nearly every file system.
const COMPONENT_BYTES: usize = 255;

/// Devices without a number; Windows finds them in every folder.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];

/// What makes COM and LPT a device; Windows takes the superscripts for digits (CVE-2023-45284).
const PORTS: [char; 13] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '\u{b9}', '\u{b2}', '\u{b3}'];

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn ordinary_and_odd_names_are_taken_as_they_are() {
        for name in [
            "a",
            "photo.jpg",
            "folder/photo.jpg",
            "a b",
            " a",
            "a ",
            "a.",
            "...",
            "..a",
            "a..",
            "a|b",
            "a | b",
            "\"quoted\" 'name'",
            "-rf",
            "~root",
            "$HOME",
            "*?<>",
            "\u{e9}t\u{e9}",
            "\u{65e5}\u{672c}/\u{1f980}",
            "evil\u{202e}gpj.exe",
            "zero\u{200b}width",
            "line\u{2028}end",
            "\u{feff}bom",
            "com",
            "com10",
            "coma",
            "lpt\u{b9}\u{b2}",
            "com\u{2074}",
            "conx",
            "console.txt",
            "a.con",
            "null",
            "conin",
            " con",
            ".homing",
            "homing-1.part",
            ".hidden/.file",
        ] {
            let parsed = SafeName::parse(name);
            assert_eq!(parsed.as_ref().map(SafeName::as_str), Ok(name));
            assert_eq!(parsed, SafeName::from_bytes(name.as_bytes()));
        }
    }

    #[cfg(not(windows))]
    #[test]
    fn a_colon_is_an_ordinary_character_where_it_names_no_drive() {
        for name in ["12:30.log", "ab:c", "a/b:c", "\u{e9}:x", ":", "a/:"] {
            assert!(SafeName::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn every_way_out_is_refused_by_its_own_error() {
        let control = |character, at| NameError::Control { character, at };
        let device = |component, device: &str| NameError::Device { component, device: device.to_owned() };
        for (name, error) in [
            ("", NameError::Empty),
            ("/", NameError::Absolute),
            ("/etc/passwd", NameError::Absolute),
            ("//server/share", NameError::Absolute),
            ("a/", NameError::TrailingSlash),
            ("a//b", NameError::EmptyComponent { component: 2 }),
            (".", NameError::Dots { component: 1 }),
            ("..", NameError::Dots { component: 1 }),
            ("../a", NameError::Dots { component: 1 }),
            ("a/./b", NameError::Dots { component: 2 }),
            ("a/b/..", NameError::Dots { component: 3 }),
            ("\\\\server\\share", NameError::Backslash { at: 0 }),
            ("..\\a", NameError::Backslash { at: 2 }),
            ("a\0b", control('\0', 1)),
            ("a\nb", control('\n', 1)),
            ("\u{1b}[2J", control('\u{1b}', 0)),
            ("a\u{7f}", control('\u{7f}', 1)),
            ("a\u{80}", control('\u{80}', 1)),
            ("a\u{9f}", control('\u{9f}', 1)),
            ("c:", NameError::Drive { letter: 'c' }),
            ("C:/a", NameError::Drive { letter: 'C' }),
            ("z:a", NameError::Drive { letter: 'z' }),
            ("nul", device(1, "NUL")),
            ("a/CoN.tar.gz", device(2, "CON")),
            ("aux .txt", device(1, "AUX")),
            ("prn. . .", device(1, "PRN")),
            ("conin$", device(1, "CONIN$")),
            ("CONOUT$.x", device(1, "CONOUT$")),
            ("com0", device(1, "COM0")),
            ("lpt9 ", device(1, "LPT9")),
            ("nul/a", device(1, "NUL")),
            ("com\u{b9}.x", device(1, "COM\u{b9}")),
            ("LPT\u{b3}", device(1, "LPT\u{b3}")),
            (".homing-", NameError::Temporary { component: 1 }),
            ("a/.homing-00.part", NameError::Temporary { component: 2 }),
            (".HOMING-x/a", NameError::Temporary { component: 1 }),
        ] {
            assert_eq!(SafeName::parse(name), Err(error), "{name:?}");
        }
    }

    #[test]
    fn limits_hold_to_the_byte() {
        let parse = |name: &str| SafeName::parse(name).map(|_| ());
        assert_eq!(parse(&"a".repeat(255)), Ok(()));
        let error = NameError::ComponentTooLong { component: 2, bytes: 256 };
        assert_eq!(parse(&format!("a/{}", "b".repeat(256))), Err(error));
        assert_eq!(parse(&"\u{e9}".repeat(127)), Ok(()));
        assert!(parse(&"\u{e9}".repeat(128)).is_err());

        assert_eq!(parse(&["a"; 64].join("/")), Ok(()));
        let error = NameError::TooDeep { components: 65 };
        assert_eq!(parse(&["a"; 65].join("/")), Err(error));

        let long = vec!["a".repeat(255); 16].join("/");
        assert_eq!(parse(&format!("a{}", &long[1..])), Ok(()));
        assert_eq!(long.len(), 4095);
        assert_eq!(parse(&format!("{}/b", &long[..4094])), Ok(()));
        let error = NameError::TooLong { bytes: 4097 };
        assert_eq!(parse(&format!("{long}/b")), Err(error));
    }

    #[test]
    fn bytes_that_are_not_text_are_refused_where_they_start() {
        let error = Err(NameError::NotUtf8 { at: 2 });
        assert_eq!(SafeName::from_bytes(b"ab\xffcd"), error);
        assert_eq!(SafeName::from_bytes(b"ab\xc0\xaf"), error);
        assert_eq!(SafeName::from_bytes(b"ab\xed\xa0\x80"), error);
    }

    #[test]
    fn a_name_comes_apart_at_its_slashes() {
        let name = SafeName::parse("a/b c/d").expect("a good name");
        assert_eq!(name.components().collect::<Vec<_>>(), ["a", "b c", "d"]);
        assert_eq!(name.file_name(), "d");
        assert_eq!(name.parent(), Some("a/b c"));
        assert_eq!(name.to_string(), "a/b c/d");

        let name = SafeName::parse("d").expect("a good name");
        assert_eq!((name.file_name(), name.parent()), ("d", None));
    }

    #[test]
    fn errors_say_what_and_where_and_never_repeat_a_control_character() {
        let say = |name: &str| SafeName::parse(name).expect_err("a bad name").to_string();
        assert_eq!(say("a\u{1b}"), "the name has a control character (\\u{1b}) at byte 1; rename the file");
        assert_eq!(say("a/.."), "component 2 of the name is `.` or `..`; write the path without it");
    }

    #[test]
    fn what_could_fool_a_reader_is_escaped_and_nothing_else() {
        for (text, printed) in [
            ("plain \u{e9} \u{1f980} | \\", "plain \u{e9} \u{1f980} | \\"),
            ("\u{1b}]52;c;\u{7}", "\\u{1b}]52;c;\\u{7}"),
            ("a\r\n\tb", "a\\u{d}\\u{a}\\u{9}b"),
            ("\u{7f}\u{80}\u{9f}\u{a0}", "\\u{7f}\\u{80}\\u{9f}\u{a0}"),
            ("x\u{202e}gpj", "x\\u{202e}gpj"),
            ("\u{200a}\u{200b}\u{200f}\u{2010}", "\u{200a}\\u{200b}\\u{200f}\u{2010}"),
            ("\u{2027}\u{2028}\u{2029}\u{202a}\u{202f}", "\u{2027}\\u{2028}\\u{2029}\\u{202a}\u{202f}"),
            ("\u{205f}\u{2060}\u{2065}\u{206f}\u{2070}", "\u{205f}\\u{2060}\\u{2065}\\u{206f}\u{2070}"),
            ("\u{feff}", "\\u{feff}"),
        ] {
            assert_eq!(Printable(text).to_string(), printed);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn an_accepted_name_is_plain_components_and_nothing_else(
            name in "([./\\\\:a-cA-C \u{0}-\u{1f}\u{7f}-\u{9f}]|\\.\\./|nul|com[0-9]|\\.homing-|\\PC){0,24}",
        ) {
            if let Ok(safe) = SafeName::parse(&name) {
                prop_assert_eq!(safe.as_str(), &name);
                let parts: Vec<_> = Path::new(&name).components().collect();
                prop_assert!(parts.iter().all(|part| matches!(part, Component::Normal(_))));
                prop_assert_eq!(parts.len(), safe.components().count());
                prop_assert!(safe.components().eq(parts.iter().filter_map(|part| part.as_os_str().to_str())));
                prop_assert!(!name.contains(char::is_control));
            }
        }

        #[test]
        fn ordinary_components_are_always_accepted(
            name in "[a-z0-9_ |'\"\u{e9}-\u{ff}]{4,20}x(/[a-z0-9_ |'\"\u{e9}-\u{ff}]{4,20}x){0,20}",
        ) {
            let safe = SafeName::parse(&name).expect("only ordinary characters");
            prop_assert_eq!(safe.components().collect::<Vec<_>>().join("/"), name);
        }

        #[test]
        fn no_bytes_upset_the_parser_or_its_error(name in any::<Vec<u8>>()) {
            if let Err(error) = SafeName::from_bytes(&name) {
                prop_assert!(!error.to_string().contains(is_hidden));
            }
        }

        #[test]
        fn nothing_hidden_is_ever_printed(text in "[\u{0}-\u{ffff}]{0,40}") {
            let printed = Printable(&text).to_string();
            let mut pairs = std::iter::once('\0').chain(printed.chars()).zip(printed.chars());
            let is_escaped = pairs.all(|(before, character)| !is_hidden(character) || is_picture(before, character));
            prop_assert!(is_escaped, "{}", printed.escape_unicode());
        }
    }

    #[test]
    fn a_heart_is_a_picture_and_nothing_else_takes_a_selector() {
        for (text, printed) in [
            ("\u{2764}\u{fe0f}", "\u{2764}\u{fe0f}"),
            ("\u{2764}\u{fe0f}\u{fe0f}", "\u{2764}\u{fe0f}\\u{fe0f}"),
            ("a\u{fe0f}", "a\\u{fe0f}"),
            ("\u{2060}\u{fe0f}", "\\u{2060}\\u{fe0f}"),
            ("\u{fe0f}", "\\u{fe0f}"),
            ("a\u{ad}\u{3164}\u{e0041}", "a\\u{ad}\\u{3164}\\u{e0041}"),
        ] {
            assert_eq!(Printable(text).to_string(), printed);
        }
    }
}
