//! The library as other programs use it: a client and a server in one process, over real sockets.

use homing::{Canceller, Client, Compression, Congestion, Error, Mode, Note, RunningServer, Server, Spelling, Summary};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// Folders for one test: what is here, what is there, and keys of its own.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().expect("a folder") };
        for name in ["here", "there", "client", "server"] {
            fs::create_dir(world.folder.path().join(name)).expect("a folder");
        }
        world
    }

    fn here(&self, name: &str) -> PathBuf {
        self.folder.path().join("here").join(name)
    }

    fn there(&self, name: &str) -> PathBuf {
        self.folder.path().join("there").join(name)
    }

    fn file(&self, name: &str, size: usize) -> (PathBuf, Vec<u8>) {
        let (path, bytes) = (self.here(name), content(size));
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, &bytes).expect("a file");
        (path, bytes)
    }

    fn server(&self) -> Server {
        let (root, keys) = (self.there(""), self.folder.path().join("server"));
        Server::new(root).bind(Ipv4Addr::LOCALHOST).config_dir(keys)
    }

    fn client(&self, server: &RunningServer) -> Client {
        self.client_of(&server.address().to_string())
    }

    fn client_of(&self, target: &str) -> Client {
        Client::new(target).config_dir(self.folder.path().join("client")).timeout(Duration::from_secs(30))
    }

    /// What is left there of transfers that did not end well.
    fn leftovers(&self) -> usize {
        let names = fs::read_dir(self.there("")).expect("the folder").map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| name.to_string_lossy().starts_with(".homing")).count()
    }
}

/// Bytes that no compression makes fewer: a limit on the wire is then one of the file.
fn content(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(7).fill(&mut bytes);
    bytes
}

fn heard() -> (Arc<Mutex<Vec<Note>>>, impl FnMut(&Note) + Send + 'static) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&heard);
    (heard, move |note: &Note| theirs.lock().expect("no panic").push(note.clone()))
}

fn expect_usage<T: std::fmt::Debug>(result: Result<T, Error>, words: &str) {
    let error = result.expect_err("that makes no sense");
    assert!(matches!(error, Error::Usage(_)) && error.exit_code() == 2, "{error:?}");
    assert!(error.to_string().contains(words), "{error} instead of {words}");
}

#[test]
fn a_file_goes_there_and_comes_back_and_the_summary_says_how() {
    let world = World::new();
    let (path, bytes) = world.file("f", 300_000);
    let server = world.server().allow_get(true).start().expect("a server");
    let mut client = world.client(&server).sha256(true);
    let sent = client.send([&path], "to.bin").expect("it goes");
    assert_eq!(fs::read(world.there("to.bin")).expect("it is there"), bytes);
    let Summary { mode, verified, files, bytes: size, missing, ref blake3, ref sha256, .. } = sent;
    assert_eq!((mode, verified, files, size, missing), ("windowed", true, 1, 300_000, 0));
    assert_eq!(blake3.as_deref(), Some(blake3::hash(&bytes).to_string().as_str()));
    assert!(sha256.as_ref().is_some_and(|digest| digest.len() == 64), "{sent:?}");
    assert_eq!(sent.peer, Some(server.address()));
    assert!(sent.rtt.is_some() && sent.cipher.is_some() && sent.packet_size >= Some(1200), "{sent:?}");
    assert_eq!(sent.congestion.as_deref(), Some("bbr"));
    let shares: f64 = sent.verdict.iter().map(|(_, share)| share).sum();
    assert!((shares - 1.0).abs() < 1e-6, "{sent:?}");

    let got = client.get(["to.bin"], world.here("back")).expect("it comes");
    assert_eq!((got.mode, got.files, got.bytes, got.sha256.as_ref()), ("get", 1, 300_000, sha256.as_ref()));
    assert_eq!(fs::read(world.here("back")).expect("it is here"), bytes);
    let served = server.stop().expect("an end");
    assert_eq!((served.uploads, served.downloads, served.files, served.failed), (1, 1, 1, 0));
    assert_eq!((served.bytes, served.given), (300_000, 300_000));
}

