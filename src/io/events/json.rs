//! Notes for programs.

use super::{Note, Report};
use crate::name::is_hidden;
use std::io::{self, Write};

/// One JSON object a line on standard output.
#[derive(Default)]
pub struct JsonReport;

impl Report for JsonReport {
    fn note(&mut self, note: &Note) -> io::Result<()> {
        write_json(note, &mut io::stdout().lock())
    }
}

/// The same on standard error, where standard output is for something else.
#[derive(Default)]
pub struct JsonAside;

impl Report for JsonAside {
    fn note(&mut self, note: &Note) -> io::Result<()> {
        write_json(note, &mut io::stderr().lock())
    }
}

fn write_json(note: &Note, out: &mut dyn Write) -> io::Result<()> {
    if matches!(note, Note::Waiting { .. }) {
        return Ok(()); // Only people get impatient.
    }
    let mut line = terminal_safe(&serde_json::to_string(note)?);
    line.push('\n');
    out.write_all(line.as_bytes())?;
    out.flush()
}

/// JSON allows raw control characters above U+007E and text that turns around on a terminal; somebody may look at it there.
fn terminal_safe(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if is_hidden(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                safe += &format!("\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    safe
}
