//! What `expectations.json` and the kinds of content say.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// All profiles by name.
#[derive(Deserialize)]
pub struct Expectations {
    classes: BTreeMap<Class, Size>,
    pub servers: BTreeMap<String, Expected>,
    pub clients: BTreeMap<String, Expected>,
}

/// What one profile reaches with our own program on the other side.
#[derive(Deserialize)]
pub struct Expected {
    /// `spaced` or `compact`.
    pub spelling: String,
    pub exact: BTreeMap<Class, bool>,
    /// Delivers under loss without any luck.
    pub lossy_certain: bool,
    pub remote_name: String,
    /// A path beneath the served folder; `*` stands for anything.
    pub saved_as: String,
    /// Servers: how long after the client's end the file may be missing.
    #[serde(default)]
    pub appears_after_s: f64,
    /// Clients: what the copied file is called.
    #[serde(default)]
    pub local_name: String,
}

/// A kind of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Bytes without `|`, and no text.
    Plain,
    /// Text full of `|`, line ends and ` | `.
    Separator,
    /// Nothing.
    Zero,
    /// One byte.
    One,
}

#[derive(Deserialize)]
struct Size {
    size: usize,
}

impl Expectations {
    pub fn read() -> Self {
        let text = std::fs::read_to_string(folder().join("expectations.json")).expect("the expectations");
        serde_json::from_str(&text).expect("expectations as this test knows them")
    }

    /// The bytes of each kind.
    pub fn contents(&self) -> BTreeMap<Class, Vec<u8>> {
        self.classes.iter().map(|(class, Size { size })| (*class, class.content(*size))).collect()
    }
}

impl Class {
    pub const ALL: [Class; 4] = [Class::Plain, Class::Separator, Class::Zero, Class::One];

    pub fn word(self) -> &'static str {
        match self {
            Class::Plain => "plain",
            Class::Separator => "separator",
            Class::Zero => "zero",
            Class::One => "one",
        }
    }

    fn content(self, size: usize) -> Vec<u8> {
        let mut rng = fastrand::Rng::with_seed(7);
        match self {
            Class::Plain => std::iter::repeat_with(|| rng.u8(..)).filter(|byte| *byte != b'|').take(size).collect(),
            Class::Separator => {
                let words = ["|", "\n", "text", " |\n", "|\n|", "more words for a longer run", "d|1|"];
                let mut text = String::from(" | | | ");
                while text.len() < size {
                    // About a hundred separators: a client ends a chunk at each of them.
                    text.extend(std::iter::repeat_with(|| *rng.choice(&words).expect("some")).take(60));
                    text += SEPARATOR;
                }
                text.truncate(size - SEPARATOR.len());
                (text + SEPARATOR).into_bytes()
            }
            Class::Zero | Class::One => vec![b'Z'; size],
        }
    }
}

impl Expected {
    /// The losses each way that the exercise tells its programs to survive.
    pub fn loss(&self) -> &'static str {
        if self.spelling == "spaced" { "0.05" } else { "0.15" }
    }
}

/// Whether a copy to this server may be exact and yet end with exit code 7: the document lets the last acknowledgement be
/// missing, or the server be gone before it could be asked for again.
pub fn may_stay_unconfirmed(server: &str, class: Class, loss: bool) -> bool {
    match class {
        // It drops acknowledgements of its own and never repeats the last one.
        _ if server == "a-bad" => true,
        // They make the file on the start and are silent to, or gone before, the empty chunk that others need for it.
        Class::Zero => [
            "a-s1", "a-s2", "a-s4", "a-s5", "a-s6", "a-s7", "a-s8", "b-s5", "b-s6", "b-s9", "b-s12", "b-s14", "c-s1",
            "c-s2", "c-s3",
        ]
        .contains(&server),
        // They never acknowledge a repeat of the last chunk, a-s9 and a-s11 only for a second; a-s10 dies of it, b-s12 has left.
        _ if loss => ["a-good", "a-s8", "a-s9", "a-s10", "a-s11", "b-s3", "b-s12"].contains(&server),
        _ => false,
    }
}

/// Where the peers lie.
pub fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "peers"].iter().collect()
}

const SEPARATOR: &str = " | ";
