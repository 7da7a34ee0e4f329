//! The dissector against the decoder: both read thousands of datagrams, whole, cut, damaged and made up.

use crate::Way::From;
use crate::harness::Folder;
use crate::pcap::Pcap;
use crate::{PORT, tshark};
use homing::packet::{Message, Packet};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// What a datagram says: its fields, or what is wrong with it.
type Reading = BTreeMap<&'static str, String>;

const NUMBERS: [&str; 4] = ["seq", "next", "size", "bufsize"];
const WORDS: [&str; 4] = ["type", "spelling", "sha256", "start_id"];
const BYTES: [&str; 4] = ["name", "data", "words", "reason"];

#[test]
fn the_dissector_reads_what_the_decoder_reads() {
    if !tshark::is_here() {
        return;
    }
    let (folder, mut capture) = (Folder::new(), Pcap::new());
    let datagrams = datagrams();
    let [from, to] = From(1).ends(PORT);
    for datagram in &datagrams {
        capture.datagram(Duration::ZERO, from, to, datagram);
    }
    let path = folder.at("capture.pcap");
    capture.write(&path);
    // Only the protocol's own layer, with the bytes of each field.
    let json = tshark::read(&path, &["-T", "json", "-x", "-J", "homing"]).join("\n");
    let packets: Vec<Value> = serde_json::from_str(&json).expect("JSON");
    assert_eq!(packets.len(), datagrams.len());
    for (datagram, packet) in datagrams.iter().zip(&packets) {
        let layer = &packet["_source"]["layers"]["homing"];
        assert_eq!(dissected(layer), decoded(datagram), "{}", datagram.escape_ascii());
    }
}

/// The fixtures, all their beginnings, the shorter ones with each bit flipped, and messages of shuffled pieces.
fn datagrams() -> BTreeSet<Vec<u8>> {
    let mut datagrams = BTreeSet::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lab");
    for entry in fs::read_dir(folder).expect("the fixtures") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "bin") {
            let fixture = fs::read(path).expect("a file");
            datagrams.extend((0..=fixture.len()).map(|end| fixture[..end].to_vec()));
            if fixture.len() < 20 {
                datagrams.extend((0..fixture.len() * 8).map(|bit| with_flipped(&fixture, bit)));
            }
        }
    }
    let mut dice = fastrand::Rng::with_seed(1);
    datagrams.extend((0..3000).map(|_| shuffled(&mut dice)));
    datagrams
}

fn with_flipped(datagram: &[u8], bit: usize) -> Vec<u8> {
    let mut copy = datagram.to_vec();
    copy[bit / 8] ^= 1 << (bit % 8);
    copy
}

/// Numbers, other things and separators, of which most are those of the spelling: where cutting can go wrong.
fn shuffled(dice: &mut fastrand::Rng) -> Vec<u8> {
    const FIELDS: [&[u8]; 10] = [
        b"0",
        b"7",
        b"0042",
        b"1207959552",
        b"18446744073709551615",
        b"18446744073709551616",
        b"x",
        b"\n",
        b"\xff",
        b" ",
    ];
    let [own, other]: [&[u8]; 2] = if dice.bool() { [b" | ", b"|"] } else { [b"|", b" | "] };
    let mut datagram = [&[*dice.choice(b"sdance").expect("a letter")], own].concat();
    for _ in 0..dice.usize(..5) {
        datagram.extend_from_slice(dice.choice(FIELDS).expect("a field"));
        datagram.extend_from_slice(dice.choice([own, own, own, other, b""]).expect("a separator"));
    }
    datagram
}

fn decoded(datagram: &[u8]) -> Reading {
    let (spelling, message) = match Packet::decode(datagram) {
        // UDP hands nothing on where there is nothing.
        _ if datagram.is_empty() => return Reading::new(),
        Ok(Packet::Windowed(_)) => return Reading::new(),
        Err(reason) => return Reading::from([("malformed", format!("Malformed message: {reason}"))]),
        Ok(Packet::Lab(spelling, message)) => (spelling, message),
    };
    let number = |value: u64| Some(value.to_string());
    let bytes = |bytes: &[u8]| Some(hex::encode(bytes));
    let fields = match message {
        Message::Start { seq, name, size, .. } => {
            vec![("type", Some("s".into())), ("seq", number(seq)), ("name", bytes(name)), ("size", number(size))]
        }
        // An empty chunk has no bytes to show.
        Message::Data { seq, bytes: chunk } => vec![
            ("type", Some("d".into())),
            ("seq", number(seq)),
            ("data", bytes(chunk).filter(|bytes| !bytes.is_empty())),
        ],
        Message::Ack { next, bufsize, words } => vec![
            ("type", Some("a".into())),
            ("next", number(next)),
            ("bufsize", bufsize.and_then(number)),
            ("words", words.and_then(bytes)),
        ],
        Message::Refusal { next } => vec![("type", Some("n".into())), ("next", number(next))],
        Message::Checksum { seq, sha256, start } => vec![
            ("type", Some("c".into())),
            ("seq", number(seq)),
            ("sha256", bytes(&sha256)),
            ("start_id", bytes(&start)),
        ],
        Message::Error { seq, reason } => {
            vec![("type", Some("e".into())), ("seq", number(seq)), ("reason", bytes(reason))]
        }
    };
    let spelling = ("spelling", Some(spelling.word().to_owned()));
    fields.into_iter().chain([spelling]).filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The same of what tshark says: values of numbers and words, and the bytes that the others were cut to. Where there are
/// none at the end of a datagram it has only an empty value.
fn dissected(layer: &Value) -> Reading {
    let value = |name: &str| layer[format!("homing.{name}")].as_str().map(ToOwned::to_owned);
    let raw = |name: &str| layer[format!("homing.{name}_raw")][0].as_str().map(ToOwned::to_owned);
    let complaint = layer["_ws.expert"]["_ws.expert.message"].as_str().filter(|text| text.starts_with("Malformed"));
    let values = NUMBERS.into_iter().chain(WORDS).map(|name| (name, value(name)));
    let bytes = BYTES.into_iter().map(|name| (name, raw(name).or_else(|| value(name))));
    let malformed = ("malformed", complaint.map(ToOwned::to_owned));
    values.chain(bytes).chain([malformed]).filter_map(|(name, value)| Some((name, value?))).collect()
}
