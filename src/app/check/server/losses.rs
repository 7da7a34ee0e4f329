//! What networks do to messages, done on purpose: lost, repeated, late, out of order.

use super::play::{Play, QUIET, Scope, ServerCase, case, some_chunks};
use crate::app::check::finding::Fault;
use crate::app::check::talk::Talk;
use crate::packet::lab::Spelling;
use crate::trace::words;
use std::time::Duration;

pub(super) fn cases() -> Vec<ServerCase> {
    vec![
        case(
            "start-lost",
            "Data without a start, because the start was lost, changes nothing; the start that follows is taken.",
            Scope::All,
            start_lost,
        ),
        case(
            "start-repeated",
            "A start that comes again before any data, because its acknowledgement was lost, gets the same answer again.",
            Scope::All,
            start_repeated,
        ),
        case(
            "start-late",
            "A late copy of the start in the middle of the transfer does not begin it anew.",
            Scope::All,
            start_late,
        ),
        case(
            "data-lost",
            "When a chunk is lost several times, the server waits for it: 2 s of silence do not end the transfer.",
            Scope::All,
            data_lost,
        ),
        case(
            "data-repeated",
            "A chunk that comes again, because its acknowledgement was lost, is acknowledged again and stored once.",
            Scope::All,
            data_repeated,
        ),
        case(
            "data-repeated-late",
            "A late copy of an older chunk is not stored.",
            Scope::Spaced("a bit that alternates cannot tell a late copy from the next chunk"),
            data_repeated_late,
        ),
        case(
            "data-reordered",
            "Of chunks in the wrong order none is stored in the wrong place, and none is acknowledged and thrown away.",
            Scope::Spaced("a bit that alternates cannot tell that a chunk is missing"),
            data_reordered,
        ),
        case(
            "data-future",
            "A chunk with a number far ahead is neither stored nor acknowledged, and the transfer goes on.",
            Scope::Spaced("there are only the numbers 0 and 1"),
            data_future,
        ),
        case(
            "last-ack-lost",
            "The last chunk is acknowledged again when it comes again after the end, and the file stays as it is.",
            Scope::All,
            last_ack_lost,
        ),
        case(
            "idle-forgotten",
            "A transfer that was silent for more than 3 s is forgotten, as the course asks.",
            Scope::Strict,
            idle_forgotten,
        ),
    ]
}

/// A transfer of so many chunks, the first of which is acknowledged: the file's name, the client, the content.
fn begun<'a>(play: &Play<'a>, chunks: usize) -> Result<(String, Talk<'a>, Vec<u8>), Fault> {
    let name = play.name();
    let mut talk = play.talk()?;
    let content = some_chunks(&talk, chunks);
    talk.start(&name, content.len())?;
    talk.put(1, &content[..talk.chunk_max()])?;
    Ok((name, talk, content))
}

fn start_lost(play: &mut Play<'_>) -> Result<(), Fault> {
    let name = play.name();
    let mut talk = play.talk()?;
    let content = some_chunks(&talk, 3);
    talk.remark("the start is lost");
    let bytes = &content[..talk.chunk_max()];
    let datagram = talk.data_message(1, bytes);
    talk.send(&datagram);
    let answered = talk.reply(QUIET)?.map(|reply| {
        let asked = words(&datagram);
        Fault::broken(format!("`{asked}` came without a start, and was answered with `{}`", words(&reply)))
    });
    talk.stage.alive(&format!("`{}` without a start", words(&datagram)))?;
    talk.copy(&name, &content)?;
    answered.map_or(Ok(()), |fault| play.blame(Err(fault)))
}

fn start_repeated(play: &mut Play<'_>) -> Result<(), Fault> {
    let name = play.name();
    let mut talk = play.talk()?;
    let content = some_chunks(&talk, 2);
    let start = talk.start_message(&name, content.len());
    talk.start_with(&start)?;
    let announced = (talk.announced, talk.bufsize);
    talk.remark("the acknowledgement is lost");
    talk.stage.pause(AGAIN)?;
    talk.announced = false;
    talk.send(&start);
    let again = talk.await_ack(0, "the start was sent again");
    let again = again.map(|reply| talk.take_bufsize(&reply));
    let mut faults = vec![again];
    if faults[0].is_ok() && (talk.announced, talk.bufsize) != announced {
        let why = "the second acknowledgement of the start does not announce the buffer size that the first one did";
        faults.push(Err(Fault::broken(why)));
    }
    talk.bufsize = announced.1;
    faults.push(talk.finish(&name, &content, 1));
    faults.into_iter().try_for_each(|fault| play.blame(fault))
}

