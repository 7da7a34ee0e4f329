//! How windowed transfers end that do not go as they should: sources that change, destinations that are taken, silent paths, wrong use.

use crate::fakes::FakeServer;
use crate::harness::{CLIENT, Folder, LOSSY_LINK, Program, SERVER, has_ipv6, random_bytes, sha256, wait_until};
use crate::windowed::{Pair, text};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

fn truncate(path: &std::path::Path, size: u64) {
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path).expect("a file");
    file.set_len(size).expect("a length");
}

#[test]
fn a_large_file_that_shrinks_does_not_hold_up_what_the_manifest_has_not_named_yet() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let tree = pair.here.at("t");
    for folder in ["b", "c"] {
        fs::create_dir_all(tree.join(folder)).expect("a folder");
    }
    // More than the server lets wait behind it, more behind it than is read ahead, and more names than are walked meanwhile.
    fs::write(tree.join("a"), vec![0; 80_000_000]).expect("a file, and no hole");
    (0..20).for_each(|number| truncate(&tree.join(format!("b/{number}")), 1_000_000));
    (0..6000).for_each(|number| drop(fs::write(tree.join(format!("c/{number}")), b"")));
    let client = pair.start(address, &["-r", text(&tree), "to", "--congestion", "fixed:100m"]);
    wait_until(Duration::from_secs(20), "bytes are on the disk", || pair.there.at("to").exists());
    truncate(&tree.join("a"), 79_000_000);
    client.end().expect(6).saying("t/a: it changed while it was read").saying("6020 files");
    assert!(!pair.there.at("to/a").exists());
}

#[test]
fn a_refused_pipe_is_not_waited_for_and_a_refused_file_not_read() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    fs::write(pair.there.at("taken"), b"old").expect("a file");
    let keys = pair.keys.at("client");
    let target = address.to_string();
    for silent in [true, false] {
        let arguments = [&target, "-", "taken", "--mode", "windowed", "--config-dir", text(&keys)];
        let mut client = Program::waiting_for_input(CLIENT, &arguments);
        if !silent {
            client.type_line("a little");
        }
        let ended = client.end().expect(4).saying("refused by the server: \"taken\" exists here");
        assert!(ended.took < Duration::from_secs(10), "{ended:#?}");
    }
    let large = pair.here.at("large");
    truncate(&large, 1 << 40);
    let ended = pair.copy(address, &[text(&large), "taken"]).expect(4).saying("--overwrite replaces it");
    assert!(ended.took < Duration::from_secs(20), "a tebibyte takes longer: {ended:#?}");
    let (good, bytes) = pair.here.file("good", 5000);
    fs::create_dir(pair.there.at("to")).expect("a folder");
    fs::write(pair.there.at("to/large"), b"old").expect("a file");
    let ended = pair.copy(address, &[text(&large), text(&good), "to"]).expect(4).saying("5000 bytes in");
    assert!(ended.took < Duration::from_secs(20), "{ended:#?}");
    assert_eq!(pair.there.content("to/good"), Some(bytes));
}

#[test]
fn tiny_files_that_are_refused_between_others_hold_up_nothing() {
    refuse_every_second_of(3000);
}

#[test]
#[ignore = "it makes and syncs thirty thousand files"]
fn ten_thousand_tiny_files_that_are_refused_between_others_hold_up_nothing() {
    // More than an answer names.
    refuse_every_second_of(20_000);
}

fn refuse_every_second_of(files: usize) {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (from, to) = (pair.here.at("t"), pair.there.at("to/t"));
    fs::create_dir_all(&from).expect("a folder");
    fs::create_dir_all(&to).expect("a folder");
    // While it is on its way, refusals come back.
    truncate(&from.join("0"), 30_000_000);
    for number in 10_000..10_000 + files {
        fs::write(from.join(number.to_string()), format!("{number:010}")).expect("a file");
        if number % 2 == 1 {
            fs::write(to.join(number.to_string()), b"old").expect("a file");
        }
    }
    let ended = pair.copy(address, &["-r", text(&from), "to/", "--congestion", "fixed:100m"]).expect(4);
    ended.saying(&format!("{} files", files / 2 + 1)).saying(&format!("{} were not copied", files / 2));
    for (number, content) in [(10_000, "0000010000"), (10_001, "old"), (12_998, "0000012998"), (12_999, "old")] {
        assert_eq!(pair.there.content(&format!("to/t/{number}")), Some(content.into()), "{number}");
    }
}