#[test]
fn a_tree_goes_with_several_sources_and_what_was_left_out_stays() {
    let world = World::new();
    for name in ["t/a", "t/b/c", "t/b/d.tmp", "t/e/f"] {
        world.file(name, 2000);
    }
    let (single, _) = world.file("single", 7);
    let server = world.server().start().expect("a server");
    let mut client = world.client(&server).recursive(true).exclude("*.tmp".parse().expect("a pattern"));
    let sources = [world.here("t"), single];
    let rehearsal = client.rehearse(&sources, "to/").expect("nothing goes");
    assert_eq!((rehearsal.files, rehearsal.bytes, rehearsal.missing), (4, 6007, 0));
    assert!(!world.there("to").exists());
    let sent = client.send(&sources, "to/").expect("it goes");
    assert_eq!((sent.files, sent.bytes, sent.blake3), (4, 6007, None));
    assert_eq!(fs::read(world.there("to/t/b/c")).expect("it is there"), content(2000));
    assert!(!world.there("to/t/b/d.tmp").exists());
    // Without the setter a folder is refused, as by cp.
    let error = world.client(&server).send(&sources, "again/").expect_err("a folder");
    assert!(matches!(error, Error::LocalFile(_)), "{error:?}");
}

#[test]
fn what_exists_is_refused_and_the_rest_is_copied_and_counted() {
    let world = World::new();
    let ((a, _), (b, bytes)) = (world.file("a", 10), world.file("b", 5000));
    fs::write(world.there("a"), "mine").expect("a file");
    let server = world.server().start().expect("a server");
    let mut client = world.client(&server);
    let error = client.send([&a, &b], ".").expect_err("one is there");
    assert!(matches!(error, Error::Refused(_)) && error.exit_code() == 4, "{error:?}");
    let partly = error.summary().expect("the other one came");
    assert_eq!((partly.files, partly.bytes, partly.missing), (1, 5000, 1));
    assert!(matches!(partly.reasons.as_slice(), [reason] if reason.contains('a')), "{partly:?}");
    assert_eq!(fs::read(world.there("b")).expect("it is there"), bytes);
    assert_eq!(fs::read(world.there("a")).expect("it is there"), b"mine");
    // Alone, the reason is the error's.
    let error = client.send([&a], "a").expect_err("it is there");
    assert!(matches!(error, Error::Refused(_)) && error.summary().is_none(), "{error:?}");
    assert!(error.to_string().contains("--overwrite"), "{error}");
    let replaced = world.client(&server).overwrite(true).send([&a], "a").expect("it goes");
    assert_eq!((replaced.files, fs::read(world.there("a")).expect("a file").len()), (1, 10));
}

#[test]
fn what_is_missing_here_is_a_local_file() {
    let world = World::new();
    let (b, _) = world.file("b", 10);
    let server = world.server().start().expect("a server");
    for mode in [Mode::Auto, Mode::Lab, Mode::Checked, Mode::Windowed] {
        let error = world.client(&server).mode(mode).send([world.here("missing")], "f").expect_err("no file");
        assert!(matches!(error, Error::LocalFile(_)) && error.exit_code() == 6, "{mode:?}: {error:?}");
        assert!(error.to_string().contains("missing"), "{error}");
    }
    let error = world.client(&server).send([world.here("missing"), b], ".").expect_err("no file");
    assert_eq!(error.summary().map(|partly| (partly.files, partly.missing)), Some((1, 1)), "{error:?}");
    assert_eq!(server.stop().expect("an end").uploads, 1);
}

