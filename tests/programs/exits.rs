//! Every exit code of the client, and what it says beside it.

use crate::fakes::{FakeServer, Tap, Way};
use crate::harness::{CLIENT, Ended, Folder, Program, all_at_once, copy, random_bytes, sha256, start_copy, wait_until};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Nobody listens there: tests get higher ports.
const CLOSED: &str = "127.0.0.1:1";

fn run(arguments: &[&str]) -> Ended {
    Program::start(CLIENT, arguments).end()
}

#[test]
fn exit_2_and_a_word_why_when_the_command_line_makes_no_sense() {
    let here = Folder::new();
    let (local, _) = here.file("f", 10);
    let local = local.to_str().expect("a plain path");
    let cases: &[(&[&str], &str)] = &[
        (&[], "required arguments"),
        (&["127.0.0.1:9", local], "<REMOTE>"),
        (&["127.0.0.1", local, "f"], "write HOST:PORT"),
        (&["127.0.0.1:", local, "f"], "write HOST:PORT"),
        (&["127.0.0.1:http", local, "f"], "write HOST:PORT"),
        (&["127.0.0.1:99999", local, "f"], "write HOST:PORT"),
        (&[":9", local, "f"], "write HOST:PORT"),
        (&["::1", local, "f"], "[::1]:12300"),
        (&["127.0.0.1:9", local, ""], "REMOTE is empty"),
        (&["127.0.0.1:9", local, "f", "--nonsense"], "--nonsense"),
        (&["127.0.0.1:9", local, "f", "--mode", "fast"], "fast"),
        (&["127.0.0.1:9", local, "f", "--timeout", "0"], "more than 0"),
        (&["127.0.0.1:9", local, "f", "--timeout", "soon"], "soon"),
        (&["127.0.0.1:9", local, "f", "--mode", "checked", "--spelling", "compact"], "needs the spaced spelling"),
        (&["127.0.0.1:9", local, "f", "-q", "-v"], "cannot be used with"),
    ];
    for (arguments, words) in cases {
        let ended = run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:#?}");
        assert!(ended.out.is_empty(), "{arguments:?}: {ended:#?}");
        ended.saying(words);
    }
    // More than any lab server reads.
    let long = vec!["n".repeat(200); 6].join("/");
    run(&["127.0.0.1:9", local, &long]).expect(2).saying("choose a shorter one");
}

#[test]
fn port_0_is_no_server() {
    let here = Folder::new();
    let (local, _) = here.file("f", 10);
    copy("127.0.0.1:0", &local, "f", &["--timeout", "1"]).expect(2);
}

#[test]
fn help_tells_the_exit_codes() {
    let ended = run(&["--help"]).expect(0);
    let text = ended.out.join("\n");
    for code in ["0    ", "2    ", "3    ", "4    ", "5    ", "6    ", "7    ", "130  ", "1    "] {
        assert!(text.contains(&format!("\n  {code}")), "{code} in {text}");
    }
    run(&["--version"]).expect(0).saying(env!("CARGO_PKG_VERSION"));
}

#[test]
fn exit_3_soon_when_the_port_is_closed() {
    let here = Folder::new();
    let (local, _) = here.file("f", 10);
    let ways: [&[&str]; 3] = [&["--mode", "auto"], &["--mode", "lab"], &["--spelling", "compact"]];
    all_at_once(ways, |way| {
        let ended = copy(CLOSED, &local, "f", way).expect(3).saying("nobody listens at 127.0.0.1:1");
        let ended = ended.saying("server unreachable").saying("is UDP port 1 open there?");
        assert!(ended.took < Duration::from_secs(3), "{ended:#?}");
        // A server that is just being started gets its second.
        assert!(ended.took > Duration::from_secs(1), "{ended:#?}");
    });
}

