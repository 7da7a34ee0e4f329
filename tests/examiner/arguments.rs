//! The command line: what is refused with exit code 2, and what is printed where.

use super::has_python;
use super::tool::{SERVER, cases, folder_of_its_own, lab_check, lab_check_in, peer, text, write};
use std::fs;

#[test]
fn a_command_line_without_sense_ends_with_2_and_says_why() {
    let nonsense: &[(&[&str], &str)] = &[
        (&["server"], "say whom to examine"),
        (&["client"], "say whom to examine"),
        (&["server", "--only", "no-such-case", "--", "x", "{port}"], "there is no case \"no-such-case\"; --list shows"),
        (&["client", "--only", "data-repeated", "--", "x", "{addr}", "{local}"], "there is no case \"data-repeated\""),
        (&["server", "--", "x"], "does not say where {port} goes"),
        (&["server", "--", "x", "{prot}"], "{prot}, which stands for nothing here; known are {port}, {dir}"),
        (&["server", "--", "x", "{port}", "{file}"], "{file}, which stands for nothing here"),
        (&["client", "--", "x", "{local}", "{remote}"], "does not say where {addr}, or {host} and {port}, go"),
        (&["client", "--", "x", "{addr}", "{remote}"], "does not say where {local} goes"),
        (&["client", "--", "x", "{addr}", "{local}", "{dir}"], "{dir}, which stands for nothing here"),
        (&["server", "--each", "*", "--", "x", "{port}"], "does not say where {file} goes"),
        (
            &["server", "--each", "no/such/*.py", "--", "x", "{file}", "{port}"],
            "no file matches --each \"no/such/*.py\"",
        ),
        (&["server", "--each", "[", "--", "x", "{file}", "{port}"], "is no pattern"),
        (&["server", "--csv", "x.csv", "--", "x", "{port}"], "--each"),
        (&["server", "--ladder", "--json", "--", "x", "{port}"], "cannot be used with"),
        (&["server", "--jobs", "0", "--", "x", "{port}"], "--jobs"),
        (&["server", "--port", "0", "--", "x"], "--port"),
        (&["server", "nonsense"], "\"nonsense\" is no server; write HOST:PORT"),
        (&["server", "127.0.0.1:1", "--", "x", "{port}"], "cannot be used with"),
        (&["draw"], "FILE.jsonl"),
        (&["nobody"], "unrecognized"),
        (&[], "Usage: lab_check"),
    ];
    let folder = folder_of_its_own();
    write(&folder, "file", "");
    for (arguments, words) in nonsense {
        let ended = lab_check_in(folder.path(), arguments).expect(2).complaining(words);
        assert_eq!(ended.out, "", "{arguments:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1, "nothing was written");
}

#[test]
fn help_and_lists_are_complete() {
    for side in ["server", "client"] {
        let help = lab_check(&[side, "--help"]).expect(0);
        for option in ["--each", "--only", "--list", "--jobs", "--spelling", "--json", "--report", "--csv", "--ladder"]
        {
            assert!(help.out.contains(option), "{side} {option}");
        }
        let list = lab_check(&[side, "--list"]).expect(0);
        let names = list.out.lines().filter_map(|line| line.split_once(' ')).map(|(name, _)| name.to_string());
        assert_eq!(names.collect::<Vec<_>>(), cases(side));
        assert!(list.out.lines().all(|line| line.ends_with('.')), "{}", list.out);
    }
}

#[test]
fn json_is_all_that_stands_on_standard_output() {
    let options = ["--only", "file-one-byte", "--only", "idle-forgotten", "--json"];
    let command = ["--", SERVER, "{port}", "--bind", "127.0.0.1"];
    let ended = lab_check(&[&["server"], &options[..], &command].concat()).expect(0);
    let verdicts: Vec<_> = ended.findings().into_iter().map(|finding| (finding.case, finding.verdict)).collect();
    let expected = [("file-one-byte", "pass"), ("idle-forgotten", "na")];
    assert_eq!(verdicts, expected.map(|(case, verdict)| (case.to_string(), verdict.to_string())));
    assert_eq!(ended.err, "1 passed, 0 failed\n");
}

#[test]
fn people_get_a_table_and_the_summary_in_its_last_line() {
    let command = ["--", SERVER, "{port}", "--bind", "127.0.0.1"];
    let passed = lab_check(&[&["server", "--only", "file-one-byte"], &command[..]].concat()).expect(0);
    assert_eq!(passed.out.lines().last(), Some("1 passed, 0 failed"), "{passed:#?}");
    assert!(passed.out.lines().any(|line| line.trim_end() == " pass  file-one-byte"), "{passed:#?}");
    assert!(passed.out.lines().next().is_some_and(|line| line.ends_with("(spaced spelling, buffer 1400 bytes)")));
    assert!(!passed.out.contains('\x1b'), "no colours in a file: {passed:#?}");
}

#[test]
fn a_failed_case_is_told_with_its_rule() {
    if !has_python() {
        return;
    }
    let path = peer("server.py");
    let command = ["--", "python3", &path, "{port}", "--fault", "file-name"];
    let failed =
        lab_check(&[&["server", "--only", "file-name", "--only", "start-lost"], &command[..]].concat()).expect(1);
    assert_eq!(failed.out.lines().last(), Some("1 passed, 1 failed"), "{failed:#?}");
    for words in [" FAIL  file-name", "(received) Report-2.final.txt", "rule: A file is saved under the name that"] {
        assert!(failed.out.contains(words), "no {words:?} in {failed:#?}");
    }
}

#[test]
fn the_spelling_is_found_out() {
    if !has_python() {
        return;
    }
    let path = peer("client.py");
    for spelling in ["spaced", "compact"] {
        let command = ["--", "python3", &path, "{addr}", "{local}", "{remote}", "--spelling", spelling];
        let ended = lab_check(&[&["client", "--only", "oversize"], &command[..]].concat()).expect(0);
        assert!(ended.out.contains(&format!("({spelling} spelling; --seed 1)\n")), "{ended:#?}");
    }
    // A server of the compact spelling only.
    let folder = folder_of_its_own();
    let server = text(peer("server.py").as_ref());
    let compact = server.replace("for known in (SPACED, COMPACT)", "for known in (COMPACT,)");
    assert_ne!(compact, server);
    write(&folder, "server.py", compact);
    let command = ["--", "python3", "server.py", "{port}"];
    let ended =
        lab_check_in(folder.path(), &[&["server", "--only", "start-answered"], &command[..]].concat()).expect(0);
    assert!(ended.out.contains("(compact spelling)\n"), "{ended:#?}");
}

#[test]
fn files_that_the_command_names_are_found_from_here() {
    if !has_python() {
        return;
    }
    let folder = folder_of_its_own();
    for name in ["server.py", "client.py"] {
        write(&folder, &format!("theirs/{name}"), fs::read(peer(name)).expect("a peer"));
    }
    let one = ["--only", "file-one-byte"];
    let server = ["--", "python3", "theirs/server.py", "{port}"];
    lab_check_in(folder.path(), &[&["server"], &one[..], &server].concat()).expect(0);
    let client = ["--", "python3", "./theirs/client.py", "{host}:{port}", "{local}", "{remote}"];
    lab_check_in(folder.path(), &[&["client"], &one[..], &client].concat()).expect(0);
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1, "nothing is left in the caller's folder");
}
