//! Sends files and folders with a line of progress that the library does not print by itself; Enter cancels.
//!
//! `cargo run --example send_with_progress HOST:PORT SOURCE... REMOTE`

use homing::{Client, Error, Note};
use std::io::{self, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(remote), true) = (arguments.pop(), arguments.len() > 1) else {
        return Err("HOST:PORT SOURCE... REMOTE, please".into());
    };
    let sources = arguments.split_off(1);
    let mut client = Client::new(arguments.remove(0)).recursive(true).on_event(|note| match note {
        Note::Progress(progress) => {
            let limit = progress.limit.map_or("nothing that is known", |limit| limit.words());
            eprint!("\r{} of {} bytes; at present it is limited by {limit}   ", progress.bytes, progress.size);
        }
        Note::NotCopied { reason } => eprintln!("\rnot copied: {reason}"),
        _ => {}
    });
    let canceller = client.canceller();
    std::thread::spawn(move || {
        // The end of the input is no Enter.
        if io::stdin().read_line(&mut String::new()).is_ok_and(|bytes| bytes > 0) {
            canceller.cancel();
        }
    });
    let sent = client.send(sources, &remote);
    eprintln!();
    let mut out = io::stdout();
    match sent {
        Ok(sent) => writeln!(out, "{} files, {} bytes in {:?}, {}", sent.files, sent.bytes, sent.took, sent.mode)?,
        Err(Error::Interrupted(_)) => writeln!(out, "cancelled; the same command goes on where this one was")?,
        Err(error) => {
            let files = error.summary().map_or(0, |partly| partly.files);
            writeln!(out, "{files} files; {error}")?;
        }
    }
    Ok(())
}
