//! What the agents of a Site know of other sites, put together in one Secret that outlives their pods. Pure.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE64;
use wovenet_config::document::Pin;
use wovenet_config::key::{PublicKey, SiteId};
use wovenet_config::name::SiteName;
use wovenet_crds::site::SiteSpec;
use wovenet_identity::saved_peers::{SAVED_PEERS_MAX_BYTES, STATEMENTS_MAX};
use wovenet_identity::{AgentId, SavedPeers, SignedStatement, Statement};

/// The most bound names that are kept.
pub const PINS_MAX: usize = 256;
/// The longest content of the Secret, in bytes: that of 256 peers with 1 KiB each.
pub const BYTES_MAX: usize = 256 << 10;

type Key = (SiteId, AgentId);

/// Bound names, and the last statement of each agent of other sites.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownPeers {
    pins: BTreeMap<SiteName, PublicKey>,
    statements: BTreeMap<Key, SignedStatement>,
}

impl KnownPeers {
    /// Reads what an agent told or what the Secret holds; `None` when it is damaged as a whole. Of several statements of one
    /// agent the newest counts; a forged one is left out.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let saved = SavedPeers::parse(bytes)?;
        let mut read =
            Self { pins: saved.pins().map(|(name, key)| (name.clone(), key)).collect(), statements: BTreeMap::new() };
        saved.statements().flatten().for_each(|signed| read.take(&signed));
        Some(read)
    }

    /// Writes it as agents read it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let statements: Vec<Vec<u8>> = self.statements.values().map(SignedStatement::to_bytes).collect();
        SavedPeers::render(self.pins.iter(), statements.iter().map(Vec::as_slice), SAVED_PEERS_MAX_BYTES)
    }

    /// Returns the key that a name is bound to.
    pub fn key_of(&self, name: &SiteName) -> Option<PublicKey> {
        self.pins.get(name).copied()
    }

    /// Tells whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.pins.is_empty() && self.statements.is_empty()
    }

    /// Returns what is to be kept from now on. `told` is what each agent of the Site knows, `None` for one that has not told.
    ///
    /// The newest statement of each agent counts, but one that says nothing new replaces none. What no agent knows any more of
    /// a site that they still know is dropped, once all have told. Over the bounds, what was kept before comes first.
    #[must_use]
    pub fn merged(&self, told: &[Option<&Self>], spec: &SiteSpec, unpin: &[Pin]) -> Self {
        let mut all = Self::default();
        told.iter().flatten().flat_map(|told| told.statements.values()).for_each(|signed| all.take(signed));
        let pins = self.merged_pins(told, spec, unpin);
        let known_sites: BTreeSet<&SiteId> = all.statements.keys().map(|(site, _)| site).collect();
        let all_told = told.iter().all(Option::is_some);
        let stays = |(site, agent): &Key| {
            !all_told || !known_sites.contains(site) || all.statements.contains_key(&(*site, agent.clone()))
        };
        let mut newest = self.clone();
        newest.statements.retain(|key, _| stays(key));
        all.statements.values().for_each(|signed| newest.take(signed));
        let denied = keys(&spec.denied_keys);
        newest.statements.retain(|_, signed| !denied.contains(&signed.key()));
        let rank = |key: &Key| match (self.statements.contains_key(key), all.statements.contains_key(key)) {
            (true, true) => 0,
            (false, _) => 1,
            (true, false) => 2,
        };
        Self { statements: bounded(newest.statements, rank, &pins), pins }
    }

    /// Keeps a statement if it is newer than the known one of its agent and says something else.
    fn take(&mut self, signed: &SignedStatement) {
        let statement = signed.statement();
        let key = (statement.site, statement.agent.clone());
        let known = self.statements.get(&key).map(SignedStatement::statement);
        if known.is_none_or(|known| known.mark() < statement.mark() && content(known) != content(statement)) {
            self.statements.insert(key, signed.clone());
        }
    }

    /// A name stays bound to its key until agents say otherwise. What the Site lists, denies or gives up is not kept.
    fn merged_pins(&self, told: &[Option<&Self>], spec: &SiteSpec, unpin: &[Pin]) -> BTreeMap<SiteName, PublicKey> {
        let (listed_names, listed_keys): (BTreeSet<&str>, Vec<&String>) =
            spec.peers.iter().map(|peer| (peer.site_name.as_str(), &peer.public_key)).unzip();
        let excluded = keys(listed_keys.into_iter().chain(&spec.denied_keys));
        let given_up = |(name, key): &(&SiteName, &PublicKey)| {
            let key = key.to_string();
            unpin
                .iter()
                .any(|pin| pin.site_name.as_deref() == Some(name.as_str()) && pin.public_key.as_ref() == Some(&key))
        };
        let may_stay = |pin: &(&SiteName, &PublicKey)| {
            !excluded.contains(pin.1) && !listed_names.contains(pin.0.as_str()) && !given_up(pin)
        };
        let told = told.iter().flatten().flat_map(|told| &told.pins).filter(may_stay);
        let told: BTreeSet<(&SiteName, &PublicKey)> = told.collect();
        let stands = |pin: &(&SiteName, &PublicKey)| {
            told.contains(pin) || !told.iter().any(|(name, key)| *name == pin.0 || *key == pin.1)
        };
        let kept = self.pins.iter().filter(may_stay).filter(stands);
        let mut pins: BTreeMap<SiteName, PublicKey> = kept.map(|(name, key)| (name.clone(), *key)).collect();
        for (name, key) in told.iter().copied() {
            let room = pins.len() < PINS_MAX;
            if room && !pins.contains_key(name) && !pins.values().any(|bound| bound == key) {
                pins.insert(name.clone(), *key);
            }
        }
        pins
    }
}

/// What a statement says, whenever it was said within one start of its agent.
fn content(statement: &Statement) -> Statement {
    Statement { sequence: 0, in_reply_to: None, ..statement.clone() }
}

fn keys<'a>(texts: impl IntoIterator<Item = &'a String>) -> BTreeSet<PublicKey> {
    texts.into_iter().filter_map(|text| text.parse().ok()).collect()
}

/// As many statements as may be kept beside the bound names, those of the lowest rank first.
fn bounded(
    statements: BTreeMap<Key, SignedStatement>,
    rank: impl Fn(&Key) -> u8,
    pins: &BTreeMap<SiteName, PublicKey>,
) -> BTreeMap<Key, SignedStatement> {
    let mut bytes_left =
        BYTES_MAX.saturating_sub(SavedPeers::render(pins.iter(), std::iter::empty(), SAVED_PEERS_MAX_BYTES).len());
    let mut ranked: Vec<_> = statements.into_iter().collect();
    ranked.sort_by_key(|(key, _)| rank(key));
    let fits = |(_, signed): &(Key, SignedStatement)| {
        let bytes = BASE64.encode_len(signed.to_bytes().len()) + r#""","#.len();
        let left = bytes_left.checked_sub(bytes);
        bytes_left = left.unwrap_or(bytes_left);
        left.is_some()
    };
    ranked.into_iter().filter(fits).take(STATEMENTS_MAX).collect()
}
