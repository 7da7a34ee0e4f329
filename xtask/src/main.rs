//! `cargo xtask dist`: the programs, their manual pages and completions, packed as a tar archive and as a Debian package.

mod archive;
mod deb;
mod programs;
mod tree;

use anyhow::{Context, bail};
use programs::Build;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["dist"] => dist("release"),
        ["dist", "--profile", profile] => dist(profile),
        _ => bail!("{USAGE}"),
    }
}

fn dist(profile: &str) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a folder above")?;
    let build = Build::new(root, profile)?;
    let folder = build.target_folder.join("dist");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (name, version, target) = (&build.name, &build.version, &build.target);
    let packed = [
        (folder.join(format!("{name}-{version}-{target}.tar.gz")), archive::pack(&build)?),
        (folder.join(format!("{name}_{version}_{}.deb", deb::architecture(target)?)), deb::pack(&build)?),
    ];
    for (path, bytes) in packed {
        tell(&path, &bytes)?;
    }
    Ok(())
}

/// Writes a file and says what it is.
fn tell(path: &PathBuf, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}\n  {} bytes\n  sha256 {}", path.display(), bytes.len(), hex::encode(Sha256::digest(bytes)));
    Ok(())
}

const USAGE: &str = "there is one task, dist:

  cargo xtask dist                  builds the programs as for a release, and packs them
  cargo xtask dist --profile dev    the same with the programs of cargo build: quick, to try the packing

It makes target/dist/homing-VERSION-TARGET.tar.gz and target/dist/homing_VERSION_ARCHITECTURE.deb. SOURCE_DATE_EPOCH is the time of
all files in them; DEBFULLNAME and DEBEMAIL are the package's maintainer.";
