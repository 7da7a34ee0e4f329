//! `kill -9` at any moment, of the server and of the client: a file is complete or not there, and the next run delivers.

use crate::fakes::{Tap, Way};
use crate::harness::{Folder, Program, SERVER, all_at_once, copy, start_copy, wait_until};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// 145 chunks: the temporary file is there from the 48th on.
const SIZE: usize = 200_000;

/// Start, chunks and checksum.
const MESSAGES: usize = 147;

#[test]
fn a_server_killed_at_any_moment_leaves_the_file_complete_or_absent() {
    let moments: Vec<usize> = (0..10).map(|tenth| 1 + tenth * MESSAGES / 10).chain(MESSAGES - 5..=MESSAGES).collect();
    kill_servers(moments);
}

#[test]
#[ignore = "three hundred kills around the end of a transfer take more than a minute"]
fn a_server_killed_around_the_end_leaves_the_file_complete_or_absent() {
    for _ in 0..20 {
        kill_servers([MESSAGES - 1].into_iter().chain([MESSAGES; 14]));
    }
}

/// Kills a server shortly after the n-th message to it, for each n.
fn kill_servers(moments: impl IntoIterator<Item = usize>) {
    let (leftovers, delivered, cut_short) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    all_at_once(moments, |moment| {
        // A chance to meet each step of the last moment: write, sync, rename, answer.
        let pause = Duration::from_micros(fastrand::u64(0..3000));
        let at = format!("killed {pause:?} after message {moment}");
        let (here, there) = (Folder::new(), Folder::new());
        let (local, bytes) = here.file("f", SIZE);
        let (server, address) = Program::server(there.path(), &[]);
        let (reached, moment_came) = channel();
        let mut messages = 0;
        let tap = Tap::new(address, Duration::from_millis(1), move |way, _| {
            messages += usize::from(way == Way::ToServer);
            if way == Way::ToServer && messages == moment {
                // The test may have failed already.
                let _ = reached.send(());
            }
            true
        });
        // Far longer than a busy machine lets an answer wait.
        let client = start_copy(tap.address, &local, "f", &["--timeout", "3"]);
        if moment_came.recv_timeout(Duration::from_secs(30)).is_err() {
            panic!("{at}: the moment does not come; {:#?}", client.end());
        }
        thread::sleep(pause);
        drop(server);

        let content = there.content("f");
        assert!(content.is_none() || content.as_ref() == Some(&bytes), "{at}: the file is not what was sent");
        leftovers.fetch_add(there.leftovers().len(), Ordering::Relaxed);
        let ended = client.end();
        match ended.code {
            Some(0) => delivered.fetch_add(1, Ordering::Relaxed),
            Some(3 | 7) => cut_short.fetch_add(1, Ordering::Relaxed),
            _ => panic!("{at}: {ended:#?}"),
        };
        assert!(ended.code != Some(0) || content.is_some(), "{at}: delivered, and not there");

        let (_server, address) = Program::server(there.path(), &[]);
        copy(address, &local, "f", &[]).expect(0);
        assert!(there.content("f") == Some(bytes), "{at}: the second run differs");
        assert_eq!(there.names(), ["f"], "{at}: leftovers are not swept");
    });
    println!("{leftovers:?} leftovers, {delivered:?} delivered, {cut_short:?} cut short");
    assert!(cut_short.into_inner() > 0, "no kill came in time");
}