#[test]
fn each_mode_says_what_it_was() {
    let world = World::new();
    let (path, bytes) = world.file("f", 3000);
    let server = world.server().start().expect("a server");
    for (mode, spelling, says) in [
        (Mode::Auto, Spelling::Spaced, ("windowed", true)),
        (Mode::Lab, Spelling::Spaced, ("lab", false)),
        (Mode::Auto, Spelling::Compact, ("lab", false)),
        (Mode::Checked, Spelling::Spaced, ("checked", true)),
        (Mode::Windowed, Spelling::Spaced, ("windowed", true)),
    ] {
        let name = format!("{mode:?}-{spelling:?}");
        let sent = world.client(&server).mode(mode).spelling(spelling).send([&path], &name).expect("it goes");
        assert_eq!((sent.mode, sent.verified), says);
        assert_eq!((sent.bytes, sent.missing), (3000, 0));
        assert_eq!(fs::read(world.there(&name)).expect("it is there"), bytes);
    }
}

#[test]
fn nobody_there_is_no_answer() {
    let world = World::new();
    let (path, _) = world.file("f", 10);
    for mode in [Mode::Auto, Mode::Windowed, Mode::Checked] {
        let error = world.client_of("127.0.0.1:1").mode(mode).send([&path], "f").expect_err("nobody listens");
        assert!(matches!(error, Error::NoAnswer(_)) && error.exit_code() == 3 && error.is_told(), "{error:?}");
        assert!(error.to_string().contains("nobody listens at 127.0.0.1:1"), "{error}");
    }
    let error = world.client_of("127.0.0.1:1").get(["f"], world.here("g")).expect_err("nobody listens");
    assert!(matches!(error, Error::NoAnswer(_)), "{error:?}");
}

#[test]
fn another_key_is_an_error_of_its_own() {
    let world = World::new();
    let (path, _) = world.file("f", 10);
    let server = world.server().start().expect("a server");
    let (address, known) = (server.address(), server.fingerprint().expect("a key"));
    world.client(&server).send([&path], "f").expect("it goes");
    server.stop().expect("an end");
    fs::remove_file(world.folder.path().join("server/server.key")).expect("the key");
    let server = world.server().port(address.port()).start().expect("a server");
    assert_ne!(server.fingerprint(), Some(known));
    let error = world.client(&server).mode(Mode::Windowed).send([&path], "g").expect_err("another key");
    assert!(matches!(error, Error::KeyChanged(_)) && error.exit_code() == 4, "{error:?}");
    assert!(error.to_string().contains(&known.to_string()), "{error}");
    let error = world.client(&server).get(["f"], world.here("g")).expect_err("another key");
    assert!(matches!(error, Error::KeyChanged(_)), "{error:?}");
    assert!(!world.there("g").exists());
}

#[test]
fn a_call_is_cancelled_from_another_thread_and_nothing_is_left() {
    let world = World::new();
    // By stop-and-wait that takes half a second at least, and by the limit much longer.
    let (path, _) = world.file("f", 20_000_000);
    let server = world.server().start().expect("a server");
    for mode in [Mode::Lab, Mode::Windowed] {
        let canceller = Arc::new(Mutex::new(None::<Canceller>));
        let theirs = Arc::clone(&canceller);
        // In the middle: the first progress with bytes ends it.
        let mut client = world.client(&server).mode(mode).on_event(move |note| {
            if let Note::Progress(progress) = note
                && progress.bytes > 0
            {
                let canceller = theirs.lock().expect("no panic").clone();
                thread::spawn(move || canceller.expect("it is known").cancel()).join().expect("no panic");
            }
        });
        if mode == Mode::Windowed {
            client = client.limit("4mbit".parse().expect("a rate"));
        }
        *canceller.lock().expect("no panic") = Some(client.canceller());
        let error = client.send([&path], "f").expect_err("it was cancelled");
        assert!(matches!(error, Error::Interrupted(_)) && error.exit_code() == 130, "{mode:?}: {error:?}");
        assert!(!world.there("f").exists());
        // For good.
        let error = client.send([&path], "f").expect_err("it was cancelled");
        assert!(matches!(error, Error::Interrupted(_)) && !error.is_told(), "{error:?}");
    }
    server.stop().expect("an end");
    assert_eq!(world.leftovers(), 0);
}