#[test]
fn exit_3_after_the_time_out_when_nobody_answers() {
    let here = Folder::new();
    let (local, _) = here.file("f", 10);
    let ways: [(&[&str], &str); 2] = [
        (&["--mode", "auto"], "--spelling compact is the other one"),
        (&["--spelling", "compact"], "--spelling spaced is the other one"),
    ];
    all_at_once(ways, |(way, hint)| {
        let silent = FakeServer::silent();
        let ended = copy(silent.address, &local, "f", &[way, &["--timeout", "1"]].concat()).expect(3).saying(hint);
        let ended = ended.saying(&format!("is UDP port {} open there?", silent.address.port()));
        assert!(ended.took > Duration::from_secs(1) && ended.took < Duration::from_millis(2500), "{ended:#?}");
        let heard = silent.heard();
        assert!(heard.len() <= 4 && heard.chars().all(|kind| kind == 's'), "{heard}");
    });
}

#[test]
fn exit_4_when_a_plain_server_is_asked_to_verify_and_nothing_is_sent() {
    let here = Folder::new();
    let (local, _) = here.file("f", 5000);
    let plain = FakeServer::plain(true);
    copy(plain.address, &local, "f", &["--mode", "checked"]).expect(4).saying("--mode lab");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(plain.heard(), "s");
}

#[test]
fn a_plain_server_costs_auto_nothing_and_is_told_of_once() {
    let here = Folder::new();
    let (local, _) = here.file("f", 5000);
    let plain = FakeServer::plain(true);
    let ended = copy(plain.address, &local, "f", &["--mode", "auto"]).expect(0);
    let remarks = ended.out.iter().filter(|line| *line == "plain lab server: not encrypted, not verified").count();
    assert_eq!(remarks, 1, "{ended:#?}");
    // A chunk has 1024 bytes at most with its header, and the last acknowledgement is the end.
    assert_eq!(plain.heard(), "sddddd");
    assert!(ended.took < Duration::from_secs(1), "{ended:#?}");
}

#[test]
fn exit_5_when_a_byte_was_changed_on_the_way_and_no_file_there() {
    let (here, there) = (Folder::new(), Folder::new());
    let (mut server, address) = Program::server(there.path(), &[]);
    let (local, bytes) = here.file("f", 20_000);
    let tap = Tap::new(address, Duration::ZERO, flipping(3));
    let ended = copy(tap.address, &local, "f", &[]).expect(5).saying(&sha256(&bytes)).saying("sha256 differs, here ");
    assert_eq!(ended.out.len(), 0, "{ended:#?}");
    assert!(there.names().is_empty());
    assert!(server.event("failed")["reason"].as_str().is_some_and(|reason| reason.contains("sha256 differs")));
    // The lab's protocol has no place for a checksum, and says so.
    let tap = Tap::new(address, Duration::ZERO, flipping(3));
    copy(tap.address, &local, "f", &["--mode", "lab"]).expect(0).saying("not verified");
    assert!(there.content("f").is_some_and(|content| content != bytes));
}

/// Changes one byte of the n-th chunk.
fn flipping(nth: usize) -> impl FnMut(Way, &mut Vec<u8>) -> bool {
    let mut chunks = 0;
    move |way, datagram| {
        if way == Way::ToServer && datagram.starts_with(b"d") {
            chunks += 1;
            if chunks == nth
                && let Some(last) = datagram.last_mut()
            {
                *last ^= 1;
            }
        }
        true
    }
}

#[test]
fn exit_6_when_the_local_file_cannot_be_read() {
    let here = Folder::new();
    let fifo = here.at("fifo");
    Program::start("mkfifo", &[fifo.to_str().expect("a plain path")]).end().expect(0);
    let silent = FakeServer::silent();
    let cases =
        [(here.at("missing"), "missing"), (here.path().to_owned(), "is a folder"), (fifo, "a pipe or a device")];
    for (local, words) in cases {
        copy(silent.address, &local, "f", &[]).expect(6).saying(words);
    }
    let (secret, _) = here.file("secret", 10);
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o0)).expect("our file");
    if fs::File::open(&secret).is_err() {
        copy(silent.address, &secret, "f", &[]).expect(6).saying("cannot read");
    } else {
        println!("skipped: to this user no file is unreadable");
    }
    assert_eq!(silent.heard(), "", "nothing is sent before the file is open");
}

#[test]
fn a_local_file_that_cannot_be_read_is_an_event_for_programs_too() {
    let here = Folder::new();
    let silent = FakeServer::silent();
    let ended = copy(silent.address, &here.at("missing"), "f", &["--json"]).expect(6);
    let failed = ended.events().pop().expect("a last event");
    assert_eq!((&failed["event"], &failed["exit_code"]), (&"failed".into(), &6.into()), "{ended:#?}");
}

