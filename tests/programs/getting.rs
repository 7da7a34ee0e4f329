//! Files and trees come from a server that gives them: what arrives, what is refused by whom, and what goes to standard output.

use crate::harness::{CLIENT, Ended, LIMIT, Program, all_at_once, wait_until};
use crate::windowed::{Pair, contents, text, tree};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const GIVING: &[&str] = &["--allow-get"];

fn get(pair: &Pair, target: impl ToString, more: &[&str]) -> Ended {
    start(pair, target, more).end()
}

fn start(pair: &Pair, target: impl ToString, more: &[&str]) -> Program {
    let (target, keys) = (target.to_string(), pair.keys.at("client"));
    Program::start(CLIENT, &[&["--get", &target, "--config-dir", text(&keys)], more].concat())
}

/// The client with what it wrote as bytes.
fn pour(pair: &Pair, target: impl ToString, more: &[&str]) -> Output {
    let (target, keys) = (target.to_string(), pair.keys.at("client"));
    let arguments = [&["--get", &target, "--config-dir", text(&keys)], more].concat();
    Command::new(CLIENT).args(arguments).stdin(Stdio::null()).output().expect("the built program")
}

#[test]
fn every_size_comes_exactly_and_both_sides_say_so() {
    let pair = Pair::new();
    let (mut server, address) = pair.server(GIVING);
    for size in [0, 1, 1200, 65_507, 262_145, 5_000_000] {
        let name = format!("f{size}");
        let (_, bytes) = pair.there.file(&name, size);
        let ended = get(&pair, address, &[&name, text(&pair.here.at(&name)), "--json"]).expect(0);
        assert!(pair.here.content(&name) == Some(bytes.clone()), "{name} differs");
        let finished = ended.events().pop().expect("a last event");
        assert_eq!((&finished["mode"], &finished["bytes"]), (&"get".into(), &size.into()), "{finished}");
        assert_eq!(finished["blake3"], blake3::hash(&bytes).to_string(), "{finished}");
        let told = server.event("finished");
        assert_eq!((&told["mode"], &told["name"], &told["files"]), (&"get".into(), &name.into(), &1.into()), "{told}");
        assert_eq!(told["bytes"], size, "{told}");
    }
    pair.here.expect_tidy();
}

#[test]
fn a_tree_comes_with_its_many_small_files_and_its_empty_folders() {
    let pair = Pair::new();
    let (_server, address) = pair.server(GIVING);
    tree(&pair.there.at("t"), 1500);
    let ended = get(&pair, address, &["-r", "t", text(&pair.here.at("to/")), "--json"]).expect(0);
    assert_eq!(contents(&pair.here.at("to/t")), contents(&pair.there.at("t")));
    let finished = ended.events().pop().expect("a last event");
    assert_eq!((&finished["files"], &finished["missing"]), (&1500.into(), &0.into()), "{finished}");
    // What is in the server's folder, without a name around it.
    get(&pair, address, &["-r", ".", text(&pair.here.at("all"))]).expect(0);
    assert_eq!(contents(&pair.here.at("all/t")), contents(&pair.there.at("t")));
    get(&pair, address, &["-r", "t/d0/.", text(&pair.here.at("inner/"))]).expect(0);
    assert_eq!(contents(&pair.here.at("inner")), contents(&pair.there.at("t/d0")));
}

#[test]
fn standard_output_has_the_file_and_nothing_else() {
    let pair = Pair::new();
    let (_server, address) = pair.server(GIVING);
    let (_, bytes) = pair.there.file("f", 3_000_000);
    for (more, says) in [(&["f", "-"][..], "verified"), (&["f", "-", "--json"], "\"event\":\"finished\"")] {
        let output = pour(&pair, address, more);
        assert!(output.status.success() && output.stdout == bytes, "{:?}", output.status);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(err.contains(says), "{err}");
    }
    let output = pour(&pair, address, &["missing", "-"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(4), 0));
    for more in [&["-r", "f", "-"][..], &["f", "g", "-"], &[".", "-"]] {
        assert_eq!(pour(&pair, address, more).status.code(), Some(2), "{more:?}");
    }
    // Through losses the order is kept, too.
    let (_link, way) = Program::link(address, &["--fault", "loss=10%,delay=10ms", "--seed", "5"]);
    assert!(pour(&pair, way, &["f", "-"]).stdout == bytes);
}

