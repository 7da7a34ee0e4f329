//! What can be asked of a copy: permissions and times, what is left out, how fast, and what it would be.

use crate::harness::{Program, SERVER, copy};
use crate::windowed::{Pair, text};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file or a folder with these permissions and a time of change in the past.
fn dated(path: &Path, mode: u32) {
    let file = fs::File::open(path).expect("it is there");
    let past = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    file.set_modified(past).expect("our file");
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("our file");
}

fn attributes(path: &Path) -> (u32, i64, i64) {
    let metadata = fs::metadata(path).expect("it is there");
    (metadata.mode() & 0o7777, metadata.mtime(), metadata.mtime_nsec())
}

/// A server whose umask leaves nothing to group and others.
fn private_server(pair: &Pair) -> (Program, SocketAddr) {
    let script = "umask 077; exec \"$0\" \"$@\"";
    let (root, keys) = (pair.there.path(), pair.keys.at("server"));
    let arguments =
        ["-c", script, SERVER, "0", "--json", "--bind", "127.0.0.1", "--root", text(root), "--config-dir", text(&keys)];
    let mut server = Program::start("sh", &arguments);
    let address = server.listening();
    (server, address)
}

#[test]
fn permissions_and_times_are_kept_where_that_is_asked_for_and_are_as_with_cp_otherwise() {
    let pair = Pair::new();
    let (_server, address) = private_server(&pair);
    let tree = pair.here.at("t");
    fs::create_dir_all(tree.join("sub")).expect("folders");
    for (name, mode) in [("plain", 0o644), ("tool", 0o6755), ("read_only", 0o444), ("sub/deep", 0o600)] {
        fs::write(tree.join(name), name).expect("a file");
        dated(&tree.join(name), mode);
    }
    dated(&tree.join("sub"), 0o1755);
    dated(&tree, 0o555);
    pair.copy(address, &["-r", "--preserve", text(&tree), "kept/"]).expect(0);
    let there = pair.there.at("kept/t");
    let (seconds, nanoseconds) = (1_000_000_000, 123_456_789);
    for (name, mode) in
        [("plain", 0o644), ("tool", 0o755), ("read_only", 0o444), ("sub/deep", 0o600), ("sub", 0o755), (".", 0o555)]
    {
        assert_eq!(attributes(&there.join(name)), (mode, seconds, nanoseconds), "{name}");
    }
    pair.copy(address, &["-r", text(&tree), "fresh/"]).expect(0);
    let there = pair.there.at("fresh/t");
    for (name, mode) in [("plain", 0o600), ("tool", 0o700), ("read_only", 0o400), ("sub", 0o700), (".", 0o500)] {
        let (found, modified, _) = attributes(&there.join(name));
        assert_eq!(found, mode, "{name}");
        assert!(modified > seconds, "{name} is new");
    }
}

#[test]
fn attributes_never_go_through_a_link() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (local, _) = pair.here.file("f", 10);
    dated(&local, 0o600);
    let (other, _) = pair.keys.file("other", 5);
    fs::set_permissions(&other, PermissionsExt::from_mode(0o640)).expect("our file");
    std::os::unix::fs::symlink(&other, pair.there.at("f")).expect("a link");
    let before = attributes(&other);
    pair.copy(address, &["-p", "--overwrite", text(&local), "f"]).expect(4);
    assert_eq!(attributes(&other), before);
}

#[test]
fn what_matches_is_left_out_below_what_was_named() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let tree = pair.here.at("photos.tmp");
    for name in [
        "a.jpg",
        "a.tmp",
        "build/x",
        "sub/build/y",
        "cache/z",
        "sub/cache",
        "docs/a.pdf",
        "docs/old/b.pdf",
        "docs/c.txt",
    ] {
        let path = tree.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("its folder");
        fs::write(path, name).expect("a file");
    }
    let patterns = ["--exclude", "*.tmp", "--exclude", "/build", "--exclude", "cache/", "--exclude", "docs/**/*.pdf"];
    let expected = ["a.jpg", "docs", "docs/c.txt", "docs/old", "sub", "sub/build", "sub/build/y", "sub/cache"];
    // The source itself is meant although it matches, and what is in it is below it under either name.
    for (source, destination, root) in [(tree.clone(), "one/", "one/photos.tmp"), (tree.join("."), "two/", "two")] {
        pair.copy(address, &[&["-r", text(&source), destination], &patterns[..]].concat()).expect(0);
        let mut found = names(&pair.there.at(root));
        found.sort();
        assert_eq!(found, expected, "{}", source.display());
    }
    pair.copy(address, &["-r", text(&tree), "three/", "--exclude", "!x"]).expect(2).saying("takes nothing back");
    pair.copy(address, &["-r", text(&tree), "three/", "--exclude", "[a"]).expect(2).saying("no pattern");
}

