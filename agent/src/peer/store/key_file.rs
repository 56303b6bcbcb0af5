//! The site key as a PKCS #8 PEM file, readable by its owner only.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::{StoreError, state_file};
use crate::peer::site_key::SiteKey;

/// The longest key file, in bytes; one is some 120 bytes long.
const KEY_FILE_MAX_BYTES: u64 = 4_096;
/// Permission bits that nobody but the owner may have on a key that the agent made.
const FORBIDDEN: u32 = 0o077;
/// The same on a key that was given: a mounted Secret belongs to root, and only a group makes it readable to the agent.
const FORBIDDEN_WHEN_GIVEN: u32 = 0o037;

/// Reads a site key that is kept outside the state directory.
///
/// # Errors
/// [`StoreError`] when it is missing, unreadable or damaged.
pub fn read_site_key(path: &Path) -> Result<SiteKey, StoreError> {
    read_guarded(path, FORBIDDEN_WHEN_GIVEN)?.ok_or_else(|| failed(path, std::io::ErrorKind::NotFound.into()))
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

/// Reads a key that the agent made, if it is there.
pub(super) fn read(path: &Path) -> Result<Option<SiteKey>, StoreError> {
    read_guarded(path, FORBIDDEN)
}

fn read_guarded(path: &Path, forbidden: u32) -> Result<Option<SiteKey>, StoreError> {
    let bytes = state_file::read(path, KEY_FILE_MAX_BYTES).map_err(|source| failed(path, source))?;
    let Some(pem) = bytes.map(Zeroizing::new) else { return Ok(None) };
    if path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & forbidden != 0) {
        let expected = format!("{:04o}", 0o660 & !forbidden);
        tracing::warn!(path = %path.display(), expected, "the site key can be read by others");
    }
    let malformed = |source| StoreError::MalformedKey { path: path.to_owned(), source };
    SiteKey::from_pem(&pem).map(Some).map_err(malformed)
}

fn failed(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::KeyFile { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_secret_that_its_group_reads_is_expected_and_anything_wider_is_not() {
        assert_eq!([0o400, 0o440, 0o600, 0o640].map(|mode| mode & FORBIDDEN_WHEN_GIVEN), [0; 4]);
        assert!([0o444, 0o660, 0o604].iter().all(|mode| mode & FORBIDDEN_WHEN_GIVEN != 0));
        assert_ne!(0o440 & FORBIDDEN, 0);
    }
}
