//! How a server answers: which number, how often, and what it announces.

use super::play::{Play, QUIET, Scope, ServerCase, case, some_chunks};
use super::strangers::gone;
use crate::app::check::content::letters;
use crate::app::check::finding::Fault;
use crate::packet::MAX_DATAGRAM;
use crate::packet::lab::Spelling;
use crate::trace::words;

pub(super) fn cases() -> Vec<ServerCase> {
    vec![
        case(
            "start-answered",
            "A start is acknowledged with the next number, whatever number it had.",
            Scope::Plain,
            start_answered,
        ),
        case(
            "buffer-size",
            "A datagram of exactly the announced buffer size arrives whole.",
            Scope::Plain,
            buffer_size,
        ),
        case("answers-once", "Every message gets one answer, and nothing is sent unasked.", Scope::All, answers_once),
        case(
            "ack-not-answered",
            "An acknowledgement gets no answer, or two servers would talk to each other for ever, and does no harm.",
            Scope::All,
            ack_not_answered,
        ),
    ]
}

fn start_answered(play: &mut Play<'_>) -> Result<(), Fault> {
    if play.spelling == Spelling::Compact {
        return play.talk()?.start(&play.name(), 10);
    }
    // The greeting has begun with 0. This client is the only one: a server that has one transfer for everybody answers it too.
    let mut talk = play.talk_from(39)?;
    let answered = talk.start("start-answered-39.txt", 10).and_then(|()| talk.put(1, b"ten bytes."));
    play.blame(answered)?;
    if play.stage.epitaph().is_some() {
        return Ok(());
    }
    // Silence counts only if another client with a small number is answered then.
    let mut large = play.talk_from(LARGE)?;
    let result = large.start(&format!("start-answered-{LARGE}.txt"), 10);
    if result.is_ok() || play.talk_from(40)?.start("start-answered-40.txt", 10).is_ok() {
        play.blame(result)?;
    }
    Ok(())
}

fn buffer_size(play: &mut Play<'_>) -> Result<(), Fault> {
    let name = play.name();
    let mut talk = play.talk()?;
    let content = letters(2 * talk.chunk_max(), "full");
    talk.start(&name, content.len())?;
    let size = talk.bufsize;
    if play.spelling == Spelling::Spaced && !talk.announced {
        return Err(Fault::broken("the start's acknowledgement announces no buffer size: the third field is missing"));
    }
    if !(64..=MAX_DATAGRAM).contains(&size) {
        return Err(Fault::broken(format!("a buffer of {size} bytes was announced; 64 to {MAX_DATAGRAM} are usable")));
    }
    let full = format!("datagrams of {size} bytes, which is the whole buffer, were sent");
    talk.finish(&name, &content, 1).map_err(|fault| fault.after(&full))?;
    if play.spelling == Spelling::Spaced {
        play.remark(format!("{size} bytes announced"));
    }
    Ok(())
}

fn answers_once(play: &mut Play<'_>) -> Result<(), Fault> {
    let name = play.name();
    let mut talk = play.talk()?;
    let mut faults = Vec::new();
    let content = some_chunks(&talk, 3);
    let chunk = talk.chunk_max();
    let start = talk.start_message(&name, content.len());
    let messages = content.chunks(chunk).enumerate().map(|(index, bytes)| talk.data_message(index + 1, bytes));
    for message in std::iter::once(start).chain(messages.collect::<Vec<_>>()) {
        talk.send(&message);
        let mut replies = talk.replies(QUIET)?;
        if replies.is_empty() && play.stage.epitaph().is_none() {
            talk.send_again();
            replies = talk.replies(QUIET)?;
            if !replies.is_empty() {
                play.stage.note_asked_again();
            }
        }
        let said = replies.iter().map(|reply| format!("`{}`", words(reply))).collect::<Vec<_>>().join(", ");
        let asked = words(&message);
        match replies.len() {
            0 => {
                talk.stage.alive(&format!("`{asked}`"))?;
                faults.push(format!(
                    "`{asked}` got no answer within {} s, and none when it came again",
                    QUIET.as_secs_f64()
                ));
            }
            1 => {}
            count => faults.push(format!("`{asked}` got {count} answers: {said}")),
        }
    }
    faults.into_iter().for_each(|fault| play.fault(fault));
    Ok(())
}

fn ack_not_answered(play: &mut Play<'_>) -> Result<(), Fault> {
    let name = play.name();
    let mut talk = play.talk()?;
    let messages: &[&[u8]] = match play.spelling {
        Spelling::Spaced => &[b"a | 1", b"a | 1 | 1024"],
        Spelling::Compact => &[b"a|1", b"a|0"],
    };
    for message in messages {
        talk.send(message);
        if let Some(reply) = talk.reply(QUIET)? {
            let why = format!("`{}` was answered with `{}`", words(message), words(&reply));
            return Err(Fault::broken(why));
        }
        gone(play, message)?;
    }
    let content = some_chunks(&talk, 2);
    let copied = talk.copy(&name, &content);
    if let (Err(_), Some(last)) = (&copied, messages.last()) {
        // On a busy machine it dies of it only now.
        gone(play, last)?;
    }
    copied
}

/// Far beyond what any client begins with, and beyond 30 bits.
const LARGE: u64 = 1_207_959_552;