fn start_late(play: &mut Play<'_>) -> Result<(), Fault> {
    let name = play.name();
    let mut talk = play.talk()?;
    let content = some_chunks(&talk, 3);
    let start = talk.start_message(&name, content.len());
    let chunk = talk.chunk_max();
    talk.start_with(&start)?;
    talk.put(1, &content[..chunk])?;
    talk.remark("a copy of the start arrives late");
    talk.send(&start);
    talk.replies(QUIET)?;
    talk.stage.alive("the start came again in the middle of the transfer")?;
    talk.finish(&name, &content, 2)
        .map_err(|fault| fault.after("after the start came again in the middle of the transfer"))
}

fn data_lost(play: &mut Play<'_>) -> Result<(), Fault> {
    let (name, mut talk, content) = begun(play, 3)?;
    let lost = talk.data_words(2);
    talk.remark(&format!("{lost} is lost four times"));
    talk.stage.pause(Duration::from_secs(2))?;
    talk.finish(&name, &content, 2).map_err(|fault| fault.after("after 2 s of silence"))
}

fn data_repeated(play: &mut Play<'_>) -> Result<(), Fault> {
    let (name, mut talk, content) = begun(play, 4)?;
    let chunk = talk.chunk_max();
    talk.put(2, &content[chunk..2 * chunk])?;
    talk.remark("its acknowledgement is lost");
    talk.stage.pause(AGAIN)?;
    let datagram = talk.data_message(2, &content[chunk..2 * chunk]);
    talk.send(&datagram);
    let what = format!("{} was sent again", talk.data_words(2));
    let acked = talk.await_ack(2, &what).map(drop);
    let repeated = talk.data_words(2);
    let rest = talk.finish(&name, &content, 3).map_err(|fault| seems_twice(fault, &repeated));
    let rest = rest.map_err(|fault| fault.after(&format!("after {repeated} came twice")));
    [acked, rest].into_iter().try_for_each(|result| play.blame(result))
}

/// A server that counts a chunk twice has too many bytes before the end, and may go no further.
fn seems_twice(fault: Fault, chunk: &str) -> Fault {
    match fault {
        Fault::Broken(why) if why.contains("no answer") => Fault::Broken(format!(
            "{why}; it seems that {chunk} was stored a second time, and that with it the file is longer than announced"
        )),
        other => other,
    }
}

fn data_repeated_late(play: &mut Play<'_>) -> Result<(), Fault> {
    let (name, mut talk, content) = begun(play, 4)?;
    let chunk = talk.chunk_max();
    talk.put(2, &content[chunk..2 * chunk])?;
    talk.remark("a late copy of an older chunk");
    let datagram = talk.data_message(1, &content[..chunk]);
    talk.send(&datagram);
    let moved = talk.replies(QUIET)?.iter().find(|reply| talk.acknowledges(reply, 3)).map(|reply| words(reply));
    let old = talk.data_words(1);
    let rest = talk.finish(&name, &content, 3).map_err(|fault| seems_twice(fault, &old));
    if let Some(reply) = moved {
        play.fault(format!("a late copy of {old} was answered with `{reply}`, as if it were the next chunk"));
    }
    play.blame(rest.map_err(|fault| fault.after(&format!("after a late copy of {old} came"))))
}

fn data_reordered(play: &mut Play<'_>) -> Result<(), Fault> {
    let (name, mut talk, content) = begun(play, 4)?;
    let chunk = talk.chunk_max();
    talk.remark("the next two change places");
    let third = talk.data_message(3, &content[2 * chunk..3 * chunk]);
    talk.send(&third);
    let is_acked = talk.replies(QUIET)?.iter().any(|reply| talk.acknowledges(reply, 3));
    let result = finish_after_gap(&mut talk, &name, &content, is_acked);
    let (early, missing) = (talk.data_words(3), talk.data_words(2));
    let Err(Fault::Broken(why)) = result else { return result };
    if !is_acked {
        return Err(Fault::Broken(format!("{early} came before {missing}: {why}")));
    }
    // Was it thrown away? Then it is taken when it comes again.
    let thrown_away = talk.finish(&name, &content, 3).is_ok() && talk.stage.folder().is_some();
    Err(Fault::Broken(match thrown_away {
        true => {
            format!("{early} came before {missing} and was acknowledged, but thrown away: no file until it came again")
        }
        false => format!("{early} came before {missing} and was acknowledged all the same: {why}"),
    }))
}

