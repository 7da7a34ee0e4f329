//! Who this program is, and whom it has met: key files and `known_hosts`, in a folder of their own.
//!
//! They live in `$XDG_CONFIG_HOME/homing` (`~/.config/homing`), or where `--config-dir` says; never under a folder that is served.

pub mod known_hosts;
mod known_paths;
mod private_file;

pub use known_hosts::{KnownHosts, KnownHostsError, Met, Pin};
pub use known_paths::KnownPaths;
pub use private_file::FileError;

use crate::session::handshake::PrivateKey;
use private_file::{create, read};
use std::env;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

/// Whose key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What clients remember.
    Server,
    /// What servers may allow.
    Client,
}

impl Role {
    fn file_name(self) -> &'static str {
        match self {
            Role::Server => "server.key",
            Role::Client => "client.key",
        }
    }
}

/// Why there is no key.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// No variable says where this user's files are.
    #[error("no place for keys: neither XDG_CONFIG_HOME nor HOME is set; name a folder with --config-dir")]
    NoPlace,
    /// The folder cannot be used.
    #[error("the folder {} {problem}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// The key file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file holds something else.
    #[error("{} holds no key ({} hexadecimal digits); restore it, or remove it to get a new one, which others will not know", path.display(), KEY_DIGITS)]
    NoKey {
        /// Which.
        path: PathBuf,
    },
    /// The system has no randomness to give.
    #[error("cannot make a key: {0}")]
    NoRandomness(String),
}

/// The folder with keys and pins.
#[derive(Clone, Debug)]
pub struct ConfigFolder {
    path: PathBuf,
}

impl ConfigFolder {
    /// Opens the folder that was `chosen`, or the user's; makes it if it is missing, for him alone.
    ///
    /// # Errors
    /// [`IdentityError`], also when others may write to the folder: they could put their keys there.
    pub fn open(chosen: Option<&Path>) -> Result<Self, IdentityError> {
        let path = folder_path(chosen).ok_or(IdentityError::NoPlace)?;
        let problem = |problem: String| IdentityError::Folder { path: path.clone(), problem };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| problem(format!("cannot be made: {error}; name another one with --config-dir")))?;
        let metadata = path.metadata().map_err(|error| problem(format!("cannot be looked at: {error}")))?;
        if metadata.mode() & 0o022 != 0 {
            let remedy = format!("others may write to it, and so change keys; run: chmod go-w {}", path.display());
            return Err(problem(format!("is not safe: {remedy}")));
        }
        Ok(Self { path })
    }

    /// The key of this server or client; made on first use.
    ///
    /// # Errors
    /// [`IdentityError`], also when others may read the key.
    pub fn private_key(&self, role: Role) -> Result<PrivateKey, IdentityError> {
        let path = self.path.join(role.file_name());
        if let Some(text) = read(&path, KEY_FILE_MAX, 0o077)? {
            return parse_key(&text).ok_or(IdentityError::NoKey { path });
        }
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|error| IdentityError::NoRandomness(error.to_string()))?;
        let mut text = Zeroizing::new([b'\n'; KEY_DIGITS + 1]);
        if let Some(digits) = text.first_chunk_mut::<KEY_DIGITS>() {
            hex::encode_to_slice(bytes.as_slice(), digits)
                .map_err(|error| IdentityError::NoRandomness(error.to_string()))?;
        }
        // Another process may have been first; then its key is the one.
        create(&path, &*text)?;
        let text = read(&path, KEY_FILE_MAX, 0o077)?.unwrap_or_default();
        parse_key(&text).ok_or(IdentityError::NoKey { path })
    }

    /// The servers that were met from here.
    pub fn known_hosts(&self) -> KnownHosts {
        KnownHosts::new(self.path.join("known_hosts"))
    }

    /// What the paths to them bore.
    pub fn known_paths(&self) -> KnownPaths {
        KnownPaths::new(self.path.join("known_paths"))
    }
}

/// Where the folder that was `chosen`, or the user's, is or would be; `None` if no variable says so.
pub(super) fn folder_path(chosen: Option<&Path>) -> Option<PathBuf> {
    let variable = |name| env::var_os(name).map(PathBuf::from);
    match chosen {
        Some(path) => Some(path.to_owned()),
        None => default_path(variable("XDG_CONFIG_HOME"), variable("HOME")),
    }
}

