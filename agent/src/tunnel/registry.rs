//! The live channels of an agent, by peer site.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use wovenet_config::key::SiteId;
use wovenet_config::name::{AppName, SiteName};

use crate::tunnel::channel::{Channel, ChannelId, CloseCode, Health};
use crate::tunnel::open::ProviderState;
use crate::tunnel::settle::{Candidate, Fate, settle};

/// The most channels to one peer site (docs/protocol.md §6).
pub const CHANNELS_PER_PEER_MAX: usize = 512;

/// A site whose last channel was drained counts as there for so long: an agent that is replaced says go-away, and another
/// channel is made within moments. New streams wait for it meanwhile.
pub(super) const RETURN_GRACE: Duration = Duration::from_secs(2);

/// Every live channel. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Registry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    own: SiteId,
    next_id: AtomicU64,
    rotation: AtomicU64,
    sites: Mutex<Sites>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Sites {
    channels: BTreeMap<SiteId, Vec<Arc<Channel>>>,
    names: BTreeMap<SiteName, SiteId>,
    /// When the last channel of a site was drained.
    left: BTreeMap<SiteName, Instant>,
}

/// Why a channel was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RegistryError {
    #[error("too many channels of this agent")]
    TooManyOfAgent,
    #[error("too many channels of this site")]
    TooManyOfSite,
    #[error("replaced by a newer start of the agent")]
    Outdated,
}