/// The second chunk comes after the third; the third is sent again unless it was acknowledged.
fn finish_after_gap(talk: &mut Talk<'_>, name: &str, content: &[u8], third_is_acked: bool) -> Result<(), Fault> {
    let chunk = talk.chunk_max();
    let second = talk.data_message(2, &content[chunk..2 * chunk]);
    talk.send(&second);
    // A server that keeps what comes early may acknowledge both at once.
    let replies = talk.replies(QUIET)?;
    let both = replies.iter().any(|reply| talk.acknowledges(reply, 3));
    if !both && !replies.iter().any(|reply| talk.acknowledges(reply, 2)) {
        talk.stage.alive("chunks came in the wrong order")?;
        let (missing, expected) = (talk.data_words(2), talk.ack_words(2));
        return Err(Fault::broken(format!("{missing} was sent then, and {expected} did not come")));
    }
    talk.finish(name, content, if third_is_acked || both { 4 } else { 3 })
}

fn data_future(play: &mut Play<'_>) -> Result<(), Fault> {
    let (name, mut talk, content) = begun(play, 3)?;
    let datagram = talk.data_message(AHEAD, b"from the future");
    talk.send(&datagram);
    let what = format!("`{}` while {} was expected", words(&datagram), talk.data_words(2));
    let acked = talk.replies(QUIET)?.iter().find(|reply| talk.acknowledges(reply, AHEAD)).map(|reply| words(reply));
    talk.stage.alive(&what)?;
    let rest = talk.finish(&name, &content, 2);
    if let Some(reply) = acked {
        play.fault(format!("{what} was acknowledged with `{reply}`, though the chunks before it are missing"));
    }
    play.blame(rest.map_err(|fault| fault.after(&format!("after {what}"))))
}

fn last_ack_lost(play: &mut Play<'_>) -> Result<(), Fault> {
    let name = play.name();
    let mut talk = play.talk()?;
    let content = some_chunks(&talk, 2);
    let chunk = talk.chunk_max();
    talk.start(&name, content.len())?;
    talk.put_rest(&content, 1)?;
    talk.remark("the last acknowledgement is lost");
    talk.stage.pause(AGAIN)?;
    let datagram = talk.data_message(2, &content[chunk..]);
    talk.send(&datagram);
    let what = format!("the last chunk, {}, was sent again", talk.data_words(2));
    let acked = talk.await_ack(2, &what).map(drop);
    talk.stage.pause(Duration::from_millis(200))?;
    let saved = talk.saved(&name, &content);
    [acked, saved].into_iter().try_for_each(|result| play.blame(result))
}

fn idle_forgotten(play: &mut Play<'_>) -> Result<(), Fault> {
    if play.spelling == Spelling::Compact {
        return Err(Fault::NotApplicable("the compact text has no such limit".into()));
    }
    let (name, mut talk, content) = begun(play, 3)?;
    let chunk = talk.chunk_max();
    talk.stage.pause(Duration::from_millis(4500))?;
    talk.stage.alive("4.5 s of silence")?;
    let datagram = talk.data_message(2, &content[chunk..2 * chunk]);
    talk.send(&datagram);
    let is_acked = talk.replies(QUIET)?.iter().any(|reply| talk.acknowledges(reply, 2));
    let late = talk.data_words(2);
    if is_acked {
        return Err(Fault::Broken(format!("{late} was acknowledged after 4.5 s of silence")));
    }
    if let Some(epitaph) = talk.stage.epitaph() {
        // Dying of data without a transfer is another case's fault, and shows that there was none any more.
        return Err(Fault::NotApplicable(format!("it dies of another chunk then: {epitaph}")));
    }
    // By another client: whether a port that is used again is a new one is another question.
    play.talk()?.copy(&name, &content)
}

/// A chunk number that cannot be the next one.
const AHEAD: usize = 102;

/// The course's clients repeat after half a second; so long a server must not wait.
const AGAIN: Duration = Duration::from_millis(300);
