//! The laws of the house, checked: imports only fall, files stay readable, each dependency has its room.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors, lowest first. A file may import from its own room and from lower floors.
const FLOORS: &[&[&str]] = &[
    &["codec", "compression", "limits", "name", "ranges", "rate", "rtt", "chunker", "weather"],
    &["packet"],
    &["session", "trace"],
    &["endpoint", "echo", "relay", "harbour"],
    &["hostile", "chat"],
    &["tap", "porter"],
    &["io"],
    &["app"],
    &["outcome"],
    &["client", "server"],
];

/// Where the crates with side effects may be named.
const CRATE_ROOMS: &[(&str, &[&str])] = &[
    ("quinn_udp", &["io/udp.rs", "io/udp/"]),
    ("polling", &["io/udp.rs"]),
    ("socket2", &["io/udp.rs", "io/udp/"]),
    ("nix", &["io/udp/"]),
    ("cap_std", &["io/store.rs", "io/store/"]),
    ("snow", &["session/handshake/noise.rs"]),
    ("x25519_dalek", &["session/handshake/identity.rs", "session/handshake/noise.rs"]),
    ("ring", &["session/windowed/protection.rs"]),
    (
        "blake3",
        &[
            "session/handshake/",
            "chunker/",
            "io/pour.rs",
            "io/sources.rs",
            "io/sources/",
            "io/store/tree.rs",
            "io/store/tree/",
        ],
    ),
    ("base64", &["session/handshake/identity.rs", "session/handshake/terms.rs"]),
    ("zstd", &["compression.rs"]),
    ("zeroize", &["session/handshake/", "session/windowed/protection.rs", "io/identity.rs", "io/identity/"]),
    ("signal_hook", &["io/signals.rs"]),
    ("clap", &["app/cli/", "bin/"]),
    ("clap_complete", &["app/cli/papers.rs"]),
    ("clap_mangen", &["app/cli/papers.rs"]),
    ("toml", &["io/config_file.rs"]),
    ("console", &["app/album.rs", "app/check/table.rs", "io/board.rs", "io/progress.rs"]),
    ("comfy_table", &["app/check/table.rs", "io/board.rs"]),
    ("csv", &["app/check/table.rs"]),
    ("maud", &["app/check/page.rs"]),
    ("glob", &["app/check/subject.rs"]),
    ("globset", &["io/sources/exclude.rs"]),
    ("anyhow", &["app/exit.rs", "bin/"]),
    ("indicatif", &["io/board.rs", "io/progress.rs", "io/events.rs", "io/events/"]),
    ("textwrap", &["io/progress.rs"]),
    ("rustyline", &["io/lines.rs", "io/lines/"]),
    ("unicode_normalization", &["packet/chat/name.rs"]),
    ("unicode_properties", &["packet/chat/name.rs"]),
    (
        "serde",
        &[
            "app/chat/commands.rs",
            "io/events.rs",
            "io/events/",
            "io/qlog.rs",
            "io/qlog/",
            "trace/step.rs",
            "trace/recordings.rs",
        ],
    ),
];

const LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// Every source file with its path below `src` and its lines before the tests.
fn sources() -> BTreeMap<String, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&entry).expect("text");
                let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).map(Into::into).collect();
                let name = entry.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
                files.insert(name, lines);
            }
        }
    }
    files
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&room))
}

/// The room a file belongs to: the first part of its path, without `.rs`.
fn room_of(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or(file)
}

#[test]
fn every_file_opens_with_its_purpose() {
    for (file, lines) in sources() {
        let first = lines.first().map(String::as_str).unwrap_or_default();
        assert!(first.starts_with("//! "), "{file} begins with {first:?}");
    }
}

#[test]
fn imports_only_fall() {
    for (file, lines) in sources() {
        let Some(own) = floor_of(room_of(&file)) else { continue };
        let text = lines.join("\n");
        for (at, _) in text.match_indices("crate::") {
            let room: String = text[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if let Some(floor) = floor_of(&room) {
                let falls = floor < own || room == room_of(&file);
                let beside = floor == own;
                assert!(falls || (beside && own == 0), "{file} climbs to {room}");
            }
        }
    }
}

#[test]
fn files_and_functions_stay_readable() {
    for (file, lines) in sources() {
        assert!(lines.len() <= LINES_MAX, "{file} has {} lines before its tests", lines.len());
        let mut began: Option<(usize, usize, &str)> = None;
        for (number, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let is_function = ["fn ", "pub fn ", "pub(super) fn ", "pub(crate) fn "]
                .iter()
                .any(|start| line.trim_start().starts_with(start));
            if is_function && began.is_none() {
                began = Some((number, indent, line.trim()));
            }
            if let Some((from, depth, name)) = began
                && line.starts_with(&format!("{:depth$}}}", ""))
                && indent == depth
            {
                assert!(number - from < FUNCTION_LINES_MAX, "{file}: {} lines in {name}", number - from + 1);
                began = None;
            }
        }
    }
}

#[test]
fn each_dependency_has_one_room() {
    for (file, lines) in sources() {
        let text = lines.join("\n");
        for (name, rooms) in CRATE_ROOMS {
            let used = text.contains(&format!("use {name}::")) || text.contains(&format!(" {name}::"));
            assert!(!used || rooms.iter().any(|room| file.starts_with(room)), "{file} uses {name}");
        }
    }
}
