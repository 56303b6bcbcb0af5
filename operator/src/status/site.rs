//! Status of a Site.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use wovenet_crds::condition::{self, ConditionType, Reason, Verdict};
use wovenet_crds::site::status::{ENDPOINTS_MAX, PEERS_MAX};
use wovenet_crds::site::{AgentCounts, PeerState, PeerStatus};
use wovenet_crds::{Site, SiteStatus};
use wovenet_identity::site_key::site_id;

use super::{Conditions, programmed, unwritten, verdict};
use crate::agent_report::{Broker, RemoteSite, Report};
use crate::collect::Snapshot;
use crate::configuration::Configuration;
use crate::names;
use crate::plan::{KeyState, SitePlan};

/// How a site gets another key.
const NEW_SITE: &str = "or delete the Site and that Secret and apply the Site again to become a new site with its name";

/// Tells the status of a Site.
pub fn site(plan: &SitePlan<'_>, known: &Snapshot, now: Timestamp) -> SiteStatus {
    let site = &plan.judged.site;
    let so_far = site.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let mut conditions = Conditions::of(so_far, site.metadata.generation, now);
    conditions.accepted(ConditionType::Accepted, plan.judged.accepted.as_ref().map(|()| "valid"));
    conditions.set(ConditionType::ResolvedRefs, &references(plan));
    let reports: Vec<&Report> = plan.agents.iter().filter_map(|agent| agent.report.as_deref()).collect();
    conditions.set(ConditionType::Programmed, &sockets(plan, known).unwrap_or_else(|verdict| verdict));
    match site.spec.message_channel {
        Some(_) => conditions.set(ConditionType::BrokerConnected, &brokers(&reports)),
        None => condition::remove(&mut conditions.list, ConditionType::BrokerConnected),
    }
    let peers = peers(&reports);
    let connected = peers.iter().filter(|peer| peer.state == PeerState::Connected).count();
    SiteStatus {
        observed_generation: site.metadata.generation,
        conditions: conditions.summed_up(Site::READY_NEEDS),
        agents: known.daemon_sets.get(&names::agent(&plan.name())).map(|set| counts(set)),
        site_id: plan.public_key().map(|key| site_id(&key).to_string()),
        public_key: plan.public_key().map(|key| key.to_string()),
        endpoints: endpoints(&reports),
        revision: plan.configuration.as_ref().and_then(|now| i64::try_from(now.revision).ok()),
        secondary_key_in_use: secondary_in_use(plan, &reports),
        peers_connected: (!reports.is_empty()).then(|| format!("{connected}/{}", peers.len())),
        peers,
    }
}

/// Whether every Secret is there.
fn references(plan: &SitePlan<'_>) -> Verdict {
    let damaged = (Reason::SecretMalformed, damaged_key(&plan.name()));
    let lost = (Reason::SecretNotFound, lost_key(&plan.name()));
    match (&plan.judged.references, &plan.key) {
        (Err(refusal), _) => verdict(ConditionType::ResolvedRefs, Err(refusal)),
        (Ok(_), Err(KeyState::Missing)) => Verdict::pending("the key of the site is about to be made"),
        (Ok(_), Err(KeyState::Lost)) => verdict(ConditionType::ResolvedRefs, Err(&lost)),
        (Ok(_), Err(KeyState::Damaged)) => verdict(ConditionType::ResolvedRefs, Err(&damaged)),
        (Ok(_), Ok(_)) => verdict(ConditionType::ResolvedRefs, Ok("every Secret is there")),
    }
}

fn damaged_key(site: &str) -> String {
    let secret = names::identity(site);
    format!("{} of Secret {secret} is no site key: restore it, {NEW_SITE}", names::KEY_FIELD)
}

fn lost_key(site: &str) -> String {
    let secret = names::identity(site);
    format!("Secret {secret} with the key of the site is gone: restore it from a backup, {NEW_SITE}")
}

/// Whether every ready agent has the configuration, listens, and can be announced.
fn sockets(plan: &SitePlan<'_>, known: &Snapshot) -> Result<Verdict, Verdict> {
    let since = plan.configuration.as_ref().filter(|_| !plan.is_frozen()).map(Configuration::site_since);
    if let Some(flaw) = &plan.flaw {
        let message = format!("agents stay as they are, as they would refuse the configuration: {flaw}");
        return Err(Verdict::fails(Reason::Pending, message));
    }
    written(plan, known)?;
    programmed(plan, since)?;
    for agent in plan.agents.iter().filter(|agent| agent.ready) {
        let failed =
            agent.report.iter().flat_map(|report| &report.tunnel_sockets).find(|socket| socket.error.is_some());
        if let Some(socket) = failed {
            let error = socket.error.clone().unwrap_or_default();
            let message = format!("the agent of node {} cannot listen on {}/udp: {error}", agent.node(), socket.listen);
            return Err(Verdict::fails(Reason::ListenFailed, message));
        }
    }
    match plan.unannounced.first() {
        Some(what) => Err(Verdict::fails(Reason::Pending, what.clone())),
        None => Ok(Verdict::holds(ConditionType::Programmed, "every ready agent has the configuration")),
    }
}

