//! Messages that make no sense.

use super::play::{Play, QUIET, Scope, ServerCase, case, some_chunks};
use crate::app::check::finding::Fault;
use crate::packet::lab::Spelling;
use crate::trace::words;

pub(super) fn cases() -> Vec<ServerCase> {
    vec![
        case(
            "unknown-message",
            "Messages of unknown types, from strangers and in the middle of a transfer, get no answer and do no harm.",
            Scope::All,
            |play| {
                let messages: &[&[u8]] = &[b"hello", b"", b"x | 1 | what", b"x|1|what", b"\xff\xfe\x00\x01", b"\n"];
                survives(play, messages)
            },
        ),
        case(
            "malformed-message",
            "Messages with missing fields or numbers that are none get no answer and do no harm.",
            Scope::All,
            |play| {
                let messages: &[&[u8]] = match play.spelling {
                    Spelling::Spaced => &[
                        b"s | ",
                        b"s | 0 | name",
                        b"s | x | name.txt | 10",
                        b"s | 0 | name.txt | ten",
                        b"s | 0 | name.txt | -5",
                        b"d | ",
                        b"d | x | bytes",
                        b"d | -1 | bytes",
                        b"d",
                    ],
                    Spelling::Compact => {
                        &[b"s|", b"s|0|name", b"s|0|name.txt|ten", b"s|0|name.txt|-5", b"d|", b"d|x|bytes", b"d"]
                    }
                };
                survives(play, messages)
            },
        ),
    ]
}

/// First a stranger speaks, then a client in the middle of its transfer.
fn survives(play: &mut Play<'_>, messages: &[&[u8]]) -> Result<(), Fault> {
    let name = play.name();
    let mut answered = Vec::new();
    let mut stranger = play.talk()?;
    for message in messages {
        stranger.send(message);
        // Long enough to die of it: what comes next shall not be blamed.
        let reply = stranger.reply(QUIET)?;
        answered.extend(reply.map(|reply| format!("`{}` was answered with `{}`", words(message), words(&reply))));
        gone(play, message)?;
    }
    let mut talk = play.talk()?;
    let content = some_chunks(&talk, 3);
    let chunk = talk.chunk_max();
    talk.start(&name, content.len())?;
    talk.put(1, &content[..chunk])?;
    for message in messages {
        talk.send(message);
        talk.reply(QUIET / 3)?;
        gone(play, message)?;
    }
    let rest = talk.finish(&name, &content, 2);
    answered.into_iter().for_each(|fault| play.fault(fault));
    play.blame(rest)
}

/// A server that ended: the compact hand-out asks for that, the others do not.
pub(super) fn gone(play: &Play<'_>, message: &[u8]) -> Result<(), Fault> {
    let alive = play.stage.alive(&format!("`{}`", words(message)));
    match (alive, play.spelling) {
        (Err(Fault::Broken(why)), Spelling::Compact) => {
            Err(Fault::NotApplicable(format!("{why}; the compact hand-out asks a server to end then")))
        }
        (alive, _) => alive,
    }
}
