//! The table of known sites: what was last stated by whom, which keys are bound to which names, and who is refused.
//! Pure: statements and `now` go in, judgements come out.

mod judgement;
mod known_site;
mod names;
mod twins;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use wovenet_config::key::{PublicKey, SiteId};
use wovenet_config::name::SiteName;
use wovenet_config::peer::{Peer, Pin, Trust};

use crate::peer::site_key::{self, AgentId};
use crate::peer::statement::{SignedStatement, Statement};

pub use judgement::{Learning, Now, Refusal, Source};
pub use known_site::{KnownAgent, KnownSite};
pub use names::Conflict;
use names::Names;
use twins::Twins;

/// The most sites in the table (docs/protocol.md §3).
pub const SITES_MAX: usize = 1_024;
/// The most agents of one site.
pub const AGENTS_PER_SITE_MAX: usize = 64;
/// The most agents in the table.
pub const AGENTS_MAX: usize = 4_096;
/// How far a generation of an unknown site may be ahead of the clock, in milliseconds: 48 h.
pub const GENERATION_AHEAD_MAX_MS: u64 = 48 * 60 * 60 * 1_000;
/// How long an agent is kept that says nothing while others of its site do.
pub const AGENT_SILENT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The table of known sites.
#[derive(Debug)]
pub struct Directory {
    own: SiteId,
    trust: Trust,
    denied: BTreeSet<PublicKey>,
    names: Names,
    sites: BTreeMap<SiteId, KnownSite>,
    own_twins: Twins,
    next_claim: u64,
}

impl Directory {
    /// Makes the table of the site `own` with the configured peers.
    pub fn new(own: SiteId, own_name: SiteName, trust: Trust, peers: &[Peer], denied: &[PublicKey]) -> Self {
        let mut directory = Self {
            own,
            trust,
            denied: BTreeSet::new(),
            names: Names::new(own, own_name),
            sites: BTreeMap::new(),
            own_twins: Twins::default(),
            next_claim: 0,
        };
        directory.reconfigure(trust, peers, denied);
        directory
    }

    /// Takes over a changed configuration; sites that it refuses leave the table.
    pub fn reconfigure(&mut self, trust: Trust, peers: &[Peer], denied: &[PublicKey]) {
        self.trust = trust;
        self.denied = denied.iter().copied().collect();
        let own = self.own;
        self.names.configure(peers.iter().filter(|peer| site_key::site_id(&peer.public_key) != own));
        let (names, denied) = (&self.names, &self.denied);
        self.sites
            .retain(|_, site| !denied.contains(&site.key) && (trust == Trust::SharedKey || names.is_listed(&site.key)));
        self.sites.values_mut().for_each(|site| site.static_addresses.clear());
        peers.iter().take(SITES_MAX).for_each(|peer| self.configure_peer(peer));
        self.settle_names();
    }

    fn configure_peer(&mut self, peer: &Peer) {
        let id = site_key::site_id(&peer.public_key);
        if id == self.own || self.denied.contains(&peer.public_key) || self.make_room(id).is_err() {
            return;
        }
        let claim = self.claim();
        let site =
            self.sites.entry(id).or_insert_with(|| KnownSite::new(id, peer.public_key, peer.site.clone(), claim));
        site.static_addresses.clone_from(&peer.addresses);
    }

    /// Learns from a statement whose signature was verified.
    ///
    /// # Errors
    /// [`Refusal`] says why nothing was learned; after [`Refusal::NameConflict`] the site is in the table all the same,
    /// under its id.
    pub fn learn(&mut self, signed: &SignedStatement, source: Source, now: Now) -> Result<Learning, Refusal> {
        let statement = signed.statement();
        if statement.site == self.own {
            self.own_twins.observe(&statement.agent, statement.mark(), now.instant);
            return Err(Refusal::Own);
        }
        self.admit(&signed.key())?;
        self.check_fresh(statement, source, now)?;
        self.make_room(statement.site)?;
        let claim = self.claim();
        let site = self
            .sites
            .entry(statement.site)
            .or_insert_with(|| KnownSite::new(statement.site, signed.key(), statement.name.clone(), claim));
        let learning = site.take(signed, now.instant);
        if site.name != statement.name && !self.names.has_pin(&site.key) {
            site.rename(statement.name.clone(), claim);
        }
        self.bound_agents(statement.site);
        self.settle_name_of(statement.site)?;
        Ok(learning)
    }

