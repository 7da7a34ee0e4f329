//! The fuzz targets' corpora, replayed under stable Rust.

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::env;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

fn corpus(target: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn replay(target: &str, body: fn(&[u8])) {
    let folder = corpus(target);
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
fn compressed_blocks_stand_their_corpus() {
    replay("blocks", bodies::blocks);
}

#[test]
fn the_handshake_stands_its_corpus() {
    replay("hello", |bytes| {
        bodies::hello(bytes);
    });
}

#[test]
fn the_harbour_stands_its_corpus() {
    replay("harbour", |bytes| {
        bodies::harbour(bytes);
    });
}

#[test]
fn the_upload_stands_its_corpus() {
    replay("upload", |bytes| {
        bodies::upload(bytes);
    });
}

#[test]
fn the_listings_readers_stand_their_corpus() {
    replay("listing", bodies::listing);
}

#[test]
fn the_tree_stands_its_corpus() {
    replay("tree", bodies::tree);
}

#[test]
fn a_journal_stands_its_corpus() {
    replay("journal", bodies::journal);
}

#[test]
fn names_stand_their_corpus() {
    replay("names", bodies::names);
}

#[test]
fn key_files_and_known_hosts_stand_their_corpus() {
    replay("identity", bodies::identity);
}

#[test]
fn the_capability_words_stand_their_corpus() {
    replay("words", bodies::words);
}

/// What a fuzzer does, without looking where the bytes lead: for machines that have none.
#[test]
#[ignore = "takes as long as it is told; fuzz/README.md says how"]
#[expect(clippy::disallowed_methods, reason = "it is a tool, and ends when its time is over")]
fn mutated_corpora_are_stood() {
    let variable = |name: &str| env::var(name).ok();
    let target = variable("FUZZ_TARGET").unwrap_or_else(|| "harbour".into());
    let number = |name: &str, default: u64| variable(name).map_or(default, |text| text.parse().expect("a number"));
    let (time, seed) = (Duration::from_secs(number("FUZZ_SECONDS", 10)), number("FUZZ_SEED", 1));
    let body: fn(&[u8]) = match target.as_str() {
        "lab_codec" => bodies::lab_codec,
        "receiver" => bodies::receiver,
        "sender" => bodies::sender,
        "messages" => bodies::messages,
        "chat" => bodies::chat,
        "frames" => bodies::frames,
        "blocks" => bodies::blocks,
        "hello" => |bytes| _ = bodies::hello(bytes),
        "harbour" => |bytes| _ = bodies::harbour(bytes),
        "upload" => |bytes| _ = bodies::upload(bytes),
        "listing" => bodies::listing,
        "tree" => bodies::tree,
        "identity" => bodies::identity,
        "journal" => bodies::journal,
        "names" => bodies::names,
        "words" => bodies::words,
        other => panic!("no target is called {other}"),
    };
    let mut files: Vec<_> =
        fs::read_dir(corpus(&target)).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).expect("a file")).collect();
    let found = env::temp_dir().join(format!("homing-fuzz-{target}"));
    let (mut rng, mut count) = (fastrand::Rng::with_seed(seed), 0_u64);
    let began = Instant::now();
    while began.elapsed() < time {
        let bytes = mutated(&seeds, &mut rng);
        // There if the next line panics.
        fs::write(&found, &bytes).expect("a file");
        body(&bytes);
        count += 1;
    }
    fs::remove_file(&found).expect("the file");
    println!("{target}: {count} executions in {:?}", began.elapsed());
}

fn mutated(seeds: &[Vec<u8>], rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = rng.choice(seeds).cloned().unwrap_or_default();
    for _ in 0..rng.usize(1..8) {
        let (at, end) = (rng.usize(..=bytes.len()), bytes.len());
        match rng.u8(..6) {
            0 if at < end => bytes[at] = rng.u8(..),
            1 if at < end => bytes[at] ^= 1 << rng.u8(..8),
            2 => bytes.insert(at, rng.u8(..)),
            3 if at < end => drop(bytes.drain(at..(at + rng.usize(1..9)).min(end))),
            4 => {
                let other = rng.choice(seeds).cloned().unwrap_or_default();
                bytes.truncate(at);
                bytes.extend_from_slice(&other[rng.usize(..=other.len())..]);
            }
            _ if at < end => {
                let piece = bytes[at..(at + rng.usize(1..30)).min(end)].to_vec();
                let to = rng.usize(..=bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => bytes.extend(std::iter::repeat_with(|| rng.u8(..)).take(20)),
        }
    }
    bytes.truncate(4000);
    bytes
}
