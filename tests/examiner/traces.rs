//! Recordings: written as datagrams pass, and drawn later, to the same pictures.

use super::pictures::{Scene, is_well_formed, shows_the_copy};
use super::tool::{BAD_SERVER, SERVER, folder_of_its_own, lab_check_in, text, write};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;

/// Every line of a recording.
#[track_caller]
fn lines(trace: &str) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
    trace.lines().map(read).collect()
}

/// How often something was done, by whom.
fn count(lines: &[Value], did: &str, by: Option<&str>) -> usize {
    lines.iter().filter(|line| line["did"] == did && by.is_none_or(|by| line["by"] == by)).count()
}

/// The messages of a ladder on the terminal. When they passed stands before them, and is rounded in a recording.
fn rungs(ladder: &str) -> Vec<&str> {
    ladder.lines().filter_map(|line| line.split_once('│')).map(|(_, rung)| rung).collect()
}

/// The messages of a drawn ladder, in order.
fn texts(svg: &str) -> Vec<&str> {
    let texts = svg.split("<text ").filter_map(|text| text.split_once('>')?.1.split('<').next());
    let texts: Vec<&str> = texts.filter(|text| text.contains(" | ")).collect();
    assert!(!texts.is_empty(), "{svg}");
    texts
}

#[test]
fn what_the_client_wrote_down_is_drawn_as_it_was() {
    let scene = Scene::of(SERVER, &[]);
    let copied = scene.copy("f", &["--mode", "lab", "--diagram", "f.svg", "--trace", "f.jsonl", "--ladder"]).expect(0);
    let trace = lines(&scene.text("f.jsonl"));
    assert_eq!(trace[0]["vantage"], "client");
    assert!(trace.iter().all(|line| line["exchange"] == 1), "{trace:#?}");
    assert!(count(&trace, "sent", Some("client")) >= 4 && count(&trace, "sent", Some("server")) >= 4, "{trace:#?}");
    let drawn = lab_check_in(scene.folder.path(), &["draw", "f.jsonl"]).expect(0);
    shows_the_copy(&drawn.out, "f");
    assert_eq!(rungs(&drawn.out), rungs(&copied.out));
    let silent = lab_check_in(scene.folder.path(), &["draw", "f.jsonl", "--diagram", "drawn.svg"]).expect(0);
    assert_eq!(silent.out, "");
    assert_eq!(texts(&scene.text("drawn.svg")), texts(&scene.text("f.svg")));
}

#[test]
fn what_the_bad_server_wrote_down_is_drawn_as_it_was() {
    let options = ["--misbehave", "lose-start-ack", "--trace", "t.jsonl", "--diagram", "t.svg", "--exit-after", "2"];
    let scene = Scene::of(BAD_SERVER, &options);
    scene.copy("f", &["--mode", "lab"]).expect(0);
    scene.copy("g", &["--mode", "lab"]).expect(0);
    let Scene { folder, server, .. } = scene;
    server.end().expect(0);
    let trace = lines(&text(&folder.path().join("t.jsonl")));
    assert_eq!(trace.iter().filter(|line| line["vantage"] == "both").count(), 2, "one beginning each");
    assert_eq!(count(&trace, "lost", None), 2, "{trace:#?}");
    lab_check_in(folder.path(), &["draw", "t.jsonl", "--diagram", "drawn.svg"]).expect(0);
    for (drawn, own) in [("drawn.svg", "t.svg"), ("drawn-2.svg", "t-2.svg")] {
        let drawn = text(&folder.path().join(drawn));
        is_well_formed(&drawn);
        assert_eq!(texts(&drawn), texts(&text(&folder.path().join(own))));
    }
    let ladders = lab_check_in(folder.path(), &["draw", "t.jsonl"]).expect(0).out;
    shows_the_copy(&ladders, "f");
    shows_the_copy(&ladders, "g");
}

#[test]
fn the_servers_recording_of_a_transfer_that_never_ended_is_drawn() {
    let scene = Scene::of(SERVER, &["--trace", "t.jsonl", "--idle-timeout", "60"]);
    scene.copy("f", &["--mode", "lab"]).expect(0);
    scene.server.signal(Signal::INT);
    let Scene { folder, server, .. } = scene;
    server.end().expect(130);
    let path = folder.path().join("t.jsonl");
    let whole = text(&path);
    assert_eq!(lines(&whole)[0]["vantage"], "server");
    shows_the_copy(&lab_check_in(folder.path(), &["draw", "t.jsonl"]).expect(0).out, "f");
    // A program that was killed while it wrote leaves half a line behind: what stands before it counts.
    let cut = whole.lines().take(4).map(|line| format!("{line}\n")).collect::<String>() + "{\"exchange\":1,\"at_";
    fs::write(&path, cut).expect("a file");
    let drawn = lab_check_in(folder.path(), &["draw", "t.jsonl"]).expect(0);
    assert!(drawn.out.contains("s | 0 | f | 3000") && !drawn.out.contains("d | 3"), "{drawn:#?}");
}

#[test]
fn what_is_no_recording_is_refused_with_its_place() {
    let folder = folder_of_its_own();
    let begin = r#"{"exchange":1,"client":"a","server":"b","vantage":"client"}"#;
    let foreign = format!("{begin}\n{{\"event\":\"listening\"}}\n");
    let files: &[(&str, &[u8], &str)] = &[
        ("empty", b"", "it is empty: nothing was recorded"),
        ("cut", &begin.as_bytes()[..30], "line 1 is no line of a recording"),
        ("picture", b"<svg xmlns=\"x\">\n</svg>\n", "line 1 is no line of a recording"),
        ("foreign", foreign.as_bytes(), "line 2 is no line of a recording"),
        ("bytes", b"\xff\xfe\x00\x01\n", "line 1 is no line of a recording"),
        ("array", b"[]\n", "line 1 is no line of a recording"),
    ];
    for (name, content, words) in files {
        write(&folder, name, content);
        let ended = lab_check_in(folder.path(), &["draw", name, "--diagram", "x.svg"]).expect(6).complaining(words);
        assert_eq!((ended.out.as_str(), ended.err.contains(name)), ("", true), "{ended:#?}");
    }
    lab_check_in(folder.path(), &["draw", "missing"]).expect(6).complaining("missing: cannot read it: No such file");
    lab_check_in(folder.path(), &["draw", "."]).expect(6).complaining("cannot read it");
    assert!(!folder.path().join("x.svg").exists());
    write(&folder, "begun", format!("{begin}\n"));
    let nowhere = ["draw", "begun", "--diagram", "no/such/folder/x.svg"];
    lab_check_in(folder.path(), &nowhere).expect(1).complaining("cannot write no/such/folder/x.svg");
}
