//! The shell scripts' own tests, run with `cargo test`.

use std::path::Path;
use std::process::Command;

#[test]
fn lossy_net_does_what_it_says() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lossy_net_test.sh");
    match Command::new("bash").arg(&script).output() {
        Err(error) => println!("skipped: no bash here ({error})"),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            println!("{text}");
            assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// A python3, if there is one.
fn python(arguments: &[&str]) -> Option<std::process::Output> {
    Command::new("python3").args(arguments).env("PYTHONDONTWRITEBYTECODE", "1").output().ok()
}

#[test]
fn the_arithmetic_of_the_comparison_is_right() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compare_test.py");
    match python(&[&script.to_string_lossy()]) {
        None => println!("skipped: no python3 here"),
        Some(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_comparison_on_loopback_copies_a_file_and_a_tree_and_writes_a_table() {
    if python(&["--version"]).is_none() {
        println!("skipped: no python3 here");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let programs = Path::new(env!("CARGO_BIN_EXE_server")).parent().expect("a folder of programs");
    let output = Command::new("bash")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/compare.sh"))
        .args(["--only", "loopback", "--tools", "homing,cp,quinn", "--rounds", "1"])
        .args(["--size", "300k", "--files", "20", "--output", "record", "--work"])
        .arg(folder.path())
        .env("HOMING_BIN_DIR", programs)
        .current_dir(folder.path())
        .output()
        .expect("bash");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(table.matches("| homing | ").count(), 2, "{table}");
    assert_eq!(table.matches("| cp | ").count(), 2, "{table}");
    assert!(!table.contains("not whole") && table.contains("absent: quinn"), "{table}");
    let record = std::fs::read_to_string(folder.path().join("record.json")).expect("a record");
    assert_eq!(record.matches("\"whole\": true").count(), 4, "{record}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2, "only the record is left");
}
