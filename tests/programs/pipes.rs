//! Readers that go away: `| head -1` and its kin.

use crate::fakes::{FakeServer, Tap};
use crate::harness::{
    BAD_SERVER, CLIENT, ECHO_CLIENT, ECHO_SERVER, Folder, LOSSY_LINK, Program, SERVER, copy, start_copy, wait_until,
};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn a_server_whose_output_nobody_reads_any_more_ends_quietly() {
    let (here, there) = (Folder::new(), Folder::new());
    let (mut server, address) = Program::server(there.path(), &[]);
    server.close_output();
    let (local, _) = here.file("f", 100_000);
    // The first event finds the pipe closed; whether the client still gets through is a race.
    copy(address, &local, "f", &["--timeout", "1"]);
    let ended = server.end();
    assert!(ended.err.is_empty(), "{ended:#?}");
    there.expect_tidy();
}

#[test]
fn a_client_whose_output_nobody_reads_any_more_ends_quietly() {
    let (here, there) = (Folder::new(), Folder::new());
    let (mut server, address) = Program::server(there.path(), &[]);
    let (local, _) = here.file("f", 3000);
    for more in [&[][..], &["--json"]] {
        let mut client = start_copy(address, &local, "f", more);
        client.close_output();
        server.event("started");
        let ended = client.end();
        assert!(ended.err.is_empty(), "{ended:#?}");
    }
}

#[test]
fn a_reader_that_goes_away_in_mid_transfer_leaves_nothing_half_written() {
    let (here, there) = (Folder::new(), Folder::new());
    let (mut server, address) = Program::server(there.path(), &["--idle-timeout", "1"]);
    let tap = Tap::slow(address, Duration::from_millis(3));
    let (local, _) = here.file("f", 1_000_000);
    let mut client = start_copy(tap.address, &local, "f", &["--json"]);
    wait_until(Duration::from_secs(20), "the first block is on the disk", || !there.leftovers().is_empty());
    client.close_output();
    let ended = client.end();
    assert!(ended.err.is_empty(), "{ended:#?}");
    server.event("failed");
    wait_until(Duration::from_secs(2), "nothing is left there", || there.names().is_empty());
}

#[test]
fn lists_and_help_end_quietly_when_nobody_reads_them() {
    for (program, argument) in [
        (BAD_SERVER, "--list"),
        (LOSSY_LINK, "--list"),
        (CLIENT, "--help"),
        (SERVER, "--help"),
        (ECHO_SERVER, "--help"),
        (ECHO_CLIENT, "--help"),
    ] {
        let mut child = Command::new(program)
            .arg(argument)
            .stdin(Stdio::null())
            .stdout(closed_pipe())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the built program");
        let mut said = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().expect("a pipe"), &mut said).expect("text");
        child.wait().expect("our child");
        assert_eq!(said, "", "{program} {argument}");
    }
}

#[test]
fn the_exit_code_does_not_depend_on_who_reads_the_complaints() {
    let here = Folder::new();
    let (local, _) = here.file("f", 10);
    let local = local.to_str().expect("a plain path");
    let silent = FakeServer::silent().address;
    let missing = here.at("missing");
    let missing = missing.to_str().expect("a plain path");
    let target = silent.to_string();
    let cases: [(&[&str], i32); 4] = [
        (&["127.0.0.1:1", local, "f"], 3),
        (&["255.255.255.255:9", local, "f"], 3),
        (&[&target, missing, "f"], 6),
        (&["nonsense", local, "f"], 2),
    ];
    for (arguments, code) in cases {
        let status = Command::new(CLIENT)
            .env("XDG_CONFIG_HOME", env!("CARGO_TARGET_TMPDIR"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(closed_pipe())
            .status()
            .expect("the built program");
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

/// A pipe that nobody reads.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}
