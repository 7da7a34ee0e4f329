//! Files and folders on their way into an archive: root's, with the same time, and the same bytes for the same build.

use flate2::{Compression, GzBuilder};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, path::Path};
use tar::{EntryType, Header};

/// Files by their path, with their permissions.
#[derive(Default)]
pub struct Tree {
    files: BTreeMap<String, (Vec<u8>, u32)>,
}

impl Tree {
    /// A program.
    pub fn add_program(&mut self, path: impl Into<String>, bytes: &[u8]) {
        self.files.insert(path.into(), (bytes.to_vec(), 0o755));
    }

    /// A file to be read.
    pub fn add(&mut self, path: impl Into<String>, bytes: &[u8]) {
        self.files.insert(path.into(), (bytes.to_vec(), 0o644));
    }

    /// All bytes.
    pub fn size(&self) -> usize {
        self.files.values().map(|(bytes, _)| bytes.len()).sum()
    }

    /// Beneath `top`, packed and compressed.
    pub fn pack(&self, top: &str) -> io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut folders = Vec::new();
        for (path, (bytes, mode)) in &self.files {
            let path = format!("{top}/{path}");
            let above: Vec<_> =
                Path::new(&path).ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
            for folder in above.into_iter().rev() {
                let name = format!("{}/", folder.display());
                if !folders.contains(&name) {
                    append(&mut archive, &name, &[], 0o755, EntryType::Directory)?;
                    folders.push(name);
                }
            }
            append(&mut archive, &path, bytes, *mode, EntryType::Regular)?;
        }
        gzip(&archive.into_inner()?)
    }
}

/// Compressed, without a name and a time of its own.
pub fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Seconds since 1970 that all files have: SOURCE_DATE_EPOCH, if it is set.
pub fn time() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the time at which something is packed is no protocol's business")]
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok()).unwrap_or_else(now)
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, bytes: &[u8], mode: u32, kind: EntryType) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    header.set_mtime(time());
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("root")?;
    archive.append_data(&mut header, path, bytes)
}