#[test]
fn a_call_is_cancelled_while_nobody_answers() {
    let world = World::new();
    let (path, _) = world.file("f", 10);
    // A port that is open, and nobody says anything.
    let mute = {
        #[expect(clippy::disallowed_methods, reason = "a server that answers nothing")]
        std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket")
    };
    let target = mute.local_addr().expect("an address").to_string();
    for (mode, gets) in [(Mode::Auto, false), (Mode::Lab, false), (Mode::Windowed, false), (Mode::Auto, true)] {
        let (tell, begins) = mpsc::channel();
        let mut client = world.client_of(&target).mode(mode).timeout(Duration::from_secs(600)).on_event(move |note| {
            if matches!(note, Note::Waiting { .. }) {
                tell.send(()).expect("the test waits");
            }
        });
        let canceller = client.canceller();
        let (path, to) = (path.clone(), world.here("to"));
        let call = thread::spawn(move || if gets { client.get(["f"], to) } else { client.send([path], "f") });
        begins.recv().expect("it begins");
        canceller.cancel();
        let ended = call.join().expect("no panic");
        assert!(matches!(ended, Err(Error::Interrupted(_))), "{mode:?}: {ended:?}");
    }
}

#[test]
fn a_server_that_stops_tells_its_clients_and_leaves_nothing_behind() {
    let world = World::new();
    let (path, _) = world.file("f", 3_000_000);
    let server = world.server().start().expect("a server");
    let canceller = server.canceller();
    let mut client = world.client(&server).limit("4mbit".parse().expect("a rate")).on_event(move |note| {
        if matches!(note, Note::Progress(progress) if progress.bytes > 0) {
            canceller.cancel();
        }
    });
    let error = client.send([&path], "f").expect_err("it was stopped");
    assert!(matches!(error, Error::Refused(_)) && error.to_string().contains("the server ends"), "{error:?}");
    let served = server.wait().expect("an end");
    assert_eq!((served.uploads, served.exit_code()), (0, 130), "{served:?}");
    assert!(!world.there("f").exists());
}

#[test]
fn a_server_ends_after_its_count_or_when_it_is_dropped() {
    let world = World::new();
    let (path, _) = world.file("f", 10);
    let server = world.server().exit_after(1).start().expect("a server");
    world.client(&server).send([&path], "f").expect("it goes");
    let served = server.wait().expect("an end");
    assert_eq!((served.uploads, served.exit_code()), (1, 0));
    // Its port is free again once it is dropped, and a cancelled one does not begin.
    let port = {
        let server = world.server().start().expect("a server");
        server.address().port()
    };
    let server = world.server().port(port);
    let canceller = server.canceller();
    let running = server.start().expect("the same port");
    drop(running);
    assert!(canceller.is_cancelled());
    let server = world.server();
    server.canceller().cancel();
    assert!(matches!(server.run(), Err(Error::Interrupted(_))));
}

#[test]
fn a_server_that_cannot_begin_says_why_at_once() {
    let world = World::new();
    let running = world.server().start().expect("a server");
    let error = world.server().port(running.address().port()).start().expect_err("the port is taken");
    assert!(matches!(&error, Error::System(error) if error.kind() == std::io::ErrorKind::AddrInUse), "{error:?}");
    assert!(error.to_string().contains("another program has this port"), "{error}");
    let error = Server::new(world.there("missing")).bind(Ipv4Addr::LOCALHOST).config_dir(world.here("k")).start();
    let error = error.expect_err("no folder");
    assert!(error.to_string().contains("missing"), "{error}");
    expect_usage(world.server().bufsize(10).start(), "64 to 65507");
    expect_usage(world.server().max_sessions(0).start(), "1 to 1000000");
    expect_usage(world.server().exit_after(0).start(), "at least 1");
}

