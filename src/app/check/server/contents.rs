//! What is saved: every byte, under the right name, in the right place.

use super::play::{Play, QUIET, Scope, ServerCase, case, some_chunks};
use crate::app::check::content::{binary, letters, repeated};
use crate::app::check::finding::Fault;
use crate::app::check::talk::Talk;
use crate::packet::lab::Spelling;
use std::time::Duration;

pub(super) fn cases() -> Vec<ServerCase> {
    vec![
        case("file-empty", "A file of 0 bytes is complete with its start, and appears.", Scope::All, file_empty),
        case("file-one-byte", "A file of 1 byte arrives.", Scope::All, |play| of_size(play, |_| 1)),
        case("file-chunk-minus-one", "A file one byte shorter than a chunk arrives.", Scope::All, |play| {
            of_size(play, |chunk| chunk - 1)
        }),
        case(
            "file-chunk",
            "A file of exactly one chunk arrives; nothing follows that would end it.",
            Scope::All,
            |play| of_size(play, |chunk| chunk),
        ),
        case("file-chunk-plus-one", "A file one byte longer than a chunk arrives.", Scope::All, |play| {
            of_size(play, |chunk| chunk + 1)
        }),
        case("file-megabyte", "A file of 1 MB arrives: numbers grow beyond 255.", Scope::All, file_megabyte),
        case(
            "separator-in-data",
            "A chunk may contain ` | `, also where it looks like a message.",
            Scope::All,
            |play| with_content(play, |length| repeated(b"one | two|three | d | 1 | x || | ", length)),
        ),
        case("newline-in-data", "A chunk may begin and end with line ends and spaces.", Scope::All, |play| {
            with_content(play, |length| repeated(b"\n \r\n\tline\n \n", length))
        }),
        case("binary-data", "A chunk may contain every byte; it need not be text.", Scope::All, |play| {
            with_content(play, binary)
        }),
        case("name-with-space", "A file's name may contain spaces.", Scope::Files, |play| {
            named(play, "my lab report.txt")
        }),
        case("file-name", "A file is saved under the name that its start has.", Scope::Files, |play| {
            named(play, "Report-2.final.txt")
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
    let name = play.name();
    let mut talk = play.talk()?;
    let content = letters(size(talk.chunk_max()), "size");
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
    talk.copy(&name, &content(length))
}

fn named(play: &mut Play<'_>, name: &str) -> Result<(), Fault> {
    let mut talk = play.talk()?;
    let content = some_chunks(&talk, 2);
    talk.copy(name, &content)?;
    let names = talk.stage.names();
    match names.iter().any(|found| found == name) {
        true => Ok(()),
        false => Err(Fault::broken(format!("\"{name}\" was saved as {names:?}"))),
    }
}

fn overwrite(play: &mut Play<'_>) -> Result<(), Fault> {
    let name = play.name();
    let mut first = play.talk()?;
    let content = some_chunks(&first, 3);
    first.copy(&name, &content)?;
    let mut second = play.talk()?;
    let content = letters(second.chunk_max() + 7, "other");
    let result = second.copy(&name, &content);
    play.blame(result)
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
        play.stage.pause(Duration::from_millis(100))?;
        let escaped = play.stage.escaped();
        if !escaped.is_empty() {
            return Err(Fault::broken(format!("\"{name}\" led out of the folder: {escaped:?} lies beside it")));
        }
        play.stage.alive(&format!("a start with the name \"{name}\""))?;
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