    fn check_fresh(&mut self, statement: &Statement, source: Source, now: Now) -> Result<(), Refusal> {
        let Some(site) = self.sites.get_mut(&statement.site) else {
            let latest = now.unix_ms.saturating_add(GENERATION_AHEAD_MAX_MS);
            let absurd = source != Source::Store && statement.generation > latest;
            return if absurd { Err(Refusal::FarFuture) } else { Ok(()) };
        };
        site.twins.observe(&statement.agent, statement.mark(), now.instant);
        let Some(known) = site.agents.get(&statement.agent) else {
            return Ok(());
        };
        match statement.mark().cmp(&known.mark()) {
            std::cmp::Ordering::Greater => Ok(()),
            std::cmp::Ordering::Equal => Err(Refusal::Replay),
            std::cmp::Ordering::Less => Err(Refusal::Old),
        }
    }

    /// Notes a hint from a broker that an agent left or came back. Older starts of the agent are ignored.
    /// Returns whether it changed anything.
    pub fn hint_offline(&mut self, site: SiteId, agent: &AgentId, generation: u64, offline: bool) -> bool {
        let known = self.sites.get_mut(&site).and_then(|site| site.agents.get_mut(agent));
        match known {
            Some(known) if known.generation <= generation && known.offline_hint != offline => {
                known.offline_hint = offline;
                true
            }
            _ => false,
        }
    }

    /// Judges the key and name of an authenticated peer.
    ///
    /// # Errors
    /// [`Refusal`] says why it may not have a channel.
    pub fn check(&self, key: &PublicKey, name: &SiteName) -> Result<(), Refusal> {
        if site_key::site_id(key) == self.own {
            return Err(Refusal::Own);
        }
        self.admit(key)?;
        self.names.check(key, name)
    }

    /// Binds a name to the key of a site that just authenticated itself. A site that was renamed gives its old name up.
    ///
    /// # Errors
    /// [`Refusal`] as [`Directory::check`]; the binding of another key is never replaced.
    pub fn bind(&mut self, name: &SiteName, key: &PublicKey) -> Result<(), Refusal> {
        self.check(key, name)?;
        let id = site_key::site_id(key);
        self.make_room(id)?;
        let claim = self.claim();
        self.names.pin(name.clone(), *key);
        let site = self.sites.entry(id).or_insert_with(|| KnownSite::new(id, *key, name.clone(), claim));
        site.name.clone_from(name);
        self.settle_names();
        Ok(())
    }

    /// Gives up bindings, unless they are configured, and makes them no more. The names go to whom proves them next.
    pub fn unpin(&mut self, pins: &[Pin]) {
        self.names.unpin(pins);
        self.settle_names();
    }

    /// Notes whether a site has a channel with us; one that has stays in the table.
    pub fn set_connected(&mut self, site: SiteId, connected: bool) {
        if let Some(site) = self.sites.get_mut(&site) {
            site.connected = connected;
        }
    }

    /// Returns the known sites by id.
    pub fn sites(&self) -> impl Iterator<Item = &KnownSite> {
        self.sites.values()
    }

    /// Finds a site by its id.
    pub fn site(&self, id: SiteId) -> Option<&KnownSite> {
        self.sites.get(&id)
    }

    /// Finds the site that has a name: the bound one, else the first that claimed it.
    pub fn site_by_name(&self, name: &SiteName) -> Option<&KnownSite> {
        self.sites.values().find(|site| site.name == *name && site.conflict.is_none())
    }

    /// Returns the bound names with their keys.
    pub fn pins(&self) -> impl Iterator<Item = (&SiteName, &PublicKey)> {
        self.names.pins()
    }

    /// Returns the names that more than one site claims.
    pub fn conflicts(&self) -> impl Iterator<Item = Conflict<'_>> {
        self.sites
            .values()
            .filter_map(|site| site.conflict.map(|bound_to| Conflict { name: &site.name, bound_to, refused: site.id }))
    }

    /// Returns when another living process was last seen that speaks as an agent of this site (`DuplicateIdentity`).
    pub fn own_duplicate_seen(&self) -> Option<Instant> {
        self.own_twins.last_seen()
    }

    /// Tells whether a key may be in the mesh at all.
    pub(crate) fn admit(&self, key: &PublicKey) -> Result<(), Refusal> {
        match self.trust {
            _ if self.denied.contains(key) => Err(Refusal::Denied),
            Trust::Pinned if !self.names.is_listed(key) => Err(Refusal::NotPinned),
            Trust::Pinned | Trust::SharedKey => Ok(()),
        }
    }

    fn claim(&mut self) -> u64 {
        self.next_claim += 1;
        self.next_claim
    }
}
