//! Programs that cannot be examined: the reason is told, and soon.

use super::tool::{CLIENT, Ended, SERVER, cases, folder_of_its_own, lab_check, lab_check_in, wait_until};
use super::tool::{Finding, Running};
use std::net::UdpSocket;
use std::time::Duration;

/// Every case must fail with this reason.
#[track_caller]
fn all_fail(ended: Ended, cases: usize, within: u64, words: &str) {
    let ended = ended.expect(1);
    let findings = ended.findings();
    assert_eq!(findings.len(), cases, "{ended:#?}");
    assert!(findings.iter().all(|one| one.verdict == "fail" && one.why.contains(words)), "no {words:?} in {ended:#?}");
    assert!(ended.took < Duration::from_secs(within), "{ended:#?}");
}

fn server(command: &[&str], more: &[&str]) -> Ended {
    let only = ["server", "--json", "--only", "file-one-byte", "--only", "start-answered"];
    lab_check(&[&only[..], more, &["--"], command].concat())
}

fn client(command: &[&str], more: &[&str]) -> Ended {
    let only = ["client", "--json", "--only", "file-one-byte", "--only", "plain-copy"];
    lab_check(&[&only[..], more, &["--"], command].concat())
}

#[test]
fn programs_that_do_not_exist() {
    for spelling in [&[][..], &["--spelling", "compact"]] {
        let words = "no-such-program {port} cannot be started: No such file";
        all_fail(server(&["./no-such-program", "{port}"], spelling), 2, 10, words);
        let words = "no-such-program {addr} {local} cannot be started: No such file";
        all_fail(client(&["./no-such-program", "{addr}", "{local}"], spelling), 2, 10, words);
    }
}

#[test]
fn programs_that_end_at_once() {
    let dies = ["sh", "-c", "echo too bad >&2; exit 3", "{port}"];
    all_fail(server(&dies, &[]), 2, 10, "the server does not listen: it ended with exit code 3: too bad");
    let dies = ["sh", "-c", "echo too bad >&2; exit 3", "{addr}", "{local}"];
    all_fail(client(&dies, &[]), 2, 10, "sent no start to {addr}; it ended with exit code 3: too bad");
    all_fail(
        client(&dies, &["--spelling", "spaced"]),
        2,
        10,
        "sent no start to {addr}; it ended with exit code 3: too bad",
    );
    let kills_itself = ["sh", "-c", "kill -9 $$", "{port}"];
    all_fail(server(&kills_itself, &[]), 2, 10, "signal: 9");
}

#[test]
fn programs_that_do_nothing() {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let sleeps = ["sh", "-c", "sleep 100", "{port}"];
            all_fail(server(&sleeps, &[]), 2, 20, "the server does not listen: it did not open UDP port ");
        });
        let sleeps = ["sh", "-c", "sleep 100", "{addr}", "{local}"];
        all_fail(client(&sleeps, &[]), 2, 30, "sent no start to {addr}; it was still running after 15 s");
    });
}

#[test]
fn a_server_that_is_silent() {
    // A socket that nobody reads.
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address").to_string();
    let only = ["--json", "--only", "file-one-byte", "--only", "start-answered"];
    let ended = lab_check(&[&["server", &address], &only[..]].concat());
    all_fail(ended, 2, 20, "the server does not answer a start, in neither spelling");
    let ended = lab_check(&[&["server", &address, "--spelling", "compact"], &only[..]].concat());
    all_fail(ended, 2, 20, "the server does not answer a start in the compact spelling");
}

#[test]
fn a_port_that_another_program_has_is_not_examined_in_its_place() {
    let folder = folder_of_its_own();
    let root = folder.path().to_string_lossy().into_owned();
    let other = Running::start(SERVER, &["0", "--json", "--bind", "127.0.0.1", "--root", &root], folder.path());
    let port = listening(&other).rsplit(':').next().expect("a port").to_string();
    let ended = server(&[SERVER, &port, "--bind", "127.0.0.1"], &["--port", &port]);
    all_fail(ended, 2, 10, &format!("another program has UDP port {port} already"));
    drop(other);
    server(&[SERVER, &port, "--bind", "127.0.0.1"], &["--port", &port]).expect(0);
    let words = "it did not open UDP port 1 within 15 s; is that its port?";
    all_fail(server(&[SERVER, &port, "--bind", "127.0.0.1"], &["--port", "1"]), 2, 20, words);
}

#[test]
fn of_a_server_somewhere_only_what_can_be_seen_is_examined() {
    let folder = folder_of_its_own();
    let root = folder.path().to_string_lossy().into_owned();
    let running = Running::start(SERVER, &["0", "--json", "--bind", "127.0.0.1", "--root", &root], folder.path());
    let address = listening(&running);
    let ended = lab_check(&["server", &address, "--json", "--jobs", "16"]).expect(0);
    let of = |verdict: &str| -> Vec<String> {
        ended.findings().into_iter().filter(|one| one.verdict == verdict).map(|Finding { case, .. }| case).collect()
    };
    let unseen = ["name-with-space", "file-name", "overwrite", "path-escape", "same-port", "idle-forgotten"];
    let mut na = of("na");
    let mut expected = unseen.map(String::from).to_vec();
    na.sort();
    expected.sort();
    assert_eq!(na, expected, "{ended:#?}");
    assert_eq!(of("pass").len() + na.len(), cases("server").len(), "{ended:#?}");
}

#[test]
fn an_examined_client_may_write_where_it_is_and_nothing_stays() {
    let folder = folder_of_its_own();
    let script = format!("echo x > litter; exec {CLIENT} \"$@\"");
    let command = ["--", "sh", "-c", &script, "sh", "{addr}", "{local}", "{remote}"];
    lab_check_in(folder.path(), &[&["client", "--only", "plain-copy"], &command[..]].concat()).expect(0);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

/// The address in a server's first line.
fn listening(server: &Running) -> String {
    wait_until(Duration::from_secs(20), "the server listens", || server.out().contains('\n'));
    let line = server.out();
    let event: serde_json::Value = serde_json::from_str(line.lines().next().expect("a line")).expect("JSON");
    event["address"].as_str().expect("an address").to_string()
}
