//! The mode that nobody chose: windowed between our own programs, checked or lab with others, and never less than a known server has.

use crate::fakes::{FakeServer, Tap, Way};
use crate::harness::{CLIENT, Ended, Folder, Program, SERVER, all_at_once, wait_until};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Two folders, and keys of their own.
struct Pair {
    here: Folder,
    there: Folder,
    keys: Folder,
}

impl Pair {
    fn new() -> Self {
        Self { here: Folder::new(), there: Folder::new(), keys: Folder::new() }
    }

    fn server(&self, more: &[&str]) -> (Program, SocketAddr) {
        let keys = self.keys.at("server");
        Program::server(self.there.path(), &[&["--config-dir", text(&keys)], more].concat())
    }

    /// The client in the mode that it chooses itself.
    fn copy(&self, target: impl ToString, more: &[&str]) -> Ended {
        let (target, keys) = (target.to_string(), self.keys.at("client"));
        Program::start(CLIENT, &[&[&target, "--config-dir", text(&keys)], more].concat()).end()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn names<'a>(events: &'a [Value], field: &str) -> Vec<&'a str> {
    events.iter().filter_map(|event| event[field].as_str()).collect()
}

#[test]
fn our_own_programs_go_windowed_and_nothing_is_told_of_the_start() {
    let pair = Pair::new();
    // Long enough for a busy machine's pauses, and short enough that the start's own transfer would be given up before the end.
    let (mut server, address) = pair.server(&["--idle-timeout", "1.5"]);
    for name in ["f", "g"] {
        let (local, bytes) = pair.here.file(name, 3_000_000);
        let ended = pair.copy(address, &[text(&local), name, "--json"]).expect(0);
        let events = ended.events();
        assert!(names(&events, "mode").iter().all(|mode| *mode == "windowed"), "{events:#?}");
        assert_eq!(events.last().expect("events")["event"], "finished");
        assert_eq!(pair.there.content(name), Some(bytes));
        assert_eq!(server.event("finished")["mode"], "windowed");
    }
    std::thread::sleep(Duration::from_millis(3200));
    let events = server.interrupt().expect(130).events();
    assert!(names(&events, "event").iter().all(|kind| *kind != "failed"), "{events:#?}");
    assert!(names(&events, "mode").iter().all(|mode| *mode == "windowed"), "{events:#?}");
    pair.there.expect_tidy();
}

#[test]
fn a_bad_server_has_checked_and_so_has_one_without_a_place_for_keys() {
    let pair = Pair::new();
    let (local, bytes) = pair.here.file("f", 30_000);
    let (_bad, bad) = Program::bad_server(pair.there.path(), &[]);
    let root = text(pair.there.path());
    let without = ["0", "--json", "--bind", "127.0.0.1", "--root", root, "--config-dir", text(&local)];
    let mut keyless = Program::start(SERVER, &without);
    assert!(keyless.line().contains("the windowed mode is off"));
    let server = keyless.listening();
    let (_good, good) = pair.server(&[]);
    let target = good.to_string();
    for (name, ended) in [
        ("a", pair.copy(bad, &[text(&local), "a", "--json"])),
        ("b", pair.copy(server, &[text(&local), "b", "--json"])),
        ("c", Program::start(CLIENT, &[&target, text(&local), "c", "--json", "--config-dir", text(&local)]).end()),
    ] {
        let events = ended.expect(0).events();
        assert_eq!(events.last().expect("events")["mode"], "checked", "{name}: {events:#?}");
        assert_eq!(pair.there.content(name).as_ref(), Some(&bytes), "{name}");
    }
}

#[test]
fn a_plain_server_gets_lab_and_what_only_windowed_can_do_is_not_tried_with_it() {
    let pair = Pair::new();
    let (local, _) = pair.here.file("f", 3000);
    let plain = FakeServer::plain(true);
    pair.copy(plain.address, &[text(&local), "f", "--overwrite", "--congestion", "cubic"])
        .expect(0)
        .saying("plain lab server");
    let local = text(&local);
    all_at_once([&["-r", local, "to"][..], &[local, local, "to"], &[local, "to/"], &[local, "."]], |more| {
        let plain = FakeServer::plain(true);
        let ended = pair.copy(plain.address, &[more, &["--timeout", "1"]].concat());
        ended.expect(3).saying("--mode lab");
        assert!(!plain.heard().contains('s'), "{}", plain.heard());
    });
}

