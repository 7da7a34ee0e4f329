//! The Debian package: an `ar` archive of the format's version, the control file, and the files (deb(5)).

use crate::programs::Build;
use crate::tree::{Tree, gzip, time};
use anyhow::bail;
use ar::{Builder, Header};
use std::env;

/// What Debian calls the machines of a target.
pub fn architecture(target: &str) -> anyhow::Result<&'static str> {
    Ok(match target.split('-').next() {
        Some("x86_64") => "amd64",
        Some("aarch64") => "arm64",
        Some("armv7") => "armhf",
        Some("i686") => "i386",
        Some("riscv64gc" | "riscv64a23") => "riscv64",
        Some("powerpc64le") => "ppc64el",
        Some("s390x") => "s390x",
        _ => bail!("Debian has no name for {target}"),
    })
}

/// The package's bytes.
pub fn pack(build: &Build) -> anyhow::Result<Vec<u8>> {
    let files = files(build)?;
    let mut control = Tree::default();
    control.add("control", control_file(build, &files)?.as_bytes());
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", control.pack(".")?),
        ("data.tar.gz", files.pack(".")?),
    ];
    let mut package = Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = Header::new(name.into(), bytes.len() as u64);
        header.set_mode(0o100_644);
        header.set_mtime(time());
        package.append(&header, bytes.as_slice())?;
    }
    Ok(package.into_inner()?)
}

/// Where Debian's policy wants them.
fn files(build: &Build) -> anyhow::Result<Tree> {
    let mut tree = Tree::default();
    for program in &build.programs {
        let name = &program.name;
        tree.add_program(format!("usr/bin/{name}"), &program.executable);
        tree.add(format!("usr/share/man/man1/{name}.1.gz"), &gzip(&program.manual)?);
        tree.add(format!("usr/share/bash-completion/completions/{name}"), &program.bash);
        tree.add(format!("usr/share/zsh/vendor-completions/_{name}"), &program.zsh);
        tree.add(format!("usr/share/fish/vendor_completions.d/{name}.fish"), &program.fish);
    }
    let documents = format!("usr/share/doc/{}", build.name);
    let licenses = [build.text("LICENSE-MIT")?, build.text("LICENSE-APACHE")?];
    tree.add(format!("{documents}/copyright"), &licenses.join(&b"\n\nor, at your choice:\n\n"[..]));
    tree.add(format!("{documents}/changelog.gz"), &gzip(&build.text("CHANGELOG.md")?)?);
    tree.add(format!("{documents}/README.md.gz"), &gzip(&build.text("README.md")?)?);
    Ok(tree)
}

fn control_file(build: &Build, files: &Tree) -> anyhow::Result<String> {
    let maintainer = env::var("DEBFULLNAME").unwrap_or("the homing authors".into());
    let address = env::var("DEBEMAIL").unwrap_or("nobody@localhost".into());
    let names: Vec<&str> = build.programs.iter().map(|program| program.name.as_str()).collect();
    let Build { name, version, description, target, .. } = build;
    let (architecture, kibibytes) = (architecture(target)?, files.size().div_ceil(1024));
    Ok(format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: {maintainer} <{address}>\n\
         Installed-Size: {kibibytes}\nDepends: {}\nSection: net\nPriority: optional\n\
         Description: copies files over UDP\n {description}\n .\n The programs: {}.\n",
        depends(build),
        names.join(", ")
    ))
}

/// The C library, as new as the newest of its functions that a program calls, and what unwinds its stack.
fn depends(build: &Build) -> String {
    let versions = build.programs.iter().flat_map(|program| glibc_versions(&program.executable));
    match versions.max() {
        Some((major, minor)) => format!("libc6 (>= {major}.{minor}), libgcc-s1"),
        None => "libc6, libgcc-s1".into(),
    }
}

/// All `GLIBC_2.34` in a program's table of symbols.
fn glibc_versions(executable: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    const MARK: &[u8] = b"GLIBC_";
    let marks = executable.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    marks.filter_map(|(at, _)| {
        let rest = executable.get(at + MARK.len()..)?;
        let text = std::str::from_utf8(rest.split(|byte| *byte == 0).next()?).ok()?;
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
    })
}
