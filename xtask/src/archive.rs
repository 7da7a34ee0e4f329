//! The archive for any system: `tar xzf FILE --strip-components 1 -C /usr/local` puts everything where it belongs.

use crate::programs::Build;
use crate::tree::Tree;

/// The archive's bytes.
pub fn pack(build: &Build) -> anyhow::Result<Vec<u8>> {
    let mut tree = Tree::default();
    for program in &build.programs {
        let name = &program.name;
        tree.add_program(format!("bin/{name}"), &program.executable);
        tree.add(format!("share/man/man1/{name}.1"), &program.manual);
        tree.add(format!("share/bash-completion/completions/{name}"), &program.bash);
        tree.add(format!("share/zsh/site-functions/_{name}"), &program.zsh);
        tree.add(format!("share/fish/vendor_completions.d/{name}.fish"), &program.fish);
    }
    for text in ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"] {
        tree.add(format!("share/doc/{}/{text}", build.name), &build.text(text)?);
    }
    Ok(tree.pack(&format!("{}-{}-{}", build.name, build.version, build.target))?)
}