#[test]
fn exit_6_when_the_file_changes_while_it_is_read_and_no_file_there() {
    let cases = ["longer", "shorter", "other"].into_iter().flat_map(|how| [(how, "checked"), (how, "lab")]);
    all_at_once(cases, |(how, mode)| {
        let (here, there) = (Folder::new(), Folder::new());
        let (mut server, address) = Program::server(there.path(), &["--idle-timeout", "2"]);
        let (local, _) = here.file("f", 400_000);
        let tap = Tap::slow(address, Duration::from_millis(2));
        let client = start_copy(tap.address, &local, "f", &["--mode", mode]);
        wait_until(Duration::from_secs(20), "the first block is on the disk", || !there.leftovers().is_empty());
        change(&local, how);
        let ended = client.end().expect(6);
        assert!(ended.took < Duration::from_secs(20), "{how} {mode}: {ended:#?}");
        ended.saying(local.to_str().expect("a plain path"));
        let reason = server.event("failed")["reason"].as_str().unwrap_or_default().to_owned();
        match mode {
            "checked" => assert_eq!(reason, "client: its file changed while it was read", "{how}"),
            // A plain server cannot be told; silence tells it.
            _ => assert!(reason.starts_with("nothing came for 2 s"), "{how}: {reason}"),
        }
        wait_until(Duration::from_secs(5), "the temporary file is removed", || there.names().is_empty());
    });
}

fn change(path: &Path, how: &str) {
    let mut file = fs::OpenOptions::new().write(true).append(how == "longer").open(path).expect("our file");
    match how {
        "longer" => file.write_all(b"more").expect("room"),
        "shorter" => file.set_len(300_000).expect("our file"),
        _ => file.write_all(&random_bytes(1)).expect("room"),
    }
}

#[test]
fn exit_7_when_everything_was_sent_and_the_end_is_not_confirmed() {
    let here = Folder::new();
    let (local, _) = here.file("f", 5000);
    let (small, _) = here.file("g", 5);
    let cases = [("auto", false), ("lab", false), ("auto", true), ("checked", true)];
    all_at_once(cases.iter().flat_map(|case| [(&local, *case), (&small, *case)]), |(file, (mode, ours))| {
        let server = if ours { FakeServer::checked_without_end() } else { FakeServer::plain(false) };
        let ended = copy(server.address, file, "f", &["--timeout", "1", "--mode", mode]).expect(7);
        assert!(ended.took < Duration::from_secs(5), "{ended:#?}");
        ended.saying("the end was not confirmed").saying("may be complete there");
    });
}

#[test]
fn a_failure_is_an_event_with_its_exit_code() {
    let here = Folder::new();
    let (local, _) = here.file("f", 10);
    let ended = copy(CLOSED, &local, "the name", &["--json"]).expect(3);
    let events = ended.events();
    assert_eq!(events.len(), 1, "{ended:#?}");
    assert_eq!(events[0]["event"], "failed");
    assert_eq!(events[0]["name"], "the name");
    assert_eq!(events[0]["exit_code"], 3);
    assert!(ended.err.is_empty(), "{ended:#?}");
}

#[test]
fn quiet_says_nothing_but_what_goes_wrong() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, address) = Program::server(there.path(), &[]);
    let (local, _) = here.file("f", 10);
    let ended = copy(address, &local, "f", &["-q"]).expect(0);
    assert!(ended.out.is_empty() && ended.err.is_empty(), "{ended:#?}");
    let ended = copy(address, &local, "../f", &["-q"]).expect(4);
    assert!(ended.out.is_empty() && ended.err.len() == 1, "{ended:#?}");
}

#[test]
fn an_address_that_cannot_be_reached_is_no_answer() {
    let here = Folder::new();
    let (local, _) = here.file("f", 10);
    // Broadcasts are not permitted to ordinary sockets: the kernel says so at once.
    copy("255.255.255.255:9", &local, "f", &[]).expect(3).saying("no way to 255.255.255.255:9");
}
