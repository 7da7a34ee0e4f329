//! Files and trees go in the windowed mode: what arrives, what is refused, whom the client believes, and how it ends.

use crate::fakes::FakeServer;
use crate::harness::{CLIENT, Ended, Folder, Program, SERVER, all_at_once, wait_until};
use rustix::process::Signal;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// Two folders with what a test needs besides: keys and pins of a server and a client of its own.
pub struct Pair {
    pub here: Folder,
    pub there: Folder,
    pub keys: Folder,
}

impl Pair {
    pub fn new() -> Self {
        Self { here: Folder::new(), there: Folder::new(), keys: Folder::new() }
    }

    pub fn server(&self, more: &[&str]) -> (Program, SocketAddr) {
        let keys = self.keys.at("server");
        Program::server(self.there.path(), &[&["--config-dir", text(&keys)], more].concat())
    }

    pub fn start(&self, target: impl ToString, more: &[&str]) -> Program {
        let (target, keys) = (target.to_string(), self.keys.at("client"));
        Program::start(CLIENT, &[&[&target, "--mode", "windowed", "--config-dir", text(&keys)], more].concat())
    }

    pub fn copy(&self, target: impl ToString, more: &[&str]) -> Ended {
        self.start(target, more).end()
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn every_size_arrives_exactly() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    all_at_once([0, 1, 1200, 65_507, 262_144, 262_145, 5_000_000], |size| {
        let name = format!("f{size}");
        let (local, bytes) = pair.here.file(&name, size);
        let ended = pair.copy(address, &[text(&local), &name]).expect(0).saying("verified");
        ended.saying(&format!("blake3 {}", blake3::hash(&bytes)));
        assert!(pair.there.content(&name) == Some(bytes), "{name} differs");
    });
    pair.there.expect_tidy();
}

/// A folder in a folder with files of any size, among them an empty one, and folders with nothing in them.
pub fn tree(root: &Path, files: usize) {
    for number in 0..files {
        let folder = root.join(format!("d{}", number % 7));
        fs::create_dir_all(&folder).expect("a folder");
        let content = vec![number as u8; (number * 37) % 9000];
        fs::write(folder.join(format!("f{number}")), content).expect("a file");
    }
    fs::create_dir_all(root.join("empty/deeper")).expect("folders");
    fs::set_permissions(root.join("d0/f0"), PermissionsExt::from_mode(0o751)).expect("our file");
}

/// Every path beneath a folder with its content; folders have none.
pub fn contents(root: &Path) -> Vec<(String, Option<Vec<u8>>)> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            let name = text(entry.strip_prefix(root).expect("beneath it")).to_owned();
            found.push((name, fs::read(&entry).ok()));
            if entry.is_dir() {
                folders.push(entry);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_tree_arrives_with_its_many_small_files_and_its_empty_folders() {
    let pair = Pair::new();
    let (mut server, address) = pair.server(&[]);
    tree(&pair.here.at("t"), 1500);
    let ended = pair.copy(address, &["-r", text(&pair.here.at("t")), "to/", "--json"]).expect(0);
    assert_eq!(contents(&pair.there.at("to/t")), contents(&pair.here.at("t")));
    let mode = fs::metadata(pair.there.at("to/t/d0/f0")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o751);
    let finished = ended.events().pop().expect("a last event");
    assert_eq!((&finished["files"], &finished["missing"]), (&1500.into(), &0.into()), "{finished}");
    let started = server.event("started");
    assert_eq!((&started["mode"], &started["name"]), (&"windowed".into(), &"to/t and 1509 more".into()), "{started}");
    let finished = server.event("finished");
    assert_eq!((&finished["files"], &finished["mode"]), (&1500.into(), &"windowed".into()), "{finished}");
}

#[test]
fn several_sources_and_standard_input_arrive() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let ((one, first), (two, second)) = (pair.here.file("one", 10), pair.here.file("two", 100_000));
    pair.copy(address, &[text(&one), text(&two), "both"]).expect(0).saying("2 files");
    assert_eq!((pair.there.content("both/one"), pair.there.content("both/two")), (Some(first), Some(second.clone())));
    let (target, keys) = (address.to_string(), pair.keys.at("client"));
    let arguments = [&target, "-", "stream", "--mode", "windowed", "--config-dir", text(&keys)];
    Program::fed(CLIENT, &arguments, &second).end().expect(0);
    assert!(pair.there.content("stream") == Some(second));
}

#[test]
fn a_file_that_exists_is_refused_or_replaced_and_the_rest_arrives() {
    let pair = Pair::new();
    let (mut server, address) = pair.server(&[]);
    let ((old, content), (new, fresh)) = (pair.here.file("old", 3_000_000), pair.here.file("new", 20_000));
    fs::write(pair.there.at("old"), b"here before").expect("a file");
    let both = [text(&old), text(&new), "."];
    let ended = pair.copy(address, &both).expect(4).saying("--overwrite replaces it");
    assert!(ended.out.iter().any(|line| line.contains("1 not copied")), "{ended:#?}");
    assert_eq!(pair.there.content("old").as_deref(), Some(&b"here before"[..]));
    assert_eq!(pair.there.content("new"), Some(fresh));
    assert_eq!(server.event("refused")["name"], "new and 1 more");
    pair.copy(address, &[text(&old), "old", "--overwrite"]).expect(0);
    assert!(pair.there.content("old") == Some(content));
    // What the server forbids, no client may ask for.
    let (_server, strict) = pair.server(&["--no-clobber"]);
    pair.copy(strict, &[text(&new), "old", "--overwrite"]).expect(4).saying("never replaced");
}

#[test]
fn what_cannot_be_read_here_is_told_and_the_rest_arrives() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (good, bytes) = pair.here.file("good", 5000);
    let missing = pair.here.at("missing");
    pair.copy(address, &[text(&missing), text(&good), "to"]).expect(6).saying("missing cannot be read");
    assert_eq!(pair.there.content("to/good"), Some(bytes));
    let silent = FakeServer::silent();
    pair.copy(silent.address, &[text(&missing), "x"]).expect(6).saying("missing cannot be read");
    pair.copy(silent.address, &[text(pair.here.path()), "x"]).expect(6).saying("copy it with -r");
    assert_eq!(silent.heard(), "", "nothing is sent before there is something to copy");
}

