//! The verdict on a copy: for each limit that is made on purpose, the closing line and the events name it; and the picture of it.

use crate::harness::{CLIENT, Ended, Program};
use crate::windowed::{Pair, text};
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// The closing event.
fn finished(ended: &Ended) -> Value {
    ended.events().into_iter().find(|event| event["event"] == "finished").expect("a closing event")
}

/// The share of the time, from 0 to 1, that went to one of these limits.
fn share(finished: &Value, names: &[&str]) -> f64 {
    let limits = finished["limits"].as_array().expect("a list");
    let time = |is: &dyn Fn(&str) -> bool| -> f64 {
        let named = limits.iter().filter(|limit| is(limit["limit"].as_str().expect("a name")));
        named.map(|limit| limit["ms"].as_f64().expect("a time")).sum()
    };
    let whole = time(&|_| true);
    let seconds = finished["seconds"].as_f64().expect("a time");
    assert!((whole / 1e3 - seconds).abs() < 0.15 + seconds * 0.1, "{whole} ms: {finished}");
    time(&|name| names.contains(&name)) / whole
}

/// One of these is what limited most of a copy that takes so many seconds, unless this machine was too busy to make it in that time: then
/// that is what limited the rest.
#[track_caller]
fn assert_mostly(finished: &Value, names: &[&str], least: f64, seconds: f64) {
    let found = share(finished, names);
    let is_starved = finished["seconds"].as_f64() > Some(seconds * 1.2);
    let others = if is_starved { share(finished, &["processor", "peer_processor"]) } else { 0.0 };
    assert!(found + others >= least && found > 0.05, "{names:?} {found:.2}: {finished}");
}

#[test]
fn a_slow_path_is_named_on_the_screen_and_in_events() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (_link, way) = Program::link(address, &["--fault", "rate=8mbit,delay=5ms,mtu=1500"]);
    let (local, _) = pair.here.file("f", 2_000_000);
    pair.copy(way, &[text(&local), "f"]).expect(0).saying("limited by th");
    let ended = pair.copy(way, &[text(&local), "g", "--json"]).expect(0);
    let last = finished(&ended);
    assert_mostly(&last, &["path"], 0.75, 2.1);
    let cipher = last["cipher"].as_str().expect("a name");
    assert!(["AES-256-GCM", "ChaCha20-Poly1305"].contains(&cipher), "{last}");
    assert!(last["verdict"].as_str().is_some_and(|words| words.contains("the path ")), "{last}");
    let limits: Vec<Value> = ended.events().into_iter().map(|event| event["limit"].clone()).collect();
    assert!(limits.iter().filter(|limit| **limit == "path").count() > 5, "{limits:?}");
}

#[test]
fn a_slow_disk_at_the_receiver_is_named() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&["--write-limit", "5m"]);
    let (local, _) = pair.here.file("f", 15_000_000);
    let ended = pair.copy(address, &[text(&local), "f", "--json"]).expect(0);
    assert_mostly(&finished(&ended), &["peer_disk"], 0.6, 3.2);
}

#[test]
fn a_slow_source_is_named() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (target, keys) = (address.to_string(), pair.keys.at("client"));
    let mut client = Command::new(CLIENT)
        .args([&target, "-", "f", "--mode", "windowed", "--json", "--config-dir", text(&keys)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the built program");
    let mut pipe = client.stdin.take().expect("a pipe");
    for _ in 0..15 {
        pipe.write_all(&[7; 30_000]).expect("it reads");
        thread::sleep(Duration::from_millis(100));
    }
    drop(pipe);
    let output = client.wait_with_output().expect("it ends");
    let text = String::from_utf8(output.stdout).expect("text");
    let last =
        text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|it| it["event"] == "finished");
    assert_mostly(&last.expect("a closing event"), &["input"], 0.7, 1.6);
}

