//! `wovenet-agent keygen` and `identity`: mesh keys, and who this site is.

use std::io::Read;
use std::path::Path;

use wovenet_config::key::{MeshKeyText, PASSPHRASE_MIN_BYTES};

use crate::app::{Identity, state_location};
use crate::cli::load_file;
use crate::peer::mesh_key;

/// Prints a new mesh key.
///
/// # Errors
/// When the system gives no random bytes, or the output cannot be written.
pub fn generate(out: &mut impl std::io::Write) -> anyhow::Result<()> {
    writeln!(out, "{}", mesh_key::generate()?.as_str())?;
    Ok(())
}

/// Reads a passphrase and prints the mesh key that it stretches to on `topic`, so that sites with either join.
///
/// # Errors
/// When the passphrase is too short, is a key already, or the output cannot be written.
pub fn from_passphrase(mut input: impl Read, topic: Option<&str>, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let mut words = zeroize::Zeroizing::new(String::new());
    input.read_to_string(&mut words)?;
    let words = words.trim_end_matches(['\r', '\n']);
    match MeshKeyText::parse(words) {
        Ok(MeshKeyText::Generated(_)) => anyhow::bail!("this is a generated key already, not a passphrase"),
        Ok(MeshKeyText::Passphrase(_)) => {}
        Err(error) => {
            anyhow::bail!("the passphrase {error} (at least {PASSPHRASE_MIN_BYTES} bytes, on standard input)")
        }
    }
    writeln!(out, "{}", mesh_key::from_passphrase(words, topic)?.as_str())?;
    Ok(())
}

/// Prints who the site of a configuration is, also while its agent runs; its key is made when there is none yet.
///
/// # Errors
/// When the configuration or the state directory cannot be used.
pub fn identity(file: &Path, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let config = load_file(file)?.config;
    let key = Identity::site_key(&config, &state_location(&config, false))?;
    writeln!(out, "siteName:  {}\nsiteId:    {}\npublicKey: {}", config.site_name, key.site_id(), key.public())?;
    Ok(())
}
