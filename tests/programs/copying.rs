//! A file goes from the client to the server: sizes, names, folders, what stands there already, addresses.

use crate::fakes::{Tap, Way};
use crate::harness::{
    BAD_SERVER, CLIENT, Folder, LIMIT, Program, SERVER, all_at_once, copy, has_ipv6, random_bytes, sha256, start_copy,
};
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Every way to talk, as options of the client.
const WAYS: [&[&str]; 4] =
    [&["--mode", "auto"], &["--mode", "checked"], &["--mode", "lab"], &["--spelling", "compact"]];

#[test]
fn every_size_arrives_exactly_in_every_mode_and_spelling() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, address) = Program::server(there.path(), &[]);
    // A chunk to our own server has 1383 bytes, to a plain one up to 1392, in the compact spelling 20476.
    let sizes = [0, 1, 1382, 1383, 1384, 1392, 20_476, 20_477, 100_000];
    let cases: Vec<_> = sizes.iter().flat_map(|size| WAYS.iter().map(move |way| (*size, *way))).collect();
    all_at_once(cases, |(size, way)| {
        let name = format!("{size} {}", way[1]);
        let (local, bytes) = here.file(&name, size);
        let verified = if way[1] == "auto" || way[1] == "checked" { ", verified" } else { "not verified" };
        let digest = if way[1] == "auto" { blake3::hash(&bytes).to_string() } else { sha256(&bytes) };
        copy(address, &local, &name, way).expect(0).saying(verified).saying(&digest);
        assert!(there.content(&name) == Some(bytes), "{name} differs");
    });
    there.expect_tidy();
}

#[test]
fn any_announced_buffer_works_from_64_bytes_to_the_largest_datagram() {
    all_at_once(["64", "65", "1472", "65507"], |bufsize| {
        let (here, there) = (Folder::new(), Folder::new());
        let (_server, address) = Program::server(there.path(), &["--bufsize", bufsize]);
        let (local, bytes) = here.file("f", 70_000);
        for way in WAYS {
            copy(address, &local, way[1], way).expect(0);
            assert!(there.content(way[1]).as_ref() == Some(&bytes), "{way:?} with {bufsize}");
        }
    });
}

#[test]
fn data_that_looks_like_messages_arrives_exactly() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, address) = Program::server(there.path(), &[]);
    let bytes = [&b" | d | 1 | \n|a|1|"[..]].repeat(700).concat();
    fs::write(here.at("f"), &bytes).expect("a file");
    for way in WAYS {
        copy(address, &here.at("f"), way[1], way).expect(0);
        assert!(there.content(way[1]).as_ref() == Some(&bytes), "{way:?}");
    }
}

#[test]
fn names_with_spaces_bars_and_any_letters_arrive_as_they_are() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, address) = Program::server(there.path(), &[]);
    let (local, bytes) = here.file("f", 3000);
    let long = "n".repeat(255);
    let names = [
        "two words.txt",
        "a|b",
        "a | b | 7",
        " leading",
        "trailing ",
        "| | |",
        "ünï 文件 🦀.bin",
        "-",
        "e | 1 | x",
        &long,
    ];
    for way in WAYS {
        for name in names {
            copy(address, &local, name, way).expect(0);
            assert!(there.content(name).as_ref() == Some(&bytes), "{way:?} {name}");
            fs::remove_file(there.at(name)).expect("it is there");
        }
    }
    assert!(there.names().is_empty());
}

#[test]
fn an_existing_folder_is_used_and_a_missing_one_is_refused() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, address) = Program::server(there.path(), &[]);
    let (local, bytes) = here.file("f", 5000);
    fs::create_dir_all(there.at("notes/old")).expect("folders");
    for way in WAYS {
        let name = format!("notes/old/{}", way[1]);
        copy(address, &local, &name, way).expect(0);
        assert_eq!(there.content(&name).as_ref(), Some(&bytes));
    }
    let reason = "refused by the server: \"f\" goes into a folder that does not exist here";
    copy(address, &local, "missing/f", &[]).expect(4).saying(reason);
    assert_eq!(there.names(), ["notes"]);
}

