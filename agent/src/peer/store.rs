//! The state directory of an agent: the site key, the generation, and the peers that it knew. One process owns it.

mod key_file;
mod known_peers;
mod state_file;

#[cfg(test)]
mod tests;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use wovenet_config::document::DOCUMENT_MAX_BYTES;
use wovenet_identity::saved_peers::SAVED_PEERS_MAX_BYTES;

use crate::peer::SavedPeers;
use crate::peer::directory::{Directory, Now};
use crate::peer::generation::next_generation;
use crate::peer::site_key::{SiteKey, SiteKeyError};

pub use key_file::read_site_key;
pub use known_peers::render_peers;

const SITE_KEY_FILE: &str = "site.key";
const LOCK_FILE: &str = "lock";
const GENERATION_FILE: &str = "generation";
const PEERS_FILE: &str = "peers.json";
const API_CHANGES_FILE: &str = "api-changes.json";
const GENERATION_FILE_MAX_BYTES: u64 = 32;
const CANNOT_READ_GIVEN: &str = "cannot read the file of known peers, going on without it";
/// The longest file of API changes, in bytes: JSON, as it is saved, may need several bytes for one of YAML, as it came.
pub const API_CHANGES_MAX_BYTES: usize = 8 * DOCUMENT_MAX_BYTES;

/// Where the state of an agent lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In this directory, which is made when missing.
    Directory(PathBuf),
    /// In memory: a restarted agent is a new site, unless its key is given.
    Ephemeral,
}

/// Why the state directory cannot be used. All are fatal.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be made or entered.
    #[error("cannot use the state directory {path} (give a writable one, or --ephemeral): {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another agent uses it.
    #[error("the state directory {path} is in use by another agent")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The site key cannot be read or written.
    #[error("cannot read or write the site key {path}: {source}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The site key is damaged; a new one would be another site.
    #[error("the site key {path} {source}; restore it, or remove it to become a new site")]
    MalformedKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SiteKeyError,
    },
    /// No key could be made.
    #[error("cannot make a site key: {0}")]
    NewKey(#[from] SiteKeyError),
}

/// The state of this agent, locked against others.
#[derive(Debug)]
pub struct Store {
    place: Option<Place>,
    site_key: SiteKey,
    degraded: AtomicBool,
}

#[derive(Debug)]
struct Place {
    directory: PathBuf,
    _lock: File,
}

impl Store {
    /// Opens the state, with a new site key at the first time.
    ///
    /// # Errors
    /// [`StoreError`] names the file or directory and what to do.
    pub fn open(location: &Location) -> Result<Self, StoreError> {
        let place = Place::open(location)?;
        let site_key = match &place {
            Some(place) => key_file::read_or_create(&place.directory.join(SITE_KEY_FILE))?,
            None => SiteKey::generate()?,
        };
        Ok(Self { place, site_key, degraded: AtomicBool::new(false) })
    }