#[test]
fn what_a_start_cannot_say_goes_to_our_own_server_at_once() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (f, bytes) = pair.here.file("f", 5000);
    let (g, _) = pair.here.file("g", 10);
    pair.copy(address, &[text(&f), text(&g), "several"]).expect(0);
    pair.copy(address, &["-r", text(pair.here.path()), "tree"]).expect(0);
    pair.copy(address, &[text(&f), "folder/"]).expect(0);
    for name in ["several/f", "tree/f", "folder/f"] {
        assert!(pair.there.at(name).exists() || name == "tree/f", "{name}");
    }
    assert_eq!(pair.there.content("folder/f"), Some(bytes));
    pair.copy(address, &[text(pair.here.path()), "x"]).expect(6).saying("copy it with -r");
}

#[test]
fn what_exists_is_refused_unless_it_is_to_be_replaced() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (local, bytes) = pair.here.file("f", 5000);
    fs::write(pair.there.at("f"), "older").expect("a file");
    pair.copy(address, &[text(&local), "f"]).expect(4);
    pair.copy(address, &[text(&local), "f", "--overwrite"]).expect(0);
    assert_eq!(pair.there.content("f"), Some(bytes));
}

#[test]
fn bad_weather_changes_nothing() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    all_at_once(["loss=20%", "dup=100%", "loss=10%,dup=20%,reorder=20%,delay=10ms,jitter=10ms"], |weather| {
        let (_link, way) = Program::link(address, &["--fault", weather, "--seed", "5"]);
        let name = weather.replace(['=', '%', ','], "");
        let (local, bytes) = pair.here.file(&name, 300_000);
        pair.copy(way, &[text(&local), &name, "--json"]).expect(0).saying("\"mode\":\"windowed\"");
        assert_eq!(pair.there.content(&name), Some(bytes));
    });
}

#[test]
fn a_start_or_an_answer_that_is_lost_costs_a_time_out_and_no_more() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    all_at_once([Way::ToServer, Way::ToClient], |lost| {
        let count = AtomicU32::new(0);
        let tap =
            Tap::new(address, Duration::ZERO, move |way, _| way != lost || count.fetch_add(1, Ordering::Relaxed) > 0);
        let name = format!("{lost:?}");
        let (local, bytes) = pair.here.file(&name, 30_000);
        let ended = pair.copy(tap.address, &[text(&local), &name]).expect(0);
        assert!(ended.took < Duration::from_secs(5), "{ended:#?}");
        assert_eq!(pair.there.content(&name), Some(bytes));
    });
}

#[test]
fn where_only_text_gets_through_the_way_out_is_named() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (local, bytes) = pair.here.file("f", 3000);
    let tap = || Tap::new(address, Duration::ZERO, |_, datagram| datagram.first().is_some_and(|first| *first < 0x80));
    pair.copy(tap().address, &[text(&local), "f", "--timeout", "1.5"]).expect(3).saying("--mode checked");
    pair.copy(tap().address, &[text(&local), "f", "--mode", "checked"]).expect(0);
    assert_eq!(pair.there.content("f"), Some(bytes));
}

#[test]
fn recording_means_stop_and_wait_at_either_end() {
    let pair = Pair::new();
    let (local, _) = pair.here.file("f", 3000);
    let (_server, address) = pair.server(&[]);
    let picture = pair.here.at("f.svg");
    pair.copy(address, &[text(&local), "f", "--json", "--diagram", text(&picture)]).expect(0).saying("\"checked\"");
    assert!(picture.exists());
    pair.copy(address, &["-r", text(&local), "g", "--ladder"]).expect(2).saying("cannot be drawn");
    let folder = pair.here.at("pictures");
    let (_drawing, drawing) = pair.server(&["--diagram", text(&folder)]);
    pair.copy(drawing, &[text(&local), "h", "--json"]).expect(0).saying("\"checked\"");
}

#[test]
fn exit_after_counts_it_once_and_what_is_over_takes_no_place() {
    let pair = Pair::new();
    let (server, address) = pair.server(&["--exit-after", "2", "--max-sessions", "1"]);
    for name in ["f", "g"] {
        let (local, _) = pair.here.file(name, 10);
        pair.copy(address, &[text(&local), name]).expect(0);
    }
    server.end().expect(0);
}

/// Listens at an address, and keeps the first byte of all that comes.
fn listener(ip: IpAddr) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let socket = UdpSocket::bind((ip, 0)).expect("a free port");
    let address = socket.local_addr().expect("an address");
    let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
    let log = Arc::clone(&heard);
    // It ends with the test's process.
    std::thread::spawn(move || {
        let mut slot = [0; 2000];
        while let Ok(length) = socket.recv(&mut slot) {
            log.lock().expect("no panic").extend(slot[..length].first());
        }
    });
    (address, heard)
}

