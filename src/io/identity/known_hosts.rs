//! `known_hosts`: which key each server had when it was met first, a line for each.
//!
//! ```text
//! # comments and empty lines are kept
//! example.org:12300 SHA256:rBcVQzTIjaFIOWAcqBUkzyxlYPQH4FtuYm9GFZOpONk windowed
//! [2001:db8::1]:12300 SHA256:NH6Kk5A4q8kZFHYeNoLvuwiPZ4CXg8kHkGQoNI0Vm0g windowed
//! ```
//!
//! A line that means nothing is an error that names it, never passed over: whoever could damage a line would otherwise make a
//! server unknown, and unknown servers are believed.

use super::private_file::{FileError, lock_folder, read, replace};
use crate::name::Printable;
use crate::session::handshake::Fingerprint;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The file. It is read anew for each question.
#[derive(Clone, Debug)]
pub struct KnownHosts {
    path: PathBuf,
}

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its key.
    pub fingerprint: Fingerprint,
    /// Its line, from 1.
    pub line: usize,
    /// It is greeted in binary at once, so that nobody in between can take away the offer of the windowed mode. Not so for
    /// addresses of this machine itself: there it is a different server every time, and nobody is in between.
    pub is_binary_only: bool,
}

/// How a server's key compares with what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// It was met before, and has the same key.
    Again,
    /// It was not, and from now on it is known.
    FirstTime,
}

/// Why a server is not believed.
#[derive(Debug, Error)]
pub enum KnownHostsError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line of it means nothing.
    #[error("line {line} of {} {problem}; correct or remove that line", path.display())]
    BadLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The server has another key than it had.
    #[error(
        "the key of {host} has changed: it was {known} (line {line} of {}) and is {found}. Somebody may be in between. If the server was \
         set up anew, and its owner confirms this fingerprint, remove that line and try again",
        path.display()
    )]
    Changed {
        /// The server, as the file has it.
        host: String,
        /// The key it had.
        known: Fingerprint,
        /// The key it has.
        found: Fingerprint,
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// This cannot be the name of a server.
    #[error("'{0}' cannot be remembered: it is no name of a server")]
    BadHost(String),
}

impl KnownHostsError {
    /// Whether the server has another key than it had; otherwise something is wrong with the file or the name.
    pub fn is_change(&self) -> bool {
        matches!(self, Self::Changed { .. })
    }
}

impl KnownHosts {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What is known of a server, under the name by which it was asked for.
    ///
    /// # Errors
    /// [`KnownHostsError`] when the file cannot be read to its end.
    pub fn find(&self, host: &str, port: u16) -> Result<Option<Pin>, KnownHostsError> {
        let name = name(host, port)?;
        find(&self.path, &self.text()?, &name)
    }

    /// A server has shown this key. One that was not met before is remembered.
    ///
    /// # Errors
    /// [`KnownHostsError::Changed`] when it had another one; the others when the file cannot be read or written.
    pub fn meet(&self, host: &str, port: u16, found: Fingerprint) -> Result<Met, KnownHostsError> {
        let host = name(host, port)?;
        let _lock = lock_folder(&self.path)?;
        let mut text = self.text()?;
        if let Some(Pin { fingerprint: known, line, .. }) = find(&self.path, &text, &host)? {
            let path = self.path.clone();
            return if known == found {
                Ok(Met::Again)
            } else {
                Err(KnownHostsError::Changed { host, known, found, path, line })
            };
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("{host} {found} {WINDOWED}\n"));
        if text.len() as u64 > FILE_MAX {
            return Err(FileError::new(&self.path, "is full; remove servers that are gone").into());
        }
        replace(&self.path, text.as_bytes())?;
        Ok(Met::FirstTime)
    }

    fn text(&self) -> Result<String, FileError> {
        // Who reads it learns nothing but names; who writes to it decides whom we believe.
        Ok(read(&self.path, FILE_MAX, 0o022)?.map(|text| text.to_string()).unwrap_or_default())
    }
}

/// Looks through all lines, also those behind the one that is looked for.
fn find(path: &Path, text: &str, name: &str) -> Result<Option<Pin>, KnownHostsError> {
    let mut pin = None;
    for (index, text) in text.lines().enumerate() {
        let line = index + 1;
        let bad = |problem| KnownHostsError::BadLine { path: path.to_owned(), line, problem };
        let content = text.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let (host, fingerprint) = parse(content).map_err(bad)?;
        if host != name {
            continue;
        }
        if pin.is_some() {
            return Err(bad("names a server a second time"));
        }
        pin = Some(Pin { fingerprint, line, is_binary_only: !is_this_machine(host) });
    }
    Ok(pin)
}

