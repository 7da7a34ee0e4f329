//! The Wireshark dissector in `docs/wireshark`: what tshark says with it of datagrams made here and of real transfers.
//!
//! Without tshark the tests say so and pass; without the right to capture, the one of real transfers does.

#![expect(clippy::disallowed_methods, reason = "tests of real programs use real time and sockets")]

#[path = "programs/harness.rs"]
#[expect(dead_code, reason = "the tests of the programs use the rest")]
mod harness;
#[path = "dissector/live.rs"]
mod live;
#[path = "dissector/pcap.rs"]
mod pcap;
#[path = "dissector/tshark.rs"]
mod tshark;
#[path = "dissector/verdicts.rs"]
mod verdicts;

use Way::{From, To};
use harness::Folder;
use pcap::Pcap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the dissector takes everything for the protocol.
const PORT: u16 = 12300;

const CHECKSUM: &[u8] = b"c | 1207959603 | sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 \
                          | start:0e3d744e1976a4c04048d3e282ec18d6";

/// The fields of the messages themselves.
const CONTENT: &[&str] = &[
    "spelling",
    "seq",
    "next",
    "name",
    "size",
    "offer",
    "bufsize",
    "words",
    "data",
    "data_len",
    "sha256",
    "start_id",
    "reason",
    "malformed",
];

/// The fields that tell what other packets have to do with one.
const ANALYSIS: &[&str] = &[
    "retransmission",
    "retransmission_of",
    "acked_in",
    "refused_in",
    "ack_of",
    "refusal_of",
    "time_to_ack",
    "duplicate_ack",
    "ack_of_nothing",
    "too_long",
];

#[test]
fn every_message_is_shown_with_its_fields() {
    check(
        PORT,
        CONTENT,
        &[
            (
                0,
                From(1),
                b"s | 1207959600 | two words.txt | 0006",
                "s 1207959600, 6 bytes as \"two words.txt\", offering \
             [spelling=spaced seq=1207959600 name=two words.txt size=6 offer=1]",
            ),
            (
                1,
                To(1),
                b"a | 1207959601 | 1400 | homing/1 checked",
                "a 1207959601, buffer 1400, homing/1 checked \
             [spelling=spaced next=1207959601 bufsize=1400 words=homing/1 checked]",
            ),
            (
                2,
                From(1),
                b"d | 1207959601 | a | b\n",
                "d 1207959601, 6 bytes [spelling=spaced seq=1207959601 data=61207c20620a data_len=6]",
            ),
            (3, To(1), b"a | 1207959602", "a 1207959602 [spelling=spaced next=1207959602]"),
            (
                4,
                From(1),
                CHECKSUM,
                "c 1207959603, sha256 5891b5b5..., start 0e3d744e... [spelling=spaced seq=1207959603 \
             sha256=5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 \
             start_id=0e3d744e1976a4c04048d3e282ec18d6]",
            ),
            (
                5,
                To(1),
                b"e | 1207959603 | no | space",
                "e 1207959603, no | space [spelling=spaced seq=1207959603 reason=no | space]",
            ),
            (6, To(1), b"n | 2", "n 2 [spelling=spaced next=2]"),
            (
                7,
                From(2),
                b"s|1207959600|a|b.jpg|6",
                "s 1207959600, 6 bytes as \"a|b.jpg\" [spelling=compact seq=1207959600 name=a|b.jpg size=6 offer=0]",
            ),
            (
                8,
                To(2),
                b"a|1|20480",
                "a 1, buffer 20480 (acknowledges nothing that was sent) \
             [spelling=compact next=1 bufsize=20480]",
            ),
            (9, From(2), b"d|1|", "d 1, 0 bytes [spelling=compact seq=1 data_len=0]"),
            (10, To(2), b"a|02", "a 2 [spelling=compact next=2]"),
            (
                11,
                From(3),
                b"s|18446744073709551615|x|18446744073709551615",
                "s 18446744073709551615, 18446744073709551615 bytes as \"x\" \
             [spelling=compact seq=18446744073709551615 name=x size=18446744073709551615 offer=0]",
            ),
            (12, To(3), b"n|0", "n 0 [spelling=compact next=0]"),
            (
                13,
                From(4),
                b"s | 18446744073709551616 | x | 1",
                "malformed: the field 'seq' is no number: the number does not fit 64 bits [malformed=1]",
            ),
            (14, From(4), b"\x80\0\0\x01", "windowed (binary) []"),
        ],
    );
}

