//! Who has which name: bound by configuration, bound by the first authenticated channel, or merely claimed first.

use std::collections::{BTreeMap, BTreeSet};

use wovenet_config::key::{PublicKey, SiteId};
use wovenet_config::name::SiteName;
use wovenet_config::peer::{Peer, Pin};

use super::{Directory, Refusal};
use crate::peer::site_key::site_id;

/// A name that a site claims although another one has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict<'a> {
    /// The name.
    pub name: &'a SiteName,
    /// The site that has it.
    pub bound_to: SiteId,
    /// The site that does not get it.
    pub refused: SiteId,
}

/// Bound names. A key has at most one name, and a name one key.
#[derive(Debug)]
pub(super) struct Names {
    own: SiteId,
    own_name: SiteName,
    listed: BTreeMap<PublicKey, SiteName>,
    pins: BTreeMap<SiteName, PublicKey>,
    unpinned: BTreeSet<Pin>,
}

impl Names {
    pub(super) fn new(own: SiteId, own_name: SiteName) -> Self {
        Self { own, own_name, listed: BTreeMap::new(), pins: BTreeMap::new(), unpinned: BTreeSet::new() }
    }

    /// Takes over the configured bindings, which prevail over those of first use. The first of two that clash counts.
    pub(super) fn configure<'a>(&mut self, peers: impl Iterator<Item = &'a Peer>) {
        let formerly = std::mem::take(&mut self.listed);
        self.pins.retain(|_, key| !formerly.contains_key(key));
        let mut names = BTreeSet::new();
        for peer in peers {
            if !self.listed.contains_key(&peer.public_key) && names.insert(&peer.site) {
                self.listed.insert(peer.public_key, peer.site.clone());
                self.pins.retain(|_, key| *key != peer.public_key);
                self.pins.insert(peer.site.clone(), peer.public_key);
            }
        }
    }

    pub(super) fn is_listed(&self, key: &PublicKey) -> bool {
        self.listed.contains_key(key)
    }

    pub(super) fn has_pin(&self, key: &PublicKey) -> bool {
        self.pins.values().any(|bound| bound == key)
    }

    pub(super) fn pins(&self) -> impl Iterator<Item = (&SiteName, &PublicKey)> {
        self.pins.iter()
    }

    pub(super) fn check(&self, key: &PublicKey, name: &SiteName) -> Result<(), Refusal> {
        if let Some(listed_as) = self.listed.get(key).filter(|listed| *listed != name) {
            return Err(Refusal::OtherName { listed_as: listed_as.clone() });
        }
        match self.bound(name) {
            Some(bound_to) if bound_to != site_id(key) => Err(Refusal::NameConflict { bound_to }),
            _ => Ok(()),
        }
    }

    /// Binds a name, unless that binding was given up.
    pub(super) fn pin(&mut self, name: SiteName, key: PublicKey) {
        self.pins.retain(|_, bound| *bound != key);
        let pin = Pin { site: name, public_key: key };
        if !self.unpinned.contains(&pin) || self.listed.contains_key(&key) {
            self.pins.insert(pin.site, key);
        }
    }

    /// Gives up these bindings, unless they are configured.
    pub(super) fn unpin(&mut self, pins: &[Pin]) {
        self.unpinned = pins.iter().cloned().collect();
        for Pin { site, public_key } in &self.unpinned {
            if self.pins.get(site) == Some(public_key) && !self.listed.contains_key(public_key) {
                self.pins.remove(site);
            }
        }
    }

    fn bound(&self, name: &SiteName) -> Option<SiteId> {
        if *name == self.own_name { Some(self.own) } else { self.pins.get(name).map(site_id) }
    }
}

impl Directory {
    /// Settles every name again after bindings changed.
    pub(super) fn settle_names(&mut self) {
        let bound: BTreeMap<PublicKey, SiteName> = self.names.pins().map(|(name, key)| (*key, name.clone())).collect();
        for site in self.sites.values_mut() {
            site.pinned = bound.contains_key(&site.key);
            if let Some(name) = bound.get(&site.key) {
                site.name.clone_from(name);
            }
        }
        let names: BTreeSet<SiteName> = self.sites.values().map(|site| site.name.clone()).collect();
        names.iter().for_each(|name| self.settle_claims_of(name));
    }

    /// Decides which of the sites that claim `name` has it.
    pub(super) fn settle_claims_of(&mut self, name: &SiteName) {
        let holder = self.names.bound(name).or_else(|| {
            let claims = self.sites.values().filter(|site| site.name == *name);
            claims.min_by_key(|site| site.claim).map(|site| site.id)
        });
        for site in self.sites.values_mut().filter(|site| site.name == *name) {
            site.conflict = holder.filter(|holder| *holder != site.id);
        }
    }

    /// Settles the name of one site after it stated something.
    pub(super) fn settle_name_of(&mut self, id: SiteId) -> Result<(), Refusal> {
        let Some(name) = self.sites.get(&id).map(|site| site.name.clone()) else { return Ok(()) };
        self.settle_claims_of(&name);
        match self.sites.get(&id).and_then(|site| site.conflict) {
            Some(bound_to) => Err(Refusal::NameConflict { bound_to }),
            None => Ok(()),
        }
    }
}