#[test]
fn sha256_is_told_of_one_file_at_the_end_and_of_several_in_a_line_each() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let ((one, first), (two, second)) = (pair.here.file("one", 100_000), pair.here.file("two", 10));
    let digest = sha256(&first);
    pair.copy(address, &[text(&one), "f", "--sha256"]).expect(0).saying(&format!(", sha256 {digest}"));
    let ended = pair.copy(address, &[text(&one), "g", "--sha256", "--json"]).expect(0);
    assert_eq!(ended.events().pop().expect("a last event")["sha256"], digest);
    let ended = pair.copy(address, &[text(&one), text(&two), "to", "--sha256"]).expect(0);
    ended.saying(&format!("{digest}  to/one")).saying(&format!("{}  to/two", sha256(&second)));
    let ended = pair.copy(address, &[text(&one), text(&two), "too", "--sha256", "--json"]).expect(0);
    let digests: Vec<_> = ended.events().into_iter().filter(|event| event["event"] == "digest").collect();
    assert_eq!((&digests[1]["name"], &digests[1]["sha256"]), (&"too/two".into(), &sha256(&second).into()));
    let checked = ["127.0.0.1:9", "f", "g", "--mode", "checked", "--sha256"];
    Program::start(CLIENT, &checked).end().expect(2).saying("--mode auto or windowed");
}

#[test]
fn who_gets_small_buffers_is_told_which_setting_makes_them_larger() {
    let limit = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let (Some(receive), Some(send)) = (limit("rmem_max"), limit("wmem_max")) else { return };
    let pair = Pair::new();
    let (local, _) = pair.here.file("f", 10);
    let (server, address) = pair.server(&["--exit-after", "2"]);
    let verbose = pair.copy(address, &[text(&local), "f", "--verbose"]).expect(0);
    let usual = pair.copy(address, &[text(&local), "g"]).expect(0);
    let server = server.end().expect(0);
    let is_told = |lines: &[String], setting: &str| lines.iter().any(|line| line.contains(setting));
    for (setting, is_little) in [("net.core.rmem_max=", receive < 2 << 20), ("net.core.wmem_max=", send < 512 << 10)] {
        assert_eq!(is_told(&server.out, setting), is_little, "{server:#?}");
        assert_eq!(is_told(&verbose.out, setting), is_little, "{verbose:#?}");
        assert!(!is_told(&usual.out, setting), "{usual:#?}");
    }
}

/// A transfer that is under way through a link of 20 Mbit/s: the client, the file's content, the server, the link and its address.
fn underway(pair: &Pair, more: &[&str]) -> (Program, Vec<u8>, (Program, SocketAddr), Program, SocketAddr) {
    let (server, address) = pair.server(&[]);
    let (link, way) = Program::link(address, &["--fault", "rate=20mbit,delay=5ms"]);
    let (local, bytes) = pair.here.file("f", 6_000_000);
    let client = pair.start(way, &[&[text(&local), "f"], more].concat());
    let is_long = |name: &String| fs::metadata(pair.there.at(name)).is_ok_and(|part| part.len() > 1_000_000);
    wait_until(Duration::from_secs(40), "a megabyte is on the disk", || pair.there.leftovers().iter().any(is_long));
    (client, bytes, (server, address), link, way)
}

/// Stops the server in the middle for so many seconds.
fn stop_for(seconds: u64) {
    let pair = Pair::new();
    let (client, bytes, (server, _), _link, _) = underway(&pair, &[]);
    server.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(seconds));
    server.signal(Signal::CONT);
    client.end().expect(0).saying("no answer for 5 s; waiting up to 300 s").saying("an answer again after");
    assert!(pair.there.content("f") == Some(bytes));
}

#[test]
fn a_server_that_stops_for_a_while_is_told_of_and_waited_for() {
    stop_for(7);
}

#[test]
#[ignore = "it takes half a minute"]
fn a_server_that_stops_for_twenty_seconds_is_waited_for() {
    stop_for(20);
}

#[test]
fn a_link_that_is_cut_and_comes_back_from_another_address_is_healed() {
    let pair = Pair::new();
    let (client, bytes, (_server, address), link, way) = underway(&pair, &["--json"]);
    drop(link);
    std::thread::sleep(Duration::from_secs(2));
    let (listen, to) = (way.to_string(), address.to_string());
    let _link = Program::start(LOSSY_LINK, &["--json", "--listen", &listen, "--to", &to]);
    let ended = client.end().expect(0);
    assert!(ended.took < Duration::from_secs(30), "{ended:#?}");
    assert!(pair.there.content("f") == Some(bytes));
}

#[test]
fn one_port_serves_both_families() {
    if !has_ipv6() {
        return;
    }
    let pair = Pair::new();
    let (keys, local) = (pair.keys.at("server"), pair.here.file("f", 300_000));
    let arguments = ["0", "--json", "--bind", "::", "--root", text(pair.there.path()), "--config-dir", text(&keys)];
    let mut server = Program::start(SERVER, &arguments);
    let port = server.listening().port();
    for (name, host) in [("six", "[::1]"), ("four", "127.0.0.1"), ("either", "localhost")] {
        pair.copy(format!("{host}:{port}"), &[text(&local.0), name]).expect(0);
        assert!(pair.there.content(name).as_ref() == Some(&local.1), "{host}");
    }
}