#[test]
fn a_new_server_sweeps_what_killed_ones_left_and_nothing_else() {
    let (here, there) = (Folder::new(), Folder::new());
    let (local, bytes) = here.file("f", SIZE);
    std::fs::create_dir(there.at("folder")).expect("a folder");
    let left = |folder: &std::path::Path| {
        let entries = std::fs::read_dir(folder).expect("a folder");
        entries
            .filter(|entry| entry.as_ref().is_ok_and(|e| e.file_name().as_encoded_bytes().starts_with(b".homing-")))
            .count()
    };
    for name in ["f", "folder/f"] {
        let (server, address) = Program::server(there.path(), &[]);
        let tap = Tap::slow(address, Duration::from_millis(2));
        let client = start_copy(tap.address, &local, name, &["--timeout", "1"]);
        wait_until(Duration::from_secs(20), "a block is on the disk", || {
            left(there.path()) + left(&there.at("folder")) > usize::from(name != "f")
        });
        drop((server, client));
    }
    std::fs::write(there.at(".homing-notes"), "mine").expect("a file");
    // Somebody else's transfer into the same folder is under way meanwhile.
    let (_other, other) = Program::server(there.path(), &[]);
    let tap = Tap::slow(other, Duration::from_millis(3));
    let slow = start_copy(tap.address, &local, "slow", &[]);
    // The other server has swept the first leftover, and has a temporary file of its own beside the notes.
    wait_until(Duration::from_secs(20), "it is under way", || {
        there.leftovers().len() == 2 && left(&there.at("folder")) == 1
    });
    let (_server, address) = Program::server(there.path(), &[]);
    copy(address, &local, "f", &[]).expect(0);
    assert_eq!(left(&there.at("folder")), 1, "a folder is swept when it is used");
    copy(address, &local, "folder/f", &[]).expect(0);
    assert_eq!(left(&there.at("folder")), 0);
    slow.end().expect(0);
    assert_eq!(there.content("slow"), Some(bytes));
    assert_eq!(there.names(), [".homing-notes", "f", "folder", "slow"]);
}

#[test]
fn a_killed_client_leaves_no_file_and_no_temporary_one() {
    all_at_once([&[][..], &["--mode", "lab"], &["--spelling", "compact"]], |way| {
        let (here, there) = (Folder::new(), Folder::new());
        let (mut server, address) = Program::server(there.path(), &["--idle-timeout", "1"]);
        let (local, bytes) = here.file("f", 2_000_000);
        let tap = Tap::slow(address, Duration::from_millis(2));
        let client = start_copy(tap.address, &local, "f", way);
        wait_until(Duration::from_secs(20), "a block is on the disk", || !there.leftovers().is_empty());
        drop(client);
        let failed = server.event("failed");
        assert!(failed["reason"].as_str().is_some_and(|reason| reason.starts_with("nothing came for 1 s")), "{failed}");
        wait_until(Duration::from_secs(2), "the temporary file is removed", || there.names().is_empty());
        copy(address, &local, "f", way).expect(0);
        assert!(there.content("f") == Some(bytes), "{way:?}");
    });
}

#[test]
fn a_server_started_anew_at_the_same_port_does_not_go_on_in_the_middle() {
    let (here, there) = (Folder::new(), Folder::new());
    let (local, bytes) = here.file("f", SIZE);
    let (server, address) = Program::server(there.path(), &[]);
    let tap = Tap::slow(address, Duration::from_millis(2));
    let client = start_copy(tap.address, &local, "f", &["--timeout", "1"]);
    wait_until(Duration::from_secs(20), "a block is on the disk", || !there.leftovers().is_empty());
    drop(server);
    let (port, root) = (address.port().to_string(), there.path().to_str().expect("a plain path"));
    let mut anew = Program::start(SERVER, &[&port, "--json", "--bind", "127.0.0.1", "--root", root]);
    assert_eq!(anew.listening(), address);
    client.end().expect(3).saying("fell silent");
    assert!(there.content("f").is_none());
    copy(address, &local, "f", &[]).expect(0);
    assert_eq!(there.content("f"), Some(bytes));
    assert_eq!(there.names(), ["f"]);
}

#[test]
fn a_client_stopped_for_a_while_goes_on() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, address) = Program::server(there.path(), &[]);
    let (local, bytes) = here.file("f", SIZE);
    let passed = std::sync::Arc::new(AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&passed);
    let mut messages = 0;
    let tap = Tap::new(address, Duration::from_millis(1), move |_, _| {
        messages += 1;
        seen.store(messages > 20, Ordering::Relaxed);
        true
    });
    let client = start_copy(tap.address, &local, "f", &["--timeout", "2"]);
    wait_until(Duration::from_secs(20), "it is under way", || passed.load(Ordering::Relaxed));
    client.signal(rustix::process::Signal::STOP);
    // Longer than its time-out: an answer that waits in its socket counts all the same.
    thread::sleep(Duration::from_millis(2500));
    client.signal(rustix::process::Signal::CONT);
    client.end().expect(0);
    assert_eq!(there.content("f"), Some(bytes));
}