#[test]
fn a_server_is_believed_when_it_is_met_first_and_held_to_its_key() {
    let pair = Pair::new();
    let (local, bytes) = pair.here.file("f", 10);
    let (server, address) = pair.server(&[]);
    pair.copy(address, &[text(&local), "f"]).expect(0).saying("met for the first time").saying("SHA256:");
    let again = pair.copy(address, &[text(&local), "g"]).expect(0);
    assert!(!again.out.iter().any(|line| line.contains("first time")), "{again:#?}");
    server.interrupt().expect(130);
    // Somebody else at the same place.
    let (other, port) = (pair.keys.at("other"), address.port().to_string());
    let arguments = [&port, "--json", "--bind", "127.0.0.1", "--root", text(pair.there.path())];
    let mut server = Program::start(SERVER, &[&arguments[..], &["--config-dir", text(&other)]].concat());
    server.listening();
    let ended = pair.copy(address, &[text(&local), "h"]).expect(4);
    let known_hosts = format!("line 1 of {}", text(&pair.keys.at("client/known_hosts")));
    ended
        .saying("has changed: it was SHA256:")
        .saying("and is SHA256:")
        .saying(&known_hosts)
        .saying("remove that line");
    assert_eq!(pair.there.content("f"), Some(bytes));
    assert_eq!(pair.there.names(), ["f", "g"]);
}

#[test]
fn one_file_arrives_through_loss_and_delay() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (_link, way) = Program::link(address, &["--fault", "loss=10%,delay=20ms", "--seed", "7"]);
    let (local, bytes) = pair.here.file("f", 3_000_000);
    for control in ["bbr", "fixed:50000000"] {
        let ended = pair.copy(way, &[text(&local), control, "--congestion", control, "--json"]).expect(0);
        assert!(pair.there.content(control).as_ref() == Some(&bytes));
        let finished = ended.events().pop().expect("a last event");
        assert_eq!(finished["congestion"], control, "{finished}");
        let loss = finished["loss"].as_f64().expect("a share");
        assert!((0.03..0.25).contains(&loss), "{finished}");
        assert!(finished["bytes_again"].as_u64() > Some(100_000), "{finished}");
        assert_eq!(finished["packet_size"], 1472, "{finished}");
        assert!(finished["rtt_ms"].as_f64() >= Some(40.0), "{finished}");
    }
}

#[test]
fn a_server_that_is_killed_midway_is_silence_and_leaves_nothing_under_the_name() {
    let pair = Pair::new();
    let (server, address) = pair.server(&[]);
    let (_link, way) = Program::link(address, &["--fault", "rate=20mbit"]);
    let (local, _) = pair.here.file("f", 20_000_000);
    let client = pair.start(way, &[text(&local), "f", "--timeout", "2"]);
    wait_until(Duration::from_secs(20), "bytes are on the disk", || !pair.there.leftovers().is_empty());
    server.signal(Signal::KILL);
    drop(server);
    let ended = client.end().expect(3).saying("fell silent");
    assert!(ended.took < Duration::from_secs(20), "{ended:#?}");
    assert_eq!(pair.there.content("f"), None);
}