#[test]
fn a_rate_that_was_asked_for_is_named() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (local, _) = pair.here.file("f", 2_000_000);
    let ended = pair.copy(address, &[text(&local), "f", "--json", "--congestion", "fixed:10m"]).expect(0);
    assert_mostly(&finished(&ended), &["rate"], 0.7, 1.7);
}

/// Nothing is slow but the programs themselves, each of which has one busy thread or two.
#[test]
fn over_loopback_it_is_a_processor() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (local, _) = pair.here.file("f", 150_000_000);
    let ended = pair.copy(address, &[text(&local), "f", "--json", "--sha256"]).expect(0);
    assert_mostly(&finished(&ended), &["processor", "peer_processor"], 0.5, f64::MAX);
}

/// The kernel's table of sockets says how many packets it dropped.
#[cfg(target_os = "linux")]
#[test]
fn a_small_socket_buffer_at_the_receiver_is_named() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&["--receive-buffer", "20000"]);
    let (local, _) = pair.here.file("f", 20_000_000);
    let ended = pair.copy(address, &[text(&local), "f", "--json"]).expect(0);
    let last = finished(&ended);
    assert!(last["receiver_drops"].as_u64() > Some(10), "{last}");
    // Without a link between them the processors are the other limit, whatever is dropped.
    assert_mostly(&last, &["peer_socket"], 0.5, 0.0);
}

#[test]
fn a_plot_is_drawn_of_what_was_copied_and_of_what_was_not() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let (_link, way) = Program::link(address, &["--fault", "rate=16mbit,delay=5ms,loss=2%,mtu=1500", "--seed", "3"]);
    let (local, _) = pair.here.file("a<b", 1_000_000);
    let plot = pair.here.at("plot.svg");
    pair.copy(way, &[text(&local), "a;b", "--plot", text(&plot)]).expect(0);
    let drawn = fs::read_to_string(&plot).expect("a picture");
    for words in
        ["a;b to 127.0.0.1:", "rate, Mbit/s", "congestion window", "round trip, ms", "held back by", "the path "]
    {
        assert!(drawn.contains(words), "no {words:?}");
    }
    assert!(drawn.contains("plot-loss") && drawn.len() < 60_000, "{}", drawn.len());
    // A transfer that comes to nothing has a picture as far as it came.
    pair.copy(way, &[text(&local), "a;b", "--plot", text(&plot)]).expect(4);
    assert!(fs::read_to_string(&plot).expect("a picture").ends_with("</svg>\n"));
    let nowhere = pair.here.at("no/such/plot.svg");
    pair.copy(way, &[text(&local), "c", "--plot", text(&nowhere)]).expect(1).saying("cannot write");
    assert_eq!(pair.there.content("c"), None);
    let lab = ["127.0.0.1:9", text(&local), "c", "--mode", "lab", "--plot", text(&plot)];
    Program::start(CLIENT, &lab).end().expect(2).saying("--plot needs --mode auto or windowed");
}

#[test]
fn progress_of_a_tree_tells_of_the_file_that_moves() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&["--allow-get"]);
    let (_link, way) = Program::link(address, &["--fault", "rate=16mbit,delay=5ms,mtu=1500"]);
    let folder = pair.here.at("many");
    fs::create_dir(&folder).expect("a folder");
    (0..4).for_each(|number| fs::write(folder.join(number.to_string()), vec![7; 600_000]).expect("a file"));
    let (back, slowly) = (pair.here.at("back/"), ["--compress", "no", "--json"]);
    for (arguments, beginning) in
        [(&["-r", text(&folder), "there/"][..], "there/many/"), (&["--get", "-r", "there/many", text(&back)], "many/")]
    {
        let ended = pair.copy(way, &[arguments, &slowly].concat()).expect(0);
        let current = |event: &Value| event["current"]["name"].as_str().map(str::to_owned);
        let mut seen: Vec<_> = ended.events().iter().filter_map(current).collect();
        seen.dedup();
        assert!(seen.len() > 1 && seen.iter().all(|name| name.starts_with(beginning)), "{seen:?}");
    }
}
