//! The directory as shared by discovery, tunnels and status, with a version that tells when to look again.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::watch;
use wovenet_config::key::SiteId;

use crate::peer::directory::{Directory, Learning, Now, Refusal, Source};
use crate::peer::site_key::AgentId;
use crate::peer::statement::SignedStatement;

/// A handle on the one directory of an agent.
#[derive(Clone, Debug)]
pub struct Peers {
    directory: Arc<Mutex<Directory>>,
    version: Arc<watch::Sender<u64>>,
}

impl Now {
    /// Reads both clocks.
    pub fn current() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX), instant: Instant::now() }
    }
}

impl Peers {
    /// Shares a directory.
    pub fn new(directory: Directory) -> Self {
        Self { directory: Arc::new(Mutex::new(directory)), version: Arc::new(watch::Sender::new(0)) }
    }

    /// Learns from a statement whose signature was verified; waiters wake unless nothing new was in it.
    ///
    /// # Errors
    /// As [`Directory::learn`].
    pub fn learn(&self, signed: &SignedStatement, source: Source) -> Result<Learning, Refusal> {
        let result = self.directory.lock().learn(signed, source, Now::current());
        if matches!(result, Ok(Learning::New | Learning::Changed) | Err(Refusal::NameConflict { .. })) {
            self.changed();
        }
        result
    }

    /// Notes a broker's hint that an agent left or came back.
    pub fn hint_offline(&self, site: SiteId, agent: &AgentId, generation: u64, offline: bool) {
        let changed = self.directory.lock().hint_offline(site, agent, generation, offline);
        if changed {
            self.changed();
        }
    }

    /// Looks into the directory; `look` must not block.
    pub fn read<T>(&self, look: impl FnOnce(&Directory) -> T) -> T {
        look(&self.directory.lock())
    }

    /// Changes the directory and wakes waiters; `change` must not block.
    pub fn update<T>(&self, change: impl FnOnce(&mut Directory) -> T) -> T {
        let result = change(&mut self.directory.lock());
        self.changed();
        result
    }

    /// Returns a version that moves with each change.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn changed(&self) {
        self.version.send_modify(|version| *version += 1);
    }
}
