//! The second time only what differs is sent: with `--update`, with `--checksum`, and after an interruption in the middle of a tree.

use crate::harness::{Ended, wait_until};
use crate::windowed::{Pair, contents, text, tree};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

const FILES: usize = 40;

/// Copies the tree `t`, with more arguments.
fn copy(pair: &Pair, to: SocketAddr, more: &[&str]) -> Ended {
    pair.copy(to, &[&["-r", text(&pair.here.at("t")), "to/", "--json"], more].concat())
}

/// The last event.
fn last(ended: &Ended) -> Value {
    ended.events().pop().expect("a last event")
}

/// Files that were sent, files that were there already, and the bytes of the former.
fn counts(ended: &Ended) -> (u64, u64, u64) {
    let last = last(ended);
    let count = |key: &str| last[key].as_u64().unwrap_or_else(|| panic!("no {key} in {last}"));
    (count("files"), count("there"), count("bytes"))
}

fn touch(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("our file");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_234_567)).expect("a time");
}

fn same(pair: &Pair) {
    assert_eq!(contents(&pair.there.at("to/t")), contents(&pair.here.at("t")));
    // The server tidies up when it has heard the client's good-bye.
    wait_until(Duration::from_secs(20), "nothing is left there", || pair.there.leftovers().is_empty());
}

#[test]
fn an_update_sends_what_is_new_and_what_changed() {
    let pair = Pair::new();
    let (mut server, address) = pair.server(&[]);
    tree(&pair.here.at("t"), FILES);
    let all = FILES as u64;
    let first = copy(&pair, address, &["--update"]).expect(0);
    assert_eq!(counts(&first).0, all);
    let mode = fs::metadata(pair.there.at("to/t/d0/f0")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o751, "permissions and times are kept");
    assert_eq!(counts(&copy(&pair, address, &["--update"]).expect(0)), (0, all, 0));
    server.event("finished");
    let finished = server.event("finished");
    assert_eq!((&finished["files"], &finished["there"], &finished["bytes"]), (&0.into(), &all.into(), &0.into()));
    // Another content of the same size, at another time.
    let (changed, untouched) = (pair.here.at("t/d3/f3"), pair.there.at("to/t/d4/f4"));
    let inode = fs::metadata(&untouched).expect("it is there").ino();
    fs::write(&changed, vec![b'!'; 111]).expect("our file");
    fs::write(pair.here.at("t/new"), b"new").expect("our file");
    assert_eq!(counts(&copy(&pair, address, &["--update"]).expect(0)), (2, all - 1, 114));
    assert_eq!(fs::metadata(&untouched).expect("it is there").ino(), inode);
    same(&pair);
    let said = pair.copy(address, &["-r", text(&pair.here.at("t")), "to/", "--update"]).expect(0);
    said.saying("41 files were there already");
}

#[test]
fn an_update_of_one_file_needs_the_same_size_and_time_to_leave_it() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (local, _) = pair.here.file("f", 100_000);
    let update = |expected| {
        let ended = pair.copy(address, &[text(&local), "f", "--update", "--json"]).expect(0);
        assert_eq!((counts(&ended), pair.there.content("f")), (expected, fs::read(&local).ok()));
    };
    update((1, 0, 100_000));
    update((0, 1, 0));
    touch(&local);
    update((1, 0, 100_000));
    fs::write(&local, b"short").expect("our file");
    touch(&local);
    update((1, 0, 5));
    update((0, 1, 0));
}

#[test]
fn a_checksum_goes_by_the_content_alone() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    tree(&pair.here.at("t"), FILES);
    pair.here.file("large", 9_000_000);
    fs::rename(pair.here.at("large"), pair.here.at("t/large")).expect("our file");
    let all = FILES as u64 + 1;
    assert_eq!(counts(&copy(&pair, address, &[]).expect(0)).0, all);
    for number in 0..FILES {
        touch(&pair.here.at(&format!("t/d{}/f{number}", number % 7)));
    }
    assert_eq!(counts(&copy(&pair, address, &["--checksum"]).expect(0)), (0, all, 0));
    // The same size and the same time on both sides, but other bytes.
    for name in ["d5/f5", "large"] {
        let path = pair.here.at("t").join(name);
        let mut content = fs::read(&path).expect("our file");
        content[100] ^= 1;
        fs::write(&path, content).expect("our file");
        touch(&path);
        touch(&pair.there.at("to/t").join(name));
    }
    let update = copy(&pair, address, &["--update", "--exclude", "f*"]).expect(0);
    assert_eq!(counts(&update), (0, 1, 0), "size and time say nothing of it");
    assert_eq!(counts(&copy(&pair, address, &["--update", "--checksum"]).expect(0)), (2, all - 2, 9_000_185));
    same(&pair);
}

#[test]
fn a_server_that_replaces_nothing_leaves_what_is_the_same_and_refuses_what_is_not() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&["--no-clobber"]);
    tree(&pair.here.at("t"), 10);
    copy(&pair, address, &["-p"]).expect(0);
    assert_eq!(counts(&copy(&pair, address, &["--update"]).expect(0)), (0, 10, 0));
    let old = pair.there.content("to/t/d3/f3");
    fs::write(pair.here.at("t/d3/f3"), b"other").expect("our file");
    let ended = copy(&pair, address, &["--update"]).expect(4);
    let finished = ended.events().into_iter().find(|event| event["event"] == "finished").expect("most was there");
    assert_eq!((&finished["there"], &finished["missing"]), (&9.into(), &1.into()), "{finished}");
    assert_eq!(pair.there.content("to/t/d3/f3"), old);
}

