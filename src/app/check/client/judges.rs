//! Who decides whether a client kept the rule. A judge gives what is remarkable, or the fault.

use super::behaviour::Last;
use super::performance::Performance;
use crate::app::check::content::difference;
use crate::app::check::finding::Fault;
use crate::packet::lab::{COMPACT_BUFSIZE, Spelling};
use std::time::Duration;

/// The file is there, as it was sent.
pub(super) fn delivered(performance: &Performance) -> Result<String, Fault> {
    let Performance { saved, content, name, behaviour, .. } = performance;
    let found = saved.iter().find(|(found, _)| found == name).or(saved.first());
    let why = match found {
        Some((_, bytes)) if bytes == content => return Ok(remarks(performance)),
        Some((_, bytes)) => {
            let chunk = behaviour.longest.0.max(1);
            let about = |index: usize| format!("about chunk {}", index + 1);
            difference(content, bytes, chunk, about).unwrap_or_default()
        }
        None => "the file did not arrive".to_string(),
    };
    Err(Fault::broken(explained(performance, why)))
}

/// The reason behind a failure: the first rule that was broken, or where the client stopped.
fn explained(performance: &Performance, why: String) -> String {
    let Performance { behaviour, epitaph, status, .. } = performance;
    let crashed = status.is_some_and(|status| !status.success());
    let mut reasons = vec![why];
    reasons.extend(behaviour.faults.iter().take(2).cloned());
    match &behaviour.last {
        None => reasons.push("it sent no start".into()),
        Some(Last { answered: None, text, times: 1, .. }) => reasons.push(format!("it sent `{text}` only once")),
        Some(Last { answered: None, text, times, over, .. }) => {
            let gave_up = if status.is_some() { "it gave up after sending" } else { "it sent" };
            reasons.push(format!("{gave_up} `{text}` {times} times in {:.1} s", over.as_secs_f64()));
        }
        Some(last @ Last { answered: Some(after), text, .. }) if behaviour.faults.is_empty() => {
            let late = if *after < LATE { String::new() } else { format!(" after {:.1} s", after.as_secs_f64()) };
            reasons.push(format!("it went no further than `{text}`, which was acknowledged{late}"));
            let (sent, size) = (behaviour.bytes, performance.content.len());
            if sent != size && behaviour.announced.is_some() {
                reasons.push(format!("its chunks had {sent} bytes together, and the file has {size}"));
            }
            reasons.extend(confused(last));
        }
        Some(_) => {}
    }
    if crashed || status.is_none() {
        reasons.push(epitaph.clone());
    }
    reasons.dedup();
    reasons.join("; ")
}

/// What else came to a client that got its answer and went no further all the same.
fn confused(last: &Last) -> Option<String> {
    let Last { text, times, over, others, .. } = last;
    let other = others.first()?;
    let is_hasty = *times > 1 && *over < LATE * (times - 1);
    Some(match is_hasty {
        true => format!(
            "it repeats at once whatever else comes, such as `{other}`: it sent `{text}` {times} times in {:.2} s",
            over.as_secs_f64()
        ),
        false => format!("`{other}` came as well"),
    })
}

fn remarks(performance: &Performance) -> String {
    match performance.status {
        Some(status) if status.success() => String::new(),
        _ => format!("the file is right, but {}", performance.epitaph),
    }
}

/// The start names the file as it shall be called there.
pub(super) fn named(performance: &Performance) -> Result<String, Fault> {
    let Some(start) = &performance.behaviour.start else { return delivered(performance) };
    let named = start.split('|').nth(2).map(str::trim).unwrap_or_default();
    match named == performance.name {
        true => Ok(String::new()),
        false => Err(Fault::broken(format!("\"{}\" was to be sent, `{start}` names it \"{named}\"", performance.name))),
    }
}

/// Only what comes from the server counts.
pub(super) fn true_sender(performance: &Performance) -> Result<String, Fault> {
    delivered(performance).map_err(|fault| match fault {
        Fault::Broken(why) => Fault::Broken(format!(
            "it did not ignore answers from another port, and the only one for its first chunk came from there: {why}"
        )),
        other => other,
    })
}

/// The file is there, and was not acknowledged by mere luck: nothing was sent before the answer to what went before, and the
/// last message was answered.
pub(super) fn insistent(performance: &Performance) -> Result<String, Fault> {
    let remark = delivered(performance)?;
    let behaviour = &performance.behaviour;
    match (behaviour.faults.first(), &behaviour.last) {
        (Some(fault), _) => Err(Fault::broken(fault.clone())),
        (None, Some(Last { answered: None, text, times, .. })) => {
            let times = if *times == 1 { "only once".to_string() } else { format!("{times} times") };
            let why = format!("it sent `{text}` {times}, and did not wait for the acknowledgement");
            Err(Fault::broken(if remark.is_empty() { why } else { format!("{why}; {remark}") }))
        }
        _ => Ok(remark),
    }
}

