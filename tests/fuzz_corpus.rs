//! The fuzz targets' corpora, replayed under stable Rust.

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::fs;
use std::path::Path;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a corpus") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("a file");
        // Shown by the test harness if the next line panics.
        println!("{}", path.display());
        body(&bytes);
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn the_registry_stands_its_corpus() {
    replay("chat", bodies::chat);
}

#[test]
fn the_lab_codec_stands_its_corpus() {
    replay("lab_codec", bodies::lab_codec);
}

#[test]
fn the_receiver_stands_its_corpus() {
    replay("receiver", bodies::receiver);
}

#[test]
fn the_sender_stands_its_corpus() {
    replay("sender", bodies::sender);
}

#[test]
fn the_echo_server_stands_its_corpus() {
    replay("messages", bodies::messages);
}

#[test]
fn the_windowed_codec_stands_its_corpus_and_all_its_damage() {
    replay("frames", |bytes| {
        bodies::frames(bytes);
        for end in 0..bytes.len() {
            bodies::frames(&bytes[..end]);
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            bodies::frames(&flipped);
        }
    });
}

#[test]
fn the_handshake_stands_its_corpus() {
    replay("hello", |bytes| {
        bodies::hello(bytes);
    });
}
