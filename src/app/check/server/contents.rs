//! What is saved: every byte, under the right name, in the right place.

use super::play::{Play, QUIET, Scope, ServerCase, case, some_chunks};
use crate::app::check::content::{binary, letters, repeated};
use crate::app::check::finding::Fault;
use crate::app::check::talk::Talk;
use crate::packet::lab::Spelling;
use std::time::Duration;

pub(super) fn cases() -> Vec<ServerCase> {
    vec![
        case("file-empty", "A file of 0 bytes is complete with its start, and appears.", Scope::Plain, file_empty),
        case("file-one-byte", "A file of 1 byte arrives.", Scope::Plain, |play| of_size(play, |_| 1)),
        case("file-chunk-minus-one", "A file one byte shorter than a chunk arrives.", Scope::Plain, |play| {
            of_size(play, |chunk| chunk - 1)
        }),
        case(
            "file-chunk",
            "A file of exactly one chunk arrives; nothing follows that would end it.",
            Scope::Plain,
            |play| of_size(play, |chunk| chunk),
        ),
        case("file-chunk-plus-one", "A file one byte longer than a chunk arrives.", Scope::Plain, |play| {
            of_size(play, |chunk| chunk + 1)
        }),
        case("file-megabyte", "A file of 1 MB arrives: numbers grow beyond 255.", Scope::Plain, file_megabyte),
        case(
            "separator-in-data",
            "A chunk may contain ` | `, also where it looks like a message.",
            Scope::All,
            |play| with_content(play, |length| repeated(b"one | two|three | d | 1 | x || | ", length)),
        ),
        case("equal-chunks", "Chunks with the same content are chunks of their own.", Scope::All, |play| {
            of_size_with(play, |length| vec![b'='; length], |chunk| 2 * chunk + chunk / 2)
        }),
        case("newline-in-data", "A chunk may begin and end with line ends and spaces.", Scope::All, |play| {
            with_content(play, |length| repeated(b"\n \r\n\tline\n \n", length))
        }),
        case("binary-data", "A chunk may contain every byte; it need not be text.", Scope::All, |play| {
            with_content(play, binary)
        }),
        case("name-with-space", "A file's name may contain spaces.", Scope::Files, |play| {
            named(play, "my lab report.txt", |found, name| found.contains(name))
        }),
        case("file-name", "A file is saved under the name that its start has.", Scope::Files, |play| {
            named(play, "Report-2.final.txt", |found, name| found == name)
        }),
        case("overwrite", "A file that exists is replaced as a whole.", Scope::Files, overwrite),
        case("path-escape", "A name cannot lead out of the server's folder.", Scope::Files, path_escape),
        case(
            "oversize",
            "More bytes than the start announced are never saved, and do no harm to the next file.",
            Scope::All,
            oversize,
        ),
    ]
}

fn of_size(play: &mut Play<'_>, size: impl Fn(usize) -> usize) -> Result<(), Fault> {
    of_size_with(play, |length| letters(length, "size"), size)
}

fn of_size_with(
    play: &mut Play<'_>,
    content: impl Fn(usize) -> Vec<u8>,
    size: impl Fn(usize) -> usize,
) -> Result<(), Fault> {
    let name = play.name();
    let mut talk = play.talk()?;
    let content = content(size(talk.chunk_max()));
    talk.copy(&name, &content)
}

fn file_empty(play: &mut Play<'_>) -> Result<(), Fault> {
    let name = play.name();
    let mut talk = play.talk()?;
    talk.start(&name, 0)?;
    let Err(_) = talk.saved(&name, b"") else { return Ok(()) };
    // Some servers wait for a message with the bytes that there are none of.
    let empty = talk.data_message(1, b"");
    talk.send(&empty);
    talk.replies(Duration::from_millis(300))?;
    let appears = talk.saved(&name, b"").is_ok();
    let start = String::from_utf8_lossy(&talk.start_message(&name, 0)).into_owned();
    Err(Fault::broken(match appears {
        true => format!(
            "after `{start}` no file appeared, only after an empty data message; clients send none, and the file is lost"
        ),
        false => format!("after `{start}` no file appeared, and after an empty data message neither"),
    }))
}

fn file_megabyte(play: &mut Play<'_>) -> Result<(), Fault> {
    let name = play.name();
    let mut talk = play.talk()?;
    // Small buffers make many chunks; their numbers must fit as well.
    talk.chunks_max = 99_999;
    talk.copy(&name, &letters(1_000_000, "mega"))
}

