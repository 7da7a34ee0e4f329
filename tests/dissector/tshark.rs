//! tshark with the dissector, and nothing of what its user has set up.

use crate::harness::Program;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

const DISSECTOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/wireshark/homing.lua");

/// Whether there is a tshark; says so when a test is skipped for it.
pub fn is_here() -> bool {
    let here = Command::new("tshark").arg("--version").output();
    if let Err(error) = &here {
        say(&format!("skipped: no tshark here ({error})"));
    }
    here.is_ok()
}

/// Straight to standard error: the harness would keep what is printed by a test that passes.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// What tshark prints of a capture. Fails if Lua complains: at loading on standard error, later among the packets.
pub fn read(capture: &Path, options: &[&str]) -> Vec<String> {
    let capture = capture.to_str().expect("a plain path");
    let ended = start(&[&["-n", "-r", capture], options].concat()).end().expect(0);
    let complaint = ended.out.iter().chain(&ended.err).find(|line| line.contains("Lua") || line.contains("homing.lua"));
    assert_eq!(complaint, None);
    ended.out
}

/// The values of these fields, packet by packet.
pub fn fields(capture: &Path, names: &[&str], options: &[&str]) -> Vec<Vec<String>> {
    let names = names.iter().flat_map(|name| ["-e", name]);
    let options: Vec<_> = options.iter().copied().chain(["-T", "fields"]).chain(names).collect();
    read(capture, &options).iter().map(|line| line.split('\t').map(value).collect()).collect()
}

/// Starts tshark with a home that is not there, so that it finds no settings and no other copy of the dissector.
pub fn start(options: &[&str]) -> Program {
    let dissector = format!("lua_script:{DISSECTOR}");
    let fixed = ["HOME=/nowhere", "XDG_CONFIG_HOME=/nowhere", "tshark", "-X", &dissector];
    Program::start("env", &[&fixed, options].concat())
}

/// Versions differ in how they write a truth.
fn value(text: &str) -> String {
    match text {
        "True" => "1".to_owned(),
        "False" => "0".to_owned(),
        other => other.to_owned(),
    }
}
