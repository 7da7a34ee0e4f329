//! The link between real programs: weather, rate, packet size, counters.

use crate::fakes::FakeServer;
use crate::harness::{Folder, LOSSY_LINK, Program, SERVER, all_at_once, copy, has_ipv6};
use serde_json::Value;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

/// The counters that a link tells at its end.
fn traffic(link: Program) -> Value {
    let events = link.interrupt().expect(0).events();
    let last = events.last().expect("a last event").clone();
    assert_eq!(last["event"], "traffic", "{events:#?}");
    last
}

fn count(counts: &Value, way: &str, field: &str) -> u64 {
    counts[way][field].as_u64().unwrap_or_else(|| panic!("no {way} {field} in {counts}"))
}

#[test]
fn a_file_arrives_exactly_through_loss_copies_disorder_and_delay() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, server) = Program::server(there.path(), &[]);
    let words = ["--loss", "15%", "--dup", "5%", "--reorder", "10%", "--delay", "5ms", "--jitter", "5ms"];
    let (link, address) = Program::link(server, &[&words[..], &["--seed", "3"]].concat());
    let (local, bytes) = here.file("f", 100_000);
    let ended = copy(address, &local, "f", &["--json"]).expect(0);
    assert_eq!(there.content("f"), Some(bytes));
    let finished = ended.events().pop().expect("a last event");
    assert!(finished["retransmissions"].as_u64() >= Some(10), "{finished}");
    let counts = traffic(link);
    assert_eq!(counts["flows"], 1);
    for way in ["inward", "outward"] {
        for field in ["offered", "passed", "lost", "duplicated", "reordered"] {
            assert!(count(&counts, way, field) > 0, "{way} {field}: {counts}");
        }
        let came = count(&counts, way, "offered") + count(&counts, way, "duplicated");
        let gone = count(&counts, way, "passed") + count(&counts, way, "lost");
        // The rest was still in flight.
        assert!((gone..gone + 5).contains(&came), "{counts}");
    }
}

#[test]
fn what_is_too_large_for_the_path_is_dropped_and_counted() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, server) = Program::server(there.path(), &[]);
    let (local, bytes) = here.file("f", 5000);
    let (link, address) = Program::link(server, &["--mtu", "600"]);
    copy(address, &local, "f", &["--timeout", "1"]).expect(3).saying("fell silent");
    assert!(there.names().is_empty());
    let counts = traffic(link);
    // The start passes, no chunk does.
    assert!(count(&counts, "inward", "oversize") > 2, "{counts}");
    assert_eq!(count(&counts, "inward", "oversize") + 1, count(&counts, "inward", "offered"), "{counts}");
    // With headers of 28 bytes a datagram of 1400 bytes just fits 1428.
    for (mtu, code) in [("1427", 3), ("1428", 0), ("off", 0)] {
        let (_link, address) = Program::link(server, &["--mtu", mtu]);
        copy(address, &local, "f", &["--timeout", if code == 0 { "30" } else { "1" }]).expect(code);
    }
    assert_eq!(there.content("f"), Some(bytes));
}

#[test]
fn a_path_takes_1500_bytes_unless_it_is_said_otherwise() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, server) = Program::server(there.path(), &["--bufsize", "1473"]);
    let (local, _) = here.file("f", 5000);
    let (_link, address) = Program::link(server, &[]);
    copy(address, &local, "f", &["--timeout", "1"]).expect(3);
    let (_server, server) = Program::server(there.path(), &["--bufsize", "1472"]);
    let (_link, address) = Program::link(server, &[]);
    copy(address, &local, "f", &[]).expect(0);
}

#[test]
fn a_slow_line_takes_its_time() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, server) = Program::server(there.path(), &[]);
    let (_link, address) = Program::link(server, &["--rate", "1mbit"]);
    let (local, bytes) = here.file("f", 50_000);
    let ended = copy(address, &local, "f", &[]).expect(0);
    assert_eq!(there.content("f"), Some(bytes));
    // 400,000 bits and some headers.
    assert!(ended.took > Duration::from_millis(400), "{ended:#?}");
    assert!(ended.took < Duration::from_secs(3), "{ended:#?}");
}

#[test]
fn a_short_queue_drops_and_counts() {
    let sink = FakeServer::silent();
    let (link, address) = Program::link(sink.address, &["--rate", "100kbit", "--queue", "3k"]);
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    for _ in 0..10 {
        peer.send_to(&[1; 972], address).expect("a local address");
    }
    thread::sleep(Duration::from_millis(500));
    let counts = traffic(link);
    assert_eq!(count(&counts, "inward", "offered"), 10, "{counts}");
    // Three packets of 1000 bytes wait; on a busy machine one more may find room.
    assert!((5..=7).contains(&count(&counts, "inward", "queue_dropped")), "{counts}");
}

#[test]
fn two_clients_have_flows_of_their_own() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, server) = Program::server(there.path(), &[]);
    let (link, address) = Program::link(server, &["--loss", "10%", "--delay", "2ms"]);
    all_at_once(["one", "two"], |name| {
        let (local, bytes) = here.file(name, 60_000);
        copy(address, &local, name, &[]).expect(0);
        assert_eq!(there.content(name), Some(bytes));
    });
    assert_eq!(traffic(link)["flows"], 2);
}

#[test]
fn people_read_the_counters_at_the_end() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, server) = Program::server(there.path(), &[]);
    let to = server.to_string();
    let mut link = Program::start(LOSSY_LINK, &["--listen", "127.0.0.1:0", "--to", &to, "--fault", "out.loss=100%"]);
    let address = link.line().replace("listening on ", "");
    let (local, _) = here.file("f", 10);
    copy(&address, &local, "f", &["--timeout", "1"]).expect(3);
    let last = link.interrupt().expect(0).out.pop().expect("a last line");
    assert!(last.starts_with("1 flow; to the server: "), "{last}");
    assert!(last.contains("datagrams, all well; from the server: ") && last.ends_with(" lost"), "{last}");
}

