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