#[test]
fn names_of_every_kind_arrive_or_are_told_of() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let long = "ä".repeat(127) + "x";
    let tree = pair.here.at("t");
    fs::create_dir_all(tree.join("empty")).expect("a folder");
    fs::write(tree.join(&long), b"1").expect("a name of 255 bytes");
    fs::write(tree.join(" - \"quoted\" | $(x)"), b"2").expect("an odd name");
    fs::write(tree.join("none"), b"").expect("an empty file");
    pair.copy(address, &["-r", text(&tree), "."]).expect(0);
    let there = pair.there.at("t");
    assert_eq!(fs::read(there.join(&long)).expect("it arrived"), b"1");
    assert_eq!(fs::read(there.join(" - \"quoted\" | $(x)")).expect("it arrived"), b"2");
    assert!(there.join("empty").is_dir() && fs::read(there.join("none")).expect("it arrived").is_empty());
    fs::write(tree.join(OsStr::from_bytes(b"odd\xff")), b"3").expect("a name that is no text");
    let ended = pair.copy(address, &["-r", text(&tree), "again"]).expect(6);
    ended.saying("has a name that is not UTF-8; rename it").saying("3 files");
    let empty = Folder::new();
    pair.copy(address, &["-r", text(empty.path()), "nothing"]).expect(0);
    assert!(pair.there.at("nothing").is_dir());
}

#[test]
fn a_destination_of_the_wrong_kind_is_refused_with_the_reason() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (local, _) = pair.here.file("f", 10);
    fs::write(pair.there.at("file"), b"old").expect("a file");
    fs::create_dir(pair.there.at("folder")).expect("a folder");
    for (destination, words) in
        [("file/", "file"), ("folder", "folder"), ("../f", "destination"), ("/f", "destination")]
    {
        let ended = pair.copy(address, &[text(&local), destination]);
        let code = if words == "destination" { 2 } else { 4 };
        ended.expect(code).saying(words);
    }
    assert_eq!(pair.there.content("file").as_deref(), Some(&b"old"[..]));
}

#[test]
fn of_two_clients_with_one_name_the_second_is_refused_and_nothing_is_mixed() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (_link, way) = Program::link(address, &["--fault", "rate=50mbit"]);
    let files = [pair.here.file("one", 3_000_000), pair.here.file("two", 3_000_000)];
    // Keys are made once.
    pair.copy(address, &[text(&files[0].0), "before"]).expect(0);
    let clients: Vec<_> = files.iter().map(|(path, _)| pair.start(way, &[text(path), "f"])).collect();
    let ended: Vec<_> = clients.into_iter().map(Program::end).collect();
    let content = pair.there.content("f").expect("one of them");
    for (ended, (_, bytes)) in ended.into_iter().zip(&files) {
        match content == *bytes {
            true => drop(ended.expect(0)),
            false => drop(ended.expect(4).saying("exists here")),
        }
    }
    wait_until(Duration::from_secs(20), "nothing else is left", || pair.there.leftovers().is_empty());
}

#[test]
fn a_killed_client_leaves_nothing() {
    let pair = Pair::new();
    let (mut server, address) = pair.server(&["--idle-timeout", "1"]);
    let (_link, way) = Program::link(address, &["--fault", "rate=20mbit"]);
    let (local, _) = pair.here.file("f", 20_000_000);
    let client = pair.start(way, &[text(&local), "f"]);
    wait_until(Duration::from_secs(20), "bytes are on the disk", || !pair.there.leftovers().is_empty());
    client.signal(Signal::KILL);
    assert!(server.event("failed")["reason"].as_str().is_some_and(|reason| reason.contains("nothing came")));
    wait_until(Duration::from_secs(5), "nothing is left", || pair.there.names().is_empty());
}

#[test]
fn a_server_of_another_version_is_told_of() {
    let pair = Pair::new();
    let (local, _) = pair.here.file("f", 10);
    // A hello: type, version, connection ID; and the answer of a server that knows version 9 only.
    let server = FakeServer::start(|hello| Some([&[0xc4, 9], &hello[2..10]].concat()));
    let ended = pair.copy(server.address, &[text(&local), "f"]).expect(4);
    ended.saying("speaks version 9 of the windowed mode");
    // And a client of another version at our server.
    let (_server, address) = pair.server(&[]);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
    let mut hello = vec![0; 1200];
    (hello[0], hello[1]) = (0xc0, 9);
    hello[2..10].copy_from_slice(&random_bytes(8));
    socket.send_to(&hello, address).expect("sent");
    let mut answer = [0; 100];
    let length = socket.recv(&mut answer).expect("an answer");
    assert_eq!(answer[..length], [&[0xc4, 1], &hello[2..10]].concat());
}
