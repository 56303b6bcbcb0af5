//! Writes the definitions of the kinds as YAML, one file a kind, into each directory that is named.

use std::path::PathBuf;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let directories: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    anyhow::ensure!(!directories.is_empty(), "usage: wovenet-crds DIRECTORY..");
    let files = wovenet_crds::definition::files()?;
    for directory in &directories {
        for file in &files {
            let path = directory.join(&file.name);
            std::fs::write(&path, &file.content).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}
