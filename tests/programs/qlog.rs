//! Qlogs of windowed transfers: what stands in them is what happened, and they can be read whatever becomes of their writer.

use crate::harness::{CLIENT, Ended, Folder, Program, SERVER, wait_until};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

/// A client's files and logs, a server's, and keys of their own.
struct Pair {
    here: Folder,
    there: Folder,
}

impl Pair {
    fn new() -> Self {
        Self { here: Folder::new(), there: Folder::new() }
    }

    fn server(&self, more: &[&str]) -> (Program, SocketAddr) {
        let keys = self.here.at("server-keys");
        Program::server(self.there.path(), &[&["--config-dir", text(&keys)], more].concat())
    }

    fn start(&self, target: impl ToString, size: usize, trace: &Path, more: &[&str]) -> Program {
        let (local, _) = self.here.file("f", size);
        let (target, keys) = (target.to_string(), self.here.at("keys"));
        let arguments = [&target, text(&local), "f", "--mode", "windowed", "--config-dir", text(&keys), "--json"];
        Program::start(CLIENT, &[&arguments, &["--trace", text(trace)][..], more].concat())
    }

    fn copy(&self, target: impl ToString, size: usize, trace: &Path, more: &[&str]) -> Ended {
        self.start(target, size, trace, more).end()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// The events of a qlog in either format. Of JSON text sequences the last record may be cut off.
fn events(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("text");
    if text.starts_with('\u{1e}') {
        let records: Vec<&str> = text.split('\u{1e}').skip(1).collect();
        let (last, whole) = records.split_last().expect("a header");
        let whole = whole.iter().map(|record| serde_json::from_str(record).expect("JSON"));
        let mut all: Vec<Value> = whole.chain(serde_json::from_str(last)).collect();
        assert_eq!(all.remove(0)["qlog_format"], "JSON-SEQ");
        return all;
    }
    let whole: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&whole["qlog_version"], &whole["qlog_format"]), (&"0.3".into(), &"JSON".into()));
    whole["traces"][0]["events"].as_array().expect("events").clone()
}

fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["name"] == name).map(|event| &event["data"]).collect()
}

fn assert_ordered(events: &[Value]) {
    assert!(events.is_sorted_by(|one, next| one["time"].as_f64() <= next["time"].as_f64()));
}

/// Numbers of packets.
fn numbers(packets: &[&Value]) -> BTreeSet<u64> {
    packets.iter().map(|packet| packet["header"]["packet_number"].as_u64().expect("a number")).collect()
}

/// The last value that was told of a metric.
fn last(metrics: &[&Value], name: &str) -> Option<f64> {
    metrics.iter().rev().find_map(|metrics| metrics[name].as_f64())
}

#[test]
fn both_ends_of_a_lossy_path_write_down_what_the_closing_note_counts() {
    let pair = Pair::new();
    let (here, there) = (pair.here.at("client.qlog"), pair.here.at("server.sqlog"));
    let (server, address) = pair.server(&["--trace", text(&there)]);
    let (_link, through) = Program::link(address, &["--fault", "loss=5%,delay=5ms,mtu=1500", "--seed", "7"]);
    let ended = pair.copy(through, 400_000, &here, &[]).expect(0);
    server.interrupt().expect(130);
    let finished = ended.events().into_iter().find(|event| event["event"] == "finished").expect("a closing note");

    let client = events(&here);
    assert_ordered(&client);
    let (sent, metrics) = (named(&client, "transport:packet_sent"), named(&client, "recovery:metrics_updated"));
    let is_last_word = |packet: &&Value| packet["frames"][0]["frame_type"] == "connection_close";
    let counted = sent.iter().filter(|packet| !is_last_word(packet)).count() as f64;
    let lost: Vec<&Value> = named(&client, "recovery:packet_lost")
        .into_iter()
        .filter(|packet| packet["is_mtu_probe_packet"].is_null())
        .collect();
    let spurious = named(&client, "homing:spurious_loss").len();
    // What is found lost while the connection is being closed, after the note, is in the qlog alone.
    let late = lost.len() - finished["retransmissions"].as_u64().expect("a number") as usize;
    assert!(late <= 3, "{late} of {}", lost.len());
    assert_eq!(finished["duplicates"], spurious);
    let share = (lost.len() - late - spurious) as f64 / counted;
    let error = (finished["loss"].as_f64().expect("a share") - share).abs();
    assert!(if late == 0 { error < 1e-9 } else { error < 0.01 }, "{share}: {finished}");
    let rtt = (finished["rtt_ms"].as_f64().expect("a round trip"), last(&metrics, "smoothed_rtt").expect("one"));
    assert!((rtt.0 - rtt.1).abs() < 0.001, "{rtt:?}");
    assert_eq!(numbers(&sent).len(), sent.len(), "no number twice");
    assert!(numbers(&lost).is_subset(&numbers(&sent)));
    assert!(lost.iter().all(|packet| packet["trigger"].as_str().is_some_and(|why| why.ends_with("_threshold"))));
    for metric in ["min_rtt", "latest_rtt", "rtt_variance", "congestion_window", "pacing_rate", "bytes_in_flight"] {
        assert!(last(&metrics, metric).is_some(), "{metric}");
    }
    let states = named(&client, "connectivity:connection_state_updated");
    let states: Vec<&Value> = states.iter().map(|state| &state["new"]).collect();
    assert_eq!(states, ["attempted", "handshake_complete", "handshake_confirmed", "closed"]);
    assert_eq!(named(&client, "connectivity:connection_closed")[0]["trigger"], "clean");
    for name in ["transport:parameters_set", "recovery:parameters_set", "recovery:congestion_state_updated"] {
        assert!(!named(&client, name).is_empty(), "{name}");
    }

    let server = events(&there);
    assert_ordered(&server);
    assert!(server.iter().all(|event| event["group_id"] == "1"));
    let came = numbers(&named(&server, "transport:packet_received"));
    assert!(came.is_subset(&numbers(&sent)) && came.len() < sent.len(), "{} of {}", came.len(), sent.len());
    let acked = named(&client, "transport:packets_acked");
    let acked: Vec<u64> = acked
        .iter()
        .flat_map(|data| data["packet_numbers"].as_array().expect("numbers"))
        .filter_map(Value::as_u64)
        .collect();
    let distinct: BTreeSet<u64> = acked.iter().copied().collect();
    assert_eq!(distinct.len(), acked.len(), "each is acknowledged for the first time once");
    assert!(distinct.is_subset(&came));
}