#[test]
fn an_update_of_what_is_got_brings_what_is_new_and_what_changed() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&["--allow-get"]);
    tree(&pair.there.at("t"), FILES);
    let (all, place) = (FILES as u64, pair.here.at("from/"));
    let get = |more: &[&str]| {
        let ended = pair.copy(address, &[&["--get", "-r", "t", text(&place), "--json"], more].concat()).expect(0);
        assert_eq!(contents(&pair.here.at("from/t")), contents(&pair.there.at("t")));
        counts(&ended)
    };
    assert_eq!(get(&["--update"]).0, all);
    assert_eq!(get(&["--update"]), (0, all, 0));
    // Another content of the same size: the time tells, or the content does.
    fs::write(pair.there.at("t/d3/f3"), vec![b'!'; 111]).expect("a file");
    assert_eq!(get(&["--update"]), (1, all - 1, 111));
    touch(&pair.there.at("t/d4/f4"));
    assert_eq!(get(&["--checksum"]), (0, all, 0));
    fs::write(pair.there.at("t/d3/f3"), vec![b'?'; 111]).expect("a file");
    assert_eq!(get(&["--checksum"]), (1, all - 1, 111));
    let said = pair.copy(address, &["--get", "-r", "t", text(&place), "--checksum"]).expect(0);
    said.saying("40 files were there already");
}

#[test]
fn options_that_contradict_each_other_are_an_error() {
    let pair = Pair::new();
    let (local, _) = pair.here.file("f", 10);
    for options in
        [&["--update", "--overwrite"][..], &["--checksum", "--overwrite"], &["--update", "--restart", "--get"]]
    {
        let to_nobody: SocketAddr = "127.0.0.1:9".parse().expect("an address");
        pair.copy(to_nobody, &[&[text(&local), "f"], options].concat()).expect(2);
    }
}

/// Files that have their names there.
fn placed(pair: &Pair) -> usize {
    let root = pair.there.at("to/t");
    if !root.is_dir() {
        return 0;
    }
    let is_placed = |(name, content): &(String, Option<Vec<u8>>)| content.is_some() && !name.contains(".homing-");
    contents(&root).iter().filter(|file| is_placed(file)).count()
}

/// Kills one side in the middle of a tree, and gives the command again.
fn kill_in_the_middle(is_server_killed: bool) {
    let pair = Pair::new();
    let (server, address) = pair.server(&[]);
    fs::create_dir(pair.here.at("t")).expect("a folder");
    for number in 0..300 {
        pair.here.file(&format!("t/f{number:03}"), 20_000 + number);
    }
    let size: u64 = (20_000..20_300).sum();
    let tree = pair.here.at("t");
    let arguments = ["-r", text(&tree), "to/", "--congestion", "fixed:16m", "--timeout", "3"];
    let client = pair.start(address, &arguments);
    wait_until(Duration::from_secs(30), "files are placed", || placed(&pair) >= 50);
    client.signal(Signal::KILL);
    let server = if is_server_killed {
        server.signal(Signal::KILL);
        drop(server);
        let there = placed(&pair) as u64;
        let server = crate::resuming::server_again(&pair, address);
        let (files, already, bytes) = counts(&copy(&pair, address, &[]).expect(0));
        assert_eq!((files, already), (300 - there, there));
        assert!(bytes <= size - there * 20_000, "{bytes} of {size} were sent");
        server
    } else {
        client.end();
        // The other session may place what it has received while the second one begins.
        let there = placed(&pair) as u64;
        let (files, already, bytes) = counts(&copy(&pair, address, &[]).expect(0));
        assert_eq!(files + already, 300);
        assert!(already >= there && bytes <= size - there * 20_000, "{bytes} of {size} were sent");
        server
    };
    drop(server);
    let mut there = contents(&pair.there.at("to/t"));
    // The session that was given up may still have some.
    there.retain(|(name, _)| !name.contains(".homing-"));
    assert!(there == contents(&tree), "they differ");
}

#[test]
fn a_tree_goes_on_after_its_client_was_killed() {
    kill_in_the_middle(false);
}

#[test]
fn a_tree_goes_on_after_its_server_was_killed() {
    kill_in_the_middle(true);
}

#[test]
fn what_was_placed_and_changed_since_then_is_not_taken_for_ours() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    fs::create_dir(pair.here.at("t")).expect("a folder");
    for number in 0..100 {
        pair.here.file(&format!("t/f{number:03}"), 20_000);
    }
    let tree = pair.here.at("t");
    let client = pair.start(address, &["-r", text(&tree), "to/", "--congestion", "fixed:8m"]);
    wait_until(Duration::from_secs(30), "files are placed", || placed(&pair) >= 20);
    client.signal(Signal::KILL);
    client.end();
    fs::write(pair.there.at("to/t/f003"), vec![b'x'; 20_000]).expect("our file");
    fs::remove_file(pair.there.at("to/t/f004")).expect("our file");
    let ended = copy(&pair, address, &[]).expect(4);
    ended.saying("f003");
    assert_eq!(pair.there.content("to/t/f003"), Some(vec![b'x'; 20_000]));
    assert!(pair.there.content("to/t/f004").is_some());
    // Another client has placed nothing of it, and `--restart` forgets what was.
    let ended = copy(&pair, address, &["--restart"]).expect(4);
    let last = last(&ended);
    assert!(last["reason"].as_str().is_some_and(|reason| reason.starts_with("100 were not copied")), "{last}");
}