/// A repeat is one message.
pub(super) fn repeated_singly(performance: &Performance) -> Result<String, Fault> {
    match performance.behaviour.doubled.as_slice() {
        // A machine that stands still for a moment may bring two repeats together once.
        [text, _, ..] => Err(Fault::broken(format!("when it repeats `{text}` it sends it twice at once"))),
        _ => delivered(performance),
    }
}

/// Weather of the compact course: the spaced one asks for less patience than it takes. To run out of patience is no fault there,
/// to break a rule is.
pub(super) fn delivered_if_patient(performance: &Performance) -> Result<String, Fault> {
    let breaks_rules = !performance.behaviour.faults.is_empty();
    delivered(performance).map_err(|fault| match (fault, performance.spelling) {
        (Fault::Broken(why), Some(Spelling::Spaced)) if !breaks_rules => Fault::NotApplicable(format!(
            "the spaced hand-out asks for 5 tries of 0.5 s, and an answer takes 2.2 s here: {why}"
        )),
        (fault, _) => fault,
    })
}

/// Chunks count from the start's number.
pub(super) fn numbered(performance: &Performance) -> Result<String, Fault> {
    let numbers = &performance.behaviour.numbers;
    let Some((start, chunks)) = numbers.split_first() else {
        return Err(Fault::broken(explained(performance, "no start came".into())));
    };
    let expected = |index: usize| match performance.spelling {
        Some(Spelling::Compact) => (index as u64 + 1) % 2,
        _ => start + index as u64 + 1,
    };
    let wrong = chunks.iter().enumerate().find(|(index, number)| **number != expected(*index));
    match wrong {
        Some((index, number)) => {
            let right = expected(index);
            Err(Fault::broken(format!(
                "the start had the number {start}; chunk {} has {number} instead of {right}",
                index + 1
            )))
        }
        None if chunks.is_empty() => Err(Fault::broken(explained(performance, "no chunk came".into()))),
        None => Ok(remarks(performance)),
    }
}

/// No datagram is longer than announced.
pub(super) fn within_buffer(performance: &Performance) -> Result<String, Fault> {
    let (length, text) = &performance.behaviour.longest;
    let limit = match (performance.spelling, performance.behaviour.announced) {
        (Some(Spelling::Compact), _) => COMPACT_BUFSIZE as u64,
        (_, Some(announced)) => announced,
        (_, None) => {
            return Err(Fault::broken(explained(performance, "it did not get as far as the first chunk".into())));
        }
    };
    if *length as u64 > limit {
        return Err(Fault::broken(format!("`{text}` is a datagram of {length} bytes; the server takes {limit}")));
    }
    delivered(performance)
}

/// After the late acknowledgement chunks are sent once again.
pub(super) fn not_doubled(performance: &Performance) -> Result<String, Fault> {
    let later = performance.behaviour.times_sent.iter().skip(CHUNKS_UNTIL_CALM);
    let twice: Vec<String> =
        later.filter(|(_, times)| *times > 1).map(|(text, times)| format!("`{text}` {times} times")).collect();
    if twice.len() >= DOUBLED_MIN {
        let shown = twice[..twice.len().min(4)].join(", ");
        return Err(Fault::broken(format!(
            "one acknowledgement came late, after its chunk was sent again, and from then on it sent {shown}"
        )));
    }
    delivered(performance)
}

/// The client ends by itself, and does not go on as if the chunk had arrived.
pub(super) fn gives_up(performance: &Performance) -> Result<String, Fault> {
    match performance.behaviour.faults.first() {
        Some(fault) => Err(Fault::broken(format!("it goes on all the same: {fault}"))),
        None => bounded(performance),
    }
}

/// The client ends by itself; in the compact spelling it need not.
pub(super) fn bounded(performance: &Performance) -> Result<String, Fault> {
    let tried = performance.behaviour.last.as_ref();
    let seconds = performance.took.as_secs_f64();
    // What goes to a closed port is seen by nobody.
    let trying = tried.map(|last| match last.times {
        1 => format!("the last that came from it was `{}`, and after {seconds:.0} s it still ran", last.text),
        times => format!("it sent `{}` {times} times in {seconds:.0} s", last.text),
    });
    match (performance.status, performance.spelling) {
        (_, None) => Err(Fault::broken(explained(performance, "it sent no start".into()))),
        (None, Some(Spelling::Compact)) => {
            let trying = trying.unwrap_or_default();
            Err(Fault::NotApplicable(format!("{trying}; the compact hand-out asks for endless repeats")))
        }
        (None, Some(Spelling::Spaced)) => {
            Err(Fault::broken(format!("it does not give up: {}", trying.unwrap_or_default())))
        }
        (Some(status), _) if status.success() => {
            Ok(format!("it gave up after {seconds:.1} s, but with exit code 0, as if all were well"))
        }
        (Some(_), _) => Ok(format!("it gave up after {seconds:.1} s")),
    }
}

/// An answer that takes so long came behind a time-out, or might have.
const LATE: Duration = Duration::from_millis(250);

/// The late acknowledgement is that of the second chunk; by the fifth all its consequences are over.
const CHUNKS_UNTIL_CALM: usize = 4;

/// One repeat may have another reason.
const DOUBLED_MIN: usize = 2;