#[test]
fn a_client_that_is_killed_leaves_what_can_be_read() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (_link, through) = Program::link(address, &["--fault", "delay=10ms,mtu=1500"]);
    for name in ["killed.qlog", "killed.sqlog"] {
        let trace = pair.here.at(name);
        let client = pair.start(through, 20_000_000, &trace, &["--congestion", "fixed:8m", "--overwrite"]);
        wait_until(Duration::from_secs(30), "packets are written down", || {
            fs::metadata(&trace).is_ok_and(|metadata| metadata.len() > 100_000)
        });
        client.signal(Signal::KILL);
        assert_eq!(client.end().code, None);
        let events = events(&trace);
        assert_ordered(&events);
        assert!(named(&events, "transport:packet_sent").len() > 100, "{name}");
    }
}

#[test]
fn an_interrupt_and_a_server_that_is_not_there_end_a_qlog_in_order() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let trace = pair.here.at("a.qlog");
    let client = pair.start(address, 20_000_000, &trace, &["--congestion", "fixed:8m"]);
    wait_until(Duration::from_secs(30), "packets are written down", || {
        fs::metadata(&trace).is_ok_and(|metadata| metadata.len() > 20_000)
    });
    client.interrupt().expect(130);
    let closed = events(&trace);
    assert_eq!(named(&closed, "connectivity:connection_closed")[0]["reason"], "interrupted");
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let target = silent.local_addr().expect("an address");
    pair.copy(target, 10, &trace, &["--timeout", "1"]).expect(3);
    let closed = events(&trace);
    assert_eq!(named(&closed, "connectivity:connection_closed")[0]["trigger"], "handshake_timeout");
    assert!(!named(&closed, "homing:handshake_datagram_sent").is_empty());
}

#[test]
fn a_trace_that_cannot_be_written_is_told_before_anything_is_copied() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let full = pair.here.at("full.qlog");
    symlink("/dev/full", &full).expect("a link");
    for trace in [full, pair.here.at("no/such/folder.qlog")] {
        pair.copy(address, 10, &trace, &[]).expect(1).saying("cannot write");
        assert!(pair.there.content("f").is_none());
    }
}

#[test]
fn names_of_qlogs_are_for_windowed_transfers_and_others_are_not() {
    let pair = Pair::new();
    let (local, _) = pair.here.file("f", 10);
    for (mode, trace, word) in [
        ("lab", "a.qlog", "--mode auto or windowed"),
        ("checked", "a.sqlog", "--mode auto or windowed"),
        ("windowed", "a.jsonl", "FILE.qlog"),
    ] {
        let trace = pair.here.at(trace);
        let arguments = ["127.0.0.1:9", text(&local), "f", "--mode", mode, "--trace", text(&trace)];
        Program::start(CLIENT, &arguments).end().expect(2).saying(word);
        assert!(!trace.exists());
    }
    let trace = pair.here.at("a.qlog");
    let keys = pair.here.at("keys");
    let server =
        ["0", "--json", "--root", text(pair.there.path()), "--config-dir", text(&keys), "--trace", text(&trace)];
    let mut server = Program::start(SERVER, &server);
    server.listening();
    server.interrupt().expect(130);
    assert_eq!(events(&trace), [Value::Null; 0]);
}