/// Reads a file that others may read, but not change; `None` if there is none.
pub(super) fn read_public(path: &Path, bytes_max: u64) -> Result<Option<Zeroizing<String>>, FileError> {
    read(path, bytes_max, 0o022)
}

/// As the XDG base directory specification has it: a relative path in the variable is as good as none.
fn default_path(xdg_config_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |path: PathBuf| Some(path).filter(|path| path.is_absolute());
    let base = xdg_config_home.and_then(absolute).or_else(|| home.and_then(absolute).map(|home| home.join(".config")));
    base.map(|base| base.join("homing"))
}

fn parse_key(text: &str) -> Option<PrivateKey> {
    let digits = text.strip_suffix('\n').unwrap_or(text);
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, &mut *bytes).ok()?;
    Some(PrivateKey::new(&bytes))
}

/// A key of 32 bytes.
const KEY_DIGITS: usize = 64;

/// A key file has 65 bytes; whatever is much longer is something else.
const KEY_FILE_MAX: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn folder() -> (tempfile::TempDir, ConfigFolder) {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = ConfigFolder::open(Some(&parent.path().join("deep/homing"))).expect("it is made");
        (parent, folder)
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("it is there").mode() & 0o777
    }

    #[test]
    fn a_key_is_made_once_and_only_for_us() {
        let (_parent, folder) = folder();
        assert_eq!(mode(&folder.path), 0o700);
        let key = folder.private_key(Role::Server).expect("a key");
        assert_eq!(mode(&folder.path.join("server.key")), 0o600);
        assert_eq!(fs::read_to_string(folder.path.join("server.key")).expect("text").len(), KEY_DIGITS + 1);
        let again = folder.private_key(Role::Server).expect("the same key");
        assert_eq!(key.secret_bytes(), again.secret_bytes());
        let client = folder.private_key(Role::Client).expect("another key");
        assert_ne!(key.secret_bytes(), client.secret_bytes());
        assert_eq!(fs::read_dir(&folder.path).expect("a folder").count(), 2, "nothing is left over");
    }

    #[test]
    fn many_who_come_first_at_once_get_one_key() {
        let (_parent, folder) = folder();
        let keys: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| *folder.private_key(Role::Client).expect("a key").secret_bytes()))
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(fs::read_dir(&folder.path).expect("a folder").count(), 1);
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_with_the_remedy() {
        let (_parent, folder) = folder();
        folder.private_key(Role::Server).expect("a key");
        let path = folder.path.join("server.key");
        for bits in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(bits)).expect("ours");
            let error = folder.private_key(Role::Server).expect_err("refused").to_string();
            assert!(error.contains("chmod 600") && error.contains("server.key"), "{error}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o400)).expect("ours");
        assert!(folder.private_key(Role::Server).is_ok());
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused_with_the_remedy() {
        let (_parent, folder) = folder();
        fs::set_permissions(&folder.path, Permissions::from_mode(0o770)).expect("ours");
        let error = ConfigFolder::open(Some(&folder.path)).expect_err("refused").to_string();
        assert!(error.contains("chmod go-w"), "{error}");
    }

    #[test]
    fn what_is_no_key_is_not_replaced() {
        let (_parent, folder) = folder();
        let path = folder.path.join("client.key");
        for content in [
            String::new(),
            "ab".repeat(31),
            "ab".repeat(33),
            "zz".repeat(32),
            "ab".repeat(32) + "\n\n",
            "x".repeat(300),
        ] {
            fs::write(&path, &content).expect("ours");
            fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("ours");
            assert!(folder.private_key(Role::Client).is_err(), "{content:?}");
            assert_eq!(fs::read_to_string(&path).expect("still there"), content);
        }
    }

    #[test]
    fn keys_live_where_the_user_keeps_his_settings() {
        let some = |path: &str| Some(PathBuf::from(path));
        assert_eq!(default_path(some("/x"), some("/home/a")), some("/x/homing"));
        assert_eq!(default_path(some("x"), some("/home/a")), some("/home/a/.config/homing"));
        assert_eq!(default_path(None, some("/home/a")), some("/home/a/.config/homing"));
        assert_eq!(default_path(None, None), None);
    }
}