#[test]
fn a_name_that_leads_outside_is_refused_with_a_reason() {
    let (here, around) = (Folder::new(), Folder::new());
    fs::create_dir(around.at("root")).expect("a folder");
    let (mut server, address) = Program::server(&around.at("root"), &[]);
    let (local, _) = here.file("f", 5000);
    let absolute = around.at("x").to_string_lossy().into_owned();
    for name in ["../x", "a/../../x", &absolute, "a\nb", "x/", ".homing-0.part"] {
        copy(address, &local, name, &["--mode", "checked"]).expect(4).saying("refused by the server: ");
        assert_eq!(server.event("refused")["name"], name);
    }
    // Plain peers know no refusal: they hear nothing.
    all_at_once([WAYS[2], WAYS[3]], |way| {
        copy(address, &local, "../x", &[way, &["--timeout", "0.5"]].concat()).expect(3);
    });
    assert_eq!(around.names(), ["root"]);
    assert!(fs::read_dir(around.at("root")).expect("a folder").next().is_none());
}

#[test]
fn a_link_in_the_folder_leads_nobody_outside() {
    let (here, there, outside) = (Folder::new(), Folder::new(), Folder::new());
    std::os::unix::fs::symlink(outside.path(), there.at("out")).expect("a link");
    std::os::unix::fs::symlink(outside.at("x"), there.at("link")).expect("a link");
    let (_server, address) = Program::server(there.path(), &[]);
    let (local, _) = here.file("f", 5000);
    copy(address, &local, "out/x", &[]).expect(4).saying("leads outside");
    copy(address, &local, "link", &[]).expect(4).saying("is a folder, a link or a device here");
    assert!(outside.names().is_empty());
}

#[test]
fn an_existing_file_is_replaced_and_the_notice_says_so() {
    let (here, there) = (Folder::new(), Folder::new());
    let root = there.path().to_str().expect("a plain path");
    let mut server = Program::start(SERVER, &["0", "--bind", "127.0.0.1", "--root", root]);
    let address = server.line().replace("listening on ", "");
    for way in &WAYS[1..] {
        let (local, bytes) = here.file("f", 4000);
        fs::write(there.at("f"), "something older").expect("a file");
        copy(&address, &local, "f", way).expect(0);
        assert_eq!(there.content("f"), Some(bytes));
    }
    let ended = server.interrupt().expect(130);
    let notices = ended.out.iter().filter(|line| line.contains("replaced a file of 15 bytes")).count();
    assert_eq!(notices, 3, "{ended:#?}");
}

#[test]
fn an_empty_file_replaces_one_with_content_but_its_start_alone_does_not() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, address) = Program::server(there.path(), &[]);
    let (local, _) = here.file("empty", 0);
    for way in &WAYS[1..] {
        fs::write(there.at("f"), "full").expect("a file");
        copy(address, &local, "f", way).expect(0);
        assert_eq!(there.content("f").as_deref(), Some(&b""[..]), "{way:?}");
    }
    fs::write(there.at("f"), "full").expect("a file");
    for start in ["s | 0 | f | 0", "s|0|f|0"] {
        let answer = ask(address, start.as_bytes());
        assert!(answer.starts_with(b"a"), "{}", answer.escape_ascii());
        assert_eq!(there.content("f").as_deref(), Some(&b"full"[..]), "{start}");
    }
}

/// Sends one datagram from a fresh port, and waits for the answer.
fn ask(server: SocketAddr, datagram: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(LIMIT)).expect("a time-out");
    socket.send_to(datagram, server).expect("a local address");
    let mut slot = vec![0; 2000];
    let (length, _) = socket.recv_from(&mut slot).expect("an answer");
    slot.truncate(length);
    slot
}

#[test]
fn with_no_clobber_an_existing_file_stays_as_it_is() {
    let (here, there) = (Folder::new(), Folder::new());
    fs::write(there.at("f"), "mine").expect("a file");
    let (_server, address) = Program::server(there.path(), &["--no-clobber"]);
    let (local, bytes) = here.file("f", 4000);
    copy(address, &local, "f", &[]).expect(4).saying("\"f\" exists here and is never replaced; choose another name");
    all_at_once([WAYS[2], WAYS[3]], |way| {
        copy(address, &local, "f", &[way, &["--timeout", "0.5"]].concat()).expect(3);
    });
    assert_eq!(there.content("f").as_deref(), Some(&b"mine"[..]));
    copy(address, &local, "g", &[]).expect(0);
    assert_eq!(there.content("g"), Some(bytes));
}