/// The paths beneath a folder.
fn names(root: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            found.push(text(path.strip_prefix(root).expect("beneath it")).to_owned());
            folders.extend(path.is_dir().then_some(path));
        }
    }
    found
}

#[test]
fn a_limit_is_kept() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (local, _) = pair.here.file("f", 4_000_000);
    let ended = pair.copy(address, &[text(&local), "f", "--limit", "2MB/s", "--json"]).expect(0);
    let events = ended.events();
    let limited = events.iter().find(|event| event["event"] == "limited").expect("the limit is told");
    assert_eq!(limited["bytes_per_second"], 2_000_000);
    let seconds = events.last().expect("an end")["seconds"].as_f64().expect("a number");
    assert!((1.9..6.0).contains(&seconds), "{seconds} s for 4 MB at 2 MB/s");
    pair.copy(address, &[text(&local), "g", "--limit", "fast"]).expect(2).saying("is no rate");
    let missing = format!("@{}", text(&pair.here.at("missing")));
    pair.copy(address, &[text(&local), "g", "--limit", &missing]).expect(6).saying("cannot be read");
    let lab = copy(address, &local, "g", &["--limit", "1m", "--mode", "lab"]);
    lab.expect(2).saying("--limit needs --mode");
}

#[test]
fn a_limit_in_a_file_is_changed_in_the_middle() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let ((local, bytes), limit) = (pair.here.file("f", 30_000_000), pair.here.at("limit"));
    fs::write(&limit, "4mbit\n").expect("a file");
    let at_limit = format!("@{}", text(&limit));
    let mut client = pair.start(address, &[text(&local), "f", "--limit", &at_limit, "--json"]);
    assert_eq!(client.event("limited")["bytes_per_second"], 500_000);
    client.event("progress");
    fs::write(&limit, "fast").expect("a file");
    let remark = client.event("remark");
    assert!(remark["text"].as_str().is_some_and(|text| text.contains("the limit stays as it was")), "{remark}");
    // A minute at the rate before.
    fs::write(&limit, "none").expect("a file");
    assert!(client.event("limited")["bytes_per_second"].is_null());
    let ended = client.end().expect(0);
    assert!(ended.took < Duration::from_secs(30), "{:?}", ended.took);
    assert!(pair.there.content("f") == Some(bytes));
}

#[test]
fn a_rehearsal_says_what_would_be_sent_and_sends_nothing() {
    let pair = Pair::new();
    // Nobody listens there, and nobody notices.
    let nowhere = "127.0.0.1:9";
    let tree = pair.here.at("t");
    fs::create_dir_all(tree.join("sub")).expect("folders");
    for (name, size) in [("a", 1000), ("sub/b", 2000), ("c.tmp", 5)] {
        fs::write(tree.join(name), vec![7; size]).expect("a file");
    }
    let options = ["-r", text(&tree), "to/", "--dry-run", "--exclude", "*.tmp"];
    let ended = pair.copy(nowhere, &[&options[..], &["--json"]].concat()).expect(0);
    let events = ended.events();
    let named: Vec<_> = events.iter().filter_map(|event| event["name"].as_str()).collect();
    assert_eq!(named, ["to/t", "to/t/a", "to/t/sub", "to/t/sub/b"]);
    let sum = events.last().expect("a sum");
    assert_eq!(
        (&sum["event"], &sum["files"], &sum["folders"], &sum["bytes"]),
        (&"rehearsed".into(), &2.into(), &2.into(), &3000.into())
    );
    pair.copy(nowhere, &options)
        .expect(0)
        .saying("would send 2 files and 2 folders, 3.00 kB, to 127.0.0.1:9; nothing was sent");
    std::os::unix::fs::symlink("a", tree.join("link")).expect("a link");
    let ended = pair.copy(nowhere, &options).expect(6).saying("1 would not be copied");
    assert!(ended.err.iter().chain(&ended.out).any(|line| line.contains("is a link")), "{ended:#?}");
    pair.copy(nowhere, &["-", "x", "-n"]).expect(0).saying("and standard input");
    pair.copy(nowhere, &[text(&pair.here.at("missing")), "x", "-n"]).expect(6).saying("cannot be read");
}
