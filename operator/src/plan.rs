//! Everything that must be for one Site, from what is judged and known. Pure.

mod agents;
mod listeners;
mod objects;

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use wovenet_config::Document;
use wovenet_config::document::{DOCUMENT_MAX_BYTES, Pin, RemoteApp as RemoteAppEntry};
use wovenet_config::key::PublicKey;
use wovenet_config::name::SiteName;
use wovenet_crds::Site;
use wovenet_identity::SiteKey;

use crate::collect::{Snapshot, Surroundings};
use crate::configuration::{Configuration, REVISION_MAX};
use crate::judge::{Credentials, Judged, JudgedExposedApp, JudgedRemoteApp, JudgedSite, MeshKeys, check};
use crate::known_peers::KnownPeers;
use crate::names;
use crate::ports::Key;
use crate::render::{SiteDocument, document, tunnel_service};

pub use self::agents::PlannedAgent;
use self::agents::agents;
pub use self::listeners::ports_of;
use self::listeners::{led_to, listener_ports, retiring};
pub use self::objects::Objects;

/// What a revision may add to a document, in bytes.
const REVISION_BYTES: usize = 64;

/// The most names that the annotation of a Site can set free at a time.
const UNPIN_MAX: usize = 64;

/// What is remembered between two plans.
#[derive(Debug, Default)]
pub struct Memory {
    /// The newest configuration of each Site: the Secret as it was seen may be older.
    pub configurations: BTreeMap<String, Configuration>,
    /// The listener ports that were given, by Site.
    pub given: BTreeMap<String, BTreeMap<Key, u16>>,
    /// Ports that were given back lately, by Site.
    pub resting: BTreeMap<String, BTreeSet<u16>>,
    /// The key that each Site had when it was last seen, by the uid of the Site.
    pub keys: BTreeMap<String, SiteKey>,
    /// Sites whose revision was lately raised only because agents told a higher one.
    pub raised: BTreeSet<String>,
}

/// What must be for one Site.
#[derive(Debug)]
pub struct SitePlan<'a> {
    /// The Site with its apps.
    pub judged: &'a JudgedSite,
    /// The key of the Site; `None` while it has none, or a damaged one.
    pub key: Result<SiteKey, KeyState>,
    /// The configuration of its agents; `None` while there can be none.
    pub configuration: Option<Configuration>,
    /// Why agents would refuse what was rendered, so that the configuration is an older one.
    pub flaw: Option<String>,
    /// The listener ports of its remote apps.
    pub ports: BTreeMap<Key, u16>,
    /// What cannot be announced yet.
    pub unannounced: Vec<String>,
    /// Its agents, those that go away excepted.
    pub agents: Vec<PlannedAgent<'a>>,
}

/// Why a Site has no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It was not made yet, or the operator remembers it.
    Missing,
    /// The Site had one, and its Secret is gone.
    Lost,
    /// Its Secret holds something else.
    Damaged,
}

/// Plans one Site.
pub fn plan<'a>(judged: &'a JudgedSite, known: &'a Snapshot, around: &Surroundings, memory: &Memory) -> SitePlan<'a> {
    let name = judged.site.name_any();
    let agents = agents(&name, known, around);
    let before = newest(&name, known, memory);
    let led_to = led_to(&name, known);
    let ports = listener_ports(judged, known, memory.given.get(&name), memory.resting.get(&name), &led_to);
    let (local_sockets, unannounced) = tunnel_service::local_sockets(&judged.site, known);
    let keys = mesh_keys(judged, before.as_ref());
    let key = site_key(&judged.site, known, memory);
    let rendered = match (&judged.accepted, &keys, &key) {
        (Ok(()), Some(keys), Ok(_)) => {
            let credentials = credentials(judged, before.as_ref());
            let document = SiteDocument {
                site: &judged.site,
                keys,
                credentials: credentials.as_ref(),
                operator_key: around.operator_key,
                unpin: unpin(judged, before.as_ref(), known, &agents),
                local_sockets,
                exposed_apps: exposed_apps(judged),
                remote_apps: remote_apps(judged, &ports, before.as_ref(), &led_to, known),
            };
            Some(document.render())
        }
        _ => None,
    };
    // Without a new one that agents take the last good configuration stays.
    let (configuration, flaw) = match rendered.map(|document| sound(document, before.as_ref())) {
        Some(Ok(document)) => (Some(number(document, before, &agents, !memory.raised.contains(&name))), None),
        Some(Err(flaw)) => (before, Some(flaw)),
        None => (before, None),
    };
    SitePlan { judged, key, configuration, flaw, ports, unannounced, agents }
}

