//! A disk without room: said at the start where it is known, and in mid-transfer where it is not.

use crate::fakes::Tap;
use crate::harness::{CLIENT, Folder, Program, copy, start_copy, wait_until};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A small disk of its own. The server leaves 16 MiB free, so 24 MiB offer 8.
struct SmallDisk(Folder);

impl SmallDisk {
    /// `None`, and a word why, where this user may not mount.
    fn mounted() -> Option<Self> {
        let folder = Folder::new();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(folder.path()).output();
        let reason = match mount {
            Ok(output) if output.status.success() => return Some(Self(folder)),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        println!("skipped: no small disk can be mounted here: {reason}");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmount = |lazily: &[&str]| Command::new("umount").args(lazily).arg(self.0.path()).status();
        if !unmount(&[]).is_ok_and(|status| status.success()) {
            // Somebody still looks at it; it goes when they do.
            let _ = unmount(&["--lazy"]);
        }
    }
}

/// Takes 7000 bytes after whatever happened before.
fn expect_alive(server: &mut Program, address: SocketAddr, here: &Folder, disk: &Folder) {
    let (local, bytes) = here.file("small", 7000);
    copy(address, &local, "small", &[]).expect(0);
    assert_eq!(disk.content("small"), Some(bytes));
    assert!(server.is_running());
    disk.expect_tidy();
}

#[test]
fn a_file_that_does_not_fit_is_refused_at_its_start() {
    let Some(disk) = SmallDisk::mounted() else { return };
    let here = Folder::new();
    let (mut server, address) = Program::server(disk.0.path(), &[]);
    let (local, _) = here.file("f", 9_000_000);
    let ended = copy(address, &local, "f", &[]).expect(4).saying("\"f\" needs 9000000 bytes, ");
    ended.saying("are left here besides a reserve of 16 MiB; free some or send less");
    assert!(disk.0.names().is_empty());
    expect_alive(&mut server, address, &here, &disk.0);
}

#[test]
fn of_two_files_that_fit_alone_only_one_is_begun() {
    let Some(disk) = SmallDisk::mounted() else { return };
    let here = Folder::new();
    let (mut server, address) = Program::server(disk.0.path(), &["--bufsize", "65507"]);
    let (local, bytes) = here.file("f", 5_000_000);
    let ended: Vec<_> = {
        let taps = [Tap::slow(address, Duration::from_millis(5)), Tap::slow(address, Duration::from_millis(5))];
        let clients: Vec<_> =
            taps.iter().zip(["a", "b"]).map(|(tap, name)| start_copy(tap.address, &local, name, &[])).collect();
        clients.into_iter().map(Program::end).collect()
    };
    let mut codes: Vec<_> = ended.iter().map(|ended| ended.code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(4)], "{ended:#?}");
    for (ended, name) in ended.into_iter().zip(["a", "b"]) {
        match ended.code {
            Some(0) => assert!(disk.0.content(name).as_ref() == Some(&bytes)),
            _ => {
                assert!(disk.0.content(name).is_none());
                ended.saying("needs 5000000 bytes");
            }
        }
    }
    expect_alive(&mut server, address, &here, &disk.0);
}

#[test]
fn a_windowed_transfer_that_does_not_fit_is_refused_and_a_stream_ends_where_the_room_does() {
    let Some(disk) = SmallDisk::mounted() else { return };
    let (here, keys) = (Folder::new(), Folder::new());
    let folder = |name: &str| keys.at(name).to_str().expect("a plain path").to_owned();
    let (mut server, address) = Program::server(disk.0.path(), &["--config-dir", &folder("server")]);
    let (target, config_dir) = (address.to_string(), folder("client"));
    let windowed = ["--mode", "windowed", "--config-dir", &config_dir];
    let (large, bytes) = here.file("large", 9_000_000);
    let (small, _) = here.file("small", 1000);
    let sources = [&target, large.to_str().expect("a plain path"), small.to_str().expect("a plain path"), "."];
    let ended = Program::start(CLIENT, &[&sources[..], &windowed].concat()).end().expect(4);
    ended.saying("\"large\" needs 9000000 bytes, ").saying("1 not copied");
    wait_until(Duration::from_secs(20), "only it is left", || disk.0.names() == ["small"]);
    let ended = Program::fed(CLIENT, &[&[&target, "-", "stream"][..], &windowed].concat(), &bytes).end().expect(4);
    ended.saying("besides a reserve of 16 MiB");
    wait_until(Duration::from_secs(20), "only it is left", || disk.0.names() == ["small"]);
    expect_alive(&mut server, address, &here, &disk.0);
}

#[test]
fn a_disk_that_fills_up_in_mid_transfer_ends_it_with_the_reason() {
    let Some(disk) = SmallDisk::mounted() else { return };
    let here = Folder::new();
    let (mut server, address) = Program::server(disk.0.path(), &["--bufsize", "65507"]);
    let (local, bytes) = here.file("f", 6_000_000);
    let reason = "\"f\" stopped because the disk here is full; free some space or send less";
    for mode in ["checked", "lab"] {
        let tap = Tap::slow(address, Duration::from_millis(10));
        let client = start_copy(tap.address, &local, "f", &["--mode", mode, "--timeout", "1"]);
        wait_until(Duration::from_secs(20), "it is under way", || !disk.0.leftovers().is_empty());
        fill(&disk.0.at("filler"));
        assert_eq!(server.event("failed")["reason"], reason);
        let ended = client.end();
        match mode {
            "checked" => ended.expect(4).saying(reason),
            // A plain client only notices that nobody answers.
            _ => ended.expect(3),
        };
        assert!(disk.0.leftovers().is_empty() && disk.0.content("f").is_none());

        // Nothing fits now, not even a little; and that is said, too.
        let (small, _) = here.file("small", 7000);
        copy(address, &small, "small", &[]).expect(4).saying("left here");
        fs::remove_file(disk.0.at("filler")).expect("it is there");
        expect_alive(&mut server, address, &here, &disk.0);
    }
    copy(address, &local, "f", &[]).expect(0);
    assert!(disk.0.content("f") == Some(bytes));
}

/// Writes until the disk takes no more.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).expect("a name");
    let error = std::io::copy(&mut std::io::repeat(1), &mut file).expect_err("the disk is small");
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}
