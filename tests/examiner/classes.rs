//! A folder of submissions: the grid on the terminal, for a spreadsheet, as JSON and as a page.

use super::has_python;
use super::pages::self_contained;
use super::tool::{folder_of_its_own, lab_check_in, peer, text, write};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// One who keeps the rules, one who breaks one, and one whose program does not even begin. Names come from strangers.
const FIRST: &str = "group1, the <b>first";
const SECOND: &str = "group2";
const THIRD: &str = "group3";

const CASES: &[&str] = &["--only", "file-one-byte", "--only", "file-name", "--only", "idle-forgotten"];

fn submissions() -> TempDir {
    let folder = folder_of_its_own();
    let server = text(Path::new(&peer("server.py")));
    // What is started has no arguments of its own, as submissions have none.
    let broken = server.replace("FAULTS.get(options.fault, Server)", "FAULTS[\"file-name\"]");
    assert_ne!(broken, server);
    write(&folder, &format!("sub/{FIRST}/server.py"), &server);
    write(&folder, &format!("sub/{SECOND}/server.py"), broken);
    write(&folder, &format!("sub/{THIRD}/server.py"), "def main(:\n    pass\n");
    folder
}

#[test]
fn a_class_is_examined_in_one_go() {
    if !has_python() {
        return;
    }
    let folder = submissions();
    let options = ["server", "--each", "sub/*/server.py", "--report", "class.html", "--csv", "class.csv"];
    let command = ["--", "python3", "{file}", "{port}"];
    let ended = lab_check_in(folder.path(), &[&options[..], CASES, &command].concat()).expect(1);
    let page = self_contained(&text(&folder.path().join("class.html")));
    let reasons = page.split("class=\"why\">").skip(1).filter_map(|behind| behind.split('<').next());
    grid(&ended.out, &reasons.collect::<Vec<_>>());
    sheet(&fs::read(folder.path().join("class.csv")).expect("a sheet"));
    for name in ["3 submissions", "group1, the &lt;b&gt;first", SECOND, THIRD, "SyntaxError"] {
        assert!(page.contains(name), "no {name:?} in {page}");
    }
    assert!(!page.contains("<b>"), "{page}");
}

/// Columns have numbers, rows names; below stands what the columns are.
#[track_caller]
fn grid(out: &str, reasons: &[&str]) {
    let row = |name: &str| out.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {out}"));
    assert!(row(FIRST).ends_with(" ✓ ✓ ·  2 passed, 0 failed"), "{out}{reasons:#?}");
    assert!(row(SECOND).ends_with(" ✓ ✗ ·  1 passed, 1 failed"), "{out}{reasons:#?}");
    assert!(row(THIRD).ends_with(" ✗ ✗ ✗  0 passed, 3 failed"), "{out}{reasons:#?}");
    assert!(out.lines().nth(1).is_some_and(|line| line.trim() == "1 2 3"), "{out}");
    assert!(out.contains("  2 file-name             2 of 3 fail\n"), "{out}");
}

#[track_caller]
fn sheet(bytes: &[u8]) {
    let mut sheet = csv::Reader::from_reader(bytes);
    let heads: Vec<String> = sheet.headers().expect("a head").iter().map(Into::into).collect();
    assert_eq!(heads, ["submission", "passed", "failed", "file-one-byte", "file-name", "idle-forgotten"]);
    let rows: Vec<Vec<String>> =
        sheet.records().map(|row| row.expect("a row").iter().map(Into::into).collect()).collect();
    let expected: [&[&str]; 3] = [
        &[FIRST, "2", "0", "pass", "pass", "na"],
        &[SECOND, "1", "1", "pass", "fail", "na"],
        &[THIRD, "0", "3", "fail", "fail", "fail"],
    ];
    assert_eq!(rows, expected);
}

#[test]
fn as_json_every_finding_says_whose_it_is() {
    if !has_python() {
        return;
    }
    let folder = submissions();
    let options = ["server", "--each", "sub/*/server.py", "--json"];
    let command = ["--", "python3", "{file}", "{port}"];
    let ended = lab_check_in(folder.path(), &[&options[..], CASES, &command].concat()).expect(1);
    let findings = ended.findings();
    let whose: Vec<&str> = findings.iter().filter_map(|finding| finding.submission.as_deref()).collect();
    assert_eq!(whose, [FIRST, FIRST, FIRST, SECOND, SECOND, SECOND, THIRD, THIRD, THIRD]);
    let crashed = findings.iter().filter(|one| one.why.contains("it ended with exit code 1: SyntaxError: ")).count();
    assert_eq!(crashed, 3, "{findings:#?}");
    assert_eq!(ended.err.lines().count(), 3, "one summary each: {}", ended.err);
}

#[test]
fn a_class_of_clients_is_examined_as_well() {
    if !has_python() {
        return;
    }
    let folder = folder_of_its_own();
    let client = text(Path::new(&peer("client.py")));
    let broken = client.replace("FAULTS.get(options.fault, Client)", "FAULTS[\"file-name\"]");
    assert_ne!(broken, client);
    write(&folder, "group1.py", &client);
    write(&folder, "group2.py", broken);
    let cases = ["--only", "plain-copy", "--only", "file-name"];
    let command = ["--", "python3", "{file}", "{addr}", "{local}", "{remote}"];
    let ended = lab_check_in(folder.path(), &[&["client", "--each", "*.py"], &cases[..], &command].concat()).expect(1);
    for row in ["group1.py  ✓ ✓  2 passed, 0 failed", "group2.py  ✓ ✗  1 passed, 1 failed"] {
        assert!(ended.out.lines().any(|line| line == row), "no {row:?} in {}", ended.out);
    }
}