#[test]
fn both_sides_hear_what_happens() {
    let world = World::new();
    let (path, _) = world.file("f", 500_000);
    let ((theirs, listen_there), (ours, listen_here)) = (heard(), heard());
    let server = world.server().on_event(listen_there).start().expect("a server");
    world.client(&server).on_event(listen_here).send([&path], "f").expect("it goes");
    server.stop().expect("an end");
    let kinds = |notes: &Mutex<Vec<Note>>| {
        let notes = notes.lock().expect("no panic");
        let has = |is: fn(&Note) -> bool| notes.iter().any(is);
        let started = has(|note| matches!(note, Note::Started(started) if started.name == "f"));
        let finished = has(|note| matches!(note, Note::Finished(finished) if finished.bytes == 500_000));
        (started, finished)
    };
    assert_eq!((kinds(&ours), kinds(&theirs)), ((true, true), (true, true)));
    let first = theirs.lock().expect("no panic").first().cloned();
    assert!(matches!(first, Some(Note::Listening { .. })), "{first:?}");
}

#[test]
fn who_gives_nothing_and_what_is_not_there_is_refused() {
    let world = World::new();
    let (path, _) = world.file("f", 10);
    let server = world.server().start().expect("a server");
    world.client(&server).send([&path], "f").expect("it goes");
    let error = world.client(&server).get(["f"], world.here("g")).expect_err("it gives nothing");
    assert!(matches!(error, Error::Refused(_)) && error.to_string().contains("--allow-get"), "{error:?}");
    server.stop().expect("an end");
    let server = world.server().allow_get(true).start().expect("a server");
    let mut client = world.client(&server);
    let error = client.get(["f", "missing"], world.here("to/")).expect_err("one is missing");
    let partly = error.summary().expect("the other one came");
    assert_eq!((partly.files, partly.missing), (1, 1));
    assert!(matches!(partly.reasons.as_slice(), [reason] if reason.contains("missing")), "{partly:?}");
    assert!(world.here("to/f").exists());
    let error = client.get(["f"], world.here("to/f")).expect_err("it is here");
    assert!(matches!(error, Error::LocalFile(_)), "{error:?}");
}

#[test]
fn what_makes_no_sense_is_said_before_anything_is_sent() {
    let world = World::new();
    let (path, _) = world.file("f", 10);
    let client = || world.client_of("127.0.0.1:1");
    expect_usage(world.client_of("127.0.0.1").send([&path], "f"), "write HOST:PORT");
    expect_usage(client().send([&path], ""), "REMOTE is empty");
    expect_usage(client().send([] as [&Path; 0], "f"), "nothing");
    expect_usage(client().mode(Mode::Lab).overwrite(true).send([&path], "f"), "--overwrite needs");
    expect_usage(client().mode(Mode::Lab).compress(Compression::No).send([&path], "f"), "--compress needs");
    expect_usage(client().mode(Mode::Checked).send([&path, &path], "f"), "several files");
    expect_usage(client().mode(Mode::Checked).spelling(Spelling::Compact).send([&path], "f"), "spaced spelling");
    expect_usage(client().mode(Mode::Lab).get(["f"], "g"), "--get needs");
    expect_usage(client().mode(Mode::Lab).rehearse([&path], "g"), "--dry-run needs");
    expect_usage(client().update(true).restart(true).get(["f"], "g"), "--update at once");
    expect_usage(client().limit("1mbit".parse().expect("a rate")).get(["f"], "g"), "--limit is for what is sent");
    expect_usage(client().congestion(Congestion::Fixed(1)).get(["f"], "g"), "others fix");
    expect_usage(client().get(["../f"], "g"), "cannot be got");
    expect_usage(client().mode(Mode::Windowed).ladder(true).send([&path], "f"), "cannot be drawn");
    let unwritable = client().plot(world.here("missing/plot.svg")).send([&path], "f").expect_err("no folder");
    assert!(matches!(unwritable, Error::System(_)) && unwritable.exit_code() == 1, "{unwritable:?}");
}