fn parse(line: &str) -> Result<(&str, Fingerprint), &'static str> {
    if line.len() > LINE_MAX {
        return Err("is too long");
    }
    let mut fields = line.split(' ');
    let host = fields.next().unwrap_or_default();
    let is_ours = split(host).and_then(|(bare, port)| name(bare, port).ok()).is_some_and(|name| name == host);
    if !is_ours {
        return Err("begins with no host:port as this program writes it");
    }
    let fingerprint =
        fields.next().and_then(|field| field.parse().ok()).ok_or("has no fingerprint in its second field")?;
    match (fields.next(), fields.next()) {
        (Some(WINDOWED), None) => Ok((host, fingerprint)),
        _ => Err("does not end in 'windowed'"),
    }
}

/// A server as the file names it: in small letters, an IPv6 address in brackets, and each address in one spelling.
fn name(host: &str, port: u16) -> Result<String, KnownHostsError> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => Ok(format!("{ip}:{port}")),
        Ok(IpAddr::V6(ip)) => Ok(format!("[{ip}]:{port}")),
        // Letters, digits, and what names and zones have besides: so nothing can look like another field or another line.
        Err(_) if bare.is_empty() || bare.len() > HOST_MAX || !bare.bytes().all(is_name_byte) => {
            Err(KnownHostsError::BadHost(Printable(host).to_string()))
        }
        Err(_) => match (bare.contains(':'), bare.contains('%')) {
            (false, _) => Ok(format!("{}:{port}", bare.to_ascii_lowercase())),
            (true, true) => Ok(format!("[{}]:{port}", bare.to_ascii_lowercase())),
            (true, false) => Err(KnownHostsError::BadHost(Printable(host).to_string())),
        },
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._%:".contains(&byte)
}

fn split(host: &str) -> Option<(&str, u16)> {
    let (host, port) = host.rsplit_once(':')?;
    Some((host, port.parse().ok()?))
}