#[test]
fn a_reader_that_goes_away_ends_it() {
    let pair = Pair::new();
    let (_server, address) = pair.server(GIVING);
    pair.there.file("f", 30_000_000);
    let mut client = start(&pair, address, &["f", "-"]);
    client.close_output();
    let ended = client.end().expect(6).saying("standard output cannot be written");
    assert!(ended.took < LIMIT, "{ended:#?}");
}

#[test]
fn who_was_not_told_to_give_files_gives_none() {
    let pair = Pair::new();
    let (mut server, address) = pair.server(&[]);
    pair.there.file("f", 10);
    get(&pair, address, &["f", text(&pair.here.at("f"))]).expect(4).saying("--allow-get");
    assert!(pair.here.names().is_empty());
    let refused = server.event("refused");
    assert_eq!(refused["name"], "f", "{refused}");
}

#[test]
fn what_cannot_be_had_is_named_and_the_rest_comes() {
    let pair = Pair::new();
    let (_server, address) = pair.server(GIVING);
    let (_, bytes) = pair.there.file("f", 5000);
    let (_, secret) = pair.here.file("secret", 10);
    pair.there.file(".hidden", 10);
    fs::create_dir(pair.there.at("folder")).expect("a folder");
    symlink(pair.here.at("secret"), pair.there.at("link")).expect("a link");
    symlink(pair.here.path(), pair.there.at("away")).expect("a link");
    symlink("f", pair.there.at("inside")).expect("a link");
    let cases = [
        ("missing", "missing cannot be read there"),
        (".hidden", "--allow-hidden"),
        ("folder", "copy it with -r"),
        ("link", "is a link there"),
        ("away/secret", "led outside"),
        ("inside", "is a link there"),
    ];
    all_at_once(cases, |(name, words)| {
        let to = pair.here.at(&format!("to-{}", name.replace('/', "-")));
        let ended = get(&pair, address, &[name, "f", text(&to)]).expect(4).saying(words);
        assert!(ended.out.iter().any(|line| line.contains("1 not copied")), "{ended:#?}");
        assert_eq!(fs::read(to.join("f")).expect("the other file"), bytes);
        assert_eq!(fs::read_dir(&to).expect("the folder").count(), 1, "{name}");
        get(&pair, address, &[name, text(&to.join("alone"))]).expect(4).saying(words);
        assert!(!to.join("alone").exists());
    });
    for path in ["../f", "/etc/passwd", "a/../../f"] {
        get(&pair, address, &[path, "x"]).expect(2).saying("cannot be got");
    }
    assert_eq!(pair.here.content("secret"), Some(secret));
    // Who shows what is hidden shows it all, but never what is not complete.
    let part = ".homing-0000000000000001.part";
    pair.there.file(part, 10);
    let (_open, address) = pair.server(&["--allow-get", "--allow-hidden"]);
    get(&pair, address, &[".hidden", text(&pair.here.at("shown"))]).expect(0);
    get(&pair, address, &[part, text(&pair.here.at("part"))]).expect(2);
}

#[test]
fn a_file_that_exists_here_is_kept_or_replaced() {
    let pair = Pair::new();
    let (mut server, address) = pair.server(GIVING);
    let ((_, one), (_, two)) = (pair.there.file("one", 3_000_000), pair.there.file("two", 20_000));
    fs::write(pair.here.at("one"), b"here before").expect("a file");
    let both = ["one", "two", text(pair.here.path())];
    let ended = get(&pair, address, &both).expect(6).saying("--overwrite replaces it");
    assert!(ended.out.iter().any(|line| line.contains("1 not copied")), "{ended:#?}");
    assert_eq!(pair.here.content("one").as_deref(), Some(&b"here before"[..]));
    assert_eq!(pair.here.content("two"), Some(two));
    let told = server.event("finished");
    assert_eq!((&told["files"], &told["missing"]), (&1.into(), &1.into()), "{told}");
    get(&pair, address, &["one", text(&pair.here.at("one")), "--overwrite"]).expect(0);
    assert!(pair.here.content("one") == Some(one));
}

#[test]
fn sha256_is_of_what_is_there_in_the_end() {
    let pair = Pair::new();
    let (_server, address) = pair.server(GIVING);
    pair.there.file("one", 300_000);
    pair.there.file("two", 10);
    let ended = get(&pair, address, &["one", text(&pair.here.at("x")), "--sha256"]).expect(0);
    let sum = |name: &str| {
        let output = Command::new("sha256sum").arg(pair.there.at(name)).output().expect("sha256sum");
        String::from_utf8_lossy(&output.stdout).split(' ').next().expect("a sum").to_owned()
    };
    ended.saying(&format!("sha256 {}", sum("one")));
    let ended = get(&pair, address, &["one", "two", text(&pair.here.at("y")), "--sha256"]).expect(0);
    ended.saying(&format!("{}  one", sum("one"))).saying(&format!("{}  two", sum("two")));
}

