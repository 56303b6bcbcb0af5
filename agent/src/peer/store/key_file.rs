//! The site key as a PKCS #8 PEM file, readable by its owner only.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::{StoreError, state_file};
use crate::peer::site_key::SiteKey;

/// The longest key file, in bytes; one is some 120 bytes long.
const KEY_FILE_MAX_BYTES: u64 = 4_096;
/// Permission bits that let others read the key.
const OTHERS: u32 = 0o077;

/// Reads a site key that is kept outside the state directory.
///
/// # Errors
/// [`StoreError`] when it is missing, unreadable or damaged.
pub fn read_site_key(path: &Path) -> Result<SiteKey, StoreError> {
    read(path)?.ok_or_else(|| failed(path, std::io::ErrorKind::NotFound.into()))
}

pub(super) fn read_or_create(path: &Path) -> Result<SiteKey, StoreError> {
    if let Some(key) = read(path)? {
        return Ok(key);
    }
    let key = SiteKey::generate()?;
    state_file::write(path, key.to_pem().as_bytes()).map_err(|source| failed(path, source))?;
    tracing::info!(path = %path.display(), site = %key.site_id(), "made a new site key");
    Ok(key)
}

pub(super) fn read(path: &Path) -> Result<Option<SiteKey>, StoreError> {
    let bytes = state_file::read(path, KEY_FILE_MAX_BYTES).map_err(|source| failed(path, source))?;
    let Some(pem) = bytes.map(Zeroizing::new) else { return Ok(None) };
    if path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & OTHERS != 0) {
        tracing::warn!(path = %path.display(), "the site key can be read by others, expected mode 0600");
    }
    let malformed = |source| StoreError::MalformedKey { path: path.to_owned(), source };
    SiteKey::from_pem(&pem).map(Some).map_err(malformed)
}

fn failed(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::KeyFile { path: path.to_owned(), source }
}