#[test]
fn the_list_shows_every_preset_with_its_words() {
    let lines = Program::start(LOSSY_LINK, &["--list"]).end().expect(0).out;
    let mut remarks = Vec::new();
    for line in &lines {
        let parts: Vec<&str> = line.split("  ").collect();
        let [name, words, sentence] = parts[..] else { panic!("not three parts in {line:?}") };
        assert!(sentence.ends_with('.') && !words.contains(' '), "{line}");
        // The words mean what the name means.
        for weather in [["--weather", name], ["--fault", words]] {
            let there = Folder::new();
            let (mut server, _) = Program::bad_server(there.path(), &[&weather[..], &["--seed", "1"]].concat());
            remarks.push(server.event("remark")["text"].to_string());
        }
        assert_eq!(remarks.pop(), remarks.last().cloned(), "{line}");
    }
    assert_eq!(remarks.len(), 6);
}

#[test]
fn the_same_seed_gives_the_n_th_flow_the_same_weather() {
    // Datagrams one after the other, from two clients: which arrive depends on nothing but the dice.
    let arrivals = |seed: &str| -> Vec<Vec<u8>> {
        let sink = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        sink.set_read_timeout(Some(Duration::from_millis(300))).expect("a time-out");
        let to = sink.local_addr().expect("an address");
        let (_link, address) =
            Program::link(to, &["--loss", "30%", "--dup", "20%", "--corrupt", "10%", "--seed", seed]);
        let mut came = Vec::new();
        for client in 0..2 {
            let peer = UdpSocket::bind("127.0.0.1:0").expect("a free port");
            for number in 0..50 {
                peer.send_to(&[client, number, 0, 0], address).expect("a local address");
                thread::sleep(Duration::from_millis(1));
            }
            let mut slot = [0; 100];
            while let Ok(length) = sink.recv(&mut slot) {
                came.push(slot[..length].to_vec());
            }
        }
        came
    };
    let first = arrivals("11");
    assert!((50..120).contains(&first.len()), "{}", first.len());
    assert_eq!(arrivals("11"), first);
    assert_ne!(arrivals("12"), first);
}

#[test]
fn a_link_leads_to_names_and_to_ipv6() {
    let (here, there) = (Folder::new(), Folder::new());
    let (local, bytes) = here.file("f", 20_000);
    let (_server, server) = Program::server(there.path(), &[]);
    let through = |listen: &str, to: &str| {
        let mut link = Program::start(LOSSY_LINK, &["--json", "--listen", listen, "--to", to]);
        let address = link.listening();
        copy(address, &local, "f", &[]).expect(0);
        assert_eq!(there.content("f").as_ref(), Some(&bytes), "{listen} {to}");
        fs::remove_file(there.at("f")).expect("it is there");
    };
    through("0", &format!("localhost:{}", server.port()));
    // A bare port is one of this machine.
    through("127.0.0.1:0", &server.port().to_string());
    if has_ipv6() {
        let root = there.path().to_str().expect("a plain path");
        let mut server = Program::start(SERVER, &["0", "--json", "--bind", "::1", "--root", root]);
        let six: SocketAddr = server.listening();
        through("[::1]:0", &six.to_string());
        through("127.0.0.1:0", &six.to_string());
    }
}

#[test]
fn a_link_leads_to_the_address_that_a_server_prints() {
    let (here, there) = (Folder::new(), Folder::new());
    let (local, _) = here.file("f", 3000);
    let root = there.path().to_str().expect("a plain path");
    let mut server = Program::start(SERVER, &["0", "--json", "--root", root]);
    // It listens at 0.0.0.0.
    let (_link, address) = Program::link(server.listening(), &[]);
    copy(address, &local, "f", &["--timeout", "2"]).expect(0);
}

#[test]
fn a_link_that_cannot_reach_its_server_does_not_run_hot() {
    // Broadcasts are not permitted to ordinary sockets: no flow gets one.
    let to = "255.255.255.255:9".parse().expect("an address");
    let (mut link, address) = Program::link(to, &[]);
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    peer.send_to(b"hello", address).expect("a local address");
    assert!(link.event("remark")["text"].as_str().is_some_and(|text| text.contains("no socket for")));
    let ticks = |id: u32| -> u64 {
        // The fields behind the program's name: utime and stime are the 14th and 15th of all.
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.get(11..13).unwrap_or_default().iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
    };
    let (before, since) = (ticks(link.id()), Instant::now());
    thread::sleep(Duration::from_millis(800));
    // A tick is 10 ms: one tenth of the time would be much already.
    let used = Duration::from_millis((ticks(link.id()) - before) * 10);
    assert!(used < since.elapsed() / 10, "{used:?} of {:?}", since.elapsed());
}

#[test]
fn what_a_link_cannot_do_is_a_usage_error() {
    let run = |arguments: &[&str]| Program::start(LOSSY_LINK, arguments).end();
    run(&[]).expect(2).saying("--listen");
    run(&["--listen", "0"]).expect(2).saying("--to");
    run(&["--listen", "0", "--to", "nonsense"]).expect(2).saying("write PORT, ADDRESS:PORT or HOST:PORT");
    run(&["--listen", "x", "--to", "127.0.0.1:9"]).expect(2).saying("--listen");
    for (option, value) in [("--loss", "x"), ("--mtu", "67"), ("--rate", "0"), ("--queue", "x"), ("--weather", "x")] {
        run(&["--listen", "0", "--to", "127.0.0.1:9", option, value]).expect(2).saying(value);
    }
}