#[test]
fn a_file_comes_through_loss_and_several_get_it_at_once() {
    let pair = Pair::new();
    let (_server, address) = pair.server(GIVING);
    let (_link, way) = Program::link(address, &["--fault", "loss=10%,delay=20ms", "--seed", "7"]);
    let (_, bytes) = pair.there.file("f", 3_000_000);
    all_at_once(0..4, |number| {
        let name = format!("f{number}");
        let control = ["bbr", "cubic", "background", "bbr"][number];
        let more = ["f", text(&pair.here.at(&name)).to_owned().leak(), "--congestion", control];
        if control == "bbr" {
            get(&pair, way, &more).expect(0);
            assert!(pair.here.content(&name).as_ref() == Some(&bytes));
        } else {
            get(&pair, address, &more).expect(0);
        }
    });
}

#[test]
fn no_more_get_files_at_once_than_may() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&["--allow-get", "--max-gets", "1"]);
    let (_link, way) = Program::link(address, &["--fault", "rate=20mbit"]);
    pair.there.file("f", 20_000_000);
    let first = start(&pair, way, &["f", text(&pair.here.at("f"))]);
    wait_until(Duration::from_secs(20), "bytes are on the disk", || !pair.here.leftovers().is_empty());
    get(&pair, address, &["f", text(&pair.here.at("g"))]).expect(4).saying("as many as it allows");
    first.signal(Signal::INT);
    first.end().expect(130).saying("interrupted");
    assert!(pair.here.names().is_empty(), "nothing half-written stays");
    wait_until(Duration::from_secs(20), "there is a place again", || {
        get(&pair, address, &["f", text(&pair.here.at("g"))]).code == Some(0)
    });
}

#[test]
fn a_server_that_dies_midway_leaves_nothing_under_the_name() {
    let pair = Pair::new();
    let (server, address) = pair.server(GIVING);
    let (_link, way) = Program::link(address, &["--fault", "rate=20mbit"]);
    pair.there.file("f", 20_000_000);
    let client = start(&pair, way, &["f", text(&pair.here.at("f")), "--timeout", "2"]);
    wait_until(Duration::from_secs(20), "bytes are on the disk", || !pair.here.leftovers().is_empty());
    server.signal(Signal::KILL);
    client.end().expect(3).saying("fell silent");
    assert!(pair.here.names().is_empty());
}

#[test]
fn a_file_that_changes_there_meanwhile_does_not_come_and_the_rest_does() {
    let pair = Pair::new();
    let (_server, address) = pair.server(GIVING);
    let (_link, way) = Program::link(address, &["--fault", "rate=100mbit"]);
    // Far larger than what is read ahead.
    let (changing, _) = pair.there.file("a", 100_000_000);
    let (_, bytes) = pair.there.file("b", 5000);
    let to = pair.here.at("to");
    let client = start(&pair, way, &["a", "b", text(&to)]);
    wait_until(Duration::from_secs(20), "bytes are on the disk", || {
        fs::read_dir(&to).is_ok_and(|mut names| names.next().is_some())
    });
    fs::OpenOptions::new().write(true).open(&changing).and_then(|file| file.set_len(99_000_000)).expect("our file");
    client.end().expect(4).saying("changed while it was read");
    assert_eq!(fs::read(to.join("b")).expect("the other file"), bytes);
    assert!(!to.join("a").exists());
}

#[test]
fn getting_is_no_errand_for_other_modes() {
    for more in [&["--mode", "lab"][..], &["--mode", "checked"], &["--spelling", "compact"], &["--ladder"]] {
        Program::start(CLIENT, &[&["--get", "127.0.0.1:9", "f", "g"], more].concat()).end().expect(2);
    }
    let fixed = ["--get", "127.0.0.1:9", "f", "g", "--congestion", "fixed:1m"];
    Program::start(CLIENT, &fixed).end().expect(2).saying("a rate that others fix");
}

#[test]
fn exit_after_counts_what_was_got_too() {
    let pair = Pair::new();
    pair.there.file("f", 10);
    let (server, address) = pair.server(&["--allow-get", "--exit-after", "1"]);
    get(&pair, address, &["f", text(&pair.here.at("f"))]).expect(0);
    server.end().expect(0);
}
