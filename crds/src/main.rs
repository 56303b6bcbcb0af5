//! Writes the definitions of the kinds as YAML, one file a kind, into the directory that is named.

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let directory = std::env::args_os().nth(1).context("usage: wovenet-crds DIRECTORY")?;
    for file in wovenet_crds::definition::files()? {
        let path = std::path::Path::new(&directory).join(&file.name);
        std::fs::write(&path, file.content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