    /// Opens the state of a site whose key is kept elsewhere, as in a Secret.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with_key(location: &Location, site_key: SiteKey) -> Result<Self, StoreError> {
        Ok(Self { place: Place::open(location)?, site_key, degraded: AtomicBool::new(false) })
    }

    /// Returns the site key of a state directory that another process may have open; `None` when there is none yet.
    ///
    /// # Errors
    /// [`StoreError`] when it is unreadable or damaged.
    pub fn existing_site_key(location: &Location) -> Result<Option<SiteKey>, StoreError> {
        match location {
            Location::Directory(path) => key_file::read(&path.join(SITE_KEY_FILE)),
            Location::Ephemeral => Ok(None),
        }
    }

    /// Returns the site key.
    pub fn site_key(&self) -> &SiteKey {
        &self.site_key
    }

    /// Returns the generation of this start and remembers it.
    pub fn next_generation(&self, now_unix_ms: u64) -> u64 {
        let text = self.read(GENERATION_FILE, GENERATION_FILE_MAX_BYTES);
        let last = text.and_then(|text| self.parse(GENERATION_FILE, parse_generation(&text)));
        let next = next_generation(last, now_unix_ms);
        self.write(GENERATION_FILE, next.to_string().as_bytes());
        next
    }

    /// Puts what was known of peers into the directory.
    pub fn load_peers(&self, directory: &mut Directory, now: Now) {
        let bytes = self.read(PEERS_FILE, SAVED_PEERS_MAX_BYTES as u64);
        if let Some(saved) = bytes.and_then(|bytes| self.parse(PEERS_FILE, SavedPeers::parse(&bytes))) {
            known_peers::load(&saved, directory, now);
        }
    }

    /// Saves what is known of peers. The caller decides how often.
    pub fn save_peers(&self, rendered: &[u8]) {
        self.write(PEERS_FILE, rendered);
    }

    /// Returns the changes that were made over the API, as they were saved.
    pub fn load_api_changes(&self) -> Option<Vec<u8>> {
        self.read(API_CHANGES_FILE, API_CHANGES_MAX_BYTES as u64)
    }

    /// Saves the changes that were made over the API. Returns whether they will outlive the process.
    pub fn save_api_changes(&self, json: &[u8]) -> bool {
        json.len() <= API_CHANGES_MAX_BYTES && self.write(API_CHANGES_FILE, json)
    }

    /// Returns the file of API changes, for messages.
    pub fn api_changes_path(&self) -> Option<PathBuf> {
        self.place.as_ref().map(|place| place.directory.join(API_CHANGES_FILE))
    }

    /// Tells whether the last write failed, so that a restart would lose something.
    pub fn is_degraded(&self) -> bool {
        self.degraded.load(Ordering::Relaxed)
    }

    fn read(&self, name: &str, max_bytes: u64) -> Option<Vec<u8>> {
        let path = self.place.as_ref()?.directory.join(name);
        match state_file::read(&path, max_bytes) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read a state file, going on without it");
                state_file::move_aside(&path);
                None
            }
        }
    }

    /// Moves a file aside that was read but makes no sense.
    fn parse<T>(&self, name: &str, parsed: Option<T>) -> Option<T> {
        if let (None, Some(place)) = (&parsed, &self.place) {
            let path = place.directory.join(name);
            tracing::warn!(path = %path.display(), "a state file is damaged, going on without it");
            state_file::move_aside(&path);
        }
        parsed
    }

    fn write(&self, name: &str, bytes: &[u8]) -> bool {
        let Some(place) = &self.place else { return false };
        let path = place.directory.join(name);
        let result = state_file::write(&path, bytes);
        let was_degraded = self.degraded.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !was_degraded => {
                tracing::warn!(path = %path.display(), %error, "cannot write the state, going on without persistence");
            }
            Ok(()) if was_degraded => tracing::info!(path = %path.display(), "the state is written again"),
            _ => {}
        }
        result.is_ok()
    }
}

/// Puts what others knew of peers into the directory: a file that is kept outside the state directory, as in a Secret. One
/// that is not there yet is nothing, and a bad one is only told.
pub fn load_given_peers(path: &Path, directory: &mut Directory, now: Now) {
    let bytes = match state_file::read(path, SAVED_PEERS_MAX_BYTES as u64) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return tracing::debug!(path = %path.display(), "there is no file of known peers yet"),
        Err(error) => return tracing::warn!(path = %path.display(), %error, CANNOT_READ_GIVEN),
    };
    match SavedPeers::parse(&bytes) {
        Some(saved) => known_peers::load(&saved, directory, now),
        None => tracing::warn!(path = %path.display(), error = "is not in the form of known peers", CANNOT_READ_GIVEN),
    }
}

impl Place {
    fn open(location: &Location) -> Result<Option<Self>, StoreError> {
        let Location::Directory(path) = location else { return Ok(None) };
        let failed = |source| StoreError::Directory { path: path.clone(), source };
        create_directory(path).map_err(failed)?;
        let lock =
            File::options().create(true).truncate(false).write(true).open(path.join(LOCK_FILE)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { directory: path.clone(), _lock: lock })),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.clone() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

fn create_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn parse_generation(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}
