//! Receives files into a folder until Enter is pressed, and says what came.
//!
//! `cargo run --example receive FOLDER [PORT]`

use homing::{Note, Server};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("a FOLDER, please")?;
    let port = arguments.next().map_or(Ok(12300), |port| port.parse())?;
    let server = Server::new(folder)
        .port(port)
        .max_size(1_000_000_000)
        .on_event(|note| {
            if let Note::Finished(finished) = note {
                println!("{}: {} bytes, {}", finished.name, finished.bytes, finished.mode);
            }
        })
        .start()?;
    println!("listening on {}; Enter ends it", server.address());
    if let Some(fingerprint) = server.fingerprint() {
        println!("clients should see the key {fingerprint}");
    }
    std::io::stdin().read_line(&mut String::new())?;
    let served = server.stop()?;
    println!("{} transfers, {} files, {} bytes; {} failed", served.uploads, served.files, served.bytes, served.failed);
    Ok(())
}
