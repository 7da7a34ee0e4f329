//! Several clients, and several files.

use super::play::{Play, Scope, ServerCase, case, some_chunks};
use crate::app::check::content::letters;
use crate::app::check::finding::Fault;
use crate::app::check::talk::Talk;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

pub(super) fn cases() -> Vec<ServerCase> {
    vec![
        case(
            "two-clients",
            "Two clients at once, message by message in turns, both get their files there.",
            Scope::All,
            |play| together(play, 2),
        ),
        case(
            "ten-clients",
            "Ten clients at once, message by message in turns, all get their files there.",
            Scope::All,
            |play| together(play, 10),
        ),
        case(
            "same-port",
            "Two clients with the same port at different addresses are two clients.",
            Scope::Files,
            same_port,
        ),
        case(
            "second-file",
            "A client may send another file from the same address some seconds later.",
            Scope::All,
            second_file,
        ),
    ]
}

fn together(play: &mut Play<'_>, count: usize) -> Result<(), Fault> {
    let talks = (0..count).map(|_| play.talk()).collect::<Result<Vec<_>, Fault>>()?;
    let result = in_turns(talks, play.case);
    play.blame(result)
}

fn same_port(play: &mut Play<'_>) -> Result<(), Fault> {
    let first = play.talk()?;
    let port = first.address()?.port();
    let second = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let Ok(second) = play.talk_at(SocketAddr::new(second, port)) else {
        return Err(Fault::NotApplicable("this machine has no second loopback address".into()));
    };
    let result = in_turns(vec![first, second], play.case)
        .map_err(|fault| fault.after(&format!("two clients with the port {port}, at 127.0.0.1 and 127.0.0.2")));
    play.blame(result)
}

/// Every client sends its start, then every client its first chunk, and so on. What one of them misses is found at the end.
fn in_turns(mut talks: Vec<Talk<'_>>, case: &str) -> Result<(), Fault> {
    let name = |index: usize| format!("{case}-{}.txt", index + 1);
    let contents: Vec<Vec<u8>> = talks
        .iter()
        .enumerate()
        .map(|(index, talk)| letters(2 * talk.chunk_max() + 10 + index, &format!("client{}x", index + 1)))
        .collect();
    let of = |index: usize, fault: Fault| fault.after(&format!("client {} of {}", index + 1, contents.len()));
    for (index, talk) in talks.iter_mut().enumerate() {
        talk.start(&name(index), contents[index].len()).map_err(|fault| of(index, fault))?;
    }
    for number in 1..=3 {
        for (index, talk) in talks.iter_mut().enumerate() {
            let chunk = talk.chunk_max();
            let bytes = contents[index].chunks(chunk).nth(number - 1).unwrap_or_default();
            talk.put(number, bytes).map_err(|fault| of(index, fault))?;
        }
    }
    for (index, talk) in talks.iter().enumerate() {
        talk.saved(&name(index), &contents[index]).map_err(|fault| of(index, fault))?;
    }
    Ok(())
}

fn second_file(play: &mut Play<'_>) -> Result<(), Fault> {
    let name = play.name();
    let mut talk = play.talk()?;
    let mut content = some_chunks(&talk, 2);
    content.truncate(play.harmless(content.len()));
    talk.copy(&format!("first-{name}"), &content)?;
    talk.stage.pause(BETWEEN_FILES)?;
    let other = letters(play.harmless(talk.chunk_max() + 99), "second");
    let second = format!("second-{name}");
    talk.copy(&second, &other).map_err(|fault| fault.after("the second file"))?;
    talk.saved(&format!("first-{name}"), &content)
}

/// By then the course's server has forgotten the first one: it keeps what is finished for a second and sweeps each second.
/// Servers that end when nobody speaks have done so after 3 s or 5 s.
const BETWEEN_FILES: Duration = Duration::from_secs(6);
