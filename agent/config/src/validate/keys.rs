//! Judges the mesh keys and the denied keys. No message repeats a mesh key.

use crate::agent::MeshKeys;
use crate::document::{Crypto, SecretValue};
use crate::key::{MeshKeyText, PASSPHRASE_ADVISED_BYTES, PublicKey};

use super::report::Report;

pub(super) fn mesh_keys(crypto: Option<&Crypto>, report: &mut Report) -> Option<MeshKeys> {
    let Some(key) = crypto.and_then(|crypto| crypto.key.as_ref()) else {
        report.error(
            "crypto.key",
            "is required: a key from `wovenet-agent keygen` (wvk1_…), or a passphrase of at least 8 bytes",
        );
        return None;
    };
    let primary = mesh_key("crypto.key", key, report);
    let secondary = match crypto.and_then(|crypto| crypto.secondary_key.as_ref()) {
        None => Some(None),
        Some(key) => mesh_key("crypto.secondaryKey", key, report).map(Some),
    };
    let keys = MeshKeys { primary: primary?, secondary: secondary? };
    if keys.secondary.as_ref() == Some(&keys.primary) {
        report.warning("crypto.secondaryKey", "is the same as crypto.key and has no effect");
    }
    Some(keys)
}

fn mesh_key(path: &str, key: &SecretValue, report: &mut Report) -> Option<MeshKeyText> {
    let key = MeshKeyText::parse(key.expose()).map_err(|error| report.error(path, error.to_string())).ok()?;
    if let MeshKeyText::Passphrase(passphrase) = &key {
        let bytes = passphrase.expose().len();
        if bytes < PASSPHRASE_ADVISED_BYTES {
            let message = format!(
                "is a passphrase of {bytes} bytes, which can be guessed; use at least {PASSPHRASE_ADVISED_BYTES}, \
                 better a key from `wovenet-agent keygen`"
            );
            report.warning(path, message);
        }
    }
    Some(key)
}

/// Judges the denied keys; doubles count once.
pub(super) fn denied_keys(texts: &[String], report: &mut Report) -> Vec<PublicKey> {
    let mut keys = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match public_key(&format!("deniedKeys[{index}]"), Some(text), report) {
            Some(key) if !keys.contains(&key) => keys.push(key),
            _ => {}
        }
    }
    keys
}

/// Judges a required public key.
pub(super) fn public_key(path: &str, text: Option<&str>, report: &mut Report) -> Option<PublicKey> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        report.error(path, "is required: a site's public key, wvp1_…");
        return None;
    };
    // Somebody may have pasted the mesh key here.
    if text.trim().to_ascii_lowercase().starts_with(crate::key::MESH_KEY_PREFIX) {
        report.error(path, "is a mesh key, not a public key: write the wvp1_… that the site shows in its status");
        return None;
    }
    report.parsed(path, text, text.parse())
}
