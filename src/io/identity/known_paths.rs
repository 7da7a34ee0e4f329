//! `known_paths`: what the path to each server bore the last time, a line for each, the latest last.
//!
//! ```text
//! # address, bytes per second, round trip in microseconds, share of packets lost, seconds since 1970
//! 192.0.2.7 11830000 100210 0.0102 1793712000
//! ```
//!
//! Nothing depends on it but how a copy begins, and it is checked against the path of now: so a line that means nothing is passed over, and
//! the file may be removed at any time. Addresses of this machine itself are not remembered.

use super::private_file::{FileError, lock_folder, read, replace};
use crate::io::clock;
use crate::session::congestion::Remembered;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The file. It is read anew for each question.
#[derive(Clone, Debug)]
pub struct KnownPaths {
    path: PathBuf,
}

impl KnownPaths {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What the path to this address bore, if it was used in the last week.
    pub fn recall(&self, address: IpAddr) -> Option<Remembered> {
        let text = read(&self.path, FILE_MAX, 0o022).ok()??;
        let line = lines(&text, seconds_since_1970()).rev().find(|line| line.address == address)?;
        Some(line.remembered)
    }

    /// Remembers it, in place of what was known of this address.
    ///
    /// # Errors
    /// [`FileError`] if the file cannot be read or written.
    pub fn remember(&self, address: IpAddr, remembered: Remembered) -> Result<(), FileError> {
        if address.to_canonical().is_loopback() {
            return Ok(());
        }
        let _lock = lock_folder(&self.path)?;
        let now = seconds_since_1970();
        // What is damaged or too long is begun anew.
        let text = read(&self.path, FILE_MAX, 0o022).ok().flatten().unwrap_or_default();
        let mut kept: Vec<Line> = lines(&text, now).filter(|line| line.address != address).collect();
        kept.push(Line { address, remembered, seen: now });
        let mut text = String::from(HEAD);
        for Line { address, remembered: Remembered { rate, rtt, loss }, seen } in
            kept.iter().skip(kept.len().saturating_sub(LINES_MAX))
        {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{address} {rate} {} {loss:.4} {seen}", rtt.as_micros());
        }
        replace(&self.path, text.as_bytes())
    }
}

struct Line {
    address: IpAddr,
    remembered: Remembered,
    /// Seconds since 1970.
    seen: u64,
}

/// The lines that mean something and are not too old.
fn lines(text: &str, now: u64) -> impl DoubleEndedIterator<Item = Line> {
    text.lines().filter_map(parse).filter(move |line| now.saturating_sub(line.seen) <= AGE_MAX)
}

fn parse(line: &str) -> Option<Line> {
    let mut words = line.split(' ');
    let (address, rate, rtt) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (loss, seen) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let is_sound = (0.0..=1.0).contains(&loss) && (1..=RTT_MAX).contains(&rtt) && words.next().is_none();
    let remembered = Remembered { rate, rtt: Duration::from_micros(rtt), loss };
    is_sound.then_some(Line { address, remembered, seen })
}

fn seconds_since_1970() -> u64 {
    clock::microseconds_since_1970() / 1_000_000
}

const HEAD: &str =
    "# address, bytes per second, round trip in microseconds, share of packets lost, seconds since 1970\n";

/// Paths change; half of what one bore a week ago is still a fair guess, and is not believed for longer than two round trips.
const AGE_MAX: u64 = 7 * 24 * 3600;

/// The latest ones.
const LINES_MAX: usize = 256;

const FILE_MAX: u64 = 64 << 10;

/// Microseconds: a minute.
const RTT_MAX: u64 = 60_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const PATH: Remembered = Remembered { rate: 12_500_000, rtt: Duration::from_millis(100), loss: 0.01 };

    fn known() -> (tempfile::TempDir, KnownPaths) {
        let folder = tempfile::tempdir().expect("a folder");
        let known = KnownPaths::new(folder.path().join("known_paths"));
        (folder, known)
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn the_last_that_was_seen_of_an_address_is_recalled() {
        let (_folder, known) = known();
        assert_eq!(known.recall(address(1)), None);
        known.remember(address(1), PATH).expect("it is written");
        known.remember(address(2), Remembered { rate: 5, ..PATH }).expect("it is written");
        known.remember(address(1), Remembered { rate: 7, ..PATH }).expect("it is written");
        assert_eq!(known.recall(address(1)), Some(Remembered { rate: 7, ..PATH }));
        assert_eq!(known.recall(address(2)), Some(Remembered { rate: 5, ..PATH }));
        assert_eq!(fs::read_to_string(&known.path).expect("a file").lines().count(), 3);
    }

    #[test]
    fn this_machine_itself_is_not_remembered() {
        let (_folder, known) = known();
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            known.remember(address.parse().expect("an address"), PATH).expect("nothing is written");
        }
        assert!(!known.path.exists());
    }

    #[test]
    fn what_is_old_or_means_nothing_is_passed_over() {
        let (_folder, known) = known();
        let (now, old) = (seconds_since_1970(), seconds_since_1970() - AGE_MAX - 10);
        for line in [
            format!("192.0.2.1 5 5 0.5 {old}"),
            format!("192.0.2.1 5 5 1.5 {now}"),
            format!("192.0.2.1 5 0 0.5 {now}"),
            format!("192.0.2.1 5 99999999 0.5 {now}"),
            format!("192.0.2.1 5 5 NaN {now}"),
            format!("192.0.2.1 -5 5 0.5 {now}"),
            format!("192.0.2.1 5 5 0.5 {now} more"),
            "192.0.2.1".into(),
            String::new(),
        ] {
            fs::write(&known.path, format!("{line}\n")).expect("a file");
            assert_eq!(known.recall(address(1)), None, "{line}");
        }
        fs::write(&known.path, [0xff; 100]).expect("a file");
        assert_eq!(known.recall(address(1)), None);
        known.remember(address(1), PATH).expect("it is begun anew");
        assert_eq!(known.recall(address(1)), Some(PATH));
    }

    #[test]
    fn only_the_latest_are_kept() {
        let (_folder, known) = known();
        for last in 0..=255 {
            known.remember(address(last), PATH).expect("it is written");
        }
        known.remember(IpAddr::from([198, 51, 100, 1]), PATH).expect("it is written");
        assert_eq!((known.recall(address(0)), known.recall(address(1))), (None, Some(PATH)));
    }
}