#[test]
fn a_file_beyond_the_largest_size_is_refused_at_its_start() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, address) = Program::server(there.path(), &["--max-size", "5k"]);
    let (local, _) = here.file("large", 5001);
    copy(address, &local, "f", &[]).expect(4).saying("\"f\" has 5001 bytes, the limit here is 5000");
    assert!(there.names().is_empty());
    let (local, bytes) = here.file("fits", 5000);
    copy(address, &local, "f", &[]).expect(0);
    assert_eq!(there.content("f"), Some(bytes));
}

#[test]
fn standard_input_is_sent_whatever_its_length() {
    let there = Folder::new();
    let (_server, address) = Program::server(there.path(), &[]);
    for (name, size) in [("none", 0), ("some", 10), ("much", 300_000)] {
        let bytes = random_bytes(size);
        Program::fed(CLIENT, &[&address.to_string(), "-", name], &bytes).end().expect(0);
        assert!(there.content(name) == Some(bytes), "{name}");
    }
}

#[test]
fn standard_input_is_spooled_to_the_temporary_folder_and_leaves_nothing_there() {
    let (there, spool) = (Folder::new(), Folder::new());
    let (_server, address) = Program::server(there.path(), &[]);
    let script = format!("head -c 100000 /dev/zero | TMPDIR={} {CLIENT} {address} - f", spool.path().display());
    Program::start("/bin/sh", &["-c", &script]).end().expect(0);
    assert_eq!(there.content("f"), Some(vec![0; 100_000]));
    assert!(spool.names().is_empty());
}

#[test]
fn both_families_and_host_names_lead_to_the_server() {
    let (here, there) = (Folder::new(), Folder::new());
    let root = there.path().to_str().expect("a plain path");
    let (local, bytes) = here.file("f", 30_000);
    let arrives = |target: String, name: &str| {
        let ended = copy(&target, &local, name, &[]).expect(0);
        // With several addresses the wrong ones cost less than a time-out.
        assert!(ended.took < Duration::from_secs(2), "{target}: {ended:#?}");
        assert!(there.content(name).as_ref() == Some(&bytes), "{target}");
    };
    let (_v4, v4) = Program::server(there.path(), &[]);
    arrives(format!("localhost:{}", v4.port()), "by name");
    if !has_ipv6() {
        return;
    }
    let mut v6 = Program::start(SERVER, &["0", "--json", "--bind", "::1", "--root", root]);
    arrives(v6.listening().to_string(), "by IPv6");
    let mut both = Program::start(SERVER, &["0", "--json", "--bind", "::", "--root", root]);
    let port = both.listening().port();
    arrives(format!("127.0.0.1:{port}"), "by IPv4, served by both");
    arrives(format!("[::1]:{port}"), "by IPv6, served by both");
    arrives(format!("localhost:{port}"), "by name, served by both");
}

#[test]
fn the_address_that_a_server_prints_can_be_copied() {
    let (here, there) = (Folder::new(), Folder::new());
    let root = there.path().to_str().expect("a plain path");
    let (local, bytes) = here.file("f", 3000);
    let binds = if has_ipv6() { &["0.0.0.0", "::"][..] } else { &["0.0.0.0"] };
    all_at_once(binds, |bind| {
        let mut server = Program::start(SERVER, &["0", "--bind", bind, "--root", root]);
        let address = server.line().replace("listening on ", "");
        copy(&address, &local, bind, &["--timeout", "2"]).expect(0);
        assert_eq!(there.content(bind).as_ref(), Some(&bytes));
    });
}