fn with_content(play: &mut Play<'_>, content: impl Fn(usize) -> Vec<u8>) -> Result<(), Fault> {
    let name = play.name();
    let mut talk = play.talk()?;
    let length = match play.spelling {
        Spelling::Spaced => 3000,
        Spelling::Compact => 50_000,
    };
    talk.copy(&name, &content(play.harmless(length)))
}

fn named(play: &mut Play<'_>, name: &str, is_kept: impl Fn(&str, &str) -> bool) -> Result<(), Fault> {
    let mut talk = play.talk()?;
    let mut content = some_chunks(&talk, 2);
    content.truncate(play.harmless(content.len()));
    let copied = talk.copy(name, &content);
    let names = talk.stage.names();
    if !names.is_empty() && !names.iter().any(|found| is_kept(found, name)) {
        play.fault(format!("\"{name}\" was saved as {names:?}"));
    }
    copied
}

fn overwrite(play: &mut Play<'_>) -> Result<(), Fault> {
    let name = play.name();
    let mut talk = play.talk()?;
    // Not by a transfer of its own: there are servers that take only one.
    play.stage.lay(&name, &letters(3 * talk.chunk_max(), "old"))?;
    let content = letters(play.harmless(talk.chunk_max() + 7), "new");
    let copied = talk.copy(&name, &content);
    let names = play.stage.names();
    match names.iter().find(|found| **found != name) {
        Some(other) if copied.is_err() => Err(Fault::NotApplicable(format!("it saves under another name: {other:?}"))),
        _ => copied,
    }
}

fn path_escape(play: &mut Play<'_>) -> Result<(), Fault> {
    let outside = play.stage.outside("absolute.txt");
    let names = ["../parent.txt", "folder/../../through-a-folder.txt", &outside];
    for name in names {
        let mut talk = play.talk()?;
        let content = some_chunks(&talk, 2);
        let start = talk.start_message(name, content.len());
        talk.send(&start);
        // It may be refused, saved under a harmless name, or meet silence.
        if talk.reply(QUIET)?.is_some_and(|reply| talk.acknowledges(&reply, 0)) {
            let chunk = talk.chunk_max();
            for (index, bytes) in content.chunks(chunk).enumerate() {
                let datagram = talk.data_message(index + 1, bytes);
                talk.send(&datagram);
                talk.reply(QUIET)?;
            }
        }
        // Long enough to die of it, and for servers that write only when a client has been silent for a second or two.
        play.stage.pause(WRITES_WITHIN)?;
        let escaped = play.stage.escaped();
        if !escaped.is_empty() {
            return Err(Fault::broken(format!("\"{name}\" led out of the folder: {escaped:?} lies beside it")));
        }
        if play.stage.has_left() {
            // It takes one file only.
            return Ok(());
        }
        play.stage.alive(&format!("a file with the name \"{name}\""))?;
    }
    let mut talk = play.talk()?;
    talk.copy("after.txt", &letters(100, "after"))
}

fn oversize(play: &mut Play<'_>) -> Result<(), Fault> {
    let name = play.name();
    let mut talk = play.talk()?;
    let size = 1000;
    let content = letters(size + 16, "over");
    talk.start(&name, size)?;
    let datagram = talk.data_message(1, &content);
    talk.send(&datagram);
    talk.reply(QUIET)?;
    play.stage.alive("a chunk with more bytes than were announced")?;
    let is_kept = saves_too_much(&talk, &name, &content, size)?;
    if is_kept {
        let total = content.len();
        play.fault(format!(
            "the start announced {size} bytes, {total} came, and the file has more than were announced"
        ));
    }
    if play.stage.has_left() {
        // It takes one file only: another case tells of that.
        return Ok(());
    }
    let mut next = play.talk()?;
    let after = some_chunks(&next, 2);
    let result = next.copy(&format!("after-{name}"), &after);
    play.blame(result)
}

/// Whether the bytes beyond the announced ones are in the file.
fn saves_too_much(talk: &Talk<'_>, name: &str, content: &[u8], size: usize) -> Result<bool, Fault> {
    if talk.stage.folder().is_none() {
        return Ok(false);
    }
    talk.stage.pause(Duration::from_millis(1500))?;
    Ok((size + 1..=content.len()).any(|length| talk.stage.holds(name, &content[..length])))
}

/// Some servers write a file only after a second of silence, when they look next.
const WRITES_WITHIN: Duration = Duration::from_millis(2200);
