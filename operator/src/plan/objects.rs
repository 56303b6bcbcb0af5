//! The objects of a Site, made of its plan.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use super::listeners::{own_slices, ports_of};
use super::{PlannedAgent, SitePlan, kept_peers};
use crate::collect::{Snapshot, Surroundings};
use crate::configuration::Configuration;
use crate::judge::JudgedRemoteApp;
use crate::names;
use crate::render::remote_app::ServingAgent;
use crate::render::{self, document, tunnel_service};

/// The label of a node's zone.
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// Objects of a Site in the operator's namespace.
#[derive(Debug, Default)]
pub struct Objects {
    /// The Secret with the configuration.
    pub secrets: Vec<Secret>,
    /// The agents.
    pub daemon_sets: Vec<DaemonSet>,
    /// Services of tunnels and of remote apps.
    pub services: Vec<Service>,
    /// EndpointSlices of remote apps.
    pub slices: Vec<EndpointSlice>,
}

impl SitePlan<'_> {
    /// Renders every object that can be rendered. Those of the Site itself are left out while it is frozen; Services and
    /// slices of its remote apps go on, with what the agents that run tell.
    pub fn objects(&self, known: &Snapshot, around: &Surroundings) -> Objects {
        let site = &self.judged.site;
        let Some(configuration) = &self.configuration else { return Objects::default() };
        let mut services = if self.is_frozen() { Vec::new() } else { tunnel_service::services(site) };
        let mut slices = Vec::new();
        for one in self.judged.remote.iter().filter(|one| one.accepted.is_ok()) {
            let ports = ports_of(one, &self.ports);
            // Without any what is there stays; see `unfinished`.
            if ports.is_empty() {
                continue;
            }
            services.extend(render::remote_app::service(&one.app, &self.name(), &ports));
            let serving = self.serving(one, known);
            let families = families(one, known);
            slices.extend(render::remote_app::slices(&one.app, &self.name(), &ports, &families, &serving));
        }
        Objects {
            secrets: if self.is_frozen() { Vec::new() } else { vec![self.secret(configuration)] },
            daemon_sets: if self.is_frozen() { Vec::new() } else { vec![render::daemon_set(site, around)] },
            services,
            slices,
        }
    }

    /// The uids of remote apps that lack every listener port: what they have stays, as it may come back.
    pub fn unfinished(&self) -> impl Iterator<Item = &str> {
        let accepted = self.judged.remote.iter().filter(|one| one.accepted.is_ok() && one.app.service().is_some());
        accepted.filter(|one| ports_of(one, &self.ports).is_empty()).filter_map(|one| one.app.metadata.uid.as_deref())
    }

    fn secret(&self, configuration: &Configuration) -> Secret {
        let bytes = ByteString(configuration.to_bytes());
        Secret {
            metadata: names::of_site(&self.judged.site, names::agent(&self.name())),
            data: Some(BTreeMap::from([(names::CONFIG_FIELD.to_owned(), bytes)])),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        }
    }

    /// The Secret with what the agents know of other sites; `None` while the one that is there says it. It has no owner, so
    /// that a Site that is made again finds its peers.
    pub fn peers_secret(&self, known: &Snapshot) -> Option<Secret> {
        if self.is_frozen() {
            return None;
        }
        let kept = kept_peers(&self.name(), known);
        let told: Vec<_> = self.agents.iter().filter(|agent| agent.ready).map(|agent| agent.peers.as_deref()).collect();
        let before = kept.clone().flatten().unwrap_or_default();
        let unpin = self.configuration.as_ref().map(|now| now.document.unpin.as_slice()).unwrap_or_default();
        let merged = before.merged(&told, &self.judged.site.spec, unpin);
        let stands = match kept {
            None => merged.is_empty(),
            Some(kept) => kept.as_ref() == Some(&merged),
        };
        let metadata =
            ObjectMeta { owner_references: None, ..names::of_site(&self.judged.site, names::peers(&self.name())) };
        (!stands).then(|| Secret {
            metadata,
            data: Some(BTreeMap::from([(names::PEERS_FIELD.to_owned(), ByteString(merged.to_bytes()))])),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        })
    }

    /// The agents that listen for a remote app and have a channel to a provider of it. One that was not heard yet, as this
    /// operator has just begun, keeps its place.
    pub fn serving<'b>(&'b self, one: &JudgedRemoteApp, known: &Snapshot) -> Vec<ServingAgent<'b>> {
        let listed = listed(one, known);
        let sockets = document::local_sockets(&one.app, &ports_of(one, &self.ports));
        let tcp: Vec<&String> =
            sockets.iter().map(|(_, socket)| socket).filter(|socket| socket.starts_with("tcp:")).collect();
        let serves = |agent: &&PlannedAgent<'_>| {
            if agent.new {
                return agent.pod.metadata.uid.as_ref().is_some_and(|uid| listed.contains(uid));
            }
            !agent.report.as_ref().is_none_or(|report| report.draining)
                && !tcp.is_empty()
                && tcp.iter().all(|socket| {
                    agent.listener(socket).is_some_and(|listener| {
                        listener.state == "listening"
                            && matches!(listener.provider_state.as_str(), "available" | "unhealthy")
                    })
                })
        };
        let serving = |agent: &PlannedAgent<'b>| ServingAgent { pod: agent.pod, zone: zone(agent.node(), known) };
        self.agents.iter().filter(serves).map(serving).collect()
    }
}

/// The uids of the agents that the slices of a remote app list now.
fn listed(one: &JudgedRemoteApp, known: &Snapshot) -> BTreeSet<String> {
    let targets = own_slices(&one.app, known)
        .flat_map(|slice| &slice.endpoints)
        .filter_map(|endpoint| endpoint.target_ref.as_ref());
    targets.filter_map(|target| target.uid.clone()).collect()
}

fn zone(node: &str, known: &Snapshot) -> Option<String> {
    known.nodes.get(node)?.labels().get(ZONE_LABEL).cloned()
}

/// The IP families that the API server gave a Service.
fn families(one: &JudgedRemoteApp, known: &Snapshot) -> Vec<String> {
    let place = (one.app.namespace().unwrap_or_default(), one.app.service_name().unwrap_or_default());
    let families = known.services.get(&place).and_then(|service| service.spec.as_ref()?.ip_families.clone());
    families.unwrap_or_default()
}
