//! The table of the cases for clients.

use super::judges::{
    bounded, delivered, delivered_if_patient, gives_up, insistent, named, not_doubled, numbered, repeated_singly,
    true_sender, within_buffer,
};
use super::performance::Performance;
use crate::app::check::finding::{Fault, Rule};
use crate::weather::Misbehaviour;

/// A case: a rule, what is done to the client, and who judges what it makes of it.
pub struct ClientCase {
    /// What is examined.
    pub rule: Rule,
    /// Words, as `bad_server --fault` takes them.
    pub(super) weather: &'static str,
    pub(super) misbehaviour: Option<Misbehaviour>,
    pub(super) file: Sent,
    pub(super) judge: Judge,
}

/// The file that a case sends.
#[derive(Clone, Copy)]
pub(super) enum Sent {
    /// So many bytes.
    Bytes(usize),
    /// So many chunks as the spelling's usual datagrams hold, and half a chunk less.
    Chunks(usize),
    /// Exactly one such chunk, and so many bytes.
    ChunkAnd(usize),
    /// All byte values.
    Binary,
}

/// Gives what is remarkable, or the fault.
type Judge = fn(&Performance) -> Result<String, Fault>;

/// All cases, in the order of the table; those that take long stand last.
pub fn cases() -> Vec<ClientCase> {
    let plain = PLAIN.iter().map(|(case, rule, file, judge)| ClientCase {
        rule: Rule { case, rule },
        weather: "",
        misbehaviour: None,
        file: *file,
        judge: *judge,
    });
    let misbehaved = MISBEHAVED.iter().map(|(case, rule, misbehaviour, chunks, judge)| ClientCase {
        rule: Rule { case, rule },
        weather: "",
        misbehaviour: Some(*misbehaviour),
        file: Sent::Chunks(*chunks),
        judge: *judge,
    });
    let stormy = STORMY.iter().map(|(case, rule, weather, judge)| ClientCase {
        rule: Rule { case, rule },
        weather,
        misbehaviour: None,
        file: Sent::Chunks(4),
        judge: *judge,
    });
    plain.chain(misbehaved).chain(stormy).collect()
}

/// On a perfect network.
const PLAIN: &[(&str, &str, Sent, Judge)] = &[
    ("plain-copy", "On a perfect network the file arrives.", Sent::Chunks(4), delivered),
    ("file-name", "The start has the name that the file shall have there.", Sent::Chunks(1), named),
    ("chunk-numbers", "Chunks are numbered from the start's number on, one by one.", Sent::Chunks(4), numbered),
    ("file-empty", "A file of 0 bytes arrives.", Sent::Bytes(0), delivered),
    ("file-one-byte", "A file of 1 byte arrives.", Sent::Bytes(1), delivered),
    ("file-chunk", "A file of exactly one chunk arrives.", Sent::ChunkAnd(0), delivered),
    ("file-chunk-plus-one", "A file one byte longer than a chunk arrives.", Sent::ChunkAnd(1), delivered),
    ("file-megabyte", "A file of 1 MB arrives.", Sent::Bytes(1_000_000), delivered),
    ("binary-data", "A file may contain every byte.", Sent::Binary, delivered),
];

/// With a server that does one thing wrong.
const MISBEHAVED: &[(&str, &str, Misbehaviour, usize, Judge)] = &[
    (
        "oversize",
        "No chunk's datagram is longer than the buffer that the server announced.",
        Misbehaviour::TinyBuffer,
        4,
        within_buffer,
    ),
    ("start-lost", "A start that is not answered is sent again.", Misbehaviour::LoseStart, 4, delivered),
    (
        "start-ack-lost",
        "The start is sent again when its acknowledgement is lost.",
        Misbehaviour::LoseStartAck,
        4,
        insistent,
    ),
    (
        "data-lost",
        "A chunk that is lost is sent again, once for each time-out.",
        Misbehaviour::LoseEveryOtherData,
        4,
        repeated_singly,
    ),
    ("ack-lost", "A chunk whose acknowledgement is lost is sent again.", Misbehaviour::LoseEveryOtherAck, 4, delivered),
    (
        "last-ack-lost",
        "The last chunk is sent again when its acknowledgement is lost.",
        Misbehaviour::LoseLastAck,
        4,
        insistent,
    ),
    ("ack-repeated", "An acknowledgement that comes twice counts once.", Misbehaviour::DuplicateAcks, 4, delivered),
    ("ack-late", "Acknowledgements 1.2 s late, after the time-out, do no harm.", Misbehaviour::LateAcks, 4, delivered),
    (
        "stale-ack",
        "An old acknowledgement does not count for the chunk at hand.",
        Misbehaviour::StaleAcks,
        4,
        delivered,
    ),
    ("future-ack", "An acknowledgement with a number too high does not count.", Misbehaviour::FutureAcks, 4, delivered),
    ("garbage", "Empty and senseless datagrams are ignored.", Misbehaviour::Garbage, 4, delivered),
    ("ack-truncated", "An acknowledgement without its number is ignored.", Misbehaviour::TruncatedAcks, 4, delivered),
    ("wrong-port", "An answer from somebody else than the server is ignored.", Misbehaviour::WrongPort, 4, true_sender),
    (
        "no-doubling",
        "One acknowledgement that comes late, beside that of the repeat, does not make every later chunk go out twice.",
        Misbehaviour::LateAck,
        10,
        not_doubled,
    ),
    ("silent-server", "Without any answer the client gives up, within 40 s.", Misbehaviour::Silent, 4, bounded),
    (
        "server-forgets",
        "When a server forgets the transfer in the middle, the client gives up: no next chunk, no endless repeats.",
        Misbehaviour::Forgets,
        4,
        gives_up,
    ),
    (
        "server-dies",
        "A server that ends in the middle does not keep the client for ever.",
        Misbehaviour::DiesMidway,
        4,
        bounded,
    ),
];

/// In bad weather, as `bad_server --fault` takes it.
const STORMY: &[(&str, &str, &str, Judge)] = &[
    ("weather-clean", "The file arrives on a clean link.", "clean", delivered),
    ("weather-wifi", "The file arrives over Wi-Fi: 3 to 9 ms each way.", "wifi", delivered),
    ("weather-cellular", "The file arrives over a cellular link: 30 to 55 ms each way.", "cellular", delivered),
    ("weather-satellite", "The file arrives over a satellite: 290 to 310 ms each way.", "satellite", delivered),
    (
        "weather-lab",
        "The file arrives in the course's weather: 15 % lost, 1100 ms each way.",
        "lab",
        delivered_if_patient,
    ),
    // The protocol has no checksum: damage is nobody's fault.
    (
        "weather-hostile",
        "The file arrives in hostile weather: lost, repeated, late and out of order.",
        "hostile,corrupt=0",
        delivered,
    ),
];