#[test]
fn names_cannot_upset_what_shows_them() {
    check(
        PORT,
        &["name", "reason", "words"],
        &[
            (0, From(1), b"s | 0 |  | 5", "s 0, 5 bytes as \"\" []"),
            (1, From(1), b"s | 0 | a | b | | 5", "s 0, 5 bytes as \"a | b |\" [name=a | b |]"),
            (
                2,
                From(1),
                "s | 0 | B\u{fc}cher \u{1f54a} | 5".as_bytes(),
                "s 0, 5 bytes as \"B\u{fc}cher \u{1f54a}\" [name=B\u{fc}cher \u{1f54a}]",
            ),
            (
                3,
                From(1),
                b"s | 0 | \0\x1b[31m\n\t%s%n | 5",
                r#"s 0, 5 bytes as "\x00\x1b[31m\x0a\x09%s%n" [name=\x00\x1b[31m\x0a\x09%s%n]"#,
            ),
            // Not UTF-8: a stray byte, an overlong blank, half a surrogate pair, a character without its end.
            (
                4,
                From(1),
                b"s | 0 | a\xff\xc0\xa0\xed\xa0\x80\xe2\x82 | 5",
                r#"s 0, 5 bytes as "a\xff\xc0\xa0\xed\xa0\x80\xe2\x82" [name=a\xff\xc0\xa0\xed\xa0\x80\xe2\x82]"#,
            ),
            // A second control set, a reversal of the reading direction, a mark that takes no room.
            (
                5,
                From(1),
                "s | 0 | \u{9b}\u{202e}gpj\u{feff} | 5".as_bytes(),
                r#"s 0, 5 bytes as "\xc2\x9b\xe2\x80\xaegpj\xef\xbb\xbf" [name=\xc2\x9b\xe2\x80\xaegpj\xef\xbb\xbf]"#,
            ),
            (6, To(1), b"e | 0 | \x07\xfe", r"e 0, \x07\xfe [reason=\x07\xfe]"),
            (7, To(1), b"a | 1 | 9 | \0x", r"a 1, buffer 9, \x00x [words=\x00x]"),
        ],
    );
}

#[test]
fn copies_and_answers_find_each_other() {
    let too_long = [b"d | 1207959602 | ", &[b'x'; 48][..]].concat();
    check(
        PORT,
        ANALYSIS,
        &[
            (0, From(1), b"s | 1207959600 | f | 00051", "s 1207959600, 51 bytes as \"f\", offering [acked_in=3]"),
            (
                500,
                From(1),
                b"s | 1207959600 | f | 00051",
                "s 1207959600, 51 bytes as \"f\", offering (again, first in #1) \
             [retransmission=1 retransmission_of=1 acked_in=3]",
            ),
            (
                501,
                To(1),
                b"a | 1207959601 | 64 | homing/1 checked",
                "a 1207959601, buffer 64, homing/1 checked [ack_of=1 time_to_ack=0.501000000]",
            ),
            (502, From(1), b"d | 1207959601 | abc", "d 1207959601, 3 bytes [acked_in=5]"),
            (503, To(1), b"a | 1207959602", "a 1207959602 [ack_of=4 time_to_ack=0.001000000]"),
            // Not with another peer, not in the other direction, not after damage.
            (504, From(2), b"d | 1207959601 | abc", "d 1207959601, 3 bytes []"),
            (505, To(1), b"d | 1207959601 | abc", "d 1207959601, 3 bytes []"),
            (506, From(1), b"d | 1207959601 | abd", "d 1207959601, 3 bytes []"),
            (507, From(1), b"s | 1207959600 | g | 00051", "s 1207959600, 51 bytes as \"g\", offering []"),
            (
                522,
                From(1),
                b"d | 1207959601 | abc",
                "d 1207959601, 3 bytes (again, first in #4) [retransmission=1 retransmission_of=4 acked_in=5]",
            ),
            (523, To(1), b"a | 1207959602", "a 1207959602 (again, first in #5) [ack_of=4 duplicate_ack=1]"),
            (524, To(1), b"a | 1207959609", "a 1207959609 (acknowledges nothing that was sent) [ack_of_nothing=1]"),
            (
                525,
                From(1),
                &too_long,
                "d 1207959602, 48 bytes (longer than the 64 bytes that were announced) [acked_in=14 too_long=1]",
            ),
            (526, To(1), b"a | 1207959603", "a 1207959603 [ack_of=13 time_to_ack=0.001000000]"),
            // A copy that was held up.
            (
                527,
                From(1),
                b"d | 1207959601 | abc",
                "d 1207959601, 3 bytes (again, first in #4) [retransmission=1 retransmission_of=4 acked_in=5]",
            ),
            (528, From(1), CHECKSUM, "c 1207959603, sha256 5891b5b5..., start 0e3d744e... [refused_in=17]"),
            (530, To(1), b"e | 1207959603 | sha256 differs", "e 1207959603, sha256 differs [refusal_of=16]"),
            (540, From(1), b"e | 1207959603 | client: interrupted", "e 1207959603, client: interrupted []"),
        ],
    );
}

