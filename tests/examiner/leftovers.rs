//! What an examination leaves behind: nothing, also when it is interrupted or the examined program resists.

use super::has_python;
use super::tool::{LAB_CHECK, Running, folder_of_its_own, lab_check, text, wait_until, write};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// A server that hears no signal and has a child; both leave their numbers in the folder of the test.
const STUBBORN: &str = r#"
import os, signal, socket, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
for number in (os.getpid(), child.pid):
    open(os.path.join(sys.argv[2], f"{number}.pid"), "w").close()
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", int(sys.argv[1])))
while True:
    message, client = server.recvfrom(65535)
    if message.startswith(b"s"):
        server.sendto(b"a | 1 | 1024", client)
"#;

#[test]
fn a_server_that_hears_no_signal_is_gone_afterwards_with_its_child() {
    if !has_python() {
        return;
    }
    let folder = folder_of_its_own();
    let script = write(&folder, "stubborn.py", STUBBORN).to_string_lossy().into_owned();
    let notes = folder.path().to_string_lossy().into_owned();
    let command = ["--", "python3", &script, "{port}", &notes];
    let ended = lab_check(&[&["server", "--json", "--only", "start-answered"], &command[..]].concat()).expect(1);
    assert_eq!(ended.finding().verdict, "fail");
    let numbers = noted(folder.path());
    // One to find out the spelling and one for the case, each with its child.
    assert_eq!(numbers.len(), 4, "{ended:#?}");
    assert_all_gone(&numbers);
}

#[test]
fn ctrl_c_ends_it_soon_and_leaves_nobody_behind() {
    if !has_python() {
        return;
    }
    let folder = folder_of_its_own();
    let script = write(&folder, "stubborn.py", STUBBORN).to_string_lossy().into_owned();
    let (notes, page) = (folder.path().to_string_lossy().into_owned(), folder.path().join("page.html"));
    let page = page.to_string_lossy().into_owned();
    let options = ["server", "--json", "--jobs", "4", "--spelling", "spaced", "--report", &page];
    let running = Running::start(
        LAB_CHECK,
        &[&options[..], &["--", "python3", &script, "{port}", &notes]].concat(),
        folder.path(),
    );
    // The first server is for the spelling; then four are under way.
    wait_until(Duration::from_secs(40), "servers run", || noted(folder.path()).len() >= 8);
    running.signal(Signal::INT);
    let began = Instant::now();
    let ended = running.end().expect(130);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_all_gone(&noted(folder.path()));
    // What was not examined is no failure.
    let findings = ended.findings();
    let interrupted = findings.iter().filter(|one| one.why == "interrupted").count();
    assert!(interrupted > findings.len() / 2, "{findings:#?}");
    assert!(findings.iter().all(|one| one.why != "interrupted" || one.verdict == "na"), "{findings:#?}");
    assert!(text(Path::new(&page)).contains("</html>"), "what is known is reported");
}

#[test]
fn ctrl_c_while_it_waits_for_a_client_ends_that_as_well() {
    let folder = folder_of_its_own();
    let notes = folder.path().to_string_lossy().into_owned();
    let script = "trap '' TERM INT; sleep 300 & : > $1/$$.pid; : > $1/$!.pid; wait";
    let command = ["--", "sh", "-c", script, "sh", &notes, "{addr}", "{local}"];
    for spelling in [&[][..], &["--spelling", "spaced"]] {
        let options = [&["client", "--json", "--only", "plain-copy"], spelling].concat();
        let before = noted(folder.path()).len();
        let running = Running::start(LAB_CHECK, &[&options, &command[..]].concat(), folder.path());
        wait_until(Duration::from_secs(20), "the client runs", || noted(folder.path()).len() == before + 2);
        running.signal(Signal::INT);
        let began = Instant::now();
        let ended = running.end().expect(130);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let finding = ended.finding();
        assert_eq!((finding.verdict.as_str(), finding.why.as_str()), ("na", "interrupted"));
        assert_all_gone(&noted(folder.path()));
    }
}

/// The process numbers that the examined programs have left in the folder.
fn noted(folder: &Path) -> Vec<u32> {
    let names = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").file_name());
    names.filter_map(|name| name.to_str()?.strip_suffix(".pid")?.parse().ok()).collect()
}

/// Nobody with these numbers runs. One who has ended and whom his parent has not asked about is no process any more.
#[track_caller]
fn assert_all_gone(numbers: &[u32]) {
    for number in numbers {
        let state = text(Path::new(&format!("/proc/{number}/stat")));
        assert!(state.is_empty() || state.contains(") Z"), "{state}");
    }
}