#[test]
fn an_address_may_be_written_in_every_way_that_the_system_understands() {
    let (here, there) = (Folder::new(), Folder::new());
    let root = there.path().to_str().expect("a plain path");
    let (local, bytes) = here.file("f", 3000);
    if !has_ipv6() {
        return;
    }
    let mut server = Program::start(SERVER, &["0", "--json", "--bind", "::", "--root", root]);
    let port = server.listening().port();
    // IPv4 inside of IPv6, and an interface by its number, as link-local addresses need it.
    all_at_once(["[::ffff:127.0.0.1]", "[::1%1]"], |host| {
        copy(format!("{host}:{port}"), &local, host, &["--timeout", "2"]).expect(0);
        assert_eq!(there.content(host).as_ref(), Some(&bytes));
    });
}

#[test]
fn a_server_with_many_addresses_answers_from_the_one_that_was_asked() {
    let (here, there) = (Folder::new(), Folder::new());
    let root = there.path().to_str().expect("a plain path");
    let (local, bytes) = here.file("f", 3000);
    let binds = if has_ipv6() { &["0.0.0.0", "::"][..] } else { &["0.0.0.0"] };
    for bind in binds {
        for program in [SERVER, BAD_SERVER] {
            let mut server = Program::start(program, &["0", "--json", "--bind", bind, "--root", root]);
            let port = server.listening().port();
            copy(format!("127.0.0.2:{port}"), &local, "f", &[]).expect(0);
            assert_eq!(there.content("f").as_ref(), Some(&bytes));
            fs::remove_file(there.at("f")).expect("it is there");
        }
    }
}

#[test]
fn two_clients_that_send_one_name_leave_one_of_the_files() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, address) = Program::server(there.path(), &[]);
    let files: Vec<_> = (0..6).map(|number| here.file(&number.to_string(), 50_000)).collect();
    all_at_once(&files, |(local, _)| {
        copy(address, local, "f", &[]).expect(0);
    });
    let content = there.content("f").expect("it is there");
    assert!(files.iter().any(|(_, bytes)| *bytes == content));
    there.expect_tidy();
}

#[test]
fn a_server_without_a_root_serves_the_folder_it_was_started_in() {
    let (here, there) = (Folder::new(), Folder::new());
    let script = format!("cd {} && exec {SERVER} 0 --json --bind 127.0.0.1", there.path().display());
    let mut server = Program::start("/bin/sh", &["-c", &script]);
    let address = server.listening();
    let (local, bytes) = here.file("f", 100);
    copy(address, &local, "f", &[]).expect(0);
    assert_eq!(there.content("f"), Some(bytes));
}

#[test]
fn a_client_that_is_started_before_its_server_finds_it() {
    let (here, there) = (Folder::new(), Folder::new());
    let (local, bytes) = here.file("f", 3000);
    // Below the range from which the system hands out ports, so that nobody else gets it meanwhile.
    let port = (20_000..30_000).find(|port| UdpSocket::bind(("127.0.0.1", *port)).is_ok()).expect("a free port");
    // A closed port ends the client after a second at the earliest: time enough to start a server.
    let client = start_copy(format!("127.0.0.1:{port}"), &local, "f", &[]);
    thread::sleep(Duration::from_millis(200));
    let root = there.path().to_str().expect("a plain path");
    let _server = Program::start(SERVER, &[&port.to_string(), "--bind", "127.0.0.1", "--root", root]);
    client.end().expect(0);
    assert_eq!(there.content("f"), Some(bytes));
}

#[test]
fn the_first_datagram_leaves_soon_after_the_start() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
    let address = socket.local_addr().expect("an address");
    let began = Instant::now();
    let _client = start_copy(address, Path::new("Cargo.toml"), "f", &[]);
    let (length, _) = socket.recv_from(&mut [0; 2000]).expect("a start");
    // 20 ms is the aim on a quiet machine; this one is busy with other tests.
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    // The offering start is never shorter than its answer.
    assert!(length >= 128, "{length}");
}

#[test]
fn nothing_temporary_is_seen_before_there_is_data() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, address) = Program::server(there.path(), &[]);
    let tap = Tap::new(address, Duration::ZERO, |way, bytes| way == Way::ToClient || bytes.starts_with(b"s"));
    let (local, _) = here.file("f", 100_000);
    let client = start_copy(tap.address, &local, "f", &["--timeout", "1"]);
    thread::sleep(Duration::from_millis(500));
    assert!(there.names().is_empty());
    client.end().expect(3).saying("fell silent");
    assert!(there.names().is_empty());
}