#[test]
fn equal_chunks_that_alternate_are_no_copies() {
    check(
        PORT,
        ANALYSIS,
        &[
            (0, From(1), b"s|0|f|9", "s 0, 9 bytes as \"f\" [acked_in=2]"),
            (1, To(1), b"a|1|20480", "a 1, buffer 20480 [ack_of=1 time_to_ack=0.001000000]"),
            (2, From(1), b"d|1|abc", "d 1, 3 bytes [acked_in=4]"),
            (3, To(1), b"a|02", "a 2 [ack_of=3 time_to_ack=0.001000000]"),
            (4, From(1), b"d|0|abc", "d 0, 3 bytes [acked_in=6]"),
            (5, To(1), b"a|1", "a 1 [ack_of=5 time_to_ack=0.001000000]"),
            (6, From(1), b"d|1|abc", "d 1, 3 bytes [acked_in=9 refused_in=11]"),
            (
                206,
                From(1),
                b"d|1|abc",
                "d 1, 3 bytes (again, first in #7) [retransmission=1 retransmission_of=7 acked_in=9 refused_in=11]",
            ),
            (207, To(1), b"a|0", "a 0 [ack_of=7 time_to_ack=0.201000000]"),
            (208, To(1), b"a|0", "a 0 (again, first in #9) [ack_of=7 duplicate_ack=1]"),
            (209, To(1), b"n|0", "n 0 [refusal_of=7]"),
        ],
    );
}

#[test]
fn the_same_file_from_the_same_port_is_a_transfer_of_its_own() {
    check(
        PORT,
        ANALYSIS,
        &[
            (0, From(1), b"s | 0 | f | 1", "s 0, 1 bytes as \"f\" [acked_in=2]"),
            (1, To(1), b"a | 0 | 1024", "a 0, buffer 1024 [ack_of=1 time_to_ack=0.001000000]"),
            (2, From(1), b"d | 1 | x", "d 1, 1 bytes [acked_in=4]"),
            (3, To(1), b"a | 2", "a 2 [ack_of=3 time_to_ack=0.001000000]"),
            (
                900,
                From(1),
                b"s | 0 | f | 1",
                "s 0, 1 bytes as \"f\" (again, first in #1) [retransmission=1 retransmission_of=1 acked_in=2]",
            ),
            (5900, From(1), b"s | 0 | f | 1", "s 0, 1 bytes as \"f\" [acked_in=7]"),
            (5901, To(1), b"a | 0 | 1024", "a 0, buffer 1024 [ack_of=6 time_to_ack=0.001000000]"),
            (5902, From(1), b"d | 1 | x", "d 1, 1 bytes []"),
            (5903, From(1), b"s | 0 | other | 1", "s 0, 1 bytes as \"other\" []"),
            (5904, From(1), b"d | 1 | x", "d 1, 1 bytes [acked_in=11]"),
            (5905, To(1), b"a | 2", "a 2 [ack_of=10 time_to_ack=0.001000000]"),
        ],
    );
}

#[test]
fn on_other_ports_only_whole_messages_are_recognised() {
    check(
        45000,
        &["spelling", "seq", "next"],
        &[
            (0, From(45001), b"s | 0 | f | 1", "s 0, 1 bytes as \"f\" [spelling=spaced seq=0]"),
            (1, To(45001), b"n | 1", "n 1 [spelling=spaced next=1]"),
            (2, From(45001), b"s|0|f|1", "s 0, 1 bytes as \"f\" [spelling=compact seq=0]"),
            (3, From(45001), b"d|1|x", "d 1, 1 bytes [spelling=compact seq=1]"),
            (4, To(45001), b"a|2", "a 2 [spelling=compact next=2]"),
            // Too little to tell; malformed; binary.
            (5, To(45001), b"n|1", "45000 \u{2192} 45001 Len=3 []"),
            (6, From(45001), b"d|x|1", "45001 \u{2192} 45000 Len=5 []"),
            (7, From(45001), b"\x80 | 1", "45001 \u{2192} 45000 Len=5 []"),
        ],
    );
}