/// An address of this machine that is not a loopback one, if it has any.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the kernel only looks for the way.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}

#[test]
fn a_server_that_is_known_is_never_spoken_to_in_clear_unless_that_is_chosen() {
    let pair = Pair::new();
    let (local, _) = pair.here.file("f", 10);
    let (_server, address) = pair.server(&[]);
    pair.copy(address, &[text(&local), "f"]).expect(0);
    let pins = pair.keys.at("client/known_hosts");
    let pin = fs::read_to_string(&pins).expect("a pin");
    let own = own_address();
    if own.is_none() {
        println!("skipped in part: this machine has loopback addresses only");
    }
    for (ip, is_binary) in own.into_iter().map(|ip| (ip, true)).chain([([127, 0, 0, 1].into(), false)]) {
        let known = |more: &[&str]| {
            let (address, heard) = listener(ip);
            fs::write(&pins, pin.replace(&format!("127.0.0.1:{}", pin_port(&pin)), &address.to_string()))
                .expect("a pin");
            let ended = pair.copy(address, &[&[text(&local), "f", "--timeout", "0.7"], more].concat());
            let heard = heard.lock().expect("no panic").clone();
            (ended, heard)
        };
        let (ended, heard) = known(&[]);
        ended.expect(3).saying(if is_binary { "--mode lab" } else { "--spelling compact" });
        assert!(!heard.is_empty() && heard.iter().all(|first| (*first >= 0x80) == is_binary), "{ip}: {heard:?}");
        for mode in ["lab", "checked"] {
            let (ended, heard) = known(&["--mode", mode]);
            ended.expect(3);
            assert!(!heard.is_empty() && heard.iter().all(|first| *first == b's'), "{ip}: {heard:?}");
        }
        let (ended, heard) = known(&["--diagram", text(&pair.here.at("f.svg"))]);
        if is_binary {
            ended.expect(2).saying("--mode checked");
            assert!(heard.is_empty());
        } else {
            ended.expect(3);
        }
    }
}

fn pin_port(pin: &str) -> &str {
    pin.split(' ').next().and_then(|host| host.rsplit(':').next()).expect("a port")
}

#[test]
fn a_server_whose_pin_cannot_be_read_is_not_spoken_to_at_all() {
    let pair = Pair::new();
    let (local, _) = pair.here.file("f", 10);
    fs::create_dir(pair.keys.at("client")).expect("a folder");
    fs::write(pair.keys.at("client/known_hosts"), "nonsense\n").expect("a file");
    let (address, heard) = listener([127, 0, 0, 1].into());
    pair.copy(address, &[text(&local), "f", "--timeout", "1"]).expect(4).saying("line 1 of");
    assert!(heard.lock().expect("no panic").is_empty());
}

#[test]
fn a_server_that_is_started_anew_in_the_middle_of_the_handshake_is_greeted_anew() {
    let pair = Pair::new();
    let (local, bytes) = pair.here.file("f", 30_000);
    let (server, address) = pair.server(&[]);
    let finishes = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&finishes);
    // Until the server is another one, nothing behind the hello gets there.
    let is_new = Arc::new(AtomicU32::new(0));
    let open = Arc::clone(&is_new);
    let tap = Tap::new(address, Duration::ZERO, move |way, datagram| {
        let is_behind = way == Way::ToServer && !matches!(datagram.first(), Some(b's' | 0xc0));
        seen.fetch_add(u32::from(is_behind), Ordering::Relaxed);
        !is_behind || open.load(Ordering::Relaxed) > 0
    });
    let (target, keys) = (tap.address.to_string(), pair.keys.at("client"));
    let client = Program::start(CLIENT, &[&target, text(&local), "f", "--config-dir", text(&keys)]);
    wait_until(Duration::from_secs(20), "the client has finished", || finishes.load(Ordering::Relaxed) > 0);
    server.signal(Signal::KILL);
    drop(server);
    let (port, keys) = (address.port().to_string(), pair.keys.at("server"));
    let root = text(pair.there.path());
    let mut server =
        Program::start(SERVER, &[&port, "--json", "--bind", "127.0.0.1", "--root", root, "--config-dir", text(&keys)]);
    server.listening();
    is_new.store(1, Ordering::Relaxed);
    client.end().expect(0);
    assert_eq!(pair.there.content("f"), Some(bytes));
}