fn is_this_machine(name: &str) -> bool {
    let host = name.rsplit_once(':').map_or(name, |(host, _)| host);
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

const WINDOWED: &str = "windowed";

/// As for domain names (RFC 1035, 2.3.4), which are the longest.
const HOST_MAX: usize = 255;

/// Host, port, fingerprint and word, with room.
const LINE_MAX: usize = 512;

/// More than ten thousand servers.
const FILE_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::handshake::PublicKey;
    use std::fs;

    fn fingerprint(byte: u8) -> Fingerprint {
        PublicKey([byte; 32]).fingerprint()
    }

    fn known_hosts() -> (tempfile::TempDir, KnownHosts) {
        let folder = tempfile::tempdir().expect("a folder");
        let known_hosts = KnownHosts::new(folder.path().join("known_hosts"));
        (folder, known_hosts)
    }

    fn text(known_hosts: &KnownHosts) -> String {
        fs::read_to_string(&known_hosts.path).expect("text")
    }

    #[test]
    fn a_server_is_believed_when_it_is_met_first_and_held_to_it() {
        let (_folder, known_hosts) = known_hosts();
        assert_eq!(known_hosts.find("example.org", 12300).expect("no file"), None);
        assert_eq!(known_hosts.meet("Example.org", 12300, fingerprint(1)).expect("new"), Met::FirstTime);
        assert_eq!(known_hosts.meet("example.ORG", 12300, fingerprint(1)).expect("known"), Met::Again);
        assert_eq!(known_hosts.meet("example.org", 12301, fingerprint(2)).expect("another server"), Met::FirstTime);
        let pin = Pin { fingerprint: fingerprint(1), line: 1, is_binary_only: true };
        assert_eq!(known_hosts.find("example.org", 12300).expect("a file"), Some(pin));
        let before = text(&known_hosts);
        let error = known_hosts.meet("example.org", 12300, fingerprint(3)).expect_err("another key").to_string();
        for part in [
            "example.org:12300",
            &fingerprint(1).to_string(),
            &fingerprint(3).to_string(),
            "line 1 of ",
            &known_hosts.path.display().to_string(),
            "remove that line",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert_eq!(text(&known_hosts), before, "and nothing is changed");
    }

    #[test]
    fn an_address_has_one_name_and_this_machine_is_pinned_without_consequences() {
        let (_folder, known_hosts) = known_hosts();
        for (at, (host, name, is_binary_only)) in [
            ("10.0.0.1", "10.0.0.1:1", true),
            ("2001:DB8:0::1", "[2001:db8::1]:1", true),
            ("[2001:db8::2]", "[2001:db8::2]:1", true),
            ("fe80::1%Eth0", "[fe80::1%eth0]:1", true),
            ("localhost", "localhost:1", false),
            ("LOCALHOST", "localhost:1", false),
            ("127.0.0.7", "127.0.0.7:1", false),
            ("::1", "[::1]:1", false),
            ("::ffff:127.0.0.1", "127.0.0.1:1", false),
            ("localhost.example", "localhost.example:1", true),
        ]
        .into_iter()
        .enumerate()
        {
            known_hosts.meet(host, 1, fingerprint(7)).expect("a name");
            let pin = known_hosts.find(host, 1).expect("a file").expect("it was met");
            assert_eq!(pin.is_binary_only, is_binary_only, "{host}");
            let line = text(&known_hosts).lines().nth(pin.line - 1).expect("its line").to_owned();
            assert_eq!(line, format!("{name} {} windowed", fingerprint(7)), "{at}");
        }
        for host in ["", "a b", "a\nb", "a\u{1b}[31m", "b\u{202e}", "#x/", "a:b", &"x".repeat(256)] {
            assert!(matches!(known_hosts.meet(host, 1, fingerprint(7)), Err(KnownHostsError::BadHost(_))), "{host:?}");
        }
    }

    #[test]
    fn comments_stay_and_a_missing_line_end_is_added() {
        let (_folder, known_hosts) = known_hosts();
        let first = format!("# mine\n\n  \na.example:1 {} windowed", fingerprint(1));
        fs::write(&known_hosts.path, &first).expect("ours");
        known_hosts.meet("b.example", 2, fingerprint(2)).expect("new");
        assert_eq!(text(&known_hosts), format!("{first}\nb.example:2 {} windowed\n", fingerprint(2)));
        assert_eq!(known_hosts.find("a.example", 1).expect("a file").map(|pin| pin.line), Some(4));
    }

    #[test]
    fn a_line_that_means_nothing_is_named_and_nobody_is_believed_meanwhile() {
        let (_folder, known_hosts) = known_hosts();
        let print = fingerprint(1).to_string();
        let good = format!("a.example:1 {print} windowed\n");
        for bad in [
            "x".into(),
            "b.example:1".into(),
            format!("b.example {print} windowed"),
            format!("b.example:99999 {print} windowed"),
            format!("B.example:1 {print} windowed"),
            format!("b.example:01 {print} windowed"),
            format!("2001:db8::1:1 {print} windowed"),
            format!("b.example:1 {} windowed", &print[..49]),
            format!("b.example:1 {} windowed", print.to_lowercase()),
            format!("b.example:1 {print}"),
            format!("b.example:1 {print} lab"),
            format!("b.example:1 {print} windowed more"),
            format!("b.example:1  {print} windowed"),
            format!("b.example:1\t{print}\twindowed"),
            format!("b.example:1 {print} windowed {}", "x".repeat(600)),
            "\u{feff}# comment".into(),
            "\0".into(),
            good.trim().into(),
        ] {
            let content = format!("{good}\n{bad}\n");
            fs::write(&known_hosts.path, &content).expect("ours");
            for error in [
                known_hosts.find("a.example", 1).map(|_| ()),
                known_hosts.meet("a.example", 1, fingerprint(1)).map(|_| ()),
                known_hosts.meet("new.example", 1, fingerprint(1)).map(|_| ()),
            ] {
                if bad == good.trim() && error.is_ok() {
                    continue;
                }
                let error = error.expect_err(&bad).to_string();
                assert!(error.starts_with("line 3 of "), "{bad:?}: {error}");
            }
            assert!(bad == good.trim() || text(&known_hosts) == content);
        }
    }

    #[test]
    fn a_file_that_others_may_write_to_or_that_is_too_large_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, known_hosts) = known_hosts();
        fs::write(&known_hosts.path, "# x\n").expect("ours");
        fs::set_permissions(&known_hosts.path, fs::Permissions::from_mode(0o664)).expect("ours");
        let error = known_hosts.find("a.example", 1).expect_err("refused").to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::set_permissions(&known_hosts.path, fs::Permissions::from_mode(0o644)).expect("ours");
        assert!(known_hosts.find("a.example", 1).is_ok(), "who reads it learns only names");
        fs::write(&known_hosts.path, "#".repeat(1 << 20)).expect("ours");
        assert!(matches!(known_hosts.meet("a.example", 1, fingerprint(1)), Err(KnownHostsError::File(_))));
        fs::write(&known_hosts.path, "#".repeat((1 << 20) + 1)).expect("ours");
        assert!(matches!(known_hosts.find("a.example", 1), Err(KnownHostsError::File(_))));
        fs::write(&known_hosts.path, [0xff, 0xfe]).expect("ours");
        assert!(matches!(known_hosts.find("a.example", 1), Err(KnownHostsError::File(_))));
    }

    #[test]
    fn many_who_meet_servers_at_once_forget_none() {
        let (folder, known_hosts) = known_hosts();
        std::thread::scope(|scope| {
            for port in 1..=16_u8 {
                let known_hosts = &known_hosts;
                scope.spawn(move || known_hosts.meet("a.example", port.into(), fingerprint(port)).expect("new"));
            }
        });
        assert_eq!(text(&known_hosts).lines().count(), 16);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left over");
    }
}
