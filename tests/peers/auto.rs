//! Mode auto beside the course's own server: no time-out, no repeat, and nothing that hangs on the files' modes.

use crate::pair::{python, text_of};
use crate::program::Program;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Copies 40 KB under several circumstances. A machine may stumble, so each has some attempts; a time-out that is part of the
/// exchange would be there in every one.
pub fn costs_a_plain_server_nothing(target: &Path) {
    let circumstances = [
        (0o644, None, "nothing is there before"),
        (0o400, None, "the local file may only be read"),
        (0o755, Some(0o600), "a private file of this name is there before"),
        (0o644, Some(0o777), "a file of this name that all may write is there before"),
    ];
    for (local_mode, mode_before, name) in circumstances {
        let misses: Vec<String> = (0..ATTEMPTS).map_while(|_| copy(target, local_mode, mode_before).err()).collect();
        assert!(misses.len() < ATTEMPTS, "{name}: {}", misses.join("; "));
    }
}

/// One transfer; an error says what a busy machine may be to blame for.
fn copy(target: &Path, local_mode: u32, mode_before: Option<u32>) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let (served, local) = (folder.path().join("served"), folder.path().join("x.png"));
    let saved = served.join("y.png");
    let mut content = vec![0; 40 * 1024];
    fastrand::Rng::with_seed(3).fill(&mut content);
    fs::create_dir(&served).expect("a folder");
    write(&local, &content, local_mode);
    if let Some(mode) = mode_before {
        write(&saved, &[b'o'; 100_000], mode);
    }
    let mut command = python(&target.join("peers-pycache"), "lab_server.py");
    command.args(["a-good", "0", "--lifetime", "30"]).current_dir(&served);
    let server = Program::start(&mut command, folder.path(), "server");
    let listening = |line: &str| line.strip_prefix("listening on ").map(|address| address.trim_end().to_string());
    let address = server.wait_for_line(LIMIT, listening).expect("a server");

    let began = Instant::now();
    let mut client = Program::start(
        Command::new(env!("CARGO_BIN_EXE_client")).env("XDG_CONFIG_HOME", env!("CARGO_TARGET_TMPDIR")).args([
            &address,
            local.to_str().expect("text"),
            "y.png",
            "--json",
        ]),
        folder.path(),
        "client",
    );
    let code = client.wait(LIMIT).and_then(|status| status.code());
    let took = began.elapsed();

    let said = client.out();
    let mode = said.lines().find_map(|line| text_of(line, "started", "mode"));
    let remarks = said.lines().filter(|line| text_of(line, "remark", "text").is_some()).count();
    let retransmissions = said.lines().find_map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        event["retransmissions"].as_u64().filter(|_| event["event"] == "finished")
    });
    assert_eq!((code, mode.as_deref(), remarks), (Some(0), Some("lab"), 1), "{said}{}", client.err());
    assert!(fs::read(&saved).is_ok_and(|there| there == content), "another file than the one that was sent");
    if took < LONGEST && retransmissions == Some(0) {
        return Ok(());
    }
    Err(format!("took {took:?} with {retransmissions:?} retransmissions"))
}

fn write(path: &Path, content: &[u8], mode: u32) {
    fs::write(path, content).expect("a file");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

const ATTEMPTS: usize = 3;
const LIMIT: Duration = Duration::from_secs(20);

/// The first time-out comes after 0.5 s.
const LONGEST: Duration = Duration::from_millis(400);