#[test]
fn a_client_that_is_interrupted_says_so_and_the_server_removes_what_is_not_whole() {
    let pair = Pair::new();
    let (mut server, address) = pair.server(&[]);
    let (_link, way) = Program::link(address, &["--fault", "rate=20mbit"]);
    let (local, _) = pair.here.file("f", 20_000_000);
    let client = pair.start(way, &[text(&local), "f"]);
    wait_until(Duration::from_secs(20), "bytes are on the disk", || !pair.there.leftovers().is_empty());
    client.signal(Signal::INT);
    client.end().expect(130).saying("interrupted");
    assert_eq!(server.event("failed")["reason"], "client: interrupted");
    // What came of a large file waits for another try.
    let is_kept =
        || pair.there.leftovers().iter().all(|name| !name.ends_with(".part")) && pair.there.names().len() <= 2;
    wait_until(Duration::from_secs(5), "only what can be resumed is left", is_kept);
    assert_eq!(pair.there.content("f"), None);
}

#[test]
fn a_server_that_is_interrupted_tells_its_clients() {
    let pair = Pair::new();
    let (server, address) = pair.server(&[]);
    let (_link, way) = Program::link(address, &["--fault", "rate=20mbit"]);
    let (local, _) = pair.here.file("f", 20_000_000);
    let client = pair.start(way, &[text(&local), "f"]);
    wait_until(Duration::from_secs(20), "bytes are on the disk", || !pair.there.leftovers().is_empty());
    server.interrupt().expect(130);
    client.end().expect(4).saying("the server ends");
    assert!(pair.there.leftovers().iter().all(|name| !name.ends_with(".part")));
    assert_eq!(pair.there.content("f"), None);
}

#[test]
fn a_file_that_changes_meanwhile_does_not_arrive_and_the_rest_does() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (_link, way) = Program::link(address, &["--fault", "rate=100mbit"]);
    // Far larger than what is read ahead.
    let (changing, _) = pair.here.file("a", 150_000_000);
    let (good, bytes) = pair.here.file("b", 5000);
    let client = pair.start(way, &[text(&changing), text(&good), "to"]);
    wait_until(Duration::from_secs(20), "bytes are on the disk", || pair.there.at("to").exists());
    fs::OpenOptions::new().write(true).open(&changing).and_then(|file| file.set_len(149_000_000)).expect("our file");
    client.end().expect(6).saying("changed while it was read");
    assert_eq!(pair.there.content("to/b"), Some(bytes));
    assert_eq!(pair.there.content("to/a"), None);
}

#[test]
fn nobody_there_is_exit_3_soon_and_silence_after_the_time_out() {
    let pair = Pair::new();
    let (local, _) = pair.here.file("f", 10);
    let ended = pair.copy("127.0.0.1:1", &[text(&local), "f"]).expect(3).saying("nobody listens at");
    assert!(ended.took < Duration::from_secs(4), "{ended:#?}");
    let silent = FakeServer::silent();
    let ended = pair.copy(silent.address, &[text(&local), "f", "--timeout", "1"]).expect(3).saying("--mode lab");
    assert!(ended.took > Duration::from_secs(1) && ended.took < Duration::from_secs(4), "{ended:#?}");
}

#[test]
fn what_only_the_windowed_mode_can_is_a_usage_error_elsewhere() {
    for more in [&["-r"][..], &["--overwrite"], &["--congestion", "cubic"], &["third"]] {
        let ended = Program::start(CLIENT, &[&["127.0.0.1:9", "--mode", "checked", "f", "g"], more].concat()).end();
        ended.expect(2).saying("--mode auto or windowed");
    }
    let odd = ["127.0.0.1:9", "f", "g", "--mode", "windowed"];
    for more in [&["--ladder"][..], &["--spelling", "compact"], &["--congestion", "reno"]] {
        Program::start(CLIENT, &[&odd, more].concat()).end().expect(2);
    }
}

#[test]
fn a_server_without_a_place_for_its_key_goes_on_without_the_windowed_mode() {
    let pair = Pair::new();
    let (file, _) = pair.here.file("file", 1);
    let arguments = ["0", "--bind", "127.0.0.1", "--root", text(pair.there.path()), "--config-dir", text(&file)];
    let mut server = Program::start(SERVER, &arguments);
    assert!(server.line().contains("the windowed mode is off"));
    assert!(server.line().starts_with("listening on"));
}

#[test]
fn exit_after_counts_windowed_transfers_too() {
    let pair = Pair::new();
    let (local, _) = pair.here.file("f", 10);
    let (server, address) = pair.server(&["--exit-after", "1"]);
    pair.copy(address, &[text(&local), "f"]).expect(0);
    server.end().expect(0);
}
