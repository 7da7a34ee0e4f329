//! Handshakes of the windowed mode among nonsense; what must hold is checked in `fuzz/greeting.rs` after every step.

use crate::bodies;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn accepted(story: &str) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/hello").join(story);
    bodies::hello(&fs::read(path).expect("a story"))
}

#[test]
fn the_stories_of_the_corpus_end_as_their_names_say() {
    for (story, times) in [
        ("text-whole", 1),
        ("binary-whole", 1),
        ("binary-chacha", 1),
        ("every-message-twice", 1),
        ("damaged-on-the-way", 1),
        ("from-another-address", 1),
        ("token-grows-old", 1),
        ("finish-too-late", 0),
        ("never-answered", 0),
        ("never-answered-text", 0),
        ("hellos-of-others", 0),
        ("answers-to-the-client", 0),
    ] {
        assert_eq!(accepted(story), times, "{story}");
    }
}

/// Steps that mostly carry a handshake on; see `bodies::hello`.
fn any_step() -> impl Strategy<Value = Vec<u8>> {
    let who = prop_oneof![8 => Just(0_u8), 1 => 1..4_u8];
    let head = prop::sample::select(vec![0xc0_u8, 0xc1, 0xc2, 0xc3, 0xc4, 0x80, b'a']);
    let datagram = (0..6_u8, head, prop::collection::vec(any::<u8>(), 0..100)).prop_map(|(kind, head, rest)| {
        let length = u16::try_from(rest.len() + 1).expect("short").to_le_bytes();
        [&[kind][..], &length, &[head], &rest].concat()
    });
    let whole = (who, prop::sample::select(vec![6_u8, 6, 6, 9, 9, 9, 14, 14, 15]))
        .prop_map(|(who, kind)| vec![who << 4 | kind]);
    let broken = (prop::sample::select(vec![8_u8, 11]), any::<u8>()).prop_map(|(kind, place)| vec![kind, place]);
    let pause = (0..8_u8).prop_map(|pause| vec![pause << 4 | 12]);
    prop_oneof![12 => whole, 3 => broken, 2 => pause, 2 => datagram]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_sequence_of_datagrams_upsets_a_handshake(
        first in 0..4_u8, steps in prop::collection::vec(any_step(), 0..50)
    ) {
        bodies::hello(&[&[first][..], &steps.concat()].concat());
    }

    #[test]
    fn no_bytes_upset_a_handshake(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        bodies::frames(&bytes);
        bodies::hello(&bytes);
    }
}