/// Whether the Site's objects are there, and its agents are those of the DaemonSet as it is now.
fn written(plan: &SitePlan<'_>, known: &Snapshot) -> Result<(), Verdict> {
    let site = &plan.judged.site;
    let (name, namespace) = (plan.name(), site.namespace().unwrap_or_default());
    let services =
        (0..site.spec.expose.len()).map(|index| ("Service", namespace.as_str(), names::tunnel(&name, index)));
    let agents = ["Secret", "DaemonSet"].map(|kind| (kind, namespace.as_str(), names::agent(&name)));
    unwritten(known, agents.into_iter().chain(services))?;
    let set = known.daemon_sets.get(&names::agent(&name));
    let status = set.and_then(|set| set.status.as_ref());
    let is_unseen = status.and_then(|status| status.observed_generation) < set.and_then(|set| set.metadata.generation);
    let older = status.map_or(0, |status| status.number_ready - status.updated_number_scheduled.unwrap_or(0));
    match is_unseen || older > 0 {
        true => {
            Err(Verdict::fails(Reason::Pending, "agents are being replaced by those of the DaemonSet as it is now"))
        }
        false => Ok(()),
    }
}

fn brokers(reports: &[&Report]) -> Verdict {
    let all: Vec<&Broker> = reports.iter().flat_map(|report| &report.brokers).collect();
    if all.iter().any(|broker| broker.connected) {
        return Verdict::holds(ConditionType::BrokerConnected, "an agent is connected to a broker");
    }
    let Some(broker) = all.iter().find(|broker| broker.error.is_some()).or(all.first()) else {
        return Verdict::pending("no agent has told yet");
    };
    let reason = match broker.error_class.as_deref() {
        Some("tls") => Reason::BrokerTls,
        Some("auth") => Reason::BrokerAuth,
        _ => Reason::Disconnected,
    };
    let error = broker.error.as_deref().unwrap_or("not connected yet");
    Verdict::fails(reason, format!("broker {}: {error}", broker.url))
}

fn counts(set: &DaemonSet) -> AgentCounts {
    let status = set.status.clone().unwrap_or_default();
    let number = |count: i32| u32::try_from(count).unwrap_or(0);
    AgentCounts::new(
        number(status.desired_number_scheduled),
        number(status.number_ready),
        number(status.updated_number_scheduled.unwrap_or(0)),
    )
}

fn endpoints(reports: &[&Report]) -> Vec<String> {
    let all: BTreeSet<&String> = reports.iter().flat_map(|report| &report.endpoints).collect();
    all.into_iter().take(ENDPOINTS_MAX).cloned().collect()
}

fn peers(reports: &[&Report]) -> Vec<PeerStatus> {
    let mut all: BTreeMap<(&str, &str), Vec<&RemoteSite>> = BTreeMap::new();
    for site in reports.iter().flat_map(|report| &report.sites) {
        all.entry((&site.site_name, &site.site_id)).or_default().push(site);
    }
    let peer = |((site_name, site_id), told): ((&str, &str), Vec<&RemoteSite>)| {
        let channels: usize = told.iter().map(|site| site.channels.len()).sum();
        let state = match () {
            () if channels > 0 => PeerState::Connected,
            () if told.iter().any(|site| site.state == "nameConflict") => PeerState::NameConflict,
            () if told.iter().all(|site| site.state == "versionMismatch") => PeerState::VersionMismatch,
            () => PeerState::Connecting,
        };
        PeerStatus {
            site_name: site_name.to_owned(),
            site_id: site_id.to_owned(),
            state,
            channels: u32::try_from(channels).unwrap_or(u32::MAX),
        }
    };
    all.into_iter().map(peer).take(PEERS_MAX).collect()
}

/// During a rotation: whether a connected peer has not yet proven the key that is in use.
fn secondary_in_use(plan: &SitePlan<'_>, reports: &[&Report]) -> Option<bool> {
    let crypto = plan.configuration.as_ref()?.document.crypto.as_ref()?;
    crypto.secondary_key.as_ref()?;
    let lags = |report: &&Report| {
        let primary = report.mesh_keys.first();
        let channels = report.sites.iter().flat_map(|site| &site.channels);
        channels.into_iter().any(|channel| primary.is_some_and(|key| !channel.mesh_keys.contains(key)))
    };
    Some(reports.iter().any(lags))
}
