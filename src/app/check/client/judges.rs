//! Who decides whether a client kept the rule. A judge gives what is remarkable, or the fault.

use super::behaviour::Last;
use super::performance::Performance;
use crate::app::check::content::difference;
use crate::app::check::finding::Fault;
use crate::packet::lab::Spelling;

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
        Some(Last { answered: false, text, times: 1, .. }) => reasons.push(format!("it sent `{text}` only once")),
        Some(Last { answered: false, text, times, over }) => {
            reasons.push(format!("it gave up after sending `{text}` {times} times in {:.1} s", over.as_secs_f64()));
        }
        Some(Last { answered: true, text, .. }) if behaviour.faults.is_empty() => {
            reasons.push(format!("it went no further than `{text}`, which was acknowledged"));
        }
        Some(_) => {}
    }
    if crashed || status.is_none() {
        reasons.push(epitaph.clone());
    }
    reasons.dedup();
    reasons.join("; ")
}

fn remarks(performance: &Performance) -> String {
    match performance.status {
        Some(status) if status.success() => String::new(),
        _ => format!("the file is right, but {}", performance.epitaph),
    }
}

/// The start names the file as it shall be called there.
pub(super) fn named(performance: &Performance) -> Result<String, Fault> {
    let remark = delivered(performance)?;
    match performance.saved.iter().any(|(name, _)| *name == performance.name) {
        true => Ok(remark),
        false => {
            let names: Vec<&str> = performance.saved.iter().map(|(name, _)| name.as_str()).collect();
            Err(Fault::broken(format!("\"{}\" was to be sent, the start named it {names:?}", performance.name)))
        }
    }
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
        (Some(Spelling::Compact), _) => COMPACT_BUFSIZE,
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

/// The client ends by itself; in the compact spelling it need not.
pub(super) fn bounded(performance: &Performance) -> Result<String, Fault> {
    let tried = performance.behaviour.last.as_ref();
    let seconds = performance.took.as_secs_f64();
    let trying = tried.map(|last| format!("it sent `{}` {} times in {seconds:.0} s", last.text, last.times));
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

const COMPACT_BUFSIZE: u64 = 20_480;

/// The late acknowledgement is that of the second chunk; by the fifth all its consequences are over.
const CHUNKS_UNTIL_CALM: usize = 4;

/// One repeat may have another reason.
const DOUBLED_MIN: usize = 2;