/// Judges a document as a whole, as agents will, unless they have it already. Its parts were judged one by one: what is wrong
/// then is that they do not go together.
fn sound(document: Document, before: Option<&Configuration>) -> Result<Document, String> {
    if before.is_some_and(|before| before.document == document) {
        return Ok(document);
    }
    check(&document)?;
    let bytes = serde_json::to_vec(&document).map_or(0, |bytes| bytes.len()) + REVISION_BYTES;
    match bytes > DOCUMENT_MAX_BYTES {
        true => {
            Err(format!("the configuration would have {bytes} bytes, at most {DOCUMENT_MAX_BYTES} fit into a Secret"))
        }
        false => Ok(document),
    }
}

/// Gives a document its revision: the same while it is the same, else one above every other. Agents that have a higher one
/// would refuse it: then the same document gets one above theirs, if it `may_rise`.
fn number(
    document: Document,
    before: Option<Configuration>,
    agents: &[PlannedAgent<'_>],
    may_rise: bool,
) -> Configuration {
    let told = agents.iter().filter_map(|agent| agent.report.as_ref()).map(|report| report.revision);
    let told = told.filter(|revision| *revision <= REVISION_MAX).max().unwrap_or(0);
    match before {
        Some(before) if before.document == document && (before.revision >= told || !may_rise) => before,
        before => {
            let last = before.as_ref().map_or(0, |before| before.revision).max(told);
            Configuration::following(before.as_ref(), document, last + 1)
        }
    }
}

/// The newest configuration that is known of.
fn newest(site: &str, known: &Snapshot, memory: &Memory) -> Option<Configuration> {
    let in_secret = known.secrets.get(&names::agent(site)).and_then(|secret| Configuration::read(secret));
    let remembered = memory.configurations.get(site).cloned();
    in_secret.into_iter().chain(remembered).max_by_key(|configuration| configuration.revision)
}

/// The mesh keys of the Secret; else the last good ones.
fn mesh_keys(judged: &JudgedSite, before: Option<&Configuration>) -> Option<MeshKeys> {
    if let Ok(found) = &judged.references {
        return Some(found.keys.clone());
    }
    let crypto = before?.document.crypto.as_ref()?;
    Some(MeshKeys {
        primary: crypto.key.as_ref()?.expose().to_owned(),
        secondary: crypto.secondary_key.as_ref().map(|key| key.expose().to_owned()),
    })
}

/// User and password of the Secret; else the last good ones.
fn credentials(judged: &JudgedSite, before: Option<&Configuration>) -> Option<Credentials> {
    if let Ok(found) = &judged.references {
        return found.credentials.clone();
    }
    let mqtt = before?.document.message_channel.as_ref()?.mqtt.as_ref()?;
    Some(Credentials { user: mqtt.user.clone()?, password: mqtt.password.as_ref()?.expose().to_owned() })
}

/// The bindings that the Site's annotation gives up. Which key a name had is settled once, when the annotation is first seen:
/// the next key of the name is not given up with it.
fn unpin(
    judged: &JudgedSite,
    before: Option<&Configuration>,
    known: &Snapshot,
    agents: &[PlannedAgent<'_>],
) -> Vec<Pin> {
    let Some(text) = judged.site.annotations().get(names::UNPIN) else { return Vec::new() };
    let given_up = |name: &SiteName| {
        let settled = before.and_then(|before| {
            before.document.unpin.iter().find(|pin| pin.site_name.as_deref() == Some(name.as_str())).cloned()
        });
        let bound = || {
            let kept = kept_peers(&judged.site.name_any(), known).flatten();
            let key = kept.as_ref().into_iter().chain(agents.iter().filter_map(|agent| agent.peers.as_deref()));
            key.filter_map(|peers| peers.key_of(name)).next()
        };
        let of_key = |key: PublicKey| Pin { site_name: Some(name.to_string()), public_key: Some(key.to_string()) };
        settled.or_else(|| bound().map(of_key))
    };
    let names: BTreeSet<SiteName> = text.split(',').filter_map(|name| name.trim().parse().ok()).collect();
    names.iter().take(UNPIN_MAX).filter_map(given_up).collect()
}

/// What the Secret of known peers holds: nothing when there is none, and nothing in it when it is damaged.
fn kept_peers(site: &str, known: &Snapshot) -> Option<Option<KnownPeers>> {
    let name = names::peers(site);
    known.secrets.contains_key(&name).then(|| known.secret_field(&name, names::PEERS_FIELD).and_then(KnownPeers::parse))
}

fn site_key(site: &Site, known: &Snapshot, memory: &Memory) -> Result<SiteKey, KeyState> {
    let secret = names::identity(&site.name_any());
    if !known.secrets.contains_key(&secret) {
        let had_one = site.status.as_ref().is_some_and(|status| status.public_key.is_some());
        let is_remembered = site.metadata.uid.as_ref().is_some_and(|uid| memory.keys.contains_key(uid));
        return Err(if had_one && !is_remembered { KeyState::Lost } else { KeyState::Missing });
    }
    let pem = known.secret_field(&secret, names::KEY_FIELD).ok_or(KeyState::Damaged)?;
    SiteKey::from_pem(pem).map_err(|_| KeyState::Damaged)
}

fn exposed_apps(judged: &JudgedSite) -> Vec<wovenet_config::document::ExposedApp> {
    let good = judged.exposed.iter().filter(|one| one.accepted.is_ok());
    let mut apps: Vec<_> =
        good.filter_map(|one| Some(document::exposed_app(&one.app, one.target.as_ref().ok()?))).collect();
    apps.sort_by(|one, other| one.app_name.cmp(&other.app_name));
    apps
}

fn remote_apps(
    judged: &JudgedSite,
    ports: &BTreeMap<Key, u16>,
    before: Option<&Configuration>,
    led_to: &BTreeSet<u16>,
    known: &Snapshot,
) -> Vec<RemoteAppEntry> {
    let good = judged.remote.iter().filter(|one| one.accepted.is_ok());
    let mut apps: Vec<_> = good.flat_map(|one| document::remote_app(&one.app, &ports_of(one, ports))).collect();
    let retiring = retiring(before, &apps, led_to, known);
    apps.extend(retiring);
    apps.sort_by(|one, other| one.local_socket.cmp(&other.local_socket));
    apps
}

impl SitePlan<'_> {
    /// The name of the Site.
    pub fn name(&self) -> String {
        self.judged.site.name_any()
    }

    /// Whether what is there stays as it is: nothing better can be rendered.
    pub fn is_frozen(&self) -> bool {
        self.judged.accepted.is_err() || self.configuration.is_none()
    }

    /// The public key of the Site; that which its agents still have when its Secret is gone or damaged.
    pub fn public_key(&self) -> Option<PublicKey> {
        let had = || self.judged.site.status.as_ref()?.public_key.as_ref()?.parse().ok();
        self.key.as_ref().ok().map(SiteKey::public).or_else(had)
    }

    /// Tells since which revision the agents are told this of an exposed app; `None` when they are not.
    pub fn exposed_since(&self, one: &JudgedExposedApp) -> Option<u64> {
        let entry = document::exposed_app(&one.app, one.target.as_ref().ok()?);
        self.configuration.as_ref()?.exposed_since(&entry)
    }

    /// Tells since which revision the agents are told all of this of a remote app; `None` when they are not.
    pub fn remote_since(&self, one: &JudgedRemoteApp) -> Option<u64> {
        let configuration = self.configuration.as_ref()?;
        let entries = document::remote_app(&one.app, &ports_of(one, &self.ports));
        let since: Option<Vec<u64>> = entries.iter().map(|entry| configuration.remote_since(entry)).collect();
        since?.into_iter().max()
    }

    /// Whether an agent that runs was not heard yet: nothing can be told of it that was not told before.
    pub fn is_waiting_for_agents(&self) -> bool {
        self.agents.iter().any(|agent| agent.new)
    }
}

/// Plans every Site.
pub fn plan_all<'a>(
    judged: &'a Judged,
    known: &'a Snapshot,
    around: &Surroundings,
    memory: &Memory,
) -> Vec<SitePlan<'a>> {
    judged.sites.iter().map(|site| plan(site, known, around, memory)).collect()
}
