//! Both ends of a windowed transfer towards somebody who shook hands and then says what he likes, and what they read of him; what must
//! hold is checked in `fuzz/quay.rs`, `fuzz/caller.rs`, `fuzz/listing.rs`, `fuzz/folder.rs` and `fuzz/papers.rs` after every step.

use crate::bodies;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn story(target: &str, name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target).join(name);
    fs::read(path).expect("a story")
}

#[test]
fn the_stories_get_past_the_handshake() {
    for (name, transfers) in [
        ("whole", 1),
        ("full", 1),
        ("many-keys", 1),
        ("replayed-from-elsewhere", 1),
        ("hellos", 0),
        ("moves-and-answers", 1),
    ] {
        assert_eq!(bodies::harbour(&story("harbour", name)), transfers, "{name}");
    }
    for (name, is_connected) in [("whole", true), ("garbage-before-the-handshake", true), ("done-at-once", true)] {
        assert_eq!(bodies::upload(&story("upload", name)), is_connected, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 24 } else { 500 }))]

    #[test]
    fn no_client_upsets_a_harbour(first in any::<u8>(), steps in prop::collection::vec(any::<u8>(), 0..200)) {
        // 2 is a handshake.
        bodies::harbour(&[&[first, 2][..], &steps].concat());
    }

    #[test]
    fn no_server_upsets_an_upload(first in any::<u8>(), steps in prop::collection::vec(any::<u8>(), 0..200)) {
        bodies::upload(&[&[first, 12][..], &steps].concat());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_upset_those_who_read_them(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        bodies::blocks(&bytes);
        bodies::listing(&bytes);
        bodies::tree(&bytes);
        bodies::identity(&bytes);
        bodies::journal(&bytes);
        bodies::names(&bytes);
        bodies::words(&bytes);
    }
}
