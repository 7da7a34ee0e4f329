//! Key files and `known_hosts` that somebody wrote by hand, or damaged.

use homing::io::identity::{ConfigFolder, Met, Role};
use homing::session::handshake::PrivateKey;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// The bytes are a key, or nothing is taken for one.
pub fn key(bytes: &[u8]) {
    let (_place, folder, path) = folder("client.key", bytes);
    match folder.private_key(Role::Client) {
        Ok(key) => {
            let digits = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            assert_eq!(hex::encode(key.secret_bytes()).as_bytes(), digits.to_ascii_lowercase());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    assert_eq!(fs::read(path).expect("still there"), bytes, "nothing is written over");
}

/// The bytes are read to their end and believed, or not at all; who is met is known afterwards.
pub fn known_hosts(bytes: &[u8], host: &str, is_met: bool) {
    let (_place, folder, path) = folder("known_hosts", bytes);
    let known_hosts = folder.known_hosts();
    let found = known_hosts.find(host, 12_300);
    let own = PrivateKey::new(&[5; 32]).public().fingerprint();
    if !is_met {
        // Whoever stands there stands in a line of its own.
        if let Ok(Some(pin)) = found {
            let line = bytes.split(|byte| *byte == b'\n').nth(pin.line - 1).expect("its line");
            assert!(String::from_utf8_lossy(line).contains(&pin.fingerprint.to_string()));
        }
        assert_eq!(fs::read(path).expect("still there"), bytes);
        return;
    }
    match (found, known_hosts.meet(host, 12_300, own)) {
        (Ok(Some(pin)), Ok(Met::Again)) => assert_eq!(pin.fingerprint, own),
        (Ok(None), Ok(Met::FirstTime)) => {
            let pin = known_hosts.find(host, 12_300).expect("it can still be read").expect("it is known now");
            assert_eq!(pin.fingerprint, own);
            let after = fs::read(path).expect("there");
            assert!(after.starts_with(bytes), "what was there stays");
        }
        (Ok(Some(pin)), Err(_)) => assert_ne!(pin.fingerprint, own),
        // Full, or no name of a server.
        (Ok(None) | Err(_), Err(_)) => assert_eq!(fs::read(path).expect("still there"), bytes),
        (found, met) => panic!("{found:?}, then {met:?}"),
    }
}

fn folder(name: &str, bytes: &[u8]) -> (TempDir, ConfigFolder, std::path::PathBuf) {
    let place = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a folder");
    let path = place.path().join(name);
    fs::write(&path, bytes).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("for us alone");
    let folder = ConfigFolder::open(Some(place.path())).expect("a folder of ours");
    (place, folder, path)
}