#[test]
fn a_setting_makes_other_ports_its_own() {
    if !tshark::is_here() {
        return;
    }
    let (_folder, capture) = capture(45000, &[(0, To(45001), b"n|1", ""), (1, From(45001), b"\x80", "")]);
    for options in [["-o", "homing.ports:12300,44000-45000"], ["-d", "udp.port==45000,homing"]] {
        assert_eq!(tshark::fields(&capture, &[LINE], &options), [["n 1"], ["windowed (binary)"]], "{options:?}");
    }
    let (_folder, capture) = self::capture(PORT, &[(0, To(45001), b"n|1", "")]);
    assert_eq!(tshark::fields(&capture, &["homing.type"], &["-o", "homing.ports:1"]), [[""]]);
}

#[test]
fn quotations_and_cut_datagrams_are_not_counted() {
    if !tshark::is_here() {
        return;
    }
    let (folder, mut capture) = (Folder::new(), Pcap::new());
    let [client, server] = From(1).ends(PORT);
    let at = Duration::from_millis;
    capture.datagram(at(0), client, server, b"d | 1 | abc");
    capture.port_unreachable(at(1), client, server, b"d | 1 | abc");
    capture.cut_datagram(at(2), client, server, b"d | 2 | abc", 3);
    capture.cut_datagram(at(3), client, server, b"d | 3 | abc", 5);
    capture.cut_datagram(at(4), client, server, b"s | 0 | f | 123", 1);
    let path = folder.at("capture.pcap");
    capture.write(&path);
    let expected = [
        "d 1, 3 bytes [data_len=3]",
        "Destination unreachable (Port unreachable) [data_len=3]",
        "d 2, 3 bytes [data_len=3]",
        "cut short: its end was not captured []",
        "cut short: its end was not captured []",
    ];
    assert_eq!(described(&path, &["data_len", "size", "retransmission", "malformed"]), expected);
}

/// Who sends a datagram to whom: the client of this port, or the server to it.
#[derive(Clone, Copy)]
enum Way {
    From(u16),
    To(u16),
}

impl Way {
    /// The addresses of sender and receiver, if the server has this port.
    fn ends(self, server: u16) -> [SocketAddrV4; 2] {
        let server = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), server);
        let client = |port| SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), port);
        match self {
            From(port) => [client(port), server],
            To(port) => [server, client(port)],
        }
    }
}

/// A datagram: when in milliseconds, between whom, its bytes, and what is to be shown of it: its line, and in brackets
/// those of the fields in question that it has.
type Case<'a> = (u64, Way, &'a [u8], &'a str);

/// Fails unless all is shown as it should, of a server with this port.
#[track_caller]
fn check(server: u16, fields: &[&str], cases: &[Case]) {
    if !tshark::is_here() {
        return;
    }
    let (_folder, capture) = capture(server, cases);
    let expected: Vec<_> = cases.iter().map(|(.., line)| *line).collect();
    assert_eq!(described(&capture, fields), expected);
    // One pass over the capture says in its lines what two do.
    for (line, once) in expected.iter().zip(tshark::fields(&capture, &[LINE], &[])) {
        assert_eq!(line.split(" [").next(), Some(&*once[0]));
    }
}

fn capture(server: u16, cases: &[Case]) -> (Folder, PathBuf) {
    let (folder, mut capture) = (Folder::new(), Pcap::new());
    for (at, way, datagram, _) in cases {
        let [from, to] = way.ends(server);
        capture.datagram(Duration::from_millis(*at), from, to, datagram);
    }
    let path = folder.at("capture.pcap");
    capture.write(&path);
    (folder, path)
}

/// The line of a packet in the list.
const LINE: &str = "_ws.col.Info";

/// What is shown of each packet, in the form of a [`Case`].
fn described(capture: &Path, fields: &[&str]) -> Vec<String> {
    let names: Vec<_> = fields.iter().map(|field| format!("homing.{field}")).collect();
    let names: Vec<_> = [LINE].into_iter().chain(names.iter().map(String::as_str)).collect();
    let describe = |values: &Vec<String>| {
        let pairs = fields.iter().zip(&values[1..]).filter(|(_, value)| !value.is_empty());
        let pairs: Vec<_> = pairs.map(|(field, value)| format!("{field}={value}")).collect();
        format!("{} [{}]", values[0], pairs.join(" "))
    };
    tshark::fields(capture, &names, &["-2"]).iter().map(describe).collect()
}
