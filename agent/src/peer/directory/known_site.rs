//! One known site, its agents, and which of the known sites may be dropped for want of room.

use std::collections::BTreeMap;
use std::time::Instant;

use wovenet_config::key::{PublicKey, SiteId};
use wovenet_config::name::SiteName;
use wovenet_config::peer::HostPort;

use super::twins::Twins;
use super::{AGENT_SILENT_MAX, AGENTS_MAX, AGENTS_PER_SITE_MAX, Directory, Learning, Refusal, SITES_MAX};
use crate::peer::site_key::AgentId;
use crate::peer::statement::{EndpointAddress, PROTOCOL_VERSION, SignedStatement, Statement};
use crate::peer::usable::usable;

/// A site that was configured, heard of, or met.
#[derive(Clone, Debug)]
pub struct KnownSite {
    /// Its id.
    pub id: SiteId,
    /// Its public key.
    pub key: PublicKey,
    /// Its name: the bound one, else the one it last stated.
    pub name: SiteName,
    /// Its agents that stated something.
    pub agents: BTreeMap<AgentId, KnownAgent>,
    /// Where it can be dialled by configuration.
    pub static_addresses: Vec<HostPort>,
    /// Whether the name is bound to the key.
    pub pinned: bool,
    /// The site that has the name when this one only claims it.
    pub conflict: Option<SiteId>,
    /// When it last stated something new; `None` for a site known only by configuration.
    pub last_seen: Option<Instant>,
    /// Whether it has a channel with us.
    pub connected: bool,
    pub(super) twins: Twins,
    pub(super) claim: u64,
}

/// What an agent last stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownAgent {
    /// Its node or host, for people.
    pub host: String,
    /// Its start.
    pub generation: u64,
    /// Its statement within that start.
    pub sequence: u64,
    /// Where it can be dialled; endpoints that nobody can reach are left out.
    pub endpoints: Vec<EndpointAddress>,
    /// The protocol versions it speaks.
    pub versions: Vec<u16>,
    /// When this was learned.
    pub learned_at: Instant,
    /// A broker says that it left; a hint that may be wrong.
    pub offline_hint: bool,
    /// The statement as it was signed.
    pub(in crate::peer) signed: Box<[u8]>,
}

impl KnownAgent {
    fn new(signed: &SignedStatement, now: Instant) -> Self {
        let Statement { host, generation, sequence, endpoints, versions, .. } = signed.statement();
        Self {
            host: host.clone(),
            generation: *generation,
            sequence: *sequence,
            endpoints: usable(endpoints),
            versions: versions.clone(),
            learned_at: now,
            offline_hint: false,
            signed: signed.to_bytes().into_boxed_slice(),
        }
    }

    /// Tells whether a tunnel can be made with it: a version of the protocol is common.
    pub fn has_common_version(&self) -> bool {
        self.versions.contains(&PROTOCOL_VERSION)
    }

    /// Returns the mark that a fresher statement must exceed.
    pub fn mark(&self) -> (u64, u64) {
        (self.generation, self.sequence)
    }
}

impl KnownSite {
    pub(super) fn new(id: SiteId, key: PublicKey, name: SiteName, claim: u64) -> Self {
        Self {
            id,
            key,
            name,
            agents: BTreeMap::new(),
            static_addresses: Vec::new(),
            pinned: false,
            conflict: None,
            last_seen: None,
            connected: false,
            twins: Twins::default(),
            claim,
        }
    }

    /// Tells whether some agent speaks a version of the protocol that this one speaks; so far as they have told.
    pub fn has_common_version(&self) -> bool {
        self.agents.is_empty() || self.agents.values().any(KnownAgent::has_common_version)
    }

    /// Returns when two living processes were last seen that speak as one agent of this site (`DuplicateIdentity`).
    pub fn duplicate_seen(&self) -> Option<Instant> {
        self.twins.last_seen()
    }

    pub(super) fn take(&mut self, signed: &SignedStatement, now: Instant) -> Learning {
        let fresh = KnownAgent::new(signed, now);
        self.last_seen = Some(now);
        self.agents.retain(|_, agent| now.saturating_duration_since(agent.learned_at) <= AGENT_SILENT_MAX);
        let agent = &signed.statement().agent;
        let learning = match self.agents.get(agent) {
            None => Learning::New,
            Some(old) if old.generation == fresh.generation && old.says_the_same(&fresh) => Learning::Refreshed,
            Some(_) => Learning::Changed,
        };
        self.agents.insert(agent.clone(), fresh);
        self.twins.keep(|agent| self.agents.contains_key(agent));
        learning
    }

    pub(super) fn rename(&mut self, name: SiteName, claim: u64) {
        self.name = name;
        self.claim = claim;
    }

    fn stays(&self) -> bool {
        self.connected || self.pinned
    }

    fn drop_oldest_agent(&mut self) {
        let oldest =
            self.agents.iter().min_by_key(|(_, agent)| (agent.learned_at, agent.mark())).map(|(id, _)| id.clone());
        oldest.and_then(|id| self.agents.remove(&id));
    }
}

impl KnownAgent {
    fn says_the_same(&self, other: &Self) -> bool {
        (&self.endpoints, &self.versions, &self.host) == (&other.endpoints, &other.versions, &other.host)
            && !self.offline_hint
    }
}

impl Directory {
    /// Makes room for one more site by dropping the least recently useful one that may be dropped.
    pub(super) fn make_room(&mut self, id: SiteId) -> Result<(), Refusal> {
        if self.sites.contains_key(&id) || self.sites.len() < SITES_MAX {
            return Ok(());
        }
        self.drop_least_useful(id).ok_or(Refusal::Full)
    }

    /// Keeps the agents of `site`, and of all sites, within their bounds after one was added.
    pub(super) fn bound_agents(&mut self, id: SiteId) {
        if let Some(site) = self.sites.get_mut(&id) {
            while site.agents.len() > AGENTS_PER_SITE_MAX {
                site.drop_oldest_agent();
            }
        }
        while self.sites.values().map(|site| site.agents.len()).sum::<usize>() > AGENTS_MAX {
            if self.drop_least_useful(id).is_some() {
                continue;
            }
            let largest = self.sites.values_mut().max_by_key(|site| site.agents.len());
            let Some(largest) = largest else { return };
            largest.drop_oldest_agent();
        }
    }

    fn drop_least_useful(&mut self, but: SiteId) -> Option<()> {
        let candidates = self.sites.values().filter(|site| !site.stays() && site.id != but);
        let least = candidates.min_by_key(|site| (site.last_seen, site.claim))?.id;
        let dropped = self.sites.remove(&least)?;
        self.settle_claims_of(&dropped.name);
        Some(())
    }
}
