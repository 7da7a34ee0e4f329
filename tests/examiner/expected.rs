//! What the examination of each broken peer must say: the words without which a student would not understand.

use Reason::{DoesNotApply, Fails, NothingToBreak, TooLong};

/// A fault of the broken peer, by its name there, and what comes out in each spelling.
pub struct Expected {
    pub fault: &'static str,
    pub spaced: Reason,
    pub compact: Reason,
}

/// What comes out, with the fragments that the reason must have.
#[derive(Clone, Copy)]
pub enum Reason {
    Fails(&'static [&'static str]),
    DoesNotApply(&'static [&'static str]),
    /// The fault is none in this spelling.
    NothingToBreak,
    /// It does not apply, and to find that out takes as long as a case may.
    TooLong,
}

const fn both(fault: &'static str, fragments: &'static [&'static str]) -> Expected {
    Expected { fault, spaced: Fails(fragments), compact: Fails(fragments) }
}

const fn each(fault: &'static str, spaced: &'static [&'static str], compact: &'static [&'static str]) -> Expected {
    Expected { fault, spaced: Fails(spaced), compact: Fails(compact) }
}

const fn spaced(fault: &'static str, spaced: &'static [&'static str], compact: Reason) -> Expected {
    Expected { fault, spaced: Fails(spaced), compact }
}

const TWO_NUMBERS: Reason = DoesNotApply(&["alternates"]);
const MAY_END: Reason = DoesNotApply(&["the server is gone after", "the compact hand-out asks a server to end then"]);

pub const SERVERS: &[Expected] = &[
    each(
        "start-answered",
        &["`s | 39 | start-answered-39.txt | 10` was sent: `a | 0 | 1024` came instead of `a | 40`"],
        &["`a|0` came instead of `a|1`"],
    ),
    each(
        "buffer-size",
        &["datagrams of 1024 bytes", "no file appeared", "all 2032 bytes"],
        &["datagrams of 20480 bytes", "no file appeared"],
    ),
    each(
        "answers-once",
        &["`d | 1 | <1016 bytes>` got 2 answers: `a | 2`, `a | 2`"],
        &["`d|1|<20476 bytes>` got 2 answers: `a|0`, `a|0`"],
    ),
    both("answers-once:empty", &["got 2 answers", "`(empty)`"]),
    each("ack-not-answered", &["`a | 1` was answered with `a | 1`"], &["`a|1` was answered with `a|1`"]),
    both("file-empty", &["file-empty.txt", "no file appeared, only after an empty data message"]),
    both("file-one-byte", &["no file appeared", "all 1 bytes of file-one-byte.txt were sent"]),
    each("file-chunk-minus-one", &["no file appeared", "all 1015 bytes"], &["no file appeared", "all 20475 bytes"]),
    each("file-chunk", &["no file appeared", "all 1016 bytes"], &["no file appeared", "all 20476 bytes"]),
    each(
        "file-chunk-plus-one",
        &["ends too early, in `d | 2`: 1016 bytes instead of 1017"],
        &["ends too early, in chunk 2 (`d|0`): 20476 bytes instead of 20477"],
    ),
    both("file-megabyte", &["no file appeared", "all 1000000 bytes"]),
    both("separator-in-data", &["no file appeared", "of separator-in-data.txt were sent"]),
    both("equal-chunks", &["no file appeared", "of equal-chunks.txt were sent"]),
    both("newline-in-data", &["no file appeared", "of newline-in-data.txt were sent"]),
    both("binary-data", &["the server is gone after", "d", "UnicodeDecodeError"]),
    both("name-with-space", &[r#""my lab report.txt" was saved as ["my"]"#]),
    both("file-name", &[r#""Report-2.final.txt" was saved as ["(received) Report-2.final.txt"]"#]),
    both("file-name:stripped", &[r#"was saved as ["Report-2.final"]"#]),
    each("overwrite", &["too many bytes at its end", "3048 bytes instead of"], &["too many bytes at its end"]),
    both("path-escape", &[r#""../parent.txt" led out of the folder"#]),
    both("oversize", &["announced 1000 bytes", "1016 came", "more than were announced"]),
    each("start-lost", &["gone after `d | 1 |", "without a start", "KeyError"], &["gone after `d|1|", "KeyError"]),
    each(
        "start-repeated",
        &["the start was sent again: no answer", "expected `a | 1`"],
        &["the start was sent again: no answer", "expected `a|1`"],
    ),
    spaced(
        "start-repeated:no-size",
        &["the second acknowledgement of the start does not announce the buffer size"],
        NothingToBreak,
    ),
    each(
        "start-late",
        &["after the start came again in the middle of the transfer", "`d | 2` was sent: no answer", "`a | 3`"],
        &["after the start came again in the middle of the transfer", "chunk 2 (`d|0`) was sent: no answer", "`a|1`"],
    ),
    both("start-late:dies", &["gone after the start came again in the middle of the transfer", "RuntimeError"]),
    each(
        "data-lost",
        &["after 2 s of silence", "`d | 2` was sent: no answer"],
        &["after 2 s of silence", "chunk 2 (`d|0`) was sent: no answer"],
    ),
    each(
        "data-repeated",
        &["after `d | 2` came twice", "`d | 3` was sent: no answer"],
        &["after chunk 2 (`d|0`) came twice", "chunk 3 (`d|1`) was sent: no answer"],
    ),
    each(
        "data-repeated:silent",
        &["`d | 2` was sent again: no answer", "`a | 3`"],
        &["chunk 2 (`d|0`) was sent again: no answer", "`a|1`"],
    ),
    each(
        "data-repeated:next",
        &["`d | 2` was sent again: `a | 4` came instead of `a | 3`"],
        &["chunk 2 (`d|0`) was sent again: `a|0` came instead of `a|1`"],
    ),
    spaced("data-repeated-late", &["after a late copy of `d | 1` came", "`d | 3` was sent: no answer"], TWO_NUMBERS),
    spaced(
        "data-reordered",
        &["`d | 3` came before `d | 2` and was acknowledged all the same", "`d | 3` is in the place of `d | 2`"],
        TWO_NUMBERS,
    ),
    spaced(
        "data-future",
        &["while `d | 2` was expected was acknowledged with `a | 103`", "the chunks before it are missing"],
        DoesNotApply(&["only the numbers 0 and 1"]),
    ),
    each(
        "last-ack-lost",
        &["the last chunk, `d | 2`, was sent again: no answer", "`a | 3`"],
        &["the last chunk, chunk 2 (`d|0`), was sent again: no answer", "`a|1`"],
    ),
    each("last-ack-lost:stored", &["`d | 2` is in the file twice"], &["chunk 2 (`d|0`) is in the file twice"]),
    spaced("idle-forgotten", &["`d | 2` was acknowledged after 4.5 s of silence"], DoesNotApply(&["no such limit"])),
    each(
        "two-clients",
        &["client 1 of 2: `d | 1` was sent: no answer"],
        &["client 1 of 2: chunk 1 (`d|1`)", "no answer"],
    ),
    both("ten-clients", &["client 6 of 10", "ten-clients-6.txt", "no answer"]),
    both("same-port", &["two clients with the port", "client 1 of 2", "no answer"]),
    each("second-file", &["the second file: `d | 1`", "no answer"], &["the second file: chunk 1 (`d|1`)", "no answer"]),
    // On a busy machine it is still ending when the next messages come, so that one of those may be named.
    spaced("unknown-message", &["the server is gone after `", "exit code 1: unknown message b'hello'"], MAY_END),
    spaced("malformed-message", &["the server is gone after `", "ValueError: cannot read b's | '"], MAY_END),
];

const LOST: &str = "the file did not arrive";

/// What slow links do to a client whose timer is too fast and that counts every acknowledgement: it begins with the first
/// chunk, whether an old answer is taken for another or none is awaited.
const TAKEN_FOR_ANOTHER: &[&str] = &[LOST, "; it ", "`d | 1 | <1016 bytes>`"];

pub const CLIENTS: &[Expected] = &[
    // A compact client waits on after its last chunk, for an answer that the server only gives to the whole file.
    each(
        "plain-copy",
        &[LOST, "no further than `d | 4 | <507 bytes>`", "3555 bytes together, and the file has 3556"],
        &[LOST, "gave up after sending `d|0|<10237 bytes>`"],
    ),
    both("file-name", &[r#""file-name.txt" was to be sent, `s"#, r#"names it "txt""#]),
    both("chunk-numbers", &["the start had the number 0", "instead of"]),
    both("file-empty", &[LOST, "it sent no start"]),
    each("file-one-byte", &[LOST, "no further than `s | 0 | file-one-byte.txt | 1`"], &[LOST, "no further than `s|0|"]),
    both("file-chunk", &[LOST, "no further than `s", "had 0 bytes together"]),
    each(
        "file-chunk-plus-one",
        &[LOST, "no further than `d | 1 |", "1016 bytes together, and the file has 1017"],
        &[LOST, "no further than `d|1|", "20476 bytes together, and the file has 20477"],
    ),
    each(
        "file-megabyte",
        &[LOST, "no further than `d | 256 |", "and the file has 1000000"],
        &[LOST, "no further than `d|0|", "and the file has 1000000"],
    ),
    both("binary-data", &["the file differs from byte 1 on", "came instead of"]),
    each(
        "oversize",
        &["`d | 1 | <1016 bytes>` is a datagram of 1024 bytes; the server takes 64"],
        &["is a datagram of 30004 bytes; the server takes 20480"],
    ),
    each(
        "start-lost",
        &[LOST, "it sent `s | 0 | start-lost.txt | 3556` only once"],
        &[LOST, "it sent `s|0|", "only once"],
    ),
    each(
        "start-ack-lost",
        &["it sent `d | 1 |", "though `s | 0 | start-ack-lost.txt | 3556` was not acknowledged"],
        &["it sent `d|1|", "though `s|0|start-ack-lost.txt|71666` was not acknowledged"],
    ),
    each(
        "data-lost",
        &[LOST, "it sent `d | 2 | <1016 bytes>` though `d | 1 | <1016 bytes>` was not acknowledged"],
        &[LOST, "it sent `d|0|<20476 bytes>` though `d|1|<20476 bytes>` was not acknowledged"],
    ),
    each(
        "ack-lost",
        &[LOST, "was not acknowledged", "two different chunks with the number 1"],
        &[LOST, "though `d|1|<20476 bytes>` was not acknowledged"],
    ),
    each(
        "last-ack-lost",
        &["it sent `d | 4 | <508 bytes>` only once", "the file is right, but"],
        &["it sent `d|0|<10238 bytes>` only once", "the file is right, but"],
    ),
    // What was broken first depends on whether the client or the next answer was faster.
    both("ack-repeated", &[LOST, "; it sent `d"]),
    // It gives up at about the time when the late answer comes, so that this may be seen or not.
    both("ack-late", &[LOST, "ack-late.txt", "exit code 1: failed: no answer, 0 of"]),
    each("stale-ack", &[LOST, "it took `a | 1 | 1024` for the acknowledgement of"], &[LOST, "; it sent `d"]),
    // In the compact spelling: that a chunk was sent only once, or that the next one was sent though it was not acknowledged, by
    // whether the client or the next answer was faster.
    each(
        "future-ack",
        &[LOST, "it took `a | 2 | 1024` for the acknowledgement of `s | 0 | future-ack.txt | 3556`"],
        &[LOST, "; it sent `d"],
    ),
    both("garbage", &[LOST, "exit code 1: ValueError: not an acknowledgement: b''"]),
    both("ack-truncated", &[LOST, "exit code 1: ValueError: no number: b'a"]),
    each(
        "wrong-port",
        &["it did not ignore answers from another port", LOST, "it gave up after sending `d | "],
        &["it did not ignore answers from another port", LOST, "it gave up after sending `d|"],
    ),
    each(
        "no-doubling",
        &["one acknowledgement came late", "`d | 5 | <1016 bytes>` 2 times, `d | 6 | <1016 bytes>` 2 times"],
        &["one acknowledgement came late", "2 times, `d|0|<20476 bytes>` 2 times"],
    ),
    spaced(
        "silent-server",
        &["it does not give up: it sent `s | 0 | silent-server.txt | 3556` 1", "times in 45 s"],
        TooLong,
    ),
    spaced("server-forgets", &["it does not give up: it sent `d | 2 | <1016 bytes>`", "times in 45 s"], TooLong),
    spaced("server-dies", &["it does not give up", "`d | 2 | <1016 bytes>`, and after 45 s it still ran"], TooLong),
    each("weather-clean", &[LOST, "no further than `d | 2 |", "bytes together"], &[LOST, "no further than `d|0|"]),
    each("weather-wifi", TAKEN_FOR_ANOTHER, &[LOST, "; it sent `d"]),
    each("weather-cellular", TAKEN_FOR_ANOTHER, &[LOST, "was not acknowledged"]),
    each("weather-satellite", TAKEN_FOR_ANOTHER, &[LOST, "was not acknowledged"]),
    each("weather-lab", TAKEN_FOR_ANOTHER, &[LOST, "was not acknowledged"]),
    each("weather-hostile", TAKEN_FOR_ANOTHER, &[LOST, "was not acknowledged"]),
];
