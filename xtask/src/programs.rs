//! The built programs, and the papers that they print of themselves.

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What is packed.
pub struct Build {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// Which machines it is for, as the compiler calls them.
    pub target: String,
    /// Where everything is built.
    pub target_folder: PathBuf,
    /// All programs, in the order of their names.
    pub programs: Vec<Program>,
    /// The sources' folder.
    pub root: PathBuf,
}

/// A program, and what it says of itself.
pub struct Program {
    /// What it is called.
    pub name: String,
    /// The file.
    pub executable: Vec<u8>,
    /// Its manual page.
    pub manual: Vec<u8>,
    /// Its completions.
    pub bash: Vec<u8>,
    /// Its completions.
    pub zsh: Vec<u8>,
    /// Its completions.
    pub fish: Vec<u8>,
}

impl Build {
    /// Builds all programs; each then prints its papers, so that they fit what it understands.
    pub fn new(root: &Path, profile: &str) -> anyhow::Result<Self> {
        let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--locked", "--package", "homing", "--bins", "--profile", profile])
            .current_dir(root)
            .status()?;
        if !built.success() {
            bail!("the programs cannot be built");
        }
        let target_folder = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |path| root.join(path));
        let folder = target_folder.join(if profile == "dev" { "debug" } else { profile });
        let mut names = Vec::new();
        for entry in fs::read_dir(root.join("src/bin"))? {
            names.extend(entry?.path().file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
        names.sort();
        let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
        Ok(Self {
            name: field(&manifest, "name")?,
            version: field(&manifest, "version")?,
            description: field(&manifest, "description")?,
            target: host()?,
            target_folder,
            programs: names.into_iter().map(|name| Program::new(&folder, name)).collect::<Result<_, _>>()?,
            root: root.to_owned(),
        })
    }

    /// A text of the sources.
    pub fn text(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        fs::read(self.root.join(path)).with_context(|| format!("cannot read {path}"))
    }
}

impl Program {
    fn new(folder: &Path, name: String) -> anyhow::Result<Self> {
        let path = folder.join(&name);
        let executable = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let paper = |kind: &str| -> anyhow::Result<Vec<u8>> {
            let output = Command::new(&path).args(["--generate", kind]).output()?;
            if !output.status.success() || output.stdout.is_empty() {
                bail!("{name} --generate {kind}: {}", String::from_utf8_lossy(&output.stderr));
            }
            Ok(output.stdout)
        };
        let (manual, bash, zsh, fish) = (paper("man")?, paper("bash")?, paper("zsh")?, paper("fish")?);
        Ok(Self { name, executable, manual, bash, zsh, fish })
    }
}

/// A field of the package's table, which is the first.
fn field(manifest: &str, name: &str) -> anyhow::Result<String> {
    let line = manifest.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
    line.map(|value| value.trim().trim_matches('"').to_owned()).with_context(|| format!("Cargo.toml has no {name}"))
}

fn host() -> anyhow::Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(rustc).arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(Into::into).context("rustc does not say its host")
}