impl Registry {
    pub(super) fn new(own: SiteId) -> Self {
        let inner = Inner {
            own,
            next_id: AtomicU64::new(1),
            rotation: AtomicU64::new(0),
            sites: Mutex::default(),
            version: watch::Sender::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(super) fn next_id(&self) -> ChannelId {
        self.inner.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Resolves changes of any channel: up, gone, draining, health, catalogue.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.inner.version.subscribe()
    }

    pub(super) fn changed(&self) {
        self.inner.version.send_modify(|version| *version += 1);
    }

    /// Takes a channel that has just been accepted by both sides, and settles which others stay.
    pub(super) fn insert(&self, channel: &Arc<Channel>, per_agent_max: usize) -> Result<(), RegistryError> {
        let mut sites = self.inner.sites.lock();
        let site = channel.peer().site;
        let channels = sites.channels.entry(site).or_default();
        channels.retain(|old| !old.is_closed());
        let existing: Vec<Candidate> = channels.iter().map(|old| candidate(old)).collect();
        let fates = settle(&existing, &candidate(channel), self.inner.own < site);
        if fates.contains(&(channel.id(), Fate::Close)) {
            return Err(RegistryError::Outdated);
        }
        let closing = |id: ChannelId| fates.contains(&(id, Fate::Close));
        let staying = || existing.iter().filter(|old| !closing(old.id));
        if staying().filter(|old| old.agent == channel.peer().agent).count() >= per_agent_max {
            return Err(RegistryError::TooManyOfAgent);
        }
        if staying().count() >= CHANNELS_PER_PEER_MAX {
            return Err(RegistryError::TooManyOfSite);
        }
        channels.push(channel.clone());
        for (id, fate) in fates {
            let Some(index) = channels.iter().position(|old| old.id() == id) else { continue };
            tracing::debug!(site = %channel.peer().name, channel = id, by = channel.id(), ?fate, "a channel gives way");
            match fate {
                Fate::Close => channels.swap_remove(index).close(CloseCode::Replaced),
                Fate::Drain => channels[index].drain(),
            }
        }
        sites.names.insert(channel.peer().name.clone(), site);
        drop(sites);
        self.changed();
        Ok(())
    }

    /// Forgets a channel that is gone.
    pub(super) fn remove(&self, channel: &Channel) {
        let mut sites = self.inner.sites.lock();
        let site = channel.peer().site;
        if let Some(channels) = sites.channels.get_mut(&site) {
            channels.retain(|other| other.id() != channel.id());
            if channels.is_empty() {
                sites.channels.remove(&site);
                sites.names.retain(|_, id| *id != site);
                sites.left.retain(|_, since| since.elapsed() < RETURN_GRACE);
                if channel.is_draining() {
                    sites.left.insert(channel.peer().name.clone(), Instant::now());
                }
            }
        }
        drop(sites);
        self.changed();
    }

    /// Returns the live channels to `site`, draining ones included.
    pub(super) fn channels(&self, site: &SiteId) -> Vec<Arc<Channel>> {
        self.inner.sites.lock().channels.get(site).cloned().unwrap_or_default()
    }

    /// Returns all live channels.
    pub(super) fn all(&self) -> Vec<Arc<Channel>> {
        self.inner.sites.lock().channels.values().flatten().cloned().collect()
    }

    /// Chooses the channel for a new stream: the healthiest, then the least loaded by streams, round trip and loss, in turn
    /// among equals.
    pub(super) fn choose(&self, site: &SiteName) -> Option<Arc<Channel>> {
        let sites = self.inner.sites.lock();
        let channels = sites.channels.get(sites.names.get(site)?)?;
        let turn = self.inner.rotation.fetch_add(1, Ordering::Relaxed);
        channels
            .iter()
            .enumerate()
            .filter(|(_, channel)| usable(channel))
            .min_by_key(|(index, channel)| {
                let place = (*index as u64).wrapping_add(turn) % channels.len() as u64;
                (channel.health(), channel.load(), place)
            })
            .map(|(_, channel)| channel.clone())
    }

    /// Chooses the channel for a stream that got no answer on `channel`: a good one to the same agent.
    pub(super) fn choose_beside(&self, channel: &Channel) -> Option<Arc<Channel>> {
        let sites = self.inner.sites.lock();
        let channels = sites.channels.get(&channel.peer().site)?;
        let fits = |other: &&Arc<Channel>| {
            let same_agent = other.peer().agent == channel.peer().agent && other.generation() == channel.generation();
            same_agent && other.id() != channel.id() && usable(other) && other.health() == Health::Good
        };
        channels.iter().filter(fits).min_by_key(|other| other.load()).cloned()
    }

    /// Finds the channel to the same agent as `beside` that both ends call `name`.
    pub(super) fn find_beside(&self, beside: &Channel, name: &[u8]) -> Option<Arc<Channel>> {
        let channels = self.channels(&beside.peer().site);
        channels.into_iter().find(|other| {
            other.peer().agent == beside.peer().agent && other.name().is_some_and(|other| other.as_slice() == name)
        })
    }

    /// Tells what is known of `app` at `site`.
    pub(super) fn state(&self, site: &SiteName, app: &AppName) -> ProviderState {
        let sites = self.inner.sites.lock();
        let channels = sites.names.get(site).and_then(|id| sites.channels.get(id));
        let leaving = channels.into_iter().flatten().any(|channel| channel.is_draining());
        let usable: Vec<_> = channels.into_iter().flatten().filter(|channel| usable(channel)).collect();
        let told = usable.iter().filter_map(|channel| channel.entry(app)).map(|entry| match entry {
            Some(entry) if entry.healthy => ProviderState::Available,
            Some(_) => ProviderState::Unhealthy,
            None => ProviderState::NotExposed,
        });
        // While no channel has told what it offers, the far side answers for itself.
        let returns = leaving || sites.left.get(site).is_some_and(|since| since.elapsed() < RETURN_GRACE);
        let untold = if usable.is_empty() && !returns { ProviderState::NoPath } else { ProviderState::Available };
        told.min().unwrap_or(untold)
    }
}

fn usable(channel: &Channel) -> bool {
    !channel.is_draining() && !channel.is_closed() && channel.health() < Health::Suspect
}

fn candidate(channel: &Channel) -> Candidate {
    Candidate {
        id: channel.id(),
        agent: channel.peer().agent.clone(),
        generation: channel.generation(),
        slot: channel.slot(),
        direction: channel.direction(),
    }
}
